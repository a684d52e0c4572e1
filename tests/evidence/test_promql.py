"""Expressions are untrusted, and so are the label values that go into them: most of this is about what must not happen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_sre.evidence import numbers
from agent_sre.evidence.prometheus import promql
from agent_sre.evidence.prometheus.promql import (
    Condition,
    Term,
    Threshold,
    expression_of,
    inject,
    join,
    metric_names,
    quote,
    restrict,
    selector,
    strip_threshold,
    unit_of_expression,
)
from evidence.builders import generator_url
from growth import FAR_BELOW_QUADRATIC, growth

_CATALOGUE = Path(__file__).parents[2].parent / "shared" / "data" / "alert_catalogue.json"
HOSTILE = 'a"b\\c\n`} or up{x="$1'

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def selectors_of(expression: str) -> list[dict[tuple[str, str], str]]:
    """The matchers of every selector, as the parser reads them."""
    found: list[dict[tuple[str, str], str]] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append({(str(matcher.op), matcher.name): matcher.value for matcher in node.matchers.matchers})
        return True

    promql_parser.walk(promql_parser.parse(expression), pre_visit=visit)
    return found


def constant(op: str, value: float, text: str) -> Threshold:
    return Threshold(op=op, expression=text, value=value, is_vector=False)


# expression_of


def test_the_expression_comes_out_of_a_prometheus_url() -> None:
    assert expression_of(generator_url('rate(x{a="b c"}[5m]) > 0.5')) == 'rate(x{a="b c"}[5m]) > 0.5'


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://grafana.example.org/alerting/grafana/abc/view",
        "http://vmalert:8880/vmalert/alert?group_id=1&alert_id=2",
        "not a url",
        "http://[broken",
        "javascript:alert(1)",
        "http://prometheus/graph?g0.expr=",
        "http://prometheus/graph?" + "&".join("a=b" for _ in range(500)),
        "http://prometheus/graph?g0.expr=" + "x" * (promql.MAX_EXPRESSION + 1),
        "http://prometheus/graph?g0.expr=x%00y",
    ],
)
def test_a_url_without_a_usable_expression_gives_none(url: str) -> None:
    assert expression_of(url) == ""


def test_broken_utf_8_and_surrogates_in_a_url_do_no_harm() -> None:
    assert expression_of("http://p/graph?g0.expr=x%ff") == "x\ufffd"
    assert expression_of("http://p/graph?g0.expr=x\ud800") == "x?"


@given(url=st.text())
@settings(deadline=None)
def test_any_text_may_stand_where_the_url_is(url: str) -> None:
    assert isinstance(expression_of(url), str)


# strip_threshold


def test_a_comparison_is_a_value_and_a_threshold() -> None:
    assert strip_threshold("(x / y) > 0.9") == (Term(value="x / y", thresholds=(constant(">", 0.9, "0.9"),)),)


def test_a_threshold_on_the_left_is_turned_around() -> None:
    assert strip_threshold("0.1 >= x")[0].thresholds == (constant("<=", 0.1, "0.1"),)


def test_constant_arithmetic_is_computed() -> None:
    assert strip_threshold("x > 4 * 60 * 60")[0].thresholds[0].value == 14400
    assert strip_threshold("x < -(2 - 1) / 4")[0].thresholds[0].value == -0.25
    assert strip_threshold("x > 1 / 0")[0].thresholds[0].value is None
    assert strip_threshold("x > time()")[0].thresholds == (Threshold(op=">", expression="time()", value=None, is_vector=False),)


def test_a_vector_threshold_remembers_how_it_matches() -> None:
    term = strip_threshold("a < on(namespace, service) group_left() count by(namespace, service) (b)")[0]
    assert (term.value, term.thresholds[0].is_vector, term.thresholds[0].on) == ("a", True, ("namespace", "service"))
    assert strip_threshold("a != ignoring(pod) b")[0].thresholds[0].ignoring == ("pod",)
    assert strip_threshold("a != b")[0].thresholds[0].on is None


def test_both_bounds_of_a_chained_comparison_are_thresholds() -> None:
    assert [(threshold.op, threshold.value) for threshold in strip_threshold("x > 0.9 < 1")[0].thresholds] == [(">", 0.9), ("<", 1.0)]


def test_and_and_unless_are_conditions() -> None:
    term = strip_threshold("(x > 1) and on(a) (y == 0) unless z")[0]
    assert (term.value, term.conditions) == ("x", (Condition(op="and", expression="y == 0"), Condition(op="unless", expression="z")))


def test_or_gives_several_terms() -> None:
    terms = strip_threshold("(a > 1 or b != c) and d")
    assert [(term.value, term.thresholds[0].op) for term in terms] == [("a", ">"), ("b", "!=")]
    assert all(term.conditions == (Condition(op="and", expression="d"),) for term in terms)
    assert len(strip_threshold(" or ".join(f"a{number} > 1" for number in range(9)))) == 4


def test_what_is_absent_is_the_value() -> None:
    assert strip_threshold('absent(up{job="a"})') == (Term(value='up{job="a"}', absent=True),)
    assert strip_threshold('absent_over_time(up{job="a"}[5m] offset 1m)') == (Term(value='up{job="a"} offset 1m', absent=True),)


def test_a_bool_comparison_and_an_inner_filter_stay() -> None:
    assert strip_threshold("x > bool 1") == (Term(value="x > bool 1"),)
    assert strip_threshold("count(up == 0) > 2")[0].value == "count(up == 0)"


def test_what_cannot_be_read_is_kept_as_it_is() -> None:
    for text in ("sum(", "holt_winters(x[5m], 0.5, 0.5) > 1", "{app=`a`} |= `error`", "x > 1_000"):
        assert strip_threshold(text) == (Term(value=text, parsed=False),)
    assert strip_threshold("  ") == ()


HURTFUL: tuple[tuple[int, Callable[[int], str]], ...] = (
    (5_000, lambda count: "(" * count + "x" + ")" * count),
    (3_000, lambda count: "x" + " + x" * count),
    (10_000, lambda count: "-" * count + "x"),
    (2_000, lambda count: "x" + " or x" * count),
    (1_000, lambda count: "abs(" * count + "x" + ")" * count),
    # Comments and strings that try to hide the operators from the count.
    (5_000, lambda count: '# "\n' + "(" * count + "x" + ")" * count + ' # "'),
    (5_000, lambda count: "'" + '"' + "'" + "(" * count),
)


@pytest.mark.parametrize(("count", "expression_of_size"), HURTFUL, ids=range(len(HURTFUL)))
def test_an_expression_made_to_hurt_is_refused_before_it_is_parsed(
    count: int, expression_of_size: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Parsed, each of these would take minutes: the parser's Python side is cubic in the nesting.
    def parse(_: str) -> None:
        raise AssertionError("it was given to the parser")

    monkeypatch.setattr(promql_parser, "parse", parse)
    assert growth(is_refused, expression_of_size(count // 8), expression_of_size(count)) < FAR_BELOW_QUADRATIC


def test_a_text_over_two_lines_hides_operators_from_the_count_and_is_refused_by_the_parser_at_once() -> None:
    def expression_of_size(count: int) -> str:
        return '"\n"' + "(" * count + '"\n"'

    assert growth(is_refused, expression_of_size(625), expression_of_size(5_000)) < FAR_BELOW_QUADRATIC


def is_refused(expression: str) -> None:
    assert strip_threshold(expression)[0].parsed is False
    assert restrict(expression, {"a": "b"}).how == "untouched"
    assert metric_names(expression) == frozenset()
    assert unit_of_expression(expression) == numbers.PLAIN


def test_many_matchers_and_long_regular_expressions_are_not_taken_for_complexity() -> None:
    expression = 'x{a=~"(' + "|".join(f"pod-{number}.*" for number in range(300)) + ')"} > 1'
    assert strip_threshold(expression)[0].parsed


@given(expression=st.text(alphabet="abx(){}[]\"'`\\<>=!+-*/^%,:.~@# \n15mandorbyunless", max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_may_stand_where_the_expression_is(expression: str) -> None:
    for term in strip_threshold(expression):
        assert term.value
    restriction = restrict(expression, {"pod": "cart-0"})
    assert restriction.how in ("injected", "joined", "untouched")
    if restriction.how == "untouched":
        assert restriction.expression == expression
    else:
        promql_parser.parse(restriction.expression)


# restrict


def test_matchers_go_into_every_selector() -> None:
    restriction = restrict('rate(a{x="1"}[5m] offset 1h) / on(pod) b{} @ 123', {"pod": "cart-0", "namespace": "shop"})
    assert restriction.how == "injected"
    assert restriction.expression == (
        'rate(a{namespace="shop",pod="cart-0",x="1"}[5m] offset 1h) / on (pod) b{namespace="shop",pod="cart-0"} @ 123.000'
    )


def test_an_old_matcher_stays_even_where_it_contradicts() -> None:
    assert selectors_of(restrict('x{pod=~"cart-.*"}', {"pod": "cart-0"}).expression) == [
        {("MatchOp.Re", "pod"): "cart-.*", ("MatchOp.Equal", "pod"): "cart-0"}
    ]
    assert inject('x{pod="cart-0"}', {"pod": "cart-0"}) == 'x{pod="cart-0"}'
    assert inject('x{pod="b"}', {"pod": "a"}).count("pod=") == 2


def test_nothing_to_match_changes_nothing() -> None:
    assert restrict("sum( x )", {}).expression == "sum( x )"
    assert restrict("sum( x )", {"pod": "", "__name__": "y"}).how == "unrestricted"


@pytest.mark.parametrize("matchers", [{"k8s.pod.name": "a"}, {"имя": "a"}, {'a"b': "c"}])
def test_utf_8_label_names_are_joined(matchers: dict[str, str]) -> None:
    restriction = restrict("x", matchers)
    assert restriction.how == "joined"
    assert "UTF-8" in restriction.why
    assert selectors_of(restriction.expression) == [{}]


def test_utf_8_names_in_the_expression_are_joined_and_survive() -> None:
    restriction = restrict('{"k8s.cpu", "pod.name"="a"} > 1', {"pod": "x"})
    assert restriction.how == "joined"
    assert selectors_of(restriction.expression) == selectors_of('{"k8s.cpu", "pod.name"="a"}')


def test_or_inside_a_selector_is_joined() -> None:
    restriction = restrict('x{a="b" or c="d"}', {"pod": "x"})
    assert (restriction.how, "`or`" in restriction.why) == ("joined", True)


def test_a_comment_at_the_end_does_not_swallow_the_join() -> None:
    assert selectors_of(join("x # all pods", {"pod": "a"})) == [{}]


def test_text_that_does_not_parse_is_left_alone_with_a_reason() -> None:
    for text in ("up) or (secret", "x{", ""):
        restriction = restrict(text, {"pod": "x"})
        assert (restriction.expression, restriction.how) == (text, "untouched")
        assert restriction.why
        with pytest.raises(ValueError, match=r".+"):
            join(text, {"pod": "x"})


def test_a_value_that_is_not_unicode_is_not_used() -> None:
    assert restrict("x", {"pod": "\ud800"}).how == "untouched"


@given(value=texts, other=texts)
@example(value='"} or up{a="', other="`")
@example(value=HOSTILE, other="$1 ${x} $$")
@example(value="\x00", other="\ufffd")
@example(value="\\", other="\u2028\u202e\x7f")
@settings(max_examples=200, deadline=None)
def test_any_label_value_gives_exactly_the_intended_matchers(value: str, other: str) -> None:
    expression = 'sum by(pod) (rate(x{job=~"a.*",pod!="b"}[5m])) / on(pod) y > 1'
    matchers = {"namespace": value, "pod": other}
    restriction = restrict(expression, matchers)
    assert restriction.how == "injected"
    added = {("MatchOp.Equal", name): text for name, text in matchers.items()}
    assert selectors_of(restriction.expression) == [{("MatchOp.Re", "job"): "a.*", ("MatchOp.NotEqual", "pod"): "b"} | added, added]
    assert "\ufffd" not in restriction.expression  # Prometheus' lexer would call it broken


@given(value=texts, other=texts)
@example(value="$1", other='") or vector(1) #')
@settings(max_examples=100, deadline=None)
def test_any_label_value_is_one_string_of_the_join(value: str, other: str) -> None:
    joined = join("x > 1", {"namespace": value, "pod": other})
    strings: list[str] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.StringLiteral):
            strings.append(node.val)
        return True

    promql_parser.walk(promql_parser.parse(joined), pre_visit=visit)
    assert selectors_of(joined) == [{}]
    assert sorted(strings) == sorted(["namespace", value.replace("$", "$$"), "", "", "pod", other.replace("$", "$$"), "", ""])


@given(value=texts)
@settings(max_examples=100, deadline=None)
def test_old_values_survive_the_restriction(value: str) -> None:
    expression = f'x{{a="{quote(value)}",b=~"{quote("(" + value.encode("ascii", "ignore").hex() + ")?")}"}}'
    before = selectors_of(expression)
    assert selectors_of(restrict(expression, {"pod": "p"}).expression) == [before[0] | {("MatchOp.Equal", "pod"): "p"}]


@given(value=texts)
@settings(deadline=None)
def test_a_selector_of_our_own_has_exactly_its_matchers(value: str) -> None:
    assert selectors_of(selector("up", {"job": value})) == [{("MatchOp.Equal", "job"): value}]


def test_a_selector_takes_plain_names_only() -> None:
    for metric, matchers in (("up{", {}), ("up", {'a="b",c': "d"}), ("", {})):
        with pytest.raises(ValueError, match="plain"):
            selector(metric, matchers)


# What the expression is about


def test_metrics_are_found_by_name() -> None:
    assert metric_names('sum(up) / {__name__="x"} + {"y"} + {job="a"}') == {"up", "x", "y"}


@pytest.mark.parametrize(
    ("expression", "unit"),
    [
        ("container_memory_working_set_bytes", numbers.BYTES),
        ("sum by(pod) (a_bytes) / sum by(pod) (b_bytes)", numbers.RATIO),
        ("100 * a_bytes / b_bytes", numbers.PERCENT),
        ("(1 - a_bytes / b_bytes) * 100", numbers.PERCENT),
        ("100 - a_bytes / b_bytes * 100", numbers.PERCENT),
        ("rate(a_bytes_total[5m])", numbers.BYTES_PER_SECOND),
        ("rate(a_cpu_seconds_total[5m])", numbers.PLAIN),
        ("rate(a_total[5m])", numbers.PER_SECOND),
        ("rate(a_total[5m]) / rate(b_total[5m])", numbers.RATIO),
        ("increase(a_total[5m])", numbers.PLAIN),
        ("histogram_quantile(0.99, sum by(le) (rate(a_seconds_bucket[5m])))", numbers.SECONDS),
        ("time() - process_start_time_seconds", numbers.SECONDS),
        ("predict_linear(a_bytes[4h], 3600)", numbers.BYTES),
        ("max_over_time(a_seconds[5m:1m])", numbers.SECONDS),
        ("quantile_over_time(0.9, a_seconds[5m])", numbers.SECONDS),
        ('kube_pod_container_resource_limits{resource="memory"}', numbers.BYTES),
        ("count(a_bytes)", numbers.PLAIN),
        ("a_bytes > bool 3", numbers.PLAIN),
        ("a_bytes > 3", numbers.BYTES),
        ("a_bytes + 5", numbers.BYTES),
        ("a_bytes / 1024", numbers.PLAIN),
        ("a_bytes / b_seconds", numbers.BYTES_PER_SECOND),
        ("a_bytes * b_seconds", numbers.PLAIN),
        ("a_bytes ^ 2", numbers.PLAIN),
        ("-a_bytes and b", numbers.BYTES),
        ("5", numbers.PLAIN),
        ("sum(", numbers.PLAIN),
    ],
)
def test_the_unit_follows_the_expression(expression: str, unit: str) -> None:
    assert unit_of_expression(expression) == unit


# The rules that people really run


def catalogue() -> list[Mapping[str, Any]]:
    if not _CATALOGUE.exists():
        pytest.skip(f"{_CATALOGUE.name} is not here: the standard rules were not tried")
    rules: list[Mapping[str, Any]] = json.loads(_CATALOGUE.read_text())["alerts"]
    return rules


def test_every_standard_rule_is_taken_apart_as_by_hand() -> None:
    rules = catalogue()
    assert len(rules) == 156
    for rule in rules:
        terms = strip_threshold(rule["expr"])
        assert all(term.parsed for term in terms), rule["alertname"]
        by_hand = [[comparison["op"] for comparison in term["comparisons"]] for term in rule["stripped"]]
        assert [[threshold.op for threshold in term.thresholds] for term in terms] == by_hand, rule["alertname"]
        for term, expected in zip(terms, rule["stripped"], strict=True):
            written = expected["value_expr"]
            if term.absent:
                assert written.startswith("absent("), rule["alertname"]
                continue
            assert selectors_of(term.value) == selectors_of(written), rule["alertname"]
            kinds = [comparison["rhs_kind"] == "vector" for comparison in expected["comparisons"]]
            assert [threshold.is_vector for threshold in term.thresholds] == kinds, rule["alertname"]


def test_every_standard_rule_can_be_restricted_to_a_hostile_label() -> None:
    for rule in catalogue():
        for term in strip_threshold(rule["expr"]):
            restriction = restrict(term.value, {"namespace": HOSTILE, "pod": "x"})
            selectors = selectors_of(term.value)
            assert restriction.how == "injected", rule["alertname"]
            expected = [found | {("MatchOp.Equal", "namespace"): HOSTILE, ("MatchOp.Equal", "pod"): "x"} for found in selectors]
            already = [("MatchOp.Equal", "namespace") in found for found in selectors]
            got = selectors_of(restriction.expression)
            assert [a for a, known in zip(got, already, strict=True) if not known] == [
                e for e, known in zip(expected, already, strict=True) if not known
            ], rule["alertname"]
            joined = join(term.value, {"namespace": HOSTILE})
            assert selectors_of(joined) == selectors, rule["alertname"]
            for threshold in term.thresholds:
                assert restrict(threshold.expression, {"namespace": "x"}).how in ("injected", "unrestricted"), rule["alertname"]
