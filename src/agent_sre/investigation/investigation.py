"""One run of the agent over one incident.

    queued ──> running ──> diagnosed ──> analyzing ──> complete
       │          ├──────────────────────────────────> complete     no model could be asked, so there was no line to stand in
       │          │            ├────────────────────> superseded   a newer investigation covers more alerts
       ├──────────┼────────────┼────────────┬───────> cancelled    the incident was resolved; the rules' report stands
       └──────────┴────────────┴────────────┴───────> failed       too many attempts; the rules' report stands and says why

Every investigation that is not superseded ends with exactly one complete report, whatever happened on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agent_sre.delivery.report import run_id_of

DIAGNOSE = "diagnose"
"""The quick lane: gather, diagnose, publish the preliminary report. Many side by side."""

ANALYZE = "analyze"
"""The slow lane: the model's turn. As many side by side as the model server takes, critical incidents first."""


class InvestigationStatus(StrEnum):
    """Where an investigation stands; the arrows are drawn at the top of this module."""

    QUEUED = "queued"
    RUNNING = "running"
    DIAGNOSED = "diagnosed"
    ANALYZING = "analyzing"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    FAILED = "failed"
    SUPERSEDED = "superseded"

    @property
    def ended(self) -> bool:
        return self in (self.COMPLETE, self.CANCELLED, self.FAILED, self.SUPERSEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigation:
    """One row. `covers_alert_id` is 0 until it has started; alerts that join later get an investigation of their own."""

    id: int
    incident_id: int
    thread_id: str
    reason: str
    status: InvestigationStatus
    covers_alert_id: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None

    @property
    def run_id(self) -> str:
        """Names its evidence, artifacts and checkpoints."""
        return run_id_of(self.thread_id, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvestigationSettings:
    """How the work is paced."""

    diagnose_workers: int = 4
    """Investigations in the quick lane at once. 4: they wait for sources, not for the processor."""

    analyze_workers: int = 1
    """Model calls at once. 1: Ollama's own default; more only makes each of them slower."""

    max_attempts: int = 3
    """Tries before an investigation ends as a visible failure with the rules' report."""

    retry_backoff: timedelta = timedelta(seconds=2)
    """Wait before the second try; it doubles with each further one."""

    max_model_wait: timedelta = timedelta(minutes=10)
    """How long an incident waits for its turn at the model before the rules' report becomes final. In a storm, late words help nobody."""

    sweep_interval: timedelta = timedelta(minutes=1)
    """How often work that was never queued is looked for."""

    keep_incidents: timedelta = timedelta(days=90)
    """How long resolved incidents stay."""

    watchdog_timeout: timedelta = timedelta(hours=13)
    """A heartbeat alert (Watchdog) that was seen once counts as missing after this silence. 13 h: Alertmanager's common repeat_interval of
    12 h and some slack; set it to 15m where Watchdog is sent every 5 minutes."""
