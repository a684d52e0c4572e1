"""Reading a request's body: bounded in size, in time, and over all requests together."""

from __future__ import annotations

import asyncio
import hmac
from datetime import timedelta

from fastapi import Request

from agent_sre.alert.inbox import InboxSettings
from agent_sre.kit.errors import AgentSREError, Forbidden, Unavailable


class TooLarge(AgentSREError):
    """The body is over the limit."""

    reason = "too_large"


class TooSlow(AgentSREError):
    """The body did not come in time."""

    reason = "too_slow"


class BodyReader:
    """Reads bodies, and counts how many bytes of them are in memory."""

    def __init__(self, settings: InboxSettings) -> None:
        self._settings = settings
        self._in_flight = 0

    async def read(self, request: Request) -> bytes:
        """The whole body. Raises TooLarge, TooSlow, or Unavailable where too much is being received at once."""
        chunks: list[bytes] = []
        size = 0
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._settings.max_body_bytes:
            raise TooLarge(self._limit_sentence())
        try:
            async with asyncio.timeout(_seconds(self._settings.body_timeout)):
                async for chunk in request.stream():
                    size += len(chunk)
                    self._in_flight += len(chunk)
                    if size > self._settings.max_body_bytes:
                        raise TooLarge(self._limit_sentence())
                    if self._in_flight > self._settings.max_bytes_in_flight:
                        raise Unavailable("Too much is being received at once; try again.")
                    chunks.append(chunk)
        except TimeoutError as error:
            raise TooSlow("The body did not come in time.") from error
        finally:
            self._in_flight -= size
        return b"".join(chunks)

    def _limit_sentence(self) -> str:
        return f"The body is larger than {self._settings.max_body_bytes} bytes (AGENT_SRE_MAX_BODY_BYTES)."


def require_token(request: Request, token: str) -> None:
    """Raises Forbidden where a token is asked for and the request does not carry exactly it."""
    if not token:
        return
    given = request.headers.getlist("authorization")
    expected = f"Bearer {token}".encode()
    if len(given) != 1 or not hmac.compare_digest(given[0].encode(errors="replace"), expected):
        raise Forbidden("This needs the webhook token: Authorization: Bearer <token>.")


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()
