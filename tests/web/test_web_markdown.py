"""Markdown from anywhere becomes words on a page and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.web.markdown import ELEMENTS, MAX_CHARACTERS, render_markdown
from fakes.dom import elements, text
from fakes.hostile import HOSTILE, HOSTILE_MARKDOWN
from fakes.incidents import cart_analysis

_ATTRIBUTES = {("code", "class"), ("ol", "start"), ("pre", "tabindex")}


def _assert_harmless(html: str) -> None:
    for element in elements(html):
        assert element.tag in ELEMENTS
        for name, value in element.attributes:
            assert (element.tag, name) in _ATTRIBUTES
            if name == "class":
                assert value is not None
                assert value.removeprefix("language-").replace("+", "").replace("#", "").replace("-", "").isalnum()
            else:
                assert value is not None
                assert value.isdigit()


@pytest.mark.parametrize("source", [*HOSTILE, *HOSTILE_MARKDOWN])
def test_hostile_text_gives_only_known_elements(source: str) -> None:
    for around in ("{}", "# {}", "- {}\n- {}", "> {}", "**{}**", "```\n{}\n```", "`{}`", "[{}]({})", "[a]: {}\n\n[a]", "<{}>", "![{}]({})"):
        _assert_harmless(render_markdown(around.replace("{}", source)))


@given(st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_gives_only_known_elements(source: str) -> None:
    _assert_harmless(render_markdown(source))


@given(
    st.lists(
        st.sampled_from([*"<>[]()`*_#&;:!~\\\"'|-+=/ \n\t", "javascript:", "onload=", "script", "http://x", "](", "```", "&#x", "1. "]),
        max_size=60,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_markup_soup_gives_only_known_elements(pieces: list[str]) -> None:
    _assert_harmless(render_markdown("".join(pieces)))


def test_links_images_and_html_stay_readable_as_text() -> None:
    assert text(render_markdown("[go](http://a.example) ![i](http://b.example) <http://c.example> <b>x</b>")) == (
        "[go](http://a.example) ![i](http://b.example) <http://c.example> <b>x</b>"
    )
    assert "[1]: http://a.example" in text(render_markdown("see [1]\n\n[1]: http://a.example"))


def test_headings_sink_by_one_and_never_reach_the_page_s_own_levels() -> None:
    html = render_markdown("# one\n\n## two\n\n### three\n\n##### five\n\n###### six")
    assert [element.tag for element in elements(html)] == ["h3", "h3", "h4", "h6", "h6"]


def test_fenced_blocks_survive_whole_and_carry_their_language() -> None:
    html = render_markdown('1. **Immediate**: look\n   ```promql\n   rate(x{a="b"}[5m]) > 0.5\n\n   # end\n   ```\n')
    assert '<pre tabindex="0"><code class="language-promql">rate(x{a=&#34;b&#34;}[5m]) &gt; 0.5\n\n# end</code></pre>' in html


def test_a_language_that_is_no_plain_word_is_dropped() -> None:
    assert "<code>x</code>" in render_markdown('```a"b\nx\n```')


def test_lists_emphasis_and_line_breaks_are_kept() -> None:
    tags = {element.tag for element in elements(render_markdown("3. a\n4. *b* **c**\n\n- d  \n  e\n\n> f\n\n***\n"))}
    assert tags == {"ol", "ul", "li", "em", "strong", "br", "blockquote", "p", "hr"}


def test_invisible_characters_and_secrets_do_not_reach_the_page() -> None:
    html = render_markdown("a\u202eb\u200bc \x1b[31m password=hunter22 https://u:hunter22@host/")
    assert "hunter22" not in html
    assert all(character not in html for character in "\u202e\u200b\x1b")


def test_a_huge_text_is_cut_where_the_reader_can_see_it() -> None:
    html = render_markdown("word " * MAX_CHARACTERS)
    assert len(html) < MAX_CHARACTERS + 200
    assert "…(+" in html


def test_our_own_report_keeps_its_five_recommendations_and_their_commands() -> None:
    analysis = cart_analysis()
    html = render_markdown(analysis.markdown)
    _assert_harmless(html)
    assert text(html).startswith("🔍 Analysis Container cart in shop/cart")
    for item in analysis.recommendations:
        assert " ".join(item.command.split()) in text(html)
