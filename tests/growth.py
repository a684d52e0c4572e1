"""How work grows with its input: a complexity told as a ratio, which is the same on a fast machine and on a slow one."""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import thread_time
from typing import TypeVar

T = TypeVar("T")

FAR_BELOW_QUADRATIC = 24
"""For eight times the input: linear work grows by 8, quadratic by 64. This is three times the one and not half of the other."""

_SAMPLE_SECONDS = 0.01  # shorter work is repeated until a sample takes this long
_ROUNDS = 5
_ENOUGH_SECONDS = 2.0  # no further round after that: work that grows too fast need not be waited for five times


def growth(work: Callable[[T], object], small: T, large: T) -> float:
    """How many times more CPU time the work takes with `large` than with `small`.

    The best of several rounds of each, taken in turn, so that a busy moment hits both. Only this thread's time counts, and no collection of
    garbage that others left.
    """
    times = max(1, round(_SAMPLE_SECONDS / max(_seconds(work, small, 1), 1e-6)))
    best_small, best_large, spent = float("inf"), float("inf"), 0.0
    for _ in range(_ROUNDS):
        best_small = min(best_small, _seconds(work, small, times) / times)
        took = _seconds(work, large, 1)
        best_large, spent = min(best_large, took), spent + took
        if spent > _ENOUGH_SECONDS:
            break
    return best_large / best_small


def _seconds(work: Callable[[T], object], given: T, times: int) -> float:
    collecting = gc.isenabled()
    gc.disable()
    try:
        began = thread_time()
        for _ in range(times):
            work(given)
        return thread_time() - began
    finally:
        if collecting:
            gc.enable()
