"""The one thread that writes: what is urgent goes first, everything else in the order it was asked for.

Urgent is what somebody outside waits for, that is, the commit of an alert. Without this, a post would stand behind all that the ingester and
the workers have asked for by then.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_URGENT, _NORMAL, _LAST = 0, 1, 2


class WriterThread:
    """Runs functions one after the other."""

    def __init__(self, name: str) -> None:
        self._turns: queue.PriorityQueue[tuple[int, int, Callable[[], None] | None]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[..., T], *arguments: Any, urgent: bool = False) -> Future[T]:
        """Asks for a turn. Cancelling the future before its turn gives the turn up; afterwards the work goes on to its end."""
        future: Future[T] = Future()

        def turn() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work(*arguments)
            except BaseException as error:  # noqa: BLE001 (it belongs to whoever waits for the future)
                future.set_exception(error)
            else:
                future.set_result(result)

        self._turns.put((_URGENT if urgent else _NORMAL, next(self._numbers), turn))
        return future

    def shutdown(self) -> None:
        """Does all that was asked for, then ends the thread."""
        self._turns.put((_LAST, next(self._numbers), None))
        self._thread.join()

    def _run(self) -> None:
        while True:
            _, _, turn = self._turns.get()
            if turn is None:
                return
            turn()
