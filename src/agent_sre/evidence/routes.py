"""The routes of a gateway, out of its configuration file: which path goes to which host. Pure, and nothing else of the file is kept.

Values of ConfigMaps are not kept, because they may be secrets. A path and the name of a host are none, and a route that leads to the wrong
service shows nowhere else. Read are Spring Cloud Gateway (`uri`, `Path=`), Zuul (`path`, `serviceId`/`url`), nginx (`location`, `proxy_pass`) and
Traefik or Envoy files of the same shape as far as path and target stand beside each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

MAX_ROUTES = 100
_MAX_TEXT = 200_000

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_PATH = r"/[A-Za-z0-9_./*{}-]{0,200}"
_ITEM = re.compile(r"^\s*-\s+(?:id|name|match|path)\s*:", re.MULTILINE)
_TARGET = re.compile(
    r"\b(?:uri|url|serviceId|service|cluster|host|backend|upstream)\s*:\s*[\"']?(?:[a-z]{2,8}://)?(?:\$\{[A-Za-z0-9_.-]{1,100}:)?"
    rf"({_HOST})\}}?(?::(\d{{2,5}}))?"
)
_PREDICATE = re.compile(rf"\b(?:Path\s*=\s*|(?:path|prefix|pathPrefix)\s*:\s*[\"']?)({_PATH})")
_LOCATION = re.compile(
    rf"\blocation\s+(?:=|\^~|~\*?)?\s*\^?({_PATH})[^{{}}]{{0,20}}\{{[^{{}}]{{0,2000}}?proxy_pass\s+[a-z]{{2,8}}://({_HOST})(?::(\d{{2,5}}))?"
)


def routes_of(data: Any) -> list[dict[str, str]]:
    """The routes in a ConfigMap's values: `{"path": "/api/cart", "to": "cart", "port": "8080"}`, each once; without a port where none is named."""
    found: dict[tuple[str, str, str], None] = {}
    for text in data.values() if isinstance(data, Mapping) else ():
        if isinstance(text, str) and "/" in text:
            for route in _routes(text[:_MAX_TEXT]):
                if len(found) == MAX_ROUTES:
                    break
                found[route] = None
    return [{"path": path, "to": host, **({"port": port} if port else {})} for path, host, port in found]


def _routes(text: str) -> Iterator[tuple[str, str, str]]:
    for location in _LOCATION.finditer(text):
        yield _plain(location[1]), location[2], location[3] or ""
    starts = [match.start() for match in _ITEM.finditer(text)]
    for start, end in pairwise([*starts, len(text)]):
        item = text[start : min(end, start + 4_000)]
        path, target = _PREDICATE.search(item), _TARGET.search(item)
        if path and target:
            yield _plain(path[1]), target[1], target[2] or ""


def _plain(path: str) -> str:
    return re.sub(r"/?\*+$|/$", "", path) or "/"
