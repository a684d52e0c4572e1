"""The whole service beside Debian's Alertmanager: what its notifications never said is found in its list."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from e2e.test_real_programs import titles, until
from programs import real_alertmanager
from service import RunningService, config_of, free_port, running_service

pytestmark = pytest.mark.real

QUICK = {
    "AGENT_SRE_RECONCILE_INTERVAL": "300ms",
    "AGENT_SRE_RECONCILE_RESOLVE_AFTER": "1s",
    "AGENT_SRE_RECONCILE_GRACE": "1s",
    "AGENT_SRE_RECONCILE_SETTLE": "0",
    "AGENT_SRE_RECONCILE_RECEIVER": "",
}


def alertmanager_yml(url: str) -> str:
    """Only alerts of the team "ours" are sent; whatever else fires is never told."""
    return f"""\
route:
  receiver: 'null'
  group_by: [alertname]
  group_wait: 200ms
  group_interval: 1s
  repeat_interval: 1h
  routes:
  - {{receiver: ai-agent-webhook, matchers: ['team = "ours"']}}
receivers:
- name: 'null'
- name: ai-agent-webhook
  webhook_configs:
  - {{url: '{url}/webhook/alert', send_resolved: true}}
"""


async def test_a_lost_resolve_and_an_alert_that_was_never_sent_are_found_in_the_list(tmp_path: Path) -> None:
    port = free_port()
    with contextlib.ExitStack() as stack:
        alertmanager = await asyncio.to_thread(stack.enter_context, real_alertmanager(tmp_path / "am", alertmanager_yml(f"http://127.0.0.1:{port}")))
        config = config_of(tmp_path, AGENT_PORT=str(port), ALERTMANAGER_URL=alertmanager.url, **QUICK)
        async with running_service(config) as service:
            await asyncio.to_thread(fire, alertmanager.url, "Lost", "ours")
            await asyncio.to_thread(fire, alertmanager.url, "Stays", "ours")
            await until(service.incidents, lambda found: titles(found) == {"Lost", "Stays"}, seconds=20)

            # What is resolved while it is silenced is never told, not even after the silence.
            await asyncio.to_thread(silence, alertmanager.url, "Lost")
            await asyncio.to_thread(fire, alertmanager.url, "Lost", "ours", ended=True)
            await asyncio.to_thread(fire, alertmanager.url, "Missed", "theirs")

            found = await until(
                service.incidents, lambda found: state(found) == {"Lost": "resolved", "Stays": "triggered", "Missed": "triggered"}, seconds=30
            )
            texts = {title_of(item): await timeline(service, item["incident_id"]) for item in found}
            assert any(text.endswith(": Alertmanager no longer has it") for text in texts["Lost"])
            assert any("its notification never came" in text for text in texts["Missed"])
            assert not any("Alertmanager" in text for text in texts["Stays"])

            # Without an Alertmanager nothing is closed, however long it is away.
            for process in alertmanager.processes:
                process.kill()
            await until(lambda: looks(service, "failed"), lambda count: count >= 5, seconds=20)
            assert state(await service.incidents()) == {"Lost": "resolved", "Stays": "triggered", "Missed": "triggered"}
            await service.settled()
            received, stored = await service.metric("agent_sre_alerts_received_total"), await service.metric("agent_sre_alerts_stored_total")
            assert received == stored


def fire(url: str, name: str, team: str, *, ended: bool = False) -> None:
    now = datetime.now(UTC)
    labels = {"alertname": name, "severity": "warning", "team": team, "service": name.lower()}
    alert = {
        "labels": labels,
        "startsAt": (now - timedelta(minutes=30)).isoformat(),
        "endsAt": (now + timedelta(minutes=0 if ended else 10)).isoformat(),
    }
    post(url, "/api/v2/alerts", [alert])


def silence(url: str, name: str) -> None:
    now = datetime.now(UTC)
    matcher = {"name": "alertname", "value": name, "isRegex": False, "isEqual": True}
    times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
    post(url, "/api/v2/silences", {"matchers": [matcher], **times, "createdBy": "ada", "comment": "known"})


def post(url: str, path: str, body: object) -> None:
    request = urllib.request.Request(f"{url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def title_of(incident: dict[str, Any]) -> str:
    return str(incident["title"].split(":")[0])


def state(found: list[dict[str, Any]]) -> dict[str, str]:
    return {title_of(item): str(item["status"]) for item in found}


async def timeline(service: RunningService, key: str) -> list[str]:
    return [str(entry["text"]) for entry in (await service.get(f"/incidents/{key}"))["timeline"]]


async def looks(service: RunningService, outcome: str) -> float:
    text = (await service.client.get("/metrics")).text
    wanted = f'agent_sre_reconcile_looks_total{{outcome="{outcome}"}} '
    return next((float(line.split()[1]) for line in text.splitlines() if line.startswith(wanted)), 0.0)
