"""What this Prometheus has about a subject's surroundings: which metrics, with which labels, in how many series.

    Subject, labels ──ground_of──> Ground ──Discovery.of──> Catalogue     four to ten small calls, then kept for ten minutes

Nothing is taken for granted: whether the namespace is called `namespace`, `exported_namespace` or `k8s_namespace_name` is read off the
server, and so is whether there is a mesh. A relative of Prometheus without the metadata endpoints is asked by queries instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent_sre.alert.subject import Subject
from agent_sre.evidence.prometheus import labels as words
from agent_sre.evidence.prometheus import signals
from agent_sre.evidence.prometheus.builder import Matcher, equals, one_of, seconds, select
from agent_sre.evidence.prometheus.client import PrometheusClient, QueryResult
from agent_sre.evidence.prometheus.signals import Seen
from agent_sre.kit.clock import Clock
from agent_sre.kit.errors import AgentSREError, Rejected

KEPT = timedelta(minutes=10)
"""How long what was found is believed. A new exporter shows after that."""

LOOK_BACK = timedelta(minutes=30)
"""A metric counts as there if it had a sample in this stretch: whoever died with the alert has none now."""

MAX_CATALOGUES = 64
MAX_CANDIDATES = 60
SAMPLES = 3

_MACHINE_METRICS = "node_.+|kube_node_.+|windows_.+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where to look: a namespace, or else matchers any one of which fits the neighbourhood."""

    namespace: str = ""
    matchers: tuple[Matcher, ...] = ()

    @property
    def text(self) -> str:
        """What to call it."""
        if self.namespace:
            return f"namespace {self.namespace}"
        return ", ".join(f"{matcher.name}{matcher.op}{matcher.value}" for matcher in self.matchers) or "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The metrics of a ground. `names` are all of them, `seen` those that we can read."""

    names: frozenset[str]
    seen: Mapping[str, Seen]


def ground_of(subject: Subject, alert_labels: Mapping[str, str]) -> Ground:
    """The neighbourhood of a subject; one without a namespace and without matchers where nothing names one."""
    if subject.kind in ("Node", "Host") and not subject.namespace:
        return Ground(matchers=tuple(Matcher(name=name, op="!=", value="") for name in ("instance", "node")))
    if subject.namespace:
        return Ground(namespace=subject.namespace)
    job = alert_labels.get("job", "")
    if job and subject.kind != "Alert":
        return Ground(matchers=(equals("job", job),))
    # Worlds without namespaces and scrape jobs: whatever else has this label is the neighbourhood.
    for name in (*words.SERVICE, *words.WORKLOAD):
        if alert_labels.get(name) == subject.name:
            return Ground(matchers=(Matcher(name=name, op="!=", value=""),))
    return Ground()


class Discovery:
    """Catalogues by ground, each found once and kept for ten minutes over all investigations of this process."""

    def __init__(self, client: PrometheusClient, clock: Clock, places: asyncio.Semaphore) -> None:
        self._client = client
        self._clock = clock
        self._places = places
        self._kept: dict[Ground, tuple[float, Catalogue]] = {}
        self._running: dict[Ground, asyncio.Task[Catalogue]] = {}

    async def of(self, ground: Ground, now: datetime) -> Catalogue:
        """What is there. Raises AgentSREError as the client does.

        Several questions of one investigation wait for the same calls. A question that is given up does not stop them: the next one, or the
        next investigation, finds them done.
        """
        kept = self._kept.get(ground)
        if kept is not None and self._clock.monotonic() - kept[0] < KEPT.total_seconds():
            return kept[1]
        task = self._running.get(ground)
        if task is None:
            task = self._running[ground] = asyncio.create_task(self._find(ground, now))
            task.add_done_callback(lambda done: self._done(ground, done))
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Ends what still runs."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, ground: Ground, task: asyncio.Task[Catalogue]) -> None:
        self._running.pop(ground, None)
        if task.cancelled() or task.exception() is not None:  # whoever waits gets it; nobody may be left
            return
        self._kept.pop(ground, None)
        self._kept[ground] = (self._clock.monotonic(), task.result())
        while len(self._kept) > MAX_CATALOGUES:
            self._kept.pop(next(iter(self._kept)))

    async def _find(self, ground: Ground, now: datetime) -> Catalogue:
        start = now - LOOK_BACK
        narrow = await self._narrow(ground, start, now)
        names = await self._names(narrow, start, now)
        readable = signals.candidates(names, MAX_CANDIDATES)
        seen: dict[str, Seen] = {}
        if readable:
            named = one_of("__name__", readable)
            sampled = await asyncio.gather(*(self._sample((named, *matchers), now) for matchers in narrow))
            for answer, counts in sampled:
                for name, found in _by_name(answer).items():
                    count = counts.get(name, len(found)) + (seen[name].series if name in seen else 0)
                    both = (*(seen[name].samples if name in seen else ()), *found)
                    seen[name] = Seen(name=name, labels=words.present(both), samples=both, series=count)
        return Catalogue(names=names, seen=seen)

    async def _narrow(self, ground: Ground, start: datetime, end: datetime) -> list[tuple[Matcher, ...]]:
        """The matchers that find the ground, each on its own."""
        if not ground.namespace:
            if ground.matchers and ground.matchers[0].op == "!=" and ground.matchers[0].name == "instance":
                return [(Matcher(name="__name__", op="=~", value=_MACHINE_METRICS),)]
            return [(matcher,) for matcher in ground.matchers]
        try:
            async with self._places:
                present = await self._client.label_names(start=start, end=end)
        except Rejected:
            present = frozenset()
        used = [name for group in words.NAMESPACES if (name := words.first(group, present))] or ["namespace"]
        return [(equals(name, ground.namespace),) for name in used]

    async def _names(self, narrow: Sequence[tuple[Matcher, ...]], start: datetime, end: datetime) -> frozenset[str]:
        selectors = [select("", matchers) for matchers in narrow]
        try:
            async with self._places:
                return await self._client.metric_names(selectors, start=start, end=end)
        except Rejected:
            answers = await asyncio.gather(*(self._query(f"count by(__name__) ({selector})", end) for selector in selectors))
            return frozenset(name for answer in answers for name in _by_name(answer))

    async def _sample(self, matchers: tuple[Matcher, ...], at: datetime) -> tuple[QueryResult, dict[str, int]]:
        """A few series of each metric, and how many series it has."""
        recent = f"last_over_time({select('', _without_twins(matchers))}[{seconds(LOOK_BACK)}])"
        sample, count = await asyncio.gather(
            self._query(f"topk by(__name__) ({SAMPLES}, {recent})", at), self._query(f"count by(__name__) ({recent})", at)
        )
        return sample, {s.labels.get("__name__", ""): int(s.points[-1][1]) for s in count.series if s.points and 0 <= s.points[-1][1] < 1e9}

    async def _query(self, expression: str, at: datetime) -> QueryResult:
        async with self._places:
            return await self._client.query(expression, at=at)


def _without_twins(matchers: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
    # The exact names say all that the pattern of names said.
    return tuple(m for m in matchers if not (m.name == "__name__" and m.value == _MACHINE_METRICS))


def _by_name(answer: QueryResult) -> dict[str, tuple[Mapping[str, str], ...]]:
    found: dict[str, tuple[Mapping[str, str], ...]] = {}
    for series in answer.series:
        name = series.labels.get("__name__", "")
        if name:
            found[name] = (*found.get(name, ()), dict(series.labels))
    return found


async def side_by_side(
    calls: Sequence[Callable[[], Awaitable[QueryResult]]], patience: float
) -> tuple[list[QueryResult | None], list[AgentSREError], int]:
    """All answers that come in this many seconds, in order, None for the others; the errors; how many did not come in time."""
    tasks = [asyncio.ensure_future(call()) for call in calls]
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, patience))
        answers: list[QueryResult | None] = []
        errors: list[AgentSREError] = []
        late = 0
        for task in tasks:
            answers.append(None)
            if not task.done():
                late += 1
                continue
            error = task.exception()
            if error is None:
                answers[-1] = task.result()
            elif isinstance(error, AgentSREError):
                errors.append(error)
            else:
                raise error
        return answers, errors, late
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
