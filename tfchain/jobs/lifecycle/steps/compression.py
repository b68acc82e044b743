"""The step `compress`: the trained chain, small and fast."""

from pathlib import Path
from typing import Any

from tfchain.jobs.compressing import compress
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.step import Result, Step, StepRun
from tfchain.jobs.lifecycle.steps.chains import is_saved, load_chain


def make_compress_step(plan: LifecyclePlan) -> Step:
    """Makes the step from the section `compress`."""
    section, evaluate = plan.sections["compress"], plan.sections.get("evaluate", {})
    inputs = {"documents": plan.documents, "dataset": evaluate.get("dataset")}
    return Step(
        name="compress",
        run=lambda step: run_compress(plan, step),
        needs=(plan.training_step,),
        settings={**section, "split": evaluate.get("split")},
        inputs={name: path for name, path in inputs.items() if isinstance(path, Path)},
        approve="compress" in plan.approve,
    )


def run_compress(plan: LifecyclePlan, step: StepRun) -> Result:
    """Compresses, and saves the chain with its report."""
    section, evaluate = plan.sections["compress"], plan.sections.get("evaluate", {})
    output = step.folder / "chain"
    if is_saved(output):
        return Result(paths={"chain": output})
    chain = load_chain(plan, step.path_of(plan.training_step, "chain"))
    given: dict[str, Any] = {name: section[name] for name in ("keep", "max_loss") if name in section}
    if evaluate and (given or len(section["recipes"]) > 1):
        given |= {"dataset": evaluate["dataset"], "split": evaluate.get("split", "test")}
    report = compress(chain, section["recipes"], texts=read_texts(plan, chain), **given)
    report.save(step.folder / "report")
    chain.save(output)
    return Result(paths={"chain": output, "report": step.folder / "report"}, facts={"kept": report.kept})


def read_texts(plan: LifecyclePlan, chain: Any) -> Any:
    """Reads the documents' texts for recipes to learn from; None for the texts that the task keeps."""
    if plan.documents is None:
        return None
    from tfchain.data.documents.reading import read_documents

    return chain.task.learning_texts(list(read_documents(plan.documents)))
