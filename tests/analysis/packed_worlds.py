"""Diagnosed worlds for whoever packs a prompt: the small ones of our own, the recorded ones of the bundle tests, the ten with nothing wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from agent_sre.analysis.analysis import Recommendation
from agent_sre.analysis.rules import rules_analysis
from agent_sre.cli.eval.cases import incident_of_all
from agent_sre.evidence.bundle.bundle import load_bundle
from agent_sre.evidence.bundle.source import BundleSource
from agent_sre.evidence.evidence import Data, EvidenceSet
from agent_sre.evidence.playbook import load_playbooks
from agent_sre.evidence.playbook_derived import playbook_of
from agent_sre.finding.diagnose import diagnose
from agent_sre.finding.finding import Diagnosis
from agent_sre.incident.incident import Incident
from evidence.builders import NOW, an_alert, an_incident
from finding import clusters
from finding.answers import answer, recurrence, value
from scenarios.nothing_wrong import write_worlds

WORLDS = Path(__file__).resolve().parents[1] / "evidence" / "worlds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosed:
    """All that a prompt is packed from."""

    name: str
    incident: Incident
    diagnosis: Diagnosis
    actions: tuple[Recommendation, ...]


def diagnosed(name: str, incident: Incident, evidence: EvidenceSet) -> Diagnosed:
    playbook = playbook_of(incident.lead, load_playbooks())
    diagnosis = diagnose(incident, evidence, playbook)
    analysis = rules_analysis(incident, diagnosis, playbook, author_note="", now=NOW)
    return Diagnosed(name=name, incident=incident, diagnosis=diagnosis, actions=analysis.recommendations)


def cluster(name: str, *items: Data) -> Diagnosed:
    known = clusters.world(*items)
    return diagnosed(name, known.incident, known.evidence)


def recorded(path: Path) -> Diagnosed:
    bundle = load_bundle(path)
    assert bundle.message is not None
    now = bundle.now or NOW
    incident = incident_of_all(bundle.message.alerts, now)
    return diagnosed(path.name, incident, BundleSource(bundle, now).everything(incident))


def memory_near_its_limit() -> Diagnosed:
    alert = an_alert(labels={"namespace": "shop", "pod": "cart-0"}, annotations={"summary": "Memory of cart-0 is at 91 %"})
    evidence = EvidenceSet(items=(value([60.0 + i / 2 for i in range(60)]), recurrence(3), answer("prometheus", "memory", number=3)))
    return diagnosed("memory", an_incident(alert), evidence)


@cache
def all_worlds() -> tuple[Diagnosed, ...]:
    with TemporaryDirectory() as folder:
        quiet = [recorded(Path(folder) / name) for name in write_worlds(Path(folder))]
    return (
        memory_near_its_limit(),
        cluster(
            "selector",
            clusters.node("press-1", labels={"disk": "hdd"}),
            clusters.deployment("press", nodeSelector={"disk": "ssd"}),
            clusters.pod("press-5d4f-abcde", spec={"nodeSelector": {"disk": "ssd"}}),
            clusters.event("FailedScheduling", "press-5d4f-abcde", "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."),
        ),
        cluster("dead unit", clusters.node("press-1", ready="Unknown"), clusters.unit("kubelet", "press-1", "inactive (dead)")),
        cluster("image", clusters.node("press-1"), clusters.pod("press-5d4f-abcde", on="press-1", waiting="ImagePullBackOff")),
        recorded(WORLDS / "case"),
        *quiet,
    )
