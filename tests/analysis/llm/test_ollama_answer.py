"""From bytes to an answer, without a network: the same bytes mean the same, however they come in pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.analysis.llm.answer import (
    MAX_LINE_BYTES,
    MAX_OBJECTS_A_LINE,
    Answer,
    AnswerReader,
    Unusable,
    error_text,
    says_too_long,
    without_thinking,
)
from agent_sre.analysis.llm.model import REASONS

DONE = b'{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":12,"eval_count":3}\n'


def token(content: str) -> bytes:
    return json.dumps({"message": {"role": "assistant", "content": content}, "done": False}).encode() + b"\n"


def read(*chunks: bytes) -> Answer:
    reader = AnswerReader()
    for chunk in chunks:
        if (answer := reader.feed(chunk)) is not None:
            return answer
    return reader.end()


def reason_of(*chunks: bytes) -> str:
    with pytest.raises(Unusable) as caught:
        read(*chunks)
    assert caught.value.reason in REASONS
    return caught.value.reason


def outcome(*chunks: bytes) -> Answer | str:
    try:
        return read(*chunks)
    except Unusable as error:
        return error.reason


def test_the_pieces_make_one_text_and_the_last_line_says_the_counts() -> None:
    assert read(token("It is "), token("the disk."), DONE) == Answer(text="It is the disk.", finish_reason="stop", input_tokens=12, output_tokens=3)


def test_the_last_line_needs_no_line_break() -> None:
    assert read(token("yes") + DONE.rstrip()).text == "yes"


def test_what_stands_behind_done_is_ignored() -> None:
    assert read(token("yes") + DONE + b"\xff garbage").text == "yes"


def test_done_without_a_reason_is_a_stop() -> None:
    assert read(b'{"message":{"content":"yes"},"done":true}').finish_reason == "stop"


@pytest.mark.parametrize("done", [b'"true"', b"1", b"null", b"false"])
def test_only_true_is_done(done: bytes) -> None:
    assert reason_of(b'{"message":{"content":"yes"},"done":%s}\n' % done) == "incomplete"


@pytest.mark.parametrize("count", ["-1", "true", "1.5", '"12"', "null"])
def test_a_count_that_is_none_is_unknown(count: str) -> None:
    answer = read(b'{"message":{"content":"yes"},"done":true,"eval_count":%s}' % count.encode())
    assert answer.output_tokens is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"error":"cuda"}', "server_error"),
        (b'{"error":{"message":"cuda"}}', "server_error"),
        (b'{"error":"the input length exceeds the context length"}', "prompt_too_long"),
        (b'{"message":"text","done":false}', "garbage"),
        (b'{"message":{"content":["a"]},"done":false}', "garbage"),
        (b"null", "garbage"),
        (b'"text"', "garbage"),
        (b"{}", "garbage"),
        (b'{"done":true,"done_reason":"length"}', "cut_off"),
        (b'{"done":true,"done_reason":"unload"}', "incomplete"),
        (b'{"done":true,"done_reason":["stop"]}', "incomplete"),
    ],
)
def test_each_bad_line_has_its_reason(line: bytes, reason: str) -> None:
    assert reason_of(token("It is "), line + b"\n") == reason


def test_an_answer_without_words_is_invalid() -> None:
    assert reason_of(b'{"done":true}') == "invalid"
    assert reason_of(token(" \n"), DONE) == "invalid"


def test_a_message_without_content_is_only_progress() -> None:
    reader = AnswerReader()
    assert reader.feed(b'{"message":{"role":"assistant","thinking":"hm"},"done":false}\n{"message":null,"done":false}\n') is None
    assert reader.objects == 2


def test_a_character_may_be_split_between_lines_as_bytes_or_as_halves() -> None:
    line = b'{"message":{"content":"%s"},"done":false}\n'
    assert read(line % b"\xf0\x9f", line % b"\x94\xa5", DONE).text == "🔥"
    assert read(line % rb"\ud83d", line % rb"\udd25", DONE).text == "🔥"
    assert read(line % b"gr\xc3", line % b"\xb6\xc3\x9fer", DONE).text == "größer"


def test_halves_that_stay_alone_become_replacement_characters() -> None:
    line = b'{"message":{"content":"%s"},"done":false}\n'
    assert read(line % rb"a\ud83db", DONE).text == "a\ufffdb"
    assert read(line % b"a\xc3b", DONE).text == "a\ufffdb"


def test_a_line_without_end_is_given_up() -> None:
    reader = AnswerReader()
    for _ in range(MAX_LINE_BYTES // 65536):
        assert reader.feed(b"x" * 65536) is None
    with pytest.raises(Unusable, match="one line"):
        reader.feed(b"x")


def test_a_line_of_too_many_objects_is_given_up() -> None:
    assert reason_of(b'{"done":false}' * (MAX_OBJECTS_A_LINE + 1) + b"\n") == "garbage"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("<think>a</think>b", "b"),
        ("<THINKING>\na\n</thinking>\nb", "\nb"),
        ("a <think>b</think> c <think>d</think>e", "a  c e"),
        ("hm</think>b", "b"),
        ("a<think>never ends", "a"),
        ("a < b and b > c", "a < b and b > c"),
    ],
)
def test_thinking_leaves_the_text(text: str, rest: str) -> None:
    assert without_thinking(text) == rest


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("cuda", "cuda"),
        ('{"error":"cuda"}', "cuda"),
        ({"error": {"code": 400, "type": "exceed_context_size_error", "n_ctx": 8192}}, "exceed_context_size_error"),
        ('{"error":"{\\"error\\":{\\"message\\":\\"cuda\\"}}"}', "cuda"),
        ("{not json", "{not json"),
        ({}, "no words"),
        (None, "None"),
        ("two\nlines\x1b[31m", "two lines[31m"),
    ],
)
def test_the_words_of_an_error_are_found_in_every_shape(value: object, text: str) -> None:
    assert error_text(value) == text


def test_an_error_that_holds_itself_many_times_ends() -> None:
    nested = "cuda"
    for _ in range(50):
        nested = json.dumps({"error": nested})[:100_000]
        if len(nested) > 50_000:
            break
    assert len(error_text(nested)) <= 220


@pytest.mark.parametrize(
    ("text", "too_long"),
    [
        ("the input length exceeds the context length", True),
        ("the prompt is longer than the context length currently available to the model; shorten it", True),
        ("exceed_context_size_error request (9001 tokens) exceeds the available context size", True),
        ("model runner has unexpectedly stopped", False),
        ("context canceled", False),
    ],
)
def test_the_wordings_of_too_long_are_known(text: str, too_long: bool) -> None:
    assert says_too_long(text) is too_long


PARTS = st.lists(
    st.one_of(
        st.text(max_size=6).map(token),
        st.binary(max_size=12),
        st.sampled_from([DONE, b"\n", b"\r\n", b'{"error":"x"}\n', b'{"done":true}', b"[" * 50, b'{"message":{"content":"\\ud83d"}}']),
    ),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(parts=PARTS, size=st.integers(1, 30))
def test_pieces_of_any_size_mean_the_same(parts: list[bytes], size: int) -> None:
    stream = b"".join(parts)
    whole = outcome(stream)
    assert outcome(*(stream[at : at + size] for at in range(0, len(stream), size))) == whole
    if isinstance(whole, Answer):
        assert whole.text.strip()
        assert whole.text.encode()


@settings(max_examples=100, deadline=None)
@given(pieces=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=8))
def test_every_text_comes_through_unchanged(pieces: list[str]) -> None:
    text = "".join(pieces).strip()
    if text and without_thinking(text) == text:
        assert read(*map(token, pieces), DONE).text == text
