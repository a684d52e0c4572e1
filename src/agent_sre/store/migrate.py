"""Brings an older database up to date with Alembic. Loaded only where there is something to do."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from agent_sre.kit.errors import StoreUnavailable

SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, found: str) -> None:
    """Runs every migration after `found`, inside the caller's transaction: a failed one leaves the file as it was.

    Foreign keys must be off on this connection, and are checked here at the end: SQLite changes a column by making the table again.

    Raises StoreUnavailable where `found` is unknown, or where the rows do not fit the new tables.
    """
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))  # % begins a variable in there
    config.attributes["connection"] = connection
    try:
        ScriptDirectory.from_config(config).get_revision(found)
    except CommandError as error:
        raise StoreUnavailable(f"This database has an unknown schema ({found}). Set AGENT_SRE_DATABASE_URL to another file.") from error
    command.upgrade(config, "head")
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise StoreUnavailable(f"This database cannot be brought up to date: a row of {broken[0]} refers to a missing row of {broken[2]}.")
