"""Prometheus' HTTP API: one configured server, bounded in time and size, every failure one of our errors.

The address comes from the settings only. No redirect is followed and no URL of a payload is ever called, so nobody who can send an alert
or answer a query chooses whom we talk to.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

import orjson

from agent_sre.evidence.evidence import SourceHealth, Window
from agent_sre.kit.durations import parse_duration
from agent_sre.kit.errors import AgentSREError, BadSetting, Forbidden, RateLimited, Rejected, Unavailable
from agent_sre.kit.http import http_client
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line
from agent_sre.kit.times import parse_instant

if TYPE_CHECKING:
    import httpx2

NAME = "prometheus"
SETTING = "PROMETHEUS_URL"

MAX_NAMES = 20_000
"""Names of metrics or labels that one answer may have; a large cluster has some 3,000."""

Fields = Mapping[str, str | list[str]]


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
        address = _address(settings.url, SETTING)
        if settings.timeout <= timedelta(0) or settings.max_body_bytes <= 0:
            raise BadSetting("AGENT_SRE_PROMETHEUS_TIMEOUT and AGENT_SRE_PROMETHEUS_MAX_BODY_BYTES must be more than nothing.")
        self._settings = settings
        self._secrets = _secrets(settings, address)
        self._http: httpx2.AsyncClient | None = None
        self.url = _without_credentials(address)
        self.external_url = _without_credentials(_address(settings.external_url, "AGENT_SRE_PROMETHEUS_EXTERNAL_URL")) or self.url

    async def aclose(self) -> None:
        """Closes the connections. Safe to call twice."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def query(self, expression: str, *, at: datetime) -> QueryResult:
        """An instant query: one point per series."""
        form: Fields = {"query": expression, "time": _seconds(at), "timeout": self._patience}
        return _query_result(await self._call("POST", "/api/v1/query", form))

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
        if not self.url:
            return SourceHealth(name=NAME, state="off", reason=f"{SETTING} is not set")
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await self.query("vector(1)", at=datetime.now(UTC))
                return SourceHealth(name=NAME, state="ok", reason=await self._greeting())
        except TimeoutError:
            reason = f"Prometheus at {self.url} did not answer within {timeout.total_seconds():g} s"
            return SourceHealth(name=NAME, state="error", reason=reason)
        except AgentSREError as error:
            return SourceHealth(name=NAME, state="error", reason=str(error))

    async def _greeting(self) -> str:
        try:
            return f"Prometheus {await self.version()} answers queries"
        except AgentSREError:  # Thanos and friends need not have the page; the query has already worked
            return "answers queries"

    @property
    def _patience(self) -> str:
        return f"{max(1, math.ceil(self._settings.timeout.total_seconds()))}s"

    def _client(self) -> httpx2.AsyncClient:
        # Made on first use: httpx2 takes a quarter of a second to load, and the webhook must not wait for it.
        if self._http is None:
            self._http = http_client(
                base_url=self.url,
                timeout=self._settings.timeout,
                headers={"Accept": "application/json", **_authorization(self._settings)},
                connections=20,
            )
        return self._http

    async def _call(self, method: str, path: str, fields: Fields) -> dict[str, Any]:
        """The envelope `{"status": "success", …}` of one call."""
        import httpx2

        if not self.url:
            raise BadSetting(f"{SETTING} is not set.", reason="not_configured")
        try:
            # The client's own time-outs begin anew with every byte that drips in; this one does not.
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                status, headers, body = await self._exchange(method, path, fields)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise Unavailable(
                f"Prometheus at {self.url} did not answer {path} within {self._settings.timeout.total_seconds():g} s.", reason="timeout"
            ) from error
        except httpx2.DecodingError as error:
            raise Unavailable(f"Prometheus at {self.url} answered {path} with a body that cannot be unpacked.", reason="garbage") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unavailable(f"Prometheus at {self.url} cannot be reached: {self._safe(str(error)) or type(error).__name__}.") from error
        return self._envelope(path, status, headers, body)

    async def _exchange(self, method: str, path: str, fields: Fields) -> tuple[int, Mapping[str, str], bytes]:
        where: dict[str, Any] = {"data": fields} if method == "POST" else {"params": fields}
        async with self._client().stream(method, path, **where) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._settings.max_body_bytes:
                    raise Rejected(
                        f"Prometheus' answer to {path} is larger than {self._settings.max_body_bytes // 1024} KiB; it was not read.",
                        reason="too_large",
                    )
            return response.status_code, response.headers, bytes(body)

    def _envelope(self, path: str, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        try:
            envelope = orjson.loads(body)
        except orjson.JSONDecodeError:
            envelope = None
        if not isinstance(envelope, dict):
            envelope = {}
        if 200 <= status < 300 and envelope.get("status") == "success":
            return envelope
        words = self._safe(_string(envelope, "error"))
        if status in (401, 403):
            raise Forbidden(f"Prometheus at {self.url} refuses us ({status}){_colon(words)}; check its token.")
        if status == 429:
            raise RateLimited(f"Prometheus at {self.url} wants fewer requests{_colon(words)}.", retry_after=_retry_after(headers))
        if 300 <= status < 400:
            raise Rejected(
                f"Prometheus at {self.url} redirects ({status}), which we do not follow; set {SETTING} to the final address.",
                reason="redirect",
            )
        if 400 <= status < 500 or (envelope.get("status") == "error" and status < 500):
            raise Rejected(f"Prometheus rejected {path} ({status}){_colon(words or self._safe(_start(body)))}.")
        if status >= 500:
            reason = "timeout" if envelope.get("errorType") == "timeout" else None
            raise Unavailable(f"Prometheus at {self.url} answered {path} with {status}{_colon(words)}.", reason=reason)
        raise Unavailable(f"The server at {self.url} answered {path} with something that is not Prometheus' JSON.", reason="garbage")

    def _safe(self, text: str) -> str:
        """Words of the other side, fit for a message: one line, no secret that we know, none that looks like one."""
        for secret in self._secrets:
            text = text.replace(secret, "<secret>")
        return one_line(redact(text), 200).rstrip(".")


# Settings


def _address(url: str, setting: str) -> SplitResult:
    """The parts of a configured address. Raises BadSetting, never with the address itself: it may hold a password."""
    try:
        parts = urlsplit(url.strip())
        usable = not url.strip() or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url.strip()):
        raise BadSetting(f"{setting} is not an address; write http://host:9090 or https://host/prefix.")
    return parts


def _without_credentials(address: SplitResult) -> str:
    return address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/")


def _authorization(settings: PrometheusSettings) -> dict[str, str]:
    """The header that says who we are. Raises BadSetting for a token that cannot be a header."""
    if settings.bearer_token:
        if not settings.bearer_token.isascii() or not settings.bearer_token.isprintable():
            raise BadSetting("AGENT_SRE_PROMETHEUS_BEARER_TOKEN has characters that no header can carry; is there a line break in it?")
        return {"Authorization": f"Bearer {settings.bearer_token}"}
    address = urlsplit(settings.url)
    if address.username is None:
        return {}
    pair = f"{unquote(address.username)}:{unquote(address.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _secrets(settings: PrometheusSettings, address: SplitResult) -> tuple[str, ...]:
    """Every text that must not show in a message, the longest first."""
    header = _authorization(settings).get("Authorization", "")
    known = {settings.bearer_token, header.partition(" ")[2], address.password or "", unquote(address.password or "")}
    return tuple(sorted((text for text in known if text), key=len, reverse=True))


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


def _start(body: bytes) -> str:
    return body[:200].decode(errors="replace")


def _colon(words: str) -> str:
    return f": {words}" if words else ""


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    text = headers.get("Retry-After", "")
    return timedelta(seconds=min(int(text), 86_400)) if text.isascii() and text.isdigit() and len(text) < 10 else None
