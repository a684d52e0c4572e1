"""How sure a report is once a model was heard: never surer than the rules, and a doubt is told."""

from __future__ import annotations

import pytest

from agent_sre.alert.subject import Subject
from agent_sre.analysis.agreement import agree
from agent_sre.analysis.verdict import UNKNOWN, Verdict
from agent_sre.finding.finding import Confidence, Hypothesis

HIGH, MEDIUM, LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW


def cause(number: int, *supporting: str) -> Hypothesis:
    subject = Subject(kind="Node", name=f"n{number}")
    return Hypothesis(
        id=f"H{number}", cause=f"cause {number}", subject=subject, score=1 / number, supporting=supporting, contradicting=(), name="oom_killed"
    )


FIRST, SECOND, USUAL = cause(1, "E01", "E02"), cause(2, "E03"), cause(3)


def says(chosen: str, *evidence_ids: str) -> Verdict:
    return Verdict(cause=chosen, evidence_ids=evidence_ids, confidence="high", summary="s", impact="i", actions=())


@pytest.mark.parametrize(
    ("rules", "verdict", "confidence", "first", "rival", "counts"),
    [
        (HIGH, says("H1", "E01"), HIGH, "H1", "", True),
        (MEDIUM, says("H1", "E02"), MEDIUM, "H1", "", True),
        (LOW, says("H1", "E01"), LOW, "H1", "", True),
        (HIGH, says("H1", "E03"), HIGH, "H1", "", True),
        (HIGH, says("H2", "E03"), MEDIUM, "H1", "", False),
        (MEDIUM, says("H2", "E03"), LOW, "H1", "H2", False),
        (LOW, says("H2", "E03"), LOW, "H2", "H1", True),
        (HIGH, says("H2", "E01"), HIGH, "H1", "", False),
        (MEDIUM, says("H3", "E01"), MEDIUM, "H1", "", False),
        (LOW, says("H3", "E01"), LOW, "H1", "", False),
        (HIGH, says(UNKNOWN), MEDIUM, "H1", "", False),
        (MEDIUM, says(UNKNOWN), LOW, "H1", "", False),
        (LOW, says(UNKNOWN), LOW, "", "", True),
    ],
)
def test_the_table(rules: Confidence, verdict: Verdict, confidence: Confidence, first: str, rival: str, counts: bool) -> None:
    found = agree(verdict, (FIRST, SECOND, USUAL), rules)
    assert found.confidence is confidence
    assert (found.first.id if found.first else "", found.rival.id if found.rival else "", found.counts) == (first, rival, counts)
    assert found.words


def test_a_model_never_makes_a_report_surer_than_the_rules() -> None:
    order = [LOW, MEDIUM, HIGH]
    for rules in order:
        for chosen in ("H1", "H2", "H3", UNKNOWN):
            for cited in (("E01",), ("E03",), ()):
                assert order.index(agree(says(chosen, *cited), (FIRST, SECOND, USUAL), rules).confidence) <= order.index(rules)


def test_the_words_cite_what_supports_the_choice_and_only_that() -> None:
    assert agree(says("H1", "E03", "E02"), (FIRST, SECOND), HIGH).words == "agrees with the rules and cites [E02]"
    assert "nothing" in agree(says("H1", "E03"), (FIRST, SECOND), HIGH).words
    assert agree(says("H2", "E03"), (FIRST, SECOND), LOW).words == "prefers H2 and cites [E03]"


def test_a_usual_cause_that_the_rules_saw_nothing_of_is_no_rival() -> None:
    found = agree(says("H2", "E03"), (USUAL, SECOND), LOW)
    assert found.first is SECOND
    assert found.rival is None


def test_without_hypotheses_nobody_is_first() -> None:
    assert agree(says(UNKNOWN), (), LOW).first is None
