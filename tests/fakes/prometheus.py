"""A Prometheus over a real socket: its envelope and its ways to fail, without its query engine.

    async with FakePrometheus() as prometheus:
        prometheus.answer("up", FakeSeries({"job": "api"}, 1.0))       this expression has this series
        prometheus.answer_like("topk by", FakeSeries({…}, 1.0))        every expression that has this regular expression in it
        prometheus.metrics, prometheus.labels = ["up"], ["job"]        the names that the metadata pages know
        prometheus.faults["/api/v1/query_range"] = "hang"              this path fails like this; "*" is every path
        client = PrometheusClient(PrometheusSettings(url=prometheus.url))
        …
        prometheus.requests[0].form["query"]                           what was really asked

An expression that nobody gave an answer to has no series. What expressions mean is tested with the real program (tests/programs.py).
Faults: see FAULTS. `refuse` is the address of a socket that nobody listens on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

FAULTS = (
    "hang", "reset", "empty", "400", "422", "401", "403", "404", "404-html", "429", "500", "503", "503-timeout", "truncated",
    "truncated-json", "garbage", "html", "binary-gzip", "slow", "redirect", "huge", "null", "list", "wrong-types", "no-data", "deep",
    "scalar-labels", "error-200",
)  # fmt: skip
"""Every way in which this server can fail, but for `refuse`, which needs no server."""

Value = float | Callable[[float], float | None]


@dataclass(frozen=True)
class FakeSeries:
    """One series: a constant, or a function of unix seconds; None is no sample. NaN and infinities are sent as Prometheus does."""

    labels: Mapping[str, str]
    value: Value

    def at(self, instant: float) -> float | None:
        return self.value(instant) if callable(self.value) else self.value


@dataclass(frozen=True)
class RecordedRequest:
    """What came in. `form` holds the fields of a POST body or of the query string."""

    method: str
    path: str
    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class FakePrometheus:
    """The server; see the top of this module."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    targets: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    requests: list[RecordedRequest] = field(default_factory=list)
    secret: str = ""  # echoed by every error, as careless proxies do
    prefix: str = ""
    connections: int = 0  # ever opened

    def __post_init__(self) -> None:
        self._series_by_expression: dict[str, Sequence[FakeSeries]] = {}
        self._series_by_pattern: list[tuple[re.Pattern[str], Sequence[FakeSeries]]] = []
        self._server: asyncio.Server | None = None
        self._closing = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""

    def answer(self, expression: str, *series: FakeSeries) -> None:
        """This expression, letter by letter, has these series."""
        self._series_by_expression[expression] = series

    def answer_like(self, pattern: str, *series: FakeSeries) -> None:
        """Expressions that contain this regular expression have these series; earlier patterns win, and whole expressions over all of them."""
        self._series_by_pattern.append((re.compile(pattern), series))

    def rule(self, name: str, expression: str, **more: Any) -> None:
        """A rule that `/api/v1/rules` shows. `duration` is in seconds."""
        rule = {"name": name, "query": expression, "duration": 0, "labels": {}, "annotations": {}, "alerts": []}
        self.rules.append({**rule, "health": "ok", "type": "alerting", **more})

    @property
    def expressions(self) -> list[str]:
        """The PromQL that was asked for, in order."""
        return [request.form["query"] for request in self.requests if "query" in request.form]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 20)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}{self.prefix}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._closing.set()
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._one(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; False where the connection ends."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
        parts = urlsplit(target)
        path = parts.path.removeprefix(self.prefix)
        request = RecordedRequest(method, path, dict(parse_qsl(body or parts.query, keep_blank_values=True)), headers)
        self.requests.append(request)
        fault = self.faults.get(path, self.faults.get("*", ""))
        if not fault:
            await _send(writer, 200, json.dumps(self._answer(request)))
            return True
        return await self._fail(fault, writer)

    def _answer(self, request: RecordedRequest) -> dict[str, Any]:
        path, form = request.path, request.form
        if path in ("/api/v1/query", "/api/v1/query_range"):
            data: dict[str, Any] = self._query(form) if path.endswith("query") else self._query_range(form)
        elif path == "/api/v1/rules":
            data = {"groups": [{"name": "fake", "file": "fake.yml", "interval": 15, "rules": self.rules}]}
        elif path == "/api/v1/alerts":
            data = {"alerts": self.alerts}
        elif path == "/api/v1/targets":
            data = {"activeTargets": self.targets, "droppedTargets": []}
        elif path == "/api/v1/labels":
            return {"status": "success", "data": ["__name__", *self.labels]}
        elif path == "/api/v1/label/__name__/values":
            return {"status": "success", "data": self.metrics}
        elif path == "/api/v1/status/buildinfo":
            data = {"version": "3.5.3", "goVersion": "go1.24"}
        else:
            raise AssertionError(f"unexpected request {request}")
        return {"status": "success", "data": data} | ({"warnings": self.warnings} if self.warnings else {})

    def _query(self, form: dict[str, str]) -> dict[str, Any]:
        at = float(form["time"])
        sampled = ((series.labels, series.at(at)) for series in self._of(form))
        return {"resultType": "vector", "result": [{"metric": dict(m), "value": [at, _text(v)]} for m, v in sampled if v is not None]}

    def _query_range(self, form: dict[str, str]) -> dict[str, Any]:
        start, end, step = float(form["start"]), float(form["end"]), float(form["step"])
        instants = [start + number * step for number in range(int((end - start) / step + 1e-9) + 1)]
        assert len(instants) <= 11_000
        result = []
        for series in self._of(form):
            values = [[at, _text(value)] for at in instants if (value := series.at(at)) is not None]
            if values:
                result.append({"metric": dict(series.labels), "values": values})
        return {"resultType": "matrix", "result": result}

    def _of(self, form: dict[str, str]) -> Sequence[FakeSeries]:
        expression = form["query"]
        if expression == "vector(1)":
            return [FakeSeries({}, 1.0)]
        if expression in self._series_by_expression:
            return self._series_by_expression[expression]
        return next((series for pattern, series in self._series_by_pattern if pattern.search(expression)), ())

    async def _fail(self, fault: str, writer: asyncio.StreamWriter) -> bool:
        words = f"bad luck with token={self.secret} at {self.secret}" if self.secret else "parse error: unexpected end of input"
        error = json.dumps({"status": "error", "errorType": "bad_data", "error": words})
        if fault == "hang":
            await self._closing.wait()
        elif fault == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        elif fault == "empty":
            await _send(writer, 200, "")
        elif fault in ("400", "422", "401", "403", "404", "500", "503"):
            await _send(writer, int(fault), error)
        elif fault == "429":
            await _send(writer, 429, error, headers="Retry-After: 7\r\n")
        elif fault == "503-timeout":
            await _send(writer, 503, error.replace("bad_data", "timeout"))
        elif fault == "404-html":
            await _send(writer, 404, f"<html><h1>404 {words}</h1></html>")
        elif fault == "truncated":
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"status":"success","data":{"resultType":"matrix","re')
            await writer.drain()
        elif fault == "truncated-json":
            await _send(writer, 200, '{"status":"success","data":{"resultType":"matrix","re')
        elif fault == "binary-gzip":
            await _send(writer, 200, "this is not gzip", headers="Content-Encoding: gzip\r\n")
        elif fault == "slow":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
            while not self._closing.is_set():
                writer.write(b" ")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), 0.02)
        elif fault == "redirect":
            await _send(writer, 302, "", headers="Location: http://169.254.169.254/latest/meta-data/\r\n")
        elif fault == "huge":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not self._closing.is_set():
                writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                await writer.drain()
        else:
            await _send(writer, 200, _STRANGE[fault])
        return fault not in ("hang", "reset", "truncated", "slow", "huge")


_STRANGE = {
    "garbage": "\x00\x01 not json {",
    "html": "<html><body>Please sign in</body></html>",
    "null": "null",
    "list": "[1, 2, 3]",
    "wrong-types": '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":1},"values":[["x",{}],7]}],"groups":7,'
    '"alerts":"x","activeTargets":[3]}}',
    "no-data": '{"status":"success"}',
    "deep": "[" * 5000,
    "scalar-labels": '{"status":"success","data":{"resultType":"vector","result":[{"metric":"m","value":[1,"2"]}],'
    '"groups":[{"rules":[{"labels":3}]}],"alerts":[{"labels":3}],"activeTargets":[{"labels":"x"}]}}',
    "error-200": '{"status":"error","errorType":"internal","error":"who knows"}',
}


def refuse() -> str:
    """An address on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


async def _send(writer: asyncio.StreamWriter, status: int, body: str, *, headers: str = "") -> None:
    content = body.encode()
    kind = "application/json" if re.match(r"\s*[\[{]", body) else "text/html"
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
    writer.write(head.encode() + content)
    await writer.drain()


def _text(value: float) -> str:
    """A sample as Go writes it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
