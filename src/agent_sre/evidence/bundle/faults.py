"""What could not be read of a bundle, and why: the reader sees it beside what could."""

from __future__ import annotations

from dataclasses import dataclass

from agent_sre.kit.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One file, or one part of it, that is missing from the world that a bundle shows."""

    file: str  # inside the bundle; with the command or the object behind a colon where it holds several
    reason: str  # "unreadable", "too_large", "unsafe", "unrecognised", "bad_lines", "withheld"
    detail: str  # one sentence


def fault(file: str, reason: str, detail: str) -> Fault:
    """A Fault whose words are fit to show, whatever the bundle's author named the file."""
    return Fault(file=one_line(file, 200), reason=reason, detail=one_line(detail, 300))
