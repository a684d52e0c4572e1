"""Which workload is slow by itself, and whether it waits (a delay on its network) or works (all the CPU that it may use).

Callers of a slow workload are slow as well. What sets the source apart: its calls were the quickest before, became slower by the largest factor,
and still take less than those of its callers, which wait for it and for more. An entrance to the cluster calls everybody, so it comes last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from agent_sre.alert.subject import Subject
from agent_sre.evidence.kubernetes import objects as k8s
from agent_sre.finding import wiring
from agent_sre.finding.finding import Finding
from agent_sre.finding.load import Measured, lossy_nodes, measured, ratio, slow_nodes, slowness, split_slowness
from agent_sre.finding.weights import LOAD
from agent_sre.finding.world import World


class WorkloadLoad:
    """Reads latency and CPU of workloads; only where their objects are known."""

    name = "workload_load"

    def detect(self, world: World) -> Iterable[Finding]:
        if not world.objects("Pod"):
            return
        seen = measured(world)
        busy = [name for name, item in seen.items() if _is_busy(world, name, item)]
        entrances = _entrances(world)
        slow = sorted(
            ((score, name) for name, item in seen.items() if (score := slowness(item, entrance=name in entrances)) is not None), reverse=True
        )
        lossy = lossy_nodes(world, seen)
        crowds = slow_nodes(world, seen) or split_slowness(world, seen)
        # Work makes some calls slow; a delay makes all of them slow, and by far more.
        waits = any(ratio(seen[name]) >= LOAD.waiting_ratio for _, name in slow)
        for name in sorted(busy, key=lambda name: -_rise(seen[name].values["cpu"])):
            yield self._busy(world, name, seen[name], LOAD.less_likely if waits else 1.0)
        for place, (score, name) in enumerate(slow[:3]):
            lead = score - slow[1][0] if place == 0 and len(slow) > 1 else LOAD.clear_lead
            weight = _weight(lead) if place == 0 else LOAD.network_delay_unclear / (place + 1)
            others = [other for _, other in slow if other != name]
            share = LOAD.less_likely if (busy and not waits) or lossy or crowds else 1.0
            yield self._slow(world, name, seen[name], weight * share, others)

    def _busy(self, world: World, name: str, item: Measured, share: float) -> Finding:
        before, after = item.values["cpu"]
        throttled = item.values.get("throttled", (0.0, 0.0))[1]
        weight = LOAD.cpu_overload if throttled >= LOAD.throttled_seconds else LOAD.cpu_overload_unclear
        words = f" and is throttled {throttled:.2f} s per second" if throttled >= LOAD.throttled_seconds else ""
        return self._finding(
            world, name, item, "pod_cpu_overload", weight * share, f"{name} uses {after:.2f} cores where it used {before:.3f}{words}"
        )

    def _slow(self, world: World, name: str, item: Measured, weight: float, others: Sequence[str]) -> Finding:
        before, after = item.values["latency"]
        calls = f"; {', '.join(others[:3])} wait for it or for others" if others else ""
        summary = f"Half of the calls to {name} take more than {after:,.0f} ms where it was {before:,.0f} ms, and it does not work more{calls}"
        return self._finding(
            world, name, item, "pod_network_delay", weight, summary, "A peer that it calls, and whose latency is not measured, may be the slow one."
        )

    def _finding(self, world: World, name: str, item: Measured, cause: str, weight: float, summary: str, against: str = "") -> Finding:
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


def _weight(lead: float) -> float:
    """From unclear to clear, by how far the first is ahead of the second."""
    share = min(1.0, max(0.0, lead / LOAD.clear_lead))
    return LOAD.network_delay_unclear + share * (LOAD.network_delay - LOAD.network_delay_unclear)


def _is_busy(world: World, name: str, item: Measured) -> bool:
    if "cpu" not in item.values or ("latency" not in item.values and "throttled" not in item.values):
        return False
    _, after = item.values["cpu"]
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
