"""Log lines of a bundle, whoever wrote them down, and what a recording already knows about its errors. Pure.

logs.jsonl      {"rows": [[offset seconds to the alert, service, line], …], "normal_minute": [[service, line], …]}, or a record per line
logs.json       {"app": ["line", …]} or {"app": "lines", "app.sidecar": "lines", "app.previous": "lines"}
logs.txt        ==== START logs for container web of pod shop/cart-0 ====, as `kubectl cluster-info dump` writes them
cart-0.log      whatever `kubectl logs` printed; the file's name says whose they are
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson

from agent_sre.alert.subject import Subject
from agent_sre.evidence.bundle.times import Times, instant_of
from agent_sre.evidence.evidence import LogPattern
from agent_sre.evidence.logs import lines as mined
from agent_sre.evidence.logs.masking import mask, tidy
from agent_sre.evidence.logs.mine import compare, mine, rank_of
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

MAX_LINES = 500_000
MAX_LINE = 4_000
MAX_PATTERNS = 100
_MAX_SUMMARY = 400_000

_DUMP = re.compile(r"^==== START logs for container (\S+) of pod ([^/\s]+)/(\S+) ====$", re.MULTILINE)
_DUMP_END = re.compile(r"\n?==== END logs for container .*$", re.DOTALL)
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)(?= |$)")
_NO_LOG = re.compile(
    r"(?:Error: )?(?:Defaulted container |Error from server .*previous terminated container .* not found|error: container \S+ is not valid for pod )"
)
"""kubectl's own words among a program's."""


class LogLine(NamedTuple):
    """One line, as it was written: untrusted, and not redacted, because there are thousands of them. A plain tuple for the same reason."""

    text: str
    source: str  # the service, the pod or the unit that wrote it
    at: datetime | None = None  # None where the line does not say
    namespace: str = ""
    container: str = ""
    period: str = ""  # "previous": of the container before the last restart; "normal": of a time when all was well


def from_rows(document: Mapping[str, Any], alert_at: datetime | None, now: datetime | None) -> list[LogLine]:
    """Lines of `rows` and `normal_minute`. Offsets are seconds to the alert; a line after `now` is left out."""
    found: list[LogLine] = []
    instant_by_offset: dict[float, datetime | None] = {}
    rows = document.get("rows")
    for row in rows if isinstance(rows, list) else ():
        match row:
            case [int() | float() as offset, str() as source, str() as text] if len(found) < MAX_LINES:
                if offset not in instant_by_offset:
                    instant_by_offset[offset] = _after(alert_at, offset)
                at = instant_by_offset[offset]
                if at is None or now is None or at <= now:
                    found.append(LogLine(text[:MAX_LINE], source, at))
    normal = document.get("normal_minute")
    for row in normal if isinstance(normal, list) else ():
        match row:
            case [str() as source, str() as text] if len(found) < MAX_LINES:
                found.append(LogLine(text[:MAX_LINE], source, period="normal"))
    return found


def _after(instant: datetime | None, seconds: float) -> datetime | None:
    try:
        return None if instant is None else instant + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


def from_records(lines: Iterable[bytes], times: Times) -> tuple[list[LogLine], int]:
    """One JSON object per line with time, source and message under their usual names; and how many lines are none."""
    found: list[LogLine] = []
    bad = 0
    for line in lines:
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            bad += 1
            continue
        if not isinstance(record, Mapping) or len(found) >= MAX_LINES:
            bad += 1
            continue
        text = next((str(record[name]) for name in ("line", "message", "msg", "log", "text") if name in record), "")
        source = next((str(record[name]) for name in ("service", "pod", "app", "container", "source") if name in record), "")
        stamp = next((record[name] for name in ("time", "timestamp", "ts", "@timestamp") if isinstance(record.get(name), str)), "")
        at = times.moved(instant_of(stamp))
        found.append(LogLine(text[:MAX_LINE], source, at, str(record.get("namespace", ""))))
    return found, bad


def from_apps(document: Mapping[str, Any], times: Times) -> list[LogLine]:
    """Lines per app: a list, or one text. `app.container` is one of several containers, and what ends in `.previous` is
    what the container before the last restart wrote."""
    found: list[LogLine] = []
    for name, value in document.items():
        app, previous = name.removesuffix(".previous"), name.endswith(".previous")
        source, dot, container = app.partition(".")
        if not dot or source not in document:  # a dot in the app's own name
            source, container = app, ""
        lines = value.split("\n") if isinstance(value, str) else [line for line in value if isinstance(line, str)] if isinstance(value, list) else []
        found += _lines(lines, source, times, container=container, period="previous" if previous else "")
    return found[:MAX_LINES]


def from_text(text: str, source: str, times: Times, *, namespace: str = "", period: str = "") -> list[LogLine]:
    """The lines of a text that one program wrote, or of a cluster dump's log file, which says itself whose they are."""
    starts = list(_DUMP.finditer(text))
    if not starts:
        return _lines(text.split("\n"), source, times, namespace=namespace, period=period)
    found: list[LogLine] = []
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        part = _DUMP_END.sub("", text[start.end() : following.start() if following else len(text)])
        found += _lines(part.split("\n"), start[3], times, namespace=start[2], container=start[1])
    return found[:MAX_LINES]


def _lines(lines: Sequence[str], source: str, times: Times, *, namespace: str = "", container: str = "", period: str = "") -> list[LogLine]:
    found = []
    for line in lines[:MAX_LINES]:
        if not line or line.isspace() or (line[:1] in "DE" and _NO_LOG.match(line)):
            continue
        stamp = _STAMP.match(line) if line[:2] == "20" else None
        at = times.moved(instant_of(stamp[0])) if stamp else None
        found.append(LogLine((line[stamp.end() + 1 :] if stamp else line)[:MAX_LINE].rstrip("\r"), source, at, namespace, container, period))
    return found


# Patterns


def patterns_of(lines: Sequence[LogLine], now: datetime) -> tuple[LogPattern, ...]:
    """Lines that differ only in their values, per source: most urgent level first, most frequent first within, MAX_PATTERNS at most.

    Against the recording's normal time, where it has one. `now` tells the year of times that have none.
    """
    written: dict[Subject, tuple[list[mined.LogLine], list[mined.LogLine]]] = {}
    for line in lines:
        subject = Subject(kind="Service", name=one_line(line.source, 253), namespace=one_line(line.namespace, 63))
        window, normal = written.setdefault(subject, ([], []))
        place = normal if line.period == "normal" else window
        place.append(mined.LogLine(text=line.text, at=line.at.timestamp() if line.at else None))
    has_normal = any(normal for _, normal in written.values())
    found: list[LogPattern] = []
    for subject, (window, normal) in written.items():
        patterns = mine(window, subject=subject, now=now)
        found += compare(patterns, mine(normal, subject=subject, now=now)) if has_normal else patterns
    return tuple(sorted(found, key=lambda pattern: (rank_of(pattern), -pattern.count, pattern.subject.name, pattern.template))[:MAX_PATTERNS])


# Error summaries


def summary_patterns(document: Mapping[str, Any]) -> tuple[LogPattern, ...]:
    """Error lines per app as a recording's own tools counted them: patterns with count and sample, or plain lines per container.

    Values may be JSON, Python's notation of the same, or text that breaks off in the middle: then the text itself is the sample.
    """
    found: list[LogPattern] = []
    for app, value in document.items():
        told = _decoded(value) if isinstance(value, str) else value
        found += _summary(str(app), told)
    found.sort(key=lambda pattern: -pattern.count)
    return tuple(found[:MAX_PATTERNS])


def _decoded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    if len(text) > _MAX_SUMMARY:
        return text
    try:
        with warnings.catch_warnings(action="ignore", category=Warning):  # about the escapes in other people's texts
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return text


def _summary(app: str, told: Any) -> Iterator[LogPattern]:
    if isinstance(told, str) and told.strip():
        yield _error(app, "", told, 1)
    if not isinstance(told, Mapping):
        return
    patterns = told.get("patterns")
    if isinstance(patterns, list):
        for pattern in patterns:
            if isinstance(pattern, Mapping):
                count = pattern.get("count")
                whole = count if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 2**53 else 1
                yield _error(app, "", str(pattern.get("sample") or pattern.get("pattern") or ""), whole, str(pattern.get("pattern") or ""))
        return
    for container, lines in told.items():
        samples = {_masked(str(line)): str(line) for line in lines} if isinstance(lines, list) else {}
        texts = Counter(_masked(str(line)) for line in lines) if isinstance(lines, list) else Counter()
        for template, count in texts.most_common(20):
            yield _error(app, str(container), samples[template], count, template)


def _masked(line: str) -> str:
    return tidy(mask(line[:400]))


def _error(app: str, container: str, sample: str, count: int, template: str = "") -> LogPattern:
    return LogPattern(
        template=redact(one_line(template or _masked(sample), 240)),
        level="error",
        subject=Subject(kind="Service", name=one_line(app, 253), container=one_line(container, 63)),
        count=count,
        count_before=None,
        first_at=None,
        last_at=None,
        sample=redact(one_line(sample, 500)),
    )
