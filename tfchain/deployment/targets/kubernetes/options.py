"""The options of Kubernetes, checked when they are made."""

import re
from dataclasses import dataclass

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.deployment.targets.model_place import IMAGE, ModelPlace, read_model_place
from tfchain.deployment.targets.options import option
from tfchain.deployment.targets.platform_values import (
    check_image,
    check_label,
    check_object_name,
    check_percent,
    read_quantity,
)
from tfchain.deployment.targets.server_command import OWN, SERVERS, STOCK
from tfchain.deployment.targets.version_checks import STOCK_IMAGE

ENGINES = ("auto", "native", "litert", "tensorflow")
LOADER_IMAGE = "rclone/rclone:1.68.2"  # reads both kinds of bucket, without a shell, and runs as any user
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
LONGEST_NAME = 40  # objects and pods get up to 23 characters more: -servicemonitor, or -canary-<10>-<5>


@dataclass(frozen=True)
class KubernetesOptions:
    """What a user chooses for Kubernetes.

    Raises:
        InputError: if a value is not possible.
    """

    name: str = option("", "name of all objects; none: made of the model's name")
    namespace: str = option("", "namespace of the overlay prod; dev gets -dev behind it; none: the name")
    model: str = option(
        IMAGE, "where pods find the version: image, pvc://claim/path, gs://bucket/path, s3://bucket/path"
    )
    image: str = option("", f"image of the server; with the version in it for model=image; none: {STOCK_IMAGE}")
    server: str = option(STOCK, "what the image runs: stock (TensorFlow Serving), or own (tfchain's)")
    engine: str = option("auto", "what answers in tfchain's server: auto, native, litert or tensorflow")
    batching: bool = option(False, "whether a stock server joins the requests of different clients, as measured")
    loader_image: str = option(LOADER_IMAGE, "image of rclone, which fetches the version from a bucket")
    region: str = option("", "region of an s3:// bucket; none: rclone finds it")
    replicas: int = option(2, "fewest pods in prod")
    max_replicas: int = option(10, "most pods in prod")
    cpu: str = option("", "processors of a pod; none: as measured, else 2")
    memory: str = option("", "limit of a pod's memory; none: from the measurement, else from the version's size")
    cpu_percent: int = option(70, "share of the requested processors above which pods are added")
    requests_per_second: int = option(0, "requests of one pod above which pods are added; 0: from the measurement")
    service_account: str = option("", "service account of the pods, which may read the bucket; none: the namespace's")
    credentials_secret: str = option("", "secret with the bucket's keys: AWS_ACCESS_KEY_ID, …, or key.json for gs://")
    api_key_secret: str = option(
        "", "secret with api-keys, a file of keys, and metrics-key, one of them (tfchain's server)"
    )
    client_namespaces: tuple[str, ...] = option((), "other namespaces whose pods may ask; none: this namespace alone")
    monitoring_namespace: str = option("monitoring", "namespace of Prometheus")
    canary: int = option(0, "percentage of requests for this version beside the live one; 0: none")

    def __post_init__(self) -> None:
        place = self.place
        self._check_names()
        self._check_server()
        check_image("loader_image", self.loader_image)
        if place.scheme == IMAGE and not self.image:
            raise InputError(
                "`image` must name the image with the version in it, which the target docker builds. Received: none. "
                "Give image=registry.example.com/docs:3, or model=gs://…, s3://… or pvc://….",
                argument="image",
            )
        for name in ("cpu", "memory"):
            if getattr(self, name):
                read_quantity(name, getattr(self, name))
        check_whole_number("replicas", self.replicas)
        check_whole_number(
            "max_replicas", self.max_replicas, least=self.replicas, advice="It is at least `replicas`, the fewest."
        )
        check_percent("cpu_percent", self.cpu_percent, least=1)
        check_whole_number("requests_per_second", self.requests_per_second, least=0)
        check_percent("canary", self.canary, most=50)
        if self.region and (place.scheme != "s3" or not _REGION.fullmatch(self.region)):
            raise InputError(
                "`region` must be the region of an s3:// bucket, such as eu-central-1. Received: "
                f"region={self.region!r}, model={self.model}.",
                argument="region",
            )
        if self.credentials_secret and not place.is_bucket:
            raise InputError(
                f"`credentials_secret` is for a bucket. Received: model={self.model}. Leave one of them out.",
                argument="credentials_secret",
            )

    @property
    def place(self) -> ModelPlace:
        """Where pods find the version."""
        return read_model_place("model", self.model)

    @property
    def server_image(self) -> str:
        """The image of the server."""
        return self.image or STOCK_IMAGE

    def _check_names(self) -> None:
        if self.name:
            check_label("name", self.name, longest=LONGEST_NAME)
        if self.namespace:
            check_label("namespace", self.namespace, longest=59)  # -dev follows
        check_label("monitoring_namespace", self.monitoring_namespace)
        for namespace in self.client_namespaces:
            check_label("client_namespaces", namespace)
        for name in ("service_account", "credentials_secret", "api_key_secret"):
            if getattr(self, name):
                check_object_name(name, getattr(self, name))

    def _check_server(self) -> None:
        for name, known in (("server", SERVERS), ("engine", ENGINES)):
            if getattr(self, name) not in known:
                raise InputError(
                    f"`{name}` must be one of {', '.join(known)}. Received: {name}={getattr(self, name)!r}.",
                    argument=name,
                )
        if self.image:
            check_image("image", self.image)
        elif self.server == OWN:
            raise InputError(
                "`image` must name the image of tfchain's server, which the target docker builds. Received: none.",
                argument="image",
            )
        if self.batching and self.server != STOCK:
            raise InputError(
                "`batching` is for server=stock: tfchain's server batches texts by itself. Leave it out.",
                argument="batching",
            )
        if self.api_key_secret and self.server != OWN:
            raise InputError(
                "`api_key_secret` is for server=own: stock TensorFlow Serving knows no keys. "
                f"Received: server={self.server}. Put a gateway in front of it, or take server=own.",
                argument="api_key_secret",
            )
