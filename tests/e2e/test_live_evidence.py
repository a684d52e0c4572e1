"""While an investigation runs, its answers are in the incident's JSON and on its page; a killed one shows none twice and mixes none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent_sre.app import build
from agent_sre.config.config import Config
from agent_sre.evidence.evidence import Evidence, Fact, Query, SourceHealth
from agent_sre.incident.incident import Incident
from agent_sre.kit.errors import Forbidden
from evidence.builders import NOW
from service import RunningService, config_of, firing, message, running_service, with_settings


@dataclass
class GatedSource:
    """Answers "quick" at once and refuses "denied"; "slow" waits until `gate` is set. Says which attempt an answer is of."""

    attempt: str
    name: str = "prometheus"
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)

    def plan(self, incident: Incident, now: datetime) -> Sequence[Query]:
        return [Query(id="", source=self.name, kind=kind, expression=kind, purpose=f"to see {kind}") for kind in ("quick", "slow", "denied")]

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        self.asked.append(query.kind)
        if query.kind == "slow":
            await self.gate.wait()
        if query.kind == "denied":
            raise Forbidden("The token may not read this.")
        summary = f"{query.kind} in the {self.attempt} attempt"
        data = (Fact(name="said", text=summary, values={}),)
        return Evidence(id=query.id, query=query, subject=incident.subject, data=data, summary=summary, collected_at=NOW, took=timedelta(0))

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109
        return SourceHealth(name=self.name, state="ok", reason="scripted")

    async def aclose(self) -> None:
        pass


def patient(folder: Path) -> Config:
    return with_settings(config_of(folder), "agent", gather_deadline=timedelta(seconds=30))


async def gathering_of(service: RunningService) -> dict[str, Any]:
    """What the JSON of the only incident says about a running investigation, once all but the slow answer are in."""
    async with asyncio.timeout(20):
        while True:
            for incident in await service.incidents():
                found: dict[str, Any] | None = (await service.get(f"/incidents/{incident['incident_id']}"))["gathering"]
                if found is not None and found["open"] == {"prometheus": 1}:
                    return found
            await asyncio.sleep(0.02)


async def test_answers_are_there_before_the_slowest_source_has_answered(tmp_path: Path) -> None:
    source, config = GatedSource("first"), patient(tmp_path)
    async with running_service(config, application=build(config, sources=(source,))) as service:
        await service.post(message(firing("Live", pod="p")), wait=0)
        found = await gathering_of(service)
        assert found["asked"] == len(found["evidence"]) + len(found["gaps"]) + 1
        assert [item["kind"] for item in found["evidence"] if item["source"] == "prometheus"] == ["quick"]
        assert [(gap["reason"], gap["detail"]) for gap in found["gaps"]] == [("forbidden", "The token may not read this.")]
        page = (await service.client.get("/incidents/1", headers={"Accept": "text/html"})).text
        assert "quick in the first attempt" in page
        assert "The token may not read this." in page
        assert "Still waiting for prometheus (1)" in page
        assert '<meta http-equiv="refresh" content="1">' in page
        source.gate.set()
        await service.settled()
        whole = await service.get("/incidents/1")
        assert whole["gathering"] is None
        assert [item["kind"] for item in whole["analysis_json"]["evidence"] if item["source"] == "prometheus"] == ["quick", "slow"]


async def test_a_process_that_dies_while_it_gathers_leaves_nothing_to_be_shown_twice(tmp_path: Path) -> None:
    config = patient(tmp_path)
    async with running_service(config, application=build(config, sources=(GatedSource("first"),))) as service:
        await service.post(message(firing("Killed", pod="p")), wait=0)
        await gathering_of(service)
    again = GatedSource("second")
    async with running_service(config, application=build(config, sources=(again,))) as service:
        summaries = [item["summary"] for item in (await gathering_of(service))["evidence"] if item["source"] == "prometheus"]
        assert summaries == ["quick in the second attempt"]
        again.gate.set()
        await service.settled()
        whole = await service.get("/incidents/1")
        summaries = [item["summary"] for item in whole["analysis_json"]["evidence"] if item["source"] == "prometheus"]
        assert summaries == ["quick in the second attempt", "slow in the second attempt"]


async def test_evidence_that_was_stored_is_not_asked_for_again_when_the_checkpoints_are_lost(tmp_path: Path) -> None:
    first, second = GatedSource("first"), GatedSource("second")
    for source in (first, second):
        source.gate.set()
    config = config_of(tmp_path)
    labels = {"labels": {"alertname": "Lost", "pod": "p"}, "run_id": "alert-x/1"}
    for source in (first, second):
        app = build(config, sources=(source,))
        await app.agent.execute(message="?", task_type="incident", context=labels, until="analyze")
        await app.close()
        await asyncio.to_thread((tmp_path / "agent-sre.db.checkpoints").unlink)
    assert first.asked == ["quick", "slow", "denied"]
    assert second.asked == []
