"""`agent-sre eval storms`: which member of each storm is its source, from its alerts alone."""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
import typer

from agent_sre.alert.payload import parse
from agent_sre.cli.terminal import Progress
from agent_sre.finding.learn import Choice, Signs, fit_choice
from agent_sre.finding.storm import Storm, Suspect, Usual, has_history, signs_of, storm_alert, storm_of, storm_weights, suspects
from agent_sre.finding.weights import STORM_EXPERT, STORM_PULL
from agent_sre.kit.clock import SystemClock
from agent_sre.kit.errors import BadInput

_MOST_BYTES = 512 * 1024 * 1024
_PLACES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StormResult:
    """The members of one storm, most likely source first, and the signs of each object for learning."""

    id: str
    dataset: str
    ranked: tuple[Suspect, ...]
    counted: tuple[str, ...]  # the baseline: members by number of alerts
    objects: tuple[str, ...]
    signs: tuple[Signs, ...]  # with what was usual by then
    alone: tuple[Signs, ...]  # of this storm only
    with_history: bool
    seconds: float


def run(
    files: Sequence[Path], *, truth: Path | None, json_file: Path | None, history: bool, half: int | None, refit: bool, write: Path | None
) -> int:
    """Runs, writes and prints; 0, or 1 where a line could not be read."""
    from agent_sre.cli.eval.cases import read_truth, write_json

    if (refit or write) and truth is None:
        raise BadInput("--refit learns from known sources: name them with --truth FILE.")
    known = read_truth(truth) if truth else {}
    results: list[StormResult] = []
    failures: list[str] = []
    with Progress() as progress:
        for file in files:
            progress.step(f"reading {file.name} (Ctrl-C stops)")
            found, broken = rank_file(file, history=history)
            results += found
            failures += broken
    if json_file is not None:
        write_json(json_file, [_plain(result) for result in results])
    if known:
        _show([result for result in results if half is None or fold_of_half(result.id) == half], known)
    elif json_file is None:
        for result in results:
            first = next(iter(result.ranked), None)
            typer.echo(f"{result.id}  {first.name}  score {first.score:.2f}" if first else f"{result.id}  nobody")
    for failure in failures:
        typer.echo(failure, err=True)
    if refit:
        _refit(results, known, write)
    return 1 if failures else 0


def rank_file(file: Path, *, history: bool) -> tuple[list[StormResult], list[str]]:
    """The storms of one file in its order, and a sentence for each line that is none. With `history`, storms that came before in the
    file tell what usually fires; what their sources were is not looked at."""
    usual = Usual()
    results: list[StormResult] = []
    failures: list[str] = []
    for number, line in enumerate(_lines(file), 1):
        if not line.strip():
            continue
        try:
            name, storm = storm_of_line(line)
        except BadInput as error:
            failures.append(f"{file}, line {number}: {error}")
            continue
        began = perf_counter()
        ranked = suspects(storm, usual if history else None)
        seconds = perf_counter() - began
        results.append(
            StormResult(
                id=name,
                dataset=_dataset(name),
                ranked=ranked,
                counted=_counted(storm),
                objects=storm.objects,
                signs=signs_of(storm, usual) if history else (),
                alone=signs_of(storm),
                with_history=history and has_history(usual),
                seconds=seconds,
            )
        )
        usual.learn(storm)
    return results, failures


def storm_of_line(line: bytes) -> tuple[str, Storm]:
    """The id and the storm of one JSON line. Raises BadInput where it is none."""
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"it is no JSON: {error}") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not isinstance(entry.get("webhook"), dict):
        raise BadInput("it must be an object with `id`, `webhook` and, if known, `topology`")
    message = parse(entry["webhook"], SystemClock().now())
    nodes, edges = _topology(entry.get("topology"))
    return entry["id"], storm_of((storm_alert(alert.labels) for alert in message.alerts), nodes, edges)


def _topology(topology: Any) -> tuple[list[str], list[tuple[str, str]]]:
    """Nodes by name, and edges as pairs of names; edges are pairs of numbers or of names. What is neither is left out."""
    table = topology if isinstance(topology, dict) else {}
    nodes = [node for node in table.get("nodes") or [] if isinstance(node, str)]
    edges = []
    for edge in table.get("edges") or []:
        if isinstance(edge, list) and len(edge) == 2:
            ends = [nodes[end] if type(end) is int and 0 <= end < len(nodes) else end for end in edge]
            if all(isinstance(end, str) for end in ends):
                edges.append((ends[0], ends[1]))
    return nodes, edges


def _lines(file: Path) -> Iterator[bytes]:
    """Lines of a file that may be packed with xz."""
    try:
        with lzma.open(file) if file.suffix == ".xz" else file.open("rb") as stream:
            read = 0
            for line in stream:
                read += len(line)
                if read > _MOST_BYTES:
                    raise BadInput(f"{file} holds more than {_MOST_BYTES // 2**20} MiB.")
                yield line
    except OSError as error:
        raise BadInput(f"Cannot read {file}: {error.strerror or error}.") from error
    except (lzma.LZMAError, EOFError) as error:
        raise BadInput(f"{file} is broken: {error}.") from error


def _dataset(name: str) -> str:
    """The id without its last part: `storm-shop` for `storm-shop-7`."""
    return name.rpartition("-")[0] or name


def _counted(storm: Storm) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for alert in storm.alerts:
        counts[alert.object] = counts.get(alert.object, 0) + 1
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


def _plain(result: StormResult) -> dict[str, Any]:
    return {
        "id": result.id,
        "ranked": [{"instance": one.name, "score": round(one.score, 4)} for one in result.ranked[:_PLACES]],
        "seconds": round(result.seconds, 5),
    }


def _show(results: Sequence[StormResult], truth: Mapping[str, Mapping[str, Any]]) -> None:
    from agent_sre.cli.eval.table import show_rows, show_seconds

    sets: dict[str, list[StormResult]] = {}
    for result in results:
        if result.id in truth:
            sets.setdefault(result.dataset, []).append(result)
    rows: list[tuple[str, Sequence[int]]] = []
    for name, inside in sorted(sets.items()):
        rows.append((name, [_place([one.name for one in result.ranked], truth[result.id].get("instance")) for result in inside]))
        rows.append(("  counting alerts", [_place(result.counted, truth[result.id].get("instance")) for result in inside]))
    show_rows(rows)
    show_seconds("one storm", [result.seconds for result in results])


def _place(ranking: Sequence[str], wanted: Any) -> int:
    return ranking.index(wanted) + 1 if wanted in ranking else 0


def fold_of_half(name: str) -> int:
    """0 or 1, always the same for the same id."""
    from agent_sre.cli.eval.refit import fold_of

    return fold_of(name, 2)


def _refit(results: Sequence[StormResult], truth: Mapping[str, Mapping[str, Any]], write: Path | None) -> None:
    """Learns both tables, shows what each half says about the other, and writes where it was asked to."""
    from agent_sre.cli.eval.refit import show_change, write_weights

    told = [result for result in results if truth.get(result.id, {}).get("instance") in result.objects]
    if len(told) < _PLACES:
        raise BadInput(f"{len(told)} storms with a known source are too few to learn from.")
    tables: dict[str, dict[str, float]] = {}
    for title, history in (("with_history", True), ("alone", False)):
        usable = [result for result in told if not history or result.with_history]
        if not usable:
            tables[title] = dict(storm_weights(history))
            continue
        typer.echo(f"\nRefit, {title.replace('_', ' ')}: AC@1 of one half with what the other half taught")
        for half in (0, 1):
            learned = fit_storms([result for result in usable if fold_of_half(result.id) != half], truth, history)
            for name, share in _hits([result for result in usable if fold_of_half(result.id) == half], truth, history, learned).items():
                typer.echo(f"  half {half}  {name:<24} {share:.3f}")
        tables[title] = fit_storms(usable, truth, history)
        show_change(storm_weights(history), tables[title])
    if write is not None:
        write_weights(write, f"From {len(told)} storms.", tables)


def fit_storms(results: Sequence[StormResult], truth: Mapping[str, Mapping[str, Any]], history: bool) -> dict[str, float]:
    """Weights from storms whose source is known; each set counts the same, however many storms it has."""
    sizes: dict[str, int] = {}
    for result in results:
        sizes[result.dataset] = sizes.get(result.dataset, 0) + 1
    return fit_choice(
        [
            Choice(
                candidates=result.signs if history else result.alone,
                right=result.objects.index(truth[result.id]["instance"]),
                weight=len(results) / len(sizes) / sizes[result.dataset],
            )
            for result in results
        ],
        STORM_EXPERT,
        pull=STORM_PULL,
    )


def _hits(results: Sequence[StormResult], truth: Mapping[str, Mapping[str, Any]], history: bool, weights: Mapping[str, float]) -> dict[str, float]:
    hits: dict[str, list[bool]] = {}
    for result in results:
        sums = [sum(weights.get(name, 0.0) * value for name, value in signs.items()) for signs in (result.signs if history else result.alone)]
        hits.setdefault(result.dataset, []).append(result.objects[sums.index(max(sums))] == truth[result.id]["instance"])
    return {name: sum(inside) / len(inside) for name, inside in sorted(hits.items())}
