"""Every number that decides, with its reason, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceWeights:
    """Curves, edges, changes and logs of services (finding/suspicion.py)."""

    further_kind: float = 0.7  # a second kind of clue about the same service counts this share, the next this share of that
    out_of_reach: float = 0.4  # what the alerting service does not call cannot well be its cause
    cpu: float = 1.0
    memory: float = 0.7
    restart: float = 0.7
    syscalls: float = 0.6
    syscalls_fall: float = 0.3
    network: float = 0.3
    latency: float = 0.8
    calls_per_request: float = 1.0  # a request waits for the slowest of its calls at least once
    gap: float = 1.0
    gap_share: float = 0.5
    gap_of_caller: float = 0.9  # of a gap, the one called is likelier than the caller
    gap_strongest: float = 0.3
    little_history: float = 0.5
    failures: float = 1.0
    failures_below: float = 0.8
    fewest_calls: float = 5.0
    fewer_calls: float = 1.0
    new_pods: float = 0.8
    changed: float = 1.0
    change_half_life: float = 1800.0
    change_age: float = 1800.0
    error_lines: float = 0.5


SERVICES = ServiceWeights()
