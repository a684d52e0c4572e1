"""What every JobQueue keeps: one suite, run over each adapter and over the model that other tests use in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent_sre.kit.clock import Clock, FakeClock
from agent_sre.queue.embedded import EmbeddedQueue
from agent_sre.queue.job import Job, JobQueue, QueueDepth, QueueSettings
from agent_sre.store.engine import StoreSettings, open_store
from fakes.queue import InMemoryQueue

SETTINGS = QueueSettings(lease=timedelta(seconds=30), keep_finished=timedelta(days=1))
SECOND = timedelta(seconds=1)


def embedded(clock: Clock, folder: Path, ending: ExitStack) -> JobQueue:
    store = open_store(StoreSettings(database_url=f"sqlite:///{folder}/queue.db"))
    ending.callback(store.close)
    return EmbeddedQueue(store, clock, SETTINGS)


def in_memory(clock: Clock, _folder: Path, _ending: ExitStack) -> JobQueue:
    return InMemoryQueue(clock, SETTINGS)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=[embedded, in_memory], ids=lambda make: make.__name__)
def queue(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> Iterator[JobQueue]:
    make: Callable[[Clock, Path, ExitStack], JobQueue] = request.param
    with ExitStack() as ending:
        yield make(clock, tmp_path, ending)


async def claim(queue: JobQueue, owner: str = "worker") -> Job:
    job = await queue.claim("investigate", owner)
    assert job is not None
    return job


async def enqueued(queue: JobQueue, *keys: str, priority: int = 1) -> None:
    for key in keys:
        assert await queue.enqueue("investigate", key, priority=priority)


async def rings(queue: JobQueue, call: Awaitable[object]) -> bool:
    """Whether the bell rings while `call` runs."""
    heard = queue.changed.listen()
    await call
    return heard.is_set()


async def test_an_empty_queue_has_nothing_to_claim(queue: JobQueue) -> None:
    assert await queue.claim("investigate", "worker") is None


async def test_a_claim_says_what_was_enqueued_and_by_whom_it_is_held(queue: JobQueue, clock: FakeClock) -> None:
    await queue.enqueue("investigate", "7", priority=2)
    job = await claim(queue, "worker-1")
    assert job == Job(id=job.id, kind="investigate", key="7", priority=2, owner="worker-1", attempts=1, run_at=clock.now())


async def test_the_smallest_priority_goes_first_then_the_oldest(queue: JobQueue) -> None:
    await enqueued(queue, "warning-1", "warning-2", priority=1)
    await enqueued(queue, "critical-1", "critical-2", priority=0)
    await enqueued(queue, "info-1", priority=2)
    assert [(await claim(queue)).key for _ in range(5)] == ["critical-1", "critical-2", "warning-1", "warning-2", "info-1"]


async def test_a_kind_is_claimed_only_by_its_name(queue: JobQueue) -> None:
    await queue.enqueue("deliver", "7", priority=0)
    assert await queue.claim("investigate", "worker") is None
    assert await queue.claim("deliver", "worker") is not None


async def test_a_job_of_the_future_waits_for_its_time_and_lets_others_pass(queue: JobQueue, clock: FakeClock) -> None:
    await queue.enqueue("investigate", "later", priority=0, run_at=clock.now() + timedelta(minutes=1))
    await enqueued(queue, "now", priority=3)
    assert (await claim(queue)).key == "now"
    assert await queue.claim("investigate", "worker") is None
    clock.advance(timedelta(minutes=1))
    assert (await claim(queue)).key == "later"


async def test_a_second_enqueue_of_a_queued_job_changes_nothing(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7", priority=3)
    clock.advance(SECOND)
    assert not await queue.enqueue("investigate", "7", priority=0)
    job = await claim(queue)
    assert (job.priority, job.run_at) == (3, clock.now() - SECOND)
    assert await queue.claim("investigate", "worker") is None


async def test_a_second_enqueue_of_a_leased_job_changes_nothing_even_after_its_lease(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7")
    job = await claim(queue)
    assert not await queue.enqueue("investigate", "7", priority=0)
    clock.advance(SETTINGS.lease)
    assert not await queue.enqueue("investigate", "7", priority=0)
    assert await queue.finish(job)


async def test_the_same_key_of_another_kind_is_another_job(queue: JobQueue) -> None:
    await enqueued(queue, "7")
    assert await queue.enqueue("deliver", "7", priority=1)


@pytest.mark.parametrize("end", ["finish", "fail", "cancel"])
async def test_an_ended_job_can_be_asked_for_again_and_starts_afresh(queue: JobQueue, end: str) -> None:
    await enqueued(queue, "7")
    first = await claim(queue)
    ends: dict[str, Callable[[], Awaitable[bool]]] = {
        "finish": lambda: queue.finish(first),
        "fail": lambda: queue.fail(first, error="no"),
        "cancel": lambda: queue.cancel("investigate", "7"),
    }
    assert await ends[end]()
    assert await queue.claim("investigate", "worker") is None
    await enqueued(queue, "7")
    second = await claim(queue)
    assert second.attempts == 1
    assert second.id != first.id


async def test_a_lease_that_ran_out_is_claimed_by_another_and_counts(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7")
    await claim(queue, "dead")
    clock.advance(SETTINGS.lease - timedelta(microseconds=1))
    assert await queue.claim("investigate", "heir") is None
    clock.advance(timedelta(microseconds=1))
    job = await claim(queue, "heir")
    assert (job.key, job.owner, job.attempts) == ("7", "heir", 2)


async def test_a_lease_that_ran_out_keeps_its_place_in_the_line(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "old")
    await claim(queue, "dead")
    await enqueued(queue, "young")
    clock.advance(SETTINGS.lease)
    await enqueued(queue, "urgent", priority=0)
    assert [(await claim(queue, "heir")).key for _ in range(3)] == ["urgent", "old", "young"]


async def test_a_heartbeat_renews_the_lease(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7")
    job = await claim(queue)
    for _ in range(5):
        clock.advance(SETTINGS.lease - SECOND)
        assert await queue.heartbeat(job)
        assert await queue.claim("investigate", "other") is None


async def test_a_late_heartbeat_saves_a_lease_that_nobody_took(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7")
    job = await claim(queue)
    clock.advance(10 * SETTINGS.lease)
    assert await queue.heartbeat(job)
    assert await queue.claim("investigate", "other") is None
    assert await queue.finish(job)


@pytest.mark.parametrize("heir", ["other", "worker"])
async def test_the_old_holder_is_refused_everything_and_the_new_one_nothing(queue: JobQueue, clock: FakeClock, heir: str) -> None:
    await enqueued(queue, "7")
    old = await claim(queue)
    clock.advance(SETTINGS.lease)
    new = await claim(queue, heir)
    assert not await queue.heartbeat(old)
    assert not await queue.finish(old)
    assert not await queue.retry(old, run_at=clock.now(), error="late")
    assert not await queue.fail(old, error="late")
    assert await queue.heartbeat(new)
    assert await queue.finish(new)


async def test_a_job_cannot_end_twice(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7")
    job = await claim(queue)
    assert await queue.finish(job)
    assert not await queue.finish(job)
    assert not await queue.fail(job, error="no")
    assert not await queue.retry(job, run_at=clock.now(), error="no")
    assert not await queue.heartbeat(job)
    assert not await queue.cancel("investigate", "7")


async def test_a_job_nobody_ever_saw_is_refused(queue: JobQueue) -> None:
    await enqueued(queue, "7")
    job = await claim(queue)
    assert not await queue.finish(replace(job, id=job.id + 1))
    assert not await queue.finish(replace(job, owner="other"))
    assert not await queue.finish(replace(job, attempts=job.attempts + 1))
    assert await queue.finish(job)


async def test_a_retried_job_waits_keeps_its_count_and_its_old_holder_is_out(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7")
    first = await claim(queue)
    assert await queue.retry(first, run_at=clock.now() + timedelta(minutes=1), error="Ollama did not answer")
    assert not await queue.heartbeat(first)
    assert await queue.claim("investigate", "worker") is None
    clock.advance(timedelta(minutes=1))
    second = await claim(queue)
    assert (second.id, second.attempts, second.run_at) == (first.id, 2, clock.now())
    assert not await queue.finish(first)


async def test_a_retried_job_is_older_than_what_came_meanwhile(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "old")
    job = await claim(queue)
    await enqueued(queue, "young")
    await queue.retry(job, run_at=clock.now(), error="again")
    assert (await claim(queue)).key == "old"


async def test_a_failed_job_is_not_tried_again(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7")
    assert await queue.fail(await claim(queue), error="poison")
    clock.advance(10 * SETTINGS.lease)
    assert await queue.claim("investigate", "worker") is None


async def test_an_error_may_be_any_text(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7")
    assert await queue.retry(await claim(queue), run_at=clock.now(), error="half a pair \ud83d, NUL \0, " + "x" * 100_000)
    assert await queue.fail(await claim(queue), error="\udc00")


async def test_a_queued_job_can_be_cancelled(queue: JobQueue) -> None:
    await enqueued(queue, "7", "8")
    assert await queue.cancel("investigate", "7")
    assert (await claim(queue)).key == "8"
    assert not await queue.cancel("investigate", "7")


async def test_cancelling_a_leased_job_tells_its_holder_at_the_next_heartbeat(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7")
    job = await claim(queue)
    assert await queue.cancel("investigate", "7")
    assert not await queue.heartbeat(job)
    assert not await queue.finish(job)
    clock.advance(SETTINGS.lease)
    assert await queue.claim("investigate", "worker") is None


async def test_cancelling_what_is_not_there_says_so(queue: JobQueue) -> None:
    await queue.enqueue("deliver", "7", priority=1)
    assert not await queue.cancel("investigate", "7")
    assert not await queue.cancel("deliver", "8")


async def test_a_released_job_is_due_at_once_and_costs_no_attempt(queue: JobQueue) -> None:
    await enqueued(queue, "7", "8", "9")
    released, kept = await claim(queue, "leaving"), await claim(queue, "staying")
    assert await queue.release("leaving") == 1
    assert not await queue.heartbeat(released)
    assert await queue.heartbeat(kept)
    again = await claim(queue, "coming")
    assert (again.id, again.attempts) == (released.id, 1)
    assert not await queue.finish(released)
    assert await queue.finish(again)


async def test_a_release_keeps_the_attempts_of_earlier_crashes(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7")
    await claim(queue, "dead")
    clock.advance(SETTINGS.lease)
    await claim(queue, "leaving")
    assert await queue.release("leaving") == 1
    assert (await claim(queue, "coming")).attempts == 2


async def test_releasing_nothing_is_no_error(queue: JobQueue) -> None:
    await enqueued(queue, "7")
    assert await queue.release("nobody") == 0
    assert await queue.finish(await claim(queue))
    assert await queue.release("worker") == 0


async def test_64_claims_at_once_get_64_different_jobs(queue: JobQueue) -> None:
    keys = {str(number) for number in range(64)}
    await enqueued(queue, *keys)
    jobs = await asyncio.gather(*(queue.claim("investigate", f"worker-{number}") for number in range(64)))
    assert {job.key for job in jobs if job is not None} == keys
    assert await queue.claim("investigate", "worker") is None


async def test_64_claims_at_once_on_one_job_give_it_to_one(queue: JobQueue) -> None:
    await enqueued(queue, "7")
    jobs = await asyncio.gather(*(queue.claim("investigate", f"worker-{number}") for number in range(64)))
    assert len([job for job in jobs if job is not None]) == 1


async def test_64_enqueues_of_one_job_at_once_make_one(queue: JobQueue) -> None:
    made = await asyncio.gather(*(queue.enqueue("investigate", "7", priority=1) for _ in range(64)))
    assert made.count(True) == 1
    assert [depth.queued for depth in await queue.depth()] == [1]


async def test_depth_counts_what_waits_and_what_runs_by_kind(queue: JobQueue, clock: FakeClock) -> None:
    assert await queue.depth() == ()
    start = clock.now()
    await enqueued(queue, "1", "2")
    clock.advance(SECOND)
    await queue.enqueue("investigate", "later", priority=1, run_at=clock.now() + timedelta(hours=1))
    await queue.enqueue("deliver", "1", priority=1)
    assert await queue.depth() == (
        QueueDepth(kind="deliver", queued=1, leased=0, oldest_at=start + SECOND),
        QueueDepth(kind="investigate", queued=3, leased=0, oldest_at=start),
    )
    job = await claim(queue)
    await queue.finish(await claim(queue))
    await queue.cancel("deliver", "1")
    assert await queue.depth() == (QueueDepth(kind="investigate", queued=1, leased=1, oldest_at=start + SECOND),)
    await queue.cancel("investigate", "later")
    assert await queue.depth() == (QueueDepth(kind="investigate", queued=0, leased=1, oldest_at=None),)
    assert await queue.finish(job)
    assert await queue.depth() == ()


async def test_prune_forgets_what_ended_long_ago_and_nothing_else(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "finished", "failed", "cancelled", "held", "waiting")
    await queue.finish(await claim(queue))
    await queue.fail(await claim(queue), error="no")
    await queue.cancel("investigate", "cancelled")
    held = await claim(queue)
    clock.advance(SETTINGS.keep_finished)
    assert await queue.prune() == 0
    clock.advance(timedelta(microseconds=1))
    assert await queue.prune() == 3
    assert await queue.prune() == 0
    assert [(depth.queued, depth.leased) for depth in await queue.depth()] == [(1, 1)]
    assert await queue.finish(held)


async def test_a_pruned_job_never_lends_its_id_to_a_new_one(queue: JobQueue, clock: FakeClock) -> None:
    await enqueued(queue, "7")
    old = await claim(queue)
    assert await queue.finish(old)
    clock.advance(2 * SETTINGS.keep_finished)
    assert await queue.prune() == 1
    await enqueued(queue, "7")
    assert (await claim(queue)).id != old.id
    assert not await queue.heartbeat(replace(old, owner="other"))


async def test_the_bell_rings_for_whatever_may_wake_a_worker(queue: JobQueue, clock: FakeClock) -> None:
    assert await rings(queue, queue.enqueue("investigate", "7", priority=1))
    assert not await rings(queue, queue.enqueue("investigate", "7", priority=1))
    job = await claim(queue)
    assert await rings(queue, queue.retry(job, run_at=clock.now(), error="again"))
    await claim(queue)
    assert await rings(queue, queue.release("worker"))
    assert not await rings(queue, queue.release("worker"))
    assert await rings(queue, queue.cancel("investigate", "7"))
    assert not await rings(queue, queue.cancel("investigate", "7"))
