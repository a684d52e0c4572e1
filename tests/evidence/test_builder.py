"""Whatever a name or a value is, the selector that comes out has exactly the intended matchers."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import promql_parser
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_sre.evidence.prometheus.builder import Matcher, aggregate, equals, escape, join_any, label, one_of, pods_of, rate, select

HOSTILE = 'a"} or up{x="\\\n`$1'

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)
some_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
label_names = st.one_of(st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,9}", fullmatch=True), some_text).filter(lambda name: name != "__name__")
metric_names = st.one_of(st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,9}", fullmatch=True), some_text)
OPS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}


def selectors_of(expression: str) -> list[set[tuple[str, str, str]]]:
    """Name, operator and value of every matcher of every selector, as the parser reads them; the metric as `__name__`."""
    found: list[set[tuple[str, str, str]]] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            matchers = {(matcher.name, OPS[str(matcher.op)], matcher.value) for matcher in node.matchers.matchers}
            found.append(matchers | ({("__name__", "=", node.name)} if node.name else set()))
        return True

    promql_parser.walk(promql_parser.parse(expression), pre_visit=visit)
    return found


@given(metric=metric_names, name=label_names, value=some_text, other=texts)
@example(metric="up", name="pod", value='"} or up{a="', other="`")
@example(metric="on", name="by", value=HOSTILE, other="\\")
@example(metric="a.b", name='x"y', value="\ufffd", other="\u2028\u202e\x7f\x00")
@example(metric="offset", name="le", value="\\n", other="$$")
@settings(max_examples=100)
def test_any_name_and_any_value_give_exactly_the_intended_matchers(metric: str, name: str, value: str, other: str) -> None:
    matchers = (equals(name, value), Matcher(name="pod", op="!=", value=other))
    intended = {(name, "=", value), ("pod", "!=", other), ("__name__", "=", metric)}
    for expression in (
        select(metric, matchers),
        rate(metric, matchers, timedelta(minutes=3)),
        aggregate("sum", ("pod", "le"), select(metric, matchers)),
    ):
        assert selectors_of(expression) == [intended]
        assert "\ufffd" not in expression  # Prometheus' lexer would call it broken
        assert "\n" not in expression


@given(values=st.lists(some_text, min_size=1, max_size=5))
@example(values=["a|b", "(", "[", "a.b", "\\", "*", "{2}", "^$", "-"])
@settings(max_examples=100)
def test_one_of_fits_each_of_its_texts_and_nothing_else(values: list[str]) -> None:
    (matchers,) = selectors_of(select("up", (one_of("pod", values),)))
    pattern = next(value for name, op, value in matchers if name == "pod" and op == "=~")
    for value in values:
        assert re.fullmatch(pattern, value)
    assert not re.fullmatch(pattern, "".join(values) + "x")


@given(text=some_text)
def test_an_escaped_text_is_a_regular_expression_of_itself_only(text: str) -> None:
    assert re.fullmatch(escape(text), text)
    assert select("up", (Matcher(name="a", op="=~", value=escape(text)),))


def test_the_pods_of_a_workload_are_its_name_with_something_behind_a_dash() -> None:
    pattern = pods_of("pod", ["cart", "web.1"]).value
    assert all(re.fullmatch(pattern, pod) for pod in ("cart", "cart-0", "cart-7f9c6d5b8c-k2x9p", "web.1-0"))
    assert not any(re.fullmatch(pattern, pod) for pod in ("cartx-0", "my-cart-0", "web11-0"))


@given(first=some_text, second=some_text)
@example(first="$1", second='") or vector(1) #')
@settings(max_examples=100)
def test_any_value_is_one_string_of_the_join(first: str, second: str) -> None:
    joined = join_any("sum by(pod) (x > 1)", [{"pod": first}, {"pod": second}])
    strings: list[str] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.StringLiteral):
            strings.append(node.val)
        return True

    promql_parser.walk(promql_parser.parse(joined), pre_visit=visit)
    assert selectors_of(joined) == [{("__name__", "=", "x")}]
    assert {text for text in strings if text not in ("pod", "")} == {text.replace("$", "$$") for text in (first, second) if text != "pod"}


def test_a_comment_at_the_end_does_not_swallow_the_join() -> None:
    assert selectors_of(join_any("x # all", [{"pod": "a"}])) == [{("__name__", "=", "x")}]


def test_plain_names_stay_bare_and_all_others_are_quoted() -> None:
    assert select("up", (equals("job", "a"),)) == 'up{job="a"}'
    assert select("k8s.cpu", (equals("k8s.pod.name", "a"),)) == '{"k8s.cpu","k8s.pod.name"="a"}'
    assert select("sum", (equals("a", "b"),)) == '{"sum",a="b"}'
    assert select("", (equals("a", "b"),), over=timedelta(minutes=30)) == '{a="b"}[1800s]'
    assert label("pod") == "pod"
    assert aggregate("sum", ("service.name", "pod"), "x") == 'sum by(pod, "service.name") (x)'


@pytest.mark.parametrize(
    ("metric", "matchers"),
    [
        ("", ()),
        ("up", (equals("pod", "\ud800"),)),
        ("\ud800", ()),
        ("up", (Matcher(name="pod", op="=~", value="("),)),
        ("", (equals("pod", ""),)),
    ],
)
def test_what_cannot_be_written_is_refused(metric: str, matchers: tuple[Matcher, ...]) -> None:
    with pytest.raises(ValueError, match="selector"):
        select(metric, matchers)


@pytest.mark.parametrize(("expression", "rows"), [("x", []), ("x", [{}]), ("x", [{"a": "1"}, {"b": "1"}]), ("x) or (y", [{"a": "1"}])])
def test_a_join_without_rows_or_over_text_that_does_not_parse_is_refused(expression: str, rows: list[dict[str, str]]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        join_any(expression, rows)
