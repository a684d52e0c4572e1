"""What the alerts of one incident have in common: one node, one workload, one namespace."""

from __future__ import annotations

from collections.abc import Iterable

from agent_sre.alert.alert import AlertStatus
from agent_sre.alert.subject import Subject, describe, workload_of
from agent_sre.finding.facts import Value, of_kind
from agent_sre.finding.finding import Finding
from agent_sre.finding.world import World
from agent_sre.kit.text import one_line

_FEWEST = 3  # two things share something by chance


class Spread:
    """Reads the incident's own alerts."""

    name = "spread"

    def detect(self, world: World) -> Iterable[Finding]:
        incident, evidence = world.incident, world.evidence
        firing = [alert.subject for alert in incident.alerts if alert.status is AlertStatus.FIRING]
        subjects = list(dict.fromkeys(firing))
        if len(subjects) < _FEWEST:
            return
        shared = _shared(subjects)
        if shared is None:
            return
        what, subject, clue = shared
        known: dict[str, Value] = {"objects": len(subjects), "shared": what}
        if clue:
            known["clue"] = clue
        yield Finding(
            detector=self.name,
            summary=f"All {len(subjects)} affected objects {what}",
            subject=subject,
            facts=known,
            evidence_ids=tuple(item.id for kind in ("alert", "members") for item in of_kind(evidence, "alert", kind)),
        )


def _shared(subjects: list[Subject]) -> tuple[str, Subject, str] | None:
    """(what they share, that object, the clue it gives), the deepest first."""
    first = subjects[0]
    clusters = {subject.cluster for subject in subjects}
    cluster = first.cluster if len(clusters) == 1 else ""
    nodes = {subject.node for subject in subjects}
    if len(nodes) == 1 and first.node:
        node = Subject(kind="Node", name=first.node, node=first.node, cluster=cluster)
        return f"are on {describe(node)}", node, "sick_node"
    workloads = {(subject.namespace, workload_of(subject.name)) for subject in subjects}
    if len(workloads) == 1 and all(subject.kind == "Pod" for subject in subjects):
        return f"are pods of {one_line(workload_of(first.name), 120)}", first, "one_workload"
    namespaces = {subject.namespace for subject in subjects}
    if len(namespaces) == 1 and first.namespace:
        namespace = Subject(kind="Namespace", name=first.namespace, namespace=first.namespace, cluster=cluster)
        return f"are in {describe(namespace)}", namespace, ""
    return None
