"""The evidence laid out for detectors: objects, owners, events and curves by what one asks for, each with the answer that it came from."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Data, Evidence, EvidenceSet, KubernetesObject, MetricSeries, Query
from agent_sre.finding.world import World
from evidence.builders import NOW, an_incident

POINTS = ((0.0, 1.0), (60.0, 2.0))


def world(*answers: Evidence) -> World:
    return World(an_incident(), EvidenceSet(items=answers))


def answered(evidence_id: str, kind: str, *data: Data, source: str = "kubernetes") -> Evidence:
    query = Query(id=evidence_id, source=source, kind=kind, expression="", purpose="")
    return Evidence(
        id=evidence_id, query=query, subject=Subject(kind="Namespace", name="shop"), data=data, summary="", collected_at=NOW, took=timedelta(0),
    )  # fmt: skip


def thing(kind: str, name: str, owner: tuple[str, str] | None = None, **rest: Any) -> KubernetesObject:
    metadata: dict[str, Any] = {"name": name, "namespace": "shop"}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1]}]
    return KubernetesObject(kind=kind, namespace="shop", name=name, manifest={"metadata": metadata, **rest})


def test_a_pod_belongs_to_the_workload_that_its_owners_lead_to() -> None:
    seen = world(
        answered(
            "E01", "pods", thing("Pod", "till-7d9c5b8f6d-x2x4z", ("ReplicaSet", "till-7d9c5b8f6d")), thing("Pod", "db-0", ("StatefulSet", "db"))
        ),
        answered("E02", "replicasets", thing("ReplicaSet", "till-7d9c5b8f6d", ("Deployment", "till"))),
    )
    assert seen.workload("Pod", "shop", "till-7d9c5b8f6d-x2x4z") == Subject(kind="Deployment", name="till", namespace="shop")
    assert seen.workload("Pod", "shop", "db-0") == Subject(kind="StatefulSet", name="db", namespace="shop")
    assert set(seen.pods_by_workload) == {("shop", "till"), ("shop", "db")}


def test_without_owners_the_name_of_a_pod_tells_its_workload() -> None:
    seen = world(answered("E01", "pods", thing("Pod", "till-7d9c5b8f6d-x2x4z"), thing("StatefulSet", "db")))
    assert seen.workload("Pod", "shop", "till-7d9c5b8f6d-x2x4z").name == "till"
    assert seen.workload("Pod", "shop", "db-0") == Subject(kind="StatefulSet", name="db", namespace="shop")


def test_owners_that_own_each_other_end() -> None:
    seen = world(answered("E01", "pods", thing("ReplicaSet", "a", ("ReplicaSet", "b")), thing("ReplicaSet", "b", ("ReplicaSet", "a"))))
    assert seen.workload("ReplicaSet", "shop", "a").kind == "Deployment"


def test_events_are_found_by_what_they_are_about_and_cite_their_answer() -> None:
    event = thing("Event", "db-0.1", involvedObject={"kind": "Pod", "name": "db-0"}, reason="BackOff")
    seen = world(answered("E07", "events", event))
    assert [found.evidence_id for found in seen.events("Pod", "shop", "db-0")] == ["E07"]
    assert seen.events("Pod", "shop", "db-1") == ()


def test_applied_manifests_are_not_mistaken_for_what_is() -> None:
    seen = world(answered("E01", "manifests", thing("Deployment", "till")))
    assert seen.objects("Deployment") == ()
    assert [one.value.name for one in seen.applied] == ["till"]


def test_a_curve_is_what_was_asked_for_else_what_its_name_says() -> None:
    asked = MetricSeries(labels={"__name__": "requests_total", "service": "till"}, points=POINTS, signal="errors", unit="ratio", worse="up")
    named = MetricSeries(labels={"__name__": "till_request_duration_ms"}, points=POINTS)
    nameless = MetricSeries(labels={"pod": "db-0"}, points=POINTS)
    seen = world(answered("E01", "errors", asked, source="prometheus"), answered("E02", "series", named), answered("E03", "cpu", nameless))
    first, second, third = seen.curves
    assert (first.signal, first.good, first.factor, dict(first.labels)) == ("errors", False, 1.0, {"service": "till"})
    assert (second.signal, second.factor) == ("latency", 0.001)
    assert (third.signal, third.factor) == ("cpu", 1.0)


def test_a_latency_whose_name_tells_no_unit_says_so() -> None:
    told = MetricSeries(labels={"__name__": "till_request_duration_ms"}, points=POINTS)
    untold = MetricSeries(labels={"__name__": "till_latency"}, points=POINTS)
    assert [curve.unit_is_known for curve in world(answered("E01", "series", told, untold)).curves] == [True, False]
