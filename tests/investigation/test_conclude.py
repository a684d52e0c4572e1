"""How investigations end, transaction by transaction."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection

from agent_sre.analysis.analysis import Analysis
from agent_sre.app import App, build, rules_without_evidence
from agent_sre.evidence.playbook import load_playbooks
from agent_sre.incident.incident import Incident
from agent_sre.investigation import store as investigation_store
from agent_sre.investigation.conclude import Ended, cancel_investigations, count_ended, fail
from agent_sre.investigation.investigation import InvestigationStatus
from agent_sre.kit.clock import SystemClock
from agent_sre.kit.metrics import REGISTRY
from service import config_of, firing, message

NOW = SystemClock().now()


class Undone(Exception):
    """Rolls a transaction back."""


def rules(incident: Incident, note: str, now: datetime) -> Analysis:
    return rules_without_evidence(load_playbooks())(incident, note, now)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """One incident with one investigation that nobody has taken up yet."""
    built = build(config_of(tmp_path))
    await built.inbox.accept(json.dumps(message(firing("One", service="one"))).encode(), sender="test", alerts=1)
    await built.ingester.ingest_waiting()
    yield built
    await built.close()


def counted(status: InvestigationStatus) -> float:
    """How many investigations of warnings ended so, by the metrics."""
    return REGISTRY.get_sample_value("agent_sre_investigations_total", {"severity": "warning", "status": status.value}) or 0.0


def end(connection: Connection) -> Ended | None:
    (live,) = investigation_store.live_investigations(connection)
    return fail(connection, live, error="it broke", at=NOW, rules=rules)


async def test_an_end_that_is_rolled_back_is_not_counted_and_can_come_again(app: App) -> None:
    before = counted(InvestigationStatus.FAILED)

    def end_and_undo(connection: Connection) -> None:
        assert end(connection) is not None
        raise Undone

    with pytest.raises(Undone):
        await app.store.write(end_and_undo)
    assert counted(InvestigationStatus.FAILED) == before
    ended = await app.store.write(end)
    assert ended is not None
    count_ended([ended])
    assert counted(InvestigationStatus.FAILED) == before + 1


async def test_what_has_ended_does_not_end_again(app: App) -> None:
    (live,) = await app.store.read(investigation_store.live_investigations)
    await app.store.write(end)
    assert await app.store.write(lambda connection: fail(connection, live, error="late", at=NOW, rules=rules)) is None
    assert await app.store.write(lambda connection: cancel_investigations(connection, live.incident_id, at=NOW, rules=rules)) == []


async def test_a_resolved_incident_ends_all_its_investigations_and_one_of_them_speaks(app: App) -> None:
    (first,) = await app.store.read(investigation_store.live_investigations)
    await app.store.write(lambda connection: investigation_store.start(connection, first.id, at=NOW))
    await app.store.write(
        lambda connection: investigation_store.ask_for_investigation(
            connection, first.incident_id, thread_id=first.thread_id, reason="one more", at=NOW
        )
    )
    ended = await app.store.write(lambda connection: cancel_investigations(connection, first.incident_id, at=NOW, rules=rules))
    assert [(item.status, item.author) for item in ended] == [(InvestigationStatus.SUPERSEDED, ""), (InvestigationStatus.CANCELLED, "rules")]
