"""Services that do not lead where they should: the selector fits no pod, a port leads nowhere, or the transport is another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes import objects as k8s
from agent_sre.finding import wiring
from agent_sre.finding.finding import Finding
from agent_sre.finding.peers import REFUSED, TIMEOUT, PeerError, peer_errors
from agent_sre.finding.weights import WIRING
from agent_sre.finding.world import Seen, World


class ServiceWiring:
    """Compares the selector and the ports of every Service with the pods behind it."""

    name = "service_wiring"

    def detect(self, world: World) -> Iterable[Finding]:
        if not world.objects("Pod"):
            return
        errors = _errors_by_service(world)
        for seen in world.objects("Service"):
            if k8s.text_of(seen.value.manifest, "spec", "type") == "ExternalName" or not wiring.selector_of(seen.value):
                continue
            pods = wiring.selected_pods(world, seen.value)
            failed = errors.get((seen.value.namespace, seen.value.name), [])
            if pods:
                yield from self._ports(world, seen, pods, failed)
                yield from self._astray(world, seen, pods)
            else:
                yield from self._selector(world, seen, failed)

    def _selector(self, world: World, service: Seen[KubernetesObject], failed: Sequence[PeerError]) -> Iterable[Finding]:
        selector = wiring.selector_of(service.value)
        backends = [seen.value for seen in wiring.workloads(world, service.value.namespace)]
        if any(wiring.selects(selector, wiring.template_labels(item)) for item in backends):
            return  # its workload is there and has no pods: something else keeps them from being
        meant = _meant(service.value, selector, backends)
        if meant is None:
            return
        pods = world.pods_by_workload.get((meant.namespace, meant.name), ())
        ready = any(wiring.is_ready(pod.value) for pod in pods)
        weight = WIRING.selector_fits_nothing if ready else WIRING.selector_fits_nothing_unready
        labels = wiring.template_labels(meant)
        wrong = {name: value for name, value in selector.items() if labels.get(name) != value}
        wanted = ", ".join(f"{name}={value}" for name, value in sorted(wrong.items()))
        has = ", ".join(f"{name}={labels[name]}" for name in sorted(wrong) if name in labels) or "no such label"
        yield self._finding(
            service,
            "service_selector_mismatch",
            weight,
            f"Service {service.value.name} selects {wanted}, but the pods of {meant.name} have {has}: it has no endpoints",
            {"service": service.value.name, "selector": wanted, "labels": has, "workload": meant.name},
            _cited(pods, failed),
            "It would not matter if nobody called this Service." if not failed else "",
        )

    def _astray(self, world: World, service: Seen[KubernetesObject], pods: Sequence[Seen[KubernetesObject]]) -> Iterable[Finding]:
        """A Service called like one workload that selects the pods of another, while nothing selects the first one's."""
        namespace, name = service.value.namespace, service.value.name
        own = next((seen.value for seen in wiring.workloads(world, namespace) if seen.value.name == name), None)
        if own is None or wiring.selects(wiring.selector_of(service.value), wiring.template_labels(own)):
            return
        labels = wiring.template_labels(own)
        if any(wiring.selects(wiring.selector_of(seen.value), labels) for seen in world.objects("Service", namespace)):
            return
        other = world.workload("Pod", namespace, pods[0].value.name).name
        yield self._finding(
            service,
            "service_selector_mismatch",
            WIRING.selector_fits_others,
            f"Service {name} selects the pods of {other}, and no Service selects those of {name}",
            {"service": name, "workload": other},
            _cited(pods, ()),
        )

    def _ports(
        self, world: World, service: Seen[KubernetesObject], pods: Sequence[Seen[KubernetesObject]], failed: Sequence[PeerError]
    ) -> Iterable[Finding]:
        name = service.value.name
        owner = world.workload("Pod", service.value.namespace, pods[0].value.name)
        items = [*(pod.value for pod in pods), *wiring.versions_of(world, owner)]
        declared = [port for item in items for port in wiring.container_ports(item, sidecars=False)]
        numbers = {number for item in declared if (number := wiring.number(item.get("containerPort"))) is not None}
        names = {text for item in declared if (text := k8s.text_of(item, "name"))}
        ready = any(wiring.is_ready(pod.value) for pod in pods)
        addresses = wiring.ready_addresses(world, service.value)
        for port in k8s.mappings_of(service.value.manifest, "spec", "ports"):
            target = port.get("targetPort") or port.get("port")
            known: dict[str, Any] = {"service": name, "port": str(port.get("port")), "target": str(target), "declared": _listed(numbers)}
            goal = wiring.number(target)
            if goal is None and isinstance(target, str) and target not in names and (names or addresses == 0):
                unresolved = addresses == 0 and ready
                yield self._finding(
                    service, "service_port_mapping_mismatch",
                    WIRING.port_leads_nowhere if unresolved or names else WIRING.port_undeclared,
                    f"Service {name} sends port {port.get('port')} to the container port named {target}, which no container of {owner.name} has",
                    known, _cited(pods, failed),
                )  # fmt: skip
            elif goal is not None and numbers and goal not in numbers:
                refused = any(error.kind in (REFUSED, TIMEOUT) for error in failed)
                listens = goal in _other_ports(items)
                weight = WIRING.port_leads_nowhere if refused else WIRING.port_undeclared
                yield self._finding(
                    service, "service_port_mapping_mismatch", WIRING.port_listened_on if listens and not refused else weight,
                    f"Service {name} sends port {port.get('port')} to {goal}, but the containers of {owner.name} declare {_listed(numbers)}",
                    known, _cited(pods, failed),
                    "A container may listen on a port that it does not declare." if not refused else "",
                )  # fmt: skip
            yield from self._transport(service, port, declared, goal, _cited(pods, failed), known)

    def _transport(
        self, service: Seen[KubernetesObject], port: Mapping[str, Any], declared: Sequence[Mapping[str, Any]], goal: int | None,
        cited: tuple[str, ...], known: Mapping[str, Any],
    ) -> Iterable[Finding]:  # fmt: skip
        transport = k8s.text_of(port, "protocol") or "TCP"
        same = [item for item in declared if wiring.number(item.get("containerPort")) == goal or k8s.text_of(item, "name") == port.get("targetPort")]
        listens = {k8s.text_of(item, "protocol") or "TCP" for item in same}
        if listens and transport not in listens:
            told = ", ".join(sorted(listens))
            yield self._finding(
                service, "service_protocol_mismatch", WIRING.other_transport,
                f"Service {service.value.name} offers port {port.get('port')} over {transport}, but the container listens over {told}",
                {**known, "protocol": transport, "listens": told}, cited,
            )  # fmt: skip

    def _finding(
        self,
        service: Seen[KubernetesObject],
        cause: str,
        weight: float,
        summary: str,
        facts: Mapping[str, Any],
        cited: Iterable[str],
        against: str = "",
    ) -> Finding:
        return Finding(
            detector=self.name,
            summary=summary,
            subject=Subject(kind="Service", name=service.value.name, namespace=service.value.namespace),
            facts=facts,
            evidence_ids=tuple(dict.fromkeys([service.evidence_id, *cited])),
            cause=cause,
            weight=weight,
            against=against,
        )


def _meant(service: KubernetesObject, selector: Mapping[str, str], backends: Sequence[KubernetesObject]) -> KubernetesObject | None:
    """The workload whose pods a Service was meant to select: the one of its name, else the one whose labels are nearly those."""
    for item in backends:
        if item.name == service.name:
            return item
    best = max(backends, key=lambda item: _alike(selector, wiring.template_labels(item)), default=None)
    return best if best is not None and _alike(selector, wiring.template_labels(best)) >= WIRING.nearly_the_same else None


def _alike(selector: Mapping[str, str], labels: Mapping[str, str]) -> float:
    return sum(SequenceMatcher(None, value, labels.get(name, "")).ratio() for name, value in selector.items()) / len(selector)


def _other_ports(items: Sequence[KubernetesObject]) -> set[int]:
    """Ports that probes ask and that variables called PORT name: something listens there, declared or not."""
    found = set()
    for item in items:
        found |= {port for name, value in wiring.environment(item) if name.upper().endswith("PORT") and (port := wiring.number(value)) is not None}
    return found


def _errors_by_service(world: World) -> dict[tuple[str, str], list[PeerError]]:
    by_ip = wiring.service_by_ip(world)
    found: dict[tuple[str, str], list[PeerError]] = {}
    for error in peer_errors(world):
        service = by_ip.get(error.host)
        if service is not None:
            found.setdefault((service.namespace, service.name), []).append(error)
            continue
        parts = error.host.split(".")
        namespace = parts[1] if len(parts) > 1 and not parts[0].isdigit() else error.log.subject.namespace
        found.setdefault((namespace, parts[0]), []).append(error)
    return found


def _cited(pods: Sequence[Seen[KubernetesObject]], failed: Sequence[PeerError]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(pod.evidence_id for pod in pods[:2]), *(error.evidence_id for error in failed[:3])]))


def _listed(ports: Iterable[int]) -> str:
    return ", ".join(str(port) for port in sorted(ports)[:6]) or "none"
