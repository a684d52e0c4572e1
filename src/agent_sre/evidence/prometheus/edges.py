"""Who calls whom, how often, how slowly and with how many failures, out of whatever counts calls at one end or at both. Pure.

Istio and Linkerd count at the caller's and at the called's proxy, Tempo's service graph has a client and a server side, span metrics know
the peer of a client span. A call that is slow at its source and not at its destination is slow on the way, so the two sides are kept apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent_sre.evidence.numbers import format_number
from agent_sre.evidence.prometheus import labels as words
from agent_sre.evidence.prometheus import signals
from agent_sre.evidence.prometheus.builder import Matcher, aggregate, equals, one_of, select
from agent_sre.evidence.prometheus.labels import Pair
from agent_sre.evidence.prometheus.signals import Ask, Metric, Reach, Seen
from agent_sre.kit.text import one_line

_NAMESPACES = (
    ("source_workload_namespace", "destination_workload_namespace"),
    ("source_workload_namespace", "destination_service_namespace"),
    ("source_namespace", "destination_namespace"),
    ("namespace", "dst_namespace"),
    ("client_service_namespace", "server_service_namespace"),
)
_NOBODY = frozenset({"", "unknown"})  # what Istio calls an end that has no proxy
_PER_SIGNAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeAsk:
    """A query about edges, and which labels of its answer are the two ends."""

    ask: Ask
    pair: Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of an edge: how it is now, and how it was."""

    what: str
    side: str  # "source", "destination", or empty where the metric does not say who measured
    unit: str
    now: float
    before: float | None

    @property
    def text(self) -> str:
        """`240 ms at the source (was 12 ms)`."""
        at = f" at the {self.side}" if self.side else ""
        was = "" if self.before is None else f" (was {format_number(self.before, self.unit)})"
        failed = " failed" if self.what == "failed" else " succeeded" if self.what == "succeeded" else ""
        return f"{format_number(self.now, self.unit)}{failed}{at}{was}"


def edge_asks(seen: Mapping[str, Seen], reach: Reach, limit: int) -> tuple[EdgeAsk, ...]:
    """The queries for edges that touch the namespace or the subject: traffic, failures and latency, both sides where both are there."""
    found: dict[str, list[tuple[int, str, EdgeAsk]]] = {signals.TRAFFIC: [], signals.ERRORS: [], signals.LATENCY: []}
    for name, one in seen.items():
        metric, pair = signals.classify(name), words.pair_of(one.labels)
        if metric is None or pair is None or metric.signal not in found:
            continue
        grounds = _grounds(one, pair, reach)
        if not grounds:
            continue
        by = _groups(one, pair)
        narrow = _narrowed(metric, one, pair)
        found[metric.signal].append((metric.rank, name, EdgeAsk(ask=_joined(metric, grounds, narrow, by, reach), pair=pair)))
        failed = signals.failed_matchers(one.labels)
        if metric.signal == signals.TRAFFIC and metric.form == signals.COUNTER and failed:
            shares = [signals.error_share(metric, ground + narrow, failed, by, reach.window) for ground in grounds]
            expression = " or ".join(share.expression for share in shares)
            ask = replace(shares[0], expression=expression, side=_side_of(name))
            found[signals.ERRORS].append((metric.rank, name, EdgeAsk(ask=ask, pair=pair)))
    kept = [[ask for _, _, ask in _best(asks)] for asks in found.values()]
    return tuple(ask for asks in kept for ask in asks)[:limit]


def _best(asks: list[tuple[int, str, EdgeAsk]]) -> list[tuple[int, str, EdgeAsk]]:
    """The best metric, and a second one that was measured at the other side of the same kind of edge."""
    ordered = sorted(asks, key=lambda item: item[:2])
    best = ordered[:1]
    for item in ordered[1:]:
        if len(best) == _PER_SIGNAL:
            break
        if item[2].ask.side not in {kept[2].ask.side for kept in best} and item[2].ask.unit == best[0][2].ask.unit:
            best.append(item)
    return best


def _joined(metric: Metric, grounds: list[tuple[Matcher, ...]], narrow: tuple[Matcher, ...], by: tuple[str, ...], reach: Reach) -> Ask:
    asks = [signals.read(metric, ground + narrow, by, reach.window) for ground in grounds]
    if metric.form == signals.GAUGE and not metric.good and metric.signal != signals.LATENCY:
        asks = [replace(ask, expression=_scaled(aggregate("sum", by, select(metric.name, ground + narrow)), metric))
                for ask, ground in zip(asks, grounds, strict=True)]  # fmt: skip
    return replace(asks[0], expression=" or ".join(ask.expression for ask in asks), side=_side_of(metric.name))


def _scaled(expression: str, metric: Metric) -> str:
    return expression if metric.factor == 1 else f"({expression}) * {metric.factor:g}"


def _grounds(seen: Seen, pair: Pair, reach: Reach) -> list[tuple[Matcher, ...]]:
    """Matchers of which each finds some of the edges that touch us, all of them together."""
    if not reach.namespace:
        grounds = [ground] if (ground := reach.of(seen)) else []
    else:
        ends = next((ends for ends in _NAMESPACES if set(ends) <= seen.labels), None)
        if ends is not None:
            grounds = [(equals(end, reach.namespace),) for end in ends]
        else:
            grounds = [ground] if (ground := reach.of(replace(seen, series=0))) else []
    if not reach.is_narrow(seen) and grounds:
        return grounds
    own = [(one_of(end, reach.own),) for end in (pair.source, pair.destination)]
    return [ground + mine for ground in grounds or [()] for mine in own] if reach.own and (grounds or not reach.namespace) else []


def _groups(seen: Seen, pair: Pair) -> tuple[str, ...]:
    ends = next((ends for ends in _NAMESPACES if set(ends) <= seen.labels), ())
    return tuple(sorted({pair.source, pair.destination, *ends, *(name for name in ("reporter",) if name in seen.labels), *_called_pod(seen, pair)}))


def _called_pod(seen: Seen, pair: Pair) -> tuple[str, ...]:
    """The label with the called pod, where there is one: a bad version shows in its own pods only.

    Istio's `pod` is the one that was scraped, at either end, so the names have to say it.
    """
    name = words.first(words.POD, seen.labels)
    told = [series for series in seen.samples if series.get(name) and series.get(pair.destination)] if name else []
    return (name,) if told and all(series[name].startswith(series[pair.destination]) for series in told) else ()


def _narrowed(metric: Metric, seen: Seen, pair: Pair) -> tuple[Matcher, ...]:
    matchers: list[Matcher] = []
    if pair.via == "spans" and "span_kind" in seen.labels:
        matchers.append(Matcher(name="span_kind", op="=~", value="SPAN_KIND_CLIENT|SPAN_KIND_PRODUCER"))
    if "direction" in seen.labels and pair.destination.startswith("dst_"):  # Linkerd knows the peer of what goes out only
        matchers.append(equals("direction", "outbound"))
    if "quantile" in seen.labels and metric.form == signals.GAUGE:
        matchers.append(Matcher(name="quantile", op="=~", value="0\\.9.*"))
    return tuple(matchers)


def _side_of(metric: str) -> str:
    parts = metric.split("_")
    return "source" if "client" in parts else "destination" if "server" in parts else ""


def ends_of(labels: Mapping[str, str], pair: Pair) -> tuple[str, str] | None:
    """Caller and called of one series; None where one of them is nobody."""
    source, destination = labels.get(pair.source, ""), labels.get(pair.destination, "")
    return None if source in _NOBODY or destination in _NOBODY else (source, destination)


def side_of(labels: Mapping[str, str], ask: Ask) -> str:
    """Who measured: the proxy at the source or at the destination, else what the metric's name says."""
    reporter = labels.get("reporter", "")
    return reporter if reporter in ("source", "destination") else ask.side


def edge_text(source: str, destination: str, figures: list[Figure]) -> str:
    """`frontend → cart: 12.3/s, 4 % failed (was 0 %), 240 ms at the source (was 12 ms)`."""
    return f"{one_line(source, 80)} → {one_line(destination, 80)}: {', '.join(figure.text for figure in figures[:6])}"
