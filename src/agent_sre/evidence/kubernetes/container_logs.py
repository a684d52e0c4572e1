"""Which containers' logs are worth reading, and what becomes of their lines.

What lines mean is the miner's business (evidence/logs).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent_sre.alert import subject as subjects
from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import (
    ContainerState,
    Objects,
    World,
    by_relevance,
    container_states,
    containers_of,
    is_troubled,
    mapping_of,
    text_of,
)

MAX_LOGS = 8
"""Containers whose log is read for one alert: the worst. Their neighbours say the same."""


_MAX_FINE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """One container's log, of its present life or of the one before."""

    namespace: str
    pod: str
    container: str
    node: str
    previous: bool

    @property
    def subject(self) -> Subject:
        """Whose words these are."""
        return Subject(kind="Pod", name=self.pod, namespace=self.namespace, container=self.container, node=self.node)


def containers_to_read(pods: Objects, subject: Subject, *, previous: bool) -> tuple[tuple[LogSource, ...], bool]:
    """The logs to read, the most telling first, and whether there were more than MAX_LOGS.

    Of the subject's own pods every container; of others those that are not ready or have crashed. The previous life only of containers
    that had one.
    """
    ranked: list[tuple[int, LogSource]] = []
    for pod in by_relevance(World(pods), subject):
        own = is_own(pod, subject)
        if not own and not is_troubled(pod):
            continue
        node = text_of(pod.manifest, "spec", "nodeName")
        for name, state in _states(pod):
            crashed = state is not None and (state.restarts > 0 or bool(state.last_reason))
            asked = own and subject.container in ("", name)
            if (previous and not crashed) or (not previous and state is not None and state.state == "waiting" and not crashed):
                continue  # no such life, or not begun yet
            if asked or crashed or state is None or not state.ready:
                source = LogSource(namespace=pod.namespace, pod=pod.name, container=name, node=node, previous=previous)
                bad = crashed or (state is not None and not state.ready)
                ranked.append(((0 if bad else 1) if asked else 2, source))
    # A few healthy copies speak for all: the places of the others are for neighbours that crash.
    fine = [item for item in ranked if item[0] == 1]
    ranked = [item for item in ranked if item[0] != 1] + fine[:_MAX_FINE]
    found = [source for _, source in sorted(ranked, key=lambda item: item[0])]
    return tuple(found[:MAX_LOGS]), len(found) > MAX_LOGS or len(fine) > _MAX_FINE


def is_own(pod: KubernetesObject, subject: Subject) -> bool:
    """Whether a pod is the subject or was made by it, as far as names and labels can tell."""
    if not subject.name or subject.kind in ("Namespace", "Node", "Host", "Cluster", "Alert"):
        return False
    if subject.kind == "Container":
        return any(text_of(container, "name") == subject.name for container in containers_of(pod))
    if pod.name == subject.name:
        return True
    called = subjects.workload_of(subject.name) if subject.kind == "Pod" else subject.name
    labels = mapping_of(pod.manifest, "metadata", "labels")
    named = called in (labels.get("app"), labels.get("app.kubernetes.io/name"), labels.get("app.kubernetes.io/instance"), labels.get("k8s-app"))
    return named or subjects.workload_of(pod.name) == called


def _states(pod: KubernetesObject) -> Iterable[tuple[str, ContainerState | None]]:
    by_name = {state.name: state for state in container_states(pod)}
    for container in containers_of(pod):
        name = text_of(container, "name")
        state = by_name.get(name)
        if name and not (state and state.initial and state.exit_code == 0 and not state.restarts):
            yield name, state
