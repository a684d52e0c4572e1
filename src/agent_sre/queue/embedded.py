"""The job queue of a single machine: the `job` table, one transaction for each change.

A claim is a lease: it ends by `finish`, `retry`, `fail`, `cancel` or `release`, and where none of them comes, by itself. Nothing has to
notice that a worker died: the next claim after `lease_until` takes the job over, and `attempts` says that it did.

Every call of a holder carries the fence in its WHERE: id, owner, attempts. It changes one row or none, and none means "no longer yours".

Time is read inside the transaction: a wait for the disk must not shorten a lease.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.sql.dml import Delete, Insert, Update

from agent_sre.kit.clock import Clock
from agent_sre.kit.redact import redact
from agent_sre.kit.signal import Signal
from agent_sre.kit.text import clean
from agent_sre.queue.job import Job, JobStatus, QueueDepth, QueueSettings
from agent_sre.queue.metrics import count
from agent_sre.store.engine import Store
from agent_sre.store.schema import job as table

_ERROR_LIMIT = 2000

_QUEUED = table.c.status == JobStatus.QUEUED
_LEASED = table.c.status == JobStatus.LEASED
# Spelled out in the statement, not bound: SQLite takes the partial index `job_live` only where it can read the index's own condition.
_LIVE = table.c.status.in_([sa.literal(status.value, literal_execute=True) for status in (JobStatus.QUEUED, JobStatus.LEASED)])

_FIRST = (
    sa.select(table.c.id, table.c.key, table.c.priority, table.c.attempts, table.c.run_at, table.c.status)
    .where(table.c.kind == sa.bindparam("kind"))
    .order_by(table.c.priority, table.c.id)
    .limit(1)
)
# Two looks along the index `job_next` instead of one OR, which would sort everything that is due for the sake of one row. Made once, here:
# workers look so often that putting the statement together would take half of the time.
_DUE = (_FIRST.where(_QUEUED, table.c.run_at <= sa.bindparam("now")), _FIRST.where(_LEASED, table.c.lease_until <= sa.bindparam("now")))


class EmbeddedQueue:
    """JobQueue on our own database."""

    def __init__(self, store: Store, clock: Clock, settings: QueueSettings) -> None:
        self.changed = Signal()
        self._store = store
        self._clock = clock
        self._settings = settings

    async def enqueue(self, kind: str, key: str, *, priority: int, run_at: datetime | None = None) -> bool:
        added = await self._store.write(lambda connection: _enqueue(connection, kind, key, priority, run_at, self._clock.now()))
        if added:
            self.changed.ring()
        return added

    async def claim(self, kind: str, owner: str) -> Job | None:
        # A look first: a bell wakes every idle worker, and reading costs the writer nothing.
        if await self._store.read(lambda connection: _due(connection, kind, self._clock.now())) is None:
            return None
        claimed = await self._store.write(lambda connection: _claim(connection, kind, owner, self._clock.now(), self._settings.lease))
        if claimed is None:
            return None
        job, taken_over = claimed
        if taken_over:
            count(kind, "lease_lost")
        return job

    async def heartbeat(self, job: Job) -> bool:
        return await self._store.write(
            lambda connection: _changes_one(connection, _held(job).values(lease_until=self._clock.now() + self._settings.lease))
        )

    async def finish(self, job: Job) -> bool:
        finished = await self._store.write(lambda connection: _end(connection, job, JobStatus.FINISHED, self._clock.now()))
        if finished:
            count(job.kind, "finished")
        return finished

    async def retry(self, job: Job, *, run_at: datetime, error: str) -> bool:
        queued = _held(job).values(status=JobStatus.QUEUED, run_at=run_at, owner=None, lease_until=None, error=_storable(error))
        held = await self._store.write(lambda connection: _changes_one(connection, queued))
        if held:
            count(job.kind, "retried")
            self.changed.ring()
        return held

    async def fail(self, job: Job, *, error: str) -> bool:
        failed = await self._store.write(lambda connection: _end(connection, job, JobStatus.FAILED, self._clock.now(), error))
        if failed:
            count(job.kind, "failed")
        return failed

    async def cancel(self, kind: str, key: str) -> bool:
        cancelled = await self._store.write(lambda connection: _cancel(connection, kind, key, self._clock.now()))
        if cancelled:
            count(kind, "cancelled")
            self.changed.ring()
        return cancelled

    async def release(self, owner: str) -> int:
        released = await self._store.write(lambda connection: _release(connection, owner))
        if released:
            self.changed.ring()
        return released

    async def recover(self) -> int:
        """Makes every leased job claimable at once, its attempt counted. Call it at start, while holding the store's lock: whoever held the
        leases is dead then, and waiting for them to run out would only cost time. How many there were."""
        recovered = await self._store.write(lambda connection: _recover(connection, self._clock.now()))
        if recovered:
            self.changed.ring()
        return recovered

    async def depth(self) -> tuple[QueueDepth, ...]:
        return await self._store.read(_depth)

    async def prune(self) -> int:
        return await self._store.write(lambda connection: _prune(connection, self._clock.now() - self._settings.keep_finished))


def _enqueue(connection: Connection, kind: str, key: str, priority: int, run_at: datetime | None, now: datetime) -> bool:
    row = insert(table).values(kind=kind, key=key, priority=priority, status=JobStatus.QUEUED, attempts=0, run_at=run_at or now, created_at=now)
    return _changes_one(connection, row.on_conflict_do_nothing())  # the index `job_live` holds one live job of a kind and key


def _claim(connection: Connection, kind: str, owner: str, now: datetime, lease: timedelta) -> tuple[Job, bool] | None:
    """The claimed job, and whether it was taken over from a holder that fell silent."""
    row = _due(connection, kind, now)
    if row is None:
        return None
    job = Job(id=row.id, kind=kind, key=row.key, priority=row.priority, owner=owner, attempts=row.attempts + 1, run_at=row.run_at)
    leased = {"status": JobStatus.LEASED, "owner": owner, "attempts": job.attempts, "lease_until": now + lease}
    connection.execute(sa.update(table).where(table.c.id == job.id).values(leased))
    return job, row.status == JobStatus.LEASED


def _due(connection: Connection, kind: str, now: datetime) -> Row[*tuple[Any, ...]] | None:
    """The most urgent job that may be claimed."""
    rows = [connection.execute(jobs, {"kind": kind, "now": now}).first() for jobs in _DUE]
    return min((row for row in rows if row is not None), key=lambda row: (row.priority, row.id), default=None)


def _end(connection: Connection, job: Job, status: JobStatus, now: datetime, error: str | None = None) -> bool:
    ended = _held(job).values(status=status, lease_until=None, finished_at=now)
    return _changes_one(connection, ended if error is None else ended.values(error=_storable(error)))


def _cancel(connection: Connection, kind: str, key: str, now: datetime) -> bool:
    live = sa.update(table).where(table.c.kind == kind, table.c.key == key, _LIVE)
    return _changes_one(connection, live.values(status=JobStatus.CANCELLED, lease_until=None, finished_at=now))


def _release(connection: Connection, owner: str) -> int:
    held = sa.update(table).where(_LEASED, table.c.owner == owner)
    return connection.execute(held.values(status=JobStatus.QUEUED, attempts=table.c.attempts - 1, owner=None, lease_until=None)).rowcount


def _recover(connection: Connection, now: datetime) -> int:
    return connection.execute(table.update().where(_LEASED).values(lease_until=now - timedelta(seconds=1))).rowcount


def _depth(connection: Connection) -> tuple[QueueDepth, ...]:
    rows = connection.execute(
        sa.select(
            table.c.kind,
            sa.func.count().filter(_QUEUED).label("queued"),
            sa.func.count().filter(_LEASED).label("leased"),
            sa.func.min(table.c.created_at).filter(_QUEUED).label("oldest_at"),
        )
        .where(_LIVE)
        .group_by(table.c.kind)
        .order_by(table.c.kind)
    )
    return tuple(QueueDepth(kind=row.kind, queued=row.queued, leased=row.leased, oldest_at=row.oldest_at) for row in rows)


def _prune(connection: Connection, before: datetime) -> int:
    return connection.execute(sa.delete(table).where(table.c.finished_at < before)).rowcount


def _held(job: Job) -> Update:
    return sa.update(table).where(table.c.id == job.id, table.c.owner == job.owner, table.c.attempts == job.attempts, _LEASED)


def _changes_one(connection: Connection, statement: Insert | Update | Delete) -> bool:
    return connection.execute(statement).rowcount == 1


def _storable(error: str) -> str:
    # Half a surrogate pair cannot be stored as UTF-8: the job that failed with it would never end.
    return clean(redact(error), _ERROR_LIMIT)
