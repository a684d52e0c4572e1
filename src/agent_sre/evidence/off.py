"""A source that nobody configured: it says so, instead of being silently absent from the report."""

from __future__ import annotations

from datetime import datetime, timedelta

from agent_sre.evidence.evidence import Evidence, Query, SourceHealth
from agent_sre.incident.incident import Incident
from agent_sre.kit.errors import PermanentError

REASON = "not_configured"


def opening(name: str) -> str:
    """How the sentence of a source begins that nobody configured."""
    return f"{name.capitalize()} was not asked: "


class NotConfigured:
    """Stands where a source would be. Every investigation gets one Gap, whose sentence names the setting that is missing."""

    def __init__(self, name: str, setting: str) -> None:
        self.name = name
        self._sentence = f"{opening(name)}{setting} is not set."

    def plan(self, incident: Incident, now: datetime) -> tuple[Query, ...]:  # noqa: ARG002
        """The one question that will stay open."""
        return (Query(id="", source=self.name, kind="off", expression="", purpose=f"what {self.name.capitalize()} knows"),)

    async def fetch(self, query: Query, incident: Incident) -> Evidence:  # noqa: ARG002
        """Raises PermanentError, `reason` "not_configured"."""
        raise PermanentError(self._sentence, reason=REASON)

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ARG002, ASYNC109
        """Off, and why."""
        return SourceHealth(name=self.name, state="off", reason=self._sentence)

    async def aclose(self) -> None:
        """Nothing to close."""
