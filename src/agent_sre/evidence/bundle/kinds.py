"""Kinds of Kubernetes objects by all the names that kubectl and people give them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind: `Pod`, its plural `pods`, and what kubectl also understands."""

    kind: str
    plural: str
    short: tuple[str, ...] = ()
    api_version: str = "v1"
    namespaced: bool = True


_ALL = (
    Kind(kind="Pod", plural="pods", short=("po",)),
    Kind(kind="Deployment", plural="deployments", short=("deploy",), api_version="apps/v1"),
    Kind(kind="ReplicaSet", plural="replicasets", short=("rs",), api_version="apps/v1"),
    Kind(kind="StatefulSet", plural="statefulsets", short=("sts",), api_version="apps/v1"),
    Kind(kind="DaemonSet", plural="daemonsets", short=("ds",), api_version="apps/v1"),
    Kind(kind="ReplicationController", plural="replicationcontrollers", short=("rc",)),
    Kind(kind="Job", plural="jobs", api_version="batch/v1"),
    Kind(kind="CronJob", plural="cronjobs", short=("cj",), api_version="batch/v1"),
    Kind(kind="Service", plural="services", short=("svc",)),
    Kind(kind="Endpoints", plural="endpoints", short=("ep",)),
    Kind(kind="EndpointSlice", plural="endpointslices", api_version="discovery.k8s.io/v1"),
    Kind(kind="Ingress", plural="ingresses", short=("ing",), api_version="networking.k8s.io/v1"),
    Kind(kind="NetworkPolicy", plural="networkpolicies", short=("netpol",), api_version="networking.k8s.io/v1"),
    Kind(kind="ConfigMap", plural="configmaps", short=("cm",)),
    Kind(kind="Secret", plural="secrets"),
    Kind(kind="ServiceAccount", plural="serviceaccounts", short=("sa",)),
    Kind(kind="PersistentVolumeClaim", plural="persistentvolumeclaims", short=("pvc",)),
    Kind(kind="PersistentVolume", plural="persistentvolumes", short=("pv",), namespaced=False),
    Kind(kind="StorageClass", plural="storageclasses", short=("sc",), api_version="storage.k8s.io/v1", namespaced=False),
    Kind(kind="Node", plural="nodes", short=("no",), namespaced=False),
    Kind(kind="Namespace", plural="namespaces", short=("ns",), namespaced=False),
    Kind(kind="HorizontalPodAutoscaler", plural="horizontalpodautoscalers", short=("hpa",), api_version="autoscaling/v2"),
    Kind(kind="ResourceQuota", plural="resourcequotas", short=("quota",)),
    Kind(kind="LimitRange", plural="limitranges", short=("limits",)),
    Kind(kind="PodDisruptionBudget", plural="poddisruptionbudgets", short=("pdb",), api_version="policy/v1"),
    Kind(kind="Event", plural="events", short=("ev",)),
    Kind(kind="Lease", plural="leases", api_version="coordination.k8s.io/v1"),
    Kind(kind="ControllerRevision", plural="controllerrevisions", api_version="apps/v1"),
    Kind(kind="HTTPRoute", plural="httproutes", api_version="gateway.networking.k8s.io/v1"),
    Kind(kind="VirtualService", plural="virtualservices", short=("vs",), api_version="networking.istio.io/v1"),
    Kind(kind="Certificate", plural="certificates", short=("cert", "certs"), api_version="cert-manager.io/v1"),
    Kind(kind="Application", plural="applications", short=("app", "apps"), api_version="argoproj.io/v1alpha1"),
    Kind(kind="Kustomization", plural="kustomizations", short=("ks",), api_version="kustomize.toolkit.fluxcd.io/v1"),
    Kind(kind="HelmRelease", plural="helmreleases", short=("hr",), api_version="helm.toolkit.fluxcd.io/v2"),
    Kind(kind="GitRepository", plural="gitrepositories", short=("gitrepo",), api_version="source.toolkit.fluxcd.io/v1"),
)

KIND_BY_NAME = {kind.kind: kind for kind in _ALL}
_KIND_BY_WORD = {word: kind for kind in _ALL for word in (kind.plural, kind.kind.lower(), *kind.short)}


def kind_of_word(word: str) -> Kind | None:
    """`pods`, `pod`, `po`, `deployments.apps`, `Deployment` as a Kind; None where it is none that is read."""
    return _KIND_BY_WORD.get(word.lower().partition(".")[0])


def kind_name(word: str) -> str:
    """The kind behind kubectl's lower-case word for it (`pod/cart-0`): the API's own spelling where it is known."""
    known = kind_of_word(word)
    return known.kind if known else word[:1].upper() + word[1:]


def plural_of(kind: str) -> str:
    """The plural of a kind's name, as URLs and `kubectl get` have it."""
    known = KIND_BY_NAME.get(kind)
    return known.plural if known else f"{kind.lower()}s"


def manifest_of(kind: str, name: str, namespace: str = "") -> dict[str, object]:
    """The beginning of a manifest."""
    known = KIND_BY_NAME.get(kind)
    metadata: dict[str, object] = {"name": name}
    if namespace and (known is None or known.namespaced):
        metadata["namespace"] = namespace
    return {"apiVersion": known.api_version if known else "", "kind": kind, "metadata": metadata}
