"""Transactions on the one database.

    await store.write(work)   one durable transaction: when it returns, the rows survive a power cut; when it raises, nothing happened
    await store.read(work)    one consistent snapshot

`work` is a plain function of a SQLAlchemy connection, so whole transactions are unit-tested without an event loop.

SQLite has one writer at a time, so we make that the design instead of the bottleneck: one thread owns the writing connection and runs the
transactions one after the other, and nobody here waits for a lock or meets "database is locked". Group commit is the caller's
(see alert/inbox.py): many bodies, one transaction. Readers have connections of their own and never block (WAL).

The file is made by `open_store` and never by a connection: a file that disappears under a running server must be an error, not an empty
database. How all this holds up is in docs/explanation/store.md.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import orjson
import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import QueuePool

from agent_sre.kit.errors import AgentSREError, BadSetting, StoreUnavailable
from agent_sre.kit.redact import redact
from agent_sre.store import schema
from agent_sre.store.wal import LogKeeper
from agent_sre.store.writer import WriterThread

T = TypeVar("T")

_READERS = 4

_BUSY_SECONDS = 5.0
"""How long a transaction waits for another process: `agent-sre quarantine retry` writes beside the server, some milliseconds at a time."""

_PRAGMAS = (
    "synchronous=FULL",  # each commit reaches the disk before it returns; WAL alone would let a power cut take the last ones
    "temp_store=MEMORY",  # a read-only root file system has no /tmp to sort in
    "cache_size=-8192",
)
_READER_PRAGMAS = (*_PRAGMAS, "query_only=ON")
_WRITER_PRAGMAS = (
    *_PRAGMAS,
    "journal_mode=WAL",
    "journal_size_limit=16777216",  # after a burst the log shrinks back to 16 MiB, the largest body we take
    "foreign_keys=ON",
)
_MIGRATION_PRAGMAS = (
    *_PRAGMAS,
    "journal_mode=WAL",
    "foreign_keys=OFF",  # SQLite changes a column by making the table again, and dropping the old one breaks whatever refers to it
)

_BUGS = frozenset(
    {
        sqlite3.SQLITE_ERROR,  # a statement that does not fit the tables
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
    }
)
"""What SQLite says when the statement is wrong, not the disk. These pass through: a retry would hide them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where everything is kept."""

    database_url: str = "sqlite:///agent-sre.db"
    """`sqlite:///relative.db` or `sqlite:////absolute.db`. Default: a file in the working folder, so that a first run needs no setup."""


class Store:
    """The open database. Made by `open_store`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = _identity(path)
        self._writer_engine = _engine(path, "BEGIN IMMEDIATE", _WRITER_PRAGMAS, connections=1)
        self._reader_engine = _engine(path, "BEGIN", _READER_PRAGMAS, connections=_READERS)
        self._log_keeper = LogKeeper(path, self._writer_engine)
        self._writer = WriterThread("store-write")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")
        self._lock_file: int | None = None
        self._closed = False

    async def write(self, work: Callable[[Connection], T], *, urgent: bool = False) -> T:
        """Runs `work` in one transaction and returns its result after the commit reached the disk. Urgent work goes before all other.

        Raises StoreUnavailable where the database cannot write (disk full, read-only, I/O error, file removed); the next call starts
        afresh, so the store recovers by itself as soon as the disk does. Whatever else `work` raises rolls back and passes through.
        A cancelled caller does not know the outcome: a transaction that has begun goes on to its end.
        """
        self._check_open()
        return await asyncio.wrap_future(self._writer.submit(self._write, work, urgent=urgent))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` on a consistent snapshot. Raises StoreUnavailable like `write`, also where `work` tries to write."""
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """`write` for callers without an event loop."""
        self._check_open()
        return self._write(work)

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """`read` for callers without an event loop."""
        self._check_open()
        return self._read(work)

    async def check_writable(self) -> None:
        """Writes one small row durably. Raises StoreUnavailable where that fails."""
        await self.write(lambda connection: schema.bump(connection, "store_checks", 1))

    def lock(self) -> None:
        """Makes this process the only one that works on this file, until it ends. Safe to call twice.

        Raises BadSetting where another process does. SQLite itself would allow two; two workers with two wake-up bells would not be wrong,
        but slow and confusing, and a file on a network share is where SQLite loses data.
        """
        if self._lock_file is None:
            self._lock_file = _lock(self.path)

    def close(self) -> None:
        """Waits for the transactions that were asked for and closes the file. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._readers.shutdown(wait=True)
        self._writer.shutdown()
        self._reader_engine.dispose()
        self._writer_engine.dispose()  # the last one out: closing it writes the log back into the file
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _write(self, work: Callable[[Connection], T]) -> T:
        self._check_file()
        result = _transact(self.path, self._writer_engine, work)
        self._log_keeper.after_commit()
        return result

    def _read(self, work: Callable[[Connection], T]) -> T:
        self._check_file()
        return _transact(self.path, self._reader_engine, work)

    def _check_file(self) -> None:
        # An open file that was removed takes every commit without a word and keeps none of them.
        if _identity(self.path) != self._identity:
            raise StoreUnavailable(f"The database {self.path} was replaced by another file while it was open; start agent-sre again.")

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"The database {self.path} is closed.")


def open_store(settings: StoreSettings, *, must_exist: bool = False) -> Store:
    """The store of these settings, created or brought up to date where needed.

    With `must_exist` a missing file is a BadSetting: a command that only reads must not leave an empty database behind. Such a command
    takes no lock and works beside a running server: it waits for its turn to write.

    Raises BadSetting where the URL cannot be used, or where tables must be made or changed while another process serves the file;
    StoreUnavailable where the file cannot be opened or is not ours. Somebody else's file is left as it was.
    """
    path = sqlite_path(settings.database_url)
    if not must_exist:
        _create(path)
    elif not os.path.exists(path):
        raise _missing(path)
    store = Store(path)
    try:
        found = store.read_now(schema.revision)
        if found is None and must_exist:
            raise _missing(path)
        if found != schema.REVISION:
            _prepare(path)
        if not must_exist:
            store.write_now(schema.prepare)  # nothing left to do; what counts is that the write lock and the log can be had
    except (AgentSREError, sqlalchemy.exc.SQLAlchemyError):
        store.close()
        raise
    return store


def sqlite_path(database_url: str) -> Path:
    """The file behind `sqlite:///…`. Raises BadSetting for every other URL, without the password that it may hold."""
    if database_url.startswith("postgres"):
        raise BadSetting("AGENT_SRE_DATABASE_URL: PostgreSQL is not supported by this version yet; use sqlite:////path/agent-sre.db.")
    name = database_url.removeprefix("sqlite:///")
    if name == database_url or not name or name.startswith(":") or "?" in name or "\0" in name:
        shown = redact(database_url)
        raise BadSetting(f'AGENT_SRE_DATABASE_URL: "{shown}" is not a database; write sqlite:///relative.db or sqlite:////absolute.db.')
    return Path(name).absolute()


def _missing(path: Path) -> BadSetting:
    return BadSetting(f"There is no database at {path}. Start `agent-sre serve` once, or set AGENT_SRE_DATABASE_URL.")


def _create(path: Path) -> None:
    # Alerts name what a company runs: the file, and with it the log beside it, is its owner's alone.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not path.parent.is_dir():
            raise StoreUnavailable(f"Cannot create the database {path}: {path.parent} is not a folder.") from None
        if path.exists() and not os.access(path, os.W_OK):  # SQLite would open it all the same, and refuse the first alert
            raise StoreUnavailable(f"The database {path} is read-only for this user.") from None
    except OSError as error:
        raise StoreUnavailable(f"Cannot create the database {path}: {error.strerror}.") from error


def _prepare(path: Path) -> None:
    with _locked(path):
        engine = _engine(path, "BEGIN IMMEDIATE", _MIGRATION_PRAGMAS, connections=1)
        try:
            _transact(path, engine, schema.prepare)
        finally:
            engine.dispose()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = _lock(path)
    try:
        yield
    finally:
        os.close(handle)


def _lock(path: Path) -> int:
    try:
        handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"Cannot lock the database {path}: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise BadSetting(f"Another agent-sre already serves {path}. Stop it first, or set AGENT_SRE_DATABASE_URL to another file.") from error
    except OSError as error:
        os.close(handle)
        raise StoreUnavailable(f"Cannot lock the database {path}: {error.strerror}.") from error
    return handle


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise StoreUnavailable(f"The database {path} cannot be reached: {error.strerror}.") from error
    return found.st_dev, found.st_ino


def _engine(path: Path, begin: str, pragmas: Iterable[str], *, connections: int) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,  # we say BEGIN ourselves: Python's sqlite3 would begin too late for a write lock
            check_same_thread=False,
        )
        try:
            for pragma in pragmas:
                answer = connection.execute(f"PRAGMA {pragma}").fetchone()
                if pragma == "journal_mode=WAL" and answer != ("wal",):
                    raise StoreUnavailable(f"The database {path} cannot keep a write-ahead log: use a disk of this machine, not a share.")
        except (StoreUnavailable, sqlite3.Error):
            connection.close()
            raise
        return connection

    engine = sqlalchemy.create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        hide_parameters=True,  # an error message must not carry an alert's text into the log
    )

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _transact(path: Path, engine: Engine, work: Callable[[Connection], T]) -> T:
    try:
        with engine.connect() as connection:
            try:
                with connection.begin():
                    return work(connection)
            except (sqlalchemy.exc.DatabaseError, sqlite3.DatabaseError) as error:
                if _is_trouble(error):
                    connection.invalidate(error)  # a connection that met an I/O error is not asked again
                raise
    except sqlalchemy.exc.TimeoutError as error:
        raise StoreUnavailable(f"The database {path} failed: another transaction does not end.") from error
    except (sqlalchemy.exc.DatabaseError, sqlite3.DatabaseError) as error:
        if not _is_trouble(error):
            raise
        advice = " Set AGENT_SRE_DATABASE_URL to another file." if _code(error) == sqlite3.SQLITE_NOTADB else ""
        raise StoreUnavailable(f"The database {path} failed: {_cause(error)}.{advice}") from error


def _cause(error: BaseException) -> BaseException:
    return (error.orig or error) if isinstance(error, sqlalchemy.exc.DatabaseError) else error


def _code(error: BaseException) -> int | None:
    code = getattr(_cause(error), "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF  # the low byte is the kind, the rest a detail of it


def _is_trouble(error: BaseException) -> bool:
    code = _code(error)
    return code is not None and code not in _BUGS
