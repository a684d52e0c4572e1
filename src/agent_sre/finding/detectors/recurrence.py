"""Whether this comes again and again, and how long it usually lasts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from agent_sre.finding.facts import Value, facts, member_of, number, of_kind
from agent_sre.finding.finding import Finding
from agent_sre.finding.world import World
from agent_sre.kit.durations import readable

_FLAPPING_FIRINGS = 5
_FLAPPING_SECONDS = 900.0  # a median under a quarter of an hour: it goes before anybody has done anything

_MOST = 1_000_000


class Recurrence:
    """Reads `recurrence` of the history."""

    name = "recurrence"

    def detect(self, world: World) -> Iterable[Finding]:
        incident, evidence = world.incident, world.evidence
        for item in of_kind(evidence, "history", "recurrence"):
            for fact in facts(item, "recurrence"):
                earlier = number(fact.values, "count")
                if earlier is None or not 1 <= earlier <= _MOST:
                    continue
                usual = number(fact.values, "median_seconds")
                flapping = earlier >= _FLAPPING_FIRINGS and usual is not None and 0 <= usual < _FLAPPING_SECONDS
                window = item.query.window
                span = f" in {readable(window.end - window.start)}" if window and window.end > window.start else ""
                times = f"{_ordinal(int(earlier) + 1)} time{span}"
                known: dict[str, Value] = {"times": int(earlier) + 1, "flapping": flapping, "clue": "recurring"}
                if flapping and usual is not None:
                    known["clue"] = "flapping"
                    times = f"Flapping: {times}, and it usually ends by itself after {readable(timedelta(seconds=usual))}"
                yield Finding(
                    detector=self.name,
                    summary=times,
                    subject=member_of(incident, item).subject,
                    facts=known,
                    evidence_ids=(item.id,),
                )


def _ordinal(number: int) -> str:
    """`2nd`, `4th`, `11th`."""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
