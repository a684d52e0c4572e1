"""A recorded world as a source: the same questions, answered from a bundle.

A query's `source` says whose answer was recorded: "kubernetes" and "prometheus" as if these had been asked, "bundle" for what only a recording
has. So whoever reads evidence need not know whether it is live. What could not be read of the bundle is a question too, of kind "unreadable",
and ends as a Gap that names the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from time import monotonic

import orjson

from agent_sre.alert.subject import Subject
from agent_sre.evidence.bundle.asked import as_asked
from agent_sre.evidence.bundle.bundle import Bundle
from agent_sre.evidence.bundle.faults import Fault
from agent_sre.evidence.bundle.kinds import KIND_BY_NAME, kind_of_word, plural_of
from agent_sre.evidence.bundle.logs import patterns_of
from agent_sre.evidence.bundle.openmetrics import NAME as METRIC
from agent_sre.evidence.derived import with_changes
from agent_sre.evidence.evidence import (
    Data,
    Evidence,
    EvidenceSet,
    Fact,
    Gap,
    KubernetesObject,
    LogPattern,
    MetricSeries,
    Query,
    SourceHealth,
    Window,
)
from agent_sre.evidence.kubernetes.objects import is_troubled
from agent_sre.evidence.kubernetes.summaries import summary_of
from agent_sre.evidence.prometheus.movement import movement
from agent_sre.incident.incident import Incident
from agent_sre.kit.durations import readable
from agent_sre.kit.errors import BadInput, Rejected
from agent_sre.kit.text import one_line
from agent_sre.kit.times import format_instant

NAME = "bundle"

MAX_OBJECTS = 5_000
MAX_OBJECT_BYTES = 8_000_000
MAX_SERIES = 2_000
MAX_SAMPLES = 400_000
MAX_POINTS = 1_000
"""Far more than live sources keep: a recording is looked at once, on the reader's machine, and the rules should see what `agent-sre eval` lets
them see. What the page and the JSON show of it is bounded there."""

MAX_FACTS = 100
MAX_DEPENDENCIES = 500
MAX_FAULTS = 5
"""Unreadable files that get a Gap of their own; one more says how many others there are."""

_BEFORE_ONSET = timedelta(hours=4)
_HARMLESS = frozenset({"empty", "withheld"})
"""Faults that are answers: kubectl found nothing, and Secrets are never read."""

_ALWAYS_READ = (
    "pods", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "services", "endpoints", "nodes", "persistentvolumeclaims", "events",
)  # fmt: skip
_MAX_KINDS = 40
_IDENTITY = (
    "namespace",
    "pod",
    "service",
    "deployment",
    "statefulset",
    "container",
    "node",
    "instance",
    "job",
    "workload",
    "component",
    "destination",
)


class BundleSource:
    """Evidence from one bundle. Kinds of query: contents, objects by their plural, manifests, series, logs, and those of docs/reference."""

    name = NAME

    def __init__(self, bundle: Bundle, now: datetime) -> None:
        """`now` stands in where the bundle does not tell its own. Reads the bundle, once: `plan` and `fetch` find everything in memory."""
        self.bundle = bundle
        self._now = bundle.now or now
        self._faults = tuple(fault for fault in bundle.faults if fault.reason not in _HARMLESS)
        self._questions = _questions(bundle, self._faults)
        self._fetch_by_kind: dict[str, Callable[[Query, Incident], Evidence]] = {
            "contents": self._contents,
            "manifests": self._manifests,
            "series": self._series,
            "logs": self._logs,
            "errors": self._errors,
            "changes": self._changes,
            "dependencies": self._dependencies,
            "units": self._units,
            "anomalies": self._anomalies,
            "unreadable": self._unreadable,
        }

    @cached_property
    def _series_by_name(self) -> Mapping[str, tuple[MetricSeries, ...]]:
        return as_asked(self.bundle.series)

    def plan(self, incident: Incident, now: datetime) -> tuple[Query, ...]:
        """A question for everything that the bundle has: what it is, each kind of object, series, logs, and each file that cannot be read."""
        namespace = one_line(incident.subject.namespace, 63)
        return tuple(_placed(question, namespace, incident, now) for question in self._questions)

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        """The answer, from memory. Raises BadInput for what the bundle has and nobody can read."""
        began = monotonic()
        # Mining and sorting take tens of milliseconds, which other questions need not wait for.
        evidence = await asyncio.to_thread(self._answer, query, incident)
        return replace(evidence, took=timedelta(seconds=monotonic() - began))

    def everything(self, incident: Incident) -> EvidenceSet:
        """All answers at once, with what changed, for whoever needs no deadline: the same that `gather` gets one by one."""
        items: list[Evidence] = []
        gaps: list[Gap] = []
        for number, question in enumerate(self.plan(incident, self._now), 1):
            query = replace(question, id=f"E{number:02d}")
            try:
                items.append(self._answer(query, incident))
            except BadInput as error:
                gaps.append(Gap(query=query, reason=error.reason, detail=str(error)))
        return with_changes(EvidenceSet(items=tuple(items), gaps=tuple(gaps)), incident, self._now)

    def _answer(self, query: Query, incident: Incident) -> Evidence:
        return self._fetch_by_kind.get(query.kind, self._objects)(query, incident)

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ARG002, ASYNC109  (as the other sources' checks)
        """What the bundle holds. Never raises."""
        unread = f"; {len(self._faults)} parts cannot be read, the first: {self._faults[0].file}" if self._faults else ""
        return SourceHealth(name=NAME, state="ok", reason=f"{self._inventory()}{unread}.")

    async def aclose(self) -> None:
        """Nothing to close."""

    # Answers

    def _contents(self, query: Query, incident: Incident) -> Evidence:
        bundle = self.bundle
        shift = bundle.captured.shift
        facts = [Fact(name="contents", text=self._inventory(), values={kind: len(items) for kind, items in bundle.objects.items()})]
        if bundle.now is None:
            facts.append(Fact(name="time", text="nothing in it says when it was recorded", values={"now": None}))
        else:
            told = f"it stands at {format_instant(bundle.now)}, by {bundle.time_from}"
            facts.append(Fact(name="time", text=told, values={"now": format_instant(bundle.now), "from": bundle.time_from}))
        if bundle.objects and bundle.captured.captured_at is None:
            facts.append(Fact(name="ages", text="when kubectl was run is unknown, so ages in its texts are left out", values={}))
        if shift:
            side = "behind" if shift > timedelta(0) else "ahead"
            text = f"kubectl's texts were written by a clock {readable(abs(shift))} {side}; their times are moved"
            facts.append(Fact(name="clock", text=text, values={"moved_by_seconds": shift.total_seconds()}))
        return self._evidence(query, incident, facts, self._inventory())

    def _objects(self, query: Query, incident: Incident) -> Evidence:
        kind = kind_of_word(query.kind)
        items = self.bundle.objects.get(kind.kind if kind else query.kind, ())
        items = items or next((found for name, found in self.bundle.objects.items() if plural_of(name) == query.kind), ())
        return self._of_objects(query, incident, items, summary_of(query.kind, items, len(items)))

    def _manifests(self, query: Query, incident: Incident) -> Evidence:
        items = self.bundle.manifests
        summary = f"{len(items)} applied manifests: the desired state, not what is" if items else "no applied manifests"
        return self._of_objects(query, incident, items, summary)

    def _of_objects(self, query: Query, incident: Incident, items: Sequence[KubernetesObject], summary: str) -> Evidence:
        ranked = sorted(items, key=lambda item: _distance(item, incident.subject))
        kept: list[KubernetesObject] = []
        left = MAX_OBJECT_BYTES
        for item in ranked[:MAX_OBJECTS]:
            left -= len(orjson.dumps(item.manifest))
            if left < 0 and kept:
                break
            kept.append(item)
        return self._evidence(query, incident, kept, summary, truncated=len(kept) < len(items))

    def _series(self, query: Query, incident: Incident) -> Evidence:
        if query.window is None:  # `plan` gives it one
            raise Rejected('The query "series" needs a time window.')
        start, end = query.window.start.timestamp(), query.window.end.timestamp()
        total = sum(len(found) for found in self.bundle.series.values())
        about, around = _nearest(self._series_by_name, incident)
        kept: list[MetricSeries] = []
        room = MAX_SAMPLES
        for series in (*about, *around):
            points = tuple(point for point in series.points if start <= point[0] <= end)
            if not points:
                continue
            points = _thinned(points)
            room -= len(points)
            if room < 0 or len(kept) == MAX_SERIES:
                break
            kept.append(replace(series, points=points))
        names = len({series.labels.get(METRIC, "") for series in about})
        mine = f"{len(about)} series of {names} metrics about the subject" if about else "no series about the subject"
        others = max(0, len(kept) - len(about))
        summary = f"{mine}{f', {others} around it' if others else ''}; the recording has {total:,} of {len(self.bundle.series)}"
        return self._evidence(query, incident, kept, summary, truncated=len(kept) < total)

    def _logs(self, query: Query, incident: Incident) -> Evidence:
        lines = self.bundle.log_lines
        patterns = patterns_of(lines, self._now)
        sources = len({line.source for line in lines})
        return self._of_patterns(query, incident, patterns, f"{_counted(len(lines), 'line')} of {_counted(sources, 'source')}")

    def _errors(self, query: Query, incident: Incident) -> Evidence:
        return self._of_patterns(query, incident, self.bundle.error_patterns, "errors as the recording's own tools counted them")

    def _of_patterns(self, query: Query, incident: Incident, patterns: tuple[LogPattern, ...], name: str) -> Evidence:
        urgent = [pattern for pattern in patterns if pattern.level in ("fatal", "error")]
        worst = f"; most of the errors: {one_line(urgent[0].template, 160)} ({urgent[0].subject.name}, ×{urgent[0].count})" if urgent else ""
        return self._evidence(query, incident, patterns[:MAX_FACTS], f"{name}, {_counted(len(patterns), 'pattern')}{worst}")

    def _changes(self, query: Query, incident: Incident) -> Evidence:
        found = self.bundle.changes
        text = "; ".join(change.text for change in found[-3:])
        summary = f"{_counted(len(found), 'change')}: {text}" if found else "nothing was changed"
        return self._evidence(query, incident, found[-MAX_FACTS:], summary, truncated=len(found) > MAX_FACTS)

    def _dependencies(self, query: Query, incident: Incident) -> Evidence:
        found = self.bundle.dependencies
        kept = found[:MAX_DEPENDENCIES]
        return self._evidence(query, incident, kept, f"{_counted(len(found), 'edge')} of who calls whom", truncated=len(kept) < len(found))

    def _units(self, query: Query, incident: Incident) -> Evidence:
        found = self.bundle.units
        dead = [fact for fact in found if fact.values["active"] != "active"]
        summary = f"{_counted(len(found), 'systemd unit')}, " + ("; ".join(fact.text for fact in dead[:5]) if dead else "all of them active")
        return self._evidence(query, incident, found[:MAX_FACTS], summary, truncated=len(found) > MAX_FACTS)

    def _anomalies(self, query: Query, incident: Incident) -> Evidence:
        found = self.bundle.anomalies
        first = f"; {one_line(found[0].text, 200)}" if found else ""
        return self._evidence(
            query, incident, found[:MAX_FACTS], f"{_counted(len(found), 'report')} of another detector{first}", truncated=len(found) > MAX_FACTS
        )

    def _unreadable(self, query: Query, incident: Incident) -> Evidence:  # noqa: ARG002
        fault = next((fault for fault in self._faults[:MAX_FAULTS] if fault.file == query.expression), None)
        if fault is not None:
            raise BadInput(f"In the bundle, {fault.file}: {fault.detail}", reason=fault.reason)
        raise BadInput(f"{len(self._faults) - MAX_FAULTS} more parts of the bundle cannot be read.", reason="unreadable")

    def _evidence(self, query: Query, incident: Incident, data: Iterable[Data], summary: str, *, truncated: bool = False) -> Evidence:
        return Evidence(
            id=query.id,
            query=query,
            subject=incident.subject,
            data=tuple(data),
            summary=one_line(summary, 1_500),
            collected_at=self._now,
            took=timedelta(0),
            truncated=truncated,
        )

    def _inventory(self) -> str:
        bundle = self.bundle
        objects = sum(len(items) for items in bundle.objects.values())
        series = sum(len(found) for found in bundle.series.values())
        parts = {
            "object": objects,
            "series": series,
            "log line": len(bundle.log_lines),
            "manifest": len(bundle.manifests),
            "change": len(bundle.changes),
        }
        told = ", ".join(_counted(count, name) for name, count in parts.items() if count)
        files = _counted(len(bundle.files.files), "file")
        return f"{files}: {told}" if told else f"{files}, and nothing that is read"


# The plan


def _questions(bundle: Bundle, faults: Sequence[Fault]) -> tuple[Query, ...]:
    """All questions, without an incident's namespace and window yet."""
    found = [_query(NAME, "contents", "the bundle's own files", "what was recorded, and when")]
    kinds = sorted(
        bundle.objects, key=lambda kind: (plural_of(kind) not in _ALWAYS_READ, list(KIND_BY_NAME).index(kind) if kind in KIND_BY_NAME else 99)
    )
    for kind in kinds[:_MAX_KINDS]:
        plural = one_line(plural_of(kind), 80)
        found.append(_query("kubernetes", plural, f"kubectl get {plural}", f"which {plural} there are, and how they are", language="bash"))
    if bundle.manifests:
        found.append(
            _query("kubernetes", "manifests", "the manifests that were applied", "what should be: compared with what is, it shows what was changed")
        )
    if bundle.series:
        found.append(_query("prometheus", "series", "series whose labels name the subject", "what was measured about the subject"))
    if bundle.log_lines:
        found.append(_query("kubernetes", "logs", "patterns of the recorded log lines", "what the programs themselves say"))
    for kind, there, expression, purpose in (
        ("errors", bundle.error_patterns, "error_log_summary.json", "which errors the recording's own tools counted"),
        ("changes", bundle.changes, "changes.json", "what was changed before it began"),
        ("dependencies", bundle.dependencies, "topology.json, and series with both ends in their labels", "who calls whom"),
        ("units", bundle.units, "node_units.json", "whether the services of the nodes run"),
        ("anomalies", bundle.anomalies, "detector.json", "what another detector reported"),
    ):
        if there:
            found.append(_query(NAME, kind, expression, purpose))
    found += [_query(NAME, "unreadable", fault.file, f"what {fault.file} says") for fault in faults[:MAX_FAULTS]]
    if len(faults) > MAX_FAULTS:
        found.append(_query(NAME, "unreadable", "the rest", "what the other files say that cannot be read"))
    return tuple(found)


def _query(source: str, kind: str, expression: str, purpose: str, *, language: str = "") -> Query:
    return Query(id="", source=source, kind=kind, expression=expression, purpose=purpose, language=language)


def _placed(question: Query, namespace: str, incident: Incident, now: datetime) -> Query:
    if question.kind == "series":
        onset = min(max(incident.lead.starts_at, now - timedelta(days=1)), now - timedelta(minutes=1))
        window = Window(start=onset - _BEFORE_ONSET, end=now, step=max(timedelta(seconds=1), (now - onset + _BEFORE_ONSET) / MAX_POINTS))
        return replace(question, window=window)
    if question.language == "bash":
        kind = kind_of_word(question.kind)
        safe = namespace.replace("-", "").isalnum() and namespace.isascii()
        place = f" -n {namespace}" if safe and (kind is None or kind.namespaced) else ""
        return replace(question, expression=f"{question.expression}{place} -o yaml")
    return question


# What comes first where not everything fits


def _distance(item: KubernetesObject, subject: Subject) -> tuple[bool, bool, bool, str, str]:
    """Objects of the subject's name first, then those in trouble, then those of its namespace."""
    names = {name for name in (subject.name, subject.service, subject.node) if name}
    about = item.manifest.get("involvedObject") if item.kind == "Event" else None
    name = str(about.get("name", "")) if isinstance(about, Mapping) else item.name
    named = any(name == other or name.startswith(f"{other}-") for other in names)
    return (not named, not is_troubled(item), item.namespace not in ("", subject.namespace), item.namespace, item.name)


def _nearest(series_by_name: Mapping[str, tuple[MetricSeries, ...]], incident: Incident) -> tuple[tuple[MetricSeries, ...], tuple[MetricSeries, ...]]:
    """Series about the subject, and those around it.

    About it are those that share identity labels with the incident's alerts, those with the most first, one of each metric before a second of any.
    Around it are all others but those of other namespaces; what moved most comes first.
    """
    labels = {name: value for alert in incident.alerts for name, value in alert.labels.items() if name in _IDENTITY and value}
    names = {value for value in (incident.subject.name, incident.subject.service, *labels.values()) if value}
    about: list[tuple[int, int, str, MetricSeries]] = []
    around: list[tuple[float, MetricSeries]] = []
    for name, found in series_by_name.items():
        scored = [(_agreement(series, labels, names - {labels.get("namespace", "")}), series) for series in found]
        near = [(-score, sorted(series.labels.items()), series) for score, series in scored if score]
        near.sort(key=lambda entry: entry[:2])
        about += [(score, place, name, series) for place, (score, _, series) in enumerate(near)]
        around += [(_moved(series, incident), series) for score, series in scored if score == 0]
    about.sort(key=lambda entry: (entry[0], entry[1], entry[2]))
    around.sort(key=lambda entry: (-entry[0], sorted(entry[1].labels.items())))
    return tuple(entry[3] for entry in about), tuple(series for _, series in around)


def _moved(series: MetricSeries, incident: Incident) -> float:
    found = movement(series.points, incident.lead.starts_at)
    return found.score if found else 0.0


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}" if count == 1 or name == "series" else f"{count:,} {name}s"


def _thinned(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """At most MAX_POINTS of them, evenly, the newest among them."""
    stride = -(-len(points) // MAX_POINTS)
    return points[::-1][::stride][::-1]


def _agreement(series: MetricSeries, labels: Mapping[str, str], names: set[str]) -> int | None:
    """How much a series is about the incident; None where it is of another namespace. That the namespace is the same says nothing yet."""
    score = 0
    for name, value in series.labels.items():
        if name == METRIC:
            continue
        if name == "namespace":
            if name in labels and labels[name] != value:
                return None
            continue
        score += 2 * (labels.get(name) == value) + (value in names)
    return score
