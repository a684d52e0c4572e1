"""From the bytes of an OpenAI-compatible answer to a whole answer, or to the reason why there is none. No network here, so tests feed it bytes.

The wire: server-sent events, one JSON object per `data:` line.

    data: {"choices":[{"delta":{"content":"It "},"finish_reason":null}]}
    data: {"choices":[{"delta":{},"finish_reason":"stop"}]}
    data: {"choices":[],"usage":{"prompt_tokens":812,"completion_tokens":93}}
    data: [DONE]

Seen in the field and therefore handled: comments as signs of life (`: PROCESSING`), `event:` lines, an `{"error":…}` under status 200, thinking in a
field of its own or in the content, no `[DONE]` behind a finish_reason, servers that do not stream and answer with one object.
Source: https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_sre.analysis.llm.answer import Answer, LineReader, Unusable, content_of, count_of, joined, raise_error, values_of_line, without_thinking
from agent_sre.kit.text import one_line

_DATA = b"data:"
_SILENT_FIELDS = (b":", b"event:", b"id:", b"retry:")


class EventReader(LineReader):
    """OpenAI's wire, streamed or not."""

    _begins = (_DATA, b"{")

    def __init__(self) -> None:
        super().__init__()
        self._finish_reason = ""
        self._usage: Mapping[str, Any] = {}

    def _take(self, line: bytes) -> Answer | None:
        text = line.strip()
        if text.startswith(_SILENT_FIELDS):
            return None
        if text.startswith(_DATA):
            text = text[len(_DATA) :].strip()
        if text == b"[DONE]":
            return self._ended()
        for value in values_of_line(text):
            self.objects += 1
            if self._add(value):
                return self._finished()
        return None

    def _add(self, value: Any) -> bool:
        """Takes one object in; True where it was a whole answer by itself."""
        if not isinstance(value, dict):
            raise Unusable("garbage", "a line of the answer is JSON, but not an object")
        if value.get("error"):
            raise_error(value["error"])
        choices = value.get("choices")
        if not isinstance(choices, list):
            raise Unusable("garbage", "a line of the answer is JSON, but not of an OpenAI-compatible server")
        if isinstance(value.get("usage"), dict):
            self._usage = value["usage"]
        if not choices:
            return False
        first = choices[0]
        if not isinstance(first, dict):
            raise Unusable("garbage", "a choice of the answer is not an object")
        whole = "message" in first
        self.pieces.append(content_of(first.get("message") if whole else first.get("delta")))
        if isinstance(first.get("finish_reason"), str):
            self._finish_reason = first["finish_reason"]
        return whole

    def _ended(self) -> Answer:
        if not self._finish_reason:
            return super()._ended()
        return self._finished()

    def _finished(self) -> Answer:
        if self._finish_reason not in ("stop", "eos", "length"):  # "eos" is llama.cpp's and TGI's word
            raise Unusable("incomplete", f"the answer ended with finish_reason {one_line(self._finish_reason, 40)!r}")
        answer = Answer(
            text=without_thinking(joined(self.pieces)).strip(),
            finish_reason="length" if self._finish_reason == "length" else "stop",
            input_tokens=count_of(self._usage.get("prompt_tokens")),
            output_tokens=count_of(self._usage.get("completion_tokens")),
        )
        if answer.finish_reason == "length":
            raise Unusable("cut_off", f"the answer was cut off after {answer.output_tokens} tokens", answer)
        if not answer.text:
            raise Unusable("invalid", "the answer is empty")
        return answer
