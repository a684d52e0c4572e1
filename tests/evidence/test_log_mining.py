"""Log lines of any format become patterns with counts, levels and times; hostile lines cost no more than others."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import LogPattern
from agent_sre.evidence.logs import mine as mining
from agent_sre.evidence.logs.levels import LEVELS, level_named, level_of
from agent_sre.evidence.logs.lines import LogLine
from agent_sre.evidence.logs.masking import _MASKS, mask
from agent_sre.evidence.logs.mine import Survey, compare, mine, survey
from fakes.hostile import HOSTILE

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
CART = Subject(kind="Deployment", name="cart", namespace="shop")


def survey_of(*lines: str | LogLine) -> Survey:
    return survey(lines, subject=CART, now=NOW)


def only_template(*lines: str) -> str:
    patterns = mine(lines, subject=CART, now=NOW)
    assert len(patterns) == 1, [pattern.template for pattern in patterns]
    assert patterns[0].count == len(lines)
    assert patterns[0].subject == CART
    assert patterns[0].count_before is None
    return patterns[0].template


# Patterns


@pytest.mark.parametrize(
    ("lines", "template"),
    [
        (("took 12.5ms", "took 3s", "took 1,234"), "took <n>"),
        (("user 550e8400-e29b-41d4-a716-446655440000 in", "user 123e4567-e89b-12d3-a456-426614174000 in"), "user <id> in"),
        (("from 10.0.0.1:8080", "from 192.168.17.4"), "from <ip>"),
        (("open /var/lib/a/b.db", "open /etc/x/y"), "open <path>"),
        (('said "hello there"', 'said "bye \\"now\\""'), "said <text>"),
        (("it's 'one'", "it's 'two words'"), "it's <text>"),
        (("span deadbeef0123 ended", "span 00ff00ff00ff ended"), "span <id> ended"),
        (("GET https://a.example/x?y=1 failed", "GET https://b.example failed"), "GET https://<url> failed"),
        (("ids [1, 2, 3]", "ids [4, 5, 6, 7, 8]"), "ids [<n>…]"),
        (("2026-11-23T06:40:11.123Z up", "2026-11-23 06:40:12,5 up", "2026/11/23 06:40:13 up"), "<time> up"),
        (("pod api-7d4f9c6b8-x2k9p gone", "pod api-66f7d9f4c5-abc12 gone"), "pod api-<id>… gone"),
    ],
)
def test_lines_of_one_statement_become_one_template(lines: Sequence[str], template: str) -> None:
    assert only_template(*lines) == template


def test_different_statements_stay_apart() -> None:
    found = survey_of("connection refused by 10.0.0.1", "connection reset by 10.0.0.1")
    assert len(found.patterns) == 2
    assert found.distinct == 2


def test_of_documents_in_lines_the_beginning_tells_them_apart() -> None:
    lines = [f"ERROR cannot store order {'word ' * 150}{tail}" for tail in ("alpha", "beta")]
    (pattern,) = survey_of(*lines).patterns
    assert pattern.count == 2
    assert "word" in pattern.template
    half_values = [f"ERROR cannot store order {'word ' * 113}{letter * 40}" for letter in "abc"]
    assert survey_of(*half_values).distinct == 1


def test_http_statuses_are_not_masked() -> None:
    found = survey_of('10.0.0.1 "GET /a/b HTTP/1.1" 502 173', '10.0.0.1 "GET /a/c HTTP/1.1" 200 9', "status=503 x", "status=200 x")
    assert len(found.patterns) == 4


def test_a_json_line_is_its_time_level_and_message() -> None:
    line = json.dumps({"ts": "2026-11-23T06:40:11Z", "level": "error", "msg": "query failed", "error": "no such host", "user": "bob"})
    pattern = survey_of(line).patterns[0]
    assert pattern.template == "<time> ERROR query failed no such host"
    assert pattern.level == "error"
    assert pattern.first_at == datetime(2026, 11, 23, 6, 40, 11, tzinfo=UTC)


def test_a_message_in_logfmt_is_read_not_masked() -> None:
    found = survey_of('level=error msg="dial tcp: connection refused" user="bob"', 'level=error msg="disk is full" user="eve"')
    assert [pattern.template for pattern in found.patterns] == [
        "level=error msg=dial tcp: connection refused user=<text>",
        "level=error msg=disk is full user=<text>",
    ]


def test_what_a_container_runtime_writes_around_a_line_is_no_part_of_it() -> None:
    bare = survey_of("ERROR disk gone").patterns[0]
    for stamp in ("2026-11-23T06:40:11.123456789Z ", "2026-11-23T06:40:11.1Z stderr F ", "2026-11-23T08:40:11.1+02:00 stdout P "):
        (pattern,) = survey_of(f"{stamp}ERROR disk gone", f"{stamp}    at inner(Frame.java:3)").patterns
        assert pattern.template == bare.template
        assert pattern.first_at is not None
        assert pattern.first_at.replace(microsecond=0) == datetime(2026, 11, 23, 6, 40, 11, tzinfo=UTC)


def test_json_within_dockers_json_is_read_too() -> None:
    inner = json.dumps({"level": "error", "msg": "boom"})
    line = json.dumps({"log": f"{inner}\n", "stream": "stderr", "time": "2026-11-23T06:40:11Z"})
    assert survey_of(line).patterns[0].template == "ERROR boom"


def test_an_entry_of_several_lines_is_one_line_that_says_what_and_why() -> None:
    text = "ERROR checkout failed\n\tat a.b.C(D.java:3)\nCaused by: java.io.IOException: disk\n\t... 23 more"
    assert only_template(text) == "ERROR checkout failed Caused by: java.io.IOException: disk"
    assert only_template(json.dumps({"msg": text})) == "ERROR checkout failed Caused by: java.io.IOException: disk"


def test_the_frames_of_a_go_panic_are_not_counted() -> None:
    found = survey_of(
        "panic: runtime error: index out of range", "", "goroutine 1 [running]:", "main.(*Server).handle(0xc000, {0x1, 0x2})",
        "\t/app/main.go:10 +0x1d", "created by main.main in goroutine 7", "\t/app/main.go:3 +0x1", "exit status 2",
    )  # fmt: skip
    assert [pattern.template for pattern in found.patterns] == ["panic: runtime error: index out of range", "exit status <n>"]


def test_a_stack_trace_counts_as_its_first_and_last_line() -> None:
    found = survey_of("Traceback (most recent call last):", '  File "a.py", line 3, in f', "    x()", "KeyError: 'DB_URL'", "\tat a.b.C(D.java:3)")
    assert found.lines == 2


def test_colours_are_dropped() -> None:
    assert only_template("\x1b[31mERROR\x1b[0m disk", "ERROR disk") == "ERROR disk"


def test_samples_are_cleaned_redacted_and_cut() -> None:
    pattern = survey_of("login failed password=hunter22 \u202e" + "x" * 900).patterns[0]
    assert "hunter22" not in pattern.sample
    assert "hunter22" not in pattern.template
    assert "\u202e" not in pattern.sample
    assert len(pattern.sample) < 520


# Levels


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-11-23T06:40:11Z ERROR boom", "error"),
        ("E1123 06:40:14.123456       1 reflector.go:3] boom", "error"),
        ("I1123 06:40:14.123456       1 reflector.go:3] failed before, fine now", "info"),
        ("level=warn msg=x", "warning"),
        ("[error] 31#31: boom", "error"),
        ("INFO no errors found", "info"),
        ("panic: runtime error", "fatal"),
        ("java.lang.NullPointerException: x", "error"),
        ("KeyError: 'x'", "error"),
        ('1.1.1.1 "GET / HTTP/1.1" 503 1', "error"),
        ('1.1.1.1 "GET / HTTP/1.1" 200 1', ""),
        ("retrying in 3s", "warning"),
        ("hello", ""),
        ("done errors=0", ""),
    ],
)
def test_levels_are_stated_or_meant(line: str, level: str) -> None:
    assert survey_of(line).patterns[0].level == level


def test_counts_by_level_add_up_and_urgent_templates_come_first() -> None:
    found = survey_of(*["INFO fine"] * 5, "FATAL gone", *["ERROR boom"] * 2, "hm")
    assert found.levels == {"fatal": 1, "error": 2, "info": 5, "": 1}
    assert found.lines == 9
    assert [pattern.level for pattern in found.patterns] == ["fatal", "error", "info", ""]


def test_a_level_that_only_the_source_knows_is_taken() -> None:
    (pattern,) = survey_of(LogLine("something", 1.0, "warn"), LogLine("something", 2.0)).patterns
    assert pattern.level == "warning"
    assert survey_of(LogLine("ERROR x", 1.0, "info")).patterns[0].level == "error"
    assert [level_named(word) for word in ("CRITICAL", "unknown", "")] == ["fatal", "", ""]


# Times


@pytest.mark.parametrize(
    ("line", "instant"),
    [
        ("2026-11-23T06:40:11.5+02:00 x", datetime(2026, 11, 23, 4, 40, 11, 500_000, tzinfo=UTC)),
        ("2026-11-23 06:40:11 x", datetime(2026, 11, 23, 6, 40, 11, tzinfo=UTC)),
        ("1.1.1.1 - - [23/Nov/2026:06:40:11 +0100] x", datetime(2026, 11, 23, 5, 40, 11, tzinfo=UTC)),
        ("Nov 23 06:40:11 host kernel: x", datetime(2026, 11, 23, 6, 40, 11, tzinfo=UTC)),
        ("Dec 31 23:59:59 host kernel: x", datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("E1123 06:40:11.1 1 a.go:1] x", datetime(2026, 11, 23, 6, 40, 11, tzinfo=UTC)),
        ('{"ts":1795416011.25,"msg":"x"}', datetime(2026, 11, 23, 6, 40, 11, tzinfo=UTC)),
        ('{"time":1795416011250,"msg":"x"}', datetime(2026, 11, 23, 6, 40, 11, tzinfo=UTC)),
        ("2026-99-99T99:99:99 x", None),
        ("Xyz 99 99:99:99 x", None),
        ("no time", None),
    ],
)
def test_times_of_the_usual_formats_are_read(line: str, instant: datetime | None) -> None:
    assert survey_of(line).patterns[0].first_at == instant


def test_first_and_last_time_are_the_earliest_and_the_latest_seen_whatever_their_order() -> None:
    at = datetime(2026, 11, 23, 6, 40, tzinfo=UTC).timestamp()
    found = survey_of(*[LogLine("ERROR x", at + 9)] * 20_000, LogLine("ERROR x", at), LogLine("ERROR x", at + 20))
    assert found.patterns[0].first_at == datetime(2026, 11, 23, 6, 40, tzinfo=UTC)
    assert found.patterns[0].last_at == datetime(2026, 11, 23, 6, 40, 20, tzinfo=UTC)


def test_the_sources_time_wins_over_the_lines() -> None:
    (pattern,) = survey_of(LogLine("2020-01-01T00:00:00Z ERROR x", 1_795_416_011.0)).patterns
    assert pattern.first_at == datetime(2026, 11, 23, 6, 40, 11, tzinfo=UTC)


# Against before


def a_pattern(template: str, count: int, level: str = "error") -> LogPattern:
    return LogPattern(
        template=template, level=level, subject=CART, count=count, count_before=None, first_at=NOW, last_at=NOW, sample=template
    )  # fmt: skip


def test_what_was_there_neither_before_nor_the_day_before_is_new() -> None:
    window = [a_pattern("known", 5), a_pattern("new", 2), a_pattern("daily", 3), a_pattern("chatter", 90, "info")]
    before = [a_pattern("known", 4), a_pattern("chatter", 88, "info")]
    found = {pattern.template: pattern for pattern in compare(window, before, [a_pattern("daily", 3), a_pattern("known", 4)])}
    assert {name for name, pattern in found.items() if pattern.is_new} == {"new"}
    assert (found["known"].count, found["known"].count_before, found["known"].count_day_before) == (5, 4, 4)
    assert (found["daily"].count_before, found["daily"].count_day_before) == (0, 3)
    assert found["new"].first_at == NOW


def test_what_was_there_before_and_is_not_now_has_vanished() -> None:
    (kept, vanished) = compare([a_pattern("a", 1)], [a_pattern("b", 7), a_pattern("a", 1)])
    assert (kept.has_vanished, kept.count_day_before) == (False, None)
    assert (vanished.template, vanished.count, vanished.count_before, vanished.has_vanished) == ("b", 0, 7, True)


def test_new_patterns_come_first_within_their_level() -> None:
    window = [a_pattern("loud", 900), a_pattern("new", 1), a_pattern("new info", 5, "info")]
    assert [pattern.template for pattern in compare(window, [a_pattern("loud", 900)])] == ["new", "loud", "new info"]


def test_without_a_look_back_nothing_is_new() -> None:
    assert not a_pattern("a", 1).is_new
    assert compare((), ()) == ()


def test_the_same_pattern_of_another_subject_is_another_one() -> None:
    other = replace(a_pattern("a", 3), subject=Subject(kind="Deployment", name="pay", namespace="shop"))
    assert [pattern.is_new for pattern in compare([a_pattern("a", 1)], [other])] == [True, False]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 9))), st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 9))))
@settings(max_examples=100, deadline=None)
def test_nothing_is_lost_in_a_comparison(window: list[tuple[str, int]], before: list[tuple[str, int]]) -> None:
    now_patterns = [a_pattern(name, count) for name, count in dict(window).items()]
    then_patterns = [a_pattern(name, count) for name, count in dict(before).items()]
    found = compare(now_patterns, then_patterns)
    assert {pattern.template: pattern.count for pattern in found if pattern.count} == dict(window)
    assert {pattern.template: pattern.count_before for pattern in found if pattern.count_before} == dict(before)


# Bounds


def test_no_line_gives_no_pattern() -> None:
    for lines in ((), ("",), ("\n", "  ", "\t at x")):
        assert mine(lines, subject=CART, now=NOW) == ()


def test_of_too_many_patterns_the_quiet_ones_are_left_out_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining, "_MOST_HELD", 50)
    monkeypatch.setattr(mining, "_BATCH_LINES", 40)
    letters = [chr(97 + number // 26) + chr(97 + number % 26) for number in range(300)]
    lines = ["ERROR the one that counts", *(f"INFO quiet {word}" for word in letters), "ERROR the one that counts"]
    found = survey(iter(lines), subject=CART, now=NOW, most=20)
    assert found.patterns[0].template == "ERROR the one that counts"
    assert found.patterns[0].count == 2
    assert (found.lines, found.distinct, len(found.patterns)) == (302, 301, 20)
    assert found.levels == {"error": 2, "info": 300}
    assert found.cut == "281 of 301 patterns were left out, the quietest and rarest."


def test_lines_are_taken_as_they_come_so_that_no_log_is_too_long() -> None:
    def endless() -> object:
        for number in range(60_000):
            yield f"INFO request {number} done"

    assert survey(endless(), subject=CART, now=NOW).lines == 60_000  # type: ignore[arg-type]  # any iterable will do


@pytest.mark.parametrize(
    "unit", ["a.", "/a", '"', "'", '"\\', "a-", ":", "12:", "status=", 'error="', "f", "1", "a1", "://", "[", "2026-11-23T", "f:", "at ", "(", "a,"]
)
def test_a_line_twice_as_long_costs_twice_and_not_four_times(unit: str) -> None:
    """The patterns run in linear time: 40,000 characters without an end to them would take minutes otherwise."""
    began = process_time()
    mask((unit * 40_000)[:40_000])
    survey_of(*[(unit * 2000)[:1990]] * 20, *["goroutine " + (unit * 2000)[:1900]] * 2)
    assert process_time() - began < 10


@given(
    st.lists(
        st.one_of(st.text(max_size=80), st.sampled_from(HOSTILE), st.builds(LogLine, st.text(), st.none() | st.floats(0, 4e9), st.text())),
        max_size=12,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_lines_give_patterns_that_add_up_and_are_fit_to_show(lines: list[str | LogLine]) -> None:
    found = survey_of(*lines)
    assert found.lines == sum(found.levels.values()) == sum(pattern.count for pattern in found.patterns)
    for pattern in found.patterns:
        assert pattern.level in LEVELS
        assert pattern.template
        assert len(pattern.sample) < 540
        for text in (pattern.template, pattern.sample):
            assert not [character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co")]


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_line_has_a_level(line: str) -> None:
    assert level_of(line) in LEVELS


@given(st.lists(st.sampled_from([*"0147af:-/.T' \"", "Jan", "2026-11-23T", "06:40:11", "::", "://", "-4f2a-4f2a-4f2a-"]), max_size=14).map("".join))
@settings(max_examples=300, deadline=None)
def test_a_line_that_a_mask_fits_is_never_passed_over(line: str) -> None:
    for _, hint, pattern, _ in _MASKS:
        assert hint(line) or not pattern.search(line), pattern.pattern
