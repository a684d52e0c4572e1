"""Which metric measures which of the golden signals, and the PromQL that reads it. Pure.

    metric name ──classify──> Metric(signal, form, unit)  ──asks──> Ask: one range query with its unit

Known families (Istio, Linkerd, OpenTelemetry, Micrometer, gRPC, Tempo's span metrics, cAdvisor, node exporter) come first. A metric of no
known family is read by the words of its name, as the naming rules of Prometheus teach people to choose them, because most programs are
nobody's family: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from agent_sre.evidence import numbers
from agent_sre.evidence.prometheus import labels as words
from agent_sre.evidence.prometheus.builder import Matcher, aggregate, equals, one_of, pods_of, rate, select

LATENCY, TRAFFIC, ERRORS, CPU, MEMORY, NETWORK = "latency", "traffic", "errors", "cpu", "memory", "network"
SATURATION = "saturation"
SIGNALS = (LATENCY, TRAFFIC, ERRORS, SATURATION, CPU, MEMORY, NETWORK)

BUCKET, SUM, COUNTER, GAUGE = "bucket", "sum", "counter", "gauge"

QUANTILE = 0.95

_KNOWN: Mapping[str, tuple[str, ...]] = {
    LATENCY: (
        "istio_request_duration_milliseconds_bucket", "response_latency_ms_bucket", "http_server_request_duration_seconds_bucket",
        "http_server_requests_seconds_bucket", "http_server_duration_milliseconds_bucket", "http_request_duration_seconds_bucket",
        "grpc_server_handling_seconds_bucket", "rpc_server_duration_milliseconds_bucket", "traces_spanmetrics_latency_bucket",
        "traces_span_metrics_duration_milliseconds_bucket", "traces_span_metrics_duration_seconds_bucket", "duration_milliseconds_bucket",
        "duration_seconds_bucket", "latency_bucket", "http_server_request_duration_seconds_sum", "http_server_requests_seconds_sum",
    ),
    TRAFFIC: (
        "istio_requests_total", "response_total", "http_server_request_duration_seconds_count", "http_server_requests_seconds_count",
        "http_server_duration_milliseconds_count", "http_requests_total", "http_request_duration_seconds_count", "grpc_server_handled_total",
        "rpc_server_duration_milliseconds_count", "traces_spanmetrics_calls_total", "traces_span_metrics_calls_total", "calls_total", "calls",
    ),
    CPU: ("container_cpu_usage_seconds_total", "node_cpu_seconds_total", "process_cpu_seconds_total"),
    MEMORY: ("container_memory_working_set_bytes", "node_memory_MemAvailable_bytes", "process_resident_memory_bytes"),
    NETWORK: (
        "container_network_receive_bytes_total", "container_network_transmit_bytes_total", "node_network_receive_bytes_total",
        "node_network_transmit_bytes_total",
    ),
}  # fmt: skip

COMPANIONS = (
    "container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total", "container_spec_memory_limit_bytes",
    "kube_pod_container_resource_limits", "kubelet_volume_stats_used_bytes", "kubelet_volume_stats_capacity_bytes",
    "node_memory_MemTotal_bytes", "node_filesystem_avail_bytes", "node_filesystem_size_bytes", "kube_pod_info", "kube_deployment_spec_replicas",
)  # fmt: skip
"""What saturation is made of beside the metrics above, and two that show how kube-state-metrics is scraped."""

_WORD = re.compile(r"[a-z]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_UNITS: Mapping[str, tuple[str, float]] = {  # word -> unit, factor to it
    "seconds": (numbers.SECONDS, 1), "second": (numbers.SECONDS, 1), "s": (numbers.SECONDS, 1), "milliseconds": (numbers.SECONDS, 1e-3),
    "ms": (numbers.SECONDS, 1e-3), "millis": (numbers.SECONDS, 1e-3), "microseconds": (numbers.SECONDS, 1e-6), "us": (numbers.SECONDS, 1e-6),
    "nanoseconds": (numbers.SECONDS, 1e-9), "ns": (numbers.SECONDS, 1e-9),
    "bytes": (numbers.BYTES, 1), "kilobytes": (numbers.BYTES, 1e3), "kibibytes": (numbers.BYTES, 1024), "megabytes": (numbers.BYTES, 1e6),
    "mebibytes": (numbers.BYTES, 1024**2), "gigabytes": (numbers.BYTES, 1e9), "gibibytes": (numbers.BYTES, 1024**3),
    "percent": (numbers.PERCENT, 1), "percentage": (numbers.PERCENT, 1), "pct": (numbers.PERCENT, 1), "ratio": (numbers.RATIO, 1),
    "millicores": (numbers.PLAIN, 1e-3), "cores": (numbers.PLAIN, 1),
}  # fmt: skip

_LATENCY_WORDS = frozenset({"latency", "duration", "latencies", "handling", "elapsed"})
_REQUEST_WORDS = frozenset({
    "request", "requests", "http", "grpc", "rpc", "server", "response", "responses", "calls", "query", "queries", "command", "operation",
    "component", "service", "span", "spans", "frontend", "edge", "transaction", "transactions",
})  # fmt: skip
_TRAFFIC_WORDS = frozenset({
    "requests", "request", "calls", "rps", "qps", "queries", "responses", "messages", "transactions", "hits", "operations",
})  # fmt: skip
_ERROR_WORDS = frozenset({"error", "errors", "fail", "fails", "failed", "failure", "failures", "exceptions", "fault", "faults"})
_SUCCESS_WORDS = frozenset({"success", "successes", "successrate", "availability"})
_USE_WORDS = frozenset({
    "usage", "used", "utilization", "utilisation", "util", "seconds", "percent", "millicores", "cores", "resident", "rss", "working", "mebibytes",
    "megabytes",
})  # fmt: skip
_LIMIT_WORDS = frozenset({
    "limit", "limits", "request", "requests", "max", "quota", "total", "capacity", "free", "available", "cache", "swap", "idle", "guest", "steal",
    "iowait", "throttled", "throttling", "failcnt", "allocatable", "alloc", "heap", "stack",
})  # fmt: skip
_NOT_SERVICE = (
    "go_", "scrape_", "kube_", "prometheus_", "promhttp_", "workqueue_", "rest_client_", "machine_", "kubelet_", "storage_", "leader_election_",
    "ALERTS", "authentication_", "authorization_", "process_", "node_", "container_", "python_",
)  # fmt: skip
"""Prefixes of metrics about the measuring program itself, or about machines: no words of theirs mean a service's requests."""

_RESOURCE_PREFIXES = ("container_", "node_", "process_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What a metric's name says of it. `rank` orders those of one signal, best first; `factor` times the value gives `unit`."""

    name: str
    signal: str
    form: str  # BUCKET, SUM (of a histogram or summary), COUNTER, GAUGE
    unit: str
    factor: float = 1.0
    rank: int = 0
    good: bool = False  # of errors: counts successes, so less is worse
    unit_is_told: bool = True  # by the name; else `unit` is what such metrics usually are in


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One range query of a signal: what it reads, how, and in which unit."""

    metric: str
    signal: str
    expression: str
    unit: str
    worse: str  # "up" or "down": the direction in which this is trouble; empty where either may be
    by: tuple[str, ...]
    what: str = ""  # how to say it: "p95 latency", "share of failed requests"
    side: str = ""  # "source", "destination": who measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the server has of one metric: the labels of some of its series, and how many series there are."""

    name: str
    labels: frozenset[str]
    samples: tuple[Mapping[str, str], ...]
    series: int


# Names


@lru_cache(maxsize=4096)
def classify(name: str) -> Metric | None:
    """What a metric measures, by its name alone. None where its name does not tell."""
    for signal, names in _KNOWN.items():
        if name in names:
            return _shaped(name, signal, rank=names.index(name))
    found = set(_words(name))
    form = _form(name)
    if name.startswith(_NOT_SERVICE):
        return _resource(name, found) if name.startswith(_RESOURCE_PREFIXES) else None
    if ("traces" in found and "graph" in found) or {"service", "graph"} <= found:
        return _graph(name, found, form)
    if form != BUCKET and form != SUM and found & _SUCCESS_WORDS:
        return _shaped(name, ERRORS, rank=120, good=True)
    if form != BUCKET and form != SUM and found & _ERROR_WORDS:
        return _shaped(name, ERRORS, rank=130)
    if (resource := _resource(name, found)) is not None:
        return resource
    if _says_latency(found, form):
        return _shaped(name, LATENCY, rank=100 + _latency_rank(found, form))
    if found & _TRAFFIC_WORDS and form != BUCKET and form != SUM and not found & _LATENCY_WORDS and not found & {"size", "bytes", "active", "flight"}:
        return _shaped(name, TRAFFIC, rank=100 + (20 if "client" in found else 0))
    if form == COUNTER and name.endswith("_count") and found & _REQUEST_WORDS and found & (_LATENCY_WORDS | {"seconds", "milliseconds"}):
        return _shaped(name, TRAFFIC, rank=110 + (20 if "client" in found else 0))
    return None


def _resource(name: str, found: set[str]) -> Metric | None:
    """Use of processor, memory or network, by the words of the name."""
    if "cpu" in found and found & _USE_WORDS and not found & _LIMIT_WORDS - {"total"}:
        return _shaped(name, CPU, rank=100 + _roughness(found))
    if found & {"memory", "mem", "rss"} and found & _USE_WORDS and not found & _LIMIT_WORDS:
        return _shaped(name, MEMORY, rank=100 + _roughness(found))
    if found & {"network", "net"} and found & {"receive", "transmit", "received", "transmitted", "rx", "tx"}:
        return _shaped(name, NETWORK, rank=100 + _roughness(found) + (0 if "bytes" in found else 50))
    return None


_GRAPH = 200
"""The rank from which on metrics are those of a service graph: good for edges, and for objects only where nothing else is there."""


def _graph(name: str, found: set[str], form: str) -> Metric | None:
    """Tempo's service graph (traces_service_graph_request_*) and whatever is called like it."""
    if found & _ERROR_WORDS:
        return _shaped(name, ERRORS, rank=_GRAPH + 10)
    if form in (BUCKET, SUM) or (found & {"seconds", "us", "ms", "latency", "duration", "p50", "p90", "p95", "p99"} and form == GAUGE):
        return _shaped(name, LATENCY, rank=_GRAPH + _latency_rank(found, form))
    if (form == COUNTER and name.endswith(("_total", "_count"))) or found & {"requests", "calls"}:
        return _shaped(name, TRAFFIC, rank=_GRAPH + (10 if name.endswith("_count") else 0))
    return None


def _words(name: str) -> list[str]:
    split = []
    for part in re.split(r"[^A-Za-z0-9]+", _CAMEL.sub("_", name)):
        lower = part.lower()
        found = re.fullmatch(r"([a-z]+?)(p\d{2,3})", lower)  # latencyp95
        split += [found[1], found[2]] if found else [lower]
    return [word for word in split if word]


def _form(name: str) -> str:
    if name.endswith("_bucket"):
        return BUCKET
    if name.endswith("_sum") and not re.search(r"(?:requests|calls|errors)_sum$", name):  # a gauge that some window's sum was written to
        return SUM
    return COUNTER if name.endswith(("_total", "_count")) else GAUGE


def _says_latency(found: set[str], form: str) -> bool:
    if form == COUNTER or found & {"created", "timestamp", "gc", "scrape", "rule", "uptime", "age"}:
        return False
    if "latency" in found or {"response", "time"} <= found:
        return True
    timed = found & _LATENCY_WORDS or (form in (BUCKET, SUM) and found & {"seconds", "milliseconds", "ms"})
    return bool(timed and found & _REQUEST_WORDS)


def _latency_rank(found: set[str], form: str) -> int:
    rank = {BUCKET: 0, SUM: 12}.get(form, 6)
    quantiles = {"p95": 0, "p99": 1, "p90": 2, "p75": 3, "average": 4, "avg": 4, "mean": 4, "p50": 5, "median": 5}
    if form == GAUGE:
        rank += min((order for word, order in quantiles.items() if word in found), default=4)
    return rank + (20 if "client" in found else 0)


def _roughness(found: set[str]) -> int:
    return (10 if "node" in found else 0) + (0 if "percent" in found else 1)


def _shaped(name: str, signal: str, *, rank: int, good: bool = False) -> Metric:
    form = _form(name)
    unit, factor = numbers.PLAIN, 1.0
    spoken = [word for word in _words(name) if word not in ("bucket", "sum", "count", "total", "per", "second")] or [""]
    told = any(word in _UNITS for word in spoken)
    for word in reversed(spoken):
        if word in _UNITS:
            unit, factor = _UNITS[word]
            break
    if signal == LATENCY:
        if unit != numbers.SECONDS:
            # Span metrics of Tempo are seconds, those of the OpenTelemetry collector say what they are.
            unit, factor = numbers.SECONDS, 1.0
    elif form == COUNTER and signal in (TRAFFIC, ERRORS):
        unit, factor = numbers.PER_SECOND, 1.0
    elif signal == TRAFFIC:
        unit, factor = (numbers.PER_SECOND if "second" in _words(name) or {"rps", "qps"} & set(_words(name)) else numbers.PLAIN), 1.0
    elif signal == NETWORK:
        unit = numbers.BYTES_PER_SECOND if unit == numbers.BYTES else numbers.PER_SECOND
    elif signal == CPU and unit == numbers.SECONDS:
        unit = numbers.PLAIN  # seconds per second: cores
    return Metric(name=name, signal=signal, form=form, unit=unit, factor=factor, rank=rank, good=good, unit_is_told=told or signal != LATENCY)


def candidates(names: Iterable[str], limit: int) -> tuple[str, ...]:
    """The metrics that are worth a look, known families first, at most `limit` of them, and no signal squeezed out by another."""
    by_signal: dict[tuple[str, bool], list[Metric]] = {}
    known = set(names)
    for name in known:
        if (metric := classify(name)) is not None:
            by_signal.setdefault((metric.signal, metric.rank >= _GRAPH), []).append(metric)
    kept = [name for name in COMPANIONS if name in known][:limit]
    share = max(1, (limit - len(kept)) // max(1, len(by_signal)))
    for metrics in by_signal.values():
        metrics.sort(key=lambda metric: (metric.rank, metric.name))
        kept += [metric.name for metric in metrics[:share]]
    return tuple(kept[:limit])


# Queries


MAX_SERIES_READ = 6_000
"""Series of one metric in a neighbourhood that Prometheus may have to read for one curve; beyond that only the subject's own are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whom to ask about: the matchers that a metric with these labels needs, and the stretch over which rates are taken."""

    namespace: str
    matchers: tuple[Matcher, ...]  # where there is no namespace
    window: timedelta
    own: frozenset[str]  # what the subject is called
    only: tuple[Matcher, ...] = ()  # the objects that are worth a whole curve, where that was found out before

    def of(self, seen: Seen) -> tuple[Matcher, ...] | None:
        """The matchers for this metric, None where it has no label that keeps the answer small."""
        found = self._ground(seen)
        if found is not None:
            found += tuple(matcher for matcher in self.only if matcher.name in seen.labels)
        if found is None or seen.series <= MAX_SERIES_READ:
            return found
        for name in (*words.CALLED, *words.WORKLOAD, *words.SERVICE):
            if any(series.get(name) in self.own for series in seen.samples):
                return (*found, one_of(name, self.own))
        pod = words.first(words.POD, seen.labels)
        return (*found, pods_of(pod, self.own)) if pod else None

    def is_narrow(self, seen: Seen) -> bool:
        """Whether the neighbours are left out because they are too many."""
        return seen.series > MAX_SERIES_READ

    def _ground(self, seen: Seen) -> tuple[Matcher, ...] | None:
        if not self.namespace:
            # One is enough: each of them fits the whole neighbourhood.
            return next(((matcher,) for matcher in self.matchers if matcher.name in seen.labels), None)
        where = [name for name in words.NAMESPACE if any(series.get(name) == self.namespace for series in seen.samples)]
        return (equals(where[0], self.namespace),) if where else None


def asks(signal: str, seen: Mapping[str, Seen], reach: Reach, limit: int) -> tuple[Ask, ...]:
    """The queries of one signal, all of one unit, at most `limit`: of the best metric that is there, and of a second one beside it."""
    if signal == SATURATION:
        return tuple(_saturation(seen, reach))[:limit]
    found: list[Ask] = []
    metrics = [metric for name in seen if (metric := classify(name)) is not None and metric.signal in (signal, *_ALSO.get(signal, ()))]

    def order(metric: Metric) -> tuple[bool, bool, int, str]:
        # A curve of the whole namespace is the alert's business; here the objects in it are to be told apart.
        return metric.signal != signal, not words.objects_in(words.entity_labels(seen[metric.name].labels)), metric.rank, metric.name

    for metric in sorted(metrics, key=order):
        if len(found) == limit:
            break
        ask = _errors(metric, seen[metric.name], reach) if signal == ERRORS else _ask(metric, seen, reach)
        if ask is not None and (not found or (ask.unit == found[0].unit and _is_second(found, metric))):
            found.append(ask)
    return tuple(found)


_ALSO = {ERRORS: (TRAFFIC,)}  # a counter of requests with a status label counts errors too


def _is_second(found: Sequence[Ask], metric: Metric) -> bool:
    """Whether a further metric says something else: the other side of the wire or the other direction, not another percentile."""
    if metric.signal in (NETWORK, ERRORS):
        return True
    sides = {("client" in _words(ask.metric)) for ask in found}
    return metric.signal == LATENCY and ("client" in _words(metric.name)) not in sides


def _ask(metric: Metric, seen: Mapping[str, Seen], reach: Reach) -> Ask | None:
    one = seen[metric.name]
    matchers = reach.of(one)
    if matchers is None:
        return None
    matchers += _narrowed(metric, one)
    by = words.entity_labels(one.labels)
    if metric.name == "node_memory_MemAvailable_bytes":
        if "node_memory_MemTotal_bytes" not in seen:
            return None
        total = select("node_memory_MemTotal_bytes", matchers)
        return Ask(
            metric=metric.name, signal=metric.signal, expression=aggregate("sum", by, f"{total} - {select(metric.name, matchers)}"),
            unit=numbers.BYTES, worse="up", by=by, what="memory",
        )  # fmt: skip
    return read(metric, matchers, by, reach.window)


def read(metric: Metric, matchers: tuple[Matcher, ...], by: Collection[str], window: timedelta, *, seen_sum: bool = True) -> Ask:
    """The query that reads a metric by what its name says: rate of a counter, 95th percentile of a histogram, a gauge as it is."""
    groups = tuple(sorted(set(by)))
    what = metric.signal
    if metric.form == BUCKET:
        expression = f"histogram_quantile({QUANTILE}, {aggregate('sum', [*groups, 'le'], rate(metric.name, matchers, window))})"
        what = "p95 latency"
    elif metric.form == SUM and seen_sum:
        count = rate(f"{metric.name.removesuffix('_sum')}_count", matchers, window)
        expression = f"{aggregate('sum', groups, rate(metric.name, matchers, window))} / {aggregate('sum', groups, count)}"
        what = "average latency"
    elif metric.form == COUNTER:
        expression = aggregate("sum", groups, rate(metric.name, matchers, window))
        what = {TRAFFIC: "request rate", ERRORS: "error rate", CPU: "CPU", NETWORK: "network traffic"}.get(metric.signal, what)
    else:
        operator = "sum" if metric.signal in (TRAFFIC, MEMORY) and metric.unit not in (numbers.PERCENT, numbers.RATIO) else "max"
        if metric.good:
            operator = "min"
        expression = aggregate(operator, groups, select(metric.name, matchers))  # type: ignore[arg-type]
        what = {MEMORY: "memory", CPU: "CPU", NETWORK: "network traffic"}.get(metric.signal, what)
        if metric.good:
            what = "share of successes"
    if metric.factor != 1:
        expression = f"({expression}) * {metric.factor:g}"
    if metric.signal == LATENCY and "client" in _words(metric.name):
        what = f"{what} of calls made"
    worse = "down" if metric.good else {LATENCY: "up", ERRORS: "up", CPU: "up", MEMORY: "up"}.get(metric.signal, "")
    return Ask(metric=metric.name, signal=metric.signal, expression=expression, unit=metric.unit, worse=worse, by=groups, what=what)


def _narrowed(metric: Metric, seen: Seen) -> tuple[Matcher, ...]:
    """What keeps a metric from counting things twice."""
    matchers: list[Matcher] = []
    if metric.name.startswith("container_cpu_") or metric.name.startswith("container_memory_"):
        # cAdvisor has the pod's own group beside those of its containers, and the pause container.
        matchers += [Matcher(name="container", op="!=", value="")] if "container" in seen.labels else []
    if metric.name == "node_cpu_seconds_total":
        matchers.append(Matcher(name="mode", op="!~", value="idle|iowait|steal"))
    if "reporter" in seen.labels:  # Istio counts every request at both ends
        ends = {series.get("reporter") for series in seen.samples}
        matchers.append(equals("reporter", "destination" if "destination" in ends or not ends & {"source"} else "source"))
    if "direction" in seen.labels and metric.name in ("response_total", "response_latency_ms_bucket"):
        matchers.append(equals("direction", "inbound"))
    if "span_kind" in seen.labels:
        matchers.append(Matcher(name="span_kind", op="=~", value="SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"))
    if "quantile" in seen.labels and metric.form == GAUGE:
        matchers.append(Matcher(name="quantile", op="=~", value="0\\.9.*"))
    return tuple(matchers)


def _errors(metric: Metric, seen: Seen, reach: Reach) -> Ask | None:
    matchers = reach.of(seen)
    if matchers is None:
        return None
    if metric.signal == ERRORS:
        return read(metric, matchers + _narrowed(metric, seen), words.entity_labels(seen.labels), reach.window)
    failed = failed_matchers(seen.labels)
    if metric.form != COUNTER or not failed:
        return None
    return error_share(metric, matchers + _narrowed(metric, seen), failed, words.entity_labels(seen.labels), reach.window)


def failed_matchers(present: Collection[str]) -> tuple[Matcher, ...]:
    """What a failed request looks like in a counter with these labels; empty where it does not say."""
    name = words.first(words.STATUS, present)
    if not name:
        return ()
    if name in ("grpc_code", "grpc_status", "rpc_grpc_status_code", "grpc_response_status"):
        # The codes that are the server's fault. https://grpc.github.io/grpc/core/md_doc_statuscodes.html
        value = "Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss|ResourceExhausted|2|4|8|13|14|15"
    elif name in ("classification", "outcome", "result"):
        value = "(?i)failure|failed|error|server_error"
    elif name == "failed":
        value = "(?i)true|1"
    else:
        # Span metrics write the status of the span, Istio 0 for a connection that broke.
        value = "5..|0|STATUS_CODE_ERROR|(?i:error)"
    return (Matcher(name=name, op="=~", value=value),)


def error_share(metric: Metric, matchers: tuple[Matcher, ...], failed: tuple[Matcher, ...], by: Collection[str], window: timedelta) -> Ask:
    """Failed requests of all requests; no failure is zero, no request is no answer."""
    groups = tuple(sorted(set(by)))
    every = aggregate("sum", groups, rate(metric.name, matchers, window))
    bad = aggregate("sum", groups, rate(metric.name, matchers + failed, window))
    return Ask(
        metric=metric.name, signal=ERRORS, expression=f"({bad} or {every} * 0) / ({every} > 0)", unit=numbers.RATIO, worse="up", by=groups,
        what="share of failed requests",
    )  # fmt: skip


def _saturation(seen: Mapping[str, Seen], reach: Reach) -> Iterable[Ask]:
    """How full things are, every one from 0 to 1."""

    def ask(metric: str, what: str, expression: str, by: Iterable[str]) -> Ask:
        return Ask(metric=metric, signal=SATURATION, expression=expression, unit=numbers.RATIO, worse="up", by=tuple(sorted(by)), what=what)

    def both(one: str, other: str) -> tuple[tuple[Matcher, ...], tuple[Matcher, ...]] | None:
        if one not in seen or other not in seen:
            return None
        left, right = reach.of(seen[one]), reach.of(seen[other])
        return None if left is None or right is None else (left, right)

    if matchers := both("container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total"):
        by = words.entity_labels(seen["container_cpu_cfs_throttled_periods_total"].labels)
        over = [
            aggregate("sum", by, rate(name, (*own, Matcher(name="container", op="!=", value="")), reach.window))
            for name, own in zip(("container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total"), matchers, strict=True)
        ]
        yield ask("container_cpu_cfs_throttled_periods_total", "share of CPU periods throttled", f"{over[0]} / {over[1]}", by)
    use = "container_memory_working_set_bytes"
    if matchers := both(use, "kube_pod_container_resource_limits"):
        by = _common(seen[use], seen["kube_pod_container_resource_limits"])
        used = aggregate("sum", by, select(use, (*matchers[0], Matcher(name="container", op="!=", value=""))))
        limit = aggregate("sum", by, select("kube_pod_container_resource_limits", (*matchers[1], equals("resource", "memory"))))
        if by:
            yield ask(use, "share of the memory limit", f"{used} / {limit}", by)
    elif matchers := both(use, "container_spec_memory_limit_bytes"):
        by = words.entity_labels(seen[use].labels)
        named = (Matcher(name="container", op="!=", value=""),)
        yield ask(
            use, "share of the memory limit",
            f"{aggregate('sum', by, select(use, matchers[0] + named))} / "
            f"({aggregate('sum', by, select('container_spec_memory_limit_bytes', matchers[1] + named))} > 0)", by,
        )  # fmt: skip
    if matchers := both("kubelet_volume_stats_used_bytes", "kubelet_volume_stats_capacity_bytes"):
        by = (words.first(words.NAMESPACE, seen["kubelet_volume_stats_used_bytes"].labels), "persistentvolumeclaim")
        used, size = (aggregate("max", [name for name in by if name], select(f"kubelet_volume_stats_{part}_bytes", own))
                      for part, own in zip(("used", "capacity"), matchers, strict=True))  # fmt: skip
        yield ask("kubelet_volume_stats_used_bytes", "fill of the volume", f"{used} / {size}", [name for name in by if name])
    if matchers := both("node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"):
        by = words.entity_labels(seen["node_memory_MemTotal_bytes"].labels)
        free = aggregate("sum", by, select("node_memory_MemAvailable_bytes", matchers[0]))
        size = aggregate("sum", by, select("node_memory_MemTotal_bytes", matchers[1]))
        yield ask("node_memory_MemAvailable_bytes", "share of memory used", f"1 - {free} / {size}", by)
    if matchers := both("node_filesystem_avail_bytes", "node_filesystem_size_bytes"):
        by = (*words.entity_labels(seen["node_filesystem_size_bytes"].labels), "mountpoint")
        real = (Matcher(name="fstype", op="!~", value="tmpfs|overlay|squashfs|ramfs|nsfs|iso9660"),)
        free = aggregate("max", by, select("node_filesystem_avail_bytes", matchers[0] + real))
        size = aggregate("max", by, select("node_filesystem_size_bytes", matchers[1] + real))
        yield ask("node_filesystem_avail_bytes", "fill of the file system", f"1 - {free} / {size}", by)


def _common(one: Seen, other: Seen) -> tuple[str, ...]:
    """Labels by which two metrics of different exporters can be put side by side."""
    if "exported_pod" in one.labels | other.labels:  # there `pod` is the exporter's own
        return ()
    namespace, pod = words.first(words.NAMESPACE, one.labels & other.labels), words.first(words.POD, one.labels & other.labels)
    return (namespace, pod) if namespace and pod else ()
