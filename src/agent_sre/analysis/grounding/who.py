"""Names: each is in the facts, of its kind, and does what the fact says it does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from agent_sre.analysis.grounding.entities import KINDS, Token, words_within
from agent_sre.analysis.grounding.lines import Unit, distinct
from agent_sre.analysis.grounding.piece import Piece, Unsupported, name_in, root_of, same_object
from agent_sre.analysis.grounding.vocabulary import (
    COMMON,
    KNOWN,
    NEUTRAL,
    stem,
)

_LOOSE = frozenset(
    [
        "is",
        "was",
        "are",
        "were",
        "be",
        "been",
        "has",
        "had",
        "have",
        "of",
        "in",
        "on",
        "at",
        "to",
        "from",
        "with",
        "by",
        "for",
        "as",
        "and",
        "or",
        "but",
        "which",
        "that",
        "who",
        "while",
        "when",
        "than",
        "not",
        "no",
        "cannot",
        "failto",
        "its",
        "their",
        "after",
        "before",
        "because",
    ]
)


_PLACES = frozenset({"namespace", "node", "container", "release"})


def check_names(piece: Piece, places: Sequence[Unit], subjects: frozenset[str]) -> None:
    unit, previous = piece.unit, ""
    own = [token for token in piece.tokens if token.kind == "name"]
    found: list[Token] = []
    placed: list[Token] = []
    for index, token in enumerate(piece.tokens):
        if token.kind == "name":
            if name_in(token, unit) or _reason_word(token, unit):
                found.append(token)
            elif (
                piece.context is not None
                and piece.context.subjects
                and name_in(token, piece.context)
                and any(same_object(name, unit) for name in piece.context.subjects)
            ):
                placed.append(token)
            else:
                placed.append(token)
                if not any(token.text in place.names and place.names[token.text] & _PLACES for place in places):
                    raise Unsupported("unsupported_entity", token.raw, 1)
            _kind_fits(piece, token, previous, index)
        previous = token.text if token.kind != "mark" else previous
    for token in placed:
        linked = any(
            token.text in place.names and any(other.text in place.names for other in own if other is not token)
            for place in (*places, *([piece.context] if piece.context else ()))
        )
        if not linked or not found:
            raise Unsupported("unsupported_entity", token.raw, 1)
    if not found and subjects and not any(same_object(name, unit) for name in subjects):
        raise Unsupported("other_object", ", ".join(sorted(subjects)), 2)
    named = {token.text for token in found if token.text in unit.names}
    if unit.whole and len(distinct(name for name in named if _subject_of(name, unit))) < 2:
        raise Unsupported("ambiguous", "one object of a line about several", 2)
    _about_what(piece, named)
    for index, token in enumerate(piece.tokens):
        if token.text in unit.replaced and not any(
            other.text in ("from", "old", "previous", "replaced") for other in piece.tokens[max(0, index - 2) : index]
        ):
            raise Unsupported("contradicts", f"{token.raw} is what was there before", 4)
    piece.names = [token.text for token in found]
    piece.anchored = len(named) > 1 or any(words_within(token) and "_" not in token.raw for token in found)


def _about_what(piece: Piece, named: set[str]) -> None:
    """A line about a pod on a node tells nothing of the node, and a log tells what its speaker says, not what others do."""
    unit = piece.unit
    tokens = piece.tokens
    places = {name for name in named if unit.names[name] & {"node", "namespace"}}
    others = {name for name in unit.subjects if not unit.names.get(name, frozenset()) & {"node", "namespace"}}
    located = {token.text for index, token in enumerate(tokens) if {"on", "in", "of"} & {other.text for other in tokens[max(0, index - 3) : index]}}
    if places - located and places == named and others:
        raise Unsupported("other_object", ", ".join(sorted(places)), 3)
    if not unit.speaker or not named:
        return
    for index, (one, two) in enumerate(pairwise(tokens)):
        after = tokens[index + 2] if index + 2 < len(tokens) else two
        speaker = one if two.text in ("log", "logs", "logged", "wrote") else after if one.text in ("log", "logs") and two.text == "of" else None
        if speaker is not None and speaker.text in named and root_of(speaker.text) != root_of(unit.speaker):
            raise Unsupported("other_object", speaker.raw, 3)
        is_active = two.text in _REFUSES and not two.quoted and one.text not in _PASSIVE
        if is_active and any(root_of(name) == root_of(unit.speaker) for name in named):
            raise Unsupported("contradicts", f"{unit.speaker} {two.text}", 4)


_REFUSES = frozenset({"refuses", "refused", "rejects", "denies", "denied"})


_PASSIVE = frozenset({"connection", "connections", "was", "were", "is", "are", "been", "being", "request", "requests", "permission", "access"})


def _subject_of(name: str, unit: Unit) -> bool:
    return name in unit.subjects or any(root_of(subject) == name or subject.rsplit("/", 1)[-1] == name for subject in unit.subjects)


def _reason_word(token: Token, unit: Unit) -> bool:
    return not token.hard and bool(unit.words.get(token.stem, frozenset()) & {"+", "key"})


def _kind_fits(piece: Piece, token: Token, previous: str, index: int) -> None:
    """`node cart-0` where the facts know a pod of that name contradicts them."""
    after = piece.tokens[index + 1].text if index + 1 < len(piece.tokens) else ""
    if token.text not in piece.unit.names:
        return
    known = piece.unit.names[token.text]
    alike = {"pod", "container", "workload", "database", ""}
    for kind in (KINDS.get(previous, ""), KINDS.get(after, "")):
        fits = kind in known or (kind in alike and (known & alike or not known)) or (not known and kind in piece.unit.kinds)
        if kind and not fits:
            raise Unsupported("contradicts", f"{token.raw} is no {kind}", 3)


def _states(piece: Piece) -> None:
    """`a is full`: the fact says so after it names a, and not in words that it only quotes."""
    unit, tokens = piece.unit, piece.tokens
    if unit.plain.startswith(("event ", "metric ")) or not unit.evidence_id:
        return
    for index, (one, two) in enumerate(pairwise(tokens)):
        said = next((token for token in tokens[index + 2 : index + 4] if token.stem not in NEUTRAL), None)
        if one.kind != "name" or two.text not in ("is", "was", "has", "are", "were") or one.text not in unit.order or ":" in one.text or said is None:
            continue
        places = unit.words_at.get(said.stem, ()) if said.kind == "word" else ()
        there = unit.order[one.text]
        near = 3 if there in unit.quoted_at else 0  # "missing variable X" says that X is missing
        is_speaker = bool(unit.speaker) and root_of(one.text) == root_of(unit.speaker)
        if places and (all(place < there - near for place in places) or (is_speaker and all(place in unit.quoted_at for place in places))):
            raise Unsupported("contradicts", f"{one.raw} {two.text} {said.raw}", 5)


def check_sides(piece: Piece) -> None:
    """Two objects in one piece stand as they stand in the fact, or the other way round in the passive voice."""
    unit = piece.unit
    _states(piece)
    places = [(index, token.text) for index, token in enumerate(piece.tokens) if _stands(token, unit)]
    named = [index for index, token in enumerate(piece.tokens) if token.kind == "name" and not token.quoted and not words_within(token)]
    for i, j in pairwise(named):
        strangers = [
            piece.tokens[index].raw for index in (i, j) if not _stands(piece.tokens[index], unit) and piece.tokens[index].text not in unit.names
        ]
        if strangers and not _acts_alike(piece, i, j, 0, 0):
            raise Unsupported("contradicts", f"what {strangers[0]} does", 5)
    passive = any(token.text == "by" for token in piece.tokens)
    fact_passive = " by " in f" {unit.plain} "
    for (i, first), (j, second) in pairwise(places):
        a, b = _place(unit, first), _place(unit, second)
        if not _acts_alike(piece, i, j, a, b):
            raise Unsupported("contradicts", f"{first} does nothing to {second}", 5)
        if (
            a == b
            and first != second
            and any(token.kind == "word" and token.stem not in NEUTRAL and token.text not in KINDS for token in piece.tokens[i + 1 : j])
        ):
            raise Unsupported("contradicts", f"{first} and {second} are one", 5)
        if not _alike(unit, first, second) or a == b:
            continue
        between = [token for token in piece.tokens[i + 1 : j] if token.kind == "word" and token.stem not in NEUTRAL and token.text not in KINDS]
        if not between and not any(token.text in ("to", "from", "→", "by", "than") for token in piece.tokens[i + 1 : j]):
            continue
        if (a > b) != (passive != fact_passive):
            raise Unsupported("contradicts", f"{first} and {second} the other way round", 5)


def _acts_alike(piece: Piece, i: int, j: int, a: int, b: int) -> bool:
    """`a killed b` needs a fact in which `killed` stands between the two."""
    between = piece.tokens[i + 1 : j]
    verbs = [token for token in between if token.kind == "word" and token.stem not in NEUTRAL and token.text not in KINDS]
    if not verbs or any(token.kind != "word" or token.text in _LOOSE for token in between):
        return True
    low, high = min(a, b), max(a, b)
    if piece.unit.edges and piece.unit.words_at.get(verbs[-1].stem):
        return (piece.tokens[i].text, piece.tokens[j].text) in piece.unit.edges
    told = piece.unit.words_at.get(verbs[-1].stem, ())
    return any(low < place < high for place in (*told, *(piece.unit.arrows if told else ())))


def _stands(token: Token, unit: Unit) -> bool:
    """Whether the token may be someone who does something or to whom it is done: a name, or a word that only the facts know."""
    if token.quoted or token.kind not in ("name", "word") or words_within(token):
        return False
    if token.text in unit.names:
        return not unit.names[token.text] & {"namespace", "metric"} and not re.match(r"p\d", token.text)
    return token.stem not in KNOWN | COMMON and token.text not in KINDS and token.stem in unit.words_at


def _place(unit: Unit, name: str) -> int:
    return unit.order[name] if name in unit.order else unit.words_at[stem(name)][0]


def _alike(unit: Unit, first: str, second: str) -> bool:
    a, b = unit.names.get(first, frozenset()), unit.names.get(second, frozenset())
    if a & b:
        return True
    places = _PLACES - {"release"}
    return (not (a & places) and not (b & places)) or not a or not b
