"""What Prometheus knows about the alerts of an incident: what the rule measures, against what, since when, and whether the target answers.

How one series of thousands is found. The webhook's labels are the series' labels plus external ones (`cluster`), plus the rule's own
(`severity`), and relabelling may have changed any of them, so nobody can tell from the outside which of them a selector may use. We ask:
the rule's own expression, as an instant query, returns exactly what is alerting. Whichever series does not contradict the alert's labels
is the alert's, and its labels, no others, restrict the range query that follows. Where matchers inside the expression could change its
meaning (a share of a total), the restricted expression is compared with `(…) and on(…)`, which cannot, and loses if they differ.
Whatever comes back is filtered against the alert's labels once more.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import quote, urlencode

from agent_sre.alert.alert import AlertStatus
from agent_sre.evidence.evidence import Evidence, Fact, MetricSeries, Query, SourceHealth, Window
from agent_sre.evidence.numbers import format_number
from agent_sre.evidence.off import NotConfigured
from agent_sre.evidence.prometheus import builder, explore, promql, reading
from agent_sre.evidence.prometheus.client import (
    NAME,
    SETTING,
    ActiveAlert,
    PrometheusClient,
    PrometheusSettings,
    QueryResult,
    Rule,
    Series,
    Target,
)
from agent_sre.evidence.prometheus.explore import Explorer, Focus, graph_url
from agent_sre.evidence.prometheus.promql import Term, Threshold
from agent_sre.evidence.prometheus.reading import Bar, Reading
from agent_sre.evidence.suggested import MAX_BYTES, MOST_SERIES, SUGGESTED, sentence
from agent_sre.incident.incident import Incident, MemberAlert
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import readable
from agent_sre.kit.errors import AgentSREError, Rejected
from agent_sre.kit.text import one_line
from agent_sre.kit.times import format_instant

T = TypeVar("T")
Values = dict[str, str | int | float | bool | None]

MAX_SERIES = 20
MAX_POINTS = 240
MIN_STEP = timedelta(seconds=15)
"""The scrape interval of most installations is 15 or 30 s; finer steps repeat samples."""

MAX_ALERTS = 4
"""Alerts of one incident that are looked at: the lead and three more with other expressions. The rest share their causes."""

_UNKNOWN_FOR = timedelta(minutes=30)
_BEFORE_ONSET = timedelta(minutes=30)
_MAX_WINDOW = timedelta(days=30)
_RECENT = timedelta(hours=1)
"""A metric that nobody delivered for so long is not there. Prometheus looks through whole blocks, so it knows those of the last hours anyway."""

_NAMED = 4

_NEVER_MATCH = frozenset({"__name__", "alertname", "severity"})
"""Labels that the rule sets on the alert, whatever the series says."""

_TARGET_ALERT = re.compile(r"(?:target|instance|exporter|scrape|probe|endpoint)\w*(?:down|missing|unreachable)", re.IGNORECASE)


class PrometheusSource:
    """Evidence from one Prometheus. Kinds of query: value, threshold, active, rule, up, targets, those of explore.KINDS, and suggested.

    docs/reference/evidence.md says what each of them is.
    """

    name = NAME
    language = "promql"

    def __init__(self, client: PrometheusClient, clock: Clock, *, patience: timedelta = explore.PATIENCE) -> None:
        self._client = client
        self._clock = clock
        self._explorer = Explorer(client, clock, self, patience=patience)
        self._fetch_by_kind: dict[str, Callable[[Query, MemberAlert], Awaitable[Evidence]]] = {
            "value": self._fetch_value,
            "threshold": self._fetch_threshold,
            "active": self._fetch_active,
            "rule": self._fetch_rule,
            "up": self._fetch_up,
            "targets": self._fetch_targets,
            **dict.fromkeys(explore.KINDS, self._explorer.fetch),
            SUGGESTED: self._fetch_suggested,
        }

    def plan(self, incident: Incident, now: datetime) -> tuple[Query, ...]:
        """What the lead alert and up to three others with other expressions say, then what is around the lead alert's subject."""
        members = _members(incident)
        own = tuple(query for member in members for query in _plan_alert(member, now, several=len(members) > 1))
        return (*own, *explore.questions(incident.lead, now))

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        """The answer. The evidence's query is the one that really ran: restricted, and of the term that fired.

        Raises AgentSREError as the client does, and Rejected (`reason` "no_expression") where neither the alert nor Prometheus' rules say
        what was measured.
        """
        member = next((alert for alert in incident.alerts if alert.fingerprint == query.fingerprint), incident.lead)
        began = self._clock.monotonic()
        evidence = await self._fetch_by_kind[query.kind](query, member)
        return replace(evidence, collected_at=self._clock.now(), took=timedelta(seconds=self._clock.monotonic() - began))

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109  (the bound is the caller's, as in LanguageModel.check)
        """What a real query finds now. Never raises."""
        return await self._client.check(timeout)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._explorer.aclose()
        await self._client.aclose()

    # The alert's own expression

    async def _fetch_value(self, query: Query, member: MemberAlert) -> Evidence:
        window = _window(query)
        focus = await self.focus(member, window)
        term = focus.term
        moving = [threshold for threshold in term.thresholds if threshold.value is None]
        expressions = await _side_by_side(
            self.restricted(term.value, focus.labels, focus.at),
            *(self.restricted(threshold.expression, _labels_for(threshold, focus.labels), focus.at) for threshold in moving),
        )
        answers = await _side_by_side(*(self._client.query_range(expression, window) for expression in expressions))
        series = _own_series(answers[0], member)
        limit_series = dict(zip((threshold.expression for threshold in moving), answers[1:], strict=True))
        ran = replace(query, expression=expressions[0], language="promql")
        if term.absent:
            fact = _absence(series, member, window, expressions[0])
            return self._graph(ran, member, (fact,), series, answers[0])
        unit = promql.unit_of_expression(term.value)
        read = [_read(item, term, limit_series, member, window) for item in series]
        if not read:
            return self._graph(ran, member, (), (), answers[0], summary=_nothing(answers[0], window))
        line = reading.describe(read[0], unit, starts_at=member.starts_at, start=window.start, now=window.end)
        if len(read) > 1:
            line += f"; {len(read) - 1} more series"
        values = reading.values(read[0], unit) | {"series": len(read)}
        return self._graph(ran, member, (Fact(name="value", text=line, values=values),), series, answers[0])

    async def _fetch_threshold(self, query: Query, member: MemberAlert) -> Evidence:
        window = _window(query)
        focus = await self.focus(member, window)
        threshold = next((threshold for threshold in focus.term.thresholds if threshold.is_vector), None)
        if threshold is None:
            return self._evidence(query, member, (), "the part of the rule that fired compares with a constant")
        expression = await self.restricted(threshold.expression, _labels_for(threshold, focus.labels), focus.at)
        answer = await self._client.query_range(expression, window)
        series = _own_series(answer, member)
        ran = replace(query, expression=expression, language="promql")
        if not series:
            return self._graph(ran, member, (), (), answer, summary=_nothing(answer, window))
        unit = promql.unit_of_expression(threshold.expression)
        read = reading.read(series[0].points, (), starts_at=member.starts_at, start=window.start, end=window.end, step=window.step)
        number = read.current_text if read.current is None else format_number(read.current, unit)
        line = f"it fires while the value is {threshold.op} {number}"
        if read.minimum is not None and read.maximum is not None and read.minimum != read.maximum:
            line += f", between {format_number(read.minimum, unit)} and {format_number(read.maximum, unit)} in this time"
        values: Values = {
            "current": read.current, "minimum": read.minimum, "maximum": read.maximum, "first": read.first,
            "op": threshold.op, "unit": unit,
        }  # fmt: skip
        return self._graph(ran, member, (Fact(name="threshold", text=line, values=values),), series, answer)

    async def focus(self, member: MemberAlert, window: Window) -> Focus:
        """Which series is the alert's, found by running the rule's own expression now and at the alert's start."""
        expression = promql.expression_of(member.generator_url) or await self._rule_expression(member)
        terms = promql.strip_threshold(expression)
        instants = (window.end, min(member.starts_at, window.end))
        for at, answer in zip(instants, await _side_by_side(*(self._client.query(expression, at=at) for at in instants)), strict=True):
            own = _own_series(answer, member)
            if own:
                labels = _shared_labels(own, member)
                return Focus(term=await self._term_that_fired(terms, labels, at, own), labels=labels, at=at)
        # It fires no more, or the samples are gone: ask for the value itself, whatever it is.
        at = instants[1]
        own = _own_series(await self._client.query(terms[0].value, at=at), member)
        return Focus(term=terms[0], labels=_shared_labels(own, member), at=at)

    async def _term_that_fired(self, terms: Sequence[Term], labels: Mapping[str, str], at: datetime, fired: Sequence[Series]) -> Term:
        """The operand of `or` whose value the rule returned. One term needs no call."""
        if len(terms) == 1:
            return terms[0]
        answers = await _side_by_side(*(self._client.query(promql.join(term.value, labels), at=at) for term in terms))
        for term, answer in zip(terms, answers, strict=True):
            if any(_same_value(series, fired[0]) for series in answer.series):
                return term
        return terms[0]

    async def restricted(self, expression: str, labels: Mapping[str, str], at: datetime) -> str:
        """The expression for this object only, by the cheapest way that gives the same as the one that is always right."""
        restriction = promql.restrict(expression, labels)
        if restriction.how != "injected":
            return restriction.expression
        joined = promql.join(expression, labels)
        cheap, right = await _side_by_side(self._client.query(restriction.expression, at=at), self._client.query(joined, at=at))
        return restriction.expression if _same(cheap, right) else joined

    async def _rule_expression(self, member: MemberAlert) -> str:
        rule = _rule_of(member, await self._client.rules(member.name), "")
        if rule is None or not rule.expression:
            raise Rejected(f'The alert does not say what it measures, and Prometheus has no rule named "{_name(member)}".', reason="no_expression")
        return rule.expression

    # What Prometheus says about the alert

    async def _fetch_active(self, query: Query, member: MemberAlert) -> Evidence:
        alerts = [alert for alert in await self._client.alerts() if alert.labels.get("alertname") == member.name]
        own = [alert for alert in alerts if _fits(alert.labels, member.labels)]
        siblings = len(alerts)
        if not own:
            others = f"; {siblings} other {_plural(siblings, 'alert')} of this name there" if siblings else ""
            return self._evidence(query, member, (), f"Prometheus does not list this alert as active{others}", url=self._alerts_url(member))
        alert = max(own, key=lambda item: _agreement(item.labels, member.labels))
        line = _active_line(alert, member, query.window)
        if siblings > 1:
            line += f"; {siblings - 1} more of this name"
        active_at = format_instant(alert.active_at) if alert.active_at else None
        values: Values = {"active_at": active_at, "state": alert.state, "value": alert.value, "siblings": siblings - 1}
        return self._evidence(query, member, (Fact(name="active", text=line, values=values),), line, url=self._alerts_url(member))

    async def _fetch_rule(self, query: Query, member: MemberAlert) -> Evidence:
        rules = await self._client.rules(member.name)
        rule = _rule_of(member, rules, promql.expression_of(member.generator_url))
        if rule is None:
            return self._evidence(query, member, (), f'Prometheus has no rule named "{_name(member)}"', url=self._alerts_url(member))
        line = _rule_line(rule)
        values: Values = {
            "expression": rule.expression, "for_seconds": rule.hold.total_seconds(), "health": rule.health, "last_error": rule.last_error,
            "group": rule.group, "severity": rule.labels.get("severity", ""),
        }  # fmt: skip
        return self._evidence(query, member, (Fact(name="rule", text=line, values=values),), line, url=self._alerts_url(member))

    # The target behind the alert

    async def _fetch_up(self, query: Query, member: MemberAlert) -> Evidence:
        window = _window(query)
        answer = await self._client.query_range(query.expression, window)
        series = sorted(_own_series(answer, member), key=lambda item: _is_up(item, window))
        if not series:
            summary = f"no target matches {query.expression}: Prometheus does not scrape it now, and did not since {_start_text(window)}"
            return self._graph(query, member, (), (), answer, summary=summary)
        down = [item for item in series if not _is_up(item, window)]
        line = f"{len(down)} of {len(series)} {_plural(len(series), 'target')} down"
        since: str | None = None
        if down:
            bar = Bar(op="==", value=0.0)
            read = reading.read(down[0].points, (bar,), starts_at=member.starts_at, start=window.start, end=window.end, step=window.step)
            at = read.current_at if read.ended else read.crossed_at
            since = format_instant(_instant(at)) if at is not None else None
            when = reading.clock_text(_instant(at), window.end) if at is not None else f"before {_start_text(window)}"
            line += f"; {_target_name(down[0].labels)} {'not scraped' if read.ended else 'down'} since {when}"
        values: Values = {"down": len(down), "total": len(series), "down_since": since}
        return self._graph(query, member, (Fact(name="up", text=line, values=values),), series, answer)

    async def _fetch_targets(self, query: Query, member: MemberAlert) -> Evidence:
        wanted = _target_labels(member)
        targets = [
            target
            for target in await self._client.targets()
            if _fits(target.labels, member.labels) and all(target.labels.get(name) == value for name, value in wanted.items())
        ]
        url = f"{self._client.external_url}/targets?search="
        if not targets:
            return self._evidence(query, member, (), "Prometheus has no such target in its configuration now", url=url)
        targets.sort(key=lambda target: (target.health == "up", _target_name(target.labels)))
        down = sum(target.health == "down" for target in targets)
        line = f"{down} of {len(targets)} {_plural(len(targets), 'target')} down"
        if targets[0].last_error:
            line += f"; {_target_name(targets[0].labels)}: {targets[0].last_error}"
        facts = tuple(_target_fact(target) for target in targets[:MAX_SERIES])
        return self._evidence(query, member, facts, line, url=url, truncated=len(targets) > MAX_SERIES)

    # What a playbook suggests

    async def _fetch_suggested(self, query: Query, member: MemberAlert) -> Evidence:
        """A playbook's query, as it stands and at this instant. Raises Rejected ("no_metric") where it asks for metrics that are not here."""
        now = self._clock.now()
        # One more than is kept: whoever sends it has more to tell.
        answer = await self._client.query(query.expression, at=now, limit=MOST_SERIES + 1, max_body_bytes=MAX_BYTES)
        found = [(series.labels, series.points[-1][1]) for series in answer.series if series.points]
        url = _table_url(self._client.external_url, query.expression, now)
        if not found:
            await self._refuse_unknown_metrics(query.expression, now)
            return self._evidence(query, member, (), "nothing: no series is like this now", url=url)
        is_cut = len(found) > MOST_SERIES
        unit = promql.unit_of_expression(query.expression)
        told = sentence(found[:MOST_SERIES], query.expression, unit, known=member.labels, is_cut=is_cut)
        # What the server says about our own limit is told already.
        warnings = () if is_cut else tuple(Fact(name="warning", text=text, values={}) for text in answer.warnings)
        incomplete = " (Prometheus warns that the answer is incomplete)" if warnings else ""
        return self._evidence(query, member, (*told.facts, *warnings), told.summary + incomplete, url=url, truncated=told.truncated)

    async def _refuse_unknown_metrics(self, expression: str, now: datetime) -> None:
        """Says so where an empty answer is no wonder, because nobody delivers such metrics. A server that cannot tell is believed."""
        wanted = promql.metric_names(expression)
        if not wanted:
            return
        try:
            selector = builder.select("", [builder.one_of("__name__", wanted)])
            known = await self._client.metric_names([selector], start=now - _RECENT, end=now)
        except (AgentSREError, builder.NotPromQL):
            return
        missing = sorted(wanted - known)
        if missing:
            names = ", ".join(one_line(name, 120) for name in missing[:_NAMED])
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            raise Rejected(f"Prometheus has no metric {names}{more}.", reason="no_metric")

    # Evidence

    def _graph(
        self,
        query: Query,
        member: MemberAlert,
        facts: tuple[Fact, ...],
        series: Sequence[Series],
        answer: QueryResult,
        *,
        summary: str = "",
    ) -> Evidence:
        """Evidence with a curve: bounded, finite, with the server's warnings as facts of their own."""
        kept = tuple(_metric_series(item) for item in series[:MAX_SERIES])
        truncated = len(series) > MAX_SERIES or any(len(item.points) > MAX_POINTS for item in series)
        warnings = tuple(Fact(name="warning", text=text, values={}) for text in answer.warnings)
        line = summary or facts[0].text
        if warnings:
            line += " (Prometheus warns that the answer is incomplete)"
        data: tuple[MetricSeries | Fact, ...] = (*facts, *warnings, *kept)
        return self._evidence(query, member, data, line, url=graph_url(self._client.external_url, query), truncated=truncated)

    def _evidence(
        self,
        query: Query,
        member: MemberAlert,
        data: tuple[MetricSeries | Fact, ...],
        summary: str,
        *,
        url: str = "",
        truncated: bool = False,
    ) -> Evidence:
        return Evidence(
            id=query.id,
            query=query,
            subject=member.subject,
            data=data,
            summary=summary,
            collected_at=self._clock.now(),
            took=timedelta(0),
            truncated=truncated,
            url=url,
        )

    def _alerts_url(self, member: MemberAlert) -> str:
        return f"{self._client.external_url}/alerts?search={quote(_name(member), safe='', errors='replace')}"


def prometheus_source(settings: PrometheusSettings, clock: Clock) -> PrometheusSource | NotConfigured:
    """The source of these settings; without an address one that says which setting is missing. Raises BadSetting like the client."""
    return PrometheusSource(PrometheusClient(settings), clock) if settings.url else NotConfigured(NAME, SETTING)


def _table_url(external_url: str, expression: str, at: datetime) -> str:
    """Where a person sees the same answer."""
    parts = {"g0.expr": expression, "g0.tab": "1", "g0.end_input": format(at.astimezone(UTC), "%Y-%m-%d %H:%M:%S")}
    return f"{external_url}/graph?{urlencode(parts, errors='replace')}"


# Planning


def _members(incident: Incident) -> list[MemberAlert]:
    """The lead, then others with other expressions: firing ones before resolved ones, severe ones first, old ones first."""
    lead = incident.lead
    order = sorted(
        incident.alerts,
        key=lambda alert: (
            alert.id != lead.id,
            alert.status != AlertStatus.FIRING,
            alert.severity.priority,
            alert.starts_at,
            alert.id,
        ),
    )
    chosen: dict[str, MemberAlert] = {}
    seen: set[tuple[str, str]] = set()  # a storm has thousands of alerts and a handful of URLs
    for alert in order:
        if (alert.generator_url, alert.name) in seen:
            continue
        seen.add((alert.generator_url, alert.name))
        chosen.setdefault(promql.expression_of(alert.generator_url) or f"\0{alert.name}", alert)
        if len(chosen) == MAX_ALERTS:
            break
    return list(chosen.values())


def _plan_alert(member: MemberAlert, now: datetime, *, several: bool) -> Iterable[Query]:
    expression = promql.expression_of(member.generator_url)
    terms = promql.strip_threshold(expression)
    window = window_of(member.starts_at, now)
    of = f" of {_name(member)}" if several else ""

    def query(kind: str, text: str, purpose: str, *, language: str = "", over: Window | None = None) -> Query:
        return Query(
            id="",
            source=NAME,
            kind=kind,
            expression=text,
            purpose=purpose,
            language=language,
            window=over,
            fingerprint=member.fingerprint,
        )

    if not terms:
        yield query("value", f'the expression of the rule "{_name(member)}"', f"what the rule{of} measures, and since when", over=window)
    else:
        value = terms[0].value if len(terms) == 1 else expression
        yield query("value", value, f"what the rule{of} measures, and since when", language="promql", over=window)
    moving = next((threshold for term in terms for threshold in term.thresholds if threshold.is_vector), None)
    if moving is not None:
        yield query("threshold", moving.expression, f"what the value{of} is compared with", language="promql", over=window)
    yield query("active", f'active alerts named "{_name(member)}"', f"when the condition{of} really began, and its value", over=window)
    yield query("rule", f'rules named "{_name(member)}"', f"what the rule{of} says, and whether it is evaluated")
    labels = _target_labels(member)
    if labels and _speaks_of_targets(member, expression):
        yield query("up", promql.selector("up", labels), f"whether the target{of} answers", language="promql", over=window)
        yield query("targets", f"scrape targets with {_label_text(labels)}", f"why the target{of} does not answer")


def window_of(starts_at: datetime, now: datetime) -> Window:
    """From half an hour before the onset until now: at most 240 points, 15 s or another multiple of 5 s apart, the last one now.

    The onset is `for` before `starts_at`; `for` is not in the webhook, so half an hour is allowed for it, as much as all but the longest
    of the standard rules take. Never more than 30 days, whatever the sender says.
    """
    end = now.replace(microsecond=0)
    start = max(min(starts_at, end) - _UNKNOWN_FOR - _BEFORE_ONSET, end - _MAX_WINDOW)
    span = (end - start).total_seconds()
    step = max(MIN_STEP.total_seconds(), 5 * math.ceil(span / (MAX_POINTS - 1) / 5))
    return Window(start=end - timedelta(seconds=step * math.ceil(span / step)), end=end, step=timedelta(seconds=step))


def _speaks_of_targets(member: MemberAlert, expression: str) -> bool:
    # Other alerts have a `job` too, but it names the exporter that told us, and that one answers.
    return "up" in promql.metric_names(expression) if expression else bool(_TARGET_ALERT.search(member.name))


def _target_labels(member: MemberAlert) -> dict[str, str]:
    return {name: member.labels[name] for name in ("job", "instance") if member.labels.get(name)}


# Labels


def _fits(labels: Mapping[str, str], alert_labels: Mapping[str, str]) -> bool:
    """Whether a series can be the alert's: no label that both have says two things."""
    return all(alert_labels.get(name, value) == value for name, value in labels.items() if name not in _NEVER_MATCH)


def _agreement(labels: Mapping[str, str], alert_labels: Mapping[str, str]) -> int:
    return sum(alert_labels.get(name) == value for name, value in labels.items())


def _own_series(answer: QueryResult, member: MemberAlert) -> list[Series]:
    """The series that can be the alert's, the likeliest first."""
    own = [series for series in answer.series if _fits(series.labels, member.labels)]
    return sorted(own, key=lambda series: (-_agreement(series.labels, member.labels), len(series.labels), sorted(series.labels.items())))


def _shared_labels(series: Sequence[Series], member: MemberAlert) -> dict[str, str]:
    """What all these series and the alert say alike: safe to select by."""
    shared = {name: value for name, value in member.labels.items() if value and name not in _NEVER_MATCH}
    for item in series:
        shared = {name: value for name, value in shared.items() if item.labels.get(name) == value}
    return shared if series else {}


def _labels_for(threshold: Threshold, labels: Mapping[str, str]) -> dict[str, str]:
    """Those of the value's labels that the threshold's series share with it. A scalar has no labels, and must be left as it is."""
    if not threshold.is_vector:
        return {}
    if threshold.on is not None:
        return {name: value for name, value in labels.items() if name in threshold.on}
    return {name: value for name, value in labels.items() if name not in (threshold.ignoring or ())}


def _rule_of(member: MemberAlert, rules: Sequence[Rule], expression: str) -> Rule | None:
    """The alert's rule among those of its name: the one with its expression, else the one whose labels it carries."""
    if not rules:
        return None

    def rank(rule: Rule) -> tuple[bool, int]:
        same = bool(expression) and " ".join(rule.expression.split()) == " ".join(expression.split())
        carried = sum(1 if member.labels.get(name) == value else -1 for name, value in rule.labels.items() if "{{" not in value)
        return same, carried

    return max(rules, key=rank)


# Reading


def _read(series: Series, term: Term, limit_series: Mapping[str, QueryResult], member: MemberAlert, window: Window) -> Reading:
    bars = [Bar(op=threshold.op, value=threshold.value, points=_limit_points(threshold, limit_series, series)) for threshold in term.thresholds]
    return reading.read(series.points, bars, starts_at=member.starts_at, start=window.start, end=window.end, step=window.step)


def _limit_points(threshold: Threshold, limit_series: Mapping[str, QueryResult], series: Series) -> dict[float, float] | None:
    """The threshold's samples that belong to this series; none at all where no threshold series fits it."""
    if threshold.value is not None:
        return None
    fitting = [item for item in limit_series[threshold.expression].series if _fits(item.labels, series.labels)]
    return dict(max(fitting, key=lambda item: _agreement(item.labels, series.labels)).points) if fitting else {}


def _absence(series: Sequence[Series], member: MemberAlert, window: Window, expression: str) -> Fact:
    """What there is to say about an `absent(…)` rule: when it was last seen."""
    last = max((series_.points[-1][0] for series_ in series if series_.points), default=None)
    if last is None:
        return Fact(
            name="absent",
            text=f"no series matches {one_line(expression)} since {_start_text(window)} or earlier",
            values={"present": False, "last_seen_at": None},
        )
    present = not _ended(last, window)
    seen = _instant(last)
    when = f"{reading.clock_text(seen, window.end)}, {reading.beside_alert(seen, member.starts_at)}"
    text = f"{one_line(expression)} is there again" if present else f"no series matches {one_line(expression)} since {when}"
    return Fact(name="absent", text=text, values={"present": present, "last_seen_at": format_instant(seen)})


def _same(left: QueryResult, right: QueryResult) -> bool:
    """Whether two instant answers have the same series with the same values."""
    if len(left.series) != len(right.series):
        return False
    by_labels = {frozenset(series.labels.items()): series for series in right.series}
    twins = ((series, by_labels.get(frozenset(series.labels.items()))) for series in left.series)
    return all(twin is not None and _same_value(series, twin) for series, twin in twins)


def _same_value(left: Series, right: Series) -> bool:
    if not left.points or not right.points:
        return False
    one, two = left.points[-1][1], right.points[-1][1]
    # Sums may be added up in another order.
    return math.isclose(one, two, rel_tol=1e-6) or (math.isnan(one) and math.isnan(two))


def _metric_series(series: Series) -> MetricSeries:
    points = tuple((at, value) for at, value in series.points if math.isfinite(value) and 0 <= at < 1e11)
    return MetricSeries(labels=dict(series.labels), points=points[-MAX_POINTS:])


def _is_up(series: Series, window: Window) -> bool:
    """A target that is no longer scraped is not up, whatever it said last."""
    return bool(series.points) and series.points[-1][1] == 1 and not _ended(series.points[-1][0], window)


def _ended(last: float, window: Window) -> bool:
    return window.end.timestamp() - last > 1.5 * window.step.total_seconds()


# Words


def _name(member: MemberAlert) -> str:
    return one_line(member.name, 120)


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _label_text(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={one_line(value, 120)}" for name, value in labels.items())


def _target_name(labels: Mapping[str, str]) -> str:
    return one_line(labels.get("instance") or labels.get("job") or "the target", 120)


def _nothing(answer: QueryResult, window: Window) -> str:
    if answer.series:
        return f"{len(answer.series)} series, none of which fits the alert's labels"
    return f"no series since {_start_text(window)}: the expression finds nothing here"


def _start_text(window: Window) -> str:
    return reading.clock_text(window.start, window.end)


def _active_line(alert: ActiveAlert, member: MemberAlert, window: Window | None) -> str:
    now = window.end if window else member.last_seen_at
    if alert.active_at is None:
        return f"Prometheus lists it as {alert.state}"
    when = f"{reading.clock_text(alert.active_at, now)}, {reading.beside_alert(alert.active_at, member.starts_at)}"
    line = f"true since {when} ({alert.state}"
    if alert.value is not None:
        unit = promql.unit_of_expression(_value_text(member))
        line += f", value {format_number(alert.value, '' if unit == 'ratio' and abs(alert.value) > 1 else unit)}"
    return line + ")"


def _value_text(member: MemberAlert) -> str:
    terms = promql.strip_threshold(promql.expression_of(member.generator_url))
    return terms[0].value if len(terms) == 1 else ""


def _rule_line(rule: Rule) -> str:
    hold = f" for {readable(rule.hold)}" if rule.hold else ""
    health = f"; health {rule.health}" if rule.health else ""
    error = f": {rule.last_error}" if rule.last_error else ""
    return f"{one_line(rule.expression, 400)}{hold}{health}{error}"


def _target_fact(target: Target) -> Fact:
    name = _target_name(target.labels)
    error = f": {target.last_error}" if target.last_error else ""
    scraped = format_instant(target.last_scrape_at) if target.last_scrape_at else None
    return Fact(
        name="target",
        text=f"{name} is {target.health}{error}",
        values={
            "instance": target.labels.get("instance", ""), "job": target.labels.get("job", ""), "health": target.health,
            "last_error": target.last_error, "last_scrape_at": scraped,
        },
    )  # fmt: skip


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _window(query: Query) -> Window:
    if query.window is None:  # `plan` gives every such query one
        raise Rejected(f'The query "{query.kind}" needs a time window.')
    return query.window


async def _side_by_side(*calls: Awaitable[T]) -> list[T]:
    """All results, in order; the first failure cancels the rest."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
