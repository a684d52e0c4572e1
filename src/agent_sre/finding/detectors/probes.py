"""Probes that fail because they ask the wrong thing: another port, another protocol, or too early and too impatiently.

A probe that is right and fails tells of a program that is ill; that is for other detectors. So a probe is only blamed where it contradicts
what the container says about itself: its ports, its other probe, what it answered, or how long it takes to start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import ContainerState, container_states
from agent_sre.finding.finding import Finding
from agent_sre.finding.notices import Notice, notices
from agent_sre.finding.weights import LIKELY, POSSIBLE, PROVED, STATED, Probing
from agent_sre.finding.wiring import is_sidecar
from agent_sre.finding.world import Seen, World, field, mapping, sequence, string
from agent_sre.kit.text import one_line

_P = Probing()
_FAILED = re.compile(r"^(?P<kind>Liveness|Readiness|Startup) probe (?:failed|errored)", re.IGNORECASE)
_NO_ANSWER = re.compile(
    r"connection refused|failed to connect|no route to host|i/o timeout|deadline exceeded|connect: |timeout|reset by peer|EOF", re.IGNORECASE
)
_OTHER_TONGUE = re.compile(
    r"malformed HTTP|server gave HTTP response to HTTPS|first record does not look like a TLS|tls: |http2|HTTP/0\.9|unknown status code|preface"
    r"|unexpected HTTP status code received from server|Unimplemented|unknown service|received unexpected content-type|http: server closed"
    r"|transport: |bad (?:certificate|record)|statuscode: (?:400|404|405|415|426|501|505)|invalid (?:header|response)|x509",
    re.IGNORECASE,
)  # fmt: skip
_STATUS = re.compile(r"statuscode: (\d{3})")
_OF_PROTOCOL = frozenset({"400", "426", "505"})
"""Statuses that speak of the language itself."""

_NOBODY = re.compile(r"connection refused|no route to host", re.IGNORECASE)
_CUT = re.compile(r"EOF|reset by peer|malformed", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    """One probe of one container."""

    kind: str  # "liveness", "readiness", "startup"
    how: str  # "http", "https", "grpc", "tcp", "exec"
    port: int | None
    delay: float
    period: float
    timeout: float
    failures: float

    @property
    def grace(self) -> float:
        """Seconds from the start of the container until a silent one is given up."""
        return self.delay + self.period * max(self.failures - 1, 0) + self.timeout


class WrongProbes:
    """Reads probes of containers that are not ready or were restarted, what the kubelet says of them, and the containers' ports."""

    name = "wrong_probes"

    def detect(self, world: World) -> Iterable[Finding]:
        unhealthy: dict[tuple[str, str], list[Notice]] = {}
        for notice in notices(world, "Unhealthy", "ProbeError", "ProbeWarning"):
            if notice.kind == "Pod":
                unhealthy.setdefault((notice.namespace, notice.name), []).append(notice)
        told: set[tuple[str, str, str]] = set()
        for seen in world.objects("Pod"):
            said = unhealthy.get((seen.value.namespace, seen.value.name), [])
            specs = {string(mapping(item).get("name")): mapping(item) for item in sequence(field(seen.value.manifest, "spec", "containers"))}
            for state in container_states(seen.value):
                spec = specs.get(state.name)
                if spec is None or state.initial or is_sidecar(spec):
                    continue  # a sidecar that is not ready is hardly so because of the probe that the mesh gave it
                for finding in self._of_container(world, seen, state, spec, said):
                    key = (finding.subject.namespace, finding.subject.name, finding.cause)
                    if key not in told:
                        told.add(key)
                        yield finding

    def _of_container(
        self, world: World, seen: Seen[KubernetesObject], state: ContainerState, spec: Mapping[str, Any], said: list[Notice]
    ) -> Iterator[Finding]:
        probes = {probe.kind: probe for name in ("liveness", "readiness", "startup") if (probe := _probe(name, spec)) is not None}
        for kind, probe in probes.items():
            messages = [notice for notice in said if (match := _FAILED.match(notice.message)) and match["kind"].casefold() == kind]
            if not messages or not _hurts(kind, state, messages):
                continue
            # the newest says what is so now
            newest = max(messages, key=lambda notice: (notice.last_at is not None, notice.last_at or datetime.min.replace(tzinfo=world.now.tzinfo)))
            for cause, why, weight in _blame(probe, probes, spec, newest.message, state):
                yield Finding(
                    detector=self.name,
                    summary=f"The {kind} probe of {seen.value.name} fails ({one_line(newest.message, 140)}), and {why}",
                    subject=world.workload("Pod", seen.value.namespace, seen.value.name),
                    facts={"port": probe.port, "pod": seen.value.name, "container_name": state.name, "restarts": state.restarts},
                    evidence_ids=tuple(dict.fromkeys((newest.evidence_id, seen.evidence_id))),
                    cause=cause, weight=weight, began_at=min((notice.first_at for notice in messages if notice.first_at), default=None),
                )  # fmt: skip


def _hurts(kind: str, state: ContainerState, messages: list[Notice]) -> bool:
    """Whether the failures have consequences now: pods that start fail a probe or two, and nobody is harmed."""
    if kind == "readiness":
        return not state.ready
    return state.restarts > 0 or (not state.ready and len(messages) > 0)


def _blame(
    probe: _Probe, probes: Mapping[str, _Probe], spec: Mapping[str, Any], message: str, state: ContainerState
) -> Iterator[tuple[str, str, float]]:
    kind = "readiness" if probe.kind == "readiness" else "liveness"  # a startup probe restarts as liveness does
    ports = _ports(spec)
    other = next((one for name, one in probes.items() if name != probe.kind and one.port is not None and one.how != "exec"), None)
    foreign = probe.port is not None and ports and probe.port not in ports
    if foreign and not _OTHER_TONGUE.search(message):
        strong = other is not None and other.port in ports
        why = f"it asks port {probe.port}, while the container has {', '.join(map(str, sorted(ports)))}"
        yield f"{kind}_probe_incorrect_port", why, STATED if strong else PROVED
        return
    differs = other is not None and other.how != probe.how
    status = _STATUS.search(message)
    if _OTHER_TONGUE.search(message):
        if status and other is not None and not differs and status[1] not in _OF_PROTOCOL:
            return  # the same protocol is answered beside it: a path or a state of the program, not its language
        weight = STATED if not status or differs else LIKELY
        yield f"{kind}_probe_incorrect_protocol", f"it asks by {probe.how}, which is not what the program speaks there", weight
        return
    if _NOBODY.search(message) and not (kind == "liveness" and probe.grace <= _P.impatient.total_seconds()):
        differs = False  # who is refused has not spoken yet, so the language is not the trouble
    if other is not None and differs and state.ready and kind == "liveness":
        yield f"{kind}_probe_incorrect_protocol", f"it asks by {probe.how}, while the other probe asks by {other.how} and is answered", PROVED
        return
    if other is not None and differs and kind == "readiness" and state.restarts == 0 and state.state == "running":
        # that the port is open says less than an answer does
        weight = LIKELY if other.how == "tcp" else PROVED
        yield f"{kind}_probe_incorrect_protocol", f"it asks by {probe.how}, while the other probe asks by {other.how} and does not fail", weight
        return
    if other is not None and other.port is not None and probe.port is not None and other.port != probe.port:
        yield f"{kind}_probe_incorrect_port", f"it asks port {probe.port}, while the other probe asks port {other.port}", LIKELY
        return
    if kind == "liveness" and probe.grace <= _P.impatient.total_seconds() and (state.exit_code in (137, 143, None) or _NO_ANSWER.search(message)):
        tight = probe.grace <= _P.very_impatient.total_seconds()
        why = f"it gives up after {probe.grace:.0f} s, before the program can have started"
        yield "liveness_probe_incorrect_timing", why, PROVED if tight else POSSIBLE
        return
    if kind == "liveness" and _NOBODY.search(message) and (not ports or probe.port in ports) and _is_killed_early(probe, state):
        yield "liveness_probe_incorrect_timing", f"it kills the program after {probe.grace:.0f} s, each time before it listens", LIKELY
        return
    if other is not None and differs and _NO_ANSWER.search(message):
        yield f"{kind}_probe_incorrect_protocol", f"it asks by {probe.how}, while the other probe asks by {other.how}", POSSIBLE
        return
    dumb = (probe.how == "grpc" and not _NOBODY.search(message)) or (probe.how in ("http", "https") and _CUT.search(message))
    if other is None and dumb and probe.port in ports and state.state == "running" and state.restarts == 0 and kind == "readiness":
        yield f"{kind}_probe_incorrect_protocol", f"it asks by {probe.how}, gets no answer of that kind, and the program runs on", POSSIBLE


def _is_killed_early(probe: _Probe, state: ContainerState) -> bool:
    """Whether the container was killed again and again as soon as the probe may: it never came to listen. Ends come by the grace period later."""
    if state.last_ran is None or state.exit_code not in (137, 143) or state.restarts < _P.kills:
        return False
    return (
        probe.grace <= _P.slow_start.total_seconds()
        and state.last_ran.total_seconds() <= probe.grace + probe.period + _P.asked_to_end.total_seconds()
    )


_MESH_PATH = "/app-health/"  # a mesh asks on behalf of the kubelet: kind and port of the probe are its own, not those that somebody chose


def _probe(kind: str, spec: Mapping[str, Any]) -> _Probe | None:
    probe = mapping(spec.get(f"{kind}Probe"))
    for name in ("grpc", "httpGet", "tcpSocket", "exec"):
        handler = probe.get(name)
        if not isinstance(handler, Mapping):
            continue
        if string(handler.get("path")).startswith(_MESH_PATH):
            return None
        how = {"httpGet": "https" if string(handler.get("scheme")).upper() == "HTTPS" else "http", "tcpSocket": "tcp"}.get(name, name)
        return _Probe(
            kind=kind, how=how,
            port=_port(handler.get("port"), spec), delay=_seconds(probe, "initialDelaySeconds", 0),
            period=_seconds(probe, "periodSeconds", 10), timeout=_seconds(probe, "timeoutSeconds", 1),
            failures=_seconds(probe, "failureThreshold", 3),
        )  # fmt: skip
    return None


def _port(value: Any, spec: Mapping[str, Any]) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isdecimal() and len(value) <= 5:
        return int(value)
    for item in sequence(spec.get("ports")):
        if value and mapping(item).get("name") == value:
            return _port(mapping(item).get("containerPort"), {})
    return None


def _ports(spec: Mapping[str, Any]) -> set[int]:
    return {port for item in sequence(spec.get("ports")) if (port := _port(mapping(item).get("containerPort"), {})) is not None}


def _seconds(probe: Mapping[str, Any], name: str, otherwise: float) -> float:
    value = probe.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6 else otherwise
