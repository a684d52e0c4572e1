"""A Loki over a real socket: streams that were pushed, asked for by LogQL, with its limits, its tenants and its ways to fail.

    async with FakeLoki() as loki:
        loki.push({"namespace": "shop", "pod": "cart-0"}, "ERROR boom", at=NOW)
        loki.faults["/loki/api/v1/query_range"] = "hang"                       "*" is every path
        client = LokiClient(LokiSettings(url=loki.url))
        …
        loki.queries                                                           the LogQL that was asked for

What does not fit the protocol is refused as Loki refuses it: a missing tenant, a wrong token, a limit above the server's, LogQL that does not
parse, a time that is no nanoseconds. Faults: see http.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from fakes import logql
from fakes.http import FakeServer, RecordedRequest, Refusal

_RANGE, _INSTANT, _LABELS, _SERIES = "/loki/api/v1/query_range", "/loki/api/v1/query", "/loki/api/v1/labels", "/loki/api/v1/series"
_FIELDS = {
    _RANGE: {"query", "start", "end", "limit", "direction", "step"},
    _INSTANT: {"query", "time"},
    _LABELS: {"start", "end"},
    _SERIES: {"match[]", "start", "end"},
    "/loki/api/v1/status/buildinfo": set(),
}

Entry = tuple[int, str, dict[str, str]]  # nanoseconds, line, structured metadata


@dataclass
class FakeLoki(FakeServer):
    """The server; see the top of this module."""

    tenant: str = ""  # what X-Scope-OrgID must say; empty: auth_enabled is false
    authorization: str = ""  # what Authorization must say; empty: nobody looks
    max_entries: int = 5_000
    no_counts: bool = False  # metric queries time out, as they do where there is too much

    strange: ClassVar[Mapping[str, str]] = {
        "wrong-types": '{"status":"success","data":{"resultType":"streams","result":[{"stream":{"a":1},"values":[["x",{}],7]}]}}',
        "no-data": '{"status":"success"}',
        "scalar-labels": '{"status":"success","data":{"resultType":"streams","result":[{"stream":"m","values":[["1","2"]]}]}}',
        "error-200": '{"status":"error","errorType":"internal","error":"who knows"}',
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self._entries_by_stream: dict[tuple[tuple[str, str], ...], list[Entry]] = {}

    def push(self, labels: Mapping[str, str], *lines: str, at: datetime | float, apart: float = 0.001, level: str = "") -> None:
        """Some lines of one stream, the first one `at`, the others each `apart` seconds later; `level` is structured metadata."""
        seconds = at.timestamp() if isinstance(at, datetime) else at
        metadata = {"detected_level": level} if level else {}
        entries = self._entries_by_stream.setdefault(tuple(sorted(labels.items())), [])
        entries += [(round((seconds + number * apart) * 1e6) * 1000, line, metadata) for number, line in enumerate(lines)]
        entries.sort(key=lambda entry: entry[0])

    @property
    def queries(self) -> list[str]:
        """The LogQL that was asked for, in order, without that of the series."""
        return [request.form["query"] for request in self.requests if "query" in request.form]

    def error(self, words: str, kind: str) -> str:
        return f"context deadline exceeded: {words}" if kind == "timeout" else words

    def reply(self, request: RecordedRequest) -> Any:
        self._check(request)
        if request.path == _LABELS:
            return {"status": "success", "data": sorted({name for labels in self._streams(request) for name in dict(labels)}) or None}
        if request.path == _SERIES:
            queries = [self._parse(text) for text in request.fields["match[]"]]
            chosen = [dict(labels) for labels in self._streams(request) if any(query.chooses(dict(labels)) for query in queries)]
            return {"status": "success", "data": chosen}
        if request.path == _RANGE:
            return {"status": "success", "data": self._range(request)}
        if request.path == _INSTANT:
            return {"status": "success", "data": self._instant(request)}
        return {"version": "3.4.2", "revision": "abc"}

    def _check(self, request: RecordedRequest) -> None:
        """Refuses what Loki would refuse, and what it would ignore: a field that it does not know is a mistake of ours."""
        if request.method != "GET" or request.path not in _FIELDS:
            raise Refusal(404, "404 page not found")
        if self.authorization and request.headers.get("authorization") != self.authorization:
            raise Refusal(401, "Unauthorized")
        if self.tenant and "x-scope-orgid" not in request.headers:
            raise Refusal(401, "no org id")
        if self.tenant != request.headers.get("x-scope-orgid", ""):
            raise Refusal(403, "tenant not allowed")
        unknown = request.fields.keys() - _FIELDS[request.path]
        if unknown:
            raise Refusal(400, f"unknown parameters {sorted(unknown)}")
        for name in ("start", "end", "time"):
            value = request.form.get(name)
            if value is not None and not (value.isdigit() and len(value) == 19):
                raise Refusal(400, f"{name} is not in nanoseconds: {value}")
        if "start" in request.form and int(request.form["start"]) >= int(request.form["end"]):
            raise Refusal(400, "end timestamp must not be before or equal to start time")

    def _streams(self, request: RecordedRequest) -> dict[tuple[tuple[str, str], ...], list[Entry]]:
        """The streams with lines in the asked time; from `start` on, before `end`."""
        start, end = (int(request.form[name]) for name in ("start", "end"))
        inside = {labels: [entry for entry in entries if start <= entry[0] < end] for labels, entries in self._entries_by_stream.items()}
        return {labels: entries for labels, entries in inside.items() if entries}

    def _parse(self, text: str) -> logql.LogQuery:
        try:
            return logql.parse(text)
        except logql.ParseError as error:
            raise Refusal(400, f"parse error at line 1, col 1: {error}") from error

    def _range(self, request: RecordedRequest) -> dict[str, Any]:
        query = self._parse(request.form["query"])
        return self._matrix(query, request) if query.seconds is not None else self._lines(query, request)

    def _lines(self, query: logql.LogQuery, request: RecordedRequest) -> dict[str, Any]:
        limit = int(request.form.get("limit", "100"))
        if limit > self.max_entries:
            raise Refusal(400, f"max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {self.max_entries})")
        if request.form.get("direction", "backward") not in ("backward", "forward"):
            raise Refusal(400, "invalid direction")
        backward = request.form.get("direction", "backward") == "backward"
        found = [
            (entry, labels)
            for labels, entries in self._streams(request).items()
            if query.chooses(dict(labels))
            for entry in entries
            if query.keeps(entry[1])
        ]
        found.sort(key=lambda item: item[0][0], reverse=backward)
        categorized = request.headers.get("x-loki-response-encoding-flags") == "categorize-labels"
        streams: dict[tuple[tuple[str, str], ...], list[list[Any]]] = {}
        for (at, line, metadata), labels in found[:limit]:
            key = labels if categorized else tuple(sorted((*labels, *metadata.items())))
            extra = [{"structuredMetadata": metadata}] if categorized and metadata else [{}] if categorized else []
            streams.setdefault(key, []).append([str(at), line, *extra])
        flags = {"encodingFlags": ["categorize-labels"]} if categorized else {}
        result = [{"stream": dict(labels), "values": values} for labels, values in streams.items()]
        return {"resultType": "streams", **flags, "result": result, "stats": {}}

    def _matrix(self, query: logql.LogQuery, request: RecordedRequest) -> dict[str, Any]:
        self._refuse_counting()
        start, end = (int(request.form[name]) / 1e9 for name in ("start", "end"))
        step = int(request.form["step"].removesuffix("s"))
        steps = [start + number * step for number in range(math.floor((end - start) / step + 1e-9) + 1)]
        if len(steps) > 11_000:
            raise Refusal(400, "exceeded maximum resolution of 11,000 points per time series")
        values = [[at, str(number)] for at in steps if (number := self._count(query, at))]
        return {"resultType": "matrix", "result": [{"metric": {}, "values": values}] if values else [], "stats": {}}

    def _instant(self, request: RecordedRequest) -> dict[str, Any]:
        query = self._parse(request.form["query"])
        if query.seconds is None:
            raise Refusal(400, "log queries are not supported as an instant query type, please change your query to a range query type")
        self._refuse_counting()
        at = int(request.form["time"]) / 1e9
        number = self._count(query, at)
        return {"resultType": "vector", "result": [{"metric": {}, "value": [at, str(number)]}] if number else [], "stats": {}}

    def _refuse_counting(self) -> None:
        if self.no_counts:
            raise Refusal(504, "context deadline exceeded")

    def _count(self, query: logql.LogQuery, at: float) -> int:
        """Lines of the `seconds` that end at this instant."""
        end = round(at * 1e9)
        start = end - (query.seconds or 0) * 10**9
        chosen = (entries for labels, entries in self._entries_by_stream.items() if query.chooses(dict(labels)))
        return sum(start < entry[0] <= end and query.keeps(entry[1]) for entries in chosen for entry in entries)
