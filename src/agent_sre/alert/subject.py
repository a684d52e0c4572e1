"""What is really broken: the object behind the alert, not the exporter that reported it.

    labels ──subject_of──> Subject ──subject_key──> what correlation compares
       └────role_of──> AlertRole     ├─scope_of───> Scope: how far it reaches
                                     └─describe───> words for people

`pod`, `container`, `namespace`, `service`, `instance` and `job` belong to whoever was scraped. Where an exporter speaks about others
they name the exporter: KubeDeploymentReplicasMismatch arrives with the pod of kube-state-metrics, KubeNodeNotReady with its namespace.
So `_look` first takes out what the exporter says about itself, and `_victim` then takes the most specific object that is left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent_sre.alert.alert import UNNAMED
from agent_sre.kit.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An object of the user's world. Empty text where a part is unknown or does not apply.

    `kind` is Kubernetes' own word where there is one (Deployment, Pod, Node, PersistentVolumeClaim), else Service, Component (a program of
    the control plane or of the monitoring stack), Host (a machine outside of Kubernetes, or a probed address), Cluster, or Alert where
    nothing is known.
    """

    kind: str
    name: str
    namespace: str = ""
    cluster: str = ""
    container: str = ""
    node: str = ""
    service: str = ""


class Scope(StrEnum):
    """How far the trouble reaches, which decides what is worth asking."""

    COMPONENT = "component"  # a program of the monitoring stack or the like
    NODE = "node"
    CLUSTER = "cluster"  # the control plane, or nothing narrower is known
    WORKLOAD = "workload"
    PVC = "pvc"
    POD = "pod"
    NAMESPACE = "namespace"
    SERVICE = "service"
    META = "meta"  # says something about the alerting itself


class AlertRole(StrEnum):
    """What an alert wants from us."""

    PROBLEM = "problem"
    HEARTBEAT = "heartbeat"  # fires always; silence is the bad news
    IGNORED = "ignored"  # exists to inhibit other alerts


# Roles


_HEARTBEAT = re.compile(r"(prometheus)?watchdog|alwaysfiring|\w*dead[-_ ]?man'?s?[-_ ]?(switch|snitch)", re.IGNORECASE)


def role_of(labels: Mapping[str, str]) -> AlertRole:
    """By name: Watchdog and the DeadMansSwitch family are heartbeats, InfoInhibitor is ignored, all others are problems.

    `DeadMansSwitchMissing` is a problem: only the switch itself fires always.
    """
    name = labels.get("alertname", "").strip()
    if name == "InfoInhibitor":
        return AlertRole.IGNORED
    return AlertRole.HEARTBEAT if _HEARTBEAT.fullmatch(name) else AlertRole.PROBLEM


# The labels, without what the exporter says about itself


_NAMESPACE = ("namespace", "k8s_namespace_name", "k8s.namespace.name", "kubernetes_namespace")
_POD = ("pod", "k8s_pod_name", "k8s.pod.name", "kubernetes_pod_name", "pod_name")
_CONTAINER = ("container", "k8s_container_name", "k8s.container.name", "container_name")
_NODE = ("node", "k8s_node_name", "k8s.node.name", "kubernetes_node", "node_name", "nodename")
_SERVICE = (
    "service", "service_name", "service.name", "app", "app_kubernetes_io_name", "app.kubernetes.io/name", "application", "microservice",
)  # fmt: skip
_CLUSTER = ("cluster", "cluster_name", "k8s_cluster_name", "k8s.cluster.name")
_HOST = ("host", "hostname", "Hostname", "host_name", "host.name", "server", "instance")

_OBJECTS = (
    ("PersistentVolumeClaim", ("persistentvolumeclaim", "pvc")),
    ("PersistentVolume", ("persistentvolume",)),
    ("Deployment", ("deployment",)),
    ("StatefulSet", ("statefulset",)),
    ("DaemonSet", ("daemonset",)),
    ("Rollout", ("rollout",)),
    ("Job", ("job_name",)),  # `job` is the scrape job
    ("CronJob", ("cronjob",)),
    ("ReplicaSet", ("replicaset",)),
    ("HorizontalPodAutoscaler", ("horizontalpodautoscaler", "hpa")),
    ("PodDisruptionBudget", ("poddisruptionbudget",)),
    ("ResourceQuota", ("resourcequota",)),
    ("Ingress", ("ingress",)),
)
"""Labels that name an object outright, most specific first. No exporter has them as labels of its own."""

_OWNERS = (
    ("Deployment", ("k8s_deployment_name", "k8s.deployment.name")),
    ("StatefulSet", ("k8s_statefulset_name", "k8s.statefulset.name")),
    ("DaemonSet", ("k8s_daemonset_name", "k8s.daemonset.name")),
    ("Job", ("k8s_job_name", "k8s.job.name")),
    ("CronJob", ("k8s_cronjob_name", "k8s.cronjob.name")),
)
"""OpenTelemetry puts these beside the pod that they own, so the pod is the more specific word."""

_WORKLOAD_TYPES = {
    "deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet", "replicaset": "ReplicaSet", "job": "Job",
    "cronjob": "CronJob",
}  # fmt: skip

_KIND = re.compile(r"[A-Z][A-Za-z]{2,62}")

_SOFTWARE = "apache|elasticsearch|haproxy|kafka|memcached|mongodb|mssql|mysqld?|nginx|oracledb|pgbouncer|php-fpm|postgres|proxysql|rabbitmq|redis"
_EXPORTER = re.compile(
    r"kube-state-metrics|kubelet|cadvisor|pushgateway|blackbox"
    rf"|(?:node|windows|smartctl|ipmi|process|dcgm|snmp|ssl|statsd|{_SOFTWARE})[-_]exporter"
)
"""Programs that speak about others. A list, not `.*-exporter`: a shop may well have an invoice-exporter that breaks by itself."""

_SOFTWARE_EXPORTER = re.compile(rf"({_SOFTWARE})-exporter")
_KUBERNETES_EXPORTERS = frozenset({"kube-state-metrics", "kubelet", "cadvisor"})
_MACHINE_EXPORTERS = frozenset({
    "kubelet", "node-exporter", "windows-exporter", "smartctl-exporter", "ipmi-exporter", "process-exporter", "dcgm-exporter",
})  # fmt: skip
_PROBES = frozenset({"blackbox", "snmp-exporter", "ssl-exporter"})
_FOREIGN_INSTANCE = frozenset({"kube-state-metrics", "cadvisor", "pushgateway", "statsd-exporter"})
"""Their `instance` is their own address, and it says nothing about the object."""

_RENAMED = ("exported_namespace", "exported_pod", "exported_container", "exported_service")
_KUBERNETES_LABELS = frozenset({"namespace", "pod", "container", "node", "endpoint", "metrics_path"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the labels say about the victim. Empty text where they say nothing, or only something about the exporter."""

    labels: Mapping[str, str]
    alert_name: str
    exporter: str  # who speaks about others, "" where the scraped program speaks for itself
    cluster: str
    namespace: str
    pod: str
    container: str
    node: str
    service: str
    host: str  # without port
    job: str
    kubernetes: bool

    def first(self, *names: str) -> str:
        return _first(self.labels, names)


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str:
    for name in names:
        text = labels.get(name)
        if text and (text := text.strip()):
            return text
    return ""


def _look(labels: Mapping[str, str]) -> _Seen:
    alert_name = labels.get("alertname", "").strip()
    exporter = "" if _is_about_a_target(alert_name) else _exporter_of(labels)
    # honorLabels: false. Prometheus then renames the labels of the metric and keeps the plain names for the target.
    # https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config
    renamed = any(labels.get(name) for name in _RENAMED)

    pod = _first(labels, ("exported_pod",) if renamed else _POD)
    if exporter and exporter in _dashed(pod) and not _is_about_pods(exporter, alert_name, labels):
        pod = ""
    container = _first(labels, ("exported_container",) if renamed else _CONTAINER)
    if container == "POD" or _is_container_of_an_exporter(container, exporter, pod):
        container = ""
    node = _first(labels, ("exported_node", *_NODE))
    if exporter and not pod and exporter not in _KUBERNETES_EXPORTERS | _MACHINE_EXPORTERS:
        node = ""  # where the exporter runs
    host = _first(labels, _HOST)
    if (target := _first(labels, ("target",))) and (exporter in _PROBES or "://" in target):
        host = target
    if exporter in _FOREIGN_INSTANCE or (_SOFTWARE_EXPORTER.fullmatch(exporter) and labels.get("pod")):
        host = ""
    return _Seen(
        labels=labels,
        alert_name=alert_name,
        exporter=exporter,
        cluster=_first(labels, _CLUSTER),
        namespace=_first(labels, ("exported_namespace",) if renamed else _NAMESPACE),
        pod=pod,
        container=container,
        node=node,
        service=_first(labels, ("exported_service",) if renamed else () if exporter else _SERVICE),
        host=_host_of(host),
        job=_first(labels, ("exported_job", "job") if exporter == "pushgateway" else ("job",)),
        kubernetes=not _KUBERNETES_LABELS.isdisjoint(labels),
    )


def _exporter_of(labels: Mapping[str, str]) -> str:
    for name in ("job", "service", "app", "app_kubernetes_io_name"):
        if found := _EXPORTER.search(labels.get(name, "").lower()):
            return _dashed(found.group())
    # A container of that name only counts in a pod of that name: as a sidecar it is a part of what it watches.
    found = _EXPORTER.search(labels.get("container", "").lower())
    return _dashed(found.group()) if found and _dashed(found.group()) in _dashed(labels.get("pod", "")) else ""


def _is_about_a_target(alert_name: str) -> bool:
    """Whether it says `up == 0` in some way: then whoever was scraped is the victim, even if it is an exporter."""
    return (
        alert_name.endswith(("Down", "Missing", "Absent", "Unreachable"))
        and not alert_name.startswith(("Kube", "Node"))
        and any(word in alert_name for word in ("Target", "Instance", "Exporter", "Scrape", "Endpoint", "Job"))
    )


def _is_about_pods(exporter: str, alert_name: str, labels: Mapping[str, str]) -> bool:
    """Whether the exporter's own pod is the victim after all: kube-state-metrics reports its own crash loop, too."""
    return exporter in _KUBERNETES_EXPORTERS and ("uid" in labels or "Pod" in alert_name or "Container" in alert_name)


def _is_container_of_an_exporter(container: str, exporter: str, pod: str) -> bool:
    if container in ("kube-rbac-proxy-main", "kube-rbac-proxy-self"):  # kube-prometheus scrapes kube-state-metrics through them
        return "kube-state-metrics" not in pod
    return bool(exporter) and exporter in _dashed(container) and exporter not in _dashed(pod)


def _dashed(text: str) -> str:
    return text.lower().replace("_", "-")


def _host_of(address: str) -> str:
    """The host of `host:port`, `[::1]:port` or a URL, without user and password."""
    if "://" in address:
        address = address.partition("://")[2].partition("/")[0].rpartition("@")[2] or address
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


# The victim


_CLUSTER_SCOPED = frozenset({"Node", "PersistentVolume", "Cluster", "APIService"})

_NODE_ALERT = re.compile(r"(Kube)?Node(?!JS)[A-Z]|Kubelet|Host[A-Z]")
_CLUSTER_ALERT = re.compile(r"KubeVersionMismatch|Kube(CPU|Memory)(Quota)?Overcommit")
_CONTROL_PLANE = (
    ("KubeAPI", "kube-apiserver"),
    ("KubeClient", "kube-apiserver"),
    ("KubeScheduler", "kube-scheduler"),
    ("KubeControllerManager", "kube-controller-manager"),
    ("KubeProxy", "kube-proxy"),
    ("etcd", "etcd"),
    ("Etcd", "etcd"),
)
_CONTROL_PLANE_JOBS = {"apiserver": "kube-apiserver", "kube-etcd": "etcd"} | {name: name for _, name in _CONTROL_PLANE}
_CLUSTER_NAMESPACES = frozenset({"", "default", "kube-system", "openshift-etcd"})
"""Where the control plane's targets live. The standard etcd rules ask for any job with "etcd" in it, so a shop's own etcd fires them."""

_COMPONENTS = (
    ("PrometheusOperator", "prometheus-operator", "operator"),
    ("Prometheus", "prometheus", "prometheus"),
    ("Alertmanager", "alertmanager", "alertmanager"),
    ("Grafana", "grafana", "grafana"),
    ("KubeStateMetrics", "kube-state-metrics", "kube-state-metrics"),
    ("ConfigReloader", "config-reloader", ""),  # a sidecar: it speaks for whatever it sits beside
)
"""Alert name prefix; what to call the component where no label does; the word in its labels that shows that it speaks about itself."""


def subject_of(labels: Mapping[str, str]) -> Subject:
    """The object that is really broken. Never raises, and always has an answer: at worst the alert itself, as kind "Alert".

    A Namespace has its name as `namespace` too, a Node as `node`, a Service as `service`. A Node is named by its address where no label
    knows its name; a Cluster has no name where no label does. Values are as sent, but for white space around them, and untrusted.
    """
    return _victim(_look(labels))


def _victim(seen: _Seen) -> Subject:
    """Top to bottom, the first that fits. Objects by name, then what the alert's name knows, then by narrowing belief."""
    if role_of(seen.labels) is not AlertRole.PROBLEM:
        return _subject(seen, "Alert", seen.alert_name)
    for kind, names in _OBJECTS:
        if name := seen.first(*names):
            namespace = seen.first("pvc_namespace") if kind == "PersistentVolumeClaim" else ""  # Longhorn's word
            return _subject(seen, kind, name, namespace=namespace or seen.namespace)
    kind, name = seen.first("customresource_kind", "kind"), seen.first("name")
    if name and _KIND.fullmatch(kind):  # Flux and other controllers: kind="HelmRelease", name="grafana"
        return _subject(seen, kind, name)

    if subject := _by_alert_name(seen):
        return subject

    if destination := seen.first("destination_service_name", "destination_workload"):  # Istio: the pod is whoever counted
        namespace = seen.first("destination_service_namespace", "destination_workload_namespace")
        return _subject(seen, "Service", destination, namespace=namespace or seen.namespace)
    if seen.pod:
        return _subject(seen, "Pod", seen.pod)
    for kind, names in _OWNERS:
        if name := seen.first(*names):
            return _subject(seen, kind, name)
    if name := seen.first("workload"):
        return _subject(seen, _WORKLOAD_TYPES.get(seen.first("workload_type").lower(), "Deployment"), name)
    if (name := _CONTROL_PLANE_JOBS.get(seen.job, "")) and seen.namespace in _CLUSTER_NAMESPACES:
        return _subject(seen, "Component", name, namespace="")
    if seen.service:
        return _subject(seen, "Service", seen.service)
    if seen.node:
        return _subject(seen, "Node", seen.node)
    if (name := seen.first("component")) and not seen.exporter:
        return _subject(seen, "Component", name)
    if seen.container and seen.namespace:
        return _subject(seen, "Container", seen.container)
    return _by_address(seen)


def _by_alert_name(seen: _Seen) -> Subject | None:
    """What the names of the standard rules tell; None where the labels must."""
    if _NODE_ALERT.match(seen.alert_name):
        if seen.node:
            return _subject(seen, "Node", seen.node)
        if seen.host and not seen.pod:
            return _subject(seen, _machine(seen), seen.host, namespace="")
        if seen.alert_name.startswith("Kubelet"):
            return _subject(seen, "Component", "kubelet", namespace="")
    if seen.alert_name.startswith("KubeAggregatedAPI") and (name := seen.first("name")):
        return _subject(seen, "APIService", name)
    if _CLUSTER_ALERT.match(seen.alert_name):
        return _subject(seen, "Cluster", seen.cluster)
    for prefix, name in _CONTROL_PLANE:
        if seen.alert_name.startswith(prefix) and (name != "etcd" or seen.namespace in _CLUSTER_NAMESPACES):
            return _subject(seen, "Component", _CONTROL_PLANE_JOBS.get(seen.job, name), namespace="")
    for prefix, default, word in _COMPONENTS:
        if seen.alert_name.startswith(prefix):
            speaker = [seen.first(label) for label in ("service", "job", "container", "pod")]
            if any(speaker) and not any(word in text.lower() for text in speaker):
                return None  # PrometheusTargetMissing{job="cart"} is about cart
            pod = seen.first("pod")
            return _subject(seen, "Component", speaker[0] or speaker[1] or (workload_of(pod) if pod else default))
    return None


def _by_address(seen: _Seen) -> Subject:
    """What is left when no label names an object: machines, probed addresses, scrape jobs, and whole namespaces."""
    service = _service_of_job(seen)
    if seen.host and seen.exporter in _MACHINE_EXPORTERS:
        return _subject(seen, _machine(seen), seen.host, namespace="")
    if seen.host and (seen.exporter in _PROBES or "://" in seen.first("target", "instance")):
        return _subject(seen, "Host", seen.host, namespace="")
    if service and (seen.namespace or seen.host in ("", "localhost", "127.0.0.1", "::1")):
        namespace = seen.job.rpartition("/")[0]  # PodMonitors and OpenTelemetry write the job as namespace/name
        return _subject(seen, "Service", service, namespace=seen.namespace or namespace)
    if seen.host:
        return _subject(seen, "Host", seen.host)
    if seen.namespace:
        return _subject(seen, "Namespace", seen.namespace)
    if seen.exporter:
        return _subject(seen, "Component", seen.exporter)
    if seen.cluster:
        return _subject(seen, "Cluster", seen.cluster)
    return _subject(seen, "Alert", seen.alert_name or UNNAMED)


def _service_of_job(seen: _Seen) -> str:
    """`postgres` for the job `prometheus-postgres-exporter`, nothing for the jobs of exporters that speak about everything."""
    if software := _SOFTWARE_EXPORTER.fullmatch(seen.exporter):
        return software.group(1)
    return seen.job.rpartition("/")[2] if not seen.exporter or _EXPORTER.search(_dashed(seen.job)) is None else ""


def _machine(seen: _Seen) -> str:
    return "Node" if seen.kubernetes or seen.alert_name.startswith("Kube") else "Host"


def _subject(seen: _Seen, kind: str, name: str, *, namespace: str | None = None) -> Subject:
    if kind in _CLUSTER_SCOPED:
        namespace = ""
    elif kind == "Namespace":
        namespace = name
    elif namespace is None:
        namespace = seen.namespace
    service = seen.service
    if kind == "Service":
        service = name
    elif kind == "Host" and not service and not seen.exporter:
        service = seen.job
    node = seen.node if kind in ("Pod", "PersistentVolumeClaim", "Service", "Component", "Container") else ""
    return Subject(
        kind=kind,
        name=name,
        namespace=namespace,
        cluster=seen.cluster,
        container=seen.container if kind in ("Pod", "Container", "Component") else "",
        node=name if kind == "Node" else node,
        service=service,
    )


# What a subject means


_SCOPES = {
    "Pod": Scope.POD, "Container": Scope.POD,
    "PersistentVolumeClaim": Scope.PVC, "PersistentVolume": Scope.PVC,
    "Node": Scope.NODE, "Host": Scope.NODE,
    "Namespace": Scope.NAMESPACE, "ResourceQuota": Scope.NAMESPACE,
    "Service": Scope.SERVICE, "Ingress": Scope.SERVICE,
    "Component": Scope.COMPONENT,
    "Cluster": Scope.CLUSTER, "APIService": Scope.CLUSTER, "Alert": Scope.CLUSTER,
}  # fmt: skip
_CLUSTER_COMPONENTS = frozenset(_CONTROL_PLANE_JOBS.values())


def scope_of(subject: Subject, alert_name: str) -> Scope:
    """How far the trouble reaches. Kinds that nobody told us about (a HelmRelease) count as workloads."""
    if role_of({"alertname": alert_name}) is not AlertRole.PROBLEM:
        return Scope.META
    if subject.kind == "Component":
        if subject.name in _CLUSTER_COMPONENTS:
            return Scope.CLUSTER
        if subject.name == "kubelet":
            return Scope.NODE
    return _SCOPES.get(subject.kind, Scope.WORKLOAD)


_WORKLOAD_KINDS = frozenset({
    "Pod", "Container", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Job", "CronJob", "HorizontalPodAutoscaler",
    "PodDisruptionBudget", "Service", "Ingress",
})  # fmt: skip
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
"""Letters that Kubernetes makes random names of. https://github.com/kubernetes/apimachinery/blob/master/pkg/util/rand/rand.go"""

_TEMPLATE_HASH = "(?=[a-z]*[0-9])[a-f0-9]{6,10}"
"""A ReplicaSet's hash is a decimal number whose digits are written as 456789bcdf; tools that imitate it write hexadecimal."""

_DEPLOYMENT_POD = re.compile(rf"(.+)-{_TEMPLATE_HASH}-[a-z0-9]{{5}}")
_REPLICASET = re.compile(rf"(.+)-{_TEMPLATE_HASH}")
_CRONJOB_JOB = re.compile(rf"(.+)-(?:\d{{8}}|\d{{10}})(?:-{_SAFE}{{5}})?")
_ORDINAL = re.compile(r"(.+)-(?:0|[1-9]\d{0,3})")
_RANDOM = re.compile(rf"(.+)-{_SAFE}{{5}}")


def workload_of(pod_name: str) -> str:
    """The workload that made a pod of this name: `cart` for `cart-7f9c6d5b8c-k2x9p`. A name that no controller would give stays whole.

    Deployment and Rollout `name-<template hash>-<5 random>`, CronJob `name-<minutes since 1970>-<5 random>`, StatefulSet `name-<ordinal>`,
    DaemonSet and Job `name-<5 random>`. It is a guess by shape: `db-mssql`, a pod that somebody named so, looks like one of a DaemonSet.
    """
    for shape in (_CRONJOB_JOB, _DEPLOYMENT_POD, _ORDINAL, _RANDOM):
        if found := shape.fullmatch(pod_name):
            return found.group(1)
    return pod_name


def subject_key(subject: Subject) -> str:
    """`cluster/namespace/class/name`: equal for what is one patient to the on-call engineer.

    Everything that stands for a program in a namespace shares the class "workload", and its name is that of the controller: a Deployment,
    its pods and containers, its Service and Ingress, its autoscaler and disruption budget (`-hpa` and `-pdb` are cut off), a Job and its
    CronJob, a Component. Kubernetes lets a Deployment and a StatefulSet of one name live side by side; who does so has named one thing
    twice. Node and Host share the class "node" and have no namespace. All other kinds keep to themselves: what a claim belongs to cannot
    be told from its name (`data-catalog-db-0` may be template `data` of `catalog-db`, or `data-catalog` of `db`).
    """
    kind, name, namespace = subject.kind, subject.name, subject.namespace
    if kind in ("Node", "Host"):
        kind, namespace = "node", ""
    elif kind in _WORKLOAD_KINDS or (kind == "Component" and namespace):
        name = _controller_of(kind, name)
        kind = "workload"
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in (subject.cluster, namespace, kind.lower(), name))


def _controller_of(kind: str, name: str) -> str:
    if kind == "Pod":
        return workload_of(name)
    if kind == "ReplicaSet" and (found := _REPLICASET.fullmatch(name)):
        return found.group(1)
    if kind == "Job" and (found := _CRONJOB_JOB.fullmatch(name)):
        return found.group(1)
    if kind == "HorizontalPodAutoscaler":
        return name.removesuffix("-hpa")
    if kind == "PodDisruptionBudget":
        return name.removesuffix("-pdb")
    return name


def describe(subject: Subject) -> str:
    """A few words on one line, fit to show.

    `Deployment shop/cart`, `Pod shop/cart-0 (container cart)`, `Node worker-2`, `PersistentVolumeClaim db/data-0`, `cluster prod-eu-1`.
    """
    if subject.kind == "Cluster":
        words = f"cluster {subject.name}" if subject.name else "the cluster"
    elif subject.kind == "Namespace" or not subject.namespace:
        words = f"{subject.kind} {subject.name}"
    elif subject.kind == "Host":
        words = f"Host {subject.name} (namespace {subject.namespace})"
    else:
        words = f"{subject.kind} {subject.namespace}/{subject.name}"
    if subject.kind in ("Pod", "Component") and subject.container:
        words += f" (container {subject.container})"
    return one_line(words)
