"""The incident: what an on-call engineer acknowledges and resolves.

triggered ──> acknowledged ──> resolved
    └───────────────────────────^  │
    ^──────(an alert of it fires again within the refire window)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent_sre.alert.alert import Alert, AlertStatus, Severity, severity_of, thread_id_of
from agent_sre.alert.subject import Subject, subject_of


class IncidentStatus(StrEnum):
    """PagerDuty's words; the arrows are drawn at the top of this module."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberAlert:
    """One firing of one alert, as the store knows it: from its first notification to its resolve."""

    id: int
    fingerprint: str
    status: AlertStatus
    name: str
    severity_text: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    generator_url: str
    starts_at: datetime
    ends_at: datetime | None
    last_seen_at: datetime
    sightings: int  # notifications that spoke of it: repeats, retries and HA twins included
    reason: str  # why it belongs to its incident
    subject: Subject

    @classmethod
    def first_seen(cls, alert: Alert, *, at: datetime, reason: str) -> MemberAlert:
        """An alert that nobody has stored: seen once, now. Its id is 0; one that does not say when it began began now."""
        return cls(
            id=0,
            fingerprint=alert.fingerprint,
            status=alert.status,
            name=alert.name,
            severity_text=alert.severity_text,
            labels=alert.labels,
            annotations=alert.annotations,
            generator_url=alert.generator_url,
            starts_at=alert.starts_at or at,
            ends_at=alert.ends_at,
            last_seen_at=at,
            sightings=1,
            reason=reason,
            subject=subject_of(alert.labels),
        )

    @property
    def severity(self) -> Severity:
        return severity_of(self.severity_text)

    @property
    def thread_id(self) -> str:
        return thread_id_of(self.fingerprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One open or closed problem. `alerts` is never empty; the most severe member comes first, the oldest of those."""

    id: int
    group_key: str  # Alertmanager's, empty where the sender gave none
    title: str
    severity: Severity
    status: IncidentStatus
    subject: Subject
    alerts: tuple[MemberAlert, ...]
    triggered_at: datetime
    last_alert_at: datetime
    acknowledged_at: datetime | None
    resolved_at: datetime | None

    def __post_init__(self) -> None:
        ordered = sorted(self.alerts, key=lambda alert: (alert.severity.priority, alert.starts_at, alert.id))
        object.__setattr__(self, "alerts", tuple(ordered))

    @property
    def key(self) -> str:
        """What people call it: `INC-118`."""
        return incident_key(self.id)

    @property
    def lead(self) -> MemberAlert:
        """The alert that speaks for the incident."""
        return self.alerts[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """Something that happened to an incident, in one sentence."""

    at: datetime
    kind: str  # triggered, joined, repeated, resolved, reopened, investigation, report, cancelled
    text: str


def incident_key(incident_id: int) -> str:
    """`INC-118`."""
    return f"INC-{incident_id}"
