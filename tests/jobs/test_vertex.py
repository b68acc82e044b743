"""The CustomJob of Vertex AI: the fields of the published API, the chief apart from the other workers."""

import json
from typing import Any

import pytest

from tests.jobs.api_checker import check_manifest
from tfchain.core.errors import InputError
from tfchain.jobs.vertex import VertexJob, make_custom_job, to_json


def make_job(**changes: Any) -> VertexJob:
    values: dict[str, Any] = {"name": "scifact", "config_path": "/gcs/bucket/train.yaml", "image": "registry/tfchain:1"}
    return VertexJob(**{**values, **changes})


@pytest.mark.parametrize(
    "changes", [{}, {"machines": 3, "accelerators": 2, "accelerator": "NVIDIA_L4", "machine_type": "g2-standard-24"}]
)
def test_the_job_has_the_fields_of_the_published_api(changes: dict[str, Any]) -> None:
    check_manifest(make_custom_job(make_job(**changes)), "CustomJob")


def test_the_chief_has_a_pool_of_its_own() -> None:
    job = make_custom_job(make_job(machines=3, accelerators=2, accelerator="NVIDIA_L4", machine_type="g2-standard-24"))

    assert job["displayName"] == "scifact"
    chief, workers = job["jobSpec"]["workerPoolSpecs"]
    assert (chief["replicaCount"], workers["replicaCount"]) == ("1", "2")
    for pool in (chief, workers):
        assert pool["machineSpec"] == {
            "machineType": "g2-standard-24",
            "acceleratorType": "NVIDIA_L4",
            "acceleratorCount": 2,
        }
        assert pool["containerSpec"] == {
            "imageUri": "registry/tfchain:1",
            "command": ["tfchain"],
            "args": ["train", "/gcs/bucket/train.yaml"],
        }
    assert job["jobSpec"]["scheduling"] == {"restartJobOnWorkerRestart": True}


def test_one_machine_is_one_pool() -> None:
    job = make_custom_job(make_job())

    (pool,) = job["jobSpec"]["workerPoolSpecs"]
    assert pool["machineSpec"] == {"machineType": "n1-standard-8"}
    assert "scheduling" not in job["jobSpec"]


def test_the_json_reads_back_as_the_job() -> None:
    job = make_custom_job(make_job(name="Suche auf Deutsch, 二"))

    assert json.loads(to_json(job)) == job
    assert "二" in to_json(job)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "a" * 129}, "`name` must have at most 128 letters"),
        ({"config_path": "train.yaml"}, "/gcs/BUCKET/train.yaml"),
        ({"accelerators": 1, "accelerator": "l4"}, "`accelerator` must look like NVIDIA_TESLA_T4. Received: l4."),
        ({"image": "a\nb"}, "`image` must be a text on one line"),
    ],
)
def test_a_value_that_cannot_be_is_an_error(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_job(**changes)

    assert words in str(caught.value)
