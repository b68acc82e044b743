"""A Kustomize base with the overlays dev, prod and canary."""

from collections.abc import Mapping
from typing import Any

from tfchain.deployment.targets.artefact import Artefact
from tfchain.deployment.targets.kubernetes.manifests import Manifest, make_manifests
from tfchain.deployment.targets.kubernetes.plan import APP, ClusterPlan
from tfchain.deployment.targets.yaml_text import to_yaml

KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
DEV_CPU = "250m"
LEFT_OUT_IN_DEV = ("autoscaler", "disruption-budget")


def make_kustomize(plan: ClusterPlan) -> tuple[Artefact, ...]:
    """Makes the base and the overlays dev and prod.

    The base holds each object once. An overlay holds what differs there: its namespace, and patches.

    Args:
        plan: The plan.

    Returns:
        The files, below `base/` and `overlays/`.
    """
    manifests = make_manifests(plan)
    dev = {name: _delete(manifests[name]) for name in LEFT_OUT_IN_DEV} | {"deployment": make_dev_patch(plan)}
    prod = {"autoscaler": make_scale_patch(plan), "deployment": make_spread_patch(plan)}
    return (
        *make_folder("base", {"resources": _list_files(manifests)}, manifests),
        *make_folder("overlays/dev", _overlay(f"{plan.namespace}-dev", dev), dev),
        *make_folder("overlays/prod", _overlay(plan.namespace, prod), prod),
    )


def make_folder(
    folder: str, kustomization: Mapping[str, Any], manifests: Mapping[str, Manifest]
) -> tuple[Artefact, ...]:
    """Makes a folder that `kubectl apply -k` takes: its kustomization.yaml, and one file an object."""
    return (
        Artefact(f"{folder}/kustomization.yaml", to_yaml({**KUSTOMIZATION, **kustomization})),
        *(Artefact(f"{folder}/{name}.yaml", to_yaml(manifest)) for name, manifest in manifests.items()),
    )


def make_dev_patch(plan: ClusterPlan) -> Manifest:
    """Makes the patch for development: one pod, which requests little of a processor."""
    container = {"name": "server", "resources": {"requests": {"cpu": DEV_CPU}}}
    return _patch("apps/v1", "Deployment", plan.workload) | {
        "spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}}
    }


def make_scale_patch(plan: ClusterPlan) -> Manifest:
    """Makes the patch for production: how many pods there are."""
    options = plan.options
    return _patch("autoscaling/v2", "HorizontalPodAutoscaler", plan.name) | {
        "spec": {"minReplicas": options.replicas, "maxReplicas": options.max_replicas}
    }


def make_spread_patch(plan: ClusterPlan) -> Manifest:
    """Makes the patch for production: pods on different nodes, where there are enough."""
    return _patch("apps/v1", "Deployment", plan.workload) | {
        "spec": {"template": {"spec": {"topologySpreadConstraints": make_spread(plan)}}}
    }


def make_spread(plan: ClusterPlan) -> list[dict[str, Any]]:
    """Makes the constraint that spreads the pods over the nodes."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {APP: plan.name}},
        }
    ]


def _overlay(namespace: str, patches: Mapping[str, Manifest]) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "resources": ["../../base"],
        "patches": [{"path": name} for name in _list_files(patches)],
    }


def _list_files(manifests: Mapping[str, Manifest]) -> list[str]:
    return [f"{name}.yaml" for name in manifests]


def _patch(api_version: str, kind: str, name: str) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}


def _delete(manifest: Manifest) -> Manifest:
    return {**_patch(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]), "$patch": "delete"}
