"""Samples with timestamps: the usual line, the unusual one, and what is none."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from agent_sre.evidence.bundle.openmetrics import labels_of, read_matrix, read_text

AT = 1795415400.0
NOW = datetime.fromtimestamp(AT, UTC)


def series(text: str, now: datetime | None = None) -> dict[str, tuple[tuple[float, float], ...]]:
    return {found.labels["__name__"]: found.points for found in read_text(text, now).series}


def test_a_series_is_its_labels_and_its_points() -> None:
    samples = read_text(f'# TYPE cpu gauge\ncpu{{pod="cart-0",node="a b"}} 0.5 {AT}\ncpu{{pod="cart-0",node="a b"}} 1e3 {AT + 30}\n# EOF\n')
    (found,) = samples.series
    assert found.labels == {"__name__": "cpu", "pod": "cart-0", "node": "a b"}
    assert found.points == ((AT, 0.5), (AT + 30, 1000.0))
    assert (samples.lines, samples.bad) == (2, 0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"cpu 1 {AT}", 1.0),
        (f"cpu 1 {AT:.3f}", 1.0),
        (f"cpu 1 {AT * 1000:.0f}", 1.0),  # the older format
        (f"cpu  1   {AT}  ", 1.0),
        (f"cpu\t1\t{AT}", 1.0),
        (f"cpu 1 {AT}\r", 1.0),
        (f"cpu{{}} 1 {AT}", 1.0),
        (f'cpu{{a="x",}} 1 {AT}', 1.0),
        (f'cpu{{a="}} 1 {AT}"}} 2 {AT}', 2.0),
        (f'cpu_bucket{{le="0.5"}} 3 {AT} # {{trace_id="abc"}} 0.4 {AT}', 3.0),
        (f'{{"cpu.total", "a.b"="x"}} 4 {AT}', 4.0),
    ],
)
def test_a_line_may_be_written_in_many_ways(line: str, expected: float) -> None:
    samples = read_text(f"{line}\n")
    assert samples.bad == 0
    assert [found.points for found in samples.series] == [((AT, expected),)]


def test_labels_are_unescaped() -> None:
    assert labels_of(r'cpu{a="x\"y\\z\n"}') == {"__name__": "cpu", "a": 'x"y\\z\n'}
    assert labels_of('{"cpu.total", "a.b"="x", c="y"}') == {"__name__": "cpu.total", "a.b": "x", "c": "y"}
    assert labels_of("no series") is None
    assert labels_of("") is None


def test_bad_lines_are_counted_and_the_first_is_shown() -> None:
    samples = read_text(f"cpu 1 {AT}\nthis is no sample\ncpu x {AT}\n<html>\ncpu 2 {AT + 30}\n")
    assert (samples.lines, samples.bad, samples.first_bad) == (2, 3, "this is no sample")
    assert samples.series[0].points == ((AT, 1.0), (AT + 30, 2.0))


def test_nothing_after_now_is_looked_at() -> None:
    samples = read_text(f"cpu 1 {AT - 30}\ncpu 2 {AT}\ncpu 3 {AT + 30}\nlate 1 {AT + 1}\n", NOW)
    assert samples.series[0].points == ((AT - 30, 1.0), (AT, 2.0))
    assert len(samples.series) == 1
    assert samples.later == 2


def test_points_come_in_order_and_of_two_at_one_instant_the_later_line_counts() -> None:
    text = f'cpu{{a="x",b="y"}} 3 {AT + 60}\ncpu{{a="x",b="y"}} 1 {AT}\ncpu{{b="y",a="x"}} 2 {AT + 30}\ncpu{{b="y",a="x"}} 9 {AT + 60}\n'
    (found,) = read_text(text).series
    assert found.points == ((AT, 1.0), (AT + 30, 2.0), (AT + 60, 9.0))


def test_what_is_no_number_is_missing() -> None:
    assert series(f"cpu NaN {AT}\ncpu +Inf {AT + 1}\ncpu 1 {AT + 2}\nother NaN {AT}\n") == {"cpu": ((AT + 2, 1.0),)}


def test_a_sample_without_a_timestamp_was_taken_when_the_rest_was() -> None:
    untimed = 'cpu{a="x y"} 0.5\nmem 1\n'
    assert read_text(untimed, taken_at=NOW).series[0].points == ((AT, 0.5),)
    unknown = read_text(untimed)
    assert (unknown.series, unknown.untimed) == ((), 2)


def test_answers_of_the_query_api_are_read_too() -> None:
    answer = {
        "status": "success",
        "data": {
            "resultType": "matrix",
            "result": [{"metric": {"__name__": "cpu", "pod": "a"}, "values": [[AT, "0.5"], [AT + 30, "NaN"], [AT + 60, "1"], "junk"]}],
        },
    }
    samples = read_matrix(answer, NOW)
    assert samples is not None
    assert samples.series[0].points == ((AT, 0.5),)
    assert (samples.bad, samples.later) == (1, 1)
    assert read_matrix({"status": "success", "data": {"resultType": "scalar", "result": [AT, "1"]}}) is None
    assert read_matrix({"kind": "List"}) is None
    vector = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [AT, "2"]}, 7]}}
    found = read_matrix(vector)
    assert found is not None
    assert found.series[0].points == ((AT, 2.0),)


def test_a_line_of_a_million_words_costs_no_more_than_its_length() -> None:
    for line in ("a " * 500_000, '{a="b",' * 100_000, "a{" + 'b="c",' * 50_000 + f"}} 1 {AT}", " " * 500_000 + "x"):
        samples = read_text(line)
        assert samples.series == () or math.isfinite(samples.series[0].points[0][1])
