"""Sentences that state nothing of the incident: questions, recommendations, the model speaking of itself or to the reader."""

from __future__ import annotations

from collections.abc import Sequence

from agent_sre.analysis.grounding.entities import Token
from agent_sre.analysis.grounding.vocabulary import ADVICE, ADVISING, FIRST_PERSON, QUESTIONS

_DETERMINERS = frozenset(
    [
        "the",
        "a",
        "an",
        "this",
        "that",
        "these",
        "those",
        "its",
        "all",
        "any",
        "both",
        "it",
        "them",
        "their",
        "one",
        "more",
        "back",
        "up",
        "down",
        "to",
        "your",
        "every",
        "each",
    ]
)
_JOINTS = frozenset(["and", "then", "so", "or", "please", "to", "also", "first", "next", "therefore", "now", ",", ";", ":", "("])
_NOUN_GOES_ON = frozenset(
    [
        "of",
        "in",
        "on",
        "at",
        "for",
        "with",
        "from",
        "by",
        "is",
        "was",
        "are",
        "were",
        "has",
        "had",
        "and",
        "or",
        "count",
        "rate",
        "limit",
        "loop",
        "loops",
        "went",
        "rose",
        "fell",
        "grew",
        "cannot",
        "not",
    ]
)
_FINITE = frozenset(
    [
        "is",
        "are",
        "was",
        "were",
        "has",
        "have",
        "had",
        "did",
        "does",
        "do",
        "rose",
        "fell",
        "grew",
        "went",
        "ran",
        "shows",
        "show",
        "says",
        "say",
        "reports",
        "report",
        "began",
        "lost",
        "kept",
        "became",
        "exceeds",
        "remains",
        "keeps",
        "cannot",
        "can",
        "may",
        "might",
        "could",
    ]
)


def not_a_statement(sentence: str, tokens: Sequence[Token]) -> str:
    """`question`, `about_itself`, `advice`, or nothing."""
    words = [token.text for token in tokens if token.kind == "word" and not token.quoted]
    if sentence.rstrip("\"' )").endswith("?") or "?" in {token.text for token in tokens} or (words[:1] and words[0] in QUESTIONS):
        return "question"
    if FIRST_PERSON.intersection(words):
        return "about_itself"
    if ADVISING.intersection(words) or _commands(tokens):
        return "advice"
    return ""


def _commands(tokens: Sequence[Token]) -> bool:
    """Whether a base-form verb of doing starts the sentence or a part of it and has an object."""
    for index, token in enumerate(tokens):
        if token.kind != "word" or token.text not in ADVICE or token.quoted or (token.raw.islower() is False and index > 0):
            continue
        before = tokens[index - 1].text if index else ""
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        if index and before not in _JOINTS:
            continue
        if before == "to" and (index < 2 or tokens[index - 2].text not in ("is", "was", "are", "best", "option", "step", "action")):
            continue
        if after is None or after.text in _DETERMINERS or after.kind == "name":
            return True
        if index and not (after.text in _NOUN_GOES_ON or after.text.endswith(("s", "ed")) or after.kind == "mark"):
            return True
        if index == 0 and not any(other.text in _FINITE or other.text.endswith("ed") for other in tokens if other.kind == "word"):
            return True
    return False
