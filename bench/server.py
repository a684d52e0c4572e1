"""The servers that are compared. Prints its port, serves until a signal comes.

service   the whole product: route, inbox, ingester, worker
store     the product's route and inbox; nothing works behind it
nostore   the product's route, with an inbox that says yes at once
echo      a bare asyncio protocol that reads a whole request and says yes: no HTTP library, no framework
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import socket
from dataclasses import replace
from itertools import count

from agent_sre.alert.inbox import Inbox
from agent_sre.app import App, build
from agent_sre.config.load import load_config
from agent_sre.investigation.counters import AlertCounters
from agent_sre.kit.logs import configure_logs
from agent_sre.web.application import build_application
from agent_sre.web.results import Results
from agent_sre.web.server import listen, serve, stop_on_signals
from agent_sre.web.webhook import webhook_router
from bench.load import whole_length

MODES = ("service", "store", "nostore", "echo")
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class NoInbox(Inbox):
    """An inbox that keeps nothing."""

    def __init__(self) -> None:
        self._ids = count(1)

    async def accept(self, body: bytes, *, sender: str, alerts: int) -> int:  # noqa: ARG002 (what the route passes)
        return next(self._ids)


class Echo(asyncio.Protocol):
    """Reads requests with a Content-Length, answers each."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (length := whole_length(self._received)) and self._transport:
            del self._received[:length]
            self._transport.write(_ANSWER)


def _without_storing(app: App) -> App:
    inbox = NoInbox()
    results = Results(store=app.store, clock=app.clock, playbooks=(), published=app.published)
    counters = AlertCounters(app.store, app.clock)
    router = webhook_router(
        inbox=inbox, results=results, settings=app.config.inbox, clock=app.clock, service=app.config.server.service, counters=counters
    )
    return replace(app, inbox=inbox, web=build_application(routers=(router,), health=app.health, collect=()))


async def _main(mode: str) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    config = load_config(os.environ)
    configure_logs(config.logs)
    listening = listen(config.server)
    if mode == "echo":
        server = await asyncio.get_running_loop().create_server(Echo, sock=listening)
        _say_port(listening)
        async with server:
            await stop.wait()
        return
    app = build(config)
    if mode == "nostore":
        app = _without_storing(app)
    if mode == "service":
        await app.agent.open()  # LangGraph loads for two seconds in the background; here that is over
    gc.freeze()  # as `serve` does once everything is loaded
    _say_port(listening)
    limits = config.inbox
    serving = serve(
        app.web,
        listening,
        head_timeout=limits.header_timeout,
        body_timeout=limits.body_timeout,
        max_connections=limits.max_connections,
        stop=stop,
    )
    if mode == "service":
        async with app.running():
            await serving
    else:
        await serving
        await app.close()


def _say_port(listening: socket.socket) -> None:
    print(listening.getsockname()[1], flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=MODES, required=True)
    asyncio.run(_main(parser.parse_args().mode))
