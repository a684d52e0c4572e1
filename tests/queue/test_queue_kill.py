"""kill -9 at ten moments that nobody chose: what was acknowledged is still true afterwards."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from agent_sre.kit.clock import FakeClock
from agent_sre.queue.embedded import EmbeddedQueue
from agent_sre.queue.job import QueueSettings
from agent_sre.store.engine import StoreSettings, open_store

LIVES = 10


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def worker(database: Path) -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).with_name("mortal_worker.py")
    command = [sys.executable, str(script), str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def live_and_die(worker: subprocess.Popen[str], life: int, manner: str, steps: int) -> list[tuple[str, ...]]:
    """What one life acknowledged: killed after that many steps, wherever it is by then."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(f"{life} {manner}\n")
    worker.stdin.flush()
    word, pid = worker.stdout.readline().split()
    assert word == "life"
    said = [tuple(worker.stdout.readline().split()) for _ in range(steps)]
    os.kill(int(pid), signal.SIGKILL)
    while (line := tuple(worker.stdout.readline().split())) != ("died", str(-signal.SIGKILL)):
        assert line
        assert line[0] != "died"
        said.append(line)
    return said


def rows(database: Path) -> dict[str, tuple[str, int]]:
    """Status and attempts by key, as another program reads the file."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = connection.execute("SELECT key, status, attempts FROM job").fetchall()
    assert len({key for key, _, _ in found}) == len(found), "a key became two jobs"
    return {key: (status, attempts) for key, status, attempts in found}


def test_after_ten_kills_no_job_is_lost_and_none_runs_again(worker: subprocess.Popen[str], database: Path) -> None:
    moments = random.Random(20261123)
    enqueued: set[str] = set()
    finished: set[str] = set()
    for life in range(LIVES):
        for step in live_and_die(worker, life, "works", moments.randint(3, 60)):
            match step:
                case "enqueued", key:
                    enqueued.add(key)
                case "claimed", key, _:
                    assert key not in finished, f"{key} was finished and ran again"
                case "finished", key:
                    finished.add(key)
                case "retried", _:
                    pass
                case _:
                    pytest.fail(f"the worker said {step}")
        found = rows(database)
        assert enqueued <= set(found), "an acknowledged job is not there"
        assert {key for key, (status, _) in found.items() if status == "finished"} >= finished
        assert len([status for status, _ in found.values() if status == "leased"]) <= 1 + life  # what each life held when it died
    assert len(finished) > LIVES


async def test_what_a_killed_worker_held_is_claimed_again_and_each_death_is_counted(worker: subprocess.Popen[str], database: Path) -> None:
    for life in range(3):
        assert live_and_die(worker, life, "holds", 2) == [("enqueued", f"{life}-0"), ("claimed", "0-0", str(life + 1))]
    assert rows(database) == {"0-0": ("leased", 3), "1-0": ("queued", 0), "2-0": ("queued", 0)}
    clock = FakeClock()
    clock.advance(timedelta(hours=LIVES))
    store = open_store(StoreSettings(database_url=f"sqlite:///{database}"))
    store.lock()  # the dead let go of it
    queue = EmbeddedQueue(store, clock, QueueSettings())
    job = await queue.claim("investigate", "heir")
    assert job is not None
    assert (job.key, job.attempts) == ("0-0", 4)
    assert await queue.finish(job)
    store.close()
