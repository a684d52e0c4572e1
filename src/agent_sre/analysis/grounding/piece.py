"""One piece of a sentence beside one unit of the facts: what the checks of check.py, who.py and figures.py share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent_sre.analysis.grounding.entities import Token, words_within, workload_of
from agent_sre.analysis.grounding.lines import FactNumber, Unit
from agent_sre.analysis.grounding.vocabulary import (
    FUNCTION_WORDS,
    TROUBLE,
    stem,
)


class Unsupported(Exception):
    """Why a unit does not support a piece: the token of the reason, what exactly, and how far the check came."""

    def __init__(self, reason: str, what: str, depth: int) -> None:
        super().__init__(reason, what)
        self.reason, self.what, self.depth = reason, what, depth


@dataclass(slots=True)
class Said:
    """What a piece says of numbers: the token's place and the numbers of the fact that it may be."""

    index: int
    token: Token
    facts: list[FactNumber]
    keyed: bool = False
    word: str = ""  # the word that says which number it is


@dataclass(slots=True)
class Piece:
    tokens: Sequence[Token]
    unit: Unit
    context: Unit | None
    said: list[Said] = field(default_factory=list)
    anchored: bool = False
    names: list[str] = field(default_factory=list)


def same_object(name: str, unit: Unit) -> bool:
    """Whether the unit is about that object: it names it, its workload, or a pod of it."""
    if name in unit.names:
        return True
    last = name.rsplit("/", 1)[-1]
    if "/" in name and last in unit.names:
        return True
    base = workload_of(last)
    siblings = {subject.rsplit("/", 1)[-1] for subject in unit.subjects} - {last}
    return bool(base and base in unit.names) and not any(workload_of(sibling) == base for sibling in siblings)


def name_in(token: Token, unit: Unit) -> bool:
    """Whether exactly this name occurs in the unit."""
    return token.text in unit.names or (not token.hard and "+" in unit.words.get(token.stem, ()))


def root_of(name: str) -> str:
    last = name.rsplit("/", 1)[-1]
    return workload_of(last) or last


def same_neighbours(piece: Piece, index: int, words: tuple[str, ...]) -> bool:
    """Whether the fact has one of these words before the same thing: `the first error`, `will be restarted`."""
    said = [
        token.stem or token.text
        for token in piece.tokens[index + 1 : index + 6]
        if token.kind in ("word", "name") and token.text not in FUNCTION_WORDS
    ]
    told = piece.unit.plain.split()
    near = {stem(other) for place, word in enumerate(told) if word in words for other in told[place + 1 : place + 5] if other not in FUNCTION_WORDS}
    if said:
        return said[0] in near
    before = {told[place - 1] for place, word in enumerate(told) if place and word in words}
    return index > 0 and piece.tokens[index - 1].text in before


def context_lends(piece: Piece, stem_of: str = "") -> bool:
    """Whether the context is about the object that the piece is about, so that its words may be used of it."""
    context = piece.context
    if context is None:
        return False
    if piece.unit is context or (piece.said and stem_of in TROUBLE):
        return False  # a number of the fact and a trouble of the context would make a sentence that neither says
    about = [token.text for token in piece.tokens if token.kind == "name" and not words_within(token) and not re.match(r"p\d", token.text)] or list(
        piece.unit.subjects
    )
    return not about or not context.subjects or any(same_object(name, context) or name in context.names for name in about)
