"""What is old is forgotten, what is open never."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from agent_sre.app import build
from agent_sre.kit.clock import FakeClock, SystemClock
from agent_sre.store.schema import metadata
from service import config_of, firing, message, running_service


async def test_resolved_incidents_leave_no_row_behind_and_open_ones_stay(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    async with running_service(config) as service:
        for name in ("Gone", "Stays"):
            await service.post(message(firing(name, service=name.lower())))
        await service.post(message({**firing("Gone", service="gone"), "status": "resolved"}))
        await service.settled()
    later = FakeClock(SystemClock().now() + config.investigation.keep_incidents + timedelta(days=1))
    application = build(config, clock=later)
    try:
        await application.sweep.prune()
        counts = application.store.read_now(
            lambda connection: {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in metadata.sorted_tables
            }
        )
    finally:
        await application.close()
    assert (counts["incident"], counts["alert"], counts["investigation"]) == (1, 1, 1)
    assert counts["report"] == 2
    assert counts["inbox"] == 0
    assert counts["job"] == 0


async def test_an_ingested_body_is_kept_as_long_as_the_setting_says(tmp_path: Path) -> None:
    config = config_of(tmp_path, AGENT_SRE_KEEP_BODIES="2h")
    async with running_service(config) as service:
        await service.post(message(firing("Kept", service="kept")))
    for age, left in ((timedelta(hours=1), 1), (timedelta(hours=3), 0)):
        application = build(replace(config), clock=FakeClock(SystemClock().now() + age))
        try:
            await application.sweep.prune()
            found = application.store.read_now(lambda connection: connection.execute(sa.text("SELECT count(*) FROM inbox")).scalar_one())
        finally:
            await application.close()
        assert found == left
