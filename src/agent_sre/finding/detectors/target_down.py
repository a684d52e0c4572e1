"""Why a scrape target does not answer. Prometheus' own error words tell most causes apart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from agent_sre.evidence.evidence import Evidence, Fact
from agent_sre.finding.facts import Values, facts, member_of, number, of_kind, text
from agent_sre.finding.finding import Finding
from agent_sre.finding.world import World
from agent_sre.incident.incident import Incident
from agent_sre.kit.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScrapeError:
    clue: str  # of finding/rank.py
    pattern: re.Pattern[str]  # what Prometheus says
    meaning: str  # behind the target's name
    cause: str
    check: str


_ERRORS = (
    _ScrapeError(
        clue="connection_refused",
        pattern=re.compile(r"connection refused", re.IGNORECASE),
        meaning="refuses connections: the machine answers, nothing listens on the port",
        cause="The process behind the target is not running, or listens on another port",
        check="Is the process or container up, since when, and on which port does it listen?",
    ),
    _ScrapeError(
        clue="dns_failure",
        pattern=re.compile(r"no such host|server misbehaving|name resolution|lookup .{1,200} on ", re.IGNORECASE),
        meaning="cannot be found: its name does not resolve",
        cause="The name of the target no longer resolves: it was removed or renamed, or DNS is ill",
        check="Resolve the name from the Prometheus pod, and another one for comparison.",
    ),
    _ScrapeError(
        clue="tls_failure",
        pattern=re.compile(r"x509|tls:|certificate|http: server gave http response to https client", re.IGNORECASE),
        meaning="answers, but TLS fails",
        cause="The certificate of the target is expired, not trusted or for another name, or it speaks no TLS",
        check="Read the end date, the names and the issuer of the certificate that it presents.",
    ),
    _ScrapeError(
        clue="no_access",
        pattern=re.compile(r"\b(?:401|403)\b|unauthorized|forbidden", re.IGNORECASE),
        meaning="answers, but does not let Prometheus in",
        cause="Prometheus lacks the credentials or the rights to scrape this target",
        check="Compare the token or the ClusterRole of Prometheus with what the target asks for.",
    ),
    _ScrapeError(
        clue="not_found",
        pattern=re.compile(r"\b404\b|not found", re.IGNORECASE),
        meaning="answers, but knows no such page",
        cause="The metrics path is wrong or has moved",
        check="Fetch the path that the scrape configuration names.",
    ),
    _ScrapeError(
        clue="server_error",
        pattern=re.compile(r"\bhttp status 5\d\d\b|\b50[0-4]\b|internal server error|bad gateway|service unavailable", re.IGNORECASE),
        meaning="answers with a server error",
        cause="The target runs, but fails inside or behind its proxy",
        check="Read the target's own log at the time of a scrape.",
    ),
    _ScrapeError(
        clue="no_route",
        pattern=re.compile(r"no route to host|network is unreachable|host is down", re.IGNORECASE),
        meaning="cannot be reached over the network",
        cause="The machine is down, or the network between it and Prometheus is broken",
        check="Do other targets on the same machine answer?",
    ),
    _ScrapeError(
        clue="scrape_timeout",
        pattern=re.compile(r"deadline exceeded|timeout|timed out", re.IGNORECASE),
        meaning="does not answer in time",
        cause="The target is overloaded or hangs, or a firewall or network policy drops the packets",
        check="Do other targets on the same machine answer, and how long did its scrapes take before?",
    ),
    _ScrapeError(
        clue="connection_reset",
        pattern=re.compile(r"connection reset|broken pipe|\beof\b", re.IGNORECASE),
        meaning="closes the connection",
        cause="The target restarts or crashes, or a proxy in front of it gives up",
        check="Compare with its restarts.",
    ),
    _ScrapeError(
        clue="bad_metrics",
        pattern=re.compile(
            r"(?:sample|label)[_ ]?limit|body size limit|parse|expected|invalid|duplicate|out of bounds|unsupported content", re.IGNORECASE
        ),
        meaning="answers with something that Prometheus does not accept",
        cause="The target answers, but its metrics cannot be read or exceed a limit",
        check="Fetch the metrics page and compare it with the limits of the scrape configuration.",
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
                    {
                        "clue": "not_scraped",
                        "cause": "The target is gone from the configuration: removed, renamed, scaled to zero, or lost by discovery",
                        "check": "Does the object still exist, and do its labels still match the ServiceMonitor or scrape configuration?",
                        "weight": 0.5,
                    },
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
            known: Values = {"clue": error.clue, "cause": error.cause, "check": error.check, "weight": 0.7, "targets": len(alike)}
            yield self._finding(incident, item, f"{name} {error.meaning}{more}", known)

    def _finding(self, incident: Incident, item: Evidence, summary: str, known: Values) -> Finding:
        member = member_of(incident, item)
        return Finding(detector=self.name, summary=summary, subject=member.subject, facts=known, evidence_ids=(item.id,))


def _explain(target: Fact) -> _ScrapeError | None:
    words = text(target.values, "last_error")[:1000]
    return next((error for error in _ERRORS if error.pattern.search(words)), None)
