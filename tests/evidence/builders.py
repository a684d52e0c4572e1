"""Incidents for the tests of this room, from labels alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote_plus

from agent_sre.alert.alert import AlertStatus, fingerprint_of
from agent_sre.alert.subject import subject_of
from agent_sre.incident.incident import Incident, IncidentStatus, MemberAlert

NOW = datetime(2026, 11, 23, 6, 45, tzinfo=UTC)
STARTS_AT = datetime(2026, 11, 23, 6, 41, 10, tzinfo=UTC)


def generator_url(expression: str) -> str:
    """As Prometheus writes it; the host is one that must never be called."""
    return f"http://prometheus.invalid:9090/graph?g0.expr={quote_plus(expression)}&g0.tab=1" if expression else ""


def an_alert(
    name: str = "HighMemory",
    expression: str = "",
    labels: Mapping[str, str] | None = None,
    *,
    number: int = 1,
    severity: str = "warning",
    starts_at: datetime = STARTS_AT,
    ends_at: datetime | None = None,
    annotations: Mapping[str, str] | None = None,
) -> MemberAlert:
    """A firing alert as the webhook brings it: with the external label `cluster` and the rule's `severity` beside the series' labels."""
    all_labels = {"alertname": name, "cluster": "prod-eu1", "severity": severity, **(labels or {})}
    return MemberAlert(
        id=number,
        fingerprint=fingerprint_of(all_labels),
        status=AlertStatus.RESOLVED if ends_at else AlertStatus.FIRING,
        name=name,
        severity_text=severity,
        labels=all_labels,
        annotations=annotations or {},
        generator_url=generator_url(expression),
        starts_at=starts_at,
        ends_at=ends_at,
        last_seen_at=starts_at + timedelta(seconds=30),
        sightings=1,
        reason="opened the incident",
        subject=subject_of(all_labels),
    )


def an_incident(*alerts: MemberAlert, number: int = 7) -> Incident:
    """An open incident of these alerts; of one HighMemory alert where there are none."""
    members = alerts or (an_alert(labels={"namespace": "shop", "pod": "cart-0"}),)
    numbered = tuple(replace(alert, id=index) for index, alert in enumerate(members, 1))
    return Incident(
        id=number,
        group_key="",
        title=members[0].name,
        severity=members[0].severity,
        status=IncidentStatus.TRIGGERED,
        subject=members[0].subject,
        alerts=numbered,
        triggered_at=members[0].starts_at,
        last_alert_at=members[-1].starts_at,
        acknowledged_at=None,
        resolved_at=None,
    )
