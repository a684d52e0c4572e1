"""What is put in: webhook bodies as kube-prometheus makes them (about 860 bytes an alert), and log lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime

HEADERS = {"User-Agent": "Alertmanager/0.25.0", "Content-Type": "application/json"}


def fingerprint(group: int, number: int) -> str:
    """What stands in the body for this alert; 16 hexadecimal digits, like Alertmanager's."""
    return f"{group:08x}{number:08x}"


def body(group: int, *, alerts: int) -> bytes:
    """One group of firing alerts that started just now. Other groups have other alerts, in another namespace."""
    namespace = f"shop-{group:x}"
    common = {"alertname": "KubePodCrashLooping", "cluster": "eu-west-1", "namespace": namespace, "severity": "warning"}
    message = {
        "version": "4",
        "groupKey": f'{{}}/{{severity="warning"}}:{{alertname="KubePodCrashLooping", namespace="{namespace}"}}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "agent-sre",
        "groupLabels": {"alertname": "KubePodCrashLooping", "namespace": namespace},
        "commonLabels": common,
        "commonAnnotations": {"summary": "Pod is crash looping."},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": [_alert(group, number, common) for number in range(alerts)],
    }
    return json.dumps(message, separators=(",", ":")).encode()


def _alert(group: int, number: int, common: dict[str, str]) -> dict[str, object]:
    pod, namespace = f"checkout-{group:x}-{number:x}-7c9d8b6f5d-x2x9k", common["namespace"]
    return {
        "status": "firing",
        "labels": {
            **common,
            "container": "checkout",
            "endpoint": "http",
            "job": "kube-state-metrics",
            "pod": pod,
            "prometheus": "monitoring/k8s",
            "reason": "CrashLoopBackOff",
            "uid": f"{fingerprint(group, number)[:8]}-4b1e-4c53-9d5a-{number:012x}",
        },
        "annotations": {
            "description": f"Pod {namespace}/{pod} (checkout) is in waiting state (reason: CrashLoopBackOff) on cluster eu-west-1.",
            "runbook_url": "https://runbooks.example/runbooks/kubernetes/kubepodcrashlooping",
            "summary": "Pod is crash looping.",
        },
        "startsAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=max_over_time%28kube_pod_container_status"
        "_waiting_reason%5B5m%5D%29+%3E%3D+1&g0.tab=1",
        "fingerprint": fingerprint(group, number),
    }


def log_lines(count: int) -> list[str]:
    """Lines of a web service, an access log, a JSON logger and klog, no two alike."""
    formats = (
        "2026-11-23T06:40:{s:02}.123Z INFO GET /api/v1/users/{n}/{u} status=200 took {f:.2f}ms from 10.0.0.{b}",
        '10.0.0.{b} - - [23/Nov/2026:06:40:{s:02} +0000] "GET /cart/{n} HTTP/1.1" 502 {n} "-" "curl/8.{b}"',
        '{{"ts":"2026-11-23T06:40:{s:02}Z","level":"error","msg":"timeout acquiring connection {n} of pool orders","trace":"{u}"}}',
        "E1123 06:40:{s:02}.123456       1 reflector.go:{b}] failed to list *v1.Pod: Get https://10.0.0.{b}/api: dial tcp: connection refused",
    )
    numbers = range(count)
    return [formats[n % 4].format(n=n, s=n % 60, f=n / 7, b=n % 250, u=f"{n:08x}-4b1e-4c53-9d5a-{n:012x}") for n in numbers]
