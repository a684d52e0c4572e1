"""The two layouts that kubectl prints: tables, and `describe`'s indented sections. Pure; nothing here knows what the words mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

Lines = Sequence[str]

_COLUMN = re.compile(r"\S+(?: \S+)*")
_SECTION = re.compile(r"([^\s:][^:]{0,80}):(?: +(.*))?$")
_MAX_LINES = 200_000

NONE = frozenset({"", "<none>", "<unset>", "<unknown>", "<nil>", "<no value>"})
"""Texts that stand for nothing."""


# Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table by its header: `AGE` and `NOMINATED NODE` are columns. A cell that a row lacks is empty."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


def table_of(lines: Lines) -> Table | None:
    """The table whose header is the first of these lines; an unindented one ends at an empty line. None where the first line is empty.

    Cells are cut where the header's words begin. Where a cell is wider than its column, as happens in tables that people made by hand, the
    row is cut at its gaps of two spaces instead.
    """
    if not lines or not lines[0].strip():
        return None
    # Columns are two spaces apart or more, so a name of two words holds together.
    header = [(match.start(), match[0]) for match in _COLUMN.finditer(lines[0])]
    columns = tuple(name for _, name in header)
    starts = [start for start, _ in header]
    rows: list[dict[str, str]] = []
    for line in lines[1:_MAX_LINES]:
        if not line.strip():
            if starts[0]:
                continue
            break
        if set(line) <= {"-", " "}:  # `describe` underlines its headers
            continue
        if starts[0] and not line.startswith(" "):
            # A message of several lines: kubectl indents the first of them only.
            if rows:
                rows[-1][columns[-1]] += f"\n{line}"
            continue
        rows.append(_row(line, columns, starts))
    return Table(columns=columns, rows=tuple(rows))


def _row(line: str, columns: tuple[str, ...], starts: list[int]) -> dict[str, str]:
    fits = all(start == 0 or start >= len(line) or line[start - 1] == " " for start in starts)
    if fits:
        ends = [*starts[1:], len(line)]
        return {name: line[start:end].strip() for name, start, end in zip(columns, starts, ends, strict=True)}
    # a maxsplit of 0 would mean any number
    cells = re.split(r" {2,}", line.strip(), maxsplit=len(columns) - 1) if len(columns) > 1 else [line.strip()]
    return dict(zip(columns, [*cells, *[""] * (len(columns) - len(cells))], strict=True))


# Sections


@dataclass(frozen=True, kw_only=True)
class Section:
    """`Key:  value` and the deeper lines below it, as they are."""

    key: str
    value: str
    body: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The value and the lines below it, without their indent: how kubectl prints a list."""
        return [text for text in (self.value, *(line.strip() for line in self.body)) if text not in NONE]

    @cached_property
    def sections(self) -> Sections:
        """The body as sections of its own."""
        return Sections(self.body)


class Sections:
    """The sections of a block of lines, by the indent of its first one. Looking up what is not there gives an empty one."""

    def __init__(self, lines: Lines) -> None:
        self.all = tuple(_sections(lines))
        self._by_key: dict[str, Section] = {}
        for section in self.all:
            self._by_key.setdefault(section.key, section)

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def get(self, key: str) -> Section:
        """The first section of this key; an empty one where there is none."""
        return self._by_key.get(key) or Section(key=key, value="", body=())

    def value(self, key: str) -> str:
        """Its value; empty where it is `<none>` or missing."""
        section = self._by_key.get(key)
        return "" if section is None or section.value in NONE else section.value


def _sections(lines: Lines) -> Iterator[Section]:
    indent = next((_indent(line) for line in lines if line and not line.isspace()), 0)
    prefix = " " * indent
    key, value = "", ""
    body: list[str] = []
    begun = False
    for line in lines[:_MAX_LINES]:
        # Most lines lie deeper: one character tells.
        first = line[indent : indent + 1]
        match = _SECTION.match(line, indent) if first != " " and first and line.startswith(prefix) else None
        if match is None:
            body.append(line)
            continue
        if begun:
            yield Section(key=key, value=value, body=tuple(body))
        key, value, body, begun = match[1].rstrip(), (match[2] or "").strip(), [], True
    if begun:
        yield Section(key=key, value=value, body=tuple(body))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


# Small words


def pairs_of(lines: Lines, separator: str = "=") -> dict[str, str]:
    """`app=cart` and the like, one per line."""
    found = {}
    for line in lines:
        name, found_separator, value = line.partition(separator)
        if found_separator and name.strip():
            found[name.strip()] = value.strip()
    return found


def selector_of(text: str) -> dict[str, str]:
    """`app=cart,tier=web` as matchLabels."""
    return {} if text in NONE else pairs_of([part for part in text.split(",") if " " not in part.strip()])


def number_of(text: str) -> int | None:
    """A whole number, None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def port_of(text: str) -> int | str:
    """A port by number or by name."""
    number = number_of(text)
    return text if number is None else number
