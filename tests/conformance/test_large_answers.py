"""An answer of a hundred megabytes, from each server that can send one: it costs what we are ready to read, not what it is ready to send."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from agent_sre.evidence.alertmanager.client import AlertmanagerClient, AlertmanagerSettings
from agent_sre.evidence.evidence import Window
from agent_sre.evidence.kubernetes.client import KubernetesClient, KubernetesSettings
from agent_sre.evidence.kubernetes.resources import RESOURCES
from agent_sre.evidence.loki.client import LokiClient, LokiSettings
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.kit.errors import Rejected
from evidence.builders import NOW
from fakes.alertmanager import FakeAlertmanager
from fakes.http import HUGE
from fakes.kubernetes import FakeKubernetes
from fakes.loki import FakeLoki
from fakes.prometheus import FakePrometheus

Ask = Callable[[], Awaitable[object]]

PATIENCE = timedelta(seconds=60)  # a slow machine may take its time: what is measured here is room
WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW, step=timedelta(seconds=30))
ROOM = 30 * 1024 * 1024
"""16 MiB that the settings allow, and what growing to them takes."""


@contextlib.asynccontextmanager
async def prometheus(folder: Path, fault: str) -> AsyncIterator[Ask]:
    async with FakePrometheus(faults={"*": fault}) as fake:
        client = PrometheusClient(PrometheusSettings(url=fake.url, timeout=PATIENCE))
        async with contextlib.aclosing(client):
            yield lambda: client.query_range("up", WINDOW)


@contextlib.asynccontextmanager
async def kubernetes(folder: Path, fault: str) -> AsyncIterator[Ask]:
    async with FakeKubernetes(faults={"*": fault}) as fake:
        settings = KubernetesSettings(kubeconfig=fake.kubeconfig(folder), timeout=PATIENCE)
        async with contextlib.aclosing(KubernetesClient(settings)) as client:
            yield lambda: client.list(RESOURCES["pods"])


@contextlib.asynccontextmanager
async def kubernetes_logs(folder: Path, fault: str) -> AsyncIterator[Ask]:
    async with FakeKubernetes(faults={"*": fault}) as fake:
        settings = KubernetesSettings(kubeconfig=fake.kubeconfig(folder), timeout=PATIENCE)
        async with contextlib.aclosing(KubernetesClient(settings)) as client:
            yield lambda: client.log("shop", "cart-0", "cart")


@contextlib.asynccontextmanager
async def loki(folder: Path, fault: str) -> AsyncIterator[Ask]:
    async with FakeLoki(faults={"*": fault}) as fake:
        client = LokiClient(LokiSettings(url=fake.url, timeout=PATIENCE))
        async with contextlib.aclosing(client):
            yield lambda: client.lines('{pod="cart-0"}', WINDOW.start, WINDOW.end, limit=1_000)


@contextlib.asynccontextmanager
async def alertmanager(folder: Path, fault: str) -> AsyncIterator[Ask]:
    async with FakeAlertmanager(faults={"*": fault}) as fake:
        client = AlertmanagerClient(AlertmanagerSettings(url=fake.url, timeout=PATIENCE))
        async with contextlib.aclosing(client):
            yield client.alerts


SERVERS: dict[str, Callable[[Path, str], AbstractAsyncContextManager[Ask]]] = {
    "prometheus": prometheus,
    "kubernetes": kubernetes,
    "kubernetes-logs": kubernetes_logs,
    "loki": loki,
    "alertmanager": alertmanager,
}


@pytest.mark.parametrize("server", SERVERS)
async def test_a_hundred_megabytes_are_refused_in_little_room_however_they_come(server: str, tmp_path: Path) -> None:
    taken = {}
    for fault in ("huge", "huge-length", "bomb"):
        async with SERVERS[server](tmp_path, fault) as ask:
            with pytest.raises(Rejected) as refused:  # loads what is loaded at the first call
                await ask()
            assert refused.value.reason == "too_large"
            tracemalloc.start()
            try:
                with pytest.raises(Rejected):
                    await ask()
                taken[fault] = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
    assert max(taken.values()) < ROOM < HUGE, taken
