"""Every body that was ever accepted, and every one that could not be read. The inbox row is the truth: all that comes later can be redone from it.

    accept ──group commit──> inbox ──ingester──> ingested_at set
    reject ────────────────> quarantine ──retry──> inbox

Group commit: while one commit is on its way to the disk, the bodies that arrive meanwhile gather for the next one. One fsync serves them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy import Connection

from agent_sre.alert.payload import alert_count, decode
from agent_sre.kit.clock import Clock
from agent_sre.kit.errors import BadInput, StoreUnavailable
from agent_sre.kit.signal import Signal
from agent_sre.kit.text import one_line
from agent_sre.kit.times import format_instant
from agent_sre.store.engine import Store
from agent_sre.store.schema import bump, inbox, packed, quarantine

STORED = "alerts_stored"
"""The persistent counter of alerts in accepted bodies."""

_BATCH_BODIES = 256
_BATCH_BYTES = 32 * 1024 * 1024
_LAST_ID = "SELECT seq FROM sqlite_sequence WHERE name = 'inbox'"
_INSERT = "INSERT INTO inbox (id, received_at, sender, body, alert_count, attempts) VALUES "
_ROW = "(?, ?, ?, ?, ?, 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One accepted body."""

    id: int
    received_at: datetime
    sender: str
    body: bytes
    alerts: int  # how many it holds, odd ones included
    attempts: int  # how often ingesting it was tried before


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One body that could not be read, kept for people."""

    id: int
    received_at: datetime
    sender: str
    reason: str
    body: bytes
    retried_at: datetime | None


class Inbox:
    """Accepts bodies durably. Its methods may be called from any number of tasks."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._pending: list[tuple[tuple[str, str, bytes, int], asyncio.Future[int]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._accepted_at = float("-inf")
        self.arrived = Signal()

    def quiet_for(self) -> float:
        """Seconds since a body was last on its way to the disk; 0 while one is."""
        return 0.0 if self._pending or self._writing else self._clock.monotonic() - self._accepted_at

    async def accept(self, body: bytes, *, sender: str, alerts: int) -> int:
        """Puts a body on disk and gives its inbox id. Raises StoreUnavailable where it could not be stored; nothing is kept then."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        row = (format_instant(self._clock.now()), one_line(sender, 200), body, alerts)
        self._pending.append((row, future))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_pending(), name="inbox-writer")
        return await future

    async def reject(self, body: bytes, *, sender: str, reason: str) -> None:
        """Keeps an unreadable body for people to look at. Raises StoreUnavailable where not even that is possible."""
        row = {"received_at": self._clock.now(), "sender": one_line(sender, 200), "reason": reason, "body": body}
        await self._store.write(lambda connection: connection.execute(quarantine.insert(), row))

    async def _write_pending(self) -> None:
        try:
            while self._pending:
                batch = self._next_batch()
                try:
                    ids = await self._store.write(partial(_insert, [row for row, _ in batch]), urgent=True)
                except StoreUnavailable as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for (_, future), inbox_id in zip(batch, ids, strict=True):
                        if not future.done():  # its caller may have gone; the row stays
                            future.set_result(inbox_id)
                    self.arrived.ring()
        finally:
            self._writing = None
            self._accepted_at = self._clock.monotonic()

    def _next_batch(self) -> list[tuple[tuple[str, str, bytes, int], asyncio.Future[int]]]:
        size = 0
        for count, (row, _) in enumerate(self._pending):
            size += len(row[2])
            if count == _BATCH_BODIES or (count and size > _BATCH_BYTES):
                break
        else:
            count = len(self._pending)
        batch, self._pending = self._pending[:count], self._pending[count:]
        return batch


def _insert(rows: Sequence[tuple[str, str, bytes, int]], connection: Connection) -> list[int]:
    # The hot path. One statement for all rows, with ids of our own: at every step of a statement SQLite lets go of the interpreter, and to get
    # it back the writer waits until the event loop lets go in turn. With a row each, most of a commit's time was that waiting.
    cursor = connection.connection.cursor()
    (last,) = cursor.execute(_LAST_ID).fetchone() or (0,)
    ids = list(range(last + 1, last + 1 + len(rows)))
    values: list[int | str | bytes] = []
    for inbox_id, (received_at, sender, body, alerts) in zip(ids, rows, strict=True):
        values += (inbox_id, received_at, sender, packed(body), alerts)
    cursor.execute(_INSERT + ", ".join([_ROW] * len(rows)), values)
    cursor.close()
    bump(connection, STORED, sum(row[3] for row in rows))
    return ids


def waiting(connection: Connection, *, limit: int, max_bytes: int = _BATCH_BYTES) -> list[Letter]:
    """Bodies that nobody ingested yet, oldest first; at least one if there is one, then as many as fit into `max_bytes`."""
    letters: list[Letter] = []
    size = 0
    for row in connection.execute(sa.select(inbox).where(inbox.c.ingested_at.is_(None)).order_by(inbox.c.id).limit(limit)):
        size += len(row.body)
        if letters and size > max_bytes:
            break
        letters.append(
            Letter(id=row.id, received_at=row.received_at, sender=row.sender, body=row.body, alerts=row.alert_count, attempts=row.attempts)
        )
    return letters


def is_ingested(connection: Connection, inbox_id: int) -> bool:
    """Whether the ingester is done with this body; a pruned row was ingested long ago."""
    row = connection.execute(sa.select(inbox.c.ingested_at).where(inbox.c.id == inbox_id)).one_or_none()
    return row is None or row[0] is not None


def mark_ingested(connection: Connection, inbox_ids: Sequence[int], *, at: datetime) -> None:
    """The ingester is done with these bodies. Part of the transaction that wrote what they said."""
    connection.execute(inbox.update().where(inbox.c.id.in_(inbox_ids)).values(ingested_at=at))


def count_attempt(connection: Connection, inbox_id: int) -> None:
    """Ingesting this body failed once more."""
    connection.execute(inbox.update().where(inbox.c.id == inbox_id).values(attempts=inbox.c.attempts + 1))


def move_to_quarantine(connection: Connection, letter: Letter, *, reason: str, at: datetime) -> None:
    """A stored body that cannot be ingested after all: it stays for people, and no longer stands in the way."""
    connection.execute(quarantine.insert().values(received_at=letter.received_at, sender=letter.sender, reason=reason, body=letter.body))
    mark_ingested(connection, [letter.id], at=at)


def backlog(connection: Connection) -> tuple[int, int, datetime | None]:
    """Bodies waiting for the ingester, the alerts in them, and when the oldest came."""
    row = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(inbox.c.alert_count), 0), sa.func.min(inbox.c.id)).where(
            inbox.c.ingested_at.is_(None)
        )
    ).one()
    oldest = connection.execute(sa.select(inbox.c.received_at).where(inbox.c.id == row[2])).scalar_one_or_none()
    return int(row[0]), int(row[1]), oldest


def quarantined(connection: Connection, *, limit: int = 100) -> list[Quarantined]:
    """The newest bodies in quarantine, newest first."""
    rows = connection.execute(sa.select(quarantine).order_by(quarantine.c.id.desc()).limit(limit))
    return [Quarantined(**row._mapping) for row in rows]  # noqa: SLF001 (SQLAlchemy's documented name)


def find_quarantined(connection: Connection, quarantine_id: int) -> Quarantined | None:
    """One body in quarantine."""
    row = connection.execute(sa.select(quarantine).where(quarantine.c.id == quarantine_id)).one_or_none()
    return None if row is None else Quarantined(**row._mapping)  # noqa: SLF001 (SQLAlchemy's documented name)


def count_quarantined(connection: Connection) -> int:
    """Bodies in quarantine that nobody retried."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(quarantine).where(quarantine.c.retried_at.is_(None))).scalar_one())


def retry_quarantined(connection: Connection, quarantine_id: int, *, at: datetime) -> int:
    """Puts a quarantined body back into the inbox, as if it came now, and gives its inbox id.

    Raises BadInput where it still cannot be read, and where there is no such body or it was retried before.
    """
    entry = find_quarantined(connection, quarantine_id)
    if entry is None:
        raise BadInput(f"There is no body {quarantine_id} in quarantine.")
    if entry.retried_at is not None:
        raise BadInput(f"Body {quarantine_id} was already retried at {format_instant(entry.retried_at)}.")
    count = alert_count(decode(entry.body))
    (inbox_id,) = _insert([(format_instant(at), entry.sender, entry.body, count)], connection)
    connection.execute(quarantine.update().where(quarantine.c.id == quarantine_id).values(retried_at=at))
    return inbox_id


def prune_inbox(connection: Connection, *, before: datetime, limit: int = 500) -> int:
    """Forgets bodies that were ingested before this instant, at most `limit` of them. How many there were."""
    old = sa.select(inbox.c.id).where(inbox.c.ingested_at.is_not(None), inbox.c.ingested_at < before).order_by(inbox.c.id).limit(limit)
    return int(connection.execute(inbox.delete().where(inbox.c.id.in_(old))).rowcount)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxSettings:
    """What the door lets in, and how long bodies are kept."""

    webhook_token: str = ""
    """Bearer token that a webhook must carry. Empty: none asked for, which is fine on 127.0.0.1 only."""

    max_body_bytes: int = 16 * 1024 * 1024
    """A larger body is answered with 413. 16 MiB: 10,000 alerts take 12 MB, and Alertmanager has no limit of its own."""

    max_bytes_in_flight: int = 256 * 1024 * 1024
    """Bodies being received together; above it new ones get 503 and Alertmanager tries again. 256 MiB bounds our memory in a storm."""

    header_timeout: timedelta = timedelta(seconds=10)
    """How long a connection may take to send a whole request head."""

    body_timeout: timedelta = timedelta(seconds=30)
    """How long a request may take to send its body."""

    max_connections: int = 20_000
    """Connections at once; further ones are closed. Alertmanager opens one per group: 11,000 were seen in a storm."""

    keep_bodies: timedelta = timedelta(days=7)
    """How long an ingested body stays, for replay and for people."""
