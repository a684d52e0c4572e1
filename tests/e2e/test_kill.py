"""kill -9 under load: what was acknowledged is there, and every incident ends in exactly one report."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from service import ServiceProcess, firing, message

KILLS = int(os.environ.get("AGENT_SRE_TEST_KILLS", "20"))
"""How often the process is killed. `AGENT_SRE_TEST_KILLS=200` is the full run; the suite's own is shorter."""


class Load:
    """Posts alerts as fast as they are taken, and remembers what was acknowledged."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._number = 0
        self._lock = threading.Lock()
        self.acknowledged: list[str] = []  # pod names of firing alerts that got a 200
        self.resolved: set[str] = set()
        self._threads = [threading.Thread(target=self._run, args=(seed,), daemon=True) for seed in range(3)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, seed: int) -> None:
        chance = random.Random(seed)
        mine: list[tuple[str, str]] = []  # pod and severity of what may be resolved
        while not self._stop.is_set():
            with self._lock:
                self._number += 1
                pods = [f"p{self._number}x{index}" for index in range(chance.choice((1, 1, 3)))]
            severity = chance.choice(("critical", "warning"))
            alerts = [firing("Killed", severity, deployment=pod, namespace="load") for pod in pods]
            resolving = mine.pop(0) if len(mine) > 5 and chance.random() < 0.3 else None
            if resolving is not None:
                alerts.append({**firing("Killed", resolving[1], deployment=resolving[0], namespace="load"), "status": "resolved"})
            if self._post(message(*alerts)):
                with self._lock:
                    self.acknowledged += pods
                    self.resolved |= {resolving[0]} if resolving else set()
                mine += [(pod, severity) for pod in pods]
            time.sleep(chance.uniform(0.2, 0.8))

    def _post(self, body: object) -> bool:
        request = urllib.request.Request(
            f"{self._url}/webhook/alert", json.dumps(body).encode(), {"User-Agent": "Alertmanager/0.25.0"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
            return False


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_and_every_incident_gets_exactly_one_report(tmp_path: Path) -> None:
    chance = random.Random(1)
    # Three kills in a row may hit one investigation, which then counts as poison and is given up; here nothing is poison.
    service = ServiceProcess(tmp_path, AGENT_SRE_LOG_LEVEL="warning", AGENT_SRE_MAX_ATTEMPTS="20")
    service.start()
    load = Load(service.url)
    load.start()
    try:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.0, 1.2))
            service.kill()
            service.start(wait=chance.random() < 0.7)  # sometimes it is killed while it starts
        service.wait_until_ready()
    finally:
        load.stop()
    try:
        wait_until_settled(service, seconds=300)
        assert service.stop() == 0
    finally:
        if service.process is not None and service.process.poll() is None:
            service.kill()
    assert load.acknowledged
    check_database(tmp_path / "agent-sre.db", load)


def wait_until_settled(service: ServiceProcess, *, seconds: float) -> None:
    """Waits until every stored alert is settled, and checks the ledger on the way."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with urllib.request.urlopen(f"{service.url}/metrics", timeout=10) as answer:
            samples = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line and not line.startswith("#"))
        stored, settled, still = (
            float(samples[name]) for name in ("agent_sre_alerts_stored_total", "agent_sre_alerts_settled_total", "agent_sre_alerts_open")
        )
        assert stored == settled + still
        if still == 0:
            return
        time.sleep(0.2)
    raise AssertionError(f"not settled after {seconds} s: {service.log()[-3000:]}")


def check_database(path: Path, load: Load) -> None:
    """Looks at the rows themselves."""
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    stored = Counter(json.loads(labels)["deployment"] for (labels,) in database.execute("SELECT labels FROM alert"))
    missing = [pod for pod in load.acknowledged if not stored[pod]]
    assert missing == []
    firing_still = {json.loads(labels)["deployment"] for (labels,) in database.execute("SELECT labels FROM alert WHERE status = 'firing'")}
    assert load.resolved & firing_still == set()
    unended = database.execute("SELECT count(*) FROM investigation WHERE status NOT IN ('complete', 'cancelled', 'failed', 'superseded')").fetchone()
    assert unended == (0,)
    reports = database.execute(
        """SELECT i.id, i.status, count(r.id) FROM investigation i
           LEFT JOIN report r ON r.investigation_id = i.id AND r.stage = 'complete' GROUP BY i.id"""
    ).fetchall()
    for _, status, count in reports:
        assert count == (0 if status == "superseded" else 1), (status, count)
    without = database.execute(
        "SELECT count(*) FROM incident WHERE NOT EXISTS (SELECT 1 FROM report WHERE incident_id = incident.id AND stage = 'complete')"
    ).fetchone()
    assert without == (0,)
    assert database.execute("SELECT count(*) FROM investigation WHERE status = 'failed'").fetchone() == (0,)
    database.close()
