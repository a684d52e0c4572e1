"""Looking around in a small shop on the real program: what is asked must mean what we think it means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from agent_sre.evidence.evidence import Dependency, Evidence, Fact, MetricSeries
from agent_sre.evidence.gather import gather
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.explore import KINDS
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import SystemClock
from evidence.builders import an_alert, an_incident
from evidence.shop import BAD, CART, FRONTEND, MIB, NAMESPACE, Shop
from programs import RunningProgram, real_prometheus

pytestmark = pytest.mark.real

MEMORY = 'container_memory_working_set_bytes{container!=""} > 2e8'
BUSY = 'sum(rate(istio_requests_total{reporter="source"}[5m])) > 5'


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


@pytest.fixture(scope="module")
def prometheus(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProgram]:
    with real_prometheus(tmp_path_factory.mktemp("shop"), metrics=shop.open_metrics()) as running:
        yield running


@pytest.fixture
async def source(prometheus: RunningProgram) -> AsyncIterator[PrometheusSource]:
    source = PrometheusSource(PrometheusClient(PrometheusSettings(url=prometheus.url)), SystemClock(), patience=timedelta(seconds=10))
    yield source
    await source.aclose()


def bad_pod(shop: Shop, expression: str = MEMORY) -> Incident:
    return an_incident(an_alert("HighMemory", expression, {"namespace": NAMESPACE, "pod": BAD, "container": "cart"}, starts_at=shop.starts_at))


async def ask(source: PrometheusSource, incident: Incident, kind: str, shop: Shop) -> Evidence:
    query = next(query for query in source.plan(incident, shop.now) if query.kind == kind)
    return await source.fetch(query, incident)


def series_of(evidence: Evidence) -> list[MetricSeries]:
    return [item for item in evidence.data if isinstance(item, MetricSeries)]


def facts_of(evidence: Evidence, name: str) -> list[Fact]:
    return [item for item in evidence.data if isinstance(item, Fact) and item.name == name]


async def test_every_question_is_answered_with_something(source: PrometheusSource, shop: Shop) -> None:
    found = await gather(bad_pod(shop), [source], clock=SystemClock(), deadline=timedelta(seconds=10))
    assert found.gaps == ()
    nothing = {item.query.kind for item in found.items if item.query.kind in KINDS and not item.data}
    assert nothing == {"network", "changes"}  # the shop has no metric of the one, and nothing was changed in it


async def test_the_bad_pod_is_the_odd_one_out_among_all_pods(source: PrometheusSource, shop: Shop) -> None:
    evidence = await ask(source, bad_pod(shop), "siblings", shop)
    assert evidence.summary == f"{BAD} is the odd one out: 245 MiB, the median of the 4 others is 92 MiB; 1 of 5 break the threshold"
    assert {series.labels["pod"] for series in series_of(evidence)} == {*CART, *FRONTEND}
    assert series_of(evidence)[0].labels["pod"] == BAD
    assert evidence.query.expression == 'container_memory_working_set_bytes{container!="",namespace="shop"}'


async def test_a_sum_without_labels_is_split_into_its_parts(source: PrometheusSource, shop: Shop) -> None:
    incident = an_incident(an_alert("Busy", BUSY, {"namespace": NAMESPACE, "service": "cart"}, starts_at=shop.starts_at))
    evidence = await ask(source, incident, "siblings", shop)
    assert evidence.query.expression.startswith("sum by(")
    assert facts_of(evidence, "metrics")[0].text == "the rule reads istio_requests_total"
    # A Deployment of another namespace has the same name.
    assert evidence.summary == "cart is like its sibling: 10/s, the other has 10/s"
    assert {(series.labels["namespace"], series.labels["destination_workload"]) for series in series_of(evidence)} == {
        (NAMESPACE, "cart"),
        (NAMESPACE, "frontend"),
    }


async def test_each_golden_signal_has_the_subject_with_its_before_and_now(source: PrometheusSource, shop: Shop) -> None:
    expected = {
        "latency": ("istio_request_duration_milliseconds_bucket", "seconds", 0.0096, 0.91),
        "traffic": ("istio_requests_total", "per_second", 10, 10),
        "errors": ("istio_requests_total", "ratio", 0, 0.1),
        "saturation": ("container_cpu_cfs_throttled_periods_total", "ratio", 0.01, 0.8),
        "cpu": ("container_cpu_usage_seconds_total", "", 0.2, 0.9),
        "memory": ("container_memory_working_set_bytes", "bytes", 92 * MIB, 245 * MIB),
    }
    for kind, (metric, unit, before, now) in expected.items():
        evidence = await ask(source, bad_pod(shop), kind, shop)
        fact = facts_of(evidence, "signal")[0]
        assert (fact.values["metric"], fact.values["unit"]) == (metric, unit), kind
        assert fact.values["before"] == pytest.approx(before, rel=0.02, abs=1e-6), kind
        assert fact.values["current"] == pytest.approx(now, rel=0.02), kind
        span = series_of(evidence)[0].points[-1][0] - series_of(evidence)[0].points[0][0]
        assert span >= 4 * 3600, kind
        assert series_of(evidence)[0].labels["__name__"] == metric


async def test_memory_is_put_beside_its_limit_and_a_volume_beside_its_size(source: PrometheusSource, shop: Shop) -> None:
    evidence = await ask(source, bad_pod(shop), "saturation", shop)
    facts = {fact.values["metric"]: fact for fact in facts_of(evidence, "signal")}
    assert facts["container_memory_working_set_bytes"].values["current"] == pytest.approx(245 / 256)
    volume = [series for series in series_of(evidence) if "persistentvolumeclaim" in series.labels]
    assert [series.points[-1][1] for series in volume] == [pytest.approx(0.95)]


async def test_the_neighbours_are_those_of_the_namespace(source: PrometheusSource, shop: Shop) -> None:
    evidence = await ask(source, bad_pod(shop), "cpu", shop)
    assert {series.labels["pod"] for series in series_of(evidence)} == {*CART, *FRONTEND}
    assert all(series.labels["namespace"] == NAMESPACE for series in series_of(evidence))


async def test_the_workload_says_what_kube_state_metrics_knows(source: PrometheusSource, shop: Shop) -> None:
    evidence = await ask(source, bad_pod(shop), "workload", shop)
    assert evidence.summary.startswith(f"Deployment cart has 2 of 3 replicas available; cart of {BAD} waits: CrashLoopBackOff; cart of {BAD} ended")
    assert evidence.summary.endswith("; 2 things are wrong with its neighbours")
    assert facts_of(evidence, "restarts")[0].values["count"] == pytest.approx(6, abs=1)
    assert [fact.values["node"] for fact in facts_of(evidence, "node_condition")] == ["far-away"]
    assert facts_of(evidence, "limit")[0].values["amount"] == 256 * MIB
    available = [series for series in series_of(evidence) if series.labels.get("deployment") == "cart"]
    assert {value for _, value in available[0].points} == {2, 3}


async def test_the_edge_is_slow_at_both_ends_and_edges_elsewhere_are_not_shown(source: PrometheusSource, shop: Shop) -> None:
    evidence = await ask(source, bad_pod(shop), "dependencies", shop)
    assert [(item.source, item.destination, item.via) for item in evidence.data if isinstance(item, Dependency)] == [
        ("frontend", "cart", "mesh"),
        ("ingress", "frontend", "mesh"),
    ]
    values = facts_of(evidence, "edge")[0].values
    assert values["latency_source"] == pytest.approx(0.95, rel=0.02)
    assert values["latency_destination"] == pytest.approx(0.91, rel=0.02)
    assert values["latency_source_before"] == pytest.approx(0.0096, rel=0.02)
    assert values["errors_source"] == pytest.approx(0.1, rel=0.02)
    assert values["errors_destination_before"] == 0
    assert values["traffic_destination"] == pytest.approx(10, rel=0.02)
    sides = {
        (series.labels["__name__"], series.labels["reporter"]) for series in series_of(evidence) if series.labels["source_workload"] == "frontend"
    }
    assert {("istio_request_duration_milliseconds_bucket", side) for side in ("source", "destination")} <= sides
    assert all("other" not in series.labels.values() for series in series_of(evidence))


async def test_a_service_and_a_deployment_find_themselves_by_their_names(source: PrometheusSource, shop: Shop) -> None:
    for labels in ({"service": "cart"}, {"deployment": "cart"}):
        incident = an_incident(an_alert("A", "", {"namespace": NAMESPACE, **labels}, starts_at=shop.starts_at))
        evidence = await ask(source, incident, "errors", shop)
        assert evidence.summary.startswith("share of failed requests of cart is 10 % (was 0 %)")


async def test_every_expression_that_is_shown_gives_the_same_when_it_is_pasted(source: PrometheusSource, shop: Shop) -> None:
    for kind in KINDS:
        evidence = await ask(source, bad_pod(shop), kind, shop)
        if evidence.query.language:
            assert evidence.query.language == "promql"
            assert (await source._client.query(evidence.query.expression, at=shop.now)).series, kind
            assert evidence.url
