"""What every detector promises: it never raises, never changes its mind, and cites only what it was given."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Change, Dependency, Evidence, EvidenceSet, Fact, LogPattern, MetricSeries, Query, Window
from agent_sre.evidence.playbook import load_playbooks, playbook_for
from agent_sre.finding.cause import causes
from agent_sre.finding.detectors import DETECTORS
from agent_sre.finding.diagnose import diagnose
from agent_sre.finding.finding import Finding
from agent_sre.finding.world import World
from agent_sre.incident.incident import Incident
from agent_sre.kit.values import from_json, to_json
from conformance import worlds
from evidence.builders import NOW, an_alert, an_incident
from fakes.hostile import HOSTILE, HOSTILE_MARKDOWN

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "detectors.md"

KINDS = (
    ("prometheus", "value"), ("prometheus", "threshold"), ("prometheus", "active"), ("prometheus", "rule"), ("prometheus", "up"),
    ("prometheus", "targets"), ("prometheus", "series"), ("prometheus", "latency"), ("kubernetes", "pods"), ("kubernetes", "manifests"),
    ("kubernetes", "logs"), ("bundle", "units"), ("bundle", "anomalies"), ("history", "recurrence"), ("history", "related"),
    ("history", "usual"), ("alert", "alert"), ("alert", "members"),
)  # fmt: skip
FACTS = ("value", "absent", "active", "rule", "up", "target", "recurrence", "related", "nearness", "counts", "warning", "usual", "usual_alert")
NAMES = (
    "current", "threshold", "op", "breaching", "ended", "present", "count", "median_seconds", "down", "total", "health", "last_error",
    "state", "name", "kind", "object", "namespace", "near", "starts_at", "incident", "same node", "same namespace", "instance",
    "fingerprint", "incidents",
)  # fmt: skip

words = st.one_of(
    st.text(max_size=40), st.sampled_from([*HOSTILE[:20], *HOSTILE_MARKDOWN[:10], "same node", "Node", "down", "connection refused", ">", "<"])
)
instants = st.sampled_from([datetime(1, 1, 2, tzinfo=UTC), NOW, NOW - timedelta(days=1), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)])
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), words, instants.map(datetime.isoformat))
facts = st.builds(
    Fact,
    name=st.sampled_from(FACTS),
    text=words,
    values=st.dictionaries(st.sampled_from(NAMES), scalars, max_size=12),
)
services = st.one_of(words, st.sampled_from(["shop", "cart", "stock", "cart-6d5f8c7b9d-x2x4z"]))
LABELS = ("source", "destination", "service", "pod", "reporter", "namespace", "component")
metrics = st.sampled_from([
    "pod_cpu_usage_percent", "container_memory_usage_bytes", "edge_latency_ms", "requests_per_second", "edge_success_percent", "pod_syscall_read",
    "service_graph_network_p90_us", "service_graph_client_p50_us", "kubelet_volume_stats_used_bytes", "container_network_receive_bytes_total",
])  # fmt: skip
near = st.floats(NOW.timestamp() - 1800, NOW.timestamp() + 120)
labelled = st.builds(
    MetricSeries,
    labels=st.fixed_dictionaries({"__name__": st.one_of(metrics, words)}, optional=dict.fromkeys(LABELS, services)),
    points=st.lists(st.tuples(st.one_of(near, st.floats()), st.one_of(st.floats(), st.integers(-2, 200).map(float))), max_size=30).map(tuple),
)  # fmt: skip
dependencies = st.builds(Dependency, source=services, destination=services, via=words)
changes = st.builds(
    Change, at=st.one_of(st.none(), instants), kind=words, subject=st.builds(Subject, kind=words, name=services), text=words,
    diff=st.lists(services.map("+ {}".format), max_size=3).map(tuple),
)  # fmt: skip
patterns = st.builds(
    LogPattern, template=words, level=st.sampled_from(["", "error", "fatal", "info"]), subject=st.builds(Subject, kind=words, name=services),
    count=st.integers(-1, 10**9), count_before=st.one_of(st.none(), st.integers(-1, 10**9)), first_at=st.none(), last_at=st.none(), sample=words,
)  # fmt: skip
curves = st.builds(MetricSeries, labels=st.just({}), points=st.lists(st.tuples(st.floats(), st.floats()), max_size=40).map(tuple))
windows = st.one_of(st.none(), st.builds(Window, start=instants, end=instants, step=st.just(timedelta(seconds=15))))


@st.composite
def answers(draw: st.DrawFn) -> Evidence:
    source, kind = draw(st.sampled_from(KINDS))
    evidence_id = draw(st.sampled_from(["E01", "E02", "E03"]))
    return Evidence(
        id=evidence_id,
        query=Query(id=evidence_id, source=source, kind=kind, expression=draw(words), purpose=draw(words), window=draw(windows)),
        subject=Subject(kind="Pod", name=draw(words)),
        data=tuple(draw(st.lists(st.one_of(facts, curves, labelled, dependencies, changes, patterns), max_size=8))),
        summary=draw(words),
        collected_at=NOW,
        took=timedelta(0),
    )


@st.composite
def clusters(draw: st.DrawFn) -> EvidenceSet:
    """A cluster's objects, logs, changes, edges and curves, of which anything may be of another kind than it should be."""
    parts = [
        ("kubernetes", "pods", worlds.objects()), ("kubernetes", "manifests", worlds.objects()), ("kubernetes", "logs", worlds.log_patterns),
        ("kubernetes", "changes", worlds.changes), ("prometheus", "edges", worlds.dependencies), ("prometheus", "series", worlds.named_curves),
        ("bundle", "anomalies", facts), ("bundle", "units", facts),
    ]  # fmt: skip
    return EvidenceSet(items=tuple(_answer(f"E{place:02d}", *part, draw) for place, part in enumerate(parts, 1)))


def _answer(evidence_id: str, source: str, kind: str, data: st.SearchStrategy[Any], draw: st.DrawFn) -> Evidence:
    return Evidence(
        id=evidence_id, query=Query(id=evidence_id, source=source, kind=kind, expression="x", purpose="x"),
        subject=Subject(kind="Namespace", name="shop"),
        data=tuple(draw(st.lists(data, max_size=8))), summary="x", collected_at=NOW, took=timedelta(0),
    )  # fmt: skip


@st.composite
def incidents(draw: st.DrawFn) -> Incident:
    labels = st.dictionaries(st.sampled_from(["namespace", "pod", "node", "job", "instance", "deployment"]), words, max_size=4)
    members = [
        an_alert(draw(words) or "x", labels=draw(labels), starts_at=draw(instants), ends_at=draw(st.one_of(st.none(), instants)))
        for _ in range(draw(st.integers(1, 4)))
    ]
    return an_incident(*members)


evidence_sets = st.one_of(st.builds(lambda items: EvidenceSet(items=tuple(items)), st.lists(answers(), max_size=6)), clusters())


def test_the_registry_s_keys_are_the_detectors_names() -> None:
    assert {name: detector.name for name, detector in DETECTORS.items()} == {name: name for name in DETECTORS}


def test_every_detector_has_a_heading_in_the_reference() -> None:
    headings = re.findall(r"^## `(\w+)`$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == list(DETECTORS)


@pytest.mark.parametrize("name", DETECTORS)
def test_without_evidence_nothing_is_measured(name: str) -> None:
    for finding in DETECTORS[name].detect(World(an_incident(), EvidenceSet())):
        assert not finding.evidence_ids


# One world for all detectors: making a hostile world takes far longer than looking at it.


@given(incident=incidents(), evidence=evidence_sets)
@settings(max_examples=100, deadline=None)
def test_any_evidence_gives_findings_and_no_exception(incident: Incident, evidence: EvidenceSet) -> None:
    known = {item.id for item in evidence.items}
    world, again = World(incident, evidence), World(incident, evidence)
    for name, detector in DETECTORS.items():
        found = tuple(detector.detect(world))
        for finding in found:
            assert finding.detector == name
            assert finding.summary.strip()
            assert not finding.cause or finding.cause in causes(), "a cause without an entry is lost in ranking"
            assert "\n" not in finding.summary
            assert set(finding.evidence_ids) <= known
            assert from_json(Finding, to_json(Finding, finding)) == finding
        assert tuple(detector.detect(again)) == found


@given(incident=incidents(), evidence=evidence_sets)
@settings(max_examples=60, deadline=None)
def test_any_evidence_gives_a_diagnosis(incident: Incident, evidence: EvidenceSet) -> None:
    result = diagnose(incident, evidence, playbook_for(incident.lead.name, load_playbooks()))
    assert result.hypotheses
    assert result.confidence_reason
