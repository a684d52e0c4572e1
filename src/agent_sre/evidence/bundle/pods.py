"""`kubectl describe` of a pod, and of the pod templates in workloads, in the API's shape. Pure.

A probe's command and a container's arguments are words again only as far as kubectl's text tells: `exec [sh -c ls]` is one text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from agent_sre.evidence.bundle.layout import NONE, Section, Sections, number_of, pairs_of, port_of, table_of
from agent_sre.evidence.bundle.tidy import secret_free, tidy
from agent_sre.evidence.bundle.times import Times

Json = dict[str, Any]

_OWN_TOKEN = "kube-api-access-"  # noqa: S105  (the volume that every pod has for its service account)
_MAX_ARGUMENTS = 100

_PROBE_TIMES = {"delay": "initialDelaySeconds", "timeout": "timeoutSeconds", "period": "periodSeconds"}
_PROBE_COUNTS = {"success": "successThreshold", "failure": "failureThreshold"}
_PROBE_TIME = re.compile(r"\b(delay|timeout|period)=(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_PROBE_COUNT = re.compile(r"#(success|failure)=(\d+)")
_HTTP = re.compile(r"http-get (https?)://(\[[^\]]*\]|[^:/ ]*):([^/ ]*)(/\S*)?")
_TCP = re.compile(r"tcp-socket (\S*):(\S+)")
_GRPC = re.compile(r"grpc <pod>:(\d+) ?(\S*)")
_EXEC = re.compile(r"exec \[(.*)\] delay=")

_SECRET_KEY = re.compile(r"<set to the key '([^']*)' (?:in|of) (secret|config map) '([^']*)'>")
_FIELD = re.compile(r"(?:.* )?\((?:v\d\w*:)?((?:metadata|spec|status|limits|requests)\.[\w.\[\]'/-]+)\)$")
_MOUNT = re.compile(r"(\S+) from (\S+) \((.*)\)$")
_PATH = re.compile(r'path="([^"]*)"')
_OPTIONAL = re.compile(r"Optional: +(true|false)")
_PORT = re.compile(r"(\d+)/([A-Z]+)(?: \(([^)]*)\))?")


# Specification


def pod_spec(sections: Sections) -> Json:
    """What a pod's own description, or the one of a template, says about its spec."""
    spec: Json = {}
    for key, field in (("Init Containers", "initContainers"), ("Containers", "containers")):
        if key in sections:
            spec[field] = [container_spec(section) for section in sections.get(key).sections.all]
    volumes = [volume_of(section) for section in sections.get("Volumes").sections.all if not section.key.startswith(_OWN_TOKEN)]
    if volumes:
        spec["volumes"] = volumes
    for key, field in (
        ("Service Account", "serviceAccountName"),
        ("Priority Class Name", "priorityClassName"),
        ("Runtime Class Name", "runtimeClassName"),
    ):
        if value := sections.value(key):
            spec[field] = tidy(value)
    if "Node-Selectors" in sections:
        spec["nodeSelector"] = pairs_of(sections.get("Node-Selectors").lines)
    if "Tolerations" in sections:
        spec["tolerations"] = [toleration_of(line) for line in sections.get("Tolerations").lines]
    return spec


def container_spec(section: Section) -> Json:
    """One container of `Containers:`."""
    inner = section.sections
    container: Json = {"name": tidy(section.key)}
    if image := inner.value("Image"):
        container["image"] = tidy(image)
    ports = [port for key in ("Port", "Ports") for port in _ports(inner.value(key))]
    if ports:
        container["ports"] = ports
    for key in ("Command", "Args"):
        if key in inner:
            container[key.lower()] = _arguments(inner.get(key))
    resources = {field: pairs_of(inner.get(key).lines, ":") for key, field in (("Limits", "limits"), ("Requests", "requests")) if key in inner}
    if resources:
        container["resources"] = resources
    for key, field in (("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")):
        if value := inner.value(key):
            container[field] = probe_of(value)
    if sources := [source for line in inner.get("Environment Variables from").lines if (source := _env_from(line))]:
        container["envFrom"] = sources
    if variables := list(_environment(inner.get("Environment"))):
        container["env"] = variables
    if mounts := [mount for line in inner.get("Mounts").lines if (mount := _mount(line))]:
        container["volumeMounts"] = mounts
    return container


def _ports(text: str) -> Iterator[Json]:
    for number, protocol, name in _PORT.findall(text):
        port: Json = {"containerPort": int(number), "protocol": protocol}
        if name:
            port["name"] = tidy(name)
        yield port


def _arguments(section: Section) -> list[str]:
    return secret_free([line.strip() for line in (section.value, *section.body) if line.strip()][:_MAX_ARGUMENTS])


def probe_of(text: str) -> Json:
    """`http-get http://:8080/healthz delay=0s timeout=1s period=10s #success=1 #failure=3` as a probe."""
    probe: Json = {}
    if match := _HTTP.match(text):
        action: Json = {"scheme": match[1].upper(), "port": port_of(match[3]), "path": tidy(match[4] or "/")}
        if match[2]:
            action["host"] = match[2]
        probe["httpGet"] = action
    elif match := _TCP.match(text):
        probe["tcpSocket"] = {"port": port_of(match[2]), **({"host": match[1]} if match[1] else {})}
    elif match := _GRPC.match(text):
        probe["grpc"] = {"port": int(match[1]), **({"service": match[2]} if match[2] else {})}
    elif match := _EXEC.match(text):
        probe["exec"] = {"command": secret_free([match[1]])}
    for name, hours, minutes, seconds in _PROBE_TIME.findall(text):
        probe[_PROBE_TIMES[name]] = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    for name, count in _PROBE_COUNT.findall(text):
        probe[_PROBE_COUNTS[name]] = int(count)
    return probe


def _env_from(line: str) -> Json:
    words = line.split()
    if len(words) < 2 or words[1] not in ("Secret", "ConfigMap"):
        return {}
    reference: Json = {"name": tidy(words[0])}
    if optional := _OPTIONAL.search(line):
        reference["optional"] = optional[1] == "true"
    source: Json = {"secretRef" if words[1] == "Secret" else "configMapRef": reference}
    if prefix := re.search(r"with prefix '([^']*)'", line):
        source["prefix"] = tidy(prefix[1])
    return source


def _environment(section: Section) -> Iterator[Json]:
    for variable in section.sections.all:
        yield _variable(variable.key, "\n".join([variable.value, *(line.strip() for line in variable.body)]).strip())


def _variable(name: str, text: str) -> Json:
    if match := _SECRET_KEY.match(text):
        field = "secretKeyRef" if match[2] == "secret" else "configMapKeyRef"
        reference: Json = {"name": tidy(match[3]), "key": tidy(match[1])}
        if optional := _OPTIONAL.search(text):
            reference["optional"] = optional[1] == "true"
        return {"name": tidy(name), "valueFrom": {field: reference}}
    if "(" in text and (match := _FIELD.match(text)):
        path = match[1]
        resource = path.startswith(("limits.", "requests."))
        return {"name": tidy(name), "valueFrom": {"resourceFieldRef": {"resource": path}} if resource else {"fieldRef": {"fieldPath": path}}}
    return {"name": tidy(name), "value": secret_free([text], name)[0]}


def _mount(line: str) -> Json:
    match = _MOUNT.match(line)
    if match is None or match[2].startswith(_OWN_TOKEN):
        return {}
    mount: Json = {"name": tidy(match[2]), "mountPath": tidy(match[1])}
    if match[3].startswith("ro"):
        mount["readOnly"] = True
    if path := _PATH.search(match[3]):
        mount["subPath"] = tidy(path[1])
    return mount


def volume_of(section: Section) -> Json:
    """One volume of `Volumes:`."""
    inner = section.sections
    kind = inner.value("Type").partition(" ")[0]
    volume: Json = {"name": tidy(section.key)}
    optional = {"optional": inner.value("Optional") == "true"} if inner.value("Optional") else {}
    read_only = {"readOnly": inner.value("ReadOnly") == "true"} if inner.value("ReadOnly") else {}
    match kind:
        case "EmptyDir":
            fields = {"medium": inner.value("Medium"), "sizeLimit": inner.value("SizeLimit")}
            volume["emptyDir"] = {name: value for name, value in fields.items() if value}
        case "HostPath":
            volume["hostPath"] = {"path": tidy(inner.value("Path")), "type": inner.value("HostPathType")}
        case "ConfigMap":
            volume["configMap"] = {"name": tidy(inner.value("Name")), **optional}
        case "Secret":
            volume["secret"] = {"secretName": tidy(inner.value("SecretName")), **optional}
        case "PersistentVolumeClaim":
            volume["persistentVolumeClaim"] = {"claimName": tidy(inner.value("ClaimName")), **read_only}
        case "NFS":
            volume["nfs"] = {"server": tidy(inner.value("Server")), "path": tidy(inner.value("Path")), **read_only}
        case "CSI":
            volume["csi"] = {"driver": tidy(inner.value("Driver")), **read_only}
        case "Projected":
            volume["projected"] = {"sources": _projected(inner)}
        case "DownwardAPI":
            volume["downwardAPI"] = {}
        case _ if kind:
            volume[kind[:1].lower() + kind[1:]] = {}
    return volume


def _projected(inner: Sections) -> list[Json]:
    sources: list[Json] = []
    for section in inner.all:
        if section.key == "TokenExpirationSeconds" and (seconds := number_of(section.value)) is not None:
            sources.append({"serviceAccountToken": {"expirationSeconds": seconds}})
        elif section.key in ("ConfigMapName", "SecretName") and section.value not in NONE:
            sources.append({section.key[0].lower() + section.key[1:-4]: {"name": tidy(section.value)}})
        elif section.key in ("ConfigMapOptional", "Optional", "SecretOptionalName") and sources and section.value in ("true", "false"):
            next(iter(sources[-1].values()))["optional"] = section.value == "true"
    return sources


def toleration_of(text: str) -> Json:
    """`key=value:NoExecute op=Exists for 300s` as a toleration."""
    toleration: Json = {}
    words = text.split()
    for index, word in enumerate(words):
        if word.startswith("op="):
            toleration["operator"] = word[3:]
        elif word == "for" and index + 1 < len(words):
            seconds = number_of(words[index + 1].rstrip("s"))
            if seconds is not None:
                toleration["tolerationSeconds"] = seconds
        elif index == 0:
            rest, _, effect = word.partition(":")
            key, equals, value = rest.partition("=")
            toleration["key"] = tidy(key)
            if equals:
                toleration |= {"operator": "Equal", "value": tidy(value)}
            if effect:
                toleration["effect"] = effect
    return toleration


# Status


def pod_status(sections: Sections, times: Times) -> Json:
    """What a pod's description says about its status."""
    status: Json = {}
    phase = sections.value("Status").partition(" ")[0]
    if phase and phase != "Terminating":  # kubectl's own word for a pod that is being deleted
        status["phase"] = phase
    for key, field in (
        ("Reason", "reason"),
        ("Message", "message"),
        ("IP", "podIP"),
        ("QoS Class", "qosClass"),
        ("NominatedNodeName", "nominatedNodeName"),
    ):
        if value := sections.value(key):
            status[field] = tidy(value)
    if started := times.instant(sections.value("Start Time")):
        status["startTime"] = started
    for key, field in (("Init Containers", "initContainerStatuses"), ("Containers", "containerStatuses")):
        found = [_container_status(section, times) for section in sections.get(key).sections.all if "State" in section.sections]
        if found:
            status[field] = found
    if conditions := conditions_of(sections.get("Conditions"), times):
        status["conditions"] = conditions
    return status


def _container_status(section: Section, times: Times) -> Json:
    inner = section.sections
    status: Json = {"name": tidy(section.key)}
    for key, field in (("Image", "image"), ("Image ID", "imageID"), ("Container ID", "containerID")):
        if value := inner.value(key):
            status[field] = tidy(value)
    if inner.value("Ready"):
        status["ready"] = inner.value("Ready") == "True"
    restarts = number_of(inner.value("Restart Count"))
    if restarts is not None:
        status["restartCount"] = restarts
    for key, field in (("State", "state"), ("Last State", "lastState")):
        if state := _state(inner.get(key), times):
            status[field] = state
    return status


def _state(section: Section, times: Times) -> Json:
    if section.value in NONE:
        return {}
    inner = section.sections
    state: Json = {}
    for key, field in (("Reason", "reason"), ("Message", "message")):
        if inner.value(key):
            state[field] = tidy(" ".join(inner.get(key).lines))
    for key, field in (("Exit Code", "exitCode"), ("Signal", "signal")):
        number = number_of(inner.value(key))
        if number is not None:
            state[field] = number
    for key, field in (("Started", "startedAt"), ("Finished", "finishedAt")):
        if instant := times.instant(inner.value(key)):
            state[field] = instant
    return {section.value.lower(): state}


def conditions_of(section: Section, times: Times) -> list[Json]:
    """A `Conditions:` table; what the columns lack, the conditions lack."""
    lines = [line for line in section.body if line.strip()]
    table = table_of(lines)
    if table is None:
        return []
    names = {
        "Type": "type", "Status": "status", "Reason": "reason", "Message": "message", "LastTransitionTime": "lastTransitionTime",
        "LastHeartbeatTime": "lastHeartbeatTime", "LastProbeTime": "lastProbeTime",
    }  # fmt: skip
    found = []
    for row in table.rows:
        condition: Json = {}
        for column, cell in row.items():
            field = names.get(column)
            if field is None or cell in NONE:
                continue
            value = times.instant(cell) if field.endswith("Time") else tidy(cell)
            if value:
                condition[field] = value
        if "type" in condition:
            found.append(condition)
    return found
