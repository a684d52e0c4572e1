"""What varies in a line becomes a typed token, so that the lines of one statement in the code become one template.

`<n>`, `<id>`, `<ip>`, `<path>`, `<url>`, `<time>`, `<text>`. Masking works on many lines at once, one pass per kind of value: a call per line would
be ten times slower. Each pass is over those lines only that can have such a value, and the last ones over each different line once. Every pattern
takes linear time on every line, whoever wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_DIGITS = {ord("0") + digit: 0x90 + digit for digit in range(10)}  # C1 controls: digits that masking must not see, still one byte each
_DIGITS_BACK = {hidden: chr(digit) for digit, hidden in _DIGITS.items()} | {0x9A: '"'}
_TELLING = (
    "x509", "HTTP/1.1", "HTTP/1.0", "HTTP/2", "http2", "sha256", "ipv4", "ipv6", "IPv4", "IPv6", "oauth2", "log4j", "k8s", "base64", "utf8", "UTF-8",
)  # fmt: skip

# Each pattern begins with one character class: `re` then skips to its next member in C, and a pass over a megabyte takes milliseconds. That is why
# a word boundary stands behind the first character, as `(?<!\w.)`, and not in front of it.
_STATUS = re.compile(r"""[sScCH](?:tatus(?:_?[cC]ode)?|ode|TTP/[\x90-\x99.]{1,3}"?)["']?[=: ]+([1-5][0-9]{2})(?![0-9])""")
_KLOG = re.compile(r"^([IWEF])[0-9]{4} [0-9:.]{8,15} +[0-9]+ ", re.MULTILINE)
_SAID = re.compile(r'[merc](?<!\w.)(?:sg|essage|rr|rror|eason|ause)="[^"\n]*"')
_Hint = Callable[[str], object]
"""Whether a line may have a match: never false where it has. Texts and counts are found far faster than a pattern that begins with any digit."""

_CLOCK = re.compile(r":[0-9]{2}:[0-9]{2}").search


def _has(character: str, times: int = 1) -> _Hint:
    return lambda line: line.count(character) >= times


_MASKS: tuple[tuple[str, _Hint, re.Pattern[str], str], ...] = (
    # (a text without which nothing can match, whether a line can have a match, the pattern, what to write instead); the `++` and `*+` leave a
    # word without a digit at once
    (":", re.compile(r"[-/][0-9]{2}[-/][0-9]{2}[T ]").search,
     re.compile(r"[0-9][0-9]{3}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9:]{5,8}(?:[.,][0-9]+)?(?:Z| ?[+-][0-9]{2}:?[0-9]{2})?"), "<time>"),
    ("/20", _has("/", 2), re.compile(r"[0-9][0-9]/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8}(?: [+-][0-9]{4})?"), "<time>"),
    (":", _CLOCK, re.compile(r"[JFMASOND](?<!\w.)[a-z]{2} {1,2}[0-9]{1,2} [0-9]{2}:[0-9]{2}:[0-9]{2}\b"), "<time>"),
    (":", _CLOCK, re.compile(r"[0-9](?<!\w.)[0-9]:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?\b"), "<time>"),
    ('"', _has('"', 2), re.compile(r'["][^"\n]*"'), "<text>"),
    ("'", _has("'", 2), re.compile(r"['](?<!\w.)[^'\n]*'(?!\w)"), "<text>"),
    ("://", lambda line: "://" in line, re.compile(r"[:]//[^\s\"'<>,;)\]]++"), "://<url>"),
    ("-", re.compile(r"-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-").search,
     re.compile(r"[0-9a-fA-F](?<!\w.)[0-9a-fA-F]{7}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"), "<id>"),
    (".", _has(".", 3), re.compile(r"[0-9](?<!\w.)[0-9]{0,2}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?::[0-9]{1,5})?\b"), "<ip>"),
    ("::", re.compile(r":[0-9a-fA-F]{1,4}:{1,2}[0-9a-fA-F]").search,
     re.compile(r"[0-9a-fA-F](?<!\w.)[0-9a-fA-F]{0,3}(?::{1,2}[0-9a-fA-F]{1,4}){2,7}\b(?:\]:[0-9]{1,5})?"), "<ip>"),
    ("/", _has("/"), re.compile(r"[/](?<![\w<./>].)[\w.@%+~:=&?-]+(?:/[\w.@%+~:=&?<>-]*)+"), "<path>"),
)  # fmt: skip
_LAST_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[0-9a-fA-F](?<!\w.)(?=[0-9a-fA-F]{7})(?=[a-fA-F]*+[0-9]|(?<=[0-9]))[0-9a-fA-F]{7,}+\b"), "<id>"),
    (re.compile(r"[0-9](?<!\w.)\w*+(?:[.,][0-9]\w*+)*+%?"), "<n>"),
    (re.compile(r"[A-Za-z_](?<!\w.)[A-Za-z_]*+[0-9]\w*+"), "<id>"),
)
_RUN = re.compile(r"<(n|id|text|ip|path|url)>(?:[,;:|\s-]+<\1>)+")  # a list of values of any length is one value
_SPACES = re.compile(r"\s+")


def mask(text: str) -> str:
    """The text with typed tokens for what varies, as many lines as before. `tidy` each line afterwards, once per distinct one."""
    text = text.replace('\\"', "\x9a")  # out of the way: a pattern that knows escapes takes quadratic time on a line full of them
    for word in _TELLING:
        if word in text:
            text = text.replace(word, word.translate(_DIGITS))
    lines = text.split("\n")
    _where(lines, lambda line: "tatus" in line or "ode" in line or "TTP/" in line, _STATUS, lambda match: match[0].translate(_DIGITS))
    _where(lines, lambda line: line[:1] in ("I", "W", "E", "F"), _KLOG, r"<klog-\1> ")
    _where(lines, lambda line: '="' in line, _SAID, lambda match: match[0].replace('"', " ").replace("= ", "=", 1))
    for needed, hint, pattern, token in _MASKS:
        # Asked of all lines together: what `needed` is absent from has no line to look at.
        if any(needed in line for line in lines):
            _where(lines, hint, pattern, token)
    for pattern, token in _LAST_MASKS:
        # By now thousands of lines are one. Each is looked at once.
        different = list(dict.fromkeys(lines))
        masked = dict(zip(different, pattern.sub(token, "\n".join(different)).split("\n"), strict=True))
        lines = [masked[line] for line in lines]
    return "\n".join(lines)


def _where(lines: list[str], hint: _Hint, pattern: re.Pattern[str], replacement: str | Callable[[re.Match[str]], str]) -> None:
    """Masks, in place, the lines that may have a match. No pattern looks beyond its line, so who else stands beside it changes nothing."""
    chosen = [index for index, line in enumerate(lines) if hint(line)]
    if chosen:
        masked = pattern.sub(replacement, "\n".join([lines[index] for index in chosen])).split("\n")
        for index, line in zip(chosen, masked, strict=True):
            lines[index] = line


def tidy(masked: str) -> str:
    """One masked line as a template: digits that were hidden come back, lists and white space shrink."""
    return _SPACES.sub(" ", _RUN.sub(r"<\1>…", masked.translate(_DIGITS_BACK))).strip()
