"""Log lines as a few templates with counts: what a person would see after an hour of scrolling. No model, no network.

    text ──(lines: JSON flattened, colours dropped)──> masked lines ──count──> LogTemplate × n ──(known messages)──> LogClue × n

Masking replaces what varies (times, numbers, ids, addresses, paths, quoted strings) by a typed token, so lines of one statement in the code
become one template. It works on the whole text at once, one pass per kind of value: a call per line would be ten times slower.

Log lines are written by whoever can make a program log something. So the constant part is what counts; one sample per template is kept, cleaned and
redacted, and only ever quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from agent_sre.kit.redact import redact
from agent_sre.kit.text import cut, one_line
from agent_sre.kit.times import format_instant, parse_instant

LEVELS = ("fatal", "error", "warning", "info", "debug", "")
"""Most urgent first; empty where a line says nothing about its level."""

_MOST_LINES = 200_000
_MOST_CHARACTERS = 32 * 1024 * 1024
_LINE_LIMIT = 2000
_SAMPLE_LIMIT = 300
_TEMPLATE_LIMIT = 240
_MOST_TEMPLATES = 500  # kept; beyond that the masking did not work and nothing would stand out


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTemplate:
    """Lines that differ only in what was masked. `text` holds `<n>`, `<id>`, `<ip>`, `<path>`, `<url>`, `<time>`, `<text>` for that."""

    text: str
    level: str  # one of LEVELS
    count: int
    sample: str  # the first such line, cleaned and redacted; untrusted
    first_at: datetime | None
    last_at: datetime | None


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
    templates: tuple[LogTemplate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDigest:
    """All of it. Templates: most urgent level first, most frequent first within, 500 at most. `levels` has only levels that occur."""

    lines: int
    distinct: int  # templates found, those that were not kept included
    levels: Mapping[str, int]
    templates: tuple[LogTemplate, ...]
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
    groups: dict[str, list[int]] = {}
    for index, masked in enumerate(_masked("\n".join(lines)).split("\n")):
        if masked:
            group = groups.get(masked)
            if group is None:
                groups[masked] = [1, index, index]
            else:
                group[0] += 1
                group[2] = index
    merged: dict[str, list[int]] = {}
    for masked, (count, first, last) in groups.items():
        known = merged.setdefault(_tidy(masked), [0, first, last])
        known[0] += count
        known[1], known[2] = min(known[1], first), max(known[2], last)
    levels: dict[str, int] = {}
    ranked: list[tuple[int, int, str]] = []
    for masked, (count, _, _) in merged.items():
        level = level_of(masked)
        levels[level] = levels.get(level, 0) + count
        ranked.append((LEVELS.index(level), -count, masked))
    templates = tuple(_template(masked, LEVELS[rank], merged[masked], lines, now) for rank, _, masked in sorted(ranked)[:_MOST_TEMPLATES])
    instants = [item.first_at for item in templates] + [item.last_at for item in templates]
    known_instants = [instant for instant in instants if instant is not None]
    return LogDigest(
        lines=sum(levels.values()),
        distinct=len(merged),
        levels={level: levels[level] for level in LEVELS if level in levels},
        templates=templates,
        clues=_clues(templates),
        first_at=min(known_instants, default=None),
        last_at=max(known_instants, default=None),
        truncated=truncated,
    )


def _template(masked: str, level: str, seen: list[int], lines: list[str], now: datetime) -> LogTemplate:
    count, first, last = seen
    return LogTemplate(
        text=redact(one_line(masked, _TEMPLATE_LIMIT)),
        level=level,
        count=count,
        sample=_sample(lines[first]),
        first_at=_instant(lines[first], now),
        last_at=_instant(lines[last], now),
    )


# Lines

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_MESSAGE_KEYS = ("message", "msg", "log", "event", "error", "err", "exception", "reason")
_LEVEL_KEYS = ("level", "severity", "lvl", "levelname", "log.level")
_TIME_KEYS = ("time", "ts", "timestamp", "@timestamp", "t", "date")


def _lines(text: str) -> tuple[list[str], bool]:
    truncated = len(text) > _MOST_CHARACTERS
    if truncated:
        text = text[-_MOST_CHARACTERS:].partition("\n")[2]
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    lines = text.replace("\r", "").split("\n")
    if len(lines) > _MOST_LINES:
        truncated, lines = True, lines[-_MOST_LINES:]
    if max(map(len, lines)) > _LINE_LIMIT:
        lines = [line[:_LINE_LIMIT] for line in lines]
    first = next((line for line in lines if line.strip()), "")
    if first[:1].isspace():
        lines = [line.strip() for line in lines]  # pasted with an indent, so an indent tells nothing
    return [_flat(line) if line[:1] == "{" else _kept(line) for line in lines], truncated


def _kept(line: str) -> str:
    # the inner lines of a stack trace: the line above them says what happened, "Caused by" says why
    return "" if line[:1] in (" ", "\t", "}", "]") or line.startswith("at ") else line


def _flat(line: str) -> str:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
    if not isinstance(record, dict):
        return line
    parts = [*map(_readable_time, _first_of(record, _TIME_KEYS)), *(word.upper() for word in _first_of(record, _LEVEL_KEYS))]
    message = [_word(record[key]) for key in _MESSAGE_KEYS if key in record]
    return " ".join([*parts, *message]).replace("\n", " ") if message else line


def _first_of(record: Mapping[str, Any], keys: tuple[str, ...]) -> list[str]:
    return next(([_word(record[key])] for key in keys if isinstance(record.get(key), str | int | float)), [])


def _readable_time(word: str) -> str:
    instant = _epoch(word)
    return word if instant is None else format_instant(instant)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


# Masking

_DIGITS = {ord("0") + digit: 0x90 + digit for digit in range(10)}  # C1 controls: digits that masking must not see, still one byte each
_DIGITS_BACK = {hidden: chr(digit) for digit, hidden in _DIGITS.items()} | {0x9A: '"'}
_TELLING = (
    "x509", "HTTP/1.1", "HTTP/1.0", "HTTP/2", "http2", "sha256", "ipv4", "ipv6", "IPv4", "IPv6", "oauth2", "log4j", "k8s", "base64", "utf8", "UTF-8",
)  # fmt: skip

# Each pattern begins with one character class: `re` then skips to its next member in C, and a pass over a megabyte takes milliseconds. That is why
# a word boundary stands behind the first character, as `(?<!\w.)`, and not in front of it.
_STATUS = re.compile(r"""[sScCH](?:tatus(?:_?[cC]ode)?|ode|TTP/[\x90-\x99.]{1,3}"?)["']?[=: ]+([1-5][0-9]{2})(?![0-9])""")
_KLOG = re.compile(r"^([IWEF])[0-9]{4} [0-9:.]{8,15} +[0-9]+ ", re.MULTILINE)
_SAID = re.compile(r'[merc](?<!\w.)(?:sg|essage|rr|rror|eason|ause)="[^"\n]*"')
_MASKS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    # (a text without which the pattern cannot match, the pattern, what to write instead)
    (":", re.compile(r"[0-9][0-9]{3}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9:]{5,8}(?:[.,][0-9]+)?(?:Z| ?[+-][0-9]{2}:?[0-9]{2})?"), "<time>"),
    ("/20", re.compile(r"[0-9][0-9]/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8}(?: [+-][0-9]{4})?"), "<time>"),
    (":", re.compile(r"[JFMASOND](?<!\w.)[a-z]{2} {1,2}[0-9]{1,2} [0-9]{2}:[0-9]{2}:[0-9]{2}\b"), "<time>"),
    (":", re.compile(r"[0-9](?<!\w.)[0-9]:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?\b"), "<time>"),
    ('"', re.compile(r'["][^"\n]*"'), "<text>"),
    ("'", re.compile(r"['](?<!\w.)[^'\n]*'(?!\w)"), "<text>"),
    ("://", re.compile(r"[:]//[^\s\"'<>,;)\]]+"), "://<url>"),
    ("-", re.compile(r"[0-9a-fA-F](?<!\w.)[0-9a-fA-F]{7}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"), "<id>"),
    (".", re.compile(r"[0-9](?<!\w.)[0-9]{0,2}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?::[0-9]{1,5})?\b"), "<ip>"),
    ("::", re.compile(r"[0-9a-fA-F](?<!\w.)[0-9a-fA-F]{0,3}(?::{1,2}[0-9a-fA-F]{1,4}){2,7}\b(?:\]:[0-9]{1,5})?"), "<ip>"),
    ("/", re.compile(r"[/](?<![\w<./>].)[\w.@%+~:=&?-]+(?:/[\w.@%+~:=&?<>-]*)+"), "<path>"),
    ("", re.compile(r"[0-9a-fA-F](?<!\w.)(?=[0-9a-fA-F]{7})(?=[a-fA-F]*[0-9]|(?<=[0-9]))[0-9a-fA-F]{7,}\b"), "<id>"),
    ("", re.compile(r"[0-9](?<!\w.)\w*(?:[.,][0-9]\w*)*%?"), "<n>"),
    ("", re.compile(r"[A-Za-z_](?<!\w.)[A-Za-z_]*[0-9]\w*"), "<id>"),
)
_RUN = re.compile(r"<(n|id|text|ip|path|url)>(?:[,;:|\s-]+<\1>)+")  # a list of values of any length is one value
_SPACES = re.compile(r"\s+")


def _masked(text: str) -> str:
    text = text.replace('\\"', "\x9a")  # out of the way: a pattern that knows escapes takes quadratic time on a line full of them
    for word in _TELLING:
        if word in text:
            text = text.replace(word, word.translate(_DIGITS))
    text = _STATUS.sub(lambda match: match[0].translate(_DIGITS), text)
    text = _KLOG.sub(r"<klog-\1> ", text)
    if '="' in text:
        text = _SAID.sub(lambda match: match[0].replace('"', " ").replace("= ", "=", 1), text)
    for needed, pattern, token in _MASKS:
        if needed in text:
            text = pattern.sub(token, text)
    return text


def _tidy(masked: str) -> str:
    return _SPACES.sub(" ", _RUN.sub(r"<\1>…", masked.translate(_DIGITS_BACK))).strip()


def _sample(line: str) -> str:
    sample = redact(one_line(line, 2 * _SAMPLE_LIMIT))  # before it is cut: half a secret is none that a rule would know
    return cut(sample, _SAMPLE_LIMIT)


# Levels

_LEVEL_WORDS = {
    "fatal": "fatal", "critical": "fatal", "crit": "fatal", "panic": "fatal", "emerg": "fatal", "alert": "fatal", "severe": "error",
    "error": "error", "err": "error", "eror": "error", "warning": "warning", "warn": "warning", "wrn": "warning",
    "info": "info", "information": "info", "notice": "info", "debug": "debug", "trace": "debug", "dbug": "debug", "inf": "info",
}  # fmt: skip
_LEVEL_FIELD = re.compile(r"(?i)\b(?:level|lvl|severity)[\"']?\s*[=:]\s*[\"']?([a-z]+)")
_LEVEL_WORD = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|CRITICAL|CRIT|PANIC|SEVERE|EMERG)\b"
    r"|\[(trace|debug|info|notice|warn|warning|error|err|crit|critical|alert|emerg|fatal)\]"
)
_KLOG_LEVEL = {"<klog-I>": "info", "<klog-W>": "warning", "<klog-E>": "error", "<klog-F>": "fatal"}
_FATAL = re.compile(r"(?i)^panic:|\bfatal\b|\bsegfault\b|segmentation fault|\bcore dumped\b|\boom-?killed\b|out of memory: kill")
_ERROR = re.compile(
    r"(?i)errors?\b(?!(?:=|[\"']: ?)(?:<n>|<text>|null|nil|none|false))|exception\b"
    r"|\bfail(?:ed|ure|s)?\b|traceback|\brefused\b|\bdenied\b|time[d ]? ?out\b|\bunable to\b|\bcannot\b|caused by"
    r"|(?:status(?:_?code)?|code|HTTP/[0-9.]+\"?)[\"']?[=: ]+5[0-9]{2}\b|<text> 5[0-9]{2}\b"
)
_WARNING = re.compile(r"(?i)\bwarn(?:ing)?\b|\bdeprecated\b|\bretry(?:ing)?\b")


def level_of(template: str) -> str:
    """The level that a line states, else the one that its words mean; empty where they mean none."""
    level = _KLOG_LEVEL.get(template[:8])
    if level is not None:
        return level
    field = _LEVEL_FIELD.search(template)
    if field is not None and (level := _LEVEL_WORDS.get(field[1].lower())):
        return level
    word = _LEVEL_WORD.search(template[:160])
    if word is not None:
        return _LEVEL_WORDS[(word[1] or word[2]).lower()]
    return "fatal" if _FATAL.search(template) else "error" if _ERROR.search(template) else "warning" if _WARNING.search(template) else ""


# Times

_ISO = re.compile(r"([0-9]{4})[-/]([0-9]{2})[-/]([0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,9}))? ?(Z|[+-][0-9]{2}:?[0-9]{2})?")
_CLF = re.compile(r"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}:[0-9]{2}:[0-9]{2})(?: ([+-][0-9]{4}))?")
_SYSLOG = re.compile(r"\b([A-Z][a-z]{2}) {1,2}([0-9]{1,2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})")
_KLOG_TIME = re.compile(r"^[IWEF]([0-9]{2})([0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})")
_EPOCH = re.compile(r"^(1[0-9]{9})(?:\.[0-9]+|[0-9]{3}|[0-9]{6}|[0-9]{9})?\b")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _instant(line: str, now: datetime) -> datetime | None:
    head = line[:160]
    if match := _ISO.search(head):
        fraction = f".{match[5][:6]}" if match[5] else ""
        return parse_instant(f"{match[1]}-{match[2]}-{match[3]}T{match[4]}{fraction}{match[6] or ''}")
    if (match := _CLF.search(head)) and match[2] in _MONTHS:
        return parse_instant(f"{match[3]}-{_MONTHS.index(match[2]) + 1:02}-{match[1]}T{match[4]}{match[5] or ''}")
    if (match := _SYSLOG.search(head)) and match[1] in _MONTHS:
        return _yearless(_MONTHS.index(match[1]) + 1, int(match[2]), match[3], now)
    if match := _KLOG_TIME.search(head):
        return _yearless(int(match[1]), int(match[2]), match[3], now)
    return _epoch(head)


def _epoch(text: str) -> datetime | None:
    match = _EPOCH.search(text)
    return None if match is None else datetime.fromtimestamp(int(match[1]), UTC)


def _yearless(month: int, day: int, time: str, now: datetime) -> datetime | None:
    for year in (now.year, now.year - 1):
        instant = parse_instant(f"{year}-{month:02}-{day:02}T{time}")
        if instant is not None and instant <= now + timedelta(days=1):
            return instant
    return None


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


def _clues(templates: tuple[LogTemplate, ...]) -> tuple[LogClue, ...]:
    found: dict[str, list[LogTemplate]] = {}
    for template in templates:
        if template.level in ("info", "debug"):
            continue
        haystack = f"{template.text}\n{template.sample}"
        for signature in SIGNATURES:
            if signature.pattern.search(haystack):
                found.setdefault(signature.name, []).append(template)
                break  # the list goes from the telling to the vague: a line counts once
    clues = [
        LogClue(signature=item, count=sum(template.count for template in found[item.name]), templates=tuple(found[item.name]))
        for item in SIGNATURES
        if item.name in found
    ]
    return tuple(sorted(clues, key=lambda clue: -clue.count))
