"""What each detector sees, and what it leaves alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent_sre.evidence.evidence import Evidence, Fact
from agent_sre.finding.detectors import DETECTORS
from agent_sre.finding.finding import Finding
from agent_sre.finding.world import World
from agent_sre.incident.incident import Incident
from evidence.builders import STARTS_AT, an_alert, an_incident
from finding.answers import answer, evidence_set, other, recurrence, related, rule, target, targets, value

POD = {"namespace": "shop", "pod": "cart-0", "node": "worker-3"}


def pod_incident() -> Incident:
    return an_incident(an_alert(labels=POD))


def detect(name: str, *items: Evidence, incident: Incident | None = None) -> list[Finding]:
    return list(DETECTORS[name].detect(World(incident or pod_incident(), evidence_set(*items))))


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, found
    return found[0]


# threshold


def test_a_value_that_climbs_steadily_is_called_so() -> None:
    finding = only(detect("threshold", value([float(point) for point in range(20, 100)])))
    assert finding.facts["trend"] == "rising"
    assert finding.facts["clue"] == "steady_growth"
    assert finding.facts["over_ratio"] == pytest.approx(0.2375)
    assert finding.summary == "24 % above its threshold, still rising, after a steady climb"
    assert finding.evidence_ids == ("E01",)


def test_a_sudden_step_is_no_climb_even_if_a_scrape_fell_into_it() -> None:
    for curve in ([10.0] * 40 + [95.0] * 40, [10.0] * 40 + [50.0] + [95.0] * 40):
        finding = only(detect("threshold", value(curve)))
        assert finding.facts["clue"] == "jump"
        assert finding.facts["trend"] == "flat"


def test_a_short_spike_that_is_gone_has_no_shape() -> None:
    finding = only(detect("threshold", value([10.0] * 40 + [95.0, 96.0] + [10.0] * 40, breaching=False)))
    assert "clue" not in finding.facts
    assert finding.summary.startswith("Not across its threshold now")


def test_noise_around_a_level_has_no_shape() -> None:
    finding = only(detect("threshold", value([90.0, 84.0, 91.0, 85.0] * 20)))
    assert "clue" not in finding.facts


def test_below_the_threshold_falling_is_what_rising_is_for_others() -> None:
    finding = only(detect("threshold", value([float(100 - point) for point in range(95)], op="<", threshold=10.0)))
    assert finding.facts["clue"] == "steady_growth"
    assert "below its threshold, still falling" in finding.summary


def test_a_threshold_of_zero_or_none_gives_no_percentage() -> None:
    assert "over_ratio" not in only(detect("threshold", value([5.0] * 20, threshold=0.0))).facts
    assert only(detect("threshold", value([5.0] * 20, threshold=None, op=""))).summary.startswith("Still as the rule describes it")
    assert only(detect("threshold", value([0.0] * 20, threshold=0.0, op="=="))).summary.startswith("Still as the rule describes it")


def test_a_series_that_ended_says_nothing_about_now() -> None:
    assert "nothing is known about now" in only(detect("threshold", value([90.0] * 20, ended=True, breaching=False))).summary


def test_an_empty_answer_gives_no_finding() -> None:
    assert detect("threshold", answer("prometheus", "value")) == []


# target_down


@pytest.mark.parametrize(
    ("error", "clue"),
    [
        ('Get "http://10.0.0.7:9100/metrics": dial tcp 10.0.0.7:9100: connect: connection refused', "connection_refused"),
        ('Get "http://api/metrics": dial tcp: lookup api on 10.96.0.10:53: no such host', "dns_failure"),
        ('Get "https://a/metrics": tls: failed to verify certificate: x509: certificate has expired', "tls_failure"),
        ("server returned HTTP status 403 Forbidden", "no_access"),
        ("server returned HTTP status 401 Unauthorized", "no_access"),
        ("server returned HTTP status 404 Not Found", "not_found"),
        ("server returned HTTP status 503 Service Unavailable", "server_error"),
        ('Get "http://a/metrics": dial tcp 10.0.0.7:9100: connect: no route to host', "no_route"),
        ('Get "http://a/metrics": context deadline exceeded', "scrape_timeout"),
        ('Get "http://a/metrics": EOF', "connection_reset"),
        ("sample limit exceeded", "bad_metrics"),
        ("expected value after metric, got \"<\" (\"INVALID\") while parsing", "bad_metrics"),
    ],
)  # fmt: skip
def test_the_words_of_a_scrape_error_tell_the_cause(error: str, clue: str) -> None:
    finding = only(detect("target_down", targets(target(error))))
    assert finding.facts["clue"] == clue
    assert finding.summary.startswith("10.0.0.7:9100 ")
    assert finding.cause.startswith("target_")


def test_targets_with_one_trouble_are_one_finding() -> None:
    down = [target("connection refused", instance=f"10.0.0.{number}:80") for number in range(3)]
    found = detect("target_down", targets(*down, target("EOF", instance="b:80"), target("", instance="c:80", health="up")))
    assert [finding.facts["targets"] for finding in found] == [3, 1]
    assert "(3 targets alike)" in found[0].summary


def test_an_error_that_nobody_knows_is_not_explained() -> None:
    assert detect("target_down", targets(target("something new"))) == []


def test_a_target_that_is_not_configured_any_more_is_a_finding() -> None:
    assert only(detect("target_down", targets())).facts["clue"] == "not_scraped"


def test_a_target_that_answers_again_is_a_finding() -> None:
    up = answer("prometheus", "up", Fact(name="up", text="", values={"down": 0, "total": 2}))
    assert only(detect("target_down", up)).summary == "The target answers again"
    down = answer("prometheus", "up", Fact(name="up", text="", values={"down": 1, "total": 2}))
    assert detect("target_down", down) == []


# rule_health, stale


def test_a_rule_that_fails_is_not_to_be_trusted() -> None:
    finding = only(detect("rule_health", rule(health="err", error="many-to-many matching not allowed")))
    assert "many-to-many matching not allowed" in finding.summary
    assert finding.facts["clue"] == "rule_error"


@pytest.mark.parametrize("health", ["ok", "unknown", ""])
def test_a_rule_that_works_is_not_worth_a_word(health: str) -> None:
    assert detect("rule_health", rule(health=health)) == []


def test_a_rule_that_is_not_there_is_a_finding() -> None:
    assert only(detect("rule_health", answer("prometheus", "rule"))).facts["known"] is False


def test_a_firing_alert_that_prometheus_does_not_list_may_be_over() -> None:
    not_listed = answer("prometheus", "active")
    assert "no longer lists" in only(detect("stale", not_listed)).summary
    resolved = an_incident(an_alert(labels=POD, ends_at=STARTS_AT + timedelta(hours=1)))
    assert detect("stale", not_listed, incident=resolved) == []


# recurrence


def test_the_fourth_time_in_a_week_is_counted_from_one() -> None:
    finding = only(detect("recurrence", recurrence(3, median_seconds=3600)))
    assert finding.summary == "4th time in 7 d"
    assert finding.facts["flapping"] is False


def test_short_and_frequent_is_flapping() -> None:
    finding = only(detect("recurrence", recurrence(11, median_seconds=240)))
    assert finding.summary == "Flapping: 12th time in 7 d, and it usually ends by itself after 4 min"
    assert finding.facts["clue"] == "flapping"


def test_the_first_time_is_no_recurrence() -> None:
    assert detect("recurrence", answer("history", "recurrence")) == []
    assert detect("recurrence", recurrence(0)) == []


@pytest.mark.parametrize(("count", "word"), [(1, "2nd"), (2, "3rd"), (10, "11th"), (12, "13th"), (20, "21st"), (111, "112th")])
def test_ordinals_are_english(count: int, word: str) -> None:
    assert only(detect("recurrence", recurrence(count))).summary.startswith(f"{word} time")


# related


def test_a_sick_node_under_the_pod_is_the_deeper_trouble() -> None:
    finding = only(detect("related", related(other("KubeNodeNotReady", "Node", "worker-3", near="same node"))))
    assert finding.summary == "May be a symptom of KubeNodeNotReady about Node worker-3 (INC-3), which is open as well"
    assert finding.subject.name == "worker-3"
    assert (finding.cause, finding.weight) == ("symptom_of_another_alert", 0.6)


def test_the_node_comes_before_the_control_plane() -> None:
    control = other("etcdNoLeader", "Component", "etcd", near="same cluster")
    node = other("KubeNodeNotReady", "Node", "worker-3", near="same node")
    assert only(detect("related", related(control, node))).subject.name == "worker-3"
    assert only(detect("related", related(control))).subject.name == "etcd"


@pytest.mark.parametrize(
    "neighbour",
    [
        other("KubeNodeNotReady", "Node", "worker-9", near="same cluster"),
        other("KubePodCrashLooping", "Pod", "api-0", near="same node", namespace="shop"),
        other("KubeNodeNotReady", "Node", "worker-3", near="same node", minutes_before=-20),
        other("etcdNoLeader", "Component", "etcd", near="elsewhere"),
    ],
    ids=["another node", "a neighbour, not below", "began much later", "another cluster"],
)
def test_what_is_not_deeper_and_not_earlier_is_no_cause(neighbour: Fact) -> None:
    assert detect("related", related(neighbour)) == []


def test_a_node_is_not_a_symptom_of_itself() -> None:
    incident = an_incident(an_alert("KubeNodeNotReady", labels={"node": "worker-3"}))
    assert detect("related", related(other("KubeletDown", "Node", "worker-3", near="same node")), incident=incident) == []


def test_a_crowd_on_the_node_is_told_before_one_in_the_namespace() -> None:
    finding = only(detect("related", related(near={"same node": 7, "same namespace": 30})))
    assert finding.summary == "7 other alerts are open on the same node: look for what they share"
    assert detect("related", related(near={"same node": 2, "same namespace": 4, "same cluster": 50})) == []


# short_lived, spread


def test_an_incident_that_lasted_seconds_is_called_short() -> None:
    short = an_incident(an_alert(labels=POD, ends_at=STARTS_AT + timedelta(seconds=40)))
    assert only(detect("short_lived", incident=short)).summary.startswith("Over after 40 s")
    long = an_incident(an_alert(labels=POD, ends_at=STARTS_AT + timedelta(minutes=6)))
    assert detect("short_lived", incident=long) == []
    assert detect("short_lived") == []


def test_what_all_members_share_is_told_deepest_first() -> None:
    on_a_node = an_incident(*(an_alert(labels={"namespace": f"n{i}", "pod": f"a{i}-0", "node": "worker-3"}) for i in range(4)))
    assert only(detect("spread", incident=on_a_node)).summary == "All 4 affected objects are on Node worker-3"
    of_a_workload = an_incident(*(an_alert(labels={"namespace": "shop", "pod": f"cart-{i}"}) for i in range(3)))
    assert only(detect("spread", incident=of_a_workload)).summary == "All 3 affected objects are pods of cart"
    in_a_namespace = an_incident(*(an_alert(labels={"namespace": "shop", "deployment": name}) for name in ("a", "b", "c")))
    assert only(detect("spread", incident=in_a_namespace)).summary == "All 3 affected objects are in Namespace shop"


def test_two_objects_or_nothing_in_common_is_not_told() -> None:
    two = an_incident(*(an_alert(labels={"namespace": "shop", "pod": f"cart-{i}"}) for i in range(2)))
    assert detect("spread", incident=two) == []
    scattered = an_incident(*(an_alert(labels={"namespace": f"n{i}", "pod": f"x{i}-0"}) for i in range(4)))
    assert detect("spread", incident=scattered) == []
