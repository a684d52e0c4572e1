"""A manifest made fit to keep: what explains trouble stays, secrets and noise go, and the size is bounded.

    API server, kubectl text ──trimmed──> KubernetesObject.manifest

Applied to everything that comes from a cluster, before anything else sees it. What goes: managed fields, the applied configuration that
kubectl repeats in an annotation, values of ConfigMaps and Secrets (their keys stay), values of Helm releases, environment values and
arguments that are secrets by their name, whatever looks like a secret, images that a node has cached, and fields that only say a default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from agent_sre.evidence.routes import routes_of
from agent_sre.kit.redact import redact
from agent_sre.kit.text import clean

MAX_BYTES = 24_000
"""Of one trimmed manifest, as JSON. A pod with three containers takes 3 to 5 KB."""

_MAX_TEXT = 1_000
_MAX_ITEMS = 100
_MAX_DEPTH = 24
_MAX_ANNOTATION = 300

_TOP = (
    "apiVersion", "kind", "metadata", "involvedObject", "type", "reason", "message", "count", "firstTimestamp", "lastTimestamp", "source",
    "reportingComponent", "action", "status", "subsets", "addressType", "ports", "endpoints", "spec", "data", "stringData", "binaryData",
    "immutable", "imagePullSecrets", "secrets", "automountServiceAccountToken", "provisioner", "reclaimPolicy", "volumeBindingMode",
    "allowVolumeExpansion", "parameters", "mountOptions", "allowedTopologies",
)  # fmt: skip
"""Fields of an object that are kept, in the order in which the room is given away: who it is and how it is before what it should be."""

_METADATA = (
    "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "ownerReferences", "labels",
    "annotations", "finalizers",
)  # fmt: skip

_VALUES = frozenset({"data", "stringData", "binaryData"})
"""Top-level fields whose values may be secrets, whatever the kind: only their keys are kept."""

_NOISE = frozenset({"managedFields", "selfLink", "terminationMessagePath", "terminationMessagePolicy", "enableServiceLinks", "preemptionPolicy"})
_NOISE_BY_KIND = {
    "Node": frozenset({"images", "volumesInUse", "volumesAttached"}),
    "HelmRelease": frozenset({"values"}),
    "Kustomization": frozenset({"substitute"}),
}
_NOISY_ANNOTATIONS = frozenset({"kubectl.kubernetes.io/last-applied-configuration", "control-plane.alpha.kubernetes.io/leader"})

_OWN_TOKEN = "kube-api-access-"  # noqa: S105  (the volume that every pod has for its service account)

_SECRET_NAME = re.compile(
    r"(?i)passw|passphrase|(?:^|[_.-])pwd|secret|credential|token|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|encryption[_-]?key"
    r"|(?:^|[_.-])(?:auth|dsn|salt|jwt)$"
)
_HARMLESS_NAME = re.compile(r"(?i)[_.-](?:ur[il]|host(?:name)?|port|addr(?:ess)?|endpoint|service|file|path|dir|ttl|name|namespace|enabled|timeout)$")
"""`TOKEN_URL` says where a token comes from. Wrong addresses are what reports are about, and a password inside one is found by `redact`."""

_SECRET_FIELDS = frozenset(
    {"password", "passwd", "passphrase", "token", "apikey", "accesskey", "secretkey", "privatekey", "clientsecret", "restuserkey"}
)
"""Fields that hold a secret wherever they stand, in lower case: parameters of a storage class, specifications of operators."""

_MASKED = "<secret>"

Json = dict[str, Any]


def trimmed(manifest: Mapping[str, Any]) -> Json:
    """The manifest without noise and secrets, at most MAX_BYTES of JSON; what does not fit is missing. Never raises, whatever the shapes.

    Keys of ConfigMaps and Secrets stay with None in place of the value; `routes` has the routes that a ConfigMap's values tell
    (evidence/routes.py). An Event that only has the newer fields (eventTime, series) gets
    the ones of core/v1 (firstTimestamp, lastTimestamp, count), so that all events can be read alike.
    """
    return Trimmer().trim(manifest)


class Trimmer:
    """`trimmed` for many manifests: texts that come again and again are looked through once."""

    def __init__(self) -> None:
        self._text_by_raw: dict[tuple[str, int], tuple[str, int]] = {}
        self._room = 0
        self._noise: frozenset[str] = _NOISE

    def trim(self, manifest: Mapping[str, Any]) -> Json:
        """See `trimmed`."""
        kind = manifest.get("kind")
        self._room = MAX_BYTES - 2
        self._noise = _NOISE | _NOISE_BY_KIND.get(kind if isinstance(kind, str) else "", frozenset())
        if kind == "Event":
            manifest = _as_core_event(manifest)
        kept = [(name, _keys_only(manifest[name]) if name in _VALUES else manifest[name]) for name in _TOP if name in manifest]
        if kind == "ConfigMap" and (routes := routes_of(manifest.get("data"))):
            kept.append(("routes", routes))
        return self._mapping((name, _metadata(value) if name == "metadata" else value) for name, value in kept)

    def _mapping(self, items: Iterable[tuple[Any, Any]], depth: int = 0) -> Json:
        found: Json = {}
        for count, (raw, value) in enumerate(items):
            if count >= _MAX_ITEMS or self._room <= 0:
                break
            name, size = self._text(raw if isinstance(raw, str) else str(raw), 200)
            if name in self._noise or name in found:
                continue
            before = self._room
            self._room -= size + 2  # a colon and a comma
            kept = self._value(value, depth + 1, name)
            if self._room < 0:
                self._room = before
                continue
            found[name] = kept
        return found

    def _value(self, value: Any, depth: int, name: str) -> Any:
        if isinstance(value, str):
            text, size = self._text(_MASKED if value and name.lower() in _SECRET_FIELDS else value, _MAX_TEXT)
            self._room -= size
            return text
        if value is None or isinstance(value, bool):
            self._room -= 5
            return value
        if isinstance(value, int | float):
            # Beyond 64 bits, JSON parsers disagree about what a number is.
            fit = math.isfinite(value) and abs(value) < 2**63
            self._room -= len(repr(value)) if fit else 4
            return value if fit else None
        self._room -= 2
        if depth >= _MAX_DEPTH:
            return None
        if isinstance(value, Mapping):
            return self._mapping(value.items(), depth)
        if isinstance(value, list | tuple):
            return self._list(_masked(name, value), depth)
        return None

    def _list(self, values: Iterable[Any], depth: int) -> list[Any]:
        found: list[Any] = []
        for count, value in enumerate(values):
            if count >= _MAX_ITEMS or self._room <= 0:
                break
            before = self._room
            self._room -= 1
            kept = self._value(value, depth + 1, "")
            if self._room < 0:
                self._room = before
                break
            found.append(kept)
        return found

    def _text(self, raw: str, limit: int) -> tuple[str, int]:
        """The text fit to keep, and how much room it takes as JSON."""
        known = self._text_by_raw.get((raw, limit))
        if known is None:
            # Redacted before it is cut: half a secret is none that a rule would know.
            text = clean(redact(clean(raw, 4 * limit)), limit)
            known = text, len(orjson.dumps(text))
            if len(self._text_by_raw) < 20_000:
                self._text_by_raw[raw, limit] = known
        return known


def is_secret_name(name: str) -> bool:
    """Whether a variable, a flag or a key of this name usually holds a secret."""
    return bool(_SECRET_NAME.search(name)) and not _HARMLESS_NAME.search(name)


def _keys_only(value: Any) -> Any:
    return dict.fromkeys(value) if isinstance(value, Mapping) else None


def _metadata(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    kept = {name: value[name] for name in _METADATA if name in value}
    annotations = kept.get("annotations")
    if isinstance(annotations, Mapping):
        kept["annotations"] = {name: _annotation(name, text) for name, text in annotations.items() if name not in _NOISY_ANNOTATIONS}
    return kept


def _annotation(name: object, text: object) -> object:
    if isinstance(name, str) and is_secret_name(name):
        return _MASKED
    return clean(redact(text[:4_000]), _MAX_ANNOTATION) if isinstance(text, str) else text


def _masked(name: str, values: list[Any] | tuple[Any, ...]) -> Iterable[Any]:
    if name == "env":
        return (_masked_variable(value) for value in values)
    if name in ("args", "command"):
        return _masked_arguments(values)
    if name in ("volumes", "volumeMounts"):
        return (value for value in values if not (isinstance(value, Mapping) and str(value.get("name", "")).startswith(_OWN_TOKEN)))
    return values


def _masked_variable(variable: Any) -> Any:
    if isinstance(variable, Mapping) and variable.get("value") and is_secret_name(str(variable.get("name", ""))):
        return {**variable, "value": _MASKED}
    return variable


def _masked_arguments(arguments: list[Any] | tuple[Any, ...]) -> Iterable[Any]:
    """`--db-password x` and `--db-password=x` lose the x; `redact` finds the rest."""
    secret = False
    for argument in arguments:
        flag, equals, _ = argument.partition("=") if isinstance(argument, str) else ("", "", "")
        named = flag.startswith("-") and is_secret_name(flag)
        if secret and not flag.startswith("-"):
            yield _MASKED
        elif named and equals:
            yield f"{flag}={_MASKED}"
        else:
            yield argument
        secret = named and not equals


def _as_core_event(event: Mapping[str, Any]) -> Mapping[str, Any]:
    series = event.get("series")
    series = series if isinstance(series, Mapping) else {}
    metadata = event.get("metadata")
    made = metadata.get("creationTimestamp") if isinstance(metadata, Mapping) else None
    first = event.get("firstTimestamp") or event.get("eventTime") or made
    last = event.get("lastTimestamp") or series.get("lastObservedTime") or first
    count = event.get("count") or series.get("count") or 1
    about = event.get("involvedObject", event.get("regarding"))
    message = event.get("message", event.get("note", ""))
    return {**event, "firstTimestamp": first, "lastTimestamp": last, "count": count, "involvedObject": about, "message": message}
