"""Full, broken, read-only, removed: the caller hears of it, nothing half-written stays, and the same store goes on when the disk does."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from agent_sre.kit.errors import StoreUnavailable
from agent_sre.store import schema
from agent_sre.store.engine import Store, StoreSettings, open_store

SCRIPT = Path(__file__).with_name("troubled_disk.py")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path}/data/agent-sre.db"))
    yield store
    store.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user can reach: pytest's own cannot be."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def troubled(which: str, folder: Path, *before: str) -> dict[str, str]:
    run = subprocess.run([*before, sys.executable, str(SCRIPT), which, str(folder)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return dict(line.split(" ", 1) for line in run.stdout.splitlines())


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    trial = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


def bump(connection: Connection) -> None:
    schema.bump(connection, "posts", 1)


@pytest.mark.skipif(not can_mount(), reason="this user may not mount a small disk of its own")
def test_a_full_disk_refuses_keeps_what_was_acknowledged_and_is_used_again_when_there_is_room(folder: Path) -> None:
    mount = f'mount -t tmpfs -o size=2m tmpfs "{folder}" && exec "$@"'
    said = troubled("full", folder, "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh")
    assert said == {
        "ballast": "No space left on device",
        "refused": f"The database {folder}/agent-sre.db failed: database or disk is full.",
        "kept": "True",
        "recovered": "True",
    }


def test_a_write_that_breaks_off_at_any_page_leaves_nothing_of_itself(folder: Path) -> None:
    said = troubled("cut", folder)
    assert int(said["refused"]) >= 5, "several pages, each of which broke once"
    assert said["kept"] == "True"


def test_a_read_only_file_or_folder_stops_the_start_and_loses_nothing(folder: Path) -> None:
    said = troubled("read_only", folder)
    assert said == {
        "file": f"The database {folder}/agent-sre.db is read-only for this user.",
        "folder": f"The database {folder}/agent-sre.db failed: attempt to write a readonly database.",
        "kept": "True",
    }


async def test_a_database_that_may_not_grow_refuses_what_does_not_fit_and_nothing_of_it_stays(store: Store) -> None:
    def too_much(connection: Connection) -> None:
        bump(connection)
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.execute(sa.insert(schema.artifact).values(run_id="1", name="body", body=bytes(100_000)))

    with pytest.raises(StoreUnavailable, match="database or disk is full"):
        await store.write(too_much)
    assert await store.read(schema.totals) == {}
    await store.write(bump)
    assert await store.read(schema.totals) == {"posts": 1}


async def test_a_removed_folder_is_an_error_and_never_a_new_empty_database(store: Store) -> None:
    await store.write(bump)
    shutil.rmtree(store.path.parent)
    for call in (store.write(bump), store.read(schema.totals), store.check_writable()):
        with pytest.raises(StoreUnavailable, match="cannot be reached: No such file or directory"):
            await call
    store.path.parent.mkdir()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await store.write(bump)
    assert list(store.path.parent.iterdir()) == []


async def test_a_folder_that_comes_back_is_used_again(store: Store) -> None:
    await store.write(bump)
    away = store.path.parent.rename(store.path.parent.with_name("away"))
    with pytest.raises(StoreUnavailable):
        await store.write(bump)
    away.rename(store.path.parent)
    await store.write(bump)
    assert await store.read(schema.totals) == {"posts": 2}


async def test_a_file_that_was_replaced_under_the_server_is_neither_written_nor_read(store: Store, tmp_path: Path) -> None:
    await store.write(bump)
    other = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path}/other.db"))
    other.close()
    other.path.rename(store.path)
    for call in (store.write(bump), store.read(schema.totals)):
        with pytest.raises(StoreUnavailable, match="was replaced by another file while it was open; start agent-sre again"):
            await call


def test_a_damaged_file_is_an_error_that_says_so(tmp_path: Path) -> None:
    settings = StoreSettings(database_url=f"sqlite:///{tmp_path}/agent-sre.db")
    open_store(settings).close()
    file = tmp_path / "agent-sre.db"
    damaged = file.read_bytes()[:4096] + b"\xff" * (file.stat().st_size - 4096)
    file.write_bytes(damaged)
    with pytest.raises(StoreUnavailable, match="failed: database disk image is malformed"):
        open_store(settings)
    assert file.read_bytes() == damaged, "whoever repairs it finds all that is left"
