"""One HTTP API of one configured server, as every source that speaks HTTP needs it: bounded in time and size, every failure one of our errors.

The address comes from the settings only. No redirect is followed and no URL of a payload is ever called, so nobody who can send an alert or
answer a question chooses whom we talk to. What the answers mean is the client's business (prometheus/client.py, alertmanager/client.py):

    api = HttpApi(title="Loki", setting="LOKI_URL", url=settings.url, …)
    answer = await api.call("GET", "/loki/api/v1/query_range", {"query": …})        any status: a redirect, an error page, garbage
    raise api.refusal(path, answer, words) or api.garbage(path)                     what it means where it is not what was wanted
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

import orjson

from agent_sre.evidence.evidence import SourceHealth
from agent_sre.kit.errors import AgentSREError, BadSetting, Forbidden, RateLimited, Rejected, Unavailable
from agent_sre.kit.http import http_client
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

if TYPE_CHECKING:
    import httpx2

Fields = Mapping[str, str | Sequence[str]]
"""The fields of a query string or of a form; several values of one name stand in a sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, whatever it is."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as plain JSON; None where it is not JSON (or is `null`)."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


class HttpApi:
    """Speaks to one server. `title` is what people call it ("Prometheus"), `setting` the variable that holds its address.

    `url` is the address without credentials, fit to show; empty where the source is off. Settings that cannot work raise BadSetting at once.
    No message contains a credential.
    """

    def __init__(
        self,
        *,
        title: str,
        setting: str,
        url: str,
        bearer_token: str = "",
        username: str = "",
        password: str = "",
        headers: Mapping[str, str] | None = None,
        timeout: timedelta,
        max_body_bytes: int,
        connections: int = 20,
    ) -> None:
        prefix = f"AGENT_SRE_{title.upper()}"
        if timeout <= timedelta(0) or max_body_bytes <= 0:
            raise BadSetting(f"{prefix}_TIMEOUT and {prefix}_MAX_BODY_BYTES must be more than nothing.")
        address = _address(url, setting)
        if not username and address.username is not None:
            username, password = unquote(address.username), unquote(address.password or "")
        authorization = _authorization(prefix, bearer_token, username, password)
        self.title = title
        self.setting = setting
        self.url = _without_credentials(address)
        self._timeout = timeout
        self._max_body_bytes = max_body_bytes
        self._connections = connections
        self._headers = {"Accept": "application/json", **(headers or {}), **authorization}
        secrets = {bearer_token, password, address.password or "", authorization.get("Authorization", "").partition(" ")[2]}
        self._secrets = tuple(sorted((text for text in secrets if text), key=len, reverse=True))
        self._http: httpx2.AsyncClient | None = None

    async def aclose(self) -> None:
        """Closes the connections. Safe to call twice."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def call(self, method: str, path: str, fields: Fields, *, max_body_bytes: int | None = None) -> Answer:
        """One exchange: `fields` are the form of a POST, the query string of anything else. `max_body_bytes` makes the settings' bound smaller.

        Raises BadSetting (`reason` "not_configured") without an address, Unavailable ("unavailable", "timeout", "garbage" where the body
        cannot be unpacked), Rejected ("too_large"). Every status is an answer; `refusal` says what it means.
        """
        import httpx2

        if not self.url:
            raise BadSetting(f"{self.setting} is not set.", reason="not_configured")
        try:
            # The client's own time-outs begin anew with every byte that drips in; this one does not.
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await self._exchange(method, path, fields, min(max_body_bytes or self._max_body_bytes, self._max_body_bytes))
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise Unavailable(
                f"{self.title} at {self.url} did not answer {path} within {self._timeout.total_seconds():g} s.", reason="timeout"
            ) from error
        except httpx2.DecodingError as error:
            raise Unavailable(f"{self.title} at {self.url} answered {path} with a body that cannot be unpacked.", reason="garbage") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unavailable(f"{self.title} at {self.url} cannot be reached: {self.safe(str(error)) or type(error).__name__}.") from error

    def refusal(self, path: str, answer: Answer, words: str = "", *, reason: str | None = None) -> AgentSREError | None:
        """What a status outside of 2xx means; None for 2xx. `words` are the server's own about it, where the protocol has a place for them,
        `reason` is that of a 5xx where the protocol tells more than "unavailable".

        Forbidden for 401 and 403, RateLimited for 429, Rejected for other 4xx and for redirects ("redirect"), Unavailable for the rest.
        """
        words, status = self.safe(words), answer.status
        if answer.ok:
            return None
        if status in (401, 403):
            return Forbidden(f"{self.title} at {self.url} refuses us ({status}){_colon(words)}; check its token.")
        if status == 429:
            return RateLimited(f"{self.title} at {self.url} wants fewer requests{_colon(words)}.", retry_after=_retry_after(answer.headers))
        if 300 <= status < 400:
            return Rejected(
                f"{self.title} at {self.url} redirects ({status}), which we do not follow; set {self.setting} to the final address.",
                reason="redirect",
            )
        if 400 <= status < 500:
            return self.rejected(path, answer, words)
        return Unavailable(f"{self.title} at {self.url} answered {path} with {status}{_colon(words)}.", reason=reason)

    def rejected(self, path: str, answer: Answer, words: str = "") -> Rejected:
        """The server understood and said no, in `words` or in the body itself."""
        words = self.safe(words or answer.body[:200].decode(errors="replace"))
        return Rejected(f"{self.title} rejected {path} ({answer.status}){_colon(words)}.")

    def garbage(self, path: str) -> Unavailable:
        """The answer is not the protocol: a login page, a proxy's error, another program."""
        return Unavailable(f"The server at {self.url} answered {path} with something that is not {self.title}'s JSON.", reason="garbage")

    def safe(self, text: str) -> str:
        """Words of the other side, fit for a message: one line, no secret that we know, none that looks like one."""
        for secret in self._secrets:
            text = text.replace(secret, "<secret>")
        return one_line(redact(text), 200).rstrip(".")

    async def check(
        self,
        name: str,
        look: Callable[[], Awaitable[str]],
        timeout: timedelta,  # noqa: ASYNC109  (the bound is the caller's, as in LanguageModel.check)
    ) -> SourceHealth:
        """What `look` finds now: the sentence that it returns, or the error that it raises. Never raises itself."""
        if not self.url:
            return SourceHealth(name=name, state="off", reason=f"{self.setting} is not set")
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return SourceHealth(name=name, state="ok", reason=await look())
        except TimeoutError:
            reason = f"{self.title} at {self.url} did not answer within {timeout.total_seconds():g} s"
            return SourceHealth(name=name, state="error", reason=reason)
        except AgentSREError as error:
            return SourceHealth(name=name, state="error", reason=str(error))

    async def _exchange(self, method: str, path: str, fields: Fields, most: int) -> Answer:
        where: dict[str, Any] = {"data": fields} if method == "POST" else {"params": fields}
        async with self._client().stream(method, path, **where) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > most:
                    raise Rejected(
                        f"{self.title}'s answer to {path} is larger than {most // 1024} KiB; it was not read.",
                        reason="too_large",
                    )
            return Answer(status=response.status_code, headers=response.headers, body=bytes(body))

    def _client(self) -> httpx2.AsyncClient:
        # Made on first use: httpx2 takes a quarter of a second to load, and the webhook must not wait for it.
        if self._http is None:
            self._http = http_client(base_url=self.url, timeout=self._timeout, headers=self._headers, connections=self._connections)
        return self._http


def public_address(url: str, setting: str) -> str:
    """A configured address without credentials, query and trailing slash, for links. Raises BadSetting where it is none."""
    return _without_credentials(_address(url, setting))


def _address(url: str, setting: str) -> SplitResult:
    """The parts of a configured address. Raises BadSetting, never with the address itself: it may hold a password."""
    try:
        parts = urlsplit(url.strip())
        usable = not url.strip() or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url.strip()):
        raise BadSetting(f"{setting} is not an address; write http://host:9090 or https://host/prefix.")
    return parts


def _without_credentials(address: SplitResult) -> str:
    return address._replace(netloc=address.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/")


def _authorization(prefix: str, bearer_token: str, username: str, password: str) -> dict[str, str]:
    """The header that says who we are. Raises BadSetting for a token that cannot be a header."""
    if bearer_token:
        if not bearer_token.isascii() or not bearer_token.isprintable():
            raise BadSetting(f"{prefix}_BEARER_TOKEN has characters that no header can carry; is there a line break in it?")
        return {"Authorization": f"Bearer {bearer_token}"}
    if not username:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"}


def _colon(words: str) -> str:
    return f": {words}" if words else ""


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    text = headers.get("Retry-After", "")
    return timedelta(seconds=min(int(text), 86_400)) if text.isascii() and text.isdigit() and len(text) < 10 else None
