"""One line for people about each kind of answer: how many, and what is wrong with the worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import condition, container_states, field_of, is_troubled, mappings_of, number_of, text_of
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

_NAMED = 3
"""Objects that a summary names; the page lists the rest."""


def summary_of(kind: str, objects: Sequence[KubernetesObject], total: int, *, more: bool = False) -> str:
    """`12 pods, 2 in trouble: cart-7f9c-x2 CrashLoopBackOff (exit 1, 7 restarts), …`. `more`: the server had further ones."""
    if not total:
        return f"no {kind}"
    count = f"{'more than ' if more else ''}{total} {kind if total != 1 else _singular(kind)}"
    if len(objects) < total:
        count += f" ({len(objects)} kept)"
    if kind == "events":
        return count + _events(objects)
    troubled = [item for item in objects if is_troubled(item)]
    words = [f"{short(item.name)}{_space(_WORDS.get(item.kind, _nothing)(item))}" for item in troubled[:_NAMED]]
    if not words:
        return count
    rest = f" and {len(troubled) - _NAMED} more" if len(troubled) > _NAMED else ""
    return f"{count}, {len(troubled)} not as it should be: {', '.join(words)}{rest}"


def short(text: str) -> str:
    """Untrusted text as a part of a summary."""
    return redact(one_line(text, 200))


def _events(events: Sequence[KubernetesObject]) -> str:
    warnings = [event for event in events if is_troubled(event)]
    if not warnings:
        return ", no warning"
    reasons: Counter[str] = Counter()
    for event in warnings:
        reasons[short(text_of(event.manifest, "reason"))] += max(1, number_of(event.manifest, "count") or 1)
    listed = ", ".join(f"{reason} ×{count}" if count > 1 else reason for reason, count in reasons.most_common(_NAMED))
    first = warnings[0].manifest
    about = short(f"{text_of(first, 'involvedObject', 'kind')} {text_of(first, 'involvedObject', 'name')}: {text_of(first, 'message')}")
    return f", {len(warnings)} {'warning' if len(warnings) == 1 else 'warnings'} ({listed}); {about}"


def _pod(pod: KubernetesObject) -> str:
    states = container_states(pod)
    worst = max(states, key=lambda state: (not state.ready, bool(state.last_reason), state.restarts), default=None)
    reason = text_of(pod.manifest, "status", "reason") or (worst.reason or worst.last_reason if worst else "")
    if not reason:
        scheduled = condition(pod, "PodScheduled")
        reason = text_of(scheduled, "reason") if text_of(scheduled, "status") == "False" else text_of(pod.manifest, "status", "phase")
    details = []
    if worst is not None and worst.exit_code is not None:
        details.append(f"exit {worst.exit_code}")
    if worst is not None and worst.restarts:
        details.append(f"{worst.restarts} {'restart' if worst.restarts == 1 else 'restarts'}")
    return short(reason) + (f" ({', '.join(details)})" if details else "")


def _replicas(item: KubernetesObject) -> str:
    wanted = number_of(item.manifest, "spec", "replicas")
    if wanted is None and item.kind == "DaemonSet":
        return f"{number_of(item.manifest, 'status', 'numberReady') or 0}/{number_of(item.manifest, 'status', 'desiredNumberScheduled') or 0} ready"
    return f"{number_of(item.manifest, 'status', 'readyReplicas') or 0}/{1 if wanted is None else wanted} ready"


def _node(node: KubernetesObject) -> str:
    bad = ["cordoned"] if field_of(node.manifest, "spec", "unschedulable") is True else []
    if text_of(condition(node, "Ready"), "status") in ("False", "Unknown"):
        bad.insert(0, "NotReady")
    pressures = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
    return ", ".join([*bad, *(name for name in pressures if text_of(condition(node, name), "status") == "True")])


def _phase(item: KubernetesObject) -> str:
    return short(text_of(item.manifest, "status", "phase"))


def _ready(item: KubernetesObject) -> str:
    if field_of(item.manifest, "spec", "suspend") is True:
        return "suspended"
    ready = condition(item, "Ready")
    return short(f"{text_of(ready, 'reason')}: {text_of(ready, 'message')}")


def _application(item: KubernetesObject) -> str:
    return short(f"{text_of(item.manifest, 'status', 'health', 'status')}, {text_of(item.manifest, 'status', 'sync', 'status')}")


def _endpoints(item: KubernetesObject) -> str:
    subsets = mappings_of(item.manifest, "subsets")
    ready, waiting = (sum(len(mappings_of(subset, name)) for subset in subsets) for name in ("addresses", "notReadyAddresses"))
    return f"{ready} ready, {waiting} not ready"


def _job(item: KubernetesObject) -> str:
    return short(text_of(condition(item, "Failed"), "reason")) or f"{number_of(item.manifest, 'status', 'failed') or 0} failed"


def _nothing(item: KubernetesObject) -> str:  # noqa: ARG001
    return ""


_WORDS: Mapping[str, Callable[[KubernetesObject], str]] = {
    "Pod": _pod,
    "Deployment": _replicas,
    "StatefulSet": _replicas,
    "DaemonSet": _replicas,
    "ReplicaSet": _replicas,
    "Node": _node,
    "PersistentVolumeClaim": _phase,
    "PersistentVolume": _phase,
    "Endpoints": _endpoints,
    "Job": _job,
    "Kustomization": _ready,
    "HelmRelease": _ready,
    "GitRepository": _ready,
    "Certificate": _ready,
    "Application": _application,
}


def _singular(kind: str) -> str:
    for ending, single in (("ies", "y"), ("sses", "ss"), ("endpoints", "endpoints"), ("s", "")):
        if kind.endswith(ending):
            return kind.removesuffix(ending) + single
    return kind


def _space(words: str) -> str:
    return f" {words}" if words else ""
