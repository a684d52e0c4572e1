"""`kubectl get events`, and the `Events:` below a description, as Event manifests in core/v1 shape. Pure.

    LAST SEEN   TYPE      REASON    OBJECT          MESSAGE                 get events, with or without its header, also -o wide and -A
      Type     Reason     Age                From     Message               describe
      FirstSeen  LastSeen  Count  From  SubObjectPath  Type  Reason  Message    describe, before Kubernetes 1.9

The text names no event, so an Event has no name. Ages become instants where the time of the capture is known, and are left out elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from agent_sre.evidence.bundle.kinds import kind_name
from agent_sre.evidence.bundle.layout import NONE, Lines, number_of, table_of
from agent_sre.evidence.bundle.tidy import tidy
from agent_sre.evidence.bundle.times import Times

Json = dict[str, Any]

MAX_EVENTS = 20_000

_AGE = re.compile(r"(\S+)(?: \(x(\d+) over (\S+)\))?$")
_HEADLESS = re.compile(r"\S+(?: \(x\d+ over \S+\))? +(?:Normal|Warning) +\S+ +[a-z][\w.]*/\S+ +\S")
_HEADLESS_COLUMNS = ("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE")
_USUAL = frozenset({"NAMESPACE", *_HEADLESS_COLUMNS})


def is_event_row(line: str) -> bool:
    """Whether this is a line of `kubectl get events` below its header: what `tail` leaves of it."""
    return _HEADLESS.match(line) is not None


def from_table(lines: Lines, namespace: str, times: Times) -> list[Json]:
    """The events of a table, in its order; `namespace` is the one that was asked for, where the table does not say."""
    rows: Iterable[Mapping[str, str]]
    if lines and is_event_row(lines[0]):
        cut = (re.split(r" {2,}", line.strip(), maxsplit=4) for line in lines if line.strip())
        rows = (dict(zip(_HEADLESS_COLUMNS, [*cells, *[""] * (5 - len(cells))], strict=True)) for cells in cut)
        wide = False
    else:
        table = table_of(lines)
        rows = table.rows if table else ()
        wide = table is not None and not _USUAL.issuperset(table.columns)
    return [event for row in list(rows)[:MAX_EVENTS] if (event := _event(row, namespace, times, wide=wide))]


def _event(row: Mapping[str, str], namespace: str, times: Times, *, wide: bool) -> Json:
    word, slash, name = row.get("OBJECT", "").partition("/")
    if not slash or not name or not row.get("REASON"):
        return {}
    place = row.get("NAMESPACE", namespace)
    event = _made(kind_name(word), name, place, row.get("TYPE", ""), row["REASON"], row.get("MESSAGE", ""))
    _put_times(event, row.get("LAST SEEN", ""), times)
    return _with_rest(event, row, times) if wide else event


def _with_rest(event: Json, row: Mapping[str, str], times: Times) -> Json:
    """What only `-o wide` shows, and tables that people made."""
    if (count := number_of(row.get("COUNT", ""))) is not None:
        event["count"] = count
    if first := times.ago(row.get("FIRST SEEN", "")):
        event["firstTimestamp"] = first
    if row.get("SUBOBJECT", "") not in NONE:
        event["involvedObject"]["fieldPath"] = tidy(row["SUBOBJECT"])
    if row.get("SOURCE", "") not in NONE:
        event["source"] = _source(row["SOURCE"])
    if row.get("NAME", "") not in NONE:
        event["metadata"]["name"] = tidy(row["NAME"], 253)
    return event


def from_description(lines: Lines, kind: str, name: str, namespace: str, times: Times) -> list[Json]:
    """The events below a description, about the object that it describes."""
    table = table_of([line for line in lines if line.strip()])
    found = []
    for row in table.rows if table else ():
        if not row.get("Reason"):
            continue
        event = _made(kind, name, namespace, row.get("Type", ""), row["Reason"], row.get("Message", ""))
        _put_times(event, row.get("Age") or row.get("LastSeen", ""), times)
        if first := times.ago(row.get("FirstSeen", "")):
            event["firstTimestamp"] = first
        if (count := number_of(row.get("Count", ""))) is not None:
            event["count"] = count
        if row.get("From"):
            event["source"] = _source(row["From"])
        if row.get("SubObjectPath"):
            event["involvedObject"]["fieldPath"] = tidy(row["SubObjectPath"])
        found.append(event)
    return found


def _made(kind: str, name: str, namespace: str, level: str, reason: str, message: str) -> Json:
    place = {"namespace": tidy(namespace, 63)} if namespace else {}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {**place},
        "involvedObject": {"kind": kind, "name": tidy(name, 253), **place},
        "type": tidy(level, 20),
        "reason": tidy(reason, 120),
        "message": tidy(message),
    }


def _source(text: str) -> Json:
    component, _, host = text.partition(",")
    return {"component": tidy(component.strip(), 120), **({"host": tidy(host.strip(), 253)} if host.strip() else {})}


def _put_times(event: Json, age: str, times: Times) -> None:
    """`6m11s (x2 over 7m)`: last seen 6m11s ago, twice, first 7 minutes ago."""
    match = _AGE.match(age)
    if match is None:
        return
    if last := times.ago(match[1]):
        event["lastTimestamp"] = last
    if match[2]:
        event["count"] = int(match[2]) if len(match[2]) < 12 else None
        if first := times.ago(match[3]):
            event["firstTimestamp"] = first
    elif last:
        event["firstTimestamp"] = last
        event["count"] = 1


def merged(listed: list[Json], described: list[Json]) -> list[Json]:
    """All events once: every listed one, and of the described ones those that the lists lack. Where both tell of the same event, the
    description's count and first sight are taken over, because lists do not show them."""
    by_key: dict[tuple[str, ...], Json] = {}
    for event in listed:
        by_key.setdefault(_key(event), event)
    found = list(listed)
    for event in described:
        known = by_key.get(_key(event))
        if known is None:
            by_key[_key(event)] = event
            found.append(event)
        elif (event.get("count") or 1) > (known.get("count") or 1):
            known |= {field: event[field] for field in ("count", "firstTimestamp", "source") if event.get(field)}
    return found


def _key(event: Json) -> tuple[str, ...]:
    about = event.get("involvedObject")
    about = about if isinstance(about, Mapping) else {}
    return str(about.get("kind")), str(about.get("namespace")), str(about.get("name")), str(event.get("reason")), str(event.get("message"))
