"""Reading settings.

    environment variable   wins
    NAME_FILE              the value is the file's content, without the line break at its end: for secrets
    file                   AGENT_SRE_CONFIG names a TOML file: [ollama] model_name = "…", one table per room
    default                the room's

A wrong setting stops the start with one sentence that names it. An AGENT_SRE_ variable that nobody knows is a typing error until proven otherwise.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, get_type_hints

from agent_sre.config.config import Config
from agent_sre.kit.durations import parse_duration
from agent_sre.kit.errors import BadSetting
from agent_sre.kit.logs import FORMATS

CONFIG_FILE = "AGENT_SRE_CONFIG"

_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT.*)$|_PORT(_\d+_(TCP|UDP|SCTP).*)?$")
"""What Kubernetes puts into every container for a Service that is called `agent-sre`."""

_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off", ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that can be set."""

    variable: str  # OLLAMA_URL
    room: str  # the field of Config
    name: str  # the field of the room's Settings
    choices: tuple[str, ...] = ()


_WELL_KNOWN = {
    ("agent", "alertmanager_deadline"): "AGENT_SRE_GATHER_DEADLINE_ALERTMANAGER",
    ("agent", "gather_deadline"): "AGENT_SRE_GATHER_DEADLINE",
    ("agent", "kubernetes_deadline"): "AGENT_SRE_GATHER_DEADLINE_KUBERNETES",
    ("agent", "loki_deadline"): "AGENT_SRE_GATHER_DEADLINE_LOKI",
    ("agent", "prometheus_deadline"): "AGENT_SRE_GATHER_DEADLINE_PROMETHEUS",
    ("alertmanager", "url"): "ALERTMANAGER_URL",
    ("inbox", "webhook_token"): "AGENT_SRE_WEBHOOK_TOKEN",
    ("kubernetes", "kubeconfig"): "KUBECONFIG",
    ("logs", "format"): "AGENT_SRE_LOG_FORMAT",
    ("logs", "level"): "AGENT_SRE_LOG_LEVEL",
    ("loki", "url"): "LOKI_URL",
    ("ollama", "model_name"): "MODEL_NAME",
    ("ollama", "url"): "OLLAMA_URL",
    ("openai", "api_key"): "OPENAI_API_KEY",
    ("openai", "model_name"): "OPENAI_MODEL",
    ("openai", "url"): "OPENAI_URL",
    ("playbooks", "folder"): "AGENT_SRE_PLAYBOOKS",
    ("prometheus", "url"): "PROMETHEUS_URL",
    ("server", "host"): "AGENT_HOST",
    ("server", "port"): "AGENT_PORT",
    ("server", "service"): "SERVICE_NAME",
    ("store", "database_url"): "AGENT_SRE_DATABASE_URL",
}
"""Names that the mission's readers know. All others follow from room and field: AGENT_SRE_OLLAMA_NUM_CTX; the inbox's have no room in them."""

_PREFIXES = {"inbox": "AGENT_SRE_", "investigation": "AGENT_SRE_"}
_CHOICES = {("logs", "format"): FORMATS, ("logs", "level"): ("debug", "info", "warning", "error")}


def all_settings() -> tuple[Setting, ...]:
    """Every setting, by room and then by field."""
    return tuple(
        Setting(
            variable=_WELL_KNOWN.get((room.name, item.name), f"{_PREFIXES.get(room.name, f'AGENT_SRE_{room.name.upper()}_')}{item.name.upper()}"),
            room=room.name,
            name=item.name,
            choices=_CHOICES.get((room.name, item.name), ()),
        )
        for room in fields(Config)
        for item in fields(get_type_hints(Config)[room.name])
    )


def load_config(environment: Mapping[str, str]) -> Config:
    """The settings that this environment asks for. Raises BadSetting with one sentence that names the wrong one."""
    settings = all_settings()
    _refuse_unknown(environment, settings)
    values = _from_file(environment.get(CONFIG_FILE, ""), settings)
    for setting in settings:
        text = _from_environment(environment, setting.variable)
        if text is not None:
            values[setting.room, setting.name] = _parse(setting, text)
    rooms = {
        room.name: get_type_hints(Config)[room.name](**{name: value for (owner, name), value in values.items() if owner == room.name})
        for room in fields(Config)
    }
    return Config(**rooms)


def _from_environment(environment: Mapping[str, str], variable: str) -> str | None:
    text, file = environment.get(variable), environment.get(f"{variable}_FILE")
    if not file:
        return text
    if text:
        raise BadSetting(f"{variable} and {variable}_FILE are both set; keep one.")
    try:
        content = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{variable}_FILE: cannot read {file}: {error.strerror if isinstance(error, OSError) else 'not UTF-8'}.") from error
    if not content:
        raise BadSetting(f"{variable}_FILE: {file} is empty; write the secret into it or unset the variable.")
    return content


def _from_file(path: str, settings: Iterable[Setting]) -> dict[tuple[str, str], Any]:
    if not path:
        return {}
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSetting(f"{CONFIG_FILE}: cannot read {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(f"{CONFIG_FILE}: {path} is not TOML: {error}.") from error
    known = {(setting.room, setting.name): setting for setting in settings}
    values: dict[tuple[str, str], Any] = {}
    for room, table in document.items():
        if not isinstance(table, dict):
            raise BadSetting(f'{path}: "{room}" must stand in a table, like [server].')
        for name, value in table.items():
            setting = known.get((room, name))
            if setting is None:
                raise BadSetting(f"{path}: there is no setting {name} in [{room}].{_did_you_mean(name, [key[1] for key in known if key[0] == room])}")
            values[room, name] = _parse(setting, str(value).lower() if isinstance(value, bool) else str(value), where=f"{path}: [{room}] {name}")
    return values


def _parse(setting: Setting, text: str, where: str = "") -> Any:
    where = where or setting.variable
    kind = get_type_hints(get_type_hints(Config)[setting.room])[setting.name]
    try:
        value: Any = text.strip()
        if kind is timedelta:
            value = parse_duration(value)
        elif kind is bool:
            value = _truth(value)
        elif kind in (int, float):
            value = kind(value)
    except ValueError as error:
        words = str(error) if kind in (timedelta, bool) else f'"{text[:40]}" is not a number'
        raise BadSetting(f"{where}: {words}.") from error
    if setting.choices and value not in setting.choices:
        raise BadSetting(f'{where}: "{text[:40]}" is not one of {", ".join(setting.choices)}.')
    if kind in (int, float) and value < 0:
        raise BadSetting(f"{where}: {value} is below zero.")
    if setting.variable == "AGENT_PORT" and value > 65_535:
        raise BadSetting(f"{where}: {value} is not a port; the highest is 65535.")
    if setting.name.endswith("_workers") and value < 1:
        raise BadSetting(f"{where}: at least one worker is needed.")
    return value


def _truth(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f'"{text[:40]}" is neither true nor false')


def _refuse_unknown(environment: Mapping[str, str], settings: Iterable[Setting]) -> None:
    known = {setting.variable for setting in settings} | {CONFIG_FILE}
    known |= {f"{name}_FILE" for name in known}
    for name in sorted(environment):
        if name.startswith("AGENT_SRE_") and name not in known and not _KUBERNETES.search(name):
            raise BadSetting(f"{name}: there is no such setting.{_did_you_mean(name, known)}")


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""
