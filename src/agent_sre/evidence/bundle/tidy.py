"""Texts out of a bundle made fit to keep: clean, redacted, cut. The same words come thousands of times, so the answers are remembered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import orjson

from agent_sre.evidence.routes import routes_of
from agent_sre.kit.redact import redact
from agent_sre.kit.text import clean

MAX_TEXT = 1_000
MAX_BYTES = 24_000
"""Of one manifest, as JSON. A pod with three containers takes 3 to 5 KB."""

_MAX_ITEMS = 200
_MAX_DEPTH = 24
_MAX_NODES = 5_000

_SUSPICIOUS = re.compile(r"://|[=:]|PRIVATE|AKIA|eyJ|gh[pousr]_|xox|(?i:bearer|basic)")
"""Where none of these is, `redact` finds nothing."""

_SECRET_NAME = re.compile(
    r"(?i)passw|passphrase|(?:^|[_.-])pwd|secret|credential|token|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|encryption[_-]?key"
    r"|(?:^|[_.-])(?:auth|dsn|salt|jwt)$"
)
_HARMLESS_NAME = re.compile(
    r"(?i)[_.-](?:url|uri|host|hostname|port|addr|address|endpoint|service|file|path|dir|ttl|name|namespace|enabled|expiry|timeout)$"
)
"""`TOKEN_URL` says where a token comes from, and wrong addresses are what reports are about."""

_FLAG = re.compile(r"(?<= )(--?[A-Za-z][\w.-]*)( +|=)(?!-)(\S+)")
_MASKED = "<secret>"
_NOISE = frozenset({"managedFields", "selfLink", "terminationMessagePath", "terminationMessagePolicy"})
_NOISY_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
_VALUES = frozenset({"data", "stringData", "binaryData"})
_NOISE_BY_KIND = {"Node": frozenset({"images"}), "HelmRelease": frozenset({"values"}), "Kustomization": frozenset({"substitute"})}


@lru_cache(maxsize=65_536)
def tidy(text: str, limit: int = MAX_TEXT) -> str:
    """The text without control characters and without what looks like a secret, at most `limit` long."""
    kept = clean(text, limit)
    return redact(kept) if _SUSPICIOUS.search(kept) else kept


def secret_free(values: Sequence[str], name: str = "") -> list[str]:
    """Arguments, or the value of the variable `name`: `--db-password=x` and `DB_PASSWORD` lose the x."""
    if name:
        return [_MASKED if value and is_secret_name(name) else _flags_masked(tidy(value)) for value in values]
    found: list[str] = []
    follows = False
    for value in values:
        flag, equals, _ = value.partition("=")
        named = flag.startswith("-") and is_secret_name(flag)
        masked = _MASKED if follows and not flag.startswith("-") else f"{tidy(flag)}={_MASKED}" if named and equals else _flags_masked(tidy(value))
        found.append(masked)
        follows = named and not equals
    return found


def _flags_masked(text: str) -> str:
    """A command line inside of one text: `sh -c "migrate --db-password x"`."""
    if " -" not in text:
        return text
    return _FLAG.sub(lambda match: f"{match[1]}{match[2]}{_MASKED}" if is_secret_name(match[1]) else match[0], text)


@lru_cache(maxsize=8_192)
def is_secret_name(name: str) -> bool:
    """Whether a variable or a flag of this name usually holds a secret."""
    return bool(_SECRET_NAME.search(name)) and not _HARMLESS_NAME.search(name)


def annotations_of(pairs: Mapping[str, str]) -> dict[str, str]:
    """Annotations without the configuration that kubectl repeats in one of them."""
    return {
        tidy(name, 200): _MASKED if is_secret_name(name) else tidy(value, 300)
        for name, value in pairs.items()
        if not name.startswith(_NOISY_ANNOTATION)
    }


# Whole manifests


def trimmed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of JSON or YAML without noise and secrets, bounded in size. Never raises, whatever the shapes; what does not fit is missing.

    Keys of ConfigMaps stay, with None in place of the value; `routes` has the routes that a value tells (evidence/routes.py).
    """
    return _Trimmer(str(manifest.get("kind"))).object(manifest)


class _Trimmer:
    def __init__(self, kind: str) -> None:
        self._noise = _NOISE | _NOISE_BY_KIND.get(kind, frozenset())
        self._nodes = _MAX_NODES  # aliases make a small YAML file a huge tree
        self._bytes = MAX_BYTES

    def object(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        # Who it is and how it is comes before what it should be, if there is no room for both.
        order = sorted(manifest, key=lambda name: (name not in ("apiVersion", "kind", "metadata"), name != "status"))
        found: dict[str, Any] = {}
        for name in order:
            value = manifest[name]
            if name in _VALUES:
                value = dict.fromkeys(value) if isinstance(value, Mapping) else None
            kept = self._mapping([(name, value)], 0)
            found |= kept
        if manifest.get("kind") == "ConfigMap" and (routes := routes_of(manifest.get("data"))):
            found["routes"] = self._value(routes, 1, "routes")
        return found

    def _mapping(self, items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for count, (raw, value) in enumerate(items):
            if count >= _MAX_ITEMS or self._spent():
                break
            name = tidy(raw if isinstance(raw, str) else str(raw)[:200], 200)
            if name in self._noise or name in found:
                continue
            self._bytes -= len(name) + 4
            if name == "annotations" and isinstance(value, Mapping):
                value = annotations_of({str(key): text for key, text in value.items() if isinstance(text, str)})
            found[name] = self._value(value, depth + 1, name)
        return found

    def _value(self, value: Any, depth: int, name: str) -> Any:
        self._nodes -= 1
        if isinstance(value, str):
            text = tidy(value)
            self._bytes -= len(orjson.dumps(text))
            return text
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            self._bytes -= 8
            return value if abs(value) < 2**63 else None  # not a number is not smaller either
        if isinstance(value, datetime | date):  # YAML's own idea of an unquoted time
            return value.isoformat().replace("+00:00", "Z")
        if depth >= _MAX_DEPTH or self._spent():
            return None
        if isinstance(value, Mapping):
            return self._mapping(value.items(), depth)
        if isinstance(value, list | tuple):
            found = []
            for item in _masked(name, value)[:_MAX_ITEMS]:
                if self._spent():
                    break
                found.append(self._value(item, depth + 1, ""))
            return found
        return None

    def _spent(self) -> bool:
        return self._nodes <= 0 or self._bytes <= 0


def _masked(name: str, values: list[Any] | tuple[Any, ...]) -> list[Any]:
    if name == "env":
        return [
            {**item, "value": _MASKED} if isinstance(item, Mapping) and item.get("value") and is_secret_name(str(item.get("name", ""))) else item
            for item in values
        ]
    if name in ("args", "command") and all(isinstance(value, str) for value in values):
        return list(secret_free([str(value) for value in values]))
    return list(values)
