"""What of a model's text may be shown: each sentence that the cited facts bear out, with the evidence that does, and nothing else.

A closed world. A sentence is read into names, numbers and words; every one of them has to be in the facts (or to follow from what is), those that
belong together have to stand together in one fact, and what joins them (because, after) has to fit the order of events. What is not understood is
not shown: that costs some true sentences, and no false one is shown because it was worded in an unforeseen way.

    sentences.py   text -> canonical sentences, forms that are never shown (links, markup, other scripts)
    entities.py    sentence or fact -> names, numbers, words
    numbers.py     numbers with units, and when two of them agree
    vocabulary.py  the words: neutral ones, families, what follows from what
    lines.py       fact line -> what it says of whom
    check.py       does this piece of a sentence follow from that line? With who.py (names), figures.py (numbers), piece.py (what they share)
    order.py       pieces joined by because, after, which led to

Pure and without I/O; the rules in words, the guarantee and the figures are in docs/explanation/grounding.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent_sre.analysis.fact_line import FactLine
from agent_sre.analysis.grounding.entities import tokens_of
from agent_sre.analysis.grounding.lines import context_unit, units_of
from agent_sre.analysis.grounding.order import Facts, evidence_for
from agent_sre.analysis.grounding.piece import Unsupported
from agent_sre.analysis.grounding.sentences import bad_form, canonical, hidden, split, without_ids
from agent_sre.analysis.grounding.talk import not_a_statement

__all__ = ["DroppedSentence", "Grounded", "GroundedSentence", "ground"]

_MAX_TEXT = 8_000
_MAX_SENTENCE = 500
_MAX_SENTENCES = 40
_MAX_IDS = 3
_SIGHT = "seen: "  # how packing begins a fact that a detector worded
_SINCE = re.compile(r", since [\dT:Z -]{4,30}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundedSentence:
    """A sentence that may be shown, and the evidence that bears it out: at least one id, at most three."""

    text: str
    evidence_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedSentence:
    """A sentence that is not shown. `reason` is a token for counting, `why` a sentence for a reader. Its text is the model's: untrusted."""

    text: str
    reason: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounded:
    """What became of a text, in its order."""

    sentences: tuple[GroundedSentence, ...] = ()
    dropped: tuple[DroppedSentence, ...] = ()

    @property
    def text(self) -> str:
        """The shown sentences as one text."""
        return " ".join(sentence.text for sentence in self.sentences)


_WHY = {
    "link": "It holds a link or an address.",
    "markup": "It holds markup, code or data instead of a sentence.",
    "script": "It holds letters of another script, or invisible characters.",
    "too_long": "It is longer than a sentence of a report.",
    "unknown_id": "It cites evidence that does not exist: {}.",
    "wrong_id": "It cites evidence that does not bear it out: {}.",
    "question": "It asks instead of telling.",
    "about_itself": "It speaks of the reader, the model or its instructions.",
    "advice": "It recommends something. Recommendations come from code.",
    "no_evidence": "No evidence was cited that could bear it out.",
    "unsupported_entity": "Its cited evidence does not name {}.",
    "unsupported_number": "Its cited evidence does not have the number {}.",
    "unsupported_claim": "Its cited evidence does not say “{}”.",
    "other_object": "What it says is said of another object than {}.",
    "ambiguous": "Its cited evidence says this of several objects, or of another one.",
    "contradicts": "Its cited evidence says otherwise: {}.",
    "causality": "Its cited evidence does not show that one came of the other, in this order: {}.",
    "unclear": "It is not clear what “it” is, because the sentence before is not shown.",
    "too_many": "It needs more evidence than a sentence may cite.",
}


def reasons() -> tuple[str, ...]:
    """Every reason token there is."""
    return tuple(_WHY)


def ground(text: str, *, cited: Sequence[str], facts: Sequence[FactLine], context: str = "", context_ids: Sequence[str] = ()) -> Grounded:
    """Each sentence of the text as shown or dropped.

    Only facts whose id is in `cited`, or in the sentence itself, count. `context` is text by code (the chosen hypothesis, the alert's
    name and object) whose words may be used too; a sentence that needs nothing but the context carries the first three of `context_ids`, else of
    `cited`. A sentence that is word for word what code said needs no reading. Never raises, whatever the text.
    """
    known = {fact.evidence_id.upper() for fact in facts}
    given = tuple(dict.fromkeys(item.upper() for item in cited if item.upper() in known))
    world = Facts.of(units_of(facts), context_unit(canonical(context)))
    said = frozenset(_plain(part) for part in canonical(context).split(". ")) - {""}
    shown: list[GroundedSentence] = []
    dropped: list[DroppedSentence] = []
    subjects: frozenset[str] | None = frozenset()
    for raw in split(text[:_MAX_TEXT])[:_MAX_SENTENCES]:
        sentence = canonical(raw).strip()
        if not sentence:
            continue
        try:
            clean, ids, subjects = _checked(raw, sentence, given, known, world, subjects, context_ids)
            shown.append(GroundedSentence(text=clean, evidence_ids=ids))
        except Unsupported as failure:
            subjects = None
            if quoted := () if hidden(raw) else _said_by_code(sentence, given, facts, said, context_ids):
                shown.append(GroundedSentence(text=sentence, evidence_ids=quoted))
                continue
            why = _WHY.get(failure.reason, "").format(failure.what)
            dropped.append(DroppedSentence(text=sentence[:_MAX_SENTENCE], reason=failure.reason, why=why))
    return Grounded(sentences=tuple(shown), dropped=tuple(dropped))


def _said_by_code(
    sentence: str, given: tuple[str, ...], facts: Sequence[FactLine], said: frozenset[str], context_ids: Sequence[str]
) -> tuple[str, ...]:
    """The evidence of a sentence that is word for word what code said: a whole sight among the cited facts, or a sentence of the context."""
    plain = _plain(sentence)
    quoted = [fact.evidence_id for fact in facts if fact.evidence_id.upper() in given and fact.text.startswith(_SIGHT) and plain == _sight(fact)]
    return tuple(dict.fromkeys(quoted))[:_MAX_IDS] or (tuple(context_ids or given)[:_MAX_IDS] if plain in said else ())


def _sight(fact: FactLine) -> str:
    return _plain(_SINCE.sub("", canonical(fact.text).removeprefix(_SIGHT)))


def _plain(sentence: str) -> str:
    return " ".join(sentence.casefold().rstrip(".!").split())


def _checked(
    raw: str,
    sentence: str,
    given: tuple[str, ...],
    known: set[str],
    world: Facts,
    before: frozenset[str] | None,
    context_ids: Sequence[str],
) -> tuple[str, tuple[str, ...], frozenset[str]]:
    if len(sentence) > _MAX_SENTENCE:
        raise Unsupported("too_long", "", 0)
    if hidden(raw):
        raise Unsupported("script", "", 0)
    if reason := bad_form(sentence):
        raise Unsupported(reason, "", 0)
    clean, inline = without_ids(sentence)
    if invented := [item for item in inline if item not in known]:
        raise Unsupported("unknown_id", ", ".join(invented), 0)
    tokens = tokens_of(clean)
    if reason := not_a_statement(clean, tokens):
        raise Unsupported(reason, "", 0)
    pool = tuple(dict.fromkeys((*inline, *given)))
    if not pool:
        raise Unsupported("no_evidence", "", 0)
    ids, subjects = evidence_for(tokens, world, pool, before)
    if unused := [item for item in inline if item not in ids and not world.could_show(tokens, item)]:
        raise Unsupported("wrong_id", ", ".join(unused), 4)
    ids = tuple(dict.fromkeys((*inline, *(ids or tuple(context_ids or given)[:_MAX_IDS]))))
    if len(ids) > _MAX_IDS:
        raise Unsupported("too_many", "", 0)
    return clean, ids, subjects
