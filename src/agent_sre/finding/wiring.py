"""How applications are wired: which pods a Service reaches, on which ports, and which addresses a workload was given. Pure readers of a World."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes import objects as k8s
from agent_sre.finding.world import Seen, World

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")

_SETTLED = timedelta(seconds=90)  # a crash loop backs off for longer, so whoever ran this long since is through its start

_SIDECARS = re.compile(r"(?:^|-)(?:istio-proxy|istio-init|istio-validation|linkerd-proxy|linkerd-init|envoy|consul-dataplane|cloud-?sql-proxy)$")
_ADDRESS = re.compile(
    r"(?:(?:jdbc:)?[a-z][a-z0-9+.-]{1,20}://)?(?:[^@/\s]{1,200}@)?([A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?(?:\.[A-Za-z0-9-]{1,63}){0,6})(?::(\d{1,5}))?(?:[/?;].*)?"
)
_HOST_NAME = re.compile(r"(?i)(?:^|[_.-])(?:host(?:name)?|addr(?:ess)?(?:es)?|url|uri|endpoint|server|service|svc|broker|brokers|dsn)s?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host that a workload's environment names."""

    variable: str
    host: str  # as written, without scheme and port
    service: str  # the first label of the host
    namespace: str  # that it means; the workload's own where it names none
    port: int | None
    in_cluster: bool  # a bare name, or one below svc


def number(value: Any) -> int | None:
    """A whole number, also one written as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else None


def workloads(world: World, namespace: str | None = None) -> Iterator[Seen[KubernetesObject]]:
    """Whatever makes pods that serve."""
    for kind in WORKLOADS:
        yield from world.objects(kind, namespace)


def workload_named(world: World, subject: Subject) -> Subject:
    """The workload of this name, as an object of the cluster; the subject itself where there is none: whose log it is, say."""
    found = (seen.value for seen in workloads(world, subject.namespace or None) if seen.value.name == subject.name)
    return next((subject_of(item) for item in found), subject)


def template_labels(workload: KubernetesObject) -> Mapping[str, str]:
    """The labels that its pods get."""
    found = k8s.mapping_of(k8s.pod_template(workload), "metadata", "labels")
    return {name: value for name, value in found.items() if isinstance(value, str)}


def selector_of(service: KubernetesObject) -> Mapping[str, str]:
    """The labels that a Service selects by; empty where it selects nothing itself."""
    found = k8s.mapping_of(service.manifest, "spec", "selector")
    return {name: value for name, value in found.items() if isinstance(value, str)}


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether all of a selector's labels are there. An empty one selects nothing."""
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())


def selected_pods(world: World, service: KubernetesObject) -> tuple[Seen[KubernetesObject], ...]:
    """The pods that a Service selects, ready or not."""
    selector = selector_of(service)
    return tuple(seen for seen in world.objects("Pod", service.namespace) if selects(selector, k8s.labels_of(seen.value)))


def is_ready(pod: KubernetesObject) -> bool:
    """Whether the kubelet says that the pod may get traffic."""
    return k8s.text_of(k8s.condition(pod, "Ready"), "status") == "True"


def has_settled(pod: KubernetesObject, now: datetime) -> bool:
    """Whether a pod is ready and its containers have run for a while, or never ended: what its log said at the start is over."""
    if not is_ready(pod):
        return False
    for status in k8s.mappings_of(pod.manifest, "status", "containerStatuses"):
        started = k8s.instant_of(status, "state", "running", "startedAt")
        restarts = k8s.number_of(status, "restartCount") or 0
        if restarts > 1 and (started is None or now - started < _SETTLED):
            return False
    return True


def ready_addresses(world: World, service: KubernetesObject) -> int | None:
    """How many addresses a Service has that may get traffic; None where its endpoints were not seen."""
    endpoints = world.object("Endpoints", service.namespace, service.name)
    if endpoints is None:
        return None
    return sum(len(k8s.mappings_of(subset, "addresses")) for subset in k8s.mappings_of(endpoints.value.manifest, "subsets"))


def is_sidecar(container: Mapping[str, Any]) -> bool:
    """Whether a container is a proxy that something put beside the application."""
    return bool(_SIDECARS.search(k8s.text_of(container, "name")))


def container_ports(item: KubernetesObject, *, sidecars: bool = True) -> tuple[Mapping[str, Any], ...]:
    """The ports that the containers of a pod or of a workload's template declare."""
    spec = k8s.mapping_of(k8s.pod_template(item), "spec")
    return tuple(
        port
        for container in k8s.mappings_of(spec, "containers")
        if sidecars or not is_sidecar(container)
        for port in k8s.mappings_of(container, "ports")
    )


def applied(world: World, kind: str, namespace: str, name: str) -> KubernetesObject | None:
    """The manifest as it was applied."""
    return next((seen.value for seen in world.applied if (seen.value.kind, seen.value.namespace, seen.value.name) == (kind, namespace, name)), None)


def versions_of(world: World, subject: Subject) -> tuple[KubernetesObject, ...]:
    """A workload as it is and as it was applied: a text that kubectl printed leaves things out that the applied manifest says."""
    live = world.object(subject.kind, subject.namespace, subject.name)
    other = applied(world, subject.kind, subject.namespace, subject.name)
    return tuple(item for item in (live.value if live else None, other) if item is not None)


def subject_of(item: KubernetesObject) -> Subject:
    """The object as a subject."""
    return Subject(kind=item.kind, name=item.name, namespace=item.namespace)


def environment(item: KubernetesObject) -> Iterator[tuple[str, str]]:
    """The variables with a plain value of a workload's own containers."""
    spec = k8s.mapping_of(k8s.pod_template(item), "spec")
    for container in k8s.mappings_of(spec, "containers"):
        if not is_sidecar(container):
            for variable in k8s.mappings_of(container, "env"):
                name, value = k8s.text_of(variable, "name"), variable.get("value")
                if name and isinstance(value, str | int) and not isinstance(value, bool):
                    yield name, str(value)


def addresses_of(item: KubernetesObject) -> tuple[Address, ...]:
    """The hosts that its environment names; a port in a variable beside it counts (`DB_HOST`, `DB_PORT`)."""
    variables = dict(environment(item))
    found = []
    for name, value in variables.items():
        for part in value.split(",")[:8]:
            match = _ADDRESS.fullmatch(part.strip()[:500])
            if match is None or match[1].isdigit() or ("." in match[1] and re.fullmatch(r"[\d.]+", match[1])):
                continue
            port = number(match[2])
            if port is None and not _HOST_NAME.search(name) and "://" not in part:
                continue
            if port is None and (base := _HOST_NAME.sub("", name)) != name:
                port = number(variables.get(f"{base}_PORT") or variables.get(f"{base}PORT") or variables.get(f"{base}.port"))
            if port is None and "://" not in part and not re.search(r"(?i)host|addr|endpoint|server|url|uri|broker", name):
                continue
            found.append(_address(name, match[1], port, item.namespace))
    return tuple(found)


def _address(variable: str, host: str, port: int | None, namespace: str) -> Address:
    parts = host.split(".")
    below = len(parts) > 2 and parts[2] == "svc"
    known = parts[1] if len(parts) > 1 else namespace
    return Address(variable=variable, host=host, service=parts[0], namespace=known, port=port, in_cluster=len(parts) == 1 or below)


def service_by_ip(world: World) -> Mapping[str, KubernetesObject]:
    """Services by their cluster address."""
    found = {}
    for seen in world.objects("Service"):
        address = k8s.text_of(seen.value.manifest, "spec", "clusterIP")
        if address and address != "None":
            found[address] = seen.value
    return found


def service_ports(service: KubernetesObject) -> frozenset[int]:
    """The numbers that callers may use."""
    return frozenset(port for item in k8s.mappings_of(service.manifest, "spec", "ports") if (port := number(item.get("port"))) is not None)


def is_outside(host: str) -> bool:
    """Whether a name belongs to nothing in the cluster: `billing.partner.example` is no Service of a namespace `partner`."""
    parts = host.split(".")
    return len(parts) > 2 and parts[2] != "svc"


def service_at(host: str, namespace: str, by_ip: Mapping[str, KubernetesObject]) -> Subject | None:
    """The Service that answers at a host, as somebody in this namespace calls it; None for an address that belongs to nothing that was seen."""
    known = by_ip.get(host)
    if known is not None:
        return Subject(kind="Service", name=known.name, namespace=known.namespace)
    first, *rest = host.split(".")
    if first.isdigit():
        return None
    return Subject(kind="Service", name=host) if is_outside(host) else Subject(kind="Service", name=first, namespace=rest[0] if rest else namespace)
