"""Pods that no node takes, and why: the scheduler's message, checked against the pod's spec and the nodes.

The scheduler names for each node the first filter that it fails (unschedulable, taints, affinity, resources, volumes, anti-affinity), so a node
that the pod never wanted may be counted under its taint. Of the nodes that the pod wants, what keeps it from them is the cause; of none,
its selector is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import instant_of
from agent_sre.finding.finding import Finding
from agent_sre.finding.notices import Notice, notices
from agent_sre.finding.placement import BY_CONTROLLER, Place, attracts, places, requested, selects, taking_pods, untolerated, wanted_spec
from agent_sre.finding.weights import LIKELY, POSSIBLE, PROVED, STATED
from agent_sre.finding.world import Seen, World, field, mapping, sequence, string
from agent_sre.kit.text import one_line

_REASONS: Mapping[str, re.Pattern[str]] = {
    "unschedulable": re.compile(r"(\d+) node\(s\) were unschedulable"),
    "taint": re.compile(r"(\d+) node\(s\) had (?:untolerated )?taints?(?:\(s\))? ?(\{[^}]*\})?"),
    "affinity": re.compile(r"(\d+) node\(s\) didn't match (?:Pod's )?node (?:affinity/selector|affinity|selector)"),
    "cpu": re.compile(r"(\d+) Insufficient cpu"),
    "memory": re.compile(r"(\d+) Insufficient memory"),
    "anti_affinity": re.compile(
        r"(\d+) node\(s\) didn't (?:match pod (?:affinity/)?anti-affinity(?: rules)?|satisfy existing pods' ?anti-affinity rules"
        r"|satisfy existing pods anti-affinity rules)"
    ),
}
"""What the scheduler says of nodes, in the words of 1.16 to 1.34."""

_CAUSES: Mapping[str, str] = {
    "unschedulable": "node_cordon_mismatch", "taint": "taint_toleration_mismatch", "affinity": "node_affinity_mismatch",
    "selector": "node_selector_mismatch", "cpu": "cpu_capacity_mismatch", "memory": "memory_capacity_mismatch",
    "anti_affinity": "pod_anti_affinity_conflict",
}  # fmt: skip
_LAST_FIRST = ("anti_affinity", "cpu", "memory", "taint", "unschedulable")
"""Filters that hinder, the last first: what comes late had passed all before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """A pod that waits for a node, and what the scheduler last said of it."""

    namespace: str
    name: str
    manifest: Mapping[str, Any]
    message: str
    evidence_ids: tuple[str, ...]
    since: datetime | None


class Unscheduled:
    name = "unscheduled"

    def detect(self, world: World) -> Iterable[Finding]:
        """One finding per workload and reason, of pods that are waiting now. A pod that was placed since is no trouble any more."""
        seen: set[tuple[str, str, str]] = set()
        nodes = places(world)
        for pod in _pending(world):
            subject = world.workload("Pod", pod.namespace, pod.name)
            spec = wanted_spec(world, pod.namespace, subject.name, pod.manifest)
            for reason, weight, because in _why(pod, spec, nodes):
                if (subject.namespace, subject.name, reason) in seen:
                    continue
                seen.add((subject.namespace, subject.name, reason))
                told = f"{pod.name} waits for a node: {because}"
                facts = {"pod": pod.name, **_facts(reason, spec, nodes)}
                yield Finding(
                    detector=self.name, summary=one_line(told, 400), subject=subject, facts=facts,
                    evidence_ids=tuple(dict.fromkeys((*pod.evidence_ids, *(node.evidence_id for node in nodes[:1])))),
                    cause=_CAUSES[reason], weight=weight, began_at=pod.since,
                )  # fmt: skip


def _pending(world: World) -> Iterable[_Pending]:
    last: dict[tuple[str, str], Notice] = {}
    for notice in notices(world, "FailedScheduling"):
        if notice.kind == "Pod" and "nodes are available" in notice.message:
            key = (notice.namespace, notice.name)
            # `describe` prints oldest first, the API in any order
            if key not in last or _time(notice.last_at) >= _time(last[key].last_at):
                last[key] = notice
    for seen in world.objects("Pod"):
        if not _waits(seen):
            continue
        found = last.get((seen.value.namespace, seen.value.name))
        condition = _condition(seen.value.manifest)
        message = found.message if found else string(condition.get("message"))
        since = instant_of(condition, "lastTransitionTime") or instant_of(seen.value.manifest, "metadata", "creationTimestamp")
        if message:
            yield _Pending(
                namespace=seen.value.namespace, name=seen.value.name, manifest=seen.value.manifest, message=message,
                evidence_ids=(found.evidence_id, seen.evidence_id) if found else (seen.evidence_id,),
                since=since or (found.first_at if found else None),
            )  # fmt: skip


def _time(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


def _waits(seen: Seen[KubernetesObject]) -> bool:
    manifest = seen.value.manifest
    return not field(manifest, "spec", "nodeName") and field(manifest, "status", "phase") in ("Pending", None)


def _condition(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    found = (mapping(item) for item in sequence(field(manifest, "status", "conditions")))
    return next((item for item in found if item.get("type") == "PodScheduled"), {})


def _why(pod: _Pending, spec: Mapping[str, Any], nodes: tuple[Place, ...]) -> list[tuple[str, float, str]]:
    """(reason, weight, sentence), the surest first."""
    said = pod.message.partition(" preemption:")[0]
    counts = {
        reason: sum(int(found[1][:6]) for found in pattern.finditer(said) if not _by_controller(found[0])) for reason, pattern in _REASONS.items()
    }
    counts = {reason: count for reason, count in counts.items() if count}
    takes = taking_pods(nodes)
    wanted = [node for node in takes if selects(spec, node) and attracts(spec, node)]
    wants = bool(mapping(spec.get("nodeSelector"))) or bool(field(spec, "affinity", "nodeAffinity"))
    if "affinity" in counts and not wanted:
        selected = any(selects(spec, node) for node in takes)
        if wants and takes:
            return [("affinity", PROVED, "no node has the labels that its affinity asks for")] if selected else [
                ("selector", PROVED, f"no node has the labels of its node selector ({_pairs(spec)})")]  # fmt: skip
    if not counts or ("affinity" in counts and wanted and _by_controller(said)):
        return []  # the nodes that it wants are ill: what is wrong with them says more
    if (
        "affinity" in counts
        and not (counts.keys() & {"cpu", "memory", "anti_affinity", "taint"})
        and not (wanted and all(n.cordoned for n in wanted))
    ):
        reason = "selector" if mapping(spec.get("nodeSelector")) and not field(spec, "affinity", "nodeAffinity") else "affinity"
        return [(reason, STATED, f"the scheduler says: {said}")]
    return _hindered(said, counts, spec, wanted if wants else list(takes))


def _by_controller(said: str) -> bool:
    return any(key in said for key in BY_CONTROLLER)


def _hindered(said: str, counts: Mapping[str, int], spec: Mapping[str, Any], wanted: list[Place]) -> list[tuple[str, float, str]]:
    hinders = dict.fromkeys((reason for reason in _LAST_FIRST if reason in counts), 0)
    for node in wanted:
        taints = [taint for taint in untolerated(spec, node) if not string(taint.get("key")).startswith(BY_CONTROLLER)]
        if node.cordoned and "unschedulable" in hinders:
            hinders["unschedulable"] += 1
        elif taints and "taint" in hinders:
            hinders["taint"] += 1
        else:
            late = next((reason for reason in ("anti_affinity", "cpu", "memory") if reason in hinders), None)
            if late:
                hinders[late] += 1
    if not any(hinders.values()):
        if _by_controller(said):
            return []
        hinders = {reason: counts[reason] for reason in hinders}
    # of several the last filter tells most: all before let the pod pass on some node
    best = max(hinders, key=lambda reason: (hinders[reason] > 0 and reason in ("anti_affinity", "cpu", "memory"), hinders[reason]), default=None)
    if best is None:
        return []
    told = f"the scheduler says: {said}"
    if best in ("cpu", "memory") and {"cpu", "memory"} <= hinders.keys():
        return _of_both(said, spec, wanted)
    others = [(reason, POSSIBLE, told) for reason, count in hinders.items() if reason != best and count]
    return [(best, STATED, told), *others]


def _of_both(said: str, spec: Mapping[str, Any], wanted: list[Place]) -> list[tuple[str, float, str]]:
    """Of processor and memory, what no node has at all; else what takes the larger part of a node."""
    cpu = _share(requested(spec, "cpu"), [node.cpu_cores for node in wanted])
    memory = _share(requested(spec, "memory"), [node.memory_bytes for node in wanted])
    first, second = ("cpu", "memory") if cpu >= memory else ("memory", "cpu")
    told = f"the scheduler says: {said}"
    return [(first, STATED if max(cpu, memory) > 1 else LIKELY, told), (second, POSSIBLE, told)]


def _share(asked: float, had: list[float | None]) -> float:
    largest = max((value for value in had if value), default=0.0)
    return asked / largest if largest else 0.0


def _pairs(spec: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in list(mapping(spec.get("nodeSelector")).items())[:4])


def _facts(reason: str, spec: Mapping[str, Any], nodes: tuple[Place, ...]) -> dict[str, str]:
    if reason == "selector":
        return {"selector": _pairs(spec)}
    if reason == "taint":
        taint = next((taint for node in nodes for taint in untolerated(spec, node) if not string(taint.get("key")).startswith(BY_CONTROLLER)), None)
        return {"taint": f"{taint.get('key')}={taint.get('value') or ''}:{taint.get('effect')}"} if taint else {}
    if reason in ("cpu", "memory"):
        asked = requested(spec, reason)
        return {"requested": f"{asked:g} cores" if reason == "cpu" else f"{asked / 2**20:.0f} MiB"} if asked else {}
    return {}
