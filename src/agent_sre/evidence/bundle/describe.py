"""`kubectl describe` of anything that is read: which kind it is, which object, its manifest, its events. Pure.

    text ──split──> one text per object ──kind_of──> parser of the kind ──> manifest in the API's shape, events

The text says less than the API does. What it does not say is missing from the manifest, which means unknown; `<none>` is an answer. Objects of
a kind whose text has no parser keep their metadata and events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from agent_sre.evidence.bundle import cluster, events, network, storage, workloads
from agent_sre.evidence.bundle.kinds import manifest_of
from agent_sre.evidence.bundle.layout import Section, Sections, pairs_of
from agent_sre.evidence.bundle.pods import pod_spec, pod_status
from agent_sre.evidence.bundle.tidy import annotations_of, tidy
from agent_sre.evidence.bundle.times import Times

Json = dict[str, Any]

_NEXT = re.compile(r"\n\n+(?=Name: )")
_NEXT_CONFIG_MAP = re.compile(r"(?<=Events:  <none>)\n+(?=Name: )")
_OWNER = re.compile(r"(\w+)/(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One object out of a text."""

    kind: str
    manifest: Json
    events: tuple[Json, ...]


def is_description(text: str) -> bool:
    """Whether a text begins as descriptions do."""
    return text.lstrip("\n").startswith("Name:  ") and "\n" in text.strip()


def describe(text: str, times: Times, *, kind: str = "", namespace: str = "") -> list[Described]:
    """The objects of a text, in its order. `kind` and `namespace` are what was asked for, where that is known; else the text tells.

    Texts of Secrets, and what is not a description, give nothing.
    """
    found = []
    for part in _split(text, kind):
        lines = part.split("\n")
        sections = Sections(lines)
        told = kind or kind_of(sections, part)
        name = sections.value("Name")
        if told and name and told != "Secret":
            found.append(_described(told, name, sections, lines, times, namespace))
    return found


def _split(text: str, kind: str) -> Iterator[str]:
    # Values of a ConfigMap may hold anything, also what looks like the next object.
    is_config_map = kind == "ConfigMap" or "\nData\n====\n" in text
    yield from (_NEXT_CONFIG_MAP if is_config_map else _NEXT).split(text.strip("\n"))


def _described(kind: str, name: str, sections: Sections, lines: list[str], times: Times, namespace: str) -> Described:
    place = sections.value("Namespace") or namespace
    manifest: Json = manifest_of(kind, tidy(name, 253), tidy(place, 63))
    place = manifest["metadata"].get("namespace", "")
    _put_metadata(manifest["metadata"], sections, times)
    if kind == "ConfigMap":
        manifest |= cluster.config_map(lines)
    elif kind == "ResourceQuota":
        manifest |= cluster.quota(lines)
    elif kind in _PARSERS:
        manifest |= _PARSERS[kind](sections, times)
    seen = events.from_description(sections.get("Events").body, kind, manifest["metadata"]["name"], place, times)
    return Described(kind=kind, manifest=manifest, events=tuple(seen))


def _pod(sections: Sections, times: Times) -> Json:
    spec = pod_spec(sections)
    node, _, _ = sections.value("Node").partition("/")
    if node:
        spec["nodeName"] = tidy(node)
    status = pod_status(sections, times)
    return {"spec": spec, "status": status}


_PARSERS: dict[str, Callable[[Sections, Times], Json]] = {
    "Pod": _pod,
    "Deployment": workloads.deployment,
    "ReplicaSet": workloads.replicaset,
    "ReplicationController": workloads.replicaset,
    "StatefulSet": workloads.statefulset,
    "DaemonSet": workloads.daemonset,
    "Job": workloads.job,
    "CronJob": workloads.cronjob,
    "HorizontalPodAutoscaler": workloads.autoscaler,
    "Service": network.service,
    "Endpoints": network.endpoints,
    "Ingress": network.ingress,
    "NetworkPolicy": network.network_policy,
    "PersistentVolumeClaim": storage.claim,
    "PersistentVolume": storage.volume,
    "StorageClass": storage.storage_class,
    "Node": cluster.node,
    "Namespace": cluster.namespace,
    "PodDisruptionBudget": cluster.disruption_budget,
    "ServiceAccount": cluster.service_account,
}

DESCRIBED = (*_PARSERS, "ConfigMap", "ResourceQuota")
"""Kinds whose description is read whole."""


def _put_metadata(metadata: Json, sections: Sections, times: Times) -> None:
    if "Labels" in sections:
        metadata["labels"] = {tidy(name): tidy(value) for name, value in pairs_of(sections.get("Labels").lines).items()}
    if "Annotations" in sections:
        metadata["annotations"] = annotations_of(_annotations(sections.get("Annotations")))
    created = sections.value("CreationTimestamp") or sections.value("Created on")
    if instant := times.instant(created):
        metadata["creationTimestamp"] = instant
    if owner := _OWNER.match(sections.value("Controlled By")):
        metadata["ownerReferences"] = [{"kind": owner[1], "name": tidy(owner[2]), "controller": True}]
    if finalizers := sections.value("Finalizers"):
        metadata["finalizers"] = [tidy(part) for part in finalizers.strip("[]").split()]
    if sections.value("Status").startswith("Terminating"):
        # Since when it is being deleted: "Terminating (lasts 5m12s)". That it is, stays known where the time is not.
        lasts = re.search(r"\(lasts (\S+)\)", sections.value("Status"))
        metadata["deletionTimestamp"] = times.ago(lasts[1]) if lasts else None


def _annotations(section: Section) -> dict[str, str]:
    """`name: value` per line; a long value stands alone on the line below its name."""
    found: dict[str, str] = {}
    name = ""
    for line in section.lines:
        begins = re.match(r"([\w./-]+)(?:: |:$|=)(.*)", line)
        if begins is None:
            if name:
                found[name] = f"{found[name]} {line}".strip()
            continue
        name = begins[1]
        found[name] = begins[2]
    return found


# Which kind it is


def kind_of(sections: Sections, text: str) -> str:
    """The kind that a description is of, by the fields that only it has; empty where none fits."""
    for kind, wanted in _SIGNS:
        if all(key in sections for key in wanted):
            return kind
    if sections.value("API Version") and re.fullmatch(
        r"[A-Z]\w+", sections.value("Kind")
    ):  # kubectl describes kinds that it does not know field by field
        return sections.value("Kind")
    if sections.value("Status") in ("Active", "Terminating") and "Namespace" not in sections and "Labels" in sections:
        return "Namespace"
    if re.search(r"^Resource +Used +Hard$", text, re.MULTILINE) and "Namespace" in sections:
        return "ResourceQuota"
    if "\nData\n====" in text:
        return "Secret" if "Type" in sections else "ConfigMap"
    if "Replicas" in sections and "Pod Template" in sections:
        if "Update Strategy" in sections:
            return "StatefulSet"
        return "ReplicaSet" if " current / " in sections.value("Replicas") else ""
    return ""


_SIGNS = (
    ("Node", ("System Info", "Capacity")),
    ("Deployment", ("StrategyType", "Replicas")),
    ("DaemonSet", ("Desired Number of Nodes Scheduled",)),
    ("CronJob", ("Schedule", "Concurrency Policy")),
    ("Job", ("Parallelism", "Completions")),
    ("Pod", ("Containers", "Node", "Status")),
    ("HorizontalPodAutoscaler", ("Min replicas", "Max replicas")),
    ("PodDisruptionBudget", ("Selector", "Status", "Min available")),
    ("PodDisruptionBudget", ("Selector", "Status", "Max unavailable")),
    ("Service", ("Selector", "Session Affinity")),
    ("Endpoints", ("Subsets",)),
    ("Ingress", ("Rules", "Address")),
    ("PersistentVolume", ("Reclaim Policy", "Claim")),
    ("PersistentVolumeClaim", ("Volume", "Access Modes", "Namespace")),
    ("StorageClass", ("Provisioner", "IsDefaultClass")),
    ("ServiceAccount", ("Mountable secrets",)),
    ("NetworkPolicy", ("Spec", "Created on")),
)
"""In this order: an earlier one has the fields of a later one too."""
