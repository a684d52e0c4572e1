"""Small clusters of our own making: nodes, workloads with pods, events, quotas, as the API has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from agent_sre.evidence.evidence import Data, Evidence, EvidenceSet, Fact, KubernetesObject
from agent_sre.finding.diagnose import detect
from agent_sre.finding.finding import Hypothesis, object_name
from agent_sre.finding.rank import seen_causes
from agent_sre.finding.world import World
from evidence.builders import NOW, an_alert, an_incident
from finding.answers import answer

NAMESPACE = "orchard"
RECENT = NOW - timedelta(minutes=2)
_PLURALS = {"Pod": "pods", "Node": "nodes", "Deployment": "deployments", "Event": "events", "ResourceQuota": "resourcequotas"}


def thing(kind: str, name: str, *, namespace: str = NAMESPACE, **manifest: Any) -> KubernetesObject:
    whole = {"kind": kind, **manifest, "metadata": {"name": name, "namespace": namespace, **manifest.get("metadata", {})}}
    return KubernetesObject(kind=kind, namespace=namespace, name=name, manifest=whole)


def node(name: str, *, labels: Mapping[str, str] | None = None, ready: str = "True", said: str = "", **spec: Any) -> KubernetesObject:
    conditions = [{"type": "Ready", "status": ready, "message": said, "lastTransitionTime": stamp(RECENT)}]
    status = {"conditions": conditions, "allocatable": {"cpu": "4", "memory": "8Gi"}}
    return thing("Node", name, namespace="", metadata={"labels": dict(labels or {})}, spec=spec, status=status)


def pod(name: str, *, on: str = "", spec: Mapping[str, Any] | None = None, ready: bool = False, waiting: str = "", **status: Any) -> KubernetesObject:
    """A pod of the workload that its name begins with. Without `on` it waits for a node, and the scheduler has tried."""
    conditions = [{"type": "PodScheduled", "status": "True" if on else "False"}, {"type": "Ready", "status": "True" if ready else "False"}]
    containers = [{"name": "main", "ready": ready, "state": {"waiting": {"reason": waiting}} if waiting else {"running": {}}}] if on else []
    whole = {"phase": "Running" if ready else "Pending", "conditions": conditions, "containerStatuses": containers, **status}
    meta = {"creationTimestamp": stamp(RECENT)}
    return thing(
        "Pod", name, metadata=meta, spec={"containers": [{"name": "main", "image": "press:1"}], "nodeName": on, **(spec or {})}, status=whole
    )


def deployment(name: str, *, replicas: int = 1, made: int | None = None, ready: int = 0, **template: Any) -> KubernetesObject:
    status = {"replicas": replicas if made is None else made, "readyReplicas": ready}
    return thing(
        "Deployment", name, spec={"replicas": replicas, "template": {"spec": template, "metadata": {"labels": {"app": name}}}}, status=status
    )


def event(reason: str, about: str, message: str, *, kind: str = "Pod", at: datetime = RECENT, host: str = "") -> KubernetesObject:
    """Without a name, as kubectl prints events."""
    involved = {"kind": kind, "name": about, "namespace": NAMESPACE}
    manifest = {"involvedObject": involved, "reason": reason, "message": message, "type": "Warning", "source": {"host": host}}
    return KubernetesObject(
        kind="Event", namespace=NAMESPACE, name="", manifest={**manifest, "firstTimestamp": stamp(at), "lastTimestamp": stamp(at)}
    )


def unit(name: str, on: str, active: str, *, enabled: str = "enabled") -> Fact:
    return Fact(name=name, text=f"{name} on {on}: {active}", values={"node": on, "unit": name, "active": active, "enabled": enabled})


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def world(*items: Data, applied: tuple[KubernetesObject, ...] = ()) -> World:
    """One answer per kind, in the order in which kinds occur."""
    kinds: dict[tuple[str, str], list[Data]] = {}
    for item in items:
        key = ("kubernetes", _PLURALS.get(item.kind, item.kind.lower())) if isinstance(item, KubernetesObject) else ("bundle", "units")
        kinds.setdefault(key, []).append(item)
    answers: list[Evidence] = [answer(source, kind, *data, number=number) for number, ((source, kind), data) in enumerate(kinds.items(), 1)]  # type: ignore[arg-type]
    if applied:
        answers.append(answer("kubernetes", "manifests", *applied, number=99))  # type: ignore[arg-type]
    alert = an_alert("ShopIsDown", labels={"namespace": NAMESPACE}, starts_at=NOW)
    return World(an_incident(alert), EvidenceSet(items=tuple(answers)), NOW)


def verdict(known: World) -> tuple[Hypothesis, ...]:
    return seen_causes(detect(known))


def first(known: World) -> tuple[str, str]:
    """(object, cause) of the first hypothesis; empty where nothing was seen."""
    found = verdict(known)
    return (object_name(found[0].subject), found[0].name) if found else ("", "")
