"""Where a pod may run: its selector, affinity and tolerations against the nodes that there are. What the scheduler does, asked afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_sre.evidence.kubernetes.objects import labels_of
from agent_sre.finding.quantities import amount
from agent_sre.finding.world import World, field, mapping, sequence, string

_CONTROL_PLANE = frozenset({"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master", "node-role.kubernetes.io/etcd"})
_ROLES = frozenset({"master", "control-plane", "controlplane"})
_HOSTNAME = "kubernetes.io/hostname"
BY_CONTROLLER = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "ToBeDeletedByClusterAutoscaler")
"""Taints that say how a node is, which a controller sets and takes away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A node, as the scheduler looks at it."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, Any], ...]
    cordoned: bool
    control_plane: bool
    cpu_cores: float | None  # allocatable; None where nobody said
    memory_bytes: float | None
    evidence_id: str


def places(world: World) -> tuple[Place, ...]:
    """The nodes that were seen."""
    found = []
    for seen in world.objects("Node"):
        labels = labels_of(seen.value)
        spec, allocatable = mapping(seen.value.manifest.get("spec")), mapping(field(seen.value.manifest, "status", "allocatable"))
        taints = tuple(mapping(item) for item in sequence(spec.get("taints")))
        keys = {string(item.get("key")) for item in taints}
        found.append(
            Place(
                name=seen.value.name,
                labels={_HOSTNAME: seen.value.name, **labels},
                taints=taints,
                cordoned=spec.get("unschedulable") is True or "node.kubernetes.io/unschedulable" in keys,
                control_plane=bool((labels.keys() | keys) & _CONTROL_PLANE) or labels.get("kubernetes.io/role") in _ROLES,
                cpu_cores=amount(allocatable.get("cpu")),
                memory_bytes=amount(allocatable.get("memory")),
                evidence_id=seen.evidence_id,
            )
        )
    return tuple(found)


def taking_pods(nodes: Sequence[Place]) -> tuple[Place, ...]:
    """The nodes that workloads may use: without those of the control plane that are kept free of them. All, where that leaves none."""
    kept = tuple(node for node in nodes if not node.control_plane or not (node.cordoned or any(_keeps_free(taint) for taint in node.taints)))
    return kept or tuple(nodes)


def _keeps_free(taint: Mapping[str, Any]) -> bool:
    return string(taint.get("key")) in _CONTROL_PLANE


def wanted_spec(world: World, namespace: str, workload: str, pod: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The pod's spec; where it does not tell the affinity, which kubectl does not print, that of the manifest as applied."""
    spec = dict(mapping(field(pod, "spec"))) if pod is not None else {}
    for seen in world.applied:
        if seen.value.name == workload and seen.value.namespace in (namespace, ""):
            for name, value in mapping(field(seen.value.manifest, "spec", "template", "spec")).items():
                if not spec.get(name):
                    spec[name] = value
    return spec


def selects(spec: Mapping[str, Any], place: Place) -> bool:
    """Whether the node has the labels of `nodeSelector`."""
    return all(place.labels.get(name) == str(value) for name, value in mapping(spec.get("nodeSelector")).items())


def attracts(spec: Mapping[str, Any], place: Place) -> bool:
    """Whether the node fits the required node affinity: any of its terms, all of a term's expressions."""
    terms = sequence(field(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"))
    return not terms or any(_fits(mapping(term), place) for term in terms)


def _fits(term: Mapping[str, Any], place: Place) -> bool:
    fields = {"metadata.name": place.name}
    expressions = [(place.labels, mapping(item)) for item in sequence(term.get("matchExpressions"))]
    expressions += [(fields, mapping(item)) for item in sequence(term.get("matchFields"))]
    return bool(expressions) and all(_holds(labels, expression) for labels, expression in expressions)


def _holds(labels: Mapping[str, str], expression: Mapping[str, Any]) -> bool:
    value, operator = labels.get(string(expression.get("key"))), expression.get("operator")
    values = [str(item) for item in sequence(expression.get("values"))]
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) is (operator == "Exists")
    if operator in ("In", "NotIn"):
        return (value in values) is (operator == "In")
    if operator in ("Gt", "Lt"):
        mine, other = amount(value), amount(values[0] if values else None)
        return mine is not None and other is not None and (mine > other if operator == "Gt" else mine < other)
    return True


def untolerated(spec: Mapping[str, Any], place: Place) -> tuple[Mapping[str, Any], ...]:
    """The node's taints that keep the pod away."""
    tolerations = [mapping(item) for item in sequence(spec.get("tolerations"))]
    return tuple(
        taint
        for taint in place.taints
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not any(_tolerates(item, taint) for item in tolerations)
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    same_key = toleration.get("key") == taint.get("key")
    return same_key and (toleration.get("operator") == "Exists" or (toleration.get("value") or "") == (taint.get("value") or ""))


def requested(spec: Mapping[str, Any], resource: str) -> float:
    """What the pod asks for of "cpu" or "memory": the sum of its containers, a limit where there is no request."""
    total = 0.0
    for item in sequence(spec.get("containers")):
        resources = mapping(mapping(item).get("resources"))
        asked = amount(mapping(resources.get("requests")).get(resource))
        total += (asked if asked is not None else amount(mapping(resources.get("limits")).get(resource))) or 0.0
    return total
