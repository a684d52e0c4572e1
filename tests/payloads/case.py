"""Webhook bodies of our own, each with what it must become.

    alertmanager.py   what Alertmanager 0.25 to 0.34 sends, its rare corners included
    senders.py        what others send in the same form: Grafana, Mimir, vmalert, Loki, Thanos
    by_hand.py        what people send with curl and scripts, as odd as JSON allows

`tests/e2e/test_bodies.py` posts them to a running service. All of them are told apart by their namespace (`bakery-07`) or cluster, so that no
body has anything to do with another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakes.ollama import go_json

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time: `endsAt` of what still fires."""

STARTED = "2025-03-04T05:06:07.123Z"
ENDED = "2025-03-04T05:36:07.123Z"
PROMETHEUS = "http://prometheus.bakery.example:9090/graph?g0.expr=oven_temperature_celsius+%3E+280&g0.tab=1"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One alert as it must come out. `fingerprint` is that of the labels where none is given; an empty `subject` means no incident."""

    labels: Mapping[str, str]
    subject: str
    name: str = ""  # the label's, where it is not given
    severity: str = ""
    status: str = "firing"
    annotations: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    starts_at: str = ""  # as the API writes it; not looked at where empty

    def __post_init__(self) -> None:
        for name, value in (
            ("name", self.labels.get("alertname", "unnamed")),
            ("severity", self.labels.get("severity", "unknown")),
            ("fingerprint", fingerprint(self.labels)),
        ):
            if not getattr(self, name):
                object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A body and its alerts, in the order of the body. `incident` is the subject of the one that they open together, as a group."""

    title: str
    body: bytes
    alerts: Sequence[Expected]
    incident: str = ""  # where it is not given, each opens its own
    group_key: str = ""


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's fingerprint, written a second time so that the product is not judged by itself: FNV-1a, 64 bits."""
    text = b"".join(part.encode() + b"\xff" for name in sorted(labels) for part in (name, labels[name]))
    hashed = 14695981039346656037
    for byte in text:
        hashed = (hashed ^ byte) * 1099511628211 % 2**64
    return format(hashed, "016x")


def alert(
    labels: Mapping[str, str],
    *,
    annotations: Mapping[str, str] | None = None,
    status: str = "firing",
    starts_at: str = STARTED,
    ends_at: str = "",
    url: str = PROMETHEUS,
) -> dict[str, Any]:
    """One entry of `alerts`, in Alertmanager's order."""
    return {
        "status": status,
        "labels": dict(labels),
        "annotations": dict(annotations or {}),
        "startsAt": starts_at,
        "endsAt": ends_at or (NEVER if status == "firing" else ENDED),
        "generatorURL": url,
        "fingerprint": fingerprint(labels),
    }


def body(
    *alerts: dict[str, Any],
    by: Sequence[str] = ("namespace",),
    receiver: str = "ai-agent-webhook",
    route: str = '{severity=~"warning|critical"}',
    group_key: str = "",
    status: str = "",
    external_url: str = "http://alertmanager.bakery.example:9093",
    truncated: int = 0,
    reason: str = "",
    newer: Mapping[str, Any] | None = None,
) -> bytes:
    """A whole body as Alertmanager writes it: compact, `<>&` escaped, a newline at the end. `newer` are fields of later versions."""
    group = {name: alerts[0]["labels"][name] for name in by if name in alerts[0]["labels"]}
    document = {
        "receiver": receiver,
        "status": status or ("firing" if any(entry["status"] == "firing" for entry in alerts) else "resolved"),
        "alerts": list(alerts),
        **({"notification_reason": reason} if reason else {}),
        "groupLabels": group,
        "commonLabels": _common(alerts, "labels"),
        "commonAnnotations": _common(alerts, "annotations"),
        "externalURL": external_url,
        "version": "4",
        "groupKey": group_key or key_of(group, route),
        "truncatedAlerts": truncated,
        **(newer or {}),
    }
    return go_json(document) + b"\n"


def key_of(group: Mapping[str, str], route: str = '{severity=~"warning|critical"}') -> str:
    """The groupKey of a group below the first route."""
    labels = ", ".join(f'{name}="{value}"' for name, value in group.items())
    return f"{{}}/{route}:{{{labels}}}"


def _common(alerts: Sequence[dict[str, Any]], name: str) -> dict[str, str]:
    first = alerts[0][name] if alerts else {}
    return {key: value for key, value in first.items() if all(entry[name].get(key) == value for entry in alerts)}
