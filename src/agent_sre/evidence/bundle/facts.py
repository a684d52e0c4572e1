"""The smaller files of a recording: changes, a call graph, systemd units, what another detector reported. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from agent_sre.alert.subject import Subject
from agent_sre.evidence.bundle.times import Times, api_time
from agent_sre.evidence.evidence import Change, Dependency, Fact
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line
from agent_sre.kit.times import parse_instant

MAX_ITEMS = 2_000
_MAX_DIFF = 40

_KINDS = frozenset({"rollout", "image", "config", "scale", "node", "gitops"})
_ACTIVE = re.compile(r"^\s*Active: (\S+)(?: \(([^)]*)\))?(?: since (?:\w{3} )?([^;]+))?(?:; (.+?) ago)?", re.MULTILINE)
_RESULT = re.compile(r"\(Result: ([\w-]+)\)")
_LOADED = re.compile(r"^\s*Loaded: (\S+) \(([^;)]*)(?:; ([^;)]*))?", re.MULTILINE)
_LONG_AGE = re.compile(r"(\d{1,6}) ?(year|month|week|day|h|min|s)\w*")
_SPANS = {
    "year": timedelta(days=365), "month": timedelta(days=30), "week": timedelta(weeks=1), "day": timedelta(days=1), "h": timedelta(hours=1),
    "min": timedelta(minutes=1), "s": timedelta(seconds=1),
}  # fmt: skip


def changes_of(document: Any, now: datetime | None) -> list[Change]:
    """Changes that had begun by `now`, oldest first; those without a time come first, in their order."""
    items = document.get("changes") if isinstance(document, Mapping) else document
    found = [change for item in items[:MAX_ITEMS] if isinstance(item, Mapping) and (change := _change(item))] if isinstance(items, list) else []
    found = [change for change in found if change.at is None or now is None or change.at <= now]
    return sorted(found, key=lambda change: (change.at is not None, change.at.timestamp() if change.at else 0))


def _change(item: Mapping[str, Any]) -> Change | None:
    at = next((instant for name in ("time", "at", "when", "timestamp") if (instant := parse_instant(item.get(name)))), None)
    name = next((str(item[key]) for key in ("service", "workload", "name", "object", "subject") if isinstance(item.get(key), str)), "")
    kind = str(item.get("kind") or "")
    text = next((str(item[key]) for key in ("text", "what", "summary", "description") if isinstance(item.get(key), str)), "")
    if not name and not text:
        return None
    gone, came = _names(item.get("removed_pods")), _names(item.get("new_pods"))
    given = item.get("diff")
    lines = [str(line) for line in given] if isinstance(given, list) else given.split("\n") if isinstance(given, str) else []
    diff = [*(f"- {pod}" for pod in gone), *(f"+ {pod}" for pod in came), *(line for line in lines if line[:2] in ("- ", "+ "))]
    if not text:
        pods = f": {len(came)} new {'pod' if len(came) == 1 else 'pods'}, {len(gone)} removed" if came or gone else ""
        text = f"{kind or 'change'} of {name}{pods}"
    return Change(
        at=at,
        kind=kind if kind in _KINDS else "config" if "config" in kind else "rollout",
        subject=Subject(kind="Service", name=one_line(name, 253), namespace=one_line(str(item.get("namespace") or ""), 63)),
        text=redact(one_line(text)),
        who=one_line(str(item.get("who") or item.get("author") or ""), 120),
        diff=tuple(redact(one_line(line)) for line in diff[:_MAX_DIFF]),
    )


def _names(value: Any) -> list[str]:
    return [str(name) for name in value if isinstance(name, str)] if isinstance(value, list) else []


def dependencies_of(document: Any) -> list[Dependency]:
    """The edges of a call graph: pairs, or objects with source and destination, in a list or under `edges`."""
    items = document.get("edges") if isinstance(document, Mapping) else document
    found: dict[tuple[str, str], None] = {}
    for item in items[: MAX_ITEMS * 10] if isinstance(items, list) else ():
        match item:
            case [str() as source, str() as destination]:
                found[source, destination] = None
            case {"source": str() as source, "destination": str() as destination} | {"source": str() as source, "target": str() as destination}:
                found[source, destination] = None
    return [Dependency(source=one_line(source, 253), destination=one_line(other, 253), via="service_graph") for source, other in found]


def units_of(document: Any, times: Times) -> list[Fact]:
    """One Fact per systemd unit and node, those that do not run first: `{"worker-1/kubelet": what systemctl status printed}`."""
    facts = [_unit(str(name), text, times) for name, text in document.items() if isinstance(text, str)] if isinstance(document, Mapping) else []
    facts.sort(key=lambda fact: (fact.values["active"] == "active", str(fact.values["node"]), str(fact.values["unit"])))
    return facts[:MAX_ITEMS]


def _unit(name: str, text: str, times: Times) -> Fact:
    node, _, unit = name.rpartition("/")
    active = _ACTIVE.search(text)
    loaded = _LOADED.search(text)
    state = active[1] if active else "unknown"
    sub = (active[2] or "").strip() if active else ""
    result = _RESULT.search(text)
    said = f"{state} ({sub})" if sub else state
    values: dict[str, str | int | float | bool | None] = {
        "node": one_line(node, 253), "unit": one_line(unit, 120), "active": one_line(state, 40), "sub": one_line(sub, 80),
        "result": result[1] if result else "", "enabled": one_line(loaded[3] or "", 40) if loaded else "", "since": _since(active, times),
    }  # fmt: skip
    since = f" since {values['since']}" if values["since"] else ""
    return Fact(name="unit", text=one_line(f"{unit} on {node}: {said}{since}"), values=values)


def _since(active: re.Match[str] | None, times: Times) -> str | None:
    """`1 day 5h ago` is good to the hour; systemd's absolute time names its zone by letters that mean several."""
    if active is None or not active[4] or times.captured_at is None:
        return None
    spans = [_SPANS[unit] * int(count) for count, unit in _LONG_AGE.findall(active[4])]
    try:
        return api_time(times.captured_at - sum(spans, timedelta(0))) if spans else None
    except OverflowError:
        return None


def anomalies_of(document: Any) -> list[Fact]:
    """What another program reported about the same time, each as one Fact: words to weigh, not measurements of ours."""
    items = document.get("alerts") if isinstance(document, Mapping) else document
    return [fact for item in items[:MAX_ITEMS] if isinstance(item, Mapping) and (fact := _anomaly(item))] if isinstance(items, list) else []


def _anomaly(item: Mapping[str, Any]) -> Fact | None:
    values = {one_line(str(name), 60): redact(one_line(", ".join(_words(value)), 500)) for name, value in list(item.items())[:20]}
    values = {name: value for name, value in values.items() if value}
    if not values:
        return None
    title = " ".join(values[name] for name in ("type", "entity_type", "name", "entity_name") if name in values)
    rest = "; ".join(f"{name}: {value}" for name, value in values.items() if name not in ("type", "entity_type", "name", "entity_name"))
    return Fact(name="anomaly", text=one_line(f"{title}: {rest}" if title else rest, 600), values=dict(values))


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value[:20]:
            yield from _words(item)
    elif isinstance(value, Mapping):
        yield ", ".join(f"{name}={inner}" for name, inner in list(value.items())[:20])
    elif value is not None:
        yield str(value)
