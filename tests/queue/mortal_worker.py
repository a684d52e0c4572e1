"""A program to be killed: works on a queue and says each step after it was acknowledged, never before.

For each `<life> <works|holds>` on standard input it forks a worker (a fork, because loading SQLAlchemy ten times would take longer than the
test). The worker prints `life <pid>`, then works on, or holds its first claim, until somebody kills it; `died <signal>` closes its record.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from itertools import count

from agent_sre.kit.clock import FakeClock
from agent_sre.queue.embedded import EmbeddedQueue
from agent_sre.queue.job import QueueSettings
from agent_sre.store.engine import StoreSettings, open_store


def say(*words: object) -> None:
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


async def work(path: str, life: int, manner: str) -> None:
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
        if manner == "holds":
            signal.pause()
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
        child = os.fork()
        if child == 0:
            life, manner = line.split()
            asyncio.run(work(sys.argv[1], int(life), manner))
        _, status = os.waitpid(child, 0)
        say("died", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
