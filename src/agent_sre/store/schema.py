"""The tables. Instants are RFC 3339 texts of fixed width (readable in any SQLite shell, and they sort); bodies are compressed bytes.

    inbox ──ingest──> alert >── incident ──< investigation ──< report
      └ quarantine             │                  ├──< evidence     what was measured, and what could not be
                               └──< timeline      └──< artifact     what each node of the graph made
    job: what is to be done when      heartbeat: Watchdog      total: counters that survive a restart      chat: who said what

A change here comes with a file in `migrations/versions`; a test holds the two together.
"""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, Connection, Dialect, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.types import TypeDecorator

from agent_sre.kit.errors import StoreUnavailable
from agent_sre.kit.times import format_instant, parse_instant

REVISION = "0001"
"""The newest migration; a file that says the same is opened without loading Alembic. Four digits that count up, so newer sorts higher."""

_VERSION_TABLE = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
"""Word for word what Alembic makes, which finds its place in there."""


class Instant(TypeDecorator[datetime]):
    """Aware UTC, stored as text of fixed width. A datetime without a zone is refused: it would be taken for this machine's local time."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return format_instant(value)

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        return parse_instant(value)


class Body(TypeDecorator[bytes]):
    """Bytes as somebody sent them, stored as zlib makes them small: alerts of one group repeat each other, so a twentieth is usual."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, _dialect: Dialect) -> bytes | None:
        return None if value is None else packed(value)

    def process_result_value(self, value: Any, _dialect: Dialect) -> bytes | None:
        return None if value is None else zlib.decompress(value)


def packed(body: bytes) -> bytes:
    """The body as a `Body` column holds it, for statements that go past SQLAlchemy. Level 1: a third of the time of the usual one, and nearly
    as small. The interpreter's lock is free meanwhile."""
    return zlib.compress(body, 1)


metadata = MetaData()

total = Table("total", metadata, Column("name", Text, primary_key=True), Column("value", Integer, nullable=False))

inbox = Table(
    "inbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("received_at", Instant, nullable=False),
    Column("sender", Text, nullable=False, comment="the User-Agent, cut to 200 characters"),
    Column("body", Body, nullable=False),
    Column("alert_count", Integer, nullable=False),
    Column("ingested_at", Instant),
    Column("attempts", Integer, nullable=False, server_default="0"),
    sqlite_autoincrement=True,  # an id is never used again, so a pruned row cannot lend its number to a new one
)
Index("inbox_waiting", inbox.c.id, sqlite_where=inbox.c.ingested_at.is_(None))

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("received_at", Instant, nullable=False),
    Column("sender", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", Body, nullable=False),
    Column("retried_at", Instant),
    sqlite_autoincrement=True,
)

incident = Table(
    "incident",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("title", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("subject", sa.JSON, nullable=False),
    Column("subject_key", Text, nullable=False),
    Column("group_key", Text, nullable=False),
    Column("triggered_at", Instant, nullable=False),
    Column("last_alert_at", Instant, nullable=False, comment="when the newest alert joined or fired again"),
    Column("acknowledged_at", Instant),
    Column("resolved_at", Instant),
    sqlite_autoincrement=True,
)
Index("incident_status", incident.c.status, incident.c.id)
Index("incident_subject", incident.c.subject_key, incident.c.status)
Index("incident_group", incident.c.group_key, incident.c.status)

alert = Table(
    "alert",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("incident_id", ForeignKey("incident.id"), nullable=False),
    Column("inbox_id", Integer, nullable=False, comment="the post that opened it; the row itself may be pruned"),
    Column("fingerprint", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("severity", Text, nullable=False, comment="as the label says it"),
    Column("labels", sa.JSON, nullable=False),
    Column("annotations", sa.JSON, nullable=False),
    Column("generator_url", Text, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column(
        "start_guessed",
        sa.Boolean,
        nullable=False,
        server_default="0",
        comment="the sender gave no start, or one in the future: it is when we first heard of it",
    ),
    Column("ends_at", Instant),
    Column("last_seen_at", Instant, nullable=False),
    Column("sightings", Integer, nullable=False),
    Column("reason", Text, nullable=False, comment="why it is in this incident"),
    Column("settled_at", Instant, comment="when the incident got the report that covers it"),
    sqlite_autoincrement=True,
)
Index("alert_open", alert.c.fingerprint, unique=True, sqlite_where=alert.c.status == "firing")
Index("alert_fingerprint", alert.c.fingerprint, alert.c.id)
Index("alert_incident", alert.c.incident_id)
Index("alert_unsettled", alert.c.id, sqlite_where=alert.c.settled_at.is_(None))
Index("alert_name", alert.c.name, alert.c.starts_at)

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
)

timeline = Table(
    "timeline",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("incident_id", ForeignKey("incident.id"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
)
Index("timeline_incident", timeline.c.incident_id, timeline.c.id)

investigation = Table(
    "investigation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("incident_id", ForeignKey("incident.id"), nullable=False),
    Column("thread_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("covers_alert_id", Integer, nullable=False, comment="the newest alert of the incident that this investigation has seen"),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("error", Text),
    sqlite_autoincrement=True,
)
Index("investigation_incident", investigation.c.incident_id, investigation.c.id)
Index("investigation_status", investigation.c.status, investigation.c.id)
Index("investigation_waiting", investigation.c.incident_id, unique=True, sqlite_where=investigation.c.status == "queued")

evidence = Table(
    "evidence",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False, comment="one Evidence or Gap as JSON, deflated"),
)

artifact = Table(
    "artifact",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False, comment="JSON, deflated"),
)

report = Table(
    "report",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("incident_id", ForeignKey("incident.id"), nullable=False),
    Column("investigation_id", ForeignKey("investigation.id"), nullable=False),
    Column("stage", Text, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="the Analysis as JSON, deflated"),
    Column("created_at", Instant, nullable=False),
)
Index("report_stage", report.c.investigation_id, report.c.stage, unique=True)
Index("report_incident", report.c.incident_id, report.c.id)

job = Table(
    "job",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("run_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("owner", Text),
    Column("lease_until", Instant),
    Column("error", Text),
    Column("finished_at", Instant),
    sqlite_autoincrement=True,
)
Index("job_live", job.c.kind, job.c.key, unique=True, sqlite_where=job.c.status.in_(("queued", "leased")))
Index("job_next", job.c.kind, job.c.status, job.c.priority, job.c.id)
Index("job_ended", job.c.finished_at, sqlite_where=job.c.finished_at.is_not(None))

chat = Table(
    "chat",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("thread_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
Index("chat_thread", chat.c.thread_id, chat.c.id)


_ADDED = insert(total)
_BUMP = _ADDED.on_conflict_do_update(index_elements=["name"], set_={"value": total.c.value + _ADDED.excluded.value})


def bump(connection: Connection, name: str, by: int) -> None:
    """Adds to a counter that survives a restart. Part of the caller's transaction, so it never disagrees with the rows it counts."""
    connection.execute(_BUMP, {"name": name, "value": by})


def totals(connection: Connection) -> dict[str, int]:
    """All counters by name."""
    return {row.name: row.value for row in connection.execute(sa.select(total))}


def revision(connection: Connection) -> str | None:
    """Which migration the file is at. None where it is empty.

    Raises StoreUnavailable for the file of another program, and for one that a newer version wrote: going back could lose what it knows.
    """
    tables = set(connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())
    if not tables:
        return None
    if not {"alembic_version", inbox.name} <= tables:
        raise StoreUnavailable(f"{_file(connection)} is another program's SQLite database. Set AGENT_SRE_DATABASE_URL to another file.")
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all()
    if len(found) != 1 or found[0] > REVISION:
        shown = ", ".join(found) or "unknown"
        raise StoreUnavailable(f"{_file(connection)} was written by a newer agent-sre (schema {shown}). Install that version again.")
    return str(found[0])


def prepare(connection: Connection) -> None:
    """Makes the tables in a new file, migrates an older one, leaves a current one alone. Raises StoreUnavailable like `revision`."""
    found = revision(connection)
    if found is None:
        metadata.create_all(connection, checkfirst=False)
        connection.exec_driver_sql(_VERSION_TABLE)
        connection.execute(sa.text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})
    elif found != REVISION:
        from agent_sre.store.migrate import upgrade  # Alembic takes half a second to load: only an older file pays for it

        upgrade(connection, found)


def _file(connection: Connection) -> str:
    return str(connection.exec_driver_sql("PRAGMA database_list").scalars(2).first())
