"""The detectors understand what the real sources really write: Prometheus over a socket, the history out of a database."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

from agent_sre.alert.subject import Subject, subject_key
from agent_sre.evidence.gather import gather
from agent_sre.evidence.history import HistorySource
from agent_sre.evidence.off import NotConfigured
from agent_sre.evidence.playbook import load_playbooks, playbook_for
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.finding.diagnose import diagnose
from agent_sre.finding.finding import Diagnosis
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock
from agent_sre.kit.values import to_plain
from agent_sre.store.engine import Store, StoreSettings, open_store
from agent_sre.store.schema import alert as alerts
from agent_sre.store.schema import incident as incidents
from evidence.builders import NOW, STARTS_AT, an_alert, an_incident
from fakes.prometheus import FakePrometheus, FakeSeries

POD = {"namespace": "shop", "pod": "cart-0", "node": "worker-3"}


def climbing(at: float) -> float:
    return 300 - (NOW.timestamp() - at) / 20


async def measured(fake: FakePrometheus, known: Incident) -> Diagnosis:
    source = PrometheusSource(PrometheusClient(PrometheusSettings(url=fake.url)), FakeClock(NOW))
    async with contextlib.aclosing(source):
        evidence = await gather(known, (source,), clock=FakeClock(NOW), deadline=timedelta(seconds=10))
    return diagnose(known, evidence, playbook_for(known.lead.name, load_playbooks()))


def summaries(result: Diagnosis) -> dict[str, str]:
    return {finding.detector: finding.summary for finding in result.findings}


async def test_a_climbing_value_is_seen_in_prometheus_own_samples() -> None:
    labels = {"namespace": "shop", "pod": "cart-0"}
    incident = an_incident(an_alert("KubePodOOMKilled", "memory_bytes > 200", labels))
    only_ours = 'label_replace(label_replace(vector(1), "namespace", "shop", "", ""), "pod", "cart-0", "", "")'
    async with FakePrometheus() as fake:
        for expression in (
            "memory_bytes > 200",
            "memory_bytes",
            'memory_bytes{namespace="shop",pod="cart-0"}',
            f"(memory_bytes) and on(namespace, pod) {only_ours}",
        ):
            fake.answer(expression, FakeSeries(labels, climbing))
        fake.rule("KubePodOOMKilled", "memory_bytes > 200", health="err", lastError="query timed out")
        result = await measured(fake, incident)
    found = summaries(result)
    assert found["threshold"].endswith("still rising, after a steady climb")
    assert "query timed out" in found["rule_health"]
    assert "no longer lists" in found["stale"]
    assert "leak" in result.hypotheses[0].cause


async def test_a_refused_scrape_is_explained_in_prometheus_own_words() -> None:
    labels = {"job": "api", "instance": "10.0.0.7:80"}
    incident = an_incident(an_alert("TargetDown", 'up{job="api"} == 0', labels))
    async with FakePrometheus() as fake:
        for expression in ('up{job="api"} == 0', 'up{job="api"}', 'up{instance="10.0.0.7:80",job="api"}'):
            fake.answer(expression, FakeSeries(labels, 0))
        error = 'Get "http://10.0.0.7:80/metrics": dial tcp 10.0.0.7:80: connect: connection refused'
        fake.targets.append({"labels": labels, "health": "down", "lastError": error, "scrapePool": "api"})
        result = await measured(fake, incident)
    assert summaries(result)["target_down"].startswith("10.0.0.7:80 refuses connections")
    assert result.hypotheses[0].name == "target_refuses"
    assert "not running" in result.hypotheses[0].cause
    assert not any("down" in item.cause for item in result.hypotheses[1:])  # the usual cause that this one is


async def test_what_the_store_remembers_is_understood(tmp_path: Path) -> None:
    incident = an_incident(an_alert(labels=POD))
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'history.db'}"))
    with contextlib.closing(store):
        node = Subject(kind="Node", name="worker-3", node="worker-3", cluster="prod-eu1")
        remember(store, "KubeNodeNotReady", node, "f00", minutes_ago=8)
        for hours in (2, 4, 6):
            remember(store, "HighMemory", incident.subject, incident.lead.fingerprint, minutes_ago=hours * 60, lasted=timedelta(minutes=20))
        evidence = await gather(incident, (HistorySource(store, FakeClock(NOW)),), clock=FakeClock(NOW))
    result = diagnose(incident, evidence, playbook_for("HighMemory", load_playbooks()))
    found = summaries(result)
    assert found["recurrence"] == "4th time in 7 d"
    assert found["related"].startswith("May be a symptom of KubeNodeNotReady about Node worker-3")
    assert result.hypotheses[0].subject.name == "worker-3"


async def test_a_source_that_is_off_is_the_reason_for_low_confidence() -> None:
    incident = an_incident(an_alert(labels=POD))
    evidence = await gather(incident, (NotConfigured("prometheus", "PROMETHEUS_URL"),), clock=FakeClock(NOW))
    result = diagnose(incident, evidence, playbook_for("HighMemory", load_playbooks()))
    assert result.confidence_reason.startswith("nothing was measured: Prometheus was not asked: PROMETHEUS_URL is not set;")


def remember(store: Store, name: str, subject: Subject, fingerprint: str, *, minutes_ago: float, lasted: timedelta | None = None) -> None:
    """One incident with one alert; open where it did not last."""
    began = STARTS_AT - timedelta(minutes=minutes_ago)
    status = "resolved" if lasted else "triggered"
    row = {
        "title": name, "severity": "critical", "status": status, "subject": to_plain(Subject, subject),
        "subject_key": subject_key(subject), "group_key": "", "triggered_at": began, "last_alert_at": began,
    }  # fmt: skip
    incident_id = store.write_now(lambda connection: connection.execute(incidents.insert().values(**row).returning(incidents.c.id)).scalar_one())
    member = {
        "incident_id": incident_id, "inbox_id": 1, "fingerprint": fingerprint, "status": "resolved" if lasted else "firing", "name": name,
        "severity": "critical", "labels": {}, "annotations": {}, "generator_url": "", "starts_at": began,
        "ends_at": began + lasted if lasted else None, "last_seen_at": began, "sightings": 1, "reason": "",
    }  # fmt: skip
    store.write_now(lambda connection: connection.execute(alerts.insert().values(**member)))
