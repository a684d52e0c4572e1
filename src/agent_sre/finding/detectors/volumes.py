"""Claims that do not bind, and why: class, volume, size, access modes, labels. What no controller says is seen by laying claim beside volume."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import instant_of, references_of
from agent_sre.finding.finding import Finding
from agent_sre.finding.notices import Notice, notices
from agent_sre.finding.quantities import amount
from agent_sre.finding.weights import LIKELY, POSSIBLE, PROVED, STATED
from agent_sre.finding.world import Seen, World, field, mapping, sequence, string
from agent_sre.kit.text import both_ends, one_line

_SAID: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r'storageclass(?:\.storage\.k8s\.io)? "[^"]*" not found|storageClassName does not match', re.IGNORECASE),
        "pvc_storage_class_mismatch",
    ),
    (
        re.compile(r"already bound to a different claim|is bound to (?:another|a different) claim|volume .* already bound", re.IGNORECASE),
        "pv_binding_occupied",
    ),
    (
        re.compile(r"requested PV is too small|too small|exceeds? .*capacity|insufficient (?:free )?(?:space|capacity)", re.IGNORECASE),
        "pvc_capacity_mismatch",
    ),
    (
        re.compile(r"incompatible access ?modes?|access mode.* not (?:supported|compatible)|unsupported access mode", re.IGNORECASE),
        "pvc_access_mode_mismatch",
    ),
    (
        re.compile(r"claim\.Spec\.Selector is not supported|selector (?:does not|doesn't) match|no .* match(?:es|ing)? .*selector", re.IGNORECASE),
        "pvc_selector_mismatch",
    ),
)
"""What controllers say, in the words of several versions."""

_ABOUT_CLAIMS = ("FailedBinding", "ProvisioningFailed", "VolumeMismatch", "FailedMount", "FailedAttachVolume", "ProvisioningCleanupFailed")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What somebody wants: of the live claim, and of the manifest that was applied where the live one was told in less words."""

    seen: Seen[KubernetesObject]
    wanted: Mapping[str, Any]  # spec

    def text(self, name: str) -> str:
        return string(self.wanted.get(name))

    @property
    def modes(self) -> set[str]:
        return {mode for mode in sequence(self.wanted.get("accessModes")) if isinstance(mode, str)}

    @property
    def size(self) -> float | None:
        return amount(field(self.wanted, "resources", "requests", "storage"))


class UnboundVolumes:
    """Reads claims that are pending, volumes, storage classes and what is said about them."""

    name = "unbound_volumes"

    def detect(self, world: World) -> Iterable[Finding]:
        for claim in _pending(world):
            cause, why, weight, at = _reason(world, claim)
            if not cause:
                continue
            item = claim.seen
            for subject in _users(world, item.value):
                yield Finding(
                    detector=self.name, summary=f"The claim {item.value.name} of {subject.name} is not bound: {why}", subject=subject,
                    facts={"claim": item.value.name}, evidence_ids=_cited(world, item), cause=cause, weight=weight, began_at=at,
                )  # fmt: skip


def _cited(world: World, claim: Seen[KubernetesObject]) -> tuple[str, ...]:
    volumes = [seen.evidence_id for seen in (*world.objects("PersistentVolume"), *world.objects("StorageClass"))][:1]
    return tuple(dict.fromkeys((claim.evidence_id, *volumes)))


def _pending(world: World) -> Iterator[_Claim]:
    applied = {
        (seen.value.namespace, seen.value.name): mapping(field(seen.value.manifest, "spec"))
        for seen in world.applied
        if seen.value.kind == "PersistentVolumeClaim"
    }
    for seen in world.objects("PersistentVolumeClaim"):
        if field(seen.value.manifest, "status", "phase") not in ("Pending", "Lost"):
            continue
        spec = mapping(field(seen.value.manifest, "spec"))
        yield _Claim(
            seen=seen, wanted={**applied.get((seen.value.namespace, seen.value.name), {}), **{k: v for k, v in spec.items() if v not in (None, [])}}
        )


def _reason(world: World, claim: _Claim) -> tuple[str, str, float, datetime | None]:
    """Cause, words, weight and when. Empty where the claim only waits for its first consumer, or nothing tells."""
    item = claim.seen.value
    began_at = instant_of(item.manifest, "metadata", "creationTimestamp")
    about = [notice for notice in notices(world, *_ABOUT_CLAIMS) if notice.kind == "PersistentVolumeClaim" and notice.name == item.name]
    for notice in about:
        for pattern, cause in _SAID:
            if pattern.search(notice.message):
                return cause, both_ends(notice.message, 200), STATED, notice.first_at or began_at
    name = claim.text("storageClassName")
    classes = {seen.value.name for seen in world.objects("StorageClass")}
    if (
        name
        and classes
        and name not in classes
        and not any(string(field(seen.value.manifest, "spec", "storageClassName")) == name for seen in _volumes(world))
    ):
        return "pvc_storage_class_mismatch", f"there is no storage class {name}", PROVED, began_at
    cause, why, weight = _against_volumes(world, claim)
    if cause:
        return cause, why, weight, began_at
    if name and name in classes and not any(notice.reason == "ProvisioningFailed" for notice in about):
        return "", "", 0.0, None
    return _undecided(about, name, began_at)


def _undecided(about: list[Notice], name: str, began_at: datetime | None) -> tuple[str, str, float, datetime | None]:
    failed = next((notice for notice in about if notice.reason in ("ProvisioningFailed", "FailedBinding")), None)
    if failed is None:
        return "", "", 0.0, None
    if failed.reason == "FailedBinding" and not name:
        return "pvc_storage_class_mismatch", one_line(failed.message, 200), POSSIBLE, failed.first_at or began_at
    return "volume_provisioning_failed", one_line(failed.message, 200), LIKELY, failed.first_at or began_at


def _volumes(world: World) -> tuple[Seen[KubernetesObject], ...]:
    return world.objects("PersistentVolume")


def _against_volumes(world: World, claim: _Claim) -> tuple[str, str, float]:
    """What keeps the volume that comes nearest from being bound. A claim without a class binds only volumes without one."""
    best: tuple[int, str, str, float] | None = None
    named = claim.text("volumeName")
    for seen in _volumes(world):
        spec = mapping(field(seen.value.manifest, "spec"))
        faults = list(_faults(claim, seen.value, spec))
        if named and seen.value.name != named:
            continue
        if not faults:
            continue
        # the fewer faults, the nearer; a volume that only lacks one thing was meant for this claim
        rank = len(faults)
        cause, why = faults[0]
        weight = STATED if rank == 1 else LIKELY
        if best is None or rank < best[0]:
            best = (rank, cause, f"{seen.value.name} {why}", weight)
    return (best[1], best[2], best[3]) if best else ("", "", 0.0)


def _faults(claim: _Claim, volume: KubernetesObject, spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    selector = mapping(field(claim.wanted, "selector", "matchLabels"))
    labels = mapping(field(volume.manifest, "metadata", "labels"))
    unmet = {name: value for name, value in selector.items() if labels.get(name) != value} or _unmet_expressions(claim, labels)
    if unmet:
        yield "pvc_selector_mismatch", f"has not the labels that the claim selects: {one_line(', '.join(f'{k}={v}' for k, v in unmet.items()), 120)}"
    wanted_class, its_class = claim.text("storageClassName"), string(spec.get("storageClassName"))
    if wanted_class != its_class:
        yield "pvc_storage_class_mismatch", f"is of class {its_class or '(none)'}, the claim asks for {wanted_class or '(none)'}"
    modes = {mode for mode in sequence(spec.get("accessModes")) if isinstance(mode, str)}
    if claim.modes and modes and not claim.modes <= modes:
        yield "pvc_access_mode_mismatch", f"can {', '.join(sorted(modes))}, the claim asks for {', '.join(sorted(claim.modes))}"
    size, capacity = claim.size, amount(field(spec, "capacity", "storage"))
    if size is not None and capacity is not None and size > capacity:
        yield "pvc_capacity_mismatch", f"has {string(field(spec, 'capacity', 'storage'))}, the claim asks for more"
    owner = mapping(spec.get("claimRef"))
    mine = (claim.seen.value.namespace, claim.seen.value.name)
    if owner.get("name") and (string(owner.get("namespace")), string(owner.get("name"))) != mine:
        yield "pv_binding_occupied", f"is bound to the claim {one_line(string(owner.get('name')), 100)}"
    elif field(volume.manifest, "status", "phase") in ("Released", "Failed"):
        yield "pv_binding_occupied", f"is {string(field(volume.manifest, 'status', 'phase'))} and was not given free"


def _unmet_expressions(claim: _Claim, labels: Mapping[str, Any]) -> dict[str, str]:
    unmet = {}
    for item in sequence(field(claim.wanted, "selector", "matchExpressions")):
        expression = mapping(item)
        key, operator, values = string(expression.get("key")), expression.get("operator"), sequence(expression.get("values"))
        value = labels.get(key)
        wrong = {
            "In": value not in values, "NotIn": value in values and value is not None, "Exists": key not in labels, "DoesNotExist": key in labels,
        }.get(str(operator), False)  # fmt: skip
        if wrong:
            unmet[key] = f"{operator} {one_line(str(list(values)), 60)}"
    return unmet


def _users(world: World, claim: KubernetesObject) -> tuple[Subject, ...]:
    """The workloads whose pods mount the claim; without any, those whose template does; else the claim itself."""
    found: dict[Subject, None] = {}
    for seen in world.objects("Pod", claim.namespace):
        if _uses(seen.value, claim.name):
            found[world.workload("Pod", seen.value.namespace, seen.value.name)] = None
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
        for seen in world.objects(kind, claim.namespace):
            templates = [
                string(field(mapping(item), "metadata", "name")) for item in sequence(field(seen.value.manifest, "spec", "volumeClaimTemplates"))
            ]
            own = any(name and claim.name.startswith(f"{name}-{seen.value.name}-") for name in templates)
            if own or _uses(seen.value, claim.name):
                found[Subject(kind=kind, name=seen.value.name, namespace=claim.namespace)] = None
    return tuple(found) or (Subject(kind="PersistentVolumeClaim", name=claim.name, namespace=claim.namespace),)


def _uses(workload: KubernetesObject, claim: str) -> bool:
    return any(item.kind == "PersistentVolumeClaim" and item.name == claim for item in references_of(workload))
