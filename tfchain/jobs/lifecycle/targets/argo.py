"""Argo Workflows: a Workflow to run now, and a CronWorkflow for the schedule, with the same graph."""

from typing import Any

from tfchain.jobs.lifecycle.targets.kubeflow import to_yaml
from tfchain.jobs.lifecycle.targets.pipeline import Pipeline, PipelineStep

API = "argoproj.io/v1alpha1"
WAITING = 3  # the exit code of a step that waits for a person
VOLUME = "lifecycle"


def make_workflows(pipeline: Pipeline) -> str:
    """Writes both manifests, for `argo submit` (the first) and `kubectl apply` (the second).

    Raises:
        InputError: if there is no image or no volume.
    """
    pipeline.check_container("argo")
    spec = make_spec(pipeline)
    workflow = {
        "apiVersion": API,
        "kind": "Workflow",
        "metadata": {"generateName": f"{pipeline.name}-"},
        "spec": spec,
    }
    cron = {
        "apiVersion": API,
        "kind": "CronWorkflow",
        "metadata": {"name": pipeline.name},
        "spec": {
            "schedules": [pipeline.schedule],
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "workflowSpec": spec,
        },
    }
    return to_yaml(workflow) + "---\n" + to_yaml(cron)


def make_spec(pipeline: Pipeline) -> dict[str, Any]:
    """Makes the specification of a workflow."""
    tasks = [make_task(step) for step in pipeline.steps]
    return {
        "entrypoint": "cycle",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": VOLUME, "persistentVolumeClaim": {"claimName": pipeline.volume}}],
        "templates": [
            {"name": "cycle", "dag": {"tasks": tasks}},
            *(make_template(pipeline, step) for step in pipeline.steps),
        ],
    }


def make_task(step: PipelineStep) -> dict[str, Any]:
    """Makes the node of a step."""
    task: dict[str, Any] = {"name": step.name, "template": f"step-{step.name}"}
    if step.needs:
        task["dependencies"] = list(step.needs)
    return task


def make_template(pipeline: Pipeline, step: PipelineStep) -> dict[str, Any]:
    """Makes the container of a step; one that waits for a person is tried again every five minutes."""
    retry: dict[str, Any] = {
        "limit": 2,
        "retryPolicy": "Always",
        "backoff": {"duration": "60s", "factor": 2},
    }
    if step.approve:
        retry = {
            "limit": 4032,  # two weeks
            "retryPolicy": "Always",
            "expression": f"asInt(lastRetry.exitCode) == {WAITING} || asInt(lastRetry.exitCode) > 128",
            "backoff": {"duration": "300s"},
        }
    return {
        "name": f"step-{step.name}",
        "retryStrategy": retry,
        "container": {
            "image": pipeline.image,
            "command": [step.command[0]],
            "args": list(step.command[1:]),
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": VOLUME, "mountPath": pipeline.mount_path}],
        },
    }
