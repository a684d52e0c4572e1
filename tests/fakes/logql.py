r"""The part of LogQL that a log source needs, read as Loki reads it: stream selectors, line filters, `sum(count_over_time(… [5m]))`.

Written from Loki's lexer and Go's rules for strings, not from our own writer, so that the two can contradict each other. Anything else is a
ParseError, as Loki's 400 would be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_DIGITS = {"x": 2, "u": 4, "U": 8}


class ParseError(Exception):
    """Loki would answer 400."""


@dataclass(frozen=True)
class LogQuery:
    """Matchers (label, operator, value) and line filters (operator, text), in order; `seconds` of count_over_time, None for lines."""

    matchers: tuple[tuple[str, str, str], ...]
    filters: tuple[tuple[str, str], ...] = ()
    seconds: int | None = None

    def chooses(self, labels: Mapping[str, str]) -> bool:
        return all(_compare(operator, labels.get(name, ""), value, whole=True) for name, operator, value in self.matchers)

    def keeps(self, line: str) -> bool:
        return all(_compare(operator.replace("|", ""), line, text, whole=False) for operator, text in self.filters)


def _compare(operator: str, value: str, wanted: str, *, whole: bool) -> bool:
    if "~" in operator:
        match = re.fullmatch(wanted, value, re.DOTALL) if whole else re.search(wanted, value)
        return (match is None) == operator.startswith("!")
    return (value == wanted if whole else wanted in value) != operator.startswith("!")


def parse(text: str) -> LogQuery:
    """The query. Raises ParseError."""
    reader = _Reader(text)
    counting = reader.take(r"sum\s*\(\s*count_over_time\s*\(\s*")
    query = LogQuery(matchers=reader.selector(), filters=reader.filters())
    if counting:
        span = reader.must(r"\[(\d+)s\]\s*\)\s*\)\s*")
        query = LogQuery(matchers=query.matchers, filters=query.filters, seconds=int(span[1]))
    if reader.rest:
        raise ParseError(f"unexpected {reader.rest[:20]!r}")
    if not any("!" not in operator and value and not ("~" in operator and re.fullmatch(value, "")) for _, operator, value in query.matchers):
        raise ParseError("queries require at least one regexp or equality matcher that does not have an empty-compatible value")
    return query


class _Reader:
    def __init__(self, text: str) -> None:
        self.rest = text

    def take(self, pattern: str) -> re.Match[str] | None:
        match = re.match(pattern, self.rest)
        if match:
            self.rest = self.rest[match.end() :]
        return match

    def must(self, pattern: str) -> re.Match[str]:
        match = self.take(pattern)
        if match is None:
            raise ParseError(f"syntax error: unexpected {self.rest[:20]!r}")
        return match

    def selector(self) -> tuple[tuple[str, str, str], ...]:
        self.must(r"\s*\{\s*")
        matchers = []
        while True:
            name = self.must(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*")
            matchers.append((name[1], name[2], self.string()))
            if not self.take(r"\s*,\s*"):
                break
        self.must(r"\s*\}\s*")
        return tuple(matchers)

    def filters(self) -> tuple[tuple[str, str], ...]:
        found = []
        while operator := self.take(r"(\|=|\|~|!=|!~)\s*"):
            found.append((operator[1], self.string()))
            self.take(r"\s*")
        return tuple(found)

    def string(self) -> str:
        if raw := self.take(r"`([^`]*)`"):
            return raw[1]
        self.must('"')
        parts = []
        while not self.take('"'):
            if not self.rest or self.rest[0] in "\n\x00\ufeff":
                raise ParseError("literal not terminated")
            parts.append(self.escape() if self.take(r"\\") else self.must(r"(?s).")[0])
        value = "".join(parts)
        if any(0xD800 <= ord(character) <= 0xDFFF for character in value):
            raise ParseError("invalid UTF-8 rune")
        return value

    def escape(self) -> str:
        kind = self.must(r"(?s).")[0]
        if kind in _SIMPLE:
            return _SIMPLE[kind]
        if kind in _DIGITS:
            point = int(self.must(rf"[0-9a-fA-F]{{{_DIGITS[kind]}}}")[0], 16)
            if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
                raise ParseError("escape is invalid Unicode code point")
            return chr(point)
        raise ParseError("unknown escape sequence")
