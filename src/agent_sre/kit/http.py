"""One way to make an HTTP client: no redirects, no proxies from the environment, bounded connections, a name that servers can log."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from agent_sre import __version__

if TYPE_CHECKING:
    import httpx2

USER_AGENT = f"agent-sre/{__version__}"


def http_client(*, base_url: str, timeout: timedelta, headers: dict[str, str] | None = None, connections: int = 10) -> httpx2.AsyncClient:
    """A client for one configured server.

    Redirects are off: an answer must not choose whom we ask next (SSRF). Environment proxies are off: the server is named by the settings.
    httpx2 is loaded here, not at import, because `--help` and the webhook do not need it.
    """
    import httpx2

    return httpx2.AsyncClient(
        base_url=base_url,
        timeout=timeout.total_seconds(),
        headers={"User-Agent": USER_AGENT, **(headers or {})},
        follow_redirects=False,
        trust_env=False,
        limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
    )


async def load_backend() -> None:
    """Loads what the first call of any client would load on the event loop, in a thread: while that lasts (0.2 s here), nobody is served."""
    import anyio

    await asyncio.to_thread(anyio.run, anyio.sleep, 0)
