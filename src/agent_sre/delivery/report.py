"""The report: an analysis that was published, first preliminary, then complete. One of each per investigation, never changed afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row
from sqlalchemy.dialects.sqlite import insert

from agent_sre.analysis.analysis import Analysis
from agent_sre.analysis.artifacts import pack_analysis, unpack_analysis
from agent_sre.store.schema import investigation, report


class Stage(StrEnum):
    """received ──> preliminary ──> complete. Nothing is published at `received`: the alert is on disk, that is all."""

    RECEIVED = "received"
    PRELIMINARY = "preliminary"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One published analysis of one incident."""

    id: int
    incident_id: int
    investigation_id: int
    stage: Stage
    analysis: Analysis
    created_at: datetime
    covers_alert_id: int  # the newest alert that its investigation had seen


def run_id_of(thread_id: str, investigation_id: int) -> str:
    """Names the evidence, artifacts and checkpoints of an investigation. One thread per alert, one run per investigation of it."""
    return f"{thread_id}/{investigation_id}"


def publish(connection: Connection, *, incident_id: int, investigation_id: int, stage: Stage, analysis: Analysis, at: datetime) -> bool:
    """Stores a report. False where this investigation has one of this stage already: the first one stands (a node may run twice after a crash)."""
    thread_id = connection.execute(sa.select(investigation.c.thread_id).where(investigation.c.id == investigation_id)).scalar_one()
    body = pack_analysis(connection, run_id_of(thread_id, investigation_id), analysis)
    row = insert(report).values(incident_id=incident_id, investigation_id=investigation_id, stage=stage.value, body=body, created_at=at)
    return connection.execute(row.on_conflict_do_nothing(index_elements=["investigation_id", "stage"])).rowcount == 1


def report_of(connection: Connection, investigation_id: int, stage: Stage) -> Report | None:
    """The report of one investigation at one stage."""
    return _first(connection, report.c.investigation_id == investigation_id, report.c.stage == stage.value, best_first=True)


def latest_report(connection: Connection, incident_id: int, *, with_evidence: bool = True) -> Report | None:
    """What a reader of the incident sees now: the newest investigation's report, its complete one before its preliminary one.

    Without evidence it takes a fraction of the time: for lists.
    """
    return _first(connection, report.c.incident_id == incident_id, best_first=False, with_evidence=with_evidence)


def report_for_alert(connection: Connection, incident_id: int, alert_id: int) -> Report | None:
    """The best report that covers this alert: a complete one before a preliminary one, the newest of those."""
    return _first(connection, report.c.incident_id == incident_id, investigation.c.covers_alert_id >= alert_id, best_first=True)


def _first(connection: Connection, *conditions: Any, best_first: bool, with_evidence: bool = True) -> Report | None:
    complete_first = sa.case((report.c.stage == Stage.COMPLETE.value, 0), else_=1)
    newest_first = report.c.investigation_id.desc()
    row = connection.execute(
        sa.select(report, investigation.c.covers_alert_id, investigation.c.thread_id)
        .join(investigation, investigation.c.id == report.c.investigation_id)
        .where(*conditions)
        .order_by(*((complete_first, newest_first) if best_first else (newest_first, complete_first)))
        .limit(1)
    ).one_or_none()
    return None if row is None else _report(connection, row, with_evidence)


def _report(connection: Connection, row: Row[Any], with_evidence: bool) -> Report:
    return Report(
        id=row.id,
        incident_id=row.incident_id,
        investigation_id=row.investigation_id,
        stage=Stage(row.stage),
        analysis=unpack_analysis(connection, run_id_of(row.thread_id, row.investigation_id), row.body, with_evidence=with_evidence),
        created_at=row.created_at,
        covers_alert_id=row.covers_alert_id,
    )
