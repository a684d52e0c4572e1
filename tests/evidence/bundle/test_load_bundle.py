"""Whole worlds as values: every part of each layout, on one time line, with what could not be read named."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent_sre.evidence.bundle.bundle import load_bundle
from agent_sre.evidence.bundle.faults import Fault
from agent_sre.evidence.evidence import Dependency, KubernetesObject
from agent_sre.kit.errors import BadInput
from evidence.bundle.worlds import CAPTURED_AT, SECRET, WORLDS, world


def by_name(objects: tuple[KubernetesObject, ...]) -> dict[str, KubernetesObject]:
    return {item.name: item for item in objects}


def everything(path: Path) -> str:
    """All that is kept of a world, log lines excepted: they are as they were written."""
    bundle = load_bundle(path)
    return repr([bundle.objects, bundle.manifests, bundle.changes, bundle.units, bundle.anomalies, bundle.error_patterns, bundle.faults])


# The layout of a case


def test_a_case_stands_at_its_now_and_nothing_later_is_in_it() -> None:
    case = world("case")
    assert (case.now, case.time_from, case.step) == (CAPTURED_AT, "case.json", timedelta(seconds=30))
    assert case.message is not None
    assert case.message.alerts[0].name == "CartErrors"
    (memory,) = case.series["cart_memory_bytes"]
    assert memory.points[-1] == (CAPTURED_AT.timestamp(), 64e6)
    assert len(memory.points) == 31  # of 40
    assert [change.at for change in case.changes] == [datetime(2026, 11, 23, 6, 40, 50, tzinfo=UTC)]
    assert all(line.at is None or line.at <= CAPTURED_AT for line in case.log_lines)


def test_a_case_has_its_objects_once_with_all_that_its_texts_say() -> None:
    objects = world("case").objects
    assert {kind: len(items) for kind, items in objects.items()} == {"Pod": 4, "Deployment": 1, "Node": 2, "Event": 7}
    cart = by_name(objects["Pod"])["cart-6d5f7c9b8-x2x9k"]
    assert cart.namespace == "shop"
    assert cart.manifest["status"]["containerStatuses"][0]["lastState"]["terminated"]["reason"] == "OOMKilled"  # described
    assert cart.manifest["metadata"]["creationTimestamp"] == "2026-11-23T06:40:50Z"  # listed
    till = by_name(objects["Pod"])["till-0"]  # listed only
    assert till.manifest["status"]["phase"] == "Running"


def test_a_case_has_changes_edges_units_reports_and_errors() -> None:
    case = world("case")
    (change,) = case.changes
    assert (change.kind, change.subject.name, change.text) == ("rollout", "cart", "rollout of cart: 1 new pod, 1 removed")
    assert change.diff == ("- cart-5b4c-aaaaa", "+ cart-6d5f7c9b8-x2x9k")
    assert case.dependencies == (
        Dependency(source="web", destination="cart", via="service_graph"),
        Dependency(source="cart", destination="till", via="service_graph"),
        Dependency(source="web", destination="cart", via="mesh"),
    )
    dead, alive = case.units
    assert dead.text == "containerd on worker-2: inactive (dead) since 2026-11-23T06:40:00Z"
    assert dead.values["enabled"] == "disabled"
    assert (alive.values["unit"], alive.values["active"]) == ("kubelet", "active")
    assert case.anomalies[0].text == "Service cart: status: ABNORMAL; evidence: ERRORS: 1% -> 20%"
    errors = {(pattern.subject.name, pattern.subject.container): pattern for pattern in case.error_patterns}
    assert errors["cart", ""].count == 7
    assert errors["cart", ""].sample == 'level=error msg="cannot reach till: token=<secret>'
    assert (errors["till", "postgres"].template, errors["till", "postgres"].count) == ("ERROR: out of memory <n>", 2)
    assert errors["search", ""].sample.startswith("{'patterns'")  # neither JSON nor Python: the text itself


def test_a_cases_logs_say_whose_they_are_and_when() -> None:
    lines = world("case").log_lines
    assert [(line.source, line.container, line.period, line.text) for line in lines] == [
        ("cart", "", "", "GET /cart 500"),
        ("cart", "", "", "GET /cart/17 500"),
        ("cart", "", "", "GET /cart/18 500"),
        ("cart", "sidecar", "", "upstream refused"),
        ("cart", "", "previous", 'level=error msg="cannot reach till"'),
        ("shop.example", "", "", "one line"),
    ]
    assert lines[0].at == datetime(2026, 11, 23, 6, 44, 7, 500000, tzinfo=UTC)
    assert lines[1].at is None


def test_what_was_applied_is_kept_apart_from_what_is() -> None:
    case = world("case")
    (cart,) = case.manifests
    assert cart.manifest["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/cart:1.4.1"
    assert case.objects["Deployment"][0].manifest["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/cart:1.4.2"


def test_a_case_names_what_it_could_not_read() -> None:
    faults = {fault.file: fault for fault in world("case").faults}
    assert {file: fault.reason for file, fault in faults.items()} == {
        "metrics.om": "bad_lines",
        "k8s.json: kubectl get secrets -n shop -o wide": "withheld",
        "k8s.json: kubectl get resourcequota -n shop": "empty",
        "k8s.json: kubectl get leases -n shop": "refused",
        "manifests.json: broken": "unreadable",
    }
    assert "this is no sample" in faults["metrics.om"].detail
    assert "forbidden" in faults["k8s.json: kubectl get leases -n shop"].detail


def test_a_recording_whose_time_was_moved_is_put_on_one_time_line(tmp_path: Path) -> None:
    shutil.copytree(WORLDS / "case", tmp_path / "case")
    (tmp_path / "case/case.json").write_text('{"now": "2027-03-01T00:00:00Z"}')
    moved = load_bundle(tmp_path / "case")
    cart = by_name(moved.objects["Pod"])["cart-6d5f7c9b8-x2x9k"].manifest
    assert cart["metadata"]["creationTimestamp"] == "2027-02-28T23:55:50Z"
    assert cart["status"]["startTime"] == "2027-02-28T23:55:50Z"
    assert moved.captured.shift == datetime(2027, 3, 1, tzinfo=UTC) - CAPTURED_AT
    assert moved.log_lines[0].at == datetime(2027, 2, 28, 23, 59, 7, 500000, tzinfo=UTC)


def test_rows_of_a_log_count_from_the_alert(tmp_path: Path) -> None:
    alert = {"alerts": [{"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-23T06:43:00Z"}]}
    (tmp_path / "alert.json").write_text(json.dumps(alert))
    (tmp_path / "case.json").write_text('{"now": "2026-11-23T06:44:00Z"}')
    rows = [[-120, "cart", "old"], [0, "cart", "now"], [90, "cart", "later"], ["x", 1], [0, "cart"], None]
    (tmp_path / "logs.jsonl").write_text(json.dumps({"rows": rows, "normal_minute": [["till", "fine"], [1, 2]]}))
    lines = load_bundle(tmp_path).log_lines
    assert [(line.text, line.at.minute if line.at else None, line.period) for line in lines] == [
        ("old", 41, ""),
        ("now", 43, ""),
        ("fine", None, "normal"),
    ]
    (tmp_path / "logs.jsonl").write_text('{"time": "2026-11-23T06:43:30Z", "service": "cart", "message": "m"}\nnot json\n')
    bundle = load_bundle(tmp_path)
    assert bundle.log_lines[0][:3] == ("m", "cart", datetime(2026, 11, 23, 6, 43, 30, tzinfo=UTC))
    assert bundle.faults == (Fault(file="logs.jsonl", reason="bad_lines", detail="Lines that are no records: 1."),)


# A support bundle of files that are called anything


def test_texts_called_anything_are_recognised() -> None:
    support = world("support")
    assert (support.now, support.time_from) == (CAPTURED_AT, "the texts of kubectl")
    counts = {kind: len(items) for kind, items in support.objects.items()}
    assert counts.pop("Event") > 5
    assert counts == {
        "Pod": 4, "Deployment": 2, "ReplicaSet": 1, "StatefulSet": 1, "DaemonSet": 1, "Job": 1, "CronJob": 1, "HorizontalPodAutoscaler": 1,
        "PodDisruptionBudget": 1, "ResourceQuota": 1, "Service": 2, "Endpoints": 3, "Ingress": 1, "NetworkPolicy": 1, "ConfigMap": 2,
        "ServiceAccount": 1, "PersistentVolumeClaim": 2, "PersistentVolume": 1, "StorageClass": 1, "Node": 2, "HelmRelease": 1,
    }  # fmt: skip
    assert [fault for fault in support.faults if fault.reason != "withheld"] == [
        Fault(file="README", reason="unrecognised", detail="It is nothing that is read; it begins with: this file")
    ]


def test_the_folder_says_the_namespace_that_a_table_does_not() -> None:
    assert {pod.namespace for pod in world("support").objects["Pod"]} == {"shop"}


def test_logs_are_whose_the_files_name_says() -> None:
    lines = world("support").log_lines
    assert [(line.source, line.period) for line in lines] == [("cart-6d5f7c9b8-x2x9k", "previous")] * 2
    assert lines[1].at == datetime(2026, 11, 23, 6, 44, 8, tzinfo=UTC)
    assert lines[1].text.startswith("level=error")


def test_manifests_lose_noise_and_secrets() -> None:
    support = world("support")
    web = by_name(support.objects["Deployment"])["web"].manifest
    assert "managedFields" not in web["metadata"]
    assert web["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "SESSION_SECRET", "value": "<secret>"}]
    assert by_name(support.objects["ConfigMap"])["web"].manifest["data"] == {"key": None}
    assert "Secret" not in support.objects
    assert "values" not in support.objects["HelmRelease"][0].manifest["spec"]


@pytest.mark.parametrize("name", ["case", "support", "dump"])
def test_no_secret_is_anywhere_in_what_is_kept(name: str) -> None:
    assert SECRET not in everything(WORLDS / name)


@pytest.mark.parametrize("suffix", ["tar.gz", "zip"])
def test_an_archive_is_the_same_world(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bundle.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted((WORLDS / "support").rglob("*")):
                archive.write(file, file.relative_to(WORLDS))
    else:
        with tarfile.open(path, "w:gz") as packed:
            packed.add(WORLDS / "support", arcname="support")
    assert everything(path) == everything(WORLDS / "support")


# kubectl cluster-info dump


def test_a_cluster_dump_is_read() -> None:
    dump = world("dump")
    assert {kind: len(items) for kind, items in dump.objects.items()} == {"Node": 1, "Pod": 1, "Event": 2}
    assert dump.objects["Pod"][0].namespace == "shop"
    assert "images" not in dump.objects["Node"][0].manifest["status"]
    backoff, pulled = (event.manifest for event in dump.objects["Event"])
    assert backoff["count"] == 18
    assert (pulled["message"], pulled["firstTimestamp"], pulled["lastTimestamp"]) == (
        "pulled",
        "2026-11-23T06:41:01.000000Z",
        "2026-11-23T06:41:01.000000Z",
    )
    assert pulled["involvedObject"]["name"] == "cart-6d5f7-x2x9k"
    assert [(line.namespace, line.source, line.container, line.text) for line in dump.log_lines] == [
        ("shop", "cart-6d5f7-x2x9k", "server", "panic: no memory"),
        ("shop", "cart-6d5f7-x2x9k", "sidecar", "upstream refused"),
    ]
    assert (dump.now, dump.time_from) == (datetime(2026, 11, 23, 6, 44, 57, tzinfo=UTC), "the latest time in it")
    assert {fault.reason for fault in dump.faults} == {"empty"}


# Odd bundles


def test_an_empty_folder_is_an_empty_world(tmp_path: Path) -> None:
    empty = load_bundle(tmp_path)
    assert (empty.now, empty.time_from, empty.alert, empty.message, empty.faults) == (None, "", None, None, ())
    assert not empty.series
    assert not empty.objects
    assert empty.log_lines == ()


def test_one_broken_file_costs_only_itself(tmp_path: Path) -> None:
    shutil.copytree(WORLDS / "case", tmp_path / "case")
    for name in ("alert.json", "case.json", "k8s.json", "changes.json", "node_units.json", "logs.json"):
        (tmp_path / "case" / name).write_text("{broken")
    (tmp_path / "case/more.json").write_text("[1, 2]")
    (tmp_path / "case/more.yaml").write_text("a: [")
    broken = load_bundle(tmp_path / "case")
    named = {fault.file for fault in broken.faults}
    assert named >= {"alert.json", "case.json", "k8s.json", "changes.json", "node_units.json", "logs.json", "more.json", "more.yaml"}
    assert broken.series["cart_memory_bytes"]
    assert broken.alert is None
    assert broken.manifests


def test_a_yaml_file_of_aliases_does_not_grow(tmp_path: Path) -> None:
    levels = ["a0: &a0 {k: [x, x, x, x, x, x, x, x, x]}"]
    levels += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: bomb, namespace: shop}\nspec:\n" + "\n".join(f"  {line}" for line in levels)
    (tmp_path / "bomb.yaml").write_text(text)
    (pod,) = load_bundle(tmp_path).objects["Pod"]
    assert len(json.dumps(pod.manifest)) < 50_000
    (tmp_path / "bomb.yaml").write_text("a: &a [x]\nb: [" + ", ".join(["*a"] * 300) + "]")
    assert load_bundle(tmp_path).faults[0].reason == "unsafe"


def test_an_answer_of_the_query_api_is_metrics(tmp_path: Path) -> None:
    answer = {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {"__name__": "up"}, "values": [[1795415400, "1"]]}]}}
    (tmp_path / "up.json").write_text(json.dumps(answer))
    bundle = load_bundle(tmp_path)
    assert bundle.series["up"][0].points == ((1795415400.0, 1.0),)
    assert (bundle.now, bundle.time_from) == (datetime.fromtimestamp(1795415400, UTC), "the latest time in it")


def test_a_webhook_body_may_be_one_alert_alone(tmp_path: Path) -> None:
    (tmp_path / "alert.json").write_text(json.dumps({"labels": {"alertname": "Alone"}, "startsAt": "2026-11-23T06:43:00Z"}))
    message = load_bundle(tmp_path).message
    assert message is not None
    assert message.alerts[0].name == "Alone"


def test_a_bundle_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        load_bundle(tmp_path / "missing")
