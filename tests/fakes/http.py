"""A server over a real socket with every way to fail, for the fakes that speak a protocol over HTTP (prometheus.py, alertmanager.py, loki.py,
kubernetes.py).

A fake is a dataclass that inherits from FakeServer and says what it answers (`reply`), how its protocol words an error (`error`), and what is
strange in it (`strange`). Faults: see FAULTS. `refuse` is the address of a socket that nobody listens on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, unquote, urlsplit

COMMON_FAULTS = (
    "hang", "reset", "empty", "400", "401", "403", "404", "404-html", "429", "500", "503", "504", "truncated", "truncated-json", "garbage",
    "html", "binary-gzip", "truncated-gzip", "bomb", "slow", "redirect", "huge", "huge-length", "null", "list", "deep", "tls",
)  # fmt: skip
"""Every way in which any server can fail, but for `refuse`, which needs no server. `tls` is one that has no certificate to show."""

FAULTS = (*COMMON_FAULTS, "422", "503-timeout", "wrong-types", "no-data", "scalar-labels", "error-200")
"""Those of the monitoring programs, whose protocols have a place for an error."""

HUGE = 100 * 1024 * 1024
"""Bytes of the answers `bomb` (a hundred kilobytes on the wire) and `huge-length`; `huge` has no end."""


class Refusal(Exception):
    """What `reply` raises where a real server would say no, with the body as it would say it."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body)
        self.status = status
        self.body = body


@dataclass(frozen=True)
class Text:
    """What `reply` gives where the answer is no JSON."""

    text: str


@dataclass(frozen=True)
class RecordedRequest:
    """What came in. `form` holds the last value of each field of a POST body or of the query string, `fields` all of them."""

    method: str
    path: str
    fields: dict[str, list[str]]
    headers: dict[str, str]

    @property
    def form(self) -> dict[str, str]:
        return {name: values[-1] for name, values in self.fields.items()}

    @property
    def last(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass
class FakeServer:
    """The server; see the top of this module."""

    faults: dict[str, str] = field(default_factory=dict)  # by path; "*" is every path
    requests: list[RecordedRequest] = field(default_factory=list)
    secret: str = ""  # echoed by every error, as careless proxies do
    prefix: str = ""
    connections: int = 0  # ever opened
    tls: ssl.SSLContext | None = None

    strange: ClassVar[Mapping[str, str]] = {}
    """Bodies of the faults whose strangeness is the protocol's: wrong-types, no-data, scalar-labels, error-200."""

    def __post_init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._closing = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""

    def reply(self, request: RecordedRequest) -> Any:
        """The JSON of a good answer, or a Text. Raises Refusal."""
        raise NotImplementedError

    def error(self, words: str, kind: str) -> str:
        """The body of an error; `kind` is "bad_data" or "timeout"."""
        raise NotImplementedError

    def fault_of(self, request: RecordedRequest) -> str:
        """How this request fails; empty where it does not."""
        return self.faults.get(request.path, self.faults.get("*", ""))

    def echoed(self, request: RecordedRequest) -> str:
        """The secret that the words of an error have in them."""
        return self.secret

    async def __aenter__(self) -> Self:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if "tls" in self.faults.values() else self.tls
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 20, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}{self.prefix}"
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
        path = unquote(parts.path).removeprefix(self.prefix)
        request = RecordedRequest(method, path, parse_qs(body or parts.query, keep_blank_values=True), headers)
        self.requests.append(request)
        fault = self.fault_of(request)
        if fault:
            return await self._fail(fault, request, writer)
        try:
            status, answer = 200, self.reply(request)
        except Refusal as refusal:
            status, answer = refusal.status, Text(refusal.body)
        await _send(writer, status, answer.text if isinstance(answer, Text) else json.dumps(answer))
        return True

    async def _fail(self, fault: str, request: RecordedRequest, writer: asyncio.StreamWriter) -> bool:
        secret = self.echoed(request)
        words = f"bad luck with token={secret} at {secret}" if secret else "parse error: unexpected end of input"
        error = self.error(words, "bad_data")
        if fault == "hang":
            await self._closing.wait()
        elif fault == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        elif fault == "empty":
            await _send(writer, 200, "")
        elif fault.isdigit():
            await _send(writer, int(fault), error, headers="Retry-After: 7\r\n" if fault == "429" else "")
        elif fault == "503-timeout":
            await _send(writer, 503, self.error(words, "timeout"))
        elif fault == "404-html":
            await _send(writer, 404, f"<html><h1>404 {words}</h1></html>")
        elif fault == "truncated":
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n[{"status":"success"')
            await writer.drain()
        elif fault == "truncated-json":
            await _send(writer, 200, '[{"status":"success","data":{"re')
        elif fault == "binary-gzip":
            await _send(writer, 200, "this is not gzip", headers="Content-Encoding: gzip\r\n")
        elif fault in ("truncated-gzip", "bomb"):
            await _send(writer, 200, _bomb() if fault == "bomb" else _bomb()[:300], headers="Content-Encoding: gzip\r\n")
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
        elif fault == "huge-length":
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {HUGE}\r\n\r\n".encode())
            for _ in range(HUGE // 0x10000):
                writer.write(b" " * 0x10000)
                await writer.drain()
        else:
            await _send(writer, 200, {**_STRANGE, **self.strange}[fault])
        return fault not in ("hang", "reset", "truncated", "slow", "huge", "huge-length")


_STRANGE = {
    "garbage": "\x00\x01 not json {",
    "html": "<html><body>Please sign in</body></html>",
    "null": "null",
    "list": "[1, 2, 3]",
    "deep": "[" * 5000,
}


def refuse() -> str:
    """An address on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@cache
def _bomb() -> bytes:
    """HUGE white space, packed."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(b" " * 0x100000) for _ in range(HUGE // 0x100000)), packer.flush()])


async def _send(writer: asyncio.StreamWriter, status: int, body: str | bytes, *, headers: str = "") -> None:
    content = body.encode() if isinstance(body, str) else body
    kind = "application/json" if re.match(rb"\s*[\[{]", content) else "text/html"
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
    writer.write(head.encode() + content)
    await writer.drain()
