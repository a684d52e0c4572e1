"""kubectl's ages and dates as instants, and the two clocks of a recording."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent_sre.evidence.bundle.times import Times, age_of, captured_at, instant_of
from evidence.bundle.worlds import CAPTURED_AT, text


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        ("0s", timedelta(0)),
        ("119s", timedelta(seconds=119)),
        ("5m59s", timedelta(minutes=5, seconds=59)),
        ("3h20m", timedelta(hours=3, minutes=20)),
        ("5d5h", timedelta(days=5, hours=5)),
        ("2y35d", timedelta(days=765)),
        ("<unknown>", None),
        ("<invalid>", None),
        ("", None),
        ("5", None),
        ("m5", None),
    ],
)
def test_ages(age: str, expected: timedelta | None) -> None:
    assert age_of(age) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Mon, 23 Nov 2026 07:45:00 +0100", CAPTURED_AT),
        ("2026-11-23 07:45:00 +0100 CET", CAPTURED_AT),
        ("2026-11-23T06:45:00Z", CAPTURED_AT),
        ("2026-11-23T06:45:00.000000001Z", CAPTURED_AT),
        ("0001-01-01T00:00:00Z", None),
        ("Mon, 01 Jan 0001 00:00:00 +0000", None),
        ("Mon, 99 Foo 2026 07:45:00 +0100", None),
        ("5m", None),
    ],
)
def test_instants(written: str, expected: datetime | None) -> None:
    assert instant_of(written) == expected


def test_an_age_needs_the_time_of_the_capture() -> None:
    assert Times(captured_at=CAPTURED_AT).ago("5m59s") == "2026-11-23T06:39:01Z"
    assert Times().ago("5m59s") is None
    assert Times(captured_at=CAPTURED_AT).ago("9999y") is None


def test_absolute_times_move_with_the_clock_of_the_recording() -> None:
    moved = Times(captured_at=CAPTURED_AT, shift=timedelta(days=-10))
    assert moved.instant("Mon, 23 Nov 2026 06:45:00 +0000") == "2026-11-13T06:45:00Z"
    assert moved.ago("1m") == "2026-11-23T06:44:00Z"


def test_a_pods_start_and_the_age_of_its_scheduling_tell_when_it_was_described() -> None:
    assert captured_at([text("namespaces/shop/describe-pods.txt"), "NAME   READY"]) == CAPTURED_AT


def test_without_them_a_nodes_lease_tells() -> None:
    assert captured_at([text("nodes.txt")]) == datetime(2026, 11, 23, 6, 44, 55, tzinfo=UTC)
    assert captured_at(["Name:  x"]) is None
