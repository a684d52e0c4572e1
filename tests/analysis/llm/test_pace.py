"""What can be asked in the time that is left: plans that end, and averages that learn."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent_sre.analysis.llm.model import Completion
from agent_sre.analysis.llm.pace import FORGET_AFTER, TIERS, Pace, Plan
from agent_sre.analysis.llm.tokens import fits
from agent_sre.kit.clock import FakeClock

WHOLE = timedelta(seconds=25)


def spoken(*, prompt: int | None, read: float | None, answer: int | None, written: float | None, model: str = "m") -> Completion:
    return Completion(
        text="x", model=model, finish_reason="stop", input_tokens=prompt, output_tokens=answer, took=timedelta(0), prompt_seconds=read,
        output_seconds=written,
    )  # fmt: skip


def machine(prefill: float, decode: float, *, calls: int = 12, clock: FakeClock | None = None) -> Pace:
    """A pace that has learned this machine."""
    pace = Pace(clock or FakeClock())
    for _ in range(calls):
        pace.learn(spoken(prompt=2_000, read=2_000 / prefill, answer=200, written=200 / decode))
    return pace


def tier(pace: Pace, left: timedelta = WHOLE, num_ctx: int = 8192) -> str:
    plan = pace.choose(left, num_ctx=num_ctx)
    return plan.tier if plan else "none"


def test_machines_get_the_tier_that_they_are_named_after() -> None:
    assert tier(machine(4_500, 130)) == "gpu"
    assert tier(machine(300, 22)) == "apple"
    assert tier(machine(80, 9)) == "cpu"
    assert tier(machine(20, 2)) == "none"


def test_the_answer_is_as_long_as_the_time_left_allows() -> None:
    fast, slower = machine(4_500, 130).choose(WHOLE, num_ctx=8192), machine(2_000, 20).choose(WHOLE, num_ctx=8192)
    assert fast is not None
    assert slower is not None
    assert fast.max_output_tokens == 700
    assert 300 < slower.max_output_tokens < 440


def test_less_time_is_a_smaller_tier_and_then_none() -> None:
    pace = machine(400, 30)
    names = [tier(pace, timedelta(seconds=left)) for left in (25, 19, 8, 2, 0, -5)]
    assert names == ["gpu", "apple", "cpu", "none", "none", "none"]


def test_the_window_is_never_exceeded() -> None:
    pace = machine(4_500, 130)
    for num_ctx in (8192, 6144, 4096, 2048, 1024):
        plan = pace.choose(WHOLE, num_ctx=num_ctx)
        assert plan is None or fits(plan.prompt_tokens, num_ctx=num_ctx, num_predict=plan.max_output_tokens)
    assert tier(pace, num_ctx=2048) == "cpu"
    assert tier(pace, num_ctx=1024) == "none"


def test_before_anything_was_measured_something_is_tried_in_any_case() -> None:
    assert tier(Pace(FakeClock())) == "gpu"
    assert tier(Pace(FakeClock()), timedelta(seconds=1)) == "cpu"


def test_bad_news_counts_at_once_and_good_news_slowly() -> None:
    pace = machine(1_000, 50)
    pace.learn(spoken(prompt=2_000, read=0.001, answer=200, written=4))  # it lay in the cache
    assert pace.prefill < 1_200
    pace.learn(spoken(prompt=2_000, read=20, answer=200, written=4))
    assert pace.prefill < 200


def test_a_slow_answer_that_timed_out_teaches_until_nothing_is_started() -> None:
    pace = Pace(FakeClock())
    seen = []
    for _ in range(8):
        plan = pace.choose(WHOLE, num_ctx=8192)
        seen.append(plan.tier if plan else "none")
        if plan is None:
            break
        pace.missed(plan, WHOLE, pieces=30)  # in what is left of 25 s
    assert seen[0] == "gpu"
    assert seen[-1] == "none"


def test_silence_may_be_a_model_that_loads_so_the_smallest_plan_is_always_tried_again() -> None:
    pace = Pace(FakeClock())
    seen = []
    for _ in range(8):
        plan = pace.choose(WHOLE, num_ctx=8192)
        assert plan is not None
        seen.append(plan.tier)
        pace.missed(plan, WHOLE, pieces=0)
    assert seen[0] == "gpu"
    assert seen[-1] == "cpu"


def test_a_refusal_is_doubted_after_a_while_by_one_call() -> None:
    clock = FakeClock()
    pace = machine(20, 2, clock=clock)
    assert tier(pace) == "none"
    clock.advance(FORGET_AFTER)
    assert tier(pace) == "cpu"
    assert tier(pace) == "none"


def test_another_model_begins_anew() -> None:
    pace = machine(20, 2)
    pace.learn(spoken(prompt=None, read=None, answer=None, written=None, model="fallback"))
    assert tier(pace) == "gpu"


def test_a_short_prompt_or_a_server_that_tells_nothing_changes_nothing() -> None:
    pace = machine(1_000, 50)
    before = (pace.prefill, pace.decode)
    pace.learn(spoken(prompt=10, read=5.0, answer=2, written=5.0))
    pace.learn(spoken(prompt=None, read=None, answer=None, written=None))
    pace.learn(spoken(prompt=2_000, read=None, answer=200, written=0.0))
    assert (pace.prefill, pace.decode) == before


def test_the_room_of_a_free_answer() -> None:
    assert machine(1_000, 50).room(2_000, WHOLE) in range(900, 1_100)
    assert machine(20, 2).room(2_000, WHOLE) == 0
    assert Pace(FakeClock()).room(100_000, WHOLE) == 100


def test_tiers_are_ordered_and_what_the_documents_say() -> None:
    assert [(one.name, one.prompt_tokens, one.output_tokens) for one in TIERS] == [("gpu", 3500, 700), ("apple", 3000, 350), ("cpu", 800, 130)]


@given(
    calls=st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(0, 10**7)), st.one_of(st.none(), st.floats(0, 1e6)), st.one_of(st.none(), st.integers(0, 10**6)),
            st.one_of(st.none(), st.floats(0, 1e6)), st.booleans(),
        ),
        max_size=12,
    ),
    left=st.floats(-10, 100),
    num_ctx=st.integers(0, 32_768),
)  # fmt: skip
def test_whatever_was_measured_a_plan_ends_in_time_and_fits(
    calls: list[tuple[int | None, float | None, int | None, float | None, bool]], left: float, num_ctx: int
) -> None:
    pace = machine(500, 30, calls=1)
    for prompt, read, answer, written, missed in calls:
        if missed:
            pace.missed(Plan(tier="gpu", prompt_tokens=3_500, max_output_tokens=700, seconds=20), timedelta(seconds=written or 0), pieces=answer or 0)
        else:
            pace.learn(spoken(prompt=prompt, read=read, answer=answer, written=written))
    plan = pace.choose(timedelta(seconds=left), num_ctx=num_ctx)
    if plan is not None:
        assert plan.seconds <= left
        assert plan.prompt_tokens / pace.prefill + plan.max_output_tokens / pace.decode <= left
        assert fits(plan.prompt_tokens, num_ctx=num_ctx, num_predict=plan.max_output_tokens)
