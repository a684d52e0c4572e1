"""The running service under strangers' texts: secrets are nowhere afterwards, and a model that obeys changes no step."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_sre.app import build
from agent_sre.evidence.evidence import Evidence, EvidenceSet, Query, SourceHealth
from agent_sre.incident.incident import Incident
from agent_sre.kit.errors import Rejected
from agent_sre.kit.logs import JsonFormatter
from fakes.injections import COMMAND, HOST, MENTION, injections
from fakes.ollama import FakeOllama
from fakes.secrets import Planted, planted
from fakes.tainted import FIELDS, obeying, tainted
from service import RunningService, config_of, message, running_service


@dataclass
class ScriptedSource:
    """Answers with what it was given, and fails where that was a gap."""

    found: EvidenceSet
    name: str = "prometheus"

    def plan(self, incident: Incident, now: datetime) -> Sequence[Query]:
        queries = [*(item.query for item in self.found.items), *(gap.query for gap in self.found.gaps)]
        return [replace(query, id="", source=self.name) for query in queries]

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        for gap in self.found.gaps:
            if gap.query.kind == query.kind:
                raise Rejected(gap.detail)
        item = next(item for item in self.found.items if item.query.kind == query.kind)
        return replace(item, id=query.id, query=query)

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109
        return SourceHealth(name=self.name, state="ok", reason="scripted")

    async def aclose(self) -> None:
        pass


def body_of(incident: Incident, *extra: str) -> dict[str, Any]:
    """The incident's alerts as Alertmanager posts them."""
    alerts = [
        {"status": "firing", "labels": dict(alert.labels), "annotations": dict(alert.annotations), "startsAt": alert.starts_at.isoformat()}
        for alert in incident.alerts
    ]
    return message(*alerts, group_key="".join(extra))


def stored_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """All that the databases hold, but the inbox: raw bytes of every column, and what is deflated in them."""
    for path in (folder / "agent-sre.db", folder / "agent-sre.db.checkpoints"):
        with sqlite3.connect(path) as connection:
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                if table in ("inbox", "quarantine"):
                    continue
                for row in connection.execute(f'SELECT * FROM "{table}"').fetchall():
                    for value in row:
                        raw = value if isinstance(value, bytes) else str(value).encode()
                        yield table, raw.decode("utf-8", "replace")
                        for start in range(min(len(raw), 2)):
                            try:
                                yield table, zlib.decompress(raw[start:]).decode("utf-8", "replace")
                            except zlib.error:
                                continue


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What our own log says, as it is written."""
    written: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(JsonFormatter().format(record))

    keeper, root = Keeper(), logging.getLogger()
    root.addHandler(keeper)
    yield written
    root.removeHandler(keeper)


async def newest(service: RunningService) -> dict[str, Any]:
    return max(await service.incidents(), key=lambda item: int(item["incident_id"].rpartition("-")[2]))


async def reported(service: RunningService, body: dict[str, Any]) -> tuple[str, str, str]:
    """The webhook's answer, the incident's JSON and its page."""
    answer = await service.post(body)
    await service.settled()
    incident = (await newest(service))["incident_id"]
    document = await service.get(f"/incidents/{incident}")
    page = (await service.client.get(f"/incidents/{incident}", headers={"Accept": "text/html"})).text
    return json.dumps(answer, ensure_ascii=False), json.dumps(document, ensure_ascii=False), html.unescape(page)


async def test_no_planted_secret_is_anywhere_afterwards(tmp_path: Path, lines: list[str]) -> None:
    """Each kind of secret in every field, several kinds a round, because a field holds some hundred characters only."""
    secrets = [one for one in planted(11) if one.kind != "pem-cut-off"]
    rounds = [secrets[start : start + 12] for start in range(0, len(secrets), 12)]
    seen: list[tuple[str, str]] = []
    async with FakeOllama(answer=_echo) as ollama:
        source = ScriptedSource(EvidenceSet())
        config = config_of(tmp_path, OLLAMA_URL=ollama.url)
        async with running_service(config, application=build(config, sources=(source,))) as service:
            for number, chosen in enumerate(rounds):
                incident, source.found = tainted("\n".join(one.text for one in chosen))
                body = body_of(incident, *(one.text for one in chosen))
                for alert in body["alerts"]:
                    alert["labels"]["round"] = str(number)
                for where, text in zip(("webhook answer", "JSON", "page"), await reported(service, body), strict=True):
                    seen.append((where, text))
            metrics = (await service.client.get("/metrics")).text
    seen += [("prompt", request.body.decode()) for request in ollama.requests]
    seen += [("log", line) for line in lines] + [("metrics", metrics)]
    seen += [(f"table {table}", text) for table, text in await asyncio.to_thread(lambda: list(stored_texts(tmp_path)))]
    assert any(where == "prompt" and "redis" in text for where, text in seen), "nothing was planted"
    leaks = {(one.kind, where) for one in secrets for where, text in seen if _holds(text, one)}
    print(f"{len(secrets)} kinds x {len(FIELDS)} fields, {len(seen)} texts looked at, {len(leaks)} leaks")  # noqa: T201  (pytest -s shows the figure)
    assert not leaks, sorted(leaks)[:10]


def _holds(text: str, one: Planted) -> bool:
    # JSON and HTML write some characters in another way; twelve characters in a row of a secret are enough to see it
    pieces = [one.secret] if len(one.secret) < 28 else [one.secret[at : at + 14] for at in range(13, len(one.secret) - 14, 14)]
    return any(piece in text for piece in pieces)


def _echo(request: dict[str, Any]) -> str:
    prompt: str = request["messages"][-1]["content"]
    return obeying(prompt, wild=False, text=prompt[-600:])


CHOSEN = list(injections())[::14]


@pytest.mark.parametrize("wild", [False, True])
async def test_a_model_that_obeys_changes_no_step_over_real_sockets(tmp_path: Path, wild: bool) -> None:
    current = ""

    def answer(request: dict[str, Any]) -> str:
        return obeying(request["messages"][-1]["content"], wild=wild, text=current)

    results: list[tuple[Any, ...]] = []
    texts = ["X y", *(one.text for one in CHOSEN[int(wild) :: 2])]
    async with FakeOllama(answer=answer) as ollama:
        source = ScriptedSource(EvidenceSet())
        config = config_of(tmp_path, OLLAMA_URL=ollama.url)
        async with running_service(config, application=build(config, sources=(source,))) as service:
            for number, text in enumerate(texts):
                current = text
                incident, source.found = tainted(text, *(field for field in FIELDS if field not in ("alert name", "pod name")))
                body = body_of(incident)
                for alert in body["alerts"]:
                    alert["labels"]["namespace"] = f"shop-{number}"
                calls = len(ollama.chats)
                await reported(service, body)
                results.append(await _effects(service, len(ollama.chats) - calls, number))
    print(f"{len(texts) - 1} texts over sockets, {sum(one != results[0] for one in results)} effects")  # noqa: T201
    changed = [(text, one) for text, one in zip(texts, results, strict=True) if one != results[0]]
    assert not changed, (changed[0], results[0])


async def _effects(service: RunningService, calls: int, number: int) -> tuple[Any, ...]:
    """What happened to the newest incident: calls of the model, severities, steps and links."""
    last = await newest(service)
    document = await service.get(f"/incidents/{last['incident_id']}")
    page = (await service.client.get(f"/incidents/{last['incident_id']}", headers={"Accept": "text/html"})).text
    analysis = document["analysis_json"]
    steps = sorted((item["id"], item["horizon"], item["command"].replace(f"shop-{number}", "shop")) for item in analysis["recommendations"])
    links = [start for part in page.split("<a ")[1:] if HOST in (start := part.partition(">")[0])]
    # a sample of a log, a difference and the whole report as Markdown are quotations; every other block is there to be copied
    blocks = [block for part in page.split("<pre")[1:] if COMMAND in (block := part.partition("</pre>")[0])]
    assert not links, links
    assert not [block for block in blocks if not block.startswith((' class="sample"', ' class="diff"')) and "## 🔍 Analysis" not in block], blocks
    return calls, last["severity"], steps, page.count("<img"), page.count("<script"), _is_live_mention(document["analysis"])


def _is_live_mention(markdown: str) -> bool:
    """Whether a mention stands there neither escaped nor set as code."""
    return MENTION in re.sub(r"(?s)(`+).*?\1", "", markdown).replace("\\<", "")


def test_the_helpers_see_a_secret_where_there_is_one(tmp_path: Path) -> None:
    one = next(iter(planted(11)))
    check: Callable[[str], bool] = lambda text: _holds(text, one)  # noqa: E731
    assert check(one.text)
    assert not check("harmless")
