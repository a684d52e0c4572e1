"""The whole service in one place: `build` is the only function that knows every concrete class."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from fastapi import FastAPI

from agent_sre.alert.inbox import Inbox
from agent_sre.analysis.agent import Agent
from agent_sre.analysis.analysis import Analysis
from agent_sre.analysis.llm.model import Budget
from agent_sre.analysis.llm.ollama import OllamaModel
from agent_sre.analysis.llm.openai import OpenAIModel
from agent_sre.analysis.rules import rules_analysis
from agent_sre.config.config import Config
from agent_sre.evidence.alert_source import AlertSource
from agent_sre.evidence.alertmanager.client import AlertmanagerClient
from agent_sre.evidence.alertmanager.source import AlertmanagerSource
from agent_sre.evidence.board import Board
from agent_sre.evidence.evidence import EvidenceSet, EvidenceSource
from agent_sre.evidence.history import HistorySource
from agent_sre.evidence.kubernetes.source import KubernetesSource, kubernetes_source
from agent_sre.evidence.loki.client import LokiClient
from agent_sre.evidence.loki.source import LokiSource
from agent_sre.evidence.off import NotConfigured
from agent_sre.evidence.playbook import Playbook, load_playbooks
from agent_sre.evidence.playbook_derived import playbook_of
from agent_sre.evidence.prometheus.client import PrometheusClient
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.finding.diagnose import diagnose
from agent_sre.incident.incident import Incident
from agent_sre.investigation.conclude import RulesReport
from agent_sre.investigation.counters import AlertCounters
from agent_sre.investigation.ingest import Ingester, Investigate
from agent_sre.investigation.investigation import DIAGNOSE
from agent_sre.investigation.reconcile import Reconciler
from agent_sre.investigation.sweep import Sweep
from agent_sre.investigation.worker import Worker
from agent_sre.kit.clock import Clock, SystemClock
from agent_sre.kit.http import load_backend
from agent_sre.kit.signal import Signal
from agent_sre.queue.embedded import EmbeddedQueue
from agent_sre.store.engine import Store, open_store
from agent_sre.web.application import build_application
from agent_sre.web.chat import chat_router
from agent_sre.web.health import Checked, Health
from agent_sre.web.incidents import incidents_router
from agent_sre.web.results import Results
from agent_sre.web.webhook import webhook_router

log = logging.getLogger(__name__)


class OutsideSource(EvidenceSource, Checked, Protocol):
    """A source of evidence that lies outside of this process, or stands in for one that does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Everything, built and not yet running."""

    config: Config
    clock: Clock
    store: Store
    inbox: Inbox
    queue: EmbeddedQueue
    ingester: Ingester
    worker: Worker
    sweep: Sweep
    reconciler: Reconciler | None
    agent: Agent
    model: OllamaModel | OpenAIModel
    prometheus: PrometheusClient | None
    kubernetes: KubernetesSource | NotConfigured
    alertmanager: AlertmanagerClient | None
    loki: LokiClient | None
    sources: Sequence[Checked]
    evidence: Sequence[EvidenceSource]
    health: Health
    published: Signal
    web: FastAPI

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything behind the web at work. A background task that dies takes the service down: half a service is worse than a restart."""
        await self.queue.recover()
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self.ingester.run(), name="ingester"),
                tasks.create_task(self._work(), name="worker"),
                tasks.create_task(self.sweep.run(), name="sweep"),
                tasks.create_task(self._look_around(), name="first-look"),
            ]
            if self.reconciler is not None:
                background.append(tasks.create_task(self.reconciler.run(), name="reconciler"))
            try:
                yield
            finally:
                for task in background:
                    task.cancel()
        await self.close()

    async def close(self) -> None:
        """Closes what is open. For callers that did not use `running`."""
        await self.agent.close()
        await self.model.close()
        if self.prometheus is not None:
            await self.prometheus.aclose()
        await self.kubernetes.aclose()
        if self.alertmanager is not None:
            await self.alertmanager.aclose()
        if self.loki is not None:
            await self.loki.aclose()
        self.store.close()

    async def _work(self) -> None:
        await self.agent.open()
        await self.worker.run()

    async def _look_around(self) -> None:
        await load_backend()
        await self.health.look()
        await self.model.keep_warm()


def build(config: Config, *, clock: Clock | None = None, store: Store | None = None, sources: Sequence[OutsideSource] | None = None) -> App:
    """The service that these settings describe. Opens the database; starts nothing.

    `sources` are asked instead of the ones that the settings name; the alert itself and our own store are always asked.
    """
    clock = clock or SystemClock()
    store = store or open_store(config.store)
    playbooks = load_playbooks(Path(config.playbooks.folder) if config.playbooks.folder else None)
    rules = rules_without_evidence(playbooks)
    published = Signal()
    inbox = Inbox(store, clock)
    queue = EmbeddedQueue(store, clock, config.queue)
    calls = config.openai if config.openai.url else config.ollama
    model = OpenAIModel(config.openai, clock) if config.openai.url else OllamaModel(config.ollama, clock)
    prometheus = PrometheusClient(config.prometheus) if config.prometheus.url and sources is None else None
    prometheus_source = PrometheusSource(prometheus, clock) if prometheus else NotConfigured("prometheus", "PROMETHEUS_URL")
    alertmanager = AlertmanagerClient(config.alertmanager) if config.alertmanager.url and sources is None else None
    alertmanager_source = AlertmanagerSource(alertmanager, store, clock) if alertmanager else NotConfigured("alertmanager", "ALERTMANAGER_URL")
    kubernetes = kubernetes_source(config.kubernetes, clock)
    loki = LokiClient(config.loki) if config.loki.url and sources is None else None
    loki_source = LokiSource(loki, clock) if loki else NotConfigured("loki", "LOKI_URL")
    outside: Sequence[OutsideSource] = (alertmanager_source, prometheus_source, kubernetes, loki_source) if sources is None else sources
    evidence: Sequence[EvidenceSource] = (AlertSource(clock), HistorySource(store, clock), *outside)
    board = Board()
    agent = Agent(
        store=store,
        clock=clock,
        sources=evidence,
        playbooks=playbooks,
        model=model,
        budget=Budget(total=calls.total, max_output_tokens=calls.max_output_tokens),
        settings=config.agent,
        board=board,
    )
    worker = Worker(
        store=store,
        queue=queue,
        agent=agent,
        clock=clock,
        settings=config.investigation,
        lease=config.queue.lease,
        rules=rules,
        published=published,
    )

    async def investigate(wanted: list[Investigate]) -> None:
        for item in wanted:
            await queue.enqueue(DIAGNOSE, str(item.investigation_id), priority=item.severity.priority)

    ingester = Ingester(
        store=store,
        inbox=inbox,
        clock=clock,
        settings=config.correlation,
        rules=rules,
        on_investigate=investigate,
        on_cancelled=worker.cancel,
    )
    sweep = Sweep(store=store, queue=queue, clock=clock, settings=config.investigation, keep_bodies=config.inbox.keep_bodies)
    health = Health(
        store=store,
        queue=queue,
        agent=agent,
        sources=outside,
        clock=clock,
        service=config.server.service,
        ollama_url=model.url,
        watchdog_timeout=config.investigation.watchdog_timeout,
    )
    counters = AlertCounters(store, clock)
    reconciler = None
    if alertmanager is not None:
        reconciler = Reconciler(
            client=alertmanager,
            store=store,
            inbox=inbox,
            clock=clock,
            settings=config.reconcile,
            received=counters.received,
        )
    results = Results(store=store, clock=clock, playbooks=playbooks, published=published)
    web = build_application(
        routers=(
            webhook_router(
                inbox=inbox,
                results=results,
                settings=config.inbox,
                clock=clock,
                service=config.server.service,
                counters=counters,
            ),
            incidents_router(store=store, clock=clock, board=board),
            chat_router(agent=agent, store=store, clock=clock, settings=config.inbox, service=config.server.service),
        ),
        health=health,
        collect=(counters.collect, health.collect),
    )
    return App(
        config=config,
        clock=clock,
        store=store,
        inbox=inbox,
        queue=queue,
        ingester=ingester,
        worker=worker,
        sweep=sweep,
        reconciler=reconciler,
        agent=agent,
        model=model,
        prometheus=prometheus,
        kubernetes=kubernetes,
        alertmanager=alertmanager,
        loki=loki,
        sources=outside,
        evidence=evidence,
        health=health,
        published=published,
        web=web,
    )


def rules_without_evidence(playbooks: Sequence[Playbook]) -> RulesReport:
    """The report of last resort: what the rules know about an incident that nobody looked into."""

    def report(incident: Incident, note: str, now: datetime) -> Analysis:
        playbook = playbook_of(incident.lead, playbooks)
        return rules_analysis(incident, diagnose(incident, EvidenceSet(), playbook), playbook, author_note=note, timings={}, now=now)

    return report
