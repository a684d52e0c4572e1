"""Weights from examples with a known answer: which of several was it, given the signs of each. Pure, and gives the same for the same.

    examples ──fit_choice──> weights         conditional logit: the share of one is exp(sum of weight times sign) among all
    prior ────────┘                          weights stay near the prior where the examples say nothing

Plain Python on purpose: it runs when somebody refits, not when somebody waits, and a second numeric library would double the install.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Signs = Mapping[str, float]

_MEMORY = 8  # pairs that L-BFGS remembers
_MOST_STEPS = 150
_ENOUGH = 1e-4  # gradient below which nothing is gained any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One example: the signs of each candidate, and which of them was right."""

    candidates: tuple[Signs, ...]
    right: int
    weight: float = 1.0


def fit_choice(examples: Sequence[Choice], prior: Mapping[str, float], *, pull: float) -> dict[str, float]:
    """Weights by sign, of all signs that the examples or the prior have. `pull` is how hard the prior holds on: the fit minimises
    the negative log-likelihood plus pull/2 times the squared distance from it."""
    names = sorted({name for example in examples for signs in example.candidates for name in signs} | set(prior))
    place = {name: number for number, name in enumerate(names)}
    start = [prior.get(name, 0.0) for name in names]
    rows = [
        (example.weight, example.right, [[(place[name], value) for name, value in signs.items() if value] for signs in example.candidates])
        for example in examples
    ]

    def cost(weights: list[float]) -> tuple[float, list[float]]:
        total = 0.0
        slope = [0.0] * len(weights)
        for weight, right, candidates in rows:
            sums = [sum(weights[index] * value for index, value in signs) for signs in candidates]
            top = max(sums)
            shares = [math.exp(value - top) for value in sums]
            whole = sum(shares)
            total -= weight * (sums[right] - top - math.log(whole))
            for number, signs in enumerate(candidates):
                factor = weight * (shares[number] / whole - (number == right))
                if abs(factor) > 1e-9:
                    for index, value in signs:
                        slope[index] += factor * value
        for index, (now, before) in enumerate(zip(weights, start, strict=True)):
            total += pull / 2 * (now - before) ** 2
            slope[index] += pull * (now - before)
        return total, slope

    return dict(zip(names, minimise(cost, start), strict=True))


def minimise(cost: Callable[[list[float]], tuple[float, list[float]]], start: Sequence[float]) -> list[float]:
    """Where a smooth convex function is least. `cost` gives its value and its gradient. L-BFGS with backtracking.

    Source: Nocedal and Wright, Numerical Optimization, algorithm 7.4
    """
    here = list(start)
    value, slope = cost(here)
    past: list[tuple[list[float], list[float], float]] = []
    for _ in range(_MOST_STEPS):
        if max((abs(part) for part in slope), default=0.0) < _ENOUGH:
            break
        direction = _direction(slope, past)
        downhill = _dot(direction, slope)
        if downhill >= 0:  # rounding can turn it uphill
            direction, downhill, past = [-part for part in slope], -_dot(slope, slope), []
        length = 1.0 if past else min(1.0, 1.0 / math.sqrt(_dot(slope, slope)))
        while True:
            there = [x + length * d for x, d in zip(here, direction, strict=True)]
            new_value, new_slope = cost(there)
            if new_value <= value + 1e-4 * length * downhill:
                break
            length /= 2
            if length < 1e-10:
                return here
        step = [a - b for a, b in zip(there, here, strict=True)]
        turn = [a - b for a, b in zip(new_slope, slope, strict=True)]
        if (curve := _dot(step, turn)) > 1e-12:
            past = [*past[1 - _MEMORY :], (step, turn, curve)]
        here, value, slope = there, new_value, new_slope
    return here


def _direction(slope: Sequence[float], past: Sequence[tuple[list[float], list[float], float]]) -> list[float]:
    found = list(slope)
    factors = []
    for step, turn, curve in reversed(past):
        factor = _dot(step, found) / curve
        factors.append(factor)
        found = [a - factor * b for a, b in zip(found, turn, strict=True)]
    if past:
        step, turn, curve = past[-1]
        scale = curve / _dot(turn, turn)
        found = [scale * a for a in found]
    for (step, turn, curve), factor in zip(past, reversed(factors), strict=True):
        back = factor - _dot(turn, found) / curve
        found = [a + back * b for a, b in zip(found, step, strict=True)]
    return [-a for a in found]


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
