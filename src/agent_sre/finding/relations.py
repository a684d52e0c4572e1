"""What a finding may be a consequence of, by where its object runs and where it belongs; and how much it counts by when it began.

Detectors say what explains their findings where only they know it (the peer that a log line names). What is true of every object stands
here: a pod suffers from its node, and what is missing in a namespace from its quota.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from agent_sre.alert.subject import Subject
from agent_sre.finding.cause import causes
from agent_sre.finding.finding import Finding
from agent_sre.finding.weights import AGE_WEIGHTS, FRESH, OLDEST_WEIGHT
from agent_sre.finding.world import World, field, mapping, sequence, string

_CLUSTER_WIDE = frozenset({"Node", "Namespace"})


def relate(world: World, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The same findings in the same order, with their nodes and namespaces in `explained_by` and weights by age."""
    nodes = {finding.subject.name for finding in findings if finding.cause and finding.subject.kind == "Node"}
    namespaces = {finding.subject.name for finding in findings if finding.cause and finding.subject.kind == "Namespace"}
    return tuple(_related(world, finding, nodes, namespaces) if finding.cause in causes() else finding for finding in findings)


def _related(world: World, finding: Finding, nodes: set[str], namespaces: set[str]) -> Finding:
    explained_by = list(finding.explained_by)
    if finding.subject.kind not in _CLUSTER_WIDE:
        explained_by += [Subject(kind="Node", name=name) for name in dict.fromkeys(_nodes_of(world, finding.subject)) if name in nodes]
        if finding.subject.namespace in namespaces:
            explained_by.append(Subject(kind="Namespace", name=finding.subject.namespace))
    return replace(finding, explained_by=tuple(dict.fromkeys(explained_by)), weight=finding.weight * _worth_by_age(world.onset_at, finding.began_at))


def _worth_by_age(onset_at: datetime, began_at: datetime | None) -> float:
    if began_at is None or onset_at - began_at <= FRESH:
        return 1.0
    return next((weight for age, weight in AGE_WEIGHTS if onset_at - began_at <= age), OLDEST_WEIGHT)


def _nodes_of(world: World, subject: Subject) -> Iterator[str]:
    """The nodes of its pods that are not ready; of all of them where they all run on one."""
    pods = world.pods_by_workload.get((subject.namespace, subject.name), ())
    placed = [(string(field(seen.value.manifest, "spec", "nodeName")), _is_ready(seen.value.manifest)) for seen in pods]
    ill = [node for node, ready in placed if node and not ready]
    yield from ill
    if len({node for node, _ in placed}) == 1:
        yield placed[0][0]


def _is_ready(manifest: object) -> bool:
    conditions = sequence(field(mapping(manifest), "status", "conditions"))
    return any(mapping(item).get("type") == "Ready" and mapping(item).get("status") == "True" for item in conditions)
