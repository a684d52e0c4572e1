"""The analysis as Markdown and as plain JSON: where untrusted text meets a format, it is escaped for that format, on the way out.

    Analysis ──to_markdown──> what webhook callers, chat and the incident page show
             └─analysis_json─> `analysis_json` of the webhook's answer

The texts of an Analysis are plain texts with two conventions: `` `…` `` around something to be set as code, and in observations, root cause,
impact and the reason of the confidence `[E02]` to cite evidence. Everything else that Markdown would read as markup (headings, lists, links,
images, HTML, fences, mentions) is escaped, so labels, log lines and a model can only ever add words to a line that we made.

Names must survive: whoever searches the Markdown for `api-7d4f9.shop:9090` finds it. Text made of `A-Za-z0-9._/:-` is never changed;
where it would be markup as it stands (`__name__`, `https://…`), it becomes inline code.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from agent_sre.alert.subject import describe
from agent_sre.analysis.analysis import RULES, Analysis, InvestigationQuery, Recommendation
from agent_sre.analysis.llm.model import ServedModel
from agent_sre.evidence.evidence import Change, Dependency, Evidence, Fact, Gap, KubernetesObject, LogPattern, MetricSeries
from agent_sre.evidence.gaps import Trouble, switched_off, troubles
from agent_sre.evidence.status import fields_of, status_of
from agent_sre.finding.finding import Hypothesis
from agent_sre.kit.text import clean, one_line
from agent_sre.kit.times import format_instant

ANALYSIS_HEADING = "## 🔍 Analysis"
RECOMMENDATIONS_HEADING = "## 💡 Recommendations"

_EMPTY = "(empty)"
_TEXT_LIMIT = 1000  # one observation, one cause: a paragraph, not a page
_BLOCK_LIMIT = 4000  # one query or command
_MOST_CAUSES = 6
_MOST_REASONS = 3
_MOST_GAPS = 8
_MOST_PURPOSES = 4  # of the questions that one trouble left open
_MOST_QUERIES = 6
_MOST_SERIES = 5
_MOST_POINTS = 120
_MOST_FACTS = 50
_MOST_ITEMS = 50  # of each further kind, in the JSON of one answer
_MOST_PATTERNS = 6
_MOST_CHANGES = 6
_MOST_OBJECTS = 8
_MOST_DEPENDENCIES = 8
_MOST_DIFF = 12
_JSON_TEXT_LIMIT = 4096

_ESCAPED = str.maketrans({character: f"\\{character}" for character in "\\`*[<~"})
_ENTITY = re.compile(r"&(?=[#A-Za-z])")
_NAME = re.compile(r"[A-Za-z0-9._/:@-]+")
_ALPHANUMERIC = re.compile(r"[A-Za-z0-9]")
_OUTER_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9_])_|_(?![A-Za-z0-9_])")  # between letters, CommonMark leaves `_` alone
_ACTIVE = re.compile(r"[_@]|://|www\.", re.IGNORECASE)  # a line without these has no word that must be looked at
_LINK_LIKE = re.compile(r"://|^www\.|@", re.IGNORECASE)  # what GitHub and Slack turn into links and mentions by themselves
_BLOCK_MARKER = re.compile(r"^(?:[-+>#=]|\d{1,9}(?=\)))")
_ORDERED_MARKER = re.compile(r"^(\d{1,9})\.(?=\s|$)")
# `[E02]:` would define a link and `[E02](…)` be one, so those are no citations
_CODE = re.compile(r"(`[^`]+`)")
_CODE_OR_CITATION = re.compile(r"(`[^`]+`|\[[EHA]\d{1,4}\](?![:(\[]))")
_CITATION = re.compile(r"\[(E\d{1,4})\]")
_BACKTICKS = re.compile(r"`+")


# Untrusted text


def escape(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Any text as one line of Markdown that shows exactly this text: no markup, no links, no mentions. `(empty)` where nothing is left."""
    line = one_line(text, limit)
    return _at_line_start(_inert(line)) or _EMPTY


def code(text: str, limit: int = 300) -> str:
    """Any text as inline code, whatever backticks it holds. `(empty)` where nothing is left."""
    line = one_line(text, limit)
    if not line:
        return _EMPTY
    fence = "`" * _free_run(line, at_least=1)
    # CommonMark takes one space off both ends, so `` `x` `` can be told from the fence
    padding = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def prose(text: str, limit: int = _TEXT_LIMIT, *, citing: bool = False) -> str:
    """A text of an Analysis as one line of Markdown: `…` becomes inline code, and where it may cite, `[E02]` stays; the rest is escaped."""
    parts = (_CODE_OR_CITATION if citing else _CODE).split(one_line(text, limit))
    line = "".join(_inert(part) if index % 2 == 0 else code(part[1:-1], limit) if part.startswith("`") else part for index, part in enumerate(parts))
    return _at_line_start(line) or _EMPTY


def fence(text: str, language: str, indent: str = "") -> list[str]:
    """The lines of a fenced block that holds the text whole; the fence is longer than any run of backticks inside."""
    body = clean(text, _BLOCK_LIMIT).strip("\n")
    marks = "`" * _free_run(body, at_least=3)
    info = language if re.fullmatch(r"[a-z][a-z0-9]{0,15}", language) else ""
    return [f"{indent}{line}".rstrip() if not line else f"{indent}{line}" for line in (f"{marks}{info}", *body.split("\n"), marks)]


def _free_run(text: str, *, at_least: int) -> int:
    return max([at_least, *(len(run) + 1 for run in _BACKTICKS.findall(text))])


def _inert(line: str) -> str:
    escaped = _ENTITY.sub(r"\\&", line.translate(_ESCAPED))
    return _NAME.sub(_inert_name, escaped) if _ACTIVE.search(escaped) else escaped


def _inert_name(match: re.Match[str]) -> str:
    word = match[0]
    if not _ALPHANUMERIC.search(word):
        return word.replace("_", r"\_")
    return f"`{word}`" if _LINK_LIKE.search(word) or _OUTER_UNDERSCORE.search(word) else word


def _at_line_start(line: str) -> str:
    return _ORDERED_MARKER.sub(r"\1\\.", _BLOCK_MARKER.sub(_escape_marker, line))


def _escape_marker(match: re.Match[str]) -> str:
    return f"\\{match[0]}" if not match[0].isdigit() else f"{match[0]}\\"


# Markdown


def to_markdown(analysis: Analysis) -> str:
    """The analysis for people, in the shape that the contract promises; `analysis.markdown` itself is not looked at.

    Always the same order: analysis (what is seen, root causes, impact, confidence, what could not be checked), recommendations (a numbered
    list, blocks indented under their item), queries to look further, and who wrote it. A part without text is left out. The lists stop
    where a phone would; the rest is in the JSON. That there are three to five recommendations is their author's duty.
    """
    return "\n".join([*_analysis_part(analysis), *_recommendations_part(analysis), *_queries_part(analysis), _author_line(analysis)]) + "\n"


def _analysis_part(analysis: Analysis) -> list[str]:
    lines = [ANALYSIS_HEADING, "", prose(analysis.title), ""]
    lines += _bullets("Key Observations", [prose(item, citing=True) for item in analysis.observations])
    lines += _root_causes(analysis)
    lines += _bullets("From the source to the symptom", [prose(step, citing=True) for step in analysis.chain])
    if analysis.impact:
        lines += [f"**Impact:** {prose(analysis.impact, citing=True)}", ""]
    lines += [f"**Confidence:** {analysis.confidence.value} – {prose(analysis.confidence_reason, citing=True)}", ""]
    lines += [f"**Next best check:** {prose(analysis.next_check, citing=True)}", ""] if analysis.next_check else []
    lines += [f"**Would help:** {escape(', '.join(analysis.missing))}", ""] if analysis.missing else []
    lines += _bullets("Ruled out", [_ruled_out_item(item) for item in analysis.ruled_out[:_MOST_CAUSES]])
    lines += _bullets("Evidence", [f"[{item.id}] {prose(item.summary)}" for item in _cited_only(analysis)])
    lines += _bullets("Changes", _change_items(analysis))
    lines += _bullets("Log patterns", _pattern_items(analysis))
    lines += _bullets("Objects", _object_items(analysis))
    lines += _bullets("Dependencies", _dependency_items(analysis))
    lines += _bullets("Could not be checked", _gap_items(analysis.gaps))
    lines += _off_line(analysis.gaps)
    return lines


# What answers are made of, beside their summaries. A text for a phone: the telling ones, the rest is in the JSON.

_T = TypeVar("_T")


def _data(analysis: Analysis, kind: type[_T]) -> list[tuple[str, _T]]:
    """All data of one class, each with the citation of its answer. The answer to a log text has told of its patterns already."""
    if analysis.task_type == "logs":
        return []
    return [(f"[{item.id}] " if _is_id(item.id) else "", one) for item in analysis.evidence for one in item.data if isinstance(one, kind)]


def _pattern_items(analysis: Analysis) -> list[str]:
    urgent = ("fatal", "error", "warning")
    telling = [(ref, one) for ref, one in _data(analysis, LogPattern) if one.is_new or one.has_vanished or one.level in urgent]
    telling.sort(key=lambda item: (not item[1].is_new, item[1].has_vanished))
    return [f"{ref}{_pattern_item(one)}" for ref, one in telling[:_MOST_PATTERNS]]


def _pattern_item(one: LogPattern) -> str:
    mark = "new " if one.is_new else "vanished " if one.has_vanished else ""
    before = "" if one.count_before is None else f", {one.count_before:,} before"
    yesterday = "" if one.count_day_before is None else f", {one.count_day_before:,} the day before"
    sample = "" if one.sample in ("", one.template) else f", for example {code(one.sample)}"
    return f"{mark}{escape(one.level, 20) if one.level else 'line'} ×{one.count:,}{before}{yesterday}: {code(one.template)}{sample}"


def _change_items(analysis: Analysis) -> list[str]:
    return [f"{ref}{_change_item(one)}" for ref, one in _data(analysis, Change)[:_MOST_CHANGES]]


def _change_item(one: Change) -> str:
    at = f"{format_instant(one.at)[:19]}Z" if one.at else "at an unknown time"
    who = f", by {code(one.who, 100)}" if one.who else ""
    diff = "; ".join(code(line, 160) for line in one.diff[:_MOST_DIFF] if line[:2] in ("+ ", "- "))
    return f"{at}: {escape(one.text, 300)} ({escape(describe(one.subject), 200)}){who}{f': {diff}' if diff else ''}"


def _object_items(analysis: Analysis) -> list[str]:
    known = [(ref, one, status) for ref, one in _data(analysis, KubernetesObject) if (status := status_of(one))]
    return [f"{ref}{escape(one.kind, 60)} {code(_object_name(one), 260)}: {escape(status, 300)}" for ref, one, status in known[:_MOST_OBJECTS]]


def _object_name(one: KubernetesObject) -> str:
    return f"{one.namespace}/{one.name}" if one.namespace else one.name


def _dependency_items(analysis: Analysis) -> list[str]:
    edges = _data(analysis, Dependency)[:_MOST_DEPENDENCIES]
    return [f"{ref}{code(one.source, 120)} → {code(one.destination, 120)} ({escape(one.via, 40)})" for ref, one in edges]


def _root_causes(analysis: Analysis) -> list[str]:
    if not analysis.hypotheses:
        return ["**Potential Root Causes:**", "", f"1. {prose(analysis.root_cause, citing=True)}", ""] if analysis.root_cause else []
    items = [line for number, item in enumerate(analysis.hypotheses[:_MOST_CAUSES], 1) for line in _hypothesis_item(number, item)]
    return [*([prose(analysis.root_cause, citing=True), ""] if analysis.root_cause else []), "**Potential Root Causes:**", "", *items, ""]


def _bullets(label: str, items: Sequence[str]) -> list[str]:
    return [f"**{label}:**", "", *(f"- {item}" for item in items), ""] if items else []


def _hypothesis_item(number: int, hypothesis: Hypothesis) -> list[str]:
    indent = " " * (len(str(number)) + 2)
    cited = "".join(f" [{evidence_id}]" for evidence_id in hypothesis.supporting if _is_id(evidence_id))
    against = " ".join(f"[{evidence_id}]" for evidence_id in hypothesis.contradicting if _is_id(evidence_id))
    lines = [f"{number}. {prose(hypothesis.cause)}{cited}{f' (against it: {against})' if against else ''}"]
    # a list within the list, because lines that only follow each other are one paragraph to Markdown
    if hypothesis.reasons:
        lines.append(f"{indent}- Seen: {'; '.join(prose(reason, 300) for reason in hypothesis.reasons[:_MOST_REASONS])}")
    if hypothesis.doubts:
        lines.append(f"{indent}- Against it: {'; '.join(prose(doubt, 300) for doubt in hypothesis.doubts[:_MOST_REASONS])}")
    if hypothesis.check:
        listed = f"{indent}- " if len(lines) > 1 or hypothesis.rules_out else indent
        lines.append(f"{listed}How to tell: {prose(hypothesis.check)}")
    if hypothesis.rules_out:
        listed = f"{indent}- " if len(lines) > 1 else indent
        lines.append(f"{listed}Not this if: {prose(hypothesis.rules_out)}")
    return lines


def _ruled_out_item(hypothesis: Hypothesis) -> str:
    cited = "".join(f" [{evidence_id}]" for evidence_id in hypothesis.contradicting if _is_id(evidence_id))
    why = "; ".join(prose(doubt, 300) for doubt in hypothesis.doubts[:_MOST_REASONS])
    return f"{prose(hypothesis.cause)}{f': {why}' if why else ''}{cited}"


def _cited_only(analysis: Analysis) -> list[Evidence]:
    """Evidence that the text cites and no observation tells about: a number in brackets must lead somewhere."""
    told = set(_CITATION.findall(" ".join(analysis.observations)))
    said = [analysis.root_cause, analysis.impact, analysis.confidence_reason, analysis.next_check, *analysis.chain]
    cited = set(_CITATION.findall(" ".join(said)))
    cited.update(evidence_id for item in analysis.recommendations for evidence_id in item.evidence_ids)
    for hypothesis in analysis.hypotheses[:_MOST_CAUSES]:
        cited.update(hypothesis.supporting, hypothesis.contradicting)
    cited.update(evidence_id for item in analysis.ruled_out[:_MOST_CAUSES] for evidence_id in item.contradicting)
    return [item for item in analysis.evidence if item.id in cited - told and _is_id(item.id)]


def _is_id(evidence_id: str) -> bool:
    return re.fullmatch(r"E\d{1,4}", evidence_id) is not None


def _gap_items(gaps: Sequence[Gap]) -> list[str]:
    found = troubles(gaps)
    more = [f"and {len(found) - _MOST_GAPS} more, in the JSON"] if len(found) > _MOST_GAPS else []
    return [*(_gap_item(item) for item in found[:_MOST_GAPS]), *more]


def _gap_item(item: Trouble) -> str:
    left = len(item.purposes) - _MOST_PURPOSES
    what = "; ".join(prose(purpose, 300) for purpose in item.purposes[:_MOST_PURPOSES])
    return (
        f"{what}{f'; and {left} more' if left > 0 else ''} ({prose(item.source, 60)}, {prose(item.reason, 60)}): {prose(item.detail or item.reason)}"
    )


def _off_line(gaps: Sequence[Gap]) -> list[str]:
    """All sources that nobody configured, in one line: known since the installation, so never in the way of what failed tonight."""
    off = [f"{prose(source.capitalize(), 60)} ({prose(detail, 300)})" for source, detail in switched_off(gaps)]
    return [f"Not configured: {'; '.join(off)}", ""] if off else []


def _recommendations_part(analysis: Analysis) -> list[str]:
    lines = [RECOMMENDATIONS_HEADING, ""]
    for number, item in enumerate(analysis.recommendations, 1):
        lines += _recommendation_item(number, item)
    return lines


def _recommendation_item(number: int, item: Recommendation) -> list[str]:
    indent = " " * (len(str(number)) + 2)
    cited = "".join(f" [{evidence_id}]" for evidence_id in item.evidence_ids if _is_id(evidence_id))
    lines = [f"{number}. **{item.horizon.value}**: {prose(item.text)}{cited}"]
    if item.command.strip():
        lines += fence(item.command, item.language, indent)
    return [*lines, ""]


def _queries_part(analysis: Analysis) -> list[str]:
    """The queries that no recommendation shows already. What several of them have in common as a result is said once, at the end."""
    shown = {item.command for item in analysis.recommendations}
    queries = [query for query in analysis.investigation_queries if query.text not in shown][:_MOST_QUERIES]
    common, count = Counter(query.returned for query in queries).most_common(1)[0] if queries else ("", 0)
    lines = ["**Queries to look further:**", ""] if queries else []
    for query in queries:
        lines += [f"- {prose(query.why)}", *fence(query.text, query.language, "  ")]
        lines += [""] if count > 1 and query.returned == common else [f"  Result: {prose(query.returned, citing=True)}", ""]
    return [*lines, f"Queries without a result: {prose(common, citing=True)}", ""] if count > 1 else lines


def _author_line(analysis: Analysis) -> str:
    author = "rules" if analysis.author == RULES else f"model {code(analysis.author, 100)}"
    note = analysis.author_note.strip().rstrip(".")
    return f"Made by {author}; {prose(note)}." if note else f"Made by {author}."


# JSON


def analysis_json(analysis: Analysis) -> dict[str, Any]:
    """The analysis as plain JSON values, for programs. Texts are cleaned of control characters, not escaped for any format but JSON.

    Of a long series the newest value and evenly spaced older ones stay (`_MOST_POINTS`); what is not a number (NaN, infinity) is null.
    """
    return {
        "task_type": _text(analysis.task_type),
        "title": _text(analysis.title),
        "observations": [_text(item) for item in analysis.observations],
        "root_cause": _text(analysis.root_cause),
        "impact": _text(analysis.impact),
        "mitigation_steps": [_recommendation_json(item) for item in analysis.mitigation_steps],
        "investigation_queries": [_query_json(item) for item in analysis.investigation_queries],
        "prevention": [_recommendation_json(item) for item in analysis.prevention],
        "recommendations": [_recommendation_json(item) for item in analysis.recommendations],
        "hypotheses": [_hypothesis_json(item) for item in analysis.hypotheses],
        "ruled_out": [_hypothesis_json(item) for item in analysis.ruled_out],
        "causal_chain": _texts(analysis.chain),
        "next_check": _text(analysis.next_check),
        "missing": _texts(analysis.missing),
        "evidence": [evidence_json(item) for item in analysis.evidence],
        "gaps": [gap_json(item) for item in analysis.gaps],
        "confidence": analysis.confidence.value,
        "confidence_reason": _text(analysis.confidence_reason),
        "author": _text(analysis.author),
        "author_note": _text(analysis.author_note),
        "model": None if analysis.model is None else served_json(analysis.model),
        "prompt_version": _text(analysis.prompt_version),
        "timings": {_text(name): _number(seconds) for name, seconds in analysis.timings.items()},
        "tokens": {_text(name): count for name, count in analysis.tokens.items()},
    }


def served_json(model: ServedModel) -> dict[str, Any]:
    """Which model it was, as plain JSON values."""
    return {
        "name": _text(model.name),
        "digest": _text(model.digest),
        "server": _text(model.server),
        "context_length": model.context_length,
        "capabilities": _texts(model.capabilities),
    }


def _text(text: str) -> str:
    return clean(text, _JSON_TEXT_LIMIT)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _recommendation_json(item: Recommendation) -> dict[str, Any]:
    return {
        "id": _text(item.id),
        "horizon": item.horizon.value,
        "text": _text(item.text),
        "command": _text(item.command),
        "language": _text(item.language),
        "evidence": _texts(item.evidence_ids),
    }


def _query_json(item: InvestigationQuery) -> dict[str, Any]:
    return {
        "language": _text(item.language),
        "text": _text(item.text),
        "why": _text(item.why),
        "returned": _text(item.returned),
        "ran_at": format_instant(item.ran_at) if item.ran_at else None,
    }


def _hypothesis_json(item: Hypothesis) -> dict[str, Any]:
    return {
        "id": _text(item.id),
        "name": _text(item.name),
        "cause": _text(item.cause),
        "object": _text(describe(item.subject)),
        "score": _number(item.score),
        "supporting": _texts(item.supporting),
        "contradicting": _texts(item.contradicting),
        "check": _text(item.check),
        "rules_out": _text(item.rules_out),
        "reasons": _texts(item.reasons),
        "doubts": _texts(item.doubts),
    }


def evidence_json(item: Evidence) -> dict[str, Any]:
    """One answer as plain JSON values, bounded."""
    series = [data for data in item.data if isinstance(data, MetricSeries)]
    facts = [data for data in item.data if isinstance(data, Fact)]
    return {
        "id": _text(item.id),
        "source": _text(item.query.source),
        "kind": _text(item.query.kind),
        "query": _text(item.query.expression),
        "language": _text(item.query.language),
        "purpose": _text(item.query.purpose),
        "summary": _text(item.summary),
        "collected_at": format_instant(item.collected_at),
        "took_seconds": round(item.took.total_seconds(), 6),
        "truncated": item.truncated or len(series) > _MOST_SERIES or len(facts) > _MOST_FACTS or len(item.data) > _MOST_ITEMS,
        "url": _text(item.url),
        "facts": [{"name": _text(fact.name), "text": _text(fact.text), "values": _plain(fact.values)} for fact in facts[:_MOST_FACTS]],
        "series": [{"labels": _plain(one.labels), "points": _points_json(one.points)} for one in series[:_MOST_SERIES]],
        "log_patterns": [_pattern_json(one) for one in _first(item, LogPattern)],
        "objects": [_object_json(one) for one in _first(item, KubernetesObject)],
        "changes": [_change_json(one) for one in _first(item, Change)],
        "dependencies": [_dependency_json(one) for one in _first(item, Dependency)],
    }


def _dependency_json(one: Dependency) -> dict[str, Any]:
    return {"source": _text(one.source), "destination": _text(one.destination), "via": _text(one.via)}


def _first(item: Evidence, kind: type[_T]) -> Sequence[_T]:
    return [one for one in item.data if isinstance(one, kind)][:_MOST_ITEMS]


def _pattern_json(one: LogPattern) -> dict[str, Any]:
    return {
        "template": _text(one.template),
        "level": _text(one.level),
        "object": _text(describe(one.subject)),
        "count": one.count,
        "count_before": one.count_before,
        "count_day_before": one.count_day_before,
        "new": one.is_new,
        "vanished": one.has_vanished,
        "first_at": format_instant(one.first_at) if one.first_at else None,
        "last_at": format_instant(one.last_at) if one.last_at else None,
        "sample": _text(one.sample),
    }


def _object_json(one: KubernetesObject) -> dict[str, Any]:
    return {
        "kind": _text(one.kind),
        "namespace": _text(one.namespace),
        "name": _text(one.name),
        "status": _text(status_of(one)),
        "fields": _plain(dict(fields_of(one))),
    }


def _change_json(one: Change) -> dict[str, Any]:
    return {
        "at": format_instant(one.at) if one.at else None,
        "kind": _text(one.kind),
        "object": _text(describe(one.subject)),
        "text": _text(one.text),
        "who": _text(one.who),
        "diff": _texts(one.diff[:_MOST_ITEMS]),
    }


def _points_json(points: Sequence[tuple[float, float]]) -> list[list[float | None]]:
    stride = max(1, math.ceil(len(points) / _MOST_POINTS))
    kept = list(points[::-1][::stride])[::-1]  # counted from the end, so the newest point is always there
    return [[_number(at), _number(value)] for at, value in kept]


def gap_json(item: Gap) -> dict[str, Any]:
    """One question without an answer as plain JSON values."""
    return {
        "id": _text(item.query.id),
        "source": _text(item.query.source),
        "kind": _text(item.query.kind),
        "query": _text(item.query.expression),
        "purpose": _text(item.query.purpose),
        "reason": _text(item.reason),
        "detail": _text(item.detail),
    }


def _texts(texts: Iterable[str]) -> list[str]:
    return [_text(text) for text in texts]


def _plain(values: Mapping[str, str | int | float | bool | None]) -> dict[str, str | int | float | bool | None]:
    return {_text(name): _plain_value(value) for name, value in values.items()}


def _plain_value(value: str | int | float | bool | None) -> str | int | float | bool | None:
    if isinstance(value, str):
        return _text(value)
    return _number(value) if isinstance(value, float) else value
