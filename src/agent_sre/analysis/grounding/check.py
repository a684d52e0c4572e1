"""Whether one piece of a sentence follows from one unit of the facts. The rules, in words: docs/explanation/grounding.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from agent_sre.analysis.grounding.entities import KINDS, Token, words_within, workload_of
from agent_sre.analysis.grounding.lines import KEYS_OF, FactNumber, Unit, around, distinct, meanings
from agent_sre.analysis.grounding.numbers import Number, agrees
from agent_sre.analysis.grounding.vocabulary import (
    AT,
    CANNOT,
    CAUSE,
    COMMON,
    COMPARED,
    DOWN,
    FUNCTION_WORDS,
    HEDGES,
    HIGHER,
    HYPOTHETICAL,
    KNOWN,
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

_GAUGES = frozenset({"now", "value", "ago", "limit"})
_BOUNDS = frozenset(meaning for word in COMPARED for meaning in meanings(word))
_NOT_BEFORE_COMPARISON = frozenset(
    {"the", "a", "its", "their", "of", "in", "to", "from", "at", "usual", "usually", "normal", "normally", "limit", "with", "against"}
)
_GENERIC = frozenset({"service", "services", "app", "application", "workload", "component", "microservice"})
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
_COUNTED = frozenset(stem(word) for word in ("error", "failure", "line", "message", "warning", "exception", "event", "log"))
_TIMES = frozenset({"time", "count", "x", "line", "like"})
_PLACES = frozenset({"namespace", "node", "container", "release"})
_BACKWARD = frozenset({"before", "until", "till", "by"})
_ORDERLY = frozenset({"before", "after", "since", "until", "till", "by", "at", "from", "on", "around", "about"})
_SCOPE_ENDS = frozenset({",", ";", "but", "and", "while", "although", "because"})


_FAILS = frozenset(stem(word) for word in ("fail", "forbidden", "denied", "refused", "rejected", "impossible"))


class Unsupported(Exception):
    """Why a unit does not support a piece: the token of the reason, what exactly, and how far the check came."""

    def __init__(self, reason: str, what: str, depth: int) -> None:
        super().__init__(reason, what)
        self.reason, self.what, self.depth = reason, what, depth


@dataclass(slots=True)
class _Said:
    """What a piece says of numbers: the token's place and the numbers of the fact that it may be."""

    index: int
    token: Token
    facts: list[FactNumber]
    keyed: bool = False


@dataclass(slots=True)
class _Piece:
    tokens: Sequence[Token]
    unit: Unit
    context: Unit | None
    said: list[_Said] = field(default_factory=list)
    anchored: bool = False
    names: list[str] = field(default_factory=list)


def require_support(
    tokens: Sequence[Token], unit: Unit, *, context: Unit | None, places: Sequence[Unit], subjects: frozenset[str] = frozenset()
) -> None:
    """Raises Unsupported unless everything that the tokens say is said by the unit.

    `context` may lend words where it is about the same object; `places` lend where something is; `subjects` is whom the piece is about where it does
    not say so itself.
    """
    piece = _Piece(tokens, unit, context)
    _names(piece, places, subjects)
    _numbers(piece)
    _quotations(piece)
    _words(piece)
    _keys(piece)
    _own_keys(piece)
    _sides(piece)
    if not piece.anchored:
        raise Unsupported("no_evidence", "nothing that a fact could show", 0)


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


def _names(piece: _Piece, places: Sequence[Unit], subjects: frozenset[str]) -> None:
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
        if token.text in unit.replaced and not any(other.text in ("from", "old", "previous", "replaced") for other in piece.tokens[max(0, index - 2) : index]):
            raise Unsupported("contradicts", f"{token.raw} is what was there before", 4)
    piece.names = [token.text for token in found]
    piece.anchored = len(named) > 1 or any(words_within(token) and "_" not in token.raw for token in found)


def _about_what(piece: _Piece, named: set[str]) -> None:
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
        if speaker is not None and speaker.text in named and _root(speaker.text) != _root(unit.speaker):
            raise Unsupported("other_object", speaker.raw, 3)
        is_active = two.text in _REFUSES and not two.quoted and one.text not in _PASSIVE
        if is_active and any(_root(name) == _root(unit.speaker) for name in named):
            raise Unsupported("contradicts", f"{unit.speaker} {two.text}", 4)


_REFUSES = frozenset({"refuses", "refused", "rejects", "denies", "denied"})
_PASSIVE = frozenset("connection connections was were is are been being request requests permission access".split())


def _subject_of(name: str, unit: Unit) -> bool:
    return name in unit.subjects or any(_root(subject) == name or subject.rsplit("/", 1)[-1] == name for subject in unit.subjects)


def _root(name: str) -> str:
    last = name.rsplit("/", 1)[-1]
    return workload_of(last) or last


def _reason_word(token: Token, unit: Unit) -> bool:
    return not token.hard and bool(unit.words.get(token.stem, frozenset()) & {"+", "key"})


def _kind_fits(piece: _Piece, token: Token, previous: str, index: int) -> None:
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


def _numbers(piece: _Piece) -> None:
    unit = piece.unit
    for index, token in enumerate(piece.tokens):
        if token.kind != "number" or token.number is None:
            continue
        number = token.number
        facts = [fact for fact in unit.numbers if agrees(number, fact.number)]
        if not facts and number.clock and not number.date and unit.at is not None and unit.at.strftime("%H:%M:%S").startswith(number.clock):
            _time_word(piece, index, backward=False)
            piece.anchored = True
            continue
        if not facts and number.bare:  # "from 0.9 to 1.71Gi": the unit of the next number holds for both
            facts = [fact for fact in unit.numbers if _borrowed(piece.tokens, index, fact)]
        if not facts:
            if number.spelled and number.bare and number.written == 1 and _existential(piece.tokens, index):
                continue
            if token.text == "twice" and _ratio(piece, index, 2.0):
                piece.anchored = True
                continue
            raise Unsupported("unsupported_number", token.raw, 2)
        if number.clock:
            _time_word(piece, index, backward=any(fact.preposition in _BACKWARD for fact in facts))
        piece.said.append(_Said(index, token, facts))
        piece.anchored = True


def _existential(tokens: Sequence[Token], index: int) -> bool:
    return index + 2 < len(tokens) and tokens[index + 1].text == "of" and tokens[index + 2].kind != "number"


def _borrowed(tokens: Sequence[Token], index: int, fact: FactNumber) -> bool:
    number = tokens[index].number
    for other in tokens[index + 1 : index + 5]:
        if other.kind == "number" and other.number is not None and other.number.readings and not other.number.bare and number is not None:
            value, scale = number.readings[0][1], other.number.readings[0][1] / other.number.written if other.number.written else 0.0
            made = type(number)(((other.number.readings[0][0], value * scale),), digits=number.digits, written=number.written)
            between = {token.text for token in tokens[index + 1 : index + 5]}
            return bool(between & {"to", "and", "of", "-"}) and agrees(made, fact.number)
    return False


def _time_word(piece: _Piece, index: int, *, backward: bool) -> None:
    word = next((token.text for token in reversed(piece.tokens[max(0, index - 2) : index]) if token.text in _ORDERLY), "")
    if (word in _BACKWARD) != backward:
        raise Unsupported("contradicts", f"{word} {piece.tokens[index].raw}", 4)


def _quotations(piece: _Piece) -> None:
    """What stands in quotation marks must stand in the fact, word by word."""
    words = [token for token in piece.tokens if token.quoted and token.kind != "mark"]
    if words and f" {' '.join(token.text for token in words)} " not in f" {piece.unit.plain} ":
        raise Unsupported("unsupported_claim", " ".join(token.raw for token in words), 3)


def _words(piece: _Piece) -> None:
    unit, tokens = piece.unit, piece.tokens
    negated = cannot = pending = supposed = False
    blame = False
    said_fail = any(token.stem in _FAILS for token in tokens)
    if unit.hedged and not any(token.text in HEDGES for token in tokens):
        raise Unsupported("contradicts", "the fact is less sure", 3)
    for index, token in enumerate(tokens):
        if token.text in _SCOPE_ENDS:
            if pending:
                raise Unsupported("contradicts", "a negation of nothing that was measured", 3)
            negated = cannot = supposed = False
        if token.kind != "word" or token.quoted:
            continue
        word = token.text
        if word in NEGATIONS:
            if negated:
                raise Unsupported("contradicts", "a double negation", 4)
            if word in UNIVERSAL and UNIVERSAL[word] not in unit.universals:
                raise Unsupported("unsupported_claim", word, 3)
            negated, cannot, pending = True, word in CANNOT, True
            continue
        if word == "than" and not _than(piece, index):
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
            if not _same_neighbours(piece, index, (word,)):
                raise Unsupported("unsupported_claim", token.raw, 3)
            supposed = True
        elif (word in ("within", "over") and _span(piece, index) and not (index and tokens[index - 1].text == "in")) or (
            token.stem == "start" and unit.at is not None and not negated
        ):
            continue
        elif word in HIGHER | LOWER | AT and _compares(piece, index):
            if negated:
                raise Unsupported("contradicts", f"not {token.raw}", 4)
            piece.anchored = True
        elif token.stem in UP | DOWN:
            _direction(piece, token, negated)
            piece.anchored, pending = True, False
        elif token.stem in CAUSE:
            blame = True
        elif token.stem in WEAK:
            if not (unit.trouble and not negated) and "+" not in unit.words.get(token.stem, ()):
                raise Unsupported("unsupported_claim", token.raw, 3)
            piece.anchored = True
        elif token.stem in NEUTRAL:
            continue
        elif word in KINDS and not (pending and token.stem in unit.words):
            _kind(piece, token)
        elif negated and not pending:  # what is denied has been named; the rest only has to be told of
            _told(piece, token)
        else:
            _claim(piece, token, negated=negated, cannot=cannot, said_fail=said_fail, supposed=supposed)
            piece.anchored = True
            pending = False
    if pending:
        raise Unsupported("contradicts", "a negation of nothing that was measured", 3)
    if blame:
        _blame(piece)


def _same_neighbours(piece: _Piece, index: int, words: tuple[str, ...]) -> bool:
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


def _than(piece: _Piece, index: int) -> bool:
    """Whether what follows is a number or a bound, or the fact compares with the same word."""
    rest = piece.tokens[index + 1 : index + 6]
    return any(token.kind == "number" or token.text in COMPARED for token in rest) or _same_neighbours(piece, index, ("than",))


def _span(piece: _Piece, index: int) -> bool:
    """`within an hour`: a span of time that the fact has."""
    return any(
        index < said.index <= index + 3
        and any("span" in fact.keys or (said.token.number.readings[0][0] == "s" and "span" in fact.keys) for fact in said.facts)
        for said in piece.said
        if said.token.number and said.token.number.readings
    )


def _universal(piece: _Piece, index: int) -> None:
    token, unit = piece.tokens[index], piece.unit
    family = UNIVERSAL[token.text]
    after = piece.tokens[index + 1] if index + 1 < len(piece.tokens) else None
    if family == "last" and after is not None and (after.kind == "number" or after.text in ("hour", "minute", "day")):
        return
    if family in unit.universals and _same_neighbours(piece, index, tuple(word for word, known in UNIVERSAL.items() if known == family)):
        return
    if family == "max" and any("max" in item.keys or token.text in item.keys for item in unit.numbers):
        return
    if family == "all" and _all_of(unit):
        return
    if family == "only" and any(said.index == index + 1 and _part_of_more(unit, fact) for said in piece.said for fact in said.facts):
        return
    if family == "last" and token.stem in unit.words:
        return
    raise Unsupported("unsupported_claim", token.raw, 3)


def _part_of_more(unit: Unit, fact: FactNumber) -> bool:
    """Whether the number is the first of a share like 1/3."""
    after = [item for item in unit.numbers if 0 < item.at - fact.at <= 2 and item.number.bare and fact.number.bare]
    return bool(after) and fact.number.readings[0][1] < after[0].number.readings[0][1]


def _all_of(unit: Unit) -> bool:
    """Whether every share in the fact is whole: 3/3."""
    shares = [(first, second) for first, second in pairwise(unit.numbers) if second.at - first.at <= 2 and first.number.bare and second.number.bare]
    return bool(shares) and all(first.number.readings == second.number.readings for first, second in shares)


def _direction(piece: _Piece, token: Token, negated: bool) -> None:
    unit = piece.unit
    wanted = "up" if token.stem in UP else "down"
    if negated:
        if "-" in unit.words.get(token.stem, ()):
            return
        raise Unsupported("contradicts", f"not {token.raw}", 4)
    if wanted not in unit.directions:
        raise Unsupported("contradicts", token.raw, 4)
    if len(unit.directions) > 1 and "+" not in unit.words.get(token.stem, ()):
        raise Unsupported("contradicts", token.raw, 4)


def _kind(piece: _Piece, token: Token) -> None:
    kind, unit = KINDS[token.text], piece.unit
    if token.text.endswith("s") and token.text[:-1] in KINDS and not _several(unit, token.text):
        raise Unsupported("unsupported_claim", token.raw, 3)
    if kind in unit.kinds or "+" in unit.words.get(token.stem, ()) or (token.text in _GENERIC and (unit.subjects or unit.kinds & {"pod"})):
        return
    if _context_lends(piece) and piece.context is not None and kind in piece.context.kinds:
        return
    if kind == "volume" and token.text == "disk":
        _claim(piece, token, negated=False, said_fail=False)
        return
    raise Unsupported("unsupported_claim", token.raw, 3)


def _told(piece: _Piece, token: Token) -> None:
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


def _claim(piece: _Piece, token: Token, *, negated: bool, said_fail: bool, cannot: bool = False, supposed: bool = False) -> None:
    unit = piece.unit
    found = unit.words.get(token.stem, frozenset())
    if negated:
        fine = bool(found & {"-", "zero"}) and _said_of(piece, token)
        if not fine and _context_lends(piece) and piece.context is not None:
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
    if not found and _context_lends(piece) and piece.context is not None and "+" in piece.context.words.get(token.stem, ()):
        return
    raise Unsupported("contradicts" if found else "unsupported_claim", token.raw, 4 if found else 3)


def _said_of(piece: _Piece, token: Token) -> bool:
    """Whether the fact says the word of someone the sentence names: `pod a: image b not found` says of `a` nothing of the kind."""
    unit = piece.unit
    places = unit.words_at.get(token.stem, ())
    if not piece.names or not places:
        return True
    roots = {_root(name) for name in piece.names}
    return any(place not in unit.owners or unit.owners[place] in piece.names or _root(unit.owners[place]) in roots for place in places)


def _measured(piece: _Piece, token: Token) -> bool:
    """Words that a number alone may bear out: full, high, slow, doubled, half."""
    unit = piece.unit
    if token.stem in ("full", "high", "exhaust"):
        least = 0.8 if token.stem == "high" else 0.9
        return _share(unit) >= least or (token.stem == "high" and unit.directions == {"up"})
    if token.stem == "slow":
        return "latency" in unit.words and (unit.directions == {"up"} or unit.trouble)
    ratio = {"doubl": 2.0, "tripl": 3.0, "halv": 0.5, "half": 0.5}.get(token.stem)
    return ratio is not None and _ratio(piece, 0, ratio)


def _share(unit: Unit) -> float:
    percent = [item.number.readings[0][1] for item in unit.numbers if item.number.readings and item.number.readings[0][0] == "%"]
    now, most = _by_key(unit, "now"), _by_key(unit, "limit")
    if now is not None and most:
        return now / most
    return percent[0] / 100 if len(percent) == 1 and not unit.words.keys() & {"fre", "free", "avail", "error"} else 0.0


def _ratio(piece: _Piece, index: int, wanted: float) -> bool:
    now, before = _by_key(piece.unit, "now"), _by_key(piece.unit, "ago")
    if now is None or not before:
        now, before = _by_key(piece.unit, "to"), _by_key(piece.unit, "from")
    return now is not None and bool(before) and abs(now / before / wanted - 1) <= 0.05 if before else False


def _by_key(unit: Unit, key: str) -> float | None:
    found = [
        item.number.readings[0][1]
        for item in unit.numbers
        if key in item.keys and item.number.readings and not (key != "limit" and "limit" in item.keys) and item.number.readings[0][0] != "s"
    ]
    found = found or [
        item.number.readings[0][1]
        for item in unit.numbers
        if key in item.keys and item.number.readings and not (key != "limit" and "limit" in item.keys)
    ]
    return found[0] if found else None


def _compares(piece: _Piece, index: int) -> bool:
    """Whether a word of comparison is borne out: by two numbers of which the second is a bound, or by the fact's own word of comparison."""
    tokens, unit = piece.tokens, piece.unit
    word = tokens[index].text
    family = HIGHER if word in HIGHER else LOWER if word in LOWER else AT
    number = next((said for said in piece.said if index < said.index <= index + 4), None)
    bound = next((token.text for token in tokens[index + 1 : index + 8] if token.text in COMPARED), "")
    if index and tokens[index - 1].text in _NOT_BEFORE_COMPARISON and family is not AT:
        raise Unsupported("unsupported_claim", tokens[index].raw, 3)
    if number is None and not bound:
        if "+" in unit.words.get(tokens[index].stem, ()):
            return True
        raise Unsupported("unsupported_claim", tokens[index].raw, 3)
    if index and (tokens[index - 1].text in AT or (family is not AT and any(token.text in COMPARED for token in tokens[max(0, index - 3) : index]))):
        raise Unsupported("unsupported_claim", tokens[index].raw, 3)
    if (
        number is not None
        and family is not AT
        and any(token.text in ("is", "was", "are", "were") for token in tokens[number.index + 1 : number.index + 2])
    ):
        raise Unsupported("unsupported_claim", tokens[index].raw, 3)
    is_bound = number is not None and any(fact.keys & _BOUNDS for fact in number.facts)
    right = (
        next((fact.number for fact in sorted(number.facts, key=lambda fact: not fact.keys & _BOUNDS)), None)
        if number is not None
        else _number_by_key(unit, bound)
    )
    left = next((said.facts[0].number for said in reversed(piece.said) if said.index < index and _alike_numbers(said.facts[0].number, right)), None)
    if left is None and (family is not LOWER or number is not None):
        left = _number_by_key(unit, "now")
    if (is_bound or number is None) and left is not None and right is not None and left is not right and _alike_numbers(left, right):
        a, b = left.readings[0][1], right.readings[0][1]
        if a > b if family is HIGHER else a < b if family is LOWER else 0.85 * b <= a <= 1.1 * b:
            return True
        raise Unsupported("contradicts", tokens[index].raw, 4)
    if number is not None:
        before = {fact.preposition for fact in number.facts}
        if before & family or ("than" in before and any("+" in unit.words.get(stem(item), ()) for item in family)):
            return True
    elif any("+" in unit.words.get(stem(item), ()) for item in family) and not any(
        stem(item) in unit.words for item in (LOWER if family is HIGHER else HIGHER)
    ):
        return True
    raise Unsupported("unsupported_claim", tokens[index].raw, 3)


def _alike_numbers(left: Number, right: Number | None) -> bool:
    return right is not None and bool(left.readings) and bool(right.readings) and left.readings[0][0] == right.readings[0][0]


def _number_by_key(unit: Unit, key: str) -> Number | None:
    wanted = meanings(key) | KEYS_OF.get(key, frozenset())
    found = [
        item.number
        for item in unit.numbers
        if item.keys & wanted and item.number.readings and not ("limit" not in wanted and "limit" in item.keys) and "span" not in item.keys
    ]
    return found[0] if found else None


def _context_lends(piece: _Piece) -> bool:
    """Whether the context is about the object that the piece is about, so that its words may be used of it."""
    context = piece.context
    if context is None:
        return False
    if piece.unit is context:
        return False
    about = [name for name in piece.names if piece.unit.names.get(name)] or list(piece.unit.subjects)
    return not about or not context.subjects or any(same_object(name, context) or name in context.names for name in about)


def _blame(piece: _Piece) -> None:
    context = piece.context
    if piece.unit.words.keys() & CAUSE and "+" in frozenset().union(*(piece.unit.words[item] for item in piece.unit.words.keys() & CAUSE)):
        return
    if context is None or (not _context_lends(piece) and piece.unit is not context):
        raise Unsupported("unsupported_claim", "what is to blame", 3)
    claims = [token.stem for token in piece.tokens if token.kind == "word" and token.stem not in NEUTRAL | CAUSE and token.text not in KINDS]
    if not any("+" in context.words.get(claim, ()) for claim in claims):
        raise Unsupported("unsupported_claim", "what is to blame", 3)


def _keys(piece: _Piece) -> None:
    """The word nearest to a number must not be another number's: `used 2Gi of its 1.71Gi limit` swaps them."""
    unit = piece.unit
    vocabulary = frozenset().union(*(item.keys for item in unit.numbers)) if unit.numbers else frozenset()
    present = frozenset().union(
        *(meanings(token.text) | KEYS_OF.get(token.text, frozenset()) for token in piece.tokens if token.kind == "word"), frozenset()
    )
    for said in piece.said:
        number = said.token.number
        if number is None or number.clock or number.date:
            continue
        for distance, word, _ in around(piece.tokens, said.index, 6):
            if distance > 1 and word in ("was", "to", "from", "is"):
                continue
            said_as = meanings(word) | KEYS_OF.get(word, frozenset())
            if not said_as & vocabulary or (stem(word) in NEUTRAL and word not in KEYS_OF):
                continue
            fitting = [fact for fact in said.facts if fact.keys & said_as or (_is_count(fact) and word not in KEYS_OF)]
            if not fitting:
                raise Unsupported("contradicts", f"{said.token.raw} is not {word}", 5)
            said.facts, said.keyed = fitting, True
            break
        if number.bare and not said.keyed and not any(fact.keys & present or _is_count(fact) for fact in said.facts):
            if not any(fact.keys & _GAUGES for fact in said.facts) or not unit.words.keys() & present:
                raise Unsupported("contradicts", f"what {said.token.raw} counts", 5)
        _counted(piece, said)
        _not_a_bound(piece, said)
    for first, second in pairwise(piece.said):
        if second.index - first.index <= 3 and any(token.text == "of" for token in piece.tokens[first.index : second.index]):
            a, b = first.facts[0].number, second.facts[0].number
            if a.readings and b.readings and a.readings[0][1] > b.readings[0][1]:
                raise Unsupported("contradicts", f"{first.token.raw} of {second.token.raw}", 5)
        if (
            not (first.keyed and second.keyed)
            and _same_dimension(first, second)
            and max(fact.at for fact in second.facts) < min(fact.at for fact in first.facts)
        ):
            raise Unsupported("contradicts", f"{first.token.raw} before {second.token.raw}", 5)


def _not_a_bound(piece: _Piece, said: _Said) -> None:
    """A limit, a usual value or a total is not what is now: a sentence that has one must call it so."""
    before = piece.tokens[said.index - 1].text if said.index else ""
    if before in ("of", "from", "/") or said.token.number is None or not said.token.number.readings:
        return
    dimension = said.facts[0].number.readings[0][0]
    near = {token.text for token in piece.tokens[max(0, said.index - 2) : said.index + 5]}
    bounds = [fact for fact in said.facts if not said.keyed and not near & {"ago", "earlier", "before", "usual", "usually"} and fact.keys & (_BOUNDS | {"ago"}) and not fact.keys & {"now"}]
    now = [fact for fact in piece.unit.numbers if "now" in fact.keys and fact.number.readings and fact.number.readings[0][0] == dimension]
    if len(bounds) == len(said.facts) and now:
        raise Unsupported("contradicts", f"{said.token.raw} is not what is now", 5)
    numbers = piece.unit.numbers
    totals = [two for one, two in pairwise(numbers) if two in said.facts and (two.at - one.at == 1 or two.preposition == "of") and one.number.bare and two.number.bare and one.number != two.number]
    if len(totals) == len(said.facts) and not any(other.index == said.index - 1 for other in piece.said):
        raise Unsupported("contradicts", f"{said.token.raw} is a total", 5)


def _own_keys(piece: _Piece) -> None:
    """`consumers rose from 300 to 48200`: the word is the key of another number."""
    unit = piece.unit
    if not piece.said:
        return
    keys = frozenset().union(*(fact.keys for said in piece.said for fact in said.facts))
    every = frozenset().union(*(fact.keys for fact in unit.numbers))
    if keys & _TIMES:
        return
    for token in piece.tokens:
        if token.kind == "word" and unit.words.get(token.stem) == frozenset({"key"}) and token.stem in every - keys - _BOUNDS - NEUTRAL:
            raise Unsupported("contradicts", token.raw, 5)


def _is_count(fact: FactNumber) -> bool:
    """Whether the number counts what its whole line tells of: `count=940`, `x4`, `48 lines like …`."""
    return bool(fact.keys & _TIMES) and fact.keys - KEYS_OF["now"] <= _TIMES


def _same_dimension(first: _Said, second: _Said) -> bool:
    a, b = first.facts[0].number.readings, second.facts[0].number.readings
    return bool(a) and bool(b) and a[0][0] == b[0][0]


def _counted(piece: _Piece, said: _Said) -> None:
    number, unit = said.token.number, piece.unit
    if number is None or not number.bare or number.digits:
        return
    after = [token.text for token in piece.tokens[said.index + 1 : said.index + 4] if token.kind == "word"]
    if not after or said.index + 1 >= len(piece.tokens) or piece.tokens[said.index + 1].kind != "word":
        return
    if after[0] in ("time", "times"):
        if not any(fact.keys & {"time", "count", "x"} for fact in said.facts) and not said.keyed:
            raise Unsupported("contradicts", f"{said.token.raw} times", 5)
        return
    if after[0] in FUNCTION_WORDS | HIGHER | LOWER or after[0] in UNIVERSAL or after[0] in KEYS_OF:
        return
    keys = frozenset().union(*(fact.keys | (unit.metric if fact.keys & _GAUGES else frozenset()) for fact in said.facts))
    counts = any(_is_count(fact) for fact in said.facts)
    for word in after:
        if keys & meanings(word) or (counts and stem(word) in _COUNTED and "+" in unit.words.get(stem(word), ())):
            return
        if word in FUNCTION_WORDS or word in KINDS or word.endswith("s") or "+" not in unit.words.get(stem(word), ()):
            break
    raise Unsupported("contradicts", f"{said.token.raw} {after[0]}", 5)


def _sides(piece: _Piece) -> None:
    """Two objects in one piece stand as they stand in the fact, or the other way round in the passive voice."""
    unit = piece.unit
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


def _acts_alike(piece: _Piece, i: int, j: int, a: int, b: int) -> bool:
    """`a killed b` needs a fact in which `killed` stands between the two."""
    between = piece.tokens[i + 1 : j]
    verbs = [token for token in between if token.kind == "word" and token.stem not in NEUTRAL and token.text not in KINDS]
    if not verbs or any(token.kind != "word" or token.text in _LOOSE for token in between):
        return True
    low, high = min(a, b), max(a, b)
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
