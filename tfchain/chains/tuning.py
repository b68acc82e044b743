"""Tuning for a task: trials are compared by the task's own evaluation, and the best values are kept."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tfchain.chains.arguments import complete_validation
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.model import Model
from tfchain.core.task import Task
from tfchain.optimization.tuning.options import Search
from tfchain.optimization.tuning.report import TuningReport
from tfchain.optimization.tuning.space import Space
from tfchain.optimization.tuning.trial_values import Setting
from tfchain.optimization.tuning.tune import choose_values, make_problem, train_with, tune
from tfchain.optimization.tuning.workers import find_role
from tfchain.training.fit.options import FitOptions


@dataclass(frozen=True)
class Tuned:
    """The result of a search for hyperparameters.

    Args:
        report: All trials.
        values: The hyperparameters and options of the best trial.
        model: The model trained with the best values; None without a refit.
        state: Its state.
        lacks_shape: Whether the best trial's model has another shape, and no refit was requested to make it.
    """

    report: TuningReport
    values: Setting
    model: Model | None = None
    state: Any = None
    lacks_shape: bool = False

    @property
    def found_options(self) -> dict[str, Any]:
        """The fields of `FitOptions` that a search can change, with the best trial's values."""
        return {name: getattr(self.values.options, name) for name in ("loss", "mining", "cross_check", "guide")}


def make_search(task: Task, objective: str | None, **options: Any) -> Search:
    """Returns a search for the best value of a metric.

    Args:
        task: The task.
        objective: The metric. Default: the task's own.
        **options: The other fields of `Search`.
    """
    objective = objective or task.objective
    return Search(objective=objective, mode="min" if objective in task.lower_is_better else "max", **options)


def tune_for(
    task: Task,
    model: Model,
    state: Any,
    dataset: Any,
    space: Space,
    search: Search,
    *,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    validation: Any,
    path: str | Path | None = None,
    refit: bool = False,
) -> Tuned:
    """Tunes the training of a task.

    Args:
        task: The task.
        model: The model; each trial trains a copy of it, and it stays unchanged.
        state: The task's state.
        dataset: The rows to train on.
        space: See `SearchSpace`.
        search: The tuner, the number of trials, the objective and the limits.
        hyperparameters: The values of hyperparameters that are not in the space.
        options: Loss, strategy and mining where the space does not set them.
        validation: The data to compare trials on: evaluation data of the task, or a `Validation`.
        path: A folder that keeps the search, and from which it continues. Default: nothing is kept.
        refit: Whether to train a model with the best values at the end; among several workers, only the chief does.
            Default: False.

    Raises:
        InputError: if arguments or data do not fit together, or no trial was completed.
        TfchainError: if the disk is full.
    """
    if validation is None:
        raise InputError(
            "`validation` must be data with known answers, to compare trials on. Received: None. Pass data that "
            "`evaluate` accepts, or a Validation; do not train on any of it."
        )
    validation = complete_validation(task, validation, first=search.objective)
    training: Any = task.prepare(model, state, dataset, options)
    judged = task.read_judged(validation.dataset, split=validation.split)
    batch_size = hyperparameters.batch_size
    evaluate = task.make_evaluation(
        judged, training.state, metrics=validation.metrics or task.metrics, batch_size=batch_size, progress=False
    )

    def fit(
        model: Model, dataset: Any, values: Hyperparameters, options: FitOptions, **rest: Any
    ) -> keras.callbacks.History:
        trial = dataclasses.replace(training, model=model, dataset=dataset, options=options)
        history: keras.callbacks.History = task.fit(trial, values, **rest)
        return history

    problem = make_problem(
        training.model,
        training.dataset,
        hyperparameters,
        training.options,
        evaluate=evaluate,
        validation=validation,
        judged=task.describe_judged(judged, training.state),
        fit=fit,
    )
    queries: Sequence[Any] = task.workload(judged, training.state)[0]
    report = tune(problem, space, search, queries=queries, path=path)
    values = choose_values(report)
    setting = problem.make_setting(values)
    if find_role(os.environ) == "worker":
        return Tuned(report, setting)
    if not refit:
        return Tuned(report, setting, lacks_shape=problem.changes_shape(setting))
    trained = train_with(problem, values, search)
    return Tuned(report, setting, trained, task.finish(trained, training.state, judged, batch_size=batch_size))
