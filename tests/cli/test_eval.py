"""`agent-sre eval`: the figures with literals, and the commands as a user types them."""

from __future__ import annotations

import contextlib
import json
import lzma
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from agent_sre.alert.subject import Subject
from agent_sre.cli.eval.baselines import baro, baseline_ranking, n_sigma
from agent_sre.cli.eval.cases import Result, right_place
from agent_sre.cli.eval.refit import fit_multipliers, show_refit
from agent_sre.cli.eval.score import accuracy, average, bins, calibration_error, percentile, wilson
from agent_sre.finding.cause import causes
from agent_sre.finding.confidence import chance_right
from agent_sre.finding.finding import Finding
from agent_sre.finding.world import Curve
from agent_sre.kit.errors import BadInput
from cli.test_commands import agent_sre
from scenarios.nothing_wrong import WORLDS, write_worlds

RECORDED = Path(__file__).parents[1] / "evidence" / "worlds" / "case"


# Figures


def test_wilson_is_wilson() -> None:
    """Literals from the interval of 8 of 10 in textbooks."""
    share = wilson(8, 10)
    assert (share.value, round(share.low, 3), round(share.high, 3)) == (0.8, 0.49, 0.943)
    assert wilson(0, 0).high == 1.0
    assert wilson(20, 20).low == pytest.approx(0.839, abs=0.001)
    assert str(wilson(8, 10)) == "0.80 [0.49, 0.94]"


def test_a_culprit_that_is_not_named_is_never_among_the_first() -> None:
    places = [1, 2, 0, 6]
    assert [accuracy(places, k).value for k in (1, 3, 5)] == [0.25, 0.5, 0.5]
    assert average(places).value == pytest.approx((1 + 0.8 + 0 + 0) / 4)
    assert average(places).low < average(places).value < average(places).high
    assert average([]).value == 0.0


def test_calibration_compares_what_was_promised_with_what_was_right() -> None:
    verdicts = [(0.95, True), (0.95, True), (0.95, False), (0.15, False), (1.0, True)]
    low, high = bins(verdicts)
    assert (low.count, low.right, high.count, high.right) == (1, 0.0, 4, 0.75)
    assert calibration_error(verdicts) == pytest.approx((abs(0.15 - 0) + 4 * abs(0.9625 - 0.75)) / 5)
    assert calibration_error([]) == 0.0


def test_the_percentile_is_a_value_that_occurred() -> None:
    assert percentile([5.0, 1.0, 2.0, 3.0, 4.0], 0.95) == 5.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([], 0.5) == 0.0


def test_baselines_measure_the_highest_value_in_their_own_unit() -> None:
    before = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert n_sigma(before, [9.0, 3.0]) == pytest.approx(6 / 2**0.5)
    assert baro(before, [9.0, 3.0]) == pytest.approx((9 - 3) / 2)
    assert n_sigma([2.0, 2.0], [5.0]) == 3.0  # a series that stood still is measured as it is


def test_baselines_rank_services_by_their_worst_series() -> None:
    def curve(service: str, *values: float) -> Curve:
        points = tuple((float(at), value) for at, value in enumerate(values))
        return Curve(
            evidence_id="E01", metric="m", signal="", good=False, factor=1.0, unit="", unit_is_known=False, labels={"service": service}, points=points
        )

    curves = [
        curve("calm", 1, 2, 1, 2, 1, 2), curve("ill", 1, 2, 1, 2, 1, 9), curve("ill", 1, 1, 1, 2, 1, 1),
        curve("still", 4, 4, 4, 4, 4, 4), curve("", 1, 2, 1, 2, 1, 99), curve("nan", float("nan"), 1, 2, 1, 2, float("nan")),
    ]  # fmt: skip
    assert baseline_ranking(curves, 4.0, "BARO") == ("ill", "calm")


def test_places_count_equal_suspects_once() -> None:
    ranked = [{"object": "app/a", "cause": "x"}, {"object": "app/a", "cause": "y"}, {"object": "app/b", "cause": "x"}]
    assert right_place(ranked, {"object": "app/b"}, "object") == 2
    assert right_place(ranked, {"object": "app/b", "cause": "x"}, "object", "cause") == 3
    assert right_place(ranked, {"object": "app/c"}, "object") == 0


# Learning again


def verdict(number: int, *, lead: float, right: bool) -> tuple[Result, dict[str, str]]:
    result = Result(
        id=f"shop-{number}",
        dataset="shop",
        ranked=({"object": "app/a", "service": "a", "cause": "x", "score": 0.9},),
        confidence="medium",
        chance=0.6,
        signs={"always": 1.0, "score": 0.9, "lead": lead},
        engine_seconds=0.01,
        load_seconds=0.1,
        baselines={},
    )
    return result, {"service": "a" if right else "b"}


def test_refit_learns_what_makes_a_verdict_right_and_writes_only_where_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a large lead nineteen of twenty are right, without one a quarter."""
    told = [verdict(n, lead=0.8, right=n % 20 != 0) for n in range(100)] + [verdict(n, lead=0.0, right=n % 4 == 0) for n in range(100, 200)]
    results = [result for result, _ in told]
    truth = {result.id: known for result, known in told}
    show_refit(results, truth, None)
    shown = capsys.readouterr().out
    assert "held out" in shown
    assert "->" in shown
    assert list(tmp_path.iterdir()) == []
    show_refit(results, truth, tmp_path / "confidence.toml")
    weights = tomllib.loads((tmp_path / "confidence.toml").read_text())["weights"]
    assert chance_right(results[0].signs, weights) == pytest.approx(0.95, abs=0.06)
    assert chance_right(results[-1].signs, weights) == pytest.approx(0.25, abs=0.08)


def test_a_detector_that_cries_wolf_loses_weight() -> None:
    """`loud` blames the wrong one with much weight, `shy` the right one with a little less."""
    cause = next(iter(causes()))

    def finding(detector: str, name: str, weight: float) -> Finding:
        subject = Subject(kind="Deployment", name=name, namespace="harbour")
        return Finding(detector=detector, summary=name, subject=subject, facts={}, evidence_ids=("E01",), cause=cause, weight=weight)

    told = [verdict(number, lead=0.1, right=False) for number in range(30)]
    results = [replace(result, findings=(finding("loud", "b", 0.7), finding("shy", "c", 0.6))) for result, _ in told]
    truth = {result.id: {"service": "c"} for result in results}
    learned = fit_multipliers(results, truth)
    assert learned.get("loud", 1.0) < learned.get("shy", 1.0)
    assert fit_multipliers(results, {result.id: {"service": "b"} for result in results}) == {}


def test_refit_of_too_few_verdicts_is_refused() -> None:
    with pytest.raises(BadInput, match="too few"):
        show_refit([verdict(1, lead=0.5, right=True)[0]], {"shop-1": {"service": "a"}}, None)


# Commands


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    write_worlds(folder)
    shutil.copytree(RECORDED, folder / "shop-cart")
    (folder / "broken").mkdir()
    (folder / "broken" / "alert.json").write_text("{")
    (folder / "notes").mkdir()  # no case
    return folder


def test_cases_are_ranked_judged_and_written_and_nothing_wrong_gets_no_confident_cause(cases: Path, tmp_path: Path) -> None:
    truth = {"shop-cart": {"object": "app/cart", "cause": "oom_killed"}, "calm-noise": {"service": "none"}}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    done = agent_sre("eval", "cases", str(cases), "--truth", "truth.json", "--json", "out.json", "--jobs", "2", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "broken: not evaluated: it has no alert.json with an alert in it" in done.stderr
    assert "Traceback" not in done.stderr
    found = {entry["id"]: entry for entry in json.loads((tmp_path / "out.json").read_text())}
    assert set(found) == {*WORLDS, "shop-cart"}
    # At most one of twenty worlds in which nothing is wrong may get a confident cause, so none of these ten.
    assert [(entry["id"], entry["ranked"][:1]) for entry in found.values() if entry["id"] in WORLDS and entry["confidence"] == "high"] == []
    for entry in found.values():
        assert set(entry) == {"id", "ranked", "confidence", "chance", "seconds", "load_seconds"}
        assert all({"object", "service", "cause", "score"} <= set(suspect) for suspect in entry["ranked"])
    for words in ("AC@1", "Avg@5", "object alone", "N-Sigma, split at the alert", "BARO, split 180 s before", "calibration error", "p95"):
        assert words in done.stdout
    assert "9 cases have no known cause" in done.stdout


def test_storms_are_ranked_from_packed_lines_and_broken_lines_are_told(tmp_path: Path) -> None:
    labels = [
        {"alertname": "MetricAnomaly", "pod": "ledger-0", "metric": "memory_rss", "direction": "up"},
        {"alertname": "MetricAnomaly", "pod": "ledger-0", "metric": "server_p95", "direction": "up"},
        {"alertname": "MetricAnomaly", "pod": "quay-0", "metric": "client_p95", "direction": "up"},
    ]
    storm = {
        "id": "harbour-1",
        "topology": {"nodes": ["quay-0", "ledger-0", "tide-0"], "edges": [[0, 1], [1, 99], "x"]},
        "webhook": {"version": "4", "alerts": [{"status": "firing", "labels": one, "startsAt": "2026-05-19T14:29:00Z"} for one in labels]},
    }
    lines = [json.dumps(storm), "{", json.dumps({"id": 3}), json.dumps({**storm, "topology": None, "id": "harbour-2"})]
    with lzma.open(tmp_path / "storms.jsonl.xz", "wt") as file:
        file.write("\n".join(lines))
    (tmp_path / "truth.json").write_text(json.dumps({"harbour-1": {"instance": "ledger-0"}, "harbour-2": {"instance": "ledger-0"}}))
    done = agent_sre("eval", "storms", "storms.jsonl.xz", "--truth", "truth.json", "--json", "out.json", folder=tmp_path)
    assert done.returncode == 1
    assert "line 2: it is no JSON" in done.stderr
    assert "line 3: it must be an object" in done.stderr
    first, second = json.loads((tmp_path / "out.json").read_text())
    assert first["ranked"][0]["instance"] == "ledger-0"
    assert {entry["instance"] for entry in first["ranked"]} == {"quay-0", "ledger-0", "tide-0"}
    assert second["id"] == "harbour-2"
    assert "counting alerts" in done.stdout


def test_a_wrong_folder_file_or_wish_is_one_sentence(tmp_path: Path) -> None:
    for arguments, words in (
        (("cases", "nowhere"), "is no folder"),
        (("cases", "."), "There is no case in"),
        (("cases", ".", "--refit"), "name them with --truth"),
        (("storms", "nowhere.jsonl"), "Cannot read nowhere.jsonl"),
        (("cases", ".", "--truth", "absent.json"), "Cannot read absent.json"),
    ):
        done = agent_sre("eval", *arguments, folder=tmp_path)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_ctrl_c_stops_an_evaluation(cases: Path) -> None:
    command = [sys.executable, "-m", "agent_sre", "eval", "cases", str(cases), "--jobs", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=_mind_ctrl_c) as running:
        assert running.stderr is not None
        assert "1 at a time" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
        assert running.wait(timeout=60) == 130
    assert "Traceback" not in rest


def test_workers_end_with_a_killed_evaluation(cases: Path) -> None:
    command = [sys.executable, "-m", "agent_sre", "eval", "cases", str(cases), "--jobs", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True) as running:
        assert running.stderr is not None
        assert "2 at a time" in running.stderr.readline()
        while len(_processes_of(running.pid)) < 2:
            assert running.poll() is None
            time.sleep(0.05)
        workers = _processes_of(running.pid)
        running.kill()
    for _ in range(100):
        if not _processes_of(running.pid):
            return
        time.sleep(0.1)
    raise AssertionError(f"still there: {workers}")


def _processes_of(session: int) -> list[int]:
    """Processes of this session that still do something."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            process_id, _, fields = path.read_text().partition(" (")
            state, _, _, its_session = fields.rpartition(") ")[2].split()[:4]
            if int(its_session) == session and state != "Z" and int(process_id) != session:
                found.append(int(process_id))
    return found


def _mind_ctrl_c() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so do its children: the suite may run like that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
