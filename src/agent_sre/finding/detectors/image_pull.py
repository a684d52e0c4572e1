"""Images that cannot be pulled, and why: the registry's name, the image's, or the right to have it; in the words of containerd, CRI-O, Docker."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent_sre.evidence.kubernetes.objects import container_states, instant_of
from agent_sre.finding.finding import Finding
from agent_sre.finding.notices import notices
from agent_sre.finding.weights import LIKELY, POSSIBLE, PROVED, STATED
from agent_sre.finding.world import World, field, mapping, sequence, string
from agent_sre.kit.text import both_ends

_WAITING = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError"})
_NO_NAME = re.compile(
    r"no such host|server misbehaving|lookup \S+(?: on \S+)?: |name or service not known|temporary failure in name resolution|could not resolve host"
    r"|i/o timeout.*:53|NXDOMAIN",
    re.IGNORECASE,
)
_OFFICIAL = re.compile(r'"?(?:docker\.io/)?(?:library/)?[a-z0-9._-]+(?:[:@][^"/\s]+)?"?\Z')
_DENIED = re.compile(
    r"pull access denied|insufficient_scope|repository does not exist or may require|requested access to the resource is denied", re.IGNORECASE
)
_NO_RIGHT = re.compile(
    r"failed to authorize|fetch (?:anonymous|oauth) token|unauthorized|authentication required|no basic auth credentials|401|403|forbidden"
    r"|denied: |access to the requested resource is not authorized|invalid username/password|login",
    re.IGNORECASE,
)
_REFUSED_MANIFEST = re.compile(r"unexpected status(?: code)?(?: from (?:HEAD|GET) request to)? ?\S*/manifests/\S*?:? ?(?:40[13])", re.IGNORECASE)
_NO_IMAGE = re.compile(
    r"not found|manifest unknown|manifest for .* not found|name unknown|name invalid|repository .* not found|tag .* (?:not found|invalid)|404"
    r"|InvalidImageName|couldn't parse image|invalid reference format|no match for platform|does not exist",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(
    r"i/o timeout|connection refused|no route to host|context deadline exceeded|TLS handshake timeout|connection reset|x509|unexpected EOF"
    r"|proxyconnect",
    re.IGNORECASE,
)
_TOO_MANY = re.compile(r"toomanyrequests|429|rate limit", re.IGNORECASE)


class ImagePull:
    name = "image_pull"

    def detect(self, world: World) -> Iterable[Finding]:
        """One finding per workload, of containers that wait for their image now."""
        messages = _messages(world)
        told: set[tuple[str, str]] = set()
        for seen in world.objects("Pod"):
            waits = [state for state in container_states(seen.value) if state.reason in _WAITING]
            subject = world.workload("Pod", seen.value.namespace, seen.value.name)
            if not waits or (subject.namespace, subject.name) in told:
                continue
            told.add((subject.namespace, subject.name))
            evidence_id, message, at = messages.get((seen.value.namespace, seen.value.name), ("", "", None))
            message = message or next((state.message for state in waits if len(state.message) > 40), "") or waits[0].message or waits[0].reason
            image = _image(seen.value.manifest, waits[0].name)
            for cause, weight in _causes(world, message, waits[0].reason, image, seen.value.manifest):
                yield Finding(
                    detector=self.name, summary=f"{seen.value.name} cannot pull {image or 'its image'}: {both_ends(message, 300)}", subject=subject,
                    facts={"image": image or None, "pod": seen.value.name, "registry": image.split("/")[0] if image.count("/") > 1 else None},
                    evidence_ids=tuple(dict.fromkeys(item for item in (evidence_id, seen.evidence_id) if item)), cause=cause, weight=weight,
                    began_at=at or instant_of(seen.value.manifest, "metadata", "creationTimestamp"),
                )  # fmt: skip


def _messages(world: World) -> Mapping[tuple[str, str], tuple[str, str, Any]]:
    found: dict[tuple[str, str], tuple[str, str, Any]] = {}
    for notice in notices(world, "Failed", "InspectFailed", "ErrImageNeverPull"):
        if notice.kind == "Pod" and ("pull" in notice.message or "image" in notice.message) and len(notice.message) > 40:
            found[notice.namespace, notice.name] = (notice.evidence_id, notice.message, notice.first_at)
    return found


def _image(manifest: Mapping[str, Any], container: str) -> str:
    for item in (*sequence(field(manifest, "spec", "initContainers")), *sequence(field(manifest, "spec", "containers"))):
        if mapping(item).get("name") == container:
            return string(mapping(item).get("image"))
    return ""


def _causes(world: World, message: str, reason: str, image: str, pod: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    if _NO_NAME.search(message):
        yield "image_registry_dns_failure", STATED
        return
    if _TOO_MANY.search(message):
        yield "image_registry_unavailable", PROVED
        return
    named = [string(mapping(item).get("name")) for item in sequence(field(pod, "spec", "imagePullSecrets"))]
    unretrieved = any("image pull secrets" in notice.message for notice in notices(world, "FailedToRetrieveImagePullSecret"))
    if reason == "InvalidImageName":
        yield "incorrect_image_reference", STATED
    elif _DENIED.search(message) or _REFUSED_MANIFEST.search(message):
        # a registry that hides what one may not see says the same of what is not there; official images are for everybody
        wrong = bool(_OFFICIAL.match(image)) and not named
        yield "incorrect_image_reference", PROVED if wrong else POSSIBLE if named or unretrieved else LIKELY
        yield "missing_image_pull_secret", POSSIBLE if wrong else PROVED if named or unretrieved else LIKELY - 0.1
    elif _NO_RIGHT.search(message) and not re.search(r"manifest unknown|: not found", message):
        yield "missing_image_pull_secret", STATED
    elif _NO_IMAGE.search(message):
        yield "incorrect_image_reference", STATED
    elif _UNREACHABLE.search(message):
        yield "image_registry_unavailable", PROVED
    elif reason == "ErrImageNeverPull":
        yield "incorrect_image_reference", LIKELY
    else:
        yield "incorrect_image_reference", POSSIBLE
