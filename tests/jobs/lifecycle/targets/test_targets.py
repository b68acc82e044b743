"""The graph for other engines: the same steps, needs and commands, in files that their schemas accept."""

import ast
import json
import re
import shlex
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

from tfchain.core.errors import InputError
from tfchain.jobs.lifecycle.step import Result, Step
from tfchain.jobs.lifecycle.targets import TARGETS, render
from tfchain.jobs.lifecycle.targets.pipeline import Pipeline, check_schedule, make_pipeline, to_name

NEEDS = {"prepare": (), "trigger": ("prepare",), "train": ("prepare", "trigger"), "promote": ("train",), "report": ()}
NEEDS["report"] = ("prepare", "trigger", "train", "promote")
CONFIG = "/models/search life.yaml"
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def make(config: str = CONFIG, **options: Any) -> Pipeline:
    steps = [
        Step(name=name, run=lambda step: Result(), needs=needs, approve=name == "promote")
        for name, needs in NEEDS.items()
    ]
    return make_pipeline(steps, config, **{"image": "registry/tfchain:1", "volume": "models", **options})


def command(name: str, config: str = CONFIG) -> list[str]:
    return ["tfchain", "lifecycle", config, "--step", name, "--wait", "3600"]


class StandIn:
    """A task of Airflow: notes its arguments, and which tasks come before it."""

    made: dict[str, "StandIn"]

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.before: list[str] = []
        self.kind = type(self).__name__
        StandIn.made[arguments["task_id"]] = self

    def __rrshift__(self, tasks: list["StandIn"]) -> "StandIn":
        self.before += [task.arguments["task_id"] for task in tasks]
        return self


class BashOperator(StandIn): ...


class BashSensor(StandIn): ...


class DAG:
    made: dict[str, Any]

    def __init__(self, **arguments: Any) -> None:
        DAG.made = arguments

    def __enter__(self) -> None: ...
    def __exit__(self, *raised: object) -> None: ...


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the parts of Airflow that a DAG file imports."""
    StandIn.made = {}
    parts = {
        "airflow.sdk": {"DAG": DAG},
        "airflow.providers.standard.operators.bash": {"BashOperator": BashOperator},
        "airflow.providers.standard.sensors.bash": {"BashSensor": BashSensor},
    }
    for name, values in parts.items():
        module = types.ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
        while "." in name:
            name = name.rpartition(".")[0]
            if name not in sys.modules:
                monkeypatch.setitem(sys.modules, name, types.ModuleType(name))


@pytest.mark.usefixtures("airflow")
def test_an_airflow_dag_has_the_same_graph() -> None:
    text = render("airflow", make())
    exec(compile(text, "dag.py", "exec"), {})

    assert {name: tuple(task.before) for name, task in StandIn.made.items()} == NEEDS
    for name, task in StandIn.made.items():
        assert shlex.split(task.arguments["bash_command"]) == command(name)
        assert task.arguments["bash_command"].endswith(" ")  # else Airflow takes a text ending in .sh for a file
    assert DAG.made["dag_id"] == "search-life"
    assert (DAG.made["schedule"], DAG.made["max_active_runs"], DAG.made["catchup"]) == ("0 3 * * *", 1, False)


@pytest.mark.usefixtures("airflow")
def test_in_airflow_a_sensor_waits_for_a_person() -> None:
    exec(compile(render("airflow", make()), "dag.py", "exec"), {})

    kinds = {name: task.kind for name, task in StandIn.made.items()}
    assert kinds == {name: "BashSensor" if name == "promote" else "BashOperator" for name in NEEDS}
    assert StandIn.made["promote"].arguments["retry_exit_code"] == 3
    assert StandIn.made["promote"].arguments["mode"] == "reschedule"


def test_an_airflow_dag_imports_only_what_it_uses() -> None:
    waiting = ast.parse(render("airflow", make()))
    never = ast.parse(render("airflow", make_pipeline([Step(name="train", run=lambda step: Result())], CONFIG)))
    for tree, has_sensor in ((waiting, True), (never, False)):
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert ("airflow.providers.standard.sensors.bash" in modules) == has_sensor


def test_the_pipeline_of_kubeflow_has_the_same_graph_and_the_volume() -> None:
    spec, platform = yaml.safe_load_all(render("kubeflow", make()))

    tasks = spec["root"]["dag"]["tasks"]
    assert {name: tuple(task.get("dependentTasks", ())) for name, task in tasks.items()} == NEEDS
    executors = spec["deploymentSpec"]["executors"]
    for name, task in tasks.items():
        label = spec["components"][task["componentRef"]["name"]]["executorLabel"]
        container = executors[label]["container"]
        assert [*container["command"], *container["args"]] == command(name)
        assert container["image"] == "registry/tfchain:1"
        mounts = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][label]["pvcMount"]
        assert [(mount["mountPath"], mount["constant"]) for mount in mounts] == [("/models", "models")]
        assert task["cachingOptions"] == {}  # the engine's cache would take an old result
    assert tasks["promote"]["retryPolicy"]["maxRetryCount"] > tasks["train"]["retryPolicy"]["maxRetryCount"]


def test_a_vertex_pipeline_job_lies_in_the_bucket_of_its_file() -> None:
    job = json.loads(render("vertex-pipelines", make("/gcs/bucket/team/life.yaml", volume=None)))

    assert job["runtimeConfig"]["gcsOutputDirectory"] == "gs://bucket/team/life-runs"
    assert set(job["pipelineSpec"]["root"]["dag"]["tasks"]) == set(NEEDS)
    container = job["pipelineSpec"]["deploymentSpec"]["executors"]["exec-train"]["container"]
    assert [*container["command"], *container["args"]] == command("train", "/gcs/bucket/team/life.yaml")
    with pytest.raises(InputError, match="must lie in a bucket as Vertex AI mounts it"):
        render("vertex-pipelines", make())


def test_argo_gets_a_workflow_and_its_schedule() -> None:
    workflow, cron = yaml.safe_load_all(render("argo", make()))

    assert (workflow["kind"], cron["kind"]) == ("Workflow", "CronWorkflow")
    assert cron["spec"]["schedules"] == ["0 3 * * *"]
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    assert workflow["spec"] == cron["spec"]["workflowSpec"]
    templates = {template["name"]: template for template in workflow["spec"]["templates"]}
    tasks = templates[workflow["spec"]["entrypoint"]]["dag"]["tasks"]
    assert {task["name"]: tuple(task.get("dependencies", ())) for task in tasks} == NEEDS
    for task in tasks:
        container = templates[task["template"]]["container"]
        assert [*container["command"], *container["args"]] == command(task["name"])
    assert "== 3" in templates["step-promote"]["retryStrategy"]["expression"]
    assert LABEL.fullmatch(cron["metadata"]["name"])
    assert len(cron["metadata"]["name"]) <= 52  # the controller adds eleven characters
    for template in templates:
        assert LABEL.fullmatch(template)


def test_cron_gets_one_line() -> None:
    text = render("cron", make("/models/100% life.yaml", schedule="30 2 * * MON"))

    line = text.splitlines()[-1]
    assert line.startswith("30 2 * * MON tfchain lifecycle ")
    assert "100\\% life.yaml" in line  # a bare percent sign ends a command of cron
    words = shlex.split(line.replace("\\%", "%").split(" ", 5)[5])
    assert words[:3] == ["tfchain", "lifecycle", "/models/100% life.yaml"]
    assert words[4:] == ["/models/100% life-lifecycle.log", "2>&1"]


@pytest.mark.parametrize("target", ["kubeflow", "argo"])
def test_engines_of_containers_need_an_image_and_a_volume(target: str) -> None:
    with pytest.raises(InputError, match=f"The target {target} needs --image"):
        render(target, make(image=None))
    with pytest.raises(InputError, match=f"The target {target} needs --volume"):
        render(target, make(volume=None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "0 3 * *"}, "`schedule` must have five fields"),
        ({"schedule": "0 25 * * *"}, "The hour of `schedule` must be .*, or numbers from 0 to 23. Received: '25'."),
        ({"schedule": "0 3 * * *\n* * * * *"}, "`schedule` must have five fields"),
        ({"image": "a b"}, "`image` must be an image's name, without blanks"),
        ({"volume": "Models"}, "`volume` must look like models. Received: volume='Models'."),
    ],
)
def test_values_that_no_engine_takes_are_errors(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**options)


def test_airflow_would_replace_braces_in_a_path() -> None:
    with pytest.raises(InputError, match="Airflow replaces them"):
        render("airflow", make("/models/{{ life }}.yaml"))


@pytest.mark.parametrize("schedule", ["*/5 * * * *", "0 3 1,15 * *", "0 3 * * 1-5", "15 0-6/2 * JAN SUN"])
def test_schedules_that_cron_takes(schedule: str) -> None:
    check_schedule(schedule)


def test_names_are_those_of_kubernetes() -> None:
    assert to_name("Search life") == "search-life"
    assert to_name("2026 ü") == "lifecycle-2026"
    assert LABEL.fullmatch(to_name("x" * 99))


def test_there_is_a_test_for_each_target() -> None:
    assert set(TARGETS) == {"airflow", "kubeflow", "vertex-pipelines", "argo", "cron"}
    with pytest.raises(InputError, match="`target` must be one of airflow, .*. Received: luigi."):
        render("luigi", make())


def test_kfp_loads_the_pipeline(tmp_path: Path) -> None:
    components = pytest.importorskip("kfp.components", reason="kfp is not installed; its protobuf clashes with ours")
    path = tmp_path / "pipeline.yaml"
    path.write_text(render("kubeflow", make()))
    assert components.load_component_from_file(str(path)).name == "search-life"


def test_vertex_ai_reads_the_job() -> None:
    types_module = pytest.importorskip("google.cloud.aiplatform_v1.types", reason="google-cloud-aiplatform is missing")
    text = render("vertex-pipelines", make("/gcs/bucket/life.yaml"))
    assert types_module.PipelineJob.from_json(text).display_name == "life"


def test_hera_reads_the_workflows() -> None:
    models = pytest.importorskip("hera.workflows.models", reason="hera is not installed")
    workflow, cron = yaml.safe_load_all(render("argo", make()))
    assert models.Workflow.model_validate(workflow).spec.entrypoint == "cycle"
    assert models.CronWorkflow.model_validate(cron).metadata.name == "search-life"
