"""What one pod template has and another has not, as lines that a person reads in a report.

    - cart image: shop/cart:1.4
    + cart image: shop/cart:1.5
    + cart env CACHE_SIZE: 512

A template is flattened into settings, each with a path of its own, and two sets of settings are compared. Lists are told apart by what names
their entries (`name`, `mountPath`, `containerPort`), so a new variable is one line and not a shift of all that follow. Nothing raises, whatever
the shapes are; values are cleaned, cut, and redacted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from agent_sre.evidence.kubernetes.objects import field_of, mappings_of, text_of
from agent_sre.evidence.kubernetes.trim import MASKED, is_secret_name, masked_arguments
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

MAX_LINES = 40
MAX_VALUE = 200
_MAX_SETTINGS = 2_000
_MAX_DEPTH = 14

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_KEYS = ("name", "mountPath", "containerPort", "key", "topologyKey", "ip")
"""What names an entry of a list, the first that is there."""

_WHOLE = frozenset({"command", "args"})
"""Lists that are one setting: their order is their meaning."""

_OWN_TOKEN = "kube-api-access-"  # noqa: S105  (the volume that every pod gets for its service account, under a random name)

_NOISE = frozenset({
    "pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
    "nodeName", "hostname", "subdomain", "managedFields", "creationTimestamp", "uid", "resourceVersion", "generateName", "ownerReferences",
    "namespace", "kubectl.kubernetes.io/last-applied-configuration", "terminationMessagePath", "terminationMessagePolicy",
})  # fmt: skip
"""What differs between two pods of one template, or says nothing."""

_ORDER = ("image", "command", "args", "env", "envFrom", "resources", "ports", "livenessProbe", "readinessProbe", "startupProbe", "mount")


def template_diff(before: Any, after: Any) -> tuple[str, ...]:
    """The settings that differ, the old line above the new one; images first, then what runs, then the rest. At most MAX_LINES.

    `before` and `after` are pod templates or pods (`metadata`, `spec`).
    """
    old, new = dict(_settings(before)), dict(_settings(after))
    changed = sorted((path for path in old.keys() | new.keys() if old.get(path) != new.get(path)), key=_rank)
    lines = [
        f"{sign} {path}: {redact(one_line(value, MAX_VALUE))}"
        for path in changed
        for sign, value in (("-", old.get(path)), ("+", new.get(path)))
        if value is not None
    ]
    return tuple(lines) if len(lines) <= MAX_LINES else (*lines[: MAX_LINES - 1], f"+ …({len(lines) - MAX_LINES + 1} lines more)")


def changed_settings(lines: Sequence[str]) -> tuple[str, ...]:
    """What the lines of a diff are about, each once, in their order: `cart image`, `cart env CACHE_SIZE`."""
    return tuple(dict.fromkeys(line[2:].partition(": ")[0] for line in lines if not line.startswith("+ …")))


def images_of(template: Any) -> dict[str, str]:
    """The image of each container."""
    return {
        redact(one_line(text_of(container, "name"), 80)): redact(one_line(text_of(container, "image"), MAX_VALUE))
        for kind in _CONTAINERS
        for container in mappings_of(template, "spec", kind)
        if text_of(container, "image")
    }


# Settings


def _settings(template: Any) -> Iterator[tuple[str, str]]:
    """Path and value of each setting, at most _MAX_SETTINGS."""
    count = 0
    for path, value in _pieces(template):
        if (count := count + 1) > _MAX_SETTINGS:
            return
        yield redact(one_line(path, 160)), value


def _pieces(template: Any) -> Iterator[tuple[str, str]]:
    spec = field_of(template, "spec")
    for kind in _CONTAINERS:
        for number, container in enumerate(mappings_of(spec, kind)):
            name = text_of(container, "name") or f"{kind}[{number}]"
            yield from _container(name, container)
    for part in ("labels", "annotations"):
        yield from _flat(part.removesuffix("s"), field_of(template, "metadata", part), 1)
    if isinstance(spec, Mapping):
        rest = {name: value for name, value in spec.items() if name not in _CONTAINERS}
        rest["volumes"] = [volume for volume in mappings_of(spec, "volumes") if not text_of(volume, "name").startswith(_OWN_TOKEN)]
        yield from _flat("", rest, 1)


def _container(name: str, container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rest = {key: value for key, value in container.items() if key not in ("name", "env", "volumeMounts")}
    yield from _flat(name, rest, 1)
    for variable in mappings_of(container, "env"):
        called = text_of(variable, "name")
        yield f"{name} env {called}", _variable(called, variable)
    for mount in mappings_of(container, "volumeMounts"):
        if not text_of(mount, "name").startswith(_OWN_TOKEN):
            how = " (read only)" if field_of(mount, "readOnly") is True else ""
            sub_path = f"/{text_of(mount, 'subPath')}" if text_of(mount, "subPath") else ""
            yield f"{name} mount {text_of(mount, 'mountPath')}", f"{text_of(mount, 'name')}{sub_path}{how}"


def _variable(name: str, variable: Mapping[str, Any]) -> str:
    for kind, words in (("secretKeyRef", "from Secret"), ("configMapKeyRef", "from ConfigMap"), ("fieldRef", "from the pod's")):
        source = field_of(variable, "valueFrom", kind)
        if isinstance(source, Mapping):
            return f"{words} {text_of(source, 'name') or text_of(source, 'fieldPath')} {text_of(source, 'key')}".rstrip()
    value = field_of(variable, "value")
    if value in (None, ""):
        return '""' if field_of(variable, "valueFrom") is None else "from somewhere else"
    # Both sides of a changed secret read alike, so its change is not shown: better than showing it.
    return MASKED if is_secret_name(name) else _scalar(value)


def _flat(path: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _NOISE:
                yield from _flat(f"{path} {name}".strip(), inner, depth + 1)
    elif isinstance(value, list | tuple):
        yield from _list(path, value, depth)
    elif value is not None:
        secret = is_secret_name(path.rpartition(" ")[2]) and not isinstance(value, bool)
        yield path, MASKED if secret and not path.endswith(("Name", "secret name")) else _scalar(value)


def _list(path: str, values: Sequence[Any], depth: int) -> Iterator[tuple[str, str]]:
    if path.rpartition(" ")[2] in _WHOLE:
        yield path, " ".join(_scalar(value) for value in masked_arguments(values[:100]))
        return
    for number, value in enumerate(values[:100]):
        if not isinstance(value, Mapping):
            yield f"{path}[{number}]", _scalar(value)
            continue
        key = next((str(value[name]) for name in _KEYS if isinstance(value.get(name), str | int)), f"[{number}]")
        yield from _flat(f"{path} {key}", {name: inner for name, inner in value.items() if name != "name"}, depth + 1)
        if set(value) <= {"name"}:
            yield f"{path} {key}", "yes"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return redact(one_line(value, 4 * MAX_VALUE))
    try:
        return redact(one_line(orjson.dumps(value).decode(), 4 * MAX_VALUE))
    except (TypeError, orjson.JSONEncodeError):  # an integer beyond 64 bits
        return one_line(str(value), MAX_VALUE)


def _rank(path: str) -> tuple[int, str]:
    words = path.split(" ")
    kind = words[1] if len(words) > 1 else ""
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), path)
