"""What to watch of which kind of system: the four golden signals as PromQL, and the alerts worth having. Data only.

Queries are playbook templates (evidence/playbook.py): `$job` and `$namespace` where the question names them, otherwise the next alternative.
Metric names are those of the usual exporters and client libraries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One golden signal of one kind of system."""

    name: str  # Latency, Traffic, Errors, Saturation
    query: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemKind:
    """A kind of system that is watched in one way. `alerts` are PromQL conditions with the sentence that goes with them."""

    name: str
    words: re.Pattern[str]
    signals: tuple[Signal, ...]
    alerts: tuple[tuple[str, str], ...]


def _scoped(template: str) -> str:
    """Alternatives of a template: `{*}` stands for the matchers, with a job, with a namespace, or without."""
    with_job, with_namespace = template.replace("{*", '{job="$job"'), template.replace("{*", '{namespace="$namespace"')
    return "\n".join((with_job, with_namespace, template.replace("{*,", "{").replace("{*}", "")))


def _signals(latency: tuple[str, str], traffic: tuple[str, str], errors: tuple[str, str], saturation: tuple[str, str]) -> tuple[Signal, ...]:
    named = zip(("Latency", "Traffic", "Errors", "Saturation"), (latency, traffic, errors, saturation), strict=True)
    return tuple(Signal(name=name, query=_scoped(query), why=why) for name, (query, why) in named)


def _kind(name: str, words: str, signals: tuple[Signal, ...], *alerts: tuple[str, str]) -> SystemKind:
    scoped = tuple((_scoped(query), why) for query, why in alerts)
    return SystemKind(name=name, words=re.compile(words, re.IGNORECASE), signals=signals, alerts=scoped)


KINDS: tuple[SystemKind, ...] = (
    _kind(
        "PostgreSQL",
        r"postgres|\bpg\b|\bpgsql\b|patroni|cloudnative-?pg",
        _signals(
            ("max by (datname) (pg_stat_activity_max_tx_duration{*})", "the longest transaction: what others wait for"),
            ("sum by (datname) (rate(pg_stat_database_xact_commit{*}[5m]))", "commits per second"),
            ("sum by (datname) (rate(pg_stat_database_xact_rollback{*}[5m]))", "rollbacks per second; deadlocks show here too"),
            (
                "sum by (instance) (pg_stat_activity_count{*}) / on (instance) max by (instance) (pg_settings_max_connections{*})",
                "the share of its connections that is in use",
            ),
        ),
        ("pg_up{*} == 0", "the exporter does not reach the database"),
        (
            "sum by (instance) (pg_stat_activity_count{*}) / on (instance) max by (instance) (pg_settings_max_connections{*}) > 0.85",
            "connections run out",
        ),
    ),
    _kind(
        "MySQL",
        r"mysql|mariadb|percona|galera",
        _signals(
            ("rate(mysql_global_status_slow_queries{*}[5m])", "slow queries per second"),
            ("rate(mysql_global_status_questions{*}[5m])", "statements per second"),
            ("rate(mysql_global_status_aborted_connects{*}[5m])", "connections that failed"),
            (
                "mysql_global_status_threads_connected{*} / mysql_global_variables_max_connections{*}",
                "the share of its connections that is in use",
            ),
        ),
        ("mysql_up{*} == 0", "the exporter does not reach the database"),
        ("mysql_slave_status_seconds_behind_master{*} > 60", "the replica lags"),
    ),
    _kind(
        "Redis",
        r"redis|valkey|keydb",
        _signals(
            (
                "rate(redis_commands_duration_seconds_total{*}[5m]) / rate(redis_commands_total{*}[5m])",
                "mean time of a command, by command",
            ),
            ("sum by (instance) (rate(redis_commands_processed_total{*}[5m]))", "commands per second"),
            ("rate(redis_rejected_connections_total{*}[5m])", "clients turned away"),
            ("redis_memory_used_bytes{*} / (redis_memory_max_bytes{*} > 0)", "memory against maxmemory"),
        ),
        ("redis_up{*} == 0", "the exporter does not reach it"),
        ("rate(redis_evicted_keys_total{*}[5m]) > 0", "keys are thrown away before their time"),
    ),
    _kind(
        "Kafka",
        r"kafka|redpanda",
        _signals(
            ("sum by (consumergroup, topic) (kafka_consumergroup_lag{*})", "consumer lag: how late the readers are"),
            ("sum by (topic) (rate(kafka_topic_partition_current_offset{*}[5m]))", "messages per second, by topic"),
            ("sum(kafka_topic_partition_under_replicated_partition{*})", "partitions with missing replicas"),
            ("kafka_brokers{*}", "brokers that are there"),
        ),
        ("sum(kafka_topic_partition_under_replicated_partition{*}) > 0", "one more failure may lose data"),
        ("sum by (consumergroup) (delta(kafka_consumergroup_lag{*}[15m])) > 1000", "a consumer falls behind"),
    ),
    _kind(
        "RabbitMQ",
        r"rabbit|amqp",
        _signals(
            ("sum by (queue) (rabbitmq_queue_messages_ready{*})", "messages that wait"),
            ("sum(rate(rabbitmq_global_messages_received_total{*}[5m]))", "messages per second"),
            ("sum(rate(rabbitmq_global_messages_unroutable_dropped_total{*}[5m]))", "messages dropped as unroutable"),
            ("rabbitmq_process_resident_memory_bytes{*} / rabbitmq_resident_memory_limit_bytes{*}", "memory against the watermark"),
        ),
        ("rabbitmq_alarms_memory_used_watermark{*} == 1", "publishers are blocked"),
        ("sum by (queue) (rabbitmq_queue_consumers{*}) == 0", "a queue without consumers"),
    ),
    _kind(
        "an ingress or reverse proxy",
        r"nginx|ingress|traefik|haproxy|envoy|gateway|load.?balancer|reverse.?proxy",
        _signals(
            (
                "histogram_quantile(0.99, sum by (le, ingress) (rate(nginx_ingress_controller_request_duration_seconds_bucket{*}[5m])))",
                "99th percentile of the time to answer",
            ),
            ("sum by (ingress) (rate(nginx_ingress_controller_requests{*}[5m]))", "requests per second"),
            (
                'sum by (ingress) (rate(nginx_ingress_controller_requests{*,status=~"5.."}[5m]))'
                " / sum by (ingress) (rate(nginx_ingress_controller_requests{*}[5m]))",
                "share of 5xx answers",
            ),
            ("sum(nginx_ingress_controller_nginx_process_connections{*})", "open connections"),
        ),
        (
            'sum by (ingress) (rate(nginx_ingress_controller_requests{*,status=~"5.."}[5m]))'
            " / sum by (ingress) (rate(nginx_ingress_controller_requests{*}[5m])) > 0.05",
            "users get errors",
        ),
        ("nginx_ingress_controller_ssl_expire_time_seconds{*} - time() < 7 * 86400", "a certificate ends within a week"),
    ),
    _kind(
        "a machine",
        r"\bnodes?\b|\bhosts?\b|\bvms?\b|machine|\bserver\b|bare.?metal|\blinux\b",
        _signals(
            ("rate(node_disk_io_time_weighted_seconds_total{*}[5m])", "queue of the disks"),
            ("sum by (instance) (rate(node_network_receive_bytes_total{*}[5m]))", "bytes received per second"),
            ("sum by (instance) (rate(node_network_receive_errs_total{*}[5m]))", "network errors per second"),
            ('1 - avg by (instance) (rate(node_cpu_seconds_total{*,mode="idle"}[5m]))', "share of CPU that is busy"),
        ),
        ('predict_linear(node_filesystem_avail_bytes{*,fstype!~"tmpfs|overlay"}[6h], 86400) < 0', "a disk is full within a day"),
        ("node_memory_MemAvailable_bytes{*} / node_memory_MemTotal_bytes{*} < 0.05", "memory runs out"),
    ),
    _kind(
        "a Kubernetes workload",
        r"kubernetes|\bk8s\b|deployment|statefulset|daemonset|\bpods?\b|namespace|\bcluster\b",
        _signals(
            (
                "sum by (namespace, pod) (rate(container_cpu_cfs_throttled_periods_total{*}[5m]))"
                " / sum by (namespace, pod) (rate(container_cpu_cfs_periods_total{*}[5m]))",
                "share of periods in which it was throttled: late answers come from here",
            ),
            ("sum by (namespace, pod) (rate(container_network_receive_bytes_total{*}[5m]))", "bytes received per second"),
            ("sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total{*}[1h]))", "restarts in the last hour"),
            (
                'sum by (namespace, pod) (container_memory_working_set_bytes{*,container!=""})'
                ' / sum by (namespace, pod) (kube_pod_container_resource_limits{*,resource="memory"})',
                "memory against its limit",
            ),
        ),
        ("kube_deployment_status_replicas_available{*} < kube_deployment_spec_replicas{*}", "fewer copies than wanted"),
        ("increase(kube_pod_container_status_restarts_total{*}[15m]) > 2", "a container crashes again and again"),
    ),
)
"""The first whose words are found; `SERVICE` where none are."""

SERVICE = _kind(
    "a service that answers requests",
    r"(?!)",  # found by nothing: it is what is left
    _signals(
        (
            "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{*}[5m])))",
            "99th percentile of the time to answer",
        ),
        ("sum(rate(http_requests_total{*}[5m]))", "requests per second"),
        (
            'sum(rate(http_requests_total{*,code=~"5.."}[5m])) / sum(rate(http_requests_total{*}[5m]))',
            "share of requests that fail",
        ),
        ("max by (instance) (process_open_fds{*} / process_max_fds{*})", "share of its file descriptors in use; CPU and memory beside it"),
    ),
    (
        'sum(rate(http_requests_total{*,code=~"5.."}[5m])) / sum(rate(http_requests_total{*}[5m])) > 0.02',
        "more than 2 % of requests fail",
    ),
    (
        "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{*}[5m]))) > 1",
        "one request in a hundred takes longer than a second",
    ),
)


def kind_of(text: str) -> SystemKind:
    """The kind of system that a text speaks about."""
    return next((kind for kind in KINDS if kind.words.search(text)), SERVICE)
