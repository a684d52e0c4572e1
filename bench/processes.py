"""Processes that are measured: started with a clean environment in an empty folder, and always ended."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
NO_OLLAMA = "http://127.0.0.1:9"
"""Refuses at once."""


@contextmanager
def running(command: Sequence[str], **variables: str) -> Iterator[subprocess.Popen[str]]:
    """`python <command>` with a database of its own. Killed at the end: its data goes with the folder."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(REPOSITORY),
            "AGENT_HOST": "127.0.0.1",
            "AGENT_PORT": "0",
            "AGENT_SRE_DATABASE_URL": f"sqlite:///{folder}/bench.db",
            "AGENT_SRE_LOG_LEVEL": "error",
            "OLLAMA_URL": NO_OLLAMA,
            **variables,
        }
        process = subprocess.Popen([sys.executable, *command], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@contextmanager
def serving(**variables: str) -> Iterator[tuple[http.client.HTTPConnection, int, float]]:
    """`agent-sre serve` that is ready: a connection to it, its process id, and how many seconds it took to answer /ready with 200."""
    port = free_port()
    started = time.perf_counter()
    with running(["-m", "agent_sre", "serve"], AGENT_PORT=str(port), **variables) as process:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not _is_ready(connection):
            if process.poll() is not None or time.perf_counter() - started > 30:
                raise SystemExit("agent-sre serve did not become ready.")
            time.sleep(0.01)
        ready = time.perf_counter() - started
        try:
            yield connection, process.pid, ready
        finally:
            connection.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """One request on this connection: the status and the body."""
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    return response.status, response.read()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(connection: http.client.HTTPConnection) -> bool:
    try:
        return ask(connection, "GET", "/ready", None, {})[0] == 200
    except (OSError, http.client.HTTPException):
        connection.close()
        return False
