"""Which member of a storm is its source, from the alerts alone: no metric, no log line, no word of the cluster.

    alerts ──storm_of──> Storm: own alerts of each object, alerts about calls, who is beside whom ──signs_of──> signs ──suspects──> ranked

A sign is a number for one object: how many of its alerts speak of memory, how rare that is in this storm, how unusual for this object, how
it differs from its siblings. A suspect's score is the share of exp(sum of weight times sign); the weights stand in
finding/storm.toml and `agent-sre eval storms --refit` learns them again. Alerts are told apart by generic words (cpu, memory,
latency, error, restart, …) and never by the names of services: what is learned is the shape of a storm.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import resources

from agent_sre.alert.subject import Subject, subject_of, workload_of
from agent_sre.finding.weights import STORM_ENOUGH_HISTORY, STORM_EXPERT, STORM_MOST_MISSED, STORM_MOST_SURPRISE, STORM_NEW, STORM_USUAL

Signs = Mapping[str, float]

FAMILIES: Mapping[str, re.Pattern[str]] = {
    name: re.compile(rf" (?:{words}) ")
    for name, words in {
        "down": r"down|crash\w*|restart\w*|oom|oomkill\w*|killed|evict\w*|absent|unreachable|not ready|notready|unavailable|dead|exited|stopped",
        "latency": r"latency|duration|p[5-9]\d|p999|quantile|percentile|slow\w*|response time|delay|lag",
        "errors": r"errors?|fail\w*|success|exceptions?|[45]\d\d|[45]xx|availability|reject\w*|refused|timeouts?",
        "traffic": r"qps|rps|tps|requests?|throughput|traffic|calls",
        "cpu": r"cpu|load|load\d+|throttl\w*",
        "memory": r"mem|memory|rss|heap|swap|working set",
        "disk": r"disk|diskio|fs|filesystem|volume|inodes?|storage|pvc|persistent",
        "network": r"net|network|packets?|tcp|transmit|receive|bandwidth|conntrack",
        "process": r"threads?|process\w*|goroutines?|fds?|descriptors?|connections?|pool",
        "log": r"logs?|template|pattern",
    }.items()
}
"""What an alert speaks of, by words of its metric or its name. The first family that fits counts."""

_TELLING = ("metric", "metric_name", "__name__", "signal", "kind", "type", "reason", "alertname")
"""Labels that say what an alert is about, most specific first."""

_CALLERS = ("source", "source_workload", "source_app", "source_service", "caller", "client", "client_workload", "peer")
_CALLER_SIDE = re.compile(r" (?:src|source|client|outgoing|outbound|egress|upstream) ")
_CALLEE_SIDE = re.compile(r" (?:dst|dest|destination|server|incoming|inbound|ingress) ")
_UP = re.compile(r" (?:up|high|rising|increase\w*|too many|spike|above) ")
_DOWN = re.compile(r" (?:down|low|drop\w*|falling|decrease\w*|below|missing) ")
_DIRECTIONS = ("direction", "trend")
_SIGNED = frozenset({"cpu", "memory", "disk", "network", "process", "latency", "traffic", "errors"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d*|\d+(?:xx)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class StormAlert:
    """One alert of a storm, told by its labels. `family` is a key of FAMILIES or "other"; `sense` is "+", "-" or empty."""

    object: str  # whom it is about
    caller: str  # who made the call that it is about; empty where it is about no call
    family: str
    side: str  # "client", "server" or empty: whose view a metric of calls is
    sense: str
    key: str  # the same for the same alert of another day

    @property
    def sort(self) -> str:
        """`memory+`, `client latency+`, `calls errors`: what the weights know it as."""
        if self.caller:
            return f"{'inner ' if self.caller == self.object else 'calls '}{self.family}"
        return f"{self.side} {self.family}{self.sense}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """The alerts of one incident and the objects that they may come from. `edges` are pairs of names; direction does not count."""

    alerts: tuple[StormAlert, ...]
    objects: tuple[str, ...]
    edges: frozenset[tuple[str, str]] = frozenset()


@dataclass(slots=True)
class Usual:
    """What fires in every storm: counted over earlier ones, without knowing what their causes were."""

    storms: int = 0
    alerts: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # by object, key, caller: the storms that had it
    neighbours: dict[str, Counter[int]] = field(default_factory=dict)
    about: Counter[str] = field(default_factory=Counter)  # alerts about each object, all storms together
    present: Counter[str] = field(default_factory=Counter)  # storms that each object was a member of

    def learn(self, storm: Storm) -> None:
        """Counts one more storm."""
        self.storms += 1
        self.alerts.update({(alert.object, alert.key, alert.caller) for alert in storm.alerts})
        self.about.update(alert.object for alert in storm.alerts)
        self.present.update(storm.objects)
        for name, others in _neighbours(storm).items():
            self.neighbours.setdefault(name, Counter())[len(others)] += 1

    def surprise(self, alert: StormAlert) -> float:
        """0 for an alert that always fires, about log of the number of storms for one that never did."""
        share = (self.alerts[(alert.object, alert.key, alert.caller)] + 0.5) / (self.present[alert.object] + 2)
        return min(-math.log(min(share, 1.0)), STORM_MOST_SURPRISE)

    def missed(self, storm: Storm) -> Mapping[str, float]:
        """By object, how strange it is that its usual alerts did not fire: a program that is gone writes no log."""
        here = {(alert.object, alert.key, alert.caller) for alert in storm.alerts}
        found: dict[str, float] = {}
        for key, count in self.alerts.items():
            share = min(count / (self.present[key[0]] + 2), 0.98)
            if share > STORM_USUAL and key not in here:
                found[key[0]] = found.get(key[0], 0.0) - math.log(1 - share)
        return found

    def usual_alerts(self, name: str) -> float:
        """How many alerts about an object a storm has on average."""
        return self.about[name] / max(self.present[name], 1)

    def usual_neighbours(self, name: str) -> float | None:
        """How many others an object usually talks with, the middle of what was seen."""
        seen = sorted(self.neighbours.get(name, Counter()).elements())
        return seen[len(seen) // 2] if seen else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A member that may be the source. Scores of a storm's suspects add up to 1."""

    name: str
    score: float
    reasons: tuple[str, ...]  # the signs that speak for it most, as words; for the first five


# Reading alerts


def storm_alert(labels: Mapping[str, str], subject: Subject | None = None) -> StormAlert:
    """An alert as one of a storm, by its labels. Never raises."""
    about = subject or subject_of(labels)
    caller = next((labels[name] for name in _CALLERS if labels.get(name)), "")
    telling = next((text for name in _TELLING if (text := labels.get(name, "")) and family_of(text) != "other"), labels.get("alertname", ""))
    family = family_of(telling)
    if family == "other" and caller:
        family = "latency"  # what is wrong with a call and is no error is that it is slow
    words = _words(telling)
    side = "client" if _CALLER_SIDE.search(words) else "server" if _CALLEE_SIDE.search(words) else ""
    return StormAlert(
        object=about.name,
        caller=caller,
        family=family,
        side=side,
        sense="" if caller or family not in _SIGNED else _sense(labels, words),
        key="\x1f".join(f"{name}={labels[name]}" for name in sorted(labels) if name not in _CALLERS),
    )


@lru_cache(maxsize=4096)
def family_of(text: str) -> str:
    """`memory` for `container_memory_rss` and for `KubeMemoryOvercommit`; "other" where no word tells."""
    words = _words(text)
    return next((name for name, pattern in FAMILIES.items() if pattern.search(words)), "other")


@lru_cache(maxsize=4096)
def _words(text: str) -> str:
    return f" {' '.join(word.lower() for word in _WORD.findall(text[:300]))} "


def _sense(labels: Mapping[str, str], words: str) -> str:
    told = next((_words(labels[name]) for name in _DIRECTIONS if labels.get(name)), "") or words
    sense = "+" if _UP.search(told) else "-" if _DOWN.search(told) else "+"
    if " success " in words or " availability " in words:
        sense = "-" if sense == "+" else "+"  # fewer successes are more errors
    return sense


def storm_of(alerts: Iterable[StormAlert], nodes: Iterable[str] = (), edges: Iterable[tuple[str, str]] = ()) -> Storm:
    """The storm of these alerts. `nodes` are objects that may be the source though nothing fires about them."""
    kept = tuple(alert for alert in alerts if alert.object)
    objects = tuple(sorted({*nodes, *(alert.object for alert in kept)} - {""}))
    return Storm(alerts=kept, objects=objects, edges=frozenset((a, b) for a, b in edges if a != b))


def has_history(usual: Usual | None) -> bool:
    """Whether enough is known of earlier storms to tell what is usual."""
    return usual is not None and usual.storms >= STORM_ENOUGH_HISTORY


# Signs


def signs_of(storm: Storm, usual: Usual | None = None) -> tuple[Signs, ...]:
    """For each object of the storm, in its order, the signs that are not zero."""
    place = {name: number for number, name in enumerate(storm.objects)}
    signs: list[dict[str, float]] = [{} for _ in storm.objects]
    known = usual if has_history(usual) else None
    _alert_signs(storm, place, signs, known)
    _whole_signs(storm, place, signs, known)
    return tuple(signs)


def _alert_signs(storm: Storm, place: Mapping[str, int], signs: list[dict[str, float]], known: Usual | None) -> None:
    having: dict[str, set[str]] = {}
    for alert in storm.alerts:
        having.setdefault(alert.sort, set()).add(alert.object)
    for alert in storm.alerts:
        rare = math.log((len(place) + 1) / len(having[alert.sort]))
        surprise = known.surprise(alert) if known else rare
        new = known is not None and surprise > STORM_NEW
        _count(signs[place[alert.object]], alert.sort, rare, surprise, new)
        if alert.caller in place and alert.caller != alert.object:
            _count(signs[place[alert.caller]], alert.sort.replace("calls", "its calls"), 0.0, surprise, new)
    for found in signs:
        for name in [name for name in found if name.startswith("many ")]:
            found[name] = math.log1p(found[name])
    for group in _siblings(storm.objects).values():
        _unlike([signs[place[name]] for name in group])


def _unlike(group: Sequence[dict[str, float]]) -> None:
    """How each of a group of siblings differs from the mean of the others."""
    if len(group) < 2:
        return
    sums: Counter[str] = Counter()
    for found in group:
        sums.update({sign: value for sign, value in found.items() if sign.startswith(("many ", "odd ")) and " calls " not in sign})
    for found in group:
        for sign, whole in sums.items():
            own = found.get(sign, 0.0)
            found[f"unlike {sign}"] = own - (whole - own) / (len(group) - 1)


def _count(found: dict[str, float], sort: str, rare: float, surprise: float, new: bool) -> None:
    found[f"many {sort}"] = found.get(f"many {sort}", 0.0) + 1
    found[f"odd {sort}"] = max(found.get(f"odd {sort}", 0.0), surprise)
    if new:
        found[f"new {sort}"] = 1.0
    if rare:
        found[f"rare {sort}"] = max(found.get(f"rare {sort}", 0.0), rare)


def _whole_signs(storm: Storm, place: Mapping[str, int], signs: list[dict[str, float]], known: Usual | None) -> None:
    neighbours = _neighbours(storm)
    count, weight, sorts = [0.0] * len(place), [0.0] * len(place), [set[str]() for _ in place]
    callers: dict[str, set[str]] = {}
    callees: dict[str, set[str]] = {}
    for alert in storm.alerts:
        number = place[alert.object]
        count[number] += 1
        weight[number] += known.surprise(alert) if known else 1.0
        sorts[number].add(alert.sort)
        if alert.caller in place and alert.caller != alert.object:
            callers.setdefault(alert.object, set()).add(alert.caller)
            callees.setdefault(alert.caller, set()).add(alert.object)
    missed = known.missed(storm) if known else {}
    most = max(weight, default=0.0)
    logs = [math.log1p(value) for value in weight]
    groups: dict[str, list[float]] = {}
    for name, number in place.items():
        groups.setdefault(sibling_name(name), []).append(logs[number])
    beside = {name: (sum(group), len(group) - 1) for name, group in groups.items()}
    for name, number in place.items():
        found, near = signs[number], [place[other] for other in neighbours.get(name, ()) if other in place]
        together, siblings = beside[sibling_name(name)]
        asked, asks = callers.get(name, set()), callees.get(name, set())
        others = max(len(neighbours.get(name, ())), 1)
        found["silent"] = float(count[number] == 0)
        found["alerts"] = logs[number]
        found["most alerts"] = float(most > 0 and weight[number] == most)
        found["sorts"] = math.sqrt(len(sorts[number]))
        found["alone"] = float(not near)
        found["neighbours"] = math.log1p(len(near))
        found["alerts around"] = sum(logs[other] for other in near) / len(near) if near else 0.0
        found["callers that complain"] = min(len(asked) / others, 1.0)
        found["callees complained about"] = min(len(asks) / others, 1.0)
        found["only complained about"] = float(bool(asked) and not asks)
        if siblings:
            found["unlike alerts"] = logs[number] - (together - logs[number]) / siblings
        found["missed"] = min(missed.get(name, 0.0), STORM_MOST_MISSED)
        found["usual alerts"] = math.log1p(known.usual_alerts(name)) if known else 0.0
        usually = known.usual_neighbours(name) if known else None
        if usually is not None:
            found["lost neighbours"] = (usually - len(neighbours.get(name, ()))) / 3


def sibling_name(name: str) -> str:
    """What replicas of one program share: `cart` of `cart-7f9c6d5b8c-k2x9p`, `cart-0` and `cart2`."""
    return re.sub(r"[-_.]?\d+$", "", workload_of(name)) or name


def _siblings(objects: Sequence[str]) -> Mapping[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in objects:
        groups.setdefault(sibling_name(name), []).append(name)
    return groups


def _neighbours(storm: Storm) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one, other in storm.edges:
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return found


# Ranking


@cache
def storm_weights(history: bool) -> Mapping[str, float]:
    """The weight of each sign, learned with or without knowledge of what usually fires. A sign without one has none."""
    table = tomllib.loads((resources.files("agent_sre.finding") / "storm.toml").read_text("utf-8"))
    return {**STORM_EXPERT, **table["with_history" if history else "alone"]}


def suspects(storm: Storm, usual: Usual | None = None, weights: Mapping[str, float] | None = None) -> tuple[Suspect, ...]:
    """The members, most likely source first; equal scores by name. Empty where the storm has no object."""
    if not storm.objects:
        return ()
    if weights is None:
        weights = storm_weights(has_history(usual))
    signs = signs_of(storm, usual)
    sums = [sum(weights.get(name, 0.0) * value for name, value in found.items()) for found in signs]
    top = max(sums)
    shares = [math.exp(value - top) for value in sums]
    whole = sum(shares)
    best_first = sorted(zip(storm.objects, shares, signs, strict=True), key=lambda one: (-one[1], one[0]))
    return tuple(
        Suspect(name=name, score=share / whole, reasons=_reasons(one, weights) if place < _EXPLAINED else ())
        for place, (name, share, one) in enumerate(best_first)
    )


_MOST_REASONS = 3
_EXPLAINED = 5  # nobody asks why the sixth is a suspect


def _reasons(signs: Signs, weights: Mapping[str, float]) -> tuple[str, ...]:
    best = sorted(((weights.get(name, 0.0) * value, name) for name, value in signs.items()), reverse=True)
    return tuple(name for gain, name in best[:_MOST_REASONS] if gain > 0)
