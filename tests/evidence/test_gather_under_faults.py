"""Gathering from everything at once, with one of the servers broken: its gap is named, and the others' evidence is whole.

How long that takes on a quiet machine is `make bench`'s to say. Here the deadline follows the machine, and what is tested of it is that nothing
outlives it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from agent_sre.evidence.evidence import Evidence, EvidenceSet, EvidenceSource, Gap
from agent_sre.evidence.gather import gather, planned
from agent_sre.kit.clock import SystemClock
from evidence.shop import Shop
from evidence.surroundings import NETWORK, a_shop, incident_of, servers_of, surroundings
from programs import RunningProgram, real_prometheus

pytestmark = [pytest.mark.real, pytest.mark.slow]

PATIENT = timedelta(seconds=20)
"""Where every server answers or refuses, and the deadline is never reached."""

SILENT = ("hang", "slow")
WAYS = {
    "refuses": dict.fromkeys(NETWORK, "refuse"),
    "is silent": {"prometheus": "slow", "kubernetes": "hang", "loki": "slow", "alertmanager": "hang"},
    "lies": {"prometheus": "lie", "kubernetes": "garbage", "loki": "garbage", "alertmanager": "lie"},
}
"""Half of them: each costs a gathering, and silence a deadline. The conformance suite has every fault of every source, one source at a time."""

REASONS = {
    "refuse": {"unavailable", "circuit_open"},
    "hang": {"timeout", "late", "circuit_open"},
    "slow": {"timeout", "late", "circuit_open"},
    "lie": {"garbage"},
    "garbage": {"garbage"},
}


@pytest.fixture(scope="module")
def shop() -> Shop:
    return a_shop()


@pytest.fixture(scope="module")
def prometheus(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProgram]:
    with real_prometheus(tmp_path_factory.mktemp("prometheus"), metrics=shop.open_metrics()) as running:
        yield running


@pytest.mark.parametrize("way", WAYS)
async def test_one_broken_server_costs_its_own_answers_and_no_others(way: str, shop: Shop, prometheus: RunningProgram, tmp_path: Path) -> None:
    now = asyncio.get_running_loop().time
    async with servers_of(shop) as urls, surroundings(prometheus.url, urls, tmp_path, patience=PATIENT) as around:
        await gather(incident_of(shop), around.sources, clock=SystemClock(), deadline=PATIENT)  # loads what is loaded at the first call
        began = now()
        well = await gather(incident_of(shop), around.sources, clock=SystemClock(), deadline=PATIENT)
        # Several times what this machine needs at this moment, and no more than that: four servers in turn use it up.
        enough = timedelta(seconds=1.2 + 2 * (now() - began))
        assert well.gaps == ()
        assert {item.query.source for item in well.items if item.data} == {"alert", *NETWORK}
        for broken, fault in WAYS[way].items():
            async with around.broken(broken, fault) as sources:
                await check(broken, fault, shop, sources, enough if fault in SILENT else PATIENT)


async def check(broken: str, fault: str, shop: Shop, sources: Sequence[EvidenceSource], deadline: timedelta) -> None:
    arrived: list[tuple[float, Evidence | Gap]] = []
    now = asyncio.get_running_loop().time
    began = now()
    found = await gather(
        incident_of(shop), sources, clock=SystemClock(), deadline=deadline, on_result=lambda result: arrived.append((now() - began, result))
    )
    assert [gap for gap in found.gaps if gap.query.source != broken] == []
    assert len(found.items) + len(found.gaps) == len(planned(incident_of(shop), sources, SystemClock()))
    check_gaps(broken, fault, found)
    given_up = [at for at, result in arrived if isinstance(result, Gap) and result.reason == "timeout"]
    assert bool(given_up) == (fault in SILENT)
    # Given up at the deadline: the clients by themselves wait five seconds and more, call after call.
    assert all(at < deadline.total_seconds() + 3 for at in given_up), (broken, given_up)


def check_gaps(broken: str, fault: str, found: EvidenceSet) -> None:
    """Every question to the broken server is open, with a reason and a sentence that names who did not answer."""
    assert found.gaps, broken
    for gap in found.gaps:
        assert gap.reason in REASONS[fault], gap
        assert broken in gap.detail.lower(), gap
    assert [item for item in found.items if item.query.source == broken and item.data] == []
