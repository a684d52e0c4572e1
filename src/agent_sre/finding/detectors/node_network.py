"""Nodes whose network loses or delays packets: by TCP retransmissions, or because all that runs there became slow at once."""

from __future__ import annotations

from collections.abc import Iterable

from agent_sre.alert.subject import Subject
from agent_sre.finding.finding import Finding
from agent_sre.finding.load import lossy_nodes, measured, slow_nodes
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
        for place, node in enumerate(lossy):
            before, after = seen[node].values["retransmitted"]
            yield Finding(
                detector=self.name,
                summary=f"{node} sends {after:.1f} TCP segments per second again where it was {before:.2f}",
                subject=Subject(kind="Node", name=node),
                facts={"retransmitted": round(after, 3), "before": round(before, 3)},
                evidence_ids=tuple(seen[node].evidence_ids[:4]),
                cause="node_network_packet_loss",
                weight=LOAD.node_loss if place == 0 else LOAD.node_loss * LOAD.less_likely,
                against="Retransmissions of a node also rise where a peer of its pods is gone.",
            )
        for node, ill in slow_nodes(world, seen).items():
            yield Finding(
                detector=self.name,
                summary=f"{', '.join(ill[:5])}: all that runs on {node} became slow, and most of what runs elsewhere did not",
                subject=Subject(kind="Node", name=node),
                facts={"slow": len(ill)},
                evidence_ids=tuple(dict.fromkeys(evidence_id for name in ill for evidence_id in seen[name].evidence_ids))[:6],
                cause="node_network_delay",
                weight=LOAD.node_delay * (LOAD.less_likely if node in lossy else 1.0),
                against="One slow workload makes its callers slow, and they may all run here.",
            )
