"""No answer keeps a secret, whichever source it came from: one function between all sources and everything that reads their answers.

Most sources redact as they read, because they know what they cut. What a new one forgets is caught here, before the board, the store, the rules, the
model and the page see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar, cast

from agent_sre.kit.redact import redact, redact_named

T = TypeVar("T")

_remembered = lru_cache(maxsize=16_384)(redact)
_remembered_by_name = lru_cache(maxsize=16_384)(redact_named)
"""The same labels come with every series."""

_LONG = 2_000


def redacted(value: T) -> T:
    """The value with every text in it redacted, names of labels included; the very same value where that changes nothing."""
    return cast(T, _redacted(value))


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return _unless_same(value, _remembered(value) if len(value) < _LONG else redact(value))
    if isinstance(value, tuple):
        # the points of a curve: pairs of numbers, by the thousand
        if value and isinstance(value[0], tuple) and all(isinstance(one, float) for one in value[0]):
            return value
        return _unless_same(value, tuple(_redacted(one) for one in value))
    if isinstance(value, list):
        return _unless_same(value, [_redacted(one) for one in value])
    if isinstance(value, Mapping):
        return _unless_same(value, {_redacted(name): _named(name, one) for name, one in value.items()})
    if is_dataclass(value) and not isinstance(value, type):
        changed = {one.name: new for one in fields(value) if (new := _redacted(old := getattr(value, one.name))) is not old}
        return replace(value, **changed) if changed else value
    return value


def _named(name: object, value: Any) -> Any:
    """A value may be a secret by its name only: `password: hunter2`. Names of Kubernetes secrets are none."""
    if isinstance(name, str) and isinstance(value, str):
        return _unless_same(value, _remembered_by_name(name, value) if len(value) < _LONG else redact_named(name, value))
    return _redacted(value)


def _unless_same(old: Any, new: Any) -> Any:
    return old if new == old else new
