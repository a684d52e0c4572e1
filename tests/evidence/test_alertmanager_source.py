"""What fires and what is kept quiet around a subject, over the fake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_sre.alert.subject import subject_of
from agent_sre.evidence.alertmanager.client import AlertmanagerClient, AlertmanagerSettings, Matcher
from agent_sre.evidence.alertmanager.source import MAX_NAMED, NEARNESS, AlertmanagerSource, covers, nearness
from agent_sre.evidence.evidence import Evidence, Fact
from agent_sre.kit.clock import FakeClock
from agent_sre.kit.errors import Rejected
from agent_sre.store.engine import Store, StoreSettings, open_store
from agent_sre.store.schema import alert as alerts
from agent_sre.store.schema import incident as incidents
from evidence.builders import NOW, STARTS_AT, an_alert, an_incident
from fakes.alertmanager import FakeAlertmanager, a_silence

CART = {"namespace": "shop", "pod": "cart-7f9c6d5b8c-k2x9p", "node": "worker-3"}
INCIDENT = an_incident(an_alert("HighMemory", labels=CART))
OWN = INCIDENT.lead.labels


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'am.db'}"))
    yield store
    store.close()


@pytest.fixture
async def alertmanager() -> AsyncIterator[FakeAlertmanager]:
    async with FakeAlertmanager() as fake:
        yield fake


@pytest.fixture
async def source(alertmanager: FakeAlertmanager, store: Store) -> AsyncIterator[AlertmanagerSource]:
    source = AlertmanagerSource(AlertmanagerClient(AlertmanagerSettings(url=alertmanager.url, max_body_bytes=50_000)), store, FakeClock(NOW))
    yield source
    await source.aclose()


def hold_open(store: Store, fingerprint: str, labels: Mapping[str, str]) -> None:
    """An alert that our store has."""
    common = {"severity": "warning", "group_key": "", "triggered_at": STARTS_AT, "last_alert_at": STARTS_AT}
    row = {"title": "x", "status": "triggered", "subject": {"kind": "Pod", "name": "x"}, "subject_key": "k", **common}
    incident_id = store.write_now(lambda connection: connection.execute(incidents.insert().values(**row)).inserted_primary_key[0])  # type: ignore[index]
    values = {
        "incident_id": incident_id, "inbox_id": 1, "fingerprint": fingerprint, "name": labels["alertname"], "status": "firing",
        "severity": "warning", "labels": dict(labels), "annotations": {}, "generator_url": "", "starts_at": STARTS_AT,
        "last_seen_at": STARTS_AT, "sightings": 1, "reason": "",
    }  # fmt: skip
    store.write_now(lambda connection: connection.execute(alerts.insert(), [values]))


async def ask(source: AlertmanagerSource, kind: str) -> Evidence:
    query = next(query for query in source.plan(INCIDENT, NOW) if query.kind == kind)
    return await source.fetch(query, INCIDENT)


def named(evidence: Evidence, name: str) -> list[Fact]:
    return [item for item in evidence.data if isinstance(item, Fact) and item.name == name]


# Distance


@pytest.mark.parametrize(
    ("labels", "near"),
    [
        ({"namespace": "shop", "pod": "cart-7f9c6d5b8c-zzzzz", "cluster": "prod-eu1"}, "same object"),
        ({"namespace": "shop", "deployment": "cart", "cluster": "prod-eu1"}, "same object"),
        ({"namespace": "other", "pod": "db-0", "node": "worker-3"}, "same node"),
        ({"alertname": "KubeNodeNotReady", "node": "worker-3", "cluster": "prod-eu1"}, "same node"),
        ({"namespace": "other", "pod": "db-0", "node": "worker-3", "cluster": "prod-us"}, "elsewhere"),
        ({"namespace": "shop", "pod": "web-0"}, "same namespace"),
        ({"namespace": "shop", "pod": "web-0", "cluster": "prod-us"}, "elsewhere"),
        ({"namespace": "other", "pod": "db-0", "cluster": "prod-eu1"}, "same cluster"),
        ({"alertname": "X"}, "elsewhere"),
    ],
)
def test_distance_is_that_of_the_objects_and_not_of_the_exporters(labels: dict[str, str], near: str) -> None:
    assert nearness(INCIDENT.subject, {"alertname": "X", **labels}) == near


@given(labels=st.dictionaries(st.sampled_from(["alertname", "namespace", "pod", "node", "cluster", "instance", "job"]), st.text(max_size=9)))
def test_any_labels_have_a_distance_and_an_object_is_nearest_to_itself(labels: dict[str, str]) -> None:
    assert nearness(INCIDENT.subject, labels) in NEARNESS
    if any(value.strip() for value in labels.values()):
        subject = subject_of(labels)
        if subject.kind != "Alert" and (subject.name or subject.namespace):
            assert nearness(subject, labels) == "same object"


# Firing


async def test_nothing_else_fires(source: AlertmanagerSource, alertmanager: FakeAlertmanager, store: Store) -> None:
    hold_open(store, alertmanager.hold(OWN), OWN)
    evidence = await ask(source, "firing")
    assert evidence.summary == "no other alert fires at Alertmanager"
    assert [fact.text for fact in named(evidence, "own")] == ["HighMemory is active at Alertmanager"]
    assert evidence.url == f"{alertmanager.url}/#/alerts?filter=%7Bnamespace%3D%22shop%22%7D"


async def test_both_sides_are_compared_and_the_nearest_is_named_first(
    source: AlertmanagerSource, alertmanager: FakeAlertmanager, store: Store
) -> None:
    both = {"alertname": "Known", "namespace": "shop", "pod": "web-0"}
    hold_open(store, alertmanager.hold(both), both)
    for number in range(3):
        alertmanager.hold({"alertname": "Far", "number": str(number)})
    alertmanager.hold({"alertname": "Near", "severity": "critical", "namespace": "db", "pod": "db-0", "node": "worker-3"})
    alertmanager.hold({"alertname": "Hidden", "namespace": "shop"}, silenced_by=["s1"])
    alertmanager.hold({"alertname": "Watchdog", "severity": "none"})
    hold_open(store, "gone", {"alertname": "Gone", "namespace": "shop", "pod": "old-0"})
    evidence = await ask(source, "firing")
    assert evidence.summary == (
        "5 other alerts fire at Alertmanager (1 same node, 1 same namespace, 3 elsewhere): Near, Known, Far ×3; "
        "4 of them are not known here: Near, Far ×3; 1 that we hold open is not there: Gone"
    )
    assert [fact.values["near"] for fact in named(evidence, "not_known_here")] == ["same node", "elsewhere", "elsewhere", "elsewhere"]
    assert named(evidence, "not_known_here")[0].text == (
        "Near about Pod db/db-0, same node, began 45 min ago: it fires at Alertmanager and is not known here"
    )
    (gone,) = named(evidence, "not_known_there")
    assert gone.text.endswith("we hold it open (INC-2), Alertmanager does not have it")
    assert [(fact.values["name"], fact.values["count"], fact.values["near"]) for fact in named(evidence, "group")] == [
        ("Near", 1, "same node"), ("Known", 1, "same namespace"), ("Far", 3, "elsewhere"),
    ]  # fmt: skip
    assert named(evidence, "own")[0].text == "HighMemory is not at Alertmanager any more, and we hold it open"


async def test_an_answer_that_is_too_large_is_asked_for_again_for_the_namespace_alone(
    source: AlertmanagerSource, alertmanager: FakeAlertmanager, store: Store
) -> None:
    for number in range(300):
        alertmanager.hold({"alertname": "Storm", "namespace": "x", "number": str(number)})
    alertmanager.answer_by_filter['namespace="shop"'] = []
    hold_open(store, "far", {"alertname": "Far"})
    evidence = await ask(source, "firing")
    assert evidence.summary == "only namespace shop was looked at, there are too many alerts; no other alert fires at Alertmanager"
    assert evidence.truncated
    assert not named(evidence, "not_known_there")  # with a part of the picture nothing can be missed
    del alertmanager.answer_by_filter['namespace="shop"']
    with pytest.raises(Rejected, match="larger than"):
        await ask(source, "firing")


async def test_a_storm_is_counted_and_the_nearest_are_named(source: AlertmanagerSource, alertmanager: FakeAlertmanager) -> None:
    for number in range(100):
        alertmanager.hold({"alertname": f"A{number:02d}"})
    evidence = await ask(source, "firing")
    assert len(named(evidence, "not_known_here")) == len(named(evidence, "group")) == MAX_NAMED
    assert evidence.truncated
    assert evidence.summary.startswith("100 other alerts fire at Alertmanager (100 elsewhere): A00, A01, A02, A03, A04 and 95 other names")


# Silences


def m(name: str, operator: str, value: str) -> Matcher:
    return Matcher(name=name, value=value, is_regex="~" in operator, is_equal="!" not in operator)


@pytest.mark.parametrize(
    ("matchers", "verdict"),
    [
        ([m("namespace", "=", "shop")], True),
        ([m("namespace", "=", "shop"), m("alertname", "!=", "HighMemory")], False),
        ([m("missing", "=", "")], True),
        ([m("missing", "!=", "")], False),
        ([m("alertname", "=~", "Other|HighMemory")], True),
        ([m("alertname", "!~", "Other|HighMemory")], False),
        ([m("alertname", "=~", ".+")], True),
        ([m("missing", "=~", ".+")], False),
        ([m("missing", "=~", ".*")], True),
        ([m("alertname", "=~", "High.*")], None),
        ([m("alertname", "=~", "High.*"), m("namespace", "=", "other")], False),
        ([m("alertname", "=~", "(a+)+$")], None),
        ([], False),
    ],
)
def test_texts_are_compared_here_and_patterns_are_left_to_alertmanager(matchers: list[Matcher], verdict: bool | None) -> None:
    assert covers(matchers, OWN) is verdict


async def test_nothing_is_silenced(source: AlertmanagerSource, alertmanager: FakeAlertmanager) -> None:
    alertmanager.hold({"alertname": "Far", "namespace": "far"}, silenced_by=["s1"])
    alertmanager.silences = [
        a_silence("s1", ("namespace", "=", "far")),
        a_silence("old", ("namespace", "=", "shop"), state="expired", ends_at="2026-11-22T06:00:00Z"),
        a_silence("later", ("namespace", "=", "shop"), state="pending"),
    ]
    evidence = await ask(source, "silences")
    assert evidence.data == ()
    assert evidence.summary == "nothing around Pod shop/cart-7f9c6d5b8c-k2x9p is silenced or inhibited, nor was in the last 6 h"


async def test_a_silence_that_has_just_ended_is_named_with_its_author(source: AlertmanagerSource, alertmanager: FakeAlertmanager) -> None:
    ended = a_silence("s9", ("namespace", "=", "shop"), state="expired", ends_at="2026-11-23T06:40:00Z", comment="upgrade, password=hunter2")
    alertmanager.silences = [ended]
    evidence = await ask(source, "silences")
    (fact,) = named(evidence, "silence")
    assert fact.text == 'silence of ada, ended 5 min ago for this incident\'s alerts ({namespace="shop"}): upgrade, password=<secret>'
    assert (fact.values["covers_incident"], fact.values["state"], fact.values["ends_at"]) == (True, "expired", "2026-11-23T06:40:00.000000Z")
    assert evidence.summary == "1 silence (1 ended in the last 6 h): silence of ada, ended 5 min ago"


async def test_alerts_near_the_subject_that_are_kept_quiet_are_named(source: AlertmanagerSource, alertmanager: FakeAlertmanager) -> None:
    alertmanager.hold({"alertname": "Slow", "namespace": "shop", "pod": "web-0"}, silenced_by=["s1"])
    alertmanager.hold({"alertname": "Minor", "namespace": "shop", "pod": "web-1"}, inhibited_by=["f" * 16])
    alertmanager.silences = [a_silence("s1", ("alertname", "=", "Slow"))]
    evidence = await ask(source, "silences")
    assert evidence.summary == ("1 silence (1 in force): silence of ada, ends in 2 h 15 min; 2 alerts kept quiet (1 by inhibition): Minor, Slow")
    assert [fact.text for fact in named(evidence, "suppressed")] == [
        "Minor about Pod shop/web-1, same namespace: inhibited", "Slow about Pod shop/web-0, same namespace: silenced",
    ]  # fmt: skip
    assert named(evidence, "silence")[0].values["alerts"] == 1


async def test_alertmanager_itself_decides_about_a_pattern(source: AlertmanagerSource, alertmanager: FakeAlertmanager) -> None:
    alertmanager.hold(OWN)
    alertmanager.silences = [a_silence("s1", ("pod", "=~", "cart-.*")), a_silence("s2", ("pod", "=~", "web-.*"))]
    alertmanager.answer_by_filter['pod=~"web-.*"'] = []
    evidence = await ask(source, "silences")
    assert [fact.values["id"] for fact in named(evidence, "silence")] == ["s1"]
    asked = [request.fields["filter"] for request in alertmanager.requests if "filter" in request.fields]
    assert sorted(asked) == [['pod=~"cart-.*"'], ['pod=~"web-.*"']]
