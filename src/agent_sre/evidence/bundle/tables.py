"""`kubectl get` tables, wide or not, with `-A` or without, and `get all`, as manifests that say what the columns say. Pure.

A table tells little: enough to know that an object is there, how it is, and who is not ready. What belongs to one of several containers is left
out, because the columns do not say to which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from agent_sre.evidence.bundle.kinds import kind_of_word, manifest_of
from agent_sre.evidence.bundle.layout import NONE, Lines, number_of, port_of, selector_of, table_of
from agent_sre.evidence.bundle.storage import access_modes
from agent_sre.evidence.bundle.tidy import tidy
from agent_sre.evidence.bundle.times import Times

Json = dict[str, Any]
Row = Mapping[str, str]

_NAME_COLUMN = re.compile(r"(?:NAMESPACE +)?NAME(?: {2,}[A-Z]|$)")
_READY = re.compile(r"(\d+)/(\d+)$")
_RESTARTS = re.compile(r"(\d+)(?: \((\S+) ago\))?$")
_PHASES = {"Running": "Running", "Pending": "Pending", "Succeeded": "Succeeded", "Failed": "Failed", "Completed": "Succeeded", "Evicted": "Failed"}
_TERMINATED = frozenset({"Error", "OOMKilled", "ContainerCannotRun", "DeadlineExceeded", "StartError", "Completed"})


def is_header(line: str) -> bool:
    """Whether this is the header of a table that `kubectl get` prints of objects with names."""
    return _NAME_COLUMN.match(line) is not None and line.upper() == line


def kind_of_header(columns: tuple[str, ...]) -> str:
    """The kind that a table lists, by its columns; empty where they could be of several."""
    there = set(columns)
    return next((kind for kind, wanted in _SIGNS if wanted <= there), "")


def from_table(lines: Lines, times: Times, *, kind: str = "", namespace: str = "") -> list[Json]:
    """The manifests of a table's rows, in its order. `kind` and `namespace` are what was asked for, where that is known.

    Rows of Secrets give nothing, and neither do those of a table whose kind nobody tells.
    """
    table = table_of(lines)
    if table is None:
        return []
    told = kind or kind_of_header(table.columns)
    return [manifest for row in table.rows if (manifest := _manifest(row, told, namespace, times))]


def _manifest(row: Row, kind: str, namespace: str, times: Times) -> Json:
    name = row.get("NAME", "")
    word, slash, rest = name.partition("/")
    if slash:  # get all: pod/cart-0, deployment.apps/cart
        known = kind_of_word(word)
        kind, name = (known.kind if known else ""), rest
    if not kind or not name or kind == "Secret":
        return {}
    manifest: Json = manifest_of(kind, tidy(name, 253), tidy(row.get("NAMESPACE", namespace), 63))
    if created := times.ago(row.get("AGE", "")):
        manifest["metadata"]["creationTimestamp"] = created
    if row.get("LABELS", "") not in NONE:
        manifest["metadata"]["labels"] = {tidy(key): tidy(value) for key, value in selector_of(row["LABELS"]).items()}
    parse = _PARSERS.get(kind)
    if parse is not None:
        _merge(manifest, parse(row, times))
    return manifest


def _merge(target: Json, more: Json) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        else:
            target[name] = value


def _pod(row: Row, times: Times) -> Json:
    spec: Json = {}
    status: Json = {}
    metadata: Json = {}
    said = row.get("STATUS", "")
    if said in _PHASES:
        status["phase"] = _PHASES[said]
    elif said == "Terminating":
        metadata["deletionTimestamp"] = None  # that it is being deleted is known, since when is not
    ready = _READY.match(row.get("READY", ""))
    initial, _, reason = said.rpartition("Init:")
    if said in _PHASES or said in ("Terminating", "Unknown", "") or (not initial and "Init:" in said and "/" in reason):
        reason = ""
    if ready is not None and (reason or (ready[2] == "1" and said != "Pending")):
        container = _container(reason, ready, row.get("RESTARTS", ""), times)
        status["initContainerStatuses" if "Init:" in said else "containerStatuses"] = [container]
    if said == "Evicted":
        status["reason"] = said
    if (node := row.get("NODE", "")) not in NONE:
        spec["nodeName"] = tidy(node)
    if (address := row.get("IP", "")) not in NONE:
        status["podIP"] = tidy(address, 60)
    return {"metadata": metadata, "spec": spec, "status": status}


def _container(reason: str, ready: re.Match[str], restarts: str, times: Times) -> Json:
    """The only container, or the one that STATUS is about: the table does not tell its name."""
    status: Json = {}
    if reason:
        status |= {"ready": False, "state": {"terminated" if reason in _TERMINATED else "waiting": {"reason": tidy(reason, 80)}}}
    if ready[2] == "1":
        status["ready"] = ready[1] == "1"
        if match := _RESTARTS.match(restarts):
            status["restartCount"] = int(match[1][:9])
            if match[2] and (finished := times.ago(match[2])):
                status["lastState"] = {"terminated": {"finishedAt": finished}}
    return status


def _workload(row: Row, times: Times) -> Json:  # noqa: ARG001  (all parsers look alike)
    """Deployment and StatefulSet."""
    spec: Json = {}
    status: Json = {}
    if match := _READY.match(row.get("READY", "")):
        status["readyReplicas"] = int(match[1][:9])
        spec["replicas"] = int(match[2][:9])
    for column, field in (("UP-TO-DATE", "updatedReplicas"), ("AVAILABLE", "availableReplicas")):
        if (number := number_of(row.get(column, ""))) is not None:
            status[field] = number
    return {"spec": spec | _selected(row) | _template(row), "status": status}


def _replicaset(row: Row, times: Times) -> Json:  # noqa: ARG001
    spec: Json = {}
    status: Json = {}
    if (number := number_of(row.get("DESIRED", ""))) is not None:
        spec["replicas"] = number
    for column, field in (("CURRENT", "replicas"), ("READY", "readyReplicas")):
        if (number := number_of(row.get(column, ""))) is not None:
            status[field] = number
    return {"spec": spec | _selected(row) | _template(row), "status": status}


def _daemonset(row: Row, times: Times) -> Json:  # noqa: ARG001
    fields = {
        "DESIRED": "desiredNumberScheduled", "CURRENT": "currentNumberScheduled", "READY": "numberReady", "UP-TO-DATE": "updatedNumberScheduled",
        "AVAILABLE": "numberAvailable",
    }  # fmt: skip
    status = {field: number for column, field in fields.items() if (number := number_of(row.get(column, ""))) is not None}
    return {"spec": _selected(row) | _template(row), "status": status}


def _selected(row: Row) -> Json:
    return {"selector": {"matchLabels": selector_of(row["SELECTOR"])}} if row.get("SELECTOR", "") not in NONE else {}


def _template(row: Row) -> Json:
    names = [part for part in row.get("CONTAINERS", "").split(",") if part]
    images = [part for part in row.get("IMAGES", "").split(",") if part]
    if not names or len(names) != len(images):
        return {}
    containers = [{"name": tidy(name), "image": tidy(image)} for name, image in zip(names, images, strict=True)]
    return {"template": {"spec": {"containers": containers}}}


def _job(row: Row, times: Times) -> Json:  # noqa: ARG001
    match = _READY.match(row.get("COMPLETIONS", ""))
    if match is None:
        return {}
    return {"spec": {"completions": int(match[2][:9])}, "status": {"succeeded": int(match[1][:9])}}


def _cronjob(row: Row, times: Times) -> Json:
    spec: Json = {"schedule": tidy(row.get("SCHEDULE", ""))}
    if row.get("SUSPEND") in ("True", "False"):
        spec["suspend"] = row["SUSPEND"] == "True"
    last = times.ago(row.get("LAST SCHEDULE", ""))
    return {"spec": spec, "status": {"lastScheduleTime": last} if last else {}}


def _service(row: Row, times: Times) -> Json:  # noqa: ARG001
    spec: Json = {}
    if row.get("TYPE"):
        spec["type"] = tidy(row["TYPE"])
    if row.get("CLUSTER-IP", "") not in NONE or row.get("CLUSTER-IP") == "None":
        spec["clusterIP"] = tidy(row["CLUSTER-IP"], 60)
    ports = [port for part in row.get("PORT(S)", "").split(",") if (port := _service_port(part))]
    if ports:
        spec["ports"] = ports
    if "SELECTOR" in row:
        spec["selector"] = selector_of(row["SELECTOR"])
    return {"spec": spec}


def _service_port(text: str) -> Json:
    match = re.match(r"(\d{1,5})(?::(\d{1,5}))?/([A-Z]+)$", text)
    if match is None:
        return {}
    return {"port": int(match[1]), "protocol": match[3], **({"nodePort": int(match[2])} if match[2] else {})}


def _endpoints(row: Row, times: Times) -> Json:  # noqa: ARG001
    """Ready addresses only, and not all of them where the table says `+ 3 more...`; `<none>` means none."""
    text = row.get("ENDPOINTS", "")
    if text == "<none>":
        return {"subsets": []}
    addresses: dict[str, None] = {}
    ports: dict[int | str, None] = {}
    for part in text.partition(" + ")[0].split(","):
        address, colon, port = part.rpartition(":")
        if colon and address:
            addresses[tidy(address, 60)] = None
            ports[port_of(port)] = None
    if not addresses:
        return {}
    return {"subsets": [{"addresses": [{"ip": address} for address in addresses], "ports": [{"port": port} for port in ports]}]}


def _node(row: Row, times: Times) -> Json:  # noqa: ARG001
    words = row.get("STATUS", "").split(",")
    spec: Json = {"unschedulable": True} if "SchedulingDisabled" in words else {"unschedulable": False} if words != [""] else {}
    status: Json = {}
    if words[0] in ("Ready", "NotReady"):
        # kubectl prints NotReady for False and for Unknown; the description tells them apart.
        status["conditions"] = [{"type": "Ready", "status": "True" if words[0] == "Ready" else "False"}]
    fields = {"VERSION": "kubeletVersion", "OS-IMAGE": "osImage", "KERNEL-VERSION": "kernelVersion", "CONTAINER-RUNTIME": "containerRuntimeVersion"}
    if info := {field: tidy(row[column]) for column, field in fields.items() if row.get(column, "") not in NONE}:
        status["nodeInfo"] = info
    addresses = [
        {"type": kind, "address": tidy(row[column], 60)}
        for column, kind in (("INTERNAL-IP", "InternalIP"), ("EXTERNAL-IP", "ExternalIP"))
        if row.get(column, "") not in NONE
    ]
    if addresses:
        status["addresses"] = addresses
    return {"spec": spec, "status": status}


def _claim(row: Row, times: Times) -> Json:  # noqa: ARG001
    spec: Json = {}
    status: Json = {}
    if row.get("STATUS") and row["STATUS"] != "Terminating":
        status["phase"] = tidy(row["STATUS"], 40)
    if row.get("VOLUME", "") not in NONE:
        spec["volumeName"] = tidy(row["VOLUME"])
    if "STORAGECLASS" in row:
        spec["storageClassName"] = "" if row["STORAGECLASS"] in NONE else tidy(row["STORAGECLASS"])
    if row.get("CAPACITY", "") not in NONE:
        status["capacity"] = {"storage": row["CAPACITY"]}
    if modes := access_modes(row.get("ACCESS MODES", "")):
        status["accessModes"] = modes
    return {"spec": spec, "status": status}


def _volume(row: Row, times: Times) -> Json:  # noqa: ARG001
    spec: Json = {}
    if row.get("CAPACITY", "") not in NONE:
        spec["capacity"] = {"storage": row["CAPACITY"]}
    if modes := access_modes(row.get("ACCESS MODES", "")):
        spec["accessModes"] = modes
    if row.get("RECLAIM POLICY"):
        spec["persistentVolumeReclaimPolicy"] = tidy(row["RECLAIM POLICY"])
    if "STORAGECLASS" in row:
        spec["storageClassName"] = "" if row["STORAGECLASS"] in NONE else tidy(row["STORAGECLASS"])
    place, slash, name = row.get("CLAIM", "").partition("/")
    if slash:
        spec["claimRef"] = {"kind": "PersistentVolumeClaim", "namespace": tidy(place), "name": tidy(name)}
    status = {"phase": tidy(row["STATUS"], 40)} if row.get("STATUS") else {}
    if row.get("REASON", "") not in NONE:
        status["reason"] = tidy(row["REASON"])
    return {"spec": spec, "status": status}


def _storage_class(row: Row, times: Times) -> Json:  # noqa: ARG001
    fields = {"PROVISIONER": "provisioner", "RECLAIMPOLICY": "reclaimPolicy", "VOLUMEBINDINGMODE": "volumeBindingMode"}
    found: Json = {field: tidy(row[column]) for column, field in fields.items() if row.get(column, "") not in NONE}
    if row.get("ALLOWVOLUMEEXPANSION") in ("true", "false"):
        found["allowVolumeExpansion"] = row["ALLOWVOLUMEEXPANSION"] == "true"
    return found


def _quota(row: Row, times: Times) -> Json:  # noqa: ARG001
    """`requests.memory: 3000Mi/3Gi, pods: 4/5` under REQUEST and LIMIT."""
    hard: dict[str, str] = {}
    used: dict[str, str] = {}
    for column in ("REQUEST", "LIMIT"):
        for part in row.get(column, "").split(", "):
            name, colon, amounts = part.partition(": ")
            now, slash, most = amounts.partition("/")
            if colon and slash:
                hard[tidy(name)], used[tidy(name)] = tidy(most), tidy(now)
    return {"spec": {"hard": hard}, "status": {"hard": dict(hard), "used": used}} if hard else {}


def _autoscaler(row: Row, times: Times) -> Json:  # noqa: ARG001
    kind, slash, name = row.get("REFERENCE", "").partition("/")
    spec: Json = {"scaleTargetRef": {"kind": tidy(kind), "name": tidy(name)}} if slash else {}
    for column, field in (("MINPODS", "minReplicas"), ("MAXPODS", "maxReplicas")):
        if (number := number_of(row.get(column, ""))) is not None:
            spec[field] = number
    current = number_of(row.get("REPLICAS", ""))
    return {"spec": spec, "status": {} if current is None else {"currentReplicas": current}}


def _budget(row: Row, times: Times) -> Json:  # noqa: ARG001
    spec: Json = {}
    for column, field in (("MIN AVAILABLE", "minAvailable"), ("MAX UNAVAILABLE", "maxUnavailable")):
        if row.get(column, "N/A") not in (*NONE, "N/A"):
            spec[field] = port_of(row[column])
    allowed = number_of(row.get("ALLOWED DISRUPTIONS", ""))
    return {"spec": spec, "status": {} if allowed is None else {"disruptionsAllowed": allowed}}


def _policy(row: Row, times: Times) -> Json:  # noqa: ARG001
    return {"spec": {"podSelector": {"matchLabels": selector_of(row.get("POD-SELECTOR", ""))}}}


def _ingress(row: Row, times: Times) -> Json:  # noqa: ARG001
    spec: Json = {}
    if row.get("CLASS", "") not in NONE:
        spec["ingressClassName"] = tidy(row["CLASS"])
    if hosts := [part for part in row.get("HOSTS", "").split(",") if part not in (*NONE, "*")]:
        spec["rules"] = [{"host": tidy(host)} for host in hosts]
    return {"spec": spec}


def _namespace(row: Row, times: Times) -> Json:  # noqa: ARG001
    return {"status": {"phase": tidy(row.get("STATUS", ""))}} if row.get("STATUS") else {}


_PARSERS: dict[str, Callable[[Row, Times], Json]] = {
    "Pod": _pod, "Deployment": _workload, "StatefulSet": _workload, "ReplicaSet": _replicaset, "ReplicationController": _replicaset,
    "DaemonSet": _daemonset, "Job": _job, "CronJob": _cronjob, "Service": _service, "Endpoints": _endpoints, "Node": _node,
    "PersistentVolumeClaim": _claim, "PersistentVolume": _volume, "StorageClass": _storage_class, "ResourceQuota": _quota,
    "HorizontalPodAutoscaler": _autoscaler, "PodDisruptionBudget": _budget, "NetworkPolicy": _policy, "Ingress": _ingress, "Namespace": _namespace,
}  # fmt: skip

_SIGNS: tuple[tuple[str, frozenset[str]], ...] = (
    ("Pod", frozenset({"READY", "STATUS", "RESTARTS"})),
    ("DaemonSet", frozenset({"DESIRED", "CURRENT", "UP-TO-DATE"})),
    ("Deployment", frozenset({"READY", "UP-TO-DATE", "AVAILABLE"})),
    ("ReplicaSet", frozenset({"DESIRED", "CURRENT", "READY"})),
    ("Service", frozenset({"CLUSTER-IP", "PORT(S)"})),
    ("Endpoints", frozenset({"ENDPOINTS"})),
    ("Node", frozenset({"STATUS", "ROLES", "VERSION"})),
    ("PersistentVolume", frozenset({"CAPACITY", "RECLAIM POLICY", "CLAIM"})),
    ("PersistentVolumeClaim", frozenset({"STATUS", "VOLUME", "ACCESS MODES"})),
    ("StorageClass", frozenset({"PROVISIONER"})),
    ("HorizontalPodAutoscaler", frozenset({"REFERENCE", "MINPODS"})),
    ("PodDisruptionBudget", frozenset({"ALLOWED DISRUPTIONS"})),
    ("NetworkPolicy", frozenset({"POD-SELECTOR"})),
    ("Ingress", frozenset({"HOSTS", "PORTS"})),
    ("ResourceQuota", frozenset({"REQUEST", "LIMIT"})),
    ("Job", frozenset({"COMPLETIONS", "DURATION"})),
    ("CronJob", frozenset({"SCHEDULE", "SUSPEND"})),
    ("Secret", frozenset({"TYPE", "DATA"})),
    ("ConfigMap", frozenset({"NAME", "DATA"})),
    ("ServiceAccount", frozenset({"NAME", "SECRETS"})),
    ("StatefulSet", frozenset({"NAME", "READY", "AGE"})),
    ("Namespace", frozenset({"NAME", "STATUS", "AGE"})),
)
"""In this order: a StatefulSet's columns are in every Deployment's table."""
