"""Airflow: a DAG file of Airflow 3, with a task for each step, and a sensor where a person must approve."""

import json
import shlex

from tfchain.core.errors import InputError
from tfchain.jobs.lifecycle.targets.pipeline import Pipeline, PipelineStep

HEAD = '''"""The life cycle {title}: written by `tfchain lifecycle --target airflow`."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
{imports}from airflow.sdk import DAG

with DAG(
    dag_id={name},
    schedule={schedule},
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={{"retries": 2, "retry_delay": timedelta(minutes=5)}},
    tags=["tfchain"],
):
'''
TASK = """    {variable} = BashOperator(task_id={task}, bash_command={command}, append_env=True)
"""
SENSOR = """    {variable} = BashSensor(  # exits with 3 until `tfchain approve {config} {step}`
        task_id={task},
        bash_command={command},
        retry_exit_code=3,
        mode="reschedule",
        poke_interval=300,
        timeout=timedelta(days=14).total_seconds(),
    )
"""


def make_dag(pipeline: Pipeline) -> str:
    """Writes the DAG file. The workers must have tfchain, and see the life cycle's file and folders.

    Raises:
        InputError: if the file's path holds what Airflow's templates would replace.
    """
    if any(mark in pipeline.config for mark in ("{{", "{%", "{#")):
        raise InputError(
            f"CONFIG must have no {{{{, {{% or {{# in its path: Airflow replaces them. Received: {pipeline.config}."
        )
    waits = any(step.approve for step in pipeline.steps)
    imports = "from airflow.providers.standard.sensors.bash import BashSensor\n" if waits else ""
    text = HEAD.format(
        title=pipeline.name, name=json.dumps(pipeline.name), schedule=json.dumps(pipeline.schedule), imports=imports
    )
    return text + "".join(map(make_task, pipeline.steps)) + "\n" + "".join(map(make_edges, pipeline.steps))


def make_task(step: PipelineStep) -> str:
    """Writes the task of a step."""
    template = SENSOR if step.approve else TASK
    return template.format(
        variable=to_variable(step.name),
        task=json.dumps(step.name),
        step=step.name,
        config=shlex.quote(step.command[2]),
        command=to_text(shlex.join(step.command)),
    )


def make_edges(step: PipelineStep) -> str:
    """Writes which tasks come before that of a step."""
    if not step.needs:
        return ""
    needed = ", ".join(map(to_variable, step.needs))
    return f"    [{needed}] >> {to_variable(step.name)}\n"


def to_variable(name: str) -> str:
    """Makes a name of Python."""
    return f"step_{name.replace('-', '_')}"


def to_text(text: str) -> str:
    """Writes a text as Python does; a blank at its end keeps Airflow from taking it for a file's name."""
    return json.dumps(f"{text} ")
