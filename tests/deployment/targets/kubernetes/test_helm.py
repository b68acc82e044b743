"""The Helm chart: its defaults are the overlay prod, its values are checked, and what a user changes is changed."""

import json
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deployment.targets.kubernetes.chart_renderer import render
from tests.deployment.targets.kubernetes.plans import CASES, make_case
from tests.deployment.targets.kubernetes.strategic_merge import Manifests, build
from tests.deployment.targets.published_schemas import check_manifest
from tfchain.deployment.targets.artefact import write_artefacts
from tfchain.deployment.targets.kubernetes.helm import make_chart
from tfchain.deployment.targets.kubernetes.kustomize import make_kustomize
from tfchain.deployment.targets.kubernetes.plan import ClusterPlan


def chart_files(plan: ClusterPlan) -> dict[str, str]:
    return {artefact.path.removeprefix("helm/docs/"): str(artefact.content) for artefact in make_chart(plan)}


def install(plan: ClusterPlan, *, name: str = "docs", namespace: str = "", **changes: Any) -> Manifests:
    """The objects that the chart makes with values changed."""
    files = chart_files(plan)
    values = yaml.safe_load(files["values.yaml"])
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) and key in values else value
    jsonschema.validate(values, json.loads(files["values.schema.json"]))
    texts = [
        render(text, values, name=name, namespace=namespace or plan.namespace)
        for path, text in files.items()
        if path.startswith("templates/") and path.endswith(".yaml")
    ]
    manifests = [manifest for text in texts if (manifest := yaml.safe_load(text)) is not None]
    return {(each["kind"], each["metadata"]["name"]): each for each in manifests}


@pytest.mark.parametrize("case", CASES)
def test_the_chart_makes_the_overlay_prod(case: str) -> None:
    plan = make_case(case)

    assert install(plan) == build(make_kustomize(plan), "overlays/prod")


def test_a_release_of_another_name_is_apart_from_the_first() -> None:
    made = install(make_case("s3"), name="second", namespace="search")

    assert {name for _, name in made} == {"second", "second-grpc"}
    assert {manifest["metadata"]["namespace"] for manifest in made.values()} == {"search"}
    labels = made["Deployment", "second"]["spec"]["template"]["metadata"]["labels"]
    assert made["Service", "second"]["spec"]["selector"].items() <= labels.items()
    assert made["HorizontalPodAutoscaler", "second"]["spec"]["scaleTargetRef"]["name"] == "second"
    for manifest in made.values():
        check_manifest(manifest)


def test_values_change_what_they_name() -> None:
    made = install(
        make_case(),
        image="registry.example.com/docs:4",
        nodeSelector={"pool": "search"},
        tolerations=[{"key": "search", "operator": "Exists"}],
        autoscaling={"enabled": False},
        networkPolicy={"enabled": False},
        serviceMonitor={"enabled": False},
        disruptionBudget={"enabled": False},
        replicas=3,
    )

    assert {kind for kind, _ in made} == {"ConfigMap", "Deployment", "Service"}
    spec = made["Deployment", "docs"]["spec"]
    assert spec["replicas"] == 3
    assert spec["template"]["spec"]["nodeSelector"] == {"pool": "search"}
    assert spec["template"]["spec"]["containers"][0]["image"] == "registry.example.com/docs:4"
    check_manifest(made["Deployment", "docs"])


def test_a_misspelled_or_wrongly_typed_value_is_refused() -> None:
    schema = json.loads(chart_files(make_case())["values.schema.json"])

    jsonschema.validate({"image": "a/b:1", "global": {"x": 1}}, schema)
    for values in ({"imag": "a/b:1"}, {"autoscaling": {"minReplica": 1}}, {"replicas": "two"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(values, schema)


def test_the_chart_says_what_it_is() -> None:
    chart = yaml.safe_load(chart_files(make_case())["Chart.yaml"])

    assert (chart["apiVersion"], chart["name"], chart["version"], chart["appVersion"]) == ("v2", "docs", "3.0.0", "3")


def test_helm_itself_lints_and_renders_the_same(tmp_path: Any) -> None:
    helm = pytest.importorskip("helm_python", reason="helm-python-sdk, which holds Helm's own engine, is not installed")
    for case in CASES:
        plan = make_case(case)
        folder = write_artefacts(tmp_path / case, "kubernetes", make_chart(plan)) / "helm" / "docs"
        report = helm.lint(str(folder), strict=True)
        assert not report["errors"]
        with helm.Chart.load(str(folder)) as chart:
            texts = chart.render(name="docs", namespace=plan.namespace)
        manifests = [yaml.safe_load(text) for path, text in texts.items() if not path.endswith(".txt")]
        made = {(each["kind"], each["metadata"]["name"]): each for each in manifests}
        assert made == build(make_kustomize(plan), "overlays/prod")
