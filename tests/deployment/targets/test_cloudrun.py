"""The target cloudrun: the fields of Knative's API, instances that Cloud Run has, and a canary by revisions."""

from typing import Any

import pytest

from tests.deployment.capacity.measurements import make_measurement
from tests.deployment.targets.published_schemas import check_manifest
from tests.deployment.targets.served_versions import TASKS, make_served_version
from tfchain.core.errors import InputError
from tfchain.deployment.targets.cloudrun import CloudRunOptions, CloudRunTarget, make_service

IMAGE = {"image": "europe-docker.pkg.dev/project/models/docs:3"}
BUCKET = {"model": "gs://bucket/models/docs", "service_account": "docs@project.iam.gserviceaccount.com"}
CANARY = {**IMAGE, "server": "own", "engine": "tensorflow", "canary": 10, "live_revision": "docs-v2-0a1b2c3d"}


@pytest.mark.parametrize("options", [IMAGE, BUCKET, CANARY])
def test_the_fields_are_those_of_the_published_api(options: dict[str, Any]) -> None:
    check_manifest(make_service(make_served_version(), CloudRunOptions(**options)))


def test_an_instance_has_the_measured_size_and_is_asked_for_this_version() -> None:
    template = make_service(make_served_version(), CloudRunOptions(**IMAGE))["spec"]["template"]
    (container,) = template["spec"]["containers"]

    assert container["image"] == IMAGE["image"]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "512Mi"}
    assert container["ports"] == [{"name": "http1", "containerPort": 8501}]
    assert container["startupProbe"]["httpGet"] == {"path": "/v1/models/docs/versions/3", "port": 8501}
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] == 60
    assert template["spec"]["containerConcurrency"] == 8
    assert "volumes" not in template["spec"]
    assert template["metadata"]["annotations"]["autoscaling.knative.dev/minScale"] == "1"


def test_a_bucket_is_mounted_with_this_version_alone() -> None:
    spec = make_service(make_served_version(), CloudRunOptions(**BUCKET))["spec"]["template"]["spec"]
    (container,), (volume,) = spec["containers"], spec["volumes"]

    assert volume["csi"]["driver"] == "gcsfuse.run.googleapis.com"
    assert volume["csi"]["volumeAttributes"] == {
        "bucketName": "bucket",
        "mountOptions": "implicit-dirs,only-dir=models/docs/3",
    }
    assert container["volumeMounts"] == [{"name": "model", "mountPath": "/mnt/models/docs/3", "readOnly": True}]
    assert "--model_base_path=/mnt/models/docs" in container["args"]
    assert spec["serviceAccountName"] == "docs@project.iam.gserviceaccount.com"


def test_a_canary_leaves_the_live_revision_the_other_requests() -> None:
    options = CloudRunOptions(**CANARY)
    service = make_service(make_served_version(), options)
    revision = service["spec"]["template"]["metadata"]["name"]

    assert service["spec"]["traffic"] == [
        {"revisionName": "docs-v2-0a1b2c3d", "percent": 90},
        {"revisionName": revision, "percent": 10, "tag": "canary"},
    ]
    assert revision.startswith("docs-v3-")
    notes = "\n".join(CloudRunTarget().explain(make_served_version(), options))
    assert f"--to-revisions {revision}=100; roll back: with docs-v2-0a1b2c3d=100" in notes


def test_a_revision_has_another_name_once_anything_of_it_changes() -> None:
    def name(**changes: Any) -> str:
        service = make_service(make_served_version(), CloudRunOptions(**IMAGE, **changes))
        return str(service["spec"]["template"]["metadata"]["name"])

    assert name() == name()
    assert len({name(), name(cpu=4), name(max_instances=20), name(concurrency=1)}) == 4


@pytest.mark.parametrize(
    ("memory_mb", "cpu", "expected"),
    [
        (200.0, 0, ("2", "512Mi")),
        (3500.0, 1, None),  # 1.5 x 3,500 MB are 5,056 MiB, and one processor has at most 4,096
        (3500.0, 0, ("2", "5056Mi")),
        (8000.0, 0, ("4", "11456Mi")),
        (500.0, 8, ("8", "4096Mi")),
    ],
)
def test_processors_and_memory_are_a_pair_that_cloud_run_has(
    memory_mb: float, cpu: int, expected: tuple[str, str] | None
) -> None:
    measured = make_measurement(engine="tensorflow", memory_mb=memory_mb, peak_memory_mb=memory_mb)
    version, options = make_served_version(measurement=measured), CloudRunOptions(**IMAGE, cpu=cpu)
    if expected is None:
        with pytest.raises(InputError, match="with 1 processors has at most 4096Mi. Give a larger cpu."):
            CloudRunTarget().check(version, options)
        return
    (container,) = make_service(version, options)["spec"]["template"]["spec"]["containers"]

    assert container["resources"]["limits"] == dict(zip(("cpu", "memory"), expected, strict=True))


def test_a_version_too_large_for_any_instance_is_refused() -> None:
    version = make_served_version(measurement=None, size_bytes=20 * 2**30)

    with pytest.raises(InputError, match="has at most 32768Mi. Take the target kubernetes or vertex."):
        CloudRunTarget().check(version, CloudRunOptions(**IMAGE))


@pytest.mark.parametrize("task", TASKS)
def test_versions_of_every_task_are_taken(task: str) -> None:
    target, options = CloudRunTarget(), CloudRunOptions(**IMAGE)
    target.check(make_served_version(task), options)

    assert [artefact.path for artefact in target.render(make_served_version(task), options)] == ["service.yaml"]


def test_a_version_that_the_server_does_not_run_is_refused() -> None:
    version = make_served_version(ops=("MyOp",), signatures={"search": ("MyOp",)})

    with pytest.raises(InputError, match="its signature 'search' needs the op 'MyOp'"):
        CloudRunTarget().check(version, CloudRunOptions(**IMAGE))
    with pytest.raises(InputError, match="`engine` must be one that answers"):
        CloudRunTarget().check(make_served_version(), CloudRunOptions(**IMAGE, server="own", engine="native"))


@pytest.mark.parametrize(
    ("changes", "option", "words"),
    [
        ({"image": ""}, "image", "must name the image with the version in it"),
        ({"model": "gs://bucket", "server": "own", "image": ""}, "image", "the image of tfchain's server"),
        ({"model": "s3://bucket"}, "model", "must be image or gs://bucket/models/docs"),
        ({"cpu": 3}, "cpu", "must be one of 0, 1, 2, 4, 6, 8"),
        ({"ingress": "none"}, "ingress", "must be one of all, internal"),
        ({"min_instances": 5, "max_instances": 4}, "max_instances", "at least 5"),
        ({"service_account": "docs"}, "service_account", "must be an e-mail address"),
        ({"canary": 10}, "live_revision", "go together"),
        ({"live_revision": "docs-v2"}, "live_revision", "go together"),
    ],
)
def test_a_value_that_cloud_run_would_refuse_is_an_error(changes: dict[str, Any], option: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        CloudRunOptions(**{**IMAGE, **changes})

    assert words in str(caught.value)
    assert caught.value.argument == option
