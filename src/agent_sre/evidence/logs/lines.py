r"""Lines of any format as one readable line each, and when they were written.

JSON and logfmt, klog, syslog, access logs, plain text, and what a container runtime writes around them (`2026-11-23T06:40:11.123456789Z stdout F …`).
An entry that spans several lines counts as one. Of a stack trace that was cut into lines, the inner ones say where and not what: they are empty here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from agent_sre.kit.times import format_instant, parse_instant

LINE_LIMIT = 2000
"""Characters of a line that are looked at. What a program says stands at its beginning."""


class LogLine(NamedTuple):
    """A line of which its source knows more than its text: a plain tuple, because there are thousands of them."""

    text: str
    at: float | None  # unix seconds; None: only the text knows
    level: str = ""  # as the source calls it; empty where it does not say


_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_RUNTIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{1,9}(?:Z|[+-][0-9:]{5}) std(?:out|err) [FP] ?")
_LEADING_TIME = re.compile(r"\A20[0-9]{2}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9:]{5,8}(?:[.,][0-9]+)?(?:Z| ?[+-][0-9]{2}:?[0-9]{2})?")
_MESSAGE_KEYS = ("message", "msg", "log", "event", "error", "err", "exception", "reason")
_LEVEL_KEYS = ("level", "severity", "lvl", "levelname", "log.level")
_TIME_KEYS = ("time", "ts", "timestamp", "@timestamp", "t", "date")
_FRAME = re.compile(r"created by |[\w./*(){}\[\]<>,·-]+\(.*\)$")


def flatten(lines: Sequence[str]) -> list[str]:
    """One readable line for each, empty for what does not count: empty lines and the inner lines of a stack trace.

    Linear in the text, whoever wrote it.
    """
    readable = [_readable(line) for line in lines]
    if any(line.startswith("goroutine ") for line in readable):
        _empty_goroutines(readable)
    return readable


def program_text(line: str) -> str:
    """The line as the program wrote it, without what the container runtime put in front."""
    if line[10:11] == "T" and line[:1] == "2":
        if match := _RUNTIME.match(line):
            return line[match.end() :]
        # nine digits and no less is how the kubelet stamps a line; programs write three or six
        if line[19:20] == "." and line[29:31] == "Z " and line[20:29].isdigit():
            return line[31:]
    return line


def without_time(line: str) -> str:
    """The line with `<time>` for the instant that it begins with, if it does."""
    return _LEADING_TIME.sub("<time>", line, count=1) if line[:2] == "20" else line


def _readable(line: str) -> str:
    if "\x1b" in line:
        line = _COLOUR.sub("", line[: 2 * LINE_LIMIT])
    line = program_text(line.rstrip("\r\n")[:LINE_LIMIT])
    if line[:1] == "{":
        line = _flat(line)
    return _entry(line) if "\n" in line else "" if _is_inner(line) else line


def _is_inner(line: str) -> bool:
    # the line above them says what happened, "Caused by" says why
    return line[:1] in (" ", "\t", "}", "]") or line.startswith("at ")


def _entry(text: str) -> str:
    """An entry of several lines: what happened and why, without the frames between."""
    first, *rest = text.split("\n")
    return " ".join([first.strip(), *(line.strip() for line in rest if not _is_inner(line))]).strip()


def _empty_goroutines(lines: list[str]) -> None:
    """Go writes the frames of a panic without an indent, below `goroutine 1 [running]:`."""
    inside = False
    for index, line in enumerate(lines):
        inside = line.startswith("goroutine ") or (inside and (not line or _FRAME.match(line) is not None))
        if inside:
            lines[index] = ""


def _flat(line: str, *, nested: bool = False) -> str:
    """Time, level and message of a JSON record; the line itself where it is none."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
    if not isinstance(record, dict):
        return line
    inner = record.get("log")
    if isinstance(inner, str) and inner[:1] == "{" and not nested:  # Docker's own format around the program's
        return _flat(inner.strip(), nested=True)
    words = [_word(record[key]) for key in _MESSAGE_KEYS if key in record]
    if not words:
        return line
    time, level = _first_of(record, _TIME_KEYS), _first_of(record, _LEVEL_KEYS).upper()
    if time[:1] == "1" and (instant := _epoch(time)) is not None:
        time = format_instant(instant)
    return " ".join([part for part in (time, level) if part] + words)


def _first_of(record: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = record.get(key)
        if isinstance(value, str | int | float):
            return _word(value)
    return ""


def _word(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


# Times

_ISO = re.compile(r"([0-9]{4})[-/]([0-9]{2})[-/]([0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,9}))? ?(Z|[+-][0-9]{2}:?[0-9]{2})?")
_CLF = re.compile(r"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}:[0-9]{2}:[0-9]{2})(?: ([+-][0-9]{4}))?")
_SYSLOG = re.compile(r"\b([A-Z][a-z]{2}) {1,2}([0-9]{1,2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})")
_KLOG_TIME = re.compile(r"^[IWEF]([0-9]{2})([0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})")
_EPOCH = re.compile(r"^(1[0-9]{9})(?:\.[0-9]+|[0-9]{3}|[0-9]{6}|[0-9]{9})?\b")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def instant_of(line: str, now: datetime) -> datetime | None:
    """When a line says it was written. Times without a year are the last such day before `now`, times without a zone are UTC."""
    head = line[:160]
    if match := _ISO.search(head):
        fraction = f".{match[5][:6]}" if match[5] else ""
        return parse_instant(f"{match[1]}-{match[2]}-{match[3]}T{match[4]}{fraction}{match[6] or ''}")
    if (match := _CLF.search(head)) and match[2] in _MONTHS:
        return parse_instant(f"{match[3]}-{_MONTHS.index(match[2]) + 1:02}-{match[1]}T{match[4]}{match[5] or ''}")
    if (match := _SYSLOG.search(head)) and match[1] in _MONTHS:
        return _yearless(_MONTHS.index(match[1]) + 1, int(match[2]), match[3], now)
    if match := _KLOG_TIME.search(head):
        return _yearless(int(match[1]), int(match[2]), match[3], now)
    return _epoch(head)


def _epoch(text: str) -> datetime | None:
    match = _EPOCH.search(text)
    return None if match is None else datetime.fromtimestamp(int(match[1]), UTC)


def _yearless(month: int, day: int, time: str, now: datetime) -> datetime | None:
    for year in (now.year, now.year - 1):
        instant = parse_instant(f"{year}-{month:02}-{day:02}T{time}")
        if instant is not None and instant <= now + timedelta(days=1):
            return instant
    return None
