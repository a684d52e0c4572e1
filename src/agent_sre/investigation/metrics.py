"""What the investigation room counts."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from agent_sre.kit.metrics import REGISTRY

ALERTS_BY_OUTCOME = Counter(
    "agent_sre_alerts_ingested",
    "Alerts taken from the inbox, by what became of them.",
    ["outcome"],
    registry=REGISTRY,
)
INGEST_SECONDS = Histogram("agent_sre_ingest_duration_seconds", "From a batch of stored bodies to their incidents.", registry=REGISTRY)
INVESTIGATION_SECONDS = Histogram(
    "agent_sre_investigation_duration_seconds",
    "From the making of an investigation to its report, by stage of the report and who wrote it (rules or model).",
    ["stage", "author"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 20, 25, 30, 60, 120, 300, 600),
    registry=REGISTRY,
)
INVESTIGATIONS = Counter(
    "agent_sre_investigations",
    "Investigations that ended, by severity of the incident and how: complete, cancelled, failed, superseded.",
    ["severity", "status"],
    registry=REGISTRY,
)
RECONCILE_LOOKS = Counter(
    "agent_sre_reconcile_looks",
    "Comparisons with Alertmanager's list, by what came of them: agreed, waits, acted, foreign, restarted, failed.",
    ["outcome"],
    registry=REGISTRY,
)
RECONCILED_ALERTS = Counter(
    "agent_sre_reconciled_alerts",
    "Alerts that a comparison closed (resolved) or opened (taken_in).",
    ["action"],
    registry=REGISTRY,
)
