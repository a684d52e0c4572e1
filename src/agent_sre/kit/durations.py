"""Durations as Prometheus writes them (`90s`, `5m`, `1h30m`, `2d`) and as people read them (`3 min`, `2 h 5 min`)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")


def parse_duration(text: str) -> timedelta:
    """`"1h30m"` or plain seconds (`"90"`, `"0.5"`) as a timedelta.

    Raises ValueError with a sentence on anything else, negative values included.
    """
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return timedelta(seconds=float(text))
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'"{text[:40]}" is not a duration: write 90s, 5m, 1h30m or 2d')
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def readable(duration: timedelta) -> str:
    """A duration for people, two units at most: `"45 s"`, `"12 min"`, `"2 h 5 min"`, `"3 d 4 h"`. Negative counts as zero."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 60:
        return f"{minutes} min" if whole % 60 == 0 or minutes >= 10 else f"{minutes} min {whole % 60} s"
    if hours < 24:
        return f"{hours} h" if minutes % 60 == 0 else f"{hours} h {minutes % 60} min"
    return f"{days} d" if hours % 24 == 0 else f"{days} d {hours % 24} h"


def ago(instant: datetime, now: datetime) -> str:
    """`"12 min ago"`, `"in 3 min"`, `"just now"` (under a second)."""
    delta = now - instant
    if abs(delta) < timedelta(seconds=1):
        return "just now"
    return f"{readable(delta)} ago" if delta > timedelta(0) else f"in {readable(-delta)}"
