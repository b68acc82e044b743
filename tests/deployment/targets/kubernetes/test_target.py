"""The target kubernetes: what it writes, whom it refuses, and what it tells the user."""

from pathlib import Path

import pytest
import yaml

from tests.deployment.targets.kubernetes.plans import CASES
from tests.deployment.targets.served_versions import TASKS, make_served_version
from tests.deployment.targets.small_versions import write_small_version
from tfchain.core.errors import InputError
from tfchain.deployment.targets.kubernetes.options import KubernetesOptions
from tfchain.deployment.targets.kubernetes.target import KubernetesTarget
from tfchain.deployment.targets.served_version import read_version
from tfchain.deployment.targets.target import write_target


def test_a_versions_folder_becomes_a_folder_of_manifests(tmp_path: Path) -> None:
    version = read_version(write_small_version(tmp_path / "docs" / "3"))
    written = write_target(version, "kubernetes", tmp_path / "out", options={**CASES["image"], "canary": 10})

    names = {str(path.relative_to(written.folder)) for path in written.folder.rglob("*.yaml")}
    for name in ("base", "overlays/dev", "overlays/prod", "overlays/canary"):
        assert f"{name}/kustomization.yaml" in names
    assert {"helm/docs/Chart.yaml", "helm/docs/values.yaml", "prometheus-adapter.yaml"} <= names
    for name in names - {name for name in names if "/templates/" in name}:
        assert yaml.safe_load((written.folder / name).read_text())


@pytest.mark.parametrize("task", TASKS)
def test_versions_of_every_task_are_taken(task: str) -> None:
    target, options = KubernetesTarget(), KubernetesOptions(**CASES["image"])
    version = make_served_version(task)
    target.check(version, options)

    (deployment,) = (each for each in target.render(version, options) if each.path == "base/deployment.yaml")
    annotations = yaml.safe_load(str(deployment.content))["spec"]["template"]["metadata"]["annotations"]
    assert annotations["tfchain/task"] == task


def test_a_version_that_the_image_does_not_run_is_refused() -> None:
    target = KubernetesTarget()
    version = make_served_version(ops=("TFText>RoundRobinTrim",), signatures={"x": ("TFText>RoundRobinTrim",)})

    with pytest.raises(InputError, match="its signature 'x' needs the op 'TFText>RoundRobinTrim'"):
        target.check(version, KubernetesOptions(model="gs://bucket/docs", image="tensorflow/serving:2.19.1"))
    with pytest.raises(InputError, match="`engine` must be one that answers"):
        target.check(version, KubernetesOptions(server="own", image="registry.example.com/own:1", engine="native"))
    with pytest.raises(InputError, match="A canary of 1 % needs more than 10 pods"):
        target.check(make_served_version(), KubernetesOptions(**CASES["image"], canary=1))


def test_the_user_learns_the_commands_and_what_is_a_guess() -> None:
    target = KubernetesTarget()
    options = KubernetesOptions(**CASES["gs"], canary=10)
    notes = "\n".join(target.explain(make_served_version(measurement=None), options))

    assert "rclone copy .../docs/3 gs://bucket/models/docs/3" in notes
    assert "kubectl apply -k overlays/canary (1 pod(s) beside 8 live ones: 11 % of the connections)" in notes
    assert "kubectl -n search delete deployment,configmap -l app.kubernetes.io/name=docs,tfchain/track=canary" in notes
    assert "helm upgrade --install docs helm/docs --namespace search" in notes
    assert "a guess from its size" in notes
    assert "guess" not in "\n".join(target.explain(make_served_version(), options))
