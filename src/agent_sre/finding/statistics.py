"""Telling an unusual stretch of a curve from its ordinary noise. Pure Python on sorted lists: fast enough, and NumPy would double the install.

             history                      window
    |--------------------------------|----------------|      score = (what the window shows - median of the history)
    onset - 4 h             onset - 3 min           now              / the largest of: noise, a share of the median, an absolute floor

An alert comes some minutes after the trouble: a split at the alert itself would put the first minutes of the trouble into the history and
hide it. Without the two floors a curve that never moves wins over everything with its first small step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]

HISTORY_SECONDS = 4 * 3600.0  # longer, and yesterday's night counts as ordinary for this noon
LEAD_SECONDS = 180.0  # rules wait (`for:`) about this long before they fire
NOISE_QUANTILE = 0.9  # half of the deviation that nine of ten points keep: one earlier incident in the history does not hide this one
FEWEST_BEFORE = 5  # fewer points tell nothing about noise
MOST_POINTS = 240  # a curve of more is read in steps of their medians
FINEST_STEP = 15.0  # seconds: finer curves repeat a scrape, or jitter


_LATEST, MOST = 1e12, 1e100
"""Beyond these a number is no instant and no measurement. Comparisons with NaN are false, so they keep it out too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """What is too small to matter, in the base unit, and as a share of what is usual."""

    absolute: float
    relative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How a curve moved at the onset. Scores are multiples of its noise; 0 where it did not move that way."""

    before: float  # median of the history
    now: float  # what the window shows, in the direction of the larger score
    rise: float
    fall: float
    points_before: int

    @property
    def enough(self) -> bool:
        """Whether there is history enough to know what is usual."""
        return self.points_before >= FEWEST_BEFORE


def median(ordered: Sequence[float]) -> float:
    """The middle of a sorted list, which may not be empty."""
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of a sorted list lies; the list may not be empty."""
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def compress(score: float) -> float:
    """Scores as people weigh them: ten times as wild is a step more, not ten times the proof, and what is no wilder than usual is nothing."""
    return math.log(max(score, 1.0))


def thinned(points: Points, step: float = FINEST_STEP) -> Points:
    """At most one point per step, the median of those in it. Curves that are coarse already are given back as they are."""
    if len(points) < 2 or points[-1][0] - points[0][0] >= step * (len(points) - 1):
        return points
    buckets: dict[int, list[float]] = {}
    for at, value in points:
        buckets.setdefault(int(at // step), []).append(value)
    return [((key + 0.5) * step, median(sorted(values))) for key, values in buckets.items()]


def shift(points: Points, onset: float, floors: Floors, factor: float = 1.0) -> Shift | None:
    """How a curve moved at the onset; None where it has no point on one of the sides.

    `points` in any unit, `factor` times their value is in the unit of the floors. Values that are no number are left out.
    """
    split = onset - LEAD_SECONDS
    recent = [(at, value * factor) for at, value in points if split - HISTORY_SECONDS <= at <= _LATEST and abs(value) < MOST]
    recent = list(thinned(recent))
    before = sorted(value for at, value in recent if at < split)
    window = sorted(value for at, value in recent if at >= split)
    if not before or not window:
        return None
    if len(before) > MOST_POINTS:
        before = before[:: math.ceil(len(before) / MOST_POINTS)]
    usual = median(before)
    noise = quantile(sorted(abs(value - usual) for value in before), NOISE_QUANTILE) / 2
    scale = max(noise, floors.relative * abs(usual), floors.absolute)
    # the second highest: one wild point is an outlier, two are a fact; of one or two points there is no choice
    high, low = (window[-2], window[1]) if len(window) > 2 else (window[-1], window[0])
    history = [(at, value) for at, value in recent if at < split]
    rise = max(0.0, (high - usual) / scale) / habit(history, usual, high)
    fall = max(0.0, (usual - low) / scale) / habit(history, usual, low)
    return Shift(before=usual, now=high if rise >= fall else low, rise=rise, fall=fall, points_before=len(before))


def habit(history: Points, usual: float, level: float) -> float:
    """By how much to divide the score of a curve that has been at such a level before: 1 for never or once, then more with every time.

    An earlier incident is one stretch, however long, and hides nothing. A curve that jumps every now and then jumps by habit.
    """
    halfway = (usual + level) / 2
    stretches, last = 0, -math.inf
    for at, value in history:
        if (value > halfway) if level > usual else (value < halfway):
            if at - last > LEAD_SECONDS:
                stretches += 1
            last = at
    return 1.0 + max(0, stretches - 1)
