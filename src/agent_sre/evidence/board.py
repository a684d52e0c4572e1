"""What running investigations have seen so far, for whoever looks while they look.

    gather ──asked, answered──> Board ──seen──> the page and the JSON of the incident
             └──all at once, at the end──> the store, which is the truth from then on

In memory and of this process only: an answer is at most some seconds old before the store has it, and what a killed process had on its board
nobody misses, because the next attempt asks again. Why not in the store: docs/decisions/0007-answers-on-a-board.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agent_sre.evidence.evidence import Evidence, Gap, Query

MOST_ATTEMPTS = 64
"""Boards kept at once. There are as many as there are workers in the quick lane (4); this bound is for whoever sets a thousand of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One moment of one attempt: what was asked, and what came of it until now. In the order of the plan."""

    run_id: str
    began_at: datetime
    asked: int  # questions, the answered ones too
    items: tuple[Evidence, ...]
    gaps: tuple[Gap, ...]
    open_by_source: Mapping[str, int]  # questions that are still on their way; sources without any are left out


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt at gathering. What comes late, after another attempt took over, lands here and is seen by nobody."""

    run_id: str
    incident_id: int
    began_at: datetime
    questions: tuple[Query | Gap, ...] = ()
    result_by_id: dict[str, Evidence | Gap] = field(default_factory=dict)

    def asks(self, questions: Sequence[Query | Gap]) -> None:
        """Notes the plan."""
        self.questions = tuple(questions)

    def got(self, result: Evidence | Gap) -> None:
        """Notes one result; a second one for the same question replaces the first."""
        self.result_by_id[result.query.id] = result


class Board:
    """The attempts that run in this process. Not for threads: everybody is on the event loop."""

    def __init__(self) -> None:
        self._attempt_by_run: dict[str, Attempt] = {}

    def begin(self, run_id: str, incident_id: int, at: datetime) -> Attempt:
        """A clean board for this run; what an earlier attempt of it saw is gone."""
        self.end(run_id)
        while len(self._attempt_by_run) >= MOST_ATTEMPTS:
            del self._attempt_by_run[next(iter(self._attempt_by_run))]
        attempt = self._attempt_by_run[run_id] = Attempt(run_id, incident_id, at)
        return attempt

    def end(self, run_id: str) -> None:
        """The report has it all now, or nobody will. Ending what is not there is fine."""
        self._attempt_by_run.pop(run_id, None)

    def seen(self, incident_id: int) -> Seen | None:
        """What the newest attempt at this incident has by now, None where none runs here."""
        attempt = next((item for item in reversed(self._attempt_by_run.values()) if item.incident_id == incident_id), None)
        if attempt is None:
            return None
        queries = [item.query if isinstance(item, Gap) else item for item in attempt.questions]
        results = [attempt.result_by_id[query.id] for query in queries if query.id in attempt.result_by_id]
        return Seen(
            run_id=attempt.run_id,
            began_at=attempt.began_at,
            asked=len(queries),
            items=tuple(item for item in results if isinstance(item, Evidence)),
            gaps=tuple(item for item in results if isinstance(item, Gap)),
            open_by_source=dict(Counter(query.source for query in queries if query.id not in attempt.result_by_id)),
        )
