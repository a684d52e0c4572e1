"""The manifests agree with the contract, with each other, and with Kustomize."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.repository import (
    ALERTMANAGER,
    BASE,
    COMPONENTS,
    DEPLOY,
    FLUX,
    KNOWN_VARIABLES,
    ROOT,
    document,
    documents,
    manifest,
    manifests,
    need,
    run,
    settings,
)

SELECTOR = {"app": "sre-agent", "component": "agent"}

YAML_FILES = sorted([*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")])
KUSTOMIZATIONS = sorted(DEPLOY.rglob("kustomization.yaml"))


def deployment() -> dict[str, Any]:
    return manifest("Deployment", "sre-agent")


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = deployment()["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    return dict(only)


def environment() -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container()["env"]}


def mounts() -> dict[str, dict[str, Any]]:
    """What is mounted where: path to volume."""
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] for mount in container()["volumeMounts"]}


def built(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What Kustomize makes of a folder, by kind and name."""
    output = run(need("kubectl"), "kustomize", folder)
    assert output.returncode == 0, output.stderr
    return {(found["kind"], found["metadata"]["name"]): found for found in yaml.safe_load_all(output.stdout)}


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_yaml_file_holds_objects(path: Path) -> None:
    found = documents(path)
    assert found
    if path.parent != ALERTMANAGER:
        assert all(each["apiVersion"] and each["kind"] for each in found)


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: str(path.parent.relative_to(DEPLOY)))
def test_everything_that_a_kustomization_lists_exists(path: Path) -> None:
    listed = document(path)
    names = [*listed.get("resources", []), *listed.get("components", [])]
    names += [env for generator in listed.get("configMapGenerator", []) for env in generator.get("envs", [])]
    assert names
    missing = [name for name in names if not (path.parent / name).exists()]
    assert missing == []


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: str(path.parent.relative_to(DEPLOY)))
def test_no_manifest_is_forgotten_by_its_kustomization(path: Path) -> None:
    beside = {each.name for each in path.parent.glob("*.yaml")} - {"kustomization.yaml", "flux-kustomization.yaml"}
    listed = {name for name in document(path).get("resources", []) if "/" not in name}
    assert {name for name in beside if ".example." not in name} == listed


def test_the_commented_components_of_the_flux_overlay_exist() -> None:
    text = (FLUX / "kustomization.yaml").read_text(encoding="utf-8")
    names = re.findall(r"^#\s+- (\S+)$", text, flags=re.MULTILINE)
    assert {PurePosixPath(name).name for name in names} == {path.name for path in COMPONENTS.iterdir()}
    assert all((FLUX / name / "kustomization.yaml").is_file() for name in names)


# --- names of the contract -----------------------------------------------------------------------


def test_the_namespace_is_agent_sre() -> None:
    (namespace,) = manifests("Namespace")
    assert namespace["metadata"]["name"] == "agent-sre"
    assert document(BASE / "kustomization.yaml")["namespace"] == "agent-sre"
    for kind in ("Deployment", "Service", "PersistentVolumeClaim", "Secret"):
        found = list(manifests(kind))
        assert found
        assert {each["metadata"]["namespace"] for each in found} == {"agent-sre"}


def test_selectors_match_the_pods_and_only_them() -> None:
    template = deployment()["spec"]["template"]
    assert deployment()["metadata"]["labels"] == SELECTOR
    assert deployment()["spec"]["selector"]["matchLabels"] == SELECTOR
    assert template["metadata"]["labels"] == SELECTOR
    services = list(manifests("Service"))
    assert len(services) == 2
    assert all(service["spec"]["selector"] == SELECTOR for service in services)
    assert manifest("NetworkPolicy", "sre-agent", COMPONENTS / "network-policy")["spec"]["podSelector"] == {"matchLabels": SELECTOR}
    assert manifest("PodMonitor", "sre-agent", COMPONENTS / "pod-monitor")["spec"]["selector"] == {"matchLabels": SELECTOR}


def test_the_services_lead_from_8080_and_31081_to_the_pod() -> None:
    (container_port,) = container()["ports"]
    assert container_port["containerPort"] == 8080 == int(environment()["AGENT_PORT"])
    inside, outside = manifest("Service", "sre-agent-service"), manifest("Service", "sre-agent-nodeport")
    assert inside["spec"]["type"] == "ClusterIP"
    assert outside["spec"]["type"] == "NodePort"
    for service in (inside, outside):
        (port,) = service["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (8080, container_port["name"])
    assert outside["spec"]["ports"][0]["nodePort"] == 31081


def test_the_probes_ask_health_for_life_and_ready_for_traffic() -> None:
    spec = container()
    asked = {name: spec[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"}
    (port,) = spec["ports"]
    for name in asked:
        assert spec[name]["httpGet"]["port"] == port["name"]
        assert spec[name]["timeoutSeconds"] >= 2  # /health promises an answer within one second
    assert spec["startupProbe"]["periodSeconds"] * spec["startupProbe"]["failureThreshold"] >= 60


def test_resources_are_requested_and_limited() -> None:
    assert container()["resources"] == {
        "requests": {"cpu": "250m", "memory": "256Mi"},
        "limits": {"cpu": "1", "memory": "512Mi"},
    }


def test_the_pod_says_where_its_metrics_are() -> None:
    annotations = deployment()["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == environment()["AGENT_PORT"]
    assert annotations["prometheus.io/path"] == "/metrics"
    (endpoint,) = manifest("PodMonitor", "sre-agent", COMPONENTS / "pod-monitor")["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == (container()["ports"][0]["name"], "/metrics")


# --- one process, one database -------------------------------------------------------------------


def test_two_pods_never_run_side_by_side() -> None:
    assert deployment()["spec"]["replicas"] == 1
    assert deployment()["spec"]["strategy"] == {"type": "Recreate"}


def test_the_claim_is_mounted_where_the_database_url_points() -> None:
    url = environment()["AGENT_SRE_DATABASE_URL"]
    assert url.startswith("sqlite:////")
    folder = str(PurePosixPath(url.removeprefix("sqlite:///")).parent)
    claim = mounts()[folder]["persistentVolumeClaim"]["claimName"]
    assert manifest("PersistentVolumeClaim", claim)["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_flux_never_deletes_the_incidents() -> None:
    for kept in (*manifests("Namespace"), *manifests("PersistentVolumeClaim")):
        assert kept["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"] == "disabled"


# --- security ------------------------------------------------------------------------------------


def test_the_pod_fulfils_the_restricted_standard_that_its_namespace_enforces() -> None:
    (namespace,) = manifests("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    security = pod()["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 1000
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod().keys()
    kinds = {next(key for key in volume if key != "name") for volume in pod()["volumes"]}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}


def test_a_read_only_root_leaves_tmp_writable() -> None:
    assert mounts()["/tmp"]["emptyDir"] == {}


def test_the_pod_has_no_token_of_the_api_server() -> None:
    assert pod()["automountServiceAccountToken"] is False


def test_services_of_the_namespace_cannot_set_our_variables() -> None:
    assert pod()["enableServiceLinks"] is False


def test_the_webhook_token_is_a_file_from_an_optional_secret() -> None:
    path = PurePosixPath(environment()["AGENT_SRE_WEBHOOK_TOKEN_FILE"])
    secret = mounts()[str(path.parent)]["secret"]
    assert secret["optional"] is True
    assert secret["defaultMode"] == 0o440  # readable for the group, which fsGroup makes ours
    example = manifest("Secret", secret["secretName"])
    text = (BASE / "secret.example.yaml").read_text(encoding="utf-8")
    assert f"create secret generic {example['metadata']['name']}" in text
    assert f"--from-file={path.name}\n" in text


def test_no_secret_value_is_committed() -> None:
    secrets = [each for path in YAML_FILES for each in documents(path) if each.get("kind") == "Secret"]
    assert [each["metadata"]["name"] for each in secrets] == ["agent-sre-webhook-token"]
    assert not secrets[0].get("data")
    assert not secrets[0].get("stringData")
    assert "secret.example.yaml" not in document(BASE / "kustomization.yaml")["resources"]
    for path in YAML_FILES:
        found = re.findall(r"^\s*(?:credentials|password|token|bearer_token):\s*([^\s{#].*)$", path.read_text(), re.MULTILINE)
        assert found == [], path


def test_reading_kubernetes_can_change_nothing_and_see_no_secret() -> None:
    (role,) = manifests("ClusterRole", COMPONENTS / "kubernetes-read")
    assert role["rules"]
    for rule in role["rules"]:
        assert set(rule["verbs"]) <= {"get", "list", "watch"}
        assert not {"secrets", "*"} & {*rule["resources"], *rule["apiGroups"]}
    (account,) = manifests("ServiceAccount", COMPONENTS / "kubernetes-read")
    (binding,) = manifests("ClusterRoleBinding", COMPONENTS / "kubernetes-read")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (subject,) = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == (account["metadata"]["name"], account["metadata"]["namespace"])


# --- settings ------------------------------------------------------------------------------------


def test_the_pod_gets_only_variables_that_agent_sre_knows() -> None:
    assert {"OLLAMA_URL", "MODEL_NAME", "PROMETHEUS_URL", "ALERTMANAGER_URL"} <= settings().keys()
    given = settings().keys() | environment().keys()
    assert given - KNOWN_VARIABLES == set()
    (source,) = container()["envFrom"]
    (generator,) = document(BASE / "kustomization.yaml")["configMapGenerator"]
    assert source["configMapRef"]["name"] == generator["name"]
    assert not settings().keys() & environment().keys()  # a variable of the pod would silently win over the setting


def test_no_address_is_the_pod_itself() -> None:
    for name, value in settings().items():
        if name.endswith("_URL"):
            url = urlsplit(value)
            assert url.scheme in {"http", "https"}
            assert url.hostname not in {None, "localhost", "127.0.0.1", "::1", "0.0.0.0"}
            assert url.port


def test_prometheus_is_looked_for_where_the_helm_release_is() -> None:
    namespace = document(ALERTMANAGER / "helmrelease-patch.yaml")["metadata"]["namespace"]
    assert urlsplit(settings()["PROMETHEUS_URL"]).hostname == f"prometheus-operated.{namespace}.svc.cluster.local"
    assert urlsplit(settings()["ALERTMANAGER_URL"]).hostname == f"alertmanager-operated.{namespace}.svc.cluster.local"


def test_the_network_policy_lets_out_what_the_settings_name() -> None:
    spec = manifest("NetworkPolicy", "sre-agent", COMPONENTS / "network-policy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    (ingress,) = spec["ingress"]
    assert ingress["ports"] == [{"protocol": "TCP", "port": container()["ports"][0]["containerPort"]}]
    namespaces: dict[str, set[int]] = {}
    networks: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, set[int]]] = []
    anywhere: set[int] = set()
    for rule in spec["egress"]:
        ports = {each["port"] for each in rule["ports"]}
        if "to" not in rule:
            anywhere |= ports
        for peer in rule.get("to", []):
            if "ipBlock" in peer:
                networks.append((ipaddress.ip_network(peer["ipBlock"]["cidr"]), ports))
            else:
                namespaces[peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]] = ports
    assert namespaces["kube-system"] == {53}
    assert anywhere == {443, 6443}
    for name in ("PROMETHEUS_URL", "ALERTMANAGER_URL"):
        url = urlsplit(settings()[name])
        assert url.hostname
        assert url.port in namespaces[url.hostname.split(".")[1]]
    ollama = urlsplit(settings()["OLLAMA_URL"])
    assert any(ipaddress.ip_address(ollama.hostname or "") in network and ollama.port in ports for network, ports in networks)


# --- Flux and Kustomize --------------------------------------------------------------------------


def test_the_flux_kustomization_builds_the_folder_that_it_lies_in() -> None:
    spec = document(FLUX / "flux-kustomization.yaml")["spec"]
    assert (ROOT / spec["path"]).resolve() == FLUX
    assert spec["prune"] is True
    assert spec["wait"] is True
    assert (FLUX / "../../../../../kubernetes/base").resolve() == BASE


@pytest.mark.parametrize("folder", [BASE, FLUX], ids=["base", "flux"])
def test_kustomize_builds_the_whole_deployment(folder: Path) -> None:
    objects = built(folder)
    (config_map,) = (each for (kind, _), each in objects.items() if kind == "ConfigMap")
    assert {(kind, name) for kind, name in objects if kind != "ConfigMap"} == {
        ("Namespace", "agent-sre"),
        ("PersistentVolumeClaim", "sre-agent-data"),
        ("Deployment", "sre-agent"),
        ("Service", "sre-agent-service"),
        ("Service", "sre-agent-nodeport"),
    }
    assert config_map["data"] == settings()
    (spec,) = objects["Deployment", "sre-agent"]["spec"]["template"]["spec"]["containers"]
    assert spec["envFrom"] == [{"configMapRef": {"name": config_map["metadata"]["name"]}}]
    assert config_map["metadata"]["name"].startswith("sre-agent-settings-")  # with the hash: a change restarts the pod


def overlay(folder: Path, text: str) -> Path:
    """A user's overlay, written where Kustomize can reach the repository from."""
    to_kubernetes = os.path.relpath(DEPLOY / "kubernetes", folder.resolve())
    text = text.replace("../../base", f"{to_kubernetes}/base").replace("../../components", f"{to_kubernetes}/components")
    (folder / "kustomization.yaml").write_text(text, encoding="utf-8")
    return folder


def test_all_components_together_build(tmp_path: Path) -> None:
    names = sorted(path.name for path in COMPONENTS.iterdir())
    listed = {"resources": ["../../base"], "components": [f"../../components/{name}" for name in names]}
    objects = built(overlay(tmp_path, yaml.safe_dump(listed)))
    spec = objects["Deployment", "sre-agent"]["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "sre-agent"
    assert spec["automountServiceAccountToken"] is True
    assert {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "PodMonitor", "NetworkPolicy"} <= {kind for kind, _ in objects}


def test_the_overlay_in_the_how_to_builds(tmp_path: Path) -> None:
    text = (ROOT / "docs/how-to/deploy.md").read_text(encoding="utf-8")
    example, without_token = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    objects = built(overlay(tmp_path, example + without_token))
    (spec,) = objects["Deployment", "sre-agent"]["spec"]["template"]["spec"]["containers"]
    assert spec["image"] == "registry.example/agent-sre:2025-11-23"
    assert "AGENT_SRE_WEBHOOK_TOKEN_FILE" not in {variable["name"] for variable in spec["env"]}
    (config_map,) = (each for (kind, _), each in objects.items() if kind == "ConfigMap")
    assert config_map["data"] == settings() | {"OLLAMA_URL": "http://10.0.0.7:11434", "MODEL_NAME": "gemma3n:e4b"}
