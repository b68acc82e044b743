"""Kubernetes: a training as a JobSet, or as a TFJob of the Kubeflow training operator."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.jobs.job import Job, check_text

GPU = "nvidia.com/gpu"
TPU = "google.com/tpu"
PORT = 2222
LABEL = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
QUANTITY = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:m|k|M|G|T|Ki|Mi|Gi|Ti)?")
RESOURCE = re.compile(r"[a-z0-9.-]+/[A-Za-z0-9._-]+")
LONGEST_NAME = 63
REPLICATED_JOB = "worker"
INDEX = "JOB_COMPLETION_INDEX"  # Kubernetes sets it in the pods of an indexed job, by this annotation
INDEX_ANNOTATION = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


@dataclass(frozen=True, kw_only=True)
class KubernetesJob(Job):
    """A training on Kubernetes.

    Args:
        image: A container image with tfchain in it.
        namespace: The namespace. Default: that of whoever applies the manifest.
        volume: A persistent volume claim that all pods can write to (ReadWriteMany if there are several machines), for
            data, checkpoints and the trained model. Default: none.
        mount_path: Where the volume is mounted. Default: `/data`.
        cpu: Cores that each pod requests, `8` or `500m`. Default: what the cluster gives.
        memory: Memory of each pod, `32Gi`. Default: what the cluster gives.
        node_selector: Labels that a node must have, such as the kind of its GPU. Default: none.
        max_restarts: How often all pods are restarted after one has failed. With `checkpoint` in the training's file
            they resume where they stopped. Default: 3.

    The kind of accelerator is the name of a resource; `nvidia.com/gpu` by default.

    Raises:
        InputError: if a value is not possible.
    """

    image: str
    namespace: str | None = None
    volume: str | None = None
    mount_path: str = "/data"
    cpu: str | None = None
    memory: str | None = None
    node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict)
    max_restarts: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole_number("max_restarts", self.max_restarts, least=0)
        check_text("image", self.image)
        for name in ("config_path", "mount_path"):
            if not getattr(self, name).startswith("/"):
                raise InputError(
                    f"`{name}` must be an absolute path, as the pods see it. Received: {getattr(self, name)}."
                )
        for name, pattern, example in (
            ("name", LABEL, "search-training"),
            ("namespace", LABEL, "training"),
            ("volume", re.compile(rf"{LABEL.pattern}(?:\.{LABEL.pattern})*"), "training-data"),
            ("cpu", QUANTITY, "8"),
            ("memory", QUANTITY, "32Gi"),
            ("accelerator", RESOURCE, GPU),
        ):
            value = getattr(self, name)
            if value is not None and not pattern.fullmatch(value):
                raise InputError(f"`{name}` must look like {example}. Received: {name}={value!r}.")
        # A pod's name is the job's name, the pod's number and five letters.
        longest = f"{self.host_name(self.machines - 1)}-abcde"
        if len(longest) > LONGEST_NAME:
            raise InputError(
                f"`name` must be at most {len(self.name) - len(longest) + LONGEST_NAME} letters long, so that the "
                f"pods' names are not longer than {LONGEST_NAME}. Received: {self.name}, {len(self.name)} letters."
            )
        if self.accelerator == TPU and self.machines > 1:
            raise InputError(
                "`machines` must be 1 for TPUs on Kubernetes: TensorFlow runs a slice of several machines by TPU "
                f"workers that pods do not have. Received: {self.machines}. Take one machine with more chips, or GPUs."
            )

    def host_name(self, index: int) -> str:
        """A pod's name in the network of its JobSet."""
        return f"{self.name}-{REPLICATED_JOB}-0-{index}"


def make_jobset(job: KubernetesJob) -> dict[str, Any]:
    """Makes a JobSet: one indexed job with one pod per machine, all restarted when one fails.

    The JobSet's headless service gives the pods names; each pod makes its `TF_CONFIG` from these names and its index.

    Args:
        job: The job.

    Returns:
        The manifest as plain values. JobSet v1alpha2: https://jobset.sigs.k8s.io/docs/reference/jobset.v1alpha2/
    """
    arguments = job.train_arguments()
    environment = []
    if job.machines > 1:
        hosts = [f"{job.host_name(index)}.{job.name}:{PORT}" for index in range(job.machines)]
        arguments += ["--worker-hosts", ",".join(hosts), "--worker-index", f"$({INDEX})"]
        environment.append({"name": INDEX, "valueFrom": {"fieldRef": {"fieldPath": INDEX_ANNOTATION}}})
    pod = make_pod(job, "tfchain", arguments, environment)
    pod["spec"]["restartPolicy"] = "Never"  # a pod restarted alone would find the others gone
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": make_metadata(job),
        "spec": {
            "network": {"enableDNSHostnames": True, "subdomain": job.name},
            "failurePolicy": {"maxRestarts": job.max_restarts},
            "replicatedJobs": [
                {
                    "name": REPLICATED_JOB,
                    "replicas": 1,
                    "template": {
                        "spec": {
                            "parallelism": job.machines,
                            "completions": job.machines,
                            "completionMode": "Indexed",
                            "backoffLimit": 0,
                            "template": pod,
                        }
                    },
                }
            ],
        },
    }


def make_tfjob(job: KubernetesJob) -> dict[str, Any]:
    """Makes a TFJob, for clusters with Kubeflow's training operator, which sets `TF_CONFIG` itself.

    Args:
        job: The job.

    Returns:
        The manifest as plain values. TFJob v1: https://www.kubeflow.org/docs/components/trainer/legacy-v1/
    """
    pod = make_pod(job, "tensorflow", job.train_arguments(), [])  # the operator looks for this name
    policy: dict[str, Any] = {"cleanPodPolicy": "Running"}
    if job.max_restarts:
        # The operator counts the restarts of all pods together, and gives up when the limit is reached.
        policy["backoffLimit"] = job.max_restarts * job.machines + 1
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": make_metadata(job),
        "spec": {
            "runPolicy": policy,
            "tfReplicaSpecs": {
                "Worker": {
                    "replicas": job.machines,
                    "restartPolicy": "OnFailure" if job.max_restarts else "Never",
                    "template": pod,
                }
            },
        },
    }


def make_metadata(job: KubernetesJob) -> dict[str, Any]:
    """Makes the metadata: name and namespace."""
    return {"name": job.name, **({"namespace": job.namespace} if job.namespace else {})}


def make_pod(
    job: KubernetesJob, container_name: str, arguments: list[str], environment: list[dict[str, Any]]
) -> dict[str, Any]:
    """Makes the template of a pod with one container."""
    container: dict[str, Any] = {
        "name": container_name,
        "image": job.image,
        "command": [job.program],
        "args": arguments,
        "ports": [{"name": "tfjob-port", "containerPort": PORT}],
    }
    spec: dict[str, Any] = {"containers": [container]}
    mounts, volumes = [], []
    requests = {name: value for name, value in (("cpu", job.cpu), ("memory", job.memory)) if value}
    limits = {"memory": job.memory} if job.memory else {}
    if job.accelerators:
        resource = job.accelerator or GPU
        limits[resource] = str(job.accelerators)
        spec["tolerations"] = [{"key": resource, "operator": "Exists", "effect": "NoSchedule"}]
        # NCCL passes data between GPUs through shared memory; a container's default of 64 MiB is too little.
        mounts.append({"name": "shared-memory", "mountPath": "/dev/shm"})
        volumes.append({"name": "shared-memory", "emptyDir": {"medium": "Memory"}})
    if job.volume:
        mounts.append({"name": "data", "mountPath": job.mount_path})
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": job.volume}})
    resources = {name: values for name, values in (("requests", requests), ("limits", limits)) if values}
    for name, value in (("env", environment), ("resources", resources), ("volumeMounts", mounts)):
        if value:
            container[name] = value
    if volumes:
        spec["volumes"] = volumes
    if job.node_selector:
        spec["nodeSelector"] = dict(job.node_selector)
    return {"spec": spec}


def to_yaml(manifest: Mapping[str, Any]) -> str:
    """Writes a manifest as YAML."""
    text: str = yaml.safe_dump(dict(manifest), sort_keys=False, allow_unicode=True, width=120)
    return text
