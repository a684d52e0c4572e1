"""Worlds that nobody would run: whole manifests of which any part may be of another kind, logs, changes and edges. For detectors' promises."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Change, Dependency, KubernetesObject, LogPattern, MetricSeries
from evidence.builders import NOW
from fakes.hostile import HOSTILE

NOW_TEXT = "2026-01-01T00:00:00Z"
CONTAINER: dict[str, Any] = {
    "name": "app", "image": "registry.example/app:1", "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
    "env": [{"name": "STOCK_ADDR", "value": "stock:9000"}, {"name": "DB_HOST", "value": "db.shop.svc"}, {"name": "DB_PORT", "value": "5432"}],
    "envFrom": [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "c"}}], "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
    "readinessProbe": {"httpGet": {"port": "http", "path": "/"}, "timeoutSeconds": 1}, "livenessProbe": {"tcpSocket": {"port": 8080}},
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
}  # fmt: skip
PROXY = {"name": "istio-proxy", "env": [{"name": "PROXY_CONFIG", "value": '{"statusPort":8080}'}], "ports": [{"containerPort": 8080}]}
POD_SPEC: dict[str, Any] = {
    "containers": [CONTAINER, PROXY],
    "dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}, "hostAliases": [{"ip": "192.0.2.2", "hostnames": ["stock"]}],
    "nodeName": "n1", "nodeSelector": {"disk": "ssd"}, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "p"}}],
}  # fmt: skip
STATUS: dict[str, Any] = {
    "phase": "Running", "conditions": [{"type": "Ready", "status": "False", "reason": "x", "message": "m"}], "podIP": "192.0.2.9",
    "containerStatuses": [
        {
            "name": "app", "ready": False, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "m"}},
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": NOW_TEXT}},
        }
    ],
}  # fmt: skip
TEMPLATE = {"metadata": {"labels": {"app": "till"}, "annotations": {"proxy.istio.io/config": '{ "statusPort": 8080 }'}}, "spec": POD_SPEC}
WHOLE: tuple[dict[str, Any], ...] = (
    {"kind": "Pod", "spec": POD_SPEC, "status": STATUS},
    {"kind": "Deployment", "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "till"}}, "template": TEMPLATE}, "status": STATUS},
    {"kind": "StatefulSet", "spec": {"template": TEMPLATE}},
    {"kind": "Service", "spec": {"selector": {"app": "other"}, "clusterIP": "192.0.2.3", "type": "NodePort", "ports": [{"port": 80}]}},
    {"kind": "Service", "spec": {"selector": {"app": "till"}, "ports": [{"port": 80, "targetPort": 81, "protocol": "UDP"}, {"port": 8080}]}},
    {"kind": "Service", "spec": {"type": "ExternalName", "externalName": "gone.shop.svc.cluster.local"}},
    {"kind": "Endpoints", "subsets": [{"addresses": [{"ip": "192.0.2.4"}], "ports": [{"port": 1}]}]},
    {"kind": "ConfigMap", "data": {"a": None}, "routes": [{"path": "/api/till", "to": "stock", "port": "1"}]},
    {
        "kind": "Ingress",
        "spec": {"rules": [{"http": {"paths": [{"path": "/till", "backend": {"service": {"name": "gone-till", "port": {"number": 1}}}}]}}]},
    },
    {"kind": "HTTPRoute", "spec": {"rules": [{"matches": [{"path": {"value": "/till"}}], "backendRefs": [{"name": "stock", "port": 1}]}]}},
    {"kind": "VirtualService", "spec": {"http": [{"match": [{"uri": {"prefix": "/till"}}], "route": [{"destination": {"host": "stock"}}]}]}},
    {"kind": "Node", "spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}]}, "status": STATUS},
    {"kind": "PersistentVolumeClaim", "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
    {"kind": "PersistentVolume", "spec": {"capacity": {"storage": "1Gi"}, "claimRef": {"name": "x"}}, "status": {"phase": "Bound"}},
    {"kind": "ResourceQuota", "status": {"hard": {"pods": "1"}, "used": {"pods": "1"}}},
    {"kind": "Job", "status": {"failed": 1, "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}},
    {"kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 1}, "status": {"currentReplicas": 1, "conditions": STATUS["conditions"]}},
    {
        "kind": "Event", "reason": "FailedScheduling", "type": "Warning", "message": "0/3 nodes are available: 1 Insufficient cpu.",
        "involvedObject": {"kind": "Pod", "name": "till", "namespace": "shop"}, "lastTimestamp": NOW_TEXT, "count": 2,
    },
    {"kind": "Event", "reason": "BackOff", "message": "Back-off pulling image \"x\"", "involvedObject": {"kind": "Pod", "name": "till"}},
)  # fmt: skip
LINES = (
    "dial tcp 192.0.2.3:80: connect: connection refused", "lookup stock on 192.0.2.1:53: i/o timeout", "getaddrinfo ENOTFOUND gone",
    "Access denied for user 'a'@'b'", "Communications link failure", "Too many connections", "cannot execute INSERT in a read-only transaction",
    "Port 8080 was already in use", "java.lang.OutOfMemoryError: Java heap space", "permission denied", *HOSTILE[:10],
)  # fmt: skip

other_kinds: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 10**30, 1.5, "", "x", "8080", [], {}, [None], ["x", 1], {"x": None}, {"": []}, [{}], [[]]]
)


@st.composite
def objects(draw: st.DrawFn) -> KubernetesObject:
    """An object of which up to three parts are of another kind than they should be."""
    manifest = copy.deepcopy(draw(st.sampled_from(WHOLE)))
    name = draw(st.sampled_from(["till", "stock", "till-7d9c5b8f6d-x2x4z", "db-0", "n1", ""]))
    manifest["metadata"] = {
        "name": name,
        "namespace": "shop",
        "labels": {"app": "till"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "till-7d9c5b8f6d"}],
    }
    for _ in range(draw(st.integers(0, 3))):
        _spoil(draw, manifest)
    return KubernetesObject(kind=str(manifest.get("kind")), namespace="shop", name=name, manifest=manifest)


def _spoil(draw: st.DrawFn, manifest: Any) -> None:
    place = manifest
    for _ in range(draw(st.integers(0, 7))):
        inner = [key for key in (place if isinstance(place, dict) else range(len(place))) if isinstance(place[key], dict | list) and place[key]]
        if not inner:
            break
        place = place[draw(st.sampled_from(inner))]
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    # a copy: what is drawn is the same object each time, and the next spoiling may change it
    place[draw(st.sampled_from(keys))] = copy.deepcopy(draw(other_kinds))


subjects = st.builds(
    Subject, kind=st.sampled_from(["Deployment", "Node", "Service"]), name=st.sampled_from(["till", "stock", "n1"]), namespace=st.just("shop")
)
log_patterns = st.builds(
    LogPattern,
    template=st.sampled_from(LINES), level=st.sampled_from(["error", "fatal", "info", ""]), subject=subjects, count=st.integers(0, 10**6),
    count_before=st.one_of(st.none(), st.integers(0, 10)), first_at=st.one_of(st.none(), st.just(NOW)), last_at=st.none(),
    sample=st.sampled_from(LINES),
)  # fmt: skip
changes = st.builds(
    Change, at=st.one_of(st.none(), st.just(NOW)), kind=st.sampled_from(["rollout", "config", "x"]), subject=subjects, text=st.sampled_from(LINES)
)
dependencies = st.builds(
    Dependency, source=st.sampled_from(["till", "stock"]), destination=st.sampled_from(["till", "stock", ""]), via=st.sampled_from(["mesh", "x"])
)
named_curves = st.builds(
    MetricSeries,
    labels=st.fixed_dictionaries({
        "__name__": st.sampled_from(["workload_p50latency", "workload_cpu", "workload_cpu_cfs", "node_tcp_retrans"]),
        "workload": st.sampled_from(["till", "stock", "n1"]),
    }),
    points=st.lists(st.tuples(st.floats(NOW.timestamp() - 400, NOW.timestamp()), st.floats()), max_size=40).map(tuple),
)  # fmt: skip
PLURALS = ("pods", "services", "deployments", "events", "manifests", "nodes", "logs")
