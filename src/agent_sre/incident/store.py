"""The rows of incidents and their alerts. Plain functions of a connection: the caller owns the transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from agent_sre.alert.alert import AlertStatus, Severity
from agent_sre.alert.subject import Subject, subject_of
from agent_sre.incident.correlation import Candidate
from agent_sre.incident.incident import Incident, IncidentStatus, MemberAlert
from agent_sre.kit.values import to_plain
from agent_sre.store.schema import alert, incident

V = TypeVar("V")

_IN_LIMIT = 500
"""Values in one IN list; SQLite's own limit is far above, its planner's patience is not."""

OPEN = (IncidentStatus.TRIGGERED.value, IncidentStatus.ACKNOWLEDGED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAlert:
    """The newest firing of a fingerprint, as far as the ingester needs it."""

    id: int
    incident_id: int
    inbox_id: int
    status: AlertStatus
    starts_at: datetime
    start_guessed: bool  # the sender did not say when it started
    ends_at: datetime | None
    last_seen_at: datetime
    settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFilter:
    """What a list shows. Empty means everything; `before` is an incident id, for the next page."""

    status: str = ""
    severity: str = ""
    text: str = ""
    before: int | None = None
    limit: int = 50


def known_alerts(connection: Connection, fingerprints: Iterable[str]) -> dict[str, KnownAlert]:
    """The newest row of each fingerprint that has one: the open firing where there is one, else the last resolved."""
    known: dict[str, KnownAlert] = {}
    for chunk in _chunks(sorted(set(fingerprints))):
        newest = sa.select(sa.func.max(alert.c.id)).where(alert.c.fingerprint.in_(chunk)).group_by(alert.c.fingerprint)
        for row in connection.execute(
            sa.select(
                alert.c.id,
                alert.c.fingerprint,
                alert.c.incident_id,
                alert.c.inbox_id,
                alert.c.status,
                alert.c.starts_at,
                alert.c.start_guessed,
                alert.c.ends_at,
                alert.c.last_seen_at,
                alert.c.settled_at,
            ).where(alert.c.id.in_(newest))
        ):
            known[row.fingerprint] = KnownAlert(
                id=row.id,
                incident_id=row.incident_id,
                inbox_id=row.inbox_id,
                status=AlertStatus(row.status),
                starts_at=row.starts_at,
                start_guessed=row.start_guessed,
                ends_at=row.ends_at,
                last_seen_at=row.last_seen_at,
                settled=row.settled_at is not None,
            )
    return known


def fired_before(connection: Connection, fingerprint: str, alert_id: int) -> bool:
    """Whether this alert had another firing before this one."""
    earlier = sa.select(alert.c.id).where(alert.c.fingerprint == fingerprint, alert.c.id < alert_id).limit(1)
    return connection.execute(earlier).first() is not None


def candidates(connection: Connection, *, group_key: str, subject_keys: Iterable[str]) -> list[Candidate]:
    """Open incidents of this group or about one of these subjects."""
    first_name = sa.select(alert.c.name).where(alert.c.incident_id == incident.c.id).order_by(alert.c.id).limit(1).scalar_subquery().label("name")
    columns = (
        incident.c.id,
        incident.c.subject_key,
        incident.c.group_key,
        incident.c.triggered_at,
        incident.c.last_alert_at,
        first_name,
    )
    found: dict[int, Candidate] = {}
    conditions: list[sa.ColumnElement[bool]] = [incident.c.subject_key.in_(chunk) for chunk in _chunks(sorted(set(subject_keys)))]
    if group_key:
        conditions.append(incident.c.group_key == group_key)
    for condition in conditions:
        for row in connection.execute(sa.select(*columns).where(condition, incident.c.status.in_(OPEN))):
            found[row.id] = Candidate(
                id=row.id,
                name=row.name or "",
                subject_key=row.subject_key,
                group_key=row.group_key,
                triggered_at=row.triggered_at,
                last_alert_at=row.last_alert_at,
            )
    return list(found.values())


def add_incident(
    connection: Connection,
    *,
    title: str,
    severity: Severity,
    subject: Subject,
    subject_key: str,
    group_key: str,
    triggered_at: datetime,
) -> int:
    """Opens an incident and gives its id."""
    return int(
        connection.execute(
            incident.insert()
            .values(
                title=title,
                severity=severity.value,
                status=IncidentStatus.TRIGGERED.value,
                subject=to_plain(Subject, subject),
                subject_key=subject_key,
                group_key=group_key,
                triggered_at=triggered_at,
                last_alert_at=triggered_at,
            )
            .returning(incident.c.id)
        ).scalar_one()
    )


def add_alerts(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Adds firing alerts; the dicts carry the columns of the `alert` table."""
    if rows:
        connection.execute(alert.insert(), rows)


def touch_alerts(connection: Connection, sightings: dict[int, int], *, at: datetime) -> None:
    """Counts repeats: `sightings` says how often each alert id was seen in this message."""
    for count in sorted(set(sightings.values())):
        ids = sorted(key for key, value in sightings.items() if value == count)
        for chunk in _chunks(ids):
            connection.execute(alert.update().where(alert.c.id.in_(chunk)).values(last_seen_at=at, sightings=alert.c.sightings + count))


def move_start(connection: Connection, alert_id: int, starts_at: datetime) -> None:
    """Alertmanager merges overlapping alerts and keeps the earliest start, so a known alert's start may move back."""
    connection.execute(alert.update().where(alert.c.id == alert_id).values(starts_at=starts_at, start_guessed=False))


def resolve_alert(connection: Connection, alert_id: int, *, ends_at: datetime, at: datetime) -> None:
    """Closes one firing."""
    connection.execute(
        alert.update()
        .where(alert.c.id == alert_id)
        .values(status=AlertStatus.RESOLVED.value, ends_at=ends_at, last_seen_at=at, sightings=alert.c.sightings + 1)
    )


def still_firing(connection: Connection, incident_id: int) -> int:
    """How many alerts of the incident fire."""
    return int(
        connection.execute(
            sa.select(sa.func.count()).where(alert.c.incident_id == incident_id, alert.c.status == AlertStatus.FIRING.value)
        ).scalar_one()
    )


def resolve_incident(connection: Connection, incident_id: int, *, at: datetime) -> None:
    """Closes the incident."""
    connection.execute(incident.update().where(incident.c.id == incident_id).values(status=IncidentStatus.RESOLVED.value, resolved_at=at))


def reopen_incident(connection: Connection, incident_id: int) -> None:
    """Opens a resolved incident again: its alert fires again."""
    connection.execute(incident.update().where(incident.c.id == incident_id).values(status=IncidentStatus.TRIGGERED.value, resolved_at=None))


def grow_incident(connection: Connection, incident_id: int, *, severity: Severity, last_alert_at: datetime) -> None:
    """Notes that an alert joined: the incident is as bad as its worst alert, and as young as its newest."""
    current = connection.execute(sa.select(incident.c.severity, incident.c.last_alert_at).where(incident.c.id == incident_id)).one()
    worst = min(Severity(current.severity), severity, key=lambda value: value.priority)
    connection.execute(
        incident.update().where(incident.c.id == incident_id).values(severity=worst.value, last_alert_at=max(current.last_alert_at, last_alert_at))
    )


def severity_of_incident(connection: Connection, incident_id: int) -> Severity:
    """How bad the incident is."""
    return Severity(connection.execute(sa.select(incident.c.severity).where(incident.c.id == incident_id)).scalar_one())


def settle_alerts(connection: Connection, incident_id: int, *, up_to: int, at: datetime) -> int:
    """Marks the incident's alerts up to this id as reported. How many became so."""
    return int(
        connection.execute(
            alert.update().where(alert.c.incident_id == incident_id, alert.c.id <= up_to, alert.c.settled_at.is_(None)).values(settled_at=at)
        ).rowcount
    )


def newest_alert_id(connection: Connection, incident_id: int) -> int:
    """The id of the alert that joined last."""
    return int(connection.execute(sa.select(sa.func.max(alert.c.id)).where(alert.c.incident_id == incident_id)).scalar_one() or 0)


def load_incident(connection: Connection, incident_id: int) -> Incident | None:
    """One incident with all its alerts, None where there is none of this id."""
    loaded = load_incidents(connection, [incident_id])
    return loaded[0] if loaded else None


def load_incidents(connection: Connection, incident_ids: Sequence[int]) -> list[Incident]:
    """These incidents with all their alerts, in the order of the ids given; unknown ids are left out."""
    rows = {
        row.id: row for chunk in _chunks(sorted(set(incident_ids))) for row in connection.execute(sa.select(incident).where(incident.c.id.in_(chunk)))
    }
    members: dict[int, list[MemberAlert]] = {incident_id: [] for incident_id in rows}
    for chunk in _chunks(sorted(rows)):
        for row in connection.execute(sa.select(alert).where(alert.c.incident_id.in_(chunk)).order_by(alert.c.id)):
            members[row.incident_id].append(_member(row))
    return [_incident(rows[key], tuple(members[key])) for key in incident_ids if key in rows]


def list_incident_ids(connection: Connection, wanted: IncidentFilter) -> list[int]:
    """Ids of the incidents that pass the filter, newest first."""
    statement = sa.select(incident.c.id)
    if wanted.status == "open":
        statement = statement.where(incident.c.status.in_(OPEN))
    elif wanted.status:
        statement = statement.where(incident.c.status == wanted.status)
    if wanted.severity:
        statement = statement.where(incident.c.severity == wanted.severity)
    if wanted.text:
        statement = statement.where(incident.c.title.contains(wanted.text, autoescape=True))
    if wanted.before is not None:
        statement = statement.where(incident.c.id < wanted.before)
    return list(connection.execute(statement.order_by(incident.c.id.desc()).limit(wanted.limit)).scalars())


def counts_by_status(connection: Connection) -> dict[str, int]:
    """How many incidents are in each status; a status without any is absent."""
    return {row[0]: row[1] for row in connection.execute(sa.select(incident.c.status, sa.func.count()).group_by(incident.c.status))}


def _incident(row: Row[Any], alerts: tuple[MemberAlert, ...]) -> Incident:
    return Incident(
        id=row.id,
        group_key=row.group_key,
        title=row.title,
        severity=Severity(row.severity),
        status=IncidentStatus(row.status),
        subject=Subject(**row.subject),
        alerts=alerts,
        triggered_at=row.triggered_at,
        last_alert_at=row.last_alert_at,
        acknowledged_at=row.acknowledged_at,
        resolved_at=row.resolved_at,
    )


def _member(row: Row[Any]) -> MemberAlert:
    return MemberAlert(
        id=row.id,
        fingerprint=row.fingerprint,
        status=AlertStatus(row.status),
        name=row.name,
        severity_text=row.severity,
        labels=row.labels,
        annotations=row.annotations,
        generator_url=row.generator_url,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        last_seen_at=row.last_seen_at,
        sightings=row.sightings,
        reason=row.reason,
        subject=subject_of(row.labels),
    )


def _chunks(values: Sequence[V]) -> Iterable[Sequence[V]]:
    return (values[start : start + _IN_LIMIT] for start in range(0, len(values), _IN_LIMIT))
