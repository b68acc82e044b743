"""What all manifests of a version share: names, labels, sizes and the server's configuration."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tfchain.deployment.targets.batching_file import make_batching_file
from tfchain.deployment.targets.kubernetes.options import LONGEST_NAME, KubernetesOptions
from tfchain.deployment.targets.platform_values import to_label
from tfchain.deployment.targets.served_version import ServedVersion
from tfchain.deployment.targets.server_command import MONITORING, STOCK, ServerCommand
from tfchain.deployment.targets.sizing import Sizing, find_measurement, size_server

APP = "app.kubernetes.io/name"
VERSION = "app.kubernetes.io/version"
TRACK = "tfchain/track"
STABLE, CANARY = "stable", "canary"
CONFIG_PATH = "/etc/serving"
MONITORING_FILE, BATCHING_FILE = "monitoring.pbtxt", "batching.pbtxt"
KEYS_PATH = "/etc/keys"
KEYS_FILE = "api-keys"  # in the secret: a file with one key a line
METRICS_KEY = "metrics-key"  # in the secret: the key that Prometheus sends
PLAIN_TEXT = re.compile(r"[A-Za-z0-9._-]{1,128}")  # a version's files may say anything, such as a template of Helm


@dataclass(frozen=True)
class ClusterPlan:
    """A version on Kubernetes.

    Args:
        name: The name of its objects.
        namespace: The namespace of production.
        model_name: The model's name in requests.
        number: The version's number.
        size_bytes: The size of its files.
        task: Its task; empty for versions that tfchain did not export.
        fingerprint: Its fingerprint; empty if it has none.
        sizing: The size of a pod.
        options: What the user chose.
        files: The server's configuration: file → content.
        track: `stable`, or `canary` for pods that take a part of the requests. Default: `stable`.
    """

    name: str
    namespace: str
    model_name: str
    number: int
    size_bytes: int
    task: str
    fingerprint: str
    sizing: Sizing
    options: KubernetesOptions
    files: Mapping[str, str]
    track: str = STABLE

    @property
    def workload(self) -> str:
        """The name of the Deployment."""
        return self.name if self.track == STABLE else f"{self.name}-{self.track}"

    @property
    def config_name(self) -> str:
        """The name of the ConfigMap with the server's configuration."""
        return f"{self.workload}-config"

    @property
    def version_path(self) -> str:
        """The version's folder in a pod."""
        return f"{self.base_path}/{self.number}"

    @property
    def base_path(self) -> str:
        """The folder of version folders in a pod."""
        return f"{self.options.place.models_path}/{self.model_name}"

    @property
    def is_stock(self) -> bool:
        """Whether stock TensorFlow Serving runs the version."""
        return self.options.server == STOCK

    def selector(self) -> dict[str, str]:
        """Returns the labels that tell this Deployment's pods from all others; they never change."""
        return {APP: self.name, TRACK: self.track}

    def labels(self) -> dict[str, str]:
        """Returns the labels of the pods and the Deployment."""
        return {**self.selector(), VERSION: str(self.number)}

    def annotations(self) -> dict[str, str]:
        """Returns what else the pods say of themselves; a changed configuration starts new pods."""
        values = {"tfchain/model": self.model_name, "tfchain/task": self.task, "tfchain/fingerprint": self.fingerprint}
        values = {name: value for name, value in values.items() if PLAIN_TEXT.fullmatch(value)}
        if self.files:
            text = json.dumps(dict(self.files), sort_keys=True)
            values["tfchain/config"] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return values

    def command(self) -> ServerCommand:
        """Returns how the server is started."""
        return ServerCommand(
            server=self.options.server,
            model_name=self.model_name,
            base_path=self.base_path,
            threads=self.sizing.threads,
            engine=self.options.engine,
            monitoring_file=f"{CONFIG_PATH}/{MONITORING_FILE}" if MONITORING_FILE in self.files else "",
            batching_file=f"{CONFIG_PATH}/{BATCHING_FILE}" if BATCHING_FILE in self.files else "",
            api_key_file=f"{KEYS_PATH}/{KEYS_FILE}" if self.options.api_key_secret else "",
        )


def make_plan(version: ServedVersion, options: KubernetesOptions, *, track: str = STABLE) -> ClusterPlan:
    """Makes the plan of a version.

    Args:
        version: The version.
        options: What the user chose.
        track: `stable` or `canary`. Default: `stable`.

    Raises:
        InputError: if no name for objects can be made of the model's name, or the version cannot be batched.
    """
    name = options.name or to_label(version.model_name, longest=LONGEST_NAME)
    measurement = find_measurement(version, server=options.server, engine=options.engine)
    files = {MONITORING_FILE: MONITORING} if options.server == STOCK else {}
    if options.batching and (parameters := make_batching_file(version, measurement)):
        files[BATCHING_FILE] = parameters
    return ClusterPlan(
        name=name,
        namespace=options.namespace or name,
        model_name=version.model_name,
        number=version.number,
        size_bytes=version.size_bytes,
        task=version.task or "",
        fingerprint=version.fingerprint or "",
        sizing=size_server(version.size_bytes, measurement, cpu=options.cpu, memory=options.memory),
        options=options,
        files=files,
        track=track,
    )
