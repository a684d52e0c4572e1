"""What gathering evidence costs, and how often it fails. The sources themselves count nothing."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import Counter, Histogram

from agent_sre.kit.metrics import REGISTRY

FETCH_DURATION = Histogram(
    "agent_sre_evidence_fetch_duration_seconds",
    "How long one query to an evidence source took, by how it ended: answered or failed. Queries that were not asked are not in here.",
    ["source", "outcome"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
FAILURES = Counter(
    "agent_sre_evidence_failures",
    "Questions to an evidence source that stayed open, by reason.",
    ["source", "reason"],
    registry=REGISTRY,
)


def answered(source: str, took: timedelta) -> None:
    """One query got its answer."""
    FETCH_DURATION.labels(source=source, outcome="answered").observe(took.total_seconds())


def failed(source: str, reason: str, took: timedelta | None) -> None:
    """One question stayed open; `took` is None where nobody was asked."""
    FAILURES.labels(source=source, reason=reason).inc()
    if took is not None:
        FETCH_DURATION.labels(source=source, outcome="failed").observe(took.total_seconds())
