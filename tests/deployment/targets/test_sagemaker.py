"""The target sagemaker: the archive's layout, the fields of the published APIs, and the script."""

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.targets.cloud_fields import check_request
from tests.deployment.targets.served_versions import TASKS, make_served_version
from tests.deployment.targets.small_versions import write_small_version
from tfchain.core.errors import InputError
from tfchain.deployment.targets.sagemaker import (
    SageMakerOptions,
    SageMakerTarget,
    make_requests,
    write_model_archive,
)
from tfchain.deployment.targets.served_version import read_version
from tfchain.deployment.targets.target import write_target

ROLE = "arn:aws:iam::123456789012:role/docs-endpoint"
OPTIONS = {"model": "s3://bucket/models/docs", "role": ROLE}
CANARY = {**OPTIONS, "region": "eu-central-1", "canary": 10, "instances": 2, "name": "docs-prod"}
OPERATIONS = {
    "create-model": "CreateModel",
    "create-endpoint-config": "CreateEndpointConfig",
    "create-endpoint": "CreateEndpoint",
    "update-endpoint": "UpdateEndpoint",
    "register-scalable-target": "RegisterScalableTarget",
    "put-scaling-policy": "PutScalingPolicy",
}


@pytest.mark.parametrize("options", [OPTIONS, CANARY])
@pytest.mark.parametrize("is_measured", [True, False])
def test_the_fields_are_those_of_the_published_apis(options: dict[str, Any], is_measured: bool) -> None:
    version = make_served_version() if is_measured else make_served_version(measurement=None)
    requests = make_requests(version, SageMakerOptions(**options))

    assert set(requests) == set(OPERATIONS)
    for name, request in requests.items():
        check_request(request, OPERATIONS[name])


def test_awss_own_library_takes_the_requests() -> None:
    loaders = pytest.importorskip("botocore.loaders", reason="botocore is not installed")
    model, validate = pytest.importorskip("botocore.model"), pytest.importorskip("botocore.validate")
    requests = make_requests(make_served_version(), SageMakerOptions(**CANARY))
    for name, request in requests.items():
        service = "application-autoscaling" if "scal" in name else "sagemaker"
        operations = model.ServiceModel(loaders.Loader().load_service_model(service, "service-2"))
        shape = operations.operation_model(OPERATIONS[name]).input_shape
        assert not validate.ParamValidator().validate(request, shape).has_errors()


def test_the_requests_belong_together() -> None:
    requests = make_requests(make_served_version(), SageMakerOptions(**CANARY))
    container = requests["create-model"]["PrimaryContainer"]
    (variant,) = requests["create-endpoint-config"]["ProductionVariants"]

    assert container["Image"].startswith("763104351884.dkr.ecr.eu-central-1.amazonaws.com/tensorflow-inference:2.19.0")
    assert container["ModelDataUrl"] == "s3://bucket/models/docs/3/model.tar.gz"
    assert container["Environment"] == {"SAGEMAKER_TFS_DEFAULT_MODEL_NAME": "docs"}
    assert variant["ModelName"] == requests["create-model"]["ModelName"] == "docs-prod-v3"
    assert requests["update-endpoint"]["EndpointConfigName"] == "docs-prod-v3"
    routing = requests["update-endpoint"]["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["CanarySize"] == {"Type": "CAPACITY_PERCENT", "Value": 10}
    assert "DeploymentConfig" not in requests["create-endpoint"]
    policy = requests["put-scaling-policy"]
    assert policy["ResourceId"] == "endpoint/docs-prod/variant/main"
    # 133 requests a second are 7,980 a minute, as the metric counts.
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 7980.0


def test_the_archive_has_the_containers_layout_and_is_the_same_each_time(tmp_path: Path) -> None:
    path = write_small_version(tmp_path / "docs" / "3")
    first = write_target(read_version(path), "sagemaker", tmp_path / "first", options=OPTIONS).folder / "model.tar.gz"
    (path / "saved_model.pb").touch()
    write_model_archive(path, tmp_path / "second.tar.gz", inside="docs/3")

    assert first.read_bytes() == (tmp_path / "second.tar.gz").read_bytes()
    assert first.read_bytes()[4:8] == bytes(4)  # gzip's own time
    with tarfile.open(first) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == ["docs/3/assets.extra/tfchain.json", "docs/3/saved_model.pb"]
        assert {(member.mtime, member.uid, member.mode) for member in members} == {(0, 0, 0o644)}
        content = archive.extractfile("docs/3/saved_model.pb")
        assert content is not None
        assert content.read() == (path / "saved_model.pb").read_bytes()


def test_the_script_uploads_first_and_sends_what_lies_beside_it(tmp_path: Path) -> None:
    path = write_small_version(tmp_path / "docs" / "3")
    folder = write_target(read_version(path), "sagemaker", tmp_path / "out", options=OPTIONS).folder
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / "aws"
    stand_in.write_text('#!/bin/sh\necho "$AWS_DEFAULT_REGION $*"\n')
    stand_in.chmod(0o755)
    run = {"env": {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}, "capture_output": True, "text": True, "timeout": 30}
    done = subprocess.run([folder / "deploy.sh", "update"], check=True, **run)  # type: ignore[call-overload]
    calls = done.stdout.splitlines()

    assert calls[0] == "us-east-1 s3 cp model.tar.gz s3://bucket/models/docs/3/model.tar.gz"
    files = [word.removeprefix("file://") for call in calls for word in call.split() if word.startswith("file://")]
    assert files == [
        *("create-model.json", "create-endpoint-config.json", "update-endpoint.json"),
        *("register-scalable-target.json", "put-scaling-policy.json"),
    ]
    for name in files:
        assert json.loads((folder / name).read_text())
    refused = subprocess.run([folder / "deploy.sh"], check=False, **run)  # type: ignore[call-overload]
    assert (refused.returncode, refused.stdout) == (2, "")


@pytest.mark.parametrize("task", TASKS)
def test_versions_of_every_task_are_taken(task: str) -> None:
    SageMakerTarget().check(make_served_version(task), SageMakerOptions(**OPTIONS))


def test_a_version_that_awss_image_does_not_run_is_refused() -> None:
    version = make_served_version(ops=("TFText>Utf8Binarize",), signatures={"embed": ("TFText>Utf8Binarize",)})

    with pytest.raises(InputError, match=r"inference:2\.19\.0-cpu cannot run version 3 of docs: its signature"):
        SageMakerTarget().check(version, SageMakerOptions(**OPTIONS))


@pytest.mark.parametrize(
    ("changes", "option", "words"),
    [
        ({"model": "gs://bucket"}, "model", "must be s3://bucket/models/docs"),
        ({"role": "docs-endpoint"}, "role", "must look like arn:aws:iam::"),
        ({"region": "Frankfurt"}, "region", "must look like us-east-1"),
        ({"instance_type": "c6i.xlarge"}, "instance_type", "must look like ml.c6i.xlarge"),
        ({"name": "docs_prod"}, "name", "letters, digits and - alone"),
        ({"instances": 5}, "max_instances", "at least 5"),
        ({"canary": 10}, "canary", "needs at least two instances"),
        ({"image": "own"}, "image", "must have a tag"),
    ],
)
def test_a_value_that_sagemaker_would_refuse_is_an_error(changes: dict[str, Any], option: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        SageMakerOptions(**{**OPTIONS, **changes})

    assert words in str(caught.value)
    assert caught.value.argument == option
