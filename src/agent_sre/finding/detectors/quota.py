"""Quotas of a namespace that refuse what is to be made: by the controller's message, or because one is used up and something is missing.

A Service that a quota refuses leaves no event at all: whoever applied it saw the error. The quota is full and what was applied is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import instant_of
from agent_sre.finding.finding import Finding
from agent_sre.finding.notices import Notice, complaints, notices
from agent_sre.finding.quantities import amount
from agent_sre.finding.weights import PROVED, QUOTA_FULL, REFUSED_BEFORE, STATED
from agent_sre.finding.world import World, field, mapping, sequence, string
from agent_sre.kit.text import one_line

_REFUSED = re.compile(r"exceeded quota: ([^,]+), requested: (.+?), used: (.+?), limited: (.+)", re.DOTALL)
_UNSPECIFIED = re.compile(r"failed quota: ([^:]+): must specify ([a-z.,-]+)")
_PAIR = re.compile(r"([A-Za-z0-9./_-]+)=([0-9.]+[A-Za-z]*)")
_FIELDS = ("cpu", "memory", "pod", "service", "storage")


class QuotaExceeded:
    name = "quota_exceeded"

    def detect(self, world: World) -> Iterable[Finding]:
        """One finding per namespace and kind of resource."""
        found: dict[tuple[str, str], Finding] = {}
        for finding in (*self._refused(world), *self._full(world)):
            key = (finding.subject.name, finding.cause)
            if key not in found or finding.weight > found[key].weight:
                found[key] = finding
        return found.values()

    def _refused(self, world: World) -> Iterator[Finding]:
        for notice in (*complaints(world), *_failures(world)):
            refused = _REFUSED.search(notice.message)
            unspecified = _UNSPECIFIED.search(notice.message) if refused is None else None
            if refused is not None:
                quota, resources = refused.group(1).strip(), _exceeded(*refused.groups()[1:])
            elif unspecified is not None:
                quota, resources = unspecified.group(1).strip(), tuple(unspecified.group(2).split(","))
            else:
                continue
            # a refusal that was got over since is history
            weight = STATED if _still_missing(world, notice) else REFUSED_BEFORE
            for of in dict.fromkeys(filter(None, map(_field_of, resources))):
                yield self._finding(notice.namespace, of, quota, f"the quota {quota} refused {notice.name}: {notice.quote}", notice, weight)

    def _finding(self, namespace: str, of: str, quota: str, summary: str, notice: Notice, weight: float) -> Finding:
        return Finding(
            detector=self.name, summary=summary, subject=Subject(kind="Namespace", name=namespace), facts={"quota": quota, "refused": notice.name},
            evidence_ids=(notice.evidence_id,), cause=f"namespace_{of}_quota_exceeded", weight=weight, began_at=notice.last_at,
        )  # fmt: skip

    def _full(self, world: World) -> Iterator[Finding]:
        for seen in world.objects("ResourceQuota"):
            namespace, manifest = seen.value.namespace, seen.value.manifest
            hard = mapping(field(manifest, "status", "hard")) or mapping(field(manifest, "spec", "hard"))
            used = mapping(field(manifest, "status", "used"))
            for resource in hard:
                of, most, now = _field_of(str(resource)), amount(hard.get(resource)), amount(used.get(resource))
                if of is None or most is None or now is None:
                    continue
                missing, asks = _missing(world, namespace, of, str(resource))
                # full, or too little is left for what is missing
                if now < most and not (missing and asks is not None and now + asks > most):
                    continue
                weight = PROVED if missing else QUOTA_FULL
                lacks = f", and {missing} is missing" if missing else ""
                told = f"of the quota {seen.value.name} {used.get(resource)} of {hard.get(resource)} {resource} are used{lacks}"
                yield Finding(
                    detector=self.name, summary=one_line(told, 300),
                    subject=Subject(kind="Namespace", name=namespace), facts={"quota": seen.value.name, "refused": missing or None},
                    evidence_ids=(seen.evidence_id,), cause=f"namespace_{of}_quota_exceeded", weight=weight,
                    against="" if missing else "Nothing was seen that the quota refused.",
                    began_at=instant_of(manifest, "metadata", "creationTimestamp") if missing else None,
                )  # fmt: skip


def _failures(world: World) -> Iterator[Notice]:
    """What ReplicaSets and the like say of the pods that they could not make, in their conditions."""
    for kind in ("ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job"):
        for seen in world.objects(kind):
            for item in sequence(field(seen.value.manifest, "status", "conditions")):
                condition = mapping(item)
                if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
                    at = instant_of(condition, "lastTransitionTime")
                    yield Notice(
                        evidence_id=seen.evidence_id, kind=kind, namespace=seen.value.namespace, name=seen.value.name, host="",
                        reason=string(condition.get("reason")), message=string(condition.get("message")), first_at=at, last_at=at,
                    )  # fmt: skip


def _exceeded(requested: str, used: str, limited: str) -> tuple[str, ...]:
    """The resources of which more is asked for than is left; all that are named where the numbers do not tell."""
    asked, had, most = (dict(_PAIR.findall(part)) for part in (requested, used, limited))
    over = []
    for name, value in asked.items():
        numbers = [amount(value), amount(had.get(name)), amount(most.get(name))]
        if None not in numbers and (numbers[0] or 0) + (numbers[1] or 0) > (numbers[2] or 0):
            over.append(name)
    return tuple(over) or tuple(asked)


def _field_of(resource: str) -> str | None:
    name = resource.strip().casefold().removeprefix("count/").removeprefix("requests.").removeprefix("limits.")
    if "storage" in name or name.startswith("persistentvolumeclaims"):
        return "storage"
    return next((of for of in _FIELDS if name.split(".")[0] in (of, f"{of}s")), None)


def _still_missing(world: World, notice: Notice) -> bool:
    """Whether the refused is still not there: the workload has fewer pods than it should, as far as anybody saw."""
    subject = world.workload(notice.kind, notice.namespace, notice.name)
    seen = world.object(subject.kind, notice.namespace, subject.name) or world.object(notice.kind, notice.namespace, notice.name)
    if seen is None:
        return True
    wanted, there = field(seen.value.manifest, "spec", "replicas"), field(seen.value.manifest, "status", "readyReplicas")
    if there is None:
        there = field(seen.value.manifest, "status", "availableReplicas")
    return not isinstance(wanted, int) or not isinstance(there, int) or there < wanted


def _missing(world: World, namespace: str, of: str, resource: str) -> tuple[str, float | None]:
    """Something that should be in the namespace and is not, of the kind that this quota counts, and how much it asks for. Empty: nothing."""
    if of == "service":
        there = {seen.value.name for seen in world.objects("Service", namespace)}
        return next(((item.name, 1.0) for item in _applied(world, "Service", namespace) if there and item.name not in there), ("", None))
    if of == "storage":
        return _missing_claim(world, namespace, resource)
    for kind in ("Deployment", "StatefulSet"):
        for seen in world.objects(kind, namespace):
            wanted, made = field(seen.value.manifest, "spec", "replicas"), field(seen.value.manifest, "status", "replicas")
            if isinstance(wanted, int) and isinstance(made, int) and made < wanted:
                return seen.value.name, _request(field(seen.value.manifest, "spec", "template", "spec"), resource)
    return "", None


def _missing_claim(world: World, namespace: str, resource: str) -> tuple[str, float | None]:
    there = {seen.value.name for seen in world.objects("PersistentVolumeClaim", namespace)}
    applied = {item.name: item for item in _applied(world, "PersistentVolumeClaim", namespace)}
    mounted = [
        string(field(mapping(volume), "persistentVolumeClaim", "claimName"))
        for seen in world.objects("Pod", namespace)
        for volume in sequence(field(seen.value.manifest, "spec", "volumes"))
    ]
    said = [notice.message for notice in notices(world, "FailedScheduling", "FailedMount") if "persistentvolumeclaim" in notice.message]
    for name in dict.fromkeys((*filter(None, mounted), *applied)):
        # without a look at the claims only what the scheduler says tells that one is not there
        if name not in there and (there or any(f'"{name}" not found' in message for message in said)):
            claim = applied.get(name)
            size = amount(field(claim.manifest, "spec", "resources", "requests", "storage")) if claim else None
            return name, 1.0 if "persistentvolumeclaims" in resource else size
    return "", None


def _applied(world: World, kind: str, namespace: str) -> Iterator[KubernetesObject]:
    return (seen.value for seen in world.applied if seen.value.kind == kind and seen.value.namespace in (namespace, ""))


def _request(spec: Any, resource: str) -> float | None:
    """What one more pod asks for of a quota's resource."""
    if resource in ("pods", "count/pods"):
        return 1.0
    part, _, name = resource.rpartition(".")
    total = 0.0
    for item in sequence(field(mapping(spec), "containers")):
        resources = mapping(mapping(item).get("resources"))
        total += amount(mapping(resources.get(part or "requests")).get(name)) or 0.0
    return total or None
