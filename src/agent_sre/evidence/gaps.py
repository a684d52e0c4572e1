"""Gaps for people: what failed stands by itself, what nobody configured stands in one line.

A source that hangs leaves a gap for each of its thirty questions, all with the same sentence: that is one trouble, told once. The JSON keeps
them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent_sre.evidence import off
from agent_sre.evidence.evidence import Gap
from agent_sre.evidence.suggested import SUGGESTED

_ABSENT = frozenset({"no_metric", "no_labels"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One reason why a source gave no answer, and all that it left open."""

    source: str
    reason: str
    detail: str  # a sentence, or a few
    purposes: tuple[str, ...]  # what was to be learned, each once, in the order of the plan


def troubles(gaps: Sequence[Gap]) -> tuple[Trouble, ...]:
    """The gaps that somebody should do something about: same source, reason and sentence together, in the order in which they first occur.

    What a playbook suggests to ask and this place does not have is one trouble however many metrics it is: its sentences stand side by side.
    """
    purposes: dict[tuple[str, str, str], dict[str, None]] = {}
    details: dict[tuple[str, str, str], dict[str, None]] = {}
    for gap in gaps:
        if gap.reason != off.REASON:
            key = (gap.query.source, gap.reason, "" if gap.query.kind == SUGGESTED and gap.reason in _ABSENT else gap.detail)
            purposes.setdefault(key, {})[(gap.query.purpose or gap.query.expression).rstrip(".")] = None
            details.setdefault(key, {})[gap.detail] = None
    return tuple(Trouble(source=key[0], reason=key[1], detail=" ".join(details[key]), purposes=tuple(found)) for key, found in purposes.items())


def switched_off(gaps: Sequence[Gap]) -> tuple[tuple[str, str], ...]:
    """The sources that nobody configured, each once: its name, and what is missing (`LOKI_URL is not set`)."""
    found = {gap.query.source: gap.detail for gap in gaps if gap.reason == off.REASON}
    return tuple((source, detail.removeprefix(off.opening(source)).rstrip(".")) for source, detail in found.items())
