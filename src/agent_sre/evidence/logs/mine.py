"""Lines counted by pattern: what a person would see after an hour of scrolling. No model, no network.

    lines ──flatten──> readable lines ──mask──> masked lines ──count──> LogPattern × n ──compare──> what is new, what has vanished

Lines are written by whoever can make a program log something. So the constant part is what counts; one sample per pattern is kept, cleaned and
redacted, and only ever quoted. Memory is bounded whatever comes: lines are read in batches, and of very many patterns the rare quiet ones go first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import LogPattern
from agent_sre.evidence.logs.levels import LEVELS, level_named, level_of
from agent_sre.evidence.logs.lines import LogLine, flatten, instant_of, program_text, without_time
from agent_sre.evidence.logs.masking import mask, tidy
from agent_sre.kit.redact import redact
from agent_sre.kit.text import both_ends, cut, one_line
from agent_sre.kit.times import parse_instant

MOST_PATTERNS = 500
"""Patterns that are given back; beyond that the masking did not work and nothing would stand out."""

SAMPLE_LIMIT = 500
TEMPLATE_LIMIT = 240

COMPARED_LIMIT = 600
"""Characters by which lines are told apart: more than is shown of any. Of programs that print whole documents the rest took most of the time."""

_MOST_HELD = 5_000
"""Patterns held while counting. Twice as many are tolerated for a moment: about 30 MB, were every line of the longest that is looked at."""

_BATCH_LINES = 16_384
_BATCH_CHARACTERS = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All patterns of some lines, and what there is to say about the whole. `levels` has only levels that occur."""

    patterns: tuple[LogPattern, ...]  # most urgent level first, most frequent first within
    lines: int  # that were counted; empty lines and the inner lines of stack traces are not
    distinct: int  # patterns found, those that were not kept included
    levels: Mapping[str, int]
    cut: str = ""  # one sentence where something was left out


def mine(lines: Iterable[str | LogLine], *, subject: Subject, now: datetime) -> tuple[LogPattern, ...]:
    """The patterns of these lines: most urgent level first, most frequent first within, MOST_PATTERNS at most. No line gives no pattern.

    `count_before` is None: nobody has looked yet, see `compare`. Times are those of the source where it knows them, else the lines' own;
    `now` tells the year of those that have none.
    """
    return survey(lines, subject=subject, now=now).patterns


def survey(lines: Iterable[str | LogLine], *, subject: Subject, now: datetime, most: int = MOST_PATTERNS) -> Survey:
    """`mine`, with counts over the whole and a sentence about what was cut."""
    counter = _Counter(now=now)
    for batch in _batches(lines):
        counter.add(batch)
    levels: dict[str, int] = dict(counter.dropped)
    for group in counter.groups.values():
        levels[group.level] = levels.get(group.level, 0) + group.count
    ranked = sorted(counter.groups.items(), key=lambda item: (LEVELS.index(item[1].level), -item[1].count, item[0]))
    distinct = len(ranked) + counter.dropped_patterns
    return Survey(
        patterns=tuple(_pattern(template, group, subject) for template, group in ranked[:most]),
        lines=sum(levels.values()),
        distinct=distinct,
        levels={level: levels[level] for level in LEVELS if level in levels},
        cut=f"{distinct - most:,} of {distinct:,} patterns were left out, the quietest and rarest." if distinct > most else "",
    )


def compare(window: Sequence[LogPattern], before: Sequence[LogPattern], day_before: Sequence[LogPattern] | None = None) -> tuple[LogPattern, ...]:
    """The window's patterns with their counts in the stretch before it, then those that have vanished (count 0, the times of back then).

    All three must be of the same length and counted alike. `is_new` holds for a pattern that neither stretch had; without `day_before`, one
    that the stretch before did not have. New patterns come first within their level.
    """
    then, yesterday = _count_by_pattern(before), _count_by_pattern(day_before or ())
    seen = [
        replace(
            pattern,
            count_before=then.get(_key(pattern), 0),
            count_day_before=None if day_before is None else yesterday.get(_key(pattern), 0),
        )
        for pattern in window
    ]
    present = {_key(pattern) for pattern in window}
    vanished = [
        replace(
            pattern,
            count=0,
            count_before=pattern.count,
            count_day_before=None if day_before is None else yesterday.get(_key(pattern), 0),
        )
        for pattern in before
        if _key(pattern) not in present
    ]
    ordered = sorted(seen, key=lambda pattern: (rank_of(pattern), not pattern.is_new, -pattern.count, pattern.template))
    return (*ordered, *sorted(vanished, key=lambda pattern: (rank_of(pattern), -(pattern.count_before or 0), pattern.template)))


def _key(pattern: LogPattern) -> tuple[Subject, str]:
    return pattern.subject, pattern.template


def _count_by_pattern(patterns: Sequence[LogPattern]) -> dict[tuple[Subject, str], int]:
    counts: dict[tuple[Subject, str], int] = {}
    for pattern in patterns:  # two that differ only behind the cut look alike
        counts[_key(pattern)] = counts.get(_key(pattern), 0) + pattern.count
    return counts


def rank_of(pattern: LogPattern) -> int:
    """How urgent its level is: 0 for fatal, and last a pattern without a level."""
    return LEVELS.index(pattern.level) if pattern.level in LEVELS else len(LEVELS)


# Counting


@dataclass(slots=True)
class _Group:
    """Lines with one template, while they are being counted."""

    sample: str
    level: str
    count: int = 0
    first: float | None = None
    last: float | None = None

    def see(self, instant: float | None) -> None:
        """One of its lines was written then."""
        if instant is not None:
            self.first = instant if self.first is None else min(self.first, instant)
            self.last = instant if self.last is None else max(self.last, instant)


@dataclass(slots=True)
class _Counter:
    """All groups so far, by template."""

    now: datetime
    groups: dict[str, _Group] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)  # lines by level whose group is no longer held
    dropped_patterns: int = 0

    def add(self, batch: Sequence[str | LogLine]) -> None:
        """Counts some lines."""
        readable = flatten([line if isinstance(line, str) else line[0] for line in batch])
        # Programs repeat themselves word for word but for the time in front: without it, half of what real logs say needs no masking.
        bare = [_compared(without_time(line)) for line in readable]
        places = _places(bare) if isinstance(batch[0], str) else _places_by_time(bare, batch)
        if not places:
            return
        for masked, (count, first, last) in _merged(mask("\n".join(places)).split("\n"), places.values(), batch).items():
            template = tidy(masked)
            group = self.groups.get(template)
            if group is None:
                if not one_line(template, TEMPLATE_LIMIT):
                    continue  # nothing of it can be shown
                sample = readable[first][: 2 * SAMPLE_LIMIT]
                self.groups[template] = group = _Group(sample=sample, level=level_of(template) or _stated_level(batch[first]))
            group.count += count
            for index in (first, last):
                group.see(self._instant(batch[index], readable[index]))
        if len(self.groups) > 2 * _MOST_HELD:
            self._drop()

    def _drop(self) -> None:
        ranked = sorted(self.groups.items(), key=lambda item: (LEVELS.index(item[1].level), -item[1].count))
        for _, group in ranked[_MOST_HELD:]:
            self.dropped[group.level] = self.dropped.get(group.level, 0) + group.count
        self.dropped_patterns += len(ranked) - _MOST_HELD
        self.groups = dict(ranked[:_MOST_HELD])

    def _instant(self, line: str | LogLine, readable: str) -> float | None:
        if isinstance(line, LogLine):
            if line.at is not None:
                return line.at
            line = line.text
        stamp = line[:40].partition(" ")[0] if program_text(line[:60]) != line[:60] else ""
        instant = (parse_instant(stamp) if stamp else None) or instant_of(readable, self.now)
        return None if instant is None else instant.timestamp()


def _compared(line: str) -> str:
    """What lines are told apart by: of a long one its beginning, up to the end of a word, so that no half of a value stands at the end."""
    if len(line) <= COMPARED_LIMIT:
        return line
    start = line[:COMPARED_LIMIT]
    return start.rpartition(" ")[0] or start


def _places(lines: Sequence[str]) -> dict[str, list[int]]:
    """How many there are of each line, and the indices of its first and its last. Runs for every line, so it does no more than that."""
    places: dict[str, list[int]] = {}
    for index, line in enumerate(lines):
        if line:
            place = places.get(line)
            if place is None:
                places[line] = [1, index, index]
            else:
                place[0] += 1
                place[2] = index
    return places


def _places_by_time(lines: Sequence[str], batch: Sequence[str | LogLine]) -> dict[str, list[int]]:
    """`_places` for lines of several streams, one stream behind the other: the earliest and the latest by the source's own time."""
    places: dict[str, list[int]] = {}
    for index, line in enumerate(lines):
        if line:
            place = places.get(line)
            if place is None:
                places[line] = [1, index, index]
            else:
                place[0] += 1
                _widen(place, index, index, batch)
    return places


def _merged(masked_lines: Sequence[str], places: Iterable[list[int]], batch: Sequence[str | LogLine]) -> dict[str, list[int]]:
    """The places of lines that are alike once they are masked, as one."""
    merged: dict[str, list[int]] = {}
    for masked, (count, first, last) in zip(masked_lines, places, strict=True):
        place = merged.get(masked)
        if place is None:
            merged[masked] = [count, first, last]
        else:
            place[0] += count
            _widen(place, first, last, batch)
    return merged


def _widen(place: list[int], first: int, last: int, batch: Sequence[str | LogLine]) -> None:
    """Takes in another first and last line, by the source's time where it knows it, else by their order."""
    if _is_earlier(batch, first, place[1]):
        place[1] = first
    if _is_earlier(batch, place[2], last):
        place[2] = last


def _is_earlier(batch: Sequence[str | LogLine], left: int, right: int) -> bool:
    one, other = batch[left], batch[right]
    if isinstance(one, str) or isinstance(other, str) or one.at is None or other.at is None:
        return left < right
    return one.at < other.at


def _batches(lines: Iterable[str | LogLine]) -> Iterator[list[str | LogLine]]:
    batch: list[str | LogLine] = []
    characters = 0
    for line in lines:
        batch.append(line)
        characters += len(line if isinstance(line, str) else line[0])
        if len(batch) >= _BATCH_LINES or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _stated_level(line: str | LogLine) -> str:
    return "" if isinstance(line, str) else level_named(line.level)


def _pattern(template: str, group: _Group, subject: Subject) -> LogPattern:
    return LogPattern(
        template=redact(both_ends(template, TEMPLATE_LIMIT)),
        level=group.level,
        subject=subject,
        count=group.count,
        count_before=None,
        first_at=_datetime(group.first),
        last_at=_datetime(group.last),
        # redacted before it is cut: half a secret is none that a rule would know
        sample=cut(redact(one_line(group.sample, 2 * SAMPLE_LIMIT)), SAMPLE_LIMIT),
    )


def _datetime(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
