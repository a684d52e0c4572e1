"""Language models without a server: one that says what it was told to say, one that always has something to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from agent_sre.analysis.llm.model import Budget, Completion, ModelFailed, ModelHealth
from fakes.ollama import count_tokens, default_answer

HEALTHY = ModelHealth(connected=True, model="scripted-model", detail="The scripted model always answers.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call as it came."""

    system: str
    prompt: str
    schema: Mapping[str, Any] | None
    budget: Budget


class ScriptedModel:
    """Says these answers one after the other; a ModelFailed among them is raised. `asked` remembers every call.

    Being asked more often than scripted is an AssertionError: the test did not expect it.
    """

    provider = "scripted"
    title = "The scripted model"
    num_ctx = 8192

    def __init__(self, *answers: str | ModelFailed, name: str = "scripted-model", health: ModelHealth = HEALTHY) -> None:
        self.name = name
        self.asked: list[Asked] = []
        self._answers = list(answers)
        self._health = health

    async def complete(self, *, system: str, prompt: str, schema: Mapping[str, Any] | None, budget: Budget) -> Completion:
        self.asked.append(Asked(system=system, prompt=prompt, schema=schema, budget=budget))
        if not self._answers:
            raise AssertionError(f"{self.name} was asked {len(self.asked)} times, which is once more than scripted")
        answer = self._answers.pop(0)
        if isinstance(answer, ModelFailed):
            raise answer
        return Completion(
            text=answer,
            model=self.name,
            finish_reason="stop",
            input_tokens=count_tokens(system) + count_tokens(prompt),
            output_tokens=count_tokens(answer),
            took=timedelta(0),
        )

    def available(self) -> bool:
        return True

    async def check(self, timeout: timedelta) -> ModelHealth:  # noqa: ASYNC109  (the protocol's name)
        return self._health


class InstantModel(ScriptedModel):
    """Answers every call at once, as the fake Ollama does: the smallest valid JSON for a schema, a sentence without one."""

    async def complete(self, *, system: str, prompt: str, schema: Mapping[str, Any] | None, budget: Budget) -> Completion:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        self._answers = [default_answer({"messages": messages, "format": None if schema is None else dict(schema)})]
        return await super().complete(system=system, prompt=prompt, schema=schema, budget=budget)
