"""The figures of an evaluation as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import typer

from agent_sre.cli.eval.score import accuracy, average, bins, calibration_error, percentile, wilson

if TYPE_CHECKING:
    from agent_sre.cli.eval.cases import Result
    from agent_sre.cli.eval.judge import Score

Truth = Mapping[str, Mapping[str, Any]]

_WIDTHS = (44, 5, 19, 19, 19, 19)
_WORDS = ("high", "medium", "low")


def keys_of(truth: Mapping[str, Any]) -> tuple[str, ...]:
    """What must be named: the truth's own keys decide, not the name of its set."""
    if "object" in truth:
        return ("object", "cause") if "cause" in truth else ("object",)
    return ("instance",) if "instance" in truth else ("service",)


def show_cases(results: Sequence[Result], truth: Truth) -> None:
    """Accuracy by set with baselines, then calibration, then seconds."""
    from agent_sre.cli.eval.cases import right_place

    judged = [result for result in results if result.id in truth]
    if missing := len(results) - len(judged):
        typer.echo(f"{missing} cases have no known cause and are not counted.")
    sets: dict[str, list[Result]] = {}
    for result in judged:
        sets.setdefault(result.dataset, []).append(result)
    rows: list[tuple[str, Sequence[int]]] = []
    firsts = []
    for name, inside in sorted(sets.items()):
        places = [right_place(result.ranked, truth[result.id], *keys_of(truth[result.id])) for result in inside]
        paired = any(len(keys_of(truth[result.id])) > 1 for result in inside)
        rows.append((f"{name} (object and cause)" if paired else name, places))
        firsts.append(accuracy(places, 1).value)
        if paired:
            rows.append(("  object alone", [right_place(result.ranked, truth[result.id], "object") for result in inside]))
        rows += _baseline_rows(inside, truth)
    show_rows(rows)
    if firsts:
        typer.echo(f"Mean over {len(firsts)} sets: AC@1 {fmean(firsts):.3f}\n")
    show_calibration([
        (result.confidence, result.chance, right_place(result.ranked, truth[result.id], *keys_of(truth[result.id])) == 1)
        for result in judged
    ])  # fmt: skip
    show_seconds("engine", [result.engine_seconds for result in results])
    show_seconds("reading the case", [result.load_seconds for result in results])


def _baseline_rows(inside: Sequence[Result], truth: Truth) -> Iterable[tuple[str, Sequence[int]]]:
    """Baselines name services, so they are compared where the truth is one, on the cases that have metrics."""
    measured = [result for result in inside if result.baselines and "service" in truth[result.id]]
    for method in dict.fromkeys(name for result in measured for name in result.baselines):
        yield f"  {method}", [_place(result.baselines[method], truth[result.id]["service"]) for result in measured]


def _place(ranking: Sequence[str], wanted: str) -> int:
    return ranking.index(wanted) + 1 if wanted in ranking else 0


def show_rows(rows: Iterable[tuple[str, Sequence[int]]]) -> None:
    """A line for each ranking: AC@1, AC@3, AC@5 and Avg@5, with 95 % intervals."""
    typer.echo(_row("", "n", "AC@1 [95 %]", "AC@3", "AC@5", "Avg@5"))
    for name, places in rows:
        figures = (accuracy(places, 1), accuracy(places, 3), accuracy(places, 5), average(places))
        typer.echo(_row(name, str(len(places)), *(str(figure) for figure in figures)))


def _row(*cells: str) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()


def show_calibration(verdicts: Sequence[tuple[str, float, bool]]) -> None:
    """By word and by tenths of what was promised: (word, chance, whether it was right)."""
    typer.echo("Confidence: how many of the verdicts were right")
    for word in _WORDS:
        inside = [right for said, _, right in verdicts if said == word]
        typer.echo(f"  {word:<8}{len(inside):>5}  {wilson(sum(inside), len(inside)) if inside else '-'}")
    pairs = [(chance, right) for _, chance, right in verdicts]
    for one in bins(pairs):
        typer.echo(f"  promised {one.low:.1f} to {one.high:.1f}: {one.count:>4}  {one.promised:.2f} expected, {one.right:.2f} right")
    typer.echo(f"  expected calibration error {calibration_error(pairs):.3f}\n")


def show_seconds(name: str, seconds: Sequence[float]) -> None:
    """Median, 95th percentile and the slowest, in milliseconds."""
    if seconds:
        middle, late, last = median(seconds), percentile(seconds, 0.95), max(seconds)
        typer.echo(f"Milliseconds, {name}: median {middle * 1000:.0f}, p95 {late * 1000:.0f}, slowest {last * 1000:.0f}")


# Scenarios

_COLUMNS = (
    ("", 20), ("n", 4), ("cause right", 19), ("in 3", 8), ("object", 8), ("subject", 8), ("calm", 7), ("shown/dropped", 14), ("unsupported", 12),
    ("queries", 9), ("invalid", 9), ("seconds", 13), ("tokens in/out", 14),
)  # fmt: skip

_LEGEND = """cause right: the first cause by name and object, with Wilson's 95 % interval; in 3: all known causes are among the first three; object:
its object alone; subject: what the alert is about; calm: worlds in which nothing is wrong and no cause was named with high confidence. Of the
model's own sentences: shown/dropped, and how many of those shown have a number or a name in them that the model was not given (unsupported).
queries: PromQL of the reports that cannot be read; invalid: answers that could not be used; seconds: median/p95 of one report."""


def show_scores(scores: Sequence[Score], models: Sequence[str], *, verbose: bool) -> None:
    """One row for each model, and with `verbose` one line for each scenario before."""
    if not scores:
        return
    if verbose:
        for score in sorted(scores, key=lambda one: (one.scenario, models.index(one.model))):
            typer.echo(_score_line(score))
        typer.echo()
    typer.echo("".join(name.ljust(width) for name, width in _COLUMNS).rstrip())
    for model in models:
        if inside := [score for score in scores if score.model == model]:
            cells = _cells(model, inside)
            typer.echo(" ".join(cell.ljust(width - 1) for cell, (_, width) in zip(cells, _COLUMNS, strict=True)).rstrip())
    typer.echo(f"\n{_LEGEND}")


def _cells(model: str, scores: Sequence[Score]) -> tuple[str, ...]:
    wrong, calm = [one for one in scores if one.wrong], [one for one in scores if not one.wrong]
    seconds = [one.seconds for one in scores]
    asked = any(one.answers or one.failure for one in scores)
    shown, dropped = sum(one.sentences_shown for one in scores), sum(one.sentences_dropped for one in scores)
    return (
        model, str(len(scores)), str(wilson(sum(one.cause_right for one in wrong), len(wrong))) if wrong else "-",
        _of([one.all_named for one in wrong]), _of([one.object_right for one in wrong]), _of([one.subject_right for one in scores]),
        _of([one.cause_right for one in calm]),
        f"{shown}/{dropped}" if asked else "-", str(sum(one.sentences_unsupported for one in scores)) if asked else "-",
        f"{sum(one.queries_invalid for one in scores)}/{sum(one.queries for one in scores)}",
        f"{sum(one.answer_invalid for one in scores)}/{sum(one.answers > 0 for one in scores)}" if asked else "-",
        f"{median(seconds):.1f}/{percentile(seconds, 0.95):.1f}",
        f"{sum(one.input_tokens for one in scores)}/{sum(one.output_tokens for one in scores)}" if asked else "-",
    )  # fmt: skip


def _of(right: Sequence[bool]) -> str:
    return f"{sum(right)}/{len(right)}" if right else "-"


def _score_line(score: Score) -> str:
    verdict = "right" if score.cause_right else "WRONG"
    named = f"{score.cause} {score.object}" if score.cause else "no cause"
    notes = "".join(
        f"; {note}" for note in (score.failure, f"{score.sentences_unsupported} unsupported" if score.sentences_unsupported else "") if note
    )
    return f"{score.scenario:<32} {score.model:<16} {verdict}  {named} ({score.confidence}), {score.seconds:.1f} s{notes}"
