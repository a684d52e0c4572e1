"""One alert, as Alertmanager means it: a set of labels that is or was firing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

UNNAMED = "unnamed"
"""The name of an alert without an `alertname`."""

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_MASK = 0xFFFFFFFFFFFFFFFF


class AlertStatus(StrEnum):
    """firing ──> resolved. The same labels firing again are a new alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How bad, on the scale that kube-prometheus uses. Other words are mapped to the nearest one; the word itself is kept in the label."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
    NONE = "none"
    UNKNOWN = "unknown"

    @property
    def priority(self) -> int:
        """0 is most urgent. Unknown counts as warning: nobody said that it could wait."""
        return {"critical": 0, "warning": 1, "unknown": 1, "info": 2, "none": 3}[self.value]


_SEVERITY_WORDS = {
    Severity.CRITICAL: {
        "critical", "crit", "page", "emergency", "emerg", "fatal", "high", "error", "err", "major", "disaster", "alert", "urgent",
        "p0", "p1", "sev0", "sev1",
    },
    Severity.WARNING: {"warning", "warn", "medium", "average", "minor", "ticket", "p2", "p3", "sev2", "sev3"},
    Severity.INFO: {"info", "information", "informational", "low", "notice", "p4", "p5", "sev4", "sev5"},
    Severity.NONE: {"none", "ok", "debug"},
}  # fmt: skip


@lru_cache(maxsize=1024)
def severity_of(text: str) -> Severity:
    """The severity that a label means, in any case: `"page"` is critical, an unheard word unknown."""
    word = text.strip().casefold()
    return next((severity for severity, words in _SEVERITY_WORDS.items() if word in words), Severity.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert of a webhook message.

    `starts_at` is the end of the rule's `for`, not the onset; None where the sender did not say. `ends_at` is None while it fires.
    Labels and annotations are texts, exactly as sent but for NUL characters, and untrusted.
    """

    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime | None
    ends_at: datetime | None
    generator_url: str

    @property
    def name(self) -> str:
        return self.labels.get("alertname") or UNNAMED

    @property
    def severity(self) -> Severity:
        return severity_of(self.severity_text)

    @property
    def severity_text(self) -> str:
        """The label's own word, `unknown` where there is none."""
        return self.labels.get("severity") or Severity.UNKNOWN.value

    @property
    def thread_id(self) -> str:
        """The conversation that belongs to this alert, over all its firings."""
        return thread_id_of(self.fingerprint)


def thread_id_of(fingerprint: str) -> str:
    """`alert-<fingerprint>`."""
    return f"alert-{fingerprint}"


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """Alertmanager's own fingerprint: 64-bit FNV-1a over the sorted labels, each `name 0xff value 0xff`, as 16 hex digits.

    Source: https://github.com/prometheus/common/blob/main/model/signature.go (LabelSet.Fingerprint)
    """
    value = _FNV_OFFSET
    for name in sorted(labels):
        for byte in name.encode(errors="surrogatepass") + b"\xff" + labels[name].encode(errors="surrogatepass") + b"\xff":
            value = ((value ^ byte) * _FNV_PRIME) & _MASK
    return f"{value:016x}"
