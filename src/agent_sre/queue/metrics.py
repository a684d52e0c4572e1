"""What the queue counts. How much waits is asked at scrape time (`JobQueue.depth`): a gauge of ours would not know it after a restart."""

from __future__ import annotations

from prometheus_client import Counter

from agent_sre.kit.metrics import REGISTRY

JOBS = Counter(
    "agent_sre_queue_jobs",
    "What became of jobs: finished, failed, retried, cancelled, or lease_lost (its worker fell silent and another one claimed it).",
    ["kind", "outcome"],
    registry=REGISTRY,
)


def count(kind: str, outcome: str) -> None:
    """One more job of this kind with this outcome."""
    JOBS.labels(kind=kind, outcome=outcome).inc()
