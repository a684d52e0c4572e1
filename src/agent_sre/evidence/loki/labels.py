"""Whose log: which of this Loki's labels say what the alert's subject is called.

Every collector names its labels differently (promtail and Alloy `pod`, OpenTelemetry `k8s_pod_name`, Fluent Bit whatever was configured), and many do
not ship all of them. So we look which labels there are, write down every way to say "this object" with them, the most exact first, and let Loki
tell which of those ways has streams.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from agent_sre.alert.subject import Subject, subject_key
from agent_sre.evidence.loki.logql import Matcher, literal, selector

_NAMESPACE = ("namespace", "k8s_namespace_name", "kubernetes_namespace_name", "kubernetes_namespace", "namespace_name")
_POD = ("pod", "k8s_pod_name", "pod_name", "kubernetes_pod_name", "podname")
_CONTAINER = ("container", "k8s_container_name", "container_name", "kubernetes_container_name")
_NODE = ("node_name", "node", "k8s_node_name", "nodename", "kubernetes_host", "hostname", "host", "instance")
_PROGRAM = (
    "app_kubernetes_io_name", "app", "service_name", "k8s_app", "service", "application", "component", "app_kubernetes_io_instance", "name",
)  # fmt: skip
_WORKLOAD_BY_KIND = {
    "Deployment": ("k8s_deployment_name", "deployment"),
    "StatefulSet": ("k8s_statefulset_name", "statefulset"),
    "DaemonSet": ("k8s_daemonset_name", "daemonset"),
    "Job": ("k8s_job_name", "job_name"),
    "CronJob": ("k8s_cronjob_name", "cronjob"),
}

_LONGEST_VALUE = 2048
"""Loki's own limit (max_label_value_length): no stream has a longer one, and no address should carry it."""

_MOST_WAYS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One way to say whose log."""

    matchers: tuple[Matcher, ...]
    reach: str  # for people: "the pod", "the workload", "the whole namespace", "the node"
    is_wide: bool = False  # others' logs are among it

    @property
    def query(self) -> str:
        return selector(self.matchers)

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether a stream with these labels belongs to it."""
        return all(matcher.fits(labels) for matcher in self.matchers)


def selections_for(subject: Subject, known: Collection[str]) -> tuple[Selection, ...]:
    """Every way to select the subject's log by the labels that there are, the most exact first; empty where none fits.

    With `known` empty labels nothing fits. The last ways may be wide: a namespace has others' logs too.
    """
    if subject.kind in ("Node", "Host"):
        return _cut([Selection(matchers=(Matcher(name=label, value=subject.name),), reach="the node", is_wide=True) for label in _of(_NODE, known)])
    namespace = subject.name if subject.kind == "Namespace" else subject.namespace
    inside = tuple(Matcher(name=label, value=namespace) for label in _of(_NAMESPACE, known)[:1] if namespace)
    found: list[Selection] = []
    if subject.kind not in ("Namespace", "Alert", "Cluster") and subject.name:
        found += _of_object(subject, inside, known)
    if inside:
        found.append(Selection(matchers=inside, reach="the whole namespace", is_wide=True))
    return _cut(found)


def program_of(labels: Mapping[str, str]) -> str:
    """What a stream's program is called by its labels: for logs of many. Empty where they do not say."""
    for name in (*_PROGRAM, *_CONTAINER, *_POD):
        if labels.get(name):
            return labels[name]
    return ""


def _of_object(subject: Subject, inside: tuple[Matcher, ...], known: Collection[str]) -> list[Selection]:
    found: list[Selection] = []
    if subject.kind == "Pod":
        for label in _of(_POD, known)[:1]:
            exact = (*inside, Matcher(name=label, value=subject.name))
            container = tuple(Matcher(name=name, value=subject.container) for name in _of(_CONTAINER, known)[:1] if subject.container)
            if container:
                found.append(Selection(matchers=(*exact, *container), reach="the container"))
            found.append(Selection(matchers=exact, reach="the pod"))
    # what correlation calls one patient: a pod's controller, an autoscaler's target
    workload = unquote(subject_key(subject).rpartition("/")[2])
    if not workload:
        return found
    labels = [*_of(_WORKLOAD_BY_KIND.get(subject.kind, ()), known), *_of(_PROGRAM, known)]
    found += [Selection(matchers=(*inside, Matcher(name=label, value=workload)), reach="the workload") for label in labels]
    for label in _of(_POD, known)[:1]:
        pods = Matcher(name=label, value=f"{literal(workload)}-.+", is_regex=True)
        found.append(Selection(matchers=(*inside, pods), reach="the workload's pods"))
    for label in _of(_CONTAINER, known)[:1]:
        found.append(Selection(matchers=(*inside, Matcher(name=label, value=subject.container or workload)), reach="containers of that name"))
    return found


def _of(names: Collection[str], known: Collection[str]) -> list[str]:
    return [name for name in names if name in known]


def _cut(found: list[Selection]) -> tuple[Selection, ...]:
    usable = [item for item in found if all(0 < len(matcher.value) <= _LONGEST_VALUE for matcher in item.matchers)]
    # the wide one at the end must not fall off
    return tuple(usable[: _MOST_WAYS - 1] + usable[_MOST_WAYS - 1 :][-1:])
