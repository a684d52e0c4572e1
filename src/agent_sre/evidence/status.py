"""A Kubernetes object in words: one line of how it is, and its fields as pairs. Never fails, whatever the manifest holds.

Manifests come from API servers and from text that kubectl printed, so every field may be missing or of another type, and every text is
somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import mapping_of, mappings_of, number_of, text_of
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

MOST_FIELDS = 40
_DEEPEST = 8
_LEFT_OUT = frozenset({"managedFields", "uid", "resourceVersion", "generation", "kubectl.kubernetes.io/last-applied-configuration"})
_GOOD_CONDITIONS = frozenset({
    "Ready", "Available", "Progressing", "Initialized", "ContainersReady", "PodScheduled", "PodReadyToStartContainers", "Complete", "Healthy",
    "Established", "Released", "Reconciled",
})  # fmt: skip
"""Conditions that ought to be true. All others (MemoryPressure, ReplicaFailure, Stalled) ought not."""


def status_of(item: KubernetesObject) -> str:
    """How the object is, on one line; empty where its manifest does not say.

    `Running on worker-2; api: waiting CrashLoopBackOff, 11 restarts, last OOMKilled (exit 137)`, `1 of 3 ready`, `not Ready (KubeletNotReady)`.
    """
    parts = _BY_KIND.get(item.kind, _say_anything)(item.manifest)
    return one_line(redact("; ".join(part for part in parts if part)), 300)


def fields_of(item: KubernetesObject) -> tuple[tuple[str, str], ...]:
    """The manifest as (path, value) pairs, `status.phase` first among its like: at most MOST_FIELDS, values on one line, without secrets."""
    found: list[tuple[str, str]] = []
    for section in ("status", "spec", "metadata", *sorted(set(item.manifest) - {"status", "spec", "metadata", "kind", "apiVersion"})):
        for path, value in _leaves(item.manifest.get(section), section, 0):
            if len(found) == MOST_FIELDS:
                return tuple(found)
            # beside its name, so that `password` counts
            text = one_line(redact(f"{path.rpartition('.')[2]}={value}"), 300).partition("=")[2]
            found.append((one_line(path, 120), text))
    return tuple(found)


def _leaves(value: object, path: str, depth: int) -> Iterator[tuple[str, object]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _LEFT_OUT:
                yield from _leaves(inner, f"{path}.{name}", depth + 1)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{number}]", depth + 1)
    elif value is not None and value != "":
        yield path, value


# By kind: what a manifest says, in parts

_Parts = Iterator[str]


def _say_pod(manifest: Mapping[str, Any]) -> _Parts:
    spec, status = _part(manifest, "spec"), _part(manifest, "status")
    phase, node = _text(status, "reason") or _text(status, "phase"), _text(spec, "nodeName")
    yield f"{phase} on {node}" if phase and node else phase
    for container in (*_items(status, "initContainerStatuses"), *_items(status, "containerStatuses")):
        yield _container_line(container)
    if not _items(status, "containerStatuses"):
        yield from _bad_conditions(status)


def _container_line(container: Mapping[str, Any]) -> str:
    state = _part(container, "state")
    waiting, ended = _part(state, "waiting"), _part(state, "terminated")
    words = []
    if waiting:
        words.append(f"waiting {_text(waiting, 'reason')}".strip())
    elif ended and _text(ended, "reason") != "Completed":
        words.append(_ending(ended))
    elif container.get("ready") is False and not ended:
        words.append("not ready")
    restarts = container.get("restartCount")
    if isinstance(restarts, int) and restarts > 0:
        words.append(f"{restarts} {'restart' if restarts == 1 else 'restarts'}")
    last = _part(_part(container, "lastState"), "terminated")
    if last:
        words.append(f"last {_ending(last)}")
    return f"{_text(container, 'name')}: {', '.join(words)}" if words else ""


def _ending(ended: Mapping[str, Any]) -> str:
    code = ended.get("exitCode")
    return f"{_text(ended, 'reason') or 'ended'} (exit {code})" if isinstance(code, int) else _text(ended, "reason") or "ended"


def _say_workload(manifest: Mapping[str, Any]) -> _Parts:
    spec, status = _part(manifest, "spec"), _part(manifest, "status")
    desired = _number(spec, "replicas", status, "desiredNumberScheduled")
    ready = _number(status, "readyReplicas", status, "numberReady")
    if desired is not None:
        yield f"{ready or 0} of {desired} ready"
    yield from _bad_conditions(status)


def _say_node(manifest: Mapping[str, Any]) -> _Parts:
    spec, status = _part(manifest, "spec"), _part(manifest, "status")
    bad = list(_bad_conditions(status))
    yield "Ready" if not bad and _items(status, "conditions") else ""
    yield from bad
    yield "cordoned" if spec.get("unschedulable") is True else ""
    yield ", ".join(f"taint {_text(taint, 'key')}:{_text(taint, 'effect')}" for taint in _items(spec, "taints")[:4])


def _say_event(manifest: Mapping[str, Any]) -> _Parts:
    reason, count, message = _text(manifest, "reason"), manifest.get("count"), _text(manifest, "message")
    times = f" ×{count}" if isinstance(count, int) and count > 1 else ""
    about = _part(manifest, "involvedObject")
    whom = f" {_text(about, 'kind')} {_text(about, 'name')}" if _text(about, "name") else ""
    yield f"{_text(manifest, 'type')} {reason}{times}{whom}".strip() + (f": {message}" if message else "")


def _say_job(manifest: Mapping[str, Any]) -> _Parts:
    status = _part(manifest, "status")
    yield ", ".join(f"{count} {name}" for name in ("active", "succeeded", "failed") if isinstance(count := status.get(name), int) and count)
    yield from (_condition(item) for item in _items(status, "conditions") if _text(item, "type") == "Failed" and _text(item, "status") == "True")


def _say_autoscaler(manifest: Mapping[str, Any]) -> _Parts:
    spec, status = _part(manifest, "spec"), _part(manifest, "status")
    current, desired, most = status.get("currentReplicas"), status.get("desiredReplicas"), spec.get("maxReplicas")
    if isinstance(current, int):
        yield f"{current} replicas, {desired} wanted, {most} at most"
    wanted = {"AbleToScale": "True", "ScalingActive": "True", "ScalingLimited": "False"}
    yield from (
        _condition(item) for item in _items(status, "conditions") if _text(item, "status") != wanted.get(_text(item, "type"), _text(item, "status"))
    )


def _say_claim(manifest: Mapping[str, Any]) -> _Parts:
    spec, status = _part(manifest, "spec"), _part(manifest, "status")
    yield _text(status, "phase")
    size = _text(_part(status, "capacity"), "storage") or _text(_part(_part(spec, "resources"), "requests"), "storage")
    yield " ".join(part for part in (size, _text(spec, "storageClassName")) if part)
    yield from _bad_conditions(status)


def _say_service(manifest: Mapping[str, Any]) -> _Parts:
    spec = _part(manifest, "spec")
    ports = ", ".join(f"{item.get('port')}→{item.get('targetPort', item.get('port'))}" for item in _items(spec, "ports")[:6])
    yield " ".join(part for part in (_text(spec, "type"), f"ports {ports}" if ports else "") if part)
    selected = _part(spec, "selector")
    yield "selects " + ", ".join(f"{name}={value}" for name, value in selected.items()) if selected else ""


def _say_endpoints(manifest: Mapping[str, Any]) -> _Parts:
    subsets = _items(manifest, "subsets")
    ready, waiting = (sum(len(mappings_of(subset, name)) for subset in subsets) for name in ("addresses", "notReadyAddresses"))
    yield f"{ready} ready, {waiting} not ready" if waiting or not ready else f"{ready} ready"


def _say_release(manifest: Mapping[str, Any]) -> _Parts:
    yield "suspended" if _part(manifest, "spec").get("suspend") is True else ""
    yield from _say_anything(manifest)


def _say_application(manifest: Mapping[str, Any]) -> _Parts:
    status = _part(manifest, "status")
    yield from filter(None, (_text(_part(status, "health"), "status"), _text(_part(status, "sync"), "status")))
    yield from _bad_conditions(status)


def _say_anything(manifest: Mapping[str, Any]) -> _Parts:
    status = _part(manifest, "status")
    yield _text(status, "phase")
    yield from _bad_conditions(status)


_BY_KIND: Mapping[str, Callable[[Mapping[str, Any]], _Parts]] = {
    "Pod": _say_pod,
    "Deployment": _say_workload,
    "StatefulSet": _say_workload,
    "DaemonSet": _say_workload,
    "ReplicaSet": _say_workload,
    "Node": _say_node,
    "Event": _say_event,
    "Job": _say_job,
    "HorizontalPodAutoscaler": _say_autoscaler,
    "PersistentVolumeClaim": _say_claim,
    "PersistentVolume": _say_claim,
    "Service": _say_service,
    "Endpoints": _say_endpoints,
    "Application": _say_application,
    "Certificate": _say_release,
    "Kustomization": _say_release,
    "HelmRelease": _say_release,
    "GitRepository": _say_release,
}


def _bad_conditions(status: Mapping[str, Any]) -> _Parts:
    """Conditions that are not as they should be: those of good news that are not true, and those of bad news that are."""
    for item in _items(status, "conditions"):
        wrong = ("False", "Unknown") if _text(item, "type") in _GOOD_CONDITIONS else ("True",)
        if _text(item, "status") in wrong:
            yield _condition(item)


def _condition(item: Mapping[str, Any]) -> str:
    name, value, reason, message = (_text(item, key) for key in ("type", "status", "reason", "message"))
    said = f"{name} unknown" if value == "Unknown" else f"not {name}" if value == "False" else name
    return f"{said}{f' ({reason})' if reason else ''}{f': {message}' if message else ''}"


# Reading what may be anything, and no more of it than a line can hold


def _part(value: object, name: str) -> Mapping[str, Any]:
    return mapping_of(value, name)


def _items(value: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], ...]:
    return mappings_of(value, name)[:50]


def _text(value: Mapping[str, Any], name: str) -> str:
    return text_of(value, name)[:1000]


def _number(value: Mapping[str, Any], name: str, other: Mapping[str, Any], other_name: str) -> int | None:
    found = number_of(value, name)
    return found if found is not None else number_of(other, other_name)
