"""Whether one piece of a sentence follows from one unit of the facts. The rules, in words: docs/explanation/grounding.md."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent_sre.analysis.grounding.entities import KINDS, Token
from agent_sre.analysis.grounding.figures import (
    all_of,
    check_keys,
    check_numbers,
    check_own_keys,
    compares,
    has_ratio,
    is_span,
    is_than,
    part_of_more,
    says_zero,
    share_of,
)
from agent_sre.analysis.grounding.lines import Unit
from agent_sre.analysis.grounding.piece import Piece, Unsupported, context_lends, root_of, same_neighbours
from agent_sre.analysis.grounding.vocabulary import (
    AT,
    CAUSE,
    COMPARED,
    DOWN,
    HEDGES,
    HIGHER,
    HYPOTHETICAL,
    LOWER,
    NEGATIONS,
    NEUTRAL,
    POSITIVE,
    SEVERAL,
    STEADY,
    UNIVERSAL,
    UP,
    WEAK,
    stem,
)
from agent_sre.analysis.grounding.who import check_names, check_sides

_GENERIC = frozenset({"service", "services", "app", "application", "workload", "component", "microservice"})


_SCOPE_ENDS = frozenset({",", ";", "but", "and", "while", "although", "because"})


_HAVING = frozenset({"has", "have", "had", "having"})
_DENIED_HAVING = re.compile(r"\b(?:not|never|cannot|nobody|nothing)(?: \w+)? (?:have|has|had)\b|\b(?:has|have|had) (?:no|none|nothing|never)\b")
"""“has” asserts nothing by itself, but where a fact denies it: `the registry does not have it`."""

_FAILS = frozenset(stem(word) for word in ("fail", "forbidden", "denied", "refused", "rejected", "impossible"))


def require_support(
    tokens: Sequence[Token], unit: Unit, *, context: Unit | None, places: Sequence[Unit], subjects: frozenset[str] = frozenset()
) -> None:
    """Raises Unsupported unless everything that the tokens say is said by the unit.

    `context` may lend words where it is about the same object; `places` lend where something is; `subjects` is whom the piece is about where it does
    not say so itself.
    """
    piece = Piece(tokens, unit, context)
    check_names(piece, places, subjects)
    check_numbers(piece)
    _quotations(piece)
    _words(piece)
    check_keys(piece)
    check_own_keys(piece)
    check_sides(piece)
    if not piece.anchored:
        raise Unsupported("no_evidence", "nothing that a fact could show", 0)


def _quotations(piece: Piece) -> None:
    """What stands in quotation marks must stand in the fact, word by word."""
    words = [token for token in piece.tokens if token.quoted and token.kind != "mark"]
    if words and f" {' '.join(token.text for token in words)} " not in f" {piece.unit.plain} ":
        raise Unsupported("unsupported_claim", " ".join(token.raw for token in words), 3)


def _words(piece: Piece) -> None:
    unit, tokens = piece.unit, piece.tokens
    negated = pending = supposed = False
    blame = False
    said_fail = any(token.stem in _FAILS for token in tokens)
    if unit.hedged and not any(token.text in HEDGES for token in tokens):
        raise Unsupported("contradicts", "the fact is less sure", 3)
    for index, token in enumerate(tokens):
        if token.text in _SCOPE_ENDS:
            if pending:
                raise Unsupported("contradicts", "a negation of nothing that was measured", 3)
            negated = supposed = False
        if token.kind != "word" or token.quoted:
            continue
        word = token.text
        if word in NEGATIONS:
            if negated:
                raise Unsupported("contradicts", "a double negation", 4)
            if word in UNIVERSAL and UNIVERSAL[word] not in unit.universals:
                raise Unsupported("unsupported_claim", word, 3)
            negated = pending = True
            continue
        if word in _HAVING and not negated and any(_DENIED_HAVING.search(known.plain) for known in (unit, piece.context) if known is not None):
            raise Unsupported("contradicts", f"not {token.raw}", 4)
        if word == "than" and not is_than(piece, index):
            raise Unsupported("unsupported_claim", token.raw, 3)
        if word in UNIVERSAL:
            _universal(piece, index)
        elif word in SEVERAL:
            least = SEVERAL[word]
            if least and not (
                "+" in unit.words.get(token.stem, ())
                or any(item.number.bare and item.number.digits == 0 and item.number.readings[0][1] >= least for item in unit.numbers)
            ):
                raise Unsupported("unsupported_claim", token.raw, 3)
        elif word in STEADY:
            if not unit.directions and "+" not in unit.words.get(token.stem, ()):
                raise Unsupported("unsupported_claim", token.raw, 3)
        elif word in HYPOTHETICAL:
            if not same_neighbours(piece, index, (word,)):
                raise Unsupported("unsupported_claim", token.raw, 3)
            supposed = True
        elif (word in ("within", "over") and is_span(piece, index) and not (index and tokens[index - 1].text == "in")) or (
            token.stem == "start" and unit.at is not None and not negated
        ):
            continue
        elif word in HIGHER | LOWER | AT and compares(piece, index):
            if negated:
                raise Unsupported("contradicts", f"not {token.raw}", 4)
            piece.anchored = True
        elif token.stem in UP | DOWN:
            _direction(piece, token, negated)
            piece.anchored, pending = True, False
        elif token.stem in CAUSE:
            blame = True
        elif token.stem in WEAK:
            if (not unit.trouble or negated or says_zero(piece)) and "+" not in unit.words.get(token.stem, ()):
                raise Unsupported("unsupported_claim", token.raw, 3)
            piece.anchored = True
        elif word in ("before", "after") and not _has_time_word(piece, index):
            raise Unsupported("contradicts", token.raw, 4)
        elif token.stem in NEUTRAL:
            continue
        elif word in KINDS and not (pending and token.stem in unit.words):
            _kind(piece, token)
        elif negated and not pending:  # what is denied has been named; the rest only has to be told of
            _told(piece, token)
        else:
            _claim(piece, token, negated=negated, said_fail=said_fail, supposed=supposed)
            piece.anchored = True
            pending = False
    if pending:
        raise Unsupported("contradicts", "a negation of nothing that was measured", 3)
    if blame:
        _blame(piece)


def _has_time_word(piece: Piece, index: int) -> bool:
    """`before the alert` needs a fact that says before; beside a number the number was checked."""
    after = piece.tokens[index + 1] if index + 1 < len(piece.tokens) else None
    return (after is not None and after.kind == "number") or piece.tokens[index].text in piece.unit.plain.split()


def _universal(piece: Piece, index: int) -> None:
    token, unit = piece.tokens[index], piece.unit
    family = UNIVERSAL[token.text]
    after = piece.tokens[index + 1] if index + 1 < len(piece.tokens) else None
    if family == "last" and after is not None and (after.kind == "number" or after.text in ("hour", "minute", "day")):
        return
    if family in unit.universals and same_neighbours(piece, index, tuple(word for word, known in UNIVERSAL.items() if known == family)):
        return
    if family == "max" and any("max" in item.keys or token.text in item.keys for item in unit.numbers):
        return
    if family == "all" and all_of(unit):
        return
    if family == "only" and any(said.index == index + 1 and part_of_more(unit, fact) for said in piece.said for fact in said.facts):
        return
    if family == "last" and token.stem in unit.words:
        return
    raise Unsupported("unsupported_claim", token.raw, 3)


def _direction(piece: Piece, token: Token, negated: bool) -> None:
    unit = piece.unit
    wanted = "up" if token.stem in UP else "down"
    if negated:
        if "-" in unit.words.get(token.stem, ()):
            return
        raise Unsupported("contradicts", f"not {token.raw}", 4)
    place = next(index for index, other in enumerate(piece.tokens) if other is token)
    if any(other.text in COMPARED for other in piece.tokens[max(0, place - 2) : place] if other.kind == "word"):
        raise Unsupported("contradicts", token.raw, 4)
    if wanted not in unit.directions:
        raise Unsupported("contradicts", token.raw, 4)
    if len(unit.directions) > 1 and "+" not in unit.words.get(token.stem, ()):
        raise Unsupported("contradicts", token.raw, 4)


def _kind(piece: Piece, token: Token) -> None:
    kind, unit = KINDS[token.text], piece.unit
    if token.text.endswith("s") and token.text[:-1] in KINDS and not _several(unit, token.text):
        raise Unsupported("unsupported_claim", token.raw, 3)
    if kind in unit.kinds or "+" in unit.words.get(token.stem, ()) or (token.text in _GENERIC and (unit.subjects or unit.kinds & {"pod"})):
        return
    if context_lends(piece) and piece.context is not None and kind in piece.context.kinds:
        return
    if kind == "volume" and token.text == "disk":
        _claim(piece, token, negated=False, said_fail=False)
        return
    raise Unsupported("unsupported_claim", token.raw, 3)


def _told(piece: Piece, token: Token) -> None:
    """What follows a denied word only has to be told of: `no error line`, `cannot pull the image`."""
    if token.stem not in piece.unit.words or not _said_of(piece, token):
        raise Unsupported("unsupported_claim", token.raw, 3)


def _several(unit: Unit, word: str) -> bool:
    """Whether the fact tells of more than one: it says so, or counts."""
    return (
        f" {word} " in f" {unit.plain} "
        or len(unit.subjects) > 1
        or any(item.number.bare and not item.number.digits and item.number.readings[0][1] != 1 for item in unit.numbers)
    )


def _claim(piece: Piece, token: Token, *, negated: bool, said_fail: bool, supposed: bool = False) -> None:
    unit = piece.unit
    found = unit.words.get(token.stem, frozenset())
    if negated:
        fine = bool(found & {"-", "zero"}) and _said_of(piece, token)
        if not fine and context_lends(piece, token.stem) and piece.context is not None:
            fine = "-" in piece.context.words.get(token.stem, ()) and not found
        if not fine:
            raise Unsupported("contradicts" if found else "unsupported_claim", f"not {token.raw}", 4 if found else 3)
        return
    if "+" in found or (supposed and "hyp" in found) or (said_fail and "+cannot" in found):
        if _said_of(piece, token):
            return
        raise Unsupported("contradicts", f"{token.raw}, said of something else", 4)
    if "key" in found and (token.stem not in POSITIVE or any(token.stem in fact.keys for said in piece.said for fact in said.facts)):
        return
    if "zero" in found and any(
        said.token.number is not None and said.token.number.readings and said.token.number.readings[0][1] == 0 for said in piece.said
    ):
        return
    if _measured(piece, token):
        return
    if not found and context_lends(piece, token.stem) and piece.context is not None and "+" in piece.context.words.get(token.stem, ()):
        return
    raise Unsupported("contradicts" if found else "unsupported_claim", token.raw, 4 if found else 3)


def _said_of(piece: Piece, token: Token) -> bool:
    """Whether the fact says the word of someone the sentence names: `pod a: image b not found` says of `a` nothing of the kind."""
    unit = piece.unit
    places = unit.words_at.get(token.stem, ())
    if not piece.names or not places:
        return True
    roots = {root_of(name) for name in piece.names}
    return any(place not in unit.owners or unit.owners[place] in piece.names or root_of(unit.owners[place]) in roots for place in places)


def _measured(piece: Piece, token: Token) -> bool:
    """Words that a number alone may bear out: full, high, slow, doubled, half."""
    unit = piece.unit
    if not unit.evidence_id:
        return False
    if token.stem in ("full", "high", "exhaust"):
        least = 0.8 if token.stem == "high" else 0.9
        return share_of(unit) >= least or (token.stem == "high" and unit.directions == {"up"})
    if token.stem == "slow":
        return ("latency" in unit.words or any(re.fullmatch(r"p\d+", name) for name in unit.names)) and (unit.directions == {"up"} or unit.trouble)
    ratio = {"doubl": 2.0, "tripl": 3.0, "halv": 0.5, "half": 0.5}.get(token.stem)
    return ratio is not None and has_ratio(piece, ratio)


def _blame(piece: Piece) -> None:
    context = piece.context
    if piece.unit.words.keys() & CAUSE and "+" in frozenset().union(*(piece.unit.words[item] for item in piece.unit.words.keys() & CAUSE)):
        return
    if context is None or (not context_lends(piece) and piece.unit is not context):
        raise Unsupported("unsupported_claim", "what is to blame", 3)
    claims = [token.stem for token in piece.tokens if token.kind == "word" and token.stem not in NEUTRAL | CAUSE and token.text not in KINDS]
    if not any("+" in context.words.get(claim, ()) for claim in claims):
        raise Unsupported("unsupported_claim", "what is to blame", 3)
