"""Any text that kubectl printed: what it is, and the objects, events or log lines in it. Pure.

    command (where it is known) ┐
    text ───────────────────────┴──read──> Reading: manifests by how much they say, events, log lines, or what is wrong with it

Texts are recognised by what is in them, so that files may be called anything; a command says what the text does not: the kind of a table, the
namespace, whose log it is. Several commands in one file are told apart by their prompts (`$ kubectl get pods`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent_sre.evidence.bundle import describe, events, manifests, tables
from agent_sre.evidence.bundle.kinds import kind_of_word
from agent_sre.evidence.bundle.logs import LogLine, from_text
from agent_sre.evidence.bundle.times import Times
from agent_sre.kit.errors import BadInput
from agent_sre.kit.text import one_line

Json = dict[str, Any]

_PROMPT = re.compile(r"^(?:\S*[$#%>+] ?)(?:sudo )?((?:kubectl|oc|k) .+)$", re.MULTILINE)
_REFUSED = re.compile(r"(?:error:|Error:? |Error from server|Unable to connect|The connection to the server|couldn't get )")
_NOTHING = re.compile(r"No resources found|No events found")
_VALUE_FLAGS = {"-n": "namespace", "--namespace": "namespace", "-o": "output", "--output": "output", "-c": "container", "--container": "container"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What was asked, as far as it is known."""

    verb: str = ""  # "get", "describe", "logs", …
    kind: str = ""  # Pod, Event, …
    name: str = ""
    namespace: str = ""
    output: str = ""
    container: str = ""
    previous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one text says. `problem` is a reason and a sentence where it says nothing that is understood."""

    whole: tuple[Json, ...] = ()  # from JSON or YAML
    described: tuple[Json, ...] = ()
    listed: tuple[Json, ...] = ()  # from tables
    listed_events: tuple[Json, ...] = ()
    described_events: tuple[Json, ...] = ()
    lines: tuple[LogLine, ...] = ()
    problem: tuple[str, str] | None = None


def parse_command(text: str) -> Command:
    """`kubectl describe pods cart-0 -n shop` by its parts. Whatever the text, this gives an answer."""
    found: dict[str, str] = {}
    words: list[str] = []
    previous = False
    rest = iter(text.split()[1:200])
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag in _VALUE_FLAGS:
            found[_VALUE_FLAGS[flag]] = (value if equals else next(rest, "")).strip("'\"")
        elif word in ("-p", "--previous", "--previous=true"):
            previous = True
        elif not word.startswith("-"):
            words.append(word)
    verb = words[0] if words else ""
    kind, name = (words[1] if len(words) > 1 else ""), (words[2] if len(words) > 2 else "")
    if verb == "logs":
        kind, name = "pod", kind.rpartition("/")[2]
    elif "/" in kind:
        kind, _, name = kind.partition("/")
    if verb == "events":
        verb, kind = "get", "events"
    known = kind_of_word(kind) if "," not in kind and kind != "all" else None
    return Command(
        verb=verb,
        kind=known.kind if known else "",
        name=name,
        namespace=found.get("namespace", ""),
        output=found.get("output", "").partition("=")[0],
        container=found.get("container", ""),
        previous=previous,
    )


def split_session(text: str) -> list[tuple[str, str]]:
    """The commands of a recorded session with what each printed; one pair without a command where there is no prompt."""
    prompts = list(_PROMPT.finditer(text))
    if not prompts or text[: prompts[0].start()].strip():
        return [("", text)]
    ends = [*(match.start() for match in prompts[1:]), len(text)]
    return [(match[1].strip(), text[match.end() : end].strip("\n")) for match, end in zip(prompts, ends, strict=True)]


def read(text: str, command: Command, times: Times, *, source: str = "") -> Reading:
    """What a text says. `source` is whose log it is, where the command does not tell and it is one."""
    stripped = text.strip("\ufeff\r\n ")
    if not stripped or _NOTHING.match(stripped):
        return Reading(problem=("empty", f"kubectl printed {one_line(stripped, 120) or 'nothing'}."))
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
    if command.verb == "logs":
        return _log(text, command, times, source)
    if _REFUSED.match(stripped) and stripped.count("\n") < 5:
        # That something is not there can be the answer.
        reason = "not_found" if "(NotFound)" in stripped else "refused"
        return Reading(problem=(reason, f"kubectl said: {one_line(stripped, 200)}"))
    if command.kind == "Secret":
        return Reading(problem=("withheld", "Secrets are not read."))
    if stripped[0] in "{[" or stripped.startswith(("apiVersion:", "kind:", "items:", "---")):
        return _whole(stripped, command)
    if describe.is_description(text):
        return _described(text, command, times)
    return _tables(text, command, times)


def _log(text: str, command: Command, times: Times, source: str) -> Reading:
    period = "previous" if command.previous else ""
    lines = from_text(text, command.name or source, times, namespace=command.namespace, period=period)
    if command.container:
        lines = [line._replace(container=command.container) for line in lines]
    return Reading(lines=tuple(lines)) if lines else Reading(problem=("empty", "There is no line in this log."))


def _whole(text: str, command: Command) -> Reading:
    try:
        documents = [manifests.from_json(text.encode())] if text[0] in "{[" else manifests.from_yaml(text)
    except BadInput as error:
        return Reading(problem=(error.reason, str(error)))
    return of_documents(documents, namespace=command.namespace)


def of_documents(documents: list[Any], *, namespace: str = "") -> Reading:
    """The objects of documents that are already parsed."""
    objects = [manifest for document in documents for manifest in manifests.objects_of(document, namespace=namespace)]
    told = [manifest for manifest in objects if manifest.get("kind") != "Event"]
    happened = [manifest for manifest in objects if manifest.get("kind") == "Event"]
    if objects:
        return Reading(whole=tuple(told), listed_events=tuple(happened))
    if any(manifests.is_manifest(document) for document in documents):
        return Reading(problem=("empty", "It holds no object that is read."))
    return Reading(problem=("unrecognised", "It is no manifest."))


def _described(text: str, command: Command, times: Times) -> Reading:
    found = describe.describe(text, times, kind=command.kind, namespace=command.namespace)
    if not found:
        return Reading(problem=("unrecognised", "It looks like a description, of a kind that is not read."))
    return Reading(
        described=tuple(item.manifest for item in found),
        described_events=tuple(event for item in found for event in item.events),
    )


def _tables(text: str, command: Command, times: Times) -> Reading:
    listed: list[Json] = []
    happened: list[Json] = []
    unknown = ""
    withheld = False
    for lines in _blocks(text):
        if "LAST SEEN" in lines[0] or (events.is_event_row(lines[0]) and command.kind in ("", "Event")):
            happened += events.from_table(lines, command.namespace, times)
        elif tables.is_header(lines[0]):
            told = command.kind or tables.kind_of_header(_columns(lines[0]))
            withheld = withheld or told == "Secret"
            rows = tables.from_table(lines, times, kind=command.kind, namespace=command.namespace)
            listed += rows
            unknown = unknown or ("" if rows or told == "Secret" else lines[0])
        else:
            unknown = unknown or lines[0]
    if listed or happened:
        return Reading(listed=tuple(listed), listed_events=tuple(happened))
    if withheld:
        return Reading(problem=("withheld", "Secrets are not read."))
    return Reading(problem=("unrecognised", f"It is nothing that is read; it begins with: {one_line(unknown, 120)}"))


def _columns(header: str) -> tuple[str, ...]:
    return tuple(re.split(r" {2,}", header.strip()))


def _blocks(text: str) -> Iterator[list[str]]:
    """Runs of lines between empty ones."""
    block: list[str] = []
    for line in text.split("\n"):
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block
