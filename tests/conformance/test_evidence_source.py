"""What every evidence source promises, over all of them and over everything that can go wrong behind them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest

from agent_sre.evidence.alert_source import AlertSource
from agent_sre.evidence.alertmanager.client import AlertmanagerClient, AlertmanagerSettings
from agent_sre.evidence.alertmanager.source import AlertmanagerSource
from agent_sre.evidence.bundle.bundle import load_bundle
from agent_sre.evidence.bundle.source import BundleSource
from agent_sre.evidence.evidence import Evidence, EvidenceSet, EvidenceSource, Fact, Gap, LogPattern, MetricSeries, Query
from agent_sre.evidence.gather import gather
from agent_sre.evidence.history import HistorySource
from agent_sre.evidence.kubernetes.client import KubernetesClient, KubernetesSettings
from agent_sre.evidence.kubernetes.source import KubernetesSource
from agent_sre.evidence.loki.client import LokiClient, LokiSettings
from agent_sre.evidence.loki.source import LokiSource
from agent_sre.evidence.off import NotConfigured
from agent_sre.evidence.playbook import PlaybookQuery, load_playbooks
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.evidence.suggested import suggestions
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock, SystemClock
from agent_sre.kit.errors import AgentSREError
from agent_sre.kit.values import from_json, to_json
from agent_sre.store.engine import Store, StoreSettings, open_store
from evidence.builders import NOW, STARTS_AT, an_alert, an_incident
from fakes.alertmanager import FakeAlertmanager, a_silence
from fakes.http import FakeServer
from fakes.kubernetes import FAULTS as KUBERNETES_FAULTS
from fakes.kubernetes import FakeKubernetes, a_pod, an_event, an_object, write_kubeconfig
from fakes.loki import FakeLoki
from fakes.prometheus import FAULTS, FakePrometheus, FakeSeries, refuse
from fakes.tls import certificate

TOKEN = "s3cr3t-token-for-prometheus"
WORLDS = Path(__file__).parents[1] / "evidence" / "worlds"
POD = {"namespace": "shop", "pod": "cart-0"}

KUBE_METRICS = ("kube_pod_info", "kube_deployment_spec_replicas", "kube_pod_status_phase", "kube_pod_container_status_restarts_total")

Opened = AbstractAsyncContextManager[EvidenceSource]


@contextlib.asynccontextmanager
async def alert_source(tmp_path: Path) -> AsyncIterator[EvidenceSource]:
    yield AlertSource(FakeClock(NOW))


@contextlib.asynccontextmanager
async def history_source(tmp_path: Path) -> AsyncIterator[EvidenceSource]:
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'x.db'}"))
    yield HistorySource(store, FakeClock(NOW))
    store.close()


@contextlib.asynccontextmanager
async def broken_history_source(tmp_path: Path) -> AsyncIterator[EvidenceSource]:
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'x.db'}"))
    (tmp_path / "x.db").unlink()
    yield HistorySource(store, FakeClock(NOW))
    store.close()


@contextlib.asynccontextmanager
async def prometheus_source(tmp_path: Path) -> AsyncIterator[EvidenceSource]:
    async with FakePrometheus() as fake, contextlib.aclosing(prometheus_at(fake.url)) as source:
        for expression in ("memory_bytes > 200", "memory_bytes", 'up{job="api"}', 'up{job="api"} == 0'):
            fake.answer(expression, *(FakeSeries(POD | {"job": "api", "cpu": str(number)}, 300) for number in range(40)))
        fake.rule("HighMemory", "memory_bytes > 200")
        fake.alerts = [{"labels": {"alertname": "HighMemory", **POD}, "state": "firing", "activeAt": "2026-11-23T06:00:00Z", "value": "300"}]
        fake.targets = [{"labels": {"job": "api", "instance": "a"}, "health": "down", "lastError": "refused"}]
        edge = {"source": "front", "destination": "cart", "namespace": "shop", "job": "api", "code": "500"}
        fake.labels = ["namespace", "pod", "job"]
        fake.metrics = ["http_requests_total", "container_memory_working_set_bytes", "edge_requests_total", "edge_latency_ms", *KUBE_METRICS]
        seen = [FakeSeries({"__name__": name, **POD, "job": "api", "code": "500"}, 3) for name in fake.metrics]
        seen += [FakeSeries(edge | {"__name__": name}, 3) for name in fake.metrics if name.startswith("edge_")]
        fake.answer_like(r"^topk by\(__name__\)|^\{__name__", *seen)
        fake.answer_like("edge_", *(FakeSeries(edge | {"source": f"s{number}"}, lambda at: at % 97) for number in range(45)))
        fake.answer_like("http_requests_total|memory", *(FakeSeries({"namespace": "shop", "pod": f"cart-{number}"}, 5) for number in range(45)))
        yield source


@contextlib.asynccontextmanager
async def kubernetes_source(tmp_path: Path) -> AsyncIterator[EvidenceSource]:
    env = [{"name": f"V{each}", "value": "x" * 99} for each in range(9)]
    pods = [a_pod(f"cart-{number}", ready=bool(number % 3), env=env) for number in range(120)]
    events = [an_event(f"cart-{number}", "BackOff", "back-off " * 40) for number in range(200)]
    async with FakeKubernetes(objects=[*pods, *events, an_object("Node", "worker-1", namespace="")]) as fake:
        fake.logs["shop", "cart-0", "cart", False] = "2026-11-23T06:40:11.123456789Z error: refused\n" * 500
        async with contextlib.aclosing(kubernetes_at(fake, tmp_path)) as source:
            yield source


@contextlib.asynccontextmanager
async def alertmanager_source(tmp_path: Path) -> AsyncIterator[EvidenceSource]:
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'am.db'}"))
    async with FakeAlertmanager() as fake, contextlib.aclosing(alertmanager_at(fake.url, store)) as source:
        for number in range(60):
            fake.hold({"alertname": f"Other{number % 25}", "number": str(number), **POD})
        fake.hold({"alertname": HOSTILE, "namespace": "shop", "pod": HOSTILE}, silenced_by=["s1", HOSTILE], inhibited_by=[HOSTILE])
        fake.silences = [a_silence(f"s{number}", ("namespace", "=", "shop"), ("pod", "=~", "c.*"), comment=HOSTILE * 100) for number in range(60)]
        yield source
    store.close()


def alertmanager_at(url: str, store: Store) -> AlertmanagerSource:
    settings = AlertmanagerSettings(url=url, bearer_token=TOKEN, max_body_bytes=1 << 20)
    return AlertmanagerSource(AlertmanagerClient(settings), store, FakeClock(NOW))


@contextlib.asynccontextmanager
async def loki_source(tmp_path: Path) -> AsyncIterator[EvidenceSource]:
    async with FakeLoki(tenant="team-a") as fake, contextlib.aclosing(loki_at(fake.url)) as source:
        for labels in (POD, {"namespace": "shop", "pod": HOSTILE}, {"app": "other"}):
            for number in range(60):
                lines = (f"ERROR {HOSTILE} {chr(97 + number % 26) * (1 + number // 26)} password={TOKEN}", "x" * 9_000, "INFO quiet")
                fake.push(labels, *lines, at=NOW - timedelta(minutes=number % 50, seconds=1), level=HOSTILE)
        yield source


def loki_at(url: str) -> LokiSource:
    settings = LokiSettings(url=url, tenant="team-a", bearer_token=TOKEN, max_body_bytes=1 << 20)
    return LokiSource(LokiClient(settings), FakeClock(NOW))


@contextlib.asynccontextmanager
async def unconfigured_source(tmp_path: Path) -> AsyncIterator[EvidenceSource]:
    yield NotConfigured("prometheus", "PROMETHEUS_URL")


@contextlib.asynccontextmanager
async def bundle_source(tmp_path: Path) -> AsyncIterator[EvidenceSource]:
    yield BundleSource(load_bundle(WORLDS / "support"), NOW)


@contextlib.asynccontextmanager
async def case_source(tmp_path: Path) -> AsyncIterator[EvidenceSource]:
    yield BundleSource(load_bundle(WORLDS / "case"), NOW)


def prometheus_at(url: str) -> PrometheusSource:
    # Five seconds of patience: the deadline of `gather` must be what ends a hanging query.
    client = PrometheusClient(PrometheusSettings(url=url, bearer_token=TOKEN, max_body_bytes=1 << 20))
    return PrometheusSource(client, FakeClock(NOW), patience=timedelta(seconds=5))


def kubernetes_at(fake: FakeKubernetes, folder: Path) -> KubernetesSource:
    settings = KubernetesSettings(kubeconfig=fake.kubeconfig(folder), max_body_bytes=4 << 20)
    return KubernetesSource(KubernetesClient(settings), FakeClock(NOW))


SOURCES: dict[str, Callable[[Path], Opened]] = {
    "alert": alert_source,
    "history": history_source,
    "history-broken": broken_history_source,
    "prometheus": prometheus_source,
    "kubernetes": kubernetes_source,
    "alertmanager": alertmanager_source,
    "loki": loki_source,
    "off": unconfigured_source,
    "bundle": bundle_source,
    "case": case_source,
}

STANDS_FOR = {"bundle": {"bundle", "kubernetes", "prometheus"}}
"""Whose answers a source gives, where they are not only its own."""

SUGGESTING = replace(
    load_playbooks()[-1],
    queries=(
        *(PlaybookQuery(language="promql", text=text, why="To see.") for text in ('x{pod="$pod"}', 'x{pod=~".*$pod.*"}', "sum(up)")),
        *(PlaybookQuery(language="logql", text=text, why="To see.") for text in ('{pod="$pod"}', 'rate({pod=~"$pod|x"}[5m])', '{app="a"}')),
    ),
)

HOSTILE = 'x"} or up{a="\n\\`$1\x1b[31m\u202e'
INCIDENTS: dict[str, Incident] = {
    "usual": an_incident(an_alert("HighMemory", "memory_bytes > 200", POD)),
    "down": an_incident(an_alert("ApiDown", 'up{job="api"} == 0', {"job": "api"})),
    "bare": an_incident(replace(an_alert(), labels={}, severity_text="", name="unnamed")),
    "several": an_incident(*(an_alert(f"A{number}", f"m{number} > {number}", {"pod": str(number)}) for number in range(30))),
    "hostile": an_incident(an_alert(HOSTILE, HOSTILE, {HOSTILE: HOSTILE, "pod": HOSTILE, "job": HOSTILE}, annotations={HOSTILE: HOSTILE})),
    "unreadable": an_incident(an_alert("A", "(" * 3_000 + "x", POD)),
    "no-expression": an_incident(an_alert("HighMemory", "", POD)),
    "no-url": an_incident(replace(an_alert(), generator_url="javascript:alert(1)")),
    "ancient": an_incident(an_alert("A", "x > 1", POD, starts_at=datetime(1970, 1, 1, tzinfo=UTC))),
    "future": an_incident(an_alert("A", "x > 1", POD, starts_at=datetime(9999, 1, 1, tzinfo=UTC))),
    "resolved": an_incident(an_alert("A", "x > 1", POD, ends_at=STARTS_AT - timedelta(hours=1))),
    "wide": an_incident(an_alert("A", "x > 1", {f"l{number}": "v" * 100 for number in range(300)})),
    "long": an_incident(an_alert("n" * 9_000, "x > 1", {"pod": "p" * 9_000}, annotations={"summary": "s" * 200_000})),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("case", INCIDENTS)
async def test_the_plan_is_pure_quick_and_fit_to_show(kind: str, case: str, tmp_path: Path) -> None:
    async with SOURCES[kind](tmp_path) as source:
        began = monotonic()
        queries = source.plan(INCIDENTS[case], NOW)
        # Honestly a few milliseconds. Less than the five seconds of a source that asks somebody, and than the minutes of an expression parsed.
        assert monotonic() - began < 4
        assert queries == source.plan(INCIDENTS[case], NOW)
    assert queries
    assert len(queries) <= 50  # an incident in three namespaces asks Kubernetes most: 47
    fingerprints = {alert.fingerprint for alert in INCIDENTS[case].alerts}
    for query in queries:
        assert query.id == ""
        assert query.source in STANDS_FOR.get(source.name, {source.name})
        assert query.kind
        assert query.purpose
        assert "\x1b" not in query.purpose
        assert "\n" not in query.purpose
        assert query.fingerprint in fingerprints | {""}
        if query.window is not None:
            assert query.window.start < query.window.end == NOW
            assert query.window.step > timedelta(0)


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("case", INCIDENTS)
async def test_every_planned_query_ends_as_evidence_or_as_one_of_our_errors(kind: str, case: str, tmp_path: Path) -> None:
    async with SOURCES[kind](tmp_path) as source:
        for number, planned in enumerate(source.plan(INCIDENTS[case], NOW), 1):
            found = await outcome(source, replace(planned, id=f"E{number:02d}"), INCIDENTS[case])
            if isinstance(found, AgentSREError):
                assert found.reason
                assert "\n" not in str(found)
            else:
                check_evidence(found, f"E{number:02d}")
                assert (found.query.kind, found.query.fingerprint) == (planned.kind, planned.fingerprint)


@pytest.mark.parametrize("fault", ["", *FAULTS])
@pytest.mark.parametrize("kind", ["prometheus", "loki"])
async def test_what_a_playbook_suggests_ends_as_evidence_or_as_one_of_our_errors(kind: str, fault: str, tmp_path: Path) -> None:
    fakes: dict[str, FakeServer] = {"prometheus": FakePrometheus(secret=TOKEN), "loki": FakeLoki(secret=TOKEN, tenant="team-a")}
    at: dict[str, Callable[[str], PrometheusSource | LokiSource]] = {"prometheus": prometheus_at, "loki": loki_at}
    async with fakes[kind] as fake, contextlib.aclosing(at[kind](fake.url)) as source:
        fake.faults = {"*": fault} if fault else {}
        for incident in (INCIDENTS["usual"], INCIDENTS["hostile"], INCIDENTS["wide"]):
            asked = suggestions([source], (), SUGGESTING, incident, NOW)
            assert asked
            for _, question in asked:
                if isinstance(question, Gap):
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1 if fault in ("hang", "slow") else 10):
                        found = await outcome(source, replace(question, id="E01"), incident)
                        if isinstance(found, Evidence):
                            check_evidence(found, "E01")
                        else:
                            assert TOKEN not in str(found)


async def outcome(source: EvidenceSource, query: Query, incident: Incident) -> Evidence | AgentSREError:
    try:
        return await source.fetch(query, incident)
    except AgentSREError as error:
        return error


def check_evidence(evidence: Evidence, query_id: str) -> None:
    """Bounded, finite, on one line, and the same after a trip through the store."""
    assert evidence.id == evidence.query.id == query_id
    assert evidence.summary
    assert "\n" not in evidence.summary
    assert "\x1b" not in evidence.summary
    assert len(evidence.summary) < 2_000
    assert evidence.took >= timedelta(0)
    assert evidence.url == "" or evidence.url.startswith("http://127.0.0.1:")
    assert "\n" not in evidence.url
    series = [item for item in evidence.data if isinstance(item, MetricSeries)]
    facts = [item for item in evidence.data if isinstance(item, Fact)]
    patterns = [item for item in evidence.data if isinstance(item, LogPattern)]
    assert len(series) <= 100
    assert len(facts) <= 100
    assert len(patterns) <= 40
    assert all(len(item.sample) < 540 and TOKEN not in item.sample + item.template for item in patterns)
    assert all(len(item.points) <= 240 for item in series)
    assert len(to_json(Evidence, evidence)) < 600_000
    assert from_json(Evidence, to_json(Evidence, evidence)) == evidence


def check_gaps(found: EvidenceSet) -> None:
    """Each with its reason, the same after a trip through the store, and no secret in them or anywhere else."""
    for gap in found.gaps:
        assert gap.reason
        assert "\n" not in gap.detail
        assert from_json(Gap, to_json(Gap, gap)) == gap
    assert TOKEN not in str(to_json(EvidenceSet, found))


@pytest.mark.parametrize("kind", ["alert", "history", "prometheus", "kubernetes", "alertmanager", "loki"])
async def test_a_healthy_source_answers_everything_about_a_usual_alert(kind: str, tmp_path: Path) -> None:
    async with SOURCES[kind](tmp_path) as source:
        for case in ("usual", "down"):
            found = await gather(INCIDENTS[case], [source], clock=FakeClock(NOW), deadline=timedelta(seconds=5))
            assert found.gaps == ()
            assert found.items


@pytest.mark.parametrize("kind", ["history-broken", "off"])
async def test_a_source_that_cannot_look_says_so_for_every_question(kind: str, tmp_path: Path) -> None:
    async with SOURCES[kind](tmp_path) as source:
        found = await gather(INCIDENTS["usual"], [source], clock=SystemClock(), deadline=timedelta(seconds=5))
        planned = len(source.plan(INCIDENTS["usual"], NOW))
    assert found.items == ()
    assert len(found.gaps) == planned
    assert {gap.reason for gap in found.gaps} == {"off": {"not_configured"}, "history-broken": {"store_unavailable"}}[kind]


@pytest.mark.parametrize("fault", [*FAULTS, "refuse"])
async def test_whatever_prometheus_does_the_others_answer_and_the_deadline_holds(fault: str, tmp_path: Path) -> None:
    async with FakePrometheus(secret=TOKEN, faults={"*": fault}) as fake, history_source(tmp_path) as history:
        url = refuse() if fault == "refuse" else fake.url
        quick = fault in ("hang", "slow")
        async with contextlib.aclosing(prometheus_at(url)) as prometheus:
            sources: list[EvidenceSource] = [prometheus, AlertSource(FakeClock(NOW)), history]
            deadline = timedelta(seconds=1.5 if quick else 4)
            began = monotonic()
            found = await gather(INCIDENTS["down"], sources, clock=SystemClock(), deadline=deadline)
            took = monotonic() - began
    planned = sum(len(source.plan(INCIDENTS["down"], NOW)) for source in sources)
    assert took < deadline.total_seconds() + 3  # for a busy machine; a source that is not stopped waits five seconds or for ever
    assert len(found.items) + len(found.gaps) == planned
    assert {item.query.source for item in found.items} >= {"alert", "history"}
    measured = [item for item in found.items if item.query.source == "prometheus"]
    assert all(not item.data for item in measured)
    assert not measured or fault == "no-data"  # an envelope without data has no rules, alerts, targets or names
    check_gaps(found)
    assert len({item.query.id for item in found.items} | {gap.query.id for gap in found.gaps}) == planned


@pytest.mark.parametrize("fault", [*KUBERNETES_FAULTS, "refuse"])
async def test_whatever_the_api_server_does_the_others_answer_and_the_deadline_holds(fault: str, tmp_path: Path) -> None:
    async with FakeKubernetes(token=TOKEN, faults={"*": fault}) as fake, history_source(tmp_path) as history:
        quick = fault in ("hang", "slow")
        async with contextlib.aclosing(kubernetes_at(fake, tmp_path)) as kubernetes:
            if fault == "refuse":
                write_kubeconfig(tmp_path / "kubeconfig.yaml", refuse(), {"token": TOKEN})
            sources: list[EvidenceSource] = [kubernetes, AlertSource(FakeClock(NOW)), history]
            deadline = timedelta(seconds=0.6 if quick else 8)
            began = monotonic()
            found = await gather(INCIDENTS["usual"], sources, clock=SystemClock(), deadline=deadline)
            took = monotonic() - began
    planned = sum(len(source.plan(INCIDENTS["usual"], NOW)) for source in sources)
    assert took < deadline.total_seconds() + 0.5
    assert len(found.items) + len(found.gaps) == planned
    assert {item.query.source for item in found.items} >= {"alert", "history"}
    # "Not found" means of an optional kind that it is not installed, and of a log that there is none.
    assert all(not item.data for item in found.items if item.query.source == "kubernetes") or fault == "endless-pages"
    check_gaps(found)


@pytest.mark.parametrize("fault", [*FAULTS, "refuse"])
async def test_whatever_alertmanager_does_the_others_answer_and_the_deadline_holds(fault: str, tmp_path: Path) -> None:
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'am.db'}"))
    async with contextlib.AsyncExitStack() as stack:
        fake = await stack.enter_async_context(FakeAlertmanager(secret=TOKEN, faults={"*": fault}))
        url = refuse() if fault == "refuse" else fake.url
        alertmanager = await stack.enter_async_context(contextlib.aclosing(alertmanager_at(url, store)))
        deadline = timedelta(seconds=0.3 if fault in ("hang", "slow") else 4)
        began = monotonic()
        found = await gather(INCIDENTS["down"], [alertmanager, AlertSource(FakeClock(NOW))], clock=SystemClock(), deadline=deadline)
        assert monotonic() - began < deadline.total_seconds() + 0.5
    store.close()
    assert {item.query.source for item in found.items} == {"alert"}
    assert [gap.query.kind for gap in found.gaps] == ["firing", "silences"]
    check_gaps(found)


@pytest.mark.parametrize("fault", [*FAULTS, "refuse"])
async def test_whatever_loki_does_the_others_answer_and_the_deadline_holds(fault: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        fake = await stack.enter_async_context(FakeLoki(secret=TOKEN, faults={"*": fault}))
        loki = await stack.enter_async_context(contextlib.aclosing(loki_at(refuse() if fault == "refuse" else fake.url)))
        deadline = timedelta(seconds=0.3 if fault in ("hang", "slow") else 4)
        began = monotonic()
        found = await gather(INCIDENTS["usual"], [loki, AlertSource(FakeClock(NOW))], clock=SystemClock(), deadline=deadline)
        assert monotonic() - began < deadline.total_seconds() + 0.5
    assert {item.query.source for item in found.items} == {"alert"}
    assert [gap.query.kind for gap in found.gaps] == ["errors", "patterns"]
    check_gaps(found)
    for item in found.items:
        check_evidence(item, item.query.id)


@pytest.mark.parametrize("kind", ["prometheus", "kubernetes", "loki", "alertmanager"])
async def test_a_server_whose_certificate_nobody_vouches_for_is_told_nothing(kind: str, tmp_path: Path) -> None:
    _, tls = certificate(tmp_path)
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'x.db'}"))
    cluster = FakeKubernetes(tls=tls, token=TOKEN)
    others: dict[str, FakeServer] = {
        "prometheus": FakePrometheus(tls=tls),
        "loki": FakeLoki(tls=tls),
        "alertmanager": FakeAlertmanager(tls=tls),
    }
    sources: dict[str, Callable[[str], PrometheusSource | KubernetesSource | LokiSource | AlertmanagerSource]] = {
        "prometheus": prometheus_at,
        "kubernetes": lambda _: kubernetes_at(cluster, tmp_path),
        "loki": loki_at,
        "alertmanager": lambda url: alertmanager_at(url, store),
    }
    async with others.get(kind, cluster) as fake, contextlib.aclosing(sources[kind](fake.url)) as source:
        found = await gather(INCIDENTS["usual"], [source], clock=SystemClock(), deadline=timedelta(seconds=20))
        assert fake.requests == []
    store.close()
    assert found.items == ()
    assert {gap.reason for gap in found.gaps} <= {"unavailable", "circuit_open"}
    assert any("certificate" in gap.detail for gap in found.gaps)
    check_gaps(found)


async def test_no_address_out_of_a_payload_is_ever_called(tmp_path: Path) -> None:
    async with FakePrometheus() as trap, FakePrometheus() as fake, history_source(tmp_path) as history:
        bait = f"{trap.url}/graph?g0.expr=memory_bytes+%3E+200"
        labels = POD | {"instance": trap.url.removeprefix("http://"), "job": trap.url}
        alert = replace(an_alert("TargetDown", "", labels, annotations={"runbook_url": bait, "summary": bait}), generator_url=bait)
        fake.faults["/api/v1/alerts"] = "redirect"
        async with contextlib.aclosing(prometheus_at(fake.url)) as prometheus:
            sources: list[EvidenceSource] = [prometheus, AlertSource(FakeClock(NOW)), history]
            found = await gather(an_incident(alert), sources, clock=SystemClock(), deadline=timedelta(seconds=5))
        assert trap.connections == 0
        assert "memory_bytes > 200" in fake.expressions
        assert [gap.reason for gap in found.gaps] == ["redirect"]
        assert all(trap.url not in item.url for item in found.items)
