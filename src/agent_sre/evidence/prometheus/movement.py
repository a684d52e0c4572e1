"""How a curve moved around the alert: what was usual, what is now, and how unusual that is. Pure.

    ……………………………………………|…… unknown `for` ……|… alert ………… now
       usual: median         not looked at      recent, from 3 min before

The score only orders curves, so that the few that are kept are those that moved. Detectors compute their own from the points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

QUIET_BEFORE = (timedelta(minutes=30), timedelta(minutes=10), timedelta(minutes=3))
"""Before this much ahead of the alert nothing was wrong yet: longer than the `for` of all but a few standard rules. Less only where there
is not that much history."""

RECENT_FROM = timedelta(minutes=3)
"""The trouble is there a little before the alert says so."""

_FEWEST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What a curve did. `before` is None where there is too little history to say what is usual."""

    now: float
    before: float | None
    score: float  # 0 where `before` is None


def movement(points: Sequence[tuple[float, float]], starts_at: datetime, *, worse: str = "") -> Movement | None:
    """The curve's movement; None without a finite sample. With `worse` only moves in that direction count."""
    finite = [(at, value) for at, value in points if math.isfinite(value)]
    if not finite:
        return None
    fired = starts_at.timestamp()
    ends = [fired - quiet.total_seconds() for quiet in QUIET_BEFORE]
    earlier = ([value for at, value in finite if at < end] for end in ends)
    usual = next((values for values in earlier if len(values) >= _FEWEST), ())
    begins = fired - RECENT_FROM.total_seconds()
    recent = [value for at, value in finite if at >= begins] or [finite[-1][1]]
    now = median(recent[-_FEWEST:])
    if not usual:
        return Movement(now=now, before=None, score=0.0)
    before = median(usual)
    wiggle = sorted(abs(value - before) for value in usual)
    unit = max(wiggle[int(0.95 * (len(wiggle) - 1))] / 2, 0.05 * abs(before), 1e-9)
    ordered = sorted(recent, reverse=True)
    high, low = ordered[min(1, len(ordered) - 1)], ordered[max(0, len(ordered) - 2)]  # the second of each, so that one wild point decides nothing
    up, down = (high - before) / unit, (before - low) / unit
    score = {"up": up, "down": down}.get(worse, max(up, down))
    return Movement(now=now, before=before, score=math.log1p(max(0.0, score)))
