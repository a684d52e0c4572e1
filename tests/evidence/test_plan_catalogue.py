"""The standard rules, each as its alert arrives in both installations, and webhook bodies as real Alertmanagers sent them: whom they are about, and
that every query that is planned or made for them is PromQL, LogQL, or a kubectl command about kinds that exist.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import promql_parser
import pytest

from agent_sre.alert.payload import parse
from agent_sre.alert.subject import Subject, subject_of
from agent_sre.evidence.evidence import EvidenceSource, Query
from agent_sre.evidence.kubernetes.client import KubernetesClient, KubernetesSettings
from agent_sre.evidence.kubernetes.resources import RESOURCES
from agent_sre.evidence.kubernetes.source import KubernetesSource
from agent_sre.evidence.loki.client import LokiClient, LokiSettings
from agent_sre.evidence.loki.labels import selections_for
from agent_sre.evidence.loki.logql import containing
from agent_sre.evidence.loki.source import ERROR_FILTER, LokiSource
from agent_sre.evidence.prometheus import edges, labels, signals, workload
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.discovery import Ground, ground_of
from agent_sre.evidence.prometheus.explore import KINDS
from agent_sre.evidence.prometheus.signals import Reach, Seen
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock
from alert.test_subject_catalogue import CATALOGUE, LAYOUTS, alert_labels, rules
from evidence.builders import NOW, an_alert, an_incident
from fakes import logql

pytestmark = pytest.mark.skipif(not CATALOGUE.exists(), reason=f"no rule catalogue at {CATALOGUE}")

PAYLOADS = CATALOGUE.parent / "payloads"

STREAM_LABELS = (
    ("namespace", "pod", "container", "app", "node_name"),
    ("k8s_namespace_name", "k8s_pod_name", "k8s_container_name", "service_name", "k8s_deployment_name"),
    ("job", "instance", "hostname", "unit"),
)
"""As promtail, OpenTelemetry and a collector on a plain host name them."""

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


# The other sources, over all rules in one go


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_standard_alert_is_looked_up_in_the_cluster_and_in_the_logs(layout: str) -> None:
    asked: Counter[str] = Counter()
    for rule in rules():
        alert = an_alert(rule["alertname"], rule["expr"], alert_labels(rule, layout), severity=rule["severity"])
        queries = check_plans(an_incident(alert))
        assert any(query.source == "kubernetes" for query in queries) == (rule["scope"] != "meta"), rule["alertname"]
        asked.update(query.kind for query in queries)
    assert asked.keys() > {"pods", "events", "nodes", "logs", "persistentvolumeclaims", "deployments", "errors", "patterns"}


def test_real_bodies_are_about_the_right_object_and_their_plans_can_be_pasted() -> None:
    told: Counter[str] = Counter()
    for path in sorted(PAYLOADS.glob("*.json")):
        message = parse(orjson.loads(path.read_bytes()), NOW)
        seen: set[str] = set()
        for alert in message.alerts:
            expected = victim_of(alert.name, alert.labels)
            if expected is not None:
                subject = subject_of(alert.labels)
                assert (subject.kind, subject.namespace, subject.name) == expected, (path.name, alert.labels)
                told[alert.name] += 1
            if alert.name not in seen:  # a storm says the same a thousand times
                seen.add(alert.name)
                member = replace(an_alert(alert.name, "", alert.labels), labels=alert.labels, generator_url=alert.generator_url)
                check_plans(an_incident(replace(member, subject=subject_of(alert.labels))))
    assert len(told) >= 10, told
    assert told["TargetDown"] > 100


def victim_of(name: str, labels: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Kind, namespace and name, by what the rule of this name is about; None where only the labels can say."""
    about = {
        "KubePod": ("Pod", "pod"), "KubeContainer": ("Pod", "pod"), "CPUThrottling": ("Pod", "pod"), "KubeDeployment": ("Deployment", "deployment"),
        "KubeJob": ("Job", "job_name"), "KubePersistentVolumeFilling": ("PersistentVolumeClaim", "persistentvolumeclaim"),
        "KubeNode": ("Node", "node"), "NodeClock": ("Node", "instance"), "TargetDown": ("Service", "service"),
    }  # fmt: skip
    for prefix, (kind, label) in about.items():
        if name.startswith(prefix) and label in labels:
            return kind, "" if kind == "Node" else labels["namespace"], labels[label].partition(":")[0]
    components = {"KubeAPI": "kube-apiserver", "KubeScheduler": "kube-scheduler", "KubeControllerManager": "kube-controller-manager"}
    return next((("Component", "", component) for prefix, component in components.items() if name.startswith(prefix)), None)


def check_plans(incident: Incident) -> list[Query]:
    """Everything that is planned, each query read by a reader that is not its writer's."""
    clock = FakeClock(NOW)
    sources: tuple[EvidenceSource, ...] = (
        PrometheusSource(PrometheusClient(PrometheusSettings(url="http://prometheus.invalid")), clock),
        KubernetesSource(KubernetesClient(KubernetesSettings(kubeconfig="/nowhere")), clock),
        LokiSource(LokiClient(LokiSettings(url="http://loki.invalid")), clock),
    )
    queries = [query for source in sources for query in source.plan(incident, NOW)]
    for query in queries:
        match query.language:
            case "promql":
                promql_parser.parse(query.expression)
            case "logql":
                logql.parse(query.expression)
            case "bash":
                check_kubectl(query)
            case _:
                assert query.source in ("prometheus", "loki"), query  # words, for what only the server's own labels or metrics can say
    for expression in log_queries(incident.subject):
        logql.parse(expression)
    return queries


def check_kubectl(query: Query) -> None:
    program, verb, *rest = shlex.split(query.expression)
    assert (program, verb) == ("kubectl", "logs" if query.kind == "logs" else "get"), query
    if verb == "get":
        plural, _, group = rest[0].partition(".")
        assert plural == query.kind
        assert RESOURCES[plural].group == group or not group
        assert ("-n" in rest or "-A" in rest) == RESOURCES[plural].namespaced, query
    else:
        assert rest[0] == "-n"
        assert rest[2] == "POD" or rest[2].partition("/")[0] in ("pod", *(resource.kind.lower() for resource in RESOURCES.values())), query


def log_queries(subject: Subject) -> Iterator[str]:
    """What Loki is asked about a subject once its labels are known, for the labels of three collectors."""
    for known in STREAM_LABELS:
        for selection in selections_for(subject, known):
            yield selection.query
            yield containing(selection.query, ERROR_FILTER)
