"""What changed: found in the objects of a cluster, whoever told us of them. From metrics, where there is no cluster access: series_changes.py.

    ReplicaSets, ControllerRevisions, pods ──> rollout   one per revision, with the difference of the templates
    events of Deployments and autoscalers  ──> scale     what belongs to a rollout is not said twice
    ConfigMaps, Secrets                    ──> config    with whoever uses them
    Services, routes, policies, limits     ──> config    by the entry of the managed fields that says who last wrote them
    nodes and their events                 ──> node      new, cordoned, not ready, under pressure
    Flux, Helm, Argo CD                    ──> gitops    revision before and after
    Jobs                                   ──> job       one per CronJob
    cert-manager                           ──> certificate

Pure. Objects may lack any field, and may have any shape: what cannot be read is no change.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from agent_sre.alert.subject import Subject, describe, workload_of
from agent_sre.evidence.evidence import Change, KubernetesObject
from agent_sre.evidence.kubernetes.objects import condition, field_of, instant_of, mappings_of, text_of
from agent_sre.evidence.template_diff import changed_settings, images_of, template_diff
from agent_sre.kit.durations import readable
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

MAX_CHANGES = 50
"""The newest are kept. An expert looks at ten."""

LOOKED_BACK = timedelta(hours=24)
"""Before the incident began. Most bad changes show within an hour; a day also shows what only broke under the next day's load."""

_NAMED = 3
_SKEW = timedelta(minutes=2)
"""How far a cluster's clock may be ahead of ours."""

_ROLLOUT_LASTS = timedelta(minutes=30)
"""Replica counts that change this long after a new revision are the rollout's own doing."""

_SAME = timedelta(minutes=5)
"""Two objects that speak of one change do so within this time."""

_ECHO = timedelta(minutes=10)
"""And two sources within this: metrics show a change at their next point, which may be minutes later."""

RESTART = "annotation kubectl.kubernetes.io/restartedAt"
"""What `kubectl rollout restart` sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """The objects by kind and by name, events by what they are about, and the window."""

    by_kind: Mapping[str, Sequence[KubernetesObject]]
    by_name: Mapping[tuple[str, str, str], KubernetesObject]
    events_by_reason: Mapping[str, Sequence[KubernetesObject]]
    events_about: Mapping[tuple[str, str], Sequence[KubernetesObject]]  # reason and the name of the object
    window_start: datetime
    now: datetime

    def of(self, *kinds: str) -> Iterator[KubernetesObject]:
        for kind in kinds:
            yield from self.by_kind.get(kind, ())

    def find(self, kind: str, namespace: str, name: str) -> KubernetesObject | None:
        return self.by_name.get((kind, namespace, name))

    def has(self, at: datetime | None) -> bool:
        """Whether it happened in the window."""
        return at is not None and self.window_start <= at <= self.now + _SKEW


def changes_of(objects: Iterable[KubernetesObject], *, window_start: datetime, now: datetime) -> tuple[Change, ...]:
    """What changed between `window_start` and `now`, newest first, at most MAX_CHANGES; changes of unknown time come last.

    Only rollouts can have an unknown time: of a recorded world the order of revisions may be all that is known.
    """
    by_kind: dict[str, list[KubernetesObject]] = defaultdict(list)
    by_name: dict[tuple[str, str, str], KubernetesObject] = {}
    by_reason: dict[str, list[KubernetesObject]] = defaultdict(list)
    about: dict[tuple[str, str], list[KubernetesObject]] = defaultdict(list)
    for item in objects:
        by_kind[item.kind].append(item)
        by_name.setdefault((item.kind, item.namespace, item.name), item)
        if item.kind == "Event":
            reason = text_of(item.manifest, "reason")
            by_reason[reason].append(item)
            about[reason, text_of(item.manifest, "involvedObject", "name")].append(item)
    world = _World(by_kind=by_kind, by_name=by_name, events_by_reason=by_reason, events_about=about, window_start=window_start, now=now)
    rollouts = list(_rollouts(world))
    told = [*rollouts, *_scalings(world, rollouts), *_configs(world)]
    found = [*told, *_edits(world, told), *_nodes(world), *_gitops(world), *_jobs(world), *_certificates(world)]
    return newest_first(found)


def merged(told: Sequence[Change], echoes: Sequence[Change]) -> tuple[Change, ...]:
    """All changes of `told`, and those of `echoes` that nobody in `told` speaks of: about another subject, or at another time.

    For two sources that look at one cluster. The second may see a change late, by as much as its points are apart.
    """
    times: dict[tuple[str, str, str], list[datetime]] = defaultdict(list)
    for change in told:
        if change.at is not None:
            times[_identity(change.subject)].append(change.at)
    new = [
        change for change in echoes if change.at is None or not any(abs(change.at - at) <= _ECHO for at in times.get(_identity(change.subject), ()))
    ]
    return newest_first([*told, *new])


def summary_of(changes: Sequence[Change], began_at: datetime, looked_back: timedelta) -> str:
    """`3 changes (2 rollout, 1 scale), the last: Deployment shop/cart …, 4 min before the incident began`."""
    if not changes:
        return f"no change seen since {readable(looked_back)} before the incident"
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(change.kind for change in changes).most_common(_NAMED))
    last = changes[0]
    when = "" if last.at is None else f", {readable(abs(last.at - began_at))} {'before' if last.at <= began_at else 'after'} the incident began"
    words = "1 change" if len(changes) == 1 else f"{len(changes)} changes ({kinds})"
    return f"{words}, the last: {one_line(last.text, 200)}{when}"


def _identity(subject: Subject) -> tuple[str, str, str]:
    return subject.kind, subject.namespace, subject.name


def newest_first(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Each change once, newest first, those of unknown time last, at most MAX_CHANGES, on one line and without secrets."""
    safe = (replace(change, text=redact(one_line(change.text, 500)), who=redact(one_line(change.who, 200))) for change in changes)
    unique = {(change.kind, change.subject, change.at, change.text): change for change in safe}
    ordered = sorted(
        unique.values(), key=lambda change: (change.at is None, -(change.at.timestamp() if change.at else 0.0), change.kind, change.text)
    )
    return tuple(ordered[:MAX_CHANGES])


# Rollouts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Revision:
    """One revision of a workload: a ReplicaSet, a ControllerRevision, or the pods that share a template."""

    name: str
    number: int | None
    made_at: datetime | None
    template: Any


def _rollouts(world: _World) -> Iterator[Change]:
    revisions: dict[tuple[str, str, str], list[_Revision]] = defaultdict(list)
    for item in world.of("ReplicaSet"):
        number = _whole(text_of(item.manifest, "metadata", "annotations", "deployment.kubernetes.io/revision"))
        owner = _owner(item) or ("Deployment", _without_hash(item.name, text_of(item.manifest, "metadata", "labels", "pod-template-hash")))
        made_at = instant_of(item.manifest, "metadata", "creationTimestamp")
        revision = _Revision(name=item.name, number=number, made_at=made_at, template=field_of(item.manifest, "spec", "template"))
        revisions[owner[0], item.namespace, owner[1]].append(revision)
    for item in world.of("ControllerRevision"):
        controller = _owner(item)
        if controller is not None:
            number = _whole(field_of(item.manifest, "revision"))
            made_at = instant_of(item.manifest, "metadata", "creationTimestamp")
            template = field_of(item.manifest, "data", "spec", "template")
            revision = _Revision(name=item.name, number=number, made_at=made_at, template=template)
            revisions[controller[0], item.namespace, controller[1]].append(revision)
    for key, found in _pod_revisions(world):
        if key not in revisions:
            revisions[key] = found
    for (kind, namespace, name), found in revisions.items():
        yield from _rollouts_of(world, kind, namespace, name, found)


def _pod_revisions(world: _World) -> Iterator[tuple[tuple[str, str, str], list[_Revision]]]:
    """The revisions that pods show by the hash of their template. A single one is none: pods are young for many reasons."""
    pods: dict[tuple[str, str, str], dict[str, list[KubernetesObject]]] = defaultdict(lambda: defaultdict(list))
    for pod in world.of("Pod"):
        labels = field_of(pod.manifest, "metadata", "labels")
        template_hash = text_of(labels, "pod-template-hash")
        revision_hash = template_hash or text_of(labels, "controller-revision-hash")
        if revision_hash:
            kind, name = _owner(pod) or ("Deployment", workload_of(pod.name))
            if kind == "ReplicaSet":
                kind, name = "Deployment", _without_hash(name, template_hash)
            pods[kind, pod.namespace, name][revision_hash].append(pod)
    for key, by_hash in pods.items():
        if len(by_hash) > 1:
            yield key, [_Revision(name=name, number=None, made_at=_first_made(found), template=found[0].manifest) for name, found in by_hash.items()]


def _first_made(pods: Sequence[KubernetesObject]) -> datetime | None:
    return min((at for pod in pods if (at := instant_of(pod.manifest, "metadata", "creationTimestamp"))), default=None)


def _rollouts_of(world: _World, kind: str, namespace: str, name: str, found: Sequence[_Revision]) -> Iterator[Change]:
    ordered = sorted(found, key=_age)
    workload = world.find(kind, namespace, name)
    subject = Subject(kind=kind, name=one_line(name), namespace=one_line(namespace))
    for index, revision in enumerate(ordered):
        before = ordered[index - 1] if index else None
        at = _rolled_out_at(world, revision, before, subject, workload, newest=index == len(ordered) - 1)
        if at is None:
            # The order alone is worth a word for the newest one only, and only where there is something to compare.
            if before is None or index < len(ordered) - 1 or revision.made_at is not None:
                continue
        elif not world.has(at):
            continue
        change = _rollout(subject, revision, before, at, workload)
        if change is not None:
            yield change


def _age(revision: _Revision) -> tuple[int, float, str]:
    return revision.number or 0, revision.made_at.timestamp() if revision.made_at else 0.0, revision.name


def _rolled_out_at(
    world: _World, revision: _Revision, before: _Revision | None, subject: Subject, workload: KubernetesObject | None, *, newest: bool
) -> datetime | None:
    """When a revision took over: when it was made, but for a rollback, which takes an old one out again."""
    rolled_back = before is not None and before.made_at is not None and revision.made_at is not None and revision.made_at < before.made_at
    if not rolled_back or not newest:
        return None if rolled_back else revision.made_at
    scaled = [
        at
        for event in _events(world, "ScalingReplicaSet", kind=subject.kind, namespace=subject.namespace, name=subject.name)
        if f"{revision.name} " in text_of(event.manifest, "message") and (at := _seen(event)) is not None
    ]
    if scaled:
        return max(scaled)
    return instant_of(condition(workload, "Progressing"), "lastUpdateTime") if workload else None


def _rollout(
    subject: Subject, revision: _Revision, before: _Revision | None, at: datetime | None, workload: KubernetesObject | None
) -> Change | None:
    number = f" to revision {revision.number}" if revision.number else ""
    who = _who(workload) or _writer(workload, at)
    cause = redact(one_line(text_of(workload.manifest if workload else None, "metadata", "annotations", "kubernetes.io/change-cause"), 120))
    said = f" ({cause})" if cause else ""
    what = describe(subject)
    if before is None:
        if revision.number in (None, 1):
            made = instant_of(workload.manifest, "metadata", "creationTimestamp") if workload else None
            if made is None or at is None or abs(at - made) > _SAME:
                return None  # the only ReplicaSet that we know of: nothing says what it replaced
            images = tuple(f"+ {name} image: {image}" for name, image in images_of(revision.template).items())
            return Change(at=at, kind="rollout", subject=subject, text=f"{what} was created{said}", who=who, diff=images[:20])
        return Change(at=at, kind="rollout", subject=subject, text=f"{what} rolled out{number}{said}; the one before is not kept", who=who)
    diff = template_diff(before.template, revision.template)
    settings = changed_settings(diff)
    if settings == (RESTART,):
        return Change(at=at, kind="rollout", subject=subject, text=f"{what} was restarted (kubectl rollout restart)", who=who, diff=diff)
    back = before.made_at is not None and revision.made_at is not None and revision.made_at < before.made_at
    verb = "was rolled back" if back else "rolled out"
    listed = ", ".join(settings[:4]) + (f" and {len(settings) - 4} more" if len(settings) > 4 else "")
    changed = f": {listed}" if settings else ""
    return Change(at=at, kind="rollout", subject=subject, text=f"{what} {verb}{number}{said}{changed}", who=who, diff=diff)


# Scale

_SCALED = re.compile(r"Scaled (up|down) replica set (\S+) (?:from (\d+) )?to (\d+)(?: from (\d+))?")
_RESIZED = re.compile(r"New size: (\d+)(?:; reason: (.{0,200}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scaling:
    """One event of a Deployment that sets the size of one of its ReplicaSets."""

    at: datetime
    up: bool
    replica_set: str
    before: str | None
    after: str


def _scalings(world: _World, rollouts: Sequence[Change]) -> Iterator[Change]:
    by_autoscaler = list(_autoscalings(world))
    yield from by_autoscaler
    scalings: dict[Subject, list[_Scaling]] = defaultdict(list)
    for event in _events(world, "ScalingReplicaSet"):
        at, scaled = _seen(event), _SCALED.search(text_of(event.manifest, "message"))
        about = field_of(event.manifest, "involvedObject")
        namespace = text_of(about, "namespace") or event.namespace
        subject = Subject(kind=one_line(text_of(about, "kind")) or "Deployment", name=one_line(text_of(about, "name")), namespace=one_line(namespace))
        if scaled is None or at is None or not world.has(at) or not subject.name:
            continue
        up, replica_set, before, after, also_before = scaled.groups()
        scalings[subject].append(_Scaling(at=at, up=up == "up", replica_set=one_line(replica_set, 120), before=before or also_before, after=after))
    for subject, found in scalings.items():
        others = [change.at for change in by_autoscaler if change.subject == subject and change.at]
        revisions = [change.at for change in rollouts if change.subject == subject and change.at]
        left = [
            item
            for item in found
            if not any(abs(at - item.at) <= _SAME for at in others) and not any(-_SAME <= item.at - at <= _ROLLOUT_LASTS for at in revisions)
        ]
        yield from _said_by_events(subject, sorted(left, key=lambda item: item.at))


def _said_by_events(subject: Subject, scalings: Sequence[_Scaling]) -> Iterator[Change]:
    """Two ReplicaSets that are scaled against each other are a rollout, of which we have no ReplicaSets to compare; one alone is a scaling."""
    what = describe(subject)
    started = next((item for item in reversed(scalings) if item.up), None)
    shrunk = [item.replica_set for item in scalings if not item.up and started is not None and item.replica_set != started.replica_set]
    if started is not None and shrunk:
        first = next(item for item in scalings if item.up and item.replica_set == started.replica_set)
        yield Change(at=first.at, kind="rollout", subject=subject, text=f"{what} rolled out: {started.replica_set} replaces {shrunk[-1]}")
        return
    for item in scalings:
        yield Change(at=item.at, kind="scale", subject=subject, text=f"{what} was scaled {_from_to(item.before, item.after)}")


def _autoscalings(world: _World) -> Iterator[Change]:
    for event in _events(world, "SuccessfulRescale"):
        at, resized = _seen(event), _RESIZED.search(text_of(event.manifest, "message"))
        if resized is None or at is None or not world.has(at):
            continue
        about = field_of(event.manifest, "involvedObject")
        namespace, name = text_of(about, "namespace") or event.namespace, text_of(about, "name")
        scaler = world.find("HorizontalPodAutoscaler", namespace, name)
        target = field_of(scaler.manifest, "spec", "scaleTargetRef") if scaler else None
        kind, whom = (text_of(target, "kind"), text_of(target, "name")) if target else ("HorizontalPodAutoscaler", name)
        subject = Subject(kind=one_line(kind), name=one_line(whom), namespace=one_line(namespace))
        reason = redact(one_line(resized.group(2) or ""))
        yield Change(
            at=at,
            kind="scale",
            subject=subject,
            text=f"{describe(subject)} was scaled {_from_to(None, resized.group(1))}" + (f": {reason}" if reason else ""),
            who=f"HorizontalPodAutoscaler {one_line(name, 80)}",
        )


def _from_to(before: str | None, after: str) -> str:
    return f"from {before} to {after} replicas" if before is not None else f"to {after} replicas"


# Configuration

_HELM_RELEASE = "helm.sh/release.v1"
_LEADER = re.compile(r"leader|-lock$|-election$|^kube-root-ca\.crt$|^cluster-info$")
"""ConfigMaps that controllers write every few seconds, or that every namespace has."""


def _configs(world: _World) -> Iterator[Change]:
    users = _users(world)
    has_workloads = {item.namespace for item in world.of("Pod", "Deployment", "StatefulSet", "DaemonSet")}
    for item in world.of("ConfigMap", "Secret"):
        if text_of(item.manifest, "type") == _HELM_RELEASE or _LEADER.search(item.name):
            continue
        made_at = instant_of(item.manifest, "metadata", "creationTimestamp")
        at, manager = _last_written(item) or (made_at, "")
        used_by = users.get((item.kind, item.namespace, item.name), ())
        if not world.has(at) or (not used_by and item.namespace in has_workloads):
            continue
        subject = Subject(kind=item.kind, name=one_line(item.name), namespace=one_line(item.namespace))
        verb = "was created" if _is_birth(at, made_at) else "was written"
        whom = f", used by {', '.join(used_by[:4])}" + (f" and {len(used_by) - 4} more" if len(used_by) > 4 else "") if used_by else ""
        yield Change(at=at, kind="config", subject=subject, text=f"{describe(subject)} {verb}{whom}", who=_who(item) or one_line(manager, 80))


_EDITED = (
    "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Service", "Ingress", "NetworkPolicy", "ResourceQuota", "LimitRange",
    "HorizontalPodAutoscaler", "PodDisruptionBudget", "PersistentVolumeClaim", "ServiceAccount", "StorageClass", "HTTPRoute", "VirtualService",
)  # fmt: skip
"""Kinds that people and pipelines write, and controllers only where they do what they were told."""

_OWN_DOING = re.compile(r"^(?:kube|cloud)-controller-manager$|^kubelet$|^kube-scheduler$|csi|provisioner|autoscaler")
"""Managers that carry out what somebody else decided: who scales a Deployment for its autoscaler has changed nothing."""


def _edits(world: _World, told: Sequence[Change]) -> Iterator[Change]:
    """What was written in the window, as far as no change of `told` says what it was."""
    times: dict[Subject, list[datetime]] = defaultdict(list)
    for change in told:
        if change.at is not None:
            times[change.subject].append(change.at)
    for item in world.of(*_EDITED):
        at, manager = _last_written(item) or (None, "")
        subject = _object_subject(item)
        if at is None or not world.has(at) or _OWN_DOING.search(manager) or any(abs(at - other) <= _SAME for other in times.get(subject, ())):
            continue
        verb = "was created" if _is_birth(at, instant_of(item.manifest, "metadata", "creationTimestamp")) else "was changed"
        who = _who(item) or one_line(manager, 80)
        yield Change(at=at, kind="config", subject=subject, text=f"{describe(subject)} {verb}", who=who)


def _last_written(item: KubernetesObject) -> tuple[datetime, str] | None:
    """When somebody last wrote the object, other than its status, and with which program; None where it does not say."""
    entries = mappings_of(item.manifest, "metadata", "managedFields")
    written = [
        (at, text_of(entry, "manager"))
        for entry in entries
        if text_of(entry, "subresource") != "status" and (at := instant_of(entry, "time")) is not None
    ]
    return max(written, default=None)


def _is_birth(at: datetime | None, made_at: datetime | None) -> bool:
    return at is not None and made_at is not None and at - made_at < timedelta(seconds=5)


def _users(world: _World) -> dict[tuple[str, str, str], tuple[str, ...]]:
    """Which workloads use which ConfigMaps and Secrets. Pods speak only where no owner of theirs is known."""
    users: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for item in world.of("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Pod"):
        template = item.manifest if item.kind == "Pod" else field_of(item.manifest, "spec", "template")
        if item.kind == "CronJob":
            template = field_of(item.manifest, "spec", "jobTemplate", "spec", "template")
        name = describe(Subject(kind=item.kind, name=item.name, namespace=item.namespace))
        if item.kind == "Pod" and (owner := _owner(item)) is not None:
            kind, called = owner if owner[0] != "ReplicaSet" else ("Deployment", workload_of(item.name))
            name = describe(Subject(kind=kind, name=called, namespace=item.namespace))
        for kind, wanted in _references(template):
            users[kind, item.namespace, wanted][name] = None
    return {key: tuple(names) for key, names in users.items()}


def _references(template: Any) -> Iterator[tuple[str, str]]:
    """The ConfigMaps and Secrets that a pod template names."""
    spec = field_of(template, "spec")
    for volume in mappings_of(spec, "volumes"):
        for source in (volume, *mappings_of(volume, "projected", "sources")):
            yield "ConfigMap", text_of(source, "configMap", "name")
            yield "Secret", text_of(source, "secret", "secretName") or text_of(source, "secret", "name")
    for container in (*mappings_of(spec, "initContainers"), *mappings_of(spec, "containers")):
        for source in mappings_of(container, "envFrom"):
            yield "ConfigMap", text_of(source, "configMapRef", "name")
            yield "Secret", text_of(source, "secretRef", "name")
        for variable in mappings_of(container, "env"):
            yield "ConfigMap", text_of(variable, "valueFrom", "configMapKeyRef", "name")
            yield "Secret", text_of(variable, "valueFrom", "secretKeyRef", "name")


# Nodes

_NODE_EVENTS = {
    "NodeNotReady": "became not ready", "NodeReady": "became ready", "NodeNotSchedulable": "was cordoned", "NodeSchedulable": "was uncordoned",
    "RemovingNode": "was removed", "Rebooted": "was rebooted",
}  # fmt: skip
"""Not RegisteredNode, which comes for every node whenever the controller manager starts."""

_CORDONED = "node.kubernetes.io/unschedulable"


def _nodes(world: _World) -> Iterator[Change]:
    said: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    # Conditions, taints and events tell of one thing; whoever says why is heard first.
    for at, name, verb, why in sorted(_node_changes(world), key=lambda item: (not item[3], -item[0].timestamp())):
        if any(abs(at - earlier) <= _SAME for earlier in said[name, verb]):
            continue
        said[name, verb].append(at)
        subject = Subject(kind="Node", name=name, node=name)
        yield Change(at=at, kind="node", subject=subject, text=f"Node {name} {verb}" + (f": {why}" if why else ""))


def _node_changes(world: _World) -> Iterator[tuple[datetime, str, str, str]]:
    for at, name, verb, why in (*_node_states(world), *_node_events(world)):
        if at is not None and name and world.has(at):
            yield at, one_line(name), verb, why


def _node_states(world: _World) -> Iterator[tuple[datetime | None, str, str, str]]:
    for node in world.of("Node"):
        made_at = instant_of(node.manifest, "metadata", "creationTimestamp")
        yield made_at, node.name, "joined", ""
        for taint in mappings_of(node.manifest, "spec", "taints"):
            if text_of(taint, "key") == _CORDONED:
                yield instant_of(taint, "timeAdded"), node.name, "was cordoned", ""
        for found in mappings_of(node.manifest, "status", "conditions"):
            kind, status, at = text_of(found, "type"), text_of(found, "status"), instant_of(found, "lastTransitionTime")
            why = redact(one_line(text_of(found, "message") or text_of(found, "reason"), 160))
            if kind == "Ready" and status in ("False", "Unknown"):
                yield at, node.name, "became not ready", why
            elif kind == "Ready" and status == "True" and at is not None and made_at is not None and at - made_at > _SAME:
                yield at, node.name, "became ready", ""
            elif kind != "Ready" and status == "True":
                yield at, node.name, f"reports {one_line(kind, 60)}", why


def _node_events(world: _World) -> Iterator[tuple[datetime | None, str, str, str]]:
    for reason, verb in _NODE_EVENTS.items():
        for event in _events(world, reason, kind="Node"):
            yield _seen(event), text_of(event.manifest, "involvedObject", "name"), verb, ""


# GitOps

_FLUX = ("Kustomization", "HelmRelease", "GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket")
_FLUX_EVENTS = {
    "NewArtifact": "fetched", "UpgradeSucceeded": "was upgraded", "InstallSucceeded": "was installed", "RollbackSucceeded": "was rolled back",
    "UpgradeFailed": "failed to upgrade", "InstallFailed": "failed to install", "RollbackFailed": "failed to roll back",
    "HealthCheckFailed": "is not healthy after its last change",
}  # fmt: skip
_APPLIED = re.compile(r"\b(?:configured|created|deleted)\b")


def _gitops(world: _World) -> Iterator[Change]:
    found = [*_releases(world), *_helm_secrets(world), *_argo(world), *_flux_events(world), *_flux_conditions(world)]
    kept: dict[Subject, list[datetime]] = defaultdict(list)
    for change in found:  # the most telling first
        at = change.at
        if at is not None and world.has(at) and not any(abs(at - other) <= _SAME for other in kept[change.subject]):
            kept[change.subject].append(at)
            yield change


def _releases(world: _World) -> Iterator[Change]:
    """Flux' own history of a Helm release, newest first in the object."""
    for item in world.of("HelmRelease"):
        history = mappings_of(item.manifest, "status", "history")
        for index, entry in enumerate(history[:10]):
            before = history[index + 1] if index + 1 < len(history) else None
            subject = _object_subject(item)
            status = one_line(text_of(entry, "status"), 40)
            state = f", {status}" if status and status not in ("deployed", "superseded") else ""
            diff = tuple(
                f"{sign} {name}: {redact(one_line(value, 120))}"
                for name, key in (("chart", "chartVersion"), ("app version", "appVersion"))
                if text_of(before, key) != text_of(entry, key)
                for sign, value in (("-", text_of(before, key)), ("+", text_of(entry, key)))
                if value
            )
            version = f" {one_line(text_of(entry, 'chartVersion'), 80)}" if text_of(entry, "chartVersion") else ""
            yield Change(
                at=instant_of(entry, "lastDeployed"),
                kind="gitops",
                subject=subject,
                text=f"{describe(subject)} deployed {one_line(text_of(entry, 'chartName'), 80) or 'its chart'}{version}{state}",
                who="Flux",
                diff=diff,
            )


def _helm_secrets(world: _World) -> Iterator[Change]:
    """Helm keeps every release as a Secret (or a ConfigMap) whose labels say which and how it went."""
    for item in world.of("Secret", "ConfigMap"):
        labels = field_of(item.manifest, "metadata", "labels")
        if text_of(labels, "owner") == "helm" and text_of(labels, "name"):
            subject = Subject(kind="HelmRelease", name=one_line(text_of(labels, "name")), namespace=one_line(item.namespace))
            version, status = one_line(text_of(labels, "version"), 20), one_line(text_of(labels, "status"), 40)
            state = f", {status}" if status and status not in ("deployed", "superseded") else ""
            at = instant_of(item.manifest, "metadata", "creationTimestamp")
            yield Change(at=at, kind="gitops", subject=subject, text=f"{describe(subject)} has a new revision {version}{state}".rstrip(), who="Helm")


def _argo(world: _World) -> Iterator[Change]:
    for item in world.of("Application"):
        history = mappings_of(item.manifest, "status", "history")[-10:]
        for index, entry in enumerate(history):
            before = history[index - 1] if index else None
            subject = _object_subject(item)
            revision, earlier = (redact(one_line(text_of(side, "revision"), 80)) for side in (entry, before))
            diff = tuple(f"{sign} revision: {value}" for sign, value in (("-", earlier), ("+", revision)) if value and revision != earlier)
            who = one_line(text_of(entry, "initiatedBy", "username"), 80) or "Argo CD"
            yield Change(
                at=instant_of(entry, "deployedAt"), kind="gitops", subject=subject, text=f"{describe(subject)} was synchronised", who=who, diff=diff
            )


def _flux_events(world: _World) -> Iterator[Change]:
    for event in world.of("Event"):
        about, reason = field_of(event.manifest, "involvedObject"), text_of(event.manifest, "reason")
        if text_of(about, "kind") not in _FLUX:
            continue
        message = redact(one_line(text_of(event.manifest, "message"), 200))
        verb = _FLUX_EVENTS.get(reason) or ("applied changes" if reason == "Progressing" and _APPLIED.search(message) else "")
        if verb:
            subject = Subject(
                kind=one_line(text_of(about, "kind")),
                name=one_line(text_of(about, "name")),
                namespace=one_line(text_of(about, "namespace") or event.namespace),
            )
            words = f"{describe(subject)} {verb}" + (f": {message}" if message else "")
            yield Change(at=_seen(event), kind="gitops", subject=subject, text=words, who="Flux")


def _flux_conditions(world: _World) -> Iterator[Change]:
    for item in world.of(*_FLUX):
        ready = condition(item, "Ready")
        if not ready:
            continue
        subject = _object_subject(item)
        status = field_of(item.manifest, "status")
        applied = text_of(status, "lastAppliedRevision") or text_of(status, "artifact", "revision")
        wanted = text_of(status, "lastAttemptedRevision")
        message = redact(one_line(text_of(ready, "message"), 160))
        at = instant_of(ready, "lastTransitionTime")
        if text_of(ready, "status") == "False":
            diff = tuple(
                f"{sign} revision: {redact(one_line(value, 80))}" for sign, value in (("-", applied), ("+", wanted)) if value and applied != wanted
            )
            yield Change(at=at, kind="gitops", subject=subject, text=f"{describe(subject)} is not ready: {message}", who="Flux", diff=diff)
        elif text_of(ready, "status") == "True":
            revision = f" with {one_line(applied, 80)}" if applied else ""
            yield Change(at=at, kind="gitops", subject=subject, text=f"{describe(subject)} became ready{revision}", who="Flux")


# Jobs and certificates


def _jobs(world: _World) -> Iterator[Change]:
    starts: dict[tuple[str, str, str], list[tuple[datetime, KubernetesObject]]] = defaultdict(list)
    for item in world.of("Job"):
        at = instant_of(item.manifest, "status", "startTime") or instant_of(item.manifest, "metadata", "creationTimestamp")
        if at is not None and world.has(at):
            kind, name = _owner(item) or ("Job", item.name)
            starts[kind, item.namespace, name].append((at, item))
    for (kind, namespace, name), found in starts.items():
        at, job = max(found, key=lambda pair: (pair[0], pair[1].name))
        subject = Subject(kind=one_line(kind), name=one_line(name), namespace=one_line(namespace))
        which = "started" if kind == "Job" else f"started {one_line(job.name, 80)}"
        often = f", {len(found)} times in the window" if len(found) > 1 else ""
        failed = sum(1 for _, item in found if text_of(condition(item, "Failed"), "status") == "True")
        yield Change(at=at, kind="job", subject=subject, text=f"{describe(subject)} {which}{often}" + (f"; {failed} failed" if failed else ""))


def _certificates(world: _World) -> Iterator[Change]:
    for item in world.of("Certificate"):
        subject, ready = _object_subject(item), condition(item, "Ready")
        issued, until = instant_of(item.manifest, "status", "notBefore"), instant_of(item.manifest, "status", "notAfter")
        # A certificate begins an hour before it is issued, so that clocks that are behind accept it; the condition has the true time.
        turned = instant_of(ready, "lastTransitionTime")
        if text_of(ready, "status") == "False" and world.has(turned):
            why = redact(one_line(text_of(ready, "message"), 160))
            yield Change(at=turned, kind="certificate", subject=subject, text=f"{describe(subject)} is not ready: {why}", who="cert-manager")
        elif issued is not None and world.has(issued):
            end = f", valid until {until:%Y-%m-%d %H:%MZ}" if until else ""
            yield Change(at=issued, kind="certificate", subject=subject, text=f"{describe(subject)} was issued anew{end}", who="cert-manager")


# Reading objects


def _owner(item: KubernetesObject) -> tuple[str, str] | None:
    """Kind and name of the controller."""
    references = mappings_of(item.manifest, "metadata", "ownerReferences")
    controller = next((reference for reference in references if field_of(reference, "controller") is True), references[0] if references else None)
    kind, name = text_of(controller, "kind"), text_of(controller, "name")
    return (kind, name) if kind and name else None


def _who(item: KubernetesObject | None) -> str:
    """Who manages the object, as far as its labels say."""
    labels, annotations = (field_of(item.manifest, "metadata", part) if item else None for part in ("labels", "annotations"))
    for prefix, kind in (("helm.toolkit.fluxcd.io", "HelmRelease"), ("kustomize.toolkit.fluxcd.io", "Kustomization")):
        if name := text_of(labels, f"{prefix}/name"):
            return f"Flux {kind} {one_line(text_of(labels, f'{prefix}/namespace'), 80)}/{one_line(name, 80)}"
    if name := text_of(labels, "argocd.argoproj.io/instance"):
        return f"Argo CD {one_line(name, 80)}"
    if name := text_of(annotations, "meta.helm.sh/release-name"):
        return f"Helm release {one_line(name, 80)}"
    return ""


def _writer(item: KubernetesObject | None, at: datetime | None) -> str:
    """Which program wrote the object at this time: `kubectl-edit`, `helm`. Empty where somebody has written it since, or nobody says."""
    when, manager = (_last_written(item) if item else None) or (None, "")
    near = when is not None and at is not None and abs(when - at) <= _SAME
    return one_line(manager, 80) if near and not _OWN_DOING.search(manager) else ""


def _events(world: _World, reason: str, *, kind: str = "", namespace: str = "", name: str = "") -> Iterator[KubernetesObject]:
    for event in world.events_about.get((reason, name), ()) if name else world.events_by_reason.get(reason, ()):
        about = field_of(event.manifest, "involvedObject")
        if (not kind or text_of(about, "kind") == kind) and (not namespace or (text_of(about, "namespace") or event.namespace) == namespace):
            yield event


def _seen(event: KubernetesObject) -> datetime | None:
    """When an event was last seen."""
    paths = (("lastTimestamp",), ("series", "lastObservedTime"), ("eventTime",), ("firstTimestamp",), ("metadata", "creationTimestamp"))
    return next((at for path in paths if (at := instant_of(event.manifest, *path)) is not None), None)


def _object_subject(item: KubernetesObject) -> Subject:
    return Subject(kind=one_line(item.kind), name=one_line(item.name), namespace=one_line(item.namespace))


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else None


def _without_hash(name: str, template_hash: str) -> str:
    if template_hash and name.endswith(f"-{template_hash}"):
        return name.removesuffix(f"-{template_hash}")
    stem, _, last = name.rpartition("-")
    return stem if stem and re.fullmatch(r"[a-f0-9bcdf]{5,10}", last) else name
