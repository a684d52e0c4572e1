"""What changed, as metrics tell it where nobody lets us look into the cluster: kube-state-metrics, and the `…_build_info` of programs.

    kube_replicaset_created                                     the value is when the revision was made
    kube_deployment_status_observed_generation and the like     a step up: somebody changed the object
    kube_deployment_spec_replicas, …_status_desired_replicas    a step: scaled
    kube_pod_container_info                                     an image that appears where another one was
    kube_node_spec_unschedulable, kube_node_status_condition    cordoned, not ready, under pressure
    …_build_info                                                a version that appears where another one was

Pure. A series without `__name__`, or of another metric, is no change.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent_sre.alert.subject import Subject, describe, workload_of
from agent_sre.evidence.changes import newest_first
from agent_sre.evidence.evidence import Change, MetricSeries
from agent_sre.kit.text import one_line

METRICS = (
    "kube_replicaset_created", "kube_deployment_status_observed_generation", "kube_statefulset_status_observed_generation",
    "kube_daemonset_status_observed_generation", "kube_deployment_spec_replicas", "kube_statefulset_replicas",
    "kube_horizontalpodautoscaler_status_desired_replicas", "kube_pod_container_info", "kube_node_spec_unschedulable",
    "kube_node_status_condition",
)  # fmt: skip
"""What is worth asking for, beside `{__name__=~".+_build_info"}`."""

_GENERATIONS = {
    "kube_deployment_status_observed_generation": ("Deployment", "deployment"),
    "kube_statefulset_status_observed_generation": ("StatefulSet", "statefulset"),
    "kube_daemonset_status_observed_generation": ("DaemonSet", "daemonset"),
}
_REPLICAS = {
    "kube_deployment_spec_replicas": ("Deployment", "deployment"),
    "kube_statefulset_replicas": ("StatefulSet", "statefulset"),
    "kube_horizontalpodautoscaler_status_desired_replicas": ("HorizontalPodAutoscaler", "horizontalpodautoscaler"),
}
_MOST_STEPS = 5
_SAME = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    at: datetime
    before: float
    after: float


def changes_in_series(series: Iterable[MetricSeries], *, window_start: datetime, now: datetime) -> tuple[Change, ...]:
    """What changed between `window_start` and `now`, newest first, as far as these series tell.

    They should reach back before `window_start`: what has no before is no change. Times are as fine as the points are.
    """
    by_name: dict[str, list[MetricSeries]] = defaultdict(list)
    for item in series:
        if item.points:
            by_name[item.labels.get("__name__", "")].append(item)
    scalings = list(_scalings(by_name))
    created = list(_created(by_name.get("kube_replicaset_created", ())))
    images = list(_images(by_name.get("kube_pod_container_info", ())))
    # One rollout shows as a new ReplicaSet, a new image and a new generation: the one that says most stays.
    rollouts = _without_echoes([*images, *created])
    edits = _without_echoes([*rollouts, *scalings, *_edits(by_name)])
    found = [*edits, *_builds(by_name), *_node_steps(by_name)]
    return newest_first(change for change in found if change.at is not None and window_start <= change.at <= now)


def _without_echoes(changes: Sequence[Change]) -> list[Change]:
    """Those that no earlier one in the list has said about the same subject, give or take a few minutes."""
    kept: list[Change] = []
    for change in changes:
        if not any(
            other is not change and other.subject == change.subject and other.at and change.at and abs(other.at - change.at) <= _SAME
            for other in kept
        ):
            kept.append(change)
    return kept


def _created(found: Sequence[MetricSeries]) -> Iterator[Change]:
    """New ReplicaSets of Deployments that had one before."""
    made: dict[Subject, list[tuple[float, str]]] = defaultdict(list)
    for item in found:
        name = item.labels.get("replicaset", "")
        stem = name.rpartition("-")[0]
        if stem:
            made[_subject("Deployment", stem, item.labels)].append((item.points[-1][1], name))
    for subject, revisions in made.items():
        ordered = sorted(revisions)
        for (_, before), (created_at, name) in itertools.pairwise(ordered):
            at = _instant(created_at)
            if at is not None:
                text = f"{describe(subject)} rolled out: {one_line(name, 120)} replaces {one_line(before, 120)}"
                yield Change(at=at, kind="rollout", subject=subject, text=text)


def _edits(by_name: Mapping[str, Sequence[MetricSeries]]) -> Iterator[Change]:
    for metric, (kind, label) in _GENERATIONS.items():
        for item in by_name.get(metric, ()):
            subject = _subject(kind, item.labels.get(label, ""), item.labels)
            for step in _steps(item.points):
                if step.after > step.before:
                    text = f"{describe(subject)} was changed (generation {step.before:.0f} to {step.after:.0f})"
                    yield Change(at=step.at, kind="rollout", subject=subject, text=text)


def _scalings(by_name: Mapping[str, Sequence[MetricSeries]]) -> Iterator[Change]:
    for metric, (kind, label) in _REPLICAS.items():
        for item in by_name.get(metric, ()):
            subject = _subject(kind, item.labels.get(label, "") or item.labels.get("hpa", ""), item.labels)
            for step in _steps(item.points):
                text = f"{describe(subject)} was scaled from {step.before:.0f} to {step.after:.0f} replicas"
                yield Change(at=step.at, kind="scale", subject=subject, text=text)


def _images(found: Sequence[MetricSeries]) -> Iterator[Change]:
    images: dict[tuple[Subject, str], dict[str, list[MetricSeries]]] = defaultdict(lambda: defaultdict(list))
    for item in found:
        image = item.labels.get("image_spec") or item.labels.get("image", "")
        pod = _label(item.labels, "pod")
        if image and pod:
            # The controller's kind is not among the labels; a ReplicaSet's hash in the name tells the most common one.
            kind = "Deployment" if pod.count("-") >= 2 and len(pod.rpartition("-")[2]) == 5 else "Pod"
            workload = workload_of(pod)
            subject = _subject(kind if workload != pod else "Pod", workload, item.labels)
            images[subject, _label(item.labels, "container")][image].append(item)
    for (subject, container), by_image in images.items():
        for at, before, after in _successions(by_image):
            name = one_line(container, 80)
            yield Change(
                at=at,
                kind="image",
                subject=subject,
                text=f"{describe(subject)} runs another image of {name or 'its container'}",
                diff=(f"- {name} image: {one_line(before, 200)}", f"+ {name} image: {one_line(after, 200)}"),
            )


def _builds(by_name: Mapping[str, Sequence[MetricSeries]]) -> Iterator[Change]:
    versions: dict[tuple[str, Subject], dict[str, list[MetricSeries]]] = defaultdict(lambda: defaultdict(list))
    for name, found in by_name.items():
        if not name.endswith("_build_info"):
            continue
        for item in found:
            labels = item.labels
            version = next((labels[key] for key in ("version", "git_version", "gitVersion", "tag", "revision", "commit") if labels.get(key)), "")
            who = labels.get("service") or labels.get("job") or name.removesuffix("_build_info")
            if version:
                versions[name, _subject("Service", who, labels)][version].append(item)
    for (name, subject), by_version in versions.items():
        for at, before, after in _successions(by_version):
            old, new = one_line(before, 80), one_line(after, 80)
            program = one_line(name.removesuffix("_build_info"), 80)
            text = f"{describe(subject)}: {program} went from version {old} to {new}"
            yield Change(at=at, kind="rollout", subject=subject, text=text, diff=(f"- version: {old}", f"+ version: {new}"))


def _successions(by_value: Mapping[str, Sequence[MetricSeries]]) -> Iterator[tuple[datetime, str, str]]:
    """What followed on what: a value that appears while or after another one was there. The first of all has no before."""
    began = sorted((min(item.points[0][0] for item in found), value) for value, found in by_value.items())
    for (first, before), (later, after) in itertools.pairwise(began):
        at = _instant(later)
        if at is not None and later > first:
            yield at, before, after


def _node_steps(by_name: Mapping[str, Sequence[MetricSeries]]) -> Iterator[Change]:
    for item in by_name.get("kube_node_spec_unschedulable", ()):
        for step in _steps(item.points):
            yield _node(item.labels, step.at, "was cordoned" if step.after else "was uncordoned")
    for item in by_name.get("kube_node_status_condition", ()):
        condition = one_line(item.labels.get("condition", ""), 60)
        if item.labels.get("status") != "true":
            continue
        for step in _steps(item.points):
            if condition == "Ready":
                yield _node(item.labels, step.at, "became ready" if step.after else "became not ready")
            elif step.after:
                yield _node(item.labels, step.at, f"reports {condition}")


def _node(labels: Mapping[str, str], at: datetime, verb: str) -> Change:
    name = one_line(labels.get("node", ""))
    return Change(at=at, kind="node", subject=_subject("Node", name, {**labels, "namespace": ""}), text=f"Node {name} {verb}")


def _steps(points: Sequence[tuple[float, float]]) -> list[_Step]:
    """The last few places where a value differs from the one before."""
    found = []
    for (_, before), (at, after) in itertools.pairwise(points):
        instant = _instant(at)
        if before != after and before == before and after == after and instant is not None:  # NaN differs from itself
            found.append(_Step(at=instant, before=before, after=after))
    return found[-_MOST_STEPS:]


def _subject(kind: str, name: str, labels: Mapping[str, str]) -> Subject:
    namespace = _label(labels, "namespace")
    cluster = labels.get("cluster", "")
    return Subject(
        kind=kind, name=one_line(name), namespace=one_line(namespace), cluster=one_line(cluster), node=one_line(name) if kind == "Node" else ""
    )


def _label(labels: Mapping[str, str], name: str) -> str:
    """Without honor_labels, Prometheus renames what the exporter says about others: `exported_pod`."""
    return labels.get(f"exported_{name}") or labels.get(name, "")


def _instant(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
