"""The target kserve: the fields of the published API, the pinned image, and the canary's share."""

from typing import Any

import pytest
import yaml

from tests.deployment.targets.published_schemas import check_manifest
from tests.deployment.targets.served_versions import TASKS, make_served_version
from tfchain.core.errors import InputError
from tfchain.deployment.targets.kserve import KserveOptions, KserveTarget, make_inference_service

MODEL = {"model": "gs://bucket/models/docs"}
FULL = {
    "model": "s3://bucket/models/docs",
    "namespace": "search",
    "mode": "RawDeployment",
    "cpu": "500m",
    "memory": "2Gi",
    "service_account": "reader",
}


@pytest.mark.parametrize("options", [MODEL, FULL, {"model": "pvc://models/docs", "canary": 10, "replicas": 0}])
def test_the_fields_are_those_of_the_published_api(options: dict[str, Any]) -> None:
    check_manifest(make_inference_service(make_served_version(), KserveOptions(**options)))


def test_a_field_that_kserve_does_not_have_would_be_noticed() -> None:
    manifest = make_inference_service(make_served_version(), KserveOptions(**MODEL))
    manifest["spec"]["predictor"]["model"]["storageURI"] = "gs://bucket"

    with pytest.raises(Exception, match="Additional properties"):
        check_manifest(manifest)


def test_the_image_is_pinned_and_the_runtime_is_told_of_the_version() -> None:
    predictor = make_inference_service(make_served_version(), KserveOptions(**MODEL))["spec"]["predictor"]
    model = predictor["model"]

    assert model["image"] == "tensorflow/serving:2.20.0"
    assert model["modelFormat"] == {"name": "tensorflow", "version": "2"}
    # The folder 3 in it is what the server looks for.
    assert model["storageUri"] == "gs://bucket/models/docs/3"
    assert model["readinessProbe"]["httpGet"] == {"path": "/v1/models/docs/versions/3", "port": 8080}
    assert "--tensorflow_intra_op_parallelism=2" in model["args"]
    assert model["resources"]["requests"] == {"cpu": "2", "memory": "384Mi"}
    assert (predictor["scaleMetric"], predictor["scaleTarget"]) == ("rps", 133)
    assert "canaryTrafficPercent" not in predictor


def test_a_canary_is_a_share_of_the_requests_and_both_ways_out_are_told() -> None:
    options = KserveOptions(**MODEL, canary=10)
    target = KserveTarget()
    (artefact,) = target.render(make_served_version(), options)
    notes = "\n".join(target.explain(make_served_version(), options))

    assert yaml.safe_load(str(artefact.content))["spec"]["predictor"]["canaryTrafficPercent"] == 10
    assert "rclone copy .../docs/3 gs://bucket/models/docs/3/3" in notes
    assert '"op": "remove", "path": "/spec/predictor/canaryTrafficPercent"' in notes
    assert "roll back" in notes


@pytest.mark.parametrize("task", TASKS)
def test_versions_of_every_task_are_taken(task: str) -> None:
    KserveTarget().check(make_served_version(task), KserveOptions(**MODEL))


def test_kserves_own_old_image_is_refused_for_a_version_that_needs_a_newer_one() -> None:
    version = make_served_version(ops=("FastBertNormalize",), signatures={"embed": ("FastBertNormalize",)})

    with pytest.raises(InputError, match="its signature 'embed' needs the op 'FastBertNormalize'"):
        KserveTarget().check(version, KserveOptions(**MODEL, image="tensorflow/serving:2.6.2"))


@pytest.mark.parametrize(
    ("changes", "option", "words"),
    [
        ({"model": ""}, "model", "must be gs://bucket/models/docs or s3://"),
        ({"model": "image"}, "model", "must be gs://bucket"),
        ({"name": "Docs"}, "name", "lower-case letters"),
        ({"image": "tensorflow/serving"}, "image", "must have a tag"),
        ({"mode": "Standalone"}, "mode", "must be Serverless or RawDeployment"),
        ({"mode": "RawDeployment", "replicas": 0}, "replicas", "at least 1"),
        ({"replicas": 3, "max_replicas": 2}, "max_replicas", "at least 3"),
        ({"mode": "RawDeployment", "canary": 10}, "canary", "needs mode=Serverless"),
        ({"canary": 100}, "canary", "from 0 to 99"),
        ({"cpu": "two"}, "cpu", "must be a quantity"),
    ],
)
def test_a_value_that_kserve_would_refuse_is_an_error(changes: dict[str, Any], option: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        KserveOptions(**{**MODEL, **changes})

    assert words in str(caught.value)
    assert caught.value.argument == option
