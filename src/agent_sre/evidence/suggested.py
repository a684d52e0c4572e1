"""The queries that a playbook suggests, run for the reader: what to ask, and how to tell what came back. Pure.

    playbook ──fill──> PromQL, LogQL ──suggestions──> Query of kind "suggested"      for the source that speaks the language
                                            └───────> Gap                            what does not parse is asked of nobody
    its answer ──sentence──> "pod=cart-0: 1.2 GiB; pod=cart-1: 800 MiB; and 3 more, down to 12 MiB (pod=cart-4)"

They are for people, and for the facts that a model gets. Detectors never see them (`without`): an instant value of a query that somebody
chose by the alert's name is neither a curve nor a sign, and a verdict must not depend on which playbook is installed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from agent_sre.evidence.evidence import EvidenceSet, EvidenceSource, Fact, Gap, Query, Window
from agent_sre.evidence.numbers import format_number
from agent_sre.evidence.playbook import Playbook, PlaybookQuery, fill, values_of
from agent_sre.incident.incident import Incident, MemberAlert
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

SUGGESTED = "suggested"
"""The kind of these queries, in every source."""

MOST_SUGGESTED = 6
"""Suggested queries of one investigation. The packaged playbooks have four at most; one of an operator's own may have any number."""

MOST_SERIES = 200
"""Series that a suggested query may return: enough to say what is largest among the pods of a namespace. Of more, nobody reads the list."""

MAX_BYTES = 1 << 20
"""Of such an answer. A server that does not know `limit` (Prometheus before 3.2) sends all series: this holds 5,000 of them."""

_SHOWN = 5
_KEPT = 20
_LABELS = 4
_LOOK_BACK = timedelta(hours=1)
_BEFORE_ONSET = timedelta(minutes=10)
_LONGEST = 2_000  # characters; a label value may have a thousand

_EXPORTER = frozenset({
    "__name__", "job", "instance", "endpoint", "uid", "id", "image", "metrics_path", "prometheus", "prometheus_replica", "service", "cluster",
})  # fmt: skip
"""Labels that say who measured, or the same once more. They are shown where nothing else tells two series apart."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_MATCHER = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*\Z")
_SELECTOR = re.compile(r"\{(?:[^{}\"]|\"(?:[^\"\\]|\\.)*\")*\}")
_AROUND_SIGNS = re.compile(r"\s*([^\w\s])\s*")
_OPENING = {")": "(", "]": "[", "}": "{"}

_ASKED_AS_WRITTEN = frozenset({("prometheus", "up")})
"""Questions that run exactly as planned. Others are narrowed to the alert's object first, so they need not say what the playbook asks."""


@runtime_checkable
class AnswersSuggestions(EvidenceSource, Protocol):
    """A source with a server that runs queries: its `fetch` takes kind "suggested" too."""

    language: str  # "promql", "logql": what it runs


def suggestions(
    sources: Sequence[EvidenceSource], planned: Iterable[Query | Gap], playbook: Playbook | None, incident: Incident, now: datetime
) -> tuple[tuple[EvidenceSource, Query | Gap], ...]:
    """The playbook's queries, filled in for the lead alert, each with the source that can run it: MOST_SUGGESTED at most, in the playbook's order.

    `planned` are the sources' own questions: what one of them asks letter by letter is not asked twice. Commands stay for people, and so
    does a language that no source here speaks. A query that cannot be one is a Gap ("not_promql", "not_logql"): it is a mistake in a playbook.
    """
    speakers = {source.language: source for source in reversed(sources) if isinstance(source, AnswersSuggestions)}
    if playbook is None or not speakers:
        return ()
    lead = incident.lead
    seen = {normal(item.expression) for item in planned if isinstance(item, Query) and (item.source, item.kind) in _ASKED_AS_WRITTEN}
    found: list[tuple[EvidenceSource, Query | Gap]] = []
    for query in fill(playbook, values_of(lead.subject, lead.labels)).queries:
        source, key = speakers.get(query.language), normal(query.text)
        if source is None or key in seen:
            continue
        seen.add(key)
        found.append((source, _question(source, query, lead, now)))
    return tuple(found[:MOST_SUGGESTED])


def without(evidence: EvidenceSet) -> EvidenceSet:
    """The evidence that speaks for itself: all but what a playbook suggested to ask."""
    return EvidenceSet(
        items=tuple(item for item in evidence.items if item.query.kind != SUGGESTED),
        gaps=tuple(gap for gap in evidence.gaps if gap.query.kind != SUGGESTED),
    )


def normal(expression: str) -> str:
    """The query without what makes no difference: white space, and the order of the matchers of one selector."""
    return _SELECTOR.sub(lambda match: _sorted(match[0]), "".join(_squeezed(expression)))


def labels_of(expression: str, *, only: str = "") -> frozenset[str]:
    """The labels that the selectors of a PromQL or LogQL query compare with something; with `only` ("=") those that are compared so."""
    found: set[str] = set()
    for selector in _SELECTOR.finditer(expression):
        end = 1
        for string in _STRING.finditer(selector[0]):
            match = _MATCHER.search(selector[0][end : string.start()])
            end = string.end()
            if match and (not only or match[2] == only):
                found.add(match[1])
    return frozenset(found)


def is_log_query(expression: str) -> bool:
    """Whether a LogQL query gives lines; others give numbers."""
    return expression.lstrip().startswith("{")


def _question(source: EvidenceSource, query: PlaybookQuery, lead: MemberAlert, now: datetime) -> Query | Gap:
    window = None
    if query.language == "logql" and is_log_query(query.text):
        start = max(min(lead.starts_at, now) - _BEFORE_ONSET, now - _LOOK_BACK)
        window = Window(start=start, end=now, step=now - start)
    asked = Query(
        id="",
        source=source.name,
        kind=SUGGESTED,
        expression=query.text,
        purpose=query.why,
        language=query.language,
        window=window,
        fingerprint=lead.fingerprint,
    )
    complaint = _complaint(query)
    if not complaint:
        return asked
    title = "PromQL" if query.language == "promql" else "LogQL"
    # Without its language: nobody shall be invited to paste it.
    return Gap(query=replace(asked, language=""), reason=f"not_{query.language}", detail=f"The playbook's query is not {title}: {complaint}.")


def _complaint(query: PlaybookQuery) -> str:
    """Why a query cannot be one; empty where it can."""
    if len(query.text) > _LONGEST:
        return f"it has more than {_LONGEST:,} characters"
    if query.language == "logql":
        return _logql_complaint(query.text)
    # Its parser takes a while to load, and nothing on the way to the webhook needs it.
    from agent_sre.evidence.prometheus import promql

    return one_line(promql.complaint(query.text), 200).rstrip(".")


def _logql_complaint(text: str) -> str:
    """What can be told without a parser of LogQL; Loki tells the rest, and its words go into the gap."""
    outside = _STRING.sub("", text)
    if '"' in outside:
        return "a string is not closed"
    open_ones: list[str] = []
    for sign in outside:
        if sign in "([{":
            open_ones.append(sign)
        elif sign in _OPENING and (not open_ones or open_ones.pop() != _OPENING[sign]):
            return f'"{sign}" closes nothing'
    if open_ones:
        return f'"{open_ones[-1]}" is not closed'
    return "" if labels_of(text) else "it selects no stream"


def _squeezed(expression: str) -> Iterable[str]:
    end = 0
    for match in _STRING.finditer(expression):
        yield _folded(expression[end : match.start()])
        yield match[0]
        end = match.end()
    yield _folded(expression[end:])


def _folded(text: str) -> str:
    return _AROUND_SIGNS.sub(r"\1", " ".join(text.split()))


def _sorted(selector: str) -> str:
    inside = _STRING.sub(lambda match: match[0].replace(",", "\0"), selector[1:-1])
    return "{" + ",".join(sorted(part for part in inside.split(",") if part)).replace("\0", ",") + "}"


# Telling an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An instant answer in words."""

    summary: str
    facts: tuple[Fact, ...]  # one for each series that is kept, the largest first
    truncated: bool


def sentence(
    found: Sequence[tuple[Mapping[str, str], float]], expression: str, unit: str, *, known: Mapping[str, str] | None = None, is_cut: bool
) -> Told:
    """What an instant query returned: the five largest values with the labels that tell them apart, and how many more there are.

    `known` are the alert's labels: what they and all series say alike needs no word.
    `is_cut` says that the server, or we, left some out: then nobody knows which are the largest, and the words do not claim it.
    """
    ordered = sorted(found, key=lambda item: (math.isnan(item[1]), -item[1] if not math.isnan(item[1]) else 0.0, sorted(item[0].items())))
    names = _telling_labels([labels for labels, _ in ordered], expression, known or {})
    texts = [_text(labels, value, names, unit) for labels, value in ordered[:_KEPT]]
    shown = "; ".join(texts[:_SHOWN])
    left = len(ordered) - _SHOWN
    if is_cut:
        shown = f"more than {len(ordered):,} series, among them {shown}"
    elif left > 0:
        labels, value = ordered[-1]
        shown += f"; and {left:,} more, down to {_text(labels, value, names, unit)}"
    facts = tuple(
        Fact(
            name="sample",
            text=text,
            values={"value": value if math.isfinite(value) else None, "unit": unit, "labels": _label_text(labels, sorted(labels))},
        )
        for text, (labels, value) in zip(texts, ordered, strict=False)
    )
    return Told(summary=one_line(shown, 900), facts=facts, truncated=is_cut or len(ordered) > _KEPT)


def _telling_labels(series: Sequence[Mapping[str, str]], expression: str, known: Mapping[str, str]) -> tuple[str, ...]:
    """The labels worth a word: those that differ, then what neither query nor alert says. Exporters' own only where nothing else differs."""
    names = sorted({name for labels in series for name in labels} - {"__name__"})
    differing = [name for name in names if len({labels.get(name, "") for labels in series}) > 1]
    own = [name for name in differing if name not in _EXPORTER]
    asked = labels_of(expression, only="=")
    same = [name for name in names if name not in differing and name not in _EXPORTER and name not in asked]
    told = [name for name in same if series[0].get(name) != known.get(name)]
    return tuple([*(own or differing), *told][:_LABELS])


def _text(labels: Mapping[str, str], value: float, names: Sequence[str], unit: str) -> str:
    # Shares are promised between 0 and 1; one above is a count that is only named like a share.
    number = format_number(value, "" if unit == "ratio" and abs(value) > 1 else unit)
    name = _label_text(labels, names)
    return f"{name}: {number}" if name else number


def _label_text(labels: Mapping[str, str], names: Sequence[str]) -> str:
    return ", ".join(f"{one_line(name, 60)}={one_line(redact(labels[name]), 120)}" for name in names if labels.get(name))[:600]
