"""What keeps a container from starting or staying ready: references, volumes, probes and endings, each beside what only looks like it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Evidence, EvidenceSet, KubernetesObject, LogPattern, Query
from agent_sre.finding.detectors.endings import Endings
from agent_sre.finding.detectors.probes import WrongProbes
from agent_sre.finding.detectors.references import MissingReferences
from agent_sre.finding.detectors.volumes import UnboundVolumes
from agent_sre.finding.finding import Detector, Finding, object_name
from agent_sre.finding.world import World
from evidence.builders import NOW, STARTS_AT, an_incident

PLURALS = {"Pod": "pods", "Event": "events", "ReplicaSet": "replicasets", "ServiceAccount": "serviceaccounts", "Job": "jobs",
           "PersistentVolumeClaim": "persistentvolumeclaims", "PersistentVolume": "persistentvolumes", "StorageClass": "storageclasses"}  # fmt: skip


def thing(kind: str, name: str, *, namespace: str = "shop", labels: dict[str, str] | None = None, **rest: Any) -> KubernetesObject:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "creationTimestamp": "2026-11-23T06:30:00Z", "labels": labels or {}}
    return KubernetesObject(kind=kind, namespace=namespace, name=name, manifest={"kind": kind, "metadata": metadata, **rest})


def event(about: str, name: str, reason: str, message: str) -> KubernetesObject:
    return thing(
        "Event", f"{name}.{reason}.{len(message)}", involvedObject={"kind": about, "name": name, "namespace": "shop"}, reason=reason, message=message,
        type="Warning", firstTimestamp="2026-11-23T06:35:00Z", lastTimestamp="2026-11-23T06:39:00Z", count=5,
    )  # fmt: skip


def pod(name: str = "till-7d9c5b8f6d-x2x4z", *, state: dict[str, Any] | None = None, ready: bool = False, restarts: int = 0,
        last: dict[str, Any] | None = None, container: dict[str, Any] | None = None, **spec: Any) -> KubernetesObject:  # fmt: skip
    status = {"name": "till", "ready": ready, "restartCount": restarts, "state": state or {"running": {}}, "lastState": last or {}}
    return thing("Pod", name, spec={"containers": [{"name": "till", **(container or {})}], **spec}, status={"containerStatuses": [status]})


def found(detector: Detector, *objects: KubernetesObject, logs: tuple[LogPattern, ...] = ()) -> list[Finding]:
    answers: dict[str, list[Any]] = {}
    for item in objects:
        answers.setdefault(PLURALS[item.kind], []).append(item)
    if logs:
        answers["logs"] = list(logs)
    items = tuple(
        Evidence(
            id=f"E{number:02d}", query=Query(id=f"E{number:02d}", source="kubernetes", kind=kind, expression="", purpose=""),
            subject=Subject(kind="Namespace", name="shop"), data=tuple(data), summary="", collected_at=NOW, took=timedelta(0),
        )
        for number, (kind, data) in enumerate(answers.items(), 1)
    )  # fmt: skip
    return list(detector.detect(World(an_incident(), EvidenceSet(items=items), NOW)))


def only(findings: list[Finding]) -> tuple[str, str]:
    (finding,) = findings
    assert finding.evidence_ids
    return finding.cause, object_name(finding.subject)


# References

WAITING = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "till-db" not found'}}


def test_a_secret_that_is_not_there_is_named() -> None:
    findings = found(MissingReferences(), pod(state=WAITING))
    assert only(findings) == ("missing_secret_binding", "app/till")
    assert findings[0].facts["reference"] == "till-db"


def test_a_key_that_a_config_map_lacks_is_named() -> None:
    state = {"waiting": {"reason": "CreateContainerConfigError", "message": "couldn't find key mode in ConfigMap shop/till"}}
    findings = found(MissingReferences(), pod(state=state))
    assert only(findings) == ("missing_config_map", "app/till")
    assert (findings[0].facts["reference"], findings[0].facts["key"]) == ("till", "mode")


def test_a_pod_that_once_waited_for_its_secret_and_runs_now_is_no_trouble() -> None:
    said = event("Pod", "till-7d9c5b8f6d-x2x4z", "Failed", 'Error: secret "till-db" not found')
    assert found(MissingReferences(), pod(ready=True), said) == []


def refused(*, there: int, accounts: tuple[str, ...] = ("default",)) -> list[Finding]:
    message = 'Error creating: pods "till-7d9c5b8f6d-" is forbidden: error looking up service account shop/tills: serviceaccount "tills" not found'
    return found(
        MissingReferences(),
        thing("ReplicaSet", "till-7d9c5b8f6d", spec={"replicas": 1}, status={"replicas": there}),
        event("ReplicaSet", "till-7d9c5b8f6d", "FailedCreate", message),
        *(thing("ServiceAccount", name) for name in accounts),
    )


def test_an_account_that_is_missing_keeps_pods_from_being_made() -> None:
    assert only(refused(there=0)) == ("missing_service_account", "app/till")


def test_an_account_that_came_a_second_later_is_start_up_noise() -> None:
    assert refused(there=1) == []
    assert refused(there=0, accounts=("default", "tills")) == []


def denied(path: str, *, ready: bool = False, words: str = "permission denied") -> list[Finding]:
    container = {"volumeMounts": [{"name": "data", "mountPath": "/var/lib/till"}, {"name": "token", "mountPath": "/var/run/secrets/token"}]}
    line = LogPattern(
        template=f"open <path>: {words}", level="fatal", subject=Subject(kind="Service", name="till", namespace="shop"), count=3,
        count_before=0, first_at=STARTS_AT, last_at=NOW, sample=f"open {path}: {words}",
    )  # fmt: skip
    crashed = {"terminated": {"reason": "Error", "exitCode": 1}}
    return found(MissingReferences(), pod(container=container, last=crashed, ready=ready, restarts=3), logs=(line,))


def test_a_path_below_a_mount_that_may_not_be_used_is_the_volume_s_trouble() -> None:
    assert only(denied("/var/lib/till/state.db")) == ("volume_mount_permission_denied", "app/till")


def test_a_path_elsewhere_is_less_sure_and_a_pod_that_is_ready_has_no_trouble() -> None:
    assert denied("/etc/till.conf")[0].weight < denied("/var/lib/till/state.db")[0].weight
    assert denied("/var/lib/till/state.db", ready=True) == []


def test_a_database_that_denies_access_is_no_volume_s_trouble() -> None:
    assert denied("jdbc:mysql://ledger", words="Access denied for user 'till'@'10.0.0.9'") == []


# Volumes

MOUNTED: dict[str, Any] = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "till-data"}}]}


def claim(phase: str = "Pending", **spec: Any) -> KubernetesObject:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}, "storageClassName": "", **spec}
    return thing("PersistentVolumeClaim", "till-data", spec=wanted, status={"phase": phase})


def volume(labels: dict[str, str] | None = None, phase: str = "Available", **spec: Any) -> KubernetesObject:
    offered = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}, "storageClassName": "", **spec}
    return thing("PersistentVolume", "disk-7", namespace="", labels=labels, spec=offered, status={"phase": phase})


@pytest.mark.parametrize(
    ("wanted", "offered", "cause"),
    [
        ({"storageClassName": "fast"}, {}, "pvc_storage_class_mismatch"),
        ({"accessModes": ["ReadWriteMany"]}, {}, "pvc_access_mode_mismatch"),
        ({"resources": {"requests": {"storage": "20Gi"}}}, {}, "pvc_capacity_mismatch"),
        ({"selector": {"matchLabels": {"disk": "ssd"}}}, {}, "pvc_selector_mismatch"),
        ({"selector": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}}, {}, "pvc_selector_mismatch"),
        ({"volumeName": "disk-7"}, {"claimRef": {"namespace": "shop", "name": "other"}, "phase": "Bound"}, "pv_binding_occupied"),
        ({}, {"phase": "Released"}, "pv_binding_occupied"),
    ],
)
def test_claim_beside_volume_shows_what_keeps_them_apart(wanted: dict[str, Any], offered: dict[str, Any], cause: str) -> None:
    findings = found(UnboundVolumes(), claim(**wanted), volume(**offered), pod(**MOUNTED))
    assert only(findings) == (cause, "app/till")


def test_what_a_controller_says_goes_before_what_we_compare() -> None:
    said = event("PersistentVolumeClaim", "till-data", "VolumeMismatch", 'Cannot bind to requested volume "disk-7": requested PV is too small')
    assert only(found(UnboundVolumes(), claim(), volume(), said, pod(**MOUNTED))) == ("pvc_capacity_mismatch", "app/till")


def test_a_claim_that_is_bound_or_only_waits_for_its_first_consumer_is_no_trouble() -> None:
    assert found(UnboundVolumes(), claim("Bound"), volume(accessModes=["ReadOnlyMany"]), pod(**MOUNTED)) == []
    assert found(UnboundVolumes(), claim(storageClassName="local"), thing("StorageClass", "local", namespace="")) == []


# Probes

PROBES: dict[str, Any] = {
    "ports": [{"containerPort": 8080}],
    "readinessProbe": {"httpGet": {"port": 8080, "path": "/ready"}, "periodSeconds": 10},
    "livenessProbe": {"httpGet": {"port": 8080, "path": "/live"}, "initialDelaySeconds": 10, "periodSeconds": 10, "failureThreshold": 3},
}


def probed(kind: str, probe: dict[str, Any], message: str, **state: Any) -> list[Finding]:
    container = {**PROBES, f"{kind}Probe": {**PROBES[f"{kind}Probe"], **probe}}
    said = event("Pod", "till-7d9c5b8f6d-x2x4z", "Unhealthy", f"{kind.title()} probe failed: {message}")
    return found(WrongProbes(), pod(container=container, **state), said)


REFUSED = 'Get "http://10.0.0.7:9999/": dial tcp 10.0.0.7:9999: connect: connection refused'
PLAIN = 'Get "https://10.0.0.7:8080/": http: server gave HTTP response to HTTPS client'
BINARY = 'Get "http://10.0.0.7:8080/": net/http: HTTP/1.x transport connection broken: malformed HTTP response'
HASTY = {"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 1}
KILLED = {"terminated": {"reason": "Error", "exitCode": 137, "finishedAt": "2026-11-23T06:39:30Z"}}


@pytest.mark.parametrize(
    ("kind", "probe", "message", "state", "cause"),
    [
        ("readiness", {"httpGet": {"port": 9999}}, REFUSED, {}, "readiness_probe_incorrect_port"),
        ("liveness", {"httpGet": {"port": 9999}}, REFUSED, {"ready": True, "restarts": 3, "last": KILLED}, "liveness_probe_incorrect_port"),
        ("readiness", {"httpGet": {"port": 8080, "scheme": "HTTPS"}}, PLAIN, {}, "readiness_probe_incorrect_protocol"),
        ("liveness", {"httpGet": {"port": 8080}}, BINARY, {"restarts": 4, "last": KILLED}, "liveness_probe_incorrect_protocol"),
        ("liveness", HASTY, "context deadline exceeded", {"restarts": 4, "last": KILLED}, "liveness_probe_incorrect_timing"),
    ],
)  # fmt: skip
def test_a_probe_that_contradicts_its_container_is_to_blame(
    kind: str, probe: dict[str, Any], message: str, state: dict[str, Any], cause: str
) -> None:
    assert only(probed(kind, probe, message, **state)) == (cause, "app/till")


GRPC = {"grpc": {"port": 8080}, "httpGet": None}
UNANSWERED = 'timeout: failed to connect service "10.0.0.7:8080" within 1s: context deadline exceeded'


def test_a_readiness_probe_in_another_language_than_the_liveness_probe_is_to_blame_while_that_one_is_answered() -> None:
    findings = probed("readiness", GRPC, UNANSWERED)
    assert only(findings) == ("readiness_probe_incorrect_protocol", "app/till")
    assert findings[0].weight > 0.8


def test_who_is_refused_has_not_spoken_and_a_page_that_is_missing_is_no_language() -> None:
    refused = "dial tcp 10.0.0.7:8080: connect: connection refused"
    tcp = {"tcpSocket": {"port": 8080}, "httpGet": None}
    assert probed("readiness", tcp, refused) == []
    assert probed("readiness", {}, "HTTP probe failed with statuscode: 404") == []


def test_a_probe_that_is_right_and_fails_is_not_to_blame() -> None:
    refused = "dial tcp 10.0.0.7:8080: connect: connection refused"
    assert probed("readiness", {}, refused) == []
    assert probed("liveness", {}, refused, restarts=4, last=KILLED) == []


def test_a_program_that_is_killed_each_time_before_it_listens_gets_too_little_time() -> None:
    refused = "dial tcp 10.0.0.7:8080: connect: connection refused"
    at_once = {"terminated": {**KILLED["terminated"], "startedAt": "2026-11-23T06:38:50Z"}}
    later = {"terminated": {**KILLED["terminated"], "startedAt": "2026-11-23T06:20:00Z"}}
    assert only(probed("liveness", {}, refused, restarts=4, last=at_once)) == ("liveness_probe_incorrect_timing", "app/till")
    assert probed("liveness", {}, refused, restarts=4, last=later) == []  # it had listened for a quarter of an hour
    assert probed("liveness", {}, refused, restarts=1, last=at_once) == []
    assert probed("liveness", {"initialDelaySeconds": 300}, refused, restarts=4, last=at_once) == []


def test_a_probe_that_failed_while_the_pod_started_is_no_trouble() -> None:
    assert probed("readiness", {"httpGet": {"port": 9999}}, REFUSED, ready=True) == []
    assert probed("liveness", {"httpGet": {"port": 9999}}, REFUSED, ready=True) == []


# Endings


def test_a_container_that_was_killed_for_memory_says_so() -> None:
    last = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    assert only(found(Endings(), pod(last=last, restarts=2, ready=True))) == ("oom_killed", "app/till")


def test_a_command_that_does_not_exist_is_told_from_a_crash() -> None:
    missing = {"waiting": {"reason": "RunContainerError", "message": 'exec: "tilld": executable file not found in $PATH: unknown'}}
    assert only(found(Endings(), pod(state=missing))) == ("wrong_command", "app/till")
    crash = found(Endings(), pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, last={"terminated": {"exitCode": 1}}, restarts=5))
    assert only(crash) == ("container_crashing", "app/till")
    assert crash[0].weight < 0.3, "a crash alone is a symptom"


def test_a_job_that_used_up_its_attempts_failed() -> None:
    failed = thing("Job", "nightly", status={"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]})
    assert only(found(Endings(), failed)) == ("job_failed", "app/nightly")


def test_a_container_that_ended_well_long_ago_is_no_trouble() -> None:
    assert found(Endings(), pod(last={"terminated": {"reason": "Completed", "exitCode": 0}}, restarts=1, ready=True)) == []
