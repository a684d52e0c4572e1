"""Who belongs to whom, from manifests that are whole, and from those that are not."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.alert.subject import Subject
from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.container_logs import containers_to_read
from agent_sre.evidence.kubernetes.objects import (
    World,
    by_relevance,
    container_states,
    events_about,
    find,
    is_troubled,
    mounts_of,
    object_of,
    objects_of,
    owner_of,
    owners_of,
    pods_mounting,
    pods_of,
    pods_selected_by,
    references_of,
    selector_matches,
    services_selecting,
    workload_of,
)
from agent_sre.evidence.kubernetes.summaries import summary_of
from fakes.kubernetes import a_pod, an_event, an_object


def an(manifest: dict[str, Any]) -> KubernetesObject:
    found = object_of(manifest)
    assert found is not None
    return found


def owned(kind: str, name: str, owner: tuple[str, str], **fields: Any) -> KubernetesObject:
    reference = {"kind": owner[0], "name": owner[1], "controller": True}
    return an(an_object(kind, name, metadata={"ownerReferences": [reference]} | fields.pop("metadata", {}), **fields))


POD = an(
    a_pod(
        owner=("ReplicaSet", "cart-7f9c6d5b8c"),
        env=[
            {"name": "DB_HOST", "valueFrom": {"configMapKeyRef": {"name": "cart", "key": "host"}}},
            {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password", "optional": True}}},
        ],
        serviceAccountName="cart",
        imagePullSecrets=[{"name": "registry"}],
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "cart-data"}}, {"name": "tmp", "emptyDir": {}}],
    )
)
REPLICASET = owned("ReplicaSet", "cart-7f9c6d5b8c", ("Deployment", "cart"))
DEPLOYMENT = an(an_object("Deployment", "cart", spec={"replicas": 1, "selector": {"matchLabels": {"app": "cart"}}}, status={"readyReplicas": 0}))
SERVICE = an(an_object("Service", "cart", spec={"selector": {"app": "cart"}}))
CLAIM = an(an_object("PersistentVolumeClaim", "cart-data", status={"phase": "Bound"}))
NODE = an(an_object("Node", "worker-1", namespace="", status={"addresses": [{"type": "InternalIP", "address": "10.0.0.7"}]}))
OTHER = an(a_pod("basket-0", app="basket", node="worker-2"))
EVENT = an(an_event(POD.name, "BackOff", "again"))
AROUND = {"Pod", "ReplicaSet", "Deployment", "Service", "PersistentVolumeClaim", "Node"}
WORLD = (POD, REPLICASET, DEPLOYMENT, SERVICE, CLAIM, NODE, OTHER, EVENT)


def test_a_pod_has_its_owners_up_to_the_deployment() -> None:
    assert owners_of(POD, WORLD) == (REPLICASET, DEPLOYMENT)
    assert workload_of(POD, WORLD) == DEPLOYMENT
    assert workload_of(DEPLOYMENT, WORLD) == DEPLOYMENT
    assert workload_of(NODE, WORLD) is None


def test_a_deployment_has_its_pods_and_a_service_owns_none() -> None:
    assert pods_of(DEPLOYMENT, WORLD) == (POD,)
    assert pods_of(SERVICE, WORLD) == ()


def test_jobs_lead_to_their_cronjob() -> None:
    cron = an(an_object("CronJob", "report"))
    job = owned("Job", "report-29384750", ("CronJob", "report"))
    pod = an(a_pod("report-29384750-x2x9p", owner=("Job", "report-29384750")))
    assert owners_of(pod, (pod, job, cron)) == (job, cron)


def test_without_owner_references_names_and_selectors_tell() -> None:
    pod = an(a_pod("cart-7f9c6d5b8c-k2x9p", app=""))
    bare = an(an_object("ReplicaSet", "cart-7f9c6d5b8c"))
    deployment = an(an_object("Deployment", "cart"))
    longer = an(an_object("Deployment", "cart-7f9c6d5b8c-k2"))
    assert owners_of(pod, (bare, deployment, longer)) == (bare, deployment)
    assert owner_of(pod, (deployment,)) == deployment
    assert owner_of(an(a_pod("db-0", app="")), (an(an_object("StatefulSet", "db")),)) is not None
    selecting = an(an_object("DaemonSet", "cart", spec={"selector": {"matchLabels": {"app": "cart"}}}))
    assert owner_of(an(a_pod("cart-k2x9p")), (selecting, an(an_object("Job", "cart")))) == selecting


def test_an_owner_that_is_not_there_is_not_guessed() -> None:
    assert owner_of(an(a_pod("cart-0", owner=("Database", "x"))), (an(an_object("StatefulSet", "cart")),)) is None


def test_circles_of_owners_end() -> None:
    one, two = owned("ReplicaSet", "a", ("ReplicaSet", "b")), owned("ReplicaSet", "b", ("ReplicaSet", "a"))
    assert owners_of(one, (one, two)) == (two,)
    assert owner_of(owned("ReplicaSet", "a", ("ReplicaSet", "a")), ()) is None


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({"matchLabels": {"app": "cart"}}, True),
        ({"matchLabels": {"app": "cart", "tier": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["cart", "x"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["cart"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Like", "values": ["c"]}]}, False),
        ({}, False),
        (None, False),
        ("app=cart", False),
    ],
)
def test_label_selectors(selector: object, selected: bool) -> None:
    assert selector_matches(selector, {"app": "cart"}) is selected


def test_services_and_endpoints_of_a_pod() -> None:
    endpoints = an(an_object("Endpoints", "cart", subsets=[]))
    without = an(an_object("Service", "external", spec={}))
    elsewhere = an(an_object("Service", "cart", namespace="other", spec={"selector": {"app": "cart"}}))
    assert services_selecting(POD, (SERVICE, without, elsewhere)) == (SERVICE,)
    assert is_troubled(endpoints)


def test_what_a_pod_needs() -> None:
    found = {(item.kind, item.name, item.key, item.optional, item.where) for item in references_of(POD)}
    assert found == {
        ("ConfigMap", "cart", "host", False, "env DB_HOST"),
        ("Secret", "db", "password", True, "env DB_PASSWORD"),
        ("Secret", "registry", "", False, "imagePullSecrets"),
        ("ServiceAccount", "cart", "", False, "serviceAccountName"),
        ("PersistentVolumeClaim", "cart-data", "", False, "volume data"),
    }
    assert pods_mounting(CLAIM, WORLD) == (POD,)


def test_the_template_of_a_cronjob_has_references_too() -> None:
    spec: dict[str, Any] = {
        "containers": [{"name": "c", "envFrom": [{"secretRef": {"name": "s"}}], "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True}]}]
    }
    spec["volumes"] = [{"name": "v", "projected": {"sources": [{"configMap": {"name": "m"}}]}}]
    cron = an(an_object("CronJob", "x", spec={"jobTemplate": {"spec": {"template": {"spec": spec}}}}))
    assert [(item.kind, item.name, item.container) for item in references_of(cron)] == [("Secret", "s", "c"), ("ConfigMap", "m", "")]
    (found,) = mounts_of(cron)
    assert (found.kind, found.name, found.path, found.read_only) == ("ConfigMap", "m", "/v", True)


def test_container_states_tell_how_it_ended() -> None:
    last = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-23T06:40:00Z"}
    (state,) = container_states(an(a_pod(ready=False, restarts=3, state={"waiting": {"reason": "CrashLoopBackOff"}}, last=last)))
    assert (state.state, state.reason, state.exit_code, state.last_reason, state.restarts) == ("waiting", "CrashLoopBackOff", 137, "OOMKilled", 3)
    assert state.last_finished_at is not None


@pytest.mark.parametrize(
    ("manifest", "troubled"),
    [
        (a_pod(), False),
        (a_pod(ready=False), True),
        (a_pod(phase="Pending"), True),
        (a_pod(phase="Succeeded", ready=False), False),
        (a_pod(restarts=1, last={"reason": "OOMKilled"}), True),
        (an_object("Deployment", "a", spec={"replicas": 2}, status={"readyReplicas": 1}), True),
        (an_object("Deployment", "a", spec={"replicas": 2}, status={"readyReplicas": 2}), False),
        (an_object("Deployment", "a", spec={"replicas": 0}, status={}), True),
        (an_object("Deployment", "a", spec={"replicas": 2}), False),  # a text without status says nothing
        (an_object("ReplicaSet", "a", spec={"replicas": 0}, status={}), False),
        (an_object("DaemonSet", "a", status={"desiredNumberScheduled": 3, "numberReady": 2}), True),
        (an_object("Node", "a", status={"conditions": [{"type": "Ready", "status": "Unknown"}]}), True),
        (an_object("Node", "a", status={"conditions": [{"type": "DiskPressure", "status": "True"}]}), True),
        (an_object("Node", "a", status={"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]}), False),
        (an_object("Node", "a", spec={"unschedulable": True}), True),
        (an_object("PersistentVolumeClaim", "a", status={"phase": "Pending"}), True),
        (an_object("PersistentVolume", "a", status={"phase": "Available"}), False),
        (an_object("Job", "a", status={"failed": 1}), True),
        (an_object("Kustomization", "a", status={"conditions": [{"type": "Ready", "status": "False"}]}), True),
        (an_object("HelmRelease", "a", status={"conditions": [{"type": "Ready", "status": "True"}]}), False),
        (an_object("GitRepository", "a", spec={"suspend": True}), True),
        (an_object("Service", "a"), False),
        (an_object("Namespace", "a", metadata={"deletionTimestamp": "2026-11-23T06:40:00Z"}), True),
    ],
)
def test_what_is_in_trouble(manifest: dict[str, Any], troubled: bool) -> None:
    assert is_troubled(an(manifest)) is troubled


def test_events_about_an_object_the_latest_first() -> None:
    later = an(an_event(POD.name, "Failed", "x", at="2026-11-23T06:44:00Z"))
    assert events_about(POD, (EVENT, later, an(an_event("other", "X", "x")))) == (later, EVENT)


@pytest.mark.parametrize(
    ("subject", "kinds"),
    [
        (Subject(kind="Pod", name=POD.name, namespace="shop"), AROUND),
        (Subject(kind="Deployment", name="cart", namespace="shop"), AROUND),
        (Subject(kind="Service", name="cart", namespace="shop"), AROUND),
        (
            Subject(kind="PersistentVolumeClaim", name="cart-data", namespace="shop"),
            AROUND,
        ),
        (Subject(kind="Host", name="10.0.0.7"), AROUND),
        (Subject(kind="Pod", name="gone-0", namespace="shop"), set()),
    ],
)
def test_what_matters_for_a_subject(subject: Subject, kinds: set[str]) -> None:
    found = objects_of(subject, WORLD)
    assert {item.kind for item in found} == kinds
    assert OTHER not in found


def test_the_subject_comes_first_then_what_is_troubled_then_what_is_new() -> None:
    broken = an(a_pod("basket-1", app="basket", ready=False))
    newer = an(a_pod("basket-2", app="basket") | {"metadata": {"name": "basket-2", "namespace": "shop", "creationTimestamp": "2026-11-23T06:00:00Z"}})
    order = by_relevance((OTHER, broken, newer, POD), Subject(kind="Pod", name=POD.name, namespace="shop"))
    assert order == (POD, broken, newer, OTHER)


def test_a_world_answers_like_a_tuple() -> None:
    world = World(WORLD)
    assert tuple(world) == WORLD
    assert world[0] == POD
    assert world[1:3] == WORLD[1:3]
    assert World.of(world) is world
    assert pods_of(DEPLOYMENT, world) == pods_of(DEPLOYMENT, WORLD)
    assert find(world, "Node", "worker-1") == find(WORLD, "Node", "worker-1") == NODE


JUNK: tuple[Any, ...] = (
    None,
    True,
    7,
    -1.5,
    "",
    "True",
    "cart",
    [],
    {},
    [7, "x", None, {"name": "cart"}],
    {"name": 7},
    {"matchLabels": 3},
    [[[]]],
    {"a": {"b": []}},
)


def broken(value: Any, dice: random.Random) -> Any:
    """The same with some of its parts replaced by something of another shape."""
    if dice.random() < 0.06:
        return dice.choice(JUNK)
    if isinstance(value, dict):
        return {name: broken(part, dice) for name, part in value.items() if dice.random() > 0.05}
    if isinstance(value, list):
        return [broken(part, dice) for part in value]
    return value


@given(st.integers(min_value=0))
@settings(max_examples=150, deadline=None)
def test_no_shape_makes_a_look_up_raise(seed: int) -> None:
    dice = random.Random(seed)
    world = [replace(item, manifest=broken(item.manifest, dice)) for item in WORLD]
    world = [replace(item, manifest=item.manifest if isinstance(item.manifest, dict) else {}) for item in world]
    subject = Subject(kind=dice.choice(WORLD).kind, name=dice.choice(WORLD).name, namespace="shop")
    objects_of(subject, world)
    assert len(by_relevance(world, subject)) == len(world)
    containers_to_read(world, subject, previous=dice.random() < 0.5)
    for item in world:
        summary_of("pods", [item], 1)
        is_troubled(item)
        references_of(item)
        mounts_of(item)
        container_states(item)
        events_about(item, world)
        services_selecting(item, world)
        pods_of(item, world)
        pods_selected_by(item, world)
