"""`kubectl describe` of the rest: Node, Namespace, ResourceQuota, PodDisruptionBudget, ServiceAccount, ConfigMap (keys only). Pure."""

from __future__ import annotations

import re
from typing import Any

from agent_sre.evidence.bundle.layout import Lines, Sections, number_of, pairs_of, selector_of, table_of
from agent_sre.evidence.bundle.pods import conditions_of
from agent_sre.evidence.bundle.tidy import tidy
from agent_sre.evidence.bundle.times import Times

Json = dict[str, Any]

_MAX_KEYS = 200
_PERCENT = re.compile(r" \(\d+%\)$")


def node(sections: Sections, times: Times) -> Json:
    """Spec and status: taints, whether pods may come, capacity, what is allocated, conditions, versions."""
    spec: Json = {}
    if "Unschedulable" in sections:
        spec["unschedulable"] = sections.value("Unschedulable") == "true"
    if "Taints" in sections:
        spec["taints"] = [taint_of(line) for line in sections.get("Taints").lines]
    if cidr := sections.value("PodCIDR"):
        spec["podCIDR"] = tidy(cidr)
    status: Json = {}
    for key, field in (("Capacity", "capacity"), ("Allocatable", "allocatable")):
        if key in sections:
            status[field] = pairs_of(sections.get(key).lines, ":")
    if conditions := conditions_of(sections.get("Conditions"), times):
        status["conditions"] = conditions
    if addresses := pairs_of(sections.get("Addresses").lines, ":"):
        status["addresses"] = [{"type": tidy(name), "address": tidy(value)} for name, value in addresses.items()]
    info = sections.get("System Info").sections
    names = {
        "Kernel Version": "kernelVersion", "OS Image": "osImage", "Container Runtime Version": "containerRuntimeVersion",
        "Kubelet Version": "kubeletVersion", "Architecture": "architecture", "Boot ID": "bootID",
    }  # fmt: skip
    if told := {field: tidy(info.value(key)) for key, field in names.items() if info.value(key)}:
        status["nodeInfo"] = told
    if allocated := _allocated(sections):
        status["allocated"] = allocated
    return {"spec": spec, "status": status}


def taint_of(text: str) -> Json:
    """`node.kubernetes.io/unschedulable:NoSchedule` as a taint."""
    rest, _, effect = text.partition(":")
    key, equals, value = rest.partition("=")
    return {"key": tidy(key), **({"value": tidy(value)} if equals else {}), **({"effect": tidy(effect, 40)} if effect else {})}


def _allocated(sections: Sections) -> Json:
    """What the pods of the node ask for. Not a field of the API: `kubectl` counted it, and it explains why nothing fits any more."""
    lines = [line for line in sections.get("Allocated resources").body if line.strip() and not line.strip().startswith("(")]
    table = table_of(lines)
    found: Json = {}
    for row in table.rows if table else ():
        if name := row.get("Resource"):
            amounts = {column.lower(): _PERCENT.sub("", row.get(column, "")) for column in ("Requests", "Limits") if row.get(column)}
            found[tidy(name)] = amounts
    return found


def namespace(sections: Sections, times: Times) -> Json:  # noqa: ARG001  (all parsers look alike)
    """Its phase. The quotas that `describe` prints below are described by themselves."""
    phase = sections.value("Status")
    return {"status": {"phase": tidy(phase)}} if phase else {}


def quota(lines: Lines) -> Json:
    """Hard and used. A table without an indent, below the fields."""
    start = next((index for index, line in enumerate(lines) if re.match(r"Resource +Used +Hard", line)), None)
    table = table_of(lines[start:]) if start is not None else None
    rows = [row for row in (table.rows if table else ()) if row.get("Resource") and row.get("Hard")]
    hard = {tidy(row["Resource"]): tidy(row["Hard"]) for row in rows}
    used = {tidy(row["Resource"]): tidy(row.get("Used", "")) for row in rows}
    return {"spec": {"hard": hard}, "status": {"hard": dict(hard), "used": used}} if rows else {}


def disruption_budget(sections: Sections, times: Times) -> Json:  # noqa: ARG001
    """Spec and status."""
    spec: Json = {"selector": {"matchLabels": selector_of(sections.value("Selector"))}}
    for key, field in (("Min available", "minAvailable"), ("Max unavailable", "maxUnavailable")):
        if value := sections.value(key):
            number = number_of(value)
            spec[field] = tidy(value, 20) if number is None else number
    inner = sections.get("Status").sections
    status: Json = {}
    for key, field in (
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ):
        number = number_of(inner.value(key))
        if number is not None:
            status[field] = number
    return {"spec": spec, "status": status}


def service_account(sections: Sections, times: Times) -> Json:  # noqa: ARG001
    """Which secrets it names. `(not found)` behind one, where `describe` says so, is kept: it explains failed pulls."""
    found: Json = {}
    for key, field in (("Image pull secrets", "imagePullSecrets"), ("Mountable secrets", "secrets")):
        names = [line.removesuffix(" (not found)") for line in sections.get(key).lines]
        if key in sections:
            found[field] = [{"name": tidy(name)} for name in names]
        missing = [line.removesuffix(" (not found)") for line in sections.get(key).lines if line.endswith(" (not found)")]
        if missing:
            found.setdefault("missing", []).extend(tidy(name) for name in missing)
    return found


def config_map(lines: Lines) -> Json:
    """The keys; values are not read. `describe` prints each key alone on a line, with `----` below it."""
    found: Json = {}
    field = ""
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if line in ("Data", "BinaryData") and following == "====":
            field = "data" if line == "Data" else "binaryData"
            found[field] = {}
        elif field == "data" and following == "----" and line.endswith(":") and len(found[field]) < _MAX_KEYS:
            found[field][tidy(line[:-1], 200)] = None
        elif field == "binaryData" and (match := re.match(r"([\w.-]+): \d+ bytes$", line)) and len(found[field]) < _MAX_KEYS:
            found[field][tidy(match[1], 200)] = None
    return {name: keys for name, keys in found.items() if keys or name == "data"}
