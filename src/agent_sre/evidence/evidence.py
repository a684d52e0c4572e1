"""Questions, answers, and questions without an answer.

incident ──plan──> Query ──fetch──> Evidence      an answer; an empty one is an answer too
                            └─────> Gap           no answer, and why
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

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
    """One series of a range query: points oldest first, (unix seconds, value). Missing points are missing, never zero;
    NaN counts as missing.

    `signal`, `unit` and `worse` are what whoever asked knows about the values. Without them the metric's name, a label, has to tell.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    signal: str = ""  # "latency", "errors", …: of prometheus/signals.py
    unit: str = ""  # of numbers.py; the values are in it
    worse: str = ""  # "up" or "down": the direction in which this is trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing known, as words: `name` for code, `text` for people, `values` for both. Texts may be untrusted."""

    name: str
    text: str
    values: Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesObject:
    """One object of a cluster, in the API's own shape, whoever told us: the API server, or a text that kubectl printed.

    `manifest` holds metadata, spec and status as the API names them, without managed fields and without any secret's value. From a text
    only what the text says is there: a missing field is unknown, not absent.
    """

    kind: str  # Pod, Deployment, Event, …
    namespace: str  # empty where the kind has none
    name: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that somebody or something changed."""

    at: datetime | None  # None where only the order is known
    kind: str  # "rollout", "image", "config", "scale", "node", "gitops", "job", "certificate"
    subject: Subject
    text: str  # one line for people
    who: str = ""  # empty where nobody knows
    diff: tuple[str, ...] = ()  # lines that begin with "- " or "+ "


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPattern:
    """Log lines that differ only in their values: how many of them, against how many before. One that has vanished has a count of 0."""

    template: str  # the constant part, values as <tokens>
    level: str  # "fatal", "error", "warning", "info", "debug"; empty where no line says
    subject: Subject  # whose log
    count: int  # in the window
    count_before: int | None  # in a stretch of the same length before it; None where nobody looked
    first_at: datetime | None
    last_at: datetime | None
    sample: str  # one whole line, redacted and untrusted
    count_day_before: int | None = None  # in the same hours of the day before; None where nobody looked

    @property
    def is_new(self) -> bool:
        """Whether it is there now and was not before: `first_at` is its first sight."""
        return self.count > 0 and self.count_before == 0 and not self.count_day_before

    @property
    def has_vanished(self) -> bool:
        """Whether it was there before and is not now."""
        return self.count == 0 and bool(self.count_before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """`source` calls `destination`: names as the metrics or the manifests have them."""

    source: str
    destination: str
    via: str  # "mesh", "spans", "service_graph", "configuration"


Data = MetricSeries | Fact | KubernetesObject | Change | LogPattern | Dependency
"""What an answer is made of. Code tells them apart by class; to a store they are plain JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One answer. `data` is empty where nothing was found, which is an answer."""

    id: str
    query: Query
    subject: Subject
    data: tuple[Data, ...]
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
