"""Findings, hypotheses and the diagnosis. All pure values: a detector never asks anybody anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import EvidenceSet
from agent_sre.finding.world import World


class Confidence(StrEnum):
    """How sure, in words that people use. The reason always stands beside it."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that the evidence shows.

    With a `cause` it says what this means, and `weight` how surely: 0.9 where little else can look like that, 0.3 where much can.
    """

    detector: str
    summary: str  # one sentence, numbers formatted
    subject: Subject
    facts: Mapping[str, str | int | float | bool | None]
    evidence_ids: tuple[str, ...]
    cause: str = ""  # a name of finding/causes; empty: an observation
    weight: float = 0.0  # 0 to 1
    against: str = ""  # what speaks against it, or would if it were so; one sentence
    explained_by: tuple[Subject, ...] = ()
    """Objects whose own trouble would explain this one: the node that a pod runs on, the service that a slow one calls."""
    began_at: datetime | None = None  # when what it shows began, as far as the evidence tells; None: nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One possible cause. `score` is 0 to 1 and only means something beside the others' scores."""

    id: str  # H1, H2, …, best first
    cause: str  # a sentence
    subject: Subject
    score: float
    supporting: tuple[str, ...]  # evidence ids
    contradicting: tuple[str, ...]
    check: str = ""  # what would confirm it, for people
    rules_out: str = ""  # what would refute it, for people; empty where nobody wrote it down
    name: str = ""  # of finding/causes; empty for a usual cause of a playbook, which nothing was seen of
    reasons: tuple[str, ...] = ()  # what was seen that speaks for it, a sentence each
    doubts: tuple[str, ...] = ()  # what speaks against it
    explained_by: str = ""  # the object whose own trouble explains more than half of it, as object_name() has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the rules make of the evidence. Hypotheses best first; empty where nothing is known about this alert."""

    evidence: EvidenceSet
    findings: tuple[Finding, ...]
    hypotheses: tuple[Hypothesis, ...]
    confidence: Confidence
    confidence_reason: str
    ruled_out: tuple[Hypothesis, ...] = field(default=())  # what was thought of and does not hold, with the reason in `doubts`
    chain: tuple[str, ...] = field(default=())  # from the source to the symptom, a sentence each
    next_check: str = ""  # what would tell most, where the verdict is inconclusive


class Detector(Protocol):
    """Every detector runs through tests/conformance/test_detector.py."""

    name: str

    def detect(self, world: World) -> Iterable[Finding]:
        """What this detector sees in the world; nothing where it sees nothing. Pure, and never raises."""
        ...


def object_name(subject: Subject) -> str:
    """`node/worker-2`, `namespace/shop`, `app/cart`: an object as evaluations and reports compare it. Pods count as their workload."""
    if subject.kind == "Node":
        return f"node/{subject.name}"
    if subject.kind == "Namespace":
        return f"namespace/{subject.name}"
    return f"app/{subject.name}"
