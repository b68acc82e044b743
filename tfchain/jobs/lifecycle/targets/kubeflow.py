"""Kubeflow Pipelines: the compiled form of a pipeline (IR, schema 2.1.0), with the volume in its platform part."""

from typing import Any

import yaml

from tfchain.jobs.lifecycle.targets.pipeline import Pipeline, PipelineStep

SCHEMA = "2.1.0"
SDK = "kfp-2.17.3"  # the SDK whose compiler writes this form
APPROVAL_RETRIES = 288  # with an hour between them: twelve days
HOUR = "3600s"


def make_kubeflow(pipeline: Pipeline) -> str:
    """Writes the pipeline, to be uploaded as it is, or loaded by `kfp.components.load_component_from_file`.

    Raises:
        InputError: if there is no image or no volume.
    """
    _, volume = pipeline.check_container("kubeflow")
    claim = {"constant": volume, "pvcNameParameter": {"runtimeValue": {"constant": volume}}}  # old and new backends
    mounts = {"pvcMount": [{**claim, "mountPath": pipeline.mount_path}]}
    platform = {
        "platforms": {
            "kubernetes": {"deploymentSpec": {"executors": {f"exec-{step.name}": mounts for step in pipeline.steps}}}
        }
    }
    head = (
        f"# PIPELINE DEFINITION\n# Name: {pipeline.name}\n"
        f"# Recurring run: kfp.Client().create_recurring_run(experiment_id=…, job_name={pipeline.name!r},\n"
        f"#   cron_expression='0 {pipeline.schedule}', max_concurrency=1, no_catchup=True, pipeline_package_path=…)\n"
    )
    documents = [to_yaml(make_spec(pipeline)), to_yaml(platform)]
    return head + "---\n".join(documents)


def make_spec(pipeline: Pipeline) -> dict[str, Any]:
    """Makes the pipeline's specification, which Vertex AI takes too."""
    image, _ = pipeline.check_container("kubeflow", needs_volume=False)
    return {
        "components": {f"comp-{step.name}": {"executorLabel": f"exec-{step.name}"} for step in pipeline.steps},
        "deploymentSpec": {
            "executors": {
                f"exec-{step.name}": {
                    "container": {"image": image, "command": [step.command[0]], "args": list(step.command[1:])}
                }
                for step in pipeline.steps
            }
        },
        "pipelineInfo": {"name": pipeline.name},
        "root": {"dag": {"tasks": {step.name: make_task(step) for step in pipeline.steps}}},
        "schemaVersion": SCHEMA,
        "sdkVersion": SDK,
    }


def make_task(step: PipelineStep) -> dict[str, Any]:
    """Makes a task. It is never taken from the engine's cache: tfchain knows itself what has not changed."""
    task: dict[str, Any] = {
        "cachingOptions": {},
        "componentRef": {"name": f"comp-{step.name}"},
        "taskInfo": {"name": step.name},
    }
    if step.needs:
        task["dependentTasks"] = list(step.needs)
    retries = APPROVAL_RETRIES if step.approve else 2
    delay = HOUR if step.approve else "60s"
    task["retryPolicy"] = {
        "maxRetryCount": retries,
        "backoffDuration": delay,
        "backoffFactor": 1.0 if step.approve else 2.0,
        "backoffMaxDuration": HOUR,
    }
    return task


def to_yaml(value: Any) -> str:
    """Writes a document of YAML, without anchors."""

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    text: str = yaml.dump(value, Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)
    return text
