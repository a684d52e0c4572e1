"""What the model may say: it chooses among ids that code computed, and words the result.

    VerdictAnswer ──verdict_schema──> the JSON schema of a request, ids as enums ──> the server's grammar
                  <──read_verdict──── what came back: whole, repaired, or Refused

`VerdictAnswer` is the one source of the fields. Field names sort alphabetically into the wanted order, since Ollama sorts them on one of its paths:
reasoning first, choice after. A grammar can be ignored, so everything is checked again here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agent_sre.analysis.llm.model import ModelFailed
from agent_sre.analysis.loose_json import Loose, loose_objects
from agent_sre.kit.text import one_line

UNKNOWN = "unknown"
"""The model's way to say that none of the hypotheses fits."""

NONE = "none"
"""The model's way to say that nothing is missing, or that no action fits."""

CONFIDENCES = ("low", "medium", "high")
MISSING = ("metrics", "logs", "kubernetes", "changes", "traces", "owner-input")
"""Kinds of data that would help: what `h_missing` may name."""

MOST_EVIDENCE = 5
MOST_ACTIONS = 3
MOST_MISSING = 3

_LONGEST_INPUT = 12_000  # deeper or longer than any answer: not given to a parser
_DEEPEST = 64
_ID = re.compile(r"[A-Za-z]{1,2}\d{1,4}")
_WORD = re.compile(r"[A-Za-z][A-Za-z-]*")
_SENTENCE = re.compile(r"[^.!?]*[.!?](?=\s|$)")

_Text = Annotated[str, StringConstraints(max_length=400)]
_Ids = Annotated[list[str], Field(max_length=MOST_EVIDENCE)]


class Refused(ModelFailed):
    """A whole answer with a choice that cannot be used. The message is a rule of ours in a few words, fit to be told to the model: nothing of its
    answer and nothing of a server is in it."""

    reason = "invalid"


class VerdictAnswer(BaseModel):
    """The fields of an answer, in the order in which they are written. Flat, all required, nothing else allowed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    a_reasoning: _Text
    b_cause: str
    c_evidence: _Ids
    d_confidence: str
    e_summary: _Text
    f_impact: Annotated[str, StringConstraints(max_length=250)]
    g_actions: Annotated[list[str], Field(max_length=MOST_ACTIONS)]
    h_missing: Annotated[list[str], Field(max_length=MOST_MISSING)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A valid answer. Texts are the model's own words: checked before they are shown, never run, never followed."""

    cause: str  # a hypothesis id, or UNKNOWN
    evidence_ids: tuple[str, ...]
    confidence: str  # advisory only
    summary: str  # empty only where the answer was cut off before it
    impact: str
    actions: tuple[str, ...]  # recommendation ids, most useful first
    missing: tuple[str, ...] = ()  # of MISSING
    repaired: bool = False  # it was not valid as it came


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """The ids of one request."""

    hypotheses: tuple[str, ...]
    evidence: tuple[str, ...]
    actions: tuple[str, ...]


def verdict_schema(*, hypotheses: Sequence[str], evidence: Sequence[str], actions: Sequence[str], brief: bool = False) -> dict[str, Any]:
    """The JSON schema of one request: the fields of VerdictAnswer, with the ids as enums. Only keywords that llama.cpp's grammar supports.

    `brief` asks for shorter texts, where every token takes a quarter of a second.
    """
    made = VerdictAnswer.model_json_schema()
    properties = {name: {key: value for key, value in field.items() if key != "title"} for name, field in made["properties"].items()}
    properties["b_cause"] = {"enum": [*hypotheses, UNKNOWN]}
    properties["c_evidence"] = _choice(evidence, least=1, most=2 if brief else MOST_EVIDENCE)
    properties["d_confidence"] = {"enum": list(CONFIDENCES)}
    properties["g_actions"] = _choice(actions, least=0, most=2 if brief else MOST_ACTIONS)
    properties["h_missing"] = {"type": "array", "maxItems": 1 if brief else MOST_MISSING, "items": {"enum": [*MISSING, NONE]}}
    if brief:
        for name, longest in (("a_reasoning", 80), ("e_summary", 160), ("f_impact", 60)):
            properties[name]["maxLength"] = longest
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def _choice(ids: Sequence[str], *, least: int, most: int) -> dict[str, Any]:
    # An empty enum is not valid JSON schema: with nothing to choose from, the list must be empty.
    items: dict[str, Any] = {"enum": list(ids)} if ids else {"type": "string", "maxLength": 1}
    return {"type": "array", "minItems": min(least, len(ids)), "maxItems": min(most, len(ids)), "items": items}


def read_verdict(text: str, *, hypotheses: Sequence[str], evidence: Sequence[str], actions: Sequence[str], cut_off: bool = False) -> Verdict:
    """The verdict in a completion.

    What is wrong with the form is repaired by rule: prose and fences around it, quotes, commas, types, the case of ids, keys twice or too many. An
    answer that breaks off (`cut_off`, or without its end) counts where cause and evidence are whole; of the text that was cut whole sentences stay.
    What is wrong with the choice is not: raises Refused (`invalid`).
    """
    offered = Offered(hypotheses=tuple(hypotheses), evidence=tuple(evidence), actions=tuple(actions))
    document = _strict(text)
    if document is not None and not cut_off:
        return _verdict(document, offered, cut="", repaired=not _is_valid(document, offered))
    first: Refused | None = None
    for found in loose_objects(text):
        try:
            return _verdict(found.fields, offered, cut=found.cut or _missing_end(found), repaired=True)
        except Refused as refused:
            first = first or refused
    raise first or Refused("it must be one JSON object")


def _strict(text: str) -> Mapping[str, Any] | None:
    """The whole answer as JSON; None where it is not just that."""
    if len(text) > _LONGEST_INPUT or text.count("[") + text.count("{") > _DEEPEST:
        return None
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _missing_end(found: Loose) -> str:
    return "" if found.closed else next(reversed(found.fields), "")


def _is_valid(document: Mapping[str, Any], offered: Offered) -> bool:
    """Whether it is what was asked for, to the letter."""
    try:
        answer = VerdictAnswer.model_validate(document)
    except ValueError:
        return False
    ids = [*answer.c_evidence, *answer.g_actions]
    known = {*offered.evidence, *offered.actions}
    return answer.b_cause in (*offered.hypotheses, UNKNOWN) and answer.d_confidence in CONFIDENCES and all(item in known for item in ids)


def _verdict(document: Mapping[str, Any], offered: Offered, *, cut: str, repaired: bool) -> Verdict:
    fields = {name.strip().casefold(): value for name, value in document.items() if isinstance(name, str)}
    cause = _one_id(fields.get("b_cause"), offered.hypotheses) if cut != "b_cause" else ""
    evidence = _ids(fields.get("c_evidence"), offered.evidence)[:MOST_EVIDENCE]
    confidence = _confidence(fields.get("d_confidence"))
    summary, impact = _words(fields.get("e_summary")), _words(fields.get("f_impact"))
    if not cause:
        raise Refused(f"b_cause must be one of {', '.join((*offered.hypotheses, UNKNOWN))}")
    if cause != UNKNOWN and offered.evidence and not evidence:
        raise Refused("c_evidence must name at least one of the E ids of the facts")
    if cause == UNKNOWN and confidence == "high":
        raise Refused("b_cause unknown cannot have d_confidence high")
    if cut:
        if cut in ("c_evidence", "d_confidence") or "c_evidence" not in fields:
            raise Refused("it ended before b_cause and c_evidence were whole")
        summary = _whole_sentences(summary) if cut == "e_summary" else summary
        impact = _whole_sentences(impact) if cut == "f_impact" else impact
    elif not summary or not isinstance(fields.get("e_summary"), str):
        raise Refused("e_summary must say in one to three sentences what is wrong")
    return Verdict(
        cause=cause,
        evidence_ids=evidence,
        confidence=confidence,
        summary=one_line(summary, 500),
        impact=one_line(impact, 300),
        actions=_ids(fields.get("g_actions"), offered.actions)[:MOST_ACTIONS] if cut != "g_actions" else (),
        missing=_missing(fields.get("h_missing")),
        repaired=repaired,
    )


def _words(value: object) -> str:
    if isinstance(value, list | tuple):  # a list of sentences instead of a text
        value = " ".join(item for item in value if isinstance(item, str))
    return one_line(value, 600) if isinstance(value, str) else ""


def _whole_sentences(text: str) -> str:
    return "".join(_SENTENCE.findall(text)).strip()


def _one_id(value: object, offered: Sequence[str]) -> str:
    """The one hypothesis that is meant: an id in any case, alone or before its words. Two different ones are no choice."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        return ""
    found = _ids(value, offered)
    if len(found) == 1 and len(_ID.findall(value)) == 1:
        return found[0]
    return UNKNOWN if not found and value.strip().strip(".\"'").casefold() == UNKNOWN else ""


def _ids(value: object, offered: Sequence[str]) -> tuple[str, ...]:
    """The offered ids in a list or a text, each once; others are dropped. `e7` is E07."""
    texts = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    known = {_plain(item): item for item in offered}
    found = (known.get(_plain(word)) for text in texts if isinstance(text, str) for word in _ID.findall(text[:400]))
    return tuple(dict.fromkeys(item for item in found if item is not None))


def _plain(text: str) -> str:
    letters = text.rstrip("0123456789")
    return f"{letters.casefold()}{int(text[len(letters) :] or 0)}"


def _confidence(value: object) -> str:
    word = value.strip().casefold() if isinstance(value, str) else ""
    return word if word in CONFIDENCES else "low"


def _missing(value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    words = (word.casefold() for text in texts if isinstance(text, str) for word in _WORD.findall(text[:200]))
    return tuple(dict.fromkeys(word for word in words if word in MISSING))[:MOST_MISSING]
