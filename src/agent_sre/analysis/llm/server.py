"""One call to a model server that ends whole or fails with a reason, within its budget, whatever the other side does. What all servers share.

Why not a library: the ones we measured wait for ever by default and take a stream that breaks off for an answer.

    complete ──> too long? ──> circuit closed? ──> our turn ──> one try ──> read the stream ──> cut? ──> Completion
                    │              │                  │            │ 429, 500, 502, 503, reset: again, once
                    └──────────────┴──────────────────┴────────────┴──> ModelFailed(reason)

The budget starts before the queue. `ollama` and `openai` say how their server is asked and how its answer is read.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

import orjson

from agent_sre.analysis.llm import metrics
from agent_sre.analysis.llm.answer import Answer, Unusable, error_text, says_too_long
from agent_sre.analysis.llm.circuit import Circuit
from agent_sre.analysis.llm.model import Budget, Completion, ModelFailed, ModelHealth, ServedModel
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

_ERROR_SECONDS = 1.0  # for the words of an error whose status we already have
_MAX_ERROR_BYTES = 64 * 1024
_MAX_LIST_BYTES = 8 * 1024 * 1024
_ECHO = 40  # so many characters of the prompt in an error text are an echo of it

_SERVER_IS_ILL = frozenset({"unavailable", "timeout", "busy", "server_error", "garbage", "incomplete"})
"""What opens the circuit. The other reasons come from a server that answers."""


class CallSettings(Protocol):
    """What every server's settings hold; each of them says what it means there, and why its default is what it is."""

    @property
    def model_name(self) -> str: ...
    @property
    def num_ctx(self) -> int: ...
    @property
    def max_output_tokens(self) -> int: ...
    @property
    def total(self) -> timedelta: ...
    @property
    def connect(self) -> timedelta: ...
    @property
    def between_tokens(self) -> timedelta: ...
    @property
    def retry_pause(self) -> timedelta: ...
    @property
    def concurrency(self) -> int: ...
    @property
    def circuit_failures(self) -> int: ...
    @property
    def circuit_open(self) -> timedelta: ...


class Reader(Protocol):
    """Makes a whole answer out of the bytes of a stream. Raises Unusable as soon as nothing good can come any more."""

    objects: int  # how many parts came so far: progress, as far as timeouts are concerned

    def feed(self, chunk: bytes) -> Answer | None: ...

    def end(self) -> Answer: ...


class ModelNotFound(ModelFailed):
    """404: this model is not on the server, another may be."""


class TryAgain(ModelFailed):
    """429, 500, 502, 503 and resets: the same request may well succeed now."""


@dataclass(slots=True)
class Call:
    """How far one call has come, for the message if it gets no further."""

    ends_at: float  # on the loop's clock
    model: str
    doing: str = "waiting for our turn; other calls came first"
    asked: bool = False  # the server has been asked, so the outcome says something about it
    retried: bool = False
    asked_at: float = 0.0  # on the loop's clock: the last try
    first_token_at: float | None = None
    pieces: int = 0  # of the answer, in the last try


class ModelServer(ABC):
    """A LanguageModel behind a server. One instance per server and process: queue and circuit live in it."""

    provider: str
    title: str  # what the server is called in messages
    advice: Mapping[str, str]  # by reason: what an operator can do
    hints: Mapping[int, str]  # by status: what it usually means

    def __init__(self, settings: CallSettings, clock: Clock, *, url: str, headers: Mapping[str, str]) -> None:
        """Opens nothing yet. Raises BadSetting where a number cannot be right."""
        self.url = url
        self.name = settings.model_name
        self.num_ctx = settings.num_ctx
        self._headers = dict(headers)
        self._calls = settings
        self._clock = clock
        self._turn = asyncio.Semaphore(_at_least_one(settings.concurrency, self.title))
        self._circuit = Circuit(clock, failures=settings.circuit_failures, open_for=settings.circuit_open)
        self._client: httpx2.AsyncClient | None = None

    async def complete(self, *, system: str, prompt: str, schema: Mapping[str, Any] | None, budget: Budget) -> Completion:
        """One answer by `model_name`, or by the model that stands in for it: `Completion.model` says which.

        Raises ModelFailed for everything but a whole answer, and nothing else, within min(budget.total, settings.total). Every failure is
        logged and counted here; the caller need not. Cancelling closes the connection, which makes the server stop generating.
        """
        started = self._clock.monotonic()
        total = min(budget.total, self._calls.total)
        call = Call(ends_at=asyncio.get_running_loop().time() + total.total_seconds(), model=self.name)
        outcome = "cancelled"
        try:
            async with asyncio.timeout_at(call.ends_at):
                answer = await self._answer(call, system, prompt, schema, budget)
            outcome = "ok"
        except ModelFailed as failure:
            outcome = failure.reason
            raise self._reported(failure, call) from failure.__cause__
        except TimeoutError as error:
            outcome = "timeout"
            late = self._failure("timeout", f"took longer than {readable(total)} for {call.model} ({call.doing})")
            raise self._reported(late, call) from error
        finally:
            took = timedelta(seconds=self._clock.monotonic() - started)
            self._judge(call, outcome)
            metrics.count(provider=self.provider, model=call.model, outcome=outcome, seconds=took.total_seconds())
        metrics.count_tokens(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens)
        return _completion(answer, call, took, self._served(call.model))

    def available(self) -> bool:
        """False while the circuit is open."""
        return self._circuit.closed_for() is None

    async def check(self, timeout: timedelta) -> ModelHealth:  # noqa: ASYNC109 the protocol's name
        """Asks the server now: is it there, and which of our models does it have. Does not load or run anything."""
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._health()
        except TimeoutError:
            failure = self._failure("timeout", f"did not answer within {readable(timeout)}")
        except ModelFailed as error:
            failure = error
        return ModelHealth(connected=False, model=self.name, detail=str(failure), reason=failure.reason)

    async def close(self) -> None:
        """Closes the connections. Safe to call twice; a later call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # What each server does its own way

    @abstractmethod
    def _request(self, system: str, prompt: str, schema: Mapping[str, Any] | None, num_predict: int) -> dict[str, Any]:
        """The request's body, without the model."""

    @abstractmethod
    async def _ask_model(self, call: Call, request: Mapping[str, Any]) -> Answer:
        """The answer of one model, or of the one that stands in for it."""

    @abstractmethod
    async def _health(self) -> ModelHealth:
        """What the server says about itself and its model. Raises ModelFailed where that is no good."""

    @abstractmethod
    def _refuse_model(self, model: str) -> None:
        """Raises ModelFailed for a model that must not be asked."""

    # What a server may know better

    def _served(self, model: str) -> ServedModel:
        """What is known of a model that has just answered."""
        return ServedModel(name=model, server=self.title)

    def _window(self, model: str) -> int:  # noqa: ARG002 (others know their models' windows)
        """How many tokens prompt and answer may have together."""
        return self._calls.num_ctx

    # One call

    async def _answer(self, call: Call, system: str, prompt: str, schema: Mapping[str, Any] | None, budget: Budget) -> Answer:
        num_predict = min(budget.max_output_tokens, self._calls.max_output_tokens)
        estimate = estimate_tokens(system, prompt)
        window = self._window(self.name)
        self._refuse_model(self.name)
        if not fits(estimate, num_ctx=window, num_predict=num_predict):
            raise self._failure(
                "prompt_too_long",
                f"was not asked: {estimate} tokens of prompt (estimated) and {num_predict} of answer are too much for num_ctx {window}",
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
            answer = await self._ask_model(call, request)
        prompt_bytes = len(system.encode(errors="replace")) + len(prompt.encode(errors="replace"))
        if was_cut(answer.input_tokens, estimate=estimate, prompt_bytes=prompt_bytes, num_ctx=self._window(call.model)):
            raise self._failure(
                "prompt_too_long",
                f"let {call.model} read only {answer.input_tokens} of about {estimate} tokens: it threw the front of the prompt away",
            )
        return answer

    async def _ask_twice(self, call: Call, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """One try, and another where the first says that it may help and time is left."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            return await ask()
        except TryAgain:
            # Time is left if a try as long as this one would still fit.
            again_at = loop.time() + self._calls.retry_pause.total_seconds()
            if call.retried or again_at + (loop.time() - started) > call.ends_at:
                raise
        call.retried = True
        await asyncio.sleep(self._calls.retry_pause.total_seconds())
        return await ask()

    async def _streamed(self, call: Call, path: str, request: Mapping[str, Any], reader: Reader, patience: timedelta) -> Answer:
        """One try: the answer to this request, its first token within `patience`."""
        body = self._json({**request, "model": call.model})
        call.asked_at, call.first_token_at, call.pieces = asyncio.get_running_loop().time(), None, 0
        try:
            async with asyncio.timeout(patience.total_seconds()) as silence, self._stream("POST", path, body) as response:
                if response.status_code != 200:
                    raise await self._refusal(response, call.model, request, path)
                return await self._read(call, response, reader, silence)
        except Unusable as error:
            failure = self._failure(error.reason, f"gave no usable answer with {call.model}: {_without_echo(error.detail, request)}")
            if error.partial is not None:
                took = asyncio.get_running_loop().time() - call.asked_at
                failure.partial = _completion(error.partial, call, timedelta(seconds=took), self._served(call.model))
            raise failure from error
        except TimeoutError as error:
            if reader.objects:
                silent = readable(self._calls.between_tokens)
                raise self._failure("timeout", f"stalled: no token of {call.model} for {silent} after {reader.objects} lines") from error
            raise self._failure("timeout", f"gave no first token of {call.model} within {readable(patience)} ({call.doing})") from error

    async def _read(self, call: Call, response: httpx2.Response, reader: Reader, silence: asyncio.Timeout) -> Answer:
        loop = asyncio.get_running_loop()
        async for chunk in response.aiter_raw():
            objects = reader.objects
            if (answer := reader.feed(chunk)) is not None:
                return answer
            if reader.objects > objects:  # bytes that make no line are not progress: a server may drip them for ever
                call.doing = f"{reader.objects} tokens so far"
                call.first_token_at = call.first_token_at or loop.time()
                call.pieces = reader.objects
                silence.reschedule(loop.time() + self._calls.between_tokens.total_seconds())
        return reader.end()

    # The wire

    async def _get(self, path: str) -> Any:
        async with self._stream("GET", path, None) as response:
            if response.status_code != 200:
                raise await self._refusal(response, self.name, {}, path)
            return await self._json_body(response, path)

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
                timeout=httpx2.Timeout(None, connect=self._calls.connect.total_seconds()),
            ) as response:
                answering = True
                yield response
        except httpx2.ConnectTimeout as error:
            raise self._failure("unavailable", f"did not accept a connection within {readable(self._calls.connect)}") from error
        except httpx2.ConnectError as error:
            raise self._failure("unavailable", f"cannot be reached: {words(error)}") from error
        except httpx2.RemoteProtocolError as error:
            raise self._protocol_failure(error, answering=answering) from error
        except httpx2.NetworkError as error:
            when = "while it answered" if answering else "before it answered"
            raise self._failure("unavailable", f"broke the connection {when}", TryAgain) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, UnicodeError) as error:
            if isinstance(error, TimeoutError):  # from asyncio.timeout: the caller knows which one
                raise
            raise self._failure("unavailable", f"cannot be asked: {words(error)}") from error

    def _protocol_failure(self, error: httpx2.RemoteProtocolError, *, answering: bool) -> ModelFailed:
        # The library has one class for three things; its words tell them apart, and tests over real sockets hold it to them.
        if not answering and "disconnected" in str(error):
            return self._failure("unavailable", "closed the connection without an answer", TryAgain)
        if "peer closed" in str(error):
            return self._failure("incomplete", "closed the connection in the middle of its answer")
        return self._failure("garbage", f"does not speak HTTP: {words(error)}")

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

    async def _refusal(self, response: httpx2.Response, model: str, request: Mapping[str, Any], path: str) -> ModelFailed:
        """What a status other than 200 means."""
        status = response.status_code
        raw = await self._error_body(response)
        is_json = raw.lstrip().startswith(b"{")  # a page of HTML from a proxy says less than its status
        text = error_text(raw.decode("utf-8", "replace")) if is_json else ""
        words = f": {_without_echo(text, request)}" if text else ""
        if status in (400, 413, 500) and says_too_long(text):
            return self._failure("prompt_too_long", f"refused the prompt with {status}{words}")
        if status == 404 and is_json and ("not found" in text or "does not exist" in text):
            return self._failure("model_missing", f"does not have the model {model}", ModelNotFound)
        if status in (429, 503):
            return self._failure("busy", f"is busy ({status}{words})", TryAgain)
        if status >= 500:
            again = TryAgain if status in (500, 502) else ModelFailed
            return self._failure("server_error", f"failed with {status} on {path} for {model}{words}", again)
        if 300 <= status < 400:
            return self._failure("rejected", f"answered {path} with a redirect ({status}), which we never follow")
        if status >= 400:
            return self._failure("rejected", f"refused {path} for {model} with {status}{words}{self.hints.get(status, '')}")
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
            raise self._failure("rejected", f"cannot be asked: the schema cannot be written as JSON ({words(error)})") from error

    def _http(self) -> httpx2.AsyncClient:
        if self._client is None:
            connections = self._calls.concurrency + 4  # checks and a warm-up may run beside the calls
            self._client = http_client(base_url=self.url, timeout=self._calls.total, headers=self._headers, connections=connections)
        return self._client

    # Saying no

    def _refuse_open_circuit(self) -> None:
        left = self._circuit.closed_for()
        if left is not None:
            when = f"for another {readable(left)}" if left else "until the probe that is on its way has an answer"
            raise self._failure("circuit_open", f"failed {self._calls.circuit_failures} times in a row and is left alone {when}")

    def _circuit_note(self) -> str:
        left = self._circuit.closed_for()
        failures = self._calls.circuit_failures
        return "" if left is None else f", but failed {failures} times in a row and is left alone for {readable(left)}"

    def _failure(self, reason: str, what: str, kind: type[ModelFailed] = ModelFailed) -> ModelFailed:
        advice = self.advice.get(reason, "")
        return kind(redact(f"{self.title} at {self.url} {what}. {advice}".rstrip()), reason=reason)

    def _reported(self, failure: ModelFailed, call: Call) -> ModelFailed:
        level = logging.INFO if failure.reason == "circuit_open" else logging.WARNING
        log.log(level, "%s", failure, extra={"action": "llm_failed", "gen_ai.provider.name": self.provider, "error.type": failure.reason})
        reported = ModelFailed(str(failure), reason=failure.reason)
        reported.partial, reported.pieces = failure.partial, call.pieces
        return reported

    def _judge(self, call: Call, outcome: str) -> None:
        """What the circuit learns from a call."""
        if not call.asked:
            return
        if outcome in _SERVER_IS_ILL:
            self._circuit.failed()
        elif outcome == "cancelled":
            self._circuit.left()
        else:
            self._circuit.succeeded()


def _completion(answer: Answer, call: Call, took: timedelta, served: ServedModel) -> Completion:
    return Completion(
        text=answer.text,
        model=call.model,
        finish_reason=answer.finish_reason,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        took=took,
        served=served,
        prompt_seconds=answer.prompt_seconds,
        output_seconds=answer.output_seconds,
    )


def address(url: str, *, setting: str, example: str) -> tuple[str, dict[str, str]]:
    """The URL without its credentials, and the header that carries them instead: so they are in no message, whoever writes it."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise BadSetting(f"{setting} cannot be read; write {example}.") from error
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or any(character.isspace() for character in host):
        raise BadSetting(f"{setting} is not the address of a server; write {example}.")
    shown = f"[{host}]" if ":" in host else host
    clean = f"{parts.scheme}://{shown}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"
    if parts.username is None and parts.password is None:
        return clean, {}
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    return clean, {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _at_least_one(concurrency: int, title: str) -> int:
    if concurrency < 1:
        raise BadSetting(f"The number of {title} calls in flight must be 1 or more, not {concurrency}.")
    return concurrency


def words(error: Exception) -> str:
    return one_line(str(error), 160) or type(error).__name__


def _writable(text: str) -> str:
    """The text as UTF-8 can hold it: lone surrogates become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _without_echo(text: str, request: Mapping[str, Any]) -> str:
    """The server's words, unless they repeat the prompt: that must not come into logs by this way."""
    said = one_line("\n".join(message["content"] for message in request.get("messages", ())), 1_000_000)
    echoed = any(text[at : at + _ECHO] in said for at in range(len(text) - _ECHO + 1))
    return "(its words repeat the prompt and are left out)" if echoed else text
