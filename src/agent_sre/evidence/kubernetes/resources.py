"""The kinds of objects that are read, and the RBAC rule that allows each of them. Nothing else is ever asked for; Secrets are not here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of object as the API server serves it."""

    plural: str
    kind: str
    group: str = ""  # empty: the core group
    versions: tuple[str, ...] = ("v1",)  # the newest first; an older one is asked where the server does not have it
    namespaced: bool = True

    @property
    def optional(self) -> bool:
        """Whether a cluster may lack it: everything outside of the core group."""
        return bool(self.group)

    @property
    def is_added(self) -> bool:
        """Whether an add-on brings it. Plurals such as `certificates` are used by several, so kubectl needs the group to know which is meant."""
        return self.group not in _BUILT_IN


_BUILT_IN = frozenset({"", "apps", "autoscaling", "batch", "policy", "discovery.k8s.io", "networking.k8s.io", "storage.k8s.io"})

_ALL = (
    Resource(plural="namespaces", kind="Namespace", namespaced=False),
    Resource(plural="pods", kind="Pod"),
    Resource(plural="events", kind="Event"),
    Resource(plural="nodes", kind="Node", namespaced=False),
    Resource(plural="deployments", kind="Deployment", group="apps"),
    Resource(plural="replicasets", kind="ReplicaSet", group="apps"),
    Resource(plural="statefulsets", kind="StatefulSet", group="apps"),
    Resource(plural="daemonsets", kind="DaemonSet", group="apps"),
    Resource(plural="controllerrevisions", kind="ControllerRevision", group="apps"),
    Resource(plural="jobs", kind="Job", group="batch"),
    Resource(plural="cronjobs", kind="CronJob", group="batch"),
    Resource(plural="services", kind="Service"),
    Resource(plural="endpoints", kind="Endpoints"),
    Resource(plural="endpointslices", kind="EndpointSlice", group="discovery.k8s.io"),
    Resource(plural="ingresses", kind="Ingress", group="networking.k8s.io"),
    Resource(plural="networkpolicies", kind="NetworkPolicy", group="networking.k8s.io"),
    Resource(plural="configmaps", kind="ConfigMap"),
    Resource(plural="serviceaccounts", kind="ServiceAccount"),
    Resource(plural="persistentvolumeclaims", kind="PersistentVolumeClaim"),
    Resource(plural="persistentvolumes", kind="PersistentVolume", namespaced=False),
    Resource(plural="storageclasses", kind="StorageClass", group="storage.k8s.io", namespaced=False),
    Resource(plural="horizontalpodautoscalers", kind="HorizontalPodAutoscaler", group="autoscaling", versions=("v2", "v1")),
    Resource(plural="resourcequotas", kind="ResourceQuota"),
    Resource(plural="limitranges", kind="LimitRange"),
    Resource(plural="poddisruptionbudgets", kind="PodDisruptionBudget", group="policy"),
    Resource(plural="httproutes", kind="HTTPRoute", group="gateway.networking.k8s.io", versions=("v1", "v1beta1")),
    Resource(plural="virtualservices", kind="VirtualService", group="networking.istio.io", versions=("v1", "v1beta1")),
    Resource(plural="certificates", kind="Certificate", group="cert-manager.io"),
    Resource(plural="applications", kind="Application", group="argoproj.io", versions=("v1alpha1",)),
    Resource(plural="kustomizations", kind="Kustomization", group="kustomize.toolkit.fluxcd.io", versions=("v1", "v1beta2")),
    Resource(plural="helmreleases", kind="HelmRelease", group="helm.toolkit.fluxcd.io", versions=("v2", "v2beta2")),
    Resource(plural="gitrepositories", kind="GitRepository", group="source.toolkit.fluxcd.io", versions=("v1", "v1beta2")),
)

RESOURCES: Mapping[str, Resource] = {resource.plural: resource for resource in _ALL}
"""By plural, the word of URLs and of RBAC."""


def rule_for(group: str, plural: str, verb: str) -> str:
    """The line of a ClusterRole that allows one verb on one resource, fit to be pasted."""
    return f'{{apiGroups: ["{group}"], resources: [{plural}], verbs: [{verb}]}}'
