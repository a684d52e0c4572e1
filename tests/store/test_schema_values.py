"""What goes into a column comes out again, and sorts as it should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from agent_sre.store import schema
from agent_sre.store.engine import Store, StoreSettings, open_store

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.builds(lambda apart, zone: (NOON + apart).astimezone(zone), st.timedeltas(timedelta(days=-20_000), timedelta(days=20_000)), ZONES)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(open_store(StoreSettings(database_url=f"sqlite:///{tmp_path_factory.mktemp('store')}/agent-sre.db"))) as store:
        yield store


def beat(connection: Connection, *instants: datetime) -> list[datetime]:
    """The instants in the order that SQLite gives them."""
    connection.execute(sa.delete(schema.heartbeat))
    rows = [{"fingerprint": str(n), "name": "Watchdog", "status": "firing", "last_seen_at": instant} for n, instant in enumerate(instants)]
    connection.execute(sa.insert(schema.heartbeat), rows)
    return list(connection.execute(sa.select(schema.heartbeat.c.last_seen_at).order_by(schema.heartbeat.c.last_seen_at)).scalars())


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(INSTANTS, min_size=1, max_size=8))
def test_instants_of_any_zone_come_back_in_utc_and_sort_as_instants(store: Store, instants: list[datetime]) -> None:
    assert store.write_now(lambda connection: beat(connection, *instants)) == sorted(instant.astimezone(UTC) for instant in instants)


def test_an_instant_is_a_text_that_people_can_read(store: Store) -> None:
    def work(connection: Connection) -> str:
        beat(connection, NOON.astimezone(timezone(timedelta(hours=2))))
        return str(connection.execute(sa.text("SELECT last_seen_at FROM heartbeat")).scalar_one())

    assert store.write_now(work) == "2026-11-23T12:00:00.000000Z"


def test_a_datetime_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(sa.exc.StatementError, match="has no time zone"):
        store.write_now(lambda connection: beat(connection, NOON.replace(tzinfo=None)))


def test_labels_of_any_script_come_back(store: Store) -> None:
    subject = {"namespace": "überwachung", "pod": "監視-0", "emoji": "🔍", "quote": '"};--'}

    def work(connection: Connection) -> tuple[object, str]:
        row = {
            "title": "t", "severity": "critical", "status": "triggered", "subject": subject, "subject_key": "k", "group_key": "g",
            "triggered_at": NOON, "last_alert_at": NOON,
        }  # fmt: skip
        connection.execute(sa.insert(schema.incident).values(row))
        kept = connection.execute(sa.text("SELECT subject FROM incident")).scalar_one()
        return connection.execute(sa.select(schema.incident.c.subject)).scalar_one(), str(kept)

    read, kept = store.write_now(work)
    assert read == subject
    assert "監視-0" in kept, "readable in any SQLite shell, not escaped"


def test_a_counter_adds_up_and_starts_at_what_is_added_first(store: Store) -> None:
    def work(connection: Connection) -> dict[str, int]:
        connection.execute(sa.delete(schema.total))
        for by in (3, 0, 4):
            schema.bump(connection, "alerts", by)
        schema.bump(connection, "posts", 1)
        return schema.totals(connection)

    assert store.write_now(work) == {"alerts": 7, "posts": 1}


@given(st.binary(max_size=2000))
@settings(max_examples=50)
def test_bodies_come_out_as_they_went_in(store: Store, body: bytes) -> None:
    def keep(connection: Connection) -> bytes:
        row = schema.quarantine.insert().values(received_at=NOON, sender="", reason="", body=body)
        number = connection.execute(row.returning(schema.quarantine.c.id)).scalar_one()
        return bytes(connection.execute(sa.select(schema.quarantine.c.body).where(schema.quarantine.c.id == number)).scalar_one())

    assert store.write_now(keep) == body


def test_a_body_that_repeats_itself_takes_a_fraction_of_the_disk(store: Store) -> None:
    body = b'{"alerts":[' + b",".join(b'{"labels":{"alertname":"KubePodCrashLooping","pod":"api-%d"}}' % number for number in range(500)) + b"]}"

    def keep(connection: Connection) -> int:
        connection.execute(schema.quarantine.insert().values(received_at=NOON, sender="", reason="", body=body))
        return int(connection.exec_driver_sql("SELECT length(body) FROM quarantine ORDER BY id DESC LIMIT 1").scalar_one())

    assert store.write_now(keep) < len(body) / 8
