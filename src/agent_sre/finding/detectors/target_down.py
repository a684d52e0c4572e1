"""Why a scrape target does not answer. Prometheus' own error words tell most causes apart."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agent_sre.evidence.evidence import Evidence, EvidenceSet, Fact
from agent_sre.finding.facts import facts, member_of, number, of_kind, text
from agent_sre.finding.finding import Finding
from agent_sre.incident.incident import Incident
from agent_sre.kit.text import one_line

_ERRORS: tuple[tuple[str, str, str, str, str], ...] = (
    # (clue, what the error says, what it means, the cause it points to, how to tell)
    (
        "connection_refused",
        r"connection refused",
        "refuses connections: the machine answers, nothing listens on the port",
        "The process behind the target is not running, or listens on another port",
        "Is the process or container up, since when, and on which port does it listen?",
    ),
    (
        "dns_failure",
        r"no such host|server misbehaving|name resolution|lookup .{1,200} on ",
        "cannot be found: its name does not resolve",
        "The name of the target no longer resolves: it was removed or renamed, or DNS is ill",
        "Resolve the name from the Prometheus pod, and another one for comparison.",
    ),
    (
        "tls_failure",
        r"x509|tls:|certificate|http: server gave http response to https client",
        "answers, but TLS fails",
        "The certificate of the target is expired, not trusted or for another name, or it speaks no TLS",
        "Read the end date, the names and the issuer of the certificate that it presents.",
    ),
    (
        "no_access",
        r"\b(?:401|403)\b|unauthorized|forbidden",
        "answers, but does not let Prometheus in",
        "Prometheus lacks the credentials or the rights to scrape this target",
        "Compare the token or the ClusterRole of Prometheus with what the target asks for.",
    ),
    (
        "not_found",
        r"\b404\b|not found",
        "answers, but knows no such page",
        "The metrics path is wrong or has moved",
        "Fetch the path that the scrape configuration names.",
    ),
    (
        "server_error",
        r"\bhttp status 5\d\d\b|\b50[0-4]\b|internal server error|bad gateway|service unavailable",
        "answers with a server error",
        "The target runs, but fails inside or behind its proxy",
        "Read the target's own log at the time of a scrape.",
    ),
    (
        "no_route",
        r"no route to host|network is unreachable|host is down",
        "cannot be reached over the network",
        "The machine is down, or the network between it and Prometheus is broken",
        "Do other targets on the same machine answer?",
    ),
    (
        "scrape_timeout",
        r"deadline exceeded|timeout|timed out",
        "does not answer in time",
        "The target is overloaded or hangs, or a firewall or network policy drops the packets",
        "Do other targets on the same machine answer, and how long did its scrapes take before?",
    ),
    (
        "connection_reset",
        r"connection reset|broken pipe|\beof\b",
        "closes the connection",
        "The target restarts or crashes, or a proxy in front of it gives up",
        "Compare with its restarts.",
    ),
    (
        "bad_metrics",
        r"sample_?limit|label_?limit|body size limit|parse|expected|invalid|unexpected|duplicate|out of bounds|unsupported content",
        "answers with something that Prometheus does not accept",
        "The target answers, but its metrics cannot be read or exceed a limit",
        "Fetch the metrics page and compare it with the limits of the scrape configuration.",
    ),
)
_COMPILED = tuple((clue, re.compile(pattern, re.IGNORECASE), *rest) for clue, pattern, *rest in _ERRORS)


class TargetDown:
    """Reads `targets` and `up` of Prometheus."""

    name = "target_down"

    def detect(self, incident: Incident, evidence: EvidenceSet) -> Iterable[Finding]:
        for item in of_kind(evidence, "prometheus", "targets"):
            targets = list(facts(item, "target"))
            if not targets:
                yield self._finding(
                    incident,
                    item,
                    "Prometheus has no such target now: it was removed or renamed, or service discovery lost it",
                    {
                        "clue": "not_scraped",
                        "cause": "The target is gone from Prometheus' configuration: removed, renamed, scaled to zero, or lost by discovery",
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
        seen: set[str] = set()
        for fact in down:
            error = text(fact.values, "last_error")[:1000]
            match = next((row for row in _COMPILED if row[1].search(error)), None)
            if match is None or match[0] in seen:
                continue
            clue, _, meaning, cause, check = match
            seen.add(clue)
            same = sum(1 for other in down if match[1].search(text(other.values, "last_error")[:1000]))
            name = one_line(text(fact.values, "instance") or text(fact.values, "job"), 120) or "The target"
            more = f" ({same} targets alike)" if same > 1 else ""
            yield self._finding(
                incident,
                item,
                f"{name} {meaning}{more}",
                {"clue": clue, "cause": cause, "check": check, "weight": 0.7, "targets": same},
            )

    def _finding(self, incident: Incident, item: Evidence, summary: str, known: dict[str, str | int | float | bool | None]) -> Finding:
        member = member_of(incident, item)
        return Finding(detector=self.name, summary=summary, subject=member.subject, facts=known, evidence_ids=(item.id,))
