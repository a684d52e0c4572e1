"""Alertmanager's v2 API, the reading half of it. The exchange itself is http_api.py's.

Source: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agent_sre.evidence.evidence import SourceHealth
from agent_sre.evidence.http_api import Answer, HttpApi, public_address
from agent_sre.kit.errors import Unavailable
from agent_sre.kit.text import one_line
from agent_sre.kit.times import parse_instant

NAME = "alertmanager"
SETTING = "ALERTMANAGER_URL"

_CLASSIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerSettings:
    """Which Alertmanager to ask what fires and what is silenced. It is only read."""

    url: str = ""
    """`http://alertmanager-main.monitoring:9093`, with a path prefix where it has one. Default: empty, which switches the source off, and
    the comparison of `[reconcile]` with it."""

    external_url: str = ""
    """The address under which people reach the same Alertmanager; links in reports use it. Default: empty, which means `url`."""

    bearer_token: str = field(default="", repr=False)
    """Sent as `Authorization: Bearer …`. Default: empty."""

    username: str = ""
    """For basic authentication. Default: empty. A `user:password@` in `url` works too."""

    password: str = field(default="", repr=False)
    """The password that belongs to `username`. Default: empty."""

    timeout: timedelta = timedelta(seconds=5)
    """How long one call may take, body included. 5 s: `gather` stops waiting long before."""

    max_body_bytes: int = 16 * 1024 * 1024
    """Answers larger than this are not read to their end. 16 MiB: about 15,000 alerts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One condition on a label: `name="value"`, `!=`, `=~`, `!~`. A missing label counts as an empty value."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def __str__(self) -> str:
        """As Alertmanager, amtool and people write it: `namespace="shop"`.

        Escaped are the backslash, the quote and the line break, which is what both parsers (0.25's own and the UTF-8 one since 0.27) undo.
        Names beyond the classic ones are quoted, which only the newer one reads.
        """
        name = self.name if _CLASSIC_NAME.fullmatch(self.name) else _quoted(self.name)
        return f"{name}{_OPERATORS[self.is_regex, self.is_equal]}{_quoted(self.value)}"


_OPERATORS = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAlert:
    """One alert that Alertmanager holds now. Texts are untrusted."""

    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime | None
    state: str  # active, suppressed, unprocessed
    silenced_by: tuple[str, ...]  # ids of silences
    inhibited_by: tuple[str, ...]  # fingerprints of the alerts that inhibit it
    receivers: tuple[str, ...]
    generator_url: str

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One silence, in force, to come, or ended: Alertmanager remembers ended ones for five days. Texts are untrusted."""

    id: str
    state: str  # active, pending, expired
    matchers: tuple[Matcher, ...]
    starts_at: datetime | None
    ends_at: datetime | None
    created_by: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the server says about itself."""

    version: str
    started_at: datetime | None
    peers: int  # of its cluster, itself included; 0 without one


class AlertmanagerClient:
    """A client for the one Alertmanager of the settings.

    Every method raises AgentSREError only: Unavailable (`reason` "unavailable", "timeout", or "garbage" where the answer is not the
    protocol), Rejected with Alertmanager's own words (400, 404, 422; "redirect"; "too_large"), Forbidden (401, 403), RateLimited (429).
    No message contains a credential. Raises BadSetting at once where the settings cannot work.
    """

    def __init__(self, settings: AlertmanagerSettings) -> None:
        self._api = HttpApi(
            title="Alertmanager",
            setting=SETTING,
            url=settings.url,
            bearer_token=settings.bearer_token,
            username=settings.username,
            password=settings.password,
            timeout=settings.timeout,
            max_body_bytes=settings.max_body_bytes,
        )
        self.url = self._api.url
        self.external_url = public_address(settings.external_url, "AGENT_SRE_ALERTMANAGER_EXTERNAL_URL") or self.url

    async def aclose(self) -> None:
        """Closes the connections. Safe to call twice."""
        await self._api.aclose()

    async def alerts(self, matchers: Sequence[Matcher] = (), *, suppressed: bool = False, active: bool = True) -> tuple[HeldAlert, ...]:
        """The alerts that fulfil all these matchers: the active ones, and the silenced and inhibited ones with `suppressed`."""
        fields = {
            "active": _flag(active), "unprocessed": _flag(active), "silenced": _flag(suppressed), "inhibited": _flag(suppressed),
            "filter": [str(matcher) for matcher in matchers],
        }  # fmt: skip
        return tuple(_alert(item) for item in _objects(await self._get("/api/v2/alerts", fields)))

    async def silences(self) -> tuple[Silence, ...]:
        """All silences that Alertmanager remembers."""
        return tuple(_silence(item) for item in _objects(await self._get("/api/v2/silences", {})))

    async def status(self) -> Status:
        """Version, start and cluster. The configuration that comes along is not looked at."""
        status = await self._get("/api/v2/status", {})
        if not isinstance(status, dict) or not isinstance(status.get("versionInfo"), dict):
            raise _garbage("its version")
        cluster = status.get("cluster")
        peers = cluster.get("peers") if isinstance(cluster, dict) else None
        return Status(
            version=one_line(_string(status["versionInfo"], "version"), 40),
            started_at=parse_instant(status.get("uptime")),
            peers=len(peers) if isinstance(peers, list) else 0,
        )

    async def check(self, timeout: timedelta) -> SourceHealth:  # noqa: ASYNC109  (the bound is the caller's, as in LanguageModel.check)
        """Asks for its status now, so that a wrong token or another program at the address shows. Never raises."""
        return await self._api.check(NAME, self._greeting, timeout)

    async def _greeting(self) -> str:
        status = await self.status()
        cluster = f", one of {status.peers} in its cluster" if status.peers > 1 else ""
        return f"Alertmanager {status.version} answers{cluster}"

    async def _get(self, path: str, fields: Mapping[str, str | Sequence[str]]) -> Any:
        answer = await self._api.call("GET", path, fields)
        document = answer.json()
        if not answer.ok:
            raise self._api.refusal(path, answer, _words(document, answer)) or self._api.garbage(path)
        if not isinstance(document, list | dict):
            raise self._api.garbage(path)
        return document


# Answers: checked field by field, because a proxy's error page is JSON too, sometimes.


def _words(document: object, answer: Answer) -> str:
    """The server's own words: 0.25 to 0.34 answer with a JSON text, its request validator with `{"code": …, "message": …}`."""
    if isinstance(document, dict):
        return _string(document, "message") or _string(document, "error")
    return document if isinstance(document, str) else "" if answer.status >= 500 else answer.body[:200].decode(errors="replace")


def _alert(item: dict[str, Any]) -> HeldAlert:
    status = item.get("status")
    if not isinstance(status, dict):
        raise _garbage("the status of an alert")
    return HeldAlert(
        fingerprint=one_line(_string(item, "fingerprint"), 64),
        labels=_labels(item.get("labels")),
        annotations=_labels(item.get("annotations") or {}),
        starts_at=parse_instant(item.get("startsAt")),
        state=one_line(_string(status, "state"), 20),
        silenced_by=_strings(status.get("silencedBy")),
        inhibited_by=_strings(status.get("inhibitedBy")),
        receivers=tuple(_string(receiver, "name") for receiver in _objects(item.get("receivers"))),
        generator_url=_string(item, "generatorURL"),
    )


def _silence(item: dict[str, Any]) -> Silence:
    status = item.get("status")
    return Silence(
        id=one_line(_string(item, "id"), 64),
        state=one_line(_string(status, "state"), 20) if isinstance(status, dict) else "",
        matchers=tuple(_matcher(matcher) for matcher in _objects(item.get("matchers"))),
        starts_at=parse_instant(item.get("startsAt")),
        ends_at=parse_instant(item.get("endsAt")),
        created_by=_string(item, "createdBy"),
        comment=_string(item, "comment"),
    )


def _matcher(item: dict[str, Any]) -> Matcher:
    return Matcher(
        name=_string(item, "name"),
        value=_string(item, "value"),
        is_regex=item.get("isRegex") is True,
        is_equal=item.get("isEqual") is not False,  # absent before 0.22, where all were equal
    )


def _labels(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _garbage("labels")
    return {name: text for name, text in value.items() if isinstance(text, str)}


def _objects(value: object) -> list[dict[str, Any]]:
    if value is None:  # Go writes an empty list as null
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _garbage("a list of objects")
    return value


def _strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _string(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _garbage(wanted: str) -> Unavailable:
    return Unavailable(f"Alertmanager's answer does not have {wanted} where the protocol has it.", reason="garbage")
