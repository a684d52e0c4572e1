"""Which files are opened, made, or left alone, and what is said about the others."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent_sre.kit.errors import BadSetting, StoreUnavailable
from agent_sre.store import schema
from agent_sre.store.engine import Store, StoreSettings, open_store, sqlite_path


def settings(path: Path) -> StoreSettings:
    return StoreSettings(database_url=f"sqlite:///{path}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent-sre.db"


def make_foreign(path: Path, *statements: str) -> bytes:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path.read_bytes()


def in_a_new_process(code: str, *arguments: str) -> str:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///agent-sre.db", Path.cwd() / "agent-sre.db"),
        ("sqlite:///data/agent-sre.db", Path.cwd() / "data/agent-sre.db"),
        ("sqlite:////var/lib/agent-sre.db", Path("/var/lib/agent-sre.db")),
        ("sqlite:////var/lib/50% of us#1.db", Path("/var/lib/50% of us#1.db")),
    ],
)
def test_an_sqlite_url_names_a_file(url: str, expected: Path) -> None:
    assert sqlite_path(url) == expected


@pytest.mark.parametrize(
    "url", ["", "agent-sre.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a.db?mode=ro", "mysql://host/name", "sqlite:///a\0b"]
)
def test_any_other_url_is_refused_by_the_name_of_the_setting(url: str) -> None:
    with pytest.raises(BadSetting, match="AGENT_SRE_DATABASE_URL"):
        sqlite_path(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "mysql", "mssql"])
def test_a_refused_url_never_shows_its_password(scheme: str) -> None:
    with pytest.raises(BadSetting) as caught:
        sqlite_path(f"{scheme}://user:hunter2@host/name")
    assert "hunter2" not in str(caught.value)
    assert ("PostgreSQL" in str(caught.value)) == scheme.startswith("postgres")


def test_a_new_file_gets_its_folder_and_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "agent-sre.db"
    store = open_store(settings(path))
    modes = {name: stat.S_IMODE(os.stat(name).st_mode) for name in (f"{path}", f"{path}-wal", f"{path}-shm")}
    store.close()
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("name", ["50% off.db", "a#b.db", "with space.db", "nächte.db", "a%20b.db"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        store = open_store(settings(tmp_path / name))
        store.write_now(lambda connection: schema.bump(connection, "opened", 1))
        store.close()
    store = open_store(settings(tmp_path / name), must_exist=True)
    assert store.read_now(schema.totals) == {"opened": 2}
    store.close()
    assert {found.name for found in tmp_path.iterdir()} == {name, f"{name}.lock"}


def test_opening_again_keeps_everything(path: Path) -> None:
    for count in range(3):
        store = open_store(settings(path))
        assert store.read_now(schema.totals) == ({"opened": count} if count else {})
        store.write_now(lambda connection: schema.bump(connection, "opened", 1))
        store.close()


def test_closing_writes_the_log_back_so_that_the_file_alone_is_a_copy(path: Path) -> None:
    store = open_store(settings(path))
    store.write_now(lambda connection: schema.bump(connection, "posts", 1))
    store.read_now(schema.totals)
    store.close()
    assert {found.name for found in path.parent.iterdir()} == {path.name, f"{path.name}.lock"}
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT * FROM total").fetchall() == [("posts", 1)]


def test_a_missing_file_that_must_exist_is_a_bad_setting_and_is_not_made(path: Path) -> None:
    with pytest.raises(BadSetting, match=f"There is no database at {path}"):
        open_store(settings(path), must_exist=True)
    assert list(path.parent.iterdir()) == []


def test_an_empty_file_that_must_exist_is_as_good_as_none(path: Path) -> None:
    path.touch()
    with pytest.raises(BadSetting, match=f"There is no database at {path}"):
        open_store(settings(path), must_exist=True)
    assert path.read_bytes() == b""


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    store = open_store(settings(path))
    assert store.read_now(schema.revision) == schema.REVISION
    store.close()


@pytest.mark.parametrize("must_exist", [False, True])
def test_a_file_that_is_no_database_is_said_to_be_none_and_left_as_it_was(path: Path, must_exist: bool) -> None:
    path.write_text("groups:\n- name: these are alerting rules\n" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match=rf"{path} failed: file is not a database\. Set AGENT_SRE_DATABASE_URL to another file"):
        open_store(settings(path), must_exist=must_exist)
    assert path.read_bytes() == before


@pytest.mark.parametrize("must_exist", [False, True])
@pytest.mark.parametrize(
    "tables",
    [
        ("CREATE TABLE bookmark (url TEXT)",),
        ("CREATE TABLE alembic_version (version_num TEXT)", "INSERT INTO alembic_version VALUES ('5f2a')", "CREATE TABLE user (id INTEGER)"),
    ],
    ids=["without alembic", "with alembic"],
)
def test_the_database_of_another_program_is_left_as_it_was(path: Path, tables: tuple[str, ...], must_exist: bool) -> None:
    before = make_foreign(path, *tables)
    with pytest.raises(StoreUnavailable, match=f"{path} is another program's SQLite database"):
        open_store(settings(path), must_exist=must_exist)
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("must_exist", [False, True])
@pytest.mark.parametrize("change", ["UPDATE alembic_version SET version_num = '9999'", "DELETE FROM alembic_version"])
def test_a_file_of_a_newer_version_is_refused_and_left_as_it_was(path: Path, change: str, must_exist: bool) -> None:
    open_store(settings(path)).close()
    before = make_foreign(path, change)
    with pytest.raises(StoreUnavailable, match=f"{path} was written by a newer agent-sre"):
        open_store(settings(path), must_exist=must_exist)
    assert path.read_bytes() == before


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open database file"):
        open_store(settings(tmp_path))


def test_a_path_through_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="Cannot create the database"):
        open_store(settings(tmp_path / "file" / "agent-sre.db"))
    with pytest.raises(StoreUnavailable, match="Cannot create the database"):
        open_store(settings(tmp_path / "file" / "deeper" / "agent-sre.db"))


def test_a_dangling_link_is_no_database(tmp_path: Path, path: Path) -> None:
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(StoreUnavailable, match="cannot be reached: No such file"):
        open_store(settings(path))


def test_neither_a_new_file_nor_a_current_one_loads_alembic(path: Path) -> None:
    code = """if True:
        import sys
        from agent_sre.store.engine import StoreSettings, open_store
        open_store(StoreSettings(database_url=sys.argv[1])).close()
        open_store(StoreSettings(database_url=sys.argv[1])).close()
        open_store(StoreSettings(database_url=sys.argv[1]), must_exist=True).close()
        print(sorted(name for name in ("alembic", "sqlalchemy") if name in sys.modules))
    """
    assert in_a_new_process(code, f"sqlite:///{path}").strip() == "['sqlalchemy']"


def test_a_store_that_fails_to_open_leaves_no_thread_and_no_open_file(path: Path) -> None:
    make_foreign(path, "CREATE TABLE bookmark (url TEXT)")
    opened = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            open_store(settings(path))
    assert len(os.listdir("/proc/self/fd")) == opened


def test_the_store_says_where_it_is(path: Path) -> None:
    store: Store = open_store(settings(path))
    assert store.path == path
    assert store.read_now(lambda connection: connection.execute(sa.select(sa.literal(1))).scalar_one()) == 1
    store.close()
