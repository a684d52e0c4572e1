"""How good an order of suspects is, and how sure one may be of that figure. Pure.

AC@k is the share of cases whose culprit is among the first k; Avg@5 is the mean of AC@1 to AC@5. Both as in RCAEval.
Source: https://github.com/phamquiluan/RCAEval
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

MOST = 5  # places that Avg@5 looks at

_Z = 1.959964  # 95 % of a normal distribution lie within so many standard deviations
_DRAWS = 1000  # enough that the second digit of an interval stands still


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share, and the interval that the true one lies in with 95 % certainty."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Verdicts with about the same score: how many, what they promised, and how many were right."""

    low: float
    high: float
    count: int
    promised: float  # mean score
    right: float  # share


def wilson(right: int, count: int) -> Share:
    """The share right/count with Wilson's interval, which holds for few cases and near 0 and 1. Nothing counted is 0 in [0, 1].

    Source: Wilson 1927, https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
    """
    if count == 0:
        return Share(value=0.0, low=0.0, high=1.0)
    share = right / count
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return Share(value=share, low=max(0.0, min(share, middle - half)), high=min(1.0, max(share, middle + half)))


def accuracy(places: Sequence[int], k: int) -> Share:
    """AC@k of cases by the place of their culprit, 1 for the first; 0 where it is not named at all."""
    return wilson(sum(1 <= place <= k for place in places), len(places))


def average(places: Sequence[int], seed: int = 0) -> Share:
    """Avg@5 with a bootstrap interval: the middle 95 % over draws of as many cases with replacement."""
    gains = [sum(1 <= place <= k for k in range(1, MOST + 1)) / MOST for place in places]
    if not gains:
        return Share(value=0.0, low=0.0, high=1.0)
    dice = random.Random(seed)  # noqa: S311  (no secret: the same figures on every run)
    means = sorted(sum(dice.choices(gains, k=len(gains))) / len(gains) for _ in range(_DRAWS))
    return Share(value=sum(gains) / len(gains), low=means[int(_DRAWS * 0.025)], high=means[int(_DRAWS * 0.975) - 1])


def bins(verdicts: Sequence[tuple[float, bool]], count: int = 10) -> tuple[Bin, ...]:
    """Verdicts (score, right) by score, in so many bins of one width; empty bins are left out."""
    found: dict[int, list[tuple[float, bool]]] = {}
    for score, right in verdicts:
        found.setdefault(min(max(int(score * count), 0), count - 1), []).append((score, right))
    return tuple(
        Bin(
            low=place / count,
            high=(place + 1) / count,
            count=len(inside),
            promised=sum(score for score, _ in inside) / len(inside),
            right=sum(right for _, right in inside) / len(inside),
        )
        for place, inside in sorted(found.items())
    )


def calibration_error(verdicts: Sequence[tuple[float, bool]]) -> float:
    """ECE: how far what was promised lies from what was right, on average over verdicts, by ten bins. 0 where there are none."""
    whole = len(verdicts)
    return sum(one.count * abs(one.promised - one.right) for one in bins(verdicts)) / whole if whole else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all lies at or below; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(max(math.ceil(share * len(ordered)), 1), len(ordered)) - 1] if ordered else 0.0
