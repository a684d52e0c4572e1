"""OpenAIModel against a fake server on real sockets: every fault ends in its reason, in time, and in words that help."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.analysis.llm.answer import Unusable
from agent_sre.analysis.llm.model import REASONS, Budget, Completion, ModelFailed
from agent_sre.analysis.llm.openai import OpenAIModel, OpenAISettings
from agent_sre.analysis.llm.openai_answer import EventReader
from agent_sre.kit.clock import SystemClock
from agent_sre.kit.errors import BadSetting
from fakes.ollama import BEHAVIOURS
from fakes.openai import EVENTS, FakeOpenAI, delta, event, finished

SHORT = timedelta(milliseconds=600)
BUDGET = Budget(total=timedelta(seconds=5), max_output_tokens=300)
SCHEMA: dict[str, Any] = {"type": "object", "required": ["b_cause"], "properties": {"b_cause": {"enum": ["H1", "unknown"]}}}
OF_THIS_WIRE = [name for name in EVENTS if name not in BEHAVIOURS or EVENTS[name] is not BEHAVIOURS[name]]
"""Below HTTP the call is the same as for Ollama, and tested there."""

LONG_PROMPT = "E01 the disk is full. " * 150


@asynccontextmanager
async def model_on(fake: FakeOpenAI, **changes: Any) -> AsyncIterator[OpenAIModel]:
    patience = {"first_token": SHORT, "between_tokens": SHORT, "retry_pause": timedelta(0)}
    model = OpenAIModel(OpenAISettings(**{"url": fake.api, "model_name": "qwen3:4b", **patience, **changes}), SystemClock())
    try:
        yield model
    finally:
        await model.close()


async def ask(model: OpenAIModel, *, prompt: str = "E01 the disk is full", schema: dict[str, Any] | None = None) -> Completion:
    return await model.complete(system="You weigh evidence.", prompt=prompt, schema=schema, budget=BUDGET)


async def failure(behaviour: str, *, prompt: str = "E01 the disk is full", **changes: Any) -> ModelFailed:
    async with FakeOpenAI(behaviour) as fake, model_on(fake, **changes) as model:
        with pytest.raises(ModelFailed) as caught:
            await ask(model, prompt=prompt)
    return caught.value


async def test_the_request_is_what_the_wire_asks_for() -> None:
    async with FakeOpenAI(key="sesame-4711") as fake, model_on(fake, api_key="sesame-4711") as model:
        completion = await ask(model, schema=SCHEMA)
    assert json.loads(completion.text) == {"b_cause": "H1"}
    assert (completion.model, completion.finish_reason) == ("qwen3:4b", "stop")
    assert completion.input_tokens
    assert completion.output_tokens
    (request,) = fake.chats
    assert request.headers["authorization"] == "Bearer sesame-4711"
    sent = request.json
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
    assert (sent["stream"], sent["max_tokens"], sent["temperature"]) == (True, 300, 0.0)


@pytest.mark.parametrize("behaviour", ["whole at once", "no [DONE]", "comments and named events", "thinking apart", "think tags"])
async def test_odd_but_whole_answers_are_read(behaviour: str) -> None:
    async with FakeOpenAI(behaviour, answer=lambda _: "It is fine.") as fake, model_on(fake) as model:
        assert (await ask(model)).text == "It is fine."


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("length", "cut_off"),
        ("content filter", "incomplete"),
        ("tool calls", "incomplete"),
        ("EOF without a reason", "incomplete"),
        ("only [DONE]", "incomplete"),
        ("error event", "server_error"),
        ("too long", "prompt_too_long"),
        ("stall mid-stream", "timeout"),
        ("signs of life for ever", "timeout"),
        ("hang before the first token", "timeout"),
        ("empty answer", "invalid"),
        ("choices of the wrong kind", "garbage"),
        ("no choices", "garbage"),
        ("garbage", "garbage"),
        ("not HTTP", "garbage"),
        ("200 HTML", "garbage"),
        ("huge body", "garbage"),
        ("reset before the head", "unavailable"),
        ("closed before the head", "unavailable"),
    ],
)
async def test_every_fault_has_its_reason(behaviour: str, reason: str) -> None:
    found = await failure(behaviour)
    assert found.reason == reason
    assert "OpenAI-compatible server" in str(found)


async def test_a_server_without_a_system_role_gets_it_all_in_one_message_from_then_on() -> None:
    async with FakeOpenAI("no system role") as fake, model_on(fake, first_token=timedelta(seconds=5)) as model:
        assert (await ask(model)).text
        assert (await ask(model)).text
        assert [[message["role"] for message in request.json["messages"]] for request in fake.chats] == [["system", "user"], ["user"], ["user"]]
        assert fake.chats[-1].json["messages"][0]["content"] == "You weigh evidence.\n\nE01 the disk is full"


async def test_what_was_cut_off_comes_with_the_failure_for_whoever_can_use_it() -> None:
    partial = (await failure("length")).partial
    assert partial is not None
    assert (partial.finish_reason, partial.model) == ("length", "qwen3:4b")
    assert partial.text


async def test_speeds_are_told_by_the_first_token_and_not_at_all_where_nothing_streams() -> None:
    patient = {"first_token": timedelta(seconds=5), "between_tokens": timedelta(seconds=5)}
    async with FakeOpenAI("fine") as fake, model_on(fake, **patient) as model:
        streamed = await ask(model)
    assert streamed.prompt_seconds is not None
    assert streamed.output_seconds is not None
    assert streamed.prompt_seconds + streamed.output_seconds <= streamed.took.total_seconds()
    async with FakeOpenAI("whole at once") as fake, model_on(fake, **patient) as model:
        assert (await ask(model)).output_seconds is None


async def test_a_prompt_that_was_not_read_whole_is_told_by_the_count() -> None:
    assert (await failure("front thrown away", prompt=LONG_PROMPT)).reason == "prompt_too_long"


async def test_a_prompt_that_cannot_fit_is_not_sent() -> None:
    async with FakeOpenAI() as fake, model_on(fake, num_ctx=600) as model:
        with pytest.raises(ModelFailed) as caught:
            await ask(model, prompt=LONG_PROMPT)
    assert caught.value.reason == "prompt_too_long"
    assert not fake.chats


async def test_a_server_without_schemas_is_asked_without_one_from_then_on() -> None:
    async with FakeOpenAI("no schema") as fake, model_on(fake) as model:
        assert (await ask(model, schema=SCHEMA)).text
        assert (await ask(model, schema=SCHEMA)).text
    assert ["response_format" in request.json for request in fake.chats] == [True, False, False]


async def test_a_wrong_key_says_which_setting_and_shows_no_key() -> None:
    async with FakeOpenAI(key="right-one-0815") as fake, model_on(fake, api_key="wrong-one-4711") as model:
        with pytest.raises(ModelFailed) as caught:
            await ask(model)
        health = await model.check(timedelta(seconds=5))
    assert caught.value.reason == health.reason == "rejected"
    for text in (str(caught.value), health.detail):
        assert "OPENAI_API_KEY" in text
        assert "4711" not in text


async def test_a_model_that_is_not_there_is_named_and_so_is_what_to_do() -> None:
    async with FakeOpenAI(models=("other", "another")) as fake, model_on(fake) as model:
        with pytest.raises(ModelFailed) as caught:
            await ask(model)
        health = await model.check(timedelta(seconds=5))
    assert caught.value.reason == health.reason == "model_missing"
    assert "OPENAI_MODEL" in health.detail


async def test_a_server_with_one_model_takes_any_name_for_it() -> None:
    async with FakeOpenAI(models=("gguf-file",)) as fake, model_on(fake) as model:
        health = await model.check(timedelta(seconds=5))
    assert health.connected
    assert "gguf-file" in health.detail


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"url": "vllm:8000"}, "OPENAI_URL"),
        ({"url": "http://host:port"}, "OPENAI_URL"),
        ({"model_name": " "}, "OPENAI_MODEL"),
        ({"api_key": "two words"}, "OPENAI_API_KEY"),
    ],
)
def test_settings_that_cannot_be_right_name_themselves(changes: dict[str, Any], setting: str) -> None:
    given_settings: dict[str, Any] = {"url": "http://host:8000/v1", "model_name": "m", **changes}
    with pytest.raises(BadSetting, match=setting) as caught:
        OpenAIModel(OpenAISettings(**given_settings), SystemClock())
    assert "two words" not in str(caught.value)


@pytest.mark.parametrize("behaviour", OF_THIS_WIRE)
async def test_whatever_the_server_does_a_call_ends_whole_or_with_a_reason_in_time(behaviour: str) -> None:
    async with FakeOpenAI(behaviour, slow_seconds=0.1) as fake, model_on(fake) as model:
        async with asyncio.timeout(20):
            assert await outcome(model) in {"ok", *REASONS}


async def outcome(model: OpenAIModel) -> str:
    budget = Budget(total=timedelta(milliseconds=400), max_output_tokens=50)
    try:
        completion = await model.complete(system="", prompt="why", schema=None, budget=budget)
    except ModelFailed as error:
        return error.reason
    return "ok" if completion.text else "empty"


@given(content=st.lists(st.one_of(st.binary(max_size=60), st.just(event(delta("x"))), st.just(event(finished())), st.just(b"data: [DONE]\n"))))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_answer_or_unusable(content: list[bytes]) -> None:
    assert read(content) in {"ok", *REASONS}


def read(content: list[bytes]) -> str:
    reader = EventReader()
    try:
        answer = next((answer for part in content if (answer := reader.feed(part)) is not None), None) or reader.end()
    except Unusable as error:
        return error.reason
    return "ok" if answer.text else "empty"
