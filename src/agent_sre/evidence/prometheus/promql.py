"""PromQL taken apart and put together again. Pure: no call is made here.

    generatorURL ──expression_of──> rule expression ──strip_threshold──> Term(value, thresholds, conditions)
                                                                           └──restrict──> the same, for one alert's object only

The expression comes with the payload, so it is untrusted twice over: it may be large enough to hurt (`_parse` looks at its size first:
the parser's Python side needs time cubic in the nesting), and label values may try to break out of their quotes (`restrict` parses its own
result again and compares every matcher before it gives it away).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

import promql_parser as pp

from agent_sre.evidence import numbers
from agent_sre.evidence.numbers import unit_of_metric

MAX_EXPRESSION = 16_384
"""Characters of an expression that we are willing to run. The longest of the standard rules has about 1,000."""

_MAX_OPERATORS = 120
"""Parentheses and operators that we are willing to parse. The deepest standard rule has 28; 200 cost half a second, 1,000 a minute."""

_MAX_TERMS = 4

_COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}

_TOKEN = re.compile(
    r"""(?P<skip>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`|\#[^\n]*)
      | (?P<count>[(\[+*/%^<>-]|==|!=|\b(?:and|or|unless|atan2)\b)""",
    re.VERBOSE | re.IGNORECASE,
)
_LEGACY_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What a value is compared with.

    `value` is the number where the expression is constant (`4 * 60 * 60`), else None: then it has to be queried. A vector threshold has
    series of its own; `on` and `ignoring` are the labels by which they match the value's (both None: by all).
    """

    op: str  # as it reads with the value on the left: == != > < >= <=
    expression: str
    value: float | None
    is_vector: bool
    on: tuple[str, ...] | None = None
    ignoring: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What must hold (`and`) or must not hold (`unless`) besides."""

    op: str
    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One way in which an alert can fire: `value op threshold`, joined to the others by `or`.

    With several thresholds all of them hold (`x > 0.9 < 1`). With `absent` the alert fires while `value` has no series.
    Not `parsed`: the value is the rule's own text, which we can run but not read.
    """

    value: str
    thresholds: tuple[Threshold, ...] = ()
    conditions: tuple[Condition, ...] = ()
    absent: bool = False
    parsed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """An expression that speaks of one object only, or the reason why it does not.

    `how`: "injected" (matchers in every selector: cheap, but an expression that also looks elsewhere may change its meaning; compare with
    `join` before you believe it), "joined" (`and on(…)`: never changes the meaning, costs the whole expression), "unrestricted" (there
    were no matchers), "untouched" (we cannot read it; `why` says what is in the way).
    """

    expression: str
    how: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One thing that an expression reads: `rate(x{…}[5m])`, or a plain selector. `metric` is empty where no name is fixed."""

    metric: str
    expression: str


def expression_of(generator_url: str) -> str:
    """The PromQL in an alert's generatorURL (`g0.expr`), or empty where the sender put none there (Grafana, vmalert, Loki, people).

    Only text is taken from the URL; nobody ever calls it. An expression longer than MAX_EXPRESSION counts as none.
    """
    try:
        found = parse_qs(urlsplit(generator_url).query, max_num_fields=100, errors="replace").get("g0.expr", [""])[0]
    except ValueError:
        return ""
    text = found.strip().encode(errors="replace").decode()
    return text if len(text) <= MAX_EXPRESSION and "\0" not in text else ""


def quote(value: str) -> str:
    """A text between the double quotes of PromQL: `a"b` becomes `a\\"b`."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def selector(metric: str, matchers: Mapping[str, str]) -> str:
    """`up{job="x"}` for plain metric and label names. Raises ValueError for others."""
    if not _LEGACY_NAME.fullmatch(metric) or not all(_LEGACY_NAME.fullmatch(name) for name in matchers):
        raise ValueError("not a plain name")
    return _finished(metric + "{" + ",".join(f'{name}="{quote(value)}"' for name, value in sorted(matchers.items())) + "}")


def strip_threshold(expression: str) -> tuple[Term, ...]:
    """A rule's expression as what it measures and what it compares that with; one Term per operand of a top-level `or`, at most four.

    Inner filters (`count(up == 0)`) stay: gaps in such a series mean that nothing was wrong. An expression that we cannot read becomes one
    Term that is not `parsed`, an empty one becomes no term at all.
    """
    if not expression.strip():
        return ()
    try:
        return tuple(_terms(_parse(expression)))[:_MAX_TERMS]
    except ValueError:
        return (Term(value=expression, parsed=False),)


def restrict(expression: str, matchers: Mapping[str, str]) -> Restriction:
    """The expression for the object of these labels only: by matchers in its selectors where that can be done safely, else joined.

    Use only labels that occur in the result of the expression: external labels (`cluster`, `prometheus`) and the rule's own (`severity`)
    stand in the webhook but not in the database, and would find nothing. Empty values are left out: no series has such a label.
    """
    wanted = {name: value for name, value in matchers.items() if value and name != "__name__"}
    if not wanted:
        return Restriction(expression=expression, how="unrestricted")
    try:
        _parse(expression)
    except ValueError as error:
        return Restriction(expression=expression, how="untouched", why=str(error))
    try:
        return Restriction(expression=inject(expression, wanted), how="injected")
    except ValueError as error:
        why = str(error)
    try:
        return Restriction(expression=join(expression, wanted), how="joined", why=why)
    except ValueError as error:
        return Restriction(expression=expression, how="untouched", why=str(error))


def inject(expression: str, matchers: Mapping[str, str]) -> str:
    """The expression with these equality matchers added to every selector.

    The result was parsed again, and its matchers are the old ones and these, no more and no fewer. Raises ValueError where that cannot be
    had: text that does not parse, UTF-8 label names, `or` inside a selector, values that are not Unicode.
    """
    before = _parse(expression)
    expected = [_shape(node, matchers) for node in _selectors(before)]
    after = _finished(_one_line(pp.transform(before, post_visit=lambda node: _with_matchers(node, matchers)).prettify()))
    if [_shape(node, {}) for node in _selectors(_parse(after))] != expected:
        raise ValueError("the selectors do not survive being written")
    return after


def join(expression: str, matchers: Mapping[str, str]) -> str:
    """`(expression) and on(a, b) <one series with these labels>`: the expression's own series of that object, unchanged.

    Raises ValueError where the text does not parse (it could close our parenthesis) or a value is not Unicode.
    """
    _parse(expression)
    if not matchers:
        return expression
    one = "vector(1)"
    for name, value in sorted(matchers.items()):
        # `$` doubled: label_replace expands $1 in its replacement.
        one = f'label_replace({one}, {_name_text(name, always=True)}, "{quote(value.replace("$", "$$"))}", "", "")'
    end = "\n" if "#" in expression else ""  # a comment at its end would swallow our parenthesis
    joined = _finished(f"({expression}{end}) and on({', '.join(_name_text(name) for name in sorted(matchers))}) {one}")
    _parse(joined)
    return joined


def metric_names(expression: str) -> frozenset[str]:
    """The metrics that an expression selects by name; empty where it cannot be read."""
    try:
        return frozenset(name for node in _selectors(_parse(expression)) if (name := _metric_of(node)))
    except ValueError:
        return frozenset()


def is_promql(expression: str) -> bool:
    """Whether it can be read at all."""
    try:
        _parse(expression)
    except ValueError:
        return False
    return True


def leaves(expression: str) -> tuple[Leaf, ...]:
    """What an expression reads, each selector once and with the call that makes numbers of it; empty where it cannot be read.

    Counters come as their rate, gauges as they are; `offset`, `@` and the selector's own matchers stay.
    """
    try:
        tree = _parse(expression)
    except ValueError:
        return ()
    found: dict[str, Leaf] = {}

    def visit(node: pp.Expr) -> bool:
        if isinstance(node, pp.Call):
            for argument in node.args:
                if isinstance(inner := _unparenthesised(argument), pp.MatrixSelector):
                    text = _text(node)
                    found.setdefault(text, Leaf(metric=_metric_of(inner.vector_selector), expression=text))
        elif isinstance(node, pp.VectorSelector):
            text = _text(node)
            if not any(text in known for known in found):
                found[text] = Leaf(metric=_metric_of(node), expression=text)
        return True

    pp.walk(tree, pre_visit=visit)
    return tuple(found.values())


def unit_of_expression(expression: str) -> str:
    """The unit of an expression's values, a word of `numbers.UNITS`; plain where it cannot be told."""
    try:
        unit = _unit(_parse(expression))
    except ValueError:
        return numbers.PLAIN
    return numbers.PLAIN if unit == _CONSTANT else unit


# Reading


def _parse(expression: str) -> pp.Expr:
    """The syntax tree. Raises ValueError (UnicodeEncodeError is one) on what is too large or not PromQL."""
    if len(expression) > 2 * MAX_EXPRESSION:
        raise ValueError("the expression is too long to be read")
    operators = sum(1 for token in _TOKEN.finditer(expression) if token["count"])
    if operators > _MAX_OPERATORS:
        raise ValueError("the expression is too complex to be read")
    return pp.parse(expression)


def _selectors(tree: pp.Expr) -> list[pp.VectorSelector]:
    found: list[pp.VectorSelector] = []

    def visit(node: pp.Expr) -> bool:
        if isinstance(node, pp.VectorSelector):
            found.append(node)
        return True

    pp.walk(tree, pre_visit=visit)
    return found


def _terms(node: pp.Expr) -> Iterator[Term]:
    node = _unparenthesised(node)
    if isinstance(node, pp.BinaryExpr):
        op = str(node.op)
        if op in _COMPARISONS and not _returns_bool(node):
            yield from _compared(node, op)
            return
        if op in ("and", "unless"):
            condition = Condition(op=op, expression=_text(_unparenthesised(node.rhs)))
            for term in _terms(node.lhs):
                yield replace(term, conditions=(*term.conditions, condition))
            return
        if op == "or":
            yield from _terms(node.lhs)
            yield from _terms(node.rhs)
            return
    if isinstance(node, pp.Call) and node.func.name in ("absent", "absent_over_time"):
        yield Term(value=_text(_instant(node.args[0])), absent=True)
        return
    yield Term(value=_text(node))


def _compared(node: pp.BinaryExpr, op: str) -> Iterator[Term]:
    value, other = node.lhs, node.rhs
    if _is_scalar(value) and not _is_scalar(other):
        value, other, op = other, value, _FLIPPED.get(op, op)
    matching = node.modifier.matching if node.modifier else None
    labels = tuple(matching.labels) if matching else None
    include = matching is not None and matching.type == pp.LabelModifierType.Include
    threshold = Threshold(
        op=op,
        expression=_text(_unparenthesised(other)),
        value=_constant(other),
        is_vector=not _is_scalar(other),
        on=labels if include else None,
        ignoring=None if include else labels,
    )
    for term in _terms(value):
        yield replace(term, thresholds=(*term.thresholds, threshold))


def _unparenthesised(node: pp.Expr) -> pp.Expr:
    while isinstance(node, pp.ParenExpr):
        node = node.expr
    return node


def _instant(node: pp.Expr) -> pp.Expr:
    node = _unparenthesised(node)
    if isinstance(node, pp.MatrixSelector):
        return node.vector_selector
    if isinstance(node, pp.SubqueryExpr):
        return _unparenthesised(node.expr)
    return node


def _returns_bool(node: pp.BinaryExpr) -> bool:
    return bool(node.modifier and node.modifier.return_bool)


def _is_scalar(node: pp.Expr) -> bool:
    node = _unparenthesised(node)
    if isinstance(node, pp.UnaryExpr):
        return _is_scalar(node.expr)
    if isinstance(node, pp.BinaryExpr):
        return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    return isinstance(node, pp.NumberLiteral) or (isinstance(node, pp.Call) and node.func.name in ("scalar", "time", "pi"))


def _constant(node: pp.Expr) -> float | None:
    """The number of a constant expression, None for all others."""
    node = _unparenthesised(node)
    if isinstance(node, pp.NumberLiteral):
        return float(node.val)
    if isinstance(node, pp.UnaryExpr):
        inner = _constant(node.expr)
        return None if inner is None else -inner
    if isinstance(node, pp.BinaryExpr):
        left, right = _constant(node.lhs), _constant(node.rhs)
        return None if left is None or right is None else _computed(str(node.op), left, right)
    return None


def _computed(op: str, left: float, right: float) -> float | None:
    if op == "+":
        return left + right
    if op == "-":
        return left - right
    if op == "*":
        return left * right
    if op == "/" and right:
        return left / right
    return None


# Writing


def _text(node: pp.Expr) -> str:
    return _finished(_one_line(node.prettify()))


def _one_line(pretty: str) -> str:
    # A line break is never inside a string here (it would be written \n), so whatever we fold is layout.
    folded = re.sub(r"\s*\n\s*\)", ")", re.sub(r"\(\s*\n\s*", "(", pretty))
    return re.sub(r"\s*\n\s*", " ", folded).strip()


def _finished(expression: str) -> str:
    # Prometheus' lexer takes a U+FFFD for broken UTF-8, even where it was meant.
    # https://github.com/prometheus/prometheus/blob/main/promql/parser/lex.go (lexString)
    return expression.replace("\ufffd", "\\ufffd")


def _name_text(name: str, *, always: bool = False) -> str:
    return f'"{quote(name)}"' if always or not _LEGACY_NAME.fullmatch(name) else name


def _with_matchers(node: pp.Expr, extra: Mapping[str, str]) -> pp.Expr | None:
    """A new selector with more matchers, None for all other nodes (unchanged).

    `str()` of a node does not escape values, so all of them are quoted here, the old ones too; a node that was changed in place still
    prints its old text, so the new one is parsed. `or` inside a selector and quoted names would be lost on the way.
    """
    if not isinstance(node, pp.VectorSelector):
        return None
    if node.matchers.or_matchers:
        raise ValueError("a selector with `or` inside cannot be restricted by matchers")
    present = {(matcher.name, matcher.value) for matcher in node.matchers.matchers if matcher.op == pp.MatchOp.Equal}
    names = [matcher.name for matcher in node.matchers.matchers] + list(extra)
    if not all(_LEGACY_NAME.fullmatch(name) for name in names):
        raise ValueError("a selector with a UTF-8 label name cannot be restricted by matchers")
    old = [pp.Matcher(matcher.op, matcher.name, quote(matcher.value)) for matcher in node.matchers.matchers]
    new = [pp.Matcher(pp.MatchOp.Equal, name, quote(value)) for name, value in extra.items() if (name, value) not in present]
    node.matchers = pp.Matchers(old + new)
    return pp.parse(str(node))


def _shape(node: pp.VectorSelector, extra: Mapping[str, str]) -> tuple[object, ...]:
    """All that a selector says, with `extra` matchers added; two selectors that mean the same have the same shape."""
    matchers = {(str(matcher.op), matcher.name, matcher.value) for matcher in node.matchers.matchers}
    matchers |= {(str(pp.MatchOp.Equal), name, value) for name, value in extra.items()}
    if node.name:
        matchers.add((str(pp.MatchOp.Equal), "__name__", node.name))
    at = (str(node.at.type), str(node.at.at)) if node.at else None
    return frozenset(matchers), node.offset, at, len(node.matchers.or_matchers)


# Units


def _metric_of(node: pp.VectorSelector) -> str:
    return node.name or next((m.value for m in node.matchers.matchers if m.name == "__name__" and m.op == pp.MatchOp.Equal), "")


_CONSTANT = "constant"  # an inner unit: a bare number takes the unit of whatever it stands beside
_COUNTING = frozenset({"count", "group", "count_values", "stdvar"})
_COUNTING_CALLS = frozenset({
    "changes", "resets", "count_over_time", "present_over_time", "absent", "absent_over_time", "stdvar_over_time", "sgn",
})  # fmt: skip
_RATES = frozenset({"rate", "irate", "deriv"})
_CLOCK_CALLS = frozenset({"time", "timestamp"})


def _unit(node: pp.Expr) -> str:
    node = _unparenthesised(node)
    if isinstance(node, pp.NumberLiteral):
        return _CONSTANT
    if isinstance(node, pp.VectorSelector):
        return _selector_unit(node)
    if isinstance(node, pp.MatrixSelector):
        return _selector_unit(node.vector_selector)
    if isinstance(node, pp.UnaryExpr | pp.SubqueryExpr):
        return _unit(node.expr)
    if isinstance(node, pp.AggregateExpr):
        return numbers.PLAIN if str(node.op) in _COUNTING else _unit(node.expr)
    if isinstance(node, pp.Call):
        return _call_unit(node)
    if isinstance(node, pp.BinaryExpr):
        return _binary_unit(node)
    return numbers.PLAIN


def _selector_unit(node: pp.VectorSelector) -> str:
    named = unit_of_metric(_metric_of(node))
    if named:
        return named
    equal = {matcher.name: matcher.value for matcher in node.matchers.matchers if matcher.op == pp.MatchOp.Equal}
    # kube-state-metrics counts cores and bytes in one metric (kube_pod_container_resource_limits) and names the unit in a label.
    return numbers.BYTES if equal.get("unit") == "byte" or equal.get("resource") == "memory" else numbers.PLAIN


def _call_unit(node: pp.Call) -> str:
    name = node.func.name
    if name in _CLOCK_CALLS:
        return numbers.TIMESTAMP
    if name in _COUNTING_CALLS:
        return numbers.PLAIN
    if name == "histogram_quantile":
        bucket = next(iter(_selectors(node)), None)
        return _selector_unit(bucket) if bucket else numbers.PLAIN
    vectors = (argument for argument in node.args if not isinstance(argument, pp.NumberLiteral | pp.StringLiteral))
    inner = next((_unit(argument) for argument in vectors), numbers.PLAIN)
    if name in _RATES:
        # Seconds per second are a plain number: cores, or a share of time.
        return {numbers.BYTES: numbers.BYTES_PER_SECOND, numbers.SECONDS: numbers.PLAIN}.get(inner, numbers.PER_SECOND)
    return inner


def _binary_unit(node: pp.BinaryExpr) -> str:
    op = str(node.op)
    left = _unit(node.lhs)
    if op in ("and", "unless", "or"):
        return left
    if op in _COMPARISONS:
        return numbers.PLAIN if _returns_bool(node) else left
    right = _unit(node.rhs)
    if op == "/" and (numerator := _hundredfold(node.lhs)) is not None and _unit(numerator) == right:
        return numbers.PERCENT
    if op in ("+", "-"):
        return _sum_unit(op, left, right)
    if op == "*":
        factor = _constant(node.lhs) if left == _CONSTANT else _constant(node.rhs)
        return numbers.PERCENT if factor == 100 and numbers.RATIO in (left, right) else numbers.PLAIN
    if op == "/":
        return _quotient_unit(left, right)
    return numbers.PLAIN


def _hundredfold(node: pp.Expr) -> pp.Expr | None:
    """The x of `100 * x` and `x * 100`, None for all others."""
    node = _unparenthesised(node)
    if isinstance(node, pp.BinaryExpr) and str(node.op) == "*":
        for factor, other in ((node.lhs, node.rhs), (node.rhs, node.lhs)):
            if _constant(factor) == 100:
                return other
    return None


def _sum_unit(op: str, left: str, right: str) -> str:
    if op == "-" and numbers.TIMESTAMP in (left, right):
        return numbers.SECONDS if _CONSTANT not in (left, right) else numbers.TIMESTAMP
    if _CONSTANT in (left, right):
        return right if left == _CONSTANT else left
    return left if left == right else numbers.PLAIN


def _quotient_unit(left: str, right: str) -> str:
    if _CONSTANT in (left, right):
        return _CONSTANT if left == right else numbers.PLAIN
    if left == right:
        return numbers.RATIO
    return numbers.BYTES_PER_SECOND if (left, right) == (numbers.BYTES, numbers.SECONDS) else numbers.PLAIN
