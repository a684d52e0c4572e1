"""Every number that decides a verdict, with its reason. Weights are between 0 and 1: how surely a sight means its cause.

One section per field of trouble. A weight is not the share of cases in some collection: it says how much else could look like that. Sights
of one cause about one object add up (rank.py), so that two weak ones that agree are worth one strong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

# General

STATED = 0.95
"""A component of the cluster says in so many words what hinders it: the scheduler's message, the kubelet's reason, a unit that is dead."""

PROVED = 0.9
"""Two objects contradict each other, and both were seen: a selector that matches no node, a quota that is used up where one was refused."""

LIKELY = 0.6
"""The sight has one usual reason and a few unusual ones."""

POSSIBLE = 0.35
"""The sight fits, and so do others. Alone it is below what anybody should act on."""

HINT = 0.15
"""Enough to order what else is equal."""

# Ranking

HIGHEST_SEEN = 0.99
"""What was seen is never certain: evidence may be stale, and two components may lie alike."""

LOWEST = 0.02
"""Below this nothing is told apart; a hypothesis that is explained away keeps as much."""

STARTED_LATER = 0.8
"""Of a workload that cannot start, this share of what is wrong with the running of it is a consequence: a container that never ran fails
its probe, answers nobody and has no endpoints. Not all of it: the old pods of a rollout do run."""

EXPLAINED = 0.5
"""From this share on something is told as a consequence."""

STAGE_OF_FIELD: Mapping[str, int] = {
    "nodes": 0, "quotas": 1, "scheduling": 2, "storage": 2, "images": 3, "configuration": 3,
    "resources": 5, "data-stores": 5, "probes": 5, "network": 5, "services": 5, "changes": 5,
}  # fmt: skip
"""How early in a pod's life a field of trouble stops it: admitted, scheduled, mounted, pulled, created, run. Those of one stage do not
explain each other."""

STARTED = 5
"""From this stage on the container has run."""

FRESH = timedelta(minutes=20)
"""What began this long before the alert may have raised it: alerts wait (`for`), fetch intervals add up, and a retry shows late."""

AGE_WEIGHTS: tuple[tuple[timedelta, float], ...] = ((timedelta(hours=2), 0.8), (timedelta(days=1), 0.5))
"""What began longer ago counts less: it was so while all was well. Never nothing: some trouble waits for load."""

OLDEST_WEIGHT = 0.3
"""What began more than a day before the alert is mostly how this system always is."""

# Confidence

SURE_SCORE = 0.85
"""A first cause below this is not told with high confidence."""

CLEAR_LEAD = 1.2
"""The first cause must outweigh the second by this much before anybody calls it likely."""

SURE_LEAD = 1.3
"""…and by this much before anybody calls it sure: two causes that are nearly as strong may both be so, but which one the alert means is open."""

INCONCLUSIVE = 0.25
"""A first cause below this is not worth a name: the verdict is inconclusive and says what to look at."""

# Quotas

QUOTA_FULL = 0.3
"""A quota that is used up refuses nothing by itself: many are cut to fit. Something must be missing."""

REFUSED_BEFORE = 0.3
"""A refusal after which all the pods came: somebody made room."""

# Nodes and control plane

HEARTBEAT_LOST = 0.8
"""A kubelet that stopped posting is dead, or its node is, or the network between: the first is the most usual, and the steps are the same."""

DISABLED_UNIT = 0.4
"""A unit that is off and disabled may be off on purpose."""

UNSCHEDULED_IN_SILENCE = 0.75
"""A scheduler that runs writes an event within a second for each pod that it cannot place. An API that lost events would look the same."""

# Replicas

ZERO_BY_PLAN = 0.3
"""Nobody seems to call it: it may be switched off on purpose."""

# Applications and their wiring


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Services, addresses and routes: what manifests contradict each other about."""

    selector_fits_nothing: float = 0.93  # ready pods next to a Service without endpoints: nothing else looks like that
    selector_fits_nothing_unready: float = 0.8  # the pods are ill as well, which may be the greater trouble
    selector_fits_others: float = 0.7  # may be meant: a canary, a migration
    nearly_the_same: float = 0.6  # likeness of labels from which on a typing error is likelier than another workload
    port_leads_nowhere: float = 0.93  # the endpoints stay empty, or callers are refused
    port_undeclared: float = 0.8  # containers may listen on what they do not declare, but few do
    port_listened_on: float = 0.3  # a variable of the container names this very port
    other_transport: float = 0.93  # TCP and UDP never meet
    route_to_another: float = 0.92  # the path names one service, the route leads to another, and both are there
    route_to_nothing: float = 0.85  # the service may live where we did not look
    route_to_absent: float = 0.5  # the same, and the path does not say who was meant
    not_found_at_gateway: float = 0.6  # a healthy service and 404 for its paths; a client may ask for a wrong path
    address_refuted: float = 0.9  # nothing is called that, and the caller's log says so
    address_unconfirmed: float = 0.12  # many variables name what never existed and nobody uses
    address_outside_refuted: float = 0.75  # the log says so; the other side may be down
    address_like_another: float = 0.65  # quiet, but one letter from a Service that is there
    address_port_refuted: float = 0.88  # the Service is there but not on that port, and the caller's log says so
    address_port_unconfirmed: float = 0.7  # quiet, or in logs that we do not have
    address_swapped: float = 0.6  # the variable names one service and its value another; names may lie
    sidecar_port_taken: float = 0.93  # two processes of one pod on one port, and one says that it is in use
    sidecar_port_shared: float = 0.75  # the same, as far as manifests tell
    port_in_use: float = 0.5  # the log says so, and nothing tells who has it
    dns_resolver_foreign: float = 0.93  # its own name server, and its log says that names do not resolve
    dns_resolver_foreign_quiet: float = 0.75  # its own name server, and no log line
    dns_no_answer: float = 0.75  # this workload alone gets no answers
    dns_no_answer_everywhere: float = 0.6  # many do: the cluster's DNS
    dns_alias_wrong: float = 0.8  # a fixed host entry for a name that a Service has
    peer_fails: float = 0.15  # of each caller that fails to reach it: says where to look, hardly why
    peer_fails_most: float = 0.35  # many callers do not tell why either


WIRING = Wiring()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Data stores, by the words of their clients."""

    denied: float = 0.93  # a client that the database turns away at its start
    refused: float = 0.9  # nothing listens there for this one client, while the others work
    refused_by_all: float = 0.5  # then the database is down, which has causes of its own
    unreachable_host: float = 0.6
    handshake_failed: float = 0.6  # the client says that the start failed, and not why
    got_over: float = 0.4  # times the weight, where the client is ready all the same
    too_many: float = 0.85  # the server's own words
    too_many_more: float = 0.95  # of several clients
    read_only: float = 0.93  # the server's own words


STORES = Stores()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Latency and CPU of single workloads."""

    recent_seconds: float = 180.0  # an alert comes about two minutes after the onset
    latency_floor_ms: float = 1.0  # below that, doubling means nothing
    latency_unknown_ms: float = 20.0  # usual latency of what had no calls before
    latency_rise: float = 4.0  # times the usual; what load alone does stays below
    latency_least_ms: float = 50.0  # added; nobody notices less
    latency_much_ms: float = 1_000.0  # added; slow whatever it was before
    deeper_is_quicker: float = 0.3  # callers wait for the source and for more, so of two with like factors the quicker one is deeper
    entrance: float = 1.0  # an entrance is slow whoever is slow
    clear_lead: float = 1.5  # from here on the second is hardly it
    cpu_of_limit: float = 0.6  # of the limit: from here on the kernel throttles in bursts
    cpu_rise: float = 3.0  # times the usual
    cpu_rise_throttled: float = 1.7  # times the usual, where throttling began at the same time
    retransmitted_least: float = 3.0  # segments per second; below that, connections end untidily
    retransmitted_rise: float = 5.0  # times the usual
    sources_least: int = 2  # slow workloads that do not wait for each other: one would be its own trouble
    crowd_least: int = 3  # slow workloads of one node; two may call each other
    crowd_share: float = 0.95  # of those measured on the node: one quick workload among them, and the node's network is well
    node_loss: float = 0.9  # nothing else makes a node send again
    node_delay: float = 0.8  # all slow here, most quick elsewhere
    node_delay_unclear: float = 0.65  # two nodes call each other, and either's network would do that
    throttled_newly: float = 0.3  # per second more than before
    waiting_ratio: float = 20.0  # times the usual median latency: no CPU does that alone
    less_likely: float = 0.4  # times the weight, where the other reading of the same curves fits better
    cpu_floor: float = 0.005  # cores; below that, tripling means nothing
    cpu_least: float = 0.05  # cores that nobody would miss
    throttled_seconds: float = 0.1  # per second, from which requests wait visibly
    network_delay: float = 0.9  # slow without working more, and far ahead of all others: it waits
    network_delay_unclear: float = 0.5  # somebody else is nearly as likely
    cpu_overload: float = 0.92  # works at its limit and is throttled
    cpu_overload_unclear: float = 0.6


LOAD = Load()


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """Error lines that are new or many more than before."""

    least_lines: int = 10  # fewer come from any restart
    times_before: float = 5.0  # traffic seldom grows that fast
    most_told: int = 5  # a reader wants the loudest


BURST = Burst()
# Probes


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """Probes: when patience is too short."""

    impatient: timedelta = timedelta(seconds=12)
    """From the start of a container to the first kill: most programs need longer on a busy node."""

    very_impatient: timedelta = timedelta(seconds=5)
    """Hardly any program is up that fast every time."""


# Control plane

LEASES_LATE = 3.0
"""Times its duration that a lease is old: the holder retries every two seconds, so this is no hiccup. Whoever waits would have taken it."""

CLOCK_OFFSET_SECONDS = 1.0
"""Certificates are made with minutes to spare, tokens and leases with seconds."""
