"""Where pods can run: scheduling, images, quotas, replicas, nodes. Small worlds, and what only looks like them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.finding.quantities import amount
from evidence.builders import NOW
from finding.clusters import NAMESPACE, deployment, event, first, node, pod, stamp, thing, unit, verdict, world

MASTER = node("boss", labels={"node-role.kubernetes.io/control-plane": ""}, unschedulable=True)
WORKERS = (node("left", labels={"disk": "ssd"}), node("right", labels={"disk": "hdd"}))
GONE = "0/3 nodes are available: {}. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."


def waiting(message: str, *nodes: KubernetesObject, **spec: object) -> tuple[str, str]:
    known = world(
        MASTER, *(nodes or WORKERS), pod("press-5d9c7b6f4-abcde", spec=spec), event("FailedScheduling", "press-5d9c7b6f4-abcde", GONE.format(message))
    )
    return first(known)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("1 node(s) were unschedulable, 2 Insufficient cpu", "cpu_capacity_mismatch"),
        ("1 node(s) were unschedulable, 2 Insufficient memory", "memory_capacity_mismatch"),
        ("1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient memory", "memory_capacity_mismatch"),
        ("2 node(s) had taint {a: b}, that the pod didn't tolerate, 1 node(s) were unschedulable", "taint_toleration_mismatch"),
        ("1 node(s) were unschedulable, 2 node(s) didn't match pod anti-affinity rules", "pod_anti_affinity_conflict"),
        ("1 node(s) were unschedulable, 2 node(s) didn't match pod affinity/anti-affinity", "pod_anti_affinity_conflict"),
        ("1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector", "node_affinity_mismatch"),
        ("3 node(s) were unschedulable", "node_cordon_mismatch"),
    ],
)  # fmt: skip
def test_the_scheduler_s_message_names_what_hinders(message: str, cause: str) -> None:
    assert waiting(message) == ("app/press", cause)


def test_a_selector_that_fits_no_node_is_told_from_an_affinity() -> None:
    message = "1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector"
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["north"]}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    assert waiting(message, nodeSelector={"disk": "nvme"})[1] == "node_selector_mismatch"
    assert waiting(message, affinity=affinity)[1] == "node_affinity_mismatch"


def test_of_the_nodes_that_a_pod_wants_what_keeps_it_away_is_the_cause() -> None:
    message = "1 node(s) were unschedulable, 1 node(s) had untolerated taint {kept: free}, 1 node(s) didn't match Pod's node affinity/selector"
    nodes = (node("left", labels={"disk": "ssd"}, taints=[{"key": "kept", "value": "free", "effect": "NoSchedule"}]), WORKERS[1])
    assert waiting(message, *nodes, nodeSelector={"disk": "ssd"})[1] == "taint_toleration_mismatch"
    cordoned = (node("left", labels={"disk": "ssd"}, unschedulable=True), WORKERS[1])
    message = "2 node(s) were unschedulable, 1 node(s) didn't match Pod's node affinity/selector"
    assert waiting(message, *cordoned, nodeSelector={"disk": "ssd"})[1] == "node_cordon_mismatch"


def test_a_pod_that_was_placed_since_is_no_trouble() -> None:
    message = GONE.format("1 node(s) were unschedulable, 2 Insufficient cpu")
    assert first(
        world(*WORKERS, pod("press-5d9c7b6f4-abcde", on="left", ready=True), event("FailedScheduling", "press-5d9c7b6f4-abcde", message))
    ) == ("", "")


def test_a_pod_that_waits_for_an_ill_node_is_the_node_s_trouble() -> None:
    ill = node("left", labels={"disk": "ssd"}, ready="Unknown", taints=[{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}])
    taint = "1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }"
    message = f"{taint}, 1 node(s) were unschedulable, 1 node(s) didn't match Pod's node affinity/selector"
    assert waiting(message, ill, WORKERS[1], nodeSelector={"disk": "ssd"}) == ("node/left", "kubelet_unavailable")


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("dial tcp: lookup images.example on 10.0.0.2:53: no such host", "image_registry_dns_failure"),
        ("images.example/press:2: not found", "incorrect_image_reference"),
        ("Error response from daemon: manifest for press:2 not found: manifest unknown", "incorrect_image_reference"),
        ("failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized", "missing_image_pull_secret"),
        ("Get https://images.example/v2/: dial tcp 10.1.2.3:443: i/o timeout", "image_registry_unavailable"),
        ("toomanyrequests: You have reached your pull rate limit", "image_registry_unavailable"),
    ],
)
def test_the_words_of_the_runtime_tell_why_an_image_cannot_be_pulled(message: str, cause: str) -> None:
    name = "press-5d9c7b6f4-abcde"
    known = world(
        *WORKERS, pod(name, on="left", waiting="ImagePullBackOff"), event("Failed", name, f'Failed to pull image "images.example/press:2": {message}')
    )
    assert first(known) == ("app/press", cause)


def test_a_quota_that_refuses_pods_is_the_namespace_s_and_explains_the_workload() -> None:
    refused = "exceeded quota: small, requested: requests.cpu=2, used: requests.cpu=3, limited: requests.cpu=4"
    message = f'Error creating: pods "press-5d9c7b6f4-xyz" is forbidden: {refused}'
    known = world(deployment("press"), event("FailedCreate", "press-5d9c7b6f4", message, kind="ReplicaSet"))
    assert first(known) == (f"namespace/{NAMESPACE}", "namespace_cpu_quota_exceeded")


def test_a_refusal_that_was_got_over_is_history() -> None:
    message = 'pods "press-5d9c7b6f4-xyz" is forbidden: exceeded quota: small, requested: pods=1, used: pods=9, limited: pods=9'
    known = world(deployment("press", ready=1), event("FailedCreate", "press-5d9c7b6f4", message, kind="ReplicaSet"))
    assert verdict(known)[0].score < 0.5


def quota(**resources: tuple[str, str]) -> KubernetesObject:
    names = {name.replace("_", "."): value for name, value in resources.items()}
    return thing("ResourceQuota", "small", status={"hard": {n: v[0] for n, v in names.items()}, "used": {n: v[1] for n, v in names.items()}})


def test_a_service_that_a_full_quota_refused_left_no_event() -> None:
    applied = (thing("Service", "press"), thing("Service", "mill"))
    assert first(world(thing("Service", "mill"), quota(services=("1", "1")), applied=applied)) == (
        f"namespace/{NAMESPACE}",
        "namespace_service_quota_exceeded",
    )
    assert verdict(world(*applied, quota(services=("2", "2")), applied=applied))[0].score < 0.5


def test_a_claim_too_large_for_what_is_left_of_a_quota_is_the_quota_s() -> None:
    claim = thing("PersistentVolumeClaim", "juice", spec={"resources": {"requests": {"storage": "5Gi"}}})
    other = thing("PersistentVolumeClaim", "pulp")
    assert first(world(other, quota(requests_storage=("8Gi", "4Gi")), applied=(claim, other)))[1] == "namespace_storage_quota_exceeded"
    assert first(world(other, quota(requests_storage=("9Gi", "4Gi")), applied=(claim, other)))[1] != "namespace_storage_quota_exceeded"


def test_a_workload_at_zero_is_found_and_one_that_nobody_calls_is_only_mentioned() -> None:
    service = thing("Service", "press", spec={"selector": {"app": "press"}})
    assert first(world(deployment("press", replicas=0, made=0), service)) == ("app/press", "deployment_zero_replicas")
    assert verdict(world(deployment("press", replicas=0, made=0)))[0].score < 0.5


@pytest.mark.parametrize(
    ("name", "cause"), [("kubelet", "kubelet_unavailable"), ("containerd", "containerd_unavailable"), ("kube-proxy", "kube_proxy_unavailable")]
)
def test_a_dead_unit_is_the_node_s_trouble(name: str, cause: str) -> None:
    assert first(world(*WORKERS, unit(name, "left", "inactive"), unit(name, "right", "active"))) == ("node/left", cause)


def test_a_component_that_runs_and_is_not_ready_is_ill_once_the_kubelet_says_so() -> None:
    ill = thing(
        "Pod", "kube-apiserver-left", namespace="kube-system", spec={"nodeName": "left"},
        status={"containerStatuses": [{"name": "kube-apiserver", "ready": False, "restartCount": 0, "state": {"running": {}}}]},
    )  # fmt: skip
    said = thing(
        "Event", "kube-apiserver-left.1", namespace="kube-system", reason="Unhealthy", message="Readiness probe failed: HTTP probe failed",
        type="Warning", involvedObject={"kind": "Pod", "name": "kube-apiserver-left", "namespace": "kube-system"}, count=9,
        firstTimestamp=stamp(NOW), lastTimestamp=stamp(NOW),
    )  # fmt: skip
    assert first(world(*WORKERS, ill, said)) == ("node/left", "api_server_unavailable")
    assert verdict(world(*WORKERS, ill)) == ()


def test_units_that_are_unknown_or_replaced_are_well() -> None:
    assert (
        verdict(world(*WORKERS, unit("kubelet", "left", "unknown"), unit("docker", "left", "inactive"), unit("containerd", "left", "active"))) == ()
    )


def test_pods_that_no_scheduler_looked_at_speak_against_the_scheduler() -> None:
    silent = thing("Pod", "press-5d9c7b6f4-abcde", metadata={"creationTimestamp": stamp(NOW - timedelta(minutes=3))}, status={"phase": "Pending"})
    young = thing("Pod", "press-5d9c7b6f4-abcde", metadata={"creationTimestamp": stamp(NOW - timedelta(seconds=3))}, status={"phase": "Pending"})
    assert first(world(MASTER, *WORKERS, silent)) == ("node/boss", "kube_scheduler_unavailable")
    assert first(world(MASTER, *WORKERS, young)) == ("", "")


def test_two_causes_that_have_nothing_to_do_with_each_other_stay_two() -> None:
    name = "mill-7c5f46fc4-abcde"
    message = GONE.format("1 node(s) were unschedulable, 2 Insufficient cpu")
    image = event("Failed", name, 'Failed to pull image "images.example/mill:2": images.example/mill:2: not found')
    known = world(
        MASTER,
        *WORKERS,
        pod("press-5d9c7b6f4-abcde"),
        event("FailedScheduling", "press-5d9c7b6f4-abcde", message),
        pod(name, on="left", waiting="ErrImagePull"),
        image,
    )
    both = verdict(known)[:2]
    assert {item.name for item in both} == {"cpu_capacity_mismatch", "incorrect_image_reference"}
    assert min(item.score for item in both) >= 0.9


def test_what_began_long_before_the_alert_counts_less() -> None:
    old, new = (
        verdict(
            world(
                deployment("press"),
                event(
                    "FailedCreate",
                    "press-5d9c7b6f4",
                    "exceeded quota: small, requested: pods=1, used: pods=9, limited: pods=9",
                    kind="ReplicaSet",
                    at=at,
                ),
            )
        )[0]
        for at in (NOW - timedelta(days=3), NOW - timedelta(minutes=1))
    )
    assert old.score < new.score / 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("100m", 0.1), ("64Mi", 67108864.0), ("1.5", 1.5), ("2k", 2000.0), ("1e3", 1000.0), (4, 4.0), ("a", None), (True, None), ("-1", None)],
)
def test_amounts_are_read_as_kubernetes_writes_them(text: object, value: float | None) -> None:
    assert amount(text) == (pytest.approx(value) if value is not None else None)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.lists(st.text())))
def test_anything_that_is_no_amount_is_none(value: object) -> None:
    found = amount(value)
    assert found is None or found >= 0
