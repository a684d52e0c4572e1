"""The write-ahead log stays small, whoever reads."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from agent_sre.store import schema, wal
from agent_sre.store.engine import Store, StoreSettings, open_store

MIB = 1024 * 1024


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """A log of 20 MiB is too long: a little more than what SQLite leaves of one that has been long."""
    monkeypatch.setattr(wal, "LIMIT_BYTES", 20 * MIB)
    return 20 * MIB


@pytest.fixture
def store(tmp_path: Path, limit: int) -> Iterator[Store]:
    with closing(open_store(StoreSettings(database_url=f"sqlite:///{tmp_path}/agent-sre.db"))) as store:
        yield store


def log_bytes(store: Store) -> int:
    return os.stat(f"{store.path}-wal").st_size


def post(connection: Connection) -> None:
    """Two MiB."""
    schema.bump(connection, "posts", 1)
    connection.execute(sa.delete(schema.artifact))
    connection.execute(sa.insert(schema.artifact).values(run_id="1", name="body", body=bytes(2 * MIB)))


class Reader(threading.Thread):
    """Holds one snapshot until it is told to end."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.began, self.ends = threading.Event(), threading.Event()
        self.start()
        assert self.began.wait(10)

    def run(self) -> None:
        self.store.read_now(self.read)

    def read(self, connection: Connection) -> None:
        schema.totals(connection)
        self.began.set()
        assert self.ends.wait(10)

    def end(self) -> None:
        self.ends.set()
        self.join(10)


def test_sqlite_itself_bounds_the_log_where_reads_come_and_go(store: Store, limit: int) -> None:
    for _ in range(15):
        store.write_now(post)
        store.read_now(schema.totals)
    assert log_bytes(store) < limit / 4


def test_a_long_read_lets_the_log_grow_and_writes_go_on_and_afterwards_it_is_cut(store: Store, limit: int) -> None:
    reader = Reader(store)
    for _ in range(20):
        store.write_now(post)
    assert log_bytes(store) > limit
    reader.end()
    for _ in range(20):
        store.write_now(post)
    assert log_bytes(store) < limit
    assert store.read_now(schema.totals) == {"posts": 40}


def test_a_read_that_blocks_the_cut_is_not_waited_for_at_every_write(store: Store, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = wal._truncate

    def counted(connection: sa.PoolProxiedConnection) -> bool:
        asked.append(log_bytes(store))
        return real(connection)

    monkeypatch.setattr(wal, "_truncate", counted)
    monkeypatch.setattr(wal, "PATIENCE_MILLISECONDS", 1)
    reader = Reader(store)
    for _ in range(35):
        store.write_now(post)
    reader.end()
    assert [size // limit for size in asked] == [1, 2, 3]
    store.write_now(post)
    usual = store.write_now(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one())
    assert usual == 5000


def test_reads_that_always_overlap_cannot_keep_the_log_from_ending(store: Store, limit: int) -> None:
    a_few_milliseconds = sa.text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT max(i) FROM n, total")
    over = threading.Event()

    def read_on() -> None:
        while not over.is_set():
            store.read_now(lambda connection: connection.execute(a_few_milliseconds).all())

    readers = [threading.Thread(target=read_on) for _ in range(4)]
    for reader in readers:
        reader.start()
    longest = 0
    for _ in range(60):
        store.write_now(post)
        longest = max(longest, log_bytes(store))
    over.set()
    for reader in readers:
        reader.join(10)
    assert longest < 3 * limit, "120 MiB were written"


def test_a_cut_that_fails_does_not_undo_the_write(
    store: Store, limit: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_connection: sa.PoolProxiedConnection) -> bool:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(wal, "_truncate", broken)
    reader = Reader(store)
    for _ in range(20):
        store.write_now(post)
    reader.end()
    assert store.read_now(schema.totals) == {"posts": 20}
    assert "could not be written back: disk I/O error" in caplog.text
