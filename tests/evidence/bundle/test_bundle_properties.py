"""Whatever a bundle holds, it becomes a world or a fault: no text, no bytes and no shapes raise anything but our own errors."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence.bundle import describe, events, facts, files, kubectl, logs, manifests, openmetrics, tables
from agent_sre.evidence.bundle.bundle import NAMED, load_bundle
from agent_sre.evidence.bundle.describe import DESCRIBED
from agent_sre.evidence.bundle.kubectl import Command
from agent_sre.evidence.bundle.times import Times, age_of, captured_at, instant_of
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.kit.errors import BadInput
from agent_sre.kit.values import from_json, to_json
from evidence.bundle.worlds import CAPTURED_AT, WORLDS

TIMES = Times(captured_at=CAPTURED_AT)

SEEDS = [file.read_text() for file in sorted((WORLDS / "support").rglob("*")) if file.is_file()]
LINES = sorted({line for seed in SEEDS for line in seed.split("\n")})

lines = st.one_of(st.sampled_from(LINES), st.text(max_size=60), st.from_regex(r" {0,8}[A-Z][a-z]{0,8}( [A-Z][a-z]{0,8})?: {0,8}\S{0,12}"))
texts = st.one_of(
    st.text(max_size=400),
    st.lists(lines, max_size=40).map("\n".join),
    # a real text with a piece cut out of it, or put in
    st.tuples(st.sampled_from(SEEDS), st.integers(0, 4_000), st.integers(0, 600), st.text(max_size=20)).map(
        lambda parts: parts[0][: parts[1]] + parts[3] + parts[0][parts[1] + parts[2] :]
    ),
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20))
shapes = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)), max_leaves=20
)
FIELDS = (
    "apiVersion", "kind", "metadata", "spec", "status", "data", "items", "name", "namespace", "annotations", "labels", "env", "args",
    "value", "containers", "conditions", "involvedObject", "series", "firstTimestamp", "alerts", "patterns", "rows", "edges", "changes",
)  # fmt: skip
manifest_shapes = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=6)), inner, max_size=6)),
    max_leaves=25,
)


def check_manifest(manifest: dict[str, Any]) -> None:
    """Fit for the store, and what readers rely on is there."""
    item = KubernetesObject(kind=manifest["kind"], namespace="", name="", manifest=manifest)
    assert from_json(KubernetesObject, to_json(KubernetesObject, item)) == item
    assert isinstance(manifest["metadata"], dict)
    orjson.dumps(manifest)


@settings(max_examples=50, deadline=None)
@given(texts, st.sampled_from(["", *DESCRIBED, "Event", "Widget"]))
def test_any_text_of_kubectl_gives_objects_or_a_problem(text: str, kind: str) -> None:
    reading = kubectl.read(text, Command(kind=kind), TIMES)
    found = [*reading.whole, *reading.described, *reading.listed, *reading.listed_events, *reading.described_events]
    for manifest in found:
        check_manifest(manifest)
    assert found or reading.problem is not None
    for command, part in kubectl.split_session(text):
        kubectl.parse_command(command)
        kubectl.read(part, Command(verb="logs"), TIMES)


@settings(max_examples=50, deadline=None)
@given(texts, st.sampled_from([*DESCRIBED, "Widget"]))
def test_any_text_may_be_called_a_description_or_a_table(text: str, kind: str) -> None:
    for item in describe.describe(text, TIMES, kind=kind):
        check_manifest(item.manifest)
    for manifest in tables.from_table(text.split("\n"), TIMES, kind=kind, namespace="shop"):
        check_manifest(manifest)
    for event in events.from_table(text.split("\n"), "shop", TIMES):
        check_manifest(event)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True), st.sampled_from(["Running", "Pending", "Error"])), max_size=6))
def test_a_table_has_as_many_objects_as_rows(rows: list[tuple[str, str]]) -> None:
    lines = [f"{'NAME':20}{'READY':8}{'STATUS':20}{'RESTARTS':11}AGE", *(f"{name:20}{'1/1':8}{status:20}{'0':11}5m" for name, status in rows)]
    pods = tables.from_table(lines, TIMES)
    assert [pod["metadata"]["name"] for pod in pods] == [name for name, _ in rows]


@settings(max_examples=50, deadline=None)
@given(
    st.one_of(
        st.text(max_size=300),
        st.lists(st.from_regex(r"[a-z_]{1,6}(\{[a-z]=\"[a-z ]{0,3}\"\})? {0,2}[0-9.eENa+-]{0,6} {0,2}[0-9.]{0,14}( # .{0,6})?"), max_size=10).map(
            "\n".join
        ),
    )
)
def test_any_text_of_samples_is_samples_or_counted(text: str) -> None:
    samples = openmetrics.read_text(text, CAPTURED_AT, taken_at=CAPTURED_AT)
    for series in samples.series:
        instants = [at for at, _ in series.points]
        assert instants == sorted(set(instants))
        assert all(at <= CAPTURED_AT.timestamp() for at in instants)
    wanted = [line for line in text.split("\n") if line and not line.isspace() and line[0] != "#"]
    assert samples.lines + samples.bad + samples.untimed == len(wanted)


@settings(max_examples=50, deadline=None)
@given(manifest_shapes)
def test_any_shape_is_a_manifest_a_change_an_edge_or_nothing(shape: Any) -> None:
    for manifest in manifests.objects_of(shape):
        check_manifest(manifest)
    if isinstance(shape, dict):
        logs.summary_patterns(shape)
        logs.from_apps(shape, TIMES)
        logs.from_rows(shape, CAPTURED_AT, CAPTURED_AT)
    facts.changes_of(shape, CAPTURED_AT)
    facts.dependencies_of(shape)
    facts.units_of(shape, TIMES)
    facts.anomalies_of(shape)
    openmetrics.read_matrix(shape)
    openmetrics.read_matrix({"status": "success", "data": {"resultType": "matrix", "result": shape}})
    openmetrics.read_matrix({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": shape}]}})


@settings(max_examples=50, deadline=None)
@given(
    st.one_of(
        st.text(max_size=200), st.sampled_from(["a: &a [*a]", "? [", "!!python/object:os.system {}", "a: 2001-99-99", "0x", "1:" * 50, "- " * 500])
    )
)
def test_any_yaml_is_documents_or_bad_input(text: str) -> None:
    with suppress(BadInput):
        for document in manifests.from_yaml(text):
            for manifest in manifests.objects_of(document):
                check_manifest(manifest)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_time_or_none(text: str) -> None:
    age_of(text)
    instant_of(text)
    TIMES.ago(text)
    TIMES.instant(text)
    captured_at([f"Name: x\nStart Time: {text}\n  Normal  Scheduled  {text} x\n  RenewTime: {text}\n"])


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([*NAMED, "a.om", "b.txt", "c.json", "d.yaml", "logs/e.log", "manifests/f.yaml", "g.json.xz", "h.gz"]),
    st.one_of(st.binary(max_size=200), shapes),
)
def test_any_file_of_a_bundle_is_read_or_a_fault(name: str, content: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        bundle = load_bundle(Path(folder))
        assert isinstance(bundle.faults, tuple)
        assert bundle.now is None or bundle.now.tzinfo is not None
        assert isinstance(bundle.dependencies, tuple)
        assert isinstance(bundle.changes, tuple)
        assert isinstance(bundle.units, tuple)
        _ = (bundle.message, bundle.anomalies, bundle.error_patterns)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["a.tar", "a.tar.gz", "a.zip", "a"]), st.binary(max_size=600))
def test_any_bytes_are_an_archive_or_bad_input(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        with suppress(BadInput):
            assert isinstance(files.open_files(path).files, tuple)
