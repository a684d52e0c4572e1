"""Instants at the doors: RFC 3339 in, RFC 3339 out, aware UTC in between."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_instant(text: object) -> datetime | None:
    """An RFC 3339 text as aware UTC, or None where it says nothing.

    None for what is not text, empty, unreadable, or Go's zero time (year 1), which Alertmanager sends as the `endsAt` of what still fires.
    A text without an offset is taken as UTC. Digits behind the microsecond are cut.
    """
    if not isinstance(text, str) or not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    if instant.year <= 1:  # `.astimezone` overflows on year 1 west of UTC
        return None
    try:
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError:
        return None


def format_instant(instant: datetime) -> str:
    """Aware UTC as `2026-11-23T06:40:11.312000Z`: fixed width, so that texts sort as instants do."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
