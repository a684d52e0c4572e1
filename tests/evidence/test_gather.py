"""Gathering ends in time and with everything: an answer or a gap for every question, whatever the sources do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from agent_sre.evidence.evidence import Evidence, EvidenceSource, Gap, MetricSeries, Query
from agent_sre.evidence.gather import CONCURRENCY, Circuits, gather
from agent_sre.evidence.off import NotConfigured
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock
from agent_sre.kit.errors import AgentSREError, Forbidden, Rejected, Unavailable
from agent_sre.kit.metrics import REGISTRY
from agent_sre.kit.values import pack, unpack
from evidence.builders import NOW, an_incident

SOON = timedelta(seconds=0.1)


@dataclass
class ScriptedSource:
    """Asks `questions`; a fetch does what `behaviour` says: answer, an error, or hang until cancelled."""

    name: str = "scripted"
    questions: tuple[str, ...] = ("one",)
    behaviour: Callable[[str], AgentSREError | str | Exception] = lambda _: "answer"
    plan_error: AgentSREError | None = None
    asked: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    def plan(self, incident: Incident, now: datetime) -> Sequence[Query]:
        if self.plan_error is not None:
            raise self.plan_error
        return [Query(id="", source=self.name, kind=kind, expression=kind, purpose="to see") for kind in self.questions]

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        self.asked.append(query.kind)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            found = self.behaviour(query.kind)
            if isinstance(found, Exception):
                raise found
            if found == "hang":
                await asyncio.Event().wait()
        finally:
            self.in_flight -= 1
        return Evidence(id=query.id, query=query, subject=incident.subject, data=(), summary=query.kind, collected_at=NOW, took=timedelta(0))


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_ids_follow_the_plans_and_gaps_have_one_too() -> None:
    def first(kind: str) -> AgentSREError | str:
        return Rejected("Prometheus rejected it.") if kind == "b" else "answer"

    sources: list[EvidenceSource] = [
        ScriptedSource("x", ("a", "b", "c"), first),
        NotConfigured("loki", "LOKI_URL"),
        ScriptedSource("y", ("d",)),
    ]
    found = await gather(an_incident(), sources, clock=FakeClock(NOW))
    assert [(item.id, item.query.id, item.query.kind) for item in found.items] == [("E01", "E01", "a"), ("E03", "E03", "c"), ("E05", "E05", "d")]
    assert [(gap.query.id, gap.reason, gap.detail) for gap in found.gaps] == [
        ("E02", "rejected", "Prometheus rejected it."),
        ("E04", "not_configured", "Loki was not asked: LOKI_URL is not set."),
    ]


async def test_no_source_and_no_question_are_an_empty_set() -> None:
    assert await gather(an_incident(), [], clock=FakeClock(NOW)) == await gather(an_incident(), [ScriptedSource(questions=())], clock=FakeClock(NOW))


async def test_a_hanging_source_costs_the_deadline_once_and_only_its_own_answers() -> None:
    hanging = ScriptedSource("hanging", tuple("abcdefghij"), lambda _: "hang")
    quick = ScriptedSource("quick", ("z",))
    async with asyncio.timeout(5):  # for a busy machine; a source that is not stopped hangs for ever
        found = await gather(an_incident(), [hanging, quick], clock=FakeClock(NOW), deadline=SOON)
    assert [item.query.kind for item in found.items] == ["z"]
    # All ran out at once. With a deadline for each, those that waited for a place would have found the circuit open.
    assert [gap.reason for gap in found.gaps] == ["timeout"] * 10
    assert found.gaps[0].detail == "hanging did not answer within 100 ms."
    assert len(hanging.asked) == CONCURRENCY
    assert hanging.in_flight == 0


async def test_a_source_s_own_deadline_ends_it_earlier_never_later_and_is_named_in_its_gap() -> None:
    sources = [ScriptedSource(name, ("a",), lambda _: "hang") for name in ("short", "long", "none")]
    own = {"short": timedelta(seconds=0.02), "long": timedelta(hours=1), "none": timedelta(0)}
    arrived: list[str] = []
    async with asyncio.timeout(5):
        found = await gather(
            an_incident(),
            sources,
            clock=FakeClock(NOW),
            deadline=SOON,
            deadline_by_source=own,
            on_result=lambda result: arrived.append(result.query.source),
        )
    assert arrived[0] == "short"
    assert [gap.detail for gap in found.gaps] == [
        "short did not answer within 20 ms.",
        "long did not answer within 100 ms.",
        "none did not answer within 100 ms.",
    ]


async def test_a_source_that_answers_with_no_number_cannot_spoil_the_store() -> None:
    @dataclass
    class Odd(ScriptedSource):
        async def fetch(self, query: Query, incident: Incident) -> Evidence:
            series = MetricSeries(labels={}, points=((1.0, float("nan")), (2.0, 3.0), (3.0, float("inf"))))
            return replace(await ScriptedSource.fetch(self, query, incident), data=(series,))

    (item,) = (await gather(an_incident(), [Odd()], clock=FakeClock(NOW))).items
    assert item.data == (MetricSeries(labels={}, points=((2.0, 3.0),)),)
    assert unpack(Evidence, pack(Evidence, item)) == item


async def test_the_plan_is_told_before_the_first_result_and_each_result_as_it_arrives() -> None:
    told: list[object] = []
    sources: list[EvidenceSource] = [ScriptedSource("x", ("a", "b")), NotConfigured("loki", "LOKI_URL")]
    await gather(
        an_incident(),
        sources,
        clock=FakeClock(NOW),
        on_plan=lambda questions: told.append(len(questions)),
        on_result=lambda result: told.append(result.query.id),
    )
    assert told[0] == 3
    assert sorted(map(str, told[1:])) == ["E01", "E02", "E03"]


async def test_sources_run_side_by_side_with_at_most_five_queries_each() -> None:
    gate = asyncio.Event()
    entered: list[str] = []

    @dataclass
    class Waiting(ScriptedSource):
        async def fetch(self, query: Query, incident: Incident) -> Evidence:
            entered.append(self.name)
            if len(entered) == 2 * CONCURRENCY:
                gate.set()
            await gate.wait()
            return await ScriptedSource.fetch(self, query, incident)

    sources = [Waiting(name, tuple("abcdefgh")) for name in ("x", "y")]
    found = await gather(an_incident(), sources, clock=FakeClock(NOW), deadline=timedelta(seconds=5))
    assert len(found.items) == 16
    assert entered[: 2 * CONCURRENCY].count("x") == CONCURRENCY


async def test_a_broken_plan_is_a_gap_and_breaks_nobody_else() -> None:
    sources = [ScriptedSource("broken", plan_error=Unavailable("The plan file is gone.")), ScriptedSource("fine")]
    found = await gather(an_incident(), sources, clock=FakeClock(NOW))
    assert [item.query.source for item in found.items] == ["fine"]
    assert [(gap.query.id, gap.query.source, gap.query.kind, gap.reason) for gap in found.gaps] == [("E01", "broken", "plan", "unavailable")]


async def test_a_bug_in_a_source_is_not_hidden() -> None:
    sources = [ScriptedSource("hanging", behaviour=lambda _: "hang"), ScriptedSource("buggy", behaviour=lambda _: KeyError("bug"))]
    with pytest.raises(KeyError, match="bug"):
        await gather(an_incident(), sources, clock=FakeClock(NOW), deadline=timedelta(seconds=30))
    await asyncio.sleep(0)
    assert sources[0].in_flight == 0


async def test_cancelling_the_gathering_cancels_its_questions() -> None:
    source = ScriptedSource(questions=("a", "b"), behaviour=lambda _: "hang")
    circuits = Circuits(FakeClock(NOW), failures=1)
    task = asyncio.create_task(gather(an_incident(), [source], clock=FakeClock(NOW), circuits=circuits, deadline=timedelta(seconds=30)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert source.in_flight == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert source.in_flight == 0
    assert circuits.resting("scripted") is None  # nobody was silent: we stopped listening


async def test_every_result_is_told_as_it_arrives() -> None:
    told: list[Evidence | Gap] = []
    sources = [
        ScriptedSource("slow", behaviour=lambda _: "hang"),
        ScriptedSource("broken", plan_error=Unavailable("no")),
        ScriptedSource("quick", ("a", "b")),
    ]
    found = await gather(an_incident(), sources, clock=FakeClock(NOW), deadline=SOON, on_result=told.append)
    assert told[-1] == found.gaps[0]  # the slow one came last, though it was planned first
    assert sorted(item.query.id for item in told) == ["E01", "E02", "E03", "E04"]


# The circuit breaker


async def test_three_silences_in_a_row_give_a_source_half_a_minute_of_rest() -> None:
    clock = FakeClock(NOW)
    circuits = Circuits(clock)
    source = ScriptedSource("prometheus", behaviour=lambda _: Unavailable("Prometheus at http://p cannot be reached."))
    for _ in range(3):
        found = await gather(an_incident(), [source], clock=clock, circuits=circuits)
        assert found.gaps[0].reason == "unavailable"
    clock.advance(timedelta(seconds=10))
    found = await gather(an_incident(), [source], clock=clock, circuits=circuits)
    assert (found.gaps[0].reason, len(source.asked)) == ("circuit_open", 3)
    assert found.gaps[0].detail == "prometheus did not answer lately and is asked again in 20 s."
    clock.advance(timedelta(seconds=20))
    await gather(an_incident(), [source], clock=clock, circuits=circuits)
    assert len(source.asked) == 4
    await gather(an_incident(), [source], clock=clock, circuits=circuits)
    assert len(source.asked) == 4  # one more silence was enough
    clock.advance(timedelta(seconds=30))
    source.behaviour = lambda _: "answer"
    assert (await gather(an_incident(), [source], clock=clock, circuits=circuits)).gaps == ()
    source.behaviour = lambda _: Unavailable("no")
    await gather(an_incident(), [source], clock=clock, circuits=circuits)
    assert circuits.resting("prometheus") is None  # the answer made all forgotten


async def test_timeouts_count_as_silence_within_one_gathering_too() -> None:
    clock = FakeClock(NOW)
    circuits = Circuits(clock)
    source = ScriptedSource(questions=tuple("abc"), behaviour=lambda _: "hang")
    await gather(an_incident(), [source], clock=clock, circuits=circuits, deadline=SOON)
    assert circuits.resting("scripted") == timedelta(seconds=30)


async def test_a_refusal_is_no_silence() -> None:
    clock = FakeClock(NOW)
    circuits = Circuits(clock)
    source = ScriptedSource(questions=tuple("abcdef"), behaviour=lambda kind: Rejected("no") if kind < "d" else Forbidden("no"))
    await gather(an_incident(), [source], clock=clock, circuits=circuits)
    assert circuits.resting("scripted") is None


async def test_one_source_at_rest_does_not_silence_another() -> None:
    clock = FakeClock(NOW)
    circuits = Circuits(clock, failures=1)
    circuits.silent("x")
    found = await gather(an_incident(), [ScriptedSource("x"), ScriptedSource("y")], clock=clock, circuits=circuits)
    assert ([gap.query.source for gap in found.gaps], [item.query.source for item in found.items]) == (["x"], ["y"])


# Metrics


async def test_answers_and_failures_are_counted_but_choices_are_not() -> None:
    def outcome(kind: str) -> AgentSREError | str:
        return Unavailable("no") if kind == "bad" else "answer"

    sources: list[EvidenceSource] = [ScriptedSource("counted", ("good", "bad"), outcome), NotConfigured("uncounted", "X_URL")]
    await gather(an_incident(), sources, clock=FakeClock(NOW))
    duration = "agent_sre_evidence_fetch_duration_seconds_count"
    assert count(duration, source="counted", outcome="answered") == 1
    assert count(duration, source="counted", outcome="failed") == 1
    assert count("agent_sre_evidence_failures_total", source="counted", reason="unavailable") == 1
    assert count("agent_sre_evidence_failures_total", source="uncounted", reason="not_configured") == 0


async def test_time_that_a_fetch_took_is_measured_by_the_clock() -> None:
    clock = FakeClock(NOW)

    def tick(_: str) -> str:
        clock.advance(timedelta(seconds=2))
        return "answer"

    await gather(an_incident(), [ScriptedSource("timed", behaviour=tick)], clock=clock)
    assert count("agent_sre_evidence_fetch_duration_seconds_sum", source="timed", outcome="answered") == 2
