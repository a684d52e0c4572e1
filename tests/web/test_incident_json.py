"""Every kind of data on its whole way: gathered, stored once, reported, in the incident's JSON as the reference shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from agent_sre.alert.subject import Subject
from agent_sre.analysis.artifacts import save_evidence
from agent_sre.app import build
from agent_sre.delivery.report import Stage, latest_report, publish
from agent_sre.evidence.evidence import Change, Dependency, Evidence, EvidenceSet, Fact, Gap, KubernetesObject, LogPattern, MetricSeries, Query
from agent_sre.investigation import store as investigation_store
from agent_sre.store.engine import Store
from agent_sre.store.schema import report
from agent_sre.web.incidents import incident_json, load_whole
from evidence.builders import NOW
from fakes.incidents import cart_analysis
from service import config_of, firing, message

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "analysis.md"
CART = Subject(kind="Deployment", name="cart", namespace="shop")
QUERY = Query(id="E07", source="kubernetes", kind="pods", expression="kubectl get pods -n shop", purpose="which pods there are", language="bash")
POD = {
    "metadata": {"name": "cart-0", "namespace": "shop"},
    "spec": {"nodeName": "worker-2"},
    "status": {"phase": "Running"},
}
ONE_OF_EACH = Evidence(
    id="E07",
    query=QUERY,
    subject=CART,
    summary="one of each kind",
    collected_at=NOW,
    took=timedelta(milliseconds=12),
    data=(
        Fact(name="restarts", text="11 restarts", values={"restarts": 11}),
        MetricSeries(labels={"pod": "cart-0"}, points=((1763880000.0, 0.5), (1763880030.0, 0.75))),
        LogPattern(
            template="cannot reach <ip>", level="error", subject=CART, count=42, count_before=0, first_at=NOW, last_at=NOW,
            sample="cannot reach 10.0.0.7", count_day_before=0,
        ),
        KubernetesObject(kind="Pod", namespace="shop", name="cart-0", manifest=POD),
        Change(at=NOW, kind="rollout", subject=CART, text="revision 7", who="ci", diff=("- image: cart:1.2", "+ image: cart:1.3")),
        Dependency(source="checkout", destination="cart", via="mesh"),
    ),
)  # fmt: skip
GAP = Gap(query=replace(QUERY, id="E08", kind="nodes"), reason="forbidden", detail="The service account may not list nodes.")


async def an_open_investigation(store: Store, folder: Path) -> tuple[int, int, str]:
    """An incident with an investigation that nobody has begun: its number, the investigation's, and the run's name."""
    app = build(config_of(folder), store=store)
    body = json.dumps(message(firing("Shown", pod="p"))).encode()
    await app.inbox.accept(body, sender="test", alerts=1)
    await app.ingester.ingest_waiting()
    (found,) = await store.read(lambda connection: investigation_store.investigations_of(connection, 1))
    return found.incident_id, found.id, found.run_id


async def test_every_kind_of_data_reaches_the_json_as_the_reference_shows_it(tmp_path: Path) -> None:
    app = build(config_of(tmp_path))
    store = app.store
    incident_id, investigation_id, run_id = await an_open_investigation(store, tmp_path)
    found = EvidenceSet(items=(ONE_OF_EACH,), gaps=(GAP,))
    analysis = replace(cart_analysis(), evidence=found.items, gaps=found.gaps)

    def keep(connection: sa.Connection) -> None:
        save_evidence(connection, run_id, found)
        for stage in (Stage.PRELIMINARY, Stage.COMPLETE):
            assert publish(connection, incident_id=incident_id, investigation_id=investigation_id, stage=stage, analysis=analysis, at=NOW)

    await store.write(keep)
    whole = await store.read(lambda connection: load_whole(connection, incident_id))
    assert whole is not None
    shown: dict[str, Any] = json.loads(json.dumps(incident_json(*whole, base_url="")))["analysis_json"]
    examples = [json.loads(block.partition("```")[0]) for block in REFERENCE.read_text(encoding="utf-8").split("```json\n")[1:]]
    assert [*shown["evidence"], *shown["gaps"]] == examples
    bodies = await store.read(lambda connection: connection.execute(sa.select(report.c.body)).scalars().all())
    assert [body[:1] for body in bodies] == [b"R", b"R"]
    listed = await store.read(lambda connection: latest_report(connection, incident_id, with_evidence=False))
    assert listed is not None
    assert (listed.analysis.evidence, listed.analysis.root_cause) == ((), analysis.root_cause)
    await app.close()


async def test_a_report_keeps_evidence_that_its_run_has_not_stored(tmp_path: Path) -> None:
    app = build(config_of(tmp_path))
    incident_id, investigation_id, _ = await an_open_investigation(app.store, tmp_path)
    analysis = replace(cart_analysis(), evidence=(ONE_OF_EACH,), gaps=())
    await app.store.write(
        lambda connection: publish(
            connection, incident_id=incident_id, investigation_id=investigation_id, stage=Stage.COMPLETE, analysis=analysis, at=NOW
        )
    )
    kept = await app.store.read(lambda connection: latest_report(connection, incident_id))
    assert kept is not None
    assert [item.id for item in kept.analysis.evidence] == ["E07"]
    await app.close()
