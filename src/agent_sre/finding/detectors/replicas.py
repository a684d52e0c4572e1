"""Workloads that are told to have no pods, or fewer than their load wants: zero replicas, and an autoscaler at its limit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import condition, instant_of, labels_of
from agent_sre.finding.finding import Finding
from agent_sre.finding.notices import Notice, notices
from agent_sre.finding.weights import LIKELY, POSSIBLE, PROVED, STATED, ZERO_BY_PLAN
from agent_sre.finding.world import Seen, World, field, mapping, string
from agent_sre.kit.text import one_line

_TO_ZERO = re.compile(r"Scaled down replica set (\S+) (?:from [1-9][0-9]* )?to 0\b|delete Pod")


class Replicas:
    name = "replicas"

    def detect(self, world: World) -> Iterable[Finding]:
        """One finding per workload."""
        for kind in ("Deployment", "StatefulSet"):
            for seen in world.objects(kind):
                if field(seen.value.manifest, "spec", "replicas") == 0:
                    yield self._zero(world, kind, seen)
        yield from self._limited(world)

    def _zero(self, world: World, kind: str, seen: Seen[KubernetesObject]) -> Finding:
        applied = next((item for item in world.applied if (item.value.kind, item.value.name) == (kind, seen.value.name)), None)
        should = field(applied.value.manifest, "spec", "replicas") if applied else None
        scaled = _scaled_down(world, kind, seen)
        called = _called(world, seen)
        told = f"{seen.value.name} is scaled to 0 replicas"
        if isinstance(should, int) and should > 0:
            weight, told = STATED, f"{told}, though {should} were applied"
        elif scaled is not None:
            weight, told = STATED, f"{told}: {scaled.quote}"
        elif called:
            weight, told = PROVED, f"{told}, and the service {called} has nobody else to send to"
        else:
            weight = ZERO_BY_PLAN
        ids = [seen.evidence_id, *([scaled.evidence_id] if scaled else []), *([applied.evidence_id] if applied else [])]
        return Finding(
            detector=self.name, summary=one_line(told, 300), subject=Subject(kind=kind, name=seen.value.name, namespace=seen.value.namespace),
            facts={"replicas": should if isinstance(should, int) and should > 0 else None}, evidence_ids=tuple(dict.fromkeys(ids)),
            cause="deployment_zero_replicas", weight=weight, began_at=scaled.last_at if scaled else None,
            against="" if called else "No service sends to it: it may be switched off on purpose.",
        )  # fmt: skip

    def _limited(self, world: World) -> Iterator[Finding]:
        for seen in world.objects("HorizontalPodAutoscaler"):
            limited = condition(seen.value, "ScalingLimited")
            active = condition(seen.value, "ScalingActive")
            spec, status = mapping(seen.value.manifest.get("spec")), mapping(seen.value.manifest.get("status"))
            target = mapping(spec.get("scaleTargetRef"))
            subject = Subject(
                kind=string(target.get("kind")) or "Deployment", name=string(target.get("name")) or seen.value.name, namespace=seen.value.namespace
            )
            most, now = spec.get("maxReplicas"), status.get("currentReplicas")
            if isinstance(most, int) and now == most and limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
                yield self._autoscaler(
                    subject, seen, f"the autoscaler {seen.value.name} wants more than its {most} replicas", "autoscaler_at_limit", LIKELY, most
                )
            elif active.get("status") == "False" and active.get("reason") != "ScalingDisabled":
                told = f"the autoscaler {seen.value.name} cannot scale: {string(active.get('message')) or active.get('reason')}"
                yield self._autoscaler(subject, seen, told, "autoscaler_blind", POSSIBLE, most)

    def _autoscaler(self, subject: Subject, seen: Seen[KubernetesObject], told: str, cause: str, weight: float, most: object) -> Finding:
        since = instant_of(condition(seen.value, "ScalingLimited"), "lastTransitionTime")
        return Finding(
            detector=self.name, summary=one_line(told, 300), subject=subject,
            facts={"autoscaler": seen.value.name, "replicas": most if isinstance(most, int) else None},
            evidence_ids=(seen.evidence_id,), cause=cause, weight=weight, began_at=since,
        )  # fmt: skip


def _scaled_down(world: World, kind: str, seen: Seen[KubernetesObject]) -> Notice | None:
    found = [
        notice
        for notice in notices(world, "ScalingReplicaSet", "SuccessfulDelete")
        if (notice.kind, notice.namespace, notice.name) == (kind, seen.value.namespace, seen.value.name) and _TO_ZERO.search(notice.message)
    ]
    return found[-1] if found else None


def _called(world: World, seen: Seen[KubernetesObject]) -> str:
    """The service that selects this workload's pods and nobody else's; empty: none."""
    template = mapping(field(seen.value.manifest, "spec", "template", "metadata", "labels")) or mapping(
        field(seen.value.manifest, "spec", "selector", "matchLabels")
    )
    labels = {str(name): str(value) for name, value in template.items()}
    for service in world.objects("Service", seen.value.namespace):
        selector = mapping(field(service.value.manifest, "spec", "selector"))
        if selector and labels and all(labels.get(str(name)) == str(value) for name, value in selector.items()):
            pods = world.objects("Pod", seen.value.namespace)
            if not any(all(labels_of(pod.value).get(str(name)) == str(value) for name, value in selector.items()) for pod in pods):
                return service.value.name
    return ""
