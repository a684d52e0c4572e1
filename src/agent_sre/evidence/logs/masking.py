"""What varies in a line becomes a typed token, so that the lines of one statement in the code become one template.

`<n>`, `<id>`, `<ip>`, `<path>`, `<url>`, `<time>`, `<text>`. Masking works on many lines at once, one pass per kind of value: a call per line would
be ten times slower. Every pattern takes linear time on every line, whoever wrote it.
"""

from __future__ import annotations

import re

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
_MASKS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    # (a text without which the pattern cannot match, the pattern, what to write instead); the `++` and `*+` leave a word without a digit at once
    (":", re.compile(r"[0-9][0-9]{3}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9:]{5,8}(?:[.,][0-9]+)?(?:Z| ?[+-][0-9]{2}:?[0-9]{2})?"), "<time>"),
    ("/20", re.compile(r"[0-9][0-9]/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8}(?: [+-][0-9]{4})?"), "<time>"),
    (":", re.compile(r"[JFMASOND](?<!\w.)[a-z]{2} {1,2}[0-9]{1,2} [0-9]{2}:[0-9]{2}:[0-9]{2}\b"), "<time>"),
    (":", re.compile(r"[0-9](?<!\w.)[0-9]:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?\b"), "<time>"),
    ('"', re.compile(r'["][^"\n]*"'), "<text>"),
    ("'", re.compile(r"['](?<!\w.)[^'\n]*'(?!\w)"), "<text>"),
    ("://", re.compile(r"[:]//[^\s\"'<>,;)\]]++"), "://<url>"),
    ("-", re.compile(r"[0-9a-fA-F](?<!\w.)[0-9a-fA-F]{7}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"), "<id>"),
    (".", re.compile(r"[0-9](?<!\w.)[0-9]{0,2}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?::[0-9]{1,5})?\b"), "<ip>"),
    ("::", re.compile(r"[0-9a-fA-F](?<!\w.)[0-9a-fA-F]{0,3}(?::{1,2}[0-9a-fA-F]{1,4}){2,7}\b(?:\]:[0-9]{1,5})?"), "<ip>"),
    ("/", re.compile(r"[/](?<![\w<./>].)[\w.@%+~:=&?-]+(?:/[\w.@%+~:=&?<>-]*)+"), "<path>"),
    ("", re.compile(r"[0-9a-fA-F](?<!\w.)(?=[0-9a-fA-F]{7})(?=[a-fA-F]*+[0-9]|(?<=[0-9]))[0-9a-fA-F]{7,}+\b"), "<id>"),
    ("", re.compile(r"[0-9](?<!\w.)\w*+(?:[.,][0-9]\w*+)*+%?"), "<n>"),
    ("", re.compile(r"[A-Za-z_](?<!\w.)[A-Za-z_]*+[0-9]\w*+"), "<id>"),
)
_RUN = re.compile(r"<(n|id|text|ip|path|url)>(?:[,;:|\s-]+<\1>)+")  # a list of values of any length is one value
_SPACES = re.compile(r"\s+")


def mask(text: str) -> str:
    """The text with typed tokens for what varies, as many lines as before. `tidy` each line afterwards, once per distinct one."""
    text = text.replace('\\"', "\x9a")  # out of the way: a pattern that knows escapes takes quadratic time on a line full of them
    for word in _TELLING:
        if word in text:
            text = text.replace(word, word.translate(_DIGITS))
    text = _STATUS.sub(lambda match: match[0].translate(_DIGITS), text)
    text = _KLOG.sub(r"<klog-\1> ", text)
    if '="' in text:
        text = _SAID.sub(lambda match: match[0].replace('"', " ").replace("= ", "=", 1), text)
    for needed, pattern, token in _MASKS:
        if needed in text:
            text = pattern.sub(token, text)
    return text


def tidy(masked: str) -> str:
    """One masked line as a template: digits that were hidden come back, lists and white space shrink."""
    return _SPACES.sub(" ", _RUN.sub(r"<\1>…", masked.translate(_DIGITS_BACK))).strip()
