"""Looking around: what is asked, how much, and what becomes of answers that are late, refused or strange. Meaning: test_real_exploration."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Change, Dependency, Evidence, Fact, MetricSeries, Query
from agent_sre.evidence.gather import Circuits, gather
from agent_sre.evidence.prometheus import changed
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.discovery import KEPT, Ground, ground_of
from agent_sre.evidence.prometheus.explore import CALLS, KINDS, MAX_CALLS, MAX_POINTS, wide_window
from agent_sre.evidence.prometheus.signals import Seen
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock, SystemClock
from agent_sre.kit.errors import AgentSREError, Rejected, Unavailable
from evidence.builders import NOW, an_alert, an_incident
from fakes.prometheus import FakePrometheus, FakeSeries

POD = {"namespace": "shop", "pod": "cart-0"}
RULE = "memory_bytes > 200"
TOPK, COUNT = r"^topk by\(__name__\)", r"^count by\(__name__\)"


@pytest.fixture
async def prometheus() -> AsyncIterator[FakePrometheus]:
    async with FakePrometheus() as fake:
        fake.labels = ["namespace", "pod"]
        yield fake


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
async def source(prometheus: FakePrometheus, clock: FakeClock) -> AsyncIterator[PrometheusSource]:
    async with contextlib.aclosing(at(prometheus, clock=clock)) as source:
        yield source


def at(fake: FakePrometheus, *, patience: float = 5, clock: FakeClock | None = None) -> PrometheusSource:
    settings = PrometheusSettings(url=fake.url, external_url="https://prom.example.org")
    return PrometheusSource(PrometheusClient(settings), clock or FakeClock(NOW), patience=timedelta(seconds=patience))


def cart(expression: str = RULE, **labels: str) -> Incident:
    return an_incident(an_alert("HighMemory", expression, POD | labels))


async def ask(source: PrometheusSource, incident: Incident, kind: str) -> Evidence:
    query = next(query for query in source.plan(incident, NOW) if query.kind == kind)
    return await source.fetch(replace(query, id="E05"), incident)


def series_of(evidence: Evidence) -> list[MetricSeries]:
    return [item for item in evidence.data if isinstance(item, MetricSeries)]


def facts_of(evidence: Evidence, name: str) -> list[Fact]:
    return [item for item in evidence.data if isinstance(item, Fact) and item.name == name]


def has(fake: FakePrometheus, *metrics: str, **labels: str) -> None:
    """These metrics are there, with one sample series each."""
    fake.metrics += metrics
    fake.answer_like(TOPK, *(FakeSeries({"__name__": name, **POD, **labels}, 1) for name in fake.metrics))


def jumped(at: float) -> float:
    return 90.0 if at >= NOW.timestamp() - 360 else 10.0


# The window, and where to look


_YEAR_2 = datetime(2, 1, 1, tzinfo=UTC)


@given(
    starts_at=st.timedeltas(timedelta(0), timedelta(days=365 * 9000)).map(lambda age: _YEAR_2 + age),
    now=st.timedeltas(timedelta(0), timedelta(days=7000)).map(lambda age: NOW + age),
)
def test_the_wide_window_has_four_hours_of_history_and_no_more_than_a_day(starts_at: datetime, now: datetime) -> None:
    window = wide_window(starts_at, now)
    points = (window.end - window.start) / window.step + 1
    assert 2 <= points <= MAX_POINTS
    assert points == int(points)
    assert window.end == now.replace(microsecond=0)
    assert timedelta(hours=4) <= window.end - window.start <= timedelta(hours=24, minutes=10)


def test_the_neighbourhood_is_the_namespace_else_the_machines_else_the_job_else_whatever_shares_the_label() -> None:
    assert ground_of(Subject(kind="Pod", name="a", namespace="shop"), {}) == Ground(namespace="shop")
    assert ground_of(Subject(kind="Node", name="n1"), {"job": "node-exporter"}).matchers[0].name == "instance"
    assert ground_of(Subject(kind="Component", name="kube-apiserver"), {"job": "apiserver"}).text == "job=apiserver"
    assert ground_of(Subject(kind="Component", name="pay"), {"component": "pay"}).text == "component!="
    assert ground_of(Subject(kind="Alert", name="x"), {"job": "y"}) == Ground()


async def test_an_alert_that_names_nothing_asks_nothing(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    evidence = await ask(source, an_incident(an_alert("Odd", "x > 1")), "latency")
    assert (evidence.data, evidence.summary) == ((), "the alert names no namespace, node, job or service to look around in")
    assert prometheus.requests == []


# What is asked


async def test_only_metrics_that_are_there_are_asked_for(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    assert (await ask(source, cart(), "latency")).summary == "no metric of latency in namespace shop"
    assert [request.path for request in prometheus.requests] == ["/api/v1/labels", "/api/v1/label/__name__/values"]
    assert prometheus.requests[1].form["match[]"] == '{namespace="shop"}'
    assert float(prometheus.requests[1].form["end"]) == NOW.timestamp()


async def test_what_is_there_is_found_once_for_all_questions_and_again_after_a_while(
    source: PrometheusSource, prometheus: FakePrometheus, clock: FakeClock
) -> None:
    has(prometheus, "http_requests_total", code="200")
    incident = cart()
    await asyncio.gather(*(ask(source, incident, kind) for kind in ("traffic", "errors", "latency", "cpu", "memory")))
    names = [request for request in prometheus.requests if request.path.endswith("__name__/values")]
    assert len(names) == 1
    clock.advance(KEPT + timedelta(seconds=1))
    await ask(source, incident, "traffic")
    assert len([request for request in prometheus.requests if request.path.endswith("__name__/values")]) == 2


async def test_the_label_that_carries_the_namespace_is_read_off_the_server(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.labels = ["exported_namespace", "k8s_namespace_name", "destination_workload_namespace"]
    await ask(source, cart(), "latency")
    assert prometheus.requests[1].form["match[]"] == '{destination_workload_namespace="shop"}'  # the last of three: the fake keeps one


async def test_a_server_without_metadata_pages_is_asked_by_queries(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    for path in ("/api/v1/labels", "/api/v1/label/__name__/values"):
        prometheus.faults[path] = "404-html"
    prometheus.answer('count by(__name__) ({namespace="shop"})', FakeSeries({"__name__": "http_requests_total"}, 5))
    has(prometheus, "http_requests_total")
    prometheus.answer_like("http_requests_total", FakeSeries(POD, jumped))
    assert (await ask(source, cart(), "traffic")).summary.startswith("request rate of cart-0 is 90/s (was 10/s)")


async def test_no_question_makes_more_calls_than_it_may(prometheus: FakePrometheus) -> None:
    prometheus.labels = ["exported_namespace", "namespace", "destination_workload_namespace", "source_workload_namespace"]
    pair = {"source_workload": "a", "destination_workload": "b", "code": "500", "client": "x", "server": "y"}
    names = [
        "http_requests_total", "istio_request_duration_milliseconds_bucket", "container_memory_working_set_bytes", "kube_pod_info",
        "container_cpu_usage_seconds_total", "container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total",
        "container_network_receive_bytes_total", "kubelet_volume_stats_used_bytes", "kubelet_volume_stats_capacity_bytes",
        "kube_pod_container_status_restarts_total", "kube_pod_container_resource_limits", "kube_pod_status_phase", "kube_deployment_spec_replicas",
        "a_errors_total", "b_client_latency_seconds",
    ]  # fmt: skip
    has(prometheus, *names, **pair)
    prometheus.answer_like("memory", *(FakeSeries({**POD, "pod": f"cart-{number}"}, number) for number in range(50)))
    incident = cart("a_bytes < b_bytes or c_bytes > 3 or memory_bytes > 200 or d > 1")
    async with contextlib.aclosing(at(prometheus)) as source:
        before = 0
        for kind in KINDS:
            with contextlib.suppress(Rejected):
                await ask(source, incident, kind)
            allowed = CALLS[kind] + (10 if kind == KINDS[0] else 0)  # the first one looks what there is
            assert len(prometheus.requests) - before <= allowed, kind
            before = len(prometheus.requests)
    assert len(prometheus.requests) <= MAX_CALLS
    for expression in prometheus.expressions:
        promql_parser.parse(expression)


async def test_a_hostile_namespace_is_one_value_of_one_matcher(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    hostile = 'x"} or up{a="\n\\`$1\ufffd'
    prometheus.metrics = ["http_requests_total"]
    prometheus.answer_like(TOPK, FakeSeries({"__name__": "http_requests_total", "namespace": hostile, "pod": "cart-0"}, 1))
    await ask(source, cart(namespace=hostile), "traffic")
    asked = prometheus.expressions[-1]
    found: list[str] = []

    def visit(node: object) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.extend(matcher.value for matcher in node.matchers.matchers)
        return True

    promql_parser.walk(promql_parser.parse(asked), pre_visit=visit)
    assert found == [hostile.strip()]


# What becomes of the answers


async def test_the_subject_comes_first_and_then_whoever_moved_most(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    has(prometheus, "http_requests_total")
    others = [FakeSeries({**POD, "pod": f"web-{number}"}, 5) for number in range(60)]
    prometheus.answer_like("http_requests_total", *others, FakeSeries({**POD, "pod": "db-0"}, jumped), FakeSeries(POD, 7))
    evidence = await ask(source, cart(), "traffic")
    assert [series.labels["pod"] for series in series_of(evidence)][:2] == ["cart-0", "db-0"]
    assert len(series_of(evidence)) == 40
    assert evidence.truncated
    assert evidence.summary == "request rate of cart-0 is 7/s (was 7/s); most unusual of 61 neighbours: db-0 is 90/s (was 10/s)"
    assert {series.labels["__name__"] for series in series_of(evidence)} == {"http_requests_total"}
    (fact,) = facts_of(evidence, "signal")
    assert (fact.values["signal"], fact.values["unit"], fact.values["current"], fact.values["before"]) == ("traffic", "per_second", 7, 7)
    assert evidence.query.language == "promql"
    assert evidence.url.startswith("https://prom.example.org/graph?g0.expr=sum")


async def test_a_part_that_is_refused_is_told_beside_the_part_that_came(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    has(prometheus, "http_requests_total", code="200")
    prometheus.metrics.append("shop_errors_total")
    prometheus.answer_like("http_requests_total", FakeSeries(POD, 7))
    prometheus.warnings = ["store gateway is down"]
    evidence = await ask(source, cart(), "traffic")
    assert evidence.summary.endswith("(Prometheus warns that the answer is incomplete)")
    assert [fact.text for fact in facts_of(evidence, "warning")] == ["store gateway is down"]


@pytest.mark.parametrize("fault", ["400", "422", "429", "503", "garbage", "wrong-types", "truncated"])
async def test_a_question_of_which_nothing_came_is_one_of_our_errors(fault: str, prometheus: FakePrometheus) -> None:
    has(prometheus, "http_requests_total")
    prometheus.faults["/api/v1/query_range"] = fault
    async with contextlib.aclosing(at(prometheus)) as source:
        with pytest.raises(AgentSREError):
            await ask(source, cart(), "traffic")


async def test_a_late_answer_is_not_held_against_the_questions_that_matter_more(prometheus: FakePrometheus) -> None:
    has(prometheus, "http_requests_total")
    prometheus.faults["/api/v1/query_range"] = "hang"
    circuits = Circuits(SystemClock(), failures=1)
    async with contextlib.aclosing(at(prometheus, patience=0.05)) as source:
        with pytest.raises(Unavailable) as caught:
            await ask(source, cart(), "traffic")
        assert caught.value.reason == "late"
        found = await gather(cart(), [_Only(source, "traffic")], clock=SystemClock(), deadline=timedelta(seconds=3), circuits=circuits)
    assert [gap.reason for gap in found.gaps] == ["late"]
    assert circuits.resting("prometheus") is None


class _Only:
    """One kind of a source."""

    name = "prometheus"

    def __init__(self, source: PrometheusSource, kind: str) -> None:
        self._source, self._kind = source, kind

    def plan(self, incident: Incident, now: datetime) -> list[Query]:
        return [query for query in self._source.plan(incident, NOW) if query.kind == self._kind]

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        return await self._source.fetch(query, incident)


async def test_what_was_being_looked_up_when_the_time_ran_out_is_there_for_the_next_one(prometheus: FakePrometheus) -> None:
    has(prometheus, "http_requests_total")
    prometheus.answer_like("http_requests_total", FakeSeries(POD, 7))
    prometheus.faults["/api/v1/labels"] = "hang"
    async with contextlib.aclosing(at(prometheus, patience=0.05)) as source:
        with pytest.raises(Unavailable):
            await ask(source, cart(), "traffic")
        with pytest.raises(Unavailable):
            await ask(source, cart(), "errors")
        assert len(prometheus.requests) == 1  # the second question waited for the first one's call
    # Closing ends it: nothing runs on.


async def test_calls_become_edges_with_a_side_each(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    ends = {"source_workload": "front", "destination_workload": "cart", "source_workload_namespace": "shop", "destination_workload_namespace": "shop"}
    prometheus.labels = ["namespace", "destination_workload_namespace"]
    has(prometheus, "istio_request_duration_milliseconds_bucket", **ends, reporter="source")
    prometheus.answer_like(
        "histogram_quantile",
        FakeSeries({**ends, "reporter": "source"}, jumped),
        FakeSeries({**ends, "reporter": "destination"}, 10),
        FakeSeries({**ends, "source_workload": "unknown", "reporter": "source"}, 10),
    )
    evidence = await ask(source, cart(), "dependencies")
    assert [item for item in evidence.data if isinstance(item, Dependency)] == [Dependency(source="front", destination="cart", via="mesh")]
    (fact,) = facts_of(evidence, "edge")
    assert (fact.values["latency_source"], fact.values["latency_source_before"], fact.values["latency_destination"]) == (90, 10, 10)
    assert len(series_of(evidence)) == 2


async def test_a_rule_over_a_sum_is_split_by_whoever_is_in_it(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    expression = "sum(rate(errors_total[5m])) > 5"
    prometheus.answer(expression, FakeSeries({}, 9))
    prometheus.answer("sum(rate(errors_total[5m]))", FakeSeries({}, 9))
    prometheus.answer_like(r"^sum by\(.*rate\(errors_total\[5m\]\)", *(FakeSeries({"pod": f"cart-{n}"}, 8 if n == 0 else 0.3) for n in range(4)))
    evidence = await ask(source, cart(expression), "siblings")
    assert evidence.summary.startswith("cart-0 is the odd one out: 8/s, the median of the 3 others is 0.3/s")
    assert facts_of(evidence, "metrics")[0].text == "the rule reads errors_total"
    assert facts_of(evidence, "siblings")[0].values["odd_one_out"] is True


async def test_of_many_siblings_the_farthest_are_drawn_and_the_number_of_all_is_told(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    pods = [FakeSeries({"pod": f"cart-{n}", "namespace": "shop"}, 300.0 if n == 0 else 100 + n) for n in range(200)]
    prometheus.answer(RULE, pods[0])
    prometheus.answer_like(r"\) and on\(pod\) \(label_replace", *pods[:1], *pods[181:])
    prometheus.answer_like("^memory_bytes", *pods)
    prometheus.answer_like(r"^\(memory_bytes\)", *pods)
    evidence = await ask(source, cart(), "siblings")
    assert len(series_of(evidence)) == 20
    assert evidence.truncated
    assert evidence.summary.endswith("100 of 200 break the threshold; 20 of 200 shown")
    assert len(facts_of(evidence, "sibling")) == 20


async def test_of_a_crowd_only_those_that_moved_are_asked_for_whole_curves(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    has(prometheus, "http_requests_total")
    prometheus.answer_like(COUNT, FakeSeries({"__name__": "http_requests_total"}, 300))
    crowd = [FakeSeries({**POD, "pod": f"web-{number}"}, 5) for number in range(100)]
    moved = FakeSeries({**POD, "pod": "db-0"}, jumped)
    prometheus.answer_like(r'pod=~".*db-0', moved, FakeSeries(POD, 7), *crowd[:38])
    prometheus.answer_like("http_requests_total", *crowd, moved, FakeSeries(POD, 7))
    evidence = await ask(source, cart(), "traffic")
    coarse, fine = [request.form for request in prometheus.requests if request.path == "/api/v1/query_range"]
    points = (float(coarse["end"]) - float(coarse["start"])) / float(coarse["step"]) + 1
    assert points == pytest.approx(13, abs=0.1)
    assert coarse["end"] == fine["end"]
    assert 'pod=~"cart-0|db-0|web-0|' in fine["query"]
    assert fine["query"].count("|") == 39
    assert evidence.summary == "request rate of cart-0 is 7/s (was 7/s); most unusual of 101 neighbours: db-0 is 90/s (was 10/s)"
    assert evidence.truncated


# Changes


async def test_a_rollout_shows_in_metrics_where_nobody_may_look_into_the_cluster(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    has(prometheus, "kube_replicaset_created", "kube_deployment_spec_replicas", "up")
    made = {"cart-7f9c6d5b8c": NOW - timedelta(days=9), "cart-5d4f6c7b8d": NOW - timedelta(minutes=20)}
    sets = [FakeSeries({"__name__": "kube_replicaset_created", "replicaset": name, **POD}, at.timestamp()) for name, at in made.items()]
    prometheus.answer_like("^kube_replicaset_created", *sets)

    def scaled(at: float) -> float:
        return 3 if at < (NOW - timedelta(hours=5)).timestamp() else 6

    prometheus.answer_like(
        "spec_replicas", FakeSeries({"__name__": "kube_deployment_spec_replicas", "deployment": "web", "namespace": "shop"}, scaled)
    )
    found = await ask(source, cart(), "changes")
    assert [item.text for item in found.data if isinstance(item, Change)] == [
        "Deployment shop/cart rolled out: cart-5d4f6c7b8d replaces cart-7f9c6d5b8c",
        "Deployment shop/web was scaled from 3 to 6 replicas",
    ]
    assert found.summary.startswith("2 changes (1 rollout, 1 scale), the last: Deployment shop/cart rolled out")


async def test_changes_are_not_asked_of_metrics_that_are_not_there(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    has(prometheus, "http_requests_total")
    found = await ask(source, cart(), "changes")
    assert (found.data, found.summary) == ((), "no metric in namespace shop tells of rollouts, scaling or versions")
    assert not any("kube_" in expression or "build_info" in expression for expression in prometheus.expressions)


def test_of_a_crowd_only_the_subject_is_asked_for_and_of_nodes_only_this_one() -> None:
    names = {"kube_deployment_spec_replicas", "kube_statefulset_replicas", "kube_pod_container_info", "kube_node_spec_unschedulable", "x_build_info"}
    labels = {"namespace": "shop", "deployment": "cart"}
    seen = {"kube_deployment_spec_replicas": Seen(name="", labels=frozenset(labels), samples=(labels,), series=1_000)}
    asked = changed.queries(names, seen, Ground(namespace="shop"), frozenset({"cart"}))
    assert asked.now == ()
    assert asked.over == (
        '{__name__=~"kube_deployment_spec_replicas",deployment=~"cart",namespace="shop"}',
        '{__name__=~"kube_statefulset_replicas",namespace="shop",statefulset=~"cart"}',
        'kube_pod_container_info{namespace="shop",pod=~"cart(?:-.+)?"}',
        '{__name__=~"x_build_info",namespace="shop"}',
    )
    node = changed.queries(names, seen, Ground(), frozenset({"worker-3"}))
    assert node.over == ('{__name__=~"kube_node_spec_unschedulable",node=~"worker-3",status!~"false|unknown"}',)
    assert changed.queries(names, seen, Ground(), frozenset()) == changed.Asked()
