"""Starts real programs for tests, each on free loopback ports with its files in a temporary folder, and ends them afterwards.

    with real_prometheus(tmp_path, rules=RULES, metrics=OPEN_METRICS) as prometheus:
        prometheus.url                               http://127.0.0.1:<port>, answering /-/ready
    with real_alertmanager(tmp_path, ALERTMANAGER_YML) as alertmanager:
        alertmanager.url, alertmanager.urls          one address, or two with `peers=2` (an HA pair that gossips)

    real_prometheus(…, alertmanagers=alertmanager.urls) sends alerts there.

Mark such tests `@pytest.mark.real`. Where a program is not installed, the test is skipped with a sentence that names the Debian package,
and fails under CI=true: a suite that silently ran nothing is worse than a red one.
What a program wrote is in `<folder>/<name>.log`, and in the failure where it does not become ready.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_READY_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class RunningProgram:
    """A program that answers. `urls` has one address per process, `url` is the first; `processes` may be killed by the test itself."""

    urls: tuple[str, ...]
    processes: tuple[subprocess.Popen[bytes], ...]

    @property
    def url(self) -> str:
        return self.urls[0]


def program(name: str, package: str) -> str:
    """The path of an installed program. Skips the test where it is missing, and fails it under CI=true."""
    found = shutil.which(name)
    if found is None:
        sentence = f"{name} is not installed (Debian package {package}): this test did not run"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return found


@contextlib.contextmanager
def real_prometheus(
    folder: Path,
    *,
    rules: str = "",
    metrics: str = "",
    scrape_configs: str = "",
    external_labels: str = "",
    alertmanagers: Sequence[str] = (),
    interval: str = "1s",
    flags: Sequence[str] = (),
) -> Iterator[RunningProgram]:
    """Prometheus with a storage of its own.

    `rules` is the text of a rule file (`groups: …`). `metrics` is OpenMetrics text with timestamps, ending in `# EOF`, loaded as blocks
    before the start (`promtool tsdb create-blocks-from openmetrics`); samples may lie in the future, which keeps series alive while the
    test runs. `scrape_configs` is a YAML list, `external_labels` a YAML map, both indented by two; `alertmanagers` are addresses as
    RunningProgram has them. `interval` is for scrapes and rules. Every rule has been evaluated once when the block begins.
    """
    prometheus = program("prometheus", "prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    storage = folder / "prometheus-data"
    storage.mkdir()
    if metrics:
        source = folder / "metrics.om"
        source.write_text(metrics)
        promtool = program("promtool", "prometheus")
        done = subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", source, storage], capture_output=True, check=False)
        if done.returncode:
            pytest.fail(f"promtool refused the metrics: {(done.stderr or done.stdout).decode(errors='replace')[-2000:]}")
    (folder / "rules.yml").write_text(rules or "groups: []\n")
    config = [f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}, evaluation_interval: {interval}}}"]
    if external_labels:
        config[0] = config[0].removesuffix("}") + f", external_labels: {{{external_labels}}}}}"
    config.append("rule_files: [rules.yml]")
    if metrics:
        # Beside samples of the future the present is late: "out of bounds", and from its second evaluation on every rule's health was "err".
        config.append("storage: {tsdb: {out_of_order_time_window: 1d}}")
    if alertmanagers:
        targets = ", ".join(f"'{address.removeprefix('http://')}'" for address in alertmanagers)
        config.append(f"alerting:\n  alertmanagers:\n  - static_configs:\n    - targets: [{targets}]")
    if scrape_configs:
        config.append(f"scrape_configs:\n{scrape_configs}")
    (folder / "prometheus.yml").write_text("\n".join(config) + "\n")
    port = free_port()
    command = [
        prometheus,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={storage}",
        "--storage.tsdb.retention.time=365d",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-lifecycle",
        # An alert that fires before the Alertmanagers are discovered (up to 5 s) would otherwise come a minute later.
        "--rules.alert.resend-delay=1s",
        *flags,
    ]
    with _running(folder, {"prometheus": (command, f"http://127.0.0.1:{port}")}) as running:
        _wait_until(lambda: _rules_are_evaluated(running.url), "the rules were not evaluated")
        yield running


@contextlib.contextmanager
def real_alertmanager(folder: Path, config_text: str, *, peers: int = 1, flags: Sequence[str] = ()) -> Iterator[RunningProgram]:
    """Alertmanager with this configuration; with `peers=2` two of them that know each other, which is how real duplicates come about."""
    alertmanager = program("prometheus-alertmanager", "prometheus-alertmanager")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alertmanager.yml").write_text(config_text)
    cluster_ports = [free_port() for _ in range(peers)]
    commands: dict[str, tuple[list[str], str]] = {}
    for number, cluster_port in enumerate(cluster_ports, 1):
        port = free_port()
        # An empty address switches the cluster off.
        cluster = [f"--cluster.listen-address=127.0.0.1:{cluster_port}"] if peers > 1 else ["--cluster.listen-address="]
        cluster += [f"--cluster.peer=127.0.0.1:{other}" for other in cluster_ports if other != cluster_port]
        name = f"alertmanager-{number}"
        command = [
            alertmanager,
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / f'{name}-data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            *cluster,
            *flags,
        ]
        commands[name] = (command, f"http://127.0.0.1:{port}")
    with _running(folder, commands) as running:
        yield running


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _running(folder: Path, commands: dict[str, tuple[list[str], str]]) -> Iterator[RunningProgram]:
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name, (command, _) in commands.items():
            with (folder / f"{name}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=folder))
        for process, (name, (_, url)) in zip(processes, commands.items(), strict=True):
            _wait_until_ready(process, url, folder / f"{name}.log")
        yield RunningProgram(urls=tuple(url for _, url in commands.values()), processes=tuple(processes))
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    def ready() -> bool:
        if process.poll() is not None:
            pytest.fail(f"{log.stem} ended at once: {log.read_text(errors='replace')[-3000:]}")
        return _get(f"{url}/-/ready") is not None

    _wait_until(ready, f"{log.stem} did not become ready, see {log}")


def _rules_are_evaluated(url: str) -> bool:
    groups = json.loads(_get(f"{url}/api/v1/rules") or b'{"data": {"groups": [{"rules": [{"health": "unknown"}]}]}}')["data"]["groups"]
    return all(rule["health"] != "unknown" for group in groups for rule in group["rules"])


def _wait_until(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"after {_READY_SECONDS} s: {otherwise}")
        time.sleep(0.05)  # another process: there is no event to wait for


def _get(url: str) -> bytes | None:
    """The body of a 200, None for whatever else happens."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            body: bytes = response.read()
            return body if response.status == 200 else None
    except (urllib.error.URLError, OSError):
        return None
