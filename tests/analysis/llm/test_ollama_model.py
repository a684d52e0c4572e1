"""OllamaModel against a fake Ollama on real sockets: every row of the fault table ends in its reason, in time, and in words that help."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_sre.analysis.llm import metrics
from agent_sre.analysis.llm.model import REASONS, Budget, Completion, ModelFailed, ModelHealth
from agent_sre.analysis.llm.ollama import OllamaModel, OllamaSettings
from agent_sre.kit.clock import FakeClock, SystemClock
from agent_sre.kit.errors import BadSetting
from fakes.ollama import BEHAVIOURS, LISTS, SAYINGS, Behaviour, Exchange, FakeOllama, body, fine, go_json, raw, status

FAKE_PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "fake-ollama.md").read_text(encoding="utf-8")
PRIMARY, FALLBACK = "bruno-sre:latest", "gemma3n:e4b"
SYSTEM = "You weigh evidence."
PROMPT = "E01 memory of pod shop-7d4 is 1.9Gi of 2Gi, rising since 06:12 UTC. What is wrong?"
LONG_PROMPT = "E07 metric container_memory_working_set_bytes now=1.71Gi limit=2Gi slope=+0.8Gi/h\n" * 120
ODD_TEXT = 'Größe 5 µs, 内存不足 🔥 e\u0301, <b> & "quoted" \\ tab\tend'
SCHEMA = {"type": "object", "required": ["b_cause"], "properties": {"b_cause": {"enum": ["H1", "unknown"]}}}
BUDGET = Budget(total=timedelta(seconds=10), max_output_tokens=400)
SLACK_SECONDS = 4.0  # for a busy machine; what would be waited for instead is five seconds and more


def ms(milliseconds: float) -> timedelta:
    return timedelta(milliseconds=milliseconds)


# Patient, so that a busy machine changes no result; where patience is what is tested, IMPATIENT shortens it.
SETTINGS = OllamaSettings(total=timedelta(seconds=10), first_token=timedelta(seconds=8), retry_pause=ms(5))
IMPATIENT: dict[str, Any] = {"first_token": ms(250), "first_token_cold": ms(250), "between_tokens": ms(150), "load": ms(150)}


@asynccontextmanager
async def model_on(fake: FakeOllama, clock: SystemClock | FakeClock | None = None, **changes: Any) -> AsyncIterator[OllamaModel]:
    model = OllamaModel(replace(SETTINGS, url=fake.url, **changes), clock or SystemClock())
    try:
        yield model
    finally:
        await model.close()


async def ask(model: OllamaModel, prompt: str = PROMPT, schema: Mapping[str, Any] | None = None, budget: Budget = BUDGET) -> Completion:
    """One call that must end within its budget, however it ends."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        return await model.complete(system=SYSTEM, prompt=prompt, schema=schema, budget=budget)
    finally:
        assert loop.time() - started < max(0.0, budget.total.total_seconds()) + SLACK_SECONDS


async def failure_of(model: OllamaModel, prompt: str = PROMPT, budget: Budget = BUDGET) -> ModelFailed:
    with pytest.raises(ModelFailed) as caught:
        await ask(model, prompt, budget=budget)
    assert type(caught.value) is ModelFailed
    assert caught.value.reason in REASONS
    assert "Ollama" in str(caught.value)
    return caught.value


def calls(outcome: str, model: str = PRIMARY) -> float:
    return float(metrics.REQUESTS.labels(provider="ollama", model=model, outcome=outcome)._value.get())


# What is asked


async def test_the_request_is_the_documented_one_and_always_the_same() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        await ask(model, schema=SCHEMA)
        await ask(model, schema=SCHEMA)
    first, second = fake.chats
    assert first.body == second.body
    assert first.json == {
        "model": PRIMARY,
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
        "stream": True,
        "think": False,
        "truncate": False,
        "shift": False,
        "keep_alive": "30m",
        "format": SCHEMA,
        "options": {"num_ctx": 8192, "num_predict": 400, "temperature": 0.0, "seed": 7, "top_k": 1},
    }
    assert first.headers["accept-encoding"] == "identity"


async def test_without_a_schema_no_format_is_sent_and_without_a_system_text_no_system_turn() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        await model.complete(system="", prompt=PROMPT, schema=None, budget=BUDGET)
    (chat,) = fake.chats
    assert "format" not in chat.json
    assert chat.json["messages"] == [{"role": "user", "content": PROMPT}]


@pytest.mark.parametrize(("keep_alive", "sent"), [("30m", "30m"), ("-1", -1), ("0", 0), ("600", 600)])
async def test_keep_alive_is_sent_as_ollama_reads_it(keep_alive: str, sent: object) -> None:
    async with FakeOllama() as fake, model_on(fake, keep_alive=keep_alive) as model:
        await ask(model)
    assert fake.chats[0].json["keep_alive"] == sent


async def test_the_settings_cap_what_a_budget_may_ask_for() -> None:
    async with FakeOllama() as fake, model_on(fake, max_output_tokens=50) as model:
        await ask(model)
    assert fake.chats[0].json["options"]["num_predict"] == 50


async def test_unpaired_surrogates_in_a_prompt_are_replaced_and_not_fatal() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        await ask(model, prompt="half \ud83d of a fire")
    assert fake.chats[0].json["messages"][1]["content"] == "half ? of a fire"


# Good answers


async def test_a_completion_says_who_answered_and_what_it_cost() -> None:
    async with FakeOllama(answer=lambda _: "It is the disk.") as fake, model_on(fake) as model:
        input_before = metrics.TOKENS.labels(direction="input")._value.get()
        before = calls("ok")
        completion = await ask(model)
        assert calls("ok") == before + 1
        assert completion.input_tokens is not None
        assert metrics.TOKENS.labels(direction="input")._value.get() == input_before + completion.input_tokens
    assert completion.text == "It is the disk."
    assert completion.model == PRIMARY
    assert completion.finish_reason == "stop"
    assert completion.output_tokens == 4
    assert timedelta(0) < completion.took < BUDGET.total


GOOD = (
    "fine",
    "whole at once",
    "slow first token",
    "cold load",
    "done_reason missing",
    "two objects a line",
    "blank lines",
    "CRLF",
    "split bytes",
    "split characters",
    "thinking",
    "think tags",
    "think without start",
    "counts missing",
    "counts odd",
)


@pytest.mark.parametrize("behaviour", GOOD)
async def test_the_text_arrives_exactly(behaviour: str) -> None:
    async with FakeOllama(behaviour, answer=lambda _: ODD_TEXT, slow_seconds=0.05) as fake, model_on(fake) as model:
        assert (await ask(model)).text == ODD_TEXT


async def test_missing_and_odd_counts_are_unknown() -> None:
    async with FakeOllama("counts missing") as fake, model_on(fake) as model:
        completion = await ask(model, LONG_PROMPT)
        assert (completion.input_tokens, completion.output_tokens) == (None, None)
        fake.behave("counts odd")
        completion = await ask(model, LONG_PROMPT)
        assert (completion.input_tokens, completion.output_tokens) == (None, None)


async def test_what_the_server_says_is_not_judged_here() -> None:
    async with FakeOllama("fenced", answer=lambda _: "{}") as fake, model_on(fake) as model:
        assert (await ask(model, schema=SCHEMA)).text.endswith("```json\n{}\n```")
        fake.behave("echo")
        assert (await ask(model)).text == PROMPT


# Faults: behaviour, reason, how often the model is asked

FAULTS = (
    ("hang before the first token", "timeout", 1),
    ("hang after the head", "timeout", 1),
    ("stall mid-stream", "timeout", 1),
    ("drip", "timeout", 1),
    ("blank lines for ever", "timeout", 1),
    ("EOF without done", "incomplete", 1),
    ("repeated token", "incomplete", 1),
    ("done false", "incomplete", 1),
    ("cut in a line", "incomplete", 1),
    ("cut in a chunk", "incomplete", 1),
    ("no last chunk", "incomplete", 1),
    ("empty body", "incomplete", 1),
    ("done_reason load", "incomplete", 1),
    ("reset mid-stream", "unavailable", 2),
    ("reset before the head", "unavailable", 2),
    ("closed before the head", "unavailable", 2),
    ("length", "cut_off", 1),
    ("length in a string", "cut_off", 1),
    ("length in an escape", "cut_off", 1),
    ("length in a surrogate", "cut_off", 1),
    ("white space for ever", "cut_off", 1),
    ("error line mid-stream", "server_error", 1),
    ("error line first", "server_error", 1),
    ("bad chunks", "garbage", 1),
    ("garbage", "garbage", 1),
    ("not HTTP", "garbage", 1),
    ("prose", "garbage", 1),
    ("other JSON", "garbage", 1),
    ("JSON array", "garbage", 1),
    ("number as content", "garbage", 1),
    ("NaN", "garbage", 1),
    ("deep nesting", "garbage", 1),
    ("200 HTML", "garbage", 1),
    ("huge line", "garbage", 1),
    ("huge body", "garbage", 1),
    ("204 nothing", "garbage", 1),
    ("empty answer", "invalid", 1),
    ("white space", "invalid", 1),
    ("only thinking", "invalid", 1),
    ("think without end", "invalid", 1),
    ("tool calls", "invalid", 1),
    ("truncating", "prompt_too_long", 1),
    ("400 too long", "prompt_too_long", 1),
    ("400 too long, newer words", "prompt_too_long", 1),
    ("400 too long, native words", "prompt_too_long", 1),
    ("forwarded to the cloud", "cloud_model", 1),
    ("302 elsewhere", "rejected", 1),
    ("307 elsewhere", "rejected", 1),
    ("400 no thinking", "rejected", 1),
    ("400 no chat", "rejected", 1),
    ("400 no tools", "rejected", 1),
    ("400 no body", "rejected", 1),
    ("400 with the prompt", "rejected", 1),
    ("401 unauthorized", "rejected", 1),
    ("403 forbidden", "rejected", 1),
    ("403 no cloud", "rejected", 1),
    ("404 no page", "rejected", 1),
    ("405 method", "rejected", 1),
    ("499 cancelled", "rejected", 1),
    ("404 no model", "model_missing", 2),
    ("404 no model, pull it", "model_missing", 2),
    ("429 too many", "busy", 2),
    ("503 busy", "busy", 2),
    ("500 runner stopped", "server_error", 2),
    ("500 process killed", "server_error", 2),
    ("500 no start", "server_error", 2),
    ("500 memory", "server_error", 2),
    ("500 format", "server_error", 2),
    ("502 HTML", "server_error", 2),
    ("504 gateway", "server_error", 1),
)
NEITHER = {"endless", "echo", "fenced"}  # tests of their own; what is only said is judged behind the model: tests/e2e/test_model_behaviours.py


def test_every_behaviour_of_the_fake_has_its_test() -> None:
    assert sorted(BEHAVIOURS) == sorted({*GOOD, *(name for name, _, _ in FAULTS), *NEITHER, *SAYINGS})


def test_the_page_of_the_fake_names_every_behaviour_and_what_comes_of_it() -> None:
    rows = [re.findall(r"`([^`]+)`", cells[2]) for line in FAKE_PAGE.splitlines() if len(cells := line.split("|")) > 4 or "| Not " in line]
    named = [name for row in rows for name in row]
    assert sorted(named) == sorted(BEHAVIOURS)
    outcome = {
        name: cells[3].strip(" `")
        for line in FAKE_PAGE.splitlines()
        if len(cells := line.split("|")) == 5
        for name in re.findall(r"`([^`]+)`", cells[2])
    }
    assert {name: outcome[name] for name, _, _ in FAULTS} == {name: reason for name, reason, _ in FAULTS}
    assert {outcome[name] for name in GOOD} == {"the exact text", "the text without the thinking"}
    assert [name for name in LISTS if f"`{name}`" not in FAKE_PAGE] == []


@pytest.mark.parametrize(("behaviour", "reason", "asked"), FAULTS, ids=[name for name, _, _ in FAULTS])
async def test_each_fault_has_its_reason(behaviour: str, reason: str, asked: int) -> None:
    before = calls(reason)
    patience = IMPATIENT if reason == "timeout" else {}
    started = asyncio.get_running_loop().time()
    async with FakeOllama(behaviour, loaded=[PRIMARY]) as fake, model_on(fake, **patience) as model:
        failure = await failure_of(model, LONG_PROMPT)
    assert failure.reason == reason, str(failure)
    assert asyncio.get_running_loop().time() - started < SLACK_SECONDS  # long before the budget of ten
    assert len(fake.chats) == asked
    assert calls(reason) == before + 1
    assert fake.url in str(failure)
    assert "\n" not in str(failure)
    assert len(str(failure)) < 600


async def test_an_endless_answer_ends_with_the_budget() -> None:
    async with FakeOllama("endless", loaded=[PRIMARY]) as fake, model_on(fake) as model:
        failure = await failure_of(model, budget=replace(BUDGET, total=ms(1500)))
        assert failure.reason == "timeout"
        await asyncio.wait_for(fake.chats[0].gone.wait(), 10)


async def test_the_settings_total_holds_where_the_budget_is_longer() -> None:
    async with FakeOllama("endless", loaded=[PRIMARY]) as fake, model_on(fake, total=ms(200)) as model:
        started = asyncio.get_running_loop().time()
        assert (await failure_of(model)).reason == "timeout"
        assert asyncio.get_running_loop().time() - started < 0.2 + SLACK_SECONDS


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_a_budget_of_nothing_is_a_timeout(seconds: float) -> None:
    async with FakeOllama("hang before the first token") as fake, model_on(fake) as model:
        assert (await failure_of(model, budget=replace(BUDGET, total=timedelta(seconds=seconds)))).reason == "timeout"


async def test_a_server_that_is_not_there_is_unavailable_at_once() -> None:
    async with FakeOllama() as fake:
        url = fake.url
    model = OllamaModel(replace(SETTINGS, url=url), SystemClock())
    failure = await failure_of(model)
    assert failure.reason == "unavailable"
    assert "ollama serve" in str(failure)
    await model.close()


async def test_a_server_that_does_not_speak_tls_is_unavailable() -> None:
    async with FakeOllama() as fake:
        model = OllamaModel(replace(SETTINGS, url=fake.url.replace("http:", "https:"), connect=ms(300)), SystemClock())
        assert (await failure_of(model)).reason == "unavailable"
        await model.close()


async def test_a_slow_error_text_does_not_cost_the_reason() -> None:
    async def slow_words(exchange: Exchange) -> None:
        await exchange.head(504, "application/json")
        await exchange.chunk(b'{"error":')
        await exchange.wait()

    async with FakeOllama(slow_words) as fake, model_on(fake) as model:
        assert (await failure_of(model)).reason == "server_error"


# Retries


@pytest.mark.parametrize("once", ["503 busy", "429 too many", "500 runner stopped", "502 HTML", "reset mid-stream", "closed before the head"])
async def test_what_may_pass_is_tried_once_more(once: str) -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        fake.behave(once, "fine")
        assert (await ask(model)).text
    assert len(fake.chats) == 2


async def test_no_second_try_where_none_would_fit_into_the_budget() -> None:
    async def late_503(exchange: Exchange) -> None:
        if not await exchange.wait(1.5):
            await BEHAVIOURS["503 busy"](exchange)

    async with FakeOllama(late_503) as fake, model_on(fake) as model:
        assert (await failure_of(model, budget=replace(BUDGET, total=ms(2500)))).reason == "busy"
    assert len(fake.chats) == 1


async def test_there_is_one_retry_for_the_call_and_not_one_for_each_model() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        fake.behave("503 busy", "404 no model", "503 busy")
        assert (await failure_of(model)).reason == "busy"
    assert len(fake.chats) == 3


# Models


async def test_the_fallback_answers_where_the_model_is_missing_and_the_completion_says_so() -> None:
    async with FakeOllama(models=[FALLBACK]) as fake, model_on(fake) as model:
        assert (await ask(model)).model == FALLBACK
    assert [chat.json["model"] for chat in fake.chats] == [PRIMARY, FALLBACK]
    assert model.name == PRIMARY


async def test_neither_model_is_named_in_one_sentence() -> None:
    async with FakeOllama(models=["llama3.2:3b"]) as fake, model_on(fake) as model:
        failure = await failure_of(model)
    assert failure.reason == "model_missing"
    assert PRIMARY in str(failure)
    assert FALLBACK in str(failure)


@pytest.mark.parametrize("fallback", ["", PRIMARY, "bruno-sre"])
async def test_without_another_model_nobody_else_is_asked(fallback: str) -> None:
    async with FakeOllama(models=["llama3.2:3b"]) as fake, model_on(fake, fallback_model=fallback) as model:
        assert (await failure_of(model)).reason == "model_missing"
    assert len(fake.chats) == 1


@pytest.mark.parametrize("name", ["gpt-oss:120b-cloud", "glm-4.6:cloud", "GLM-4.6:CLOUD "])
async def test_cloud_models_are_refused_before_anything_is_sent(name: str) -> None:
    async with FakeOllama(models=[name]) as fake, model_on(fake, model_name=name) as model:
        assert (await failure_of(model)).reason == "cloud_model"
        assert not (await model.check(timedelta(seconds=5))).connected
        await model.warm_up()
    assert [request.path for request in fake.requests] == ["/api/version"]


async def test_a_cloud_fallback_is_refused_too() -> None:
    async with FakeOllama(models=["glm-4.6:cloud"]) as fake, model_on(fake, fallback_model="glm-4.6:cloud") as model:
        assert (await failure_of(model)).reason == "cloud_model"
    assert [chat.json["model"] for chat in fake.chats] == [PRIMARY]


async def test_cloud_models_are_used_where_that_is_allowed() -> None:
    async with FakeOllama(models=["glm-4.6:cloud"]) as fake, model_on(fake, model_name="glm-4.6:cloud", allow_cloud=True) as model:
        assert (await ask(model)).model == "glm-4.6:cloud"
        assert (await model.check(timedelta(seconds=5))).connected


# The size of the prompt


async def test_a_prompt_that_may_not_fit_is_not_sent() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        failure = await failure_of(model, prompt="x" * 21_000)
    assert failure.reason == "prompt_too_long"
    assert fake.requests == []


async def test_a_server_that_threw_the_front_away_is_found_out() -> None:
    async with FakeOllama("truncating") as fake, model_on(fake) as model:
        failure = await failure_of(model, LONG_PROMPT)
        assert failure.reason == "prompt_too_long"
        assert "4098" in str(failure)


async def test_an_old_server_that_ignores_truncate_is_found_out() -> None:
    # It has a window of 2048 for everybody: the prompt of about 2,500 tokens is cut to 1026 without a word.
    async def old(exchange: Exchange) -> None:
        request = exchange.request.json
        request["options"]["num_ctx"] = 2048
        exchange.request.body = json.dumps(request).encode()
        await fine(exchange)

    async with FakeOllama(old, version="0.12.5") as fake, model_on(fake) as model:
        assert (await failure_of(model, LONG_PROMPT)).reason == "prompt_too_long"


# Patience


async def test_a_loaded_model_gets_less_time_for_its_first_token() -> None:
    async with FakeOllama("slow first token", slow_seconds=0.3, loaded=[PRIMARY]) as fake, model_on(fake, first_token=ms(100)) as model:
        failure = await failure_of(model)
        assert failure.reason == "timeout"
        assert "the model is loaded" in str(failure)
        fake.loaded.clear()
        assert (await ask(model)).text  # not loaded: the cold patience
        fake.loaded[PRIMARY] = 4096
        assert (await ask(model)).text  # loaded with another window: it will be loaded again
        fake.loaded[PRIMARY] = 8192
        fake.behave("500 memory", path="/api/ps")
        assert (await ask(model)).text  # nobody knows


async def test_silence_inside_an_answer_is_borne_for_a_shorter_time_than_before_it() -> None:
    async with FakeOllama("stall mid-stream", loaded=[PRIMARY]) as fake, model_on(fake, between_tokens=ms(100)) as model:
        started = asyncio.get_running_loop().time()
        failure = await failure_of(model)
        assert "stalled" in str(failure)
        assert asyncio.get_running_loop().time() - started < 0.1 + SLACK_SECONDS


async def test_a_slow_answer_that_goes_on_is_let_finish() -> None:
    async def steady(exchange: Exchange) -> None:
        await exchange.head()
        for value in [*exchange.tokens("It is the disk of node 7."), exchange.last("x")]:
            await exchange.chunk(go_json(value) + b"\n")
            await exchange.wait(0.12)
        await exchange.finish()

    async with FakeOllama(steady, loaded=[PRIMARY]) as fake, model_on(fake, first_token=ms(1000), between_tokens=ms(1000)) as model:
        completion = await ask(model)
        assert completion.text == "It is the disk of node 7."
        assert completion.took > ms(1000)


async def test_a_hanging_list_of_loaded_models_costs_half_a_second_at_most() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        fake.behave("hang before the first token", path="/api/ps")
        assert (await ask(model)).text


# The queue


async def test_calls_go_one_after_the_other() -> None:
    async with FakeOllama("slow first token", slow_seconds=0.03) as fake, model_on(fake) as model:
        await asyncio.gather(*(ask(model) for _ in range(4)))
    assert len(fake.chats) == 4
    assert fake.most_at_once == 1


async def test_more_calls_run_at_once_where_the_settings_say_so() -> None:
    async with FakeOllama("slow first token", slow_seconds=0.1) as fake, model_on(fake, concurrency=3) as model:
        await asyncio.gather(*(ask(model) for _ in range(6)))
    assert fake.most_at_once == 3


async def test_waiting_for_our_turn_is_part_of_the_budget() -> None:
    async with FakeOllama("endless", loaded=[PRIMARY]) as fake, model_on(fake) as model:
        first = asyncio.create_task(ask(model))
        await asyncio.sleep(0)
        failure = await failure_of(model, budget=replace(BUDGET, total=ms(100)))
        assert failure.reason == "timeout"
        assert "waiting for our turn" in str(failure)
        assert len(fake.chats) <= 1
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_cancelling_closes_the_connection_and_frees_the_turn() -> None:
    before = calls("cancelled")
    arrived = asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        arrived.set()
        await exchange.wait()

    async with FakeOllama(hang) as fake, model_on(fake) as model:
        call = asyncio.create_task(ask(model))
        await asyncio.wait_for(arrived.wait(), 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(fake.chats[0].gone.wait(), 10)
        fake.behave("fine")
        assert (await ask(model)).text
    assert calls("cancelled") == before + 1


# The circuit


async def test_after_three_failures_the_server_is_left_alone_for_half_a_minute() -> None:
    clock = FakeClock()
    async with FakeOllama("504 gateway") as fake, model_on(fake, clock) as model:
        for _ in range(3):
            assert model.available()
            assert (await failure_of(model)).reason == "server_error"
        assert not model.available()
        asked = len(fake.requests)
        failure = await failure_of(model)
        assert failure.reason == "circuit_open"
        assert "30 s" in str(failure)
        assert len(fake.requests) == asked
        assert "left alone" in (await model.check(timedelta(seconds=5))).detail

        clock.advance(timedelta(seconds=31))
        assert model.available()
        assert (await failure_of(model)).reason == "server_error"  # the probe
        assert (await failure_of(model)).reason == "circuit_open"

        clock.advance(timedelta(seconds=31))
        fake.behave("fine")
        assert (await ask(model)).text
        assert (await ask(model)).text
        assert model.available()


async def test_only_one_call_is_the_probe() -> None:
    clock = FakeClock()
    async with FakeOllama("504 gateway") as fake, model_on(fake, clock, concurrency=2) as model:
        for _ in range(3):
            await failure_of(model)
        clock.advance(timedelta(seconds=31))
        arrived, go_on = asyncio.Event(), asyncio.Event()

        async def when_told(exchange: Exchange) -> None:
            arrived.set()
            await go_on.wait()
            await fine(exchange)

        fake.behave(when_told)
        probe = asyncio.create_task(ask(model))
        await asyncio.wait_for(arrived.wait(), 10)
        assert (await failure_of(model)).reason == "circuit_open"
        go_on.set()
        assert (await probe).text


async def test_those_who_wait_for_their_turn_are_told_when_the_circuit_opens() -> None:
    async with FakeOllama("504 gateway") as fake, model_on(fake) as model:
        failures = await asyncio.gather(*(failure_of(model) for _ in range(5)))
    assert sorted(failure.reason for failure in failures) == ["circuit_open"] * 2 + ["server_error"] * 3
    assert len(fake.chats) == 3


async def test_a_cancelled_call_says_nothing_about_the_server() -> None:
    arrived = asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        arrived.set()
        await exchange.wait()

    async with FakeOllama() as fake, model_on(fake) as model:
        fake.behave("504 gateway", "504 gateway", hang, "504 gateway")
        for _ in range(2):
            await failure_of(model)
        call = asyncio.create_task(ask(model))
        await asyncio.wait_for(arrived.wait(), 5)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert (await failure_of(model)).reason == "server_error"
        assert (await failure_of(model)).reason == "circuit_open"


async def test_failures_of_an_answering_server_do_not_open_the_circuit() -> None:
    async with FakeOllama("length") as fake, model_on(fake) as model:
        for _ in range(5):
            assert (await failure_of(model)).reason == "cut_off"


# Health


async def test_check_names_the_model_that_would_answer() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        health = await model.check(timedelta(seconds=5))
        assert (health.connected, health.model, health.reason) == (True, PRIMARY, "")
        assert health.detail == f"Ollama 0.33.0 at {fake.url} has {PRIMARY}."
        fake.models = [FALLBACK]
        health = await model.check(timedelta(seconds=5))
        assert (health.connected, health.model) == (True, FALLBACK)
        assert f"does not have {PRIMARY}; {FALLBACK} is used instead" in health.detail
        fake.models = ["llama3.2:3b"]
        health = await model.check(timedelta(seconds=5))
        assert (health.connected, health.model, health.reason) == (False, PRIMARY, "model_missing")
        assert "ollama create" in health.detail
    assert {request.path for request in fake.requests} == {"/api/version", "/api/tags", "/api/show"}


@pytest.mark.parametrize(("configured", "listed"), [("bruno-sre", "bruno-sre:latest"), ("bruno-sre:latest", "bruno-sre")])
async def test_check_knows_that_no_tag_means_latest(configured: str, listed: str) -> None:
    async with FakeOllama(models=[listed]) as fake, model_on(fake, model_name=configured) as model:
        assert (await model.check(timedelta(seconds=5))).connected


async def test_check_does_not_take_another_tag_for_the_model() -> None:
    async with FakeOllama(models=["bruno-sre:old", "bruno-sre-latest"]) as fake, model_on(fake) as model:
        assert (await model.check(timedelta(seconds=5))).reason == "model_missing"


@pytest.mark.parametrize(
    ("path", "behaviour", "reason"),
    [
        ("/api/version", "hang before the first token", "timeout"),
        ("/api/tags", "hang before the first token", "timeout"),
        ("/api/tags", "hang after the head", "timeout"),
        ("/api/tags", "500 memory", "server_error"),
        ("/api/tags", "503 busy", "busy"),
        ("/api/version", "403 forbidden", "rejected"),
        ("/api/version", "404 no page", "rejected"),
        ("/api/version", "302 elsewhere", "rejected"),
        ("/api/version", "200 HTML", "garbage"),
        ("/api/version", "JSON array", "garbage"),
        ("/api/version", "other JSON", "garbage"),
        ("/api/tags", "other JSON", "model_missing"),
        ("/api/tags", "JSON array", "model_missing"),
        ("/api/tags", "garbage", "garbage"),
        ("/api/tags", "huge body", "garbage"),
        ("/api/tags", "reset before the head", "unavailable"),
        ("/api/tags", "not HTTP", "garbage"),
        ("/api/tags", "cut in a chunk", "incomplete"),
    ],
)
async def test_check_says_why_not(path: str, behaviour: str, reason: str) -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        fake.behave(behaviour, path=path)
        timeout = ms(200) if reason == "timeout" else timedelta(seconds=5)
        started = asyncio.get_running_loop().time()
        health = await model.check(timeout)
        assert asyncio.get_running_loop().time() - started < timeout.total_seconds() + SLACK_SECONDS
    assert not health.connected
    assert health.reason == reason, health.detail
    assert health.model == PRIMARY
    assert "Ollama" in health.detail


async def test_check_reads_no_endless_list() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        fake.behave("huge body", path="/api/tags")
        assert "sent more than" in (await model.check(timedelta(seconds=5))).detail


async def test_check_refuses_a_local_name_for_a_remote_model() -> None:
    listed = {"models": [{"name": PRIMARY, "model": PRIMARY, "remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443"}]}
    async with FakeOllama() as fake, model_on(fake) as model:
        fake.behave(status(200, listed), path="/api/tags")
        assert (await model.check(timedelta(seconds=5))).reason == "cloud_model"


async def test_check_of_a_dead_server_comes_back() -> None:
    async with FakeOllama() as fake:
        url = fake.url
    model = OllamaModel(replace(SETTINGS, url=url), SystemClock())
    health = await model.check(timedelta(seconds=5))
    assert (health.connected, health.reason) == (False, "unavailable")
    await model.close()


@pytest.mark.parametrize("behaviour", ["no models", "null for a list"])
async def test_check_of_a_server_without_models(behaviour: str) -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        fake.behave(LISTS[behaviour], path="/api/tags")
        assert (await model.check(timedelta(seconds=5))).reason == "model_missing"


# Which model it was


async def informed(model: OllamaModel, is_it: Callable[[ModelHealth], bool]) -> ModelHealth:
    """The health as soon as it is that: what /api/show says may come with a later check."""
    async with asyncio.timeout(10):
        while not is_it(health := await model.check(timedelta(seconds=5))):
            await asyncio.sleep(0.01)
    return health


async def test_check_says_which_weights_on_which_server() -> None:
    async with FakeOllama(context_length=32768) as fake, model_on(fake) as model:
        served = (await informed(model, lambda health: health.served is not None and health.served.capabilities != ())).served
        assert served is not None
        assert (served.name, served.digest, served.server) == (PRIMARY, fake.digest(PRIMARY), "Ollama 0.33.0")
        assert (served.context_length, served.capabilities) == (32768, ("completion",))
        await model.check(timedelta(seconds=5))
    assert sum(request.path == "/api/show" for request in fake.requests) == 1  # it says the same until the digest changes


async def test_a_completion_says_which_weights_it_came_from_even_where_they_changed_meanwhile() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        served = (await ask(model)).served
        assert served is not None
        assert (served.digest, served.server) == (fake.digest(PRIMARY), "Ollama 0.33.0")
        fake.digests[PRIMARY] = "f" * 64  # somebody ran `ollama create` again
        served = (await ask(model)).served
        assert served is not None
        assert served.digest == "f" * 64
        assert served.label == "ffffffffffff on Ollama 0.33.0"


@pytest.mark.parametrize("behaviour", ["500 memory", "garbage", "other JSON", "reset before the head", "404 no page", "hang before the first token"])
async def test_a_server_that_does_not_say_what_it_is_answers_all_the_same(behaviour: str) -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        for path in ("/api/version", "/api/ps", "/api/show"):
            fake.behave(behaviour, path=path)
        completion = await ask(model)
        assert completion.served is not None
        assert (completion.served.digest, completion.served.server, completion.served.label) == ("", "Ollama", "Ollama")


@pytest.mark.parametrize("behaviour", [LISTS["show without capabilities"], "500 memory", "garbage", "JSON array", "other JSON", "404 no model"])
async def test_check_is_content_where_show_says_little(behaviour: str | Behaviour) -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        fake.behave(behaviour, path="/api/show")
        health = await model.check(timedelta(seconds=5))
        assert health.connected
        assert health.served is not None
        assert health.served.capabilities == ()


async def test_check_does_not_wait_for_a_show_that_hangs_and_has_it_the_next_time() -> None:
    async with FakeOllama(slow_seconds=0.3) as fake, model_on(fake) as model:
        fake.behave("slow first token", path="/api/show")
        health = await model.check(timedelta(seconds=5))
        assert (health.connected, health.served is not None and health.served.context_length) == (True, None)
        await informed(model, lambda health: health.served is not None and health.served.capabilities != ())
        fake.behave("hang before the first token", path="/api/show")
        fake.digests[PRIMARY] = "f" * 64
        assert (await model.check(timedelta(seconds=5))).connected
    assert sum(request.path == "/api/show" for request in fake.requests) == 2


async def test_check_refuses_a_model_that_cannot_chat() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        fake.behave(status(200, {"capabilities": ["embedding"]}), path="/api/show")
        health = await informed(model, lambda health: not health.connected)
        assert health.reason == "rejected"
        assert "cannot chat: it is made for embedding" in health.detail


async def test_a_model_with_a_shorter_window_than_num_ctx_gets_shorter_prompts() -> None:
    async with FakeOllama(context_length=2048) as fake, model_on(fake) as model:
        await informed(model, lambda health: "its window is 2048 tokens, less than num_ctx 8192" in health.detail)
        assert (await failure_of(model, LONG_PROMPT)).reason == "prompt_too_long"
        assert fake.chats == []
        await ask(model)
        fake.behave("slow first token")
        model_is_loaded = await ask(model)  # with 2048, which is all that it can be loaded with
        assert model_is_loaded.text
    assert fake.loads == [(PRIMARY, 2048)]


@pytest.mark.parametrize(
    ("version", "old"), [("0.12.5", True), ("0.9.0", True), ("0.12.6", False), ("0.12.10-rc1", False), ("0.0.0", False), ("", False)]
)
async def test_check_names_a_server_that_cannot_refuse_long_prompts(version: str, old: bool) -> None:
    async with FakeOllama(version=version) as fake, model_on(fake) as model:
        health = await model.check(timedelta(seconds=5))
        assert health.connected
        assert ("older than 0.12.6" in health.detail) is old


async def test_every_request_brings_the_same_options_so_that_nothing_is_loaded_twice() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        await model.warm_up()
        for tokens in (50, 400):
            await ask(model, schema=SCHEMA, budget=replace(BUDGET, max_output_tokens=tokens))
        await ask(model)
        await model.warm_up()
    assert fake.loads == [(PRIMARY, 8192)]


async def test_a_model_that_vanishes_between_check_and_call_is_missing_by_name() -> None:
    async with FakeOllama(models=[PRIMARY]) as fake, model_on(fake) as model:
        assert (await model.check(timedelta(seconds=5))).connected
        fake.models.clear()
        assert (await failure_of(model)).reason == "model_missing"


async def test_an_ollama_that_others_keep_busy_costs_a_reason_and_no_more() -> None:
    async with FakeOllama(slots=1, max_queue=0, token_seconds=0.3) as fake, model_on(fake) as model, model_on(fake) as other:
        first = asyncio.create_task(ask(other))
        async with asyncio.timeout(5):
            while not fake.chats:
                await asyncio.sleep(0.01)
        assert (await failure_of(model)).reason == "busy"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


# Warming up


async def loads_of(fake: FakeOllama, count: int) -> None:
    async with asyncio.timeout(10):
        while sum(request.path == "/api/chat" and not request.json["messages"] for request in fake.requests) < count:
            await asyncio.sleep(0.01)


async def test_the_model_is_kept_warm_and_a_call_puts_the_next_time_off() -> None:
    async with FakeOllama() as fake, model_on(fake, warm_every=ms(100)) as model:
        keeper = asyncio.create_task(model.keep_warm())
        await loads_of(fake, 3)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
    assert fake.loads == [(PRIMARY, 8192)]


async def test_a_model_is_loaded_again_before_keep_alive_ends() -> None:
    async with FakeOllama() as fake, model_on(fake, keep_alive="200ms") as model:
        keeper = asyncio.create_task(model.keep_warm())
        await loads_of(fake, 2)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


@pytest.mark.parametrize(
    "changes",
    [{"warm_every": ms(0)}, {"keep_alive": "0"}, {"keep_alive": "0s"}, {"model_name": "glm-4.6:cloud", "allow_cloud": True}],
    ids=["never", "unloaded at once", "unloaded at once, in words", "cloud"],
)
async def test_nothing_is_kept_warm_where_nothing_is_to_be_kept(changes: dict[str, Any]) -> None:
    async with FakeOllama() as fake, model_on(fake, **changes) as model:
        await asyncio.wait_for(model.keep_warm(), 5)
    assert fake.requests == []


async def test_a_call_does_not_wait_for_a_warm_up_that_hangs() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        fake.behave("hang before the first token", "fine")
        keeper = asyncio.create_task(model.keep_warm())
        await loads_of(fake, 1)
        assert (await ask(model)).text
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def test_what_goes_wrong_each_time_is_said_once_and_counted_each_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent_sre")
    counter = metrics.WARM_UPS.labels(provider="ollama", outcome="server_error")
    before = counter._value.get()
    async with FakeOllama("500 memory") as fake, model_on(fake) as model:
        for _ in range(3):
            await model.warm_up()
    assert counter._value.get() == before + 3
    assert caplog.text.count("not warmed up") == 1


async def test_warm_up_loads_the_model_with_the_options_of_later_calls() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        await model.warm_up()
        assert fake.loaded == {PRIMARY: 8192}
        await ask(model)
    load, chat = (request.json for request in fake.requests if request.path == "/api/chat")
    assert load["messages"] == []
    assert load["keep_alive"] == "30m"
    for key in ("think", "truncate", "shift", "model"):
        assert load[key] == chat[key]
    assert load["options"].items() <= chat["options"].items()


async def test_warm_up_loads_the_fallback_where_the_model_is_missing() -> None:
    async with FakeOllama(models=[FALLBACK]) as fake, model_on(fake) as model:
        await model.warm_up()
    assert fake.loaded == {FALLBACK: 8192}


@pytest.mark.parametrize(
    "behaviour",
    ["hang before the first token", "500 memory", "404 no model", "reset mid-stream", "garbage", "done false", "error line first", "JSON array"],
)
async def test_warm_up_only_logs_what_went_wrong(behaviour: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent_sre")
    async with FakeOllama(behaviour) as fake, model_on(fake, **IMPATIENT) as model:
        await model.warm_up()
    assert "Ollama" in caplog.text
    assert "has loaded" not in caplog.text
    assert all(record.levelno == logging.INFO for record in caplog.records)


# What may be read where


async def test_the_log_says_that_the_model_is_asked_and_never_what(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    prompt = "E01 the canary sings in pod shop-7d4 at the mine, and nobody may read it in a log file"
    async with FakeOllama(answer=lambda _: "The canary is well.") as fake, model_on(fake, **IMPATIENT) as model:
        await ask(model, prompt)
        for behaviour in ("400 with the prompt", "500 memory", "stall mid-stream", "length"):
            fake.behave(behaviour)
            failure = await failure_of(model, prompt)
            assert "canary" not in str(failure)
    assert "Processing with LLM" in [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 4
    assert all("Ollama" in line for line in warnings)
    assert "canary" not in caplog.text
    assert all("canary" not in str(vars(record)) for record in caplog.records)


async def test_credentials_of_the_url_go_into_the_header_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    encoded = base64.b64encode(b"bob:pa ss-sesame").decode()
    seen: list[str] = []
    async with FakeOllama(loaded=[PRIMARY]) as fake:
        url = fake.url.replace("//", "//bob:pa%20ss-sesame@")
        model = OllamaModel(replace(SETTINGS, url=url, circuit_failures=1000, **IMPATIENT), SystemClock())
        await ask(model)
        assert fake.chats[0].headers["authorization"] == f"Basic {encoded}"
        for behaviour in ("401 unauthorized", "302 elsewhere", "reset mid-stream", "hang before the first token", "404 no page", "not HTTP"):
            fake.behave(behaviour)
            failure = await failure_of(model)
            seen += [str(failure), repr(failure), repr(failure.__cause__), repr(failure.__context__)]
        seen.append((await model.check(timedelta(seconds=5))).detail)
        await model.warm_up()
    seen += [str(await failure_of(model)), repr(replace(SETTINGS, url=url)), model.url]
    await model.close()
    for text in (*seen, caplog.text, *(str(vars(record)) for record in caplog.records)):
        assert "sesame" not in text
        assert encoded not in text
        assert "bob" not in text


async def test_secrets_in_the_servers_words_are_not_passed_on() -> None:
    async with FakeOllama(status(400, {"error": "proxy login failed: password=hunter2"})) as fake, model_on(fake) as model:
        failure = await failure_of(model)
    assert "proxy login failed" in str(failure)
    assert "hunter2" not in str(failure)


async def test_redirects_are_never_followed() -> None:
    async with FakeOllama() as elsewhere, FakeOllama() as fake, model_on(fake) as model:
        for code in (301, 302, 303, 307, 308):
            fake.behave(status(code, b"", "text/plain", Location=f"{elsewhere.url}/api/chat"))
            assert (await failure_of(model)).reason == "rejected"
        for path in ("/api/version", "/api/tags", "/api/ps"):
            fake.behave(status(307, b"", "text/plain", Location=f"{elsewhere.url}{path}"), path=path)
        assert not (await model.check(timedelta(seconds=5))).connected
        await model.warm_up()
    assert elsewhere.requests == []


# The life of the client


async def test_close_is_safe_twice_and_a_later_call_works() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        await model.close()
        await ask(model)
        await model.close()
        await model.close()
        await ask(model)


@pytest.mark.parametrize(
    "url", ["", "localhost:11434", "ftp://x", "http://", "http://:11434", "http://h:port", "http://h:99999", "http://h/?a=b", "http://[::1"]
)
def test_a_url_that_cannot_be_right_is_a_bad_setting(url: str) -> None:
    with pytest.raises(BadSetting, match="OLLAMA_URL"):
        OllamaModel(OllamaSettings(url=url), SystemClock())


def test_a_bad_url_does_not_show_its_password() -> None:
    with pytest.raises(BadSetting) as caught:
        OllamaModel(OllamaSettings(url="http://bob:sesame@h:port"), SystemClock())
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:11434/", "http://h:11434"),
        ("https://bob:pw@gpu.example/ollama/", "https://gpu.example/ollama"),
        ("http://[fd00::7]:11434", "http://[fd00::7]:11434"),
    ],
)
def test_the_address_is_shown_without_credentials(url: str, shown: str) -> None:
    assert OllamaModel(OllamaSettings(url=url), SystemClock()).url == shown


async def test_a_path_before_the_api_is_kept() -> None:
    async with FakeOllama() as fake:
        model = OllamaModel(replace(SETTINGS, url=f"{fake.url}/gpu-1"), SystemClock())
        await failure_of(model)
        await model.close()
    assert [request.path for request in fake.requests] == ["/gpu-1/api/version", "/gpu-1/api/ps", "/gpu-1/api/chat"]


def test_at_least_one_call_must_be_allowed() -> None:
    with pytest.raises(BadSetting):
        OllamaModel(OllamaSettings(concurrency=0), SystemClock())


# Whatever comes

LINES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                b'{"message":{"content":"a"},"done":false}\n',
                b'{"message":{"content":"z"},"done":true}\n',
                b'{"done":true,"done_reason":"length"}\n',
                b'{"error":"x"}\n',
                b"\n",
                b"[]\n",
                b"{",
            ]
        ),
    ),
    max_size=8,
).map(b"".join)


@pytest.fixture
async def tireless() -> AsyncIterator[tuple[FakeOllama, OllamaModel]]:
    async with FakeOllama() as fake, model_on(fake, circuit_failures=10**9, retry_pause=ms(1)) as model:
        yield fake, model


async def outcome_of(model: OllamaModel) -> Completion | ModelFailed:
    try:
        return await ask(model)
    except ModelFailed as failure:
        return failure


async def completes_or_fails(model: OllamaModel) -> None:
    outcome = await outcome_of(model)
    if isinstance(outcome, ModelFailed):
        assert outcome.reason in REASONS
        assert "Ollama" in str(outcome)
    else:
        assert outcome.text.strip()
        assert outcome.text.encode()  # no half of a character in it


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=LINES, chunk_bytes=st.integers(1, 64))
async def test_any_body_gives_a_completion_or_a_reason(tireless: tuple[FakeOllama, OllamaModel], content: bytes, chunk_bytes: int) -> None:
    fake, model = tireless
    fake.behave(body(content, chunk_bytes=chunk_bytes))
    await completes_or_fails(model)


HEADS = st.one_of(
    st.just(b""),
    st.binary(max_size=60),
    st.builds(
        lambda code, name, value: b"HTTP/1.1 %d X\r\n%s: %s\r\n\r\n" % (code, name, value),
        st.integers(100, 600),
        st.sampled_from([b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Location", b"Set-Cookie", b"X"]),
        st.one_of(st.sampled_from([b"5", b"-1", b"chunked", b"gzip", b"http://[", b"a=b"]), st.binary(max_size=12)),
    ),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=HEADS, content=LINES)
async def test_any_bytes_in_place_of_http_give_a_completion_or_a_reason(
    tireless: tuple[FakeOllama, OllamaModel], head: bytes, content: bytes
) -> None:
    fake, model = tireless
    for path in ("/api/chat", "/api/tags"):
        fake.behave(raw(head + content), path=path)
    await completes_or_fails(model)
    health = await model.check(timedelta(seconds=5))
    assert health.connected or health.reason in REASONS


async def test_the_servers_own_durations_come_with_the_answer() -> None:
    async with FakeOllama() as fake, model_on(fake) as model:
        completion = await ask(model)
    assert (completion.prompt_seconds, completion.output_seconds) == (0.48, 1.0)


async def test_what_was_cut_off_comes_with_the_failure_for_whoever_can_use_it() -> None:
    async with FakeOllama("length") as fake, model_on(fake) as model:
        failure = await failure_of(model)
    assert failure.reason == "cut_off"
    assert failure.partial is not None
    assert failure.partial.text
    assert failure.partial.finish_reason == "length"
