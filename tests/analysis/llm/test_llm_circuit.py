"""The circuit breaker, turned by a fake clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent_sre.analysis.llm.circuit import Circuit
from agent_sre.kit.clock import FakeClock

HALF_A_MINUTE = timedelta(seconds=30)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def circuit(clock: FakeClock) -> Circuit:
    return Circuit(clock, failures=3, open_for=HALF_A_MINUTE)


def fail(circuit: Circuit, times: int) -> None:
    for _ in range(times):
        circuit.enter()
        circuit.failed()


def test_it_opens_after_three_failures_in_a_row(circuit: Circuit) -> None:
    fail(circuit, 2)
    assert circuit.closed_for() is None
    fail(circuit, 1)
    assert circuit.closed_for() == HALF_A_MINUTE


def test_a_success_between_starts_the_count_again(circuit: Circuit) -> None:
    fail(circuit, 2)
    circuit.enter()
    circuit.succeeded()
    fail(circuit, 2)
    assert circuit.closed_for() is None


def test_it_counts_down_and_then_lets_one_probe_through(circuit: Circuit, clock: FakeClock) -> None:
    fail(circuit, 3)
    clock.advance(timedelta(seconds=20))
    assert circuit.closed_for() == timedelta(seconds=10)
    clock.advance(timedelta(seconds=10))
    assert circuit.closed_for() is None
    circuit.enter()
    assert circuit.closed_for() == timedelta(0)


def test_a_probe_that_fails_opens_it_again(circuit: Circuit, clock: FakeClock) -> None:
    fail(circuit, 3)
    clock.advance(HALF_A_MINUTE)
    fail(circuit, 1)
    assert circuit.closed_for() == HALF_A_MINUTE


def test_a_probe_that_succeeds_closes_it(circuit: Circuit, clock: FakeClock) -> None:
    fail(circuit, 3)
    clock.advance(HALF_A_MINUTE)
    circuit.enter()
    circuit.succeeded()
    assert circuit.closed_for() is None
    fail(circuit, 2)
    assert circuit.closed_for() is None


def test_a_probe_that_was_given_up_lets_another_one_through(circuit: Circuit, clock: FakeClock) -> None:
    fail(circuit, 3)
    clock.advance(HALF_A_MINUTE)
    circuit.enter()
    circuit.left()
    assert circuit.closed_for() is None
