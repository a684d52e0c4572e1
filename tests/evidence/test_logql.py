"""Whatever a label holds, the query has exactly the matchers that were meant: read back by a parser that was not written from ours."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence.loki.logql import Matcher, containing, count, literal, quote, selector
from agent_sre.evidence.loki.source import ERROR_FILTER
from fakes.hostile import HOSTILE
from fakes.logql import LogQuery, ParseError, parse

ANY_TEXT = st.one_of(st.text(), st.sampled_from(HOSTILE), st.text(alphabet="\\\"`'\n\r\t{}=~,|[]()$\x00\ufeff\u2028xnu0"))
NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,20}", fullmatch=True)


def whole(text: str) -> str:
    """What Loki can hold: half a surrogate pair is no character."""
    return "".join("\ufffd" if 0xD800 <= ord(character) <= 0xDFFF else character for character in text)


@given(st.lists(st.tuples(NAMES, ANY_TEXT, st.booleans()), min_size=1, max_size=5), ANY_TEXT)
@settings(max_examples=400, deadline=None)
def test_any_label_value_gives_exactly_the_intended_matchers(wanted: list[tuple[str, str, bool]], text: str) -> None:
    matchers = [Matcher(name="namespace", value="shop"), *(Matcher(name=name, value=literal(value), is_regex=regex) for name, value, regex in wanted)]
    query = selector(matchers)
    expected = tuple((matcher.name, "=~" if matcher.is_regex else "=", whole(matcher.value)) for matcher in matchers)
    assert parse(query) == LogQuery(matchers=expected)
    filtered = containing(query, literal(text))
    assert parse(filtered) == LogQuery(matchers=expected, filters=(("|~", whole(literal(text))),))
    assert parse(count(filtered, timedelta(minutes=5))) == LogQuery(matchers=expected, filters=(("|~", whole(literal(text))),), seconds=300)


@given(ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_a_query_is_one_line_that_shows_everything_in_it(text: str) -> None:
    assert quote(text).isprintable()


@given(ANY_TEXT, ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_a_literal_pattern_matches_its_text_and_nothing_else(text: str, other: str) -> None:
    pattern = re.compile(literal(text), re.DOTALL)
    assert pattern.fullmatch(text)
    assert (pattern.fullmatch(other) is not None) == (text == other)


@pytest.mark.parametrize("name", ["", "a b", 'x="y"', "k8s.pod", "é", "0a", "a\n"])
def test_a_name_that_is_no_label_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a Loki label"):
        Matcher(name=name, value="x")


def test_matchers_choose_streams_as_loki_does() -> None:
    pods = Matcher(name="pod", value=f"{literal('a.b')}-.+", is_regex=True)
    assert pods.fits({"pod": "a.b-1"})
    assert not pods.fits({"pod": "axb-1"})
    assert not pods.fits({"pod": "x-a.b-1"})
    assert not Matcher(name="pod", value="x").fits({})


@pytest.mark.parametrize("text", ['{a="b"', "{}", '{a=""}', '{a="b"} or {c="d"}', '{a="b\n"}', '{a="\\q"}', '{a=~".*"}', 'a="b"'])
def test_the_parser_of_these_tests_is_not_a_lenient_one(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-23T06:40:11Z ERROR boom", "E1123 06:40:14.123456       1 reflector.go:3] boom", "[error] 31#31: boom", "panic: runtime error",
        "java.lang.NullPointerException: x", "KeyError: 'x'", '1.1.1.1 "GET / HTTP/1.1" 503 1', "status=502 x", '{"level":"fatal","msg":"x"}',
        "dial tcp: connection refused", "read: i/o timeout", "kernel: Out of memory: Killed process 42 (java)", "level=crit x", "oom-killed",
        "failed", "could not: permission denied", "java: OutOfMemoryError", "Segmentation fault", "SEVERE x", '{"code": 500}', 'statusCode=504',
    ],
)  # fmt: skip
def test_the_filter_lets_every_error_through(line: str) -> None:
    assert re.search(ERROR_FILTER, line)


@pytest.mark.parametrize(
    "line", ["INFO all good", "took 512 ms", "I1123 06:40:14.123456 1 a.go:3] synced", "preferred interrupts", "user terry logged in"]
)
def test_the_filter_keeps_the_usual_away(line: str) -> None:
    assert not re.search(ERROR_FILTER, line)
