"""The whole way with the real Prometheus and Alertmanager."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from programs import free_port, real_alertmanager, real_prometheus
from service import ServiceProcess, config_of, running_service, service_process

pytestmark = [pytest.mark.real, pytest.mark.slow]

RULES = """\
groups:
- name: shop
  rules:
  - alert: QueueBacklog
    expr: max by (namespace, service) (queue_messages_waiting) > 100
    for: 1s
    labels: {severity: warning}
    annotations: {summary: 'Too many messages wait in {{ $labels.service }}'}
"""


class Exporter:
    """A service whose queue the test fills and empties."""

    def __init__(self) -> None:
        self.waiting = 7
        self.port = free_port()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                body = f'queue_messages_waiting{{namespace="shop",service="orders"}} {self.waiting}\n'.encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", self.port):
            yield


def alertmanager_yml(*urls: str, group_interval: str = "2s") -> str:
    """One receiver that posts to all these addresses."""
    webhooks = "\n".join(f"  - {{url: '{url}/webhook/alert', send_resolved: true, max_alerts: 0}}" for url in urls)
    return f"""\
route:
  receiver: 'null'
  group_by: [alertname, namespace]
  group_wait: 500ms
  group_interval: {group_interval}
  repeat_interval: 1h
  routes:
  - {{receiver: ai-agent-webhook, matchers: ['severity =~ "warning|critical"'], continue: true}}
receivers:
- name: 'null'
- name: ai-agent-webhook
  webhook_configs:
{webhooks}
"""


async def test_prometheus_fires_alertmanager_posts_and_the_incident_is_investigated_and_resolved(tmp_path: Path) -> None:
    exporter = Exporter()
    port = free_port()
    scrape = f"  - {{job_name: orders, honor_labels: true, static_configs: [{{targets: ['127.0.0.1:{exporter.port}']}}]}}\n"
    async with exporter.running():
        with contextlib.ExitStack() as stack:
            alertmanager = await asyncio.to_thread(
                stack.enter_context, real_alertmanager(tmp_path / "am", alertmanager_yml(f"http://127.0.0.1:{port}"))
            )
            prometheus = await asyncio.to_thread(
                stack.enter_context,
                real_prometheus(tmp_path / "prom", rules=RULES, scrape_configs=scrape, alertmanagers=alertmanager.urls),
            )
            config = config_of(tmp_path, AGENT_PORT=str(port), PROMETHEUS_URL=prometheus.url)
            async with running_service(config) as service:
                exporter.waiting = 250
                incident = await until(service.incidents, lambda found: bool(found) and found[0]["stage"] == "complete", seconds=40)
                assert incident[0]["title"].startswith("QueueBacklog")
                assert incident[0]["subject"]["namespace"] == "shop"
                whole = await service.get(f"/incidents/{incident[0]['incident_id']}")
                assert "250" in whole["analysis"]
                values = [item for item in whole["analysis_json"]["evidence"] if item["source"] == "prometheus"]
                assert values, whole["analysis_json"]["gaps"]
                assert "orders" in whole["analysis"]
                exporter.waiting = 3
                await until(service.incidents, lambda found: found[0]["status"] == "resolved", seconds=60)
                assert len(await service.incidents()) == 1
                await service.settled()


async def test_an_outage_of_the_receiver_loses_no_alert_that_still_fires(tmp_path: Path) -> None:
    with service_process(tmp_path) as service, real_alertmanager(tmp_path / "am", alertmanager_yml(service.url)) as alertmanager:
        await asyncio.to_thread(post_alerts, alertmanager.url, "Before")
        await until(lambda: incidents_of(service), lambda found: titles(found) == {"Before"}, seconds=20)
        service.kill()
        await asyncio.to_thread(post_alerts, alertmanager.url, "During")
        await asyncio.sleep(3)
        service.start()
        await until(lambda: incidents_of(service), lambda found: {"Before", "During"} <= titles(found), seconds=60)
        await until(lambda: incidents_of(service), lambda found: all(item["stage"] == "complete" for item in found), seconds=30)


async def test_an_ha_pair_that_sends_everything_twice_makes_one_incident(tmp_path: Path) -> None:
    async with running_service(config_of(tmp_path)) as service:
        yml = alertmanager_yml(service.url)
        with contextlib.ExitStack() as stack:
            # Two that do not know each other are the worst case of a pair: whatever fires is sent twice, every time.
            pair = [await asyncio.to_thread(stack.enter_context, real_alertmanager(tmp_path / f"am{number}", yml)) for number in (1, 2)]
            for alertmanager in pair:
                await asyncio.to_thread(post_alerts, alertmanager.url, "Twin")
            await until(lambda: alert_sightings(service), lambda count: count >= 2, seconds=30)
            assert len(await service.incidents()) == 1
            (incident,) = await service.incidents()
            whole = await service.get(f"/incidents/{incident['incident_id']}")
            assert len(whole["investigations"]) == 1


def post_alerts(url: str, name: str) -> None:
    """An alert straight into Alertmanager's API, with a start that both of a pair see alike."""
    starts = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    ends = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    alert = {"labels": {"alertname": name, "severity": "critical", "service": name.lower()}, "startsAt": starts, "endsAt": ends}
    request = urllib.request.Request(f"{url}/api/v2/alerts", json.dumps([alert]).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


async def alert_sightings(service: Any) -> int:
    """How often the first alert of the newest incident was seen."""
    found = await service.incidents()
    if not found:
        return 0
    whole = await service.get(f"/incidents/{found[0]['incident_id']}")
    return int(whole["alerts"][0]["sightings"])


async def incidents_of(service: ServiceProcess) -> list[dict[str, Any]]:
    """All incidents of a service process."""

    def read() -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{service.url}/incidents", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["incidents"]
            return found

    return await asyncio.to_thread(read)


def titles(found: list[dict[str, Any]]) -> set[str]:
    """Alert names of these incidents."""
    return {item["title"].split(":")[0] for item in found}


async def until(look: Callable[[], Any], good: Callable[[Any], bool], *, seconds: float) -> Any:
    """What `look` sees when it is good."""
    end = time.monotonic() + seconds
    while True:
        seen = await look()
        if good(seen):
            return seen
        assert time.monotonic() < end, seen
        await asyncio.sleep(0.2)
