"""The load: keep-alive clients on raw sockets, each with alerts of its own, each sending as soon as it is answered. Prints JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from bench.bodies import HEADERS, body


def whole_length(received: bytearray) -> int:
    """The length of the first HTTP message, 0 where it is not whole yet."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = bytes(received[:end]).lower()
    _, found, rest = head.partition(b"\r\ncontent-length:")
    length = end + 4 + (int(rest.partition(b"\r\n")[0]) if found else 0)
    return length if len(received) >= length else 0


class Client(asyncio.Protocol):
    """One keep-alive connection that posts the same body until `end`."""

    def __init__(self, number: int, *, begin: float, end: float) -> None:
        content = body(number, alerts=50)
        fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        head = f"POST /webhook/alert HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}Content-Length: {len(content)}\r\n\r\n"
        self._request = head.encode() + content
        self._received = bytearray()
        self._begin, self._end, self._sent_at = begin, end, 0.0
        self._transport: asyncio.Transport | None = None
        self.latencies: list[float] = []
        self.refused = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send(time.perf_counter())

    def data_received(self, data: bytes) -> None:
        self._received += data
        length = whole_length(self._received)
        if not length:
            return
        now = time.perf_counter()
        if not self._received.startswith(b"HTTP/1.1 200 "):
            self.refused += 1
        elif self._begin <= now <= self._end:
            self.latencies.append(now - self._sent_at)
        del self._received[:length]
        if now < self._end:
            self._send(now)
        elif self._transport:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio names it)
        if not self.done.done():
            self.done.set_result(None)

    def _send(self, now: float) -> None:
        self._sent_at = now
        if self._transport:
            self._transport.write(self._request)


async def _main(port: int, clients: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    begin = time.perf_counter() + 0.7  # connecting, and the server's first requests, are not counted
    end = begin + seconds
    at_work = [Client(number, begin=begin, end=end) for number in range(clients)]
    for client in at_work:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]  # mypy and default arguments
    await asyncio.wait([client.done for client in at_work], timeout=seconds + 15)
    latencies = sorted(latency for client in at_work for latency in client.latencies)
    silent = sum(not client.latencies for client in at_work)
    refused = sum(client.refused for client in at_work)
    print(json.dumps({"seconds": seconds, "latencies": latencies, "refused": refused, "silent": silent}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    asyncio.run(_main(arguments.port, arguments.clients, arguments.seconds))
