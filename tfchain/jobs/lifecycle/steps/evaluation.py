"""The step `evaluate`: the metrics of the new model and of the live one, on data kept out of training."""

from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.jobs.lifecycle.fingerprints import hash_path
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.step import Result, Step, StepRun
from tfchain.jobs.lifecycle.steps.chains import describe_live, load_chain, read_live


def make_evaluate_step(plan: LifecyclePlan) -> Step:
    """Makes the step from the section `evaluate`."""
    section = plan.sections["evaluate"]
    needs = (candidate_step(plan), *(("feedback",) if "feedback" in plan.sections else ()))
    return Step(
        name="evaluate",
        run=lambda step: run_evaluate(plan, step),
        needs=needs,
        settings={name: value for name, value in section.items() if name != "dataset"},
        inputs={"dataset": section["dataset"]},
        state=lambda: describe_live(plan),
        approve="evaluate" in plan.approve,
    )


def candidate_step(plan: LifecyclePlan) -> str:
    """Returns the name of the step that makes the chain to release."""
    return "compress" if "compress" in plan.sections else plan.training_step


def run_evaluate(plan: LifecyclePlan, step: StepRun) -> Result:
    """Evaluates on the data of the file and, if there are judgements from feedback, on those.

    A model that an earlier cycle evaluated on the same data is not evaluated again.
    """
    section = plan.sections["evaluate"]
    sets: dict[str, Path] = {"dataset": section["dataset"]}
    feedback = step.results.get("feedback")
    if feedback is not None and "judged" in feedback.paths:
        sets["feedback"] = feedback.paths["judged"]
    models = {"new": str(step.path_of(candidate_step(plan), "chain"))}
    live = read_live(plan)
    if live is not None:
        models["live"] = live.chain
    hashes = {name: hash_path(data) for name, data in sets.items()}
    known = find_known(step.last_result(step.name), hashes)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for model, path in models.items():
        missing = [name for name in sets if (path, name) not in known]
        chain: Any = load_chain(plan, path) if missing else None
        for name in missing:
            split = section.get("split", "test") if name == "dataset" else "test"
            metrics = chain.evaluate(sets[name], split=split, metrics=section.get("metrics"), progress=False)
            known[path, name] = {metric: float(value) for metric, value in metrics.items()}
        found[model] = {name: known[path, name] for name in sets}
    lower = find_lower(load_task(plan).lower_is_better, found["new"]["dataset"], section.get("least", {}))
    # Numbers change nothing in what comes after: a version that went live is not exported again for them.
    return Result(values={"metrics": found, "chains": models, "data": hashes}, stop=lower, fingerprint="")


def find_known(last: Result | None, hashes: dict[str, str]) -> dict[tuple[str, str], dict[str, float]]:
    """Returns the metrics of the last evaluation, by the folder of the chain and the name of data that is the same."""
    if last is None:
        return {}
    metrics, chains, data = (last.values[name] for name in ("metrics", "chains", "data"))
    same = [name for name, content in hashes.items() if data.get(name) == content]
    return {(chains[model], name): metrics[model][name] for model in chains for name in same if name in metrics[model]}


def load_task(plan: LifecyclePlan) -> Any:
    """Returns the class of the plan's task."""
    from tfchain.chains.chain_types import find_chain_type

    return find_chain_type(plan.task).task_type


def find_lower(lower_is_better: Any, metrics: dict[str, float], least: dict[str, float]) -> str | None:
    """Returns which metric of the new model is worse than the file allows; None if none is.

    Raises:
        InputError: if the file names a metric that was not measured.
    """
    for name, limit in least.items():
        if name not in metrics:
            raise InputError(
                f"`evaluate.least` must name measured metrics. Received: {name}. Measured: {', '.join(metrics)}."
            )
        is_error = name in lower_is_better
        if metrics[name] > limit if is_error else metrics[name] < limit:
            words = "at most" if is_error else "at least"
            return f"{name} is {metrics[name]:.4f}; the file wants {words} {limit:g}"
    return None
