"""How things ended: killed for memory, a command that is not there, a crash by itself, a job that gave up, a certificate that ran out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import ContainerState, container_states, instant_of
from agent_sre.finding import wiring
from agent_sre.finding.finding import Finding
from agent_sre.finding.notices import notices
from agent_sre.finding.weights import HINT, LIKELY, POSSIBLE, PROVED, STATED
from agent_sre.finding.world import World, field, mapping, sequence, string
from agent_sre.kit.text import both_ends, one_line

_NO_COMMAND = re.compile(
    r"executable file not found|no such file or directory: unknown|exec: .* not found|exec format error|permission denied: unknown|StartError",
    re.IGNORECASE,
)
_OOM_EVENTS = ("OOMKilling", "SystemOOM", "OOMKilled")
_EXPIRED = re.compile(r"certificate (?:has expired|is not yet valid)|CERT_HAS_EXPIRED|certificate expired|NotAfter", re.IGNORECASE)
_EXPIRY_METRIC = re.compile(r"(?:ssl|tls|cert|x509)\w*(?:expir|not_?after)", re.IGNORECASE)
_EARLIEST_EXPIRY = 1e9  # unix seconds: a smaller number is what is left, and not an instant
_WHOSE_CERTIFICATE = ("dns_names", "host", "target", "instance", "subject_CN", "cn", "name")
_ASKED = re.compile(r"(?:https|wss|grpcs|tls)://([A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)", re.IGNORECASE)
_MOST_CERTIFICATES = 3
_CODES = {
    1: "the program gave up by itself", 2: "the program was called in a wrong way, or gave up by itself", 126: "the command cannot be run",
    127: "the command does not exist", 132: "an illegal instruction", 134: "it aborted", 135: "a bus error", 136: "an arithmetic error",
    137: "it was killed",
    139: "a segmentation fault", 143: "it was asked to end",
}  # fmt: skip


class Endings:
    """Reads the last terminations of containers, Jobs and Certificates, and what logs say about certificates."""

    name = "endings"

    def detect(self, world: World) -> Iterable[Finding]:
        yield from self._containers(world)
        yield from self._jobs(world)
        yield from self._certificates(world)

    def _containers(self, world: World) -> Iterator[Finding]:
        killed = {(item.namespace, item.name) for item in notices(world, *_OOM_EVENTS)}
        told: set[tuple[str, str, str]] = set()
        for seen in world.objects("Pod"):
            subject = world.workload("Pod", seen.value.namespace, seen.value.name)
            for state in container_states(seen.value):
                cause, why, weight = _ending(state, (seen.value.namespace, seen.value.name) in killed)
                if not cause or (subject.namespace, subject.name, cause) in told:
                    continue
                told.add((subject.namespace, subject.name, cause))
                yield Finding(
                    detector=self.name, summary=f"{seen.value.name}, container {state.name}: {why}", subject=subject,
                    facts={"exit_code": state.exit_code, "restarts": state.restarts, "pod": seen.value.name, "container_name": state.name},
                    evidence_ids=(seen.evidence_id,), cause=cause, weight=weight, began_at=state.last_finished_at,
                )  # fmt: skip

    def _jobs(self, world: World) -> Iterator[Finding]:
        for seen in world.objects("Job"):
            for item in sequence(field(seen.value.manifest, "status", "conditions")):
                condition = mapping(item)
                if condition.get("type") == "Failed" and condition.get("status") == "True":
                    reason = one_line(string(condition.get("reason")), 80) or "Failed"
                    why = one_line(string(condition.get("message")), 160)
                    yield Finding(
                        detector=self.name, summary=f"The job {seen.value.name} failed: {reason} {why}",
                        subject=world.workload("Job", seen.value.namespace, seen.value.name), facts={"reason": reason},
                        evidence_ids=(seen.evidence_id,), cause="job_failed", weight=LIKELY, began_at=instant_of(condition, "lastTransitionTime"),
                    )  # fmt: skip

    def _certificates(self, world: World) -> Iterator[Finding]:
        for seen in world.objects("Certificate"):
            ends_at = instant_of(seen.value.manifest, "status", "notAfter")
            if ends_at is not None and ends_at <= world.now:
                yield Finding(
                    detector=self.name, summary=f"The certificate {seen.value.name} ran out at {ends_at:%Y-%m-%d %H:%M} UTC",
                    subject=world.workload("Certificate", seen.value.namespace, seen.value.name), facts={"certificate": seen.value.name},
                    evidence_ids=(seen.evidence_id,), cause="certificate_expired", weight=STATED, began_at=ends_at,
                )  # fmt: skip
        yield from self._expired_by_metric(world)
        by_ip = wiring.service_by_ip(world)
        told: set[Subject] = set()
        for line in world.log_patterns:
            if not line.value.count or not _EXPIRED.search(line.value.sample):
                continue
            # who complains names whose certificate it is; who does not may be the one
            asked = _ASKED.search(line.value.sample)
            subject = (_bearer(asked[1], line.value.subject.namespace, by_ip) if asked else None) or line.value.subject
            if subject in told:
                continue
            told.add(subject)
            yield Finding(
                detector=self.name, summary=f"{one_line(line.value.subject.name, 80)} logs: {both_ends(line.value.sample, 200)}",
                subject=subject, facts={}, evidence_ids=(line.evidence_id,), cause="certificate_expired",
                weight=PROVED if line.value.is_new else LIKELY if asked else POSSIBLE, began_at=line.value.first_at,
            )  # fmt: skip
            if len(told) == _MOST_CERTIFICATES:
                break

    def _expired_by_metric(self, world: World) -> Iterator[Finding]:
        by_ip = wiring.service_by_ip(world)
        for curve in world.curves:
            ends = curve.points[-1][1] if curve.points else 0.0
            if not _EXPIRY_METRIC.search(curve.metric) or not _EARLIEST_EXPIRY < ends <= world.now.timestamp():
                continue
            host = next((curve.labels[label] for label in _WHOSE_CERTIFICATE if curve.labels.get(label)), "")
            if not host:
                continue
            subject = _bearer(host, curve.labels.get("namespace", ""), by_ip) or Subject(kind="Service", name=host)
            ended = datetime.fromtimestamp(ends, UTC)
            yield Finding(
                detector=self.name, summary=f"The certificate of {one_line(host, 120)} ran out at {ended:%Y-%m-%d %H:%M} UTC",
                subject=subject, facts={}, evidence_ids=(curve.evidence_id,),
                cause="certificate_expired", weight=STATED, began_at=ended,
            )  # fmt: skip


def _bearer(address: str, namespace: str, by_ip: Mapping[str, KubernetesObject]) -> Subject | None:
    """Who answers at this address (`https://name.namespace:port/path`), and so shows the certificate."""
    return wiring.service_at(address.rpartition("://")[2].partition("/")[0].partition(":")[0], namespace, by_ip)


def _ending(state: ContainerState, was_killed: bool) -> tuple[str, str, float]:
    """Cause, words and weight of one container's last ending; empty where there is none to speak of."""
    if "OOMKilled" in (state.reason, state.last_reason) or (was_killed and state.exit_code == 137):
        return "oom_killed", f"killed for lack of memory ({state.restarts} restarts)", STATED
    words = f"{state.reason} {state.message}"
    unstarted = state.state == "waiting" and (state.reason in ("RunContainerError", "CreateContainerError") or state.last_reason == "StartError")
    if unstarted and (_NO_COMMAND.search(words) or state.exit_code in (126, 127, 128)):
        return "wrong_command", f"cannot be started: {one_line(words, 160)}", STATED
    if state.exit_code in (126, 127) and not state.ready:
        return "wrong_command", f"ended with exit code {state.exit_code}: {_CODES[state.exit_code]}", PROVED
    if state.reason == "CrashLoopBackOff" or (state.restarts > 1 and not state.ready and state.exit_code not in (None, 0)):
        code = state.exit_code
        meaning = f" with exit code {code}: {_CODES.get(code, 'the program gave up by itself')}" if code is not None else ""
        return "container_crashing", f"ends again and again{meaning} ({state.restarts} restarts)", LIKELY if code in (132, 134, 135, 139) else HINT
    return "", "", 0.0
