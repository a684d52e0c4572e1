"""OpenAI's wire, as vLLM, llama.cpp, LM Studio and hosted services speak it: POST /chat/completions. What a call is, is in `server`.

The wire has no window, no `truncate` and no way to load a model, so the window is the operator's word (`num_ctx`), and `usage.prompt_tokens`
is compared with our own estimate. The schema goes as `response_format`; a server that refuses that is asked once more without it, because
the prompt describes the answer too and what comes back is checked in any case.
Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from agent_sre.analysis.llm.answer import Answer
from agent_sre.analysis.llm.model import ModelFailed, ModelHealth
from agent_sre.analysis.llm.openai_answer import EventReader
from agent_sre.analysis.llm.server import Call, ModelServer, address
from agent_sre.kit.clock import Clock
from agent_sre.kit.errors import BadSetting
from agent_sre.kit.text import one_line

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAISettings:
    """Which OpenAI-compatible server, which model, and how patient we are."""

    url: str = field(default="", repr=False)
    """The base address with its version: `http://vllm:8000/v1`. Empty: none, Ollama is asked. With an address this server is asked instead of
    Ollama. The prompt holds your telemetry, so think about where it goes."""

    api_key: str = field(default="", repr=False)
    """Sent as a bearer token; empty for servers that want none. Better given as a file (OPENAI_API_KEY_FILE)."""

    model_name: str = ""
    """The model to ask, as the server calls it. Must be set where `url` is."""

    num_ctx: int = 8192
    """The window in tokens, prompt and answer together. Default 8192, as for Ollama. The wire does not tell it: set it to what the server was
    started with."""

    max_output_tokens: int = 700
    """The longest answer; a call's budget may ask for less. Default 700."""

    temperature: float = 0.0
    """Default 0: the same evidence should give the same words."""

    seed: int = 7
    """Any number, always the same."""

    total: timedelta = timedelta(seconds=25)
    """The longest call, our own queue included; a call's budget may be shorter. Default 25 s: the promised 30 s have other work in them."""

    connect: timedelta = timedelta(seconds=2)
    """To get a connection, TLS included. Default 2 s."""

    first_token: timedelta = timedelta(seconds=20)
    """Until the answer begins. Default 20 s: such servers keep their model loaded, but queue."""

    between_tokens: timedelta = timedelta(seconds=5)
    """The longest silence inside an answer. Default 5 s."""

    retry_pause: timedelta = timedelta(milliseconds=500)
    """Before the second and last try. Default 0.5 s."""

    concurrency: int = 4
    """Calls in flight. Default 4: vLLM and hosted services batch. Set 1 for a llama.cpp with one slot."""

    circuit_failures: int = 3
    """Failures in a row after which the server is left alone. Default 3."""

    circuit_open: timedelta = timedelta(seconds=30)
    """For how long; then one call may try. Default 30 s: one incident's patience."""


_ADVICE = {
    "unavailable": "Start it, or correct OPENAI_URL.",
    "timeout": "Use a smaller model or a faster machine, or give it fewer users.",
    "model_missing": "Set OPENAI_MODEL to one that its /models lists.",
    "cut_off": "The model rambles: use another one, or allow more output tokens.",
    "incomplete": "Look at the server's own log.",
    "prompt_too_long": "Send less, or start the server with a larger window and set AGENT_SRE_OPENAI_NUM_CTX to it.",
    "busy": "Give it fewer users, or raise its limits.",
    "server_error": "Look at the server's own log; too little memory is the usual cause.",
    "garbage": "Check that OPENAI_URL points at the server's API, usually with /v1 at its end.",
    "invalid": "Try another model.",
    "rejected": "Check OPENAI_URL, the key and the model; the server's log says more.",
    "circuit_open": "The rules' analysis is used meanwhile.",
}

_HINTS = {
    401: " (it wants a key: set OPENAI_API_KEY or OPENAI_API_KEY_FILE)",
    403: " (the key may not use this model)",
    404: " (OPENAI_URL has a wrong path; it usually ends with /v1)",
    405: " (OPENAI_URL has a wrong path; it usually ends with /v1)",
}


class OpenAIModel(ModelServer):
    """A LanguageModel on one OpenAI-compatible server."""

    provider = "openai"
    title = "OpenAI-compatible server"
    advice = _ADVICE
    hints = _HINTS

    def __init__(self, settings: OpenAISettings, clock: Clock) -> None:
        """Opens nothing yet. Raises BadSetting where the URL or a number cannot be right, or no model is named."""
        url, headers = address(settings.url, setting="OPENAI_URL", example="http://host:8000/v1")
        if not settings.model_name.strip():
            raise BadSetting("OPENAI_MODEL is not set: name the model as the server at OPENAI_URL calls it.")
        if settings.api_key:
            headers = {**headers, "Authorization": f"Bearer {_one_word(settings.api_key)}"}
        super().__init__(settings, clock, url=url, headers=headers)
        self._settings = settings
        self._takes_schema = True  # until the server says that it does not
        self._takes_system = True  # the same

    async def keep_warm(self) -> None:
        """Returns at once: such servers load their model when they start, and keep it."""

    def _request(self, system: str, prompt: str, schema: Mapping[str, Any] | None, num_predict: int) -> dict[str, Any]:
        request: dict[str, Any] = {
            "messages": self._messages(system, prompt),
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": num_predict,
            "temperature": self._settings.temperature,
            "seed": self._settings.seed,
        }
        if schema is not None and self._takes_schema:
            request["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)}}
        return request

    def _messages(self, system: str, prompt: str) -> list[dict[str, str]]:
        if not system:
            return [{"role": "user", "content": prompt}]
        if not self._takes_system:
            return [{"role": "user", "content": f"{system}\n\n{prompt}"}]
        return [{"role": "system", "content": system}, {"role": "user", "content": prompt}]

    async def _ask_model(self, call: Call, request: Mapping[str, Any]) -> Answer:
        while True:
            asked = request
            try:
                return await self._ask_twice(call, lambda: self._ask(call, asked))  # noqa: B023  (awaited before it changes)
            except ModelFailed as failure:
                simpler = self._simpler(request, failure)
                if simpler is None:
                    raise
                request = simpler

    def _simpler(self, request: Mapping[str, Any], failure: ModelFailed) -> Mapping[str, Any] | None:
        """The request without what the server just refused; None where it refused something else."""
        if failure.reason not in ("rejected", "server_error"):
            return None
        if "response_format" in request and failure.reason == "rejected" and _is_about_the_schema(str(failure)):
            log.info("%s; asking without the schema from now on", failure, extra={"action": "llm_schema_refused"})
            self._takes_schema = False
            return {name: value for name, value in request.items() if name != "response_format"}
        messages = request["messages"]
        if len(messages) > 1 and _is_about_the_system_role(str(failure)):  # templates of gemma refuse the role, with 400 or 500
            log.info("%s; asking without a system role from now on", failure, extra={"action": "llm_system_refused"})
            self._takes_system = False
            return {**request, "messages": self._messages(messages[0]["content"], messages[-1]["content"])}
        return None

    async def _ask(self, call: Call, request: Mapping[str, Any]) -> Answer:
        call.doing = "no token yet"
        answer = await self._streamed(call, "/chat/completions", request, EventReader(), self._settings.first_token)
        if call.first_token_at is None:  # it did not stream: nobody knows when it had read the prompt
            return answer
        ended_at = asyncio.get_running_loop().time()
        return replace(answer, prompt_seconds=call.first_token_at - call.asked_at, output_seconds=ended_at - call.first_token_at)

    async def _health(self) -> ModelHealth:
        listed = await self._get("/models")
        entries = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(entries, list):
            raise self._failure("garbage", "answered /models with something else: this is no OpenAI-compatible API")
        names = [entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
        if self.name in names:
            detail = f"{self.title} at {self.url} has {self.name}{self._circuit_note()}."
            return ModelHealth(connected=True, model=self.name, detail=detail, served=self._served(self.name))
        if len(names) == 1:  # llama.cpp serves one model and takes any name for it
            detail = f"{self.title} at {self.url} serves {one_line(names[0], 100)} and may take it for {self.name}{self._circuit_note()}."
            return ModelHealth(connected=True, model=self.name, detail=detail, served=self._served(self.name))
        raise self._failure("model_missing", f"does not list the model {self.name}; it lists {len(names)} models")

    def _refuse_model(self, model: str) -> None:
        """Any model is one that the operator chose."""


def _is_about_the_schema(text: str) -> bool:
    lower = text.casefold()
    return any(word in lower for word in ("response_format", "json_schema", "grammar", "guided", "structured"))


def _is_about_the_system_role(text: str) -> bool:
    lower = text.casefold()
    return "system role" in lower or "role system" in lower or "system message" in lower or "roles must alternate" in lower


def _one_word(key: str) -> str:
    key = key.strip()
    if not key.isascii() or any(character.isspace() or not character.isprintable() for character in key):
        raise BadSetting("OPENAI_API_KEY holds white space or characters that no header can carry.")
    return key
