"""Evidence as the sources write it, from the few values that a test is about. That the real sources do write it so is tested in test_fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Evidence, EvidenceSet, Fact, Gap, MetricSeries, Query, Window
from agent_sre.finding.facts import Value
from evidence.builders import NOW, STARTS_AT

WEEK = Window(start=NOW - timedelta(days=7), end=NOW, step=timedelta(days=7))


def answer(
    source: str,
    kind: str,
    *data: Fact | MetricSeries,
    number: int = 1,
    summary: str = "",
    fingerprint: str = "",
    expression: str = "",
    language: str = "",
) -> Evidence:
    query = Query(
        id=f"E{number:02d}",
        source=source,
        kind=kind,
        expression=expression or kind,
        purpose=f"what {kind} says",
        language=language,
        window=WEEK,
        fingerprint=fingerprint,
    )
    return Evidence(
        id=query.id,
        query=query,
        subject=Subject(kind="Pod", name="cart-0", namespace="shop"),
        data=data,
        summary=summary or f"{kind} summary",
        collected_at=NOW,
        took=timedelta(milliseconds=3),
    )


def gap(reason: str, detail: str, *, source: str = "prometheus", kind: str = "off", number: int = 9) -> Gap:
    query = Query(id=f"E{number:02d}", source=source, kind=kind, expression="", purpose=f"what {source} knows")
    return Gap(query=query, reason=reason, detail=detail)


def evidence_set(*items: Evidence | Gap) -> EvidenceSet:
    return EvidenceSet(items=tuple(item for item in items if isinstance(item, Evidence)), gaps=tuple(item for item in items if isinstance(item, Gap)))


def value(
    points: Sequence[float], *, op: str = ">", threshold: float | None = 80.0, breaching: bool = True, number: int = 1, ended: bool = False
) -> Evidence:
    current = points[-1] if points else None
    values: dict[str, Value] = {
        "current": current, "threshold": threshold, "op": op, "breaching": breaching, "ended": ended, "crossed_at": None,
    }  # fmt: skip
    curve = MetricSeries(labels={"pod": "cart-0"}, points=tuple((NOW.timestamp() + 15 * i, point) for i, point in enumerate(points)))
    fact = Fact(name="value", text=f"value is {current}", values=values)
    return answer(
        "prometheus",
        "value",
        fact,
        curve,
        number=number,
        summary=f"value is {current} (threshold {op} {threshold})",
        expression="memory",
        language="promql",
    )


def recurrence(count: int, *, median_seconds: float | None = None, number: int = 2) -> Evidence:
    fact = Fact(name="recurrence", text="", values={"count": count, "median_seconds": median_seconds})
    return answer("history", "recurrence", fact, number=number, summary=f"fired {count} times before in the last 7 d")


def other(name: str, kind: str, object_name: str, *, near: str, minutes_before: float = 3, namespace: str = "") -> Fact:
    started = STARTS_AT - timedelta(minutes=minutes_before)
    values: dict[str, Value] = {
        "name": name, "severity": "critical", "kind": kind, "object": object_name, "namespace": namespace, "node": "", "near": near,
        "starts_at": started.isoformat(), "incident": "INC-3",
    }  # fmt: skip
    return Fact(name="related", text=name, values=values)


def related(*others: Fact, near: Mapping[str, int] | None = None, number: int = 3) -> Evidence:
    counts = Fact(name="nearness", text="", values={**(near or {})})
    return answer("history", "related", counts, *others, number=number, summary=f"{len(others)} other open alerts")


def target(error: str, *, instance: str = "10.0.0.7:9100", health: str = "down") -> Fact:
    values: dict[str, Value] = {"instance": instance, "job": "api", "health": health, "last_error": error}
    return Fact(name="target", text=f"{instance} is {health}: {error}", values=values)


def targets(*found: Fact, number: int = 4) -> Evidence:
    return answer("prometheus", "targets", *found, number=number)


def rule(*, health: str = "ok", error: str = "", number: int = 5) -> Evidence:
    fact = Fact(name="rule", text="memory > 80", values={"expression": "memory > 80", "health": health, "last_error": error})
    return answer("prometheus", "rule", fact, number=number)
