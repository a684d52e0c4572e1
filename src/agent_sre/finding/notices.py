"""Events of the cluster as sentences: who said what about whom, when. Manifests may hold anything; a Notice does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from agent_sre.alert.subject import Subject
from agent_sre.evidence.kubernetes.objects import instant_of
from agent_sre.finding.world import World, field, string
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

    @property
    def quote(self) -> str:
        """The message, short enough for a sentence."""
        return one_line(self.message, MESSAGE_LENGTH)


def notices(world: World, *reasons: str) -> Iterator[Notice]:
    """The events with one of these reasons, all of them without; in the order in which they were answered."""
    for seen in world.objects("Event"):
        manifest = seen.value.manifest
        reason = string(manifest.get("reason"))
        if reasons and reason not in reasons:
            continue
        last_at = instant_of(manifest, "lastTimestamp") or instant_of(manifest, "eventTime") or instant_of(manifest, "series", "lastObservedTime")
        yield Notice(
            evidence_id=seen.evidence_id,
            kind=string(field(manifest, "involvedObject", "kind")),
            namespace=string(field(manifest, "involvedObject", "namespace")) or seen.value.namespace,
            name=string(field(manifest, "involvedObject", "name")),
            reason=reason,
            message=string(manifest.get("message")) or string(manifest.get("note")),
            host=string(field(manifest, "source", "host")),
            first_at=instant_of(manifest, "firstTimestamp") or last_at,
            last_at=last_at,
        )


def subject_of(world: World, notice: Notice) -> Subject:
    """Whom a notice is about, as its workload."""
    return Subject(kind="Node", name=notice.name) if notice.kind == "Node" else world.workload(notice.kind, notice.namespace, notice.name)
