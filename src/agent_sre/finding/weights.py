"""Every number that decides, with its reason, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceWeights:
    """Curves, edges, changes and logs of services (finding/suspicion.py)."""

    most: float = 0.95
    certain: float = 1.5  # at this strength the certainty is 1 - 1/e
    least_strength: float = 0.15
    most_suspects: int = 8  # as many as anybody reads
    beside_kubernetes: float = 0.6
    further_kind: float = 0.7  # a second kind of clue about the same service counts this share, the next this share of that
    out_of_reach: float = 0.4  # what the alerting service does not call cannot well be its cause
    address: float = 0.15  # an address is what callers see, hardly ever what broke
    unchanged: float = 0.6  # while rollouts are under way, most incidents come from one of them
    recent_change: float = 3600.0
    other_symptom: float = 0.6  # an alert on latency is hardly explained by failures, and the other way round
    little_traffic: float = 0.1  # a service that gets less than this share of the alerting one's requests cannot have slowed most of them
    least_traffic: float = 0.3
    cpu: float = 1.0
    full_percent: float = 80.0  # a processor this full makes its callers wait
    fuller: float = 1.3
    full: float = 1.0
    memory: float = 0.7
    restart: float = 0.7
    syscalls: float = 0.4
    syscalls_fall: float = 0.1
    network: float = 0.15
    latency: float = 0.6
    calls_per_request: float = 1.0  # a request waits for the slowest of its calls at least once
    gap: float = 1.5
    gap_share: float = 0.5
    gap_of_caller: float = 0.9  # of a gap, the one called is likelier than the caller
    gap_strongest: float = 0.3
    little_history: float = 0.5
    failures: float = 1.0
    failures_below: float = 0.8
    fails_after_callee_changed: float = 0.5
    fresh_memory: float = 0.5  # new processes use other amounts than old ones; half as much again is more than that
    only_changed: float = 0.3  # the last deploy is not to blame just because it is the last
    caller_fails: float = 0.7
    late_change: float = 300.0
    quicker: float = 0.6
    least_ratio: float = 0.02
    many_calls: float = 30.0
    fewest_calls: float = 5.0
    fewer_calls: float = 1.0
    new_pods: float = 0.8
    changed: float = 1.0
    change_half_life: float = 1800.0
    change_age: float = 1800.0
    error_lines: float = 0.8


SERVICES = ServiceWeights()


@dataclass(frozen=True, slots=True, kw_only=True)
class FillingWeights:
    """Shares of something that can be full (finding/detectors/filling.py)."""

    fewest_points: int = 3
    fullest: float = 1.5  # more is no share of anything
    nearly_full: float = 0.9  # the kubelet evicts pods at 0.85 to 0.9 of a disk, and people alert there
    full_from: float = 0.97
    worth_a_look: float = 0.5  # half empty and rising is a fresh start more often than a leak
    soon_seconds: float = 4 * 3600.0  # the time in which somebody must act
    least_a_day: float = 0.05  # slower than 5 % a day is ordinary growth
    full: float = 0.7
    filling: float = 0.5
    high: float = 0.3
    throttled_from: float = 0.25  # of periods: below it nobody measures a difference
    throttled: float = 0.5


FILLING = FillingWeights()
