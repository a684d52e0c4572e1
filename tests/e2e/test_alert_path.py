"""What happens to alerts behind the door: incidents, queue, model faults, cancellation, heartbeats."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from agent_sre.analysis.graph import State
from agent_sre.analysis.llm.model import REASONS
from agent_sre.config.config import Config
from fakes.ollama import FakeOllama
from service import ALERTMANAGER, NO_OLLAMA, config_of, firing, message, running_service, service_process, with_settings

MODEL_FAULTS = {
    "hang before the first token": "timeout",
    "stall mid-stream": "timeout",
    "EOF without done": "incomplete",
    "done false": "incomplete",
    "404 no model": "model_missing",
    "503 busy": "busy",
    "error line mid-stream": "server_error",
    "garbage": "garbage",
    "reset mid-stream": "unavailable",
}


def impatient(config: Config) -> Config:
    """The same settings with the model's deadlines cut, so that a suite of faults does not take minutes."""
    return with_settings(
        config,
        "ollama",
        total=timedelta(seconds=2),
        first_token=timedelta(seconds=1),
        first_token_cold=timedelta(seconds=1),
        between_tokens=timedelta(seconds=0.7),
        retry_pause=timedelta(milliseconds=50),
    )


@pytest.mark.parametrize(("behaviour", "reason"), MODEL_FAULTS.items())
async def test_every_fault_of_the_model_ends_in_the_rules_report_with_a_named_reason(tmp_path: Path, behaviour: str, reason: str) -> None:
    assert reason in REASONS
    async with FakeOllama(behaviour) as ollama, running_service(impatient(config_of(tmp_path, OLLAMA_URL=ollama.url))) as service:
        started = time.monotonic()
        (result,) = (await service.post(message(firing("Fault", pod="faulty")), wait=30))["results"]
        assert time.monotonic() - started < 30
        assert result["stage"] == "complete"
        assert result["analysis_json"]["author"] == "rules"
        assert f"({reason})" in result["analysis_json"]["author_note"], result["analysis_json"]["author_note"]
        assert "faulty" in result["analysis"]
        metrics = (await service.client.get("/metrics")).text
        assert any("agent_sre_llm_requests_total" in line and f'outcome="{reason}"' in line for line in metrics.splitlines())


@pytest.mark.parametrize("behaviour", ["fine", "whole at once", "CRLF", "split bytes", "think tags", "fenced", "length"])
async def test_a_model_that_speaks_is_heard(tmp_path: Path, behaviour: str) -> None:
    async with FakeOllama(behaviour) as ollama, running_service(config_of(tmp_path, OLLAMA_URL=ollama.url)) as service:
        (result,) = (await service.post(message(firing("Heard", pod="p"))))["results"]
        assert result["analysis_json"]["author"] == "bruno-sre:latest"


async def test_the_fallback_model_answers_where_the_configured_one_is_missing_and_it_is_said(tmp_path: Path) -> None:
    async with FakeOllama("fine", models=("gemma3n:e4b",)) as ollama, running_service(config_of(tmp_path, OLLAMA_URL=ollama.url)) as service:
        (result,) = (await service.post(message(firing("Fallback", pod="p"))))["results"]
        assert result["analysis_json"]["author"] == "gemma3n:e4b"
        assert (await service.get("/health"))["model_name"] == "gemma3n:e4b"


async def test_the_preliminary_report_is_there_before_the_model_is_asked(tmp_path: Path) -> None:
    async with FakeOllama("hang before the first token") as ollama, running_service(impatient(config_of(tmp_path, OLLAMA_URL=ollama.url))) as service:
        await service.post(message(firing("Early", pod="p")), headers=ALERTMANAGER)
        stages: list[str] = []
        async with asyncio.timeout(20):
            while "complete" not in stages:
                stages += [incident["stage"] for incident in await service.incidents() if incident["stage"] not in stages]
                await asyncio.sleep(0.02)
        assert stages[-2:] == ["preliminary", "complete"]


async def test_a_storm_does_not_stand_in_line_for_a_model_that_is_left_alone(tmp_path: Path) -> None:
    config = with_settings(config_of(tmp_path), "ollama", retry_pause=timedelta(0), circuit_open=timedelta(minutes=10))
    async with running_service(config) as service:
        for number in range(3):  # three failures in a row open the circuit
            await service.post(message(firing("Before", namespace=f"n-{number}", pod="before")))
        for number in range(20):
            await service.post(message(firing("Storm", namespace=f"n-{number}", pod="p")), headers=ALERTMANAGER)
        await service.settled()
        storm = [incident for incident in await service.incidents() if incident["title"].startswith("Storm")]
        assert len(storm) == 20
        for incident in storm:
            whole = await service.get(f"/incidents/{incident['incident_id']}")
            assert whole["stage"] == "complete"
            assert "(circuit_open)" in whole["analysis_json"]["author_note"]
        lanes = await service.app.store.read(lambda connection: connection.execute(text("SELECT kind FROM job")).scalars().all())
        assert Counter(lanes) == {"diagnose": 23, "analyze": 3}


async def test_a_resolve_cancels_what_still_runs_and_the_rules_report_stands(tmp_path: Path) -> None:
    async with FakeOllama("hang before the first token") as ollama, running_service(config_of(tmp_path, OLLAMA_URL=ollama.url)) as service:
        alert = firing("Short", pod="p")
        await service.post(message(alert), headers=ALERTMANAGER)
        await until_requests(ollama, "/api/chat", 1)
        started = time.monotonic()
        await service.post(message({**alert, "status": "resolved"}), headers=ALERTMANAGER)
        await service.settled(5)
        assert time.monotonic() - started < 5
        (incident,) = await service.incidents()
        whole = await service.get(f"/incidents/{incident['incident_id']}")
        assert (whole["status"], whole["stage"]) == ("resolved", "complete")
        assert [item["status"] for item in whole["investigations"]] == ["cancelled"]
        assert "resolved before a model was asked" in whole["analysis_json"]["author_note"]
        assert sum(b"CAUSES" in request.body for request in ollama.requests) == 1


async def test_a_resolved_alert_starts_no_work_for_the_model(tmp_path: Path) -> None:
    async with FakeOllama("fine") as ollama, running_service(config_of(tmp_path, OLLAMA_URL=ollama.url)) as service:
        await service.post(message({**firing("Gone", pod="p"), "status": "resolved"}), wait=5)
        await service.settled()
        assert await service.incidents() == []
        assert [request for request in ollama.requests if request.path == "/api/chat" and b"Gone" in request.body] == []


async def test_alerts_about_one_workload_are_one_incident_and_the_reason_is_stored(tmp_path: Path) -> None:
    async with running_service(config_of(tmp_path)) as service:
        await service.post(message(firing("KubePodCrashLooping", namespace="shop", pod="cart-7f9c6d5b8c-k2x9p")))
        await service.post(message(firing("KubeDeploymentReplicasMismatch", namespace="shop", deployment="cart")))
        await service.post(message(firing("KubeDeploymentReplicasMismatch", namespace="shop", deployment="orders")))
        found = {incident["title"]: incident for incident in await service.incidents()}
        assert len(found) == 2
        whole = await service.get(f"/incidents/{next(item['incident_id'] for item in found.values() if item['alert_count'] == 2)}")
        assert [alert["reason"] for alert in sorted(whole["alerts"], key=lambda alert: alert["starts_at"])] == [
            "opened the incident",
            "same subject as the incident",
        ]
        assert any("same subject" in entry["text"] for entry in whole["timeline"])


async def test_alerts_of_one_group_close_in_time_are_one_incident_and_others_are_not(tmp_path: Path) -> None:
    async with running_service(config_of(tmp_path)) as service:
        key = '{}/{severity="x"}:{namespace="shop"}'
        await service.post(message(firing("A", service="a"), firing("B", service="b"), group_key=key), wait=10)
        await service.post(message(firing("C", service="c"), group_key=key), wait=10)
        await service.post(message({**firing("D", service="d"), "startsAt": "2020-01-01T00:00:00Z"}, group_key=key), wait=10)
        await service.post(message(firing("E", service="e"), group_key='{}/{severity="x"}:{namespace="other"}'), wait=10)
        assert sorted(incident["alert_count"] for incident in await service.incidents()) == [1, 1, 3]


async def test_the_result_of_an_alert_that_joins_names_its_own_object(tmp_path: Path) -> None:
    async with running_service(config_of(tmp_path)) as service:
        key = "{}:{}"
        await service.post(message(firing("First", pod="first-pod"), group_key=key))
        (result,) = (await service.post(message(firing("Second", pod="second-pod"), group_key=key)))["results"]
        assert result["stage"] == "complete"
        assert "second-pod" in result["analysis"]
        assert result["duplicate"] is False


async def test_an_alert_that_fires_again_soon_reopens_its_incident(tmp_path: Path) -> None:
    async with running_service(config_of(tmp_path)) as service:
        alert = firing("Flap", service="flapper")
        first = (await service.post(message(alert)))["results"][0]
        await service.post(message({**alert, "status": "resolved"}))
        again = (await service.post(message(alert)))["results"][0]
        assert again["incident_id"] == first["incident_id"]
        assert again["duplicate"] is False
        (incident,) = await service.incidents()
        assert incident["status"] == "triggered"
        timeline = (await service.get(f"/incidents/{first['incident_id']}"))["timeline"]
        assert [entry["kind"] for entry in timeline if entry["kind"] in ("triggered", "reopened")] == ["triggered", "reopened"]


async def test_repeats_only_move_last_seen(tmp_path: Path) -> None:
    async with running_service(config_of(tmp_path)) as service:
        alert = {**firing("Repeat", service="r"), "startsAt": "2026-01-01T00:00:00Z"}
        for _ in range(5):
            await service.post(message(alert), headers=ALERTMANAGER)
        await service.settled()
        (incident,) = await service.incidents()
        whole = await service.get(f"/incidents/{incident['incident_id']}")
        assert whole["alerts"][0]["sightings"] == 5
        assert len(whole["investigations"]) == 1
        assert await service.metric("agent_sre_alerts_received_total") == await service.metric("agent_sre_alerts_stored_total") == 5
        assert await service.metric("agent_sre_alerts_settled_total") == 5


async def test_a_late_copy_of_a_resolved_alert_does_not_open_it_again(tmp_path: Path) -> None:
    async with running_service(config_of(tmp_path)) as service:
        alert = {**firing("Late", service="r"), "startsAt": "2026-01-01T00:00:00Z"}
        await service.post(message(alert))
        await service.post(message({**alert, "status": "resolved", "endsAt": "2026-01-01T01:00:00Z"}))
        await service.post(message(alert), headers=ALERTMANAGER)
        await service.settled()
        (incident,) = await service.incidents()
        assert incident["status"] == "resolved"


async def test_the_watchdog_is_a_heartbeat_whose_absence_shows(tmp_path: Path) -> None:
    config = with_settings(config_of(tmp_path), "investigation", watchdog_timeout=timedelta(seconds=3))
    async with running_service(config) as service:
        answer = await service.post(message(firing("Watchdog", "none"), firing("InfoInhibitor", "none")))
        assert answer["message"] == "Processed 2 alerts"
        assert all(result["analysis"] for result in answer["results"])
        await service.settled()
        assert await service.incidents() == []
        (beat,) = (await service.get("/health"))["heartbeats"]
        assert (beat["name"], beat["state"]) == ("Watchdog", "ok")
        await asyncio.sleep(3.1)
        health = await service.get("/health")
        assert health["heartbeats"][0]["state"] == "missing"
        assert health["status"] == "degraded"
        assert 'agent_sre_heartbeat_missing{alertname="Watchdog"} 1.0' in (await service.client.get("/metrics")).text


async def test_critical_incidents_go_first(tmp_path: Path) -> None:
    async with FakeOllama("slow first token", slow_seconds=0.4) as ollama, running_service(config_of(tmp_path, OLLAMA_URL=ollama.url)) as service:
        warnings = [message(firing(f"Warning{number}", "warning", service=f"w{number}")) for number in range(6)]
        for body in warnings:
            await service.post(body, headers=ALERTMANAGER)
        await until_requests(ollama, "/api/chat", 1)
        await service.post(message(firing("Worst", "critical", service="c")), headers=ALERTMANAGER)
        await service.settled(30)
        asked = [request.body for request in ollama.requests if request.path == "/api/chat" and b"CAUSES" in request.body]
        position = next(number for number, body in enumerate(asked) if b"Worst" in body)
        assert position <= 3


async def test_a_poison_investigation_ends_as_a_visible_failure_with_the_rules_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import agent_sre.analysis.graph as graph

    async def explode(state: State, runtime: Any) -> State:
        raise ZeroDivisionError("a bug in a node")

    monkeypatch.setattr(graph, "format_response_node", explode)
    config = with_settings(config_of(tmp_path), "investigation", retry_backoff=timedelta(milliseconds=10))
    async with running_service(config) as service:
        (result,) = (await service.post(message(firing("Poison", pod="toxic"))))["results"]
        assert result["stage"] == "complete"
        assert "ZeroDivisionError" in result["analysis_json"]["author_note"]
        assert "toxic" in result["analysis"]
        whole = await service.get(f"/incidents/{result['incident_id']}")
        assert [item["status"] for item in whole["investigations"]] == ["failed"]
        assert any("failed" in entry["text"] for entry in whole["timeline"])


async def test_a_killed_run_repeats_no_finished_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import agent_sre.analysis.graph as graph

    runs = {"gather": 0, "diagnose": 0, "analyze": 0}
    gather, diagnose, analyze = graph.gather_node, graph.diagnose_node, graph.analyze_node

    async def counted_gather(state: State, runtime: Any) -> State:
        runs["gather"] += 1
        return await gather(state, runtime)

    async def counted_diagnose(state: State, runtime: Any) -> State:
        runs["diagnose"] += 1
        return await diagnose(state, runtime)

    async def interrupted_analyze(state: State, runtime: Any) -> State:
        runs["analyze"] += 1
        if runs["analyze"] == 1:
            await asyncio.sleep(3600)
        return await analyze(state, runtime)

    monkeypatch.setattr(graph, "gather_node", counted_gather)
    monkeypatch.setattr(graph, "diagnose_node", counted_diagnose)
    monkeypatch.setattr(graph, "analyze_node", interrupted_analyze)
    config = config_of(tmp_path)
    async with running_service(config) as service:
        await service.post(message(firing("Resumed", pod="p")), headers=ALERTMANAGER)
        async with asyncio.timeout(20):
            while runs["analyze"] == 0:
                await asyncio.sleep(0.02)
    async with running_service(config) as service:
        await service.settled(20)
        (incident,) = await service.incidents()
        assert incident["stage"] == "complete"
    assert runs == {"gather": 1, "diagnose": 1, "analyze": 2}


async def test_work_that_was_never_queued_is_found_at_the_next_start(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    async with running_service(config) as service:
        await service.post(message(firing("Lost", pod="p")))
        await service.app.store.write(lambda connection: connection.execute(text("DELETE FROM job")))
        await service.app.store.write(lambda connection: connection.execute(text("DELETE FROM report")))
        await service.app.store.write(lambda connection: connection.execute(text("UPDATE investigation SET status='queued'")))
    async with running_service(config) as service:
        async with asyncio.timeout(20):
            while (await service.incidents())[0]["stage"] != "complete":
                await asyncio.sleep(0.05)


async def test_prompts_never_leave_for_a_tracing_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_API_KEY", "not-a-real-key")
    seen: list[bytes] = []

    async def spy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(65_536))
        writer.close()

    server = await asyncio.start_server(spy, "127.0.0.1", 0)
    async with server:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with running_service(config_of(tmp_path)) as service:
            await service.post(message(firing("Private", pod="p")))
        await asyncio.sleep(0.5)
    assert seen == []


def test_the_log_lines_that_people_grep_for(tmp_path: Path) -> None:
    import urllib.request

    with service_process(tmp_path, AGENT_SRE_LOG_FORMAT="json", OLLAMA_URL=NO_OLLAMA) as service:
        body = json.dumps(message(firing("Grepped", "critical", pod="p"))).encode()
        with urllib.request.urlopen(f"{service.url}/webhook/alert", body, timeout=40) as answer:
            assert answer.status == 200
        assert service.stop() == 0
        lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
        messages = [line["message"] for line in lines]
        assert "Received alert: Grepped (severity=critical, status=firing)" in messages
        assert "Completed investigation for alert: Grepped" in messages
        assert any("Processing with LLM" in text for text in messages)
        assert any("Ollama" in text for text in messages)
        assert not any("Ollama connection established" in text for text in messages)
        completed = next(line for line in lines if line.get("action") == "investigation_completed")
        assert completed["agent_sre.incident"] == "INC-1"


async def test_ollama_connection_established_is_logged_only_after_a_real_check(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with FakeOllama("fine") as ollama, running_service(config_of(tmp_path, OLLAMA_URL=ollama.url)) as service:
        await service.get("/health")
    assert any("Ollama connection established" in record.message for record in caplog.records)


async def until_requests(ollama: FakeOllama, path: str, count: int) -> None:
    """Waits until the fake was asked this often about an incident."""
    async with asyncio.timeout(20):
        while sum(request.path == path and b"CAUSES" in request.body for request in ollama.requests) < count:
            await asyncio.sleep(0.02)
