"""Which label carries what: every exporter, mesh and collector has its own words for namespace, pod, service and peer. Pure.

The words are public ones (Kubernetes service discovery, cAdvisor, kube-state-metrics, OpenTelemetry, Istio, Linkerd, Tempo, Micrometer).
Which of them a metric really has is asked of the server (`discovery`); here is only what each would mean.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent_sre.alert.subject import Subject, workload_of

NAMESPACE_OF_OBJECT = ("namespace", "k8s_namespace_name", "k8s.namespace.name", "kubernetes_namespace", "service_namespace")
NAMESPACE_OF_CALLED = ("destination_workload_namespace", "destination_service_namespace", "dst_namespace", "server_service_namespace")
NAMESPACE_OF_CALLER = ("source_workload_namespace", "source_namespace", "src_namespace", "client_service_namespace")
NAMESPACES = (("exported_namespace",), NAMESPACE_OF_OBJECT, NAMESPACE_OF_CALLED, NAMESPACE_OF_CALLER)
NAMESPACE = ("exported_namespace", *NAMESPACE_OF_OBJECT, *NAMESPACE_OF_CALLED)
"""`exported_` first: it holds the exporter's word where the scrape's own label took its place."""

POD = ("exported_pod", "pod", "k8s_pod_name", "k8s.pod.name", "kubernetes_pod_name", "pod_name")
CONTAINER = ("exported_container", "container", "k8s_container_name", "k8s.container.name", "container_name")
NODE = ("exported_node", "node", "k8s_node_name", "k8s.node.name", "kubernetes_node", "node_name", "nodename")
WORKLOAD = (
    "deployment", "statefulset", "daemonset", "workload", "workload_name", "k8s_deployment_name", "k8s.deployment.name", "k8s_statefulset_name",
    "k8s.statefulset.name", "k8s_daemonset_name", "k8s.daemonset.name",
)  # fmt: skip
SERVICE = (
    "exported_service", "service_name", "service.name", "service", "app", "app_kubernetes_io_name", "application", "microservice",
    "kubernetes_name", "component",
)  # fmt: skip
INSTANCE = ("instance", "host", "hostname")
JOB = ("exported_job", "job")

PAIRS = (
    ("source_workload", "destination_workload", "mesh"),
    ("source_app", "destination_app", "mesh"),
    ("source_service", "destination_service_name", "mesh"),
    ("deployment", "dst_deployment", "mesh"),
    ("deployment", "dst_service", "mesh"),
    ("statefulset", "dst_statefulset", "mesh"),
    ("source", "destination", "mesh"),
    ("source", "target", "mesh"),
    ("client", "server", "service_graph"),
    ("client_service", "server_service", "service_graph"),
    ("service_name", "peer_service", "spans"),
    ("service_name", "peer.service", "spans"),
    ("service", "peer_service", "spans"),
    ("service_name", "server_address", "spans"),
    ("caller", "callee", "spans"),
)
"""Caller, callee, and what `Dependency.via` says of an edge between them."""

CALLED = ("destination_workload", "destination_app", "destination_service_name", "destination", "server", "server_service", "callee")
"""Where a metric has both ends, the one that did the work."""

STATUS = (
    "response_code", "status_code", "http_status_code", "http_response_status_code", "http.response.status_code", "code", "status",
    "grpc_code", "grpc_status", "rpc_grpc_status_code", "grpc_response_status", "classification", "outcome", "result", "failed",
)  # fmt: skip


_VERSION = re.compile(r"-v\d+$")
"""Where a mesh splits traffic, each version is a workload of its own: `cart-v2`. https://istio.io/latest/docs/ops/deployment/application-requirements/"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two ends of a call, as labels of one metric."""

    source: str
    destination: str
    via: str


def first(names: Sequence[str], present: Collection[str]) -> str:
    """The first of these labels that is there, or empty."""
    return next((name for name in names if name in present), "")


def pair_of(present: Collection[str]) -> Pair | None:
    """Caller and callee of a metric that has both."""
    for source, destination, via in PAIRS:
        if source in present and destination in present:
            return Pair(source=source, destination=destination, via=via)
    return None


def entity_labels(present: Collection[str], *, pods: bool = True) -> tuple[str, ...]:
    """The labels by which a metric tells one object from another, coarse ones first; without `pods` down to services only.

    One label of each role: a service and its pod, not the five labels that all name the service. Where a metric has both ends of a call it
    is the one that was called; `instance` and `job` only where nothing better is there.
    """
    pair = pair_of(present)
    if pair is not None and pair.destination in CALLED:
        called = [pair.destination]
        called += [name for name in ("destination_workload_namespace", "destination_service_namespace") if name in present][:1]
        return tuple(called)
    found = [first(names, present) for names in (NAMESPACE, WORKLOAD, SERVICE)]
    named = [name for name in found if name]
    pod = first(POD, present)
    if pod and (pods or len(named) < 2):
        named.append(pod)
    node = first(NODE, present)
    if node and not any(found[1:]) and not pod:
        named.append(node)
    if not any(name for name in named if name != found[0]):
        named += [name for name in (first(INSTANCE, present) or first(JOB, present),) if name]
    return tuple(named)


def objects_in(labels: Iterable[str]) -> tuple[str, ...]:
    """Those of the labels that name more than a namespace."""
    return tuple(name for name in labels if name not in NAMESPACE)


def finest_first(labels: Iterable[str]) -> tuple[str, ...]:
    """Those of the labels that name more than a namespace, pods before services before machines."""
    order = (*POD, *CALLED, *WORKLOAD, *SERVICE, *NODE, *INSTANCE)
    return tuple(sorted(objects_in(labels), key=lambda name: order.index(name) if name in order else len(order)))


def names_of(subject: Subject) -> frozenset[str]:
    """What a subject may be called in a label: its name, its controller's, its service's."""
    names = {subject.name, subject.service}
    if subject.kind == "Pod":
        names.add(workload_of(subject.name))
    elif subject.kind == "HorizontalPodAutoscaler":
        names.add(subject.name.removesuffix("-hpa"))
    elif subject.kind == "PodDisruptionBudget":
        names.add(subject.name.removesuffix("-pdb"))
    return frozenset(names - {""})


def is_subject(series: Mapping[str, str], subject: Subject) -> bool:
    """Whether a series speaks about the subject, by whatever label names an object in it."""
    if subject.kind in ("Node", "Host"):
        values = [series[name] for name in (*NODE, *INSTANCE) if name in series]
        return any(value == subject.name or host_of(value) == host_of(subject.name) for value in values)
    if subject.kind == "Namespace":
        return any(series.get(name) == subject.name for name in NAMESPACE)
    pod = next((series[name] for name in POD if name in series), "")
    if subject.kind == "Pod" and pod:
        return pod == subject.name
    names = names_of(subject)
    if pod and {pod, controller := workload_of(pod), _VERSION.sub("", controller)} & names:
        return True
    return any(series.get(name, "") in names for name in (*CALLED, *WORKLOAD, *SERVICE, *JOB))


def touches(series: Mapping[str, str], pair: Pair, subject: Subject) -> bool:
    """Whether the subject is one of the two ends of a call."""
    names = names_of(subject)
    return series.get(pair.source, "") in names or series.get(pair.destination, "") in names


def called(series: Mapping[str, str]) -> str:
    """What to call the object of a series: its pod, else whatever names it best; `the total` where no label does."""
    order = (*CALLED, *POD, *WORKLOAD, *SERVICE, *NODE, *INSTANCE, *CONTAINER, *JOB, *NAMESPACE)
    return next((series[name] for name in order if series.get(name)), "") or ", ".join(
        f"{name}={value}" for name, value in sorted(series.items()) if name != "__name__"
    ) or "the total"  # fmt: skip


def host_of(address: str) -> str:
    """The host of `host:port`; a text without a port as it is."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def present(labels: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """All label names with a value in any of these."""
    return frozenset(name for series in labels for name, value in series.items() if value and name != "__name__")
