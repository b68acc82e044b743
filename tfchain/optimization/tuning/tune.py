"""Tuning a text encoder: a search over trials, and the training with the values that it found."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.data.beir import BeirDataset
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.tuning.folder import open_folder
from tfchain.optimization.tuning.hparams import log_search
from tfchain.optimization.tuning.limits import Gauge
from tfchain.optimization.tuning.options import Search
from tfchain.optimization.tuning.report import TuningReport
from tfchain.optimization.tuning.setting import SHAPE_NAMES, check_losses
from tfchain.optimization.tuning.space import SearchSpace, Space
from tfchain.optimization.tuning.trial import Task, TrialRunner
from tfchain.optimization.tuning.workers import find_role, wait_for_last_trials
from tfchain.training.evaluation import Evaluate, Validation
from tfchain.training.fit import describe_training, read_data
from tfchain.training.fit_options import FitOptions
from tfchain.training.strategies import find_task, make_strategy

LEAST_HYPERBAND_EPOCHS = 2


def make_task(
    text_encoder: TextEncoder,
    dataset: Any,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    *,
    evaluate: Evaluate,
    validation: Validation,
) -> Task:
    """What all trials share, read and checked once.

    Args:
        text_encoder: What each begins with a copy of; it stays as it is.
        dataset: What `fit_text_encoder` takes.
        hyperparameters: Those that the space leaves as they are.
        options: The same: loss, strategy, mining. Each trial runs under the strategy, in one process.
        evaluate: From a text encoder to metrics.
        validation: When, and which metrics; its dataset is a `BeirDataset`.

    Raises:
        InputError: if the data cannot be read, or the options belong to one training alone.
    """
    for name in ("checkpoint", "hooks", "log_path"):
        if getattr(options, name):
            raise InputError(
                f"`{name}` belongs to one training, and a search makes many. Received: {getattr(options, name)!r:.80}. "
                "Leave it out; a search goes on from its `path`, and writes its logs there."
            )
    if find_task(make_strategy(options.strategy))[1] > 1:
        raise InputError(
            "`strategy` of a search must be for one process: several workers share the trials, not a training. "
            f"Received: {options.strategy!r}. Use `tfchain launch --tune --workers 2`."
        )
    if isinstance(dataset, Iterator):
        dataset = list(dataset)
    return Task(
        text_encoder=text_encoder,
        dataset=dataset,
        datasets=read_data(dataset, options),
        hyperparameters=hyperparameters,
        options=options,
        evaluate=evaluate,
        validation=validation,
    )


def tune(
    task: Task,
    space: Space,
    search: Search,
    *,
    queries: Sequence[str],
    path: str | Path | None = None,
) -> TuningReport:
    """Searches for the hyperparameters with the best ranking; the text encoder stays as it is.

    Several processes that make the same call share the trials, where KerasTuner's variables say so: see
    `workers.find_role`. Each has the report at the end; the chief, which trains nothing, writes it.

    Args:
        task: The model, the data, and what the space leaves as it is.
        space: See `SearchSpace`.
        search: Which tuner, how many trials, what counts, the limits.
        queries: What latency is measured with, where there is a limit or the space changes the model's shape.
        path: A folder that the search is kept in, and goes on from when the same call is made again; with more
            `max_trials`, too. Default: none, nothing is kept.

    Returns:
        The report of all trials.

    Raises:
        InputError: if the space, the search and the task do not go together, the folder holds something else, or no
            trial was completed.
        TfchainError: if the disk is full; the trials that have ended are kept.
    """
    role = find_role(os.environ)
    if role != "alone" and path is None:
        raise InputError("`path` must be a folder that all workers of a search see. Received: None. Name one.")
    searched = SearchSpace(space)
    hyperparameters = task.hyperparameters
    if search.objective not in task.validation.metrics:
        raise InputError(
            f"`objective` must be a metric that is measured: {', '.join(task.validation.metrics)}. "
            f"Received: objective={search.objective!r}. Add it to the metrics of the validation."
        )
    if search.tuner == "hyperband":
        _check_hyperband(searched, hyperparameters)
    check_losses(searched.names, task.datasets, searched.choices("loss"))
    identity = {
        "space": searched.describe(),
        "search": {name: value for name, value in dataclasses.asdict(search).items() if name != "max_trials"},
        **describe_training(
            task.text_encoder, task.dataset, task.datasets, hyperparameters, task.options, task.validation, 1
        ),
        "metrics": list(task.validation.metrics),
        "validation": describe_validation(task.validation.dataset),
    }
    from tfchain.optimization.tuning.oracles import make_oracle  # the door to KerasTuner
    from tfchain.optimization.tuning.tuner import SearchTuner

    with open_folder(path) as folder:
        folder.begin(identity)
        is_limited = search.max_latency_ms is not None or search.max_size_mb is not None
        measures = is_limited or any(name in SHAPE_NAMES for name in searched.names)
        gauge = Gauge(folder.path / "shapes", queries) if measures else None
        if role != "worker":
            log_search(folder.path / "logs", searched.names, task.validation.metrics)
        tuner = SearchTuner(
            make_oracle(search, searched.hp, max_epochs=hyperparameters.epochs),
            folder.path,
            lambda hp: _to_values(searched, hp),
            TrialRunner(task, search, folder, gauge),
        )
        tuner.search()
        if role == "worker":  # the chief writes the report; every process has it
            wait_for_last_trials(folder.has_running)
        report = TuningReport(
            trials=tuple(folder.read_trials()), objective=search.objective, search=dataclasses.asdict(search)
        )
        if role != "worker":
            report.save(folder.path)
        _ = report.best  # or the reason why there is none
        return report


def train_with(task: Task, values: Mapping[str, Any]) -> TextEncoder:
    """Trains a copy of the task's model with the values of a trial, the best weights of all evaluations kept.

    Args:
        task: The model, the data, and what the values leave as it is.
        values: Of a trial.

    Returns:
        A text encoder of its own, in the shape of the trial.
    """
    setting = task.make_setting(values)
    made = task.make_encoder(setting)
    task.train(made, setting, task.validation)
    return made


def describe_validation(dataset: BeirDataset) -> str:
    """A fingerprint of queries and judgments."""
    return make_fingerprint({"queries": dataset.queries, "qrels": dataset.qrels}, ())


def _to_values(space: SearchSpace, hp: Any) -> dict[str, Any]:
    values = space.values(hp)
    if "tuner/epochs" in hp.values:  # Hyperband's
        values["epochs"] = hp.values["tuner/epochs"]
    return values


def _check_hyperband(space: SearchSpace, hyperparameters: Hyperparameters) -> None:
    if "epochs" in space.names:
        raise InputError(
            "`epochs` cannot be in the space of Hyperband, which deals them out itself. Received: both. Leave `epochs` "
            "out of the space, and give the most of them as the chain's."
        )
    if hyperparameters.epochs < LEAST_HYPERBAND_EPOCHS:
        raise InputError(
            f"Hyperband needs at least {LEAST_HYPERBAND_EPOCHS} epochs to deal out. Received: "
            f"epochs={hyperparameters.epochs}. Give the chain more, 9 say, or take tuner='random'."
        )
