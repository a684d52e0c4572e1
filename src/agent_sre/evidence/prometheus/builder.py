"""The one place where PromQL is written out of names and values that came over the wire. Pure.

Names and label values are anybody's text: a pod may be called `"} or up{a="`. Whatever is built here was parsed again, and its selectors
have exactly the intended matchers, or NotPromQL says that they do not. A name that is no plain identifier is quoted, which Prometheus
before 3.0 refuses, but such a server cannot have sent it either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import promql_parser as pp

from agent_sre.evidence.prometheus import promql

Op = Literal["=", "!=", "=~", "!~"]

_PLAIN_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_METRIC = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_META = re.compile(r"([\\.+*?()|\[\]{}^$])")
_OPS: Mapping[str, Op] = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
_RESERVED = frozenset({
    "and", "or", "unless", "atan2", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "start", "end", "inf", "nan",
    "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio",
    "smoothed", "anchored", "step", "range",
})  # fmt: skip
"""Words of the language: as a bare metric name they would be read as such. https://github.com/prometheus/prometheus/blob/main/promql/parser/lex.go"""


class NotPromQL(ValueError):
    """Names and values that cannot be written as the PromQL that was meant."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Matcher:
    """`name op "value"`; for `=~` and `!~` the value is a regular expression that has to fit as a whole."""

    name: str
    op: Op
    value: str


def equals(name: str, value: str) -> Matcher:
    """`name="value"`."""
    return Matcher(name=name, op="=", value=value)


def one_of(name: str, values: Iterable[str]) -> Matcher:
    """`name=~"a|b"`: one of exactly these texts. Without a value it matches nothing that has the label."""
    return Matcher(name=name, op="=~", value="|".join(escape(value) for value in sorted(set(values))))


def pods_of(name: str, workloads: Iterable[str]) -> Matcher:
    """The pods of workloads of these names, and pods of exactly these names: `cart-7f9c6d5b8c-k2x9p` and `cart` for `cart`."""
    return Matcher(name=name, op="=~", value="|".join(f"{escape(workload)}(?:-.+)?" for workload in sorted(set(workloads))))


def escape(text: str) -> str:
    """A regular expression (RE2) that fits this text only."""
    return _META.sub(r"\\\1", text)


def select(metric: str, matchers: Iterable[Matcher] = (), *, over: timedelta | None = None) -> str:
    """A selector: `metric{a="b"}`, with `over` a range `metric{…}[3m]`; without a metric the matchers stand alone.

    Raises NotPromQL where the text does not come back from the parser as it was meant: values that are not Unicode, regular expressions
    that are none, no matcher at all.
    """
    wanted = sorted(set(matchers))
    inner = [f'{label(matcher.name)}{matcher.op}"{promql.quote(matcher.value)}"' for matcher in wanted]
    plain = bool(_PLAIN_METRIC.fullmatch(metric)) and metric.lower() not in _RESERVED
    if metric and not plain:
        inner.insert(0, f'"{promql.quote(metric)}"')
    text = f"{metric if plain else ''}{{{','.join(inner)}}}".replace("\ufffd", "\\ufffd")
    try:
        parsed = pp.parse(text)
    except ValueError as error:
        raise NotPromQL(f"not a selector: {error}") from error
    if not isinstance(parsed, pp.VectorSelector) or _said(parsed) != _meant(metric, wanted) or parsed.matchers.or_matchers:
        raise NotPromQL("the selector does not mean what it should")
    return text if over is None else f"{text}[{seconds(over)}]"


def label(name: str) -> str:
    """A label's name as it stands in PromQL: quoted where it is no identifier."""
    return name if _PLAIN_LABEL.fullmatch(name) else f'"{promql.quote(name)}"'


def aggregate(operator: Literal["sum", "max", "min", "avg", "count"], labels: Iterable[str], expression: str) -> str:
    """`sum by(a, b) (…)`, the labels sorted."""
    return f"{operator} by({', '.join(label(name) for name in sorted(set(labels)))}) ({expression})"


def rate(metric: str, matchers: Iterable[Matcher], window: timedelta) -> str:
    """`rate(metric{…}[3m])`."""
    return f"rate({select(metric, matchers, over=window)})"


def join_any(expression: str, rows: Sequence[Mapping[str, str]]) -> str:
    """The expression's series whose labels are those of one of these rows, which all have the same names: `(…) and on(a) (… or …)`.

    The meaning of the expression cannot change. Raises ValueError like `promql.join`, and where there is no row or no label.
    """
    names = sorted(rows[0]) if rows else []
    if not names or any(sorted(row) != names for row in rows):
        raise ValueError("the rows must have labels, and all of them the same")
    promql.join(expression, {})  # it parses, so it cannot close our parenthesis
    ones = sorted({_one(row) for row in rows})
    end = "\n" if "#" in expression else ""
    joined = f"({expression}{end}) and on({', '.join(label(name) for name in names)}) ({' or '.join(ones)})".replace("\ufffd", "\\ufffd")
    pp.parse(joined)
    return joined


def seconds(duration: timedelta) -> str:
    """`180s`."""
    return f"{max(1, round(duration.total_seconds()))}s"


def _one(row: Mapping[str, str]) -> str:
    one = "vector(1)"
    for name, value in sorted(row.items()):
        # `$` doubled: label_replace expands $1 in its replacement.
        one = f'label_replace({one}, "{promql.quote(name)}", "{promql.quote(value.replace("$", "$$"))}", "", "")'
    return one


def _meant(metric: str, matchers: Iterable[Matcher]) -> set[tuple[str, str, str]]:
    return {(matcher.name, matcher.op, matcher.value) for matcher in matchers} | ({("__name__", "=", metric)} if metric else set())


def _said(node: pp.VectorSelector) -> set[tuple[str, str, str]]:
    said = {(matcher.name, str(_OPS[str(matcher.op)]), matcher.value) for matcher in node.matchers.matchers}
    return said | ({("__name__", "=", node.name)} if node.name else set())
