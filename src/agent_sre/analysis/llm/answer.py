"""From the bytes of Ollama's answer to a whole answer, or to the reason why there is none. No network here, so tests feed it bytes.

The wire: one JSON object per line, the last one with `"done":true`. A non-streamed answer is the same with a single line.

    {"model":"…","created_at":"…","message":{"role":"assistant","content":"It "},"done":false}
    {"model":"…","created_at":"…","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":812,"eval_count":93}

Seen in the field and therefore handled: the stream ends without `done:true` though its JSON looks fine; an `{"error":…}` line after tokens,
under status 200; `done_reason` missing; several objects on one line; blank lines and CRLF; one character split over two lines; thinking in
the content.
Source: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from agent_sre.kit.text import one_line

MAX_LINE_BYTES = 8 * 1024 * 1024
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_OBJECTS_A_LINE = 1000  # the slow reader would hold the event loop for seconds over a line of millions

_TOO_LONG = re.compile(r"context[ _](length|size|window)", re.IGNORECASE)
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.IGNORECASE | re.DOTALL)
_THINKING_END = re.compile(r"\A.*</think(?:ing)?>", re.IGNORECASE | re.DOTALL)
_LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_NOTHING_MORE = re.compile(r"\s*")


class Unusable(Exception):
    """This answer cannot be used. `reason` is one of model.REASONS, `detail` says what is wrong with it, for people."""

    def __init__(self, reason: str, detail: str, partial: Answer | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.partial = partial  # what came of an answer that was cut off at its limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server finished itself. Counts are None where it did not say; `text` is never empty."""

    text: str
    finish_reason: str
    input_tokens: int | None
    output_tokens: int | None
    prompt_seconds: float | None = None
    output_seconds: float | None = None


class LineReader(ABC):
    """Bytes as they come, cut into lines. Each call raises Unusable as soon as nothing good can come any more."""

    _begins: tuple[bytes, ...] = (b"{",)  # how a line begins that has something to say

    def __init__(self) -> None:
        self.objects = 0  # how many came so far: progress, as far as timeouts are concerned
        self.pieces: list[str] = []
        self._line: list[bytes] = []  # the unfinished line, in parts: joining at every chunk would be quadratic
        self._line_bytes = 0
        self._body_bytes = 0

    def feed(self, chunk: bytes) -> Answer | None:
        """The answer, once `done:true` has come; what stands behind it is ignored."""
        self._body_bytes += len(chunk)
        if self._body_bytes > MAX_BODY_BYTES:
            raise Unusable("garbage", f"the answer is longer than {MAX_BODY_BYTES} bytes")
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            if (answer := self._take(self._whole_line(line))) is not None:
                return answer
        self._line.append(rest)
        self._line_bytes += len(rest)
        if self._line_bytes > MAX_LINE_BYTES:
            raise Unusable("garbage", f"one line of the answer is longer than {MAX_LINE_BYTES} bytes")
        return None

    def end(self) -> Answer:
        """The answer, now that no more bytes will come."""
        line = self._whole_line(b"").strip()
        try:
            answer = self._take(line)
        except Unusable as error:
            if error.reason == "garbage" and line.startswith(self._begins):
                raise Unusable("incomplete", "the answer ended in the middle of a line") from error
            raise
        if answer is None:
            return self._ended()
        return answer

    def _ended(self) -> Answer:
        """The answer where the stream ends without an end."""
        raise Unusable("incomplete", f"the answer ended after {self.objects} lines without saying that it is done")

    @abstractmethod
    def _take(self, line: bytes) -> Answer | None:
        """The answer, if this line ends it."""

    def _whole_line(self, end: bytes) -> bytes:
        if self._line_bytes + len(end) > MAX_LINE_BYTES:
            raise Unusable("garbage", f"one line of the answer is longer than {MAX_LINE_BYTES} bytes")
        line = b"".join([*self._line, end])
        self._line, self._line_bytes = [], 0
        return line


class AnswerReader(LineReader):
    """Ollama's native wire."""

    def _take(self, line: bytes) -> Answer | None:
        for value in values_of_line(line):
            self.objects += 1
            if not isinstance(value, dict):
                raise Unusable("garbage", "a line of the answer is JSON, but not an object")
            if value.get("error"):
                raise_error(value["error"])
            if "message" not in value and "done" not in value:
                raise Unusable("garbage", "a line of the answer is JSON, but not Ollama's")
            if value.get("remote_host"):
                raise Unusable("cloud_model", "the model does not run here: Ollama forwarded the prompt to another host")
            self.pieces.append(content_of(value.get("message")))
            if value.get("done") is True:
                return self._finish(value)
        return None

    def _finish(self, last: dict[str, Any]) -> Answer:
        finish_reason = last.get("done_reason") or "stop"
        if finish_reason not in ("stop", "length"):
            raise Unusable("incomplete", f"the answer ended with done_reason {one_line(str(finish_reason), 40)!r}")
        answer = Answer(
            text=without_thinking(joined(self.pieces)).strip(),
            finish_reason=finish_reason,
            input_tokens=count_of(last.get("prompt_eval_count")),
            output_tokens=count_of(last.get("eval_count")),
            prompt_seconds=_seconds_of(last.get("prompt_eval_duration")),
            output_seconds=_seconds_of(last.get("eval_duration")),
        )
        if finish_reason == "length":
            raise Unusable("cut_off", f"the answer was cut off after {answer.output_tokens} tokens", answer)
        if not answer.text:
            raise Unusable("invalid", "the answer is empty")
        return answer


def error_text(value: object) -> str:
    """The words of an error in any of its shapes: text, `{"error":…}`, `{"message":…}`, or a text that holds such JSON again."""
    for _ in range(4):  # the native runner's error is an object in a string in an object
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = orjson.loads(value)
            except orjson.JSONDecodeError:
                break
        if not isinstance(value, dict):
            break
        value = value.get("error") or " ".join(str(value[key]) for key in ("type", "message", "detail") if value.get(key)) or "no words"
    return one_line(str(value), 200)


def says_too_long(text: str) -> bool:
    """True for each of the wordings in which servers say that the prompt does not fit the context."""
    return _TOO_LONG.search(text) is not None


def without_thinking(text: str) -> str:
    """The text without `<think>…</think>`. What stands before a lone end tag was thinking too, as is what follows a lone start tag."""
    return _THINKING_END.sub("", _THINKING.sub("", text))


def values_of_line(line: bytes) -> Iterator[Any]:
    """The JSON values of one line: usually one, none where it is blank."""
    if not line.strip():
        return
    try:
        yield orjson.loads(line)
    except orjson.JSONDecodeError:
        yield from _tolerant_values(line)


def _tolerant_values(line: bytes) -> Iterator[Any]:
    """What orjson refuses and we can still read: several objects on a line, half a character at the end of a text."""
    text = line.decode("utf-8", "surrogateescape")
    at = 0
    for _ in range(MAX_OBJECTS_A_LINE):
        at = _end_of_space(text, at)
        if at == len(text):
            return
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise Unusable("garbage", "a line of the answer is not JSON") from error
        yield value
    raise Unusable("garbage", f"a line of the answer holds more than {MAX_OBJECTS_A_LINE} objects")


def _end_of_space(text: str, at: int) -> int:
    match = _NOTHING_MORE.match(text, at)
    return match.end() if match else at


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def raise_error(value: object) -> NoReturn:
    text = error_text(value)
    if says_too_long(text):
        raise Unusable("prompt_too_long", f"the model refused the prompt: {text}")
    raise Unusable("server_error", f"the model failed while it answered: {text}")


def content_of(message: object) -> str:
    if message is None:
        return ""
    content = message.get("content") if isinstance(message, dict) else message
    if content is None:
        return ""
    if not isinstance(message, dict) or not isinstance(content, str):
        raise Unusable("garbage", "a line of the answer has a message without text")
    return content


def joined(pieces: list[str]) -> str:
    """The pieces as one text, with characters put together again that were split between two of them, as bytes or as UTF-16 halves."""
    text = "".join(pieces)
    if text.isascii():
        return text
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _LONE_SURROGATE.sub("�", text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def count_of(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _seconds_of(nanoseconds: object) -> float | None:
    """A duration as the server writes it; None where it is missing, which is how a zero is written."""
    whole = count_of(nanoseconds)
    return whole / 1e9 if whole else None
