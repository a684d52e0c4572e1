"""Ollama on its native wire: one POST /api/chat that ends whole or fails with a reason, within its budget, whatever the other side does.

Why not a library: the ones we measured wait for ever by default, take a stream that breaks off for an answer, and cannot send `truncate`.

    complete ──> too long? ──> circuit closed? ──> our turn ──> /api/ps: loaded? ──> /api/chat ──> read lines ──> cut? ──> Completion
                    │              │                  │                                 │ 404: the fallback model
                    └──────────────┴──────────────────┴── ModelFailed(reason) <─────────┘ 429, 500, 502, 503, reset: again, once

The budget starts before the queue. `truncate:false` and `shift:false` make a server refuse what does not fit instead of throwing the front
of the prompt away; `think:false` because thinking eats the budget and `format` binds only what comes after it. num_ctx and shift are the
same in every request, because Ollama loads the model again when they change.
Source: https://github.com/ollama/ollama/blob/main/docs/api.md, https://github.com/ollama/ollama/blob/main/docs/faq.md
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import orjson

from agent_sre.analysis.llm import metrics
from agent_sre.analysis.llm.answer import Answer, AnswerReader, Unusable, error_text, says_too_long
from agent_sre.analysis.llm.circuit import Circuit
from agent_sre.analysis.llm.model import Budget, Completion, ModelFailed, ModelHealth
from agent_sre.analysis.llm.tokens import estimate_tokens, fits, was_cut
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import readable
from agent_sre.kit.errors import BadSetting
from agent_sre.kit.http import http_client
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

if TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5  # for /api/ps: it only chooses a timeout, so it may not cost much of one
_ERROR_SECONDS = 1.0  # for the words of an error whose status we already have
_MAX_ERROR_BYTES = 64 * 1024
_MAX_LIST_BYTES = 8 * 1024 * 1024
_ECHO = 40  # so many characters of the prompt in an error text are an echo of it

_SERVER_IS_ILL = frozenset({"unavailable", "timeout", "busy", "server_error", "garbage", "incomplete"})
"""What opens the circuit. The other reasons come from a server that answers."""


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


class _ModelNotFound(ModelFailed):
    """404: this model is not on the server, another may be."""


class _TryAgain(ModelFailed):
    """429, 500, 502, 503 and resets: the same request may well succeed now."""


@dataclass(slots=True)
class _Call:
    """How far one call has come, for the message if it gets no further."""

    ends_at: float  # on the loop's clock
    model: str
    doing: str = "waiting for our turn; other calls came first"
    asked: bool = False  # the server has been asked, so the outcome says something about it
    retried: bool = False


class OllamaModel:
    """A LanguageModel on one Ollama server. One instance per server and process: queue and circuit live in it."""

    provider = "ollama"

    def __init__(self, settings: OllamaSettings, clock: Clock) -> None:
        """Opens nothing yet. Raises BadSetting where the URL or a number cannot be right."""
        self._settings = settings
        self.url, self._headers = _address(settings.url)
        self.name = settings.model_name
        self._clock = clock
        self._turn = asyncio.Semaphore(_at_least_one(settings.concurrency))
        self._circuit = Circuit(clock, failures=settings.circuit_failures, open_for=settings.circuit_open)
        self._client: httpx2.AsyncClient | None = None

    async def complete(self, *, system: str, prompt: str, schema: Mapping[str, Any] | None, budget: Budget) -> Completion:
        """One answer by `model_name`, or by `fallback_model` where the server does not have it: `Completion.model` says which.

        Raises ModelFailed for everything but a whole answer, and nothing else, within min(budget.total, settings.total). Every failure is
        logged and counted here; the caller need not. Cancelling closes the connection, which makes Ollama stop generating.
        """
        started = self._clock.monotonic()
        total = min(budget.total, self._settings.total)
        call = _Call(ends_at=asyncio.get_running_loop().time() + total.total_seconds(), model=self.name)
        outcome = "cancelled"
        try:
            async with asyncio.timeout_at(call.ends_at):
                answer = await self._answer(call, system, prompt, schema, budget)
            outcome = "ok"
        except ModelFailed as failure:
            outcome = failure.reason
            raise self._reported(failure) from failure.__cause__
        except TimeoutError as error:
            outcome = "timeout"
            raise self._reported(self._failure("timeout", f"took longer than {readable(total)} for {call.model} ({call.doing})")) from error
        finally:
            took = timedelta(seconds=self._clock.monotonic() - started)
            self._judge(call, outcome)
            metrics.count(provider=self.provider, model=call.model, outcome=outcome, seconds=took.total_seconds())
        metrics.count_tokens(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens)
        return Completion(
            text=answer.text,
            model=call.model,
            finish_reason=answer.finish_reason,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            took=took,
        )

    def available(self) -> bool:
        """False while the circuit is open."""
        return self._circuit.closed_for() is None

    async def check(self, timeout: timedelta) -> ModelHealth:  # noqa: ASYNC109 the protocol's name
        """Asks /api/version and /api/tags now: is the server there, and which of our models does it have. Does not load or run anything."""
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._health()
        except TimeoutError:
            failure = self._failure("timeout", f"did not answer within {readable(timeout)}")
        except ModelFailed as error:
            failure = error
        return ModelHealth(connected=False, model=self.name, detail=str(failure), reason=failure.reason)

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

    async def close(self) -> None:
        """Closes the connections. Safe to call twice; a later call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # One call

    async def _answer(self, call: _Call, system: str, prompt: str, schema: Mapping[str, Any] | None, budget: Budget) -> Answer:
        num_predict = min(budget.max_output_tokens, self._settings.max_output_tokens)
        estimate = estimate_tokens(system, prompt)
        self._refuse_cloud(self.name)
        if not fits(estimate, num_ctx=self._settings.num_ctx, num_predict=num_predict):
            raise self._failure(
                "prompt_too_long",
                f"was not asked: {estimate} tokens of prompt (estimated) and {num_predict} of answer are too much for num_ctx "
                f"{self._settings.num_ctx}",
            )
        self._refuse_open_circuit()
        async with self._turn:
            self._refuse_open_circuit()  # it may have opened while we waited
            self._circuit.enter()
            call.asked = True
            request = self._request(system, prompt, schema, num_predict)
            log.info(
                "Processing with LLM",
                extra={
                    "action": "llm_request",
                    "gen_ai.provider.name": self.provider,
                    "gen_ai.request.model": self.name,
                    "prompt_chars": len(system) + len(prompt),
                    "prompt_tokens_estimate": estimate,
                },
            )
            answer = await self._ask_either(call, request)
        prompt_bytes = len(system.encode(errors="replace")) + len(prompt.encode(errors="replace"))
        if was_cut(answer.input_tokens, estimate=estimate, prompt_bytes=prompt_bytes, num_ctx=self._settings.num_ctx):
            raise self._failure(
                "prompt_too_long",
                f"let {call.model} read only {answer.input_tokens} of about {estimate} tokens: it threw the front of the prompt away",
            )
        return answer

    async def _ask_either(self, call: _Call, request: Mapping[str, Any]) -> Answer:
        try:
            return await self._ask_twice(call, request)
        except _ModelNotFound:
            fallback = self._settings.fallback_model
            if not fallback or _tagged(fallback) == _tagged(self.name):
                raise
            self._refuse_cloud(fallback)
        call.model = fallback
        try:
            return await self._ask_twice(call, request)
        except _ModelNotFound as error:
            call.model = self.name
            raise self._failure("model_missing", f"has neither {self.name} nor the fallback {fallback}") from error

    async def _ask_twice(self, call: _Call, request: Mapping[str, Any]) -> Answer:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            return await self._ask(call, request)
        except _TryAgain:
            # Time is left if a try as long as this one would still fit.
            again_at = loop.time() + self._settings.retry_pause.total_seconds()
            if call.retried or again_at + (loop.time() - started) > call.ends_at:
                raise
        call.retried = True
        await asyncio.sleep(self._settings.retry_pause.total_seconds())
        return await self._ask(call, request)

    async def _ask(self, call: _Call, request: Mapping[str, Any]) -> Answer:
        call.doing = "looking whether it is loaded"
        loaded = await self._is_loaded(call.model)
        call.doing = "no token yet; the model is loaded" if loaded else "no token yet; the model may still be loading"
        body = self._json({**request, "model": call.model})
        patience = self._settings.first_token if loaded else self._settings.first_token_cold
        reader = AnswerReader()
        try:
            async with asyncio.timeout(patience.total_seconds()) as silence, self._stream("POST", "/api/chat", body) as response:
                if response.status_code != 200:
                    raise await self._refusal(response, call.model, request)
                return await self._read(call, response, reader, silence)
        except Unusable as error:
            raise self._failure(error.reason, f"gave no usable answer with {call.model}: {_without_echo(error.detail, request)}") from error
        except TimeoutError as error:
            if reader.objects:
                silent = readable(self._settings.between_tokens)
                raise self._failure("timeout", f"stalled: no token of {call.model} for {silent} after {reader.objects} lines") from error
            raise self._failure("timeout", f"gave no first token of {call.model} within {readable(patience)} ({call.doing})") from error

    async def _read(self, call: _Call, response: httpx2.Response, reader: AnswerReader, silence: asyncio.Timeout) -> Answer:
        loop = asyncio.get_running_loop()
        async for chunk in response.aiter_raw():
            objects = reader.objects
            if (answer := reader.feed(chunk)) is not None:
                return answer
            if reader.objects > objects:  # bytes that make no line are not progress: a server may drip them for ever
                call.doing = f"{reader.objects} tokens so far"
                silence.reschedule(loop.time() + self._settings.between_tokens.total_seconds())
        return reader.end()

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
            if failure.reason == "unavailable" and not isinstance(failure, _TryAgain):
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
            except _ModelNotFound:
                continue
            return model
        raise self._failure("model_missing", f"has neither {self.name} nor the fallback {self._settings.fallback_model or '(none set)'}")

    async def _load_one(self, model: str) -> None:
        request = self._load_request()
        async with self._stream("POST", "/api/chat", self._json({**request, "model": model})) as response:
            if response.status_code != 200:
                raise await self._refusal(response, model, request)
            loaded = await self._json_body(response, "/api/chat")
        if not isinstance(loaded, dict) or loaded.get("done") is not True:
            raise self._failure("incomplete", f"did not confirm that {model} is loaded")

    async def _get(self, path: str) -> Any:
        async with self._stream("GET", path, None) as response:
            if response.status_code != 200:
                raise await self._refusal(response, self.name, {}, path)
            return await self._json_body(response, path)

    # The wire

    @asynccontextmanager
    async def _stream(self, method: str, path: str, body: bytes | None) -> AsyncIterator[httpx2.Response]:
        """One request; whatever the library raises becomes a ModelFailed, also while the answer is read."""
        import httpx2

        answering = False
        try:
            async with self._http().stream(
                method,
                path,
                content=body,
                # Raw bytes are read, so nothing may be compressed: a small answer cannot become a large one.
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
                timeout=httpx2.Timeout(None, connect=self._settings.connect.total_seconds()),
            ) as response:
                answering = True
                yield response
        except httpx2.ConnectTimeout as error:
            raise self._failure("unavailable", f"did not accept a connection within {readable(self._settings.connect)}") from error
        except httpx2.ConnectError as error:
            raise self._failure("unavailable", f"cannot be reached: {_words(error)}") from error
        except httpx2.RemoteProtocolError as error:
            raise self._protocol_failure(error, answering=answering) from error
        except httpx2.NetworkError as error:
            when = "while it answered" if answering else "before it answered"
            raise self._failure("unavailable", f"broke the connection {when}", _TryAgain) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, UnicodeError) as error:
            if isinstance(error, TimeoutError):  # from asyncio.timeout: the caller knows which one
                raise
            raise self._failure("unavailable", f"cannot be asked: {_words(error)}") from error

    def _protocol_failure(self, error: httpx2.RemoteProtocolError, *, answering: bool) -> ModelFailed:
        # The library has one class for three things; its words tell them apart, and tests over real sockets hold it to them.
        if not answering and "disconnected" in str(error):
            return self._failure("unavailable", "closed the connection without an answer", _TryAgain)
        if "peer closed" in str(error):
            return self._failure("incomplete", "closed the connection in the middle of its answer")
        return self._failure("garbage", f"does not speak HTTP: {_words(error)}")

    async def _json_body(self, response: httpx2.Response, path: str) -> Any:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _MAX_LIST_BYTES:
                raise self._failure("garbage", f"sent more than {_MAX_LIST_BYTES} bytes where a short answer was due")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise self._failure("garbage", f"answered {path} with something that is not JSON") from error

    async def _refusal(self, response: httpx2.Response, model: str, request: Mapping[str, Any], path: str = "/api/chat") -> ModelFailed:
        """What a status other than 200 means."""
        status = response.status_code
        raw = await self._error_body(response)
        is_json = raw.lstrip().startswith(b"{")  # a page of HTML from a proxy says less than its status
        text = error_text(raw.decode("utf-8", "replace")) if is_json else ""
        words = f": {_without_echo(text, request)}" if text else ""
        if status in (400, 413, 500) and says_too_long(text):
            return self._failure("prompt_too_long", f"refused the prompt with {status}{words}")
        if status == 404 and is_json and "not found" in text:
            return self._failure("model_missing", f"does not have the model {model}", _ModelNotFound)
        if status in (429, 503):
            return self._failure("busy", f"is busy ({status}{words})", _TryAgain)
        if status >= 500:
            again = _TryAgain if status in (500, 502) else ModelFailed
            return self._failure("server_error", f"failed with {status} on {path} for {model}{words}", again)
        if 300 <= status < 400:
            return self._failure("rejected", f"answered {path} with a redirect ({status}), which we never follow")
        if status >= 400:
            return self._failure("rejected", f"refused {path} for {model} with {status}{words}{_HINT_BY_STATUS.get(status, '')}")
        return self._failure("garbage", f"answered {path} with status {status}")

    async def _error_body(self, response: httpx2.Response) -> bytes:
        """The first 64 KiB that come within a second. The status is what counts, so trouble here is no trouble."""
        import httpx2

        body = bytearray()
        try:
            async with asyncio.timeout(_ERROR_SECONDS):
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > _MAX_ERROR_BYTES:
                        break
        except (TimeoutError, httpx2.HTTPError, httpx2.StreamError):
            pass
        return bytes(body[:_MAX_ERROR_BYTES])

    def _json(self, request: Mapping[str, Any]) -> bytes:
        clean = {**request, "messages": [{**message, "content": _writable(message["content"])} for message in request["messages"]]}
        try:
            return orjson.dumps(clean)
        except TypeError as error:  # orjson.JSONEncodeError is one
            raise self._failure("rejected", f"cannot be asked: the schema cannot be written as JSON ({_words(error)})") from error

    def _http(self) -> httpx2.AsyncClient:
        if self._client is None:
            connections = self._settings.concurrency + 4  # checks and a warm-up may run beside the calls
            self._client = http_client(base_url=self.url, timeout=self._settings.total, headers=self._headers, connections=connections)
        return self._client

    # Saying no

    def _refuse_cloud(self, model: str, *, remote: bool = False) -> None:
        if not self._settings.allow_cloud and (remote or is_cloud_model(model)):
            raise self._failure("cloud_model", f"would send the prompt away: {model} runs at ollama.com, not on this server")

    def _refuse_open_circuit(self) -> None:
        left = self._circuit.closed_for()
        if left is not None:
            when = f"for another {readable(left)}" if left else "until the probe that is on its way has an answer"
            raise self._failure("circuit_open", f"failed {self._settings.circuit_failures} times in a row and is left alone {when}")

    def _circuit_note(self) -> str:
        left = self._circuit.closed_for()
        failures = self._settings.circuit_failures
        return "" if left is None else f", but failed {failures} times in a row and is left alone for {readable(left)}"

    def _failure(self, reason: str, what: str, kind: type[ModelFailed] = ModelFailed) -> ModelFailed:
        advice = _ADVICE.get(reason, "")
        return kind(redact(f"Ollama at {self.url} {what}. {advice}".rstrip()), reason=reason)

    def _reported(self, failure: ModelFailed) -> ModelFailed:
        level = logging.INFO if failure.reason == "circuit_open" else logging.WARNING
        log.log(level, "%s", failure, extra={"action": "llm_failed", "gen_ai.provider.name": self.provider, "error.type": failure.reason})
        return ModelFailed(str(failure), reason=failure.reason)

    def _judge(self, call: _Call, outcome: str) -> None:
        """What the circuit learns from a call."""
        if not call.asked:
            return
        if outcome in _SERVER_IS_ILL:
            self._circuit.failed()
        elif outcome == "cancelled":
            self._circuit.left()
        else:
            self._circuit.succeeded()


def is_cloud_model(name: str) -> bool:
    """True for the names that Ollama runs on other people's machines: `gpt-oss:120b-cloud`, `glm-4.6:cloud`."""
    tag = name.strip().casefold()
    return tag.endswith((":cloud", "-cloud"))


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


def _address(url: str) -> tuple[str, dict[str, str]]:
    """The URL without its credentials, and the header that carries them instead: so they are in no message, whoever writes it."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise BadSetting("OLLAMA_URL cannot be read; write http://host:11434.") from error
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or any(character.isspace() for character in host):
        raise BadSetting("OLLAMA_URL is not the address of a server; write http://host:11434.")
    shown = f"[{host}]" if ":" in host else host
    clean = f"{parts.scheme}://{shown}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"
    if parts.username is None and parts.password is None:
        return clean, {}
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    return clean, {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _at_least_one(concurrency: int) -> int:
    if concurrency < 1:
        raise BadSetting(f"The number of Ollama calls in flight must be 1 or more, not {concurrency}.")
    return concurrency


def _tagged(name: str) -> str:
    """The full name: `bruno-sre` is `bruno-sre:latest`."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _models(listed: Any) -> list[dict[str, Any]]:
    """The entries of /api/tags or /api/ps; none where it is not such a list."""
    entries = listed.get("models") if isinstance(listed, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _names(entry: Mapping[str, Any]) -> set[str]:
    return {_tagged(entry[key]) for key in ("name", "model") if isinstance(entry.get(key), str)}


def _words(error: Exception) -> str:
    return one_line(str(error), 160) or type(error).__name__


def _writable(text: str) -> str:
    """The text as UTF-8 can hold it: lone surrogates become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _without_echo(text: str, request: Mapping[str, Any]) -> str:
    """The server's words, unless they repeat the prompt: that must not come into logs by this way."""
    said = one_line("\n".join(message["content"] for message in request.get("messages", ())), 1_000_000)
    echoed = any(text[at : at + _ECHO] in said for at in range(len(text) - _ECHO + 1))
    return "(its words repeat the prompt and are left out)" if echoed else text
