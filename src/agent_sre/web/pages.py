"""The pages: values in, HTML text out. No request, no store, no clock; the routes bring those (web/incidents.py).

Every text on a page may come from an attacker (a label, its name, a log line, a model), so nothing here trusts any: Jinja2 escapes always,
what is invisible or looks like a secret is taken out on the way (`_shown`), links lead to our own paths or to the http(s) address that a
configured source gave, and SECURITY_HEADERS forbid the browser whatever might still slip through. There is no script at all.

Jinja2 is loaded and the templates are compiled with the first page, not at import: the webhook must not wait for either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from markupsafe import Markup, escape

from agent_sre.alert.alert import AlertStatus, Severity
from agent_sre.alert.subject import Subject, describe
from agent_sre.analysis.analysis import RULES, Analysis
from agent_sre.evidence.board import Seen
from agent_sre.evidence.evidence import Data, Evidence, Fact, MetricSeries
from agent_sre.evidence.gaps import switched_off, troubles
from agent_sre.evidence.numbers import PLAIN, RATIO, UNITS
from agent_sre.evidence.status import fields_of, status_of
from agent_sre.incident.incident import Incident, IncidentStatus, TimelineEntry, incident_key
from agent_sre.kit.durations import ago, readable
from agent_sre.kit.redact import redact
from agent_sre.kit.text import clean
from agent_sre.kit.times import format_instant
from agent_sre.web import api_page, chart
from agent_sre.web.markdown import code_block, render_markdown

if TYPE_CHECKING:
    from jinja2 import Environment

CSP = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
"""The pages need a stylesheet, an icon and one form, all ours; everything else is refused."""

SECURITY_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # a click on a Prometheus link must not carry the incident's address along
    "Cache-Control": "no-store",
}
"""Sent with every page."""

ASSET_HEADERS = {
    "Content-Security-Policy": "default-src 'none'",  # an SVG opened by itself is a document
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "public, max-age=31536000, immutable",  # the address carries the content's hash
}
"""Sent with every file of static/."""

STYLE, ICON = "style.css", "favicon.svg"

ASSET_TYPES = {STYLE: "text/css; charset=utf-8", ICON: "image/svg+xml"}
"""The files that `/static/<name>` may serve, and as what. No other name is ever looked up."""

MEMBERS_SHOWN = 50
TIMELINE_OLDEST, TIMELINE_NEWEST = 10, 50
FACTS_SHOWN = 12
DIFF_SHOWN = 30
"""A storm must not make a page that no phone can open. What is left out is counted on the page and there in the JSON."""

LIVE_REFRESH_SECONDS, QUICK_REFRESH_SECONDS, SLOW_REFRESH_SECONDS = 1, 2, 30
QUICK_REFRESH_FOR = timedelta(minutes=15)
"""A waiting page looks every second until the first verdict, because answers come in then; every 2 s while the final report can still come (the
longest wait for the model is 10 minutes); then more calmly."""

COMPLETE = "complete"  # delivery's Stage.COMPLETE, as the store and the JSON say it


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRow:
    """One incident of the list."""

    id: int
    title: str
    severity: Severity
    status: IncidentStatus
    subject: Subject
    alert_count: int
    triggered_at: datetime
    resolved_at: datetime | None
    stage: str  # received, preliminary, complete
    author: str  # of the report; empty while there is none
    cause: str  # one sentence; empty while there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentListView:
    """What stands around the rows: the filter as it was asked for, and the way to the neighbouring pages."""

    status: str = ""  # empty: all; "open": triggered and acknowledged
    severity: str = ""
    text: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)  # incidents by status, over the whole store
    before: int | None = None  # the next page shows ids below this one; None on the last page
    after: int | None = None  # the previous page shows ids above this one; None on the first page
    base_url: str = "http://localhost:8080"  # our own address, for the lines that a new user copies

    @property
    def filtered(self) -> bool:
        return bool(self.status or self.severity or self.text)

    @property
    def open_count(self) -> int:
        return self.counts.get(IncidentStatus.TRIGGERED, 0) + self.counts.get(IncidentStatus.ACKNOWLEDGED, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One station of the way from alert to report. `at` is None where it has not been reached."""

    name: str
    at: datetime | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentView:
    """Everything about one incident."""

    incident: Incident
    timeline: tuple[TimelineEntry, ...]  # oldest first
    stage: str  # received, preliminary, complete
    analysis: Analysis | None
    steps: tuple[Step, ...]  # in the order they are taken
    recurrence: str = ""  # "4th time in 7 days"; empty where nothing is known
    seen: Seen | None = None  # what a running investigation has by now

    @property
    def waiting(self) -> bool:
        """Whether more is to come. Nothing is, once the incident is resolved: that cancels what still runs."""
        return (self.stage != COMPLETE or self.seen is not None) and self.incident.status is not IncidentStatus.RESOLVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of static/."""

    body: bytes
    content_type: str
    version: str  # hash of the body


def render_incidents(rows: Sequence[IncidentRow], *, page: IncidentListView, now: datetime) -> str:
    """The list of incidents, in the order given, with filter, counts and paging; for an empty store how to send the first alert."""
    return _render("incidents.html", rows=rows, page=page, now=now, tabs=_tabs(page), first_alert=_first_alert(page.base_url))


def render_incident(view: IncidentView, *, now: datetime) -> str:
    """One incident. While its report is not complete, the page asks the browser to load it again every few seconds."""
    analysis = view.analysis
    ids = frozenset(item.id for item in analysis.evidence) if analysis else frozenset()
    left_out = len(view.timeline) - TIMELINE_OLDEST - TIMELINE_NEWEST
    return _render(
        "incident.html",
        view=view,
        incident=view.incident,
        analysis=analysis,
        now=now,
        refresh=_refresh_seconds(view, now),
        steps=_strip(view),
        ids=ids,
        report=render_markdown(analysis.markdown) if analysis else Markup(""),
        members=sorted(view.incident.alerts, key=lambda alert: (alert.severity.priority, alert.starts_at, alert.id))[:MEMBERS_SHOWN],
        timeline_oldest=view.timeline[:TIMELINE_OLDEST] if left_out > 0 else view.timeline,
        timeline_left_out=max(0, left_out),
        timeline_newest=view.timeline[-TIMELINE_NEWEST:] if left_out > 0 else (),
        firing=sum(alert.status is AlertStatus.FIRING for alert in view.incident.alerts),
        facts_shown=FACTS_SHOWN,
    )


def render_docs(openapi: Mapping[str, Any]) -> str:
    """The API for people, made from its own description."""
    return _render("docs.html", api=api_page.describe_api(openapi))


def render_error(status: int, sentence: str) -> str:
    """A page that says what went wrong, and the way back."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    return _render("error.html", status=status, phrase=phrase, sentence=sentence)


def asset(name: str) -> Asset | None:
    """A file of static/, None for any name that is not one of ASSET_TYPES. Serve it with ASSET_HEADERS."""
    return _load_asset(name) if name in ASSET_TYPES else None


@cache
def _load_asset(name: str) -> Asset:
    body = (files("agent_sre.web") / "static" / name).read_bytes()
    return Asset(body=body, content_type=ASSET_TYPES[name], version=sha256(body).hexdigest()[:12])


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("agent_sre.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        ago=_ago_tag,
        clock=_clock_tag,
        duration=readable,
        object=describe,
        place=_place_words,
        prose=_prose,
        markdown=render_markdown,
        block=_block,
        chart=_chart,
        link=_outside_link,
        verdict=_verdict,
        limit=clean,
        sentence=_first_sentence,
        rest=_after_first_sentence,
        facts=_facts,
        only=_only,
        status=status_of,
        troubles=troubles,
        switched_off=switched_off,
        fields=fields_of,
        diff_class=_diff_class,
        word=_word,
        count=_count,
        spaced=lambda token: token.replace("_", " "),
    )
    environment.globals.update(
        asset_url=_asset_url, list_url=_list_url, incident_key=incident_key, severities=tuple(Severity), RULES=RULES, diff_shown=DIFF_SHOWN
    )
    return environment


# What every text passes on its way to the page.


def _shown(value: object) -> object:
    """Text without control and invisible characters (a label must not turn the line around) and without what looks like a secret."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _readable_text(value) if len(value) <= 200 else _readable_text.__wrapped__(value)
    return value


@lru_cache(maxsize=4096)
def _readable_text(text: str) -> str:
    return redact(text if text.isprintable() else clean(text, 64 * 1024))


def _prose(text: str, ids: frozenset[str] = frozenset()) -> Markup:
    """A sentence of an analysis with its two conventions (analysis/markdown.py): `code` in backticks, `[E02]` as a link to its card."""

    def link(match: re.Match[str]) -> str:
        return f'<a class="ref" href="#{match[1]}">{match[1]}</a>' if match[1] in ids else match[0]

    html = _BACKTICKS.sub(r"<code>\1</code>", str(escape(_shown(text))))  # `str`, because re.sub on Markup escapes what it puts in
    return Markup(_CITATION.sub(link, html))  # noqa: S704  escaped first; what is put in afterwards is letters and digits


_BACKTICKS = re.compile(r"`([^`\n]+)`")
_CITATION = re.compile(r"\[(E\d{1,4})\]")


_SENTENCE = re.compile(r"\s*(.{20,}?[.!?])\s+(?=[^a-z\s])", re.DOTALL)


def _first_sentence(text: str) -> str:
    match = _SENTENCE.match(text)
    return clean(match[1] if match else text.strip(), 400)


def _after_first_sentence(text: str) -> str:
    match = _SENTENCE.match(text)
    return text[match.end() :].strip() if match else ""


# Times. The page says "12 min ago"; the exact instant is in the tooltip and in `datetime`.


def _time_tag(instant: datetime, text: str) -> Markup:
    exact = format_instant(instant)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(exact, f"{exact[:10]} {exact[11:19]} UTC", text)


def _ago_tag(instant: datetime, now: datetime) -> Markup:
    return _time_tag(instant, ago(instant, now))


def _clock_tag(instant: datetime, now: datetime) -> Markup:
    return _time_tag(instant, _moment(instant, now))


def _moment(instant: datetime, now: datetime) -> str:
    """`06:40:12` today, `22 Nov 06:40:12` on another day, with the year in another year. UTC."""
    instant, now = instant.astimezone(UTC), now.astimezone(UTC)
    if instant.date() == now.date():
        return f"{instant:%H:%M:%S}"
    day = f"{instant.day} {instant:%b}" if instant.year == now.year else f"{instant.day} {instant:%b} {instant.year}"
    return f"{day} {instant:%H:%M:%S}"


def _refresh_seconds(view: IncidentView, now: datetime) -> int | None:
    if not view.waiting:
        return None
    # The alert's own times may be hours old when it first gets here; the steps tell when it did.
    moves = [view.incident.last_alert_at, *(step.at for step in view.steps if step.at is not None)]
    last_moved_at = max(moves if view.seen is None else [*moves, view.seen.began_at])
    if now - last_moved_at >= QUICK_REFRESH_FOR:
        return SLOW_REFRESH_SECONDS
    return LIVE_REFRESH_SECONDS if view.seen is not None or view.analysis is None else QUICK_REFRESH_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Station:
    """A Step as the strip shows it."""

    step: Step
    state: str  # done, running, waiting, skipped
    after: str  # "+1.4 s" since the first station


def _strip(view: IncidentView) -> list[_Station]:
    """Stations with their state: the first one not reached is what runs now, unless nothing more is to come."""
    stations: list[_Station] = []
    first = next((step.at for step in view.steps if step.at is not None), None)
    running_seen = False
    for step in view.steps:
        if step.at is not None:
            state, after = "done", f"+{readable(step.at - first)}" if first is not None and step.at > first else ""
        elif not view.waiting:
            state, after = "skipped", ""
        else:
            state, after = "waiting" if running_seen else "running", ""
            running_seen = True
        stations.append(_Station(step=step, state=state, after=after))
    return stations


# Things of the user's world, in words.


def _place_words(subject: Subject) -> str:
    """`container cart · node worker-3 · cluster prod-eu1`: what `describe` leaves out."""
    parts = {"service": subject.service, "node": subject.node, "cluster": subject.cluster}
    if subject.kind not in ("Pod", "Component"):
        parts = {"container": subject.container, **parts}
    return " · ".join(f"{kind} {name}" for kind, name in parts.items() if name and name != subject.name)


_VERDICTS = {
    (True, False): ("supported", "supported"),
    (True, True): ("disputed", "evidence for and against"),
    (False, True): ("contradicted", "contradicted"),
    (False, False): ("unchecked", "not checked"),
}


def _verdict(hypothesis: Any) -> tuple[str, str]:
    """Class and words for what the evidence says about a hypothesis."""
    return _VERDICTS[bool(hypothesis.supporting), bool(hypothesis.contradicting)]


def _facts(evidence: Evidence) -> list[Fact]:
    """The facts that say more than the summary above them."""
    return [item for item in evidence.data if isinstance(item, Fact) and not evidence.summary.startswith(item.text)]


def _only(evidence: Evidence, kind: str) -> list[Data]:
    """The data of one class, by its name."""
    return [item for item in evidence.data if type(item).__name__ == kind]


def _diff_class(line: str) -> Markup:
    """The class of a line of a difference: what came, what went; nothing for what stands around it."""
    return Markup({"+ ": ' class="added"', "- ": ' class="removed"'}.get(line[:2], ""))  # noqa: S704  three constants


def _word(text: str) -> str:
    """A class name made of a kind; "other" for what is none."""
    return text if re.fullmatch(r"[a-z]{1,20}", text) else "other"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_FENCES = frozenset({"promql", "logql", "bash", "json", "yaml", "sql", "text"})


def _block(text: str, language: str = "", limit: int = 4096) -> Markup:
    """A command, query or excerpt to copy. The words of a command are kept whole where it wraps: browsers break lines after any hyphen."""
    text = redact(clean(text.strip("\n"), limit))
    if language == "bash":
        text = Markup("\n").join(Markup(" ").join(Markup("<span>{}</span>").format(word) for word in line.split(" ")) for line in text.split("\n"))
    return code_block(text, language if language in _FENCES else "")


def _chart(evidence: Evidence, incident: Incident) -> Markup:
    """The evidence's series, if it has any, with the threshold and in the unit that a Fact beside them names.

    The shade begins where the alert fired that the query is about.
    """
    series = [item for item in evidence.data if isinstance(item, MetricSeries)]
    if not series:
        return Markup("")
    about = next((alert for alert in incident.alerts if alert.fingerprint == evidence.query.fingerprint), incident.lead)
    known = {name: value for item in reversed(evidence.data) if isinstance(item, Fact) for name, value in item.values.items()}
    threshold = known.get("threshold")
    unit = known.get("unit", _unit(evidence.query.expression) if evidence.query.language == "promql" else PLAIN)
    if unit not in UNITS or (unit == RATIO and _exceeds_ten(series)):
        unit = PLAIN  # a load of 12 per core is not "1200 %"
    return chart.sparkline(
        series,
        threshold=float(threshold) if isinstance(threshold, int | float) and not isinstance(threshold, bool) else None,
        fired_at=about.starts_at,
        unit=str(unit),
    )


def _exceeds_ten(series: Sequence[MetricSeries]) -> bool:
    return any(abs(value) > 10 for each in series for _, value in each.points)


@lru_cache(maxsize=1024)
def _unit(expression: str) -> str:
    from agent_sre.evidence.prometheus.promql import unit_of_expression  # brings the parser, which only a chart needs

    return unit_of_expression(expression)


# Links.


def _tabs(page: IncidentListView) -> list[tuple[str, str, int]]:
    """The status filter as links: value, name, how many incidents the store has of it."""
    by_status = [(status.value, status.value.capitalize(), page.counts.get(status, 0)) for status in IncidentStatus]
    return [("", "All", sum(page.counts.values())), ("open", "Open", page.open_count), *by_status]


def _outside_link(url: str) -> str:
    """The address, if a browser may be sent there: http or https, a host, no password, nothing invisible. Else an empty text."""
    if not url.isprintable() or " " in url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc else ""


def _asset_url(name: str) -> str:
    found = asset(name)
    return f"/static/{name}?v={found.version}" if found else f"/static/{quote(name)}"


def _list_url(page: IncidentListView, **changes: object) -> str:
    """The list's address with the filter as it is, but for the changes. Paging is never carried along."""
    values: dict[str, object] = {"status": page.status, "severity": page.severity, "q": page.text, **changes}
    query = urlencode({name: value for name, value in values.items() if value not in ("", None)}, errors="replace")
    return f"/incidents?{query}" if query else "/incidents"


@dataclass(frozen=True, slots=True, kw_only=True)
class _FirstAlert:
    """What a new user copies."""

    curl: str
    alertmanager: str


def _first_alert(base_url: str) -> _FirstAlert:
    # The address may come from a Host header, and it goes into a line that somebody pastes into a shell.
    address = base_url.rstrip("/") if re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]{1,255}/?", base_url) else IncidentListView().base_url
    return _FirstAlert(
        curl=(
            f"curl -X POST {address}/webhook/alert -d '\n"
            '  {"alerts": [{"status": "firing",\n'
            '    "labels": {"alertname": "HighCPU", "severity": "warning", "pod": "test-pod"},\n'
            '    "annotations": {"summary": "High CPU usage", "description": "CPU usage above 80%"}}]}\'\n'
        ),
        alertmanager=(
            "route:\n"
            "  routes:\n"
            "    - receiver: ai-agent-webhook\n"
            "      matchers:\n"
            '        - severity =~ "warning|critical"\n'
            "      continue: true\n"
            "receivers:\n"
            "  - name: ai-agent-webhook\n"
            "    webhook_configs:\n"
            f"      - url: {address}/webhook/alert\n"
            "        send_resolved: true\n"
            "        max_alerts: 0\n"
        ),
    )
