"""The standard rules, each as its alert arrives in both installations: every query that is planned or made for it is PromQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import promql_parser
import pytest

from agent_sre.evidence.prometheus import edges, labels, signals, workload
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.discovery import Ground, ground_of
from agent_sre.evidence.prometheus.explore import KINDS
from agent_sre.evidence.prometheus.signals import Reach, Seen
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.kit.clock import FakeClock
from alert.test_subject_catalogue import CATALOGUE, LAYOUTS, alert_labels, rules
from evidence.builders import NOW, an_alert, an_incident

pytestmark = pytest.mark.skipif(not CATALOGUE.exists(), reason=f"no rule catalogue at {CATALOGUE}")

OF_A_POD = {"pod": "cart-7f9c6d5b8c-k2x9p", "container": "cart", "service": "cart"}
OF_A_NODE = {"instance": "10.0.0.22:9100", "job": "node-exporter", "fstype": "ext4", "mountpoint": "/"}


def a_usual_cluster(namespace: str, job: str) -> dict[str, Seen]:
    """Every known metric family, with the labels that it usually has."""
    names = [name for known in signals._KNOWN.values() for name in known] + list(signals.COMPANIONS)
    samples: dict[str, dict[str, str]] = {}
    for name in names:
        sample = OF_A_NODE if name.startswith("node_") else {"namespace": namespace, "job": job, "code": "500", **OF_A_POD}
        if name.startswith("istio_"):
            sample = sample | {
                "source_workload": "web",
                "destination_workload": "cart",
                "reporter": "source",
                "destination_workload_namespace": namespace,
            }
        samples[name] = {"__name__": name, **sample}
    return {name: Seen(name=name, labels=labels.present([sample]), samples=(sample,), series=9) for name, sample in samples.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule['alertname']}-{rule['severity']}-{rule['for']}")
def test_a_standard_alert_has_a_plan_that_parses(rule: dict[str, Any], layout: str) -> None:
    arrived = alert_labels(rule, layout)
    alert = an_alert(rule["alertname"], rule["expr"], arrived, severity=rule["severity"])
    source = PrometheusSource(PrometheusClient(PrometheusSettings(url="http://prometheus.invalid")), FakeClock(NOW))
    queries = source.plan(an_incident(alert), NOW)
    assert [query.kind for query in queries if query.kind in KINDS] == list(KINDS)
    for query in queries:
        if query.language == "promql":
            promql_parser.parse(query.expression)
    ground = ground_of(alert.subject, alert.labels)
    if ground == Ground():
        assert "job" not in arrived or alert.subject.kind == "Alert", arrived
        return
    own = labels.names_of(alert.subject)
    reach = Reach(namespace=ground.namespace, matchers=ground.matchers, window=timedelta(minutes=3), own=own)
    seen = a_usual_cluster(ground.namespace, arrived.get("job", ""))
    made = [ask.expression for signal in signals.SIGNALS for ask in signals.asks(signal, seen, reach, 4)]
    made += [one.ask.expression for one in edges.edge_asks(seen, reach, 6)]
    assert made, ground
    for expression in made:
        promql_parser.parse(expression)
    if ground.namespace:
        known = workload.STATES | workload.COUNTS | {*workload.RESOURCES, *workload.VOLUMES, workload.RESTARTS}
        for expression in (
            *workload.queries(known, ground.namespace, "namespace", own),
            *workload.history(known, ground.namespace, "namespace", own),
        ):
            promql_parser.parse(expression)
