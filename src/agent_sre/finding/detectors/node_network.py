"""Nodes whose network loses or delays packets: by TCP retransmissions, or because all that runs there became slow at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent_sre.alert.subject import Subject
from agent_sre.finding.finding import Finding
from agent_sre.finding.load import lossy_nodes, measured, ratio, slow_nodes, slowness, split_slowness
from agent_sre.finding.weights import LOAD
from agent_sre.finding.world import World


class NodeNetwork:
    """Reads the retransmissions of nodes and the latency of the workloads on them."""

    name = "node_network"

    def detect(self, world: World) -> Iterable[Finding]:
        if not world.objects("Pod"):
            return
        seen = measured(world)
        lossy = lossy_nodes(world, seen)
        waiting = [item for item in seen.values() if slowness(item) is not None and ratio(item) >= LOAD.waiting_ratio]
        for place, node in enumerate(lossy):
            before, after = seen[node].values["retransmitted"]
            summary = f"{node} sends {after:.1f} TCP segments per second again where it was {before:.2f}"
            share = LOAD.less_likely if place else 1.0
            facts = {"retransmitted": round(after, 3), "before": round(before, 3)}
            # What is lost makes some calls slow, the tail; a delay makes all of them slow, the median, and by far more.
            late = len(waiting) >= LOAD.sources_least
            loss, delay = (LOAD.less_likely, 1.0) if late else (1.0, LOAD.less_likely)
            yield self._finding(node, "node_network_packet_loss", LOAD.node_loss * share * loss, summary, facts, seen[node].evidence_ids)
            if late:
                summary += ", and half of the calls there take far longer than they did"
                yield self._finding(node, "node_network_delay", LOAD.node_delay * share * delay, summary, facts, seen[node].evidence_ids)
        crowds = slow_nodes(world, seen) or split_slowness(world, seen)
        for place, (node, ill) in enumerate(crowds.items()):
            if node in lossy:
                continue
            summary = f"{', '.join(ill[:5])} became slow together; what they share is the way to and from {node}"
            ids = [evidence_id for name in ill for evidence_id in seen[name].evidence_ids]
            weight = LOAD.node_delay if len(crowds) == 1 else LOAD.node_delay_unclear / (place + 1)
            against = "One slow workload that was not measured may be what they share."
            yield self._finding(node, "node_network_delay", weight, summary, {"slow": len(ill)}, ids, against)

    def _finding(
        self, node: str, cause: str, weight: float, summary: str, facts: Mapping[str, float], ids: Iterable[str],
        against: str = "Retransmissions of a node also rise where a peer of its pods is gone.",
    ) -> Finding:  # fmt: skip
        return Finding(
            detector=self.name,
            summary=summary,
            subject=Subject(kind="Node", name=node),
            facts=facts,
            evidence_ids=tuple(dict.fromkeys(ids))[:6],
            cause=cause,
            weight=weight,
            against=against,
        )
