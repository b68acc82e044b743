"""Tuning for a task: trials are compared by the task's own evaluation, and the best values are kept."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.task import Task, Training
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.tuning.options import Search
from tfchain.optimization.tuning.report import TuningReport
from tfchain.optimization.tuning.space import Space
from tfchain.optimization.tuning.trial_values import Setting
from tfchain.optimization.tuning.tune import choose_values, make_problem, train_with, tune
from tfchain.optimization.tuning.workers import find_role
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.validation import Validation


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
    training: Training,
    space: Space,
    search: Search,
    *,
    hyperparameters: Hyperparameters,
    validation: Validation,
    path: str | Path | None = None,
    refit: bool = False,
) -> Tuned:
    """Tunes the training of a task.

    Args:
        task: The task.
        training: What each trial begins with a copy of; its model stays as it is.
        space: See `SearchSpace`.
        search: Which tuner, how many trials, what counts, the limits.
        hyperparameters: Those that the space leaves as they are.
        validation: What trials are compared on, with metrics and mode.
        path: A folder to keep the search in, and to go on from. Default: nothing is kept.
        refit: Whether a model is trained with the best values at the end; of several workers the chief does so.
            Default: False.

    Raises:
        InputError: if something does not go together, or no trial was completed.
        TfchainError: if the disk is full.
    """
    judged = task.read_judged(validation.dataset, split=validation.split)
    batch_size = hyperparameters.batch_size
    evaluate = task.make_evaluation(
        judged, training.state, metrics=validation.metrics or task.metrics, batch_size=batch_size, progress=False
    )

    def fit(
        text_encoder: TextEncoder, dataset: Any, values: Hyperparameters, options: FitOptions, **rest: Any
    ) -> keras.callbacks.History:
        trial = dataclasses.replace(training, model=text_encoder, dataset=dataset, options=options)  # type: ignore[type-var]
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
