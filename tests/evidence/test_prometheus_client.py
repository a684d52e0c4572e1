"""The client over real sockets: what it asks, what it makes of answers, and that every failure is one of our errors, without secrets."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from agent_sre.evidence.evidence import Window
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.kit.errors import AgentSREError, BadSetting, Forbidden, RateLimited, Rejected, TemporaryError, Unavailable
from fakes.prometheus import FAULTS, FakePrometheus, FakeSeries, refuse

TOKEN = "s3cr3t-token-for-prometheus"
NOW = datetime(2026, 11, 23, 6, 45, tzinfo=UTC)
WINDOW = Window(start=NOW - timedelta(minutes=1), end=NOW, step=timedelta(seconds=15))
CALLS: dict[str, Callable[[PrometheusClient], Awaitable[object]]] = {
    "query": lambda client: client.query("up", at=NOW),
    "query_range": lambda client: client.query_range("up", WINDOW),
    "rules": lambda client: client.rules("X"),
    "alerts": lambda client: client.alerts(),
    "targets": lambda client: client.targets(),
    "version": lambda client: client.version(),
}


@pytest.fixture
async def prometheus() -> AsyncIterator[FakePrometheus]:
    async with FakePrometheus(secret=TOKEN) as fake:
        yield fake


@pytest.fixture
async def client(prometheus: FakePrometheus) -> AsyncIterator[PrometheusClient]:
    client = client_of(prometheus.url)
    yield client
    await client.aclose()


def client_of(url: str, *, timeout: float = 5.0) -> PrometheusClient:
    settings = PrometheusSettings(url=url, bearer_token=TOKEN, timeout=timedelta(seconds=timeout), max_body_bytes=1 << 20)
    return PrometheusClient(settings)


# Answers


async def test_a_range_query_is_a_form_post_with_a_deadline_for_the_server(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.answer('up{job="a b"}', FakeSeries({"job": "a b"}, lambda at: at % 60))
    result = await client.query_range('up{job="a b"}', WINDOW)
    assert result.series[0].points == ((NOW.timestamp() - 60, 0.0), (NOW.timestamp() - 45, 15.0), (NOW.timestamp() - 30, 30.0),
                                       (NOW.timestamp() - 15, 45.0), (NOW.timestamp(), 0.0))  # fmt: skip
    request = prometheus.requests[0]
    assert (request.method, request.path, request.form["step"], request.form["timeout"]) == ("POST", "/api/v1/query_range", "15", "5s")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["user-agent"].startswith("agent-sre/")


async def test_an_instant_query_has_one_point_per_series(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.answer("x", FakeSeries({"a": "1"}, 1.5), FakeSeries({"a": "2"}, lambda _: None))
    result = await client.query("x", at=NOW)
    assert [(series.labels, series.points) for series in result.series] == [({"a": "1"}, ((NOW.timestamp(), 1.5),))]


async def test_nan_and_infinities_arrive_as_such(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.answer("x", FakeSeries({}, math.nan), FakeSeries({"a": "1"}, math.inf), FakeSeries({"a": "2"}, -math.inf))
    got = [series.points[0][1] for series in (await client.query("x", at=NOW)).series]
    assert math.isnan(got[0])
    assert got[1:] == [math.inf, -math.inf]


async def test_no_series_is_an_answer(client: PrometheusClient) -> None:
    assert (await client.query("nothing", at=NOW)).series == ()
    assert (await client.query_range("nothing", WINDOW)).series == ()


async def test_warnings_are_kept_and_cleaned(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.warnings = ["store gateway\x1b[31m down", "x" * 1000]
    assert (await client.query("x", at=NOW)).warnings[0] == "store gateway[31m down"
    assert len((await client.query("x", at=NOW)).warnings[1]) < 320


async def test_rules_of_a_name_are_found_even_where_the_server_sends_all(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.rule("X", "a > 1", duration=600, labels={"severity": "page"}, health="err", lastError="many-to-many\nmatching")
    prometheus.rule("Y", "b > 1")
    prometheus.rules.append({"type": "recording", "name": "X", "query": "sum(a)"})
    (rule,) = await client.rules("X")
    assert (rule.expression, rule.hold, rule.labels) == ("a > 1", timedelta(minutes=10), {"severity": "page"})
    assert (rule.health, rule.last_error, rule.group) == ("err", "many-to-many matching", "fake")
    assert prometheus.requests[0].form == {"type": "alert", "exclude_alerts": "true", "rule_name[]": "X"}
    assert [rule.name for rule in await client.rules()] == ["X", "Y"]


@pytest.mark.parametrize(("duration", "hold"), [(90, 90), (0.5, 0.5), ("5m", 300), ("soon", 0), (-3, 0), (None, 0), (1e300, 0), ([], 0)])
async def test_a_strange_for_counts_as_none(prometheus: FakePrometheus, client: PrometheusClient, duration: object, hold: float) -> None:
    prometheus.rule("X", "a", duration=duration)
    assert (await client.rules("X"))[0].hold == timedelta(seconds=hold)


async def test_active_alerts_say_when_it_really_began(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    at = "2026-11-23T06:31:10.123456789Z"
    prometheus.alerts = [
        {"labels": {"alertname": "X"}, "state": "firing", "activeAt": at, "value": "9.3e-01"},
        {"labels": {"alertname": "Y"}, "state": "pending", "activeAt": "soon", "value": "+Inf"},
        {"value": "many"},
    ]
    first, second, third = await client.alerts()
    assert (first.state, first.value, first.active_at) == ("firing", 0.93, datetime(2026, 11, 23, 6, 31, 10, 123456, tzinfo=UTC))
    assert (second.value, second.active_at) == (None, None)
    assert (third.labels, third.value) == ({}, None)


async def test_targets_say_why_they_do_not_answer(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    error = 'Get "http://u:hunter2@10.0.0.1/metrics": dial tcp: connection refused'
    prometheus.targets = [{"labels": {"job": "a"}, "health": "down", "lastError": error, "lastScrape": "2026-11-23T06:44:50Z"}]
    (target,) = await client.targets()
    assert (target.health, target.last_scrape_at) == ("down", datetime(2026, 11, 23, 6, 44, 50, tzinfo=UTC))
    assert "connection refused" in target.last_error
    assert "hunter2" not in target.last_error


async def test_null_lists_are_empty_lists(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.rules = prometheus.alerts = prometheus.targets = None  # type: ignore[assignment]  # Go writes nil slices as null
    assert await client.rules() == ()
    assert await client.alerts() == ()
    assert await client.targets() == ()


async def test_a_path_prefix_is_kept() -> None:
    async with FakePrometheus(prefix="/prom") as prometheus:
        client = client_of(prometheus.url + "/")
        await client.query("x", at=NOW)
        await client.aclose()
    assert prometheus.requests[0].path == "/api/v1/query"


async def test_a_password_in_the_address_becomes_a_header_and_is_shown_nowhere() -> None:
    async with FakePrometheus() as prometheus:
        address = prometheus.url.replace("http://", "http://ops:p%40ss-w0rd@")
        client = PrometheusClient(PrometheusSettings(url=address))
        await client.query("x", at=NOW)
        prometheus.faults["*"] = "500"
        prometheus.secret = "p@ss-w0rd"
        with pytest.raises(Unavailable) as caught:
            await client.query("x", at=NOW)
        await client.aclose()
    assert prometheus.requests[0].headers["authorization"] == "Basic " + base64.b64encode(b"ops:p@ss-w0rd").decode()
    assert client.url == client.external_url == prometheus.url
    assert "w0rd" not in str(caught.value)


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
    "504": (Unavailable, "unavailable"),
    "tls": (Unavailable, "unavailable"),
    "huge": (Rejected, "too_large"),
    "huge-length": (Rejected, "too_large"),
    "bomb": (Rejected, "too_large"),
}
EMPTY_IS_AN_ANSWER = {("no-data", "rules"), ("no-data", "alerts"), ("no-data", "targets")} | {
    (fault, "version") for fault in ("no-data", "wrong-types", "scalar-labels")
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_is_one_of_our_errors_in_time_and_without_secrets(fault: str, call: str) -> None:
    async with FakePrometheus(secret=TOKEN, faults={"*": fault}) as prometheus:
        client = client_of(prometheus.url, timeout=0.1 if fault in ("hang", "slow") else 5)
        began = monotonic()
        if (fault, call) in EMPTY_IS_AN_ANSWER:
            assert not await CALLS[call](client)
        else:
            kind, reason = EXPECTED.get(fault, (Unavailable, "garbage"))
            with pytest.raises(kind) as caught:
                await CALLS[call](client)
            assert caught.value.reason == reason
            assert TOKEN not in str(caught.value)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 500
        assert monotonic() - began < 3
        await client.aclose()
    assert all(request.path.startswith("/api/v1/") for request in prometheus.requests)


async def test_a_refused_connection_says_who_was_asked() -> None:
    client = client_of(refuse())
    with pytest.raises(Unavailable, match=r"Prometheus at http://127\.0\.0\.1:\d+ cannot be reached") as caught:
        await client.query("x", at=NOW)
    assert caught.value.reason == "unavailable"


async def test_prometheus_own_words_say_what_is_wrong_with_a_query(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.secret = ""
    prometheus.faults["*"] = "400"
    with pytest.raises(Rejected, match=r"rejected /api/v1/query \(400\): parse error: unexpected end of input\."):
        await client.query("sum(", at=NOW)


async def test_too_many_requests_carry_the_time_to_wait(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.faults["*"] = "429"
    with pytest.raises(TemporaryError) as caught:
        await client.alerts()
    assert caught.value.retry_after == timedelta(seconds=7)


async def test_a_redirect_is_not_followed(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.faults["*"] = "redirect"
    with pytest.raises(Rejected) as caught:
        await client.query("x", at=NOW)
    assert len(prometheus.requests) == 1
    assert "169.254" not in str(caught.value)
    assert "PROMETHEUS_URL" in str(caught.value)


async def test_a_cancelled_call_leaves_a_client_that_works(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.faults["/api/v1/alerts"] = "hang"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.alerts(), 0.05)
    assert (await client.query("x", at=NOW)).series == ()


# Settings


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://x", "http://", "http://[::1", "http://a b/", "http://x:99999999", "file:///etc/passwd"])
def test_an_address_that_is_none_stops_the_start(url: str) -> None:
    with pytest.raises(BadSetting, match="PROMETHEUS_URL is not an address"):
        PrometheusClient(PrometheusSettings(url=url))


def test_a_wrong_address_is_not_repeated_because_it_may_hold_a_password() -> None:
    with pytest.raises(BadSetting) as caught:
        PrometheusClient(PrometheusSettings(url="ftp://u:hunter2@host"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("token", ["abc\n", "tökén", "a\r\nX-Evil: 1"])
def test_a_token_that_no_header_can_carry_stops_the_start(token: str) -> None:
    with pytest.raises(BadSetting, match="AGENT_SRE_PROMETHEUS_BEARER_TOKEN") as caught:
        PrometheusClient(PrometheusSettings(url="http://x:9090", bearer_token=token))
    assert token.strip() not in str(caught.value)


def test_bounds_of_nothing_stop_the_start() -> None:
    for wrong in (PrometheusSettings(timeout=timedelta(0)), PrometheusSettings(max_body_bytes=0)):
        with pytest.raises(BadSetting, match="AGENT_SRE_PROMETHEUS_TIMEOUT"):
            PrometheusClient(wrong)


def test_the_token_is_not_in_the_settings_text() -> None:
    assert TOKEN not in repr(PrometheusSettings(url="http://x", bearer_token=TOKEN))


def test_links_go_to_the_external_address() -> None:
    settings = PrometheusSettings(url="http://prometheus:9090", external_url="https://u:p@prom.example.org/p/")
    assert PrometheusClient(settings).external_url == "https://prom.example.org/p"


# Health


async def test_the_check_asks_a_real_query(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    health = await client.check(timedelta(seconds=2))
    assert (health.name, health.state, health.reason) == ("prometheus", "ok", "Prometheus 3.5.3 answers queries")
    assert prometheus.expressions == ["vector(1)"]


async def test_a_relative_of_prometheus_needs_no_version(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.faults["/api/v1/status/buildinfo"] = "404"
    assert (await client.check(timedelta(seconds=2))).state == "ok"


async def test_a_wrong_token_shows_in_the_check(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.faults["*"] = "401"
    health = await client.check(timedelta(seconds=2))
    assert health.state == "error"
    assert "refuses us (401)" in health.reason
    assert TOKEN not in health.reason


async def test_the_check_returns_in_its_time(prometheus: FakePrometheus, client: PrometheusClient) -> None:
    prometheus.faults["*"] = "hang"
    began = monotonic()
    health = await client.check(timedelta(seconds=0.1))
    assert monotonic() - began < 4  # for a busy machine; the client's own patience is five seconds
    assert health.state == "error"


async def test_without_an_address_the_source_is_off_and_nothing_is_asked() -> None:
    client = PrometheusClient(PrometheusSettings())
    assert (await client.check(timedelta(seconds=1))).state == "off"
    with pytest.raises(BadSetting) as caught:
        await client.alerts()
    assert caught.value.reason == "not_configured"
