"""Loki's HTTP API: what is asked, and what the answers mean. The exchange itself is http_api.py's.

Source: https://grafana.com/docs/loki/latest/reference/loki-http-api/
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from agent_sre.evidence.evidence import SourceHealth
from agent_sre.evidence.http_api import Answer, HttpApi
from agent_sre.evidence.logs.lines import LogLine
from agent_sre.kit.errors import AgentSREError, BadSetting, Unavailable
from agent_sre.kit.text import one_line

NAME = "loki"
SETTING = "LOKI_URL"

_TENANT = re.compile(r"[A-Za-z0-9!_.*'()|-]{1,150}")
_LAST_INSTANT = 253_402_300_799  # the end of year 9999, the last that a datetime can say
_LEVELS = ("detected_level", "level", "severity_text", "severity")


@dataclass(frozen=True, slots=True, kw_only=True)
class LokiSettings:
    """Which Loki to ask for logs."""

    url: str = ""
    """`http://loki-gateway.monitoring`, with a path prefix where it has one, without `/loki/api/v1`. Default: empty, which switches the source
    off."""

    tenant: str = ""
    """Sent as `X-Scope-OrgID`; several tenants as `a|b` where Loki allows it. Default: empty, right for a Loki with `auth_enabled: false`."""

    bearer_token: str = field(default="", repr=False)
    """Sent as `Authorization: Bearer …`. Default: empty."""

    username: str = ""
    """For basic authentication. Default: empty. A `user:password@` in `url` works too."""

    password: str = field(default="", repr=False)
    """The password that belongs to `username`. Default: empty."""

    timeout: timedelta = timedelta(seconds=5)
    """How long one call may take, body included. 5 s: `gather` stops waiting long before."""

    max_body_bytes: int = 16 * 1024 * 1024
    """Answers larger than this are not read to their end. 16 MiB: 3,000 lines of 5 KiB."""

    max_lines: int = 3_000
    """Lines of one stretch of time that are read; of more, an even sample. 3,000: three stretches of that are read and mined in half a second, and
    Loki as it comes gives 5,000 at most (`max_entries_limit_per_query`). One with a lower limit refuses until this is lower too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream of an answer, lines oldest first."""

    labels: Mapping[str, str]
    lines: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series of an answer to a metric query: (unix seconds, value) oldest first. No line in a step is no point."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class LokiClient:
    """A client for the one Loki of the settings.

    Every method raises AgentSREError only: Unavailable (`reason` "unavailable", "timeout", or "garbage" where the answer is not the
    protocol), Rejected with Loki's own words (400, 404, 422; "redirect"; "too_large"), Forbidden (401, 403), RateLimited (429).
    No message contains a credential. Raises BadSetting at once where the settings cannot work.
    """

    def __init__(self, settings: LokiSettings) -> None:
        if settings.tenant and not _TENANT.fullmatch(settings.tenant):
            raise BadSetting("AGENT_SRE_LOKI_TENANT is not a tenant's name; letters, digits and !-_.*'() are allowed, and | between several.")
        if settings.max_lines < 10:
            raise BadSetting("AGENT_SRE_LOKI_MAX_LINES must be 10 or more.")
        # categorize-labels: without it Loki 3 splits a stream at every trace id. Older ones do not know it, and ignore it.
        headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"} | ({"X-Scope-OrgID": settings.tenant} if settings.tenant else {})
        self._api = HttpApi(
            title="Loki",
            setting=SETTING,
            url=settings.url,
            bearer_token=settings.bearer_token,
            username=settings.username,
            password=settings.password,
            headers=headers,
            timeout=settings.timeout,
            max_body_bytes=settings.max_body_bytes,
        )
        self.url = self._api.url
        self.max_lines = settings.max_lines

    async def aclose(self) -> None:
        """Closes the connections. Safe to call twice."""
        await self._api.aclose()

    async def labels(self, start: datetime, end: datetime) -> frozenset[str]:
        """The names of the stream labels in use in this time."""
        names = await self._data("/loki/api/v1/labels", {"start": _nanoseconds(start), "end": _nanoseconds(end)})
        if names is None:  # Go writes an empty list as null
            return frozenset()
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _garbage("a list of label names")
        return frozenset(names)

    async def series(self, selectors: Sequence[str], start: datetime, end: datetime) -> tuple[Mapping[str, str], ...]:
        """The labels of every stream that one of these selectors chooses in this time."""
        fields = {"match[]": list(selectors), "start": _nanoseconds(start), "end": _nanoseconds(end)}
        return tuple(_labels(item) for item in _dicts(await self._data("/loki/api/v1/series", fields)))

    async def lines(self, query: str, start: datetime, end: datetime, *, limit: int) -> tuple[Stream, ...]:
        """The newest `limit` lines from `start` on and before `end`, over all streams that the query chooses."""
        fields = {"query": query, "start": _nanoseconds(start), "end": _nanoseconds(end), "limit": str(limit), "direction": "backward"}
        data = await self._data("/loki/api/v1/query_range", fields)
        if not isinstance(data, dict) or data.get("resultType") != "streams":
            raise _garbage("streams")
        return tuple(_stream(item) for item in _dicts(data.get("result")))

    async def counts(self, query: str, start: datetime, end: datetime, step: timedelta) -> tuple[Series, ...]:
        """A metric query from `start` to `end`, both included, every `step`."""
        fields = {"query": query, "start": _nanoseconds(start), "end": _nanoseconds(end), "step": f"{max(1, round(step.total_seconds()))}s"}
        data = await self._data("/loki/api/v1/query_range", fields)
        if not isinstance(data, dict) or data.get("resultType") != "matrix":
            raise _garbage("a matrix")
        return tuple(Series(labels=_labels(item.get("metric")), points=_points(item.get("values"))) for item in _dicts(data.get("result")))

    async def values(self, query: str, at: datetime, *, max_body_bytes: int | None = None) -> tuple[Series, ...]:
        """A metric query at one instant: one point per series. Raises Rejected ("too_large") above `max_body_bytes`."""
        data = await self._data("/loki/api/v1/query", {"query": query, "time": _nanoseconds(at)}, max_body_bytes=max_body_bytes)
        if not isinstance(data, dict) or data.get("resultType") != "vector":
            raise _garbage("a vector")
        return tuple(Series(labels=_labels(item.get("metric")), points=_points([item.get("value")])) for item in _dicts(data.get("result")))

    async def count(self, query: str, at: datetime) -> int:
        """A metric query at one instant, summed up; 0 where it has no series."""
        return round(sum(value for series in await self.values(query, at) for _, value in series.points))

    async def version(self) -> str:
        """What the server calls its version: `"3.4.2"`. Empty where it does not say."""
        answer = await self._api.call("GET", "/loki/api/v1/status/buildinfo", {})
        document = answer.json()
        version = document.get("version") if answer.ok and isinstance(document, dict) else ""
        return one_line(version, 40) if isinstance(version, str) else ""

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109  (the bound is the caller's, as in LanguageModel.check)
        """Asks for the labels now, so that a wrong tenant or token shows. Never raises."""
        return await self._api.check(NAME, self._greeting, timeout)

    async def _greeting(self) -> str:
        now = datetime.now(UTC)
        labels = await self.labels(now - timedelta(hours=6), now)
        try:
            name = f"Loki {await self.version()}".strip()
        except AgentSREError:  # gateways need not let the page through; the labels have already worked
            name = "Loki"
        return f"{name} answers queries" if labels else f"{name} answers, but has no logs of the last 6 h for us; is the tenant right?"

    async def _data(self, path: str, fields: Mapping[str, str | Sequence[str]], *, max_body_bytes: int | None = None) -> Any:
        """The `data` of one answer."""
        answer = await self._api.call("GET", path, fields, max_body_bytes=max_body_bytes)
        document = answer.json()
        if answer.ok and isinstance(document, dict) and document.get("status") == "success":
            return document.get("data")
        words = _words(answer, document)
        if answer.ok and isinstance(document, dict) and document.get("status") == "error":
            raise self._api.rejected(path, answer, words)
        reason = "timeout" if answer.status == 504 or "deadline exceeded" in words else None
        raise self._api.refusal(path, answer, words, reason=reason) or self._api.garbage(path)


# Answers: what the other side sends is checked field by field, because a proxy's error page is JSON too, sometimes.


def _words(answer: Answer, document: object) -> str:
    """What Loki says is wrong: plain text mostly, JSON from the gateways of hosted ones."""
    if isinstance(document, dict):
        words = next((text for name in ("error", "message") if isinstance(text := document.get(name), str)), "")
    else:
        words = answer.body[:200].decode(errors="replace").strip() if not answer.body.lstrip().startswith(b"<") else ""
    return f"{words}; set AGENT_SRE_LOKI_TENANT" if words == "no org id" else words


def _stream(item: dict[str, Any]) -> Stream:
    labels = _labels(item.get("stream"))
    values = item.get("values")
    if not isinstance(values, list):
        raise _garbage("a list of lines")
    level = _level(labels)
    lines = []
    for value in values:
        if not isinstance(value, list) or len(value) < 2 or not isinstance(value[1], str):
            raise _garbage("a line")
        lines.append(LogLine(value[1], _seconds(value[0]), _level_of_entry(value[2]) or level if len(value) > 2 else level))
    lines.sort(key=lambda line: line.at or 0.0)
    return Stream(labels=labels, lines=tuple(lines))


def _level_of_entry(metadata: object) -> str:
    """The level in an entry's structured metadata, `{"structuredMetadata": {…}}`, or flat as it was before the flag."""
    if not isinstance(metadata, dict):
        return ""
    inner = metadata.get("structuredMetadata")
    return _level(inner) if isinstance(inner, dict) else _level(metadata)


def _level(labels: Mapping[str, Any]) -> str:
    return next((text for name in _LEVELS if isinstance(text := labels.get(name), str)), "")


def _seconds(nanoseconds: object) -> float | None:
    """Unix seconds of a timestamp, which comes as text: JSON's numbers are too coarse for nanoseconds."""
    if not isinstance(nanoseconds, str) or not nanoseconds.isascii() or not nanoseconds.isdigit() or len(nanoseconds) > 30:
        raise _garbage("a time")
    seconds = int(nanoseconds) / 1e9
    return seconds if seconds <= _LAST_INSTANT else None


def _points(values: object) -> tuple[tuple[float, float], ...]:
    if not isinstance(values, list):
        raise _garbage("a list of samples")
    try:
        points = [(float(at), float(value)) for at, value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise _garbage("samples") from error
    return tuple((at, value) for at, value in points if 0 <= at <= _LAST_INSTANT and math.isfinite(value))


def _labels(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _garbage("labels")
    return {name: text for name, text in value.items() if isinstance(text, str)}


def _dicts(value: object) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _garbage("a list of objects")
    return value


def _garbage(wanted: str) -> Unavailable:
    return Unavailable(f"Loki's answer does not have {wanted} where the protocol has it.", reason="garbage")


def _nanoseconds(instant: datetime) -> str:
    return str(round(instant.timestamp() * 1_000_000) * 1000)
