"""`agent-sre eval cases`: the rules over a folder of recorded incidents, each in a process of its own pool, and what came out of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import orjson
import typer

from agent_sre.alert.alert import Alert
from agent_sre.cli.terminal import Progress
from agent_sre.finding.finding import Finding, Hypothesis, object_name
from agent_sre.finding.world import World
from agent_sre.incident.incident import Incident
from agent_sre.kit.errors import BadInput

MOST_RANKED = 20
"""Suspects that a result lists: more than any figure looks at."""

_LOOK_BACK_SERIES = 2000  # a baseline over more would measure patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A recorded incident on disk."""

    id: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the rules said about one case."""

    id: str
    dataset: str
    ranked: tuple[Mapping[str, Any], ...]  # object, service, cause, score; best first
    confidence: str
    chance: float  # how likely the first is right, as the rules see it
    signs: Mapping[str, float]  # what that rests on
    engine_seconds: float
    load_seconds: float
    baselines: Mapping[str, tuple[str, ...]]  # services by method and split; empty without metrics
    findings: tuple[Finding, ...] = ()  # that name a cause, for learning; empty where nothing is learned
    pairs: bool = False  # suspects are pairs of object and cause


def run(folder: Path, *, truth: Path | None, json_file: Path | None, jobs: int, refit: bool, write: Path | None) -> int:
    """Runs, writes and prints; 0, or 1 where a case could not be read."""
    from agent_sre.cli.eval.refit import show_refit
    from agent_sre.cli.eval.table import show_cases

    if (refit or write) and truth is None:
        raise BadInput("--refit learns from known causes: name them with --truth FILE.")
    known = read_truth(truth) if truth else {}
    cases = find_cases(folder)
    results, failures = _run_all(cases, jobs=jobs, baselines=bool(known), learning=refit)
    if json_file is not None:
        write_json(json_file, [_plain(result) for result in results])
    if known:
        show_cases(results, known)
    elif json_file is None:
        for result in results:
            typer.echo(_line(result))
    for name, reason in failures:
        typer.echo(f"{name}: not evaluated: {reason}", err=True)
    if refit:
        show_refit(results, known, write)
    return 1 if failures else 0


def find_cases(folder: Path) -> tuple[Case, ...]:
    """The cases of a folder by id: every folder in it with an alert.json or a case.json, or the folder itself."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder. It must hold one folder per case, each with an alert.json.")
    found = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_case(path)]
    if not found and _is_case(folder):
        found = [folder.resolve()]
    if not found:
        raise BadInput(f"There is no case in {folder}: it must hold one folder per case, each with an alert.json.")
    return tuple(Case(id=path.name, path=path) for path in found)


def _is_case(path: Path) -> bool:
    return (path / "alert.json").exists() or (path / "case.json").exists()


def read_truth(file: Path) -> Mapping[str, Mapping[str, Any]]:
    """The known causes by id: object and cause, or service, or instance."""
    try:
        document = orjson.loads(file.read_bytes())
    except OSError as error:
        raise BadInput(f"Cannot read {file}: {error.strerror}.") from error
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{file} is no JSON: {error}.") from error
    if not isinstance(document, dict) or not all(isinstance(entry, dict) for entry in document.values()):
        raise BadInput(f"{file} must be an object of objects: id, then `object` and `cause`, or `service`, or `instance`.")
    return document


def write_json(file: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """An array, one result a line. `-` is standard output."""
    body = b"[\n" + b",\n".join(orjson.dumps(result) for result in results) + b"\n]\n"
    if str(file) == "-":
        typer.echo(body, nl=False)
        return
    try:
        file.write_bytes(body)
    except OSError as error:
        raise BadInput(f"Cannot write {file}: {error.strerror}.") from error


def _plain(result: Result) -> dict[str, Any]:
    return {
        "id": result.id,
        "ranked": list(result.ranked),
        "confidence": result.confidence,
        "chance": round(result.chance, 4),
        "seconds": round(result.engine_seconds, 4),
        "load_seconds": round(result.load_seconds, 4),
    }


def _line(result: Result) -> str:
    if not result.ranked:
        return f"{result.id}  nothing found"
    first = result.ranked[0]
    return f"{result.id}  {first['object']}  {first['cause']}  score {first['score']:.2f}  confidence {result.confidence}"


# One case


def evaluate(case: Case, *, baselines: bool = False, learning: bool = False) -> Result:
    """The rules over one case. Raises BadInput where there is no alert in it."""
    from agent_sre.alert.payload import decode_object
    from agent_sre.evidence.bundle.bundle import load_bundle
    from agent_sre.evidence.bundle.source import BundleSource
    from agent_sre.evidence.playbook import load_playbooks
    from agent_sre.evidence.playbook_derived import playbook_of
    from agent_sre.finding.confidence import chance_right, signs_of_verdict
    from agent_sre.finding.diagnose import diagnose
    from agent_sre.finding.rank import seen_causes
    from agent_sre.kit.clock import SystemClock

    began = perf_counter()
    bundle = load_bundle(case.path)
    message = bundle.message
    if message is None or not message.alerts:
        raise BadInput("it has no alert.json with an alert in it")
    now = bundle.now or SystemClock().now()
    incident = incident_of_all(message.alerts, now)
    evidence = BundleSource(bundle, now).everything(incident)
    playbook = playbook_of(incident.lead, load_playbooks())
    loaded = perf_counter()
    diagnosis = diagnose(incident, evidence, playbook)
    engine_seconds = perf_counter() - loaded
    world = World(incident, evidence, now)
    signs = signs_of_verdict(diagnosis.hypotheses, evidence)
    about = decode_object((case.path / "case.json").read_bytes()) if (case.path / "case.json").exists() else {}
    dataset = about.get("dataset")
    # Where Kubernetes objects were recorded, a suspect is an object and what is wrong with it; else a service.
    pairs = any(item.query.source == "kubernetes" and item.query.kind != "logs" for item in evidence.items)
    return Result(
        id=case.id,
        dataset=dataset if isinstance(dataset, str) and dataset else case.id.partition("-")[0],
        ranked=suspects_of(seen_causes(diagnosis.findings), pairs=pairs),
        confidence=diagnosis.confidence.value,
        chance=chance_right(signs),
        signs=signs,
        engine_seconds=engine_seconds,
        load_seconds=loaded - began,
        baselines=_baselines(world) if baselines else {},
        findings=tuple(finding for finding in diagnosis.findings if finding.cause) if learning else (),
        pairs=pairs,
    )


def incident_of_all(alerts: Sequence[Alert], now: datetime) -> Incident:
    """One incident of all these alerts."""
    from agent_sre.analysis.rules import incident_of

    incidents = [incident_of(alert, now) for alert in alerts]
    members = tuple(replace(one.alerts[0], id=number) for number, one in enumerate(incidents, 1))
    whole = replace(incidents[0], alerts=members)
    lead = whole.lead
    starts_at = min(member.starts_at for member in members)
    return replace(whole, subject=lead.subject, severity=lead.severity, triggered_at=starts_at, last_alert_at=starts_at)


def suspects_of(hypotheses: Sequence[Hypothesis], *, pairs: bool) -> tuple[Mapping[str, Any], ...]:
    """The hypotheses as suspects, best first: pairs of object and cause, or each service once with its best cause."""
    found: dict[Any, Mapping[str, Any]] = {}
    for item in hypotheses:
        name = object_name(item.subject)
        key = (name, item.name) if pairs else item.subject.name
        found.setdefault(key, {"object": name, "service": item.subject.name, "cause": item.name, "score": item.score})
    return tuple(list(found.values())[:MOST_RANKED])


def _baselines(world: World) -> Mapping[str, tuple[str, ...]]:
    from agent_sre.cli.eval.baselines import BASELINES, SPLITS, baseline_ranking

    curves = world.curves[:_LOOK_BACK_SERIES]
    if not curves:
        return {}
    alert_at = world.incident.lead.starts_at.timestamp()
    return {
        f"{method}, split {f'{split} s before' if split else 'at'} the alert": baseline_ranking(curves, alert_at - split, method)
        for method in BASELINES
        for split in SPLITS
    }


# All of them


def _run_all(cases: Sequence[Case], *, jobs: int, baselines: bool, learning: bool) -> tuple[list[Result], list[tuple[str, str]]]:
    results: list[Result] = []
    failures: list[tuple[str, str]] = []
    with Progress() as progress, _pool(min(jobs, len(cases))) as pool:
        progress.step(f"{len(cases)} cases, {min(jobs, len(cases))} at a time (Ctrl-C stops)")
        with _interrupt_later():
            waiting = {pool.submit(evaluate, case, baselines=baselines, learning=learning): case for case in cases}
        for number, future in enumerate(as_completed(waiting), 1):
            if (error := future.exception()) is not None:
                failures.append((waiting[future].id, f"{error}" if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"))
            else:
                results.append(future.result())
            if number % 25 == 0 or number == len(cases):
                progress.step(f"{number} of {len(cases)} cases (Ctrl-C stops)")
    return sorted(results, key=lambda result: result.id), sorted(failures)


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that end with us, also by Ctrl-C. Spawned, not forked: nothing of this process's state must leak into a figure."""
    pool = ProcessPoolExecutor(max_workers=max(jobs, 1), mp_context=get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with(parent: int) -> None:
    """Watches whether the first process is still there: a killed one tells nobody, and its workers would wait for work for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _interrupt_later() -> Iterator[None]:
    """Holds Ctrl-C back while workers start: they inherit that, for good. The terminal sends it to all of them, and the first process decides."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def right_place(result_ranked: Sequence[Mapping[str, Any]], truth: Mapping[str, Any], *keys: str) -> int:
    """The place of the first suspect that has these parts of the truth, from 1 on; 0 where none has. Equal suspects count once."""
    seen: dict[tuple[Any, ...], None] = {}
    for entry in result_ranked:
        seen.setdefault(tuple(entry.get(key) for key in keys))
    wanted = tuple(truth.get(key) for key in keys)
    return list(seen).index(wanted) + 1 if wanted in seen else 0
