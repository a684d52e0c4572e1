"""What a playbook suggests is asked last, within bounds, of whoever can answer; and told so that a reader need not ask it again."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence.evidence import Evidence, EvidenceSet, EvidenceSource, Fact, Gap, MetricSeries, Query
from agent_sre.evidence.gaps import troubles
from agent_sre.evidence.gather import Circuits, gather, planned
from agent_sre.evidence.loki.client import LokiClient, LokiSettings
from agent_sre.evidence.loki.source import LokiSource
from agent_sre.evidence.off import NotConfigured
from agent_sre.evidence.playbook import Playbook, PlaybookQuery, load_playbooks
from agent_sre.evidence.playbook_derived import playbook_of
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.evidence.suggested import MOST_SERIES, MOST_SUGGESTED, SUGGESTED, labels_of, normal, sentence, suggestions, without
from agent_sre.finding.diagnose import diagnose
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock, SystemClock
from evidence.builders import NOW, an_alert, an_incident
from fakes.loki import FakeLoki
from fakes.prometheus import FakePrometheus, FakeSeries

POD = {"namespace": "shop", "pod": "cart-0", "container": "cart"}
MEMORY = 'container_memory_working_set_bytes{namespace="shop", pod="cart-0"}'
PLAYBOOKS = load_playbooks()
GENERIC = PLAYBOOKS[-1]


@dataclass
class Speaker:
    """A source with a server that runs `language`, and with questions of its own."""

    name: str = "prometheus"
    language: str = "promql"
    own: tuple[Query, ...] = ()
    asked: list[str] = field(default_factory=list)
    hangs: bool = False

    def plan(self, incident: Incident, now: datetime) -> Sequence[Query]:
        return self.own

    async def fetch(self, query: Query, incident: Incident) -> Evidence:
        self.asked.append(query.expression)
        if self.hangs and query.kind == SUGGESTED:
            await asyncio.Event().wait()
        return Evidence(id=query.id, query=query, subject=incident.subject, data=(), summary="told", collected_at=NOW, took=timedelta(0))


def playbook(*queries: str, language: str = "promql") -> Playbook:
    return replace(GENERIC, queries=tuple(PlaybookQuery(language=language, text=text, why="What it tells.") for text in queries))


def an_own(kind: str, expression: str, source: str = "prometheus") -> Query:
    return Query(id="", source=source, kind=kind, expression=expression, purpose="to see", language="promql")


def suggested(book: Playbook, *sources: EvidenceSource, incident: Incident | None = None, own: Sequence[Query] = ()) -> list[Query | Gap]:
    found = suggestions(sources or [Speaker()], own, book, incident or an_incident(an_alert(labels=POD)), NOW)
    return [question for _, question in found]


# What is asked


def test_the_playbook_s_queries_come_last_filled_in_and_with_its_reason() -> None:
    book = playbook('up{pod="$pod"}', 'memory{namespace="$namespace"}', 'x{nobody="$nothing"}')
    loki = Speaker("loki", "logql", (an_own("errors", "e", "loki"),))
    questions = planned(an_incident(an_alert(labels=POD)), [Speaker(own=(an_own("value", "v"),)), loki], FakeClock(NOW), book)
    assert [(item.id, item.source, item.kind, item.expression) for item in questions if isinstance(item, Query)] == [
        ("E01", "prometheus", "value", "v"),
        ("E02", "loki", "errors", "e"),
        ("E03", "prometheus", SUGGESTED, 'up{pod="cart-0"}'),
        ("E04", "prometheus", SUGGESTED, 'memory{namespace="shop"}'),
    ]
    assert isinstance(questions[2], Query)
    assert (questions[2].purpose, questions[2].language) == ("What it tells.", "promql")


def test_at_most_six_are_asked_and_commands_and_strange_languages_of_nobody() -> None:
    assert len(suggested(playbook(*(f"m{number}" for number in range(20))))) == MOST_SUGGESTED
    assert suggested(playbook("kubectl get pods", language="bash")) == []
    assert suggested(playbook('{namespace="shop"}', language="logql")) == []
    assert suggested(playbook("up"), NotConfigured("prometheus", "PROMETHEUS_URL")) == []
    assert suggestions([Speaker()], [], None, an_incident(), NOW) == ()


def test_what_the_source_asks_anyway_is_not_asked_twice() -> None:
    book = playbook('up{job="api",instance="a"}', 'up{ instance="a", job="api" }', "memory")
    assert [item.expression for item in suggested(book) if isinstance(item, Query)] == ['up{job="api",instance="a"}', "memory"]
    own = [an_own("up", 'up{instance="a",job="api"}'), an_own("value", "memory")]
    # The value is narrowed to the alert's object before it runs, so it does not answer for all of them.
    assert [item.expression for item in suggested(book, own=own) if isinstance(item, Query)] == ["memory"]


def test_what_is_no_query_is_a_gap_that_nobody_is_invited_to_paste() -> None:
    gap = suggested(playbook("sum by (pod"))[0]
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.query.language) == ("not_promql", "")
    assert gap.detail.startswith("The playbook's query is not PromQL: ")
    for text, complaint in {
        '{a="b"} |~ "x" )': '")" closes nothing',
        'rate({a="b"}[5m]': '"(" is not closed',
        '{a="b"} |= "x': "a string is",
    }.items():
        gap = suggested(playbook(text, language="logql"), Speaker("loki", "logql"))[0]
        assert isinstance(gap, Gap)
        assert gap.reason == "not_logql"
        assert complaint in gap.detail
    assert isinstance(suggested(playbook("up" + " or up" * 1_000))[0], Gap)


def test_lines_are_asked_for_around_the_alert_and_numbers_for_now() -> None:
    lines, numbers = suggested(playbook('{pod="$pod"}', 'rate({pod="$pod"}[5m])', language="logql"), Speaker("loki", "logql"))
    assert isinstance(lines, Query)
    assert isinstance(numbers, Query)
    assert lines.window is not None
    assert (lines.window.end, lines.window.start < an_alert().starts_at) == (NOW, True)
    assert numbers.window is None
    old = an_incident(an_alert(labels=POD, starts_at=NOW - timedelta(days=9)))
    ancient = suggested(playbook('{pod="$pod"}', language="logql"), Speaker("loki", "logql"), incident=old)[0]
    assert isinstance(ancient, Query)
    assert ancient.window is not None
    assert ancient.window.start == NOW - timedelta(hours=1)


LABELS = {
    "pod": {**POD, "job": "kubelet", "instance": "10.0.0.1:10250", "node": "worker-1", "service": "cart"},
    "nothing": {},
    "machine": {"instance": "10.0.0.1:9100", "job": "node", "device": "/dev/sda1", "mountpoint": "/"},
    "workload": {"namespace": "shop", "deployment": "cart"},
}


@pytest.mark.parametrize("labels", LABELS)
def test_every_query_of_every_packaged_playbook_can_be_asked_and_never_more_than_six(labels: str) -> None:
    for book in PLAYBOOKS:
        found = suggested(book, Speaker(), Speaker("loki", "logql"), incident=an_incident(an_alert(labels=LABELS[labels])))
        assert not [item for item in found if isinstance(item, Gap)], book.name
        assert len(found) <= MOST_SUGGESTED


def matchers(expression: str) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []

    def visit(node: object) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.extend((item.name, str(item.op), item.value) for item in node.matchers.matchers)
        return True

    promql_parser.walk(promql_parser.parse(expression), pre_visit=visit)
    return found


@given(value=st.text(min_size=1, max_size=30) | st.sampled_from(['"} or up{a="', "a\\", "`$pod`", "a,b}", "\n#"]))
@settings(max_examples=200, deadline=None)
def test_whatever_a_label_says_exactly_the_intended_matchers_are_asked(value: str) -> None:
    book = playbook('sum(rate(x{pod="$other", container!=""}[5m])) / y{a="$other"}')
    found = suggested(book, incident=an_incident(an_alert(labels={**POD, "other": value})))
    if not found:  # a value that no string can hold is not asked for at all
        assert not value.isprintable()
        return
    assert isinstance(found[0], Query)
    # order aside, and whatever the parser calls its operators
    assert sorted((name, text) for name, _, text in matchers(found[0].expression)) == [("a", value), ("container", ""), ("pod", value)]
    assert labels_of(found[0].expression) == {"pod", "container", "a"}


def test_queries_that_differ_in_nothing_that_matters_are_the_same() -> None:
    assert normal('sum by (a,b) ( x{b="1", a="2"} )') == normal('sum by(a, b)(x{a="2",b="1"})')
    assert normal('x{a="1, 2"}') != normal('x{a="1,2"}')
    assert normal("a or b") != normal("aorb")
    assert normal("") == ""


# In its turn


async def test_a_suggested_query_that_hangs_is_a_gap_and_costs_the_source_nothing() -> None:
    clock = FakeClock(NOW)
    circuits = Circuits(clock)
    source = Speaker(own=(an_own("value", "v"),), hangs=True)
    book = playbook("a", "b", "c", "d")
    for _ in range(3):
        found = await gather(an_incident(), [source], clock=clock, deadline=timedelta(seconds=0.05), circuits=circuits, playbook=book)
        assert [item.query.kind for item in found.items] == ["value"]
        assert [(gap.query.kind, gap.reason) for gap in found.gaps] == [(SUGGESTED, "timeout")] * 4
    assert circuits.resting("prometheus") is None
    assert source.asked[:2] == ["v", "a"]


# What Prometheus says


@contextlib.asynccontextmanager
async def prometheus() -> AsyncIterator[tuple[FakePrometheus, PrometheusSource]]:
    async with FakePrometheus() as fake:
        settings = PrometheusSettings(url=fake.url, timeout=timedelta(seconds=20))
        async with contextlib.aclosing(PrometheusSource(PrometheusClient(settings), FakeClock(NOW))) as source:
            yield fake, source


async def found_by(source: EvidenceSource, text: str, language: str = "promql") -> Evidence | Gap:
    """What becomes of one suggested query."""
    incident = an_incident(an_alert("ApiSlow", labels=POD))
    found = await gather(incident, [source], clock=FakeClock(NOW), deadline=timedelta(seconds=20), playbook=playbook(text, language=language))
    answers: list[Evidence | Gap] = [*found.items, *found.gaps]
    return next(item for item in answers if item.query.kind == SUGGESTED)


async def evidence_of(source: EvidenceSource, text: str, language: str = "promql") -> Evidence:
    found = await found_by(source, text, language)
    assert isinstance(found, Evidence), found
    return found


async def gap_of(source: EvidenceSource, text: str, language: str = "promql") -> Gap:
    found = await found_by(source, text, language)
    assert isinstance(found, Gap), found
    return found


async def test_one_value_is_told_in_its_unit_and_asked_for_with_a_limit() -> None:
    async with prometheus() as (fake, source):
        fake.answer(MEMORY, FakeSeries({**POD, "__name__": "container_memory_working_set_bytes", "job": "kubelet"}, 1.5 * 1024**3))
        found = await evidence_of(source, MEMORY)
        form = next(request.form for request in fake.requests if request.form.get("query") == MEMORY)
    assert found.summary == "1.5 GiB"
    assert [fact.values["value"] for fact in found.data if isinstance(fact, Fact)] == [1.5 * 1024**3]
    assert not any(isinstance(item, MetricSeries) for item in found.data)
    assert (form["limit"], form["timeout"]) == (str(MOST_SERIES + 1), "20s")
    assert found.url.startswith(fake.url)


async def test_of_many_series_the_largest_are_told_and_how_low_the_rest_goes() -> None:
    async with prometheus() as (fake, source):
        fake.answer("up", *(FakeSeries({"pod": f"p{number}", "job": "api"}, number) for number in range(30)))
        found = await evidence_of(source, "up")
    assert found.summary == "pod=p29: 29; pod=p28: 28; pod=p27: 27; pod=p26: 26; pod=p25: 25; and 25 more, down to pod=p0: 0"
    assert (len(found.data), found.truncated) == (20, True)


async def test_an_older_server_that_ignores_the_limit_is_cut_here_and_a_huge_answer_is_not_read() -> None:
    async with prometheus() as (fake, source):
        fake.answer("few", *(FakeSeries({"pod": f"p{number}"}, number) for number in range(3_000)))
        fake.answer("many", *(FakeSeries({"pod": f"p{number}", "padding": "x" * 200}, number) for number in range(6_000)))
        few, many = await evidence_of(source, "few"), await gap_of(source, "many")
    assert few.summary.startswith("more than 200 series, among them pod=p")
    assert (len(few.data), few.truncated) == (20, True)
    assert many.reason == "too_large"


async def test_nothing_is_an_answer_unless_there_is_no_such_metric() -> None:
    async with prometheus() as (fake, source):
        fake.metrics = ["here"]
        empty, missing = await evidence_of(source, 'here{a="b"} > 5'), await gap_of(source, "here / (gone + lost)")
        fake.faults["/api/v1/label/__name__/values"] = "500"
        believed = await evidence_of(source, "gone")
    assert (empty.data, empty.summary) == ((), "nothing: no series is like this now")
    assert (missing.reason, missing.detail) == ("no_metric", "Prometheus has no metric gone, lost.")
    assert believed.summary == empty.summary


@pytest.mark.parametrize(("fault", "reason"), [("400", "rejected"), ("500", "unavailable"), ("html", "garbage"), ("wrong-types", "garbage")])
async def test_a_server_that_fails_leaves_a_gap(fault: str, reason: str) -> None:
    async with prometheus() as (fake, source):
        fake.faults["/api/v1/query"] = fault
        assert (await gap_of(source, "up")).reason == reason


# What Loki says


@contextlib.asynccontextmanager
async def loki() -> AsyncIterator[tuple[FakeLoki, LokiSource]]:
    async with FakeLoki() as fake, contextlib.aclosing(LokiSource(LokiClient(LokiSettings(url=fake.url)), FakeClock(NOW))) as source:
        yield fake, source


LINES = '{namespace="$namespace"} |~ "(?i)error"'
COUNTED = 'sum(count_over_time({namespace="$namespace"} [300s]))'


async def test_lines_are_counted_and_the_last_is_shown_without_secrets() -> None:
    async with loki() as (fake, source):
        fake.push(POD, "error one", "error password=hunter2 refused", "quiet", at=NOW - timedelta(minutes=2))
        found = await evidence_of(source, LINES, "logql")
    assert found.summary == "2 lines since 06:31:10Z, the last at 06:43:00Z: “error password=<secret> refused”"
    assert isinstance(found.data[0], Fact)
    assert found.data[0].values["lines"] == 2


async def test_more_lines_than_are_read_are_not_claimed_to_be_all() -> None:
    async with loki() as (fake, source):
        fake.push(POD, *(f"error {number}" for number in range(700)), at=NOW - timedelta(minutes=2))
        found = await evidence_of(source, LINES, "logql")
    assert found.summary.startswith("500 lines or more since ")
    assert found.truncated


async def test_lines_are_counted_by_loki_where_the_query_says_so() -> None:
    async with loki() as (fake, source):
        fake.push(POD, "one", "two", at=NOW - timedelta(minutes=2))
        assert (await evidence_of(source, COUNTED, "logql")).summary == "2"


async def test_no_line_is_an_answer_unless_no_stream_has_such_labels() -> None:
    async with loki() as (fake, source):
        fake.push({"namespace": "other", "app": "x"}, "error", at=NOW - timedelta(minutes=2))
        empty = await evidence_of(source, LINES, "logql")
        missing = await gap_of(source, '{namespace="$namespace", pod="$pod"}', "logql")
        uncounted = await evidence_of(source, COUNTED, "logql")
        refused = await gap_of(source, 'topk(3, rate({namespace="$namespace"} [300s]))', "logql")
    assert (empty.data, empty.summary) == ((), "nothing: no such line since 06:31:10Z")
    assert (missing.reason, missing.detail) == ("no_labels", "This Loki has no label pod, so the playbook's query cannot find anything here.")
    assert uncounted.summary == "nothing: no line to count"
    assert refused.reason == "rejected"


# Words


def test_metrics_that_are_not_here_are_one_trouble_and_other_gaps_stay_apart() -> None:
    def gap(kind: str, reason: str, detail: str) -> Gap:
        return Gap(query=replace(an_own(kind, detail), purpose=f"Why {detail}"), reason=reason, detail=detail)

    found = troubles(
        [gap(SUGGESTED, "no_metric", "A."), gap("value", "rejected", "C."), gap(SUGGESTED, "no_metric", "B."), gap("up", "rejected", "D.")]
    )
    assert [(item.reason, item.detail, item.purposes) for item in found] == [
        ("no_metric", "A. B.", ("Why A", "Why B")),
        ("rejected", "C.", ("Why C",)),
        ("rejected", "D.", ("Why D",)),
    ]


def test_labels_are_shown_that_tell_series_apart_or_say_something_new() -> None:
    reason = ({"reason": "OOMKilled", "pod": "cart-0", "namespace": "shop", "uid": "1-2-3", "instance": "k"}, 1.0)
    assert sentence([reason], 'x{namespace="shop",pod="cart-0"}', "", is_cut=False).summary == "reason=OOMKilled: 1"
    nodes = [({"instance": "a:1", "job": "n"}, 0.5), ({"instance": "b:1", "job": "n"}, math.nan)]
    assert sentence(nodes, "x", "ratio", is_cut=False).summary == "instance=a:1: 50 %; instance=b:1: NaN"
    assert sentence([({}, 1.5)], "x", "ratio", is_cut=False).summary == "1.5"
    assert sentence([reason], "x", "", known={"pod": "cart-0", "namespace": "old"}, is_cut=False).summary == "namespace=shop, reason=OOMKilled: 1"


@given(
    st.lists(st.tuples(st.dictionaries(st.text(max_size=8), st.text(max_size=400), max_size=6), st.floats()), min_size=1, max_size=40),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_whatever_comes_back_is_one_bounded_line(found: list[tuple[dict[str, str], float]], is_cut: bool) -> None:
    told = sentence(found, "x", "seconds", is_cut=is_cut)
    assert told.summary
    assert "\n" not in told.summary
    assert len(told.summary) < 1_000
    assert len(told.facts) <= 20


# The verdict


async def test_no_verdict_depends_on_what_a_playbook_suggests() -> None:
    """Neither by what it returned nor by what it did not: same findings, causes, confidence and words."""
    incident = an_incident(an_alert("KubePodOOMKilled", labels=POD))
    book = playbook_of(incident.lead, PLAYBOOKS)
    async with prometheus() as (fake, source):
        fake.answer_like("memory", *(FakeSeries({**POD, "__name__": "container_memory_working_set_bytes"}, 9e9) for _ in range(2)))
        found = await gather(incident, [source], clock=SystemClock(), deadline=timedelta(seconds=20), playbook=book)
    assert [item for item in found.items if item.query.kind == SUGGESTED]
    with_them, alone = diagnose(incident, found, book), diagnose(incident, without(found), book)
    assert replace(with_them, evidence=EvidenceSet()) == replace(alone, evidence=EvidenceSet())
    assert with_them.evidence == found
