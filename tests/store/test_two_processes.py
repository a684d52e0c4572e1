"""The server has the file to itself, and a command works beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from agent_sre.kit.errors import BadSetting, StoreUnavailable
from agent_sre.store import schema
from agent_sre.store.engine import Store, StoreSettings, open_store

SERVER = """
import sys
from agent_sre.store import schema
from agent_sre.store.engine import StoreSettings, open_store

store = open_store(StoreSettings(database_url=sys.argv[1]))
store.lock()
store.lock()
print("serving", flush=True)
for line in sys.stdin:
    def work(connection):
        schema.bump(connection, "server", 1)
        print("writing", flush=True)
        sys.stdin.readline()
    store.write_now(work)
    print("wrote", flush=True)
store.close()
"""


class Server:
    """Another process that serves the file."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def hears(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def told(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    return StoreSettings(database_url=f"sqlite:///{tmp_path}/agent-sre.db")


@pytest.fixture
def server(settings: StoreSettings) -> Iterator[Server]:
    command = [sys.executable, "-c", SERVER, settings.database_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        server = Server(process)
        assert server.hears() == "serving"
        yield server
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


@pytest.fixture
def command(settings: StoreSettings, server: Server) -> Iterator[Store]:
    with closing(open_store(settings, must_exist=True)) as store:
        yield store


def bump(connection: Connection) -> None:
    schema.bump(connection, "command", 1)


def test_a_second_server_is_told_that_there_is_one(settings: StoreSettings, server: Server) -> None:
    with closing(open_store(settings)) as second, pytest.raises(BadSetting, match=f"Another agent-sre already serves {second.path}. Stop it"):
        second.lock()


def test_the_lock_goes_with_the_process_however_it_ends(settings: StoreSettings, server: Server) -> None:
    server.process.kill()
    server.process.wait(10)
    with closing(open_store(settings)) as heir:
        heir.lock()


def test_closing_gives_the_lock_back(settings: StoreSettings) -> None:
    for _ in range(2):
        with closing(open_store(settings)) as store:
            store.lock()


def test_a_lock_file_that_cannot_be_made_is_said_to_be_so(settings: StoreSettings) -> None:
    with closing(open_store(settings)) as store:
        os.remove(f"{store.path}.lock")
        os.mkdir(f"{store.path}.lock")
        with pytest.raises(StoreUnavailable, match="Cannot lock the database"):
            store.lock()


def test_a_command_reads_at_once_while_the_server_writes(command: Store, server: Server) -> None:
    server.told("write")
    assert server.hears() == "writing"
    assert command.read_now(schema.totals) == {}
    server.told("go on")
    assert server.hears() == "wrote"
    assert command.read_now(schema.totals) == {"server": 1}


def test_a_command_that_writes_waits_for_the_server_instead_of_failing(command: Store, server: Server) -> None:
    server.told("write")
    assert server.hears() == "writing"
    waiting = threading.Event()
    event.listen(command._writer_engine, "before_cursor_execute", lambda *_: waiting.set())  # the next thing is BEGIN IMMEDIATE
    results: list[dict[str, int]] = []

    def work(connection: Connection) -> None:
        bump(connection)
        results.append(schema.totals(connection))

    thread = threading.Thread(target=command.write_now, args=(work,))
    thread.start()
    assert waiting.wait(10)
    assert not results
    server.told("go on")
    assert server.hears() == "wrote"
    thread.join(10)
    assert results == [{"server": 1, "command": 1}]


def test_the_server_waits_for_a_command_that_writes(command: Store, server: Server) -> None:
    def work(connection: Connection) -> None:
        bump(connection)
        server.told("write")

    command.write_now(work)
    assert server.hears() == "writing"
    server.told("go on")
    assert server.hears() == "wrote"
    assert command.read_now(schema.totals) == {"server": 1, "command": 1}


def test_a_writer_that_waits_too_long_hears_that_the_file_is_busy(command: Store, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_sre.store.engine._BUSY_SECONDS", 0.05)
    server.told("write")
    assert server.hears() == "writing"
    with pytest.raises(StoreUnavailable, match="database is locked"):
        command.write_now(bump)
    server.told("go on")
    assert server.hears() == "wrote"
    command.write_now(bump)
    assert command.read_now(schema.totals) == {"server": 1, "command": 1}


def test_a_command_that_closes_leaves_the_servers_log_alone(command: Store, server: Server) -> None:
    for step in range(3):
        server.told("write")
        assert server.hears() == "writing"
        server.told("go on")
        assert server.hears() == "wrote"
        assert command.read_now(schema.totals) == {"server": step + 1}
    command.close()
    assert os.path.exists(f"{command.path}-wal")
    server.told("write")
    assert server.hears() == "writing"
    server.told("go on")
    assert server.hears() == "wrote"
