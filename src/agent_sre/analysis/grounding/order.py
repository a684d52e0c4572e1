"""Sentences of several pieces: each piece needs its fact, and what joins two pieces needs an order of events."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from agent_sre.analysis.grounding.check import require_support
from agent_sre.analysis.grounding.entities import Token, workload_of
from agent_sre.analysis.grounding.lines import Unit
from agent_sre.analysis.grounding.piece import Unsupported, name_in, same_object
from agent_sre.analysis.grounding.vocabulary import NEGATIONS, NEUTRAL, stem

_EFFECT_FIRST = frozenset({"because", "becauseof", "after", "since", "following"})
_CAUSE_FIRST = frozenset({"ledto", "so", "therefore", "thus", "hence", "consequently", "before", "then", "subsequently", "making"})
_TEMPORAL = frozenset({"after", "before", "since", "following"})
_JOINTS = frozenset(
    {"and", "while", "but", "whereas", "which", "with", "when", "as", "where", "that", "although", "though", "who", "whose", ",", ";", ":", "(", ")"}
)
_PRONOUNS = frozenset({"it", "its", "this", "these", "they", "their", "itself"})
_MAX_PIECES = 6

_RANKS = (
    "rollout deploy deployment rollback config configmap version revision upgrade quota image certificate expire expired scale secret",
    "memory limit disk full nospace exhausted cpu throttle throttled leak network dns nxdomain refused pressure filesystem space connection quorum"
    " lookup volume",
    "oom",
    "kill killed evicted terminated exit probe panic",
    "crashloop crash restart backoff pending ready available schedulable start",
    "error latency 5xx slow timeout fail request unreachable",
)
_RANK = {stem(word): rank for rank, words in enumerate(_RANKS) for word in words.split()}


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """All units, by evidence id, and the context."""

    by_id: dict[str, tuple[Unit, ...]]
    context: Unit | None
    names: frozenset[str]

    @classmethod
    def of(cls, units: Sequence[Unit], context: Unit | None) -> Facts:
        """The units sorted by their evidence."""
        by_id: dict[str, list[Unit]] = {}
        for unit in units:
            by_id.setdefault(unit.evidence_id, []).append(unit)
        names = frozenset(name for unit in (*units, *((context,) if context else ())) for name in unit.names)
        return cls({key: tuple(found) for key, found in by_id.items()}, context, names)

    def could_show(self, tokens: Sequence[Token], evidence_id: str) -> bool:
        """Whether that evidence bears out some piece of the sentence by itself, though others were chosen for it."""
        units = self.by_id.get(evidence_id, ())
        for piece in _pieces(tokens):
            for unit in units:
                try:
                    require_support(piece, unit, context=self.context, places=units)
                except Unsupported:
                    continue
                return True
        return False


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """A piece and the unit that bears it out."""

    tokens: tuple[Token, ...]
    unit: Unit
    subjects: frozenset[str]
    own: bool  # whether it names its subjects itself


def evidence_for(tokens: Sequence[Token], facts: Facts, pool: Sequence[str], before: frozenset[str] | None) -> tuple[tuple[str, ...], frozenset[str]]:
    """The evidence that bears the sentence out, and whom it is about. Raises Unsupported where there is none.

    `before` is whom the sentence before was about; None where that one was dropped, so that an `it` would hang in the air.
    """
    tokens = _with_names(tokens, facts)
    units = tuple(unit for item in pool for unit in facts.by_id.get(item, ()))
    subjects = _inherited(tokens, before, facts)
    whole = _best(tokens, units, facts, subjects)
    joined = any(_joins(tokens, index) for index in range(len(tokens)))
    shown = [whole] if isinstance(whole, _Shown) and not joined else _sides(tokens, units, facts, subjects)
    ids = tuple(dict.fromkeys(item.unit.evidence_id for item in shown if item.unit.evidence_id))
    return ids, frozenset(name for item in shown for name in item.subjects)


def _with_names(tokens: Sequence[Token], facts: Facts) -> tuple[Token, ...]:
    """Plain words that the facts know as names are names here too: `checkout`."""
    made = []
    for token in tokens:
        if token.kind == "word" and token.text in facts.names and not token.quoted and token.stem not in NEUTRAL and token.stem not in _RANK:
            token = Token("name", token.text, token.stem, raw=token.raw)
        made.append(token)
    return tuple(made)


def _inherited(tokens: Sequence[Token], before: frozenset[str] | None, facts: Facts) -> frozenset[str]:
    first = next((token for token in tokens if token.kind != "mark"), None)
    if first is None or any(token.kind == "name" for token in tokens[:4]):
        return frozenset()
    if first.text in _PRONOUNS:
        if before is None:
            raise Unsupported("unclear", "", 0)
        return before or (facts.context.subjects if facts.context else frozenset())
    return before or frozenset()


def _sides(tokens: tuple[Token, ...], units: Sequence[Unit], facts: Facts, subjects: frozenset[str]) -> list[_Shown]:
    """The sentence cut at its causal joints, each side borne out, and the order of the sides by the facts' instants."""
    cuts = [index for index, token in enumerate(tokens) if _joins(tokens, index)]
    if not cuts:
        return _cover(tokens, units, facts, subjects)
    bounds = [0, *cuts, len(tokens)]
    parts = [tokens[start + (1 if number else 0) : end] for number, (start, end) in enumerate(itertools.pairwise(bounds))]
    if any(not _says(part) for part in parts):
        # "Because its memory was full, cart-0 was killed": the joint comes first, and the comma parts the sides.
        parts, cuts, tokens = _turned(tokens, cuts)
    names = [_subject_names(part, units) for part in parts]
    shown: list[list[_Shown]] = []
    current = subjects
    for number, part in enumerate(parts):
        about = current
        if not names[number] and not about:
            others = [found for found in names if found]
            about = others[0] if len({frozenset(map(_root, found)) for found in others}) == 1 else frozenset()
        found = _cover(part, units, facts, about)
        shown.append(found)
        current = frozenset(name for item in found for name in item.subjects) or current
    for number, cut in enumerate(cuts):
        word = tokens[cut].text
        first, second = shown[number], shown[number + 1]
        cause, effect = (second, first) if word in _EFFECT_FIRST else (first, second)
        _require_order(cause, effect, facts, word)
    return [item for part in shown for item in part]


def _turned(tokens: tuple[Token, ...], cuts: list[int]) -> tuple[list[tuple[Token, ...]], list[int], tuple[Token, ...]]:
    comma = next((index for index, token in enumerate(tokens) if token.text == "," and index > cuts[0]), None)
    if cuts[0] > 1 or len(cuts) != 1 or comma is None or tokens[cuts[0]].text not in _EFFECT_FIRST | {"before"}:
        raise Unsupported("causality", "one side says nothing", 4)
    cause, effect = tokens[cuts[0] + 1 : comma], tokens[comma + 1 :]
    if not _says(cause) or not _says(effect):
        raise Unsupported("causality", "one side says nothing", 4)
    turned = (*effect, tokens[cuts[0]], *cause)
    return [tuple(effect), tuple(cause)], [len(effect)], turned


def _joins(tokens: Sequence[Token], index: int) -> bool:
    token = tokens[index]
    if token.kind != "word" or token.text not in _EFFECT_FIRST | _CAUSE_FIRST or token.quoted:
        return False
    after = tokens[index + 1 :]
    if token.text in _TEMPORAL:
        # "after 10:02", "5 minutes before": a time, not an event
        return (
            bool(after)
            and after[0].kind != "number"
            and after[0].text not in {"in", "at", "on", "for", "by"}
            and any(item.kind == "name" or (item.kind == "word" and item.stem not in NEUTRAL) for item in after[:6])
        )
    return True


def _says(tokens: Sequence[Token]) -> bool:
    return any(token.kind in ("name", "number") or (token.kind == "word" and token.stem not in NEUTRAL) for token in tokens)


def _pieces(tokens: Sequence[Token]) -> list[tuple[Token, ...]]:
    found: list[list[Token]] = [[]]
    for token in tokens:
        if token.text in _JOINTS or token.text in _EFFECT_FIRST | _CAUSE_FIRST:
            found.append([])
        else:
            found[-1].append(token)
    return [tuple(piece) for piece in found if piece]


def _cover(tokens: tuple[Token, ...], units: Sequence[Unit], facts: Facts, subjects: frozenset[str]) -> list[_Shown]:
    """As few pieces as possible, each borne out by one unit; a piece that names nobody is about whom the one before was about."""
    best = _best(tokens, units, facts, subjects)
    if isinstance(best, _Shown):
        return [best]
    joints = [index for index, token in enumerate(tokens) if token.text in _JOINTS and _says(tokens[:index]) and _says(tokens[index + 1 :])]
    failure = best
    for joint in reversed(joints[:_MAX_PIECES]):
        head = _best(tokens[:joint], units, facts, subjects)
        if not isinstance(head, _Shown):
            continue
        try:
            return [head, *_cover(tokens[joint + 1 :], units, facts, head.subjects or subjects)]
        except Unsupported as found:
            failure = found if found.depth >= failure.depth else failure
    raise failure


def _best(tokens: tuple[Token, ...], units: Sequence[Unit], facts: Facts, subjects: frozenset[str]) -> _Shown | Unsupported:
    """The first unit that bears out all of it, the context last; or the failure that came furthest."""
    failure = Unsupported("no_evidence", "", -1)
    context = (facts.context,) if facts.context is not None else ()
    for unit in (*units, *context):
        try:
            require_support(tokens, unit, context=facts.context, places=units, subjects=_about(subjects, unit, tokens, facts))
        except Unsupported as found:
            if found.depth > failure.depth:
                failure = found
            continue
        own = _subject_names(tokens, (unit,))
        if denied := _denied(tokens, unit, own or subjects, facts):
            failure = Unsupported("contradicts", denied, 5)
            continue
        return _Shown(tokens, unit, own or subjects or unit.subjects, bool(own))
    return failure


def _denied(tokens: Sequence[Token], unit: Unit, subjects: frozenset[str], facts: Facts) -> str:
    """What another fact about the same object measures as 0, though this one mentions it: a log line about a leader is no leader."""
    if any(token.text in NEGATIONS for token in tokens):
        return ""
    for token in tokens:
        if token.kind != "word" or token.quoted or token.stem in NEUTRAL or "key" in unit.words.get(token.stem, ()):
            continue
        for others in facts.by_id.values():
            for other in others:
                if (
                    other is not unit
                    and not other.whole
                    and other.words.get(token.stem) == frozenset({"zero"})
                    and any(name in other.names for name in subjects)
                ):
                    return token.raw
    return ""


def _about(subjects: frozenset[str], unit: Unit, tokens: Sequence[Token], facts: Facts) -> frozenset[str]:
    """Whom a piece that names nobody must be about. "The node", said of a pod, may be the node that a fact puts the pod on."""
    if not subjects or any(same_object(name, unit) for name in subjects):
        return subjects
    if not unit.names:
        return frozenset()
    words = {token.text for token in tokens if token.kind == "word"}
    for kind in ("node", "volume", "namespace"):
        if kind in unit.kinds and words & {kind, "host" if kind == "node" else "pvc" if kind == "volume" else "ns"}:
            places = [name for name, known in unit.names.items() if kind in known]
            for other in (item for found in facts.by_id.values() for item in found):
                if not other.whole and any(place in other.names for place in places) and any(same_object(name, other) for name in subjects):
                    return frozenset()
    return subjects


def _subject_names(tokens: Sequence[Token], units: Sequence[Unit]) -> frozenset[str]:
    found = set()
    for token in tokens:
        if token.kind != "name":
            continue
        for unit in units:
            kinds = unit.names.get(token.text)
            if (
                kinds is not None
                and not kinds & {"namespace", "release", "image", "metric"}
                and name_in(token, unit)
                and any(_root(token.text) == _root(name) for name in unit.subjects)
            ):
                found.add(token.text)
    return frozenset(found)


def _root(name: str) -> str:
    last = name.rsplit("/", 1)[-1]
    return workload_of(last) or last


def _require_order(cause: Sequence[_Shown], effect: Sequence[_Shown], facts: Facts, word: str) -> None:
    causes, effects = [item.unit for item in cause], [item.unit for item in effect]
    if word not in _TEMPORAL | {"then", "subsequently"}:
        _require_link(cause, effect, facts)
    if any(a is b for a in causes for b in effects) and _same_order(cause, effect):
        return
    starts, follows = [unit.at for unit in causes if unit.at], [unit.at for unit in effects if unit.at]
    if starts and follows and len(starts) == len(causes) and len(follows) == len(effects):
        if min(starts) < min(follows):
            return
        if min(starts) > min(follows) or word in _TEMPORAL:
            raise Unsupported("causality", "the cause came later", 5)
    before, after = _rank(cause), _rank(effect)
    if before is None or after is None or before >= after:
        raise Unsupported("causality", "the facts do not tell which came first", 5)


def _rank(shown: Sequence[_Shown]) -> int | None:
    ranks = [_RANK[token.stem] for item in shown for token in item.tokens if token.kind == "word" and token.stem in _RANK]
    ranks += [2 for item in shown for token in item.tokens if token.text.startswith("oom")]
    return max(ranks) if ranks else None


def _same_order(cause: Sequence[_Shown], effect: Sequence[_Shown]) -> bool:
    """Within one line that has its own `because`, `after` or `→`: the words of the cause stand where the line has them."""
    unit = cause[0].unit
    joints = [(at, True) for at in unit.colons] + [
        (at, word == "after") for word in ("after", "ledto", "so", "then") for at in unit.words_at.get(word, ())
    ]
    return any(_parted(cause, effect, unit, at, effect_first) for at, effect_first in joints)


def _parted(cause: Sequence[_Shown], effect: Sequence[_Shown], unit: Unit, at: int, effect_first: bool) -> bool:
    sides = []
    for shown, after in ((cause, effect_first), (effect, not effect_first)):
        words = [
            token.stem
            for item in shown
            for token in item.tokens
            if token.kind == "word" and token.stem not in NEUTRAL and token.stem in unit.words_at
        ]
        sides.append(bool(words) and all(any((place > at) == after for place in unit.words_at[word]) for word in words))
    return all(sides)


def _require_link(cause: Sequence[_Shown], effect: Sequence[_Shown], facts: Facts) -> None:
    """Two different objects need a fact (or the context) that has both, or the one is no cause of the other."""
    first = {name for item in cause if item.own for name in item.subjects}
    second = {name for item in effect if item.own for name in item.subjects}
    if not first or not second or {_root(name) for name in first} & {_root(name) for name in second}:
        return
    every = [unit for units in facts.by_id.values() for unit in units] + ([facts.context] if facts.context else [])
    if not any(any(same_object(a, unit) for a in first) and any(same_object(b, unit) for b in second) for unit in every):
        raise Unsupported("causality", f"nothing links {', '.join(sorted(first))} with {', '.join(sorted(second))}", 5)
