from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from agent_sre.alert.subject import Subject
from agent_sre.evidence.derived import CHANGES, with_changes
from agent_sre.evidence.evidence import Change, Data, Evidence, EvidenceSet, Gap, KubernetesObject, Query
from evidence.builders import NOW, an_incident

INCIDENT = an_incident()


def answer(number: int, *data: Data) -> Evidence:
    query = Query(id=f"E{number:02d}", source="kubernetes", kind="replicasets", expression="kubectl get replicasets", purpose="to see")
    return Evidence(id=query.id, query=query, subject=Subject(kind="Pod", name="x"), data=data, summary="", collected_at=NOW, took=timedelta(0))


def replicaset(revision: int, image: str, minutes_before: float) -> KubernetesObject:
    made = (INCIDENT.triggered_at - timedelta(minutes=minutes_before)).strftime("%Y-%m-%dT%H:%M:%SZ")
    manifest: dict[str, Any] = {
        "metadata": {
            "name": f"cart-{revision}", "namespace": "shop", "creationTimestamp": made,
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": [{"kind": "Deployment", "name": "cart", "controller": True}],
        },
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "cart", "image": image}]}}},
    }  # fmt: skip
    return KubernetesObject(kind="ReplicaSet", namespace="shop", name=f"cart-{revision}", manifest=manifest)


def test_a_rollout_in_the_objects_becomes_an_answer_that_says_where_it_was_read() -> None:
    gap = Gap(query=Query(id="E02", source="loki", kind="off", expression="", purpose=""), reason="not_configured", detail="")
    found = EvidenceSet(items=(answer(1, replicaset(1, "cart:1.2", 3000)), answer(3, replicaset(2, "cart:1.3", 4))), gaps=(gap,))
    known = with_changes(found, INCIDENT, NOW)
    assert known.items[:2] == found.items
    assert known.gaps == found.gaps
    last = known.items[-1]
    assert (last.id, last.query.kind) == ("E04", CHANGES)
    assert "E01, E03" in last.query.expression
    (change,) = last.data
    assert isinstance(change, Change)
    assert change.diff == ("- cart image: cart:1.2", "+ cart image: cart:1.3")
    assert last.summary.startswith("1 change, the last: ")
    assert last.summary.endswith("4 min before the incident began")


def test_no_change_is_an_answer_and_no_cluster_is_none() -> None:
    quiet = with_changes(EvidenceSet(items=(answer(1, replicaset(1, "cart:1.2", 3000)),)), INCIDENT, NOW)
    assert quiet.items[-1].data == ()
    assert quiet.items[-1].summary == "no change seen since 1 d before the incident"
    nothing = EvidenceSet(items=(answer(1),))
    assert with_changes(nothing, INCIDENT, NOW) is nothing


def test_what_was_cut_off_is_said() -> None:
    cut = replace(answer(1, replicaset(1, "cart:1.2", 3000)), truncated=True)
    assert with_changes(EvidenceSet(items=(cut,)), INCIDENT, NOW).items[-1].truncated


def test_what_metrics_tell_and_the_cluster_does_not_is_in_the_same_list_and_nothing_is_in_it_twice() -> None:
    def change(name: str, minutes_before: float) -> Change:
        subject = Subject(kind="Deployment", name=name, namespace="shop", cluster="eu")
        return Change(at=INCIDENT.triggered_at - timedelta(minutes=minutes_before), kind="rollout", subject=subject, text=f"{name} was changed")

    cluster = (replicaset(1, "cart:1.2", 3000), replicaset(2, "cart:1.3", 4))
    known = with_changes(EvidenceSet(items=(answer(1, *cluster), answer(2, change("cart", 1), change("db", 9)))), INCIDENT, NOW)
    texts = [item.text for item in known.items[-1].data if isinstance(item, Change)]
    assert texts == ["Deployment shop/cart rolled out to revision 2: cart image", "db was changed"]
    assert "E01, E02" in known.items[-1].query.expression
    alone = EvidenceSet(items=(answer(1, change("db", 9)),))
    assert with_changes(alone, INCIDENT, NOW) is alone
