"""`agent-sre serve`."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from typing import TYPE_CHECKING

from agent_sre.config.config import Config
from agent_sre.config.load import load_config
from agent_sre.kit.logs import configure_logs
from agent_sre.web.server import listen, raise_file_limit, serve, stop_on_signals

if TYPE_CHECKING:
    from agent_sre.analysis.agent import Agent

log = logging.getLogger("agent_sre.serve")

_LOCAL = ("127.0.0.1", "localhost", "::1")


def run() -> None:
    """Serves until a signal comes."""
    config = load_config(os.environ)
    configure_logs(config.logs)
    asyncio.run(serve_until(config, asyncio.Event(), signals=True))


async def serve_until(config: Config, stop: asyncio.Event, *, signals: bool = False) -> None:
    """The whole service, until `stop` is set."""
    listening = listen(config.server)  # first: a taken port is the most common mistake, and costs no second to find
    try:
        raise_file_limit()
        from agent_sre.app import build

        application = build(config)
        application.store.lock()
        if signals:
            stop_on_signals(stop)
        async with application.running():
            settling = asyncio.create_task(_settle(application.agent))
            host, port = listening.getsockname()[:2]
            log.info("SRE Agent started on %s:%d, incidents at http://%s:%d/incidents", host, port, _reachable(host), port,
                     extra={"action": "started"})  # fmt: skip
            if config.server.host not in _LOCAL and not config.inbox.webhook_token:
                log.warning(
                    "Listening on %s without a webhook token: whoever reaches this port can post alerts and read incidents. "
                    "Set AGENT_SRE_WEBHOOK_TOKEN or AGENT_SRE_WEBHOOK_TOKEN_FILE.",
                    config.server.host,
                    extra={"action": "open_door"},
                )
            await serve(
                application.web,
                listening,
                head_timeout=config.inbox.header_timeout,
                body_timeout=config.inbox.body_timeout,
                max_connections=config.inbox.max_connections,
                stop=stop,
            )
            settling.cancel()
            log.info("Stopping; what is unfinished goes on at the next start", extra={"action": "stopping"})
    finally:
        listening.close()


async def _settle(agent: Agent) -> None:
    """Tells the garbage collector that what is loaded stays: looking through its 150,000 objects would stop every post for a tenth of a second."""
    await agent.open()
    gc.freeze()


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (compared, not bound)
