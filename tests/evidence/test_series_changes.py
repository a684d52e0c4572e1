"""What changed, from metrics alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent_sre.evidence.evidence import Change, MetricSeries
from agent_sre.evidence.series_changes import METRICS, changes_in_series

NOW = datetime(2026, 11, 23, 6, 45, tzinfo=UTC)
START = NOW - timedelta(hours=1)
TICKS = [(NOW - timedelta(minutes=minutes)).timestamp() for minutes in range(90, -1, -1)]


def at(minutes: float) -> float:
    return (NOW - timedelta(minutes=minutes)).timestamp()


def series(name: str, value: float | Callable[[float], float] = 1, *, since: float = 90, until: float = 0, **labels: str) -> MetricSeries:
    """One series with a point a minute, from `since` to `until` minutes ago."""
    points = [(tick, float(value(tick) if callable(value) else value)) for tick in TICKS if at(since) <= tick <= at(until)]
    return MetricSeries(labels={"__name__": name, **labels}, points=tuple(points))


def step(minutes: float, before: float, after: float) -> Callable[[float], float]:
    return lambda tick: before if tick < at(minutes) else after


def found(*given: MetricSeries) -> tuple[Change, ...]:
    return changes_in_series(given, window_start=START, now=NOW)


def test_a_rollout_that_shows_in_three_metrics_is_one_change_with_its_images() -> None:
    (change,) = found(
        series("kube_replicaset_created", at(9_000), replicaset="cart-7f9c6d5b8c", namespace="shop"),
        series("kube_replicaset_created", at(20), since=20, replicaset="cart-5d4f6c7b8d", namespace="shop"),
        series("kube_deployment_status_observed_generation", step(20, 4, 5), deployment="cart", namespace="shop"),
        series("kube_pod_container_info", pod="cart-7f9c6d5b8c-k2x9p", container="cart", image="shop/cart:1.4", until=18, namespace="shop"),
        series("kube_pod_container_info", pod="cart-5d4f6c7b8d-x2b4c", container="cart", image="shop/cart:1.5", since=19, namespace="shop"),
    )
    assert (change.kind, change.subject.kind, change.subject.name) == ("image", "Deployment", "cart")
    assert change.diff == ("- cart image: shop/cart:1.4", "+ cart image: shop/cart:1.5")
    assert change.at == NOW - timedelta(minutes=19)


def test_a_new_replica_set_alone_is_a_rollout_and_the_first_one_is_none() -> None:
    old = series("kube_replicaset_created", at(9_000), replicaset="cart-7f9c6d5b8c", namespace="shop")
    new = series("kube_replicaset_created", at(20), since=20, replicaset="cart-5d4f6c7b8d", namespace="shop")
    assert [change.text for change in found(old, new)] == ["Deployment shop/cart rolled out: cart-5d4f6c7b8d replaces cart-7f9c6d5b8c"]
    assert found(new) == ()
    assert found(old) == ()


def test_a_scaling_is_not_said_again_as_a_new_generation() -> None:
    (change,) = found(
        series("kube_deployment_spec_replicas", step(10, 3, 0), namespace="shop", deployment="cart"),
        series("kube_deployment_status_observed_generation", step(10, 4, 5), namespace="shop", deployment="cart"),
    )
    assert (change.kind, change.text) == ("scale", "Deployment shop/cart was scaled from 3 to 0 replicas")


def test_an_edit_that_made_no_revision() -> None:
    (change,) = found(series("kube_statefulset_status_observed_generation", step(10, 4, 5), namespace="shop", statefulset="db"))
    assert change.text == "StatefulSet shop/db was changed (generation 4 to 5)"


def test_a_version_that_follows_on_another() -> None:
    (change,) = found(
        series("cart_build_info", version="1.4", job="cart", namespace="shop", pod="a", until=15),
        series("cart_build_info", version="1.5", job="cart", namespace="shop", pod="b", since=16),
        series("web_build_info", version="1", job="web"),
    )
    assert change.text == "Service shop/cart: cart went from version 1.4 to 1.5"


def test_nodes_that_are_cordoned_or_fail() -> None:
    changes = found(
        series("kube_node_spec_unschedulable", step(30, 0, 1), node="worker-3"),
        series("kube_node_status_condition", step(20, 1, 0), node="worker-3", condition="Ready", status="true"),
        series("kube_node_status_condition", step(25, 0, 1), node="worker-3", condition="DiskPressure", status="true"),
        series("kube_node_status_condition", step(20, 0, 1), node="worker-3", condition="Ready", status="unknown"),
    )
    assert [change.text for change in changes] == [
        "Node worker-3 became not ready", "Node worker-3 reports DiskPressure", "Node worker-3 was cordoned",
    ]  # fmt: skip


def test_what_changed_before_the_window_or_never_is_nothing() -> None:
    assert found(series("kube_deployment_spec_replicas", step(80, 3, 1), deployment="cart"), series("up", step(10, 1, 0), job="x")) == ()


values = st.floats() | st.sampled_from([0.0, 1.0, 3.0, at(20), at(9_000)])
any_series = st.builds(
    MetricSeries,
    labels=st.fixed_dictionaries(
        {"__name__": st.sampled_from([*METRICS, "x_build_info", "up", ""])},
        optional={
            name: st.sampled_from(["cart", "cart-7f9c6d5b8c", "cart-5d4f6c7b8d-x2b4c", "true", "Ready", ""]) | st.text(max_size=4)
            for name in ("namespace", "deployment", "replicaset", "pod", "container", "image", "node", "condition", "status", "version", "job")
        },
    ),
    points=st.lists(st.tuples(st.sampled_from(TICKS) | st.floats(), values), max_size=6).map(tuple),
)


@given(given_series=st.lists(any_series, max_size=8))
def test_any_series_give_changes_inside_the_window(given_series: list[MetricSeries]) -> None:
    for change in found(*given_series):
        assert change.at is not None
        assert START <= change.at <= NOW
        assert "\n" not in change.text
