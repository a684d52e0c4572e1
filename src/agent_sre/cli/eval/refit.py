"""Learning again from labelled cases, and showing what that changes before anything is written."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent_sre.cli.eval.score import calibration_error, wilson
from agent_sre.finding.confidence import chance_right, confidence_weights
from agent_sre.finding.learn import Choice, fit_choice
from agent_sre.finding.weights import CONFIDENCE_PRIOR, CONFIDENCE_PULL, HIGH
from agent_sre.kit.errors import BadInput

if TYPE_CHECKING:
    from agent_sre.cli.eval.cases import Result

FOLDS = 5
_FEWEST = 20  # labelled verdicts below which nothing can be learned
_LEAST_SHOWN = 0.005
_MOST_SHOWN = 20

Verdict = tuple[Mapping[str, float], bool, float]
"""The signs of a verdict, whether it was right, and how much it counts."""


def show_refit(results: Sequence[Result], truth: Mapping[str, Mapping[str, Any]], write: Path | None) -> None:
    """Fits the chance of being right, shows old and new on held-out folds, and writes where it was asked to."""
    from agent_sre.cli.eval.cases import right_place
    from agent_sre.cli.eval.table import keys_of

    told = [result for result in results if result.id in truth and result.signs]
    sizes: dict[str, int] = {}
    for result in told:
        sizes[result.dataset] = sizes.get(result.dataset, 0) + 1
    verdicts = {
        result.id: (
            result.signs,
            right_place(result.ranked, truth[result.id], *keys_of(truth[result.id])) == 1,
            math.sqrt(len(told) / len(sizes) / sizes[result.dataset]),  # between "each case the same" and "each set the same"
        )
        for result in told
    }
    if len(verdicts) < _FEWEST:
        raise BadInput(f"{len(verdicts)} verdicts with a known answer are too few to learn from; {_FEWEST} are the least.")
    old = confidence_weights()
    held_out: dict[str, float] = {}
    for fold in range(FOLDS):
        weights = fit_confidence(verdict for name, verdict in verdicts.items() if fold_of(name) != fold)
        held_out |= {name: chance_right(verdict[0], weights) for name, verdict in verdicts.items() if fold_of(name) == fold}
    typer.echo(f"\nRefit of the confidence, {len(verdicts)} verdicts, {FOLDS} folds that were held out in turn")
    _show("now", [(chance_right(signs, old), right) for signs, right, _ in verdicts.values()])
    _show("learned, on what it had not seen", [(held_out[name], right) for name, (_, right, _) in verdicts.items()])
    new = fit_confidence(verdicts.values())
    show_change(old, new)
    if write is not None:
        write_weights(write, f"From {len(verdicts)} verdicts, {sum(right for _, right, _ in verdicts.values())} of them right.", {"weights": new})


def fit_confidence(verdicts: Iterable[Verdict]) -> dict[str, float]:
    """Logistic weights: a verdict is a choice between its signs and nothing."""
    examples = [Choice(candidates=(signs, {}), right=0 if right else 1, weight=weight) for signs, right, weight in verdicts]
    return fit_choice(examples, CONFIDENCE_PRIOR, pull=CONFIDENCE_PULL)


def fold_of(name: str, folds: int = FOLDS) -> int:
    """Always the same fold for the same id."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % folds


def _show(name: str, verdicts: Sequence[tuple[float, bool]]) -> None:
    loss = -sum(math.log(max(chance if right else 1 - chance, 1e-9)) for chance, right in verdicts) / len(verdicts)
    high = [right for chance, right in verdicts if chance >= HIGH]
    typer.echo(
        f"  {name:<34} log loss {loss:.3f}, calibration error {calibration_error(verdicts):.3f}, "
        f"high {len(high)}, of them right {wilson(sum(high), len(high)) if high else '-'}"
    )


def show_change(old: Mapping[str, float], new: Mapping[str, float]) -> None:
    """Each weight, old and new, those that moved most first; a score of them."""
    moved = {name: abs(new.get(name, 0.0) - old.get(name, 0.0)) for name in {*old, *new}}
    shown = [name for name in sorted(moved, key=lambda name: (-moved[name], name)) if moved[name] >= _LEAST_SHOWN]
    for name in shown[:_MOST_SHOWN]:
        typer.echo(f"  {name:<34} {old.get(name, 0.0):>7.2f} -> {new.get(name, 0.0):>6.2f}")
    if len(shown) > _MOST_SHOWN:
        typer.echo(f"  and {len(shown) - _MOST_SHOWN} more")


def write_weights(file: Path, note: str, tables: Mapping[str, Mapping[str, float]]) -> None:
    """TOML, a table for each mapping, the weights by name; those that round to nothing are left out."""
    lines = [f"# Learned by `agent-sre eval`; refit rather than edit. {note}", ""]
    for title, weights in tables.items():
        lines += [f"[{title}]", *(f'"{name}" = {weight:.2f}' for name, weight in sorted(weights.items()) if abs(weight) >= _LEAST_SHOWN), ""]
    try:
        file.write_text("\n".join(lines), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"Cannot write {file}: {error.strerror}.") from error
    typer.echo(f"Written to {file}.")
