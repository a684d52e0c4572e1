"""A page as its elements, so that a test can compare what a browser would build instead of texts."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser

INLINE = frozenset({"a", "b", "code", "em", "i", "span", "strong", "time"})
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One start tag: its depth in the tree and its attributes, in order."""

    depth: int
    tag: str
    attributes: tuple[tuple[str, str | None], ...]

    def attribute(self, name: str) -> str | None:
        return dict(self.attributes).get(name)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.texts: list[str] = []
        self.errors: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(depth=len(self._open), tag=tag, attributes=tuple(attrs)))
        self._space(tag)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(depth=len(self._open), tag=tag, attributes=tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._space(tag)
        if not self._open or self._open[-1] != tag:
            self.errors.append(f"</{tag}> closes {self._open[-1:]}")
        else:
            self._open.pop()

    def _space(self, tag: str) -> None:
        if tag not in INLINE:
            self.texts.append(" ")  # a browser sets these apart

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.errors.append(f"comment {data[:40]!r}")


def _parsed(html: str) -> _Parser:
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert parser.errors == []
    return parser


def elements(html: str) -> list[Element]:
    """All start tags in order. Fails on tags that do not match and on comments: we write neither."""
    return _parsed(html).elements


def text(html: str) -> str:
    """What is there to read, white space folded."""
    return " ".join("".join(_parsed(html).texts).split())


def skeleton(html: str) -> list[tuple[int, str, tuple[str, ...], str | None]]:
    """The page without its words: depth, tag, attribute names and class of every element."""
    return [(element.depth, element.tag, tuple(name for name, _ in element.attributes), element.attribute("class")) for element in elements(html)]
