"""What every LanguageModel keeps: one suite, run over each implementation and over the models that other tests use in its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from agent_sre.analysis.llm.model import REASONS, Budget, LanguageModel, ModelFailed, ModelHealth
from agent_sre.analysis.llm.ollama import OllamaModel, OllamaSettings
from agent_sre.analysis.llm.openai import OpenAIModel, OpenAISettings
from agent_sre.kit.clock import SystemClock
from fakes.model import InstantModel, ScriptedModel
from fakes.ollama import FakeOllama, default_answer
from fakes.openai import FakeOpenAI

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["a_reasoning", "b_cause", "c_evidence"],
    "properties": {
        "a_reasoning": {"type": "string", "maxLength": 400},
        "b_cause": {"enum": ["H1", "H2", "unknown"]},
        "c_evidence": {"type": "array", "minItems": 1, "maxItems": 5, "items": {"enum": ["E01", "E02"]}},
    },
}
BUDGET = Budget(total=timedelta(seconds=10), max_output_tokens=300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An implementation, where all is well and where nothing is."""

    name: str
    well: Callable[[], AbstractAsyncContextManager[LanguageModel]]
    ill: Callable[[], AbstractAsyncContextManager[LanguageModel]] | None  # None: it cannot fail


@asynccontextmanager
async def ollama(chat: str, tags: str = "fine") -> AsyncIterator[LanguageModel]:
    async with FakeOllama(chat, loaded=["bruno-sre:latest"]) as fake:
        fake.behave(tags, path="/api/tags")
        patience = timedelta(seconds=1)
        settings = OllamaSettings(url=fake.url, first_token=patience, first_token_cold=patience, retry_pause=timedelta(0))
        model = OllamaModel(settings, SystemClock())
        try:
            yield model
        finally:
            await model.close()


@asynccontextmanager
async def openai(chat: str, models: str = "fine") -> AsyncIterator[LanguageModel]:
    async with FakeOpenAI(chat) as fake:
        fake.behave(models, path="/v1/models")
        patience = timedelta(seconds=1)
        settings = OpenAISettings(url=fake.api, model_name="qwen3:4b", first_token=patience, between_tokens=patience, retry_pause=timedelta(0))
        model = OpenAIModel(settings, SystemClock())
        try:
            yield model
        finally:
            await model.close()


@asynccontextmanager
async def scripted_well() -> AsyncIterator[LanguageModel]:
    yield ScriptedModel(default_answer({"format": SCHEMA}), *["It is the disk."] * 10)


@asynccontextmanager
async def scripted_ill() -> AsyncIterator[LanguageModel]:
    health = ModelHealth(connected=False, model="scripted-model", detail="The scripted model is off.", reason="disabled")
    yield ScriptedModel(ModelFailed("The scripted model is off", reason="disabled"), health=health)


@asynccontextmanager
async def instant() -> AsyncIterator[LanguageModel]:
    yield InstantModel()


CASES = (
    Case(name="ollama", well=lambda: ollama("fine"), ill=lambda: ollama("hang before the first token", tags="hang before the first token")),
    Case(name="ollama, not streaming", well=lambda: ollama("whole at once"), ill=lambda: ollama("done false", tags="500 memory")),
    Case(name="openai", well=lambda: openai("fine"), ill=lambda: openai("stall mid-stream", models="hang before the first token")),
    Case(name="openai, not streaming", well=lambda: openai("whole at once"), ill=lambda: openai("no choices", models="500 memory")),
    Case(name="scripted", well=scripted_well, ill=scripted_ill),
    Case(name="instant", well=instant, ill=None),
)


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(params=[case for case in CASES if case.ill], ids=lambda case: case.name)
def ill(request: pytest.FixtureRequest) -> Callable[[], AbstractAsyncContextManager[LanguageModel]]:
    found: Callable[[], AbstractAsyncContextManager[LanguageModel]] = request.param.ill
    return found


async def ask(model: LanguageModel, schema: dict[str, Any] | None) -> str:
    completion = await model.complete(system="You weigh evidence.", prompt="E01 the disk is full", schema=schema, budget=BUDGET)
    assert completion.model
    assert completion.finish_reason == "stop"
    assert completion.took >= timedelta(0)
    assert completion.input_tokens is None or completion.input_tokens > 0
    assert completion.output_tokens is None or completion.output_tokens > 0
    return completion.text


async def test_it_says_who_it_is(case: Case) -> None:
    async with case.well() as model:
        assert model.provider
        assert model.name


async def test_a_model_that_is_well_is_available(case: Case) -> None:
    async with case.well() as model:
        assert model.available()
        await ask(model, SCHEMA)
        assert model.available()


async def test_with_a_schema_it_answers_with_json_for_it_and_without_one_with_words(case: Case) -> None:
    async with case.well() as model:
        verdict = json.loads(await ask(model, SCHEMA))
        assert set(verdict) == set(SCHEMA["required"])
        assert verdict["b_cause"] in {"H1", "H2", "unknown"}
        assert (await ask(model, None)).strip()


async def test_calls_at_the_same_time_are_all_answered(case: Case) -> None:
    async with case.well() as model:
        texts = await asyncio.gather(*(ask(model, None) for _ in range(5)))
        assert all(text.strip() for text in texts)


async def test_a_cancelled_call_leaves_a_model_that_works(case: Case) -> None:
    async with case.well() as model:
        call = asyncio.create_task(ask(model, None))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert (await ask(model, None)).strip()


async def test_check_of_a_model_that_is_well(case: Case) -> None:
    async with case.well() as model:
        health = await model.check(timedelta(seconds=5))
        assert health.connected
        assert health.model
        assert health.detail
        assert health.reason == ""


async def test_a_failure_has_a_reason_and_comes_within_the_budget(ill: Callable[[], AbstractAsyncContextManager[LanguageModel]]) -> None:
    loop = asyncio.get_running_loop()
    async with ill() as model:
        started = loop.time()
        with pytest.raises(ModelFailed) as caught:
            await ask(model, SCHEMA)
        assert loop.time() - started < BUDGET.total.total_seconds()
        assert caught.value.reason in REASONS
        assert model.provider in str(caught.value).casefold()


async def test_check_of_a_model_that_is_ill_says_why_and_in_time(ill: Callable[[], AbstractAsyncContextManager[LanguageModel]]) -> None:
    async with ill() as model:
        async with asyncio.timeout(5):  # for a busy machine; a check that does not stop itself hangs for ever
            health = await model.check(timedelta(milliseconds=200))
        assert not health.connected
        assert health.reason in REASONS
        assert health.model == model.name
        assert health.detail
