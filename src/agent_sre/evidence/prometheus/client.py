"""Prometheus' HTTP API: what is asked, and what the answers mean. The exchange itself is http_api.py's.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from agent_sre.evidence.evidence import SourceHealth, Window
from agent_sre.evidence.http_api import Fields, HttpApi, public_address
from agent_sre.kit.durations import parse_duration
from agent_sre.kit.errors import AgentSREError, Unavailable
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line
from agent_sre.kit.times import parse_instant

NAME = "prometheus"
SETTING = "PROMETHEUS_URL"

MAX_NAMES = 20_000
"""Names of metrics or labels that one answer may have; a large cluster has some 3,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSettings:
    """Which Prometheus to ask (or Thanos Query, Mimir, VictoriaMetrics: whatever speaks its query API)."""

    url: str = ""
    """`http://prometheus-k8s.monitoring:9090`, with a path prefix where it has one. Default: empty, which switches the source off."""

    external_url: str = ""
    """The address under which people reach the same Prometheus; links in reports use it. Default: empty, which means `url`."""

    bearer_token: str = field(default="", repr=False)
    """Sent as `Authorization: Bearer …`. Default: empty. A `user:password@` in `url` works too, as basic authentication."""

    timeout: timedelta = timedelta(seconds=5)
    """How long one call may take, body included; Prometheus is told to give up then as well. 5 s: `gather` stops waiting long before, and
    a query that takes longer than this hurts the server that we want to learn from."""

    max_body_bytes: int = 16 * 1024 * 1024
    """Answers larger than this are not read to their end. 16 MiB: 240 points of about 2,000 series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series of an answer: (unix seconds, value) oldest first, NaN and infinities as Prometheus sent them."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """The answer to a query. `warnings` say what is missing from it, in the server's words."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One alerting rule, as Prometheus runs it."""

    name: str
    expression: str
    hold: timedelta  # the rule's `for`
    labels: Mapping[str, str]
    group: str
    health: str  # ok, err, unknown
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveAlert:
    """One pending or firing alert, as Prometheus sees it: without external labels, before any relabelling."""

    labels: Mapping[str, str]
    state: str  # pending, firing
    active_at: datetime | None  # when the expression first held: the true onset
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target that Prometheus scrapes."""

    labels: Mapping[str, str]
    health: str  # up, down, unknown
    last_error: str
    last_scrape_at: datetime | None


class PrometheusClient:
    """A client for the one Prometheus of the settings.

    Every method raises AgentSREError only: Unavailable (`reason` "unavailable", "timeout", or "garbage" where the answer is not the
    protocol), Rejected with Prometheus' own words (400, 404, 422; "redirect"; "too_large"), Forbidden (401, 403), RateLimited (429).
    No message contains a credential. Raises BadSetting at once where the settings cannot work.
    """

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings
        self._api = HttpApi(
            title="Prometheus",
            setting=SETTING,
            url=settings.url,
            bearer_token=settings.bearer_token,
            timeout=settings.timeout,
            max_body_bytes=settings.max_body_bytes,
        )
        self.url = self._api.url
        self.external_url = public_address(settings.external_url, "AGENT_SRE_PROMETHEUS_EXTERNAL_URL") or self.url

    async def aclose(self) -> None:
        """Closes the connections. Safe to call twice."""
        await self._api.aclose()

    async def query(self, expression: str, *, at: datetime, limit: int | None = None, max_body_bytes: int | None = None) -> QueryResult:
        """An instant query: one point per series. With `limit` at most so many of them, whichever the server comes to first.

        Prometheus knows `limit` since 3.2 and says in a warning that there were more. Older ones ignore it: then `max_body_bytes` is what holds,
        and too much is Rejected ("too_large").
        """
        form: Fields = {"query": expression, "time": _seconds(at), "timeout": self._patience} | ({} if limit is None else {"limit": str(limit)})
        return _query_result(await self._call("POST", "/api/v1/query", form, max_body_bytes=max_body_bytes))

    async def query_range(self, expression: str, window: Window) -> QueryResult:
        """A range query: one point per step and series. A step of nothing counts as one second."""
        form: Fields = {
            "query": expression,
            "start": _seconds(window.start),
            "end": _seconds(window.end),
            "step": f"{max(1.0, window.step.total_seconds()):g}",
            "timeout": self._patience,
        }
        return _query_result(await self._call("POST", "/api/v1/query_range", form))

    async def rules(self, name: str = "") -> tuple[Rule, ...]:
        """The alerting rules, only those of this name where one is given. Prometheus before 2.45 sends all of them; we pick."""
        # exclude_alerts: a rule with 10,000 active alerts would bring them all along. Older servers ignore what they do not know.
        query: Fields = {"type": "alert", "exclude_alerts": "true"} | ({"rule_name[]": name} if name else {})
        found: list[Rule] = []
        for group in _dicts(_field(await self._call("GET", "/api/v1/rules", query), "groups")):
            rules = _dicts(group.get("rules"))
            found += [_rule(rule, _string(group, "name")) for rule in rules if rule.get("type", "alerting") == "alerting"]
        return tuple(rule for rule in found if not name or rule.name == name)

    async def alerts(self) -> tuple[ActiveAlert, ...]:
        """What is pending or firing now."""
        return tuple(_active_alert(item) for item in _dicts(_field(await self._call("GET", "/api/v1/alerts", {}), "alerts")))

    async def targets(self) -> tuple[Target, ...]:
        """What Prometheus scrapes now, with the error of each last scrape."""
        answer = await self._call("GET", "/api/v1/targets", {"state": "active"})
        return tuple(_target(item) for item in _dicts(_field(answer, "activeTargets")))

    async def label_names(self, *, start: datetime, end: datetime) -> frozenset[str]:
        """The names of all labels in this stretch, at most MAX_NAMES of them."""
        fields: Fields = {"start": _seconds(start), "end": _seconds(end), "limit": str(MAX_NAMES)}
        return _names(await self._call("GET", "/api/v1/labels", fields))

    async def metric_names(self, selectors: Sequence[str], *, start: datetime, end: datetime) -> frozenset[str]:
        """The names of the metrics that any of these selectors finds in this stretch, at most MAX_NAMES of them."""
        # `limit` is younger than 2.42; older servers ignore what they do not know.
        fields: Fields = {"match[]": list(selectors), "start": _seconds(start), "end": _seconds(end), "limit": str(MAX_NAMES)}
        return _names(await self._call("GET", "/api/v1/label/__name__/values", fields))

    async def version(self) -> str:
        """What the server calls its version: `"2.42.0"`. Empty where it does not say."""
        data = (await self._call("GET", "/api/v1/status/buildinfo", {})).get("data")
        return one_line(_string(data, "version"), 40) if isinstance(data, dict) else ""

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109  (the bound is the caller's, as in LanguageModel.check)
        """Asks a real query now, so that a wrong token or a server that still replays its log shows. Never raises."""
        return await self._api.check(NAME, self._greeting, timeout)

    async def _greeting(self) -> str:
        await self.query("vector(1)", at=datetime.now(UTC))
        try:
            return f"Prometheus {await self.version()} answers queries"
        except AgentSREError:  # Thanos and friends need not have the page; the query has already worked
            return "answers queries"

    @property
    def _patience(self) -> str:
        return f"{max(1, math.ceil(self._settings.timeout.total_seconds()))}s"

    async def _call(self, method: str, path: str, fields: Fields, *, max_body_bytes: int | None = None) -> dict[str, Any]:
        """The envelope `{"status": "success", …}` of one call."""
        answer = await self._api.call(method, path, fields, max_body_bytes=max_body_bytes)
        document = answer.json()
        envelope: dict[str, Any] = document if isinstance(document, dict) else {}
        if answer.ok and envelope.get("status") == "success":
            return envelope
        words = _string(envelope, "error")
        reason = "timeout" if envelope.get("errorType") == "timeout" else None
        if answer.ok and envelope.get("status") == "error":
            raise self._api.rejected(path, answer, words)
        raise self._api.refusal(path, answer, words, reason=reason) or self._api.garbage(path)


# Answers: what the other side sends is checked field by field, because a proxy's error page is JSON too, sometimes.


def _query_result(envelope: dict[str, Any]) -> QueryResult:
    data = envelope.get("data")
    kind, result = (data.get("resultType"), data.get("result")) if isinstance(data, dict) else (None, None)
    if not isinstance(result, list):
        raise _garbage("a query result")
    if kind == "scalar":
        series = [Series(labels={}, points=_points([result]))]
    elif kind == "vector":
        series = [Series(labels=_labels(item.get("metric")), points=_points([item.get("value")])) for item in _dicts(result)]
    elif kind == "matrix":
        series = [Series(labels=_labels(item.get("metric")), points=_points(item.get("values", []))) for item in _dicts(result)]
    else:
        raise _garbage("a vector or a matrix")
    return QueryResult(series=tuple(series), warnings=_warnings(envelope))


def _names(envelope: dict[str, Any]) -> frozenset[str]:
    data = envelope.get("data")
    if data is None:
        return frozenset()
    if not isinstance(data, list):
        raise _garbage("a list of names")
    return frozenset(item for item in data[:MAX_NAMES] if isinstance(item, str))


def _warnings(envelope: dict[str, Any]) -> tuple[str, ...]:
    found = envelope.get("warnings")
    return tuple(one_line(redact(item), 300) for item in found[:5] if isinstance(item, str)) if isinstance(found, list) else ()


def _points(values: object) -> tuple[tuple[float, float], ...]:
    if not isinstance(values, list):
        raise _garbage("a list of samples")
    try:
        # Histograms come in another field and have no single value; null stands for a series that has only those.
        if None in values:
            values = [item for item in values if item is not None]
        return tuple([(float(at), float(value)) for at, value in values])  # a list first: there may be a hundred thousand of them
    except (TypeError, ValueError, OverflowError) as error:
        raise _garbage("samples") from error


def _rule(item: dict[str, Any], group: str) -> Rule:
    return Rule(
        name=_string(item, "name"),
        expression=_string(item, "query"),
        hold=_duration(item.get("duration")),
        labels=_labels(item.get("labels") or {}),
        group=one_line(group),
        health=one_line(_string(item, "health"), 20),
        last_error=one_line(redact(_string(item, "lastError"))),
    )


def _active_alert(item: dict[str, Any]) -> ActiveAlert:
    try:
        value = float(_string(item, "value") or "nan")
    except ValueError:
        value = math.nan
    return ActiveAlert(
        labels=_labels(item.get("labels") or {}),
        state=one_line(_string(item, "state"), 20),
        active_at=parse_instant(item.get("activeAt")),
        value=value if math.isfinite(value) else None,
    )


def _target(item: dict[str, Any]) -> Target:
    return Target(
        labels=_labels(item.get("labels") or {}),
        health=one_line(_string(item, "health"), 20),
        last_error=one_line(redact(_string(item, "lastError"))),
        last_scrape_at=parse_instant(item.get("lastScrape")),
    )


def _duration(seconds: object) -> timedelta:
    """A rule's `for`: seconds as a number; some relatives of Prometheus write `"5m"`."""
    try:
        if isinstance(seconds, str):
            return parse_duration(seconds)
        return timedelta(seconds=seconds) if isinstance(seconds, int | float) and seconds >= 0 else timedelta(0)
    except (ValueError, OverflowError):
        return timedelta(0)


def _labels(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _garbage("labels")
    return {name: text for name, text in value.items() if isinstance(text, str)}


def _field(envelope: dict[str, Any], name: str) -> object:
    data = envelope.get("data")
    return data.get(name) if isinstance(data, dict) else None


def _dicts(value: object) -> list[dict[str, Any]]:
    if value is None:  # Go writes an empty list as null
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _garbage("a list of objects")
    return value


def _string(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _garbage(wanted: str) -> Unavailable:
    return Unavailable(f"Prometheus' answer does not have {wanted} where the protocol has it.", reason="garbage")


def _seconds(instant: datetime) -> str:
    return f"{instant.timestamp():.3f}"
