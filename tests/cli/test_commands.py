"""The command line as a user types it: real processes, real databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from service import NO_OLLAMA, firing, message, service_process


def agent_sre(*arguments: str, folder: Path, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENT_")}
    environment |= {"AGENT_SRE_DATABASE_URL": f"sqlite:///{folder / 'agent-sre.db'}", "OLLAMA_URL": NO_OLLAMA, **variables}
    done = subprocess.run(
        [sys.executable, "-m", "agent_sre", *arguments], input=stdin, capture_output=True, cwd=folder, env=environment, timeout=120, check=False
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_version_and_help_teach(tmp_path: Path) -> None:
    assert agent_sre("--version", folder=tmp_path).stdout.startswith("agent-sre 0.")
    shown = agent_sre("--help", folder=tmp_path).stdout
    for command in ("serve", "demo", "check", "investigate", "incidents", "quarantine"):
        assert command in shown
        assert agent_sre(command, "--help", folder=tmp_path).returncode == 0


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, agent_sre.cli.main; print([name for name in ('fastapi', 'sqlalchemy', 'langgraph', 'httpx2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wrong_setting_stops_serve_with_one_sentence(tmp_path: Path) -> None:
    done = agent_sre("serve", folder=tmp_path, AGENT_PORT="eighty")
    assert done.returncode == 1
    assert "AGENT_PORT" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_check_prints_a_line_per_connection_and_fails_where_one_does(tmp_path: Path) -> None:
    done = agent_sre("check", folder=tmp_path)
    assert done.returncode == 1
    lines = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()}
    assert lines["store"] == "ok"
    assert lines["ollama"] == "error"
    assert lines["prometheus"] == "off"
    listed = json.loads(agent_sre("check", "--json", folder=tmp_path).stdout)
    assert {entry["name"] for entry in listed} == set(lines)


def test_investigate_needs_no_service_and_leaves_nothing_behind(tmp_path: Path) -> None:
    body = json.dumps(message(firing("HighCPU", pod="test-pod"))).encode()
    (tmp_path / "alert.json").write_bytes(body)
    done = agent_sre("investigate", "alert.json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "## 🔍 Analysis" in done.stdout
    assert "test-pod" in done.stdout
    assert "looking into" in done.stderr  # progress
    assert [path.name for path in tmp_path.iterdir()] == ["alert.json"]
    (found,) = json.loads(agent_sre("investigate", "-", "--json", folder=tmp_path, stdin=body).stdout)
    assert found["stage"] == "complete"


BUNDLES = Path(__file__).parents[1] / "evidence" / "worlds"


def test_investigate_looks_into_a_bundle_offline(tmp_path: Path) -> None:
    (found,) = json.loads(
        agent_sre("investigate", "--bundle", str(BUNDLES / "case"), "--json", folder=tmp_path, PROMETHEUS_URL="http://192.0.2.1").stdout
    )
    assert found["stage"] == "complete"
    kinds = {item["kind"] for item in found["analysis_json"]["evidence"]}
    assert {"contents", "pods", "events", "series", "logs", "changes", "units"} <= kinds
    assert any("metrics.om" in gap["detail"] for gap in found["analysis_json"]["gaps"])
    assert "2026-11-23 06:43:00 UTC (2 min" in found["analysis"]  # by the recording's clock
    assert list(tmp_path.iterdir()) == []


def test_investigate_takes_the_alert_for_a_bundle_without_one(tmp_path: Path) -> None:
    done = agent_sre("investigate", "--bundle", str(BUNDLES / "support"), folder=tmp_path)
    assert done.returncode == 1
    assert "Which alert?" in done.stderr
    body = json.dumps(message(firing("CartDown", namespace="shop", pod="cart-6d5f7c9b8-x2x9k"))).encode()
    done = agent_sre("investigate", "-", "--bundle", str(BUNDLES / "support"), folder=tmp_path, stdin=body)
    assert done.returncode == 0, done.stderr
    assert "4 pods, 2 not as it should be: " in done.stdout
    done = agent_sre("investigate", "--bundle", "missing.tar", folder=tmp_path)
    assert done.stderr.startswith("agent-sre: There is no bundle at missing.tar.")


def test_the_plan_shows_every_question_and_asks_none(tmp_path: Path) -> None:
    body = json.dumps(message(firing("HighCPU", pod="test-pod"))).encode()
    done = agent_sre("investigate", "-", "--plan", folder=tmp_path, stdin=body, PROMETHEUS_URL="http://192.0.2.1")
    assert done.returncode == 0, done.stderr
    assert "E01  alert/alert: what the alert itself says" in done.stdout
    assert "prometheus/value: " in done.stdout
    (plan,) = json.loads(agent_sre("investigate", "--plan", "--json", "--bundle", str(BUNDLES / "case"), folder=tmp_path).stdout)
    pods = next(question for question in plan["questions"] if question["kind"] == "pods")
    assert (pods["source"], pods["language"], pods["expression"]) == ("kubernetes", "bash", "kubectl get pods -n shop -o yaml")
    assert all(question["purpose"] for question in plan["questions"])


def test_investigate_takes_a_single_alert_and_refuses_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(firing("Alone", pod="p")))
    assert agent_sre("investigate", "one.json", folder=tmp_path).returncode == 0
    (tmp_path / "broken.json").write_text("{")
    for name in ("broken.json", "missing.json"):
        done = agent_sre("investigate", name, folder=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("agent-sre: ")
        assert "Traceback" not in done.stderr


def test_incidents_and_quarantine_are_read_beside_a_running_service(tmp_path: Path) -> None:
    with service_process(tmp_path) as service:
        post(service.url, json.dumps(message(firing("HighCPU", pod="test-pod"))).encode())
        with pytest.raises(urllib.error.HTTPError):
            post(service.url, b"not json at all")
        assert "INC-1" in agent_sre("incidents", "list", folder=tmp_path).stdout
        assert json.loads(agent_sre("incidents", "list", "--json", folder=tmp_path).stdout)[0]["incident_id"] == "INC-1"
        shown = agent_sre("incidents", "show", "INC-1", folder=tmp_path).stdout
        assert "test-pod" in shown
        assert "Timeline" in shown
        (exported,) = agent_sre("incidents", "export", folder=tmp_path).stdout.splitlines()
        assert json.loads(exported)["analysis_json"]["author"] == "rules"
        assert "not JSON" in agent_sre("quarantine", "list", folder=tmp_path).stdout
        assert agent_sre("quarantine", "show", "1", folder=tmp_path).stdout == "not json at all"
        retried = agent_sre("quarantine", "retry", "1", folder=tmp_path)
        assert retried.returncode == 1
        assert "not JSON" in retried.stderr
        for wrong in (("incidents", "show", "INC-9"), ("quarantine", "show", "9"), ("quarantine", "retry", "9")):
            assert agent_sre(*wrong, folder=tmp_path).returncode == 1


def test_reading_commands_make_no_database(tmp_path: Path) -> None:
    done = agent_sre("incidents", "list", folder=tmp_path)
    assert done.returncode == 1
    assert "There is no database" in done.stderr
    assert list(tmp_path.iterdir()) == []


def post(url: str, body: bytes) -> None:
    with urllib.request.urlopen(f"{url}/webhook/alert", body, timeout=40) as answer:
        assert answer.status == 200
