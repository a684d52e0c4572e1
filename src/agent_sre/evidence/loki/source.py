"""What the subject's logs say: which errors, since when, and what is said now that was not said before.

    subject ──labels──> whose streams ──lines──> patterns of now ──compare──> new, vanished, known
                                          └─ the same length before, and the same hours of the day before

Of very busy logs an even sample is read: the newest lines of several slices of the time, not the last seconds of it. Counts are then scaled to
what Loki itself counted, and whatever a sample cannot know (that something was not there) is not claimed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from agent_sre.alert.subject import Subject, describe
from agent_sre.evidence.evidence import Data, Evidence, Fact, LogPattern, MetricSeries, Query, SourceHealth, Window
from agent_sre.evidence.logs.lines import LogLine
from agent_sre.evidence.logs.mine import MOST_PATTERNS, Survey, compare, survey
from agent_sre.evidence.loki.client import NAME, LokiClient, Stream
from agent_sre.evidence.loki.labels import Selection, program_of, selections_for
from agent_sre.evidence.loki.logql import containing, count
from agent_sre.evidence.suggested import MAX_BYTES, MOST_SERIES, SUGGESTED, is_log_query, labels_of, sentence
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import readable
from agent_sre.kit.errors import AgentSREError, Rejected
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line
from agent_sre.kit.times import format_instant

T = TypeVar("T")
Other = TypeVar("Other")
Values = dict[str, str | int | float | bool | None]

ERROR_FILTER = (
    r"(?i)\b(err|error|eror|crit|critical|emerg|fatal|panic|severe|exception|fail(ed|ure|s)?|traceback|refused|denied|time[d ]? ?out|unable to|cannot"
    r"|caused by|segfault|segmentation fault|core dumped|oom-?killed|out of memory|alert)\b|errors?\b|exception\b|panic:"
    r'|(status|code)(_?code)?["\']?[=: ]+5[0-9]{2}\b|HTTP/[0-9.]+"?["\']?[=: ]+5[0-9]{2}\b|" 5[0-9]{2}\b|^[EF][0-9]{4} [0-9:.]+ '
)
"""RE2. Lets through more than errors, so that Loki need not send everything; what is an error is decided here, line by line (logs/levels.py)."""

MAX_PATTERNS = 40
MAX_ERROR_PATTERNS = 20
MAX_ERROR_LINES = 2_000
MAX_POINTS = 120
MOST_LINES = 500
"""Lines that a suggested query may return. They are only counted, and the last one is shown."""

_BEFORE_ONSET = timedelta(minutes=30)
_LONGEST_ERRORS = timedelta(hours=6)
_SHORTEST, _LONGEST = timedelta(minutes=15), timedelta(hours=1)
"""Of the stretch whose patterns are compared: short enough to be read whole mostly, long enough to hold what happens every few minutes."""

_LEAD = timedelta(minutes=10)
"""An alert comes late: its `for`, the scrape, the evaluation."""

_DAY = timedelta(days=1)
_SLICES = 8
_SURE = 3
"""Lines of a pattern that a sample should have had, before its absence means something."""

_MANY_OWNERS = 12
_LABELS_FOR = timedelta(minutes=10)


class LokiSource:
    """Evidence from one Loki. Kinds of query: errors, patterns, suggested (docs/reference/evidence.md)."""

    name = NAME
    language = "logql"

    def __init__(self, client: LokiClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._labels: frozenset[str] = frozenset()
        self._labels_until = 0.0  # Clock.monotonic()
        self._asking_labels = asyncio.Lock()
        self._fetch_by_kind: dict[str, Callable[[Query, Incident], Awaitable[Evidence]]] = {
            "errors": self._fetch_errors,
            "patterns": self._fetch_patterns,
            SUGGESTED: self._fetch_suggested,
        }

    def plan(self, incident: Incident, now: datetime) -> tuple[Query, ...]:
        """Both kinds, about the incident's subject. The expression is a guess: which labels this Loki has is only known when it is asked."""
        onset = min(min(alert.starts_at for alert in incident.alerts), now)
        guess = selections_for(incident.subject, ("namespace", "pod", "container", "app", "node_name"))
        query = guess[0].query if guess else f"the log of {describe(incident.subject)}"
        language = "logql" if guess else ""
        errors = max(onset - _BEFORE_ONSET, now - _LONGEST_ERRORS)
        patterns = now - min(max(now - onset + _LEAD, _SHORTEST), _LONGEST)
        return (
            Query(
                id="",
                source=NAME,
                kind="errors",
                expression=containing(query, ERROR_FILTER) if guess else f"errors in {query}",
                purpose="which errors it logs, and since when",
                language=language,
                window=Window(start=errors, end=now, step=_step(now - errors)),
            ),
            Query(
                id="",
                source=NAME,
                kind="patterns",
                expression=query,
                purpose="what it logs now that it did not log before",
                language=language,
                window=Window(start=patterns, end=now, step=now - patterns),
            ),
        )

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        """The answer. The evidence's query is the one that really ran, with this Loki's own labels.

        Raises AgentSREError as the client does, and Rejected (`reason` "no_labels") where nothing says whose log to read.
        """
        began = self._clock.monotonic()
        evidence = await self._fetch_by_kind[query.kind](query, incident)
        return replace(evidence, collected_at=self._clock.now(), took=timedelta(seconds=self._clock.monotonic() - began))

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109  (the bound is the caller's, as in LanguageModel.check)
        """What a real query finds now. Never raises."""
        return await self._client.check(timeout)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    # Whose log

    async def _selection(self, subject: Subject, window: Window) -> Selection:
        """The most exact way to select the subject's log that has streams in this time."""
        known = await self._known_labels(window)
        ways = selections_for(subject, known)
        if not ways:
            shown = ", ".join(sorted(one_line(name, 40) for name in known)[:12])
            raise Rejected(f"None of the labels of this Loki ({shown}) says which log is that of {describe(subject)}.", reason="no_labels")
        exact = [way for way in ways if not way.is_wide] or list(ways)
        if len(ways) == 1:
            return ways[0]
        streams = await self._client.series([way.query for way in exact], window.start, window.end)
        found = next((way for way in exact if any(way.fits(labels) for labels in streams)), None)
        # no streams of its own: what is said around it, and else the most exact question, whose answer is that there is nothing
        return found or next((way for way in ways if way.is_wide), ways[0])

    async def _known_labels(self, window: Window) -> frozenset[str]:
        async with self._asking_labels:  # both kinds ask at once; one call will do
            if self._clock.monotonic() >= self._labels_until:
                labels = await self._client.labels(window.end - _DAY, window.end)
                if not labels:
                    raise Rejected("This Loki has no logs of the last day for us; is AGENT_SRE_LOKI_TENANT right?", reason="no_labels")
                self._labels, self._labels_until = labels, self._clock.monotonic() + _LABELS_FOR.total_seconds()
            return self._labels

    # Errors

    async def _fetch_errors(self, query: Query, incident: Incident) -> Evidence:
        window, onset = _window(query), _onset(incident)
        selection = await self._selection(incident.subject, window)
        expression = containing(selection.query, ERROR_FILTER)
        limit = min(MAX_ERROR_LINES, self._client.max_lines)
        read, (series,) = await _beside_it(
            self._read(expression, window.start, window.end, limit=limit), _unless_it_fails(self._curve(expression, window))
        )
        found = await asyncio.to_thread(_patterns_of, read, selection, incident.subject, self._clock.now(), MOST_PATTERNS)
        errors = [pattern for pattern in found.patterns if pattern.level in ("fatal", "error")]
        facts: list[Data] = [_reach_fact(selection), *_read_facts(read)]
        ran = replace(query, expression=expression, language="logql")
        if not errors:
            whole = "sample of the log" if read.is_sample else "log"
            return _evidence(
                ran, incident, (), f"no error line in the {whole} of {_reach(selection)} since {_clock(window.start)}", truncated=read.is_sample
            )
        total = sum(pattern.count for pattern in errors)
        first = min((pattern.first_at for pattern in errors if pattern.first_at), default=None)
        last = max((pattern.last_at for pattern in errors if pattern.last_at), default=None)
        about = "about " if read.is_sample else ""
        line = f"{about}{total:,} error {_plural(total, 'line')} of {len(errors)} {_plural(len(errors), 'kind')} since {_clock(window.start)}"
        if first is not None and not read.is_sample:
            line += f", the first at {_clock(first)}, {_beside(first, onset)}"
        loudest = max(errors, key=lambda pattern: pattern.count)
        values: Values = {
            "total": total, "patterns": len(errors), "first_at": format_instant(first) if first else None,
            "last_at": format_instant(last) if last else None, "estimated": read.is_sample,
        }  # fmt: skip
        data: tuple[Data, ...] = (Fact(name="errors", text=line, values=values), *facts, *(series or ()), *errors[:MAX_ERROR_PATTERNS])
        truncated = read.is_sample or len(errors) > MAX_ERROR_PATTERNS
        return _evidence(ran, incident, data, f"{line}; most often: {one_line(loudest.template, 160)}", truncated=truncated)

    async def _curve(self, expression: str, window: Window) -> tuple[MetricSeries, ...]:
        """How many lines of the filter each step had. A step without any has 0: Loki leaves it out, and a curve would have a hole there."""
        step, end = window.step.total_seconds(), window.end.timestamp()
        number = int((window.end - window.start) / window.step)
        answer = await self._client.counts(count(expression, window.step), window.end - window.step * (number - 1), window.end, window.step)
        by_step: dict[int, float] = {}  # counted back from the end; a Loki that moves steps to round times moves them by less than one
        for series in answer:
            for at, value in series.points:
                place = round((end - at) / step)
                by_step[place] = by_step.get(place, 0.0) + value
        points = tuple((end - place * step, by_step.get(place, 0.0)) for place in reversed(range(min(number, MAX_POINTS))))
        return (MetricSeries(labels={}, points=points),) if by_step and points else ()

    # Patterns

    async def _fetch_patterns(self, query: Query, incident: Incident) -> Evidence:
        window = _window(query)
        selection = await self._selection(incident.subject, window)
        length, subject, now = window.end - window.start, incident.subject, self._clock.now()
        expression, limit = selection.query, self._client.max_lines
        read, (before, yesterday) = await _beside_it(
            self._read(expression, window.start, window.end, limit=limit),
            _unless_it_fails(self._read(expression, window.start - length, window.start, limit=limit)),
            _unless_it_fails(self._read(expression, window.start - _DAY, window.end - _DAY, limit=limit)),
        )

        def mined(some: _Read) -> Survey:
            return _patterns_of(some, selection, subject, now, MOST_PATTERNS * 10)

        found = await asyncio.to_thread(mined, read)
        then = None if before is None else await asyncio.to_thread(mined, before)
        day_before = None if yesterday is None else await asyncio.to_thread(mined, yesterday)
        ran = replace(query, expression=expression, language="logql")
        facts: list[Data] = [_reach_fact(selection), *_read_facts(read)]
        if not (found.lines or (then and then.lines)):
            return _evidence(ran, incident, (), f"no line in the log of {_reach(selection)} since {_clock(window.start)}, nor just before")
        if then is None or before is None or not then.lines:
            patterns = found.patterns
            facts.append(Fact(name="comparison", text=_why_not_compared(then, length), values={"compared": False}))
        else:
            compared = compare(found.patterns, then.patterns, day_before.patterns if day_before and day_before.lines else None)
            patterns = _that_samples_can_know(compared, read.coverage, min(before.coverage, yesterday.coverage if yesterday else 1.0))
        new = [pattern for pattern in patterns if pattern.is_new]
        vanished = [pattern for pattern in patterns if pattern.has_vanished]
        kept = _most_telling(patterns, new, vanished)
        line = f"{found.lines:,} lines of {found.distinct} {_plural(found.distinct, 'kind')} in the last {readable(length)}"
        if then is not None and then.lines:
            line += f" ({then.lines:,} in the stretch before): {len(new)} new, {len(vanished)} vanished"
        values: Values = {
            "lines": found.lines, "lines_before": then.lines if then else None, "distinct": found.distinct, "new": len(new),
            "vanished": len(vanished), "estimated": read.is_sample or bool(before and before.is_sample),
        }  # fmt: skip
        summary = line + (f"; new: {one_line(new[0].template, 160)}" if new else "")
        data: tuple[Data, ...] = (Fact(name="patterns", text=line, values=values), *facts, *kept)
        truncated = read.is_sample or len(kept) < len(patterns) or bool(found.cut)
        return _evidence(ran, incident, data, summary, truncated=truncated)

    # What a playbook suggests

    async def _fetch_suggested(self, query: Query, incident: Incident) -> Evidence:
        """A playbook's query, as it stands. Raises Rejected ("no_labels") where it selects by labels that this Loki does not have."""
        now = self._clock.now()
        if is_log_query(query.expression):
            window = _window(query)
            streams = await self._client.lines(query.expression, window.start, window.end, limit=min(MOST_LINES, self._client.max_lines))
            lines = sorted((line for stream in streams for line in stream.lines), key=lambda line: line.at or 0.0)
            if lines:
                return _lines_told(query, incident, lines, min(MOST_LINES, self._client.max_lines), window)
            await self._refuse_unknown_labels(query.expression, window)
            return _evidence(query, incident, (), f"nothing: no such line since {_clock(window.start)}")
        series = await self._client.values(query.expression, now, max_body_bytes=MAX_BYTES)
        found = [(item.labels, item.points[-1][1]) for item in series if item.points]
        if not found:
            await self._refuse_unknown_labels(query.expression, Window(start=now - _DAY, end=now, step=_DAY))
            return _evidence(query, incident, (), "nothing: no line to count")
        told = sentence(found[:MOST_SERIES], query.expression, "", known=incident.lead.labels, is_cut=len(found) > MOST_SERIES)
        return _evidence(query, incident, told.facts, told.summary, truncated=told.truncated)

    async def _refuse_unknown_labels(self, expression: str, window: Window) -> None:
        """Says so where an empty answer is no wonder, because no stream has such labels. A server that cannot tell is believed."""
        known = await _unless_it_fails(self._known_labels(window))
        missing = sorted(labels_of(expression) - known) if known else []
        if missing:
            names = ", ".join(one_line(name, 60) for name in missing[:4])
            raise Rejected(f"This Loki has no label {names}, so the playbook's query cannot find anything here.", reason="no_labels")

    # Reading

    async def _read(self, expression: str, start: datetime, end: datetime, *, limit: int) -> _Read:
        """The lines of this time: all of them, or an even sample where there are more than `limit`."""
        streams = await self._client.lines(expression, start, end, limit=limit)
        lines = _line_count(streams)
        if lines < limit:
            return _Read(streams=streams, lines=lines, total=lines)
        width = (end - start) / _SLICES
        slices = [(start + width * number, start + width * (number + 1)) for number in range(_SLICES)]
        total, samples = await _beside_it(
            _unless_it_fails(self._client.count(count(expression, end - start), end)),
            *(self._client.lines(expression, left, right, limit=max(1, limit // _SLICES)) for left, right in slices),
        )
        streams = tuple(stream for sample in samples for stream in sample)
        lines = _line_count(streams)
        return _Read(streams=streams, lines=lines, total=None if total is None else max(lines, total))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What was read of one stretch of time, and how much there is. `total` is None where Loki would not count."""

    streams: tuple[Stream, ...]
    lines: int
    total: int | None

    @property
    def coverage(self) -> float:
        """The share that was read; 0 where nobody knows."""
        return 0.0 if self.total is None else 1.0 if not self.total else self.lines / self.total

    @property
    def is_sample(self) -> bool:
        return self.total is None or self.lines < self.total


def _patterns_of(read: _Read, selection: Selection, subject: Subject, now: datetime, most: int) -> Survey:
    """The patterns of what was read, counts scaled to what there is. In a log of many, each program's lines are its own."""
    groups: dict[Subject, list[Stream]] = {}
    for stream in read.streams:
        owner = _owner(stream.labels, subject) if selection.is_wide else subject
        groups.setdefault(owner if owner in groups or len(groups) < _MANY_OWNERS else subject, []).append(stream)
    surveys = [survey((line for stream in streams for line in stream.lines), subject=owner, now=now, most=most) for owner, streams in groups.items()]
    factor = 1 / read.coverage if read.coverage else 1.0
    levels: dict[str, int] = {}
    for item in surveys:
        for level, number in item.levels.items():
            levels[level] = levels.get(level, 0) + number
    patterns = [replace(pattern, count=round(pattern.count * factor)) for item in surveys for pattern in item.patterns]
    order = {level: number for number, level in enumerate(("fatal", "error", "warning", "info", "debug", ""))}
    return Survey(
        patterns=tuple(sorted(patterns, key=lambda pattern: (order[pattern.level], -pattern.count))),
        lines=round(sum(item.lines for item in surveys) * factor),
        distinct=sum(item.distinct for item in surveys),
        levels=levels,
        cut=next((item.cut for item in surveys if item.cut), ""),
    )


def _owner(labels: Mapping[str, str], subject: Subject) -> Subject:
    program = one_line(program_of(labels), 120)
    return Subject(kind="Service", name=program, namespace=subject.namespace, cluster=subject.cluster) if program else subject


def _that_samples_can_know(patterns: Sequence[LogPattern], coverage: float, coverage_before: float) -> tuple[LogPattern, ...]:
    """Without what a sample cannot know: that something rare was absent."""
    known: list[LogPattern] = []
    for pattern in patterns:
        if pattern.count and pattern.count_before == 0 and coverage_before < 1 and pattern.count * coverage_before < _SURE:
            known.append(replace(pattern, count_before=None, count_day_before=None))
        elif not (pattern.has_vanished and coverage < 1 and (pattern.count_before or 0) * coverage < _SURE):
            known.append(pattern)
    return tuple(known)


def _most_telling(patterns: Sequence[LogPattern], new: Sequence[LogPattern], vanished: Sequence[LogPattern]) -> tuple[LogPattern, ...]:
    """MAX_PATTERNS of them, in their order: half may be new, a quarter may have vanished, the rest are the most urgent and most frequent."""
    chosen = {id(pattern) for pattern in (*new[: MAX_PATTERNS // 2], *vanished[: MAX_PATTERNS // 4])}
    rest = [pattern for pattern in patterns if id(pattern) not in chosen and not pattern.has_vanished]
    chosen |= {id(pattern) for pattern in rest[: MAX_PATTERNS - len(chosen)]}
    return tuple(pattern for pattern in patterns if id(pattern) in chosen)


# Words


def _lines_told(query: Query, incident: Incident, lines: Sequence[LogLine], limit: int, window: Window) -> Evidence:
    """How many lines there are, and the last of them. `lines` is not empty, newest last."""
    is_cut = len(lines) >= limit
    last = lines[-1]
    at = datetime.fromtimestamp(last.at, UTC) if last.at is not None else None
    text = one_line(redact(one_line(last.text, 1_000)), 300)
    line = f"{len(lines):,} {_plural(len(lines), 'line')}{' or more' if is_cut else ''} since {_clock(window.start)}, the last"
    summary = f"{line} at {_clock(at)}: “{text}”" if at else f"{line}: “{text}”"
    values: Values = {"lines": len(lines), "last_at": format_instant(at) if at else None, "counted_all": not is_cut}
    return _evidence(query, incident, (Fact(name="lines", text=summary, values=values),), summary, truncated=is_cut)


def _reach_fact(selection: Selection) -> Fact:
    return Fact(
        name="reach",
        text=f"read was the log of {_reach(selection)}: {one_line(selection.query, 300)}",
        values={"reach": selection.reach, "wide": selection.is_wide, "selector": selection.query},
    )


def _reach(selection: Selection) -> str:
    return f"{selection.reach}, with others' logs in it" if selection.is_wide else selection.reach


def _read_facts(read: _Read) -> list[Fact]:
    if not read.is_sample:
        return []
    whole = "more than that" if read.total is None else f"{read.total:,}"
    scaled = "counts are of what was read" if read.total is None else "counts are estimates"
    text = f"{read.lines:,} lines were read of {whole}, spread over the time: {scaled}"
    return [Fact(name="sample", text=text, values={"read": read.lines, "total": read.total})]


def _why_not_compared(then: Survey | None, length: timedelta) -> str:
    if then is None:
        return "the stretch before could not be read, so nothing can be called new"
    return f"nothing was logged in the {readable(length)} before, so nothing can be called new"


def _evidence(query: Query, incident: Incident, data: Iterable[Data], summary: str, *, truncated: bool = False) -> Evidence:
    return Evidence(
        id=query.id,
        query=query,
        subject=incident.subject,
        data=tuple(data),
        summary=one_line(summary, 600),
        collected_at=datetime.now(UTC),
        took=timedelta(0),
        truncated=truncated,
    )


def _clock(instant: datetime) -> str:
    return format(instant.astimezone(UTC), "%H:%M:%SZ")


def _beside(instant: datetime, onset: datetime) -> str:
    apart = instant - onset
    if abs(apart) < timedelta(seconds=1):
        return "as the alert began"
    return f"{readable(abs(apart))} {'before' if apart < timedelta(0) else 'after'} the alert"


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


# Times


def _onset(incident: Incident) -> datetime:
    return min(alert.starts_at for alert in incident.alerts)


def _step(length: timedelta) -> timedelta:
    """At most MAX_POINTS of them in the time, in whole seconds, not finer than 15 s."""
    return timedelta(seconds=max(15, -(-int(length.total_seconds()) // MAX_POINTS)))


def _window(query: Query) -> Window:
    if query.window is None:  # `plan` gives every query one
        raise Rejected(f'The query "{query.kind}" needs a time window.')
    return query.window


def _line_count(streams: Iterable[Stream]) -> int:
    return sum(len(stream.lines) for stream in streams)


async def _unless_it_fails(call: Awaitable[T]) -> T | None:
    """The result of a call that the answer can do without."""
    try:
        return await call
    except AgentSREError:
        return None


async def _beside_it(call: Awaitable[T], *others: Awaitable[Other]) -> tuple[T, list[Other]]:
    """All results, asked for at once; the first failure cancels the rest."""
    first, rest = asyncio.ensure_future(call), [asyncio.ensure_future(other) for other in others]
    try:
        await asyncio.gather(first, *rest)
        return first.result(), [task.result() for task in rest]
    finally:
        for task in (first, *rest):
            task.cancel()
