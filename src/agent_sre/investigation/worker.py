"""Workers: they take jobs from the queue and bring investigations to their end.

    diagnose lane   start ──> agent.execute(until="analyze") ──> preliminary report ──> job for the analyze lane
    analyze lane    agent.execute(same run) ──> complete report

Two lanes, so that the two-second report of the next incident never waits for the model's words about the last one. While the model's server is
left alone because it kept failing, there is nothing to stand in line for: the first lane brings the run to its end.

A job is held by a lease that a heartbeat renews. Losing it (cancelled, or taken over after a long pause) cancels the work; results are written in
transactions that check the investigation's status, so a late writer changes nothing. Here is the worker's outer net: whatever goes wrong with one
investigation is logged, tried again, and in the end reported by rules.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlalchemy import Connection

from agent_sre.analysis.agent import Agent
from agent_sre.analysis.analysis import Analysis
from agent_sre.delivery.report import Stage, publish
from agent_sre.incident import store as incident_store
from agent_sre.incident.incident import Incident
from agent_sre.incident.timeline import record
from agent_sre.investigation import store as investigation_store
from agent_sre.investigation.conclude import Ended, RulesReport, complete, count_ended, fail, supersede
from agent_sre.investigation.investigation import ANALYZE, DIAGNOSE, Investigation, InvestigationSettings, InvestigationStatus
from agent_sre.investigation.metrics import INVESTIGATION_SECONDS
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import readable
from agent_sre.kit.errors import StoreUnavailable
from agent_sre.kit.signal import Signal
from agent_sre.kit.text import one_line
from agent_sre.queue.job import Job, JobQueue
from agent_sre.store.engine import Store

log = logging.getLogger(__name__)

_POLL_SECONDS = 2.0


class Worker:
    """All slots of both lanes in this process."""

    def __init__(
        self,
        *,
        store: Store,
        queue: JobQueue,
        agent: Agent,
        clock: Clock,
        settings: InvestigationSettings,
        lease: timedelta,
        rules: RulesReport,
        published: Signal,
    ) -> None:
        self._store = store
        self._queue = queue
        self._agent = agent
        self._clock = clock
        self._settings = settings
        self._lease = lease
        self._rules = rules
        self._published = published
        self._owner = f"worker-{uuid.uuid4().hex[:12]}"
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Works until it is cancelled, then gives back what it holds, so that the next process starts at once where this one stopped."""
        lanes = [(DIAGNOSE, self._diagnose)] * self._settings.diagnose_workers + [(ANALYZE, self._analyze)] * self._settings.analyze_workers
        try:
            async with asyncio.TaskGroup() as slots:
                for kind, work in lanes:
                    slots.create_task(self._slot(kind, work))
        finally:
            try:
                await self._queue.release(self._owner)
            except StoreUnavailable as error:
                log.warning("Leases could not be given back, they run out by themselves: %s", error, extra={"action": "release_failed"})

    async def work_off(self) -> None:
        """Does all that is due now, then returns: for the command line, which has no service running."""
        while True:
            worked = False
            for kind, work in ((DIAGNOSE, self._diagnose), (ANALYZE, self._analyze)):
                while (job := await self._queue.claim(kind, self._owner)) is not None:
                    await self._do(job, work)
                    worked = True
            if not worked:
                return

    async def cancel(self, investigation_ids: list[int]) -> None:
        """Stops the work on investigations that were ended from outside."""
        for investigation_id in investigation_ids:
            for kind in (DIAGNOSE, ANALYZE):
                await self._queue.cancel(kind, str(investigation_id))
                task = self._running.get((kind, str(investigation_id)))
                if task is not None:
                    task.cancel()
        self._published.ring()

    async def _slot(self, kind: str, work: Callable[[Investigation], Awaitable[None]]) -> None:
        while True:
            heard = self._queue.changed.listen()
            try:
                job = await self._queue.claim(kind, self._owner)
                if job is not None:
                    await self._do(job, work)
            except StoreUnavailable as error:
                log.warning("The queue cannot be read, trying again: %s", error, extra={"action": "worker_waits"})
                await asyncio.sleep(1)
                continue
            if job is None:
                await self._queue.changed.wait(heard, _POLL_SECONDS)

    async def _do(self, job: Job, work: Callable[[Investigation], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._attempt(job, work), name=f"{job.kind}-{job.key}")
        self._running[job.kind, job.key] = task
        keeper = asyncio.create_task(self._keep(job, task))
        try:
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        except asyncio.CancelledError:  # we are shutting down
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        finally:
            keeper.cancel()
            self._running.pop((job.kind, job.key), None)

    async def _keep(self, job: Job, task: asyncio.Task[None]) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 4)
            try:
                if not await self._queue.heartbeat(job):
                    log.warning("Investigation %s is no longer ours, stopping", job.key, extra={"action": "lease_lost"})
                    task.cancel()
                    return
            except StoreUnavailable:
                continue  # the lease may run out meanwhile; the next heartbeat tells

    async def _attempt(self, job: Job, work: Callable[[Investigation], Awaitable[None]]) -> None:
        """One try at one job, with the outer net under it."""
        investigation: Investigation | None = None
        try:
            investigation = await self._store.write(lambda connection: investigation_store.start(connection, int(job.key), at=self._clock.now()))
            if investigation is None:  # ended meanwhile: resolved, superseded
                await self._queue.finish(job)
                return
            if job.attempts > self._settings.max_attempts:  # it took the whole process with it, more than once
                await self._give_up(job, investigation, f"{self._settings.max_attempts} attempts did not come to an end")
                return
            await work(investigation)
            await self._queue.finish(job)
        except StoreUnavailable:
            raise
        except Exception as error:
            if investigation is None:
                raise
            await self._try_later(job, investigation, error)

    async def _try_later(self, job: Job, investigation: Investigation, error: Exception) -> None:
        words = one_line(f"{type(error).__name__}: {error}", 300)
        log.error(
            "Investigation %d failed in the %s lane (try %d of %d)",
            investigation.id,
            job.kind,
            job.attempts,
            self._settings.max_attempts,
            exc_info=error,
            extra={"action": "investigation_failed", "error.type": type(error).__name__},
        )
        if job.attempts >= self._settings.max_attempts:
            await self._give_up(job, investigation, words)
            return
        wait = self._settings.retry_backoff * 2 ** (job.attempts - 1)
        await self._queue.retry(job, run_at=self._clock.now() + wait, error=words)

    async def _give_up(self, job: Job, investigation: Investigation, words: str) -> None:
        failed = await self._store.write(lambda connection: fail(connection, investigation, error=words, at=self._clock.now(), rules=self._rules))
        count_ended([failed] if failed else [])
        await self._queue.fail(job, error=words)
        await self._agent.forget(investigation.run_id)
        self._published.ring()

    async def _diagnose(self, investigation: Investigation) -> None:
        if investigation.status is InvestigationStatus.RUNNING:
            await self._replace_older(investigation)
            await self._execute(investigation, until="analyze")
            if not self._agent.model.available():
                await self._conclude(investigation)  # still running, for the sweep too: it is this lane's to the end
                return
            await self._store.write(
                lambda connection: investigation_store.move(connection, investigation.id, InvestigationStatus.DIAGNOSED, at=self._clock.now())
            )
        incident = await self._incident(investigation)
        await self._queue.enqueue(ANALYZE, str(investigation.id), priority=incident.severity.priority)

    async def _analyze(self, investigation: Investigation) -> None:
        waited = self._clock.now() - investigation.created_at
        skip = ""
        if waited > self._settings.max_model_wait:
            skip = f"Ollama was busy with other incidents for {readable(waited)}, so it was not asked about this one"
        await self._store.write(
            lambda connection: investigation_store.move(connection, investigation.id, InvestigationStatus.ANALYZING, at=self._clock.now())
        )
        await self._conclude(investigation, skip_model=skip)

    async def _conclude(self, investigation: Investigation, *, skip_model: str = "") -> None:
        analysis = await self._execute(investigation, skip_model=skip_model)
        if analysis is None:
            raise LookupError(f"run {investigation.run_id} ended without an analysis")
        now = self._clock.now()
        completed = await self._store.write(lambda connection: complete(connection, investigation, analysis, at=now))
        if completed:
            count_ended([completed])
            incident = await self._incident(investigation)
            log.info(
                "Completed investigation for alert: %s",
                one_line(incident.lead.name, 120),
                extra={
                    "action": "investigation_completed",
                    "agent_sre.incident": incident.key,
                    "agent_sre.author": analysis.author,
                    "agent_sre.seconds": round(completed.took.total_seconds(), 3),
                },
            )
        self._published.ring()
        await self._agent.forget(investigation.run_id)

    async def _execute(self, investigation: Investigation, *, until: str | None = None, skip_model: str = "") -> Analysis | None:
        incident = await self._incident(investigation)

        async def publish_preliminary(analysis: Analysis) -> None:
            took = await self._store.write(lambda connection: self._publish(connection, investigation, analysis))
            if took is not None:
                INVESTIGATION_SECONDS.labels(stage=Stage.PRELIMINARY.value, author=analysis.author).observe(took.total_seconds())
            self._published.ring()

        result = await self._agent.execute(
            message=f"Investigate {incident.key}: {incident.title}",
            task_type="incident",
            context={
                "incident_id": incident.id,
                "thread_id": investigation.thread_id,
                "run_id": investigation.run_id,
                "skip_model": skip_model,
            },
            until=until,
            publish=publish_preliminary,
        )
        return result.analysis

    def _publish(self, connection: Connection, investigation: Investigation, analysis: Analysis) -> timedelta | None:
        """How long it took to this report; None where nothing was published."""
        current = investigation_store.load_investigation(connection, investigation.id)
        if current is None or current.status.ended:  # resolved or superseded while we looked
            return None
        now = self._clock.now()
        if not publish(
            connection,
            incident_id=investigation.incident_id,
            investigation_id=investigation.id,
            stage=Stage.PRELIMINARY,
            analysis=analysis,
            at=now,
        ):
            return None
        took = now - investigation.created_at
        record(connection, investigation.incident_id, at=now, kind="report", text=f"Rules' verdict after {readable(took)}")
        return took

    async def _replace_older(self, investigation: Investigation) -> None:
        """Ends older investigations of the incident that still wait for the model: this one covers their alerts too."""

        def end(connection: Connection) -> list[tuple[Investigation, Ended]]:
            live = investigation_store.live_investigations(connection, incident_id=investigation.incident_id)
            older = [item for item in live if item.id < investigation.id and item.status is InvestigationStatus.DIAGNOSED]
            return [(item, ended) for item in older if (ended := supersede(connection, item, at=self._clock.now()))]

        replaced = await self._store.write(end)
        count_ended(ended for _, ended in replaced)
        for item, _ in replaced:
            await self._queue.cancel(ANALYZE, str(item.id))
            await self._agent.forget(item.run_id)

    async def _incident(self, investigation: Investigation) -> Incident:
        incident = await self._store.read(lambda connection: incident_store.load_incident(connection, investigation.incident_id))
        if incident is None:  # a foreign key says that this cannot be
            raise LookupError(f"investigation {investigation.id} has no incident")
        return incident
