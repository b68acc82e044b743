"""The target `vertex`: the requests that make a model and an endpoint on Vertex AI, and the script that sends them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.deployment.targets.artefact import Artefact
from tfchain.deployment.targets.model_place import IMAGE, ModelPlace, read_model_place
from tfchain.deployment.targets.options import option
from tfchain.deployment.targets.platform_values import check_image, check_percent, to_label
from tfchain.deployment.targets.served_version import ServedVersion
from tfchain.deployment.targets.server_checks import check_can_run
from tfchain.deployment.targets.server_command import (
    GRPC_PORT,
    OWN,
    REST_PORT,
    SERVERS,
    STOCK,
    ServerCommand,
    status_path,
)
from tfchain.deployment.targets.sizing import find_measurement, size_server
from tfchain.deployment.targets.version_checks import check_names

ENGINES = ("auto", "native", "litert", "tensorflow")
CPU_METRIC = "aiplatform.googleapis.com/prediction/online/cpu/utilization"
STORAGE = "$(AIP_STORAGE_URI)"  # Vertex AI puts the address of its copy of `artifactUri` here
SCRIPT = "deploy_model.py"
_REGISTRY = re.compile(r"(?:[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io)/.+")
_MACHINE = re.compile(r"[a-z][a-z0-9]*-[a-z]+(?:-[0-9]+)?[a-z0-9-]*")
_CORES = re.compile(r"-([0-9]+)$")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")


@dataclass(frozen=True)
class VertexOptions:
    """What a user chooses for Vertex AI.

    Raises:
        InputError: if a value is not possible.
    """

    image: str = option("", "image of the server in Artifact Registry; with the version in it for model=image")
    model: str = option(IMAGE, "where the version lies: image, or gs://bucket/path, which Vertex AI copies")
    name: str = option("", "display name of model and endpoint; none: the model's name")
    server: str = option(STOCK, "what the image runs: stock (TensorFlow Serving), or own (tfchain's)")
    engine: str = option("auto", "what answers in tfchain's server: auto, native, litert or tensorflow")
    machine_type: str = option("n2-standard-4", "type of the machines")
    replicas: int = option(1, "fewest machines")
    max_replicas: int = option(5, "most machines")
    cpu_percent: int = option(60, "share of the processors above which machines are added")
    service_account: str = option("", "e-mail address of the service account of the containers")
    canary: int = option(0, "percentage of requests for this version beside the live one; 0: all")

    def __post_init__(self) -> None:
        place = self.place
        check_image("image", self.image)
        if not _REGISTRY.fullmatch(self.image):
            raise InputError(
                "`image` must be in Artifact Registry, such as europe-docker.pkg.dev/project/models/docs:3, which is "
                f"all that Vertex AI reads. Received: image={self.image!r}. Push it there.",
                argument="image",
            )
        for name, known in (("server", SERVERS), ("engine", ENGINES)):
            if getattr(self, name) not in known:
                raise InputError(
                    f"`{name}` must be one of {', '.join(known)}. Received: {name}={getattr(self, name)!r}.",
                    argument=name,
                )
        if self.server == OWN and place.is_bucket:
            raise InputError(
                "`model` must be image for server=own: tfchain's server does not read buckets, as TensorFlow Serving "
                f"does. Received: model={self.model}.",
                argument="model",
            )
        if not _MACHINE.fullmatch(self.machine_type):
            raise InputError(
                f"`machine_type` must look like n2-standard-4. Received: machine_type={self.machine_type!r}.",
                argument="machine_type",
            )
        check_whole_number("replicas", self.replicas)
        check_whole_number("max_replicas", self.max_replicas, least=self.replicas)
        check_percent("cpu_percent", self.cpu_percent, least=1)
        check_percent("canary", self.canary, most=99)
        if self.service_account and ("@" not in self.service_account or " " in self.service_account):
            raise InputError(
                "`service_account` must be an e-mail address, such as docs@project.iam.gserviceaccount.com. "
                f"Received: service_account={self.service_account!r}.",
                argument="service_account",
            )
        if len(self.name) > 128:
            raise InputError(
                f"`name` must have at most 128 characters. Received: {len(self.name)} characters.", argument="name"
            )

    @property
    def place(self) -> ModelPlace:
        """Where the version lies."""
        return read_model_place("model", self.model, schemes=(IMAGE, "gs"))


class VertexTarget:
    """A version on Vertex AI."""

    name = "vertex"
    summary = "Model, endpoint and a deploy script for Vertex AI."
    options = VertexOptions

    def check(self, version: ServedVersion, options: VertexOptions) -> None:
        """Raises an InputError if the server does not run the version."""
        check_names(version)
        check_can_run(version, options.server, image=options.image, engine=options.engine)

    def render(self, version: ServedVersion, options: VertexOptions) -> tuple[Artefact, ...]:
        """Returns the requests and the script."""
        script = resources.files("tfchain.deployment.targets.vertex").joinpath(SCRIPT).read_text(encoding="utf-8")
        return (
            Artefact("model.json", _to_json(make_model(version, options))),
            Artefact("endpoint.json", _to_json(make_endpoint(version, options))),
            Artefact("deployment.json", _to_json(make_deployment(version, options))),
            Artefact(SCRIPT, script, executable=True),
        )

    def explain(self, version: ServedVersion, options: VertexOptions) -> tuple[str, ...]:
        """Returns the commands."""
        lines = ["pip install google-cloud-aiplatform"]
        if options.place.is_bucket:
            lines.append(
                f"Upload the version first: gcloud storage cp -r .../{version.model_name}/{version.number} "
                f"{options.place.uri(str(version.number))}/ (it must be alone there: {version.number}/{version.number})"
            )
        command = f"python {SCRIPT} --project PROJECT --region REGION"
        if options.canary:
            lines += [
                f"As a canary: {command} --endpoint ENDPOINT --percent {options.canary}",
                f"Promote: {command} --endpoint ENDPOINT --promote",
                f"Roll back: {command} --endpoint ENDPOINT --roll-back",
            ]
        else:
            lines.append(f"{command}, or with --endpoint ENDPOINT to replace what an endpoint serves")
        return tuple(lines)


def make_model(version: ServedVersion, options: VertexOptions) -> dict[str, Any]:
    """Makes the model, as `projects.locations.models.upload` takes it.

    Args:
        version: The version.
        options: What the user chose.
    """
    cores = _CORES.search(options.machine_type)
    measurement = find_measurement(version, server=options.server, engine=options.engine)
    sizing = size_server(version.size_bytes, measurement, cpu=cores[1] if cores else "")
    is_own = options.server == OWN
    command = ServerCommand(
        server=options.server,
        model_name=version.model_name,
        base_path=STORAGE if options.place.is_bucket else f"/models/{version.model_name}",
        threads=sizing.threads,
        grpc_port=GRPC_PORT,
        engine=options.engine,
    )
    health = "/ready" if is_own else status_path(version.model_name, version.number)
    labels = {"model": to_label(version.model_name), "version": str(version.number), "task": version.task or ""}
    model = {
        "displayName": options.name or version.model_name,
        "versionDescription": f"Version {version.number}, fingerprint {version.fingerprint or 'unknown'}",
        "labels": {name: value for name, value in labels.items() if _LABEL.fullmatch(value)},
        "containerSpec": {
            "imageUri": options.image,
            "command": [command.program],
            "args": command.arguments(),
            "ports": [{"containerPort": REST_PORT}],
            "predictRoute": f"{status_path(version.model_name)}:predict",
            "healthRoute": health,
            "deploymentTimeout": f"{max(600, sizing.start_seconds)}s",
        },
    }
    return {**model, "artifactUri": options.place.uri(str(version.number))} if options.place.is_bucket else model


def make_endpoint(version: ServedVersion, options: VertexOptions) -> dict[str, Any]:
    """Makes the endpoint, as `projects.locations.endpoints.create` takes it."""
    return {"displayName": options.name or version.model_name, "labels": {"model": to_label(version.model_name)}}


def make_deployment(version: ServedVersion, options: VertexOptions) -> dict[str, Any]:
    """Makes the deployed model, as `projects.locations.endpoints.deployModel` takes it; the script adds the rest."""
    deployed: dict[str, Any] = {
        "displayName": f"{options.name or version.model_name}-{version.number}",
        "dedicatedResources": {
            "machineSpec": {"machineType": options.machine_type},
            "minReplicaCount": options.replicas,
            "maxReplicaCount": options.max_replicas,
            "autoscalingMetricSpecs": [{"metricName": CPU_METRIC, "target": options.cpu_percent}],
        },
        "enableAccessLogging": False,  # the log would hold what people ask
    }
    return {**deployed, "serviceAccount": options.service_account} if options.service_account else deployed


def _to_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
