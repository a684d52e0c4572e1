"""Whatever stands in an analysis, the Markdown keeps the shape that we gave it, and names stay findable."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from agent_sre.alert.subject import Subject
from agent_sre.analysis.analysis import Analysis, Horizon, InvestigationQuery, Recommendation
from agent_sre.analysis.markdown import analysis_json, code, escape, prose, to_markdown
from agent_sre.evidence.evidence import Change, Dependency, Evidence, Fact, Gap, KubernetesObject, LogPattern, MetricSeries, Query
from agent_sre.finding.finding import Confidence, Hypothesis
from agent_sre.kit.text import one_line
from fakes.hostile import HOSTILE, HOSTILE_MARKDOWN
from fakes.incidents import cart_analysis, world_view

NOW = datetime(2026, 11, 23, 6, 40, tzinfo=UTC)
PARSER = MarkdownIt("commonmark", {"html": False})
PERMISSIVE = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
INLINE = {"text", "code_inline", "strong_open", "strong_close", "softbreak"}

soup = st.lists(
    st.sampled_from([*"<>[]()`*_#&;:!~\\\"'|-+=/@$. \n\t0E", "```", "](", "http://x", "www.x", "&#x", "1. ", "[E01]", "\u2028", "\u200b", "\r"]),
    max_size=40,
).map("".join)
any_text = st.one_of(st.text(max_size=60), soup, st.sampled_from([*HOSTILE, *HOSTILE_MARKDOWN]))


def blocks(markdown: str, parser: MarkdownIt = PARSER) -> list[tuple[str, str, str]]:
    """The block structure: kinds, tags and fence languages, without any text."""
    return [(token.type, token.tag, token.info) for token in parser.parse(markdown)]


def inlines(markdown: str, parser: MarkdownIt = PARSER) -> set[str]:
    return {child.type for token in parser.parse(markdown) for child in token.children or []}


def rendered(markdown: str) -> str:
    """What a reader sees, without any markup."""

    def text(token: Token) -> str:
        return "".join(map(text, token.children)) if token.children else token.content

    return " ".join(text(token) for token in PARSER.parse(markdown))


def analysis_of(word: Callable[[], str]) -> Analysis:
    """An analysis in which every text comes from `word`."""
    subject = Subject(kind="Pod", name=word())
    query = Query(id="E01", source=word(), kind=word(), expression=word(), purpose=word())
    fact = Fact(name=word(), text=word(), values={word(): word()})
    pattern = LogPattern(
        template=word(), level=word(), subject=subject, count=3, count_before=0, first_at=NOW, last_at=None, sample=f"sample {word()}"
    )
    thing = KubernetesObject(kind=word(), namespace=word(), name=word(), manifest={"status": {"phase": f"phase {word()}", word(): word()}})
    change = Change(at=None, kind=word(), subject=subject, text=word(), who=f"who {word()}", diff=(f"- {word()}", f"+ {word()}", word()))
    edge = Dependency(source=word(), destination=word(), via=word())
    data = (fact, pattern, thing, change, edge)
    evidence = Evidence(id="E01", query=query, subject=subject, data=data, summary=word(), collected_at=NOW, took=timedelta(0), url=word())
    return Analysis(
        task_type=word(),
        title=word(),
        observations=(word(), word()),
        root_cause=word(),
        impact=word(),
        hypotheses=(
            Hypothesis(id="H1", cause=word(), subject=subject, score=0.5, supporting=("E01",), contradicting=(), check=word()),
            Hypothesis(id="H2", cause=word(), subject=subject, score=0.4, supporting=(word(),), contradicting=(word(),), check=word()),
            _seen_cause(word, subject),
        ),
        recommendations=tuple(
            Recommendation(id=word(), horizon=horizon, text=word(), command=f"x {word()}", language="bash", evidence_ids=(word(),))
            for horizon in (Horizon.IMMEDIATE, Horizon.INVESTIGATION, Horizon.PREVENTION)
        ),
        investigation_queries=(
            InvestigationQuery(language="promql", text=f"y {word()}", why=word(), returned=f"one {word()}"),
            InvestigationQuery(language=word(), text=f"z {word()}", why=word(), returned=f"two {word()}"),
        ),
        evidence=(evidence,),
        gaps=(Gap(query=query, reason=word(), detail=word()),),
        confidence=Confidence.LOW,
        confidence_reason=word(),
        author=word(),
        author_note=word(),
        timings={"rules": 0.1},
        tokens={},
        markdown="",
        ruled_out=(_seen_cause(word, subject),),
        chain=(word(), word()),
        next_check=word(),
    )


def _seen_cause(word: Callable[[], str], subject: Subject) -> Hypothesis:
    return Hypothesis(
        id="H3", cause=word(), subject=subject, score=0.3, supporting=("E01",), contradicting=("E01", word()), check=word(), name=word(),
        reasons=(word(), word()), doubts=(word(),),
    )  # fmt: skip


def with_harmless_languages(analysis: Analysis) -> Analysis:
    """The same with plain words where a fence's language stands: those may differ, the rest of the structure may not."""
    queries = tuple(replace(query, language="promql") for query in analysis.investigation_queries)
    return replace(analysis, investigation_queries=queries)


def only_known(analysis: Analysis) -> Analysis:
    """Without the evidence that only a citation in the text would show: whether it is cited is a question of its own."""
    return replace(analysis, evidence=())


# escape, code, prose


@given(any_text, any_text, any_text)
@settings(max_examples=200, deadline=None)
def test_any_text_stays_text_wherever_it_stands(first: str, second: str, third: str) -> None:
    def page(one: str, two: str, three: str) -> str:
        return f"{one}\n{two}\n\n- {two}\n- **a**: {one} {three} [E02]\n  1. {three} {one}\n     {two}\n"

    markdown = page(escape(first), prose(second, citing=True), code(third))
    assert blocks(markdown) == blocks(page("word", "word", "word"))
    assert blocks(markdown, PERMISSIVE) == blocks(page("word", "word", "word"), PERMISSIVE)
    assert inlines(markdown) <= INLINE
    assert inlines(markdown, PERMISSIVE) <= INLINE


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=80))
@settings(max_examples=150, deadline=None)
def test_escaped_text_reads_as_it_was(text: str) -> None:
    line = one_line(text, 1000)
    if line:
        assert rendered(escape(text)).strip() == line
        assert rendered(code(text)).strip() == line


@given(st.text(alphabet="abzAZ019._/:-", min_size=1, max_size=60))
@settings(max_examples=150, deadline=None)
def test_names_are_findable_letter_by_letter(name: str) -> None:
    if not any(character.isalnum() for character in name):
        return
    for markdown in (escape(f"pod {name} restarts"), prose(f"pod {name} restarts"), code(name), escape(f"“{name}”")):
        assert name in markdown


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("pod api-7d4f9_x.shop:9090 of shop/cart", "pod api-7d4f9_x.shop:9090 of shop/cart"),
        ("__name__", "`__name__`"),
        ("see https://evil.example/x", "see `https://evil.example/x`"),
        ("hello @here and a@b.c", "hello `@here` and `a@b.c`"),
        ("[E02]: http://x", "\\[E02]: `http://x`"),
        ("1. first", "1\\. first"),
        ("# title", "\\# title"),
        ("- item", "\\- item"),
        ("<b>&amp;</b>", "\\<b>\\&amp;\\</b>"),
        ("a\nb\r\n  c", "a b c"),
        ("\u200b\x00", "(empty)"),
    ],
)
def test_examples_of_escaped_text(text: str, markdown: str) -> None:
    assert escape(text) == markdown


def test_code_survives_any_backticks() -> None:
    for text in ("`", "``", "`x`", "a `b` ``c``", "x"):
        assert inlines(code(text)) == {"code_inline"}
        assert rendered(code(text)).strip() == text
    assert code("") == "(empty)"


def test_prose_keeps_code_and_where_it_may_cite_citations() -> None:
    assert prose("run `kubectl top` now [E02]", citing=True) == "run `kubectl top` now [E02]"
    assert prose("run [E02]") == "run \\[E02]"
    assert prose("[E02](http://x) [E02]: y [E02][E03]", citing=True).count("\\[E02]") == 3
    assert prose("a ` alone") == "a \\` alone"


def test_long_text_is_cut_and_says_so() -> None:
    assert escape("x" * 5000, 100) == f"{'x' * 100}…(+4900)"


# to_markdown


@given(st.lists(any_text, min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_no_text_in_any_field_changes_the_structure(texts: list[str]) -> None:
    harmless, hostile = analysis_of(lambda: "word"), _hostile(texts)
    markdown = to_markdown(only_known(with_harmless_languages(hostile)))
    assert blocks(markdown) == blocks(to_markdown(only_known(with_harmless_languages(harmless))))
    assert inlines(markdown) <= INLINE
    assert inlines(to_markdown(hostile), PERMISSIVE) <= INLINE
    assert [token.content for token in PARSER.parse(markdown) if token.type == "heading_open"] == ["", ""]


def _hostile(texts: list[str]) -> Analysis:
    """Texts in turn. An empty text leaves its part out, which is right, so each begins with something."""
    position = -1

    def word() -> str:
        nonlocal position
        position += 1
        return texts[position % len(texts)] or "x"

    return analysis_of(word)


def test_the_document_begins_with_the_analysis_and_ends_with_the_author() -> None:
    markdown = to_markdown(cart_analysis())
    assert markdown.startswith("## 🔍 Analysis\n")
    assert markdown.index("**Potential Root Causes:**") < markdown.index("**Impact:**") < markdown.index("## 💡 Recommendations")
    assert markdown.rstrip().splitlines()[-1].startswith("Made by model `gemma3n:e4b`")


def test_recommendations_are_one_numbered_list_with_labels_and_whole_blocks() -> None:
    analysis = cart_analysis()
    tail = to_markdown(analysis).split("## 💡 Recommendations")[1]
    tokens = PARSER.parse(tail)
    items = [tokens[index + 2].content for index, token in enumerate(tokens) if token.type == "list_item_open" and token.level == 1]
    numbered = items[: len(analysis.recommendations)]
    assert [text.split(":")[0] for text in numbered] == [f"**{item.horizon.value}**" for item in analysis.recommendations]
    fences = [(token.info, token.content) for token in tokens if token.type == "fence"]
    for item in analysis.recommendations:
        if item.command:
            assert (item.language, item.command + "\n") in fences
    assert sum(token.type == "ordered_list_open" for token in tokens) == 1


@pytest.mark.parametrize("command", ["a\n```\nb", "````", "x `y` ```z```", "line\n\n\nline", "  indented\n\ttab", "~~~\nx\n~~~", "1. x\n# y\n- z"])
def test_a_block_survives_what_it_holds(command: str) -> None:
    recommendations = (Recommendation(id="A1", horizon=Horizon.IMMEDIATE, text="do", command=command, language="bash"),)
    markdown = to_markdown(replace(cart_analysis(), recommendations=recommendations, investigation_queries=()))
    fences = [token.content for token in PARSER.parse(markdown) if token.type == "fence"]
    assert fences == [command + "\n"]


def test_a_query_that_a_recommendation_shows_is_not_shown_twice() -> None:
    analysis = cart_analysis()
    query = InvestigationQuery(language="bash", text=analysis.recommendations[0].command, why="again", returned="not run")
    markdown = to_markdown(replace(analysis, investigation_queries=(query,)))
    assert markdown.count(query.text) == 1
    assert "Queries to look further" not in markdown


def test_a_common_result_is_said_once() -> None:
    queries = tuple(InvestigationQuery(language="promql", text=f'up{{n="{n}"}}', why="w", returned="not run (off)") for n in range(3))
    assert to_markdown(replace(cart_analysis(), investigation_queries=queries)).count("not run (off)") == 1


def test_cited_evidence_that_no_observation_tells_about_is_listed() -> None:
    analysis = replace(cart_analysis(), observations=("nothing cited",), root_cause="because [E03]")
    assert "- [E03] " in to_markdown(analysis)
    assert "**Evidence:**" not in to_markdown(replace(analysis, observations=("all of [E01] [E02] [E03] [E04] [E05] [E06]",)))


def test_a_part_without_text_is_left_out() -> None:
    markdown = to_markdown(replace(cart_analysis(), hypotheses=(), root_cause="", impact="", gaps=(), observations=()))
    for part in ("Root Causes", "Impact", "Could not be checked", "Observations"):
        assert part not in markdown
    alone = to_markdown(replace(cart_analysis(), hypotheses=(), root_cause="the disk"))
    assert "**Potential Root Causes:**\n\n1. the disk" in alone


def test_changes_patterns_objects_and_dependencies_are_told_with_their_citation() -> None:
    analysis = world_view().analysis
    assert analysis is not None
    markdown = to_markdown(analysis)
    for line in (
        "- [E08] new error ×148, 0 before, 0 the day before: `ERROR cache: cannot allocate <n> entries of <n> bytes`, for example `ERROR cache: "
        "cannot allocate 2097152 entries of 64 bytes`",
        "- [E08] vanished info ×0, 12 before: `INFO warm-up finished in <n> s`, for example `INFO warm-up finished in 4 s`",
        "- [E09] Pod `shop/cart-7d9c5b6f4-x2lqn`: Running on worker-3; cart: waiting CrashLoopBackOff, 11 restarts, last OOMKilled (exit 137)",
        "- [E10] 2026-11-23T06:18:11Z: image of container cart: 2.4.0 → 2.4.1 (Deployment shop/cart), by `flux`: `- image: shop/cart:2.4.0`; "
        "`+ image: shop/cart:2.4.1`; `+ env CACHE_ENTRIES=2097152`",
        "- [E11] `checkout` → `cart` (mesh)",
    ):
        assert line in markdown.splitlines()
    assert "GET /cart" not in markdown, "what is as it was is in the JSON"
    assert "worker-3`:" not in markdown, "an object of which nothing is known is not listed"


def test_the_answer_to_a_log_text_does_not_tell_of_its_patterns_twice() -> None:
    analysis = world_view().analysis
    assert analysis is not None
    assert "**Log patterns:**" not in to_markdown(replace(analysis, task_type="logs"))


# analysis_json


@given(st.lists(any_text, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_the_json_is_plain_and_encodable_for_any_text(texts: list[str]) -> None:
    document = analysis_json(_hostile(texts))
    assert json.loads(json.dumps(document, ensure_ascii=False, allow_nan=False).encode()) == document


def test_the_json_has_the_five_parts_and_what_they_rest_on() -> None:
    analysis = cart_analysis()
    document = analysis_json(analysis)
    assert {"root_cause", "impact", "mitigation_steps", "investigation_queries", "prevention"} <= set(document)
    assert [item["id"] for item in document["hypotheses"]] == [item.id for item in analysis.hypotheses]
    assert set(document["hypotheses"][0]) == {
            "id", "name", "cause", "object", "score", "supporting", "contradicting", "check", "rules_out", "reasons", "doubts",
        }  # fmt: skip
    assert set(document["investigation_queries"][0]) == {"language", "text", "why", "returned"}
    assert {"id", "source", "query", "summary", "collected_at", "truncated", "url"} <= set(document["evidence"][0])
    assert document["author"] == analysis.author
    assert document["confidence"] == analysis.confidence.value
    horizons = {item["horizon"] for item in document["mitigation_steps"]} | {item["horizon"] for item in document["prevention"]}
    assert horizons <= {"Immediate", "Short-term", "Long-term", "Prevention"}


def test_long_series_are_thinned_keep_their_newest_point_and_hold_no_nan() -> None:
    points = tuple((float(at), math.nan if at == 998 else float(at)) for at in range(1000))
    series = MetricSeries(labels={"pod": "a"}, points=points)
    item = replace(cart_analysis().evidence[0], data=(series,) * 9)
    document = analysis_json(replace(cart_analysis(), evidence=(item,)))["evidence"][0]
    assert len(document["series"]) == 5
    assert len(document["series"][0]["points"]) <= 120
    assert document["series"][0]["points"][-1] == [999.0, 999.0]
    assert document["truncated"] is True
    nan = replace(item, data=(replace(series, points=((1.0, math.nan), (2.0, math.inf))),))
    assert analysis_json(replace(cart_analysis(), evidence=(nan,)))["evidence"][0]["series"][0]["points"] == [[1.0, None], [2.0, None]]


def test_the_json_has_every_kind_of_evidence() -> None:
    analysis = world_view().analysis
    assert analysis is not None
    found = {item["id"]: item for item in analysis_json(analysis)["evidence"]}
    pattern = found["E08"]["log_patterns"][0]
    assert (pattern["new"], pattern["vanished"], pattern["count"], pattern["count_before"]) == (True, False, 148, 0)
    assert pattern["first_at"] == "2026-11-23T06:28:11.000000Z"
    pod = found["E09"]["objects"][0]
    assert (pod["kind"], pod["name"], pod["fields"]["spec.nodeName"]) == ("Pod", "cart-7d9c5b6f4-x2lqn", "worker-3")
    assert "manifest" not in pod
    assert [change["at"] for change in found["E10"]["changes"]] == ["2026-11-23T06:18:11.000000Z", None]
    assert found["E11"]["dependencies"][0] == {"source": "checkout", "destination": "cart", "via": "mesh"}
