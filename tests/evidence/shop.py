"""A small shop as OpenMetrics: two services behind a mesh, kube-state-metrics and cAdvisor, and one pod that breaks.

`frontend` calls `cart`. Twenty minutes ago cart's third pod began to eat memory and to restart, cart became slow at the caller and at
itself, and a tenth of its requests fail. A node far away is not ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

MIB = 1024**2
NAMESPACE = "shop"
CART = ("cart-7f9c6d5b8c-aaaaa", "cart-7f9c6d5b8c-bbbbb", "cart-7f9c6d5b8c-ccccc")
BAD = CART[2]
FRONTEND = ("frontend-5d4f8b9c7-ddddd", "frontend-5d4f8b9c7-fffff")
NODE_OF = dict(zip((*CART, *FRONTEND), ("worker-1", "worker-2", "worker-3", "worker-1", "worker-2"), strict=True))
HOSTILE = 'a"} or vector(1) #\\ $1 é`'

Value = Callable[[float], float]
Rows = Sequence[tuple[Mapping[str, str], Value]]


class Shop:
    """Five hours of it, and ten minutes that are still to come, so that nothing ends while a test runs."""

    def __init__(self, *, now: datetime | None = None, step: int = 30, extra_series: int = 0) -> None:
        self.now = (now or datetime.now(UTC)).replace(microsecond=0)
        self.broke_at = self.now - timedelta(minutes=20)
        self.starts_at = self.broke_at + timedelta(minutes=10)
        self._step = step
        self._extra = extra_series
        end = self.now.timestamp() + 600
        self._instants = [end - step * number for number in range((5 * 3600 + 600) // step, -1, -1)]

    def open_metrics(self) -> str:
        """For `promtool tsdb create-blocks-from openmetrics`."""
        return "\n".join([*self._all(), "# EOF", ""])

    def _all(self) -> Iterator[str]:
        yield from self._gauge("container_memory_working_set_bytes", self._memory_rows())
        used = [(self._container(pod), self._integral(0.2, 0.9 if pod == BAD else 0.2)) for pod in NODE_OF]
        yield from self._counter("container_cpu_usage_seconds", [*used, *((pod, self._integral(0.1, 0.1)) for pod in self._crowd())])
        throttled = [(self._container(pod), self._integral(0.1, 8.0 if pod == BAD else 0.1)) for pod in NODE_OF]
        yield from self._counter("container_cpu_cfs_throttled_periods", throttled)
        periods = [*(self._container(pod) for pod in NODE_OF), *self._crowd()]
        yield from self._counter("container_cpu_cfs_periods", [(pod, self._integral(10, 10)) for pod in periods])
        yield from self._kube_state()
        yield from self._mesh()
        yield from self._gauge(
            "kubelet_volume_stats_used_bytes", [({"namespace": NAMESPACE, "persistentvolumeclaim": "data-cart-0"}, lambda _: 95.0)]
        )
        claim = {"namespace": NAMESPACE, "persistentvolumeclaim": "data-cart-0"}
        yield from self._gauge("kubelet_volume_stats_capacity_bytes", [(claim, lambda _: 100.0)])

    def _container(self, pod: str) -> dict[str, str]:
        return {"namespace": NAMESPACE, "pod": pod, "container": pod.split("-")[0], "node": NODE_OF[pod], "image": HOSTILE}

    def _memory_rows(self) -> Rows:
        rows: list[tuple[Mapping[str, str], Value]] = []
        for number, pod in enumerate(NODE_OF):
            usual = (90 + number) * MIB
            rows.append((self._container(pod), self._stepped(usual, 245 * MIB if pod == BAD else usual)))
            rows.append((self._container(pod) | {"container": ""}, self._stepped(usual, 245 * MIB)))  # the pod's own group
        return [*rows, *((pod, lambda at: 50 * MIB + at % 97) for pod in self._crowd())]

    def _crowd(self) -> list[dict[str, str]]:
        """Pods that only stand around: four series each."""
        return [{"namespace": NAMESPACE, "pod": f"crowd-{number}", "container": "crowd"} for number in range(self._extra // 4)]

    def _kube_state(self) -> Iterator[str]:
        here = {"namespace": NAMESPACE}
        yield from self._gauge("kube_pod_container_resource_limits", [
            ({**here, "pod": pod, "container": pod.split("-")[0], "resource": "memory", "unit": "byte"}, lambda _: 256.0 * MIB) for pod in NODE_OF
        ])  # fmt: skip
        replicas: list[tuple[str, float, float]] = [("cart", 3, 2), ("frontend", 2, 2)]
        yield from self._gauge("kube_deployment_spec_replicas", [({**here, "deployment": name}, self._stepped(n, n)) for name, n, _ in replicas])
        available = [({**here, "deployment": name}, self._stepped(n, now)) for name, n, now in replicas]
        yield from self._gauge("kube_deployment_status_replicas_available", available)
        yield from self._gauge("kube_pod_info", [({**here, "pod": pod, "node": node}, lambda _: 1.0) for pod, node in NODE_OF.items()])
        for phase in ("Running", "Pending"):
            rows = [({**here, "pod": pod, "phase": phase}, self._stepped(phase == "Running", phase == "Running")) for pod in NODE_OF]
            yield from self._samples("kube_pod_status_phase", rows)
        waiting = {**here, "pod": BAD, "container": "cart", "reason": "CrashLoopBackOff"}
        yield from self._gauge("kube_pod_container_status_waiting_reason", [(waiting, self._stepped(0, 1))])
        yield from self._gauge("kube_pod_container_status_last_terminated_reason", [(waiting | {"reason": "OOMKilled"}, self._stepped(0, 1))])
        restarts = [({**here, "pod": pod, "container": pod.split("-")[0]}, self._integral(0, 0.005 if pod == BAD else 0)) for pod in NODE_OF]
        yield from self._counter("kube_pod_container_status_restarts", [*restarts, *((pod, self._integral(0, 0)) for pod in self._crowd())])
        conditions = [
            ({"node": "far-away", "condition": "Ready", "status": status}, self._stepped(0, status == "unknown")) for status in ("true", "unknown")
        ]
        yield from self._gauge("kube_node_status_condition", conditions)

    def _mesh(self) -> Iterator[str]:
        """Istio's metrics, scraped at the proxies of both ends."""
        rows: list[tuple[Mapping[str, str], Value]] = []
        edge = {
            "source_workload": "frontend", "source_workload_namespace": NAMESPACE, "destination_workload": "cart",
            "destination_workload_namespace": NAMESPACE, "destination_service_name": "cart",
        }  # fmt: skip
        ingress = edge | {"source_workload": "ingress", "source_workload_namespace": "istio-system", "destination_workload": "frontend"}
        elsewhere = edge | dict.fromkeys(("source_workload_namespace", "destination_workload_namespace"), "other")
        for labels, failing in ((edge, 1.0), (ingress | {"destination_service_name": "frontend"}, 0.0), (elsewhere, 0.0)):
            for reporter in ("source", "destination"):
                both = labels | {"reporter": reporter, "namespace": labels["destination_workload_namespace"], "pod": "whoever"}
                rows.append((both | {"response_code": "200"}, self._integral(10, 10 - failing)))
                if failing:
                    rows.append((both | {"response_code": "503"}, self._integral(0, failing)))
        yield from self._counter("istio_requests", rows)
        buckets: list[tuple[Mapping[str, str], Value]] = []
        for reporter, slow in (("source", 9.5), ("destination", 5.0)):
            for le, usual, now in (("10", 9.9, 1.0), ("100", 10, 10 - slow), ("1000", 10, 10), ("+Inf", 10, 10)):
                buckets.append((edge | {"reporter": reporter, "namespace": NAMESPACE, "le": le}, self._integral(usual, now)))
        yield "# TYPE istio_request_duration_milliseconds unknown"
        yield from self._samples("istio_request_duration_milliseconds_bucket", buckets)

    def _stepped(self, before: float, after: float) -> Value:
        broke = self.broke_at.timestamp()
        return lambda at: after if at >= broke else before

    def _integral(self, before: float, after: float) -> Value:
        """A counter that rises by `before` a second, and by `after` since it broke."""
        start, broke = self._instants[0], self.broke_at.timestamp()
        return lambda at: (min(at, broke) - start) * before + max(0.0, at - broke) * after

    def _gauge(self, name: str, rows: Rows) -> Iterator[str]:
        yield f"# TYPE {name} gauge"
        yield from self._samples(name, rows)

    def _counter(self, name: str, rows: Rows) -> Iterator[str]:
        yield f"# TYPE {name} counter"
        yield from self._samples(f"{name}_total", rows)

    def _samples(self, name: str, rows: Rows) -> Iterator[str]:
        for labels, value in rows:
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items() if text)
            for at in self._instants:
                yield f"{name}{{{inner}}} {value(at):.10g} {at:.0f}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
