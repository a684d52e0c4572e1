"""A world in the real Prometheus, its alert posted to the running service: what is stored about it, and what the page draws.

One world is our own; the others are recorded incidents of the shared material, one of each set whose metrics name the service that the alert
names. Their samples are moved to the present, as their last moment is in the past and the service's clock is not, and their last values go on
for a while, so that nothing ends while the test runs. The rule that fires is made from the samples: the metric of the alert's own service
that left its usual value farthest behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import statistics
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from agent_sre.analysis.artifacts import load_evidence
from agent_sre.app import build
from agent_sre.evidence.bundle.bundle import load_bundle
from agent_sre.evidence.evidence import Evidence, EvidenceSet, Fact, MetricSeries
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.signals import SIGNALS
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.investigation.store import investigations_of
from agent_sre.kit.clock import SystemClock
from agent_sre.kit.times import format_instant, parse_instant
from evidence.builders import generator_url
from evidence.shop import BAD, CART, NAMESPACE, Shop
from fakes.dom import elements
from programs import real_prometheus
from service import SHARED, config_of, running_service, with_settings

pytestmark = [pytest.mark.real, pytest.mark.slow]

CASES = SHARED / "data" / "incidents" / "cases"
SETS = ("nzob", "nztt", "ss")
"""Those whose alerts name a service that has metrics of its own, so that a rule can be made of them; the others name none that was measured."""

GOES_ON = timedelta(minutes=10)
FEW_POINTS = 10


@dataclass(frozen=True, kw_only=True)
class World:
    """Samples up to the present, and the alert that they make."""

    open_metrics: str
    labels: Mapping[str, str]  # of the alert, alertname included
    expression: str
    threshold: float
    starts_at: datetime
    crossed_after: datetime  # the last moment at which all was well, as far as the samples say
    own: str  # the label value that is the subject's
    step: timedelta

    def rules(self) -> str:
        rule = {"alert": self.labels["alertname"], "expr": self.expression, "labels": {"severity": self.labels["severity"]}}
        return json.dumps({"groups": [{"name": "world", "rules": [rule]}]})

    def body(self) -> dict[str, Any]:
        """What Alertmanager posts; the host of its link is one that must never be called."""
        alert = {
            "status": "firing", "labels": dict(self.labels), "annotations": {"summary": "it is not as usual"},
            "startsAt": format_instant(self.starts_at), "endsAt": "0001-01-01T00:00:00Z", "generatorURL": generator_url(self.expression),
        }  # fmt: skip
        return {"version": "4", "groupKey": "{}:{world}", "status": "firing", "receiver": "ai-agent-webhook", "alerts": [alert]}


def our_own_world() -> World:
    shop = Shop()
    return World(
        open_metrics=shop.open_metrics(),
        labels={"alertname": "HighMemory", "severity": "warning", "namespace": NAMESPACE, "pod": BAD, "container": "cart"},
        expression='container_memory_working_set_bytes{container!=""} > 2e8',
        threshold=2e8,
        starts_at=shop.starts_at,
        crossed_after=shop.broke_at - timedelta(seconds=30),
        own=BAD,
        step=timedelta(seconds=30),
    )


def recorded_world(folder: Path) -> World:
    """A case of the shared material."""
    bundle = load_bundle(folder)
    assert bundle.now is not None
    assert bundle.message is not None
    labels = json.loads((folder / "alert.json").read_text())["alerts"][0]["labels"]
    shift = datetime.now(UTC).replace(microsecond=0) - bundle.now
    choices = list(_choices(bundle.series, labels))
    assert choices, "no metric of it is about the service that its alert names"
    # A rise before a fall: that is what rules look for.
    metric, points = max(choices, key=lambda choice: (choice[1][-1][1] > _usual(choice[1]), _strangeness(choice[1])))
    usual, last = _usual(points), points[-1][1]
    threshold = (usual + last) / 2
    op = ">" if last > usual else "<"
    well = max(at for at, value in points if (value > threshold) != (last > threshold))
    step = timedelta(seconds=json.loads((folder / "case.json").read_text())["step"])
    crossed_after = datetime.fromtimestamp(well, UTC) + shift
    return World(
        open_metrics=_open_metrics(bundle.series, shift),
        labels=labels,
        expression=f'avg by (namespace, service) ({metric}{{namespace="{labels["namespace"]}"}}) {op} {threshold:.12g}',
        threshold=threshold,
        starts_at=max(bundle.now - timedelta(minutes=1) + shift, crossed_after + step),  # a value that comes and goes fires anew
        crossed_after=crossed_after,
        own=labels["service"],
        step=step,
    )


def _choices(series_by_metric: Mapping[str, Sequence[MetricSeries]], labels: Mapping[str, str]) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Metrics with a usual value that the service of the alert has left, and its mean over all pods of it at each moment."""
    for metric, found in series_by_metric.items():
        values: dict[float, list[float]] = defaultdict(list)
        for series in found:
            if all(series.labels.get(name) == labels.get(name) for name in ("namespace", "service")):
                for at, value in series.points:
                    values[at].append(value)
        points = [(at, statistics.fmean(each)) for at, each in sorted(values.items())]
        if "service" in labels and len(points) >= FEW_POINTS and _strangeness(points) > 0.01:
            yield metric, points


def _usual(points: Sequence[tuple[float, float]]) -> float:
    return statistics.median(value for _, value in points[: len(points) * 3 // 4])


def _strangeness(points: Sequence[tuple[float, float]]) -> float:
    usual, last = _usual(points), points[-1][1]
    return abs(last - usual) / max(abs(last), abs(usual), 1e-9)


def _open_metrics(series_by_metric: Mapping[str, Sequence[MetricSeries]], shift: timedelta) -> str:
    lines = []
    for metric, found in sorted(series_by_metric.items()):
        lines.append(f"# TYPE {metric} gauge")
        for series in found:
            inner = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in series.labels.items() if name != "__name__")
            end, last = series.points[-1]
            goes_on = [(end + second, last) for second in range(30, int(GOES_ON.total_seconds()), 30)]
            lines += [f"{metric}{{{inner}}} {value!r} {at + shift.total_seconds():.3f}" for at, value in (*series.points, *goes_on)]
    return "\n".join([*lines, "# EOF", ""])


def _first_of(name: str) -> Path:
    return next(folder for folder in sorted(CASES.iterdir()) if folder.name.startswith(f"{name}-"))


async def test_a_world_of_our_own_is_measured_stored_and_drawn(tmp_path: Path) -> None:
    found = await shown(our_own_world(), tmp_path)
    neighbours = {series.labels["pod"] for item in found.signals for series in item if "pod" in series.labels} - {BAD}
    assert neighbours & set(CART)


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared incidents are not here")
@pytest.mark.parametrize("name", SETS)
async def test_a_recorded_world_is_measured_stored_and_drawn_and_the_culprit_named(name: str, tmp_path: Path) -> None:
    folder = _first_of(name)
    world = recorded_world(folder)
    found = await shown(world, tmp_path)
    culprit = json.loads((CASES.parent / "truth.json").read_text())[folder.name]["service"]
    assert found.suspects[0].endswith(f"/{culprit}"), found.suspects
    section = re.search(r'<section class="card" id="hypotheses">(.*?)</section>', found.page, re.DOTALL)
    assert section is not None
    assert culprit in section[1]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is stored and on the page."""

    signals: tuple[tuple[MetricSeries, ...], ...]
    suspects: tuple[str, ...]  # the objects of the causes that the rules name, best first
    page: str


async def shown(world: World, folder: Path) -> Shown:
    """Posts the world's alert, and looks at what came of it."""
    with contextlib.ExitStack() as stack:
        opened = real_prometheus(folder / "prometheus", rules=world.rules(), metrics=world.open_metrics, interval="5s")
        prometheus = await asyncio.to_thread(stack.enter_context, opened)
        # The service as it is built, but for its patience: how long it takes on a busy machine is not the question here.
        config = with_settings(config_of(folder, PROMETHEUS_URL=prometheus.url), "agent", gather_deadline=timedelta(seconds=15))
        client = PrometheusClient(PrometheusSettings(url=prometheus.url))
        source = PrometheusSource(client, SystemClock(), patience=timedelta(seconds=10))
        async with contextlib.aclosing(source), running_service(config, application=build(config, sources=(source,))) as service:
            await service.post(world.body())
            (incident,) = await service.incidents()
            stored = await service.app.store.read(_evidence)
            whole = (await service.client.get(f"/incidents/{incident['incident_id']}")).json()
            page = (await service.client.get(f"/incidents/{incident['incident_id']}", headers={"Accept": "text/html"})).text
            active_at = await asyncio.to_thread(_active_at, prometheus.url, world.own)
    # A playbook may suggest metrics that this world does not have.
    assert [gap for gap in stored.gaps if gap.query.source == "prometheus" and gap.reason != "no_metric"] == []
    by_kind = {item.query.kind: item for item in stored.items if item.query.source == "prometheus"}
    value = _fact(by_kind["value"])
    assert value["threshold"] == pytest.approx(world.threshold)
    assert value["breaching"] is True, [*value.items()]
    crossed_at = parse_instant(value["crossed_at"])
    assert crossed_at is not None
    assert timedelta(0) <= crossed_at - world.crossed_after <= timedelta(seconds=60) + world.step
    assert {world.own} <= {label for series in _series(by_kind["value"]) for label in series.labels.values()}
    assert _fact(by_kind["active"])["active_at"] == format_instant(active_at)
    assert _fact(by_kind["rule"])["health"] == "ok"
    signals = tuple(_series(by_kind[name]) for name in SIGNALS if _series(by_kind[name]))
    assert signals
    everyone = [set(series.labels.values()) for found in signals for series in found]
    assert any(world.own in labels for labels in everyone), "no golden signal of the subject"
    assert any(world.own not in labels for labels in everyone), "no golden signal of a neighbour"
    _check_page(page, stored.items)
    hypotheses = whole["analysis_json"]["hypotheses"]
    return Shown(signals=signals, suspects=tuple(item["object"] for item in hypotheses if item["name"]), page=page)


def _check_page(page: str, evidence: Sequence[Evidence]) -> None:
    """Every answer with curves is drawn, each of its first five series as a line or a dot; the alert's own with its threshold."""
    cards = dict(re.findall(r'<article class="card evidence" id="(E\d+)">(.*?)</article>', page, re.DOTALL))
    assert elements(page)
    for item in evidence:
        curves = re.findall(r'class="curve s(\d)', cards[item.id].partition("<figcaption")[0])
        assert len(set(curves)) == min(5, len(_series(item))), (item.id, item.summary)
        assert ('class="threshold"' in cards[item.id]) == (item.query.kind == "value"), item.id


def _evidence(connection: Connection) -> EvidenceSet:
    (investigation,) = investigations_of(connection, 1)
    return load_evidence(connection, investigation.run_id)


def _fact(evidence: Evidence) -> Mapping[str, Any]:
    return next(item.values for item in evidence.data if isinstance(item, Fact))


def _series(evidence: Evidence) -> tuple[MetricSeries, ...]:
    return tuple(item for item in evidence.data if isinstance(item, MetricSeries))


def _active_at(url: str, own: str) -> datetime:
    with urllib.request.urlopen(f"{url}/api/v1/alerts", timeout=10) as answer:
        (alert,) = (alert for alert in json.load(answer)["data"]["alerts"] if own in alert["labels"].values())
    found = parse_instant(alert["activeAt"])
    assert found is not None
    return found
