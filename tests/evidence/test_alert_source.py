from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from agent_sre.alert.alert import AlertStatus
from agent_sre.evidence.alert_source import MAX_LABELS, MAX_MEMBERS, AlertSource
from agent_sre.evidence.evidence import Evidence, Fact
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock
from evidence.builders import NOW, STARTS_AT, an_alert, an_incident

SOURCE = AlertSource(FakeClock(NOW))


async def ask(incident: Incident, kind: str) -> Evidence:
    query = next(query for query in SOURCE.plan(incident, NOW) if query.kind == kind)
    return await SOURCE.fetch(replace(query, id="E01"), incident)


def facts(evidence: Evidence, name: str) -> list[Fact]:
    return [item for item in evidence.data if isinstance(item, Fact) and item.name == name]


async def test_the_alert_says_who_is_broken_since_when_and_in_which_words() -> None:
    annotations = {"runbook_url": "https://x", "description": "It leaks.", "summary": "Memory is high."}
    alert = an_alert("HighMemory", labels={"namespace": "shop", "pod": "cart-0"}, annotations=annotations)
    evidence = await ask(an_incident(alert), "alert")
    assert evidence.id == "E01"
    assert evidence.summary == "HighMemory (warning) about Pod shop/cart-0, firing since 2026-11-23 06:41:10Z (3 min 50 s ago)"
    assert facts(evidence, "subject")[0].values["name"] == "cart-0"
    assert facts(evidence, "labels")[0].values["cluster"] == "prod-eu1"
    assert [(fact.values["name"], fact.text) for fact in facts(evidence, "annotation")] == [
        ("summary", "Memory is high."),
        ("description", "It leaks."),
        ("runbook_url", "https://x"),
    ]


async def test_the_exporter_is_not_the_subject() -> None:
    labels = {"namespace": "shop", "deployment": "cart", "pod": "kube-state-metrics-6c5d9", "job": "kube-state-metrics"}
    subject = facts(await ask(an_incident(an_alert("KubeDeploymentReplicasMismatch", labels=labels)), "alert"), "subject")[0]
    assert (subject.values["kind"], subject.values["name"]) == ("Deployment", "cart")
    assert "kube-state-metrics" not in subject.text


async def test_hostile_words_come_out_clean_cut_and_without_secrets() -> None:
    annotations = {"summary": "a\x1b[31m\u202e\u200bb\x00", "description": "password=hunter2 " + "x" * 10_000, "n\nm": "v"}
    alert = an_alert('x\n"', labels={"evil\u202e": "Bearer abcdefghijklmnop", "long": "y" * 5_000}, annotations=annotations)
    evidence = await ask(an_incident(alert), "alert")
    text = "\n".join([evidence.summary, *(item.text for item in evidence.data if isinstance(item, Fact))])
    assert not {"\x1b", "\u202e", "\u200b", "\x00"} & set(text)
    assert "hunter2" not in text
    assert "abcdefghijklmnop" not in str(evidence)
    assert "\n" not in evidence.summary
    assert len(facts(evidence, "annotation")[1].text) < 5_000
    assert "…(+" in facts(evidence, "labels")[0].text


async def test_three_hundred_labels_are_cut_and_it_is_said() -> None:
    evidence = await ask(an_incident(an_alert(labels={f"l{number:03}": "v" for number in range(300)})), "alert")
    assert (len(facts(evidence, "labels")[0].values), evidence.truncated) == (MAX_LABELS, True)


async def test_a_resolved_lead_says_how_long_it_lasted() -> None:
    alert = an_alert(labels={"pod": "a"}, ends_at=STARTS_AT + timedelta(minutes=12))
    assert (await ask(an_incident(alert), "alert")).summary.endswith("resolved after 12 min")


async def test_the_other_alerts_are_counted_and_the_worst_come_first() -> None:
    alerts = [an_alert("Lead", labels={"pod": "lead"}, severity="critical")]
    alerts += [an_alert("Crash", labels={"pod": f"p{number}"}) for number in range(30)]
    alerts += [an_alert("Old", labels={"pod": "old"}, ends_at=NOW), an_alert("Page", labels={"pod": "bad"}, severity="page")]
    evidence = await ask(an_incident(*alerts), "members")
    assert evidence.summary == "32 more: Crash ×30, Page, Old"
    members = facts(evidence, "alert")
    assert (len(members), evidence.truncated) == (MAX_MEMBERS, True)
    assert members[0].values["name"] == "Page"
    assert members[0].values["status"] == AlertStatus.FIRING.value
    assert facts(evidence, "counts")[0].values["Crash"] == 30


def test_a_single_alert_has_no_others_to_ask_about() -> None:
    assert [query.kind for query in SOURCE.plan(an_incident(), NOW)] == ["alert"]
    assert [query.kind for query in SOURCE.plan(an_incident(an_alert("A"), an_alert("B")), NOW)] == ["alert", "members"]
