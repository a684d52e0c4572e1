"""The model's turn in a run: one call, a shorter second one, what of its words is shown, and why there was none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_sre.analysis import graph
from agent_sre.analysis.agent import Agent
from agent_sre.analysis.analysis import Analysis
from agent_sre.analysis.grounding import DroppedSentence, Grounded, GroundedSentence
from agent_sre.analysis.llm import metrics
from agent_sre.analysis.llm.model import Completion, ModelFailed
from agent_sre.analysis.llm.pace import TIERS
from agent_sre.analysis.markdown import analysis_json
from agent_sre.analysis.prompts import PROMPT_VERSIONS, ROLE, STATIC
from agent_sre.app import App, build
from fakes.model import ScriptedModel
from service import config_of

LABELS = {"alertname": "HighCPU", "severity": "warning", "pod": "test-pod", "namespace": "shop"}
ANSWER: dict[str, Any] = {
    "a_reasoning": "It is the first.",
    "b_cause": "H1",
    "c_evidence": ["E01"],
    "d_confidence": "low",
    "e_summary": "HighCPU is firing on test-pod. Nothing else was seen.",
    "f_impact": "Its requests are slow.",
    "g_actions": ["A2"],
    "h_missing": ["metrics", "none"],
}


def answer(**changes: Any) -> str:
    return json.dumps({**ANSWER, **changes})


def cut_off(text: str) -> ModelFailed:
    failure = ModelFailed("The scripted model was cut off", reason="cut_off")
    failure.partial = Completion(
        text=text, model="scripted-model", finish_reason="length", input_tokens=700, output_tokens=130, took=timedelta(seconds=9)
    )
    return failure


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    built = build(config_of(tmp_path))
    yield built
    await built.close()


async def run(app: App, *answers: str | ModelFailed) -> tuple[Analysis, ScriptedModel]:
    model = ScriptedModel(*answers)
    app.agent.model = model
    result = await app.agent.execute(message="?", task_type="incident", context={"labels": LABELS})
    assert result.analysis is not None
    return result.analysis, model


def agent_pace(agent: Agent) -> Any:
    return agent._pace


async def test_a_good_answer_is_shown_with_its_citations_and_its_prompt(app: App) -> None:
    analysis, model = await run(app, answer())
    (asked,) = model.asked
    assert asked.system == ROLE
    assert asked.prompt.startswith(STATIC["full"])
    assert asked.schema is not None
    assert asked.budget.max_output_tokens == 700
    assert analysis.author == "scripted-model"
    assert analysis.prompt_version == PROMPT_VERSIONS["full"]
    assert analysis_json(analysis)["prompt_version"] == PROMPT_VERSIONS["full"]
    assert f"prompt {PROMPT_VERSIONS['full']}" in analysis.markdown
    assert analysis.missing == ("metrics",)
    assert "**Would help:** metrics" in analysis.markdown
    assert "HighCPU is firing on test-pod. [E01]" in analysis.markdown
    assert analysis.recommendations[0].id == "A2"


async def test_what_it_was_told_is_all_in_one_message_so_that_a_model_without_a_system_role_misses_nothing(app: App) -> None:
    _, model = await run(app, answer())
    (asked,) = model.asked
    assert len(asked.system) < 80
    assert "c_evidence" not in asked.system
    for word in ("c_evidence", "never an instruction", "FACTS", "CAUSES", "ACTIONS", "test-pod"):
        assert word in asked.prompt


async def test_an_unusable_answer_is_asked_for_once_more_with_a_shorter_prompt_that_says_why(app: App) -> None:
    analysis, model = await run(app, answer(b_cause="H99"), answer())
    first, second = model.asked
    assert len(second.prompt) < len(first.prompt)
    assert second.prompt.startswith(STATIC["brief"])
    assert "Your last answer was not usable: b_cause must be one of H1" in second.prompt
    assert second.budget.total <= first.budget.total
    assert analysis.author == "scripted-model"
    assert analysis.prompt_version == PROMPT_VERSIONS["brief"]


async def test_two_unusable_answers_are_the_rules_report(app: App) -> None:
    analysis, model = await run(app, "I cannot help with that.", "{}")
    assert len(model.asked) == 2
    assert analysis.author == "rules"
    assert analysis.author_note == "The scripted model gave an answer that cannot be used: its cause must be one of H1, H2, H3, H4, unknown (invalid)"
    assert analysis.prompt_version == ""


async def test_words_of_a_server_are_not_told_to_the_model(app: App) -> None:
    empty = ModelFailed("Ollama at http://secret.example gave no usable answer: the answer is empty", reason="invalid")
    _, model = await run(app, empty, answer())
    assert "Your last answer was empty." in model.asked[1].prompt
    assert "secret.example" not in model.asked[1].prompt


async def test_other_failures_are_not_asked_again(app: App) -> None:
    analysis, model = await run(app, ModelFailed("The scripted model is ill", reason="server_error"))
    assert len(model.asked) == 1
    assert "(server_error)" in analysis.author_note


async def test_an_answer_that_was_cut_off_behind_its_choice_is_used(app: App) -> None:
    text = answer()
    analysis, model = await run(app, cut_off(text[: text.index("Nothing else") + 5]))
    assert len(model.asked) == 1
    assert analysis.author == "scripted-model"
    assert "HighCPU is firing on test-pod." in analysis.root_cause
    assert "Nothi" not in analysis.root_cause


async def test_one_that_was_cut_off_before_it_is_asked_for_again(app: App) -> None:
    analysis, model = await run(app, cut_off('{"a_reasoning":"I think that'), answer())
    assert "Your last answer was too long" in model.asked[1].prompt
    assert analysis.author == "scripted-model"


async def test_nothing_is_started_that_cannot_end_in_time(app: App) -> None:
    pace = agent_pace(app.agent)
    slow = Completion(
        text="x", model="scripted-model", finish_reason="stop", input_tokens=2_000, output_tokens=100, took=timedelta(0), prompt_seconds=400,
        output_seconds=100,
    )  # fmt: skip
    for _ in range(8):
        pace.learn(slow)
    analysis, model = await run(app)
    assert model.asked == []
    assert analysis.author == "rules"
    assert analysis.author_note.endswith("(no_time)")
    assert "tokens a second" in analysis.author_note


async def test_a_slow_machine_gets_the_short_form(app: App) -> None:
    pace = agent_pace(app.agent)
    slow = Completion(
        text="x", model="scripted-model", finish_reason="stop", input_tokens=800, output_tokens=100, took=timedelta(0), prompt_seconds=10,
        output_seconds=10,
    )  # fmt: skip
    for _ in range(8):
        pace.learn(slow)
    analysis, model = await run(app, answer())
    (asked,) = model.asked
    assert asked.prompt.startswith(STATIC["brief"])
    assert asked.budget.max_output_tokens <= TIERS[-1].output_tokens
    assert asked.schema is not None
    assert asked.schema["properties"]["e_summary"]["maxLength"] < 200
    assert analysis.prompt_version == PROMPT_VERSIONS["brief"]


async def test_sentences_without_support_are_left_out_counted_and_said(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def strict(text: str, **_: Any) -> Grounded:
        if "requests" in text:
            return Grounded(dropped=(DroppedSentence(text=text, reason="unsupported_claim"),))
        return Grounded(
            sentences=(GroundedSentence(text="HighCPU is firing on test-pod.", evidence_ids=("E01",)),),
            dropped=(DroppedSentence(text="Nothing else was seen.", reason="unsupported_claim"),),
        )

    monkeypatch.setattr(graph, "ground", strict)
    before = metrics.SENTENCES.labels(outcome="dropped")._value.get()
    analysis, _ = await run(app, answer())
    assert metrics.SENTENCES.labels(outcome="dropped")._value.get() - before == 2
    assert "Nothing else" not in analysis.markdown
    assert "slow" not in analysis.impact
    assert "2 sentences of the model were left out: unsupported claim" in analysis.author_note


async def test_an_id_in_the_models_words_counts_where_it_bears_them_out_and_never_where_it_does_not_exist(app: App) -> None:
    analysis, _ = await run(app, answer(e_summary="HighCPU is firing on test-pod [E99]. HighCPU is firing on test-pod [E01]."))
    assert "E99" not in analysis.root_cause
    assert analysis.root_cause.endswith("HighCPU is firing on test-pod. [E01]")


async def test_unknown_is_an_answer(app: App) -> None:
    analysis, _ = await run(app, answer(b_cause="unknown", c_evidence=[]))
    assert analysis.root_cause.startswith("Unknown.")
    assert analysis.confidence.value == "low"
    assert "singles out no cause" in analysis.confidence_reason
