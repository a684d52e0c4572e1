"""What we rely on in Ollama: the same assertions over the fake and, where one is given, over a real server.

    OLLAMA_URL=http://localhost:11434 pytest tests/contract                             # what needs no weights: asks, loads nothing
    OLLAMA_URL=http://localhost:11434 OLLAMA_MODEL=gemma3n:e4b pytest tests/contract    # and the rest: loads and unloads that model

Without OLLAMA_URL only the fake is asked, and a skipped test says so. Where the two disagree the fake is wrong: correct it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from agent_sre.analysis.llm.answer import says_too_long
from agent_sre.analysis.llm.model import Budget, ModelFailed
from agent_sre.analysis.llm.ollama import OllamaModel, OllamaSettings
from agent_sre.kit.clock import SystemClock
from fakes.ollama import FakeOllama

NOT_THERE = "no-such-model-of-agent-sre:latest"
NUM_CTX = 2048
PATIENCE = timedelta(minutes=5)
"""A real model may have to be loaded first."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["a_reasoning", "b_cause", "c_evidence"],
    "properties": {
        "a_reasoning": {"type": "string", "maxLength": 80},
        "b_cause": {"enum": ["H1", "H2", "unknown"]},
        "c_evidence": {"type": "array", "maxItems": 2, "items": {"enum": ["E01", "E02"]}},
    },
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """An Ollama, and a model on it that may be loaded and unloaded."""

    url: str
    model: str
    client: httpx2.AsyncClient

    async def get(self, path: str) -> Any:
        response = await self.client.get(path)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        return response.json()

    async def post(self, path: str, content: object) -> httpx2.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return await self.client.post(path, content=body, headers={"Content-Type": "application/json"})

    async def chat(self, words: str, *, stream: bool = False, options: dict[str, Any] | None = None, **more: Any) -> httpx2.Response:
        """One chat with the model, with the options that keep it loaded."""
        return await self.post(
            "/api/chat",
            {
                "model": self.model,
                "messages": [{"role": "user", "content": words}] if words else [],
                "stream": stream,
                "think": False,
                "truncate": False,
                "shift": False,
                "keep_alive": "10m",
                "options": {"num_ctx": NUM_CTX, "temperature": 0, "seed": 7, "num_predict": 60, **(options or {})},
                **more,
            },
        )

    async def loaded(self) -> dict[str, Any] | None:
        """The model's entry among those that are loaded."""
        return next((entry for entry in (await self.get("/api/ps"))["models"] if same(entry["name"], self.model)), None)


def same(one: str, other: str) -> bool:
    return one.removesuffix(":latest") == other.removesuffix(":latest")


@asynccontextmanager
async def server_at(url: str, model: str) -> AsyncIterator[Server]:
    async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE.total_seconds(), trust_env=False) as client:
        yield Server(url=url, model=model, client=client)


URL, MODEL = os.environ.get("OLLAMA_URL", ""), os.environ.get("OLLAMA_MODEL", "")


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.real)] if URL else ["fake"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """Any Ollama; nothing is loaded on it."""
    if request.param == "fake":
        async with FakeOllama() as fake, server_at(fake.url, "bruno-sre:latest") as found:
            yield found
    else:
        async with server_at(URL, MODEL) as found:
            yield found


@pytest.mark.real
def test_a_real_ollama_was_held_to_the_contract() -> None:
    if not URL:
        pytest.skip("OLLAMA_URL is not set, so only the fake was held to the contract with Ollama")


@pytest.fixture
async def model(server: Server) -> Server:
    """An Ollama with a model to play with."""
    if not server.model:
        pytest.skip("OLLAMA_MODEL is not set: no model of this server was loaded")
    return server


def error_of(response: httpx2.Response) -> str:
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    found: str = response.json()["error"]
    return found


# Without weights


async def test_it_says_that_it_runs(server: Server) -> None:
    response = await server.client.get("/")
    assert (response.status_code, response.text) == (200, "Ollama is running")
    assert (await server.client.head("/")).status_code == 200


async def test_it_has_a_version(server: Server) -> None:
    assert re.match(r"\d+\.\d+\.\d+", (await server.get("/api/version"))["version"])


async def test_it_lists_what_it_has_with_digests(server: Server) -> None:
    models = (await server.get("/api/tags"))["models"]
    assert isinstance(models, list)
    for entry in models:
        assert {"name", "model", "modified_at", "size", "digest", "details"} <= set(entry)
        assert re.fullmatch(r"[0-9a-f]{64}", entry["digest"])


async def test_it_lists_what_is_loaded(server: Server) -> None:
    models = (await server.get("/api/ps"))["models"]
    assert isinstance(models, list)
    for entry in models:
        assert {"name", "model", "digest", "expires_at", "size_vram"} <= set(entry)


@pytest.mark.parametrize(
    ("method", "path", "status", "words"), [("GET", "/api/nothing", 404, "404 page not found"), ("GET", "/api/chat", 405, "405 method not allowed")]
)
async def test_wrong_paths_and_methods_are_answered_in_plain_text(server: Server, method: str, path: str, status: int, words: str) -> None:
    response = await server.client.request(method, path)
    assert (response.status_code, response.text) == (status, words)
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "missing request body"),
        (b"{", 400, ""),
        (b'{"model":7}', 400, ""),
        ({}, 400, "model is required"),
        ({"model": NOT_THERE, "messages": [{"role": "user", "content": "x"}]}, 404, f"model '{NOT_THERE}' not found"),
        ({"model": NOT_THERE, "messages": []}, 404, f"model '{NOT_THERE}' not found"),
        ({"model": NOT_THERE, "messages": [], "a_field": 1, "options": {"an_option": 1}, "truncate": False, "shift": False}, 404, "not found"),
    ],
    ids=["no body", "broken JSON", "a number for a name", "no model", "unknown model", "unknown model to load", "unknown fields"],
)
async def test_a_chat_that_cannot_be_is_refused_with_an_error_in_json(server: Server, body: object, status: int, words: str) -> None:
    response = await server.post("/api/chat", body)
    assert response.status_code == status
    assert words in error_of(response)


async def test_an_unknown_model_cannot_be_shown(server: Server) -> None:
    response = await server.post("/api/show", {"model": NOT_THERE})
    assert response.status_code == 404
    assert "not found" in error_of(response)


async def test_a_foreign_host_name_is_refused_without_a_word(server: Server) -> None:
    response = await server.client.get("/api/version", headers={"Host": "evil.example"})
    if response.status_code == 200 and "127.0.0.1" not in server.url:
        pytest.skip("this Ollama listens beyond its loopback, where any Host is good")
    assert (response.status_code, response.content) == (403, b"")
    for host in ("localhost", "127.0.0.1:11434", "ollama.internal", "[::1]"):
        assert (await server.client.get("/api/version", headers={"Host": host})).status_code == 200, host
    assert (await server.client.get("/api/version", headers={"Host": "203.0.113.7"})).status_code == 403


@asynccontextmanager
async def our_client(server: Server, name: str) -> AsyncIterator[OllamaModel]:
    settings = OllamaSettings(url=server.url, model_name=name, fallback_model="", num_ctx=NUM_CTX, total=PATIENCE, first_token_cold=PATIENCE)
    client = OllamaModel(replace(settings, first_token=PATIENCE, between_tokens=PATIENCE, keep_alive="10m"), SystemClock())
    try:
        yield client
    finally:
        await client.close()


async def test_our_client_knows_the_server_and_says_that_the_model_is_missing(server: Server) -> None:
    version = (await server.get("/api/version"))["version"]
    async with our_client(server, NOT_THERE) as client:
        health = await client.check(timedelta(seconds=5))
        assert (health.connected, health.reason) == (False, "model_missing")
        with pytest.raises(ModelFailed) as caught:
            await client.complete(system="", prompt="x", schema=None, budget=Budget(total=timedelta(seconds=5), max_output_tokens=5))
        assert caught.value.reason == "model_missing"
        assert version


# With a model


def lines_of(response: httpx2.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines() if line]


async def test_a_stream_is_lines_of_json_of_which_the_last_is_done_and_counts(model: Server) -> None:
    response = await model.chat("Count from one to five.", stream=True)
    assert response.headers["content-type"] == "application/x-ndjson"
    *tokens, last = lines_of(response)
    assert tokens
    for token in tokens:
        assert token["done"] is False
        assert token["message"]["role"] == "assistant"
        assert isinstance(token["message"]["content"], str)
        assert same(token["model"], model.model)
    assert last["done"] is True
    assert last["done_reason"] in ("stop", "length")
    assert last["total_duration"] > 0
    assert last["eval_count"] > 0
    assert last.get("prompt_eval_count", 1) > 0  # left out where the prompt was in the cache


async def test_an_answer_without_streaming_is_one_object(model: Server) -> None:
    response = await model.chat("Say hello.")
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    answer = response.json()
    assert answer["done"] is True
    assert answer["message"]["content"].strip()


async def test_a_schema_binds_the_answer(model: Server) -> None:
    response = await model.chat("Choose the cause H1 and cite E01. Answer in JSON.", format=SCHEMA, options={"num_predict": 200})
    answer = response.json()
    assert answer["done_reason"] == "stop"
    verdict = json.loads(answer["message"]["content"])
    assert set(verdict) == set(SCHEMA["required"])
    assert verdict["b_cause"] in ("H1", "H2", "unknown")
    assert set(verdict["c_evidence"]) <= {"E01", "E02"}


async def test_num_predict_cuts_and_the_answer_says_so(model: Server) -> None:
    answer = (await model.chat("Count from one to one hundred, in words.", options={"num_predict": 3})).json()
    assert answer["done_reason"] == "length"
    assert answer["eval_count"] <= 3


async def test_with_truncate_false_a_prompt_that_is_too_long_is_refused_in_words_that_we_know(model: Server) -> None:
    version = tuple(int(number) for number in re.findall(r"\d+", (await model.get("/api/version"))["version"])[:3])
    if (0, 0, 0) < version < (0, 12, 6):
        pytest.skip("this Ollama does not know truncate and cuts in silence")
    response = await model.chat("word " * 4 * NUM_CTX)
    assert response.status_code in (400, 500)
    assert says_too_long(response.text), response.text


async def test_think_false_is_accepted_and_think_true_only_by_who_can(model: Server) -> None:
    assert (await model.chat("Say hello.", think=False)).status_code == 200
    shown = (await model.post("/api/show", {"model": model.model})).json()
    if "thinking" not in shown["capabilities"]:
        response = await model.chat("Say hello.", think=True)
        assert response.status_code == 400
        assert "does not support thinking" in error_of(response)


async def test_show_tells_the_window_and_the_capabilities(model: Server) -> None:
    shown = (await model.post("/api/show", {"model": model.model})).json()
    assert "completion" in shown["capabilities"]
    assert any(name.endswith(".context_length") and value > 0 for name, value in shown["model_info"].items())


async def test_an_empty_chat_loads_with_the_window_that_it_names_and_keeps_it_as_long_as_it_says(model: Server) -> None:
    answer = (await model.chat("")).json()
    assert (answer["done"], answer["done_reason"]) == (True, "load")
    entry = await model.loaded()
    assert entry is not None
    assert entry["context_length"] == NUM_CTX
    left = datetime.fromisoformat(entry["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=8) < left <= timedelta(minutes=10, seconds=5)
    listed = next(item for item in (await model.get("/api/tags"))["models"] if same(item["name"], model.model))
    assert entry["digest"] == listed["digest"]


async def test_an_empty_chat_with_keep_alive_0_unloads(model: Server) -> None:
    await model.chat("")
    answer = (await model.chat("", keep_alive=0)).json()
    assert (answer["done"], answer["done_reason"]) == (True, "unload")
    for _ in range(100):  # a real runner takes a moment to go
        if await model.loaded() is None:
            break
    assert await model.loaded() is None


async def test_our_client_gets_a_whole_answer_and_knows_where_it_came_from(model: Server) -> None:
    async with our_client(model, model.model) as client:
        budget = Budget(total=PATIENCE, max_output_tokens=200)
        completion = await client.complete(system="You choose.", prompt="Choose H1 and cite E01.", schema=SCHEMA, budget=budget)
        assert set(json.loads(completion.text)) == set(SCHEMA["required"])
        assert completion.served is not None
        assert re.fullmatch(r"[0-9a-f]{64}", completion.served.digest)
        assert completion.served.server.startswith("Ollama ")
        health = await client.check(timedelta(seconds=10))
        assert health.connected
        assert health.served is not None
        assert health.served.digest == completion.served.digest
