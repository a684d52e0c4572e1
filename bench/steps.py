"""Single steps, each beside a baseline: the least that such a step could cost, or the same step with less to do.

CPU time of this process, so a busy machine changes the ratios little. Prints a row for each step; `python -m bench` starts it. By itself, because
the incidents are those of the tests: `PYTHONPATH=tests python -m bench.steps`.
"""

from __future__ import annotations

import argparse
import gc
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import process_time

import orjson
from jinja2 import Environment

from agent_sre.alert.alert import Alert, AlertStatus, fingerprint_of
from agent_sre.alert.payload import decode, firing_count, parse
from agent_sre.analysis.logs import digest
from agent_sre.analysis.markdown import analysis_json
from agent_sre.analysis.rules import alert_analysis, rules_analysis
from agent_sre.evidence import playbook as playbook_module
from agent_sre.evidence.playbook import load_playbooks, playbook_for
from agent_sre.evidence.prometheus.client import PrometheusClient, PrometheusSettings
from agent_sre.evidence.prometheus.source import PrometheusSource
from agent_sre.finding.diagnose import diagnose
from agent_sre.incident.incident import Incident
from agent_sre.kit.clock import FakeClock
from agent_sre.web.pages import IncidentListView, render_incident, render_incidents
from bench.bodies import body
from evidence.builders import an_alert, an_incident
from fakes.incidents import cart_view, incident_rows
from finding.answers import evidence_set, recurrence, related, target, targets, value

NOW = datetime(2026, 11, 23, 6, 45, tzinfo=UTC)
STORM_ALERTS = 1000
LOG_LINES = 25_000

_ROUNDS = 5
_SAMPLE_SECONDS = 0.02  # shorter work is repeated until a sample takes this long

Work = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is measured, what it is compared with, and the ratio below which it should stay: about twice what was found."""

    name: str
    work: Work
    baseline: str
    least: Work
    goal: float


def steps() -> Iterator[Step]:
    """All of them, in the order in which an alert meets them."""
    yield from _body()
    yield from _understanding()
    yield from _logs()
    yield from _pages()


def _body() -> Iterator[Step]:
    content = body(0, alerts=STORM_ALERTS)
    document = decode(content)

    def loads() -> object:
        return orjson.loads(content)

    size = f"{STORM_ALERTS:,} alerts, {len(content) / 1000:.0f} kB"
    baseline = "orjson.loads of the body"
    yield Step(name=f"check and decode a body ({size})", work=lambda: decode(content), baseline=baseline, least=loads, goal=4.5)
    yield Step(name="make its alerts", work=lambda: parse(document, NOW), baseline=baseline, least=loads, goal=8)
    yield Step(name="count those that fire", work=lambda: firing_count(document), baseline=baseline, least=loads, goal=0.1)


def _understanding() -> Iterator[Step]:
    playbooks = load_playbooks()
    folder = Path(playbook_module.__file__).parent / "playbooks"
    texts = [(folder / f"{name}.toml").read_text(encoding="utf-8") for name in playbook_module.FILES]
    yield Step(
        name=f"load {len(playbooks)} playbooks",
        work=playbook_module._packaged.__wrapped__,
        baseline="tomllib.loads of their files",
        least=lambda: [tomllib.loads(text) for text in texts],
        goal=3.5,
    )
    one, storm = _incident(1), _incident(STORM_ALERTS)
    playbook = playbook_for(one.lead.name, playbooks)
    evidence = evidence_set(value([float(point) for point in range(20, 100)]), recurrence(3), related(), targets(target("EOF")))

    def report(incident: Incident) -> object:
        return rules_analysis(incident, diagnose(incident, evidence, playbook), playbook, author_note="", now=NOW)

    prometheus = PrometheusSource(PrometheusClient(PrometheusSettings(url="http://prometheus.invalid")), FakeClock(NOW))
    for name, work, goal in (
        ("plan the questions to Prometheus", lambda incident: prometheus.plan(incident, NOW), 30.0),
        ("diagnose", lambda incident: diagnose(incident, evidence, playbook), 80.0),
        ("diagnose and write the rules' report", report, 45.0),
    ):
        yield Step(
            name=f"{name}, {STORM_ALERTS:,} alerts",
            work=lambda work=work: work(storm),  # type: ignore[misc]  # mypy and default arguments
            baseline="the same for one alert",
            least=lambda work=work: work(one),  # type: ignore[misc]
            goal=goal,
        )
    crashing = _wide_alert()
    written = analysis_json(alert_analysis(crashing, playbooks, NOW))
    yield Step(
        name="rules' report of one alert alone (300 labels, 120 kB)",
        work=lambda: alert_analysis(crashing, playbooks, NOW),
        baseline="that report to JSON and back (orjson)",
        least=lambda: orjson.loads(orjson.dumps(written)),
        goal=250,
    )


def _incident(alerts: int) -> Incident:
    return an_incident(*(an_alert("HighMemory", "memory_bytes > 200", {"namespace": f"n{n % 7}", "pod": f"cart-{n}"}) for n in range(alerts)))


def _wide_alert() -> Alert:
    labels = {f"label_{n}": f"value {n}" for n in range(300)} | {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "api-1"}
    return Alert(
        fingerprint=fingerprint_of(labels),
        status=AlertStatus.FIRING,
        labels=labels,
        annotations={"summary": "Pod is crash looping.", "description": "x " * 60_000},
        starts_at=NOW,
        ends_at=None,
        generator_url="",
    )


def _logs() -> Iterator[Step]:
    """Half an access log, half JSON, no two lines alike."""
    lines = [
        f"2026-11-23T06:40:{n % 60:02}.123Z INFO GET /api/v1/users/{n}/{n:032x} status=200 took {n / 7:.2f}ms from 10.0.0.{n % 250}"
        if n % 2
        else f'{{"ts":"2026-11-23T06:40:11Z","level":"error","msg":"timeout acquiring connection {n}"}}'
        for n in range(LOG_LINES)
    ]
    text = "\n".join(lines)
    yield Step(
        name=f"digest {LOG_LINES:,} log lines ({len(text) / 1e6:.1f} MB)",
        work=lambda: digest(text, NOW),
        baseline="str.split of each line",
        least=lambda: [line.split() for line in lines],
        goal=40,
    )


def _pages() -> Iterator[Step]:
    view, rows = cart_view(), incident_rows(100)
    pages: tuple[tuple[str, Callable[[], str]], ...] = (
        ("page of an incident", lambda: render_incident(view, now=NOW)),
        ("page of 100 incidents", lambda: render_incidents(rows, page=IncidentListView(), now=NOW)),
    )
    for name, make in pages:
        html = make()
        yield Step(
            name=f"{name} ({len(html.encode()) / 1000:.0f} kB)",
            work=make,
            baseline="Jinja2 printing its words, a paragraph each",
            least=_plain_page(re.sub(r"<[^>]*>", "\n", html).split("\n")),
            goal=40,
        )


def _plain_page(words: list[str]) -> Work:
    template = Environment(autoescape=True).from_string("{% for line in words %}<p>{{ line }}</p>\n{% endfor %}")
    return lambda: template.render(words=[line for line in words if line.strip()])


def measured(step: Step) -> tuple[float, float]:
    """CPU seconds of the step and of its baseline, the best of some rounds in turn."""
    pair = [(work, max(1, round(_SAMPLE_SECONDS / max(_seconds(work, 1), 1e-6)))) for work in (step.work, step.least)]
    rounds = [[_seconds(work, times) / times for work, times in pair] for _ in range(_ROUNDS)]
    best, least = (min(values) for values in zip(*rounds, strict=True))
    return best, least


def _seconds(work: Work, times: int) -> float:
    gc.disable()
    began = process_time()
    for _ in range(times):
        work()
    seconds = process_time() - began
    gc.enable()
    return seconds


def main() -> None:
    """One row a step: its time, how many times its baseline that is, and whether that is where we want it."""
    parser = argparse.ArgumentParser(prog="python -m bench.steps", description="Single steps beside a baseline, in CPU time.")
    parser.add_argument("--runs", type=int, default=3, choices=range(1, 10), help="what is printed is the median of these (default 3)")
    runs = parser.parse_args().runs
    for step in steps():
        pairs = [measured(step) for _ in range(runs)]
        ratio = median(best / least for best, least in pairs)
        verdict = f"   {'ok' if ratio < step.goal else 'MISSED'}: < {step.goal:g}"
        print(f"  {step.name:<56}{median(best for best, _ in pairs) * 1000:>9.2f} ms{ratio:>8.2f} x {step.baseline}{verdict}", flush=True)


if __name__ == "__main__":
    main()
