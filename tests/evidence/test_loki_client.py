"""The client over real sockets: what it asks, what it makes of answers, and that every failure is one of our errors, without secrets."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence.logs.lines import LogLine
from agent_sre.evidence.loki import client as module
from agent_sre.evidence.loki.client import LokiClient, LokiSettings
from agent_sre.kit.errors import AgentSREError, BadSetting, Forbidden, RateLimited, Rejected, Unavailable
from fakes.http import FAULTS, refuse
from fakes.loki import FakeLoki

TOKEN = "s3cr3t-token-for-loki"
NOW = datetime(2026, 11, 23, 6, 45, tzinfo=UTC)
START = NOW - timedelta(minutes=10)
CART = {"namespace": "shop", "pod": "cart-0"}
CALLS: dict[str, Callable[[LokiClient], Awaitable[object]]] = {
    "labels": lambda client: client.labels(START, NOW),
    "series": lambda client: client.series(['{a="b"}'], START, NOW),
    "lines": lambda client: client.lines('{a="b"}', START, NOW, limit=100),
    "counts": lambda client: client.counts('sum(count_over_time({a="b"} [60s]))', START, NOW, timedelta(minutes=1)),
    "count": lambda client: client.count('sum(count_over_time({a="b"} [60s]))', NOW),
}


@pytest.fixture
async def loki() -> AsyncIterator[FakeLoki]:
    async with FakeLoki(secret=TOKEN, tenant="team-a", authorization=f"Bearer {TOKEN}") as fake:
        yield fake


@pytest.fixture
async def client(loki: FakeLoki) -> AsyncIterator[LokiClient]:
    client = client_of(loki.url)
    yield client
    await client.aclose()


def client_of(url: str, *, timeout: float = 5.0) -> LokiClient:
    settings = LokiSettings(url=url, tenant="team-a", bearer_token=TOKEN, timeout=timedelta(seconds=timeout), max_body_bytes=1 << 20)
    return LokiClient(settings)


# Answers


async def test_the_newest_lines_come_oldest_first_with_their_times_and_levels(loki: FakeLoki, client: LokiClient) -> None:
    loki.push(CART, "one", "two", "three", at=START, apart=1)
    loki.push(CART | {"level": "info"}, "four", at=START + timedelta(seconds=0.5), level="warn")
    streams = {stream.labels.get("level", ""): stream.lines for stream in await client.lines('{namespace="shop"}', START, NOW, limit=3)}
    assert streams == {
        "": (LogLine("two", START.timestamp() + 1), LogLine("three", START.timestamp() + 2)),
        "info": (LogLine("four", START.timestamp() + 0.5, "warn"),),
    }
    request = loki.requests[0]
    assert (request.method, request.path) == ("GET", "/loki/api/v1/query_range")
    assert request.form == {
        "query": '{namespace="shop"}', "start": f"{START.timestamp():.0f}000000000", "end": f"{NOW.timestamp():.0f}000000000", "limit": "3",
        "direction": "backward",
    }  # fmt: skip
    assert request.headers["x-scope-orgid"] == "team-a"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["user-agent"].startswith("agent-sre/")


async def test_labels_and_series_are_those_of_the_time(loki: FakeLoki, client: LokiClient) -> None:
    assert await client.labels(START, NOW) == frozenset()
    loki.push(CART, "x", at=START)
    loki.push({"app": "old"}, "x", at=START - timedelta(days=1))
    assert await client.labels(START, NOW) == {"namespace", "pod"}
    assert await client.series(['{app="old"}', '{pod="cart-0"}'], START, NOW) == (CART,)
    assert loki.requests[-1].fields["match[]"] == ['{app="old"}', '{pod="cart-0"}']


async def test_counts_are_per_step_and_in_sum(loki: FakeLoki, client: LokiClient) -> None:
    loki.push(CART, *["x"] * 5, at=NOW - timedelta(seconds=90))
    query = 'sum(count_over_time({namespace="shop"} [60s]))'
    (series,) = await client.counts(query, START, NOW, timedelta(minutes=1))
    assert series.points == ((NOW.timestamp() - 60, 5.0),)
    assert await client.count('sum(count_over_time({namespace="shop"} [600s]))', NOW) == 5
    assert await client.count('sum(count_over_time({namespace="other"} [600s]))', NOW) == 0


async def test_structured_metadata_as_older_servers_send_it_is_read_too() -> None:
    for value in (["1", "x", {"detected_level": "error"}], ["1", "x", {"structuredMetadata": {"severity_text": "error"}}]):
        stream = module._stream({"stream": {"level": "info"}, "values": [value]})
        assert stream.lines[0].level == "error"
    assert module._stream({"stream": {"level": "info"}, "values": [["1", "x", 3]]}).lines[0].level == "info"


async def test_basic_authentication_and_a_path_prefix() -> None:
    async with FakeLoki(prefix="/logs", authorization="Basic " + base64.b64encode(b"ops:p@ss").decode()) as loki:
        loki.push(CART, "x", at=START)
        for settings_ in (
            LokiSettings(url=loki.url, username="ops", password="p@ss"),
            LokiSettings(url=loki.url.replace("http://", "http://ops:p%40ss@")),
        ):
            client = LokiClient(settings_)
            assert await client.labels(START, NOW)
            assert client.url == loki.url
            await client.aclose()


# Failures


EXPECTED: dict[str, tuple[type[AgentSREError], str]] = {
    "hang": (Unavailable, "timeout"),
    "slow": (Unavailable, "timeout"),
    "reset": (Unavailable, "unavailable"),
    "truncated": (Unavailable, "unavailable"),
    "400": (Rejected, "rejected"),
    "404": (Rejected, "rejected"),
    "404-html": (Rejected, "rejected"),
    "422": (Rejected, "rejected"),
    "error-200": (Rejected, "rejected"),
    "401": (Forbidden, "forbidden"),
    "403": (Forbidden, "forbidden"),
    "429": (RateLimited, "rate_limited"),
    "500": (Unavailable, "unavailable"),
    "503": (Unavailable, "unavailable"),
    "503-timeout": (Unavailable, "timeout"),
    "redirect": (Rejected, "redirect"),
    "504": (Unavailable, "timeout"),
    "tls": (Unavailable, "unavailable"),
    "huge": (Rejected, "too_large"),
    "huge-length": (Rejected, "too_large"),
    "bomb": (Rejected, "too_large"),
}
EMPTY_IS_AN_ANSWER = {("no-data", "labels"), ("no-data", "series")}  # Go writes an empty list as null


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_is_one_of_our_errors_in_time_and_without_secrets(fault: str) -> None:
    async with FakeLoki(secret=TOKEN, faults={"*": fault}) as loki:
        client = client_of(loki.url, timeout=0.1 if fault in ("hang", "slow") else 5)
        for name, call in CALLS.items():
            began = monotonic()
            if (fault, name) in EMPTY_IS_AN_ANSWER:
                assert not await call(client)
                continue
            kind, reason = EXPECTED.get(fault, (Unavailable, "garbage"))
            with pytest.raises(kind) as caught:
                await call(client)
            assert caught.value.reason == reason
            assert TOKEN not in str(caught.value)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 500
            assert monotonic() - began < 3
        await client.aclose()


async def test_a_refused_connection_says_who_was_asked() -> None:
    client = client_of(refuse())
    with pytest.raises(Unavailable, match=r"Loki at http://127\.0\.0\.1:\d+ cannot be reached"):
        await client.labels(START, NOW)


async def test_a_missing_tenant_names_the_setting() -> None:
    async with FakeLoki(tenant="team-a") as loki:
        client = LokiClient(LokiSettings(url=loki.url))
        with pytest.raises(Forbidden, match=r"refuses us \(401\): no org id; set AGENT_SRE_LOKI_TENANT"):
            await client.labels(START, NOW)
        await client.aclose()


async def test_a_limit_above_the_servers_is_refused_in_its_own_words(loki: FakeLoki, client: LokiClient) -> None:
    loki.max_entries = 1_000
    with pytest.raises(Rejected, match=r"max entries limit per query exceeded, limit > max_entries_limit_per_query \(5000 > 1000\)"):
        await client.lines('{a="b"}', START, NOW, limit=5_000)


ANYTHING: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, 10**400, "", "x", "1", "1e999", "NaN", [], {}, [[]], {"a": {}}, {"a": "b"}, {"detected_level": 7}]
)
ENTRIES = st.lists(st.lists(ANYTHING, max_size=3) | ANYTHING, max_size=3)
ITEM = st.fixed_dictionaries({}, optional={"stream": ANYTHING, "metric": ANYTHING, "values": ENTRIES | ANYTHING, "value": ENTRIES | ANYTHING})


@given(st.sampled_from(["streams", "matrix", "vector"]), ANYTHING | st.lists(ITEM | ANYTHING, max_size=3))
@settings(max_examples=300, deadline=None)
def test_any_answer_is_read_or_is_garbage(kind: str, result: Any) -> None:
    with contextlib.suppress(Unavailable):
        for item in module._dicts(result):
            if kind == "streams":
                module._stream(item)
            else:
                module._labels(item.get("metric"))
                module._points(item.get("values") if kind == "matrix" else [item.get("value")])


@pytest.mark.parametrize("at", ["9" * 5_000, "9" * 30, "-1", "x", 5, None, "١"])
def test_a_strange_time_is_garbage_or_unknown(at: object) -> None:
    with contextlib.suppress(Unavailable):
        assert module._stream({"stream": {}, "values": [[at, "x"]]}).lines[0].at is None


# Settings


@pytest.mark.parametrize("tenant", ["a b", "a\nX-Evil: 1", "é", "a/b", "x" * 151])
def test_a_tenant_that_is_none_stops_the_start(tenant: str) -> None:
    with pytest.raises(BadSetting, match="AGENT_SRE_LOKI_TENANT"):
        LokiClient(LokiSettings(url="http://x", tenant=tenant))


def test_other_settings_that_cannot_work_stop_the_start() -> None:
    for wrong, name in (
        (LokiSettings(url="loki:3100"), "LOKI_URL"),
        (LokiSettings(url="http://x", bearer_token="a\n"), "AGENT_SRE_LOKI_BEARER_TOKEN"),
        (LokiSettings(timeout=timedelta(0)), "AGENT_SRE_LOKI_TIMEOUT"),
        (LokiSettings(max_lines=0), "AGENT_SRE_LOKI_MAX_LINES"),
    ):
        with pytest.raises(BadSetting, match=name):
            LokiClient(wrong)


def test_secrets_are_not_in_the_settings_text() -> None:
    assert "hunter2" not in repr(LokiSettings(url="http://x", bearer_token="hunter2", password="hunter2"))


# Health


async def test_the_check_asks_a_real_question(loki: FakeLoki, client: LokiClient) -> None:
    loki.push(CART, "x", at=datetime.now(UTC) - timedelta(minutes=1))
    health = await client.check(timedelta(seconds=2))
    assert (health.name, health.state, health.reason) == ("loki", "ok", "Loki 3.4.2 answers queries")
    loki.faults["/loki/api/v1/status/buildinfo"] = "404"
    assert (await client.check(timedelta(seconds=2))).state == "ok"
    loki.faults["*"] = "403"
    assert (await client.check(timedelta(seconds=2))).state == "error"


async def test_an_empty_loki_is_well_and_says_that_the_tenant_may_be_wrong(loki: FakeLoki, client: LokiClient) -> None:
    health = await client.check(timedelta(seconds=2))
    assert health.state == "ok"
    assert "is the tenant right?" in health.reason


async def test_the_check_of_what_is_off_or_silent_says_so(loki: FakeLoki, client: LokiClient) -> None:
    assert (await LokiClient(LokiSettings()).check(timedelta(seconds=1))).reason == "LOKI_URL is not set"
    loki.faults["*"] = "hang"
    assert "did not answer within 0.1 s" in (await client.check(timedelta(seconds=0.1))).reason
