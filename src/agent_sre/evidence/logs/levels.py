"""How urgent a line is: what it states about itself, else what its words mean."""

from __future__ import annotations

import re

LEVELS = ("fatal", "error", "warning", "info", "debug", "")
"""Most urgent first; empty where a line says nothing about its level."""

_LEVEL_WORDS = {
    "fatal": "fatal", "critical": "fatal", "crit": "fatal", "panic": "fatal", "emerg": "fatal", "alert": "fatal", "severe": "error",
    "error": "error", "err": "error", "eror": "error", "warning": "warning", "warn": "warning", "wrn": "warning",
    "info": "info", "information": "info", "notice": "info", "debug": "debug", "trace": "debug", "dbug": "debug", "inf": "info",
}  # fmt: skip
_LEVEL_FIELD = re.compile(r"(?i)\b(?:level|lvl|severity)[\"']?\s*[=:]\s*[\"']?([a-z]+)")
_LEVEL_WORD = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|CRITICAL|CRIT|PANIC|SEVERE|EMERG)\b"
    r"|\[(trace|debug|info|notice|warn|warning|error|err|crit|critical|alert|emerg|fatal)\]"
)
_KLOG_LEVEL = {"<klog-I>": "info", "<klog-W>": "warning", "<klog-E>": "error", "<klog-F>": "fatal"}
_FATAL = re.compile(r"(?i)^panic:|\bfatal\b|\bsegfault\b|segmentation fault|\bcore dumped\b|\boom-?killed\b|out of memory: kill")
_ERROR = re.compile(
    r"(?i)errors?\b(?!(?:=|[\"']: ?)(?:<n>|<text>|null|nil|none|false))|exception\b"
    r"|\bfail(?:ed|ure|s)?\b|traceback|\brefused\b|\bdenied\b|time[d ]? ?out\b|\bunable to\b|\bcannot\b|caused by"
    r"|(?:status(?:_?code)?|code|HTTP/[0-9.]+\"?)[\"']?[=: ]+5[0-9]{2}\b|<text> 5[0-9]{2}\b"
)
_WARNING = re.compile(r"(?i)\bwarn(?:ing)?\b|\bdeprecated\b|\bretry(?:ing)?\b")


def level_of(template: str) -> str:
    """The level that a line states, else the one that its words mean; empty where they mean none. Takes a masked line (`masking.mask`)."""
    level = _KLOG_LEVEL.get(template[:8])
    if level is not None:
        return level
    field = _LEVEL_FIELD.search(template)
    if field is not None and (level := _LEVEL_WORDS.get(field[1].lower())):
        return level
    word = _LEVEL_WORD.search(template[:160])
    if word is not None:
        return _LEVEL_WORDS[(word[1] or word[2]).lower()]
    return "fatal" if _FATAL.search(template) else "error" if _ERROR.search(template) else "warning" if _WARNING.search(template) else ""


def level_named(word: str) -> str:
    """The level that a source calls by this name ("warn", "CRITICAL", "unknown"); empty where it is none."""
    return _LEVEL_WORDS.get(word.lower(), "")
