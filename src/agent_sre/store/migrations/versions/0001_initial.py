"""The first tables.

What they are for stands in `store/schema.py`. Written out here once more, because a migration must not change when the schema does.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "total",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.Integer(), nullable=False),
    )

    op.create_table(
        "inbox",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("received_at", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("alert_count", sa.Integer(), nullable=False),
        sa.Column("ingested_at", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sqlite_autoincrement=True,
    )
    op.create_index("inbox_waiting", "inbox", ["id"], sqlite_where=sa.text("ingested_at IS NULL"))

    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("received_at", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("retried_at", sa.Text()),
        sqlite_autoincrement=True,
    )

    op.create_table(
        "incident",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("subject", sa.JSON(), nullable=False),
        sa.Column("subject_key", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("triggered_at", sa.Text(), nullable=False),
        sa.Column("last_alert_at", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", sa.Text()),
        sa.Column("resolved_at", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("incident_status", "incident", ["status", "id"])
    op.create_index("incident_subject", "incident", ["subject_key", "status"])
    op.create_index("incident_group", "incident", ["group_key", "status"])

    op.create_table(
        "alert",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("incident_id", sa.Integer(), sa.ForeignKey("incident.id"), nullable=False),
        sa.Column("inbox_id", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("annotations", sa.JSON(), nullable=False),
        sa.Column("generator_url", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.Text(), nullable=False),
        sa.Column("start_guessed", sa.Boolean(), nullable=False, server_default="0"),
        sa.Column("ends_at", sa.Text()),
        sa.Column("last_seen_at", sa.Text(), nullable=False),
        sa.Column("sightings", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("alert_open", "alert", ["fingerprint"], unique=True, sqlite_where=sa.text("status = 'firing'"))
    op.create_index("alert_fingerprint", "alert", ["fingerprint", "id"])
    op.create_index("alert_incident", "alert", ["incident_id"])
    op.create_index("alert_unsettled", "alert", ["id"], sqlite_where=sa.text("settled_at IS NULL"))
    op.create_index("alert_name", "alert", ["name", "starts_at"])

    op.create_table(
        "heartbeat",
        sa.Column("fingerprint", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("last_seen_at", sa.Text(), nullable=False),
    )

    op.create_table(
        "timeline",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("incident_id", sa.Integer(), sa.ForeignKey("incident.id"), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_index("timeline_incident", "timeline", ["incident_id", "id"])

    op.create_table(
        "investigation",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("incident_id", sa.Integer(), sa.ForeignKey("incident.id"), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("covers_alert_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text()),
        sa.Column("finished_at", sa.Text()),
        sa.Column("error", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("investigation_incident", "investigation", ["incident_id", "id"])
    op.create_index("investigation_status", "investigation", ["status", "id"])
    op.create_index("investigation_waiting", "investigation", ["incident_id"], unique=True, sqlite_where=sa.text("status = 'queued'"))

    op.create_table(
        "evidence",
        sa.Column("run_id", sa.Text(), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )

    op.create_table(
        "artifact",
        sa.Column("run_id", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )

    op.create_table(
        "report",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("incident_id", sa.Integer(), sa.ForeignKey("incident.id"), nullable=False),
        sa.Column("investigation_id", sa.Integer(), sa.ForeignKey("investigation.id"), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
    )
    op.create_index("report_stage", "report", ["investigation_id", "stage"], unique=True)
    op.create_index("report_incident", "report", ["incident_id", "id"])

    op.create_table(
        "job",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("run_at", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("lease_until", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("finished_at", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("job_live", "job", ["kind", "key"], unique=True, sqlite_where=sa.text("status IN ('queued', 'leased')"))
    op.create_index("job_next", "job", ["kind", "status", "priority", "id"])
    op.create_index("job_ended", "job", ["finished_at"], sqlite_where=sa.text("finished_at IS NOT NULL"))

    op.create_table(
        "chat",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
    )
    op.create_index("chat_thread", "chat", ["thread_id", "id"])


def downgrade() -> None:
    raise NotImplementedError("0001 is the first: there is nothing to go back to.")
