"""The job queue as a dict: what JobQueue promises, in as few words as possible. Reference of the stateful test, and a double for others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from agent_sre.kit.clock import Clock
from agent_sre.kit.signal import Signal
from agent_sre.queue.job import Job, JobStatus, QueueDepth, QueueSettings

LIVE = (JobStatus.QUEUED, JobStatus.LEASED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """All that is known of one job."""

    id: int
    kind: str
    key: str
    priority: int
    run_at: datetime
    created_at: datetime
    status: JobStatus = JobStatus.QUEUED
    attempts: int = 0
    owner: str = ""
    lease_until: datetime | None = None
    finished_at: datetime | None = None
    error: str = ""

    def due(self, now: datetime) -> bool:
        if self.status == JobStatus.LEASED:
            return self.lease_until is not None and self.lease_until <= now
        return self.status == JobStatus.QUEUED and self.run_at <= now

    def claimed(self) -> Job:
        return Job(id=self.id, kind=self.kind, key=self.key, priority=self.priority, owner=self.owner, attempts=self.attempts, run_at=self.run_at)


class InMemoryQueue:
    """JobQueue without a store."""

    def __init__(self, clock: Clock, settings: QueueSettings) -> None:
        self.changed = Signal()
        self.entries: dict[int, Entry] = {}
        self._clock = clock
        self._settings = settings
        self._last_id = 0

    async def enqueue(self, kind: str, key: str, *, priority: int, run_at: datetime | None = None) -> bool:
        if self._live(kind, key):
            return False
        self._last_id += 1
        now = self._clock.now()
        self._put(Entry(id=self._last_id, kind=kind, key=key, priority=priority, run_at=run_at or now, created_at=now))
        self.changed.ring()
        return True

    async def claim(self, kind: str, owner: str) -> Job | None:
        now = self._clock.now()
        due = [entry for entry in self.entries.values() if entry.kind == kind and entry.due(now)]
        if not due:
            return None
        entry = min(due, key=lambda entry: (entry.priority, entry.id))
        entry = replace(entry, status=JobStatus.LEASED, owner=owner, attempts=entry.attempts + 1, lease_until=now + self._settings.lease)
        self._put(entry)
        return entry.claimed()

    async def heartbeat(self, job: Job) -> bool:
        return self._change(job, lambda held: replace(held, lease_until=self._clock.now() + self._settings.lease))

    async def finish(self, job: Job) -> bool:
        return self._change(job, lambda held: replace(held, status=JobStatus.FINISHED, finished_at=self._clock.now()))

    async def retry(self, job: Job, *, run_at: datetime, error: str) -> bool:
        held = self._change(job, lambda held: replace(held, status=JobStatus.QUEUED, owner="", run_at=run_at, error=error))
        if held:
            self.changed.ring()
        return held

    async def fail(self, job: Job, *, error: str) -> bool:
        return self._change(job, lambda held: replace(held, status=JobStatus.FAILED, finished_at=self._clock.now(), error=error))

    async def cancel(self, kind: str, key: str) -> bool:
        live = self._live(kind, key)
        for entry in live:
            self._put(replace(entry, status=JobStatus.CANCELLED, finished_at=self._clock.now()))
            self.changed.ring()
        return bool(live)

    async def release(self, owner: str) -> int:
        held = [entry for entry in self.entries.values() if entry.status == JobStatus.LEASED and entry.owner == owner]
        for entry in held:
            self._put(replace(entry, status=JobStatus.QUEUED, owner="", attempts=entry.attempts - 1))
            self.changed.ring()
        return len(held)

    async def depth(self) -> tuple[QueueDepth, ...]:
        live = [entry for entry in self.entries.values() if entry.status in LIVE]
        depths = []
        for kind in sorted({entry.kind for entry in live}):
            queued = [entry.created_at for entry in live if entry.kind == kind and entry.status == JobStatus.QUEUED]
            leased = [entry for entry in live if entry.kind == kind and entry.status == JobStatus.LEASED]
            depths.append(QueueDepth(kind=kind, queued=len(queued), leased=len(leased), oldest_at=min(queued, default=None)))
        return tuple(depths)

    async def prune(self) -> int:
        before = self._clock.now() - self._settings.keep_finished
        old = [entry.id for entry in self.entries.values() if entry.finished_at is not None and entry.finished_at < before]
        for entry_id in old:
            del self.entries[entry_id]
        return len(old)

    def _live(self, kind: str, key: str) -> list[Entry]:
        return [entry for entry in self.entries.values() if (entry.kind, entry.key) == (kind, key) and entry.status in LIVE]

    def _put(self, entry: Entry) -> None:
        self.entries[entry.id] = entry

    def _change(self, job: Job, change: Callable[[Entry], Entry]) -> bool:
        held = self.entries.get(job.id)
        if held is None or (held.status, held.owner, held.attempts) != (JobStatus.LEASED, job.owner, job.attempts):
            return False
        self._put(change(held))
        return True
