"""The whole way with the real Prometheus and Alertmanager."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.ollama import FakeOllama
from programs import RunningProgram, free_port, real_alertmanager, real_prometheus
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

PAIR = ("--cluster.gossip-interval=20ms", "--cluster.peer-timeout=2s")
"""A pair that settles within a second, and whose second peer waits 2 s, not 15 s, for word from the first that it has delivered."""


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


async def test_an_ha_pair_that_gossips_makes_one_incident_and_its_resolve_closes_it(tmp_path: Path) -> None:
    async with running_service(config_of(tmp_path)) as service:
        yml = alertmanager_yml(service.url)
        with contextlib.ExitStack() as stack:
            pair = await asyncio.to_thread(stack.enter_context, real_alertmanager(tmp_path / "am", yml, peers=2, flags=PAIR))
            await until(lambda: known_peers(pair), lambda counts: counts == [2, 2], seconds=30)
            await post_to_all(pair, "Paired")
            await until(service.incidents, lambda found: bool(found) and found[0]["stage"] == "complete", seconds=30)
            await post_to_all(pair, "Paired", fires_for=timedelta(seconds=-1))
            await until(service.incidents, lambda found: found[0]["status"] == "resolved", seconds=40)
            await service.settled()
            (incident,) = await service.incidents()
            whole = await service.get(f"/incidents/{incident['incident_id']}")
            assert [alert["status"] for alert in whole["alerts"]] == ["resolved"]
            assert len(whole["investigations"]) == 1


async def test_a_kill_while_an_ha_pair_delivers_makes_two_deliveries_and_still_one_report(tmp_path: Path) -> None:
    async with FakeOllama("hang before the first token") as ollama:
        with contextlib.ExitStack() as stack:
            service = await asyncio.to_thread(stack.enter_context, service_process(tmp_path, OLLAMA_URL=ollama.url))
            # A minute, so that no peer gives up, and asks the other what it has sent, while the service starts.
            yml = alertmanager_yml(service.url, group_interval="1m")
            pair = await asyncio.to_thread(stack.enter_context, real_alertmanager(tmp_path / "am", yml, peers=2, flags=PAIR))
            await until(lambda: known_peers(pair), lambda counts: counts == [2, 2], seconds=30)
            await post_to_all(pair, "Struck")
            await until(lambda: questions(ollama), lambda count: count >= 1, seconds=30)
            service.kill()  # in the middle of the investigation
            await post_to_all(pair, "During")
            await until(lambda: failed_deliveries(pair), all, seconds=30)  # from here on each peer tries until it has delivered
            ollama.behave("fine")
            await asyncio.to_thread(service.start)
            await until(lambda: incidents_of(service), lambda found: titles(found) == {"Struck", "During"}, seconds=40)
            twice = await until(lambda: sightings_of(service), lambda seen: seen["During"] >= 2, seconds=40)
            assert twice.keys() == {"Struck", "During"}
            await until(lambda: incidents_of(service), lambda found: all(item["stage"] == "complete" for item in found), seconds=40)
            assert await asyncio.to_thread(service.stop) == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "agent-sre.db")) as database:
        assert database.execute("SELECT incident_id, status FROM investigation ORDER BY incident_id").fetchall() == [(1, "complete"), (2, "complete")]
        finished = "SELECT incident_id, count(*) FROM report WHERE stage = 'complete' GROUP BY incident_id ORDER BY incident_id"
        assert database.execute(finished).fetchall() == [(1, 1), (2, 1)]


def post_alerts(url: str, name: str, *, fires_for: timedelta = timedelta(minutes=10)) -> None:
    """An alert straight into Alertmanager's API, with a start that both of a pair see alike. It is resolved where it fired until now."""
    starts = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    ends = (datetime.now(UTC) + fires_for).isoformat()
    alert = {"labels": {"alertname": name, "severity": "critical", "service": name.lower()}, "startsAt": starts, "endsAt": ends}
    request = urllib.request.Request(f"{url}/api/v2/alerts", json.dumps([alert]).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


async def post_to_all(pair: RunningProgram, name: str, *, fires_for: timedelta = timedelta(minutes=10)) -> None:
    """The same alert to each peer, as Prometheus sends it."""
    for url in pair.urls:
        await asyncio.to_thread(post_alerts, url, name, fires_for=fires_for)


async def known_peers(pair: RunningProgram) -> list[int]:
    """How many peers each one knows, itself included; 0 where it does not send yet because the cluster still settles."""

    def read(url: str) -> int:
        with urllib.request.urlopen(f"{url}/api/v2/status", timeout=10) as answer:
            cluster = json.load(answer)["cluster"]
            return len(cluster["peers"]) if cluster["status"] == "ready" else 0

    return [await asyncio.to_thread(read, url) for url in pair.urls]


async def failed_deliveries(pair: RunningProgram) -> list[float]:
    """How many requests of each peer failed."""

    def read(url: str) -> float:
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found = re.search(r'^alertmanager_notification_requests_failed_total\{integration="webhook"\} (\S+)$', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    return [await asyncio.to_thread(read, url) for url in pair.urls]


async def questions(ollama: FakeOllama) -> int:
    """How often the model was asked about an incident."""
    return sum(request.path == "/api/chat" and b"CAUSES" in request.body for request in ollama.requests)


async def sightings_of(service: ServiceProcess) -> dict[str, int]:
    """How often each alert was seen, by its name."""

    def read() -> dict[str, int]:
        seen: dict[str, int] = {}
        for key in ("INC-1", "INC-2"):
            with urllib.request.urlopen(f"{service.url}/incidents/{key}", timeout=10) as answer:
                for alert in json.load(answer)["alerts"]:
                    assert alert["alert_name"] not in seen, alert
                    seen[alert["alert_name"]] = alert["sightings"]
        return seen

    return await asyncio.to_thread(read)


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
