"""The chain of migrations makes what the schema says, and an older file comes through with its rows."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from agent_sre.kit.errors import BadSetting, StoreUnavailable
from agent_sre.store import migrate, schema
from agent_sre.store.engine import StoreSettings, open_store

NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None


def upgrade() -> None:
    with op.batch_alter_table("incident", recreate="always") as incident:
        incident.add_column(sa.Column("owner", sa.Text(), nullable=False, server_default="nobody"))
    op.create_index("incident_owner", "incident", ["owner"])
"""

INCIDENT = {
    "title": "t", "severity": "critical", "status": "triggered", "subject": "{}", "subject_key": "k", "group_key": "g",
    "triggered_at": "2026-01-01T00:00:00.000000Z", "last_alert_at": "2026-01-01T00:00:00.000000Z",
}  # fmt: skip


def scripts(folder: Path = migrate.SCRIPTS) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder))
    return config


def engine(path: Path) -> Engine:
    return sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)


def objects(path: Path) -> dict[str, str]:
    """Every table and index by name, as SQLite keeps them, without the white space."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: re.sub(r"\s+", "", sql) for name, sql in found}


def run_chain(path: Path) -> None:
    with engine(path).begin() as connection:
        config = scripts()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def settings(path: Path) -> StoreSettings:
    return StoreSettings(database_url=f"sqlite:///{path}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent-sre.db"


@pytest.fixture
def older(path: Path) -> Path:
    """A file of today's version with one incident and one line about it."""
    store = open_store(settings(path))

    def work(connection: Connection) -> None:
        connection.execute(sa.text(f"INSERT INTO incident ({', '.join(INCIDENT)}) VALUES ({', '.join(':' + name for name in INCIDENT)})"), INCIDENT)
        connection.execute(sa.text("INSERT INTO timeline (incident_id, at, kind, text) VALUES (1, '2026', 'triggered', 'it began')"))

    store.write_now(work)
    store.close()
    return path


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This program, one version later: its folder of migrations has one more. The folder's name is an ugly one."""
    folder = tmp_path / "50% migrations"
    shutil.copytree(migrate.SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0002_owner.py").write_text(NEXT)
    monkeypatch.setattr(migrate, "SCRIPTS", folder)
    monkeypatch.setattr(schema, "REVISION", "0002")
    return folder


def test_the_chain_of_migrations_makes_the_very_tables_and_indexes_of_the_schema(tmp_path: Path) -> None:
    run_chain(tmp_path / "chain.db")
    open_store(settings(tmp_path / "schema.db")).close()
    chain, made = objects(tmp_path / "chain.db"), objects(tmp_path / "schema.db")
    assert {name for name in made if name.startswith(("alert", "job"))} >= {"alert", "alert_open", "job", "job_live", "job_next", "job_ended"}
    assert chain == made


def test_alembic_finds_nothing_to_change_after_the_chain(path: Path) -> None:
    run_chain(path)
    with engine(path).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def test_the_newest_migration_is_the_revision_of_the_schema_and_revisions_count_up() -> None:
    found = ScriptDirectory.from_config(scripts())
    assert found.get_heads() == [schema.REVISION]
    revisions = [script.revision for script in found.walk_revisions("base", "heads")][::-1]
    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]
    assert all(Path(script.path).name.startswith(script.revision) for script in found.walk_revisions())


def test_a_new_migration_can_be_written_from_the_template(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    made = command.revision(scripts(folder), message="add owner", rev_id="0002")
    assert made is not None
    assert not isinstance(made, list)
    source = Path(made.path).read_text()
    compile(source, made.path, "exec")
    assert "revision = '0002'" in source
    assert "down_revision = '0001'" in source


def test_an_older_file_is_brought_up_to_date_with_its_rows_even_where_others_refer_to_them(older: Path, next_version: Path) -> None:
    store = open_store(settings(older))

    def everything(connection: Connection) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]], str | None]:
        incidents = connection.execute(sa.text("SELECT id, title, owner FROM incident")).all()
        timeline = connection.execute(sa.text("SELECT incident_id, text FROM timeline")).all()
        return [tuple(row) for row in incidents], [tuple(row) for row in timeline], schema.revision(connection)

    assert store.read_now(everything) == ([(1, "t", "nobody")], [(1, "it began")], "0002")
    with pytest.raises(sa.exc.IntegrityError):  # foreign keys are on again
        store.write_now(lambda connection: connection.execute(sa.text("DELETE FROM incident")))
    store.close()
    assert "incident_owner" in objects(older)
    open_store(settings(older)).close()


def test_a_command_that_only_reads_brings_an_older_file_up_to_date_too(older: Path, next_version: Path) -> None:
    store = open_store(settings(older), must_exist=True)
    assert store.read_now(schema.revision) == "0002"
    store.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(older: Path, next_version: Path) -> None:
    with (next_version / "versions" / "0002_owner.py").open("a") as script:
        script.write("    op.execute('INSERT INTO total VALUES (1)')\n")
    before = objects(older)
    with pytest.raises(sa.exc.OperationalError, match="2 columns but 1 values"):
        open_store(settings(older))
    assert objects(older) == before
    with closing(sqlite3.connect(older)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert connection.execute("SELECT title FROM incident").fetchall() == [("t",)]


def test_a_migration_that_leaves_an_orphan_is_refused_whole(older: Path, next_version: Path) -> None:
    with (next_version / "versions" / "0002_owner.py").open("a") as script:
        script.write("    op.execute('DELETE FROM incident')\n")
    with pytest.raises(StoreUnavailable, match="a row of timeline refers to a missing row of incident"):
        open_store(settings(older))
    with closing(sqlite3.connect(older)) as connection:
        assert connection.execute("SELECT title FROM incident").fetchall() == [("t",)]


def test_an_older_file_is_not_migrated_under_a_running_server(older: Path, next_version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "REVISION", "0001")
    server = open_store(settings(older))
    server.lock()
    monkeypatch.setattr(schema, "REVISION", "0002")
    for must_exist in (False, True):
        with pytest.raises(BadSetting, match=f"Another agent-sre already serves {older}"):
            open_store(settings(older), must_exist=must_exist)
    server.close()
    assert "incident_owner" not in objects(older)


def test_a_file_of_an_unknown_schema_is_refused(older: Path) -> None:
    with closing(sqlite3.connect(older)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
        connection.commit()
    with pytest.raises(StoreUnavailable, match=r"unknown schema \(0000\)"):
        open_store(settings(older))


def test_the_first_migration_has_no_way_back(path: Path) -> None:
    run_chain(path)
    with engine(path).begin() as connection:
        config = scripts()
        config.attributes["connection"] = connection
        with pytest.raises(NotImplementedError, match="nothing to go back to"):
            command.downgrade(config, "base")


def test_upgrading_says_nothing_on_the_screen(older: Path, next_version: Path, capfd: pytest.CaptureFixture[str]) -> None:
    open_store(settings(older)).close()
    assert capfd.readouterr() == ("", "")
