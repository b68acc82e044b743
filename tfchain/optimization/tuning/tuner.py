"""KerasTuner's tuner for text encoders: asks an oracle what to try, runs it, and reports the result."""

import contextlib
import io
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine import trial as trial_module
from keras_tuner.engine.base_tuner import BaseTuner

from tfchain.optimization.tuning.folder import ORACLE
from tfchain.optimization.tuning.report import TrialReport
from tfchain.optimization.tuning.workers import find_role, lost_chief, serve_oracle, wait_for_chief

IDLE_SECONDS = 0.2
Status = trial_module.TrialStatus


class SearchTuner(BaseTuner):
    """Runs the trials of an oracle one after another.

    Args:
        oracle: Says what to try.
        path: The search's folder; an earlier call's search there is resumed.
        to_values: Converts a trial's KerasTuner hyperparameters to values by name.
        run: Runs a trial with these values.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        path: Path,
        to_values: Callable[[Any], Mapping[str, Any]],
        run: Callable[[str, Mapping[str, Any]], TrialReport],
    ) -> None:
        self.to_values = to_values
        self.run = run
        oracle.verbose = 0
        with contextlib.redirect_stdout(io.StringIO()):  # it prints where it reloads from
            super().__init__(oracle, directory=str(path), project_name=ORACLE)

    def search(self) -> None:
        """Runs trials until the oracle has no more; a chief hands them out instead.

        Raises:
            ServerError: if the chief's port is in use.
            WorkerLostError: if a worker does not find its chief.
        """
        role = find_role(os.environ)
        if role == "chief":
            self.save()
            serve_oracle(self.oracle)
            return
        if role == "worker":
            wait_for_chief()
        with lost_chief():
            self._run_trials()

    def _run_trials(self) -> None:
        while True:
            trial = self.oracle.create_trial(self.tuner_id)
            if trial.status == Status.STOPPED:
                return
            if trial.status == Status.IDLE:  # other workers' trials decide what comes next
                time.sleep(IDLE_SECONDS)
                continue
            report = self.run(trial.trial_id, self.to_values(trial.hyperparameters))
            trial.status = Status.INVALID  # infeasible or failed, and never the best
            if report.status == "completed":
                objective = self.oracle.objective.name
                self.oracle.update_trial(trial.trial_id, {objective: report.metrics[objective]})
                trial.status = Status.COMPLETED
            self.oracle.end_trial(trial)

    # Only the oracle's file is kept. KerasTuner's own file for the tuner is empty, and without it a search restarts.
    def _get_tuner_fname(self) -> str:
        return str(Path(self.project_dir) / "oracle.json")

    def save(self) -> None:
        if not self._is_worker():
            self.oracle.save()

    def reload(self) -> None:
        if not self._is_worker():
            self.oracle.reload()
