"""The evidence of one incident, laid out so that a detector can ask it things. Pure, and made once per diagnosis.

    EvidenceSet ──World──> objects by kind and name · events by object · curves by signal · log patterns · changes · dependencies · facts

Every datum stands in a Seen, which remembers the evidence that it came from: a finding cites what it rests on. Whether the answers came from
a live cluster or from a recording makes no difference here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agent_sre.alert.subject import Subject, workload_of
from agent_sre.evidence.evidence import (
    Change,
    Dependency,
    Evidence,
    EvidenceSet,
    Fact,
    KubernetesObject,
    LogPattern,
    MetricSeries,
)
from agent_sre.incident.incident import Incident

if TYPE_CHECKING:
    from agent_sre.evidence.prometheus.signals import Metric

T = TypeVar("T")

_METRIC = "__name__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Generic[T]):
    """A datum and the id of the evidence that it came from."""

    evidence_id: str
    value: T


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One series, and what it measures. `signal` is one of signals.SIGNALS, or empty where the metric's name does not tell."""

    evidence_id: str
    metric: str  # empty where the answer does not name it
    signal: str
    good: bool  # counts what went well: less is worse
    factor: float  # times the value gives the base unit
    unit: str
    unit_is_known: bool  # told by whoever asked, or by the metric's name; else `unit` and `factor` are the custom for such metrics
    labels: Mapping[str, str]  # without __name__
    points: tuple[tuple[float, float], ...]  # (unix seconds, value), oldest first


class World:
    """What is known about an incident, by what a detector asks for. Nothing is computed before it is asked for."""

    def __init__(self, incident: Incident, evidence: EvidenceSet, now: datetime | None = None) -> None:
        """`now` defaults to the latest instant at which evidence was collected, else to the incident's own start."""
        self.incident = incident
        self.evidence = evidence
        self.now = now or max((item.collected_at for item in evidence.items), default=incident.triggered_at)

    @property
    def onset_at(self) -> datetime:
        """When the earliest alert says that it began; the trouble itself began some minutes before."""
        return min((alert.starts_at for alert in self.incident.alerts), default=self.incident.triggered_at)

    # Kubernetes

    @cached_property
    def _objects(self) -> Mapping[str, tuple[Seen[KubernetesObject], ...]]:
        found: dict[str, dict[tuple[str, str], Seen[KubernetesObject]]] = {}
        for item, data in self._data():
            # "manifests" are what was applied, not what is: `applied` has them
            if isinstance(data, KubernetesObject) and item.query.kind != "manifests":
                same = found.setdefault(data.kind, {})
                # kubectl prints events without their names: none is the same as another
                same.setdefault((data.namespace, data.name or f"#{len(same)}"), Seen(evidence_id=item.id, value=data))
        return {kind: tuple(seen.values()) for kind, seen in found.items()}

    def objects(self, kind: str, namespace: str | None = None) -> tuple[Seen[KubernetesObject], ...]:
        """The objects of a kind ("Pod"), of one namespace where it is given; in the order in which they were answered."""
        found = self._objects.get(kind, ())
        return found if namespace is None else tuple(seen for seen in found if seen.value.namespace == namespace)

    @cached_property
    def _object_by_key(self) -> Mapping[tuple[str, str, str], Seen[KubernetesObject]]:
        return {(kind, seen.value.namespace, seen.value.name): seen for kind, found in self._objects.items() for seen in found}

    def object(self, kind: str, namespace: str, name: str) -> Seen[KubernetesObject] | None:
        """The object of this name, None where nobody saw it."""
        return self._object_by_key.get((kind, namespace, name))

    @cached_property
    def applied(self) -> tuple[Seen[KubernetesObject], ...]:
        """The manifests as somebody applied them: what should be."""
        return tuple(
            Seen(evidence_id=item.id, value=data)
            for item, data in self._data()
            if isinstance(data, KubernetesObject) and item.query.kind == "manifests"
        )

    @cached_property
    def _events(self) -> Mapping[tuple[str, str, str], tuple[Seen[KubernetesObject], ...]]:
        found: dict[tuple[str, str, str], list[Seen[KubernetesObject]]] = {}
        for seen in self.objects("Event"):
            about = mapping(seen.value.manifest.get("involvedObject"))
            key = (string(about.get("kind")), string(about.get("namespace")) or seen.value.namespace, string(about.get("name")))
            found.setdefault(key, []).append(seen)
        return {key: tuple(events) for key, events in found.items()}

    def events(self, kind: str, namespace: str, name: str) -> tuple[Seen[KubernetesObject], ...]:
        """The events about one object."""
        return self._events.get((kind, namespace, name), ())

    # Who is who

    @cached_property
    def _owner_by_key(self) -> Mapping[tuple[str, str, str], tuple[str, str]]:
        owners = {}
        for kind, found in self._objects.items():
            for seen in found:
                for reference in sequence(mapping(seen.value.manifest.get("metadata")).get("ownerReferences")):
                    owner = mapping(reference)
                    owners[(kind, seen.value.namespace, seen.value.name)] = (string(owner.get("kind")), string(owner.get("name")))
                    break
        return owners

    def workload(self, kind: str, namespace: str, name: str) -> Subject:
        """The workload that an object belongs to: the Deployment of a pod, by owner references, else by the shape of its name."""
        seen_kind, seen_name = kind, name
        for _ in range(4):
            owner = self._owner_by_key.get((seen_kind, namespace, seen_name))
            if owner is None or not owner[0] or owner[0] == "Node":
                break
            seen_kind, seen_name = owner
        if seen_kind == "ReplicaSet":
            seen_kind, seen_name = "Deployment", re.sub(r"-[a-z0-9]{5,10}$", "", seen_name)
        elif seen_kind == "Pod":
            base = workload_of(seen_name)
            seen_kind = next((other for other in ("Deployment", "StatefulSet", "DaemonSet") if self.object(other, namespace, base)), "Deployment")
            seen_name = base
        return Subject(kind=seen_kind, name=seen_name, namespace=namespace)

    @cached_property
    def pods_by_workload(self) -> Mapping[tuple[str, str], tuple[Seen[KubernetesObject], ...]]:
        """Pods by (namespace, name of their workload)."""
        found: dict[tuple[str, str], list[Seen[KubernetesObject]]] = {}
        for seen in self.objects("Pod"):
            found.setdefault((seen.value.namespace, self.workload("Pod", seen.value.namespace, seen.value.name).name), []).append(seen)
        return {key: tuple(pods) for key, pods in found.items()}

    # Everything else

    @cached_property
    def curves(self) -> tuple[Curve, ...]:
        """All series, with what they measure: by their metric's name, else by the kind of question that they answer."""
        series = [(item, data) for item, data in self._data() if isinstance(data, MetricSeries)]
        if not series:
            return ()
        # Reading PromQL's names loads its parser, which nothing on the way to the webhook needs.
        from agent_sre.evidence.prometheus.signals import SIGNALS, classify

        return tuple(_curve(item, data, classify, SIGNALS) for item, data in series)

    @cached_property
    def log_patterns(self) -> tuple[Seen[LogPattern], ...]:
        return tuple(Seen(evidence_id=item.id, value=data) for item, data in self._data() if isinstance(data, LogPattern))

    @cached_property
    def changes(self) -> tuple[Seen[Change], ...]:
        """What changed, each thing once: where an answer was made from the others (evidence/derived.py), its list, else all that was told."""
        told = [item for item in self.evidence.items if any(isinstance(data, Change) for data in item.data)]
        merged = [item for item in told if (item.query.source, item.query.kind) == ("kubernetes", "changes")]
        return tuple(Seen(evidence_id=item.id, value=data) for item in merged[-1:] or told for data in item.data if isinstance(data, Change))

    @cached_property
    def dependencies(self) -> tuple[Seen[Dependency], ...]:
        return tuple(Seen(evidence_id=item.id, value=data) for item, data in self._data() if isinstance(data, Dependency))

    def facts(self, source: str, kind: str, name: str = "") -> tuple[Seen[Fact], ...]:
        """The facts that answer this kind of question, of one name where it is given."""
        return tuple(
            Seen(evidence_id=item.id, value=data)
            for item, data in self._data()
            if isinstance(data, Fact) and item.query.source == source and item.query.kind == kind and (not name or data.name == name)
        )

    def _data(self) -> Iterator[tuple[Evidence, Any]]:
        return ((item, data) for item in self.evidence.items for data in item.data)


def _curve(item: Evidence, series: MetricSeries, classify: Callable[[str], Metric | None], signals: Sequence[str]) -> Curve:
    name = series.labels.get(_METRIC, "")
    if series.signal:
        return Curve(
            evidence_id=item.id, metric=name, signal=series.signal, good=series.worse == "down", factor=1.0, unit=series.unit,
            unit_is_known=True,
            labels={label: value for label, value in series.labels.items() if label != _METRIC}, points=series.points,
        )  # fmt: skip
    metric = classify(name) if name else None
    kind = item.query.kind
    return Curve(
        evidence_id=item.id,
        metric=name,
        signal=metric.signal if metric else kind if kind in signals else "",
        good=metric.good if metric else False,
        factor=metric.factor if metric else 1.0,
        unit=metric.unit if metric else "",
        unit_is_known=metric is not None and metric.unit_is_told,
        labels={label: value for label, value in series.labels.items() if label != _METRIC},
        points=series.points,
    )


# Reading manifests, which may hold anything


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def string(value: Any) -> str:
    """The value where it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def field(manifest: Mapping[str, Any], *path: str) -> Any:
    """What stands at a path of a manifest (`field(pod, "spec", "nodeName")`); None where it leads nowhere."""
    found: Any = manifest
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found
