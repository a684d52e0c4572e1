"""An alert that Prometheus no longer lists although nobody resolved it here: it may be over, or a resolve was lost."""

from __future__ import annotations

from collections.abc import Iterable

from agent_sre.alert.alert import AlertStatus
from agent_sre.finding.facts import facts, member_of, of_kind, text
from agent_sre.finding.finding import Finding
from agent_sre.finding.world import World


class Stale:
    """Reads `active` of Prometheus."""

    name = "stale"

    def detect(self, world: World) -> Iterable[Finding]:
        incident, evidence = world.incident, world.evidence
        for item in of_kind(evidence, "prometheus", "active"):
            member = member_of(incident, item)
            if member.status is not AlertStatus.FIRING:
                continue
            if not item.data:
                summary = "Prometheus no longer lists this alert: it may be over already, or another Prometheus sent it"
            elif any(text(fact.values, "state") == "pending" for fact in facts(item, "active")):
                summary = "Prometheus lists this alert as pending: it went away and is coming back"
            else:
                continue
            yield Finding(
                detector=self.name,
                summary=summary,
                subject=member.subject,
                facts={"listed": bool(item.data)},
                evidence_ids=(item.id,),
            )
