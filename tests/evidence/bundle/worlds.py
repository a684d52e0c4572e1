"""The recorded worlds of these tests, all of our own making: one shop, whose cart has too little memory."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from agent_sre.evidence.bundle.bundle import Bundle, load_bundle

WORLDS = Path(__file__).parents[1] / "worlds"
CAPTURED_AT = datetime(2026, 11, 23, 6, 45, tzinfo=UTC)
SECRET = "hunter2"


def world(name: str) -> Bundle:
    """`case`: the layout of a benchmark. `support`: files called anything. `dump`: of `kubectl cluster-info dump`."""
    return load_bundle(WORLDS / name)


def text(name: str) -> str:
    """A file of the support world."""
    return (WORLDS / "support" / name).read_text()
