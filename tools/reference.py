"""The reference pages that are made from the code: settings, command line, causes, and one for each playbook.

python -m tools.reference            writes them
python -m tools.reference --check    exit status 1 where a page differs from the code
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_type_hints

import typer

from agent_sre.cli.main import application
from agent_sre.config.config import Config
from agent_sre.config.load import CONFIG_FILE, Setting, all_settings
from agent_sre.evidence.playbook import Playbook, load_playbooks
from agent_sre.finding.cause import causes

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"

_MADE = "<!-- Made by `make docs` from the code; edit the docstrings there. -->"

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))

_SETTINGS_HEAD = f"""# Settings

{_MADE}

Every setting is an environment variable. Three places are looked at; the first that has a value wins:

1. the variable, `OLLAMA_URL=http://ollama:11434`;
2. the same name with `_FILE`: the value is the content of that file, without the line break at its end. For secrets. Setting both is an error;
3. the TOML file that `{CONFIG_FILE}` names, one table per room: `[ollama]` and below it `model_name = "…"`. The heading says the table, the
   last line of each setting the key.

A wrong value stops the start with one sentence that names it, and so does an `AGENT_SRE_` variable that does not exist. `agent-sre check` reads
them all and tests what they point at.

Durations are written `90s`, `5m`, `1h30m`, `2d` or in plain seconds; sizes are bytes; switches are `true` or `false`.
"""

_COMMANDS_HEAD = f"""# Command line

{_MADE}

Exit status: 0, 1 where something expected went wrong (one sentence on standard error says what), 2 for a wrong option, 130 after Ctrl-C.
Every command reads the same [settings](settings.md).
"""


_CAUSES_HEAD = f"""# Causes

{_MADE.replace("docstrings there", "files in `finding/causes`")}

What the rules can name, by field. A detector names a cause by the word in the heading and the object that it concerns; sentence, check and steps come
from `finding/causes/*.toml`. `$name` and the like stand for the parts of that object and for what was seen; of several lines the first that can be
filled in is told.
"""


def pages() -> Mapping[Path, str]:
    """The pages and what must stand in them."""
    return {
        FOLDER / "settings.md": settings_page(),
        FOLDER / "command-line.md": commands_page(),
        FOLDER / "causes.md": causes_page(),
        **playbook_pages(),
    }


def settings_page() -> str:
    """Every setting with its default and its docstring, by room."""
    rooms = get_type_hints(Config)
    parts = [_SETTINGS_HEAD]
    for room, kind in rooms.items():
        words = field_docstrings(kind)
        parts.append(f"## `[{room}]`\n\n{inspect.cleandoc(kind.__doc__ or '')}\n")
        parts += [_setting(setting, getattr(kind(), setting.name), words[setting.name]) for setting in all_settings() if setting.room == room]
    return "\n".join(parts)


def _setting(setting: Setting, default: object, words: str) -> str:
    lines = [f"### `{setting.variable}`", "", " ".join(words.split()), ""]
    lines.append(f"Default: {_default(default)} · in a file: `{setting.name}` in `[{setting.room}]`")
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    if isinstance(value, timedelta):
        return f"`{_duration(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "empty" if value == "" else f"`{value}`"


def _duration(value: timedelta) -> str:
    milliseconds = round(value.total_seconds() * 1000)
    for unit, seconds in _UNITS:
        if milliseconds and milliseconds % (seconds * 1000) == 0:
            return f"{milliseconds // (seconds * 1000)}{unit}"
    return f"{milliseconds}ms"


def field_docstrings(kind: type) -> Mapping[str, str]:
    """The string under each field of a dataclass. A field without one is a KeyError where it is looked up: every setting says what it does."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    definition = tree.body[0]
    if not isinstance(definition, ast.ClassDef):
        raise TypeError(f"{kind} is not a class")
    found: dict[str, str] = {}
    for item, below in zip(definition.body, definition.body[1:], strict=False):
        match item, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                found[name] = inspect.cleandoc(words)
    return found


def causes_page() -> str:
    """Every cause with its sentence, what confirms it, and what to do about it."""
    parts = [_CAUSES_HEAD]
    field = ""
    for cause in causes().values():
        if cause.field != field:
            field = cause.field
            parts.append(f"## {field.replace('-', ' ').capitalize()}\n")
        lines = [f"### `{cause.name}`", "", f"{_first_line(cause.sentence)}.", "", f"How to tell: {_first_line(cause.check)}", ""]
        for step in cause.steps:
            command = f" `{_first_line(step.command)}`" if step.command else ""
            lines.append(f"- {step.horizon}: {_first_line(step.text)}{command}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _first_line(text: str) -> str:
    return text.split("\n")[0]


def playbook_pages() -> Mapping[Path, str]:
    """A page for each packaged playbook."""
    return {FOLDER / "playbooks" / f"{playbook.name}.md": _playbook_page(playbook) for playbook in load_playbooks()}


def _playbook_page(playbook: Playbook) -> str:
    alerts = ", ".join(f"`{name}`" for name in playbook.alerts) or "any alert that no other playbook knows"
    patterns = ", ".join(f"`{pattern}`" for pattern in playbook.patterns)
    lines = [f"# {_first_line(playbook.title)}", "", _MADE.replace("docstrings there", "playbook in `evidence/playbooks`"), ""]
    lines += [f"Playbook `{playbook.name}`, for {alerts}{f'; and for names like {patterns}' if patterns else ''}.", ""]
    lines += [_first_line(playbook.meaning), "", f"Impact: {_first_line(playbook.impact)}", ""]
    if playbook.evidence:
        lines += ["## What is looked at first", "", *(f"- `{item.look}`: {item.why}" for item in playbook.evidence), ""]
    lines += ["## What it usually is", ""]
    for cause in playbook.causes:
        lines += [f"- {_first_line(cause.cause)}", f"    - Speaks for it: {_first_line(cause.check)}"]
        lines += [f"    - Rules it out: {_first_line(cause.rules_out)}"] if cause.rules_out else []
    lines += [""]
    if playbook.queries:
        lines += ["## Queries", ""]
        for query in playbook.queries:
            lines += [f"{_first_line(query.why)}", "", f"```{query.language}", _first_line(query.text), "```", ""]
    lines += ["## What to do", ""]
    for step in playbook.steps:
        command = f" `{_first_line(step.command)}`" if _first_line(step.command) else ""
        lines.append(f"- {step.horizon}: {_first_line(step.text)}{command}")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Every command with its help, its arguments and its options."""
    return "\n".join([_COMMANDS_HEAD, *_commands(typer.main.get_command(application), "agent-sre")])


def _commands(command: Any, name: str) -> Iterable[str]:
    # typer brings its own copy of click, whose classes have no public name to annotate with.
    children = getattr(command, "commands", None)
    if children is not None:
        for child, below in children.items():
            yield from _commands(below, f"{name} {child}")
        return
    named = [item for item in command.params if item.param_type_name == "argument"]
    usage = " ".join([name, *(f"{item.name.upper()}" for item in named)])
    lines = [f"## `{name}`", "", " ".join((command.help or "").split()), "", "```", usage, "```", ""]
    lines += [f"- `{_spelled(item)}`{_help(item)}" for item in command.params]
    yield "\n".join(lines).rstrip() + "\n"


def _spelled(item: Any) -> str:
    if item.param_type_name == "argument":
        return str(item.name.upper())
    text = ", ".join(item.opts)
    return text if item.is_flag else f"{text} {item.name.upper()}"


def _help(item: Any) -> str:
    text = f": {item.help}" if item.help else ""
    default = item.default
    return text if item.required or default in (None, "", False) else f"{text} Default: {default}." if text else f": default {default}."


def main(arguments: list[str]) -> int:
    """Writes the pages, or says which of them are out of date."""
    stale = [path for path, text in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run `make docs`.", file=sys.stderr)  # noqa: T201
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(pages()[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
