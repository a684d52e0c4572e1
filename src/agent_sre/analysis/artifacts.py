"""What the nodes of a run made, on disk: the graph's state carries ids, the bodies are here.

Every save replaces what an earlier, killed attempt of the same node left.
"""

from __future__ import annotations

from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert

from agent_sre.evidence.evidence import Evidence, EvidenceSet, Gap
from agent_sre.kit.values import pack, unpack
from agent_sre.store.schema import artifact, evidence

T = TypeVar("T")


def save_artifact(connection: Connection, run_id: str, name: str, kind: type[T], value: T) -> None:
    """Keeps one value of a run under a name."""
    row = insert(artifact).values(run_id=run_id, name=name, body=pack(kind, value))
    connection.execute(row.on_conflict_do_update(index_elements=["run_id", "name"], set_={"body": row.excluded.body}))


def load_artifact(connection: Connection, run_id: str, name: str, kind: type[T]) -> T | None:
    """The value that was kept, None where there is none."""
    body = connection.execute(sa.select(artifact.c.body).where(artifact.c.run_id == run_id, artifact.c.name == name)).scalar_one_or_none()
    return None if body is None else unpack(kind, body)


def save_evidence(connection: Connection, run_id: str, found: EvidenceSet) -> None:
    """Keeps all evidence and gaps of a run."""
    connection.execute(evidence.delete().where(evidence.c.run_id == run_id))
    items: list[Evidence | Gap] = [*found.items, *found.gaps]
    for position, item in enumerate(items):
        body = b"E" + pack(Evidence, item) if isinstance(item, Evidence) else b"G" + pack(Gap, item)
        connection.execute(evidence.insert().values(run_id=run_id, position=position, body=body))


def load_evidence(connection: Connection, run_id: str) -> EvidenceSet:
    """All evidence and gaps of a run; empty where nothing was gathered."""
    bodies = connection.execute(sa.select(evidence.c.body).where(evidence.c.run_id == run_id).order_by(evidence.c.position)).scalars().all()
    return EvidenceSet(
        items=tuple(unpack(Evidence, body[1:]) for body in bodies if body[:1] == b"E"),
        gaps=tuple(unpack(Gap, body[1:]) for body in bodies if body[:1] == b"G"),
    )


def drop_artifacts(connection: Connection, run_id: str) -> None:
    """Forgets what the nodes handed to each other; the evidence stays, readers want it."""
    connection.execute(artifact.delete().where(artifact.c.run_id == run_id))
