"""Markdown that somebody else wrote (a model, an alert, a log line) as HTML that can do nothing but be read.

Two locks, each enough alone: what could act is not parsed (HTML, links, images, autolinks and reference definitions stay visible as the
text they are), and the pages' CSP would not run or load it. Headings sink by one so that the page keeps its own outline.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from agent_sre.kit.redact import redact
from agent_sre.kit.text import clean

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MAX_CHARACTERS = 32 * 1024
"""What is rendered of one text; the rest is cut with a visible mark. An analysis is a tenth of it."""

ELEMENTS = frozenset({"p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "hr", "br", "em", "strong", "code", "pre"})
"""Everything that can come out."""

_LANGUAGE = re.compile(r"[A-Za-z0-9+#-]{1,20}")


def render_markdown(text: str) -> Markup:
    """CommonMark as HTML made of ELEMENTS; the only attributes are `class="language-…"`, `start` of a list and `tabindex` of a `<pre>`.

    Control and invisible characters and secrets are gone; what is longer than MAX_CHARACTERS is cut.
    """
    markdown = _commonmark()
    html: str = markdown.render(redact(clean(text, MAX_CHARACTERS)))
    return Markup(html)  # noqa: S704  every text in it went through the renderer's escape, see the property test


@cache
def _commonmark() -> MarkdownIt:
    """The parser, made once: loading and building it takes longer than a page."""
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore

    def sink_headings(state: StateCore) -> None:
        for token in state.tokens:
            if token.type in ("heading_open", "heading_close"):
                token.tag = f"h{min(6, max(3, int(token.tag[1:]) + 1))}"

    parser = MarkdownIt("commonmark", {"html": False})
    parser.disable(["html_block", "html_inline", "reference", "link", "image", "autolink"])
    parser.core.ruler.push("sink_headings", sink_headings)
    parser.add_render_rule("fence", _code)
    parser.add_render_rule("code_block", _code)
    return parser


def _code(_renderer: object, tokens: Sequence[Token], position: int, _options: object, _env: object) -> str:
    """A block that copies clean: no prompt, no numbers, no trailing line. `tabindex` lets a keyboard scroll a wide one."""
    token = tokens[position]
    words = token.info.split(maxsplit=1)
    language = words[0] if words and _LANGUAGE.fullmatch(words[0]) else ""
    return code_block(token.content.rstrip("\n"), language)


def code_block(text: str, language: str = "") -> Markup:
    """A `<pre>` of one command, query or excerpt; `language` must be a plain word."""
    named = Markup(' class="language-{}"').format(language) if language else ""
    return Markup('<pre tabindex="0"><code{}>{}</code></pre>\n').format(named, escape(text))
