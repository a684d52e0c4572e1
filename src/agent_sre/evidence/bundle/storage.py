"""`kubectl describe` of storage: PersistentVolumeClaim, PersistentVolume, StorageClass. Pure."""

from __future__ import annotations

import re
from typing import Any

from agent_sre.evidence.bundle.layout import Sections, pairs_of
from agent_sre.evidence.bundle.pods import conditions_of
from agent_sre.evidence.bundle.tidy import tidy
from agent_sre.evidence.bundle.times import Times

Json = dict[str, Any]

MODES = {"RWO": "ReadWriteOnce", "ROX": "ReadOnlyMany", "RWX": "ReadWriteMany", "RWOP": "ReadWriteOncePod"}


def access_modes(text: str) -> list[str]:
    """`RWO,ROX` by the API's names."""
    return [MODES.get(part.strip(), tidy(part.strip(), 40)) for part in text.split(",") if part.strip()]


def claim(sections: Sections, times: Times) -> Json:
    """Spec and status. What `describe` calls capacity and access modes is the bound volume's, so it is status; of a claim that is not bound it
    prints neither, and what was asked for is unknown."""
    spec: Json = {}
    if "StorageClass" in sections:
        spec["storageClassName"] = tidy(sections.value("StorageClass"))
    if volume := sections.value("Volume"):
        spec["volumeName"] = tidy(volume)
    if mode := sections.value("VolumeMode"):
        spec["volumeMode"] = tidy(mode)
    status: Json = {}
    phase = sections.value("Status").partition(" ")[0]
    if phase and phase != "Terminating":
        status["phase"] = phase
    if capacity := sections.value("Capacity"):
        status["capacity"] = {"storage": capacity}
    if modes := access_modes(sections.value("Access Modes")):
        status["accessModes"] = modes
    if conditions := conditions_of(sections.get("Conditions"), times):
        status["conditions"] = conditions
    return {"spec": spec, "status": status}


def volume(sections: Sections, times: Times) -> Json:  # noqa: ARG001  (all parsers look alike)
    """Spec and status, node affinity included."""
    spec: Json = {}
    if "StorageClass" in sections:
        spec["storageClassName"] = tidy(sections.value("StorageClass"))
    for key, field in (("Reclaim Policy", "persistentVolumeReclaimPolicy"), ("VolumeMode", "volumeMode")):
        if value := sections.value(key):
            spec[field] = tidy(value)
    if capacity := sections.value("Capacity"):
        spec["capacity"] = {"storage": capacity}
    if modes := access_modes(sections.value("Access Modes")):
        spec["accessModes"] = modes
    namespace, _, name = sections.value("Claim").partition("/")
    if name:
        spec["claimRef"] = {"kind": "PersistentVolumeClaim", "namespace": tidy(namespace), "name": tidy(name)}
    source = sections.get("Source").sections
    if kind := source.value("Type").partition(" ")[0]:
        fields = {"Path": "path", "Server": "server", "Driver": "driver", "VolumeHandle": "volumeHandle", "FSType": "fsType"}
        spec[_volume_field(kind)] = {field: tidy(source.value(key)) for key, field in fields.items() if source.value(key)}
    if terms := _terms(sections):
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    status: Json = {}
    for key, field in (("Status", "phase"), ("Reason", "reason"), ("Message", "message")):
        if value := sections.value(key):
            status[field] = tidy(value)
    return {"spec": spec, "status": status}


def _volume_field(kind: str) -> str:
    known = {"HostPath": "hostPath", "NFS": "nfs", "CSI": "csi", "LocalVolume": "local"}
    return known.get(kind, kind[:1].lower() + kind[1:])


def _terms(sections: Sections) -> list[Json]:
    """`Term 0:  kubernetes.io/hostname in [worker-1, worker-2]`."""
    required = sections.get("Node Affinity").sections.get("Required Terms").sections
    terms = []
    for term in required.all:
        expressions = [_expression(line) for line in term.lines]
        if found := [expression for expression in expressions if expression]:
            terms.append({"matchExpressions": found})
    return terms


def _expression(line: str) -> Json:
    match = re.match(r"(\S+) (in|not in) \[(.*)\]", line)
    if match is None:
        return {}
    values = [tidy(value.strip()) for value in match[3].split(",") if value.strip()]
    return {"key": tidy(match[1]), "operator": "In" if match[2] == "in" else "NotIn", "values": values}


def storage_class(sections: Sections, times: Times) -> Json:  # noqa: ARG001
    """The fields that a StorageClass has at its top."""
    found: Json = {}
    for key, field in (("Provisioner", "provisioner"), ("ReclaimPolicy", "reclaimPolicy"), ("VolumeBindingMode", "volumeBindingMode")):
        if value := sections.value(key):
            found[field] = tidy(value)
    if expansion := sections.value("AllowVolumeExpansion"):
        found["allowVolumeExpansion"] = expansion.lower() == "true"
    if parameters := sections.value("Parameters"):
        found["parameters"] = {tidy(name): tidy(value) for name, value in pairs_of(parameters.split(",")).items()}
    return found
