"""A world from a few lines: what is usual is made up, what is special is said. Pure but for `write_world`, and the same on every run.

    title     one sentence
    alert     the labels; `annotations`, and `fired`, how long before now (4m)
    truth     see scenario.py
    nodes     names, or {name: {conditions: {Ready: [Unknown, NodeStatusUnknown, text, 6m]}, spec: …, allocatable: …}}
    apps      {name: {kind, namespace, image, replicas, age, port, requests, limits, env, container, spec, pods, status, revisions, …}}
    events    [[first, last, count, Kind/name, reason, message, type, namespace], …]: oldest and newest as ages; type and namespace may be left out
    objects   manifests as the API has them
    curves    [{metric, labels, for: {label: [values]}, path: [[age, value], …] or one value, noise, wave, counter, span, every}]
    logs      {app: [[from, until, every, line], …]}; `{n}` counts, `{r}` is a random number, `{x}` a random hex word
    changes   [{ago, service, kind, text, diff}], calls [[client, server], …], units {node/unit: text}

Ages count back from the instant that the world stands at. In manifests `"@12m"` is the instant 12 minutes before it.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent_sre.kit.durations import parse_duration
from agent_sre.kit.errors import BadInput

Json = dict[str, Any]
Given = Mapping[str, Any]

NOW = datetime(2026, 9, 16, 9, 40, tzinfo=UTC)
NAMESPACE = "default"

_KEYS = frozenset(
    {
        "title",
        "alert",
        "annotations",
        "fired",
        "truth",
        "namespace",
        "nodes",
        "apps",
        "events",
        "objects",
        "curves",
        "logs",
        "changes",
        "calls",
        "units",
    }
)
_MAX_POINTS = 2_000
_MAX_LINES = 5_000
_GROUP = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "ReplicaSet": "apps/v1"}


def write_world(folder: Path, name: str, recipe: Given) -> None:
    """The recipe's world as a bundle in `folder`. Raises BadInput, which says what of the recipe cannot be right."""
    files = world_files(name, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_text(content, "utf-8")


def world_files(name: str, recipe: Given) -> dict[str, str]:
    """The bundle's files by name."""
    if unknown := sorted(set(recipe) - _KEYS):
        raise BadInput(f"`{unknown[0]}` is no part of a scenario; there are {', '.join(sorted(_KEYS))}.")
    try:
        return _files(name, recipe)
    except (ValueError, TypeError, KeyError, AttributeError, LookupError, OverflowError) as error:
        # A recipe is somebody's YAML: whatever has the wrong shape ends here.
        raise BadInput(f"its recipe cannot be played: {type(error).__name__}: {error}.") from error


def _files(name: str, recipe: Given) -> dict[str, str]:
    dice = random.Random(name)  # noqa: S311  (no secret: the same world on every run)
    namespace = str(recipe.get("namespace", NAMESPACE))
    files = {"case.json": json.dumps({"id": name, "now": _ago("0s"), "step": 30}), "alert.json": json.dumps(_webhook(recipe))}
    objects = [_instants(item) for item in _cluster(recipe, namespace)]
    if objects:
        files["objects.json"] = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    if recipe.get("curves"):
        files["metrics.om"] = "\n".join([*_samples(recipe["curves"], dice), "# EOF", ""])
    if recipe.get("logs"):
        files["logs.json"] = json.dumps({app: list(_lines(rows, dice)) for app, rows in recipe["logs"].items()})
    if recipe.get("changes"):
        files["changes.json"] = json.dumps([{"namespace": namespace, **item, "time": _ago(item["ago"])} for item in recipe["changes"]])
    if recipe.get("calls"):
        files["topology.json"] = json.dumps([list(call) for call in recipe["calls"]])
    if recipe.get("units"):
        files["node_units.json"] = json.dumps(recipe["units"])
    return files


def _ago(age: str) -> str:
    return (NOW - parse_duration(str(age))).strftime("%Y-%m-%dT%H:%M:%SZ")


def _instants(value: Any) -> Any:
    """The value with every `"@12m"` in it replaced by that instant."""
    match value:
        case str() if value[:1] == "@" and value[1:2].isdigit():
            return _ago(value[1:])
        case Mapping():
            return {str(key): _instants(item) for key, item in value.items()}
        case list() | tuple():
            return [_instants(item) for item in value]
    return value


def _merged(base: Json, over: Given) -> Json:
    """`over` laid over `base`: tables into tables, anything else in its place; a null takes away."""
    for key, value in over.items():
        if value is None:
            base.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(base.get(key), dict):
            base[key] = _merged(base[key], value)
        else:
            base[key] = dict(value) if isinstance(value, Mapping) else value
    return base


# The alert


def _webhook(recipe: Given) -> Json:
    labels = {str(key): str(value) for key, value in {"severity": "warning", **recipe["alert"]}.items()}
    alert = {
        "status": "firing", "labels": labels, "annotations": {str(key): str(value) for key, value in recipe.get("annotations", {}).items()},
        "startsAt": _ago(recipe.get("fired", "3m")), "endsAt": "0001-01-01T00:00:00Z",
    }  # fmt: skip
    return {
        "version": "4", "status": "firing", "receiver": "agent-sre", "groupKey": f'{{}}:{{alertname="{labels["alertname"]}"}}',
        "groupLabels": {"alertname": labels["alertname"]}, "commonLabels": labels, "commonAnnotations": {}, "alerts": [alert],
    }  # fmt: skip


# The cluster


def _cluster(recipe: Given, namespace: str) -> Iterator[Json]:
    nodes = recipe.get("nodes") or {}
    named = nodes if isinstance(nodes, Mapping) else {node: {} for node in nodes}
    for node, given in named.items():
        yield _node(node, given or {})
    for number, (app, given) in enumerate((recipe.get("apps") or {}).items()):
        yield from _app(app, {"namespace": namespace, **(given or {})}, list(named), number)
    for number, row in enumerate(recipe.get("events") or ()):
        yield _event(row, namespace, number)
    yield from recipe.get("objects") or ()


def _node(name: str, given: Given) -> Json:
    conditions = []
    usual = {
        "MemoryPressure": ["False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available", "21d"],
        "DiskPressure": ["False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure", "21d"],
        "PIDPressure": ["False", "KubeletHasSufficientPID", "kubelet has sufficient PID available", "21d"],
        "Ready": ["True", "KubeletReady", "kubelet is posting ready status", "21d"],
    }
    for kind, (status, reason, message, since) in {**usual, **given.get("conditions", {})}.items():
        beat = f"@{since}" if status == "Unknown" else "@1m"
        conditions.append(
            {"type": kind, "status": str(status), "reason": reason, "message": message, "lastTransitionTime": f"@{since}", "lastHeartbeatTime": beat}
        )
    size = {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name, "creationTimestamp": f"@{given.get('age', '120d')}", "labels": {"kubernetes.io/hostname": name, **given.get("labels", {})},
        },
        "spec": given.get("spec", {}),
        "status": {
            "conditions": conditions, "capacity": {**size, **given.get("allocatable", {})}, "allocatable": {**size, **given.get("allocatable", {})},
            "nodeInfo": {"kubeletVersion": "v1.33.4", "containerRuntimeVersion": "containerd://2.0.5", "osImage": "Debian GNU/Linux 12"},
        },
    }  # fmt: skip


def _app(name: str, given: Given, nodes: Sequence[str], number: int) -> Iterator[Json]:
    """A workload as its controller makes it: the workload, its revisions, its pods, its Service with endpoints."""
    kind, namespace = str(given.get("kind", "Deployment")), str(given["namespace"])
    age, image, port = str(given.get("age", "34d")), str(given.get("image", f"registry.example/{name}:1.8.2")), given.get("port", 8080)
    replicas = int(given.get("replicas", 2))
    labels = {"app": name, **given.get("labels", {})}
    container: Json = {"name": given.get("container_name", name), "image": image}
    if port:
        container["ports"] = [{"containerPort": port, "protocol": "TCP"}]
    container["resources"] = {
        "requests": given.get("requests", {"cpu": "250m", "memory": "256Mi"}),
        "limits": given.get("limits", {"memory": "1Gi"}),
    }
    if given.get("env"):
        container["env"] = [{"name": key, "value": str(value)} for key, value in given["env"].items()]
    container = _merged(container, given.get("container", {}))
    spec = _merged(
        {"containers": [container, *given.get("sidecars", ())], "restartPolicy": "Always", "serviceAccountName": "default"}, given.get("spec", {})
    )
    pods = [{} for _ in range(replicas)] if given.get("pods") is None else list(given["pods"])
    made = [_pod(name, kind, namespace, labels, spec, pod or {}, given, nodes, number, place) for place, pod in enumerate(pods)]
    ready = sum(_is_ready(pod) for pod in made)
    meta: Json = {
        "name": name,
        "namespace": namespace,
        "creationTimestamp": f"@{age}",
        "generation": 4,
        "labels": labels,
        **given.get("metadata", {}),
    }
    if kind != "Pod":
        yield {
            "apiVersion": _GROUP.get(kind, "apps/v1"), "kind": kind, "metadata": meta,
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": labels}, "spec": spec},
                     **given.get("workload", {})},
            "status": _merged(_workload_status(kind, replicas, ready, len(made)), given.get("status", {})),
        }  # fmt: skip
    if kind == "Deployment":
        yield from _revisions(name, namespace, labels, given, spec, ready, age)
    yield from made
    if port and given.get("service", True):
        yield from _service(name, namespace, port, given.get("service"), made)


def _workload_status(kind: str, replicas: int, ready: int, made: int) -> Json:
    if kind == "DaemonSet":
        return {
            "desiredNumberScheduled": made,
            "currentNumberScheduled": made,
            "numberReady": ready,
            "numberAvailable": ready,
            "numberUnavailable": made - ready,
        }
    status: Json = {"observedGeneration": 4, "replicas": replicas, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": replicas}
    if kind == "Deployment":
        status["unavailableReplicas"] = max(replicas - ready, 0)
        enough = ready >= max(replicas * 3 // 4, 1)
        status["conditions"] = [
            {"type": "Available", "status": str(enough), "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        ]
    return status


def _revisions(name: str, namespace: str, labels: Given, given: Given, spec: Given, ready: int, age: str) -> Iterator[Json]:
    """ReplicaSets, newest last: `revisions` has [hash, age, image, replicas] of each; without it there is one, as old as the workload."""
    replicas = int(given.get("replicas", 2))
    rows = given.get("revisions") or [[given.get("hash", _hash(name)), age, spec["containers"][0]["image"], replicas]]
    for number, (digest, since, image, wanted) in enumerate(rows, 1):
        first, *others = spec["containers"]
        last = number == len(rows)
        yield {
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name}-{digest}", "namespace": namespace, "creationTimestamp": f"@{since}",
                "labels": {**labels, "pod-template-hash": digest},
                "annotations": {"deployment.kubernetes.io/revision": str(number)},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "controller": True}],
            },
            "spec": {"replicas": wanted, "selector": {"matchLabels": {"app": name, "pod-template-hash": digest}},
                     "template": {"metadata": {"labels": labels}, "spec": {**spec, "containers": [{**first, "image": image}, *others]}}},
            "status": {"replicas": wanted, "readyReplicas": ready if last else wanted, "availableReplicas": ready if last else wanted},
        }  # fmt: skip


def _hash(name: str, length: int = 9) -> str:
    """The tail of a name as Kubernetes makes it, of letters and digits that spell no word; the same for the same name."""
    number = sum(ord(letter) * 7919**place for place, letter in enumerate(name, 1))
    return "".join(_SAFE[number // len(_SAFE) ** place % len(_SAFE)] for place in range(length))


_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def _pod(
    app: str, kind: str, namespace: str, labels: Given, spec: Given, pod: Given, given: Given, nodes: Sequence[str], number: int, place: int
) -> Json:
    """A pod: healthy where nothing else is said. `state` and `last` are the container's, `waiting`, `restarts` and `ready` shorthands."""
    digest = str(given.get("hash", _hash(app)))
    name = str(pod.get("name") or _pod_name(app, kind, digest, str(pod.get("suffix", _hash(f"{app}{place}", 5))), place))
    age = str(pod.get("age", given.get("pod_age", given.get("age", "34d"))))
    node = pod.get("node", nodes[(number + place) % len(nodes)] if nodes else "")
    first = _merged(dict(spec["containers"][0]), pod.get("container", {}))
    meta: Json = {
        "name": name, "namespace": namespace, "creationTimestamp": f"@{age}", "ownerReferences": _owners(app, kind, name),
        "labels": {**labels, **({"pod-template-hash": digest} if kind == "Deployment" else {})},
    }  # fmt: skip
    status = _pod_status(pod, first, spec["containers"][1:], age)
    if "containerStatuses" in status:
        status |= {"hostIP": f"10.20.0.{10 + number}", "podIP": f"10.30.{number}.{place + 20}"}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": _merged(meta, pod.get("metadata", {})),
        "spec": {**spec, "containers": [first, *spec["containers"][1:]], **({"nodeName": node} if node else {}), **pod.get("spec", {})},
        "status": _merged(status, pod.get("status", {})),
    }  # fmt: skip


def _pod_name(app: str, kind: str, digest: str, suffix: str, place: int) -> str:
    return {"Pod": app, "StatefulSet": f"{app}-{place}", "Deployment": f"{app}-{digest}-{suffix}"}.get(kind, f"{app}-{suffix}")


def _owners(app: str, kind: str, pod: str) -> list[Json]:
    if kind == "Pod":
        return []
    # By the pod's own name, because an old pod belongs to an old revision.
    name, owner = (pod.rpartition("-")[0], "ReplicaSet") if kind == "Deployment" else (app, kind)
    return [{"apiVersion": "apps/v1", "kind": owner, "name": name, "controller": True}]


def _pod_status(pod: Given, container: Given, sidecars: Sequence[Given], age: str) -> Json:
    phase, waiting = str(pod.get("phase", "Running")), pod.get("waiting")
    state = pod.get("state") or ({"waiting": _reason(waiting)} if waiting else {"running": {"startedAt": f"@{pod.get('started', age)}"}})
    ready = bool(pod.get("ready", phase == "Running" and "running" in state))
    unready = ["False", "ContainersNotReady", f"containers with unready status: [{container['name']}]"]
    rows: Json = {"PodScheduled": ["True", "", ""], "Initialized": ["True", "", ""]}
    rows |= dict.fromkeys(("ContainersReady", "Ready"), ["True", "", ""] if ready else unready)
    rows |= pod.get("conditions", {})
    since = f"@{pod.get('since', age)}"
    status: Json = {"phase": phase, "conditions": [
        {"type": kind, "status": str(row[0]), "reason": row[1], "message": row[2], "lastTransitionTime": since} for kind, row in rows.items()
    ]}  # fmt: skip
    if phase == "Pending" and not waiting:
        return status
    main: Json = {"name": container["name"], "image": container["image"], "ready": ready, "started": ready, "state": state}
    main["restartCount"] = int(pod.get("restarts", 0))
    if pod.get("last"):
        main["lastState"] = {"terminated": pod["last"]}
    running = {"ready": True, "started": True, "restartCount": 0, "state": {"running": {"startedAt": f"@{age}"}}}
    return status | {
        "startTime": f"@{age}",
        "containerStatuses": [main, *({"name": side["name"], "image": side["image"], **running} for side in sidecars)],
    }


def _reason(waiting: Any) -> Json:
    """`CrashLoopBackOff`, or [reason, message]."""
    return {"reason": waiting} if isinstance(waiting, str) else {"reason": waiting[0], "message": waiting[1]}


def _is_ready(pod: Given) -> bool:
    return any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"]["conditions"])


def _service(name: str, namespace: str, port: int, given: Any, pods: Sequence[Given]) -> Iterator[Json]:
    spec = {
        "type": "ClusterIP",
        "clusterIP": "10.40.0.12",
        "selector": {"app": name},
        "ports": [{"name": "main", "port": port, "targetPort": port, "protocol": "TCP"}],
    }
    yield {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "@34d"},
        "spec": _merged(spec, given if isinstance(given, Mapping) else {}),
    }  # fmt: skip
    subsets: Json = {"ports": [{"name": "main", "port": port, "protocol": "TCP"}]}
    for pod in pods:
        if ip := pod["status"].get("podIP"):
            where = "addresses" if _is_ready(pod) else "notReadyAddresses"
            subsets.setdefault(where, []).append({"ip": ip, "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": namespace}})
    yield {
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "@34d"},
        "subsets": [subsets] if len(subsets) > 1 else [],
    }  # fmt: skip


def _event(row: Sequence[Any], namespace: str, number: int) -> Json:
    first, last, count, about, reason, message, *more = row
    severity, where = (str(more[0]) if more else "Warning"), (str(more[1]) if len(more) > 1 else namespace)
    kind, _, name = str(about).partition("/")
    place = "default" if kind == "Node" else where
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{name}.{number:04x}", "namespace": place, "creationTimestamp": f"@{first}"},
        "involvedObject": {"kind": kind, "name": name, **({} if kind == "Node" else {"namespace": where})}, "reason": reason, "message": message,
        "type": severity, "count": int(count), "firstTimestamp": f"@{first}", "lastTimestamp": f"@{last}",
        "source": {"component": _COMPONENT_BY_REASON.get(reason, "kubelet")},
    }  # fmt: skip


_COMPONENT_BY_REASON = {
    "FailedScheduling": "default-scheduler", "Scheduled": "default-scheduler", "FailedCreate": "replicaset-controller",
    "SuccessfulCreate": "replicaset-controller", "ScalingReplicaSet": "deployment-controller", "SuccessfulRescale": "horizontal-pod-autoscaler",
    "BackoffLimitExceeded": "job-controller", "ProvisioningFailed": "persistentvolume-controller", "NodeNotReady": "node-controller",
    "TaintManagerEviction": "taint-eviction-controller",
}  # fmt: skip


# Measurements


def _samples(curves: Sequence[Given], dice: random.Random) -> Iterator[str]:
    by_metric: dict[str, list[Given]] = {}
    for curve in curves:
        by_metric.setdefault(str(curve["metric"]), []).append(curve)
    for metric, rows in by_metric.items():
        yield f"# TYPE {metric} {'counter' if rows[0].get('counter') else 'gauge'}"
        for curve in rows:
            for labels in _label_sets(curve):
                pairs = ",".join(f"{key}={json.dumps(str(value))}" for key, value in labels.items())
                for at, value in _points(curve, dice):
                    yield f"{metric}{{{pairs}}} {value:.7g} {at}"


def _label_sets(curve: Given) -> Iterator[Json]:
    """`for: {pod: [a, b]}` is one series for each; several labels go side by side."""
    each = curve.get("for") or {}
    for values in zip(*each.values(), strict=True) if each else [()]:
        yield {**curve.get("labels", {}), **dict(zip(each, values, strict=True))}


def _points(curve: Given, dice: random.Random) -> Iterator[tuple[int, float]]:
    span, every = parse_duration(str(curve.get("span", "2h"))), parse_duration(str(curve.get("every", "30s")))
    steps = int(span / every)
    if not 0 < steps <= _MAX_POINTS:
        raise BadInput(f"the curve {curve['metric']} has {steps} points; one to {_MAX_POINTS} are possible.")
    path = curve["path"] if isinstance(curve["path"], list) else [["0s", curve["path"]]]
    corners = [(parse_duration(str(age)).total_seconds(), float(value)) for age, value in path]
    noise, wave = float(curve.get("noise", 0.03)), curve.get("wave")
    until = parse_duration(str(curve.get("until", "0s")))
    total = float(curve.get("start", 1000))
    for step in range(steps, -1, -1):
        age = every * step
        if age < until:
            return
        value = _level(corners, age.total_seconds()) * max(dice.gauss(1, noise), 0)
        if wave:
            period, height = parse_duration(str(wave[0])), float(wave[1])
            value *= 1 + height * math.sin(2 * math.pi * (age / period))
        total += max(value, 0) * every.total_seconds()
        yield int((NOW - age).timestamp()), total if curve.get("counter") else value


def _level(corners: Sequence[tuple[float, float]], age: float) -> float:
    """On the way from corner to corner, oldest first; flat before the first and after the last. Two corners of one age are a step."""
    before = corners[0]
    for corner in corners:
        if age > corner[0]:
            if before[0] <= age or before[0] == corner[0]:
                return before[1]
            share = (before[0] - age) / (before[0] - corner[0])
            return before[1] + share * (corner[1] - before[1])
        before = corner
    return corners[-1][1]


def _lines(rows: Sequence[Sequence[Any]], dice: random.Random) -> Iterator[str]:
    """Lines with their times, oldest first."""
    found: list[tuple[timedelta, str]] = []
    for since, until, every, text in rows:
        age, last, step = (parse_duration(str(part)) for part in (since, until, every))
        if step <= timedelta(0) or age / step > _MAX_LINES:
            raise BadInput(f'the line "{str(text)[:40]}" comes too often.')
        number = 0
        while age >= last:
            number += 1
            line = str(text).replace("{n}", str(number)).replace("{r}", str(dice.randrange(3, 900))).replace("{x}", f"{dice.getrandbits(32):08x}")
            found.append((age, line))
            age -= step
    for age, line in sorted(found, key=lambda item: -item[0]):
        yield f"{(NOW - age).strftime('%Y-%m-%dT%H:%M:%S.000Z')} {line}"
