"""What the nodes of a run made, on disk: the graph's state carries ids, the bodies are here.

Every save replaces what an earlier, killed attempt of the same node left.

Evidence is by far the largest part of an analysis, and two reports and three artifacts of a run hold the same. It is kept once, in its own rows;
an analysis over it is kept without:

    x…    (a zlib stream) the whole value: an analysis without evidence, or with evidence that no run has gathered
    Rx…   the value without its evidence and gaps, which are those of its run
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.sqlite import insert

from agent_sre.analysis.analysis import Analysis
from agent_sre.evidence.evidence import Evidence, EvidenceSet, Gap
from agent_sre.finding.finding import Diagnosis
from agent_sre.kit.values import pack, unpack
from agent_sre.store.schema import artifact, evidence

T = TypeVar("T")

_BY_REFERENCE = b"R"

MOST_REMEMBERED = 8
"""Runs whose evidence is kept in memory: those that run now, and what somebody looks at. A large one takes some 5 MB."""

_remembered: WeakKeyDictionary[Engine, OrderedDict[str, EvidenceSet]] = WeakKeyDictionary()
_remembering = Lock()


def save_artifact(connection: Connection, run_id: str, name: str, kind: type[T], value: T) -> None:
    """Keeps one value of a run under a name."""
    _save(connection, run_id, name, pack(kind, value))


def load_artifact(connection: Connection, run_id: str, name: str, kind: type[T]) -> T | None:
    """The value that was kept, None where there is none."""
    body = _load(connection, run_id, name)
    return None if body is None else unpack(kind, body)


def _save(connection: Connection, run_id: str, name: str, body: bytes) -> None:
    row = insert(artifact).values(run_id=run_id, name=name, body=body)
    connection.execute(row.on_conflict_do_update(index_elements=["run_id", "name"], set_={"body": row.excluded.body}))


def _load(connection: Connection, run_id: str, name: str) -> bytes | None:
    return connection.execute(sa.select(artifact.c.body).where(artifact.c.run_id == run_id, artifact.c.name == name)).scalar_one_or_none()


def save_evidence(connection: Connection, run_id: str, found: EvidenceSet) -> None:
    """Keeps all evidence and gaps of a run."""
    connection.execute(evidence.delete().where(evidence.c.run_id == run_id))
    items: list[Evidence | Gap] = [*found.items, *found.gaps]
    for position, item in enumerate(items):
        body = b"E" + pack(Evidence, item) if isinstance(item, Evidence) else b"G" + pack(Gap, item)
        connection.execute(evidence.insert().values(run_id=run_id, position=position, body=body))


def load_evidence(connection: Connection, run_id: str) -> EvidenceSet:
    """All evidence and gaps of a run; empty where nothing was gathered.

    Each node and each reader of a run asks for it, so that of the last runs is remembered. Rows of a run never change once they are there
    (graph.gather_node), so as many rows are the same rows.
    """
    count = _rows_of(connection, run_id)
    with _remembering:
        known = _remembered.setdefault(connection.engine, OrderedDict())
        found = known.get(run_id)
        if found is not None and len(found.items) + len(found.gaps) == count:
            known.move_to_end(run_id)
            return found
    found = _read_evidence(connection, run_id)
    with _remembering:
        known[run_id] = found
        while len(known) > MOST_REMEMBERED:
            known.popitem(last=False)
    return found


def _rows_of(connection: Connection, run_id: str) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(evidence).where(evidence.c.run_id == run_id)).scalar_one())


def _read_evidence(connection: Connection, run_id: str) -> EvidenceSet:
    bodies = connection.execute(sa.select(evidence.c.body).where(evidence.c.run_id == run_id).order_by(evidence.c.position)).scalars().all()
    return EvidenceSet(
        items=tuple(unpack(Evidence, body[1:]) for body in bodies if body[:1] == b"E"),
        gaps=tuple(unpack(Gap, body[1:]) for body in bodies if body[:1] == b"G"),
    )


def pack_analysis(connection: Connection, run_id: str, analysis: Analysis) -> bytes:
    """An analysis as a table keeps it: without its evidence where the run's rows have that."""
    count = len(analysis.evidence) + len(analysis.gaps)
    if not count or _rows_of(connection, run_id) != count:
        return pack(Analysis, analysis)
    return _BY_REFERENCE + pack(Analysis, replace(analysis, evidence=(), gaps=()))


def unpack_analysis(connection: Connection, run_id: str, body: bytes, *, with_evidence: bool = True) -> Analysis:
    """The analysis that `pack_analysis` wrote; without its evidence where a list only shows a sentence of each, as that takes longest."""
    if not body.startswith(_BY_REFERENCE):
        return unpack(Analysis, body)
    analysis = unpack(Analysis, body[len(_BY_REFERENCE) :])
    if not with_evidence:
        return analysis
    found = load_evidence(connection, run_id)
    return replace(analysis, evidence=found.items, gaps=found.gaps)


def save_analysis(connection: Connection, run_id: str, name: str, analysis: Analysis) -> None:
    """Keeps an analysis of a run under a name."""
    _save(connection, run_id, name, pack_analysis(connection, run_id, analysis))


def load_analysis(connection: Connection, run_id: str, name: str) -> Analysis | None:
    """The analysis that was kept, None where there is none."""
    body = _load(connection, run_id, name)
    return None if body is None else unpack_analysis(connection, run_id, body)


def save_diagnosis(connection: Connection, run_id: str, diagnosis: Diagnosis) -> None:
    """Keeps the diagnosis of a run; its evidence is the run's."""
    save_artifact(connection, run_id, "diagnosis", Diagnosis, replace(diagnosis, evidence=EvidenceSet()))


def load_diagnosis(connection: Connection, run_id: str) -> Diagnosis | None:
    """The diagnosis that was kept, None where there is none."""
    diagnosis = load_artifact(connection, run_id, "diagnosis", Diagnosis)
    return None if diagnosis is None else replace(diagnosis, evidence=load_evidence(connection, run_id))


def drop_artifacts(connection: Connection, run_id: str) -> None:
    """Forgets what the nodes handed to each other; the evidence stays, readers want it."""
    connection.execute(artifact.delete().where(artifact.c.run_id == run_id))
