"""What runs the pods on a node, and what places them: kubelet, container runtime, kube-proxy, scheduler, and the rest of the control plane.

Four witnesses: systemd's units, the node's conditions, the events of pods that the node cannot serve, and the control plane's own pods.
A scheduler that is gone says nothing at all: pods wait, and nobody writes why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import container_states, instant_of
from agent_sre.finding.finding import Finding
from agent_sre.finding.notices import complaints, notices
from agent_sre.finding.placement import places
from agent_sre.finding.weights import DISABLED_UNIT, HEARTBEAT_LOST, LIKELY, POSSIBLE, PROVED, STATED, UNSCHEDULED_IN_SILENCE
from agent_sre.finding.world import Seen, World, field, mapping, sequence, string
from agent_sre.kit.text import one_line
from agent_sre.kit.times import parse_instant

_UNITS: Mapping[str, str] = {
    "kubelet": "kubelet_unavailable", "kube-proxy": "kube_proxy_unavailable", "kube-scheduler": "kube_scheduler_unavailable",
    "kube-apiserver": "api_server_unavailable", "kube-controller-manager": "controller_manager_unavailable", "etcd": "etcd_unavailable",
    **dict.fromkeys(("containerd", "crio", "cri-o", "docker", "dockerd", "cri-dockerd", "cri-docker"), "containerd_unavailable"),
}  # fmt: skip
"""systemd units and static pods, by what fails without them. k3s and rke2 run all in one unit, which the heartbeat tells."""

_RUNTIMES = frozenset(unit for unit, cause in _UNITS.items() if cause == "containerd_unavailable")
_RUNTIME_DOWN = re.compile(
    r"container runtime (?:is down|status check)|runtime (?:service )?is not (?:ready|running)|PLEG is not healthy", re.IGNORECASE
)
_NO_NETWORK = re.compile(r"NetworkPluginNotReady|cni (?:plugin|config) (?:not initialized|uninitialized)|network plugin is not ready", re.IGNORECASE)
_SOCKET = re.compile(
    r"(?:dial unix |unix://)\S*(?:containerd|crio|docker|dockershim|cri-dockerd)\S*sock|Cannot connect to the Docker daemon", re.IGNORECASE
)
_DOWN = frozenset({"inactive", "failed", "deactivating", "activating"})  # "activating" is also between two crashes
_NODE_PRESSURE: Mapping[str, str] = {
    "DiskPressure": "node_disk_pressure",
    "MemoryPressure": "node_memory_pressure",
    "PIDPressure": "node_pid_pressure",
}
_PATIENCE = timedelta(seconds=20)
"""A scheduler that is well has tried by then."""


class NodeComponent:
    name = "node_component"

    def detect(self, world: World) -> Iterable[Finding]:
        """Findings about nodes."""
        yield from self._units(world)
        yield from self._conditions(world)
        yield from self._sockets(world)
        yield from self._silence(world)
        yield from self._static_pods(world)

    def _units(self, world: World) -> Iterator[Finding]:
        units = [
            (seen, string(seen.value.values.get("node")), string(seen.value.values.get("unit")), string(seen.value.values.get("active")))
            for seen in world.facts("bundle", "units")
        ]
        running = {(node, unit) for _, node, unit, active in units if active == "active"}
        for seen, node, unit, active in units:
            name = unit.removesuffix(".service")
            if not node or name not in _UNITS or active not in _DOWN:
                continue
            if name in _RUNTIMES and any((node, other) in running for other in _RUNTIMES):
                continue  # another runtime does the work
            since = parse_instant(seen.value.values.get("since"))
            disabled = string(seen.value.values.get("enabled")) in ("disabled", "masked")
            yield self._finding(_UNITS[name], node, seen.value.text, seen.evidence_id, DISABLED_UNIT if disabled else STATED, name, since)

    def _conditions(self, world: World) -> Iterator[Finding]:
        for seen in world.objects("Node"):
            for item in sequence(field(seen.value.manifest, "status", "conditions")):
                condition = mapping(item)
                kind, status, message = (string(condition.get(name)) for name in ("type", "status", "message"))
                cause, weight, unit = self._meaning(kind, status, f"{condition.get('reason')} {message}")
                if cause:
                    told = f"the node {seen.value.name} says {kind}={status}: {message or condition.get('reason')}"
                    yield self._finding(cause, seen.value.name, told, seen.evidence_id, weight, unit, instant_of(condition, "lastTransitionTime"))

    def _meaning(self, kind: str, status: str, said: str) -> tuple[str, float, str]:
        if kind == "Ready" and status == "Unknown":
            return "kubelet_unavailable", HEARTBEAT_LOST, "kubelet"
        if kind == "Ready" and status == "False":
            if _RUNTIME_DOWN.search(said):
                return "containerd_unavailable", PROVED, "containerd"
            if _NO_NETWORK.search(said):
                return "network_plugin_unavailable", PROVED, ""
            return "kubelet_unavailable", POSSIBLE, "kubelet"
        if kind in _NODE_PRESSURE and status == "True":
            return _NODE_PRESSURE[kind], PROVED, ""
        if kind == "NetworkUnavailable" and status == "True":
            return "network_plugin_unavailable", PROVED, ""
        return "", 0.0, ""

    def _sockets(self, world: World) -> Iterator[Finding]:
        told: set[str] = set()
        for notice in complaints(world):
            if not _SOCKET.search(notice.message):
                continue
            pod = world.object("Pod", notice.namespace, notice.name) if notice.kind == "Pod" else None
            node = notice.host or (notice.name if notice.kind == "Node" else string(field(pod.value.manifest, "spec", "nodeName")) if pod else "")
            if node and node not in told:
                told.add(node)
                summary = f"the kubelet of {node} does not reach its container runtime: {notice.quote}"
                yield self._finding("containerd_unavailable", node, summary, notice.evidence_id, LIKELY, "containerd", notice.last_at)

    def _silence(self, world: World) -> Iterator[Finding]:
        """Pods that nobody tried to place."""
        spoken = {(notice.namespace, notice.name) for notice in notices(world, "FailedScheduling", "Scheduled", "SchedulingGated")}
        waiting = [seen for seen in world.objects("Pod") if _unnoticed(seen.value.manifest) and (seen.value.namespace, seen.value.name) not in spoken]
        waiting = [seen for seen in waiting if _age(world, seen) > _PATIENCE]
        if not waiting:
            return
        node = next(
            (string(fact.value.values.get("node")) for fact in world.facts("bundle", "units") if fact.value.values.get("unit") == "kube-scheduler"),
            "",
        )
        node = node or next((place.name for place in places(world) if place.control_plane), "")
        if node:
            seen = waiting[0]
            told = f"{seen.value.name} waits for a node and no scheduler has said why ({len(waiting)} such pods)"
            since = instant_of(seen.value.manifest, "metadata", "creationTimestamp")
            yield self._finding("kube_scheduler_unavailable", node, told, seen.evidence_id, UNSCHEDULED_IN_SILENCE, "kube-scheduler", since)

    def _static_pods(self, world: World) -> Iterator[Finding]:
        """Pods of the control plane and kube-proxy that do not run, or that the kubelet finds ill, on the node that they belong to."""
        ill = {(notice.namespace, notice.name): notice for notice in notices(world, "Unhealthy")}
        for seen in world.objects("Pod", "kube-system"):
            unit = next((unit for unit in _UNITS if seen.value.name.startswith(f"{unit}-") and unit not in _RUNTIMES and unit != "kubelet"), None)
            node = string(field(seen.value.manifest, "spec", "nodeName"))
            if unit is None or not node or field(seen.value.manifest, "metadata", "deletionTimestamp"):
                continue
            down = [state for state in container_states(seen.value) if not state.ready and (state.state in ("waiting", "terminated"))]
            if down:
                told = f"{seen.value.name} does not run: {down[0].reason or down[0].state}"
                yield self._finding(_UNITS[unit], node, told, seen.evidence_id, PROVED, unit, None)
            elif (notice := ill.get((seen.value.namespace, seen.value.name))) and any(not state.ready for state in container_states(seen.value)):
                told = f"{seen.value.name} runs and is not ready: {notice.quote}"
                yield self._finding(_UNITS[unit], node, told, notice.evidence_id, LIKELY, unit, notice.first_at)

    def _finding(self, cause: str, node: str, summary: str, evidence_id: str, weight: float, unit: str, since: datetime | None) -> Finding:
        return Finding(
            detector=self.name, summary=one_line(summary, 400), subject=Subject(kind="Node", name=node), facts={"unit": unit or None},
            evidence_ids=(evidence_id,),
            cause=cause, weight=weight, began_at=since,
        )  # fmt: skip


def _unnoticed(manifest: Mapping[str, object]) -> bool:
    if field(manifest, "spec", "nodeName") or field(manifest, "status", "phase") != "Pending" or sequence(field(manifest, "spec", "schedulingGates")):
        return False
    if string(field(manifest, "spec", "schedulerName")) not in ("", "default-scheduler"):
        return False
    return not any(mapping(item).get("type") == "PodScheduled" for item in sequence(field(manifest, "status", "conditions")))


def _age(world: World, seen: Seen[KubernetesObject]) -> timedelta:
    created = instant_of(seen.value.manifest, "metadata", "creationTimestamp")
    return world.now - created if created else timedelta.max
