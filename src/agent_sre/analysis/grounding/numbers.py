"""Numbers as readers write them, with what they count: `1.71Gi`, `85 %`, `1h30m`, `+0.8Gi/h`, `five`.

A number has one or more readings, because `250m` may be minutes or thousandths. Two numbers agree where one of their readings has the same dimension
and the one in the sentence is the other, or the other rounded, and no further than 1 % away: `1.7Gi` for `1.71Gi`, never `1.72Gi`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_KI = 1024.0
_UNITS: dict[str, tuple[tuple[str, float], ...]] = {}


def _unit(names: str, *readings: tuple[str, float]) -> None:
    for name in names.split():
        _UNITS[name] = readings


_unit("%", ("%", 1.0))
_unit("percent pct percentage", ("%", 1.0))
for _power, (_short, _long) in enumerate((("K", "kilo"), ("M", "mega"), ("G", "giga"), ("T", "tera"), ("P", "peta")), 1):
    _binary, _decimal = _KI**_power, 1000.0**_power
    _unit(f"{_short}i {_short}iB {_short.lower()}ib {_long[:2]}bibyte {_long[:2]}bibytes", ("B", _binary))
    _unit(f"{_short}B {_long}byte {_long}bytes", ("B", _decimal))
    if _short != "K":
        _unit(_short, ("", _decimal), ("B", _decimal))
_unit("kB kb KB", ("B", 1000.0))
_unit("mb MB", ("B", 1000.0**2))
_unit("gb GB", ("B", 1000.0**3))
_unit("tb TB", ("B", 1000.0**4))
_unit("k K thousand", ("", 1000.0))
_unit("million", ("", 1e6))
_unit("billion", ("", 1e9))
_unit("B byte bytes", ("B", 1.0))
_unit("ns nanosecond nanoseconds", ("s", 1e-9))
_unit("us µs μs microsecond microseconds", ("s", 1e-6))
_unit("ms msec millisecond milliseconds", ("s", 1e-3))
_unit("s sec secs second seconds", ("s", 1.0))
_unit("m", ("s", 60.0), ("cores", 1e-3))
_unit("min mins minute minutes", ("s", 60.0))
_unit("h hr hrs hour hours", ("s", 3600.0))
_unit("d day days", ("s", 86400.0))
_unit("w week weeks", ("s", 604800.0))
_unit("month months", ("s", 2629800.0))
_unit("year years", ("s", 31557600.0))
_unit("millicore millicores millicpu mcpu", ("cores", 1e-3))
_unit("core cores vcpu vcpus cpus", ("cores", 1.0))
_unit("rps qps rpm ops", ("/s", 1.0))
_UNITS["rpm"] = (("/s", 1 / 60),)
_unit("°C C celsius", ("C", 1.0))
_unit("bps", ("bit/s", 1.0))
_unit("Kbps", ("bit/s", 1e3))
_unit("Mbps", ("bit/s", 1e6))
_unit("Gbps", ("bit/s", 1e9))
_unit("x times-as", ("x", 1.0))

_PER = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}

_WORDS = {
    word: float(value)
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
} | {word: float(10 * value) for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)}
_SCALES = {"hundred": 100.0, "hundreds": 100.0, "thousand": 1000.0, "million": 1e6, "billion": 1e9}
_COUNTS = {"once": 1.0, "twice": 2.0, "thrice": 3.0}

_NUMBER = re.compile(r"([+\-~≈±]?)(\d+(?:\.\d+)?|\.\d+)(e[+-]?\d+)?([a-zA-Zµμ%°]*)(?:/([a-z]+))?")
_COMPOUND = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|ns|[smhdw]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|ns|[smhdw])")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.\d+)?)?(z?)", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[t_](.+))?", re.IGNORECASE)
_MONTHS = {name: number for number, names in enumerate(("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august", "sep sept september", "oct october", "nov november", "dec december"), 1) for name in names.split()}  # fmt: skip # noqa: E501


@dataclass(frozen=True, slots=True)
class Number:
    """A quantity, a time of day or a date."""

    readings: tuple[tuple[str, float], ...]
    digits: int = 0  # decimals written
    clock: str = ""  # "10:02" or "10:02:33"
    date: str = ""  # "2026-11-25"
    spelled: bool = False
    written: float = 0.0  # the figure as it stands there, before its unit

    @property
    def bare(self) -> bool:
        """Whether it has no unit."""
        return not self.clock and not self.date and self.readings[0][0] == ""


def as_number(chunk: str) -> Number | None:
    """The number that a chunk without white space is, or None where it is a name or a word."""
    if match := _CLOCK.fullmatch(chunk):
        hour, minute, second, _ = match.groups()
        return Number((), clock=f"{int(hour):02}:{minute}" + (f":{second}" if second else ""))
    if match := _DATE.fullmatch(chunk):
        clock = as_number(match.group(4)) if match.group(4) else None
        return Number((), date="-".join(match.groups()[:3]), clock=clock.clock if clock else "")
    if _COMPOUND.fullmatch(chunk) and len(parts := _PART.findall(chunk)) > 1:
        return Number((("s", sum(float(value) * _UNITS[unit][0][1] for value, unit in parts)),))
    if not (match := _NUMBER.fullmatch(chunk)):
        return None
    sign, mantissa, exponent, unit, per = match.groups()
    if unit and unit not in _UNITS and unit.lower() not in _UNITS:
        return None
    if per and per not in _PER:
        return None
    value = float(mantissa + (exponent or ""))
    number = Number((("", -value if sign == "-" else value),), digits=len(mantissa.partition(".")[2]), written=value)
    if unit:
        number = with_unit(number, unit) or number
    return with_rate(number, per) if per else number


def with_unit(number: Number, unit: str) -> Number | None:
    """The number in that unit, or None where the word is none."""
    readings = _UNITS.get(unit) or (_UNITS.get(unit.lower()) if len(unit) > 1 else None)
    if readings is None or not number.readings:
        return None
    value = number.readings[0][1]
    return replace(number, readings=tuple((name, value * factor) for name, factor in readings))


def with_rate(number: Number, per: str) -> Number | None:
    """The number by that span of time."""
    factor = _PER.get(per)
    if factor is None:
        return None
    return replace(number, readings=tuple((f"{name}/s", value / factor) for name, value in number.readings))


def spelled(words: list[str]) -> tuple[Number, int] | None:
    """The number that the first words say, and how many words that took."""
    total, taken = 0.0, 0
    if words and words[0] in _COUNTS:
        return _said(_COUNTS[words[0]]), 1
    if len(words) > 1 and words[0] == "a" and words[1] in ("dozen", "hundred", "thousand", "couple", "million"):
        value = {"dozen": 12.0, "couple": 2.0, **_SCALES}[words[1]]
        return _said(value), 2
    if len(words) > 1 and words[0] == "half" and words[1] in ("a", "an") and len(words) > 2 and words[2] in _UNITS:
        return _said(0.5, digits=1), 2
    for word in words:
        for piece in word.split("-") if "-" in word else (word,):
            if piece in _WORDS:
                total += _WORDS[piece]
            elif piece in _SCALES and taken:
                total *= _SCALES[piece]
            elif word == "dozen" and taken:
                total *= 12
            else:
                return (_said(total), taken) if taken else None
        taken += 1
    return (_said(total), taken) if taken else None


def _said(value: float, digits: int = 0) -> Number:
    return Number((("", value),), digits=digits, spelled=True, written=value)


def month_of(word: str) -> int:
    """1 to 12, or 0."""
    return _MONTHS.get(word.lower().rstrip("."), 0)


def agrees(said: Number, fact: Number) -> bool:
    """Whether the number in the sentence is the one in the fact, or that one rounded by less than 1 %."""
    if said.clock or said.date:
        return (not said.date or said.date == fact.date) and (not said.clock or (bool(fact.clock) and fact.clock.startswith(said.clock)))
    for name, value in said.readings:
        for other, real in fact.readings:
            if name == other and _rounds(said, value, real):
                return True
            if name == "" and other == "%" and said.digits and _rounds(said, value, real / 100):
                return True
            if name == "%" and other == "" and fact.digits and _rounds(said, value, real * 100):
                return True
    return False


def _rounds(said: Number, value: float, real: float) -> bool:
    if value == real or abs(value - real) <= 1e-9 * abs(real):
        return True
    if value < 0 < real or abs(value) < 1e-12:
        return False
    if value > 0 > real:  # "0.4Gi/h" said of -0.4Gi/h: the word beside it tells the direction
        real = -real
        if abs(value - real) <= 1e-9 * abs(real):
            return True
    if abs(value - real) > 0.01 * abs(real):
        return False
    # As precise as it is written: half a unit of its last digit, in its own unit.
    step = abs(value) / said.written * 10.0**-said.digits if said.written else 0.0
    return abs(value - real) <= 0.5000001 * step
