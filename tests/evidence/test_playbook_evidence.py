"""What playbooks want looked at, and the playbooks that are made for alerts that nobody wrote one for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence.evidence import Query
from agent_sre.evidence.kubernetes.resources import RESOURCES
from agent_sre.evidence.playbook import GENERIC, LOOKS, Playbook, PlaybookLook, fill, load_playbooks, playbook_for, prioritised, values_of
from agent_sre.evidence.playbook_derived import TOPICS, derived, playbook_of, topic_of
from agent_sre.evidence.prometheus.explore import KINDS
from agent_sre.kit.errors import BadSetting
from evidence.builders import an_alert

PLAYBOOKS = load_playbooks()
CATALOGUE = Path(__file__).parents[2].parent / "shared" / "data" / "alert_catalogue.json"
OWN = ("value", "threshold", "active", "rule", "up", "targets", "changes")


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda playbook: playbook.name)
def test_every_packaged_playbook_says_what_to_look_at_and_why(playbook: Playbook) -> None:
    assert len(playbook.evidence) >= 2
    looks = [item.look for item in playbook.evidence]
    assert len(set(looks)) == len(looks)
    assert all(item.why.strip() for item in playbook.evidence)


def test_what_playbooks_may_look_at_is_what_sources_are_asked() -> None:
    plurals = set(RESOURCES)
    for look, asked in LOOKS.items():
        for source, kind in asked:
            if source == "prometheus":
                assert kind in (*OWN, *KINDS), look
            if source == "kubernetes" and kind != "logs":
                assert kind in plurals, look


@pytest.mark.skipif(not CATALOGUE.is_file(), reason="the shared catalogue is not here")
def test_every_alert_of_the_catalogue_has_a_playbook_that_looks_at_something() -> None:
    text = json.dumps(json.loads(CATALOGUE.read_text(encoding="utf-8")))
    names = sorted({name for playbook in PLAYBOOKS for name in playbook.alerts if f'"{name}"' in text})
    assert len(names) >= 100
    assert all(playbook_for(name, PLAYBOOKS).evidence for name in names)


def query(source: str, kind: str) -> Query:
    return Query(id="", source=source, kind=kind, expression=kind, purpose=f"what {kind} says")


def test_what_the_playbook_names_is_asked_first_with_its_reason_and_nothing_is_lost() -> None:
    playbook = replace(PLAYBOOKS[0], evidence=(PlaybookLook(look="memory", why="it may leak"), PlaybookLook(look="logs", why="it may say why")))
    asked = [query("prometheus", kind) for kind in ("value", "latency", "memory", "cpu")]
    ordered = prioritised(asked, playbook)
    assert [item.kind for item in ordered] == ["memory", "value", "latency", "cpu"]
    assert ordered[0].purpose == "what memory says (the playbook: it may leak)"
    assert ordered[1] == asked[0]
    assert [item.kind for item in prioritised([query("loki", "errors"), query("loki", "patterns")], playbook)] == ["patterns", "errors"]
    assert prioritised(asked, None) == tuple(asked)


def test_a_look_that_nobody_knows_is_an_error_that_names_itself(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        "[[playbook]]\nname = 'mine'\ntitle = 'Mine'\nalerts = ['Mine']\nmeaning = 'm'\nimpact = 'i'\nevidence = [{ look = 'stars', why = 'w' }]\n"
        "causes = [{ cause = 'c', check = 'k' }]\nsteps = [{ horizon = 'Immediate', text = 't' }]\n"
    )
    with pytest.raises(BadSetting, match=r"mine\.toml.*evidence 1: look: must be one of value"):
        load_playbooks(tmp_path)


# Derived


def unknown(name: str, expression: str) -> Playbook:
    from urllib.parse import urlencode

    url = f"http://prometheus.example/graph?{urlencode({'g0.expr': expression})}" if expression else ""
    return playbook_of(replace(an_alert(name, labels={"namespace": "shop"}), generator_url=url), PLAYBOOKS)


@pytest.mark.parametrize(
    ("name", "expression", "topic"),
    [
        ("TillTooBusy", "sum(rate(till_cpu_seconds_total[5m])) > 3", "cpu"),
        ("ShopWaits", "till_queue_depth > 100", "queue"),
        ("ShopBad", "histogram_quantile(0.9, sum by (le) (rate(till_request_duration_seconds_bucket[5m]))) > 1", "latency"),
        ("ShopOdd", "till_something_odd > 7", "value"),
    ],
)
def test_an_alert_that_nobody_knows_gets_a_playbook_from_what_its_rule_watches(name: str, expression: str, topic: str) -> None:
    playbook = unknown(name, expression)
    if playbook_for(name, PLAYBOOKS).name != GENERIC:
        pytest.fail("the name is known, so this tests nothing")
    assert playbook.name == f"{GENERIC}-{topic}"
    filled = fill(playbook, values_of(an_alert().subject, {"alertname": name}))
    assert "till_" in filled.meaning
    assert filled.queries[0].text == expression
    assert {item.look for item in playbook.evidence} <= set(LOOKS)


def test_a_playbook_that_somebody_wrote_wins_and_without_an_expression_the_generic_one_stays() -> None:
    assert unknown("KubePodCrashLooping", "till_queue_depth > 1").name == "pod-crash-looping"
    assert unknown("TillTooBusy", "").name == GENERIC


def test_every_topic_looks_at_known_things_and_tells_its_causes_apart() -> None:
    for topic in TOPICS:
        assert {look for look, _ in topic.looks} <= set(LOOKS)
        assert len(topic.causes) >= 3
        assert topic_of(topic.name, ()).name in {one.name for one in TOPICS}


@given(name=st.text(max_size=300), expression=st.text(max_size=300), metrics=st.lists(st.text(max_size=80), max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_alert_gives_a_playbook_that_can_be_filled_in(name: str, expression: str, metrics: list[str]) -> None:
    playbook = derived(name, expression, metrics, PLAYBOOKS[-1])
    filled = fill(playbook, values_of(an_alert().subject, {"alertname": name}))
    assert filled.meaning
    assert filled.causes
    assert len(filled.meaning) < 2_000
    assert unknown(name, expression).causes


def test_the_rule_s_own_expression_stays_promql() -> None:
    text = 'sum by (le) (rate(till_wait_seconds_bucket{namespace="shop",code!~"2.."}[5m])) > 0.5'
    promql_parser.parse(unknown("TillOdd", text).queries[0].text)
