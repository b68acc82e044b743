"""The target vertex: the fields of the published API, and what the container is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.targets.cloud_fields import check_request
from tests.deployment.targets.served_versions import TASKS, make_served_version
from tests.deployment.targets.small_versions import write_small_version
from tfchain.core.errors import InputError
from tfchain.deployment.targets.served_version import read_version
from tfchain.deployment.targets.target import write_target
from tfchain.deployment.targets.vertex.target import (
    VertexOptions,
    VertexTarget,
    make_deployment,
    make_endpoint,
    make_model,
)

IMAGE = {"image": "europe-docker.pkg.dev/project/models/docs:3"}
BUCKET = {
    "image": "europe-docker.pkg.dev/project/models/serving:2.20.0",
    "model": "gs://bucket/models/docs",
    "service_account": "docs@project.iam.gserviceaccount.com",
    "name": "Suche auf Deutsch",
}
MAKERS = {"Model": make_model, "Endpoint": make_endpoint, "DeployedModel": make_deployment}


@pytest.mark.parametrize("options", [IMAGE, BUCKET])
def test_the_fields_are_those_of_the_published_api(options: dict[str, Any]) -> None:
    for name, make in MAKERS.items():
        # The script adds the name of the uploaded model.
        extra = {"model": "projects/1/locations/x/models/2"} if name == "DeployedModel" else {}
        check_request({**make(make_served_version(), VertexOptions(**options)), **extra}, name)


@pytest.mark.parametrize("options", [IMAGE, BUCKET])
def test_googles_own_messages_take_the_requests(options: dict[str, Any]) -> None:
    messages = pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    for name, make in MAKERS.items():
        value = make(make_served_version(), VertexOptions(**options))
        message = getattr(messages, name).from_json(json.dumps(value))  # which refuses unknown fields
        assert message.display_name == value["displayName"]


def test_the_container_answers_on_tensorflow_servings_routes() -> None:
    model = make_model(make_served_version(), VertexOptions(**IMAGE))
    container = model["containerSpec"]

    assert container["predictRoute"] == "/v1/models/docs:predict"
    assert container["healthRoute"] == "/v1/models/docs/versions/3"
    assert container["ports"] == [{"containerPort": 8501}]
    assert container["command"] == ["/usr/bin/tensorflow_model_server"]
    assert {"--model_base_path=/models/docs", "--tensorflow_intra_op_parallelism=4"} <= set(container["args"])
    assert "artifactUri" not in model
    assert model["labels"] == {"model": "docs", "version": "3", "task": "search"}


def test_a_version_in_a_bucket_is_read_from_vertex_ais_copy() -> None:
    model = make_model(make_served_version(), VertexOptions(**BUCKET))

    assert model["artifactUri"] == "gs://bucket/models/docs/3"
    assert "--model_base_path=$(AIP_STORAGE_URI)" in model["containerSpec"]["args"]
    notes = "\n".join(VertexTarget().explain(make_served_version(), VertexOptions(**BUCKET)))
    assert "gcloud storage cp -r .../docs/3 gs://bucket/models/docs/3/" in notes


def test_the_folder_has_the_requests_and_a_script_that_runs(tmp_path: Path) -> None:
    version = read_version(write_small_version(tmp_path / "docs" / "3"))
    folder = write_target(version, "vertex", tmp_path / "out", options={**IMAGE, "canary": "10"}).folder

    for name in ("model.json", "endpoint.json", "deployment.json"):
        assert json.loads((folder / name).read_text())
    assert (folder / "deploy_model.py").stat().st_mode & 0o111
    notes = "\n".join(VertexTarget().explain(version, VertexOptions(**IMAGE, canary=10)))
    assert "--percent 10" in notes
    assert "--roll-back" in notes


@pytest.mark.parametrize("task", TASKS)
def test_versions_of_every_task_are_taken(task: str) -> None:
    VertexTarget().check(make_served_version(task), VertexOptions(**IMAGE))


def test_a_version_that_the_server_does_not_run_is_refused() -> None:
    version = make_served_version(ops=("TFText>RoundRobinTrim",), signatures={"rerank": ("TFText>RoundRobinTrim",)})

    with pytest.raises(InputError, match="its signature 'rerank' needs the op"):
        VertexTarget().check(version, VertexOptions(image="europe-docker.pkg.dev/p/r/serving:2.19.1"))
    with pytest.raises(InputError, match="`engine` must be one that answers"):
        VertexTarget().check(make_served_version(), VertexOptions(**IMAGE, server="own", engine="native"))


@pytest.mark.parametrize(
    ("changes", "option", "words"),
    [
        ({"image": ""}, "image", "must name an image"),
        ({"image": "tensorflow/serving:2.20.0"}, "image", "must be in Artifact Registry"),
        ({"model": "s3://bucket"}, "model", "must be image or gs://bucket/models/docs"),
        ({"model": "gs://bucket", "server": "own"}, "model", "must be image for server=own"),
        ({"machine_type": "large"}, "machine_type", "must look like n2-standard-4"),
        ({"replicas": 6}, "max_replicas", "at least 6"),
        ({"cpu_percent": 0}, "cpu_percent", "from 1 to 100"),
        ({"service_account": "docs"}, "service_account", "must be an e-mail address"),
        ({"name": "a" * 129}, "name", "at most 128 characters"),
    ],
)
def test_a_value_that_vertex_ai_would_refuse_is_an_error(changes: dict[str, Any], option: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        VertexOptions(**{**IMAGE, **changes})

    assert words in str(caught.value)
    assert caught.value.argument == option
