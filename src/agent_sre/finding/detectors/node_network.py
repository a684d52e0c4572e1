"""The network of a node: packets lost, told by its retransmissions, or delayed, told by all its pods having become slow at once.

One slow service makes its callers slow, wherever they run; a slow node makes slow what runs on it, whoever calls. So a delay is the node's only
where all of its pods that serve anything are slow, and most of the others are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from statistics import median

from agent_sre.alert.subject import Subject
from agent_sre.finding.finding import Finding
from agent_sre.finding.weights import (
    POSSIBLE, PROVED, REPORTED_LOSS, RETRANSMISSION_FLOOR, RETRANSMISSION_RISE, SLOW_ALIKE, SLOW_FLOOR_SECONDS, SLOW_MOST_ELSEWHERE,
    SLOW_PODS_LEAST, SLOW_RISE, SLOW_TOGETHER,
)  # fmt: skip
from agent_sre.finding.world import Curve, World, field, string

_RETRANSMISSIONS = re.compile(r"retrans|retans", re.IGNORECASE)
_SLOWNESS = re.compile(r"latency|duration|response_time", re.IGNORECASE)
_LOSS_WORDS = re.compile(r"retrans|packet[ _-]?(?:loss|drop)|dropped packets|network[ _-]?errors", re.IGNORECASE)
_DELAY_WORDS = re.compile(r"\brtt\b|round[ -]trip|network[ _-]?(?:delay|latency)", re.IGNORECASE)
_CURRENT = re.compile(r"[Cc]urrent=([0-9]{1,12}(?:\.[0-9]{1,6})?)")
_NODE_LABELS = ("node", "kubernetes_node", "nodename", "instance", "host", "workload")
_WORKLOAD_LABELS = ("workload", "destination_workload", "deployment", "service", "pod", "app")
_LOOK_BACK = timedelta(minutes=3)
"""An alert comes minutes after the onset."""


class NodeNetwork:
    name = "node_network"

    def detect(self, world: World) -> Iterable[Finding]:
        """Findings about nodes."""
        nodes = {seen.value.name for seen in world.objects("Node")}
        yield from self._lost(world, nodes)
        yield from self._reported(world, nodes)
        yield from self._delayed(world, nodes)

    def _lost(self, world: World, nodes: set[str]) -> Iterator[Finding]:
        split = (world.onset_at - _LOOK_BACK).timestamp()
        found: dict[str, tuple[float, float, Curve]] = {}
        for curve in world.curves:
            node = _first(curve.labels, _NODE_LABELS, nodes) if _RETRANSMISSIONS.search(curve.metric) else ""
            before, now = _sides(curve, split)
            # a rate shows one burst as the same value over its whole window: only values that differ are several bursts
            values = sorted(set(now))
            if node and len(values) >= 3 and before:
                # the median before, for the loss may be older than the alert
                found[node] = (values[-3] * curve.factor, median(before) * curve.factor, curve)
        for node, (now_value, usual, curve) in found.items():
            others = [value for other, (value, _, _) in found.items() if other != node]
            if now_value >= max(RETRANSMISSION_FLOOR, RETRANSMISSION_RISE * usual, RETRANSMISSION_RISE * (median(others) if others else 0.0)):
                told = f"TCP retransmissions of {node} rose to {now_value:.3g}/s, {usual:.3g}/s before"
                yield self._finding("node_network_packet_loss", node, told, curve.evidence_id, PROVED)

    def _reported(self, world: World, nodes: set[str]) -> Iterator[Finding]:
        """What another detector reported about nodes; of several the worst."""
        reports = []
        for seen in world.facts("bundle", "anomalies"):
            node = string(seen.value.values.get("name"))
            cause = "node_network_packet_loss" if _LOSS_WORDS.search(seen.value.text) else "node_network_delay" if _DELAY_WORDS.search(seen.value.text) else ""
            if node in nodes and cause:
                value = _CURRENT.search(seen.value.text)
                reports.append((float(value[1]) if value else 0.0, cause, node, seen))
        worst = max((value for value, *_ in reports), default=0.0)
        for value, cause, node, seen in reports:
            yield self._finding(cause, node, f"reported for {node}: {seen.value.text}"[:300], seen.evidence_id, REPORTED_LOSS if value == worst else POSSIBLE / 2)

    def _delayed(self, world: World, nodes: set[str]) -> Iterator[Finding]:
        split = (world.onset_at - _LOOK_BACK).timestamp()
        places = _node_by_workload(world)
        rises: dict[str, dict[str, tuple[float, Curve]]] = {}
        for curve in world.curves:
            if curve.signal != "latency" and not _SLOWNESS.search(curve.metric):
                continue
            name = next((curve.labels[label] for label in _WORKLOAD_LABELS if curve.labels.get(label) in places), "")
            before, now = _sides(curve, split)
            if not name or len(now) < 2 or not before or median(before) <= 0 or max(now) <= 0:
                continue  # what served nothing tells nothing
            usual, highest = median(before) * curve.factor, sorted(now)[-2] * curve.factor
            rise = highest - usual if highest >= SLOW_RISE * usual and highest - usual >= SLOW_FLOOR_SECONDS else 0.0
            of_node = rises.setdefault(places[name], {})
            of_node[name] = max((rise, curve), of_node.get(name, (0.0, curve)), key=lambda item: item[0])
        for node, found in rises.items():
            here = [rise for rise, _ in found.values()]
            elsewhere = [rise > 0 for other, theirs in rises.items() if other != node for rise, _ in theirs.values()]
            # what is added to each is alike, so that one that rose far more than the others is a cause of its own
            if min(len(here), len(elsewhere)) < SLOW_PODS_LEAST or min(here) <= SLOW_ALIKE * max(here) or node not in nodes:
                continue
            if sum(elsewhere) <= SLOW_MOST_ELSEWHERE * len(elsewhere):
                told = f"all {len(here)} workloads of {node} that serve anything became slow at once, elsewhere {sum(elsewhere)} of {len(elsewhere)}"
                yield self._finding("node_network_delay", node, told, next(iter(found.values()))[1].evidence_id, SLOW_TOGETHER)

    def _finding(self, cause: str, node: str, summary: str, evidence_id: str, weight: float) -> Finding:
        return Finding(
            detector=self.name, summary=summary, subject=Subject(kind="Node", name=node), facts={}, evidence_ids=(evidence_id,), cause=cause, weight=weight
        )


def _sides(curve: Curve, split: float) -> tuple[list[float], list[float]]:
    return [value for at, value in curve.points if at < split], [value for at, value in curve.points if at >= split]


def _first(labels: Mapping[str, str], names: Iterable[str], known: set[str]) -> str:
    for name in names:
        value = labels.get(name, "").rpartition(":")[0] or labels.get(name, "")
        if value in known:
            return value
    return ""


def _node_by_workload(world: World) -> Mapping[str, str]:
    """The node of each workload whose pods all run on one, by the workload's name and its pods' names."""
    found = {}
    for (_, name), pods in world.pods_by_workload.items():
        on = {string(field(seen.value.manifest, "spec", "nodeName")) for seen in pods} - {""}
        if len(on) == 1:
            found[name] = on.pop()
        found.update({seen.value.name: node for seen in pods if (node := string(field(seen.value.manifest, "spec", "nodeName")))})
    return found
