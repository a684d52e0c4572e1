"""One line for people about each kind of answer: how many, and what is wrong with the worst. How one object is says evidence/status.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import is_troubled, number_of, text_of
from agent_sre.evidence.status import status_of
from agent_sre.kit.redact import redact
from agent_sre.kit.text import one_line

_NAMED = 3
"""Objects that a summary names; the page lists the rest."""

_STATUS = 160
"""Characters of how one of them is."""


def summary_of(kind: str, objects: Sequence[KubernetesObject], total: int, *, more: bool = False) -> str:
    """`12 pods, 1 not as it should be: cart-7f9c-x2: Running on worker-2, cart: waiting CrashLoopBackOff, 7 restarts, last Error (exit 1)`.

    `total` is how many there were before a bound cut them to `objects`; `more`: the server had further ones.
    """
    if not total:
        return f"no {kind}"
    count = f"{'more than ' if more else ''}{total} {kind if total != 1 else _singular(kind)}"
    if len(objects) < total:
        count += f" ({len(objects)} kept)"
    if kind == "events":
        return count + _events(objects)
    troubled = [item for item in objects if is_troubled(item)]
    words = [_worded(item) for item in troubled[:_NAMED]]
    if not words:
        return count
    rest = f" and {len(troubled) - _NAMED} more" if len(troubled) > _NAMED else ""
    return f"{count}, {len(troubled)} not as it should be: {'; '.join(words)}{rest}"


def _worded(item: KubernetesObject) -> str:
    status = one_line(status_of(item).replace("; ", ", "), _STATUS)
    return f"{short(item.name)}{f': {status}' if status else ''}"


def short(text: str) -> str:
    """Untrusted text as a part of a summary."""
    return redact(one_line(text, 200))


def _events(events: Sequence[KubernetesObject]) -> str:
    warnings = [event for event in events if is_troubled(event)]
    if not warnings:
        return ", no warning"
    reasons: Counter[str] = Counter()
    for event in warnings:
        reasons[short(text_of(event.manifest, "reason"))] += max(1, number_of(event.manifest, "count") or 1)
    listed = ", ".join(f"{reason} ×{count}" if count > 1 else reason for reason, count in reasons.most_common(_NAMED))
    first = warnings[0].manifest
    about = short(f"{text_of(first, 'involvedObject', 'kind')} {text_of(first, 'involvedObject', 'name')}: {text_of(first, 'message')}")
    return f", {len(warnings)} {'warning' if len(warnings) == 1 else 'warnings'} ({listed}); {about}"


def _singular(kind: str) -> str:
    for ending, single in (("ies", "y"), ("sses", "ss"), ("endpoints", "endpoints"), ("s", "")):
        if kind.endswith(ending):
            return kind.removesuffix(ending) + single
    return kind
