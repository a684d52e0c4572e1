"""test-alert-webhook.sh as it is shipped, run by bash against the service itself: what a new user does first."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.repository import ROOT, need, run
from service import ServiceProcess, service_process

SCRIPT = ROOT / "test-alert-webhook.sh"
MEMORY, CRASH = "alert-abc123def456", "alert-xyz789abc321"
ALL_PASSED, ALL_FAILED = ["PASSED"] * 3, ["FAILED"] * 3


def script(url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    need("curl")
    inherited = {name: value for name, value in os.environ.items() if name != "AGENT_SRE_WEBHOOK_TOKEN"}
    return run(need("bash"), SCRIPT, env=inherited | {"SERVICE_URL": url, "no_proxy": "*"} | variables)


def words(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.split()[0] for line in done.stdout.splitlines() if line.startswith(("PASSED", "FAILED"))]


def read(service: ServiceProcess, path: str) -> Any:
    with urllib.request.urlopen(f"{service.url}{path}", timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service without Ollama and without anything else."""
    with service_process(tmp_path) as running:
        yield running


def test_all_three_posts_pass_and_leave_the_incidents_that_they_speak_of(service: ServiceProcess) -> None:
    done = script(service.url)
    assert (done.returncode, words(done), done.stderr) == (0, ALL_PASSED, ""), done.stdout
    assert done.stdout.count("| ## 🔍 Analysis\n") == 2
    memory, crash = (read(service, f"/investigations/{thread}") for thread in (MEMORY, CRASH))
    assert {item["incident_id"] for item in read(service, "/incidents")["incidents"]} == {memory["incident_id"], crash["incident_id"]}
    for incident, status, severity, pod in (
        (memory, "resolved", "warning", "bruno-site-api-xyz123"),
        (crash, "triggered", "critical", "bruno-site-postgres-0"),
    ):
        assert (incident["status"], incident["severity"], incident["stage"]) == (status, severity, "complete")
        assert (incident["subject"]["kind"], incident["subject"]["namespace"], incident["subject"]["name"]) == ("Pod", "homepage", pod)
        assert pod in incident["analysis"]
        (alert,) = incident["alerts"]
        assert alert["status"] == ("resolved" if status == "resolved" else "firing")
        assert len(incident["investigations"]) == 1
    assert memory["alerts"][0]["ends_at"] >= memory["alerts"][0]["starts_at"]


def test_a_second_run_against_the_same_service_passes_too_and_opens_no_new_incidents(service: ServiceProcess) -> None:
    for _ in range(2):
        done = script(service.url)
        assert (done.returncode, words(done)) == (0, ALL_PASSED), done.stdout
    statuses = {item["thread_id"]: item["status"] for item in read(service, "/incidents")["incidents"]}
    assert statuses == {MEMORY: "resolved", CRASH: "triggered"}


def test_a_service_that_is_down_fails_all_three_posts(tmp_path: Path) -> None:
    down = ServiceProcess(tmp_path)
    done = script(down.url)
    assert (done.returncode, words(done)) == (1, ALL_FAILED)
    assert f"Nothing answers at {down.url}." in done.stderr


def test_a_service_with_a_token_takes_the_posts_only_with_that_token(tmp_path: Path) -> None:
    with service_process(tmp_path, AGENT_SRE_WEBHOOK_TOKEN="s3cret.Token~1") as service:
        for wrong in ({}, {"AGENT_SRE_WEBHOOK_TOKEN": "another"}):
            refused = script(service.url, **wrong)
            assert (refused.returncode, words(refused)) == (1, ALL_FAILED)
            assert refused.stdout.count("HTTP 401") == refused.stdout.count("set AGENT_SRE_WEBHOOK_TOKEN to the token") == 3
        assert read(service, "/incidents")["incidents"] == []
        done = script(service.url, AGENT_SRE_WEBHOOK_TOKEN="s3cret.Token~1")
        assert (done.returncode, words(done)) == (0, ALL_PASSED), done.stdout
        assert len(read(service, "/incidents")["incidents"]) == 2
