"""Vertex AI: a training as a CustomJob."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError
from tfchain.jobs.job import Job, check_text

GPU = "NVIDIA_TESLA_T4"
ACCELERATOR = re.compile(r"(?:NVIDIA|TPU)_[A-Z0-9_]+")
LONGEST_NAME = 128


@dataclass(frozen=True, kw_only=True)
class VertexJob(Job):
    """A training on Vertex AI.

    Args:
        image: A container image with tfchain in it, in a registry that Vertex AI can read.
        machine_type: The type of every machine. Default: `n1-standard-8`.

    The kind of accelerator is one of Vertex AI's names; `NVIDIA_TESLA_T4` by default. A bucket is mounted on every
    machine as `/gcs/BUCKET`: use it for file, data, checkpoint and output.

    Raises:
        InputError: if a value is not possible.
    """

    image: str
    machine_type: str = "n1-standard-8"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("image", self.image)
        check_text("machine_type", self.machine_type)
        if len(self.name) > LONGEST_NAME:
            raise InputError(
                f"`name` must have at most {LONGEST_NAME} letters on Vertex AI. Received: {len(self.name)}."
            )
        if not self.config_path.startswith("/"):
            raise InputError(
                "`config_path` must be an absolute path, as the machines see it: /gcs/BUCKET/train.yaml. "
                f"Received: {self.config_path}."
            )
        if self.accelerator is not None and not ACCELERATOR.fullmatch(self.accelerator):
            raise InputError(f"`accelerator` must look like {GPU}. Received: {self.accelerator}.")


def make_custom_job(job: VertexJob) -> dict[str, Any]:
    """Makes a CustomJob: the chief in the first pool, the other workers in the second.

    Vertex AI sets `TF_CONFIG` itself, with the tasks `chief` and `worker`.

    Args:
        job: The job.

    Returns:
        The body of `projects.locations.customJobs.create` (v1) as plain values:
        https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.customJobs
    """
    machine: dict[str, Any] = {"machineType": job.machine_type}
    if job.accelerators:
        machine |= {"acceleratorType": job.accelerator or GPU, "acceleratorCount": job.accelerators}
    container = {"imageUri": job.image, "command": [job.program], "args": job.train_arguments()}
    counts = [1, job.machines - 1] if job.machines > 1 else [1]
    specs = [{"machineSpec": machine, "replicaCount": str(count), "containerSpec": container} for count in counts]
    job_spec: dict[str, Any] = {"workerPoolSpecs": specs}
    if job.machines > 1:
        job_spec["scheduling"] = {"restartJobOnWorkerRestart": True}  # a worker restarted alone is of no use
    return {"displayName": job.name, "jobSpec": job_spec}


def to_json(job: Mapping[str, Any]) -> str:
    """Writes a CustomJob as JSON."""
    return json.dumps(job, ensure_ascii=False, indent=2) + "\n"
