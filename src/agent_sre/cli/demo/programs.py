"""Real Prometheus and Alertmanager as child processes: configured for a story of seconds, stopped with the demo."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from agent_sre.cli.demo.exporter import history
from agent_sre.kit.errors import Unavailable

log = logging.getLogger(__name__)

_PROMETHEUS = ("prometheus",)
_ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")

_RULES = """\
groups:
- name: demo
  rules:
  - alert: ContainerMemoryNearLimit
    expr: |
      max by (namespace, pod, container) (container_memory_working_set_bytes)
        / max by (namespace, pod, container) (kube_pod_container_resource_limits{resource="memory"}) > 0.9
    for: 2s
    labels: {severity: critical}
    annotations:
      summary: Container {{ $labels.container }} is about to run out of memory
      description: '{{ $labels.namespace }}/{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its memory limit.'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where the two programs are."""

    prometheus: str
    alertmanager: str
    promtool: str | None  # comes with Prometheus; without it the past stays empty


def installed_programs() -> Programs | None:
    """The programs of this machine, None where one is missing."""
    found = [next((path for name in names if (path := shutil.which(name))), None) for names in (_PROMETHEUS, _ALERTMANAGER)]
    if found[0] is None or found[1] is None:
        return None
    return Programs(prometheus=found[0], alertmanager=found[1], promtool=shutil.which("promtool"))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def prometheus_and_alertmanager(
    programs: Programs, folder: Path, *, exporter_port: int, prometheus_port: int, alertmanager_port: int, webhook_url: str
) -> AsyncIterator[None]:
    """Both programs, ready, watching the exporter and posting to the webhook. Raises Unavailable where one does not start."""
    (folder / "rules.yml").write_text(_RULES)
    (folder / "prometheus.yml").write_text(_prometheus_config(exporter_port, alertmanager_port))
    (folder / "alertmanager.yml").write_text(_alertmanager_config(webhook_url))
    if programs.promtool is not None:
        await _write_history(programs.promtool, folder, exporter_port)
    alertmanager = (
        programs.alertmanager,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{alertmanager_port}",
        "--cluster.listen-address=",
    )
    prometheus = (
        programs.prometheus,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{prometheus_port}",
    )
    async with _program(alertmanager, f"http://127.0.0.1:{alertmanager_port}"), _program(prometheus, f"http://127.0.0.1:{prometheus_port}"):
        yield


async def _write_history(promtool: str, folder: Path, exporter_port: int) -> None:
    """Puts the hours before the demo into Prometheus' storage."""
    source, storage = folder / "history.om", folder / "prometheus"
    source.write_text(history(datetime.now(UTC), target=f"127.0.0.1:{exporter_port}"))
    storage.mkdir()
    command = (promtool, "tsdb", "create-blocks-from", "openmetrics", str(source), str(storage))
    process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=PIPE)
    _, said = await process.communicate()
    if process.returncode:
        log.warning("promtool did not take the history, so the curve begins now: %s", said.decode(errors="replace").strip()[-200:])


@asynccontextmanager
async def _program(command: tuple[str, ...], url: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True)
    try:
        await _wait_until_ready(process, Path(command[0]).name, url)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _wait_until_ready(process: Process, name: str, url: str, seconds: float = 20) -> None:
    try:
        async with asyncio.timeout(seconds), httpx2.AsyncClient(trust_env=False) as client:
            while process.returncode is None:
                try:
                    if (await client.get(f"{url}/-/ready")).status_code == 200:
                        return
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise Unavailable(f"{name} was not ready after {seconds:.0f} s.") from error
    raise Unavailable(f"{name} stopped at once with status {process.returncode}.")


def _prometheus_config(exporter_port: int, alertmanager_port: int) -> str:
    return f"""\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s, external_labels: {{cluster: demo}}}}
rule_files: [rules.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager_port}']}}]}}]
scrape_configs:
- job_name: demo
  honor_labels: true
  static_configs: [{{targets: ['127.0.0.1:{exporter_port}']}}]
"""


def _alertmanager_config(webhook_url: str) -> str:
    return f"""\
route:
  receiver: 'null'
  group_by: [alertname, namespace]
  group_wait: 1s
  group_interval: 5s
  repeat_interval: 1h
  routes:
  - receiver: ai-agent-webhook
    matchers: ['severity =~ "warning|critical"']
    continue: true
receivers:
- name: 'null'
- name: ai-agent-webhook
  webhook_configs:
  - url: {webhook_url}
    send_resolved: true
    http_config: {{follow_redirects: false}}
"""
