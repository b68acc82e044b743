"""The step `prepare`: cleans and splits data as `tfchain prepare` does."""

from pathlib import Path
from typing import Any

from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.step import Result, Step, StepRun
from tfchain.jobs.preparation_plan import PreparationPlan, read_preparation_node


def make_prepare_step(plan: LifecyclePlan) -> Step:
    """Makes the step from the section `prepare`."""
    section = plan.sections["prepare"]

    def run(step: StepRun) -> Result:
        return run_prepare(read_preparation_node(section["node"], section["folder"], step.folder / "set"))

    return Step(
        name="prepare",
        run=run,
        settings=section["plain"],
        inputs={f"source {number}": Path(path) for number, path in enumerate(section["sources"])},
        approve="prepare" in plan.approve,
    )


def run_prepare(preparation: PreparationPlan) -> Result:
    """Writes the set; a set that an earlier attempt wrote whole is kept."""
    from tfchain.data.files.shard_manifest import read_manifest
    from tfchain.data.preparation.prepare import prepare

    output = preparation.output
    manifest = read_manifest(output) if output.is_dir() else None
    facts: dict[str, Any] = {}
    if manifest is None:
        made = prepare(
            preparation.source,
            preparation.steps,
            output=output,
            callables=load_callables(preparation),
            **preparation.options,
        )
        manifest = made.manifest
        facts = {"read": made.report.read, "written": made.report.written}
    return Result(paths={"set": output}, facts=facts, fingerprint=manifest.fingerprint)


def load_callables(preparation: PreparationPlan) -> dict[str, Any]:
    """Loads the model if a step needs it."""
    if preparation.model is None or not any(step.missing() for step in preparation.steps):
        return {}
    from tfchain.models.step_callables import make_step_callables
    from tfchain.models.text_encoder import TextEncoder

    return dict(make_step_callables(TextEncoder.from_pretrained(preparation.model)))
