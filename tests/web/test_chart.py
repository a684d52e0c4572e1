"""Charts: what is drawn is what was measured."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence.evidence import MetricSeries
from agent_sre.evidence.numbers import UNITS
from agent_sre.web.chart import MAX_SERIES, sparkline
from fakes.dom import elements, text
from fakes.hostile import HOSTILE

_START = datetime(2026, 11, 23, 6, 0, tzinfo=UTC).timestamp()


def _series(*values: float | None, step: float = 30, labels: dict[str, str] | None = None) -> MetricSeries:
    points = tuple((_START + number * step, value) for number, value in enumerate(values) if value is not None)
    return MetricSeries(labels=labels or {}, points=points)


def _paths(html: str, kind: str = "curve") -> list[str]:
    return [
        element.attribute("d") or "" for element in elements(html) if element.tag == "path" and (element.attribute("class") or "").split()[0] == kind
    ]


def _draw(*series: MetricSeries, threshold: float | None = None, fired: float | None = None, unit: str = "") -> str:
    fired_at = None if fired is None else datetime.fromtimestamp(_START + fired, UTC)
    return sparkline(series, threshold=threshold, fired_at=fired_at, unit=unit)


def test_a_line_goes_through_every_point_in_scale() -> None:
    assert _paths(_draw(_series(0, 10, 5))) == ["M0.0 100.0L500.0 0.0L1000.0 50.0"]


def test_a_gap_in_the_data_breaks_the_line() -> None:
    (path,) = _paths(_draw(_series(1, 2, 3, None, None, 3, 2)))
    assert path.count("M") == 2
    assert path.count("L") == 3


def test_a_value_that_is_not_a_number_breaks_the_line() -> None:
    (path,) = _paths(_draw(_series(1, 2, math.nan, 3, math.inf, 2, 1)))
    assert path.count("M") == 3


def test_a_lonely_point_is_a_dot() -> None:
    (path,) = _paths(_draw(_series(1, 2, 3, None, None, 3, None, None, 2, 1)))
    assert "h.01" in path


def test_nothing_to_draw_gives_nothing() -> None:
    assert _draw() == ""
    assert _draw(_series()) == ""
    assert _draw(_series(math.nan, math.inf)) == ""


def test_one_point_or_a_flat_line_is_drawn_inside_the_plot() -> None:
    for values in ((5.0,), (5.0, 5.0), (0.0, 0.0), (-3.0, -3.0)):
        (path,) = _paths(_draw(_series(*values)))
        assert all(0 <= float(y) <= 100 for y in re.findall(r"[ML][\d.]+ ([\d.-]+)", path))


def test_the_threshold_is_a_dashed_line_at_its_height_and_in_the_legend() -> None:
    html = _draw(_series(0, 1, 2), threshold=4.0)
    line = next(element for element in elements(html) if element.tag == "line" and element.attribute("class") == "threshold")
    assert line.attribute("stroke-dasharray") == "6 4"
    assert line.attribute("y1") == "0.0"
    assert "threshold 4" in text(html)


def test_the_firing_time_is_shaded_up_to_the_right_edge() -> None:
    html = _draw(_series(0, 1, 2, 3, 4), fired=90)
    shade = next(element for element in elements(html) if element.tag == "rect")
    assert (shade.attribute("x"), shade.attribute("width")) == ("750.0", "250.0")
    assert "firing since 06:01" in text(html)


def test_a_firing_before_the_first_point_shades_everything_and_one_after_the_last_nothing() -> None:
    before = next(element for element in elements(_draw(_series(0, 1), fired=-600)) if element.tag == "rect")
    assert (before.attribute("x"), before.attribute("width")) == ("0.0", "1000.0")
    assert not [element for element in elements(_draw(_series(0, 1), fired=600)) if element.tag == "rect"]


def test_axis_labels_are_round_numbers_in_the_unit() -> None:
    def labels(html: str) -> list[str]:
        return re.findall(r'dy=".32em" text-anchor="end">([^<]*)<', html)

    assert labels(_draw(_series(50 * 1024**2, 250 * 1024**2), unit="bytes")) == ["0 B", "128 MiB", "256 MiB"]
    assert labels(_draw(_series(0.002, 0.31), unit="ratio")) == ["0 %", "20 %", "40 %"]
    assert labels(_draw(_series(1180, 1490))) == ["1,000", "1,200", "1,400", "1,600"]


def test_no_more_than_five_series_are_drawn_and_the_rest_is_counted() -> None:
    html = _draw(*(_series(number, number + 1, labels={"pod": f"p{number}"}) for number in range(8)))
    assert len(_paths(html)) == MAX_SERIES
    assert "3 more not drawn" in text(html)


def test_series_are_named_by_what_tells_them_apart() -> None:
    html = _draw(_series(1, labels={"job": "a", "pod": "x"}), _series(2, labels={"job": "a", "pod": "y"}))
    assert "pod=x" in text(html)
    assert "pod=y" in text(html)
    assert "job=" not in text(html)


def test_peaks_survive_the_thinning_of_a_long_series() -> None:
    values = [1.0] * 11_000
    values[7_777] = 9.0
    (path,) = _paths(_draw(_series(*values)))
    assert len(path) < 20_000
    assert min(float(y) for y in re.findall(r" ([\d.]+)", path)) == pytest.approx(10, abs=10)


def test_a_reader_who_cannot_see_gets_the_numbers() -> None:
    svg, title, *_ = [element for element in elements(_draw(_series(1, 3, 2), threshold=2.5)) if element.tag in ("svg", "title")]
    assert svg.attribute("role") == "img"
    assert title.depth == svg.depth + 1
    assert "lowest 1, highest 3, last 2, threshold 2.5" in text(_draw(_series(1, 3, 2), threshold=2.5))


@pytest.mark.parametrize("source", HOSTILE)
def test_hostile_labels_change_no_element(source: str) -> None:
    def shape(word: str, other: str) -> list[tuple[str, tuple[str, ...]]]:
        html = _draw(_series(1, 2, labels={word: word}), _series(2, 1, labels={word: other}))
        return [(element.tag, tuple(name for name, _ in element.attributes)) for element in elements(html)]

    assert shape(source, source + "2") == shape("x", "y")


@given(
    st.lists(st.lists(st.tuples(st.floats(-1e12, 1e12), st.floats(allow_nan=True)), max_size=20), max_size=4),
    st.none() | st.floats(),
    st.sampled_from(UNITS),
)
@settings(max_examples=150, deadline=None)
def test_any_numbers_give_a_chart_with_finite_coordinates_and_no_style(
    series: list[list[tuple[float, float]]], threshold: float | None, unit: str
) -> None:
    html = sparkline([MetricSeries(labels={}, points=tuple(sorted(points))) for points in series], threshold=threshold, fired_at=None, unit=unit)
    for element in elements(html):
        assert element.attribute("style") is None
        for name in ("d", "x", "y", "x1", "x2", "y1", "y2", "width"):
            assert not re.search(r"nan|inf", element.attribute(name) or "")
