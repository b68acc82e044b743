"""Tuning a text encoder: a search over trials, and the training with the best values."""

import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.model import Model
from tfchain.core.task import Evaluate
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.tuning.folder import TuningFolder, open_folder
from tfchain.optimization.tuning.hparams import log_search
from tfchain.optimization.tuning.limits import Gauge
from tfchain.optimization.tuning.options import Search
from tfchain.optimization.tuning.report import TuningReport
from tfchain.optimization.tuning.search_identity import describe_search
from tfchain.optimization.tuning.space import SearchSpace, Space
from tfchain.optimization.tuning.trial import TrialRunner, TuningProblem, copy_callbacks
from tfchain.optimization.tuning.trial_values import SHAPE_NAMES, check_losses, check_plain_names
from tfchain.optimization.tuning.workers import find_role, wait_for_last_trials
from tfchain.training.distributed.strategies import find_task, make_strategy
from tfchain.training.fit.fit import fit_text_encoder, read_data
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.validation import Validation

logger = logging.getLogger(__name__)

LEAST_HYPERBAND_EPOCHS = 2


def make_problem(
    text_encoder: Model,
    dataset: Any,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    *,
    evaluate: Evaluate,
    validation: Validation,
    judged: Mapping[str, str] | None = None,
    fit: Callable[..., Any] = fit_text_encoder,
) -> TuningProblem:
    """Reads and checks once what all trials share.

    Args:
        text_encoder: The text encoder, or the model of another task; each trial begins with a copy, and it stays as
            it is.
        dataset: A dataset for `fit`; for the model of another task, rows that have a `fingerprint`.
        hyperparameters: The base hyperparameters; the space replaces some of them.
        options: The base options: loss, strategy, mining. Each trial runs under the strategy, in one process.
        evaluate: Maps the text encoder to metrics.
        validation: When to evaluate, and which metrics.
        judged: Fingerprints of what `evaluate` compares with, by name. Default: none.
        fit: Trains the text encoder in place. Default: `fit_text_encoder`.

    Raises:
        InputError: if the data cannot be read, or an option belongs to a single training.
    """
    for name in ("checkpoint", "hooks", "log_path"):
        if getattr(options, name):
            raise InputError(
                f"`{name}` belongs to one training, and a search makes many. Received: {getattr(options, name)!r:.80}. "
                "Leave it out; a search resumes from its `path`, and writes its logs there."
            )
    if find_task(make_strategy(options.strategy))[1] > 1:
        raise InputError(
            "`strategy` of a search must be for one process: several workers share the trials, not a training. "
            f"Received: {options.strategy!r}. Use `tfchain launch --tune --workers 2`."
        )
    copy_callbacks(options.callbacks)  # fails now if one cannot be copied
    if isinstance(dataset, Iterator):
        dataset = list(dataset)
    return TuningProblem(
        text_encoder=text_encoder,
        dataset=dataset,
        datasets=read_data(dataset, options) if isinstance(text_encoder, TextEncoder) else (),
        hyperparameters=hyperparameters,
        options=options,
        evaluate=evaluate,
        validation=validation,
        judged=judged or {},
        fit=fit,
    )


def tune(
    problem: TuningProblem,
    space: Space,
    search: Search,
    *,
    queries: Sequence[Any],
    path: str | Path | None = None,
) -> TuningReport:
    """Searches for the hyperparameters with the best objective; the text encoder is unchanged.

    Several processes that make the same call share the trials if KerasTuner's variables are set: see
    `workers.find_role`. Each returns the report at the end; the chief, which runs no trial, writes it.

    Args:
        problem: The model, the data, and what the space leaves unchanged.
        space: See `SearchSpace`.
        search: The tuner, the number of trials, the objective and the limits.
        queries: Queries for measuring latency, if there is a limit or the space changes the model's shape.
        path: A folder that stores the search; the same call resumes it, also with more `max_trials`. Default: nothing
            is stored.

    Returns:
        The report on all trials.

    Raises:
        InputError: if the space, the search and the task do not go together, the folder holds something else, or no
            trial was completed.
        TfchainError: if the disk is full; the trials that have ended are kept.
    """
    role = find_role(os.environ)
    if role != "alone" and path is None:
        raise InputError("`path` must be a folder that all workers of a search see. Received: None. Name one.")
    searched = SearchSpace(space)
    hyperparameters = problem.hyperparameters
    metrics = problem.validation.metrics or ()
    if search.objective not in metrics:
        raise InputError(
            f"`objective` must be a metric that is measured: {', '.join(metrics)}. "
            f"Received: objective={search.objective!r}. Add it to the metrics of the validation."
        )
    if search.tuner == "hyperband":
        _check_hyperband(searched, hyperparameters, search.max_trials)
    if isinstance(problem.text_encoder, TextEncoder):
        check_losses(searched.names, problem.datasets, searched.choices("loss"))
    else:
        check_plain_names(searched.names, type(problem.text_encoder).__name__)
    identity = describe_search(problem, searched, search)
    from tfchain.optimization.tuning.oracles import make_oracle  # the door to KerasTuner
    from tfchain.optimization.tuning.tuner import SearchTuner

    with open_folder(path) as folder:
        folder.begin(identity)
        if role != "worker":
            _warn_of_failed(folder)
        is_limited = search.max_latency_ms is not None or search.max_size_mb is not None
        measures = is_limited or any(name in SHAPE_NAMES for name in searched.names)
        gauge = Gauge(folder.path / "shapes", queries) if measures else None
        if role != "worker":
            log_search(folder.path / "logs", searched.names, metrics)
        tuner = SearchTuner(
            make_oracle(search, searched.hp, max_epochs=hyperparameters.epochs),
            folder.path,
            lambda hp: _to_values(searched, hp),
            TrialRunner(problem, search, folder, gauge),
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
        if search.tuner == "hyperband":
            _warn_if_cut_short(report, hyperparameters.epochs)
        return report


def choose_values(report: TuningReport) -> dict[str, Any]:
    """The best trial's values to train with; without Hyperband's epochs, as that training has all of the chain's."""
    dealt = ("epochs",) if report.search.get("tuner") == "hyperband" else ()
    return {name: value for name, value in report.best.values.items() if name not in dealt}


def train_with(problem: TuningProblem, values: Mapping[str, Any], search: Search) -> Any:
    """Trains a copy of the task's model with a trial's values, and keeps the best weights of all evaluations.

    Args:
        problem: The model, the data, and what the values leave unchanged.
        values: A trial's values.
        search: Its objective decides which weights are best.

    Returns:
        A new text encoder, in the trial's shape, or a new model of another task.
    """
    setting = problem.make_setting(values)
    made = problem.make_encoder(setting)
    problem.train(made, setting, dataclasses.replace(problem.validation, monitor=search.objective, mode=search.mode))
    return made


def _to_values(space: SearchSpace, hp: Any) -> dict[str, Any]:
    values = space.values(hp)
    if "tuner/epochs" in hp.values:  # Hyperband's
        values["epochs"] = hp.values["tuner/epochs"]
    return values


def _warn_of_failed(folder: TuningFolder) -> None:
    failed = [trial for trial in folder.read_trials() if trial.status == "failed"]
    if failed:
        logger.warning(
            "%d trials of %s failed before and are not tried again, %s first: %s Name another folder to try them.",
            *(len(failed), folder.path, failed[0].id, failed[0].message),
        )


def _warn_if_cut_short(report: TuningReport, epochs: int) -> None:
    if all(trial.values["epochs"] < epochs for trial in report.completed):
        logger.warning(
            "No trial had all %d epochs: few were completed, or the space is small. With tuner='random' each has.",
            epochs,
        )


def _check_hyperband(space: SearchSpace, hyperparameters: Hyperparameters, max_trials: int) -> None:
    if "epochs" in space.names:
        raise InputError(
            "`epochs` cannot be in the space of Hyperband, which deals them out itself. Received: both. Leave `epochs` "
            "out of the space, and give the most of them as the chain's."
        )
    if hyperparameters.epochs < LEAST_HYPERBAND_EPOCHS:
        raise InputError(
            f"Hyperband needs at least {LEAST_HYPERBAND_EPOCHS} epochs to deal out. Received: "
            f"epochs={hyperparameters.epochs}. Give the chain more, such as 9, or use tuner='random'."
        )
    from tfchain.optimization.tuning.oracles import describe_first_bracket

    *early, (_, most) = describe_first_bracket(hyperparameters.epochs)
    needed = sum(size for size, _ in early) + 1
    if max_trials < needed:
        dealt = ", ".join(f"{size} trials with {epochs}" for size, epochs in early)
        raise InputError(
            f"Hyperband needs at least {needed} trials to come to a training of all {most} epochs: {dealt} before it. "
            f"Received: max_trials={max_trials}. Give max_trials={needed} or more, the chain fewer epochs, or take "
            "tuner='random'."
        )
