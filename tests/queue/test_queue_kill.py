"""kill -9 at ten moments that nobody chose: what was acknowledged is still true afterwards."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
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
    with subprocess.Popen(
        [sys.executable, str(script), str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.write("quit\n")
        process.stdin.flush()
        assert process.wait(10) == 0


def live_and_die(worker: subprocess.Popen[str], life: int, lines_to_live: int) -> list[list[str]]:
    """What one life said: killed as soon as it said `lines_to_live` lines, wherever it is by then."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(f"{life}\n")
    worker.stdin.flush()
    word, pid = worker.stdout.readline().split()
    assert word == "life"
    said = [worker.stdout.readline().split() for _ in range(lines_to_live)]
    os.kill(int(pid), signal.SIGKILL)
    # It said more between our last look and its death; the end of that is where the next life begins, so ask for one that ends at once.
    return said


def rows(database: Path) -> dict[str, tuple[str, int]]:
    with sqlite3.connect(database) as connection:
        found = connection.execute("SELECT key, status, attempts FROM job").fetchall()
    connection.close()
    assert len({key for key, _, _ in found}) == len(found)
    return {key: (status, attempts) for key, status, attempts in found}
