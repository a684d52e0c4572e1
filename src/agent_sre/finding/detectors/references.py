"""What a pod refers to and nobody has: Secrets, ConfigMaps, their keys, service accounts; and mounted files that the program may not touch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import container_states, instant_of, mounts_of
from agent_sre.finding.finding import Finding
from agent_sre.finding.notices import Notice, notices
from agent_sre.finding.weights import LIKELY, POSSIBLE, PROVED, STATED
from agent_sre.finding.world import Seen, World, field, mapping, sequence, string
from agent_sre.kit.text import both_ends, one_line

_WAITING = frozenset({"CreateContainerConfigError", "ContainerCreating", "PodInitializing", "CreateContainerError"})
_MISSING = re.compile(
    r"""(?P<kind>secret|configmap)s?\ "(?P<name>[^"]{1,253})"\ (?:is\ )?(?:not\ found|forbidden)
      | couldn't\ find\ key\ (?P<key>\S{1,253})\ in\ (?P<kind2>Secret|ConfigMap)\ (?P<name2>\S{1,400})
      | references\ non-existent\ (?P<kind3>secret|config\ map|configmap)?\ ?key:?\ (?P<key3>\S{1,253})""",
    re.IGNORECASE | re.VERBOSE,
)
_NO_ACCOUNT = re.compile(r'serviceaccounts? "(?P<name>[^"]{1,253})" (?:is )?not found|service account \S{0,300}? ?(?:was )?not found', re.IGNORECASE)
_DENIED = re.compile(
    r"permission denied|EACCES|AccessDeniedException|access (?:is )?denied(?! for user)"
    r"|operation not permitted|read-?only file ?system|EROFS|not writable",
    re.IGNORECASE,
)
_WITHOUT = re.compile(r"MountVolume|mount", re.IGNORECASE)


class MissingReferences:
    """Reads pods that wait, and what the kubelet says of them; FailedCreate of their controllers; logs of programs that may not write."""

    name = "missing_references"

    def detect(self, world: World) -> Iterable[Finding]:
        yield from self._configuration(world)
        yield from self._accounts(world)
        yield from self._denied(world)

    def _configuration(self, world: World) -> Iterator[Finding]:
        """What containers wait for now. That a pod once waited and then ran is no trouble."""
        told: set[tuple[str, str, str]] = set()
        for seen in world.objects("Pod"):
            waits = [state for state in container_states(seen.value) if state.state == "waiting" and state.reason in _WAITING]
            if not waits:
                continue
            subject = world.workload("Pod", seen.value.namespace, seen.value.name)
            messages: list[tuple[str, str, datetime | None]] = [(seen.evidence_id, state.message, None) for state in waits if state.message]
            found = world.events("Pod", seen.value.namespace, seen.value.name)
            about = [
                item for item in notices(world, "Failed", "FailedMount") if (item.namespace, item.name) == (seen.value.namespace, seen.value.name)
            ]
            messages += [(item.evidence_id, item.message, item.first_at) for item in about] if found else []
            for evidence_id, message, at in messages:
                match = _MISSING.search(message)
                if match is None:
                    continue
                secret = "secret" in (match["kind"] or match["kind2"] or match["kind3"] or "secret").casefold()
                name = (match["name"] or match["name2"] or "").rpartition("/")[2].rstrip('".,')
                if (subject.namespace, subject.name, name) in told:
                    continue
                told.add((subject.namespace, subject.name, name))
                kind = "Secret" if secret else "ConfigMap"
                key = match["key"] or match["key3"] or ""
                yield Finding(
                    detector=self.name, summary=f"{seen.value.name} cannot start: {both_ends(message, 200)}", subject=subject,
                    facts={"kind_of_reference": kind, "reference": name or None, "key": key or None, "pod": seen.value.name},
                    evidence_ids=tuple(dict.fromkeys((evidence_id, seen.evidence_id))),
                    cause="missing_secret_binding" if secret else "missing_config_map", weight=STATED, began_at=at or _created(seen),
                )  # fmt: skip

    def _accounts(self, world: World) -> Iterator[Finding]:
        """An account that is still missing. While a namespace is filled, controllers ask for accounts a second before they are there."""
        there = {(seen.value.namespace, seen.value.name) for seen in world.objects("ServiceAccount")}
        told: set[tuple[str, str]] = set()
        for notice in (*notices(world, "FailedCreate"), *_conditions(world)):
            match = _NO_ACCOUNT.search(notice.message)
            if match is None or not _is_short(world, notice):
                continue
            name = match["name"] or ""
            subject = world.workload(notice.kind, notice.namespace, notice.name)
            if (notice.namespace, name) in there or (subject.namespace, subject.name) in told:
                continue
            told.add((subject.namespace, subject.name))
            proof = STATED if there or not name else PROVED
            yield Finding(
                detector=self.name, summary=f"{notice.name} cannot make pods: {both_ends(notice.message, 220)}", subject=subject,
                facts={"account": name or None}, evidence_ids=(notice.evidence_id,), cause="missing_service_account", weight=proof,
                began_at=notice.first_at,
            )  # fmt: skip

    def _denied(self, world: World) -> Iterator[Finding]:
        """A path that the program may not touch, below one that is mounted into it."""
        told: set[tuple[str, str]] = set()
        for seen in world.objects("Pod"):
            states = container_states(seen.value)
            if all(state.ready for state in states) or not states:
                continue
            subject = world.workload("Pod", seen.value.namespace, seen.value.name)
            if (subject.namespace, subject.name) in told:
                continue
            paths = _mounts(seen.value)
            words = [(seen.evidence_id, state.message, state.last_finished_at) for state in states if state.message]
            words += [
                (item.evidence_id, item.message, item.first_at)
                for item in notices(world, "Failed", "FailedMount", "BackOff", "FailedPostStartHook")
                if (item.namespace, item.name) == (seen.value.namespace, seen.value.name)
            ]
            names = {subject.name, seen.value.name, string(field(seen.value.manifest, "metadata", "labels", "app"))}
            words += [
                (line.evidence_id, text, line.value.first_at)
                for line in world.log_patterns
                if line.value.count and line.value.subject.name in names
                for text in (line.value.sample, line.value.template)
            ]
            for evidence_id, text, at in words:
                if not _DENIED.search(text):
                    continue
                path = next((path for path in paths if path in text), "")
                mounting = bool(_WITHOUT.search(text))
                crashed = any(state.exit_code not in (None, 0) for state in states)
                if not path and not (mounting and paths) and not crashed:
                    continue
                told.add((subject.namespace, subject.name))
                weight = STATED if path and crashed else PROVED if path else LIKELY if paths and crashed else POSSIBLE
                yield Finding(
                    detector=self.name, summary=f"{seen.value.name} may not use {path or 'its files'}: {one_line(text, 200)}", subject=subject,
                    facts={"path": path or None, "pod": seen.value.name}, evidence_ids=tuple(dict.fromkeys((evidence_id, seen.evidence_id))),
                    cause="volume_mount_permission_denied", weight=weight, began_at=at or _created(seen),
                )  # fmt: skip
                break


def _created(seen: Seen[KubernetesObject]) -> datetime | None:
    return instant_of(seen.value.manifest, "metadata", "creationTimestamp")


def _conditions(world: World) -> Iterator[Notice]:
    """ReplicaFailure, as ReplicaSets and Deployments keep it when the event is gone."""
    for kind in ("ReplicaSet", "Deployment"):
        for seen in world.objects(kind):
            for item in sequence(field(seen.value.manifest, "status", "conditions")):
                condition = mapping(item)
                if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
                    yield Notice(
                        evidence_id=seen.evidence_id, kind=kind, namespace=seen.value.namespace, name=seen.value.name,
                        reason=string(condition.get("reason")), message=string(condition.get("message")), host="",
                        first_at=instant_of(condition, "lastTransitionTime"), last_at=None,
                    )  # fmt: skip


def _is_short(world: World, notice: Notice) -> bool:
    """Whether the controller still has fewer pods than it wants; True where nobody knows."""
    seen = world.object(notice.kind, notice.namespace, notice.name)
    if seen is None:
        return not world.objects(notice.kind)
    wanted, there = field(seen.value.manifest, "spec", "replicas"), field(seen.value.manifest, "status", "replicas")
    if notice.kind == "DaemonSet":
        wanted, there = (field(seen.value.manifest, "status", name) for name in ("desiredNumberScheduled", "currentNumberScheduled"))
    if not isinstance(wanted, int):
        wanted = 1
    return wanted > (there if isinstance(there, int) else 0)


def _mounts(pod: KubernetesObject) -> list[str]:
    """Where volumes are mounted, deepest first; the ones that Kubernetes makes itself are no operator's."""
    found = {mount.path for mount in mounts_of(pod)}
    return sorted((path for path in found if len(path) > 1 and not path.startswith("/var/run/secrets/")), key=len, reverse=True)
