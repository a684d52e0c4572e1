"""Addresses in the environment of workloads that lead nowhere: no such Service, no such port, or another Service than the variable says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes import objects as k8s
from agent_sre.finding import wiring
from agent_sre.finding.finding import Finding
from agent_sre.finding.peers import NAME, NO_ANSWER, PeerError, peer_errors
from agent_sre.finding.weights import WIRING
from agent_sre.finding.wiring import Address
from agent_sre.finding.world import Seen, World

_CAUSE = "service_env_var_address_mismatch"
_SUFFIX = re.compile(r"(?:SERVICE|SVC)?_?(?:ADDR(?:ESS)?|HOST(?:NAME)?|URL|URI|ENDPOINT)$", re.IGNORECASE)
_LOCAL = frozenset({"localhost", "host", "0"})


class Addresses:
    """Compares the addresses that workloads were given with the Services that there are; a log line of the workload confirms."""

    name = "addresses"

    def detect(self, world: World) -> Iterable[Finding]:
        services = {(seen.value.namespace, seen.value.name): seen for seen in world.objects("Service")}
        if not services:
            return
        errors = _errors(world)
        callers = list(_callers(world))
        agreed = _agreed([address for _, addresses in callers for address in addresses])
        for seen, addresses in callers:
            for address in addresses:
                said = errors.get(seen.value.name, [])
                if address.service in _LOCAL:
                    continue
                if not address.in_cluster or not any(namespace == address.namespace for namespace, _ in services):
                    yield from self._elsewhere(seen, address, said, services)
                    continue
                service = services.get((address.namespace, address.service))
                if service is None:
                    yield from self._missing(world, seen, address, said, [name for namespace, name in services if namespace == address.namespace])
                else:
                    yield from self._port(seen, address, service, said, agreed)
                    yield from self._swapped(seen, address, services, addresses)

    def _missing(
        self, world: World, seen: Seen[KubernetesObject], address: Address, errors: Sequence[PeerError], here: Sequence[str]
    ) -> Iterator[Finding]:
        if wiring.applied(world, "Service", address.namespace, address.service) is not None:
            return  # it should be there: what keeps it from being is the trouble
        said = [
            error
            for error in errors
            if error.host.lower() in (address.host.lower(), address.service.lower()) or error.host.startswith(f"{address.service}.")
        ]
        near = next(iter(get_close_matches(address.service, here, n=1, cutoff=0.75)), "")
        weight = WIRING.address_refuted if said else WIRING.address_like_another if near else WIRING.address_unconfirmed
        hint = f"; there is {near}" if near else ""
        confirmed = "; its log says so" if said else ""
        summary = f"{seen.value.name} is to find {address.host} by {address.variable}, and no Service is called that{hint}{confirmed}"
        yield self._finding(
            seen, address, weight, summary, said, (),
            "" if said else "No line of its log complains: the address may never be used.",
        )  # fmt: skip

    def _elsewhere(
        self, seen: Seen[KubernetesObject], address: Address, errors: Sequence[PeerError], services: Mapping[tuple[str, str], Seen[KubernetesObject]]
    ) -> Iterator[Finding]:
        """A host that nobody looked at. A log speaks against it, or a Service of that very name in the workload's own namespace."""
        said = [error for error in errors if error.host.lower() == address.host.lower()]
        if not address.in_cluster and said and not any(error.kind in (NAME, NO_ANSWER) for error in said):
            return  # the address leads somewhere: what is there does not answer
        here = services.get((seen.value.namespace, address.service)) if address.in_cluster else None
        if not said and here is None:
            return
        weight = WIRING.address_outside_refuted if said else WIRING.address_like_another
        hint = f"; there is {address.service} in {seen.value.namespace}" if here is not None else ""
        confirmed = "; its log says that it does not get there" if said else ""
        summary = f"{seen.value.name} is to find {address.host} by {address.variable}{hint}{confirmed}"
        yield self._finding(seen, address, weight, summary, said, (here.evidence_id,) if here else (), "Nobody looked at what is there.")

    def _port(
        self, seen: Seen[KubernetesObject], address: Address, service: Seen[KubernetesObject], errors: Sequence[PeerError], agreed: Mapping[str, int]
    ) -> Iterator[Finding]:
        ports = wiring.service_ports(service.value)
        if address.port is None or not ports or address.port in ports:
            return
        ip = k8s.text_of(service.value.manifest, "spec", "clusterIP")
        said = [error for error in errors if error.port == address.port and (error.host == ip or error.host.partition(".")[0] == address.service)]
        weight = WIRING.address_port_refuted if said else WIRING.address_port_unconfirmed
        if agreed.get(f"{address.namespace}/{address.service}") == address.port:
            weight *= 0.5  # all callers say the same: the Service has moved, not one caller
        listed = ", ".join(str(port) for port in sorted(ports))
        confirmed = "; its log says so" if said else ""
        summary = (
            f"{seen.value.name} is to call {address.service} on port {address.port} by {address.variable}, but the Service has {listed}{confirmed}"
        )
        yield self._finding(seen, address, weight, summary, said, (service.evidence_id,))

    def _swapped(
        self, seen: Seen[KubernetesObject], address: Address, services: Mapping[tuple[str, str], Seen[KubernetesObject]], others: Sequence[Address]
    ) -> Iterator[Finding]:
        """`CART_ADDR=payment:80` where there is a Service called cart, which nothing else of this workload names."""
        words = _letters(_SUFFIX.sub("", address.variable))
        own = _letters(address.service)
        if len(words) < 4 or words in own or own in words:
            return
        named = [
            name
            for namespace, name in services
            if namespace == address.namespace and words in (_letters(name), _letters(name).removesuffix("service"))
        ]
        if len(named) == 1 and all(other.service != named[0] for other in others):
            evidence = services[address.namespace, named[0]].evidence_id
            summary = f"{seen.value.name} is to find {named[0]} by {address.variable}, which leads to {address.service}"
            yield self._finding(seen, address, WIRING.address_swapped, summary, (), (evidence,), "The name of the variable may mean something else.")

    def _finding(
        self,
        seen: Seen[KubernetesObject],
        address: Address,
        weight: float,
        summary: str,
        errors: Sequence[PeerError],
        ids: Sequence[str],
        against: str = "",
    ) -> Finding:
        written = f"{address.host}:{address.port}" if address.port else address.host
        return Finding(
            detector=self.name,
            summary=summary,
            subject=wiring.subject_of(seen.value),
            facts={"address": written, "variable": address.variable},
            evidence_ids=tuple(dict.fromkeys([seen.evidence_id, *ids, *(error.evidence_id for error in errors[:3])])),
            cause=_CAUSE,
            weight=weight,
            against=against,
        )


def _callers(world: World) -> Iterator[tuple[Seen[KubernetesObject], tuple[Address, ...]]]:
    for seen in wiring.workloads(world):
        addresses = wiring.addresses_of(seen.value)
        if addresses:
            yield seen, addresses


def _errors(world: World) -> dict[str, list[PeerError]]:
    found: dict[str, list[PeerError]] = {}
    for error in peer_errors(world):
        found.setdefault(error.log.subject.name, []).append(error)
    return found


def _agreed(addresses: Sequence[Address]) -> dict[str, int]:
    """The port that all of several callers use for a Service."""
    ports: dict[str, list[int]] = {}
    for address in addresses:
        if address.port is not None:
            ports.setdefault(f"{address.namespace}/{address.service}", []).append(address.port)
    return {name: found[0] for name, found in ports.items() if len(found) > 1 and len(set(found)) == 1}


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
