"""Untrusted text made fit to show: no control characters, no invisible ones, no surprise in length."""

from __future__ import annotations

import unicodedata

_KEPT = {"\n", "\t"}


def cut(text: str, limit: int) -> str:
    """The text, or its first `limit` characters and a visible `…(+n)` that says how many are missing."""
    return text if len(text) <= limit else f"{text[:limit]}…(+{len(text) - limit})"


def clean(text: str, limit: int = 4096) -> str:
    """NFC text without control and format characters (zero-width, bidi marks, ANSI escapes, tag characters), at most `limit` long.

    Line breaks and tabs stay. Unpaired surrogates become U+FFFD. Source of the list: Unicode categories Cc, Cf, Cs, Co.
    """
    kept = unicodedata.normalize("NFC", text[: limit * 2])
    # Most text has nothing to drop, and `isprintable` sees that a hundred times faster than the loop.
    if not kept.replace("\n", " ").replace("\t", " ").isprintable():
        kept = "".join(
            "�" if unicodedata.category(character) == "Cs" else character
            for character in kept
            if character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Co")
        )
    return cut(kept, limit) if len(text) <= limit * 2 else f"{kept[:limit]}…(+{len(text) - limit})"


def one_line(text: str, limit: int = 300) -> str:
    """`clean`, with every run of white space folded into one space."""
    line = " ".join(clean(text, limit * 4).split())
    if len(line) <= limit:
        return line
    # what `clean` cut off already is missing too
    return f"{line[:limit]}…(+{(len(line) if len(text) <= limit * 4 else len(text)) - limit})"


def both_ends(text: str, limit: int = 300) -> str:
    """`one_line`, where what is too long loses its middle: of an error that wraps another one the cause stands at the end."""
    line = one_line(text, 16 * limit)
    if len(line) <= limit:
        return line
    head, tail = line[: limit * 3 // 5], line[len(line) - limit * 2 // 5 + 3 :]
    return f"{head.rpartition(' ')[0] or head} … {tail.partition(' ')[2] or tail}"
