"""Workloads that cannot resolve names: a name server of their own, a wrong fixed entry, or no answers, as their logs say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes import objects as k8s
from agent_sre.finding import wiring
from agent_sre.finding.finding import Finding
from agent_sre.finding.peers import NAME, NO_ANSWER, PeerError, peer_errors
from agent_sre.finding.weights import WIRING
from agent_sre.finding.world import World, sequence

_CAUSE = "service_dns_resolution_failure"
_MANY = 3  # workloads without answers, from which on it is nobody's own setting


class NameResolution:
    """Compares the DNS settings of workloads with each other and with what their logs say."""

    name = "name_resolution"

    def detect(self, world: World) -> Iterable[Finding]:
        errors = _errors(world)
        told: set[str] = set()
        for subject, settings, ids in _foreign(world):
            said = errors.get(subject.name, [])
            told.add(subject.name)
            weight = WIRING.dns_resolver_foreign if said else WIRING.dns_resolver_foreign_quiet
            words = f", and its log says that {said[0].host} does not resolve" if said else ""
            against = "" if said else "No line of its log says that a name did not resolve."
            yield self._finding(
                subject, weight, f"{subject.name} has DNS settings of its own ({settings}){words}", (*ids, *_ids(said)), settings, against
            )
        yield from self._aliases(world)
        yield from self._external(world)
        silent = {name: said for name, said in errors.items() if any(error.kind == NO_ANSWER for error in said)}
        for name, said in silent.items():
            if name in told or len(silent) >= _MANY or _has_settled(world, said[0].log.subject):
                continue
            subject = wiring.workload_named(world, said[0].log.subject)
            yield self._finding(
                subject, WIRING.dns_no_answer, f"{name} gets no answer when it looks up {said[0].host}", _ids(said), "the DNS of the cluster"
            )
        if len(silent) >= _MANY:
            yield from self._everywhere(world, silent)

    def _everywhere(self, world: World, silent: Mapping[str, Sequence[PeerError]]) -> Iterator[Finding]:
        for seen in wiring.workloads(world):
            labels = {**k8s.labels_of(seen.value), **wiring.template_labels(seen.value)}
            if labels.get("k8s-app") == "kube-dns" or seen.value.name in ("coredns", "kube-dns", "node-local-dns"):
                ids = tuple(evidence_id for said in silent.values() for evidence_id in _ids(said))[:4]
                summary = f"{len(silent)} workloads get no answer from DNS"
                yield self._finding(
                    wiring.subject_of(seen.value), WIRING.dns_no_answer_everywhere, summary, (seen.evidence_id, *ids), "the DNS of the cluster"
                )
                return

    def _aliases(self, world: World) -> Iterator[Finding]:
        """A fixed entry (hostAliases) for the name of a Service wins over DNS."""
        for seen in [*wiring.workloads(world), *world.applied]:
            spec = k8s.mapping_of(k8s.pod_template(seen.value), "spec")
            for alias in k8s.mappings_of(spec, "hostAliases"):
                for name in sequence(alias.get("hostnames")):
                    service = world.object("Service", seen.value.namespace, str(name).partition(".")[0])
                    ip = k8s.text_of(alias, "ip")
                    if service is None or not ip or k8s.text_of(service.value.manifest, "spec", "clusterIP") == ip:
                        continue
                    summary = f"{seen.value.name} has a fixed entry that sends {name} to {ip}, which is not the Service's address"
                    yield self._finding(
                        wiring.subject_of(seen.value),
                        WIRING.dns_alias_wrong,
                        summary,
                        (seen.evidence_id, service.evidence_id),
                        f"a fixed entry for {name}",
                    )

    def _external(self, world: World) -> Iterator[Finding]:
        """A Service that is only another name for one that is not there."""
        for seen in world.objects("Service"):
            target = k8s.text_of(seen.value.manifest, "spec", "externalName").rstrip(".")
            parts = target.split(".")
            if k8s.text_of(seen.value.manifest, "spec", "type") != "ExternalName" or len(parts) < 3 or parts[2] != "svc":
                continue
            if world.objects("Service", parts[1]) and world.object("Service", parts[1], parts[0]) is None:
                summary = f"Service {seen.value.name} stands for {target}, which is not there"
                yield self._finding(wiring.subject_of(seen.value), WIRING.dns_alias_wrong, summary, (seen.evidence_id,), target)

    def _finding(self, subject: Subject, weight: float, summary: str, ids: Iterable[str], resolver: str, against: str = "") -> Finding:
        return Finding(
            detector=self.name,
            summary=summary,
            subject=subject,
            facts={"resolver": resolver},
            evidence_ids=tuple(dict.fromkeys(ids))[:6],
            cause=_CAUSE,
            weight=weight,
            against=against,
        )


def _errors(world: World) -> dict[str, list[PeerError]]:
    """By workload: names that it could not resolve."""
    found: dict[str, list[PeerError]] = {}
    for error in peer_errors(world):
        if error.kind == NO_ANSWER or error.kind == NAME:
            found.setdefault(error.log.subject.name, []).append(error)
    return found


def _foreign(world: World) -> Iterator[tuple[Subject, str, tuple[str, ...]]]:
    """Workloads whose DNS settings are not those of the others and not the cluster's."""
    servers = {
        address
        for seen in world.objects("Service")
        if k8s.labels_of(seen.value).get("k8s-app") == "kube-dns" or seen.value.name in ("kube-dns", "coredns")
        for address in [k8s.text_of(seen.value.manifest, "spec", "clusterIP")]
    }
    settings: dict[tuple[str, str, str], tuple[str, tuple[str, ...]]] = {}
    for seen in [*wiring.workloads(world), *(item for item in world.applied if item.value.kind in wiring.WORKLOADS), *world.objects("Pod")]:
        said = _settings(seen.value, servers)
        if said:
            subject = world.workload("Pod", seen.value.namespace, seen.value.name) if seen.value.kind == "Pod" else wiring.subject_of(seen.value)
            key = (subject.kind, subject.namespace, subject.name)
            before = settings.get(key, (said, ()))
            settings[key] = (before[0], (*before[1], seen.evidence_id))
    usual = Counter(said for said, _ in settings.values())
    for (kind, namespace, name), (said, ids) in settings.items():
        if usual[said] < _MANY:
            yield Subject(kind=kind, name=name, namespace=namespace), said, tuple(dict.fromkeys(ids))


def _settings(item: KubernetesObject, servers: set[str]) -> str:
    spec: Mapping[str, Any] = k8s.mapping_of(k8s.pod_template(item), "spec")
    policy = k8s.text_of(spec, "dnsPolicy")
    given = k8s.field_of(spec, "dnsConfig", "nameservers")
    named = given if isinstance(given, list) else []
    foreign = [server for server in named if isinstance(server, str) and server not in servers]
    if foreign:
        return f"name server {', '.join(foreign[:3])}"
    if policy == "None":
        return "no name server"
    return "the node's name servers" if policy == "Default" and spec.get("hostNetwork") is not True else ""


def _has_settled(world: World, subject: Subject) -> bool:
    pods = [
        pod
        for (namespace, name), pods in world.pods_by_workload.items()
        if name == subject.name and namespace in (subject.namespace, "")
        for pod in pods
    ]
    return bool(pods) and all(wiring.has_settled(pod.value, world.now) for pod in pods)


def _ids(said: Sequence[PeerError]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(error.evidence_id for error in said))[:3]
