"""From a diagnosis to the one prompt of its incident: numbered facts, best first, as many as the budget holds. Pure.

    evidence ──facts──> one line each ──ranked by the diagnosis──> those that fit ──prompts──> the prompt
                                                                     └──> FactLines, which the model's sentences are checked against

The order in which facts are taken, so that a cut takes the faintest:

    1  what the first causes rest on: what was seen of them, and of each answer that they cite the lines that speak of their objects
    2  what other findings rest on
    3  what changed
    4  what moved or is in trouble
    5  the rest, a line for each answer

Numbers are formatted here, differences are computed here: the model copies, it never computes. Every text passes the pipeline for untrusted text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent_sre.alert.subject import Subject, describe
from agent_sre.analysis.analysis import Recommendation
from agent_sre.analysis.fact_line import FactLine
from agent_sre.analysis.llm.tokens import estimate_tokens
from agent_sre.analysis.observed import MOVED
from agent_sre.analysis.prompts import PROMPT_VERSIONS, ROLE, packed_prompt
from agent_sre.analysis.untrusted import annotation_for_model, for_model
from agent_sre.evidence.evidence import Change, Dependency, Evidence, Fact, KubernetesObject, LogPattern, MetricSeries
from agent_sre.evidence.gaps import troubles
from agent_sre.evidence.kubernetes.objects import instant_of, is_troubled, number_of, text_of
from agent_sre.evidence.numbers import SECONDS, format_beside, format_number, unit_of_metric
from agent_sre.evidence.prometheus.movement import RECENT_FROM, movement
from agent_sre.evidence.prometheus.promql import unit_of_expression
from agent_sre.evidence.status import status_of
from agent_sre.finding.finding import Diagnosis, Finding, Hypothesis
from agent_sre.incident.incident import Incident
from agent_sre.kit.durations import readable

MOST_FACTS = 40
"""Lines of facts in a prompt. More make small models worse, not better, and the budget of a GPU holds about as many."""

BRIEF_BELOW = 1_500
"""A budget under this many tokens gets the short form of the static part, fewer causes and shorter lines."""

_MOST_IDS = 4  # of the evidence of one cause or finding; the first say most
_MOST_SERIES = 120  # curves whose movement is computed; of more, those about the objects in question
_TOLD_WHOLE = 2  # curves of an answer that has words for them: its summary says more than they do
_COUNTED = 110  # characters of a summary whose parts are told beside it
_MOST_DETAILS = 12  # lines of one answer
_SHORT_SAMPLE = 120
_BOTH_ENDS = 120  # from this width on a long text keeps its end as well
_FAINT = 0.1  # a finding of less weight is told with the rest
_HOUR = timedelta(hours=1)
_OLDEST_HOUR = timedelta(minutes=10)  # a point so much older than an hour still counts as the one of an hour ago
_INVENTORY = frozenset({"contents", "manifests"})
_ROUTINE = frozenset({
    "Scheduled", "Pulling", "Pulled", "Created", "Started", "SuccessfulCreate", "SuccessfulDelete", "LeaderElection", "AddedInterface", "Completed",
})  # fmt: skip
"""Reasons of events that every pod has."""

_SIGHT = "seen: "
_PRECISE = (_SIGHT, "change ", "event ", "log ", "metric ")  # how lines begin that say more than a sight that quotes them
_SEEN, _CITED, _FOUND, _CHANGED, _MOVED, _REST = range(6)
_GOAL_BY_RANK = {_MOVED: 2_400, _REST: 2_100}
"""Up to how many tokens a prompt is filled with facts that nothing points at. What was seen, is cited or changed may make it longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A prompt and what was offered in it."""

    prompt: str
    facts: tuple[FactLine, ...]  # those in the prompt; one that tells of several answers stands here once for each
    hypotheses: tuple[str, ...]
    evidence: tuple[str, ...]
    actions: tuple[str, ...]
    tokens: int  # estimated, the system text included
    version: str
    left_out: Mapping[str, int]  # how many facts, causes, actions, gaps the budget did not hold
    is_brief: bool = False  # asked in the short form, so a short answer is due


@dataclass(frozen=True, slots=True)
class _Line:
    """One fact before it is chosen. `place` orders within its rank."""

    ids: tuple[str, ...]
    text: str
    rank: int
    place: tuple[float, int]
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    """How much of everything a prompt may hold. `width` is the longest text of a fact, a cause, an action."""

    form: str
    width: int
    causes: int
    actions: int
    gaps: int
    members: int


_SHAPES = (
    _Shape("full", 320, 6, 5, 5, 5),
    _Shape("full", 220, 6, 5, 3, 3),
    _Shape("full", 140, 6, 5, 2, 2),
    _Shape("full", 90, 4, 3, 1, 0),
)
_BRIEF_SHAPES = (
    _Shape("brief", 150, 4, 3, 1, 1),
    _Shape("brief", 110, 4, 2, 0, 0),
    _Shape("brief", 80, 2, 2, 0, 0),
    _Shape("brief", 60, 2, 1, 0, 0),
)


def pack(incident: Incident, diagnosis: Diagnosis, actions: Sequence[Recommendation], *, budget_tokens: int, note: str = "") -> Packed:
    """The prompt of one incident, at most `budget_tokens` long by our own estimate, system text and static part included.

    Every fact that the offered causes rest on is inside, in the widest shape that holds them; what room is left goes to further facts, best
    first. Where not even the narrowest shape holds them (under about 700 tokens), the faintest are dropped, and `left_out` says so. `note` is a
    word of our own to the model about its last answer.
    """
    known = tuple(_ranked(_Facts(incident, diagnosis).lines()))
    shapes = _SHAPES if budget_tokens >= BRIEF_BELOW else _BRIEF_SHAPES
    for shape in shapes:
        draft = _Draft(incident, diagnosis, actions, shape, note)
        needed = draft.needed(known)
        if len(needed) <= MOST_FACTS and draft.tokens(needed) <= budget_tokens:
            return draft.packed(draft.filled(needed, known, budget_tokens), known)
    while needed and (len(needed) > MOST_FACTS or draft.tokens(needed) > budget_tokens):
        needed.pop()
    return draft.packed(needed, known)


def _ranked(lines: Iterable[_Line]) -> Iterator[_Line]:
    """Best first, each once; what a sight of the same answers says word for word is not said again."""
    told: set[tuple[str, tuple[str, ...]]] = set()
    sights: list[_Line] = []
    for line in sorted(lines, key=lambda line: (line.rank, line.place)):
        if (line.text, line.ids) in told or (not line.text.startswith(_PRECISE) and any(_says(sight, line) for sight in sights)):
            continue
        told.add((line.text, line.ids))
        if line.text.startswith(_SIGHT):
            sights.append(line)
        yield line


def _says(sight: _Line, line: _Line) -> bool:
    return set(line.ids) <= set(sight.ids) and (line.text.partition(": ")[2] or line.text) in sight.text


class _Draft:
    """One prompt of a shape."""

    def __init__(self, incident: Incident, diagnosis: Diagnosis, actions: Sequence[Recommendation], shape: _Shape, note: str) -> None:
        self.shape = shape
        self.note = note
        self.causes = _offered(diagnosis.hypotheses, shape.causes)
        self.actions = actions[: shape.actions]
        self.alert = _alert_lines(incident, shape)
        self.gaps = _gap_lines(diagnosis, shape)
        self.diagnosis = diagnosis
        self.all_actions = len(actions)

    def needed(self, known: Sequence[_Line]) -> list[_Line]:
        """What the offered causes rest on: what was seen of them, and the best line of each answer that they cite."""
        reasons = {_safe(reason).rstrip(".") for item in self.causes for reason in item.reasons[:2]}
        wanted = dict.fromkeys(evidence_id for item in self.causes for evidence_id in (*item.supporting[:_MOST_IDS], *item.contradicting[:2]))
        chosen = {line: None for line in known if line.rank == _SEEN and any(reason in line.text for reason in reasons)}
        told = {evidence_id for line in chosen for evidence_id in line.ids}
        for line in known:
            # the sight already tells of the answers that it cites; a raw line beside it where there is room
            if line.rank != _SEEN and any(evidence_id in wanted and evidence_id not in told for evidence_id in line.ids):
                chosen[line] = None
                told.update(line.ids)
        return list(chosen)

    def filled(self, needed: list[_Line], known: Sequence[_Line], budget: int) -> list[_Line]:
        chosen = dict.fromkeys(needed)
        used = self.tokens(needed)
        for line in known:
            if len(chosen) >= MOST_FACTS:
                break
            cost = estimate_tokens(self._fact(line)) + 1
            if line not in chosen and used + cost <= min(budget, _GOAL_BY_RANK.get(line.rank, budget)):
                chosen[line] = None
                used += cost
        order = {line: place for place, line in enumerate(known)}
        return sorted(chosen, key=lambda line: order[line])

    def tokens(self, lines: Sequence[_Line]) -> int:
        return estimate_tokens(ROLE, self.prompt(lines))

    def prompt(self, lines: Sequence[_Line]) -> str:
        sections = (
            ("ALERT", self.alert),
            ("FACTS", [self._fact(line) for line in lines]),
            ("NOT KNOWN", self.gaps),
            ("CAUSES", [self._cause(item) for item in self.causes]),
            ("ACTIONS", [f"{item.id} {item.horizon.value}: {_safe(item.text, self.shape.width)}" for item in self.actions]),
        )
        return packed_prompt(self.shape.form, sections, note=self.note)

    def _fact(self, line: _Line) -> str:
        return f"{' '.join(line.ids)} {fitted(line.text, self.shape.width)}"

    def _cause(self, item: Hypothesis) -> str:
        cited = f"facts {' '.join(item.supporting[:_MOST_IDS])}" if item.supporting else "usual, nothing seen of it"
        against = f"; against it {' '.join(item.contradicting[:2])}" if item.contradicting else ""
        return f"{item.id} (score {item.score:.2f}; {cited}{against}): {_safe(item.cause, self.shape.width)}"

    def packed(self, lines: Sequence[_Line], known: Sequence[_Line]) -> Packed:
        prompt = self.prompt(lines)
        facts = tuple(
            FactLine(evidence_id=evidence_id, text=fitted(line.text, self.shape.width), at=line.at) for line in lines for evidence_id in line.ids
        )
        gaps = len(troubles(self.diagnosis.evidence.gaps))
        return Packed(
            prompt=prompt,
            facts=facts,
            hypotheses=tuple(item.id for item in self.causes),
            evidence=tuple(sorted({fact.evidence_id for fact in facts})),
            actions=tuple(item.id for item in self.actions),
            tokens=estimate_tokens(ROLE, prompt),
            version=PROMPT_VERSIONS[self.shape.form],
            left_out={
                "facts": len(known) - len(lines),
                "causes": len(self.diagnosis.hypotheses) - len(self.causes),
                "actions": self.all_actions - len(self.actions),
                "gaps": max(gaps - self.shape.gaps, 0),
            },
            is_brief=self.shape.form == "brief",
        )


def _offered(hypotheses: Sequence[Hypothesis], most: int) -> Sequence[Hypothesis]:
    """The first, and of the others before all those that something was seen of; in the rules' order."""
    kept = sorted(hypotheses, key=lambda item: (item is not hypotheses[0], not item.supporting))[:most]
    return [item for item in hypotheses if item in kept]


def _alert_lines(incident: Incident, shape: _Shape) -> list[str]:
    lead = incident.lead
    where = _safe(describe(lead.subject), min(shape.width, 160))
    # each begins with a word of ours, so that no name can pass for a line of another section
    lines = [f"alert {_safe(lead.name, 100)} severity {_safe(lead.severity_text, 30)} on {where}, since {_clock(lead.starts_at)}"]
    words = (annotation_for_model(lead.annotations.get(name, ""), lead.labels, 4 * _LONGEST_PIECE) for name in ("summary", "description"))
    said = dict.fromkeys(fitted(text, shape.width) for text in words)
    lines += [f"it says: {text}" for text in said if text][: 2 if shape.members else 1]
    others = [_safe(f"{alert.name} on {describe(alert.subject)}", 90) for alert in incident.alerts[1 : shape.members + 1]]
    if len(incident.alerts) > 1:
        lines.append(f"{len(incident.alerts)} alerts in this incident{', among them ' if others else ''}{'; '.join(dict.fromkeys(others))}")
    return lines


def _gap_lines(diagnosis: Diagnosis, shape: _Shape) -> list[str]:
    """What could not be asked, a line for each trouble."""
    found = troubles(diagnosis.evidence.gaps)
    return [
        f"unknown: {_safe('; '.join(item.purposes[:2]), min(shape.width, 120))} ({_safe(item.source, 30)}: {_safe(item.reason, 30)})"
        for item in found[: shape.gaps]
    ]


# Facts


class _Facts:
    """All lines that an incident's evidence gives, unordered."""

    def __init__(self, incident: Incident, diagnosis: Diagnosis) -> None:
        self.began = incident.lead.starts_at
        self.diagnosis = diagnosis
        self.items = {item.id: item for item in diagnosis.evidence.items}
        self.cited = [evidence_id for item in diagnosis.hypotheses for evidence_id in (*item.supporting, *item.contradicting)]
        self.found = {evidence_id for finding in diagnosis.findings for evidence_id in finding.evidence_ids}
        subjects = [item.subject for item in diagnosis.hypotheses if item.supporting] + [incident.lead.subject]
        self.names = [name for name in dict.fromkeys(name for subject in subjects for name in _names(subject)) if len(name) > 2]
        self.series_left = _MOST_SERIES

    def lines(self) -> Iterator[_Line]:
        reasons = {reason: place for item in reversed(self.diagnosis.hypotheses) for place, reason in enumerate(item.reasons)}
        first = {item.name: number for number, item in reversed(list(enumerate(self.diagnosis.hypotheses))) if item.name}
        for number, finding in enumerate(self.diagnosis.findings):
            if (line := self._finding(finding, number, reasons, first)) is not None:
                yield line
        for number, item in enumerate(self.diagnosis.evidence.items):
            yield from self._answer(item, number)

    def _finding(self, finding: Finding, number: int, reasons: Mapping[str, int], first: Mapping[str, int]) -> _Line | None:
        ids = tuple(evidence_id for evidence_id in dict.fromkeys(finding.evidence_ids) if evidence_id in self.items)[:_MOST_IDS]
        if not ids:
            return None
        rank = _SEEN if finding.summary in reasons else _FOUND if finding.weight >= _FAINT or not finding.cause else _REST
        place = float(first.get(finding.cause, len(first))) if rank == _SEEN else -finding.weight
        summary = _safe(finding.summary)
        began = _clock(finding.began_at) if finding.began_at is not None else ""
        since = f", since {began}" if began and began not in summary else ""
        return _Line(ids, f"{_SIGHT}{summary.rstrip('.') if since else summary}{since}", rank, (place, number), finding.began_at)

    def _answer(self, item: Evidence, number: int) -> Iterator[_Line]:
        cited = self.cited.index(item.id) if item.id in self.cited else None
        rank = _CITED if cited is not None else _FOUND if item.id in self.found else _REST
        base = float(number if cited is None else cited)
        details = sorted(self._details(item), key=lambda detail: (-detail.weight, detail.order))
        for place, detail in enumerate(details[:_MOST_DETAILS]):
            # what rests and is not about an object in question is worth no more for standing in an answer that is cited
            own = min(rank, detail.rank) if detail.related and detail.rank != _REST else detail.rank
            own = rank if place == 0 and rank < own else own
            yield _Line((item.id,), detail.text, own, (base - min(detail.weight, 9.0) / 10, detail.order), detail.at)
        # of an answer whose many parts speak for themselves the summary only counts them
        if not details or item.query.kind not in _INVENTORY:
            counted = bool(details) and not (len(details) <= _TOLD_WHOLE and any(isinstance(data, Fact) for data in item.data))
            summary = _safe(f"{item.query.source} {item.query.kind}: {item.summary}", _COUNTED if counted else _LONGEST_PIECE)
            yield _Line((item.id,), summary, _REST if counted else rank, (base + 0.5, number), _crossed(item))

    def _details(self, item: Evidence) -> list[_Detail]:
        found: list[_Detail] = []
        events: list[KubernetesObject] = []
        edges: list[Dependency] = []
        series = self._worth_reading([data for data in item.data if isinstance(data, MetricSeries)])
        for order, data in enumerate(item.data):
            match data:
                case KubernetesObject(kind="Event"):
                    events.append(data)
                case KubernetesObject():
                    found += self._object(data, order)
                case Change():
                    found.append(self._change(data, order))
                case LogPattern():
                    found += self._pattern(data, order)
                case Dependency():
                    edges.append(data)
                case _:
                    pass
        found += self._events(events)
        found += self._edges(edges)
        for order, one in enumerate(series):
            found += self._series(item, one, order)
        if not found:
            found += self._words(item)
        return found

    def _related(self, *texts: str) -> bool:
        return any(name in text for name in self.names for text in texts)

    def _worth_reading(self, series: Sequence[MetricSeries]) -> Sequence[MetricSeries]:
        """Those whose movement is computed: all where they are few, else those about the objects in question first. Bounds the time."""
        if len(series) > self.series_left:
            related = [one for one in series if self._related(*one.labels.values())]
            series = related[: self.series_left]
        self.series_left -= len(series)
        return series

    def _series(self, item: Evidence, one: MetricSeries, order: int) -> Iterator[_Detail]:
        moved = movement(one.points, self.began, worse=one.worse)
        if moved is None:
            return
        metric = one.labels.get("__name__", "")
        unit = one.unit or unit_of_metric(metric) or (unit_of_expression(item.query.expression) if item.query.language == "promql" else "")
        name = _safe(_series_name(item, one), 160)
        latest = next(value for _, value in reversed(one.points) if math.isfinite(value))
        parts = [f"now={format_number(latest, unit)}"]
        if moved.before is not None:
            now, before = format_beside(latest, moved.before, unit)
            parts = [f"now={now}", f"usual={before}"]
        parts += _bounds(item, unit)
        related = self._related(*one.labels.values()) or sum(isinstance(data, MetricSeries) for data in item.data) <= 2
        loud = moved.before is not None and moved.score >= MOVED
        if not loud and not related:
            return
        parts += [*_peak(one.points, self.began, latest, moved.before, unit), *_trend(one.points, latest, unit)]
        yield _Detail(f"metric {name} {' '.join(parts)}", order, related, _MOVED if loud else _REST, moved.score + (2.0 if related else 0.0), None)

    def _object(self, data: KubernetesObject, order: int) -> Iterator[_Detail]:
        troubled, related = is_troubled(data), self._related(data.name)
        status = status_of(data) if troubled or related else ""
        if status:
            name = f"{data.namespace}/{data.name}" if data.namespace else data.name
            text = f"{data.kind} {_safe(name, 140)}: {_safe(status)}"
            yield _Detail(text, order, related, _MOVED if troubled else _REST, 3.0 * troubled + 2.0 * related, None)

    def _events(self, events: Sequence[KubernetesObject]) -> Iterator[_Detail]:
        """Events of one reason about one object as one line, with their number and their time."""
        groups: dict[tuple[str, str, str], list[KubernetesObject]] = {}
        for one in events:
            about = one.manifest
            key = (text_of(about, "reason"), text_of(about, "involvedObject", "kind"), text_of(about, "involvedObject", "name"))
            groups.setdefault(key, []).append(one)
        for order, ((reason, kind, name), group) in enumerate(groups.items()):
            warning = any(text_of(one.manifest, "type") == "Warning" for one in group)
            related = self._related(name)
            if not warning and (not related or reason in _ROUTINE):
                continue
            count = sum(max(number_of(one.manifest, "count") or 1, 1) for one in group)
            times = sorted(at for one in group for at in (_event_at(one, "firstTimestamp"), _event_at(one, "lastTimestamp")) if at is not None)
            when = "" if not times else f" {self._when(times[0])}" if times[0] == times[-1] else f" from {_clock(times[0])} to {_clock(times[-1])}"
            message = _safe(text_of(group[-1].manifest, "message"))
            text = f"event {_safe(reason, 60)} x{count} {_safe(f'{kind} {name}'.strip(), 120)}{when}: {message}"
            weight = 3.0 * warning + 2.0 * related
            yield _Detail(text, order, related, _MOVED if warning else _REST, weight, times[0] if times else None)

    def _change(self, data: Change, order: int) -> _Detail:
        related = self._related(data.subject.name, data.subject.service, data.text)
        removed = next((line for line in data.diff if line.startswith("- ")), "")
        added = next((line for line in data.diff if line.startswith("+ ")), "")
        diff = f" [{'; '.join(_safe(line, 100) for line in (removed, added) if line)}]" if removed or added else ""
        when = self._when(data.at) if data.at is not None else "at an unknown time"
        text = f"change {_safe(data.kind, 30)} {when}: {_safe(data.text, 200)}{diff}"
        near = 0.0 if data.at is None else 1.0 / (1.0 + abs((self.began - data.at).total_seconds()) / 3600)
        return _Detail(text, order, related, _CHANGED, 2.0 * related + near, data.at)

    def _pattern(self, data: LogPattern, order: int) -> Iterator[_Detail]:
        bad = data.level in ("fatal", "error")
        related = self._related(data.subject.name, data.subject.service, data.template)
        news = data.is_new or data.has_vanished
        if not (bad or news or related):
            return
        before = "" if data.count_before is None else f" before={data.count_before}"
        day = "" if data.count_day_before is None else f" day_before={data.count_day_before}"
        word = "new " if data.is_new else "vanished " if data.has_vanished else ""
        sample = _safe(data.sample) if related and (bad or data.is_new) and "<" in data.template else ""
        example = f", one line: “{sample}”" if sample and len(sample) <= _SHORT_SAMPLE else ""
        whose = _safe(describe(data.subject), 100)
        since = f" first {_clock(data.first_at)}" if data.first_at is not None and data.is_new else ""
        text = f"log {word}{_safe(data.level, 12) or 'line'} of {whose} count={data.count}{before}{day}{since}: {_safe(data.template)}{example}"
        weight = 2.0 * bad + 2.0 * data.is_new + 1.0 * data.has_vanished + 2.0 * related
        yield _Detail(text, order, related, _MOVED if bad or news else _REST, weight, data.first_at if data.is_new else None)

    def _edges(self, edges: Sequence[Dependency]) -> Iterator[_Detail]:
        shown = [one for one in edges if self._related(one.source, one.destination)][:8]
        if shown:
            yield _Detail("calls " + ", ".join(_safe(f"{one.source}→{one.destination}", 90) for one in shown), 0, True, _REST, 0.0, None)

    def _words(self, item: Evidence) -> Iterator[_Detail]:
        """Facts in words, where there is nothing else; one alone is what the summary says."""
        facts = [data for data in item.data if isinstance(data, Fact) and data.text]
        if len(facts) < 2:
            return
        for order, fact in enumerate(facts[:20]):
            related = self._related(fact.text)
            text = f"{_safe(item.query.source, 30)} {_safe(item.query.kind, 30)}: {_safe(fact.text)}"
            yield _Detail(text, order, related, _REST, 2.0 * related, None)

    def _when(self, at: datetime) -> str:
        """`06:39:00Z (2 min 10 s before the alert)`."""
        apart = at - self.began
        if abs(apart) < timedelta(seconds=1):
            return f"{_clock(at)} (with the alert)"
        return f"{_clock(at)} ({readable(abs(apart))} {'before' if apart < timedelta(0) else 'after'} the alert)"


@dataclass(frozen=True, slots=True)
class _Detail:
    """One line of an answer, before it is known how much the diagnosis cares."""

    text: str
    order: int
    related: bool  # about an object in question
    rank: int
    weight: float
    at: datetime | None


def _names(subject: Subject) -> Iterator[str]:
    """The words by which lines are recognised as being about this object. A namespace or a cluster is in every line and tells none."""
    if subject.kind not in ("Namespace", "Cluster", "Alert"):
        yield from (name for name in (subject.name, subject.service, subject.node) if name)


def _series_name(item: Evidence, one: MetricSeries) -> str:
    metric = one.labels.get("__name__") or one.signal or item.query.kind
    shown = [f"{name}={one.labels[name]}" for name in _LABELS if one.labels.get(name)][:4]
    rest = [f"{name}={value}" for name, value in one.labels.items() if name not in _LABELS and not name.startswith("__") and value]
    return f"{metric}{{{','.join([*shown, *rest[: max(0, 3 - len(shown))]])}}}"


_LABELS = (
    "namespace", "service", "workload", "source", "destination", "client", "server", "component", "deployment", "pod", "container", "node",
    "persistentvolumeclaim", "device", "instance", "reporter", "code", "status",
)  # fmt: skip
"""Labels that say whose curve it is, in the order in which they are shown; four at most."""


def _trend(points: Sequence[tuple[float, float]], now: float, unit: str) -> list[str]:
    """An hour ago and the slope since, where the curve is that long and went somewhere."""
    finite = [(at, value) for at, value in points if math.isfinite(value)]
    if not finite:
        return []
    end = finite[-1][0]
    then = end - _HOUR.total_seconds()
    earlier = next(((at, value) for at, value in reversed(finite) if at <= then), None)
    if earlier is None or then - earlier[0] > _OLDEST_HOUR.total_seconds():
        return []
    at, ago = earlier
    slope = (now - ago) / ((end - at) / 3600)
    if not math.isfinite(slope) or abs(now - ago) <= 0.1 * max(abs(now), abs(ago)):
        return []
    per_hour = format_number(slope, unit, digits=4 if unit == SECONDS else 3)  # with four digits seconds stay seconds
    return [f"1h_ago={format_number(ago, unit)}", f"slope={'+' if slope > 0 else ''}{per_hour} per h"]


def _peak(points: Sequence[tuple[float, float]], began: datetime, now: float, usual: float | None, unit: str) -> list[str]:
    """The farthest that the curve went from its usual value since the trouble began, where that is not where it is now."""
    if usual is None:
        return []
    start = (began - RECENT_FROM).timestamp()
    recent = [value for at, value in points if at >= start and math.isfinite(value)]
    if not recent:
        return []
    farthest = max(recent, key=lambda value: abs(value - usual))
    if abs(farthest - usual) <= 1.2 * abs(now - usual):
        return []
    return [f"{'highest' if farthest > usual else 'lowest'}={format_number(farthest, unit)}"]


def _bounds(item: Evidence, unit: str) -> list[str]:
    """The threshold or limit that the answer itself names."""
    found: dict[str, str] = {}
    for data in item.data:
        if isinstance(data, Fact):
            for name in ("threshold", "limit"):
                value = data.values.get(name)
                if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                    found.setdefault(name, f"{name}={format_number(float(value), unit)}")
    return list(found.values())


def _crossed(item: Evidence) -> datetime | None:
    """When the value crossed its threshold, where the answer says so."""
    for data in item.data:
        value = data.values.get("crossed_at") if isinstance(data, Fact) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e11:
            return datetime.fromtimestamp(value, UTC)
    return None


def _event_at(one: KubernetesObject, field: str) -> datetime | None:
    return instant_of(one.manifest, field) or instant_of(one.manifest, "eventTime")


_LONGEST_PIECE = 320
_FIELD = re.compile(r" (?=[a-z0-9_]+=)")


def _safe(text: str, width: int = _LONGEST_PIECE) -> str:
    """Somebody else's text as a piece of a line: through the pipeline, and cut where no number is."""
    return fitted(for_model(text, 4 * _LONGEST_PIECE), width)


def fitted(text: str, width: int) -> str:
    """The text, or what of it fits, with `…` where it was cut. No number is cut or left without its unit: a half is copied as if it were whole."""
    if len(text) <= width:
        return text
    if text.startswith("metric "):
        fields = _FIELD.split(text)
        while len(fields) > 2 and len(" ".join(fields)) > width:
            fields.pop()
        return " ".join(fields)
    tail = ""
    if width >= _BOTH_ENDS:  # of an error that wraps another one the cause stands at the end
        tail = text[len(text) - width * 2 // 5 :].partition(" ")[2]
        width -= len(tail) + 2
    words = text[:width].split(" ")[:-1]
    while words and any(any(character.isdigit() for character in word) for word in words[-2:]):
        words.pop()
    return f"{' '.join(words) or text[: max(width - 1, 0)].rstrip('0123456789.,')}…{f' {tail}' if tail else ''}"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S}Z"
