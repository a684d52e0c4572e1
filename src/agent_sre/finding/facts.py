"""Reading evidence without tripping: values of Facts are plain JSON, and a detector must not raise whatever they hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime

from agent_sre.evidence.evidence import Evidence, EvidenceSet, Fact, MetricSeries
from agent_sre.incident.incident import Incident, MemberAlert
from agent_sre.kit.times import parse_instant

Value = str | int | float | bool | None
Values = Mapping[str, Value]


def of_kind(evidence: EvidenceSet, source: str, kind: str) -> Iterator[Evidence]:
    """The answers to this kind of question, in the order in which they were asked."""
    return (item for item in evidence.items if item.query.source == source and item.query.kind == kind)


def facts(item: Evidence, name: str) -> Iterator[Fact]:
    """The facts of this name."""
    return (data for data in item.data if isinstance(data, Fact) and data.name == name)


def series(item: Evidence) -> Iterator[MetricSeries]:
    """The curves."""
    return (data for data in item.data if isinstance(data, MetricSeries))


def number(values: Values, name: str) -> float | None:
    """A finite number, or None."""
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer that no float can hold
        return None


def text(values: Values, name: str) -> str:
    """A text, empty where there is none."""
    value = values.get(name)
    return value if isinstance(value, str) else ""


def instant(values: Values, name: str) -> datetime | None:
    """An instant written as RFC 3339, or None."""
    return parse_instant(values.get(name))


def member_of(incident: Incident, item: Evidence) -> MemberAlert:
    """The alert that this evidence is about: the lead where it is about the whole incident."""
    return next((alert for alert in incident.alerts if alert.fingerprint == item.query.fingerprint), incident.lead)
