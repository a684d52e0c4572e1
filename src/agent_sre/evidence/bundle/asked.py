"""Raw series of a recording as Prometheus would have been asked for them: counters as their rate, what is limited as the share that is used. Pure.

A live source asks `rate(…[3m])` and `used / limit`; a recording often has only what was scraped. Read as they are, all counters only ever rise and
a number of bytes says nothing about how full a disk is.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, pairwise
from typing import NamedTuple

from agent_sre.evidence import numbers
from agent_sre.evidence.bundle.openmetrics import NAME
from agent_sre.evidence.evidence import MetricSeries

WINDOW = 180.0
"""Seconds that a rate is taken over, as live."""

_MOST_RESETS = 0.05  # of the steps: a counter starts anew when its process does; what falls more often is none, whatever its name
_STALE = 300.0  # seconds for which a sample of the other side counts, as in Prometheus

Points = tuple[tuple[float, float], ...]


class _Share(NamedTuple):
    """`used` over `limit`, or 1 minus it where `free` is what is left."""

    part: str
    whole: str
    by: tuple[str, ...]  # labels of the whole, those of these that it has, that the part must have as well
    free: bool = False
    only: tuple[str, str] = ("", "")  # a label that the whole must have


_SHARES = (
    _Share("container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total", ("namespace", "pod", "container")),
    _Share(
        "container_memory_working_set_bytes", "kube_pod_container_resource_limits", ("namespace", "pod", "container"), only=("resource", "memory")
    ),
    _Share("container_memory_working_set_bytes", "container_spec_memory_limit_bytes", ("namespace", "pod", "container")),
    _Share("kubelet_volume_stats_used_bytes", "kubelet_volume_stats_capacity_bytes", ("namespace", "persistentvolumeclaim")),
    _Share("kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes", ("namespace", "persistentvolumeclaim"), free=True),
    _Share("node_filesystem_avail_bytes", "node_filesystem_size_bytes", ("instance", "node", "device", "mountpoint"), free=True),
    _Share("node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes", ("instance", "node"), free=True),
)


def as_asked(series_by_name: Mapping[str, tuple[MetricSeries, ...]]) -> Mapping[str, tuple[MetricSeries, ...]]:
    """The same series with counters as rates per second, and one more metric for each share that can be told. Names of metrics stay."""
    rates = {name: tuple(_rated(name, series) for series in found) for name, found in series_by_name.items()}
    told: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for share in _SHARES:
        found = []
        for series in _shares(share, rates):
            key = (share.whole, frozenset((label, value) for label, value in series.labels.items() if label in share.by))
            if key not in told:  # used and available say the same
                told.add(key)
                found.append(series)
        if found:
            rates[found[0].labels[NAME]] = tuple(found)
    return rates


def _rated(name: str, series: MetricSeries) -> MetricSeries:
    if not name.endswith("_total") or not is_counter(series.points):
        return series
    return MetricSeries(labels=series.labels, points=rate(series.points))


def is_counter(points: Points) -> bool:
    """Whether the values only ever rise, but for a few new beginnings."""
    falls = sum(later[1] < earlier[1] for earlier, later in pairwise(points))
    return len(points) > 1 and points[0][1] >= 0 and falls <= _MOST_RESETS * len(points)


def rate(points: Points) -> Points:
    """Per second, over WINDOW or the step where that is longer. After a reset the counter's own value is its increase. One point less."""
    steps = ((later[1] - earlier[1]) if later[1] >= earlier[1] else later[1] for earlier, later in pairwise(points))
    risen = list(accumulate(steps, initial=0.0))
    instants = [at for at, _ in points]
    found = []
    for place in range(1, len(points)):
        first = min(bisect_left(instants, instants[place] - WINDOW), place - 1)
        seconds = instants[place] - instants[first]
        value = (risen[place] - risen[first]) / seconds if seconds > 0 else math.nan
        if math.isfinite(value):
            found.append((instants[place], value))
    return tuple(found)


def _shares(share: _Share, series_by_name: Mapping[str, tuple[MetricSeries, ...]]) -> Iterator[MetricSeries]:
    wholes: dict[tuple[tuple[str, str], ...], MetricSeries] = {}
    for whole in series_by_name.get(share.whole, ()):
        if (not share.only[0] or whole.labels.get(share.only[0]) == share.only[1]) and (key := _key(whole, share.by)):
            wholes.setdefault(key, whole)
    shapes = {tuple(label for label, _ in key) for key in wholes}
    text = f"{share.part} / {share.whole}"
    for part in series_by_name.get(share.part, ()) if wholes else ():
        found = next((one for shape in shapes if (one := wholes.get(_key(part, shape)))), None)
        if found is not None and (points := tuple(_divided(part.points, found.points, free=share.free))):
            labels = {**part.labels, NAME: f"1 - {text}" if share.free else text}
            yield MetricSeries(labels=labels, points=points, signal="saturation", unit=numbers.RATIO, worse="up")


def _key(series: MetricSeries, by: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple((label, series.labels[label]) for label in by if label in series.labels)


def _divided(part: Points, whole: Points, *, free: bool) -> Iterator[tuple[float, float]]:
    """At the instants of the part, by the newest sample of the whole that is not stale."""
    instants = [at for at, _ in whole]
    for at, value in part:
        place = bisect_right(instants, at) - 1
        if place >= 0 and at - instants[place] <= _STALE and whole[place][1] > 0:
            used = value / whole[place][1]
            if math.isfinite(used):
                yield at, 1 - used if free else used
