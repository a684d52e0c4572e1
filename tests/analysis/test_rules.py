"""The author that always works: useful with an alert name alone, and honest about what was not measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from agent_sre.alert.alert import Alert, AlertStatus, fingerprint_of
from agent_sre.alert.subject import Subject
from agent_sre.analysis.advice import topics_of
from agent_sre.analysis.analysis import RULES, Analysis, Horizon
from agent_sre.analysis.markdown import analysis_json
from agent_sre.analysis.parts import cited, recommendations_of, said
from agent_sre.analysis.rules import ALERT_ALONE, alert_analysis, incident_of, rules_analysis, text_analysis
from agent_sre.analysis.signals import KINDS, SERVICE, SystemKind, kind_of
from agent_sre.evidence.evidence import Evidence, EvidenceSet, Gap, Query
from agent_sre.evidence.kubernetes.objects import object_of
from agent_sre.evidence.playbook import Playbook, PlaybookStep, load_playbooks, playbook_for
from agent_sre.finding.diagnose import diagnose
from agent_sre.finding.finding import Confidence, Diagnosis, Finding
from agent_sre.finding.rank import seen_causes
from agent_sre.incident.incident import Incident
from agent_sre.kit.values import from_json, to_json
from evidence.builders import NOW, STARTS_AT, an_alert, an_incident
from fakes.hostile import HOSTILE, HOSTILE_MARKDOWN
from fakes.kubernetes import a_pod, an_object
from finding.answers import answer, evidence_set, gap, other, recurrence, related, target, targets, value
from growth import FAR_BELOW_QUADRATIC, growth

PLAYBOOKS = load_playbooks()
PAYLOADS = Path(__file__).parents[2].parent / "shared" / "data" / "payloads"
OFF = gap("not_configured", "Prometheus was not asked: PROMETHEUS_URL is not set.")
CLIMB = [float(point) for point in range(20, 100)]
POD = {"namespace": "shop", "pod": "cart-0", "node": "worker-3", "container": "cart"}
TASK_TYPES = ("logs", "incident", "monitoring", "performance", "general")


def analyse(incident: Incident, evidence: EvidenceSet | None = None, *, note: str = "no model is configured") -> Analysis:
    playbook = playbook_for(incident.lead.name, PLAYBOOKS)
    diagnosis = diagnose(incident, evidence or EvidenceSet(), playbook)
    return rules_analysis(incident, diagnosis, playbook, author_note=note, timings={"gather": 0.2}, now=NOW)


def alert(
    labels: dict[str, str],
    annotations: dict[str, str] | None = None,
    *,
    starts_at: datetime | None = STARTS_AT,
    ends_at: datetime | None = None,
) -> Alert:
    return Alert(
        fingerprint=fingerprint_of(labels),
        status=AlertStatus.RESOLVED if ends_at else AlertStatus.FIRING,
        labels=labels,
        annotations=annotations or {},
        starts_at=starts_at,
        ends_at=ends_at,
        generator_url="",
    )


def assert_whole(analysis: Analysis) -> None:
    """What the contract asks of every analysis, whatever it is about."""
    assert analysis.author == RULES
    assert analysis.markdown.startswith("## 🔍 Analysis\n")
    assert analysis.markdown.count("\n## ") == 1
    assert 3 <= len(analysis.recommendations) <= 5
    assert [item.id for item in analysis.recommendations] == [f"A{n}" for n in range(1, len(analysis.recommendations) + 1)]
    tail = analysis.markdown.split("## 💡 Recommendations\n")[1]
    numbered = re.findall(r"^(\d)\. \*\*(Immediate|Short-term|Investigation|Long-term|Prevention)\*\*: \S", tail, re.MULTILINE)
    assert [int(number) for number, _ in numbered] == list(range(1, len(analysis.recommendations) + 1))
    assert "$" not in re.sub(r"```.*?```", "", analysis.markdown, flags=re.DOTALL)
    assert analysis.markdown.rstrip().splitlines()[-1].startswith("Made by rules")
    assert analysis.confidence_reason
    json.dumps(analysis_json(analysis), allow_nan=False)
    assert from_json(Analysis, to_json(Analysis, analysis)) == analysis


# one alert alone


def test_the_document_s_own_example_is_analysed_in_its_own_names() -> None:
    labels = {"alertname": "HighCPU", "severity": "warning", "pod": "test-pod"}
    analysis = alert_analysis(alert(labels, {"summary": "High CPU usage", "description": "CPU usage above 80%"}), PLAYBOOKS, NOW)
    assert_whole(analysis)
    assert "HighCPU (warning) on Pod test-pod" in analysis.markdown
    assert "“High CPU usage”" in analysis.markdown
    assert "“CPU usage above 80%”" in analysis.markdown
    assert analysis.author_note == ALERT_ALONE
    assert analysis.confidence is Confidence.LOW
    assert "nothing was measured" in analysis.confidence_reason
    assert len(analysis.hypotheses) >= 3
    assert analysis.root_cause.startswith("Not confirmed yet; most often:")


@pytest.mark.parametrize("labels", [{"alertname": "SomethingNobodyKnows"}, {}, {"alertname": ""}, {"x": "y"}])
def test_an_alert_with_next_to_nothing_is_still_worth_reading(labels: dict[str, str]) -> None:
    analysis = alert_analysis(alert(labels, starts_at=None), PLAYBOOKS, NOW)
    assert_whole(analysis)
    assert analysis.hypotheses
    assert analysis.impact


def test_a_resolved_alert_is_told_as_over() -> None:
    resolved = alert({"alertname": "HighCPU", "pod": "a"}, ends_at=STARTS_AT + timedelta(minutes=7))
    analysis = alert_analysis(resolved, PLAYBOOKS, NOW)
    assert "was resolved after 7 min" in analysis.observations[0]
    assert incident_of(resolved, NOW).resolved_at == STARTS_AT + timedelta(minutes=7)


@pytest.mark.parametrize(("unit", "times"), [("pod", 40_000), ("x", 500_000), ("[E01]", 20_000), ("\u202e", 100_000)])
def test_a_monstrous_alert_name_costs_no_more_than_its_length(unit: str, times: int) -> None:
    def analysed(name: str) -> Analysis:
        return alert_analysis(alert({"alertname": name, "pod": name, "namespace": name}, {"summary": name}), PLAYBOOKS, NOW)

    # A tenth of the monster first: the whole one would take minutes where the time is quadratic.
    assert growth(analysed, unit * (times // 80), unit * (times // 10)) < FAR_BELOW_QUADRATIC
    assert growth(analysed, unit * (times // 8), unit * times) < FAR_BELOW_QUADRATIC
    assert_whole(analysed(unit * times))


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda playbook: playbook.name)
def test_every_playbook_renders_with_all_labels_and_with_none(playbook: Playbook) -> None:
    alert_name = playbook.alerts[0] if playbook.alerts else "SomethingNobodyKnows"
    everything = {
        **POD, "instance": "10.0.0.1:9100", "job": "api", "device": "sda1", "mountpoint": "/data", "reason": "Error", "service": "cart",
        "persistentvolumeclaim": "data-0", "deployment": "cart", "statefulset": "cart", "daemonset": "cart", "job_name": "cart-1",
    }  # fmt: skip
    for labels in ({}, everything, {"namespace": "shop"}):
        incident = an_incident(an_alert(alert_name, labels=labels))
        diagnosis = diagnose(incident, EvidenceSet(), playbook)
        assert_whole(rules_analysis(incident, diagnosis, playbook, author_note="", now=NOW))


def captured_labels() -> Iterator[dict[str, str]]:
    for path in sorted(PAYLOADS.glob("*.json")):
        for item in json.loads(path.read_bytes())["alerts"][:5]:
            yield {str(name): str(text) for name, text in item["labels"].items()}


def test_every_captured_alert_is_analysed_and_named() -> None:
    if not PAYLOADS.is_dir():
        pytest.skip("the captured payloads are not here")
    seen = 0
    for labels in captured_labels():
        analysis = alert_analysis(alert(labels), PLAYBOOKS, NOW)
        assert_whole(analysis)
        subject = incident_of(alert(labels), NOW).subject
        if re.fullmatch(r"[A-Za-z0-9._/:-]+", subject.name) and subject.kind != "Alert":
            assert subject.name in analysis.markdown
        seen += 1
    assert seen > 50


# an incident with evidence


def test_what_was_measured_is_told_with_its_id_and_what_was_not_with_its_reason() -> None:
    incident = an_incident(an_alert("KubePodOOMKilled", labels=POD))
    off = gap("timeout", "Prometheus did not answer within 1.2 s.", kind="up", number=8)
    analysis = analyse(incident, evidence_set(value(CLIMB), recurrence(3), off))
    assert_whole(analysis)
    measured = next(line for line in analysis.observations if line.startswith("Measured:"))
    assert measured.endswith("value is 99.0 (threshold > 80.0) [E01]")
    assert "after a steady climb" in measured
    assert any(line.startswith("Before: 4th time in 7 d – fired 3 times before") and line.endswith("[E02]") for line in analysis.observations)
    assert analysis.root_cause.startswith("Most likely: A memory leak. [E01]")
    assert analysis.confidence is Confidence.MEDIUM
    assert "Prometheus did not answer within 1.2 s." in analysis.markdown
    assert analysis.recommendations[0].text.startswith("Check the first cause:")
    assert analysis.recommendations[0].evidence_ids == ("E01",)
    assert analysis.timings == {"gather": 0.2}


def test_the_alert_s_own_expression_comes_first_with_what_it_returned() -> None:
    first = analyse(an_incident(an_alert("KubePodOOMKilled", labels=POD)), evidence_set(value(CLIMB))).investigation_queries[0]
    assert (first.language, first.text) == ("promql", "memory")
    assert first.returned == "value is 99.0 (threshold > 80.0) [E01]"


def test_queries_that_were_not_run_say_why() -> None:
    queries = analyse(an_incident(an_alert("KubePodOOMKilled", labels=POD)), evidence_set(OFF)).investigation_queries
    promql = [query for query in queries if query.language == "promql"]
    assert promql
    assert {query.returned for query in promql} == {"not run (Prometheus was not asked: PROMETHEUS_URL is not set)"}
    failed = replace(OFF, query=replace(OFF.query, kind="value", language="promql", expression="memory"), detail="It hangs.")
    first = analyse(an_incident(an_alert("KubePodOOMKilled", labels=POD)), evidence_set(failed)).investigation_queries[0]
    assert (first.text, first.returned) == ("memory", "not run (It hangs)")


def test_a_playbook_s_queries_say_what_they_returned_and_those_that_cannot_are_left_out() -> None:
    incident = an_incident(an_alert("KubePodOOMKilled", labels=POD))
    plain = [query for query in analyse(incident, EvidenceSet()).investigation_queries if query.language == "promql"]
    assert len(plain) > 2
    assert {query.returned for query in plain} == {"not run (nothing was asked yet)"}
    assert {query.ran_at for query in plain} == {None}
    asked = [replace(OFF.query, id=f"E4{n}", kind="suggested", language="promql", expression=query.text) for n, query in enumerate(plain)]
    answered = Evidence(
        id="E40",
        query=replace(asked[0], expression=asked[0].expression.replace(",", " , ")),
        subject=incident.subject,
        data=(),
        summary="container=cart: 93 %",
        collected_at=NOW,
        took=timedelta(0),
    )
    gaps = (
        Gap(query=asked[1], reason="no_metric", detail="This Prometheus has no metric x."),
        Gap(query=asked[2], reason="timeout", detail="It hangs."),
    )
    analysis = analyse(incident, EvidenceSet(items=(answered,), gaps=gaps))
    shown = {query.text: query for query in analysis.investigation_queries}
    assert shown[answered.query.expression].returned == "container=cart: 93 % [E40]"
    assert shown[answered.query.expression].ran_at == NOW
    assert plain[0].text not in shown or plain[0].text == answered.query.expression
    assert plain[1].text not in shown
    assert shown[plain[2].text].returned == "not run (It hangs)"
    assert "This Prometheus has no metric x" in analysis.markdown
    assert not any("E40" in line for line in analysis.observations)


def test_a_bundle_runs_no_query_and_says_so() -> None:
    incident = an_incident(an_alert("KubePodOOMKilled", labels=POD))
    contents = replace(value(CLIMB), query=replace(OFF.query, id="E01", source="bundle", kind="contents"))
    queries = analyse(incident, evidence_set(contents)).investigation_queries
    assert {query.returned for query in queries if query.language == "promql"} == {"not run (a bundle has no server that could)"}


def test_a_cause_that_was_only_reported_is_not_called_likely() -> None:
    sick = related(other("KubeNodeNotReady", "Node", "worker-3", near="same node"))
    analysis = analyse(an_incident(an_alert("KubePodOOMKilled", labels=POD)), evidence_set(sick))
    assert analysis.root_cause.startswith("Not measured, but suggested by what was reported: A symptom of KubeNodeNotReady about Node worker-3")
    assert analysis.confidence is Confidence.LOW
    assert "Look at Node worker-3 first" in analysis.recommendations[0].text


def test_all_members_are_named_up_to_ten_then_counted() -> None:
    few = an_incident(*(an_alert(f"Alert{n}", labels={"namespace": "shop", "pod": f"cart-{n}"}) for n in range(11)))
    line = next(line for line in analyse(few).observations if line.startswith("In the same incident:"))
    assert all(f"Alert{n} on Pod shop/cart-{n}" in line for n in range(1, 11))
    assert "more" not in line
    many = an_incident(*(an_alert(labels={"namespace": "shop", "pod": f"cart-{n}"}) for n in range(31)))
    line = next(line for line in analyse(many).observations if line.startswith("In the same incident:"))
    assert line.endswith("; and 20 more")
    assert "31 objects are affected" in analyse(many).impact


def test_a_member_that_is_over_is_marked() -> None:
    over = an_alert("Other", labels={"pod": "b"}, ends_at=STARTS_AT + timedelta(minutes=1))
    line = next(line for line in analyse(an_incident(an_alert(labels=POD), over)).observations if line.startswith("In the same"))
    assert "Other on Pod b (resolved)" in line


def test_names_of_pod_namespace_node_and_cluster_stand_in_the_markdown() -> None:
    markdown = analyse(an_incident(an_alert(labels=POD | {"pod": "cart-7d4f9c6b8-x2k9p"}))).markdown
    for name in ("cart-7d4f9c6b8-x2k9p", "shop", "worker-3", "prod-eu1", "container cart"):
        assert name in markdown


def test_annotations_are_quoted_redacted_and_cannot_cite() -> None:
    notes = {"summary": "password=hunter22 proves it [E01]", "description": "# Heading\n[link](http://evil)"}
    analysis = analyse(an_incident(an_alert(labels=POD, annotations=notes)))
    assert "hunter22" not in analysis.markdown
    assert "(E01)" in analysis.observations[1]
    assert "[E01]" not in analysis.markdown


def test_labels_that_nothing_else_tells_are_shown_and_many_are_counted() -> None:
    labels = POD | {f"extra_{n:02}": "x" for n in range(20)}
    line = next(line for line in analyse(an_incident(an_alert(labels=labels))).observations if line.startswith("Labels:"))
    assert line.startswith("Labels: extra_00=x, extra_01=x")
    assert line.endswith("and 12 more")


def test_the_report_of_a_storm_costs_no_more_than_in_proportion() -> None:
    def storm(alerts: int) -> Incident:
        return an_incident(*(an_alert(labels={"namespace": f"n{n % 7}", "pod": f"cart-{n}"}) for n in range(alerts)))

    assert growth(analyse, storm(500), storm(4000)) < FAR_BELOW_QUADRATIC


texts = st.one_of(st.text(max_size=80), st.sampled_from([*HOSTILE, *HOSTILE_MARKDOWN]))


@given(st.dictionaries(st.sampled_from(["alertname", "severity", "pod", "namespace", "node", "instance", "job", "x"]), texts), texts, texts)
@settings(max_examples=150, deadline=None)
def test_no_alert_adds_a_heading_a_list_a_link_or_html(labels: dict[str, str], summary: str, description: str) -> None:
    analysis = alert_analysis(alert(labels, {"summary": summary, "description": description}), PLAYBOOKS, NOW)
    tokens = MarkdownIt("commonmark", {"html": False}).parse(analysis.markdown)
    assert sum(token.type == "heading_open" for token in tokens) == 2
    assert not {"html_block", "hr", "blockquote_open", "code_block"} & {token.type for token in tokens}
    inline = {child.type for token in tokens for child in token.children or []}
    assert inline <= {"text", "code_inline", "strong_open", "strong_close", "softbreak"}
    numbered = [token for token in tokens if token.type == "ordered_list_open"]
    assert len(numbered) == 2
    assert 3 <= len(analysis.recommendations) <= 5


# parts


def test_too_many_steps_lose_a_later_one_of_a_horizon_that_comes_twice() -> None:
    steps = [PlaybookStep(horizon=horizon.value, text=f"{horizon.value} {n}") for horizon in Horizon for n in (1, 2)]
    first = PlaybookStep(horizon="Immediate", text="first of all")
    chosen = recommendations_of(steps, first=[first], evidence_ids=["E01"])
    assert [item.horizon for item in chosen] == list(Horizon)
    assert chosen[0].text == "first of all"
    assert chosen[0].evidence_ids == ("E01",)


def test_too_few_steps_are_made_up_and_unknown_horizons_left_out() -> None:
    chosen = recommendations_of([PlaybookStep(horizon="Someday", text="x"), PlaybookStep(horizon="Prevention", text="y")])
    assert len(chosen) == 3
    assert "x" not in {item.text for item in chosen}


def test_words_of_others_are_one_line_without_secrets_and_citations() -> None:
    assert said("a\nb [E02] token=abcdef") == "a b (E02) token=<secret>"
    assert said("x" * 500, 100) == f"{'x' * 100}…(+400)"
    assert cited("so it is", ("E01", "E03")) == "so it is [E01] [E03]"


# texts


@pytest.mark.parametrize("task_type", [*TASK_TYPES, "chat"])
@pytest.mark.parametrize("message", ["", "hello", "ERROR connection refused", "x" * 50_000, HOSTILE_MARKDOWN[3], "postgres is slow"])
def test_any_text_of_any_task_gets_a_whole_answer(task_type: str, message: str) -> None:
    analysis = text_analysis(task_type, message, facts={"open incidents": "3"}, author_note="Ollama did not answer (timeout)", now=NOW)
    assert_whole(analysis)
    assert analysis.task_type == task_type
    assert "open incidents: 3" in analysis.observations
    assert analysis.confidence is Confidence.LOW
    assert analysis.markdown.rstrip().endswith("Made by rules; Ollama did not answer (timeout).")


@given(st.sampled_from(TASK_TYPES), texts)
@settings(max_examples=100, deadline=None)
def test_no_text_adds_a_heading_a_link_or_html(task_type: str, message: str) -> None:
    analysis = text_analysis(task_type, message, facts={}, author_note="", now=NOW)
    tokens = MarkdownIt("commonmark", {"html": False}).parse(analysis.markdown)
    assert sum(token.type == "heading_open" for token in tokens) == 2
    inline = {child.type for token in tokens for child in token.children or []}
    assert inline <= {"text", "code_inline", "strong_open", "strong_close", "softbreak"}


def test_logs_are_counted_cited_and_explained() -> None:
    lines = ["2026-11-23T06:40:11Z INFO fine"] * 90 + [f"2026-11-23T06:40:12Z ERROR dial tcp 10.0.0.{n}:5432: connection refused" for n in range(10)]
    analysis = text_analysis("logs", "\n".join(lines), facts={}, author_note="", now=NOW)
    assert analysis.title == "Log analysis: 100 lines, 10 of them errors"
    assert analysis.hypotheses[0].cause.startswith("Nothing listens where the program connects to")
    assert analysis.hypotheses[0].supporting == ("E01",)
    assert analysis.evidence[0].summary.startswith("10 × error: <time> ERROR dial tcp <ip>: connection refused")
    assert "10 of 100 lines are errors (10.0 %)" in analysis.impact
    assert analysis.recommendations[0].evidence_ids == ("E01",)


def test_a_clue_among_many_templates_is_still_cited() -> None:
    words = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")
    lines = [f"ERROR {word} went wrong" for word in words for _ in range(2)]
    analysis = text_analysis("logs", "\n".join([*lines, "ERROR no space left on device"]), facts={}, author_note="", now=NOW)
    assert analysis.hypotheses[0].supporting
    assert analysis.hypotheses[0].supporting[0] in {item.id for item in analysis.evidence}


def test_an_incident_in_words_is_recognised_with_the_objects_that_it_names() -> None:
    text = "pod api-7d4f9c6b8-x2k9p in namespace shop keeps crash looping"
    analysis = text_analysis("incident", text, facts={}, author_note="", now=NOW)
    assert analysis.title.endswith("A container crashes again and again")
    assert "kubectl -n shop logs api-7d4f9c6b8-x2k9p" in analysis.markdown
    assert "crash looping" in analysis.observations[0]


def test_an_alert_name_in_a_text_beats_every_pattern() -> None:
    topics = topics_of("is KubePersistentVolumeFillingUp like a memory leak that crashes pods?", PLAYBOOKS)
    assert "KubePersistentVolumeFillingUp" in topics[0].alerts


def test_a_text_that_a_pattern_half_fits_a_thousand_times_costs_no_more_than_its_length() -> None:
    def search(text: str) -> None:
        topics_of(text, PLAYBOOKS)

    half_fit = "pod container service app "
    # Linear at most (eightfold; found: twofold), because only the first 300 characters of a sentence are searched. Without that, 26-fold.
    assert growth(search, half_fit * 40, half_fit * 320) < 8
    # And what lies beyond 8,000 characters is not searched at all.
    assert growth(search, half_fit * 320, half_fit * 2560) < 8


def test_an_unknown_incident_gets_the_checklist() -> None:
    analysis = text_analysis("incident", "everything is strange today", facts={}, author_note="", now=NOW)
    assert "Impact first" in analysis.recommendations[0].text
    assert analysis.root_cause.startswith("Unknown")
    assert analysis.hypotheses == ()


@pytest.mark.parametrize(
    ("system", "kind"),
    [
        ("postgres in the shop namespace", "PostgreSQL"),
        ("our MariaDB cluster", "MySQL"),
        ("redis cache", "Redis"),
        ("kafka", "Kafka"),
        ("nginx ingress", "an ingress or reverse proxy"),
        ("linux hosts", "a machine"),
        ("deployment cart", "a Kubernetes workload"),
        ("checkout", "a service that answers requests"),
    ],
)
def test_monitoring_advice_knows_the_kind_of_system(system: str, kind: str) -> None:
    assert kind_of(system).name == kind
    analysis = text_analysis("monitoring", system, facts={}, author_note="", now=NOW)
    assert [query.why.split(":")[0] for query in analysis.investigation_queries] == ["Latency", "Traffic", "Errors", "Saturation"]
    assert analysis.recommendations[0].language == "promql"


def test_monitoring_advice_is_about_the_named_system() -> None:
    by_job = text_analysis("monitoring", "checkout", facts={}, author_note="", now=NOW)
    assert all('job="checkout"' in query.text for query in by_job.investigation_queries)
    by_namespace = text_analysis("monitoring", "postgres in namespace shop", facts={}, author_note="", now=NOW)
    assert all('namespace="shop"' in query.text for query in by_namespace.investigation_queries)


@pytest.mark.parametrize("system", ["checkout", "postgres in namespace shop", "all of it, please"])
@pytest.mark.parametrize("kind", [*KINDS, SERVICE], ids=lambda kind: kind.name)
def test_all_advised_queries_are_promql(kind: SystemKind, system: str) -> None:
    analysis = text_analysis("monitoring", f"{system} {kind.name}", facts={}, author_note="", now=NOW)
    commands = [item.command for item in analysis.recommendations if item.language == "promql"]
    assert len(commands) == 2
    for query in [*commands, *(query.text for query in analysis.investigation_queries)]:
        promql_parser.parse(query)


def test_a_general_question_without_a_model_says_so_and_offers_what_is_known() -> None:
    known = text_analysis("general", "what does KubePodCrashLooping mean?", facts={}, author_note="Ollama is off", now=NOW)
    assert "not by a language model" in known.observations[0]
    assert known.hypotheses
    unknown = text_analysis("general", "tell me a joke", facts={}, author_note="Ollama is off", now=NOW)
    assert unknown.hypotheses == ()
    assert "/analyze-logs" in unknown.markdown


def test_fixed_clock_gives_fixed_words() -> None:
    incident = an_incident(an_alert("KubePodOOMKilled", labels=POD))
    evidence = evidence_set(value(CLIMB), recurrence(3), targets(target("EOF")), answer("prometheus", "active", number=6))
    assert analyse(incident, evidence) == analyse(incident, evidence)
    assert datetime.now(UTC).isoformat()[:16] not in analyse(incident, evidence).markdown


def test_the_reference_names_every_field_of_the_json() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "analysis.md").read_text(encoding="utf-8")
    named = {name.removesuffix("[]") for name in re.findall(r"`([a-z_]+(?:\[\])?)`", page)}
    document = analysis_json(analyse(an_incident(an_alert(labels=POD)), evidence_set(value(CLIMB), OFF)))
    assert set(document) <= named
    for part in ("evidence", "gaps", "hypotheses", "investigation_queries", "recommendations"):
        assert set(document[part][0]) <= named


def test_of_the_lists_of_a_cluster_only_those_with_trouble_get_a_line() -> None:
    def listed(kind: str, summary: str, *manifests: dict[str, Any]) -> Evidence:
        query = Query(id="", source="kubernetes", kind=kind, expression=f"kubectl get {kind}", purpose="x", language="bash")
        objects = tuple(found for manifest in manifests if (found := object_of(manifest)))
        return replace(recurrence(0), query=query, data=objects, summary=summary)

    pods = listed("pods", "1 pod, 1 not as it should be", a_pod("cart-0", ready=False))
    items = (pods, listed("nodes", "1 node", an_object("Node", "worker-1", namespace="")), listed("jobs", "no jobs"))
    evidence = EvidenceSet(items=tuple(replace(item, id=f"E{number:02d}") for number, item in enumerate(items, 1)))
    told = [line for line in analyse(an_incident(), evidence).markdown.splitlines() if line.startswith("- Kubernetes: ")]
    assert told == ["- Kubernetes: 1 pod, 1 not as it should be [E01]"]


# The verdict


def verdict(*, confidence: Confidence, rival: bool = False, next_check: str = "") -> Analysis:
    """The analysis of a world in which a container was killed for lack of memory, and perhaps another one as well."""
    incident = an_incident(an_alert(labels={"alertname": "SlowShop", "namespace": "shop"}))
    names = ("cart", "basket") if rival else ("cart",)
    findings = tuple(
        Finding(
            detector="memory",
            summary=f"{name} was killed 3 times",
            subject=Subject(kind="Deployment", name=name, namespace="shop"),
            facts={},
            evidence_ids=("E01",),
            cause="oom_killed",
            weight=0.9,
            against=f"the memory of {name} was never measured",
        )
        for name in names
    )
    hypotheses = tuple(replace(item, id=f"H{number}") for number, item in enumerate(seen_causes(findings), 1))
    evidence = evidence_set(answer("kubernetes", "pods"))
    diagnosis = Diagnosis(
        evidence=evidence, findings=findings, hypotheses=hypotheses, confidence=confidence, confidence_reason="two kinds of evidence agree",
        ruled_out=(replace(hypotheses[0], cause="The node is short of memory", doubts=("no node reports pressure",), contradicting=("E01",)),),
        chain=("cart ran out of memory [E01]", "the shop waits for cart [E01]"), next_check=next_check,
    )  # fmt: skip
    return rules_analysis(incident, diagnosis, playbook_for("SlowShop", PLAYBOOKS), author_note="no model is configured", now=NOW)


def test_a_sure_cause_is_said_plainly_with_its_own_steps_over_the_object_that_was_seen() -> None:
    analysis = verdict(confidence=Confidence.HIGH)
    assert analysis.root_cause.startswith("Deployment shop/cart was killed")
    assert analysis.root_cause.endswith("[E01]")
    assert any("kubectl describe deployment cart -n shop" in item.command for item in analysis.recommendations)
    assert_whole(analysis)


def test_what_was_seen_what_speaks_against_it_and_what_was_ruled_out_stand_in_the_report() -> None:
    text = verdict(confidence=Confidence.MEDIUM).markdown
    assert "Most likely: Deployment shop/cart was killed" in text
    for part in ("cart was killed 3 times", "never measured", "From the source to the symptom", "waits for cart", "no node reports pressure"):
        assert part in text


def test_two_causes_that_cannot_be_told_apart_are_both_said_with_the_check_that_would_tell() -> None:
    analysis = verdict(confidence=Confidence.LOW, rival=True, next_check="Look which of them was killed first.")
    assert analysis.root_cause.startswith("Inconclusive. Either")
    assert "shop/cart" in analysis.root_cause
    assert "shop/basket" in analysis.root_cause
    assert analysis.recommendations[0].text == "Look which of them was killed first."
    assert "**Next best check:** Look which of them was killed first." in analysis.markdown


def test_the_json_tells_the_verdict_whole() -> None:
    plain = analysis_json(verdict(confidence=Confidence.MEDIUM))
    first = plain["hypotheses"][0]
    assert (first["name"], first["object"]) == ("oom_killed", "Deployment shop/cart")
    assert first["reasons"] == ["cart was killed 3 times"]
    assert first["doubts"] == ["the memory of cart was never measured"]
    assert plain["ruled_out"][0]["doubts"] == ["no node reports pressure"]
    assert len(plain["causal_chain"]) == 2
