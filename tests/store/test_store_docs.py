"""What the pages about store and queue tell people to type works."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent_sre.store import schema
from agent_sre.store.engine import StoreSettings, open_store

EXPLANATION = Path(__file__).parents[2] / "docs" / "explanation"


def blocks(language: str) -> list[str]:
    pages = [EXPLANATION / "store.md", EXPLANATION / "queue.md"]
    return [block for page in pages for block in re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)]


@pytest.mark.parametrize("statement", blocks("sql"))
def test_every_query_on_the_pages_runs_beside_a_server(statement: str, tmp_path: Path) -> None:
    with closing(open_store(StoreSettings(database_url=f"sqlite:///{tmp_path}/agent-sre.db"))) as store:
        store.lock()
        with closing(sqlite3.connect(f"{store.path.as_uri()}?mode=ro", uri=True)) as connection:
            assert connection.execute(statement).fetchall() == []


def test_the_copy_has_what_is_only_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (recipe,) = blocks("python")
    with closing(open_store(StoreSettings())) as store:
        store.write_now(lambda connection: schema.bump(connection, "posts", 7))
        names: dict[str, sqlite3.Connection] = {}
        exec(recipe, names)
        names["source"].close()
        names["copy"].close()
    with closing(open_store(StoreSettings(database_url="sqlite:///copy.db"), must_exist=True)) as copy:
        assert copy.read_now(schema.totals) == {"posts": 7}
