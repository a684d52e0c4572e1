"""Real incidents of the shared material: every case loads, every text of it gives objects, and counts agree with the tables."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from pathlib import Path

import pytest

from agent_sre.evidence.bundle.bundle import load_bundle
from agent_sre.evidence.bundle.kinds import kind_of_word
from agent_sre.kit.times import parse_instant
from service import SHARED

CASES = SHARED / "data" / "incidents" / "cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared incidents are not here")

FOLDERS = sorted(CASES.iterdir()) if CASES.is_dir() else []
SAMPLE = [folder for number, folder in enumerate(FOLDERS) if number % 20 == 0]
"""One of twenty: all of them take half a minute. `test_every_case_has_its_parts` looks at every one."""


def test_every_case_has_its_parts() -> None:
    for folder in FOLDERS:
        bundle = load_bundle(folder)
        case = json.loads((folder / "case.json").read_text())
        assert bundle.now == parse_instant(case["now"]), folder
        assert bundle.message is not None, folder
        assert {file.name for file in bundle.files.files} == {path.name.removesuffix(".xz") for path in folder.iterdir()}
        assert bundle.files.faults == ()


@pytest.mark.parametrize("folder", SAMPLE, ids=lambda folder: folder.name)
def test_every_text_gives_objects_and_counts_agree_with_the_tables(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert {fault.reason for fault in bundle.faults} <= {"not_found"}
    missing = {fault.file.removeprefix("k8s.json: ") for fault in bundle.faults}
    assert bundle.now is not None
    for series in (series for found in bundle.series.values() for series in found):
        assert series.points[-1][0] <= bundle.now.timestamp()
    assert all(line.at is None or line.at <= bundle.now for line in bundle.log_lines)
    texts = json.loads(lzma.decompress((folder / "k8s.json.xz").read_bytes())) if (folder / "k8s.json.xz").exists() else {}
    rows: Counter[str] = Counter()
    for command, text in texts.items():
        words = command.split()
        if command in missing:
            continue
        kind = kind_of_word(words[2])
        assert kind is not None, command
        if words[1] == "describe":
            assert any(item.name == words[3] for item in bundle.objects[kind.kind]), command
        elif kind.kind != "Event":
            rows[kind.kind] += len([line for line in text.splitlines()[1:] if line.strip()])
    for name, count in rows.items():
        assert len(bundle.objects[name]) == count, name


@pytest.mark.parametrize("folder", [folder for folder in SAMPLE if (folder / "k8s.json.xz").exists()], ids=lambda folder: folder.name)
def test_described_objects_are_whole(folder: Path) -> None:
    objects = load_bundle(folder).objects
    for pod in objects["Pod"]:
        assert pod.namespace
        assert pod.manifest["spec"]["containers"]
        assert all(container["image"] for container in pod.manifest["spec"]["containers"])
        if pod.manifest["status"]["phase"] == "Running":
            assert all("state" in status for status in pod.manifest["status"]["containerStatuses"])
    for workload in objects["Deployment"]:
        assert "replicas" in workload.manifest["spec"]
        assert workload.manifest["spec"]["template"]["spec"]["containers"]
    for service in objects["Service"]:
        assert service.manifest["spec"]["ports"]
    for event in objects["Event"]:
        assert event.manifest["reason"]
        assert event.manifest["involvedObject"]["name"]
