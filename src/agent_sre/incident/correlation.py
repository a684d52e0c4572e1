"""Which alerts belong together. Pure: the ingester brings the candidates, this module decides and says why.

Three reasons, in the order they are looked at:

1. the same subject as an open incident: the pod, its Deployment and its containers are one patient;
2. the same Alertmanager group, close in time: the operator's own `group_by` says so;
3. the same alert fires again soon after its incident was resolved: flapping, not a new problem (the ingester looks at this one).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent_sre.kit.durations import readable

_BROAD_KINDS = frozenset({"Cluster", "Namespace", "Alert"})
"""Subjects that too many unrelated problems share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationSettings:
    """How close is close."""

    group_window: timedelta = timedelta(minutes=10)
    """Alerts of one Alertmanager group join an incident whose alerts are at most this far away.
    10 min: two of Alertmanager's default group_interval."""

    subject_window: timedelta = timedelta(hours=1)
    """Alerts about one subject join its open incident at most this far away. 1 h: longer than any common `for`, shorter than a shift."""

    refire_window: timedelta = timedelta(minutes=10)
    """An alert that fires again this soon after its incident was resolved reopens it."""

    stale_window: timedelta = timedelta(minutes=2)
    """A firing with the very `startsAt` of a just resolved alert is a late copy (HA twin, retry) for this long after the resolve. Short,
    because a sender with a fixed `startsAt` may mean it: better a needless incident than a lost alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A firing alert that is not known to be open."""

    name: str
    subject_kind: str
    subject_key: str
    group_key: str
    starts_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An open incident, as far as correlation needs it."""

    id: int
    name: str  # of the alert that opened it
    subject_key: str
    group_key: str
    triggered_at: datetime
    last_alert_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Where a newcomer belongs, and why, in words that the reader sees."""

    incident_id: int
    reason: str


def correlate(newcomer: Newcomer, candidates: Iterable[Candidate], settings: CorrelationSettings) -> Match | None:
    """The open incident that the newcomer belongs to, the newest where several fit. None means that it opens its own."""
    open_incidents = sorted(candidates, key=lambda candidate: candidate.id, reverse=True)
    for candidate in open_incidents:
        if _shares_subject(newcomer, candidate) and (newcomer.name == candidate.name or _distance(newcomer, candidate) <= settings.subject_window):
            return Match(incident_id=candidate.id, reason="same subject as the incident")
    for candidate in open_incidents:
        if newcomer.group_key and newcomer.group_key == candidate.group_key and _distance(newcomer, candidate) <= settings.group_window:
            return Match(
                incident_id=candidate.id,
                reason=f"same Alertmanager group, within {readable(settings.group_window)} of the incident's other alerts",
            )
    return None


def _shares_subject(newcomer: Newcomer, candidate: Candidate) -> bool:
    return newcomer.subject_kind not in _BROAD_KINDS and newcomer.subject_key == candidate.subject_key


def _distance(newcomer: Newcomer, candidate: Candidate) -> timedelta:
    if newcomer.starts_at < candidate.triggered_at:
        return candidate.triggered_at - newcomer.starts_at
    return max(timedelta(0), newcomer.starts_at - candidate.last_alert_at)
