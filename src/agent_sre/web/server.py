"""The sockets: uvicorn, with the deadlines and limits that it does not have.

uvicorn waits for ever for a request head and for a body. A thousand sockets that send a byte now and then would sit in memory and file
descriptors until none are left, so each connection here has a time to bring a whole head, and one to bring the whole request.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agent_sre.kit.errors import BadSetting

log = logging.getLogger(__name__)

_FILES_WANTED = 65_536
_BACKLOG = 2_048
_LARGEST_HEAD = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the service listens."""

    host: str = "127.0.0.1"
    """The address. Default: only this machine, because whoever reaches the webhook can fill the disk. 0.0.0.0 for a container; set a token then."""

    port: int = 8080
    """The port; 0 takes a free one."""

    service: str = "sre-agent"
    """The name in answers and logs."""


def deadline_protocol(*, head: timedelta, request: timedelta, max_connections: int) -> type[HttpToolsProtocol]:
    """uvicorn's protocol with limits for receiving. `head` and `request` count from the first byte of a request, or from the connection."""

    class DeadlineProtocol(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _in_head = False
        _head_bytes = 0
        _owed = 0  # bytes of a body that the parser does not read

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > max_connections:
                log.warning("Closed a connection: %d are open already", max_connections, extra={"action": "too_many_connections"})
                transport.abort()
                return
            self._arm(head)

        def data_received(self, data: bytes) -> None:
            self._unset_keepalive_if_required()
            if self._owed:
                data = self._take_owed(data)
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._read_on(data[upgrade.args[0] :])
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
            if self._in_head:  # the parser keeps a head of any length
                self._head_bytes += len(data)
                if self._head_bytes > _LARGEST_HEAD:
                    self._expire()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head, self._head_bytes = True, 0
            if self._timer is None:
                self._arm(head)

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            self._in_head = False
            self._arm(request)

        def on_message_complete(self) -> None:
            if self.parser.should_upgrade():  # says the parser, which then reads no body
                return
            self._complete()

        def _complete(self) -> None:
            super().on_message_complete()
            self._disarm()  # until the next one begins, uvicorn's keep-alive timer watches

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def _read_on(self, data: bytes) -> None:
            """What follows a head that offers an upgrade (`curl --http2`, Java's client). Nobody here accepts one, so it is the body."""
            fields = dict(self.headers)
            if b"transfer-encoding" in fields:
                self.send_400_response("A chunked body cannot follow an upgrade.")
                return
            self._owed = int(fields.get(b"content-length", b"0"))
            if rest := self._take_owed(data):
                self.data_received(rest)

        def _take_owed(self, data: bytes) -> bytes:
            body, rest = data[: self._owed], data[self._owed :]
            self._owed -= len(body)
            self.on_body(body)
            if not self._owed:
                self._complete()
            return rest

        def _arm(self, after: timedelta) -> None:
            self._disarm()
            self._timer = self.loop.call_later(after.total_seconds(), self._expire)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _expire(self) -> None:
            # No answer: Alertmanager takes a 408 for final, and a closed connection for a reason to try again.
            self._disarm()
            if not self.transport.is_closing():
                self.transport.abort()

    return DeadlineProtocol


def listen(settings: ServerSettings) -> socket.socket:
    """The listening socket. Raises BadSetting where the address cannot be used, with what to do."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise BadSetting(f'AGENT_HOST: cannot listen on "{settings.host}": {error.strerror}.') from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise BadSetting(
            f"AGENT_PORT: cannot listen on {settings.host}:{settings.port} ({error.strerror}). Stop what uses it, or choose another port."
        ) from error
    return listening


def raise_file_limit() -> None:
    """Asks for as many open files as we are allowed: a storm of 11,000 Alertmanager connections was seen."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(_FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def serve(
    application: Any,
    listening: socket.socket,
    *,
    head_timeout: timedelta,
    body_timeout: timedelta,
    max_connections: int,
    stop: asyncio.Event,
) -> None:
    """Serves until `stop` is set, then lets running requests end (5 s)."""
    config = uvicorn.Config(
        application,
        http=deadline_protocol(head=head_timeout, request=head_timeout + body_timeout, max_connections=max_connections),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        ws="none",
        backlog=_BACKLOG,
    )
    server = _Server(config)
    watching = asyncio.create_task(_stop_when(server, stop))
    try:
        await server.serve(sockets=[listening])
    finally:
        watching.cancel()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the command decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _stop_when(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


def stop_on_signals(stop: asyncio.Event) -> None:
    """Ctrl-C and SIGTERM set the event; a second Ctrl-C ends the process at once."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, first)
