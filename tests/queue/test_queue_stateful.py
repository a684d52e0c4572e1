"""Anything in any order: the lease table against the plain model, with crashes.

A crash drops the store without closing it and opens the file again, as a new process would. What a kill at any instant does is in
test_queue_kill.py.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent_sre.kit.clock import FakeClock
from agent_sre.queue.embedded import EmbeddedQueue
from agent_sre.queue.job import Job, JobQueue, QueueSettings
from agent_sre.store.engine import Store, StoreSettings, open_store
from agent_sre.store.schema import job as table
from fakes.queue import InMemoryQueue

T = TypeVar("T")

SETTINGS = QueueSettings(lease=timedelta(seconds=30), keep_finished=timedelta(seconds=60))

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # what a disk adds is in test_queue_kill.py; here it would only take time

# Few names and few instants, so that things meet: at the very edge of a lease, of a retry, of what is kept.
KIND = "investigate"
KEYS = st.sampled_from(["1", "2", "3"])
OWNERS = st.sampled_from(["ann", "bob"])
DELAYS = st.sampled_from([1, 29, 30]).map(lambda seconds: timedelta(seconds=seconds))


class QueueMachine(RuleBasedStateMachine):
    """Every call goes to both queues; both must say the same. The ledger beside them knows what must never happen, whatever they say."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.clock = FakeClock()
        self.model = InMemoryQueue(self.clock, SETTINGS)
        self.stores: list[Store] = []
        self.start()
        self.lives = {"ann": 1, "bob": 1}
        self.claims: list[Job] = []  # every claim there ever was, so that old holders speak up too
        self.holder: dict[int, Job] = {}  # the ledger: the latest claim of each job
        self.asked_for: set[int] = set()  # ids of jobs that were enqueued and not pruned
        self.attempts: dict[int, int] = {}
        self.model_ids: dict[int, int] = {}  # an id of ours may have gaps: an enqueue that changes nothing uses one up

    def start(self) -> None:
        store = open_store(StoreSettings(database_url=f"sqlite:///{self.folder.name}/queue.db"))
        self.stores.append(store)
        self.real = EmbeddedQueue(store, self.clock, SETTINGS)

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.loop.close()
        self.folder.cleanup()

    def both(self, real: Coroutine[Any, Any, T], model: Coroutine[Any, Any, T]) -> T:
        said, expected = self.loop.run_until_complete(real), self.loop.run_until_complete(model)
        assert said == expected
        return said

    def twin(self, job: Job) -> Job:
        """The same claim, as the model numbers it."""
        return replace(job, id=self.model_ids[job.id])

    def rows(self) -> list[sa.RowMapping]:
        return self.stores[-1].read_now(lambda connection: list(connection.execute(sa.select(table)).mappings()))

    def owner(self, name: str) -> str:
        return f"{name}-{self.lives[name]}"

    # Few rules that draw what they do, because Hypothesis leaves out half of the rules in a typical run: with a rule for each call most
    # runs never claimed, or never let time pass.

    @initialize()
    def begin(self) -> None:
        self.enqueue("1", 1, None)
        self.enqueue("2", 0, None)

    @rule(key=KEYS, priority=st.integers(0, 1), delay=st.none() | DELAYS)
    def enqueue(self, key: str, priority: int, delay: timedelta | None) -> None:
        run_at = None if delay is None else self.clock.now() + delay
        added = self.both(
            self.real.enqueue(KIND, key, priority=priority, run_at=run_at), self.model.enqueue(KIND, key, priority=priority, run_at=run_at)
        )
        if added:
            newest = max(row["id"] for row in self.rows())
            self.asked_for.add(newest)
            self.model_ids[newest] = max(self.model.entries)

    @rule(owner=OWNERS, later=st.just(timedelta(0)) | DELAYS)
    def claim(self, owner: str, later: timedelta) -> None:
        self.clock.advance(later)
        name = self.owner(owner)
        job, expected = self.loop.run_until_complete(self.real.claim(KIND, name)), self.loop.run_until_complete(self.model.claim(KIND, name))
        assert (None if job is None else self.twin(job)) == expected
        if job is not None:
            assert job.run_at <= self.clock.now()
            assert job.id in self.asked_for
            self.holder[job.id] = job
            self.claims.append(job)

    @precondition(lambda self: self.claims)
    @rule(age=st.integers(1, 4), call=st.sampled_from(["heartbeat", "finish", "retry", "fail"]), delay=DELAYS)
    def hold(self, age: int, call: str, delay: timedelta) -> None:
        """A holder speaks: the latest one, or one of long ago."""
        job = self.claims[-age:][0]
        run_at = self.clock.now() + delay
        calls: dict[str, Callable[[JobQueue, Job], Coroutine[Any, Any, bool]]] = {
            "heartbeat": lambda queue, job: queue.heartbeat(job),
            "finish": lambda queue, job: queue.finish(job),
            "retry": lambda queue, job: queue.retry(job, run_at=run_at, error="again"),
            "fail": lambda queue, job: queue.fail(job, error="no"),
        }
        if self.both(calls[call](self.real, job), calls[call](self.model, self.twin(job))):
            assert self.holder[job.id] == job, "a holder that had lost the job was let through"
            if call != "heartbeat":
                del self.holder[job.id]

    @rule(what=st.sampled_from(["cancel", "release", "prune", "crash", "depth"]), key=KEYS, owner=OWNERS, later=DELAYS)
    def upset(self, what: str, key: str, owner: str, later: timedelta) -> None:
        getattr(self, what)(key=key, owner=owner, later=later)

    def cancel(self, *, key: str, **_unused: Any) -> None:
        if self.both(self.real.cancel(KIND, key), self.model.cancel(KIND, key)):
            self.holder = {job_id: job for job_id, job in self.holder.items() if job.key != key}

    def release(self, *, owner: str, **_unused: Any) -> None:
        name = self.owner(owner)
        if self.both(self.real.release(name), self.model.release(name)):
            for job_id in [job_id for job_id, job in self.holder.items() if job.owner == name]:
                del self.holder[job_id]
                self.attempts[job_id] -= 1
        self.lives[owner] += 1  # the name is not used again: the protocol asks for that

    def prune(self, *, later: timedelta, **_unused: Any) -> None:
        self.clock.advance(later)
        if self.both(self.real.prune(), self.model.prune()):
            left = {row["id"] for row in self.rows()}
            assert not {job_id for job_id in self.asked_for - left if job_id in self.holder}, "a live job was pruned"
            self.asked_for &= left

    def crash(self, **_unused: Any) -> None:
        self.start()

    def depth(self, **_unused: Any) -> None:
        self.both(self.real.depth(), self.model.depth())

    @invariant()
    def the_rows_agree_with_the_model_and_with_the_ledger(self) -> None:
        rows = {row["id"]: row for row in self.rows()}
        assert set(rows) == self.asked_for, "a job was lost"
        for job_id, row in rows.items():
            assert row["attempts"] >= self.attempts.get(job_id, 0), "attempts went back"
        self.attempts = {job_id: row["attempts"] for job_id, row in rows.items()}
        leased = {job_id: (row["owner"], row["attempts"]) for job_id, row in rows.items() if row["status"] == "leased"}
        assert leased == {job_id: (job.owner, job.attempts) for job_id, job in self.holder.items()}, "a job without its one holder"
        for job_id, row in rows.items():
            entry = self.model.entries[self.model_ids[job_id]]
            assert (row["status"], row["attempts"], row["run_at"]) == (entry.status, entry.attempts, entry.run_at)
            assert row["finished_at"] == entry.finished_at


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, derandomize=True)
