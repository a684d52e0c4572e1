"""Two processes of one pod on one port: a sidecar was moved onto the application's, or two containers declare the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes import objects as k8s
from agent_sre.finding import wiring
from agent_sre.finding.finding import Finding
from agent_sre.finding.weights import WIRING
from agent_sre.finding.world import World

_IN_USE = re.compile(
    r"address (?:is )?already in use|port (\d{2,5}) (?:was|is) already in use|EADDRINUSE|bind: address in use|only one usage of each socket address"
    r"|failed to bind to address|errno 98|cannot bind to (?:address|port)|bind\(\) to [^\s]{1,60} failed \(98",
    re.IGNORECASE,
)
_PORT_IN_LINE = re.compile(r"(?:port |:::?|\]:|:)(\d{2,5})\b")
_SETTING = re.compile(
    r"[\"']?(statusPort|proxyAdminPort|adminPort|proxyMetricsPort|listenPort|prometheusPort|metricsPort|healthPort)[\"']?\s*[:=]\s*[\"']?(\d{2,5})"
)
_PORT_ANNOTATION = re.compile(r"(?:istio\.io|linkerd\.io|dapr\.io|consul\.hashicorp\.com|vault\.hashicorp\.com)/.{0,60}port$", re.IGNORECASE)
_RESERVED = {15000, 15001, 15004, 15006, 15008, 15020, 15021, 15053, 15090}
"""Ports that the Istio proxy listens on in each pod of the mesh."""


class SidecarPorts:
    """Compares the ports of applications with those of the sidecars beside them, and reads who says that a port is in use."""

    name = "sidecar_ports"

    def detect(self, world: World) -> Iterable[Finding]:
        in_use = _in_use(world)
        told = set()
        for seen in wiring.workloads(world):
            subject = wiring.subject_of(seen.value)
            pods = world.pods_by_workload.get((subject.namespace, subject.name), ())
            versions = [*wiring.versions_of(world, subject), *(pod.value for pod in pods[:2])]
            port, who = _conflict(versions)
            ids, ports, lines = in_use.get(subject.name, ((), frozenset(), ""))
            if port is None and not ids:
                continue
            told.add(subject.name)
            said = bool(ids) and (not ports or port is None or re.search(rf"\b{port}\b", lines) is not None)
            if port is not None:
                weight = WIRING.sidecar_port_taken if said else WIRING.sidecar_port_shared
            else:
                weight = WIRING.port_in_use + (0.2 if _has_two(versions) else 0.0)
            port = port or next(iter(sorted(ports)), None)
            where = f"port {port}" if port else "a port"
            summary = (
                f"{who} and the application of {subject.name} share {where}" if who else f"{subject.name} wants {where}, which is in use in its pod"
            )
            yield self._finding(
                subject, weight, f"{summary}{'; its log says that it is in use' if said and who else ''}", port, (seen.evidence_id, *ids)
            )
        for name, (ids, ports, _) in in_use.items():
            if name not in told:
                port = next(iter(sorted(ports)), None)
                subject = Subject(kind="Deployment", name=name, namespace=world.incident.subject.namespace)
                yield self._finding(subject, WIRING.port_in_use, f"{name} says that the port it wants is in use", port, ids)

    def _finding(self, subject: Subject, weight: float, summary: str, port: int | None, ids: Sequence[str]) -> Finding:
        return Finding(
            detector=self.name,
            summary=summary,
            subject=subject,
            facts={"port": str(port) if port else ""},
            evidence_ids=tuple(dict.fromkeys(ids)),
            cause="service_sidecar_port_conflict",
            weight=weight,
        )


def _in_use(world: World) -> dict[str, tuple[tuple[str, ...], frozenset[int], str]]:
    """By workload: the evidence that a port was in use, which, where the line says it, and the lines."""
    found: dict[str, tuple[tuple[str, ...], frozenset[int], str]] = {}
    for seen in world.log_patterns:
        match = _IN_USE.search(seen.value.sample[:2_000])
        if match is None or seen.value.has_vanished:
            continue
        line = seen.value.sample[max(0, match.start() - 80) : match.end() + 80]
        near = [match[1]] if match[1] else _PORT_IN_LINE.findall(line)
        ports = {int(port) for port in near if 0 < int(port) < 65536}
        before = found.get(seen.value.subject.name, ((), frozenset(), ""))
        found[seen.value.subject.name] = ((*before[0], seen.evidence_id)[:4], before[1] | ports, f"{before[2]} {line}"[:2_000])
    return found


def _conflict(versions: Sequence[KubernetesObject]) -> tuple[int | None, str]:
    """A port that the application wants and something beside it takes, and what that is."""
    for item in versions:
        spec = k8s.mapping_of(k8s.pod_template(item), "spec")
        containers = k8s.mappings_of(spec, "containers")
        own = {
            (number, k8s.text_of(port, "protocol") or "TCP"): k8s.text_of(container, "name")
            for container in containers
            if not wiring.is_sidecar(container)
            for port in k8s.mappings_of(container, "ports")
            if (number := wiring.number(port.get("containerPort"))) is not None
        }
        numbers = {number for number, transport in own if transport == "TCP"}
        for setting, port in _settings(item, containers):
            if port in numbers:
                return port, f"The sidecar ({setting})"
        for container in containers:
            name = k8s.text_of(container, "name")
            for declared in k8s.mappings_of(container, "ports"):
                key = (wiring.number(declared.get("containerPort")), k8s.text_of(declared, "protocol") or "TCP")
                if key[0] is not None and own.get((key[0], key[1]), name) != name:
                    return key[0], f"Container {name}"
        if any(wiring.is_sidecar(container) for container in containers) and (taken := numbers & _RESERVED):
            return min(taken), "The sidecar"
    return None, ""


def _settings(item: KubernetesObject, containers: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    """The ports that annotations and variables give a sidecar."""
    annotations = k8s.mapping_of(k8s.pod_template(item), "metadata", "annotations")
    for name, value in annotations.items():
        if not isinstance(value, str) or not isinstance(name, str):
            continue
        for setting, port in _SETTING.findall(value[:2_000]):
            yield setting, int(port)
        if (
            _PORT_ANNOTATION.search(name)
            and (number := wiring.number(value.strip())) is not None
            and "app-port" not in name
            and "include" not in name
        ):
            yield name, number
    for container in containers:
        if wiring.is_sidecar(container):
            for variable in k8s.mappings_of(container, "env"):
                for setting, port in _SETTING.findall(k8s.text_of(variable, "value")[:2_000]):
                    yield setting, int(port)


def _has_two(versions: Sequence[KubernetesObject]) -> bool:
    return any(len(k8s.mappings_of(k8s.pod_template(item), "spec", "containers")) > 1 for item in versions)
