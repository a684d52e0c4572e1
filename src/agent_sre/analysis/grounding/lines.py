"""Fact lines, read once: which names, numbers and words each of them holds, and which belong together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from itertools import pairwise

from agent_sre.analysis.fact_line import FactLine
from agent_sre.analysis.grounding.entities import KINDS, Token, parts_of, tokens_of, words_within, workload_of
from agent_sre.analysis.grounding.numbers import Number, as_number
from agent_sre.analysis.grounding.sentences import canonical, without_ids
from agent_sre.analysis.grounding.vocabulary import (
    CANNOT,
    COUNTED_BY,
    DENIES,
    DOWN,
    FAMILIES,
    FOLLOWS,
    FORWARD,
    HEDGES,
    HYPOTHETICAL,
    KNOWN,
    NEGATIONS,
    TROUBLE,
    UNIVERSAL,
    UP,
    stem,
)

_SCOPE_ENDS = frozenset(
    {",", ";", ":", "but", "(", ")", "|", "→", "and", "because", "becauseof", "ledto", "so", "while", "then", "though", "although", "whereas"}
)
_PREPOSITIONS = frozenset({"in", "of", "on", "at", "since", "for", "from", "during", "within", "by"})
_EARLIER = frozenset(
    {
        "ago",
        "before",
        "previously",
        "usual",
        "normal",
        "baseline",
        "from",
        "was",
        "old",
        "earlier",
        "typical",
        "average",
        "normally",
        "usually",
        "start",
    }
)
_NOW = frozenset({"now", "current", "currently", "to", "value", "latest", "is", "today", "after"})
KEYS_OF = {
    "from": _EARLIER,
    "was": _EARLIER,
    "before": _EARLIER,
    "ago": _EARLIER,
    "earlier": _EARLIER,
    "previously": _EARLIER,
    "now": _NOW,
    "currently": _NOW,
    "to": _NOW,
    "current": _NOW,
}
"""What a sentence may call the number that a fact has under one of these."""

_SUBJECTS = frozenset({"pod", "workload", "container", "node", "volume", "database", ""})


@dataclass(frozen=True, slots=True)
class FactNumber:
    """A number of a fact, and the words that say what it is."""

    number: Number
    keys: frozenset[str]
    at: int
    preposition: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """What is said together: a line, or the part of a line that is about one of its subjects."""

    evidence_id: str
    at: datetime | None
    text: str
    names: dict[str, frozenset[str]]  # each name and the kinds it is known as
    subjects: frozenset[str]
    order: dict[str, int]  # where a name stands
    numbers: tuple[FactNumber, ...]
    words: dict[str, frozenset[str]]  # stem -> polarities: "+", "-", "key", "zero"
    words_at: dict[str, tuple[int, ...]]
    kinds: frozenset[str]
    directions: frozenset[str]
    universals: frozenset[str]
    owners: dict[int, str]  # the last name before each unquoted word: whom it is said of
    metric: frozenset[str]  # what the names of its metrics say
    colons: tuple[int, ...]
    arrows: tuple[int, ...]
    edges: frozenset[tuple[str, str]]  # what stands left and right of an arrow
    counted_by: frozenset[str]  # stems of the keys that have a number
    quoted_at: frozenset[int]
    replaced: frozenset[str]  # names left of an arrow: what was there before
    speaker: str  # whose log it is
    hypothetical: bool
    hedged: bool
    trouble: bool
    whole: bool  # a whole line with several subjects: only for sentences about more than one
    plain: str = field(default="")  # case-folded words in order, for quotations


def units_of(facts: Sequence[FactLine]) -> tuple[Unit, ...]:
    """All units of the facts."""
    return tuple(unit for fact in facts for unit in _units(fact.evidence_id.upper(), fact.text, fact.at))


def context_unit(text: str) -> Unit | None:
    """The context as one unit, or None where there is none."""
    return _make("", None, text, _tokens(text), whole=False) if text.strip() else None


@lru_cache(maxsize=2_000)
def _units(evidence_id: str, text: str, at: datetime | None) -> tuple[Unit, ...]:
    tokens = _tokens(text)
    segments = _segments(tokens)
    if len(segments) < 2:
        return (_make(evidence_id, at, text, tokens, whole=False),)
    parts = tuple(_make(evidence_id, at, text, segment, whole=False) for segment in segments)
    return (*parts, _make(evidence_id, at, text, tokens, whole=True))


@lru_cache(maxsize=2_000)
def _tokens(text: str) -> tuple[Token, ...]:
    tokens = tokens_of(without_ids(canonical(text))[0])
    if not tokens or tokens[0].text not in ("log", "logs"):
        return tokens
    # What a log line says is a quotation: the names in it are not what the line is about.
    colon = next((index for index, token in enumerate(tokens) if token.text == ":"), len(tokens))
    return (*tokens[: colon + 1], *(replace(token, quoted=True) for token in tokens[colon + 1 :]))


def _segments(tokens: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    """The line by its subjects, where it names more than one: each part with what was said before the first name."""
    if tokens[:1] and tokens[0].text == "event":
        return []  # an event is about one object; its message may name others
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(token.text, 0) if token.kind == "mark" else 0
        if depth <= 0 and ((token.kind == "mark" and token.text in ",;|") or token.text in ("and", "while", "but", "whereas")):
            pieces.append([])
        else:
            pieces[-1].append(token)
    named = [(_subjects(piece), piece) for piece in pieces if piece]
    all_subjects = {name for names, _ in named for name in names}
    if len(distinct(all_subjects)) < 2:
        return []
    segments: list[list[Token]] = []
    last: frozenset[str] | None = None
    preamble: list[Token] = []
    for names, piece in named:
        if not names and last is None:
            preamble += [*piece, _COMMA]
        elif not names or names == last:
            segments[-1] += [_COMMA, *piece]
        else:
            segments.append([*preamble, *piece])
            last = names
    return [tuple(segment) for segment in segments]


_COMMA = Token("mark", ",", raw=",")


def distinct(names: Iterable[str]) -> frozenset[str]:
    """The objects behind the names: a workload beside its own pod is none of its own, two pods of one workload are two."""
    last = {name.rsplit("/", 1)[-1] for name in names}
    return frozenset(last - {workload_of(name) for name in last})


def _subjects(tokens: Iterable[Token]) -> frozenset[str]:
    found = set()
    kind, labelled = "", False
    is_event = False
    for token in tokens:
        is_event = is_event or token.text == "event"
        if is_event and token.text == ":":
            break
        if token.kind == "mark":
            continue
        is_name = token.kind == "name" and not words_within(token) and _may_be_subject(token.text)
        if token.quoted:
            continue
        if (is_name and kind not in ("namespace", "release", "image", "metric")) or (kind in _SUBJECTS - {""} and _named(token, labelled)):
            found.add(token.text)
        kind = KINDS.get(token.text, "")
        labelled = token.is_key
    return frozenset(found)


def _named(token: Token, labelled: bool) -> bool:
    """Whether a plain word after a kind is a name: `service checkout`, `namespace="shop"`, but not `pod restarted`."""
    return token.kind == "word" and token.text not in KINDS and not token.is_key and (labelled or token.stem not in KNOWN)


def _may_be_subject(name: str) -> bool:
    return bool(re.search(r"[a-z]", name)) and not re.fullmatch(r"v?\d[\w.]*|p\d+|\dxx|.*:[\w.]+", name) and "_" not in name


def _make(evidence_id: str, at: datetime | None, text: str, tokens: tuple[Token, ...], *, whole: bool) -> Unit:
    names: defaultdict[str, set[str]] = defaultdict(set)
    order: dict[str, int] = {}
    words: defaultdict[str, set[str]] = defaultdict(set)
    words_at: defaultdict[str, list[int]] = defaultdict(list)
    kinds: set[str] = set()
    numbers: list[FactNumber] = []
    negated = cannot = supposed = fresh = False
    previous, labelled = "", False
    for index, token in enumerate(tokens):
        if (token.kind == "mark" and token.text in _SCOPE_ENDS) or token.text in _SCOPE_ENDS:
            negated = cannot = supposed = False
        elif token.text in _PREPOSITIONS and not fresh:
            negated = cannot = False
        if token.kind == "number" and token.number is not None:
            numbers.append(FactNumber(token.number, _keys(tokens, index), index, tokens[index - 1].text if index else ""))
            continue
        if token.kind == "mark":
            continue
        if token.kind == "name" and re.fullmatch(r"x\d+", token.text) and (times := as_number(token.text[1:])):
            numbers.append(FactNumber(times, frozenset({"time", "count"}), index))
        if token.kind == "name" and token.text.endswith("_ago") and (span := as_number(token.text[: -len("_ago")])):
            numbers.append(FactNumber(span, frozenset({"span", "ago", "within", "last"}), index))
        kind = "node" if previous == "on" and token.hard else KINDS.get(previous, "")
        if token.kind == "name" or (kind and _named(token, labelled)):
            last = token.text.rsplit("/", 1)[-1]
            for part, known in parts_of(token.text):
                names[part] |= {item for item in (known, kind if part in (token.text, last) and not known else "") if item}
                order.setdefault(part, index)
                base = workload_of(part) if known != "release" and kind not in ("node", "namespace") else ""
                if base and part == token.text.rsplit("/", 1)[-1]:
                    kinds |= {"pod", "container", "workload"}
                    names[part].add("pod") if not kind else None
                    names[base].add("workload")
                    order.setdefault(base, index)
            kinds |= {item for part, _ in parts_of(token.text) for item in names[part]}
        said = (token.text,) if token.kind == "word" else words_within(token)
        if token.kind == "name" and not said and token.stem:
            said = (token.text,)
        for place, word in enumerate(said):
            if word in NEGATIONS:
                negated, cannot, fresh = True, word in CANNOT, True
                for meaning in meanings(word):
                    words[meaning].add("+")
                continue
            if word in HYPOTHETICAL and not token.quoted:
                supposed = True
                words[stem(word)].add("+")
                continue
            if word in KINDS:
                kinds.add(KINDS[word])
            polarities = {"-", "+cannot"} if cannot else {"-"} if negated else {"hyp"} if supposed else {"+"}
            fresh = False
            if token.is_key and not negated:
                polarities = {"zero" if _zero_after(tokens, index) else "key"}
            for meaning in meanings(word):
                words[meaning] |= polarities
                words_at[meaning].append(index)
            if token.is_key and word in COUNTED_BY:
                words["replic"].add("+")
            if (
                stem(word) in _DONE
                and "+" in polarities
                and (stem(_next(said, place, tokens, index)) in _UNDONE or (place and stem(said[place - 1]) in _UNDONE))
            ):
                words[stem(word)] = {"-", "+cannot"}
            if "+" in polarities:
                for denied in DENIES.get(stem(word), ()):
                    words[denied].add("-")
        previous, labelled = token.text, token.is_key
    if (
        "workload" in kinds
        and words.get("ready")
        and any(second.at - first.at <= 2 and first.number.bare and second.number.bare for first, second in pairwise(numbers))
    ):
        kinds.add("pod")
        words["replic"].add("+")
    _settle_gauge(tokens, words)
    _settle_none(tokens, words)
    flat = {stem: frozenset(found) for stem, found in words.items()}
    raw = {token.text for token in tokens if token.kind == "word"}
    plain = {token.text for token in tokens if token.kind == "word" and not token.quoted}
    return Unit(
        evidence_id=evidence_id,
        at=at,
        text=text,
        names={name: frozenset(found) for name, found in names.items()},
        subjects=_subjects(tokens),
        order=order,
        numbers=tuple(_with_now(numbers)),
        words=flat,
        words_at={stem: tuple(found) for stem, found in words_at.items()},
        kinds=frozenset(kinds),
        directions=frozenset() if "unchang" in flat or "unchanged" in raw else _directions(flat, _with_now(numbers)),
        universals=frozenset(UNIVERSAL[word] for word in raw if word in UNIVERSAL),
        owners=_owners(tokens, names),
        metric=frozenset(meaning for token in tokens if "_" in token.raw for word in words_within(token) for meaning in meanings(word)),
        replaced=_replaced(tokens),
        edges=_edges(tokens),
        counted_by=frozenset(
            meaning
            for index, token in enumerate(tokens[:-2])
            if token.is_key and tokens[index + 2].kind == "number"
            for meaning in meanings(token.text)
        ),
        quoted_at=frozenset(index for index, token in enumerate(tokens) if token.quoted),
        speaker=next((token.text for token in tokens if token.kind == "name"), "") if tokens and tokens[0].text in ("log", "logs") else "",
        arrows=tuple(index for index, token in enumerate(tokens) if token.text == "→"),
        colons=tuple(index for index, token in enumerate(tokens) if token.text in (":", "becauseof", "because")),
        hypothetical=bool(plain & HYPOTHETICAL),
        hedged=bool(plain & HEDGES),
        trouble=any(flat[word] & {"+", "+cannot", "key"} for word in flat.keys() & TROUBLE) or bool(raw & NEGATIONS),
        whole=whole,
        plain=" ".join(token.text for token in tokens if token.kind != "mark"),
    )


@lru_cache(maxsize=5_000)
def meanings(word: str) -> frozenset[str]:
    """The stems of what a word says and of what follows from it."""
    own = stem(word)
    found = {own, *FOLLOWS.get(own, ())}
    for family in FAMILIES:
        if own in family:
            found |= family
    return frozenset(found)


def _zero_after(tokens: tuple[Token, ...], index: int) -> bool:
    if index + 2 >= len(tokens):
        return False
    after = tokens[index + 2]
    if after.kind == "number" and after.number is not None:
        return bool(after.number.readings) and after.number.readings[0][1] == 0
    return after.text in ("false", "none", "no", "unknown")


def _settle_gauge(tokens: tuple[Token, ...], words: dict[str, set[str]]) -> None:
    """A metric that is 0 now asserts nothing of what its name says; `up` at 0 says the opposite."""
    for index, token in enumerate(tokens):
        if token.is_key and token.text in ("now", "value", "current") and _zero_after(tokens, index):
            for stem_of, found in words.items():
                if stem_of not in ("now", "value", "current") and "+" in found:
                    found.discard("+")
                    found.add("zero")
            if any(item.text == "up" for item in tokens[:index]):
                for word in ("down", "unreachabl", "fail"):
                    words.setdefault(word, set()).add("+")
    if any(token.text == "up" and token.is_key and _zero_after(tokens, index) for index, token in enumerate(tokens)):
        words.setdefault("down", set()).add("+")


def _edges(tokens: tuple[Token, ...]) -> frozenset[tuple[str, str]]:
    found = set()
    for index in range(1, len(tokens) - 1):
        if tokens[index].text == "→":
            left, right = tokens[index - 1].text, tokens[index + 1].text
            found |= {(one.rsplit("/", 1)[-1], two.rsplit("/", 1)[-1]) for one in (left,) for two in (right,)}
    return frozenset(found)


def _replaced(tokens: tuple[Token, ...]) -> frozenset[str]:
    """The names left of an arrow that do not stand right of it as well."""
    old = {part for one, two in pairwise(tokens) if two.text == "→" and one.kind == "name" for part, _ in parts_of(one.text)}
    new = {part for one, two in pairwise(tokens) if one.text == "→" and two.kind == "name" for part, _ in parts_of(two.text)}
    return frozenset(old - new) if any(re.search(r"\d", part) for part in old) else frozenset()


def _owners(tokens: tuple[Token, ...], names: dict[str, set[str]]) -> dict[int, str]:
    """Words that a line says of a thing which it names on the way, after its first colon: `pod a: image b: not found` says it of the image."""
    owner, found, told = "", {}, False
    for index, token in enumerate(tokens):
        told = told or (token.text == ":" and not token.quoted)
        if token.kind == "name" and token.hard and told and re.match(r"[a-z]", token.text):
            owner = token.text if token.quoted or names.get(token.text, set()) & {"image", "volume"} else owner
        elif token.kind != "mark" and owner and not token.quoted:
            found[index] = owner
    return found


_DONE = frozenset(
    stem(word)
    for word in ("pull", "mount", "attach", "schedule", "start", "create", "resolve", "write", "read", "bind", "scale", "complete", "connect")
)
_UNDONE = frozenset(stem(word) for word in ("failed", "backoff", "error", "refused", "timeout", "denied", "impossible", "rejected"))


def _next(said: Sequence[str], place: int, tokens: tuple[Token, ...], index: int) -> str:
    return said[place + 1] if place + 1 < len(said) else tokens[index + 1].text if index + 1 < len(tokens) else ""


def _settle_none(tokens: tuple[Token, ...], words: dict[str, set[str]]) -> None:
    """`errors of blog: none` denies the errors."""
    for index, token in enumerate(tokens):
        if token.text == "none" and index and tokens[index - 1].text in (":", "="):
            for before in tokens[:index]:
                for meaning in meanings(before.text) if before.kind == "word" else ():
                    words[meaning].discard("+")
                    words[meaning].add("-")


def _keys(tokens: tuple[Token, ...], index: int) -> frozenset[str]:
    """The words that say what the number is: the key before `=`, or the words around it up to the next number or mark."""
    keys: set[str] = set()
    if index + 1 < len(tokens) and tokens[index + 1].text in ("times", "time", "x"):
        return frozenset(
            {"time", "count"} | ({word for _, word, step in around(tokens, index, 2) if step < 0} if tokens[index - 1].text != "(" else set())
        )
    if index + 2 < len(tokens) and _is_bare(tokens[index]) and tokens[index + 1].text == "of" and tokens[index + 2].kind == "number":
        index += 2  # 1 of 3 targets: what is said of the second is said of both
    while index + 1 < len(tokens) and _is_bare(tokens[index]) and _is_bare(tokens[index + 1]):
        index += 1  # 0/6 nodes
    first = index - 1 if index and _is_bare(tokens[index - 1]) else index
    if first >= 2 and tokens[first - 1].text == "=" and tokens[first - 2].kind in ("word", "name"):
        found = tokens[first - 2]
        keys |= set(words_within(found) or re.split(r"[_-]", found.text))
        if first >= 4 and tokens[first - 3].text == ":" and tokens[first - 4].kind == "word":
            keys.add(tokens[first - 4].text)  # "used: cpu=7800m"
        return _keyed(keys)
    for _, word, step in around(tokens, index, 5):
        if step > 0 or word not in KINDS:
            keys.add(word)
    arrow_before = index and tokens[index - 1].text == "→"
    arrow_after = index + 1 < len(tokens) and tokens[index + 1].text == "→"
    keys |= {"to"} if arrow_before else set()
    keys |= {"from"} if arrow_after else set()
    return _keyed(keys)


def _is_bare(token: Token) -> bool:
    return token.kind == "number" and token.number is not None and token.number.bare


_TRAILING = frozenset({"usual", "usually", "normal", "normally", "before"})


def around(tokens: Sequence[Token], index: int, most: int) -> list[tuple[int, str, int]]:
    """The words around a number with their distance, nearest first: up to a mark, and each only where no other number is nearer."""
    found: list[tuple[int, str, int]] = []
    for step in (-1, 1):
        seen: list[str] = []
        position = index + step
        if step < 0 and position > 0 and tokens[position].text == "(":
            position -= 1  # "exit OOMKilled (137)"
        stopped = False
        while 0 <= position < len(tokens) and len(seen) < 2 * most:
            token = tokens[position]
            if token.kind == "number":
                stopped = True
                break
            if token.kind == "mark" and token.text in ',;|()→="`':
                break
            if token.is_key or (token.kind == "name" and step < 0 and any(other.text == ":" for other in tokens[position:index])):
                break
            seen += (
                [token.text]
                if token.kind == "word"
                else list(words_within(token)) or ([token.text] if token.text[:1] == "p" else [])
                if token.kind == "name"
                else []
            )
            position += step
        for distance, word in enumerate(seen, 1):
            theirs = len(seen) - distance + 1
            if distance > most or (stopped and (theirs < distance or (theirs == distance and step > 0 and word in FORWARD))):
                break
            if step > 0 and word in FORWARD and (stopped or word not in _TRAILING):
                break
            found.append((distance, word, step))
    return sorted(found, key=lambda item: item[0])


def _keyed(words: set[str]) -> frozenset[str]:
    found: set[str] = set()
    for word in words:
        if word and not word[0].isdigit():
            found |= meanings(word)
            found |= KEYS_OF.get(word, frozenset())
    if words & COUNTED_BY:
        found |= {"replic", "pod"}
    if words & _EARLIER:
        found |= _EARLIER
    if words & _NOW - {"is"}:
        found |= _NOW
    return frozenset(found)


def _with_now(numbers: Sequence[FactNumber]) -> list[FactNumber]:
    """`used 47.5Gi of 50Gi, 24h_ago=38Gi`: the first number is today's where no other says so."""
    now = any(item.keys & {"now", "to"} for item in numbers)
    before = [item for item in numbers if item.keys & {"ago", "from"} and "span" not in item.keys and item.number.readings]
    made = list(numbers)
    for index, item in enumerate(numbers):
        if (
            not now
            and before
            and item not in before
            and item.number.readings
            and not item.keys & {"span", "limit", "of", "max"}
            and item.number.readings[0][0] == before[0].number.readings[0][0]
        ):
            made[index] = replace(item, keys=item.keys | _NOW)
            break
    return made


def _directions(words: dict[str, frozenset[str]], numbers: Sequence[FactNumber]) -> frozenset[str]:
    found = {name for name, stems in (("up", UP), ("down", DOWN)) for word in stems if "+" in words.get(word, ())}
    for item in numbers:
        if item.keys & {"slope", "trend", "chang"} and item.number.readings:
            value = item.number.readings[0][1]
            found |= {"up"} if value > 0 else {"down"} if value < 0 else set()
    now = [item for item in numbers if item.keys & {"now", "to"} and not item.keys & {"ago", "limit"} and item.number.readings]
    before = [item for item in numbers if item.keys & {"ago", "from"} and not item.keys & {"limit", "span"} and item.number.readings]
    for new in now:
        for old in before:
            if new is not old and new.number.readings[0][0] == old.number.readings[0][0]:
                a, b = new.number.readings[0][1], old.number.readings[0][1]
                found |= {"up"} if a > b * 1.03 else {"down"} if a < b * 0.97 else set()
    return frozenset(found)
