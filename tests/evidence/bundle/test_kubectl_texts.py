"""What kubectl's texts become: manifests in the API's shape that say what the text says, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from agent_sre.evidence.bundle import describe, events, kubectl, tables
from agent_sre.evidence.bundle.kubectl import Command, Reading
from agent_sre.evidence.bundle.layout import table_of
from agent_sre.evidence.bundle.pods import probe_of, toleration_of
from agent_sre.evidence.bundle.times import Times
from evidence.bundle.worlds import CAPTURED_AT, SECRET, text

TIMES = Times(captured_at=CAPTURED_AT)


def described(name: str, kind: str, called: str = "") -> dict[str, Any]:
    """The manifest of one object out of a file of the support world, found as the bundle finds it."""
    for command, part in kubectl.split_session(text(name)):
        reading = kubectl.read(part, kubectl.parse_command(command) if command else Command(), TIMES)
        for manifest in reading.described:
            if manifest["kind"] == kind and called in ("", manifest["metadata"]["name"]):
                return manifest
    raise AssertionError(f"no {kind} {called} in {name}")


# Pods


def test_a_pod_is_told_as_the_api_would() -> None:
    pod = described("namespaces/shop/describe-pods.txt", "Pod", "cart-6d5f7c9b8-x2x9k")
    assert pod["metadata"] == {
        "name": "cart-6d5f7c9b8-x2x9k",
        "namespace": "shop",
        "labels": {"app": "cart", "pod-template-hash": "6d5f7c9b8"},
        "annotations": {"example.com/note": "two words: and a colon"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-6d5f7c9b8", "controller": True}],
    }
    assert pod["spec"]["nodeName"] == "worker-1"
    assert pod["spec"]["serviceAccountName"] == "cart"
    assert pod["spec"]["nodeSelector"] == {"disk": "ssd", "kubernetes.io/os": "linux"}
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["startTime"] == "2026-11-23T06:40:50Z"
    assert pod["status"]["qosClass"] == "Burstable"
    assert pod["status"]["conditions"][2] == {"type": "Ready", "status": "False"}


def test_a_containers_states_tell_why_it_waits_and_how_it_ended() -> None:
    status = described("namespaces/shop/describe-pods.txt", "Pod", "cart-6d5f7c9b8-x2x9k")["status"]
    server, sidecar = status["containerStatuses"]
    assert server["state"] == {"waiting": {"reason": "CrashLoopBackOff"}}
    assert server["lastState"] == {
        "terminated": {"reason": "OOMKilled", "exitCode": 137, "startedAt": "2026-11-23T06:44:00Z", "finishedAt": "2026-11-23T06:44:08Z"}
    }
    assert (server["ready"], server["restartCount"]) == (False, 4)
    assert sidecar["state"] == {"running": {"startedAt": "2026-11-23T06:40:55Z"}}
    assert "lastState" not in sidecar
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0


def test_a_container_keeps_its_ports_resources_probes_and_mounts() -> None:
    server, sidecar = described("namespaces/shop/describe-pods.txt", "Pod", "cart-6d5f7c9b8-x2x9k")["spec"]["containers"]
    assert server["image"] == "registry.example/cart:1.4.2"
    assert server["ports"] == [
        {"containerPort": 8080, "protocol": "TCP", "name": "http"},
        {"containerPort": 9102, "protocol": "TCP", "name": "metrics"},
    ]
    assert server["resources"] == {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}}
    assert server["livenessProbe"] == {
        "httpGet": {"scheme": "HTTP", "port": 8080, "path": "/healthz%3Fdeep=1"},
        "initialDelaySeconds": 15, "timeoutSeconds": 2, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
    }  # fmt: skip
    assert server["readinessProbe"]["exec"] == {"command": ["sh -c test -f /tmp/ready"]}
    assert server["readinessProbe"]["periodSeconds"] == 90
    assert server["startupProbe"]["tcpSocket"] == {"port": "http"}
    assert sidecar["readinessProbe"]["grpc"] == {"port": 15021}
    assert server["volumeMounts"] == [
        {"name": "data", "mountPath": "/data", "subPath": "carts"},
        {"name": "config", "mountPath": "/etc/cart", "readOnly": True},
    ]
    assert server["envFrom"] == [
        {"configMapRef": {"name": "cart-settings", "optional": False}},
        {"secretRef": {"name": "cart-secrets", "optional": True}},
    ]
    assert "env" not in sidecar


def test_environment_values_and_references_are_told_apart() -> None:
    server = described("namespaces/shop/describe-pods.txt", "Pod", "cart-6d5f7c9b8-x2x9k")["spec"]["containers"][0]
    assert {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in server["env"]} == {
        "DB_ADDR": "till.shop.svc:5432",
        "DB_PASSWORD": "<secret>",
        "DB_USER": {"secretKeyRef": {"name": "cart-db", "key": "user", "optional": False}},
        "FEATURES": {"configMapKeyRef": {"name": "cart-flags", "key": "features", "optional": True}},
        "POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}},
        "GOMAXPROCS": {"resourceFieldRef": {"resource": "limits.cpu"}},
        "GREETING": "hello (world)",
        "JSON": '{\n"a": 1\n}',
    }
    assert server["args"] == ["--listen=:8080", "--api-key=<secret>"]


def test_volumes_are_told_by_kind_without_the_pods_own_token() -> None:
    volumes = described("namespaces/shop/describe-pods.txt", "Pod", "cart-6d5f7c9b8-x2x9k")["spec"]["volumes"]
    assert volumes == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "cart-data", "readOnly": False}},
        {"name": "config", "configMap": {"name": "cart-config", "optional": False}},
        {"name": "tls", "secret": {"secretName": "cart-tls", "optional": True}},
        {"name": "scratch", "emptyDir": {"medium": "Memory"}},
    ]


def test_a_pod_that_has_no_node_says_nothing_about_containers_that_never_were() -> None:
    pod = described("namespaces/shop/describe-pods.txt", "Pod", "search-7d9c6b5f4d-abcde")
    assert "nodeName" not in pod["spec"]
    assert "containerStatuses" not in pod["status"]
    assert "startTime" not in pod["status"]
    assert pod["status"] == {"phase": "Pending", "qosClass": "Burstable", "conditions": [{"type": "PodScheduled", "status": "False"}]}
    assert pod["spec"]["nodeSelector"] == {}
    assert pod["spec"]["tolerations"] == []


def test_events_below_a_description_have_counts_and_times() -> None:
    reading = kubectl.read(text("namespaces/shop/describe-pods.txt"), Command(), TIMES)
    backoff = next(event for event in reading.described_events if event["reason"] == "BackOff")
    assert backoff["count"] == 18
    assert backoff["lastTimestamp"] == "2026-11-23T06:44:57Z"
    assert backoff["firstTimestamp"] == "2026-11-23T06:41:10Z"
    assert backoff["involvedObject"] == {"kind": "Pod", "name": "cart-6d5f7c9b8-x2x9k", "namespace": "shop"}
    assert backoff["source"] == {"component": "kubelet"}
    unhealthy = next(event for event in reading.described_events if event["reason"] == "Unhealthy")
    assert unhealthy["message"] == "Readiness probe failed: first line\nsecond line of the same message"
    assert len(reading.described_events) == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http-get https://health.example:443/ delay=0s", {"scheme": "HTTPS", "port": 443, "path": "/", "host": "health.example"}),
        ("http-get http://:admin/ready delay=0s", {"scheme": "HTTP", "port": "admin", "path": "/ready"}),
    ],
)  # fmt: skip
def test_http_probes_have_port_path_and_host(text: str, expected: dict[str, object]) -> None:
    assert probe_of(text)["httpGet"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dedicated=shop:NoSchedule", {"key": "dedicated", "operator": "Equal", "value": "shop", "effect": "NoSchedule"}),
        ("a:NoExecute op=Exists for 300s", {"key": "a", "effect": "NoExecute", "operator": "Exists", "tolerationSeconds": 300}),
        ("a op=Exists", {"key": "a", "operator": "Exists"}),
        ("op=Exists", {"operator": "Exists"}),
    ],
)
def test_tolerations(text: str, expected: dict[str, object]) -> None:
    assert toleration_of(text) == expected


# Workloads


def test_a_deployment_has_its_counts_strategy_and_template() -> None:
    deployment = described("namespaces/shop/workloads.txt", "Deployment")
    spec, status = deployment["spec"], deployment["status"]
    assert deployment["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "7"}
    assert deployment["metadata"]["creationTimestamp"] == "2026-11-20T12:00:00Z"
    assert (spec["replicas"], spec["minReadySeconds"]) == (2, 10)
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": "25%"}}
    assert spec["template"]["metadata"]["labels"] == {"app": "cart"}
    assert spec["template"]["spec"]["containers"][0]["env"] == [{"name": "DB_ADDR", "value": "till.shop.svc:5432"}]
    assert spec["template"]["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "cart-data", "readOnly": False}}]
    assert {name: value for name, value in status.items() if name != "conditions"} == {
        "replicas": 3, "updatedReplicas": 1, "availableReplicas": 1, "unavailableReplicas": 2,
    }  # fmt: skip
    assert status["conditions"][0] == {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}


def test_the_other_workloads_have_theirs() -> None:
    name = "namespaces/shop/workloads.txt"
    replicaset = described(name, "ReplicaSet")
    assert (replicaset["spec"]["replicas"], replicaset["status"]["replicas"]) == (1, 1)
    assert replicaset["metadata"]["ownerReferences"] == [{"kind": "Deployment", "name": "cart", "controller": True}]
    till = described(name, "StatefulSet")
    assert (till["spec"]["replicas"], till["status"]) == (3, {"replicas": 2})
    assert till["spec"]["volumeClaimTemplates"] == [
        {
            "metadata": {"name": "data"},
            "spec": {
                "storageClassName": "fast",
                "resources": {"requests": {"storage": "10Gi"}},
                "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
            },
        }
    ]
    assert described(name, "DaemonSet")["status"] == {
        "desiredNumberScheduled": 3, "currentNumberScheduled": 3, "updatedNumberScheduled": 2, "numberAvailable": 1, "numberMisscheduled": 0,
    }  # fmt: skip
    job = described(name, "Job")
    assert job["spec"]["backoffLimit"] == 6
    assert job["spec"]["activeDeadlineSeconds"] == 600
    assert {field: job["status"][field] for field in ("active", "succeeded", "failed")} == {"active": 0, "succeeded": 1, "failed": 2}
    assert job["status"]["completionTime"] == "2026-11-23T00:02:00Z"
    cronjob = described(name, "CronJob")
    assert cronjob["spec"]["schedule"] == "0 0 * * *"
    assert cronjob["spec"]["suspend"] is False
    assert cronjob["status"] == {"lastScheduleTime": "2026-11-23T00:00:00Z"}


def test_autoscaler_budget_and_quota() -> None:
    name = "namespaces/shop/workloads.txt"
    autoscaler = described(name, "HorizontalPodAutoscaler")
    assert autoscaler["spec"]["scaleTargetRef"] == {"kind": "Deployment", "name": "cart"}
    assert (autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]) == (1, 3)
    assert autoscaler["spec"]["metrics"][0]["resource"] == {"name": "cpu", "target": {"averageUtilization": 80}}
    assert autoscaler["status"]["currentMetrics"] == [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 95}}}]
    assert autoscaler["status"]["currentReplicas"] == 3
    assert autoscaler["status"]["conditions"][1]["reason"] == "TooManyReplicas"
    budget = described(name, "PodDisruptionBudget")
    assert budget["spec"]["minAvailable"] == 1
    assert budget["status"] == {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 2}
    quota = described(name, "ResourceQuota")
    assert quota["status"] == {"hard": {"limits.memory": "3Gi", "pods": "10"}, "used": {"limits.memory": "3Gi", "pods": "4"}}
    assert quota["spec"]["hard"] == quota["status"]["hard"]


# Network


def test_a_service_has_ports_targets_and_selector() -> None:
    service = described("namespaces/shop/network.txt", "Service")
    assert service["spec"] == {
        "type": "NodePort", "sessionAffinity": "None", "selector": {"app": "cart"}, "clusterIP": "10.43.0.7",
        "ports": [
            {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http", "nodePort": 30080},
            {"name": "metrics", "port": 9102, "protocol": "TCP", "targetPort": 9103, "nodePort": 30081},
        ],
    }  # fmt: skip


def test_endpoints_tell_ready_from_not_ready_and_none_from_unknown() -> None:
    assert described("namespaces/shop/network.txt", "Endpoints", "cart")["subsets"] == [
        {
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "metrics", "port": 9103, "protocol": "TCP"}],
            "notReadyAddresses": [{"ip": "10.42.1.17"}],
        }
    ]
    assert described("namespaces/shop/network.txt", "Endpoints", "empty")["subsets"] == []


def test_an_ingress_has_its_rules_and_a_policy_its_directions() -> None:
    ingress = described("namespaces/shop/network.txt", "Ingress")
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"] == [{"secretName": "shop-tls", "hosts": ["shop.example"]}]
    assert ingress["spec"]["rules"] == [
        {
            "host": "shop.example",
            "http": {
                "paths": [
                    {"path": "/", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
                    {"path": "/cart", "backend": {"service": {"name": "cart", "port": {"name": "http"}}}},
                ]
            },
        }
    ]
    policy = described("namespaces/shop/network.txt", "NetworkPolicy")
    assert policy["metadata"]["creationTimestamp"] == "2026-11-20T12:00:00Z"
    assert policy["spec"] == {
        "podSelector": {"matchLabels": {"app": "cart"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"ports": [{"port": 8080, "protocol": "TCP"}], "from": [{"podSelector": {"matchLabels": {"app": "web"}}}]},
            {"from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
        ],
        "egress": [],
    }


# Configuration, storage, nodes


def test_a_configmap_has_keys_without_values_and_makes_no_objects_of_its_text() -> None:
    reading = next(
        kubectl.read(part, kubectl.parse_command(command), TIMES)
        for command, part in kubectl.split_session(text("namespaces/shop/network.txt"))
        if "describe cm" in command
    )
    assert [manifest["kind"] for manifest in reading.described] == ["ConfigMap", "ServiceAccount"]
    config, account = reading.described
    assert config["data"] == {"cart.toml": None, "empty": None}
    assert config["binaryData"] == {"logo.png": None}
    assert account["imagePullSecrets"] == [{"name": "registry"}]
    assert account["missing"] == ["registry"]
    assert SECRET not in str(reading)


def test_a_described_secret_is_not_read() -> None:
    secret = "Name:         db\nNamespace:    shop\nLabels:       <none>\n\nType:  Opaque\n\nData\n====\npassword:  8 bytes\n"
    assert describe.describe(secret, TIMES) == []
    assert kubectl.read(secret, Command(verb="describe", kind="Secret"), TIMES).problem == ("withheld", "Secrets are not read.")


def test_storage() -> None:
    claim = described("storage.txt", "PersistentVolumeClaim")
    assert claim["spec"] == {"storageClassName": "fast", "volumeMode": "Filesystem"}  # what was asked for is not in the text
    assert claim["status"] == {"phase": "Pending"}
    volume = described("storage.txt", "PersistentVolume")
    assert volume["spec"]["claimRef"] == {"kind": "PersistentVolumeClaim", "namespace": "shop", "name": "till-data"}
    assert volume["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert volume["spec"]["hostPath"] == {"path": "/mnt/data"}
    assert volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"] == [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["worker-2"]}]}
    ]
    assert volume["status"] == {"phase": "Bound"}
    slow = described("storage.txt", "StorageClass")
    assert slow["provisioner"] == "example.com/slow"
    assert slow["parameters"] == {"type": "hdd", "zone": "a"}
    assert (slow["allowVolumeExpansion"], slow["volumeBindingMode"]) == (True, "WaitForFirstConsumer")
    assert slow["metadata"]["annotations"] == {}


def test_a_node_has_taints_conditions_and_what_is_left() -> None:
    node = described("nodes.txt", "Node")
    assert "namespace" not in node["metadata"]
    assert node["spec"]["taints"] == [
        {"key": "dedicated", "value": "shop", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"},
    ]
    assert node["spec"]["unschedulable"] is False
    assert node["status"]["allocatable"] == {"cpu": "3900m", "memory": "7Gi", "pods": "110"}
    assert node["status"]["conditions"][0] == {
        "type": "DiskPressure", "status": "True", "lastHeartbeatTime": "2026-11-23T06:44:10Z", "lastTransitionTime": "2026-11-23T06:40:10Z",
        "reason": "KubeletHasDiskPressure", "message": "kubelet has disk pressure",
    }  # fmt: skip
    assert node["status"]["allocated"] == {"cpu": {"requests": "100m", "limits": "500m"}, "memory": {"requests": "64Mi", "limits": "64Mi"}}
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.33.1"


@pytest.mark.parametrize("name", ["namespaces/shop/workloads.txt", "namespaces/shop/network.txt", "storage.txt", "nodes.txt"])
def test_the_kind_of_a_description_is_found_without_being_told(name: str) -> None:
    for command, part in kubectl.split_session(text(name)):
        if " describe " in command or not command:
            told = kubectl.read(part, Command(), TIMES)
            assert told.described
            assert told.problem is None
            assert SECRET not in str(told)


def test_an_object_that_is_being_deleted_is_known_to_be() -> None:
    pod = "Name:    old\nNamespace:  shop\nNode:  n/192.0.2.1\nStatus:  Terminating (lasts 2m)\nContainers:\n  a:\n    Image:  a:1\n"
    (found,) = describe.describe(pod, TIMES)
    assert found.manifest["metadata"]["deletionTimestamp"] == "2026-11-23T06:43:00Z"
    assert "phase" not in found.manifest["status"]


def test_a_kind_that_kubectl_does_not_know_keeps_who_it_is() -> None:
    custom = (
        "Name:         apps\nNamespace:    flux-system\nLabels:       <none>\nAnnotations:  <none>\n"
        "API Version:  kustomize.toolkit.fluxcd.io/v1\nKind:         Kustomization\nSpec:\n  Interval:  10m\n"
        "Events:\n  Type     Reason  Age  From                  Message\n  ----     ------  ---- ----                  -------\n"
        "  Warning  Failed  5m   kustomize-controller  build failed\n"
    )
    (found,) = describe.describe(custom, TIMES)
    assert (found.kind, found.manifest["metadata"]["namespace"]) == ("Kustomization", "flux-system")
    assert found.events[0]["message"] == "build failed"


# Tables


def test_a_table_of_pods_tells_what_its_columns_say() -> None:
    rows = tables.from_table(text("namespaces/shop/pods-wide.txt").split("\n"), TIMES, namespace="shop")
    pods = {row["metadata"]["name"]: row for row in rows}
    assert len(pods) == 4
    cart = pods["cart-6d5f7c9b8-x2x9k"]
    assert cart["status"] == {
        "containerStatuses": [{"ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],  # of one of its two, nobody knows which
        "podIP": "10.42.1.17",
    }
    assert cart["spec"] == {"nodeName": "worker-1"}
    assert cart["metadata"] == {"name": "cart-6d5f7c9b8-x2x9k", "namespace": "shop", "creationTimestamp": "2026-11-23T06:40:50Z"}
    assert pods["till-0"]["status"]["containerStatuses"] == [{"ready": True, "restartCount": 0}]
    assert pods["search-7d9c6b5f4d-abcde"]["status"] == {"phase": "Pending"}
    assert pods["nightly-28900000-qqqqq"]["status"]["phase"] == "Succeeded"


@pytest.mark.parametrize(
    ("status", "ready", "field", "state"),
    [
        ("Init:CrashLoopBackOff", "0/1", "initContainerStatuses", {"waiting": {"reason": "CrashLoopBackOff"}}),
        ("Init:0/2", "0/1", "containerStatuses", None),
        ("OOMKilled", "0/1", "containerStatuses", {"terminated": {"reason": "OOMKilled"}}),
        ("ErrImagePull", "0/3", "containerStatuses", {"waiting": {"reason": "ErrImagePull"}}),
    ],
)
def test_the_status_column_becomes_the_state_of_a_container(status: str, ready: str, field: str, state: object) -> None:
    lines = [f"{'NAME':8}{'READY':8}{'STATUS':25}RESTARTS   AGE", f"{'a':8}{ready:8}{status:25}0          5m"]
    (pod,) = tables.from_table(lines, TIMES)
    containers = pod["status"].get(field, [{}])
    assert containers[0].get("state") == state


def test_restarts_say_when_the_last_one_was() -> None:
    (pod,) = tables.from_table(["NAME   READY   STATUS    RESTARTS        AGE", "a      1/1     Running   3 (2m30s ago)   9d"], TIMES)
    assert pod["status"]["containerStatuses"] == [
        {"ready": True, "restartCount": 3, "lastState": {"terminated": {"finishedAt": "2026-11-23T06:42:30Z"}}}
    ]


def test_get_all_names_the_kind_in_the_row_and_endpoints_can_be_none() -> None:
    text_of_services = next(part for command, part in kubectl.split_session(text("namespaces/shop/network.txt")) if "get svc" in command)
    reading = kubectl.read(text_of_services, kubectl.parse_command("kubectl get svc,ep -n shop -o wide"), TIMES)
    services = [row for row in reading.listed if row["kind"] == "Service"]
    assert services[0]["spec"] == {
        "type": "NodePort", "clusterIP": "10.43.0.7", "selector": {"app": "cart"},
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 9102, "protocol": "TCP", "nodePort": 30081}],
    }  # fmt: skip
    cart, web = (row["subsets"] for row in reading.listed if row["kind"] == "Endpoints")
    assert cart == []
    assert [address["ip"] for address in web[0]["addresses"]] == ["10.42.2.30", "10.42.2.31", "10.42.2.32"]


def test_nodes_claims_and_quotas_from_tables() -> None:
    first, second = tables.from_table(text("nodes-wide.txt").split("\n"), TIMES)
    assert first["status"]["conditions"] == [{"type": "Ready", "status": "True"}]
    assert second["status"]["conditions"] == [{"type": "Ready", "status": "False"}]
    assert (first["spec"], second["spec"]) == ({"unschedulable": False}, {"unschedulable": True})
    assert second["metadata"]["creationTimestamp"] == "2026-11-02T06:45:00Z"
    pending, bound = tables.from_table(text("storage.txt").split("$ kubectl get pvc -A\n")[1].split("\n"), TIMES)
    assert pending["spec"] == {"storageClassName": "fast"}
    assert pending["status"] == {"phase": "Pending"}
    assert bound["metadata"]["namespace"] == "shop"
    assert bound["status"] == {"phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"]}
    lines = ["NAME   AGE   REQUEST                                 LIMIT", "team   2d    pods: 4/10, requests.memory: 3000Mi/3Gi   limits.cpu: 1/2"]
    (quota,) = tables.from_table(lines, TIMES)
    assert quota["status"]["used"] == {"pods": "4", "requests.memory": "3000Mi", "limits.cpu": "1"}


def test_rows_of_secrets_give_nothing() -> None:
    lines = ["NAME   TYPE     DATA   AGE", "db     Opaque   1      2d"]
    assert tables.from_table(lines, TIMES) == []
    assert kubectl.read("\n".join(lines), Command(), TIMES).problem == ("withheld", "Secrets are not read.")


def test_ages_are_left_out_where_nobody_knows_when_kubectl_ran() -> None:
    unknown = Times()
    (pod, *_) = tables.from_table(text("namespaces/shop/pods-wide.txt").split("\n"), unknown)
    assert "creationTimestamp" not in pod["metadata"]
    for event in events.from_table(text("namespaces/shop/events.txt").split("\n"), "shop", unknown):
        assert "lastTimestamp" not in event
    reading = kubectl.read(text("namespaces/shop/describe-pods.txt"), Command(), unknown)
    assert {event.get("count") for event in reading.described_events} == {None, 5, 18, 3}


def test_a_cell_wider_than_its_column_does_not_shift_the_others() -> None:
    table = table_of(["NAME   READY   STATUS", "a-very-long-name   1/1   Running"])
    assert table is not None
    assert table.rows == ({"NAME": "a-very-long-name", "READY": "1/1", "STATUS": "Running"},)


# Events


@pytest.mark.parametrize("head", ["with header", "without"])
def test_a_table_of_events_is_read_with_and_without_its_header(head: str) -> None:
    lines = text("namespaces/shop/events.txt").split("\n")
    found = events.from_table(lines if head == "with header" else lines[1:], "shop", TIMES)
    assert len(found) == 4
    assert found[0]["involvedObject"] == {"kind": "Pod", "name": "search-7d9c6b5f4d-abcde", "namespace": "shop"}
    assert found[0]["lastTimestamp"] == "2026-11-23T06:40:51Z"
    assert found[0]["type"] == "Warning"
    assert found[0]["message"].endswith("No preemption victims found for incoming pod.")
    assert found[2]["involvedObject"]["kind"] == "Deployment"
    assert "lastTimestamp" not in found[3]  # <unknown>
    assert kubectl.read("\n".join(lines[1:]), Command(), TIMES).listed_events


def test_wide_events_of_all_namespaces_have_source_count_and_first_sight() -> None:
    lines = [
        "NAMESPACE   LAST SEEN          TYPE      REASON    OBJECT       SUBOBJECT                 SOURCE              MESSAGE      "
        "FIRST SEEN   COUNT   NAME",
        "shop        12s (x5 over 3m)   Warning   BackOff   pod/cart-0   spec.containers{server}   kubelet, worker-1   Restarting   "
        "3m           5       cart-0.17",
    ]
    (event,) = events.from_table(lines, "", TIMES)
    assert event["metadata"] == {"namespace": "shop", "name": "cart-0.17"}
    assert event["involvedObject"]["fieldPath"] == "spec.containers{server}"
    assert event["source"] == {"component": "kubelet", "host": "worker-1"}
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (5, "2026-11-23T06:42:00Z", "2026-11-23T06:44:48Z")


def test_events_of_old_descriptions_have_their_own_columns() -> None:
    lines = [
        "  FirstSeen  LastSeen  Count  From               SubObjectPath  Type     Reason            Message",
        "  ---------  --------  -----  ----               -------------  ----     ------            -------",
        "  10m        3s        18     default-scheduler                 Warning  FailedScheduling  No nodes are available",
    ]
    (event,) = events.from_description(lines, "Pod", "a", "shop", TIMES)
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (18, "2026-11-23T06:35:00Z", "2026-11-23T06:44:57Z")
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "FailedScheduling", "No nodes are available")


def test_an_event_that_two_texts_tell_of_counts_once() -> None:
    listed = events.from_table(text("namespaces/shop/events.txt").split("\n"), "shop", TIMES)
    told = list(kubectl.read(text("namespaces/shop/describe-pods.txt"), Command(), TIMES).described_events)
    merged = events.merged(listed, told)
    backoff = [event for event in merged if event["reason"] == "BackOff"]
    assert len(backoff) == 1
    assert backoff[0]["count"] == 18  # the description's, which the list does not show
    assert len(merged) == len(listed) + 3


# Commands and answers that are none


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("kubectl describe pods cart-0 -n shop", Command(verb="describe", kind="Pod", name="cart-0", namespace="shop")),
        ("kubectl get deploy/cart --namespace=shop -o wide", Command(verb="get", kind="Deployment", name="cart", namespace="shop", output="wide")),
        ("kubectl get events -n kube-system --sort-by='.lastTimestamp'", Command(verb="get", kind="Event", namespace="kube-system")),
        ("kubectl get all,pvc -n shop", Command(verb="get", namespace="shop")),
        ("kubectl logs cart-0 -c server -p", Command(verb="logs", kind="Pod", name="cart-0", container="server", previous=True)),
        ("kubectl events -n shop", Command(verb="get", kind="Event", namespace="shop")),
        ("", Command()),
    ],
)  # fmt: skip
def test_commands(command: str, expected: Command) -> None:
    assert kubectl.parse_command(command) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("No resources found in shop namespace.\n", "empty"),
        ("Error from server (Forbidden): pods is forbidden: User cannot list resource", "refused"),
        ('Error from server (NotFound): services "cart" not found', "not_found"),
        ('error: the server doesn\'t have a resource type "foos"', "refused"),
        ("The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?", "refused"),
        ("Dear colleagues,\nplease find attached", "unrecognised"),
        ("{", "unreadable"),
        ("apiVersion: v1\nkind: [", "unreadable"),
        ("apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n", "empty"),
        ("Name:  x\nSomething:  else\n", "unrecognised"),
    ],
)
def test_a_text_without_objects_says_why(text: str, reason: str) -> None:
    reading = kubectl.read(text, Command(), TIMES)
    assert reading == Reading(problem=reading.problem)
    assert reading.problem is not None
    assert reading.problem[0] == reason


def test_a_session_is_split_at_its_prompts() -> None:
    session = "$ kubectl get nodes\nNAME   STATUS\n\nops@box:~$ kubectl get pods -n shop\nNAME  READY\n"
    assert kubectl.split_session(session) == [("kubectl get nodes", "NAME   STATUS"), ("kubectl get pods -n shop", "NAME  READY")]
    assert kubectl.split_session("NAME   STATUS\n$ kubectl get pods\n") == [("", "NAME   STATUS\n$ kubectl get pods\n")]
