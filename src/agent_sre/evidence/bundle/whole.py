"""All of a recorded world as evidence, nothing left out: what the rules reason over where no database has to keep it.

BundleSource answers the same questions within bounds, because its answers are stored and shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from agent_sre.alert.subject import Subject
from agent_sre.evidence.bundle.bundle import Bundle
from agent_sre.evidence.bundle.kinds import plural_of
from agent_sre.evidence.bundle.logs import patterns_of
from agent_sre.evidence.derived import with_changes
from agent_sre.evidence.evidence import Data, Evidence, EvidenceSet, Query
from agent_sre.incident.incident import Incident


def recorded_evidence(bundle: Bundle, incident: Incident, now: datetime) -> EvidenceSet:
    """One answer per kind of thing that the bundle holds, with all of it; ids E01, E02, … Sources and kinds as BundleSource has them.

    `now` stands in where the bundle does not tell its own. What the objects say about changes is an answer more.
    """
    now = bundle.now or now
    parts: list[tuple[str, str, Iterable[Data]]] = [("kubernetes", plural_of(kind), items) for kind, items in bundle.objects.items()]
    parts += [
        ("kubernetes", "manifests", bundle.manifests),
        ("kubernetes", "logs", patterns_of(bundle.log_lines, now)),
        ("bundle", "errors", bundle.error_patterns),
        ("bundle", "changes", bundle.changes),
        ("bundle", "dependencies", bundle.dependencies),
        ("bundle", "units", bundle.units),
        ("bundle", "anomalies", bundle.anomalies),
    ]
    parts += [("prometheus", "series", found) for found in bundle.series.values()]
    items = [
        _answer(f"E{number:02d}", source, kind, tuple(data), incident.subject, now)
        for number, (source, kind, data) in enumerate(((source, kind, tuple(data)) for source, kind, data in parts), 1)
        if data
    ]
    return with_changes(EvidenceSet(items=tuple(items)), incident, now)


def _answer(evidence_id: str, source: str, kind: str, data: tuple[Data, ...], subject: Subject, now: datetime) -> Evidence:
    query = Query(id=evidence_id, source=source, kind=kind, expression="all of the recording", purpose=f"all {kind} of the recording")
    summary = f"{len(data)} {kind}"
    return Evidence(id=evidence_id, query=query, subject=subject, data=data, summary=summary, collected_at=now, took=timedelta(0))
