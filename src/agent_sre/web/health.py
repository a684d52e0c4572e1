"""Is it well? Real checks only, and an answer within a second whatever hangs.

Checks of other servers run side by side with a deadline of their own; a finding is used again for a few seconds, so that a busy probe does not
become load for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from prometheus_client.core import GaugeMetricFamily, Metric

from agent_sre import __version__
from agent_sre.alert.alert import AlertStatus
from agent_sre.analysis.agent import Agent
from agent_sre.analysis.llm.model import ModelHealth
from agent_sre.analysis.markdown import served_json
from agent_sre.evidence.evidence import SourceHealth
from agent_sre.investigation.ingest import Heartbeat, heartbeats
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import ago, readable
from agent_sre.kit.errors import StoreUnavailable
from agent_sre.kit.times import format_instant
from agent_sre.queue.job import JobQueue
from agent_sre.store.engine import Store

log = logging.getLogger(__name__)

_DEADLINE = timedelta(milliseconds=700)
_FRESH = timedelta(seconds=5)


class Checked(Protocol):
    """Anything with a name that can be asked whether it works."""

    name: str

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109 (the room's own word)
        """A real check, within `timeout`, without exceptions."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    at: float
    model: ModelHealth
    sources: tuple[SourceHealth, ...]


class Health:
    """What `/health`, `/ready` and `/status` say."""

    def __init__(
        self,
        *,
        store: Store,
        queue: JobQueue,
        agent: Agent,
        sources: Sequence[Checked],
        clock: Clock,
        service: str,
        ollama_url: str,
        watchdog_timeout: timedelta,
    ) -> None:
        self._store = store
        self._queue = queue
        self._agent = agent
        self._sources = sources
        self._clock = clock
        self._service = service
        self._ollama_url = ollama_url
        self._watchdog_timeout = watchdog_timeout
        self._started_at = clock.now()
        self._finding: _Finding | None = None
        self._looking = asyncio.Lock()
        self._was_connected: bool | None = None

    async def look(self) -> _Finding:
        """What model and sources answer now; a finding of the last seconds is good enough."""
        async with self._looking:
            found = self._finding
            if found is not None and self._clock.monotonic() - found.at < _FRESH.total_seconds():
                return found
            model, sources = await asyncio.gather(self._check_model(), asyncio.gather(*(self._check(source) for source in self._sources)))
            found = _Finding(at=self._clock.monotonic(), model=model, sources=tuple(sources))
            self._finding = found
            self._say(model)
            return found

    async def report(self) -> dict[str, Any]:
        """The body of `/health`. `degraded` means: alerts are taken, but something behind is missing."""
        store = await self._store_state()
        found = await self.look()
        beats = await self._heartbeats() if store == "ok" else []
        healthy = (
            store == "ok"
            and found.model.connected
            and self._agent.graph_compiled
            and all(source.state != "error" for source in found.sources)
            and all(beat["state"] == "ok" for beat in beats)
        )
        return {
            "status": "healthy" if healthy else "degraded",
            "service": self._service,
            "ollama_url": self._ollama_url,
            "model_name": found.model.model,
            "llm_connected": found.model.connected,
            "llm_detail": found.model.detail,
            "model": None if found.model.served is None else served_json(found.model.served),
            "graph_compiled": self._agent.graph_compiled,
            "version": __version__,
            "store": store,
            "queue_depth": await self._queue_depth() if store == "ok" else None,
            "sources": {source.name: {"state": source.state, "reason": source.reason} for source in found.sources},
            "heartbeats": beats,
            "timestamp": format_instant(self._clock.now()),
        }

    async def status(self) -> dict[str, Any]:
        """The body of `/status`: the health, and how the work goes."""
        depth = await self._queue.depth()
        now = self._clock.now()
        return {
            **await self.report(),
            "started_at": format_instant(self._started_at),
            "uptime": readable(now - self._started_at),
            "queue": {
                entry.kind: {
                    "queued": entry.queued,
                    "running": entry.leased,
                    "oldest": ago(entry.oldest_at, now) if entry.oldest_at else None,
                }
                for entry in depth
            },
        }

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether an alert that came now would be stored."""
        state = await self._store_state()
        return state == "ok", {"status": "ready" if state == "ok" else "not_ready", "service": self._service, "store": state}

    async def collect(self) -> list[Metric]:
        """Queue depth and age, and heartbeats, as metrics."""
        now = self._clock.now()
        depth = GaugeMetricFamily("agent_sre_queue_depth", "Jobs by lane and state.", labels=["kind", "state"])
        age = GaugeMetricFamily("agent_sre_queue_oldest_age_seconds", "Age of the oldest queued job by lane.", labels=["kind"])
        for entry in await self._queue.depth():
            depth.add_metric([entry.kind, "queued"], entry.queued)
            depth.add_metric([entry.kind, "running"], entry.leased)
            age.add_metric([entry.kind], _seconds_since(entry.oldest_at, now))
        beat_age = GaugeMetricFamily("agent_sre_heartbeat_age_seconds", "Silence of each heartbeat alert.", labels=["alertname"])
        missing = GaugeMetricFamily("agent_sre_heartbeat_missing", "1 where a heartbeat alert is overdue.", labels=["alertname"])
        for beat in await self._store.read(heartbeats):
            beat_age.add_metric([beat.name], _seconds_since(beat.last_seen_at, now))
            missing.add_metric([beat.name], 0 if self._beats(beat) else 1)
        return [depth, age, beat_age, missing]

    async def _check_model(self) -> ModelHealth:
        try:
            async with asyncio.timeout(_DEADLINE.total_seconds()):
                return await self._agent.model.check(_DEADLINE)
        except TimeoutError:
            detail = f"Ollama did not answer within {readable(_DEADLINE)}"
            return ModelHealth(connected=False, model=self._agent.model.name, detail=detail, reason="timeout")

    async def _check(self, source: Checked) -> SourceHealth:
        try:
            async with asyncio.timeout(_DEADLINE.total_seconds()):
                return await source.check(_DEADLINE)
        except TimeoutError:
            return SourceHealth(name=source.name, state="error", reason=f"no answer within {readable(_DEADLINE)}")

    def _say(self, model: ModelHealth) -> None:
        if model.connected and not self._was_connected:
            log.info(
                "%s connection established: %s (model %s)",
                self._agent.model.title,
                self._ollama_url,
                model.model,
                extra={"action": "llm_connected", "gen_ai.request.model": model.model},
            )
        elif not model.connected and self._was_connected is not False:
            log.warning("%s is not usable, rules write the reports: %s", self._agent.model.title, model.detail, extra={"action": "llm_unavailable"})
        self._was_connected = model.connected

    async def _store_state(self) -> str:
        try:
            async with asyncio.timeout(_DEADLINE.total_seconds()):
                await self._store.check_writable()
        except StoreUnavailable as error:
            return str(error)
        except TimeoutError:
            return f"no write within {readable(_DEADLINE)}"
        return "ok"

    async def _queue_depth(self) -> int:
        return sum(entry.queued + entry.leased for entry in await self._queue.depth())

    async def _heartbeats(self) -> list[dict[str, str]]:
        now = self._clock.now()
        return [
            {
                "name": beat.name,
                "state": "ok" if self._beats(beat) else "missing",
                "last_seen": ago(beat.last_seen_at, now),
            }
            for beat in await self._store.read(heartbeats)
        ]

    def _beats(self, beat: Heartbeat) -> bool:
        return beat.status is AlertStatus.FIRING and self._clock.now() - beat.last_seen_at <= self._watchdog_timeout


def _seconds_since(instant: datetime | None, now: datetime) -> float:
    return 0.0 if instant is None else max(0.0, (now - instant).total_seconds())
