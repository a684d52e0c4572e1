"""What follows from several answers together: no source is asked, so nothing here can fail or be late.

    objects of a cluster ──changes_of──┐
    changes that other answers tell ───┴──merged──> one answer more: what changed before the alert, each thing once

Its id is the next free one, and its words say which answers it was made from.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from agent_sre.evidence.changes import LOOKED_BACK, changes_of, merged, summary_of
from agent_sre.evidence.evidence import Change, Evidence, EvidenceSet, KubernetesObject, Query, Window
from agent_sre.incident.incident import Incident

CHANGES = "changes"


def with_changes(found: EvidenceSet, incident: Incident, now: datetime) -> EvidenceSet:
    """The same with one more answer: what changed since a day before the incident, from objects of a cluster and from what others tell.

    No change is an answer, too. Where a single answer has changes, and no object is there, that answer is the list already and nothing is added.
    Takes up to a second for thousands of objects: run it in a thread.
    """
    clusters = [item for item in found.items if any(isinstance(data, KubernetesObject) for data in item.data)]
    told = [item for item in found.items if any(isinstance(data, Change) for data in item.data)]
    if not clusters and len(told) < 2:
        return found
    window = Window(start=incident.triggered_at - LOOKED_BACK, end=now, step=timedelta(0))
    objects = (data for item in clusters for data in item.data if isinstance(data, KubernetesObject))
    changes = changes_of(objects, window_start=window.start, now=now)
    for item in told:
        changes = merged(changes, [data for data in item.data if isinstance(data, Change)])
    read_from = {item.id: item for item in (*clusters, *told)}
    query = Query(
        id=f"E{len(found.items) + len(found.gaps) + 1:02d}",
        source="kubernetes",
        kind=CHANGES,
        expression=f"rollouts, scale, configuration, nodes and releases, read from {', '.join(sorted(read_from))}",
        purpose="what changed before the alert, newest first",
        window=window,
    )
    evidence = Evidence(
        id=query.id,
        query=query,
        subject=incident.subject,
        data=changes,
        summary=summary_of(changes, incident.triggered_at, LOOKED_BACK),
        collected_at=now,
        took=timedelta(0),
        truncated=any(item.truncated for item in read_from.values()),
    )
    return replace(found, items=(*found.items, evidence))
