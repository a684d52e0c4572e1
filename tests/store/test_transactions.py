"""What `write` and `read` keep while the disk is well."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from agent_sre.kit.errors import StoreUnavailable
from agent_sre.store import schema
from agent_sre.store.engine import Store, StoreSettings, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path}/agent-sre.db"))
    yield store
    store.close()


def put(name: str) -> sa.Insert:
    return sa.insert(schema.total).values(name=name, value=1)


def names(connection: Connection) -> list[str]:
    return sorted(schema.totals(connection))


async def test_a_write_returns_what_the_work_returned_and_a_read_sees_it(store: Store) -> None:
    assert await store.write(lambda connection: connection.execute(put("a")).rowcount) == 1
    assert await store.read(names) == ["a"]


async def test_work_that_fails_leaves_nothing_and_its_own_error_comes_through(store: Store) -> None:
    def work(connection: Connection) -> None:
        connection.execute(put("a"))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.write(work)
    assert await store.read(names) == []
    await store.write(lambda connection: connection.execute(put("a")))
    assert await store.read(names) == ["a"]


async def test_a_broken_constraint_is_the_callers_and_leaves_nothing(store: Store) -> None:
    def twice(connection: Connection) -> None:
        connection.execute(put("a"))
        connection.execute(put("a"))

    with pytest.raises(sa.exc.IntegrityError):
        await store.write(twice)
    assert await store.read(names) == []


async def test_a_row_that_refers_to_nothing_is_refused(store: Store) -> None:
    row = {"incident_id": 7, "at": sa.text("'2026-01-01T00:00:00.000000Z'"), "kind": "k", "text": "t"}
    with pytest.raises(sa.exc.IntegrityError, match="FOREIGN KEY"):
        await store.write(lambda connection: connection.execute(sa.insert(schema.timeline).values(row)))


async def test_a_statement_that_is_wrong_is_a_bug_and_not_a_disk_that_may_recover(store: Store) -> None:
    with pytest.raises(sa.exc.OperationalError, match="no such table"):
        await store.write(lambda connection: connection.exec_driver_sql("INSERT INTO missing VALUES (1)"))
    with pytest.raises(sa.exc.OperationalError, match="syntax error"):
        await store.read(lambda connection: connection.exec_driver_sql("SELEKT"))
    await store.check_writable()


async def test_an_error_shows_the_statement_but_not_the_alert_in_it(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError) as caught:
        await store.write(lambda connection: connection.execute(sa.insert(schema.total).values(name="customer-secret", value=None)))
    assert "INSERT INTO total" in str(caught.value)
    assert "customer-secret" not in str(caught.value)


async def test_the_writing_connection_syncs_each_commit_and_keeps_a_write_ahead_log(store: Store) -> None:
    def pragmas(connection: Connection) -> list[object]:
        wanted = ("synchronous", "journal_mode", "foreign_keys", "query_only")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted]

    assert await store.write(pragmas) == [2, "wal", 1, 0]
    assert (await store.read(pragmas))[3] == 1


async def test_a_read_cannot_write(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="readonly"):
        await store.read(lambda connection: connection.execute(put("a")))
    assert await store.read(names) == []


async def test_a_read_sees_one_moment_while_writes_go_on(store: Store) -> None:
    await store.write(lambda connection: connection.execute(put("before")))
    reading, written = threading.Event(), threading.Event()

    def read_twice(connection: Connection) -> tuple[list[str], list[str]]:
        first = names(connection)
        reading.set()
        assert written.wait(10)
        return first, names(connection)

    read = asyncio.create_task(store.read(read_twice))
    await asyncio.to_thread(reading.wait, 10)
    await store.write(lambda connection: connection.execute(put("meanwhile")))
    assert await store.read(names) == ["before", "meanwhile"]
    written.set()
    assert await read == (["before"], ["before"])


async def test_nobody_sees_half_a_transaction(store: Store) -> None:
    half, go_on = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        connection.execute(put("a"))
        half.set()
        assert go_on.wait(10)
        connection.execute(put("b"))

    write = asyncio.create_task(store.write(work))
    await asyncio.to_thread(half.wait, 10)
    assert await store.read(names) == []
    go_on.set()
    await write
    assert await store.read(names) == ["a", "b"]


async def test_transactions_run_one_after_the_other_in_the_order_they_were_asked_for(store: Store) -> None:
    running: list[int] = []
    order: list[int] = []

    def work(number: int) -> Callable[[Connection], None]:
        def run(_connection: Connection) -> None:
            running.append(number)
            order.append(number)
            assert running == [number]
            running.remove(number)

        return run

    await asyncio.gather(*(store.write(work(number)) for number in range(64)))
    assert order == list(range(64))


async def test_64_counters_at_once_lose_no_count(store: Store) -> None:
    await asyncio.gather(*(store.write(lambda connection: schema.bump(connection, "posts", 2)) for _ in range(64)))
    assert await store.read(schema.totals) == {"posts": 128}


async def test_a_call_without_an_event_loop_waits_for_the_one_writer(store: Store) -> None:
    busy, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        connection.execute(put("first"))
        busy.set()
        assert go_on.wait(10)

    def second(connection: Connection) -> list[str]:
        found = names(connection)
        connection.execute(put("second"))
        return found

    write = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(busy.wait, 10)
    now = asyncio.create_task(asyncio.to_thread(store.write_now, second))
    go_on.set()
    await write
    assert await now == ["first"]
    assert store.read_now(names) == ["first", "second"]


async def test_a_cancelled_caller_stops_waiting_and_the_transaction_ends_whole(store: Store) -> None:
    half, go_on = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        connection.execute(put("a"))
        half.set()
        assert go_on.wait(10)
        connection.execute(put("b"))

    write = asyncio.create_task(store.write(work))
    await asyncio.to_thread(half.wait, 10)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    go_on.set()
    await store.check_writable()
    assert await store.read(names) == ["a", "b", "store_checks"]


async def test_closing_waits_for_what_was_asked_and_refuses_what_comes_later(store: Store) -> None:
    bump = partial(schema.bump, name="posts", by=1)
    asked = [asyncio.create_task(store.write(bump)) for _ in range(8)]
    await asyncio.sleep(0)  # all eight stand in line
    store.close()
    await asyncio.gather(*asked)
    for late in (store.write(names), store.read(names)):
        with pytest.raises(StoreUnavailable, match="is closed"):
            await late
    for late_now in (store.write_now, store.read_now):
        with pytest.raises(StoreUnavailable, match="is closed"):
            late_now(names)
    store.close()
    again = open_store(StoreSettings(database_url=f"sqlite:///{store.path}"))
    assert again.read_now(schema.totals) == {"posts": 8}
    again.close()


async def test_check_writable_writes(store: Store) -> None:
    await store.check_writable()
    await store.check_writable()
    assert await store.read(schema.totals) == {"store_checks": 2}
