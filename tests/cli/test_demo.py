"""The demo: with the real programs, with a recorded webhook, and the past that it writes for itself."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent_sre.cli.demo.exporter import history, metrics
from cli.test_commands import agent_sre
from programs import program

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)


@pytest.mark.real
@pytest.mark.slow
def test_the_demo_drives_prometheus_and_alertmanager_and_names_the_leak(tmp_path: Path) -> None:
    program("prometheus", "prometheus")
    program("prometheus-alertmanager", "prometheus-alertmanager")
    done = agent_sre("demo", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Prometheus and Alertmanager run" in done.stderr
    assert re.search(r"^1\. Deployment shop/checkout uses ever more memory( \[E\d+])+$", done.stdout, re.MULTILINE), done.stdout
    assert "A memory leak" not in done.stdout  # it is the same, and told once
    assert "after a steady climb" in done.stdout
    assert "/incidents/INC-1" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_replays_where_nothing_is_installed(tmp_path: Path) -> None:
    done = agent_sre("demo", "--replay", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ContainerMemoryNearLimit" in done.stdout
    assert "/incidents/INC-1" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real
def test_promtool_takes_the_history(tmp_path: Path) -> None:
    (tmp_path / "history.om").write_text(history(NOW, target="127.0.0.1:9000"))
    command = [program("promtool", "prometheus"), "tsdb", "create-blocks-from", "openmetrics", str(tmp_path / "history.om"), str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_history_ends_where_the_exporter_begins() -> None:
    lines = history(NOW, target="127.0.0.1:9000").splitlines()
    assert lines[-1] == "# EOF"
    last: dict[str, tuple[int, float]] = {}
    for line in lines[:-1]:
        series, used, second = line.rsplit(" ", 2)
        last[series.replace(',instance="127.0.0.1:9000",job="demo"', "")] = (int(used), float(second))
    begins = {series: int(value) for series, value in (line.rsplit(" ", 1) for line in metrics(0).splitlines())}
    assert last.keys() == begins.keys()
    for series, (value, at) in last.items():
        assert abs(value - begins[series]) <= 0.002 * max(1, begins[series])
        assert NOW - timedelta(seconds=15) < datetime.fromtimestamp(at, UTC) < NOW
