"""Trouble of what all else rests on, as others complain of it: etcd, the API server, the leases of the control plane, and clocks.

Components that fail themselves are seen by node_component; here are the messages of those who wait for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from agent_sre.alert.subject import Subject
from agent_sre.evidence.kubernetes.objects import instant_of
from agent_sre.finding.facts import number as number_in
from agent_sre.finding.finding import Finding
from agent_sre.finding.notices import Notice, complaints
from agent_sre.finding.placement import places
from agent_sre.finding.weights import CLOCK_OFFSET_SECONDS, LEASES_LATE, LIKELY, POSSIBLE, PROVED
from agent_sre.finding.world import World, field, mapping, string
from agent_sre.kit.text import one_line

_ETCD = re.compile(
    r"etcdserver: (?:request timed out|leader changed|no leader|mvcc: database space exceeded|too many requests)|apply request took too long"
    r"|failed to commit proposal|slow fdatasync|waiting for ReadIndex response took too long",
    re.IGNORECASE,
)
_API = re.compile(
    r"dial tcp \S+:(?:6443|443): connect: connection refused.{0,200}/api|the server (?:is currently unable to handle|was unable to return a response)"
    r"|apiserver not ready|failed calling webhook|rate limiter Wait returned an error|Too Many Requests.{0,80}apiserver",
    re.IGNORECASE | re.DOTALL,
)
_CLOCK = re.compile(
    r"certificate has expired or is not yet valid: current time \S+ is before|not yet valid|token (?:used before issued|is not valid yet)"
    r"|clock (?:skew|is out of sync|difference)|RequestTimeTooSkewed|KRB_AP_ERR_SKEW|iat.{0,20}in the future",
    re.IGNORECASE,
)
_LEASES = {"kube-scheduler": "kube_scheduler_unavailable", "kube-controller-manager": "controller_manager_unavailable"}


class ControlPlane:
    name = "control_plane"

    def detect(self, world: World) -> Iterable[Finding]:
        """At most one finding per cause and object."""
        home = next((place.name for place in places(world) if place.control_plane), "")
        yield from self._complaints(world, home)
        yield from self._leases(world, home)
        yield from self._clocks(world)

    def _complaints(self, world: World, home: str) -> Iterator[Finding]:
        told: set[str] = set()
        said = [(notice.message, notice.evidence_id, notice.last_at) for notice in complaints(world)]
        said += [(seen.value.sample, seen.evidence_id, seen.value.first_at) for seen in world.log_patterns if seen.value.count]
        for cause, words, weight in (("etcd_unavailable", _ETCD, LIKELY), ("api_server_unavailable", _API, POSSIBLE)):
            for message, evidence_id, at in said:
                if home and cause not in told and words.search(message[:2_000]):
                    told.add(cause)
                    yield self._finding(cause, home, f"somebody complains: {message}", evidence_id, weight, at)

    def _leases(self, world: World, home: str) -> Iterator[Finding]:
        for seen in world.objects("Lease", "kube-system"):
            renewed = instant_of(seen.value.manifest, "spec", "renewTime")
            seconds = number_in(mapping(seen.value.manifest.get("spec")), "leaseDurationSeconds") or 15.0
            holder = string(field(seen.value.manifest, "spec", "holderIdentity")).partition("_")[0] or home
            if seen.value.name in _LEASES and renewed and holder and world.now - renewed > timedelta(seconds=min(seconds, 3_600.0) * LEASES_LATE):
                told = f"the lease of {seen.value.name}, held by {holder}, was last renewed at {renewed:%H:%M:%S}"
                yield self._finding(_LEASES[seen.value.name], holder, told, seen.evidence_id, PROVED, renewed)

    def _clocks(self, world: World) -> Iterator[Finding]:
        for curve in world.curves:
            if curve.metric in ("node_timex_offset_seconds", "node_ntp_offset_seconds", "chrony_tracking_last_offset_seconds") and curve.points:
                node = curve.labels.get("node") or curve.labels.get("nodename") or curve.labels.get("instance", "").partition(":")[0]
                offset = curve.points[-1][1]
                if node and abs(offset) >= CLOCK_OFFSET_SECONDS:
                    yield self._finding("clock_skew", node, f"the clock of {node} is off by {offset:.3g} s", curve.evidence_id, PROVED, None)
        for notice in complaints(world):
            if _CLOCK.search(notice.message):
                yield self._clock(world, notice)
                break

    def _clock(self, world: World, notice: Notice) -> Finding:
        pod = world.object("Pod", notice.namespace, notice.name)
        node = notice.host or (notice.name if notice.kind == "Node" else string(field(pod.value.manifest, "spec", "nodeName")) if pod else "")
        told = f"a certificate or token is not valid yet: {notice.quote}"
        return self._finding("clock_skew", node or notice.name, told, notice.evidence_id, LIKELY, notice.first_at)

    def _finding(self, cause: str, node: str, summary: str, evidence_id: str, weight: float, since: datetime | None) -> Finding:
        return Finding(
            detector=self.name, summary=one_line(summary, 400), subject=Subject(kind="Node", name=node), facts={}, evidence_ids=(evidence_id,),
            cause=cause, weight=weight, began_at=since,
        )  # fmt: skip
