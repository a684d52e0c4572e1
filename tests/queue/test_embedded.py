"""What is the lease table's own: its rows, its counters, its indexes. What every queue keeps is in tests/conformance/test_queue.py."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, event

from agent_sre.kit.clock import FakeClock
from agent_sre.kit.errors import StoreUnavailable
from agent_sre.kit.metrics import REGISTRY
from agent_sre.queue.embedded import EmbeddedQueue
from agent_sre.queue.job import Job, QueueSettings
from agent_sre.store.engine import Store, StoreSettings, open_store
from agent_sre.store.schema import job as table

SETTINGS = QueueSettings()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path}/queue.db"))
    yield store
    store.close()


@pytest.fixture
def queue(store: Store, clock: FakeClock) -> EmbeddedQueue:
    return EmbeddedQueue(store, clock, SETTINGS)


async def claimed(queue: EmbeddedQueue, kind: str = "investigate", key: str = "7") -> Job:
    await queue.enqueue(kind, key, priority=1)
    job = await queue.claim(kind, "worker")
    assert job is not None
    return job


def rows(store: Store) -> list[sa.RowMapping]:
    return store.read_now(lambda connection: list(connection.execute(sa.select(table).order_by(table.c.id)).mappings()))


def outcomes(kind: str) -> dict[str, float]:
    names = ("finished", "failed", "retried", "cancelled", "lease_lost")
    values = {name: REGISTRY.get_sample_value("agent_sre_queue_jobs_total", {"kind": kind, "outcome": name}) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def plans(store: Store, statements: list[tuple[str, Any]]) -> str:
    """How SQLite would go about these statements."""

    def work(connection: Connection) -> str:
        explained = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values) for sql, values in statements]
        return "\n".join(str(row.detail) for rows in explained for row in rows)

    return store.read_now(work)


@pytest.fixture
def statements(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """Every statement on the job table that the test makes SQLAlchemy run."""
    seen: list[tuple[str, Any]] = []

    def remember(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        if "job" in statement:
            seen.append((statement, parameters))

    engines = (store._writer_engine, store._reader_engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", remember)
    yield seen
    for engine in engines:
        event.remove(engine, "before_cursor_execute", remember)


async def test_the_row_tells_what_happened_to_the_job(queue: EmbeddedQueue, store: Store, clock: FakeClock) -> None:
    job = await claimed(queue)
    (row,) = rows(store)
    assert (row["status"], row["owner"], row["attempts"], row["lease_until"]) == ("leased", "worker", 1, clock.now() + SETTINGS.lease)
    await queue.retry(job, run_at=clock.now(), error="Ollama did not answer")
    (row,) = rows(store)
    assert (row["status"], row["owner"], row["lease_until"], row["error"]) == ("queued", None, None, "Ollama did not answer")
    again = await queue.claim("investigate", "worker")
    assert again is not None
    clock.advance(timedelta(seconds=1))
    await queue.fail(again, error="Ollama is gone")
    (row,) = rows(store)
    assert (row["status"], row["lease_until"], row["error"], row["finished_at"]) == ("failed", None, "Ollama is gone", clock.now())


async def test_a_stored_error_has_no_secret_no_escape_code_and_an_end(queue: EmbeddedQueue, store: Store) -> None:
    await queue.fail(await claimed(queue), error="GET http://user:hunter2@prom failed \x1b[31m" + "x" * 5000)
    error = rows(store)[0]["error"]
    assert "hunter2" not in error
    assert "\x1b" not in error
    assert len(error) < 2100
    assert error.startswith("GET http://user:<secret>@prom failed")


async def test_a_wait_for_the_disk_does_not_shorten_the_lease(queue: EmbeddedQueue, store: Store, clock: FakeClock) -> None:
    await queue.enqueue("investigate", "7", priority=1)
    writing, go_on = threading.Event(), threading.Event()

    def slow(_connection: Connection) -> None:
        writing.set()
        go_on.wait(10)

    slow_write = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(writing.wait, 10)
    claim = asyncio.create_task(queue.claim("investigate", "worker"))
    await asyncio.sleep(0)  # the claim stands in line behind the slow transaction
    clock.advance(timedelta(seconds=20))
    go_on.set()
    await slow_write
    assert await claim is not None
    assert rows(store)[0]["lease_until"] == clock.now() + SETTINGS.lease


async def test_a_store_that_cannot_write_is_told_to_the_caller_and_no_bell_rings(queue: EmbeddedQueue, store: Store) -> None:
    heard = queue.changed.listen()
    store.close()
    with pytest.raises(StoreUnavailable):
        await queue.enqueue("investigate", "7", priority=1)
    with pytest.raises(StoreUnavailable):
        await queue.claim("investigate", "worker")
    assert not heard.is_set()


async def test_at_a_start_what_the_dead_held_is_claimable_at_once_and_their_death_is_counted(queue: EmbeddedQueue) -> None:
    dead = await claimed(queue, key="held")
    await queue.enqueue("investigate", "waiting", priority=0)
    heard = queue.changed.listen()
    assert await queue.recover() == 1
    assert heard.is_set()
    jobs = [job for _ in range(3) if (job := await queue.claim("investigate", "heir"))]
    assert [(job.key, job.attempts) for job in jobs] == [("waiting", 1), ("held", 2)]
    assert not await queue.finish(dead)
    assert await queue.finish(jobs[1])


async def test_a_start_with_nothing_to_recover_rings_no_bell(queue: EmbeddedQueue) -> None:
    await queue.enqueue("investigate", "waiting", priority=0)
    heard = queue.changed.listen()
    assert await queue.recover() == 0
    assert not heard.is_set()


async def test_looking_for_work_in_vain_does_not_stand_in_line_behind_a_write(queue: EmbeddedQueue, store: Store) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def slow(_connection: Connection) -> None:
        writing.set()
        assert go_on.wait(10)

    slow_write = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(writing.wait, 10)
    assert await queue.claim("investigate", "worker") is None
    go_on.set()
    await slow_write


async def test_every_end_is_counted_by_kind(queue: EmbeddedQueue, clock: FakeClock) -> None:
    await queue.finish(await claimed(queue, "count-ends"))
    await queue.finish(await claimed(queue, "count-ends"))
    await queue.fail(await claimed(queue, "count-ends"), error="no")
    await queue.retry(await claimed(queue, "count-ends"), run_at=clock.now(), error="again")
    await queue.cancel("count-ends", "7")
    assert outcomes("count-ends") == {"finished": 2, "failed": 1, "retried": 1, "cancelled": 1}


async def test_a_lost_lease_is_counted_once_and_a_refused_holder_is_not(queue: EmbeddedQueue, clock: FakeClock) -> None:
    old = await claimed(queue, "count-leases")
    clock.advance(SETTINGS.lease)
    assert outcomes("count-leases") == {}
    new = await queue.claim("count-leases", "heir")
    assert new is not None
    await queue.heartbeat(old)
    await queue.finish(old)
    await queue.fail(old, error="late")
    await queue.cancel("count-leases", "no such key")
    assert outcomes("count-leases") == {"lease_lost": 1}
    await queue.finish(new)
    assert outcomes("count-leases") == {"lease_lost": 1, "finished": 1}


async def test_a_claim_reads_along_the_index_and_sorts_nothing(queue: EmbeddedQueue, store: Store, statements: list[tuple[str, Any]]) -> None:
    await claimed(queue)
    selects = [statement for statement in statements if statement[0].startswith("SELECT")]
    plan = plans(store, selects)
    assert plan.count("SEARCH job USING INDEX job_next (kind=? AND status=?)") == len(selects) == 4  # a look first, then the claim itself
    assert "TEMP B-TREE" not in plan


async def test_depth_and_cancel_look_at_live_jobs_only_and_prune_at_ended_ones(
    queue: EmbeddedQueue, store: Store, statements: list[tuple[str, Any]]
) -> None:
    await queue.depth()
    await queue.cancel("investigate", "7")
    await queue.prune()
    depth, cancel, prune = statements
    assert "INDEX job_live" in plans(store, [depth])
    assert "INDEX job_live (kind=? AND key=?)" in plans(store, [cancel])
    assert "INDEX job_ended" in plans(store, [prune])


async def test_a_claim_among_ten_thousand_ended_and_waiting_jobs_is_still_one_look(queue: EmbeddedQueue, store: Store, clock: FakeClock) -> None:
    common = {"kind": "investigate", "run_at": clock.now(), "created_at": clock.now(), "attempts": 0}
    ended = [{**common, "key": str(n), "priority": 0, "status": "finished", "finished_at": clock.now()} for n in range(5000)]
    queued = [{**common, "key": str(n), "priority": n % 4, "status": "queued", "finished_at": None} for n in range(5000, 10_000)]
    store.write_now(lambda connection: connection.execute(sa.insert(table), ended + queued))
    keys = [job.key for _ in range(3) if (job := await queue.claim("investigate", "worker"))]
    assert keys == ["5000", "5004", "5008"]
    (depth,) = await queue.depth()
    assert (depth.queued, depth.leased) == (4997, 3)
    clock.advance(2 * SETTINGS.keep_finished)
    assert await queue.prune() == 5000
