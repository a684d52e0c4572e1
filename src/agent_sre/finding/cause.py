"""Causes that the rules can name: what each is called, how to tell it from others, and what to do about it. Data, in `causes/*.toml`.

A detector names a cause by its token ("oom_killed") and the object that it concerns. Everything that people read about it comes from here,
so that one cause has one sentence, one check and one set of steps, whichever detector found it. Texts and commands are templates as in
playbooks (evidence/playbook.py): `$subject`, `$name`, `$namespace`, `$resource`, … of the object that is to blame, and the finding's own
facts (`$port`, `$image`, `$quota`) where it has them; of several lines the first that can be filled in counts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from agent_sre.evidence.playbook import HORIZONS, LANGUAGES, PlaybookStep, render, values_of
from agent_sre.finding.finding import Finding

FILES = (
    "nodes", "scheduling", "images", "configuration", "storage", "quotas", "probes", "network", "data-stores", "resources", "services", "changes",
    "monitoring",
)  # fmt: skip
"""The packaged files, by field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that breaks, as an expert knows it."""

    name: str  # the token: "oom_killed"
    field: str  # the file that it stands in: "scheduling"
    sentence: str  # template: "$subject was killed for using more memory than its limit"
    check: str  # template: what would confirm or refute it
    steps: tuple[PlaybookStep, ...]  # what to do, soonest first
    is_last_resort: bool = False  # seen of almost every trouble: names it only where nothing else does
    same_as: re.Pattern[str] | None = None  # words of the usual causes of playbooks that are this one; None where none is


@cache
def causes() -> Mapping[str, Cause]:
    """All packaged causes by name. Read once; a file that is not as it should be is a fault of the package and raises ValueError."""
    found: dict[str, Cause] = {}
    folder = resources.files("agent_sre.finding") / "causes"
    for file in FILES:
        for table in tomllib.loads((folder / f"{file}.toml").read_text("utf-8")).get("cause", []):
            cause = _cause(file, table)
            if cause.name in found:
                raise ValueError(f"causes/{file}.toml: the cause {cause.name} is there twice")
            found[cause.name] = cause
    return found


def told(cause: Cause, finding: Finding) -> tuple[str, str, tuple[PlaybookStep, ...]]:
    """The cause in words for one finding: sentence, check, steps. What cannot be filled in is left out."""
    values = values_for(finding)
    steps = tuple(
        PlaybookStep(horizon=step.horizon, text=text, command=command, language=step.language)
        for step in cause.steps
        if (text := render(step.text, "text", values)) and (command := render(step.command, step.language, values)) is not None
    )
    return render(cause.sentence, "text", values) or cause.name.replace("_", " "), render(cause.check, "text", values) or "", steps


def values_for(finding: Finding) -> dict[str, str]:
    """What the placeholders of a cause mean: the parts of its subject, then the finding's facts under their own names."""
    values = {name: str(value) for name, value in finding.facts.items() if value is not None and value != ""}
    return {**values, **values_of(finding.subject, {})}


def _cause(file: str, table: Mapping[str, Any]) -> Cause:
    try:
        return Cause(
            name=table["name"],
            field=file,
            sentence=_lines(table["sentence"]),
            check=_lines(table["check"]),
            steps=tuple(_step(step) for step in table["steps"]),
            is_last_resort=bool(table.get("last_resort", False)),
            same_as=re.compile(table["same_as"], re.IGNORECASE) if "same_as" in table else None,
        )
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise ValueError(f"causes/{file}.toml: the cause {table.get('name', '?')}: {error!r}") from error


def _step(table: Mapping[str, Any]) -> PlaybookStep:
    step = PlaybookStep(
        horizon=table["horizon"], text=_lines(table["text"]), command=_lines(table.get("command", "")), language=table.get("language", "bash")
    )
    if step.horizon not in HORIZONS or step.language not in LANGUAGES:
        raise ValueError(f"{step.horizon} is no horizon or {step.language} no language")
    return step


def _lines(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "\n".join(value)
