"""A circuit breaker: who failed three times in a row is left alone for a while, so that incidents do not queue up behind a dead server.

closed ──(failures in a row)──> open ──(after open_for)──> one probe ──success──> closed
                                 ^                             │
                                 └───────────failure───────────┘
"""

from __future__ import annotations

from datetime import timedelta

from agent_sre.kit.clock import Clock


class Circuit:
    """Ask `closed_for` before a call, `enter` when it begins, and exactly one of `succeeded`, `failed`, `left` when it ended."""

    def __init__(self, clock: Clock, *, failures: int, open_for: timedelta) -> None:
        self._clock = clock
        self._limit = failures
        self._open_for = open_for
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False

    def closed_for(self) -> timedelta | None:
        """None where a call may go through; else how long nobody may call (zero: a probe is on its way)."""
        if self._opened_at is None:
            return None
        left = self._opened_at + self._open_for.total_seconds() - self._clock.monotonic()
        if left > 0:
            return timedelta(seconds=left)
        return timedelta(0) if self._probing else None

    def enter(self) -> None:
        """A call begins. While the circuit is open it is the probe."""
        self._probing = self._opened_at is not None

    def succeeded(self) -> None:
        """The other side is well."""
        self._failures, self._opened_at, self._probing = 0, None, False

    def failed(self) -> None:
        """The other side is not well."""
        self._failures += 1
        self._probing = False
        if self._failures >= self._limit:
            self._opened_at = self._clock.monotonic()

    def left(self) -> None:
        """The call was given up for a reason that says nothing about the other side."""
        self._probing = False
