"""From an alert to what its logs say: whose streams, which errors since when, what is new; and what a sample may not claim."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import Evidence, Fact, LogPattern, MetricSeries
from agent_sre.evidence.loki.client import LokiClient, LokiSettings
from agent_sre.evidence.loki.labels import program_of, selections_for
from agent_sre.evidence.loki.source import ERROR_FILTER, MAX_PATTERNS, LokiSource
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock
from agent_sre.kit.errors import Rejected, Unavailable
from evidence.builders import NOW, STARTS_AT, an_alert, an_incident
from fakes import logql
from fakes.loki import FakeLoki

CART = {"namespace": "shop", "pod": "cart-7f9c6d5b8c-k2x9p", "container": "cart", "app": "cart"}
POD = {"namespace": "shop", "pod": "cart-7f9c6d5b8c-k2x9p"}
DAY = timedelta(days=1)


@contextlib.asynccontextmanager
async def source_at(loki: FakeLoki, *, max_lines: int = 5_000) -> AsyncIterator[LokiSource]:
    async with contextlib.aclosing(LokiSource(LokiClient(LokiSettings(url=loki.url, max_lines=max_lines)), FakeClock(NOW))) as source:
        yield source


async def answer(loki: FakeLoki, kind: str, incident: Incident | None = None, *, max_lines: int = 5_000) -> Evidence:
    incident = incident or an_incident(an_alert(labels=POD))
    async with source_at(loki, max_lines=max_lines) as source:
        query = next(query for query in source.plan(incident, NOW) if query.kind == kind)
        return await source.fetch(replace(query, id="E01"), incident)


def patterns(evidence: Evidence) -> dict[str, LogPattern]:
    return {item.template: item for item in evidence.data if isinstance(item, LogPattern)}


def facts(evidence: Evidence) -> dict[str, Fact]:
    return {item.name: item for item in evidence.data if isinstance(item, Fact)}


# Whose log


def ways(subject: Subject, *known: str) -> list[str]:
    return [way.query for way in selections_for(subject, known)]


def test_the_most_exact_way_comes_first_and_the_namespace_last() -> None:
    pod = Subject(kind="Pod", name="cart-7f9c6d5b8c-k2x9p", namespace="shop", container="cart")
    assert ways(pod, "namespace", "pod", "container", "app", "job") == [
        '{namespace="shop", pod="cart-7f9c6d5b8c-k2x9p", container="cart"}',
        '{namespace="shop", pod="cart-7f9c6d5b8c-k2x9p"}',
        '{namespace="shop", app="cart"}',
        '{namespace="shop", pod=~"cart-.+"}',
        '{namespace="shop", container="cart"}',
        '{namespace="shop"}',
    ]
    assert [way.is_wide for way in selections_for(pod, ("namespace", "pod"))] == [False, False, True]


@pytest.mark.parametrize(
    ("subject", "known", "first"),
    [
        (Subject(kind="Deployment", name="cart", namespace="shop"), ("k8s_namespace_name", "k8s_deployment_name", "service_name"),
         '{k8s_namespace_name="shop", k8s_deployment_name="cart"}'),
        (Subject(kind="Service", name="cart", namespace="shop"), ("namespace", "service_name"), '{namespace="shop", service_name="cart"}'),
        (Subject(kind="StatefulSet", name="db", namespace="shop"), ("kubernetes_namespace_name", "kubernetes_pod_name"),
         '{kubernetes_namespace_name="shop", kubernetes_pod_name=~"db-.+"}'),
        (Subject(kind="HorizontalPodAutoscaler", name="cart-hpa", namespace="shop"), ("namespace", "app"), '{namespace="shop", app="cart"}'),
        (Subject(kind="Node", name="worker-2"), ("namespace", "node_name"), '{node_name="worker-2"}'),
        (Subject(kind="Namespace", name="shop"), ("namespace", "pod"), '{namespace="shop"}'),
        (Subject(kind="PersistentVolumeClaim", name="data-0", namespace="shop"), ("namespace",), '{namespace="shop"}'),
        (Subject(kind="Service", name="cart"), ("app",), '{app="cart"}'),
    ],
)  # fmt: skip
def test_each_collector_s_labels_are_understood(subject: Subject, known: tuple[str, ...], first: str) -> None:
    assert ways(subject, *known)[0] == first


@pytest.mark.parametrize(
    "subject", [Subject(kind="Alert", name="X"), Subject(kind="Cluster", name="c"), Subject(kind="Node", name="n"), Subject(kind="Pod", name="")]
)
def test_where_no_label_fits_there_is_no_way(subject: Subject) -> None:
    assert ways(subject, "namespace", "pod", "level") == []
    assert selections_for(Subject(kind="Pod", name="p", namespace="n"), ()) == ()


@given(
    st.builds(
        Subject,
        kind=st.sampled_from(["Pod", "Deployment", "Node", "Namespace", "Alert", "Job", "Service"]),
        name=st.text(),
        namespace=st.text(),
        container=st.text(),
    )
)
@settings(max_examples=200, deadline=None)
def test_any_subject_gives_queries_that_loki_can_read(subject: Subject) -> None:
    for way in selections_for(subject, ("namespace", "pod", "container", "app", "node", "k8s_deployment_name", "job_name")):
        parsed = logql.parse(way.query)
        assert len(parsed.matchers) == len(way.matchers)


def test_a_program_is_called_by_its_most_telling_label() -> None:
    assert program_of({"pod": "cart-0", "app": "cart"}) == "cart"
    assert program_of({"pod": "cart-0"}) == "cart-0"
    assert program_of({"job": "x"}) == ""


async def test_the_way_that_has_streams_is_taken() -> None:
    async with FakeLoki() as loki:
        loki.push({"namespace": "shop", "app": "cart", "pod": "cart-7f9c6d5b8c-zzzzz"}, "ERROR boom", at=NOW - timedelta(minutes=1))
        found = await answer(loki, "errors")
        assert found.query.expression.startswith('{namespace="shop", app="cart"} |~ ')
        assert facts(found)["reach"].values["reach"] == "the workload"
        assert [request.path for request in loki.requests][:2] == ["/loki/api/v1/labels", "/loki/api/v1/series"]


async def test_labels_are_asked_for_once() -> None:
    incident = an_incident(an_alert(labels=POD))
    async with FakeLoki() as loki, source_at(loki) as source:
        loki.push(CART, "ERROR boom", at=NOW - timedelta(minutes=1))
        for query in (*source.plan(incident, NOW), *source.plan(incident, NOW)):
            await source.fetch(query, incident)
        assert [request.path for request in loki.requests].count("/loki/api/v1/labels") == 1


async def test_where_no_label_says_whose_log_it_is_that_is_said() -> None:
    async with FakeLoki() as loki:
        with pytest.raises(Rejected, match="no logs of the last day for us; is AGENT_SRE_LOKI_TENANT right") as caught:
            await answer(loki, "errors")
        loki.push({"job": "x", "level": "info"}, "x", at=NOW - timedelta(minutes=1))
        with pytest.raises(
            Rejected, match=r"None of the labels of this Loki \(job, level\) says which log is that of Pod shop/cart-7f9c6d5b8c-k2x9p"
        ) as caught:
            await answer(loki, "errors")
    assert caught.value.reason == "no_labels"


async def test_in_a_log_of_many_each_program_s_lines_are_its_own() -> None:
    incident = an_incident(an_alert("KubeNamespaceTrouble", labels={"namespace": "shop"}))
    async with FakeLoki() as loki:
        for app in ("cart", "pay"):
            loki.push({"namespace": "shop", "app": app}, "ERROR boom", at=NOW - timedelta(minutes=1))
        found = await answer(loki, "errors", incident)
    owners = {item.subject.name for item in found.data if isinstance(item, LogPattern)}
    assert owners == {"cart", "pay"}
    assert "the whole namespace, with others' logs in it" in facts(found)["reach"].text


# Errors


async def test_errors_come_with_their_count_their_first_time_and_a_curve() -> None:
    async with FakeLoki() as loki:
        loki.push(CART, "INFO fine", "INFO errors: 0", 'INFO {"error":null}', at=NOW - timedelta(minutes=20))
        loki.push(
            CART, *[f"ERROR dial tcp 10.0.0.{number}: connection refused" for number in range(30)], at=STARTS_AT - timedelta(minutes=2), apart=10
        )
        loki.push(CART, "panic: token=hunter2hunter2", at=NOW - timedelta(seconds=5))
        found = await answer(loki, "errors")
        assert logql.parse(found.query.expression).filters == (("|~", ERROR_FILTER),)
    assert found.query.language == "logql"
    shown = patterns(found)
    assert list(shown) == ["panic: token=<secret>", "ERROR dial tcp <ip>: connection refused"]
    assert shown["ERROR dial tcp <ip>: connection refused"].count == 30
    assert "hunter2" not in shown["panic: token=<secret>"].sample
    fact = facts(found)["errors"]
    assert fact.values["total"] == 31
    assert fact.text == "31 error lines of 2 kinds since 06:11:10Z, the first at 06:39:10Z, 2 min before the alert"
    assert found.summary == f"{fact.text}; most often: ERROR dial tcp <ip>: connection refused"
    (series,) = (item for item in found.data if isinstance(item, MetricSeries))
    assert sum(value for _, value in series.points) == 33  # what the filter lets through, which is a little more
    assert min(value for _, value in series.points) == 0, "steps without a line are no holes"
    assert not found.truncated


async def test_no_error_is_an_answer() -> None:
    async with FakeLoki() as loki:
        loki.push(CART, "INFO fine", at=NOW - timedelta(minutes=1))
        found = await answer(loki, "errors")
    assert found.data == ()
    assert found.summary == "no error line in the log of the pod since 06:11:10Z"


async def test_a_curve_that_loki_cannot_count_costs_only_the_curve() -> None:
    async with FakeLoki(no_counts=True) as loki:
        loki.push(CART, "ERROR boom", at=NOW - timedelta(minutes=1))
        found = await answer(loki, "errors")
    assert list(patterns(found)) == ["ERROR boom"]
    assert not [item for item in found.data if isinstance(item, MetricSeries)]


# Patterns


def fill(loki: FakeLoki) -> None:
    start = NOW - timedelta(minutes=14)
    loki.push(CART, *["INFO request served"] * 50, at=start, apart=1)
    loki.push(CART, *["ERROR cannot reach db"] * 4, at=NOW - timedelta(minutes=3), apart=1)
    loki.push(CART, "INFO nightly report", at=NOW - timedelta(minutes=2))
    loki.push(CART, *["INFO request served"] * 48, *["INFO cache warm"] * 6, at=start - timedelta(minutes=15), apart=1)
    loki.push(CART, *["INFO request served"] * 40, "INFO nightly report", at=start - DAY, apart=1)


async def test_what_is_new_and_what_has_vanished_is_told_from_before_and_the_day_before() -> None:
    async with FakeLoki() as loki:
        fill(loki)
        found = await answer(loki, "patterns")
    shown = patterns(found)
    assert [template for template, pattern in shown.items() if pattern.is_new] == ["ERROR cannot reach db"]
    assert [template for template, pattern in shown.items() if pattern.has_vanished] == ["INFO cache warm"]
    served = shown["INFO request served"]
    assert (served.count, served.count_before, served.count_day_before) == (50, 48, 40)
    assert (shown["INFO nightly report"].count_before, shown["INFO nightly report"].count_day_before) == (0, 1)
    assert shown["ERROR cannot reach db"].first_at == NOW - timedelta(minutes=3)
    assert found.summary == "55 lines of 3 kinds in the last 15 min (54 in the stretch before): 1 new, 1 vanished; new: ERROR cannot reach db"
    assert not found.truncated


async def test_where_nothing_was_logged_before_nothing_is_new() -> None:
    async with FakeLoki() as loki:
        loki.push(CART, "INFO started", at=NOW - timedelta(minutes=3))
        found = await answer(loki, "patterns")
    assert [pattern.count_before for pattern in patterns(found).values()] == [None]
    assert "nothing can be called new" in facts(found)["comparison"].text


async def test_silence_before_and_now_is_an_answer() -> None:
    async with FakeLoki() as loki:
        loki.push(CART, "INFO started", at=NOW - timedelta(hours=9))
        found = await answer(loki, "patterns")
    assert found.summary.startswith("no line in the log of ")
    assert found.data == ()


async def test_of_a_busy_log_an_even_sample_is_read_and_counts_are_scaled() -> None:
    async with FakeLoki() as loki:
        loki.push(CART, *["INFO request served", "ERROR cannot reach db"] * 1_000, at=NOW - timedelta(minutes=14), apart=0.4)
        loki.push(CART, *["INFO request served"] * 2_000, at=NOW - timedelta(minutes=29), apart=0.4)
        loki.push(CART, "INFO seen once", at=NOW - timedelta(minutes=1))
        found = await answer(loki, "patterns", max_lines=160)
        limits = {request.form["limit"] for request in loki.requests if "limit" in request.form}
    assert limits == {"160", "20"}
    assert found.truncated
    shown = patterns(found)
    assert 800 <= shown["ERROR cannot reach db"].count <= 1_200
    assert shown["ERROR cannot reach db"].is_new
    assert facts(found)["sample"].values == {"read": 160, "total": 2_001} or facts(found)["sample"].values["total"] == 2_001
    assert shown["ERROR cannot reach db"].first_at is not None
    assert shown["ERROR cannot reach db"].first_at < NOW - timedelta(minutes=10), "the sample reaches to the beginning"
    assert facts(found)["patterns"].values["estimated"] is True


async def test_a_sample_does_not_claim_that_something_rare_is_new_or_gone() -> None:
    async with FakeLoki() as loki:
        for minutes, rare in ((14, "INFO rare now"), (29, "INFO rare then")):
            loki.push(CART, *["INFO request served"] * 2_000, at=NOW - timedelta(minutes=minutes), apart=0.4)
            loki.push(CART, rare, at=NOW - timedelta(minutes=minutes - 13.3))
        found = await answer(loki, "patterns", max_lines=160)
    shown = patterns(found)
    assert not [pattern for pattern in shown.values() if pattern.is_new or pattern.has_vanished]


async def test_a_busy_log_that_loki_cannot_count_is_counted_as_it_was_read() -> None:
    async with FakeLoki(no_counts=True) as loki:
        loki.push(CART, *["ERROR boom"] * 500, at=NOW - timedelta(minutes=14), apart=1)
        found = await answer(loki, "patterns", max_lines=80)
    assert patterns(found)["ERROR boom"].count <= 80
    assert facts(found)["sample"].values["total"] is None


async def test_at_most_forty_patterns_are_kept_and_new_errors_are_among_them() -> None:
    words = [first + second for first in "abcdefgh" for second in "ijklmnop"]
    async with FakeLoki() as loki:
        loki.push(CART, *[f"INFO step {word} done" for word in words], at=NOW - timedelta(minutes=14))
        loki.push(CART, "ERROR quite new", at=NOW - timedelta(minutes=1))
        loki.push(CART, *[f"INFO step {word} done" for word in words], at=NOW - timedelta(minutes=29))
        found = await answer(loki, "patterns")
    assert len(patterns(found)) == MAX_PATTERNS
    assert patterns(found)["ERROR quite new"].is_new
    assert found.truncated


async def test_a_past_that_cannot_be_read_costs_only_the_comparison() -> None:
    async with FakeLoki() as loki:
        fill(loki)
        real = loki.reply
        loki.reply = lambda request: [] if _is_past(request.form) else real(request)  # type: ignore[method-assign]
        found = await answer(loki, "patterns")
        assert patterns(found)["ERROR cannot reach db"].count_before is None
        assert "could not be read" in facts(found)["comparison"].text
        loki.faults["/loki/api/v1/query_range"] = "503"
        with pytest.raises(Unavailable):
            await answer(loki, "patterns")


def _is_past(form: dict[str, str]) -> bool:
    return "query" in form and int(form["end"]) < NOW.timestamp() * 1e9


# Plan


def test_the_plan_looks_back_before_the_alert_and_not_for_ever() -> None:
    source = LokiSource(LokiClient(LokiSettings(url="http://loki.invalid")), FakeClock(NOW))
    for ago, errors, compared in ((4, 34, 15), (30, 60, 40), (600, 360, 60)):
        plan = source.plan(an_incident(an_alert(labels=POD, starts_at=NOW - timedelta(minutes=ago))), NOW)
        lengths = {query.kind: query.window.end - query.window.start for query in plan if query.window}
        assert lengths == {"errors": timedelta(minutes=errors), "patterns": timedelta(minutes=compared)}
    assert [query.language for query in plan] == ["logql", "logql"]
    assert re.match(r'\{namespace="shop", pod="cart-7f9c6d5b8c-k2x9p"\}$', plan[1].expression)
