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
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from agent_sre.analysis.llm import metrics
from agent_sre.analysis.llm.answer import Answer, AnswerReader
from agent_sre.analysis.llm.model import ModelFailed, ModelHealth, ServedModel
from agent_sre.analysis.llm.server import Call, ModelNotFound, ModelServer, TryAgain, address
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import parse_duration, readable
from agent_sre.kit.text import one_line

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5  # for /api/ps: it only chooses a timeout, so it may not cost much of one
_SHOW_SECONDS = 0.1  # how long a check waits for /api/show beyond its own questions
_SHOW_PATIENCE_SECONDS = 5.0  # and how long that answer may take
_BUSY_SECONDS = 1.0  # until a warm-up looks again whether somebody is asking
_FOR_EVER = timedelta(days=365)
_REFUSES_SINCE = (0, 12, 6)  # the first version that knows `truncate` and `shift`


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

    warm_every: timedelta = timedelta(minutes=5)
    """How often the model is loaded ahead of need: at the start, and whenever nobody has asked it for this long, sooner where `keep_alive` is
    shorter. 0: never. Default 5 min: an Ollama that was started again has the model back before the next alert. Loading takes the memory
    from other models, so set 0 where others use this Ollama more than you do. Never done for a cloud model."""

    load: timedelta = timedelta(minutes=5)
    """For loading ahead of need only. Default 5 min: Ollama itself gives up then."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What /api/show says about a model, as far as we use it."""

    context_length: int | None = None
    capabilities: tuple[str, ...] = ()


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
        self._version: str | None = None  # None: not asked yet; empty: asked in vain
        self._listed: dict[str, str] = {}  # model -> digest, as last seen
        self._shown: dict[str, _Shown] = {}  # digest -> what /api/show said about it
        self._asked_show: dict[str, asyncio.Task[_Shown | None]] = {}  # model -> the question that is on its way
        self._used_at = clock.monotonic()  # when the model was last loaded or asked
        self._warmed = ""  # how the last warm-up ended

    async def keep_warm(self) -> None:
        """Loads the model now, and again before the server would unload it, until it is cancelled. Runs beside the calls and delays none.

        Returns at once where `warm_every` or `keep_alive` is 0, and for a cloud model.
        """
        pause = min(self._settings.warm_every, _kept(self._settings.keep_alive) * 0.8).total_seconds()
        if pause <= 0 or is_cloud_model(self.name):
            return
        while True:
            await self.warm_up()
            rest = pause
            while rest > 0:
                await asyncio.sleep(rest)
                # A call renews keep_alive by itself.
                rest = _BUSY_SECONDS if self._turn.locked() else pause - (self._clock.monotonic() - self._used_at)

    async def close(self) -> None:
        """Closes the connections, and ends the questions that nobody waits for."""
        questions, self._asked_show = list(self._asked_show.values()), {}
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
        await super().close()

    async def warm_up(self) -> None:
        """Loads the model with the options that later calls send, so that the first incident does not wait for it.

        Takes as long as loading takes, up to `settings.load`. Never raises: a failure is counted, and logged where the last one was another.
        """
        try:
            async with asyncio.timeout(self._settings.load.total_seconds()):
                said, outcome = f"Ollama has loaded {await self._load()}", "ok"
        except ModelFailed as failure:
            said, outcome = f"Model not warmed up: {failure}", failure.reason
        except TimeoutError:
            said, outcome = f"Ollama did not load the model within {readable(self._settings.load)}", "timeout"
        self._used_at = self._clock.monotonic()
        metrics.WARM_UPS.labels(provider=self.provider, outcome=outcome).inc()
        level = logging.DEBUG if said == self._warmed else logging.INFO
        log.log(level, "%s", said, extra={"action": "llm_warm_up", **({} if outcome == "ok" else {"error.type": outcome})})
        self._warmed = said

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
        answer = await self._streamed(call, "/api/chat", request, AnswerReader(), patience)
        self._used_at = self._clock.monotonic()
        # A result says which weights it came from, and only a loaded model is sure to be the one that answered.
        if not loaded and call.ends_at - asyncio.get_running_loop().time() > 2 * _LOOK_SECONDS:
            await self._look_again(call.model)
        return answer

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
        if self._version is None:
            await self._learn_version()
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                entry = _entry_of(model, await self._get("/api/ps"))
        except TimeoutError:
            return False
        except ModelFailed as failure:
            if failure.reason == "unavailable" and not isinstance(failure, TryAgain):
                self._version = None  # what comes back may be another
                raise
            return False
        if entry is None:
            return False
        self._remember(model, entry)
        window = self._window(model)  # with another window the server will load it again
        return bool(entry.get("context_length", window) == window)

    async def _look_again(self, model: str) -> None:
        """Learns the digest of the model that is loaded. In vain is no trouble."""
        with suppress(ModelFailed, TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                entry = _entry_of(model, await self._get("/api/ps"))
            if entry is not None:
                self._remember(model, entry)

    async def _learn_version(self) -> None:
        self._version = ""  # a server that is slow to say it is asked by the next check, not by the next call
        with suppress(ModelFailed, TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                self._version = await self._server_version()

    async def _server_version(self) -> str:
        version = await self._get("/api/version")
        number = version.get("version") if isinstance(version, dict) else None
        if not isinstance(number, str):
            raise self._failure("garbage", "answered /api/version with something else: this is not Ollama")
        return one_line(number, 40)

    async def _show(self, model: str) -> _Shown:
        """What the server says about a model; asked once for each digest. Nothing is known of one that it does not tell about in time."""
        digest = self._listed.get(_tagged(model), "")
        if digest in self._shown:
            return self._shown[digest]
        question = self._ask_show(model)
        await asyncio.wait({question}, timeout=_SHOW_SECONDS)
        if not question.done():
            return _Shown()  # it goes on, and the next check has the answer
        del self._asked_show[model]
        shown = question.result()
        if shown is not None and digest:
            self._shown = {digest: shown}
        return shown or _Shown()

    def _ask_show(self, model: str) -> asyncio.Task[_Shown | None]:
        """The question that is on its way, or a new one: a check has no time to wait for it."""
        if model not in self._asked_show:
            self._asked_show[model] = asyncio.create_task(self._shown_by_server(model), name=f"show-{model}")
        return self._asked_show[model]

    async def _shown_by_server(self, model: str) -> _Shown | None:
        try:
            async with asyncio.timeout(_SHOW_PATIENCE_SECONDS), self._stream("POST", "/api/show", orjson.dumps({"model": model})) as response:
                if response.status_code != 200:
                    raise await self._refusal(response, model, {}, "/api/show")
                return _read_show(await self._json_body(response, "/api/show"))
        except (ModelFailed, TimeoutError):
            return None

    def _remember(self, model: str, entry: Mapping[str, Any]) -> None:
        digest = entry.get("digest")
        if isinstance(digest, str):
            self._listed[_tagged(model)] = one_line(digest, 80)

    def _served(self, model: str) -> ServedModel:
        digest = self._listed.get(_tagged(model), "")
        shown = self._shown.get(digest, _Shown())
        server = f"{self.title} {self._version}" if self._version else self.title
        return ServedModel(name=model, digest=digest, server=server, context_length=shown.context_length, capabilities=shown.capabilities)

    def _window(self, model: str) -> int:
        """The server cuts num_ctx down to what the model was trained for."""
        shown = self._shown.get(self._listed.get(_tagged(model), ""), _Shown())
        return min(self._settings.num_ctx, shown.context_length or self._settings.num_ctx)

    async def _health(self) -> ModelHealth:
        self._version = await self._server_version()
        self._refuse_cloud(self.name)
        if not self._shown:
            self._ask_show(self.name)
        models = await self._get("/api/tags")
        server = f"Ollama {self._version} at {self.url}"
        for model in dict.fromkeys(filter(None, (self.name, self._settings.fallback_model))):
            entry = _entry_of(model, models)
            if entry is None:
                continue
            self._refuse_cloud(model, remote=bool(entry.get("remote_host")))
            self._remember(model, entry)
            shown = await self._show(model)
            if shown.capabilities and "completion" not in shown.capabilities:
                raise self._failure("rejected", f"has {model}, which cannot chat: it is made for {', '.join(shown.capabilities)}")
            detail = f"{server} has {model}" if model == self.name else f"{server} does not have {self.name}; {model} is used instead"
            detail += f"{self._short_window(model)}{self._old_server()}{self._circuit_note()}."
            return ModelHealth(connected=True, model=model, detail=detail, served=self._served(model))
        fallback = f" nor the fallback {self._settings.fallback_model}" if self._settings.fallback_model else ""
        raise self._failure("model_missing", f"has no model {self.name}{fallback}; it has {len(_models(models))} models")

    def _short_window(self, model: str) -> str:
        window = self._window(model)
        return "" if window == self._settings.num_ctx else f"; its window is {window} tokens, less than num_ctx {self._settings.num_ctx}"

    def _old_server(self) -> str:
        """A note on servers that read `truncate` and `shift` as nothing."""
        numbers = tuple(int(number) for number in re.findall(r"\d+", self._version or "")[:3])
        if not any(numbers) or numbers >= _REFUSES_SINCE:  # 0.0.0 was built by hand
            return ""
        return f"; it is older than {'.'.join(map(str, _REFUSES_SINCE))} and cuts a prompt that is too long instead of refusing it"

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


def _kept(keep_alive: str) -> timedelta:
    """How long the server keeps a model; a year for ever, and for what only the server can read."""
    text = keep_alive.strip()
    if text.startswith("-"):
        return _FOR_EVER
    try:
        return parse_duration(text)
    except ValueError:
        return _FOR_EVER


def _read_show(shown: Any) -> _Shown:
    details = shown if isinstance(shown, dict) else {}
    information, listed = details.get("model_info"), details.get("capabilities")
    lengths = [value for name, value in information.items() if name.endswith(".context_length")] if isinstance(information, dict) else []
    length = next((value for value in lengths if isinstance(value, int) and not isinstance(value, bool) and value > 0), None)
    capabilities = [one_line(item, 40) for item in listed[:20] if isinstance(item, str)] if isinstance(listed, list) else []
    return _Shown(context_length=length, capabilities=tuple(capabilities))


def _entry_of(model: str, listed: Any) -> dict[str, Any] | None:
    """The model's entry in such a list."""
    return next((entry for entry in _models(listed) if _tagged(model) in _names(entry)), None)


def _models(listed: Any) -> list[dict[str, Any]]:
    """The entries of /api/tags or /api/ps; none where it is not such a list."""
    entries = listed.get("models") if isinstance(listed, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _names(entry: Mapping[str, Any]) -> set[str]:
    return {_tagged(entry[key]) for key in ("name", "model") if isinstance(entry.get(key), str)}
