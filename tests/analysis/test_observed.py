"""The telling answers have a line, the rest has a number, and none is lost."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from agent_sre.alert.subject import Subject
from agent_sre.analysis.observed import MOST_LINES, is_telling, measured
from agent_sre.evidence.evidence import Change, Data, Dependency, Evidence, EvidenceSet, KubernetesObject, LogPattern, MetricSeries, Query
from agent_sre.finding.finding import Confidence, Diagnosis, Finding
from evidence.builders import NOW, STARTS_AT

POD = Subject(kind="Pod", name="cart-0", namespace="shop")
LINE = LogPattern(template="x", level="info", subject=POD, count=5, count_before=4, first_at=None, last_at=None, sample="x", count_day_before=5)


def an_answer(number: int, kind: str, *data: Data, source: str = "kubernetes") -> Evidence:
    query = Query(id=f"E{number:02d}", source=source, kind=kind, expression="", purpose="")
    return Evidence(id=query.id, query=query, subject=POD, data=data, summary=f"{kind} said", collected_at=NOW, took=timedelta(0))


def lines(*items: Evidence, findings: tuple[Finding, ...] = ()) -> list[str]:
    diagnosis = Diagnosis(evidence=EvidenceSet(items=items), findings=findings, hypotheses=(), confidence=Confidence.LOW, confidence_reason="")
    return list(measured(diagnosis, STARTS_AT))


def a_pod(phase: str) -> KubernetesObject:
    return KubernetesObject(kind="Pod", namespace="shop", name="p", manifest={"status": {"phase": phase}})


def a_curve(*, after: float) -> MetricSeries:
    """An hour of samples around 10 before the alert, then what `after` says."""
    fired = STARTS_AT.timestamp()
    usual = tuple((fired - 3600 + 15 * step, 10.0 + step % 3) for step in range(235))
    return MetricSeries(labels={}, points=(*usual, *((fired - 60 + 15 * step, after) for step in range(8))))


def test_what_is_well_is_told_in_one_line_by_number() -> None:
    told = lines(
        an_answer(1, "pods", a_pod("Running")),
        an_answer(2, "pods", a_pod("Running"), a_pod("Failed")),
        an_answer(3, "jobs"),
        an_answer(4, "memory", a_curve(after=11.0), source="prometheus"),
        an_answer(5, "cpu", a_curve(after=80.0), source="prometheus"),
        an_answer(6, "dependencies", Dependency(source="a", destination="b", via="mesh"), source="prometheus"),
        an_answer(7, "value", source="prometheus"),
    )
    assert told == [
        "Measured: value said [E07]",
        "Kubernetes: pods said [E02]",
        "CPU: cpu said [E05]",
        "Looked at, nothing unusual seen: 4 answers [E01] [E03] [E04] [E06]",
    ]


def test_new_vanished_and_failing_lines_are_telling_and_steady_ones_are_not() -> None:
    assert not is_telling(an_answer(1, "patterns", LINE), STARTS_AT)
    for one in (replace(LINE, level="error"), replace(LINE, count_before=0, count_day_before=0), replace(LINE, count=0)):
        assert is_telling(an_answer(1, "patterns", LINE, one), STARTS_AT)
    assert is_telling(an_answer(1, "changes", Change(at=NOW, kind="rollout", subject=POD, text="x")), STARTS_AT)


def test_a_curve_without_a_history_is_told_because_nobody_can_call_it_usual() -> None:
    short = MetricSeries(labels={}, points=((STARTS_AT.timestamp(), 1.0),))
    assert is_telling(an_answer(1, "latency", short), STARTS_AT)


def test_what_a_detector_speaks_of_comes_first_and_too_many_lines_are_counted() -> None:
    items = [an_answer(number, "pods", a_pod("Failed")) for number in range(1, MOST_LINES + 4)]
    last = items[-1].id
    found = Finding(detector="d", summary="out of memory", subject=POD, facts={}, evidence_ids=(last,))
    both = replace(found, summary="two of them", evidence_ids=("E01", "E02"))
    told = lines(*items, findings=(found, both))
    assert told[0] == f"Kubernetes: out of memory – pods said [{last}]"
    assert told[MOST_LINES] == "two of them [E01] [E02]"
    assert told[-1] == "More that may matter: 3 answers [E12] [E13] [E14]"
    assert set(re.findall(r"E\d\d", " ".join(told))) == {item.id for item in items}
