"""The packaged scenarios: each can be played, says what really happened in names that exist, and is the same on every run."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agent_sre.evidence.bundle.bundle import Bundle
from agent_sre.finding.cause import causes
from agent_sre.kit.errors import BadInput
from agent_sre.scenarios.recipe import world_files
from agent_sre.scenarios.scenario import Scenario, choose, packaged_scenarios, scenarios_of

ROOT = Path(__file__).parents[2]
WORLDS = ROOT / "src" / "agent_sre" / "scenarios" / "worlds"
ALL = packaged_scenarios()


def test_there_are_enough_of_every_sort() -> None:
    assert len(ALL) >= 30
    assert sum(not scenario.truth.causes for scenario in ALL) >= 3
    assert sum(len(scenario.truth.causes) > 1 for scenario in ALL) >= 2
    assert len({known.cause for scenario in ALL for known in scenario.truth.causes}) >= 25
    alerts = {scenario.recipe["alert"]["alertname"] for scenario in ALL}
    assert alerts >= {
        "KubePodCrashLooping", "KubeDeploymentReplicasMismatch", "KubeNodeNotReady", "NodeFilesystemAlmostOutOfSpace",
        "KubePersistentVolumeFillingUp", "TargetDown", "HighLatency", "HighErrorRate", "CPUThrottlingHigh", "KubeHpaMaxedOut", "KubeJobFailed",
        "etcdHighFsyncDurations", "KubeAPIErrorBudgetBurn",
        "NodeClockSkewDetected", "PrometheusTSDBCompactionsFailing", "AlertmanagerFailedToSendAlerts",
    }  # fmt: skip


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_each_is_a_whole_world_whose_facts_are_in_it(scenario: Scenario, tmp_path: Path) -> None:
    bundle = scenario.bundle(tmp_path)
    assert bundle.faults == ()
    assert bundle.message is not None
    assert [alert.name for alert in bundle.message.alerts] == [scenario.recipe["alert"]["alertname"]]
    assert bundle.objects["Pod"]
    assert {known.cause for known in scenario.truth.causes} <= set(causes())
    assert bool(scenario.truth.must_facts) == bool(scenario.truth.causes)
    written = "\n".join(path.read_text() for path in tmp_path.iterdir() if path.name != "case.json").lower()
    assert [fact for fact in scenario.truth.must_facts if fact.lower() not in written.replace('\\"', '"')] == []
    assert _later_than_now(bundle) == []
    assert (WORLDS / f"{scenario.name}.yaml").stat().st_size < 20_000


def _later_than_now(bundle: Bundle) -> list[str]:
    """Lines and samples that come after the instant that the world stands at."""
    now = bundle.now
    assert now is not None
    late = [line.text for line in bundle.log_lines if line.at is None or line.at > now]
    return late + [str(series.labels) for found in bundle.series.values() for series in found if series.points[-1][0] > now.timestamp()]


def test_a_world_is_the_same_on_every_run() -> None:
    scenario = ALL[0]
    assert world_files(scenario.name, scenario.recipe) == world_files(scenario.name, scenario.recipe)


def test_scenario_files_are_part_of_the_package(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.iterdir()
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".yaml")}
    assert inside == {f"agent_sre/scenarios/worlds/{scenario.name}.yaml" for scenario in ALL}


# A folder of one's own

TRUTH = {"causes": [{"cause": "oom_killed", "object": "app/cart"}], "subject": "app/cart"}
OWN = {"title": "Ours", "alert": {"alertname": "Mine"}, "truth": TRUTH}


def test_a_folder_may_hold_recipes_and_recorded_cases(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(json.dumps(OWN))
    case = tmp_path / "recorded-0519"
    case.mkdir()
    (case / "case.json").write_text(json.dumps({"now": "2026-05-19T14:30:00Z", "truth": TRUTH}))
    (tmp_path / "notes").mkdir()
    found = scenarios_of(tmp_path)
    assert [(scenario.name, scenario.path) for scenario in found] == [("ours", None), ("recorded-0519", case)]
    assert choose(found, ["recorded-0519"]) == (found[1],)


def test_the_recipe_of_the_how_to_can_be_played(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "evaluate.md").read_text()
    (tmp_path / "ledger.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    (scenario,) = scenarios_of(tmp_path)
    bundle = scenario.bundle(tmp_path / "world")
    assert bundle.faults == ()
    assert [line.source for line in bundle.log_lines[:1]] == ["ledger"]
    assert "39 packaged worlds" in page
    assert len(ALL) == 39


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("{", "It is no YAML"),
        ("[1]", "at least `title`, `alert` and `truth`"),
        (json.dumps({**OWN, "truth": {"causes": "x"}}), "`truth` must have"),
        (json.dumps({**OWN, "truth": {**TRUTH, "causes": [{"cause": "gremlins", "object": "app/a"}]}}), "gremlins is no cause"),
        (json.dumps({**OWN, "truth": {**TRUTH, "subject": "cart"}}), "cart is no object"),
    ],
)
def test_a_scenario_that_cannot_be_read_is_one_sentence(recipe: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(recipe)
    with pytest.raises(BadInput, match=words):
        scenarios_of(tmp_path)


@pytest.mark.parametrize(
    "part",
    [
        {"weather": 1}, {"fired": "soon"}, {"events": [["1m"]]}, {"curves": [{"metric": "a"}]},
        {"curves": [{"metric": "a", "path": 1, "every": "1ms"}]}, {"logs": {"a": [["9d", "0s", "1s", "x"]]}},
        {"logs": {"a": [["1m", "0s", "0s", "x"]]}}, {"apps": {"a": {"replicas": "many"}}}, {"apps": ["a"]},
        {"nodes": 3}, {"changes": [{}]}, {"alert": {}}, {"alert": 3}, {"objects": 4},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_a_recipe_that_cannot_be_played_is_one_sentence(part: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(json.dumps({**OWN, **part}))
    (scenario,) = scenarios_of(tmp_path)
    with pytest.raises(BadInput, match="Scenario bad: "):
        scenario.bundle(tmp_path / "world")
