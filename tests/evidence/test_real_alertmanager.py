"""The source against Debian's Alertmanager 0.25: what is silenced, what inhibited, and that a matcher means what it says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_sre.alert.alert import fingerprint_of
from agent_sre.evidence.alertmanager.client import AlertmanagerClient, AlertmanagerSettings, Matcher
from agent_sre.evidence.alertmanager.source import AlertmanagerSource
from agent_sre.evidence.evidence import Evidence, Fact
from agent_sre.kit.clock import SystemClock
from agent_sre.store.engine import StoreSettings, open_store
from evidence.builders import an_alert, an_incident
from programs import real_alertmanager

pytestmark = pytest.mark.real

CONFIG = """\
route: {receiver: 'null', group_by: [alertname]}
receivers: [{name: 'null'}]
inhibit_rules:
- source_matchers: ['severity="critical"']
  target_matchers: ['severity="warning"']
  equal: [namespace, pod]
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_alertmanager(tmp_path_factory.mktemp("am"), CONFIG) as running:
        yield running.url


def post(url: str, path: str, body: object) -> Any:
    request = urllib.request.Request(f"{url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def fire(url: str, *labels: Mapping[str, str]) -> None:
    now = datetime.now(UTC)
    times = {"startsAt": (now - timedelta(minutes=5)).isoformat(), "endsAt": (now + timedelta(minutes=10)).isoformat()}
    post(url, "/api/v2/alerts", [{"labels": dict(item), **times} for item in labels])


def silence(url: str, *matchers: Matcher) -> str:
    now = datetime.now(UTC)
    wanted = [{"name": item.name, "value": item.value, "isRegex": item.is_regex, "isEqual": item.is_equal} for item in matchers]
    times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=2)).isoformat()}
    made: str = post(url, "/api/v2/silences", {"matchers": wanted, **times, "createdBy": "ada", "comment": "node upgrade"})["silenceID"]
    return made


def end_silence(url: str, silence_id: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/v2/silence/{silence_id}", method="DELETE"), timeout=10):
        pass


def facts(evidence: Evidence, name: str) -> list[Fact]:
    return [item for item in evidence.data if isinstance(item, Fact) and item.name == name]


async def test_what_fires_is_silenced_and_is_inhibited_comes_out_as_it_is(url: str, tmp_path: Path) -> None:
    cart = {"namespace": "shop", "pod": "cart-0"}
    own = an_alert("HighMemory", labels=cart)
    fire(
        url,
        own.labels,
        {"alertname": "PodDown", "severity": "critical", "namespace": "shop", "pod": "web-0", "cluster": "prod-eu1"},
        {"alertname": "PodSlow", "severity": "warning", "namespace": "shop", "pod": "web-0", "cluster": "prod-eu1"},
        {"alertname": "Chatty", "severity": "warning", "namespace": "shop", "pod": "log-0", "cluster": "prod-eu1"},
    )
    silence(url, Matcher(name="alertname", value="Chatty"))
    ended = silence(url, Matcher(name="pod", value="cart-[0-9]+", is_regex=True), Matcher(name="namespace", value="shop"))
    end_silence(url, ended)
    store = open_store(StoreSettings(database_url=f"sqlite:///{tmp_path / 'am.db'}"))
    incident = an_incident(own)
    assert own.fingerprint == fingerprint_of(own.labels)
    async with contextlib.aclosing(AlertmanagerSource(AlertmanagerClient(AlertmanagerSettings(url=url)), store, SystemClock())) as source:
        async with asyncio.timeout(10):
            while True:
                firing, silences = [await source.fetch(query, incident) for query in source.plan(incident, datetime.now(UTC))]
                if len(facts(silences, "suppressed")) == 2:
                    break
                await asyncio.sleep(0.1)  # Alertmanager inhibits a moment after the post
        health = await source.check(timedelta(seconds=2))
    store.close()
    assert firing.summary == ("1 other alert fires at Alertmanager (1 same namespace): PodDown; 1 of them is not known here: PodDown")
    assert facts(firing, "own")[0].values["state"] == "active"
    assert [(fact.values["name"], bool(fact.values["silenced_by"]), bool(fact.values["inhibited_by"])) for fact in facts(silences, "suppressed")] == [
        ("Chatty", True, False), ("PodSlow", False, True),
    ]  # fmt: skip
    over, in_force = facts(silences, "silence")
    assert (over.values["id"], over.values["state"], over.values["covers_incident"]) == (ended, "expired", True)
    assert (in_force.values["created_by"], in_force.values["comment"], in_force.values["covers_incident"]) == ("ada", "node upgrade", False)
    assert health.reason == "Alertmanager 0.25.0 answers"


AWKWARD = [
    'a"b', '"', "\\", "\\\\", '\\"', "\\n", "a\nb", "\n", " ", " lead", "trail ", "\t", "a,b", '"}', '",x="', "{}", "=~", "(a+)+$", "$1",
    "%", "&", "+", "#", "é", "日本", "🦀", "\u202e", "\x00", "\x7f", "\r", "\r\n", "\u2028", "\x1b[31m", "'", "`", '"quoted"', '\\"\n\\', "x" * 900,
]  # fmt: skip


async def test_any_label_value_selects_exactly_itself(url: str) -> None:
    rng = random.Random(7)
    alphabet = ['"', "\\", "n", "\n", " ", "a", "=", "~", "!", ",", "{", "}", "é", "\u3042", "\t", "\x01"]
    values = list(dict.fromkeys([*AWKWARD, *("".join(rng.choices(alphabet, k=rng.randint(1, 8))) for _ in range(160))]))
    fire(url, *({"alertname": "Oracle", "value": value} for value in values))
    name = Matcher(name="alertname", value="Oracle")
    async with contextlib.aclosing(AlertmanagerClient(AlertmanagerSettings(url=url))) as client:

        async def selected(*matchers: Matcher) -> list[str]:
            return [item.labels["value"] for item in await client.alerts((name, *matchers))]

        assert sorted(await selected()) == sorted(values)
        for value in values:
            assert await selected(Matcher(name="value", value=value)) == [value]
            assert len(await selected(Matcher(name="value", value=value, is_equal=False))) == len(values) - 1
