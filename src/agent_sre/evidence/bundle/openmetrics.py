"""Samples with timestamps out of a text: OpenMetrics (`promtool tsdb dump-openmetrics`), Prometheus' older format, or its query API's JSON.

    cpu_seconds{pod="cart-0"} 0.5 1772449500.0          OpenMetrics: seconds
    cpu_seconds{pod="cart-0"} 0.5 1772449500000         the older format: milliseconds
    {"status":"success","data":{"resultType":"matrix","result":[{"metric":{…},"values":[[1772449500,"0.5"],…]}]}}

A case has tens of thousands of lines, so the usual ones take the short way: neighbours of one series are cut into numbers together, with one look
at what the series is. Only a line that does not fit is looked at closely. Lines that are no samples are counted, never guessed at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent_sre.evidence.evidence import MetricSeries

NAME = "__name__"

MAX_SERIES = 200_000
MAX_LABELS = 64

_MILLISECONDS = 1e11
"""A larger timestamp is in milliseconds: as seconds it would lie in the year 5138."""

_SERIES = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*"(?:, ?)?)*)\})?$')
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\.)*)"')
_QUOTED = re.compile(r'\{"((?:[^"\\\n]|\\.)*)"(?:, ?)?((?:(?:[a-zA-Z_]\w*|"(?:[^"\\\n]|\\.)*")="(?:[^"\\\n]|\\.)*"(?:, ?)?)*)\}$')
_WHOLE = re.compile(r'([a-zA-Z_:][\w:]*(?:\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*"(?:, ?)?)*\})?)\s+(\S+)(?:\s+(-?[0-9.eE+]+))?(?:\s+#\s.*)?\s*$')
_ESCAPE = re.compile(r"\\(.)")

_RUN = re.compile(r"([^\n]+) \S+ \S+(?:\n\1 \S+ \S+(?=\n|\Z))*")
"""Lines that follow each other and have all but their last two words in common: one series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What a text holds. Points are oldest first; a series that has none left is not there."""

    series: tuple[MetricSeries, ...]  # labels with __name__, in the order of the text
    lines: int = 0  # samples that were read
    bad: int = 0  # lines that are none
    first_bad: str = ""
    later: int = 0  # samples after `now`, which nobody looks at
    untimed: int = 0  # samples without a timestamp where nobody knows when they were taken


def read_text(text: str, now: datetime | None = None, *, taken_at: datetime | None = None) -> Samples:
    """The samples of a text that are not later than `now`. One without a timestamp, as `curl …/metrics` prints them, was taken at `taken_at`.

    Values that are no number (NaN: stale) are missing, and so are infinite ones. Whatever the text, this gives an answer.
    """
    limit = now.timestamp() if now is not None else math.inf
    reader = _Reader(limit, None if taken_at is None else taken_at.timestamp())
    position, end = 0, len(text)
    while position < end:
        run = None if text[position] == "#" else _RUN.match(text, position)
        if run is not None and (run.end() == end or text[run.end()] == "\n") and reader.take(run[1], run[0]):
            position = run.end() + 1
            continue
        until = text.find("\n", position)
        line = text[position : until if until >= 0 else end]
        if line and line[0] != "#" and not line.isspace():
            reader.take_line(line)
        position += len(line) + 1
    return reader.samples()


class _Reader:
    def __init__(self, limit: float, taken_at: float | None) -> None:
        self._limit = limit
        self._taken_at = taken_at
        self._points_by_series: dict[str, tuple[list[float], list[float]]] = {}  # values, instants
        self._stamps: list[str] = []
        self._instants: list[float] = []
        self._labels_by_series: dict[str, dict[str, str] | None] = {}  # None: no series
        self._tally = _Tally()

    def take(self, series: str, lines: str) -> bool:
        """A run of lines of one series; False where they are not all of the usual form, and nothing of them was taken."""
        if self._labels(series) is None:
            return False
        words = lines.replace("\n", " ").split(" ")
        stride = series.count(" ") + 3
        stamps = words[stride - 1 :: stride]
        try:
            values = [*map(float, words[stride - 2 :: stride])]
            if stamps != self._stamps:  # series that were recorded together have the same, word for word
                self._instants = [*map(float, stamps)]
                self._stamps = stamps
        except ValueError:
            return False
        self._put(series, values, self._instants)
        return True

    def _put(self, series: str, values: list[float], instants: list[float]) -> None:
        known = self._points_by_series.get(series)
        # The instants may be those of other series too, so a list that grows becomes one of its own.
        self._points_by_series[series] = (values, instants) if known is None else (known[0] + values, known[1] + instants)

    def take_line(self, line: str) -> None:
        """A line by itself: without a timestamp, with an exemplar, with other white space, or no sample at all."""
        match = _WHOLE.match(line)
        if match is None or self._labels(match[1]) is None:
            self._tally.reject(line)
            return
        try:
            value, at = float(match[2]), float(match[3]) if match[3] else None
        except ValueError:
            self._tally.reject(line)
            return
        instant = self._taken_at if at is None else at
        if instant is None:
            self._tally.untimed += 1
            return
        self._put(match[1], [value], [instant])

    def _labels(self, series: str) -> dict[str, str] | None:
        if series not in self._labels_by_series:
            self._labels_by_series[series] = labels_of(series) if len(self._labels_by_series) < MAX_SERIES else None
        return self._labels_by_series[series]

    def samples(self) -> Samples:
        """All that was taken."""
        found = []
        for series, (values, instants) in self._points_by_series.items():
            labels = self._labels_by_series[series]
            if labels and (kept := self._tally.kept(instants, values, self._limit)):
                found.append(MetricSeries(labels=labels, points=kept))
        return self._tally.samples(found)


class _Tally:
    """What was read and what was not."""

    def __init__(self) -> None:
        self.read = self.bad = self.later = self.untimed = 0
        self.first_bad = ""
        self._looked_at: list[float] | None = None
        self._rising = False

    def reject(self, line: str) -> None:
        """A line that is no sample."""
        self.bad += 1
        self.first_bad = self.first_bad or line[:200]

    def kept(self, instants: list[float], values: list[float], limit: float) -> tuple[tuple[float, float], ...]:
        """Finite, in seconds, ascending, one per instant, not after the limit."""
        self.read += len(instants)
        if instants is not self._looked_at:
            self._looked_at = instants
            self._rising = len(set(instants)) == len(instants) and instants == sorted(instants)
        if self._rising and instants[0] >= 0 and instants[-1] <= min(limit, _MILLISECONDS) and math.isfinite(sum(values)):
            return tuple(zip(instants, values, strict=True))
        points = [(at / 1000 if at > _MILLISECONDS else at, value) for at, value in zip(instants, values, strict=True)]
        good = [point for point in points if math.isfinite(point[1]) and 0 <= point[0] < _MILLISECONDS]
        early = [point for point in good if point[0] <= limit]
        self.later += len(good) - len(early)
        return tuple(sorted(dict(early).items()))  # of two at one instant the later line counts

    def samples(self, found: list[MetricSeries]) -> Samples:
        """The tally with its series."""
        return Samples(series=tuple(_joined(found)), lines=self.read, bad=self.bad, first_bad=self.first_bad, later=self.later, untimed=self.untimed)


def labels_of(series: str) -> dict[str, str] | None:
    """`cpu_seconds{pod="cart-0"}` as labels with __name__; None where it is no series. Names in quotes (UTF-8 names) are read too."""
    match = _SERIES.match(series)
    if match is not None:
        labels = {NAME: match[1]}
        pairs = _LABEL.findall(match[2] or "")
    else:
        quoted = _QUOTED.match(series)
        if quoted is None:
            return None
        labels = {NAME: _unescaped(quoted[1])}
        pairs = [(name or _unescaped(other), value) for name, other, value in _QUOTED_LABEL.findall(quoted[2])]
    if len(pairs) > MAX_LABELS:
        return None
    for name, value in pairs:
        labels[name] = _unescaped(value) if "\\" in value else value
    return labels


_QUOTED_LABEL = re.compile(r'(?:([a-zA-Z_]\w*)|"((?:[^"\\\n]|\\.)*)")="((?:[^"\\\n]|\\.)*)"')


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)


def _joined(found: list[MetricSeries]) -> Iterable[MetricSeries]:
    """One series per label set: the same labels can be written in several orders."""
    by_labels: dict[tuple[tuple[str, str], ...], MetricSeries] = {}
    for series in found:
        key = tuple(sorted(series.labels.items()))
        known = by_labels.get(key)
        if known is not None:
            series = MetricSeries(labels=series.labels, points=tuple(sorted(dict([*known.points, *series.points]).items())))
        by_labels[key] = series
    return by_labels.values()


# The query API


def is_answer(document: Any) -> bool:
    """Whether a document is an answer of the query API, an error included."""
    return isinstance(document, Mapping) and document.get("status") in ("success", "error") and ("data" in document or "error" in document)


def read_matrix(document: Any, now: datetime | None = None) -> Samples | None:
    """The series of an answer of /api/v1/query_range or /query; None where the document is no such answer."""
    data = document.get("data") if isinstance(document, Mapping) and document.get("status") == "success" else None
    results = data.get("result") if isinstance(data, Mapping) and data.get("resultType") in ("matrix", "vector") else None
    if not isinstance(results, list):
        return None
    limit = now.timestamp() if now is not None else math.inf
    tally = _Tally()
    found = []
    for result in results[:MAX_SERIES]:
        metric = result.get("metric") if isinstance(result, Mapping) else None
        if not isinstance(metric, Mapping):
            tally.reject(str(result)[:200])
            continue
        labels = {name: value for name, value in metric.items() if isinstance(name, str) and isinstance(value, str)}
        instants, numbers = _points(result.get("values") if "values" in result else [result.get("value")], tally)
        if instants and (kept := tally.kept(instants, numbers, limit)):
            found.append(MetricSeries(labels=labels, points=kept))
    return tally.samples(found)


def _points(values: Any, tally: _Tally) -> tuple[list[float], list[float]]:
    instants: list[float] = []
    numbers: list[float] = []
    for pair in values if isinstance(values, list) else ():
        try:
            at, value = pair
            instant, number = float(at), float(value)
        except (TypeError, ValueError, OverflowError):
            tally.reject(str(pair)[:200])
            continue
        instants.append(instant)
        numbers.append(number)
    return instants, numbers
