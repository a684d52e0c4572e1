"""Other open alerts: whether this one may be a symptom of something deeper that also fires."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from agent_sre.alert.subject import Subject, describe
from agent_sre.evidence.evidence import Evidence, Fact
from agent_sre.finding.facts import facts, instant, number, of_kind, text
from agent_sre.finding.finding import Finding
from agent_sre.finding.weights import DEEPER_ALERT, DEEPER_ALERT_VAGUE
from agent_sre.finding.world import World
from agent_sre.incident.incident import Incident
from agent_sre.kit.text import one_line

_SLACK = timedelta(minutes=5)  # rules wait differently long (`for`), so the deeper alert may fire a little later than its symptom
_MANY = 5
_MACHINES = frozenset({"Node", "Host"})
_CONTROL_PLANE = frozenset({"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns", "kube-dns"})
_DEEP = re.compile(r"down|not.?ready|unreachable|pressure|full|filling|out.?of|disk|memory|no.?leader|quorum|failed|error", re.IGNORECASE)


class Related:
    """Reads `related` of the history."""

    name = "related"

    def detect(self, world: World) -> Iterable[Finding]:
        incident, evidence = world.incident, world.evidence
        for item in of_kind(evidence, "history", "related"):
            others = list(facts(item, "related"))
            deeper = sorted((rank, index) for index, fact in enumerate(others) if (rank := _depth(incident, fact)) is not None)
            if deeper:
                yield self._symptom(item, others[deeper[0][1]])
            yield from self._crowd(incident, item)

    def _symptom(self, item: Evidence, fact: Fact) -> Finding:
        name, key = one_line(text(fact.values, "name"), 120), one_line(text(fact.values, "incident"), 40)
        subject = _subject(fact)
        where = describe(subject)
        return Finding(
            detector=self.name,
            summary=f"May be a symptom of {name} about {where}{f' ({key})' if key else ''}, which is open as well",
            subject=subject,
            facts={"alert": name, "where": where},
            evidence_ids=(item.id,),
            cause="symptom_of_another_alert",
            weight=DEEPER_ALERT if _DEEP.search(name) else DEEPER_ALERT_VAGUE,
        )

    def _crowd(self, incident: Incident, item: Evidence) -> Iterable[Finding]:
        for fact in facts(item, "nearness"):
            for where, place in (("same node", "on the same node"), ("same namespace", "in the same namespace")):
                count = number(fact.values, where)
                if count is not None and count >= _MANY:
                    yield Finding(
                        detector=self.name,
                        summary=f"{count:.0f} other alerts are open {place}: look for what they share",
                        subject=incident.subject,
                        facts={"crowd": int(count), "where": where},
                        evidence_ids=(item.id,),
                    )
                    return


def _depth(incident: Incident, fact: Fact) -> int | None:
    """0 for the machine underneath, 1 for the control plane; None for what is not deeper, or began clearly later."""
    started = instant(fact.values, "starts_at")
    if started is None or started > _latest(incident.triggered_at):
        return None
    kind, name, near = (text(fact.values, part) for part in ("kind", "object", "near"))
    if incident.subject.kind in _MACHINES or incident.subject.name in _CONTROL_PLANE:
        return None
    if kind in _MACHINES and near == "same node":
        return 0
    # without a cluster label everything is "elsewhere", and there is but one cluster
    ours = near != "elsewhere" or not incident.subject.cluster
    return 1 if ours and kind == "Component" and name in _CONTROL_PLANE else None


def _latest(triggered_at: datetime) -> datetime:
    try:
        return triggered_at + _SLACK
    except OverflowError:
        return triggered_at


def _subject(fact: Fact) -> Subject:
    return Subject(
        kind=text(fact.values, "kind") or "Alert",
        name=text(fact.values, "object"),
        namespace=text(fact.values, "namespace"),
        node=text(fact.values, "node"),
    )
