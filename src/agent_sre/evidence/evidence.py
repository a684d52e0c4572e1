"""Questions, answers, and questions without an answer.

incident ──plan──> Query ──fetch──> Evidence      an answer; an empty one is an answer too
                            └─────> Gap           no answer, and why
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from agent_sre.alert.subject import Subject
from agent_sre.incident.incident import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of time; `step` is the distance between two points of it."""

    start: datetime
    end: datetime
    step: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question to one source, planned by code and shown to the reader."""

    id: str  # E01, E02, …: unique in its investigation; the answer carries the same id
    source: str  # prometheus, history, alert, …
    kind: str  # the source's own word for what is asked: "value", "threshold", "related_alerts", …
    expression: str  # PromQL, LogQL, or words
    purpose: str  # why we ask, for people
    language: str = ""  # "promql" where `expression` can be pasted somewhere, else empty
    window: Window | None = None  # None: now
    fingerprint: str = ""  # of the member alert that it is about; empty: the whole incident


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSeries:
    """One series of a range query: points oldest first, (unix seconds, value). Missing points are missing, never zero."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing known, as words: `name` for code, `text` for people, `values` for both. Texts may be untrusted."""

    name: str
    text: str
    values: Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One answer. `data` is empty where nothing was found, which is an answer."""

    id: str
    query: Query
    subject: Subject
    data: tuple[MetricSeries | Fact, ...]
    summary: str  # one line for people, numbers already formatted
    collected_at: datetime
    took: timedelta
    truncated: bool = False  # there was more than we keep
    url: str = ""  # where a person can look; made from configured addresses only, never from a payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A question we asked and got no answer to. Shown to the reader beside the evidence."""

    query: Query
    reason: str  # same token as AgentSREError.reason: "unavailable", "timeout", "not_configured", …
    detail: str  # one sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSet:
    """All that an investigation knows, and all that it could not learn."""

    items: tuple[Evidence, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHealth:
    """What a real check of a source found. `/health` shows it."""

    name: str
    state: str  # "ok", "off" (not configured), "error"
    reason: str  # one sentence: what answered, which setting is missing, or what went wrong


class EvidenceSource(Protocol):
    """Every source runs through tests/conformance/test_evidence_source.py."""

    name: str

    def plan(self, incident: Incident, now: datetime) -> Sequence[Query]:
        """What to ask about this incident. Pure: no call is made. Ids are given by `gather`; leave them empty."""
        ...

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        """The answer to one of `plan`'s queries, by one call.

        Raises AgentSREError (its `reason` becomes the Gap's); never anything else, whatever the other side sends. Has no deadline of its
        own longer than ten seconds; `gather` cancels it earlier.
        """
        ...
