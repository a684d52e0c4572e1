"""The documents say what the code does: made pages are fresh, every metric and route is described, every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent_sre.config.load import all_settings
from service import RunningService, config_of, running_service

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
PLAYBOOKS = REFERENCE / "playbooks"
"""A page for each playbook, all made alike: `make check` holds them to the code, so reading one of them is enough here."""

PAGES = sorted([*ROOT.glob("*.md"), *(page for page in (ROOT / "docs").rglob("*.md") if page.parent != PLAYBOOKS), PLAYBOOKS / "pod-oom-killed.md"])

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[RunningService]:
    async with running_service(config_of(tmp_path)) as running:
        yield running


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```", "", read(page), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_made_pages_fit_the_code() -> None:
    done = subprocess.run([sys.executable, "-m", "tools.reference", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_setting_has_a_heading() -> None:
    headings = re.findall(r"^### `(.+)`$", read(REFERENCE / "settings.md"), flags=re.MULTILINE)
    assert headings == [setting.variable for setting in all_settings()]


async def test_every_metric_has_one_line_and_every_line_a_metric(service: RunningService) -> None:
    response = await service.client.get("/metrics")
    families = list(text_string_to_metric_families(response.text))
    shown = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    described = re.findall(r"^\| `(agent_sre_\w+)", read(REFERENCE / "metrics.md"), flags=re.MULTILINE)
    assert len(described) == len(set(described))
    assert set(described) == {name for name in shown if not name.endswith("_created")}


async def test_every_route_has_a_heading_and_every_heading_a_route(service: RunningService) -> None:
    paths = (await service.get("/openapi.json"))["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert set(re.findall(r"^## `(.+)`$", read(REFERENCE / "http-api.md"), flags=re.MULTILINE)) == routes


@every_page
def test_every_relative_link_of_the_page_resolves(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_links_to_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)\s]+)\)", read(index))}
    assert {page for page in (ROOT / "docs").rglob("*.md") if page != index and page.parent != PLAYBOOKS} <= linked


def test_the_page_of_playbooks_links_to_the_page_of_each() -> None:
    linked = set(re.findall(r"\]\(playbooks/([^)\s]+)\)", read(REFERENCE / "playbooks.md")))
    assert linked == {page.name for page in PLAYBOOKS.glob("*.md")}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/tutorial.md"])
def test_every_make_command_exists(name: str) -> None:
    targets = set(re.findall(r"^(\w+):", read(ROOT / "Makefile"), flags=re.MULTILINE))
    named = set(re.findall(r"^make (\w+)|`make (\w+)`", read(ROOT / name), flags=re.MULTILINE))
    wanted = {target for pair in named for target in pair if target}
    assert wanted
    assert wanted <= targets


def test_every_log_line_of_the_page_is_in_the_code() -> None:
    code = "\n".join(read(path) for path in (ROOT / "src").rglob("*.py"))
    actions = re.findall(r"^\| `[^`]+` \| `(\w+)` \|", read(REFERENCE / "logs.md"), flags=re.MULTILINE)
    assert actions
    assert [action for action in actions if f'"action": "{action}"' not in code] == []


def test_the_picture_is_small_enough_to_load_anywhere() -> None:
    assert (ROOT / "docs" / "images" / "incident.png").stat().st_size < 200_000
