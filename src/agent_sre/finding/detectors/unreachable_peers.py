"""Who cannot reach whom, by the error lines of the callers. Says where to look; why the peer does not answer is for others to say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent_sre.alert.subject import Subject
from agent_sre.finding import wiring
from agent_sre.finding.finding import Finding
from agent_sre.finding.peers import NAME, REFUSED, RESET, ROUTE, TIMEOUT, PeerError, peer_errors
from agent_sre.finding.weights import WIRING
from agent_sre.finding.world import World

_WORDS = {
    REFUSED: "refuses connections",
    TIMEOUT: "does not answer in time",
    ROUTE: "has no route to it",
    RESET: "cuts connections off",
    NAME: "has a name that does not resolve",
}
_LOCAL = ("localhost", "127.", "::1", "0.0.0.0")  # noqa: S104  (read in logs, bound to nowhere)


class UnreachablePeers:
    """Counts the callers of each peer that does not let itself be reached."""

    name = "unreachable_peers"

    def detect(self, world: World) -> Iterable[Finding]:
        by_ip = wiring.service_by_ip(world)
        found: dict[Subject, list[PeerError]] = {}
        for error in peer_errors(world):
            if error.kind not in _WORDS or error.host.lower().startswith(_LOCAL):
                continue
            if error.kind == NAME and not wiring.is_outside(error.host):
                continue  # names within the cluster are name_resolution's
            subject = wiring.service_at(error.host, error.log.subject.namespace, by_ip)
            if subject is not None and subject.name != error.log.subject.name:
                found.setdefault(subject, []).append(error)
        for subject, errors in found.items():
            yield self._finding(subject, errors)

    def _finding(self, subject: Subject, errors: Sequence[PeerError]) -> Finding:
        callers = list(dict.fromkeys(error.log.subject.name for error in errors))
        port = next((error.port for error in errors if error.port), None)
        kinds = " and ".join(dict.fromkeys(_WORDS[error.kind] for error in errors))
        where = f"{subject.name}:{port}" if port else subject.name
        return Finding(
            detector=self.name,
            summary=f"{where} {kinds}, say the logs of {', '.join(callers[:4])}",
            subject=subject,
            facts={"callers": len(callers), "port": str(port) if port else "", "lines": sum(error.log.count for error in errors)},
            evidence_ids=tuple(dict.fromkeys(error.evidence_id for error in errors))[:6],
            cause="peer_unreachable",
            weight=WIRING.peer_outside if wiring.is_outside(subject.name) else min(WIRING.peer_fails_most, WIRING.peer_fails * len(callers)),
            against="Callers also fail while a peer starts, and say nothing once it answers again.",
        )
