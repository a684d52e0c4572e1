"""A playbook for an alert that no playbook knows: from its expression, its name and its labels. Pure.

    name, labels, expression ──topic_of──> what the rule watches ──derived──> Playbook: meaning, what to look at, usual causes, steps

It only knows what such alerts have in common, and says so; a playbook that somebody wrote is better and always wins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent_sre.evidence.playbook import GENERIC, Playbook, PlaybookCause, PlaybookLook, PlaybookQuery, PlaybookStep, playbook_for
from agent_sre.incident.incident import MemberAlert
from agent_sre.kit.text import one_line

_MOST_METRICS = 6
_EXPRESSION_LENGTH = 600  # a rule that is longer says nothing to a reader of a report


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One kind of thing that rules watch."""

    name: str
    words: re.Pattern[str]  # of the alert's name and of its metrics
    title: str
    impact: str
    looks: tuple[tuple[str, str], ...]  # look, why
    causes: tuple[tuple[str, str], ...]  # cause, check


def _topic(name: str, words: str, title: str, impact: str, looks: tuple[tuple[str, str], ...], causes: tuple[tuple[str, str], ...]) -> Topic:
    pattern = re.compile(rf"(?:^|[^a-z])(?:{words})(?:[^a-z]|$)")
    return Topic(name=name, words=pattern, title=title, impact=impact, looks=looks, causes=causes)


TOPICS: tuple[Topic, ...] = (
    _topic(
        "absent", "up|absent|down|unreachable|missing|dead|offline|unavailable", "Something that should be there is not",
        "Whatever it did is not done now.",
        (("up", "since when it is gone"), ("targets", "what the last scrape said"), ("pods", "whether its pods run"),
         ("events", "what stopped it"),
         ("changes", "what was removed or renamed")),
        (("It stopped or crashed", "Its container or process ended, and the log before says why."),
         ("It was removed, renamed or scaled to zero on purpose",
         "A change of that kind precedes the alert; the object does not exist any more."),
         ("It runs, and only the measurement does not reach it", "Asked by hand it answers; the scrape fails by network, credentials or path.")),
    ),
    _topic(
        "certificate", "cert|certificate|tls|ssl|x509|expiry|expiration|expires|notafter", "A certificate or a term runs out",
        "At its end, connections fail all at once.",
        (("value", "how long is left"), ("certificates", "why a renewal failed"), ("changes", "what was changed at the issuer"),
         ("events", "what the issuer says")),
        (("The renewal fails", "The issuer's events or log name the last attempt and its error."),
         ("It was renewed, and whoever serves it has not loaded it", "What is stored ends later than what is served."),
         ("Nobody renews it", "There is no automatic renewal for it; it was made by hand.")),
    ),
    _topic(
        "queue", "queue|backlog|lag|pending|waiting|depth|unacked|consumer", "Work waits longer than it should",
        "What is at the end of the queue comes late, and memory or disk may run out before.",
        (("value", "how fast it grows"), ("traffic", "whether more comes in"), ("latency", "whether each piece takes longer"),
         ("workload", "whether workers run"),
         ("errors", "whether work fails and is tried again"), ("dependencies", "whether what the workers need is slow")),
        (("The workers are fewer, or stuck", "Fewer consumers than before; the rate of finished work fell while arrivals did not."),
         ("More arrives than usual", "The rate of arrivals rose; the rate of finished work is as before."),
         ("Each piece takes longer, because what the workers call is slow", "Time per piece rose together with the latency of what they call."),
         ("One piece fails and is tried for ever", "The same error repeats, and the oldest item does not move.")),
    ),
    _topic(
        "disk", "disk|filesystem|volume|pvc|storage|inode|inodes|tablespace|wal", "Room for data runs out, or is slow",
        "When it is full, writes fail; databases stop.",
        (("value", "how fast it fills"), ("saturation", "how much is left"), ("persistentvolumeclaims", "which claim it is"),
         ("recurrence", "whether it comes and goes"),
         ("changes", "what began to write more")),
        (("Something writes more than before: logs, dumps, a new feature",
        "The curve bends at one instant; the largest files are younger than that."),
         ("Nothing removes what is old", "Steady growth for weeks; the job that cleans has not run, or retention is longer than the room."),
         ("The volume was always too small", "Growth is as planned, and the size never was.")),
    ),
    _topic(
        "memory", "memory|mem|heap|oom|rss|swap|gc", "Memory runs short", "At the limit the program is killed, or everything slows down.",
        (("value", "whether it grows, jumps or is just high"), ("memory", "how near the limit is"), ("workload", "restarts and their reasons"),
         ("traffic", "whether load explains it"),
         ("changes", "whether it began with a version"), ("pods", "whether it was killed before")),
        (("A leak: it grows without more traffic", "Steady growth since the start of the process, whatever the traffic does."),
         ("More load, or larger requests", "Memory and traffic rise and fall together."),
         ("A version that needs more", "The level jumped with a rollout; old pods use less."),
         ("A limit that is too tight", "The use is level, and as high as ever.")),
    ),
    _topic(
        "cpu", "cpu|load|throttled|throttling|processor", "Processor time runs short", "Requests wait; probes may fail.",
        (("value", "since when, and how it got there"), ("cpu", "who uses it"), ("saturation", "whether a limit holds it back"),
         ("traffic", "whether load explains it"),
         ("changes", "whether it began with a version"), ("siblings", "whether one is odd or all are")),
        (("More requests than usual", "Traffic rose first, and CPU for each request is as before."),
         ("Each request costs more: a version, a query, a retry storm", "CPU for each request rose while traffic did not."),
         ("A limit that is too low", "Throttling is high while the node has room."),
         ("Something else on the same machine takes it", "Others on the node rose at the same instant.")),
    ),
    _topic(
        "errors", "error|errors|fail|failed|failure|failures|exceptions?|5xx|rejected|dropped|denied|aborted",
        "Something fails more often than it should",
        "Whoever waits for the result gets an error.",
        (("value", "since when, and how much"), ("errors", "where it begins"), ("dependencies", "whether something below fails"),
         ("errors_logged", "what the errors say"),
         ("changes", "whether it began with a version"), ("traffic", "whether it is a share or only a number")),
        (("A change: version, configuration, credentials", "It began within minutes of a change; old pods do not fail."),
         ("Something that it calls fails or does not answer", "The errors name a peer, and the peer's own measurements agree."),
         ("Requests that are wrong: a client changed", "The errors come from one caller or one kind of request."),
         ("More traffic at the same share of errors", "The ratio is as before; only the number rose.")),
    ),
    _topic(
        "latency", "latency|duration|slow|response|seconds|p50|p90|p95|p99|timeout|timeouts|delay", "Something takes longer than it should",
        "Users and callers wait; time-outs make errors of it.",
        (("value", "since when, and how it got there"), ("latency", "where it begins"),
         ("dependencies", "whether something that it calls is slow"), ("saturation", "whether something is full"),
         ("cpu", "whether it lacks processor time"), ("traffic", "whether load explains it"), ("changes", "whether it began with a version")),
        (("Something that it calls is slow", "Its own time is as before; the time of one callee rose with it."),
         ("A resource is full: processor, connections, disk, locks", "Saturation rose before latency did."),
         ("More load than it can take", "Latency follows traffic."),
         ("A change made each request dearer", "It began with a rollout or a configuration, at level traffic.")),
    ),
    _topic(
        "job", "job|cron|cronjob|backup|batch|sync|task|pipeline|replication|snapshot|stale|age|old|last",
        "Something that should happen regularly did not",
        "What depends on the result works with old data.",
        (("value", "when it last went well"), ("jobs", "the last attempts"), ("cronjobs", "whether it is suspended"),
         ("logs", "what the last run says"), ("recurrence", "whether it recovers by itself"),
         ("changes", "what was changed since it last went well")),
        (("The last runs failed", "Their log or status names the error."),
         ("It runs, and does not end in time", "The run is longer than ever; the amount of work or what it calls explains it."),
         ("It was not started at all", "It is suspended, its scheduler is down, or its trigger was removed.")),
    ),
    _topic(
        "traffic", "requests|request|rate|rps|qps|throughput|traffic|connections|sessions|messages|hits", "Traffic is not as usual",
        "Too little: users may not reach it. Too much: it may not keep up.",
        (("value", "how it compares with the hours and days before"), ("traffic", "who else sees the same"),
         ("errors", "whether requests fail"), ("latency", "whether it keeps up"),
         ("endpoints", "whether anybody is reached"), ("recurrence", "whether it comes at such hours"),
         ("changes", "what was changed in the way to it")),
        (("Something on the way to it is broken or was changed", "Neighbours on the same way see the same fall; direct calls work."),
         ("Callers changed: a campaign, a retry storm, a client that stopped", "One caller explains the difference."),
         ("It is the hour or the day", "The same curve a day or a week ago looks alike.")),
    ),
)  # fmt: skip
"""The first whose words fit decides: narrow ones precede wide ones."""

_ANY = Topic(
    name="value", words=re.compile(r"(?!)"), title="A measurement is out of bounds",
    impact="Not known: judge it by what users and neighbouring systems notice.",
    looks=(
        ("value", "since when, and how it got there"), ("siblings", "whether one is odd or all are"), ("workload", "trouble around it"),
        ("changes", "what was changed before"),
        ("related", "what else began at that time"), ("recurrence", "whether it comes and goes"),
    ),
    causes=(
        ("A change shortly before", "The time of the first alert is within minutes of a change around the object."),
        ("Trouble of something that it depends on", "Another alert began a little earlier, nearby."),
        ("A threshold that no longer fits", "The value has been near the threshold for days, and nobody noticed anything."),
    ),
)  # fmt: skip


def playbook_of(alert: MemberAlert, playbooks: Sequence[Playbook]) -> Playbook:
    """The playbook of an alert: one that somebody wrote for its name, else one derived from its expression, else the generic one."""
    found = playbook_for(alert.name, playbooks)
    if found.name != GENERIC:
        return found
    # Reading PromQL loads its parser, which most alerts do not need here.
    from agent_sre.evidence.prometheus import promql

    expression = one_line(promql.expression_of(alert.generator_url), 4_000)
    try:
        metrics = sorted(promql.metric_names(expression)) if expression else []
    except ValueError:
        metrics = []
    return derived(alert.name, expression if metrics else "", metrics, found) if metrics else found


def topic_of(name: str, metrics: Sequence[str]) -> Topic:
    """What a rule watches, by the words of its name first and of its metrics second."""
    for text in (_words(name), " ".join(_words(metric) for metric in metrics)):
        for topic in TOPICS:
            if topic.words.search(text):
                return topic
    return _ANY


def derived(name: str, expression: str, metrics: Sequence[str], generic: Playbook) -> Playbook:
    """A playbook from what the rule watches. Steps and queries are the generic one's, the alert's own expression in front."""
    topic = topic_of(name, metrics)
    watched = ", ".join(_harmless(metric, 80) for metric in metrics[:_MOST_METRICS])
    more = f" and {len(metrics) - _MOST_METRICS} more" if len(metrics) > _MOST_METRICS else ""
    shown = _harmless(expression, _EXPRESSION_LENGTH)
    own = PlaybookQuery(language="promql", text=shown, why="The rule's own expression: for which objects it holds now.")
    whole = shown == expression  # what was cut or changed is not what the rule asks
    first = PlaybookStep(horizon="Investigation", text=f"Lay {watched or 'the measurement'} beside the hours before and beside its like.")
    return replace(
        generic,
        name=f"{GENERIC}-{topic.name}",
        title=topic.title,
        meaning=f"No playbook knows $alertname. By its expression it watches {watched}{more} for $subject: {_inside(topic.title)}.",
        impact=topic.impact,
        evidence=tuple(PlaybookLook(look=look, why=why) for look, why in topic.looks),
        causes=tuple(PlaybookCause(cause=cause, check=check) for cause, check in topic.causes),
        queries=((own,) if whole else ()) + generic.queries,
        steps=(first, *generic.steps),
    )


def _inside(title: str) -> str:
    return title[:1].lower() + title[1:]


def _words(name: str) -> str:
    return " ".join(re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name[:300]).lower()))


def _harmless(text: str, limit: int) -> str:
    """A text that a template may hold: one line, and nothing that would be filled in."""
    return one_line(text.replace("$", ""), limit)
