"""What the model may say: it chooses among ids that code computed, and words the result.

The JSON schema is made per request, with the ids as enums; what comes back is checked again here, because a grammar can be ignored. Field names
sort alphabetically into the wanted order, since Ollama sorts them on one of its paths: reasoning first, choice after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agent_sre.analysis.llm.model import ModelFailed
from agent_sre.kit.text import one_line

UNKNOWN = "unknown"
"""The model's way to say that none of the hypotheses fits."""

_CONFIDENCES = ("low", "medium", "high")
_MAX_ITEMS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A valid answer. Texts are the model's own words: shown as such, never run, never followed."""

    cause: str  # a hypothesis id, or UNKNOWN
    evidence_ids: tuple[str, ...]
    confidence: str  # advisory only
    summary: str
    impact: str
    actions: tuple[str, ...]  # recommendation ids, most useful first


def verdict_schema(*, hypotheses: Sequence[str], evidence: Sequence[str], actions: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of one request. Only keywords that llama.cpp's grammar supports are used."""
    properties: dict[str, Any] = {
        "a_reasoning": {"type": "string", "maxLength": 400},
        "b_cause": {"enum": [*hypotheses, UNKNOWN]},
        "c_evidence": _choice(evidence),
        "d_confidence": {"enum": list(_CONFIDENCES)},
        "e_summary": {"type": "string", "maxLength": 400},
        "f_impact": {"type": "string", "maxLength": 250},
        "g_actions": _choice(actions),
    }
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def read_verdict(text: str, *, hypotheses: Sequence[str], evidence: Sequence[str], actions: Sequence[str]) -> Verdict:
    """The verdict in a completion.

    Prose or a code fence around the JSON is forgiven; ids that were not offered are dropped, a cause that was not offered is an error.
    Raises ModelFailed (`invalid`) where it is not a whole answer.
    """
    document = _document(text)
    cause = document.get("b_cause")
    summary, impact = document.get("e_summary"), document.get("f_impact")
    if cause not in (*hypotheses, UNKNOWN):
        raise ModelFailed("The model chose a cause that was not among the hypotheses", reason="invalid")
    if not isinstance(summary, str) or not summary.strip() or not isinstance(impact, str):
        raise ModelFailed("The model left out the summary or the impact", reason="invalid")
    confidence = document.get("d_confidence")
    return Verdict(
        cause=str(cause),
        evidence_ids=_offered(document.get("c_evidence"), evidence),
        confidence=confidence if confidence in _CONFIDENCES else "low",
        summary=one_line(summary, 500),
        impact=one_line(impact, 300),
        actions=_offered(document.get("g_actions"), actions),
    )


def _choice(ids: Sequence[str]) -> dict[str, Any]:
    # An empty enum is not valid JSON schema: with nothing to choose from, the list must be empty.
    items: dict[str, Any] = {"enum": list(ids)} if ids else {"type": "string", "maxLength": 1}
    return {"type": "array", "maxItems": min(_MAX_ITEMS, len(ids)), "items": items}


def _document(text: str) -> Mapping[str, Any]:
    start, end = text.find("{"), text.rfind("}")
    try:
        document = orjson.loads(text[start : end + 1]) if 0 <= start < end else None
    except orjson.JSONDecodeError as error:
        raise ModelFailed("The model answered with broken JSON", reason="invalid") from error
    if not isinstance(document, dict):
        raise ModelFailed("The model did not answer with a JSON object", reason="invalid")
    return document


def _offered(chosen: object, offered: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(chosen, list):
        return ()
    return tuple(dict.fromkeys(item for item in chosen if isinstance(item, str) and item in offered))[:_MAX_ITEMS]
