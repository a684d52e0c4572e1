"""A fake OpenAI-compatible server over real sockets: its wire when it behaves, and every fault that we know of when it is told to.

    async with FakeOpenAI() as fake:                      # answers; a response_format gets JSON that is valid for its schema
    async with FakeOpenAI("stall mid-stream") as fake:    # EVENTS and the byte-level faults of fakes/ollama.py, by name

The connection, and how it can be wrong below HTTP, is that of fakes/ollama.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakes.ollama import BEHAVIOURS, Behaviour, Exchange, FakeOllama, count_tokens, default_answer, go_json, prompt_tokens_of

CHAT = "/v1/chat/completions"
EVENT_STREAM = "text/event-stream"


def default_completion(request: dict[str, Any]) -> str:
    """JSON that is valid for the schema where one is asked for, else a sentence."""
    wanted = request.get("response_format") or {}
    return default_answer({**request, "format": (wanted.get("json_schema") or {}).get("schema")})


def event(value: object) -> bytes:
    """One server-sent event."""
    return b"data: " + go_json(value) + b"\n\n"


def delta(content: str, **fields: object) -> dict[str, object]:
    """A chunk with some text."""
    return chunk({"index": 0, "delta": {"content": content, **fields}, "finish_reason": None})


def chunk(*choices: object, **fields: object) -> dict[str, object]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "qwen3:4b", "choices": list(choices), **fields}


def finished(reason: str = "stop") -> dict[str, object]:
    return chunk({"index": 0, "delta": {}, "finish_reason": reason})


DONE = b"data: [DONE]\n\n"


class FakeOpenAI(FakeOllama):
    """A server on the loopback, as long as the `async with` lasts."""

    chat_path = CHAT

    def __init__(self, behaviour: str | Behaviour = "fine", *, models: Sequence[str] = ("qwen3:4b",), key: str = "", **more: Any) -> None:
        """With a `key`, every request must carry it."""
        self.key = key
        super().__init__(behaviour, models=models, **{"answer": default_completion, **more})

    @property
    def named(self) -> Mapping[str, Behaviour]:
        return EVENTS

    @property
    def api(self) -> str:
        """The base address as an operator writes it."""
        return f"{self.url}/v1"

    async def fine(self, exchange: Exchange) -> None:
        request = exchange.request
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            await exchange.answer(401, go_json({"error": {"message": "Incorrect API key provided", "type": "invalid_request_error"}}))
            return
        match (request.method, request.path):
            case ("POST", "/v1/chat/completions"):
                await _chat(exchange)
            case ("GET", "/v1/models"):
                await exchange.answer(200, go_json({"object": "list", "data": [{"id": model, "object": "model"} for model in self.models]}))
            case _:
                await exchange.answer(404, go_json({"detail": "Not Found"}))


async def _chat(exchange: Exchange) -> None:
    request = exchange.request.json
    if request["model"] not in exchange.fake.models:
        words = {"message": f"The model `{request['model']}` does not exist.", "type": "NotFoundError"}
        await exchange.answer(404, go_json({"error": words}))
        return
    await _stream(exchange, exchange.text())


async def _stream(exchange: Exchange, text: str, *, reason: str = "stop", done: bool = True, usage: dict[str, object] | None = None) -> None:
    await exchange.head(content_type=EVENT_STREAM)
    for at in range(0, len(text), 4):
        await exchange.chunk(event(delta(text[at : at + 4])))
    await exchange.chunk(event(finished(reason)))
    request = exchange.request.json
    if usage is None:
        usage = {"prompt_tokens": prompt_tokens_of(request), "completion_tokens": count_tokens(text)}
    if (request.get("stream_options") or {}).get("include_usage"):
        await exchange.chunk(event(chunk(usage=usage)))
    if done:
        await exchange.chunk(DONE)
    await exchange.finish()


def events(*values: object, end: bytes = DONE) -> Behaviour:
    """These values as events, under 200."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(content_type=EVENT_STREAM)
        for value in values:
            await exchange.chunk(value if isinstance(value, bytes) else event(value))
        await exchange.chunk(end)
        await exchange.finish()

    return behave


async def _fine(exchange: Exchange) -> None:
    await exchange.fake.fine(exchange)


async def _whole(exchange: Exchange) -> None:
    """A server that does not stream."""
    choice = {"index": 0, "message": {"role": "assistant", "content": exchange.text()}, "finish_reason": "stop"}
    usage = {"prompt_tokens": prompt_tokens_of(exchange.request.json), "completion_tokens": 9}
    await exchange.answer(200, go_json({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}))


async def _without_done(exchange: Exchange) -> None:
    await _stream(exchange, exchange.text(), done=False)


async def _cut_off(exchange: Exchange) -> None:
    await _stream(exchange, exchange.text()[:-4], reason="length")


async def _filtered(exchange: Exchange) -> None:
    await _stream(exchange, "It is", reason="content_filter")


async def _front_thrown_away(exchange: Exchange) -> None:
    await _stream(exchange, exchange.text(), usage={"prompt_tokens": 90, "completion_tokens": 9})


async def _stall(exchange: Exchange) -> None:
    await exchange.head(content_type=EVENT_STREAM)
    await exchange.chunk(event(delta("It is ")))
    await exchange.wait()


async def _signs_of_life(exchange: Exchange) -> None:
    """Comments, for ever: a server that queues."""
    await exchange.head(content_type=EVENT_STREAM)
    while not await exchange.wait(0.02):
        await exchange.chunk(b": PROCESSING\n\n")


async def _no_schema(exchange: Exchange) -> None:
    """A server that knows no response_format."""
    if "response_format" in exchange.request.json:
        await exchange.answer(400, go_json({"error": {"message": "response_format json_schema is not supported", "type": "invalid_request_error"}}))
        return
    await _stream(exchange, default_answer({"format": None}))


async def _no_system_role(exchange: Exchange) -> None:
    """A server whose template knows no system role, as Gemma's."""
    if any(message["role"] == "system" for message in exchange.request.json["messages"]):
        await exchange.answer(400, go_json({"error": {"message": "System role not supported", "type": "BadRequestError"}}))
        return
    await _fine(exchange)


EVENTS: dict[str, Behaviour] = {
    **{name: behaviour for name, behaviour in BEHAVIOURS.items() if name != "fine"},
    "fine": _fine,
    "whole at once": _whole,
    "no [DONE]": _without_done,
    "length": _cut_off,
    "content filter": _filtered,
    "front thrown away": _front_thrown_away,
    "stall mid-stream": _stall,
    "signs of life for ever": _signs_of_life,
    "no schema": _no_schema,
    "no system role": _no_system_role,
    "EOF without a reason": events(delta("It is "), end=b""),
    "only [DONE]": events(),
    "comments and named events": events(b": hello\n\n", b"event: message\n", delta("It is "), b"retry: 10\n", delta("fine."), finished()),
    "thinking apart": events(delta("", reasoning_content="Hmm, "), delta("It is fine."), finished()),
    "think tags": events(delta("<think>Hmm</think>"), delta("It is fine."), finished()),
    "error event": events(delta("It is "), {"error": {"message": "CUDA out of memory", "code": 500}}),
    "too long": events({"error": {"message": "This model's maximum context length is 4096 tokens", "code": 400}}),
    "tool calls": events(delta("", tool_calls=[{"function": {"name": "kubectl"}}]), finished("tool_calls")),
    "empty answer": events(finished()),
    "choices of the wrong kind": events({"choices": [7]}),
    "no choices": events({"hello": "world"}),
}
