"""The alert itself as evidence: what the sender already told us is the first thing that a report may rest on.

Labels and annotations are the sender's words: cleaned, redacted, cut, and still untrusted. `subject` is what we made of the labels
(alert/subject.py): the object that is broken, not the exporter that reported it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from agent_sre.alert.alert import AlertStatus
from agent_sre.alert.subject import Subject, describe
from agent_sre.evidence.evidence import Evidence, Fact, Query
from agent_sre.incident.incident import Incident, MemberAlert
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import ago, readable
from agent_sre.kit.redact import redact
from agent_sre.kit.text import clean, one_line
from agent_sre.kit.times import format_instant

NAME = "alert"

MAX_LABELS = 64
MAX_MEMBERS = 20
_LABEL_LIMIT = 1024
_ANNOTATION_LIMIT = 4096


class AlertSource:
    """Evidence out of the incident's own alerts; nobody is asked. Kinds of query: alert, members."""

    name = NAME

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def plan(self, incident: Incident, now: datetime) -> tuple[Query, ...]:  # noqa: ARG002
        """The lead alert; with others beside it, those too."""
        lead = incident.lead
        name = one_line(lead.name, 120)
        queries = [_query("alert", f'alert "{name}"', "what the alert itself says", lead.fingerprint)]
        if len(incident.alerts) > 1:
            queries.append(_query("members", f"alerts of {incident.key}", "which other alerts belong to this incident", ""))
        return tuple(queries)

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        """Never fails."""
        return self._members(query, incident) if query.kind == "members" else self._alert(query, incident)

    def _alert(self, query: Query, incident: Incident) -> Evidence:
        lead = incident.lead
        now = self._clock.now()
        summary = f"{one_line(lead.name, 120)} ({one_line(lead.severity_text, 40)}) about {describe(lead.subject)}, {_state(lead, now)}"
        facts = (_alert_fact(lead, summary), _subject_fact(lead.subject), _labels_fact(lead.labels), *_annotation_facts(lead.annotations))
        return self._evidence(query, lead.subject, facts, summary, truncated=len(lead.labels) > MAX_LABELS)

    def _members(self, query: Query, incident: Incident) -> Evidence:
        lead = incident.lead
        others = [alert for alert in incident.alerts if alert.id != lead.id]
        others.sort(key=lambda alert: (alert.status != AlertStatus.FIRING, alert.severity.priority, alert.starts_at, alert.id))
        counts = Counter(one_line(alert.name, 120) for alert in others)
        summary = f"{len(others)} more: " + ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in counts.most_common(5))
        if len(counts) > 5:
            summary += f" and {len(counts) - 5} other names"
        facts = tuple(_alert_fact(alert, _member_line(alert)) for alert in others[:MAX_MEMBERS])
        counted = Fact(name="counts", text=summary, values=dict(counts.most_common(20)))
        return self._evidence(query, incident.subject, (counted, *facts), summary, truncated=len(others) > MAX_MEMBERS)

    def _evidence(self, query: Query, subject: Subject, data: tuple[Fact, ...], summary: str, *, truncated: bool) -> Evidence:
        return Evidence(
            id=query.id,
            query=query,
            subject=subject,
            data=data,
            summary=summary,
            collected_at=self._clock.now(),
            took=timedelta(0),
            truncated=truncated,
        )


def _query(kind: str, expression: str, purpose: str, fingerprint: str) -> Query:
    return Query(id="", source=NAME, kind=kind, expression=expression, purpose=purpose, fingerprint=fingerprint)


def _alert_fact(alert: MemberAlert, text: str) -> Fact:
    values: dict[str, str | int | float | bool | None] = {
        "name": one_line(alert.name, 120),
        "severity": one_line(alert.severity_text, 40),
        "status": alert.status.value,
        "fingerprint": alert.fingerprint,
        "starts_at": format_instant(alert.starts_at),
        "ends_at": format_instant(alert.ends_at) if alert.ends_at else None,
        "sightings": alert.sightings,
        "reason": one_line(alert.reason),
    }
    return Fact(name="alert", text=text, values=values)


def _subject_fact(subject: Subject) -> Fact:
    parts = {
        "kind": subject.kind, "name": subject.name, "namespace": subject.namespace, "container": subject.container,
        "node": subject.node, "service": subject.service, "cluster": subject.cluster,
    }  # fmt: skip
    return Fact(name="subject", text=describe(subject), values={name: one_line(value) for name, value in parts.items() if value})


def _labels_fact(labels: Mapping[str, str]) -> Fact:
    cleaned = {one_line(name, 120): redact(one_line(labels[name], _LABEL_LIMIT)) for name in sorted(labels)[:MAX_LABELS]}
    return Fact(name="labels", text=", ".join(f"{name}={value}" for name, value in cleaned.items()), values=cleaned)


def _annotation_facts(annotations: Mapping[str, str]) -> list[Fact]:
    """Summary and description first: they are written for people. The rest follows by name."""
    order = sorted(annotations, key=lambda name: (name != "summary", name != "description", name))[:MAX_LABELS]
    return [_annotation_fact(one_line(name, 120), redact(clean(annotations[name], _ANNOTATION_LIMIT))) for name in order]


def _annotation_fact(name: str, text: str) -> Fact:
    return Fact(name="annotation", text=text, values={"name": name})


def _state(alert: MemberAlert, now: datetime) -> str:
    if alert.status == AlertStatus.FIRING:
        return f"firing since {format(alert.starts_at, '%Y-%m-%d %H:%M:%SZ')} ({ago(alert.starts_at, now)})"
    lasted = f" after {readable(alert.ends_at - alert.starts_at)}" if alert.ends_at else ""
    return f"resolved{lasted}"


def _member_line(alert: MemberAlert) -> str:
    name, severity = one_line(alert.name, 120), one_line(alert.severity_text, 40)
    return f"{name} ({severity}) about {describe(alert.subject)}, {alert.status.value}"
