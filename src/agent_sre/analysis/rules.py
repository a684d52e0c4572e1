"""The author that always works: an analysis made by rules, with no model and no network.

    incident, diagnosis, playbook ──rules_analysis──┐
    one alert ──alert_analysis──────────────────────┼──> Analysis (author "rules")
    a question or a text ──text_analysis (advice.py)┘

It says what is known and from where, what usually causes this and how to tell, and what could not be checked. It never claims more:
a sentence about a measurement carries the evidence's id, and a cause that nothing measured speaks for is called usual, not likely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from agent_sre.alert.alert import Alert, AlertStatus
from agent_sre.alert.subject import Subject, describe
from agent_sre.analysis.advice import text_analysis
from agent_sre.analysis.analysis import RULES, Analysis
from agent_sre.analysis.observed import measured
from agent_sre.analysis.parts import cited, finished, queries_of, recommendations_of, said, utc
from agent_sre.evidence.evidence import EvidenceSet
from agent_sre.evidence.playbook import Playbook, PlaybookStep, fill, values_of
from agent_sre.evidence.playbook_derived import playbook_of
from agent_sre.finding.cause import causes, told
from agent_sre.finding.diagnose import REPORTED, diagnose
from agent_sre.finding.finding import Confidence, Diagnosis
from agent_sre.incident.incident import Incident, IncidentStatus, MemberAlert
from agent_sre.kit.durations import ago, readable

__all__ = ["ALERT_ALONE", "alert_analysis", "incident_of", "rules_analysis", "text_analysis"]

ALERT_ALONE = "from the alert alone, before anything was measured"
"""The author's note of `alert_analysis`."""

_MOST_MEMBERS = 10
_MOST_LABELS = 8
_NOT_RUN = "nothing was asked yet"


def rules_analysis(
    incident: Incident,
    diagnosis: Diagnosis,
    playbook: Playbook,
    *,
    author_note: str,
    timings: Mapping[str, float] | None = None,
    now: datetime,
) -> Analysis:
    """The analysis of an incident by rules. `playbook` is that of the lead alert, as loaded; `author_note` says why it was this author."""
    lead = incident.lead
    filled = fill(playbook, values_of(lead.subject, lead.labels))
    best = diagnosis.hypotheses[0].supporting if diagnosis.hypotheses else ()
    steps = (*_steps_of_cause(diagnosis), *filled.steps)
    return finished(
        Analysis(
            task_type="incident",
            title=_title(incident),
            observations=tuple(_observations(incident, diagnosis, filled, now)),
            root_cause=_root_cause(diagnosis),
            impact=_impact(incident, filled),
            hypotheses=diagnosis.hypotheses,
            recommendations=recommendations_of(steps, first=_asked_for(diagnosis), evidence_ids=best),
            investigation_queries=queries_of(filled.queries, diagnosis.evidence, not_run=_NOT_RUN),
            evidence=diagnosis.evidence.items,
            gaps=diagnosis.evidence.gaps,
            confidence=diagnosis.confidence,
            confidence_reason=diagnosis.confidence_reason,
            author=RULES,
            author_note=author_note,
            timings=dict(timings or {}),
            tokens={},
            markdown="",
            ruled_out=diagnosis.ruled_out,
            chain=diagnosis.chain,
            next_check=diagnosis.next_check,
        )
    )


def alert_analysis(alert: Alert, playbooks: Sequence[Playbook], now: datetime) -> Analysis:
    """The analysis of one alert that has no incident yet: what it means, what usually causes it, what to look at first.

    The last resort of the webhook's answer, so it needs nothing and takes about a millisecond.
    """
    incident = incident_of(alert, now)
    playbook = playbook_of(incident.lead, playbooks)
    return rules_analysis(incident, diagnose(incident, EvidenceSet(), playbook), playbook, author_note=ALERT_ALONE, now=now)


def incident_of(alert: Alert, now: datetime) -> Incident:
    """An incident of this alert only, for callers without a store; its id is 0."""
    member = MemberAlert.first_seen(alert, at=now, reason="the only alert")
    resolved = alert.status is AlertStatus.RESOLVED
    return Incident(
        id=0,
        group_key="",
        title=f"{alert.name}: {describe(member.subject)}",
        severity=alert.severity,
        status=IncidentStatus.RESOLVED if resolved else IncidentStatus.TRIGGERED,
        subject=member.subject,
        alerts=(member,),
        triggered_at=member.starts_at,
        last_alert_at=member.starts_at,
        acknowledged_at=None,
        resolved_at=(alert.ends_at or now) if resolved else None,
    )


# What is going on


def _title(incident: Incident) -> str:
    lead = incident.lead
    more = len(incident.alerts) - 1
    also = f", and {more} more {'alert' if more == 1 else 'alerts'}" if more else ""
    on = "" if lead.subject.kind == "Alert" else f" on {said(_place(lead.subject))}"
    return f"{said(lead.name, 120)} ({said(lead.severity_text, 40)}){on}{also}"


def _place(subject: Subject) -> str:
    """`Pod shop/cart-0 (container cart), node worker-2, cluster prod`."""
    parts = [describe(subject)]
    if subject.node and subject.kind != "Node":
        parts.append(f"node {subject.node}")
    if subject.cluster and subject.kind != "Cluster":
        parts.append(f"cluster {subject.cluster}")
    return ", ".join(parts)


def _observations(incident: Incident, diagnosis: Diagnosis, playbook: Playbook, now: datetime) -> Iterable[str]:
    lead = incident.lead
    yield _state(lead, now)
    yield from _quotes(lead)
    yield f"What it means: {playbook.meaning}"
    yield from measured(diagnosis, lead.starts_at)
    yield from _members(incident)
    yield from _labels(lead)


def _state(alert: MemberAlert, now: datetime) -> str:
    began = utc(alert.starts_at)
    if alert.status is AlertStatus.FIRING:
        return f"Fires since {began} ({ago(alert.starts_at, now)})"
    lasted = f" after {readable(alert.ends_at - alert.starts_at)}" if alert.ends_at else ""
    return f"Fired at {began} and was resolved{lasted}"


def _quotes(alert: MemberAlert) -> Iterable[str]:
    """Summary and description in the sender's words; a description that repeats the summary is left out."""
    summary = said(alert.annotations.get("summary", ""), 300)
    description = said(alert.annotations.get("description") or alert.annotations.get("message", ""), 500)
    if summary:
        yield f"The alert says: “{summary}”"
    if description and description != summary:
        yield f"In detail: “{description}”"


def _members(incident: Incident) -> Iterable[str]:
    others = list(dict.fromkeys((alert.name, alert.subject, alert.status) for alert in incident.alerts if alert is not incident.lead))
    if not others:
        return
    shown = [
        f"{said(name, 120)} on {said(describe(subject))}{'' if status is AlertStatus.FIRING else ' (resolved)'}"
        for name, subject, status in others[:_MOST_MEMBERS]
    ]
    more = f"; and {len(others) - _MOST_MEMBERS} more" if len(others) > _MOST_MEMBERS else ""
    yield f"In the same incident: {'; '.join(shown)}{more}"


def _labels(alert: MemberAlert) -> Iterable[str]:
    """What the labels know beyond name, severity and object."""
    subject = alert.subject
    told = {"", subject.name, subject.namespace, subject.cluster, subject.container, subject.node, subject.service}
    rest = [name for name in sorted(alert.labels) if name not in ("alertname", "severity") and alert.labels[name] not in told]
    if rest:
        shown = ", ".join(f"{said(name, 60)}={said(alert.labels[name], 80)}" for name in rest[:_MOST_LABELS])
        more = f" and {len(rest) - _MOST_LABELS} more" if len(rest) > _MOST_LABELS else ""
        yield f"Labels: {shown}{more}"


# What it may be, and what to do


def _root_cause(diagnosis: Diagnosis) -> str:
    """The first cause, said as surely as it is known; two that cannot be told apart are both said."""
    if not diagnosis.hypotheses:
        return "Unknown: no usual cause is recorded for this alert."
    first, *others = diagnosis.hypotheses
    if not first.supporting:
        return f"Not confirmed yet; most often: {_sentence(first.cause)}"
    measured = {item.id for item in diagnosis.evidence.items if item.query.source not in REPORTED}
    if not measured.intersection(first.supporting):
        return cited(f"Not measured, but suggested by what was reported: {_sentence(first.cause)}", first.supporting)
    if diagnosis.confidence is Confidence.HIGH:
        return cited(_sentence(first.cause), first.supporting)
    rival = next((item for item in others if item.name and item.supporting), None)
    if first.name and diagnosis.confidence is Confidence.LOW and rival is not None:
        return f"Inconclusive. Either {cited(_clause(first.cause), first.supporting)}, or {cited(_clause(rival.cause), rival.supporting)}."
    return cited(f"Most likely: {_sentence(first.cause)}", first.supporting)


def _clause(text: str) -> str:
    return text.rstrip(".!?")


def _steps_of_cause(diagnosis: Diagnosis) -> tuple[PlaybookStep, ...]:
    """What is to be done about the first cause, where something was seen of it. They come before the playbook's own steps."""
    first = next(iter(diagnosis.hypotheses), None)
    if first is None or first.name not in causes():
        return ()
    seen = [item for item in diagnosis.findings if item.cause == first.name and item.subject == first.subject]
    return told(causes()[first.name], max(seen, key=lambda item: item.weight))[2] if seen else ()


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _impact(incident: Incident, playbook: Playbook) -> str:
    objects = {alert.subject for alert in incident.alerts if alert.status is AlertStatus.FIRING}
    reach = f" {len(objects)} objects are affected so far." if len(objects) > 1 else ""
    return f"{playbook.impact or 'Not known from the alert alone.'}{reach}"


def _asked_for(diagnosis: Diagnosis) -> list[PlaybookStep]:
    """The check that tells most, where evidence speaks for the best hypothesis: it comes before the usual first look."""
    first = next(iter(diagnosis.hypotheses), None)
    if first is None or not first.supporting:
        return []
    if diagnosis.next_check:
        return [PlaybookStep(horizon="Immediate", text=diagnosis.next_check)]
    return [PlaybookStep(horizon="Immediate", text=f"Check the first cause: {first.check}")] if first.check else []
