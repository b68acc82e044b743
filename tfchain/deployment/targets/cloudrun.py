"""The target `cloudrun`: a service.yaml for Cloud Run, in Knative's form, with the version on the image or a bucket."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.deployment.targets.artefact import Artefact
from tfchain.deployment.targets.model_place import IMAGE, ModelPlace, read_model_place
from tfchain.deployment.targets.options import option
from tfchain.deployment.targets.platform_values import check_image, check_label, check_percent, to_label
from tfchain.deployment.targets.served_version import ServedVersion
from tfchain.deployment.targets.server_checks import check_can_run
from tfchain.deployment.targets.server_command import OWN, REST_PORT, SERVERS, STOCK, ServerCommand, status_path
from tfchain.deployment.targets.sizing import explain_measurement, find_measurement, size_server
from tfchain.deployment.targets.version_checks import STOCK_IMAGE, check_names
from tfchain.deployment.targets.yaml_text import to_yaml

ENGINES = ("auto", "native", "litert", "tensorflow")
# Processors of an instance → the least and the most memory beside them, in MiB:
# https://cloud.google.com/run/docs/configuring/services/memory-limits
CPUS = {1: (512, 4096), 2: (512, 8192), 4: (2048, 16_384), 6: (4096, 24_576), 8: (4096, 32_768)}
INGRESSES = ("all", "internal", "internal-and-cloud-load-balancing")
LONGEST_NAME = 40
STEP_SECONDS = 10
MOST_START_SECONDS = 240  # Cloud Run waits no longer for a start


@dataclass(frozen=True)
class CloudRunOptions:
    """What a user chooses for Cloud Run.

    Raises:
        InputError: if a value is not possible.
    """

    image: str = option("", f"image of the server; with the version in it for model=image; none: {STOCK_IMAGE}")
    model: str = option(IMAGE, "where the version lies: image, or gs://bucket/path, which is mounted")
    name: str = option("", "name of the service; none: made of the model's name")
    server: str = option(STOCK, "what the image runs: stock (TensorFlow Serving), or own (tfchain's)")
    engine: str = option("auto", "what answers in tfchain's server: auto, native, litert or tensorflow")
    cpu: int = option(0, "processors of an instance: 1, 2, 4, 6 or 8; 0: as measured, else 2")
    memory: str = option("", "an instance's memory; none: from the measurement, else from the version's size")
    min_instances: int = option(1, "fewest instances; 0 stops all, and the next request waits for a start")
    max_instances: int = option(10, "most instances")
    concurrency: int = option(0, "requests of an instance at the same time; 0: four for each processor")
    service_account: str = option("", "e-mail address of the service account, which may read the bucket")
    ingress: str = option("all", "who may connect: all, internal or internal-and-cloud-load-balancing")
    canary: int = option(0, "percentage of requests for this version beside the live revision; 0: all")
    live_revision: str = option("", "name of the live revision, for a canary")

    def __post_init__(self) -> None:
        if self.place.scheme == IMAGE and not self.image:
            raise InputError(
                "`image` must name the image with the version in it, which the target docker builds. Received: none. "
                "Give image=europe-docker.pkg.dev/project/models/docs:3, or model=gs://bucket/models/docs.",
                argument="image",
            )
        if self.image:
            check_image("image", self.image)
        if self.name:
            check_label("name", self.name, longest=LONGEST_NAME)
        choices = (("server", SERVERS), ("engine", ENGINES), ("ingress", INGRESSES), ("cpu", (0, *CPUS)))
        for option_name, known in choices:
            if getattr(self, option_name) not in known:
                raise InputError(
                    f"`{option_name}` must be one of {', '.join(map(str, known))}. "
                    f"Received: {option_name}={getattr(self, option_name)!r}.",
                    argument=option_name,
                )
        if self.server == OWN and not self.image:
            raise InputError("`image` must name the image of tfchain's server. Received: none.", argument="image")
        check_whole_number("min_instances", self.min_instances, least=0)
        check_whole_number("max_instances", self.max_instances, least=max(1, self.min_instances))
        check_whole_number("concurrency", self.concurrency, least=0)
        check_percent("canary", self.canary, most=99)
        if self.service_account and ("@" not in self.service_account or " " in self.service_account):
            raise InputError(
                "`service_account` must be an e-mail address, such as docs@project.iam.gserviceaccount.com. "
                f"Received: service_account={self.service_account!r}.",
                argument="service_account",
            )
        if bool(self.canary) != bool(self.live_revision):
            raise InputError(
                "`canary` and `live_revision` go together: the live revision keeps the other requests. Received: "
                f"canary={self.canary}, live_revision={self.live_revision!r}. "
                "`gcloud run revisions list` shows the revisions.",
                argument="live_revision",
            )
        if self.live_revision:
            check_label("live_revision", self.live_revision)

    @property
    def place(self) -> ModelPlace:
        """Where the version lies."""
        return read_model_place("model", self.model, schemes=(IMAGE, "gs"))


class CloudRunTarget:
    """A version as a service of Cloud Run."""

    name = "cloudrun"
    summary = "A service.yaml for Cloud Run, with the version on the image or on a bucket."
    options = CloudRunOptions

    def check(self, version: ServedVersion, options: CloudRunOptions) -> None:
        """Raises an InputError if the server does not run the version, or it is too large for an instance."""
        check_names(version)
        check_can_run(version, options.server, image=options.image or STOCK_IMAGE, engine=options.engine)
        size_instance(version, options)

    def render(self, version: ServedVersion, options: CloudRunOptions) -> tuple[Artefact, ...]:
        """Returns the manifest."""
        return (Artefact("service.yaml", to_yaml(make_service(version, options))),)

    def explain(self, version: ServedVersion, options: CloudRunOptions) -> tuple[str, ...]:
        """Returns the commands."""
        lines = []
        if options.place.is_bucket:
            lines.append(
                f"Upload the version first: gcloud storage cp -r .../{version.model_name}/{version.number} "
                f"{options.place.uri()}/"
            )
        lines.append("gcloud run services replace service.yaml --region REGION")
        if options.canary:
            new = make_service(version, options)["spec"]["template"]["metadata"]["name"]
            name = _name(version, options)
            lines.append(
                f"Promote: gcloud run services update-traffic {name} --to-revisions {new}=100; roll back: with "
                f"{options.live_revision}=100."
            )
        lines.append("The REST API answers; Cloud Run has one port for a service, so gRPC does not.")
        return (*lines, *explain_measurement(version, server=options.server, engine=options.engine))


def size_instance(version: ServedVersion, options: CloudRunOptions) -> tuple[int, int]:
    """Returns the processors and the memory (MiB) of an instance that Cloud Run has.

    Raises:
        InputError: if there is no such instance.
    """
    measurement = find_measurement(version, server=options.server, engine=options.engine)
    sizing = size_server(version.size_bytes, measurement, memory=options.memory)
    needed, cores = sizing.memory_limit_mib, options.cpu or sizing.threads
    for cpu, (least, most) in CPUS.items():
        if (cpu == options.cpu if options.cpu else cpu >= cores or cpu == max(CPUS)) and needed <= most:
            return cpu, max(least, needed)
    most = CPUS[options.cpu or max(CPUS)][1]
    way = "Give a larger cpu" if options.cpu and options.cpu < max(CPUS) else "Take the target kubernetes or vertex"
    raise InputError(
        f"Version {version.number} of {version.model_name} needs {needed}Mi of memory, and an instance of Cloud Run "
        f"{f'with {options.cpu} processors ' if options.cpu else ''}has at most {most}Mi. {way}."
    )


def make_service(version: ServedVersion, options: CloudRunOptions) -> dict[str, Any]:
    """Makes the service (serving.knative.dev/v1, as Cloud Run takes it).

    Args:
        version: The version.
        options: What the user chose.
    """
    name = _name(version, options)
    template = _make_template(version, options)
    # A revision is never changed, only followed by another: its name follows from all that it is.
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
    revision = f"{name}-v{version.number}-{digest}"
    template["metadata"] = {"name": revision, **template["metadata"]}
    if options.canary:
        traffic: list[dict[str, Any]] = [
            {"revisionName": options.live_revision, "percent": 100 - options.canary},
            {"revisionName": revision, "percent": options.canary, "tag": "canary"},
        ]
    else:
        traffic = [{"revisionName": revision, "percent": 100}]
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "annotations": {"run.googleapis.com/ingress": options.ingress}},
        "spec": {"template": template, "traffic": traffic},
    }


def _make_template(version: ServedVersion, options: CloudRunOptions) -> dict[str, Any]:
    cpu, memory = size_instance(version, options)
    measurement = find_measurement(version, server=options.server, engine=options.engine)
    sizing = size_server(version.size_bytes, measurement, cpu=str(cpu), memory=options.memory)
    command = ServerCommand(
        server=options.server,
        model_name=version.model_name,
        base_path=f"{options.place.models_path}/{version.model_name}",
        threads=sizing.threads,
        grpc_port=0 if options.server == OWN else 8500,  # a stock server does not start without
        engine=options.engine,
    )
    ready = "/ready" if options.server == OWN else status_path(version.model_name, version.number)
    start = min(MOST_START_SECONDS, sizing.start_seconds)
    container: dict[str, Any] = {
        "name": "server",
        "image": options.image or STOCK_IMAGE,
        "command": [command.program],
        "args": command.arguments(),
        "ports": [{"name": "http1", "containerPort": REST_PORT}],
        "resources": {"limits": {"cpu": str(cpu), "memory": f"{memory}Mi"}},
        "startupProbe": {
            "httpGet": {"path": ready, "port": REST_PORT},
            "periodSeconds": STEP_SECONDS,
            "timeoutSeconds": 5,
            "failureThreshold": -(-start // STEP_SECONDS),
        },
    }
    spec: dict[str, Any] = {
        "containerConcurrency": options.concurrency or 4 * sizing.threads,
        "timeoutSeconds": 60,
        "containers": [container],
    }
    if options.service_account:
        spec["serviceAccountName"] = options.service_account
    if options.place.is_bucket:
        folder = options.place.below(str(version.number))
        attributes = {"bucketName": options.place.root, "mountOptions": f"implicit-dirs,only-dir={folder}"}
        driver = {"driver": "gcsfuse.run.googleapis.com", "readOnly": True, "volumeAttributes": attributes}
        spec["volumes"] = [{"name": "model", "csi": driver}]
        mount = f"{options.place.models_path}/{version.model_name}/{version.number}"
        container["volumeMounts"] = [{"name": "model", "mountPath": mount, "readOnly": True}]
    annotations = {
        "autoscaling.knative.dev/minScale": str(options.min_instances),
        "autoscaling.knative.dev/maxScale": str(options.max_instances),
        "run.googleapis.com/execution-environment": "gen2",
        "run.googleapis.com/startup-cpu-boost": "true",
    }
    return {"metadata": {"annotations": annotations}, "spec": spec}


def _name(version: ServedVersion, options: CloudRunOptions) -> str:
    return options.name or to_label(version.model_name, longest=LONGEST_NAME)
