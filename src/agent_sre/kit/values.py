"""Plain JSON at the doors, frozen dataclasses inside: the one place where the two meet.

pydantic does the work, so unions, tuples, enums, datetimes and durations come back as what they were.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

import pydantic
from pydantic import TypeAdapter

from agent_sre.kit.errors import BadInput

T = TypeVar("T")


@cache
def _cached_adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(Any, kind))


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    return _cached_adapter(cast(Hashable, kind))


def to_json(kind: type[T], value: T) -> bytes:
    """A value of `kind` as compact UTF-8 JSON."""
    return _adapter(kind).dump_json(value)


def to_plain(kind: type[T], value: T) -> Any:
    """A value of `kind` as JSON-ready dicts, lists, texts and numbers."""
    return _adapter(kind).dump_python(value, mode="json")


def from_json(kind: type[T], data: bytes | str) -> T:
    """The value that `to_json` wrote. Raises BadInput with pydantic's own words where it is not one."""
    try:
        return _adapter(kind).validate_json(data)
    except pydantic.ValidationError as error:
        raise BadInput(f"stored {getattr(kind, '__name__', kind)} cannot be read: {error.errors()[0]['msg']}") from error


def pack(kind: type[T], value: T) -> bytes:
    """`to_json`, deflated: what a table keeps."""
    return zlib.compress(to_json(kind, value), 1)


def unpack(kind: type[T], data: bytes) -> T:
    """The value that `pack` wrote. Raises BadInput where it is not one."""
    try:
        return from_json(kind, zlib.decompress(data))
    except zlib.error as error:
        raise BadInput(f"stored {getattr(kind, '__name__', kind)} cannot be read: {error}") from error
