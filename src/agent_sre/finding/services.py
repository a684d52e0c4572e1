"""Services as the curves, edges and changes know them: which curve is whose, who calls whom, and how each curve moved.

Curve ──whose──> service | edge (source -> destination, measured at either end)
      ──shift──> Movement: how far it moved, in multiples of its own noise
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent_sre.alert.subject import Subject, workload_of
from agent_sre.evidence import numbers
from agent_sre.finding.statistics import FEWEST_BEFORE, Floors, Shift, compress, shift
from agent_sre.finding.world import Curve, World

_SOURCE = ("source", "client", "source_workload", "source_app", "source_service", "client_service")
_DESTINATION = ("destination", "server", "destination_workload", "destination_app", "destination_service_name", "destination_service", "peer_service")
_OWNER = (
    "workload", "deployment", "statefulset", "service", "service_name", "app", "application", "component", "destination_workload", "microservice",
)  # fmt: skip
_POD = ("pod", "pod_name", "kubernetes_pod_name")
_VERSION = re.compile(r"[-_](?:v\d+(?:[-_.]\d+)*|blue|green|canary|stable|primary)$", re.IGNORECASE)

CLIENT, NETWORK_TIME, SYSCALLS = "client_latency", "network_time", "syscalls"
"""Signals of our own beside those of signals.SIGNALS: time of calls made, time between client and server, system calls."""

FLOORS: Mapping[tuple[str, str], Floors] = {
    ("cpu", numbers.PERCENT): Floors(absolute=2.0, relative=0.1),
    ("cpu", ""): Floors(absolute=0.02, relative=0.1),  # cores: 20 millicores are a garbage collection
    ("memory", numbers.PERCENT): Floors(absolute=1.0, relative=0.05),
    ("memory", ""): Floors(absolute=10e6, relative=0.05),
    ("latency", ""): Floors(absolute=0.003, relative=0.2),  # 3 ms: nobody notices less
    (CLIENT, ""): Floors(absolute=0.005, relative=0.2),
    (NETWORK_TIME, ""): Floors(absolute=0.005, relative=0.3),
    ("errors", numbers.PERCENT): Floors(absolute=1.0, relative=0.01),
    ("errors", ""): Floors(absolute=0.01, relative=0.01),
    ("network", ""): Floors(absolute=10e3, relative=0.2),
    (SYSCALLS, ""): Floors(absolute=50.0, relative=0.2),
    ("traffic", ""): Floors(absolute=0.3, relative=0.2),
    ("saturation", ""): Floors(absolute=0.05, relative=0.1),
}
"""By signal and unit, in base units: what is too small to be trouble whatever the noise of the curve says."""

LITTLE_HISTORY = 0.4
"""What a movement counts where one point is all that is known of before."""

_ANY = Floors(absolute=1e-9, relative=0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """How one curve of a service, or of a call between two, moved at the onset."""

    curve: Curve
    signal: str
    source: str  # empty where the curve is of one service
    service: str  # whose it is; of an edge: the one called
    end: str  # of an edge: "source" or "destination", the one that measured
    pod: str
    shift: Shift

    @property
    def rise(self) -> float:
        return compress(self.shift.rise) * self._trust

    @property
    def fall(self) -> float:
        return compress(self.shift.fall) * self._trust

    @property
    def _trust(self) -> float:
        # what one or two points say of noise is a guess
        return min(1.0, LITTLE_HISTORY + (1 - LITTLE_HISTORY) * (self.shift.points_before - 1) / (FEWEST_BEFORE - 1))


class Services:
    """What the curves of a world say about its services. Built once per world."""

    def __init__(self, world: World) -> None:
        self.onset = world.onset_at.timestamp()
        self.calls = frozenset((seen.value.source, seen.value.destination) for seen in world.dependencies)
        self.dependency_ids = tuple(dict.fromkeys(seen.evidence_id for seen in world.dependencies))
        self._changed = {seen.value.subject.name for seen in world.changes}
        # pods that a rollout takes away fall silent on purpose: their curves tell of their end
        self.removed = frozenset(line[2:].strip() for seen in world.changes for line in seen.value.diff if line.startswith("- "))
        self._named = {name for pair in self.calls for name in pair} | self._changed
        self._named |= {name for curve in world.curves for name in (_first(curve.labels, _SOURCE), _first(curve.labels, _DESTINATION)) if name}
        self.pod_curves: list[tuple[Curve, str, str, str]] = []
        self.moved = tuple(self._movements(world.curves))
        self.calls = self.calls | {(item.source, item.service) for item in self.moved if item.source}
        self.callees: dict[str, set[str]] = {}
        self.callers: dict[str, set[str]] = {}
        for source, destination in self.calls:
            if source != destination:
                self.callees.setdefault(source, set()).add(destination)
                self.callers.setdefault(destination, set()).add(source)
        self.by_service: dict[str, list[Movement]] = {}
        self.by_edge: dict[tuple[str, str], list[Movement]] = {}
        self._namespaces: dict[str, str] = {}
        for item in self.moved:
            self._namespaces.setdefault(item.service, item.curve.labels.get("namespace", ""))
            if item.source:
                self._namespaces.setdefault(item.source, item.curve.labels.get("namespace", ""))
                self.by_edge.setdefault((item.source, item.service), []).append(item)
            else:
                self.by_service.setdefault(item.service, []).append(item)

    @property
    def names(self) -> tuple[str, ...]:
        """All services with a curve, in the order in which they were seen."""
        return tuple(self._namespaces)

    def subject(self, name: str) -> Subject:
        """The service as a subject."""
        return Subject(kind="Service", name=name, namespace=self._namespaces.get(name, ""))

    def below(self, name: str) -> frozenset[str]:
        """Everything that a service calls, directly or through others; never itself."""
        found: set[str] = set()
        todo = [name]
        while todo:
            for callee in self.callees.get(todo.pop(), ()):
                if callee not in found and callee != name:
                    found.add(callee)
                    todo.append(callee)
        return frozenset(found)

    def of(self, service: str, signal: str) -> list[Movement]:
        """How the service's own curves of a signal moved."""
        return [item for item in self.by_service.get(service, ()) if item.signal == signal]

    def whose(self, labels: Mapping[str, str]) -> str:
        """The service that a curve with one end belongs to: a name that the call graph knows, else its own word."""
        pod = _first(labels, _POD)
        workload = workload_of(pod) if pod else ""
        base = _VERSION.sub("", workload)
        for name in (base, workload):  # a pod's name is given by its owner; a label beside it may be anybody's
            if name and name in self._named:
                return name
        return _first(labels, _OWNER) or base

    def signal(self, curve: Curve) -> str:
        """The curve's signal in our words."""
        return signal_of(curve)

    def _movements(self, curves: Iterable[Curve]) -> Iterable[Movement]:
        for curve in curves:
            if curve.metric.startswith("node_"):
                continue
            signal = signal_of(curve)
            if not signal:
                continue
            source, destination = _first(curve.labels, _SOURCE), _first(curve.labels, _DESTINATION)
            pod = _first(curve.labels, _POD)
            if pod:
                self.pod_curves.append((curve, source, destination, pod))
            if pod in self.removed:
                continue
            floors = FLOORS.get((signal, curve.unit)) or FLOORS.get((signal, ""), _ANY)
            moved = shift(curve.points, self.onset, floors, curve.factor)
            if moved is None:
                continue
            if source and destination:
                yield Movement(
                    curve=curve, signal=signal, source=source, service=destination, end=_end(curve, source, pod), pod=pod, shift=moved
                )  # fmt: skip
            elif service := self.whose(curve.labels):
                yield Movement(curve=curve, signal=signal, source="", service=service, end="", pod=pod, shift=moved)


def signal_of(curve: Curve) -> str:
    """The curve's signal, with the finer words of ours."""
    name = curve.metric
    if "syscall" in name:
        return SYSCALLS
    if curve.signal == "latency" and "network" in name:
        return NETWORK_TIME
    if curve.signal == "latency" and "client" in name:
        return CLIENT
    return curve.signal


def _end(curve: Curve, source: str, pod: str) -> str:
    reporter = curve.labels.get("reporter", "")
    if reporter in ("source", "destination"):
        return reporter
    if "server" in curve.metric:
        return "destination"
    if pod:
        return "source" if _VERSION.sub("", workload_of(pod)) == source else "destination"
    return "source"


def _first(labels: Mapping[str, str], names: Iterable[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")
