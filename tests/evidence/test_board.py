"""The board shows what is true now: in the plan's order, each answer once, and of the newest attempt only."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from agent_sre.alert.subject import Subject
from agent_sre.evidence.board import MOST_ATTEMPTS, Board
from agent_sre.evidence.evidence import Evidence, Gap, Query
from evidence.builders import NOW


def question(number: int, source: str = "prometheus") -> Query:
    return Query(id=f"E{number:02d}", source=source, kind="k", expression="", purpose="")


def answer(query: Query, summary: str = "") -> Evidence:
    subject = Subject(kind="Pod", name="x")
    return Evidence(id=query.id, query=query, subject=subject, data=(), summary=summary, collected_at=NOW, took=timedelta(0))


def test_results_stand_in_the_plan_s_order_and_what_is_open_is_counted_by_source() -> None:
    board = Board()
    attempt = board.begin("run", 118, NOW)
    plan = [question(1), question(2, "loki"), question(3), question(4, "loki")]
    attempt.asks(plan)
    attempt.got(answer(plan[2]))
    attempt.got(Gap(query=plan[1], reason="timeout", detail=""))
    attempt.got(answer(plan[0]))
    seen = board.seen(118)
    assert seen is not None
    assert (seen.asked, [item.id for item in seen.items], [gap.query.id for gap in seen.gaps]) == (4, ["E01", "E03"], ["E02"])
    assert seen.open_by_source == {"loki": 1}
    assert board.seen(119) is None


def test_two_attempts_at_a_run_are_never_mixed_and_no_answer_is_there_twice() -> None:
    board = Board()
    first = board.begin("run", 118, NOW)
    first.asks([question(1), question(2)])
    first.got(answer(question(1), "of the killed attempt"))
    second = board.begin("run", 118, NOW)
    second.asks([question(1), question(2)])
    first.got(answer(question(2), "late"))
    second.got(answer(question(1), "once"))
    second.got(answer(question(1), "again"))
    seen = board.seen(118)
    assert seen is not None
    assert [item.summary for item in seen.items] == ["again"]
    board.end("run")
    board.end("run")
    assert board.seen(118) is None


def test_the_newest_of_two_runs_is_shown_and_the_board_is_bounded() -> None:
    board = Board()
    for number in range(MOST_ATTEMPTS + 5):
        board.begin(f"run-{number}", 118 + number % 2, NOW + timedelta(seconds=number))
    seen = board.seen(118)
    assert seen is not None
    assert seen.run_id == f"run-{MOST_ATTEMPTS + 4}"
    for number in range(5, MOST_ATTEMPTS + 5):
        board.end(f"run-{number}")
    assert board.seen(118) is None


def test_a_moment_does_not_change_afterwards() -> None:
    board = Board()
    attempt = board.begin("run", 1, NOW)
    attempt.asks([question(1)])
    before = board.seen(1)
    attempt.got(answer(question(1)))
    assert before is not None
    assert before == replace(before, items=())
