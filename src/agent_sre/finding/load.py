"""Latency, CPU and retransmissions of workloads and nodes before the trouble and now: from curves, else from what another detector reported. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent_sre.evidence.kubernetes.objects import text_of
from agent_sre.finding import wiring
from agent_sre.finding.weights import LOAD
from agent_sre.finding.world import Curve, World

_LATENCY = re.compile(
    r"(?:^|_)p?(50|90|95|99)(?:th)?_?(?:latency|duration|response_time)|(?:latency|duration)(?:_(?:milli)?seconds|_ms)?_?p(50|90|95|99)",
    re.IGNORECASE,
)
_CPU = re.compile(r"(?:^|_)cpu(?:_usage|_cores|_seconds)?$", re.IGNORECASE)
_THROTTLED = re.compile(r"cpu_?(?:cfs|throttl)", re.IGNORECASE)
_REPORTED = re.compile(r"(p(?:50|90|95|99)latency|cpu core)\]?:?[ |]{0,4}Normal=([\d.]{1,14})(ms|s| cores)? -> Current=([\d.]{1,14})", re.IGNORECASE)
_REPORTED_THROTTLED = re.compile(r"cpu_cfs\][ |]{0,4}Val: ([\d.]{1,14})s", re.IGNORECASE)
_RETRANSMITTED = re.compile(r"retrans|tcp_retans", re.IGNORECASE)
_REPORTED_RETRANSMITTED = re.compile(r"retransmission\][ |]{0,4}Normal=([\d.]{1,14})\w* -> Current=([\d.]{1,14})", re.IGNORECASE)
_WHO = ("workload", "service", "deployment", "app", "pod", "node")


@dataclass(slots=True)
class Measured:
    """What was measured of one workload: (usual, now) by kind."""

    values: dict[str, tuple[float, float]] = field(default_factory=dict)
    evidence_ids: list[str] = field(default_factory=list)

    def put(self, kind: str, before: float, after: float, evidence_id: str) -> None:
        self.values.setdefault(kind, (before, after))
        if evidence_id not in self.evidence_ids:
            self.evidence_ids.append(evidence_id)


def measured(world: World) -> dict[str, Measured]:
    """By name of the workload or node."""
    return _measured(world) or _reported(world)


def _measured(world: World) -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    nodes = {seen.value.name for seen in world.objects("Node")}
    for curve in world.curves:
        name = next((curve.labels[label] for label in _WHO if label in curve.labels), "")
        if not name:  # node exporters call their node an instance
            host = curve.labels.get("instance", "").partition(":")[0]
            name = host if host in nodes else ""
        kind = _kind(curve)
        if not name or not kind:
            continue
        values = _before_and_after(curve, world.now.timestamp())
        if values is not None:
            scale = _to_milliseconds(curve) if kind in ("latency", "tail") else 1.0
            found.setdefault(name, Measured()).put(kind, values[0] * scale, values[1] * scale, curve.evidence_id)
    return found


def _kind(curve: Curve) -> str:
    latency = _LATENCY.search(curve.metric)
    if latency:
        return "latency" if "50" in latency.groups() else "tail"
    if _THROTTLED.search(curve.metric):
        return "throttled"
    if _RETRANSMITTED.search(curve.metric):
        return "retransmitted"
    return "cpu" if _CPU.search(curve.metric) else ""


def _to_milliseconds(curve: Curve) -> float:
    """A latency whose metric does not say its unit is in milliseconds, as tracers count."""
    return 1_000.0 * curve.factor if curve.unit_is_known else 1.0


def _before_and_after(curve: Curve, now: float) -> tuple[float, float] | None:
    """The usual value before the trouble and the second highest since."""
    before = sorted(value for at, value in curve.points if at < now - LOAD.recent_seconds and math.isfinite(value))
    after = sorted(value for at, value in curve.points if at >= now - LOAD.recent_seconds and math.isfinite(value))
    if not before or len(after) < 3:
        return None
    return before[len(before) // 2], after[-2]


def _reported(world: World) -> dict[str, Measured]:
    """What another detector says that it measured, where the curves themselves are missing."""
    found: dict[str, Measured] = {}
    for seen in world.facts("bundle", "anomalies"):
        name, text = str(seen.value.values.get("entity_name") or seen.value.values.get("name") or ""), seen.value.text[:4_000]
        told: list[tuple[str, str, str, float]] = []
        for what, before, unit, after in _REPORTED.findall(text):
            kind = "cpu" if "cpu" in what.lower() else "latency" if what.lower().startswith("p50") else "tail"
            told.append((kind, before, after, 1_000.0 if unit == "s" and kind != "cpu" else 1.0))
        told += [("throttled", "0", after, 1.0) for after in _REPORTED_THROTTLED.findall(text)]
        told += [("retransmitted", before, after, 1.0) for before, after in _REPORTED_RETRANSMITTED.findall(text)]
        for kind, before, after, factor in told if name else ():
            values = _number(before), _number(after)
            if values[0] is not None and values[1] is not None:
                found.setdefault(name, Measured()).put(kind, values[0] * factor, values[1] * factor, seen.evidence_id)
    return found


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d+(?:\.\d+)?", text) else None


def slowness(item: Measured, *, entrance: bool = False) -> float | None:
    """How much a workload looks like the source of slowness; None where it is not slow."""
    if "latency" not in item.values:
        return None
    before, after = item.values["latency"]
    if after - before < LOAD.latency_least_ms or (after < LOAD.latency_rise * before and after - before < LOAD.latency_much_ms):
        return None
    usual = before if before > 0 else LOAD.latency_unknown_ms
    score = math.log((after + LOAD.latency_floor_ms) / (usual + LOAD.latency_floor_ms)) - LOAD.deeper_is_quicker * math.log(
        after + LOAD.latency_floor_ms
    )
    return score - (LOAD.entrance if entrance else 0.0)


def ratio(item: Measured) -> float:
    """How many times the usual half of its calls take; 0 where the usual is not known."""
    before, after = item.values["latency"]
    return (after + LOAD.latency_floor_ms) / (before + LOAD.latency_floor_ms) if before > 0 else 0.0


def lossy_nodes(world: World, seen: Mapping[str, Measured]) -> tuple[str, ...]:
    """Nodes whose TCP retransmissions rose, with a workload that suffers; the worst first."""
    if not any(slowness(item) is not None or _tail_rose(item) for item in seen.values()):
        return ()
    found = {}
    placed = {node for nodes in nodes_of_workloads(world).values() for node in nodes}
    for name, item in seen.items():
        before, after = item.values.get("retransmitted", (0.0, 0.0))
        if name in placed and after >= LOAD.retransmitted_least and after >= LOAD.retransmitted_rise * before:
            found[name] = after
    return tuple(sorted(found, key=lambda name: -found[name]))


def slow_nodes(world: World, seen: Mapping[str, Measured]) -> dict[str, tuple[str, ...]]:
    """Nodes of which (nearly) all workloads that only run there became slow, and what those are."""
    here: dict[str, list[str]] = {}
    for name, nodes in nodes_of_workloads(world).items():
        if len(nodes) == 1 and name in seen and seen[name].values.get("latency", (0.0, 0.0))[1] > 0:
            here.setdefault(next(iter(nodes)), []).append(name)
    slow = {name for name, item in seen.items() if slowness(item) is not None}
    found = {}
    for node, names in here.items():
        ill = tuple(name for name in names if name in slow)
        others = [name for other, there in here.items() if other != node for name in there]
        healthy = [name for name in others if name not in slow]
        if len(ill) >= LOAD.crowd_least and len(ill) >= LOAD.crowd_share * len(names) and len(healthy) * 2 >= len(others) > 0:
            found[node] = ill
    return found


def split_slowness(world: World, seen: Mapping[str, Measured]) -> dict[str, tuple[str, ...]]:
    """Nodes whose network alone explains several slow workloads that do not wait for each other, and which those are.

    A latency that callers see grows where a call goes from one node to another. So every source of slowness, a slow workload that calls no slow
    one, must be called across the border of the node. Of two nodes that call each other the one that sends more again comes first, then the one
    with more of the sources: both directions of a connection feel the delay alike.
    """
    calls, nodes = calls_of_workloads(world), nodes_of_workloads(world)
    slow = {name for name, item in seen.items() if slowness(item) is not None}
    sources = sorted(name for name in slow if not calls.get(name, set()) & slow and len(nodes.get(name, ())) == 1)
    if len(sources) < LOAD.sources_least or not calls:
        return {}
    callers: dict[str, set[str]] = {}
    for caller, called in calls.items():
        for name in called:
            callers.setdefault(name, set()).add(caller)
    found: dict[str, tuple[float, int]] = {}
    for node in sorted({node for there in nodes.values() for node in there}):
        across = [
            name
            for name in sources
            if any((nodes[name] == {node}) != (node in nodes.get(caller, set())) and nodes.get(caller) for caller in callers.get(name, ()))
        ]
        if len(across) == len(sources):
            found[node] = (_sent_again(seen.get(node)), sum(nodes[name] == {node} for name in sources))
    return {node: tuple(sources) for node in sorted(found, key=lambda node: found[node], reverse=True)[:2]}


def _sent_again(item: Measured | None) -> float:
    before, after = item.values.get("retransmitted", (0.0, 0.0)) if item is not None else (0.0, 0.0)
    return round(after - before) if after >= LOAD.retransmitted_rise * before else 0.0


def calls_of_workloads(world: World) -> dict[str, set[str]]:
    """Who calls whom, by the edges that were measured and by the addresses in the environment of workloads."""
    found: dict[str, set[str]] = {}
    for seen in world.dependencies:
        found.setdefault(seen.value.source, set()).add(seen.value.destination)
    for workload in wiring.workloads(world):
        called = {address.service for address in wiring.addresses_of(workload.value) if address.in_cluster}
        if called:
            found.setdefault(workload.value.name, set()).update(called)
    return found


def nodes_of_workloads(world: World) -> dict[str, set[str]]:
    """Where the pods of each workload run."""
    found: dict[str, set[str]] = {}
    for (_, name), pods in world.pods_by_workload.items():
        for pod in pods:
            node = text_of(pod.value.manifest, "spec", "nodeName")
            if node:
                found.setdefault(name, set()).add(node)
    return found


def _tail_rose(item: Measured) -> bool:
    before, after = item.values.get("tail", (0.0, 0.0))
    return after - before >= LOAD.latency_least_ms and after >= LOAD.latency_rise * before
