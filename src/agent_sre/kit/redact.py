"""Secrets leave every message that people or files may see."""

from __future__ import annotations

import re

_NAMED = re.compile(
    # No boundary in front: DB_PASSWORD and mysqlpwd are names too. Nothing may stand between the word and the sign but the quotes of JSON, so
    # that `max_tokens=700` and `secretName: x` stay.
    r"(?i)(password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
    r"((?:\\?[\"'])?\s*[=:]\s*)"
    r"(\\\"[^\"]*\"|\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
)

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://[^\s/:@]+):([^\s/@]+)@"), r"\1:<secret>@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), r"\1 <secret>"),
    (_NAMED, r"\1\2<secret>"),
    (
        re.compile(r"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}|\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+"),
        "<secret>",
    ),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), "<secret>"),
)


_TELLING = re.compile(r"[=:]|PRIVATE|AKIA|eyJ|gh[pousr]_|xox|(?i:bearer|basic)")
"""What every rule needs to find something. Most texts are words and names, and have none of these."""


def redact(text: str) -> str:
    """The text with whatever looks like a secret replaced by `<secret>`: URL passwords, bearer tokens, `password=…`, well-known key shapes."""
    if not _TELLING.search(text):
        return text
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
