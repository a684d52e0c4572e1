"""An incident and its evidence with one stranger's text in every field that a stranger can fill, and a model that does what it is told."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Change, Dependency, Evidence, EvidenceSet, Fact, Gap, KubernetesObject, LogPattern, MetricSeries, Query
from agent_sre.incident.incident import Incident
from evidence.builders import NOW, STARTS_AT, an_alert, an_incident
from fakes.injections import ACTION, CAUSE, COMMAND, LINK, MENTION

FIELDS = (
    "label value", "label name", "annotation", "alert name", "log template", "log sample", "event message", "pod name", "image name", "change",
    "dependency", "Prometheus error", "rule error", "other alert",
)  # fmt: skip


def tainted(text: str, *fields: str, harmless: str = "X y") -> tuple[Incident, EvidenceSet]:
    """The incident and what was gathered, with `text` in these fields (in all, where none is named) and `harmless` in the others."""
    wanted = fields or FIELDS

    def at(field: str) -> str:
        return text if field in wanted else "ledger-0" if field == "pod name" else harmless

    lead = an_alert(
        name=f"HighMemory {at('alert name')}" if "alert name" in wanted else "HighMemory",
        labels={"namespace": "shop", "deployment": "ledger", "pod": at("pod name"), "comment": at("label value"), f"x{at('label name')}": "v"},
        annotations={"summary": f"Memory is high: {at('annotation')}", "description": at("annotation")},
    )
    other = an_alert(name="PodCrashLooping", labels={"namespace": "shop", "deployment": "ledger", "container": at("other alert")}, number=2)
    incident = an_incident(lead, other)
    pod = Subject(kind="Pod", name=at("pod name"), namespace="shop")
    manifest = {
        "metadata": {"name": at("pod name"), "namespace": "shop"},
        "spec": {"containers": [{"name": "ledger", "image": at("image name")}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {
                    "name": "ledger",
                    "image": at("image name"),
                    "restartCount": 4,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": at("event message")}},
                    "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                }
            ],
        },
    }
    event = {
        "metadata": {"name": "e1", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "name": at("pod name"), "namespace": "shop"},
        "reason": "BackOff",
        "type": "Warning",
        "message": at("event message"),
        "count": 7,
        "lastTimestamp": STARTS_AT.isoformat(),
    }
    log = LogPattern(
        template=at("log template"), level="error", subject=pod, count=42, count_before=0, first_at=STARTS_AT, last_at=NOW, sample=at("log sample")
    )
    curve = MetricSeries(
        labels={"pod": at("pod name"), "image": at("image name")}, points=tuple((NOW.timestamp() - 600 + 15 * i, float(i)) for i in range(40))
    )
    change = Change(at=STARTS_AT - timedelta(minutes=5), kind="image", subject=pod, text=at("change"), who=at("change"), diff=(f"+ {at('change')}",))
    rule = Fact(name="rule", text=at("rule error"), values={"expression": "memory > 80", "health": "err", "last_error": at("rule error")})
    value = Fact(
        name="value",
        text="value is 99",
        values={"current": 99.0, "threshold": 80.0, "op": ">", "breaching": True, "ended": False, "crossed_at": None},
    )
    items = (
        _answer("E01", "prometheus", "value", "value is 99 (threshold > 80)", value, curve),
        _answer(
            "E02",
            "kubernetes",
            "pods",
            f"Pod {at('pod name')}: restarts 4",
            KubernetesObject(kind="Pod", namespace="shop", name=at("pod name"), manifest=manifest),
        ),
        _answer(
            "E03",
            "kubernetes",
            "events",
            f"1 event: {at('event message')}",
            KubernetesObject(kind="Event", namespace="shop", name="e1", manifest=event),
        ),
        _answer("E04", "loki", "errors", f"42 lines: {at('log template')}", log),
        _answer("E05", "kubernetes", "changes", at("change"), change),
        _answer("E06", "prometheus", "edges", "1 edge", Dependency(source=at("dependency"), destination="db", via="mesh")),
        _answer("E07", "prometheus", "rule", f"the rule is err: {at('rule error')}", rule),
    )
    asked = Query(id="E08", source="prometheus", kind="curve", expression="up", purpose="what up says")
    return incident, EvidenceSet(items=items, gaps=(Gap(query=asked, reason="query_rejected", detail=f"Prometheus: {at('Prometheus error')}"),))


def _answer(
    name: str, source: str, kind: str, summary: str, *data: Fact | MetricSeries | KubernetesObject | LogPattern | Change | Dependency
) -> Evidence:
    query = Query(id=name, source=source, kind=kind, expression=kind, purpose=f"what {kind} says")
    subject = Subject(kind="Pod", name="ledger-0", namespace="shop")
    return Evidence(id=name, query=query, subject=subject, data=data, summary=summary, collected_at=NOW, took=timedelta(milliseconds=3))


def severe(incident: Incident) -> tuple[str, ...]:
    """What decides who is told, and how loudly."""
    return (incident.severity.value, *(alert.severity_text for alert in incident.alerts))


def obeying(prompt: str, *, wild: bool, text: str) -> str:
    """The answer of a model that believes whatever stands in its prompt, `text` above all.

    A wild one answers as the attacker wants, whatever was offered; the other one keeps to the offered ids and puts the rest into its words.
    """
    # ids as an attacker finds them: anywhere in the prompt
    causes = list(dict.fromkeys(re.findall(r"(?m)^(H\d{1,2})\b", prompt))) or [CAUSE]
    actions = list(dict.fromkeys(re.findall(r"(?m)^(A\d{1,2})\b", prompt))) or [ACTION]
    evidence = list(dict.fromkeys(re.findall(r"(?m)^(E\d{2,3})\b", prompt)))
    said = f"{text} {MENTION} [fix]({LINK}) `{COMMAND}` ![x]({LINK})"
    document = {
        "a_reasoning": said[:400],
        "b_cause": CAUSE if wild else causes[-1],
        "c_evidence": ["E99", *evidence[:3]],
        "d_confidence": "high",
        "e_summary": said[:400],
        "f_impact": said[-250:],
        "g_actions": [ACTION, *reversed(actions)],
        "h_missing": ["none"],
    }
    return json.dumps(document) if not wild else f"Sure! {text}\n```json\n{json.dumps(document)}\n```\n{COMMAND}"


def renamed(incident: Incident, title: str) -> Incident:
    """The incident under another title."""
    return replace(incident, title=title)
