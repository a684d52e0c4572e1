"""The sentence checker: what it shows, what it drops and why, and that nothing false gets through."""

from __future__ import annotations

import collections
import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.analysis.fact_line import FactLine
from agent_sre.analysis.grounding import Grounded, ground, reasons
from analysis.grounding.by_hand import BY_HAND
from analysis.grounding.mutators import MUTATORS, Lie, Mutator
from analysis.grounding.second import SECOND
from analysis.grounding.worlds import WORLDS, World
from analysis.grounding.worlds_packed import PACKED

ALL = (*WORLDS, *PACKED)
MEMORY = WORLDS[0]
POD = "cart-7d9f8b6c5-x2x4z"


def check(text: str, world: World = MEMORY, cited: Sequence[str] | None = None) -> Grounded:
    return ground(text, cited=world.cited if cited is None else cited, facts=world.facts, context=world.context)


def reason_of(text: str, cited: Sequence[str] | None = None) -> str:
    found = check(text, cited=cited)
    assert not found.sentences, found.sentences
    return found.dropped[-1].reason


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_true_sentence_carries_the_least_evidence_that_bears_it_out() -> None:
    found = check(f"The pod {POD} was OOMKilled with exit code 137. Memory is rising at 0.8Gi/h.")
    assert [sentence.evidence_ids for sentence in found.sentences] == [("E02",), ("E01",)]
    assert not found.dropped


def test_two_pieces_cite_two_facts() -> None:
    found = check(f"{POD} was OOMKilled because its memory grew to 1.71Gi of the 2Gi limit.")
    assert found.sentences[0].evidence_ids == ("E02", "E01")


def test_ids_in_the_text_count_as_cited_and_are_taken_out() -> None:
    found = check(f"The pod {POD} was OOMKilled [E02].", cited=())
    assert found.sentences[0].text == f"The pod {POD} was OOMKilled."
    assert found.sentences[0].evidence_ids == ("E02",)


def test_what_only_the_context_says_carries_what_was_cited() -> None:
    found = check("The container needs more memory than its limit allows.")
    assert found.sentences[0].evidence_ids == MEMORY.cited[:3]


def test_a_number_may_be_converted_or_rounded_but_not_changed() -> None:
    assert check(f"The memory of {POD} is 1.7Gi.").sentences
    assert check(f"The memory of {POD} is 1751Mi.").sentences
    assert reason_of(f"The memory of {POD} is 1.72Gi.") == "unsupported_number"
    assert reason_of(f"The memory of {POD} is 1.71GB.") == "unsupported_number"


@pytest.mark.parametrize("world", ALL, ids=[world.name for world in ALL])
def test_no_sentence_of_a_world_raises_and_every_id_was_cited(world: World) -> None:
    found = check(" ".join(world.true), world)
    assert len(found.sentences) + len(found.dropped) == len(world.true)
    for sentence in found.sentences:
        assert set(sentence.evidence_ids) <= set(world.cited)
        assert 1 <= len(sentence.evidence_ids) <= 3


def test_under_two_percent_of_true_sentences_are_dropped() -> None:
    dropped = []
    for world in ALL:
        before = ""
        for sentence in world.true:
            text = f"{before} {sentence}" if re.match(r"It\b|Its\b", sentence) else sentence
            if check(text, world).dropped:
                dropped.append(sentence)
            before = sentence
    total = sum(len(world.true) for world in ALL)
    assert total >= 200
    assert len(dropped) < 0.02 * total, dropped


# ── what is dropped, and why ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{POD} was OOMKilled, see https://a.example/x.", "link"),
        (f"**{POD}** was OOMKilled.", "markup"),
        (f"{POD} wаs OOMKilled.", "script"),
        (f"cart-7d9f8b6c5\u200b-x2x4z was OOMKilled. {POD}\u2063 was OOMKilled.", "script"),
        (f"{POD} was OOMKilled [E99].", "unknown_id"),
        (f"{POD} was OOMKilled [E04].", "wrong_id"),
        (f"Was {POD} OOMKilled?", "question"),
        (f"I think that {POD} was OOMKilled.", "about_itself"),
        (f"Restart {POD}.", "advice"),
        (f"{POD} should be restarted.", "advice"),
        ("cart-7d9f8b6c5-aaaaa was OOMKilled.", "unsupported_entity"),
        (f"{POD} was OOMKilled 6 times.", "unsupported_number"),
        (f"{POD} has a disk leak.", "unsupported_claim"),
        (f"{POD} was not OOMKilled.", "contradicts"),
        (f"The memory of {POD} fell to 1.71Gi.", "contradicts"),
        (f"{POD} uses 2Gi of its 1.71Gi limit.", "contradicts"),
        (f"Its memory grew to 1.71Gi because {POD} was OOMKilled.", "causality"),
        ("The database crashed. It was OOMKilled.", "unclear"),
        ("There is an alert.", "no_evidence"),
    ],
)
def test_a_false_sentence_says_why_it_is_dropped(text: str, reason: str) -> None:
    assert reason_of(text) == reason


def test_every_reason_is_known_and_told_in_a_sentence() -> None:
    found = check("Is it? Restart it. The moon is full. See https://a.example.")
    assert {item.reason for item in found.dropped} <= set(reasons())
    assert all(item.why.endswith(".") and "{}" not in item.why for item in found.dropped)


def test_nothing_is_shown_without_cited_evidence() -> None:
    assert reason_of(f"The pod {POD} was OOMKilled.", cited=()) == "no_evidence"
    assert check(f"The pod {POD} was OOMKilled.", cited=("E01", "E03")).sentences == ()


def test_another_pods_number_is_not_this_pods() -> None:
    search = "search-5c6d7f8b9-q9w8z"
    assert check(f"The memory of {search} is 0.42Gi.").sentences
    assert not check(f"The memory of {search} is 1.71Gi.").sentences
    assert not check(f"{search} restarted 5 times.").sentences


def test_the_objects_of_one_line_keep_their_own_numbers() -> None:
    facts = (FactLine(evidence_id="E01", text="pods of shop: cart-0 restarts=5, OOMKilled; cart-1 restarts=0"),)
    assert ground("cart-0 restarted 5 times.", cited=("E01",), facts=facts).sentences
    assert not ground("cart-1 restarted 5 times.", cited=("E01",), facts=facts).sentences
    assert not ground("cart-1 was OOMKilled.", cited=("E01",), facts=facts).sentences
    assert [item.text for item in ground("cart-1 has 0 restarts. It was OOMKilled.", cited=("E01",), facts=facts).sentences] == [
        "cart-1 has 0 restarts."
    ]


def test_what_is_predicted_has_not_happened() -> None:
    facts = (FactLine(evidence_id="E01", text="The volume data-0 will be full in 4h"),)
    assert not ground("The volume data-0 is full.", cited=("E01",), facts=facts).sentences
    assert ground("The volume data-0 will be full in 4 hours.", cited=("E01",), facts=facts).sentences


def test_a_cause_comes_before_its_effect_whatever_the_sentence_says() -> None:
    def told(rollout: int, errors: int) -> Grounded:
        facts = (
            FactLine(evidence_id="E01", text="Deployment shop/cart rolled out revision 7", at=datetime(2026, 11, 25, rollout, tzinfo=UTC)),
            FactLine(evidence_id="E02", text="errors of shop/cart: now=12% usual=1%", at=datetime(2026, 11, 25, errors, tzinfo=UTC)),
        )
        return ground("The errors of cart rose to 12% because cart rolled out revision 7.", cited=("E01", "E02"), facts=facts)

    assert told(9, 10).sentences
    assert told(10, 9).dropped[0].reason == "causality"


# ── lies ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def leaks(mutators: Sequence[Mutator], count: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    """How many lies each mutator told, and what was shown of them that is not one of the world's true sentences."""
    rng = random.Random(seed)
    pairs = [(world, sentence) for world in ALL for sentence in world.true if not re.match(r"It\b|Its\b", sentence)]
    told: collections.Counter[str] = collections.Counter()
    shown: list[str] = []
    while told.total() < count:
        mutator = rng.choice(mutators)
        world, sentence = rng.choice(pairs)
        lie = mutator(sentence, world, rng)
        if lie is None:
            continue
        lie = Lie(text=lie) if isinstance(lie, str) else lie
        told[mutator.__name__] += 1
        found = check(lie.text, world, lie.cited)
        shown += [
            f"{mutator.__name__}: {item.text} {item.evidence_ids}"
            for item in found.sentences
            if lie.nothing or item.text not in world.true or set(item.evidence_ids) & lie.forbidden
        ]
    return told, shown


def test_no_lie_of_the_first_set_is_shown() -> None:
    told, shown = leaks(MUTATORS, 6_000, seed=20261125)
    assert len(told) == len(MUTATORS)
    assert not shown


def test_no_lie_of_the_second_set_is_shown() -> None:
    told, shown = leaks(SECOND, 4_000, seed=20261125)
    assert len(told) == len(SECOND)
    assert not shown


@pytest.mark.parametrize("name", BY_HAND)
def test_no_lie_about_who_is_who_in_a_line_is_shown(name: str) -> None:
    world = next(world for world in ALL if world.name == name)
    assert [sentence for sentence in BY_HAND[name] if check(sentence, world).sentences] == []


# ── any text at all ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

_BITS = st.sampled_from(
    [*sorted({word for world in WORLDS[:6] for sentence in world.true for word in sentence.split()}), "[E02]", "E77", "\n", "…", '"', "`"]
)
_STRANGE = st.one_of(st.text(max_size=300), st.lists(_BITS, max_size=40).map(" ".join))


@settings(max_examples=150, deadline=None)
@given(text=_STRANGE, context=st.text(max_size=60), fact=st.text(max_size=120))
def test_any_text_and_any_fact_give_an_answer(text: str, context: str, fact: str) -> None:
    facts = (*MEMORY.facts, FactLine(evidence_id="E09", text=fact))
    found = ground(text, cited=("E01", "E02", "E09", "E55"), facts=facts, context=context)
    for sentence in found.sentences:
        assert sentence.evidence_ids
        assert set(sentence.evidence_ids) <= {line.evidence_id for line in facts}


@settings(max_examples=300, deadline=None)
@given(
    words=st.lists(_BITS, min_size=1, max_size=14),
    stranger=st.from_regex(r"\A[a-z]{3,9}-[0-9a-f]{4,6}\Z|\A[1-9]\d{2}\.\d{3}\Z"),
    at=st.integers(0, 14),
)
def test_no_shown_sentence_has_a_name_or_number_that_no_fact_has(words: list[str], stranger: str, at: int) -> None:
    text = " ".join([*words[:at], stranger, *words[at:]])
    if stranger in " ".join(fact.text for fact in MEMORY.facts):
        return
    assert all(stranger not in sentence.text for sentence in check(text).sentences)


SIGHT = FactLine(evidence_id="E04", text="seen: till-1 cannot pull shop.example/till:2.0: the registry does not have it, since 10:54:56Z")
CAUSE = "Deployment shop/till asks for the image shop.example/till:2.0, which the registry does not have"


def test_what_code_said_word_for_word_is_shown_with_what_it_rests_on() -> None:
    told = ground(f"Till-1 cannot pull shop.example/till:2.0: the registry does not have it. {CAUSE}.", cited=["E04"], facts=[SIGHT], context=CAUSE)
    assert [sentence.evidence_ids for sentence in told.sentences] == [("E04",), ("E04",)]
    resting = ground(f"{CAUSE}.", cited=["E01"], facts=[*MEMORY.facts, SIGHT], context=f"{CAUSE}. HighMemory", context_ids=["E04"])
    assert [sentence.evidence_ids for sentence in resting.sentences] == [("E04",)]


@pytest.mark.parametrize(
    "lie",
    [
        "Till-2 cannot pull shop.example/till:2.0: the registry does not have it.",
        "Till-1 cannot pull shop.example/till:2.1: the registry does not have it.",
        "Till-1 can pull shop.example/till:2.0: the registry does have it.",
        CAUSE.replace("till:2.0", "till:3.0"),
        CAUSE.replace("does not have", "has"),
        CAUSE.replace("till", "ti\u200bll"),
        f"{CAUSE} [E99].",
    ],
)
def test_one_letter_away_from_what_code_said_it_is_read_like_any_other_sentence(lie: str) -> None:
    assert not ground(lie, cited=["E04"], facts=[SIGHT], context=CAUSE).sentences


def test_a_sight_that_is_not_cited_lends_no_words() -> None:
    assert not ground(
        "Till-1 cannot pull shop.example/till:2.0: the registry does not have it.", cited=["E01"], facts=[*MEMORY.facts, SIGHT]
    ).sentences
