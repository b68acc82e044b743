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
from tfchain.core.task import Task
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.tuning.options import Search
from tfchain.optimization.tuning.report import TuningReport
from tfchain.optimization.tuning.space import Space
from tfchain.optimization.tuning.trial_values import Setting
from tfchain.optimization.tuning.tune import choose_values, make_problem, train_with, tune
from tfchain.optimization.tuning.workers import find_role
from tfchain.training.fit.options import FitOptions


@dataclass(frozen=True)
class Tuned:
    """What a search for hyperparameters leaves.

    Args:
        report: All trials.
        values: What the best one trained.
        text_encoder: Trained with the best values; None without a refit.
        state: What belongs to it.
        lacks_shape: Whether the best trial has another shape, and no refit was asked for, which would give it.
    """

    report: TuningReport
    values: Setting
    text_encoder: TextEncoder | None = None
    state: Any = None
    lacks_shape: bool = False


def tune_for(
    task: Task,
    text_encoder: TextEncoder,
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
        text_encoder: What each trial begins with a copy of; it stays as it is.
        state: What the task keeps beside it.
        dataset: What the task trains on.
        space: See `SearchSpace`.
        search: Which tuner, how many trials, what counts, the limits.
        hyperparameters: Those that the space leaves as they are.
        options: The same: loss, strategy and mining.
        validation: What trials are compared on: what the task is evaluated on, or a `Validation`.
        path: A folder to keep the search in, and to go on from. Default: nothing is kept.
        refit: Whether a model is trained with the best values at the end; of several workers the chief does so.
            Default: False.

    Raises:
        InputError: if something does not go together, or no trial was completed.
        TfchainError: if the disk is full.
    """
    if validation is None:
        raise InputError(
            "`validation` must be data with known answers, by which trials are compared. Received: None. Give what "
            "`evaluate` takes, or a Validation; nothing of it may be trained on."
        )
    validation = complete_validation(task, validation, first=search.objective)
    training: Any = task.prepare(text_encoder, state, dataset, options)
    judged = task.read_judged(validation.dataset, split=validation.split)
    batch_size = hyperparameters.batch_size
    evaluate = task.make_evaluation(
        judged, training.state, metrics=validation.metrics or task.metrics, batch_size=batch_size, progress=False
    )

    def fit(
        text_encoder: TextEncoder, dataset: Any, values: Hyperparameters, options: FitOptions, **rest: Any
    ) -> keras.callbacks.History:
        trial = dataclasses.replace(training, model=text_encoder, dataset=dataset, options=options)
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
    alone: Sequence[str] = task.workload(judged, training.state)[0]
    report = tune(problem, space, search, queries=alone, path=path)
    values = choose_values(report)
    setting = problem.make_setting(values)
    if find_role(os.environ) == "worker":
        return Tuned(report, setting)
    if not refit:
        return Tuned(report, setting, lacks_shape=problem.changes_shape(setting))
    trained = train_with(problem, values, search)
    return Tuned(report, setting, trained, task.finish(trained, training.state, judged, batch_size=batch_size))
