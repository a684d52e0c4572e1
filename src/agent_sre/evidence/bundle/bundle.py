"""A recorded world as a value: `load_bundle(path)` and look.

What is looked at is read then, and only then: of hundreds of cases in a row, each costs what is asked of it. A Bundle never changes; two threads
that ask for the same part at once read it twice and get the same.

    case.json            `now`: nothing later is looked at. Without it, kubectl's own texts tell when they were written, else the last sample
    alert.json           the webhook's body
    *.om, *.prom, answers of /api/v1/query_range                    -> series
    k8s.json, kubectl's texts, JSON and YAML, cluster-info dumps    -> objects
    manifests.json, manifests/*.yaml                                -> manifests: what was applied, not what is
    logs.json, logs.jsonl, *.log, logs.txt                          -> log_lines
    changes.json, topology.json, node_units.json, detector.json, error_log_summary.json
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar

import orjson

from agent_sre.alert.payload import WebhookMessage, decode_object, parse
from agent_sre.evidence.bundle import facts, kubectl, logs, manifests, openmetrics, times, world
from agent_sre.evidence.bundle.faults import Fault, fault
from agent_sre.evidence.bundle.files import BundleFile, BundleFiles, open_files
from agent_sre.evidence.bundle.kubectl import Command, Reading
from agent_sre.evidence.bundle.logs import LogLine
from agent_sre.evidence.bundle.openmetrics import NAME, Samples
from agent_sre.evidence.bundle.times import SAME_CLOCK, Times
from agent_sre.evidence.evidence import Change, Dependency, Fact, KubernetesObject, LogPattern, MetricSeries
from agent_sre.kit.errors import BadInput
from agent_sre.kit.times import parse_instant

T = TypeVar("T")

NAMED = (
    "alert.json", "case.json", "changes.json", "topology.json", "node_units.json", "detector.json", "error_log_summary.json", "k8s.json",
    "manifests.json", "logs.json", "logs.jsonl",
)  # fmt: skip
"""Files at the top of a bundle that are what their name says."""

_METRICS = (".om", ".prom", ".openmetrics")
_LOGS = (".log", "/logs.txt")
_LOG_NAME = re.compile(r"(?:^|[._/-])logs?(?:$|[._/-])")
_NAMESPACE = re.compile(r"(?:^|/)namespaces?/([a-z0-9][a-z0-9-]*)/|(?:^|[\s_-])-n[\s_=]+([a-z0-9][a-z0-9-]*)")
_SKIPPED = (".md", ".sh", ".html", ".png", ".jpg", ".svg", ".pdf")
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class _Part(NamedTuple):
    """What was read of some files, and what could not be."""

    value: Any
    faults: tuple[Fault, ...]


class _Text(NamedTuple):
    """Something that kubectl printed."""

    file: str
    command: Command
    text: str
    source: str  # whose log it is, if it is one


class _Free(NamedTuple):
    """What the files hold that are called anything."""

    texts: tuple[_Text, ...]
    documents: tuple[tuple[str, str, list[Any]], ...]  # file, namespace, documents: JSON and YAML
    samples: tuple[tuple[str, Any], ...]  # file, answer of the query API


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """One recorded world. Every part is empty where the bundle has none; `faults` tells what could not be read."""

    path: Path
    files: BundleFiles

    # When

    @cached_property
    def now(self) -> datetime | None:
        """The instant that the world stands at. None where nothing in it has a time."""
        return self._given_now or self._own_time or self._latest

    @property
    def time_from(self) -> str:
        """Where `now` comes from, for people."""
        if self._given_now:
            return "case.json"
        if self._own_time:
            return "the texts of kubectl"
        return "the latest time in it" if self.now else ""

    @property
    def captured(self) -> Times:
        """How the times in kubectl's texts were read."""
        return self._times

    @cached_property
    def step(self) -> timedelta | None:
        """The distance of its samples, where case.json says it."""
        seconds = self._case.get("step")
        return timedelta(seconds=seconds) if isinstance(seconds, int | float) and 0 < seconds < 1e6 else None

    # What

    @cached_property
    def alert(self) -> bytes | None:
        """The body of the webhook. None where there is none, or none that can be read."""
        body: bytes | None = self._alert.value
        return body

    @cached_property
    def message(self) -> WebhookMessage | None:
        """The alerts in it."""
        if self.alert is None:
            return None
        starts = [at for entry in self._entries if (at := parse_instant(entry.get("startsAt"))) is not None]
        moment = self._given_now or max(starts, default=_LONG_AGO)
        return parse(decode_object(self.alert), moment)

    @cached_property
    def series(self) -> Mapping[str, tuple[MetricSeries, ...]]:
        """Series by metric name, none of their samples after `now`. Labels are with `__name__`."""
        by_name: dict[str, list[MetricSeries]] = {}
        for samples in self._metrics.value:
            for series in samples.series:
                by_name.setdefault(series.labels.get(NAME, ""), []).append(series)
        return {name: tuple(found) for name, found in by_name.items()}

    @cached_property
    def objects(self) -> Mapping[str, tuple[KubernetesObject, ...]]:
        """What the cluster had, by kind: "Pod", "Event", …"""
        found: Mapping[str, tuple[KubernetesObject, ...]] = world.objects_of(self._readings.value, self._given_now)
        return found

    @cached_property
    def manifests(self) -> tuple[KubernetesObject, ...]:
        """What was applied: the desired state, which the cluster need not have reached."""
        found: tuple[KubernetesObject, ...] = self._manifests.value
        return found

    @cached_property
    def log_lines(self) -> tuple[LogLine, ...]:
        """Lines of logs, untrusted and not redacted; none is later than `now`, where its time is known."""
        found: tuple[LogLine, ...] = self._log_lines.value
        return found

    @cached_property
    def error_patterns(self) -> tuple[LogPattern, ...]:
        """Errors per app as the recording's own tools counted them."""
        return logs.summary_patterns(self._mapping("error_log_summary.json").value)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """What was changed by `now`, oldest first."""
        return tuple(facts.changes_of(self._json("changes.json").value, self._given_now))

    @cached_property
    def dependencies(self) -> tuple[Dependency, ...]:
        """Who calls whom: of the call graph, and of metrics with both ends in their labels."""
        return tuple(dict.fromkeys([*facts.dependencies_of(self._json("topology.json").value), *self._measured_edges()]))

    @cached_property
    def units(self) -> tuple[Fact, ...]:
        """systemd units of nodes, those that do not run first."""
        return tuple(facts.units_of(self._mapping("node_units.json").value, self._times))

    @cached_property
    def anomalies(self) -> tuple[Fact, ...]:
        """What another detector reported."""
        return tuple(facts.anomalies_of(self._json("detector.json").value))

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """What could not be read. Asking for it reads everything."""
        parts = [self._alert, self._case_part, self._free, self._metrics, self._readings, self._manifests, self._log_lines]
        small = [self._json(name) for name in ("changes.json", "topology.json", "detector.json")]
        small += [self._mapping(name) for name in ("error_log_summary.json", "node_units.json")]
        return tuple(dict.fromkeys([*self.files.faults, *(one for part in [*parts, *small] for one in part.faults)]))

    def has(self, name: str) -> bool:
        """Whether there is a file of this name at the top."""
        return name in self._file_by_name

    @property
    def has_metrics(self) -> bool:
        """Whether anything in it may hold samples."""
        return bool(self._metric_files or self._free.value.samples)

    # Reading

    @cached_property
    def _file_by_name(self) -> dict[str, BundleFile]:
        return {file.name: file for file in self.files.files}

    @cached_property
    def _metric_files(self) -> tuple[BundleFile, ...]:
        return tuple(file for file in self.files.files if file.name.endswith(_METRICS))

    def _read(self, name: str, decode: Callable[[bytes], T], empty: T) -> _Part:
        """One file by its decoder; `empty` where it is not there, and where it cannot be read."""
        file = self._file_by_name.get(name)
        if file is None:
            return _Part(empty, ())
        try:
            return _Part(decode(file.read()), ())
        except BadInput as error:
            return _Part(empty, (fault(name, error.reason, str(error)),))

    def _json(self, name: str) -> _Part:
        return self._read(name, manifests.from_json, None)

    def _mapping(self, name: str) -> _Part:
        empty: Mapping[str, Any] = {}
        return self._read(name, _json_object, empty)

    @cached_property
    def _case_part(self) -> _Part:
        return self._mapping("case.json")

    @property
    def _case(self) -> Mapping[str, Any]:
        case: Mapping[str, Any] = self._case_part.value
        return case

    @cached_property
    def _given_now(self) -> datetime | None:
        return parse_instant(self._case.get("now"))

    @cached_property
    def _alert(self) -> _Part:
        return self._read("alert.json", _webhook_body, None)

    @cached_property
    def _entries(self) -> list[Mapping[str, Any]]:
        document = decode_object(self.alert) if self.alert is not None else {}
        entries = document.get("alerts")
        return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []

    @cached_property
    def _alert_at(self) -> datetime | None:
        return min((at for entry in self._entries if (at := parse_instant(entry.get("startsAt"))) is not None), default=None)

    # Time lines

    @cached_property
    def _own_time(self) -> datetime | None:
        return times.captured_at([item.text for item in self._texts if item.command.verb in ("", "describe")])

    @cached_property
    def _times(self) -> Times:
        given, own = self._given_now, self._own_time
        if given is None or own is None:
            return Times(captured_at=own or given)
        if abs(given - own) < SAME_CLOCK:
            return Times(captured_at=own)
        return Times(captured_at=given, shift=given - own)

    @cached_property
    def _latest(self) -> datetime | None:
        """The latest instant that samples, objects or alerts name."""
        last = [series.points[-1][0] for samples in self._metrics.value for series in samples.series]
        found = [times.from_seconds(max(last))] if last else []
        latest = world.latest_instant(self.objects)
        return max([*filter(None, [*found, latest])], default=None) or self._alert_at

    # Metrics

    @cached_property
    def _metrics(self) -> _Part:
        found: list[Samples] = []
        faults: list[Fault] = []
        limit = self._given_now
        for file in self._metric_files:
            try:
                samples = openmetrics.read_text(_decoded(file.read()), limit, taken_at=limit or self._own_time)
            except BadInput as error:
                faults.append(fault(file.name, error.reason, str(error)))
                continue
            found.append(samples)
            faults += _sample_faults(file.name, samples)
        for name, document in self._free.value.samples:
            answer = openmetrics.read_matrix(document, limit)
            if answer is not None:
                found.append(answer)
                faults += _sample_faults(name, answer)
        return _Part(tuple(found), tuple(faults))

    def _measured_edges(self) -> list[Dependency]:
        edges: dict[Dependency, None] = {}
        for found in self.series.values():
            for series in found:
                for one, other, via in (("source", "destination", "mesh"), ("client", "server", "spans")):
                    if series.labels.get(one) and series.labels.get(other):
                        edges[Dependency(source=series.labels[one], destination=series.labels[other], via=via)] = None
        return list(edges)

    # The cluster

    @cached_property
    def _commands(self) -> _Part:
        return self._mapping("k8s.json")

    @cached_property
    def _texts(self) -> tuple[_Text, ...]:
        named = (
            _Text(f"k8s.json: {command}", kubectl.parse_command(command), text, "")
            for command, text in self._commands.value.items()
            if isinstance(text, str)
        )
        return (*named, *self._free.value.texts)

    @cached_property
    def _readings(self) -> _Part:
        readings: list[Reading] = []
        faults: list[Fault] = list(self._commands.faults)
        for item in self._texts:
            if _is_log(item):
                continue
            reading = kubectl.read(item.text, item.command, self._times, source=item.source)
            readings.append(reading)
            if reading.problem is not None:
                faults.append(fault(item.file, *reading.problem))
        for name, namespace, documents in self._free.value.documents:
            reading = kubectl.of_documents(documents, namespace=namespace)
            readings.append(reading)
            if reading.problem is not None:
                faults.append(fault(name, *reading.problem))
        return _Part(tuple(readings), tuple(faults))

    @cached_property
    def _manifests(self) -> _Part:
        found: list[KubernetesObject] = []
        faults: list[Fault] = []
        named = self._mapping("manifests.json")
        faults += named.faults
        texts = [(f"manifests.json: {name}", text) for name, text in named.value.items() if isinstance(text, str)]
        for file in self.files.files:
            if _is_applied(file.name):
                try:
                    texts.append((file.name, _decoded(file.read())))
                except BadInput as error:
                    faults.append(fault(file.name, error.reason, str(error)))
        for name, text in texts:
            try:
                documents = manifests.from_yaml(text)
            except BadInput as error:
                faults.append(fault(name, error.reason, str(error)))
                continue
            for document in documents:
                found += [_object(manifest) for manifest in manifests.objects_of(document)]
        return _Part(tuple(found), tuple(faults))

    # Logs

    @cached_property
    def _log_lines(self) -> _Part:
        found: list[LogLine] = []
        per_app, rows = self._mapping("logs.json"), self._read("logs.jsonl", bytes, b"")
        faults: list[Fault] = [*per_app.faults, *rows.faults]
        found += logs.from_apps(per_app.value, self._times)
        if rows.value:
            lines, bad = self._rows(rows.value)
            found += lines
            if bad:
                faults.append(fault("logs.jsonl", "bad_lines", f"Lines that are no records: {bad:,}."))
        for item in self._texts:
            if _is_log(item):
                reading = kubectl.read(item.text, item.command, self._times, source=item.source)
                found += reading.lines
                if reading.problem is not None:
                    faults.append(fault(item.file, *reading.problem))
        limit = self._given_now
        kept = found if limit is None else [line for line in found if line.at is None or line.at <= limit]
        return _Part(tuple(kept), tuple(faults))

    def _rows(self, content: bytes) -> tuple[list[LogLine], int]:
        try:
            document = manifests.from_json(content)
        except BadInput:
            return logs.from_records(content.split(b"\n"), self._times)
        if isinstance(document, Mapping) and "rows" in document:
            return logs.from_rows(document, self._alert_at, self._given_now), 0
        return logs.from_records(content.split(b"\n"), self._times)

    # Files that are called anything

    @cached_property
    def _free(self) -> _Part:
        texts: list[_Text] = []
        documents: list[tuple[str, str, list[Any]]] = []
        samples: list[tuple[str, Any]] = []
        faults: list[Fault] = []
        for file in self.files.files:
            if file.name in NAMED or file.name.endswith((*_METRICS, *_SKIPPED)) or _is_applied(file.name):
                continue
            try:
                self._take(file, texts, documents, samples)
            except BadInput as error:
                faults.append(fault(file.name, error.reason, str(error)))
        return _Part(_Free(tuple(texts), tuple(documents), tuple(samples)), tuple(faults))

    def _take(self, file: BundleFile, texts: list[_Text], documents: list[tuple[str, str, list[Any]]], samples: list[tuple[str, Any]]) -> None:
        content = file.read()
        namespace = _namespace_of(file.name)
        lower = file.name.lower()
        if lower.endswith(".json") and content.strip():
            document = manifests.from_json(content)
            if openmetrics.is_answer(document):
                samples.append((file.name, document))
            else:
                documents.append((file.name, namespace, [document]))
            return
        text = _decoded(content)
        if lower.endswith((".yaml", ".yml")):
            documents.append((file.name, namespace, manifests.from_yaml(text)))
            return
        source = _source_of(file.name)
        if _is_log_name(lower):
            texts.append(_Text(file.name, Command(verb="logs", namespace=namespace, previous="previous" in lower), text, source))
            return
        for command, part in kubectl.split_session(text):
            parsed = kubectl.parse_command(command) if command else Command(namespace=namespace)
            texts.append(_Text(f"{file.name}: {command}" if command else file.name, parsed, part, source))


def load_bundle(path: Path) -> Bundle:
    """The recorded world of a folder, a tar or a zip. Reads nothing of a folder yet but its names. Raises BadInput where there is no bundle."""
    return Bundle(path=path, files=open_files(path))


def _object(manifest: dict[str, Any]) -> KubernetesObject:
    metadata = manifest["metadata"]
    return KubernetesObject(kind=manifest["kind"], namespace=str(metadata.get("namespace") or ""), name=metadata["name"], manifest=manifest)


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def _json_object(content: bytes) -> Mapping[str, Any]:
    document = manifests.from_json(content)
    if not isinstance(document, Mapping):
        raise BadInput("It is JSON, but no object.", reason="unreadable")
    return document


def _webhook_body(content: bytes) -> bytes:
    """The body, whose alerts can be read."""
    document = decode_object(content)
    if "alerts" not in document and "labels" in document:  # one alert alone
        content = orjson.dumps({"alerts": [document]})
    parse(decode_object(content), _LONG_AGO)
    return content


def _is_log(item: _Text) -> bool:
    return item.command.verb == "logs"


def _is_log_name(name: str) -> bool:
    path = PurePosixPath(name)
    return name.endswith(_LOGS) or name == "logs.txt" or (_LOG_NAME.search(path.stem) is not None and path.suffix in ("", ".txt", ".log"))


def _is_applied(name: str) -> bool:
    return name.startswith("manifests/") and name.endswith((".yaml", ".yml", ".json"))


def _namespace_of(name: str) -> str:
    match = _NAMESPACE.search(name)
    return (match[1] or match[2] or "") if match else ""


def _source_of(name: str) -> str:
    """Whose log a file is, by its name: `logs/cart-0.previous.log` is cart-0's."""
    stem = PurePosixPath(name).name
    for suffix in (".txt", ".log", ".previous", "-previous", ".current", ".logs"):
        stem = stem.removesuffix(suffix)
    return stem.removeprefix("logs-").removeprefix("logs_") or PurePosixPath(name).parent.name


def _sample_faults(name: str, samples: Samples) -> list[Fault]:
    found = []
    if samples.bad:
        found.append(fault(name, "bad_lines", f"Lines that are no samples: {samples.bad:,}; the first: {samples.first_bad}"))
    if samples.untimed:
        found.append(fault(name, "bad_lines", f"Samples without a timestamp: {samples.untimed:,}; nobody knows when they were taken."))
    return found
