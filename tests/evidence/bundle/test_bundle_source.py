"""The bundle as a source: what it plans, what it answers, what it puts first."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from agent_sre.evidence.bundle import source as module
from agent_sre.evidence.bundle.bundle import load_bundle
from agent_sre.evidence.bundle.source import BundleSource
from agent_sre.evidence.evidence import Evidence, Fact, Gap, KubernetesObject, MetricSeries
from agent_sre.evidence.gather import gather, planned
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock, SystemClock
from evidence.builders import NOW, STARTS_AT, an_alert, an_incident
from evidence.bundle.worlds import CAPTURED_AT, WORLDS, world

INCIDENT = an_incident(an_alert("CartErrors", "", {"namespace": "shop", "service": "cart"}))


def source(name: str) -> BundleSource:
    return BundleSource(world(name), NOW)


async def answer(name: str, kind: str, incident: Incident = INCIDENT) -> Evidence:
    asked = source(name)
    query = next(query for query in asked.plan(incident, CAPTURED_AT) if query.kind == kind)
    return await asked.fetch(replace(query, id="E01"), incident)


def test_the_plan_asks_for_what_is_there_and_says_who_would_have_answered() -> None:
    queries = {query.kind: query for query in source("case").plan(INCIDENT, CAPTURED_AT)}
    assert list(queries) == [
        "contents", "pods", "deployments", "nodes", "events", "manifests", "series", "logs", "errors", "changes", "dependencies", "units",
        "anomalies", "unreadable",
    ]  # fmt: skip
    assert queries["pods"].source == "kubernetes"
    assert (queries["pods"].expression, queries["pods"].language) == ("kubectl get pods -n shop -o yaml", "bash")
    assert queries["nodes"].expression == "kubectl get nodes -o yaml"
    assert queries["series"].source == "prometheus"
    assert queries["units"].source == "bundle"
    assert {query.source for query in queries.values()} <= {"kubernetes", "prometheus", "bundle"}


async def test_objects_come_back_with_the_troubled_ones_first() -> None:
    pods = await answer("support", "pods", an_incident(an_alert("X", "", {"namespace": "shop"})))
    assert [item.name for item in pods.data if isinstance(item, KubernetesObject)][:2] == ["cart-6d5f7c9b8-x2x9k", "search-7d9c6b5f4d-abcde"]
    assert pods.summary.startswith("4 pods, 2 not as it should be: cart-6d5f7c9b8-x2x9k: ")
    named = await answer("support", "pods", an_incident(an_alert("X", "", {"namespace": "shop", "pod": "till-0"})))
    assert isinstance(named.data[0], KubernetesObject)
    assert named.data[0].name == "till-0"


async def test_series_about_the_subject_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_POINTS", 7)
    found = await answer("case", "series")
    memory = next(item for item in found.data if isinstance(item, MetricSeries) and item.labels["__name__"] == "cart_memory_bytes")
    assert len(memory.points) <= 7
    assert memory.points[-1][0] == CAPTURED_AT.timestamp()  # the newest is kept
    assert "2 metrics about the subject" in found.summary
    other = await answer("case", "series", an_incident(an_alert("X", "", {"namespace": "kitchen"})))
    assert other.data == ()


async def test_what_lies_around_the_subject_is_kept_too_and_what_moved_most_comes_first(tmp_path: Path) -> None:
    start = int(STARTS_AT.timestamp()) - 3600
    calm = "".join(f'load{{namespace="shop",service="calm"}} 5 {start + 60 * number}\n' for number in range(64))
    wild = "".join(f'load{{namespace="shop",service="wild"}} {5 if number < 58 else 900} {start + 60 * number}\n' for number in range(64))
    (tmp_path / "metrics.om").write_text(f"# TYPE load gauge\n{calm}{wild}# EOF\n")
    asked = BundleSource(load_bundle(tmp_path), NOW)
    incident = an_incident(an_alert("X", "", {"namespace": "shop", "service": "door"}))
    query = next(query for query in asked.plan(incident, NOW) if query.kind == "series")
    found = await asked.fetch(replace(query, id="E01"), incident)
    assert [item.labels["service"] for item in found.data if isinstance(item, MetricSeries)] == ["wild", "calm"]
    assert found.summary.startswith("no series about the subject, 2 around it")


async def test_all_answers_at_once_are_those_that_gather_gets() -> None:
    asked = source("case")
    whole = asked.everything(INCIDENT)
    one_by_one = await gather(INCIDENT, [asked], clock=FakeClock(CAPTURED_AT), deadline=timedelta(seconds=30))
    assert [(item.query.kind, item.summary) for item in whole.items][: len(one_by_one.items)] == [
        (item.query.kind, item.summary) for item in one_by_one.items
    ]
    assert [gap.reason for gap in whole.gaps] == [gap.reason for gap in one_by_one.gaps]


@pytest.mark.parametrize(
    ("kind", "summary"),
    [
        ("manifests", "1 applied manifests: the desired state, not what is"),
        ("changes", "1 change: rollout of cart: 1 new pod, 1 removed"),
        ("dependencies", "3 edges of who calls whom"),
        ("units", "2 systemd units, containerd on worker-2: inactive (dead) since 2026-11-23T06:40:00Z"),
        (
            "events",
            "7 events, 3 warnings (BackOff ×18, Unhealthy ×3, FailedScheduling); Pod search-7d9c6b5f4d-abcde: 0/2 nodes are available: "
            "2 Insufficient memory. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.",
        ),
    ],
)
async def test_every_kind_has_its_summary(kind: str, summary: str) -> None:
    found = await answer("case", kind)
    assert found.summary == summary
    assert found.data


async def test_the_contents_tell_when_and_by_which_clock(tmp_path: Path) -> None:
    facts = {fact.name: fact.text for fact in (await answer("case", "contents")).data if isinstance(fact, Fact)}
    assert facts["contents"].startswith("11 files: 14 objects, 2 series, 6 log lines")
    assert facts["time"] == "it stands at 2026-11-23T06:45:00.000000Z, by case.json"
    assert set(facts) == {"contents", "time"}
    shutil.copytree(WORLDS / "case", tmp_path / "case")
    (tmp_path / "case/case.json").write_text('{"now": "2027-03-01T00:00:00Z"}')
    moved = BundleSource(load_bundle(tmp_path / "case"), NOW)
    found = await moved.fetch(replace(moved.plan(INCIDENT, NOW)[0], id="E01"), INCIDENT)
    assert any(isinstance(fact, Fact) and fact.name == "clock" and "97 d" in fact.text for fact in found.data)


async def test_unknown_ages_are_said_to_be_unknown(tmp_path: Path) -> None:
    (tmp_path / "pods.txt").write_text("NAME   READY   STATUS    RESTARTS   AGE\na      1/1     Running   0          5m\n")
    asked = BundleSource(load_bundle(tmp_path), NOW)
    found = await asked.fetch(replace(asked.plan(INCIDENT, NOW)[0], id="E01"), INCIDENT)
    told = {fact.name: fact.text for fact in found.data if isinstance(fact, Fact)}
    assert told["time"] == "nothing in it says when it was recorded"
    assert told["ages"] == "when kubectl was run is unknown, so ages in its texts are left out"


async def test_what_cannot_be_read_is_a_gap_that_names_the_file(tmp_path: Path) -> None:
    shutil.copytree(WORLDS / "case", tmp_path / "case")
    for number in range(8):
        (tmp_path / "case" / f"broken-{number}.json").write_text("{")
    asked = BundleSource(load_bundle(tmp_path / "case"), NOW)
    found = await gather(INCIDENT, [asked], clock=SystemClock(), deadline=timedelta(seconds=20))
    assert len(found.gaps) == module.MAX_FAULTS + 1
    assert any("In the bundle, broken-0.json: " in gap.detail for gap in found.gaps)
    assert found.gaps[-1].detail.endswith("more parts of the bundle cannot be read.")
    assert {gap.reason for gap in found.gaps} <= {"unreadable", "bad_lines", "refused"}
    assert not any("secrets" in gap.detail for gap in found.gaps)  # never read, and nobody misses them


async def test_a_large_world_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OBJECT_BYTES", 400_000)
    variables = [{"name": f"V{number}", "value": "x" * 200} for number in range(40)]
    spec = {"containers": [{"name": "a", "env": variables}]}
    pods = [{"kind": "Pod", "metadata": {"name": f"cart-{number}", "namespace": "shop"}, "spec": spec} for number in range(300)]
    (tmp_path / "pods.json").write_text(json.dumps({"kind": "PodList", "items": pods}))
    asked = BundleSource(load_bundle(tmp_path), NOW)
    query = next(query for query in asked.plan(INCIDENT, NOW) if query.kind == "pods")
    found = await asked.fetch(replace(query, id="E01"), INCIDENT)
    assert found.truncated
    assert found.summary == "300 pods"
    assert sum(len(orjson.dumps(item.manifest)) for item in found.data if isinstance(item, KubernetesObject)) <= module.MAX_OBJECT_BYTES


async def test_the_check_says_what_is_in_it() -> None:
    health = await source("case").check(timedelta(seconds=1))
    assert health.state == "ok"
    assert health.reason.startswith("11 files: 14 objects")
    assert "3 parts cannot be read" in health.reason


async def test_a_plan_can_be_shown_without_asking() -> None:
    shown = planned(INCIDENT, [source("case")], FakeClock(CAPTURED_AT))
    assert [item.query.id if isinstance(item, Gap) else item.id for item in shown] == [f"E{number:02d}" for number in range(1, len(shown) + 1)]
    found = await gather(INCIDENT, [source("case")], clock=FakeClock(CAPTURED_AT), deadline=timedelta(seconds=20))
    assert {item.query.id for item in found.items} | {gap.query.id for gap in found.gaps} == {
        item.query.id if isinstance(item, Gap) else item.id for item in shown
    }
