"""Texts out of a bundle made fit to keep: clean, redacted, cut. The same words come thousands of times, so the answers are remembered.

Whole manifests are trimmed by kubernetes/trim.py, whoever told us of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from agent_sre.evidence.kubernetes.trim import MASKED, is_secret_name, masked_arguments, masked_flags
from agent_sre.kit.redact import redact
from agent_sre.kit.text import clean

MAX_TEXT = 1_000
_NOISY_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"


@lru_cache(maxsize=65_536)
def tidy(text: str, limit: int = MAX_TEXT) -> str:
    """The text without control characters and without what looks like a secret, at most `limit` long."""
    # Redacted before it is cut: half a secret is none that a rule would know.
    kept = redact(clean(text, 4 * limit))
    return kept if len(kept) <= limit else clean(kept, limit)


def secret_free(values: Sequence[str], name: str = "") -> list[str]:
    """Arguments, or the value of the variable `name`: `--db-password=x` and `DB_PASSWORD` lose the x."""
    if name:
        return [MASKED if value and is_secret_name(name) else masked_flags(tidy(value)) for value in values]
    return [tidy(value) for value in masked_arguments(values)]


def annotations_of(pairs: Mapping[str, str]) -> dict[str, str]:
    """Annotations without the configuration that kubectl repeats in one of them."""
    return {
        tidy(name, 200): MASKED if is_secret_name(name) else tidy(value, 300)
        for name, value in pairs.items()
        if not name.startswith(_NOISY_ANNOTATION)
    }
