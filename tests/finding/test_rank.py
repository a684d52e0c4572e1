"""What is measured lifts or lowers what is only usual."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.alert.subject import Subject
from agent_sre.evidence.playbook import PlaybookCause, load_playbooks
from agent_sre.finding.cause import causes as known_causes
from agent_sre.finding.detectors import target_down
from agent_sre.finding.facts import Value
from agent_sre.finding.finding import Finding
from agent_sre.finding.rank import CLUES, MOST_HYPOTHESES, rank, seen_causes

POD = Subject(kind="Pod", name="cart-0", namespace="shop")
NODE = Subject(kind="Node", name="worker-3")


def causes(*texts: str) -> tuple[PlaybookCause, ...]:
    return tuple(PlaybookCause(cause=text, check=f"check {text}") for text in texts)


def finding(*evidence_ids: str, subject: Subject = POD, **facts: Value) -> Finding:
    return Finding(detector="test", summary="", subject=subject, facts=facts, evidence_ids=evidence_ids)


def test_without_findings_the_playbook_s_order_stands_with_falling_priors() -> None:
    ranked = rank(causes("first", "second", "third"), (), POD)
    assert [(item.id, item.cause) for item in ranked] == [("H1", "first"), ("H2", "second"), ("H3", "third")]
    assert ranked[0].score > ranked[1].score > ranked[2].score > 0
    assert all(not item.supporting and not item.contradicting for item in ranked)
    assert ranked[0].check == "check first"


def test_a_clue_lifts_what_it_speaks_for_and_names_its_evidence() -> None:
    ranked = rank(causes("The limit is too low", "A memory leak", "A burst of requests"), [finding("E01", clue="steady_growth")], POD)
    assert [item.cause for item in ranked] == ["A memory leak", "The limit is too low", "A burst of requests"]
    assert ranked[0].supporting == ("E01",)
    assert ranked[2].contradicting == ("E01",)


def test_a_finding_without_evidence_moves_nothing() -> None:
    usual = causes("A burst of requests", "A memory leak")
    assert rank(usual, [finding(clue="steady_growth", cause="something", weight=0.9)], POD) == rank(usual, (), POD)


def test_a_clue_that_nobody_knows_moves_nothing() -> None:
    usual = causes("A burst of requests", "A memory leak")
    assert rank(usual, [finding("E01", clue="no such clue")], POD) == rank(usual, (), POD)


def test_a_cause_that_was_seen_takes_its_place_by_weight() -> None:
    ranked = rank(causes("usual"), [seen("node_memory_pressure", NODE, 0.6)], POD)
    assert [(item.name, item.subject) for item in ranked] == [("node_memory_pressure", NODE), ("", POD)]
    assert ranked[0].supporting == ("E01",)
    assert ranked[0].check


def test_a_cause_that_was_seen_takes_the_place_of_the_usual_one_that_it_is() -> None:
    usual = causes("The network is slow", "The process crashed or is not running")
    ranked = rank(usual, [seen("target_refuses", POD, 0.7)], POD)
    assert [item.name or item.cause for item in ranked] == ["target_refuses", "The network is slow"]
    assert ranked[0].score == 0.7


def test_a_leak_that_was_seen_is_not_told_twice_though_the_curve_speaks_for_it_too() -> None:
    workload = Subject(kind="StatefulSet", name="cart", namespace="shop")
    found = [seen("memory_growth", workload, 0.6), finding("E02", clue="steady_growth")]
    ranked = rank(causes("A memory leak", "The limit is too low"), found, POD)
    assert [item.name or item.cause for item in ranked] == ["memory_growth", "The limit is too low"]
    assert ranked[0].supporting == ("E01", "E02")


def test_what_was_seen_of_another_object_leaves_the_usual_causes_of_this_one() -> None:
    ranked = rank(causes("A memory leak"), [seen("memory_growth", NODE, 0.6)], POD)
    assert [item.name or item.cause for item in ranked] == ["memory_growth", "A memory leak"]


def test_what_is_only_usual_stands_behind_what_was_seen_but_not_behind_a_hint() -> None:
    ranked = rank(causes("usual", "less usual"), [seen("slow_component", POD, 0.4)], POD)
    assert [item.name or item.cause for item in ranked] == ["slow_component", "usual", "less usual"]
    ranked = rank(causes("usual", "less usual"), [seen("slow_component", POD, 0.2)], POD)
    assert [item.name or item.cause for item in ranked] == ["usual", "less usual", "slow_component"]


def test_a_crash_that_nothing_explains_is_the_cause_and_else_a_symptom() -> None:
    crash = seen("container_crashing", POD, 0.15)
    assert [item.name for item in rank((), [crash], POD)] == ["container_crashing"]
    assert rank((), [crash], POD)[0].score == 0.4
    explained = rank((), [crash, seen("missing_config_map", OTHER, 0.3)], POD)
    assert [(item.name, item.score) for item in explained] == [("missing_config_map", 0.3), ("container_crashing", 0.15)]


@pytest.mark.parametrize("name", [name for name, cause in known_causes().items() if cause.same_as])
def test_every_cause_that_playbooks_name_as_well_is_found_in_one(name: str) -> None:
    words = known_causes()[name].same_as
    assert words is not None
    assert [item.cause for playbook in load_playbooks() for item in playbook.causes if words.search(item.cause)]


def test_at_most_six_hypotheses_with_ids_in_order() -> None:
    ranked = rank(causes(*"abcdefghij"), (), POD)
    assert [item.id for item in ranked] == [f"H{number}" for number in range(1, MOST_HYPOTHESES + 1)]


@pytest.mark.parametrize("token", sorted(CLUES))
def test_every_clue_speaks_for_a_cause_of_some_playbook(token: str) -> None:
    texts = [item.cause for playbook in load_playbooks() for item in playbook.causes]
    assert [text for text in texts if CLUES[token].supports.search(text)]


def test_every_clue_of_a_scrape_error_is_known() -> None:
    assert {error.clue for error in target_down._ERRORS} <= set(CLUES)


@given(
    st.lists(st.text(max_size=40), max_size=8),
    st.lists(
        st.builds(
            lambda ids, facts: finding(*ids, **facts),
            st.lists(st.sampled_from(["E01", "E02"]), max_size=2),
            st.dictionaries(
                st.sampled_from(["clue", "weight"]),
                st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(sorted(CLUES))),
            ),
        ),
        max_size=8,
    ),
)
@settings(max_examples=150, deadline=None)
def test_scores_stay_in_bounds_and_order_whatever_findings_hold(texts: list[str], findings: list[Finding]) -> None:
    ranked = rank(causes(*texts), findings, POD)
    scores = [item.score for item in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)


APP = Subject(kind="Deployment", name="press", namespace="orchard")
OTHER = Subject(kind="Deployment", name="mill", namespace="orchard")


def seen(cause: str, subject: Subject, weight: float, *explained_by: Subject, number: int = 1) -> Finding:
    return Finding(
        detector="test", summary=f"{cause} of {subject.name}", subject=subject, facts={}, evidence_ids=(f"E{number:02d}",), cause=cause,
        weight=weight, explained_by=explained_by,
    )  # fmt: skip


def scores(*findings: Finding) -> dict[tuple[str, str], float]:
    return {(item.subject.name, item.name): item.score for item in seen_causes(findings)}


def test_findings_of_one_cause_about_one_object_add_up() -> None:
    assert scores(seen("oom_killed", APP, 0.5, number=1), seen("oom_killed", APP, 0.5, number=2)) == {("press", "oom_killed"): 0.75}


def test_what_stops_a_workload_from_starting_explains_what_it_shows_while_running() -> None:
    found = scores(seen("incorrect_image_reference", APP, 0.9), seen("oom_killed", APP, 0.9), seen("oom_killed", OTHER, 0.9))
    assert found["press", "incorrect_image_reference"] == found["mill", "oom_killed"] == 0.9
    assert found["press", "oom_killed"] < 0.3


def test_of_two_that_could_explain_each_other_only_the_weaker_is_explained() -> None:
    found = scores(seen("oom_killed", APP, 0.9, OTHER), seen("oom_killed", OTHER, 0.6, APP))
    assert found["press", "oom_killed"] == 0.9
    assert found["mill", "oom_killed"] == pytest.approx(0.06)


def test_the_same_name_in_another_namespace_explains_nothing() -> None:
    elsewhere = replace(OTHER, namespace="staging")
    found = scores(seen("oom_killed", APP, 0.6, OTHER), seen("oom_killed", elsewhere, 0.9))
    assert found["press", "oom_killed"] == 0.6
    nowhere = replace(OTHER, namespace="")
    assert scores(seen("oom_killed", APP, 0.6, OTHER), seen("oom_killed", nowhere, 0.9))["press", "oom_killed"] < 0.1


def test_a_consequence_is_no_cause_and_says_whose_it_is() -> None:
    node = seen("kubelet_unavailable", NODE, 0.95)
    item = next(item for item in seen_causes([node, seen("oom_killed", APP, 0.9, NODE)]) if item.name == "oom_killed")
    assert item.explained_by == "node/worker-3"
    assert "node/worker-3" in item.doubts[0]
    assert [known.name for known in rank((), [node, seen("oom_killed", APP, 0.9, NODE)], POD)] == ["kubelet_unavailable"]
