"""Every number that decides a verdict, with its reason: one readable place. What is learned from recorded incidents stands in TOML files
beside this: confidence.toml and storm.toml, both made by `agent-sre eval … --refit --write`.

One section per field of trouble. A weight is between 0 and 1 and is not the share of cases in some collection: it says how much else could
look like that. Sights of one cause about one object add up (rank.py), so that two weak ones that agree are worth one strong.
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
    "monitoring": 5,
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

CLEAR_LEAD = 1.2
"""The first cause must outweigh the second by this much before anybody calls it likely."""

INCONCLUSIVE = 0.25
"""A first cause below this is not worth a name: the verdict is inconclusive and says what to look at."""

JUST_BEHIND = 0.95
"""Of the best cause that was seen: as much as the first of the usual ones, of which nothing was seen, may have."""

LAST_RESORT = 0.4
"""A program that ends again and again, and nothing that tells why: a cause for the reader, and the reader's first look."""

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
    peer_outside: float = 0.6  # what is outside of the cluster has no other witness, and is nobody's consequence here


WIRING = Wiring()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Data stores, by the words of their clients."""

    denied: float = 0.93  # a client that the database turns away at its start
    refused: float = 0.9  # nothing listens there for this one client, while the others work
    refused_by_all: float = 0.5  # then the database is down, which has causes of its own
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

    slow_start: timedelta = timedelta(seconds=60)
    """Of a program that is killed before it ever listened, a grace up to this is to blame rather than the program."""

    asked_to_end: timedelta = timedelta(seconds=30)
    """Between the first kill and the last one: Kubernetes' own grace period."""

    kills: int = 3
    """Restarts by which a program that is merely slow once has come up."""

    impatient: timedelta = timedelta(seconds=12)
    """From the start of a container to the first kill: most programs need longer on a busy node."""

    very_impatient: timedelta = timedelta(seconds=5)
    """Hardly any program is up that fast every time."""


# Control plane

LEASES_LATE = 3.0
"""Times its duration that a lease is old: the holder retries every two seconds, so this is no hiccup. Whoever waits would have taken it."""

CLOCK_OFFSET_SECONDS = 1.0
"""Certificates are made with minutes to spare, tokens and leases with seconds."""

# Services


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
    surge: float = 2.0  # times the usual requests: what is slow then is slow because of them
    fits_well: float = 0.5  # of a change's time: so soon before the failures that they are its own
    requests: float = 0.5  # callers that try again send more, too
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

MOST_CLAIMED = 0.97
"""No report claims to be surer: that was learned from the incidents that we have, and says little about the kinds that we have not."""

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

# Monitoring itself, and what else fires

SCRAPE_ERROR = 0.7
"""Prometheus' own words for why a target does not answer: they tell the kind of trouble, not yet what is behind it."""

TARGET_GONE = 0.5
"""A target that is not known any more was removed on purpose as often as lost."""

RULE_FAILS = 0.5
"""A rule that cannot be evaluated says nothing about now; the alert may be right all the same."""

DEEPER_ALERT = 0.6
"""The machine underneath or the control plane alerts too, with a name that says what breaks (down, pressure, full)."""

DEEPER_ALERT_VAGUE = 0.45
"""The same with a name that does not: below what is most usual for the alert itself (0.5)."""
