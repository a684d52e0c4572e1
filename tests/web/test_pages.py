"""The pages say everything that is known, link only where they may, and stay themselves whatever text comes in."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from functools import cache
from itertools import pairwise, product
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.alert.alert import AlertStatus, Severity
from agent_sre.analysis.markdown import to_markdown
from agent_sre.evidence.board import Seen
from agent_sre.evidence.evidence import Fact, Gap, MetricSeries, Query
from agent_sre.incident.incident import IncidentStatus, TimelineEntry
from agent_sre.web import pages
from agent_sre.web.pages import IncidentListView, IncidentView, render_docs, render_error, render_incident, render_incidents
from fakes.dom import elements, skeleton, text
from fakes.hostile import HOSTILE, HOSTILE_MARKDOWN
from fakes.incidents import CART, NOW, TRIGGERED_AT, cart_analysis, cart_incident, cart_view, incident_rows, world_view

T = TypeVar("T")

_OPENAPI = {
    "openapi": "3.1.0",
    "info": {"title": "Agent-SRE", "version": "0.1.0", "description": "Takes alerts, gives *analyses*."},
    "paths": {
        "/webhook/alert": {
            "post": {
                "summary": "What Alertmanager sends",
                "parameters": [{"name": "wait", "in": "query", "schema": {"type": "number"}, "description": "Seconds."}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}}},
                "responses": {
                    "200": {"description": "Stored", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tree"}}}},
                    "503": {"description": "Not stored"},
                },
            }
        },
        "/incidents/{id}": {"get": {"summary": "One incident", "responses": {"200": {"description": "It"}}}},
    },
    "components": {
        "schemas": {
            "Message": {
                "type": "object",
                "required": ["alerts"],
                "properties": {"alerts": {"type": "array", "items": {"$ref": "#/components/schemas/Alert"}, "description": "One or many."}},
            },
            "Alert": {
                "type": "object",
                "required": ["labels"],
                "properties": {
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "status": {"enum": ["firing", "resolved"]},
                    "endsAt": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
                },
            },
            "Tree": {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}},
        }
    },
}


def _all_pages() -> dict[str, str]:
    return {
        "complete": render_incident(cart_view(), now=NOW),
        "world": render_incident(world_view(), now=NOW),
        "preliminary": render_incident(cart_view("preliminary"), now=NOW),
        "received": render_incident(cart_view("received"), now=NOW),
        "list": render_incidents(incident_rows(8), page=IncidentListView(counts={"triggered": 3}, before=95), now=NOW),
        "empty": render_incidents((), page=IncidentListView(), now=NOW),
        "docs": render_docs(_OPENAPI),
        "error": render_error(404, "There is no incident INC-7."),
    }


# What a reader finds


def test_the_incident_page_says_what_is_going_on_what_caused_it_how_sure_and_what_to_do() -> None:
    words = text(render_incident(cart_view(), now=NOW))
    for expected in (
        "critical triggered INC-118",
        "Since image 2.4.1, cart needs more memory than its limit of 256 MiB and is killed again and again E01 E02.",
        "medium confidence: kills, limit and rollout fit together",
        "Deployment shop/cart cluster prod-eu1",
        "12 min ago",
        "first time in 90 days",
        "Immediate Roll cart back to 2.4.0. It is reversible, and 2.4.0 ran for 19 days. E04",
        "kubectl --namespace shop rollout undo deployment/cart",
        "Impact Checkout fails for about every third customer",
    ):
        assert expected in words


def test_the_incident_page_shows_its_evidence_its_gaps_and_its_doubts() -> None:
    words = text(render_incident(cart_view(), now=NOW))
    for expected in (
        "E02 How close is the container to its memory limit? up to 255 MiB of a limit of 256 MiB",
        'container_memory_working_set_bytes{namespace="shop", container="cart"}',
        "prometheus · 05:40:11 to 06:40:11, every 30 s · took 184 ms · Open in Prometheus",
        "E07 Was it like this before? no earlier incident of cart",
        "Not configured: Loki (No Loki is configured (LOKI_URL)",
        "H2 More traffic than usual fills the cache",
        "evidence for and against E02 E05 0.21",
        "H4 The database answers slowly and requests pile up",
        "not checked",
        "not run: Loki is not configured",
    ):
        assert expected in words


def test_the_incident_page_shows_every_alert_with_its_reason_labels_and_annotations() -> None:
    words = text(render_incident(cart_view(), now=NOW))
    for alert in cart_incident().alerts:
        assert alert.name in words
        assert f"Here because: {alert.reason}" in words
        assert alert.fingerprint in words
        for name, value in [*alert.labels.items(), *alert.annotations.items()]:
            assert f"{name} {value}" in words


def test_the_incident_page_ends_with_who_wrote_it_and_what_it_cost() -> None:
    words = text(render_incident(cart_view(), now=NOW))
    assert "Report by gemma3n:e4b: chose among 4 causes" in words
    assert "analyze 13.8 s" in words
    assert "1,874 input tokens · 243 output tokens" in words
    by_rules = text(render_incident(cart_view("preliminary"), now=NOW))
    assert "Report by the rules: Ollama did not answer in time" in by_rules


def test_the_strip_tells_what_is_done_what_runs_and_what_is_to_come() -> None:
    def states(view: IncidentView) -> list[str | None]:
        html = render_incident(view, now=NOW)
        strip = html[html.index('<ol class="steps"') : html.index("</ol>") + len("</ol>")]
        return [element.attribute("class") for element in elements(strip) if element.tag == "li"]

    assert states(cart_view("received")) == ["done", "done", "running", "waiting", "waiting"]
    assert states(cart_view("preliminary")) == ["done"] * 4 + ["running"]
    assert states(cart_view("complete")) == ["done"] * 5
    assert states(_resolved(cart_view("preliminary"))) == ["done"] * 4 + ["skipped"]
    assert "06:40:12 +1.3 s" in text(render_incident(cart_view(), now=NOW))


def test_a_resolved_incident_says_when_and_how_long_it_lasted() -> None:
    words = text(render_incident(_resolved(cart_view()), now=NOW))
    assert "Resolved 2 min 20 s ago after 10 min" in words


def test_citations_lead_to_the_evidence_that_is_on_the_page_and_to_nothing_else() -> None:
    analysis = replace(cart_analysis(), observations=("seen [E01], and [E99], and `[E02]`",))
    html = render_incident(replace(cart_view(), analysis=analysis), now=NOW)
    targets = {element.attribute("id") for element in elements(html)}
    for element in elements(html):
        href = element.attribute("href") or ""
        if element.tag == "a" and href.startswith("#"):
            assert href[1:] in targets
    assert 'seen <a class="ref" href="#E01">E01</a>, and [E99]' in html


def test_a_storm_does_not_make_an_endless_page() -> None:
    incident = cart_incident()
    alerts = tuple(replace(incident.alerts[1], id=number + 10, name=f"Noise{number}") for number in range(1000))
    timeline = tuple(TimelineEntry(at=NOW, kind="joined", text=f"Noise{number} joined") for number in range(1000))
    view = replace(cart_view(), incident=replace(incident, alerts=(*alerts, incident.alerts[0])), timeline=timeline)
    html = render_incident(view, now=NOW)
    words = text(html)
    assert len(html) < 250_000
    assert "951 more alerts are in the JSON" in words
    assert "940 entries are left out" in words
    assert words.index("KubePodCrashLooping firing") < words.index("Noise0 firing"), "the most severe alert comes first"


def test_an_annotation_of_128_kilobytes_is_cut_with_a_count() -> None:
    incident = cart_incident()
    lead = replace(incident.alerts[0], annotations={"description": "a" * 131_072})
    words = text(render_incident(replace(cart_view(), incident=replace(incident, alerts=(lead,))), now=NOW))
    assert "…(+126976)" in words


def test_a_chart_takes_threshold_and_unit_from_the_fact_beside_it_and_the_time_from_the_alert_it_is_about() -> None:
    incident = cart_incident()
    item = cart_analysis().evidence[1]
    fact = Fact(name="value", text="value is 0.5", values={"threshold": 0.9, "unit": "ratio", "breaching": True})
    series = tuple(replace(each, points=tuple((at, 0.5) for at, _ in each.points)) for each in item.data if isinstance(each, MetricSeries))
    about = replace(incident.alerts[1], starts_at=TRIGGERED_AT - timedelta(minutes=30))
    asked = replace(item, data=(fact, *series), summary="value is 0.5", query=replace(item.query, fingerprint=about.fingerprint))
    view = replace(
        cart_view(),
        incident=replace(incident, alerts=(incident.alerts[0], about)),
        analysis=replace(cart_analysis(), evidence=(asked,)),
    )
    words = text(render_incident(view, now=NOW))
    assert "threshold 90 %" in words
    assert "firing since 06:10" in words
    assert words.count("value is 0.5") == 1, "a fact that only repeats the summary is not shown again"


def test_a_quotient_far_above_one_is_no_share() -> None:
    item = cart_analysis().evidence[5]
    fact = Fact(name="value", text="load", values={"threshold": 12.0, "unit": "ratio"})
    series = MetricSeries(labels={}, points=((0.0, 11.0), (30.0, 14.0)))
    view = replace(cart_view(), analysis=replace(cart_analysis(), evidence=(replace(item, data=(fact, series)),)))
    assert "threshold 12" in text(render_incident(view, now=NOW))
    assert "1,200 %" not in text(render_incident(view, now=NOW))


def test_an_answer_without_data_and_without_words_says_that_nothing_was_found() -> None:
    evidence = replace(cart_analysis().evidence[6], summary="")
    words = text(render_incident(replace(cart_view(), analysis=replace(cart_analysis(), evidence=(evidence,))), now=NOW))
    assert "Nothing was found, which is an answer too." in words


def test_log_patterns_show_what_is_new_what_has_vanished_and_how_many_against_before() -> None:
    words = text(render_incident(world_view(), now=NOW))
    for expected in (
        "new error 148 now, 0 before, 0 the day before · 06:28:11 to 06:40:08 ERROR cache: cannot allocate <n> entries of <n> bytes"
        " one of them ERROR cache: cannot allocate 2097152 entries of 64 bytes",
        "info 9,810 now, 41,377 before, 40,218 the day before",
        "vanished info 0 now, 12 before · ",
        "4 more",
    ):
        assert expected in words
    assert words.count("INFO step a done") == 1, "a sample that says no more than its template is not shown"


def test_patterns_of_another_program_say_whose_they_are() -> None:
    item = world_view().analysis.evidence[7]  # type: ignore[union-attr]  # a complete view has an analysis
    other = replace(item, subject=replace(CART, name="checkout"))
    words = text(render_incident(replace(cart_view(), analysis=replace(cart_analysis(), evidence=(other,))), now=NOW))
    assert "06:40:08 · Deployment shop/cart ERROR cache" in words


def test_objects_show_their_state_on_one_line_and_fold_their_fields() -> None:
    html = render_incident(world_view(), now=NOW)
    words = text(html)
    assert (
        "Pod shop/cart-7d9c5b6f4-x2lqn Running on worker-3; cart: waiting CrashLoopBackOff, 11 restarts, last OOMKilled (exit 137)"
        " 12 fields status.phase Running"
    ) in words
    assert "Deployment shop/cart 1 of 3 ready 2 fields" in words
    assert "Node worker-3" in words
    assert "{'" not in words, "no manifest as it stands"


def test_changes_show_when_what_who_and_the_difference() -> None:
    html = render_incident(world_view(), now=NOW)
    assert "06:18:11 (34 min ago) image Deployment shop/cart image of container cart: 2.4.0 → 2.4.1 by flux" in text(html)
    assert "when is not known config Deployment shop/cart" in text(html)
    assert '<span class="removed">- image: shop/cart:2.4.0</span>' in html
    assert '<span class="added">+ image: shop/cart:2.4.1</span>' in html
    assert "<span>  containers:</span>" in html


def test_dependencies_are_arrows() -> None:
    assert "checkout → cart mesh cart → redis service graph" in text(render_incident(world_view(), now=NOW))


# Reloading


def _refresh(html: str) -> str | None:
    return next((element.attribute("content") for element in elements(html) if element.attribute("http-equiv") == "refresh"), None)


def test_a_page_that_waits_for_its_report_reloads_itself() -> None:
    soon = TRIGGERED_AT + timedelta(seconds=10)
    assert _refresh(render_incident(cart_view("received"), now=soon)) == "1"
    assert _refresh(render_incident(cart_view("preliminary"), now=soon)) == "2"
    assert _refresh(render_incident(cart_view("preliminary"), now=soon + timedelta(hours=2))) == "30"


def test_answers_are_on_the_page_as_they_come_beside_an_older_report_too() -> None:
    items, gaps = cart_analysis().evidence[:2], cart_analysis().gaps
    seen = Seen(run_id="r", began_at=NOW, asked=7, items=items, gaps=gaps, open_by_source={"prometheus": 3, "kubernetes": 1})
    for stage in ("received", "complete"):
        page = render_incident(replace(cart_view(stage), seen=seen), now=NOW)
        words = text(page)
        assert "answers as they come 2 of 7" in words.lower()
        assert "Still waiting for prometheus (3), kubernetes (1)." in words
        assert items[1].summary in words
        assert _refresh(page) == "1"
        ids = [element.attribute("id") for element in elements(page) if element.attribute("id")]
        assert len(ids) == len(set(ids))


def test_a_trouble_of_many_questions_is_told_once_and_what_nobody_configured_in_one_line() -> None:
    def gap(source: str, purpose: str, reason: str, detail: str) -> Gap:
        return Gap(query=Query(id="E1", source=source, kind="k", expression="", purpose=purpose), reason=reason, detail=detail)

    slow = [gap("kubernetes", f"how the {kind} are", "timeout", "kubernetes did not answer within 1.2 s.") for kind in ("pods", "events", "nodes")]
    denied = gap("kubernetes", "how the jobs are", "forbidden", "The service account may not list jobs.")
    off = [gap(name, "", "not_configured", f"{name.capitalize()} was not asked: {name.upper()}_URL is not set.") for name in ("loki", "prometheus")]
    analysis = replace(cart_analysis(), gaps=(off[0], *slow, denied, off[1]))
    words = text(render_incident(replace(cart_view(), analysis=analysis), now=NOW))
    assert words.count("kubernetes did not answer within 1.2 s.") == 1
    assert "how the pods are; how the events are; how the nodes are" in words
    assert "forbidden The service account may not list jobs." in words
    assert "Not configured: Loki (LOKI_URL is not set), Prometheus (PROMETHEUS_URL is not set)" in words
    told = to_markdown(analysis).partition("**Could not be checked:**")[2].partition("## ")[0]
    assert told.count("\n- ") == 2
    assert "Not configured: Loki (LOKI\\_URL is not set); Prometheus" in told or "Not configured: Loki (LOKI_URL is not set); Prometheus" in told


def test_an_alert_that_was_old_when_it_came_is_waited_for_just_as_eagerly() -> None:
    view = cart_view("preliminary")
    old = replace(view.incident, triggered_at=TRIGGERED_AT - timedelta(days=3), last_alert_at=TRIGGERED_AT - timedelta(days=3))
    assert _refresh(render_incident(replace(view, incident=old), now=TRIGGERED_AT + timedelta(seconds=10))) == "2"


def test_a_page_with_nothing_to_wait_for_stays_as_it_is() -> None:
    assert _refresh(render_incident(cart_view("complete"), now=NOW)) is None
    assert _refresh(render_incident(_resolved(cart_view("preliminary")), now=NOW)) is None
    assert _refresh(render_incidents(incident_rows(2), page=IncidentListView(), now=NOW)) is None


# The list


def test_the_list_shows_what_an_on_call_engineer_picks_by() -> None:
    words = text(render_incidents(incident_rows(6), page=IncidentListView(counts={"triggered": 2, "acknowledged": 1, "resolved": 9}), now=NOW))
    for expected in (
        "critical INC-118 KubePodCrashLooping: cart in shop restarts again and again Deployment shop/cart · cluster prod-eu1",
        "is killed again and again. (by gemma3n:e4b) triggered 12 min ago 3 alerts",
        "Checkout waits for cart, which is down. (by the rules) acknowledged 59 min ago 1 alert",
        "Node worker-3 · cluster prod-eu1 No report yet.",
        "lasted 31 min, 14 alerts",
        "All 12 Open 3 Triggered 2 Acknowledged 1 Resolved 9",
    ):
        assert expected in words


def test_the_filter_remembers_what_was_asked_and_works_without_a_script() -> None:
    html = render_incidents((), page=IncidentListView(status="open", severity="critical", text='a&b "c"', counts={"triggered": 1}), now=NOW)
    form = next(element for element in elements(html) if element.tag == "form")
    assert (form.attribute("method"), form.attribute("action")) == ("get", "/incidents")
    fields = {element.attribute("name"): element.attribute("value") for element in elements(html) if element.tag == "input"}
    assert fields == {"status": "open", "q": 'a&b "c"'}
    assert "<option selected>critical</option>" in html
    assert "No incident matches." in text(html)
    hrefs = [element.attribute("href") for element in elements(html) if element.tag == "a"]
    assert "/incidents?status=resolved&severity=critical&q=a%26b+%22c%22" in hrefs
    assert "/incidents?status=open" in hrefs, "clearing keeps the tab"


def test_pages_follow_each_other_with_the_filter_kept() -> None:
    html = render_incidents(incident_rows(3), page=IncidentListView(status="open", before=116, after=118), now=NOW)
    links = {element.attribute("rel"): element.attribute("href") for element in elements(html) if element.tag == "a" and element.attribute("rel")}
    assert links == {"next": "/incidents?status=open&before=116", "prev": "/incidents?status=open&after=118"}


def test_an_empty_store_tells_how_to_send_the_first_alert() -> None:
    html = render_incidents((), page=IncidentListView(base_url="http://sre.example:31081/"), now=NOW)
    assert "curl -X POST http://sre.example:31081/webhook/alert -d" in text(html)
    assert "- receiver: ai-agent-webhook" in text(html)
    assert not [element for element in elements(html) if element.tag == "form"]


@pytest.mark.parametrize("base_url", ["http://x/; rm -rf ~", "http://`id`", "http://$(id)", "javascript:alert(1)", "http://a'b", "", "http://a\nb"])
def test_a_strange_host_header_never_reaches_the_line_that_people_paste(base_url: str) -> None:
    words = text(render_incidents((), page=IncidentListView(base_url=base_url), now=NOW))
    assert "curl -X POST http://localhost:8080/webhook/alert -d" in words


# The API page and the error page


def test_the_api_page_unfolds_schemas_and_gives_a_line_to_try() -> None:
    words = text(render_docs(_OPENAPI))
    for expected in (
        "POST /webhook/alert What Alertmanager sends curl -X POST http://localhost:8080/webhook/alert -d '{\"alerts\": []}'",
        "wait number, query Seconds.",
        "alerts * list of object One or many.",
        "alerts[].labels * object",
        'alerts[].status "firing" or "resolved"',
        "alerts[].endsAt text (date-time) or null",
        "children[].children list of object",
        "503 Not stored",
        "GET /incidents/{id} One incident",
    ):
        assert expected in words


def test_the_api_page_survives_any_document() -> None:
    broken: list[dict[str, Any]] = [
        {},
        {"paths": None},
        {"paths": {"/x": None, "/y": {"get": []}, "/z": {"get": {"responses": [], "parameters": "no"}}}},
        {
            "paths": {"/x": {"post": {"requestBody": {"$ref": "#/a"}, "responses": {"200": {"$ref": "#/nowhere/at/all"}}}}},
            "a": {"$ref": "#/a"},
        },
        {"info": {"title": 5}, "paths": {"/x": {"get": {"responses": {"200": {"content": {"text/plain": {}}}}}}}},
    ]
    for document in broken:
        assert "<h1>" in render_docs(document)


def test_an_error_says_what_is_wrong_and_leads_back() -> None:
    html = render_error(404, "There is no incident INC-7 <b>.")
    assert "404 Not Found There is no incident INC-7 <b>. All incidents" in text(html)
    assert "Error" in text(render_error(799, "Odd."))


# Safety


def _planted(value: T, word: str, keep: frozenset[str] = frozenset({"stage", "id", "markdown", "unit"})) -> T:
    """The value with every text in it replaced by `word`, mapping keys too; fields named in `keep` stay."""

    def plant(node: Any, name: str) -> Any:
        if isinstance(node, Enum) or name in keep:
            return node
        if isinstance(node, str):
            return word
        if dataclasses.is_dataclass(node) and not isinstance(node, type):
            return replace(node, **{each.name: plant(getattr(node, each.name), each.name) for each in dataclasses.fields(node)})
        if isinstance(node, Mapping):
            return {plant(key, ""): plant(item, name) for key, item in node.items()}
        if isinstance(node, tuple):
            return tuple(plant(item, name) for item in node)
        return node

    return plant(value, "")  # type: ignore[no-any-return]  # the walk keeps every type, which only its caller can know


def _pages_with(word: str) -> dict[str, str]:
    view = _planted(cart_view(), word)
    listing = IncidentListView(status=word, severity=word, text=word, counts={"triggered": 1}, before=5, base_url=word)
    return {
        "incident": render_incident(view, now=NOW),
        "world": render_incident(_planted(world_view(), word), now=NOW),
        "list": render_incidents(_planted(incident_rows(6), word), page=listing, now=NOW),
        "nothing": render_incidents((), page=IncidentListView(base_url=word), now=NOW),
        "error": render_error(400, word),
    }


@cache
def _harmless_skeletons() -> dict[str, list[tuple[int, str, tuple[str, ...], str | None]]]:
    return {name: skeleton(html) for name, html in _pages_with("X").items()}


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_text_in_every_field_changes_no_element(word: str) -> None:
    harmless = _harmless_skeletons()
    for name, html in _pages_with(word).items():
        assert skeleton(html) == harmless[name], name


@given(st.text(st.characters(exclude_characters="`"), min_size=1, max_size=80).filter(lambda word: word.strip() != "" and ". " not in word))
@settings(max_examples=40, deadline=None)
def test_any_text_in_every_field_changes_no_element(word: str) -> None:
    html = render_incident(_planted(world_view(), f"x{word}x"), now=NOW)
    allowed = {element.tag for element in elements(render_incident(world_view(), now=NOW))}
    assert {element.tag for element in elements(html)} <= allowed
    _assert_safe(html)


def _assert_safe(html: str) -> None:
    """No script, no handler, no style, nothing from outside but links that a configured source gave."""
    for element in elements(html):
        assert element.tag not in (
            "script",
            "iframe",
            "object",
            "embed",
            "base",
            "style",
            "math",
            "template",
            "foreignobject",
            "use",
            "image",
        )
        for name, value in element.attributes:
            assert not name.startswith("on")
            assert name not in ("style", "srcset", "formaction", "xlink:href", "ping", "target", "background")
            if name in ("href", "src", "action"):
                assert value is not None
                own = re.match(r"/(incidents|static|docs|openapi\.json)|#", value)
                assert own or re.match(r"https?://[^/@]+(/|$)", value), value
                assert own or (element.tag == "a" and element.attribute("rel") == "noopener noreferrer")


def test_every_page_is_safe_in_itself() -> None:
    for html in _all_pages().values():
        _assert_safe(html)


def _links(html: str) -> set[str | None]:
    return {element.attribute("href") for element in elements(html) if element.tag == "a"}


@cache
def _usual_links() -> set[str | None]:
    return _links(render_incident(cart_view(), now=NOW))


@pytest.mark.parametrize("source", [*HOSTILE, *HOSTILE_MARKDOWN])
def test_hostile_words_of_a_model_stay_words(source: str) -> None:
    analysis = replace(cart_analysis(), markdown=source, observations=(source,), root_cause=source, impact=source)
    html = render_incident(replace(cart_view(), analysis=analysis), now=NOW)
    _assert_safe(html)
    assert _links(html) <= _usual_links()


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "//evil.example", "/incidents", "http:", "https:///x",
        "http://user:secret@prometheus.example/graph", " http://a.example", "http://a.example/\nx", "http://[::1", "ftp://a.example", "x",
    ],
)  # fmt: skip
def test_evidence_links_only_to_plain_http_addresses(url: str) -> None:
    analysis = cart_analysis()
    changed = replace(analysis, evidence=tuple(replace(item, url=url) for item in analysis.evidence))
    html = render_incident(replace(cart_view(), analysis=changed), now=NOW)
    assert "Open in" not in html
    _assert_safe(html)


def test_addresses_that_came_with_an_alert_are_text_and_never_links() -> None:
    html = render_incident(cart_view(), now=NOW)
    hrefs = [element.attribute("href") or "" for element in elements(html)]
    assert "https://runbooks.example.org/kubepodcrashlooping" in text(html)
    assert not [href for href in hrefs if "runbooks.example.org" in href or "g0.tab" in href]


def test_secrets_and_invisible_characters_are_taken_out_of_every_field() -> None:
    html = render_incident(_planted(cart_view(), "a\u202eb\u200b password=hunter22 Bearer abcdefghijklmnop"), now=NOW)
    assert "hunter22" not in html
    assert "abcdefghijklmnop" not in html
    assert "\u202e" not in html
    assert "\u200b" not in html
    assert "ab password=<secret>" in text(html)


def test_a_page_can_always_be_sent_as_utf_8() -> None:
    for html in _pages_with("\ud800 \udfff \x00 \U000e0041").values():
        html.encode()


def test_the_policy_allows_our_own_style_and_nothing_that_runs() -> None:
    assert pages.CSP == "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    assert pages.SECURITY_HEADERS == {
        "Content-Security-Policy": pages.CSP,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


# Form


def test_every_page_has_one_first_heading_and_skips_no_level() -> None:
    for name, html in _all_pages().items():
        levels = [int(element.tag[1]) for element in elements(html) if re.fullmatch(r"h[1-6]", element.tag)]
        assert levels.count(1) == 1, name
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels)), name


def test_ids_on_a_page_are_unique() -> None:
    for name, html in _all_pages().items():
        ids = [element.attribute("id") for element in elements(html) if element.attribute("id")]
        assert len(ids) == len(set(ids)), name


def test_assets_are_found_by_name_only_and_carry_their_hash() -> None:
    style = pages.asset("style.css")
    assert style is not None
    assert f'href="/static/style.css?v={style.version}"' in render_error(404, "x")
    assert len(style.body) < 13_000
    assert pages.asset("style.css") is style, "read once"
    for name in ("", "../pages.py", "style.css/..", "/etc/passwd", "STYLE.CSS", "base.html"):
        assert pages.asset(name) is None


def test_the_stylesheet_needs_nothing_from_outside() -> None:
    style = pages.asset("style.css")
    assert style is not None
    assert not re.search(rb"url\(|@import|@font-face|expression|https?:", style.body)


def test_classes_that_the_pages_use_for_tone_exist_in_the_stylesheet() -> None:
    style = pages.asset("style.css")
    assert style is not None
    for name in ("critical", "warning", "info", "triggered", "acknowledged", "resolved", "supported", "contradicted", "disputed", "firing"):
        assert f".{name}".encode() in style.body


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_all_words_have_enough_contrast_in_light_and_dark() -> None:
    style = pages.asset("style.css")
    assert style is not None
    themes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block)) for block in re.findall(r":root \{([^}]*--paper[^}]*)\}", style.body.decode())
    ]
    assert len(themes) == 2
    tones = ("bad", "warn", "info", "none", "good")
    pairs = [
        *product(("ink", "soft", "link"), ("paper", "card")),
        *product(("ink", "soft"), ("sunk",)),
        *((tone, f"{tone}-wash") for tone in tones),
        *(("on", tone) for tone in tones),
        *((tone, "card") for tone in tones),
        ("paper", "ink"),
        ("ink", "none-wash"),
    ]
    for theme in themes:
        for words, ground in pairs:
            lighter, darker = sorted((_luminance(theme[words]), _luminance(theme[ground])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (words, ground, theme[words], theme[ground])


def test_importing_the_pages_loads_neither_jinja2_nor_markdown() -> None:
    program = "import sys, agent_sre.web.pages; print([name for name in ('jinja2', 'markdown_it', 'promql_parser') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def _resolved(view: IncidentView) -> IncidentView:
    ended = TRIGGERED_AT + timedelta(minutes=10)
    alerts = tuple(replace(alert, status=AlertStatus.RESOLVED, ends_at=ended) for alert in view.incident.alerts)
    return replace(view, incident=replace(view.incident, status=IncidentStatus.RESOLVED, resolved_at=ended, alerts=alerts))


@pytest.mark.parametrize(("severity", "status"), list(product(Severity, IncidentStatus)))
def test_every_severity_and_status_can_be_shown(severity: Severity, status: IncidentStatus) -> None:
    incident = replace(cart_incident(), severity=severity, status=status, acknowledged_at=NOW, subject=replace(CART, cluster="", container=""))
    html = render_incident(replace(cart_view(), incident=incident), now=NOW)
    assert text(html).count(f"{severity} {status} INC-118") == 1
