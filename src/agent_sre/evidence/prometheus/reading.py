"""What a series of samples says against its threshold: how it stands, since when, how it was before. Pure.

samples, bars ──read──> Reading ──describe──> one line for people
                           └────values──> the numbers of the Fact, so that no detector computes them again
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent_sre.evidence.numbers import PLAIN, RATIO, format_beside, format_number
from agent_sre.kit.durations import readable
from agent_sre.kit.times import format_instant

Points = Sequence[tuple[float, float]]

_HOLDS = {
    ">": lambda value, bar: value > bar,
    "<": lambda value, bar: value < bar,
    ">=": lambda value, bar: value >= bar,
    "<=": lambda value, bar: value <= bar,
    "==": lambda value, bar: value == bar,
    "!=": lambda value, bar: value != bar,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A threshold as numbers: constant, or one point per step. With neither it is unknown, and nothing is said about crossing it."""

    op: str
    value: float | None = None
    points: Mapping[float, float] | None = None

    def at(self, instant: float) -> float | None:
        """The threshold at this instant of the same grid, None where it has no sample."""
        return self.value if self.points is None else self.points.get(instant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How one series stands. Numbers are None where there is no finite sample to take them from; instants are unix seconds.

    `crossed_at` is the first sample of the breach that made the alert fire (or of the newest one, where none did); None with `breaching`
    means that it began before the window.
    """

    current: float | None
    current_text: str  # the newest sample as Prometheus writes it where it is not finite: +Inf; else empty
    current_at: float | None
    ended: bool  # no sample any more
    breaching: bool
    crossed_at: float | None
    recovered_at: float | None  # the first sample after that breach
    op: str
    threshold: float | None
    minimum: float | None
    maximum: float | None
    first: float | None
    hour_ago: float | None


def read(points: Points, bars: Sequence[Bar], *, starts_at: datetime, start: datetime, end: datetime, step: timedelta) -> Reading:
    """Reads a series, oldest point first. Without bars every sample is a breach: such a rule fires while it has a result."""
    known = [(at, value) for at, value in points if not math.isnan(value)]
    finite = [(at, value) for at, value in known if math.isfinite(value)]
    last_at, last = known[-1] if known else (None, None)
    run = _run(known, bars, starts_at.timestamp(), step.total_seconds())
    ended = last_at is None or end.timestamp() - last_at > 1.5 * step.total_seconds()
    began_before = run is not None and known[run[0]][0] - start.timestamp() < step.total_seconds() / 2
    bar = bars[0] if bars else None
    return Reading(
        current=last if last is not None and math.isfinite(last) else None,
        current_text=format_number(last) if last is not None and not math.isfinite(last) else "",
        current_at=last_at,
        ended=ended,
        breaching=run is not None and run[1] == len(known) - 1 and not ended,
        crossed_at=known[run[0]][0] if run is not None and not began_before else None,
        recovered_at=known[run[1] + 1][0] if run is not None and run[1] + 1 < len(known) else None,
        op=bar.op if bar else "",
        threshold=_finite(bar.value if last_at is None else bar.at(last_at)) if bar else None,
        minimum=min((value for _, value in finite), default=None),
        maximum=max((value for _, value in finite), default=None),
        first=finite[0][1] if finite else None,
        hour_ago=_value_at(finite, end.timestamp() - 3600, max(step.total_seconds(), 300)),
    )


def values(reading: Reading, unit: str) -> dict[str, str | int | float | bool | None]:
    """The reading as the values of a Fact; instants as RFC 3339 text."""
    return {
        "current": reading.current,
        "current_at": _iso(reading.current_at),
        "threshold": reading.threshold,
        "op": reading.op,
        "breaching": reading.breaching,
        "crossed_at": _iso(reading.crossed_at),
        "recovered_at": _iso(reading.recovered_at),
        "minimum": reading.minimum,
        "maximum": reading.maximum,
        "first": reading.first,
        "hour_ago": reading.hour_ago,
        "ended": reading.ended,
        "unit": unit,
    }


def describe(reading: Reading, unit: str, *, starts_at: datetime, start: datetime, now: datetime) -> str:
    """`value is 0.93 (threshold > 0.9, crossed 06:31:10Z, 10 min before the alert), was 0.42 one hour ago`."""
    if reading.current_at is None:
        return f"no sample since {clock_text(start, now)}"
    unit = shown_unit(unit, reading)
    current, threshold = _pair(reading, unit)
    bar = f"threshold {reading.op} {threshold}" if threshold else ""
    parts = ", ".join(part for part in (bar, _breach(reading, starts_at, start, now)) if part)
    line = f"last value was {current}" if reading.ended else f"value is {current}"
    if parts:
        line += f" ({parts})"
    if reading.ended:
        line += f", no sample since {clock_text(_instant(reading.current_at), now)}"
    if reading.hour_ago is not None:
        line += f", was {format_number(reading.hour_ago, unit)} one hour ago"
    return line


def shown_unit(unit: str, reading: Reading) -> str:
    """The unit to show. A quotient is a share only while it stays near one: a load of 12 per core is not "1200 %"."""
    sizes = [abs(number) for number in (reading.current, reading.maximum, reading.minimum) if number is not None]
    too_large = (reading.threshold is not None and abs(reading.threshold) > 1) or max(sizes, default=0) > 10
    return PLAIN if unit == RATIO and too_large else unit


def clock_text(instant: datetime, now: datetime) -> str:
    """`06:31:10Z`; with the date in front where it is not today's (UTC)."""
    instant = instant.astimezone(UTC)
    same_day = instant.date() == now.astimezone(UTC).date()
    return format(instant, "%H:%M:%SZ" if same_day else "%Y-%m-%d %H:%M:%SZ")


def beside_alert(instant: datetime, starts_at: datetime) -> str:
    """`10 min before the alert`, `2 min after the alert`, `when the alert fired` (within a second)."""
    distance = starts_at - instant
    if abs(distance) < timedelta(seconds=1):
        return "when the alert fired"
    return f"{readable(abs(distance))} {'before' if distance > timedelta(0) else 'after'} the alert"


def holds(value: float, bars: Sequence[Bar], at: float) -> bool:
    """Whether a sample breaks every bar at this instant; an unknown bar counts as not broken."""
    for bar in bars:
        limit = bar.at(at)
        if limit is None or not _HOLDS[bar.op](value, limit):
            return False
    return True


def _run(known: Points, bars: Sequence[Bar], starts_at: float, step: float) -> tuple[int, int] | None:
    """First and last index of the breach that speaks for the alert: the newest that began before it fired, else the newest.

    A hole longer than a step and a half ends a breach: where the series is a filtered one, holes are the good times.
    """
    runs: list[tuple[int, int]] = []
    for index, (at, value) in enumerate(known):
        if not holds(value, bars, at):
            continue
        if runs and runs[-1][1] == index - 1 and at - known[index - 1][0] <= 1.5 * step:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    before = [run for run in runs if known[run[0]][0] <= starts_at + step]
    return before[-1] if before else runs[-1] if runs else None


def _breach(reading: Reading, starts_at: datetime, start: datetime, now: datetime) -> str:
    crossed = _instant(reading.crossed_at) if reading.crossed_at is not None else None
    verb = "crossed" if reading.op else "present since"
    if reading.breaching:
        if crossed is None:
            return f"{verb} before {clock_text(start, now)}" if reading.op else f"{verb} {clock_text(start, now)} or earlier"
        return f"{verb} {clock_text(crossed, now)}, {beside_alert(crossed, starts_at)}"
    if reading.recovered_at is None:
        if not reading.op or reading.threshold is None:
            return ""
        return f"crossed {clock_text(crossed, now)}" if crossed else "" if reading.ended else "not crossed in this time"
    recovered = clock_text(_instant(reading.recovered_at), now)
    return f"crossed {clock_text(crossed, now)}, back since {recovered}" if crossed else f"back since {recovered}"


def _pair(reading: Reading, unit: str) -> tuple[str, str]:
    if reading.current is None:
        return reading.current_text, "" if reading.threshold is None else format_number(reading.threshold, unit)
    if reading.threshold is None:
        return format_number(reading.current, unit), ""
    return format_beside(reading.current, reading.threshold, unit)


def _value_at(points: Points, at: float, tolerance: float) -> float | None:
    nearest = min(points, key=lambda point: abs(point[0] - at), default=None)
    return nearest[1] if nearest is not None and abs(nearest[0] - at) <= tolerance else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else format_instant(_instant(seconds))
