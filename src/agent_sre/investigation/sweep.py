"""The sweep: finds what was never queued, forgets what is old. At start and every minute.

The queue only schedules. A process killed between "the investigation is in the database" and "its job is in the queue" leaves a row without a
job; the sweep gives it one. Asking twice is harmless.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from agent_sre.alert.inbox import prune_inbox
from agent_sre.delivery.report import run_id_of
from agent_sre.incident import store as incident_store
from agent_sre.incident.incident import IncidentStatus
from agent_sre.investigation import store as investigation_store
from agent_sre.investigation.investigation import ANALYZE, DIAGNOSE, InvestigationSettings, InvestigationStatus
from agent_sre.kit.clock import Clock
from agent_sre.kit.errors import StoreUnavailable
from agent_sre.queue.job import JobQueue
from agent_sre.store.engine import Store
from agent_sre.store.schema import alert, artifact, evidence, incident, investigation, report, timeline

log = logging.getLogger(__name__)

_AT_ONCE = 100


class Sweep:
    """Keeps queue and rows in step, and the database from growing for ever."""

    def __init__(
        self,
        *,
        store: Store,
        queue: JobQueue,
        clock: Clock,
        settings: InvestigationSettings,
        keep_bodies: timedelta,
    ) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._settings = settings
        self._keep_bodies = keep_bodies

    async def run(self) -> None:
        """Sweeps until it is cancelled."""
        while True:
            try:
                await self.requeue()
                await self.prune()
            except StoreUnavailable as error:
                log.warning("The sweep has to wait: %s", error, extra={"action": "sweep_waits"})
            await asyncio.sleep(self._settings.sweep_interval.total_seconds())

    async def requeue(self) -> int:
        """Gives every live investigation the job that it needs. How many had none."""

        def needed(connection: Connection) -> list[tuple[str, str, int]]:
            return [
                (
                    DIAGNOSE if item.status in (InvestigationStatus.QUEUED, InvestigationStatus.RUNNING) else ANALYZE,
                    str(item.id),
                    incident_store.severity_of_incident(connection, item.incident_id).priority,
                )
                for item in investigation_store.live_investigations(connection)
            ]

        found = 0
        for kind, key, priority in await self._store.read(needed):
            found += await self._queue.enqueue(kind, key, priority=priority)
        if found:
            log.info("Queued %d investigations that had no job", found, extra={"action": "requeued"})
        return found

    async def prune(self) -> None:
        """Forgets old bodies, ended jobs and long resolved incidents, a little at a time."""
        now = self._clock.now()
        await self._store.write(lambda connection: prune_inbox(connection, before=now - self._keep_bodies))
        await self._store.write(lambda connection: prune_incidents(connection, before=now - self._settings.keep_incidents))
        await self._queue.prune()


def prune_incidents(connection: Connection, *, before: datetime, limit: int = _AT_ONCE) -> int:
    """Removes incidents resolved before this instant, with all that belongs to them. How many there were."""
    ids = list(
        connection.execute(
            sa.select(incident.c.id)
            .where(incident.c.status == IncidentStatus.RESOLVED.value, incident.c.resolved_at < before)
            .order_by(incident.c.id)
            .limit(limit)
        ).scalars()
    )
    if not ids:
        return 0
    for found in connection.execute(sa.select(investigation).where(investigation.c.incident_id.in_(ids))).all():
        run_id = run_id_of(found.thread_id, found.id)
        connection.execute(evidence.delete().where(evidence.c.run_id == run_id))
        connection.execute(artifact.delete().where(artifact.c.run_id == run_id))
    for table in (report, investigation, timeline, alert):
        connection.execute(table.delete().where(table.c.incident_id.in_(ids)))
    connection.execute(incident.delete().where(incident.c.id.in_(ids)))
    return len(ids)
