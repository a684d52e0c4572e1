"""What is measured lifts or lowers what is only usual."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.alert.subject import Subject
from agent_sre.evidence.playbook import PlaybookCause, load_playbooks
from agent_sre.finding.detectors import target_down
from agent_sre.finding.facts import Value
from agent_sre.finding.finding import Finding
from agent_sre.finding.rank import CLUES, MOST_HYPOTHESES, rank

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


def test_a_proposed_cause_takes_its_place_by_weight() -> None:
    ranked = rank(causes("usual"), [finding("E02", subject=NODE, cause="A symptom of the node", check="look", weight=0.6)], POD)
    assert [(item.cause, item.subject) for item in ranked] == [("A symptom of the node", NODE), ("usual", POD)]
    assert ranked[0].supporting == ("E02",)
    assert ranked[0].check == "look"


def test_a_proposed_cause_takes_the_place_of_the_usual_one_that_it_confirms() -> None:
    usual = causes("The network is slow", "The process crashed or is not running")
    proposal = finding("E04", clue="connection_refused", cause="Nothing listens", check="is it up?", weight=0.7)
    ranked = rank(usual, [proposal], POD)
    assert [item.cause for item in ranked] == ["Nothing listens", "The network is slow"]
    assert ranked[0].score == 0.7


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
                st.sampled_from(["clue", "cause", "check", "weight"]),
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
