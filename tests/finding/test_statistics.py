"""Curves: what is unusual, and what only looks so."""

from __future__ import annotations

import math

import pytest

from agent_sre.finding.statistics import Floors, compress, quantile, shift, thinned

ONSET = 100_000.0
NONE = Floors(absolute=0.0, relative=0.01)


def curve(before: list[float], after: list[float], step: float = 60.0) -> list[tuple[float, float]]:
    """Values before the window and in it; the window begins three minutes before the onset."""
    split = ONSET - 180
    return [(split - (len(before) - place) * step, value) for place, value in enumerate(before)] + [
        (split + place * step, value) for place, value in enumerate(after)
    ]


def test_a_rise_in_the_minutes_before_the_alert_counts() -> None:
    moved = shift(curve([10, 11, 10, 9, 10] * 6, [50, 52, 55]), ONSET, NONE)
    assert moved is not None
    assert moved.rise > 20
    assert moved.fall == 0


def test_one_wild_point_is_an_outlier_and_two_are_a_fact() -> None:
    one = shift(curve([10, 11, 9] * 8, [10, 90, 10, 10]), ONSET, NONE)
    two = shift(curve([10, 11, 9] * 8, [10, 90, 90, 10]), ONSET, NONE)
    assert one is not None
    assert two is not None
    assert one.rise < 2 < two.rise


def test_a_curve_that_never_moves_does_not_win_with_its_first_small_step() -> None:
    moved = shift(curve([5.0] * 40, [5.001, 5.001, 5.001]), ONSET, Floors(absolute=1.0, relative=0.1))
    assert moved is not None
    assert compress(moved.rise) == 0


def test_one_earlier_incident_in_the_history_does_not_hide_this_one() -> None:
    moved = shift(curve([10.0] * 50 + [90.0] * 4, [90, 91, 92]), ONSET, NONE)
    assert moved is not None
    assert moved.rise > 20


def test_units_do_not_matter() -> None:
    seconds = shift(curve([0.1, 0.11] * 10, [0.5, 0.5, 0.5]), ONSET, Floors(absolute=0.003, relative=0.2))
    milliseconds = shift(curve([100, 110] * 10, [500, 500, 500]), ONSET, Floors(absolute=0.003, relative=0.2), factor=1e-3)
    assert seconds is not None
    assert milliseconds is not None
    assert seconds.rise == pytest.approx(milliseconds.rise)


def test_too_little_history_is_said() -> None:
    moved = shift(curve([1.0, 1.0], [9.0]), ONSET, NONE)
    assert moved is not None
    assert not moved.enough
    assert shift(curve([], [9.0, 9.0]), ONSET, NONE) is None
    assert shift(curve([1.0] * 9, []), ONSET, NONE) is None


def test_what_is_no_number_is_left_out() -> None:
    points = [*curve([1.0] * 9, [math.nan, math.inf]), (math.nan, 1.0), (math.inf, 1.0)]
    assert shift(points, ONSET, NONE) is None


def test_a_curve_by_the_second_is_read_in_steps() -> None:
    assert len(thinned([(float(at), 1.0) for at in range(600)])) == 40
    coarse = [(at * 60.0, 1.0) for at in range(10)]
    assert thinned(coarse) is coarse


def test_quantiles_of_a_sorted_list() -> None:
    assert quantile([1, 2, 3, 4], 0.5) == 2
    assert quantile([7], 0.95) == 7
