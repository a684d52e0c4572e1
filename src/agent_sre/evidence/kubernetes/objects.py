"""Who belongs to whom: pure look-ups over the objects of a cluster, live or recorded.

    CronJob ──> Job ──┐
    Deployment ──> ReplicaSet ──> Pod ──mounts, references──> PersistentVolumeClaim, ConfigMap, Secret, ServiceAccount
    StatefulSet, DaemonSet ──────┘ ^  │
                          Service ─┘  └──> Node

A recorded world may lack fields: a missing one is unknown. So ownership falls back from owner references to selectors and then to the names
that controllers give. Every function takes whatever shapes there are and never raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, overload

from agent_sre.alert import subject as subjects
from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.kit.times import parse_instant

Objects = Sequence[KubernetesObject]
"""A tuple will do. Who looks up more than once makes a `World` of it first: it finds by name without searching, and remembers owners."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet", "ReplicationController", "Rollout")
"""Kinds that make pods, the topmost owners first."""


# Fields


def field_of(value: Any, *path: str) -> Any:
    """What lies at this path; None where anything on the way is missing or of another shape."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def mapping_of(value: Any, *path: str) -> Mapping[str, Any]:
    """The mapping at this path, an empty one where there is none."""
    found = field_of(value, *path)
    return found if isinstance(found, Mapping) else {}


def mappings_of(value: Any, *path: str) -> tuple[Mapping[str, Any], ...]:
    """The mappings of the list at this path."""
    found = field_of(value, *path)
    return tuple(item for item in found if isinstance(item, Mapping)) if isinstance(found, list | tuple) else ()


def text_of(value: Any, *path: str) -> str:
    """The text at this path, an empty one where there is none."""
    found = field_of(value, *path)
    return found if isinstance(found, str) else ""


def number_of(value: Any, *path: str) -> int | None:
    """The whole number at this path."""
    found = field_of(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def instant_of(value: Any, *path: str) -> datetime | None:
    """The instant at this path."""
    return parse_instant(field_of(value, *path))


def object_of(manifest: Mapping[str, Any]) -> KubernetesObject | None:
    """A trimmed manifest as an object; None where it has no kind or no name."""
    kind, name = text_of(manifest, "kind"), text_of(manifest, "metadata", "name")
    if not kind or not name:
        return None
    return KubernetesObject(kind=kind, namespace=text_of(manifest, "metadata", "namespace"), name=name, manifest=manifest)


class World(Sequence[KubernetesObject]):
    """The objects of a cluster with an index. Every function of this module takes one wherever it takes objects."""

    def __init__(self, objects: Iterable[KubernetesObject]) -> None:
        self._objects = tuple(objects)
        self._by_kind: dict[str, list[KubernetesObject]] = {}
        self._by_name: dict[tuple[str, str], list[KubernetesObject]] = {}
        self._owner_by_key: dict[tuple[str, str, str], KubernetesObject | None] = {}
        for item in self._objects:
            self._by_kind.setdefault(item.kind, []).append(item)
            self._by_name.setdefault((item.kind, item.name), []).append(item)

    @classmethod
    def of(cls, objects: Objects) -> World:
        """The same world where it is one already."""
        return objects if isinstance(objects, World) else cls(objects)

    @overload
    def __getitem__(self, index: int) -> KubernetesObject: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[KubernetesObject, ...]: ...
    def __getitem__(self, index: int | slice) -> KubernetesObject | tuple[KubernetesObject, ...]:
        return self._objects[index]

    def __len__(self) -> int:
        return len(self._objects)

    def find(self, kind: str, name: str, namespace: str) -> KubernetesObject | None:
        """See `find`."""
        return next((item for item in self._by_name.get((kind, name), ()) if namespace in ("", item.namespace)), None)

    def of_kind(self, kinds: Iterable[str]) -> tuple[KubernetesObject, ...]:
        """See `of_kind`."""
        return tuple(item for kind in kinds for item in self._by_kind.get(kind, ()))

    def owner_of(self, item: KubernetesObject) -> KubernetesObject | None:
        """See `owner_of`."""
        key = _key(item)
        if key not in self._owner_by_key:
            self._owner_by_key[key] = _look_for_owner(item, self)
        return self._owner_by_key[key]


def find(objects: Objects, kind: str, name: str, namespace: str = "") -> KubernetesObject | None:
    """The object of this kind and name; of any namespace where none is given."""
    return World.of(objects).find(kind, name, namespace)


def of_kind(objects: Objects, *kinds: str) -> tuple[KubernetesObject, ...]:
    """The objects of these kinds, kind by kind."""
    return World.of(objects).of_kind(kinds)


def labels_of(item: KubernetesObject) -> Mapping[str, str]:
    """The labels that are texts."""
    return {name: value for name, value in mapping_of(item.manifest, "metadata", "labels").items() if isinstance(value, str)}


# Owners


def owner_of(item: KubernetesObject, objects: Objects) -> KubernetesObject | None:
    """The object that controls this one, by its owner reference; without one, by selector and then by the name that a controller would give."""
    return World.of(objects).owner_of(item)


def _look_for_owner(item: KubernetesObject, objects: World) -> KubernetesObject | None:
    references = mappings_of(item.manifest, "metadata", "ownerReferences")
    for reference in sorted(references, key=lambda reference: reference.get("controller") is not True):
        found = find(objects, text_of(reference, "kind"), text_of(reference, "name"), item.namespace)
        if found is not None and found is not item:
            return found
    return None if references else _owner_by_shape(item, objects)


def _owner_by_shape(item: KubernetesObject, objects: World) -> KubernetesObject | None:
    makers = of_kind(objects, *_MAKERS.get(item.kind, ()))
    near = [other for other in makers if other.namespace == item.namespace and item.name.startswith(f"{other.name}-")]
    labels = labels_of(item)
    selecting = [other for other in near if selector_matches(field_of(other.manifest, "spec", "selector"), labels)]
    # `cart-7f9c6d5b8c-k2x9p` is of ReplicaSet cart-7f9c6d5b8c, or of Deployment cart where nobody wrote down the ReplicaSet.
    parents = {item.name.rpartition("-")[0], subjects.workload_of(item.name)}
    likely = selecting or [other for other in near if other.name in parents]
    return max(likely, key=lambda other: len(other.name), default=None)


_MAKERS = {
    "Pod": ("ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController", "Deployment"),
    "ReplicaSet": ("Deployment", "Rollout"),
    "Job": ("CronJob",),
}


def owners_of(item: KubernetesObject, objects: Objects) -> tuple[KubernetesObject, ...]:
    """The chain of owners, the nearest first. Ends at what is not there, and at a circle."""
    objects = World.of(objects)
    chain: list[KubernetesObject] = []
    seen = {_key(item)}
    owner = owner_of(item, objects)
    while owner is not None and _key(owner) not in seen:
        chain.append(owner)
        seen.add(_key(owner))
        owner = owner_of(owner, objects)
    return tuple(chain)


def workload_of(item: KubernetesObject, objects: Objects) -> KubernetesObject | None:
    """The topmost workload that made this pod (or ReplicaSet, or Job); itself where it is one without an owner that is there."""
    chain = (item, *owners_of(item, objects))
    return next((owner for owner in reversed(chain) if owner.kind in WORKLOADS), None)


def pods_of(workload: KubernetesObject, objects: Objects) -> tuple[KubernetesObject, ...]:
    """The pods that this workload made, through all its ReplicaSets or Jobs."""
    objects = World.of(objects)
    key = _key(workload)
    return tuple(
        pod for pod in of_kind(objects, "Pod") if pod.namespace == workload.namespace and any(_key(owner) == key for owner in owners_of(pod, objects))
    )


def pod_template(workload: KubernetesObject) -> Mapping[str, Any]:
    """The template of the pods that a workload makes; a pod's own manifest for a pod."""
    if workload.kind == "Pod":
        return workload.manifest
    if workload.kind == "CronJob":
        return mapping_of(workload.manifest, "spec", "jobTemplate", "spec", "template")
    return mapping_of(workload.manifest, "spec", "template")


# Selectors


def selector_matches(selector: Any, labels: Mapping[str, str]) -> bool:
    """Whether a label selector (matchLabels, matchExpressions) selects these labels. An empty or unreadable one selects nothing here:
    an empty selector means everything to a NetworkPolicy and nothing to a Service, so callers decide what it means to them."""
    if not isinstance(selector, Mapping):
        return False
    plain = mapping_of(selector, "matchLabels")
    expressions = mappings_of(selector, "matchExpressions")
    if not plain and not expressions:
        return False
    return all(labels.get(name) == value for name, value in plain.items()) and all(_expression_matches(item, labels) for item in expressions)


def _expression_matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    name, values = text_of(expression, "key"), expression.get("values")
    among = labels.get(name) in (values if isinstance(values, list | tuple) else ())
    match text_of(expression, "operator"):
        case "In":
            return name in labels and among
        case "NotIn":
            return name not in labels or not among
        case "Exists":
            return name in labels
        case "DoesNotExist":
            return name not in labels
    return False


def service_selects(service: KubernetesObject, labels: Mapping[str, str]) -> bool:
    """Whether this Service sends traffic to pods with these labels. One without a selector selects none."""
    wanted = mapping_of(service.manifest, "spec", "selector")
    return bool(wanted) and all(labels.get(name) == value for name, value in wanted.items())


def services_selecting(pod: KubernetesObject, objects: Objects) -> tuple[KubernetesObject, ...]:
    """The Services that send traffic to this pod once it is ready."""
    labels = labels_of(pod)
    return tuple(item for item in of_kind(objects, "Service") if item.namespace == pod.namespace and service_selects(item, labels))


def pods_selected_by(service: KubernetesObject, objects: Objects) -> tuple[KubernetesObject, ...]:
    """The pods that a Service selects, ready or not."""
    return tuple(pod for pod in of_kind(objects, "Pod") if pod.namespace == service.namespace and service_selects(service, labels_of(pod)))


# What a pod needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A pod, or a template of one, names another object."""

    kind: str  # ConfigMap, Secret, ServiceAccount, PersistentVolumeClaim
    name: str
    key: str = ""  # empty: the whole object
    optional: bool = False  # the pod starts without it
    container: str = ""  # empty: the pod as a whole
    where: str  # "env DB_HOST", "envFrom", "volume config", "imagePullSecrets", "serviceAccountName"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A volume inside a container."""

    container: str
    path: str
    volume: str
    kind: str  # PersistentVolumeClaim, ConfigMap, Secret, or the volume's own word: emptyDir, hostPath, nfs, …
    name: str  # of the object; empty where the volume is none
    read_only: bool = False


def containers_of(workload: KubernetesObject) -> tuple[Mapping[str, Any], ...]:
    """The specifications of its containers: those that initialise first."""
    spec = mapping_of(pod_template(workload), "spec")
    return (*mappings_of(spec, "initContainers"), *mappings_of(spec, "containers"))


def references_of(workload: KubernetesObject) -> tuple[Reference, ...]:
    """Every ConfigMap, Secret, ServiceAccount and claim that a pod or a workload's template names. Names only, never values."""
    spec = mapping_of(pod_template(workload), "spec")
    found = [reference for container in containers_of(workload) for reference in _container_references(container)]
    for volume in mappings_of(spec, "volumes"):
        found += _volume_references(volume)
    found += [Reference(kind="Secret", name=text_of(item, "name"), where="imagePullSecrets") for item in mappings_of(spec, "imagePullSecrets")]
    if account := text_of(spec, "serviceAccountName"):
        found.append(Reference(kind="ServiceAccount", name=account, where="serviceAccountName"))
    return tuple(reference for reference in found if reference.name)


def _container_references(container: Mapping[str, Any]) -> Iterable[Reference]:
    name = text_of(container, "name")
    for variable in mappings_of(container, "env"):
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if source := mapping_of(variable, "valueFrom", field):
                yield _reference(kind, source, name, f"env {text_of(variable, 'name')}")
    for bulk in mappings_of(container, "envFrom"):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if source := mapping_of(bulk, field):
                yield _reference(kind, source, name, "envFrom")


def _reference(kind: str, source: Mapping[str, Any], container: str, where: str) -> Reference:
    optional = source.get("optional") is True
    return Reference(kind=kind, name=text_of(source, "name"), key=text_of(source, "key"), optional=optional, container=container, where=where)


def _volume_references(volume: Mapping[str, Any]) -> Iterable[Reference]:
    where = f"volume {text_of(volume, 'name')}"
    for source in (volume, *mappings_of(volume, "projected", "sources")):
        if config := mapping_of(source, "configMap"):
            yield Reference(kind="ConfigMap", name=text_of(config, "name"), optional=config.get("optional") is True, where=where)
        if secret := mapping_of(source, "secret"):
            name = text_of(secret, "secretName") or text_of(secret, "name")  # a projected source calls it name
            yield Reference(kind="Secret", name=name, optional=secret.get("optional") is True, where=where)
        if claim := mapping_of(source, "persistentVolumeClaim"):
            yield Reference(kind="PersistentVolumeClaim", name=text_of(claim, "claimName"), where=where)


def mounts_of(workload: KubernetesObject) -> tuple[Mount, ...]:
    """Every mounted volume of every container, with the object behind it."""
    volumes = {text_of(volume, "name"): volume for volume in mappings_of(pod_template(workload), "spec", "volumes")}
    return tuple(
        _mount(text_of(container, "name"), mount, volumes.get(text_of(mount, "name"), {}))
        for container in containers_of(workload)
        for mount in mappings_of(container, "volumeMounts")
    )


def _mount(container: str, mount: Mapping[str, Any], volume: Mapping[str, Any]) -> Mount:
    reference = next(iter(_volume_references(volume)), None)
    kind = reference.kind if reference else next((word for word in volume if word != "name"), "")
    return Mount(
        container=container,
        path=text_of(mount, "mountPath"),
        volume=text_of(mount, "name"),
        kind=kind,
        name=reference.name if reference else "",
        read_only=mount.get("readOnly") is True,
    )


def pods_mounting(claim: KubernetesObject, objects: Objects) -> tuple[KubernetesObject, ...]:
    """The pods that use a PersistentVolumeClaim."""
    return tuple(
        pod
        for pod in of_kind(objects, "Pod")
        if pod.namespace == claim.namespace
        and any(reference.kind == "PersistentVolumeClaim" and reference.name == claim.name for reference in references_of(pod))
    )


# How it is


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """One container of a pod, as the kubelet last reported it."""

    name: str
    ready: bool
    restarts: int
    state: str  # "waiting", "running", "terminated"; empty where unknown
    reason: str  # of that state: CrashLoopBackOff, ImagePullBackOff, OOMKilled, …
    message: str
    exit_code: int | None  # of this state or, where it runs or waits, of the last termination
    last_reason: str  # of the last termination
    last_finished_at: datetime | None
    last_ran: timedelta | None = None  # how long the terminated one had run
    initial: bool = False  # an init container


def container_states(pod: KubernetesObject) -> tuple[ContainerState, ...]:
    """The states of a pod's containers: those that initialise first."""
    status = mapping_of(pod.manifest, "status")
    return (
        *(_container_state(item, initial=True) for item in mappings_of(status, "initContainerStatuses")),
        *(_container_state(item, initial=False) for item in mappings_of(status, "containerStatuses")),
    )


def _container_state(status: Mapping[str, Any], *, initial: bool) -> ContainerState:
    current = mapping_of(status, "state")
    state = next((word for word in ("waiting", "running", "terminated") if word in current), "")
    now, last = mapping_of(current, state), mapping_of(status, "lastState", "terminated")
    code = number_of(now, "exitCode")
    return ContainerState(
        name=text_of(status, "name"),
        ready=status.get("ready") is True,
        restarts=number_of(status, "restartCount") or 0,
        state=state,
        reason=text_of(now, "reason"),
        message=text_of(now, "message"),
        exit_code=code if code is not None else number_of(last, "exitCode"),
        last_reason=text_of(last, "reason"),
        last_finished_at=instant_of(last, "finishedAt"),
        last_ran=_between(instant_of(last, "startedAt"), instant_of(last, "finishedAt")),
        initial=initial,
    )


def _between(start: datetime | None, end: datetime | None) -> timedelta | None:
    return end - start if start is not None and end is not None and end >= start else None


def condition(item: KubernetesObject, kind: str) -> Mapping[str, Any]:
    """The status condition of this type: its status, reason, message. Empty where there is none."""
    return next((found for found in mappings_of(item.manifest, "status", "conditions") if text_of(found, "type") == kind), {})


def is_troubled(item: KubernetesObject) -> bool:
    """Whether the object's own status says that it is not as it should be. What says nothing is not troubled."""
    manifest = item.manifest
    match item.kind:
        case "Pod":
            return _pod_is_troubled(item)
        case "Event":
            return text_of(manifest, "type") == "Warning"
        case "Node":
            return _node_is_troubled(item)
        case "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController" | "Rollout":
            wanted = number_of(manifest, "spec", "replicas")
            if wanted == 0:
                return item.kind != "ReplicaSet"  # old ReplicaSets are scaled to nothing, workloads are when somebody did it
            return "status" in manifest and (wanted or 1) > (number_of(manifest, "status", "readyReplicas") or 0)
        case "DaemonSet":
            return (number_of(manifest, "status", "desiredNumberScheduled") or 0) > (number_of(manifest, "status", "numberReady") or 0)
        case "Job":
            return bool(number_of(manifest, "status", "failed")) or text_of(condition(item, "Failed"), "status") == "True"
        case "PersistentVolumeClaim":
            return text_of(manifest, "status", "phase") not in ("Bound", "")
        case "PersistentVolume":
            return text_of(manifest, "status", "phase") not in ("Bound", "Available", "")
        case "Endpoints":
            subsets = mappings_of(manifest, "subsets")
            return not any(field_of(subset, "addresses") for subset in subsets) or any(field_of(subset, "notReadyAddresses") for subset in subsets)
        case "Application":
            return text_of(manifest, "status", "health", "status") in ("Degraded", "Missing", "Unknown")
        case "Kustomization" | "HelmRelease" | "GitRepository":
            return text_of(condition(item, "Ready"), "status") not in ("True", "") or field_of(manifest, "spec", "suspend") is True
    return field_of(manifest, "metadata", "deletionTimestamp") is not None or text_of(condition(item, "Ready"), "status") in ("False", "Unknown")


def _node_is_troubled(node: KubernetesObject) -> bool:
    conditions = mappings_of(node.manifest, "status", "conditions")
    bad = any(text_of(found, "status") != ("True" if text_of(found, "type") == "Ready" else "False") for found in conditions)
    return bad or field_of(node.manifest, "spec", "unschedulable") is True


def _pod_is_troubled(pod: KubernetesObject) -> bool:
    phase = text_of(pod.manifest, "status", "phase")
    if phase in ("Succeeded", ""):
        return False
    if phase != "Running":
        return True
    return any(not state.initial and (not state.ready or state.last_reason not in ("", "Completed")) for state in container_states(pod))


def events_about(item: KubernetesObject, objects: Objects) -> tuple[KubernetesObject, ...]:
    """The Events about this object, the latest first."""
    about = [
        event
        for event in of_kind(objects, "Event")
        if text_of(event.manifest, "involvedObject", "kind") == item.kind
        and text_of(event.manifest, "involvedObject", "name") == item.name
        and text_of(event.manifest, "involvedObject", "namespace") in ("", item.namespace)
    ]
    return tuple(sorted(about, key=last_seen, reverse=True))


def last_seen(item: KubernetesObject) -> str:
    """When an Event happened last, or when another object was made: RFC 3339 in UTC sorts as text."""
    return text_of(item.manifest, "lastTimestamp") or text_of(item.manifest, "metadata", "creationTimestamp")


# What matters


def objects_of(subject: Subject, objects: Objects) -> tuple[KubernetesObject, ...]:
    """What a subject stands for: the object of its kind and name, its owners, the pods below it, their node, Services and claims.

    A Service or a Component without an object of that name stands for the workload that is called so.
    """
    objects = World.of(objects)
    start = _objects_called(subject, objects)
    found: dict[tuple[str, str, str], KubernetesObject] = {_key(item): item for item in start}
    pods: list[KubernetesObject] = []
    for item in start:
        for owner in owners_of(item, objects):
            found.setdefault(_key(owner), owner)
        pods += _pods_below(item, objects)
    for pod in pods:
        for item in (pod, *owners_of(pod, objects), *services_selecting(pod, objects), *_needs(pod, objects)):
            found.setdefault(_key(item), item)
    return tuple(found.values())


def _objects_called(subject: Subject, objects: Objects) -> tuple[KubernetesObject, ...]:
    namespace = subject.namespace if subject.kind != "Namespace" else ""
    if subject.kind in ("Node", "Host"):
        return tuple(node for node in of_kind(objects, "Node") if is_node(node, subject.name))
    exact = find(objects, subject.kind, subject.name, namespace)
    if exact is not None and subject.kind != "Service":
        return (exact,)
    called = tuple(item for item in of_kind(objects, "Service", *WORKLOADS) if item.name == subject.name and namespace in ("", item.namespace))
    return called or tuple(
        pod
        for pod in of_kind(objects, "Pod")
        if namespace in ("", pod.namespace) and (pod.name == subject.name or subjects.workload_of(pod.name) == subject.name)
    )


def _pods_below(item: KubernetesObject, objects: Objects) -> tuple[KubernetesObject, ...]:
    match item.kind:
        case "Pod":
            return (item,)
        case "Service":
            return pods_selected_by(item, objects)
        case "PersistentVolumeClaim":
            return pods_mounting(item, objects)
        case "Node":
            return tuple(pod for pod in of_kind(objects, "Pod") if text_of(pod.manifest, "spec", "nodeName") == item.name)
    return pods_of(item, objects) if item.kind in WORKLOADS else ()


def _needs(pod: KubernetesObject, objects: Objects) -> Iterable[KubernetesObject]:
    node = find(objects, "Node", text_of(pod.manifest, "spec", "nodeName"))
    if node is not None:
        yield node
    for reference in references_of(pod):
        needed = find(objects, reference.kind, reference.name, pod.namespace)
        if needed is not None:
            yield needed


def is_node(node: KubernetesObject, name: str) -> bool:
    """Whether a node is called this, or has it as its address or host name."""
    return node.name == name or any(text_of(address, "address") == name for address in mappings_of(node.manifest, "status", "addresses"))


def by_relevance(objects: Objects, subject: Subject) -> tuple[KubernetesObject, ...]:
    """The subject's own first, then what is troubled, then the newest: the order in which a bound may cut."""
    own = {_key(item) for item in objects_of(subject, objects)}

    def near(item: KubernetesObject) -> bool:
        if item.kind == "Event":
            return _is_about(text_of(item.manifest, "involvedObject", "name"), subject)
        return _key(item) in own or _is_about(item.name, subject)

    newest = sorted(objects, key=last_seen, reverse=True)
    return tuple(sorted(newest, key=lambda item: (not near(item), not is_troubled(item))))


def _is_about(name: str, subject: Subject) -> bool:
    """Whether an object of this name is the subject or was made by it, as far as names can tell."""
    if not subject.name or subject.kind in ("Namespace", "Cluster", "Alert"):
        return False
    called = subjects.workload_of(subject.name) if subject.kind == "Pod" else subject.name
    return name in (subject.name, called) or subjects.workload_of(name) == called or name.startswith(f"{called}-")


def _key(item: KubernetesObject) -> tuple[str, str, str]:
    return item.kind, item.namespace, item.name
