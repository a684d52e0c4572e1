"""LogQL, written safely: whatever text goes in, what comes out has exactly the matchers that were meant.

Everything that came from an alert stands inside a double-quoted string here, escaped as Loki's lexer undoes it (Go's text/scanner, then
strutil.Unquote). Label names and operators are never anybody's text.
Source: https://github.com/grafana/loki/blob/main/pkg/logql/syntax/lex.go
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One condition on a stream label: equal to `value`, or with `is_regex` wholly matched by it."""

    name: str
    value: str
    is_regex: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name[:80]!r} is not the name of a Loki label")

    def __str__(self) -> str:
        return f"{self.name}{'=~' if self.is_regex else '='}{quote(self.value)}"

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether a stream with these labels is one of those that Loki would choose. A missing label counts as an empty value."""
        value = labels.get(self.name, "")
        return re.fullmatch(self.value, value, re.DOTALL) is not None if self.is_regex else value == self.value


def selector(matchers: Sequence[Matcher]) -> str:
    """`{namespace="shop", pod="cart-0"}`."""
    return "{" + ", ".join(map(str, matchers)) + "}"


def containing(query: str, pattern: str) -> str:
    """The lines of a log query in which the RE2 pattern is found."""
    return f"{query} |~ {quote(pattern)}"


def count(query: str, span: timedelta) -> str:
    """How many lines a log query has in the `span` before each step, over all its streams."""
    return f"sum(count_over_time({query} [{max(1, round(span.total_seconds()))}s]))"


def literal(text: str) -> str:
    """An RE2 pattern that matches this text and nothing else."""
    return _META.sub(r"\\\g<0>", text)


def quote(text: str) -> str:
    """The text as a LogQL string. Half a surrogate pair, which no label can hold, becomes U+FFFD."""
    return '"' + "".join(character if _is_plain(character) else _escaped(character) for character in text) + '"'


def _is_plain(character: str) -> bool:
    return character.isprintable() and character not in _ESCAPES


def _escaped(character: str) -> str:
    # Invisible ones too: they are legal as they stand, but nobody who reads the query would see them.
    if character in _ESCAPES:
        return _ESCAPES[character]
    point = ord(character)
    if 0xD800 <= point <= 0xDFFF:
        return "\ufffd"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"
