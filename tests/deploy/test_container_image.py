"""The Dockerfile, read as a list of instructions, and its health check, really run."""

from __future__ import annotations

import fnmatch
import http.server
import json
import os
import socket
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.repository import DEPLOY, ROOT, manifest, run


def instructions() -> list[tuple[str, str]]:
    """Every instruction of the Dockerfile with its arguments, continuation lines joined."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def arguments(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def final_stage() -> list[tuple[str, str]]:
    everything = instructions()
    last = max(index for index, (word, _) in enumerate(everything) if word == "FROM")
    return everything[last:]


def environment() -> dict[str, str]:
    pairs = [pair for word, rest in final_stage() if word == "ENV" for pair in rest.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def test_two_stages_of_the_same_small_python() -> None:
    assert arguments("FROM") == ["python:3.11-slim AS build", "python:3.11-slim"]


def test_dependencies_come_by_hash_and_the_project_without_any() -> None:
    installs = [rest for rest in arguments("RUN") if "pip install" in rest]
    assert installs == ["pip install --require-hashes -r requirements.lock", "pip install --no-deps ."]
    copies = [rest for word, rest in instructions() if word == "COPY"]
    assert copies.index("requirements.lock ./") < copies.index("src ./src")  # else each edit installs everything again


def test_the_final_image_holds_no_build_tools() -> None:
    assert [rest for word, rest in final_stage() if word == "COPY"] == ["--from=build /opt/agent-sre /opt/agent-sre"]
    assert not any("pip" in rest or "apt" in rest for word, rest in final_stage() if word == "RUN")


def test_it_runs_as_the_user_whom_kubernetes_expects() -> None:
    security = manifest("Deployment", "sre-agent")["spec"]["template"]["spec"]["securityContext"]
    assert [rest for word, rest in final_stage() if word == "USER"] == [f"{security['runAsUser']}:{security['runAsGroup']}"]


def test_image_and_deployment_agree_on_address_port_and_database() -> None:
    (container,) = manifest("Deployment", "sre-agent")["spec"]["template"]["spec"]["containers"]
    given = {variable["name"]: variable["value"] for variable in container["env"]}
    for name in ("AGENT_HOST", "AGENT_PORT", "AGENT_SRE_DATABASE_URL"):
        assert environment()[name] == given[name]
    assert arguments("EXPOSE") == [environment()["AGENT_PORT"]]
    assert environment()["AGENT_HOST"] == "0.0.0.0"


def test_everything_written_goes_to_the_volume() -> None:
    (volume,) = arguments("VOLUME")
    assert environment()["AGENT_SRE_DATABASE_URL"] == f"sqlite:///{volume}/agent-sre.db"
    assert environment()["HOME"] == volume
    assert [rest for word, rest in final_stage() if word == "WORKDIR"] == [volume]
    assert environment()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_it_starts_the_service_by_a_command_that_the_project_installs() -> None:
    (entrypoint,), (command,) = arguments("ENTRYPOINT"), arguments("CMD")
    assert json.loads(entrypoint) + json.loads(command) == ["agent-sre", "serve"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert json.loads(entrypoint)[0] in project["scripts"]
    (container,) = manifest("Deployment", "sre-agent")["spec"]["template"]["spec"]["containers"]
    assert container["args"] == json.loads(command)
    assert "command" not in container


def copied_from_the_repository() -> list[str]:
    copies = [rest.split() for rest in arguments("COPY") if not rest.startswith("--from")]
    return [source for words in copies for source in words[:-1]]


@pytest.mark.parametrize("source", copied_from_the_repository())
def test_whatever_is_copied_exists_and_is_let_in_by_dockerignore(source: str) -> None:
    assert (ROOT / source).exists()
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert f"!{source}" in rules


def test_dockerignore_keeps_everything_else_out() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] not in ("#", "")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(copied_from_the_repository())
    refused = [rule.removeprefix("**/") for rule in rules[1:] if not rule.startswith("!")]
    for name in ("agent-sre.db", "agent-sre.db-wal", "__pycache__", "rules.pyc"):
        assert any(fnmatch.fnmatch(name, rule) for rule in refused), name


# --- the health check, as Docker would run it ----------------------------------------------------


def health_check() -> list[str]:
    (rest,) = arguments("HEALTHCHECK")
    command: list[str] = json.loads(rest[rest.index("CMD ") + 4 :])
    assert command[0] == "python"
    return [sys.executable, *command[1:]]


@contextmanager
def answering(status: int) -> Iterator[tuple[int, list[str]]]:
    """A server that answers every GET with this status; gives its port and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Silent."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


def checked_on(port: int) -> int:
    # The proxy does not exist: a check that went through it would fail.
    return run(*health_check(), env=os.environ | {"AGENT_PORT": str(port), "http_proxy": "http://127.0.0.1:9"}).returncode


def test_the_health_check_passes_when_health_answers() -> None:
    with answering(200) as (port, asked):
        assert checked_on(port) == 0
    assert asked == ["/health"]


@pytest.mark.parametrize("status", [404, 500, 503])
def test_the_health_check_fails_when_health_does_not_answer_200(status: int) -> None:
    with answering(status) as (port, _):
        assert checked_on(port) != 0


def test_the_health_check_fails_when_nothing_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert checked_on(closed.getsockname()[1]) != 0
