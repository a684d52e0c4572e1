"""Why a scrape target does not answer. Prometheus' own error words tell most causes apart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from agent_sre.evidence.evidence import Evidence, Fact
from agent_sre.finding.facts import Values, facts, member_of, number, of_kind, text
from agent_sre.finding.finding import Finding
from agent_sre.finding.weights import SCRAPE_ERROR, TARGET_GONE
from agent_sre.finding.world import World
from agent_sre.incident.incident import Incident
from agent_sre.kit.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScrapeError:
    clue: str  # of finding/rank.py
    pattern: re.Pattern[str]  # what Prometheus says
    meaning: str  # behind the target's name
    cause: str  # of finding/causes


_ERRORS = (
    _ScrapeError(
        clue="connection_refused",
        pattern=re.compile(r"connection refused", re.IGNORECASE),
        meaning="refuses connections: the machine answers, nothing listens on the port",
        cause="target_refuses",
    ),
    _ScrapeError(
        clue="dns_failure",
        pattern=re.compile(r"no such host|server misbehaving|name resolution|lookup .{1,200} on ", re.IGNORECASE),
        meaning="cannot be found: its name does not resolve",
        cause="target_name_unknown",
    ),
    _ScrapeError(
        clue="tls_failure",
        pattern=re.compile(r"x509|tls:|certificate|http: server gave http response to https client", re.IGNORECASE),
        meaning="answers, but TLS fails",
        cause="target_tls_fails",
    ),
    _ScrapeError(
        clue="no_access",
        pattern=re.compile(r"\b(?:401|403)\b|unauthorized|forbidden", re.IGNORECASE),
        meaning="answers, but does not let Prometheus in",
        cause="target_denies_access",
    ),
    _ScrapeError(
        clue="not_found",
        pattern=re.compile(r"\b404\b|not found", re.IGNORECASE),
        meaning="answers, but knows no such page",
        cause="target_path_wrong",
    ),
    _ScrapeError(
        clue="server_error",
        pattern=re.compile(r"\bhttp status 5\d\d\b|\b50[0-4]\b|internal server error|bad gateway|service unavailable", re.IGNORECASE),
        meaning="answers with a server error",
        cause="target_fails_inside",
    ),
    _ScrapeError(
        clue="no_route",
        pattern=re.compile(r"no route to host|network is unreachable|host is down", re.IGNORECASE),
        meaning="cannot be reached over the network",
        cause="target_unreachable",
    ),
    _ScrapeError(
        clue="scrape_timeout",
        pattern=re.compile(r"deadline exceeded|timeout|timed out", re.IGNORECASE),
        meaning="does not answer in time",
        cause="target_too_slow",
    ),
    _ScrapeError(
        clue="connection_reset",
        pattern=re.compile(r"connection reset|broken pipe|\beof\b", re.IGNORECASE),
        meaning="closes the connection",
        cause="target_closes_connections",
    ),
    _ScrapeError(
        clue="bad_metrics",
        pattern=re.compile(
            r"(?:sample|label)[_ ]?limit|body size limit|parse|expected|invalid|duplicate|out of bounds|unsupported content", re.IGNORECASE
        ),
        meaning="answers with something that Prometheus does not accept",
        cause="target_page_unreadable",
    ),
)
"""The first that fits an error explains it."""


class TargetDown:
    """Reads `targets` and `up` of Prometheus."""

    name = "target_down"

    def detect(self, world: World) -> Iterable[Finding]:
        incident, evidence = world.incident, world.evidence
        for item in of_kind(evidence, "prometheus", "targets"):
            targets = list(facts(item, "target"))
            if not targets:
                yield self._finding(
                    incident,
                    item,
                    "Prometheus has no such target now: it was removed or renamed, or service discovery lost it",
                    {"clue": "not_scraped"},
                    cause="target_not_discovered",
                    weight=TARGET_GONE,
                )
            yield from self._errors(incident, item, [fact for fact in targets if text(fact.values, "health") == "down"])
        for item in of_kind(evidence, "prometheus", "up"):
            for fact in facts(item, "up"):
                if number(fact.values, "down") == 0 and (number(fact.values, "total") or 0) > 0:
                    yield self._finding(incident, item, "The target answers again", {"answers": True})

    def _errors(self, incident: Incident, item: Evidence, down: list[Fact]) -> Iterable[Finding]:
        explained = [(fact, _explain(fact)) for fact in down]
        for error in dict.fromkeys(error for _, error in explained if error is not None):
            alike = [fact for fact, other in explained if other is error]
            values = alike[0].values
            name = one_line(text(values, "instance") or text(values, "job"), 120) or "The target"
            more = f" ({len(alike)} targets alike)" if len(alike) > 1 else ""
            known: Values = {"clue": error.clue, "targets": len(alike), "instance": text(values, "instance"), "job": text(values, "job")}
            yield self._finding(incident, item, f"{name} {error.meaning}{more}", known, cause=error.cause, weight=SCRAPE_ERROR)

    def _finding(self, incident: Incident, item: Evidence, summary: str, known: Values, cause: str = "", weight: float = 0.0) -> Finding:
        subject = member_of(incident, item).subject
        return Finding(detector=self.name, summary=summary, subject=subject, facts=known, evidence_ids=(item.id,), cause=cause, weight=weight)


def _explain(target: Fact) -> _ScrapeError | None:
    words = text(target.values, "last_error")[:1000]
    return next((error for error in _ERRORS if error.pattern.search(words)), None)
