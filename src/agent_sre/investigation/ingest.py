"""From bodies to incidents: the ingester empties the inbox.

    for every alert of a body:
      Watchdog            ──> heartbeat
      InfoInhibitor       ──> counted, no more
      firing, open        ──> seen once more (repeat, retry, HA twin)
      firing, late copy   ──> seen once more
      firing, new         ──> correlate ──> its incident, which gets an investigation
      resolved, open      ──> closed; the last one closes the incident and cancels its investigation
      resolved, unknown   ──> counted, no more

One transaction writes all that a body says together with "this body is done", so ingesting it twice (a crash in between) changes nothing.
`ingest` is a plain function of a connection; the Ingester is the loop around it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert

from agent_sre.alert import inbox as inbox_store
from agent_sre.alert.alert import Alert, AlertStatus, Severity
from agent_sre.alert.inbox import Inbox, Letter
from agent_sre.alert.payload import WebhookMessage, capped, decode, parse
from agent_sre.alert.subject import AlertRole, Subject, describe, role_of, subject_key, subject_of
from agent_sre.incident import store as incident_store
from agent_sre.incident.correlation import Candidate, CorrelationSettings, Newcomer, correlate
from agent_sre.incident.store import KnownAlert
from agent_sre.incident.timeline import record
from agent_sre.investigation import store as investigation_store
from agent_sre.investigation.conclude import SETTLED, Ended, RulesReport, cancel_investigations, count_ended
from agent_sre.investigation.metrics import ALERTS_BY_OUTCOME, INGEST_SECONDS
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import readable
from agent_sre.kit.errors import BadInput, StoreUnavailable
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line
from agent_sre.store.engine import Store
from agent_sre.store.schema import bump, heartbeat

log = logging.getLogger(__name__)

RECONCILED = "agent-sre-reconcile"
"""The receiver in bodies of our own making (reconcile.py). They change rows as any other body does, and the timeline says why."""

_BODIES_AT_ONCE = 4
"""Few, because a transaction of many would hold the writer's thread while posts wait for their commit."""

_PATIENCE_SECONDS = 0.5
_BREATH_SECONDS = 0.02
_LARGE_BODY = 128 * 1024
_MAX_ATTEMPTS = 3
_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigate:
    """An investigation that should be queued."""

    investigation_id: int
    severity: Severity


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What ingesting did. The transaction is what counts; this tells the loop whom to wake and what to log."""

    investigate: list[Investigate] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    received: list[Alert] = field(default_factory=list)


def ingest(
    connection: Connection,
    message: WebhookMessage,
    *,
    inbox_id: int,
    received_at: datetime,
    settings: CorrelationSettings,
    rules: RulesReport,
) -> Outcome:
    """Writes what one message says. Call it inside the transaction that also marks the body as ingested."""
    outcome = Outcome(received=list(message.alerts))
    reconciled = message.receiver == RECONCILED
    body = _Body(connection, message.group_key, inbox_id, received_at, settings, rules, outcome, reconciled=reconciled)
    problems = []
    for alert in message.alerts:
        match role_of(alert.labels):
            case AlertRole.HEARTBEAT:
                _note_heartbeat(connection, alert, at=received_at)
                outcome.counts["heartbeat"] += 1
            case AlertRole.IGNORED:
                outcome.counts["ignored"] += 1
            case AlertRole.PROBLEM:
                problems.append(alert)
    outcome.counts["unreadable"] += len(message.faults)
    body.take(problems)
    # What opened nothing is settled here; what opened something is settled by the report that covers it.
    bump(connection, SETTLED, sum(outcome.counts.values()) - outcome.counts["opened"])
    return outcome


class _Body:
    """The work on one body: what is known is read once, for all its alerts."""

    def __init__(
        self,
        connection: Connection,
        group_key: str,
        inbox_id: int,
        received_at: datetime,
        settings: CorrelationSettings,
        rules: RulesReport,
        outcome: Outcome,
        *,
        reconciled: bool,
    ) -> None:
        self._reconciled = reconciled
        self._connection = connection
        self._group_key = redact(group_key)
        self._inbox_id = inbox_id
        self._received_at = received_at
        self._settings = settings
        self._rules = rules
        self._outcome = outcome
        self._joined: dict[int, list[tuple[Alert, str]]] = {}  # by incident, with the reason
        self._opened: set[int] = set()
        self._reopened: set[int] = set()

    def take(self, alerts: list[Alert]) -> None:
        known = incident_store.known_alerts(self._connection, (alert.fingerprint for alert in alerts))
        firing = [alert for alert in alerts if alert.status is AlertStatus.FIRING]
        closing = self._closing([alert for alert in alerts if alert.status is AlertStatus.RESOLVED], known)
        seen: Counter[int] = Counter()
        newcomers: dict[str, Alert] = {}
        for alert in firing:
            before = known.get(alert.fingerprint)
            if alert.fingerprint in newcomers:
                self._outcome.counts["repeated"] += 1
            elif alert.fingerprint in closing and self._begins_after(alert, closing[alert.fingerprint], alerts):
                newcomers[alert.fingerprint] = alert  # this very body closes the firing that we know
            elif before is not None and (before.status is AlertStatus.FIRING or self._is_late_copy(alert, before)):
                seen[before.id] += 1
                self._outcome.counts["repeated"] += 1
                if alert.starts_at is not None and before.status is AlertStatus.FIRING and alert.starts_at < before.starts_at:
                    incident_store.move_start(self._connection, before.id, alert.starts_at)
            else:
                newcomers[alert.fingerprint] = alert
        incident_store.touch_alerts(self._connection, seen, at=self._received_at)
        # Resolves first: a body may close one firing and open the next one of the same incident.
        self._resolve(closing, known)
        self._open(list(newcomers.values()), known)
        self._ask_for_investigations()

    def _is_late_copy(self, alert: Alert, before: KnownAlert) -> bool:
        """Whether a firing is a copy, still on its way, of an alert that has been resolved since."""
        return (
            alert.starts_at is not None
            and alert.starts_at <= before.starts_at
            and self._received_at - before.last_seen_at <= self._settings.stale_window
        )

    def _closing(self, resolved: list[Alert], known: Mapping[str, KnownAlert]) -> dict[str, Alert]:
        """The resolves that end a firing, by fingerprint; the others are counted, and mean nothing more."""
        closing: dict[str, Alert] = {}
        for alert in resolved:
            before = known.get(alert.fingerprint)
            if before is None:
                self._outcome.counts["resolved_unknown"] += 1
            elif before.status is not AlertStatus.FIRING or alert.fingerprint in closing or self._speaks_of_an_earlier_firing(alert, before):
                self._outcome.counts["resolved_again"] += 1
            elif self._reconciled and before.last_seen_at > self._end_of(alert):
                self._outcome.counts["resolved_again"] += 1  # it came again after it was missed
            else:
                closing[alert.fingerprint] = alert
        return closing

    def _speaks_of_an_earlier_firing(self, alert: Alert, before: KnownAlert) -> bool:
        """Whether a resolve came late: it was over before the open firing began, and there was one before that.

        Where the start of the open one is our own guess, or there was none before, it means the open one: clocks differ, people copy examples.
        """
        if before.start_guessed or alert.starts_at is None or alert.ends_at is None or max(alert.starts_at, alert.ends_at) >= before.starts_at:
            return False
        return incident_store.fired_before(self._connection, alert.fingerprint, before.id)

    def _begins_after(self, firing: Alert, resolve: Alert, alerts: list[Alert]) -> bool:
        """Whether a firing is the next one after a resolve in the same body: by its start, or by its place where it has none."""
        if firing.starts_at is not None:
            return firing.starts_at >= self._end_of(resolve)
        return alerts.index(firing) > alerts.index(resolve)

    def _start_of(self, alert: Alert) -> tuple[datetime, bool]:
        """When it started, and whether that is our guess: senders that give only an end get a start in the future from Alertmanager."""
        if alert.starts_at is None or alert.starts_at > self._received_at:
            return self._received_at, True
        return alert.starts_at, False

    def _end_of(self, alert: Alert) -> datetime:
        return alert.ends_at or self._received_at

    def _resolve(self, closing: Mapping[str, Alert], known: Mapping[str, KnownAlert]) -> None:
        touched: set[int] = set()
        for fingerprint, alert in closing.items():
            before, ends_at = known[fingerprint], self._end_of(alert)
            incident_store.resolve_alert(self._connection, before.id, ends_at=ends_at, at=self._received_at)
            self._outcome.counts["resolved"] += 1
            touched.add(before.incident_id)
            lasted = readable(ends_at - before.starts_at)
            why = ": Alertmanager no longer has it" if self._reconciled else ""
            self._note(before.incident_id, "resolved", f"{redact(one_line(alert.name, 120))} resolved after {lasted}{why}", at=ends_at)
        for incident_id in sorted(touched):
            if incident_store.still_firing(self._connection, incident_id) == 0:
                incident_store.resolve_incident(self._connection, incident_id, at=self._received_at)
                self._note(incident_id, "resolved", "Every alert is resolved: the incident is closed")
                self._outcome.ended += cancel_investigations(self._connection, incident_id, at=self._received_at, rules=self._rules)

    def _open(self, arrived: list[Alert], known: Mapping[str, KnownAlert]) -> None:
        alerts = [capped(alert) for alert in arrived]
        subjects = {alert.fingerprint: subject_of(alert.labels) for alert in alerts}
        keys = {fingerprint: subject_key(subject) for fingerprint, subject in subjects.items()}
        candidates = incident_store.candidates(self._connection, group_key=self._group_key, subject_keys=keys.values()) if alerts else []
        by_id = {candidate.id: candidate for candidate in candidates}
        rows: list[dict[str, Any]] = []
        # The most severe one leads, so that an incident of this body is named after it.
        for alert in sorted(alerts, key=lambda alert: alert.severity.priority):
            subject, key = subjects[alert.fingerprint], keys[alert.fingerprint]
            starts_at, guessed = self._start_of(alert)
            incident_id, reason = self._home(alert, subject, key, starts_at, known.get(alert.fingerprint), by_id.values())
            if incident_id in by_id:
                before = by_id[incident_id]
                by_id[incident_id] = Candidate(
                    id=before.id,
                    name=before.name,
                    subject_key=before.subject_key,
                    group_key=before.group_key,
                    triggered_at=before.triggered_at,
                    last_alert_at=max(before.last_alert_at, starts_at),
                )
            else:
                by_id[incident_id] = Candidate(
                    id=incident_id,
                    name=alert.name,
                    subject_key=key,
                    group_key=self._group_key,
                    triggered_at=starts_at,
                    last_alert_at=starts_at,
                )
            self._joined.setdefault(incident_id, []).append((alert, reason))
            self._outcome.counts["opened"] += 1
            rows.append(self._row(alert, incident_id, reason) | {"starts_at": starts_at, "start_guessed": guessed})
        incident_store.add_alerts(self._connection, rows)

    def _home(
        self,
        alert: Alert,
        subject: Subject,
        key: str,
        starts_at: datetime,
        before: KnownAlert | None,
        candidates: Iterable[Candidate],
    ) -> tuple[int, str]:
        """The incident of a new firing, and why it belongs there."""
        newcomer = Newcomer(name=alert.name, subject_kind=subject.kind, subject_key=key, group_key=self._group_key, starts_at=starts_at)
        match = correlate(newcomer, candidates, self._settings)
        if match is not None:
            return match.incident_id, match.reason
        quiet = None if before is None else self._received_at - before.last_seen_at
        if before is not None and quiet is not None and quiet <= self._settings.refire_window:
            if before.incident_id not in self._reopened:
                incident_store.reopen_incident(self._connection, before.incident_id)
                self._reopened.add(before.incident_id)
            return before.incident_id, f"fired again {readable(quiet)} after it was resolved"
        incident_id = incident_store.add_incident(
            self._connection,
            title=_title(alert, subject),
            severity=alert.severity,
            subject=subject,
            subject_key=key,
            group_key=self._group_key,
            triggered_at=starts_at,
        )
        self._opened.add(incident_id)
        return incident_id, "opened the incident"

    def _row(self, alert: Alert, incident_id: int, reason: str) -> dict[str, Any]:
        return {
            "incident_id": incident_id,
            "inbox_id": self._inbox_id,
            "fingerprint": alert.fingerprint,
            "status": AlertStatus.FIRING.value,
            "name": alert.name,
            "severity": alert.severity_text,
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "generator_url": alert.generator_url,
            "last_seen_at": self._received_at,
            "sightings": 1,
            "reason": reason,
        }

    def _ask_for_investigations(self) -> None:
        for incident_id, joined in self._joined.items():
            alerts = [alert for alert, _ in joined]
            worst = min((alert.severity for alert in alerts), key=lambda severity: severity.priority)
            latest = max(self._start_of(alert)[0] for alert in alerts)
            incident_store.grow_incident(self._connection, incident_id, severity=worst, last_alert_at=latest)
            self._tell(incident_id, joined)
            lead = min(alerts, key=lambda alert: alert.severity.priority)
            why = "new incident" if incident_id in self._opened else _names(alerts) + " joined"
            investigation_id = investigation_store.ask_for_investigation(
                self._connection, incident_id, thread_id=lead.thread_id, reason=why, at=self._received_at
            )
            if investigation_id is not None:
                self._outcome.investigate.append(Investigate(investigation_id=investigation_id, severity=worst))

    def _tell(self, incident_id: int, joined: list[tuple[Alert, str]]) -> None:
        by_reason: dict[str, list[Alert]] = {}
        for alert, reason in joined:
            by_reason.setdefault(reason, []).append(alert)
        for reason, alerts in by_reason.items():
            kind = "triggered" if incident_id in self._opened and reason == "opened the incident" else "joined"
            kind = "reopened" if incident_id in self._reopened and kind == "joined" else kind
            found = "; Alertmanager lists it and its notification never came" if self._reconciled else ""
            self._note(incident_id, kind, f"{_names(alerts)}: {reason}{found}")

    def _note(self, incident_id: int, kind: str, text: str, *, at: datetime | None = None) -> None:
        record(self._connection, incident_id, at=at or self._received_at, kind=kind, text=text)


def _names(alerts: list[Alert]) -> str:
    """`HighCPU`, `HighCPU and PodDown`, `HighCPU ×12 and 3 more`."""
    counts = Counter(one_line(alert.name, 80) for alert in alerts)
    words = [name if count == 1 else f"{name} ×{count}" for name, count in counts.most_common(3)]
    rest = len(counts) - len(words)
    return ", ".join(words) + (f" and {rest} more" if rest else "")


def _title(alert: Alert, subject: Subject) -> str:
    return one_line(f"{alert.name}: {describe(subject)}", 200)


def _note_heartbeat(connection: Connection, alert: Alert, *, at: datetime) -> None:
    row = insert(heartbeat).values(fingerprint=alert.fingerprint, name=redact(one_line(alert.name, 120)), status=alert.status.value, last_seen_at=at)
    connection.execute(
        row.on_conflict_do_update(index_elements=["fingerprint"], set_={"status": row.excluded.status, "last_seen_at": row.excluded.last_seen_at})
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A heartbeat alert and when it was last heard."""

    name: str
    status: AlertStatus
    last_seen_at: datetime


def heartbeats(connection: Connection) -> list[Heartbeat]:
    """All heartbeat alerts that were ever heard."""
    return [
        Heartbeat(name=row.name, status=AlertStatus(row.status), last_seen_at=row.last_seen_at) for row in connection.execute(sa.select(heartbeat))
    ]


class Ingester:
    """The loop around `ingest`. One per process."""

    def __init__(
        self,
        *,
        store: Store,
        inbox: Inbox,
        clock: Clock,
        settings: CorrelationSettings,
        rules: RulesReport,
        on_investigate: Callable[[list[Investigate]], Awaitable[None]],
        on_cancelled: Callable[[list[int]], Awaitable[None]],
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._clock = clock
        self._settings = settings
        self._rules = rules
        self._on_investigate = on_investigate
        self._on_cancelled = on_cancelled

    async def run(self) -> None:
        """Ingests until it is cancelled. While the store fails, it waits; nothing is lost by waiting."""
        while True:
            try:
                heard = self._inbox.arrived.listen()
                await self._let_posts_go_first()
                if await self.ingest_waiting() == 0:
                    await self._inbox.arrived.wait(heard, _POLL_SECONDS)
            except StoreUnavailable as error:
                log.warning("The inbox cannot be read, trying again: %s", error, extra={"action": "ingest_waits"})
                await asyncio.sleep(1)

    async def _let_posts_go_first(self) -> None:
        """Waits for a moment without posts, half a second at most: in a storm, accepting comes before understanding."""
        for _ in range(round(_PATIENCE_SECONDS / _BREATH_SECONDS)):
            if self._inbox.quiet_for() >= _BREATH_SECONDS:
                return
            await asyncio.sleep(_BREATH_SECONDS)

    async def ingest_waiting(self) -> int:
        """Ingests what waits now, up to one batch. How many bodies it was; 0 means that the inbox is empty.

        A body that cannot be ingested, whatever the reason, is tried alone, three times in all, and then moved to quarantine: it must not
        stand in the way of the others.
        """
        letters = await self._store.read(lambda connection: inbox_store.waiting(connection, limit=_BODIES_AT_ONCE))
        if not letters:
            return 0
        started = self._clock.monotonic()
        messages = [(letter, await self._message(letter)) for letter in letters]
        try:
            outcomes = await self._store.write(lambda connection: self._ingest_all(connection, messages))
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("A batch of %d bodies failed, ingesting them one by one", len(letters), extra={"action": "ingest_failed"})
            outcomes = [outcome for message in messages if (outcome := await self._ingest_alone(*message)) is not None]
        INGEST_SECONDS.observe(self._clock.monotonic() - started)
        for outcome in outcomes:
            await self._announce(outcome)
        return len(letters)

    async def _message(self, letter: Letter) -> WebhookMessage | BadInput:
        if len(letter.body) > _LARGE_BODY:
            return await asyncio.to_thread(_read, letter)
        return _read(letter)

    def _ingest_all(self, connection: Connection, messages: list[tuple[Letter, WebhookMessage | BadInput]]) -> list[Outcome]:
        return [self._ingest_one(connection, letter, message) for letter, message in messages]

    def _ingest_one(self, connection: Connection, letter: Letter, message: WebhookMessage | BadInput) -> Outcome:
        now = self._clock.now()
        if isinstance(message, BadInput):
            _give_up(connection, letter, reason=str(message), at=now)
            return Outcome()
        outcome = ingest(
            connection,
            message,
            inbox_id=letter.id,
            received_at=letter.received_at,
            settings=self._settings,
            rules=self._rules,
        )
        inbox_store.mark_ingested(connection, [letter.id], at=now)
        return outcome

    async def _ingest_alone(self, letter: Letter, message: WebhookMessage | BadInput) -> Outcome | None:
        try:
            return await self._store.write(lambda connection: self._ingest_one(connection, letter, message))
        except StoreUnavailable:
            raise
        except Exception as error:
            log.exception("Body %d could not be ingested (try %d)", letter.id, letter.attempts + 1, extra={"action": "ingest_failed"})
            reason = f"it could not be ingested: {type(error).__name__}"
            if letter.attempts + 1 < _MAX_ATTEMPTS:
                await self._store.write(lambda connection: inbox_store.count_attempt(connection, letter.id))
            else:
                now = self._clock.now()
                await self._store.write(lambda connection: _give_up(connection, letter, reason=reason, at=now))
            return None

    async def _announce(self, outcome: Outcome) -> None:
        for alert in outcome.received:
            log.info(
                "Received alert: %s (severity=%s, status=%s)",
                one_line(alert.name, 120),
                one_line(alert.severity_text, 40),
                alert.status.value,
                extra={"action": "alert_received", "alerting.alert.fingerprint": alert.fingerprint},
            )
        for name, count in outcome.counts.items():
            if count:
                ALERTS_BY_OUTCOME.labels(outcome=name).inc(count)
        if outcome.investigate:
            await self._on_investigate(outcome.investigate)
        if outcome.ended:
            count_ended(outcome.ended)
            await self._on_cancelled([item.investigation_id for item in outcome.ended])


def _give_up(connection: Connection, letter: Letter, *, reason: str, at: datetime) -> None:
    inbox_store.move_to_quarantine(connection, letter, reason=reason, at=at)
    bump(connection, SETTLED, letter.alerts)


def _read(letter: Letter) -> WebhookMessage | BadInput:
    try:
        return parse(decode(letter.body), letter.received_at)
    except BadInput as error:
        return error
