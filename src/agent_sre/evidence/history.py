"""What our own store remembers: whether this happened before, what usually fires in a storm, and what else is wrong right now.

Reads the tables of the rooms below with SQL, because a storm has thousands of alerts and only twenty are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from agent_sre.alert.alert import AlertStatus, severity_of
from agent_sre.alert.subject import Subject, describe
from agent_sre.evidence.evidence import Evidence, Fact, Query, Window
from agent_sre.incident.incident import Incident, incident_key
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import ago, readable
from agent_sre.kit.text import one_line
from agent_sre.kit.times import format_instant
from agent_sre.store.engine import Store
from agent_sre.store.schema import alert as alerts
from agent_sre.store.schema import incident as incidents

NAME = "history"

LOOK_BACK = timedelta(days=7)
"""How far back a firing counts as a recurrence. A week shows what comes with the weekly job and with the daily one."""

STORM_LOOK_BACK = timedelta(days=30)
"""How far back alerts count as usual in a storm. A month has enough storms to count, and systems change slower than that."""

STORM_OBJECTS = 3
"""From so many objects on an incident is a storm, in which what is usual and what is not tells victims from the source."""

MAX_FINGERPRINTS = 500
MAX_RELATED = 20
MAX_FIRINGS = 500
_MAX_NAMES = 20


class HistorySource:
    """Evidence from the store. Kinds of query: recurrence, related, usual."""

    name = NAME

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def plan(self, incident: Incident, now: datetime) -> tuple[Query, ...]:
        """Two questions, about the lead alert and about everything else that fires; a third where many objects alert at once."""
        lead = incident.lead
        name = one_line(lead.name, 120)
        week = Window(start=now - LOOK_BACK, end=now, step=LOOK_BACK)
        usual = Query(
            id="",
            source=NAME,
            kind="usual",
            expression="earlier incidents with these alerts",
            purpose="which of these alerts fire in every storm, and which do not",
            window=Window(start=now - STORM_LOOK_BACK, end=now, step=STORM_LOOK_BACK),
        )
        storm = len({alert.subject for alert in incident.alerts}) >= STORM_OBJECTS
        return (
            Query(
                id="",
                source=NAME,
                kind="recurrence",
                expression=f'earlier firings of "{name}" about {describe(incident.subject)}',
                purpose="whether this happened before, how often, and how long it lasted",
                window=week,
                fingerprint=lead.fingerprint,
            ),
            Query(id="", source=NAME, kind="related", expression="other open alerts", purpose="what else is wrong at the same time"),
            *([usual] if storm else []),
        )

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        """Raises StoreUnavailable where the database cannot be read."""
        began = self._clock.monotonic()
        now = self._clock.now()
        if query.kind == "related":
            related = await self._store.read(lambda connection: _related(connection, incident))
            data, summary, truncated = _related_facts(related, now)
        elif query.kind == "usual":
            since = query.window.start if query.window else now - STORM_LOOK_BACK
            usual = await self._store.read(lambda connection: _usual(connection, incident, since))
            data, summary, truncated = _usual_facts(usual, readable(now - since))
        else:
            since = query.window.start if query.window else now - LOOK_BACK
            recurrence = await self._store.read(lambda connection: _recurrence(connection, incident, since))
            data, summary, truncated = _recurrence_facts(recurrence, now, since)
        return Evidence(
            id=query.id,
            query=query,
            subject=incident.subject,
            data=data,
            summary=summary,
            collected_at=now,
            took=timedelta(seconds=self._clock.monotonic() - began),
            truncated=truncated,
        )


# Recurrence


@dataclass(frozen=True, slots=True, kw_only=True)
class _Firing:
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recurrence:
    firings: tuple[_Firing, ...]  # newest first
    known_since: datetime | None  # the first alert that the store ever saw


def _recurrence(connection: Connection, incident: Incident, since: datetime) -> _Recurrence:
    """Earlier firings of the lead alert: the same fingerprint, or the same name about the same subject."""
    lead = incident.lead
    subject_key = sa.select(incidents.c.subject_key).where(incidents.c.id == incident.id).scalar_subquery()
    same_subject = sa.and_(alerts.c.name == lead.name, incidents.c.subject_key == subject_key)
    rows = connection.execute(
        sa.select(alerts.c.starts_at, alerts.c.ends_at)
        .join(incidents, incidents.c.id == alerts.c.incident_id)
        .where(
            alerts.c.id != lead.id,
            alerts.c.starts_at >= since,
            alerts.c.starts_at <= lead.starts_at,
            # Two alerts of one firing (another container of the same pod) are not a recurrence.
            sa.or_(alerts.c.fingerprint == lead.fingerprint, sa.and_(same_subject, alerts.c.incident_id != incident.id)),
        )
        .order_by(alerts.c.starts_at.desc())
        .limit(MAX_FIRINGS)
    ).all()
    known_since = connection.execute(sa.select(alerts.c.last_seen_at).order_by(alerts.c.id).limit(1)).scalar_one_or_none()
    return _Recurrence(firings=tuple(_Firing(starts_at=row.starts_at, ends_at=row.ends_at) for row in rows), known_since=known_since)


def _recurrence_facts(recurrence: _Recurrence, now: datetime, since: datetime) -> tuple[tuple[Fact, ...], str, bool]:
    young = recurrence.known_since is None or recurrence.known_since > since
    memory = f"; the first alert here came {ago(recurrence.known_since or now, now)}" if young else ""
    span = readable(now - since)
    if not recurrence.firings:
        return (), f"no earlier firing in the last {span}{memory}", False
    lasted = [firing.ends_at - firing.starts_at for firing in recurrence.firings if firing.ends_at and firing.ends_at >= firing.starts_at]
    last = recurrence.firings[0]
    count = len(recurrence.firings)
    text = f"fired {count} {'time' if count == 1 else 'times'} before in the last {span}, last {ago(last.starts_at, now)}"
    values: dict[str, str | int | float | bool | None] = {
        "count": count,
        "last_started_at": format_instant(last.starts_at),
        "last_ended_at": format_instant(last.ends_at) if last.ends_at else None,
        "median_seconds": None,
        "longest_seconds": None,
        "known_since": format_instant(recurrence.known_since) if recurrence.known_since else None,
    }
    if lasted:
        middle = timedelta(seconds=median(duration.total_seconds() for duration in lasted))
        values |= {"median_seconds": middle.total_seconds(), "longest_seconds": max(lasted).total_seconds()}
        text += f" for {readable(lasted[0])}" if count == 1 else f"; lasted {readable(middle)} (median), {readable(max(lasted))} at most"
    return (Fact(name="recurrence", text=text, values=values),), text + memory, count == MAX_FIRINGS


# What is usual


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usual:
    incidents: int  # earlier ones that any of the alerts took part in
    count_by_fingerprint: dict[str, int]
    asked: int
    truncated: bool


def _usual(connection: Connection, incident: Incident, since: datetime) -> _Usual:
    """How many earlier incidents each of the incident's alerts took part in."""
    fingerprints = list(dict.fromkeys(alert.fingerprint for alert in incident.alerts))
    asked = fingerprints[:MAX_FINGERPRINTS]
    earlier = sa.and_(alerts.c.fingerprint.in_(asked), alerts.c.incident_id != incident.id, alerts.c.starts_at >= since)
    took_part = sa.func.count(alerts.c.incident_id.distinct())
    return _Usual(
        incidents=connection.execute(sa.select(took_part).where(earlier)).scalar_one(),
        count_by_fingerprint={
            row[0]: row[1] for row in connection.execute(sa.select(alerts.c.fingerprint, took_part).where(earlier).group_by(alerts.c.fingerprint))
        },
        asked=len(asked),
        truncated=len(fingerprints) > len(asked),
    )


def _usual_facts(usual: _Usual, span: str) -> tuple[tuple[Fact, ...], str, bool]:
    if not usual.incidents:
        return (), f"none of these alerts took part in another incident in the last {span}", usual.truncated
    known = len(usual.count_by_fingerprint)
    earlier = f"{usual.incidents} earlier {'incident' if usual.incidents == 1 else 'incidents'}"
    text = f"{known} of {usual.asked} alerts took part in {earlier} in the last {span}"
    whole = Fact(name="usual", text=text, values={"incidents": usual.incidents})
    each = (
        Fact(name="usual_alert", text=f"in {count} of {usual.incidents}", values={"fingerprint": fingerprint, "incidents": count})
        for fingerprint, count in sorted(usual.count_by_fingerprint.items())
    )
    return (whole, *each), text, usual.truncated


# Related


@dataclass(frozen=True, slots=True, kw_only=True)
class _Other:
    name: str
    severity: str
    subject: Subject
    starts_at: datetime
    incident_id: int
    near: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Related:
    nearest: tuple[_Other, ...]
    count_by_name: dict[str, int]
    count_by_nearness: dict[str, int]


_NEARNESS = ("same node", "same namespace", "same cluster", "elsewhere")


def _related(connection: Connection, incident: Incident) -> _Related:
    """Open alerts of other incidents: on the same node first, then in the same namespace, then in the same cluster."""
    near = _nearness(incident.subject)
    other_open = sa.and_(alerts.c.status == AlertStatus.FIRING.value, alerts.c.incident_id != incident.id)
    joined = sa.join(alerts, incidents, incidents.c.id == alerts.c.incident_id)
    rows = connection.execute(
        sa.select(alerts.c.name, alerts.c.severity, alerts.c.starts_at, alerts.c.incident_id, incidents.c.subject, near.label("near"))
        .select_from(joined)
        .where(other_open)
        .order_by(sa.literal_column("near"), alerts.c.starts_at.desc(), alerts.c.id.desc())
        .limit(MAX_RELATED)
    ).all()
    names = connection.execute(sa.select(alerts.c.name, sa.func.count()).where(other_open).group_by(alerts.c.name)).all()
    by_distance = sa.select(near.label("near"), sa.func.count()).select_from(joined).where(other_open).group_by(sa.literal_column("near"))
    distances = [(row[0], row[1]) for row in connection.execute(by_distance)]
    return _Related(
        nearest=tuple(
            _Other(
                name=row.name,
                severity=row.severity,
                subject=Subject(**row.subject),
                starts_at=row.starts_at,
                incident_id=row.incident_id,
                near=_NEARNESS[row.near],
            )
            for row in rows
        ),
        count_by_name={row[0]: row[1] for row in names},
        count_by_nearness={_NEARNESS[distance]: count for distance, count in sorted(distances)},
    )


def _nearness(subject: Subject) -> ColumnElement[int]:
    """The index into _NEARNESS of an alert of another incident, computed in the database."""
    node = subject.name if subject.kind == "Node" else subject.node
    here = {"namespace": subject.name if subject.kind == "Namespace" else subject.namespace, "cluster": subject.cluster}

    def part(name: str) -> ColumnElement[str]:
        column: ColumnElement[str] = incidents.c.subject[name].as_string()
        return column

    is_node = sa.and_(part("kind") == "Node", part("name") == node)
    whens: list[tuple[ColumnElement[bool], int]] = []
    if node:
        whens.append((sa.or_(part("node") == node, is_node), 0))
    # The same name in another cluster is another namespace; an unknown cluster may be ours.
    same_cluster = sa.or_(part("cluster") == here["cluster"], part("cluster") == "") if here["cluster"] else sa.true()
    if here["namespace"]:
        whens.append((sa.and_(part("namespace") == here["namespace"], same_cluster), 1))
    if here["cluster"]:
        whens.append((part("cluster") == here["cluster"], 2))
    return sa.case(*whens, else_=3) if whens else sa.literal(3)


def _related_facts(related: _Related, now: datetime) -> tuple[tuple[Fact, ...], str, bool]:
    total = sum(related.count_by_nearness.values())
    if not total:
        return (), "no other alert is open", False
    names = sorted(related.count_by_name.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{one_line(name, 120)} ×{count}" if count > 1 else one_line(name, 120) for name, count in names[:5])
    more = f" and {len(names) - 5} other names" if len(names) > 5 else ""
    near = ", ".join(f"{count} {where}" for where, count in related.count_by_nearness.items())
    text = f"{total} other open {'alert' if total == 1 else 'alerts'} ({near}): {listed}{more}"
    counts = Fact(name="counts", text=text, values={one_line(name, 120): count for name, count in names[:_MAX_NAMES]})
    distances = Fact(name="nearness", text=near, values={where: related.count_by_nearness.get(where, 0) for where in _NEARNESS})
    return (counts, distances, *(_other_fact(other, now) for other in related.nearest)), text, total > MAX_RELATED


def _other_fact(other: _Other, now: datetime) -> Fact:
    name = one_line(other.name, 120)
    key = incident_key(other.incident_id)
    return Fact(
        name="related",
        text=f"{name} about {describe(other.subject)}, {other.near}, began {ago(other.starts_at, now)} ({key})",
        values={
            "name": name,
            "severity": severity_of(other.severity).value,
            "kind": other.subject.kind,
            "object": one_line(other.subject.name),
            "namespace": one_line(other.subject.namespace),
            "node": one_line(other.subject.node),
            "near": other.near,
            "starts_at": format_instant(other.starts_at),
            "incident": key,
        },
    )
