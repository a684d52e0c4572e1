"""test-alert-webhook.sh against small servers that answer rightly, wrongly, slowly, and not at all."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.repository import ROOT, need, run

SCRIPT = ROOT / "test-alert-webhook.sh"

ANALYSIS = '## 🔍 Analysis\n\nMemory of "api" is at 85 %: C:\\new\n\n## 💡 Recommendations\n\n1. **Immediate**: look.\n'


@dataclass(frozen=True, kw_only=True)
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    only_after: threading.Event | None = None


Answering = Callable[[dict[str, Any]], Answer]


def good(payload: dict[str, Any], *, analysis: str = ANALYSIS, indent: int | None = None, ascii_only: bool = False) -> Answer:
    """What Agent-SRE answers by contract."""
    firing = [alert for alert in payload["alerts"] if alert["status"] == "firing"]
    results = [
        {
            "alert_name": alert["labels"]["alertname"],
            "severity": alert["labels"]["severity"],
            "status": alert["status"],
            "analysis_json": {"root_cause": "unknown"},
            "analysis": analysis,
            "thread_id": f"alert-{alert['fingerprint']}",
        }
        for alert in payload["alerts"]
    ]
    told = {"message": f"Processed {len(firing)} alerts", "results": results, "service": "sre-agent"}
    return Answer(body=json.dumps(told, ensure_ascii=ascii_only, indent=indent))


@contextmanager
def serving(answer: Answering) -> Iterator[tuple[str, list[Request]]]:
    """A server for one test: its address, and what it was sent so far."""
    received: list[Request] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append(Request(path=self.path, headers=dict(self.headers), body=body))
            given = answer(body)
            if given.only_after:
                given.only_after.wait(30)
            try:
                self.send_response(given.status)
                for name, value in given.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(given.body.encode())
            except BrokenPipeError:
                pass  # the script did not wait: the test of the slow server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Silent."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


def script(url: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    need("curl")
    inherited = {name: value for name, value in os.environ.items() if name != "AGENT_SRE_WEBHOOK_TOKEN"}
    return run(SCRIPT, *arguments, env=inherited | {"SERVICE_URL": url, "no_proxy": "*"} | variables)


def verdicts(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(("PASSED", "FAILED"))]


def words(output: str) -> list[str]:
    return [line.split()[0] for line in verdicts(output)]


# --- good answers --------------------------------------------------------------------------------


def test_three_good_answers_are_three_passes() -> None:
    with serving(good) as (url, received):
        done = script(url)
    assert done.returncode == 0
    assert words(done.stdout) == ["PASSED", "PASSED", "PASSED"]
    assert done.stderr == ""
    assert [request.path for request in received] == ["/webhook/alert"] * 3


def test_it_prints_the_beginning_of_each_analysis_as_text() -> None:
    with serving(good) as (url, _):
        done = script(url)
    assert done.stdout.count("| ## 🔍 Analysis\n") == 2
    assert done.stdout.count('| Memory of "api" is at 85 %: C:\\new\n') == 2
    with serving(good) as (url, _):
        assert "|" not in script(url, EXCERPT_LINES="0").stdout


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
def test_it_reads_json_in_every_spelling(indent: int | None, ascii_only: bool) -> None:
    with serving(lambda payload: good(payload, indent=indent, ascii_only=ascii_only)) as (url, _):
        done = script(url)
    assert words(done.stdout) == ["PASSED", "PASSED", "PASSED"]
    assert done.stdout.count("| ## 💡 Recommendations\n") == 2


def test_a_long_analysis_is_no_problem() -> None:
    long = ANALYSIS + '"quoted" \\ and\n' * 20_000
    with serving(lambda payload: good(payload, analysis=long)) as (url, _):
        done = script(url)
    assert done.returncode == 0


def test_an_analysis_cannot_write_control_characters_to_the_terminal() -> None:
    with serving(lambda payload: Answer(body=good(payload).body.replace("Memory", "\x1b[2JMemory"))) as (url, _):
        done = script(url)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout


# --- what it sends -------------------------------------------------------------------------------


def sent() -> list[Request]:
    with serving(good) as (url, received):
        script(url)
    return received


def test_the_three_alerts_are_those_of_the_contract() -> None:
    alerts = [request.body["alerts"][0] for request in sent()]
    told = [(alert["labels"]["alertname"], alert["labels"]["severity"], alert["status"]) for alert in alerts]
    assert told == [
        ("HighMemoryUsage", "warning", "firing"),
        ("PodCrashLooping", "critical", "firing"),
        ("HighMemoryUsage", "warning", "resolved"),
    ]
    assert [alert["fingerprint"] for alert in alerts] == ["abc123def456", "xyz789abc321", "abc123def456"]
    assert [alert["labels"]["pod"] for alert in alerts] == [
        "bruno-site-api-xyz123",
        "bruno-site-postgres-0",
        "bruno-site-api-xyz123",
    ]
    assert {alert["labels"]["namespace"] for alert in alerts} == {"homepage"}
    assert all(alert["annotations"]["summary"] and alert["annotations"]["description"] for alert in alerts)


def test_each_body_has_the_form_of_alertmanager_version_4() -> None:
    for request in sent():
        body, (alert,) = request.body, request.body["alerts"]
        assert request.headers["Content-Type"] == "application/json"
        assert not request.headers["User-Agent"].startswith("Alertmanager/")  # it would get its answer before the analysis
        assert (body["version"], body["receiver"], body["truncatedAlerts"]) == ("4", "ai-agent-webhook", 0)
        assert body["status"] == alert["status"]
        assert body["groupLabels"] == {"alertname": alert["labels"]["alertname"]}
        assert body["commonLabels"] == alert["labels"]
        assert body["commonAnnotations"] == alert["annotations"]
        assert body["groupKey"].endswith(':{alertname="' + alert["labels"]["alertname"] + '"}')
        assert "g0.expr=" in alert["generatorURL"]


def test_the_resolved_alert_ends_what_the_first_one_began() -> None:
    first, second, third = (request.body["alerts"][0] for request in sent())
    assert first["endsAt"] == second["endsAt"] == "0001-01-01T00:00:00Z"
    assert third["startsAt"] == first["startsAt"]
    began, ended = (datetime.fromisoformat(third[name]) for name in ("startsAt", "endsAt"))
    assert began <= ended
    assert abs(ended.timestamp() - time.time()) < 60


def test_the_token_is_sent_only_where_there_is_one() -> None:
    assert all("Authorization" not in request.headers for request in sent())
    with serving(good) as (url, received):
        script(url, AGENT_SRE_WEBHOOK_TOKEN="abc-123_~.+/=")
    assert [request.headers["Authorization"] for request in received] == ["Bearer abc-123_~.+/="] * 3


def test_the_token_is_not_on_curls_command_line(tmp_path: Path) -> None:
    seen = tmp_path / "arguments"
    fake = tmp_path / "curl"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {seen}\nexec {need("curl")} "$@"\n', encoding="utf-8")
    fake.chmod(0o755)
    with serving(good) as (url, received):
        script(url, AGENT_SRE_WEBHOOK_TOKEN="hidden", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert received[0].headers["Authorization"] == "Bearer hidden"
    assert seen.read_text(encoding="utf-8").count("/webhook/alert") == 3
    assert "hidden" not in seen.read_text(encoding="utf-8")


def test_a_token_that_could_break_out_of_the_header_is_refused() -> None:
    with serving(good) as (url, received):
        done = script(url, AGENT_SRE_WEBHOOK_TOKEN='a"\nurl = "file:///etc/passwd')
    assert done.returncode == 2
    assert "AGENT_SRE_WEBHOOK_TOKEN" in done.stderr
    assert received == []


def test_a_slash_at_the_end_of_the_address_does_no_harm() -> None:
    with serving(good) as (url, received):
        assert script(url + "/").returncode == 0
    assert received[0].path == "/webhook/alert"


# --- bad answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "hint"),
    [(500, ""), (503, "database"), (401, "AGENT_SRE_WEBHOOK_TOKEN"), (404, "without a path"), (202, ""), (302, "redirect")],
)
def test_another_status_than_200_fails_and_says_which(status: int, hint: str) -> None:
    answer = Answer(status=status, body='{"error":"so it is"}', headers={"Location": "/elsewhere"})
    with serving(lambda _: answer) as (url, _):
        done = script(url)
    assert done.returncode == 1
    assert words(done.stdout) == ["FAILED", "FAILED", "FAILED"]
    assert all(f"HTTP {status}" in line and "so it is" in line and hint in line for line in verdicts(done.stdout))


def answering_badly_when(status: str, answer: Callable[[dict[str, Any]], Answer]) -> Answering:
    """Good answers, except to alerts of this status."""
    return lambda payload: answer(payload) if payload["status"] == status else good(payload)


def test_one_failure_among_passes_fails_the_whole() -> None:
    with serving(answering_badly_when("resolved", lambda _: Answer(status=500))) as (url, _):
        done = script(url)
    assert words(done.stdout) == ["PASSED", "PASSED", "FAILED"]
    assert done.returncode == 1


BAD_BODIES: dict[str, tuple[str, Callable[[dict[str, Any]], Answer], str]] = {
    "wrong number": ("firing", lambda _: Answer(body='{"message":"Processed 0 alerts","results":[]}'), "Processed 0 alerts"),
    "resolved counted": ("resolved", lambda _: Answer(body='{"message":"Processed 1 alerts"}'), "Processed 1 alerts"),
    "no analysis": ("firing", lambda _: Answer(body='{"message":"Processed 1 alerts","results":[]}'), "no analysis"),
    "null analysis": (
        "firing",
        lambda _: Answer(body='{"message":"Processed 1 alerts","results":[{"analysis":null}]}'),
        "no analysis",
    ),
    "empty analysis": ("firing", lambda payload: good(payload, analysis=""), "no analysis"),
    "error as analysis": ("firing", lambda payload: good(payload, analysis="Error: no model"), "Error: no model"),
    "heading elsewhere": (
        "firing",
        lambda payload: Answer(body=good(payload, analysis="x").body.replace("unknown", "## 🔍 Analysis")),
        "no heading",
    ),
    "not json": ("firing", lambda _: Answer(body="<html>hello</html>"), "no message"),
    "empty": ("resolved", lambda _: Answer(), "no message"),
}


@pytest.mark.parametrize(("status", "answer", "why"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_wrong_body_fails_and_says_why(status: str, answer: Callable[[dict[str, Any]], Answer], why: str) -> None:
    with serving(answering_badly_when(status, answer)) as (url, _):
        done = script(url)
    failures = [line for line in verdicts(done.stdout) if line.startswith("FAILED")]
    assert done.returncode == 1
    assert len(failures) == (2 if status == "firing" else 1)
    assert all(why in line for line in failures)


def test_a_server_that_does_not_answer_in_time_fails() -> None:
    gave_up = threading.Event()
    with serving(answering_badly_when("resolved", lambda _: Answer(only_after=gave_up))) as (url, _):
        done = script(url, MAX_TIME="1")
        gave_up.set()
    assert words(done.stdout) == ["PASSED", "PASSED", "FAILED"]
    assert "no answer within 1 s" in verdicts(done.stdout)[2]


def test_an_answer_that_breaks_off_fails() -> None:
    with serving(lambda payload: Answer(body="{", headers={"Content-Length": "1000"})) as (url, _):
        done = script(url)
    assert words(done.stdout) == ["FAILED", "FAILED", "FAILED"]
    assert "broke off" in done.stdout


def test_an_unreachable_service_fails_at_once_with_a_sentence_that_helps() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        done = script(url)
    assert done.returncode == 1
    assert words(done.stdout) == ["FAILED", "FAILED", "FAILED"]
    assert f"Nothing answers at {url}." in done.stderr
    assert "agent-sre serve" in done.stderr
    assert "kubectl port-forward -n agent-sre svc/sre-agent-service 8080:8080" in done.stderr


# --- the script itself ---------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_variable_and_sends_nothing(flag: str) -> None:
    with serving(good) as (url, received):
        done = script(url, flag)
    assert done.returncode == 0
    for name in ("SERVICE_URL", "AGENT_SRE_WEBHOOK_TOKEN", "CONNECT_TIMEOUT", "MAX_TIME", "EXCERPT_LINES"):
        assert name in done.stdout
    assert received == []


def test_an_unknown_argument_is_refused() -> None:
    with serving(good) as (url, received):
        done = script(url, "--url=x")
    assert done.returncode == 2
    assert "--url=x" in done.stderr
    assert received == []


def test_it_asks_port_8080_of_this_machine_by_default(tmp_path: Path) -> None:
    """With a curl that sends nothing: a real Agent-SRE may be listening there while the tests run."""
    fake = tmp_path / "curl"
    fake.write_text('#!/bin/sh\necho "$@" >&2\nexit 7\n', encoding="utf-8")
    fake.chmod(0o755)
    done = script("", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert " http://localhost:8080/webhook/alert\n" in done.stderr
    assert done.returncode == 1


def test_it_needs_nothing_but_bash_curl_and_date(tmp_path: Path) -> None:
    for name in ("bash", "curl", "date"):
        (tmp_path / name).symlink_to(need(name))
    with serving(good) as (url, _):
        done = run(tmp_path / "bash", SCRIPT, env={"PATH": str(tmp_path), "SERVICE_URL": url, "no_proxy": "*"})
    assert done.stderr == ""
    assert words(done.stdout) == ["PASSED", "PASSED", "PASSED"]


def test_without_curl_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "bash").symlink_to(need("bash"))
    done = run(tmp_path / "bash", SCRIPT, env={"PATH": str(tmp_path)})
    assert done.returncode == 2
    assert "curl is not installed" in done.stderr


def test_shellcheck_finds_nothing() -> None:
    checked = run(need("shellcheck"), SCRIPT)
    assert checked.stdout == ""
    assert checked.returncode == 0


def test_it_avoids_what_the_bash_of_macos_does_not_know() -> None:
    """Bash 3.2 and BSD date. A list of what people reach for; there is no bash 3.2 here to run it with."""
    text = SCRIPT.read_text(encoding="utf-8")
    for newer in ("declare -A", "mapfile", "readarray", "${!", "&>>", "|&", ",,}", "^^}", "%(", "date -d", "wait -n", "\\u{"):
        assert newer not in text, newer


def test_it_can_be_executed() -> None:
    assert os.access(SCRIPT, os.X_OK)
    assert shutil.which("bash")
