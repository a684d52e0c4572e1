"""The standard rules, each with the labels that Prometheus would give its alerts, against the catalogue's own word on whom they are about.

`result_labels` walks the rule's expression as Prometheus evaluates it: which labels survive `by`, `without`, `on`, `group_left`. What goes
in is `series`: the labels of the metric itself over those of its target, in the two layouts that are really installed. Nothing of it looks
at the code under test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import promql_parser as promql
import pytest

from agent_sre.alert.subject import scope_of, subject_of

CATALOGUE = Path(__file__).parents[3] / "shared" / "data" / "alert_catalogue.json"

pytestmark = pytest.mark.skipif(not CATALOGUE.exists(), reason=f"no rule catalogue at {CATALOGUE}")

KUBE_PROMETHEUS = "kube-prometheus"
HELM_CHART = "kube-prometheus-stack"
LAYOUTS = (KUBE_PROMETHEUS, HELM_CHART)

POD = "cart-7f9c6d5b8c-k2x9p"
VICTIMS = {
    "deployment": "cart", "statefulset": "catalog-db", "daemonset": "log-shipper", "job_name": "nightly-settlement-29012345",
    "horizontalpodautoscaler": "cart-hpa", "poddisruptionbudget": "cart-pdb", "persistentvolume": "pvc-0b9f", "resourcequota": "compute",
}  # fmt: skip
KINDS = {
    "deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet", "job_name": "Job",
    "horizontalpodautoscaler": "HorizontalPodAutoscaler", "poddisruptionbudget": "PodDisruptionBudget",
    "persistentvolume": "PersistentVolume", "resourcequota": "ResourceQuota",
}  # fmt: skip
CLUSTER_SCOPED = {"persistentvolume"}

# The recording rules that the standard alerts use, as the mixins define them.
RECORDED: dict[str, dict[str, str]] = {
    "apiserver_request:burnrate": {"cluster": "prod"},
    "namespace_job_handler_statuscode:": {"namespace": "monitoring", "job": "grafana", "handler": "/api/search", "status_code": "500"},
    "node_quantile:kubelet_pleg_": {"cluster": "prod", "instance": "10.0.0.22:10250", "node": "worker-2", "quantile": "0.99"},
    "namespace_cpu:": {"cluster": "prod", "namespace": "shop"},
    "namespace_memory:": {"cluster": "prod", "namespace": "shop"},
}

JOBS = {  # by metric, where the rule does not say
    "apiserver_": "apiserver", "aggregator_": "apiserver", "kubelet_": "kubelet", "node_": "node-exporter",
    "reloader_": "prometheus-k8s", "grafana_": "grafana", "up": "shop-cart", "kubernetes_build_info": "apiserver",
    "kube_": "kube-state-metrics", "container_": "kubelet", "ALERTS": "",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Target:
    """What service discovery says about a scraped endpoint."""

    namespace: str
    service: str
    pod: str = ""
    container: str = ""
    instance: str
    node: str = ""

    def labels(self, job: str) -> dict[str, str]:
        found = {"job": job, "namespace": self.namespace, "service": self.service, "pod": self.pod, "container": self.container}
        found |= {"instance": self.instance, "endpoint": "https", "node": self.node}
        return {name: value for name, value in found.items() if value}


def target_labels(job: str, layout: str) -> dict[str, str]:
    if "etcd" in job:
        job = "etcd" if layout == KUBE_PROMETHEUS else "kube-etcd"
        return Target(namespace="kube-system", service=job, pod="etcd-cp-1", instance="10.0.0.11:2381").labels(job)
    release = "" if layout == KUBE_PROMETHEUS else "prom-kube-prometheus-stack-"
    match job:
        case "kube-state-metrics" if layout == KUBE_PROMETHEUS:  # labeldrop: pod, service, endpoint, namespace
            return {"job": job, "instance": "10.244.3.9:8443", "container": "kube-rbac-proxy-main"}
        case "kube-state-metrics":
            pod, service = "prom-kube-state-metrics-6c5d9b7f8-x2z4q", "prom-kube-state-metrics"
            return Target(namespace="monitoring", service=service, pod=pod, container=job, instance="10.244.3.9:8080").labels(job)
        case "node-exporter":
            instance = "worker-2" if layout == KUBE_PROMETHEUS else "10.0.0.22:9100"  # kube-prometheus relabels it to the node's name
            service = job if layout == KUBE_PROMETHEUS else "prom-prometheus-node-exporter"
            return Target(namespace="monitoring", service=service, pod=f"{service}-8jk2l", container=job, instance=instance).labels(job)
        case "kubelet":
            target = Target(namespace="kube-system", service=f"{release}kubelet", instance="10.0.0.22:10250", node="worker-2")
            return {**target.labels(job), "metrics_path": "/metrics"}
        case "apiserver":
            return Target(namespace="default", service="kubernetes", instance="10.0.0.11:6443").labels(job)
        case "kube-scheduler" | "kube-controller-manager" | "kube-proxy":
            return Target(namespace="kube-system", service=f"{release}{job}", pod=f"{job}-cp-1", instance="10.0.0.11:10257").labels(job)
        case "prometheus-k8s":
            name = job if layout == KUBE_PROMETHEUS else f"{release}prometheus"
            pod = f"{job}-0" if layout == KUBE_PROMETHEUS else f"prometheus-{release}prometheus-0"
            return Target(namespace="monitoring", service=name, pod=pod, container="prometheus", instance="10.244.3.4:9090").labels(name)
        case "alertmanager-main":
            name = job if layout == KUBE_PROMETHEUS else f"{release}alertmanager"
            pod = f"{job}-0" if layout == KUBE_PROMETHEUS else f"alertmanager-{release}alertmanager-0"
            return Target(namespace="monitoring", service=name, pod=pod, container="alertmanager", instance="10.244.3.5:9093").labels(name)
        case "prometheus-operator":
            name = job if layout == KUBE_PROMETHEUS else f"{release}operator"
            container = "kube-rbac-proxy" if layout == KUBE_PROMETHEUS else "kube-prometheus-stack"
            pod = f"{name}-5d4f8b9c7-q9w8z"
            return Target(namespace="monitoring", service=name, pod=pod, container=container, instance="10.244.3.6:8443").labels(name)
        case "grafana":
            pod = "grafana-55c8d7b99-v4l2m"
            return Target(namespace="monitoring", service=job, pod=pod, container=job, instance="10.244.3.7:3000").labels(job)
        case "shop-cart":
            return Target(namespace="shop", service="cart", pod=POD, container="cart", instance="10.244.1.5:8080").labels(job)
    raise AssertionError(f"no target for the job {job!r}")


def metric_labels(metric: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """The labels that the exporter itself writes."""
    objects = {
        "kube_deployment_": "deployment", "kube_statefulset_": "statefulset", "kube_daemonset_": "daemonset", "kube_job_": "job_name",
        "kube_horizontalpodautoscaler_": "horizontalpodautoscaler", "kube_poddisruptionbudget_": "poddisruptionbudget",
    }  # fmt: skip
    for prefix, label in objects.items():
        if metric.startswith(prefix):
            return {"namespace": "shop", label: VICTIMS[label]}
    if metric.startswith(("kube_pod_container_", "container_")):
        return {"namespace": "shop", "pod": POD, "container": "cart"} | ({"uid": "0b9f"} if metric.startswith("kube_") else {})
    if metric.startswith("kube_pod_"):
        return {"namespace": "shop", "pod": POD, "uid": "0b9f", "owner_kind": "ReplicaSet"}
    if metric.startswith("kube_persistentvolume_"):
        return {"persistentvolume": VICTIMS["persistentvolume"]}
    if metric.startswith(("kubelet_volume_stats_", "kube_persistentvolumeclaim_")):
        return {"namespace": "shop", "persistentvolumeclaim": "data-catalog-db-0"}
    if metric.startswith("kube_resourcequota"):
        return {"namespace": "shop", "resourcequota": "compute", "resource": "limits.cpu"}
    if metric.startswith("kube_node_"):
        return {"node": "worker-2"}
    if metric == "ALERTS":
        return {"namespace": "shop", "alertname": "CPUThrottlingHigh", "severity": "info", "alertstate": "firing"}
    if metric.startswith("aggregator_"):
        return {"name": "v1beta1.metrics.k8s.io", "reason": "FailedDiscoveryCheck"}
    own = {
        "prometheus_operator_": {"controller": "prometheus"},
        "alertmanager_notifications_": {"integration": "webhook", "reason": "serverError"},
        "node_filesystem_": {"device": "/dev/sda1", "fstype": "ext4", "mountpoint": "/"},
        "node_cpu_": {"cpu": "0", "mode": "user"},
        "kubelet_evictions": {"eviction_signal": "memory.available"},
        "kubelet_node_name": {"node": "worker-2"},
        "node_systemd_": {"name": "nfs-server.service"},
        "grpc_": {"grpc_method": "Range", "grpc_service": "etcdserverpb.KV", "grpc_type": "unary", "grpc_code": "Unavailable"},
        "etcd_network_peer_": {"To": "8e9e05c52164694d"},
    }
    return next((labels for prefix, labels in own.items() if metric.startswith(prefix)), {}) | dict(wanted)


def series(metric: str, matchers: Mapping[str, str], layout: str) -> dict[str, str]:
    """One series. Labels of the metric win over those of the target: both installations set honorLabels for kube-state-metrics."""
    for prefix, labels in RECORDED.items():
        if metric.startswith(prefix):
            return labels
    job = matchers.get("job") or next(job for prefix, job in JOBS.items() if metric.startswith(prefix))
    target = target_labels(job, layout) if job else {}
    kept = {name: value for name, value in matchers.items() if value and name not in ("job", "namespace", "container")}
    return {**target, **kept, **metric_labels(metric, kept)}


def result_labels(expression: Any, layout: str) -> dict[str, str]:
    """The labels of the expression's result."""
    match expression:
        case promql.VectorSelector():
            equal = {m.name: m.value for m in expression.matchers.matchers if m.op == promql.MatchOp.Equal}
            etcd = {m.name: m.value for m in expression.matchers.matchers if m.name == "job" and "etcd" in m.value}
            return series(expression.name or "", equal | etcd, layout)
        case promql.MatrixSelector():
            return result_labels(expression.vector_selector, layout)
        case promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr():
            return result_labels(expression.expr, layout)
        case promql.Call():
            if expression.func.name in ("absent", "absent_over_time"):
                return {m.name: m.value for m in expression.args[0].matchers.matchers if m.op == promql.MatchOp.Equal}
            vectors = [argument for argument in expression.args if not isinstance(argument, (promql.NumberLiteral, promql.StringLiteral))]
            found = result_labels(vectors[0], layout) if vectors else {}
            return without(found, "le") if expression.func.name == "histogram_quantile" else found
        case promql.AggregateExpr():
            return aggregated(expression, result_labels(expression.expr, layout))
        case promql.BinaryExpr():
            return joined(expression, layout)
    return {}


def aggregated(expression: Any, inner: dict[str, str]) -> dict[str, str]:
    if str(expression.op) in ("topk", "bottomk"):
        return inner
    names = list(expression.modifier.labels) if expression.modifier else []
    if expression.modifier and expression.modifier.type == promql.AggModifierType.Without:
        kept = without(inner, *names)
    else:
        kept = {name: value for name, value in inner.items() if name in names}
    if str(expression.op) == "count_values":
        kept[expression.param.val] = "1"
    return kept


def joined(expression: Any, layout: str) -> dict[str, str]:
    left, right = (result_labels(side, layout) for side in (expression.lhs, expression.rhs))
    if isinstance(expression.lhs, promql.NumberLiteral) or (not left and right and str(expression.op) != "or"):
        return right
    comparison = str(expression.op) in ("==", "!=", ">", "<", ">=", "<=", "and", "or", "unless")
    modifier = expression.modifier
    if modifier is None or isinstance(expression.rhs, promql.NumberLiteral):
        return left
    many_to_one = modifier.card == promql.VectorMatchCardinality.ManyToOne
    if many_to_one:
        return left | {name: right[name] for name in modifier.group_labels or [] if name in right}
    if comparison or modifier.matching is None:
        return left
    if modifier.matching.type == promql.LabelModifierType.Include:
        return {name: value for name, value in left.items() if name in modifier.matching.labels}
    return without(left, *modifier.matching.labels)


def without(labels: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name not in names}


def rules() -> list[dict[str, Any]]:
    if not CATALOGUE.exists():
        return []
    found: list[dict[str, Any]] = orjson.loads(CATALOGUE.read_bytes())["alerts"]
    return found


def alert_labels(rule: dict[str, Any], layout: str) -> dict[str, str]:
    """What arrives in the webhook: the result's labels, the rule's own, and the external labels of Prometheus."""
    external = {"cluster": "prod", "prometheus": "monitoring/k8s"}
    result = result_labels(promql.parse(rule["expr"]), layout)
    return {**external, **result, **rule["extra_labels"], "alertname": rule["alertname"], "severity": rule["severity"]}


def victim(rule: dict[str, Any], layout: str) -> tuple[str, str, str]:
    """Kind, namespace and name of whom the rule is about: by its scope and its text, not by the labels."""
    name, scope, expression = rule["alertname"], rule["scope"], rule["expr"]
    match scope:
        case "meta":
            return "Alert", "shop" if name == "InfoInhibitor" else "", name
        case "pod":
            return "Pod", "shop", POD
        case "service":
            return "Service", "shop", "cart"
        case "pvc" if "Errors" not in name:
            return "PersistentVolumeClaim", "shop", "data-catalog-db-0"
        case "workload" | "namespace" | "pvc":
            plain = {"job_name": "kube_job_"} | {label: f"kube_{label}_" for label in VICTIMS if label not in ("job_name", "resourcequota")}
            label = next((label for label, prefix in plain.items() if prefix in expression), "resourcequota")
            return KINDS[label], "" if label in CLUSTER_SCOPED else "shop", VICTIMS[label]
        case "node" if name == "KubeletDown":
            return "Component", "", "kubelet"
        case "node":
            by_address = layout == HELM_CHART and 'job="node-exporter"' in expression  # the chart leaves the address in `instance`
            return "Node", "", "10.0.0.22" if by_address else "worker-2"
        case "cluster" if name.startswith("KubeAggregatedAPI"):
            return "APIService", "", "v1beta1.metrics.k8s.io"
        case "cluster" if "Overcommit" in name or "Version" in name:
            return "Cluster", "", "prod"
        case "cluster":
            components = ("kube-scheduler", "kube-controller-manager", "kube-proxy", "etcd")
            spoken_of = name.lower()
            return "Component", "", next((one for one in components if spoken_of.startswith(one.replace("-", ""))), "kube-apiserver")
        case "component" if name.startswith("KubeStateMetrics"):
            return "Component", "", "kube-state-metrics"
        case "component":
            jobs = ("prometheus-operator", "alertmanager-main", "prometheus-k8s")
            job = "grafana" if name.startswith("Grafana") else next((job for job in jobs if f'job="{job}"' in expression), "prometheus-k8s")
            service = target_labels(job, layout)["service"]
            alone = "by (cluster,controller,namespace)" in expression  # neither job nor service survives
            return "Component", "monitoring", "prometheus-operator" if alone else service
    raise AssertionError(f"unknown scope {scope}")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule['alertname']}-{rule['severity']}-{rule['for']}")
def test_the_victim_of_a_standard_rule_is_found(rule: dict[str, Any], layout: str) -> None:
    labels = alert_labels(rule, layout)
    subject = subject_of(labels)
    assert (subject.kind, subject.namespace, subject.name) == victim(rule, layout), labels
    assert scope_of(subject, rule["alertname"]) == rule["scope"]
    assert subject.cluster == "prod"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_exporter_never_shows_in_a_subject(layout: str) -> None:
    exporters = ("kube-state-metrics", "kube-rbac-proxy-main", "node-exporter")
    shown = {
        (rule["alertname"], part)
        for rule in rules()
        if not rule["alertname"].startswith("KubeStateMetrics")
        for subject in [subject_of(alert_labels(rule, layout))]
        for part in (subject.name, subject.container, subject.service, subject.node)
        if any(exporter in part for exporter in exporters)
    }
    assert shown == set()


def test_the_simulated_labels_hold_the_traps_that_were_measured() -> None:
    """Guards the test itself: without the exporters' labels it would prove nothing."""
    by_name = {rule["alertname"]: rule for rule in rules()}
    mismatch = alert_labels(by_name["KubeDeploymentReplicasMismatch"], HELM_CHART)
    assert mismatch["pod"].startswith("prom-kube-state-metrics-")
    assert mismatch["namespace"] == "shop"
    assert alert_labels(by_name["KubeNodeNotReady"], HELM_CHART)["namespace"] == "monitoring"
    dropped = alert_labels(by_name["KubeNodeNotReady"], KUBE_PROMETHEUS)
    assert "pod" not in dropped
    assert dropped["container"] == "kube-rbac-proxy-main"
    down = alert_labels(by_name["TargetDown"], HELM_CHART)
    assert set(down) == {"alertname", "cluster", "job", "namespace", "prometheus", "service", "severity"}
