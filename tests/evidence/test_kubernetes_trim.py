"""A manifest keeps what explains trouble, and nothing that is secret or large."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_sre.evidence.evidence import KubernetesObject
from agent_sre.evidence.kubernetes.objects import containers_of, object_of
from agent_sre.evidence.kubernetes.trim import MAX_BYTES, Trimmer, is_secret_name, trimmed
from agent_sre.kit.values import from_json, to_json
from fakes.kubernetes import a_pod, an_event, an_object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
    max_leaves=12,
)
NAMES = (
    "metadata", "spec", "status", "data", "stringData", "env", "args", "command", "volumes", "annotations", "labels", "kind", "name", "value",
    "subsets", "containers", "involvedObject",
)  # fmt: skip
MANIFESTS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=10), JSON, max_size=8)


@given(MANIFESTS)
@settings(max_examples=60, deadline=None)
def test_whatever_a_manifest_is_it_comes_out_as_small_plain_json(manifest: dict[str, Any]) -> None:
    found = trimmed(manifest)
    assert len(orjson.dumps(found)) <= MAX_BYTES
    item = KubernetesObject(kind="Pod", namespace="", name="x", manifest=found)
    assert from_json(KubernetesObject, to_json(KubernetesObject, item)) == item


@given(
    st.dictionaries(st.text(min_size=1, max_size=15), st.text(min_size=8, max_size=30), min_size=1, max_size=6),
    st.sampled_from(["Secret", "ConfigMap", "", "List"]),
)
def test_no_value_of_a_secret_or_a_configmap_is_kept(values: dict[str, str], kind: str) -> None:
    marked = {name: f"v4lue-{value}" for name, value in values.items()}
    found = trimmed(
        {"kind": kind, "metadata": {"name": "x"}, "data": marked, "stringData": marked, "binaryData": marked, "items": [{"data": marked}]}
    )
    assert b"v4lue-" not in orjson.dumps(found)
    assert set(found["data"].values()) == {None}


def test_the_keys_of_a_configmap_are_kept() -> None:
    assert trimmed(an_object("ConfigMap", "cart", data={"DB_HOST": "db", "app.yaml": "a: b"}))["data"] == {"DB_HOST": None, "app.yaml": None}


def test_a_huge_manifest_is_cut_and_keeps_who_it_is_and_how_it_is() -> None:
    pod = a_pod("cart-0", env=[{"name": f"V{number}", "value": "x" * 900} for number in range(90)], phase="Failed")
    found = trimmed(pod)
    assert len(orjson.dumps(found)) <= MAX_BYTES
    assert found["metadata"]["name"] == "cart-0"
    assert found["status"]["phase"] == "Failed"


def test_the_applied_configuration_is_dropped() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kubernetes.io/change-cause": "image 1.4.2"}
    found = trimmed(an_object("Deployment", "cart", metadata={"annotations": annotations}))
    assert found["metadata"]["annotations"] == {"kubernetes.io/change-cause": "image 1.4.2"}


def test_of_the_managed_fields_only_who_last_wrote_the_object_is_kept_and_not_who_writes_its_status() -> None:
    def entry(manager: str, minute: int, **more: object) -> dict[str, object]:
        return {"manager": manager, "operation": "Update", "time": f"2026-11-23T06:{minute}:00Z", "fieldsV1": {"f:data": {}}, **more}

    entries = [entry("kubectl-edit", 20), entry("helm", 10), entry("kube-controller-manager", 30, subresource="status"), {"manager": "x"}, 7]
    found = trimmed(an_object("Deployment", "cart", metadata={"managedFields": entries}))
    assert found["metadata"]["managedFields"] == [{"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-23T06:20:00Z"}]
    assert "managedFields" not in trimmed(an_object("Deployment", "cart", metadata={"managedFields": [{"manager": "x"}]}))["metadata"]


def test_the_template_of_a_revision_is_no_configuration_and_stays() -> None:
    env = [{"name": "DB_HOST", "value": "db"}, {"name": "DB_PASSWORD", "value": "hunter2"}]
    data = {"spec": {"template": {"spec": {"containers": [{"name": "cart", "image": "shop/cart:1.5", "env": env}]}}}}
    found = trimmed(an_object("ControllerRevision", "cart-2", data=data, revision=2))
    assert found["revision"] == 2
    assert found["data"]["spec"]["template"]["spec"]["containers"][0]["image"] == "shop/cart:1.5"
    assert b"hunter2" not in orjson.dumps(found)


def test_values_that_a_chart_of_argo_cd_gets_are_dropped_or_masked() -> None:
    helm = {"values": "pw: hunter2", "valuesObject": {"pw": "hunter2"}, "parameters": [{"name": "db.password", "value": "hunter2"}]}
    found = trimmed(an_object("Application", "cart", spec={"source": {"targetRevision": "main", "helm": helm}}))
    assert found["spec"]["source"]["targetRevision"] == "main"
    assert b"hunter2" not in orjson.dumps(found)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("DB_PASSWORD", True), ("MYSQL_PWD", True), ("API_KEY", True), ("apiKey", True), ("STRIPE_SECRET", True), ("TOKEN", True),
        ("--auth-token", True), ("AWS_SECRET_ACCESS_KEY", True), ("SENTRY_DSN", True), ("SESSION_SALT", True), ("DB_HOST", False),
        ("KEYCLOAK_HOST", False), ("TOKEN_URL", False), ("PASSWORD_FILE", False),
        ("CATALOGUE_ADDR", False), ("AUTHOR", False), ("PWD_CHECK_ENABLED", False), ("MONKEY", False),
    ],
)  # fmt: skip
def test_a_secret_is_known_by_its_name(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_environment_keeps_addresses_and_loses_passwords() -> None:
    env: list[dict[str, Any]] = [
        {"name": "DB_HOST", "value": "db:5432"},
        {"name": "DB_PASSWORD", "value": "hunter2"},
        {"name": "DB_URL", "value": "postgres://app:hunter2@db/app"},
        {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token", "optional": True}}},
    ]
    item = object_of(trimmed(a_pod(env=env)))
    assert item is not None
    (container,) = containers_of(item)
    masked, url = {"name": "DB_PASSWORD", "value": "<secret>"}, {"name": "DB_URL", "value": "postgres://app:<secret>@db/app"}
    assert container["env"] == [env[0], masked, url, env[3]]


def test_arguments_lose_secrets_in_either_spelling() -> None:
    args = ["--db-password", "hunter2", "--api-token=abc", "--port=80", "run", "migrate --db-password x --port 80"]
    pod = an_object("Pod", "x", spec={"containers": [{"args": args}]})
    masked = ["--db-password", "<secret>", "--api-token=<secret>", "--port=80", "run", "migrate --db-password <secret> --port 80"]
    assert trimmed(pod)["spec"]["containers"][0]["args"] == masked


def test_values_of_helm_releases_and_flux_substitutions_are_dropped() -> None:
    release = an_object("HelmRelease", "cart", spec={"chart": {"spec": {"version": "1.2.3"}}, "values": {"db": {"pw": "hunter2"}}})
    assert trimmed(release)["spec"] == {"chart": {"spec": {"version": "1.2.3"}}}
    kustomization = an_object("Kustomization", "apps", spec={"path": "./apps", "postBuild": {"substitute": {"X": "hunter2"}}})
    assert b"hunter2" not in orjson.dumps(trimmed(kustomization))


def test_a_field_that_is_called_password_is_masked_wherever_it_stands() -> None:
    found = trimmed(an_object("StorageClass", "fast", namespace="", parameters={"password": "hunter2", "secretName": "ceph"}))
    assert found["parameters"] == {"password": "<secret>", "secretName": "ceph"}


def test_the_volume_of_the_service_account_is_noise_and_others_are_not() -> None:
    pod = a_pod(volumes=[{"name": "kube-api-access-x2x9p", "projected": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}])
    assert trimmed(pod)["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}]


def test_an_event_of_the_newer_kind_reads_like_one_of_core() -> None:
    event = an_event("cart-0", "BackOff", "x") | {
        "firstTimestamp": None, "lastTimestamp": None, "count": None, "eventTime": "2026-11-23T06:31:00.000001Z",
        "series": {"count": 9, "lastObservedTime": "2026-11-23T06:39:00.000001Z"},
    }  # fmt: skip
    found = trimmed(event)
    assert (found["firstTimestamp"], found["lastTimestamp"], found["count"]) == ("2026-11-23T06:31:00.000001Z", "2026-11-23T06:39:00.000001Z", 9)


def test_texts_are_fit_to_show_and_numbers_fit_for_every_parser() -> None:
    found = trimmed(
        {"kind": "Pod", "metadata": {"name": "a\x1b[31m\u202eb"}, "status": {"nan": float("nan"), "big": 2**70, "words": "password=hunter2"}}
    )
    assert found["metadata"]["name"] == "a[31mb"
    assert found["status"] == {"nan": None, "big": None, "words": "password=<secret>"}


def test_trimming_many_gives_what_trimming_each_gives() -> None:
    pods = [a_pod(f"cart-{number}") for number in range(3)]
    trimmer = Trimmer()
    assert [trimmer.trim(pod) for pod in pods] == [trimmed(pod) for pod in pods]
