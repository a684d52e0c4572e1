"""`agent-sre investigate`: one webhook body, no service, nothing kept."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import typer

from agent_sre.alert.payload import alert_count, decode, decode_object, parse
from agent_sre.config.load import load_config
from agent_sre.kit.errors import BadInput
from agent_sre.store.engine import StoreSettings


def run(file: Path, *, as_json: bool) -> int:
    """Prints the analysis of every incident in the file; 0, or 1 where there was nothing to investigate."""
    body = _body(file)
    found = asyncio.run(_investigate(body, quiet=as_json))
    if as_json:
        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    else:
        from agent_sre.cli.terminal import show_markdown

        for item in found:
            show_markdown(item["analysis"] or "", title=f"{item['severity'].upper()}  {item['title']}")
    if not found:
        typer.echo("There is no firing alert in it, so there is nothing to investigate.", err=True)
    return 0 if found else 1


def _body(file: Path) -> bytes:
    try:
        body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise BadInput(f"Cannot read {file}: {error.strerror}.") from error
    document = decode_object(body)
    if "alerts" not in document and "labels" in document:  # one alert alone, as `amtool alert query -o json` prints them
        return orjson.dumps({"alerts": [document]})
    return body


async def _investigate(body: bytes, *, quiet: bool) -> list[dict[str, Any]]:
    from agent_sre.app import build
    from agent_sre.cli.terminal import Progress
    from agent_sre.incident import store as incident_store
    from agent_sre.incident.store import IncidentFilter
    from agent_sre.web.incidents import incident_json, load_whole

    config = load_config(os.environ)
    document = decode(body)
    with tempfile.TemporaryDirectory(prefix="agent-sre-") as folder, Progress(quiet=quiet) as progress:
        progress.step("reading the alerts")
        config = replace(config, store=StoreSettings(database_url=f"sqlite:///{folder}/investigate.db"))
        application = build(config)
        try:
            message = parse(document, application.clock.now())
            await application.inbox.accept(body, sender="agent-sre investigate", alerts=alert_count(document))
            await application.ingester.ingest_waiting()
            progress.step(f"looking into {len(message.alerts)} alerts: evidence, rules, model (Ctrl-C stops)")
            await application.worker.work_off()
            ids = await application.store.read(lambda connection: incident_store.list_incident_ids(connection, IncidentFilter(limit=1000)))
            wholes = [await application.store.read(partial(load_whole, incident_id=number)) for number in sorted(ids)]
        finally:
            await application.close()
    return [incident_json(*whole, base_url="") for whole in wholes if whole is not None]
