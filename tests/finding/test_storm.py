"""Who is the source of a storm, by the shape of its alerts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent_sre.evidence.evidence import Dependency, EvidenceSet, Fact
from agent_sre.finding.detectors.storm import Storm as StormDetector
from agent_sre.finding.storm import Usual, family_of, sibling_name, signs_of, storm_alert, storm_of, storm_weights, suspects
from agent_sre.finding.world import World
from evidence.builders import an_alert, an_incident
from finding.answers import answer, evidence_set
from growth import FAR_BELOW_QUADRATIC, growth

LEDGER_ILL = [
    {"alertname": "MetricAnomaly", "pod": "ledger-0", "metric": "memory_rss", "direction": "up"},
    {"alertname": "MetricAnomaly", "pod": "ledger-0", "metric": "memory_usage", "direction": "up"},
    {"alertname": "MetricAnomaly", "pod": "ledger-0", "metric": "server_p95", "direction": "up"},
    {"alertname": "ContainerRestarted", "pod": "ledger-0"},
    {"alertname": "MetricAnomaly", "pod": "quay-0", "metric": "client_p95", "direction": "up"},
    {"alertname": "MetricAnomaly", "pod": "quay-1", "metric": "client_p95", "direction": "up"},
    {"alertname": "CallSlow", "pod": "ledger-0", "source": "quay-0"},
    {"alertname": "CallSlow", "pod": "ledger-0", "source": "quay-1"},
]


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("container_memory_rss", "memory"),
        ("KubePodCrashLooping", "down"),
        ("HighRequestLatency", "latency"),
        ("http_p99", "latency"),
        ("success_rate", "errors"),
        ("HTTP 5xx", "errors"),
        ("dest_qps", "traffic"),
        ("NodeFilesystemAlmostOutOfSpace", "disk"),
        ("cpu_core_7_pct", "cpu"),
        ("net_receive", "network"),
        ("DeploymentWorkloadStrange", "other"),  # a workload is no load
    ],
)
def test_an_alert_is_known_by_generic_words(text: str, family: str) -> None:
    assert family_of(text) == family


def test_fewer_successes_are_more_errors() -> None:
    assert storm_alert({"alertname": "A", "pod": "x", "metric": "success_rate", "direction": "down"}).sort == "errors+"
    assert storm_alert({"alertname": "A", "pod": "x", "metric": "client_success_rate", "direction": "up"}).sort == "client errors-"


def test_a_call_that_is_no_error_is_slow_and_belongs_to_both_ends() -> None:
    alert = storm_alert({"alertname": "TraceAnomaly", "pod": "ledger-0", "source": "quay-0", "kind": "unknown"})
    assert (alert.object, alert.caller, alert.sort) == ("ledger-0", "quay-0", "calls latency")
    quay, ledger = signs_of(storm_of([alert], nodes=["quay-0"]))[::-1]
    assert "many its calls latency" in quay
    assert "many calls latency" in ledger


@pytest.mark.parametrize(
    ("name", "program"),
    [("ledger-7f9c6d5b8c-k2x9p", "ledger"), ("ledger-0", "ledger"), ("ledger2", "ledger"), ("ledger-db-0", "ledger-db"), ("7", "7")],
)
def test_replicas_share_a_name(name: str, program: str) -> None:
    assert sibling_name(name) == program


def test_the_ill_one_comes_before_those_that_wait_for_it() -> None:
    ranked = suspects(storm_of((storm_alert(labels) for labels in LEDGER_ILL), edges=[("quay-0", "ledger-0"), ("quay-1", "ledger-0")]))
    assert ranked[0].name == "ledger-0"
    assert sum(suspect.score for suspect in ranked) == pytest.approx(1)
    assert ranked[0].reasons


def test_an_alert_that_always_fires_says_less_than_one_that_never_did() -> None:
    noisy = storm_alert({"alertname": "LogAnomaly", "pod": "tide-0"})
    new = storm_alert({"alertname": "LogAnomaly", "pod": "crane-0"})
    usual = Usual()
    for _ in range(20):
        usual.learn(storm_of([noisy], nodes=["crane-0", "tide-0"]))
    assert usual.surprise(new) > usual.surprise(noisy) + 2
    ranked = suspects(storm_of([noisy, new]), usual)
    assert ranked[0].name == "crane-0"
    assert usual.missed(storm_of([new], nodes=["tide-0"]))["tide-0"] > 2


def test_a_storm_of_nobody_has_no_suspects() -> None:
    assert suspects(storm_of([])) == ()


def test_weights_name_no_object() -> None:
    """What is learned is the shape: every sign is a measure and a sort of alert."""
    words = {word for history in (True, False) for sign in storm_weights(history) for word in sign.rstrip("+-").split()}
    measures = {"many", "odd", "new", "rare", "unlike", "client", "server", "calls", "its", "inner", "other"}
    whole = {"silent", "alerts", "most", "sorts", "alone", "neighbours", "around", "missed", "usual", "lost"}
    whole |= {"callers", "that", "complain", "callees", "complained", "about", "only"}
    families = {"down", "latency", "errors", "traffic", "cpu", "memory", "disk", "network", "process", "log"}
    assert words <= measures | whole | families


def test_the_detector_names_the_source_and_cites_the_alerts() -> None:
    members = [an_alert(labels["alertname"], labels={**labels, "namespace": "harbour"}) for labels in LEDGER_ILL]
    calls = replace(answer("prometheus", "dependencies", number=2), data=(Dependency(source="quay-0", destination="ledger-0", via="mesh"),))
    evidence = evidence_set(answer("alert", "members"), calls)
    (finding,) = StormDetector().detect(World(an_incident(*members), evidence))
    assert finding.subject.name == "ledger-0"
    assert finding.summary.startswith("Of 3 objects that alert together, Pod harbour/ledger-0 looks most like the source")
    assert finding.evidence_ids == ("E01",)


def test_the_detector_knows_what_usually_fires() -> None:
    """Every storm has the crane's alerts; the tide's is new."""
    noisy = [an_alert("LogAnomaly", labels={"namespace": "harbour", "pod": f"crane-{number}"}) for number in range(3)]
    new = an_alert("LogAnomaly", labels={"namespace": "harbour", "pod": "tide-0"})
    whole = Fact(name="usual", text="", values={"incidents": 40})
    each = [Fact(name="usual_alert", text="", values={"fingerprint": alert.fingerprint, "incidents": 39}) for alert in noisy]
    evidence = evidence_set(answer("alert", "members", number=1), answer("history", "usual", whole, *each, number=2))
    (finding,) = StormDetector().detect(World(an_incident(*noisy, new), evidence))
    assert finding.subject.name == "tide-0"
    assert finding.evidence_ids == ("E01", "E02")


def test_the_detector_says_nothing_of_two_objects_or_of_equal_ones() -> None:
    alike = [an_alert("Down", labels={"namespace": "harbour", "pod": f"crane-{number}"}) for number in range(6)]
    assert list(StormDetector().detect(World(an_incident(*alike[:2]), EvidenceSet()))) == []
    assert list(StormDetector().detect(World(an_incident(*alike), EvidenceSet()))) == []


def test_a_large_storm_costs_no_more_than_in_proportion() -> None:
    def storm(alerts: int) -> World:
        members = [an_alert(f"A{number % 7}", labels={"namespace": "harbour", "pod": f"crane-{number}"}) for number in range(alerts)]
        return World(an_incident(*members), EvidenceSet())

    assert growth(lambda world: list(StormDetector().detect(world)), storm(500), storm(4000)) < FAR_BELOW_QUADRATIC
