"""Tokens: which of them are names, which numbers, which words. Facts and sentences are read by the same eyes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from agent_sre.analysis.grounding.numbers import Number, as_number, month_of, spelled, with_rate, with_unit
from agent_sre.analysis.grounding.vocabulary import COMPOUNDS, CONTRACTIONS, PHRASES, PLAIN_CAPITALS, stem

_CHUNK = re.compile(r"[^\s{}()\[\]=,;\"'`<>|→!?]+|->|=>|[{}()\[\]=,;\"'`<>|→!?]")
_THOUSANDS = re.compile(r"(?<![\w.,])(\d{1,3}(?:,\d{3})+)(?!\w|,\d)")
_UNIT_GAP = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?) (%|[KMGTP]i?B?|ms|us|µs)(?![\w-])")
_CONTRACTED = re.compile(r"\b(\w+)n't\b", re.IGNORECASE)
_POSSESSIVE = re.compile(r"'s\b|(?<=s)'(?=\s)")
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_POD = re.compile(r"(.+?)(?:-[a-z0-9]{6,10})?-[a-z0-9]{5}|(.+)-\d{1,3}")
_ORDINAL_PERCENTILE = re.compile(r"\b(\d{2}(?:\.\d)?)(?:th|st|nd|rd)[ -]percentile\b", re.IGNORECASE)
_RANGE = re.compile(r"(\d[\w.]*%?)-(\d[\w.]*%?)")
_FRACTION = re.compile(r"(\d+)/(\d+)")
_PHRASES = tuple((re.compile(pattern, re.IGNORECASE), replacement) for pattern, replacement in PHRASES)

KINDS = {
    word: kind
    for kind, words in {
        "namespace": "namespace namespaces ns",
        "node": "node nodes host hosts machine machines instance worker",
        "pod": "pod pods",
        "container": "container containers",
        "workload": "deployment deploy service services svc app application statefulset daemonset"
        " replicaset job cronjob workload microservice component",
        "image": "image images",
        "metric": "metric series",
        "volume": "pvc pv volume claim persistentvolumeclaim persistentvolume disk",
        "release": "version versions tag revision release",
        "database": "database db",
    }.items()
    for word in words.split()
}


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `kind` is word, name, number or mark."""

    kind: str
    text: str  # case-folded, but for what CamelCase needs
    stem: str = ""
    number: Number | None = None
    is_key: bool = False  # stands left of `=`
    quoted: bool = False
    hard: bool = False  # a name that no list of words can make good: it has a digit, a slash, an inner capital, …
    raw: str = ""


def tokens_of(text: str) -> tuple[Token, ...]:
    """The tokens of a canonical text."""
    text = _THOUSANDS.sub(lambda match: match.group().replace(",", ""), text)
    text = _UNIT_GAP.sub(r"\1\2", text)
    text = _ORDINAL_PERCENTILE.sub(lambda match: f"p{match.group(1)}", text)
    text = _CONTRACTED.sub(lambda match: CONTRACTIONS.get(match.group(1).lower(), match.group(1)) + " not", text)
    text = _POSSESSIVE.sub("", text)
    for pattern, replacement in _PHRASES:
        text = pattern.sub(replacement, text)
    raw = [chunk for found in _CHUNK.findall(text) for chunk in _trimmed(found)]
    made: list[Token] = []
    quote = ""
    index = 0
    while index < len(raw):
        chunk = raw[index]
        if len(chunk) == 1 and not chunk.isalnum():
            if chunk in "\"'`":
                quote = "" if quote == chunk else quote or chunk
            made.append(Token("mark", chunk, raw=chunk))
            index += 1
            continue
        is_key = index + 1 < len(raw) and raw[index + 1] == "="
        token, taken = _token(raw, index, is_key)
        made.extend(replace(item, quoted=bool(quote), is_key=is_key) for item in token)
        index += taken
    return tuple(made)


def _trimmed(chunk: str) -> list[str]:
    """The chunk without sentence marks at its ends; a colon or full stop after it stays as a mark, because it ends a scope."""
    if chunk in ("->", "=>"):
        return ["→"]
    if chunk == ":":
        return [":"]
    bare = chunk.strip(".:…*_~") if not re.fullmatch(r"[~]?\.\d+\w*|~\d.*", chunk) else chunk.rstrip(".:…")
    if not bare:
        return [","] if chunk.strip("*_~") else []
    if bare == "-":
        return [","]
    if bare in ("&", "+", "/"):
        return ["and"] if bare == "&" else [","]
    if chunk.endswith(":"):
        return [bare, ":"]
    return [bare, ","] if chunk.rstrip("*_~").endswith((".", "…")) else [bare]


def _token(raw: list[str], index: int, is_key: bool) -> tuple[list[Token], int]:
    chunk = raw[index]
    if match := _FRACTION.fullmatch(chunk):
        return [_number(as_number(part), part) for part in match.groups()], 1
    number = as_number(chunk)
    if number is None and (match := _RANGE.fullmatch(chunk)) and chunk.count("-") == 1:
        parts = [as_number(part) for part in match.groups()]
        if all(parts):
            return [_number(part, chunk) for part in parts], 1
    taken = 1
    if number is None and not is_key:
        words = [word.lower() for word in raw[index : index + 5]]
        if found := spelled(words):
            number, taken = found
        elif words[0] in ("a", "an", "last", "past", "one") and len(words) > 1 and with_unit(_ONE, words[1]) and words[1] not in _NOT_SPANS:
            number = _ONE
    if number is None:
        return _names(chunk), 1
    after = raw[index + taken] if index + taken < len(raw) else ""
    if number.bare and month_of(after) and index + taken < len(raw):
        return [Token("name", f"{chunk} {after}".lower(), hard=True, raw=chunk)], taken + 1
    if (number.bare and len(after) > 1) or (number.bare and after in ("s", "m", "h", "d", "B", "k", "K", "M", "G")):
        if number.written == 0.5 and after in ("a", "an"):
            taken, after = taken + 1, raw[index + taken + 1] if index + taken + 1 < len(raw) else ""
        unit = with_unit(number, after)
        if unit is not None and not (after.lower() in ("second", "seconds", "cpus", "min", "cores", "core") and _ordinal(raw, index)):
            number, taken = unit, taken + 1
        elif after.lower() == "of" and number.spelled and number.written == 1:
            pass
    if (
        index + taken + 1 < len(raw)
        and raw[index + taken].lower() in ("per", "a", "an", "each", "every")
        and not number.clock
        and "".join(raw[index + taken + 2 : index + taken + 3]).lower() not in ("ago", "earlier", "before", "later", "after")
    ):
        rate = with_rate(number, raw[index + taken + 1].lower()) if number.readings else None
        if rate is not None:
            number, taken = rate, taken + 2
    elif index + taken + 2 < len(raw) and raw[index + taken + 1].lower() == "per" and raw[index + taken].isalpha() and number.bare:
        rate = with_rate(number, raw[index + taken + 2].lower())  # "3 requests per second"
        if rate is not None:
            return [_number(rate, chunk), *_names(raw[index + taken])], taken + 3
    return [_number(number, chunk)], taken


_ONE = Number((("", 1.0),), spelled=True, written=1.0)
_NOT_SPANS = frozenset(["s", "m", "h", "d", "b", "k", "g", "c", "x", "core", "min", "millicore", "max", "second", "percent", "percentage"])


def _ordinal(raw: list[str], index: int) -> bool:
    return index > 0 and raw[index - 1].lower() in ("the", "a")


def _number(number: Number | None, raw: str) -> Token:
    return Token("number", raw.lower(), number=number, raw=raw)


def _names(chunk: str) -> list[Token]:
    low = chunk.casefold()
    if low in COMPOUNDS:
        return [Token("word", word, stem(word), raw=chunk) for word in COMPOUNDS[low].split()]
    if "'" not in chunk and chunk.isalpha():
        camel = _CAMEL.findall(chunk)
        if len(camel) > 1 and not chunk.isupper():
            return [Token("name", low, hard=True, raw=chunk)]
        if chunk.isupper() and len(chunk) > 1 and low not in PLAIN_CAPITALS:
            return [Token("name", low, stem(low), raw=chunk)]
        return [Token("word", low, stem(low), raw=chunk)]
    return [Token("name", low, hard=True, raw=chunk)]


def words_within(token: Token) -> tuple[str, ...]:
    """The words that a machine's name is made of: metrics (`a_b_total`) and reasons (`CrashLoopBackOff`). Names of objects are no words."""
    raw = token.raw
    if token.kind != "name" or (raw.islower() and "_" not in raw) or re.search(r"[-/.:@]", raw) or (re.search(r"\d", raw) and "_" not in raw):
        return ()
    text = " ".join(piece for part in raw.split("_") for piece in _CAMEL.findall(part) if not re.search(r"\d", part))
    for pattern, replacement in _PHRASES:
        text = pattern.sub(replacement, text)
    return tuple(text.lower().split())


def parts_of(name: str) -> tuple[tuple[str, str], ...]:
    """What one name lets a sentence say, each with its kind where it is known: `shop/cart-0` also is namespace shop, and that pod."""
    found: list[tuple[str, str]] = [(name, "")]
    if "/" in name and "://" not in name:
        pieces = name.split("/")
        if len(pieces) == 2 and all(pieces) and ":" not in name:
            first = KINDS.get(pieces[0], "")
            found += [(pieces[1], first)] if first else [(pieces[0], "namespace"), (pieces[1], "")]
        elif len(pieces) == 3 and pieces[0] in KINDS and all(pieces):
            found += [(pieces[1], "namespace"), (pieces[2], KINDS[pieces[0]])]
        found += [("/".join(pieces[-1:]), "")] if ":" in pieces[-1] else []
    found += [(part, "") for part in re.findall(r"(?<=_)p\d{2,3}(?=_|$)", name)]
    last = name.rsplit("/", 1)[-1]
    if ":" in last and not re.fullmatch(r"[\d.]+:\d+", last):
        base, _, tag = last.partition(":")
        found += [(base, ""), (tag, "release")]
    if "/" not in name and (host := re.fullmatch(r"([\w.-]+):\d+", last)):
        found.append((host.group(1), ""))
    if "/" not in name and (service := re.fullmatch(r"([a-z][a-z0-9-]*)\.(?:[a-z0-9-]+(?::\d+)|[a-z0-9-]+\.svc(?:[.:][\w.:-]*)?)", name)):
        found.append((service.group(1), "workload"))
    return tuple((part, kind) for part, kind in found if part)


def workload_of(name: str) -> str:
    """`cart` for the pod `cart-7d9f8b6c5-x2x4z` or `cart-0`; nothing for what looks like no pod."""
    match = _POD.fullmatch(name)
    if not match or "/" in name or ":" in name or "_" in name:
        return ""
    base = match.group(1) or match.group(2) or ""
    tail = name[len(base) + 1 :]
    if match.group(2) is None and not any(letter.isdigit() for letter in tail) and re.search(r"[aeiou]", tail):
        return ""  # "checkout-front" is a name, not a pod of "checkout": the API server's suffixes have no vowels
    return base
