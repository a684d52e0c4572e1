"""How fast this model on this machine is, and what can be asked of it in the time that is left.

    Completion ──learn──> moving averages of prefill and decode ──choose──> Plan(tier, prompt, answer), or None: nothing can end in time

Speeds come from the server's own durations. A call that timed out teaches too. Until something was measured, a small GPU is
assumed. Bad news counts at once and good news slowly, because a prompt that lies in the server's cache looks like a fast machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from agent_sre.analysis.llm import metrics
from agent_sre.analysis.llm.model import Completion
from agent_sre.analysis.llm.tokens import fits
from agent_sre.kit.clock import Clock

ASSUMED_PREFILL = 1_000.0
"""Tokens of prompt a second before anything was measured: a small GPU, and a third of what a 3090 does."""

ASSUMED_DECODE = 45.0
"""Tokens of answer a second before anything was measured: gemma3n:e4b on an M-series laptop, less than any GPU."""

FORGET_AFTER = timedelta(minutes=10)
"""What made us say no is doubted after this time: the server may have been busy or loading. The smallest plan is tried then."""

_MARGIN = 0.9  # of the time left, for what neither average knows
_WORSE, _BETTER = 0.6, 0.2  # how much one call moves an average
_FASTEST_STEP = 2.0  # a call counts as at most this many times faster than the average
_SLOWEST = 0.1  # tokens a second, so that no division fails
_QUICK_ENOUGH = 8.0  # seconds for each half of the smallest plan, which is then tried in any budget of 20 s
_TELLING_PROMPT, _TELLING_ANSWER = 64, 8  # tokens; shorter ones measure the overhead


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A size of prompt and answer, named after the machines that manage it in time."""

    name: str
    prompt_tokens: int
    output_tokens: int
    least_output_tokens: int  # under this an answer would be cut off: the tier below is better


TIERS = (
    Tier(name="gpu", prompt_tokens=3_500, output_tokens=700, least_output_tokens=300),
    Tier(name="apple", prompt_tokens=3_000, output_tokens=350, least_output_tokens=220),
    Tier(name="cpu", prompt_tokens=800, output_tokens=130, least_output_tokens=90),
)
"""Largest first. A verdict of two sentences is about 200 tokens, one in the short form about 90."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to ask now."""

    tier: str
    prompt_tokens: int
    max_output_tokens: int
    seconds: float  # how long it should take


class Pace:
    """One per model and process. Not for two servers: their speeds would mix."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._model = ""
        self._prefill = ASSUMED_PREFILL
        self._decode = ASSUMED_DECODE
        self._learned_at: float | None = None  # None: nothing was measured, so nothing may be refused

    @property
    def prefill(self) -> float:
        """Tokens of prompt a second."""
        return self._prefill

    @property
    def decode(self) -> float:
        """Tokens of answer a second."""
        return self._decode

    def learn(self, completion: Completion) -> None:
        """Takes in what one whole answer tells. Another model (the fallback) begins anew."""
        if completion.model != self._model:
            self._model, self._prefill, self._decode = completion.model, ASSUMED_PREFILL, ASSUMED_DECODE
        prefill = _speed(completion.input_tokens, completion.prompt_seconds, _TELLING_PROMPT)
        decode = _speed(completion.output_tokens, completion.output_seconds, _TELLING_ANSWER)
        if prefill is not None:
            self._prefill = _moved(self._prefill, prefill)
        if decode is not None:
            self._decode = _moved(self._decode, decode)
        self._noted()

    def missed(self, plan: Plan, took: timedelta, *, pieces: int) -> None:
        """A call timed out. What came of it (`pieces`, about a token each) tells how slow the machine is.

        Nothing may also mean that the model was being loaded: that costs half of what we believed, and never so much that nothing is tried.
        """
        if pieces >= _TELLING_ANSWER:
            seconds = max(took.total_seconds() - plan.prompt_tokens / self._prefill, 1.0)
            self._decode = max(min(self._decode, pieces / seconds), _SLOWEST)
        else:
            smallest = TIERS[-1]
            self._prefill = max(self._prefill / 2, min(self._prefill, smallest.prompt_tokens / _QUICK_ENOUGH))
            self._decode = max(self._decode / 2, min(self._decode, smallest.output_tokens / _QUICK_ENOUGH))
        self._noted()

    def choose(self, left: timedelta, *, num_ctx: int) -> Plan | None:
        """The largest plan that can end in the time left and fits the window; None where none can.

        Before anything was measured, and where the last measurement is older than FORGET_AFTER, the smallest is tried in any case.
        """
        seconds = left.total_seconds() * _MARGIN
        for tier in TIERS:
            plan = self._plan(tier, seconds, num_ctx)
            if plan is not None:
                metrics.count_tier(tier.name)
                return plan
        smallest = TIERS[-1]
        if self._may_probe() and seconds > 0 and fits(smallest.prompt_tokens, num_ctx=num_ctx, num_predict=smallest.output_tokens):
            metrics.count_tier(smallest.name)
            return Plan(
                tier=smallest.name, prompt_tokens=smallest.prompt_tokens, max_output_tokens=smallest.output_tokens, seconds=left.total_seconds()
            )
        metrics.count_tier("none")
        return None

    def _may_probe(self) -> bool:
        """Whether the smallest plan is tried though it seems too slow. After a refusal once in FORGET_AFTER, not for every incident."""
        if self._learned_at is None:
            return True
        if self._clock.monotonic() - self._learned_at < FORGET_AFTER.total_seconds():
            return False
        self._learned_at = self._clock.monotonic()
        return True

    def room(self, prompt_tokens: int, left: timedelta) -> int:
        """How many tokens of answer end in time behind a prompt of this length; 0 where none does. Unmeasured a hundred at least."""
        seconds = left.total_seconds() * _MARGIN - prompt_tokens / self._prefill
        return max(0 if self._learned_at is not None else 100, int(seconds * self._decode))

    def _plan(self, tier: Tier, seconds: float, num_ctx: int) -> Plan | None:
        reading = tier.prompt_tokens / self._prefill
        output = min(tier.output_tokens, int((seconds - reading) * self._decode))
        if output < tier.least_output_tokens or not fits(tier.prompt_tokens, num_ctx=num_ctx, num_predict=output):
            return None
        return Plan(tier=tier.name, prompt_tokens=tier.prompt_tokens, max_output_tokens=output, seconds=reading + output / self._decode)

    def _noted(self) -> None:
        self._learned_at = self._clock.monotonic()
        metrics.show_speed(prefill=self._prefill, decode=self._decode)


def _speed(tokens: int | None, seconds: float | None, least: int) -> float | None:
    if tokens is None or seconds is None or tokens < least or seconds <= 0:
        return None
    return max(tokens / seconds, _SLOWEST)


def _moved(average: float, measured: float) -> float:
    """The average after one more call, in seconds a token: that is what adds up."""
    measured = min(measured, average * _FASTEST_STEP)
    weight = _WORSE if measured < average else _BETTER
    return 1 / ((1 - weight) / average + weight / measured)
