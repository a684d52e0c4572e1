"""Asks every source side by side and comes back in time, with what there is.

A question ends as Evidence or as a Gap, never as a missing line: the reader sees what could not be looked at. One deadline holds for all,
waiting for a free place included, so the preliminary report keeps its two seconds whatever hangs behind a source. A source may have a shorter
one of its own.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from agent_sre.evidence import metrics, off
from agent_sre.evidence.evidence import Evidence, EvidenceSet, EvidenceSource, Gap, MetricSeries, Query
from agent_sre.evidence.playbook import Playbook, prioritised
from agent_sre.evidence.redaction import redacted
from agent_sre.evidence.suggested import SUGGESTED, suggestions
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import readable
from agent_sre.kit.errors import AgentSREError

DEADLINE = timedelta(seconds=1.2)
"""Default. The preliminary report is due after two seconds; rules and the store get the rest."""

CONCURRENCY = 5
"""Queries in flight per source."""

_SILENT = frozenset({"unavailable", "timeout", "store_unavailable"})
"""Reasons that say nothing about the question, only that the source does not answer."""


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    open_until: float | None = None  # Clock.monotonic()


class Circuits:
    """Which sources have fallen silent, over all investigations of this process.

        closed ──three times unavailable or timed out in a row──> open ──30 s──> asked again: an answer closes it, silence opens it at once

    A source that hangs would otherwise cost every investigation its whole deadline.
    """

    def __init__(self, clock: Clock, *, failures: int = 3, rest: timedelta = timedelta(seconds=30)) -> None:
        self._clock = clock
        self._limit = failures
        self._rest = rest
        self._circuit_by_source: dict[str, _Circuit] = {}

    def resting(self, source: str) -> timedelta | None:
        """How much longer this source is left alone, None where it may be asked."""
        circuit = self._circuit_by_source.get(source)
        if circuit is None or circuit.open_until is None:
            return None
        left = circuit.open_until - self._clock.monotonic()
        return timedelta(seconds=left) if left > 0 else None

    def answered(self, source: str) -> None:
        """The source spoke; saying no is speaking too."""
        self._circuit_by_source.pop(source, None)

    def silent(self, source: str) -> None:
        """The source did not answer."""
        circuit = self._circuit_by_source.setdefault(source, _Circuit())
        circuit.failures += 1
        if circuit.failures >= self._limit:
            circuit.open_until = self._clock.monotonic() + self._rest.total_seconds()


async def gather(
    incident: Incident,
    sources: Sequence[EvidenceSource],
    *,
    clock: Clock,
    deadline: timedelta = DEADLINE,
    deadline_by_source: Mapping[str, timedelta] | None = None,
    circuits: Circuits | None = None,
    on_plan: Callable[[Sequence[Query | Gap]], None] | None = None,
    on_result: Callable[[Evidence | Gap], None] | None = None,
    playbook: Playbook | None = None,
) -> EvidenceSet:
    """All that the sources answer within the deadline, in the order of their plans; ids E01, E02, … in that order too, gaps included.

    What `playbook` suggests to ask comes last, in its ids and in its turn: a source's own questions have the first places.

    A source of `deadline_by_source` has so long for all its questions, though never longer than `deadline`; zero means `deadline`.
    Whatever a source raises as AgentSREError becomes a Gap, and so does time that ran out ("timeout") and a source that is left alone for a
    while ("circuit_open", only with `circuits`). `on_plan` is called with all questions before the first result, `on_result` with every item
    as it arrives. Other exceptions are bugs and pass.
    """
    circuits = circuits or Circuits(clock)
    began_at = asyncio.get_running_loop().time()
    tasks: list[asyncio.Task[Evidence | Gap]] = []
    try:
        questions = _questions(incident, sources, clock, playbook)
        runs: dict[int, tuple[_Run, asyncio.Semaphore]] = {}
        for source in sources:
            own = min((deadline_by_source or {}).get(source.name) or deadline, deadline)
            run = _Run(incident, clock, own, began_at + own.total_seconds(), circuits, on_result)
            runs[id(source)] = run, asyncio.Semaphore(CONCURRENCY)
        for source, question in questions:
            run, places = runs[id(source)]
            tasks.append(asyncio.create_task(run.ask(source, question, places)))
        if on_plan is not None:  # no task has run yet: nothing was awaited
            on_plan([question for _, question in questions])
        results = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return EvidenceSet(
        items=tuple(result for result in results if isinstance(result, Evidence)),
        gaps=tuple(result for result in results if isinstance(result, Gap)),
    )


def planned(incident: Incident, sources: Sequence[EvidenceSource], clock: Clock, playbook: Playbook | None = None) -> tuple[Query | Gap, ...]:
    """What `gather` would ask, in its order and with its ids; asks nobody. A plan that fails is a Gap."""
    return tuple(question for _, question in _questions(incident, sources, clock, playbook))


@dataclass(frozen=True, slots=True)
class _Run:
    """One source in one gathering: what all its questions share."""

    incident: Incident
    clock: Clock
    deadline: timedelta
    ends_at: float  # event loop time
    circuits: Circuits
    on_result: Callable[[Evidence | Gap], None] | None

    async def ask(self, source: EvidenceSource, question: Query | Gap, places: asyncio.Semaphore) -> Evidence | Gap:
        """The answer to one question, or why there is none."""
        if isinstance(question, Gap):
            metrics.failed(source.name, question.reason, None)
            result: Evidence | Gap = question
        else:
            result = await self._answer(source, question, places)
        result = redacted(result)
        if self.on_result is not None:
            self.on_result(result)
        return result

    async def _answer(self, source: EvidenceSource, query: Query, places: asyncio.Semaphore) -> Evidence | Gap:
        began: float | None = None
        try:
            async with asyncio.timeout_at(self.ends_at), places:
                resting = self.circuits.resting(source.name)
                if resting is not None:
                    metrics.failed(source.name, "circuit_open", None)
                    return Gap(query=query, reason="circuit_open", detail=_resting_sentence(source.name, resting))
                began = self.clock.monotonic()
                evidence = await source.fetch(query, self.incident)
        except TimeoutError:
            # A question that never got a place says nothing about the source's health: its neighbours do.
            if began is not None and query.kind != SUGGESTED:
                self.circuits.silent(source.name)
            metrics.failed(source.name, "timeout", self._since(began))
            return Gap(query=query, reason="timeout", detail=f"{source.name} did not answer within {readable(self.deadline)}.")
        except AgentSREError as error:
            if error.reason not in _SILENT:
                self.circuits.answered(source.name)
            elif query.kind != SUGGESTED:  # somebody's heavy query must not cost the source its own questions
                self.circuits.silent(source.name)
            if error.reason != off.REASON:  # a choice of the operator's, not a failure
                metrics.failed(source.name, error.reason, self._since(began))
            return Gap(query=query, reason=error.reason, detail=str(error))
        self.circuits.answered(source.name)
        metrics.answered(source.name, self._since(began) or timedelta(0))
        return _finite(evidence)

    def _since(self, began: float | None) -> timedelta | None:
        return None if began is None else timedelta(seconds=self.clock.monotonic() - began)


def _finite(evidence: Evidence) -> Evidence:
    """The answer without points that are no numbers: JSON has no word for them, so a store that took one could never give it back."""
    if all(math.isfinite(value) for data in evidence.data if isinstance(data, MetricSeries) for _, value in data.points):
        return evidence
    return replace(
        evidence,
        data=tuple(
            replace(data, points=tuple(point for point in data.points if math.isfinite(point[1]))) if isinstance(data, MetricSeries) else data
            for data in evidence.data
        ),
    )


def _questions(
    incident: Incident, sources: Sequence[EvidenceSource], clock: Clock, playbook: Playbook | None
) -> list[tuple[EvidenceSource, Query | Gap]]:
    """Everything to ask, with whom: the sources' own questions, then what the playbook suggests."""
    own = [(source, question) for source in sources for question in _plan(source, incident, clock, playbook)]
    more = suggestions(sources, [question for _, question in own], playbook, incident, clock.now())
    return [(source, _numbered(question, f"E{number:02d}")) for number, (source, question) in enumerate([*own, *more], 1)]


def _plan(source: EvidenceSource, incident: Incident, clock: Clock, playbook: Playbook | None) -> Sequence[Query | Gap]:
    """The source's questions, those that the playbook names first; a plan that fails is a question too, and stays open."""
    try:
        return prioritised(source.plan(incident, clock.now()), playbook)
    except AgentSREError as error:
        query = Query(id="", source=source.name, kind="plan", expression="", purpose=f"what to ask {source.name}")
        return (Gap(query=query, reason=error.reason, detail=str(error)),)


def _numbered(question: Query | Gap, name: str) -> Query | Gap:
    if isinstance(question, Gap):
        return replace(question, query=replace(question.query, id=name))
    return replace(question, id=name)


def _resting_sentence(source: str, left: timedelta) -> str:
    return f"{source} did not answer lately and is asked again in {readable(left)}."
