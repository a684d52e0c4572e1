"""An object in one line and in pairs, whatever its manifest holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.status import _BY_KIND, MOST_FIELDS, fields_of, status_of


def an_object(kind: str, **manifest: Any) -> KubernetesObject:
    return KubernetesObject(kind=kind, namespace="shop", name="x", manifest=manifest)


def conditions(**status_by_type: str) -> dict[str, Any]:
    return {"conditions": [{"type": name, "status": status, "reason": f"{name}Reason"} for name, status in status_by_type.items()]}


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (
            an_object("Pod", spec={"nodeName": "w1"}, status={"phase": "Running", "containerStatuses": [{"name": "a", "ready": True}]}),
            "Running on w1",
        ),
        (
            an_object("Pod", status={"phase": "Pending", **conditions(PodScheduled="False")}),
            "Pending; not PodScheduled (PodScheduledReason)",
        ),
        (an_object("Pod", status={"phase": "Failed", "reason": "Evicted"}), "Evicted"),
        (
            an_object(
                "Pod",
                status={
                    "phase": "Running",
                    "containerStatuses": [
                        {"name": "a", "state": {"terminated": {"reason": "Error", "exitCode": 1}}, "restartCount": 1},
                        {"name": "b", "ready": False, "state": {"running": {}}},
                        {"name": "c", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}},
                    ],
                },
            ),
            "Running; a: Error (exit 1), 1 restart; b: not ready",
        ),
        (
            an_object("Deployment", spec={"replicas": 3}, status={"readyReplicas": 1, **conditions(Available="False", Progressing="True")}),
            "1 of 3 ready; not Available (AvailableReason)",
        ),
        (an_object("DaemonSet", status={"desiredNumberScheduled": 4, "numberReady": 4}), "4 of 4 ready"),
        (an_object("StatefulSet", spec={"replicas": 0}), "0 of 0 ready"),
        (an_object("Node", status=conditions(Ready="True", MemoryPressure="False")), "Ready"),
        (
            an_object(
                "Node",
                spec={"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}]},
                status=conditions(Ready="Unknown", DiskPressure="True"),
            ),
            "Ready unknown (ReadyReason); DiskPressure (DiskPressureReason); cordoned; taint k:NoSchedule",
        ),
        (
            an_object(
                "Event", type="Warning", reason="BackOff", count=12, message="Back-off\nrestarting", involvedObject={"kind": "Pod", "name": "p"}
            ),
            "Warning BackOff ×12 Pod p: Back-off restarting",
        ),
        (an_object("Job", status={"failed": 3, **conditions(Failed="True")}), "3 failed; Failed (FailedReason)"),
        (
            an_object(
                "HorizontalPodAutoscaler",
                spec={"maxReplicas": 5},
                status={"currentReplicas": 5, "desiredReplicas": 5, **conditions(ScalingLimited="True")},
            ),
            "5 replicas, 5 wanted, 5 at most; ScalingLimited (ScalingLimitedReason)",
        ),
        (
            an_object(
                "PersistentVolumeClaim", spec={"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}, status={"phase": "Pending"}
            ),
            "Pending; 1Gi fast",
        ),
        (
            an_object("Service", spec={"type": "ClusterIP", "ports": [{"port": 80, "targetPort": "http"}], "selector": {"app": "x"}}),
            "ClusterIP ports 80→http; selects app=x",
        ),
        (an_object("Kustomization", status=conditions(Ready="False")), "not Ready (ReadyReason)"),
        (an_object("Whatever"), ""),
    ],
)
def test_how_an_object_is_stands_on_one_line(item: KubernetesObject, line: str) -> None:
    assert status_of(item) == line


def test_secrets_leave_the_line_and_the_fields() -> None:
    item = an_object(
        "Pod", spec={"containers": [{"args": ["--db-password=hunter22"]}]}, status={"phase": "token=hunter22"}, data={"PASSWORD": "hunter22"}
    )
    assert "hunter22" not in status_of(item)
    assert "hunter22" not in str(fields_of(item))


def test_fields_are_pairs_status_first_bounded_and_without_bookkeeping() -> None:
    item = an_object(
        "Pod",
        metadata={"name": "p", "uid": "u", "managedFields": [1]},
        spec={"containers": [{"image": "a:1"}] * 100},
        status={"phase": "Running", "hostIP": None},
    )
    fields = fields_of(item)
    assert fields[:2] == (("status.phase", "Running"), ("spec.containers[0].image", "a:1"))
    assert len(fields) == MOST_FIELDS
    assert fields_of(an_object("Pod", metadata={"name": "p", "uid": "u", "managedFields": [1]})) == (("metadata.name", "p"),)


SCALARS: st.SearchStrategy[Any] = st.sampled_from([None, True, -1, 1.5, "", "x", "False", "True", "\x1b[31m", [], {}])
NAMES = st.sampled_from(
    [
        "status",
        "spec",
        "metadata",
        "phase",
        "conditions",
        "type",
        "reason",
        "containerStatuses",
        "state",
        "waiting",
        "terminated",
        "lastState",
        "taints",
        "replicas",
        "ports",
        "selector",
        "count",
        "message",
        "involvedObject",
        "capacity",
        "resources",
        "restartCount",
        "exitCode",
    ]
)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12)


@given(st.sampled_from([*_BY_KIND, "Other"]), st.dictionaries(NAMES, ANYTHING, max_size=4))
@settings(max_examples=300, deadline=None)
def test_any_manifest_gives_a_line_and_pairs(kind: str, manifest: dict[str, Any]) -> None:
    item = KubernetesObject(kind=kind, namespace="", name="", manifest=manifest)
    assert "\n" not in status_of(item)
    assert len(status_of(item)) < 330
    assert len(fields_of(item)) <= MOST_FIELDS
