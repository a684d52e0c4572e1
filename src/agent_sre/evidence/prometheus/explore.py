"""The subject's surroundings: its siblings, the golden signals of it and its neighbours, what its workload says, who calls whom.

`source` asks what the alert is about; this asks what is around it. Nobody has said which metrics there are, so the first question looks
(`discovery`), and the others ask only for what was found. All of it is extra: it waits for no more than PATIENCE, takes what has come by
then, and says what is missing. At most MAX_CALLS calls in one investigation, MAX_IN_FLIGHT at a time over all of them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import urlencode

from agent_sre.alert.subject import describe
from agent_sre.evidence.changes import LOOKED_BACK, summary_of
from agent_sre.evidence.evidence import Data, Dependency, Evidence, Fact, MetricSeries, Query, Window
from agent_sre.evidence.numbers import format_beside, format_number
from agent_sre.evidence.prometheus import builder, changed, edges, promql, siblings, signals, workload
from agent_sre.evidence.prometheus import labels as words
from agent_sre.evidence.prometheus.builder import Matcher, NotPromQL
from agent_sre.evidence.prometheus.client import PrometheusClient, QueryResult, Series
from agent_sre.evidence.prometheus.discovery import Catalogue, Discovery, Ground, ground_of, side_by_side
from agent_sre.evidence.prometheus.edges import EdgeAsk, Figure
from agent_sre.evidence.prometheus.movement import Movement, movement
from agent_sre.evidence.prometheus.promql import Term
from agent_sre.evidence.prometheus.signals import Ask, Reach
from agent_sre.evidence.series_changes import changes_in_series
from agent_sre.incident.incident import MemberAlert
from agent_sre.kit.clock import Clock
from agent_sre.kit.errors import AgentSREError, Rejected, Unavailable
from agent_sre.kit.text import one_line

_T = TypeVar("_T")

SIBLINGS, WORKLOAD, DEPENDENCIES, CHANGES = "siblings", "workload", "dependencies", "changes"
KINDS = (WORKLOAD, SIBLINGS, *signals.SIGNALS, DEPENDENCIES, CHANGES)
"""In the order in which they are asked: cheap ones first."""

MAX_POINTS = 240
MAX_CURVES = 40
"""Curves of one answer: the subject's, then those that moved most."""

CROWD = 80
"""Series of a metric from which on Prometheus is first asked for a dozen points of each, and for whole curves of those that moved only."""

MAX_EDGES = 40
MAX_EDGE_CURVES = 100
"""Latency and failures of forty edges, and half as many again for edges that were measured at both sides or by pod."""

MAX_SIBLINGS = 20
MAX_FACTS = 60
HISTORY = timedelta(hours=4)
LONGEST = timedelta(hours=24)
RATE_WINDOW = timedelta(minutes=3)
"""Three samples at the usual scrape interval of one minute; longer windows hide when it began."""

MAX_IN_FLIGHT = 4
PATIENCE = timedelta(seconds=0.7)
"""Less than the deadline of `gather`, the wait for a place included, so that what has come by then is evidence and not a gap."""

CALLS: Mapping[str, int] = {
    WORKLOAD: 8, SIBLINGS: 18, signals.LATENCY: 4, signals.TRAFFIC: 2, signals.ERRORS: 4, signals.SATURATION: 8, signals.CPU: 2,
    signals.MEMORY: 2, signals.NETWORK: 4, DEPENDENCIES: 6, CHANGES: 7,
}  # fmt: skip
"""The most calls that one question may make, discovery aside."""

DISCOVERY_CALLS = 10
MAX_CALLS = sum(CALLS.values()) + DISCOVERY_CALLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """What the alert looks at: the term that fired, the labels that its series carries, and an instant at which it can be seen."""

    term: Term
    labels: Mapping[str, str]
    at: datetime


class Lens(Protocol):
    """What `source` knows about an alert's own expression."""

    async def focus(self, member: MemberAlert, window: Window) -> Focus: ...

    async def restricted(self, expression: str, labels: Mapping[str, str], at: datetime) -> str: ...


@dataclass(frozen=True, slots=True)
class _Curve:
    series: Series
    ask: Ask
    moved: Movement
    own: bool


def questions(member: MemberAlert, now: datetime) -> tuple[Query, ...]:
    """What to ask about the lead alert's surroundings. Pure; which metrics will answer is found out by `Explorer.fetch`."""
    subject = one_line(describe(member.subject), 160)
    window = wide_window(member.starts_at, now)
    purposes = {
        WORKLOAD: ("workload facts of", "replicas, restarts, reasons, limits, volumes and nodes of", "and trouble beside it"),
        SIBLINGS: ("siblings of", "whether", "is the odd one out among its like"),
        signals.LATENCY: ("latency of", "how long requests take at", "and its neighbours"),
        signals.TRAFFIC: ("traffic of", "how many requests reach", "and its neighbours"),
        signals.ERRORS: ("failed requests of", "how many requests fail at", "and its neighbours"),
        signals.SATURATION: ("saturation of", "how full the limits, volumes and machines are of", "and its neighbours"),
        signals.CPU: ("CPU of", "how much CPU is used by", "and its neighbours"),
        signals.MEMORY: ("memory of", "how much memory is used by", "and its neighbours"),
        signals.NETWORK: ("network traffic of", "how much goes over the network at", "and its neighbours"),
        DEPENDENCIES: ("calls around", "who calls whom around", "how often, how slowly and with how many failures"),
        CHANGES: ("changes around", "what was rolled out, scaled or cordoned around", "in the day before, as far as metrics tell"),
    }
    windows = {CHANGES: change_window(member.starts_at, now)}
    return tuple(
        Query(
            id="", source="prometheus", kind=kind, expression=f"{what} {subject}", purpose=f"{before} {subject} {after}".replace("  ", " "),
            window=windows.get(kind, window), fingerprint=member.fingerprint,
        )
        for kind, (what, before, after) in purposes.items()
    )  # fmt: skip


def wide_window(starts_at: datetime, now: datetime) -> Window:
    """From four hours before the likeliest onset until now, at most a day in all and at most 240 points."""
    end = now.replace(microsecond=0)
    return _points_of(max(min(starts_at, end) - HISTORY - timedelta(minutes=30), end - LONGEST), end)


def change_window(starts_at: datetime, now: datetime) -> Window:
    """From a day before the alert until now, at most two days in all and at most 240 points: a change is dated to some minutes."""
    end = now.replace(microsecond=0)
    return _points_of(max(min(starts_at, end) - LOOKED_BACK, end - 2 * LOOKED_BACK), end)


def _points_of(start: datetime, end: datetime) -> Window:
    span = (end - start).total_seconds()
    step = max(15.0, 5 * math.ceil(span / (MAX_POINTS - 1) / 5))
    return Window(start=end - timedelta(seconds=step * math.ceil(span / step)), end=end, step=timedelta(seconds=step))


def graph_url(external_url: str, query: Query) -> str:
    """Where a person sees the same curve; empty without a window."""
    if query.window is None:
        return ""
    span = query.window.end - query.window.start
    parts = {
        "g0.expr": query.expression,
        "g0.tab": "0",
        "g0.range_input": f"{max(1, math.ceil(span.total_seconds() / 60))}m",
        "g0.end_input": format(query.window.end.astimezone(UTC), "%Y-%m-%d %H:%M:%S"),
    }
    return f"{external_url}/graph?{urlencode(parts, errors='replace')}"


class Explorer:
    """Answers the kinds of KINDS."""

    def __init__(self, client: PrometheusClient, clock: Clock, lens: Lens, *, patience: timedelta = PATIENCE) -> None:
        self._client = client
        self._clock = clock
        self._lens = lens
        self._patience = patience.total_seconds()
        self._places = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._discovery = Discovery(client, clock, self._places)

    async def aclose(self) -> None:
        """Ends what still looks around."""
        await self._discovery.aclose()

    async def fetch(self, query: Query, member: MemberAlert) -> Evidence:
        """The answer to one of `questions`.

        Curves are those of the subject and of the neighbours that moved most; each carries its metric as `__name__`, which is a label of ours
        where the expression had none. What did not come in time, or was refused, is told in a fact `warning` and at the end of the summary.
        Raises AgentSREError as the client does where nothing at all came.
        """
        look = _Look(
            client=self._client, clock=self._clock, places=self._places, query=query, member=member, window=_window(query),
            patience=self._patience, ends_at=asyncio.get_running_loop().time() + self._patience, budget=CALLS[query.kind],
        )  # fmt: skip
        try:
            return await look.within(self._siblings(look)) if query.kind == SIBLINGS else await self._around(look)
        except NotPromQL as error:
            raise Rejected(f"What is around {one_line(describe(member.subject))} cannot be asked in PromQL: {error}.") from error

    async def _around(self, look: _Look) -> Evidence:
        member = look.member
        ground = ground_of(member.subject, member.labels)
        if ground == Ground():
            return look.evidence((), "the alert names no namespace, node, job or service to look around in")
        catalogue = await look.within(self._discovery.of(ground, look.window.end))
        if look.query.kind == WORKLOAD:
            return await self._workload(look, ground, catalogue)
        own = words.names_of(member.subject)
        reach = Reach(namespace=ground.namespace, matchers=ground.matchers, window=max(RATE_WINDOW, look.window.step), own=own)
        if look.query.kind == CHANGES:
            return await self._changes(look, ground, catalogue)
        if look.query.kind == DEPENDENCIES:
            return await self._dependencies(look, ground, catalogue, reach)
        return await self._signal(look, ground, catalogue, reach)

    # Golden signals

    async def _signal(self, look: _Look, ground: Ground, catalogue: Catalogue, reach: Reach) -> Evidence:
        most = look.budget // 2  # each of them may need a first look
        asks = signals.asks(look.query.kind, catalogue.seen, reach, most)
        if not asks:
            return look.evidence((), f"no metric of {look.query.kind} in {_ground(ground)}")
        crowd = 0
        if any(catalogue.seen[ask.metric].series > CROWD for ask in asks):
            crowd, only = await self._worth_a_curve(look, asks)
            # The same metrics in the same order: which ones are asked depends on their names and labels alone.
            asks = signals.asks(look.query.kind, catalogue.seen, replace(reach, only=only), most) if only else asks
        answers = await look.curves([ask.expression for ask in asks])
        curves = [
            _Curve(series, ask, moved, words.is_subject(series.labels, look.member.subject))
            for ask, answer in zip(asks, answers, strict=True)
            for series in (answer.series if answer else ())
            if (moved := movement(series.points, look.member.starts_at, worse=ask.worse)) is not None
        ]
        ran = replace(look.query, expression=asks[0].expression, language="promql")
        if not curves:
            return look.evidence((), f"no sample of {asks[0].metric} in {_ground(ground)}", ran=ran)
        curves.sort(key=lambda curve: (not curve.own, -curve.moved.score, sorted(curve.series.labels.items())))
        kept = curves[:MAX_CURVES]
        facts = [_signal_fact(ask, curves, crowd) for ask in asks if any(curve.ask is ask for curve in curves)]
        line = "; ".join(fact.text for fact in facts[:3])
        if any(reach.is_narrow(catalogue.seen[ask.metric]) for ask in asks if ask.metric in catalogue.seen):
            line += "; neighbours left out, they are too many series"
        data: list[Data] = [*facts, *(_kept(curve.series, curve.ask) for curve in kept)]
        return look.evidence(data, line, ran=ran, truncated=len(curves) > len(kept) or crowd > 0)

    async def _worth_a_curve(self, look: _Look, asks: Sequence[Ask]) -> tuple[int, tuple[Matcher, ...]]:
        """Of how many objects some are left out (0: none), and which to ask for: the subject, and those that moved most in a dozen points each.

        No matcher where a metric does not tell its objects apart, or said nothing in time.
        """
        answers = await look.gathered([partial(look.query_coarsely, ask.expression) for ask in asks])
        crowd, worth = 0, dict[str, set[str]]()
        for ask, answer in zip(asks, answers, strict=True):
            rows = [
                (words.is_subject(series.labels, look.member.subject), moved.score, series.labels)
                for series in (answer.series if answer else ())
                if (moved := movement(series.points, look.member.starts_at, worse=ask.worse)) is not None
            ]
            rows.sort(key=lambda row: (not row[0], -row[1], sorted(row[2].items())))
            finest = next((name for name in words.finest_first(ask.by) if all(name in labels for _, _, labels in rows)), "")
            if not rows or not finest:
                return 0, ()
            crowd = max(crowd, len(rows) if len(rows) > MAX_CURVES else 0)
            worth.setdefault(finest, set()).update(labels[finest] for _, _, labels in rows[:MAX_CURVES])
        return crowd, tuple(builder.one_of(name, values) for name, values in worth.items())

    # Siblings

    async def _siblings(self, look: _Look) -> Evidence:
        member, window = look.member, look.window
        focus = await self._lens.focus(member, window)
        named = siblings.shared(focus.labels)
        unit = promql.unit_of_expression(focus.term.value)
        facts: list[Fact] = [_metrics_fact(focus.term.value)]
        expression = await self._lens.restricted(focus.term.value, named, focus.at) if named else focus.term.value
        look.spend(9)  # the focus and the restriction
        found = siblings.newest((await look.instant(expression, focus.at)).series)
        own = [item for item in found if _is_own(item[0].labels, focus.labels, member)]
        whole = len(found) > 1 and bool(own)
        if not whole:
            split = await self._split(look, focus, named)
            if split is None:
                line = "the expression has one series and its metrics do not tell objects apart: there is nobody to compare with"
                return look.evidence((), line, ran=replace(look.query, expression=expression, language="promql"))
            expression, unit, found, own = split
        others = [item for item in found if item not in own]
        mine = max(own, key=lambda item: abs(item[1]))
        stands = siblings.standing(mine[1], [value for _, value in others])
        name = one_line(words.called(mine[0].labels), 80)
        if stands is None:
            line = f"{name} has no siblings in this expression"
            return look.evidence((), line, ran=replace(look.query, expression=expression, language="promql"))
        chosen = [*own[:5], *siblings.farthest(others, stands.middle, MAX_SIBLINGS - min(5, len(own)))]
        drawn = expression if len(found) <= MAX_SIBLINGS else _only(expression, [series.labels for series, _ in chosen])
        curves = await look.curves([drawn])
        over = _over_threshold(focus.term, found) if whole else None  # a part has no threshold of its own
        line = siblings.describe(stands, name, unit) + (f"; {over} of {len(found)} break the threshold" if over is not None else "")
        if len(found) > MAX_SIBLINGS:
            line += f"; {MAX_SIBLINGS} of {len(found)} shown"
        facts.insert(
            0,
            Fact(
                name="siblings", text=line,
                values={
                    "subject": name, "value": stands.value, "median": stands.middle, "rank": stands.rank, "total": stands.total,
                    "score": round(stands.score, 3), "odd_one_out": stands.odd, "over_threshold": over, "unit": unit,
                },
            ),
        )  # fmt: skip
        facts += [
            Fact(name="sibling", text=f"{one_line(words.called(series.labels), 80)}: {format_number(value, unit)}",
                 values={"object": one_line(words.called(series.labels), 200), "value": value, "subject": (series, value) in own})
            for series, value in chosen
        ]  # fmt: skip
        known = {frozenset(series.labels.items()) for series, _ in found}
        drawable = [series for series in (curves[0].series if curves[0] else ()) if frozenset(series.labels.items()) in known]
        shown = [series for series in drawable if series.points][:MAX_SIBLINGS]
        shown.sort(key=lambda series: not _is_own(series.labels, focus.labels, member))
        ran = replace(look.query, expression=drawn, language="promql")
        return look.evidence((*facts, *(_kept(one) for one in shown)), line, ran=ran, truncated=len(found) > MAX_SIBLINGS)

    async def _split(
        self, look: _Look, focus: Focus, named: Mapping[str, str]
    ) -> tuple[str, str, list[tuple[Series, float]], list[tuple[Series, float]]] | None:
        """One of the expression's metrics over the objects that it tells apart: what the sum of the rule hides."""
        for leaf in promql.leaves(focus.term.value)[:3]:
            try:
                narrow = promql.inject(leaf.expression, named) if named else leaf.expression
            except ValueError:
                narrow = leaf.expression
            expression = builder.aggregate("sum", (*siblings.NAMED_BY, *named), narrow)
            found = siblings.newest((await look.instant(expression, focus.at)).series)
            here = [item for item in found if any(item[0].labels.get(name) == look.member.subject.namespace for name in words.NAMESPACE)]
            found = here if len(here) > 1 else found
            if len(found) < 2:
                continue
            own = [item for item in found if words.is_subject(item[0].labels, look.member.subject)]
            return expression, promql.unit_of_expression(leaf.expression), found, own or [max(found, key=lambda item: item[1])]
        return None

    # Workload

    async def _workload(self, look: _Look, ground: Ground, catalogue: Catalogue) -> Evidence:
        subject = look.member.subject
        own = words.names_of(subject)
        at = look.window.end
        label = workload.namespace_label(catalogue.seen)
        asked = workload.queries(catalogue.names, ground.namespace, label, own) if ground.namespace else (workload.NODE_TROUBLE,)
        past = workload.history(catalogue.names, ground.namespace, label, own) if ground.namespace else ()
        asked = asked[: look.budget - len(past)]
        answers = await look.gathered([*(partial(look.query_at, text, at) for text in asked), *(partial(look.query_over, text) for text in past)])
        states = [series for answer in answers[: len(asked)] if answer for series in answer.series]
        facts = workload.told(states, subject, ground.namespace)
        curves = [series for answer in answers[len(asked) :] if answer for series in answer.series if workload.is_own(series.labels, subject)]
        ran = replace(look.query, expression=asked[0], language="promql")
        if not facts:
            return look.evidence((), f"kube-state-metrics says nothing about {_ground(ground)}", ran=ran)
        line = workload.summary(facts, describe(subject))
        kept = tuple(one.fact for one in facts[:MAX_FACTS])
        shown = tuple(_kept(one, metric=workload.RESTARTS) for one in curves[:MAX_CURVES])
        return look.evidence((*kept, *shown), line, ran=ran, truncated=len(facts) > len(kept) or len(curves) > len(shown))

    # Changes

    async def _changes(self, look: _Look, ground: Ground, catalogue: Catalogue) -> Evidence:
        asked = changed.queries(catalogue.names, catalogue.seen, ground, words.names_of(look.member.subject))
        if not asked.now and not asked.over:
            return look.evidence((), f"no metric in {_ground(ground)} tells of rollouts, scaling or versions")
        calls = [*(partial(look.query_at, text, look.window.end) for text in asked.now), *(partial(look.query_over, text) for text in asked.over)]
        answers = await look.gathered(calls)
        series = [MetricSeries(labels=one.labels, points=tuple(one.points)) for answer in answers if answer for one in answer.series]
        start = look.member.starts_at - LOOKED_BACK
        found = await asyncio.to_thread(partial(changes_in_series, series, window_start=start, now=look.window.end))
        ran = replace(look.query, expression=(*asked.over, *asked.now)[0], language="promql")
        return look.evidence(found, summary_of(found, look.member.starts_at, LOOKED_BACK), ran=ran)

    # Dependencies

    async def _dependencies(self, look: _Look, ground: Ground, catalogue: Catalogue, reach: Reach) -> Evidence:
        asks = edges.edge_asks(catalogue.seen, reach, look.budget)
        if not asks:
            return look.evidence((), f"no metric in {_ground(ground)} has both ends of a call")
        answers = await look.curves([one.ask.expression for one in asks])
        found: dict[tuple[str, str], list[tuple[EdgeAsk, Series, Movement]]] = {}
        for asked, answer in zip(asks, answers, strict=True):
            for series in answer.series if answer else ():
                ends = edges.ends_of(series.labels, asked.pair)
                moved = movement(series.points, look.member.starts_at, worse=asked.ask.worse)
                if ends is not None and moved is not None:
                    found.setdefault(ends, []).append((asked, series, moved))
        ran = replace(look.query, expression=asks[0].ask.expression, language="promql")
        if not found:
            return look.evidence((), f"no call was counted around {_ground(ground)}", ran=ran)
        names = words.names_of(look.member.subject)
        for rows in found.values():  # a call that was measured for each pod is told by the pod that moved most
            rows.sort(key=lambda row: -row[2].score)
        order = sorted(found, key=lambda ends: (not set(ends) & names, -max(moved.score for _, _, moved in found[ends]), ends))
        order = order[:MAX_EDGES]
        dependencies = [
            Dependency(source=one_line(ends[0], 200), destination=one_line(ends[1], 200), via=found[ends][0][0].pair.via) for ends in order
        ]
        facts = [_edge_fact(ends, found[ends]) for ends in order]
        # Latency and failures tell more than traffic; an edge keeps its sides together.
        curves = sorted(
            ((asked, series) for ends in order for asked, series, _ in found[ends]), key=lambda item: item[0].ask.signal == signals.TRAFFIC
        )
        kept = [_kept(series, asked.ask) for asked, series in curves[:MAX_EDGE_CURVES]]
        touching = sum(bool(set(ends) & names) for ends in found)
        line = f"{len(found)} {'edge' if len(found) == 1 else 'edges'}, {touching} of them at {describe(look.member.subject)}"
        moved_most = max(order, key=lambda ends: max(moved.score for _, _, moved in found[ends]))
        if any(moved.score > 0 for _, _, moved in found[moved_most]):
            line += f"; moved most: {_edge_fact(moved_most, found[moved_most]).text}"
        truncated = len(found) > len(order) or len(curves) > len(kept)
        return look.evidence((*dependencies, *facts, *kept), line, ran=ran, truncated=truncated)


@dataclass(slots=True, kw_only=True)
class _Look:
    """One question while it is answered: whom it asks, how long it may take, and what went missing on the way."""

    client: PrometheusClient
    clock: Clock
    places: asyncio.Semaphore
    query: Query
    member: MemberAlert
    window: Window
    patience: float  # seconds
    ends_at: float  # event loop time
    budget: int
    errors: tuple[AgentSREError, ...] = ()
    late: int = 0
    warnings: tuple[str, ...] = ()

    def spend(self, calls: int) -> None:
        self.budget -= calls

    async def within(self, call: Awaitable[_T]) -> _T:
        """The result of what everything else needs, or `timeout`."""
        try:
            async with asyncio.timeout_at(self.ends_at):
                return await call
        except TimeoutError as error:
            raise _late(self.patience) from error

    async def query_at(self, expression: str, at: datetime) -> QueryResult:
        async with self.places:
            return await self.client.query(expression, at=at)

    async def query_over(self, expression: str) -> QueryResult:
        async with self.places:
            return await self.client.query_range(expression, self.window)

    async def query_coarsely(self, expression: str) -> QueryResult:
        """A range query of the same stretch, with a dozen points."""
        step = max(self.window.step, (self.window.end - self.window.start) / 12)
        async with self.places:
            return await self.client.query_range(expression, replace(self.window, start=self.window.end - 12 * step, step=step))

    async def instant(self, expression: str, at: datetime) -> QueryResult:
        """One instant query that must succeed."""
        if self.budget <= 0:
            raise Rejected("This question has made all the calls that it may make.", reason="too_large")
        self.spend(1)
        return await self.query_at(expression, at)

    async def curves(self, expressions: Sequence[str]) -> list[QueryResult | None]:
        """Range queries side by side; None for those that failed or were late. Raises the first error where all of them did."""
        return await self.gathered([partial(self.query_over, text) for text in expressions])

    async def gathered(self, calls: Sequence[Callable[[], Awaitable[QueryResult]]]) -> list[QueryResult | None]:
        allowed = list(calls[: max(1, self.budget)])
        self.spend(len(allowed))
        answers, errors, self.late = await side_by_side(allowed, self.ends_at - asyncio.get_running_loop().time())
        self.errors = tuple(errors)
        if not any(answers) and all(answer is None for answer in answers):
            if errors:
                raise errors[0]
            raise _late(self.patience)
        self.warnings = tuple(dict.fromkeys(text for answer in answers if answer for text in answer.warnings))
        return answers + [None] * (len(calls) - len(allowed))

    def evidence(self, data: Sequence[Data], summary: str, *, ran: Query | None = None, truncated: bool = False) -> Evidence:
        query = ran or self.query
        missing = [*self.warnings, *(str(error) for error in self.errors)]
        line = one_line(summary, 1200)
        if self.warnings:
            line += " (Prometheus warns that the answer is incomplete)"
        if self.errors or self.late:
            failed = f"{len(self.errors)} {'query' if len(self.errors) == 1 else 'queries'} failed" if self.errors else ""
            late = f"{self.late} did not come in time" if self.late else ""
            line += f" ({', '.join(part for part in (failed, late) if part)})"
        warnings = tuple(Fact(name="warning", text=one_line(text), values={}) for text in missing[:10])
        return Evidence(
            id=query.id, query=query, subject=self.member.subject, data=(*data, *warnings), summary=line, collected_at=self.clock.now(),
            took=timedelta(0), truncated=truncated or bool(self.late), url=graph_url(self.client.external_url, query) if query.language else "",
        )  # fmt: skip


# Facts


def _signal_fact(ask: Ask, curves: Sequence[_Curve], crowd: int) -> Fact:
    """How the subject stands in this metric and who moved most: `p95 latency of cart is 1.2 s (was 40 ms); most unusual: db 2 s (was 3 ms)`."""
    mine = [curve for curve in curves if curve.ask is ask and curve.own]
    others = [curve for curve in curves if curve.ask is ask and not curve.own]
    parts = []
    if mine:
        parts.append(f"{ask.what} of {_moved_text(mine[0], ask.unit)}")
    moved = [curve for curve in sorted(others, key=lambda curve: -curve.moved.score)[:3] if curve.moved.score > 1]
    total = max(len(others), crowd - len(mine))
    count = f"{total} {'neighbour' if total == 1 else 'neighbours'}"
    if moved:
        parts.append(f"most unusual of {count}: {', '.join(_moved_text(curve, ask.unit) for curve in moved)}")
    elif others:
        known = any(curve.moved.before is not None for curve in others)
        parts.append(f"none of {count} moved much" if known else f"too little history of {count} to say what is usual")
    if not mine:
        parts.insert(0, f"{ask.what}: nothing of the subject itself")
    first = mine[0].moved if mine else None
    values = {
        "metric": ask.metric, "signal": ask.signal, "unit": ask.unit, "worse": ask.worse, "expression": ask.expression,
        "current": first.now if first else None, "before": first.before if first else None, "neighbours": total,
    }  # fmt: skip
    return Fact(name="signal", text=one_line("; ".join(parts), 600), values=values)


def _moved_text(curve: _Curve, unit: str) -> str:
    name = one_line(words.called(curve.series.labels), 80)
    if curve.moved.before is None:
        return f"{name} is {format_number(curve.moved.now, unit)} (too little history to say what is usual)"
    now, before = format_beside(curve.moved.now, curve.moved.before, unit)
    return f"{name} is {now} (was {before})"


def _metrics_fact(expression: str) -> Fact:
    read = promql.leaves(expression)
    names = sorted({leaf.metric for leaf in read if leaf.metric})
    text = f"the rule reads {', '.join(one_line(name, 120) for name in names[:10])}" if names else "the rule's metrics cannot be told"
    return Fact(name="metrics", text=text, values={str(number): one_line(leaf.expression, 400) for number, leaf in enumerate(read[:10], 1)})


def _edge_fact(ends: tuple[str, str], rows: Sequence[tuple[EdgeAsk, Series, Movement]]) -> Fact:
    source, destination = ends
    figures: list[Figure] = []
    values: dict[str, str | int | float | bool | None] = {"source": source, "destination": destination, "via": rows[0][0].pair.via}
    seen: set[tuple[str, str]] = set()
    for asked, series, moved in rows:
        side = edges.side_of(series.labels, asked.ask)
        signal = asked.ask.signal
        if (signal, side) in seen:
            continue
        seen.add((signal, side))
        kind = "succeeded" if asked.ask.worse == "down" else "failed" if signal == signals.ERRORS else ""
        figures.append(Figure(what=kind, side=side, unit=asked.ask.unit, now=moved.now, before=moved.before))
        name = "success" if kind == "succeeded" else signal
        values[f"{name}_{side}" if side else name] = moved.now
        values[f"{name}_{side}_before" if side else f"{name}_before"] = moved.before
    return Fact(name="edge", text=edges.edge_text(source, destination, figures), values=values)


def _kept(series: Series, ask: Ask | None = None, *, metric: str = "") -> MetricSeries:
    """A curve as evidence: finite, bounded, to six digits, with its metric's name and with what it was asked for."""
    metric = ask.metric if ask else metric
    points = tuple((at, float(f"{value:.6g}")) for at, value in series.points if math.isfinite(value) and 0 <= at < 1e11)
    labels = {"__name__": metric, **series.labels} if metric else dict(series.labels)
    if ask is None:
        return MetricSeries(labels=labels, points=points[-MAX_POINTS:])
    return MetricSeries(labels=labels, points=points[-MAX_POINTS:], signal=ask.signal, unit=ask.unit, worse=ask.worse)


# Helpers


def _is_own(labels: Mapping[str, str], focus: Mapping[str, str], member: MemberAlert) -> bool:
    """Whether a series is the alert's: by the labels that the alert's series had, else by the subject."""
    telling = {name: value for name, value in focus.items() if name not in siblings.shared(focus)}
    if telling:
        return all(labels.get(name) == value for name, value in telling.items())
    return words.is_subject(labels, member.subject)


def _over_threshold(term: Term, found: Sequence[tuple[Series, float]]) -> int | None:
    """How many break the rule's constant thresholds; None where it has none."""
    bars = [(threshold.op, threshold.value) for threshold in term.thresholds if threshold.value is not None]
    if not bars or len(bars) < len(term.thresholds):
        return None
    return sum(all(_breaks(value, op, bar) for op, bar in bars) for _, value in found)


def _breaks(value: float, op: str, bar: float) -> bool:
    return {">": value > bar, "<": value < bar, ">=": value >= bar, "<=": value <= bar, "==": value == bar, "!=": value != bar}[op]


def _only(expression: str, rows: Sequence[Mapping[str, str]]) -> str:
    """The expression for these series only, by the labels that all of them have; as it is where they have none."""
    names = set(rows[0]).intersection(*rows[1:]) - {"__name__"}
    telling = sorted(name for name in names if len({row[name] for row in rows}) > 1) or sorted(names)
    try:
        return builder.join_any(expression, [{name: row[name] for name in telling} for row in rows])
    except ValueError:
        return expression


def _late(patience: float) -> Unavailable:
    # Not "timeout": three of those would close the source for the questions that matter most.
    return Unavailable(f"Prometheus did not answer within {patience:g} s, which is as long as this question waits.", reason="late")


def _ground(ground: Ground) -> str:
    return one_line(ground.text, 160)


def _window(query: Query) -> Window:
    if query.window is None:
        raise Rejected(f'The query "{query.kind}" needs a time window.')
    return query.window
