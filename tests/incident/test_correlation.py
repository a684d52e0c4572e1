from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent_sre.incident.correlation import Candidate, CorrelationSettings, Newcomer, correlate

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = CorrelationSettings()
NEWCOMER = Newcomer(name="B", subject_kind="Pod", subject_key="shop/workload/cart", group_key="{}:{x}", starts_at=NOON)
OTHER = Candidate(id=1, name="A", subject_key="other", group_key="other", triggered_at=NOON, last_alert_at=NOON)


def test_nothing_in_common_opens_its_own_incident() -> None:
    assert correlate(NEWCOMER, [OTHER], SETTINGS) is None


def test_the_same_subject_joins_and_says_so() -> None:
    match = correlate(NEWCOMER, [replace(OTHER, subject_key=NEWCOMER.subject_key)], SETTINGS)
    assert match is not None
    assert (match.incident_id, match.reason) == (1, "same subject as the incident")


@pytest.mark.parametrize("kind", ["Cluster", "Namespace", "Alert"])
def test_a_broad_subject_joins_nothing(kind: str) -> None:
    assert correlate(replace(NEWCOMER, subject_kind=kind), [replace(OTHER, subject_key=NEWCOMER.subject_key)], SETTINGS) is None


@pytest.mark.parametrize(("minutes", "joins"), [(-9, True), (9, True), (11, False), (-11, False)])
def test_the_same_group_joins_within_the_window_on_either_side(minutes: int, joins: bool) -> None:
    candidate = replace(OTHER, group_key=NEWCOMER.group_key)
    newcomer = replace(NEWCOMER, starts_at=NOON + timedelta(minutes=minutes))
    assert (correlate(newcomer, [candidate], SETTINGS) is not None) is joins


def test_the_window_moves_with_the_incidents_newest_alert() -> None:
    candidate = replace(OTHER, group_key=NEWCOMER.group_key, last_alert_at=NOON + timedelta(hours=3))
    assert correlate(replace(NEWCOMER, starts_at=NOON + timedelta(hours=3, minutes=5)), [candidate], SETTINGS) is not None


def test_an_empty_group_key_groups_nothing() -> None:
    assert correlate(replace(NEWCOMER, group_key=""), [replace(OTHER, group_key="")], SETTINGS) is None


def test_the_same_alert_on_the_same_subject_joins_however_old_the_incident_is() -> None:
    candidate = replace(OTHER, name="B", subject_key=NEWCOMER.subject_key)
    assert correlate(replace(NEWCOMER, starts_at=NOON + timedelta(days=2)), [candidate], SETTINGS) is not None
    assert correlate(replace(NEWCOMER, starts_at=NOON + timedelta(days=2), name="C"), [candidate], SETTINGS) is None


def test_the_newest_of_several_fitting_incidents_is_chosen() -> None:
    candidates = [replace(OTHER, id=number, subject_key=NEWCOMER.subject_key) for number in (3, 7, 5)]
    match = correlate(NEWCOMER, candidates, SETTINGS)
    assert match is not None
    assert match.incident_id == 7
