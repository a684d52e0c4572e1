"""What happened to an incident, in order, in sentences."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from agent_sre.incident.incident import TimelineEntry
from agent_sre.store.schema import timeline

SHOWN = 500
"""Entries that a reader gets, the newest. A flapping alert must not make a page that no phone can open."""


def record(connection: Connection, incident_id: int, *, at: datetime, kind: str, text: str) -> None:
    """Appends one entry."""
    connection.execute(timeline.insert().values(incident_id=incident_id, at=at, kind=kind, text=text))


def timeline_of(connection: Connection, incident_id: int) -> tuple[TimelineEntry, ...]:
    """The newest SHOWN entries, oldest first."""
    newest = sa.select(timeline).where(timeline.c.incident_id == incident_id).order_by(timeline.c.id.desc()).limit(SHOWN)
    rows = connection.execute(newest).all()
    return tuple(TimelineEntry(at=row.at, kind=row.kind, text=row.text) for row in reversed(rows))
