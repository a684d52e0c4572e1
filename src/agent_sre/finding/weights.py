"""Weights and floors: every number that decides, in one place, with the reason beside it."""

from __future__ import annotations

from dataclasses import dataclass


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
    peer_fails: float = 0.25  # says where to look, hardly why


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
