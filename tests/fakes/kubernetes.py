"""A Kubernetes API server over a real socket: lists in pages, field selectors, logs, its errors and its ways to fail.

    async with FakeKubernetes(objects=[a_pod("cart-0")]) as cluster:
        cluster.logs["shop", "cart-0", "cart", False] = "2026-11-23T06:40:11.123456789Z panic\\n"
        cluster.faults["pods"] = "403"                     this plural, or "*", or a path, fails like this
        client = KubernetesClient(KubernetesSettings(kubeconfig=cluster.kubeconfig(tmp_path)))
        …
        cluster.requests[0].path                           what was really asked

Unlike kmock it cuts lists into pages, honours field selectors, leaves kind and apiVersion out of a list's items as the real server does, and
can break in every way that a network can. Faults: see FAULTS.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

FAULTS = (
    "hang", "reset", "empty", "400", "401", "403", "404", "404-html", "409", "410", "429", "500", "503", "504", "truncated", "truncated-json",
    "garbage", "html", "binary-gzip", "slow", "redirect", "huge", "null", "list", "no-items", "items-text", "items-wrong", "no-metadata", "deep",
    "endless-pages",
)  # fmt: skip
"""Every way in which this server can fail; `refuse` and a wrong certificate need no fault."""

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


@dataclass(frozen=True)
class RecordedRequest:
    """What came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]

    @property
    def plural(self) -> str:
        """The kind that is listed; "log" for logs."""
        return self.path.rpartition("/")[2]


@dataclass
class FakeKubernetes:
    """See the module. `groups` are the API groups that are installed, with their version."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[tuple[str, str, str, bool], str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=lambda: dict(_GROUPS))
    requests: list[RecordedRequest] = field(default_factory=list)
    token: str = "t0k3n-of-the-service-account"
    tls: ssl.SSLContext | None = None
    connections: int = 0
    page: int = 10_000  # the server's own idea of a page, where it is smaller than the client's

    def __post_init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    def kubeconfig(self, folder: Path, **user: Any) -> str:
        """A kubeconfig for this server; `user` replaces the token."""
        return write_kubeconfig(folder / "kubeconfig.yaml", self.url, user or {"token": self.token})

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 20, ssl=self.tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._closing.set()
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._one(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        parts = urlsplit(target)
        request = RecordedRequest(method, unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True)), headers)
        self.requests.append(request)
        fault = self.faults.get(request.path) or self.faults.get(request.plural) or self.faults.get("*", "")
        if fault:
            return await self._fail(fault, request, writer)
        if headers.get("authorization") != f"Bearer {self.token}":
            await _send(writer, 401, _status(401, "Unauthorized"))
            return True
        await self._answer(request, writer)
        return True

    async def _answer(self, request: RecordedRequest, writer: asyncio.StreamWriter) -> None:
        if request.path == "/version":
            await _send(writer, 200, json.dumps({"major": "1", "minor": "31", "gitVersion": "v1.31.2"}))
            return
        log = re.fullmatch(r"/api/v1/namespaces/([^/]+)/pods/([^/]+)/log", request.path)
        if log:
            await self._log(log[1], log[2], request, writer)
            return
        asked = re.fullmatch(r"/(?:api|apis/([^/]+))/([^/]+)(?:/namespaces/([^/]+))?/([^/]+)", request.path)
        if asked is None or self.groups.get(asked[1] or "") != asked[2]:
            await _send(writer, 404, "404 page not found\n")  # what the real one says about a group that it does not have
            return
        await _send(writer, 200, json.dumps(self._listing(asked[3] or "", asked[4], request)))

    def _listing(self, namespace: str, plural: str, request: RecordedRequest) -> dict[str, Any]:
        found = [
            {name: value for name, value in item.items() if name not in ("kind", "apiVersion")}
            for item in self.objects
            if PLURALS[item["kind"]] == plural
            and namespace in ("", item["metadata"].get("namespace", ""))
            and _selected(item, request.query.get("fieldSelector", ""))
        ]
        start = int(request.query.get("continue", "0"))
        end = start + min(int(request.query.get("limit", "10000")), self.page)
        metadata = {"resourceVersion": "1"} | ({"continue": str(end)} if end < len(found) else {})
        return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": found[start:end] or None}

    async def _log(self, namespace: str, pod: str, request: RecordedRequest, writer: asyncio.StreamWriter) -> None:
        container, previous = request.query.get("container", ""), request.query.get("previous") == "true"
        text = self.logs.get((namespace, pod, container, previous))
        if text is None:
            words = f'{"previous terminated " if previous else ""}container "{container}" in pod "{pod}" not found'
            await _send(writer, 400, _status(400, words))
            return
        lines = text.splitlines(keepends=True)[-int(request.query["tailLines"]) :]
        await _send(writer, 200, "".join(lines)[: int(request.query["limitBytes"])], kind="text/plain")

    async def _fail(self, fault: str, request: RecordedRequest, writer: asyncio.StreamWriter) -> bool:
        words = f"bad luck with {request.headers.get('authorization', '')}"  # as careless proxies do
        if fault == "hang":
            await self._closing.wait()
        elif fault == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        elif fault == "empty":
            await _send(writer, 200, "")
        elif fault.isdigit():
            await _send(writer, int(fault), _status(int(fault), words), headers="Retry-After: 7\r\n" if fault == "429" else "")
        elif fault == "404-html":
            await _send(writer, 404, f"<html><h1>404 {words}</h1></html>")
        elif fault == "truncated":
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"kind":"PodList","items":[{"metad')
            await writer.drain()
        elif fault == "truncated-json":
            await _send(writer, 200, '{"kind":"PodList","items":[{"metad')
        elif fault == "binary-gzip":
            await _send(writer, 200, "this is not gzip", headers="Content-Encoding: gzip\r\n")
        elif fault == "slow":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
            while not self._closing.is_set():
                writer.write(b" ")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), 0.02)
        elif fault == "redirect":
            await _send(writer, 302, "", headers="Location: http://169.254.169.254/latest/meta-data/\r\n")
        elif fault == "huge":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not self._closing.is_set():
                writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                await writer.drain()
        else:
            await _send(writer, 200, _STRANGE[fault])
        return fault not in ("hang", "reset", "truncated", "slow", "huge")


_STRANGE = {
    "garbage": "\x00\x01 not json {",
    "html": "<html><body>Please sign in</body></html>",
    "null": "null",
    "list": "[1, 2, 3]",
    "no-items": '{"kind":"PodList","apiVersion":"v1"}',
    "items-text": '{"items":"none"}',
    "items-wrong": '{"items":[7,"x",{"metadata":{"name":7}}]}',
    "no-metadata": '{"items":[{"spec":{}}]}',
    "deep": "[" * 5000,
    "endless-pages": '{"metadata":{"continue":"again"},"items":[{"metadata":{"name":"a","namespace":"b"},"spec":{"containers":7},"status":[1]}]}',
}


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


def _status(code: int, message: str) -> str:
    return json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code})


async def _send(writer: asyncio.StreamWriter, status: int, body: str, *, headers: str = "", kind: str = "") -> None:
    content = body.encode()
    kind = kind or ("application/json" if re.match(r"\s*[\[{]", body) else "text/html")
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
    writer.write(head.encode() + content)
    await writer.drain()


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
