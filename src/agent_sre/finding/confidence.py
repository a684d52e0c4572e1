"""What recorded incidents with a known cause taught: how far to trust each detector, and how likely the first hypothesis is right. Pure.

    findings ──scaled──> findings, those of each detector weighed by what they were worth

    hypotheses, evidence ──signs_of_verdict──> signs ──chance_right──> 0 to 1 ──> high from HIGH on, medium from MEDIUM on, else low

A logistic curve over a few signs that mean the same in every system. The weights stand in finding/confidence.toml;
`agent-sre eval cases DIR --truth FILE --refit` learns them again, which is needed whenever detectors or their weights change.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources

from agent_sre.evidence.evidence import EvidenceSet
from agent_sre.finding.finding import Finding, Hypothesis, object_name
from agent_sre.finding.weights import CLOSE_RIVAL, CONFIDENCE_PRIOR, HEAVIEST, MOST_KINDS


def signs_of_verdict(hypotheses: Sequence[Hypothesis], evidence: EvidenceSet) -> Mapping[str, float]:
    """The signs of the first of these hypotheses, best first. Empty where there is none that was seen."""
    if not hypotheses or not hypotheses[0].name:
        return {}
    first = hypotheses[0]
    seen = [item for item in hypotheses[1:] if item.name]
    name = object_name(first.subject)
    other_object = max((item.score for item in seen if object_name(item.subject) != name), default=0.0)
    other_cause = max((item.score for item in seen if object_name(item.subject) == name), default=0.0)
    supporting = set(first.supporting)
    asked = {(item.query.source, item.query.kind) for item in evidence.items if item.id in supporting}
    tables = {source for source, _ in asked}
    return {
        "always": 1.0,
        "score": first.score,
        "lead": first.score - other_object,
        "lead of cause": first.score - other_cause,
        "rivals": math.log1p(sum(item.score >= CLOSE_RIVAL * first.score for item in seen)),
        "kinds of evidence": math.log1p(min(len(asked), MOST_KINDS)),
        "sources": float(len(tables) > 1),
        "ways of seeing it": math.log1p(min(len(first.reasons), MOST_KINDS)),
        "curves only": float(bool(asked) and tables <= {"prometheus"}),
        "contradicted": float(bool(first.contradicting)),
        "gaps": len(evidence.gaps) / max(len(evidence.gaps) + len(evidence.items), 1),
    }


def scaled(findings: Iterable[Finding], multipliers: Mapping[str, float] | None = None) -> tuple[Finding, ...]:
    """The findings, their weights times the multiplier of their detector where there is one."""
    known = detector_multipliers() if multipliers is None else multipliers
    return tuple(
        replace(finding, weight=min(finding.weight * factor, HEAVIEST)) if (factor := known.get(finding.detector, 1.0)) != 1.0 else finding
        for finding in findings
    )


def confidence_weights() -> Mapping[str, float]:
    """The packaged weights by sign."""
    return _learned().get("weights") or CONFIDENCE_PRIOR


def detector_multipliers() -> Mapping[str, float]:
    """The packaged multipliers by detector; 1 for those that are not there."""
    return _learned().get("detectors", {})


@cache
def _learned() -> Mapping[str, Mapping[str, float]]:
    return tomllib.loads((resources.files("agent_sre.finding") / "confidence.toml").read_text("utf-8"))


def chance_right(signs: Mapping[str, float], weights: Mapping[str, float] | None = None) -> float:
    """How likely a verdict with these signs is right; 0 without signs."""
    if not signs:
        return 0.0
    known = confidence_weights() if weights is None else weights
    total = sum(known.get(name, 0.0) * value for name, value in signs.items())
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))
