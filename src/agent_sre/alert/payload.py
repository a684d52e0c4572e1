"""Reads the wire: the JSON body that Alertmanager posts, version "4", and what people send by hand. camelCase stops here.

    bytes ──decode──> document (plain JSON) ──parse──> WebhookMessage: alerts, and a fault for every entry that is none
                          └──firing_count, alert_count: cheap looks for the hot path

`decode` is strict, because what it refuses cannot come from Alertmanager. `parse` is tolerant, because one exception for one odd alert
would make Alertmanager send the whole group again for ever.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from agent_sre.alert.alert import Alert, AlertStatus, fingerprint_of
from agent_sre.kit.errors import BadInput
from agent_sre.kit.redact import redact, redact_named
from agent_sre.kit.text import cut
from agent_sre.kit.times import parse_instant

DEEPEST = 32
"""Arrays and objects inside each other. Alertmanager's own bodies have 4; deeper ones only serve to break whoever walks them."""

MOST_VALUES = 1_000_000
"""Values in one body. 10,000 alerts have about 300,000; five million empty lists, in 16 MiB, would take half a gigabyte to hold."""

LABEL_LIMIT = 1024
"""Characters of a stored label name or value."""

ANNOTATION_LIMIT = 4096
"""Characters of a stored annotation."""

URL_LIMIT = 16_384
"""Characters of a stored generatorURL. Half a URL leads nowhere, so a longer one is not kept at all."""

_FIELDS = frozenset({
    "alerts", "commonAnnotations", "commonLabels", "externalURL", "groupKey", "groupLabels", "notification_reason", "receiver",
    "routeLabels", "status", "truncatedAlerts", "version",
})  # fmt: skip
_BOM = b"\xef\xbb\xbf"
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")  # gzip and zstd; no JSON begins so
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)  # an open one reaches to the end: no second try, linear time
_FINGERPRINT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFault:
    """An entry of `alerts` that is not an alert. Its neighbours are not touched by it."""

    position: int  # in `alerts`, from 0
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookMessage:
    """One body, read. It is the whole current group, not a delta. Texts are untrusted, empty where the sender gave none.

    There is no status for the message: with `max_alerts` Alertmanager computes it from what was left after the cut, so it may say
    "resolved" while most of the group fires.
    """

    alerts: tuple[Alert, ...]
    faults: tuple[AlertFault, ...]
    group_key: str
    group_labels: Mapping[str, str]
    common_labels: Mapping[str, str]
    common_annotations: Mapping[str, str]
    receiver: str
    external_url: str
    notification_reason: str
    truncated_alerts: int  # how many `max_alerts` cut off


def decode(body: bytes) -> dict[str, Any]:
    """The body of a webhook as plain JSON.

    A body without `alerts` is an empty list if all its fields are Alertmanager's own.

    Raises BadInput with one sentence that repeats nothing of the body: what `decode_object` refuses, `alerts` that is no list, or somebody
    else's JSON.
    """
    document = decode_object(body)
    _entries(document)
    return document


def decode_object(body: bytes) -> dict[str, Any]:
    """Any body as a JSON object. A UTF-8 byte order mark in front is tolerated; the content type is nobody's business.

    Raises BadInput with one sentence that repeats nothing of the body: not JSON (NaN, lone surrogates and broken UTF-8 included), not an
    object, nested deeper than `DEEPEST`, or more than `MOST_VALUES`.
    """
    if not body.strip():
        raise BadInput("The body is empty.")
    if body.startswith(_COMPRESSED):
        # Told apart by its bytes, as the content type is: "not valid UTF-8" would send the reader looking for a wrong letter.
        raise BadInput("The body is compressed; send it as plain JSON, without Content-Encoding.")
    if _is_crowded(body):
        raise BadInput(f"The body holds more than {MOST_VALUES:,} values.")
    try:
        document = orjson.loads(body.removeprefix(_BOM))
    except orjson.JSONDecodeError as error:
        if "UTF-8" in error.msg:
            raise BadInput("The body is not valid UTF-8.") from error
        # orjson's words are a fixed vocabulary ("trailing comma is not allowed"): they never quote the body.
        raise BadInput(f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from error
    if not isinstance(document, dict):
        raise BadInput(f"The body is {_kind_of(document)}, not a JSON object.")
    if _is_deeper_than(document, DEEPEST):
        raise BadInput(f"The body is nested deeper than {DEEPEST} levels.")
    return document


def alert_count(document: Mapping[str, Any]) -> int:
    """How many entries `alerts` has, odd ones included."""
    return len(_entries(document))


def firing_count(document: Mapping[str, Any], now: datetime | None = None) -> int:
    """How many alerts fire, by their own status and never by the message's. Makes no objects: 0.1 ms for 1,000 alerts.

    `now` decides about alerts without a status, as in `parse`; without it they count as firing.
    """
    return sum(
        isinstance(entry, dict) and (entry.get("status") == "firing" or _status_of(entry, now) is AlertStatus.FIRING) for entry in _entries(document)
    )


def parse(document: Mapping[str, Any], now: datetime) -> WebhookMessage:
    """What the document says. An entry that is not an object becomes a fault; everything else becomes an alert, however odd.

    `now` decides about alerts without a status that can be read: resolved if their `endsAt` lies in the past, else firing.
    Raises BadInput only for what `decode` would have refused.
    """
    alerts: list[Alert] = []
    faults: list[AlertFault] = []
    for position, entry in enumerate(_entries(document)):
        if isinstance(entry, dict):
            alerts.append(_alert(entry, now))
        else:
            faults.append(AlertFault(position=position, reason=f"{_kind_of(entry)}, not an object"))
    truncated = document.get("truncatedAlerts")
    return WebhookMessage(
        alerts=tuple(alerts),
        faults=tuple(faults),
        group_key=_text(document.get("groupKey")),
        group_labels=_labels(document.get("groupLabels")),
        common_labels=_labels(document.get("commonLabels")),
        common_annotations=_annotations(document.get("commonAnnotations")),
        receiver=_text(document.get("receiver")),
        external_url=_text(document.get("externalURL")),
        notification_reason=_text(document.get("notification_reason")),
        truncated_alerts=max(0, truncated) if type(truncated) is int else 0,
    )


def capped(alert: Alert) -> Alert:
    """The alert fit for storing and for all that reads what is stored: secrets are gone from labels, annotations and the generatorURL, long ones are
    cut with a visible `…(+n)`, and a generatorURL beyond reason is left out. Only the body in the inbox stays as it came.

    The fingerprint stays that of the whole labels.
    """
    return replace(
        alert,
        labels={_safe(name, LABEL_LIMIT): _safe(text, LABEL_LIMIT, name) for name, text in alert.labels.items()},
        annotations={_safe(name, LABEL_LIMIT): _safe(text, ANNOTATION_LIMIT, name) for name, text in alert.annotations.items()},
        generator_url=redact(alert.generator_url) if len(alert.generator_url) <= URL_LIMIT else "",
    )


def _safe(text: str, limit: int, name: str = "") -> str:
    # redacted before it is cut: half a secret is none that a rule would know
    return cut(_redacted(name, text) if len(text) <= LABEL_LIMIT else redact_named(name, text), limit)


_redacted = lru_cache(maxsize=8_192)(redact_named)
"""The alerts of one group differ in few of their labels."""


def _entries(document: Mapping[str, Any]) -> list[Any]:
    entries = document.get("alerts")
    if isinstance(entries, list):
        return entries
    if entries is not None:
        raise BadInput(f"`alerts` is {_kind_of(entries)}, not a list.")
    if "alerts" not in document and not document.keys() <= _FIELDS:
        # `payload:` (Alertmanager 0.32) makes any JSON possible, and other systems post here by mistake. What could hold an alert that we
        # do not see must not pass for "no alerts".
        raise BadInput("There are no alerts in the body: it has no `alerts`, and fields that are not Alertmanager's.")
    return []


def _is_crowded(body: bytes) -> bool:
    """Whether the JSON holds too many values, told without parsing it. Texts are taken out only where their punctuation could matter."""
    if _punctuation(body) <= MOST_VALUES:
        return False
    if body.count(b'"') - body.count(rb"\"") > 4 * MOST_VALUES:  # a value has at most two texts, its name and itself
        return True
    return _punctuation(_STRING.sub(b"", body)) > MOST_VALUES


def _punctuation(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _is_deeper_than(document: dict[str, Any], limit: int) -> bool:
    """Level by level, so that no nesting can exhaust the stack."""
    level: list[Any] = [document]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if outer.__class__ is dict else outer)
            if inner.__class__ is dict or inner.__class__ is list
        ]
        if not level:
            return False
    return True


def _alert(entry: dict[str, Any], now: datetime) -> Alert:
    status = _status_of(entry, now)
    sent = _texts(entry.get("labels"), keep_empty=False)
    fingerprint = entry.get("fingerprint")
    fingerprint = fingerprint.strip() if isinstance(fingerprint, str) else ""
    return Alert(
        fingerprint=fingerprint if _FINGERPRINT.fullmatch(fingerprint) else fingerprint_of(sent),
        status=status,
        labels=_without_nul(sent),
        annotations=_annotations(entry.get("annotations")),
        starts_at=parse_instant(entry.get("startsAt")),
        ends_at=parse_instant(entry.get("endsAt")) if status is AlertStatus.RESOLVED else None,
        generator_url=_text(entry.get("generatorURL")),
    )


def _status_of(entry: dict[str, Any], now: datetime | None) -> AlertStatus:
    said = entry.get("status")
    if isinstance(said, str):
        word = said.strip().casefold()
        if word == "firing":
            return AlertStatus.FIRING
        if word == "resolved":
            return AlertStatus.RESOLVED
    ended_at = parse_instant(entry.get("endsAt"))
    return AlertStatus.RESOLVED if now is not None and ended_at is not None and ended_at <= now else AlertStatus.FIRING


def _labels(value: Any) -> dict[str, str]:
    # Alertmanager drops labels without a value too: to it they are the same as no label.
    return _without_nul(_texts(value, keep_empty=False))


def _annotations(value: Any) -> dict[str, str]:
    return _without_nul(_texts(value, keep_empty=True))


def _texts(value: Any, *, keep_empty: bool) -> dict[str, str]:
    """A map of texts out of whatever stands where one should be: text as it is, null dropped, everything else as compact JSON."""
    if not isinstance(value, dict):
        return {}
    return {
        name: text if isinstance(text, str) else orjson.dumps(text, option=orjson.OPT_SORT_KEYS).decode()
        for name, text in value.items()
        if text is not None and (keep_empty or text != "")
    }


def _without_nul(texts: dict[str, str]) -> dict[str, str]:
    """The same texts, NUL replaced by U+FFFD: PostgreSQL cannot store it, and C libraries stop at it."""
    if "\0" not in "".join(texts) and "\0" not in "".join(texts.values()):
        return texts
    return {name.replace("\0", "�"): text.replace("\0", "�") for name, text in texts.items()}


def _text(value: Any) -> str:
    return value.replace("\0", "�") if isinstance(value, str) else ""


def _kind_of(value: Any) -> str:
    """What JSON calls it, for people."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "an object"
