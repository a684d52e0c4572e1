from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent_sre.alert.inbox import Inbox, find_quarantined, is_ingested, mark_ingested, prune_inbox, quarantined, retry_quarantined, waiting
from agent_sre.kit.clock import FakeClock
from agent_sre.kit.errors import BadInput, StoreUnavailable
from agent_sre.store.engine import Store, StoreSettings, open_store
from agent_sre.store.schema import totals

BODY = b'{"alerts":[{"labels":{"alertname":"A"}}]}'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'inbox.db'}"))
    yield opened
    opened.close()


async def test_bodies_that_arrive_during_a_commit_share_the_next_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox(store, FakeClock())
    commits = 0
    write = store.write

    async def counted(work: Any, **options: Any) -> Any:
        nonlocal commits
        commits += 1
        return await write(work, **options)

    monkeypatch.setattr(store, "write", counted)
    ids = await asyncio.gather(*(inbox.accept(BODY + b" " * number, sender="test", alerts=1) for number in range(200)))
    assert len(set(ids)) == 200
    assert commits <= 3
    letters = store.read_now(lambda connection: waiting(connection, limit=1000))
    assert sorted(len(letter.body) for letter in letters) == sorted(len(BODY) + number for number in range(200))
    assert store.read_now(totals)["alerts_stored"] == 200


async def test_every_caller_gets_the_id_of_its_own_body_and_no_id_comes_twice(store: Store) -> None:
    inbox = Inbox(store, FakeClock())

    async def post(round_: int, number: int) -> tuple[int, bytes]:
        body = BODY + f" {round_}-{number}".encode()
        return await inbox.accept(body, sender="test", alerts=1), body

    given: list[tuple[int, bytes]] = []
    for round_ in range(3):
        given += await asyncio.gather(*(post(round_, number) for number in range(300)))  # more than one commit takes
        letters = store.read_now(lambda connection: waiting(connection, limit=1000))
        assert sorted(given[-300:]) == [(letter.id, letter.body) for letter in letters]
        # Everything is ingested and pruned: the ids of the next round must not begin anew.
        store.write_now(partial(mark_ingested, inbox_ids=[letter.id for letter in letters], at=FakeClock().now()))
        store.write_now(lambda connection: prune_inbox(connection, before=FakeClock().now() + timedelta(days=1), limit=1000))
    assert sorted(inbox_id for inbox_id, _ in given) == list(range(1, 901))


async def test_a_failed_commit_fails_every_body_in_it_and_the_next_body_is_taken(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox(store, FakeClock())

    async def refuse(work: Any, **options: Any) -> Any:
        raise StoreUnavailable("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(store, "write", refuse)
        results = await asyncio.gather(*(inbox.accept(BODY, sender="test", alerts=1) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) for result in results)
    assert await inbox.accept(BODY, sender="test", alerts=1) == 1


async def test_a_sender_that_gives_up_does_not_stop_the_others(store: Store) -> None:
    inbox = Inbox(store, FakeClock())
    leaver = asyncio.create_task(inbox.accept(BODY, sender="leaver", alerts=1))
    stayer = asyncio.create_task(inbox.accept(BODY, sender="stayer", alerts=1))
    await asyncio.sleep(0)
    leaver.cancel()
    assert await stayer > 0


async def test_waiting_gives_at_least_one_body_and_then_as_many_as_fit(store: Store) -> None:
    inbox = Inbox(store, FakeClock())
    for _ in range(3):
        await inbox.accept(BODY, sender="test", alerts=1)
    first = store.read_now(lambda connection: waiting(connection, limit=10, max_bytes=1))
    assert len(first) == 1
    store.write_now(lambda connection: mark_ingested(connection, [first[0].id], at=FakeClock().now()))
    assert store.read_now(lambda connection: is_ingested(connection, first[0].id))
    assert len(store.read_now(lambda connection: waiting(connection, limit=10))) == 2


async def test_quarantine_keeps_the_bytes_and_gives_back_only_what_can_be_read(store: Store) -> None:
    inbox = Inbox(store, FakeClock())
    await inbox.reject(b"\xff\x00broken", sender="curl\r\nforged", reason="The body is not JSON.")
    await inbox.reject(BODY, sender="old version", reason="a bug that is mended now")
    newest, oldest = store.read_now(quarantined)
    assert oldest.body == b"\xff\x00broken"
    assert "\n" not in oldest.sender
    with pytest.raises(BadInput):
        store.write_now(lambda connection: retry_quarantined(connection, oldest.id, at=FakeClock().now()))
    inbox_id = store.write_now(lambda connection: retry_quarantined(connection, newest.id, at=FakeClock().now()))
    (letter,) = store.read_now(lambda connection: waiting(connection, limit=10))
    assert (letter.id, letter.body) == (inbox_id, BODY)
    with pytest.raises(BadInput, match="already retried"):
        store.write_now(lambda connection: retry_quarantined(connection, newest.id, at=FakeClock().now()))
    assert store.read_now(lambda connection: find_quarantined(connection, 99)) is None
