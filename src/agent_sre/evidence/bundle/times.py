"""The times in kubectl's texts as instants of the API: `5m59s` ago, `Thu, 25 Dec 2025 16:09:20 +0800`, `2026-03-16 22:09:13 +0800 CST`.

A recording can have two clocks: the one that `now` tells, and the one that kubectl's machine had. Where they differ (a recording whose time
was moved), absolute times are moved along, so that everything in a world happened on one time line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_AGE = re.compile(r"(?:(\d{1,4})y)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")
_SECONDS = (31_536_000, 86_400, 3_600, 60, 1)  # kubectl's year has 365 days
_RFC1123 = re.compile(r"[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}:\d{2}:\d{2}) ([+-]\d{2})(\d{2})")
_GO = re.compile(r"(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?:\.\d+)? ([+-]\d{2})(\d{2})(?: \w+)?")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

SAME_CLOCK = timedelta(hours=1)
"""A smaller difference is the time that the capture took, or a clock that is a little off."""


def age_of(text: str) -> timedelta | None:
    """`"5m59s"`, `"5d5h"`, `"59d"`, `"2y35d"` as a duration; None for `<unknown>`, `<invalid>` and everything else."""
    match = _AGE.fullmatch(text)
    if match is None or not text:
        return None
    return timedelta(seconds=sum(int(number) * seconds for number, seconds in zip(match.groups("0"), _SECONDS, strict=True)))


def instant_of(text: str) -> datetime | None:
    """An absolute time as kubectl or the API writes it, as aware UTC; None where it is none, or none that a cluster can have (Go's year 1)."""
    iso = text
    if match := _RFC1123.fullmatch(text):
        if match[2] not in _MONTHS:
            return None
        iso = f"{match[3]}-{_MONTHS.index(match[2]) + 1:02}-{match[1]}T{match[4]}{match[5]}:{match[6]}"
    elif match := _GO.fullmatch(text):
        iso = f"{match[1]}T{match[2]}{match[3]}:{match[4]}"
    elif len(text) < 19 or text[10] != "T":
        return None
    try:
        instant = datetime.fromisoformat(iso)
    except ValueError:
        return None
    if not 1970 < instant.year < 9000:
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def from_seconds(seconds: float) -> datetime | None:
    """Unix seconds as an instant; None where no calendar has them."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def api_time(instant: datetime) -> str:
    """As the API writes it: `2026-03-02T11:54:01Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if instant.year >= 1000 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How to read the times of one capture."""

    captured_at: datetime | None = None  # on the world's time line; None: unknown, and ages say nothing
    shift: timedelta = timedelta(0)  # added to absolute times
    _seen: dict[str, str | None] = field(default_factory=dict, compare=False, repr=False)

    def ago(self, age: str) -> str | None:
        """The instant that is so long before the capture, as the API writes it."""
        if self.captured_at is None:
            return None
        if age not in self._seen:
            span = age_of(age)
            try:
                self._seen[age] = None if span is None else api_time(self.captured_at - span) or None
            except OverflowError:
                self._seen[age] = None
        return self._seen[age]

    def instant(self, text: str) -> str | None:
        """An absolute time on the world's time line, as the API writes it."""
        if text not in self._seen:
            moved = self.moved(instant_of(text))
            self._seen[text] = None if moved is None else api_time(moved) or None
        return self._seen[text]

    def moved(self, instant: datetime | None) -> datetime | None:
        """An instant of kubectl's clock on the world's time line."""
        if instant is None or not self.shift:
            return instant
        try:
            return instant + self.shift
        except OverflowError:
            return None


_POD_START = re.compile(r"^Start Time: +(.+)$", re.MULTILINE)
_SCHEDULED = re.compile(r"^ +Normal +Scheduled +(\S+) ", re.MULTILINE)
_LEASE = re.compile(r"^ +RenewTime: +(.+)$", re.MULTILINE)


def captured_at(texts: list[str]) -> datetime | None:
    """When `describe` was run, by its machine's clock, as its own texts tell: a pod's start, which is an instant, is as old as its scheduling
    event, which is an age. A node's lease, renewed every ten seconds, comes second. None where neither is there.
    """
    pairs: list[tuple[timedelta, datetime]] = []
    leases: list[datetime] = []
    for text in texts:
        if "\nStart Time: " not in text and "RenewTime: " not in text:
            continue
        started, scheduled = _POD_START.search(text), _SCHEDULED.search(text)
        start, age = instant_of(started[1].strip()) if started else None, age_of(scheduled[1]) if scheduled else None
        if start is not None and age is not None and age < timedelta(days=1):
            pairs.append((age, start + age))
        leases += [instant for lease in _LEASE.findall(text) if (instant := instant_of(lease.strip())) is not None]
    if pairs:
        best = sorted(pairs)[:9]  # the younger, the more exact: after ten minutes ages have no seconds any more
        return sorted(instant for _, instant in best)[len(best) // 2]
    return max(leases, default=None)
