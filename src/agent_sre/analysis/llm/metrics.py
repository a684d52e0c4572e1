"""What every language model counts, whoever provides it."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

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
SPEED = Gauge(
    "agent_sre_llm_tokens_per_second",
    "How fast the model is believed to be, from its server's own durations: prefill (reading the prompt) or decode (writing the answer).",
    ["phase"],
    registry=REGISTRY,
)
TIERS = Counter(
    "agent_sre_llm_tiers",
    "Plans for a call by tier (gpu, apple, cpu); none: nothing could have ended in the time left.",
    ["tier"],
    registry=REGISTRY,
)
VERDICTS = Counter(
    "agent_sre_model_verdicts",
    "Answers to an incident: whole, repaired, cut_off (but usable), again (asked a second time), invalid.",
    ["outcome"],
    registry=REGISTRY,
)
SENTENCES = Counter(
    "agent_sre_model_sentences",
    "Sentences of the model by what became of them: shown or dropped, because its facts do not support it.",
    ["outcome"],
    registry=REGISTRY,
)


def show_speed(*, prefill: float, decode: float) -> None:
    """What is believed now."""
    SPEED.labels(phase="prefill").set(prefill)
    SPEED.labels(phase="decode").set(decode)


def count_tier(tier: str) -> None:
    """One more plan of this tier."""
    TIERS.labels(tier=tier).inc()


def count_verdict(outcome: str) -> None:
    """One more answer to an incident."""
    VERDICTS.labels(outcome=outcome).inc()


def count_sentences(*, shown: int, dropped: int) -> None:
    """The sentences of one answer."""
    SENTENCES.labels(outcome="shown").inc(shown)
    SENTENCES.labels(outcome="dropped").inc(dropped)


def count(*, provider: str, model: str, outcome: str, seconds: float) -> None:
    """One more call with this outcome."""
    REQUESTS.labels(provider=provider, model=model, outcome=outcome).inc()
    SECONDS.labels(provider=provider, outcome=outcome).observe(seconds)


def count_tokens(*, input_tokens: int | None, output_tokens: int | None) -> None:
    """The tokens of one whole answer; None, where the server did not say, counts nothing."""
    TOKENS.labels(direction="input").inc(input_tokens or 0)
    TOKENS.labels(direction="output").inc(output_tokens or 0)
