"""Answers to texts, without a model: logs, an incident in somebody's words, what to monitor, what to measure, any other question.

What the rules know is recognised in the text by name: alert names and patterns of the playbooks, kinds of systems, messages that mean the same in
every program. What is not recognised is not answered, and the answer says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent_sre.alert.subject import Subject, subject_of
from agent_sre.analysis.analysis import RULES, Analysis, InvestigationQuery, Recommendation
from agent_sre.analysis.logs import LogClue, LogDigest, digest
from agent_sre.analysis.parts import cited, finished, queries_of, recommendations_of, said, utc
from agent_sre.analysis.signals import SystemKind, kind_of
from agent_sre.evidence.evidence import Evidence, EvidenceSet, LogPattern, Query
from agent_sre.evidence.playbook import GENERIC, Playbook, PlaybookQuery, PlaybookStep, fill, load_playbooks, render, values_of
from agent_sre.finding.finding import Confidence, Hypothesis
from agent_sre.finding.rank import rank

_MOST_TOPICS = 3
_MOST_SHOWN_PATTERNS = 8
_MOST_CLUES = 6
_READ_CHARACTERS = 8_000  # of a question; logs are read whole
_SENTENCE_CHARACTERS = 300  # patterns are searched sentence by sentence: on a long text, one with `.*` would take quadratic time
_NOT_RUN = "this is advice, nothing was measured"


def text_analysis(
    task_type: str,
    message: str,
    *,
    facts: Mapping[str, str],
    author_note: str,
    now: datetime,
    playbooks: Sequence[Playbook] | None = None,
) -> Analysis:
    """The rules' answer to one text. `facts` are things that the caller knows ("open incidents": "3"); they are shown as they are.

    Task types: logs, incident, monitoring, performance; every other one is answered as a general question. Without `playbooks` the packaged
    ones are read. Any text will do, the empty one included. Confidence is always low: a text is not a measurement.
    """
    known = load_playbooks() if playbooks is None else playbooks
    answer = _ANSWERS.get(task_type, _general)(message if task_type == "logs" else message[:_READ_CHARACTERS], known, now)
    shown = tuple(f"{said(name, 60)}: {said(value, 300)}" for name, value in facts.items())
    return finished(
        Analysis(
            task_type=task_type,
            title=answer.title,
            observations=(*answer.observations, *shown),
            root_cause=answer.root_cause,
            impact=answer.impact,
            hypotheses=answer.hypotheses,
            recommendations=answer.recommendations,
            investigation_queries=answer.queries,
            evidence=answer.evidence,
            gaps=(),
            confidence=Confidence.LOW,
            confidence_reason=answer.confidence_reason,
            author=RULES,
            author_note=author_note,
            timings={},
            tokens={},
            markdown="",
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What differs between the kinds of text."""

    title: str
    observations: tuple[str, ...]
    recommendations: tuple[Recommendation, ...]
    root_cause: str = ""
    impact: str = ""
    hypotheses: tuple[Hypothesis, ...] = ()
    queries: tuple[InvestigationQuery, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    confidence_reason: str = "only the text was read, nothing was measured"


def _step(horizon: str, text: str, command: str = "", language: str = "") -> PlaybookStep:
    return PlaybookStep(horizon=horizon, text=text, command=command, language=language)


# Logs


def _logs(message: str, playbooks: Sequence[Playbook], now: datetime) -> _Answer:  # noqa: ARG001
    found = digest(message, now)
    if not found.lines:
        return _Answer(
            title="Log analysis: no lines",
            observations=("The text holds no log line.",),
            recommendations=recommendations_of(_LOG_STEPS),
            root_cause="Unknown: there is nothing to read.",
            impact="Not known.",
        )
    telling = [clue.patterns[0] for clue in found.clues[:_MOST_CLUES]]
    shown = list(dict.fromkeys([*found.patterns[:_MOST_SHOWN_PATTERNS], *telling]))
    evidence = tuple(_pattern_evidence(f"E{number:02d}", pattern, now) for number, pattern in enumerate(shown, 1))
    id_by_template = {pattern.template: item.id for pattern, item in zip(shown, evidence, strict=True)}
    hypotheses = tuple(_log_hypothesis(number, clue, found, id_by_template) for number, clue in enumerate(found.clues[:_MOST_CLUES], 1))
    first = [_step("Immediate", f"Check the first cause: {hypotheses[0].check}")] if hypotheses else []
    return _Answer(
        title=f"Log analysis: {found.lines:,} lines, {found.errors:,} of them errors",
        observations=(_counts(found), *_first_error(found), *(_pattern_line(item) for item in evidence)),
        recommendations=recommendations_of(_LOG_STEPS, first=first, evidence_ids=hypotheses[0].supporting if hypotheses else ()),
        root_cause=_log_cause(found, hypotheses, evidence),
        impact=_log_impact(found),
        hypotheses=hypotheses,
        evidence=evidence,
        confidence_reason="only these lines were read, nothing was measured, and whoever causes a log line can choose its words",
    )


_LOG_STEPS = (
    _step("Immediate", "Start at the first error, not at the loudest: later ones are often its consequences."),
    _step("Short-term", "Compare the time of the first error with the last rollout, configuration change or restart."),
    _step("Investigation", "Look for the same messages an hour and a day earlier: what was always there is not the cause."),
    _step("Prevention", "Turn the telling message into a counter and alert on its rate, so that nobody has to read logs to notice it."),
)


def _pattern_evidence(evidence_id: str, pattern: LogPattern, now: datetime) -> Evidence:
    return Evidence(
        id=evidence_id,
        query=Query(id=evidence_id, source="logs", kind="pattern", expression=pattern.template, purpose="what the log repeats"),
        subject=pattern.subject,
        data=(pattern,),
        summary=f"{pattern.count:,} × {pattern.level or 'no level'}: {pattern.template}",
        collected_at=now,
        took=timedelta(0),
    )


def _counts(found: LogDigest) -> str:
    levels = ", ".join(f"{count:,} {level or 'without a level'}" for level, count in found.levels.items())
    text = f"{found.lines:,} lines of {found.distinct:,} {'kind' if found.distinct == 1 else 'kinds'}: {levels}"
    if found.first_at and found.last_at:
        text += f"; from {utc(found.first_at)} to {utc(found.last_at)}"
    return f"{text}{'; older lines were left out' if found.truncated else ''}"


def _first_error(found: LogDigest) -> list[str]:
    errors = [(item.first_at, item.sample) for item in found.patterns if item.level in ("fatal", "error") and item.first_at]
    if len(errors) < 2:
        return []
    at, sample = min(errors)
    return [f"The first error, {utc(at)}: “{said(sample, 300)}”"]


def _pattern_line(item: Evidence) -> str:
    pattern = next(data for data in item.data if isinstance(data, LogPattern))
    sample = said(pattern.sample, 300)
    same = sample == said(str(item.query.expression), 300)
    return cited(said(item.summary, 300) + ("" if same else f", for example “{sample}”"), [item.id])


def _log_hypothesis(number: int, clue: LogClue, found: LogDigest, id_by_template: Mapping[str, str]) -> Hypothesis:
    share = clue.count / max(1, sum(other.count for other in found.clues))
    ids = [id_by_template[pattern.template] for pattern in clue.patterns if pattern.template in id_by_template]
    return Hypothesis(
        id=f"H{number}",
        cause=clue.signature.cause,
        subject=Subject(kind="Log", name=""),
        score=round(0.2 + 0.6 * share, 4),
        supporting=tuple(ids),
        contradicting=(),
        check=clue.signature.check,
    )


def _log_cause(found: LogDigest, hypotheses: Sequence[Hypothesis], evidence: Sequence[Evidence]) -> str:
    if hypotheses:
        return cited(f"By its words: {hypotheses[0].cause}", hypotheses[0].supporting)
    if found.errors:
        return cited("Unknown: no message in it is known to the rules. The most frequent error is the lead.", [evidence[0].id])
    return "Unknown: no line in it states an error."


def _log_impact(found: LogDigest) -> str:
    share = 100 * found.errors / found.lines
    return f"{found.errors:,} of {found.lines:,} lines are errors ({share:.1f} %). What users notice of it, the log does not say."


# An incident in somebody's words


def _incident(message: str, playbooks: Sequence[Playbook], now: datetime) -> _Answer:  # noqa: ARG001
    topics = topics_of(message, playbooks)
    quoted = f"You say: “{said(message, 500)}”" if message.strip() else "No description was given."
    if not topics:
        return _Answer(
            title="An incident that the rules do not recognise",
            observations=(quoted, "Nothing in it matches an alert or a failure that the rules know. This checklist fits any incident."),
            recommendations=recommendations_of(_CHECKLIST),
            root_cause="Unknown: the text names no failure that the rules know.",
            impact="Not known: find out who is affected, how many, and since when.",
        )
    title = f"An incident that sounds like: {topics[0].title}"
    return _by_topic(title, quoted, topics, message, "the failure was recognised by its words, nothing was measured")


_CHECKLIST = (
    _step("Immediate", "Impact first: who is affected, since when, is it getting worse? Name one person who decides, and tell users what you know."),
    _step("Short-term", "Mitigate before you understand: roll back what changed last, shift traffic, add capacity, or switch the feature off."),
    _step("Investigation", "Look for what changed before the onset, what fired first, and what the failing requests have in common."),
    _step("Long-term", "Afterwards write the timeline, the cause, and what would have shown it earlier."),
    _step("Prevention", "Give each action of that review an owner and a date, and add the alert that was missing."),
)


def _by_topic(title: str, opening: str, topics: Sequence[Playbook], message: str, confidence_reason: str) -> _Answer:
    """What the first topic says, with the meaning of all of them."""
    first = topics[0]
    return _Answer(
        title=title,
        observations=(opening, *(f"{topic.title}: {topic.meaning}" for topic in topics)),
        recommendations=recommendations_of(first.steps),
        root_cause=f"Not confirmed yet; most often: {first.causes[0].cause}." if first.causes else "Unknown.",
        impact=first.impact,
        hypotheses=rank(first.causes, (), _subject_in(message)),
        queries=_queries(topics),
        confidence_reason=confidence_reason,
    )


def topics_of(message: str, playbooks: Sequence[Playbook]) -> tuple[Playbook, ...]:
    """The playbooks that a text speaks of, at most three, filled in with the objects that it names: alert names first, then patterns.

    Among patterns the longest match wins: "out of memory" says more than "memory".
    """
    text = message[:_READ_CHARACTERS]
    words = {word.casefold() for word in re.findall(r"[A-Za-z][A-Za-z0-9_]{3,}", text)}
    by_name = [playbook for playbook in playbooks if any(alert.casefold() in words for alert in playbook.alerts)]
    sentences = [sentence[:_SENTENCE_CHARACTERS] for sentence in re.split(r"[\n.!?;]+\s*", text) if sentence]
    matches = [(_longest_match(playbook, sentences), place) for place, playbook in enumerate(playbooks) if playbook not in by_name]
    by_pattern = [playbooks[place] for length, place in sorted(matches, key=lambda match: -match[0]) if length > 2]
    subject = _subject_in(text)
    chosen = [playbook for playbook in [*by_name, *by_pattern] if playbook.name != GENERIC][:_MOST_TOPICS]
    return tuple(fill(playbook, _values(playbook, subject, text, words)) for playbook in chosen)


def _values(playbook: Playbook, subject: Subject, message: str, words: set[str]) -> dict[str, str]:
    name = next((alert for alert in playbook.alerts if alert.casefold() in words), "")
    values = values_of(subject, {**_labels_in(message), **({"alertname": name} if name else {})})
    if subject.kind == "Alert":
        values["subject"] = "the affected object"
    return values


def _longest_match(playbook: Playbook, sentences: Sequence[str]) -> int:
    patterns = [re.compile(pattern, re.IGNORECASE) for pattern in playbook.patterns]
    found = (pattern.search(sentence) for pattern in patterns for sentence in sentences)
    return max((len(match.group()) for match in found if match), default=0)


_NAMED = re.compile(
    r"\b(namespace|pod|node|deployment|statefulset|daemonset|container|service|instance|cluster|persistentvolumeclaim|job)"
    r"(?:\s*[=:]\s*[\"'`]?([A-Za-z0-9][A-Za-z0-9._:-]{0,252})|\s+[\"'`]?([a-z0-9][a-z0-9.-]*[0-9-][a-z0-9.-]*)|\s+[\"'`]([a-z0-9][a-z0-9.-]*))",
    re.IGNORECASE,
)
_IN_NAMESPACE = re.compile(r"(?:\s-n\s+|--namespace[= ]|\bin (?:the )?namespace |\b(?:in|the) (?=[a-z0-9-]+ namespace\b))([a-z0-9][a-z0-9-]{0,62})")


def _labels_in(message: str) -> dict[str, str]:
    """What the text names as `pod api-1`, `namespace=shop`, `-n shop`. A bare word counts only where it cannot be English."""
    labels: dict[str, str] = {}
    for match in _NAMED.finditer(message):
        value = next(group for group in match.groups()[1:] if group)
        labels.setdefault(match[1].lower(), value.rstrip(".:-"))
    namespace = _IN_NAMESPACE.search(message)
    if namespace:
        labels.setdefault("namespace", namespace[1])
    return labels


def _subject_in(message: str) -> Subject:
    return subject_of(_labels_in(message))


def _queries(topics: Sequence[Playbook]) -> tuple[InvestigationQuery, ...]:
    return queries_of([query for topic in topics[:2] for query in topic.queries], EvidenceSet(), not_run=_NOT_RUN)


# Monitoring and performance


def _monitoring(message: str, playbooks: Sequence[Playbook], now: datetime) -> _Answer:  # noqa: ARG001
    kind, values = kind_of(message), _system_values(message)
    named = f"“{said(message, 120)}”" if message.strip() else "the system"
    alerts = [(query, why) for template, why in kind.alerts if (query := render(template, "promql", values))]
    steps = (
        *(
            _step(horizon, f"Have this alert {when}: {why}. Let it hold for five minutes before it pages.", query, "promql")
            for (horizon, when), (query, why) in zip((("Immediate", "first"), ("Short-term", "next")), alerts, strict=False)
        ),
        _step("Investigation", "Put the four signals of below on one dashboard, with the same time axis and marks for rollouts."),
        _step("Long-term", "Agree on an objective (for example 99.9 % good requests in 30 days) and alert on the speed at which its budget burns."),
        _step("Prevention", "Watch the watcher: alert when the metrics are absent, and keep an alert that always fires, for an outside check."),
    )
    return _Answer(
        title=f"What to monitor: {named} as {kind.name}",
        observations=(
            f"Taken as {kind.name}. Four signals tell most of its state: latency, traffic, errors, saturation.",
            "Page for symptoms that need a human now; send causes to a dashboard or a ticket.",
            "Metric names are those of the usual exporters: compare them with what your Prometheus has before you use a query.",
        ),
        recommendations=recommendations_of(steps),
        queries=_signal_queries(kind, values),
        confidence_reason="this is general practice; your system was not looked at",
    )


def _performance(message: str, playbooks: Sequence[Playbook], now: datetime) -> _Answer:  # noqa: ARG001
    kind, values = kind_of(message), _system_values(message)
    topics = topics_of(message, playbooks)
    steps = (
        _step("Immediate", "Fix the time of the onset, and compare traffic, latency and saturation with an hour and a week before."),
        _step("Short-term", "If one resource is full, give it room or shed load; if none is, the time goes into waiting for somebody else."),
        _step("Investigation", "For each resource look at utilisation, saturation and errors; for each dependency at its latency."),
        _step("Long-term", "Profile in production, and bound what may queue: connections, threads, retries."),
        _step("Prevention", "Load-test with the mix of real requests, and alert on saturation before it becomes latency."),
    )
    usual = topics[0].causes if topics else ()
    return _Answer(
        title=f"Performance: “{said(message, 120)}”" if message.strip() else "Performance",
        observations=(
            f"Taken as {kind.name}. Slow means either working (a resource is full) or waiting (a queue, a lock, a dependency).",
            *(f"{topic.title}: {topic.meaning}" for topic in topics),
        ),
        recommendations=recommendations_of(steps),
        root_cause=f"Not confirmed yet; most often: {usual[0].cause}." if usual else "Unknown: nothing was measured.",
        hypotheses=rank(usual, (), _subject_in(message)),
        queries=(*_signal_queries(kind, values), *_queries(topics)),
        confidence_reason="this is general practice; your system was not looked at",
    )


_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_FOR = re.compile(r"\b(?:for|of|monitor|watch|called|named)\s+(?:the |our |my |an? )?[\"'`]?([a-z0-9][a-z0-9._-]*[a-z0-9])")
_COMMON_WORDS = frozenset({"service", "system", "application", "app", "it", "this", "that", "all", "us", "me", "you", "latency", "errors"})


def _system_values(message: str) -> dict[str, str]:
    """`job` where the question names the system (a single word, or "for checkout"), `namespace` where it names one."""
    labels = _labels_in(message)
    values = {name: value for name, value in labels.items() if name in ("job", "namespace")}
    whole, named = message.strip(), _FOR.search(message)
    if _JOB.fullmatch(whole) and whole.lower() not in _COMMON_WORDS:
        values.setdefault("job", whole)
    elif named and named[1] not in _COMMON_WORDS and "namespace" not in values:
        values.setdefault("job", named[1])
    return values


def _signal_queries(kind: SystemKind, values: Mapping[str, str]) -> tuple[InvestigationQuery, ...]:
    queries = [
        PlaybookQuery(language="promql", text=query, why=f"{signal.name}: {signal.why}")
        for signal in kind.signals
        if (query := render(signal.query, "promql", values))
    ]
    return queries_of(queries, EvidenceSet(), not_run=_NOT_RUN)


# Anything else


def _general(message: str, playbooks: Sequence[Playbook], now: datetime) -> _Answer:  # noqa: ARG001
    topics = topics_of(message, playbooks)
    honest = "This was written by rules, not by a language model; the last line says why. Rules only know what they recognise."
    if not topics:
        return _Answer(
            title="What the rules can say to this",
            observations=(honest, "They recognise no alert and no failure in your message."),
            recommendations=recommendations_of(_HOW_TO_ASK),
            confidence_reason="nothing in the message was recognised",
        )
    return _by_topic(f"What the rules know about: {topics[0].title}", honest, topics, message, "recognised by its words, nothing was measured")


_HOW_TO_ASK = (
    _step("Immediate", "Name the alert (KubePodCrashLooping) or the failure (disk full, out of memory, certificate expired)."),
    _step("Investigation", "For log lines use /analyze-logs, for what is going wrong /incident-response, for what to watch /monitoring-advice."),
    _step("Long-term", "For free questions a model must answer: /health says whether one is connected, and what is missing."),
)

_ANSWERS: Mapping[str, Callable[[str, Sequence[Playbook], datetime], _Answer]] = {
    "logs": _logs,
    "incident": _incident,
    "monitoring": _monitoring,
    "performance": _performance,
    "general": _general,
}
