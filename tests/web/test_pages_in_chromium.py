"""The pages in a real browser, under the policy that they are served with."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent_sre.web import pages
from agent_sre.web.pages import IncidentListView, render_docs, render_incident, render_incidents
from fakes.chromium import Answer, chromium, screenshot, server, visit
from fakes.dom import text
from fakes.hostile import HOSTILE
from fakes.incidents import NOW, cart_analysis, cart_incident, cart_view, incident_rows, world_view

pytestmark = pytest.mark.real

_HTML = {"Content-Type": "text/html; charset=utf-8"}
_PHONE = 375


def _page(html: str, **headers: str) -> Answer:
    return Answer(body=html.encode(), headers={**_HTML, **pages.SECURITY_HEADERS, **headers})


def _answers() -> dict[str, Answer]:
    listing = IncidentListView(counts={"triggered": 3, "resolved": 9}, before=95)
    shown = {
        "/incidents": render_incidents(incident_rows(8), page=listing, now=NOW),
        "/empty": render_incidents((), page=IncidentListView(), now=NOW),
        "/incidents/118": render_incident(cart_view(), now=NOW),
        "/world": render_incident(world_view(), now=NOW),
        "/wide": render_incident(_wide(), now=NOW),
        "/docs": render_docs({"paths": {f"/{'long-' * 30}": {"get": {"summary": "x" * 300, "responses": {"200": {"description": "y" * 300}}}}}}),
    }
    answers = {path: _page(html) for path, html in shown.items()}
    # The one change for the measuring frame: it may hold the page. Everything else of the policy stays.
    framed = {"Content-Security-Policy": pages.CSP.replace("frame-ancestors 'none'", "frame-ancestors 'self'")}
    answers |= {f"/framed{path}": _page(html.replace("<details", "<details open"), **framed) for path, html in shown.items()}
    answers |= {f"/measure{path}": Answer(body=_measuring(f"/framed{path}").encode(), headers=_HTML) for path in shown}
    for name, kind in pages.ASSET_TYPES.items():
        asset = pages.asset(name)
        assert asset is not None
        answers[f"/static/{name}"] = Answer(body=asset.body, headers={**pages.ASSET_HEADERS, "Content-Type": kind})
    answers["/refused"] = _page("<!doctype html><title>x</title><p style='color:red'>styled</p><script>document.title = 'ran'</script>")
    return answers


def _wide() -> pages.IncidentView:
    """An incident whose every text is longer than a phone is wide, hostile strings in its labels."""
    incident = cart_incident()
    lead = replace(incident.alerts[0], labels={f"label {number} {word}": word for number, word in enumerate(HOSTILE)}, name="N" * 180)
    analysis = cart_analysis()
    evidence = tuple(replace(item, summary="s" * 400, query=replace(item.query, expression="e" * 900)) for item in analysis.evidence)
    step = replace(analysis.recommendations[0], command=f"kubectl --namespace {'n' * 300} get pods")
    analysis = replace(analysis, evidence=evidence, recommendations=(step,), observations=("o" * 500, "`" + "c" * 300 + "`"), root_cause="r" * 390)
    return replace(cart_view(), incident=replace(incident, title="T" * 290, alerts=(lead,)), analysis=analysis, recurrence="w" * 200)


def _measuring(path: str) -> str:
    """A page that holds another one at a phone's width and writes down how wide that became: Chromium's own window is never below 500."""
    return f"""<!doctype html><title>measure</title><p id="result">?</p><iframe src="{path}" width="{_PHONE}" height="800"></iframe>
<script>addEventListener("load", () => {{
  const inner = document.querySelector("iframe").contentDocument;
  document.getElementById("result").textContent = `wide ${{inner.documentElement.scrollWidth}} links ${{inner.links.length}}`;
}})</script>"""


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[str, list[str]]]:
    chromium()  # skips before anything is started
    with server(_answers()) as running:
        yield running


@pytest.mark.parametrize("path", ["/incidents", "/incidents/118", "/empty", "/docs"])
def test_a_page_is_shown_without_breaking_its_policy(site: tuple[str, list[str]], path: str, tmp_path: Path) -> None:
    base, asked = site
    asked.clear()
    seen = visit(base + path, tmp_path)
    assert seen.console == ()
    assert text(seen.html) == text(_answers()[path].body.decode())
    assert set(asked) == {path, "/static/style.css", "/static/favicon.svg"}


def test_a_page_that_breaks_the_policy_is_noticed(site: tuple[str, list[str]], tmp_path: Path) -> None:
    seen = visit(f"{site[0]}/refused", tmp_path)
    assert "<title>x</title>" in seen.html, "the script did not run"
    console = "\n".join(seen.console)
    assert "style" in console
    assert "script" in console
    assert "Content Security Policy" in console


def test_the_browser_builds_the_same_elements_from_hostile_text_as_from_ours(site: tuple[str, list[str]], tmp_path: Path) -> None:
    seen = visit(f"{site[0]}/wide", tmp_path)
    assert seen.console == ()
    assert re.findall(r"<[a-zA-Z][^\s>/]*", seen.html) == re.findall(r"<[a-zA-Z][^\s>/]*", _answers()["/wide"].body.decode())


@pytest.mark.parametrize("path", ["/incidents", "/incidents/118", "/world", "/wide", "/empty", "/docs"])
def test_nothing_is_wider_than_a_phone(site: tuple[str, list[str]], path: str, tmp_path: Path) -> None:
    seen = visit(f"{site[0]}/measure{path}", tmp_path)
    found = re.search(r"wide (\d+) links (\d+)", seen.html)
    assert found is not None
    assert int(found[2]) >= 3, "the framed page was really there"
    assert int(found[1]) <= _PHONE


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", ["/incidents", "/incidents/118"])
def test_a_picture_of_the_page_has_its_size_and_its_colours(site: tuple[str, list[str]], path: str, dark: bool, tmp_path: Path) -> None:
    picture = screenshot(site[0] + path, tmp_path / "profile", tmp_path / "page.png", width=1280, height=1600, dark=dark)
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture[16:24]) == (1280, 1600)
    assert len(picture) > 60_000, "an empty page of this size has 10 kB"
