"""How sure a report may be once a model has been heard: the rules' confidence, what the model chose, and whether its evidence supports that. Pure.

    rules    the model                          confidence   first cause
    ------   --------------------------------   ----------   ---------------------------------------------
    high     agrees                             high         the rules'
    high     prefers another, with evidence     medium       the rules'; the other is told
    high     knows none                         medium       the rules'
    medium   agrees                             medium       the rules'
    medium   prefers another, with evidence     low          inconclusive: both, and what tells them apart
    medium   knows none                         low          the rules'
    low      agrees                             low          the rules'
    low      prefers another, with evidence     low          the model's; inconclusive where the rules' has evidence too
    low      knows none                         low          unknown
    any      prefers another, without evidence  the rules'   the rules'; the model's word is told and counts nothing

A model never makes a report surer than the rules are: they know how often verdicts like theirs were right, of a model's agreement nobody does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent_sre.analysis.verdict import UNKNOWN, Verdict
from agent_sre.finding.finding import Confidence, Hypothesis

_LOWER = {Confidence.HIGH: Confidence.MEDIUM, Confidence.MEDIUM: Confidence.LOW, Confidence.LOW: Confidence.LOW}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What rules and model are together."""

    confidence: Confidence
    words: str  # what the model thinks of the rules' verdict: "agrees with the rules and cites [E02]"
    first: Hypothesis | None  # whom the report names first; None: nobody
    rival: Hypothesis | None = None  # as likely as the first: the verdict is inconclusive
    counts: bool = True  # whether the model's words about its cause belong into the report's


def agree(verdict: Verdict, hypotheses: Sequence[Hypothesis], confidence: Confidence) -> Agreement:
    """What the verdict makes of the rules' hypotheses, best first, and of their confidence."""
    rules = next(iter(hypotheses), None)
    if verdict.cause == UNKNOWN or rules is None:
        words = "found that the evidence singles out no cause"
        unknown = confidence is Confidence.LOW
        return Agreement(confidence=_LOWER[confidence], words=words, first=None if unknown else rules, counts=unknown)
    chosen = next((item for item in hypotheses if item.id == verdict.cause), rules)
    support = [evidence_id for evidence_id in verdict.evidence_ids if evidence_id in chosen.supporting]
    cited = " ".join(f"[{evidence_id}]" for evidence_id in support)
    if chosen.id == rules.id:
        words = f"agrees with the rules and cites {cited}" if support else "agrees with the rules, and cites nothing of what speaks for it"
        return Agreement(confidence=confidence, words=words, first=rules)
    if not support:
        words = f"prefers {chosen.id} and cites nothing that speaks for it, so that its word counts nothing"
        return Agreement(confidence=confidence, words=words, first=rules, counts=False)
    words = f"prefers {chosen.id} and cites {cited}"
    if confidence is Confidence.HIGH:
        return Agreement(confidence=Confidence.MEDIUM, words=words, first=rules, counts=False)
    if confidence is Confidence.MEDIUM:
        return Agreement(confidence=Confidence.LOW, words=words, first=rules, rival=chosen, counts=False)
    return Agreement(confidence=Confidence.LOW, words=words, first=chosen, rival=rules if rules.supporting else None)
