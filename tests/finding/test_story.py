"""What a diagnosis tells beside its causes."""

from __future__ import annotations

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import EvidenceSet
from agent_sre.evidence.playbook import load_playbooks, playbook_for
from agent_sre.finding.diagnose import diagnose
from agent_sre.finding.finding import Confidence, Diagnosis, Hypothesis
from agent_sre.finding.story import separating_check
from agent_sre.finding.world import World
from finding.answers import answer
from finding.clusters import deployment, event, node, pod, unit, world


def told(known: World) -> Diagnosis:
    return diagnose(known.incident, known.evidence, playbook_for(known.incident.lead.name, load_playbooks()))


def test_the_chain_leads_from_the_source_over_its_victims_to_the_alert_with_evidence_at_each_step() -> None:
    result = told(world(node("left"), node("right"), unit("kubelet", "left", "failed"), pod("press-5d9c7b6f4-abcde", on="left")))
    source, victims, symptom = result.chain
    assert "kubelet of Node left" in source
    assert "[E02]" in source
    assert victims.startswith("Pods of press are not ready [E03]")
    assert "ShopIsDown" in symptom


def test_a_cause_that_hardly_anything_looks_like_is_told_with_high_confidence_and_without_a_next_check() -> None:
    result = told(world(node("left"), unit("kubelet", "left", "failed")))
    assert result.confidence is Confidence.HIGH
    assert not result.next_check


def test_of_two_causes_as_sure_neither_is_told_as_sure() -> None:
    name = "mill-7c5f46fc4-abcde"
    image = event("Failed", name, 'Failed to pull image "images.example/mill:2": images.example/mill:2: not found')
    result = told(world(node("left"), node("right"), unit("kubelet", "right", "failed"), pod(name, on="left", waiting="ErrImagePull"), image))
    assert {item.name for item in result.hypotheses[:2]} == {"kubelet_unavailable", "incorrect_image_reference"}
    assert result.confidence is Confidence.LOW
    assert "systemctl status kubelet" in result.next_check
    assert "manifest" in result.next_check


def test_what_was_looked_at_and_is_well_is_ruled_out_with_the_evidence() -> None:
    result = told(world(node("left"), deployment("press", ready=1), pod("press-5d9c7b6f4-abcde", on="left", ready=True)))
    ruled_out = {item.cause: item for item in result.ruled_out}
    assert ruled_out["A node is down or short of memory or disk"].contradicting == ("E01",)
    assert "every pod has its node (1 seen)" in ruled_out["A pod finds no node"].doubts


def test_what_was_not_looked_at_is_not_ruled_out() -> None:
    result = told(world(deployment("press", ready=1)))
    assert not result.ruled_out


def hypothesis(number: int, *supporting: str, check: str = "") -> Hypothesis:
    subject = Subject(kind="Node", name="left")
    return Hypothesis(id=f"H{number}", cause="x", subject=subject, score=0.5, supporting=supporting, contradicting=(), check=check)


def test_two_causes_are_told_apart_by_a_query_that_speaks_for_one_of_them_only() -> None:
    shared, query, words = (
        answer("prometheus", "cpu", number=1, expression="cpu", language="promql"),
        answer("prometheus", "memory", number=2, expression="rate(memory[5m])", language="promql"),
        answer("bundle", "units", number=3),
    )
    evidence = EvidenceSet(items=(shared, query, words))
    one, other = hypothesis(1, "E01", "E03", check="Memory climbs."), hypothesis(2, "E01", "E02")
    assert separating_check(one, other, evidence) == "Look again at [E02] `rate(memory[5m])`: it speaks for H2 only. Memory climbs."
    assert separating_check(one, hypothesis(2, "E01"), evidence) == "Look again at [E03]: it speaks for H1 only. Memory climbs."
    assert separating_check(hypothesis(1, "E01", check="Look."), hypothesis(2, "E01"), evidence) == "To tell H1 from H2: Look."
    assert separating_check(hypothesis(1), hypothesis(2), EvidenceSet()) == ""
