"""The steps `train` and `tune`: a chain that has learned the data, with pairs from feedback."""

import dataclasses
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.state import now
from tfchain.jobs.lifecycle.step import Result, Step, StepRun
from tfchain.jobs.lifecycle.steps.chains import describe_live, is_saved, load_chain, open_base_chain, read_live
from tfchain.jobs.lifecycle.steps.drift import check_drift
from tfchain.jobs.recipe_values import make_training_recipes


def make_training_step(plan: LifecyclePlan, needs: tuple[str, ...]) -> Step:
    """Makes the step `train`, or `tune` if the file has that section."""
    train = plan.train
    inputs = {
        "model": plan.model,
        "encoder": plan.encoder,
        "dataset": train.dataset,
        "validation": train.validation,
        "corpus": None if train.mining is None else train.mining.get("corpus"),
    }
    settings = {
        "task": plan.task,
        "model": str(plan.model or ""),
        **({} if plan.encoder is None else {"encoder": str(plan.encoder)}),
        "chain": dict(plan.chain),
        "train": {
            name: value for name, value in dataclasses.asdict(train).items() if name not in ("dataset", "validation")
        },
        "tune": dict(plan.sections.get("tune", {})),
    }
    return Step(
        name=plan.training_step,
        run=lambda step: run_training(plan, step),
        needs=needs,
        settings=settings,
        inputs={name: path for name, path in inputs.items() if isinstance(path, Path)},
        state=(lambda: describe_live(plan)) if train.start == "live" else None,
        approve=plan.training_step in plan.approve,
    )


def run_training(plan: LifecyclePlan, step: StepRun) -> Result:
    """Trains, and saves the chain; a stopped training goes on from its checkpoint."""
    output = step.folder / "chain"
    pairs = find_pairs(plan, step)
    values: dict[str, Any] = {"pairs": None if pairs is None else str(pairs)}
    if is_saved(output):  # killed between the end of the training and its record
        return Result(paths={"chain": output}, values=values, facts={"at": now()})
    live = read_live(plan) if plan.train.start == "live" else None
    chain = open_base_chain(plan) if live is None else load_chain(plan, live.chain)
    check_drift(plan, chain)
    dataset = join_datasets(chain.task, find_dataset(plan, step), pairs)
    options = make_options(plan, step)
    if "tune" in plan.sections:
        section = dict(plan.sections["tune"])
        chain.hyperparameters = chain.hyperparameters.replace(**plan.train.hyperparameters)
        report = chain.tune(
            dataset,
            section.pop("space"),
            validation=plan.train.validation,
            options=options,
            path=step.folder / "search",
            refit=True,
            **section,
        )
        facts: dict[str, Any] = {"best": report.best.to_dict()}
    else:
        recipes = make_training_recipes(plan.train.recipes, plan.places, prefix="train.recipes")
        options = dataclasses.replace(
            options, checkpoint=step.folder / "checkpoint", checkpoint_every=plan.train.checkpoint_every
        )
        history = chain.fit(
            dataset,
            validation=plan.train.validation,
            options=options,
            recipes=recipes,
            **plan.train.hyperparameters,
        ).history
        facts = {name: [float(value) for value in values] for name, values in history.items()}
    chain.save(output)
    return Result(paths={"chain": output}, values=values, facts={**facts, "at": now()})


def make_options(plan: LifecyclePlan, step: StepRun) -> Any:
    """Makes the `FitOptions` of the section `train`; tasks other than a search read the names of their own losses."""
    from tfchain.data.preparation.step_names import make_steps
    from tfchain.training.fit.options import FitOptions
    from tfchain.training.mining.options import Mining

    train = plan.train
    values: dict[str, Any] = {"split": train.split}
    if train.loss is not None and plan.task != "search":
        values["loss"] = train.loss
    elif train.loss is not None:
        from tfchain.training.losses import get_loss

        values["loss"] = get_loss(train.loss)
    if train.mining is not None:
        values["mining"] = Mining(**train.mining)
    if train.augment:
        values["augment"] = tuple(make_steps(list(train.augment)))
    return FitOptions(**values)


def find_dataset(plan: LifecyclePlan, step: StepRun) -> Path | None:
    """Returns the dataset of the file, or the rows that `prepare` made; None if there is only feedback."""
    if plan.train.dataset is not None:
        return plan.train.dataset
    prepared = plan.sections.get("prepare")
    if prepared is not None and prepared["plain"].get("read") == "rows":
        return step.path_of("prepare", "set")
    return None


def find_pairs(plan: LifecyclePlan, step: StepRun) -> Path | None:
    """Returns the file of pairs from feedback, if there are any and the training wants them."""
    feedback = step.results.get("feedback")
    if feedback is None or not plan.train.feedback or not feedback.values.get("num_pairs"):
        return None
    return feedback.paths["pairs"]


def join_datasets(task: Any, dataset: Path | None, pairs: Path | None) -> Any:
    """Joins the dataset and pairs from feedback into what `fit` takes.

    A search trains on several datasets with different columns; a task on texts reads rows, and gets those of both.

    Raises:
        InputError: if there is neither.
    """
    if pairs is None:
        if dataset is None:
            raise InputError(
                "There is nothing to train on. Received: no dataset, and no pairs from feedback yet. Add "
                "`train.dataset`, or wait for feedback."
            )
        return dataset
    if dataset is None:
        return pairs
    if task.name == "search":
        return {"base": dataset, "feedback": pairs}
    from tfchain.data.files.records import read_records

    return [record for path in (dataset, pairs) for _, record in read_records(str(path))]
