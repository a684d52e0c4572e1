"""Whether the rule itself can be believed: does Prometheus evaluate it, and does it know it at all."""

from __future__ import annotations

from collections.abc import Iterable

from agent_sre.finding.facts import facts, member_of, of_kind, text
from agent_sre.finding.finding import Finding
from agent_sre.finding.weights import RULE_FAILS
from agent_sre.finding.world import World
from agent_sre.kit.text import one_line

_WELL = frozenset({"", "ok", "unknown"})  # "unknown" is a rule that was not evaluated yet


class RuleHealth:
    """Reads `rule` of Prometheus."""

    name = "rule_health"

    def detect(self, world: World) -> Iterable[Finding]:
        incident, evidence = world.incident, world.evidence
        for item in of_kind(evidence, "prometheus", "rule"):
            member = member_of(incident, item)
            name = one_line(member.name, 120)
            if not item.data:
                yield Finding(
                    detector=self.name,
                    summary=f"This Prometheus has no rule {name}: it was renamed or removed, or another one sent the alert",
                    subject=member.subject,
                    facts={"known": False},
                    evidence_ids=(item.id,),
                )
            for fact in facts(item, "rule"):
                error, health = one_line(text(fact.values, "last_error"), 300), text(fact.values, "health")
                if not error and health in _WELL:
                    continue
                said = f": {error}" if error else ""
                yield Finding(
                    detector=self.name,
                    summary=f"Prometheus cannot evaluate the rule {name}{said}; trust neither its silence nor its noise",
                    subject=member.subject,
                    facts={"known": True, "clue": "rule_error", "rule": name},
                    evidence_ids=(item.id,),
                    cause="rule_cannot_be_evaluated",
                    weight=RULE_FAILS,
                )
