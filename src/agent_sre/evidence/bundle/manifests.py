"""Manifests in JSON and YAML: `kubectl get -o json|yaml`, `kubectl cluster-info dump`, applied files. Pure.

Secrets are not read. YAML's aliases can make a small file a huge tree, so what is kept of each manifest is bounded while it is walked through,
and a file with very many aliases is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import yaml

from agent_sre.evidence.bundle.kinds import KIND_BY_NAME
from agent_sre.evidence.bundle.tidy import tidy
from agent_sre.evidence.kubernetes.trim import Trimmer
from agent_sre.kit.errors import BadInput

Json = dict[str, Any]

MAX_OBJECTS = 50_000
MAX_YAML_BYTES = 16 * 1024 * 1024
_MAX_ALIASES = 200
_ALIAS = re.compile(r"(?:^|[\s:\-\[,{])\*[A-Za-z_]", re.MULTILINE)

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml: ten times slower, and the same
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]


def from_json(content: bytes) -> Any:
    """The document. Raises BadInput where it is none."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"It is no JSON: {error}.", reason="unreadable") from error


def from_yaml(text: str) -> list[Any]:
    """The documents of a text. Raises BadInput where one cannot be read, with the line."""
    if len(text) > MAX_YAML_BYTES:
        raise BadInput(f"YAML of more than {MAX_YAML_BYTES:,} characters is not read; `-o json` is.", reason="too_large")
    if text.count("*") > _MAX_ALIASES and len(_ALIAS.findall(text)) > _MAX_ALIASES:
        raise BadInput(f"It has more than {_MAX_ALIASES} aliases, which is no manifest.", reason="unsafe")
    try:
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise BadInput(f"It is no YAML{where}: {error.problem}.", reason="unreadable") from error
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, AttributeError, LookupError) as error:
        # ValueError and its like: a number or a time that YAML's own constructors cannot make.
        raise BadInput(f"It is no YAML: {error}.", reason="unreadable") from error
    except RecursionError as error:
        raise BadInput("It is nested too deeply.", reason="unsafe") from error


def objects_of(document: Any, *, namespace: str = "") -> Iterator[Json]:
    """The trimmed manifests of a document: of a list, or of one object. What has no kind or no name gives nothing."""
    count = 0
    trimmer = Trimmer()
    for manifest in _flat(document):
        if count >= MAX_OBJECTS:
            return
        kind, metadata = manifest.get("kind"), manifest.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if not isinstance(kind, str) or not isinstance(name, str) or not kind or not name or kind == "Secret":
            continue
        count += 1
        kept = trimmer.trim(manifest)
        # Whatever had no room, it is this object.
        identity: Json = kept.setdefault("metadata", {})
        kept["kind"], identity["name"] = tidy(kind, 120), tidy(name, 253)
        known = KIND_BY_NAME.get(kind)
        if namespace and (known is None or known.namespaced):
            identity.setdefault("namespace", namespace)
        yield kept


def _flat(document: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(document, Mapping):
        return
    items, kind = document.get("items"), document.get("kind")
    if not isinstance(items, list):
        yield document
        return
    # Inside of a PodList of the API, the items do not say what they are.
    single = kind.removesuffix("List") if isinstance(kind, str) and kind != "List" else ""
    for item in items:
        if isinstance(item, Mapping):
            yield item if "kind" in item or not single else {"kind": single, **item}


def is_manifest(document: Any) -> bool:
    """Whether a document is an object of the API, or a list of them."""
    return isinstance(document, Mapping) and isinstance(document.get("kind"), str) and ("metadata" in document or "items" in document)
