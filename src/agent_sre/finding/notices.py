"""Events of the cluster as sentences: who said what about whom, when. Manifests may hold anything; a Notice does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import instant_of
from agent_sre.finding.world import Seen, World, field, string
from agent_sre.kit.text import one_line

MESSAGE_LENGTH = 300
"""Of a message in a finding's sentence: scheduler and image pull say what matters within it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One event, or one condition with a message."""

    evidence_id: str
    kind: str  # of the object that it is about: "Pod"
    namespace: str
    name: str
    reason: str
    message: str
    host: str  # the node that reported it; empty where it does not say
    first_at: datetime | None
    last_at: datetime | None
    normal: bool = False  # the cluster itself means nothing bad by it

    @property
    def quote(self) -> str:
        """The message, short enough for a sentence."""
        return one_line(self.message, MESSAGE_LENGTH)


_READ: WeakKeyDictionary[World, tuple[Notice, ...]] = WeakKeyDictionary()
"""Several detectors read the events of the same world, which may be thousands."""


def notices(world: World, *reasons: str) -> Iterator[Notice]:
    """The events with one of these reasons, all of them without; in the order in which they were answered."""
    read = _READ.get(world)
    if read is None:
        _READ[world] = read = tuple(_notice(seen) for seen in world.objects("Event"))
    return (notice for notice in read if not reasons or notice.reason in reasons)


def complaints(world: World) -> Iterator[Notice]:
    """The events that are not of type Normal, one of each message about an object."""
    told: set[tuple[str, str, str, str]] = set()
    for notice in notices(world):
        key = (notice.message, notice.kind, notice.namespace, notice.name)
        if not notice.normal and key not in told:
            told.add(key)
            yield notice


def _notice(seen: Seen[KubernetesObject]) -> Notice:
    manifest = seen.value.manifest
    last_at = instant_of(manifest, "lastTimestamp") or instant_of(manifest, "eventTime") or instant_of(manifest, "series", "lastObservedTime")
    return Notice(
        evidence_id=seen.evidence_id,
        kind=string(field(manifest, "involvedObject", "kind")),
        namespace=string(field(manifest, "involvedObject", "namespace")) or seen.value.namespace,
        name=string(field(manifest, "involvedObject", "name")),
        normal=manifest.get("type") == "Normal",
        reason=string(manifest.get("reason")),
        message=string(manifest.get("message")) or string(manifest.get("note")),
        host=string(field(manifest, "source", "host")),
        first_at=instant_of(manifest, "firstTimestamp") or last_at,
        last_at=last_at,
    )


def subject_of(world: World, notice: Notice) -> Subject:
    """Whom a notice is about, as its workload."""
    return Subject(kind="Node", name=notice.name) if notice.kind == "Node" else world.workload(notice.kind, notice.namespace, notice.name)
