from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.alert.subject import Subject, subject_of
from agent_sre.analysis.analysis import Horizon
from agent_sre.evidence import playbook as playbook_module
from agent_sre.evidence.playbook import (
    GENERIC,
    HORIZONS,
    Playbook,
    PlaybookStep,
    fill,
    load_playbooks,
    playbook_for,
    render,
    values_of,
)
from agent_sre.kit.errors import BadSetting

_REPO = Path(__file__).parents[2]
_SHARED = _REPO.parent / "shared"
_DOCS = _REPO / "docs" / "reference" / "playbooks.md"
_FOLDER = Path(playbook_module.__file__).parent / "playbooks"

PLAYBOOKS = load_playbooks()
BY_NAME = {playbook.name: playbook for playbook in PLAYBOOKS}
EACH = pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda playbook: playbook.name)


class _Anything(dict[str, str]):
    """A value for every placeholder."""

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]  # dict's own get has overloads that nobody calls here
        return f"a-{key}"


def parse_promql(text: str) -> Any:
    """The tree of an expression; its classes are Rust's, and their attributes unknown to mypy."""
    return promql_parser.parse(text)


def lines(template: str) -> list[str]:
    return template.split("\n")


def texts_of(playbook: Playbook) -> list[str]:
    return [
        line
        for template in (
            playbook.title, playbook.meaning, playbook.impact,
            *(text for item in playbook.causes for text in (item.cause, item.check, item.rules_out) if text),
            *(item.why for item in playbook.queries),
            *(item.text for item in playbook.steps),
        )
        for line in lines(template)
    ]  # fmt: skip


def code_of(playbook: Playbook, language: str) -> list[str]:
    """Every alternative of every query and command in that language."""
    templates = [item.text for item in playbook.queries if item.language == language]
    templates += [item.command for item in playbook.steps if item.language == language]
    return [line for template in templates for line in lines(template) if line]


# The files


@EACH
def test_a_playbook_says_enough_and_not_too_much(playbook: Playbook) -> None:
    assert 3 <= len(playbook.causes) <= 6
    assert 2 <= len(playbook.queries) <= 4
    assert 3 <= len(playbook.steps) <= 6
    assert {"Immediate", "Investigation", "Prevention"} <= {step.horizon for step in playbook.steps}
    assert all(len(line) <= 260 for line in texts_of(playbook))


@EACH
def test_texts_are_plain_sentences_without_links_or_markup(playbook: Playbook) -> None:
    for line in texts_of(playbook):
        assert not re.search(r"https?:|www\.|`|\*\*|\]\(|<[a-z]", line), line
        assert line == line.strip()
    for line in (playbook.meaning, playbook.impact):
        assert line.endswith(".")


def test_slugs_are_unique_and_the_generic_one_is_last() -> None:
    assert len(BY_NAME) == len(PLAYBOOKS) >= 80
    assert PLAYBOOKS[-1].name == GENERIC
    assert not PLAYBOOKS[-1].alerts
    assert not PLAYBOOKS[-1].patterns


def test_every_packaged_cause_says_what_rules_it_in_and_what_rules_it_out() -> None:
    silent = [(playbook.name, item.cause) for playbook in PLAYBOOKS for item in playbook.causes if not item.rules_out]
    assert silent == []


def test_every_packaged_file_is_read_and_passes_the_checks_for_own_files() -> None:
    assert sorted(path.stem for path in _FOLDER.glob("*.toml")) == sorted(playbook_module.FILES)
    assert {playbook.name for playbook in load_playbooks(_FOLDER)} == set(BY_NAME)


def test_the_horizons_are_those_of_the_analysis() -> None:
    assert tuple(Horizon) == HORIZONS


# Queries and commands


@EACH
def test_every_promql_template_parses(playbook: Playbook) -> None:
    for line in code_of(playbook, "promql"):
        rendered = render(line, "promql", _Anything())
        assert rendered is not None, line
        parse_promql(rendered)


@EACH
def test_every_logql_template_selects_a_stream(playbook: Playbook) -> None:
    for line in code_of(playbook, "logql"):
        rendered = render(line, "logql", _Anything())
        assert rendered is not None
        assert re.search(r'\{[a-z]+="[^"]+"', rendered), line


_READ_ONLY = (
    "kubectl [OPTIONS] get", "kubectl [OPTIONS] describe", "kubectl [OPTIONS] logs", "kubectl [OPTIONS] top",
    "kubectl [OPTIONS] auth can-i", "kubectl [OPTIONS] rollout history",
    "journalctl", "systemctl status", "systemctl list-units", "timedatectl status", "chronyc sources", "last",
    "df", "du", "free", "top -b", "vmstat", "iostat", "pidstat", "lsblk", "sensors", "cat /proc/", "smartctl -a", "nvidia-smi",
    "ipmitool sel list", "ss -s", "ip -s link", "ethtool", "ping -c", "dig +short", "openssl x509 -noout",
    "crictl ps", "kubeadm certs check-expiration", "etcdctl endpoint status", "etcdctl alarm list",
    "promtool check", "amtool check-config", "amtool config routes", "ollama ps",
    "redis-cli info", "redis-cli slowlog get", "rabbitmq-diagnostics", "kafka-topics.sh", "kafka-consumer-groups.sh",
)  # fmt: skip
_WRITING_WORDS = {
    "--delete", "--reset-offsets", "--alter", "--create", "--execute", "-exec", "--vacuum-size", "--vacuum-time", "--rotate", "-w", "-f",
    "--follow", "--force", "-X", "exec", "delete", "apply", "edit", "patch", "scale", "drain", "cordon", "uncordon", "restart", "undo",
}  # fmt: skip


@EACH
def test_commands_only_read(playbook: Playbook) -> None:
    for line in code_of(playbook, "bash"):
        words = shlex.split(line)
        command = " ".join([*words, ""])
        if words[0] == "kubectl":
            command = re.sub(r"^kubectl (-n \S+ )?", "kubectl [OPTIONS] ", command)
        assert any(command.startswith(allowed if allowed.endswith("/") else f"{allowed} ") for allowed in _READ_ONLY), line
        allowed_words = {"-w"} if words[:2] == ["etcdctl", "endpoint"] else set()
        assert not _WRITING_WORDS & set(words) - allowed_words, line
        if "kafka" in words[0]:
            assert "--describe" in words
        if "secrets" in command:
            assert "-o yaml" not in command
            assert "-o json" not in command


@EACH
def test_code_never_uses_words_for_people(playbook: Playbook) -> None:
    for language in ("promql", "logql", "bash"):
        assert not any("$subject" in line.lower() for line in code_of(playbook, language))


# Finding one


def catalogue() -> list[dict[str, object]]:
    path = _SHARED / "data" / "alert_catalogue.json"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    rules: list[dict[str, object]] = json.loads(path.read_text())["alerts"]
    return rules


def test_every_standard_rule_has_a_playbook_of_its_own_kind() -> None:
    names = {str(rule["alertname"]) for rule in catalogue()}
    assert len(names) == 140
    assert [name for name in sorted(names) if playbook_for(name, PLAYBOOKS).name == GENERIC] == []
    listed = {alert for playbook in PLAYBOOKS for alert in playbook.alerts}
    assert sorted(names - listed) == []


@pytest.mark.parametrize(
    ("alert_name", "slug"),
    [
        ("HighMemoryUsage", "high-memory"),
        ("high_memory_usage", "high-memory"),
        ("HighCPU", "high-cpu"),
        ("NodeCpuTooHigh", "high-cpu"),
        ("PodCrashLooping", "pod-crash-looping"),
        ("my-team/pod crash loop", "pod-crash-looping"),
        ("ServiceDown", "service-down"),
        ("CheckoutDown", "service-down"),
        ("ServiceAvailabilityDisruption", "service-down"),
        ("PartialServiceUnreachability", "service-down"),
        ("HighErrorRate", "high-error-rate"),
        ("Checkout5xx", "high-error-rate"),
        ("HighLatency", "high-latency"),
        ("ShopSlow", "high-latency"),
        ("PortalLatency", "high-latency"),
        ("PortalAvailability", "service-down"),
        ("ServiceQualityDegradation", "high-latency"),
        ("ServiceLatencyIncreasedSignificantly", "high-latency"),
        ("FrontendSLOBurn", "slo-burn"),
        ("CheckoutErrorBudgetBurn", "slo-burn"),
        ("ServiceAbnormalRestart", "pod-restarts"),
        ("DiskSpaceLow", "filesystem-space"),
        ("RootFsFull", "filesystem-space"),
        ("OOMKilled", "pod-oom-killed"),
        ("CertificateExpiring", "certificate-expiring"),
        ("WildcardCertWillExpire", "certificate-expiring"),
        ("QueueBacklog", "queue-backlog"),
        ("EmailQueueTooLong", "queue-backlog"),
        ("DatabaseDown", "database-down"),
        ("OrdersDbDown", "database-down"),
        ("ReplicationLag", "replication-lag"),
        ("JobFailed", "job-failed"),
        ("NightlyImportFailed", "job-failed"),
        ("BackupFailed", "backup-failed"),
        ("PostgresBackupTooOld", "backup-failed"),
        ("BlackboxProbeFailed", "probe-failed"),
        ("TargetDown", "target-down"),
        ("NodeExporterScrapeFailed", "target-down"),
        ("ImagePullBackOff", "image-pull"),
        ("HighRestartCount", "pod-restarts"),
        ("NodeDown", "node-down"),
        ("InstanceDown", "node-down"),
        ("KafkaConsumerGroupLagging", "kafka-consumer-lag"),
        ("OrdersConsumerLag", "kafka-consumer-lag"),
        ("KafkaBrokerGone", "kafka"),
        ("RedisMemoryNearMax", "redis-memory"),
        ("PostgresConnectionsHigh", "database-connections"),
        ("DBConnectionsExhausted", "database-connections"),
        ("MySQLSlowQueries", "database-slow"),
        ("MetricAnomaly", "anomaly"),
        ("LogAnomaly", "anomaly"),
        ("TraceAnomaly", "anomaly"),
        ("EtcdHighLatency", "etcd-requests"),
        ("etcdDiskSlow", "etcd-slow-disk"),
        ("HighPacketLoss", "network-trouble"),
        ("FluxKustomizationFailed", "gitops-reconcile"),
        ("HPAAtMax", "hpa-maxed"),
        ("DeadMansSwitch", "watchdog"),
        ("DeadMansSwitchMissing", "traffic-drop"),
        ("OllamaNotResponding", "model-server"),
        ("KubePersistentVolumeUsageCritical", "volume-filling-up"),
        ("DNSLookupErrors", "dns"),
        ("JvmHeapAlmostFull", "jvm"),
        ("TooManyLoginFailures", "auth-failures"),
        ("LoadBalancer502", "ingress"),
        ("IngressCertificateExpired", "certificate-expiring"),
        ("PodStuckPending", "pod-pending"),
        ("SlowDisk", "disk-io"),
        ("RedisTooManyMasters", "redis"),
        ("PostgresqlUnusedReplicationSlot", "database-disk"),
        ("MysqlSlaveIoThreadNotRunning", "replication-lag"),
        ("ContainerAbsent", "service-down"),
        ("ContainerLowCpuUtilization", "low-utilization"),
        ("LonghornBackupFailed", "backup-failed"),
        ("InternetConnectionLost", "network-trouble"),
        ("NginxConfigReloadFailed", "ingress"),
        ("VectorConfigInvalid", "config-load-failed"),
        ("UserSignupsDropped", "traffic-drop"),
        ("CheckoutPaymentFailures", "high-error-rate"),
        ("HostEdacUncorrectableErrors", "hardware-errors"),
        ("EdgeCase", GENERIC),
        ("unnamed", GENERIC),
        ("", GENERIC),
    ],
)
def test_names_that_people_invent_find_their_playbook(alert_name: str, slug: str) -> None:
    assert playbook_for(alert_name, PLAYBOOKS).name == slug


@pytest.mark.parametrize(
    "alert_name",
    [
        "InfluxPointsWritten",
        "CargoShipmentCount",
        "LoginAttemptCount",
        "ImportantThing",
        "FeedbackScore",
        "UpgradeWindow",
        "DropOff",
        "GroupsCount",
    ],
)
def test_a_word_inside_another_word_is_no_match(alert_name: str) -> None:
    assert playbook_for(alert_name, PLAYBOOKS).name not in {
        "gitops-reconcile", "temperature", "job-failed", "database-down", "database-disk", "database-slow", "admission-webhook",
    }  # fmt: skip


# What is left for an alert


def check_filled(filled: Playbook) -> None:
    assert filled.meaning
    assert filled.impact
    assert len(filled.causes) >= 3
    assert 3 <= len(filled.steps) <= 5
    assert {"Immediate", "Investigation", "Prevention"} <= {step.horizon for step in filled.steps}
    assert filled.queries
    for text in (*texts_of(filled), *(query.text for query in filled.queries), *(step.command for step in filled.steps)):
        assert not re.search(r"\$\{?[A-Za-z]", text), text


@EACH
def test_three_steps_are_left_for_an_alert_with_nothing_but_a_name(playbook: Playbook) -> None:
    labels = {"alertname": (*playbook.alerts, "SomethingOdd")[0]}
    check_filled(fill(playbook, values_of(subject_of(labels), labels)))


def test_three_steps_are_left_for_an_alert_without_any_label() -> None:
    check_filled(fill(PLAYBOOKS[-1], values_of(subject_of({}), {})))


_EXPORTER = {
    "container": "kube-state-metrics-main", "endpoint": "https-main", "instance": "10.244.1.17:8443", "job": "kube-state-metrics",
    "pod": "kube-state-metrics-6c5d9b7f8-x2z4q", "service": "kube-state-metrics",
}  # fmt: skip
_OBJECTS = ("deployment", "statefulset", "daemonset", "job_name", "horizontalpodautoscaler", "poddisruptionbudget")


def labels_like(rule: dict[str, object]) -> dict[str, str]:
    """The labels that a rule of the catalogue really arrives with, the exporter's own among them."""
    expression, scope = str(rule["expr"]), str(rule["scope"])
    labels = {"alertname": str(rule["alertname"]), "severity": str(rule["severity"]), "cluster": "prod", "prometheus": "monitoring/k8s"}
    job = re.search(r'job="([^"]+)"', expression)
    if job:
        labels["job"] = job[1]
    if "kube-state-metrics" in expression and scope in ("workload", "pod", "node", "namespace", "pvc"):
        labels |= {**_EXPORTER, "namespace": "shop"}
    if scope == "workload":
        named = next((name for name in _OBJECTS if f"kube_{name.replace('_name', '')}_" in expression), "deployment")
        labels[named] = "cart"
    elif scope == "pod":
        labels |= {"namespace": "shop", "pod": "cart-7f9c6d5b8c-k2x9p", "container": "cart", "uid": "u-1", "reason": "CrashLoopBackOff"}
    elif scope == "pvc":
        labels |= {"namespace": "shop", "persistentvolumeclaim": "data-db-0", "node": "worker-1"}
    elif scope == "namespace":
        labels |= {"namespace": "shop", "resourcequota": "team", "resource": "requests.cpu"}
    elif scope == "service":
        labels |= {"namespace": "shop", "service": "cart", "job": "shop-cart"}
    elif scope == "node" and "node-exporter" in expression:
        labels |= {"instance": "10.0.0.1:9100", "container": "node-exporter", "pod": "node-exporter-8jk2l", "namespace": "monitoring",
                   "service": "node-exporter", "device": "eth0"}  # fmt: skip
    elif scope == "node":
        labels |= {"node": "worker-2", "namespace": "monitoring"}
    elif scope == "component":
        labels |= {"namespace": "monitoring", "pod": "prometheus-k8s-0", "container": "prometheus", "instance": "10.244.1.9:9090"}
    return labels


def test_three_steps_are_left_for_every_standard_rule_and_none_names_the_exporter() -> None:
    for rule in catalogue():
        labels = labels_like(rule)
        subject = subject_of(labels)
        filled = fill(playbook_for(labels["alertname"], PLAYBOOKS), values_of(subject, labels))
        check_filled(filled)
        if filled.name not in ("watchdog", "info-inhibitor", "kube-state-metrics", "kube-state-metrics-sharding"):
            shown = "\n".join([*(query.text for query in filled.queries), *(step.command for step in filled.steps)])
            assert "kube-state-metrics-" not in shown, labels
            assert "10.244.1.17" not in shown, labels
            assert "node-exporter-8jk2l" not in shown, labels
            if labels.get("namespace") == "shop" and str(rule["scope"]) != "pvc":
                assert "shop" in shown, labels


def test_captured_webhooks_get_commands_about_the_victim() -> None:
    folder = _SHARED / "data" / "payloads"
    if not folder.exists():
        pytest.skip(f"{folder} is not here")
    seen = Counter[str]()
    for path in sorted(folder.glob("*.json")):
        for alert in json.loads(path.read_text())["alerts"][:50]:
            labels = alert["labels"]
            filled = fill(playbook_for(labels.get("alertname", ""), PLAYBOOKS), values_of(subject_of(labels), labels))
            check_filled(filled)
            shown = "\n".join([*(query.text for query in filled.queries), *(step.command for step in filled.steps)])
            assert "kube-state-metrics-6c5d9b7f8" not in shown
            assert "kubelet-6c5d9b7f8" not in shown
            assert "delete ns" not in "\n".join(step.command for step in filled.steps if step.language == "bash")
            seen[filled.name] += 1
    assert seen["deployment-replicas"]
    assert seen["volume-filling-up"]
    assert seen[GENERIC]


def test_the_document_s_high_cpu_alert_is_answered_about_its_pod() -> None:
    labels = {"alertname": "HighCPU", "severity": "warning", "pod": "test-pod"}
    filled = fill(playbook_for("HighCPU", PLAYBOOKS), values_of(subject_of(labels), labels))
    check_filled(filled)
    assert filled.meaning.startswith("According to this alert, Pod test-pod uses nearly all the CPU")
    assert filled.queries[0].text == 'sum by (pod, container) (rate(container_cpu_usage_seconds_total{pod="test-pod",container!=""}[5m]))'
    assert filled.steps[0].command == "kubectl get pods -A --field-selector=metadata.name=test-pod -o wide"


def test_a_machine_s_high_memory_alert_is_answered_about_the_machine() -> None:
    labels = {"alertname": "HighMemoryUsage", "severity": "warning", "instance": "10.0.0.7:9100", "job": "node-exporter"}
    filled = fill(playbook_for("HighMemoryUsage", PLAYBOOKS), values_of(subject_of(labels), labels))
    assert 'node_memory_MemAvailable_bytes{instance="10.0.0.7:9100"}' in filled.queries[0].text
    assert filled.steps[0].command == "free -m"


def test_more_than_five_steps_lose_the_later_ones_of_a_horizon_that_comes_twice() -> None:
    playbook = BY_NAME["pod-crash-looping"]
    steps = tuple(
        PlaybookStep(horizon=horizon, text=f"{number}") for number, horizon in enumerate(("Immediate", *HORIZONS[:3], "Investigation", *HORIZONS[3:]))
    )
    filled = fill(replace(playbook, steps=steps), {"subject": "x", "alertname": "y"})
    assert [step.text for step in filled.steps] == ["0", "2", "3", "5", "6"]


# What placeholders mean


def test_a_deployment_alert_takes_nothing_from_the_exporter() -> None:
    labels = {"alertname": "KubeDeploymentReplicasMismatch", "namespace": "shop", "deployment": "cart", **_EXPORTER}
    values = values_of(subject_of(labels), labels)
    assert values["deployment"] == values["name"] == values["workload"] == "cart"
    assert values["namespace"] == "shop"
    assert values["resource"] == "deployment"
    assert not {"pod", "container", "service", "instance"} & set(values)


def test_a_node_alert_drops_the_exporter_s_namespace_and_keeps_its_own_address() -> None:
    not_ready = {"alertname": "KubeNodeNotReady", "node": "worker-2", "namespace": "monitoring", **_EXPORTER}
    values = values_of(subject_of(not_ready), not_ready)
    assert values["node"] == values["host"] == "worker-2"
    assert not {"namespace", "pod", "instance"} & set(values)
    clock = {"alertname": "NodeClockSkewDetected", "instance": "10.0.0.1:9100", "job": "node-exporter", "namespace": "monitoring",
             "pod": "node-exporter-8jk2l", "container": "node-exporter"}  # fmt: skip
    values = values_of(subject_of(clock), clock)
    assert values["instance"] == "10.0.0.1:9100"
    assert values["host"] == "10.0.0.1"
    assert not {"namespace", "pod", "container", "node", "resource"} & set(values)


def test_a_component_keeps_its_own_pod_and_namespace() -> None:
    labels = {"alertname": "PrometheusBadConfig", "job": "prometheus-k8s", "namespace": "monitoring", "pod": "prometheus-k8s-0",
              "container": "prometheus", "service": "prometheus-k8s", "instance": "10.1.1.1:9090"}  # fmt: skip
    values = values_of(subject_of(labels), labels)
    assert values["pod"] == "prometheus-k8s-0"
    assert values["namespace"] == "monitoring"
    assert values["instance"] == "10.1.1.1:9090"


def test_a_database_behind_an_exporter_is_not_looked_for_in_the_exporter_s_pod() -> None:
    labels = {"alertname": "PostgresqlDown", "job": "postgres-exporter", "namespace": "shop", "pod": "postgres-exporter-7f9c6d5b8c-k2x9p",
              "container": "postgres-exporter", "instance": "10.1.1.1:9187"}  # fmt: skip
    values = values_of(subject_of(labels), labels)
    assert "pod" not in values
    assert "container" not in values
    assert values["instance"] == "10.1.1.1:9187"
    assert values["namespace"] == "shop"


def test_subject_parts_win_over_labels_of_the_same_name() -> None:
    labels = {"name": "other", "subject": "forged", "namespace": "x", "team": "a"}
    values = values_of(Subject(kind="Pod", name="cart-0", namespace="shop"), labels)
    assert values["name"] == values["pod"] == "cart-0"
    assert values["workload"] == "cart"
    assert values["namespace"] == "shop"
    assert values["subject"] == "Pod shop/cart-0"
    assert values["team"] == "a"


def test_an_alert_that_names_nothing_still_has_words_for_its_subject() -> None:
    values = values_of(subject_of({"alertname": "\u200b"}), {"alertname": "\u200b"})
    assert values["alertname"] == "unnamed"
    assert values["subject"] == "what this alert watches"


def test_a_component_is_called_by_its_name_alone() -> None:
    assert values_of(Subject(kind="Component", name="kube-apiserver"), {})["subject"] == "kube-apiserver"
    assert values_of(Subject(kind="Component", name="alertmanager", namespace="monitoring"), {})["subject"] == "monitoring/alertmanager"
    assert values_of(Subject(kind="Cluster", name=""), {})["subject"] == "the cluster"
    assert values_of(Subject(kind="Component", name="\u200b"), {})["subject"] == "what this alert watches"


# Rendering


def test_the_first_line_that_can_be_filled_in_is_the_result() -> None:
    template = "kubectl -n $namespace logs $pod -c $container\nkubectl -n $namespace logs $pod\n"
    assert render(template, "bash", {"namespace": "shop", "pod": "cart-0", "container": "cart"}) == "kubectl -n shop logs cart-0 -c cart"
    assert render(template, "bash", {"namespace": "shop", "pod": "cart-0"}) == "kubectl -n shop logs cart-0"
    assert render(template, "bash", {"namespace": "shop"}) == ""
    assert render("kubectl -n $namespace get pods", "bash", {"namespace": ""}) is None
    assert render("${pod}_x $pod.", "text", {"pod": "cart-0"}) == "cart-0_x cart-0."


def test_text_is_cleaned_and_folded() -> None:
    assert render("about $pod.", "text", {"pod": "a\u202e\x1b[31m\nb"}) == "about a[31m b."
    assert render("about $pod.", "text", {"pod": "\u200b\x07"}) is None
    assert render("about $pod.", "text", {"pod": "$namespace", "namespace": "no"}) == "about $namespace."


def test_promql_values_stay_inside_their_string() -> None:
    assert render('up{pod="$pod"}', "promql", {"pod": '"} or up{a="'}) == r'up{pod="\"} or up{a=\""}'
    assert render('up{pod=~"$pod.*"}', "promql", {"pod": "a.b|c"}) == r'up{pod=~"a\\.b\\|c.*"}'
    assert render('up{pod="$pod"}', "promql", {"pod": "```\n"}) == r'up{pod="\x60\x60\x60\n"}'
    assert render('{pod="$pod"} |~ "$word"', "logql", {"pod": "x.y", "word": "a.b"}) == r'{pod="x.y"} |~ "a\\.b"'


def test_promql_refuses_what_it_cannot_make_safe() -> None:
    assert render("up{pod=$pod}", "promql", {"pod": "x"}) is None
    assert render('up{pod="$pod"}', "promql", {"pod": "\ud800"}) is None
    assert render('up{pod="$pod"}', "promql", {"pod": "x" * 2000}) is None


@pytest.mark.parametrize("value", ["-rf", ".hidden", "a b", "a;b", "$(id)", "a\n", "a'b", "имя", "a/b", "a=b", "x" * 300, "*", "a&b", "~", "\x00"])
def test_bash_refuses_what_does_not_look_like_a_name(value: str) -> None:
    assert render("kubectl get pod $pod", "bash", {"pod": value}) is None


@pytest.mark.parametrize("value", ["cart-7f9c6d5b8c-k2x9p", "10.0.0.1:9100", "v1beta1.metrics.k8s.io", "my_host", "0"])
def test_bash_takes_names(value: str) -> None:
    assert render("kubectl get pod $pod", "bash", {"pod": value}) == f"kubectl get pod {value}"


def test_an_unknown_language_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="is not a language"):
        render("x", "sql", {})


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.text(
    st.sampled_from("\"\\`\n\r\t{}$=~!.*+?()[]|^-# 'x\u2028\u202e\x00"), max_size=20
)


@settings(max_examples=200, deadline=None)
@given(value=ANY_TEXT)
def test_any_value_becomes_exactly_one_equality_matcher(value: str) -> None:
    rendered = render('sum by (pod) (rate(x_total{namespace="$a",pod="p-$a"}[5m]))', "promql", {"a": value})
    if not value:
        assert rendered is None
        return
    assert rendered is not None
    assert rendered.isprintable()
    assert "`" not in rendered
    selector = parse_promql(rendered).expr.args[0].vector_selector
    found = [(matcher.name, matcher.op, matcher.value) for matcher in selector.matchers.matchers]
    equal = promql_parser.MatchOp.Equal
    assert selector.name == "x_total"
    assert not selector.matchers.or_matchers
    assert found == [("namespace", equal, value), ("pod", equal, f"p-{value}")]


@settings(max_examples=200, deadline=None)
@given(value=ANY_TEXT.filter(bool))
def test_any_value_in_a_regular_expression_matches_itself_and_the_template_s_own_wildcard_works(value: str) -> None:
    rendered = render('x{pod=~"$a-.*"}', "promql", {"a": value})
    assert rendered is not None
    (matcher,) = parse_promql(rendered).matchers.matchers
    assert matcher.op == promql_parser.MatchOp.Re
    assert re.fullmatch(matcher.value, f"{value}-anything")
    assert not re.fullmatch(matcher.value, f"{value}x-")


@settings(max_examples=200, deadline=None)
@given(value=ANY_TEXT)
def test_any_value_in_a_command_is_one_word_or_no_command(value: str) -> None:
    template = "kubectl -n $a get pods --field-selector=metadata.name=$a -o 'jsonpath={.items[0]}'"
    rendered = render(template, "bash", {"a": value})
    if rendered is not None:
        selector = f"--field-selector=metadata.name={value}"
        assert shlex.split(rendered) == ["kubectl", "-n", value, "get", "pods", selector, "-o", "jsonpath={.items[0]}"]
        assert not value.startswith("-")
        assert value.isascii()


@settings(max_examples=100, deadline=None)
@given(value=st.from_regex(r"[a-z0-9_][a-z0-9_.:-]{0,40}", fullmatch=True), data=st.data())
def test_every_packaged_command_keeps_its_shape_with_any_name(value: str, data: st.DataObject) -> None:
    line = data.draw(st.sampled_from([line for playbook in PLAYBOOKS for line in code_of(playbook, "bash")]))
    placeholder = re.compile(r"\$\{?([A-Za-z_]+)\}?")
    values = dict.fromkeys(placeholder.findall(line), value)
    rendered = render(line, "bash", values)
    assert rendered is not None
    assert shlex.split(rendered) == [placeholder.sub(value, word) for word in shlex.split(line)]


@settings(max_examples=100, deadline=None)
@given(value=ANY_TEXT.filter(bool), data=st.data())
def test_every_packaged_query_keeps_its_matchers_with_any_value(value: str, data: st.DataObject) -> None:
    line = data.draw(st.sampled_from([line for playbook in PLAYBOOKS for line in code_of(playbook, "promql") if "$" in line]))
    names = dict.fromkeys(re.findall(r"\$\{?([a-z_]+)\}?", line), value)
    rendered, plain = render(line, "promql", names), render(line, "promql", dict.fromkeys(names, "x"))
    assert rendered is not None
    assert plain is not None
    assert shape(parse_promql(rendered)) == shape(parse_promql(plain)) != []


def shape(expression: object) -> list[tuple[str | None, tuple[tuple[str, str], ...]]]:
    """Every selector of an expression: its metric, and the names and operators of its matchers."""
    found: list[tuple[str | None, tuple[tuple[str, str], ...]]] = []

    def look(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name, tuple((matcher.name, str(matcher.op)) for matcher in node.matchers.matchers)))
        for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
            child = getattr(node, name, None)
            if child is not None and not isinstance(child, str):
                look(child)
        for child in getattr(node, "args", None) or ():
            look(child)

    look(expression)
    return found


# Own folders

_OWN = """
[[playbook]]
name = "{name}"
title = "Ours"
alerts = [{alerts}]
meaning = "Ours means $subject."
impact = "Ours."
causes = [{{ cause = "A", check = "B" }}]
steps = [{{ horizon = "Immediate", text = "Do $pod", command = ["kubectl get pod $pod", ""] }}]
"""


def own(folder: Path, text: str, file: str = "own.toml") -> Path:
    (folder / file).write_text(text, encoding="utf-8")
    return folder


def test_an_own_playbook_wins_by_alert_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    playbooks = load_playbooks(own(tmp_path, _OWN.format(name="ours", alerts='"KubePodCrashLooping", "Brandnew"')))
    assert playbook_for("KubePodCrashLooping", playbooks).name == "ours"
    assert playbook_for("Brandnew", playbooks).name == "ours"
    assert playbook_for("PodCrashLooping", playbooks).name == "pod-crash-looping"
    assert len(playbooks) == len(PLAYBOOKS) + 1
    assert playbooks[-1].name == GENERIC


def test_an_own_playbook_wins_by_name(tmp_path: Path) -> None:
    playbooks = load_playbooks(own(tmp_path, _OWN.format(name="high-cpu", alerts='"HighCPU"')))
    assert playbook_for("HighCPU", playbooks).title == "Ours"
    assert len(playbooks) == len(PLAYBOOKS)


def test_an_own_generic_playbook_replaces_ours_and_stays_last(tmp_path: Path) -> None:
    playbooks = load_playbooks(own(tmp_path, _OWN.format(name="generic", alerts="")))
    assert playbook_for("Nobody knows", playbooks).title == "Ours"
    assert playbooks[-1].name == GENERIC


def test_an_empty_folder_changes_nothing(tmp_path: Path) -> None:
    assert load_playbooks(tmp_path) == PLAYBOOKS


GOOD = _OWN.format(name="ours", alerts='"Ours"')
COMMAND = '["kubectl get pod $pod", ""]'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[playbook]", "is not TOML"),
        ("", "playbook: is missing"),
        ("playbook = 3", "playbook: must be a list of tables"),
        ("other = 3", "other: is not a field here"),
        ("[[playbook]]\ntitle = 'x'", "name: is missing"),
        (GOOD.replace('"ours"', '"Ours!"'), 'playbook "Ours!": name: is not a slug'),
        (GOOD.replace('title = "Ours"', ""), 'playbook "ours": title: is missing'),
        (GOOD.replace('title = "Ours"', "title = 3"), "title: must be a text of one line"),
        (GOOD.replace("impact =", "impakt ="), "impakt: is not a field here; known are name,"),
        (GOOD.replace('alerts = ["Ours"]', ""), "alerts: is missing, and so is patterns"),
        (GOOD.replace('alerts = ["Ours"]', "alerts = [3]"), "alerts: must be a list of texts"),
        (GOOD.replace('alerts = ["Ours"]', "patterns = ['(']"), 'patterns: "(" is not a regular expression'),
        (GOOD.replace('"Immediate"', '"Soon"'), "steps 1: horizon: must be one of Immediate, Short-term"),
        (GOOD.replace("steps =", "steps = []\nold ="), "old: is not a field here"),
        (GOOD.replace("causes = [", "causes = []\n#"), "causes: is missing"),
        (GOOD.replace('check = "B"', 'chek = "B"'), "causes 1: chek: is not a field here"),
        (GOOD.replace('check = "B"', 'check = "$pod"'), "causes 1: check: would be missing for some alerts"),
        (GOOD.replace("Ours means $subject.", "$pod is ill"), "meaning: would be missing for some alerts"),
        (GOOD.replace("Ours means $subject.", "costs $5"), 'meaning: has a "$" that begins no placeholder'),
        (GOOD.replace("kubectl get pod $pod", "a $(b)"), 'command: has a "$" that begins no placeholder'),
        (GOOD.replace("kubectl get pod $pod", "a; b"), "command: is not one plain command"),
        (GOOD.replace("kubectl get pod $pod", "a 'b"), "command: is not one plain command"),
        (GOOD.replace(COMMAND, '["", "ls"]'), "command: must be a text of one line, or a list"),
        (GOOD.replace(COMMAND, '"up{pod=$pod}", language = "promql"'), "command: has a placeholder outside of a string"),
        (GOOD.replace(COMMAND, "\"up{pod='$pod'}\", language = 'promql'"), "command: has a placeholder outside of a string"),
        (GOOD.replace(COMMAND, "\"up{pod='x'}\", language = 'promql'"), "may have no strings but double-quoted ones"),
        (GOOD.replace(COMMAND, '"x", language = "sql"'), "language: must be one of promql, logql, bash"),
        (GOOD + GOOD, 'playbook "ours": name: is already taken'),
        (GOOD + _OWN.format(name="second", alerts='"Ours"'), 'playbook "second": alerts: "Ours" is already listed in'),
    ],
)
def test_a_wrong_file_is_named_with_its_field(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load_playbooks(own(tmp_path, text))
    assert complaint in str(caught.value)
    assert str(caught.value).startswith(f"AGENT_SRE_PLAYBOOKS: {tmp_path}")
    assert str(caught.value).endswith(".")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="is not a folder"):
        load_playbooks(tmp_path / "nowhere")


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadSetting, match=r"own\.toml is not UTF-8"):
        load_playbooks(tmp_path)


# The page


def test_the_page_lists_every_playbook_with_its_alerts() -> None:
    table = _DOCS.read_text(encoding="utf-8").partition("## All playbooks")[2]
    rows = re.findall(r"^\| \[`([a-z0-9-]+)`\]\(playbooks/\1\.md\) \| (.+?) \| (.*?) \|$", table, re.MULTILINE)
    listed = [(slug, title, tuple(re.findall(r"`([^`]+)`", alerts))) for slug, title, alerts in rows]
    assert listed == [(playbook.name, playbook.title, playbook.alerts) for playbook in PLAYBOOKS]


def test_the_example_of_the_page_loads(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", _DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    playbooks = load_playbooks(own(tmp_path, example[1]))
    filled = fill(playbook_for("PaymentQueueTooLong", playbooks), {"subject": "Service pay/worker", "alertname": "PaymentQueueTooLong"})
    check = [step.horizon for step in filled.steps]
    assert check == ["Immediate", "Investigation", "Prevention"]
