"""What fits a window, and how a cut prompt shows."""

from __future__ import annotations

import pytest

from agent_sre.analysis.llm.tokens import estimate_tokens, fits, was_cut


@pytest.mark.parametrize(
    ("texts", "tokens"), [(("",), 0), (("x" * 35,), 10), (("x" * 35, "y" * 35), 20), (("内存不足",), 4), (("🔥" * 3,), 3), (("Größe.x",), 2)]
)
def test_the_estimate_counts_characters_and_wide_characters(texts: tuple[str, ...], tokens: int) -> None:
    assert estimate_tokens(*texts) == tokens


def test_a_prompt_fits_with_thirty_percent_to_spare() -> None:
    assert fits(5_500, num_ctx=8192, num_predict=700)
    assert not fits(5_800, num_ctx=8192, num_predict=700)
    assert not fits(0, num_ctx=700, num_predict=700)


@pytest.mark.parametrize(
    ("count", "estimate", "prompt_bytes", "cut"),
    [
        (None, 5_000, 17_500, False),  # the server did not say
        (4_200, 5_000, 17_500, False),  # prose has fewer tokens than we estimate
        (6_000, 5_000, 17_500, False),  # ids and numbers have more
        (2_050, 5_000, 17_500, True),  # half of a window of 4096
        (4_098, 5_600, 19_600, True),  # half of our window
        (4_098, 3_000, 10_500, True),  # dense text: three tokens where we count one
        (4_098, 4_500, 8_000, False),  # too few bytes to have overflowed the window
        (150, 300, 1_050, False),  # too short for anybody to cut
        (0, 5_000, 17_500, True),
    ],
)
def test_a_cut_prompt_shows_in_the_servers_count(count: int | None, estimate: int, prompt_bytes: int, cut: bool) -> None:
    assert was_cut(count, estimate=estimate, prompt_bytes=prompt_bytes, num_ctx=8192) is cut
