"""Numbers: each is one of the fact's, said of what the fact says it of, in its order, and no bound or total passed off as what is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from agent_sre.analysis.grounding.entities import KINDS, Token
from agent_sre.analysis.grounding.lines import KEYS_OF, FactNumber, Unit, around, meanings
from agent_sre.analysis.grounding.numbers import Number, agrees
from agent_sre.analysis.grounding.piece import Piece, Said, Unsupported, same_neighbours
from agent_sre.analysis.grounding.vocabulary import (
    AT,
    COMPARED,
    FUNCTION_WORDS,
    HIGHER,
    LOWER,
    NEUTRAL,
    UNIVERSAL,
    stem,
)

_GAUGES = frozenset({"now", "value", "ago", "limit"})


_BOUNDS = frozenset(meaning for word in COMPARED for meaning in meanings(word))


_NOT_BEFORE_COMPARISON = frozenset(
    {"the", "a", "its", "their", "of", "in", "to", "from", "at", "usual", "usually", "normal", "normally", "limit", "with", "against"}
)


_COUNTED = frozenset(stem(word) for word in ("error", "failure", "line", "message", "warning", "exception", "event", "log"))


_TIMES = frozenset({"time", "count", "x", "line", "like"})


_BACKWARD = frozenset({"before", "until", "till", "by"})


_ORDERLY = frozenset({"before", "after", "since", "until", "till", "by", "at", "from", "on", "around", "about"})


def check_numbers(piece: Piece) -> None:
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
            if token.text == "twice" and has_ratio(piece, 2.0):
                piece.anchored = True
                continue
            raise Unsupported("unsupported_number", token.raw, 2)
        if number.clock:
            _time_word(piece, index, backward=any(fact.preposition in _BACKWARD for fact in facts))
        piece.said.append(Said(index, token, facts))
        piece.anchored = True


def _existential(tokens: Sequence[Token], index: int) -> bool:
    starts = index == 0 or tokens[index - 1].kind == "mark"
    return starts and index + 2 < len(tokens) and tokens[index + 1].text == "of" and tokens[index + 2].kind != "number"


def _borrowed(tokens: Sequence[Token], index: int, fact: FactNumber) -> bool:
    number = tokens[index].number
    for other in tokens[index + 1 : index + 5]:
        if other.kind == "number" and other.number is not None and other.number.readings and not other.number.bare and number is not None:
            value, scale = number.readings[0][1], other.number.readings[0][1] / other.number.written if other.number.written else 0.0
            made = type(number)(((other.number.readings[0][0], value * scale),), digits=number.digits, written=number.written)
            between = {token.text for token in tokens[index + 1 : index + 5]}
            return bool(between & {"to", "and", "of", "-"}) and agrees(made, fact.number)
    return False


def _time_word(piece: Piece, index: int, *, backward: bool) -> None:
    word = next((token.text for token in reversed(piece.tokens[max(0, index - 2) : index]) if token.text in _ORDERLY), "")
    if (word in _BACKWARD) != backward:
        raise Unsupported("contradicts", f"{word} {piece.tokens[index].raw}", 4)


def is_than(piece: Piece, index: int) -> bool:
    """Whether what follows is a number or a bound, or the fact compares with the same word."""
    rest = piece.tokens[index + 1 : index + 6]
    return any(token.kind == "number" or token.text in COMPARED for token in rest) or same_neighbours(piece, index, ("than",))


def is_span(piece: Piece, index: int) -> bool:
    """`within an hour`: a span of time that the fact has."""
    return any(
        index < said.index <= index + 3
        and any("span" in fact.keys or (said.token.number.readings[0][0] == "s" and "span" in fact.keys) for fact in said.facts)
        for said in piece.said
        if said.token.number and said.token.number.readings
    )


def part_of_more(unit: Unit, fact: FactNumber) -> bool:
    """Whether the number is the first of a share like 1/3."""
    after = [item for item in unit.numbers if 0 < item.at - fact.at <= 2 and item.number.bare and fact.number.bare]
    return bool(after) and fact.number.readings[0][1] < after[0].number.readings[0][1]


def all_of(unit: Unit) -> bool:
    """Whether every share in the fact is whole: 3/3."""
    shares = [(first, second) for first, second in pairwise(unit.numbers) if second.at - first.at <= 2 and first.number.bare and second.number.bare]
    return bool(shares) and all(first.number.readings == second.number.readings for first, second in shares)


def says_zero(piece: Piece) -> bool:
    return any(said.token.number is not None and said.token.number.readings and said.token.number.readings[0][1] == 0 for said in piece.said)


def share_of(unit: Unit) -> float:
    percent = [
        item.number.readings[0][1]
        for item in unit.numbers
        if item.number.readings and item.number.readings[0][0] == "%" and not item.keys & {"ago", "slope"} and "/s" not in item.number.readings[0][0]
    ]
    now, most = _by_key(unit, "now"), _by_key(unit, "limit")
    if now is not None and most:
        return now / most
    return percent[0] / 100 if len(percent) == 1 and not unit.words.keys() & {"fre", "free", "avail", "error"} else 0.0


def has_ratio(piece: Piece, wanted: float) -> bool:
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


def compares(piece: Piece, index: int) -> bool:
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


def check_keys(piece: Piece) -> None:
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
            said.facts, said.keyed, said.word = fitting, True, word
            break
        measured = any(fact.keys & _GAUGES for fact in said.facts) and unit.words.keys() & present
        if number.bare and not said.keyed and not measured and not any(fact.keys & present or _is_count(fact) for fact in said.facts):
            raise Unsupported("contradicts", f"what {said.token.raw} counts", 5)
        _counted(piece, said)
        _not_a_bound(piece, said)
    for first, second in pairwise(piece.said):
        if second.index - first.index <= 3 and any(token.text == "of" for token in piece.tokens[first.index : second.index]):
            a, b = first.facts[0].number, second.facts[0].number
            if a.bare and b.bare and not any(two.at - one.at in (1, 2) for one in first.facts for two in second.facts):
                raise Unsupported("contradicts", f"{first.token.raw} of {second.token.raw}", 5)
            if a.readings and b.readings and a.readings[0][1] > b.readings[0][1]:
                raise Unsupported("contradicts", f"{first.token.raw} of {second.token.raw}", 5)
        if (
            not (first.keyed and second.keyed)
            and _same_dimension(first, second)
            and max(fact.at for fact in second.facts) < min(fact.at for fact in first.facts)
        ):
            raise Unsupported("contradicts", f"{first.token.raw} before {second.token.raw}", 5)


def _not_a_bound(piece: Piece, said: Said) -> None:
    """A limit, a usual value or a total is not what is now: a sentence that has one must call it so."""
    before = piece.tokens[said.index - 1].text if said.index else ""
    if before in ("of", "from", "/") or said.token.number is None or not said.token.number.readings:
        return
    dimension = said.facts[0].number.readings[0][0]
    near = {token.text for token in piece.tokens[max(0, said.index - 2) : said.index + 5]}
    bounds = [
        fact
        for fact in said.facts
        if said.word not in COMPARED | KEYS_OF.keys()
        and not near & {"ago", "earlier", "before", "usual", "usually"}
        and fact.keys & (_BOUNDS | {"ago"})
        and not fact.keys & {"now"}
    ]
    now = [fact for fact in piece.unit.numbers if "now" in fact.keys and fact.number.readings and fact.number.readings[0][0] == dimension]
    if len(bounds) == len(said.facts) and now:
        raise Unsupported("contradicts", f"{said.token.raw} is not what is now", 5)
    numbers = piece.unit.numbers
    totals = [
        two
        for one, two in pairwise(numbers)
        if two in said.facts
        and (two.at - one.at == 1 or two.preposition == "of")
        and one.number.bare
        and two.number.bare
        and one.number != two.number
    ]
    if len(totals) == len(said.facts) and not any(other.index == said.index - 1 for other in piece.said):
        raise Unsupported("contradicts", f"{said.token.raw} is a total", 5)


def check_own_keys(piece: Piece) -> None:
    """`consumers rose from 300 to 48200`: the word is the key of another number."""
    unit = piece.unit
    if not piece.said:
        return
    keys = frozenset().union(*(fact.keys for said in piece.said for fact in said.facts))
    every = frozenset().union(*(fact.keys for fact in unit.numbers))
    if keys & _TIMES:
        return
    for token in piece.tokens:
        if token.kind == "word" and token.stem in unit.counted_by and token.stem in every - keys - _BOUNDS - NEUTRAL:
            raise Unsupported("contradicts", token.raw, 5)


def _is_count(fact: FactNumber) -> bool:
    """Whether the number counts what its whole line tells of: `count=940`, `x4`, `48 lines like …`."""
    return bool(fact.keys & _TIMES) and fact.keys - KEYS_OF["now"] <= _TIMES


def _same_dimension(first: Said, second: Said) -> bool:
    a, b = first.facts[0].number.readings, second.facts[0].number.readings
    return bool(a) and bool(b) and a[0][0] == b[0][0]


def _counted(piece: Piece, said: Said) -> None:
    number, unit = said.token.number, piece.unit
    if number is None or not number.bare or number.digits:
        return
    after = [token.text for token in piece.tokens[said.index + 1 : said.index + 4] if token.kind == "word"]
    if not after or said.index + 1 >= len(piece.tokens) or piece.tokens[said.index + 1].kind != "word":
        return
    if after[0] in ("time", "times"):
        is_counted = said.keyed or any(fact.keys & {"time", "count", "x"} for fact in said.facts)
        if not is_counted or all("replic" in fact.keys for fact in said.facts):
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
