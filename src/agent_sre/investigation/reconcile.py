"""Compares our open alerts with Alertmanager's own list, because notifications are states and not events: a resolve can be lost (a crash in the
wrong moment, a silence, a changed route), and what fired while nobody could be told may never be told.

    we hold open, it does not have   missing ──second look, and long enough──> resolved, "Alertmanager no longer has it"
    it has active, we do not hold    unheard ──second look, and old enough───> taken in

Both go through the inbox as a body of our own making, so that the inbox stays the truth. `compare` decides and is pure; the Reconciler is the
loop around it.

Closing is the dangerous half, so nothing is closed on a doubt: not when Alertmanager is unreachable, answers an error or has just started
(it knows only what was sent since); not when it knows none of our alerts; and of the alerts that it does not have only those that it had
before, or that came from the same Alertmanager and cluster as one that it has. An alert posted by hand, or by another Alertmanager, is
nobody's business here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import orjson
import sqlalchemy as sa
from sqlalchemy import Connection

from agent_sre.alert.alert import AlertStatus, Severity, severity_of
from agent_sre.alert.inbox import Inbox
from agent_sre.alert.payload import decode
from agent_sre.alert.subject import AlertRole, role_of
from agent_sre.evidence.alertmanager.client import AlertmanagerClient, HeldAlert
from agent_sre.investigation.ingest import RECONCILED
from agent_sre.investigation.metrics import RECONCILE_LOOKS, RECONCILED_ALERTS
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import readable
from agent_sre.kit.errors import AgentSREError, BadInput
from agent_sre.kit.text import one_line
from agent_sre.kit.times import format_instant
from agent_sre.store.engine import Store
from agent_sre.store.schema import alert, heartbeat, inbox

log = logging.getLogger(__name__)

MOST_AT_ONCE = 100
"""Alerts that one look closes, and takes in; the rest waits for the next. A mistake of ours, or a storm, must not come as one wave."""

_SENDER = "agent-sre/reconcile"
_BODIES_AT_ONCE = 50
_SEVERE = frozenset({Severity.CRITICAL, Severity.WARNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileSettings:
    """How our open alerts are compared with Alertmanager's list. Off without `ALERTMANAGER_URL`."""

    interval: timedelta = timedelta(minutes=5)
    """How often. 5 min: one of Alertmanager's default group_interval. 0 switches the comparison off."""

    resolve_after: timedelta = timedelta(minutes=5)
    """How long Alertmanager must have been without an alert before ours is closed, and two looks in any case. 5 min: a resolve comes up to
    one group_interval late by itself."""

    grace: timedelta = timedelta(minutes=10)
    """How old an alert that never came must be before it is taken in, and two looks in any case. 10 min: one that joins a group
    waits for a group_interval, and its notification may fail once."""

    settle: timedelta = timedelta(minutes=5)
    """How long after its start Alertmanager's list is not believed. 5 min: it forgets its alerts, and Prometheus sends them again every
    minute."""

    receiver: str = "ai-agent-webhook"
    """Takes in only alerts that Alertmanager routes to a receiver of this name; that of an AlertmanagerConfig object may have its namespace and
    name in front. Default: the name in our configurations, so that what is routed elsewhere on purpose stays there. Empty: every alert of
    severity warning or critical."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAlert:
    """An alert that our store holds open."""

    fingerprint: str
    labels: Mapping[str, str]
    starts_at: datetime
    last_seen_at: datetime
    inbox_id: int = 0
    origin: str = ""  # the externalURL of the Alertmanager whose post opened it; empty where it was not an Alertmanager, or nobody knows

    @property
    def home(self) -> tuple[str, str]:
        """Which list it belongs to. Operators give every cluster's Alertmanager the same externalURL, so the cluster belongs to it."""
        return self.origin, self.labels.get("cluster", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the looks before have left."""

    missing: Mapping[str, datetime] = field(default_factory=dict)  # ours that it did not have at the last look: since when
    unheard: frozenset[str] = frozenset()  # of those that it had at the last look, what never came
    seen: frozenset[str] = frozenset()  # ours that it had at any look


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What one look found."""

    resolve: tuple[tuple[OpenAlert, datetime], ...]  # with the instant since when it is missing
    take_in: tuple[HeldAlert, ...]
    memory: Memory
    foreign: bool  # it knows none of ours, though there are some


def compare(
    ours: Sequence[OpenAlert],
    held: Sequence[HeldAlert],
    *,
    heartbeats: Collection[str] = (),
    memory: Memory,
    now: datetime,
    settings: ReconcileSettings,
) -> Comparison:
    """What to close and what to take in, from two lists and what is remembered. `heartbeats` are fingerprints of ours that are no problems.

    At most MOST_AT_ONCE of each; what is left over comes with the next look.
    """
    there = {item.fingerprint for item in held}
    here = {item.fingerprint for item in ours}
    common = here & there
    seen = (memory.seen & here) | common
    ours_is_known = bool(seen) or not there.isdisjoint(heartbeats)
    homes = {item.home for item in ours if item.fingerprint in common and item.origin}

    missing: dict[str, datetime] = {}
    resolve: list[tuple[OpenAlert, datetime]] = []
    for item in ours:
        if item.fingerprint in there or not ours_is_known or not (item.fingerprint in seen or item.home in homes):
            continue
        since = memory.missing.get(item.fingerprint)
        if since is None or item.last_seen_at > since:  # it came again meanwhile, so somebody has it
            missing[item.fingerprint] = now
        else:
            missing[item.fingerprint] = since
            if now - since >= settings.resolve_after:
                resolve.append((item, since))

    unheard = [item for item in held if item.fingerprint not in here and _concerns_us(item, now, settings)]
    take_in = [item for item in unheard if item.fingerprint in memory.unheard]
    return Comparison(
        resolve=tuple(resolve[:MOST_AT_ONCE]),
        take_in=tuple(take_in[:MOST_AT_ONCE]),
        memory=Memory(missing=missing, unheard=frozenset(item.fingerprint for item in unheard), seen=seen),
        foreign=bool(ours) and not ours_is_known,
    )


def _concerns_us(item: HeldAlert, now: datetime, settings: ReconcileSettings) -> bool:
    return (
        item.state == "active"
        and not item.silenced_by
        and not item.inhibited_by
        and bool(item.fingerprint)
        and item.starts_at is not None
        and now - item.starts_at >= settings.grace
        and severity_of(item.labels.get("severity", "")) in _SEVERE
        and role_of(item.labels) is AlertRole.PROBLEM
        and _is_routed_to(settings.receiver, item.receivers)
    )


def _is_routed_to(receiver: str, receivers: Iterable[str]) -> bool:
    return not receiver or any(name == receiver or name.endswith(f"/{receiver}") for name in receivers)


# Bodies of our own making


def resolved_body(resolve: Sequence[tuple[OpenAlert, datetime]], url: str) -> bytes:
    """The webhook body that closes these alerts. Each ended when it was first missed: later than the truth, by one look at most."""
    return _body(
        [
            {
                "status": "resolved", "labels": dict(item.labels), "annotations": {}, "fingerprint": item.fingerprint,
                "startsAt": format_instant(item.starts_at), "endsAt": format_instant(max(since, item.starts_at)),
            }
            for item, since in resolve
        ],
        url,
    )  # fmt: skip


def firing_body(take_in: Sequence[HeldAlert], url: str) -> bytes:
    """The webhook body that opens these alerts, with all that Alertmanager's list says about them."""
    return _body(
        [
            {
                "status": "firing", "labels": dict(item.labels), "annotations": dict(item.annotations), "fingerprint": item.fingerprint,
                "startsAt": format_instant(item.starts_at) if item.starts_at else None, "generatorURL": item.generator_url,
            }
            for item in take_in
        ],
        url,
    )  # fmt: skip


def _body(alerts: list[dict[str, object]], url: str) -> bytes:
    return orjson.dumps({"version": "4", "receiver": RECONCILED, "groupKey": "", "externalURL": url, "alerts": alerts})


# The loop


class Reconciler:
    """The loop around `compare`. One per process. `received` is told how many alerts it put into the inbox."""

    def __init__(
        self,
        *,
        client: AlertmanagerClient,
        store: Store,
        inbox: Inbox,
        clock: Clock,
        settings: ReconcileSettings,
        received: Callable[[int], None],
    ) -> None:
        self._received = received
        self._client = client
        self._store = store
        self._inbox = inbox
        self._clock = clock
        self._settings = settings
        self._memory = Memory()
        self._origin_by_inbox_id: dict[int, str] = {}
        self._trouble = ""

    async def run(self) -> None:
        """Looks until it is cancelled; returns at once where the interval is 0."""
        while self._settings.interval > timedelta(0):
            await self.look()
            await asyncio.sleep(self._settings.interval.total_seconds())

    async def look(self) -> str:
        """One comparison. Gives its outcome: "agreed", "waits", "acted", "foreign", "restarted" or "failed"."""
        try:
            outcome = await self._look()
        except AgentSREError as error:
            # Two looks in a row, so what was missing before the failure has to be missed anew.
            self._memory = Memory(seen=self._memory.seen)
            self._say("failed", f"Cannot compare with Alertmanager: {error}")
            outcome = "failed"
        RECONCILE_LOOKS.labels(outcome=outcome).inc()
        return outcome

    async def _look(self) -> str:
        status = await self._client.status()
        now = self._clock.now()
        if status.started_at is None or now - status.started_at < self._settings.settle:
            self._memory = Memory(seen=self._memory.seen)
            return "restarted"
        held = await self._client.alerts(suppressed=True)
        ours, heartbeats = await self._store.read(_ours)
        ours = await self._with_origins(ours, {item.fingerprint for item in held})
        found = compare(ours, held, heartbeats=heartbeats, memory=self._memory, now=now, settings=self._settings)
        await self._act(found, now)
        self._memory = found.memory
        if found.foreign:
            self._say("foreign", f"Alertmanager at {self._client.url} knows none of our {len(ours)} open alerts: none is closed by its list")
            return "foreign"
        self._say("", "")
        if found.resolve or found.take_in:
            return "acted"
        return "waits" if found.memory.missing or found.memory.unheard else "agreed"

    async def _act(self, found: Comparison, now: datetime) -> None:
        if found.resolve:
            longest = readable(max(now - since for _, since in found.resolve))
            log.info(
                "Alertmanager no longer has %d open alerts (%s), the longest for %s: closing them",
                len(found.resolve),
                _names(item.labels.get("alertname", "") for item, _ in found.resolve),
                longest,
                extra={"action": "reconciled"},
            )
            await self._accept(resolved_body(found.resolve, self._client.url), len(found.resolve), "resolved")
        if found.take_in:
            log.info(
                "Alertmanager has %d alerts that never came (%s): taking them in",
                len(found.take_in),
                _names(item.name for item in found.take_in),
                extra={"action": "reconciled"},
            )
            await self._accept(firing_body(found.take_in, self._client.url), len(found.take_in), "taken_in")

    async def _accept(self, body: bytes, alerts: int, action: str) -> None:
        await self._inbox.accept(body, sender=_SENDER, alerts=alerts)
        self._received(alerts)
        RECONCILED_ALERTS.labels(action=action).inc(alerts)

    async def _with_origins(self, ours: Sequence[OpenAlert], there: Collection[str]) -> list[OpenAlert]:
        """The same alerts with their origins, as far as they matter: where something is missing, those of both sides."""
        known = self._origin_by_inbox_id
        missing = {item.inbox_id for item in ours if item.fingerprint not in there}
        if missing:
            common = sorted({item.inbox_id for item in ours if item.fingerprint in there}, reverse=True)
            wanted = [*sorted(missing, reverse=True)[:_BODIES_AT_ONCE], *common[:_BODIES_AT_ONCE]]
            for inbox_id in wanted:
                if inbox_id not in known:
                    known[inbox_id] = await self._store.read(partial(_origin, inbox_id=inbox_id))
        current = {item.inbox_id for item in ours}
        self._origin_by_inbox_id = {inbox_id: origin for inbox_id, origin in known.items() if inbox_id in current}
        return [replace(item, origin=known.get(item.inbox_id, "")) for item in ours]

    def _say(self, trouble: str, sentence: str) -> None:
        """Says a trouble once, when it begins."""
        if trouble and trouble != self._trouble:
            log.warning(sentence, extra={"action": "reconcile_waits"})
        self._trouble = trouble


def _names(names: Iterable[str]) -> str:
    known = sorted({one_line(name, 80) for name in names})
    return ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")


def _ours(connection: Connection) -> tuple[list[OpenAlert], frozenset[str]]:
    """Our open alerts, and the fingerprints of the heartbeats."""
    columns = (alert.c.fingerprint, alert.c.labels, alert.c.starts_at, alert.c.last_seen_at, alert.c.inbox_id)
    rows = connection.execute(sa.select(*columns).where(alert.c.status == AlertStatus.FIRING.value).order_by(alert.c.id))
    found = [
        OpenAlert(
            fingerprint=row.fingerprint, labels=row.labels, starts_at=row.starts_at, last_seen_at=row.last_seen_at, inbox_id=row.inbox_id
        )
        for row in rows
    ]  # fmt: skip
    return found, frozenset(connection.execute(sa.select(heartbeat.c.fingerprint)).scalars())


def _origin(connection: Connection, inbox_id: int) -> str:
    """The externalURL of the Alertmanager that posted this body; empty for what people post, and for bodies that are forgotten already."""
    row = connection.execute(sa.select(inbox.c.sender, inbox.c.body).where(inbox.c.id == inbox_id)).one_or_none()
    if row is None or not row.sender.startswith(("Alertmanager/", _SENDER)):
        return ""
    try:
        said = decode(row.body).get("externalURL")
    except BadInput:
        return ""
    return said if isinstance(said, str) else ""
