"""What applications and their wiring say: Services, addresses, ports, names, routes, databases, load. Each sight with a near miss beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Data, Evidence, EvidenceSet, Fact, KubernetesObject, LogPattern, MetricSeries, Query
from agent_sre.finding.detectors import DETECTORS
from agent_sre.finding.finding import object_name
from agent_sre.finding.rank import seen_causes
from agent_sre.finding.world import World
from evidence.builders import NOW, an_incident

Seen = list[tuple[str, str]]


def answered(evidence_id: str, kind: str, *data: Data, source: str = "kubernetes") -> Evidence:
    query = Query(id=evidence_id, source=source, kind=kind, expression="", purpose="")
    subject = Subject(kind="Namespace", name="market")
    return Evidence(id=evidence_id, query=query, subject=subject, data=data, summary="", collected_at=NOW, took=timedelta(0))


def thing(kind: str, name: str, spec: dict[str, Any] | None = None, **rest: Any) -> KubernetesObject:
    metadata = {"name": name, "namespace": "market", **rest.pop("metadata", {})}
    return KubernetesObject(kind=kind, namespace="market", name=name, manifest={"metadata": metadata, "spec": spec or {}, **rest})


def service(name: str, port: dict[str, Any] | None = None, selector: str = "", **spec: Any) -> KubernetesObject:
    ports = [{"port": 9000, **(port or {})}]
    return thing("Service", name, {"selector": {"app": selector or name}, "clusterIP": f"192.0.2.{len(name)}", "ports": ports, **spec})


def running(name: str, container: dict[str, Any] | None = None, *, ready: bool = True, node: str = "n1", **pod: Any) -> tuple[KubernetesObject, ...]:
    """A Deployment and its one pod."""
    spec = {"containers": [{"name": "app", "ports": [{"containerPort": 9000}], **(container or {})}], **pod}
    template = {"metadata": {"labels": {"app": name}, "annotations": pod.pop("annotations", {})}, "spec": spec}
    status = {
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [{"name": "app", "ready": ready, "restartCount": 0 if ready else 5, "state": {"waiting": {}}}],
    }
    return (
        thing("Deployment", name, {"template": template}),
        thing("Pod", f"{name}-7d9c5b8f6d-x2x4z", {**spec, "nodeName": node}, metadata={"labels": {"app": name}}, status=status),
    )


def line(app: str, text: str, count: int = 3, before: int | None = None) -> LogPattern:
    return LogPattern(
        template=text, level="error", subject=Subject(kind="Deployment", name=app, namespace="market"), count=count, count_before=before,
        first_at=NOW, last_at=NOW, sample=text,
    )  # fmt: skip


def curve(name: str, who: str, before: float, after: float, labels: dict[str, str] | None = None) -> MetricSeries:
    points = tuple((NOW.timestamp() - 300 + 10 * step, before if step < 13 else after) for step in range(31))
    return MetricSeries(labels={"__name__": name, **(labels or {"workload": who})}, points=points)


def world(*data: Data) -> World:
    objects = tuple(item for item in data if isinstance(item, KubernetesObject))
    logs = tuple(item for item in data if isinstance(item, LogPattern))
    curves = tuple(item for item in data if isinstance(item, MetricSeries))
    facts = tuple(item for item in data if isinstance(item, Fact))
    items = (
        answered("E01", "pods", *objects), answered("E02", "logs", *logs), answered("E03", "series", *curves, source="prometheus"),
        answered("E04", "anomalies", *facts, source="bundle"),
    )  # fmt: skip
    return World(an_incident(), EvidenceSet(items=items), NOW)


def causes(name: str, *data: Data, above: float = 0.4) -> Seen:
    """What one detector alone leads to, best first, without what is hardly meant."""
    found = seen_causes(tuple(DETECTORS[name].detect(world(*data))))
    return [(object_name(item.subject), item.name) for item in found if item.score > above]


# Services


def test_a_service_that_selects_nobody_beside_the_pods_it_means_has_a_wrong_selector() -> None:
    assert causes("service_wiring", service("till", selector="tills"), *running("till")) == [("app/till", "service_selector_mismatch")]
    assert causes("service_wiring", service("till"), *running("till")) == []
    # without pods there is nothing to select, whatever the selector
    assert causes("service_wiring", service("till"), running("till")[0], *running("stock")) == []


def test_a_target_port_that_no_container_has_leads_nowhere() -> None:
    assert causes("service_wiring", service("till", {"targetPort": 9001}), *running("till")) == [("app/till", "service_port_mapping_mismatch")]
    assert causes("service_wiring", service("till", {"targetPort": 9000}), *running("till")) == []
    # it listens there all the same, as its own variable says
    container = {"env": [{"name": "METRICS_PORT", "value": "9001"}]}
    assert causes("service_wiring", service("till", {"targetPort": 9001}), *running("till", container)) == []


def test_a_named_target_port_needs_a_container_port_of_that_name() -> None:
    named = {"ports": [{"name": "grpc", "containerPort": 9000}]}
    assert causes("service_wiring", service("till", {"targetPort": "grcp"}), *running("till", named)) == [
        ("app/till", "service_port_mapping_mismatch")
    ]
    assert causes("service_wiring", service("till", {"targetPort": "grpc"}), *running("till", named)) == []


def test_udp_in_front_of_tcp_is_another_protocol() -> None:
    assert causes("service_wiring", service("till", {"protocol": "UDP"}), *running("till")) == [("app/till", "service_protocol_mismatch")]
    both = {"ports": [{"containerPort": 9000, "protocol": "UDP"}]}
    assert causes("service_wiring", service("till", {"protocol": "UDP"}), *running("till", both)) == []


# Addresses


def caller(value: str) -> tuple[KubernetesObject, ...]:
    return running("till", {"env": [{"name": "STOCK_ADDR", "value": value}]})


def test_an_address_that_no_service_has_counts_once_a_log_says_so() -> None:
    here = (service("stock"), *running("stock"))
    gone = line("till", "dial tcp: lookup warehouse on 192.0.2.53:53: no such host")
    assert causes("addresses", *here, *caller("warehouse:9000"), gone) == [("app/till", "service_env_var_address_mismatch")]
    assert causes("addresses", *here, *caller("warehouse:9000")) == []  # images carry variables that nobody uses
    assert causes("addresses", *here, *caller("stock:9000"), gone) == []


@pytest.mark.parametrize(("value", "wrong"), [("stock:9009", True), ("stock.market.svc.cluster.local:9000", False), ("http://stock:9000/api", False)])
def test_a_port_that_the_service_does_not_have_is_a_wrong_address(value: str, wrong: bool) -> None:
    expected = [("app/till", "service_env_var_address_mismatch")] if wrong else []
    assert causes("addresses", service("stock"), *running("stock"), *caller(value)) == expected


def test_hosts_outside_of_the_cluster_are_no_services() -> None:
    assert causes("addresses", service("stock"), *caller("api.example.com:443"), above=0) == []
    assert causes("addresses", service("stock"), *caller("192.0.2.77:443"), above=0) == []


def test_an_address_outside_that_refuses_leads_somewhere_and_one_that_does_not_resolve_does_not() -> None:
    outside = (service("stock"), *caller("https://api.partner.example:443"))
    refused = line("till", "ConnectException: Connection refused (api.partner.example:443)")
    unknown = line("till", "dial tcp: lookup api.partner.example on 10.96.0.10:53: no such host")
    assert causes("addresses", *outside, refused, above=0) == []
    assert causes("addresses", *outside, unknown) == [("app/till", "service_env_var_address_mismatch")]


# Ports within a pod


def test_a_sidecar_on_the_applications_port_is_a_conflict() -> None:
    moved: dict[str, Any] = {"annotations": {"proxy.istio.io/config": '{ "statusPort": 9000 }'}}
    assert causes("sidecar_ports", *running("till", ready=False, **moved)) == [("app/till", "service_sidecar_port_conflict")]
    assert causes("sidecar_ports", *running("till", annotations={"proxy.istio.io/config": '{ "statusPort": 15020 }'})) == []


# Databases


DATABASE = (service("maindb", {"port": 3306}), *running("maindb", {"image": "mysql:8", "ports": [{"containerPort": 3306}]}))


@pytest.mark.parametrize(
    ("text", "cause", "who"),
    [
        ("SQLException: Access denied for user 'x'@'192.0.2.1' (using password: YES)", "mysql_invalid_credentials", "app/till"),
        ('FATAL: password authentication failed for user "x"', "mysql_invalid_credentials", "app/till"),
        ("CommunicationsException: Communications link failure", "mysql_invalid_port", "app/till"),
        ("connect ECONNREFUSED mysql connect ECONNREFUSED 192.0.2.6:3307", "mysql_invalid_port", "app/till"),
        ("SQLNonTransientConnectionException: Too many connections", "db_connection_exhaustion", "app/maindb"),
        ("FATAL: sorry, too many clients already", "db_connection_exhaustion", "app/maindb"),
        ("The MySQL server is running with the --read-only option so it cannot execute this statement", "db_read_only", "app/maindb"),
        ("ERROR: cannot execute INSERT in a read-only transaction", "db_read_only", "app/maindb"),
    ],
)
def test_the_words_of_a_client_tell_what_ails_its_database(text: str, cause: str, who: str) -> None:
    assert causes("data_stores", *DATABASE, *running("till", ready=False), *running("stock"), line("till", text)) == [(who, cause)]


def test_a_client_that_is_ready_has_got_over_its_start_and_a_database_may_talk_to_itself() -> None:
    refused = "CommunicationsException: Communications link failure"
    assert causes("data_stores", *DATABASE, *running("till"), *running("stock"), line("till", refused)) == []
    assert causes("data_stores", *DATABASE, line("maindb", "[Note] Access denied for user 'root'@'localhost'")) == []


# Names


def test_a_name_server_of_its_own_explains_names_that_do_not_resolve() -> None:
    own: dict[str, Any] = {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.200"]}}
    silent = line("till", "lookup stock on 192.0.2.200:53: read udp 192.0.2.1:1->192.0.2.200:53: i/o timeout")
    assert causes("name_resolution", *running("till", ready=False, **own), silent) == [("app/till", "service_dns_resolution_failure")]
    assert causes("name_resolution", *running("till"), line("till", "lookup stock on 192.0.2.10:53: no such host")) == []
    same = [item for name in ("a", "b", "c") for item in running(name, **own)]
    assert causes("name_resolution", *same) == []  # what all have is how this cluster is


# Routes


def routing(target: str) -> KubernetesObject:
    return thing("ConfigMap", "door", routes=[{"path": "/api/stock", "to": target}, {"path": "/api/till", "to": "till"}])


def test_a_path_that_names_one_service_and_leads_to_another_is_a_misroute() -> None:
    assert causes("routes", service("till"), service("shop-stock"), routing("till")) == [("app/shop-stock", "gateway_misroute")]
    assert causes("routes", service("till"), service("shop-stock"), routing("shop-stock")) == []
    # the path names nobody who is there
    assert causes("routes", service("till"), service("shelf"), routing("till")) == []


# Load


def test_the_quickest_of_the_slow_is_the_source() -> None:
    slow = (
        curve("workload_p50latency", "door", 40, 6000),
        curve("workload_p50latency", "till", 25, 5000),
        curve("workload_p50latency", "stock", 3, 2500),
    )
    found = causes("workload_load", *running("stock"), *slow, above=0)
    assert found[0] == ("app/stock", "pod_network_delay")


def test_who_works_at_its_limit_is_overloaded() -> None:
    limited = {"resources": {"limits": {"cpu": "200m"}}}
    curves = (
        curve("workload_cpu", "stock", 0.01, 0.19), curve("workload_cpu_cfs", "stock", 0.0, 0.8), curve("workload_p50latency", "stock", 3, 30),
        curve("workload_p50latency", "till", 20, 90),
    )  # fmt: skip
    assert causes("workload_load", *running("stock", limited), *running("till"), *curves)[0] == ("app/stock", "pod_cpu_overload")
    assert causes("workload_load", *running("stock", {"resources": {"limits": {"cpu": "4"}}}), curve("workload_cpu", "stock", 0.01, 0.19)) == []


def test_a_node_that_sends_again_loses_packets() -> None:
    retransmitted = curve("workload_tcp_retrans", "n1", 0.0, 8.0)
    slow = curve("workload_p50latency", "stock", 3, 300)
    assert causes("node_network", *running("stock"), retransmitted, slow) == [("node/n1", "node_network_packet_loss")]
    assert causes("node_network", *running("stock"), retransmitted, curve("workload_p50latency", "stock", 3, 4)) == []


def test_a_node_exporter_calls_its_node_an_instance_and_a_tail_has_its_unit_in_front() -> None:
    retransmitted = curve("node_netstat_Tcp_RetransSegs_per_second", "", 0.1, 8.0, labels={"instance": "n1:9100"})
    slow = curve("http_server_request_duration_seconds_p95", "stock", 0.05, 1.3)
    here = (*running("stock"), KubernetesObject(kind="Node", namespace="", name="n1", manifest={"kind": "Node", "metadata": {"name": "n1"}}))
    assert causes("node_network", *here, retransmitted, slow) == [("node/n1", "node_network_packet_loss")]
    elsewhere = curve("node_netstat_Tcp_RetransSegs_per_second", "", 0.1, 8.0, labels={"instance": "10.0.0.7:9100"})
    assert causes("node_network", *here, elsewhere, slow) == []


def test_all_that_runs_on_a_node_becoming_slow_is_its_network() -> None:
    here = [item for name in ("a", "b", "c") for item in running(name)]
    there = [item for name in ("d", "e", "f") for item in running(name, node="n2")]
    slow = [curve("workload_p50latency", name, 3, 300) for name in ("a", "b", "c")]
    quick = [curve("workload_p50latency", name, 3, 3) for name in ("d", "e", "f")]
    assert causes("node_network", *here, *there, *slow, *quick) == [("node/n1", "node_network_delay")]
    assert causes("node_network", *here, *there, *slow[:2], curve("workload_p50latency", "c", 3, 3), *quick) == []


# Observations


def test_a_peer_that_refuses_is_named_and_stays_below_what_says_why() -> None:
    refused = line("till", "dial tcp 192.0.2.5:9000: connect: connection refused")
    assert causes("unreachable_peers", service("stock"), refused, above=0) == [("app/stock", "peer_unreachable")]
    assert causes("unreachable_peers", service("stock"), line("till", "dial tcp 127.0.0.1:1: connect: connection refused"), above=0) == []


def test_a_peer_outside_of_the_cluster_is_named_by_its_whole_host() -> None:
    for host, name in (
        ("billing.partner.example", "billing.partner.example"), ("stock.shop.svc.cluster.local", "stock"), ("stock.shop", "stock"),
    ):  # fmt: skip
        refused = line("till", f"ConnectException: Connection refused ({host}:9443)")
        assert causes("unreachable_peers", refused, above=0) == [(f"app/{name}", "peer_unreachable")], host


def test_a_name_outside_that_is_gone_is_the_peer_s_and_one_within_is_dns() -> None:
    gone = line("till", 'Post "<redacted>": dial tcp: lookup hooks.partner.example on 10.96.0.10:53: no such host')
    within = line("till", "dial tcp: lookup stock.shop on 10.96.0.10:53: no such host")
    assert causes("unreachable_peers", gone) == [("app/hooks.partner.example", "peer_unreachable")]
    assert causes("unreachable_peers", within, above=0) == []


EXPIRED = 'Get "https://stock:8443/v1": tls: failed to verify certificate: x509: certificate has expired or is not yet valid'


def test_who_complains_of_a_certificate_names_whose_it_is() -> None:
    assert causes("endings", service("stock"), line("till", EXPIRED)) == [("app/stock", "certificate_expired")]
    assert causes("endings", service("stock", clusterIP="10.96.0.7"), line("till", EXPIRED.replace("stock", "10.96.0.7"))) == [
        ("app/stock", "certificate_expired")
    ]
    assert causes("endings", line("till", EXPIRED.replace("stock", "10.96.0.9"))) == [("app/till", "certificate_expired")]
    outside = EXPIRED.replace("stock:8443", "api.partner.example")
    assert causes("endings", line("till", outside)) == [("app/api.partner.example", "certificate_expired")]
    assert causes("endings", line("till", "certificate expired"), above=0) == [("app/till", "certificate_expired")]


@pytest.mark.parametrize(("days", "found"), [(-1, [("app/stock", "certificate_expired")]), (1, [])])
def test_a_certificate_that_ran_out_by_its_metric_needs_nobody_to_complain(days: int, found: list[tuple[str, str]]) -> None:
    ends = NOW.timestamp() + 86_400 * days
    probed = curve("probe_ssl_earliest_cert_expiry", "", ends, ends, labels={"instance": "https://stock.market:8443"})
    assert causes("endings", probed) == found
    left = curve("ssl_cert_expiry_seconds_left", "", 5.0, 5.0, labels={"instance": "https://stock.market:8443"})
    assert causes("endings", left, above=0) == []


def test_a_log_that_says_an_error_much_more_often_is_worth_a_sentence() -> None:
    found = list(DETECTORS["log_bursts"].detect(world(line("till", "it broke", 50, 2), line("till", "as ever", 50, 40), line("till", "unknown", 50))))
    assert [item.summary for item in found] == ["till logged 50 times “it broke”, 2 before"]
