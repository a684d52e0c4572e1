"""An incident that was over before anybody could look."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from agent_sre.alert.alert import AlertStatus
from agent_sre.finding.facts import of_kind
from agent_sre.finding.finding import Finding
from agent_sre.finding.world import World
from agent_sre.kit.durations import readable

_SHORT = timedelta(minutes=5)


class ShortLived:
    """Reads the incident's own alerts."""

    name = "short_lived"

    def detect(self, world: World) -> Iterable[Finding]:
        incident, evidence = world.incident, world.evidence
        ends = [alert.ends_at for alert in incident.alerts if alert.status is AlertStatus.RESOLVED and alert.ends_at is not None]
        if len(ends) < len(incident.alerts):
            return
        lasted = max(ends) - min(alert.starts_at for alert in incident.alerts)
        if timedelta(0) <= lasted < _SHORT:
            yield Finding(
                detector=self.name,
                summary=f"Over after {readable(lasted)}: a short disturbance, or a threshold that is met for moments",
                subject=incident.subject,
                facts={"seconds": lasted.total_seconds(), "clue": "flapping"},
                evidence_ids=tuple(item.id for item in of_kind(evidence, "alert", "alert")),
            )
