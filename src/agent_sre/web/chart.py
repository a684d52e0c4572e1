"""Small charts without JavaScript: metric series as one inline SVG.

The plot is stretched to the width of its card and the words are not, so that a phone gets the same letters as a desk: the curves live in
a nested `<svg preserveAspectRatio="none">`, the labels stand outside it at percentages. Colours come from classes in static/style.css,
because the pages' CSP forbids style attributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from markupsafe import Markup

from agent_sre.evidence.evidence import MetricSeries
from agent_sre.evidence.numbers import BYTES, BYTES_PER_SECOND, PLAIN, TIMESTAMP, format_number
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

MAX_SERIES = 5
"""Curves in one chart. The source sends the ones that matter first; more than five cannot be told apart by colour."""

_COLUMNS = 300
"""Points are thinned to the lowest and the highest of each of this many columns: no more can be seen, and peaks stay."""

_PLOT_WIDTH, _PLOT_HEIGHT, _PLOT_TOP, _HEIGHT = 1000, 100, 8, 132
_GUTTER_PERCENT = 15
_LAST_INSTANT = 253_402_300_799  # the end of year 9999, the last that a datetime can say
_LARGEST = 1e300  # sums and differences of what is smaller stay finite

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where the plot begins and ends in both directions."""

    start: float
    end: float
    low: float
    high: float
    ticks: tuple[float, ...]

    def x(self, instant: float) -> float:
        return (instant - self.start) / (self.end - self.start) * _PLOT_WIDTH

    def y(self, value: float) -> float:
        return _PLOT_HEIGHT - (value - self.low) / (self.high - self.low) * _PLOT_HEIGHT


def sparkline(series: Sequence[MetricSeries], *, threshold: float | None, fired_at: datetime | None, unit: str = PLAIN) -> Markup:
    """The first MAX_SERIES series as a `<figure>` with one SVG and its legend; empty where there is nothing to draw.

    `threshold` is a dashed line, `fired_at` begins a shade that reaches to the right edge (left out where it lies after the last point).
    Missing and non-finite points break the line; a lonely point is a dot. `unit` is a word of `evidence.numbers.UNITS`.
    """
    curves = [(each, points) for each in series[:MAX_SERIES] if (points := _drawable(each))]
    if not curves:
        return Markup("")
    if threshold is not None and not _is_drawable(threshold):
        threshold = None
    frame = _frame([points for _, points in curves], threshold, binary=unit in (BYTES, BYTES_PER_SECOND))
    fired = fired_at.timestamp() if fired_at is not None else None
    if fired is not None and fired >= frame.end:
        fired = None
    drawing = Markup("").join(
        (
            _shade(frame, fired),
            *(_curve(frame, points, position, alone=len(curves) == 1) for position, (_, points) in enumerate(curves)),
            _threshold_line(frame, threshold),
        )
    )
    return Markup(
        '<figure class="chart"><svg class="plot" role="img" width="100%" height="{height}"><title>{title}</title>{grid}'
        '<svg x="{gutter}%" y="{top}" width="{rest}%" height="{plot}" viewBox="0 0 {width} {plot}" preserveAspectRatio="none"'
        ' overflow="visible">{drawing}</svg>{clock}</svg>{legend}</figure>'
    ).format(
        height=_HEIGHT,
        title=_title(frame, curves, threshold, fired, unit),
        grid=_grid(frame, unit),
        gutter=_GUTTER_PERCENT,
        top=_PLOT_TOP,
        rest=100 - _GUTTER_PERCENT,
        plot=_PLOT_HEIGHT,
        width=_PLOT_WIDTH,
        drawing=drawing,
        clock=_clock(frame),
        legend=_legend([each for each, _ in curves], hidden=len(series) - len(curves), frame=frame, threshold=threshold, fired=fired, unit=unit),
    )


def _number(value: float, unit: str) -> str:
    # A date is wider than the gutter, and as a number it at least says which one is later.
    return format_number(value, PLAIN if unit == TIMESTAMP else unit, digits=4)


def _is_drawable(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= _LARGEST


def _drawable(series: MetricSeries) -> Points:
    return [(at, value) for at, value in series.points if 0 <= at <= _LAST_INSTANT and _is_drawable(value)]


def _frame(curves: Sequence[Points], threshold: float | None, *, binary: bool) -> _Frame:
    start, end = min(points[0][0] for points in curves), max(points[-1][0] for points in curves)
    values = [value for points in curves for _, value in points] + ([] if threshold is None else [threshold])
    low, high = min(values), max(values)
    if 0 < low < high * 0.6:
        low = 0.0  # near enough to zero to show how far from zero it is
    if low == high:
        low, high = (0.0, high) if high > 0 else (low, 0.0) if low < 0 else (0.0, 1.0)
    ticks = _ticks(low, high, binary=binary)
    return _Frame(start=start, end=end if end > start else start + 1, low=ticks[0], high=ticks[-1], ticks=ticks)


def _ticks(low: float, high: float, *, binary: bool) -> tuple[float, ...]:
    """Round numbers that enclose low and high, three to six of them; low and high themselves where floats are too coarse for that."""
    raw = (high - low) / 3
    if not _is_drawable(raw) or raw <= max(abs(low), abs(high)) * 1e-9:
        return (low, high) if high > low else (low, low + 1)
    if binary and raw >= 1:
        step = 2.0 ** math.ceil(math.log2(raw))
    else:
        magnitude = 10.0 ** math.floor(math.log10(raw))
        step = next((factor * magnitude for factor in (1, 2, 2.5, 5) if factor * magnitude >= raw), 10 * magnitude)
    first, last = math.floor(low / step), math.ceil(high / step)
    return tuple(count * step for count in range(first, last + 1))


def _runs(points: Points) -> Iterable[Points]:
    """The stretches between gaps. The points of a range query stand one step apart, so the smallest distance is the step."""
    distances = [later[0] - earlier[0] for earlier, later in pairwise(points)]
    allowed = 1.5 * min((distance for distance in distances if distance > 0), default=math.inf)
    run = points[:1]
    for distance, point in zip(distances, points[1:], strict=True):
        if distance > allowed:
            yield run
            run = []
        run.append(point)
    yield run


def _thinned(frame: _Frame, run: Points) -> Points:
    if len(run) <= 2 * _COLUMNS:
        return run
    columns: dict[int, Points] = {}
    for point in run:
        columns.setdefault(int(frame.x(point[0]) * _COLUMNS / _PLOT_WIDTH), []).append(point)
    kept: Points = []
    for column in columns.values():
        extremes = {min(column, key=lambda point: point[1]), max(column, key=lambda point: point[1])}
        kept.extend(sorted(extremes))
    return kept


def _curve(frame: _Frame, points: Points, position: int, *, alone: bool) -> Markup:
    lines, areas = [], []
    for run in _runs(points):
        corners = [f"{frame.x(at):.1f} {frame.y(value):.1f}" for at, value in _thinned(frame, run)]
        # A line to itself, not a circle: the plot is stretched, and a circle would come out as an ellipse.
        line = f"M{corners[0]}h.01" if len(corners) == 1 else "M" + "L".join(corners)
        lines.append(line)
        if alone and len(corners) > 1:
            areas.append(f"{line}V{_PLOT_HEIGHT}H{frame.x(run[0][0]):.1f}Z")
    area = Markup('<path class="area" d="{}"/>').format("".join(areas)) if areas else Markup("")
    return area + Markup('<path class="curve s{}" fill="none" vector-effect="non-scaling-stroke" d="{}"/>').format(position, "".join(lines))


def _shade(frame: _Frame, fired: float | None) -> Markup:
    if fired is None:
        return Markup("")
    left = max(0.0, frame.x(fired))
    return Markup('<rect class="firing" x="{:.1f}" y="0" width="{:.1f}" height="{}"/>').format(left, _PLOT_WIDTH - left, _PLOT_HEIGHT)


def _threshold_line(frame: _Frame, threshold: float | None) -> Markup:
    if threshold is None:
        return Markup("")
    return Markup(
        '<line class="threshold" x1="0" x2="{}" y1="{y:.1f}" y2="{y:.1f}" stroke-dasharray="6 4" vector-effect="non-scaling-stroke"/>'
    ).format(_PLOT_WIDTH, y=frame.y(threshold))


def _grid(frame: _Frame, unit: str) -> Markup:
    line = Markup(
        '<line class="grid" x1="{left}%" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        '<text x="{words}%" y="{y:.1f}" dy=".32em" text-anchor="end">{text}</text>'
    )
    heights = ((tick, _PLOT_TOP + frame.y(tick)) for tick in frame.ticks)
    return Markup("").join(line.format(left=_GUTTER_PERCENT, words=_GUTTER_PERCENT - 1.5, y=y, text=_number(tick, unit)) for tick, y in heights)


def _clock(frame: _Frame) -> Markup:
    text = Markup('<text x="{}%" y="{}" text-anchor="{}">{}</text>')
    bottom = _HEIGHT - 6
    return text.format(_GUTTER_PERCENT, bottom, "start", _time(frame, frame.start)) + text.format(100, bottom, "end", _time(frame, frame.end))


def _time(frame: _Frame, instant: float) -> str:
    """`05:40` where the chart shows less than a day, else `22 Nov 05:40`. UTC."""
    moment = datetime.fromtimestamp(instant, UTC)
    return f"{moment:%H:%M}" if frame.end - frame.start < 86400 else f"{moment.day} {moment:%b %H:%M}"


def _title(frame: _Frame, curves: Sequence[tuple[MetricSeries, Points]], threshold: float | None, fired: float | None, unit: str) -> str:
    values = [value for _, points in curves for _, value in points]
    return (
        f"{len(curves)} series from {_time(frame, frame.start)} to {_time(frame, frame.end)} UTC,"
        f" lowest {_number(min(values), unit)}, highest {_number(max(values), unit)}, last {_number(curves[0][1][-1][1], unit)}"
        + (f", threshold {_number(threshold, unit)}" if threshold is not None else "")
        + (f", firing since {_time(frame, fired)}" if fired is not None else "")
    )


def _legend(series: Sequence[MetricSeries], *, hidden: int, frame: _Frame, threshold: float | None, fired: float | None, unit: str) -> Markup:
    entries = []
    if len(series) > 1:
        entries += [_entry(f"curve s{position}", name) for position, name in enumerate(_names([each.labels for each in series]))]
    if threshold is not None:
        entries.append(_entry("threshold", f"threshold {_number(threshold, unit)}"))
    if fired is not None:
        entries.append(_entry("firing", f"firing since {_time(frame, fired)}"))
    if hidden > 0:
        entries.append(Markup("<li>{} more not drawn</li>").format(hidden))
    return Markup('<figcaption><ul class="legend">{}</ul></figcaption>').format(Markup("").join(entries)) if entries else Markup("")


def _entry(kind: str, text: str) -> Markup:
    if kind == "firing":
        sign = Markup('<rect class="firing" width="16" height="10"/>')
    else:
        dash = Markup(' stroke-dasharray="4 3"') if kind == "threshold" else Markup("")
        sign = Markup('<line class="{}" x1="0" x2="16" y1="5" y2="5"{}/>').format(kind, dash)
    return Markup('<li><svg class="key" width="16" height="10" aria-hidden="true">{}</svg> {}</li>').format(sign, text)


def _names(labels: Sequence[Mapping[str, str]]) -> list[str]:
    """What tells the series apart: only the labels whose values differ."""
    differing = [name for name in sorted({name for each in labels for name in each}) if len({each.get(name) for each in labels}) > 1]
    return [one_line(redact(", ".join(f"{name}={each[name]}" for name in differing if name in each)), 90) or "no labels" for each in labels]
