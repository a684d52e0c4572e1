"""Which answers are worth a line among the observations, in the order in which a tired reader needs them.

    what a detector made something of ──> first
    what the alert itself is about    ──> its value, threshold, condition, target
    what speaks of trouble or moved   ──> changes, warnings, new errors, curves that left their usual range
    all the rest                      ──> one line, by number

Nothing is lost: the list of evidence stays complete, and what is only counted here can be read there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from agent_sre.analysis.parts import cited, said
from agent_sre.evidence.evidence import Change, Data, Dependency, Evidence, KubernetesObject, LogPattern, MetricSeries
from agent_sre.evidence.kubernetes.objects import is_troubled
from agent_sre.evidence.prometheus.movement import movement
from agent_sre.evidence.suggested import SUGGESTED
from agent_sre.finding.finding import Diagnosis, Finding

MOST_LINES = 12
"""Lines about answers. A screen of a phone holds about as many; what speaks loudest comes first, so the cut takes the faintest."""

MOVED = math.log1p(4.0)
"""A curve's score from which it counts as moved: four times half of its usual range, that is, well outside of it on both sides."""

_QUIET = frozenset({"alert", "members", "rule", SUGGESTED})  # kinds that other observations, or the list of queries, tell already
_NAMED = frozenset({"value", "threshold", "active", "up", "targets", "recurrence"})
"""Kinds that the alert asks for by name, or its reader does: told even where nothing is unusual about them."""

_INVENTORY = frozenset({"contents", "manifests"})  # what a bundle holds: told by the list of evidence
_URGENT = frozenset({"fatal", "error"})

_LEAD_IN: Mapping[str, str] = {
    "value": "Measured",
    "threshold": "Threshold",
    "active": "Condition",
    "rule": "Rule",
    "up": "Target",
    "targets": "Scrape",
    "workload": "Workload",
    "siblings": "Siblings",
    "latency": "Latency",
    "traffic": "Traffic",
    "errors": "Errors",
    "saturation": "Saturation",
    "cpu": "CPU",
    "memory": "Memory",
    "network": "Network",
    "dependencies": "Calls",
    "recurrence": "Before",
    "related": "Elsewhere",
    "usual": "Usually",
    "changes": "Changed",
}
"""By kind of query; other kinds are led in by their source's name."""


def measured(diagnosis: Diagnosis, starts_at: datetime) -> Iterable[str]:
    """The lines about answers and findings; `starts_at` is when the lead alert began."""
    items = diagnosis.evidence.items
    known = {item.id for item in items}
    by_evidence: dict[str, list[Finding]] = {}
    others: list[Finding] = []
    for finding in diagnosis.findings:
        ids = finding.evidence_ids
        if len(ids) == 1 and ids[0] in known:
            by_evidence.setdefault(ids[0], []).append(finding)
        else:
            others.append(finding)
    found = [item for item in items if item.id in by_evidence]
    open_items = [item for item in items if item.id not in by_evidence and item.query.kind not in _QUIET]
    named = [item for item in open_items if item.query.kind in _NAMED]
    loud = [item for item in open_items if item.query.kind not in _NAMED and is_telling(item, starts_at)]
    shown = [*found, *named, *loud]
    yield from (_answer(item, by_evidence.get(item.id, [])) for item in shown[:MOST_LINES])
    yield from (cited(said(finding.summary, 300), finding.evidence_ids) for finding in others)
    told = {item.id for item in shown}
    yield from _folded("More that may matter", [item.id for item in shown[MOST_LINES:]])
    yield from _folded("Looked at, nothing unusual seen", [item.id for item in open_items if item.id not in told])


def is_telling(item: Evidence, starts_at: datetime) -> bool:
    """Whether an answer speaks of trouble or of movement. An empty one does not, and neither does a list of things that are well."""
    return item.query.kind not in _INVENTORY and any(_speaks(data, starts_at) for data in item.data)


def _speaks(data: Data, starts_at: datetime) -> bool:
    match data:
        case MetricSeries():
            moved = movement(data.points, starts_at)
            return moved is not None and (moved.before is None or moved.score >= MOVED)  # without a history, nobody can call it usual
        case KubernetesObject():
            return is_troubled(data)
        case LogPattern():
            return data.is_new or data.has_vanished or data.level in _URGENT
        case Dependency():
            return False  # who calls whom: a map, not an event
        case Change():
            return True
    return True


def _folded(words: str, ids: Sequence[str]) -> Iterable[str]:
    if ids:
        yield cited(f"{words}: {len(ids)} {'answer' if len(ids) == 1 else 'answers'}", ids)


def _answer(item: Evidence, findings: Sequence[Finding]) -> str:
    lead_in = _LEAD_IN.get(item.query.kind) or said(item.query.source, 40).capitalize()
    seen = "; ".join(said(finding.summary, 300) for finding in findings)
    summary = "" if item.query.kind in _QUIET else said(item.summary, 400)
    return cited(f"{lead_in}: {' – '.join(part for part in (seen, summary) if part)}", [item.id])
