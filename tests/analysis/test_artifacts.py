"""What the nodes of a run hand to each other, and that nobody reads the same evidence from disk again and again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_sre.analysis import artifacts
from agent_sre.analysis.artifacts import MOST_REMEMBERED, load_evidence, save_evidence
from agent_sre.evidence.evidence import EvidenceSet
from agent_sre.store.engine import Store, StoreSettings, open_store
from agent_sre.store.schema import evidence
from finding.answers import evidence_set, gap, value


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'one.db'}"))) as opened:
        yield opened


def some(points: int) -> EvidenceSet:
    return evidence_set(value([float(point) for point in range(points)]), gap("timeout", "It did not answer."))


async def keep(store: Store, run_id: str, found: EvidenceSet) -> None:
    await store.write(lambda connection: save_evidence(connection, run_id, found))


async def read(store: Store, run_id: str) -> EvidenceSet:
    return await store.read(lambda connection: load_evidence(connection, run_id))


async def test_evidence_is_read_from_disk_once(store: Store) -> None:
    await keep(store, "1/1", some(20))
    first = await read(store, "1/1")
    assert first == some(20)
    assert await read(store, "1/1") is first


async def test_what_came_after_a_look_is_seen_and_what_was_removed_is_gone(store: Store) -> None:
    assert await read(store, "1/1") == EvidenceSet()
    await keep(store, "1/1", some(20))
    assert await read(store, "1/1") == some(20)
    await store.write(lambda connection: connection.execute(evidence.delete()))
    assert await read(store, "1/1") == EvidenceSet()


async def test_runs_of_two_stores_are_two_runs(store: Store, tmp_path: Path) -> None:
    with contextlib.closing(open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'two.db'}"))) as other:
        await keep(store, "1/1", some(20))
        await keep(other, "1/1", some(30))
        assert (await read(store, "1/1"), await read(other, "1/1")) == (some(20), some(30))


async def test_only_the_last_runs_are_remembered(store: Store) -> None:
    for number in range(2 * MOST_REMEMBERED):
        await keep(store, f"{number}/1", some(20))
        await read(store, f"{number}/1")
    assert max(len(known) for known in artifacts._remembered.values()) == MOST_REMEMBERED
    assert await read(store, "0/1") == some(20)
