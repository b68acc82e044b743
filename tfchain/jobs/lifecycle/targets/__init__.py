"""The same graph for engines that run graphs: each step there is `tfchain lifecycle CONFIG --step NAME`."""

from collections.abc import Callable

from tfchain.core.errors import InputError
from tfchain.jobs.lifecycle.targets.airflow import make_dag
from tfchain.jobs.lifecycle.targets.argo import make_workflows
from tfchain.jobs.lifecycle.targets.cron import make_crontab
from tfchain.jobs.lifecycle.targets.kubeflow import make_kubeflow
from tfchain.jobs.lifecycle.targets.pipeline import Pipeline
from tfchain.jobs.lifecycle.targets.vertex import make_pipeline_job

TARGETS: dict[str, Callable[[Pipeline], str]] = {
    "airflow": make_dag,
    "kubeflow": make_kubeflow,
    "vertex-pipelines": make_pipeline_job,
    "argo": make_workflows,
    "cron": make_crontab,
}


def render(target: str, pipeline: Pipeline) -> str:
    """Writes a life cycle for an engine.

    Args:
        target: `airflow`, `kubeflow`, `vertex-pipelines`, `argo` or `cron`.
        pipeline: The graph.

    Returns:
        The file's content.

    Raises:
        InputError: if there is no such engine, or it needs something that the pipeline lacks.
    """
    if target not in TARGETS:
        raise InputError(f"`target` must be one of {', '.join(TARGETS)}. Received: {target}.")
    return TARGETS[target](pipeline)
