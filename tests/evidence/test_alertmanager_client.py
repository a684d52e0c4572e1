"""The client over real sockets: what it asks, what it makes of answers, and that every failure is one of our errors, without secrets."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_sre.evidence.alertmanager.client import AlertmanagerClient, AlertmanagerSettings, Matcher
from agent_sre.kit.errors import AgentSREError, BadSetting, Forbidden, RateLimited, Rejected, Unavailable
from fakes.alertmanager import FakeAlertmanager, a_silence
from fakes.http import FAULTS, refuse

TOKEN = "s3cr3t-token-for-alertmanager"
CALLS: dict[str, Callable[[AlertmanagerClient], Awaitable[object]]] = {
    "alerts": lambda client: client.alerts(),
    "silences": lambda client: client.silences(),
    "status": lambda client: client.status(),
}


@pytest.fixture
async def alertmanager() -> AsyncIterator[FakeAlertmanager]:
    async with FakeAlertmanager(secret=TOKEN) as fake:
        yield fake


@pytest.fixture
async def client(alertmanager: FakeAlertmanager) -> AsyncIterator[AlertmanagerClient]:
    client = client_of(alertmanager.url)
    yield client
    await client.aclose()


def client_of(url: str, *, timeout: float = 5.0) -> AlertmanagerClient:
    settings = AlertmanagerSettings(url=url, bearer_token=TOKEN, timeout=timedelta(seconds=timeout), max_body_bytes=1 << 20)
    return AlertmanagerClient(settings)


# Matchers


def parsed(text: str) -> Matcher:
    """What Alertmanager reads: 0.25's own parser, and since 0.27 that of Go's quoted strings, which agree on what is written here.

    Source: https://github.com/prometheus/alertmanager/blob/main/pkg/labels/parse.go (ParseMatcher)
    """
    quoted = r'"((?:[^"\\\n]|\\["\\n])*)"'
    found = re.fullmatch(rf"([a-zA-Z_:][a-zA-Z0-9_:]*|{quoted})(=~|!~|!=|=){quoted}", text, re.DOTALL)
    assert found, text
    name, quoted_name, operator, value = found.groups()

    def plain(escaped: str) -> str:
        return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], escaped)

    return Matcher(
        name=name if quoted_name is None else plain(quoted_name), value=plain(value), is_regex="~" in operator, is_equal="!" not in operator
    )


@given(name=st.text(min_size=1), value=st.text(), is_regex=st.booleans(), is_equal=st.booleans())
def test_any_label_and_any_value_is_exactly_one_matcher(name: str, value: str, is_regex: bool, is_equal: bool) -> None:
    matcher = Matcher(name=name, value=value, is_regex=is_regex, is_equal=is_equal)
    assert parsed(str(matcher)) == matcher


def test_matchers_read_as_people_write_them() -> None:
    assert str(Matcher(name="namespace", value="shop")) == 'namespace="shop"'
    assert str(Matcher(name="pod", value="cart-.*", is_regex=True, is_equal=False)) == 'pod!~"cart-.*"'
    assert str(Matcher(name="k8s.pod", value='a"\\\nb')) == r'"k8s.pod"="a\"\\\nb"'


# Answers


async def test_alerts_come_with_their_state_and_who_keeps_them_quiet(alertmanager: FakeAlertmanager, client: AlertmanagerClient) -> None:
    alertmanager.hold({"alertname": "A", "namespace": "shop"}, annotations={"summary": "s"}, generatorURL="http://p/graph")
    alertmanager.hold({"alertname": "B"}, silenced_by=["s1"], inhibited_by=["f1"])
    (active,) = await client.alerts((Matcher(name="namespace", value="a b&c"), Matcher(name="x", value="")))
    assert (active.name, active.state, active.receivers, active.generator_url) == ("A", "active", ("ai-agent-webhook",), "http://p/graph")
    assert (active.annotations, active.starts_at) == ({"summary": "s"}, datetime(2026, 11, 23, 6, tzinfo=UTC))
    request = alertmanager.requests[0]
    assert request.fields["filter"] == ['namespace="a b&c"', 'x=""']
    assert {name: request.form[name] for name in ("active", "silenced", "inhibited")} == {"active": "true", "silenced": "false", "inhibited": "false"}
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    (quiet,) = await client.alerts(active=False, suppressed=True)
    assert (quiet.silenced_by, quiet.inhibited_by, quiet.state) == (("s1",), ("f1",), "suppressed")


async def test_silences_say_who_and_until_when(alertmanager: FakeAlertmanager, client: AlertmanagerClient) -> None:
    alertmanager.silences = [
        a_silence("s1", ("pod", "=~", "cart.*"), ("env", "!=", "dev")),
        {"id": "s2", "status": {"state": "expired"}, "matchers": None},
    ]
    first, second = await client.silences()
    assert [str(matcher) for matcher in first.matchers] == ['pod=~"cart.*"', 'env!="dev"']
    assert (first.created_by, first.comment, first.ends_at) == ("ada", "planned work", datetime(2026, 11, 23, 9, tzinfo=UTC))
    assert (second.state, second.matchers, second.ends_at) == ("expired", (), None)


async def test_the_status_says_since_when_it_runs(alertmanager: FakeAlertmanager, client: AlertmanagerClient) -> None:
    status = await client.status()
    assert (status.version, status.started_at, status.peers) == ("0.25.0", datetime(2026, 11, 20, tzinfo=UTC), 0)
    alertmanager.started_at = "soon"
    assert (await client.status()).started_at is None


async def test_user_and_password_become_a_header_and_are_shown_nowhere() -> None:
    async with FakeAlertmanager(secret="p@ss-w0rd") as alertmanager:
        inline = alertmanager.url.replace("http://", "http://ops:p%40ss-w0rd@")
        for settings in (
            AlertmanagerSettings(url=alertmanager.url, username="ops", password="p@ss-w0rd"),
            AlertmanagerSettings(url=inline),
        ):
            client = AlertmanagerClient(settings)
            await client.alerts()
            alertmanager.faults["/api/v2/status"] = "500"
            with pytest.raises(Unavailable) as caught:
                await client.status()
            await client.aclose()
            assert alertmanager.requests[-1].headers["authorization"] == "Basic " + base64.b64encode(b"ops:p@ss-w0rd").decode()
            assert "w0rd" not in str(caught.value) + client.url + client.external_url + repr(AlertmanagerSettings(password="p@ss-w0rd"))


# Failures


EXPECTED: dict[str, tuple[type[AgentSREError], str]] = {
    "hang": (Unavailable, "timeout"), "slow": (Unavailable, "timeout"),
    "reset": (Unavailable, "unavailable"), "truncated": (Unavailable, "unavailable"),
    "400": (Rejected, "rejected"), "404": (Rejected, "rejected"), "404-html": (Rejected, "rejected"), "422": (Rejected, "rejected"),
    "401": (Forbidden, "forbidden"), "403": (Forbidden, "forbidden"), "429": (RateLimited, "rate_limited"),
    "500": (Unavailable, "unavailable"), "503": (Unavailable, "unavailable"), "503-timeout": (Unavailable, "unavailable"),
    "redirect": (Rejected, "redirect"), "huge": (Rejected, "too_large"), "huge-length": (Rejected, "too_large"), "bomb": (Rejected, "too_large"),
    "504": (Unavailable, "unavailable"), "tls": (Unavailable, "unavailable"),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_is_one_of_our_errors_in_time_and_without_secrets(fault: str, call: str) -> None:
    async with FakeAlertmanager(secret=TOKEN, faults={"*": fault}) as alertmanager:
        client = client_of(alertmanager.url, timeout=0.1 if fault in ("hang", "slow") else 5)
        began = monotonic()
        kind, reason = EXPECTED.get(fault, (Unavailable, "garbage"))
        with pytest.raises(kind) as caught:
            await CALLS[call](client)
        assert caught.value.reason == reason
        assert TOKEN not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500
        assert monotonic() - began < 3
        await client.aclose()
    assert all(request.path.startswith("/api/v2/") and request.method == "GET" for request in alertmanager.requests)


async def test_a_refused_connection_says_who_was_asked() -> None:
    client = client_of(refuse())
    with pytest.raises(Unavailable, match=r"Alertmanager at http://127\.0\.0\.1:\d+ cannot be reached"):
        await client.alerts()


async def test_alertmanagers_own_words_say_what_is_wrong(alertmanager: FakeAlertmanager, client: AlertmanagerClient) -> None:
    alertmanager.secret = ""
    alertmanager.faults["*"] = "400"
    with pytest.raises(Rejected, match=r"Alertmanager rejected /api/v2/alerts \(400\): parse error: unexpected end of input\."):
        await client.alerts()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "labels",
                    "status",
                    "state",
                    "silencedBy",
                    "receivers",
                    "name",
                    "matchers",
                    "value",
                    "startsAt",
                    "id",
                    "versionInfo",
                    "cluster",
                    "peers",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(document=json_values)
async def test_any_json_is_an_answer_or_garbage(document: object) -> None:
    client = AlertmanagerClient(AlertmanagerSettings(url="http://alertmanager"))

    async def canned(path: str, fields: object) -> object:
        return document

    client._get = canned  # type: ignore[method-assign]
    for call in CALLS.values():
        with contextlib.suppress(Unavailable):
            await call(client)


# Settings


@pytest.mark.parametrize("url", ["alertmanager:9093", "ftp://x", "http://", "http://a b/", "file:///etc/passwd"])
def test_an_address_that_is_none_stops_the_start(url: str) -> None:
    with pytest.raises(BadSetting, match="ALERTMANAGER_URL is not an address"):
        AlertmanagerClient(AlertmanagerSettings(url=url))


def test_a_token_that_no_header_can_carry_stops_the_start() -> None:
    with pytest.raises(BadSetting, match="AGENT_SRE_ALERTMANAGER_BEARER_TOKEN"):
        AlertmanagerClient(AlertmanagerSettings(url="http://x:9093", bearer_token="abc\n"))


# Health


async def test_the_check_asks_for_the_status(alertmanager: FakeAlertmanager, client: AlertmanagerClient) -> None:
    health = await client.check(timedelta(seconds=2))
    assert (health.name, health.state, health.reason) == ("alertmanager", "ok", "Alertmanager 0.25.0 answers")
    alertmanager.faults["*"] = "401"
    health = await client.check(timedelta(seconds=2))
    assert (health.state, "refuses us (401)" in health.reason) == ("error", True)


async def test_without_an_address_the_source_is_off_and_nothing_is_asked() -> None:
    client = AlertmanagerClient(AlertmanagerSettings())
    assert (await client.check(timedelta(seconds=1))).state == "off"
    with pytest.raises(BadSetting) as caught:
        await client.alerts()
    assert caught.value.reason == "not_configured"
