"""What Alertmanager knows beyond what it sent us: what else fires, and what somebody or some rule keeps quiet.

"firing" does not repeat what our own store has (history/related does that): it compares. An alert that fires there and is not known here, and
one that we hold open and Alertmanager does not have, are both said by name.

"silences" asks who covers the subject. For the alerts that are suppressed now Alertmanager itself names the silence. One that is no longer in
force names nobody, and it matters most: what was silenced until five minutes ago "begins" when the silence ends. So the matchers of other
silences are held against the incident's labels: texts here, regular expressions there, because a foreign pattern must not run in this process.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import Connection

from agent_sre.alert.alert import AlertStatus, severity_of
from agent_sre.alert.subject import AlertRole, Subject, describe, role_of, subject_key, subject_of
from agent_sre.evidence.alertmanager.client import NAME, AlertmanagerClient, HeldAlert, Matcher, Silence
from agent_sre.evidence.evidence import Evidence, Fact, Query, SourceHealth
from agent_sre.incident.incident import Incident, incident_key
from agent_sre.kit.clock import Clock
from agent_sre.kit.durations import ago
from agent_sre.kit.errors import AgentSREError, Rejected
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line
from agent_sre.kit.times import format_instant
from agent_sre.store.engine import Store
from agent_sre.store.schema import alert as alerts

Values = dict[str, str | int | float | bool | None]

NEARNESS = ("same object", "same node", "same namespace", "same cluster", "elsewhere")
"""Distances, nearest first."""

MAX_NAMED = 20
"""Alerts, names and silences that are named, of each sort."""

RECENTLY = timedelta(hours=6)
"""How long ago a silence may have ended to be of interest. 6 h: a night's work that ended before the morning's alert."""

_MAX_ASKED = 5
_MANY = 500


class AlertmanagerSource:
    """Evidence from one Alertmanager. Kinds of query: firing, silences (docs/reference/evidence.md)."""

    name = NAME

    def __init__(self, client: AlertmanagerClient, store: Store, clock: Clock) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._fetch_by_kind: dict[str, Callable[[Query, Incident], Awaitable[Evidence]]] = {
            "firing": self._fetch_firing,
            "silences": self._fetch_silences,
        }

    def plan(self, incident: Incident, now: datetime) -> tuple[Query, ...]:  # noqa: ARG002
        """Two questions, both about the present."""
        return (
            _query("firing", "amtool alert query", "what else fires now, and whether all of it reached us"),
            _query(
                "silences",
                f"amtool silence query; {_suppressed(incident)}",
                "what is silenced or inhibited around the subject, by whom and until when",
            ),
        )

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        """Raises AgentSREError as the client does, and StoreUnavailable where our own alerts cannot be read."""
        return await self._fetch_by_kind[query.kind](query, incident)

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109  (the bound is the caller's, as in LanguageModel.check)
        """What its status page says now. Never raises."""
        return await self._client.check(timeout)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    # What fires

    async def _fetch_firing(self, query: Query, incident: Incident) -> Evidence:
        began = self._clock.monotonic()
        narrowed = False
        try:
            held = await self._client.alerts(suppressed=True)
        except Rejected as error:
            namespace = _namespace(incident.subject)
            if error.reason != "too_large" or not namespace:
                raise
            narrowed = True
            held = await self._client.alerts((Matcher(name="namespace", value=namespace),), suppressed=True)
        ours = await self._store.read(lambda connection: _open_alerts(connection))
        now = self._clock.now()

        def compare() -> tuple[tuple[Fact, ...], str, bool]:
            # With a part of the picture nothing can be missed.
            return _firing_facts(held, () if narrowed else ours, {item.fingerprint for item in ours}, incident, now)

        data, summary, truncated = await asyncio.to_thread(compare) if len(held) + len(ours) > _MANY else compare()
        if narrowed:
            summary = f"only namespace {one_line(_namespace(incident.subject), 120)} was looked at, there are too many alerts; {summary}"
        return self._evidence(query, incident, data, summary, began, truncated=truncated or narrowed, path="/#/alerts")

    # What is kept quiet

    async def _fetch_silences(self, query: Query, incident: Incident) -> Evidence:
        began = self._clock.monotonic()
        suppressed, silences = await asyncio.gather(self._client.alerts(active=False, suppressed=True), self._client.silences())
        now = self._clock.now()
        quiet = await asyncio.to_thread(_near, suppressed, incident) if len(suppressed) > _MANY else _near(suppressed, incident)
        # The newest first, for where only some can be asked about.
        recent = sorted((item for item in silences if _is_recent(item, now)), key=lambda item: _end(item, now), reverse=True)
        covering = await self._covering(recent, incident)
        data, summary, truncated = _silence_facts(quiet, recent, covering, incident, now)
        return self._evidence(query, incident, data, summary, began, truncated=truncated, path="/#/silences")

    async def _covering(self, silences: Sequence[Silence], incident: Incident) -> frozenset[str]:
        """The ids of the silences whose matchers fit one of the incident's own alerts."""
        covering: set[str] = set()
        undecided: list[Silence] = []
        for silence in silences:
            verdicts = {covers(silence.matchers, alert.labels) for alert in incident.alerts}
            if True in verdicts:
                covering.add(silence.id)
            elif None in verdicts:
                undecided.append(silence)
        fingerprints = {alert.fingerprint for alert in incident.alerts}
        for silence, fits in zip(
            undecided[:_MAX_ASKED], await asyncio.gather(*(self._fits(silence, fingerprints) for silence in undecided[:_MAX_ASKED])), strict=True
        ):
            if fits:
                covering.add(silence.id)
        return frozenset(covering)

    async def _fits(self, silence: Silence, fingerprints: set[str]) -> bool:
        """Whether Alertmanager, asked with the silence's own matchers, finds one of these alerts."""
        try:
            found = await self._client.alerts(silence.matchers, suppressed=True)
        except AgentSREError:
            return False  # one pattern that it does not take does not spoil what is known
        return any(item.fingerprint in fingerprints for item in found)

    def _evidence(
        self, query: Query, incident: Incident, data: tuple[Fact, ...], summary: str, began: float, *, truncated: bool, path: str
    ) -> Evidence:
        return Evidence(
            id=query.id,
            query=query,
            subject=incident.subject,
            data=data,
            summary=summary,
            collected_at=self._clock.now(),
            took=timedelta(seconds=self._clock.monotonic() - began),
            truncated=truncated,
            url=f"{self._client.external_url}{path}{_url_filter(incident.subject)}",
        )


def _query(kind: str, expression: str, purpose: str) -> Query:
    return Query(id="", source=NAME, kind=kind, expression=expression, purpose=purpose, language="bash")


def _suppressed(incident: Incident) -> str:
    """The command for what is silenced or inhibited near the subject."""
    namespace = _namespace(incident.subject)
    near = f" {shlex.quote(one_line(str(Matcher(name='namespace', value=namespace))))}" if namespace else ""
    return f"amtool alert query --silenced --inhibited{near}"


def _url_filter(subject: Subject) -> str:
    namespace = _namespace(subject)
    matcher = f"{{{Matcher(name='namespace', value=namespace)}}}"
    return f"?filter={quote(matcher, safe='')}" if namespace else ""


def _namespace(subject: Subject) -> str:
    return subject.name if subject.kind == "Namespace" else subject.namespace


# Distance


def nearness(subject: Subject, labels: Mapping[str, str]) -> str:
    """How near an alert with these labels is to the subject: one of NEARNESS. A namespace of the same name in another cluster is elsewhere."""
    node, namespace = subject.name if subject.kind == "Node" else subject.node, _namespace(subject)
    key = subject_key(subject)
    # A subject is made of label values. Looking at them first spares a storm's 10,000 alerts eight tenths of a second.
    said = "\n".join(labels.values())
    if not any(part and part in said for part in (node, namespace, subject.name, subject.cluster, key.rpartition("/")[2])):
        return "elsewhere"
    other = subject_of(labels)
    apart = bool(subject.cluster and other.cluster and subject.cluster != other.cluster)
    if subject_key(other) == key:
        return "same object"
    if node and not apart and node == (other.name if other.kind == "Node" else other.node):
        return "same node"
    if namespace and not apart and namespace == _namespace(other):
        return "same namespace"
    return "same cluster" if subject.cluster and subject.cluster == other.cluster else "elsewhere"


# Ours


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """An alert that our store holds open."""

    fingerprint: str
    name: str
    labels: Mapping[str, str]
    starts_at: datetime
    incident_id: int


def _open_alerts(connection: Connection) -> tuple[_Open, ...]:
    columns = (alerts.c.fingerprint, alerts.c.name, alerts.c.labels, alerts.c.starts_at, alerts.c.incident_id)
    rows = connection.execute(sa.select(*columns).where(alerts.c.status == AlertStatus.FIRING.value)).all()
    return tuple(
        _Open(fingerprint=row.fingerprint, name=row.name, labels=row.labels, starts_at=row.starts_at, incident_id=row.incident_id) for row in rows
    )


# What fires


def _firing_facts(
    held: Sequence[HeldAlert], ours: Sequence[_Open], known: set[str], incident: Incident, now: datetime
) -> tuple[tuple[Fact, ...], str, bool]:
    own = {alert.fingerprint for alert in incident.alerts}
    by_fingerprint = {item.fingerprint: item for item in held}
    active = [item for item in held if item.state != "suppressed" and item.fingerprint not in own and role_of(item.labels) is AlertRole.PROBLEM]
    near_by_fingerprint = {item.fingerprint: nearness(incident.subject, item.labels) for item in active}
    active.sort(key=lambda item: _order(near_by_fingerprint[item.fingerprint], item.labels, item.starts_at))
    strangers = [item for item in active if item.fingerprint not in known]
    gone = [item for item in ours if item.fingerprint not in by_fingerprint]
    gone.sort(key=lambda item: _order(nearness(incident.subject, item.labels), item.labels, item.starts_at))

    names = _by_name(active, near_by_fingerprint)
    distances = Counter(near_by_fingerprint.values())
    near = ", ".join(f"{distances[where]} {where}" for where in NEARNESS if distances[where])
    listed = ", ".join(f"{name} ×{count}" if count > 1 else name for name, (count, _) in list(names.items())[:5])
    more = f" and {len(names) - 5} other names" if len(names) > 5 else ""
    total = f"{len(active)} other {_plural(len(active), 'alert')} {'fires' if len(active) == 1 else 'fire'} at Alertmanager"
    parts = [f"{total} ({near}): {listed}{more}" if active else "no other alert fires at Alertmanager"]
    if strangers:
        parts.append(f"{len(strangers)} of them {'is' if len(strangers) == 1 else 'are'} not known here: {_names(item.name for item in strangers)}")
    if gone:
        parts.append(f"{len(gone)} that we hold open {'is' if len(gone) == 1 else 'are'} not there: {_names(item.name for item in gone)}")
    facts = (
        Fact(name="counts", text=parts[0], values={name: count for name, (count, _) in list(names.items())[:MAX_NAMED]}),
        Fact(name="nearness", text=near or "none", values={where: distances[where] for where in NEARNESS}),
        *(
            Fact(
                name="group",
                text=f"{name}: {count} {_plural(count, 'alert')}, the nearest {where}",
                values={"name": name, "count": count, "near": where},
            )
            for name, (count, where) in list(names.items())[:MAX_NAMED]
        ),
        *(_own_fact(alert.name, by_fingerprint.get(alert.fingerprint), alert.status) for alert in incident.alerts[:MAX_NAMED]),
        *(_held_fact(item, near_by_fingerprint[item.fingerprint], now) for item in strangers[:MAX_NAMED]),
        *(_gone_fact(item, nearness(incident.subject, item.labels), now) for item in gone[:MAX_NAMED]),
    )
    truncated = max(len(names), len(strangers), len(gone), len(incident.alerts)) > MAX_NAMED
    return facts, "; ".join(parts), truncated


def _order(near: str, labels: Mapping[str, str], starts_at: datetime | None) -> tuple[int, int, float]:
    """Nearest first, then worst, then youngest."""
    return NEARNESS.index(near), severity_of(labels.get("severity", "")).priority, -(starts_at.timestamp() if starts_at else 0.0)


def _by_name(active: Sequence[HeldAlert], near: Mapping[str, str]) -> dict[str, tuple[int, str]]:
    """How many alerts each name has and how near the nearest is; nearest names first, then the most frequent."""
    counts = Counter(_name(item.name) for item in active)
    nearest: dict[str, str] = {}
    for item in active:  # sorted, nearest first
        nearest.setdefault(_name(item.name), near[item.fingerprint])
    order = sorted(counts, key=lambda name: (NEARNESS.index(nearest[name]), -counts[name], name))
    return {name: (counts[name], nearest[name]) for name in order}


def _own_fact(name: str, held: HeldAlert | None, status: AlertStatus) -> Fact:
    name = _name(name)
    if held is None:
        text = f"{name} is not at Alertmanager"
        text += " any more, and we hold it open" if status is AlertStatus.FIRING else ": it is resolved there too"
        return Fact(name="own", text=text, values={"name": name, "state": "absent", "silenced": False, "inhibited": False})
    by = [word for word, there in (("silenced", held.silenced_by), ("inhibited", held.inhibited_by)) if there]
    return Fact(
        name="own",
        text=f"{name} is {' and '.join(by) or held.state} at Alertmanager",
        values={"name": name, "state": held.state, "silenced": bool(held.silenced_by), "inhibited": bool(held.inhibited_by)},
    )


def _held_fact(item: HeldAlert, near: str, now: datetime) -> Fact:
    began = f", began {ago(item.starts_at, now)}" if item.starts_at else ""
    text = f"{_name(item.name)} about {describe(subject_of(item.labels))}, {near}{began}: it fires at Alertmanager and is not known here"
    return Fact(name="not_known_here", text=text, values=_alert_values(item.labels, near, item.starts_at))


def _gone_fact(item: _Open, near: str, now: datetime) -> Fact:
    key = incident_key(item.incident_id)
    what = f"{_name(item.name)} about {describe(subject_of(item.labels))}, {near}, began {ago(item.starts_at, now)}"
    text = f"{what}: we hold it open ({key}), Alertmanager does not have it"
    return Fact(name="not_known_there", text=text, values=_alert_values(item.labels, near, item.starts_at) | {"incident": key})


def _alert_values(labels: Mapping[str, str], near: str, starts_at: datetime | None) -> Values:
    subject = subject_of(labels)
    return {
        "name": _name(labels.get("alertname", "")), "severity": severity_of(labels.get("severity", "")).value, "kind": subject.kind,
        "object": one_line(subject.name), "namespace": one_line(subject.namespace), "node": one_line(subject.node), "near": near,
        "starts_at": format_instant(starts_at) if starts_at else None,
    }  # fmt: skip


# What is kept quiet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quiet:
    """A suppressed alert of the incident, or one near it."""

    alert: HeldAlert
    near: str  # "the incident's own", or one of NEARNESS


_OWN = "the incident's own"
_CLOSE = frozenset({_OWN, "same object", "same node", "same namespace"})


def _near(suppressed: Sequence[HeldAlert], incident: Incident) -> list[_Quiet]:
    own = {alert.fingerprint for alert in incident.alerts}
    found = (_Quiet(alert=item, near=_OWN if item.fingerprint in own else nearness(incident.subject, item.labels)) for item in suppressed)
    close = [item for item in found if item.near in _CLOSE and role_of(item.alert.labels) is AlertRole.PROBLEM]
    order = (_OWN, *NEARNESS)
    return sorted(close, key=lambda item: (order.index(item.near), _name(item.alert.name), item.alert.fingerprint))


_PLAIN_CHOICE = re.compile(r"[\w :/@,-]+(?:\|[\w :/@,-]+)*")
"""A pattern that is only a list of texts, which is what most people write."""


def covers(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool | None:
    """Whether a silence with these matchers fits an alert with these labels; None where only a regular expression could tell.

    No matchers fit nothing: Alertmanager takes no such silence.
    """
    unknown = False
    for matcher in matchers:
        value = labels.get(matcher.name, "")
        if not matcher.is_regex:
            fits = value == matcher.value
        elif matcher.value in (".*", ".+"):
            fits = matcher.value == ".*" or value != ""
        elif _PLAIN_CHOICE.fullmatch(matcher.value):
            fits = value in matcher.value.split("|")
        else:
            unknown = True
            continue
        if fits is not matcher.is_equal:
            return False
    return None if unknown else bool(matchers)


def _is_recent(silence: Silence, now: datetime) -> bool:
    """In force, or ended a short while ago. What is planned for later explains nothing yet."""
    return silence.state == "active" or (silence.state == "expired" and silence.ends_at is not None and now - silence.ends_at <= RECENTLY)


def _end(silence: Silence, now: datetime) -> tuple[bool, datetime]:
    return silence.state == "active", silence.ends_at or now


def _silence_facts(
    quiet: Sequence[_Quiet], recent: Sequence[Silence], covering: frozenset[str], incident: Incident, now: datetime
) -> tuple[tuple[Fact, ...], str, bool]:
    silenced: Counter[str] = Counter(silence_id for item in quiet for silence_id in item.alert.silenced_by)
    touching = [silence for silence in recent if silence.id in covering or silenced[silence.id]]
    touching.sort(key=lambda silence: (silence.id not in covering, silence.state != "active"))
    names = Counter(_name(item.alert.name) for item in quiet)
    inhibited = sum(1 for item in quiet if item.alert.inhibited_by)
    facts = (
        *(_silence_fact(silence, silence.id in covering, silenced[silence.id], now) for silence in touching[:MAX_NAMED]),
        *(_quiet_fact(item) for item in quiet[:MAX_NAMED]),
    )
    if not facts:
        return (), f"nothing around {describe(incident.subject)} is silenced or inhibited, nor was in the last 6 h", False
    in_force = sum(1 for silence in touching if silence.state == "active")
    ended = len(touching) - in_force
    parts = []
    if touching:
        counted = [f"{in_force} in force" if in_force else "", f"{ended} ended in the last 6 h" if ended else ""]
        whose = ", ".join(dict.fromkeys(_short(silence, now) for silence in touching[:3]))
        parts.append(f"{len(touching)} {_plural(len(touching), 'silence')} ({', '.join(filter(None, counted))}): {whose}")
    if quiet:
        listed = ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in names.most_common(5))
        parts.append(f"{len(quiet)} {_plural(len(quiet), 'alert')} kept quiet ({inhibited} by inhibition): {listed}")
    return facts, "; ".join(parts), max(len(touching), len(quiet)) > MAX_NAMED


def _silence_fact(silence: Silence, covers_incident: bool, alerts_silenced: int, now: datetime) -> Fact:
    matchers = ", ".join(one_line(str(matcher), 120) for matcher in silence.matchers[:10])
    comment = redact(one_line(silence.comment))
    whom = "this incident's alerts" if covers_incident else f"{alerts_silenced} {_plural(alerts_silenced, 'alert')} near it"
    return Fact(
        name="silence",
        text=f"{_short(silence, now)} for {whom} ({{{matchers}}})" + (f": {comment}" if comment else ""),
        values={
            "id": silence.id, "state": silence.state, "created_by": redact(one_line(silence.created_by, 120)), "comment": comment,
            "matchers": matchers, "covers_incident": covers_incident, "alerts": alerts_silenced,
            "starts_at": format_instant(silence.starts_at) if silence.starts_at else None,
            "ends_at": format_instant(silence.ends_at) if silence.ends_at else None,
        },
    )  # fmt: skip


def _short(silence: Silence, now: datetime) -> str:
    who = redact(one_line(silence.created_by, 60)) or "somebody"
    if silence.ends_at is None:
        return f"silence of {who}"
    return f"silence of {who}, {'ends' if silence.state == 'active' else 'ended'} {ago(silence.ends_at, now)}"


def _quiet_fact(item: _Quiet) -> Fact:
    alert = item.alert
    how = " and ".join(word for word, there in (("silenced", alert.silenced_by), ("inhibited", alert.inhibited_by)) if there) or "suppressed"
    return Fact(
        name="suppressed",
        text=f"{_name(alert.name)} about {describe(subject_of(alert.labels))}, {item.near}: {how}",
        values=_alert_values(alert.labels, item.near, alert.starts_at)
        | {"silenced_by": ", ".join(one_line(name, 64) for name in alert.silenced_by[:5])}
        | {"inhibited_by": ", ".join(one_line(name, 64) for name in alert.inhibited_by[:5])},
    )


# Words


def _name(name: str) -> str:
    return one_line(name, 120) or "unnamed"


def _names(names: Iterable[str]) -> str:
    """`A ×3, B and 4 others`."""
    counts = Counter(_name(name) for name in names)
    listed = [f"{name} ×{count}" if count > 1 else name for name, count in list(counts.items())[:3]]
    return ", ".join(listed) + (f" and {len(counts) - 3} other names" if len(counts) > 3 else "")


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
