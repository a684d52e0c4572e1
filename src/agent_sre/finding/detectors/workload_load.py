"""Which workload is slow by itself, and whether it waits (a delay on its network) or works (all the CPU that it may use).

Callers of a slow workload are slow as well. What sets the source apart: its calls were the quickest before, became slower by the largest factor,
and still take less than those of its callers, which wait for it and for more. An entrance to the cluster calls everybody, so it comes last.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent_sre.alert.subject import Subject
from agent_sre.evidence.kubernetes import objects as k8s
from agent_sre.finding import wiring
from agent_sre.finding.finding import Finding
from agent_sre.finding.weights import LOAD
from agent_sre.finding.world import Curve, World

_LATENCY = re.compile(r"(?:^|_)p?(50|90|95|99)(?:th)?_?(?:latency|duration|response_time)|(?:latency|duration)_?p(50|90|95|99)", re.IGNORECASE)
_CPU = re.compile(r"(?:^|_)cpu(?:_usage|_cores|_seconds)?$", re.IGNORECASE)
_THROTTLED = re.compile(r"cpu_?(?:cfs|throttl)", re.IGNORECASE)
_REPORTED = re.compile(
    r"(p(?:50|90|95|99)latency|cpu core|cpu_cfs)[^|]*?Normal=([\d.]+)\s*(ms|s|cores)? -> Current=([\d.]+)\s*(ms|s|cores)?", re.IGNORECASE
)
_WHO = ("workload", "service", "deployment", "app", "pod")


@dataclass(slots=True)
class _Seen:
    """What was measured of one workload: (usual, now) by kind."""

    values: dict[str, tuple[float, float]] = field(default_factory=dict)
    evidence_ids: list[str] = field(default_factory=list)

    def put(self, kind: str, before: float, after: float, evidence_id: str) -> None:
        self.values.setdefault(kind, (before, after))
        if evidence_id not in self.evidence_ids:
            self.evidence_ids.append(evidence_id)


class WorkloadLoad:
    """Reads latency and CPU of workloads; only where their objects are known."""

    name = "workload_load"

    def detect(self, world: World) -> Iterable[Finding]:
        if not world.objects("Pod"):
            return
        seen = _measured(world) or _reported(world)
        busy = [name for name, item in seen.items() if _is_busy(world, name, item)]
        entrances = _entrances(world)
        slow = sorted(
            ((score, name) for name, item in seen.items() if (score := _slowness(item, entrance=name in entrances)) is not None), reverse=True
        )
        # Work makes some calls slow; a delay makes all of them slow, and by far more.
        waits = any(_ratio(seen[name]) >= LOAD.waiting_ratio for _, name in slow)
        for name in sorted(busy, key=lambda name: -_rise(seen[name].values["cpu"])):
            yield self._busy(world, name, seen[name], LOAD.less_likely if waits else 1.0)
        for place, (score, name) in enumerate(slow[:3]):
            lead = score - slow[1][0] if place == 0 and len(slow) > 1 else LOAD.clear_lead
            weight = _weight(lead) if place == 0 else LOAD.network_delay_unclear / (place + 1)
            others = [other for _, other in slow if other != name]
            yield self._slow(world, name, seen[name], weight * (LOAD.less_likely if busy and not waits else 1.0), others)

    def _busy(self, world: World, name: str, item: _Seen, share: float) -> Finding:
        before, after = item.values["cpu"]
        throttled = item.values.get("throttled", (0.0, 0.0))[1]
        weight = LOAD.cpu_overload if throttled >= LOAD.throttled_seconds else LOAD.cpu_overload_unclear
        words = f" and is throttled {throttled:.2f} s per second" if throttled >= LOAD.throttled_seconds else ""
        return self._finding(
            world, name, item, "pod_cpu_overload", weight * share, f"{name} uses {after:.2f} cores where it used {before:.3f}{words}"
        )

    def _slow(self, world: World, name: str, item: _Seen, weight: float, others: Sequence[str]) -> Finding:
        before, after = item.values["latency"]
        calls = f"; {', '.join(others[:3])} wait for it or for others" if others else ""
        summary = f"Half of the calls to {name} take more than {after:,.0f} ms where it was {before:,.0f} ms, and it does not work more{calls}"
        return self._finding(
            world, name, item, "pod_network_delay", weight, summary, "A peer that it calls, and whose latency is not measured, may be the slow one."
        )

    def _finding(self, world: World, name: str, item: _Seen, cause: str, weight: float, summary: str, against: str = "") -> Finding:
        return Finding(
            detector=self.name,
            summary=summary,
            subject=_subject(world, name),
            facts={kind: round(after, 3) for kind, (_, after) in item.values.items()},
            evidence_ids=tuple(item.evidence_ids[:6]),
            cause=cause,
            weight=weight,
            against=against,
        )


def _measured(world: World) -> dict[str, _Seen]:
    found: dict[str, _Seen] = {}
    for curve in world.curves:
        name = next((curve.labels[label] for label in _WHO if label in curve.labels), "")
        kind = _kind(curve)
        if not name or not kind:
            continue
        values = _before_and_after(curve, world.now.timestamp())
        if values is not None:
            found.setdefault(name, _Seen()).put(kind, *values, curve.evidence_id)
    return found


def _kind(curve: Curve) -> str:
    latency = _LATENCY.search(curve.metric)
    if latency:
        return "latency" if "50" in latency.groups() else "tail"
    if _THROTTLED.search(curve.metric):
        return "throttled"
    return "cpu" if _CPU.search(curve.metric) else ""


def _before_and_after(curve: Curve, now: float) -> tuple[float, float] | None:
    """The usual value before the trouble and the second highest since, in milliseconds for latencies as the recording has them."""
    before = sorted(value for at, value in curve.points if at < now - LOAD.recent_seconds and math.isfinite(value))
    after = sorted(value for at, value in curve.points if at >= now - LOAD.recent_seconds and math.isfinite(value))
    if not before or len(after) < 3:
        return None
    return before[len(before) // 2], after[-2]


def _reported(world: World) -> dict[str, _Seen]:
    """What another detector says that it measured, where the curves themselves are missing."""
    found: dict[str, _Seen] = {}
    for seen in world.facts("bundle", "anomalies"):
        name = str(seen.value.values.get("entity_name") or seen.value.values.get("name") or "")
        for what, before, unit, after, _ in _REPORTED.findall(seen.value.text[:4_000]):
            factor = 1_000.0 if unit == "s" and "latency" in what.lower() else 1.0
            kind = "latency" if what.lower().startswith("p50") else "tail" if "latency" in what.lower() else "cpu" if "core" in what else "throttled"
            if name and len(before) < 15 and len(after) < 15 and before.count(".") < 2 and after.count(".") < 2:
                found.setdefault(name, _Seen()).put(kind, float(before) * factor, float(after) * factor, seen.evidence_id)
    return found


def _slowness(item: _Seen, *, entrance: bool) -> float | None:
    """How much a workload looks like the source of slowness; None where it is not slow."""
    if "latency" not in item.values:
        return None
    before, after = item.values["latency"]
    if after - before < LOAD.latency_least_ms or (after < LOAD.latency_rise * before and after - before < LOAD.latency_much_ms):
        return None
    usual = before if before > 0 else LOAD.latency_unknown_ms
    score = math.log((after + LOAD.latency_floor_ms) / (usual + LOAD.latency_floor_ms)) - LOAD.deeper_is_quicker * math.log(
        after + LOAD.latency_floor_ms
    )
    return score - (LOAD.entrance if entrance else 0.0)


def _weight(lead: float) -> float:
    """From unclear to clear, by how far the first is ahead of the second."""
    share = min(1.0, max(0.0, lead / LOAD.clear_lead))
    return LOAD.network_delay_unclear + share * (LOAD.network_delay - LOAD.network_delay_unclear)


def _is_busy(world: World, name: str, item: _Seen) -> bool:
    if "cpu" not in item.values or ("latency" not in item.values and "throttled" not in item.values):
        return False
    before, after = item.values["cpu"]
    limit = _cpu_limit(world, name)
    throttled = item.values.get("throttled", (0.0, 0.0))
    newly = throttled[1] - throttled[0] >= LOAD.throttled_newly and throttled[1] >= LOAD.cpu_rise * throttled[0]
    if _rise(item.values["cpu"]) < (LOAD.cpu_rise_throttled if newly else LOAD.cpu_rise) or after < LOAD.cpu_least:
        return False
    if limit is not None and after < LOAD.cpu_of_limit * limit:
        return False
    return limit is not None or throttled[1] - throttled[0] >= LOAD.throttled_seconds


def _rise(values: tuple[float, float]) -> float:
    return values[1] / max(values[0], LOAD.cpu_floor)


def _ratio(item: _Seen) -> float:
    before, after = item.values["latency"]
    return (after + LOAD.latency_floor_ms) / (before + LOAD.latency_floor_ms) if before > 0 else 0.0


def _cpu_limit(world: World, name: str) -> float | None:
    """The CPU that the containers of the workload together may use, in cores."""
    for seen in wiring.workloads(world):
        if seen.value.name == name:
            containers = k8s.mappings_of(k8s.pod_template(seen.value), "spec", "containers")
            limits = [_cores(k8s.field_of(container, "resources", "limits", "cpu")) for container in containers if not wiring.is_sidecar(container)]
            known = [limit for limit in limits if limit is not None]
            return sum(known) if known and len(known) == len(limits) else None
    return None


def _cores(value: object) -> float | None:
    text = str(value)
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(m?)", text) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    return float(match[1]) / (1_000 if match[2] else 1) if match else None


def _entrances(world: World) -> set[str]:
    """Workloads that a Service opens to the outside: they call the others."""
    found = set()
    for seen in world.objects("Service"):
        if k8s.text_of(seen.value.manifest, "spec", "type") in ("NodePort", "LoadBalancer"):
            selector = wiring.selector_of(seen.value)
            found |= {
                item.value.name
                for item in wiring.workloads(world, seen.value.namespace)
                if wiring.selects(selector, wiring.template_labels(item.value))
            }
    return found


def _subject(world: World, name: str) -> Subject:
    for seen in wiring.workloads(world):
        if seen.value.name == name:
            return wiring.subject_of(seen.value)
    return Subject(kind="Service", name=name, namespace=world.incident.subject.namespace)
