"""What changed, from the objects of a cluster."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.alert.subject import Subject
from agent_sre.evidence.changes import MAX_CHANGES, changes_of, merged
from agent_sre.evidence.evidence import Change, KubernetesObject
from agent_sre.kit.values import from_json, to_json

NOW = datetime(2026, 11, 23, 6, 45, tzinfo=UTC)
START = NOW - timedelta(hours=6)
Manifest = dict[str, Any]


def ago(minutes: float) -> str:
    return (NOW - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def an_object(
    kind: str, name: str, *, minutes: float | None = None, namespace: str = "shop", metadata: Manifest | None = None, **rest: Any
) -> KubernetesObject:
    made = {} if minutes is None else {"creationTimestamp": ago(minutes)}
    manifest = {"kind": kind, "metadata": {"name": name, "namespace": namespace, **made, **(metadata or {})}, **rest}
    return KubernetesObject(kind=kind, namespace=namespace, name=name, manifest=manifest)


def replica_set(revision: int, template_hash: str, image: str, *, minutes: float | None, **container: Any) -> KubernetesObject:
    metadata = {
        "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        "ownerReferences": [{"kind": "Deployment", "name": "cart", "controller": True}],
        "labels": {"pod-template-hash": template_hash},
    }
    template = {"spec": {"containers": [{"name": "cart", "image": image, **container}]}}
    return an_object("ReplicaSet", f"cart-{template_hash}", minutes=minutes, metadata=metadata, spec={"template": template})


def event(reason: str, message: str, *, minutes: float, kind: str = "Deployment", name: str = "cart", namespace: str = "shop") -> KubernetesObject:
    about = {"kind": kind, "name": name, "namespace": namespace}
    return an_object(
        "Event", f"{name}.{reason}.{minutes}", namespace=namespace, involvedObject=about, reason=reason, message=message, lastTimestamp=ago(minutes)
    )


def found(*objects: KubernetesObject) -> tuple[Change, ...]:
    return changes_of(objects, window_start=START, now=NOW)


def texts(*objects: KubernetesObject) -> list[str]:
    return [change.text for change in found(*objects)]


# Rollouts


def test_a_rollout_is_one_change_with_the_difference_of_its_templates() -> None:
    deployment = an_object(
        "Deployment", "cart", minutes=90_000, metadata={"labels": {"helm.toolkit.fluxcd.io/name": "cart", "helm.toolkit.fluxcd.io/namespace": "flux"}}
    )
    (change,) = found(
        deployment,
        replica_set(6, "aaaa", "shop/cart:1.3", minutes=5_000),
        replica_set(8, "cccc", "shop/cart:1.5", minutes=20, resources={"limits": {"memory": "256Mi"}}),
        replica_set(7, "bbbb", "shop/cart:1.4", minutes=3_000, resources={"limits": {"memory": "512Mi"}}),
        event("ScalingReplicaSet", "Scaled up replica set cart-cccc to 1", minutes=20),
        event("ScalingReplicaSet", "Scaled down replica set cart-bbbb to 2 from 3", minutes=19),
    )
    assert (change.kind, change.subject.kind, change.subject.name, change.at) == ("rollout", "Deployment", "cart", NOW - timedelta(minutes=20))
    assert change.text == "Deployment shop/cart rolled out to revision 8: cart image, cart resources limits memory"
    assert change.who == "Flux HelmRelease flux/cart"
    assert change.diff == (
        "- cart image: shop/cart:1.4", "+ cart image: shop/cart:1.5",
        "- cart resources limits memory: 512Mi", "+ cart resources limits memory: 256Mi",
    )  # fmt: skip


def test_two_rollouts_in_the_window_are_two_changes() -> None:
    assert texts(
        replica_set(1, "aaaa", "i:1", minutes=9_000), replica_set(2, "bbbb", "i:2", minutes=200), replica_set(3, "cccc", "i:3", minutes=20)
    ) == ["Deployment shop/cart rolled out to revision 3: cart image", "Deployment shop/cart rolled out to revision 2: cart image"]


def test_a_rollback_takes_its_time_from_the_events() -> None:
    (change,) = found(
        replica_set(4, "bbbb", "i:2", minutes=700),
        replica_set(5, "aaaa", "i:1", minutes=9_000),
        event("ScalingReplicaSet", "Scaled up replica set cart-aaaa to 1", minutes=15),
    )
    assert change.text == "Deployment shop/cart was rolled back to revision 5: cart image"
    assert (change.at, change.diff) == (NOW - timedelta(minutes=15), ("- cart image: i:2", "+ cart image: i:1"))


def test_a_restart_is_called_one() -> None:
    before, after = replica_set(1, "aaaa", "i:1", minutes=900), replica_set(2, "bbbb", "i:1", minutes=5)
    after.manifest["spec"]["template"]["metadata"] = {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-23T06:40:00Z"}}
    assert texts(before, after) == ["Deployment shop/cart was restarted (kubectl rollout restart)"]


def test_a_new_deployment_is_created_and_one_whose_past_is_not_kept_rolled_out() -> None:
    deployment = an_object("Deployment", "cart", minutes=10)
    (change,) = found(deployment, replica_set(1, "aaaa", "i:1", minutes=10))
    assert (change.text, change.diff) == ("Deployment shop/cart was created", ("+ cart image: i:1",))
    assert texts(replica_set(9, "aaaa", "i:1", minutes=10)) == ["Deployment shop/cart rolled out to revision 9; the one before is not kept"]
    assert texts(replica_set(1, "aaaa", "i:1", minutes=10)) == []  # nothing says that the Deployment is as young
    assert texts(replica_set(1, "aaaa", "i:1", minutes=900), replica_set(2, "bbbb", "i:2", minutes=800)) == []  # before the window


def test_of_a_recorded_world_the_order_may_be_all_that_is_known() -> None:
    (change,) = found(replica_set(1, "aaaa", "i:1", minutes=None), replica_set(2, "bbbb", "i:2", minutes=None))
    assert (change.at, change.diff) == (None, ("- cart image: i:1", "+ cart image: i:2"))


def test_pods_of_two_templates_show_a_rollout_where_nobody_lists_revisions() -> None:
    def pod(name: str, revision: str, image: str, minutes: float) -> KubernetesObject:
        metadata = {"labels": {"controller-revision-hash": revision}, "ownerReferences": [{"kind": "StatefulSet", "name": "db"}]}
        spec = {"nodeName": name, "containers": [{"name": "db", "image": image}]}
        return an_object("Pod", name, minutes=minutes, metadata=metadata, spec=spec)

    (change,) = found(pod("db-0", "db-1", "pg:15", 9_000), pod("db-1", "db-2", "pg:16", 12), pod("db-2", "db-2", "pg:16", 14))
    assert (change.text, change.at) == ("StatefulSet shop/db rolled out: db image", NOW - timedelta(minutes=14))
    assert found(pod("db-0", "db-1", "pg:15", 3), pod("db-1", "db-1", "pg:15", 12)) == ()


def test_controller_revisions_are_revisions() -> None:
    def revision(number: int, image: str, minutes: float) -> KubernetesObject:
        metadata = {"ownerReferences": [{"kind": "DaemonSet", "name": "agent"}]}
        data = {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": image}]}}}}
        return an_object("ControllerRevision", f"agent-{number}", minutes=minutes, metadata=metadata, revision=number, data=data)

    assert texts(revision(1, "a:1", 900), revision(2, "a:2", 30)) == ["DaemonSet shop/agent rolled out to revision 2: a image"]


# Scale


def test_scaling_by_hand_and_by_an_autoscaler() -> None:
    scaler = an_object("HorizontalPodAutoscaler", "cart-hpa", spec={"scaleTargetRef": {"kind": "Deployment", "name": "cart"}})
    by_scaler, by_hand = found(
        scaler,
        event(
            "SuccessfulRescale",
            "New size: 9; reason: cpu resource utilization above target",
            minutes=5,
            kind="HorizontalPodAutoscaler",
            name="cart-hpa",
        ),
        event("ScalingReplicaSet", "Scaled up replica set cart-aaaa to 9 from 3", minutes=5),
        event("ScalingReplicaSet", "Scaled down replica set web-aaaa from 3 to 0", minutes=50, name="web"),
    )
    assert by_scaler.text == "Deployment shop/cart was scaled to 9 replicas: cpu resource utilization above target"
    assert by_scaler.who == "HorizontalPodAutoscaler cart-hpa"
    assert (by_hand.kind, by_hand.text) == ("scale", "Deployment shop/web was scaled from 3 to 0 replicas")


def test_replica_sets_scaled_against_each_other_are_a_rollout_even_if_nobody_lists_them() -> None:
    (change,) = found(
        event("ScalingReplicaSet", "Scaled up replica set cart-bbbb to 1", minutes=9),
        event("ScalingReplicaSet", "Scaled down replica set cart-aaaa to 1", minutes=8),
        event("ScalingReplicaSet", "Scaled up replica set cart-bbbb to 2", minutes=7),
    )
    assert (change.kind, change.text) == ("rollout", "Deployment shop/cart rolled out: cart-bbbb replaces cart-aaaa")
    assert change.at == NOW - timedelta(minutes=9)


# Configuration


def test_a_written_config_map_names_its_users_and_its_writer() -> None:
    config = an_object(
        "ConfigMap", "cart-config", minutes=9_000, metadata={"managedFields": [{"manager": "kubectl-edit", "time": ago(4)}]}, data={"a": None}
    )
    deployment = an_object(
        "Deployment", "cart", minutes=9_000,
        spec={"template": {"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": "cart-config"}}]}]}}},
    )  # fmt: skip
    (change,) = found(config, deployment, an_object("ConfigMap", "kube-root-ca.crt", minutes=3), an_object("ConfigMap", "unused", minutes=3))
    assert change.text == "ConfigMap shop/cart-config was written, used by Deployment shop/cart"
    assert (change.kind, change.who, change.at) == ("config", "kubectl-edit", NOW - timedelta(minutes=4))


def test_a_new_secret_is_used_by_pods_whose_owner_is_known() -> None:
    pod = an_object(
        "Pod", "cart-7f9c6d5b8c-k2x9p",
        metadata={"ownerReferences": [{"kind": "ReplicaSet", "name": "cart-7f9c6d5b8c"}]},
        spec={"volumes": [{"secret": {"secretName": "tls"}}]},
    )  # fmt: skip
    assert texts(an_object("Secret", "tls", minutes=5), pod) == ["Secret shop/tls was created, used by Deployment shop/cart"]


# Nodes


def test_a_node_that_fails_is_one_change_however_many_tell_it() -> None:
    node = an_object(
        "Node", "worker-3", minutes=9_000, namespace="",
        spec={"taints": [{"key": "node.kubernetes.io/unschedulable", "timeAdded": ago(30)}]},
        status={
            "conditions": [
                {"type": "Ready", "status": "Unknown", "lastTransitionTime": ago(10), "message": "Kubelet stopped posting node status."},
                {"type": "MemoryPressure", "status": "False", "lastTransitionTime": ago(10)},
                {"type": "DiskPressure", "status": "True", "lastTransitionTime": ago(12), "reason": "KubeletHasDiskPressure"},
            ]
        },
    )  # fmt: skip
    events = [
        event("NodeNotReady", "Node worker-3 status is now: NodeNotReady", minutes=10, kind="Node", name="worker-3"),
        event("NodeNotSchedulable", "…", minutes=30, kind="Node", name="worker-3"),
        event("RegisteredNode", "…", minutes=5, kind="Node", name="worker-3"),
    ]
    assert texts(node, *events, an_object("Node", "worker-9", minutes=60, namespace="")) == [
        "Node worker-3 became not ready: Kubelet stopped posting node status.",
        "Node worker-3 reports DiskPressure: KubeletHasDiskPressure",
        "Node worker-3 was cordoned",
        "Node worker-9 joined",
    ]


# GitOps, jobs, certificates


def test_flux_says_which_chart_followed_on_which() -> None:
    release = an_object(
        "HelmRelease", "cart",
        status={
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ago(8)}],
            "history": [
                {"chartName": "cart", "chartVersion": "2.1.0", "appVersion": "1.5", "status": "deployed", "lastDeployed": ago(9)},
                {"chartName": "cart", "chartVersion": "2.0.0", "appVersion": "1.4", "status": "superseded", "lastDeployed": ago(9_000)},
            ],
        },
    )  # fmt: skip
    (change,) = found(release, event("UpgradeSucceeded", "Helm upgrade succeeded", minutes=9, kind="HelmRelease"))
    assert change.text == "HelmRelease shop/cart deployed cart 2.1.0"
    assert change.diff == ("- chart: 2.0.0", "+ chart: 2.1.0", "- app version: 1.4", "+ app version: 1.5")


def test_a_kustomization_that_fails_names_the_revision_that_it_wanted() -> None:
    failing = an_object(
        "Kustomization", "apps", namespace="flux-system",
        status={
            "lastAppliedRevision": "main@sha1:aaa", "lastAttemptedRevision": "main@sha1:bbb",
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": ago(7), "message": "dry-run failed"}],
        },
    )  # fmt: skip
    (change,) = found(failing)
    assert change.text == "Kustomization flux-system/apps is not ready: dry-run failed"
    assert change.diff == ("- revision: main@sha1:aaa", "+ revision: main@sha1:bbb")


def test_flux_events_that_applied_something_are_changes_and_idle_ones_are_not() -> None:
    applied = event("Progressing", "Deployment/shop/cart configured", minutes=6, kind="Kustomization", name="apps")
    idle = event("ReconciliationSucceeded", "Reconciliation finished in 1s", minutes=4, kind="Kustomization", name="infra")
    assert texts(applied, idle) == ["Kustomization shop/apps applied changes: Deployment/shop/cart configured"]


def test_helm_and_argo_leave_their_history() -> None:
    secret = an_object(
        "Secret", "sh.helm.release.v1.cart.v7", minutes=11, type="helm.sh/release.v1",
        metadata={"labels": {"owner": "helm", "name": "cart", "version": "7", "status": "failed"}},
    )  # fmt: skip
    application = an_object(
        "Application", "web",
        status={
            "history": [
                {"revision": "abc", "deployedAt": ago(900)},
                {"revision": "def", "deployedAt": ago(30), "initiatedBy": {"username": "ada"}},
            ]
        },
    )  # fmt: skip
    first, second = found(secret, application)
    assert (first.text, first.who) == ("HelmRelease shop/cart has a new revision 7, failed", "Helm")
    assert (second.text, second.who, second.diff) == ("Application shop/web was synchronised", "ada", ("- revision: abc", "+ revision: def"))


def test_jobs_of_a_cron_job_are_one_change() -> None:
    jobs = [
        an_object(
            "Job", f"backup-{number}", metadata={"ownerReferences": [{"kind": "CronJob", "name": "backup"}]},
            status={"startTime": ago(number * 10), "conditions": [{"type": "Failed", "status": "True"}] if number == 2 else []},
        )
        for number in (1, 2, 3)
    ]  # fmt: skip
    assert texts(*jobs) == ["CronJob shop/backup started backup-1, 3 times in the window; 1 failed"]


def test_a_renewed_certificate() -> None:
    certificate = an_object("Certificate", "tls", status={"notBefore": ago(30), "notAfter": "2027-02-21T06:00:00Z"})
    assert texts(certificate) == ["Certificate shop/tls was issued anew, valid until 2027-02-21 06:00Z"]


# Any world


def test_the_newest_are_kept_and_each_is_said_once() -> None:
    configs = [an_object("ConfigMap", f"c{number}", minutes=number) for number in range(1, 90)]
    changes = found(*configs, *configs)
    assert len(changes) == MAX_CHANGES
    assert changes[0].text == "ConfigMap shop/c1 was created"


SEEDS = (
    an_object(
        "Deployment", "cart", minutes=9, metadata={"annotations": {"kubernetes.io/change-cause": "x"}, "labels": {"argocd.argoproj.io/instance": "a"}}
    ),
    replica_set(
        1, "aaaa", "i:1", minutes=30, env=[{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    ),
    replica_set(2, "bbbb", "i:2", minutes=10, args=["--token", "x"], ports=[{"containerPort": 1}]),
    replica_set(3, "cccc", "i:1", minutes=20),
    event("ScalingReplicaSet", "Scaled up replica set cart-cccc to 1 from 0", minutes=3),
    event("ScalingReplicaSet", "Scaled down replica set web-cccc from 3 to 1", minutes=3, name="web"),
    event("SuccessfulRescale", "New size: 3; reason: x", minutes=2, kind="HorizontalPodAutoscaler"),
    event("NodeNotReady", "x", minutes=2, kind="Node", name="worker-3"),
    event("UpgradeFailed", "x", minutes=2, kind="HelmRelease"),
    an_object("HorizontalPodAutoscaler", "cart", spec={"scaleTargetRef": {"kind": "Deployment", "name": "cart"}}),
    an_object("ControllerRevision", "db-1", minutes=9, revision=4, data={"spec": {"template": {"spec": {"containers": [{"name": "db"}]}}}}),
    an_object(
        "Pod", "db-0", minutes=9, metadata={"labels": {"controller-revision-hash": "1"}, "ownerReferences": [{"kind": "StatefulSet", "name": "db"}]}
    ),
    an_object("Pod", "db-1", minutes=8, metadata={"labels": {"controller-revision-hash": "2"}}, spec={"volumes": [{"configMap": {"name": "c"}}]}),
    an_object("ConfigMap", "c", minutes=5, metadata={"managedFields": [{"manager": "m", "time": ago(4)}]}),
    an_object("Secret", "r", minutes=5, metadata={"labels": {"owner": "helm", "name": "cart", "version": "7", "status": "failed"}}),
    an_object("Node", "worker-3", minutes=5, spec={"taints": [{"key": "node.kubernetes.io/unschedulable", "timeAdded": ago(3)}]}),
    an_object("Node", "w", minutes=5, status={"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": ago(3), "message": "m"}]}),
    an_object("HelmRelease", "cart", status={"history": [{"chartVersion": "2", "lastDeployed": ago(3)}, {"chartVersion": "1"}]}),
    an_object("Kustomization", "k", status={"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": ago(3), "message": "m"}]}),
    an_object("Application", "a", status={"history": [{"revision": "1"}, {"revision": "2", "deployedAt": ago(3), "initiatedBy": {"username": "u"}}]}),
    an_object("Job", "j-1", minutes=4, metadata={"ownerReferences": [{"kind": "CronJob", "name": "j"}]}, status={"startTime": ago(4)}),
    an_object("Certificate", "t", status={"notBefore": ago(3), "notAfter": ago(-900), "conditions": [{"type": "Ready", "status": "True"}]}),
)
JUNK: list[Any] = [
    None, True, False, 0, -1, 7, 2**70, 1.5, float("nan"), float("inf"), "", "x" * 400, "\x1b[31m\n\u202e", "True", "cart",
    [], {}, [[]], [None, {}], {"a": {}},
    {"name": {"name": 1}}, ago(5), "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00Z", "password=hunter2",
]  # fmt: skip


def damaged(value: Any, rng: random.Random, share: float) -> Any:
    """The value, with a share of what is in it replaced by junk or left out."""
    if rng.random() < share:
        return rng.choice(JUNK)
    if isinstance(value, dict):
        return {name: damaged(inner, rng, share) for name, inner in value.items() if rng.random() >= share / 3}
    return [damaged(inner, rng, share) for inner in value] if isinstance(value, list) else value


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32), share=st.sampled_from([0.0, 0.02, 0.1, 0.3]))
def test_any_manifests_give_changes_that_can_be_kept(seed: int, share: float) -> None:
    rng = random.Random(seed)
    chosen = rng.choices(SEEDS, k=rng.randint(1, 25))
    world = [replace(item, name=rng.choice([item.name, "", "\n"]), manifest=damaged(item.manifest, rng, share)) for item in chosen]
    changes = found(*world)
    assert changes == found(*world)
    assert len(changes) <= MAX_CHANGES
    for change in changes:
        assert change.at is None or START <= change.at <= NOW + timedelta(minutes=2)
        assert "\n" not in change.text
        assert "\x1b" not in change.text
        assert "hunter2" not in f"{change.text} {change.diff} {change.who}"
        assert all(line[:2] in ("- ", "+ ") for line in change.diff)
        assert from_json(Change, to_json(Change, change)) == change


def test_the_worlds_that_are_damaged_above_are_full_of_changes() -> None:
    assert {change.kind for change in found(*SEEDS)} == {"rollout", "scale", "config", "node", "gitops", "job", "certificate"}


# Who wrote it, and when


def written(minutes: float, manager: str, **more: str) -> Manifest:
    return {"managedFields": [{"manager": manager, "operation": "Update", "time": ago(minutes), **more}]}


def test_a_configuration_that_was_written_says_by_which_program_and_when() -> None:
    (change,) = found(an_object("ConfigMap", "cart", minutes=90_000, metadata=written(30, "kubectl-edit"), data={"DB_HOST": None}))
    assert (change.text, change.who, change.at) == ("ConfigMap shop/cart was written", "kubectl-edit", NOW - timedelta(minutes=30))


def test_a_service_that_was_changed_and_a_policy_that_is_new_are_changes() -> None:
    assert texts(
        an_object("Service", "cart", minutes=90_000, metadata=written(30, "kubectl-patch")),
        an_object("NetworkPolicy", "deny", minutes=40, metadata=written(40, "kubectl-client-side-apply")),
    ) == ["Service shop/cart was changed", "NetworkPolicy shop/deny was created"]


def test_what_a_controller_writes_because_it_was_told_to_is_no_change() -> None:
    assert found(an_object("Deployment", "cart", minutes=90_000, metadata=written(30, "kube-controller-manager", subresource="scale"))) == ()
    assert found(an_object("Service", "cart", minutes=90_000, metadata=written(30, "kubectl", subresource="status"))) == ()


def test_a_rollout_is_said_once_with_the_program_that_wrote_its_deployment() -> None:
    (change,) = found(
        an_object("Deployment", "cart", minutes=90_000, metadata=written(20, "kubectl-set")),
        replica_set(7, "bbbb", "shop/cart:1.4", minutes=3_000),
        replica_set(8, "cccc", "shop/cart:1.5", minutes=20),
    )
    assert (change.kind, change.who) == ("rollout", "kubectl-set")


def test_a_revision_of_a_statefulset_is_a_rollout() -> None:
    def revision(number: int, image: str, minutes: float) -> KubernetesObject:
        owner = {"ownerReferences": [{"kind": "StatefulSet", "name": "db", "controller": True}]}
        data = {"spec": {"template": {"spec": {"containers": [{"name": "db", "image": image}]}}}}
        return an_object("ControllerRevision", f"db-{number}", minutes=minutes, metadata=owner, revision=number, data=data)

    (change,) = found(revision(1, "db:1", 9_000), revision(2, "db:2", 15))
    assert change.text == "StatefulSet shop/db rolled out to revision 2: db image"
    assert change.diff == ("- db image: db:1", "+ db image: db:2")


def test_a_change_that_two_sources_tell_is_one_and_the_first_ones_words_stay() -> None:
    def change(minutes: float, name: str, words: str) -> Change:
        return Change(
            at=NOW - timedelta(minutes=minutes), kind="rollout", subject=Subject(kind="Deployment", name=name, namespace="shop"), text=words
        )

    told = [change(30, "cart", "cart rolled out")]
    echoes = [change(24, "cart", "cart changed"), change(90, "cart", "cart changed before"), change(29, "db", "db changed")]
    assert [item.text for item in merged(told, echoes)] == ["db changed", "cart rolled out", "cart changed before"]
