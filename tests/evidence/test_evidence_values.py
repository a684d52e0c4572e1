"""Evidence on its way through the store: whatever an answer is made of comes back as what it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Change, Data, Dependency, Evidence, Fact, KubernetesObject, LogPattern, MetricSeries, Query
from agent_sre.kit.values import from_json, pack, to_json, unpack

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
POD = Subject(kind="Pod", name="cart-0", namespace="shop")
MANIFEST = {"metadata": {"name": "cart-0", "labels": {"app": "cart"}}, "spec": {"replicas": 2, "paused": False, "x": None}, "status": {"load": 0.5}}

DATA: tuple[Data, ...] = (
    MetricSeries(labels={"pod": "cart-0"}, points=((1.0, 2.0), (16.0, 3.5))),
    Fact(name="value", text="value is 3", values={"current": 3, "ratio": 0.5, "ok": True, "unit": "", "limit": None}),
    KubernetesObject(kind="Pod", namespace="shop", name="cart-0", manifest=MANIFEST),
    Change(at=NOON, kind="image", subject=POD, text="cart 1.2 to 1.3", who="flux", diff=("- cart:1.2", "+ cart:1.3")),
    Change(at=None, kind="config", subject=POD, text="something changed"),
    LogPattern(
        template="timeout after <n>", level="error", subject=POD, count=7, count_before=None, first_at=NOON, last_at=None, sample="timeout after 3"
    ),
    Dependency(source="front", destination="cart", via="mesh"),
)


@pytest.mark.parametrize("data", DATA, ids=lambda data: type(data).__name__)
def test_every_kind_of_data_survives_the_store(data: Data) -> None:
    query = Query(id="E01", source="test", kind="any", expression="x", purpose="to see")
    evidence = Evidence(id="E01", query=query, subject=POD, data=(data, *DATA), summary="", collected_at=NOON, took=timedelta(seconds=1))
    assert from_json(Evidence, to_json(Evidence, evidence)) == evidence
    assert unpack(Evidence, pack(Evidence, evidence)) == evidence
    assert type(unpack(Evidence, pack(Evidence, evidence)).data[0]) is type(data)
