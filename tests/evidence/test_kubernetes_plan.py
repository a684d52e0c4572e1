"""What is asked about which subject, and whether the shipped role allows it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence.kubernetes.plan import LOGS, Look, looks_of, subject_of_look
from agent_sre.evidence.kubernetes.resources import RESOURCES
from agent_sre.incident.incident import Incident, MemberAlert
from evidence.builders import an_alert, an_incident

RBAC = Path(__file__).parents[2] / "deploy" / "kubernetes" / "components" / "kubernetes-read" / "rbac.yaml"


def looks(labels: dict[str, str], name: str = "KubePodNotReady") -> tuple[Look, ...]:
    return looks_of(an_incident(an_alert(name, "", labels)))


def kinds(found: tuple[Look, ...]) -> list[str]:
    return [look.kind for look in found]


WIDE = {plural for plural in RESOURCES if plural != "endpointslices"} | {LOGS}


@pytest.mark.parametrize(
    "labels",
    [
        {"namespace": "shop", "pod": "cart-0"},
        {"namespace": "shop", "deployment": "cart"},
        {"namespace": "shop", "service": "cart"},
        {"namespace": "shop", "resourcequota": "quota"},
        {"namespace": "shop", "customresource_kind": "HelmRelease", "name": "cart"},
    ],
)
def test_everything_in_a_namespace_is_asked_for_whatever_in_it_is_broken(labels: dict[str, str]) -> None:
    found = looks(labels)
    assert set(kinds(found)) == WIDE
    assert kinds(found)[:2] == ["pods", "events"]
    anywhere = {"kustomizations", "helmreleases", "gitrepositories", "applications"}
    inside = [look for look in found if look.kind == LOGS or (RESOURCES[look.kind].namespaced and look.kind not in anywhere)]
    assert {look.namespace for look in inside} == {"shop"}


def test_a_node_alert_asks_for_the_node_its_pods_and_what_was_reported() -> None:
    found = looks({"node": "worker-2"}, "KubeNodeNotReady")
    assert kinds(found) == ["nodes", "pods", "events"]
    assert [look.fields for look in found] == ["", "spec.nodeName=worker-2", "involvedObject.kind=Node"]


def test_a_machine_that_is_known_by_its_address_only_is_not_asked_for_by_name() -> None:
    found = looks({"instance": "10.0.0.7:9100", "job": "node-exporter"}, "HostOutOfMemory")
    assert kinds(found) == ["nodes", "pods", "events"]
    assert "10.0.0.7" not in found[1].fields


def test_a_claim_asks_for_volumes_classes_and_who_mounts_it() -> None:
    found = looks({"namespace": "shop", "persistentvolumeclaim": "data-0"}, "KubePersistentVolumeFillingUp")
    assert {"persistentvolumeclaims", "persistentvolumes", "storageclasses", "pods", "events"} <= set(kinds(found))
    assert "configmaps" not in kinds(found)


def test_the_control_plane_is_asked_little() -> None:
    found = looks({"job": "apiserver"}, "KubeAPIDown")
    assert {(look.kind, look.namespace) for look in found} == {("nodes", ""), ("pods", "kube-system"), ("events", "kube-system"), ("pods", "")}


def test_a_component_is_asked_about_in_its_own_namespace() -> None:
    found = looks({"job": "prometheus-k8s", "namespace": "monitoring", "pod": "prometheus-k8s-0"}, "PrometheusNotConnectedToAlertmanagers")
    assert {look.namespace for look in found if look.kind == "pods"} == {"monitoring"}
    assert len(found) < 12


def test_logs_are_asked_for_as_kubectl_takes_them() -> None:
    commands = [look.command for look in looks({"namespace": "shop", "deployment": "cart"}) if look.kind == LOGS]
    assert commands == [
        "kubectl logs -n shop deployment/cart --all-containers --timestamps --previous",
        "kubectl logs -n shop deployment/cart --all-containers --timestamps",
    ]


def test_a_heartbeat_asks_nothing() -> None:
    assert looks({"namespace": "shop"}, "Watchdog") == ()


def test_without_a_namespace_objects_are_looked_for_by_name_everywhere() -> None:
    found = looks({"pod": "cart-7f9c6d5b8c-k2x9p"})
    assert ("pods", "", "metadata.name=cart-7f9c6d5b8c-k2x9p") in {(look.kind, look.namespace, look.fields) for look in found}
    assert ("deployments", "", "metadata.name=cart") in {(look.kind, look.namespace, look.fields) for look in found}


def test_a_namespace_that_only_another_member_names_is_used() -> None:
    nothing, pod = an_alert("Anything"), an_alert("KubePodNotReady", "", {"namespace": "shop", "pod": "cart-0"})
    assert set(kinds(looks_of(an_incident(nothing, pod)))) == WIDE


def test_other_namespaces_of_the_incident_are_looked_at_after_its_own_and_only_two_of_them() -> None:
    def member(namespace: str, name: str = "KubePodNotReady") -> MemberAlert:
        return an_alert(name, "", {"namespace": namespace, "pod": "x-0"})

    incident = an_incident(
        member("shop"), member("shop"), member("Not allowed"), member("pay", "Watchdog"), member("db"), member("mq"), member("log")
    )
    found = looks_of(incident)
    wide = len(looks({"namespace": "shop", "pod": "x-0"}))
    assert {look.namespace for look in found[:wide]} == {"shop", ""}
    assert [look.namespace for look in found[wide:] if look.kind == "pods"] == ["db", "mq"]
    assert {look.namespace for look in found[wide:]} == {"db", "mq"}
    assert subject_of_look(found[0], incident).namespace == "shop"
    assert subject_of_look(found[-1], incident).namespace == "mq"


def test_a_node_with_troubled_pods_leads_into_their_namespace() -> None:
    node, pod = an_alert("KubeNodeNotReady", "", {"node": "worker-1"}), an_alert("KubePodNotReady", "", {"namespace": "shop", "pod": "cart-0"})
    assert {look.namespace for look in looks_of(an_incident(node, pod)) if look.kind == "pods"} == {"", "shop"}


def test_kinds_of_add_ons_are_asked_for_with_their_group() -> None:
    commands = {look.kind: look.command for look in looks({"namespace": "shop", "pod": "cart-0"})}
    assert commands["certificates"] == "kubectl get certificates.cert-manager.io -n shop -o yaml"
    assert commands["applications"] == "kubectl get applications.argoproj.io -A -o yaml"
    assert commands["controllerrevisions"] == "kubectl get controllerrevisions -n shop -o yaml"


@pytest.mark.parametrize("name", ["../../secrets", "a/b", "Shop", "shop ", "-shop", "shop-", "s" * 64, "shop\n", "ſhop", "shop?x=1", ".."])
def test_a_namespace_that_cannot_exist_is_not_asked_for(name: str) -> None:
    assert all(look.namespace in ("", "shop") for look in looks({"namespace": name, "pod": "cart-0"}))


def test_nobody_asks_for_secrets() -> None:
    assert "secrets" not in RESOURCES
    assert not any("secret" in rule for found in (looks({"namespace": "shop", "pod": "cart-0"}),) for rule in kinds(found))


@given(
    st.fixed_dictionaries(
        {}, optional={name: st.text(max_size=30) for name in ("namespace", "pod", "deployment", "node", "persistentvolumeclaim", "service")}
    )
)
@settings(max_examples=100, deadline=None)
def test_any_label_gives_commands_of_safe_words(labels: dict[str, str]) -> None:
    for look in looks(labels):
        words = shlex.split(look.command)
        assert words[0] == "kubectl"
        assert words[1] in ("get", "logs")
        assert shlex.join(words) == look.command
        assert all(re.fullmatch(r"[A-Za-z0-9.,=!_/-]+", word) for word in words), look.command
        assert not look.namespace or re.fullmatch(r"[a-z0-9-]{1,63}", look.namespace)
        assert "\n" not in look.purpose


def test_every_question_of_a_plan_has_a_command_of_its_own() -> None:
    for incident in plans():
        commands = [(look.kind, look.command) for look in looks_of(incident)]
        assert len(set(commands)) == len(commands)


# The shipped role


def rules() -> list[dict[str, Any]]:
    found = [document for document in yaml.safe_load_all(RBAC.read_text()) if document["kind"] == "ClusterRole"]
    return list(found[0]["rules"])


def allowed() -> set[tuple[str, str, str]]:
    return {(group, resource, verb) for rule in rules() for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]}


def test_the_shipped_role_allows_exactly_what_a_plan_can_ask_for() -> None:
    lists = {(resource.group, plural, "list") for plural, resource in RESOURCES.items()}
    assert allowed() == lists | {("", "pods/log", "get")}


def test_the_shipped_role_can_write_nothing() -> None:
    assert {verb for _, _, verb in allowed()} == {"get", "list"}
    assert not {"*", "secrets"} & {part for rule in allowed() for part in rule}
    assert not any(rule.get("nonResourceURLs") or rule.get("resourceNames") for rule in rules())


def plans() -> list[Incident]:
    labels: tuple[dict[str, str], ...] = (
        {"namespace": "shop", "pod": "cart-0"},
        {"node": "n"},
        {"namespace": "shop", "persistentvolumeclaim": "d"},
        {"pod": "p"},
        {"job": "apiserver"},
        {},
    )
    return [an_incident(an_alert("KubeAPIDown" if "job" in item else "KubeX", "", dict(item))) for item in labels]


def test_every_kind_of_every_plan_is_known() -> None:
    for incident in plans():
        assert {look.kind for look in looks_of(incident)} <= {*RESOURCES, LOGS}
