"""What reasoning over a cluster reads must be there, whoever told us of it: no field that explains trouble may be trimmed away.

Manifests of the API server and recorded JSON or YAML go through one trimming; texts of `kubectl describe` say less, and what they say must arrive.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agent_sre.evidence.bundle.describe import describe
from agent_sre.evidence.bundle.manifests import objects_of
from agent_sre.evidence.bundle.times import Times
from agent_sre.evidence.kubernetes.source import as_endpoints
from agent_sre.evidence.kubernetes.trim import trimmed

Json = dict[str, Any]

PROBE = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold", "exec.command", "tcpSocket.port")
HTTP = ("httpGet.port", "httpGet.scheme", "httpGet.path", "httpGet.host", "grpc.port")
CONTAINER = (
    *(f"{probe}.{field}" for probe in ("livenessProbe", "readinessProbe", "startupProbe") for field in (*PROBE, *HTTP)),
    "name", "image", "imagePullPolicy", "command.0", "args.0", "workingDir", "ports.0.containerPort", "ports.0.name", "ports.0.protocol",
    "ports.0.hostPort", "env.0.name", "env.0.value", "env.0.valueFrom.secretKeyRef.name", "env.0.valueFrom.secretKeyRef.key",
    "env.0.valueFrom.secretKeyRef.optional", "env.0.valueFrom.configMapKeyRef.name", "env.0.valueFrom.configMapKeyRef.key",
    "env.0.valueFrom.fieldRef.fieldPath", "envFrom.0.configMapRef.name", "envFrom.0.secretRef.name", "envFrom.0.prefix", "volumeMounts.0.name",
    "volumeMounts.0.mountPath", "volumeMounts.0.subPath", "volumeMounts.0.readOnly", "resources.requests.cpu", "resources.requests.memory",
    "resources.limits.cpu", "resources.limits.memory", "securityContext.runAsUser", "securityContext.runAsNonRoot",
    "securityContext.readOnlyRootFilesystem", "securityContext.privileged", "securityContext.capabilities.drop.0", "lifecycle.preStop.exec.command",
)  # fmt: skip
POD_SPEC = (
    *(f"containers.0.{field}" for field in CONTAINER), *(f"initContainers.0.{field}" for field in ("name", "image", "command.0", "restartPolicy")),
    "volumes.0.name", "volumes.0.persistentVolumeClaim.claimName", "volumes.0.configMap.name", "volumes.0.configMap.items.0.key",
    "volumes.0.configMap.optional", "volumes.0.secret.secretName", "volumes.0.secret.items.0.key", "volumes.0.projected.sources.0.secret.name",
    "volumes.0.emptyDir.sizeLimit", "volumes.0.hostPath.path", "volumes.0.nfs.server", "volumes.0.csi.driver", "nodeSelector.disk",
    "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.0.matchExpressions.0.values.0",
    "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution.0.topologyKey",
    "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution.0.podAffinityTerm.labelSelector.matchLabels.app",
    "topologySpreadConstraints.0.maxSkew", "topologySpreadConstraints.0.whenUnsatisfiable", "tolerations.0.key", "tolerations.0.operator",
    "tolerations.0.effect", "imagePullSecrets.0.name", "serviceAccountName", "automountServiceAccountToken", "schedulerName", "priorityClassName",
    "runtimeClassName", "nodeName", "hostNetwork", "hostAliases.0.ip", "dnsPolicy", "dnsConfig.nameservers.0", "restartPolicy",
    "terminationGracePeriodSeconds", "activeDeadlineSeconds", "securityContext.runAsUser", "securityContext.fsGroup", "schedulingGates.0.name",
)  # fmt: skip
TEMPLATE = ("metadata.labels.app", "metadata.annotations.note", *(f"spec.{field}" for field in POD_SPEC))
STATE = ("waiting.reason", "waiting.message", "running.startedAt", "terminated.reason", "terminated.message", "terminated.exitCode")
STATES = tuple(
    f"status.{kind}.0.{field}"
    for kind in ("initContainerStatuses", "containerStatuses")
    for field in (
        "name", "ready", "started", "restartCount", "image", "imageID", *(f"state.{part}" for part in STATE),
        *(f"lastState.{part}" for part in STATE),
    )
)  # fmt: skip
CONDITION = tuple(f"status.conditions.0.{field}" for field in ("type", "status", "reason", "message", "lastTransitionTime"))
METADATA = (
    "metadata.labels.app", "metadata.annotations.note", "metadata.ownerReferences.0.kind", "metadata.ownerReferences.0.name",
    "metadata.ownerReferences.0.controller", "metadata.creationTimestamp", "metadata.deletionTimestamp", "metadata.finalizers.0",
    "metadata.generation", "metadata.uid", "metadata.managedFields.0.manager",
)  # fmt: skip
SELECTOR = ("spec.selector.matchLabels.app", "spec.selector.matchExpressions.0.operator")

NEEDED: dict[str, tuple[str, ...]] = {
    "Pod": (*(f"spec.{field}" for field in POD_SPEC), *STATES, *CONDITION, "status.phase", "status.reason", "status.message", "status.podIP",
            "status.qosClass", "status.startTime", "status.nominatedNodeName"),
    "Deployment": (*SELECTOR, *(f"spec.template.{field}" for field in TEMPLATE), "spec.replicas", "spec.paused", "spec.strategy.type",
                   "spec.strategy.rollingUpdate.maxUnavailable", "spec.minReadySeconds", "spec.progressDeadlineSeconds", *CONDITION,
                   "status.observedGeneration", "status.readyReplicas", "status.updatedReplicas", "status.unavailableReplicas"),
    "StatefulSet": (*SELECTOR, *(f"spec.template.{field}" for field in TEMPLATE), "spec.serviceName", "spec.podManagementPolicy",
                    "spec.volumeClaimTemplates.0.metadata.name", "spec.volumeClaimTemplates.0.spec.storageClassName", "status.readyReplicas"),
    "ControllerRevision": ("revision", *(f"data.spec.template.{field}" for field in TEMPLATE)),
    "CronJob": ("spec.schedule", "spec.suspend", "spec.concurrencyPolicy", "spec.jobTemplate.spec.template.spec.containers.0.image"),
    "Job": ("spec.backoffLimit", "spec.completions", "status.failed", "status.startTime", *CONDITION),
    "Service": ("spec.selector.app", "spec.type", "spec.clusterIP", "spec.externalName", "spec.ports.0.name", "spec.ports.0.port",
                "spec.ports.0.targetPort", "spec.ports.0.nodePort", "spec.ports.0.protocol", "spec.ports.0.appProtocol", "spec.sessionAffinity",
                "spec.externalTrafficPolicy", "status.loadBalancer.ingress.0.ip"),
    "Endpoints": ("subsets.0.addresses.0.ip", "subsets.0.addresses.0.targetRef.name", "subsets.0.addresses.0.nodeName",
                  "subsets.0.notReadyAddresses.0.ip", "subsets.0.ports.0.port", "subsets.0.ports.0.name", "subsets.0.ports.0.protocol"),
    "Node": (*CONDITION, "spec.unschedulable", "spec.taints.0.key", "spec.taints.0.value", "spec.taints.0.effect", "spec.providerID",
             "status.allocatable.cpu", "status.allocatable.memory", "status.allocatable.pods", "status.capacity.cpu", "status.addresses.0.address",
             "status.nodeInfo.kubeletVersion", "status.nodeInfo.architecture"),
    "PersistentVolumeClaim": ("spec.storageClassName", "spec.accessModes.0", "spec.resources.requests.storage", "spec.volumeName", "spec.volumeMode",
                              "spec.selector.matchLabels.app", "status.phase", "status.capacity.storage", "status.accessModes.0", *CONDITION),
    "PersistentVolume": ("spec.claimRef.namespace", "spec.claimRef.name", "spec.accessModes.0", "spec.capacity.storage", "spec.storageClassName",
                         "spec.persistentVolumeReclaimPolicy", "spec.nodeAffinity.required.nodeSelectorTerms.0.matchExpressions.0.key",
                         "spec.csi.driver", "spec.nfs.server", "spec.local.path", "status.phase", "status.reason", "status.message"),
    "StorageClass": ("provisioner", "reclaimPolicy", "volumeBindingMode", "allowVolumeExpansion", "parameters.type", "mountOptions.0"),
    "ResourceQuota": ("spec.hard.pods", "status.hard.pods", "status.used.pods", "spec.scopeSelector.matchExpressions.0.operator"),
    "LimitRange": ("spec.limits.0.type", "spec.limits.0.max.cpu", "spec.limits.0.default.memory", "spec.limits.0.defaultRequest.cpu"),
    "ServiceAccount": ("imagePullSecrets.0.name", "secrets.0.name", "automountServiceAccountToken"),
    "NetworkPolicy": ("spec.podSelector.matchLabels.app", "spec.policyTypes.0", "spec.ingress.0.from.0.namespaceSelector.matchLabels.name",
                      "spec.ingress.0.ports.0.port", "spec.egress.0.to.0.ipBlock.cidr", "spec.egress.0.ports.0.protocol"),
    "Ingress": ("spec.ingressClassName", "spec.tls.0.secretName", "spec.rules.0.host", "spec.rules.0.http.paths.0.path",
                "spec.rules.0.http.paths.0.backend.service.name", "spec.rules.0.http.paths.0.backend.service.port.number"),
    "HTTPRoute": ("spec.parentRefs.0.name", "spec.hostnames.0", "spec.rules.0.matches.0.path.value", "spec.rules.0.backendRefs.0.name",
                  "spec.rules.0.backendRefs.0.port", "spec.rules.0.backendRefs.0.weight", "status.parents.0.conditions.0.reason"),
    "VirtualService": ("spec.hosts.0", "spec.gateways.0", "spec.http.0.route.0.destination.host", "spec.http.0.route.0.destination.subset",
                       "spec.http.0.route.0.destination.port.number", "spec.http.0.route.0.weight", "spec.http.0.timeout",
                       "spec.http.0.fault.delay.fixedDelay", "spec.http.0.fault.abort.httpStatus", "spec.http.0.retries.attempts"),
    "HorizontalPodAutoscaler": ("spec.scaleTargetRef.name", "spec.minReplicas", "spec.maxReplicas", "spec.metrics.0.resource.name",
                                "spec.metrics.0.resource.target.averageUtilization", "status.currentReplicas", "status.desiredReplicas", *CONDITION),
    "PodDisruptionBudget": ("spec.minAvailable", "spec.selector.matchLabels.app", "status.disruptionsAllowed", "status.currentHealthy"),
    "Namespace": ("status.phase", *CONDITION),
    "Certificate": ("spec.secretName", "spec.dnsNames.0", "spec.issuerRef.name", "status.notAfter", "status.notBefore", "status.renewalTime",
                    *CONDITION),
    "Application": ("spec.source.targetRevision", "spec.destination.namespace", "status.sync.status", "status.health.status",
                    "status.history.0.revision", "status.history.0.deployedAt", "status.history.0.initiatedBy.username"),
    "Event": ("involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "involvedObject.fieldPath", "reason", "message", "type",
              "count", "firstTimestamp", "lastTimestamp", "source.component", "source.host"),
}  # fmt: skip

# Values that the API has at these paths; all others are texts.
SPECIAL = {"metadata.managedFields.0.manager": "kubectl-edit", "automountServiceAccountToken": False, "spec.automountServiceAccountToken": False}


def built(kind: str, paths: tuple[str, ...]) -> Json:
    """A manifest with a value at each of these paths."""
    manifest: Json = {"kind": kind, "metadata": {"name": "x", "namespace": "shop"}}
    for path in paths:
        put(manifest, path.split("."), SPECIAL.get(path, f"at {path}"))
    managed = manifest["metadata"].get("managedFields")
    if managed:
        managed[0] |= {"time": "2026-11-23T06:20:00Z", "operation": "Update"}
    return manifest


def put(value: Any, path: list[str], leaf: Any) -> None:
    name, rest = path[0], path[1:]
    if not rest:
        if isinstance(value, list):
            value.append(leaf)
        else:
            value[name] = leaf
        return
    inner: Any = [] if rest[0] == "0" else {}
    if isinstance(value, list):
        if not value:
            value.append(inner)
        put(value[0], rest, leaf)
    else:
        put(value.setdefault(name, inner), rest, leaf)


def get(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value


@pytest.mark.parametrize("kind", NEEDED)
def test_no_field_that_explains_trouble_is_trimmed_away(kind: str) -> None:
    paths = (*METADATA, *NEEDED[kind])
    manifest = built(kind, paths)
    assert len(json.dumps(manifest)) < 24_000
    (recorded,) = objects_of(json.loads(json.dumps(manifest)))
    for found in (trimmed(manifest), recorded):
        missing = [path for path in paths if get(found, path) != get(manifest, path)]
        assert missing == []


def test_endpoints_of_slices_have_what_those_of_the_older_kind_have() -> None:
    target = {"kind": "Pod", "name": "cart-0"}
    ready = {"addresses": ["10.1.0.4"], "conditions": {"ready": True}, "nodeName": "worker-1", "targetRef": target}
    waiting = {"addresses": ["10.1.0.5"], "conditions": {"ready": False}, "targetRef": target}
    port = {"name": "http", "port": 8080, "protocol": "TCP"}
    metadata = {"name": "cart-abcde", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}}
    (found,) = as_endpoints([{"metadata": metadata, "endpoints": [ready, waiting], "ports": [port]}])
    for path in NEEDED["Endpoints"]:
        assert get(trimmed(found), path)


# What `kubectl describe` prints

POD = """\
Name:             cart-0
Namespace:        shop
Priority Class Name:  high
Service Account:  cart
Node:             worker-1/192.0.2.11
Start Time:       Mon, 23 Nov 2026 07:40:00 +0100
Labels:           app=cart
Annotations:      note: x
Status:           Running
Reason:           Evicted
Message:          The node was low on memory
IP:               10.1.0.4
Controlled By:    ReplicaSet/cart-7f9c
Init Containers:
  wait:
    Image:         busybox:1
    Command:
      sh
    State:          Terminated
      Reason:       Completed
      Exit Code:    0
    Ready:          True
    Restart Count:  0
Containers:
  cart:
    Image:         shop/cart:1.5
    Image ID:      shop/cart@sha256:1
    Port:          8080/TCP (http)
    Host Port:     0/TCP
    Command:
      /cart
    Args:
      --port=8080
    State:          Waiting
      Reason:       CrashLoopBackOff
      Message:      back-off 5m0s
    Last State:     Terminated
      Reason:       OOMKilled
      Message:      gone
      Exit Code:    137
      Started:      Mon, 23 Nov 2026 07:41:00 +0100
      Finished:     Mon, 23 Nov 2026 07:42:00 +0100
    Ready:          False
    Restart Count:  7
    Limits:
      cpu:     500m
      memory:  64Mi
    Requests:
      cpu:      100m
      memory:   64Mi
    Liveness:   http-get https://:8081/healthz delay=5s timeout=1s period=10s #success=1 #failure=3
    Readiness:  tcp-socket :8080 delay=0s timeout=1s period=10s #success=1 #failure=3
    Startup:    exec [cat /ready] delay=0s timeout=1s period=10s #success=1 #failure=30
    Environment Variables from:
      cart-env    ConfigMap  Optional: false
      cart-token  Secret     Optional: true
    Environment:
      DB_HOST:      db
      DB_PASSWORD:  <set to the key 'password' in secret 'db'>  Optional: false
      MODE:         <set to the key 'mode' of config map 'cart'>  Optional: false
      POD_IP:        (v1:status.podIP)
    Mounts:
      /data from data (rw)
      /etc/cart from config (ro,path="cart.yaml")
Conditions:
  Type              Status
  Ready             False
Volumes:
  data:
    Type:       PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)
    ClaimName:  data-0
    ReadOnly:   false
  config:
    Type:      ConfigMap (a volume populated by a ConfigMap)
    Name:      cart
    Optional:  false
  tls:
    Type:        Secret (a volume populated by a Secret)
    SecretName:  cart-tls
    Optional:    false
QoS Class:       Burstable
Node-Selectors:  disk=ssd
Tolerations:     dedicated=shop:NoSchedule
Events:          <none>
"""

DESCRIBED = {
    "metadata.labels.app": "cart", "metadata.annotations.note": "x", "metadata.ownerReferences.0.name": "cart-7f9c",
    "spec.nodeName": "worker-1", "spec.serviceAccountName": "cart", "spec.priorityClassName": "high", "spec.nodeSelector.disk": "ssd",
    "spec.tolerations.0.key": "dedicated", "spec.tolerations.0.effect": "NoSchedule", "spec.initContainers.0.image": "busybox:1",
    "spec.volumes.0.persistentVolumeClaim.claimName": "data-0", "spec.volumes.1.configMap.name": "cart",
    "spec.volumes.2.secret.secretName": "cart-tls", "status.phase": "Running", "status.reason": "Evicted", "status.podIP": "10.1.0.4",
    "status.message": "The node was low on memory", "status.qosClass": "Burstable", "status.startTime": "2026-11-23T06:40:00Z",
    "status.conditions.0.status": "False", "status.initContainerStatuses.0.state.terminated.exitCode": 0,
}  # fmt: skip
CONTAINER_DESCRIBED = {
    "image": "shop/cart:1.5", "command.0": "/cart", "args.0": "--port=8080", "ports.0.containerPort": 8080, "ports.0.name": "http",
    "ports.0.protocol": "TCP", "resources.limits.memory": "64Mi", "resources.requests.cpu": "100m", "livenessProbe.httpGet.port": 8081,
    "livenessProbe.httpGet.scheme": "HTTPS", "livenessProbe.httpGet.path": "/healthz", "livenessProbe.initialDelaySeconds": 5,
    "livenessProbe.timeoutSeconds": 1, "livenessProbe.periodSeconds": 10, "livenessProbe.failureThreshold": 3, "readinessProbe.tcpSocket.port": 8080,
    "startupProbe.exec.command.0": "cat /ready", "startupProbe.failureThreshold": 30, "envFrom.0.configMapRef.name": "cart-env",
    "envFrom.1.secretRef.name": "cart-token", "envFrom.1.secretRef.optional": True, "env.0.value": "db", "env.1.valueFrom.secretKeyRef.name": "db",
    "env.1.valueFrom.secretKeyRef.key": "password", "env.2.valueFrom.configMapKeyRef.name": "cart",
    "env.3.valueFrom.fieldRef.fieldPath": "status.podIP",
    "volumeMounts.0.mountPath": "/data", "volumeMounts.1.subPath": "cart.yaml", "volumeMounts.1.readOnly": True,
}  # fmt: skip
STATUS_DESCRIBED = {
    "ready": False, "restartCount": 7, "state.waiting.reason": "CrashLoopBackOff", "state.waiting.message": "back-off 5m0s",
    "lastState.terminated.reason": "OOMKilled", "lastState.terminated.exitCode": 137, "lastState.terminated.message": "gone",
    "lastState.terminated.finishedAt": "2026-11-23T06:42:00Z", "imageID": "shop/cart@sha256:1",
}  # fmt: skip


def test_a_described_pod_has_every_field_that_its_text_tells() -> None:
    (pod,) = describe(POD, Times(captured_at=datetime(2026, 11, 23, 6, 45, tzinfo=UTC)))
    wanted = {
        **DESCRIBED,
        **{f"spec.containers.0.{path}": value for path, value in CONTAINER_DESCRIBED.items()},
        **{f"status.containerStatuses.0.{path}": value for path, value in STATUS_DESCRIBED.items()},
    }
    assert {path: get(pod.manifest, path) for path in wanted} == wanted
