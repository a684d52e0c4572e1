"""A log text that somebody sent: what it says, level by level, and the messages in it that mean the same in every program.

    text ──(evidence/logs: lines, masking, counting)──> LogPattern × n ──(known messages)──> LogClue × n

Everything about lines and patterns is evidence's; here is only what the answer to such a text is made of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import LogPattern
from agent_sre.evidence.logs.mine import survey

_MOST_LINES = 200_000
_MOST_CHARACTERS = 32 * 1024 * 1024
_SOURCE = Subject(kind="Log", name="")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSignature:
    """A message that means the same in every program, and what it usually comes from."""

    name: str
    pattern: re.Pattern[str]
    cause: str
    check: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogClue:
    """A signature that was found, and where."""

    signature: LogSignature
    count: int
    patterns: tuple[LogPattern, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDigest:
    """All of it. Patterns: most urgent level first, most frequent first within, 500 at most. `levels` has only levels that occur."""

    lines: int
    distinct: int  # patterns found, those that were not kept included
    levels: Mapping[str, int]
    patterns: tuple[LogPattern, ...]
    clues: tuple[LogClue, ...]
    first_at: datetime | None
    last_at: datetime | None
    truncated: bool

    @property
    def errors(self) -> int:
        """Lines at level error or worse."""
        return self.levels.get("fatal", 0) + self.levels.get("error", 0)


def digest(text: str, now: datetime) -> LogDigest:
    """The digest of some log text, which may be of any format, several mixed, or no log at all.

    Empty lines and the inner lines of stack traces are not counted. Times without a year are read as the last such day before `now`, times without
    a zone as UTC. Of more than 200,000 lines the newest stay and `truncated` is set.
    """
    lines, truncated = _lines(text)
    found = survey(lines, subject=_SOURCE, now=now)
    instants = [instant for item in found.patterns for instant in (item.first_at, item.last_at) if instant is not None]
    return LogDigest(
        lines=found.lines,
        distinct=found.distinct,
        levels=found.levels,
        patterns=found.patterns,
        clues=_clues(found.patterns),
        first_at=min(instants, default=None),
        last_at=max(instants, default=None),
        truncated=truncated,
    )


def _lines(text: str) -> tuple[list[str], bool]:
    truncated = len(text) > _MOST_CHARACTERS
    if truncated:
        text = text[-_MOST_CHARACTERS:].partition("\n")[2]
    lines = text.replace("\r", "").split("\n")
    if len(lines) > _MOST_LINES:
        truncated, lines = True, lines[-_MOST_LINES:]
    first = next((line for line in lines if line.strip()), "")
    if first[:1].isspace():
        lines = [line.strip() for line in lines]  # pasted with an indent, so an indent tells nothing
    return lines, truncated


# Known messages


def _signature(name: str, pattern: str, cause: str, check: str) -> LogSignature:
    return LogSignature(name=name, pattern=re.compile(pattern, re.IGNORECASE), cause=cause, check=check)


SIGNATURES: tuple[LogSignature, ...] = (
    _signature(
        "out-of-memory",
        r"out of memory|outofmemory|oom-?kill|cannot allocate memory|heap space|heap out of memory|memoryerror",
        "The process runs out of memory: its limit is too low for the load, or it leaks.",
        "Compare the working set with the limit over the last hours; a last state OOMKilled (exit code 137) confirms it.",
    ),
    _signature(
        "disk-full",
        r"no space left on device|disk (?:is )?full|enospc|read-only file system|disk quota exceeded",
        "A file system is full or has become read-only.",
        "Look at free space and inodes of the volume that the message names, and at kernel messages for I/O errors.",
    ),
    _signature(
        "too-many-files",
        r"too many open files|emfile|enfile",
        "The process has no file descriptors left: connections or files are not closed, or the limit is too low.",
        "Watch process_open_fds against process_max_fds.",
    ),
    _signature(
        "dns",
        r"no such host|name or service not known|temporary failure in name resolution|enotfound|eai_again|server misbehaving"
        r"|could not resolve|unknownhost",
        "A host name cannot be resolved: a wrong name in the configuration, a missing Service, or DNS itself is ill.",
        "Resolve the name from the same pod; if other names fail as well, look at CoreDNS.",
    ),
    _signature(
        "connection-refused",
        r"connection refused|econnrefused",
        "Nothing listens where the program connects to: the dependency is down, restarting, or the port is wrong.",
        "Look at the pods and endpoints of the dependency, and at the port that its Service maps.",
    ),
    _signature(
        "connection-pool",
        r"too many connections|too many clients|remaining connection slots|connection pool (?:is )?(?:exhausted|timed out|full)"
        r"|timeout (?:acquiring|waiting for) (?:a )?connection|pool.{0,20}exhausted",
        "The connections to a database or service are used up: too many clients, a leak, or slow queries that hold them.",
        "Count the open connections on the server by client, and look for long-running queries.",
    ),
    _signature(
        "timeout",
        r"time[d ]? ?out\b|timeout|deadline exceeded|etimedout|i/o timeout",
        "Something that it depends on answers too slowly or not at all: overload, a network fault, or packets dropped by a policy.",
        "Find the dependency that the message names; compare its latency and saturation with an hour ago.",
    ),
    _signature(
        "connection-reset",
        r"connection reset|econnreset|broken pipe|epipe|unexpected eof|connection closed|upstream prematurely closed",
        "The other side closes connections: it restarts, is overloaded, or a proxy in between gives up.",
        "Compare the times of the resets with restarts and rollouts of the other side.",
    ),
    _signature(
        "no-route",
        r"no route to host|network is unreachable|ehostunreach|enetunreach",
        "The network path is broken: a node, a route or a network policy.",
        "Check whether only pods of one node are hit, and which NetworkPolicies select them.",
    ),
    _signature(
        "tls",
        r"x509|certificate (?:has expired|verify failed|signed by unknown|is not valid)|tls handshake|ssl(?:_error|error| handshake)|bad certificate",
        "TLS fails: an expired, untrusted or wrong certificate.",
        "Read the end date, the names and the issuer of the certificate that the other side presents.",
    ),
    _signature(
        "authentication",
        r"authentication failed|invalid (?:credentials|password|token|api key)|access denied for user|password authentication|unauthori[sz]ed"
        r"|(?:status(?:_?code)?|code)[=: ]+401",
        "Credentials are wrong, expired or rotated.",
        "Check when the Secret was last changed and whether the pods were restarted since.",
    ),
    _signature(
        "permission",
        r"permission denied|eacces|eperm|operation not permitted|forbidden|(?:status(?:_?code)?|code)[=: ]+403|is not allowed to",
        "The program may not do what it tries: file permissions, RBAC, or a security policy.",
        "Check the security context and volume permissions, or the role of the ServiceAccount.",
    ),
    _signature(
        "rate-limited",
        r"too many requests|rate.?limit|throttl|quota exceeded|(?:status(?:_?code)?|code)[=: ]+429",
        "A dependency limits the rate of requests.",
        "Compare the request rate with the limit, and look for retries without a pause.",
    ),
    _signature(
        "deadlock",
        r"deadlock|lock wait timeout|could not obtain lock|database is locked",
        "Transactions block each other in the database.",
        "List the running transactions and what they wait for.",
    ),
    _signature(
        "missing-configuration",
        r"environment variable.{0,60}(?:not set|missing|required)|missing (?:required )?(?:env|config|setting|key|property)"
        r"|(?:config|configuration|settings?).{0,40}(?:not found|invalid|missing|failed)|no such file or directory|keyerror",
        "Configuration is missing or wrong: a variable, a file or a key that the program needs.",
        "Compare the environment and the mounted ConfigMaps and Secrets with the previous revision.",
    ),
    _signature(
        "image-pull",
        r"imagepullbackoff|errimagepull|failed to pull image|manifest unknown|pull access denied",
        "The container image cannot be pulled: a wrong name or tag, missing credentials, or the registry is not reachable.",
        "Read the events of the pod; they name the image and the registry's answer.",
    ),
    _signature(
        "probe",
        r"(?:liveness|readiness|startup) probe (?:failed|errored)|probe failed",
        "A probe fails: the program is too slow or ill, or the probe asks the wrong port or path.",
        "Compare the probe's port, path and timeout with what the program serves.",
    ),
    _signature(
        "leader-election",
        r"leader ?election lost|failed to (?:renew|update) lease|lost (?:lease|leadership)",
        "The leader lost its lease: the API server or etcd answers too slowly, or the process is starved of CPU.",
        "Compare API server and etcd latency, and CPU throttling of the pod, at that time.",
    ),
    _signature(
        "upstream",
        r"upstream|bad gateway|service unavailable|no healthy|no endpoints"
        r"|(?:status(?:_?code)?|code|http/[0-9.]+\"?)[\"']?[=: ]+50[234]|<text> 50[234]\b",
        "The service behind the proxy has no ready instance or fails.",
        "Look at the endpoints of the Service and at the readiness of its pods.",
    ),
    _signature(
        "crash",
        r"\bpanic\b|segfault|segmentation fault|core dumped|nullpointer|nil pointer|typeerror|attributeerror|unhandled|traceback|index out of range",
        "A bug ends the request or the process.",
        "Find the first stack trace after the last rollout, and compare with the release before.",
    ),
)  # fmt: skip


def _clues(patterns: tuple[LogPattern, ...]) -> tuple[LogClue, ...]:
    found: dict[str, list[LogPattern]] = {}
    for pattern in patterns:
        if pattern.level in ("info", "debug"):
            continue
        haystack = f"{pattern.template}\n{pattern.sample}"
        for signature in SIGNATURES:
            if signature.pattern.search(haystack):
                found.setdefault(signature.name, []).append(pattern)
                break  # the list goes from the telling to the vague: a line counts once
    clues = [
        LogClue(signature=item, count=sum(pattern.count for pattern in found[item.name]), patterns=tuple(found[item.name]))
        for item in SIGNATURES
        if item.name in found
    ]
    return tuple(sorted(clues, key=lambda clue: -clue.count))
