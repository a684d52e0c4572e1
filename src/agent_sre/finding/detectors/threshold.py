"""The alert's own value against its threshold: by how much, in which direction, and with which shape it got there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean, median

from agent_sre.evidence.evidence import Evidence, Fact
from agent_sre.finding.facts import Value, facts, member_of, number, of_kind, series, text
from agent_sre.finding.finding import Finding
from agent_sre.finding.world import World
from agent_sre.incident.incident import Incident

_FLAT = 0.05  # of the range that the curve has covered: a smaller move is noise to the reader
_FEWEST_POINTS = 8
_OUT_OF_REACH = 100  # times the threshold; then "900 % above" says less than the two numbers in the evidence


class ThresholdCrossed:
    """Reads `value` of Prometheus."""

    name = "threshold"

    def detect(self, world: World) -> Iterable[Finding]:
        incident, evidence = world.incident, world.evidence
        for item in of_kind(evidence, "prometheus", "value"):
            for fact in facts(item, "value"):
                yield self._crossing(incident, item, fact)
                break  # the first series is the alert's own
            for fact in facts(item, "absent"):
                present = fact.values.get("present") is True
                summary = "What was missing is there again" if present else "What the rule looks for is still missing"
                yield self._finding(incident, item, summary, {"breaching": not present})

    def _crossing(self, incident: Incident, item: Evidence, fact: Fact) -> Finding:
        values = fact.values
        current, threshold, op = number(values, "current"), number(values, "threshold"), text(values, "op")
        breaching = values.get("breaching") is True
        ended = values.get("ended") is True
        curve = next((one.points for one in series(item)), ())
        trend = _trend(curve)
        shape = _shape(curve, op) if breaching else ""
        known: dict[str, Value] = {"breaching": breaching, "trend": trend, "current": current, "threshold": threshold}
        if shape:
            known["clue"] = shape
        over = _over(current, threshold) if breaching else None
        if over is not None:
            known["over_ratio"] = over
        return self._finding(incident, item, _sentence(breaching, ended, over, trend, shape, op), known)

    def _finding(self, incident: Incident, item: Evidence, summary: str, known: dict[str, Value]) -> Finding:
        member = member_of(incident, item)
        return Finding(detector=self.name, summary=summary, subject=member.subject, facts=known, evidence_ids=(item.id,))


def _over(current: float | None, threshold: float | None) -> float | None:
    if current is None or threshold is None or threshold == 0:
        return None
    over = abs(current - threshold) / abs(threshold)
    return over if over <= _OUT_OF_REACH else None


def _sentence(breaching: bool, ended: bool, over: float | None, trend: str, shape: str, op: str) -> str:
    if ended:
        return "The series has ended, so nothing is known about now"
    if not breaching:
        return f"Not across its threshold now{f', and {trend}' if trend else ''}"
    side = "below" if op.startswith("<") else "above"
    if op in ("==", "!=") or not op:
        words = "Still as the rule describes it"
    elif over is None or over < 0.005:
        words = f"Just {side} its threshold" if over is not None else f"Still {side} its threshold"
    else:
        words = f"{over * 100:.0f} % {side} its threshold"
    if trend:
        words += f", {'steady' if trend == 'flat' else f'still {trend}'}"
    return words + {"steady_growth": ", after a steady climb", "jump": ", after a sudden step"}.get(shape, "")


def _scaled(points: Sequence[tuple[float, float]]) -> list[float]:
    """The finite values, divided by the largest, so that no sum of them can overflow."""
    values = [value for _, value in points if math.isfinite(value)]
    largest = max(map(abs, values), default=0.0)
    return [value / largest for value in values] if largest > 0 else values


def _trend(points: Sequence[tuple[float, float]]) -> str:
    """`rising`, `falling` or `flat` over the last fifth of the curve; empty where there are too few points."""
    values = _scaled(points)
    if len(values) < _FEWEST_POINTS:
        return ""
    tail = values[-max(4, len(values) // 5) :]
    half = len(tail) // 2
    spread = max(values) - min(values)
    if spread == 0:
        return "flat"
    move = (fmean(tail[half:]) - fmean(tail[:half])) / spread
    return "flat" if abs(move) < _FLAT else "rising" if move > 0 else "falling"


def _shape(points: Sequence[tuple[float, float]], op: str) -> str:
    """`jump` where one step made most of the way, `steady_growth` where many small ones did; empty in between.

    For a value that is too low, falling is what growing is for others.
    """
    values = [-value for value in _scaled(points)] if op.startswith("<") else _scaled(points)
    if len(values) < _FEWEST_POINTS:
        return ""
    quarter = len(values) // 4
    rise = median(values[-quarter:]) - median(values[:quarter])
    if rise < 0.2:  # of the largest value
        return ""
    # over two steps, because a scrape may fall into the middle of the change
    widest = max(after - before for before, after in zip(values, values[2:], strict=False))
    if widest >= 0.7 * rise:
        return "jump" if max(values) - min(values) <= 1.5 * rise else ""
    fourths = [fmean(values[start : start + quarter]) for start in range(0, 4 * quarter, quarter)]
    climbs = all(after > before for before, after in pairwise(fourths))
    return "steady_growth" if climbs and widest <= 0.25 * rise else ""
