"""One trial: a fresh copy of the model, trained with the trial's values, and measured."""

import copy
import dataclasses
import gc
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.model import Model
from tfchain.core.task import Evaluate
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.tuning.folder import TuningFolder
from tfchain.optimization.tuning.hparams import log_trial
from tfchain.optimization.tuning.limits import Gauge, describe_shape, find_broken_limit
from tfchain.optimization.tuning.options import Search
from tfchain.optimization.tuning.report import TrialReport
from tfchain.optimization.tuning.trial_values import Setting, make_setting, make_trial_encoder, sample_texts
from tfchain.training.batches.training_data import NamedPairs
from tfchain.training.fit.fit import fit_text_encoder
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.validation import Validation

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TuningProblem:
    """What all trials of a search share.

    Args:
        text_encoder: The text encoder, or the model of another task; each trial begins with a copy of it.
        dataset: A dataset for `fit`.
        datasets: The same dataset, already read; empty for the model of another task.
        hyperparameters: The base hyperparameters; a trial's values replace some of them.
        options: The base options; a trial's values replace some of them.
        evaluate: Maps the text encoder to metrics.
        validation: When to evaluate, and which metrics.
        judged: Fingerprints of what `evaluate` compares with, by name. Default: none.
        fit: Trains a text encoder in place, like `fit_text_encoder`, which is the default.
    """

    text_encoder: Model
    dataset: Any
    datasets: Sequence[NamedPairs]
    hyperparameters: Hyperparameters
    options: FitOptions
    evaluate: Evaluate
    validation: Validation
    judged: Mapping[str, str] = field(default_factory=dict)
    fit: Callable[..., keras.callbacks.History] = fit_text_encoder

    def make_setting(self, values: Mapping[str, Any]) -> Setting:
        """Makes the setting that a trial with these values trains."""
        return make_setting(values, self.hyperparameters, self.options, self.datasets)

    def make_encoder(self, setting: Setting) -> Any:
        """Makes the trial's own text encoder, or other model, not trained yet."""
        if not isinstance(self.text_encoder, TextEncoder):
            return self.text_encoder.copy()
        texts = sample_texts(self.datasets)
        return make_trial_encoder(self.text_encoder, setting, texts, progress=self.options.progress)

    def changes_shape(self, setting: Setting) -> bool:
        """Whether a trial's encoder has another shape than the original."""
        if setting.shrink is None and setting.pooling is None:
            return False
        return describe_shape(self.make_encoder(setting)) != describe_shape(self.text_encoder)

    def train(self, text_encoder: Model, setting: Setting, validation: Validation) -> dict[str, list[float]]:
        """Trains it in place; returns loss and metrics by epoch."""
        gc.collect()  # the previous trial leaves a graph that is full of reference cycles
        history = self.fit(
            text_encoder,
            self.dataset,
            setting.hyperparameters,
            dataclasses.replace(setting.options, callbacks=copy_callbacks(setting.options.callbacks)),
            evaluate=self.evaluate,
            validation=validation,
        )
        return {name: [float(value) for value in values] for name, values in history.history.items()}


def copy_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> tuple[keras.callbacks.Callback, ...]:
    """Copies callbacks for one trial, in their state before any training: trials do not see each other's changes.

    Raises:
        InputError: if a callback cannot be copied.
    """
    copies = []
    for callback in callbacks:
        try:
            copies.append(copy.deepcopy(callback))
        except Exception as error:
            raise InputError(
                f"Each trial has its own copy of `callbacks`, and {type(callback).__name__} cannot be copied: "
                f"{type(error).__name__}: {error}. Leave it out."
            ) from error
    return tuple(copies)


class TrialRunner:
    """Runs trials, and stores their reports.

    Args:
        problem: What the trials share.
        search: The objective and the limits.
        folder: Where reports are stored; a trial with a report there is not run again.
        gauge: Measures latency and size. Default: they are not measured.
    """

    def __init__(
        self, problem: TuningProblem, search: Search, folder: TuningFolder, gauge: Gauge | None = None
    ) -> None:
        self.problem = problem
        self.search = search
        self.folder = folder
        self.gauge = gauge

    def __call__(self, id: str, values: Mapping[str, Any]) -> TrialReport:
        """Runs a trial.

        Args:
            id: The trial's number.
            values: Hyperparameters by name.
        """
        kept = self.folder.read_trial(id, values)
        if kept is not None:
            return kept
        logger.info("Trial %s begins: %s", id, dict(values))
        begin = time.perf_counter()
        report = TrialReport(id=id, values=dict(values))
        try:
            report = self._run(report)
        except InputError as error:  # values that do not go together, or not with the model
            report = dataclasses.replace(report, status="failed", message=str(error))
        except Exception as error:
            if type(error).__name__ != "ResourceExhaustedError":  # TensorFlow's name for too little memory
                raise
            report = dataclasses.replace(report, status="failed", message="The device has too little memory for it.")
        report = dataclasses.replace(report, seconds=time.perf_counter() - begin)
        log_trial(self.folder.log_path(id), report)
        self.folder.write_trial(report)
        if report.status == "failed":
            logger.warning("Trial %s failed: %s", id, report.message)
        else:
            score = report.metrics.get(self.search.objective)
            logger.info("Trial %s: %s", id, report.message if score is None else f"{self.search.objective} {score:.4f}")
        return report

    def _run(self, report: TrialReport) -> TrialReport:
        setting = self.problem.make_setting(report.values)
        text_encoder = self.problem.make_encoder(setting)
        if self.gauge is not None:
            cost = self.gauge(text_encoder)
            report = dataclasses.replace(report, latency_ms=cost.latency_ms, size_mb=cost.size_mb)
            message = find_broken_limit(cost, self.search)
            if message:
                return dataclasses.replace(report, status="infeasible", message=message)
        objective = self.search.objective
        setting = dataclasses.replace(
            setting, options=dataclasses.replace(setting.options, log_path=self.folder.log_path(report.id))
        )
        validation = dataclasses.replace(
            self.problem.validation, monitor=objective, mode=self.search.mode, restore_best=False
        )
        history = self.problem.train(text_encoder, setting, validation)
        scores = history[objective]
        bad = next((epoch for epoch, score in enumerate(scores) if not math.isfinite(score)), None)
        if bad is not None:
            raise InputError(
                f"`{objective}` must be a finite number after each epoch. Received: {scores[bad]} after {bad + 1}."
            )
        best = self.search.choose_best(scores)
        return dataclasses.replace(
            report,
            metrics={name: history[name][best] for name in self.problem.validation.metrics or ()},
            epochs=tuple(scores),
        )
