"""The shop as every source sees it: its metrics in a real Prometheus, its cluster, logs and alerts in fakes over real sockets.

    async with servers_of(shop) as urls, surroundings(prometheus.url, urls, tmp_path) as around:
        around.sources                                          all six, as the service makes them of its settings
        async with around.broken("loki", "hang") as sources:    the same, and instead of Loki one that fails in every call

A fault is a word of fakes/http.py, or "refuse", or "lie": JSON of another shape.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent_sre.app import App, build
from agent_sre.evidence.alertmanager.client import AlertmanagerClient, AlertmanagerSettings
from agent_sre.evidence.alertmanager.source import AlertmanagerSource
from agent_sre.evidence.evidence import EvidenceSource
from agent_sre.evidence.kubernetes.client import KubernetesClient, KubernetesSettings
from agent_sre.evidence.kubernetes.source import KubernetesSource
from agent_sre.evidence.loki.client import LokiClient, LokiSettings
from agent_sre.evidence.loki.source import LokiSource
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.incident.incident import Incident
from evidence.builders import an_alert, an_incident
from evidence.shop import BAD, NAMESPACE, NODE_OF, Shop
from fakes.alertmanager import FakeAlertmanager
from fakes.http import FakeServer, refuse
from fakes.kubernetes import FakeKubernetes, a_pod, an_event, an_object, write_kubeconfig
from fakes.loki import FakeLoki
from fakes.prometheus import FakePrometheus
from service import config_of

SERIES = 1_000
CROWD = 60
"""Pods of the namespace that are well, and events about them."""

EXPRESSION = 'container_memory_working_set_bytes{container!=""} > 2e8'

NETWORK = ("prometheus", "kubernetes", "loki", "alertmanager")
"""The sources that somebody else can break."""

_SERVERS: dict[str, Callable[[], FakeServer]] = {
    "prometheus": FakePrometheus,
    "kubernetes": FakeKubernetes,
    "loki": FakeLoki,
    "alertmanager": FakeAlertmanager,
}
_LIES = {"kubernetes": "items-wrong"}


def a_shop() -> Shop:
    """The shop with a thousand more series around it."""
    return Shop(step=60, extra_series=SERIES)


def incident_of(shop: Shop) -> Incident:
    """Its bad pod's alert."""
    labels = {"namespace": NAMESPACE, "pod": BAD, "container": "cart"}
    return an_incident(an_alert("HighMemory", EXPRESSION, labels, starts_at=shop.starts_at))


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Everything around the shop, well and answering."""

    app: App
    sources: Sequence[EvidenceSource]
    folder: Path

    @contextlib.asynccontextmanager
    async def broken(self, name: str, fault: str) -> AsyncIterator[Sequence[EvidenceSource]]:
        """The sources, of which this one looks at a server that fails in every call."""
        async with a_broken_server(name, fault) as url, contextlib.aclosing(self._source(name, url)) as instead:
            yield [instead if source.name == name else source for source in self.sources]

    def _source(self, name: str, url: str) -> AlertmanagerSource | KubernetesSource | LokiSource | PrometheusSource:
        clock = self.app.clock
        match name:
            case "prometheus":
                return PrometheusSource(PrometheusClient(PrometheusSettings(url=url)), clock)
            case "loki":
                return LokiSource(LokiClient(LokiSettings(url=url)), clock)
            case "alertmanager":
                return AlertmanagerSource(AlertmanagerClient(AlertmanagerSettings(url=url)), self.app.store, clock)
        kubeconfig = write_kubeconfig(self.folder / "broken.yaml", url, {"token": "t0k3n"})
        return KubernetesSource(KubernetesClient(KubernetesSettings(kubeconfig=kubeconfig)), clock)


@contextlib.asynccontextmanager
async def surroundings(
    prometheus_url: str, urls: Mapping[str, str], folder: Path, *, patience: timedelta | None = None
) -> AsyncIterator[Surroundings]:
    """The sources that look at these servers. `patience` is how long the look around in Prometheus may take; None: as usual."""
    kubeconfig = write_kubeconfig(folder / "kubeconfig.yaml", urls["kubernetes"], {"token": FakeKubernetes().token})
    named = {"LOKI_URL": urls["loki"], "ALERTMANAGER_URL": urls["alertmanager"], "KUBECONFIG": kubeconfig}
    app = build(config_of(folder, PROMETHEUS_URL=prometheus_url, **named))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(app.close)
        sources: Sequence[EvidenceSource] = app.evidence
        if patience is not None and app.prometheus is not None:
            looking = PrometheusSource(app.prometheus, app.clock, patience=patience)
            stack.push_async_callback(looking.aclose)
            sources = [looking if source.name == "prometheus" else source for source in sources]
        yield Surroundings(app=app, sources=sources, folder=folder)


@contextlib.asynccontextmanager
async def a_broken_server(name: str, fault: str) -> AsyncIterator[str]:
    """The address of one that should be this source's, and fails in every call."""
    if fault == "refuse":
        yield refuse()
        return
    server = _SERVERS[name]()
    server.faults["*"] = _LIES.get(name, "wrong-types") if fault == "lie" else fault
    async with server:
        yield server.url


@contextlib.asynccontextmanager
async def servers_of(shop: Shop) -> AsyncIterator[dict[str, str]]:
    """Cluster, logs and alerts of the shop: the addresses, by the name of the source."""
    async with FakeKubernetes(objects=_objects()) as cluster, FakeLoki() as loki, FakeAlertmanager() as alertmanager:
        cluster.logs[NAMESPACE, BAD, "cart", False] = cluster.logs[NAMESPACE, BAD, "cart", True] = _log()
        for minute in range(20):
            loki.push(_stream(), *_lines(minute), at=shop.now - timedelta(minutes=minute, seconds=1))
        alertmanager.hold({"alertname": "HighLatency", "namespace": NAMESPACE, "service": "cart"})
        yield {"kubernetes": cluster.url, "loki": loki.url, "alertmanager": alertmanager.url}


def _objects() -> list[dict[str, Any]]:
    """The objects of the namespace, one pod of which is in trouble."""
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}
    pods = [a_pod(name, node=node, ready=name != BAD, state=waiting if name == BAD else None) for name, node in NODE_OF.items()]
    pods += [a_pod(f"crowd-{number}", app="crowd") for number in range(CROWD)]
    events = [an_event(BAD, "BackOff", "Back-off restarting failed container", count=12)]
    events += [an_event(f"crowd-{number}", "Pulled", "Container image already present", warning=False) for number in range(CROWD)]
    nodes = [an_object("Node", name, namespace="", status={"conditions": [{"type": "Ready", "status": "True"}]}) for name in set(NODE_OF.values())]
    deployments = [an_object("Deployment", name, spec={"replicas": 3}, status={"readyReplicas": 2}) for name in ("cart", "frontend")]
    return [*pods, *events, *nodes, *deployments]


def _stream() -> dict[str, str]:
    return {"namespace": NAMESPACE, "pod": BAD, "container": "cart"}


def _lines(minute: int) -> list[str]:
    return [f"ERROR request {minute * 20 + number} failed after {number * 17} ms" for number in range(10)] + ["INFO all is well"] * 10


def _log() -> str:
    return "".join(f"2026-11-23T06:40:11.{number:09d}Z ERROR cannot allocate {number} bytes\n" for number in range(300))
