"""Routes of gateways that lead to the wrong service, to none, or that nobody has: out of Ingress, HTTPRoute, VirtualService and configuration."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes import objects as k8s
from agent_sre.finding import wiring
from agent_sre.finding.finding import Finding
from agent_sre.finding.weights import WIRING
from agent_sre.finding.world import Seen, World

_CAUSE = "gateway_misroute"
_LEAST_LETTERS = 4  # `/api` and `/v1` name nobody
_NOT_FOUND = re.compile(r"\b404\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    path: str
    target: str  # the first label of the host
    namespace: str
    port: int | None
    kind: str
    holder: str
    evidence_id: str


class Routes:
    """Compares where a path leads with the service that it names, and with the services that there are."""

    name = "routes"

    def detect(self, world: World) -> Iterable[Finding]:
        services = {(seen.value.namespace, seen.value.name): seen for seen in world.objects("Service")}
        routes = list(dict.fromkeys(_routes(world)).keys()) if services else []
        targets = {route.target for route in routes}
        for route in routes:
            here = [name for namespace, name in services if namespace == route.namespace]
            meant = _named_by(route.path, here)
            known = {
                "path": route.path,
                "target": route.target,
                "routes": route.holder,
                "gateway": _user(world, route),
                "service": meant or route.target,
            }
            if route.target not in here:
                # A configuration often names services that are not deployed here; an object of the API was made for this cluster.
                if here and _looks_local(route.target, here) and (meant or route.kind != "ConfigMap"):
                    subject = Subject(kind="Service", name=meant or _nearest(route.target, here) or route.target, namespace=route.namespace)
                    known["service"] = subject.name
                    summary = f"{route.kind} {route.holder} sends {route.path} to {route.target}, which is not there"
                    yield self._finding(subject, WIRING.route_to_nothing if meant else WIRING.route_to_absent, summary, known, (route.evidence_id,))
            elif meant and meant != route.target and meant not in targets and not _names(route.path, route.target):
                subject = Subject(kind="Service", name=meant, namespace=route.namespace)
                summary = f"{route.kind} {route.holder} sends {route.path} to {route.target}, and nothing to {meant}"
                yield self._finding(
                    subject, WIRING.route_to_another, summary, known, (route.evidence_id, services[route.namespace, meant].evidence_id)
                )
            elif route.port is not None:
                service = services[route.namespace, route.target]
                ports = wiring.service_ports(service.value)
                if ports and route.port not in ports and route.kind != "ConfigMap":
                    subject = Subject(kind="Service", name=route.target, namespace=route.namespace)
                    summary = f"{route.kind} {route.holder} sends {route.path} to port {route.port} of {route.target}, which it does not have"
                    yield self._finding(subject, WIRING.route_to_nothing, summary, known, (route.evidence_id, service.evidence_id))
        yield from self._not_found(world, services)

    def _not_found(self, world: World, services: Mapping[tuple[str, str], Seen[KubernetesObject]]) -> Iterator[Finding]:
        """404 for the paths of a service that is well: whoever answers is another."""
        for seen in world.facts("bundle", "anomalies"):
            values = seen.value.values
            error, entry, url = (str(values.get(name) or "") for name in ("raw_error", "entry_service", "url"))
            if not _NOT_FOUND.search(error) or not entry:
                continue
            found = next((service for (_, name), service in services.items() if name == entry), None)
            if found is None or not wiring.ready_addresses(world, found.value):
                continue
            known = {"path": url, "target": "another service", "service": entry}
            summary = f"{url or entry} is not found at the entrance, while {entry} is ready"
            subject = Subject(kind="Service", name=entry, namespace=found.value.namespace)
            yield self._finding(
                subject,
                WIRING.not_found_at_gateway,
                summary,
                known,
                (seen.evidence_id, found.evidence_id),
                "The client may ask for a path that never was.",
            )

    def _finding(self, subject: Subject, weight: float, summary: str, known: Mapping[str, Any], ids: Sequence[str], against: str = "") -> Finding:
        return Finding(
            detector=self.name,
            summary=summary,
            subject=subject,
            facts={name: value for name, value in known.items() if value},
            evidence_ids=tuple(dict.fromkeys(ids)),
            cause=_CAUSE,
            weight=weight,
            against=against,
        )


def _routes(world: World) -> Iterator[_Route]:
    for seen in [*world.objects("ConfigMap"), *(item for item in world.applied if item.value.kind == "ConfigMap")]:
        for item in k8s.mappings_of(seen.value.manifest, "routes"):
            yield from _route(seen, k8s.text_of(item, "path"), k8s.text_of(item, "to"), item.get("port"))
    for seen in world.objects("Ingress"):
        for rule in k8s.mappings_of(seen.value.manifest, "spec", "rules"):
            for item in k8s.mappings_of(rule, "http", "paths"):
                service = k8s.mapping_of(item, "backend", "service")
                name = k8s.text_of(service, "name") or k8s.text_of(item, "backend", "serviceName")
                port = k8s.field_of(service, "port", "number") or k8s.field_of(item, "backend", "servicePort")
                yield from _route(seen, k8s.text_of(item, "path") or "/", name, port)
    for seen in world.objects("HTTPRoute"):
        for rule in k8s.mappings_of(seen.value.manifest, "spec", "rules"):
            paths = [k8s.text_of(match, "path", "value") for match in k8s.mappings_of(rule, "matches")] or ["/"]
            for backend in k8s.mappings_of(rule, "backendRefs"):
                for path in paths:
                    yield from _route(seen, path or "/", k8s.text_of(backend, "name"), backend.get("port"), k8s.text_of(backend, "namespace"))
    for seen in world.objects("VirtualService"):
        for rule in k8s.mappings_of(seen.value.manifest, "spec", "http"):
            paths = [k8s.text_of(match, "uri", word) for match in k8s.mappings_of(rule, "match") for word in ("prefix", "exact")]
            for target in k8s.mappings_of(rule, "route"):
                port = k8s.field_of(target, "destination", "port", "number")
                for path in [path for path in paths if path] or ["/"]:
                    yield from _route(seen, path, k8s.text_of(target, "destination", "host"), port)


def _route(seen: Seen[KubernetesObject], path: str, host: str, port: Any, namespace: str = "") -> Iterator[_Route]:
    parts = host.split(".")
    if not host or not path or (len(parts) > 1 and (len(parts) < 3 or parts[2] != "svc") and len(parts) != 2):
        return
    yield _Route(
        path=path,
        target=parts[0],
        namespace=namespace or (parts[1] if len(parts) > 1 else seen.value.namespace),
        port=wiring.number(port),
        kind=seen.value.kind,
        holder=seen.value.name,
        evidence_id=seen.evidence_id,
    )


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _words_of(path: str) -> list[str]:
    return [word for part in path.split("/") if len(word := _letters(part)) >= _LEAST_LETTERS]


def _names(path: str, service: str) -> bool:
    """Whether a part of the path is the service's name, or its end (`orders` in `shop-orders`)."""
    letters = _letters(service)
    return any(letters == word or letters.endswith(word) or letters in word for word in _words_of(path))


def _named_by(path: str, services: Sequence[str]) -> str:
    """The one service that a path names; empty where it is none or several."""
    found: set[str] = set()
    for word in _words_of(path):
        exact = {name for name in services if _letters(name) == word}
        found |= exact or {name for name in services if _letters(name).endswith(word)}
    shortest = sorted(found, key=len)
    return shortest[0] if len(shortest) == 1 or (shortest and len(shortest[0]) < len(shortest[1])) else ""


def _looks_local(target: str, here: Sequence[str]) -> bool:
    """Whether a host without a Service looks like those around it: the names share their beginning or their end."""
    parts = set(re.split(r"[-_]", target))
    return any(parts & set(re.split(r"[-_]", name)) for name in here)


def _nearest(target: str, here: Sequence[str]) -> str:
    return next(iter(difflib.get_close_matches(target, here, n=1, cutoff=0.7)), "")


def _user(world: World, route: _Route) -> str:
    """The workload that mounts the configuration."""
    if route.kind != "ConfigMap":
        return ""
    for seen in wiring.workloads(world, route.namespace):
        if any(reference.kind == "ConfigMap" and reference.name == route.holder for reference in k8s.references_of(seen.value)):
            return seen.value.name
    return ""
