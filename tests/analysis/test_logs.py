"""A log text in a few lines: the whole counted, and the messages that mean the same everywhere."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.analysis.logs import SIGNATURES, LogDigest, digest
from fakes.hostile import HOSTILE

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def digest_of(*lines: str) -> LogDigest:
    return digest("\n".join(lines), NOW)


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


# the whole


def test_counts_by_level_add_up() -> None:
    found = digest_of(*["INFO fine"] * 5, "FATAL gone", *["ERROR boom"] * 2, "hm")
    assert found.levels == {"fatal": 1, "error": 2, "info": 5, "": 1}
    assert (found.lines, found.errors, found.distinct) == (9, 3, 4)


def test_a_pasted_indent_hides_nothing() -> None:
    assert digest_of("    ERROR one", "    ERROR two").lines == 2


def test_first_and_last_time_cover_all_patterns() -> None:
    found = digest_of("2026-11-23T06:40:11Z ERROR a", "2026-11-23T06:41:00Z INFO b", "2026-11-23T06:39:00Z INFO c", "x")
    assert found.first_at == datetime(2026, 11, 23, 6, 39, tzinfo=UTC)
    assert found.last_at == datetime(2026, 11, 23, 6, 41, tzinfo=UTC)


def test_nothing_is_an_answer() -> None:
    for text in ("", "\n\n", "   \n"):
        found = digest(text, NOW)
        assert found.lines == 0
        assert found.patterns == ()


def test_more_than_we_read_keeps_the_newest_and_says_so() -> None:
    found = digest("\n".join(["ERROR old"] * 10 + ["ERROR new"] * 200_000), NOW)
    assert found.truncated
    assert [pattern.template for pattern in found.patterns] == ["ERROR new"]


@given(st.lists(st.one_of(st.text(max_size=80), st.sampled_from(HOSTILE)), max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_text_gives_a_digest_that_adds_up(lines: list[str]) -> None:
    found = digest("\n".join(lines), NOW)
    assert found.lines == sum(found.levels.values()) == sum(pattern.count for pattern in found.patterns)
