"""A server over a real socket with every way to fail, for the fakes that speak a protocol over HTTP (prometheus.py, alertmanager.py).

A fake is a dataclass that inherits from FakeServer and says what it answers (`reply`), how its protocol words an error (`error`), and what is
strange in it (`strange`). Faults: see FAULTS. `refuse` is the address of a socket that nobody listens on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

FAULTS = (
    "hang", "reset", "empty", "400", "422", "401", "403", "404", "404-html", "429", "500", "503", "503-timeout", "truncated",
    "truncated-json", "garbage", "html", "binary-gzip", "slow", "redirect", "huge", "null", "list", "wrong-types", "no-data", "deep",
    "scalar-labels", "error-200",
)  # fmt: skip
"""Every way in which a server can fail, but for `refuse`, which needs no server."""


class Refusal(Exception):
    """What `reply` raises where a real server would say no, with the body as it would say it."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body)
        self.status = status
        self.body = body


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


@dataclass
class FakeServer:
    """The server; see the top of this module."""

    faults: dict[str, str] = field(default_factory=dict)  # by path; "*" is every path
    requests: list[RecordedRequest] = field(default_factory=list)
    secret: str = ""  # echoed by every error, as careless proxies do
    prefix: str = ""
    connections: int = 0  # ever opened

    strange: ClassVar[Mapping[str, str]] = {}
    """Bodies of the faults whose strangeness is the protocol's: wrong-types, no-data, scalar-labels, error-200."""

    def __post_init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._closing = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""

    def reply(self, request: RecordedRequest) -> Any:
        """The JSON of a good answer."""
        raise NotImplementedError

    def error(self, words: str, kind: str) -> str:
        """The body of an error; `kind` is "bad_data" or "timeout"."""
        raise NotImplementedError

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
        request = RecordedRequest(method, path, parse_qs(body or parts.query, keep_blank_values=True), headers)
        self.requests.append(request)
        fault = self.faults.get(path, self.faults.get("*", ""))
        if not fault:
            try:
                status, answer = 200, json.dumps(self.reply(request))
            except Refusal as refusal:
                status, answer = refusal.status, refusal.body
            await _send(writer, status, answer)
            return True
        return await self._fail(fault, writer)

    async def _fail(self, fault: str, writer: asyncio.StreamWriter) -> bool:
        words = f"bad luck with token={self.secret} at {self.secret}" if self.secret else "parse error: unexpected end of input"
        error = self.error(words, "bad_data")
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
            await _send(writer, 200, {**_STRANGE, **self.strange}[fault])
        return fault not in ("hang", "reset", "truncated", "slow", "huge")


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


async def _send(writer: asyncio.StreamWriter, status: int, body: str, *, headers: str = "") -> None:
    content = body.encode()
    kind = "application/json" if re.match(r"\s*[\[{]", body) else "text/html"
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
    writer.write(head.encode() + content)
    await writer.drain()
