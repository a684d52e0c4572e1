"""From evidence to a diagnosis: never surer than what was measured."""

from __future__ import annotations

import pytest

from agent_sre.alert.alert import Severity
from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import EvidenceSet
from agent_sre.evidence.playbook import load_playbooks, playbook_for
from agent_sre.finding.diagnose import WORDS_ONLY, diagnose, judge
from agent_sre.finding.finding import Confidence, Diagnosis, Hypothesis
from agent_sre.incident.incident import Incident
from evidence.builders import an_alert, an_incident
from finding.answers import answer, evidence_set, gap, other, recurrence, related, target, targets, value
from growth import FAR_BELOW_QUADRATIC, growth

CLIMB = [float(point) for point in range(20, 100)]
WOBBLE = [90.0, 84.0, 91.0, 85.0] * 20


def incident(name: str = "KubePodOOMKilled", **labels: str) -> Incident:
    return an_incident(an_alert(name, labels=labels or {"namespace": "shop", "pod": "cart-0", "node": "worker-3"}))


def diagnosis_of(known: Incident, evidence: EvidenceSet) -> Diagnosis:
    return diagnose(known, evidence, playbook_for(known.lead.name, load_playbooks()))


def test_with_nothing_measured_the_usual_causes_are_named_and_confidence_is_low_with_the_reason() -> None:
    evidence = evidence_set(gap("not_configured", "Prometheus was not asked: PROMETHEUS_URL is not set."))
    result = diagnosis_of(incident(), evidence)
    assert result.confidence is Confidence.LOW
    assert result.confidence_reason == ("nothing was measured: Prometheus was not asked: PROMETHEUS_URL is not set; these are the usual causes")
    assert len(result.hypotheses) >= 3
    assert not any(item.supporting for item in result.hypotheses)


def test_what_the_store_remembers_is_not_a_measurement() -> None:
    result = diagnosis_of(incident(), evidence_set(recurrence(4), answer("alert", "alert", number=1)))
    assert result.confidence is Confidence.LOW
    assert "nothing was measured" in result.confidence_reason


def test_a_measured_shape_that_fits_a_cause_makes_it_likely_but_never_certain() -> None:
    result = diagnosis_of(incident(), evidence_set(value(CLIMB)))
    assert "leak" in result.hypotheses[0].cause
    assert result.hypotheses[0].supporting == ("E01",)
    assert result.confidence is Confidence.MEDIUM
    assert "[E01]" in result.confidence_reason
    assert "not proved" in result.confidence_reason


def test_a_measurement_that_tells_no_causes_apart_keeps_confidence_low() -> None:
    result = diagnosis_of(incident(), evidence_set(value(WOBBLE)))
    assert result.confidence is Confidence.LOW
    assert result.confidence_reason == "what was measured [E01] does not tell the causes apart"


def test_an_empty_answer_is_not_a_measurement() -> None:
    result = diagnosis_of(incident(), evidence_set(answer("prometheus", "value", number=2)))
    assert result.confidence is Confidence.LOW
    assert "prometheus found nothing [E02]" in result.confidence_reason


def test_the_scrape_error_decides_between_the_causes_of_a_target_down() -> None:
    down = incident("TargetDown", job="api", namespace="shop")
    refused = diagnosis_of(down, evidence_set(targets(target("connect: connection refused"))))
    expired = diagnosis_of(down, evidence_set(targets(target("x509: certificate has expired"))))
    assert refused.hypotheses[0].supporting == ("E04",)
    assert "certificate" in expired.hypotheses[0].cause.lower()
    assert refused.hypotheses[0].cause != expired.hypotheses[0].cause


def test_a_sick_node_is_proposed_first_but_only_reported_never_measured() -> None:
    sick = related(other("KubeNodeNotReady", "Node", "worker-3", near="same node"))
    result = diagnosis_of(incident(), evidence_set(sick))
    assert "KubeNodeNotReady" in result.hypotheses[0].cause
    assert result.confidence is Confidence.LOW


def test_two_causes_nearly_as_likely_keep_confidence_low() -> None:
    both = evidence_set(value(CLIMB), related(other("NodeMemoryPressure", "Node", "worker-3", near="same node")))
    result = diagnosis_of(incident(), both)
    assert result.confidence is Confidence.LOW
    assert "nearly as likely" in result.confidence_reason or "only what was reported" in result.confidence_reason


def test_a_cause_for_which_only_log_lines_speak_is_never_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_sre.finding.diagnose._judge", lambda evidence, hypotheses: (Confidence.HIGH, "[E01] speaks for H1"))
    subject = Subject(kind="Pod", name="cart-0", namespace="shop")
    first = Hypothesis(id="H1", cause="x", subject=subject, score=0.9, supporting=("E01", "E03"), contradicting=())
    reported = recurrence(3, number=3)
    for words in (answer("loki", "errors", number=1), answer("kubernetes", "logs", number=1)):
        confidence, reason = judge(evidence_set(words, reported, value([1.0] * 9, number=2)), [first])
        assert confidence is Confidence.MEDIUM
        assert reason == f"[E01] speaks for H1; {WORDS_ONLY}"
    assert judge(evidence_set(value([1.0] * 9, number=1), reported), [first])[0] is Confidence.HIGH


def test_every_playbook_gives_hypotheses_for_a_bare_alert_name() -> None:
    for playbook in load_playbooks():
        name = playbook.alerts[0] if playbook.alerts else "SomethingNobodyKnows"
        bare = an_incident(an_alert(name))
        assert diagnose(bare, EvidenceSet(), playbook).hypotheses, playbook.name


def test_the_diagnosis_of_a_storm_costs_no_more_than_in_proportion() -> None:
    def storm(alerts: int) -> Incident:
        return an_incident(*(an_alert(labels={"namespace": "shop", "pod": f"cart-{number}"}) for number in range(alerts)))

    evidence = evidence_set(value(CLIMB), recurrence(3), related(), targets(target("EOF")))
    playbook = playbook_for(storm(1).lead.name, load_playbooks())
    assert growth(lambda incident: diagnose(incident, evidence, playbook), storm(500), storm(4000)) < FAR_BELOW_QUADRATIC
    assert storm(1000).severity is Severity.WARNING
