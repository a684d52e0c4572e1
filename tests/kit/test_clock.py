"""Clocks: the one that stands where a recording does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agent_sre.kit.clock import RecordedClock


def test_a_recorded_clock_starts_where_it_is_set_and_goes_on() -> None:
    start = datetime(2026, 11, 23, 6, 45, tzinfo=UTC)
    clock = RecordedClock(start)
    first, second = clock.now(), clock.now()
    assert start <= first <= second < start + timedelta(minutes=1)
    assert clock.monotonic() <= clock.monotonic()
