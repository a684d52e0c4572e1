"""Two published methods to compare with, from their definitions: no model of a service, only how far each series leaves its past. Pure.

N-Sigma: standard deviations above the mean. BARO: interquartile ranges above the median. A service's score is that of its worst series.
Both want to know when the trouble began; the alert comes later, so each is tried with a split at the alert and one three minutes before.
Source: https://dl.acm.org/doi/10.1145/3660805 (BARO, RobustScorer), https://arxiv.org/abs/2402.13264 (N-Sigma as a baseline)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, pstdev

from agent_sre.alert.subject import workload_of
from agent_sre.finding.world import Curve

BASELINES: Mapping[str, Callable[[Sequence[float], Sequence[float]], float]] = {
    "N-Sigma": lambda before, after: n_sigma(before, after),
    "BARO": lambda before, after: baro(before, after),
}

SPLITS = (0, 180)
"""Seconds before the alert at which the past ends."""

_OWNERS = ("service", "component", "workload", "app", "deployment", "destination", "server", "destination_workload")
_FEWEST = 4  # samples of the past


def n_sigma(before: Sequence[float], after: Sequence[float]) -> float:
    """The highest of `after` in standard deviations above the mean of `before`."""
    return (max(after) - fmean(before)) / (pstdev(before) or 1.0)


def baro(before: Sequence[float], after: Sequence[float]) -> float:
    """The highest of `after` in interquartile ranges above the median of `before`."""
    ordered = sorted(before)
    return (max(after) - _quantile(ordered, 0.5)) / (_quantile(ordered, 0.75) - _quantile(ordered, 0.25) or 1.0)


def baseline_ranking(curves: Sequence[Curve], split: float, method: str) -> tuple[str, ...]:
    """Services, worst first, by one of BASELINES. `split` is in unix seconds. Series that never change are left out."""
    worst: dict[str, float] = {}
    for curve in curves:
        name = service_of(curve.labels)
        before = [value for at, value in curve.points if at < split and math.isfinite(value)]
        after = [value for at, value in curve.points if at >= split and math.isfinite(value)]
        if not name or len(before) < _FEWEST or not after or min(before) == max(before) == min(after) == max(after):
            continue
        score = BASELINES[method](before, after)
        if math.isfinite(score):
            worst[name] = max(worst.get(name, -math.inf), score)
    return tuple(sorted(worst, key=lambda name: (-worst[name], name)))


def service_of(labels: Mapping[str, str]) -> str:
    """Whose series it is; empty where its labels name nobody."""
    named = next((labels[name] for name in _OWNERS if labels.get(name)), "")
    return named or workload_of(labels.get("pod", ""))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
