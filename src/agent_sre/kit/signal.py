"""A bell: whoever waits is woken when something changed. In-process only; a poll stands behind it wherever another process may have rung.

heard = signal.listen()        before looking, so that a ring between the look and the wait is not missed
if nothing_to_do():
    await signal.wait(heard, timeout_seconds)
"""

from __future__ import annotations

import asyncio


class Signal:
    """Wakes every listener at once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def listen(self) -> asyncio.Event:
        """What the next ring will set."""
        return self._event

    def ring(self) -> None:
        """Wakes everyone who listened before now."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    @staticmethod
    async def wait(heard: asyncio.Event, timeout_seconds: float) -> bool:
        """True if the bell rang since `listen`, False if the time ran out."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await heard.wait()
        except TimeoutError:
            return False
        return True
