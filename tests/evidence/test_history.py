from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Evidence, Fact
from agent_sre.evidence.history import MAX_RELATED, HistorySource, _related
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock
from agent_sre.kit.errors import StoreUnavailable
from agent_sre.kit.values import to_plain
from agent_sre.store.engine import Store, StoreSettings, open_store
from agent_sre.store.schema import alert as alerts
from agent_sre.store.schema import incident as incidents
from evidence.builders import NOW, an_alert, an_incident
from growth import FAR_BELOW_QUADRATIC, growth

CART = Subject(kind="Pod", name="cart-0", namespace="shop", cluster="prod-eu1", node="worker-3")
FINGERPRINT = an_alert().fingerprint


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'history.db'}"))
    yield store
    store.close()


def remember(
    store: Store,
    *,
    name: str = "HighMemory",
    subject: Subject = CART,
    fingerprint: str = "",
    starts_at: datetime = NOW,
    ends_at: datetime | None = None,
    severity: str = "warning",
    count: int = 1,
) -> int:
    """One incident with `count` alerts; its id."""
    common = {"title": name, "severity": severity, "group_key": "", "triggered_at": starts_at, "last_alert_at": starts_at}
    key = f"{subject.cluster}/{subject.namespace}/{subject.kind}/{subject.name}"
    row = {"status": "resolved" if ends_at else "triggered", "subject": to_plain(Subject, subject), "subject_key": key, **common}
    incident_id = int(store.write_now(lambda connection: connection.execute(incidents.insert().values(**row)).inserted_primary_key[0]))  # type: ignore[index]  # the table has one
    labels: Mapping[str, str] = {"alertname": name}
    rows = [
        {
            "incident_id": incident_id, "inbox_id": 1, "fingerprint": f"{fingerprint or f'{incident_id}-{number}'}", "name": name,
            "status": "resolved" if ends_at else "firing", "severity": severity, "labels": labels, "annotations": {}, "generator_url": "",
            "starts_at": starts_at, "ends_at": ends_at, "last_seen_at": ends_at or starts_at, "sightings": 1, "reason": "",
        }
        for number in range(count)
    ]  # fmt: skip
    store.write_now(lambda connection: connection.execute(alerts.insert(), rows))
    return incident_id


def the_incident(store: Store, *, subject: Subject = CART) -> Incident:
    """An open incident in the store, and as the source gets it."""
    number = remember(store, fingerprint=FINGERPRINT, starts_at=NOW, subject=subject)
    rows = store.read_now(lambda connection: connection.execute(alerts.select().where(alerts.c.incident_id == number)).all())
    member = replace(an_alert(starts_at=NOW), id=rows[0].id)
    return replace(an_incident(member, number=number), alerts=(member,), subject=subject)


async def ask(store: Store, incident: Incident, kind: str) -> Evidence:
    source = HistorySource(store, FakeClock(NOW))
    query = next(query for query in source.plan(incident, NOW) if query.kind == kind)
    return await source.fetch(replace(query, id="E01"), incident)


def facts(evidence: Evidence, name: str) -> list[Fact]:
    return [item for item in evidence.data if isinstance(item, Fact) and item.name == name]


def fired(store: Store, ago: timedelta, lasted: timedelta, **more: str) -> None:
    remember(store, starts_at=NOW - ago, ends_at=NOW - ago + lasted, **more)  # type: ignore[arg-type]  # texts only


# recurrence


async def test_earlier_firings_are_counted_with_how_long_they_lasted(store: Store) -> None:
    fired(store, timedelta(days=20), timedelta(minutes=1), fingerprint=FINGERPRINT)
    fired(store, timedelta(days=6), timedelta(minutes=5), fingerprint=FINGERPRINT)
    fired(store, timedelta(days=2), timedelta(minutes=30), fingerprint=FINGERPRINT)
    fired(store, timedelta(hours=3), timedelta(minutes=10), fingerprint="another container of the same pod")
    evidence = await ask(store, the_incident(store), "recurrence")
    assert evidence.summary == "fired 3 times before in the last 7 d, last 3 h ago; lasted 10 min (median), 30 min at most"
    (fact,) = facts(evidence, "recurrence")
    assert (fact.values["count"], fact.values["median_seconds"], fact.values["longest_seconds"]) == (3, 600, 1800)
    assert fact.values["last_started_at"] == "2026-11-23T03:45:00.000000Z"


async def test_other_names_other_subjects_and_the_firing_itself_do_not_count(store: Store) -> None:
    fired(store, timedelta(days=30), timedelta(minutes=1), name="Old")
    fired(store, timedelta(hours=3), timedelta(minutes=1), name="Other")
    remember(store, starts_at=NOW - timedelta(hours=2), subject=replace(CART, name="web-0"))
    evidence = await ask(store, the_incident(store), "recurrence")
    assert (evidence.data, evidence.summary) == ((), "no earlier firing in the last 7 d")


async def test_two_alerts_of_one_firing_are_no_recurrence(store: Store) -> None:
    incident = the_incident(store)
    twin = {"incident_id": incident.id, "inbox_id": 1, "fingerprint": "twin", "name": "HighMemory", "status": "firing", "labels": {}}
    more = {"severity": "warning", "annotations": {}, "generator_url": "", "last_seen_at": NOW, "sightings": 1, "reason": ""}
    store.write_now(lambda connection: connection.execute(alerts.insert().values(starts_at=NOW - timedelta(seconds=9), **twin, **more)))
    assert (await ask(store, incident, "recurrence")).data == ()


async def test_a_young_store_says_how_far_it_goes_back(store: Store) -> None:
    fired(store, timedelta(hours=3), timedelta(minutes=10), fingerprint=FINGERPRINT)
    incident = the_incident(store)
    evidence = await ask(store, incident, "recurrence")
    assert evidence.summary == "fired 1 time before in the last 7 d, last 3 h ago for 10 min; the first alert here came 2 h 50 min ago"


async def test_a_firing_that_never_ended_is_counted_without_a_length(store: Store) -> None:
    remember(store, starts_at=NOW - timedelta(hours=1), fingerprint="lost its resolve")
    (fact,) = facts(await ask(store, the_incident(store), "recurrence"), "recurrence")
    assert (fact.values["count"], fact.values["median_seconds"], fact.values["last_ended_at"]) == (1, None, None)


# related


async def test_what_else_is_open_comes_nearest_first(store: Store) -> None:
    remember(store, name="Elsewhere", subject=Subject(kind="Pod", name="x", namespace="shop", cluster="prod-us1"))
    remember(store, name="SameCluster", subject=Subject(kind="Pod", name="x", namespace="blog", cluster="prod-eu1"))
    remember(store, name="SameNamespace", subject=Subject(kind="Deployment", name="web", namespace="shop", cluster="prod-eu1"))
    remember(store, name="SameNode", subject=Subject(kind="Pod", name="y", namespace="blog", cluster="prod-eu1", node="worker-3"))
    remember(store, name="TheNode", subject=Subject(kind="Node", name="worker-3", cluster="prod-eu1"))
    remember(store, name="Resolved", ends_at=NOW)
    evidence = await ask(store, the_incident(store), "related")
    related = facts(evidence, "related")
    assert [fact.values["near"] for fact in related] == ["same node", "same node", "same namespace", "same cluster", "elsewhere"]
    assert {fact.values["name"] for fact in related[:2]} == {"SameNode", "TheNode"}
    assert facts(evidence, "nearness")[0].values == {"same node": 2, "same namespace": 1, "same cluster": 1, "elsewhere": 1}
    assert evidence.summary.startswith("5 other open alerts (2 same node, 1 same namespace, 1 same cluster, 1 elsewhere): ")


async def test_an_incident_about_a_node_finds_the_pods_on_it(store: Store) -> None:
    remember(store, name="OnIt", subject=Subject(kind="Pod", name="y", namespace="blog", cluster="prod-eu1", node="worker-3"))
    evidence = await ask(store, the_incident(store, subject=Subject(kind="Node", name="worker-3", cluster="prod-eu1")), "related")
    assert facts(evidence, "related")[0].values["near"] == "same node"


async def test_empty_parts_of_a_subject_are_nothing_in_common(store: Store) -> None:
    remember(store, subject=Subject(kind="Service", name="x"))
    evidence = await ask(store, the_incident(store, subject=Subject(kind="Service", name="y")), "related")
    assert facts(evidence, "related")[0].values["near"] == "elsewhere"


async def test_nothing_else_open_is_an_answer(store: Store) -> None:
    evidence = await ask(store, the_incident(store), "related")
    assert (evidence.data, evidence.summary) == ((), "no other alert is open")


async def test_a_storm_is_counted_by_name_and_cut(store: Store) -> None:
    elsewhere = Subject(kind="Pod", name="x", namespace="blog", cluster="prod-eu1")
    remember(store, name="KubePodCrashLooping", subject=elsewhere, count=5_000)
    remember(store, name="Evil\n\x1b[31mname", subject=CART, starts_at=NOW - timedelta(days=1))
    incident = the_incident(store)
    evidence = await ask(store, incident, "related")
    assert (len(facts(evidence, "related")), evidence.truncated) == (MAX_RELATED, True)
    assert evidence.summary == "5001 other open alerts (1 same node, 5000 same cluster): KubePodCrashLooping ×5000, Evil [31mname"
    assert facts(evidence, "counts")[0].values["KubePodCrashLooping"] == 5_000


def test_looking_through_a_storm_costs_no_more_than_in_proportion(tmp_path: Path) -> None:
    stores = {count: open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / f'{count}.db'}")) for count in (1_000, 8_000)}
    incidents_by_count = {}
    for count, store in stores.items():
        remember(store, name="KubePodCrashLooping", subject=replace(CART, name="x", node=""), count=count)
        incidents_by_count[count] = the_incident(store)

    def look(count: int) -> None:
        stores[count].read_now(lambda connection: _related(connection, incidents_by_count[count]))

    assert growth(look, 1_000, 8_000) < FAR_BELOW_QUADRATIC
    for store in stores.values():
        store.close()


# usual


def storm(store: Store) -> Incident:
    """An open incident of three alerts about three pods; their fingerprints are f0, f1, f2."""
    members = [replace(an_alert(labels={"pod": f"cart-{number}"}), fingerprint=f"f{number}") for number in range(3)]
    return an_incident(*members, number=remember(store, fingerprint="f0", starts_at=NOW))


async def test_what_fires_in_every_storm_is_counted_by_incident(store: Store) -> None:
    for day, fingerprint in ((1, "f0"), (2, "f0"), (3, "f1"), (4, "else"), (40, "f2")):
        fired(store, timedelta(days=day), timedelta(minutes=1), fingerprint=fingerprint)
    evidence = await ask(store, storm(store), "usual")
    assert evidence.summary == "2 of 3 alerts took part in 3 earlier incidents in the last 30 d"
    assert {fact.values["fingerprint"]: fact.values["incidents"] for fact in facts(evidence, "usual_alert")} == {"f0": 2, "f1": 1}
    (whole,) = facts(evidence, "usual")
    assert whole.values["incidents"] == 3


async def test_a_storm_of_alerts_that_never_fired_before_says_so(store: Store) -> None:
    evidence = await ask(store, storm(store), "usual")
    assert (evidence.data, evidence.summary) == ((), "none of these alerts took part in another incident in the last 30 d")


def test_only_a_storm_is_asked_for_what_is_usual(store: Store) -> None:
    assert [query.kind for query in HistorySource(store, FakeClock(NOW)).plan(an_incident(), NOW)] == ["recurrence", "related"]


async def test_a_store_that_cannot_be_read_is_said(store: Store, tmp_path: Path) -> None:
    incident = the_incident(store)
    (tmp_path / "history.db").unlink()
    for kind in ("recurrence", "related"):
        with pytest.raises(StoreUnavailable):
            await ask(store, incident, kind)
    with pytest.raises(StoreUnavailable):
        await ask(store, an_incident(*(an_alert(labels={"pod": f"cart-{number}"}) for number in range(3))), "usual")
