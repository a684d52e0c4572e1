"""Our open alerts against Alertmanager's list: the comparison with literals, the loop with a fake at the wire, the whole with the real program."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_sre.alert.alert import fingerprint_of
from agent_sre.alert.payload import decode, parse
from agent_sre.app import App, build
from agent_sre.evidence.alertmanager.client import HeldAlert
from agent_sre.incident import store as incident_store
from agent_sre.incident.incident import Incident, IncidentStatus
from agent_sre.incident.timeline import timeline_of
from agent_sre.investigation.reconcile import (
    MOST_AT_ONCE,
    Comparison,
    Memory,
    OpenAlert,
    ReconcileSettings,
    compare,
    firing_body,
    resolved_body,
)
from agent_sre.kit.clock import FakeClock
from fakes.alertmanager import FakeAlertmanager
from service import config_of

NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=3)
LATER = NOW + timedelta(minutes=5)
SETTINGS = ReconcileSettings()
URL = "http://alertmanager:9093"


def ours(name: str, *, origin: str = URL, cluster: str = "a", last_seen_at: datetime = LONG_AGO) -> OpenAlert:
    return OpenAlert(fingerprint=name, labels={"alertname": name, "cluster": cluster}, starts_at=LONG_AGO, last_seen_at=last_seen_at, origin=origin)


def held(
    name: str, *, severity: str = "warning", starts_at: datetime | None = LONG_AGO, quiet: bool = False, receiver: str = "ai-agent-webhook"
) -> HeldAlert:
    return HeldAlert(
        fingerprint=name, labels={"alertname": name, "severity": severity}, annotations={"summary": "s"}, starts_at=starts_at,
        state="suppressed" if quiet else "active", silenced_by=("s1",) if quiet else (), inhibited_by=(), receivers=(receiver,),
        generator_url="http://p/graph",
    )  # fmt: skip


def look(mine: Sequence[OpenAlert], theirs: Sequence[HeldAlert], memory: Memory | None = None, *, now: datetime = NOW, **settings: Any) -> Comparison:
    return compare(mine, theirs, memory=memory or Memory(), now=now, settings=replace(SETTINGS, **settings))


def closed(found: Comparison) -> list[str]:
    return [item.fingerprint for item, _ in found.resolve]


# Closing


def test_an_alert_that_is_missing_for_two_looks_and_long_enough_is_closed() -> None:
    first = look([ours("x"), ours("y")], [held("y")])
    assert (closed(first), dict(first.memory.missing)) == ([], {"x": NOW})
    early = look([ours("x"), ours("y")], [held("y")], first.memory, now=NOW + timedelta(minutes=4))
    assert closed(early) == []
    second = look([ours("x"), ours("y")], [held("y")], early.memory, now=LATER)
    assert second.resolve == ((ours("x"), NOW),)


def test_an_alert_that_comes_back_in_between_is_not_closed() -> None:
    first = look([ours("x"), ours("y")], [held("y")])
    again = look([ours("x"), ours("y")], [held("x"), held("y")], first.memory, now=LATER)
    assert dict(again.memory.missing) == {}
    posted = look([ours("x", last_seen_at=NOW + timedelta(minutes=1)), ours("y")], [held("y")], first.memory, now=LATER)
    assert (closed(posted), dict(posted.memory.missing)) == ([], {"x": LATER})


def test_a_silenced_alert_still_fires() -> None:
    first = look([ours("x"), ours("y")], [held("x", quiet=True), held("y")])
    assert not first.memory.missing


def test_a_list_that_knows_none_of_ours_closes_nothing() -> None:
    memory = Memory(missing={"x": LONG_AGO})
    found = look([ours("x")], [held("other")], memory)
    assert (closed(found), found.foreign, dict(found.memory.missing)) == ([], True, {})
    assert closed(look([ours("x")], [], memory)) == []


def test_what_it_had_before_may_be_closed_even_if_it_was_the_only_one() -> None:
    first = look([ours("x", origin="")], [held("x")])
    second = look([ours("x", origin="")], [], first.memory)
    third = look([ours("x", origin="")], [], second.memory, now=LATER)
    assert (closed(second), closed(third), third.foreign) == ([], ["x"], False)


@pytest.mark.parametrize(
    "stranger",
    [ours("x", origin=""), ours("x", origin="http://another:9093"), ours("x", cluster="b")],
    ids=["posted by hand", "another Alertmanager", "another cluster"],
)
def test_what_never_came_from_this_alertmanager_is_nobodys_business(stranger: OpenAlert) -> None:
    found = look([stranger, ours("y")], [held("y")], Memory(missing={"x": LONG_AGO}))
    assert closed(found) == []
    assert not found.memory.missing


def test_the_other_one_of_a_pair_counts_where_the_list_has_an_alert_of_its_posting() -> None:
    twins = [ours("x", origin="http://am-1"), ours("y", origin="http://am-1"), ours("z", origin="http://am-0")]
    assert set(look(twins, [held("y"), held("z")]).memory.missing) == {"x"}


def test_a_heartbeat_says_that_it_is_ours() -> None:
    memory = Memory()
    found = compare([ours("x")], [held("dog", severity="none")], heartbeats={"dog"}, memory=memory, now=NOW, settings=SETTINGS)
    assert not found.foreign


def test_one_look_closes_a_limited_number() -> None:
    many = [ours(f"x{number}") for number in range(MOST_AT_ONCE + 7)]
    first = look([*many, ours("y")], [held("y")])
    assert len(look([*many, ours("y")], [held("y")], first.memory, now=LATER).resolve) == MOST_AT_ONCE


# Taking in


def test_what_never_came_is_taken_in_at_the_second_look() -> None:
    first = look([], [held("x")])
    assert first.take_in == ()
    assert [item.fingerprint for item in look([], [held("x")], first.memory, now=LATER).take_in] == ["x"]
    assert look([ours("x")], [held("x")], first.memory, now=LATER).take_in == ()


@pytest.mark.parametrize(
    "item",
    [
        held("x", severity="info"), held("x", severity=""), held("x", quiet=True), held("x", starts_at=NOW), held("x", starts_at=None),
        held("Watchdog", severity="warning"), held(""),
    ],
    ids=["info", "no severity", "silenced", "young", "no start", "heartbeat", "no fingerprint"],
)  # fmt: skip
def test_what_is_not_ours_to_know_is_left_there(item: HeldAlert) -> None:
    assert look([], [item], Memory(unheard=frozenset({item.fingerprint}))).take_in == ()


def test_a_receiver_narrows_it_to_what_is_routed_here() -> None:
    memory = Memory(unheard=frozenset({"x", "y"}))
    found = look([], [held("x", receiver="agent"), held("y", receiver="team-b")], memory, receiver="agent")
    assert [item.fingerprint for item in found.take_in] == ["x"]


def test_by_default_what_is_routed_to_our_receiver_is_taken_in_under_whatever_object_it_was_made() -> None:
    memory = Memory(unheard=frozenset({"x", "y", "z"}))
    items = [held("x"), held("y", receiver="monitoring/agent-sre/ai-agent-webhook"), held("z", receiver="not-ai-agent-webhook")]
    assert [item.fingerprint for item in look([], items, memory).take_in] == ["x", "y"]
    assert len(look([], items, memory, receiver="").take_in) == 3


# Any two lists

NAMES = st.sampled_from("abcdef")
OURS = st.lists(
    st.builds(
        ours, NAMES, origin=st.sampled_from(["", URL, "http://b"]), cluster=st.sampled_from("ab"), last_seen_at=st.sampled_from([LONG_AGO, NOW])
    ),
    unique_by=lambda item: item.fingerprint,
)
HELD = st.lists(
    st.builds(
        held, NAMES, severity=st.sampled_from(["critical", "warning", "info"]), quiet=st.booleans(), starts_at=st.sampled_from([LONG_AGO, NOW, None])
    ),
    unique_by=lambda item: item.fingerprint,
)


@given(looks=st.lists(st.tuples(OURS, HELD, st.integers(0, 20)), min_size=1, max_size=6), heartbeats=st.sets(NAMES))
def test_whatever_the_lists_say_nothing_is_closed_on_a_doubt(looks: list[tuple[list[OpenAlert], list[HeldAlert], int]], heartbeats: set[str]) -> None:
    memory, now = Memory(), NOW
    history: list[tuple[datetime, set[str], set[str]]] = []  # when, ours, theirs
    for mine, theirs, minutes in looks:
        now += timedelta(minutes=minutes)
        found = compare(mine, theirs, heartbeats=heartbeats, memory=memory, now=now, settings=SETTINGS)
        there, here = {item.fingerprint for item in theirs}, {item.fingerprint for item in mine}
        history.append((now, here, there))
        for item, since in found.resolve:
            assert item in mine
            assert item.fingerprint not in there
            assert len(history) > 1
            assert item.fingerprint not in history[-2][2]
            assert now - since >= SETTINGS.resolve_after
            assert item.last_seen_at <= since
            had_before = any(item.fingerprint in ours_then & theirs_then for _, ours_then, theirs_then in history)
            alike = any(other.home == item.home and item.origin for other in mine if other.fingerprint in there)
            assert had_before or alike
        for taken in found.take_in:
            assert taken in theirs
            assert taken.fingerprint not in here
            assert taken.state == "active"
            assert len(history) > 1
            assert taken.fingerprint in history[-2][2]
        memory = found.memory


@given(labels=st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=4), annotations=st.dictionaries(st.text(), st.text(), max_size=3))
def test_a_body_of_our_own_reads_as_what_was_meant(labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
    item = replace(held("abc"), labels=labels, annotations=annotations)
    (opened,) = parse(decode(firing_body([item], URL)), NOW).alerts
    (ended,) = parse(decode(resolved_body([(replace(ours("abc"), labels=labels), NOW)], URL)), NOW).alerts
    for alert in (opened, ended):
        assert (alert.fingerprint, alert.starts_at) == ("abc", LONG_AGO)
        assert alert.labels == {name.replace("\0", "\ufffd"): value.replace("\0", "\ufffd") for name, value in labels.items()}
    assert (opened.status.value, opened.ends_at, opened.generator_url) == ("firing", None, "http://p/graph")
    assert (ended.status.value, ended.ends_at) == ("resolved", NOW)


# The loop


class World:
    """A service that is built and not running, a fake Alertmanager, and a clock."""

    def __init__(self, application: App, alertmanager: FakeAlertmanager, clock: FakeClock) -> None:
        self.app = application
        self.alertmanager = alertmanager
        self.clock = clock

    async def post(self, *labels: Mapping[str, str], status: str = "firing", sender: str = "Alertmanager/0.25.0", url: str = URL) -> None:
        """What Alertmanager would post."""
        alerts = [
            {"status": status, "labels": dict(item), "fingerprint": fingerprint_of(item), "startsAt": "2026-11-23T06:00:00Z"} for item in labels
        ]
        await self.app.inbox.accept(json.dumps({"alerts": alerts, "externalURL": url}).encode(), sender=sender, alerts=len(alerts))
        await self.ingest()

    async def ingest(self) -> None:
        while await self.app.ingester.ingest_waiting():
            pass

    async def look(self, minutes: float = 5) -> str:
        self.clock.advance(timedelta(minutes=minutes))
        assert self.app.reconciler is not None
        outcome = await self.app.reconciler.look()
        await self.ingest()
        return outcome

    async def incidents(self) -> list[Incident]:
        return await self.app.store.read(lambda connection: incident_store.load_incidents(connection, range(1, 50)))

    async def told(self, incident_id: int) -> list[str]:
        return [entry.text for entry in await self.app.store.read(lambda connection: timeline_of(connection, incident_id))]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@asynccontextmanager
async def a_world(tmp_path: Path, clock: FakeClock, **variables: str) -> AsyncIterator[World]:
    async with FakeAlertmanager() as alertmanager:
        application = build(config_of(tmp_path, ALERTMANAGER_URL=alertmanager.url, **variables), clock=clock)
        try:
            yield World(application, alertmanager, clock)
        finally:
            await application.close()


CART = {"alertname": "HighMemory", "severity": "warning", "namespace": "shop", "pod": "cart-0"}
WEB = {"alertname": "Slow", "severity": "warning", "namespace": "web", "pod": "web-0"}


async def test_a_resolve_that_never_came_closes_the_incident_and_the_timeline_says_why(tmp_path: Path, clock: FakeClock) -> None:
    async with a_world(tmp_path, clock) as world:
        await world.post(CART)
        await world.post(WEB)
        world.alertmanager.hold(WEB)
        assert [await world.look() for _ in range(3)] == ["waits", "acted", "agreed"]
        first, second = await world.incidents()
        assert (first.status, second.status) == (IncidentStatus.RESOLVED, IncidentStatus.TRIGGERED)
        assert (await world.told(1))[1] == "HighMemory resolved after 1 h 5 min: Alertmanager no longer has it"
        assert first.alerts[0].ends_at == NOW + timedelta(minutes=5)


async def test_an_alert_that_never_came_becomes_an_incident_through_the_inbox(tmp_path: Path, clock: FakeClock) -> None:
    async with a_world(tmp_path, clock) as world:
        world.alertmanager.hold(CART, annotations={"summary": "cart is full"})
        world.alertmanager.hold(WEB, silenced_by=["s1"])
        assert [await world.look() for _ in range(3)] == ["waits", "acted", "agreed"]
        (incident,) = await world.incidents()
        assert incident.lead.annotations == {"summary": "cart is full"}
        assert incident.lead.fingerprint == fingerprint_of(CART)
        assert (await world.told(1))[0] == "HighMemory: opened the incident; Alertmanager lists it and its notification never came"
        world.alertmanager.alerts.clear()
        world.alertmanager.hold(WEB)  # nothing of ours there any more, but it had ours before
        assert [await world.look() for _ in range(2)] == ["waits", "acted"]
        assert (await world.incidents())[0].status is IncidentStatus.RESOLVED


@pytest.mark.parametrize("fault", ["500", "hang", "garbage", "truncated", "redirect"])
@pytest.mark.parametrize("path", ["/api/v2/alerts", "/api/v2/status"])
async def test_an_alertmanager_that_does_not_answer_closes_nothing_and_two_looks_begin_anew(
    fault: str, path: str, tmp_path: Path, clock: FakeClock
) -> None:
    async with a_world(tmp_path, clock, AGENT_SRE_ALERTMANAGER_TIMEOUT="600ms" if fault == "hang" else "5s") as world:
        await world.post(CART)
        await world.post(WEB)
        world.alertmanager.hold(WEB)
        assert await world.look() == "waits"
        world.alertmanager.faults[path] = fault
        assert [await world.look() for _ in range(2)] == ["failed", "failed"]
        world.alertmanager.faults.clear()
        assert [await world.look() for _ in range(2)] == ["waits", "acted"]


async def test_an_alertmanager_that_has_just_started_is_not_believed(tmp_path: Path, clock: FakeClock) -> None:
    async with a_world(tmp_path, clock) as world:
        await world.post(CART)
        await world.post(WEB)
        world.alertmanager.hold(WEB)
        assert await world.look() == "waits"
        world.alertmanager.started_at = "2026-11-23T07:08:00Z"
        assert await world.look() == "restarted"
        world.alertmanager.started_at = "who knows"
        assert await world.look() == "restarted"
        assert {incident.status for incident in await world.incidents()} == {IncidentStatus.TRIGGERED}


async def test_what_people_post_and_what_another_alertmanager_posts_stays_open(tmp_path: Path, clock: FakeClock) -> None:
    async with a_world(tmp_path, clock) as world:
        await world.post(CART, sender="curl/8")
        await world.post({**CART, "pod": "db-0", "namespace": "db"}, url="http://another:9093")
        await world.post(WEB)
        world.alertmanager.hold(WEB)
        assert [await world.look() for _ in range(4)] == ["agreed"] * 4
        assert {incident.status for incident in await world.incidents()} == {IncidentStatus.TRIGGERED}


async def test_a_list_of_strangers_is_said_and_closes_nothing(tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    async with a_world(tmp_path, clock) as world:
        await world.post(CART)
        assert [await world.look() for _ in range(3)] == ["foreign"] * 3
        assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
            f"Alertmanager at {world.alertmanager.url} knows none of our 1 open alerts: none is closed by its list"
        ]


async def test_an_alert_that_fires_again_while_its_closing_is_on_the_way_stays_open(tmp_path: Path, clock: FakeClock) -> None:
    async with a_world(tmp_path, clock) as world:
        await world.post(CART)
        world.clock.advance(timedelta(minutes=10))
        await world.post(CART)  # seen again, after the look whose closing arrives now
        missed = OpenAlert(fingerprint=fingerprint_of(CART), labels=CART, starts_at=LONG_AGO, last_seen_at=LONG_AGO)
        await world.app.inbox.accept(resolved_body([(missed, NOW + timedelta(minutes=5))], URL), sender="agent-sre/reconcile", alerts=1)
        await world.ingest()
        assert (await world.incidents())[0].status is IncidentStatus.TRIGGERED


async def test_the_ledger_of_alerts_counts_what_was_taken_in(tmp_path: Path, clock: FakeClock) -> None:
    async with a_world(tmp_path, clock) as world:
        received: list[int] = []
        assert world.app.reconciler is not None
        world.app.reconciler._received = received.append
        world.alertmanager.hold(CART)
        await world.look()
        await world.look()
        assert received == [1]


def test_without_an_address_nobody_looks(tmp_path: Path) -> None:
    assert build(config_of(tmp_path)).reconciler is None


async def test_an_interval_of_nothing_switches_it_off(tmp_path: Path, clock: FakeClock) -> None:
    async with a_world(tmp_path, clock, AGENT_SRE_RECONCILE_INTERVAL="0") as world:
        assert world.app.reconciler is not None
        await world.app.reconciler.run()
        assert world.alertmanager.requests == []
