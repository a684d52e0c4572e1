"""Text made fit to show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_sre.kit.text import both_ends, one_line


def test_of_a_long_error_the_cause_at_its_end_stays() -> None:
    error = f'Failed to pull image "shop/till:2.0": {"rpc error: unpack: " * 20}shop/till:2.0: not found'
    shown = both_ends(error, 120)
    assert shown.startswith('Failed to pull image "shop/till:2.0":')
    assert " … " in shown
    assert shown.endswith("not found")


@given(st.text(max_size=2_000), st.integers(20, 400))
def test_any_text_is_one_line_of_at_most_the_limit(text: str, limit: int) -> None:
    shown = both_ends(text, limit)
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1
    if len(one_line(text, 10_000)) <= limit:
        assert shown == one_line(text, limit)


@pytest.mark.parametrize("limit", [20, 300])
def test_a_text_without_spaces_is_cut_as_well(limit: int) -> None:
    assert len(both_ends("x" * 5_000, limit)) <= limit
