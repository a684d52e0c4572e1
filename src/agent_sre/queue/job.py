"""A queue of jobs that outlives its workers.

    queued ──claim──> leased ──finish──> finished
      ^                 │ ├──fail──────> failed
      └─retry, release──┘ └──(lease runs out: claimable again)
    queued, leased ──cancel──> cancelled

A job carries a kind and a key, never a payload: what is to be done stands in the rows of the room that asked. The queue only schedules, so
losing it would cost time, not work (investigation/sweep.py finds what was never queued).

Fencing: a claim gives the job a new pair of `owner` and `attempts`. Whoever holds another pair gets False from every call and must drop
what it has. `release` takes an attempt back, so an owner is one life of one worker: a name that comes again after `release` is no fence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from agent_sre.kit.signal import Signal


class JobStatus(StrEnum):
    """Where a job stands; the arrows are drawn at the top of this module."""

    QUEUED = "queued"
    LEASED = "leased"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One claim on one piece of work."""

    id: int
    kind: str
    key: str
    priority: int  # smaller goes first
    owner: str  # who claimed it
    attempts: int  # claims so far, this one included; with `owner` it is the fence
    run_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """How much waits, per kind."""

    kind: str
    queued: int  # due or not
    leased: int
    oldest_at: datetime | None  # when the oldest queued job was made


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """How patient the queue is."""

    lease: timedelta = timedelta(seconds=30)
    """How long a worker may be silent before its job is given to another. 30 s: a crash costs half a minute, a slow disk costs nothing."""

    keep_finished: timedelta = timedelta(days=1)
    """How long ended jobs stay in the table, for whoever asks what happened."""


class JobQueue(Protocol):
    """Every adapter runs through tests/conformance/test_queue.py."""

    changed: Signal
    """Rings when a job may be claimable or a lease was lost. In-process; poll as well."""

    async def enqueue(self, kind: str, key: str, *, priority: int, run_at: datetime | None = None) -> bool:
        """Asks for a job. False where a live one (queued or leased) of this kind and key is already there; nothing changes then."""
        ...

    async def claim(self, kind: str, owner: str) -> Job | None:
        """The most urgent due job, leased to `owner`: smallest priority first, then oldest. None where nothing is due.

        Jobs whose lease ran out count as due. `attempts` of the result is one more than before.
        """
        ...

    async def heartbeat(self, job: Job) -> bool:
        """Renews the lease. False where the job was cancelled or belongs to somebody else by now: stop, drop the result."""
        ...

    async def finish(self, job: Job) -> bool:
        """Done. False (and no change) where the fence does not hold."""
        ...

    async def retry(self, job: Job, *, run_at: datetime, error: str) -> bool:
        """Puts the job back, due at `run_at`. False where the fence does not hold."""
        ...

    async def fail(self, job: Job, *, error: str) -> bool:
        """Gives up for good. False where the fence does not hold."""
        ...

    async def cancel(self, kind: str, key: str) -> bool:
        """Cancels the live job of this kind and key, whoever holds it. False where there is none."""
        ...

    async def release(self, owner: str) -> int:
        """Gives back everything `owner` holds, at once and without counting an attempt: for a clean shutdown. How many there were."""
        ...

    async def depth(self) -> tuple[QueueDepth, ...]:
        """How much waits, one entry per kind that has live jobs."""
        ...

    async def prune(self) -> int:
        """Forgets ended jobs older than `keep_finished`. How many there were."""
        ...
