"""How soon after the post the service says what is wrong: with a real Prometheus, a cluster, logs and alerts around it, all well and each broken
in turn; and how long the rules alone think about a thousand curves.
"""

from __future__ import annotations

import http.client
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote_plus

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Evidence, EvidenceSet, MetricSeries, Query
from bench.bodies import HEADERS
from bench.gather import EXPRESSION, WAYS, real_prometheus, surrounded
from bench.processes import REPOSITORY, ask, serving

FIRST = 6
"""Alerts with each fault."""

_PATIENCE = 30.0  # seconds
_LOOK = 0.05  # between two looks: each makes the service write down all that is there already


@dataclass(frozen=True, kw_only=True)
class Round:
    """One alert, from the post to the preliminary report."""

    seconds: float
    cause: str  # token of the first cause; empty where it is only a usual one
    gaps: tuple[str, ...]  # the sources of open questions


def measured(times: int) -> dict[tuple[str, str], list[Round]]:
    """`times` alerts, each an incident of its own, with every server well, by ("", ""); FIRST with each broken in each way, by (name, way)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with real_prometheus(folder) as (url, starts_at, labels):
            from evidence.surroundings import NETWORK

            ill = [("", ""), *((broken, way) for broken in NETWORK for way in WAYS)]
            # after three failures a source is left alone: only the first alerts of a fault have to wait for it
            return {case: _with_service(folder, url, case, starts_at, labels, min(times, FIRST) if case[0] else times) for case in ill}


def _with_service(folder: Path, url: str, case: tuple[str, str], starts_at: datetime, labels: dict[str, str], times: int) -> list[Round]:
    from fakes.kubernetes import FakeKubernetes, write_kubeconfig

    with surrounded(*(part for part in case if part)) as urls:
        settings = {
            "PROMETHEUS_URL": urls.get("prometheus", url),
            "LOKI_URL": urls["loki"],
            "ALERTMANAGER_URL": urls["alertmanager"],
            "KUBECONFIG": write_kubeconfig(folder / "kubeconfig.yaml", urls["kubernetes"], {"token": FakeKubernetes().token}),
        }
        with serving(**settings) as (connection, _, _):
            rounds = []
            for number in range(times + 1):
                # from another cluster each, or they would join one incident: an external label, which no series has
                content = _body(number, {**labels, "cluster": f"eu-{number}"}, starts_at)
                began = time.perf_counter()
                status, answer = ask(connection, "POST", "/webhook/alert", content, HEADERS)
                if status != 200:
                    raise SystemExit(f"HTTP {status}: {answer[:200].decode(errors='replace')}")
                rounds.append(_report(connection, f"/investigations/alert-{number:016x}", began))
    return rounds[1:]  # the first one loads libraries


def _report(connection: http.client.HTTPConnection, path: str, began: float) -> Round:
    while time.perf_counter() - began < _PATIENCE:
        status, answer = ask(connection, "GET", path, None, {"Accept": "application/json"})
        if status == 200:
            document = json.loads(answer)
            if document["stage"] in ("preliminary", "complete"):
                seconds = time.perf_counter() - began
                written = document["analysis_json"]
                first: dict[str, str] = next(iter(written["hypotheses"]), {})
                gaps = sorted({gap["source"] for gap in written["gaps"]})
                if document["stage"] != "complete":  # one at a time: the next one must not meet the end of this one
                    _complete(connection, path)
                return Round(seconds=seconds, cause=first.get("name", ""), gaps=tuple(gaps))
        time.sleep(_LOOK)
    raise SystemExit(f"No report within {_PATIENCE:g} s.")


def _complete(connection: http.client.HTTPConnection, path: str) -> None:
    ends_at = time.perf_counter() + _PATIENCE
    while time.perf_counter() < ends_at:
        _, answer = ask(connection, "GET", path, None, {"Accept": "application/json"})
        if json.loads(answer)["stage"] == "complete":
            return
        time.sleep(_LOOK)
    raise SystemExit(f"No final report within {_PATIENCE:g} s.")


def _body(number: int, labels: dict[str, str], starts_at: datetime) -> bytes:
    every = {"alertname": "HighMemory", "severity": "warning", **labels}
    alert = {
        "status": "firing",
        "labels": every,
        "annotations": {"summary": f"Memory of {labels['pod']} is high"},
        "startsAt": starts_at.isoformat().replace("+00:00", "Z"),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": f"http://prometheus.invalid/graph?g0.expr={quote_plus(EXPRESSION)}",
        "fingerprint": f"{number:016x}",
    }
    message = {
        "version": "4", "groupKey": f"{{}}:{{cluster={labels['cluster']}}}", "truncatedAlerts": 0, "status": "firing", "receiver": "agent-sre",
        "groupLabels": {"cluster": labels["cluster"]}, "commonLabels": every, "commonAnnotations": {}, "externalURL": "http://alertmanager.example:9093",
        "alerts": [alert],
    }  # fmt: skip
    return json.dumps(message).encode()


def thinking(runs: int) -> tuple[float, float]:
    """CPU seconds of the rules over a thousand curves of four hours, and of sorting the values of each; the best of `runs`."""
    sys.path.append(str(REPOSITORY / "tests"))
    from agent_sre.evidence.playbook import load_playbooks, playbook_for
    from agent_sre.finding.diagnose import diagnose
    from evidence.builders import an_alert, an_incident

    now = datetime.now(UTC).replace(microsecond=0)
    curves = list(_thousand_curves(now.timestamp()))
    evidence = EvidenceSet(items=(_answer(tuple(curves), now),))
    labels = {"namespace": "shop", "service": "s0"}
    incident = an_incident(an_alert("HighLatency", "p95_seconds > 1", labels, starts_at=now - timedelta(minutes=2)))
    playbook = playbook_for("HighLatency", load_playbooks())
    ours, least = math.inf, math.inf
    for _ in range(runs):
        began = time.process_time()
        verdict = diagnose(incident, evidence, playbook)
        ours = min(ours, time.process_time() - began)
        began = time.process_time()
        for curve in curves:
            sorted(value for _, value in curve.points)
        least = min(least, time.process_time() - began)
        if verdict.hypotheses[0].subject.name != _CULPRIT:
            raise SystemExit(f"The rules named {verdict.hypotheses[0].subject.name}, not {_CULPRIT}.")
    return ours, least


_CULPRIT = "s7"
_USUAL = {
    "pod_cpu_usage_percent": 22.0,
    "pod_memory_usage_percent": 48.0,
    "pod_requests_per_second": 85.0,
    "pod_server_latency_p95_seconds": 0.12,
    "pod_server_errors_per_second": 0.02,
    "pod_client_latency_p95_seconds": 0.2,
    "pod_network_receive_bytes": 4e6,
    "pod_network_transmit_bytes": 9e6,
    "pod_open_connections": 40.0,
    "pod_threads": 64.0,
}


def _thousand_curves(now: float) -> Iterator[MetricSeries]:
    """A hundred services with ten curves each, noisy all of them; one of them takes all the processor it can get, three minutes before the end."""
    dice = random.Random(7)
    instants = [now - 60 * number for number in range(240, -1, -1)]
    for number in range(100):
        for metric, usual in _USUAL.items():
            hit = number == int(_CULPRIT[1:]) and metric in ("pod_cpu_usage_percent", "pod_server_latency_p95_seconds")
            points = tuple((at, usual * dice.gauss(1, 0.06) * (4 if hit and at > now - 180 else 1)) for at in instants)
            yield MetricSeries(labels={"__name__": metric, "service": f"s{number}", "namespace": "shop"}, points=points)


def _answer(curves: tuple[MetricSeries, ...], now: datetime) -> Evidence:
    query = Query(id="E01", source="prometheus", kind="siblings", expression="all", purpose="all curves")
    subject = Subject(kind="Service", name="s0", namespace="shop")
    return Evidence(id="E01", query=query, subject=subject, data=curves, summary="", collected_at=now, took=timedelta())
