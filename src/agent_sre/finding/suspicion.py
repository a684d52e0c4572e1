"""Which services the curves, edges, changes and logs speak against, and why. The detectors of this field turn it into findings.

    Services ──own resources──┐
             ──own latency────┤  each a Clue: one thing seen about one service, 0 to 1 strong, with the cause that it speaks for
             ──edges──────────┼──> Suspect: all clues of a service, together; its cause is that of the strongest
             ──failures───────┤
    changes ───new pods───────┘

Clues of a service add up across kinds, because one fault shows in many curves: a service that burns its processor is slow too.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from agent_sre.alert.subject import Subject
from agent_sre.evidence import numbers
from agent_sre.evidence.evidence import Change, LogPattern
from agent_sre.finding.services import CLIENT, FLOORS, NETWORK_TIME, SYSCALLS, Movement, Services
from agent_sre.finding.statistics import FEWEST_BEFORE, FINEST_STEP, LEAD_SECONDS, MOST, NOISE_QUANTILE, compress, median, quantile, shift, thinned
from agent_sre.finding.weights import SERVICES as W
from agent_sre.finding.world import Curve, Seen, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """One thing seen about one service. `strength` is in compressed multiples of noise, weighed by kind."""

    service: str
    cause: str
    kind: str  # clues of one kind about one service say the same: the strongest counts
    strength: float
    summary: str
    evidence_ids: tuple[str, ...]
    is_origin: bool = False  # of what else is seen of the service: what came first and explains it


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A service and all that speaks against it."""

    subject: Subject
    clues: tuple[Clue, ...]  # strongest first, one of each kind
    strength: float

    @property
    def cause(self) -> str:
        """The cause that most of the strength speaks for."""
        by_cause: dict[str, float] = defaultdict(float)
        for clue in self.clues:
            by_cause[clue.cause] += clue.strength
        most = max(by_cause, key=lambda name: by_cause[name])
        origins = {clue.cause for clue in self.clues if clue.is_origin}
        return next((cause for cause in _ORIGINS.get(most, ()) if cause in origins), most)


_ORIGINS = {"slow_component": ("traffic_shift",), "errors_in_service": ("bad_rollout",)}
"""What may be behind what a service shows: more requests make it slow, a new version of its own makes it fail."""


@lru_cache(maxsize=4)  # six detectors ask, of one world after the other
def suspects(world: World) -> tuple[Suspect, ...]:
    """The services against which something speaks, most suspect first. Empty where no curve is anybody's."""
    services = Services(world)
    best: dict[str, dict[str, Clue]] = defaultdict(dict)
    symptom = complaint(world)
    for part in (
        resources(services), demand(services), own_latency(services), edges(services), failures(services, world), calls(services),
        rollouts(services, world), logs(services, world),
    ):  # fmt: skip
        for clue in part:
            if symptom and clue.kind in _KINDS_OF_SYMPTOM and clue.kind not in _SYMPTOMS[symptom]:
                clue = replace(clue, strength=clue.strength * W.other_symptom)
            known = best[clue.service].get(clue.kind)
            if clue.strength > 0 and (known is None or clue.strength > known.strength):
                best[clue.service][clue.kind] = clue
    recent = recently_changed(services, world)
    found = [_suspect(services, world, name, list(clues.values()), recent) for name, clues in best.items() if clues]
    return tuple(sorted(found, key=lambda item: -item.strength))


def _suspect(services: Services, world: World, name: str, clues: list[Clue], recent: frozenset[str]) -> Suspect:
    ordered = tuple(sorted(clues, key=lambda clue: -clue.strength))
    front = alerted(services, world)
    # each further kind says less that is new
    total = sum(clue.strength * W.further_kind**place for place, clue in enumerate(ordered))
    share = traffic_share(services, name, front)
    if share is not None and share < W.little_traffic:
        total *= max(W.least_traffic, math.sqrt(share / W.little_traffic))
    if address(name):
        total *= W.address
    if recent and name not in recent:
        total *= W.unchanged
    if services.calls and front and name not in front and not any(name in services.below(item) for item in front):
        total *= W.out_of_reach
    return Suspect(subject=services.subject(name), clues=ordered, strength=total)


_SYMPTOMS = {
    "latency": frozenset({"latency", "edge_latency", "network_gap", "new_latency"}),
    "errors": frozenset({"failures", "error_lines", "new_errors", "fewer_calls"}),
}
_KINDS_OF_SYMPTOM = frozenset().union(*_SYMPTOMS.values())
_COMPLAINTS = {
    "latency": re.compile(r"latency|slow|duration|response.?time", re.IGNORECASE),
    "errors": re.compile(r"availab|error|success|fail|5xx|fault", re.IGNORECASE),
}


def complaint(world: World) -> str:
    """What the alerts complain of, "latency" or "errors"; empty where they name both or neither."""
    said = [f"{alert.labels.get('alertname', '')} {alert.labels.get('metric', '')}" for alert in world.incident.alerts]
    found = {name for name, pattern in _COMPLAINTS.items() if any(pattern.search(text) for text in said)}
    return found.pop() if len(found) == 1 else ""


def traffic_share(services: Services, name: str, front: frozenset[str]) -> float | None:
    """How much of the alerting services' traffic a service gets, by the same metric; None where nobody counted."""
    mine = {item.curve.metric: item.shift.before for item in services.of(name, "traffic") if not item.pod}
    shares = [
        mine[item.curve.metric] / item.shift.before
        for one in sorted(front) for item in services.of(one, "traffic") if item.curve.metric in mine and item.shift.before > 0
    ]  # fmt: skip
    return max(shares, default=None)


_ADDRESS = re.compile(r"\.[a-z]{2,}(?:[:/_]|$)|_remote$|^\d+\.\d+\.\d+\.\d+|^https?://", re.IGNORECASE)


def address(name: str) -> bool:
    """Whether a name of a call graph is an address rather than a component: what a caller sees of whatever answers behind it."""
    return bool(_ADDRESS.search(name))


def alerted(services: Services, world: World) -> frozenset[str]:
    """The services that alerted, where the curves or the call graph know them."""
    known = set(services.names) | set(services.callees) | set(services.callers)
    found = set()
    for alert in world.incident.alerts:
        found |= {value for label, value in alert.labels.items() if label != "alertname"} & known
    return frozenset(found)


# Resources


def resources(services: Services) -> Iterator[Clue]:
    """Processor, memory, network and system calls of a service's own pods, beyond what more requests explain."""
    memory: dict[tuple[str, str], list[Movement]] = defaultdict(list)
    for item in services.moved:
        if item.source:
            continue
        left = _not_by_traffic(services, item)
        if item.signal == "cpu":
            near = item.curve.unit == numbers.PERCENT and item.shift.now >= W.full_percent and item.shift.now >= W.fuller * item.shift.before
            yield _moved(item, "cpu_saturation", "cpu", left * (item.rise * W.cpu + (W.full * min(1.0, item.rise) if near else 0.0)), "CPU")
        elif item.signal == "memory":
            memory[(item.service, item.pod)].append(item)
        elif item.signal == SYSCALLS:
            yield _moved(item, "cpu_saturation", "syscalls", max(left * item.rise * W.syscalls, item.fall * W.syscalls_fall), "system calls")
        elif item.signal == "network":
            yield _moved(item, "traffic_shift", "network", max(left * item.rise, item.fall) * W.network, "network traffic")
        elif item.signal == "saturation" and "memory" in item.curve.metric:
            memory[(item.service, item.pod)].append(item)
        elif item.signal == "saturation" and ("cpu" in item.curve.metric or "thrott" in item.curve.metric):
            yield _moved(item, "cpu_saturation", "saturation", item.rise * W.cpu, "share of CPU periods throttled")
    for items in memory.values():
        # in bytes and as a share of the limit it is the same memory
        up, down = (sum(values) / len(items) for values in ([item.rise for item in items], [item.fall for item in items]))
        item = max(items, key=lambda one: max(one.rise, one.fall))
        yield _moved(item, "memory_growth", "memory", up * W.memory, "memory")
        yield _moved(item, "process_restarted", "restart", down * W.restart, "memory")


def _not_by_traffic(services: Services, item: Movement) -> float:
    """The share of a rise that the service's own requests leave open: twice the requests, twice the CPU."""
    if item.shift.before <= 0 or item.shift.now <= item.shift.before:
        return 1.0
    ratios = [one.shift.now / one.shift.before for one in services.of(item.service, "traffic") if one.shift.before > 0 and one.shift.now > 0]
    more, rise = max(ratios, default=1.0), math.log(item.shift.now / item.shift.before)
    return max(0.0, 1 - math.log(more) / rise) if more > 1 and rise > 0 else 1.0


def demand(services: Services) -> Iterator[Clue]:
    """More requests than a service had. Where those who call it are known and did not get as many more, they make more calls per request
    (they try again, a cache of theirs is cold); else the load comes in here."""
    more = {name: _ratio(services.of(name, "traffic")) for name in services.names}
    for name, ratio in more.items():
        if ratio is None or ratio <= 1:
            continue
        item = max(services.of(name, "traffic"), key=lambda one: one.rise)
        callers = {caller: known for caller in services.callers.get(name, ()) if (known := more.get(caller)) is not None}
        left = max(0.0, 1 - math.log(max([1.0, *callers.values()])) / math.log(ratio))
        for one in sorted(callers) or [name]:
            strength = item.rise * left * W.requests / max(1, len(callers))
            clue = _moved(item, "traffic_shift", "requests", strength, "requests" if one == name else f"requests to {name}, which gets them", one)
            yield replace(clue, is_origin=one == name and ratio >= W.surge)


# Latency


def own_latency(services: Services) -> Iterator[Clue]:
    """How much slower a service itself became: what the slow calls that it makes do not explain."""
    for name in services.names:
        called_slow = _most(services.by_edge.get((name, callee), ()) for callee in services.callees.get(name, ()))
        strengths: dict[str, list[tuple[float, Movement]]] = {}
        for item in services.of(name, "latency"):
            excess = _excess(item)
            if excess <= 0:
                continue
            calls = [_excess(other) for other in services.of(name, CLIENT) if _same_quantile(item, other)]
            lower = max([*calls, *(_excess(other) for other in called_slow), *_callee_excess(services, name, item)], default=0.0)
            left = max(0.0, 1 - W.calls_per_request * max(lower, 0.0) / excess)
            strengths.setdefault(item.pod, []).append((item.rise * left * W.latency, item))
        for pod, found in strengths.items():
            # a quantile alone may jump, all of them do not: what did not rise counts with nothing
            number = sum(item.pod == pod for item in services.of(name, "latency"))
            yield _moved(max(found, key=lambda pair: pair[0])[1], "slow_component", "latency", sum(pair[0] for pair in found) / number, "latency")
    answered: dict[str, list[tuple[float, Movement]]] = defaultdict(list)
    for (_, name), edge in services.by_edge.items():
        for item in edge:
            if item.signal != "latency" or item.end != "destination":
                continue
            excess = _excess(item)
            lower = max(
                (_excess(other) for callee in services.callees.get(name, ()) for other in services.by_edge.get((name, callee), ())
                 if other.signal in ("latency", CLIENT) and other.end == "source"),
                default=0.0,
            )  # fmt: skip
            left = max(0.0, 1 - W.calls_per_request * max(lower, 0.0) / excess) if excess > 0 else 0.0
            answered[name].append((min([item.rise, *_felt(edge, item)]) * left * W.latency, item))
    for found in answered.values():
        # what is slow is slow for everybody who calls it
        strongest, item = max(found, key=lambda pair: pair[0])
        mean = sum(pair[0] for pair in found) / len(found)
        yield _moved(item, "slow_component", "edge_latency", (strongest + mean) / 2, f"latency of calls from {item.source}")


def _felt(edge: Sequence[Movement], item: Movement) -> list[float]:
    """What the caller noticed of a slow answer, by the same metric: nothing that it waits for can pass it by."""
    rises = [other.rise for other in edge if other.end == "source" and other.curve.metric == item.curve.metric]
    return [max(rises)] if rises else []


def _callee_excess(services: Services, name: str, item: Movement) -> Iterator[float]:
    for callee in services.callees.get(name, ()):
        for other in services.of(callee, "latency"):
            if other.curve.metric == item.curve.metric:
                yield _excess(other)


def _most(groups: Iterable[Sequence[Movement]]) -> list[Movement]:
    return [item for group in groups for item in group if item.signal in ("latency", CLIENT) and item.end == "source"]


def _excess(item: Movement) -> float:
    return item.shift.now - item.shift.before


def _same_quantile(one: Movement, other: Movement) -> bool:
    return one.curve.metric.replace("server", "client") == other.curve.metric


# Edges


def edges(services: Services) -> Iterator[Clue]:
    """Calls that are slow where they are made and not where they are answered: the network before the one called, or of the caller.

    A fault of a service's network shows on all its calls, those that it gets and those that it makes.
    """
    gaps: dict[tuple[str, str], tuple[float, Movement]] = {}
    for edge, found in services.by_edge.items():
        made = [item for item in found if item.signal in ("latency", CLIENT) and item.end == "source"]
        answered = [item for item in found if item.signal == "latency" and item.end == "destination"]
        between = [item.rise for item in found if item.signal == NETWORK_TIME]
        if not made or not answered:
            continue
        slow = max(made, key=lambda item: item.rise)
        inside = max(_excess(item) for item in answered)
        outside = _excess(slow)
        share = max(0.0, 1 - max(inside, 0.0) / outside) if outside > 0 else 0.0
        strength = slow.rise * share if share > W.gap_share else 0.0
        strength = max(min([strength, *between]), _lost_between(services, made, answered))
        gaps[edge] = (strength, slow)
    by_service: dict[str, list[tuple[float, Movement]]] = defaultdict(list)
    for (source, name), gap in gaps.items():
        by_service[name].append((gap[0], gap[1]))
        by_service[source].append((gap[0] * W.gap_of_caller, gap[1]))
    for name, lost in by_service.items():
        strongest, item = max(lost, key=lambda pair: pair[0])
        mean = sum(pair[0] for pair in lost) / len(lost)
        yield _moved(item, "network_delay", "network_gap", (strongest * W.gap_strongest + mean * (1 - W.gap_strongest)) * W.gap,
                     f"time between {item.source} and {item.service}", name)  # fmt: skip


def _lost_between(services: Services, made: Sequence[Movement], answered: Sequence[Movement]) -> float:
    """How much the time between the two ends of a call rose, instant by instant.

    What makes a call long at both ends (a queue, a rare slow request) cancels out, so that this curve is far quieter than either.
    """
    rises = [0.0]
    for item in made:
        outside = _by_instant(item.curve)
        for other in answered:
            if other.curve.metric == item.curve.metric:
                inside = _by_instant(other.curve)
                between = [(instant * FINEST_STEP, value - inside[instant]) for instant, value in outside.items() if instant in inside]
                moved = shift(between, services.onset, FLOORS[(NETWORK_TIME, "")])
                if moved is not None and moved.enough:
                    rises.append(compress(moved.rise))
    return max(rises)


def _by_instant(curve: Curve) -> dict[int, float]:
    """Values in the base unit by the number of their step, so that the two ends of a call meet."""
    sound = [(at, value * curve.factor) for at, value in curve.points if abs(at) < MOST and abs(value) < MOST]
    return {int(at // FINEST_STEP): value for at, value in thinned(sound)}


# Failures


def failures(services: Services, world: World) -> Iterator[Clue]:
    """Answers that fail where those that are called answer well, and a component that got worse with none worse below it."""
    failing: dict[str, tuple[float, Movement]] = {}
    for item in services.moved:
        if item.signal != "errors":
            continue
        strength = item.fall if item.curve.good else item.rise
        if item.source and item.end == "source" and item.pod:
            continue  # what one caller's pod sees is for `rollouts`
        if strength > failing.get(item.service, (0.0, item))[0]:
            failing[item.service] = (strength, item)
    recent = recently_changed(services, world)
    fit: dict[str, float] = {}
    for seen in world.changes:
        fit[seen.value.subject.name] = max(fit.get(seen.value.subject.name, 0.0), timing(services, seen.value))
    for name, (strength, item) in failing.items():
        below = max((failing[other][0] for other in services.below(name) if other in failing), default=0.0)
        left = max(0.0, 1 - W.failures_below * below / strength) if strength else 0.0
        # where its old pods fail as well, its own rollout is not to blame: rather one below it
        not_itself = name not in recent or bool(item.pod and not _is_new(world, name, item.pod))
        suspected = sorted(services.below(name) & recent) if not_itself else []
        own = strength * left * (W.fails_after_callee_changed if suspected else 1.0)
        yield _moved(item, "errors_in_service", "failures", own * W.failures, "share of successes" if item.curve.good else "errors")
        if strength and left:
            for other in suspected:
                yield _moved(item, "bad_rollout", "caller_fails", strength * left * W.caller_fails * fit[other] / math.sqrt(len(suspected)),
                             f"while {other} was rolled out, successes of {name}, which calls it: share", other)  # fmt: skip


def _is_new(world: World, name: str, pod: str) -> bool:
    return any(f"+ {pod}" in seen.value.diff for seen in world.changes if seen.value.subject.name == name)


def recently_changed(services: Services, world: World) -> frozenset[str]:
    """The services that a change began to concern within the last hour before the onset, or in the minutes after it."""
    return frozenset(
        seen.value.subject.name for seen in world.changes
        if seen.value.kind in DEPLOYED and seen.value.at is not None
        and -W.late_change <= services.onset - seen.value.at.timestamp() <= W.recent_change
    )  # fmt: skip


# Calls


def calls(services: Services) -> Iterator[Clue]:
    """A service that makes fewer calls than it did for as many requests: something in it ends early."""
    made: dict[str, list[Movement]] = defaultdict(list)
    got: dict[str, list[Movement]] = defaultdict(list)
    for (source, name), found in services.by_edge.items():
        for item in found:
            if item.signal == "traffic" and item.end == "source":
                made[source].append(item)
                got[name].append(item)
    every = sorted(item.shift.now / item.shift.before for items in made.values() for item in items if item.shift.before >= W.fewest_calls)
    usual = median(every) if every else 1.0
    for name, items in made.items():
        incoming = _ratio(got.get(name, ())) or usual
        for item in items:
            if item.shift.before < W.fewest_calls or incoming <= 0:
                continue
            ratio = item.shift.now / item.shift.before / incoming
            if ratio < 1:
                strength = -math.log(max(ratio, W.least_ratio)) * min(1.0, math.sqrt(item.shift.before / W.many_calls))
                yield _moved(item, "early_return", "fewer_calls", strength * W.fewer_calls, f"calls to {item.service}", name)


def _ratio(items: Sequence[Movement]) -> float | None:
    before = sum(item.shift.before for item in items)
    return sum(item.shift.now for item in items) / before if before else None


# Rollouts

DEPLOYED = frozenset({"rollout", "image", "config", "scale", "gitops"})
"""Kinds of change that somebody makes to a service. What befell a node or a job is not its doing."""


def rollouts(services: Services, world: World) -> Iterator[Clue]:
    """New pods against the old pods of the same service, curve by curve, and that it changed at all."""
    for seen in world.changes:
        change = seen.value
        name = change.subject.name
        if not name or change.kind not in DEPLOYED:
            continue
        new = {line[2:].strip() for line in change.diff if line.startswith("+ ")}
        decay = timing(services, change)
        yield Clue(
            service=name, cause="bad_rollout", kind="changed", strength=W.changed * decay,
            summary=f"{name} was changed: {change.text}", evidence_ids=(seen.evidence_id,),
            is_origin=change.kind in ("rollout", "image") and decay >= W.fits_well,
        )  # fmt: skip
        for item, score in _new_against_old(services, name, new):
            yield Clue(
                service=name, cause="bad_rollout", kind=f"new_{item[0]}", strength=score * W.new_pods,
                summary=f"new pods of {name} differ from its old ones: {item[1]}", evidence_ids=(item[2], seen.evidence_id),
            )  # fmt: skip


def timing(services: Services, change: Change) -> float:
    """How well the time of a change fits, 0 to 1: the sooner before the alert, the better, but the rule's own wait cannot be skipped."""
    age = services.onset - change.at.timestamp() if change.at else W.change_age
    return math.exp2(-max(age, 0.0) / W.change_half_life) * (W.too_late if age < W.soonest_seconds else 1.0)


def _new_against_old(services: Services, name: str, new: set[str]) -> Iterator[tuple[tuple[str, str, str], float]]:
    groups: dict[tuple[str, str, str], tuple[list[float], list[float], list[float], Curve]] = {}
    split = services.onset - LEAD_SECONDS
    for curve, source, destination, pod in services.pod_curves:
        mine = pod in new or services.whose({"pod": pod}) == name
        if not mine or (source and name not in (source, destination)):
            continue
        key = (curve.metric, source, destination)
        old, now, fresh, _ = groups.setdefault(key, ([], [], [], curve))
        values = [(at, value * curve.factor) for at, value in curve.points if math.isfinite(at) and abs(value) < MOST]
        if pod in new:
            fresh.extend(value for _, value in values)
        else:
            old.extend(value for at, value in values if at < split)
            now.extend(value for at, value in values if at >= split)
    for (metric, source, _), (old, now, fresh, curve) in groups.items():
        signal = services.signal(curve)
        floors = FLOORS.get((signal, curve.unit)) or FLOORS.get((signal, ""))
        if len(old) < FEWEST_BEFORE or not fresh or floors is None:
            continue
        old.sort()
        usual = median(old)
        relative = W.fresh_memory if signal == "memory" else floors.relative
        scale = max(quantile(sorted(abs(value - usual) for value in old), NOISE_QUANTILE) / 2, relative * abs(usual), floors.absolute)
        # the median: new processes are slow at first, and what stays counts; less what befell the old ones as well
        moved = median(sorted(fresh)) - usual
        everybody = median(sorted(now)) - usual if now else 0.0
        moved -= max(everybody, 0.0) if moved > 0 else min(everybody, 0.0)
        score = compress((-moved if curve.good else moved) / scale)
        if signal == "latency":  # an error may be quicker than an answer
            score = max(score, compress(-moved / scale) * W.quicker)
        if score > 0:
            what = f"{metric} {usual + moved:.3g} against {usual:.3g}"
            yield (signal + ("_out" if source == name else ""), what, curve.evidence_id), score


# Logs


def logs(services: Services, world: World) -> Iterator[Clue]:
    """Error lines that are new or have become many."""
    found: dict[str, tuple[float, Seen[LogPattern]]] = {}
    for seen in world.log_patterns:
        pattern = seen.value
        if pattern.count < 0 or (pattern.count_before or 0) < 0 or pattern.level not in ("error", "fatal") or pattern.count_before is None:
            continue
        grown = math.log((pattern.count + 1) / (pattern.count_before + 1))
        if grown > found.get(pattern.subject.name, (0.0, seen))[0]:
            found[pattern.subject.name] = (grown, seen)
    for name, (grown, seen) in found.items():
        # an error is written once more by everybody who waits for it
        below = max((found[other][0] for other in services.callees.get(name, ()) if other in found), default=0.0)
        strength = max(0.0, grown - W.failures_below * below)
        yield Clue(
            service=name, cause="errors_in_service", kind="error_lines", strength=strength * W.error_lines,
            summary=f"{name} wrote {seen.value.count} lines like \"{seen.value.template[:100]}\", {seen.value.count_before} before",
            evidence_ids=(seen.evidence_id,),
        )  # fmt: skip


# Words


def _moved(item: Movement, cause: str, kind: str, strength: float, what: str, service: str = "") -> Clue:
    unit = item.curve.unit if item.curve.unit_is_known else numbers.PLAIN
    now, before = numbers.format_beside(item.shift.now, item.shift.before, unit)
    return Clue(
        service=service or item.service, cause=cause, kind=kind, strength=strength,
        summary=f"{what} of {service or item.service} went from {before} to {now}", evidence_ids=(item.curve.evidence_id,),
    )  # fmt: skip
