"""What kube-state-metrics and the kubelet say about a namespace: replicas, restarts, reasons, limits, volumes, jobs, nodes. Pure.

    names of the metrics that are there ──queries──> PromQL, one answer for many metrics ──facts──> Fact

These are states, not curves, so a handful of instant queries answers for a whole namespace. Source of names and labels:
https://github.com/kubernetes/kube-state-metrics/tree/main/docs/metrics
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Fact
from agent_sre.evidence.numbers import BYTES, PLAIN, RATIO, format_number
from agent_sre.evidence.prometheus import labels as words
from agent_sre.evidence.prometheus.builder import Matcher, aggregate, equals, one_of, pods_of, select
from agent_sre.evidence.prometheus.client import Series
from agent_sre.evidence.prometheus.signals import Seen
from agent_sre.kit.text import one_line

STATES = frozenset({
    "kube_pod_info", "kube_pod_status_phase", "kube_pod_status_reason", "kube_pod_status_unschedulable", "kube_pod_status_ready",
    "kube_pod_container_status_waiting_reason", "kube_pod_container_status_terminated_reason",
    "kube_pod_container_status_last_terminated_reason", "kube_persistentvolumeclaim_status_phase", "kube_job_failed",
    "kube_horizontalpodautoscaler_status_condition",
})  # fmt: skip
"""Metrics that are 1 where something is so."""

COUNTS = frozenset({
    "kube_deployment_spec_replicas", "kube_deployment_status_replicas_available", "kube_statefulset_replicas",
    "kube_statefulset_status_replicas_ready", "kube_daemonset_status_desired_number_scheduled", "kube_daemonset_status_number_available",
    "kube_horizontalpodautoscaler_spec_max_replicas", "kube_horizontalpodautoscaler_status_current_replicas", "kube_job_status_failed",
    "kube_resourcequota",
})  # fmt: skip
RESOURCES = ("kube_pod_container_resource_requests", "kube_pod_container_resource_limits")
RESTARTS = "kube_pod_container_status_restarts_total"
VOLUMES = ("kubelet_volume_stats_used_bytes", "kubelet_volume_stats_capacity_bytes")
AVAILABLE = ("kube_deployment_status_replicas_available", "kube_statefulset_status_replicas_ready", "kube_daemonset_status_number_available")

NODE_TROUBLE = (
    '(kube_node_status_condition{condition="Ready",status!="true"} == 1)'
    ' or (kube_node_status_condition{condition!="Ready",status="true"} == 1) or (kube_node_spec_unschedulable == 1)'
)

MAX_FACTS = 60

_REPLICAS = (
    ("Deployment", "deployment", "kube_deployment_spec_replicas", "kube_deployment_status_replicas_available"),
    ("StatefulSet", "statefulset", "kube_statefulset_replicas", "kube_statefulset_status_replicas_ready"),
    ("DaemonSet", "daemonset", "kube_daemonset_status_desired_number_scheduled", "kube_daemonset_status_number_available"),
)
_ENDED_WELL = frozenset({"Completed"})
_NOT_YET = frozenset({"ContainerCreating", "PodInitializing"})
_FULL = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One fact, whether it speaks about the subject, and whether it is bad news."""

    fact: Fact
    own: bool
    bad: bool


def namespace_label(seen: Mapping[str, Seen]) -> str:
    """What kube-state-metrics calls the namespace of an object here: `exported_namespace` where the scrape took the plain word for itself."""
    present = frozenset[str]().union(*(one.labels for name, one in seen.items() if name.startswith("kube_")))
    return "exported_namespace" if "exported_namespace" in present else words.first(words.NAMESPACE_OF_OBJECT, present) or "namespace"


def queries(names: Collection[str], namespace: str, label: str, own: frozenset[str]) -> tuple[str, ...]:
    """Instant queries about a namespace, the cheapest first; the last one, about nodes, is for the whole cluster and brings trouble only."""
    found: list[str] = []
    here = equals(label, namespace)
    if counts := COUNTS & set(names):
        found.append(select("", (one_of("__name__", counts), here)))
    if RESTARTS in names:
        found.append(f"increase({select(RESTARTS, (here,), over=timedelta(hours=1))}) > 0")
    if states := STATES & set(names):
        found.append(f"{select('', (one_of('__name__', states), here))} == 1")
    if (resources := set(RESOURCES) & set(names)) and own:
        found.append(select("", (one_of("__name__", resources), here, pods_of(pod_label(label), own))))
    if set(VOLUMES) <= set(names):
        here = equals("namespace", namespace)  # the kubelet's word; its scrape never takes it
        used, size = (aggregate("max", ("namespace", "persistentvolumeclaim"), select(volume, (here,))) for volume in VOLUMES)
        found.append(f"{used} / {size}")
    return (*found, NODE_TROUBLE)


def history(names: Collection[str], namespace: str, label: str, own: frozenset[str]) -> tuple[str, ...]:
    """Range queries: how many replicas were available, and how many restarts there had been."""
    here: tuple[Matcher, ...] = (equals(label, namespace),)
    found = []
    if available := set(AVAILABLE) & set(names):
        found.append(select("", (one_of("__name__", available), *here)))
    if RESTARTS in names and own:
        pod = pod_label(label)
        container = "exported_container" if pod == "exported_pod" else "container"
        found.append(aggregate("sum", (label, pod, container), select(RESTARTS, (*here, pods_of(pod, own)))))
    return tuple(found)


def told(series: Sequence[Series], subject: Subject, namespace: str) -> tuple[Told, ...]:
    """All facts of these answers: the subject's first, bad news before good, at most MAX_FACTS; quiet neighbours are left out."""
    known = [(one.labels, one.points[-1][1]) for one in series if one.points and math.isfinite(one.points[-1][1])]
    known = [(labels, value) for labels, value in known if _is_here(labels, namespace)]
    ready_nodes = {node for labels, _ in known if is_own(labels, subject) for node in [_first(labels, words.NODE)] if node}
    nodes = ready_nodes | ({subject.node} if subject.node else set()) | ({subject.name} if subject.kind == "Node" else set())
    every = [
        *_replicas(known, subject), *_autoscalers(known, subject), *_pods(known, subject), *_reasons(known, subject), *_restarts(known, subject),
        *_volumes(known, subject), *_jobs(known, subject), *_nodes(known, nodes), *_quotas(known), *_resources(known, subject),
    ]  # fmt: skip
    kept = [one for one in every if one.own or one.bad]
    kept.sort(key=lambda one: (not (one.own and one.bad), not one.own))  # stable: within a class as they were found
    return tuple(kept)


def summary(facts: Sequence[Told], name: str) -> str:
    """The subject's bad news in one line, else its good news; then how much trouble its neighbours have."""
    bad = [one.fact.text for one in facts if one.own and one.bad]
    good = [one.fact.text for one in facts if one.own and not one.bad]
    others = sum(one.bad and not one.own for one in facts)
    line = "; ".join((bad or good)[:5]) or f"nothing about {name} itself"
    if len(bad) > 5:
        line += f"; {len(bad) - 5} more like these"
    return line + (f"; {others} {'thing is' if others == 1 else 'things are'} wrong with its neighbours" if others else "")


Known = Sequence[tuple[Mapping[str, str], float]]


def _of(known: Known, metric: str) -> Iterator[tuple[Mapping[str, str], float]]:
    return ((labels, value) for labels, value in known if labels.get("__name__") == metric)


def _first(labels: Mapping[str, str], names: Iterable[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _is_here(labels: Mapping[str, str], namespace: str) -> bool:
    """Not the exporter's own namespace where the object has another; kubelets and nodes have none that counts."""
    exported = labels.get("exported_namespace")
    return exported is None or exported == namespace


def is_own(labels: Mapping[str, str], subject: Subject) -> bool:
    """Whether a series of kube-state-metrics is about the subject. Its own pod, service and job labels name the exporter and do not count."""
    if subject.kind == "Namespace":
        return words.is_subject(labels, subject)
    names = words.names_of(subject)
    objects = ("deployment", "statefulset", "daemonset", "persistentvolumeclaim", "job_name", "cronjob", "horizontalpodautoscaler")
    named = [labels[name] for name in objects if labels.get(name)]
    if named:
        return any(value in names or value.removesuffix("-hpa") in names for value in named)
    pod = _first(labels, ("exported_pod", "pod"))
    return bool(pod) and words.is_subject({"pod": pod}, subject)


def _fact(name: str, text: str, own: bool, bad: bool, **values: str | float | bool | None) -> Told:
    return Told(fact=Fact(name=name, text=one_line(text), values={**values, "subject": own}), own=own, bad=bad)


def _replicas(known: Known, subject: Subject) -> Iterator[Told]:
    for kind, label, wanted_metric, available_metric in _REPLICAS:
        available = {labels.get(label, ""): value for labels, value in _of(known, available_metric)}
        for labels, wanted in _of(known, wanted_metric):
            name = labels.get(label, "")
            there = available.get(name)
            if not name or there is None:
                continue
            text = f"{kind} {name} has {there:g} of {wanted:g} replicas available"
            bad = there < wanted or (wanted == 0 and is_own(labels, subject))
            yield _fact("replicas", text, is_own(labels, subject), bad, kind=kind, object=name, wanted=wanted, available=there)


def _autoscalers(known: Known, subject: Subject) -> Iterator[Told]:
    label = "horizontalpodautoscaler"
    current = {labels.get(label, ""): value for labels, value in _of(known, f"kube_{label}_status_current_replicas")}
    for labels, most in _of(known, f"kube_{label}_spec_max_replicas"):
        name = labels.get(label, "")
        now = current.get(name)
        if name and now is not None:
            at_limit = now >= most
            text = f"autoscaler {name} is at {now:g} of at most {most:g} replicas"
            yield _fact("autoscaler", text, is_own(labels, subject), at_limit and most > 1, object=name, current=now, maximum=most, at_limit=at_limit)


def _pods(known: Known, subject: Subject) -> Iterator[Told]:
    nodes = {_pod(labels): _first(labels, words.NODE) for labels, _ in _of(known, "kube_pod_info")}
    unready = {_pod(labels) for labels, _ in _of(known, "kube_pod_status_ready") if labels.get("condition") == "false"}
    unschedulable = {_pod(labels) for labels, _ in _of(known, "kube_pod_status_unschedulable")}
    for labels, _ in _of(known, "kube_pod_status_phase"):
        pod, phase = _pod(labels), labels.get("phase", "")
        if not pod or not phase:
            continue
        ready = pod not in unready
        bad = phase in ("Pending", "Failed", "Unknown") or (phase == "Running" and not ready)
        words_of = [phase, *(["not ready"] if phase == "Running" and not ready else []), *(["unschedulable"] if pod in unschedulable else [])]
        where = f" on {nodes[pod]}" if nodes.get(pod) else ""
        node = nodes.get(pod, "")
        values: dict[str, str | bool] = {"pod": pod, "phase": phase, "node": node, "ready": ready, "unschedulable": pod in unschedulable}
        yield _fact("pod", f"{pod} is {', '.join(words_of)}{where}", is_own(labels, subject), bad, **values)
    for labels, _ in _of(known, "kube_pod_status_reason"):
        pod, reason = _pod(labels), labels.get("reason", "")
        yield _fact("pod_reason", f"{pod}: {reason}", is_own(labels, subject), True, pod=pod, reason=reason)


def _reasons(known: Known, subject: Subject) -> Iterator[Told]:
    for metric, name, verb in (
        ("kube_pod_container_status_waiting_reason", "waiting", "waits"),
        ("kube_pod_container_status_terminated_reason", "terminated", "has ended"),
        ("kube_pod_container_status_last_terminated_reason", "last_terminated", "ended last time"),
    ):
        for labels, _ in _of(known, metric):
            pod, container, reason = _pod(labels), _container(labels), labels.get("reason", "")
            bad = reason not in _ENDED_WELL | _NOT_YET
            text = f"{container or 'a container'} of {pod} {verb}: {reason}"
            yield _fact(name, text, is_own(labels, subject), bad, pod=pod, container=container, reason=reason)


def _restarts(known: Known, subject: Subject) -> Iterator[Told]:
    # `increase` drops the name; nothing else of these answers has a pod and no name.
    rows = [(labels, value) for labels, value in known if "__name__" not in labels and _pod(labels)]
    for labels, value in sorted(rows, key=lambda row: -row[1]):
        count = max(1, round(value))
        pod, container = _pod(labels), _container(labels)
        text = f"{container or 'a container'} of {pod} restarted {count} {'time' if count == 1 else 'times'} in the last hour"
        yield _fact("restarts", text, is_own(labels, subject), True, pod=pod, container=container, count=float(count))


def _volumes(known: Known, subject: Subject) -> Iterator[Told]:
    for labels, value in known:
        claim = labels.get("persistentvolumeclaim", "")
        if claim and "__name__" not in labels:
            text = f"volume {claim} is {format_number(value, RATIO)} full"
            yield _fact("volume", text, is_own(labels, subject), value >= _FULL, claim=claim, used_ratio=value)
    for labels, _ in _of(known, "kube_persistentvolumeclaim_status_phase"):
        claim, phase = labels.get("persistentvolumeclaim", ""), labels.get("phase", "")
        yield _fact("claim", f"claim {claim} is {phase}", is_own(labels, subject), phase != "Bound", claim=claim, phase=phase)


def _jobs(known: Known, subject: Subject) -> Iterator[Told]:
    for labels, value in _of(known, "kube_job_status_failed"):
        job = labels.get("job_name", "")
        if job and value > 0:
            yield _fact("job_failed", f"job {job} has {value:g} failed pods", is_own(labels, subject), True, job=job, failed=value)


def _nodes(known: Known, nodes: Collection[str]) -> Iterator[Told]:
    for labels, _ in known:
        node = labels.get("node", "")
        name = labels.get("__name__")
        if name == "kube_node_spec_unschedulable" and node:
            yield _fact("node_condition", f"node {node} is cordoned", node in nodes, True, node=node, condition="Unschedulable", status="true")
        elif name == "kube_node_status_condition" and node:
            condition, status = labels.get("condition", ""), labels.get("status", "")
            words_of = f"is not ready ({status})" if condition == "Ready" else f"has {condition}"
            yield _fact("node_condition", f"node {node} {words_of}", node in nodes, True, node=node, condition=condition, status=status)


def _quotas(known: Known) -> Iterator[Told]:
    def key(labels: Mapping[str, str]) -> tuple[str, str]:
        return labels.get("resourcequota", ""), labels.get("resource", "")

    hard = {key(labels): value for labels, value in _of(known, "kube_resourcequota") if labels.get("type") == "hard"}
    for labels, used in _of(known, "kube_resourcequota"):
        limit = hard.get(key(labels))
        if labels.get("type") == "used" and limit and used >= 0.95 * limit:
            quota, resource = key(labels)
            unit = BYTES if "memory" in resource or "storage" in resource else PLAIN
            text = f"quota {quota}: {format_number(used, unit)} of {format_number(limit, unit)} {resource} used"
            yield _fact("quota", text, False, True, quota=quota, resource=resource, used=used, hard=limit)


def _resources(known: Known, subject: Subject) -> Iterator[Told]:
    for metric, name in zip(RESOURCES, ("request", "limit"), strict=True):
        for labels, value in _of(known, metric):
            resource = labels.get("resource", "")
            pod, container = _pod(labels), _container(labels)
            shown = format_number(value, BYTES if resource == "memory" or labels.get("unit") == "byte" else PLAIN)
            text = f"{container or 'a container'} of {pod} has a {resource} {name} of {shown}"
            yield _fact(name, text, is_own(labels, subject), False, pod=pod, container=container, resource=resource, amount=value)


def pod_label(namespace_label: str) -> str:
    """What kube-state-metrics calls a pod where it calls the namespace this."""
    return "exported_pod" if namespace_label == "exported_namespace" else "pod"


def _pod(labels: Mapping[str, str]) -> str:
    return _first(labels, ("exported_pod", "pod"))


def _container(labels: Mapping[str, str]) -> str:
    return _first(labels, ("exported_container", "container"))
