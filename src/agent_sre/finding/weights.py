"""Every number that decides a verdict, with its reason: one readable place. What is learned from recorded incidents stands in TOML files
beside this: confidence.toml and storm.toml, both made by `agent-sre eval … --refit --write`.

One section per field of trouble. A weight is between 0 and 1 and is not the share of cases in some collection: it says how much else could
look like that. Sights of one cause about one object add up (rank.py), so that two weak ones that agree are worth one strong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceWeights:
    """Curves, edges, changes and logs of services (finding/suspicion.py)."""

    most: float = 0.95  # curves show effects; they never prove
    certain: float = 1.5  # at this strength the certainty is 1 - 1/e
    least_strength: float = 0.15  # below it there is nothing to tell
    most_suspects: int = 8  # as many as anybody reads
    beside_kubernetes: float = 0.6  # objects and events tell causes of which curves show the effect
    further_kind: float = 0.7  # a second kind of clue about the same service counts this share, the next this share of that
    out_of_reach: float = 0.4  # what the alerting service does not call cannot well be its cause
    address: float = 0.15  # an address is what callers see, hardly ever what broke
    unchanged: float = 0.6  # while rollouts are under way, most incidents come from one of them
    recent_change: float = 3600.0  # seconds; later trouble of a rollout needs a trigger of its own
    other_symptom: float = 0.6  # an alert on latency is hardly explained by failures, and the other way round
    little_traffic: float = 0.1  # a service that gets less than this share of the alerting one's requests cannot have slowed most of them
    least_traffic: float = 0.3
    cpu: float = 1.0  # the strongest sign there is of a service in trouble by itself
    full_percent: float = 80.0  # a processor this full makes its callers wait
    fuller: float = 1.3  # and by this much fuller than usual: always full is its ordinary state
    full: float = 1.0  # as much as a rise to three times the noise
    memory: float = 0.7  # caches and collectors move it as well
    restart: float = 0.7  # memory that fell to that of a fresh process
    syscalls: float = 0.4  # they follow load and chatter
    syscalls_fall: float = 0.1  # fewer is mostly fewer requests
    network: float = 0.15  # traffic follows what others do
    latency: float = 0.6  # queues of others reach it too
    calls_per_request: float = 1.0  # a request waits for the slowest of its calls at least once
    gap: float = 1.5  # hardly anything else looks like that
    gap_share: float = 0.5  # half of what a call lost lies outside of the one called
    gap_of_caller: float = 0.9  # of a gap, the one called is likelier than the caller
    gap_strongest: float = 0.3  # of the worst call; the rest is the mean, because a sick network is sick for all
    failures: float = 1.0
    failures_below: float = 0.8  # what fails below explains most of it, not all
    fails_after_callee_changed: float = 0.5  # a service below that was just changed explains its failures
    fresh_memory: float = 0.5  # new processes use other amounts than old ones; half as much again is more than that
    one_kind: float = 0.49  # at most, for what only one kind of curve shows: possible, not likely
    only_changed: float = 0.3  # the last deploy is not to blame just because it is the last
    caller_fails: float = 0.7  # that its caller fails is known, that it is the reason is a guess
    late_change: float = 300.0  # seconds after the alert: clocks, and rollouts that are noted when they end
    quicker: float = 0.6  # an error may be quicker than an answer, and so may a cache
    least_ratio: float = 0.02
    many_calls: float = 30.0  # from so many on the ratio is no chance
    fewest_calls: float = 5.0  # fewer tell no ratio
    fewer_calls: float = 1.0
    new_pods: float = 0.8  # new pods are a little different anyway
    changed: float = 1.0  # most incidents follow a change; between two changed ones it decides nothing
    too_late: float = 0.4
    soonest_seconds: float = 60.0  # a rule waits (`for:`) before it fires: a change later than this before the alert came after the trouble
    change_half_life: float = 1800.0  # seconds
    change_age: float = 1800.0  # seconds; where only the order is known
    error_lines: float = 0.8  # logs repeat what others did


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

# Confidence (confidence.py)

HIGH = 0.9
"""Nine of ten verdicts that are called high must be right: one wrong in ten is what an on-call engineer still forgives a colleague."""

MEDIUM = 0.5
"""More often right than wrong."""

CONFIDENCE_PRIOR: Mapping[str, float] = {
    # Where learning starts, and what stands where no example says otherwise.
    "always": -2.5,  # a single detector of weight 0.7 that nobody contradicts is not yet high
    "score": 3.0,  # what the detectors themselves think
    "lead": 2.0,  # over the best hypothesis about another object: many suspects are none
    "lead of cause": 1.0,  # over another cause of the same object: the object may be right and its trouble not
    "kinds of evidence": 0.5,  # independent ways of seeing it; each more is harder to explain by chance
    "contradicted": -1.0,
    "gaps": -0.5,  # what could not be asked may hold the better answer
}

MOST_KINDS = 3
"""Kinds of evidence and ways of seeing that still add something; a fourth is mostly the second again."""

CLOSE_RIVAL = 0.8
"""A rival with so much of the first's score is as good."""

CONFIDENCE_PULL = 1.0
"""How hard the prior holds on when confidence is learned: about one verdict's worth of doubt for each sign."""

MULTIPLIERS = (0.6, 0.8, 1.0, 1.2, 1.4)
"""What learning may multiply a detector's weights with: it corrects the scale on which somebody guessed, it does not overrule him."""

HEAVIEST = 0.97
"""Of a finding after that: nothing that one detector saw is certain."""

# Storms (storm.py, detectors/storm.py)

STORM_EXPERT: Mapping[str, float] = {
    # Shapes that the storms which the weights were learned from do not have; learning starts from these.
    "odd down": 0.8,  # a program that crashes or is gone is rather a source than a victim: victims wait and fail, they do not stop
    "rare down": 0.6,
    "odd process+": 0.3,  # connections and threads pile up where they are held
}

STORM_PULL = 2.0
"""How hard these hold on; found on storms that were held out."""

STORM_ENOUGH_HISTORY = 3
"""Earlier storms before what is usual can be told."""

STORM_USUAL = 0.3
"""An alert that fires in three of ten storms is missed when it does not."""

STORM_MOST_SURPRISE = 6.0
"""Log of 400: beyond that, history is too short to tell."""

STORM_NEW = 3.0
"""An alert that surprises so much fires in less than one of twenty storms: it is new, whatever else fires."""

STORM_MOST_MISSED = 12.0
"""Enough to say that a program which usually writes is silent; a talkative one shall not outweigh everything else."""

STORM_FEWEST = 3
"""Objects: of two either may be the other's victim."""

STORM_LEAST_SHARE = 0.4
"""Of all suspicion: below, two of three guesses were wrong on recorded storms."""

STORM_LEAST_LEAD = 1.5
"""Times the share of the second; closer than that, both are worth a look and neither is the answer."""

STORM_WEIGHT = 0.6
"""Of a share of 1, as a cause that is proposed. A share of five sixths, which was right nine times of ten, comes before what is only usual (0.5);
it stays below what was measured."""
