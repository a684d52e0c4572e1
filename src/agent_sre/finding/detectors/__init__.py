"""Detectors: each looks for one thing in the evidence and says so in one sentence. Pure, small, one file each.

To add one, copy the nearest sibling, give it a line in DETECTORS and a heading in docs/reference/detectors.md; the conformance
tests find it. What a finding may carry beside its sentence is said in finding/rank.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent_sre.finding.detectors.addresses import Addresses
from agent_sre.finding.detectors.control_plane import ControlPlane
from agent_sre.finding.detectors.data_stores import DataStores
from agent_sre.finding.detectors.endings import Endings
from agent_sre.finding.detectors.image_pull import ImagePull
from agent_sre.finding.detectors.log_bursts import LogBursts
from agent_sre.finding.detectors.name_resolution import NameResolution
from agent_sre.finding.detectors.node_component import NodeComponent
from agent_sre.finding.detectors.node_network import NodeNetwork
from agent_sre.finding.detectors.probes import WrongProbes
from agent_sre.finding.detectors.quota import QuotaExceeded
from agent_sre.finding.detectors.recurrence import Recurrence
from agent_sre.finding.detectors.references import MissingReferences
from agent_sre.finding.detectors.related import Related
from agent_sre.finding.detectors.replicas import Replicas
from agent_sre.finding.detectors.routes import Routes
from agent_sre.finding.detectors.rule_health import RuleHealth
from agent_sre.finding.detectors.service_wiring import ServiceWiring
from agent_sre.finding.detectors.short_lived import ShortLived
from agent_sre.finding.detectors.sidecar_ports import SidecarPorts
from agent_sre.finding.detectors.spread import Spread
from agent_sre.finding.detectors.stale import Stale
from agent_sre.finding.detectors.target_down import TargetDown
from agent_sre.finding.detectors.threshold import ThresholdCrossed
from agent_sre.finding.detectors.unreachable_peers import UnreachablePeers
from agent_sre.finding.detectors.unscheduled import Unscheduled
from agent_sre.finding.detectors.volumes import UnboundVolumes
from agent_sre.finding.detectors.workload_load import WorkloadLoad
from agent_sre.finding.finding import Detector

DETECTORS: Mapping[str, Detector] = {
    "threshold": ThresholdCrossed(),
    "target_down": TargetDown(),
    "service_wiring": ServiceWiring(),
    "addresses": Addresses(),
    "sidecar_ports": SidecarPorts(),
    "data_stores": DataStores(),
    "name_resolution": NameResolution(),
    "routes": Routes(),
    "workload_load": WorkloadLoad(),
    "unreachable_peers": UnreachablePeers(),
    "log_bursts": LogBursts(),
    "rule_health": RuleHealth(),
    "stale": Stale(),
    "short_lived": ShortLived(),
    "spread": Spread(),
    "related": Related(),
    "recurrence": Recurrence(),
    "node_component": NodeComponent(),
    "control_plane": ControlPlane(),
    "node_network": NodeNetwork(),
    "unscheduled": Unscheduled(),
    "quota_exceeded": QuotaExceeded(),
    "image_pull": ImagePull(),
    "replicas": Replicas(),
    "missing_references": MissingReferences(),
    "unbound_volumes": UnboundVolumes(),
    "wrong_probes": WrongProbes(),
    "endings": Endings(),
}
"""By name, in the order in which a reader wants to hear of them: what is measured, whether to believe it, what else there is."""
