"""Whom an alert is about, what is compared in correlation, and what people read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_sre.alert.subject import (
    AlertRole,
    Scope,
    Subject,
    describe,
    role_of,
    scope_of,
    subject_key,
    subject_of,
    workload_of,
)

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "alerts.md"

KSM = {"job": "kube-state-metrics", "service": "prom-kube-state-metrics", "endpoint": "http", "instance": "10.244.3.9:8080"}
KSM_POD = "prom-kube-state-metrics-6c5d9b7f8-x2z4q"


def labels(text: str = "", /, **more: str) -> dict[str, str]:
    """`labels("alertname=X pod=cart-0")`: the shortest way to write a label set."""
    return dict(pair.split("=", 1) for pair in text.split()) | more


# Exporters


def test_a_deployment_alert_is_not_about_the_pod_of_kube_state_metrics() -> None:
    sent = KSM | labels("alertname=KubeDeploymentReplicasMismatch namespace=shop deployment=cart container=kube-state-metrics", pod=KSM_POD)
    assert subject_of(sent) == Subject(kind="Deployment", name="cart", namespace="shop")


def test_a_node_alert_leaves_the_exporters_namespace_behind() -> None:
    sent = KSM | labels("alertname=KubeNodeNotReady namespace=monitoring node=worker-2 condition=Ready", pod=KSM_POD)
    assert subject_of(sent) == Subject(kind="Node", name="worker-2", node="worker-2")


def test_a_pod_alert_keeps_the_pod_and_its_container() -> None:
    sent = KSM | labels("alertname=KubePodCrashLooping namespace=shop pod=cart-7f9c6d5b8c-k2x9p container=cart uid=0b9f")
    assert subject_of(sent) == Subject(kind="Pod", name="cart-7f9c6d5b8c-k2x9p", namespace="shop", container="cart")


@pytest.mark.parametrize("container", ["kube-state-metrics", "kube-rbac-proxy-main", "kube-rbac-proxy-self", "POD"])
def test_a_pod_alert_loses_a_container_that_is_not_the_pods(container: str) -> None:
    sent = KSM | labels("alertname=PodStuck namespace=shop pod=cart-0", container=container)
    assert subject_of(sent).container == ""


def test_the_crash_loop_of_a_sidecar_keeps_the_sidecar() -> None:
    sent = KSM | labels("alertname=KubePodCrashLooping namespace=db pod=postgres-0 container=postgres-exporter uid=0b9f")
    assert subject_of(sent).container == "postgres-exporter"


def test_kube_state_metrics_can_be_the_victim_of_its_own_report() -> None:
    sent = KSM | labels("alertname=KubePodCrashLooping namespace=monitoring container=kube-state-metrics uid=0b9f", pod=KSM_POD)
    assert subject_of(sent) == Subject(kind="Pod", name=KSM_POD, namespace="monitoring", container="kube-state-metrics")


def test_another_exporters_pod_is_a_pod_like_any_other() -> None:
    sent = KSM | labels("alertname=KubePodNotReady namespace=monitoring pod=node-exporter-8jk2l uid=0b9f")
    assert subject_of(sent).name == "node-exporter-8jk2l"


def test_renamed_labels_win_where_the_exporters_were_kept() -> None:
    sent = KSM | labels("alertname=PodWaits namespace=monitoring container=ksm", pod=KSM_POD)
    sent |= labels("exported_namespace=shop exported_pod=cart-0 exported_container=web")
    assert subject_of(sent) == Subject(kind="Pod", name="cart-0", namespace="shop", container="web")


def test_a_renamed_namespace_alone_makes_all_plain_target_labels_the_exporters() -> None:
    sent = KSM | labels("alertname=Mismatch namespace=monitoring exported_namespace=shop deployment=cart container=ksm", pod=KSM_POD)
    assert subject_of(sent) == Subject(kind="Deployment", name="cart", namespace="shop")


def test_a_claim_comes_before_its_namespace_and_its_node() -> None:
    sent = labels("alertname=KubePersistentVolumeFillingUp namespace=db persistentvolumeclaim=data-0 node=worker-1")
    sent |= labels("job=kubelet service=kubelet pod=kubelet-6c5d9b7f8-x2z4q container=kubelet-main")
    assert subject_of(sent) == Subject(kind="PersistentVolumeClaim", name="data-0", namespace="db", node="worker-1")


def test_longhorn_says_the_claims_namespace_in_its_own_word() -> None:
    sent = labels("alertname=LonghornVolumeDegraded namespace=longhorn-system pod=longhorn-manager-x2z4q")
    sent |= labels("volume=pvc-1 pvc=data-0 pvc_namespace=db")
    assert describe(subject_of(sent)) == "PersistentVolumeClaim db/data-0"


def test_job_is_the_scrape_job_and_job_name_the_kubernetes_job() -> None:
    sent = KSM | labels("alertname=KubeJobFailed namespace=payments job_name=nightly-29012345", pod=KSM_POD)
    assert describe(subject_of(sent)) == "Job payments/nightly-29012345"


def test_an_app_that_happens_to_be_called_exporter_breaks_by_itself() -> None:
    sent = labels("alertname=HighErrorRate job=invoice-exporter namespace=shop pod=invoice-exporter-7f9c6d5b8c-k2x9p container=app")
    assert subject_of(sent).name == "invoice-exporter-7f9c6d5b8c-k2x9p"


def test_a_database_exporter_speaks_about_the_database() -> None:
    sent = labels("alertname=PostgresqlTooManyConnections job=prometheus-postgres-exporter namespace=db instance=10.244.0.9:9187")
    sent |= labels("pod=prometheus-postgres-exporter-7f9c6d5b8c-k2x9p service=prometheus-postgres-exporter node=worker-1")
    assert subject_of(sent) == Subject(kind="Service", name="postgres", namespace="db", service="postgres")


def test_a_database_exporter_outside_of_kubernetes_names_the_machine() -> None:
    assert describe(subject_of(labels("alertname=MysqlDown job=mysqld_exporter instance=db1:9104"))) == "Host db1"


def test_an_exporter_that_is_down_is_the_victim_itself() -> None:
    sent = KSM | labels("alertname=InstanceDown namespace=monitoring container=kube-state-metrics", pod=KSM_POD)
    assert describe(subject_of(sent)) == f"Pod monitoring/{KSM_POD} (container kube-state-metrics)"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("nas:9100", "nas"),
        ("nas", "nas"),
        ("10.0.0.7:9100", "10.0.0.7"),
        ("[2001:db8::1]:9100", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("https://shop.example.com/health?deep=1", "shop.example.com"),
        ("https://user:secret@shop.example.com:8443/", "shop.example.com"),
        ("redis://redis-0:6379", "redis-0"),
    ],
)
def test_a_host_is_named_without_port_path_or_password(address: str, host: str) -> None:
    subject = subject_of({"alertname": "InstanceSlow", "instance": address, "job": "blackbox"})
    assert (subject.kind, subject.name) == ("Host", host)


def test_a_machine_is_a_node_where_kubernetes_shows_and_a_host_elsewhere() -> None:
    inside = labels("alertname=HostOutOfMemory job=node-exporter namespace=monitoring pod=node-exporter-8jk2l instance=worker-1")
    outside = labels("alertname=HostOutOfMemory job=node instance=nas:9100")
    assert subject_of(inside) == Subject(kind="Node", name="worker-1", node="worker-1")
    assert subject_of(outside) == Subject(kind="Host", name="nas", service="node")


def test_a_program_on_node_js_is_not_a_node() -> None:
    sent = labels("alertname=NodejsEventLoopLag job=api namespace=shop pod=api-0 instance=10.244.0.7:8080")
    assert subject_of(sent).kind == "Pod"
    assert subject_of(sent | {"alertname": "NodeJSHeapFull"}).kind == "Pod"


def test_a_pod_that_reports_on_itself_under_a_node_like_name_stays_a_pod() -> None:
    assert subject_of(labels("alertname=NodePoolExhausted job=api namespace=shop pod=api-0 instance=10.244.0.7:8080")).kind == "Pod"


def test_prometheus_reporting_a_missing_target_is_not_about_prometheus() -> None:
    sent = labels("alertname=PrometheusTargetMissing job=cart namespace=shop instance=10.244.0.7:8080")
    assert describe(subject_of(sent)) == "Service shop/cart"


def test_the_etcd_of_an_application_is_not_the_clusters_etcd() -> None:
    sent = labels("alertname=etcdNoLeader job=milvus-etcd namespace=milvus pod=milvus-etcd-0")
    assert describe(subject_of(sent)) == "Pod milvus/milvus-etcd-0"
    assert describe(subject_of(labels("alertname=SlowRequests job=etcd namespace=milvus"))) == "Service milvus/etcd"
    assert describe(subject_of(labels("alertname=etcdNoLeader job=kube-etcd namespace=kube-system pod=etcd-cp-1"))) == "Component etcd"


def test_opentelemetry_names_lead_to_the_pod() -> None:
    sent = {"alertname": "Slow", "k8s.pod.name": "cart-0", "k8s.namespace.name": "shop", "k8s.deployment.name": "cart", "job": "shop/cart"}
    assert describe(subject_of(sent)) == "Pod shop/cart-0"
    del sent["k8s.pod.name"]
    assert describe(subject_of(sent)) == "Deployment shop/cart"


def test_every_example_of_the_reference_holds() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| (\w+) \|", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) >= 25
    for sent, words, scope in rows:
        subject = subject_of(labels(sent))
        assert (describe(subject), scope_of(subject, labels(sent).get("alertname", ""))) == (words.strip(), scope), sent


any_text = st.text(max_size=30)
known_names = st.sampled_from([
    "alertname", "job", "namespace", "pod", "container", "node", "service", "instance", "cluster", "deployment", "job_name", "uid", "app",
    "persistentvolumeclaim", "exported_pod", "exported_namespace", "kind", "name", "target", "workload", "component", "host",
])  # fmt: skip
telling_values = st.sampled_from([
    "kube-state-metrics", "node-exporter", "kubelet", "blackbox", "postgres_exporter", "etcd", "apiserver", "cart-0", "Deployment",
    "KubeNodeNotReady", "Watchdog", "PrometheusDown", "KubeletDown", "TargetDown", "HelmRelease",
    "http://", "http://[", "://", "//@/", "[::1]:9", "::", "@", "/", "%", "-",
])  # fmt: skip
label_sets = st.dictionaries(st.one_of(known_names, any_text), st.one_of(telling_values, any_text), max_size=12)


@settings(max_examples=200, deadline=None)
@given(label_sets)
@example({})
@example({"instance": "://"})
@example({"alertname": "Watchdog" * 100_000, "pod": "-" * 100_000})
def test_any_labels_have_a_subject_that_can_be_shown_and_compared(sent: dict[str, str]) -> None:
    subject = subject_of(sent)
    assert subject.kind
    assert subject.name or subject.kind == "Cluster"
    assert "\n" not in describe(subject)
    assert describe(subject)
    assert subject_key(subject).count("/") == 3
    assert scope_of(subject, sent.get("alertname", "")) in Scope


# Roles


@pytest.mark.parametrize("name", ["Watchdog", "DeadMansSwitch", "DeadManSwitch", "PrometheusDeadMansSwitch", "dead_mans_snitch", "AlwaysFiring"])
def test_what_fires_always_is_a_heartbeat(name: str) -> None:
    assert role_of({"alertname": name}) is AlertRole.HEARTBEAT


@pytest.mark.parametrize("name", ["DeadMansSwitchMissing", "WatchdogGone", "HardwareWatchdog", "InfoInhibitors", "", "KubePodCrashLooping"])
def test_what_only_sounds_like_it_is_a_problem(name: str) -> None:
    assert role_of({"alertname": name}) is AlertRole.PROBLEM


def test_info_inhibitor_is_ignored_and_a_missing_name_is_a_problem() -> None:
    assert role_of({"alertname": "InfoInhibitor", "severity": "none"}) is AlertRole.IGNORED
    assert role_of({}) is AlertRole.PROBLEM


# Workloads


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("cart-7f9c6d5b8c-k2x9p", "cart"),  # Deployment
        ("payments-api-6b7d8f9c5-q1w2e", "payments-api"),
        ("auth-e51f1ac7e-fz775", "auth"),  # a hash in hexadecimal
        ("cart-1234567890-x2z4q", "cart"),  # a hash in decimal, as before Kubernetes 1.8
        ("prom-kube-state-metrics-6c5d9b7f8-x2z4q", "prom-kube-state-metrics"),
        ("catalog-db-0", "catalog-db"),  # StatefulSet
        ("catalog-db-117", "catalog-db"),
        ("node-exporter-8jk2l", "node-exporter"),  # DaemonSet
        ("migrate-2-bcdfg", "migrate-2"),  # Job
        ("nightly-settlement-29012345-x7k2p", "nightly-settlement"),  # CronJob
        ("nightly-settlement-29012345", "nightly-settlement"),
        ("nightly-1700000000-x7k2p", "nightly"),  # CronJob before Kubernetes 1.21
        ("bruno-site-api-xyz123", "bruno-site-api-xyz123"),  # six characters
        ("test-pod", "test-pod"),
        ("my-backend-server", "my-backend-server"),
        ("cart-redis", "cart-redis"),  # vowels are not in Kubernetes' alphabet
        ("web-00", "web-00"),  # no ordinal has a leading zero
        ("cart", "cart"),
        ("0", "0"),
        ("-0", "-0"),
        ("", ""),
    ],
)
def test_the_workload_behind_a_pod_name(pod: str, workload: str) -> None:
    assert workload_of(pod) == workload


SAFE = "bcdfghjklmnpqrstvwxz2456789"
dns_names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z][a-z0-9]{0,8}){0,3}", fullmatch=True)


@settings(max_examples=150, deadline=None)
@given(dns_names, st.integers(min_value=1_000_000, max_value=2**32 - 1), st.text(SAFE, min_size=5, max_size=5))
def test_every_pod_of_a_deployment_leads_back_to_it(name: str, template_hash: int, suffix: str) -> None:
    written = "".join(SAFE[ord(digit) % len(SAFE)] for digit in str(template_hash))  # rand.SafeEncodeString
    if any(character.isdigit() for character in written):
        assert workload_of(f"{name}-{written}-{suffix}") == name


@settings(max_examples=100, deadline=None)
@given(dns_names, st.integers(min_value=0, max_value=9999), st.text(SAFE, min_size=5, max_size=5))
def test_every_pod_of_a_stateful_or_daemon_set_leads_back_to_it(name: str, ordinal: int, suffix: str) -> None:
    assert workload_of(f"{name}-{ordinal}") == name
    if not re.fullmatch(r".*-(?=[a-z]*[0-9])[a-f0-9]{6,10}", name):  # a set that is itself named like a ReplicaSet
        assert workload_of(f"{name}-{suffix}") == name


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_a_workload_is_never_empty_and_always_the_front_of_the_pods_name(pod: str) -> None:
    workload = workload_of(pod)
    assert pod.startswith(workload)
    assert bool(workload) == bool(pod)


# Keys


def test_one_patient_has_one_key() -> None:
    alerts = [
        KSM | labels("alertname=KubeDeploymentReplicasMismatch deployment=cart", pod=KSM_POD),
        KSM | labels("alertname=KubePodCrashLooping pod=cart-7f9c6d5b8c-k2x9p container=cart uid=1"),
        KSM | labels("alertname=KubePodNotReady pod=cart-5d4f8b9c7-q9w8z uid=2"),
        KSM | labels("alertname=KubeHpaMaxedOut horizontalpodautoscaler=cart-hpa", pod=KSM_POD),
        KSM | labels("alertname=KubePdbNotEnoughHealthyPods poddisruptionbudget=cart", pod=KSM_POD),
        labels("alertname=TargetDown job=shop-cart service=cart"),
        labels("alertname=HighErrorRate ingress=cart"),
        labels("alertname=Slow replicaset=cart-7f9c6d5b8c"),
        labels("alertname=MemoryHigh container=cart"),
    ]
    patient = [subject_of(alert | labels("namespace=shop cluster=prod")) for alert in alerts]
    assert {subject_key(subject) for subject in patient} == {"prod/shop/workload/cart"}


def test_a_cron_jobs_runs_share_its_key() -> None:
    runs = ["job_name=nightly-29012345", "job_name=nightly-29012405", "cronjob=nightly", "pod=nightly-29012345-x7k2p"]
    assert {subject_key(subject_of(labels(f"alertname=A namespace=payments {run}"))) for run in runs} == {"/payments/workload/nightly"}


def test_a_monitoring_component_shares_the_key_of_its_pods() -> None:
    itself = subject_of(labels("alertname=PrometheusBadConfig job=prometheus-k8s service=prometheus-k8s namespace=monitoring"))
    pod = subject_of(KSM | labels("alertname=KubePodCrashLooping namespace=monitoring pod=prometheus-k8s-0 uid=1"))
    assert subject_key(itself) == subject_key(pod)


def test_a_machine_has_one_key_whoever_speaks_of_it() -> None:
    node = subject_of(labels("alertname=KubeNodeNotReady node=worker-1"))
    host = subject_of(labels("alertname=InstanceSlow namespace=shop instance=worker-1:9100"))
    assert (node.kind, host.kind) == ("Node", "Host")
    assert subject_key(node) == subject_key(host) == "//node/worker-1"


@pytest.mark.parametrize(
    "other",
    [
        Subject(kind="Deployment", name="cart", namespace="shop", cluster="prod-2"),
        Subject(kind="Deployment", name="cart", namespace="shop-2", cluster="prod"),
        Subject(kind="Deployment", name="cart-2", namespace="shop", cluster="prod"),
        Subject(kind="PersistentVolumeClaim", name="cart", namespace="shop", cluster="prod"),
        Subject(kind="ResourceQuota", name="cart", namespace="shop", cluster="prod"),
        Subject(kind="Namespace", name="shop", namespace="shop", cluster="prod"),
        Subject(kind="Component", name="cart", cluster="prod"),
    ],
)
def test_different_patients_have_different_keys(other: Subject) -> None:
    assert subject_key(other) != subject_key(Subject(kind="Deployment", name="cart", namespace="shop", cluster="prod"))


def test_no_slash_in_a_name_can_forge_another_key() -> None:
    honest = Subject(kind="Deployment", name="cart", namespace="shop", cluster="prod")
    forged = Subject(kind="Deployment", name="cart", namespace="", cluster="prod/shop")
    assert subject_key(forged) != subject_key(honest)
    assert subject_key(Subject(kind="Alert", name="a%2Fb")) != subject_key(Subject(kind="Alert", name="a/b"))


# Words


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (Subject(kind="Deployment", name="cart", namespace="shop"), "Deployment shop/cart"),
        (Subject(kind="Pod", name="cart-0", namespace="shop", container="cart"), "Pod shop/cart-0 (container cart)"),
        (Subject(kind="Pod", name="test-pod"), "Pod test-pod"),
        (Subject(kind="Node", name="worker-2", node="worker-2"), "Node worker-2"),
        (Subject(kind="PersistentVolumeClaim", name="data-0", namespace="db"), "PersistentVolumeClaim db/data-0"),
        (Subject(kind="Cluster", name="prod-eu-1", cluster="prod-eu-1"), "cluster prod-eu-1"),
        (Subject(kind="Cluster", name=""), "the cluster"),
        (Subject(kind="Namespace", name="shop", namespace="shop"), "Namespace shop"),
        (Subject(kind="Host", name="10.0.0.1", namespace="shop"), "Host 10.0.0.1 (namespace shop)"),
        (Subject(kind="Alert", name="Odd"), "Alert Odd"),
        (Subject(kind="Pod", name="a\nb\x1b[31m\u202e", namespace="shop"), "Pod shop/a b[31m"),
    ],
)
def test_a_subject_in_words(subject: Subject, words: str) -> None:
    assert describe(subject) == words
