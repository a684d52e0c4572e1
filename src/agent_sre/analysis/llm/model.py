"""A language model, as the agent sees it: one bounded call that ends whole or fails with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from agent_sre.kit.errors import AgentSREError


class ModelFailed(AgentSREError):
    """The model gave nothing that can be used. `reason` is one of REASONS; the message contains the provider's name for people who grep.

    `partial` is what came of an answer that was cut off at its limit (`cut_off`): whoever asked for fields may find them whole. `pieces` is how many
    parts of an answer came before it failed, about a token each: a call that timed out with some was slow, one with none may have been loading.
    """

    partial: Completion | None = None
    pieces: int = 0


REASONS = (
    "unavailable",  # refused, reset, DNS, TLS
    "timeout",  # no first token, a stall, or the whole budget gone
    "model_missing",  # neither the model nor the fallback is on the server
    "cut_off",  # done_reason length
    "incomplete",  # the stream ended without done:true
    "prompt_too_long",  # 400 by the server, or prompt_eval_count says that it threw the front away
    "busy",  # 503, 429
    "server_error",  # 500, an error line in the stream
    "garbage",  # not the protocol
    "invalid",  # a whole answer that is not what the schema asked for
    "rejected",  # any other 4xx
    "circuit_open",  # failed so often lately that we did not ask
    "cloud_model",  # a model name that would send the prompt away, and nobody allowed it
    "disabled",  # no model is configured
    "no_time",  # not asked: as slow as it is, it could not have ended in the time left
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """Which model it was, and at which server: two results with the same values came from the same weights and settings.

    What the server did not say is empty, or None.
    """

    name: str
    digest: str = ""  # of weights, template and parameters; changes with every `ollama create`
    server: str = ""  # "Ollama 0.33.0"
    context_length: int | None = None  # tokens that the model was trained for
    capabilities: tuple[str, ...] = ()  # "completion", "thinking", "vision", …

    @property
    def label(self) -> str:
        """What identifies it, for people: `"15cb39fd9394 on Ollama 0.33.0"`."""
        return " on ".join(filter(None, (self.digest.removeprefix("sha256:")[:12], self.server)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A whole answer. Token counts are None where the server did not say."""

    text: str
    model: str  # who really answered: the fallback's name where it was used
    finish_reason: str
    input_tokens: int | None
    output_tokens: int | None
    took: timedelta
    served: ServedModel | None = None  # None: the provider knows no more than the name
    prompt_seconds: float | None = None  # the server's own: reading the prompt
    output_seconds: float | None = None  # the server's own: writing the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one call may cost."""

    total: timedelta  # wall clock, queueing included
    max_output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHealth:
    """What a real check found: is the server there, and is the model on it."""

    connected: bool  # both
    model: str  # which model would answer; the configured one where none would
    detail: str  # one sentence
    reason: str = ""  # a REASONS token where not connected
    served: ServedModel | None = None  # None: nobody knows


class LanguageModel(Protocol):
    """Every implementation runs through tests/conformance/test_language_model.py."""

    provider: str  # "ollama"
    title: str  # "Ollama": what messages call it
    name: str  # the configured model
    num_ctx: int  # the window in tokens, prompt and answer together

    async def complete(self, *, system: str, prompt: str, schema: Mapping[str, Any] | None, budget: Budget) -> Completion:
        """One answer to one prompt. With a schema the text is JSON for it (not yet validated), else free text.

        Returns only what the server finished itself. Raises ModelFailed within `budget.total` for everything else.
        """
        ...

    def available(self) -> bool:
        """Whether a call would be tried now. False while the server is left alone because it kept failing. Asks nobody."""
        ...

    async def check(self, timeout: timedelta) -> ModelHealth:  # noqa: ASYNC109  (a bound to keep, not a way to cancel)
        """Asks the server now. Never raises, and returns within `timeout`."""
        ...
