"""Errors of the network in logs: who could not reach whom, and how it failed. The words of the common clients, in one place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from agent_sre.evidence.evidence import LogPattern
from agent_sre.finding.world import Seen, World

REFUSED, TIMEOUT, NAME, NO_ANSWER, ROUTE, RESET = "refused", "timeout", "name", "no_answer", "route", "reset"
"""Nothing listens · no answer in time · the name does not exist · the name server did not answer · no way there · cut off."""

_HOST = r"([A-Za-z0-9](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?)"

_ERRORS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern.replace("HOST", _HOST).replace("PORT", r"(\d{1,5})"), re.IGNORECASE))
    for kind, pattern in (
        # the name server itself: before names, because Go says both in one line
        (
            NO_ANSWER,
            r"lookup HOST(?: on [\d.:\[\]a-f]+)?: (?:read |dial |write )?[^\"\n]{0,120}?"
            r"(?:i/o timeout|server misbehaving|connection refused|servfail|no answer)",
        ),
        (NO_ANSWER, r"HOST: temporary failure in name resolution"),
        (NO_ANSWER, r"getaddrinfo EAI_AGAIN HOST"),
        (NO_ANSWER, r"(?:dns resolution (?:failed|timed out)|queryTxt|SERVFAIL)[^\n]{0,20}? for HOST"),
        # names
        (NAME, r"lookup HOST(?: on [\d.:\[\]a-f]+)?: no such host"),
        (NAME, r"getaddrinfo ENOTFOUND HOST"),
        (NAME, r"UnknownHostException: HOST"),
        (NAME, r"(?:failed to resolve|could not resolve(?: host)?:?|(?:cannot|unable to) resolve(?: host)?|name resolution failure:?) [\"'(]?HOST"),
        (NAME, r"could not translate host name [\"']HOST[\"']"),
        (NAME, r"host not found in upstream [\"']HOST(?::PORT)?[\"']"),
        (NAME, r"HOST could not be resolved"),
        (NAME, r"HOST: (?:nodename nor servname provided|name or service not known|no address associated|name does not resolve)"),
        (NAME, r"unknown (?:mysql server )?host [\"']HOST[\"']"),
        # nothing listens
        (REFUSED, r"dial tcp (?:HOST|\[[0-9a-f:]+\]):PORT: connect: connection refused"),
        (REFUSED, r"ECONNREFUSED HOST:PORT"),
        (REFUSED, r"connection refused: (?:no further information: )?HOST(?:/[\d.]+)?:PORT"),
        (REFUSED, r"connect(?:ion)? to HOST(?:/[\d.]+)?:PORT (?:\[[^\]]*\] )?(?:failed|refused)"),
        (REFUSED, r"connection to (?:server at )?[\"']?HOST[\"']?[^\n]{0,60}?port PORT failed: connection refused"),
        (REFUSED, r"is the server running on (?:that )?host [\"']HOST[\"'][^\n]{0,60}?port PORT"),
        (REFUSED, r"can.t connect to (?:mysql|local mysql) server on [\"']HOST(?::PORT)?[\"']"),
        (REFUSED, r"unabletoconnect on HOST:PORT"),
        (REFUSED, r"failed to open tcp connection to HOST:PORT"),
        (REFUSED, r"error (?:111|61) connecting to HOST:PORT"),
        (REFUSED, r"no connection could be made[^\n]{0,80}?HOST:PORT"),
        (REFUSED, r"connection refused \(HOST:PORT\)"),
        (REFUSED, r"connection refused\)? while connecting to upstream[^\n]{0,300}?upstream: \"[a-z]+://HOST:PORT"),
        (REFUSED, r"host=[\"']HOST[\"'], port=PORT\)[^\n]{0,300}?connection refused"),
        (REFUSED, r"ipv4:(?:%3A)?HOST:PORT[^\n]{0,80}?connection refused"),
        # no answer
        (TIMEOUT, r"dial tcp HOST:PORT: (?:i/o timeout|connect: connection timed out|operation was canceled)"),
        (TIMEOUT, r"ETIMEDOUT HOST:PORT"),
        (TIMEOUT, r"HOST(?:/[\d.]+)?:PORT[^\n]{0,40}?(?:connect timed out|connection timed out|failed to connect within)"),
        (TIMEOUT, r"connect(?:ion)? timed out:? (?:no further information: )?HOST(?:/[\d.]+)?:PORT"),
        (TIMEOUT, r"timed out\)? while (?:connecting to|reading response header from) upstream[^\n]{0,300}?upstream: \"[a-z]+://HOST:PORT"),
        (TIMEOUT, r"host=[\"']HOST[\"'], port=PORT\)[^\n]{0,300}?timed out"),
        (ROUTE, r"(?:dial tcp HOST:PORT: connect:|HOST:PORT[^\n]{0,20}?) ?no route to host"),
        (ROUTE, r"EHOSTUNREACH HOST:PORT"),
        (RESET, r"(?:ECONNRESET|connection reset by peer)[^\n]{0,40}?HOST:PORT"),
    )
)  # fmt: skip
_HINT = re.compile(
    r"refused|timed? ?out|lookup |resol|UnknownHost|ENOTFOUND|EAI_AGAIN|not known|no route|EHOSTUNREACH|ECONN|reset by peer|host not found"
    r"|unabletoconnect|can.t connect|tcp connection|translate host|no connection could|SERVFAIL|is the server running"
    r"|error (?:111|61)|unknown (?:mysql server )?host"
    r"|servname|no address associated",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerError:
    """One kind of failure to reach one peer, in one log."""

    evidence_id: str
    log: LogPattern
    kind: str
    host: str  # a name or an address
    port: int | None


_known: WeakKeyDictionary[World, tuple[PeerError, ...]] = WeakKeyDictionary()  # several detectors ask, and the logs are long


def peer_errors(world: World) -> tuple[PeerError, ...]:
    """Every failure that a log tells of, with the peer's name."""
    found = _known.get(world)
    if found is None:
        found = tuple(error for seen in world.log_patterns for error in _read(seen))
        _known[world] = found
    return found


def _read(seen: Seen[LogPattern]) -> Iterator[PeerError]:
    log = seen.value
    text = log.sample[:2_000]
    if log.has_vanished or not _HINT.search(text):
        return
    for kind, pattern in _ERRORS:
        match = pattern.search(text)
        if match is not None and match[1]:
            port = match[2] if pattern.groups > 1 else None
            yield PeerError(evidence_id=seen.evidence_id, log=log, kind=kind, host=match[1], port=int(port) if port else None)
            return
