from __future__ import annotations

import json
import logging

from agent_sre.kit.logs import ConsoleFormatter, JsonFormatter


def record(message: str, *arguments: object, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("agent_sre.test", logging.INFO, "file", 1, message, arguments, None)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_json_keeps_the_sentence_and_carries_the_fields() -> None:
    line = json.loads(JsonFormatter().format(record("Received alert: %s", "HighCPU", action="alert_received")))
    assert line["message"] == "Received alert: HighCPU"
    assert (line["action"], line["level"]) == ("alert_received", "info")


def test_fields_cannot_replace_the_message() -> None:
    line = json.loads(JsonFormatter().format(record("real", level="forged", timestamp="forged")))
    assert (line["message"], line["level"]) == ("real", "info")


def test_one_event_is_one_line_whatever_is_in_it() -> None:
    hostile = 'x\r\n{"message":"forged"}\x1b[31m\u2028'
    for formatter in (ConsoleFormatter(), JsonFormatter()):
        line = formatter.format(record("Received alert: %s", hostile, note=hostile))
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line


def test_secrets_are_redacted_in_messages_and_fields() -> None:
    for formatter in (ConsoleFormatter(), JsonFormatter()):
        line = formatter.format(record("asked %s", "http://user:hunter2@host/", note="password=hunter2"))
        assert "hunter2" not in line
