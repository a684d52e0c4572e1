"""The contract with the model: what is asked for, what is repaired, what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.analysis.llm.model import ModelFailed
from agent_sre.analysis.loose_json import loose_objects
from agent_sre.analysis.prompts import STATIC
from agent_sre.analysis.verdict import MISSING, UNKNOWN, Verdict, VerdictAnswer, read_verdict, verdict_schema
from fakes.ollama import fill

HYPOTHESES, EVIDENCE, ACTIONS = ("H1", "H2", "H10"), ("E01", "E02", "E07"), ("A1", "A2")
ANSWER: dict[str, Any] = {
    "a_reasoning": "E07 shows it.",
    "b_cause": "H1",
    "c_evidence": ["E07", "E01"],
    "d_confidence": "medium",
    "e_summary": "The pod was killed. Its memory reached the limit.",
    "f_impact": "Carts are lost.",
    "g_actions": ["A2", "A1"],
    "h_missing": ["logs"],
}
WHOLE = json.dumps(ANSWER)

SUPPORTED = {
    "type", "properties", "required", "additionalProperties", "enum", "const", "anyOf", "oneOf", "allOf", "items", "minItems", "maxItems",
    "minLength", "maxLength", "pattern", "minimum", "maximum", "$ref", "$defs", "format",
}  # fmt: skip
"""What llama.cpp's grammar makes of a schema (json-schema-to-grammar); all else is ignored without a word."""


def read(text: str, *, cut_off: bool = False) -> Verdict:
    return read_verdict(text, hypotheses=HYPOTHESES, evidence=EVIDENCE, actions=ACTIONS, cut_off=cut_off)


def but(**changes: Any) -> str:
    return json.dumps({**ANSWER, **changes})


def without(name: str) -> str:
    return json.dumps({key: value for key, value in ANSWER.items() if key != name})


def schema(**changes: Any) -> dict[str, Any]:
    return verdict_schema(**{"hypotheses": HYPOTHESES, "evidence": EVIDENCE, "actions": ACTIONS, **changes})


def keywords(part: Any, *, names: bool = False) -> set[str]:
    if isinstance(part, Mapping):
        inner = [
            keywords(value, names=key in ("properties", "$defs")) for key, value in part.items() if names or key not in ("enum", "const", "required")
        ]
        return set().union(*inner) | (set() if names else set(part))
    return set().union(*(keywords(item) for item in part)) if isinstance(part, list) else set()


# The schema


@pytest.mark.parametrize("made", [schema(), schema(brief=True), schema(evidence=(), actions=()), {**VerdictAnswer.model_json_schema(), "title": ""}])
def test_only_keywords_that_the_grammar_supports(made: dict[str, Any]) -> None:
    assert keywords(made) - {"title", "description"} <= SUPPORTED


def test_every_field_is_required_in_alphabetical_order_with_the_reasoning_first() -> None:
    made = schema()
    assert made["required"] == list(made["properties"]) == sorted(made["properties"]) == list(VerdictAnswer.model_fields)
    assert made["required"][0] == "a_reasoning"
    assert made["additionalProperties"] is False


def test_the_ids_of_the_request_are_enums() -> None:
    fields = schema()["properties"]
    assert fields["b_cause"]["enum"] == [*HYPOTHESES, UNKNOWN]
    assert fields["c_evidence"]["items"]["enum"] == list(EVIDENCE)
    assert fields["g_actions"]["items"]["enum"] == list(ACTIONS)
    assert set(fields["h_missing"]["items"]["enum"]) == {*MISSING, "none"}
    assert "enum" not in schema(evidence=())["properties"]["c_evidence"]["items"]


def test_limits_stay_under_what_grammars_manage() -> None:
    for field in schema()["properties"].values():
        assert field.get("maxLength", 0) <= 500
        assert field.get("maxItems", 0) <= 10


def test_the_prompt_describes_every_field_because_no_server_shows_the_schema_to_the_model() -> None:
    for text in STATIC.values():
        assert all(name in text for name in VerdictAnswer.model_fields)
    assert all(kind in STATIC["full"] for kind in MISSING)


def test_the_example_in_the_prompt_is_a_valid_answer() -> None:
    example = next(line.removeprefix("Example: ") for line in STATIC["full"].splitlines() if line.startswith("Example: "))
    VerdictAnswer.model_validate(json.loads(example))


def test_the_smallest_answer_that_the_schema_allows_is_read() -> None:
    for made in (schema(), schema(brief=True)):
        assert read(json.dumps(fill(made))).cause == "H1"


# Reading


def test_a_whole_answer_is_read_as_it_is() -> None:
    verdict = read(WHOLE)
    assert (verdict.cause, verdict.evidence_ids, verdict.actions, verdict.missing) == ("H1", ("E07", "E01"), ("A2", "A1"), ("logs",))
    assert not verdict.repaired


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{WHOLE}\n```",
        f"Sure! Here is the JSON:\n{WHOLE}\nI hope this helps {{you}}.",
        WHOLE[:-1] + ",}",
        WHOLE.replace('"A1"]', '"A1",]'),
        WHOLE.replace('"', "'"),
        re.sub('"([^"]*)"', r"“\1”", WHOLE),
        WHOLE.replace('"b_cause": "H1"', '"b_cause": H1'),
        WHOLE.replace("H1", "h1").replace("E07", "e7"),
        WHOLE.replace('"H1"', '"H1: the pod was killed"'),
        WHOLE.replace('["E07", "E01"]', '"E07, E01"'),
        WHOLE.replace('["E07", "E01"]', '["E07", "E01", "E99", "E07"]'),
        WHOLE.replace('["E07", "E01"]', '["[E07]", "E01 memory"]'),
        WHOLE.replace('"d_confidence": "medium"', '"d_confidence": "Medium"'),
        WHOLE.replace('"d_confidence": "medium"', '"d_confidence": NaN'),
        but(extra={"a": [1, {"b": "}"}]}),
        but(d_confidence=0.9, extra=None),
        WHOLE.replace("The pod was killed.", "The pod\nwas killed."),
        WHOLE.replace('"f_impact"', '"F_Impact"'),
        without("a_reasoning"),
        without("h_missing"),
        f'{WHOLE[:-1]}, "z": {"[" * 10_000}',
        f"{{ not json }} {WHOLE}",
    ],
)
def test_the_form_is_repaired(text: str) -> None:
    verdict = read(text)
    assert (verdict.cause, verdict.evidence_ids, verdict.actions) == ("H1", ("E07", "E01"), ("A2", "A1"))
    assert verdict.summary.startswith("The pod was killed.")
    assert verdict.repaired


def test_order_and_repetition_are_no_faults_and_of_a_key_that_comes_twice_the_last_counts() -> None:
    for text in (json.dumps(dict(reversed(ANSWER.items()))), WHOLE.replace('"b_cause": "H1"', '"b_cause": "H2", "b_cause": "H1"')):
        assert read(text) == read(WHOLE)
        assert read(f"```{text}```").cause == "H1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot help with that.",
        "{}",
        "[]",
        "null",
        '"text"',
        but(b_cause="H9"),
        but(b_cause="H1 or H2"),
        but(b_cause="H100"),
        but(b_cause=None),
        but(b_cause=["H1", "H2"]),
        but(b_cause=UNKNOWN, d_confidence="high"),
        but(c_evidence=[]),
        but(c_evidence=["E99"]),
        but(c_evidence=7),
        but(e_summary=""),
        but(e_summary=7),
        without("b_cause"),
        without("c_evidence"),
        without("e_summary"),
        "[" * 10_000,
        '{"a":' * 10_000,
        '{"' * 10_000,
        "{" * 100_000,
    ],
)
def test_a_wrong_choice_is_not(text: str) -> None:
    with pytest.raises(ModelFailed) as caught:
        read(text)
    assert caught.value.reason == "invalid"
    assert len(str(caught.value)) < 200


def test_json_inside_a_text_is_a_text() -> None:
    inner = but(b_cause="H2")
    assert read(but(a_reasoning=inner)).cause == "H1"
    assert read(f"```{but(e_summary=inner)}```").cause == "H1"


def test_nothing_to_cite_is_no_reason_to_refuse() -> None:
    verdict = read_verdict(but(c_evidence=[], g_actions=[]), hypotheses=HYPOTHESES, evidence=(), actions=())
    assert verdict.evidence_ids == ()


def test_unknown_may_be_cited_with_nothing() -> None:
    assert read(but(b_cause="Unknown", c_evidence=[], d_confidence="low")).cause == UNKNOWN


# Cut off


def cut_at(end: str) -> str:
    return WHOLE[: WHOLE.index(end) + len(end)]


def test_of_an_answer_that_breaks_off_the_choice_counts_and_whole_sentences_stay() -> None:
    verdict = read(cut_at("Its memory rea"), cut_off=True)
    assert (verdict.cause, verdict.evidence_ids, verdict.summary) == ("H1", ("E07", "E01"), "The pod was killed.")
    assert (verdict.impact, verdict.actions, verdict.repaired) == ("", (), True)
    assert read(cut_at("Carts are lo"), cut_off=True).impact == ""
    assert read(cut_at('["A2"'), cut_off=True).actions == ()


@pytest.mark.parametrize("end", ["E07 sho", '"b_cause": "H1', '"b_cause": "H1"', '"c_evidence": ["E07"', '["E07", "E01'])
def test_a_choice_that_is_not_whole_is_none(end: str) -> None:
    with pytest.raises(ModelFailed):
        read(cut_at(end), cut_off=True)


def test_an_id_that_was_cut_is_not_taken_for_a_shorter_one() -> None:
    with pytest.raises(ModelFailed):
        read('{"a_reasoning":"x","b_cause":"H1', cut_off=True)  # H10 was meant, perhaps


# Anything


@given(text=st.one_of(st.text(max_size=400), st.text(alphabet="{}[]\":,\\ \n'“”abHE01_u", max_size=400)))
@settings(max_examples=150, deadline=None)
def test_any_text_gives_a_verdict_or_a_reason(text: str) -> None:
    for cut_off in (False, True):
        with suppress(ModelFailed):
            assert read(text, cut_off=cut_off).cause in (*HYPOTHESES, UNKNOWN)


@given(
    start=st.integers(0, len(WHOLE)), length=st.integers(0, 30), noise=st.text(alphabet="{}[]\":,\\ \n'“”abHE0129_uN", max_size=12), end=st.booleans()
)
@settings(max_examples=200, deadline=None)
def test_any_damage_to_an_answer_gives_only_what_was_offered(start: int, length: int, noise: str, end: bool) -> None:
    text = WHOLE[:start] + noise + ("" if end else WHOLE[start + length :])
    try:
        verdict = read(text)
    except ModelFailed:
        return
    assert verdict.cause in (*HYPOTHESES, UNKNOWN)
    assert set(verdict.evidence_ids) <= set(EVIDENCE)
    assert set(verdict.actions) <= set(ACTIONS)


@given(text=st.text(alphabet="{}[]\":,\\ \n'“”ab", max_size=60), times=st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_the_loose_reader_always_ends(text: str, times: int) -> None:
    for found in loose_objects(text * times):
        assert isinstance(found.fields, dict)
