"""What follows from several answers together: no source is asked, so nothing here can fail or be late.

    objects of a cluster ──changes_of──> one answer more: what changed before the alert

Its id is the next free one, and its words say which answers it was made from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from agent_sre.evidence.changes import changes_of
from agent_sre.evidence.evidence import Change, Evidence, EvidenceSet, KubernetesObject, Query, Window
from agent_sre.incident.incident import Incident
from agent_sre.kit.durations import readable
from agent_sre.kit.text import one_line

CHANGES = "changes"

LOOKED_BACK = timedelta(hours=24)
"""Before the incident began. Most bad changes show within an hour; a day also shows what only broke under the next day's load."""

_NAMED = 3


def with_changes(found: EvidenceSet, incident: Incident, now: datetime) -> EvidenceSet:
    """The same with one more answer, where there are objects of a cluster: what changed since a day before the incident.

    No change is an answer, too. Takes up to a second for thousands of objects: run it in a thread.
    """
    answers = [item for item in found.items if any(isinstance(data, KubernetesObject) for data in item.data)]
    if not answers:
        return found
    window = Window(start=incident.triggered_at - LOOKED_BACK, end=now, step=timedelta(0))
    objects = (data for item in answers for data in item.data if isinstance(data, KubernetesObject))
    changes = changes_of(objects, window_start=window.start, now=now)
    ids = [item.id for item in answers]
    query = Query(
        id=f"E{len(found.items) + len(found.gaps) + 1:02d}",
        source="kubernetes",
        kind=CHANGES,
        expression=f"rollouts, scale, configuration, nodes and releases, read from {', '.join(ids)}",
        purpose="what changed before the alert, newest first",
        window=window,
    )
    evidence = Evidence(
        id=query.id,
        query=query,
        subject=incident.subject,
        data=changes,
        summary=_summary(changes, incident.triggered_at),
        collected_at=now,
        took=timedelta(0),
        truncated=any(item.truncated for item in answers),
    )
    return replace(found, items=(*found.items, evidence))


def _summary(changes: Sequence[Change], began_at: datetime) -> str:
    """`3 changes (2 rollout, 1 scale), the last: Deployment shop/cart …, 4 min before the incident`."""
    if not changes:
        return f"no change seen since {readable(LOOKED_BACK)} before the incident"
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(change.kind for change in changes).most_common(_NAMED))
    last = changes[0]
    when = "" if last.at is None else f", {_beside(last.at, began_at)}"
    words = "1 change" if len(changes) == 1 else f"{len(changes)} changes ({kinds})"
    return f"{words}, the last: {one_line(last.text, 200)}{when}"


def _beside(at: datetime, began_at: datetime) -> str:
    apart = readable(abs(at - began_at))
    return f"{apart} {'before' if at <= began_at else 'after'} the incident began"
