"""A Kubernetes API server over a real socket: lists in pages, field selectors, logs, its errors and its ways to fail.

    async with FakeKubernetes(objects=[a_pod("cart-0")]) as cluster:
        cluster.logs["shop", "cart-0", "cart", False] = "2026-11-23T06:40:11.123456789Z panic\\n"
        cluster.faults["pods"] = "403"                     this plural, or "*", or a path, fails like this
        client = KubernetesClient(KubernetesSettings(kubeconfig=cluster.kubeconfig(tmp_path)))
        …
        cluster.requests[0].path                           what was really asked

Unlike kmock it cuts lists into pages, honours field selectors, leaves kind and apiVersion out of a list's items as the real server does, and
can break in every way that a network can. Faults: see FAULTS and http.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from fakes.http import COMMON_FAULTS, FakeServer, RecordedRequest, Refusal, Text

FAULTS = (*COMMON_FAULTS, "409", "410", "no-items", "items-text", "items-wrong", "no-metadata", "endless-pages")
"""Every way in which this server can fail; `refuse` needs no server."""

PLURALS = {
    "Pod": "pods", "Event": "events", "Node": "nodes", "Namespace": "namespaces", "Deployment": "deployments", "ReplicaSet": "replicasets",
    "StatefulSet": "statefulsets", "DaemonSet": "daemonsets", "Job": "jobs", "CronJob": "cronjobs", "Service": "services",
    "Endpoints": "endpoints", "EndpointSlice": "endpointslices", "Ingress": "ingresses", "NetworkPolicy": "networkpolicies",
    "ConfigMap": "configmaps", "ServiceAccount": "serviceaccounts", "PersistentVolumeClaim": "persistentvolumeclaims",
    "PersistentVolume": "persistentvolumes", "StorageClass": "storageclasses", "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "ResourceQuota": "resourcequotas", "LimitRange": "limitranges", "PodDisruptionBudget": "poddisruptionbudgets",
    "Kustomization": "kustomizations", "HelmRelease": "helmreleases", "GitRepository": "gitrepositories", "Secret": "secrets",
    "ControllerRevision": "controllerrevisions", "HTTPRoute": "httproutes", "VirtualService": "virtualservices", "Certificate": "certificates",
    "Application": "applications",
}  # fmt: skip

_GROUPS = {
    "": "v1", "apps": "v1", "batch": "v1", "discovery.k8s.io": "v1", "networking.k8s.io": "v1", "storage.k8s.io": "v1", "autoscaling": "v2",
    "policy": "v1",
}  # fmt: skip
FLUX = {"kustomize.toolkit.fluxcd.io": "v1", "helm.toolkit.fluxcd.io": "v2", "source.toolkit.fluxcd.io": "v1"}


@dataclass
class FakeKubernetes(FakeServer):
    """The server; see the top of this module. `groups` are the API groups that are installed, with their version."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[tuple[str, str, str, bool], str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=lambda: dict(_GROUPS))
    token: str = "t0k3n-of-the-service-account"
    page: int = 10_000  # the server's own idea of a page, where it is smaller than the client's

    strange: ClassVar[Mapping[str, str]] = {
        "no-items": '{"kind":"PodList","apiVersion":"v1"}',
        "items-text": '{"items":"none"}',
        "items-wrong": '{"items":[7,"x",{"metadata":{"name":7}}]}',
        "no-metadata": '{"items":[{"spec":{}}]}',
        "endless-pages": '{"metadata":{"continue":"again"},"items":[{"metadata":{"name":"a","namespace":"b"},"spec":{"containers":7},"status":[1]}]}',
    }

    def kubeconfig(self, folder: Path, **user: Any) -> str:
        """A kubeconfig for this server; `user` replaces the token."""
        return write_kubeconfig(folder / "kubeconfig.yaml", self.url, user or {"token": self.token})

    def fault_of(self, request: RecordedRequest) -> str:
        return self.faults.get(request.path) or self.faults.get(request.last) or self.faults.get("*", "")

    def error(self, words: str, kind: str) -> str:
        return json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": words})

    def echoed(self, request: RecordedRequest) -> str:
        return request.headers.get("authorization", "")

    def reply(self, request: RecordedRequest) -> Any:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise Refusal(401, self.error("Unauthorized", ""))
        if request.path == "/version":
            return {"major": "1", "minor": "31", "gitVersion": "v1.31.2"}
        log = re.fullmatch(r"/api/v1/namespaces/([^/]+)/pods/([^/]+)/log", request.path)
        if log:
            return self._log(log[1], log[2], request)
        asked = re.fullmatch(r"/(?:api|apis/([^/]+))/([^/]+)(?:/namespaces/([^/]+))?/([^/]+)", request.path)
        if asked is None or self.groups.get(asked[1] or "") != asked[2]:
            raise Refusal(404, "404 page not found\n")  # what the real one says about a group that it does not have
        return self._listing(asked[3] or "", asked[4], request)

    def _listing(self, namespace: str, plural: str, request: RecordedRequest) -> dict[str, Any]:
        found = [
            {name: value for name, value in item.items() if name not in ("kind", "apiVersion")}
            for item in self.objects
            if PLURALS[item["kind"]] == plural
            and namespace in ("", item["metadata"].get("namespace", ""))
            and _selected(item, request.form.get("fieldSelector", ""))
        ]
        start = int(request.form.get("continue", "0"))
        end = start + min(int(request.form.get("limit", "10000")), self.page)
        metadata = {"resourceVersion": "1"} | ({"continue": str(end)} if end < len(found) else {})
        return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": found[start:end] or None}

    def _log(self, namespace: str, pod: str, request: RecordedRequest) -> Text:
        container, previous = request.form.get("container", ""), request.form.get("previous") == "true"
        text = self.logs.get((namespace, pod, container, previous))
        if text is None:
            words = f'{"previous terminated " if previous else ""}container "{container}" in pod "{pod}" not found'
            raise Refusal(400, self.error(words, ""))
        lines = text.splitlines(keepends=True)[-int(request.form["tailLines"]) :]
        return Text("".join(lines)[: int(request.form["limitBytes"])])


def write_kubeconfig(path: Path, server: str, user: Mapping[str, Any], **cluster: Any) -> str:
    """A kubeconfig file of one context called "here"; its path."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": dict(user)}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "here",
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(path)


def _selected(item: Mapping[str, Any], selector: str) -> bool:
    for term in selector.split(",") if selector else ():
        name, equals, value = term.partition("!=") if "!=" in term else term.partition("=")
        found: Any = item
        for part in name.split("."):
            found = found.get(part, "") if isinstance(found, Mapping) else ""
        if (found == value) is (equals == "!="):
            return False
    return True


# Objects


def a_pod(
    name: str = "cart-7f9c6d5b8c-k2x9p",
    *,
    namespace: str = "shop",
    app: str = "cart",
    node: str = "worker-1",
    owner: tuple[str, str] | None = None,
    container: str = "cart",
    ready: bool = True,
    restarts: int = 0,
    state: Mapping[str, Any] | None = None,
    last: Mapping[str, Any] | None = None,
    phase: str = "Running",
    env: Sequence[Mapping[str, Any]] = (),
    **spec: Any,
) -> dict[str, Any]:
    """A pod of one container, as the API server shows it."""
    references = [{"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "uid": "u", "controller": True}] if owner else None
    status = {
        "name": container, "ready": ready, "started": ready, "restartCount": restarts, "image": "registry.example/cart:1.4.2",
        "state": state or {"running": {"startedAt": "2026-11-23T05:00:00Z"}}, "lastState": {"terminated": dict(last)} if last else {},
    }  # fmt: skip
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": {"app": app}, "creationTimestamp": "2026-11-23T05:00:00Z",
            **({"ownerReferences": references} if references else {}),
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": container, "image": "registry.example/cart:1.4.2", "env": [dict(item) for item in env]}],
            **spec,
        },
        "status": {"phase": phase, "containerStatuses": [status]},
    }  # fmt: skip


def an_object(kind: str, name: str, *, namespace: str = "shop", labels: Mapping[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """An object of any kind; without a namespace where that is empty."""
    metadata = {"name": name, "labels": dict(labels or {}), "creationTimestamp": "2026-11-23T05:00:00Z"} | (
        {"namespace": namespace} if namespace else {}
    )
    return {"kind": kind, "apiVersion": "v1", "metadata": metadata | fields.pop("metadata", {}), **fields}


def an_event(
    about: str, reason: str, message: str, *, kind: str = "Pod", warning: bool = True, count: int = 1, at: str = "2026-11-23T06:40:00Z"
) -> dict[str, Any]:
    """An Event in core/v1 shape."""
    return an_object(
        "Event",
        f"{about}.{reason.lower()}.{at}",
        involvedObject={"kind": kind, "name": about, "namespace": "shop"},
        reason=reason,
        message=message,
        type="Warning" if warning else "Normal",
        count=count,
        firstTimestamp="2026-11-23T06:30:00Z",
        lastTimestamp=at,
    )
