"""What a diagnosis tells beside its causes: the way from source to symptom, what was thought of and does not hold, what to look at next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from agent_sre.alert.subject import describe
from agent_sre.evidence.evidence import EvidenceSet, KubernetesObject
from agent_sre.evidence.kubernetes.objects import condition, container_states
from agent_sre.finding.finding import Confidence, Finding, Hypothesis, object_name
from agent_sre.finding.rank import seen_causes, set_aside
from agent_sre.finding.weights import INCONCLUSIVE
from agent_sre.finding.world import World, field, sequence
from agent_sre.kit.text import one_line

MOST_CONSEQUENCES = 3
MOST_RULED_OUT = 8
_SENTENCE = 240

_IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName"})


# From the source to the symptom


def chain(world: World, findings: Sequence[Finding], hypotheses: Sequence[Hypothesis]) -> tuple[str, ...]:
    """A sentence per step with its evidence: the first cause, what follows from it, the alert. Empty where nothing was seen of the first cause."""
    first = next(iter(hypotheses), None)
    if first is None or not first.name or not first.supporting:
        return ()
    source = object_name(first.subject)
    steps = [_cited(first.cause, first.supporting)]
    told = {source}
    for finding in sorted(_consequences(first, findings), key=lambda item: -item.weight):
        name = object_name(finding.subject)
        if finding.weight >= INCONCLUSIVE and name not in told and len(told) <= MOST_CONSEQUENCES:
            told.add(name)
            steps.append(_cited(finding.summary, finding.evidence_ids))
    steps += _victims(world, first, told)
    alert = world.incident.lead
    steps.append(f"{one_line(alert.name, 80)} fired for {describe(alert.subject)}.")
    return tuple(steps)


def _consequences(first: Hypothesis, findings: Sequence[Finding]) -> Iterator[Finding]:
    source = object_name(first.subject)
    for finding in findings:
        if finding.evidence_ids and object_name(finding.subject) != source and any(object_name(item) == source for item in finding.explained_by):
            yield finding


def _victims(world: World, first: Hypothesis, told: set[str]) -> Iterator[str]:
    """Who has too few pods because of it: those with pods on an ill node, or the workload itself."""
    here: dict[str, str] = {}
    for (namespace, name), pods in world.pods_by_workload.items():
        subject = world.workload("Pod", namespace, pods[0].value.name)
        ill = [seen for seen in pods if condition(seen.value, "Ready").get("status") != "True"]
        on_node = first.subject.kind == "Node" and any(field(seen.value.manifest, "spec", "nodeName") == first.subject.name for seen in ill)
        itself = (subject.name, subject.namespace) == (first.subject.name, first.subject.namespace)
        if ill and (itself or (on_node and object_name(subject) not in told)):
            here[name] = ill[0].evidence_id
    if here:
        names = ", ".join(list(here)[:MOST_CONSEQUENCES]) + (f" and {len(here) - MOST_CONSEQUENCES} more" if len(here) > MOST_CONSEQUENCES else "")
        yield _cited(f"Pods of {names} are not ready", tuple(dict.fromkeys(here.values())))


def _cited(sentence: str, evidence_ids: Sequence[str]) -> str:
    text = one_line(sentence, _SENTENCE).rstrip(".")
    return f"{text} {' '.join(f'[{evidence_id}]' for evidence_id in evidence_ids[:3])}." if evidence_ids else f"{text}."


# Ruled out


def ruled_out(world: World, findings: Sequence[Finding], hypotheses: Sequence[Hypothesis]) -> tuple[Hypothesis, ...]:
    """What does not hold and why, in `doubts`, with the evidence against it: consequences of other causes, then what was looked at and is well."""
    aside = [_refuted(item) for item in seen_causes(findings) if set_aside(item)]
    named = {item.name for item in (*hypotheses, *aside)}
    return (*aside[: MOST_RULED_OUT // 2], *_well(world, named))[:MOST_RULED_OUT]


def _refuted(item: Hypothesis) -> Hypothesis:
    return Hypothesis(
        id="", cause=item.cause, subject=item.subject, score=item.score, supporting=(), contradicting=item.supporting, name=item.name,
        doubts=item.doubts, explained_by=item.explained_by,
    )  # fmt: skip


def _well(world: World, named: set[str]) -> Iterator[Hypothesis]:
    """The usual suspects that every object of their kind speaks against. Only what was looked at can be well."""
    for kind, causes, cause, is_well, words in _SUSPECTS:
        seen = world.objects(kind)
        if seen and not named & causes and all(is_well(item.value) for item in seen):
            yield Hypothesis(
                id="", cause=cause, subject=world.incident.subject, score=0.0, supporting=(),
                contradicting=tuple(dict.fromkeys(item.evidence_id for item in seen))[:3], doubts=(f"{words} ({len(seen)} seen)",),
            )  # fmt: skip


def _placed(item: KubernetesObject) -> bool:
    return bool(field(item.manifest, "spec", "nodeName")) or field(item.manifest, "status", "phase") in ("Succeeded", "Failed")


def _pulled(item: KubernetesObject) -> bool:
    return not any(state.reason in _IMAGE_REASONS for state in container_states(item))


def _stays_up(item: KubernetesObject) -> bool:
    return not any(state.restarts > 0 or state.reason == "CrashLoopBackOff" for state in container_states(item) if not state.initial)


def _ready(item: KubernetesObject) -> bool:
    return condition(item, "Ready").get("status") == "True" and not any(condition(item, kind).get("status") == "True" for kind in _PRESSURE)


def _bound(item: KubernetesObject) -> bool:
    return bool(field(item.manifest, "status", "phase") == "Bound")


def _has_addresses(item: KubernetesObject) -> bool:
    return any(sequence(part.get("addresses")) for part in sequence(item.manifest.get("subsets")) if isinstance(part, Mapping))


_PRESSURE = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_OF_NODES = frozenset({"kubelet_unavailable", "containerd_unavailable", "node_disk_pressure", "node_memory_pressure", "node_pid_pressure"})
_OF_PLACEMENT = frozenset({
    "cpu_capacity_mismatch", "memory_capacity_mismatch", "node_affinity_mismatch", "node_selector_mismatch", "node_cordon_mismatch",
    "pod_anti_affinity_conflict", "taint_toleration_mismatch", "kube_scheduler_unavailable",
})  # fmt: skip
_OF_IMAGES = frozenset({"image_registry_dns_failure", "incorrect_image_reference", "missing_image_pull_secret", "image_registry_unavailable"})

_SUSPECTS: tuple[tuple[str, frozenset[str], str, Callable[[KubernetesObject], bool], str], ...] = (
    ("Node", _OF_NODES, "A node is down or short of memory or disk", _ready, "every node is Ready and none reports pressure"),
    ("Pod", _OF_PLACEMENT, "A pod finds no node", _placed, "every pod has its node"),
    ("Pod", _OF_IMAGES, "An image cannot be pulled", _pulled, "no container waits for its image"),
    ("Pod", frozenset({"oom_killed"}), "A container crashes or is killed", _stays_up, "no container was restarted"),
    ("PersistentVolumeClaim", frozenset(), "A volume is missing", _bound, "every claim is bound"),
    ("Endpoints", frozenset(), "A service has nobody to send to", _has_addresses, "every service has endpoints"),
)
"""(kind, causes that speak of it, in words, what is well, why)."""


# Next


def next_check(evidence: EvidenceSet, hypotheses: Sequence[Hypothesis], confidence: Confidence) -> str:
    """What tells the first causes apart, else the source that did not answer. Empty unless the verdict is inconclusive."""
    if confidence is not Confidence.LOW or not hypotheses:
        return ""
    first = hypotheses[0]
    if first.check and first.supporting:
        rival = next((item for item in hypotheses[1:2] if item.check and item.supporting), None)
        return f"Check the first cause: {first.check}" + (f" And the second: {rival.check}" if rival else "")
    gap = next((gap for gap in evidence.gaps if gap.query.purpose), None)
    if gap is not None:
        return f"{one_line(gap.query.source, 60)} was not heard ({one_line(gap.detail or gap.reason, 200)}): {one_line(gap.query.purpose, 200)}"
    return first.check


def separating_check(first: Hypothesis, rival: Hypothesis, evidence: EvidenceSet) -> str:
    """The one look that tells two causes apart, as a sentence: a query whose answer speaks for one of them only, and what to look for."""
    only = [evidence_id for evidence_id in first.supporting if evidence_id not in rival.supporting]
    other = [evidence_id for evidence_id in rival.supporting if evidence_id not in first.supporting]
    question = first.check or first.rules_out or rival.check
    hint = f" {one_line(question, 240)}" if question else ""
    for ids, hypothesis in ((only, first), (other, rival)):
        asked = next((item.query for item in evidence.items if item.id in ids and item.query.language), None)
        if asked is not None:
            query = one_line(asked.expression, 200).replace("`", "'")
            return f"Look again at [{asked.id}] `{query}`: it speaks for {hypothesis.id} only.{hint}"
    for ids, hypothesis in ((only, first), (other, rival)):
        if ids:
            return f"Look again at [{ids[0]}]: it speaks for {hypothesis.id} only.{hint}"
    return f"To tell {first.id} from {rival.id}:{hint}" if hint else ""
