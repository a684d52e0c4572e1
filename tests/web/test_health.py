"""What `/health` promises of its time: all that may hang is asked at once, and none of it for a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent_sre.analysis.llm.model import ModelHealth
from agent_sre.app import build
from agent_sre.evidence.evidence import SourceHealth
from agent_sre.web.health import Health
from fakes.model import ScriptedModel
from service import config_of

Look = Callable[[timedelta], Awaitable[Any]]


class Model(ScriptedModel):
    """Is well, once it has had its look."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look

    async def check(self, timeout: timedelta) -> ModelHealth:  # noqa: ASYNC109  (the protocol's name)
        await self._look(timeout)
        return await super().check(timeout)


class Source:
    """Is well, once it has had its look."""

    def __init__(self, name: str, look: Look) -> None:
        self.name = name
        self._look = look

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109  (the protocol's name)
        await self._look(timeout)
        return SourceHealth(name=self.name, state="ok", reason="It answered.")


@asynccontextmanager
async def health_of_a_model_and_two_sources(folder: Path, look: Look) -> AsyncIterator[Health]:
    app = build(config_of(folder))
    app.agent.model = Model(look)
    sources = (Source("x", look), Source("y", look))
    watchdog_timeout = timedelta(minutes=15)
    try:
        yield Health(
            store=app.store,
            queue=app.queue,
            agent=app.agent,
            sources=sources,
            clock=app.clock,
            service="",
            ollama_url="",
            watchdog_timeout=watchdog_timeout,
        )
    finally:
        await app.close()


async def test_model_and_sources_are_asked_side_by_side_and_for_less_than_a_second(tmp_path: Path) -> None:
    everybody = asyncio.Barrier(3)  # nobody answers before all were asked: one after the other, the first would wait in vain
    patience: list[timedelta] = []

    async def look(timeout: timedelta) -> None:  # noqa: ASYNC109  (what a check is given)
        patience.append(timeout)
        await everybody.wait()

    async with health_of_a_model_and_two_sources(tmp_path, look) as health:
        report = await health.report()
    assert report["llm_connected"] is True
    assert [source["state"] for source in report["sources"].values()] == ["ok", "ok"]
    assert max(patience) < timedelta(seconds=1)


async def test_a_check_that_forgets_its_time_is_not_waited_for(tmp_path: Path) -> None:
    async with health_of_a_model_and_two_sources(tmp_path, lambda _: asyncio.Event().wait()) as health:
        report = await health.report()
    assert report["llm_detail"] == "Ollama did not answer within 700 ms"
    assert report["sources"]["x"] == report["sources"]["y"] == {"state": "error", "reason": "no answer within 700 ms"}
