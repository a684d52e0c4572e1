"""Services that the curves, edges, changes and logs speak against, by field of trouble. The weighing is in finding/suspicion.py."""

from __future__ import annotations

import math
from collections.abc import Iterable

from agent_sre.finding.finding import Finding
from agent_sre.finding.suspicion import Suspect, suspects
from agent_sre.finding.weights import SERVICES as W
from agent_sre.finding.world import World
from agent_sre.kit.text import one_line

_AGAINST = {
    "cpu_saturation": "more requests for everybody would raise its CPU as well",
    "memory_growth": "caches fill after a start and stay; growth that stops is none",
    "process_restarted": "a rollout restarts processes on purpose",
    "slow_component": "a slow call that it makes and that nobody measures would look the same",
    "network_delay": "a caller that is short of CPU measures long calls too",
    "errors_in_service": "a wrong request of its caller would make it answer with an error",
    "early_return": "fewer requests that need those calls would look the same",
    "bad_rollout": "new pods are cold at first",
    "traffic_shift": "traffic follows what others do; it may be a consequence",
}


class SuspectServices:
    """Finds what `suspects` says of its own causes."""

    def __init__(self, name: str, causes: frozenset[str]) -> None:
        self.name = name
        self._causes = causes

    def detect(self, world: World) -> Iterable[Finding]:
        found = suspects(world)
        # pods, events and nodes tell causes that curves only show the effect of
        beside = W.beside_kubernetes if world.objects("Pod") else 1.0
        for suspect in found[: W.most_suspects]:
            if suspect.cause in self._causes and suspect.strength >= W.least_strength:
                yield self._finding(suspect, found, beside)

    def _finding(self, suspect: Suspect, found: tuple[Suspect, ...], beside: float) -> Finding:
        own = [clue for clue in suspect.clues if clue.cause == suspect.cause]
        rest = [clue for clue in suspect.clues if clue.cause != suspect.cause]
        other = max((item.strength for item in found if item is not suspect), default=0.0)
        # one fault shows in several kinds of curve; one kind alone may be chance
        most = W.one_kind if len(suspect.clues) == 1 else 1.0
        share = beside * (W.only_changed if {clue.kind for clue in suspect.clues} == {"changed"} else 1.0)
        return Finding(
            detector=self.name,
            summary=one_line("; ".join(clue.summary for clue in [*own[:2], *rest[:2]]), 400),
            subject=suspect.subject,
            facts={"strength": round(suspect.strength, 2), "clues": ", ".join(clue.kind for clue in suspect.clues[:6])},
            evidence_ids=tuple(dict.fromkeys(item for clue in suspect.clues[:6] for item in clue.evidence_ids)),
            cause=suspect.cause,
            weight=min(most, weight(suspect.strength, other) * share),
            against=_AGAINST.get(suspect.cause, ""),
        )


def weight(strength: float, other: float) -> float:
    """How surely a suspect is it: little where little was seen, and half where another is as suspect."""
    certainty = 1 - math.exp(-strength / W.certain)
    return round(W.most * certainty * strength / (strength + other), 4) if strength > 0 else 0.0


SATURATION = SuspectServices(name="service_resources", causes=frozenset({"cpu_saturation", "memory_growth", "process_restarted"}))
SLOW = SuspectServices(name="slow_service", causes=frozenset({"slow_component"}))
NETWORK = SuspectServices(name="service_network", causes=frozenset({"network_delay"}))
FAILING = SuspectServices(name="failing_service", causes=frozenset({"errors_in_service", "early_return"}))
ROLLOUT = SuspectServices(name="rollout", causes=frozenset({"bad_rollout"}))
TRAFFIC = SuspectServices(name="traffic", causes=frozenset({"traffic_shift"}))
