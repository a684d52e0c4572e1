"""`agent-sre eval scenarios`: how a report is judged, with literals, and the command as a user types it, with models good, contrary and silly."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_sre.alert.subject import Subject
from agent_sre.analysis.analysis import RULES, Analysis, InvestigationQuery
from agent_sre.analysis.llm.model import Completion
from agent_sre.cli.eval.judge import Score, is_supported, judge, sentences, subject_name
from agent_sre.finding.finding import Confidence, Hypothesis
from agent_sre.scenarios.scenario import KnownCause, Scenario, Truth, packaged_scenarios
from cli.test_commands import agent_sre
from cli.test_eval import _mind_ctrl_c
from fakes.ollama import FakeOllama

# Judging

SCENARIO = Scenario(name="s", title="", truth=Truth(causes=(KnownCause(cause="oom_killed", object="app/cart"),), subject="app/cart"))
CALM = Scenario(name="c", title="", truth=Truth(causes=(), subject="app/cart"))
CART = Subject(kind="Deployment", name="cart", namespace="shop")


def hypothesis(number: int, name: str, subject: Subject = CART) -> Hypothesis:
    return Hypothesis(id=f"H{number}", cause="c", subject=subject, score=0.9, supporting=("E01",), contradicting=(), name=name)


def analysis(
    *hypotheses: Hypothesis, author: str = "m", root_cause: str = "", confidence: Confidence = Confidence.HIGH, queries: tuple[str, ...] = ()
) -> Analysis:
    return Analysis(
        task_type="incident", title="t", observations=(), root_cause=root_cause, impact="", hypotheses=hypotheses, recommendations=(),
        investigation_queries=tuple(InvestigationQuery(language="promql", text=text, why="", returned="") for text in queries), evidence=(), gaps=(),
        confidence=confidence, confidence_reason="", author=author, author_note="the model failed", timings={}, tokens={}, markdown="",
    )  # fmt: skip


def score(found: Analysis, scenario: Scenario = SCENARIO, *, prompt: str = "", answer: str = "") -> Score:
    completion = Completion(text=answer, model="m", finish_reason="stop", input_tokens=900, output_tokens=70, took=timedelta(seconds=1))
    return judge(scenario, found, CART, model="m", seconds=1.0, prompts=[prompt] if prompt else [], completions=[completion] if answer else [])


def test_a_cause_is_right_by_name_and_object() -> None:
    right = score(analysis(hypothesis(1, "oom_killed"), hypothesis(2, "bad_rollout")))
    assert (right.cause_right, right.object_right, right.all_named, right.subject_right) == (True, True, True, True)
    second = score(analysis(hypothesis(1, "bad_rollout"), hypothesis(2, "oom_killed")))
    assert (second.cause_right, second.object_right, second.all_named) == (False, True, True)
    usual = score(analysis(hypothesis(1, ""), hypothesis(2, "oom_killed")))
    assert (usual.cause_right, usual.cause, usual.all_named) == (False, "", True)
    doubt = score(analysis(hypothesis(1, "oom_killed"), root_cause="Unknown. Nothing fits."))
    assert (doubt.cause_right, doubt.cause) == (False, "")


def test_where_nothing_is_wrong_only_a_confident_cause_is_an_error() -> None:
    assert score(analysis(hypothesis(1, "oom_killed"), confidence=Confidence.LOW), CALM).cause_right
    assert score(analysis(hypothesis(1, ""), confidence=Confidence.HIGH), CALM).cause_right
    assert not score(analysis(hypothesis(1, "oom_killed"), confidence=Confidence.HIGH), CALM).cause_right


def test_of_what_the_model_wrote_it_is_told_what_is_shown_and_what_of_that_it_was_not_given() -> None:
    answer = json.dumps(
        {"a_reasoning": "I think so.", "b_cause": "H1", "e_summary": "The cart uses 1.71Gi now. The moon is full. Pod ghost-7f9c is dead."}
    )
    found = analysis(hypothesis(1, "oom_killed"), root_cause="c. The cart uses **1.71Gi** now [E07]. Pod ghost-7f9c is dead.")
    told = score(found, prompt="E07 memory now=1.71Gi of cart", answer=answer)
    assert (told.sentences_shown, told.sentences_dropped, told.sentences_unsupported) == (2, 1, 1)
    assert (told.answers, told.answer_invalid, told.input_tokens, told.output_tokens) == (1, False, 900, 70)


def test_an_answer_that_was_of_no_use_is_invalid_and_shows_nothing() -> None:
    told = score(analysis(hypothesis(1, "oom_killed"), author=RULES), prompt="p", answer="Of course! Here is")
    assert (told.answer_invalid, told.sentences_shown, told.failure) == (True, 0, "the model failed")
    silent = score(analysis(hypothesis(1, "oom_killed"), author=RULES), prompt="p")
    assert (silent.answer_invalid, silent.failure) == (False, "the model failed")


def test_queries_that_prometheus_would_not_read_are_counted() -> None:
    told = score(analysis(hypothesis(1, "x"), queries=("rate(a[5m])", "rate(a[5m")))
    assert (told.queries, told.queries_invalid) == (2, 1)


@pytest.mark.parametrize(
    ("sentence", "supported"),
    [
        ("It is slow, and nobody knows why.", True),
        ("Two of 3 pods are down [E07].", True),  # a digit alone is no measurement
        ("cart-7f9c6d5b8c-k2x9p was killed at 512Mi.", True),
        ("cart-7f9c6d5b8c-k2x9q was killed.", False),
        ("It used 513 MB.", False),
        ("See http://evil.example/x for more.", False),
        ("The read-only and/or out-of-memory state is known.", True),
    ],
)
def test_a_sentence_is_supported_by_what_the_model_was_given(sentence: str, supported: bool) -> None:
    assert is_supported(sentence, ["E07 Pod cart-7f9c6d5b8c-k2x9p OOMKilled limit 512Mi"]) is supported


def test_sentences_are_the_models_texts_without_ids_and_reasoning() -> None:
    answer = '```json\n{"a_reasoning": "One. Two.", "b_cause": "H1", "c": ["E01"], "e": "It is full. Free some space!", "n": 3}\n```'
    assert list(sentences(answer)) == ["It is full.", "Free some space!"]
    assert list(sentences("nothing")) == list(sentences("{]}")) == []


def test_a_pod_is_named_by_its_workload_and_a_host_as_a_node() -> None:
    assert subject_name(Subject(kind="Pod", name="cart-7f9c6d5b8c-k2x9p")) == "app/cart"
    assert subject_name(Subject(kind="Node", name="worker-2")) == subject_name(Subject(kind="Host", name="worker-2")) == "node/worker-2"


# The command

RULES_LEAST = 33  # of 35 known causes, by the rules, which were taught on them
FEW = ("latency-slow-dependency", "oom-after-cache-change", "kubelet-stopped")


def answering(request: Mapping[str, Any]) -> str:
    """Three models in one server, each with an answer to whatever schema it is given."""
    model = str(request["model"]).partition(":")[0]
    if model == "silly":
        return "I would restart it {"
    schema = request["format"]
    prompt = request["messages"][-1]["content"]
    found = {name: _value(property_, model, prompt) for name, property_ in schema["properties"].items()}
    return json.dumps(found)


def _value(schema: Mapping[str, Any], model: str, prompt: str) -> Any:
    if "enum" in schema:
        offered = [item for item in schema["enum"] if re.fullmatch(r"H\d+", str(item))]
        if not offered:
            return schema["enum"][0]
        seen = [item for item in offered if re.search(rf"^{item}\b.*(?:itself became slow|was killed|stopped reporting)", prompt, re.MULTILINE)]
        return offered[-1] if model == "contrary" else (seen or offered)[0]
    if schema.get("type") == "array":
        return schema["items"]["enum"][:1] if "enum" in schema["items"] else []
    return "It does not do what it should."


@pytest.fixture(scope="module")
def by_rules(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("rules")
    done = agent_sre("eval", "scenarios", "--rules-only", "--json", "out.json", "-v", folder=folder)
    return done, json.loads((folder / "out.json").read_text())


def test_the_rules_alone_find_most_causes_and_none_where_nothing_is_wrong(
    by_rules: tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]],
) -> None:
    done, scores = by_rules
    assert done.returncode == 0, done.stderr
    assert {entry["scenario"] for entry in scores} == {scenario.name for scenario in packaged_scenarios()}
    assert {frozenset(entry) for entry in scores} == {frozenset(item.name for item in fields(Score))}
    wrong = [entry for entry in scores if entry["wrong"]]
    assert sum(entry["cause_right"] for entry in wrong) >= RULES_LEAST, [entry["scenario"] for entry in wrong if not entry["cause_right"]]
    assert [entry["scenario"] for entry in scores if not entry["wrong"] and not entry["cause_right"]] == []
    assert [entry["scenario"] for entry in scores if entry["queries_invalid"]] == []
    assert sum(entry["answers"] + entry["input_tokens"] for entry in scores) == 0
    assert "Traceback" not in done.stderr


def test_it_prints_a_row_per_model_and_with_v_a_line_per_scenario(by_rules: tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]) -> None:
    done, scores = by_rules
    for entry in scores:
        assert re.search(rf"^{entry['scenario']} +rules +(right|WRONG)  ", done.stdout, re.MULTILINE)
    assert re.search(rf"^rules +{len(scores)} +[01]\.\d\d \[", done.stdout, re.MULTILINE)
    for words in ("cause right", "shown/dropped", "unsupported", "invalid", "seconds", "tokens in/out"):
        assert words in done.stdout
    assert f"{len(scores)} of {len(scores)} (Ctrl-C stops)" in done.stderr


async def test_models_differ_in_what_is_measured(tmp_path: Path) -> None:
    only = [part for name in FEW for part in ("--only", name)]
    models = [part for name in ("good", "contrary", "silly") for part in ("--model", name)]
    async with FakeOllama(answer=answering, models=("good:latest", "contrary:latest", "silly:latest")) as fake:
        done = await asyncio.to_thread(agent_sre, "eval", "scenarios", *only, *models, "--json", "out.json", folder=tmp_path, OLLAMA_URL=fake.url)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "out.json").read_text())
    right = {model: sum(one["cause_right"] for one in scores if one["model"] == model) for model in ("rules", "good", "contrary", "silly")}
    assert right == dict.fromkeys(right, len(FEW))  # a model that cites nothing for its choice spoils none of the rules' verdicts
    invalid = {model: [one["answer_invalid"] for one in scores if one["model"] == model] for model in right}
    assert invalid == {"rules": [False] * 3, "good": [False] * 3, "contrary": [False] * 3, "silly": [True] * 3}
    assert all(one["author"].startswith("good") and one["input_tokens"] and one["output_tokens"] for one in scores if one["model"] == "good")
    assert all(
        one["sentences_unsupported"] == 0 and one["sentences_shown"] + one["sentences_dropped"] > 0 for one in scores if one["model"] == "good"
    )
    assert [line.split()[0] for line in done.stdout.splitlines()[1:5]] == ["rules", "good", "contrary", "silly"]


async def test_a_model_that_is_not_there_is_told_and_its_stand_in_is_not_asked(tmp_path: Path) -> None:
    async with FakeOllama(answer=answering, models=("gemma3n:e4b",)) as fake:
        done = await asyncio.to_thread(agent_sre, "eval", "scenarios", "--only", FEW[1], folder=tmp_path, OLLAMA_URL=fake.url)
    assert done.returncode == 1
    assert "bruno-sre:latest: not evaluated: " in done.stderr
    assert re.search(r"^rules +1 ", done.stdout, re.MULTILINE)
    assert "Traceback" not in done.stderr
    assert not [request for request in fake.requests if request.path == "/api/chat"]


def test_a_wrong_folder_name_or_wish_is_one_sentence(tmp_path: Path) -> None:
    for arguments, words in (
        (("nowhere",), "nowhere is no folder"),
        ((".",), "There is no scenario in ."),
        (("--only", "calm-sea"), "There is no scenario calm-sea. There are: alertmanager-cannot-notify"),
        (("--rules-only", "--model", "x"), "--model cannot be given with it"),
    ):
        done = agent_sre("eval", "scenarios", *arguments, folder=tmp_path)
        assert done.returncode == 1
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


async def test_ctrl_c_stops_it_and_what_came_until_then_is_shown(tmp_path: Path) -> None:
    async with FakeOllama("hang before the first token", models=("good:latest",)) as fake:
        stopped = await asyncio.to_thread(_interrupted, fake, tmp_path)
    out, err, code = stopped
    assert code == 130
    assert "Traceback" not in err
    assert re.search(r"^rules +1 ", out, re.MULTILINE)
    assert [entry["model"] for entry in json.loads((tmp_path / "out.json").read_text())] == ["rules"]


def _interrupted(fake: FakeOllama, folder: Path) -> tuple[str, str, int]:
    """Ctrl-C as soon as the model is asked."""
    command = [sys.executable, "-m", "agent_sre", "eval", "scenarios", "--only", FEW[1], "--model", "good", "--json", "out.json"]
    environment = {"PATH": "", "OLLAMA_URL": fake.url}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment, preexec_fn=_mind_ctrl_c
    ) as running:
        assert running.stderr is not None
        assert running.stdout is not None
        seen = ""
        while "good: " not in seen:
            line = running.stderr.readline()
            assert line, seen
            seen += line
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        return out, seen + err, running.returncode
