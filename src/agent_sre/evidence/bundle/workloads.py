"""`kubectl describe` of what makes pods: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob, HorizontalPodAutoscaler. Pure."""

from __future__ import annotations

import re
from typing import Any

from agent_sre.evidence.bundle.layout import NONE, Sections, number_of, pairs_of, selector_of
from agent_sre.evidence.bundle.pods import conditions_of, pod_spec
from agent_sre.evidence.bundle.tidy import annotations_of, tidy
from agent_sre.evidence.bundle.times import Times

Json = dict[str, Any]

_COUNT = re.compile(r"(\d+) (desired|updated|total|available|unavailable|current|Running|Waiting|Succeeded|Failed|Active|Active \(\d+ Ready\))")
_METRIC = re.compile(r'"?(?:resource )?([\w-]+)"?(?: resource)?(?: of container "?([\w-]+)"?)?(?: on pods)?\s*(?:\(as a percentage of request\))?$')


def template_of(sections: Sections) -> Json:
    """`Pod Template:` as a pod template."""
    inner = sections.get("Pod Template").sections
    metadata: Json = {}
    if "Labels" in inner:
        metadata["labels"] = pairs_of(inner.get("Labels").lines)
    if "Annotations" in inner:
        metadata["annotations"] = annotations_of(pairs_of(inner.get("Annotations").lines, ":"))
    return {"metadata": metadata, "spec": pod_spec(inner)}


def deployment(sections: Sections, times: Times) -> Json:
    """Spec and status."""
    counts = _counts(sections.value("Replicas"))
    spec: Json = {"selector": _selector(sections.value("Selector")), "template": template_of(sections)}
    _put(spec, "replicas", counts.get("desired"))
    _put(spec, "minReadySeconds", number_of(sections.value("MinReadySeconds")))
    if kind := sections.value("StrategyType"):
        spec["strategy"] = {"type": tidy(kind)}
        if match := re.match(r"(\S+) max unavailable, (\S+) max surge", sections.value("RollingUpdateStrategy")):
            spec["strategy"]["rollingUpdate"] = {"maxUnavailable": _amount(match[1]), "maxSurge": _amount(match[2])}
    if "Pod Template" not in sections:
        del spec["template"]
    status: Json = {}
    for word, field in (
        ("total", "replicas"), ("updated", "updatedReplicas"), ("available", "availableReplicas"), ("unavailable", "unavailableReplicas"),
    ):  # fmt: skip
        _put(status, field, counts.get(word))
    if conditions := conditions_of(sections.get("Conditions"), times):
        status["conditions"] = conditions
    return {"spec": spec, "status": status}


def replicaset(sections: Sections, times: Times) -> Json:
    """Spec and status."""
    counts = _counts(sections.value("Replicas"))
    spec: Json = {"selector": _selector(sections.value("Selector")), "template": template_of(sections)}
    _put(spec, "replicas", counts.get("desired"))
    status: Json = {}
    _put(status, "replicas", counts.get("current"))
    if conditions := conditions_of(sections.get("Conditions"), times):
        status["conditions"] = conditions
    return {"spec": spec, "status": status}


def statefulset(sections: Sections, times: Times) -> Json:  # noqa: ARG001  (all parsers look alike)
    """Spec and status, volume claim templates included."""
    counts = _counts(sections.value("Replicas"))
    spec: Json = {"selector": _selector(sections.value("Selector")), "template": template_of(sections)}
    _put(spec, "replicas", counts.get("desired"))
    if kind := sections.value("Update Strategy"):
        spec["updateStrategy"] = {"type": tidy(kind)}
    if claims := _claims(sections):
        spec["volumeClaimTemplates"] = claims
    status: Json = {}
    _put(status, "replicas", counts.get("total"))
    return {"spec": spec, "status": status}


def _claims(sections: Sections) -> list[Json]:
    """`Volume Claims:` is a list of blocks that all begin with Name."""
    claims: list[Json] = []
    for section in sections.get("Volume Claims").sections.all:
        if section.key == "Name":
            claims.append({"metadata": {"name": tidy(section.value)}, "spec": {}})
        elif claims and section.value not in NONE:
            spec = claims[-1]["spec"]
            if section.key == "StorageClass":
                spec["storageClassName"] = tidy(section.value)
            elif section.key == "Capacity":
                spec["resources"] = {"requests": {"storage": section.value}}
            elif section.key == "Access Modes":
                spec["accessModes"] = re.findall(r"\w+", section.value)
    return claims


def daemonset(sections: Sections, times: Times) -> Json:  # noqa: ARG001
    """Spec and status."""
    spec: Json = {"selector": _selector(sections.value("Selector")), "template": template_of(sections)}
    status: Json = {}
    for key, field in (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ):
        _put(status, field, number_of(sections.value(key)))
    return {"spec": spec, "status": status}


def job(sections: Sections, times: Times) -> Json:
    """Spec and status."""
    spec: Json = {"selector": _selector(sections.value("Selector")), "template": template_of(sections)}
    for key, field in (("Parallelism", "parallelism"), ("Completions", "completions"), ("Backoff Limit", "backoffLimit")):
        _put(spec, field, number_of(sections.value(key)))
    _put(spec, "activeDeadlineSeconds", number_of(sections.value("Active Deadline Seconds").rstrip("s")))
    if "Suspend" in sections:
        spec["suspend"] = sections.value("Suspend") == "true"
    status: Json = {}
    text = sections.value("Pods Statuses")
    for pattern, field in (
        (r"(\d+) (?:Active|Running)", "active"),
        (r"(\d+) Ready", "ready"),
        (r"(\d+) Succeeded", "succeeded"),
        (r"(\d+) Failed", "failed"),
    ):
        if match := re.search(pattern, text):
            status[field] = int(match[1])
    for key, field in (("Start Time", "startTime"), ("Completed At", "completionTime")):
        _put(status, field, times.instant(sections.value(key)))
    if conditions := conditions_of(sections.get("Conditions"), times):
        status["conditions"] = conditions
    return {"spec": spec, "status": status}


def cronjob(sections: Sections, times: Times) -> Json:
    """Spec and status."""
    spec: Json = {"jobTemplate": {"spec": {"template": template_of(sections)}}}
    for key, field in (("Schedule", "schedule"), ("Concurrency Policy", "concurrencyPolicy")):
        _put(spec, field, tidy(sections.value(key)) or None)
    if "Suspend" in sections:
        spec["suspend"] = sections.value("Suspend").lower() == "true"
    _put(spec, "startingDeadlineSeconds", number_of(sections.value("Starting Deadline Seconds").rstrip("s")))
    status: Json = {}
    _put(status, "lastScheduleTime", times.instant(sections.value("Last Schedule Time")))
    if active := sections.value("Active Jobs"):
        status["active"] = [{"kind": "Job", "name": tidy(name.strip())} for name in active.split(",")]
    return {"spec": spec, "status": status}


def autoscaler(sections: Sections, times: Times) -> Json:
    """Spec and status of autoscaling/v2, as far as the text tells: targets and current values of resource metrics."""
    kind, _, name = sections.value("Reference").partition("/")
    spec: Json = {"scaleTargetRef": {"kind": kind, "name": tidy(name)}} if name else {}
    _put(spec, "minReplicas", number_of(sections.value("Min replicas")))
    _put(spec, "maxReplicas", number_of(sections.value("Max replicas")))
    status: Json = {}
    # "Deployment pods: 3 current / 4 desired", "StatefulSet pods: …"
    for section in sections.all:
        if section.key.endswith(" pods"):
            counts = _counts(section.value)
            _put(status, "currentReplicas", counts.get("current"))
            _put(status, "desiredReplicas", counts.get("desired"))
    metrics, current = _metrics(sections)
    if metrics:
        spec["metrics"], status["currentMetrics"] = metrics, current
    if conditions := conditions_of(sections.get("Conditions"), times):
        status["conditions"] = conditions
    return {"spec": spec, "status": status}


def _metrics(sections: Sections) -> tuple[list[Json], list[Json]]:
    """`resource cpu on pods  (as a percentage of request):  95% (190m) / 80%`."""
    wanted: list[Json] = []
    current: list[Json] = []
    for section in sections.get("Metrics").sections.all:
        match = _METRIC.search(section.key.strip())
        now, slash, target = section.value.partition(" / ")
        if match is None or not slash:
            continue
        wanted.append({"type": "Resource", "resource": {"name": match[1], "target": _amount_of_metric(target)}})
        if not now.startswith("<"):
            current.append({"type": "Resource", "resource": {"name": match[1], "current": _amount_of_metric(now)}})
    return wanted, current


def _amount_of_metric(text: str) -> Json:
    share = number_of(text.partition("%")[0]) if "%" in text else None
    return {"averageUtilization": share} if share is not None else {"averageValue": tidy(text.strip(), 40)}


def _counts(text: str) -> dict[str, int]:
    """`3 desired | 1 updated | …`, `1 current / 3 desired` by their words."""
    return {word: int(count) for count, word in _COUNT.findall(text)}


def _selector(text: str) -> Json:
    return {"matchLabels": selector_of(text)}


def _amount(text: str) -> int | str:
    number = number_of(text)
    return tidy(text, 20) if number is None else number


def _put(target: Json, field: str, value: Any) -> None:
    """What is unknown stays out."""
    if value is not None:
        target[field] = value
