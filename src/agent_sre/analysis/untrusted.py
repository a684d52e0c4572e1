"""The one way by which text reaches a model: whoever wrote it, it arrives as one line of data in which nothing is a turn, a tag, a link or a secret.

    any text ──canonical──> ──redact──> ──abstract──> ──neutralise──> ──fold, cut──> one line for a prompt

    canonical    invisible characters, terminal codes and compatibility forms go, so that what follows sees what a tokenizer would see
    redact       secrets (kit/redact.py), before anything is cut: half a secret is none that a rule would know
    abstract     what users of a system write freely (addresses, paths with queries, agents, long quotations) becomes a typed token
    neutralise   control tokens of all model families, tags, fences, words that open a turn, ids and fields of our own prompt
    fold, cut    one line, with a visible `…(+n)`

Twice is as once, so a line may be made of parts that went through already. Names, numbers, units and the constant words of log lines stay: they are
what the model is asked about. Values of log lines have become tokens before, in evidence/logs/masking.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from agent_sre.kit.redact import redact

_MOST_READ = 16_384
"""Characters of one text that are looked at; more were no line of a prompt."""


def for_model(text: str, limit: int = 400) -> str:
    """Any text as one line for a prompt, at most `limit` characters and a visible `…(+n)` long. Empty where nothing is left.

    Trusted texts of our own may go through it too: they stay as they are.
    """
    read = redact(canonical(text[:_MOST_READ]))
    # What is dropped in one step may join what the next one looks for, so the line is looked at until nothing changes; twice nearly always.
    for _ in range(4):
        line = " ".join(_neutral(_abstract(read)).split())
        if line == read:
            break
        read = line
    return _cut(read, limit, unread=max(len(text) - _MOST_READ, 0))


def annotation_for_model(text: str, labels: Mapping[str, str], limit: int = 400) -> str:
    """An annotation as one line for a prompt, with ‹…› around what its rule took from labels.

    The words outside the marks are the operator's, who wrote the rule; those inside come from whoever named the thing. Values shorter than three
    characters are left unmarked: they occur in words.
    """
    shown = {for_model(value, 200) for value in labels.values()}
    values = sorted((value for value in shown if len(value) > 2), key=lambda value: (-len(value), value))
    line = for_model(text, limit)
    if not values or not line:
        return line
    # one pass, longest first: a value that is part of another one is not marked inside of it
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(value)}(?!\w)" for value in values))
    return pattern.sub(lambda match: f"‹{match[0]}›", line)


_CUT_OFF = re.compile(r"…\(\+(\d{1,9})\)\Z")


def _cut(line: str, limit: int, *, unread: int) -> str:
    """The line, at most `limit` long and with the count of what is missing, what was cut before included. No token of ours is cut in two."""
    before = _CUT_OFF.search(line)
    kept, missing = (line, unread) if before is None else (line[: before.start()], unread + int(before[1]))
    if len(kept) > limit:
        opened = kept.rfind("<", max(limit - 100, 0), limit)
        end = opened if opened >= 0 and kept.find(">", opened, limit) < 0 else limit
        kept, missing = kept[:end], missing + len(kept) - end
    return f"{kept}…(+{missing})" if missing else kept


# What a tokenizer would see

_TERMINAL = re.compile(r"(?:\x1b\[|\x9b)[0-?]{0,32}[ -/]{0,8}[@-~]|\x1b\][^\x07\x1b]{0,512}(?:\x07|\x1b\\)|\x1b[ -/]{0,4}[0-~]")
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Characters without a shape that are no format characters to Unicode: fillers, joiners, variation selectors."""

_BREAKS = str.maketrans(dict.fromkeys("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", "\n"))


def canonical(text: str) -> str:
    """The text without what nobody sees, in its compatibility form: `＜｜ｉｍ` is `<|im`, and a word cut by zero-width characters is whole again."""
    text = text.translate(_BREAKS)
    if text.isascii() and text.replace("\n", " ").replace("\t", " ").isprintable():
        return text
    text = _INVISIBLE.sub("", _TERMINAL.sub("", text))
    if not unicodedata.is_normalized("NFKC", text):
        # our own mark of a cut is the one compatibility form that stays
        text = "…".join(unicodedata.normalize("NFKC", part) for part in text.split("…"))
    visible = "".join(_visible(one) for one in text)
    return visible if visible == text or unicodedata.is_normalized("NFKC", visible) else canonical(visible)


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    return "�" if kind == "Cs" else "" if kind in ("Cc", "Cf", "Co") and character not in "\n\t" else character


# What users write freely

_AGENT = re.compile(r"\b(?:Mozilla|Opera)/\d{1,2}\.\d{1,2}(?: \([^()\n\"]{0,300}\))?(?: ?[\w.;:/+-]{1,60}(?: \([^()\n\"]{0,100}\))?){0,12}")
_WORDS_OF_USERS = re.compile(
    r"(?i:(?<![\w=:./-])(user[-_ ]?agent|referr?er|search|comment|display[-_]?name|full[-_]?name|filename"
    r"|user[-_]?name|login|nickname)(\\?[\"']?)([ \t]{0,2}[=:][ \t]{0,2}))"
    r"(\\?\"[^\"\n]{0,2000}\\?\"|'[^'\n]{0,2000}'|[^\s,;\"'][^\n,;\"']{0,300})"
)
_NAMED_USER = re.compile(r"(?i:\b(user(?: name)?[ \t]{0,2}[=:]?[ \t]{0,2}|principal |role ))(\\?[\"'])([^\"'\n\\]{1,300})\2")
_MAIL = re.compile(r"(?<![\w.+/:@-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,6}(?!svc\b|local\b|internal\b|cluster\b)[A-Za-z]{2,24}(?![\w.@-])")
_ADDRESS = re.compile(
    r"(?i:\b([a-z][a-z0-9+.-]{1,20})://)((?:<secret>|[^\s/?#\"'<>()\[\]{}|\\^`]){1,300})"
    r"([/?#](?:<[a-z:-]{2,40}>|[^\s\"'<>()\[\]{}|\\^`]){0,2000})?|(?i:(?<![\w:/.@-])www\.)([\w.-]{1,200})(/\S{0,500})?"
)
_REQUEST = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|CONNECT|TRACE) (/[^\s\"']{0,2000})")
_PLAIN_PATH = re.compile(r"/?(?:[\w.<>-]{1,24}/){0,3}(?:[\w.<>-]{1,24})?")
_INSIDE = re.compile(
    r"(?:[^@/]{0,200}@)?(?:[\w-]{1,63}|[\w.-]{1,200}\.(?:svc|local|internal|cluster|lan)|\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9a-fA-F:]{2,45}\]?)(?::\d{1,5})?"
)
"""Hosts that only exist inside: a bare name, a cluster's or a private zone's, an IP address."""

_LINKED = frozenset({"http", "https", "ftp", "ftps", "ws", "wss"})

_QUOTATION = re.compile(r"(\w{1,40}\\?[\"']?[=:] ?)?\\?\"([^\"\n]{24,4000}?)\\?\"")
_STATED = frozenset({"msg", "message", "err", "error", "reason", "cause", "detail", "details", "summary", "description"})
"""Names before a quotation whose words a program chose, as in evidence/logs/masking.py."""

_MOST_WORDS_NAMED = 6
_MOST_WORDS_QUOTED = 20
_PLAIN_NAME = re.compile(r"system:[\w.:-]{1,120}|[\w@]{1,24}(?:[.:/-][\w@]{1,24}){0,3}")


def _abstract(text: str) -> str:
    if "@" in text:
        text = _MAIL.sub("<email>", text)
    if "://" in text or "www." in text or "WWW." in text:
        text = _ADDRESS.sub(_address, text)
    if "/" in text:
        text = _REQUEST.sub(lambda match: f"{match[1]} {_path(match[2])}", text)
    if "/" in text:
        text = _AGENT.sub("<user-agent>", text)
    text = _NAMED_USER.sub(lambda match: match[0] if _PLAIN_NAME.fullmatch(match[3]) else f"{match[1]}{match[2]}<user-str>{match[2]}", text)
    text = _WORDS_OF_USERS.sub(_words_of_users, text)
    return _QUOTATION.sub(_quotation, text) if text.count('"') > 1 else text


def _address(match: re.Match[str]) -> str:
    """An address inside keeps its form; one of the world outside is only named, because a link is how data leaves."""
    scheme, host, path = match[1] or "http", match[2] or f"www.{match[4]}", match[3] or match[5] or ""
    if scheme.lower() not in _LINKED or _INSIDE.fullmatch(host):
        return f"{scheme}://{host}{_path(path)}"
    return f"<url:{re.sub(r'[^A-Za-z0-9.:-]', '', host.rpartition('@')[2])[:80]}>"


def _path(path: str) -> str:
    whole = path.rstrip(".,:;!")
    plain, sign, _ = whole.partition("?")
    shown = plain if _PLAIN_PATH.fullmatch(plain) else "/<path>"
    return (f"{shown}?<query>" if sign else shown) + path[len(whole) :]


def _words_of_users(match: re.Match[str]) -> str:
    value = match[4].strip("\\\"'")
    if (value.startswith("<") and value.endswith(">")) or _PLAIN_NAME.fullmatch(value):
        return match[0]
    if value == match[4] and "=" not in match[3] and not match[1].lower().startswith(("user", "refer")):
        return match[0]  # `search: timed out` is a sentence
    return f"{match[1]}{match[2]}{match[3]}<user-str>"


def _quotation(match: re.Match[str]) -> str:
    before, words = match[1] or "", len(match[2].split())
    name = before.strip("\\\"'=: ").lower()
    if words > (_MOST_WORDS_NAMED if before and name not in _STATED else _MOST_WORDS_QUOTED):
        return f"{before}<text>"
    return match[0]


# What a model would obey

_OURS = r"(?:n|id|ip|path|url|time|text|email|query|user-str|user-agent|klog-[IWEF]|url:[A-Za-z0-9.:-]{1,80}|secret(?::[a-z-]{2,30})?)>"
_TAG = re.compile(rf"<(?!{_OURS})(?:(?=[^\s\d=<>-]|<|\d\w{{0,20}}>|\s{{1,4}}/?\s{{0,4}}[\w|]{{1,40}}\s{{0,4}}>|-\w)([^<>\n]{{0,80}}>)?)|(?<=\|)>")
"""Every `<` that opens something, but our own tokens; `a < b` and `<5s` stay. All families but one write their control tokens with it, so no list of
tokens has to be complete: gemma, llama, chatml, phi, qwen, deepseek, granite, command-r, harmony, and those to come."""

_SQUARE = re.compile(
    r"\[(/?\s{0,4}(?:INST|SYS|SYSTEM(?:_PROMPT)?|AVAILABLE_TOOLS|TOOL_\w{1,20}|THINK|IMG\w{0,8}|PREFIX|SUFFIX|MIDDLE|control_\d{1,4}|gMASK|sMASK|CLS|SEP|MASK"
    r"|PAD|UNK|BOS|EOS|USER|ASSISTANT|multimodal|@BOS@|BEGIN_\w{1,20}|END_\w{1,20}|REFERENCE_\w{1,20})\s{0,4})\]",
    re.IGNORECASE,
)
_CITATION = re.compile(r"\[([EHA]\d{1,4}(?:,\s?[EHA]\d{1,4}){0,9})\]")
_FIELD = re.compile(r"\b([a-h])_(reasoning|cause|evidence|confidence|summary|impact|actions|missing)\b", re.IGNORECASE)
_FENCE = re.compile(r"`{3,}|~{3,}")
_TURN = re.compile(
    r"(?m)^([ \t>#*_=|•\"'`({\[-]{0,16})(system|assistant|user|human|model|developer|tool|function|bot|ai|chatgpt|gemma|llama|instructions?"
    r"|new instructions?|response"
    r"|input|output|prompt|answer|alert|data|facts?|not known|(?:possible )?(?:causes?|actions?)|end(?: of)?(?: \w{1,12}){0,2})"
    r"([ \t*_\"'`)}\]]{0,6}):(?!//)",
    re.IGNORECASE,
)
_HEADING = re.compile(r"(?m)^[ \t>]{0,8}#{1,6}(?=\s|[A-Z])[ \t]{0,4}")
_LINE_ID = re.compile(r"(?m)^([ \t>#*•\"'`({\[-]{0,16})((?:E\d{2,3}|[HA]\d{1,2}))(?=[\s:|,.)\]-]|$)")
_MENTION = re.compile(r"(?<![\w.@/-])@(?=[A-Za-z])")

_LOOKALIKES = str.maketrans("аеорсухіѕјһԁԛԝМАВЕКНОРСТХІЅЈαοερνικτυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxisjhdqwMABEKHOPCTXISJaoepviktuABEZHIKMNOPTYX")
"""Letters of other alphabets that look like Latin ones: `ѕуѕtem:` opens a turn for whoever reads it."""


def _neutral(text: str) -> str:
    text = _TAG.sub(lambda match: match[0].replace("<", "‹").replace(">", "›"), text)
    if "[" in text:
        text = _CITATION.sub(r"(\1)", _SQUARE.sub(r"(\1)", text))
    if "_" in text:
        text = _FIELD.sub(r"\1-\2", text)
    if "```" in text or "~~~" in text:
        text = _FENCE.sub("'''", text)
    if "@" in text:
        text = _MENTION.sub("(at)", text)
    text = _HEADING.sub("", text)
    text = _in_disguise(_TURN, r"\1\2\3 –", text)
    return _LINE_ID.sub(r"\1‹\2›", text)


def _in_disguise(pattern: re.Pattern[str], replacement: str, text: str) -> str:
    """`sub`, where the pattern looks at the letters that the text seems to have."""
    if text.isascii():
        return pattern.sub(replacement, text)
    seeming = text.translate(_LOOKALIKES)
    kept, done = [], 0
    for match in pattern.finditer(seeming):
        kept += [text[done : match.start()], text[match.start() : match.end(3)], " –"]
        done = match.end()
    return "".join([*kept, text[done:]])
