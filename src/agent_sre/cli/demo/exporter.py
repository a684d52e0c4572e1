"""A small exporter that plays a failing service: one pod of two leaks memory until it is about to be killed.

`history` tells what it would have said before the demo began, so that the curve that people and rules look at is that of a real leak.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

_LIMIT_BYTES = 512 * 1024 * 1024
_LEAK_BEGAN = timedelta(minutes=90)
_HISTORY_STEP = timedelta(seconds=10)
_LEAKING, _HEALTHY = "checkout-7c9d6f5b84-x2v4k", "checkout-7c9d6f5b84-q8wjm"


@asynccontextmanager
async def exporter(*, leak_seconds: float) -> AsyncIterator[int]:
    """Serves `/metrics` on a free port, and gives the port. The leak reaches the limit after `leak_seconds`, the alert's threshold after a sixth."""
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
    """The exposition at a point of the story: -1 is when the leak began, 0 is the start of the demo, 1 is when the limit is reached."""
    return "".join(f"{name}{{{labels}}} {value}\n" for name, labels, value in _samples(progress))


def history(now: datetime, *, target: str) -> str:
    """What Prometheus would have scraped from `target` (host:port) since the leak began, as OpenMetrics with timestamps."""
    seconds, step = round(_LEAK_BEGAN.total_seconds()), round(_HISTORY_STEP.total_seconds())
    lines: dict[str, list[str]] = {}
    for before in range(seconds, 0, -step):
        at = (now - timedelta(seconds=before)).timestamp()
        for name, labels, value in _samples(-before / seconds):
            lines.setdefault(f'{name}{{{labels},instance="{target}",job="demo"}}', []).append(f"{value} {at:.3f}")
    return "\n".join([*(f"{series} {sample}" for series in sorted(lines) for sample in lines[series]), "# EOF", ""])


def _samples(progress: float) -> list[tuple[str, str, int]]:
    leaking = 0.88 + 0.58 * progress if progress < 0 else min(0.99, 0.88 + 0.12 * progress)
    found = []
    for pod, share in ((_LEAKING, leaking), (_HEALTHY, 0.41)):
        labels = f'namespace="shop",pod="{pod}",container="checkout"'
        found += [
            ("container_memory_working_set_bytes", labels, round(share * _LIMIT_BYTES)),
            ("kube_pod_container_resource_limits", f'{labels},resource="memory"', _LIMIT_BYTES),
            ("kube_pod_container_status_restarts_total", labels, 0),
        ]
    return sorted(found)
