"""Programs that meet a bad disk, each in a process of its own because it changes what the whole process may do.

python troubled_disk.py <which> <folder>     prints what happened, one word and its details per line
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from agent_sre.kit.errors import StoreUnavailable
from agent_sre.store import schema
from agent_sre.store.engine import Store, StoreSettings, open_store


def post(connection: Connection) -> None:
    """Two tables, several pages: half of it would show."""
    schema.bump(connection, "posts", 1)
    connection.execute(sa.insert(schema.artifact).values(run_id=os.urandom(8).hex(), name="body", body=os.urandom(20_000)))


def state(connection: Connection) -> tuple[int, int, str]:
    """Posts counted, bodies kept, and what SQLite thinks of its file."""
    bodies = connection.execute(sa.select(sa.func.count()).select_from(schema.artifact)).scalar_one()
    return schema.totals(connection).get("posts", 0), bodies, connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()


def store_in(folder: Path) -> Store:
    return open_store(StoreSettings(database_url=f"sqlite:///{folder}/agent-sre.db"))


def say(word: str, details: object) -> None:
    sys.stdout.write(f"{word} {details}\n")


async def full(folder: Path) -> None:
    """A disk that another file fills up until nothing fits, and that is given room again."""
    store = store_in(folder)
    await store.write(post)
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            say("ballast", error.strerror)
    acknowledged = 1
    try:
        while True:  # what is left of the last page, and of the log's own room
            await store.write(post)
            acknowledged += 1
    except StoreUnavailable as error:
        say("refused", error)
    say("kept", await store.read(state) == (acknowledged, acknowledged, "ok"))
    ballast.unlink()
    await store.check_writable()
    await store.write(post)
    say("recovered", await store.read(state) == (acknowledged + 1, acknowledged + 1, "ok"))
    store.close()


async def cut(folder: Path) -> None:
    """A write that breaks off at the nth page, for each n until it comes through; the next one has room again."""
    store = store_in(folder)
    await store.write(post)
    _, unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    acknowledged, refused, pages = 1, 0, 0
    while True:
        size = os.stat(f"{store.path}-wal").st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + pages * 4096, unlimited))
        try:
            await store.write(post)
            break
        except StoreUnavailable:
            refused += 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
        assert await store.read(state) == (acknowledged, acknowledged, "ok"), pages
        await store.write(post)
        acknowledged += 1
        pages += 1
    say("refused", refused)
    say("kept", await store.read(state) == (acknowledged + 1, acknowledged + 1, "ok"))
    store.close()


async def read_only(folder: Path) -> None:
    """A file, then a folder, that this user may read and not write."""
    store = store_in(folder)
    await store.write(post)
    store.close()
    if os.getuid() == 0:  # nothing is read-only for root
        os.chown(folder, 65534, 65534)
        os.chown(store.path, 65534, 65534)
        os.setuid(65534)
    os.chmod(store.path, 0o400)
    try:
        store_in(folder)
    except StoreUnavailable as error:
        say("file", error)
    os.chmod(store.path, 0o600)
    os.chmod(folder, 0o500)
    try:
        store_in(folder)
    except StoreUnavailable as error:
        say("folder", error)
    os.chmod(folder, 0o700)
    store = store_in(folder)
    say("kept", await store.read(state) == (1, 1, "ok"))
    store.close()


if __name__ == "__main__":
    asyncio.run({"full": full, "cut": cut, "read_only": read_only}[sys.argv[1]](Path(sys.argv[2])))
