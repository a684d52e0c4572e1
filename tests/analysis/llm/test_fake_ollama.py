"""The fakes are held to what they claim: valid answers to any schema of ours, the real server's manners, and a program to try by hand."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx2
import pydantic
import pytest
from pydantic import Field

from agent_sre.analysis.llm.model import Budget, ModelFailed
from agent_sre.analysis.verdict import read_verdict, verdict_schema
from agent_sre.kit.http import http_client
from fakes.model import InstantModel, ScriptedModel
from fakes.ollama import SAYINGS, FakeOllama, fill, go_json

BUDGET = Budget(total=timedelta(seconds=1), max_output_tokens=100)
CHAT = {"model": "bruno-sre:latest", "messages": [{"role": "user", "content": "hello"}], "stream": False}


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Leaf(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    at: pydantic.AwareDatetime
    id: UUID
    colour: Colour


class Everything(pydantic.BaseModel):
    """Each kind of field that a schema of ours could have."""

    model_config = pydantic.ConfigDict(extra="forbid")
    choice: Literal["a", "b"]
    constant: Literal["only"]
    short: Annotated[str, Field(max_length=3)]
    long: Annotated[str, Field(min_length=40)]
    number: Annotated[int, Field(ge=3, le=9)]
    share: Annotated[float, Field(gt=0, le=1)]
    low: Annotated[int, Field(le=-5)]
    flag: bool
    nothing: None
    maybe: int | None
    leaves: Annotated[list[Leaf], Field(min_length=2)]
    words: list[str]
    left_out: int = 7


def test_any_schema_is_filled_validly() -> None:
    filled = fill(Everything.model_json_schema())
    read = Everything.model_validate_json(json.dumps(filled))
    assert len(read.leaves) == 2
    assert "left_out" not in filled
    assert list(filled) == sorted(filled)


def test_a_list_of_different_things_has_no_thing_twice() -> None:
    assert fill({"type": "array", "minItems": 2, "uniqueItems": True, "items": {"enum": ["E01", "E02", "E03"]}}) == ["E01", "E02"]


def test_parts_that_must_all_hold_are_merged() -> None:
    schema = {"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": {"const": 2}}, "required": ["b"]}]}
    assert fill(schema) == {"a": 1, "b": 2}


def test_json_is_written_as_go_writes_it() -> None:
    assert go_json({"a": "<b> & ö \u2028"}) == '{"a":"\\u003cb\\u003e \\u0026 ö \\u2028"}'.encode()


async def test_the_fakes_verdict_is_one_that_the_agent_reads() -> None:
    schema = verdict_schema(hypotheses=["H1", "H2"], evidence=["E01"], actions=["A1", "A2"])
    completion = await InstantModel().complete(system="", prompt="which?", schema=schema, budget=BUDGET)
    assert read_verdict(completion.text, hypotheses=["H1", "H2"], evidence=["E01"], actions=["A1", "A2"]).cause == "H1"


async def test_a_scripted_model_says_its_lines_and_remembers_the_questions() -> None:
    model = ScriptedModel("first", ModelFailed("The scripted model is busy", reason="busy"), "third")
    assert (await model.complete(system="s", prompt="p1", schema=None, budget=BUDGET)).text == "first"
    with pytest.raises(ModelFailed, match="busy"):
        await model.complete(system="s", prompt="p2", schema={"type": "object"}, budget=BUDGET)
    assert (await model.complete(system="s", prompt="p3", schema=None, budget=BUDGET)).text == "third"
    assert [asked.prompt for asked in model.asked] == ["p1", "p2", "p3"]
    assert model.asked[1].schema == {"type": "object"}
    with pytest.raises(AssertionError, match="4 times"):
        await model.complete(system="s", prompt="p4", schema=None, budget=BUDGET)


async def call(fake: FakeOllama, method: str, path: str, content: object = None) -> httpx2.Response:
    async with http_client(base_url=fake.url, timeout=timedelta(seconds=2)) as client:
        data = content if isinstance(content, bytes) else None if content is None else json.dumps(content).encode()
        return await client.request(method, path, content=data)


@pytest.mark.parametrize(
    ("method", "path", "content", "code", "words"),
    [
        ("GET", "/", None, 200, "Ollama is running"),
        ("GET", "/api/nothing", None, 404, "404 page not found"),
        ("GET", "/api/chat", None, 405, "405 method not allowed"),
        ("POST", "/api/chat", None, 400, "missing request body"),
        ("POST", "/api/chat", b"{", 400, "error"),
        ("POST", "/api/chat", {}, 400, "model is required"),
        ("POST", "/api/chat", {**CHAT, "model": "x"}, 404, "model 'x' not found"),
        ("POST", "/api/chat", {**CHAT, "think": True}, 400, "does not support thinking"),
        ("POST", "/api/chat", {**CHAT, "truncate": False, "options": {"num_ctx": 8}}, 400, "longer than the context length"),
        ("POST", "/", None, 405, "405 method not allowed"),
        ("POST", "/api/show", {"model": "gemma3n:e4b"}, 200, "completion"),
        ("POST", "/api/show", {"model": "x"}, 404, "not found"),
    ],
)
async def test_the_fake_has_the_real_servers_manners(method: str, path: str, content: object, code: int, words: str) -> None:
    async with FakeOllama() as fake:
        response = await call(fake, method, path, content)
    assert response.status_code == code
    assert words in response.text


async def test_the_fake_cuts_what_is_too_long_as_the_real_one_does() -> None:
    asked = {**CHAT, "messages": [{"role": "user", "content": "x" * 9_000}], "options": {"num_ctx": 2048, "num_predict": 3}}
    async with FakeOllama(answer=lambda _: "far too many words") as fake:
        answer = (await call(fake, "POST", "/api/chat", asked)).json()
    assert answer["prompt_eval_count"] == 1026
    assert answer["done_reason"] == "length"
    assert answer["message"]["content"] == "far too many"


async def test_the_fake_loads_and_unloads() -> None:
    async with FakeOllama() as fake:
        empty = {"model": "gemma3n:e4b", "messages": [], "options": {"num_ctx": 2048}}
        assert (await call(fake, "POST", "/api/chat", empty)).json()["done_reason"] == "load"
        (running,) = (await call(fake, "GET", "/api/ps")).json()["models"]
        assert (running["name"], running["context_length"]) == ("gemma3n:e4b", 2048)
        assert (await call(fake, "POST", "/api/chat", {**empty, "keep_alive": 0})).json()["done_reason"] == "unload"
        assert (await call(fake, "GET", "/api/ps")).json()["models"] == []


async def test_a_model_is_loaded_again_for_another_window_and_takes_the_place_of_the_other_one() -> None:
    async with FakeOllama() as fake:
        for model, options, more in (
            ("bruno-sre", {"num_ctx": 8192}, {"shift": False}),
            ("bruno-sre", {"num_ctx": 8192, "seed": 9}, {"shift": False}),
            ("bruno-sre", {"num_ctx": 4096}, {"shift": False}),
            ("bruno-sre", {"num_ctx": 4096}, {"shift": True}),
            ("gemma3n:e4b", {"num_ctx": 4096}, {"shift": True}),
        ):
            await call(fake, "POST", "/api/chat", {**CHAT, "model": model, "options": options, **more})
    assert fake.loads == [("bruno-sre:latest", 8192), ("bruno-sre:latest", 4096), ("bruno-sre:latest", 4096), ("gemma3n:e4b", 4096)]
    assert fake.loaded == {"gemma3n:e4b": 4096}


async def test_a_model_is_unloaded_when_nobody_has_asked_it_for_keep_alive() -> None:
    async with FakeOllama() as fake:
        await call(fake, "POST", "/api/chat", {**CHAT, "keep_alive": "30m"})
        (running,) = (await call(fake, "GET", "/api/ps")).json()["models"]
        assert timedelta(minutes=29) < datetime.fromisoformat(running["expires_at"]) - datetime.now(UTC) <= timedelta(minutes=30)
        await call(fake, "POST", "/api/chat", {**CHAT, "keep_alive": -1})
        assert (await call(fake, "GET", "/api/ps")).json()["models"][0]["expires_at"].startswith("2316")
        await call(fake, "POST", "/api/chat", {**CHAT, "keep_alive": "1ms"})
        await asyncio.sleep(0.01)
        assert (await call(fake, "GET", "/api/ps")).json()["models"] == []


async def test_with_one_slot_calls_queue_up_a_full_queue_says_so_and_who_leaves_frees_the_place() -> None:
    async with FakeOllama(slots=1, max_queue=2, token_seconds=30) as fake:
        waiting = [asyncio.create_task(call(fake, "POST", "/api/chat", CHAT | {"stream": True})) for _ in range(3)]
        async with asyncio.timeout(10):
            while fake.queued < 2:
                await asyncio.sleep(0.01)
        full = await call(fake, "POST", "/api/chat", CHAT)
        assert (full.status_code, "maximum pending requests exceeded" in full.text) == (503, True)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (await call(fake, "POST", "/api/chat", CHAT)).status_code == 200
        assert fake.queued == 0


async def test_an_old_server_reads_neither_truncate_nor_shift() -> None:
    long = {**CHAT, "truncate": False, "messages": [{"role": "user", "content": "x" * 9_000}], "options": {"num_ctx": 2048}}
    for version, code, words in (("0.12.5", 200, "1026"), ("0.15.4", 400, "input length exceeds"), ("0.33.0", 400, "prompt is longer")):
        async with FakeOllama(version=version) as fake:
            answer = await call(fake, "POST", "/api/chat", long)
            assert (answer.status_code, words in answer.text) == (code, True), version


async def test_a_foreign_host_name_is_refused() -> None:
    async with FakeOllama() as fake, http_client(base_url=fake.url, timeout=timedelta(seconds=2)) as client:
        for host, code in (("evil.example", 403), ("evil.example:11434", 403), ("localhost:11434", 200), ("127.0.0.1", 200), ("[::1]:80", 200)):
            assert (await client.get("/api/version", headers={"Host": host})).status_code == code, host


async def test_the_digest_is_that_of_the_name_until_another_is_set() -> None:
    async with FakeOllama() as fake:
        first, second = ((entry["digest"]) for entry in (await call(fake, "GET", "/api/tags")).json()["models"])
        assert first != second
        fake.digests["bruno-sre:latest"] = "f" * 64
        assert (await call(fake, "GET", "/api/tags")).json()["models"][0]["digest"] == "f" * 64


VERDICT = verdict_schema(hypotheses=["H1", "H2"], evidence=["E01", "E02"], actions=["A1"])


@pytest.mark.parametrize("name", SAYINGS)
async def test_every_saying_comes_over_a_wire_that_is_well(name: str) -> None:
    async with FakeOllama(name) as fake:
        for schema in (VERDICT, None):
            lines = (await call(fake, "POST", "/api/chat", {**CHAT, "stream": True, "format": schema})).text.splitlines()
            assert json.loads(lines[-1])["done"] is True
            assert any(json.loads(line)["message"]["content"] for line in lines) or name == "empty words"


async def test_one_connection_carries_many_requests() -> None:
    async with FakeOllama() as fake, http_client(base_url=fake.url, timeout=timedelta(seconds=2), connections=1) as client:
        for _ in range(20):
            streamed = await client.post("/api/chat", json={**CHAT, "stream": True})
            assert streamed.text.endswith("}\n")
    assert len(fake.requests) == 20


async def test_it_runs_as_a_program() -> None:
    program = Path(__file__).parents[2] / "fakes" / "ollama.py"
    process = await asyncio.create_subprocess_exec(sys.executable, str(program), "--port", "0", stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        found = re.search(r"http://\S+", line)
        assert found is not None, line
        async with http_client(base_url=found.group(), timeout=timedelta(seconds=5)) as client:
            answer: dict[str, Any] = (await client.post("/api/chat", json=CHAT)).json()
        assert answer["done"] is True
        assert "fake model" in answer["message"]["content"]
    finally:
        process.terminate()
        await process.wait()
