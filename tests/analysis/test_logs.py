"""A log in a few lines: templates with counts, levels, times, and the messages that mean the same everywhere."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.analysis import logs
from agent_sre.analysis.logs import LEVELS, SIGNATURES, LogDigest, digest, level_of
from fakes.hostile import HOSTILE
from growth import FAR_BELOW_QUADRATIC, growth

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def digest_of(*lines: str) -> LogDigest:
    return digest("\n".join(lines), NOW)


def only_template(*lines: str) -> str:
    templates = digest_of(*lines).templates
    assert len(templates) == 1, [template.text for template in templates]
    assert templates[0].count == len(lines)
    return templates[0].text


# templates


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
    found = digest_of("connection refused by 10.0.0.1", "connection reset by 10.0.0.1")
    assert len(found.templates) == 2
    assert found.distinct == 2


def test_http_statuses_are_not_masked() -> None:
    found = digest_of('10.0.0.1 "GET /a/b HTTP/1.1" 502 173', '10.0.0.1 "GET /a/c HTTP/1.1" 200 9', "status=503 x", "status=200 x")
    assert len(found.templates) == 4


def test_a_json_line_is_its_time_level_and_message() -> None:
    line = json.dumps({"ts": "2026-11-23T06:40:11Z", "level": "error", "msg": "query failed", "error": "no such host", "user": "bob"})
    template = digest_of(line).templates[0]
    assert template.text == "<time> ERROR query failed no such host"
    assert template.level == "error"
    assert template.first_at == datetime(2026, 11, 23, 6, 40, 11, tzinfo=UTC)


def test_a_message_in_logfmt_is_read_not_masked() -> None:
    found = digest_of('level=error msg="dial tcp: connection refused" user="bob"', 'level=error msg="disk is full" user="eve"')
    assert [template.text for template in found.templates] == [
        "level=error msg=dial tcp: connection refused user=<text>",
        "level=error msg=disk is full user=<text>",
    ]


def test_a_stack_trace_counts_as_its_first_and_last_line() -> None:
    found = digest_of("Traceback (most recent call last):", '  File "a.py", line 3, in f', "    x()", "KeyError: 'DB_URL'", "\tat a.b.C(D.java:3)")
    assert found.lines == 2


def test_a_pasted_indent_hides_nothing() -> None:
    assert digest_of("    ERROR one", "    ERROR two").lines == 2


def test_colours_are_dropped() -> None:
    assert only_template("\x1b[31mERROR\x1b[0m disk", "ERROR disk") == "ERROR disk"


def test_samples_are_cleaned_redacted_and_cut() -> None:
    template = digest_of("login failed password=hunter22 \u202e" + "x" * 900).templates[0]
    assert "hunter22" not in template.sample
    assert "hunter22" not in template.text
    assert "\u202e" not in template.sample
    assert len(template.sample) < 320


# levels


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
    assert digest_of(line).templates[0].level == level


def test_counts_by_level_add_up_and_urgent_templates_come_first() -> None:
    found = digest_of(*["INFO fine"] * 5, "FATAL gone", *["ERROR boom"] * 2, "hm")
    assert found.levels == {"fatal": 1, "error": 2, "info": 5, "": 1}
    assert found.errors == 3
    assert [template.level for template in found.templates] == ["fatal", "error", "info", ""]


# times


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
    assert digest_of(line).first_at == instant


def test_first_and_last_time_cover_all_templates() -> None:
    found = digest_of("2026-11-23T06:40:11Z ERROR a", "2026-11-23T06:41:00Z INFO b", "2026-11-23T06:39:00Z INFO c", "x")
    assert found.first_at == datetime(2026, 11, 23, 6, 39, tzinfo=UTC)
    assert found.last_at == datetime(2026, 11, 23, 6, 41, tzinfo=UTC)


# known messages


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("kernel: Out of memory: Killed process 42 (java)", "out-of-memory"),
        ("write /data/x: no space left on device", "disk-full"),
        ("accept: too many open files", "too-many-files"),
        ("dial tcp: lookup db on 10.0.0.1:53: no such host", "dns"),
        ("dial tcp 10.0.0.1:5432: connect: connection refused", "connection-refused"),
        ("FATAL: sorry, too many clients already", "connection-pool"),
        ("context deadline exceeded (Client.Timeout exceeded)", "timeout"),
        ("read: connection reset by peer", "connection-reset"),
        ("connect: no route to host", "no-route"),
        ("x509: certificate has expired or is not yet valid", "tls"),
        ("FATAL: password authentication failed for user", "authentication"),
        ("open /etc/x: permission denied", "permission"),
        ("error: HTTP status=429 from api", "rate-limited"),
        ("ERROR: deadlock detected", "deadlock"),
        ("KeyError: 'DB_URL'", "missing-configuration"),
        ('Failed to pull image "x": manifest unknown', "image-pull"),
        ("Liveness probe failed: HTTP probe failed with statuscode: 500", "probe"),
        ("leader election lost", "leader-election"),
        ('1.1.1.1 "GET / HTTP/1.1" 503 1', "upstream"),
        ("panic: runtime error: invalid memory address or nil pointer dereference", "crash"),
    ],
)
def test_a_message_that_means_the_same_everywhere_is_recognised(line: str, name: str) -> None:
    assert [clue.signature.name for clue in digest_of(line).clues] == [name]


def test_every_signature_has_an_example_above() -> None:
    mark = test_a_message_that_means_the_same_everywhere_is_recognised.pytestmark[0]  # type: ignore[attr-defined]  # set by pytest
    assert {name for _, name in mark.args[1]} == {signature.name for signature in SIGNATURES}


def test_information_is_no_clue_and_the_most_frequent_clue_comes_first() -> None:
    found = digest_of("INFO timeout is 30s", "ERROR no such host", *["ERROR connection refused"] * 3)
    assert [(clue.signature.name, clue.count) for clue in found.clues] == [("connection-refused", 3), ("dns", 1)]


# bounds


def test_nothing_is_an_answer() -> None:
    for text in ("", "\n\n", "   \n"):
        found = digest(text, NOW)
        assert found.lines == 0
        assert found.templates == ()


def test_more_than_we_read_keeps_the_newest_and_says_so() -> None:
    found = digest("\n".join(["ERROR old"] * 10 + ["ERROR new"] * 200_000), NOW)
    assert found.truncated
    assert [template.text for template in found.templates] == ["ERROR new"]


def mixed_lines(count: int) -> str:
    """An access log and JSON lines in turn: two statements, no two lines alike."""
    return "\n".join(
        f"2026-11-23T06:40:{n % 60:02}.123Z INFO GET /api/v1/users/{n}/{uuid.UUID(int=n)} status=200 took {n / 7:.2f}ms from 10.0.0.{n % 250}"
        if n % 2
        else f'{{"ts":"2026-11-23T06:40:11Z","level":"error","msg":"timeout acquiring connection {n}"}}'
        for n in range(count)
    )


def test_twenty_five_thousand_lines_of_two_statements_are_two_templates() -> None:
    found = digest(mixed_lines(25_000), NOW)
    assert [template.count for template in found.templates] == [12_500, 12_500]


def test_more_lines_cost_no_more_than_in_proportion() -> None:
    assert growth(lambda text: digest(text, NOW), mixed_lines(1_000), mixed_lines(8_000)) < FAR_BELOW_QUADRATIC


@pytest.mark.parametrize(
    "unit", ["a.", "/a", '"', "'", '"\\', "a-", ":", "12:", "status=", 'error="', "f", "1", "a1", "://", "[", "2026-11-23T", "f:", "at "]
)
def test_no_line_costs_more_than_its_length(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ten_lines_of(characters: int) -> str:
        return "\n".join([(unit * characters)[:characters]] * 10)

    # Lines are cut after 2,000 characters. Longer ones tell a quadratic pattern from a linear one more clearly.
    monkeypatch.setattr(logs, "_LINE_LIMIT", 16_000)
    assert growth(lambda text: digest(text, NOW), ten_lines_of(2_000), ten_lines_of(16_000)) < FAR_BELOW_QUADRATIC


@given(st.lists(st.one_of(st.text(max_size=80), st.sampled_from(HOSTILE)), max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_text_gives_a_digest_that_adds_up(lines: list[str]) -> None:
    found = digest("\n".join(lines), NOW)
    assert found.lines == sum(found.levels.values()) == sum(template.count for template in found.templates)
    assert all(template.level in LEVELS and "\n" not in template.text for template in found.templates)


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_line_has_a_level(line: str) -> None:
    assert level_of(line) in LEVELS
