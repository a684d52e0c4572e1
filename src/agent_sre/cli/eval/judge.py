"""How good one report is, held against what really happened. Pure.

Grounding is judged here from outside, on purpose by other means than those that made the report: what the model wrote over the wire is looked up
in what the reader gets, and what is shown in what the model was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from agent_sre.alert.subject import Subject, workload_of
from agent_sre.analysis.analysis import RULES, Analysis
from agent_sre.evidence.prometheus.promql import complaint
from agent_sre.finding.finding import Confidence, Hypothesis, object_name
from agent_sre.scenarios.scenario import KnownCause, Scenario

if TYPE_CHECKING:
    from agent_sre.analysis.llm.model import Completion

_NEAR = 3  # hypotheses that a reader looks at
_CITATION = re.compile(r"\[?\b[EHA]\d{1,4}\b\]?")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"[A-Za-z0-9]+(?:[-._/:@][A-Za-z0-9]+)+")
_SHORT = 2  # "2 pods": a number of one digit is no measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One scenario by one model, or by the rules alone."""

    scenario: str
    model: str
    wrong: bool  # whether anything was wrong in it
    author: str  # who wrote the report in the end: "rules" also where the model's answer was of no use
    cause: str  # what was named; empty where none was
    object: str
    confidence: str
    cause_right: bool  # name and object; where nothing was wrong: no cause was named with high confidence
    object_right: bool
    all_named: bool  # every known cause is among the first three
    subject: str
    subject_right: bool
    sentences_shown: int  # of the model's own
    sentences_dropped: int
    sentences_unsupported: int  # shown, with a number or a name that occurs nowhere in what the model was given
    queries: int  # PromQL that the report suggests
    queries_invalid: int
    answers: int  # whole answers that the model gave: two where the first had to be asked for again
    answer_invalid: bool  # it gave one, and none could be used
    failure: str  # why the model's part is missing; empty where it is not
    seconds: float
    input_tokens: int
    output_tokens: int


def judge(
    scenario: Scenario,
    analysis: Analysis,
    subject: Subject,
    *,
    model: str,
    seconds: float,
    prompts: Sequence[str],
    completions: Sequence[Completion],
) -> Score:
    """The score of one report. `prompts` and `completions` are what went over the wire, empty where no model was asked."""
    truth = scenario.truth
    named = _chosen(analysis)
    confident = analysis.confidence is Confidence.HIGH and named is not None
    ranked = [KnownCause(cause=item.name, object=object_name(item.subject)) for item in analysis.hypotheses[:_NEAR]]
    about = subject_name(subject)
    said = list(sentences(completions[-1].text)) if completions else []
    seen = _plain(" ".join([analysis.root_cause, analysis.impact, *analysis.observations, analysis.markdown]))
    shown = [sentence for sentence in said if analysis.author != RULES and _plain(sentence) in seen]
    queries = [item.text for item in analysis.investigation_queries if item.language == "promql"]
    queries += [item.command for item in analysis.recommendations if item.language == "promql"]
    failed = bool(prompts) and analysis.author == RULES
    return Score(
        scenario=scenario.name,
        model=model,
        wrong=bool(truth.causes),
        author=analysis.author,
        cause=named.name if named else "",
        object=object_name(named.subject) if named else "",
        confidence=analysis.confidence.value,
        cause_right=_is_known(named, truth.causes) if truth.causes else not confident,
        object_right=named is not None and object_name(named.subject) in {one.object for one in truth.causes} if truth.causes else not confident,
        all_named=set(truth.causes) <= set(ranked),
        subject=about,
        subject_right=about == truth.subject,
        sentences_shown=len(shown),
        sentences_dropped=len(said) - len(shown),
        sentences_unsupported=sum(not is_supported(sentence, prompts) for sentence in shown),
        queries=len(queries),
        queries_invalid=sum(bool(complaint(query)) for query in queries),
        answers=len(completions),
        answer_invalid=failed and bool(completions),
        failure=analysis.author_note if failed else "",
        seconds=round(seconds, 3),
        input_tokens=sum(one.input_tokens or 0 for one in completions),
        output_tokens=sum(one.output_tokens or 0 for one in completions),
    )


def subject_name(subject: Subject) -> str:
    """The alert's object as truths name it; a pod by its workload."""
    if subject.kind == "Pod":
        return f"app/{workload_of(subject.name)}"
    if subject.kind == "Host":  # a machine by its exporter's address: the node, if it is one
        return f"node/{subject.name}"
    return object_name(subject)


def _chosen(analysis: Analysis) -> Hypothesis | None:
    """The cause that the report names. None where it has none that anything speaks for, or where the model found that none fits."""
    if analysis.author != RULES and analysis.root_cause.startswith("Unknown"):
        return None
    return next((item for item in analysis.hypotheses[:1] if item.name), None)


def _is_known(named: Hypothesis | None, known: Iterable[KnownCause]) -> bool:
    return named is not None and KnownCause(cause=named.name, object=object_name(named.subject)) in known


# Grounding, from outside


def sentences(answer: str) -> Iterator[str]:
    """What the model wrote for the reader: every text of its answer but the ids that it chose and its reasoning, sentence by sentence."""
    start, end = answer.find("{"), answer.rfind("}")
    try:
        document = orjson.loads(answer[start : end + 1]) if 0 <= start < end else None
    except orjson.JSONDecodeError:
        return
    if not isinstance(document, Mapping):
        return
    for name, value in document.items():
        if isinstance(value, str) and " " in value.strip() and "reason" not in name and "thought" not in name:
            yield from (part.strip() for part in _SENTENCE.split(value.strip()) if part.strip())


def is_supported(sentence: str, prompts: Sequence[str]) -> bool:
    """Whether every number of two digits or more and every name with a digit, a dot or an underscore in it occurs in what the model was given."""
    text = _CITATION.sub(" ", sentence)
    given = "\n".join(prompts).lower()
    names = [name for name in _NAME.findall(text) if any(sign.isdigit() or sign in "._" for sign in name)]
    rest = _NAME.sub(" ", text)
    numbers = [number for number in _NUMBER.findall(rest) if sum(sign.isdigit() for sign in number) >= _SHORT]
    return all(_occurs(part.lower(), given) for part in (*names, *numbers))


def _occurs(part: str, given: str) -> bool:
    return re.search(rf"(?<![a-z0-9]){re.escape(part)}(?![0-9])", given) is not None


def _plain(text: str) -> str:
    """Words alone: citations, emphasis, escapes and the spaces between them do not count."""
    return " ".join(re.sub(r"[*_`\\.!?]", " ", _CITATION.sub(" ", text)).lower().split())
