"""`kubectl describe` of what leads to pods: Service, Endpoints, Ingress, NetworkPolicy. Pure."""

from __future__ import annotations

import re
from typing import Any

from agent_sre.evidence.bundle.layout import NONE, Sections, number_of, port_of, selector_of, table_of
from agent_sre.evidence.bundle.tidy import tidy
from agent_sre.evidence.bundle.times import Times

Json = dict[str, Any]

_PORT = re.compile(r"(?:(\S+) +)?(\d+)/([A-Z]+)$")
_BACKEND = re.compile(r"(\S+):(\S+)(?: \((.*)\))?$")


def service(sections: Sections, times: Times) -> Json:  # noqa: ARG001  (all parsers look alike)
    """Spec and status. The `Endpoints:` lines are not the Service's own: they are described by themselves."""
    spec: Json = {}
    for key, field in (("Type", "type"), ("External Name", "externalName"), ("Session Affinity", "sessionAffinity")):
        if value := sections.value(key):
            spec[field] = tidy(value)
    if "Selector" in sections:
        spec["selector"] = selector_of(",".join(sections.get("Selector").lines))
    if address := sections.value("IP"):
        spec["clusterIP"] = tidy(address)
    ports: list[Json] = []
    for section in sections.all:  # Port, TargetPort, NodePort and Endpoints come again for each port
        if section.key == "Port" and (match := _PORT.match(section.value)):
            name = match[1] if match[1] not in (None, *NONE) else ""
            ports.append({**({"name": tidy(name)} if name else {}), "port": int(match[2]), "protocol": match[3]})
        elif section.key == "TargetPort" and ports:
            ports[-1]["targetPort"] = port_of(section.value.partition("/")[0])
        elif section.key == "NodePort" and ports and (match := _PORT.match(section.value)):
            ports[-1]["nodePort"] = int(match[2])
    if ports:
        spec["ports"] = ports
    status: Json = {}
    if ingress := sections.value("LoadBalancer Ingress"):
        status["loadBalancer"] = {"ingress": [{"ip": tidy(part.strip())} for part in ingress.split(",")]}
    return {"spec": spec, "status": status}


def endpoints(sections: Sections, times: Times) -> Json:  # noqa: ARG001
    """Subsets. No subset is an answer: nothing stands behind the Service."""
    subsets: list[Json] = []
    addresses: list[Json] = []
    not_ready: list[Json] = []
    for section in sections.get("Subsets").sections.all:
        if section.key == "Addresses":
            addresses = _addresses(section.value)
        elif section.key == "NotReadyAddresses":
            not_ready = _addresses(section.value)
        elif section.key == "Ports":
            subset: Json = {"ports": _ports(list(section.body)) if section.value in NONE else []}
            if addresses:
                subset["addresses"] = addresses
            if not_ready:
                subset["notReadyAddresses"] = not_ready
            subsets.append(subset)
            addresses, not_ready = [], []
    if addresses or not_ready:  # without a port
        subsets.append({"addresses": addresses, "notReadyAddresses": not_ready})
    return {"subsets": subsets}


def _addresses(text: str) -> list[Json]:
    return [] if text in NONE else [{"ip": tidy(part.strip(), 60)} for part in text.split(",")]


def _ports(lines: list[str]) -> list[Json]:
    table = table_of([line for line in lines if line.strip()])
    found = []
    for row in table.rows if table else ():
        number = number_of(row.get("Port", ""))
        if number is not None:
            name = row.get("Name", "")
            named = {"name": tidy(name)} if name not in (*NONE, "<unset>") else {}
            found.append({**named, "port": number, "protocol": row.get("Protocol", "")})
    return found


def ingress(sections: Sections, times: Times) -> Json:  # noqa: ARG001
    """Spec and status."""
    spec: Json = {}
    if name := sections.value("Ingress Class"):
        spec["ingressClassName"] = tidy(name)
    if (backend := sections.value("Default backend")) and (made := _backend(backend)):
        spec["defaultBackend"] = made
    table = table_of([line for line in sections.get("Rules").body if line.strip()])
    rules: list[Json] = []
    for row in table.rows if table else ():
        # A host stands in a row of its own, its paths follow with an empty host.
        if row.get("Host"):
            host = row["Host"]
            rules.append({"host": tidy(host)} if host != "*" else {})
        made = _backend(row.get("Backends", ""))
        if rules and made:
            paths = rules[-1].setdefault("http", {"paths": []})["paths"]
            paths.append({"path": tidy(row.get("Path", "") or "/"), "backend": made})
    if rules:
        spec["rules"] = rules
    tls = [re.match(r"(\S+) terminates (.*)", line.strip()) for line in sections.get("TLS").body]
    if terminating := [match for match in tls if match]:
        spec["tls"] = [{"secretName": tidy(match[1]), "hosts": [tidy(host) for host in match[2].split(",") if host]} for match in terminating]
    status: Json = {}
    if address := sections.value("Address"):
        status["loadBalancer"] = {"ingress": [{"ip": tidy(part)} for part in address.split(",")]}
    return {"spec": spec, "status": status}


def _backend(text: str) -> Json:
    match = _BACKEND.match(text)
    if match is None:
        return {}
    port = port_of(match[2])
    return {"service": {"name": tidy(match[1]), "port": {"number": port} if isinstance(port, int) else {"name": tidy(port)}}}


def network_policy(sections: Sections, times: Times) -> Json:  # noqa: ARG001
    """Spec: whom it selects, and which directions it isolates. A direction that nothing is allowed in has an empty list of rules; of allowed
    ones only the ports and selectors are kept that stand in the text."""
    inner = sections.get("Spec").sections
    spec: Json = {"podSelector": {"matchLabels": selector_of(inner.value("PodSelector"))}}
    types = [part.strip() for part in inner.value("Policy Types").split(",") if part.strip()]
    if types:
        spec["policyTypes"] = [tidy(part, 20) for part in types]
    for key, field, peer in (("Allowing ingress traffic", "ingress", "from"), ("Allowing egress traffic", "egress", "to")):
        if key in inner:
            spec[field] = _rules(inner.get(key).body, peer)
    return {"spec": spec}


def _rules(lines: tuple[str, ...], peer: str) -> list[Json]:
    rules: list[Json] = []
    current: Json = {}
    for line in (line.strip() for line in lines):
        if line.startswith("<none>"):
            continue
        if line.startswith("-----"):
            current = {}
        elif match := re.match(r"To Port: (\d+)/(\w+)", line):
            _begin(rules, current)
            current.setdefault("ports", []).append({"port": int(match[1]), "protocol": match[2]})
        elif line.startswith(("To Port: <any>", "From: <any>", "To: <any>", "From:", "To:")):
            _begin(rules, current)
        elif match := re.match(r"(PodSelector|NamespaceSelector): (.*)", line):
            _begin(rules, current)
            field = match[1][0].lower() + match[1][1:]
            current.setdefault(peer, []).append({field: {"matchLabels": selector_of(match[2].strip())}})
        elif match := re.match(r"CIDR: (\S+)", line):
            _begin(rules, current)
            current.setdefault(peer, []).append({"ipBlock": {"cidr": tidy(match[1], 60)}})
    return rules


def _begin(rules: list[Json], current: Json) -> None:
    if not any(rule is current for rule in rules):
        rules.append(current)
