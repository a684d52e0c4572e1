"""Whether the subject is the odd one out among its like: what to leave of its labels, and how far off its value is. Pure.

The same thing measured on six healthy pods says more about the seventh than any threshold: if all are high the cause is shared, if one is
high it is its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from agent_sre.evidence.numbers import format_beside, format_number
from agent_sre.evidence.prometheus import labels as words
from agent_sre.evidence.prometheus.client import Series

_IDENTITY = frozenset({
    *words.POD, *words.CONTAINER, *words.NODE, *words.WORKLOAD, *words.SERVICE, *words.INSTANCE, *words.CALLED,
    "uid", "id", "name", "image", "image_id", "container_id", "endpoint", "pod_ip", "host_ip", "internal_ip", "persistentvolumeclaim",
    "persistentvolume", "job_name", "cronjob", "replicaset", "horizontalpodautoscaler", "poddisruptionbudget", "created_by_name", "owner_name",
})  # fmt: skip
"""Labels that tell one object from its siblings. All others say what is measured, and stay."""

NAMED_BY = tuple(
    name
    for name in (
        *words.POD, *words.CALLED, *words.WORKLOAD, *words.SERVICE, *words.CONTAINER, *words.NODE, *words.INSTANCE, "persistentvolumeclaim",
        *words.NAMESPACE,
    )
    if "." not in name  # Prometheus before 3.0 does not parse such a name, and nobody has seen yet whether this one has it
)  # fmt: skip
"""By what a single metric of an expression is split where the expression itself has only one series."""

_ODD = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a value stands among others of its kind. `score` is its distance from their median in units of their usual distance."""

    value: float
    middle: float
    rank: int  # 1 is the highest
    total: int  # itself included
    score: float
    odd: bool  # no other is nearly as far off


def shared(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that a subject has in common with its siblings."""
    return {name: value for name, value in labels.items() if name not in _IDENTITY}


def newest(series: Sequence[Series]) -> list[tuple[Series, float]]:
    """Every series with its newest number; those without a finite one are left out."""
    found = []
    for one in series:
        last = next((value for _, value in reversed(one.points) if math.isfinite(value)), None)
        if last is not None:
            found.append((one, last))
    return found


def standing(own: float, others: Sequence[float]) -> Standing | None:
    """How a value stands among the others; None without any."""
    if not others:
        return None
    middle = median(others)
    spread = median(abs(value - middle) for value in others)
    # Siblings that agree to the last digit would make every difference infinite.
    floor = max(0.05 * abs(middle), 0.02 * max(abs(own), *(abs(value) for value in others)), 1e-9)
    unit = max(spread, floor)
    score = abs(own - middle) / unit
    next_best = max(abs(value - middle) / unit for value in others)
    odd = score >= _ODD and score >= 2 * next_best
    return Standing(value=own, middle=middle, rank=1 + sum(value > own for value in others), total=len(others) + 1, score=score, odd=odd)


def describe(found: Standing, name: str, unit: str) -> str:
    """`cart-0 is the odd one out of 7: 95 %, the others' median is 41 %`."""
    own, middle = format_beside(found.value, found.middle, unit)
    others = found.total - 1
    of_others = "the other has" if others == 1 else f"the median of the {others} others is"
    if found.odd:
        return f"{name} is the odd one out: {own}, {of_others} {middle}"
    if found.score < _ODD:
        return f"{name} is like its {'sibling' if others == 1 else f'{others} siblings'}: {own}, {of_others} {middle}"
    place = "the highest" if found.rank == 1 else "the lowest" if found.rank == found.total else f"number {found.rank} from above"
    return f"{name} is {place} of {found.total}, but not alone: {own}, {of_others} {middle}"


def farthest(found: Sequence[tuple[Series, float]], middle: float, limit: int) -> list[tuple[Series, float]]:
    """The series that are farthest from the middle, at most `limit`."""
    return sorted(found, key=lambda item: (-abs(item[1] - middle), sorted(item[0].labels.items())))[:limit]


def table(found: Sequence[tuple[Series, float]], unit: str, limit: int) -> str:
    """`cart-0 95 %, cart-3 44 %, cart-1 41 %`."""
    return ", ".join(f"{words.called(series.labels)} {format_number(value, unit)}" for series, value in found[:limit])
