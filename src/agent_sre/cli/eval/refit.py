"""Learning again from labelled cases, and showing what that changes before anything is written."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent_sre.cli.eval.score import calibration_error, wilson
from agent_sre.finding.confidence import chance_right, confidence_weights, detector_multipliers, scaled
from agent_sre.finding.learn import Choice, fit_choice
from agent_sre.finding.weights import CONFIDENCE_PRIOR, CONFIDENCE_PULL, HIGH, MULTIPLIERS
from agent_sre.kit.errors import BadInput

if TYPE_CHECKING:
    from agent_sre.cli.eval.cases import Result

FOLDS = 5
_FEWEST = 20  # labelled verdicts below which nothing can be learned
_LEAST_SHOWN = 0.005
_MOST_SHOWN = 20

_ROUNDS = 2
_FEWEST_CASES = 5  # that a detector spoke in, below which nothing is said about it
_PRICE = 0.01  # for each unit that a multiplier leaves 1: about a culprit in a set of a hundred

Truth = Mapping[str, Mapping[str, Any]]
Verdict = tuple[Mapping[str, float], bool, float]
"""The signs of a verdict, whether it was right, and how much it counts."""


def show_refit(results: Sequence[Result], truth: Truth, write: Path | None) -> None:
    """Fits how far each detector is to be trusted, then the chance of being right; shows old and new on held-out folds, and writes if asked.

    The chance is learned of the verdicts as they are now. Where multipliers change, write, and refit once more.
    """
    told = [result for result in results if result.id in truth]
    verdicts = _verdicts(told, truth)
    if len(verdicts) < _FEWEST:
        raise BadInput(f"{len(verdicts)} verdicts with a known answer are too few to learn from; {_FEWEST} are the least.")
    detectors = _show_multipliers(told, truth)
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
        note = f"From {len(verdicts)} verdicts, {sum(right for _, right, _ in verdicts.values())} of them right."
        write_weights(write, note, {"weights": new, "detectors": detectors})


def _verdicts(told: Sequence[Result], truth: Truth) -> dict[str, Verdict]:
    sizes = Counter(result.dataset for result in told if result.signs)
    return {
        result.id: (
            result.signs,
            _place(result.ranked, truth[result.id]) == 1,
            math.sqrt(sizes.total() / len(sizes) / sizes[result.dataset]),  # between "each case the same" and "each set the same"
        )
        for result in told
        if result.signs
    }


def _place(ranked: Sequence[Mapping[str, Any]], known: Mapping[str, Any]) -> int:
    from agent_sre.cli.eval.cases import right_place
    from agent_sre.cli.eval.table import keys_of

    return right_place(ranked, known, *keys_of(known))


# How far to trust each detector


def _show_multipliers(told: Sequence[Result], truth: Truth) -> dict[str, float]:
    """The multipliers that are in force afterwards: learned ones, where they did better on what they had not seen."""
    now = dict(detector_multipliers())
    # what was recorded is scaled by what is in force already, so learning starts from there
    before, after = [0.0, 0.0], [0.0, 0.0]
    for half in (0, 1):
        seen = [result for result in told if fold_of(result.id, 2) != half]
        unseen = [result for result in told if fold_of(result.id, 2) == half]
        learned = fit_multipliers(seen, truth)
        before[half], after[half] = (_mean_first(unseen, truth, multipliers) for multipliers in ({}, learned))
    more = fit_multipliers(told, truth)
    better = sum(after) > sum(before)
    typer.echo("\nRefit of the detectors' multipliers: mean AC@1 over sets of one half with what the other half taught")
    for half in (0, 1):
        typer.echo(f"  half {half}  now {before[half]:.3f}, learned {after[half]:.3f}")
    new = {name: round(now.get(name, 1.0) * more.get(name, 1.0), 3) for name in {*now, *more}}
    show_change({name: now.get(name, 1.0) for name in new}, new)
    if not better:
        typer.echo("  not better on what was held out: the multipliers stay as they are")
    return new if better else now


def fit_multipliers(results: Sequence[Result], truth: Truth) -> dict[str, float]:
    """For each detector that names causes, the multiplier that lifts the culprits most, one detector after the other, twice round.

    What is lifted is the mean over sets of 1 / place, to which every place counts and the first most. A change must pay for itself.
    """
    with_detector: dict[str, list[Result]] = {}
    for result in results:
        for name in {finding.detector for finding in result.findings}:
            with_detector.setdefault(name, []).append(result)
    sizes = Counter(result.dataset for result in results)
    multipliers: dict[str, float] = {}

    def gain(inside: Sequence[Result], trial: Mapping[str, float]) -> float:
        places = ((result, _place(_reranked(result, trial), truth[result.id])) for result in inside)
        return sum(1 / place / sizes[result.dataset] for result, place in places if place)

    for _ in range(_ROUNDS):
        for name, inside in sorted(with_detector.items()):
            if len(inside) < _FEWEST_CASES:
                continue
            trials = [{**multipliers, name: factor} for factor in MULTIPLIERS]
            gains = [gain(inside, trial) - _PRICE * abs(trial[name] - 1) for trial in trials]
            multipliers = trials[max(range(len(trials)), key=lambda place: (gains[place], -abs(trials[place][name] - 1)))]
    return {name: factor for name, factor in multipliers.items() if factor != 1.0}


def _reranked(result: Result, multipliers: Mapping[str, float]) -> Sequence[Mapping[str, Any]]:
    from agent_sre.cli.eval.cases import suspects_of
    from agent_sre.finding.rank import seen_causes

    return suspects_of(seen_causes(scaled(result.findings, multipliers)), pairs=result.pairs)


def _mean_first(results: Sequence[Result], truth: Truth, multipliers: Mapping[str, float]) -> float:
    first: dict[str, list[bool]] = {}
    for result in results:
        first.setdefault(result.dataset, []).append(_place(_reranked(result, multipliers), truth[result.id]) == 1)
    return sum(sum(inside) / len(inside) for inside in first.values()) / max(len(first), 1)


# How likely the first is right


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
