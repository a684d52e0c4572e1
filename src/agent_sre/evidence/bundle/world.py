"""Manifests of many texts as one set of objects: each object once, with all that any text says about it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from agent_sre.evidence.bundle import events
from agent_sre.evidence.bundle.kinds import KIND_BY_NAME
from agent_sre.evidence.bundle.kubectl import Reading
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.kit.times import parse_instant

Json = dict[str, Any]
Key = tuple[str, str, str]

_DEEP = 3
"""Levels down to which two texts about one object are laid over each other: metadata, spec and status, and the fields in them."""


def objects_of(readings: Iterable[Reading], now: datetime | None) -> dict[str, tuple[KubernetesObject, ...]]:
    """The objects of all texts by kind, each once, in the order of the first text that names them; events that came after `now` are left out.

    What says more counts more: JSON and YAML before descriptions before tables. A poorer text fills in what a richer one lacks, down to the
    fields of spec and status; lists are taken whole.
    """
    kept = list(readings)
    by_key: dict[Key, Json] = {}
    keys_by_name: dict[tuple[str, str], list[Key]] = {}
    for name in ("whole", "described", "listed"):
        for reading in kept:
            for manifest in getattr(reading, name):
                _add(by_key, keys_by_name, manifest)
    happened = events.merged(
        [event for reading in kept for event in reading.listed_events], [event for reading in kept for event in reading.described_events]
    )
    found: dict[str, list[KubernetesObject]] = {}
    for (kind, namespace, name), manifest in by_key.items():
        found.setdefault(kind, []).append(KubernetesObject(kind=kind, namespace=namespace, name=name, manifest=manifest))
    is_later = _later_than(now)
    told = [_event_object(event) for event in happened if not is_later(event.get("firstTimestamp") or event.get("lastTimestamp"))]
    if told:
        found["Event"] = told
    return {kind: tuple(items) for kind, items in found.items()}


def _add(by_key: dict[Key, Json], keys_by_name: dict[tuple[str, str], list[Key]], manifest: Json) -> None:
    metadata = manifest["metadata"]
    kind, name, namespace = str(manifest["kind"]), str(metadata["name"]), metadata.get("namespace")
    place = namespace if isinstance(namespace, str) else ""
    key = (kind, place, name)
    if not place and key not in by_key and (kind not in KIND_BY_NAME or KIND_BY_NAME[kind].namespaced):
        # A table does not say its namespace; if only one object of this name is known, it is that one.
        same = keys_by_name.get((kind, name), [])
        key = same[0] if len(same) == 1 else key
    known = by_key.get(key)
    if known is None:
        by_key[key] = manifest
        keys_by_name.setdefault((kind, name), []).append(key)
    else:
        _fill(known, manifest, 0)


def _fill(rich: Json, poor: Mapping[str, Any], depth: int) -> None:
    for name, value in poor.items():
        mine = rich.get(name)
        if name not in rich:
            rich[name] = value
        elif isinstance(mine, dict) and isinstance(value, Mapping) and depth < _DEEP:
            _fill(mine, value, depth + 1)


def _event_object(event: Json) -> KubernetesObject:
    metadata = event.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    return KubernetesObject(kind="Event", namespace=str(metadata.get("namespace") or ""), name=str(metadata.get("name") or ""), manifest=event)


def _later_than(now: datetime | None) -> Callable[[Any], bool]:
    """Whether a text is an instant after `now`. Ages are coarse, so thousands of events have a few instants: each is read once."""
    known: dict[str, bool] = {}

    def is_later(text: Any) -> bool:
        if now is None or not isinstance(text, str):
            return False
        if text not in known:
            instant = parse_instant(text)
            known[text] = instant is not None and instant > now
        return known[text]

    return is_later


def latest_instant(objects: Mapping[str, tuple[KubernetesObject, ...]]) -> datetime | None:
    """The latest instant that events and conditions name: the world was recorded then or a little later."""
    found: list[datetime] = []
    for kind, items in objects.items():
        for item in items:
            texts = [item.manifest.get("lastTimestamp"), item.manifest.get("firstTimestamp")] if kind == "Event" else _condition_times(item.manifest)
            found += [instant for text in texts if (instant := parse_instant(text)) is not None]
    return max(found, default=None)


def _condition_times(manifest: Mapping[str, Any]) -> list[Any]:
    status = manifest.get("status")
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    fields = ("lastHeartbeatTime", "lastTransitionTime")
    return [item.get(field) for item in conditions if isinstance(item, Mapping) for field in fields] if isinstance(conditions, list) else []
