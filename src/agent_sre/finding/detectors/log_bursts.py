"""Logs that say much more of an error than before, or an error that was never there. An observation: lines tell that it hurts, hardly why."""

from __future__ import annotations

from collections.abc import Iterable

from agent_sre.evidence.evidence import LogPattern
from agent_sre.finding.finding import Finding
from agent_sre.finding.weights import BURST
from agent_sre.finding.world import World
from agent_sre.kit.text import one_line

_LEVELS = frozenset({"fatal", "error"})


class LogBursts:
    """Compares how often a line came with how often it came before; silent where nobody looked before."""

    name = "log_bursts"

    def detect(self, world: World) -> Iterable[Finding]:
        bursts = [(seen.evidence_id, seen.value) for seen in world.log_patterns if _is_burst(seen.value)]
        bursts.sort(key=lambda burst: (burst[1].level != "fatal", -burst[1].count))
        for evidence_id, log in bursts[: BURST.most_told]:
            before = f"{log.count_before} before" if log.count_before else "never before"
            yield Finding(
                detector=self.name,
                summary=f"{one_line(log.subject.name, 120)} logged {log.count:,} times “{one_line(log.template, 120)}”, {before}",
                subject=log.subject,
                facts={"count": log.count, "before": log.count_before or 0},
                evidence_ids=(evidence_id,),
            )


def _is_burst(log: LogPattern) -> bool:
    if log.level not in _LEVELS or log.count_before is None:
        return False
    usual = max(log.count_before, log.count_day_before or 0)
    return log.count >= BURST.least_lines and log.count >= BURST.times_before * usual
