"""`agent-sre quarantine`: the bodies that could not be read."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import orjson
import typer

from agent_sre.alert import inbox
from agent_sre.cli.incidents import existing_store
from agent_sre.kit.errors import BadInput
from agent_sre.kit.times import format_instant


def show_list(*, as_json: bool) -> None:
    """What is in quarantine."""
    with existing_store() as store:
        found = store.read_now(inbox.quarantined)
    rows = [
        {
            "number": item.id,
            "received_at": format_instant(item.received_at),
            "bytes": len(item.body),
            "sender": item.sender,
            "reason": item.reason,
            "retried_at": format_instant(item.retried_at) if item.retried_at else None,
        }
        for item in found
    ]
    if as_json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    if not rows:
        typer.echo("Nothing is in quarantine.")
    for row in rows:
        retried = "  (retried)" if row["retried_at"] else ""
        typer.echo(f"{row['number']:>5}  {str(row['received_at'])[:19]}Z  {row['bytes']:>9} bytes  {row['sender']:<24}  {row['reason']}{retried}")


def show_one(number: int) -> None:
    """The body, byte for byte."""
    with existing_store() as store:
        found = store.read_now(lambda connection: inbox.find_quarantined(connection, number))
    if found is None:
        raise BadInput(f"There is no body {number} in quarantine.")
    sys.stdout.buffer.write(found.body)
    sys.stdout.buffer.flush()


def retry(number: int) -> None:
    """Puts it back into the inbox."""
    with existing_store() as store:
        inbox_id = store.write_now(lambda connection: inbox.retry_quarantined(connection, number, at=datetime.now(UTC)))
    typer.echo(f"Body {number} is in the inbox again (as {inbox_id}). A running service takes it up within seconds.")
