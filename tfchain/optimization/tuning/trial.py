"""One trial: a fresh copy of the model, trained with the trial's values, and measured."""

import dataclasses
import gc
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.tuning.folder import TuningFolder
from tfchain.optimization.tuning.hparams import log_trial
from tfchain.optimization.tuning.limits import Gauge, find_broken_limit
from tfchain.optimization.tuning.options import Search
from tfchain.optimization.tuning.report import TrialReport
from tfchain.optimization.tuning.setting import Setting, make_setting, make_trial_encoder, sample_texts
from tfchain.training.evaluation import Evaluate, Validation
from tfchain.training.fit import fit_text_encoder
from tfchain.training.fit_options import FitOptions
from tfchain.training.training_data import NamedPairs

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all trials of a search share.

    Args:
        text_encoder: What each begins with a copy of.
        dataset: What `fit_text_encoder` takes.
        datasets: The same, read.
        hyperparameters: Those that the values of a trial leave as they are.
        options: The same.
        evaluate: From a text encoder to metrics.
        validation: When, and which metrics; its dataset is a `BeirDataset`.
    """

    text_encoder: TextEncoder
    dataset: Any
    datasets: Sequence[NamedPairs]
    hyperparameters: Hyperparameters
    options: FitOptions
    evaluate: Evaluate
    validation: Validation

    def make_setting(self, values: Mapping[str, Any]) -> Setting:
        """What a trial with these values trains."""
        return make_setting(values, self.hyperparameters, self.options, self.datasets)

    def make_encoder(self, setting: Setting) -> TextEncoder:
        """A text encoder of the trial's own, not trained yet."""
        texts = sample_texts(self.datasets)
        return make_trial_encoder(self.text_encoder, setting, texts, progress=self.options.progress)

    def train(self, text_encoder: TextEncoder, setting: Setting, validation: Validation) -> dict[str, list[float]]:
        """Trains it in place; gives loss and metrics by epoch."""
        gc.collect()  # the trial before has left a graph that is full of circles
        history = fit_text_encoder(
            text_encoder,
            self.dataset,
            setting.hyperparameters,
            setting.options,
            evaluate=self.evaluate,
            validation=validation,
        )
        return {name: [float(value) for value in values] for name, values in history.history.items()}


class TrialRunner:
    """Runs trials, and keeps what they find.

    Args:
        task: What they share.
        search: The objective and the limits.
        folder: Where what they find is kept; a trial that is there already is not run again.
        gauge: Measures latency and size. Default: they are not measured.
    """

    def __init__(self, task: Task, search: Search, folder: TuningFolder, gauge: Gauge | None = None) -> None:
        self.task = task
        self.search = search
        self.folder = folder
        self.gauge = gauge

    def __call__(self, id: str, values: Mapping[str, Any]) -> TrialReport:
        """Runs a trial.

        Args:
            id: Its number.
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
            if type(error).__name__ != "ResourceExhaustedError":  # TensorFlow's word for too little memory
                raise
            report = dataclasses.replace(report, status="failed", message="The device has too little memory for it.")
        report = dataclasses.replace(report, seconds=time.perf_counter() - begin)
        log_trial(self.folder.log_path(id), report)
        self.folder.write_trial(report)
        score = report.metrics.get(self.search.objective)
        logger.info("Trial %s: %s", id, report.message if score is None else f"{self.search.objective} {score:.4f}")
        return report

    def _run(self, report: TrialReport) -> TrialReport:
        setting = self.task.make_setting(report.values)
        text_encoder = self.task.make_encoder(setting)
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
        validation = dataclasses.replace(self.task.validation, monitor=objective, restore_best=False)
        history = self.task.train(text_encoder, setting, validation)
        scores = history[objective]
        best = max(range(len(scores)), key=lambda epoch: scores[epoch])
        return dataclasses.replace(
            report,
            metrics={name: history[name][best] for name in self.task.validation.metrics},
            epochs=tuple(scores),
        )
