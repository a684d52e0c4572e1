"""Measured numbers as people write them, and the unit that a metric's name promises.

A unit is one of the words of `UNITS`; the empty one means a plain number. `promql.unit_of_expression` finds the unit of a whole expression.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

from agent_sre.kit.durations import readable

BYTES = "bytes"
BYTES_PER_SECOND = "bytes/s"
SECONDS = "seconds"
RATIO = "ratio"  # 0 to 1
PERCENT = "percent"  # 0 to 100
CELSIUS = "celsius"
PER_SECOND = "per_second"
TIMESTAMP = "timestamp"  # unix seconds
PLAIN = ""

UNITS = (PLAIN, BYTES, BYTES_PER_SECOND, SECONDS, RATIO, PERCENT, CELSIUS, PER_SECOND, TIMESTAMP)

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_HUGE = 1e15
_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
_COUNTER_PARTS = re.compile(r"_(?:total|sum|bucket)$")
_TIMESTAMP_NAME = re.compile(
    r"(?:_timestamp(?:_seconds)?|_(?:start|boot|end|completion|creation|deletion|expiration|schedule|success)_time(?:_seconds)?"
    r"|_created|_not_after|_not_before|^node_time_seconds)$"
)


def unit_of_metric(name: str) -> str:
    """The unit that a metric's name says, by Prometheus' naming rules: `node_memory_MemAvailable_bytes` counts bytes.

    Plain where it says none. Source: https://prometheus.io/docs/practices/naming/
    """
    if name.endswith("_count"):
        return PLAIN
    base = _COUNTER_PARTS.sub("", name)
    if _TIMESTAMP_NAME.search(base):
        return TIMESTAMP
    word = re.split(r"[_:]", base)[-1]
    return {"bytes": BYTES, "seconds": SECONDS, "ratio": RATIO, "percent": PERCENT, "celsius": CELSIUS}.get(word, PLAIN)


def format_number(value: float, unit: str = PLAIN, *, digits: int = 3) -> str:
    """`"1.5 GiB"`, `"250 ms"`, `"93 %"`, `"1,234"`, `"12.3 M"`; infinities and NaN as Prometheus writes them.

    `digits` count from the first that is not zero.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if unit == BYTES:
        return _bytes(value, digits)
    if unit == BYTES_PER_SECOND:
        return f"{_bytes(value, digits)}/s"
    if unit == SECONDS:
        return _seconds(value, digits)
    if unit == RATIO:
        return f"{_digits(value * 100, digits)} %"
    if unit == PERCENT:
        return f"{_digits(value, digits)} %"
    if unit == CELSIUS:
        return f"{_digits(value, digits)} °C"
    if unit == PER_SECOND:
        return f"{_plain(value, digits)}/s"
    if unit == TIMESTAMP:
        return _timestamp(value, digits)
    return _plain(value, digits)


def format_beside(value: float, other: float, unit: str = PLAIN) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to tell them apart: 0.9004 beside 0.9 is not "0.9"."""
    for digits in range(3, 8):
        texts = format_number(value, unit, digits=digits), format_number(other, unit, digits=digits)
        if texts[0] != texts[1] or value == other:
            break
    return texts


def _plain(value: float, digits: int) -> str:
    for size, letter in _LARGE:
        if size <= abs(value) < _HUGE:
            return f"{_digits(value / size, digits)} {letter}"
    return _digits(value, digits)


def _digits(value: float, digits: int) -> str:
    """`digits` significant ones, but never fewer than all in front of the point: 1234.5 is "1,234"."""
    if value == 0:
        return "0"
    if not 1e-5 <= abs(value) < _HUGE:
        return f"{value:.{digits - 1}e}"
    exponent = math.floor(math.log10(abs(value)))
    text = f"{value:,.{max(0, digits - 1 - exponent)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _bytes(value: float, digits: int) -> str:
    size = abs(value)
    power = 0
    while size >= 1024 and power < len(_BINARY) - 1:
        size /= 1024
        power += 1
    return f"{'-' if value < 0 else ''}{_digits(size, digits)} {_BINARY[power]}"


def _seconds(value: float, digits: int) -> str:
    size = abs(value)
    sign = "-" if value < 0 else ""
    if size == 0:
        return "0 s"
    if size < 1e-3:
        return f"{sign}{_digits(size * 1e6, digits)} µs"
    if size < 1:
        return f"{sign}{_digits(size * 1e3, digits)} ms"
    if size < 60 or digits > 3 or size > 1e9:
        return f"{sign}{_digits(size, digits)} s"
    return f"{sign}{readable(timedelta(seconds=size))}"


def _timestamp(value: float, digits: int) -> str:
    if 1e8 <= value < 1e11:
        return format(datetime.fromtimestamp(value, UTC), "%Y-%m-%d %H:%M:%SZ")
    return _plain(value, digits)
