"""The target `kserve`: an InferenceService whose image is pinned, since KServe's own is too old for TF Text."""

from dataclasses import dataclass
from typing import Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.deployment.targets.artefact import Artefact
from tfchain.deployment.targets.model_place import ModelPlace, read_model_place
from tfchain.deployment.targets.options import option
from tfchain.deployment.targets.platform_values import (
    check_image,
    check_label,
    check_object_name,
    check_percent,
    read_quantity,
    to_label,
)
from tfchain.deployment.targets.served_version import ServedVersion
from tfchain.deployment.targets.server_checks import check_can_run
from tfchain.deployment.targets.server_command import STOCK, status_path
from tfchain.deployment.targets.sizing import explain_measurement, find_measurement, size_server
from tfchain.deployment.targets.version_checks import STOCK_IMAGE, check_names
from tfchain.deployment.targets.yaml_text import to_yaml

# KServe's names of its modes since 0.7; it takes them beside the newer Knative and Standard.
SERVERLESS, RAW = "Serverless", "RawDeployment"
REST_PORT = 8080  # of KServe's runtime for TensorFlow, to which the arguments here are added
LONGEST_NAME = 40
USER = 10001


@dataclass(frozen=True)
class KserveOptions:
    """What a user chooses for KServe.

    Raises:
        InputError: if a value is not possible.
    """

    model: str = option("", "where versions are uploaded to: gs://bucket/path, s3://bucket/path or pvc://claim/path")
    name: str = option("", "name of the InferenceService, and of the model in requests; none: the model's name")
    namespace: str = option("", "its namespace; none: that of whoever applies it")
    image: str = option(STOCK_IMAGE, "image of TensorFlow Serving")
    mode: str = option(SERVERLESS, "how KServe runs it: Serverless (Knative) or RawDeployment")
    replicas: int = option(1, "fewest pods; 0 lets Serverless stop all of them")
    max_replicas: int = option(10, "most pods")
    cpu: str = option("", "processors of a pod; none: as measured, else 2")
    memory: str = option("", "limit of a pod's memory; none: from the measurement, else from the version's size")
    service_account: str = option("", "service account that may read the bucket, or holds its secret")
    canary: int = option(0, "percentage of requests for this version beside the live one; 0: all")

    def __post_init__(self) -> None:
        self.place  # noqa: B018 - it is checked by being read
        if self.name:
            check_label("name", self.name, longest=LONGEST_NAME)
        if self.namespace:
            check_label("namespace", self.namespace)
        check_image("image", self.image)
        if self.mode not in (SERVERLESS, RAW):
            raise InputError(f"`mode` must be {SERVERLESS} or {RAW}. Received: mode={self.mode!r}.", argument="mode")
        least = 0 if self.mode == SERVERLESS else 1
        check_whole_number("replicas", self.replicas, least=least, advice=f"Only {SERVERLESS} has none at times.")
        check_whole_number("max_replicas", self.max_replicas, least=max(1, self.replicas))
        for name in ("cpu", "memory"):
            if getattr(self, name):
                read_quantity(name, getattr(self, name))
        if self.service_account:
            check_object_name("service_account", self.service_account)
        check_percent("canary", self.canary, most=99)
        if self.canary and self.mode == RAW:
            raise InputError(
                f"`canary` needs mode={SERVERLESS}: {RAW} sends all requests to the new version. "
                f"Received: canary={self.canary}. Take the target kubernetes, whose canary is a Deployment of its own.",
                argument="canary",
            )

    @property
    def place(self) -> ModelPlace:
        """Where versions are uploaded to."""
        return read_model_place("model", self.model, schemes=("gs", "s3", "pvc"))


class KserveTarget:
    """A version as an InferenceService of KServe."""

    name = "kserve"
    summary = "An InferenceService for KServe, with a share of the requests for a canary."
    options = KserveOptions

    def check(self, version: ServedVersion, options: KserveOptions) -> None:
        """Raises an InputError if the image does not run the version."""
        check_names(version)
        check_can_run(version, STOCK, image=options.image)
        make_inference_service(version, options)

    def render(self, version: ServedVersion, options: KserveOptions) -> tuple[Artefact, ...]:
        """Returns the manifest."""
        return (Artefact("inferenceservice.yaml", to_yaml(make_inference_service(version, options))),)

    def explain(self, version: ServedVersion, options: KserveOptions) -> tuple[str, ...]:
        """Returns the commands."""
        name, number = _name(version, options), str(version.number)
        lines = [
            f"Upload the version first: rclone copy .../{version.model_name}/{number} "
            f"{options.place.uri(number, number)} (twice {number}: KServe copies the outer folder, the server looks "
            "for the inner one)",
            "kubectl apply -f inferenceservice.yaml",
            f"Requests name the model {name}, as the InferenceService: POST /v1/models/{name}:predict",
        ]
        if options.canary:
            lines.append(
                f"{options.canary} % of the requests reach version {number}, the others the version that is live. "
                f"Promote: kubectl patch inferenceservice {name} --type json "
                """-p '[{"op": "remove", "path": "/spec/predictor/canaryTrafficPercent"}]'; """
                "roll back: the same with op replace and value 0."
            )
        return (*lines, *explain_measurement(version, server=STOCK))


def make_inference_service(version: ServedVersion, options: KserveOptions) -> dict[str, Any]:
    """Makes the InferenceService (serving.kserve.io/v1beta1).

    Args:
        version: The version.
        options: What the user chose.
    """
    name = _name(version, options)
    measurement = find_measurement(version, server=STOCK)
    sizing = size_server(version.size_bytes, measurement, cpu=options.cpu, memory=options.memory)
    # Added to the runtime's: its ports, and /mnt/models as the base path.
    arguments = [
        f"--model_name={name}",
        "--file_system_poll_wait_seconds=0",
        "--max_num_load_retries=0",
        f"--tensorflow_intra_op_parallelism={sizing.threads}",
        f"--tensorflow_inter_op_parallelism={sizing.threads}",
    ]
    resources = {
        "requests": {"cpu": sizing.cpu, "memory": sizing.memory_request},
        "limits": {"memory": sizing.memory_limit},
    }
    ready = {"httpGet": {"path": status_path(name, version.number), "port": REST_PORT}}
    predictor: dict[str, Any] = {"minReplicas": options.replicas, "maxReplicas": options.max_replicas}
    if options.mode == RAW:
        predictor |= {"scaleMetric": "cpu", "scaleTarget": 70}
    elif sizing.requests_per_second:
        predictor |= {"scaleMetric": "rps", "scaleTarget": sizing.requests_per_second}
    if options.canary:
        predictor["canaryTrafficPercent"] = options.canary
    if options.service_account:
        predictor["serviceAccountName"] = options.service_account
    predictor["model"] = {
        "modelFormat": {"name": "tensorflow", "version": "2"},
        "storageUri": options.place.uri(str(version.number)),
        "image": options.image,
        "args": arguments,
        "resources": resources,
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 3},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    metadata: dict[str, Any] = {"name": name}
    if options.namespace:
        metadata["namespace"] = options.namespace
    metadata["labels"] = {"app.kubernetes.io/name": name, "app.kubernetes.io/version": str(version.number)}
    metadata["annotations"] = {"serving.kserve.io/deploymentMode": options.mode}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": predictor},
    }


def _name(version: ServedVersion, options: KserveOptions) -> str:
    return options.name or to_label(version.model_name, longest=LONGEST_NAME)
