"""Whatever a model says, and whatever bytes come from its server: each incident ends once, in time, with no less than the rules' report.

One service for all behaviours of a group, because starting one costs more than an incident.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_sre.analysis.analysis import RULES, Analysis
from agent_sre.analysis.artifacts import unpack_analysis
from agent_sre.analysis.llm.model import REASONS
from agent_sre.analysis.llm.pace import Pace
from agent_sre.delivery.report import run_id_of
from agent_sre.finding.finding import Confidence
from agent_sre.store.schema import investigation, report
from fakes.ollama import ATTACK, SAYINGS, WIRE, Behaviour, Exchange, FakeOllama, go_json, offered, verdict_of
from service import RunningService, config_of, firing, message, running_service, with_settings

BUDGET = timedelta(seconds=1)
SLACK_SECONDS = 20.0  # for a busy machine; a model that hangs unbounded would take for ever
AT_ONCE = 6
CONFIDENCES = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)

NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaving:
    """A service and the Ollama that it asks."""

    service: RunningService
    ollama: FakeOllama


@contextlib.asynccontextmanager
async def behaving(folder: Any, ollama: FakeOllama, *, at_once: int) -> AsyncIterator[Behaving]:
    patience = {"total": BUDGET, "first_token": BUDGET, "first_token_cold": BUDGET, "between_tokens": BUDGET / 2}
    config = with_settings(
        config_of(folder, OLLAMA_URL=ollama.url),
        "ollama",
        **patience,
        retry_pause=timedelta(milliseconds=5),
        warm_every=timedelta(0),
        circuit_failures=10**9,
        concurrency=at_once,
    )
    config = with_settings(config, "investigation", analyze_workers=at_once)
    async with running_service(config) as service:
        yield Behaving(service=service, ollama=ollama)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Behaving]:
    async with FakeOllama(loaded=["bruno-sre:latest"]) as ollama, behaving(tmp_path_factory.mktemp("behaving"), ollama, at_once=AT_ONCE) as found:
        yield found


async def ended(world: Behaving) -> tuple[Analysis, Analysis]:
    """What the rules and what the model made of one more alert, after its only ending."""
    number = next(NUMBERS)
    Pace.__init__(
        world.service.app.agent._pace, world.service.app.clock
    )  # what the behaviour before has taught must not keep this one from being asked
    alert = firing("KubePodCrashLooping", "warning", namespace=f"shop-{number}", pod=f"cart-{number}-7f9c6d5b8c-k2x9p", container="cart")
    started = time.monotonic()
    (result,) = (await world.service.post(message(alert)))["results"]
    assert time.monotonic() - started < BUDGET.total_seconds() + SLACK_SECONDS
    assert result["stage"] == "complete"
    whole = await world.service.get(f"/incidents/{result['incident_id']}")
    assert [item["status"] for item in whole["investigations"]] == ["complete"]
    assert whole["severity"] == "warning"

    def reports(connection: sa.Connection) -> dict[str, Analysis]:
        rows = connection.execute(
            sa.select(report.c.stage, report.c.body, report.c.investigation_id, investigation.c.thread_id)
            .join(investigation, investigation.c.id == report.c.investigation_id)
            .where(report.c.incident_id == int(result["incident_id"].rpartition("-")[2]))
        ).all()
        assert sorted(row.stage for row in rows) == ["complete", "preliminary"]
        return {row.stage: unpack_analysis(connection, run_id_of(row.thread_id, row.investigation_id), row.body) for row in rows}

    found = await world.service.app.store.read(reports)
    return found["preliminary"], found["complete"]


def assert_no_worse(final: Analysis, rules: Analysis) -> None:
    """All that the rules found is there, nothing that only code may say was changed, and no raw answer shows."""
    for name in ("title", "observations", "evidence", "gaps", "ruled_out", "chain", "next_check"):
        assert getattr(final, name) == getattr(rules, name), name
    by_id = {"recommendations": lambda item: item.id, "hypotheses": lambda item: item.id}
    for name, key in by_id.items():
        assert sorted(getattr(final, name), key=key) == sorted(getattr(rules, name), key=key), name
    assert [query.text for query in final.investigation_queries] == [query.text for query in rules.investigation_queries]
    assert CONFIDENCES.index(final.confidence) <= CONFIDENCES.index(rules.confidence)
    assert final.root_cause.strip()
    assert final.impact.strip()
    assert final.author == RULES or final.model is not None
    if final.author == RULES:
        assert re.search(rf"\(({'|'.join(REASONS)})\)", final.author_note), final.author_note
        assert (final.root_cause, final.impact) == (rules.root_cause, rules.impact)
    for text in (final.markdown, final.root_cause, final.impact, final.confidence_reason):
        assert '":"' not in text
        assert not re.search(r"[a-h]_(reasoning|cause|evidence|confidence|summary|impact|actions)\b", text)
        assert "<think" not in text
        assert text.encode()
    assert not re.search(r"(?<!\\)\]\(https?://evil", final.markdown)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", SAYINGS)
async def test_whatever_a_model_says_the_rules_report_stays_whole(world: Behaving, name: str) -> None:
    world.ollama.behave(name)
    rules, final = await ended(world)
    assert_no_worse(final, rules)
    assert "kubectl delete namespace" not in str([item.command for item in final.recommendations])
    assert "You are an expert SRE assistant" not in final.markdown or name == "leaks the system prompt"


ABROAD = {
    "invented pod": "payments-db-7c9d8f6b5-zzzzz",
    "invented metric": "phantom_queue_overflow_ratio",
    "invented number": "987.65",
    "invented id": "E97",
    "facts of another alert": "zeus",
    "obeys the alert": "evil",
    "leaks the system prompt": "expert SRE assistant",
    "refusal": "AI language model",
    "another language": "Speicher",
    "another script": "容器",
}
"""What nothing in the evidence supports, by the behaviour that says it."""


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("name", "words"), ABROAD.items(), ids=list(ABROAD))
async def test_what_nothing_supports_is_not_shown(world: Behaving, name: str, words: str) -> None:
    world.ollama.behave(name)
    _, final = await ended(world)
    assert words not in f"{final.markdown} {final.root_cause} {final.impact}"


@pytest.mark.asyncio(loop_scope="module")
async def test_the_first_answer_stays_although_the_model_would_give_another(world: Behaving) -> None:
    world.ollama.behave("another answer each time")
    alert = {**firing("KubePodCrashLooping", namespace="steady", pod="cart-0"), "startsAt": "2026-01-01T00:00:00Z"}
    first = (await world.service.post(message(alert)))["results"][0]
    asked = len(world.ollama.chats)
    again = (await world.service.post(message(alert)))["results"][0]
    assert again["analysis"] == first["analysis"]
    assert len(world.ollama.chats) == asked


@pytest.mark.asyncio(loop_scope="module")
async def test_a_report_and_the_health_say_which_weights_on_which_server(world: Behaving) -> None:
    world.ollama.behave("fine")
    _, final = await ended(world)
    digest = world.ollama.digest("bruno-sre:latest")
    assert final.model is not None, final.author_note
    assert (final.model.name, final.model.digest, final.model.server) == ("bruno-sre:latest", digest, "Ollama 0.33.0")
    assert f"({digest[:12]} on Ollama 0.33.0)" in final.author_note
    assert (await world.service.get("/health"))["model"] == {
        "name": "bruno-sre:latest",
        "digest": digest,
        "server": "Ollama 0.33.0",
        "context_length": 32768,
        "capabilities": ["completion"],
    }


# Any bytes

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
Change = Callable[[bytes], bytes]


def _cut_out(at: int, length: int) -> Change:
    return lambda data: data[: at % (len(data) + 1)] + data[at % (len(data) + 1) + length :]


def _put_in(at: int, what: bytes) -> Change:
    return lambda data: data[: at % (len(data) + 1)] + what + data[at % (len(data) + 1) :]


def _flip(at: int, mask: int) -> Change:
    return lambda data: data[: at % len(data)] + bytes([data[at % len(data)] ^ mask]) + data[at % len(data) + 1 :] if data else data


def _repeat(at: int, length: int) -> Change:
    return lambda data: data[: at % (len(data) + 1) + length] + data[at % (len(data) + 1) :]


PLACES = st.integers(0, 1 << 16)
CHANGES: st.SearchStrategy[list[Change]] = st.lists(
    st.one_of(
        st.builds(_cut_out, PLACES, st.integers(1, 400)),
        st.builds(_put_in, PLACES, st.one_of(st.binary(max_size=30), st.sampled_from([b"\n", b"{", b'"', b"\\u", b'{"done":true}\n', b"[" * 5000]))),
        st.builds(_flip, PLACES, st.integers(1, 255)),
        st.builds(_repeat, PLACES, st.integers(1, 400)),
    ),
    max_size=4,
)
WORDS = st.one_of(st.just("The memory grew."), st.just(ATTACK), st.text(max_size=200))


@st.composite
def streams(draw: st.DrawFn) -> Behaviour:
    """Random bytes, or a valid stream that was changed at some places; in pieces, with pauses; with any kind of end."""
    words = draw(WORDS)
    changes = draw(CHANGES)
    random = draw(st.one_of(st.none(), st.none(), st.none(), st.binary(max_size=200)))
    head_too = draw(st.integers(0, 9)) == 0  # now and then the head is changed as well
    cuts = sorted(draw(st.lists(PLACES, max_size=5)))
    pause = draw(st.sampled_from([0.0, 0.0, 0.0, 0.005, 0.03]))
    end = draw(st.sampled_from(["close", "close", "close", "reset", "hang"]))

    async def behave(exchange: Exchange) -> None:
        request = exchange.request.json
        answer = go_json(verdict_of(request, words)).decode() if offered(request) else words
        data = b"".join(go_json(value) + b"\n" for value in [*exchange.tokens(answer), exchange.last(answer)]) if random is None else random
        data, rest = (HEAD + data, b"") if head_too else (data, HEAD)
        for change in changes:
            data = change(data)
        data = rest + data
        at = 0
        for cut in [*(place % (len(data) + 1) for place in cuts), len(data)]:
            if cut > at:
                await exchange.send(data[at:cut])
                at = cut
                if pause and await exchange.wait(pause):
                    return
        if end == "hang":
            await exchange.wait()
        elif end == "reset":
            exchange.reset()

    return behave


@pytest.mark.asyncio(loop_scope="module")
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(behaviours=st.lists(streams(), min_size=AT_ONCE, max_size=AT_ONCE))
async def test_whatever_bytes_come_each_incident_ends_once_in_time_and_with_the_rules_report(world: Behaving, behaviours: list[Behaviour]) -> None:
    world.ollama.behave(*behaviours)
    for rules, final in await asyncio.gather(*(ended(world) for _ in behaviours)):
        assert_no_worse(final, rules)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("group", [list(WIRE)[at : at + 8] for at in range(0, len(WIRE), 8)], ids=lambda group: f"{group[0]} …")
async def test_whatever_the_wire_does_the_rules_report_is_the_least(world: Behaving, group: list[str]) -> None:
    """Two of the wire's faults take the same way, so which alert meets which of a group does not matter."""
    world.ollama.behave(*group)
    for rules, final in await asyncio.gather(*(ended(world) for _ in group)):
        assert_no_worse(final, rules)
