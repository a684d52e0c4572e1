"""What a webhook caller gets back: for each alert the best analysis there is by now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import Connection

from agent_sre.alert import inbox as inbox_store
from agent_sre.alert.alert import Alert, AlertStatus
from agent_sre.alert.payload import WebhookMessage, capped
from agent_sre.alert.subject import AlertRole, describe, role_of, subject_of
from agent_sre.analysis.analysis import Analysis
from agent_sre.analysis.markdown import analysis_json, code
from agent_sre.analysis.rules import alert_analysis
from agent_sre.delivery.report import Report, Stage, report_for_alert
from agent_sre.evidence.playbook import Playbook
from agent_sre.incident import store as incident_store
from agent_sre.incident.incident import incident_key
from agent_sre.incident.store import KnownAlert
from agent_sre.kit.clock import Clock
from agent_sre.kit.signal import Signal
from agent_sre.store.engine import Store
from agent_sre.store.schema import investigation, report

_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reached:
    ingested: bool
    known: dict[str, KnownAlert]
    stages: dict[str, Stage]  # by fingerprint of a firing alert


class Results:
    """Waits for reports and puts the answer together."""

    def __init__(self, *, store: Store, clock: Clock, playbooks: Sequence[Playbook], published: Signal) -> None:
        self._store = store
        self._clock = clock
        self._playbooks = playbooks
        self._published = published

    async def of(self, message: WebhookMessage, inbox_id: int, *, wait: timedelta, base_url: str) -> list[dict[str, Any]]:
        """One item per alert of the message, in its order. Waits until every firing alert has its complete report, at most `wait`."""
        deadline = self._clock.monotonic() + wait.total_seconds()
        while True:
            heard = self._published.listen()
            reached = await self._store.read(lambda connection: _look(connection, message.alerts, inbox_id))
            left = deadline - self._clock.monotonic()
            if left <= 0 or _is_over(message.alerts, reached):
                break
            await self._published.wait(heard, min(_POLL_SECONDS, left))
        return await self._items(message.alerts, reached, inbox_id, base_url)

    async def _items(self, alerts: Sequence[Alert], reached: _Reached, inbox_id: int, base_url: str) -> list[dict[str, Any]]:
        firing = {
            alert.fingerprint: reached.known[alert.fingerprint]
            for alert in alerts
            if alert.status is AlertStatus.FIRING and alert.fingerprint in reached.stages
        }
        reports = await self._store.read(lambda connection: _reports(connection, firing))
        written: dict[int, orjson.Fragment] = {}
        seen: set[str] = set()
        items = []
        for number, alert in enumerate(alerts):
            items.append(self._item(capped(alert), reached, reports, written, inbox_id, base_url, again=alert.fingerprint in seen))
            seen.add(alert.fingerprint)
            if number % 50 == 49:
                await asyncio.sleep(0)  # a large message must not keep the webhook from others
        return items

    def _item(
        self,
        alert: Alert,
        reached: _Reached,
        reports: dict[str, Report],
        written: dict[int, orjson.Fragment],
        inbox_id: int,
        base_url: str,
        *,
        again: bool,
    ) -> dict[str, Any]:
        known = reached.known.get(alert.fingerprint)
        found = reports.get(alert.fingerprint)
        if found is not None:
            if found.id not in written:
                written[found.id] = orjson.Fragment(orjson.dumps(analysis_json(found.analysis)))
            stage, text, document = found.stage, _naming(found.analysis, alert), written[found.id]
        else:
            analysis = alert_analysis(alert, self._playbooks, self._clock.now())
            stage, text, document = Stage.RECEIVED, analysis.markdown, orjson.Fragment(orjson.dumps(analysis_json(analysis)))
            if alert.status is AlertStatus.RESOLVED:
                text = _resolved_text(alert, known)
        incident_id = known.incident_id if known else None
        return {
            "alert_name": alert.name,
            "severity": alert.severity_text,
            "status": alert.status.value,
            "analysis": text,
            "thread_id": alert.thread_id,
            "fingerprint": alert.fingerprint,
            "stage": stage.value,
            "analysis_json": document,
            "incident_id": incident_key(incident_id) if incident_id else None,
            "url": f"{base_url}/incidents/{incident_key(incident_id)}" if incident_id else f"{base_url}/investigations/{alert.thread_id}",
            "duplicate": again or (alert.status is AlertStatus.FIRING and known is not None and known.inbox_id != inbox_id and reached.ingested),
        }


def _look(connection: Connection, alerts: Sequence[Alert], inbox_id: int) -> _Reached:
    if not inbox_store.is_ingested(connection, inbox_id):
        return _Reached(ingested=False, known={}, stages={})
    known = incident_store.known_alerts(connection, (alert.fingerprint for alert in alerts))
    return _Reached(ingested=True, known=known, stages=_stages(connection, known))


def _stages(connection: Connection, known: dict[str, KnownAlert]) -> dict[str, Stage]:
    """The best stage that covers each alert; an alert without any report is absent."""
    incident_ids = sorted({entry.incident_id for entry in known.values()})
    covered: dict[int, dict[Stage, int]] = {}
    for start in range(0, len(incident_ids), 500):
        for row in connection.execute(
            sa.select(report.c.incident_id, report.c.stage, sa.func.max(investigation.c.covers_alert_id))
            .join(investigation, investigation.c.id == report.c.investigation_id)
            .where(report.c.incident_id.in_(incident_ids[start : start + 500]))
            .group_by(report.c.incident_id, report.c.stage)
        ):
            covered.setdefault(row[0], {})[Stage(row[1])] = row[2]
    stages: dict[str, Stage] = {}
    for fingerprint, entry in known.items():
        of_incident = covered.get(entry.incident_id, {})
        for stage in (Stage.COMPLETE, Stage.PRELIMINARY):
            if of_incident.get(stage, 0) >= entry.id:
                stages[fingerprint] = stage
                break
    return stages


def _is_over(alerts: Sequence[Alert], reached: _Reached) -> bool:
    return reached.ingested and all(
        reached.stages.get(alert.fingerprint) is Stage.COMPLETE
        for alert in alerts
        if alert.status is AlertStatus.FIRING and role_of(alert.labels) is AlertRole.PROBLEM
    )


def _reports(connection: Connection, firing: dict[str, KnownAlert]) -> dict[str, Report]:
    by_incident: dict[int, list[tuple[str, KnownAlert]]] = {}
    for fingerprint, known in firing.items():
        by_incident.setdefault(known.incident_id, []).append((fingerprint, known))
    reports: dict[str, Report] = {}
    for incident_id, members in by_incident.items():
        best: Report | None = None
        for fingerprint, known in sorted(members, key=lambda member: -member[1].id):
            if best is None or best.stage is not Stage.COMPLETE:
                best = report_for_alert(connection, incident_id, known.id)
            if best is not None:
                reports[fingerprint] = best
    return reports


def _naming(analysis: Analysis, alert: Alert) -> str:
    """The incident's analysis; where it is a large one that does not mention this alert's object, one line is added that does."""
    subject = subject_of(alert.labels)
    if not subject.name or subject.name in analysis.markdown:
        return analysis.markdown
    head, separator, rest = analysis.markdown.partition("\n\n")
    return f"{head}{separator}- This alert: {code(alert.name)} on {code(describe(subject))}\n{rest}"


def _resolved_text(alert: Alert, known: KnownAlert | None) -> str:
    name, subject = code(alert.name), code(describe(subject_of(alert.labels)))
    if known is None:
        return f"## 🔍 Analysis\n\n- {name} on {subject} is resolved. It was not known to be firing, so there is nothing to close."
    return f"## 🔍 Analysis\n\n- {name} on {subject} is resolved. Its incident is {incident_key(known.incident_id)}."


def timestamp_text(now: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
