"""Learning weights from choices, and how sure a verdict may be."""

from __future__ import annotations

import math
import random

import pytest

from agent_sre.evidence.evidence import EvidenceSet, Fact
from agent_sre.finding.confidence import chance_right, confidence_weights, signs_of_verdict
from agent_sre.finding.diagnose import judge
from agent_sre.finding.finding import Confidence, Hypothesis
from agent_sre.finding.learn import Choice, fit_choice, minimise
from agent_sre.finding.weights import CONFIDENCE_PRIOR
from evidence.builders import an_alert
from finding.answers import answer, evidence_set, gap


def test_the_lowest_point_of_a_narrow_valley_is_found() -> None:
    def cost(at: list[float]) -> tuple[float, list[float]]:
        x, y = at
        return 50 * (x - 1) ** 2 + (y + 2) ** 2, [100 * (x - 1), 2 * (y + 2)]

    assert minimise(cost, [30.0, 30.0]) == pytest.approx([1.0, -2.0], abs=1e-4)


def test_the_weight_that_made_the_choices_is_found_again() -> None:
    dice = random.Random(5)
    examples = []
    for _ in range(600):
        candidates = tuple({"heat": dice.gauss(0, 1), "noise": dice.gauss(0, 1)} for _ in range(4))
        shares = [math.exp(2 * signs["heat"]) for signs in candidates]
        examples.append(Choice(candidates=candidates, right=dice.choices(range(4), shares)[0]))
    learned = fit_choice(examples, {}, pull=0.1)
    assert learned["heat"] == pytest.approx(2, abs=0.3)
    assert abs(learned["noise"]) < 0.2


def test_where_no_example_speaks_the_prior_stays() -> None:
    one = Choice(candidates=({"heat": 1.0}, {}), right=0)
    assert fit_choice([one], {"rain": 0.7}, pull=1.0)["rain"] == pytest.approx(0.7)


def _hypothesis(cause: str, score: float, *, name: str = "cart", supporting: tuple[str, ...] = ("E01",)) -> Hypothesis:
    subject = an_alert(labels={"namespace": "harbour", "deployment": name}).subject
    return Hypothesis(id="H1", cause=cause, subject=subject, score=score, supporting=supporting, contradicting=(), name=cause)


def test_a_lead_makes_surer_and_gaps_less_sure() -> None:
    evidence = evidence_set(answer("kubernetes", "pods"))
    alone = signs_of_verdict([_hypothesis("oom_killed", 0.9)], evidence)
    tied = signs_of_verdict([_hypothesis("oom_killed", 0.9), _hypothesis("oom_killed", 0.88, name="till")], evidence)
    blind = signs_of_verdict([_hypothesis("oom_killed", 0.9)], evidence_set(answer("kubernetes", "pods"), gap("timeout", "x")))
    assert chance_right(alone, CONFIDENCE_PRIOR) > chance_right(tied, CONFIDENCE_PRIOR)
    assert chance_right(alone, CONFIDENCE_PRIOR) > chance_right(blind, CONFIDENCE_PRIOR)
    assert alone["lead"] == 0.9
    assert tied["lead"] == pytest.approx(0.02)


def test_a_usual_cause_has_no_signs_and_no_chance() -> None:
    usual = Hypothesis(id="H1", cause="A leak", subject=an_alert().subject, score=0.8, supporting=(), contradicting=())
    assert signs_of_verdict([usual], EvidenceSet()) == {}
    assert signs_of_verdict([], EvidenceSet()) == {}
    assert chance_right({}) == 0.0


def test_confidence_says_what_it_rests_on() -> None:
    evidence = evidence_set(answer("kubernetes", "pods", Fact(name="pod", text="x", values={})))
    _, reason = judge(evidence, [_hypothesis("oom_killed", 0.9), _hypothesis("oom_killed", 0.4, name="till")])
    assert "[E01] speaks for H1; of verdicts like this one about" in reason
    assert "100%" not in judge(evidence, [_hypothesis("oom_killed", 0.99)])[1]


def test_of_two_objects_that_are_as_suspect_neither_is_told_with_confidence() -> None:
    evidence = evidence_set(answer("kubernetes", "pods", Fact(name="pod", text="x", values={})))
    confidence, reason = judge(evidence, [_hypothesis("oom_killed", 0.9), _hypothesis("oom_killed", 0.9, name="till")])
    assert confidence is Confidence.LOW
    assert "nearly as likely" in reason


def test_the_packaged_weights_are_of_known_signs() -> None:
    evidence = evidence_set(answer("kubernetes", "pods"))
    assert set(confidence_weights()) <= set(signs_of_verdict([_hypothesis("oom_killed", 0.9)], evidence))
