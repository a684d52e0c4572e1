"""Hostile clients: dribbling sockets, full disks, a body that never ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import time
from datetime import timedelta
from pathlib import Path

import httpx2

from service import ALERTMANAGER, ServiceProcess, config_of, firing, message, running_service, service_process, with_settings


async def test_a_thousand_dribbling_sockets_do_not_delay_a_real_post(tmp_path: Path) -> None:
    config = with_settings(config_of(tmp_path), "inbox", header_timeout=timedelta(seconds=6), body_timeout=timedelta(seconds=6))
    async with running_service(config) as service:
        port = httpx2.URL(service.url).port
        heads = (b"POST /webhook/alert HTTP/1.1\r\nHost: x\r\nX-", b"POST /webhook/alert HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        sockets = [await asyncio.open_connection("127.0.0.1", port) for _ in range(1_000)]
        for number, (_, writer) in enumerate(sockets):
            writer.write(heads[number % 2])
        tasks = [asyncio.create_task(dribble([writer for _, writer in sockets]))]
        slowest = 0.0
        for number in range(20):
            started = time.monotonic()
            await service.post(message(firing("Real", pod=f"p{number}")), headers=ALERTMANAGER)
            slowest = max(slowest, time.monotonic() - started)
        # Honestly well under a second; posts that waited for the dribblers would take the six until those are closed.
        assert slowest < 5
        # Whoever dribbles is closed at the deadline, whatever it still sends.
        async with asyncio.timeout(30):
            await asyncio.gather(*(ended(reader) for reader, _ in sockets))
        tasks[0].cancel()
        for _, writer in sockets:
            writer.close()


async def test_a_head_without_end_is_cut_off_before_it_takes_memory(tmp_path: Path) -> None:
    async with running_service(config_of(tmp_path)) as service:
        for start in (b"GET /" + b"a" * 100, b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ", b"GET /health HTTP/1.1\r\nHost: x\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", httpx2.URL(service.url).port)
            sent = 0
            with contextlib.suppress(ConnectionError):
                writer.write(start)
                while sent < 4_000_000 and not reader.at_eof():
                    writer.write(b"X-A: b\r\n" * 1_000 if start.endswith(b"\n") else b"a" * 8_000)
                    await writer.drain()
                    sent += 8_000
                    await asyncio.sleep(0)
            async with asyncio.timeout(5):
                await ended(reader)
            assert sent < 4_000_000
            writer.close()
        assert (await service.get("/health"))["service"] == "sre-agent"


async def test_a_request_behind_another_on_the_same_connection_is_answered_after_it(tmp_path: Path) -> None:
    request = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
    async with running_service(config_of(tmp_path)) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx2.URL(service.url).port)
        writer.write(request * 3)
        received = b""
        async with asyncio.timeout(5):
            while received.count(b"HTTP/1.1 200 OK") < 3:
                received += await reader.read(65_536)
        writer.close()


async def test_a_body_behind_an_offered_upgrade_arrives_in_pieces_and_the_next_request_after_it(tmp_path: Path) -> None:
    content = json.dumps(message(firing("Upgraded", pod="p"))).encode()
    head = b"POST /webhook/alert HTTP/1.1\r\nHost: x\r\nUser-Agent: Alertmanager/1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n"
    pieces = [head, b"Content-Length: %d\r\n\r\n" % len(content), content[:10], content[10:] + b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"]
    async with running_service(config_of(tmp_path)) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx2.URL(service.url).port)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        received = b""
        async with asyncio.timeout(5):
            while received.count(b"HTTP/1.1 200 OK") < 2:
                received += await reader.read(65_536)
        assert b"Processed 1 alerts" in received
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx2.URL(service.url).port)
        writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n0\r\n\r\n")
        async with asyncio.timeout(5):
            assert b"400 Bad Request" in await reader.read(65_536)
        writer.close()


async def test_an_idle_connection_is_closed_at_the_head_deadline(tmp_path: Path) -> None:
    config = with_settings(config_of(tmp_path), "inbox", header_timeout=timedelta(seconds=0.3))
    async with running_service(config) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx2.URL(service.url).port)
        async with asyncio.timeout(5):
            await ended(reader)
        writer.close()


async def test_a_kept_alive_connection_serves_the_next_request_after_a_pause_longer_than_the_deadline(tmp_path: Path) -> None:
    config = with_settings(config_of(tmp_path), "inbox", header_timeout=timedelta(seconds=0.3), body_timeout=timedelta(seconds=0.3))
    async with running_service(config) as service:
        await service.post(message(firing()), headers=ALERTMANAGER)
        await asyncio.sleep(0.8)
        await service.post(message(firing()), headers=ALERTMANAGER)


async def test_more_than_the_allowed_connections_are_closed(tmp_path: Path) -> None:
    config = with_settings(config_of(tmp_path), "inbox", max_connections=5)
    async with running_service(config) as service:
        port = httpx2.URL(service.url).port
        sockets = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
        async with asyncio.timeout(5):
            closed = 0
            for reader, _ in sockets[6:]:
                await ended(reader)
                closed += 1
        assert closed == 6
        for _, writer in sockets:
            writer.close()


def test_a_full_disk_gives_503_and_the_service_recovers_by_itself(tmp_path: Path) -> None:
    with service_process(tmp_path) as service, httpx2.Client(base_url=service.url, timeout=10, trust_env=False) as client:
        assert service.process is not None
        assert post(client, "before") == 200
        full(service, limit=16_384)  # every write beyond 16 KiB of any file fails with EFBIG, as on a full disk
        assert {post(client, f"during-{number}") for number in range(5)} == {503}
        assert client.get("/ready").status_code == 503
        assert client.get("/health").json()["store"] != "ok"
        full(service, limit=resource.RLIM_INFINITY)
        end = time.monotonic() + 10
        while post(client, "after") != 200:
            assert time.monotonic() < end, "no recovery within 10 s of space"
            time.sleep(0.1)
        wait_for(client, "after")
        names = {incident["subject"]["name"] for incident in client.get("/incidents").json()["incidents"]}
        assert names == {"before", "after"}
        assert service.process.poll() is None


def test_a_second_service_on_the_same_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with service_process(tmp_path) as first:
        second = ServiceProcess(tmp_path)
        second.start(wait=False)
        assert second.process is not None
        assert second.process.wait(20) == 1
        assert "Another agent-sre already serves" in second.log()
        assert first.stop() == 0


def full(service: ServiceProcess, *, limit: int) -> None:
    """Limits how large a file the service may write; the kernel answers EFBIG beyond it."""
    assert service.process is not None
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def post(client: httpx2.Client, deployment: str) -> int:
    """One alert as Alertmanager sends it; the status."""
    body = message(firing("Disk", deployment=deployment, namespace="shop"))
    return client.post("/webhook/alert", json=body, headers={"User-Agent": "Alertmanager/0.25.0"}).status_code


def wait_for(client: httpx2.Client, name: str) -> None:
    """Waits until the incident about this subject has its report."""
    end = time.monotonic() + 40
    while time.monotonic() < end:
        found = client.get("/incidents").json()["incidents"]
        if any(incident["subject"]["name"] == name and incident["stage"] == "complete" for incident in found):
            return
        time.sleep(0.1)
    raise AssertionError(f"no report about {name}")


async def dribble(writers: list[asyncio.StreamWriter]) -> None:
    """A byte now and then on every socket."""
    while True:
        await asyncio.sleep(0.5)
        for writer in writers:
            with contextlib.suppress(ConnectionError):
                writer.write(b"a")


async def ended(reader: asyncio.StreamReader) -> None:
    """Returns when the other side has closed."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(1024):
            pass
