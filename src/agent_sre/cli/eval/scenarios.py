"""`agent-sre eval scenarios`: worlds whose cause is known, looked into by the rules alone and with models, and how well each did.

    scenario ──bundle──> the service's own agent ──Analysis──> judge ──> Score
                              └── Listening(model): what it was asked and what it said, as it went over the wire

What is measured is the report that a reader would get, so whatever stands between the model and the reader is measured with it.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import typer

from agent_sre.cli.eval.judge import Score, judge
from agent_sre.cli.terminal import Progress
from agent_sre.kit.errors import BadInput
from agent_sre.scenarios.scenario import Scenario, choose, packaged_scenarios, scenarios_of

if TYPE_CHECKING:
    from agent_sre.analysis.llm.model import Completion, LanguageModel, ModelHealth
    from agent_sre.app import App
    from agent_sre.config.config import Config

RULES_ONLY = "rules"
"""The name of the row without a model."""

_CHECK_SECONDS = timedelta(seconds=5)


class Listening:
    """A model that keeps what it was asked and what it said. Everything else is the model's own."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self.provider, self.title, self.name = model.provider, model.title, model.name
        self.prompts: list[str] = []
        self.completions: list[Completion] = []

    async def complete(self, **asked: Any) -> Completion:
        self.prompts.append(str(asked.get("prompt", "")))
        completion = await self._model.complete(**asked)
        self.completions.append(completion)
        return completion

    def available(self) -> bool:
        return self._model.available()

    async def check(self, timeout: timedelta) -> ModelHealth:  # noqa: ASYNC109 the protocol's name
        return await self._model.check(timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def run(folder: Path | None, *, models: Sequence[str], rules_only: bool, only: Sequence[str], json_file: Path | None, verbose: bool) -> int:
    """Runs, writes and prints; 0, or 1 where a model could not be asked or a scenario not be read. After Ctrl-C, what came until then."""
    from agent_sre.cli.eval.cases import write_json
    from agent_sre.cli.eval.table import show_scores

    if rules_only and models:
        raise BadInput("--rules-only asks no model, so --model cannot be given with it.")
    scenarios = choose(packaged_scenarios() if folder is None else scenarios_of(folder), only)
    from agent_sre.config.load import load_config  # loads every room: not before we know that there is something to do

    config = load_config(os.environ)
    wanted = [] if rules_only else list(dict.fromkeys(models)) or [configured_model(config)]
    scores: list[Score] = []
    failures: list[str] = []
    try:
        with Progress() as progress:
            asyncio.run(_run_all(scenarios, wanted, config, scores, failures, progress))
    finally:  # half an hour of answers is worth a table, even where somebody stopped it
        for failure in failures:
            typer.echo(failure, err=True)
        if json_file is None or str(json_file) != "-":
            show_scores(scores, [RULES_ONLY, *wanted], verbose=verbose)
        if json_file is not None:  # last: a file that cannot be written must not cost the table
            write_json(json_file, [asdict(score) for score in scores])
    return 1 if failures else 0


def configured_model(config: Config) -> str:
    """The model that the service would ask."""
    return config.openai.model_name if config.openai.url else config.ollama.model_name


def config_of(config: Config, model: str) -> Config:
    """The settings with this model and no other: an answer of its stand-in would be counted as its own."""
    if config.openai.url:
        return replace(config, openai=replace(config.openai, model_name=model))
    return replace(config, ollama=replace(config.ollama, model_name=model, fallback_model=""))


async def _run_all(
    scenarios: Sequence[Scenario], models: Sequence[str], config: Config, scores: list[Score], failures: list[str], progress: Progress
) -> None:
    """Row by row, so that a model is loaded once. Appends to `scores` and `failures` as it goes."""
    for model in ("", *models):
        own = config_of(config, model) if model else config
        if model and (refused := await _refusal(own)):
            failures.append(f"{model}: not evaluated: {refused} (--rules-only asks no model)")
            continue
        for number, scenario in enumerate(scenarios, 1):
            progress.step(f"{model or RULES_ONLY}: {scenario.name}, {number} of {len(scenarios)} (Ctrl-C stops)")
            try:
                scores.append(await evaluate(scenario, own, model=model))
            except BadInput as error:
                failures.append(f"{scenario.name}: not evaluated: {error}")


async def _refusal(config: Config) -> str:
    """Why the model cannot be asked at all; empty where it can."""
    from agent_sre.analysis.llm.ollama import OllamaModel
    from agent_sre.analysis.llm.openai import OpenAIModel
    from agent_sre.kit.clock import SystemClock

    model = OpenAIModel(config.openai, SystemClock()) if config.openai.url else OllamaModel(config.ollama, SystemClock())
    try:
        health = await model.check(_CHECK_SECONDS)
    finally:
        await model.close()
    return "" if health.connected else health.detail


async def evaluate(scenario: Scenario, config: Config, *, model: str) -> Score:
    """One scenario by one model, or by the rules alone where `model` is empty. Raises BadInput where there is nothing to investigate."""
    from agent_sre.incident import store as incident_store

    async with _service(scenario, config) as (application, number):
        listening = Listening(application.model)
        application.agent.model = listening
        incident = await application.store.read(lambda connection: incident_store.load_incident(connection, number))
        context = {"incident_id": number} | ({} if model else {"skip_model": "only the rules are measured"})
        await application.agent.open()  # loads LangGraph, once in a process: no part of an answer's time
        began = perf_counter()
        result = await application.agent.execute(message=scenario.title, task_type="incident", context=context)
        seconds = perf_counter() - began
    if result.analysis is None or incident is None:
        raise BadInput("there is no analysis of it")
    return judge(
        scenario, result.analysis, incident.subject, model=model or RULES_ONLY, seconds=seconds,
        prompts=listening.prompts, completions=listening.completions,
    )  # fmt: skip


@asynccontextmanager
async def _service(scenario: Scenario, config: Config) -> AsyncIterator[tuple[App, int]]:
    """The service over the scenario's world, and its incident's number."""
    from agent_sre.cli.investigate import ingested

    with tempfile.TemporaryDirectory(prefix="agent-sre-scenario-") as folder:
        bundle = scenario.bundle(Path(folder))
        if bundle.alert is None:
            raise BadInput("it has no alert")
        async with ingested(bundle.alert, bundle, Progress(quiet=True), config=config) as (application, numbers):
            if not numbers:
                raise BadInput("no alert fires in it")
            yield application, numbers[0]
