"""The story of the demo, told from start to report."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2

from agent_sre.cli.demo.exporter import exporter
from agent_sre.cli.demo.programs import free_port, installed_programs, prometheus_and_alertmanager
from agent_sre.cli.serve import serve_until
from agent_sre.cli.terminal import Progress, show_markdown
from agent_sre.config.config import Config
from agent_sre.config.load import load_config
from agent_sre.evidence.alertmanager.client import AlertmanagerSettings
from agent_sre.kit.errors import Unavailable
from agent_sre.kit.logs import configure_logs
from agent_sre.kit.times import format_instant
from agent_sre.store.engine import StoreSettings
from agent_sre.web.server import stop_on_signals

_LEAK_SECONDS = 30.0
"""No steeper than the ninety minutes before, to the eye; the threshold is crossed after five seconds."""


def run(*, seconds: int, keep: bool, replay: bool) -> int:
    """Tells the story; 0 where it came to its end."""
    with tempfile.TemporaryDirectory(prefix="agent-sre-demo-") as folder:
        return asyncio.run(_story(Path(folder), seconds=seconds, keep=keep or sys.stdout.isatty(), replay=replay))


async def _story(folder: Path, *, seconds: int, keep: bool, replay: bool) -> int:
    started = time.monotonic()
    stop = asyncio.Event()
    stop_on_signals(stop)
    programs = None if replay else installed_programs()
    port, prometheus_port, alertmanager_port = free_port(), free_port(), free_port()
    base = f"http://127.0.0.1:{port}"
    config = _config(folder, port, *(f"http://127.0.0.1:{other}" if programs else "" for other in (prometheus_port, alertmanager_port)))
    configure_logs(replace(config.logs, level="warning"))
    async with AsyncExitStack() as stack:
        progress = stack.enter_context(Progress())
        progress.step("starting Agent-SRE with a temporary database")
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=base, trust_env=False, timeout=30))
        await stack.enter_async_context(_service(config))
        await _ready(client)
        progress.done(f"Agent-SRE listens on {base} (ready after {time.monotonic() - started:.1f} s)")
        if programs is not None:
            exporter_port = await stack.enter_async_context(exporter(leak_seconds=_LEAK_SECONDS))
            progress.step("starting Prometheus and Alertmanager")
            await stack.enter_async_context(
                prometheus_and_alertmanager(
                    programs,
                    folder,
                    exporter_port=exporter_port,
                    prometheus_port=prometheus_port,
                    alertmanager_port=alertmanager_port,
                    webhook_url=f"{base}/webhook/alert",
                )
            )
            progress.done("Prometheus and Alertmanager run; a pod of shop/checkout leaks memory")
            progress.step("waiting for Prometheus to fire and Alertmanager to post")
        else:
            why = "as asked" if replay else "Prometheus or Alertmanager is not installed (Debian: apt-get install prometheus prometheus-alertmanager)"
            progress.done(f"Replaying a webhook that Alertmanager sent once: {why}")
            headers = {"User-Agent": "Alertmanager/demo"}
            (await client.post("/webhook/alert", content=_recorded_body(), headers=headers)).raise_for_status()
        incident = await _report(client, progress, stop, seconds - (time.monotonic() - started))
        if incident is None:
            return 130
        progress.done(f"report complete after {time.monotonic() - started:.0f} s in all, written by {incident['author']}")
        progress.close()
        show_markdown(incident["analysis"], title=f"{incident['incident_id']}  {incident['severity']}  {incident['title']}")
        if keep:
            print(f"\nOpen {base}/incidents/{incident['incident_id']} in a browser. Ctrl-C ends the demo.", flush=True)  # noqa: T201
            await stop.wait()
        else:
            print(f"\nThe page was {base}/incidents/{incident['incident_id']}; `agent-sre demo --keep` leaves it open.", flush=True)  # noqa: T201
    return 0


def _config(folder: Path, port: int, prometheus_url: str, alertmanager_url: str) -> Config:
    """The user's own settings (an Ollama of his is used), but for what the demo brings itself."""
    config = load_config(os.environ)
    return replace(
        config,
        store=StoreSettings(database_url=f"sqlite:///{folder}/demo.db"),
        server=replace(config.server, host="127.0.0.1", port=port),
        inbox=replace(config.inbox, webhook_token=""),
        prometheus=replace(config.prometheus, url=prometheus_url, external_url="", bearer_token=""),
        alertmanager=AlertmanagerSettings(url=alertmanager_url),
        reconcile=replace(config.reconcile, interval=timedelta(0)),  # a story of seconds has nothing to catch up with
    )


def _recorded_body() -> bytes:
    """A body that Alertmanager sent in the real story, as if its alert had begun now."""
    document = json.loads((files("agent_sre.cli.demo") / "webhook.json").read_bytes())
    for alert in document["alerts"]:
        alert["startsAt"] = format_instant(datetime.now(UTC))
    return json.dumps(document).encode()


@asynccontextmanager
async def _service(config: Config) -> AsyncIterator[None]:
    end = asyncio.Event()
    task = asyncio.create_task(serve_until(config, end))
    try:
        yield
    finally:
        end.set()
        await task


async def _ready(client: httpx2.AsyncClient) -> None:
    for _ in range(200):
        with contextlib.suppress(httpx2.TransportError):
            if (await client.get("/ready")).status_code == 200:
                return
        await asyncio.sleep(0.05)
    raise Unavailable("The service did not become ready within 10 s; `agent-sre check` says more.")


async def _report(client: httpx2.AsyncClient, progress: Progress, stop: asyncio.Event, seconds: float) -> dict[str, Any] | None:
    """The first incident with a complete report; None where the user had enough."""
    seen = ""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if stop.is_set():
            return None
        found = (await client.get("/incidents")).json()["incidents"]
        if found:
            newest = found[0]
            if newest["stage"] != seen:
                seen = newest["stage"]
                progress.done(f"{newest['incident_id']} {newest['title']}: {seen}")
                progress.step("investigating: evidence, rules, model")
            if seen == "complete":
                whole: dict[str, Any] = (await client.get(f"/incidents/{newest['incident_id']}")).json()
                return whole
        await asyncio.sleep(0.2)
    raise Unavailable("No report came in time. Try `agent-sre demo --seconds 120`, or `agent-sre check`.")
