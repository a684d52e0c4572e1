"""Reading a request's body: bounded in size, in time, and over all requests together."""

from __future__ import annotations

import asyncio
import hmac

from fastapi import Request
from starlette.requests import ClientDisconnect

from agent_sre.alert.inbox import InboxSettings
from agent_sre.kit.errors import AgentSREError, Forbidden, Unavailable

_PATIENCE = 4
"""How many times the limit is read, to let the sender come to its end, before the connection is cut."""


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
        size = kept = 0
        limit = self._settings.max_body_bytes
        try:
            async with asyncio.timeout(self._settings.body_timeout.total_seconds()):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        # What follows is read and dropped: whoever is cut off while sending never reads our 413.
                        chunks.clear()
                        self._in_flight -= kept
                        kept = 0
                        if size > limit * _PATIENCE:
                            break
                        continue
                    kept += len(chunk)
                    self._in_flight += len(chunk)
                    if self._in_flight > self._settings.max_bytes_in_flight:
                        raise Unavailable("Too much is being received at once; try again.")
                    chunks.append(chunk)
        except TimeoutError as error:
            raise TooSlow("The body did not come in time.") from error
        except ClientDisconnect as error:
            raise TooSlow("The sender went away.") from error
        finally:
            self._in_flight -= kept
        if size > limit:
            raise TooLarge(f"The body is larger than {limit} bytes (AGENT_SRE_MAX_BODY_BYTES).")
        return b"".join(chunks)


def require_token(request: Request, token: str) -> None:
    """Raises Forbidden where a token is asked for and the request does not carry exactly it."""
    if not token:
        return
    given = request.headers.getlist("authorization")
    expected = f"Bearer {token}".encode()
    if len(given) != 1 or not hmac.compare_digest(given[0].encode(errors="replace"), expected):
        raise Forbidden("This needs the webhook token: Authorization: Bearer <token>.")
