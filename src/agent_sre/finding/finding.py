"""Findings, hypotheses and the diagnosis. All pure values: a detector never asks anybody anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import EvidenceSet
from agent_sre.incident.incident import Incident


class Confidence(StrEnum):
    """How sure, in words that people use. The reason always stands beside it."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the evidence shows."""

    detector: str
    summary: str  # one sentence, numbers formatted
    subject: Subject
    facts: Mapping[str, str | int | float | bool | None]
    evidence_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One possible cause. `score` is 0 to 1 and only means something beside the others' scores."""

    id: str  # H1, H2, …, best first
    cause: str
    subject: Subject
    score: float
    supporting: tuple[str, ...]  # evidence ids
    contradicting: tuple[str, ...]
    check: str = ""  # what would confirm or refute it, for people


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the rules make of the evidence. Hypotheses best first; empty where nothing is known about this alert."""

    evidence: EvidenceSet
    findings: tuple[Finding, ...]
    hypotheses: tuple[Hypothesis, ...]
    confidence: Confidence
    confidence_reason: str


class Detector(Protocol):
    """Every detector runs through tests/conformance/test_detector.py."""

    name: str

    def detect(self, incident: Incident, evidence: EvidenceSet) -> Iterable[Finding]:
        """What this detector sees in the evidence; nothing where it sees nothing. Pure, and never raises."""
        ...
