"""Which of many objects that alert at once is the likely source: by their alerts alone, so it also speaks where nothing can be measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from agent_sre.alert.alert import AlertStatus
from agent_sre.alert.subject import Subject, describe
from agent_sre.finding.facts import facts, number, of_kind, text
from agent_sre.finding.finding import Finding
from agent_sre.finding.storm import StormAlert, Usual, has_history, storm_alert, storm_of, suspects
from agent_sre.finding.weights import STORM_FEWEST, STORM_LEAST_LEAD, STORM_LEAST_SHARE, STORM_WEIGHT
from agent_sre.finding.world import World
from agent_sre.kit.text import one_line

_MOST = 2000  # alerts, the most severe first: 0.1 s, and in a larger flood nobody stands out


class Storm:
    """Reads the incident's own alerts, and, where they are known, who calls whom and what usually fires (`usual` of the history)."""

    name = "storm"

    def detect(self, world: World) -> Iterable[Finding]:
        firing = [alert for alert in world.incident.alerts if alert.status is AlertStatus.FIRING][:_MOST]
        subjects: dict[str, Subject] = {}
        alerts: list[StormAlert] = []
        fingerprints: list[str] = []
        for alert in firing:
            name = _name(alert.subject)
            subjects.setdefault(name, alert.subject)
            one = storm_alert(alert.labels, alert.subject)
            alerts.append(replace(one, object=name, caller=_caller(one.caller, alert.subject.namespace, alert.labels)))
            fingerprints.append(alert.fingerprint)
        if len(subjects) < STORM_FEWEST:
            return
        usual = _usual(world, dict(zip(fingerprints, alerts, strict=True)), subjects)
        ranked = suspects(storm_of(alerts, edges=_edges(world, subjects)), usual)
        first, second = ranked[0], ranked[1]
        if first.score < STORM_LEAST_SHARE or first.score < STORM_LEAST_LEAD * second.score:
            return
        subject = subjects[first.name]
        where = describe(subject)
        own = sum(alert.object == first.name for alert in alerts)
        yield Finding(
            detector=self.name,
            summary=f"Of {len(subjects)} objects that alert together, {where} looks most like the source by the shape of its {own} "
            f"alert{'' if own == 1 else 's'} ({min(first.score, 0.99):.0%} of the suspicion, {second.score:.0%} for the next)",
            subject=subject,
            facts={
                "objects": len(subjects),
                "share": round(first.score, 3),
                "signs": ", ".join(first.reasons),
                "where": one_line(where, 160),
            },
            cause="source_of_the_storm",
            weight=round(STORM_WEIGHT * first.score, 3),
            evidence_ids=tuple(
                item.id
                for source, kind in (("alert", "alert"), ("alert", "members"), *([("history", "usual")] if has_history(usual) else []))
                for item in of_kind(world.evidence, source, kind)
            ),
        )


def _name(subject: Subject) -> str:
    return f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name


def _usual(world: World, alert_by_fingerprint: Mapping[str, StormAlert], subjects: Iterable[str]) -> Usual:
    """What the store remembers of earlier incidents with these alerts; nothing where it was not asked."""
    usual = Usual()
    for item in of_kind(world.evidence, "history", "usual"):
        usual.storms = max((int(number(fact.values, "incidents") or 0) for fact in facts(item, "usual")), default=0)
        for fact in facts(item, "usual_alert"):
            alert, count = alert_by_fingerprint.get(text(fact.values, "fingerprint")), int(number(fact.values, "incidents") or 0)
            if alert is not None and 0 < count <= usual.storms:
                usual.alerts[(alert.object, alert.key, alert.caller)] = count
                usual.about[alert.object] += count
    usual.present.update(dict.fromkeys(subjects, max(usual.storms, 0)))
    return usual


def _caller(caller: str, namespace: str, labels: Mapping[str, str]) -> str:
    """Callers are named without their namespace; theirs is that of the alert unless a label says otherwise."""
    if not caller:
        return ""
    own = labels.get("source_workload_namespace") or namespace
    return f"{own}/{caller}" if own else caller


def _edges(world: World, subjects: Mapping[str, Subject]) -> Iterable[tuple[str, str]]:
    """Calls between members, by their own names or those of their services and workloads."""
    members: dict[str, list[str]] = {}
    for name, subject in subjects.items():
        for known in {subject.name, subject.service, world.workload(subject.kind, subject.namespace, subject.name).name} - {""}:
            members.setdefault(known, []).append(name)
    for seen in world.dependencies:
        callers, callees = members.get(seen.value.source, ()), members.get(seen.value.destination, ())
        # one of many pods stands for all: pairs of pods would be the square of their number
        if len(callers) * len(callees) <= len(callers) + len(callees):
            yield from ((caller, callee) for caller in callers for callee in callees)
        elif callers and callees:
            yield from ((caller, callees[0]) for caller in callers)
            yield from ((callers[0], callee) for callee in callees)
