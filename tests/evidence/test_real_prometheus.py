"""The source against the real program: what it asks must mean what we think it means."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent_sre.evidence.evidence import Evidence, Fact, MetricSeries
from agent_sre.evidence.gather import gather
from agent_sre.evidence.playbook import PlaybookQuery, load_playbooks
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.explore import KINDS
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.evidence.suggested import SUGGESTED
from agent_sre.incident.incident import Incident, MemberAlert
from agent_sre.kit.clock import SystemClock
from agent_sre.kit.times import parse_instant
from evidence.builders import an_alert, an_incident
from fakes.prometheus import refuse
from programs import RunningProgram, real_prometheus

pytestmark = pytest.mark.real

MIB = 1024**2
LIMIT = 256 * MIB
HOSTILE = 'a"} or vector(1) #\\ $1 é`'
"""A label value that tries to break out; it is the pod's node."""

RATIO = 'container_memory_working_set_bytes{container!=""} / on(namespace, pod, container) kube_pod_container_resource_limits{resource="memory"}'
HIGH_MEMORY = f"{RATIO} > 0.9"
SHARE = "sum by(namespace) (container_memory_working_set_bytes) / scalar(sum(container_memory_working_set_bytes)) > 0.5"
REPLICAS = "kube_deployment_status_replicas_available < kube_deployment_spec_replicas"
ABSENT = 'absent(up{job="billing"})'
EITHER = "(kube_deployment_spec_replicas > 100) or (kube_deployment_status_replicas_available == 1)"
FILTERED = "count by(namespace) (kube_deployment_status_replicas_available == 1) > 0"

RULES = f"""groups:
- name: shop
  rules:
  - {{alert: HighMemory, expr: '{HIGH_MEMORY}', for: 10m, labels: {{severity: warning}}, annotations: {{summary: memory}}}}
  - {{alert: Absent, expr: '{ABSENT}', labels: {{severity: critical}}}}
  - {{alert: Share, expr: '{SHARE}'}}
"""


CART = {"namespace": "shop", "deployment": "cart"}


class World:
    """Two hours of a small shop: cart-0 crosses 90 % of its limit twenty minutes ago, cart-1 does not; one replica is lost as well."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.crossed_at = self.now - timedelta(minutes=20)
        self.starts_at = self.crossed_at + timedelta(minutes=10)

    def open_metrics(self) -> str:
        lines = ["# TYPE container_memory_working_set_bytes gauge"]
        for pod, namespace in (("cart-0", "shop"), ("cart-1", "shop"), ("report-0", "batch")):
            labels = _labels(namespace=namespace, pod=pod, container="cart", node=HOSTILE, severity="odd")
            lines += self._lines(f"container_memory_working_set_bytes{labels}", self._memory(pod))
        lines.append("# TYPE kube_pod_container_resource_limits gauge")
        for pod in ("cart-0", "cart-1"):
            labels = _labels(namespace="shop", pod=pod, container="cart", resource="memory", unit="byte")
            lines += self._lines(f"kube_pod_container_resource_limits{labels}", lambda _: LIMIT)
        lines.append("# TYPE kube_deployment_spec_replicas gauge")
        for name in ("cart", "checkout"):
            lines += self._lines(f"kube_deployment_spec_replicas{_labels(namespace='shop', deployment=name)}", lambda _: 2)
        lines.append("# TYPE kube_deployment_status_replicas_available gauge")
        lines += self._lines(
            f"kube_deployment_status_replicas_available{_labels(namespace='shop', deployment='cart')}",
            lambda at: 1 if at >= self.crossed_at else 2,
        )
        lines += self._lines(f"kube_deployment_status_replicas_available{_labels(namespace='shop', deployment='checkout')}", lambda _: 2)
        lines.append("# TYPE up gauge")
        lines += [line for line in self._lines(f"up{_labels(job='billing', instance='billing:9090')}", lambda _: 1) if self._early(line)]
        return "\n".join([*lines, "# EOF", ""])

    def _memory(self, pod: str) -> Callable[[datetime], float]:
        def memory(at: datetime) -> float:
            if pod == "report-0":
                return 60 * MIB
            if pod == "cart-1":
                return 0.42 * LIMIT
            return (0.95 if at >= self.crossed_at else 0.42) * LIMIT

        return memory

    def _lines(self, series: str, value: Callable[[datetime], float]) -> list[str]:
        instants = (self.now - timedelta(hours=2) + timedelta(seconds=15) * number for number in range(8 * 60 + 60))
        return [f"{series} {value(at)} {at.timestamp():.0f}" for at in instants]

    def _early(self, line: str) -> bool:
        return float(line.rsplit(" ", 1)[1]) < self.crossed_at.timestamp()


def _labels(**labels: str) -> str:
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in labels.items()}
    return "{" + ",".join(f'{name}="{value}"' for name, value in quoted.items()) + "}"


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def prometheus(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProgram]:
    folder = tmp_path_factory.mktemp("prometheus")
    with real_prometheus(folder, rules=RULES, metrics=world.open_metrics(), external_labels="cluster: prod-eu1") as running:
        yield running


@pytest.fixture
async def source(prometheus: RunningProgram) -> AsyncIterator[PrometheusSource]:
    source = PrometheusSource(PrometheusClient(PrometheusSettings(url=prometheus.url)), SystemClock())
    yield source
    await source.aclose()


def cart_alert(world: World, expression: str = HIGH_MEMORY, **more: str) -> MemberAlert:
    """cart-0's alert as Alertmanager sends it: with an external label, the rule's severity, and nothing of the limit's labels."""
    labels = {"namespace": "shop", "pod": "cart-0", "container": "cart"} | more
    return an_alert("HighMemory", expression, labels, starts_at=world.starts_at)


async def ask(source: PrometheusSource, incident: Incident, kind: str, now: datetime) -> Evidence:
    query = next(query for query in source.plan(incident, now) if query.kind == kind)
    return await source.fetch(query, incident)


def series_of(evidence: Evidence) -> list[MetricSeries]:
    return [item for item in evidence.data if isinstance(item, MetricSeries)]


def fact_of(evidence: Evidence) -> Fact:
    return next(item for item in evidence.data if isinstance(item, Fact))


async def test_exactly_the_alerting_pod_comes_back_with_threshold_and_crossing_time(source: PrometheusSource, world: World) -> None:
    evidence = await ask(source, an_incident(cart_alert(world)), "value", world.now)
    assert [series.labels["pod"] for series in series_of(evidence)] == ["cart-0"]
    values = fact_of(evidence).values
    assert values["current"] == pytest.approx(0.95)
    assert (values["threshold"], values["op"], values["breaching"]) == (0.9, ">", True)
    crossed = parse_instant(values["crossed_at"])
    assert crossed is not None
    assert timedelta(0) <= crossed - world.crossed_at <= timedelta(seconds=30)
    assert values["first"] == values["minimum"] == values["hour_ago"] == pytest.approx(0.42)
    assert evidence.summary.startswith("value is 95 % (threshold > 90 %, crossed ")
    assert evidence.summary.endswith("before the alert), was 42 % one hour ago")
    assert 'pod="cart-0"' in evidence.query.expression
    assert "cluster" not in evidence.query.expression
    assert "severity" not in evidence.query.expression


async def test_the_expression_that_is_shown_gives_the_same_series_when_it_is_pasted(source: PrometheusSource, world: World) -> None:
    evidence = await ask(source, an_incident(cart_alert(world)), "value", world.now)
    client = source._client
    answer = await client.query(evidence.query.expression, at=world.now)
    assert [series.labels["pod"] for series in answer.series] == ["cart-0"]


async def test_a_hostile_label_value_finds_its_own_series_and_no_other(source: PrometheusSource, world: World) -> None:
    expression = "container_memory_working_set_bytes > 200e6"
    evidence = await ask(source, an_incident(cart_alert(world, expression, node=HOSTILE)), "value", world.now)
    assert [series.labels["node"] for series in series_of(evidence)] == [HOSTILE]
    assert evidence.summary.startswith("value is 243 MiB (threshold > 191 MiB")


async def test_a_share_of_a_total_keeps_its_meaning(source: PrometheusSource, world: World) -> None:
    # Matchers inside would make the total that of the namespace, and the share always one.
    alert = an_alert("Share", SHARE, {"namespace": "shop"}, starts_at=world.starts_at)
    evidence = await ask(source, an_incident(alert), "value", world.now)
    assert [series.labels for series in series_of(evidence)] == [{"namespace": "shop"}]
    total = (0.95 + 0.42) * LIMIT
    assert fact_of(evidence).values["current"] == pytest.approx(total / (total + 60 * MIB))
    assert ") and on(namespace) label_replace(" in evidence.query.expression


async def test_a_threshold_that_is_a_series_is_measured_too(source: PrometheusSource, world: World) -> None:
    incident = an_incident(an_alert("Replicas", REPLICAS, CART, starts_at=world.starts_at))
    value = await ask(source, incident, "value", world.now)
    assert [series.labels["deployment"] for series in series_of(value)] == ["cart"]
    assert fact_of(value).values["threshold"] == 2
    crossed = parse_instant(fact_of(value).values["crossed_at"])
    assert crossed is not None
    assert timedelta(0) <= crossed - world.crossed_at <= timedelta(seconds=30)
    threshold = await ask(source, incident, "threshold", world.now)
    assert [series.labels["deployment"] for series in series_of(threshold)] == ["cart"]
    assert fact_of(threshold).values["current"] == 2


async def test_of_several_ways_to_fire_the_one_that_did_is_shown(source: PrometheusSource, world: World) -> None:
    incident = an_incident(an_alert("Either", EITHER, CART, starts_at=world.starts_at))
    evidence = await ask(source, incident, "value", world.now)
    assert evidence.query.expression.startswith("kube_deployment_status_replicas_available")
    assert (fact_of(evidence).values["current"], fact_of(evidence).values["op"]) == (1, "==")


async def test_what_is_absent_is_shown_as_it_was_while_it_was_there(source: PrometheusSource, world: World) -> None:
    evidence = await ask(source, an_incident(an_alert("Absent", ABSENT, {"job": "billing"}, starts_at=world.starts_at)), "value", world.now)
    assert [series.labels["instance"] for series in series_of(evidence)] == ["billing:9090"]
    fact = fact_of(evidence)
    assert fact.values["present"] is False
    assert evidence.summary.startswith('no series matches up{job="billing"} since ')


async def test_an_inner_filter_stays_and_its_holes_mean_that_all_was_well(source: PrometheusSource, world: World) -> None:
    alert = an_alert("Filtered", FILTERED, {"namespace": "shop"}, starts_at=world.starts_at)
    evidence = await ask(source, an_incident(alert), "value", world.now)
    crossed = parse_instant(fact_of(evidence).values["crossed_at"])
    assert crossed is not None
    assert abs(crossed - world.crossed_at) <= timedelta(seconds=30)


async def test_an_alert_that_is_over_is_still_found_at_its_start(source: PrometheusSource, world: World) -> None:
    over = an_alert("Full", "kube_deployment_status_replicas_available == 2", CART, starts_at=world.now - timedelta(minutes=50))
    evidence = await ask(source, an_incident(over), "value", world.now)
    assert [series.labels["deployment"] for series in series_of(evidence)] == ["cart"]
    assert fact_of(evidence).values["breaching"] is False
    assert "back since" in evidence.summary


async def test_without_an_expression_the_rule_of_that_name_is_used(source: PrometheusSource, world: World) -> None:
    evidence = await ask(source, an_incident(cart_alert(world, "")), "value", world.now)
    assert [series.labels["pod"] for series in series_of(evidence)] == ["cart-0"]
    assert evidence.query.language == "promql"


async def test_the_rule_and_the_true_onset_are_known(source: PrometheusSource, prometheus: RunningProgram, world: World) -> None:
    # After the second evaluation, in which a rule whose result could not be written down would be ill.
    async with asyncio.timeout(30):
        seen = {await asyncio.to_thread(last_evaluation, prometheus.url)}
        while len(seen) < 3:
            await asyncio.sleep(0.2)  # another process: there is no event to wait for
            seen.add(await asyncio.to_thread(last_evaluation, prometheus.url))
    incident = an_incident(cart_alert(world))
    rule = fact_of(await ask(source, incident, "rule", world.now)).values
    assert (rule["for_seconds"], rule["health"], rule["severity"]) == (600, "ok", "warning")
    active = fact_of(await ask(source, incident, "active", world.now)).values
    assert active["state"] == "pending"  # the program has only just been started
    assert active["value"] == pytest.approx(0.95)
    assert parse_instant(active["active_at"]) is not None


def last_evaluation(url: str) -> str:
    with urllib.request.urlopen(f"{url}/api/v1/rules", timeout=10) as answer:
        return str(json.load(answer)["data"]["groups"][0]["lastEvaluation"])


async def test_everything_is_gathered_well_within_the_deadline(source: PrometheusSource, world: World) -> None:
    evidence = await gather(an_incident(cart_alert(world)), [source], clock=SystemClock(), deadline=timedelta(seconds=5))
    assert evidence.gaps == ()
    assert [item.query.kind for item in evidence.items] == ["value", "active", "rule", *KINDS]
    assert max(item.took for item in evidence.items) < timedelta(seconds=2)


async def test_a_playbook_s_queries_say_what_they_return_here(source: PrometheusSource, world: World) -> None:
    texts = (
        'container_memory_working_set_bytes{namespace="$namespace",pod="$pod"}',
        'max by (pod) (container_memory_working_set_bytes{namespace="$namespace"})',
        "kube_deployment_spec_replicas > 5",
        "sum(rate(nobody_has_this_total[5m]))",
        "max(kube_deployment_spec_replicas[5m])",
        "sum by (",
    )
    queries = tuple(PlaybookQuery(language="promql", text=text, why="Why.") for text in texts)
    playbook = replace(load_playbooks()[-1], queries=queries)
    found = await gather(an_incident(cart_alert(world)), [source], clock=SystemClock(), deadline=timedelta(seconds=5), playbook=playbook)
    answers = [item.summary for item in found.items if item.query.kind == SUGGESTED]
    assert answers == [f"node={HOSTILE}, severity=odd: 243 MiB", "pod=cart-0: 243 MiB; pod=cart-1: 108 MiB", "nothing: no series is like this now"]
    gaps = [gap for gap in found.gaps if gap.query.kind == SUGGESTED]
    assert [gap.reason for gap in gaps] == ["no_metric", "not_promql", "not_promql"]
    assert gaps[0].detail == "Prometheus has no metric nobody_has_this_total."


async def test_a_target_that_is_scraped_no_more_counts_as_down(source: PrometheusSource, world: World) -> None:
    incident = an_incident(an_alert("Absent", ABSENT, {"job": "billing"}, starts_at=world.starts_at))
    evidence = await ask(source, incident, "up", world.now)
    assert fact_of(evidence).values["down"] == 1
    assert evidence.summary.startswith("1 of 1 target down; billing:9090 not scraped since ")
    targets = await ask(source, incident, "targets", world.now)
    assert (targets.data, targets.summary) == ((), "Prometheus has no such target in its configuration now")


async def test_a_target_that_refuses_is_named_with_its_error(tmp_path: Path, world: World) -> None:
    scrape = f"- job_name: api\n  static_configs: [{{targets: ['{refuse().removeprefix('http://')}']}}]"
    rules = "groups: [{name: up, rules: [{alert: TargetDown, expr: up == 0}]}]"
    with real_prometheus(tmp_path, rules=rules, scrape_configs=scrape) as running:
        source = PrometheusSource(PrometheusClient(PrometheusSettings(url=running.url)), SystemClock())
        incident = an_incident(an_alert("TargetDown", "up == 0", {"job": "api"}, starts_at=datetime.now(UTC)))
        async with contextlib.aclosing(source), asyncio.timeout(20):
            evidence = await ask(source, incident, "targets", datetime.now(UTC))
            while "connection refused" not in evidence.summary:
                await asyncio.sleep(0.1)  # until the program's first scrape: there is no event to wait for
                evidence = await ask(source, incident, "targets", datetime.now(UTC))
    assert evidence.summary.startswith("1 of 1 target down; 127.0.0.1:")


async def test_the_check_names_the_version(source: PrometheusSource) -> None:
    health = await source.check(timedelta(seconds=5))
    assert health.state == "ok"
    assert health.reason.startswith("Prometheus 2.")
