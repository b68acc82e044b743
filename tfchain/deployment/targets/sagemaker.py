"""The target `sagemaker`: the archive and the requests for SageMaker's container of TensorFlow Serving."""

import gzip
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.deployment.targets.artefact import Artefact
from tfchain.deployment.targets.model_place import ModelPlace, read_model_place
from tfchain.deployment.targets.options import option
from tfchain.deployment.targets.platform_values import check_image, check_percent, to_label
from tfchain.deployment.targets.served_version import ServedVersion
from tfchain.deployment.targets.server_checks import check_can_run
from tfchain.deployment.targets.server_command import STOCK
from tfchain.deployment.targets.sizing import find_measurement, size_server
from tfchain.deployment.targets.version_checks import check_names

ARCHIVE = "model.tar.gz"
RELEASE = "2.19.0"
# The account of AWS's containers in most regions; others are listed in AWS's documentation, for the option `image`.
IMAGE = "763104351884.dkr.ecr.{region}.amazonaws.com/tensorflow-inference:" + RELEASE + "-cpu"
VARIANT = "main"
WAIT_SECONDS = 600  # between the canary's share and all requests
LONGEST_NAME = 40
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_INSTANCE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")


@dataclass(frozen=True)
class SageMakerOptions:
    """What a user chooses for SageMaker.

    Raises:
        InputError: if a value is not possible.
    """

    model: str = option("", "where the archive is uploaded to: s3://bucket/path")
    role: str = option("", "ARN of the execution role, which may read the archive")
    region: str = option("us-east-1", "region, for the image of AWS's container")
    image: str = option("", f"image of TensorFlow Serving for SageMaker; none: AWS's own of {RELEASE} for processors")
    name: str = option("", "name of the endpoint; none: made of the model's name")
    instance_type: str = option("ml.c6i.xlarge", "type of the instances")
    instances: int = option(1, "fewest instances")
    max_instances: int = option(4, "most instances; as many as `instances` for no scaling")
    canary: int = option(0, "percentage of capacity that an update gives the new version first; 0: all at once")

    def __post_init__(self) -> None:
        self.place  # noqa: B018 - it is checked by being read
        for name, pattern, example in (
            ("role", _ROLE, "arn:aws:iam::123456789012:role/docs-endpoint"),
            ("region", _REGION, "us-east-1"),
            ("instance_type", _INSTANCE, "ml.c6i.xlarge"),
        ):
            if not pattern.fullmatch(getattr(self, name)):
                raise InputError(
                    f"`{name}` must look like {example}. Received: {name}={getattr(self, name)!r}.", argument=name
                )
        check_image("image", self.server_image)
        if self.name and not re.fullmatch(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,39}", self.name):
            raise InputError(
                f"`name` must have letters, digits and - alone, at most {LONGEST_NAME}. Received: name={self.name!r}.",
                argument="name",
            )
        check_whole_number("instances", self.instances)
        check_whole_number("max_instances", self.max_instances, least=self.instances)
        check_percent("canary", self.canary, most=50)
        if self.canary and self.instances < 2:
            raise InputError(
                "`canary` needs at least two instances, since it is a part of their capacity. Received: "
                f"canary={self.canary}, instances={self.instances}. Give instances=2.",
                argument="canary",
            )

    @property
    def place(self) -> ModelPlace:
        """Where the archive is uploaded to."""
        return read_model_place("model", self.model, schemes=("s3",))

    @property
    def server_image(self) -> str:
        """The image."""
        return self.image or IMAGE.format(region=self.region)


class SageMakerTarget:
    """A version on SageMaker."""

    name = "sagemaker"
    summary = "The archive and the requests for an endpoint of SageMaker."
    options = SageMakerOptions

    def check(self, version: ServedVersion, options: SageMakerOptions) -> None:
        """Raises an InputError if the container's TensorFlow Serving does not run the version."""
        check_names(version)
        check_can_run(version, STOCK, image=options.server_image)

    def render(self, version: ServedVersion, options: SageMakerOptions) -> tuple[Artefact, ...]:
        """Returns the archive, the requests and the script that sends them."""
        requests = make_requests(version, options)

        def write_archive(path: Path) -> None:
            write_model_archive(version.path, path, inside=f"{version.model_name}/{version.number}")

        return (
            Artefact(ARCHIVE, write_archive),
            *(Artefact(f"{name}.json", json.dumps(value, indent=2) + "\n") for name, value in requests.items()),
            Artefact("deploy.sh", make_script(version, options), executable=True),
        )

    def explain(self, version: ServedVersion, options: SageMakerOptions) -> tuple[str, ...]:
        """Returns the commands."""
        lines = ["./deploy.sh create the first time, and ./deploy.sh update for each later version (needs the AWS CLI)"]
        if options.canary:
            lines.append(
                f"An update gives the new version {options.canary} % of the capacity for {WAIT_SECONDS // 60} minutes, "
                "then all. Name alarms in update-endpoint.json (AutoRollbackConfiguration) to have it rolled back."
            )
        lines.append(
            f"Clients send TensorFlow Serving's JSON to the endpoint {_name(version, options)}; other signatures by "
            '"signature_name" in the body.'
        )
        return tuple(lines)


def write_model_archive(version_path: Path, path: Path, *, inside: str) -> None:
    """Writes an archive with a version, which is the same for the same files: without times, users and orders.

    Args:
        version_path: The version's folder.
        path: The archive, a .tar.gz.
        inside: The version's folder in the archive, `<name>/<number>`.
    """
    with (
        open(path, "wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for source in sorted(version_path.rglob("*")):
            if not source.is_file():
                continue
            info = tarfile.TarInfo(f"{inside}/{source.relative_to(version_path).as_posix()}")
            info.size, info.mode = source.stat().st_size, 0o644
            with open(source, "rb") as content:
                archive.addfile(info, content)


def make_requests(version: ServedVersion, options: SageMakerOptions) -> dict[str, dict[str, Any]]:
    """Makes the requests: operation of the AWS CLI → its input.

    Args:
        version: The version.
        options: What the user chose.
    """
    endpoint = _name(version, options)
    model = f"{endpoint}-v{version.number}"
    sizing = size_server(version.size_bytes, find_measurement(version, server=STOCK))
    container = {
        "Image": options.server_image,
        "ModelDataUrl": options.place.uri(str(version.number), ARCHIVE),
        "Environment": {"SAGEMAKER_TFS_DEFAULT_MODEL_NAME": version.model_name},
    }
    variant = {
        "VariantName": VARIANT,
        "ModelName": model,
        "InitialInstanceCount": options.instances,
        "InstanceType": options.instance_type,
        "InitialVariantWeight": 1.0,
        "ContainerStartupHealthCheckTimeoutInSeconds": min(3600, max(60, sizing.start_seconds)),
    }
    requests: dict[str, dict[str, Any]] = {
        "create-model": {
            "ModelName": model,
            "PrimaryContainer": container,
            "ExecutionRoleArn": options.role,
            "EnableNetworkIsolation": True,  # the server connects to nothing
        },
        "create-endpoint-config": {"EndpointConfigName": model, "ProductionVariants": [variant]},
        "create-endpoint": {"EndpointName": endpoint, "EndpointConfigName": model},
        "update-endpoint": {"EndpointName": endpoint, "EndpointConfigName": model},
    }
    if options.canary:
        requests["update-endpoint"]["DeploymentConfig"] = make_canary(options.canary)
    if options.max_instances > options.instances:
        requests |= make_scaling(endpoint, options, sizing.requests_per_second)
    return requests


def make_canary(percent: int) -> dict[str, Any]:
    """Makes the configuration of an update that tries the new version on a part of the capacity first."""
    size = {"Type": "CAPACITY_PERCENT", "Value": percent}
    routing = {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": WAIT_SECONDS}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": WAIT_SECONDS}}


def make_scaling(endpoint: str, options: SageMakerOptions, per_second: int | None) -> dict[str, dict[str, Any]]:
    """Makes the requests to Application Auto Scaling: by invocations where it is known how many an instance answers."""
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    if per_second:
        metric: dict[str, Any] = {
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "TargetValue": 60.0 * per_second,  # the metric counts by the minute
        }
    else:
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": VARIANT}]
        cpu = {"MetricName": "CPUUtilization", "Namespace": "/aws/sagemaker/Endpoints", "Dimensions": dimensions}
        metric = {
            "CustomizedMetricSpecification": {**cpu, "Statistic": "Average", "Unit": "Percent"},
            "TargetValue": 70.0,
        }
    policy = {"PolicyName": f"{endpoint}-load", **target, "PolicyType": "TargetTrackingScaling"}
    return {
        "register-scalable-target": {
            **target,
            "MinCapacity": options.instances,
            "MaxCapacity": options.max_instances,
        },
        "put-scaling-policy": {**policy, "TargetTrackingScalingPolicyConfiguration": metric},
    }


def make_script(version: ServedVersion, options: SageMakerOptions) -> str:
    """Makes the script that uploads the archive and sends the requests."""
    scaled = options.max_instances > options.instances
    scaling = [
        "aws application-autoscaling register-scalable-target --cli-input-json file://register-scalable-target.json",
        "aws application-autoscaling put-scaling-policy --cli-input-json file://put-scaling-policy.json",
    ]
    lines = [
        "#!/bin/sh",
        "# Uploads the archive, and creates or updates the endpoint: deploy.sh create, or deploy.sh update.",
        "set -eu",
        'cd "$(dirname "$0")"',
        'case "${1:-}" in create | update) ;; *) echo "usage: deploy.sh create|update" >&2; exit 2 ;; esac',
        f"export AWS_DEFAULT_REGION={options.region}",
        f"aws s3 cp {ARCHIVE} {options.place.uri(str(version.number), ARCHIVE)}",
        "aws sagemaker create-model --cli-input-json file://create-model.json",
        "aws sagemaker create-endpoint-config --cli-input-json file://create-endpoint-config.json",
        'aws sagemaker "$1-endpoint" --cli-input-json "file://$1-endpoint.json"',
        f"aws sagemaker wait endpoint-in-service --endpoint-name {_name(version, options)}",
        *(scaling if scaled else []),
    ]
    return "\n".join(lines) + "\n"


def _name(version: ServedVersion, options: SageMakerOptions) -> str:
    return options.name or to_label(version.model_name, longest=LONGEST_NAME)
