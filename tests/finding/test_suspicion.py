"""Whom the curves speak against, in small worlds of our own."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from agent_sre.alert.subject import Subject
from agent_sre.evidence.derived import with_changes
from agent_sre.evidence.evidence import Change, Data, Dependency, Evidence, EvidenceSet, LogPattern, MetricSeries, Query
from agent_sre.finding.detectors import DETECTORS
from agent_sre.finding.diagnose import detect
from agent_sre.finding.finding import Finding
from agent_sre.finding.rank import seen_causes
from agent_sre.finding.suspicion import address, suspects
from agent_sre.finding.world import World
from evidence.builders import NOW, an_alert, an_incident

ONSET = NOW - timedelta(minutes=1)


def series(name: str, before: float, after: float, seed: int = 0, **labels: str) -> MetricSeries:
    """An hour of a little noise, then another level from two minutes before the alert on."""
    chance = random.Random(f"{name}{sorted(labels.items())}{seed}")
    start = ONSET.timestamp() - 3600
    points = []
    for minute in range(62):
        level = after if minute >= 58 else before
        points.append((start + minute * 60, level * (1 + chance.uniform(-0.05, 0.05))))
    return MetricSeries(labels={"__name__": name, "namespace": "shop", **labels}, points=tuple(points))


def edge(source: str, destination: str, made: tuple[float, float], answered: tuple[float, float]) -> list[Data]:
    ends = {"source": made, "destination": answered}
    return [series("request_duration_p50_seconds", *levels, reporter=end, source=source, destination=destination) for end, levels in ends.items()]


def world_of(*data: Data) -> World:
    items = [
        Evidence(
            id=f"E{number:02d}",
            query=Query(id=f"E{number:02d}", source="prometheus", kind="series", expression="x", purpose="x"),
            subject=Subject(kind="Service", name="web"),
            data=(item,),
            summary="x",
            collected_at=NOW,
            took=timedelta(0),
        )
        for number, item in enumerate(data, 1)
    ]
    alert = an_alert("FrontendBurnsBudget", labels={"namespace": "shop", "service": "web"}, starts_at=ONSET)
    incident = an_incident(alert)
    return World(incident, with_changes(EvidenceSet(items=tuple(items)), incident, NOW))


def first(world: World) -> tuple[str, str]:
    found = suspects(world)
    return (found[0].subject.name, found[0].cause) if found else ("", "")


def calls(*pairs: tuple[str, str]) -> list[Data]:
    return [Dependency(source=source, destination=destination, via="mesh") for source, destination in pairs]


def service_findings(world: World) -> list[Finding]:
    return [finding for finding in detect(world) if finding.cause]


def test_a_full_processor_is_to_blame_and_not_those_who_wait_for_it() -> None:
    world = world_of(
        *calls(("web", "basket"), ("web", "stock")),
        series("pod_cpu_usage_percent", 10, 95, service="stock"),
        series("pod_cpu_usage_percent", 10, 10, service="basket"),
        *edge("web", "stock", (0.01, 1.0), (0.01, 1.0)),
        *edge("web", "basket", (0.01, 0.01), (0.01, 0.01)),
        series("pod_server_latency_p95_seconds", 0.1, 1.2, service="web"),
    )
    assert first(world) == ("stock", "cpu_saturation")


def test_twice_the_cpu_for_twice_the_requests_is_no_trouble() -> None:
    world = world_of(series("pod_cpu_usage_percent", 20, 40, service="stock"), series("pod_requests_per_second", 50, 100, service="stock"))
    assert all(clue.strength < 0.2 for item in suspects(world) for clue in item.clues if clue.kind == "cpu")
    assert {finding.cause for finding in service_findings(world)} == {"traffic_shift"}


def test_a_call_slow_where_it_is_made_and_not_where_it_is_answered_is_the_network_of_the_one_called() -> None:
    world = world_of(
        *calls(("web", "stock"), ("orders", "stock"), ("web", "orders")),
        *edge("web", "stock", (0.01, 0.4), (0.01, 0.01)),
        *edge("orders", "stock", (0.01, 0.4), (0.01, 0.01)),
        *edge("web", "orders", (0.05, 0.5), (0.05, 0.5)),
    )
    assert first(world) == ("stock", "network_delay")


def test_a_service_that_waits_for_a_slow_one_is_not_to_blame() -> None:
    world = world_of(
        *calls(("web", "orders"), ("orders", "stock")),
        *edge("web", "orders", (0.1, 1.1), (0.1, 1.1)),
        *edge("orders", "stock", (0.01, 1.0), (0.01, 1.0)),
    )
    assert first(world) == ("stock", "slow_component")


def test_failures_belong_to_the_deepest_that_fails() -> None:
    world = world_of(
        *calls(("web", "orders"), ("orders", "stock")),
        *(series("component_availability_average", 100, after, component=name) for name, after in (("web", 70), ("orders", 70), ("stock", 65))),
    )
    assert first(world) == ("stock", "errors_in_service")


@pytest.mark.parametrize("bad", ["basket", "stock"])
def test_of_two_rollouts_the_one_whose_new_pods_are_slow_is_to_blame_whichever_was_last(bad: str) -> None:
    def pod(name: str, version: int) -> str:
        return f"{name}-v{version}-5d8f7c9b6d-x2x4z"

    data: list[Data] = [*calls(("web", "basket"), ("web", "stock"))]
    for minutes, name in ((3, "basket"), (1, "stock")):
        data.append(
            Change(at=ONSET - timedelta(minutes=minutes), kind="rollout", subject=Subject(kind="Service", name=name), text="one new pod",
                   diff=(f"+ {pod(name, 2)}",))
        )  # fmt: skip
        old = series("edge_latency_ms", 5, 5, source="web", destination=name, pod=pod(name, 1))
        slow = series("edge_latency_ms", 900 if name == bad else 5, 900 if name == bad else 5, source="web", destination=name, pod=pod(name, 2))
        data += [old, MetricSeries(labels=slow.labels, points=slow.points[-3:])]
    found = suspects(world_of(*data))
    assert found[0].subject.name == bad
    assert "new_latency" in [clue.kind for clue in found[0].clues]


def test_a_change_alone_is_no_confident_cause() -> None:
    change = Change(at=ONSET - timedelta(minutes=2), kind="rollout", subject=Subject(kind="Service", name="stock"), text="one new pod")
    assert all(finding.weight < 0.3 for finding in service_findings(world_of(change)))


def test_new_error_lines_speak_against_the_one_below() -> None:
    def lines(name: str) -> LogPattern:
        return LogPattern(
            template="ERROR failed", level="error", subject=Subject(kind="Service", name=name), count=40, count_before=1, first_at=ONSET,
            last_at=NOW, sample="ERROR failed",
        )  # fmt: skip

    assert first(world_of(*calls(("web", "stock")), lines("web"), lines("stock"))) == ("stock", "errors_in_service")


def test_an_address_is_what_callers_see_and_no_component() -> None:
    assert address("db.example.com_remote")
    assert address("10.0.0.7")
    assert not address("stock-service")


def test_a_file_system_on_its_way_to_full_says_when() -> None:
    start = ONSET.timestamp() - 3600
    rising = MetricSeries(
        labels={"persistentvolumeclaim": "data-db-0", "namespace": "shop"}, points=tuple((start + m * 60, 0.6 + m * 0.005) for m in range(60))
    )
    world = world_of(rising)
    item = world.evidence.items[0]
    query = Query(id="E01", source="prometheus", kind="saturation", expression="x", purpose="x")
    world = World(world.incident, EvidenceSet(items=(Evidence(**{**{n: getattr(item, n) for n in item.__slots__}, "query": query}),)))
    (found,) = DETECTORS["filling"].detect(world)
    assert (found.cause, found.subject.name) == ("disk_filling", "data-db-0")
    assert 0 < float(str(found.facts["seconds_left"])) < 3600


def _quiet(shape: Callable[[random.Random, int], float], seed: int) -> Iterable[MetricSeries]:
    chance = random.Random(seed)
    start = ONSET.timestamp() - 4 * 3600
    for name in ("web", "orders", "stock", "basket"):
        for metric, level in (("pod_cpu_usage_percent", 20), ("pod_memory_usage_bytes", 2e8), ("pod_server_latency_p95_seconds", 0.05),
                              ("pod_requests_per_second", 40)):  # fmt: skip
            points = tuple((start + m * 60, level * shape(chance, m)) for m in range(242))
            yield MetricSeries(labels={"__name__": metric, "service": name, "namespace": "shop"}, points=points)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "shape",
    [
        lambda chance, minute: 1 + chance.gauss(0, 0.1),
        lambda chance, minute: 1 + 0.4 * math.sin(minute / 1440 * 6.28) + chance.gauss(0, 0.03),
        lambda chance, minute: 1 + (0.0001 if minute > 238 else 0),
        lambda chance, minute: 4.0 if chance.random() < 0.05 else 1 + chance.gauss(0, 0.05),
    ],
    ids=["noise", "a daily wave", "a tiny step", "rare spikes"],
)
def test_where_nothing_is_wrong_nothing_is_confidently_blamed(shape: Callable[[random.Random, int], float], seed: int) -> None:
    hypotheses = seen_causes(service_findings(world_of(*calls(("web", "orders"), ("orders", "stock")), *_quiet(shape, seed))))
    assert all(hypothesis.score < 0.5 for hypothesis in hypotheses)


def test_a_delay_between_caller_and_called_shows_although_the_call_itself_varies_wildly() -> None:
    chance = random.Random(5)
    start = ONSET.timestamp() - 3600
    answered = [(start + m * 60, chance.choice((0.05, 0.2, 0.6))) for m in range(62)]
    made = [(at, value + (0.15 if at >= ONSET.timestamp() - 120 else 0.002)) for at, value in answered]
    ends = {"source": made, "destination": answered}
    curves = [
        MetricSeries(
            labels={"__name__": "request_duration_p50_seconds", "reporter": end, "source": "orders", "destination": "billing"},
            points=tuple(points),
        )
        for end, points in ends.items()
    ]
    named = {(item.subject.name, clue.kind) for item in suspects(world_of(*curves)) for clue in item.clues if clue.strength > 0.5}
    assert ("billing", "network_gap") in named


def test_an_answer_that_its_caller_did_not_find_slow_is_not_slow() -> None:
    found = suspects(world_of(*edge("web", "prices", (0.1, 0.1), (0.004, 0.05))))
    assert not any(clue.kind == "edge_latency" and clue.strength > 0.15 for item in found for clue in item.clues)


def requests(**levels: tuple[float, float]) -> list[Data]:
    return [series("pod_requests_per_second", *level, service=name) for name, level in levels.items()]


def test_more_requests_are_the_load_of_the_service_at_which_they_come_in() -> None:
    found = suspects(world_of(*calls(("web", "orders"), ("orders", "stock")), *requests(web=(50, 200), orders=(50, 200), stock=(50, 200))))
    assert found[0].subject.name == "web"
    assert found[0].cause == "traffic_shift"
    assert sum(item.strength > 0.3 for item in found) == 1


def test_a_service_that_asks_more_often_for_as_many_requests_is_the_one_to_look_at() -> None:
    found = suspects(world_of(*calls(("web", "orders"), ("orders", "stock")), *requests(web=(50, 50), orders=(50, 50), stock=(50, 300))))
    assert found[0].subject.name == "orders"
    assert "stock" in found[0].clues[0].summary


def test_how_full_the_memory_is_tells_of_memory_and_not_of_the_processor() -> None:
    full = replace(series("container_memory_working_set_bytes", 0.5, 0.95, service="till"), signal="saturation", unit="ratio", worse="up")
    assert first(world_of(full)) == ("till", "memory_growth")


def test_what_moved_is_told_in_its_unit() -> None:
    found = suspects(world_of(series("till_memory_usage_bytes", 300 * 2**20, 900 * 2**20, service="till")))
    told = " ".join(clue.summary for clue in found[0].clues)
    assert re.search(r"memory of till went from 29\d MiB to 9\d\d MiB", told), told


def first_cause(*data: Data) -> tuple[str, str]:
    suspect = suspects(world_of(*data))[0]
    return suspect.subject.name, suspect.cause


def test_what_is_slow_with_many_times_its_requests_is_slow_because_of_them() -> None:
    slow = series("http_server_request_duration_seconds_p95", 0.04, 0.7, service="till")
    assert first_cause(slow, series("http_requests_per_second", 150, 160, service="till")) == ("till", "slow_component")
    assert first_cause(slow, series("http_requests_per_second", 150, 1200, service="till")) == ("till", "traffic_shift")


@pytest.mark.parametrize(("kind", "cause"), [("rollout", "bad_rollout"), ("image", "bad_rollout"), ("scale", "errors_in_service")])
def test_what_fails_since_its_own_new_version_was_rolled_out_badly(kind: str, cause: str) -> None:
    failing = series("http_request_errors_per_second", 0.03, 9.8, service="till")
    change = Change(at=ONSET - timedelta(minutes=6), kind=kind, subject=Subject(kind="Service", name="till", namespace="shop"), text="till 2.0")
    assert first_cause(failing, change) == ("till", cause)
