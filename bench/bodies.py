"""Webhook bodies of the size and shape that kube-prometheus makes: about 860 bytes an alert."""

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
