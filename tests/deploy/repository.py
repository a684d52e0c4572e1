"""What the tests of this folder share: where the files lie, and the real programs that judge them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
COMPONENTS = DEPLOY / "kubernetes" / "components"
FLUX = DEPLOY / "flux" / "clusters" / "homelab" / "infrastructure" / "agent-sre"
ALERTMANAGER = DEPLOY / "alertmanager"
HOWTOS = [ROOT / "docs" / "how-to" / name for name in ("deploy.md", "configure-alertmanager.md", "troubleshoot.md")]

# The variables of the contract, section 4. Everything else that is ours begins with AGENT_SRE_.
KNOWN_VARIABLES = {
    "OLLAMA_URL",
    "MODEL_NAME",
    "SERVICE_NAME",
    "AGENT_HOST",
    "AGENT_PORT",
    "PROMETHEUS_URL",
    "ALERTMANAGER_URL",
    "LOKI_URL",
    "KUBECONFIG",
    "GRAFANA_URL",
    "SLACK_BOT_TOKEN",
    "SLACK_CHANNEL",
    "SLACK_API_URL",
    "PAGERDUTY_ROUTING_KEY",
    "AGENT_SRE_DATABASE_URL",
    "AGENT_SRE_WEBHOOK_TOKEN",
    "AGENT_SRE_WEBHOOK_TOKEN_FILE",
}


def need(program: str) -> str:
    """The path of a real program. Without it the test is skipped, or fails under CI=true: CI must have it."""
    path = shutil.which(program)
    if path is None:
        reason = f"{program} is not installed, so what it would have checked is NOT checked"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def run(*command: str | Path, env: dict[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """One command to its end, with its output. Never raises for an exit status."""
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False, env=env, input=stdin)


def documents(path: Path) -> list[dict[str, Any]]:
    """The YAML documents of a file."""
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document is not None]


def document(path: Path) -> dict[str, Any]:
    """The one YAML document of a file."""
    (only,) = documents(path)
    return only


def manifests(kind: str, folder: Path = BASE) -> Iterator[dict[str, Any]]:
    """Every object of this kind in the YAML files of a folder."""
    for path in sorted(folder.glob("*.yaml")):
        yield from (found for found in documents(path) if found.get("kind") == kind)


def manifest(kind: str, name: str, folder: Path = BASE) -> dict[str, Any]:
    """The one object of this kind and name."""
    (only,) = (found for found in manifests(kind, folder) if found["metadata"]["name"] == name)
    return only


def settings() -> dict[str, str]:
    """The pods' settings.env as Kustomize reads it."""
    lines = (BASE / "settings.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
