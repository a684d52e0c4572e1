"""From evidence to a diagnosis: what the rules see, which causes that leaves, and how sure they may be. Pure, and always has an answer."""

from __future__ import annotations

from collections.abc import Sequence

from agent_sre.evidence.evidence import Evidence, EvidenceSet, Gap, LogPattern
from agent_sre.evidence.playbook import Playbook, fill, values_of
from agent_sre.evidence.suggested import without
from agent_sre.finding.confidence import chance_right, scaled, signs_of_verdict
from agent_sre.finding.detectors import DETECTORS
from agent_sre.finding.finding import Confidence, Diagnosis, Finding, Hypothesis, object_name
from agent_sre.finding.rank import rank
from agent_sre.finding.relations import relate
from agent_sre.finding.story import chain, next_check, ruled_out
from agent_sre.finding.weights import CLEAR_LEAD, HIGH, INCONCLUSIVE, MEDIUM, MOST_CLAIMED
from agent_sre.finding.world import World
from agent_sre.incident.incident import Incident
from agent_sre.kit.text import one_line

REPORTED = frozenset({"alert", "history", "alertmanager"})
"""Sources that repeat what others told us. Only the rest measures."""

WORDS_ONLY = "only log lines say so, and whoever can write one can write that"
"""Why a verdict is not surer. The taint rule: see docs/explanation/security.md."""


def diagnose(incident: Incident, evidence: EvidenceSet, playbook: Playbook) -> Diagnosis:
    """What the rules make of the evidence. `playbook` is that of the lead alert, as loaded.

    What a playbook's own queries returned is in the diagnosis for its readers, and has no part in the verdict.
    """
    own = without(evidence)
    world = World(incident, own)
    findings = detect(world)
    lead = incident.lead
    usual = fill(playbook, values_of(lead.subject, lead.labels)).causes
    hypotheses = rank(usual, findings, lead.subject)
    confidence, reason = judge(own, hypotheses)
    return Diagnosis(
        evidence=evidence,
        findings=findings,
        hypotheses=hypotheses,
        confidence=confidence,
        confidence_reason=reason,
        ruled_out=ruled_out(world, findings, hypotheses),
        chain=chain(world, findings, hypotheses),
        next_check=next_check(own, hypotheses, confidence),
    )


def detect(world: World) -> tuple[Finding, ...]:
    """Everything that any detector sees, in the registry's order, with what each may be a consequence of."""
    return relate(world, scaled(finding for detector in DETECTORS.values() for finding in detector.detect(world)))


def judge(evidence: EvidenceSet, hypotheses: Sequence[Hypothesis]) -> tuple[Confidence, str]:
    """How sure the rules may be, and why, in words: never high where nothing but the words of log lines speaks for the first cause."""
    confidence, reason = _judge(evidence, hypotheses)
    if confidence is not Confidence.HIGH or not hypotheses:
        return confidence, reason
    supporting = set(hypotheses[0].supporting)
    counted = [item for item in evidence.items if item.id in supporting and item.query.source not in REPORTED and not _is_words(item)]
    return (confidence, reason) if counted else (Confidence.MEDIUM, f"{reason}; {WORDS_ONLY}")


def _is_words(item: Evidence) -> bool:
    """Whether an answer is what programs wrote, and with them everybody who can make them write."""
    return item.query.source == "loki" or item.query.kind == "logs" or (bool(item.data) and all(isinstance(one, LogPattern) for one in item.data))


def _judge(evidence: EvidenceSet, hypotheses: Sequence[Hypothesis]) -> tuple[Confidence, str]:
    """As sure as the measurements allow.

    Low where nothing was measured, where nothing measured speaks for the first cause, or where the second is nearly as likely. A cause that a
    detector names is as sure as such verdicts were on recorded incidents (finding/confidence.py): high from nine right of ten on, medium from
    five on. A usual cause of a playbook is medium at most: rules match words and shapes there, they do not prove.
    """
    measured = {item.id: item for item in evidence.items if item.query.source not in REPORTED}
    telling = [item for item in measured.values() if item.data]
    if not telling:
        return Confidence.LOW, f"nothing was measured: {_why_nothing(list(measured.values()), evidence.gaps)}; these are the usual causes"
    if not hypotheses:
        return Confidence.LOW, "there is no usual cause to compare the measurements with"
    first = hypotheses[0]
    support = [evidence_id for evidence_id in first.supporting if evidence_id in measured]
    seen = _cited([item.id for item in telling])
    if not support:
        hint = f"; what speaks for {first.id} is only what was reported {_cited(first.supporting)}" if first.supporting else ""
        return Confidence.LOW, f"what was measured {seen} does not tell the causes apart{hint}"
    if first.name and first.score < INCONCLUSIVE:
        return Confidence.LOW, f"{_cited(support)} hints at {first.id}, and so could much else"
    rival = next((item for item in hypotheses[1:2] if item.name and object_name(item.subject) != object_name(first.subject)), None)
    if first.name and rival is not None and first.score < CLEAR_LEAD * rival.score:
        return Confidence.LOW, f"{_cited(support)} speaks for {first.id}, but {rival.id} is nearly as likely, and both may be so"
    if first.name:
        return _as_recorded(first, support, chance_right(signs_of_verdict(hypotheses, evidence)))
    if len(hypotheses) > 1 and first.score < CLEAR_LEAD * hypotheses[1].score:
        return Confidence.LOW, f"{_cited(support)} speaks for {first.id}, but {hypotheses[1].id} is nearly as likely"
    if first.contradicting:
        return Confidence.LOW, f"{_cited(support)} speaks for {first.id}, and {_cited(first.contradicting)} against it"
    return Confidence.MEDIUM, f"{_cited(support)} speaks for {first.id}; that it is the cause was not proved"


def _as_recorded(first: Hypothesis, support: Sequence[str], chance: float) -> tuple[Confidence, str]:
    confidence = Confidence.HIGH if chance >= HIGH else Confidence.MEDIUM if chance >= MEDIUM else Confidence.LOW
    against = f", and {_cited(first.contradicting)} against it" if first.contradicting else ""
    share = f"of verdicts like this one about {min(chance, MOST_CLAIMED):.0%} were right on recorded incidents"
    return confidence, f"{_cited(support)} speaks for {first.id}{against}; {share}"


def _why_nothing(empty: Sequence[Evidence], gaps: Sequence[Gap]) -> str:
    reasons = dict.fromkeys(_sentence(gap) for gap in gaps if gap.query.source not in REPORTED)
    reasons.update(dict.fromkeys(f"{item.query.source} found nothing {_cited([item.id])}" for item in empty[:1]))
    return "; ".join(list(reasons)[:3]) or "no source of measurements was asked"


def _sentence(gap: Gap) -> str:
    return one_line(gap.detail, 200).rstrip(".") or f"{one_line(gap.query.source, 60)}: {one_line(gap.reason, 60)}"


def _cited(evidence_ids: Sequence[str]) -> str:
    return " ".join(f"[{evidence_id}]" for evidence_id in evidence_ids[:4])
