"""How an investigation ends: every one that is not superseded ends with exactly one complete report, in the transaction that ends it.

What ended is counted by the caller, after the commit: a transaction that is rolled back has ended nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from agent_sre.alert.alert import Severity
from agent_sre.analysis.analysis import RULES, Analysis
from agent_sre.analysis.markdown import to_markdown
from agent_sre.delivery.report import Stage, publish, report_of
from agent_sre.incident import store as incident_store
from agent_sre.incident.incident import Incident
from agent_sre.incident.timeline import record
from agent_sre.investigation import store as investigation_store
from agent_sre.investigation.investigation import Investigation, InvestigationStatus
from agent_sre.investigation.metrics import INVESTIGATION_SECONDS, INVESTIGATIONS
from agent_sre.kit.durations import readable
from agent_sre.store.schema import bump

SETTLED = "alerts_settled"
"""The persistent counter of alerts that need nothing more: their incident is reported, or they asked for nothing new."""

RulesReport = Callable[[Incident, str, datetime], Analysis]
"""The report that always works: by rules, from what the store knows, with a note that says why it is this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An investigation that has just ended."""

    investigation_id: int
    status: InvestigationStatus
    severity: Severity  # of its incident
    author: str  # "rules" or "model"; empty where it was superseded and published nothing
    took: timedelta


def count_ended(ended: Iterable[Ended]) -> None:
    """Puts them into the metrics. Call it once their transaction is committed."""
    for item in ended:
        INVESTIGATIONS.labels(severity=item.severity.value, status=item.status.value).inc()
        if item.author:
            INVESTIGATION_SECONDS.labels(stage=Stage.COMPLETE.value, author=item.author).observe(item.took.total_seconds())


def complete(connection: Connection, investigation: Investigation, analysis: Analysis, *, at: datetime) -> Ended | None:
    """Ends an investigation well. None, and no change, where it has ended already (resolved or superseded meanwhile)."""
    return _end(connection, investigation, InvestigationStatus.COMPLETE, analysis, at=at)


def fail(connection: Connection, investigation: Investigation, *, error: str, at: datetime, rules: RulesReport) -> Ended | None:
    """Ends an investigation that cannot be brought to its end, visibly, with the rules' report."""
    note = f"the investigation failed: {error}"
    return _end(connection, investigation, InvestigationStatus.FAILED, _best_by_rules(connection, investigation, note, at, rules), at=at, error=error)


def cancel_investigations(connection: Connection, incident_id: int, *, at: datetime, rules: RulesReport) -> list[Ended]:
    """Ends what still runs for a resolved incident: the newest with the rules' report, older ones superseded by it."""
    live = investigation_store.live_investigations(connection, incident_id=incident_id)
    ended = [supersede(connection, older, at=at) for older in live[:-1]]
    for newest in live[-1:]:
        note = "the incident was resolved before a model was asked"
        ended.append(_end(connection, newest, InvestigationStatus.CANCELLED, _best_by_rules(connection, newest, note, at, rules), at=at))
    return [item for item in ended if item is not None]


def supersede(connection: Connection, investigation: Investigation, *, at: datetime) -> Ended | None:
    """Ends an investigation that a newer one of the same incident replaces. It publishes nothing more."""
    if not investigation_store.move(connection, investigation.id, InvestigationStatus.SUPERSEDED, at=at):
        return None
    return _ended(connection, investigation, InvestigationStatus.SUPERSEDED, author="", at=at)


def _best_by_rules(connection: Connection, investigation: Investigation, note: str, at: datetime, rules: RulesReport) -> Analysis:
    preliminary = report_of(connection, investigation.id, Stage.PRELIMINARY)
    if preliminary is not None:
        analysis = replace(preliminary.analysis, author_note=note)
        return replace(analysis, markdown=to_markdown(analysis))
    incident = incident_store.load_incident(connection, investigation.incident_id)
    if incident is None:  # a foreign key says that this cannot be
        raise LookupError(f"investigation {investigation.id} has no incident")
    return rules(incident, note, at)


def _end(
    connection: Connection,
    investigation: Investigation,
    status: InvestigationStatus,
    analysis: Analysis,
    *,
    at: datetime,
    error: str | None = None,
) -> Ended | None:
    if not investigation_store.move(connection, investigation.id, status, at=at, error=error):
        return None
    covers = investigation.covers_alert_id
    if not covers:  # it never started, so it speaks for all that is there now
        covers = incident_store.newest_alert_id(connection, investigation.incident_id)
        investigation_store.cover(connection, investigation.id, covers)
    publish(
        connection,
        incident_id=investigation.incident_id,
        investigation_id=investigation.id,
        stage=Stage.COMPLETE,
        analysis=analysis,
        at=at,
    )
    settled = incident_store.settle_alerts(connection, investigation.incident_id, up_to=covers, at=at)
    bump(connection, SETTLED, settled)
    took = at - investigation.created_at
    words = {
        InvestigationStatus.COMPLETE: f"Report complete after {readable(took)}, written by {analysis.author}",
        InvestigationStatus.CANCELLED: f"Investigation cancelled after {readable(took)}: {analysis.author_note}",
        InvestigationStatus.FAILED: f"Investigation failed after {readable(took)}: {error}; the rules' report stands",
    }[status]
    record(connection, investigation.incident_id, at=at, kind="report", text=words)
    return _ended(connection, investigation, status, author=RULES if analysis.author == RULES else "model", at=at)


def _ended(connection: Connection, investigation: Investigation, status: InvestigationStatus, *, author: str, at: datetime) -> Ended:
    severity = incident_store.severity_of_incident(connection, investigation.incident_id)
    return Ended(investigation_id=investigation.id, status=status, severity=severity, author=author, took=at - investigation.created_at)
