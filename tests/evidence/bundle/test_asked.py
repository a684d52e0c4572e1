"""Counters as rates and bytes as shares: what a recording says once it is read as Prometheus would have been asked."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_sre.evidence.bundle.asked import as_asked, is_counter, rate
from agent_sre.evidence.evidence import MetricSeries


def series(name: str, *values: float, step: float = 60.0, **labels: str) -> MetricSeries:
    return MetricSeries(labels={"__name__": name, **labels}, points=tuple((place * step, value) for place, value in enumerate(values)))


def by_name(*found: MetricSeries) -> dict[str, tuple[MetricSeries, ...]]:
    names = dict.fromkeys(one.labels["__name__"] for one in found)
    return {name: tuple(one for one in found if one.labels["__name__"] == name) for name in names}


def test_a_counter_is_told_as_its_rate_and_a_restart_is_no_fall() -> None:
    assert rate(tuple((at * 60.0, at * 30.0) for at in range(6))) == tuple((at * 60.0, 0.5) for at in range(1, 6))
    restarted = rate(((0.0, 1000.0), (60.0, 1060.0), (120.0, 60.0), (180.0, 120.0)))
    assert [value for _, value in restarted] == [1.0, 1.0, 1.0]
    assert rate(((0.0, 1.0),)) == ()


def test_what_falls_often_is_no_counter_whatever_its_name() -> None:
    busy = series("threads_total", 3, 9, 4, 8, 2, 7)
    assert not is_counter(busy.points)
    assert as_asked(by_name(busy)) == by_name(busy)


def test_other_series_stay_as_they_are() -> None:
    found = by_name(series("latency_p95_seconds", 1, 2, 3), series("up", 1, 1, 0))
    assert as_asked(found) == found


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (series("kubelet_volume_stats_used_bytes", 4, 5, namespace="a", persistentvolumeclaim="c", node="n"),
         series("kubelet_volume_stats_capacity_bytes", 10, 10, namespace="a", persistentvolumeclaim="c"), 0.5),
        (series("kubelet_volume_stats_available_bytes", 4, 3, namespace="a", persistentvolumeclaim="c"),
         series("kubelet_volume_stats_capacity_bytes", 10, 10, namespace="a", persistentvolumeclaim="c"), 0.7),
        (series("node_filesystem_avail_bytes", 4, 1, instance="i", mountpoint="/"),
         series("node_filesystem_size_bytes", 10, 10, instance="i", mountpoint="/"), 0.9),
        (series("container_cpu_cfs_throttled_periods_total", 0, 300, 600, namespace="a", pod="p", container="c"),
         series("container_cpu_cfs_periods_total", 0, 600, 1200, namespace="a", pod="p", container="c"), 0.5),
        (series("container_memory_working_set_bytes", 4, 8, namespace="a", pod="p", container="c"),
         series("kube_pod_container_resource_limits", 10, 10, namespace="a", pod="p", container="c", resource="memory"), 0.8),
    ],
    ids=["used", "available", "file system", "throttled", "memory"],
)  # fmt: skip
def test_a_share_is_told_where_both_sides_are_there(part: MetricSeries, whole: MetricSeries, expected: float) -> None:
    (found,) = [one for name, some in as_asked(by_name(part, whole)).items() if " / " in name for one in some]
    assert found.points[-1][1] == pytest.approx(expected)
    assert (found.signal, found.unit, found.worse) == ("saturation", "ratio", "up")
    assert {name: value for name, value in found.labels.items() if name != "__name__"} == {
        name: value for name, value in part.labels.items() if name != "__name__"
    }


def test_no_share_of_another_object_of_a_limit_on_processors_or_of_an_old_size() -> None:
    part = series("container_memory_working_set_bytes", 4, 8, namespace="a", pod="p", container="c")
    for whole in (
        series("kube_pod_container_resource_limits", 10, 10, namespace="a", pod="q", container="c", resource="memory"),
        series("kube_pod_container_resource_limits", 10, 10, namespace="a", pod="p", container="c", resource="cpu"),
        series("kube_pod_container_resource_limits", 0, 0, namespace="a", pod="p", container="c", resource="memory"),
    ):
        assert not [name for name in as_asked(by_name(part, whole)) if " / " in name]
    late = MetricSeries(labels=part.labels, points=((5000.0, 4.0),))
    whole = series("container_spec_memory_limit_bytes", 10, 10, namespace="a", pod="p", container="c")
    assert not [name for name in as_asked(by_name(late, whole)) if " / " in name]


def test_used_and_available_of_one_volume_are_one_share() -> None:
    values = {"used": (4, 5), "available": (6, 5), "capacity": (10, 10)}
    found = as_asked(
        by_name(*(series(f"kubelet_volume_stats_{name}_bytes", *both, namespace="a", persistentvolumeclaim="c") for name, both in values.items()))
    )
    assert [name for name in found if " / " in name] == ["kubelet_volume_stats_used_bytes / kubelet_volume_stats_capacity_bytes"]


_POINTS = st.lists(st.tuples(st.floats(0, 1e10), st.floats(allow_nan=False, allow_infinity=False)), max_size=30)


@given(_POINTS, _POINTS)
def test_whatever_was_recorded_there_is_an_answer(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> None:
    labels = {"namespace": "a", "pod": "p", "container": "c"}
    found = as_asked({
        name: (MetricSeries(labels={"__name__": name, **labels}, points=tuple(sorted(points))),)
        for name, points in (("container_cpu_cfs_throttled_periods_total", one), ("container_cpu_cfs_periods_total", other))
    })  # fmt: skip
    for name, some in found.items():
        for item in some:
            assert all(not math.isnan(value) for _, value in item.points)
            if is_counter(tuple(sorted(one))) and name == "container_cpu_cfs_throttled_periods_total":
                assert all(value >= 0 for _, value in item.points)
