"""A program to be killed: works on a queue and says each step after it was acknowledged, never before.

For each number on standard input it forks a worker of that life (a fork, because loading SQLAlchemy ten times would take longer than the
test), which prints `life <pid>` and then goes on until somebody kills it. `quit` ends the program.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from itertools import count

from agent_sre.kit.clock import FakeClock
from agent_sre.queue.embedded import EmbeddedQueue
from agent_sre.queue.job import QueueSettings
from agent_sre.store.engine import StoreSettings, open_store


def say(*words: object) -> None:
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


async def work(path: str, life: int) -> None:
    clock = FakeClock()
    clock.advance(timedelta(hours=life))  # whatever the life before held has run out
    store = open_store(StoreSettings(database_url=f"sqlite:///{path}"))
    store.lock()
    queue = EmbeddedQueue(store, clock, QueueSettings())
    say("life", os.getpid())
    for step in count():
        key = f"{life}-{step}"
        await queue.enqueue("investigate", key, priority=step % 3)
        say("enqueued", key)
        job = await queue.claim("investigate", f"life-{life}")
        assert job is not None
        say("claimed", job.key, job.attempts)
        if not await queue.heartbeat(job):
            say("lost", job.key)
        elif step % 5 == 4:
            await queue.retry(job, run_at=clock.now() + timedelta(minutes=30), error="again")
            say("retried", job.key)
        else:
            await queue.finish(job)
            say("finished", job.key)


def main() -> None:
    for line in sys.stdin:
        if line.strip() == "quit":
            return
        child = os.fork()
        if child == 0:
            asyncio.run(work(sys.argv[1], int(line)))
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
