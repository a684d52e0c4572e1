"""`agent-sre investigate`: one webhook body, no service, nothing kept; against the configured systems, or against a recorded world."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import typer

from agent_sre.alert.payload import alert_count, decode, decode_object, parse
from agent_sre.config.load import load_config
from agent_sre.kit.clock import RecordedClock, SystemClock
from agent_sre.kit.errors import BadInput
from agent_sre.store.engine import StoreSettings

if TYPE_CHECKING:
    from agent_sre.app import App
    from agent_sre.cli.terminal import Progress
    from agent_sre.config.config import Config
    from agent_sre.evidence.bundle.bundle import Bundle

_OFFLINE_DEADLINE = timedelta(seconds=30)
"""For the evidence of a bundle: nobody waits for a preliminary report, and a large one takes seconds to read."""


def run(file: Path | None, *, bundle: Path | None = None, plan: bool = False, as_json: bool) -> int:
    """Prints the analysis of every incident in the file, or what would be asked about it; 0, or 1 where there was nothing to investigate."""
    world = _load(bundle)
    body = _body(file, world)
    found = asyncio.run(_plan(body, world) if plan else _investigate(body, world, quiet=as_json))
    if as_json:
        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    elif plan:
        _show_plans(found)
    else:
        from agent_sre.cli.terminal import show_markdown

        for item in found:
            show_markdown(item["analysis"] or "", title=f"{item['severity'].upper()}  {item['title']}")
    if not found:
        typer.echo("There is no firing alert in it, so there is nothing to investigate.", err=True)
    return 0 if found else 1


def _load(path: Path | None) -> Bundle | None:
    if path is None:
        return None
    from agent_sre.evidence.bundle.bundle import load_bundle

    return load_bundle(path)


def _body(file: Path | None, world: Bundle | None) -> bytes:
    if file is None:
        if world is not None and world.alert is not None:
            return world.alert
        raise BadInput("Which alert? Name a file with a webhook body, `-` for standard input, or a --bundle that has an alert.json.")
    try:
        body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise BadInput(f"Cannot read {file}: {error.strerror}.") from error
    document = decode_object(body)
    if "alerts" not in document and "labels" in document:  # one alert alone, as `amtool alert query -o json` prints them
        return orjson.dumps({"alerts": [document]})
    return body


@contextlib.asynccontextmanager
async def ingested(
    body: bytes, world: Bundle | None, progress: Progress, *, config: Config | None = None
) -> AsyncIterator[tuple[App, Sequence[int]]]:
    """The service with the body's incidents in a database that is thrown away, and the incidents' numbers. `config` is that of the environment
    where none is given."""
    from agent_sre.app import build
    from agent_sre.evidence.bundle.source import BundleSource
    from agent_sre.incident import store as incident_store
    from agent_sre.incident.store import IncidentFilter

    config = config or load_config(os.environ)
    document = decode(body)
    with tempfile.TemporaryDirectory(prefix="agent-sre-") as folder:
        config = replace(config, store=StoreSettings(database_url=f"sqlite:///{folder}/investigate.db"))
        if world is None:
            progress.step("reading the alerts")
            application = build(config)
        else:
            progress.step("reading the bundle and the alerts")
            config = replace(config, agent=replace(config.agent, gather_deadline=_OFFLINE_DEADLINE))
            now = world.now or SystemClock().now()
            application = build(config, clock=RecordedClock(now), sources=(BundleSource(world, now),))
        try:
            message = parse(document, application.clock.now())
            await application.inbox.accept(body, sender="agent-sre investigate", alerts=alert_count(document))
            await application.ingester.ingest_waiting()
            progress.step(f"looking into {len(message.alerts)} alerts: evidence, rules, model (Ctrl-C stops)")
            ids = await application.store.read(lambda connection: incident_store.list_incident_ids(connection, IncidentFilter(limit=1000)))
            yield application, sorted(ids)
        finally:
            await application.close()


async def _investigate(body: bytes, world: Bundle | None, *, quiet: bool) -> list[dict[str, Any]]:
    from agent_sre.cli.terminal import Progress
    from agent_sre.web.incidents import incident_json, load_whole

    with Progress(quiet=quiet) as progress:
        async with ingested(body, world, progress) as (application, ids):
            await application.worker.work_off()
            wholes = [await application.store.read(partial(load_whole, incident_id=number)) for number in ids]
    return [incident_json(*whole, base_url="") for whole in wholes if whole is not None]


async def _plan(body: bytes, world: Bundle | None) -> list[dict[str, Any]]:
    """Per incident, what every source would be asked."""
    from agent_sre.cli.terminal import Progress
    from agent_sre.evidence.gather import planned
    from agent_sre.evidence.playbook import load_playbooks
    from agent_sre.evidence.playbook_derived import playbook_of
    from agent_sre.incident import store as incident_store

    with Progress(quiet=True) as progress:
        async with ingested(body, world, progress) as (application, ids):
            incidents = await application.store.read(lambda connection: incident_store.load_incidents(connection, ids))
            folder = application.config.playbooks.folder
            playbooks = load_playbooks(Path(folder) if folder else None)
            return [
                {
                    "incident": incident.key,
                    "title": incident.title,
                    "playbook": (playbook := playbook_of(incident.lead, playbooks)).name,
                    "questions": [_question(item) for item in planned(incident, application.evidence, application.clock, playbook)],
                }
                for incident in incidents
            ]


def _question(item: Any) -> dict[str, Any]:
    from agent_sre.evidence.evidence import Gap, Query
    from agent_sre.kit.values import to_plain

    query = item.query if isinstance(item, Gap) else item
    plain: dict[str, Any] = to_plain(Query, query)
    return plain | ({"gap": item.detail} if isinstance(item, Gap) else {})


def _show_plans(plans: Sequence[dict[str, Any]]) -> None:
    for plan in plans:
        typer.echo(f"{plan['incident']}  {plan['title']}  (playbook {plan['playbook']})")
        for question in plan["questions"]:
            typer.echo(f"  {question['id']}  {question['source']}/{question['kind']}: {question['purpose']}")
            for line in (question.get("gap") or question["expression"]).splitlines():
                typer.echo(f"       {question['language'] + ' ' if question['language'] else ''}{line}")
        typer.echo()
