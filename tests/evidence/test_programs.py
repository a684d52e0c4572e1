"""The starters of real programs (tests/programs.py), which other tests lean on."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from programs import program, real_alertmanager, real_prometheus

RULES = "groups: [{name: g, rules: [{alert: AlwaysOn, expr: vector(1), labels: {severity: warning}}]}]"
ALERTMANAGER = "route: {receiver: nobody, group_wait: 1s}\nreceivers: [{name: nobody}]\n"


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.loads(response.read())


def eventually(look: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it becomes true; other processes have no event to wait for."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.real
def test_an_alert_goes_from_prometheus_to_both_alertmanagers_of_a_pair(tmp_path: Path) -> None:
    with (
        real_alertmanager(tmp_path / "alertmanager", ALERTMANAGER, peers=2) as pair,
        real_prometheus(tmp_path / "prometheus", rules=RULES, external_labels="cluster: test", alertmanagers=pair.urls) as prometheus,
    ):
        assert len(pair.urls) == 2
        assert eventually(lambda: all(len(get(f"{url}/api/v2/status")["cluster"]["peers"]) == 2 for url in pair.urls))
        assert eventually(lambda: all(get(f"{url}/api/v2/alerts") for url in pair.urls))
        for url in pair.urls:
            (alert,) = get(f"{url}/api/v2/alerts")
            assert alert["labels"] == {"alertname": "AlwaysOn", "severity": "warning", "cluster": "test"}
        assert get(f"{prometheus.url}/api/v1/rules")["data"]["groups"][0]["rules"][0]["health"] == "ok"
    assert all(process.poll() is not None for process in (*pair.processes, *prometheus.processes))


@pytest.mark.real
def test_a_single_alertmanager_has_no_cluster(tmp_path: Path) -> None:
    with real_alertmanager(tmp_path, ALERTMANAGER) as alertmanager:
        assert get(f"{alertmanager.url}/api/v2/status")["cluster"]["status"] == "disabled"


@pytest.mark.real
def test_a_program_that_does_not_start_fails_the_test_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="undefined receiver"), real_alertmanager(tmp_path, "route: {receiver: missing}\n"):
        pass
    with pytest.raises(pytest.fail.Exception, match="promtool refused"), real_prometheus(tmp_path, metrics="not metrics"):
        pass


def test_a_missing_program_skips_visibly_and_fails_where_it_must_not_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Debian package prometheus"):
        program("prometheus", "prometheus")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="did not run"):
        program("prometheus", "prometheus")
