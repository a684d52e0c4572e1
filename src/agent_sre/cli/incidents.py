"""`agent-sre incidents`: reads the database beside a running service."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import orjson
import typer

from agent_sre.config.load import load_config
from agent_sre.kit.durations import ago
from agent_sre.kit.errors import BadInput
from agent_sre.kit.text import one_line
from agent_sre.store.engine import Store, open_store


@contextmanager
def existing_store() -> Iterator[Store]:
    """The configured database, which must be there."""
    store = open_store(load_config(os.environ).store, must_exist=True)
    try:
        yield store
    finally:
        store.close()


def show_list(*, status: str, severity: str, limit: int, as_json: bool) -> None:
    """A table of incidents."""
    from agent_sre.delivery.report import latest_report
    from agent_sre.incident import store as incident_store
    from agent_sre.incident.store import IncidentFilter
    from agent_sre.web.incidents import summary_json

    wanted = IncidentFilter(status=status, severity=severity, limit=limit)
    with existing_store() as store:
        rows = store.read_now(
            lambda connection: [
                summary_json(item, latest_report(connection, item.id, with_evidence=False), base_url="")
                for item in incident_store.load_incidents(connection, incident_store.list_incident_ids(connection, wanted))
            ]
        )
    if as_json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    if not rows:
        typer.echo("No incidents.")
        return
    now = datetime.now(UTC)
    for row in rows:
        started = ago(datetime.fromisoformat(row["triggered_at"]), now)
        typer.echo(f"{row['incident_id']:<9} {row['severity']:<8} {row['status']:<12} {started:<16} {one_line(row['title'], 100)}")
        if row["root_cause"]:
            typer.echo(f"{'':<9} {one_line(row['root_cause'], 140)}")


def show_one(text: str, *, as_json: bool) -> None:
    """One incident with its report and its timeline."""
    from agent_sre.cli.terminal import show_markdown
    from agent_sre.web.incidents import incident_json, incident_number, load_whole

    number = incident_number(text)
    with existing_store() as store:
        whole = None if number is None else store.read_now(lambda connection: load_whole(connection, number))
    if whole is None:
        raise BadInput(f"There is no incident {text}. `agent-sre incidents list` shows what there is.")
    incident, timeline, report, _ = whole
    if as_json:
        typer.echo(orjson.dumps(incident_json(*whole, base_url=""), option=orjson.OPT_INDENT_2))
        return
    show_markdown(report.analysis.markdown if report else "No report yet.", title=f"{incident.key}  {incident.status.value}  {incident.title}")
    typer.echo("\nTimeline")
    for entry in timeline:
        typer.echo(f"  {entry.at:%Y-%m-%d %H:%M:%S}Z  {one_line(entry.text, 160)}")


def export(output: Path | None) -> None:
    """All incidents as JSON lines."""
    from agent_sre.incident import store as incident_store
    from agent_sre.incident.store import IncidentFilter
    from agent_sre.web.incidents import incident_json, load_whole

    with existing_store() as store, open(output, "wb") if output else os.fdopen(os.dup(sys.stdout.fileno()), "wb") as target:
        everything = IncidentFilter(limit=2**31)
        for number in sorted(store.read_now(lambda connection: incident_store.list_incident_ids(connection, everything))):
            whole = store.read_now(partial(load_whole, incident_id=number))
            if whole is not None:
                target.write(orjson.dumps(incident_json(*whole, base_url=""), option=orjson.OPT_APPEND_NEWLINE))
