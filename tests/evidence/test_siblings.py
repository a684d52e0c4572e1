"""The odd one out, how a curve moved, and what kube-state-metrics says, with literals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_sre.alert.subject import Subject
from agent_sre.evidence.numbers import PERCENT
from agent_sre.evidence.prometheus import siblings, workload
from agent_sre.evidence.prometheus.client import Series
from agent_sre.evidence.prometheus.movement import movement
from agent_sre.evidence.prometheus.promql import Leaf, leaves
from agent_sre.evidence.prometheus.siblings import standing

FIRED = datetime(2026, 11, 23, 6, 41, tzinfo=UTC)
CART = Subject(kind="Deployment", namespace="shop", name="cart")
POD = "cart-7f9c6d5b8c-k2x9p"
HERE = {"namespace": "shop"}


# siblings


def test_one_of_many_that_is_far_off_is_the_odd_one_out() -> None:
    found = standing(95, [40, 41, 42, 43, 44])
    assert found is not None
    assert (found.odd, found.rank, found.total, found.middle) == (True, 1, 6, 42)
    assert siblings.describe(found, "cart-0", PERCENT) == "cart-0 is the odd one out: 95 %, the median of the 5 others is 42 %"


def test_one_that_is_low_among_high_ones_is_odd_too() -> None:
    found = standing(0, [10, 10, 10])
    assert found is not None
    assert (found.odd, found.rank) == (True, 4)


def test_one_of_many_that_are_all_high_is_like_its_siblings() -> None:
    found = standing(95, [94, 96, 93])
    assert found is not None
    assert not found.odd
    assert siblings.describe(found, "cart-0", PERCENT) == "cart-0 is like its 3 siblings: 95 %, the median of the 3 others is 94 %"


def test_one_of_two_culprits_is_not_alone() -> None:
    found = standing(95, [96, 40, 41, 42, 40])
    assert found is not None
    assert not found.odd
    assert siblings.describe(found, "cart-0", PERCENT).startswith("cart-0 is number 2 from above of 6, but not alone: 95 %")


def test_siblings_that_agree_to_the_last_digit_do_not_make_a_hair_an_outlier() -> None:
    found = standing(1.0001, [1.0, 1.0, 1.0])
    assert found is not None
    assert not found.odd
    assert standing(1, []) is None


@given(
    own=st.floats(allow_nan=False, allow_infinity=False), others=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8)
)
def test_any_numbers_have_a_standing(own: float, others: list[float]) -> None:
    found = standing(own, others)
    assert found is not None
    assert 1 <= found.rank <= found.total == len(others) + 1
    assert siblings.describe(found, "x", PERCENT)


def test_what_names_an_object_goes_and_what_says_what_is_measured_stays() -> None:
    labels = {"namespace": "shop", "pod": "a", "node": "n", "instance": "i", "uid": "u", "device": "sda", "job": "kubelet"}
    assert siblings.shared(labels) == {"namespace": "shop", "device": "sda", "job": "kubelet"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sum(rate(a[5m])) / sum(b)", [("a", "rate(a[5m])"), ("b", "b")]),
        ("predict_linear(a[1h], 3600) < 0", [("a", "predict_linear(a[1h], 3600)")]),
        ("max_over_time((a / b)[5m:1m])", [("a", "a"), ("b", "b")]),
        ('{job="x"}', [("", '{job="x"}')]),
        ("1 + 1", []),
        ("sum(", []),
    ],
)
def test_an_expression_is_read_down_to_its_metrics(expression: str, expected: list[tuple[str, str]]) -> None:
    assert leaves(expression) == tuple(Leaf(metric=metric, expression=text) for metric, text in expected)


# movement


def points(*values: float, step: int = 60) -> list[tuple[float, float]]:
    """The last one stands two minutes after the alert."""
    end = FIRED.timestamp() + 120
    return [(end - step * (len(values) - 1 - number), value) for number, value in enumerate(values)]


def test_a_curve_that_jumped_at_the_alert_has_moved_and_says_from_where() -> None:
    moved = movement(points(*[10.0] * 60, 100, 100, 100), FIRED)
    assert moved is not None
    assert (moved.before, moved.now) == (10.0, 100.0)
    assert moved.score > 3


def test_a_curve_that_was_always_wild_has_moved_less_than_a_calm_one() -> None:
    calm, wild = [10.0] * 60, [0.0, 20.0] * 30
    one, other = movement(points(*calm, 20, 20, 20), FIRED), movement(points(*wild, 20, 20, 20), FIRED)
    assert one is not None
    assert other is not None
    assert one.score > other.score


def test_only_the_bad_direction_counts_where_there_is_one() -> None:
    fell = movement(points(*[10.0] * 60, 1, 1, 1), FIRED, worse="up")
    assert fell is not None
    assert fell.score == 0
    down = movement(points(*[10.0] * 60, 1, 1, 1), FIRED, worse="down")
    assert down is not None
    assert down.score > 1


def test_one_wild_point_decides_nothing() -> None:
    moved = movement(points(*[10.0] * 60, 9999, 10, 10), FIRED)
    assert moved is not None
    assert moved.score == 0


def test_too_little_history_is_said_and_scores_nothing() -> None:
    moved = movement(points(1, 2, 100), FIRED)
    assert moved is not None
    assert (moved.before, moved.score) == (None, 0)
    assert movement([], FIRED) is None
    assert movement([(1.0, math.nan)], FIRED) is None


# workload


def row(metric: str, value: float = 1, **labels: str) -> Series:
    named: Mapping[str, str] = {"__name__": metric, **HERE, **labels} if metric else {**HERE, **labels}
    return Series(labels=named, points=((FIRED.timestamp(), value),))


STATE = [
    row("kube_deployment_spec_replicas", 3, deployment="cart"),
    row("kube_deployment_status_replicas_available", 1, deployment="cart"),
    row("kube_deployment_spec_replicas", 2, deployment="web"),
    row("kube_deployment_status_replicas_available", 2, deployment="web"),
    row("kube_pod_info", pod=POD, node="worker-1"),
    row("kube_pod_status_phase", pod=POD, phase="Pending"),
    row("kube_pod_status_unschedulable", pod=POD),
    row("kube_pod_container_status_waiting_reason", pod=POD, container="cart", reason="ImagePullBackOff"),
    row("kube_pod_container_status_waiting_reason", pod="web-0", container="web", reason="ContainerCreating"),
    row("kube_pod_container_status_last_terminated_reason", pod="db-0", container="db", reason="OOMKilled"),
    row("", 4.2, pod=POD, container="cart"),
    row("", 0.93, persistentvolumeclaim="data-db-0"),
    row("kube_horizontalpodautoscaler_spec_max_replicas", 5, horizontalpodautoscaler="cart-hpa"),
    row("kube_horizontalpodautoscaler_status_current_replicas", 5, horizontalpodautoscaler="cart-hpa"),
    row("kube_job_status_failed", 2, job_name="nightly"),
    row("kube_node_status_condition", node="worker-1", condition="MemoryPressure", status="true"),
    row("kube_node_status_condition", node="worker-9", condition="Ready", status="unknown"),
    row("kube_resourcequota", 9.9e9, resourcequota="compute", resource="requests.memory", type="used"),
    row("kube_resourcequota", 1e10, resourcequota="compute", resource="requests.memory", type="hard"),
    row("kube_pod_container_resource_limits", 2.68e8, pod=POD, container="cart", resource="memory"),
]


def test_the_subjects_bad_news_come_first_then_its_good_ones_then_its_neighbours_trouble() -> None:
    told = workload.told(STATE, CART, "shop")
    assert [one.fact.text for one in told] == [
        "Deployment cart has 1 of 3 replicas available",
        "autoscaler cart-hpa is at 5 of at most 5 replicas",
        f"{POD} is Pending, unschedulable on worker-1",
        f"cart of {POD} waits: ImagePullBackOff",
        f"cart of {POD} restarted 4 times in the last hour",
        "node worker-1 has MemoryPressure",
        f"cart of {POD} has a memory limit of 256 MiB",
        "db of db-0 ended last time: OOMKilled",
        "volume data-db-0 is 93 % full",
        "job nightly has 2 failed pods",
        "node worker-9 is not ready (unknown)",
        "quota compute: 9.22 GiB of 9.31 GiB requests.memory used",
    ]
    line = workload.summary(told, "Deployment shop/cart")
    assert line.startswith("Deployment cart has 1 of 3 replicas available; autoscaler cart-hpa")
    assert line.endswith("; 1 more like these; 5 things are wrong with its neighbours")


def test_the_exporters_own_pod_is_nobody() -> None:
    exported = row("kube_pod_status_phase", pod="kube-state-metrics-0", exported_pod=POD, exported_namespace="shop", phase="Failed")
    foreign = row("kube_pod_status_phase", pod="kube-state-metrics-0", exported_pod=POD, exported_namespace="other", phase="Failed")
    told = workload.told([exported, foreign], CART, "shop")
    assert [(one.fact.values["pod"], one.own) for one in told] == [(POD, True)]
    scaled = row("kube_deployment_spec_replicas", 0, deployment="cart", pod="web-0")
    none = row("kube_deployment_status_replicas_available", 0, deployment="cart", pod="web-0")
    assert [one.bad for one in workload.told([scaled, none], CART, "shop")] == [True]


def test_a_quiet_namespace_says_so() -> None:
    told = workload.told(STATE[2:4], CART, "shop")
    assert told == ()
    assert workload.summary(told, "Deployment shop/cart") == "nothing about Deployment shop/cart itself"


label_names = st.sampled_from(["pod", "exported_pod", "deployment", "node", "reason", "phase", "condition", "status", "type", "resource",
                               "resourcequota", "persistentvolumeclaim", "horizontalpodautoscaler", "job_name", "exported_namespace"])  # fmt: skip


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(sorted(workload.STATES | workload.COUNTS | {"", *workload.RESOURCES})),
            st.dictionaries(label_names, st.text(max_size=8), max_size=6),
            st.floats(),
        ),
        max_size=12,
    )
)
def test_whatever_is_sent_becomes_bounded_facts_on_one_line(rows: list[tuple[str, dict[str, str], float]]) -> None:
    series = [row(metric, value, **labels) for metric, labels, value in rows]
    told = workload.told(series, CART, "shop")
    for one in told:
        assert "\n" not in one.fact.text
        assert one.own or one.bad
    assert workload.summary(told, "cart")
