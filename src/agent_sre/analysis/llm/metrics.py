"""What every language model counts, whoever provides it."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from agent_sre.kit.metrics import REGISTRY

REQUESTS = Counter(
    "agent_sre_llm_requests",
    "Calls to a language model, by outcome: ok, cancelled, or the reason of the failure (docs/how-to/ollama.md explains each).",
    ["provider", "model", "outcome"],
    registry=REGISTRY,
)
SECONDS = Histogram(
    "agent_sre_llm_request_duration_seconds",
    "How long the caller waited, our own queue included.",
    ["provider", "outcome"],
    buckets=(0.1, 0.5, 1, 2, 3, 5, 8, 12, 16, 20, 25, 30),
    registry=REGISTRY,
)
TOKENS = Counter(
    "agent_sre_llm_tokens",
    "Tokens of whole answers as the server counted them: input or output.",
    ["direction"],
    registry=REGISTRY,
)
WARM_UPS = Counter(
    "agent_sre_llm_warm_ups",
    "Loadings of the model ahead of need, by outcome: ok, or the reason of the failure.",
    ["provider", "outcome"],
    registry=REGISTRY,
)


def count(*, provider: str, model: str, outcome: str, seconds: float) -> None:
    """One more call with this outcome."""
    REQUESTS.labels(provider=provider, model=model, outcome=outcome).inc()
    SECONDS.labels(provider=provider, outcome=outcome).observe(seconds)


def count_tokens(*, input_tokens: int | None, output_tokens: int | None) -> None:
    """The tokens of one whole answer; None, where the server did not say, counts nothing."""
    TOKENS.labels(direction="input").inc(input_tokens or 0)
    TOKENS.labels(direction="output").inc(output_tokens or 0)
