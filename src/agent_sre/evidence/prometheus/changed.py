"""Which series tell what changed around a subject: a few queries over a day, for series_changes.py to read. Pure.

A namespace of a thousand workloads is asked about the subject's own only: curves of all of them would be megabytes, to find two steps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from agent_sre.evidence.prometheus.builder import Matcher, equals, one_of, pods_of, select
from agent_sre.evidence.prometheus.discovery import Ground
from agent_sre.evidence.prometheus.signals import Seen
from agent_sre.evidence.prometheus.workload import namespace_label, pod_label
from agent_sre.evidence.series_changes import METRICS

CROWD = 200
"""Deployments of a namespace from which on only the subject's own are asked for."""

MAX_BUILDS = 20
_CREATED, _IMAGES = "kube_replicaset_created", "kube_pod_container_info"
_LABELS = ("deployment", "statefulset", "daemonset", "horizontalpodautoscaler")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to ask now, because its value is an instant, and what over the whole window."""

    now: tuple[str, ...] = ()
    over: tuple[str, ...] = ()


def queries(names: Collection[str], seen: Mapping[str, Seen], ground: Ground, own: frozenset[str]) -> Asked:
    """The queries for those metrics that are there; none for a ground that has none of them."""
    there = set(names) & set(METRICS)
    if not ground.namespace:
        nodes = sorted(name for name in there if name.startswith("kube_node_"))
        # The other two series of each condition say the opposite, and nothing else.
        only = (one_of("__name__", nodes), one_of("node", own), Matcher(name="status", op="!~", value="false|unknown"))
        return Asked(over=(select("", only),)) if nodes and own else Asked()
    label = namespace_label(seen)
    here = equals(label, ground.namespace)
    steps = {name: next((word for word in _LABELS if name.startswith(f"kube_{word}_")), "") for name in there}
    steps = {name: word for name, word in steps.items() if word}
    over = []
    if steps and not _is_crowded(seen):
        over.append(select("", (one_of("__name__", steps), here)))
    elif steps and own:
        for word in sorted(set(steps.values())):
            metrics = one_of("__name__", (name for name in steps if steps[name] == word))
            over.append(select("", (metrics, here, one_of(word, own))))
    if _IMAGES in there and own:
        over.append(select(_IMAGES, (here, pods_of(pod_label(label), own))))
    if builds := sorted(name for name in names if name.endswith("_build_info"))[:MAX_BUILDS]:
        # Programs are scraped themselves: whoever they are about is whoever was scraped.
        over.append(select("", (one_of("__name__", builds), equals("namespace" if label == "exported_namespace" else label, ground.namespace))))
    return Asked(now=(select(_CREATED, (here,)),) if _CREATED in there else (), over=tuple(over))


def _is_crowded(seen: Mapping[str, Seen]) -> bool:
    return any(one.series > CROWD for name, one in seen.items() if name.startswith("kube_deployment_"))
