"""Vertex AI Pipelines: the JSON of a PipelineJob."""

import json

from tfchain.core.errors import InputError
from tfchain.jobs.lifecycle.targets.kubeflow import make_spec
from tfchain.jobs.lifecycle.targets.pipeline import Pipeline

BUCKET = "/gcs/"


def make_pipeline_job(pipeline: Pipeline) -> str:
    """Writes the PipelineJob that `projects.locations.pipelineJobs.create` takes, and a schedule's request.

    Vertex AI mounts every bucket below `/gcs`, so the file must lie there: `/gcs/my-bucket/lifecycle.yaml`.

    Raises:
        InputError: if there is no image, or the file is not in a bucket.
    """
    pipeline.check_container("vertex-pipelines", needs_volume=False)
    parts = pipeline.config.removeprefix(BUCKET).split("/")
    if not pipeline.config.startswith(BUCKET) or len(parts) < 2:
        raise InputError(
            "For the target vertex-pipelines CONFIG must lie in a bucket as Vertex AI mounts it, such as "
            f"/gcs/my-bucket/lifecycle.yaml. Received: {pipeline.config}."
        )
    root = "/".join([f"gs://{parts[0]}", *parts[1:-1], f"{pipeline.name}-runs"])
    job = {
        "displayName": pipeline.name,
        "pipelineSpec": make_spec(pipeline),
        "runtimeConfig": {"gcsOutputDirectory": root, "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST"},
        "labels": {"made-by": "tfchain"},
    }
    return json.dumps(job, ensure_ascii=False, indent=2) + "\n"
