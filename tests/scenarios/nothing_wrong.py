"""Ten worlds in which nothing is wrong though an alert fires: noise, rhythm, drift, rollouts that went well, the rubble of a start-up.

    write_worlds(folder) ──> folder/calm-noise, folder/daily-rhythm, …: cases as `agent-sre eval cases` reads them

A harbour of our own invention, made from a seed, the same on every run. A confident cause in any of them is a false alarm.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NOW = datetime(2026, 5, 19, 14, 30, tzinfo=UTC)
ALERT_AT = NOW - timedelta(minutes=1)
STEP = 30
SERVICES = ("berth", "crane", "customs", "ledger", "manifest", "pilot", "quay", "tide", "tugboat", "weather")
CALLS = (("quay", "berth"), ("quay", "crane"), ("quay", "manifest"), ("berth", "tide"), ("manifest", "customs"), ("manifest", "ledger"),
         ("pilot", "weather"), ("pilot", "tugboat"), ("berth", "ledger"))  # fmt: skip
NAMESPACE = "harbour"

Shape = Callable[[random.Random, str, float, float], float]
"""(dice, service, seconds before now, usual value) to a value."""

_USUAL_LINES = (("warn", "client closed the connection"), ("error", "GET /favicon.ico 404"), ("info", "ship registered"))
_USUAL = {
    "pod_cpu_usage_percent": 22.0,
    "pod_memory_usage_percent": 48.0,
    "pod_requests_per_second": 85.0,
    "pod_server_latency_p95_seconds": 0.12,
    "pod_server_errors_per_second": 0.02,
}


def write_worlds(folder: Path) -> tuple[str, ...]:
    """Writes all of them as folders; their names."""
    for name, write in WORLDS.items():
        place = folder / name
        place.mkdir(parents=True)
        _json(place / "case.json", {"id": name, "dataset": "nothing-wrong", "now": _instant(NOW), "step": STEP})
        write(place, random.Random(name))
    return tuple(WORLDS)


# Shapes


def _noise(dice: random.Random, _service: str, _age: float, usual: float) -> float:
    return max(usual * dice.gauss(1, 0.06), 0.0)


def _rhythm(dice: random.Random, service: str, age: float, usual: float) -> float:
    return _noise(dice, service, age, usual) * (1 + 0.25 * math.sin((7200 - age) / 10_800 * math.pi))


def _drift(dice: random.Random, service: str, age: float, usual: float) -> float:
    return _noise(dice, service, age, usual) * (1.12 - 0.12 * age / 7200)


def _spikes(dice: random.Random, service: str, age: float, usual: float) -> float:
    """Garbage collection and log rotation: every quarter of an hour a sample stands out, before the alert as after it."""
    beat = (age + 60 * SERVICES.index(service)) % 900 < STEP
    return _noise(dice, service, age, usual) * (1.9 if beat else 1.0)


def _still(dice: random.Random, _service: str, _age: float, usual: float) -> float:
    """Hardly anything happens: values of one digit that move by the last of it."""
    return round(usual, 2) + (0.01 if dice.random() < 0.02 else 0.0)


# Worlds


def _metrics_world(alert: str, shape: Shape, seconds: int = 7200) -> Callable[[Path, random.Random], None]:
    def write(place: Path, dice: random.Random) -> None:
        _alert(place, alert, {"namespace": NAMESPACE})
        _metrics(place, dice, shape, seconds)
        _json(place / "topology.json", [list(call) for call in CALLS])

    return write


def _after_rollouts(place: Path, dice: random.Random) -> None:
    """Four services were rolled out in the last hour, one of them a minute before the alert; none behaves otherwise than before."""
    _metrics_world("HarbourLatencyHigh", _noise)(place, dice)
    ages = {"ledger": 50, "tide": 31, "crane": 12, "customs": 2}
    changes = [
        {"time": _instant(NOW - timedelta(minutes=age)), "service": name, "kind": "rollout", "new_pods": [_pod(name)],
         "removed_pods": [f"{name}-5c7d9b66f4-old2x"]}
        for name, age in ages.items()
    ]  # fmt: skip
    _json(place / "changes.json", changes)


def _usual_errors(place: Path, dice: random.Random) -> None:
    """Bots and impatient clients make the same few error lines all day."""
    _metrics_world("HarbourErrorsSeen", _noise)(place, dice)
    lines = {
        name: [
            f"{_instant(NOW - timedelta(seconds=60 * number + dice.randrange(60)))} level={level} msg=\"{text}\""
            for number in range(90)
            for level, text in [dice.choice(_USUAL_LINES)]
        ]
        for name in SERVICES[:4]
    }  # fmt: skip
    _json(place / "logs.json", lines)


def _after_start(place: Path, dice: random.Random) -> None:
    """Everything runs since hours; what went wrong while it started is still in the events and the restart counts."""
    _alert(place, "HarbourSlow", {"namespace": NAMESPACE, "service": "quay"})
    early = NOW - timedelta(hours=2)
    events = [
        _event("Pod", _pod(name), reason, message, "Warning", early)
        for name, reason, message in (
            ("ledger", "FailedScheduling", "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient memory."),
            ("quay", "Unhealthy", "Readiness probe failed: dial tcp 10.1.0.7:8080: connect: connection refused"),
            ("tide", "FailedMount", 'MountVolume.SetUp failed for volume "kube-api-access": failed to sync configmap cache: timed out'),
        )
    ]
    _cluster(place, dice, restarts={"berth": 1, "customs": 2}, events=events, cordoned=True)


def _with_jobs(place: Path, dice: random.Random) -> None:
    """Jobs that are done, pods that completed, an autoscaler that did its work an hour ago."""
    _alert(place, "KubePodNotReady", {"namespace": NAMESPACE, "pod": "stocktaking-29183040-b7k4z"})
    hour = NOW - timedelta(hours=1)
    done = [_pod_manifest("stocktaking-29183040-b7k4z", "stocktaking", phase="Succeeded", created=hour)]
    events = [
        _event("HorizontalPodAutoscaler", "quay", "SuccessfulRescale", "New size: 2; reason: cpu resource utilization above target", "Normal", hour),
        _event("Job", "stocktaking-29183040", "Completed", "Job completed", "Normal", hour + timedelta(minutes=4)),
    ]
    _cluster(place, dice, more_pods=done, events=events)


WORLDS: Mapping[str, Callable[[Path, random.Random], None]] = {
    "calm-noise": _metrics_world("HarbourLatencyHigh", _noise),
    "daily-rhythm": _metrics_world("HarbourTrafficHigh", _rhythm),
    "slow-drift": _metrics_world("HarbourCPUHigh", _drift),
    "regular-spikes": _metrics_world("HarbourLatencyHigh", _spikes),
    "hardly-moving": _metrics_world("HarbourErrorsHigh", _still),
    "short-history": _metrics_world("HarbourLatencyHigh", _noise, seconds=240),
    "after-rollouts": _after_rollouts,
    "usual-errors": _usual_errors,
    "after-start": _after_start,
    "with-jobs": _with_jobs,
}
"""By name."""


# Writing


def _alert(place: Path, name: str, labels: Mapping[str, str]) -> None:
    alert = {
        "status": "firing", "labels": {"alertname": name, "severity": "warning", **labels}, "annotations": {},
        "startsAt": _instant(ALERT_AT), "endsAt": "0001-01-01T00:00:00Z",
    }  # fmt: skip
    _json(
        place / "alert.json",
        {"version": "4", "status": "firing", "receiver": "agent-sre", "groupKey": f'{{}}:{{alertname="{name}"}}', "alerts": [alert]},
    )


def _metrics(place: Path, dice: random.Random, shape: Shape, seconds: int) -> None:
    lines: list[str] = []
    end = int(NOW.timestamp())
    for metric, usual in _USUAL.items():
        lines.append(f"# TYPE {metric} gauge")
        for service in SERVICES:
            own = usual * (0.6 + 0.08 * SERVICES.index(service))
            labels = f'{{namespace="{NAMESPACE}",service="{service}",pod="{_pod(service)}"}}'
            lines += [f"{metric}{labels} {shape(dice, service, age, own):.6g} {end - age}" for age in range(seconds, -1, -STEP)]
    (place / "metrics.om").write_text("\n".join([*lines, "# EOF", ""]))


def _cluster(
    place: Path,
    dice: random.Random,
    *,
    restarts: Mapping[str, int] = {},
    events: Iterable[Mapping[str, Any]] = (),
    more_pods: Iterable[Mapping[str, Any]] = (),
    cordoned: bool = False,
) -> None:
    inside = place / "namespaces" / NAMESPACE
    inside.mkdir(parents=True)
    created = NOW - timedelta(hours=2, minutes=5)
    pods = [_pod_manifest(_pod(name), name, restarts=restarts.get(name, 0), created=created) for name in SERVICES]
    _list(inside / "pods.json", "Pod", [*pods, *more_pods])
    _list(inside / "deployments.json", "Deployment", [_deployment(name, created) for name in SERVICES])
    _list(inside / "services.json", "Service", [_service(name, created) for name in SERVICES])
    _list(inside / "endpoints.json", "Endpoints", [_endpoints(name, number, created) for number, name in enumerate(SERVICES)])
    _list(inside / "events.json", "Event", [*events])
    _list(place / "nodes.json", "Node", [
        _node("breakwater-0", created, control_plane=True, cordoned=cordoned), _node("breakwater-1", created), _node("breakwater-2", created),
    ])  # fmt: skip
    _metrics(place, dice, _noise, 3600)


def _list(file: Path, kind: str, items: Iterable[Mapping[str, Any]]) -> None:
    group = "apps/v1" if kind == "Deployment" else "v1"
    _json(file, {"apiVersion": group, "kind": f"{kind}List", "items": [{"apiVersion": group, "kind": kind, **item} for item in items]})


def _metadata(name: str, created: datetime, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE, "creationTimestamp": _instant(created), "uid": name, **more}


def _pod_manifest(name: str, app: str, *, restarts: int = 0, phase: str = "Running", created: datetime) -> dict[str, Any]:
    running = phase == "Running"
    ended = _instant(created + timedelta(minutes=4))
    state = {"running": {"startedAt": ended}} if running else {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": ended}}
    status = {
        "name": app, "ready": running, "restartCount": restarts, "image": f"registry.example/{app}:4.2", "state": state,
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": ended}} if restarts else {},
    }  # fmt: skip
    since = _instant(created + timedelta(minutes=5))
    conditions = [
        {"type": kind, "status": "True" if running or kind in ("PodScheduled", "Initialized") else "False", "lastTransitionTime": since,
         **({} if running else {"reason": "PodCompleted"})}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]  # fmt: skip
    container = {"name": app, "image": f"registry.example/{app}:4.2", "ports": [{"containerPort": 8080}], "resources": {
        "requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}}  # fmt: skip
    return {
        "metadata": _metadata(name, created, labels={"app": app}),
        "spec": {"nodeName": "breakwater-1", "containers": [container], "restartPolicy": "Always" if running else "Never"},
        "status": {"phase": phase, "podIP": "10.1.0.7", "conditions": conditions, "containerStatuses": [status]},
    }


def _deployment(name: str, created: datetime) -> dict[str, Any]:
    conditions = [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
    return {
        "metadata": _metadata(name, created, generation=1),
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": {
            "containers": [{"name": name, "image": f"registry.example/{name}:4.2", "ports": [{"containerPort": 8080}]}]}}},
        "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 1, "observedGeneration": 1,
                   "conditions": conditions},
    }  # fmt: skip


def _service(name: str, created: datetime) -> dict[str, Any]:
    port = {"port": 80, "targetPort": 8080, "protocol": "TCP"}
    return {"metadata": _metadata(name, created), "spec": {"selector": {"app": name}, "ports": [port], "type": "ClusterIP", "clusterIP": "10.2.0.9"}}


def _endpoints(name: str, number: int, created: datetime) -> dict[str, Any]:
    address = {"ip": f"10.1.0.{number + 7}", "targetRef": {"kind": "Pod", "name": _pod(name), "namespace": NAMESPACE}}
    return {"metadata": _metadata(name, created), "subsets": [{"addresses": [address], "ports": [{"port": 8080, "protocol": "TCP"}]}]}


def _node(name: str, created: datetime, *, control_plane: bool = False, cordoned: bool = False) -> dict[str, Any]:
    since = _instant(created)
    conditions = [
        {"type": kind, "status": status, "lastHeartbeatTime": _instant(NOW), "lastTransitionTime": since}
        for kind, status in (("Ready", "True"), ("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False"))
    ]
    spec: dict[str, Any] = {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]} if control_plane else {}
    if cordoned:
        spec["unschedulable"] = True
    labels = {"node-role.kubernetes.io/control-plane": ""} if control_plane else {}
    size = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    return {
        "metadata": {"name": name, "creationTimestamp": since, "labels": labels},
        "spec": spec,
        "status": {"conditions": conditions, "allocatable": size, "capacity": size},
    }


def _event(kind: str, name: str, reason: str, message: str, severity: str, at: datetime) -> dict[str, Any]:
    return {
        "metadata": _metadata(f"{name}.{reason.lower()}", at),
        "involvedObject": {"kind": kind, "name": name, "namespace": NAMESPACE},
        "reason": reason, "message": message, "type": severity, "count": 1, "firstTimestamp": _instant(at), "lastTimestamp": _instant(at),
    }  # fmt: skip


def _pod(service: str) -> str:
    return f"{service}-7d9c6b5f4d-{service[:2]}4x8"


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(file: Path, document: Any) -> None:
    file.write_text(json.dumps(document))
