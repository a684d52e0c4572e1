"""Evidence from one cluster: the objects around a subject, Events, and what containers logged.

Every list is a question of its own, so that a right that is missing costs one answer and not all of them. What comes back is trimmed before
anything else sees it (`trim`), ordered by what it has to do with the subject (`objects`), and cut to a size that a store can keep.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Evidence, KubernetesObject, LogPattern, Query, SourceHealth
from agent_sre.evidence.kubernetes import summaries
from agent_sre.evidence.kubernetes.client import NAME, SETTING, KubernetesClient, KubernetesSettings, Listing, in_cluster
from agent_sre.evidence.kubernetes.container_logs import LogSource, containers_to_read, is_own
from agent_sre.evidence.kubernetes.objects import by_relevance, field_of, is_troubled, labels_of, mapping_of, mappings_of, object_of, text_of
from agent_sre.evidence.kubernetes.plan import LOGS, Look, looks_of, namespace_of, subject_of_look
from agent_sre.evidence.kubernetes.resources import RESOURCES
from agent_sre.evidence.kubernetes.trim import Trimmer
from agent_sre.evidence.logs.mine import mine
from agent_sre.evidence.off import NotConfigured
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import Clock
from agent_sre.kit.errors import AgentSREError, Rejected

MAX_BYTES = 400_000
"""Of one evidence's objects, as JSON: about a hundred pods, or eight hundred events. The least relevant are left out."""

MAX_PATTERNS = 200
_MAX_PODS = 100
"""Pods whose containers are candidates for having their log read."""

_SAME_MOMENT = timedelta(seconds=2)
_FEW = 50
"""Lists up to this length are trimmed where they are, longer ones in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    objects: tuple[KubernetesObject, ...]
    total: int  # that concerned the question, cut ones included


class KubernetesSource:
    """Evidence from one cluster. Kinds of query: the plurals of RESOURCES, and logs (docs/reference/evidence.md)."""

    name = NAME

    def __init__(self, client: KubernetesClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._pods_by_key: dict[tuple[str, str], asyncio.Task[Listing]] = {}

    def plan(self, incident: Incident, now: datetime) -> tuple[Query, ...]:  # noqa: ARG002  (the present is all that an API server knows)
        """One question for each list that can matter to the incident's subject, the most telling first."""
        return tuple(look.as_query() for look in looks_of(incident))

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        """The answer: objects in the API's own shape, or log patterns.

        A kind that the cluster does not have is an answer ("not installed"). Raises AgentSREError as the client does.
        """
        look = next((look for look in looks_of(incident) if look.kind == query.kind and look.command == query.expression), None)
        if look is None:
            raise Rejected(f'"{query.expression}" is none of the questions about this incident.')
        began = self._clock.monotonic()
        subject = subject_of_look(look, incident)
        evidence = await (self._logs(query, look, subject) if look.kind == LOGS else self._objects(query, look, subject))
        return replace(evidence, collected_at=self._clock.now(), took=timedelta(seconds=self._clock.monotonic() - began))

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109  (the bound is the caller's, as in LanguageModel.check)
        """What the API server's version call says now. Never raises."""
        return await self._client.check(timeout)

    async def aclose(self) -> None:
        """Closes the connections."""
        for task in self._pods_by_key.values():
            task.cancel()
        self._pods_by_key.clear()
        await self._client.aclose()

    async def _objects(self, query: Query, look: Look, subject: Subject) -> Evidence:
        listing = await self._listing(look)
        if not listing.served:
            return self._evidence(query, subject, (), f"{look.kind}.{RESOURCES[look.kind].group} is not installed in this cluster")
        kept = await self._kept(listing.items, subject)
        truncated = listing.truncated or len(kept.objects) < kept.total
        line = summaries.summary_of(look.kind, kept.objects, kept.total, more=listing.truncated)
        return self._evidence(query, subject, kept.objects, line, truncated=truncated)

    async def _listing(self, look: Look) -> Listing:
        match look.kind:
            case "pods":
                return await self._pods(look.namespace, look.fields)
            case "endpoints":
                return await self._endpoints(look)
        return await self._list(look)

    async def _list(self, look: Look, kind: str = "") -> Listing:
        return await self._client.list(RESOURCES[kind or look.kind], namespace=look.namespace, fields=look.fields)

    async def _pods(self, namespace: str, fields: str = "") -> Listing:
        """Pods, asked for once where several questions want them at the same moment: the list itself, and both kinds of logs."""
        key = (namespace, fields)
        task = self._pods_by_key.get(key)
        if task is None:
            task = asyncio.create_task(self._client.list(RESOURCES["pods"], namespace=namespace, fields=fields))
            task.add_done_callback(_retrieve)
            self._pods_by_key[key] = task
            asyncio.get_running_loop().call_later(_SAME_MOMENT.total_seconds(), self._pods_by_key.pop, key, None)
        # Shielded: who gives up must not take the answer away from the others. The client's own time-out ends the call.
        return await asyncio.shield(task)

    async def _endpoints(self, look: Look) -> Listing:
        """EndpointSlices in the older and simpler shape of Endpoints; Endpoints themselves where the cluster has no slices."""
        slices = await self._list(look, "endpointslices")
        if not slices.served:
            return await self._list(look)
        if len(slices.items) > _FEW:
            return replace(slices, items=await asyncio.to_thread(as_endpoints, slices.items))
        return replace(slices, items=as_endpoints(slices.items))

    async def _kept(self, items: Sequence[Mapping[str, Any]], subject: Subject) -> _Kept:
        if len(items) > _FEW:
            return await asyncio.to_thread(_keep, items, subject)
        return _keep(items, subject)

    # Logs

    async def _logs(self, query: Query, look: Look, subject: Subject) -> Evidence:
        listing = await self._pods(look.namespace)
        wanted, more = await asyncio.to_thread(_logs_to_read, listing.items, look, subject)
        if not wanted:
            which = "no container of these has restarted" if look.previous else "no container of these is in trouble, or has begun"
            return self._evidence(query, subject, (), which, truncated=listing.truncated)
        ran = replace(query, expression="; ".join(_log_command(source) for source in wanted))
        texts = await self._read(wanted)
        patterns, lines = await asyncio.to_thread(self._mine, wanted, texts)
        cut = any(len(text) >= self._client.settings.log_bytes for text in texts)
        whose = ", ".join(dict.fromkeys(f"{source.pod}/{source.container}" for source in wanted))
        found = f"{len(patterns)} {'pattern' if len(patterns) == 1 else 'patterns'} in {lines} {'line' if lines == 1 else 'lines'}"
        line = f"{found} {'before the last restart ' if look.previous else ''}of {summaries.short(whose)}"
        truncated = more or cut or listing.truncated or len(patterns) > MAX_PATTERNS
        return self._evidence(ran, subject, patterns[:MAX_PATTERNS], line, truncated=truncated)

    async def _read(self, wanted: Sequence[LogSource]) -> list[str]:
        """The logs, side by side. One that cannot be read is empty; where none can, the first reason is the answer."""
        calls = [self._client.log(source.namespace, source.pod, source.container, previous=source.previous) for source in wanted]
        tasks = [asyncio.ensure_future(call) for call in calls]
        try:
            results = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for task in tasks:
                task.cancel()
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, AgentSREError) or len(errors) == len(results):
                raise error
        return [result if isinstance(result, str) else "" for result in results]

    def _mine(self, wanted: Sequence[LogSource], texts: Sequence[str]) -> tuple[tuple[LogPattern, ...], int]:
        found: list[LogPattern] = []
        count = 0
        for source, text in zip(wanted, texts, strict=True):
            lines = [line for line in text.split("\n") if line]
            count += len(lines)
            found += mine(lines, subject=source.subject, now=self._clock.now())
        return tuple(found), count

    def _evidence(
        self, query: Query, subject: Subject, data: Sequence[KubernetesObject] | Sequence[LogPattern], summary: str, *, truncated: bool = False
    ) -> Evidence:
        return Evidence(
            id=query.id,
            query=query,
            subject=subject,
            data=tuple(data),
            summary=summary,
            collected_at=self._clock.now(),
            took=timedelta(0),
            truncated=truncated,
        )


def kubernetes_source(settings: KubernetesSettings, clock: Clock) -> KubernetesSource | NotConfigured:
    """The source of these settings; where there is neither a kubeconfig nor a service account, one that says so. Loads and reads nothing yet."""
    if not settings.kubeconfig and not in_cluster():
        return NotConfigured(NAME, f"this is no pod with a service account, and {SETTING}")
    return KubernetesSource(KubernetesClient(settings), clock)


# Objects


def _keep(items: Sequence[Mapping[str, Any]], subject: Subject) -> _Kept:
    """What concerns the question, the most relevant first, within MAX_BYTES. Only what is kept is trimmed: that takes most of the time."""
    found = [item for item in _raw(items) if _concerns(item, subject)]
    kept: list[KubernetesObject] = []
    room = MAX_BYTES
    for item in _trimmed(by_relevance(found, subject)):
        room -= len(orjson.dumps(item.manifest)) + len(item.kind) + 2 * len(orjson.dumps(item.name + item.namespace)) + 100
        if room < 0:
            break
        kept.append(item)
    return _Kept(objects=tuple(kept), total=len(found))


def _logs_to_read(items: Sequence[Mapping[str, Any]], look: Look, subject: Subject) -> tuple[tuple[LogSource, ...], bool]:
    likely = [pod for pod in by_relevance(_raw(items), subject) if is_own(pod, subject) or is_troubled(pod)]
    wanted, more = containers_to_read(tuple(_trimmed(likely[:_MAX_PODS])), subject, previous=look.previous)
    return wanted, more or len(likely) > _MAX_PODS


def _raw(items: Iterable[Mapping[str, Any]]) -> tuple[KubernetesObject, ...]:
    """Objects as they came: only to look at, never to keep."""
    return tuple(found for item in items if (found := object_of(item)) is not None)


def _trimmed(objects: Iterable[KubernetesObject]) -> Iterator[KubernetesObject]:
    trimmer = Trimmer()
    for item in objects:
        found = object_of(trimmer.trim(item.manifest))
        if found is not None:
            yield found


def _retrieve(task: asyncio.Task[Listing]) -> None:
    """Takes note of a failure that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _concerns(item: KubernetesObject, subject: Subject) -> bool:
    """Whether an object of a list over the whole cluster has to do with the subject: volumes that other namespaces have claimed do not."""
    namespace = namespace_of(subject)
    return item.kind != "PersistentVolume" or not namespace or text_of(item.manifest, "spec", "claimRef", "namespace") in ("", namespace)


def as_endpoints(slices: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """EndpointSlices as one Endpoints object for each Service: ready addresses in `addresses`, the others in `notReadyAddresses`."""
    by_service: dict[tuple[str, str], dict[str, Any]] = {}
    for item in slices:
        made = object_of({**item, "kind": "EndpointSlice"})
        if made is None:
            continue
        name = labels_of(made).get("kubernetes.io/service-name") or made.name
        endpoints = by_service.setdefault(
            (made.namespace, name),
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {"name": name, "namespace": made.namespace, "creationTimestamp": text_of(item, "metadata", "creationTimestamp")},
                "subsets": [],
            },
        )
        subset = _subset(item)
        if subset:
            endpoints["subsets"].append(subset)
    return tuple(by_service.values())


def _subset(item: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for endpoint in mappings_of(item, "endpoints"):
        # "Nil should be interpreted as true": https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
        where = "notReadyAddresses" if field_of(endpoint, "conditions", "ready") is False else "addresses"
        addresses = endpoint.get("addresses")
        for address in addresses if isinstance(addresses, list) else ():
            made = {"ip": address, "nodeName": endpoint.get("nodeName"), "targetRef": dict(mapping_of(endpoint, "targetRef")) or None}
            found.setdefault(where, []).append({name: value for name, value in made.items() if value is not None})
    if found and (ports := mappings_of(item, "ports")):
        found["ports"] = [dict(port) for port in ports]
    return found


def _log_command(source: LogSource) -> str:
    parts = ["kubectl", "logs", "-n", source.namespace, source.pod, "-c", source.container, "--timestamps"]
    return shlex.join([*parts, "--previous"] if source.previous else parts)
