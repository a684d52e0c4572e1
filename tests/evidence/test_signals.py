"""What a metric's name says, and the PromQL that reads it. That it means what we think is tested with the real program."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.alert.subject import Subject
from agent_sre.evidence import numbers
from agent_sre.evidence.prometheus import edges, labels, signals, workload
from agent_sre.evidence.prometheus.builder import equals
from agent_sre.evidence.prometheus.signals import Reach, Seen, asks, candidates, classify

REACH = Reach(namespace="shop", matchers=(), window=timedelta(minutes=3), own=frozenset({"cart"}))
POD = {"namespace": "shop", "pod": "cart-0", "container": "cart"}

text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)


def seen(name: str, **labels_: str) -> Seen:
    return Seen(name=name, labels=frozenset(labels_), samples=({"__name__": name, **labels_},), series=10)


def plenty(name: str, **labels_: str) -> Seen:
    return replace(seen(name, **labels_), series=50_000)


def catalogue(*found: Seen) -> dict[str, Seen]:
    return {one.name: one for one in found}


@pytest.mark.parametrize(
    ("name", "signal", "form", "unit"),
    [
        ("istio_requests_total", "traffic", "counter", numbers.PER_SECOND),
        ("istio_request_duration_milliseconds_bucket", "latency", "bucket", numbers.SECONDS),
        ("http_server_request_duration_seconds_bucket", "latency", "bucket", numbers.SECONDS),
        ("http_server_requests_seconds_sum", "latency", "sum", numbers.SECONDS),
        ("http_server_requests_seconds_count", "traffic", "counter", numbers.PER_SECOND),
        ("grpc_server_handled_total", "traffic", "counter", numbers.PER_SECOND),
        ("traces_spanmetrics_calls_total", "traffic", "counter", numbers.PER_SECOND),
        ("traces_service_graph_request_total", "traffic", "counter", numbers.PER_SECOND),
        ("traces_service_graph_request_failed_total", "errors", "counter", numbers.PER_SECOND),
        ("traces_service_graph_request_client_seconds_bucket", "latency", "bucket", numbers.SECONDS),
        ("myapp_http_requests_total", "traffic", "counter", numbers.PER_SECOND),
        ("myapp_payment_errors_total", "errors", "counter", numbers.PER_SECOND),
        ("checkoutLatencyP95_ms", "latency", "gauge", numbers.SECONDS),
        ("service_requests_per_second", "traffic", "gauge", numbers.PER_SECOND),
        ("availability_percent", "errors", "gauge", numbers.PERCENT),
        ("container_cpu_usage_seconds_total", "cpu", "counter", numbers.PLAIN),
        ("container_memory_working_set_bytes", "memory", "gauge", numbers.BYTES),
        ("app_memory_usage_mebibytes", "memory", "gauge", numbers.BYTES),
        ("container_network_receive_bytes_total", "network", "counter", numbers.BYTES_PER_SECOND),
    ],
)
def test_a_name_says_what_is_measured(name: str, signal: str, form: str, unit: str) -> None:
    metric = classify(name)
    assert metric is not None
    assert (metric.signal, metric.form, metric.unit) == (signal, form, unit)


@pytest.mark.parametrize(
    "name",
    [
        "up", "", "go_gc_duration_seconds", "prometheus_http_requests_total", "kube_pod_container_resource_requests", "scrape_duration_seconds",
        "http_requests_in_flight", "http_request_size_bytes_sum", "container_memory_cache", "container_spec_memory_limit_bytes",
        "process_virtual_memory_bytes", "node_memory_Active_bytes", "ALERTS", "build_info",
    ],
)  # fmt: skip
def test_a_name_that_says_something_else_is_left_alone(name: str) -> None:
    assert classify(name) is None


def test_many_metrics_of_one_signal_do_not_squeeze_out_another() -> None:
    names = [f"x{number}_requests_total" for number in range(500)] + ["http_request_duration_seconds_bucket", "traces_service_graph_request_total"]
    kept = candidates(names, 60)
    assert len(kept) <= 60
    assert {"http_request_duration_seconds_bucket", "traces_service_graph_request_total"} <= set(kept)


def test_the_label_that_holds_the_namespace_is_the_one_whose_value_it_is() -> None:
    scraped = seen("http_requests_total", exported_namespace="other", kubernetes_namespace="shop", pod="a")
    (ask,) = asks(signals.TRAFFIC, catalogue(scraped), REACH, 1)
    assert 'kubernetes_namespace="shop"' in ask.expression
    assert "exported_namespace=" not in ask.expression
    foreign = seen("http_requests_total", exported_namespace="other", namespace="shops")
    assert asks(signals.TRAFFIC, catalogue(foreign), REACH, 1) == ()


def test_a_status_label_makes_a_share_of_failures_out_of_a_counter() -> None:
    (ask,) = asks(signals.ERRORS, catalogue(seen("http_requests_total", **POD, code="200")), REACH, 2)
    assert ask.unit == numbers.RATIO
    assert 'code=~"5..' in ask.expression
    assert asks(signals.ERRORS, catalogue(seen("http_requests_total", **POD)), REACH, 2) == ()


def test_a_mesh_is_read_at_the_destination_so_that_nothing_counts_twice() -> None:
    mesh = seen("istio_requests_total", namespace="shop", reporter="destination", source_workload="front", destination_workload="cart", pod="x")
    (ask,) = asks(signals.TRAFFIC, catalogue(mesh), REACH, 1)
    assert 'reporter="destination"' in ask.expression
    assert ask.by == ("destination_workload",)


def test_the_service_side_of_a_wire_and_the_callers_side_are_both_asked_but_no_other_percentile() -> None:
    found = catalogue(*(seen(f"pod_{side}_latency_{p}_seconds", **POD) for side in ("server", "client") for p in ("p50", "p95", "p99")))
    assert [ask.metric for ask in asks(signals.LATENCY, found, REACH, 2)] == ["pod_server_latency_p95_seconds", "pod_client_latency_p95_seconds"]


def test_too_many_series_leave_only_the_subjects_own() -> None:
    (ask,) = asks(signals.TRAFFIC, catalogue(plenty("http_requests_total", **POD)), REACH, 1)
    assert 'pod=~"cart(?:-.+)?"' in ask.expression
    unnamed = plenty("http_requests_total", namespace="shop", path="/")
    assert asks(signals.TRAFFIC, catalogue(unnamed), REACH, 1) == ()


def test_saturation_is_a_share_of_what_there_is() -> None:
    found = catalogue(
        seen("container_cpu_cfs_throttled_periods_total", **POD), seen("container_cpu_cfs_periods_total", **POD),
        seen("container_memory_working_set_bytes", **POD), seen("kube_pod_container_resource_limits", **POD, resource="memory"),
        seen("kubelet_volume_stats_used_bytes", namespace="shop", persistentvolumeclaim="data"),
        seen("kubelet_volume_stats_capacity_bytes", namespace="shop", persistentvolumeclaim="data"),
    )  # fmt: skip
    assert {(ask.what, ask.unit) for ask in asks(signals.SATURATION, found, REACH, 4)} == {
        ("share of CPU periods throttled", numbers.RATIO), ("share of the memory limit", numbers.RATIO), ("fill of the volume", numbers.RATIO),
    }  # fmt: skip
    # Scraped with the exporter's own pod as `pod`, the limits cannot be put beside the use.
    found |= catalogue(seen("kube_pod_container_resource_limits", **POD, exported_pod="cart-0"))
    assert "share of the memory limit" not in {ask.what for ask in asks(signals.SATURATION, found, REACH, 4)}


PAIR = {"source_workload": "front", "destination_workload": "cart", "source_workload_namespace": "web", "destination_workload_namespace": "shop"}


def test_edges_are_those_that_begin_or_end_in_the_namespace() -> None:
    found = edges.edge_asks(catalogue(seen("istio_requests_total", **PAIR, reporter="source", response_code="200")), REACH, 6)
    assert [one.ask.signal for one in found] == ["traffic", "errors"]
    for one in found:
        assert 'source_workload_namespace="shop"' in one.ask.expression
        assert 'destination_workload_namespace="shop"' in one.ask.expression
        assert {"reporter", *PAIR} == set(one.ask.by)


def test_edges_are_told_apart_by_the_called_pod_where_the_pod_is_the_called_one_s() -> None:
    call = {"namespace": "shop", "source": "front", "destination": "cart"}
    (by_pod,) = edges.edge_asks(catalogue(seen("call_latency_ms", **call, pod="cart-7f9c6d5b8c-k2x9p")), REACH, 6)
    assert "pod" in by_pod.ask.by
    (whole,) = edges.edge_asks(catalogue(seen("call_latency_ms", **call, pod="front-7f9c6d5b8c-k2x9p")), REACH, 6)
    assert "pod" not in whole.ask.by


def test_both_sides_of_a_service_graph_are_asked() -> None:
    names = [f"traces_service_graph_request_{side}_seconds_bucket" for side in ("client", "server")]
    found = edges.edge_asks(catalogue(*(seen(name, namespace="shop", client="a", server="b") for name in names)), REACH, 6)
    assert {(one.ask.metric, one.ask.side, one.pair.via) for one in found} == {
        (names[0], "source", "service_graph"),
        (names[1], "destination", "service_graph"),
    }


def test_too_many_edges_leave_those_of_the_subject() -> None:
    (found, _) = edges.edge_asks(catalogue(plenty("istio_requests_total", **PAIR, response_code="200")), REACH, 6)
    assert 'source_workload=~"cart"' in found.ask.expression
    assert 'destination_workload=~"cart"' in found.ask.expression


def test_a_subject_is_known_by_any_of_its_names() -> None:
    cart = Subject(kind="Deployment", namespace="shop", name="cart")
    for series in ({"pod": "cart-7f9c6d5b8c-k2x9p"}, {"pod": "cart-v2-7f9c6d5b8c-k2x9p"}, {"service": "cart"}, {"destination_workload": "cart"}):
        assert labels.is_subject(series, cart)
    for series in ({"pod": "cartoon-0"}, {"pod": "my-cart-0", "namespace": "cart"}, {"service": "web"}, {}):
        assert not labels.is_subject(series, cart)
    node = Subject(kind="Node", name="10.0.0.22")
    assert labels.is_subject({"instance": "10.0.0.22:9100"}, node)
    assert not labels.is_subject({"instance": "10.0.0.221:9100"}, node)


known_names = st.sampled_from([
    "istio_requests_total", "http_requests_total", "istio_request_duration_milliseconds_bucket", "http_server_requests_seconds_sum",
    "container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "kube_pod_container_resource_limits", "node_cpu_seconds_total",
    "node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes", "kubelet_volume_stats_used_bytes", "kubelet_volume_stats_capacity_bytes",
    "container_cpu_cfs_periods_total", "container_cpu_cfs_throttled_periods_total", "response_total", "traces_service_graph_request_total",
    "traces_service_graph_request_client_seconds_bucket", "calls_total", "edge_latency_ms", "app.requests", "success percent", "sum_requests_total",
])  # fmt: skip
known_labels = st.sampled_from([
    *labels.NAMESPACE, *labels.POD, *labels.SERVICE, *labels.STATUS, *labels.CALLED, "source_workload", "client", "source", "reporter", "direction",
    "span_kind", "quantile", "instance", "exported_pod", "node", "dst_deployment", "deployment",
])  # fmt: skip


@given(
    names=st.lists(st.one_of(known_names, text), max_size=8),
    names_of_labels=st.lists(st.one_of(known_labels, text), max_size=10),
    values=st.lists(text, min_size=1, max_size=3),
    series=st.sampled_from([1, 100_000]),
)
@settings(max_examples=120, deadline=None)
def test_whatever_the_server_says_it_has_every_query_parses_or_none_is_made(
    names: list[str], names_of_labels: list[str], values: list[str], series: int
) -> None:
    value = values[0] or "shop"
    sample = {name: values[number % len(values)] or value for number, name in enumerate(names_of_labels)} | {"namespace": value}
    found = {name: Seen(name=name, labels=labels.present([sample]), samples=(sample,), series=series) for name in names}
    for namespace, matchers in ((value, ()), ("", (equals("job", value), equals("namespace", value)))):
        reach = Reach(namespace=namespace, matchers=matchers, window=timedelta(minutes=3), own=frozenset(values) - {""})
        made = [ask.expression for signal in signals.SIGNALS for ask in asks(signal, found, reach, 4)]
        made += [one.ask.expression for one in edges.edge_asks(found, reach, 6)]
        made += [*workload.queries(names, value, "namespace", reach.own), *workload.history(names, value, "namespace", reach.own)]
        for expression in made:
            promql_parser.parse(expression)
            assert "\n" not in expression
