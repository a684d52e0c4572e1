"""`/incidents` and `/investigations`: the stored results, as JSON or as pages, whichever the caller accepts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import Connection

from agent_sre.alert.subject import describe
from agent_sre.analysis.analysis import RULES
from agent_sre.analysis.markdown import analysis_json, evidence_json, gap_json
from agent_sre.delivery.report import Report, Stage, latest_report
from agent_sre.evidence.board import Board, Seen
from agent_sre.incident import store as incident_store
from agent_sre.incident.incident import Incident, MemberAlert, TimelineEntry
from agent_sre.incident.store import IncidentFilter
from agent_sre.incident.timeline import timeline_of
from agent_sre.investigation import store as investigation_store
from agent_sre.investigation.investigation import Investigation, InvestigationStatus
from agent_sre.kit.clock import Clock
from agent_sre.kit.times import format_instant
from agent_sre.store.engine import Store

_MAX_ID = 2**53


def incidents_router(*, store: Store, clock: Clock, board: Board) -> APIRouter:
    """The routes that read."""
    router = APIRouter(tags=["incidents"])

    @router.get("/incidents", response_class=Response, responses=_both("The newest incidents that pass the filter."))
    async def list_incidents(
        request: Request,
        status: Annotated[str, Query(description="open, triggered, acknowledged or resolved; empty for all", max_length=20)] = "",
        severity: Annotated[str, Query(description="critical, warning, info, none or unknown; empty for all", max_length=20)] = "",
        q: Annotated[str, Query(description="words in the title", max_length=200)] = "",
        before: Annotated[int | None, Query(description="only incidents with an id below this", ge=1, le=_MAX_ID)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """Incidents, newest first."""
        wanted = IncidentFilter(status=status, severity=severity, text=q, before=before, limit=limit + 1)

        def look(connection: Connection) -> tuple[list[tuple[Incident, Report | None]], dict[str, int]]:
            found = incident_store.load_incidents(connection, incident_store.list_incident_ids(connection, wanted))
            return [(item, latest_report(connection, item.id, with_evidence=False)) for item in found], incident_store.counts_by_status(connection)

        found, counts = await store.read(look)
        more, shown = len(found) > limit, found[:limit]
        if wants_html(request):
            from agent_sre.web import pages

            view = pages.IncidentListView(
                status=status,
                severity=severity,
                text=q,
                counts=counts,
                before=shown[-1][0].id if more else None,
                after=None,
                base_url=_base_url(request),
            )
            return html(pages.render_incidents(_rows(shown), page=view, now=clock.now()))
        return json(
            {
                "incidents": [summary_json(item, report, base_url=_base_url(request)) for item, report in shown],
                "counts": counts,
                "next_before": shown[-1][0].id if more else None,
            }
        )

    @router.get("/incidents/{incident_id}", response_class=Response, responses=_both("The incident.") | {404: {"description": "There is none."}})
    async def read_incident(request: Request, incident_id: Annotated[str, Path(description="`INC-118`, or just `118`", max_length=40)]) -> Response:
        """One incident: its alerts, its timeline and its report."""
        number = incident_number(incident_id)
        if number is None:
            return error_response(request, 404, f"There is no incident {incident_id[:40]}.")
        return await _incident(request, store, clock, board, number)

    @router.get(
        "/investigations/{thread_id}",
        response_class=Response,
        responses=_both("The newest incident of this thread.") | {404: {"description": "Nothing is known about this thread."}},
    )
    async def read_investigation(request: Request, thread_id: Annotated[str, Path(description="`alert-<fingerprint>`", max_length=100)]) -> Response:
        """The newest incident that an alert belongs to."""
        fingerprint = thread_id.removeprefix("alert-")
        known = await store.read(lambda connection: incident_store.known_alerts(connection, [fingerprint]))
        if thread_id == fingerprint or fingerprint not in known:
            return error_response(request, 404, f"Nothing is known about the thread {thread_id[:100]}.")
        return await _incident(request, store, clock, board, known[fingerprint].incident_id)

    return router


def incident_number(text: str) -> int | None:
    """The id in `INC-118` or `118`, None where it is neither."""
    digits = text.upper().removeprefix("INC-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 15:
        return None
    return int(digits)


async def _incident(request: Request, store: Store, clock: Clock, board: Board, number: int) -> Response:
    # Before the store: what leaves the board meanwhile is in the report that we read next. The other way round it might be in neither.
    seen = board.seen(number)
    found = await store.read(lambda connection: load_whole(connection, number))
    if found is None:
        return error_response(request, 404, f"There is no incident {number}.")
    incident, timeline, report, investigations = found
    if seen and report and any(item.id == report.investigation_id and item.run_id == seen.run_id for item in investigations):
        seen = None  # published between the two looks: the report shows the same answers
    if wants_html(request):
        from agent_sre.web import pages

        view = pages.IncidentView(
            incident=incident,
            timeline=timeline,
            stage=report.stage.value if report else Stage.RECEIVED.value,
            analysis=report.analysis if report else None,
            steps=_steps(incident, investigations, report, seen),
            recurrence=_recurrence(report),
            seen=seen,
        )
        return html(pages.render_incident(view, now=clock.now()))
    return json(incident_json(incident, timeline, report, investigations, base_url=_base_url(request), seen=seen))


Whole = tuple[Incident, tuple[TimelineEntry, ...], Report | None, list[Investigation]]
"""All that there is to read about one incident."""


def load_whole(connection: Connection, incident_id: int) -> Whole | None:
    """One incident with its timeline, its current report and its investigations."""
    incident = incident_store.load_incident(connection, incident_id)
    if incident is None:
        return None
    return (
        incident,
        timeline_of(connection, incident_id),
        latest_report(connection, incident_id),
        investigation_store.investigations_of(connection, incident_id),
    )


def summary_json(incident: Incident, report: Report | None, *, base_url: str) -> dict[str, Any]:
    """One incident of a list."""
    return {
        "incident_id": incident.key,
        "title": incident.title,
        "severity": incident.severity.value,
        "status": incident.status.value,
        "subject": {
            "kind": incident.subject.kind,
            "name": incident.subject.name,
            "namespace": incident.subject.namespace,
            "cluster": incident.subject.cluster,
            "node": incident.subject.node,
            "text": describe(incident.subject),
        },
        "group_key": incident.group_key,
        "triggered_at": format_instant(incident.triggered_at),
        "resolved_at": format_instant(incident.resolved_at) if incident.resolved_at else None,
        "alert_count": len(incident.alerts),
        "thread_id": incident.lead.thread_id,
        "stage": report.stage.value if report else Stage.RECEIVED.value,
        "author": report.analysis.author if report else None,
        "root_cause": report.analysis.root_cause if report else None,
        "url": f"{base_url}/incidents/{incident.key}",
    }


def incident_json(
    incident: Incident,
    timeline: Sequence[TimelineEntry],
    report: Report | None,
    investigations: Sequence[Investigation],
    *,
    base_url: str,
    seen: Seen | None = None,
) -> dict[str, Any]:
    """One incident, whole; with what a running investigation has seen by now."""
    return {
        **summary_json(incident, report, base_url=base_url),
        "analysis": report.analysis.markdown if report else None,
        "analysis_json": analysis_json(report.analysis) if report else None,
        "gathering": _gathering_json(seen) if seen else None,
        "alerts": [_member_json(alert) for alert in incident.alerts],
        "timeline": [{"at": format_instant(entry.at), "kind": entry.kind, "text": entry.text} for entry in timeline],
        "investigations": [
            {
                "id": item.id,
                "thread_id": item.thread_id,
                "reason": item.reason,
                "status": item.status.value,
                "created_at": format_instant(item.created_at),
                "started_at": format_instant(item.started_at) if item.started_at else None,
                "finished_at": format_instant(item.finished_at) if item.finished_at else None,
                "error": item.error,
            }
            for item in investigations
        ],
    }


def _gathering_json(seen: Seen) -> dict[str, Any]:
    return {
        "began_at": format_instant(seen.began_at),
        "asked": seen.asked,
        "open": dict(seen.open_by_source),
        "evidence": [evidence_json(item) for item in seen.items],
        "gaps": [gap_json(item) for item in seen.gaps],
    }


def _member_json(alert: MemberAlert) -> dict[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "thread_id": alert.thread_id,
        "alert_name": alert.name,
        "severity": alert.severity_text,
        "status": alert.status.value,
        "subject": describe(alert.subject),
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "generator_url": alert.generator_url,
        "starts_at": format_instant(alert.starts_at),
        "ends_at": format_instant(alert.ends_at) if alert.ends_at else None,
        "last_seen_at": format_instant(alert.last_seen_at),
        "sightings": alert.sightings,
        "reason": alert.reason,
    }


def _rows(found: Sequence[tuple[Incident, Report | None]]) -> list[Any]:
    from agent_sre.web.pages import IncidentRow

    return [
        IncidentRow(
            id=incident.id,
            title=incident.title,
            severity=incident.severity,
            status=incident.status,
            subject=incident.subject,
            alert_count=len(incident.alerts),
            triggered_at=incident.triggered_at,
            resolved_at=incident.resolved_at,
            stage=report.stage.value if report else Stage.RECEIVED.value,
            author=report.analysis.author if report else "",
            cause=report.analysis.root_cause if report else "",
        )
        for incident, report in found
    ]


def _steps(incident: Incident, investigations: Sequence[Investigation], report: Report | None, seen: Seen | None) -> tuple[Any, ...]:
    from agent_sre.web.pages import Step

    newest = investigations[-1] if investigations else None
    received = newest.created_at if newest else incident.triggered_at
    diagnosed = report.created_at if report and report.stage is Stage.PRELIMINARY else None
    complete = report.created_at if report and report.stage is Stage.COMPLETE else None
    evidence = f"{len(report.analysis.evidence)} answers" if report else ""
    if seen:
        evidence = f"{len(seen.items)} of {seen.asked} answers"
    running = newest is not None and newest.status is InvestigationStatus.ANALYZING
    by_model = report is not None and report.analysis.author != RULES
    last = "asking now" if running else (report.analysis.author if report and by_model else "")
    return (
        Step(name="received", at=received, detail="on disk"),
        Step(name="grouped", at=received, detail=f"{len(incident.alerts)} alerts" if len(incident.alerts) > 1 else "1 alert"),
        Step(name="evidence", at=diagnosed or complete, detail=evidence),
        Step(name="rules' verdict", at=diagnosed or complete),
        Step(name="model's verdict", at=complete if by_model else None, detail="no model took part" if complete and not by_model else last),
    )


def _recurrence(report: Report | None) -> str:
    if report is None:
        return ""
    return next((item.summary for item in report.analysis.evidence if item.query.kind == "recurrence"), "")


def wants_html(request: Request) -> bool:
    """Whether a browser asks. Whoever names JSON, or nothing, gets JSON."""
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and "application/json" not in accepted


def html(text: str, status: int = 200) -> Response:
    """A page."""
    from agent_sre.web.pages import SECURITY_HEADERS

    return Response(text, status, SECURITY_HEADERS, media_type="text/html")


def json(content: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(content), status, {"Cache-Control": "no-store"}, media_type="application/json")


def error_response(request: Request, status: int, sentence: str) -> Response:
    """An error as a page or as JSON, whichever the caller accepts."""
    if wants_html(request):
        from agent_sre.web.pages import render_error

        return html(render_error(status, sentence), status)
    return json({"error": sentence}, status)


def _base_url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _both(description: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": {"application/json": {}, "text/html": {}}}}
