"""Keeps the write-ahead log from growing for ever.

SQLite writes the log back into the database by itself, every 1,000 pages, and begins it anew as soon as no reader looks into it any more. Where
one read always begins before the last one ends (a page open on many screens), that moment never comes: measured, 300 MB written
left a log of 300 MB. So once it is large we ask for that moment: a TRUNCATE checkpoint lets new readers in but sends them to the
database itself, and is over as soon as the reads end that run now.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.exc import SQLAlchemyError

from agent_sre.kit.errors import StoreUnavailable

log = logging.getLogger(__name__)

LIMIT_BYTES = 64 * 1024 * 1024
"""How long the log may get. Four of the largest bodies; a crash reads it back in well under a second."""

PATIENCE_MILLISECONDS = 200
"""How long the writer stands still for running reads. One that takes longer costs another LIMIT_BYTES of disk until we ask again."""


class LogKeeper:
    """Watches the log of one database."""

    def __init__(self, path: Path, writer: Engine) -> None:
        self._log = f"{path}-wal"
        self._writer = writer
        self._limit = LIMIT_BYTES

    def after_commit(self) -> None:
        """Cuts the log where it has become too long. Never raises: what was committed is committed."""
        size = self._size()
        if size < LIMIT_BYTES or (size >= self._limit and self._truncate()):
            self._limit = LIMIT_BYTES
        elif size >= self._limit:
            self._limit = size + LIMIT_BYTES

    def _size(self) -> int:
        try:
            return os.stat(self._log).st_size
        except OSError:
            return 0

    def _truncate(self) -> bool:
        try:
            with closing(self._writer.raw_connection()) as connection:
                return _truncate(connection)
        except (sqlite3.Error, SQLAlchemyError, StoreUnavailable) as error:
            log.warning("The log %s could not be written back: %s", self._log, error, extra={"action": "checkpoint_failed"})
            return False


def _truncate(connection: PoolProxiedConnection) -> bool:
    try:
        cursor = connection.cursor()
        (usual,) = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute(f"PRAGMA busy_timeout={PATIENCE_MILLISECONDS}")
        (blocked, _, _) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        cursor.execute(f"PRAGMA busy_timeout={usual}")
    except sqlite3.Error:
        connection.invalidate()
        raise
    return not blocked
