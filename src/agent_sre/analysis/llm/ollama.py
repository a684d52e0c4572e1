"""Ollama on its native wire: POST /api/chat. What a call is, and how it ends, is in `server`.

    our turn ──> /api/ps: loaded? ──> /api/chat ──> read lines
                                          │ 404: the fallback model

`truncate:false` and `shift:false` make a server refuse what does not fit instead of throwing the front of the prompt away; `think:false`
because thinking eats the budget and `format` binds only what comes after it. num_ctx and shift are the same in every request, because
Ollama loads the model again when they change.
Source: https://github.com/ollama/ollama/blob/main/docs/api.md, https://github.com/ollama/ollama/blob/main/docs/faq.md
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agent_sre.analysis.llm.answer import Answer, AnswerReader
from agent_sre.analysis.llm.model import ModelFailed, ModelHealth
from agent_sre.analysis.llm.server import Call, ModelNotFound, ModelServer, TryAgain, address
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import readable
from agent_sre.kit.text import one_line

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5  # for /api/ps: it only chooses a timeout, so it may not cost much of one


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaSettings:
    """Which Ollama, which model, and how patient we are."""

    url: str = field(default="http://localhost:11434", repr=False)
    """Where Ollama listens; `http://user:password@host:port/prefix` where a proxy stands before it. Default: Ollama's own. Kept out of
    `repr`, because it may hold a password."""

    model_name: str = "bruno-sre:latest"
    """The model to ask. Default: the one that deploy/ollama/Modelfile makes."""

    fallback_model: str = "gemma3n:e4b"
    """Asked where the server does not have `model_name`; empty for none. Default: what `bruno-sre` is made from."""

    num_ctx: int = 8192
    """The window in tokens, prompt and answer together. Default 8192: a packed incident needs up to 5,500, and a 12 GB card holds it.
    Always sent: the server's own default can be 4096. Set it to what other users of this Ollama send, or each change of user loads the
    model again."""

    max_output_tokens: int = 700
    """The longest answer; a call's budget may ask for less. Default 700: seven seconds at 100 tokens a second."""

    keep_alive: str = "30m"
    """How long the model stays loaded after a call: a Go duration, or seconds, or -1 for ever. Default 30 min: alerts come in bursts."""

    temperature: float = 0.0
    """Default 0: the same evidence should give the same words."""

    seed: int = 7
    """Any number, always the same."""

    total: timedelta = timedelta(seconds=25)
    """The longest call, our own queue included; a call's budget may be shorter. Default 25 s: the promised 30 s have other work in them."""

    connect: timedelta = timedelta(seconds=2)
    """To get a connection, TLS included. Default 2 s: Ollama is near, or it is not there."""

    first_token: timedelta = timedelta(seconds=8)
    """Until the answer begins, where the model is loaded. Default 8 s: reading 5,500 tokens takes about 2 s on a GPU."""

    first_token_cold: timedelta = timedelta(seconds=25)
    """Until the answer begins, where the model must be loaded first or nobody knows. Default 25 s, all there is: loading takes
    3 to 120 s."""

    between_tokens: timedelta = timedelta(seconds=5)
    """The longest silence inside an answer. Default 5 s: even a CPU gives four tokens a second."""

    load: timedelta = timedelta(minutes=5)
    """For `warm_up` only. Default 5 min: Ollama itself gives up then."""

    retry_pause: timedelta = timedelta(milliseconds=500)
    """Before the second and last try. Default 0.5 s: enough for a runner to start again."""

    concurrency: int = 1
    """Calls in flight. Default 1, as OLLAMA_NUM_PARALLEL: the server would queue the others, and their budget would run there."""

    allow_cloud: bool = False
    """Whether a model may be one that runs at ollama.com (`…:cloud`, `…-cloud`). Default no: the prompt holds your telemetry."""

    circuit_failures: int = 3
    """Failures in a row after which the server is left alone. Default 3."""

    circuit_open: timedelta = timedelta(seconds=30)
    """For how long; then one call may try. Default 30 s: one incident's patience."""


_ADVICE = {
    "unavailable": "Start it with `ollama serve`, or correct OLLAMA_URL.",
    "timeout": "Keep the model loaded (keep_alive), use a smaller one, or a faster machine; `ollama ps` shows what it does.",
    "model_missing": "Run `ollama pull` or `ollama create` for it, or set MODEL_NAME to one that `ollama list` shows.",
    "cut_off": "The model rambles: use another one, or allow more output tokens.",
    "incomplete": "Look at Ollama's own log: its runner may have crashed.",
    "prompt_too_long": "Send less, or raise num_ctx as far as the model and its machine allow.",
    "busy": "Give it fewer users, or raise OLLAMA_NUM_PARALLEL.",
    "server_error": "Look at Ollama's own log; too little memory is the usual cause.",
    "garbage": "Check that OLLAMA_URL points at Ollama itself.",
    "invalid": "Try another model.",
    "rejected": "Check OLLAMA_URL and the model; Ollama's log says more.",
    "circuit_open": "The rules' analysis is used meanwhile.",
    "cloud_model": "Set MODEL_NAME to a local model, or allow cloud models.",
}

_HINT_BY_STATUS = {
    401: " (it wants credentials: put them into OLLAMA_URL, or it is a cloud model)",
    403: " (Ollama listens on its loopback and was asked under another Host name: set OLLAMA_HOST=0.0.0.0 there)",
    404: " (this is not Ollama, or OLLAMA_URL has a wrong path)",
    405: " (this is not Ollama, or OLLAMA_URL has a wrong path)",
}


class OllamaModel(ModelServer):
    """A LanguageModel on one Ollama server."""

    provider = "ollama"
    title = "Ollama"
    advice = _ADVICE
    hints = _HINT_BY_STATUS

    def __init__(self, settings: OllamaSettings, clock: Clock) -> None:
        """Opens nothing yet. Raises BadSetting where the URL or a number cannot be right."""
        url, headers = address(settings.url, setting="OLLAMA_URL", example="http://host:11434")
        super().__init__(settings, clock, url=url, headers=headers)
        self._settings = settings

    async def warm_up(self) -> None:
        """Loads the model with the options that later calls send, so that the first incident does not wait for it.

        Meant for the start and for a timer; takes as long as loading takes, up to `settings.load`. Never raises: a failure is logged.
        """
        try:
            async with asyncio.timeout(self._settings.load.total_seconds()):
                model = await self._load()
        except ModelFailed as failure:
            log.info("Model not warmed up: %s", failure, extra={"action": "llm_warm_up", "error.type": failure.reason})
        except TimeoutError:
            patience = readable(self._settings.load)
            log.info("Ollama did not load the model within %s", patience, extra={"action": "llm_warm_up", "error.type": "timeout"})
        else:
            log.info("Ollama has loaded %s", model, extra={"action": "llm_warm_up", "gen_ai.request.model": model})

    # One call

    async def _ask_model(self, call: Call, request: Mapping[str, Any]) -> Answer:
        try:
            return await self._ask_twice(call, lambda: self._ask(call, request))
        except ModelNotFound:
            fallback = self._settings.fallback_model
            if not fallback or _tagged(fallback) == _tagged(self.name):
                raise
            self._refuse_cloud(fallback)
        call.model = fallback
        try:
            return await self._ask_twice(call, lambda: self._ask(call, request))
        except ModelNotFound as error:
            call.model = self.name
            raise self._failure("model_missing", f"has neither {self.name} nor the fallback {fallback}") from error

    async def _ask(self, call: Call, request: Mapping[str, Any]) -> Answer:
        call.doing = "looking whether it is loaded"
        loaded = await self._is_loaded(call.model)
        call.doing = "no token yet; the model is loaded" if loaded else "no token yet; the model may still be loading"
        patience = self._settings.first_token if loaded else self._settings.first_token_cold
        return await self._streamed(call, "/api/chat", request, AnswerReader(), patience)

    def _request(self, system: str, prompt: str, schema: Mapping[str, Any] | None, num_predict: int) -> dict[str, Any]:
        messages = [{"role": "system", "content": system}] if system else []
        request = {
            **self._load_request(),
            "messages": [*messages, {"role": "user", "content": prompt}],
            "stream": True,
            "options": {**self._options(), "num_predict": num_predict},
        }
        return request if schema is None else {**request, "format": dict(schema)}

    def _load_request(self) -> dict[str, Any]:
        keep_alive = self._settings.keep_alive.strip()
        return {
            "messages": [],
            "stream": False,
            "think": False,
            "truncate": False,
            "shift": False,
            # "-1" as a text is no Go duration, as a number it is for ever.
            "keep_alive": int(keep_alive) if keep_alive.lstrip("-").isdecimal() else keep_alive,
            "options": self._options(),
        }

    def _options(self) -> dict[str, Any]:
        return {"num_ctx": self._settings.num_ctx, "temperature": self._settings.temperature, "seed": self._settings.seed, "top_k": 1}

    # What the server says about itself

    async def _is_loaded(self, model: str) -> bool:
        """False where nobody knows. Raises ModelFailed only where there is no connection to be had."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                listed = await self._get("/api/ps")
        except TimeoutError:
            return False
        except ModelFailed as failure:
            if failure.reason == "unavailable" and not isinstance(failure, TryAgain):
                raise
            return False
        num_ctx = self._settings.num_ctx  # with another window the server will load it again
        return any(_tagged(model) in _names(entry) and entry.get("context_length", num_ctx) == num_ctx for entry in _models(listed))

    async def _health(self) -> ModelHealth:
        version = await self._get("/api/version")
        number = version.get("version") if isinstance(version, dict) else None
        if not isinstance(number, str):
            raise self._failure("garbage", "answered /api/version with something else: this is not Ollama")
        self._refuse_cloud(self.name)
        models = _models(await self._get("/api/tags"))
        server = f"Ollama {one_line(number, 40)} at {self.url}"
        for model in dict.fromkeys(filter(None, (self.name, self._settings.fallback_model))):
            entry = next((entry for entry in models if _tagged(model) in _names(entry)), None)
            if entry is None:
                continue
            self._refuse_cloud(model, remote=bool(entry.get("remote_host")))
            detail = f"{server} has {model}" if model == self.name else f"{server} does not have {self.name}; {model} is used instead"
            return ModelHealth(connected=True, model=model, detail=f"{detail}{self._circuit_note()}.")
        fallback = f" nor the fallback {self._settings.fallback_model}" if self._settings.fallback_model else ""
        raise self._failure("model_missing", f"has no model {self.name}{fallback}; it has {len(models)} models")

    async def _load(self) -> str:
        for model in dict.fromkeys(filter(None, (self.name, self._settings.fallback_model))):
            self._refuse_cloud(model)
            try:
                await self._load_one(model)
            except ModelNotFound:
                continue
            return model
        raise self._failure("model_missing", f"has neither {self.name} nor the fallback {self._settings.fallback_model or '(none set)'}")

    async def _load_one(self, model: str) -> None:
        request = self._load_request()
        async with self._stream("POST", "/api/chat", self._json({**request, "model": model})) as response:
            if response.status_code != 200:
                raise await self._refusal(response, model, request, "/api/chat")
            loaded = await self._json_body(response, "/api/chat")
        if not isinstance(loaded, dict) or loaded.get("done") is not True:
            raise self._failure("incomplete", f"did not confirm that {model} is loaded")

    # The wire

    # Saying no

    def _refuse_model(self, model: str) -> None:
        self._refuse_cloud(model)

    def _refuse_cloud(self, model: str, *, remote: bool = False) -> None:
        if not self._settings.allow_cloud and (remote or is_cloud_model(model)):
            raise self._failure("cloud_model", f"would send the prompt away: {model} runs at ollama.com, not on this server")


def is_cloud_model(name: str) -> bool:
    """True for the names that Ollama runs on other people's machines: `gpt-oss:120b-cloud`, `glm-4.6:cloud`."""
    tag = name.strip().casefold()
    return tag.endswith((":cloud", "-cloud"))


def _tagged(name: str) -> str:
    """The full name: `bruno-sre` is `bruno-sre:latest`."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _models(listed: Any) -> list[dict[str, Any]]:
    """The entries of /api/tags or /api/ps; none where it is not such a list."""
    entries = listed.get("models") if isinstance(listed, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _names(entry: Mapping[str, Any]) -> set[str]:
    return {_tagged(entry[key]) for key in ("name", "model") if isinstance(entry.get(key), str)}
