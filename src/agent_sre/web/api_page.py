"""The OpenAPI document, flattened for people: one Operation per path and method, one Field per line of a schema, a curl line that works."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")

_MAX_DEPTH = 5
"""How deep a schema is unfolded. Deeper parts are named, not shown; a schema that contains itself ends here too."""

_HERE = "http://localhost:8080"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One line of a schema: `alerts[].labels`, `object`, …"""

    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response of an operation."""

    status: str
    description: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that the API can do."""

    id: str  # unique on the page: "post-webhook-alert"
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    answers: tuple[Answer, ...]
    curl: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """All of it."""

    title: str
    version: str
    description: str
    operations: tuple[Operation, ...]  # in the order of the document


def describe_api(document: Mapping[str, Any]) -> Api:
    """The document, unfolded. What is missing or malformed in it is left out, never an error."""
    info = _dict(document.get("info"))
    return Api(
        title=str(info.get("title", "API")),
        version=str(info.get("version", "")),
        description=str(info.get("description", "")),
        operations=tuple(
            _operation(document, path, method, item)
            for path, methods in _dict(document.get("paths")).items()
            for method in METHODS
            if (item := _dict(_dict(methods).get(method)))
        ),
    )


def _operation(document: Mapping[str, Any], path: str, method: str, item: Mapping[str, Any]) -> Operation:
    content = _content(_resolved(document, item.get("requestBody")))
    return Operation(
        id="-".join([method, *"".join(letter if letter.isalnum() else " " for letter in path).split()]),
        method=method.upper(),
        path=path,
        summary=str(item.get("summary", "")),
        description=str(item.get("description", "")),
        parameters=tuple(_parameter(_resolved(document, each)) for each in _list(item.get("parameters"))),
        body=tuple(_fields(document, content.get("schema"))),
        answers=tuple(
            Answer(
                status=str(status),
                description=str(_resolved(document, answer).get("description", "")),
                fields=tuple(_fields(document, _content(_resolved(document, answer)).get("schema"))),
            )
            for status, answer in _dict(item.get("responses")).items()
        ),
        curl=_curl(document, path, method, _example(document, content)),
    )


def _parameter(parameter: Mapping[str, Any]) -> Field:
    place = {"path": "in the path", "query": "query", "header": "header", "cookie": "cookie"}.get(str(parameter.get("in")), "")
    kind = _type_words(_dict(parameter.get("schema")))
    return Field(
        name=str(parameter.get("name", "")),
        type=", ".join(filter(None, (kind, place))),
        required=parameter.get("required") is True,
        description=str(parameter.get("description", "")),
    )


def _fields(document: Mapping[str, Any], schema: Any, prefix: str = "", depth: int = 0) -> Iterator[Field]:
    """The schema's properties and theirs, depth first: `a`, `a.b`, `list[].c`, `map.*.d`."""
    schema = _resolved(document, schema)
    for part in _list(schema.get("allOf")) + [each for each in _alternatives(schema) if each.get("type") != "null"]:
        yield from _fields(document, part, prefix, depth)
    if depth < _MAX_DEPTH:
        if "items" in schema:
            yield from _fields(document, schema["items"], f"{prefix}[]", depth + 1)
        if isinstance(schema.get("additionalProperties"), dict):
            yield from _fields(document, schema["additionalProperties"], f"{prefix}.*", depth + 1)
        required = _list(schema.get("required"))
        for name, inner in _dict(schema.get("properties")).items():
            inner = _resolved(document, inner)
            path = f"{prefix}.{name}".removeprefix(".")
            yield Field(name=path, type=_type_words(inner, document), required=name in required, description=str(inner.get("description", "")))
            yield from _fields(document, inner, path, depth + 1)


def _type_words(schema: Mapping[str, Any], document: Mapping[str, Any] | None = None) -> str:
    """`text`, `list of object`, `"firing" or "resolved"`, …"""
    schema = _resolved(document or {}, schema)
    if "enum" in schema:
        return " or ".join(json.dumps(value) for value in _list(schema["enum"]))
    if "const" in schema:
        return json.dumps(schema["const"])
    if choices := _alternatives(schema):
        return " or ".join(dict.fromkeys(_type_words(choice, document) for choice in choices))
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return " or ".join(_type_words({**schema, "type": kind}, document) for kind in kinds)
    if kinds == "array":
        return f"list of {_type_words(_dict(schema.get('items')), document)}"
    words = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "null": "null", "object": "object"}
    word = words.get(str(kinds), "object" if "properties" in schema or "allOf" in schema else "anything")
    return f"{word} ({schema['format']})" if isinstance(schema.get("format"), str) else word


def _alternatives(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_dict(each) for each in _list(schema.get("anyOf")) + _list(schema.get("oneOf"))]


def _content(holder: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON content of a body or an answer; else whatever content there is."""
    content = _dict(holder.get("content"))
    return _dict(content.get("application/json") or next(iter(content.values()), {}))


def _example(document: Mapping[str, Any], content: Mapping[str, Any]) -> Any:
    """The document's own example for a body, else one made of its required fields, else None."""
    schema = _resolved(document, content.get("schema"))
    for holder in (content, schema):
        if "example" in holder:
            return holder["example"]
    named = [_resolved(document, each).get("value") for each in _dict(content.get("examples")).values()]
    for given in [*named, *_list(schema.get("examples"))]:
        return given
    properties = _dict(schema.get("properties"))
    made = {name: _sample(_resolved(document, properties.get(name))) for name in _list(schema.get("required")) if isinstance(name, str)}
    return made or ({} if content else None)


def _sample(schema: Mapping[str, Any]) -> Any:
    """A value of the schema's kind, for a line that somebody will edit."""
    if "default" in schema:
        return schema["default"]
    return {"array": [], "object": {}, "integer": 1, "number": 1, "boolean": True}.get(str(schema.get("type")), "…")


def _curl(document: Mapping[str, Any], path: str, method: str, body: Any) -> str:
    servers = _list(document.get("servers"))
    server = str(_dict(servers[0]).get("url", "")) if servers else ""
    address = (server if server.startswith(("http://", "https://")) else _HERE).rstrip("/") + path
    words = ["curl", *([] if method == "get" else ["-X", method.upper()]), shlex.quote(address)]
    if body is not None:
        words += ["-d", shlex.quote(json.dumps(body, ensure_ascii=False))]
    return " ".join(words)


def _resolved(document: Mapping[str, Any], node: Any) -> dict[str, Any]:
    """The node, or what its `$ref` points at within the document. A reference to nowhere or to itself is an empty node."""
    found = _dict(node)
    for _ in range(_MAX_DEPTH):
        reference = found.get("$ref")
        if not isinstance(reference, str):
            return found
        target: Any = document if reference.startswith("#/") else {}
        for step in reference.removeprefix("#/").split("/"):
            target = _dict(target).get(step.replace("~1", "/").replace("~0", "~"))
        found = _dict(target)
    return {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
