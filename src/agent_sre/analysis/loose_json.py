"""A flat JSON object out of what small models write around, before and instead of it. Pure, linear, never raises.

Forgiven: prose and fences around it, single and curly quotes, trailing and missing commas, bare words, NaN, line breaks inside texts, keys twice (the
last counts, as in every parser), an end in the middle. Values that are objects or numbers are read over, because no field of ours is one.

What is not forgiven is decided by `verdict`: this only reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_CHARACTERS = 20_000
"""An answer is a few hundred tokens; what is longer rambles, and its end is not looked at."""

Value = str | tuple[str, ...] | None

_KEY = re.compile(r"[\s,]*(?:\"([^\"\\\n]{1,40})\"|'([^'\\\n]{1,40})'|“([^”\n]{1,40})”|([A-Za-z_]\w{0,39}))\s*:\s*")
_BARE = re.compile(r"[^,\[\]{}\"\n]{1,80}")
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’"}
_ESCAPES = {"n": "\n", "t": " ", "r": " ", "b": " ", "f": " ", "/": "/", "\\": "\\", '"': '"', "'": "'"}
_AFTER = re.compile(r"\s*(?:,|\]|\}|$|\n\s*[\"'“])")


@dataclass(frozen=True, slots=True)
class Loose:
    """What was read. `cut` is the key whose value the end of the text broke off; empty where nothing is broken off."""

    fields: dict[str, Value] = field(default_factory=dict)
    cut: str = ""
    closed: bool = False  # its last bracket was there


def loose_objects(text: str) -> Iterator[Loose]:
    """Every object in the text that begins with a key, in order; what stands inside one is not looked at again."""
    text = text[:MOST_CHARACTERS]
    at = text.find("{")
    while at >= 0:
        found, end = _object(text, at + 1)
        if found.fields or found.cut:
            yield found
        at = text.find("{", max(end, at + 1))


def _object(text: str, at: int) -> tuple[Loose, int]:
    fields: dict[str, Value] = {}
    while (key := _KEY.match(text, at)) is not None:
        name = next(group for group in key.groups() if group is not None)
        value, at, whole = _value(text, key.end())
        fields[name] = value
        if not whole:
            return Loose(fields, name, False), len(text)
    rest = text[at : at + 40].lstrip(" \t\r\n,")
    return Loose(fields, "", rest.startswith("}")), at


def _value(text: str, at: int) -> tuple[Value, int, bool]:
    """(value, where it ends, whether it is whole)."""
    first = text[at : at + 1]
    if first in _QUOTES and first:
        return _text(text, at)
    if first == "[":
        return _texts(text, at + 1)
    if first == "{":
        return None, _over(text, at), True
    bare = _BARE.match(text, at)
    if bare is None:
        return None, at, at < len(text)
    word = bare.group().strip()
    whole = bare.end() < len(text)
    return (None if word in ("null", "NaN", "Infinity", "-Infinity") else word), bare.end(), whole


def _text(text: str, at: int) -> tuple[str, int, bool]:
    opening = text[at]
    closing = _QUOTES[opening]
    parts: list[str] = []
    at += 1
    while at < len(text):
        character = text[at]
        if character == "\\":
            escape = text[at + 1 : at + 2]
            if escape == "u":
                digits = text[at + 2 : at + 6]
                if not re.fullmatch(r"[0-9A-Fa-f]{4}", digits):
                    return "".join(parts), len(text), False
                parts.append(chr(int(digits, 16)))
                at += 6
                continue
            if not escape:
                return "".join(parts), len(text), False
            parts.append(_ESCAPES.get(escape, escape))
            at += 2
            continue
        # an apostrophe inside a text in single quotes does not end it
        if character == closing and (closing not in "'’" or _AFTER.match(text, at + 1)):
            return "".join(parts), at + 1, True
        parts.append(character)
        at += 1
    return "".join(parts), at, False


def _texts(text: str, at: int) -> tuple[tuple[str, ...], int, bool]:
    items: list[str] = []
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at >= len(text):
            return tuple(items), at, False
        if text[at] == "]":
            return tuple(items), at + 1, True
        if text[at] == "}":  # the bracket of the list is missing
            return tuple(items), at, True
        if text[at] in "[{":
            at = _over(text, at)
            continue
        before = at
        value, at, whole = _value(text, at)
        if not whole:
            return tuple(items), at, False
        if isinstance(value, str):
            items.append(value)
        if at == before:
            at += 1


def _over(text: str, at: int) -> int:
    """Behind the brackets that open here, texts in them included; the end where they do not close. No recursion: ten thousand deep is one number."""
    depth = 0
    while at < len(text):
        character = text[at]
        if character == '"':
            _, at, _ = _text(text, at)
            continue
        depth += (character in "[{") - (character in "]}")
        at += 1
        if depth <= 0:
            break
    return at
