"""The model's text as sentences, in one canonical form. What cannot be shown in any (another script, markup, a link) is named here, unread."""

from __future__ import annotations

import re
import unicodedata

_ID = r"E\d{1,4}"
_INLINE_IDS = re.compile(rf"[\[(]\s*{_ID}(?:\s*(?:,|;|and|&)?\s*{_ID})*\s*[\])]|(?<![\w./:-]){_ID}(?![\w/:-]|\.\w)", re.IGNORECASE)
_ONE_ID = re.compile(_ID, re.IGNORECASE)
_REFERS = re.compile(
    r"\b(?:see|as (?:seen|shown) (?:in|by)|(?:shown|seen|reported) (?:in|by)|according to|per|evidence|from|by|in)\s*(?=\x00)", re.IGNORECASE
)

# Where a sentence may end: a mark, closing quotes, then white space. Versions, addresses and decimals have no white space after their dots.
_END = re.compile(r"(?:[.!?]+|…)[\"'”’)\]]*(?=\s|$)|\n+")
_ABBREVIATIONS = frozenset(
    ["e.g", "i.e", "etc", "vs", "approx", "cf", "no", "fig", "al", "incl", "resp", "ca", "min", "max", "avg", "dr", "mr", "mrs", "st"]
)

_ESCAPE = re.compile(r"\x1b|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|&#?\w{1,8};|%[0-9A-Fa-f]{2}(?![\w%])")
_LINK = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,20}:/{1,2}|\bwww\.|\bmailto:|\bjavascript:|\bdata:\w+/|\]\(|[\w.+-]+@[\w-]+\.\w|"
    r"\b(?!\d)[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|dev|ai|xyz|ru|cn|info|biz|me|sh|app|co|de|uk)(?:/|\b(?![.\w-]))",
    re.IGNORECASE,
)
_MARKUP = re.compile(
    r"<[^>\s][^>]*>|<[!@#/]|(?<!\w)@\w+|```|~~~|\{\s*[\"'{}]|[\"']\s*:\s*[\"'\d\[{]|\*\*|__\w|(?:^|\s)[#>]{1,6}\s|!\[|\||\$\(|\$\{|\{\{|&&|;\s*--|\\"
)
_BULLET = re.compile(r"^\s*(?:[-*•–·]\s+|\(?\d{1,2}[.)]\s+(?=[A-Za-z]))")


def canonical(text: str) -> str:
    """NFKC, without invisible characters, straight quotes and dashes."""
    folded = unicodedata.normalize("NFKC", text)
    kept = "".join(character for character in folded if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    return kept.translate(_PLAIN)


_PLAIN = {
    0x2018: "'", 0x2019: "'", 0x201B: "'", 0x2032: "'", 0x201C: '"', 0x201D: '"', 0x201E: '"', 0x00AB: '"', 0x00BB: '"',
    0x2010: "-", 0x2011: "-", 0x2012: "-", 0x2013: "-", 0x2014: " - ", 0x2212: "-", 0x2044: "/", 0x00D7: "x",
}  # fmt: skip


def foreign_script(text: str) -> bool:
    """Whether a letter or digit is not of the Latin script's plain or accented kind: a homoglyph, or another language."""
    for character in text:
        if character < "\x80":
            continue
        category = unicodedata.category(character)
        if category[0] in "LN" and not (character in "µμ" or unicodedata.name(character, "").startswith("LATIN ")):
            return True
        if category[0] == "M" or (category in ("Sm", "So", "Sk", "Sc") and character not in "→°±≈≤≥←"):
            return True
    return False


def hidden(text: str) -> bool:
    """Whether an invisible or control character sits inside a word. In the middle of a name it is never innocent."""
    return any(unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs") and character not in "\n\t\r" for character in text)


def bad_form(sentence: str) -> str:
    """`link`, `markup`, `script`, or nothing."""
    if foreign_script(sentence):
        return "script"
    if _LINK.search(sentence):
        return "link"
    if _ESCAPE.search(sentence) or _MARKUP.search(sentence):
        return "markup"
    return ""


def split(text: str) -> tuple[str, ...]:
    """The sentences in order, without bullets, white space folded."""
    found: list[str] = []
    start = 0
    for end in _END.finditer(text):
        piece = text[start : end.end()]
        if "\n" not in end.group() and _goes_on(piece, text[end.end() :]):
            continue
        found.append(piece)
        start = end.end()
    found.append(text[start:])
    tidy = (" ".join(_BULLET.sub("", piece).split()) for piece in found)
    return tuple(piece for piece in tidy if piece)


def without_ids(sentence: str) -> tuple[str, tuple[str, ...]]:
    """The sentence without the evidence ids written in it, and those ids."""
    ids: list[str] = []

    def take(match: re.Match[str]) -> str:
        ids.extend(found.upper() for found in _ONE_ID.findall(match.group()))
        return "\x00"

    text = _INLINE_IDS.sub(take, sentence)
    if not ids:
        return sentence, ()
    text = re.sub(r"\x00(?:\s*(?:,|and|&)?\s*\x00)*", "\x00", text)
    text = _REFERS.sub("", text).replace("\x00", "")
    text = re.sub(r"[\[(]\s*[,;]?\s*[\])]", "", text)
    text = re.sub(r"\s+([,.;:!?])", r"\1", " ".join(text.split()))
    text = re.sub(r"^\s*(?:[,:;-]\s*|(?:shows?|says?|indicates?|reports?|confirms?|reveals?)(?:\s+that)?[,:]?\s+)", "", text)
    text = re.sub(r",\s*([.!?])", r"\1", text)
    return text[:1].upper() + text[1:] if text[:1].islower() and not re.match(r"[\w.]*[-_/\d]", text) else text, tuple(dict.fromkeys(ids))


def _goes_on(piece: str, rest: str) -> bool:
    if not rest.strip():
        return False
    last = piece.split()[-1].strip("\"'()[]").lower() if piece.split() else ""
    if last.rstrip(".") in _ABBREVIATIONS and last.endswith("."):
        return not (last.rstrip(".") in ("etc", "no", "min", "max") and rest.lstrip()[:1].isupper())
    if last.endswith(("...", "…")):
        return not rest.lstrip()[:1].isupper()
    # One letter and a dot is an initial or a list's number, not an end: "U. S.", "1. The".
    return bool(re.fullmatch(r"(?:[a-z]|\d{1,2})\.", last)) and len(piece.split()) == 1
