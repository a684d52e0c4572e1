"""Playbooks: what an alert means, what usually causes it, what to look at first. Data that people can read, in `playbooks/*.toml`.

They are what makes a report useful with no model, no Prometheus and no network. `evidence/prometheus` measures; a playbook only says what
is usually so, and how to find out.

Texts may hold `$name` placeholders (`$namespace`, `$pod`, `$node`, …): parts of the subject first, alert labels second. `render` fills them
in, escaped for where they stand, and gives None where a value is missing or not safe there, so that no reader ever pastes half a command.

    file ──load_playbooks──> Playbook (templates) ──fill──> Playbook (plain texts; what could not be filled in is left out)
    alert name ──playbook_for──^                     ^──values_of── subject, labels

A template has one alternative per line: the first line that can be filled in whole is the result. So a command can ask for the container
where the container is known, and for the pod where it is not; an empty last line means "then words are enough".
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Protocol

from agent_sre.alert.alert import UNNAMED
from agent_sre.alert.subject import Subject, describe, workload_of
from agent_sre.evidence.evidence import Query
from agent_sre.kit.errors import BadSetting
from agent_sre.kit.text import one_line

GENERIC = "generic"
"""The playbook that serves any alert at all; the last of `load_playbooks`."""

HORIZONS = ("Immediate", "Short-term", "Investigation", "Long-term", "Prevention")
LANGUAGES = ("promql", "logql", "bash")

FILES = (
    "etcd",
    "prometheus",
    "alertmanager",
    "certificates",
    "control-plane",
    "data-stores",
    "storage",
    "pods",
    "workloads",
    "nodes",
    "host",
    "network",
    "application",
    "generic",
)
"""The packaged files. Order is precedence: a name like `EtcdHighLatency` fits patterns of two files, and the narrower field comes first."""

_ALWAYS_THERE = frozenset({"subject", "alertname"})
_MOST_STEPS = 5  # the contract's "3 to 5 recommendations"
_TEXT_LIMIT = 200
_STRING_LIMIT = 1024  # a longer label value is no name; a query that holds it would not be read by anybody

_PLACEHOLDER = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,252}")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SHELL_LINE = re.compile(r"""(?:[^\s'"\\;&|`<>()]|'[^'\\;&|`<>]*'|"[^"\\;&|`<>]*"| )+""")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookCause:
    """One usual cause, most usual first, how to tell, and what would be seen if it were something else."""

    cause: str
    check: str  # what rules it in
    rules_out: str = ""  # what rules it out


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookQuery:
    """One query worth running. `text` is a template in `language` (promql, logql, bash)."""

    language: str
    text: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookStep:
    """One thing worth doing. `command` is a template, empty where words are enough."""

    horizon: str  # Immediate, Short-term, Investigation, Long-term, Prevention
    text: str
    command: str = ""
    language: str = "bash"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookLook:
    """One thing worth looking at first, and why."""

    look: str  # one of LOOKS
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """What an expert knows about one kind of alert before looking."""

    name: str  # file-wide unique slug: "pod-crash-looping"
    title: str
    alerts: tuple[str, ...]  # exact alert names
    patterns: tuple[str, ...]  # regular expressions over names that no playbook lists exactly; searched without case
    meaning: str
    impact: str
    causes: tuple[PlaybookCause, ...]
    queries: tuple[PlaybookQuery, ...]
    steps: tuple[PlaybookStep, ...]
    evidence: tuple[PlaybookLook, ...] = ()  # what to fetch, most telling first


def _asked_of(source: str, *kinds: str) -> dict[str, tuple[tuple[str, str], ...]]:
    return {kind: ((source, kind),) for kind in kinds}


LOOKS: Mapping[str, tuple[tuple[str, str], ...]] = {
    **_asked_of(
        "prometheus", "value", "threshold", "active", "rule", "up", "targets", "siblings", "workload", "latency", "traffic", "errors", "saturation",
        "cpu", "memory", "network", "dependencies",
    ),
    **_asked_of(
        "kubernetes", "pods", "events", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "nodes", "services",
        "endpoints", "persistentvolumeclaims", "persistentvolumes", "resourcequotas", "horizontalpodautoscalers", "poddisruptionbudgets",
        "certificates", "configmaps", "serviceaccounts", "ingresses", "kustomizations", "helmreleases", "gitrepositories", "applications",
    ),
    **_asked_of("history", "related", "recurrence"),
    "logs": (("kubernetes", "logs"), ("loki", "patterns")),
    "errors_logged": (("loki", "errors"), ("kubernetes", "logs")),
    "changes": (("prometheus", "changes"), ("kubernetes", "replicasets"), ("kubernetes", "controllerrevisions"), ("kubernetes", "configmaps")),
    "alertmanager": (("alertmanager", "firing"), ("alertmanager", "silences")),
}  # fmt: skip
"""What a playbook may ask to look at, and which questions of which source (source, kind of query) that is."""


def prioritised(queries: Sequence[Query], playbook: Playbook | None) -> tuple[Query, ...]:
    """The questions of one source in the order in which the playbook wants them: those that it names first, with its reason in their purpose.

    What it does not name stays in the source's own order, behind. Nothing is added or left out.
    """
    if playbook is None or not playbook.evidence:
        return tuple(queries)
    place: dict[tuple[str, str], tuple[int, str]] = {}
    for number, item in enumerate(playbook.evidence):
        for asked in LOOKS.get(item.look, ()):
            place.setdefault(asked, (number, item.why))
    last = (len(playbook.evidence), "")
    ordered = sorted(queries, key=lambda query: place.get((query.source, query.kind), last)[0])
    return tuple(_with_reason(query, place.get((query.source, query.kind), last)[1]) for query in ordered)


def _with_reason(query: Query, why: str) -> Query:
    return replace(query, purpose=f"{query.purpose} (the playbook: {why})") if why else query


# Finding a playbook


def playbook_for(alert_name: str, playbooks: Sequence[Playbook]) -> Playbook:
    """The playbook that lists this name, else the first with a pattern found in it, else the last one, which is the generic.

    `playbooks` is what `load_playbooks` gave, so never empty. Names are compared exactly, patterns without case.
    """
    for playbook in playbooks:
        if alert_name in playbook.alerts:
            return playbook
    start = alert_name[:_TEXT_LIMIT]  # a pattern with `.*` takes quadratic time, and a sender may send a name of a megabyte
    for playbook in playbooks:
        if any(_pattern(pattern).search(start) for pattern in playbook.patterns):
            return playbook
    return playbooks[-1]


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# Filling in


def fill(playbook: Playbook, values: Mapping[str, str]) -> Playbook:
    """The playbook as plain texts for one alert. Queries and steps that cannot be filled in are left out, and no two are the same.

    At most five steps stay: of too many, the later ones of a horizon that occurs twice go first. `meaning`, `impact` and the causes of a
    loaded playbook are never lost as long as `values` came from `values_of`.
    """

    def text(template: str) -> str | None:
        return render(template, "text", values)

    causes = [
        PlaybookCause(cause=cause, check=check, rules_out=text(item.rules_out) or "")
        for item in playbook.causes
        if (cause := text(item.cause)) is not None and (check := text(item.check)) is not None
    ]
    queries = [
        PlaybookQuery(language=item.language, text=query, why=why)
        for item in playbook.queries
        if (query := render(item.text, item.language, values)) and (why := text(item.why)) is not None
    ]
    steps = [
        PlaybookStep(horizon=item.horizon, text=words, command=command, language=item.language)
        for item in playbook.steps
        if (words := text(item.text)) is not None and (command := render(item.command, item.language, values)) is not None
    ]
    return replace(
        playbook,
        title=text(playbook.title) or "",
        meaning=text(playbook.meaning) or "",
        impact=text(playbook.impact) or "",
        causes=tuple(causes),
        queries=tuple(dict.fromkeys(queries)),
        steps=_fewest(tuple(dict.fromkeys(steps))),
    )


def _fewest(steps: tuple[PlaybookStep, ...]) -> tuple[PlaybookStep, ...]:
    while len(steps) > _MOST_STEPS:
        horizons = [step.horizon for step in steps]
        # six steps and five horizons: one of them is there twice
        spare = max(index for index, horizon in enumerate(horizons) if horizons.count(horizon) > 1)
        steps = steps[:spare] + steps[spare + 1 :]
    return steps


def render(template: str, language: str, values: Mapping[str, str]) -> str | None:
    """The first line of the template that can be filled in whole, or None where none can.

    A value is escaped for where it stands, and its line is passed over where it is missing, empty, or cannot be made safe there:
    "text": control and invisible characters go, white space is folded, 200 characters at most;
    "promql", "logql": only inside a double-quoted string, escaped for it; behind `=~`, `!~` and `|~` also quoted for RE2, so that the
    template's own `.*` works and the value's does not;
    "bash": only what looks like a Kubernetes name (letters, digits, `_ . : -`, no dash or dot in front), which needs no quoting anywhere.
    Raises ValueError for any other language.
    """
    fill_line = _FILLERS.get(language)
    if fill_line is None:
        raise ValueError(f'"{language}" is not a language of playbooks: text, {", ".join(LANGUAGES)}')
    for line in template.split("\n"):
        filled = fill_line(line, values)
        if filled is not None:
            return filled
    return None


class _Escape(Protocol):
    def __call__(self, value: str) -> str | None: ...


class _FillLine(Protocol):
    def __call__(self, line: str, values: Mapping[str, str]) -> str | None: ...


def _substitute(text: str, values: Mapping[str, str], escape: _Escape) -> str | None:
    parts: list[str] = []
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        escaped = escape(values.get(match[1] or match[2], ""))
        if not escaped:
            return None
        parts += text[end : match.start()], escaped
        end = match.end()
    return "".join([*parts, text[end:]])


def _fill_text(line: str, values: Mapping[str, str]) -> str | None:
    return _substitute(line, values, lambda value: one_line(value, _TEXT_LIMIT))


def _fill_shell(line: str, values: Mapping[str, str]) -> str | None:
    return _substitute(line, values, lambda value: shlex.quote(value) if _SHELL_SAFE.fullmatch(value) else None)


def _fill_query(line: str, values: Mapping[str, str]) -> str | None:
    parts: list[str] = []
    for outside, quoted, is_regex in _query_parts(line):
        if _PLACEHOLDER.search(outside):
            return None  # a name in the grammar itself could change what is asked
        filled = _substitute(quoted, values, _escape_regex if is_regex else _escape_string)
        if filled is None:
            return None
        parts += outside, filled
    return "".join(parts)


def _query_parts(line: str) -> Iterator[tuple[str, str, bool]]:
    """(what stands outside strings, the string behind it with its quotes, is that string a regular expression)."""
    end = 0
    for match in _QUOTED.finditer(line):
        outside = line[end : match.start()]
        yield outside, match[0], outside.rstrip().endswith(("=~", "!~", "|~"))
        end = match.end()
    yield line[end:], "", False


def _escape_regex(value: str) -> str | None:
    # The characters of Go's regexp.QuoteMeta. Python's re.escape would quote more, and RE2 need not accept that.
    # https://pkg.go.dev/regexp#QuoteMeta
    return _escape_string(re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", value))


def _escape_string(value: str) -> str | None:
    if len(value) > _STRING_LIMIT or any("\ud800" <= character <= "\udfff" for character in value):
        return None
    return "".join(_escape_character(character) for character in value)


def _escape_character(character: str) -> str:
    if character in '\\"':
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    # Backticks too: the query is shown in a fenced block, and must not be able to close it.
    if character.isprintable() and character != "`":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_FILLERS: Mapping[str, _FillLine] = {"text": _fill_text, "promql": _fill_query, "logql": _fill_query, "bash": _fill_shell}

# What placeholders mean

_EXPORTER_LABELS = ("pod", "container", "service", "namespace", "instance")
_WORKLOAD_KINDS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Job", "CronJob"})
_OUR_OWN_KINDS = frozenset({"Component", "Container", "Host", "Cluster", "Alert"})  # words of alert/subject.py that kubectl does not know
_CLUSTER_SCOPED = frozenset({"Node", "PersistentVolume", "APIService", "Namespace"})
_EXPORTER = re.compile(r"kube-state-metrics|kubelet|cadvisor|pushgateway|blackbox|[-_]exporter", re.IGNORECASE)
_FOREIGN_INSTANCE = re.compile(r"kube-state-metrics|kubelet|cadvisor|pushgateway", re.IGNORECASE)
_ADDRESS = re.compile(r"[\d.]+|.*:.*")


def values_of(subject: Subject, labels: Mapping[str, str]) -> dict[str, str]:
    """What the placeholders of a template mean for this alert. Values are raw: `render` makes them safe.

    `$subject` (words for people, to stand within a sentence) and `$alertname` are always there. Then the parts of the subject: `$kind`
    `$name` `$namespace` `$node` `$container` `$service` `$cluster`, its name under its kind (`$pod`, `$deployment`, `$persistentvolumeclaim`;
    `$job_name` for a Job), `$workload` (the controller, also behind a pod), `$host` (a machine's name or address), and `$resource` (its kind
    as kubectl takes it). Then every other alert label under its own name, but for those that name the exporter and not the object.
    """
    own = {name: value for name, value in labels.items() if value and _LABEL_NAME.fullmatch(name)}
    for name in _EXPORTER_LABELS:
        if name in own and not _is_about(name, own[name], subject, labels):
            del own[name]
    values = {**own, **_subject_values(subject)}
    if "pod" in values:
        values.setdefault("workload", workload_of(values["pod"]))
    values["alertname"] = one_line(labels.get("alertname", ""), _TEXT_LIMIT) or UNNAMED
    values["subject"] = _words(subject)
    return {name: value for name, value in values.items() if value}


def _words(subject: Subject) -> str:
    """The subject within a sentence. Never empty, and without words that say nothing there: "Component", "Alert"."""
    words = "" if subject.kind == "Alert" else describe(subject)
    if subject.kind == "Component":
        words = one_line("/".join(part for part in (subject.namespace, subject.name) if part), _TEXT_LIMIT)
    return words or "what this alert watches"


def _subject_values(subject: Subject) -> dict[str, str]:
    values = {
        "kind": subject.kind,
        "name": subject.name,
        "namespace": subject.namespace,
        "node": subject.node,
        "container": subject.container,
        "service": subject.service,
        "cluster": subject.cluster,
    }
    if subject.kind not in _OUR_OWN_KINDS:
        values["job_name" if subject.kind == "Job" else subject.kind.lower()] = subject.name
        if subject.namespace or subject.kind in _CLUSTER_SCOPED:
            values["resource"] = subject.kind.lower()
    if subject.kind in _WORKLOAD_KINDS:
        values["workload"] = subject.name
    if subject.kind in ("Node", "Host"):
        values["host"] = subject.name
    if subject.kind == "Node" and _ADDRESS.fullmatch(subject.name):  # nobody told us what Kubernetes calls it
        values["node"] = values["resource"] = ""
    return {name: value for name, value in values.items() if value}


def _is_about(name: str, value: str, subject: Subject, labels: Mapping[str, str]) -> bool:
    """Whether a label that often names the exporter can be believed to be about the subject.

    KubeDeploymentReplicasMismatch arrives with the pod of kube-state-metrics, KubeNodeNotReady with its namespace.
    """
    if name == "instance":
        # The series of a machine or of a database have the address of their exporter, so it finds them. Whoever reports on all others
        # carries an address that finds nothing; the kubelet is in between: its address is that of its node.
        reporters = " ".join(labels.get(key, "") for key in ("job", "service", "container"))
        foreign = _FOREIGN_INSTANCE.search(reporters)
        return not foreign or foreign[0].lower() in subject.name or (foreign[0] == "kubelet" and subject.kind in ("Node", "Host"))
    if name == "pod" and subject.kind in _WORKLOAD_KINDS:
        return value.startswith(f"{subject.name}-")
    if subject.kind not in _OUR_OWN_KINDS and subject.kind != "Service":
        return False
    return subject.kind != "Host" and not (_EXPORTER.search(value) and not _EXPORTER.search(subject.name))


# Reading the files


def load_playbooks(folder: Path | None = None) -> tuple[Playbook, ...]:
    """All playbooks in order of precedence, the generic one last.

    The files of `folder` come first, sorted by name. A playbook there replaces the packaged one of the same name, and takes over the alerts
    that it lists. Raises BadSetting with the file and the field where something in it is wrong.
    """
    packaged = _packaged()
    if folder is None:
        return packaged
    own = _own(folder)
    names = {playbook.name for playbook in own}
    taken = {alert for playbook in own for alert in playbook.alerts}
    rest = [
        replace(playbook, alerts=tuple(alert for alert in playbook.alerts if alert not in taken))
        for playbook in packaged
        if playbook.name not in names
    ]
    return tuple(sorted([*own, *rest], key=lambda playbook: playbook.name == GENERIC))


@cache
def _packaged() -> tuple[Playbook, ...]:
    folder = resources.files("agent_sre.evidence") / "playbooks"
    # A test compiles the packaged patterns; here that would be a fourth of the time it takes to load.
    return _checked((f"{name}.toml", (folder / f"{name}.toml").read_text(encoding="utf-8")) for name in FILES)


def _own(folder: Path) -> tuple[Playbook, ...]:
    if not folder.is_dir():
        raise BadSetting(f'AGENT_SRE_PLAYBOOKS: "{folder}" is not a folder.')
    files = []
    for path in sorted(folder.glob("*.toml")):
        try:
            files.append((f"AGENT_SRE_PLAYBOOKS: {path}", path.read_text(encoding="utf-8")))
        except UnicodeDecodeError as error:
            raise BadSetting(f"AGENT_SRE_PLAYBOOKS: {path} is not UTF-8 text.") from error
        except OSError as error:
            raise BadSetting(f"AGENT_SRE_PLAYBOOKS: {path} cannot be read: {error.strerror}.") from error
    own = _checked(files)
    for playbook in own:
        for pattern in playbook.patterns:
            try:
                _pattern(pattern)
            except re.error as error:
                complaint = f'patterns: "{pattern}" is not a regular expression: {error}.'
                raise BadSetting(f'AGENT_SRE_PLAYBOOKS: {folder}, playbook "{playbook.name}": {complaint}') from error
    return own


def _checked(files: Iterable[tuple[str, str]]) -> tuple[Playbook, ...]:
    """The playbooks of these files (name, text), each name and each alert once."""
    playbooks: list[Playbook] = []
    where_by_name: dict[str, str] = {}
    where_by_alert: dict[str, str] = {}
    for file, text in files:
        for playbook in _parse(file, text):
            where = f'{file}, playbook "{playbook.name}"'
            if playbook.name in where_by_name:
                raise BadSetting(f"{where}: name: is already taken in {where_by_name[playbook.name]}.")
            where_by_name[playbook.name] = file
            for alert in playbook.alerts:
                if alert in where_by_alert:
                    raise BadSetting(f'{where}: alerts: "{alert}" is already listed in {where_by_alert[alert]}.')
                where_by_alert[alert] = where
            playbooks.append(playbook)
    return tuple(playbooks)


def _parse(file: str, text: str) -> Iterator[Playbook]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(f"{file}: is not TOML: {error}.") from error
    top = _Table(content, file)
    top.none_but("playbook")
    for table in top.tables("playbook"):
        yield _playbook(table.renamed(f'{file}, playbook "{table.text("name")}"'))


def _playbook(table: _Table) -> Playbook:
    table.none_but("name", "title", "alerts", "patterns", "meaning", "impact", "evidence", "causes", "queries", "steps")
    playbook = Playbook(
        name=table.text("name"),
        title=table.template("title", "text", always=True),
        alerts=table.texts("alerts"),
        patterns=table.texts("patterns"),
        meaning=table.template("meaning", "text", always=True),
        impact=table.template("impact", "text", always=True),
        causes=tuple(_cause(item) for item in table.tables("causes")),
        queries=tuple(_query(item) for item in table.tables("queries", may_miss=True)),
        steps=tuple(_step(item) for item in table.tables("steps")),
        evidence=tuple(_look(item) for item in table.tables("evidence", may_miss=True)),
    )
    if not _SLUG.fullmatch(playbook.name):
        raise table.wrong("name", 'is not a slug; write small letters, digits and dashes, like "pod-crash-looping"')
    if not playbook.alerts and not playbook.patterns and playbook.name != GENERIC:
        raise table.wrong("alerts", "is missing, and so is patterns: no alert would ever find this playbook")
    return playbook


def _look(table: _Table) -> PlaybookLook:
    table.none_but("look", "why")
    return PlaybookLook(look=table.one_of("look", tuple(LOOKS)), why=table.text("why"))


def _cause(table: _Table) -> PlaybookCause:
    table.none_but("cause", "check", "rules_out")
    return PlaybookCause(
        cause=table.template("cause", "text", always=True),
        check=table.template("check", "text", always=True),
        rules_out=table.template("rules_out", "text", may_miss=True),
    )


def _query(table: _Table) -> PlaybookQuery:
    table.none_but("language", "text", "why")
    language = table.one_of("language", LANGUAGES)
    return PlaybookQuery(language=language, text=table.template("text", language), why=table.template("why", "text"))


def _step(table: _Table) -> PlaybookStep:
    table.none_but("horizon", "text", "command", "language")
    language = table.one_of("language", LANGUAGES, default="bash")
    return PlaybookStep(
        horizon=table.one_of("horizon", HORIZONS),
        text=table.template("text", "text"),
        command=table.template("command", language, may_miss=True),
        language=language,
    )


class _Table:
    """One table of a file while it is read. Whatever is wrong with it becomes a sentence that names file, table and field."""

    def __init__(self, content: Mapping[str, object], where: str) -> None:
        self._content = content
        self._where = where

    def renamed(self, where: str) -> _Table:
        return _Table(self._content, where)

    def wrong(self, field: str, complaint: str) -> BadSetting:
        return BadSetting(f"{self._where}: {field}: {complaint}.")

    def none_but(self, *known: str) -> None:
        for field in self._content:
            if field not in known:
                raise self.wrong(field, f"is not a field here; known are {', '.join(known)}")

    def text(self, field: str) -> str:
        value = self._content.get(field)
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise self.wrong(field, "must be a text of one line" if field in self._content else "is missing")
        return value

    def one_of(self, field: str, known: tuple[str, ...], *, default: str = "") -> str:
        value = self._content.get(field, default or None)
        if not isinstance(value, str) or value not in known:
            raise self.wrong(field, f"must be one of {', '.join(known)}" if field in self._content else "is missing")
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        value = self._content.get(field, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.wrong(field, "must be a list of texts")
        return tuple(value)

    def tables(self, field: str, *, may_miss: bool = False) -> tuple[_Table, ...]:
        value = self._content.get(field, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(field, "must be a list of tables")
        if not value and not may_miss:
            raise self.wrong(field, "is missing")
        return tuple(_Table(item, f"{self._where}, {field} {number}") for number, item in enumerate(value, 1))

    def template(self, field: str, language: str, *, may_miss: bool = False, always: bool = False) -> str:
        """A template: one text, or a list of alternatives, the last of which may be empty where the whole field may be missing.

        With `always` the last alternative must not depend on what the alert carries.
        """
        if may_miss and field not in self._content:
            return ""
        value = self._content.get(field)
        lines = value if isinstance(value, list) and value else [self.text(field)]
        if not all(isinstance(line, str) and "\n" not in line for line in lines) or "" in (lines[:-1] if may_miss else lines):
            raise self.wrong(field, "must be a text of one line, or a list of such alternatives")
        for line in lines:
            complaint = _complaint(line, language)
            if complaint:
                raise self.wrong(field, complaint)
        if always and not _placeholders(lines[-1]) <= _ALWAYS_THERE:
            raise self.wrong(field, "would be missing for some alerts: let its last alternative use only $subject and $alertname")
        return "\n".join(lines)


def _placeholders(line: str) -> frozenset[str]:
    return frozenset(match[1] or match[2] for match in _PLACEHOLDER.finditer(line))


def _complaint(line: str, language: str) -> str:
    """What is wrong with one line of a template; empty where nothing is."""
    if "$" in line and ("$" in _PLACEHOLDER.sub("", line) or "\\$" in line):
        return 'has a "$" that begins no placeholder; write $name or ${name}'
    if language in ("promql", "logql"):
        for outside, _, _ in _query_parts(line):
            if _PLACEHOLDER.search(outside):
                return "has a placeholder outside of a string; write it between double quotes"
            if re.search("[\"'`#]", outside):
                return "may have no strings but double-quoted ones, and no comment"
    if language == "bash" and line and not _SHELL_LINE.fullmatch(line):
        return "is not one plain command: close every quote, and do without ; & | ` < > and backslashes"
    return ""
