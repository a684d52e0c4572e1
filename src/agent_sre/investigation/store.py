"""The rows of investigations. Plain functions of a connection: the caller owns the transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from agent_sre.incident import store as incident_store
from agent_sre.investigation.investigation import Investigation, InvestigationStatus
from agent_sre.store.schema import investigation

_LIVE = tuple(status.value for status in InvestigationStatus if not status.ended)


def ask_for_investigation(connection: Connection, incident_id: int, *, thread_id: str, reason: str, at: datetime) -> int | None:
    """Makes an investigation, and gives its id. None where one is queued already: it will see the newest alerts anyway."""
    waiting = connection.execute(
        sa.select(investigation.c.id).where(investigation.c.incident_id == incident_id, investigation.c.status == InvestigationStatus.QUEUED.value)
    ).first()
    if waiting is not None:
        return None
    return int(
        connection.execute(
            investigation.insert()
            .values(
                incident_id=incident_id,
                thread_id=thread_id,
                reason=reason,
                status=InvestigationStatus.QUEUED.value,
                covers_alert_id=0,
                created_at=at,
            )
            .returning(investigation.c.id)
        ).scalar_one()
    )


def load_investigation(connection: Connection, investigation_id: int) -> Investigation | None:
    """One investigation."""
    row = connection.execute(sa.select(investigation).where(investigation.c.id == investigation_id)).one_or_none()
    return None if row is None else _investigation(row)


def investigations_of(connection: Connection, incident_id: int) -> list[Investigation]:
    """All investigations of an incident, oldest first."""
    rows = connection.execute(sa.select(investigation).where(investigation.c.incident_id == incident_id).order_by(investigation.c.id))
    return [_investigation(row) for row in rows]


def live_investigations(connection: Connection, *, incident_id: int | None = None) -> list[Investigation]:
    """Investigations that have not ended, oldest first; of one incident or of all."""
    statement = sa.select(investigation).where(investigation.c.status.in_(_LIVE)).order_by(investigation.c.id)
    if incident_id is not None:
        statement = statement.where(investigation.c.incident_id == incident_id)
    return [_investigation(row) for row in connection.execute(statement)]


def start(connection: Connection, investigation_id: int, *, at: datetime) -> Investigation | None:
    """Marks it running. The first start fixes which alerts it covers; a later one (a crash, a retry) leaves that alone. None where it has ended."""
    found = load_investigation(connection, investigation_id)
    if found is None or found.status.ended:
        return None
    if found.status is InvestigationStatus.QUEUED:
        connection.execute(
            investigation.update()
            .where(investigation.c.id == investigation_id)
            .values(
                status=InvestigationStatus.RUNNING.value,
                started_at=at,
                covers_alert_id=incident_store.newest_alert_id(connection, found.incident_id),
            )
        )
        return load_investigation(connection, investigation_id)
    return found


def move(connection: Connection, investigation_id: int, status: InvestigationStatus, *, at: datetime, error: str | None = None) -> bool:
    """Moves a live investigation on. False, and no change, where it has ended already: whoever ended it was first."""
    values: dict[str, Any] = {"status": status.value}
    if status.ended:
        values["finished_at"] = at
    if error is not None:
        values["error"] = error
    moved = connection.execute(investigation.update().where(investigation.c.id == investigation_id, investigation.c.status.in_(_LIVE)).values(values))
    return moved.rowcount == 1


def cover(connection: Connection, investigation_id: int, alert_id: int) -> None:
    """Says which alerts an investigation speaks for that ends before it started."""
    connection.execute(investigation.update().where(investigation.c.id == investigation_id).values(covers_alert_id=alert_id))


def _investigation(row: Row[Any]) -> Investigation:
    return Investigation(
        id=row.id,
        incident_id=row.incident_id,
        thread_id=row.thread_id,
        reason=row.reason,
        status=InvestigationStatus(row.status),
        covers_alert_id=row.covers_alert_id,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error=row.error,
    )
