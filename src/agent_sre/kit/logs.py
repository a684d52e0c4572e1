"""Log lines: a stable sentence for people, fields for machines. One event is one line, whatever is in it.

console   2026-11-23T06:40:11.312Z INFO  Received alert: HighCPU (severity=warning, status=firing)  alerting.alert.fingerprint=ab12…
json      {"timestamp":"…","level":"info","logger":"agent_sre.…","message":"Received alert: HighCPU (…)","action":"alert_received",…}
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from agent_sre.kit.redact import redact
from agent_sre.kit.times import format_instant

FORMATS = ("console", "json")

_LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What JSON leaves as it is and some readers of lines take for an end."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """How the service speaks."""

    format: str = "console"
    """`console` for people, `json` for log collectors."""

    level: str = "info"
    """`debug`, `info`, `warning` or `error`."""


class _Formatter(logging.Formatter):
    def parts(self, record: logging.LogRecord) -> tuple[str, str, dict[str, Any]]:
        """Timestamp, message and extra fields, redacted."""
        message = redact(record.getMessage())
        if record.exc_info:
            message += "\n" + redact(self.formatException(record.exc_info))
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        return format_instant(datetime.fromtimestamp(record.created, UTC)), message, fields


class ConsoleFormatter(_Formatter):
    """Lines for people. Line breaks and control characters inside a message are written as escapes: nobody can forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        timestamp, message, fields = self.parts(record)
        head, *trace = message.split("\n") if record.exc_info else [message]
        rest = "".join(f"\n    {_visible(line)}" for line in trace)
        extra = "".join(f"  {name}={_visible(redact(str(value)))}" for name, value in fields.items() if name != "action")
        return f"{timestamp[:23]}Z {record.levelname:<7} {_visible(head)}{extra}{rest}"


class JsonFormatter(_Formatter):
    """Lines for machines."""

    def format(self, record: logging.LogRecord) -> str:
        timestamp, message, fields = self.parts(record)
        line = {"timestamp": timestamp, "level": record.levelname.lower(), "logger": record.name, "message": message}
        plain = {name: redact(value) if isinstance(value, str) else value for name, value in fields.items()}
        text = orjson.dumps({**plain, **line}, default=str, option=orjson.OPT_NON_STR_KEYS).decode(errors="replace")
        return text.translate(_LINE_BREAKS)


def configure_logs(settings: LogSettings) -> None:
    """Sends all logs to standard output in the wanted form. Call once, at start."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("agent_sre").setLevel(settings.level.upper())


def _visible(text: str) -> str:
    return "".join(character if character.isprintable() else character.encode("unicode_escape").decode() for character in text)
