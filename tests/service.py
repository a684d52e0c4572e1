"""The whole service for tests: in this process over real sockets, or as a process of its own that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from agent_sre.app import App, build
from agent_sre.config.config import Config
from agent_sre.config.load import load_config
from agent_sre.web.server import listen, serve

SHARED = Path(__file__).parent.parent.parent / "shared"
"""Material that is not part of the repository; tests that read it are skipped where it is absent."""

ALERTMANAGER = {"User-Agent": "Alertmanager/0.25.0", "Content-Type": "application/json"}

NO_OLLAMA = "http://127.0.0.1:9"
"""An address that refuses at once."""


def config_of(folder: Path, **variables: str) -> Config:
    """Settings as the environment would give them: a database in `folder`, a free port, no Ollama unless one is named."""
    defaults = {
        "AGENT_SRE_DATABASE_URL": f"sqlite:///{folder / 'agent-sre.db'}",
        "AGENT_PORT": "0",
        "OLLAMA_URL": NO_OLLAMA,
    }
    return load_config({**defaults, **variables})


@dataclass(frozen=True, kw_only=True)
class RunningService:
    """A service that answers."""

    app: App
    url: str
    client: httpx2.AsyncClient

    async def post(self, body: object, *, wait: float = 25, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A webhook post that must succeed; the answer."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = await self.client.post(f"/webhook/alert?wait={wait}", content=content, headers=dict(headers or {}))
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def get(self, path: str) -> Any:
        """A JSON answer."""
        response = await self.client.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    async def incidents(self) -> list[dict[str, Any]]:
        """All incidents, newest first."""
        found: list[dict[str, Any]] = (await self.get("/incidents?limit=200"))["incidents"]
        return found

    async def settled(self, seconds: float = 30) -> None:
        """Waits until every stored alert is settled."""
        async with asyncio.timeout(seconds):
            while (await self.metric("agent_sre_alerts_open")) != 0:
                await asyncio.sleep(0.05)

    async def metric(self, name: str) -> float:
        """One sample without labels from /metrics."""
        text = (await self.client.get("/metrics")).text
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


@contextlib.asynccontextmanager
async def running_service(config: Config, *, application: App | None = None) -> AsyncIterator[RunningService]:
    """The service in this event loop, with a real socket in front."""
    listening = listen(config.server)
    port = listening.getsockname()[1]
    built = application or build(config)
    stop = asyncio.Event()
    async with built.running():
        serving = asyncio.create_task(
            serve(
                built.web,
                listening,
                head_timeout=config.inbox.header_timeout,
                body_timeout=config.inbox.body_timeout,
                max_connections=config.inbox.max_connections,
                stop=stop,
            )
        )
        url = f"http://127.0.0.1:{port}"
        try:
            async with httpx2.AsyncClient(base_url=url, timeout=40, trust_env=False) as client:
                await _ready(client)
                await built.agent.open()
                yield RunningService(app=built, url=url, client=client)
        finally:
            stop.set()
            await serving
            listening.close()


async def _ready(client: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if (await client.get("/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.02)


class ServiceProcess:
    """`agent-sre serve` as a process."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._variables = variables
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Starts it, and waits until it is ready."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENT_")}
        environment |= {
            "AGENT_SRE_DATABASE_URL": f"sqlite:///{self.folder / 'agent-sre.db'}",
            "AGENT_PORT": str(self.port),
            "OLLAMA_URL": NO_OLLAMA,
            **self._variables,
        }
        with (self.folder / "serve.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent_sre", "serve"], env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder
            )
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, seconds: float = 20) -> None:
        """Returns when /ready says 200."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process is not None
            assert self.process.poll() is None, self.log()[-2000:]
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"not ready after {seconds} s: {self.log()[-2000:]}")

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    def log(self) -> str:
        """What it printed."""
        return (self.folder / "serve.log").read_text(errors="replace")


@contextlib.contextmanager
def service_process(folder: Path, **variables: str) -> Iterator[ServiceProcess]:
    """A started process, killed at the end whatever happens."""
    process = ServiceProcess(folder, **variables)
    process.start()
    try:
        yield process
    finally:
        if process.process is not None and process.process.poll() is None:
            process.kill()


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def firing(name: str = "HighCPU", severity: str | None = "warning", **labels: str) -> dict[str, Any]:
    """One firing alert, as little as people post by hand."""
    wanted = {"alertname": name, **({"severity": severity} if severity else {}), **labels}
    return {"status": "firing", "labels": wanted, "annotations": {"summary": f"{name} is firing"}}


def message(*alerts: dict[str, Any], group_key: str = "") -> dict[str, Any]:
    """A webhook message."""
    return {"version": "4", "groupKey": group_key, "status": "firing", "receiver": "ai-agent-webhook", "alerts": list(alerts)}


def with_settings(config: Config, room: str, **values: Any) -> Config:
    """The same settings with some values of one room changed."""
    return replace(config, **{room: replace(getattr(config, room), **values)})
