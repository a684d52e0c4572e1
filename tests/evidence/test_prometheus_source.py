"""What the source asks, and what it makes of answers. What expressions mean is tested with the real program (test_real_prometheus)."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence.evidence import Evidence, Fact, MetricSeries
from agent_sre.evidence.off import NotConfigured
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.explore import KINDS
from agent_sre.evidence.prometheus.source import (
    MAX_POINTS,
    MAX_SERIES,
    PrometheusSource,
    prometheus_source,
    window_of,
)
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock
from agent_sre.kit.errors import Rejected
from evidence.builders import NOW, STARTS_AT, an_alert, an_incident
from fakes.prometheus import FakePrometheus, FakeSeries
from growth import FAR_BELOW_QUADRATIC, growth

POD = {"namespace": "shop", "pod": "cart-0"}
RULE = "memory_bytes > 200"
INJECTED = 'memory_bytes{namespace="shop",pod="cart-0"}'
JOINED = '(memory_bytes) and on(namespace, pod) label_replace(label_replace(vector(1), "namespace", "shop", "", ""), "pod", "cart-0", "", "")'


@pytest.fixture
async def prometheus() -> AsyncIterator[FakePrometheus]:
    async with FakePrometheus() as fake:
        yield fake


@pytest.fixture
async def source(prometheus: FakePrometheus) -> AsyncIterator[PrometheusSource]:
    settings = PrometheusSettings(url=prometheus.url, external_url="https://prom.example.org")
    source = PrometheusSource(PrometheusClient(settings), FakeClock(NOW))
    yield source
    await source.aclose()


def offline() -> PrometheusSource:
    """For `plan`, which asks nobody."""
    return PrometheusSource(PrometheusClient(PrometheusSettings(url="http://prometheus.invalid")), FakeClock(NOW))


def pod_alert(expression: str = RULE) -> Incident:
    return an_incident(an_alert("HighMemory", expression, POD))


async def ask(source: PrometheusSource, incident: Incident, kind: str) -> Evidence:
    query = next(query for query in source.plan(incident, NOW) if query.kind == kind)
    return await source.fetch(replace(query, id="E05"), incident)


def series_of(evidence: Evidence) -> list[MetricSeries]:
    return [item for item in evidence.data if isinstance(item, MetricSeries)]


def fact_of(evidence: Evidence) -> Fact:
    return next(item for item in evidence.data if isinstance(item, Fact))


def rising(at: float) -> float:
    return 250.0 if at >= NOW.timestamp() - 600 else 100.0


# plan


def test_the_value_the_onset_and_the_rule_are_planned() -> None:
    queries = offline().plan(pod_alert(), NOW)
    assert [(query.kind, query.expression, query.language) for query in queries if query.kind not in KINDS] == [
        ("value", "memory_bytes", "promql"),
        ("active", 'active alerts named "HighMemory"', ""),
        ("rule", 'rules named "HighMemory"', ""),
    ]
    assert {query.id for query in queries} == {""}
    assert {query.source for query in queries} == {"prometheus"}


def test_what_is_around_the_lead_alert_is_planned_last_and_cheap_questions_first() -> None:
    queries = offline().plan(an_incident(an_alert("A", "x > 1", POD), an_alert("B", "y > 1", POD)), NOW)
    assert [query.kind for query in queries[-len(KINDS) :]] == list(KINDS)
    assert [query.kind for query in queries].count("siblings") == 1
    latency = next(query for query in queries if query.kind == "latency")
    assert (latency.expression, latency.language) == ("latency of Pod shop/cart-0", "")
    assert latency.purpose == "how long requests take at Pod shop/cart-0 and its neighbours"


def test_a_moving_threshold_is_a_question_of_its_own() -> None:
    queries = offline().plan(pod_alert("ready < desired"), NOW)
    assert [(query.kind, query.expression) for query in queries[:2]] == [("value", "ready"), ("threshold", "desired")]


def test_a_down_target_is_looked_at_but_not_the_exporter_of_another_alert() -> None:
    down = an_incident(an_alert("ApiDown", 'up{job="api"} == 0', {"job": "api", "instance": '10.0.0.1:80"'}))
    kinds = {query.kind: query.expression for query in offline().plan(down, NOW)}
    assert kinds["up"] == 'up{instance="10.0.0.1:80\\"",job="api"}'
    assert "targets" in kinds
    exported = an_incident(an_alert("KubeNodeNotReady", "kube_node_status == 0", {"job": "kube-state-metrics", "node": "a"}))
    assert {query.kind for query in offline().plan(exported, NOW)} == {"value", "active", "rule", *KINDS}
    by_name = an_incident(an_alert("TargetDown", "", {"job": "api"}))
    assert "up" in {query.kind for query in offline().plan(by_name, NOW)}
    no_labels = an_incident(an_alert("TargetDown", "count(up == 0) > 3"))
    assert "up" not in {query.kind for query in offline().plan(no_labels, NOW)}


def test_an_alert_without_an_expression_is_looked_up_by_its_rule() -> None:
    value = offline().plan(pod_alert(""), NOW)[0]
    assert (value.kind, value.expression, value.language) == ("value", 'the expression of the rule "HighMemory"', "")
    assert value.window is not None


def test_the_lead_and_three_more_expressions_are_planned_firing_ones_first() -> None:
    alerts = [an_alert(f"Same{number}", "x > 1", {"pod": str(number)}) for number in range(5)]
    alerts += [an_alert(f"Over{number}", f"y{number} > 1", ends_at=NOW) for number in range(3)]
    alerts += [an_alert("Other", "z > 1"), an_alert("Worst", "w > 1", severity="critical"), an_alert("NoUrl")]
    incident = an_incident(*alerts)
    values = [query.expression for query in offline().plan(incident, NOW) if query.kind == "value"]
    assert values == ["w", "x", "z", 'the expression of the rule "NoUrl"']
    assert "of Worst" in offline().plan(incident, NOW)[0].purpose


def test_the_plan_for_a_storm_is_as_short_as_for_one_alert_and_costs_no_more_than_in_proportion() -> None:
    def storm(alerts: int) -> Incident:
        return an_incident(*(an_alert("HighMemory", RULE, {"pod": str(number)}) for number in range(alerts)))

    assert len(offline().plan(storm(1000), NOW)) == 3 + len(KINDS)
    source = offline()
    assert growth(lambda incident: source.plan(incident, NOW), storm(500), storm(4000)) < FAR_BELOW_QUADRATIC


def test_hostile_names_stay_on_their_line() -> None:
    incident = an_incident(an_alert('x"\nIgnore\x1b[31m all\u202e' + "n" * 500, "", POD))
    for query in offline().plan(incident, NOW):
        assert "\n" not in query.expression
        assert "\x1b" not in query.expression
        assert len(query.expression) < 300


def test_the_window_begins_before_any_likely_onset_and_ends_now() -> None:
    window = window_of(STARTS_AT, NOW)
    assert window.end == NOW
    assert window.start <= STARTS_AT - timedelta(hours=1)
    assert window.step >= timedelta(seconds=15)


_YEAR_2 = datetime(2, 1, 1, tzinfo=UTC)


@given(
    starts_at=st.timedeltas(timedelta(0), timedelta(days=365 * 9000)).map(lambda age: _YEAR_2 + age),
    now=st.timedeltas(timedelta(0), timedelta(days=7000)).map(lambda age: NOW + age),
)
@settings(deadline=None)
def test_no_sender_can_make_the_window_large(starts_at: datetime, now: datetime) -> None:
    window = window_of(starts_at, now)
    points = (window.end - window.start) / window.step + 1
    assert 2 <= points <= MAX_POINTS
    assert points == int(points)
    assert window.end == now.replace(microsecond=0)
    assert timedelta(hours=1) <= window.end - window.start <= timedelta(days=31)


# value


async def test_the_alerts_own_series_is_found_by_running_the_rule_first(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.answer(RULE, FakeSeries(POD | {"node": "n1"}, rising), FakeSeries(POD | {"pod": "web-0"}, 300))
    prometheus.answer(INJECTED, FakeSeries(POD | {"node": "n1"}, rising))
    prometheus.answer(JOINED, FakeSeries(POD | {"node": "n1"}, rising))
    evidence = await ask(source, pod_alert(), "value")
    assert [series.labels for series in series_of(evidence)] == [POD | {"node": "n1"}]
    assert evidence.query.expression == INJECTED
    assert evidence.id == "E05"
    assert evidence.summary == "value is 250 B (threshold > 200 B, crossed 06:35:00Z, 6 min 10 s before the alert), was 100 B one hour ago"
    assert evidence.url.startswith("https://prom.example.org/graph?g0.expr=memory_bytes%7B")
    assert prometheus.expressions == [RULE, RULE, INJECTED, JOINED, INJECTED]
    assert all("prometheus.invalid" not in str(request) for request in prometheus.requests)


async def test_labels_that_only_the_alert_has_are_never_matched(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    # cluster is an external label, severity the rule's; the series has a severity of its own, which the rule overrides.
    prometheus.answer(RULE, FakeSeries({"pod": "cart-0", "severity": "odd"}, 300))
    await ask(source, pod_alert(), "value")
    restricted = [expression for expression in prometheus.expressions if expression not in (RULE, "memory_bytes")]
    assert restricted
    assert all("cluster" not in expression and "severity" not in expression for expression in restricted)


async def test_matchers_that_change_the_meaning_lose_against_the_join(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.answer(RULE, FakeSeries(POD, 300))
    prometheus.answer(INJECTED, FakeSeries(POD, 1))
    prometheus.answer(JOINED, FakeSeries(POD, 300))
    assert (await ask(source, pod_alert(), "value")).query.expression == JOINED
    prometheus.answer(INJECTED)
    assert (await ask(source, pod_alert(), "value")).query.expression == JOINED
    prometheus.answer(INJECTED, FakeSeries(POD, math.nan))
    prometheus.answer(JOINED, FakeSeries(POD, math.nan))
    assert (await ask(source, pod_alert(), "value")).query.expression == INJECTED


async def test_sums_in_another_order_are_the_same_value(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.answer(RULE, FakeSeries(POD, 300))
    prometheus.answer(INJECTED, FakeSeries(POD, 0.1 + 0.2 + 0.3))
    prometheus.answer(JOINED, FakeSeries(POD, 0.3 + 0.2 + 0.1))
    assert (await ask(source, pod_alert(), "value")).query.expression == INJECTED


async def test_an_alert_that_is_over_is_found_at_its_start(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.answer(RULE, FakeSeries(POD, lambda at: 300 if at <= STARTS_AT.timestamp() else None))
    prometheus.answer(INJECTED, FakeSeries(POD, lambda at: 300 if at <= STARTS_AT.timestamp() else 50))
    prometheus.answer(JOINED, FakeSeries(POD, lambda at: 300 if at <= STARTS_AT.timestamp() else 50))
    evidence = await ask(source, pod_alert(), "value")
    assert "back since" in evidence.summary
    assert fact_of(evidence).values["breaching"] is False


async def test_where_the_rule_returns_nothing_the_value_itself_is_asked_for(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.answer("memory_bytes", FakeSeries(POD, 50), FakeSeries(POD | {"pod": "web-0"}, 300))
    prometheus.answer(INJECTED, FakeSeries(POD, 50))
    prometheus.answer(JOINED, FakeSeries(POD, 50))
    evidence = await ask(source, pod_alert(), "value")
    assert [series.labels for series in series_of(evidence)] == [POD]
    assert "not crossed in this time" in evidence.summary


async def test_nothing_found_is_an_answer(source: PrometheusSource) -> None:
    evidence = await ask(source, pod_alert(), "value")
    assert evidence.data == ()
    assert evidence.summary == "no series since 05:41:00Z: the expression finds nothing here"


async def test_series_that_contradict_the_alert_are_dropped(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.answer("memory_bytes", FakeSeries({"pod": "web-0"}, 300), FakeSeries({"pod": "web-1"}, 300))
    evidence = await ask(source, pod_alert(), "value")
    assert series_of(evidence) == []
    assert evidence.summary == "2 series, none of which fits the alert's labels"


async def test_series_and_points_are_bounded_and_finite(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    value = [math.nan, math.inf, 1.0]
    many = [FakeSeries(POD | {"cpu": str(number)}, lambda at: value[int(at) % 3]) for number in range(30)]
    for expression in (RULE, INJECTED, JOINED):
        prometheus.answer(expression, *many)
    evidence = await ask(source, pod_alert(), "value")
    assert len(series_of(evidence)) == MAX_SERIES
    assert evidence.truncated
    assert "29 more series" in evidence.summary
    for series in series_of(evidence):
        assert len(series.points) <= MAX_POINTS
        assert all(math.isfinite(number) for _, number in series.points)


async def test_an_incomplete_answer_says_so(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.warnings = ["store gateway is down"]
    evidence = await ask(source, pod_alert(), "value")
    assert evidence.summary.endswith("(Prometheus warns that the answer is incomplete)")
    assert [item.text for item in evidence.data if isinstance(item, Fact)] == ["store gateway is down"]


async def test_a_moving_threshold_gives_its_number_and_the_crossing(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    matched = '{namespace="shop",pod="cart-0"}'
    join = JOINED.removeprefix("(memory_bytes)")
    for expression in ("ready < desired", "ready", f"ready{matched}", f"(ready){join}"):
        prometheus.answer(expression, FakeSeries(POD, 2))
    for expression in (f"desired{matched}", f"(desired){join}"):
        prometheus.answer(expression, FakeSeries(POD, lambda at: 3 if at >= NOW.timestamp() - 600 else 2))
    evidence = await ask(source, pod_alert("ready < desired"), "value")
    values = fact_of(evidence).values
    assert (values["current"], values["threshold"], values["op"], values["breaching"]) == (2, 3, "<", True)
    threshold = await ask(source, pod_alert("ready < desired"), "threshold")
    assert threshold.summary == "it fires while the value is < 3, between 2 and 3 in this time"
    assert threshold.query.expression == f"desired{matched}"


async def test_an_expression_that_we_cannot_read_runs_as_it_stands(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    text = "holt_winters(memory_bytes[5m], 0.5, 0.5) > 1"
    prometheus.answer(text, FakeSeries(POD, lambda at: 5 if at >= NOW.timestamp() - 600 else None), FakeSeries({"pod": "web-0"}, 9))
    evidence = await ask(source, pod_alert(text), "value")
    assert set(prometheus.expressions) == {text}
    assert [series.labels for series in series_of(evidence)] == [POD]
    assert evidence.summary.startswith("value is 5 (present since 06:35:00Z")


async def test_the_rules_expression_serves_where_the_alert_has_none(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.rule("HighMemory", "other > 1", labels={"severity": "critical"})
    prometheus.rule("HighMemory", RULE, labels={"severity": "warning"})
    for expression in (RULE, INJECTED, JOINED):
        prometheus.answer(expression, FakeSeries(POD, 300))
    evidence = await ask(source, pod_alert(""), "value")
    assert (evidence.query.expression, evidence.query.language) == (INJECTED, "promql")


async def test_without_any_expression_the_question_stays_open_with_a_reason(source: PrometheusSource) -> None:
    with pytest.raises(Rejected, match='no rule named "HighMemory"') as caught:
        await ask(source, pod_alert(""), "value")
    assert caught.value.reason == "no_expression"


# active, rule


async def test_the_true_onset_comes_from_prometheus(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    labels = POD | {"alertname": "HighMemory", "severity": "warning"}
    prometheus.alerts = [
        {"labels": labels | {"pod": "web-0"}, "state": "firing", "activeAt": "2026-11-23T01:00:00Z", "value": "9"},
        {"labels": labels, "state": "firing", "activeAt": "2026-11-23T06:31:10Z", "value": "250"},
        {"labels": POD | {"alertname": "Other"}, "state": "firing", "activeAt": "2026-11-23T01:00:00Z", "value": "9"},
    ]
    evidence = await ask(source, pod_alert(), "active")
    assert evidence.summary == "true since 06:31:10Z, 10 min before the alert (firing, value 250 B); 1 more of this name"
    values = {"active_at": "2026-11-23T06:31:10.000000Z", "state": "firing", "value": 250.0, "siblings": 1}
    assert fact_of(evidence).values == values


async def test_an_alert_that_prometheus_does_not_know_is_told(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.alerts = [{"labels": {"alertname": "HighMemory", "pod": "web-0"}, "state": "firing"}]
    evidence = await ask(source, pod_alert(), "active")
    assert (evidence.data, evidence.summary) == ((), "Prometheus does not list this alert as active; 1 other alert of this name there")


async def test_the_rule_of_several_with_one_name_is_that_of_the_expression(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.rule("HighMemory", "memory_bytes > 100", duration=60, labels={"severity": "warning"})
    prometheus.rule("HighMemory", "memory_bytes  > 200", duration=900, labels={"severity": "critical"}, health="err", lastError="boom")
    evidence = await ask(source, pod_alert(), "rule")
    assert evidence.summary == "memory_bytes > 200 for 15 min; health err: boom"
    assert fact_of(evidence).values["for_seconds"] == 900
    assert evidence.url == "https://prom.example.org/alerts?search=HighMemory"


async def test_a_rule_that_is_not_there_is_told(source: PrometheusSource) -> None:
    assert (await ask(source, pod_alert(), "rule")).summary == 'Prometheus has no rule named "HighMemory"'


# up, targets


DOWN = 'up{job="api"} == 0'
UP = 'up{job="api"}'


def down_alert() -> Incident:
    return an_incident(an_alert("ApiDown", DOWN, {"job": "api"}))


async def test_targets_that_do_not_answer_come_first(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.answer(
        UP,
        FakeSeries({"job": "api", "instance": "a:80"}, 1),
        FakeSeries({"job": "api", "instance": "b:80"}, lambda at: 0 if at >= NOW.timestamp() - 600 else 1),
        FakeSeries({"job": "api", "instance": "c:80"}, 1),
    )
    evidence = await ask(source, down_alert(), "up")
    assert evidence.summary == "1 of 3 targets down; b:80 down since 06:35:00Z"
    assert series_of(evidence)[0].labels["instance"] == "b:80"
    assert fact_of(evidence).values == {"down": 1, "total": 3, "down_since": "2026-11-23T06:35:00.000000Z"}


async def test_all_targets_up_and_no_target_at_all_are_answers(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    nothing = await ask(source, down_alert(), "up")
    assert (nothing.data, nothing.summary.startswith("no target matches up{job=")) == ((), True)
    prometheus.answer(UP, FakeSeries({"job": "api", "instance": "a:80"}, 1))
    assert (await ask(source, down_alert(), "up")).summary == "0 of 1 target down"


async def test_the_scrape_error_is_the_answer_to_a_down_target(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    error = "Get http://b/metrics: context deadline exceeded, token=abcdefgh\n"
    prometheus.targets = [
        {"labels": {"job": "api", "instance": "a:80"}, "health": "up", "lastError": ""},
        {"labels": {"job": "api", "instance": "b:80"}, "health": "down", "lastError": error, "lastScrape": "2026-11-23T06:44:50Z"},
        {"labels": {"job": "web", "instance": "c:80"}, "health": "down", "lastError": "no"},
    ]
    evidence = await ask(source, down_alert(), "targets")
    assert evidence.summary == "1 of 2 targets down; b:80: Get http://b/metrics: context deadline exceeded, token=<secret>"
    assert [fact.values["instance"] for fact in evidence.data if isinstance(fact, Fact)] == ["b:80", "a:80"]


async def test_a_thousand_targets_are_cut(source: PrometheusSource, prometheus: FakePrometheus) -> None:
    prometheus.targets = [{"labels": {"job": "api", "instance": f"{number}:80"}, "health": "down"} for number in range(1000)]
    evidence = await ask(source, down_alert(), "targets")
    assert (len(evidence.data), evidence.truncated) == (MAX_SERIES, True)


# The source of the settings


def test_without_an_address_the_source_says_what_is_missing() -> None:
    assert isinstance(prometheus_source(PrometheusSettings(), FakeClock()), NotConfigured)
    assert isinstance(prometheus_source(PrometheusSettings(url="http://p"), FakeClock()), PrometheusSource)
