"""A small exporter that plays a failing service: one pod of two leaks memory until it is about to be killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LIMIT_BYTES = 512 * 1024 * 1024
_LEAKING, _HEALTHY = "checkout-7c9d6f5b84-x2v4k", "checkout-7c9d6f5b84-q8wjm"


@asynccontextmanager
async def exporter(*, leak_seconds: float) -> AsyncIterator[int]:
    """Serves `/metrics` on a free port, and gives the port. The leak reaches the limit after about `leak_seconds`."""
    started = time.monotonic()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            body = metrics((time.monotonic() - started) / leak_seconds).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def metrics(progress: float) -> str:
    """The exposition at a point of the story: 0 is the start, 1 is when the limit is reached."""
    leaking = min(0.99, 0.55 + 0.44 * max(0.0, progress)) * _LIMIT_BYTES
    restarts = 0 if progress < 1.5 else 1
    lines = []
    for pod, used, restarted in ((_LEAKING, leaking, restarts), (_HEALTHY, 0.41 * _LIMIT_BYTES, 0)):
        labels = f'namespace="shop",pod="{pod}",container="checkout"'
        lines += [
            f"container_memory_working_set_bytes{{{labels}}} {used:.0f}",
            f'kube_pod_container_resource_limits{{{labels},resource="memory"}} {_LIMIT_BYTES}',
            f"kube_pod_container_status_restarts_total{{{labels}}} {restarted}",
        ]
    return "\n".join(sorted(lines)) + "\n"
