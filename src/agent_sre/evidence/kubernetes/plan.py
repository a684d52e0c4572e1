"""What to ask the API server about a subject, and why. Pure: values in, a list of looks out.

| scope                                 | looks at                                                                                              |
|---------------------------------------|-------------------------------------------------------------------------------------------------------|
| pod, workload, service, namespace     | everything of the namespace that can explain trouble, the nodes, volumes, Flux, Argo CD, logs          |
| the same, namespace unknown           | objects of that name in any namespace, warnings, nodes                                                 |
| pvc                                   | claims, volumes, storage classes, the namespace's pods and their makers, events, quotas                 |
| node                                  | nodes, the node's pods, events about nodes                                                             |
| component                             | its namespace's pods, makers, Services and events, nodes, logs                                         |
| cluster                               | nodes, kube-system's pods and events, pods that do not run                                             |
| meta                                  | nothing: the alerting itself is no object of the cluster                                               |

Where other alerts of the incident name other namespaces, the most telling lists of two of them follow.

Labels are untrusted, and they end up in URLs and in commands that people paste: a name that Kubernetes would not allow is not asked for.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agent_sre.alert.subject import Scope, Subject, describe, scope_of, workload_of
from agent_sre.evidence.evidence import Query
from agent_sre.evidence.kubernetes.resources import RESOURCES
from agent_sre.incident.incident import Incident

NAME = "kubernetes"
LOGS = "logs"

_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
"""Names of namespaces and of objects. https://kubernetes.io/docs/concepts/overview/working-with-objects/names/"""

_LOGGING = frozenset({"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Service"})
"""Kinds that `kubectl logs` takes."""

MAX_NAMESPACES = 3
"""Of one incident. An alert storm names dozens, and its cause is in the first few or in none of them."""

_NOT_RUNNING = "status.phase!=Running,status.phase!=Succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One list, or the logs of the containers that matter."""

    kind: str  # a plural of RESOURCES, or "logs"
    purpose: str
    namespace: str = ""  # empty: all, or the kind has none
    fields: str = ""  # a field selector
    name: str = ""  # logs: "pod/cart-0", "deployment/cart" where the alert names one; empty: whatever is in trouble
    previous: bool = False  # logs: of the containers' last life

    @property
    def command(self) -> str:
        """What a person would type for the same."""
        if self.kind == LOGS:
            parts = ["kubectl", "logs", "-n", self.namespace, self.name or "POD", "--all-containers", "--timestamps"]
            parts += ["--previous"] if self.previous else []
            return shlex.join(parts)
        resource = RESOURCES[self.kind]
        where = [] if not resource.namespaced else ["-n", self.namespace] if self.namespace else ["-A"]
        fields = ["--field-selector", self.fields] if self.fields else []
        full = resource.plural if not resource.group else f"{resource.plural}.{resource.group}"
        return shlex.join(["kubectl", "get", full if resource.is_added else resource.plural, *where, *fields, "-o", "yaml"])

    def as_query(self) -> Query:
        """The same as the reader sees it."""
        return Query(id="", source=NAME, kind=self.kind, expression=self.command, purpose=self.purpose, language="bash")


def subject_of_incident(incident: Incident) -> Subject:
    """The subject to look at: the incident's, or that of the first member that names a namespace where the incident's names nothing."""
    if incident.subject.kind not in ("Alert", "Cluster") or incident.subject.namespace:
        return incident.subject
    return next((alert.subject for alert in incident.alerts if alert.subject.namespace), incident.subject)


def subject_of_look(look: Look, incident: Incident) -> Subject:
    """Whom a look is about: the incident's subject, or the one for whose sake another namespace is looked at."""
    first = subject_of_incident(incident)
    if not look.namespace or look.namespace == namespace_of(first):
        return first
    return next((other for other in _elsewhere(incident) if namespace_of(other) == look.namespace), first)


def looks_of(incident: Incident) -> tuple[Look, ...]:
    """Everything to ask about this incident, the most telling first: there may not be time for all."""
    own = _looks_at(subject_of_incident(incident), incident.lead.name)
    if not own:
        return ()
    known = {look.command for look in own}
    others = [look for subject in _elsewhere(incident) for look in _beside(subject, namespace_of(subject)) if look.command not in known]
    return (*own, *others)


def namespace_of(subject: Subject) -> str:
    """The namespace that a subject is in, or is; empty where that is none that Kubernetes would allow."""
    namespace = subject.name if subject.kind == "Namespace" else subject.namespace
    return namespace if _DNS_LABEL.fullmatch(namespace) else ""


def _elsewhere(incident: Incident) -> tuple[Subject, ...]:
    """The subjects of other members in other namespaces, the first of each: the most severe members come first."""
    found = {namespace_of(subject_of_incident(incident)): incident.subject}
    for alert in incident.alerts:
        if scope_of(alert.subject, alert.name) is not Scope.META:
            found.setdefault(namespace_of(alert.subject), alert.subject)
    return tuple(subject for namespace, subject in list(found.items())[1:] if namespace)[: MAX_NAMESPACES - 1]


def _looks_at(subject: Subject, alert_name: str) -> tuple[Look, ...]:
    scope = scope_of(subject, alert_name)
    namespace = namespace_of(subject)
    match scope:
        case Scope.META:
            return ()
        case Scope.NODE:
            return tuple(_node(subject))
        case Scope.PVC:
            return tuple(_claim(subject, namespace))
        case Scope.CLUSTER:
            return tuple(_cluster())
        case Scope.COMPONENT:
            return tuple(_component(subject, namespace) if namespace else _cluster())
    return tuple(_namespace(subject, namespace) if namespace else _somewhere(subject))


def _namespace(subject: Subject, namespace: str) -> Iterator[Look]:
    what = describe(subject)

    def look(kind: str, purpose: str) -> Look:
        return Look(kind=kind, purpose=purpose, namespace=namespace if RESOURCES[kind].namespaced else "")

    yield look("pods", f"states, restarts and last terminations around {what}")
    yield look("events", "what the scheduler, the kubelets and the controllers complained about")
    yield from _logs(subject, namespace)
    yield look("deployments", "wanted against ready replicas, images, probes, environment")
    yield look("replicasets", "which rollouts there were, when, and what each changed")
    yield look("nodes", "whether the nodes are ready, under pressure, cordoned or tainted")
    yield look("controllerrevisions", "which rollouts StatefulSets and DaemonSets had, and what each changed")
    yield look("services", "what sends traffic to which pods and ports")
    yield look("endpoints", "which pods really get the traffic")
    yield look("statefulsets", "wanted against ready replicas and their claims")
    yield look("daemonsets", "wanted against ready pods per node")
    yield look("configmaps", "which configuration exists, by its keys; values are left out")
    yield look("serviceaccounts", "whether the accounts exist that the pods want")
    yield look("persistentvolumeclaims", "whether the claims are bound, and how large they are")
    yield look("resourcequotas", "whether a quota is used up")
    yield look("horizontalpodautoscalers", "whether autoscalers scale, and whether they are at their limit")
    yield look("jobs", "which jobs failed, and why")
    yield look("cronjobs", "which jobs are due, suspended or late")
    yield look("limitranges", "which limits pods get that ask for none")
    yield look("networkpolicies", "which traffic is not let through")
    yield look("ingresses", "which hosts and paths lead to which Services")
    yield look("poddisruptionbudgets", "whether evictions are blocked")
    yield Look(kind="namespaces", purpose="whether the namespace is being deleted, and what it enforces", fields=f"metadata.name={namespace}")
    yield look("persistentvolumes", "the volumes behind the claims, and those that are free")
    yield look("storageclasses", "whether the classes exist that the claims want, and how they bind")
    yield look("httproutes", "which hosts and paths a Gateway leads to which Services")
    yield look("virtualservices", "where Istio sends traffic, with which faults, timeouts and retries")
    yield look("certificates", "which certificates were issued or could not be, and until when they are valid")
    yield from _gitops()


def _beside(subject: Subject, namespace: str) -> Iterator[Look]:
    """Another namespace of the incident: whether it is in trouble, and what was changed there."""
    what = describe(subject)
    for kind, purpose in (
        ("pods", f"states, restarts and last terminations around {what}, which is in trouble too"),
        ("events", f"what was complained about around {what}"),
        ("deployments", f"wanted against ready replicas around {what}"),
        ("replicasets", f"which rollouts there were around {what}"),
        ("services", f"what sends traffic to which pods around {what}"),
        ("endpoints", f"which pods really get the traffic around {what}"),
        ("configmaps", f"which configuration was written around {what}, by its keys; values are left out"),
    ):
        yield Look(kind=kind, purpose=purpose, namespace=namespace)


def _gitops() -> Iterator[Look]:
    yield Look(kind="applications", purpose="which revision Argo CD applied, who started it, whether that worked, and when")
    yield Look(kind="kustomizations", purpose="which revision Flux applied, whether that worked, and when")
    yield Look(kind="helmreleases", purpose="which chart is released, whether that worked, and when")
    yield Look(kind="gitrepositories", purpose="which commit Flux has, and whether it can fetch")


def _logs(subject: Subject, namespace: str) -> Iterator[Look]:
    name = subject.name if subject.kind in _LOGGING and _DNS_NAME.fullmatch(subject.name) else ""
    name = f"{subject.kind.lower()}/{name}" if name else ""
    whose = f"of {describe(subject)}" if name else "of the containers in trouble"
    yield Look(kind=LOGS, purpose=f"the last words {whose}, before the containers' last restart", namespace=namespace, name=name, previous=True)
    yield Look(kind=LOGS, purpose=f"what the logs {whose} say now", namespace=namespace, name=name)


def _somewhere(subject: Subject) -> Iterator[Look]:
    """No label says which namespace: by name, in all of them."""
    if _DNS_NAME.fullmatch(subject.name):
        for kind in ("pods",) if subject.kind == "Pod" else ("deployments", "statefulsets", "daemonsets", "services"):
            called = f"metadata.name={subject.name}"
            yield Look(kind=kind, purpose=f"where there is something called {subject.name}, and how it is", fields=called)
        if subject.kind == "Pod" and workload_of(subject.name) != subject.name:
            yield Look(kind="deployments", purpose="the Deployment that made the pod", fields=f"metadata.name={workload_of(subject.name)}")
    yield Look(kind="pods", purpose="which pods do not run, anywhere", fields=_NOT_RUNNING)
    yield Look(kind="events", purpose="warnings of all namespaces", fields="type=Warning")
    yield Look(kind="nodes", purpose="whether the nodes are ready, under pressure, cordoned or tainted")


def _node(subject: Subject) -> Iterator[Look]:
    yield Look(kind="nodes", purpose="conditions, pressures, taints and room of this node, and of the others to compare")
    if _DNS_NAME.fullmatch(subject.name) and not _is_address(subject.name):
        yield Look(kind="pods", purpose=f"what runs on {subject.name}, and how it is", fields=f"spec.nodeName={subject.name}")
    else:
        yield Look(kind="pods", purpose="which pods do not run, anywhere", fields=_NOT_RUNNING)
    yield Look(kind="events", purpose="what was reported about nodes", fields="involvedObject.kind=Node")


def _claim(subject: Subject, namespace: str) -> Iterator[Look]:
    yield Look(kind="persistentvolumes", purpose="the volumes behind the claims, and those that are free")
    yield Look(kind="storageclasses", purpose="how volumes of each class are made, bound and grown")
    if not namespace:
        about = f"involvedObject.kind={subject.kind}" if subject.kind in ("PersistentVolume", "PersistentVolumeClaim") else "type=Warning"
        yield Look(kind="events", purpose="what was reported about volumes", fields=about)
        yield Look(kind="nodes", purpose="whether the nodes are ready, and which volumes they may attach")
        return
    yield Look(kind="persistentvolumeclaims", purpose=f"phase, size, class and access mode of {describe(subject)}", namespace=namespace)
    yield Look(kind="pods", purpose="which pods mount the claim, and how they are", namespace=namespace)
    yield Look(kind="events", purpose="what provisioner, scheduler and kubelets complained about", namespace=namespace)
    yield Look(kind="statefulsets", purpose="which claim templates there are", namespace=namespace)
    yield Look(kind="resourcequotas", purpose="whether a storage quota is used up", namespace=namespace)
    yield Look(kind="nodes", purpose="whether the nodes are ready, and where the volume may be attached")


def _component(subject: Subject, namespace: str) -> Iterator[Look]:
    yield Look(kind="pods", purpose=f"states, restarts and last terminations around {describe(subject)}", namespace=namespace)
    yield Look(kind="events", purpose="what the kubelets and the controllers complained about", namespace=namespace)
    yield from _logs(subject, namespace)
    for kind in ("deployments", "statefulsets", "daemonsets"):
        yield Look(kind=kind, purpose="wanted against ready replicas", namespace=namespace)
    yield Look(kind="services", purpose="what sends traffic to which pods and ports", namespace=namespace)
    yield Look(kind="endpoints", purpose="which pods really get the traffic", namespace=namespace)
    yield Look(kind="nodes", purpose="whether the nodes are ready, under pressure, cordoned or tainted")


def _cluster() -> Iterable[Look]:
    return (
        Look(kind="nodes", purpose="whether the nodes are ready, under pressure, cordoned or tainted"),
        Look(kind="pods", purpose="how the control plane and the cluster's own services are", namespace="kube-system"),
        Look(kind="events", purpose="what was reported about the control plane", namespace="kube-system"),
        Look(kind="pods", purpose="which pods do not run, anywhere", fields=_NOT_RUNNING),
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
