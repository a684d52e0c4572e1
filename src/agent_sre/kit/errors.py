"""One tree of errors, one question: would another try help?

    AgentSREError
    ├── TemporaryError            try again, after `retry_after` where the other side said so
    │   ├── Unavailable           refused, reset, timed out, 5xx
    │   │   └── StoreUnavailable  the database cannot write: disk full, read-only, I/O error
    │   └── RateLimited           429
    └── PermanentError            the same call will fail again
        ├── BadInput              what came in cannot be read; the sentence says what is wrong with it
        ├── BadSetting            a setting is wrong; the sentence names it
        ├── Rejected              the other side understood and said no (400, 404, 422)
        └── Forbidden             401, 403

`reason` is the short token that metrics, gaps and reports use ("timeout", "unavailable", …). The message is for people and says who failed,
doing what, about what. A library's exception is translated where the library is called and kept as `__cause__`.
"""

from __future__ import annotations

from datetime import timedelta


class AgentSREError(Exception):
    """Anything that we expect to go wrong."""

    reason: str = "error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason


class TemporaryError(AgentSREError):
    """Another try may help."""

    reason = "temporary"

    def __init__(self, message: str, *, reason: str | None = None, retry_after: timedelta | None = None) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


class Unavailable(TemporaryError):
    """The other side did not answer, or answered that it cannot."""

    reason = "unavailable"


class StoreUnavailable(Unavailable):
    """The database cannot be read or written now. Nothing of the failed transaction is kept."""

    reason = "store_unavailable"


class RateLimited(TemporaryError):
    """The other side wants fewer requests."""

    reason = "rate_limited"


class PermanentError(AgentSREError):
    """The same call will fail again."""

    reason = "permanent"


class BadInput(PermanentError):
    """What came in cannot be read."""

    reason = "bad_input"


class BadSetting(PermanentError):
    """A setting is wrong. The message names it and says what would be right."""

    reason = "bad_setting"


class Rejected(PermanentError):
    """The other side understood and said no."""

    reason = "rejected"


class Forbidden(PermanentError):
    """The other side does not let us."""

    reason = "forbidden"
