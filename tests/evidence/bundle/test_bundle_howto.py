"""The script in the how-to is sound, and what it makes is read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent_sre.evidence.bundle.bundle import NAMED, load_bundle
from evidence.bundle.worlds import WORLDS

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "support-bundle.md"
SCRIPT = next(block for block in re.findall(r"```bash\n(.*?)```", PAGE.read_text(), flags=re.DOTALL) if block.startswith("#!"))

KUBECTL = """#!/bin/bash
case "$*" in
  "get pods -n shop -o json") cat "$WORLDS/dump/shop/pods.json" ;;
  "get events -n shop -o json") cat "$WORLDS/dump/shop/events.json" ;;
  "get nodes -o json") cat "$WORLDS/dump/nodes.json" ;;
  "get pods -n shop -o name") echo pod/cart-6d5f7-x2x9k ;;
  logs*--previous*) echo "Error from server (BadRequest): previous terminated container not found" >&2; exit 1 ;;
  logs*) echo "2026-11-23T06:44:08Z panic: no memory" ;;
  "get configmaps -n shop") printf 'NAME   DATA   AGE\\ncart   2      5m\\n' ;;
  "get storageclasses -o json") echo 'Error from server (Forbidden): storageclasses is forbidden' >&2; exit 1 ;;
  *) echo '{"apiVersion": "v1", "kind": "List", "items": []}' ;;
esac
"""
CURL = """#!/bin/bash
echo '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"kube_pod_info"},"values":[[1795415400,"1"]]}]}}'
"""


def test_shellcheck_finds_nothing_in_the_script() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", "-"], input=SCRIPT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_the_script_makes_is_read(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("kubectl", KUBECTL), ("curl", CURL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "WORLDS": str(WORLDS)}
    command = ["bash", "-s", "shop", "http://prometheus.invalid"]
    done = subprocess.run(command, input=SCRIPT, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    bundle = load_bundle(tmp_path / done.stdout.strip())
    assert {kind: len(items) for kind, items in bundle.objects.items()} == {"Node": 1, "Pod": 1, "ConfigMap": 1, "Event": 2}
    assert bundle.objects["ConfigMap"][0].namespace == "shop"
    assert [(line.source, line.text) for line in bundle.log_lines] == [("cart-6d5f7-x2x9k", "panic: no memory")]
    assert list(bundle.series) == ["kube_pod_info"]
    assert bundle.time_from == "case.json"
    assert {fault.file: fault.reason for fault in bundle.faults if fault.reason != "empty"} == {"storageclasses.txt": "refused"}


def test_the_how_to_names_every_file_that_is_read_by_its_name() -> None:
    for name in NAMED:
        assert f"`{name}`" in PAGE.read_text(), name
