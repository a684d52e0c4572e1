from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence import numbers
from agent_sre.evidence.prometheus.reading import Bar, Reading, beside_alert, clock_text, describe, read, shown_unit, values
from agent_sre.kit.times import parse_instant

END = datetime(2026, 11, 23, 6, 45, tzinfo=UTC)
START = END - timedelta(minutes=90)
STEP = timedelta(seconds=30)
STARTS_AT = END - timedelta(minutes=5)
ABOVE = (Bar(op=">", value=0.9),)


def minutes(ago: float) -> datetime:
    return END - timedelta(minutes=ago)


def points(value: Callable[[datetime], float | None], *, start: datetime = START) -> list[tuple[float, float]]:
    instants = [start + STEP * number for number in range(int((END - start) / STEP) + 1)]
    return [(at.timestamp(), found) for at in instants if (found := value(at)) is not None]


def look(samples: list[tuple[float, float]], bars: tuple[Bar, ...] = ABOVE) -> Reading:
    return read(samples, bars, starts_at=STARTS_AT, start=START, end=END, step=STEP)


def line(samples: list[tuple[float, float]], bars: tuple[Bar, ...] = ABOVE, unit: str = numbers.PLAIN) -> str:
    return describe(look(samples, bars), unit, starts_at=STARTS_AT, start=START, now=END)


def test_a_crossing_is_found_and_told() -> None:
    samples = points(lambda at: 0.93 if at >= minutes(15) else 0.42)
    reading = look(samples)
    assert (reading.breaching, reading.crossed_at) == (True, minutes(15).timestamp())
    assert (reading.current, reading.minimum, reading.maximum, reading.first, reading.hour_ago) == (0.93, 0.42, 0.93, 0.42, 0.42)
    assert line(samples) == "value is 0.93 (threshold > 0.9, crossed 06:30:00Z, 10 min before the alert), was 0.42 one hour ago"


def test_the_breach_in_which_the_alert_fired_counts_not_an_older_one() -> None:
    assert look(points(lambda at: 0.95 if minutes(80) <= at < minutes(70) or at >= minutes(12) else 0.1)).crossed_at == minutes(12).timestamp()


def test_a_breach_from_before_the_window_has_no_crossing() -> None:
    samples = points(lambda _: 1.0)
    assert (look(samples).breaching, look(samples).crossed_at) == (True, None)
    assert line(samples).startswith("value is 1 (threshold > 0.9, crossed before 05:15:00Z)")


def test_a_series_that_began_in_breach_crossed_with_its_first_sample() -> None:
    assert look(points(lambda _: 1.0, start=minutes(20))).crossed_at == minutes(20).timestamp()


def test_a_recovered_value_says_since_when() -> None:
    samples = points(lambda at: 0.95 if minutes(20) <= at < minutes(2) else 0.2)
    reading = look(samples)
    assert (reading.breaching, reading.crossed_at, reading.recovered_at) == (False, minutes(20).timestamp(), minutes(2).timestamp())
    assert "(threshold > 0.9, crossed 06:25:00Z, back since 06:43:00Z)" in line(samples)


def test_a_value_that_never_crossed_says_so() -> None:
    assert line(points(lambda _: 0.2)) == "value is 0.2 (threshold > 0.9, not crossed in this time), was 0.2 one hour ago"


def test_a_series_that_ended_says_when() -> None:
    samples = points(lambda at: 0.95 if at < minutes(8) else None)
    reading = look(samples)
    assert (reading.ended, reading.breaching) == (True, False)
    assert line(samples).startswith("last value was 0.95 (threshold > 0.9")
    assert "no sample since 06:36:30Z" in line(samples)


def test_no_sample_at_all_is_told() -> None:
    assert line([]) == "no sample since 05:15:00Z"
    assert set(values(look([]), "").values()) == {None, "", False, True, ">", 0.9}


def test_holes_end_a_breach_because_in_a_filtered_series_they_are_the_good_times() -> None:
    samples = points(lambda at: 1.0 if minutes(40) <= at < minutes(30) or at >= minutes(10) else None)
    assert look(samples, ()).crossed_at == minutes(10).timestamp()
    assert line(samples, ()) == "value is 1 (present since 06:35:00Z, 5 min before the alert)"


def test_both_bounds_must_hold() -> None:
    bars = (Bar(op=">", value=0.9), Bar(op="<", value=1.0))
    assert look(points(lambda _: 0.95), bars).breaching
    assert not look(points(lambda _: 1.0), bars).breaching


def test_a_moving_threshold_is_compared_point_by_point() -> None:
    spec = {at: 2.0 if at < minutes(10).timestamp() else 5.0 for at, _ in points(lambda _: 0)}
    reading = look(points(lambda _: 3.0), (Bar(op="<", points=spec),))
    assert (reading.crossed_at, reading.threshold) == (minutes(10).timestamp(), 5.0)


def test_an_unknown_threshold_claims_nothing() -> None:
    reading = look(points(lambda _: 3.0), (Bar(op="<", points={}),))
    assert (reading.breaching, reading.threshold, reading.crossed_at) == (False, None, None)
    assert line(points(lambda _: 3.0), (Bar(op="<", points={}),)) == "value is 3, was 3 one hour ago"


def test_infinity_breaks_a_threshold_but_is_no_number_to_compute_with() -> None:
    samples = points(lambda at: math.inf if at >= minutes(15) else math.nan if at >= minutes(30) else 0.3)
    reading = look(samples)
    assert (reading.current, reading.current_text, reading.breaching, reading.maximum) == (None, "+Inf", True, 0.3)
    assert line(samples).startswith("value is +Inf (threshold > 0.9, crossed 06:30:00Z")


def test_a_quotient_is_a_share_only_near_one() -> None:
    assert line(points(lambda _: 0.95), unit=numbers.RATIO).startswith("value is 95 % (threshold > 90 %")
    load = (Bar(op=">", value=2.0),)
    assert line(points(lambda _: 2.5), load, numbers.RATIO).startswith("value is 2.5 (threshold > 2,")
    assert shown_unit(numbers.RATIO, look(points(lambda _: 40.0))) == numbers.PLAIN


def test_a_value_beside_its_threshold_shows_the_difference() -> None:
    assert line(points(lambda _: 0.9004)).startswith("value is 0.9004 (threshold > 0.9")


def test_instants_of_other_days_carry_their_date() -> None:
    assert clock_text(END - timedelta(days=1), END) == "2026-11-22 06:45:00Z"
    assert beside_alert(STARTS_AT, STARTS_AT) == "when the alert fired"
    assert beside_alert(STARTS_AT + timedelta(minutes=2), STARTS_AT) == "2 min after the alert"


def test_the_values_of_the_fact_are_plain_and_complete() -> None:
    found = values(look(points(lambda at: 0.93 if at >= minutes(15) else 0.42)), numbers.RATIO)
    assert parse_instant(found["crossed_at"]) == minutes(15)
    assert {"current", "threshold", "op", "crossed_at", "minimum", "maximum", "first"} <= set(found)
    assert found["unit"] == numbers.RATIO


@pytest.mark.parametrize("op", [">", "<", ">=", "<=", "==", "!="])
@given(samples=st.lists(st.tuples(st.integers(0, 180), st.floats()), max_size=40, unique_by=lambda point: point[0]), limit=st.floats())
@settings(deadline=None)
def test_any_samples_give_a_reading_and_a_sentence(op: str, samples: list[tuple[int, float]], limit: float) -> None:
    series = [(START.timestamp() + STEP.total_seconds() * number, value) for number, value in sorted(samples)]
    reading = look(series, (Bar(op=op, value=limit),))
    assert all(not isinstance(value, float) or math.isfinite(value) for value in values(reading, "").values())
    assert line(series, (Bar(op=op, value=limit),))
