"""How long it takes to gather evidence from a real Prometheus that has a thousand series, beside a bare round trip to it; and from all sources
at once, with each of them well and broken in turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote_plus

from agent_sre.alert.alert import AlertStatus, fingerprint_of
from agent_sre.alert.subject import subject_of
from agent_sre.evidence.evidence import EvidenceSource, MetricSeries
from agent_sre.evidence.gather import gather
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.incident.incident import Incident, IncidentStatus, MemberAlert
from agent_sre.kit.clock import SystemClock
from bench.processes import REPOSITORY, free_port, running

SERIES = 1_000
TESTS = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
"""The path of processes that use the worlds of the tests."""

WAYS = ("hang", "refuse", "slow", "lie")
"""To be broken, in the words of tests/evidence/surroundings.py."""

EXPRESSION = 'container_memory_working_set_bytes{container!=""} > 2e8'


class Missing(Exception):
    """A program that this measurement needs is not installed."""


def measured(times: int) -> dict[str, list[float]]:
    """Seconds of `times` rounds each of: a bare `query=1`, gathering anew (nothing known of the server), and gathering again."""
    with tempfile.TemporaryDirectory() as folder, real_prometheus(Path(folder)) as (url, starts_at, labels):
        return asyncio.run(_measure(url, starts_at, labels, times))


@dataclass(frozen=True, kw_only=True)
class Round:
    """One gathering."""

    seconds: float
    answers: int
    gaps: tuple[str, ...]  # the sources of open questions


def measured_with_all(times: int) -> dict[tuple[str, str], list[Round]]:
    """`times` rounds with every server well, by ("", ""), then with each broken in each way, by (its name, the way)."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url, starts_at, labels = stack.enter_context(real_prometheus(folder))
        urls = stack.enter_context(surrounded())
        return asyncio.run(_measure_all(url, urls, folder, _incident(starts_at, labels), times))


@contextlib.contextmanager
def surrounded(*broken: str) -> Iterator[dict[str, str]]:
    """The other servers in a process of their own: addresses by source. `broken` is a name and a way, or nothing."""
    with running(["-m", "bench.surroundings", *broken], PYTHONPATH=TESTS) as servers:
        answered = (servers.stdout.readline() if servers.stdout else "").strip()
        if not answered:
            raise SystemExit("bench.surroundings did not start.")
        yield json.loads(answered)


async def _measure_all(url: str, urls: dict[str, str], folder: Path, incident: Incident, times: int) -> dict[tuple[str, str], list[Round]]:
    from evidence.surroundings import NETWORK, surroundings

    found: dict[tuple[str, str], list[Round]] = {}
    async with surroundings(url, urls, folder) as around:
        await _gather(incident, around.sources)  # libraries load at the first call
        found["", ""] = [await _gather(incident, around.sources) for _ in range(times)]
        for broken in NETWORK:
            for fault in WAYS:
                async with around.broken(broken, fault) as sources:
                    found[broken, fault] = [await _gather(incident, sources) for _ in range(times)]
    return found


async def _gather(incident: Incident, sources: Sequence[EvidenceSource]) -> Round:
    began = time.perf_counter()
    found = await gather(incident, sources, clock=SystemClock())
    seconds = time.perf_counter() - began
    return Round(seconds=seconds, answers=len(found.items), gaps=tuple(sorted({gap.query.source for gap in found.gaps})))


async def _measure(url: str, starts_at: datetime, labels: dict[str, str], times: int) -> dict[str, list[float]]:
    incident, clock = _incident(starts_at, labels), SystemClock()
    seconds: dict[str, list[float]] = {"bare": [], "anew": [], "again": [], "series": [], "gaps": []}
    for _ in range(times):
        client = PrometheusClient(PrometheusSettings(url=url))
        async with contextlib.aclosing(PrometheusSource(client, clock)) as source:
            await client.query("1", at=clock.now())  # opens the connection
            for name in ("bare", "anew", "again"):
                began = time.perf_counter()
                if name == "bare":
                    await client.query("1", at=clock.now())
                else:
                    found = await gather(incident, [source], clock=clock)
                    seconds["gaps"].append(len(found.gaps))
                    seconds["series"].append(sum(isinstance(item, MetricSeries) for one in found.items for item in one.data))
                seconds[name].append(time.perf_counter() - began)
    return seconds


@contextlib.contextmanager
def real_prometheus(folder: Path) -> Iterator[tuple[str, datetime, dict[str, str]]]:
    """Debian's, with the shop of the tests and a thousand series around it: its address, since when the shop is ill, and the labels of the alert."""
    sys.path.append(str(REPOSITORY / "tests"))
    from evidence.shop import BAD, NAMESPACE, Shop

    prometheus, promtool = shutil.which("prometheus"), shutil.which("promtool")
    if prometheus is None or promtool is None:
        raise Missing("prometheus and promtool are not here (Debian package prometheus)")
    shop = Shop(step=60, extra_series=SERIES)
    (folder / "metrics.om").write_text(shop.open_metrics())
    (folder / "prometheus.yml").write_text("global: {}\n")
    data = folder / "data"
    subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", folder / "metrics.om", data], check=True, capture_output=True)
    url = f"127.0.0.1:{free_port()}"
    command = [prometheus, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={data}", f"--web.listen-address={url}"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_until_ready(f"http://{url}/-/ready", process)
            yield f"http://{url}", shop.starts_at, {"namespace": NAMESPACE, "pod": BAD, "container": "cart"}
        finally:
            process.kill()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(url, timeout=1).close()
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit("Prometheus did not become ready.")


def _incident(starts_at: datetime, labels: dict[str, str]) -> Incident:
    every = {"alertname": "HighMemory", "severity": "warning", **labels}
    alert = MemberAlert(
        id=1, fingerprint=fingerprint_of(every), status=AlertStatus.FIRING, name="HighMemory", severity_text="warning", labels=every,
        annotations={}, generator_url=f"http://prometheus.invalid/graph?g0.expr={quote_plus(EXPRESSION)}", starts_at=starts_at, ends_at=None,
        last_seen_at=datetime.now(UTC) - timedelta(seconds=1), sightings=1, reason="", subject=subject_of(every),
    )  # fmt: skip
    return Incident(
        id=1, group_key="", title="HighMemory", severity=alert.severity, status=IncidentStatus.TRIGGERED, subject=alert.subject, alerts=(alert,),
        triggered_at=starts_at, last_alert_at=starts_at, acknowledged_at=None, resolved_at=None,
    )  # fmt: skip
