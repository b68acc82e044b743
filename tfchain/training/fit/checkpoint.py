"""Training checkpoints: everything that a training needs to resume as if it had never stopped."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tfchain.core.atomic import new_folder, remove_partials, writing
from tfchain.core.checks import check_writable
from tfchain.core.errors import InputError, TfchainError, first_line
from tfchain.training.fit.divergence import check_finite
from tfchain.training.fit.training_hook import hook_variables
from tfchain.training.fit.validation import EvaluationCallback

logger = logging.getLogger(__name__)

KEPT = 2
VERSION = 2
STATE_NAMES = ("identity", "epoch", "step", "stopped", "num_metrics", "history", "epochs", "evaluator", "has_best")


class TrainingCheckpoint(keras.callbacks.Callback):
    """Saves weights, optimizer, dropout generators, metrics, History and position; the newest folder is complete.

    Each save is a folder `step-<number>` that appears atomically; the last two are kept. A training that was killed
    between two saves resumes from the last one, takes the same batches again and arrives at the same losses. Weights
    that are not finite are never saved.

    Args:
        path: The checkpoint folder, on a disk that all workers can reach.
        identity: Plain values that identify the training; a checkpoint of another training is refused.
        every: Also save after this many steps. Default: save only at the end of each epoch.
        writes: Whether this process writes the saves. Default: True.
        evaluator: The evaluator whose best weights and results are saved as well. Default: none.
        write_more: Called with the folder of a save, to write what else belongs to it. Default: nothing.

    Attributes:
        history: Losses and metrics by epoch, including those before an interruption.
        epochs: The numbers of those epochs.
        stopped: Whether the restored training had been stopped early, for example by `patience`.
    """

    def __init__(
        self,
        path: Path | str,
        identity: Mapping[str, Any],
        *,
        every: int | None = None,
        writes: bool = True,
        evaluator: EvaluationCallback | None = None,
        write_more: Callable[[Path], None] | None = None,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self.identity = json.loads(json.dumps(dict(identity)))
        self.every = every
        self.writes = writes
        self.evaluator = evaluator
        self.write_more = write_more
        self.history: dict[str, list[Any]] = {}
        self.epochs: list[int] = []
        self.stopped = False
        self._metrics: list[np.ndarray] = []

    def find(self) -> Path | None:
        """The newest save, or None if there is none.

        Raises:
            InputError: if the path is not a checkpoint folder.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"`checkpoint` must be a folder. Received: {self.path}, which is a file. Name another.")
        saves = sorted(self.path.glob("step-*"))
        if not saves and self.path.is_dir() and any(not entry.name.startswith(".") for entry in self.path.iterdir()):
            raise InputError(
                f"`checkpoint` must be a new folder or hold a checkpoint. Received: {self.path}, which "
                "holds something else. Name another."
            )
        return saves[-1] if saves else None

    def check(self) -> Path | None:
        """The newest save, after checking that it belongs to this training.

        Raises:
            InputError: if it was made with another model, dataset or hyperparameters, or the folder cannot be written.
            TfchainError: if it is damaged.
        """
        found = self.find()
        if self.writes:
            check_writable("checkpoint", self.path)  # now, rather than after the first epoch
        if found is None:
            return None
        state = self._read_state(found)
        names = {**state["identity"], **self.identity}
        differing = [name for name in names if state["identity"].get(name) != self.identity.get(name)]
        if differing:
            what = "; ".join(
                f"{name} was {str(state['identity'].get(name))[:40]}, is {str(self.identity.get(name))[:40]}"
                for name in differing
            )
            raise InputError(
                f"The checkpoint in {self.path} belongs to another training: {what}. "
                "Name another folder, or train with what it was made with."
            )
        return found

    def restore(self, model: Any) -> tuple[int, int] | None:
        """Loads the values of the newest save into the model.

        Returns:
            The epoch to resume and the number of its steps already done; None if there is no save.
        """
        found = self.check()
        if found is None:
            return None
        state = self._read_state(found)
        try:
            tensors = load_file(found / "state.safetensors")
            best = load_file(found / "best.safetensors") if state["has_best"] else None
            for name, variable in _variables(model).items():
                variable.assign(tensors[name])
            self._metrics = [tensors[f"metric/{number}"] for number in range(state["num_metrics"])]
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise _damaged(found, error) from error
        self.history, self.epochs, self.stopped = state["history"], state["epochs"], state["stopped"]
        if self.evaluator is not None and state["evaluator"] is not None:
            weights = None if best is None else [best[str(number)] for number in range(len(best))]
            self.evaluator.set_state(state["evaluator"], weights)
        logger.info("Resuming from %s: epoch %d, step %d.", found, state["epoch"] + 1, state["step"])
        return state["epoch"], state["step"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._metrics and self.model.steps_to_skip:  # the epoch's mean so far, which Keras has just reset
            for variable, value in zip(_metric_variables(self.model), self._metrics, strict=True):
                variable.assign(value)
        self._metrics = []
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        is_last = batch + 1 == self.params.get("steps")  # saved at the epoch's end, with the evaluation
        ends = is_last or self.model.stop_training
        if self.every and not self.model.skipping and not ends and self.model.steps_done % self.every == 0:
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        self.epochs.append(epoch)
        self._save(epoch + 1, 0)

    def _save(self, epoch: int, step: int) -> None:
        # Every worker checks, so that all of them stop; the previous save stays the newest.
        check_finite([*self.model.encoder.variables, *self.model.optimizer.variables], self.model.steps_done)
        # All workers read: they gather the variables that have a part on each worker together.
        metrics = [np.array(variable) for variable in _metric_variables(self.model)]
        if not self.writes:
            return
        name = f"step-{self.model.steps_done:09d}"
        if (self.path / name).exists():
            return
        remove_partials(self.path)
        tensors = {key: np.array(variable) for key, variable in _variables(self.model).items()}
        tensors |= {f"metric/{number}": value for number, value in enumerate(metrics)}
        evaluator = self.evaluator
        state = {
            "version": VERSION,
            "identity": self.identity,
            "epoch": epoch,
            "step": step,
            "stopped": bool(self.model.stop_training),
            "num_metrics": len(metrics),
            "history": self.history,
            "epochs": self.epochs,
            "evaluator": evaluator.get_state() if evaluator is not None else None,
            "has_best": evaluator is not None and evaluator.best_weights is not None,
        }
        with new_folder(self.path / name) as partial, writing(partial):
            save_file(tensors, partial / "state.safetensors")
            if evaluator is not None and evaluator.best_weights is not None:
                best = {str(number): weight for number, weight in enumerate(evaluator.best_weights)}
                save_file(best, partial / "best.safetensors")
            if self.write_more is not None:
                self.write_more(partial)
            (partial / "state.json").write_text(json.dumps(state), encoding="utf-8")
        for old in sorted(self.path.glob("step-*"))[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def _read_state(self, path: Path) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
            version = state["version"]
            if not isinstance(version, int):
                raise ValueError(f"version {version!r}")
            missing = [name for name in STATE_NAMES if name not in state] if version == VERSION else []
            if missing or (version == VERSION and not isinstance(state["identity"], dict)):
                raise ValueError(f"state.json lacks {', '.join(missing) or 'an identity'}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(path, error) from error
        if version != VERSION:
            what = "a newer" if version > VERSION else "an older"
            raise InputError(
                f"`checkpoint` must be in format {VERSION}, which this tfchain reads. Received: {path} in format "
                f"{version} of {what} tfchain. Resume with that version, or name another folder to start over."
            )
        return state


def _damaged(path: Path, error: Exception) -> TfchainError:
    return TfchainError(f"The checkpoint {path} is damaged: {first_line(error)}. Delete this folder and go on.")


def _variables(model: Any) -> dict[str, Any]:
    """Everything that changes during training, by name: weights, dropout generators, optimizer and hook state."""
    variables = {f"encoder/{number}": variable for number, variable in enumerate(model.encoder.variables)}
    variables |= {f"optimizer/{number}": variable for number, variable in enumerate(model.optimizer.variables)}
    return variables | hook_variables(model.hooks)


def _metric_variables(model: Any) -> list[Any]:
    return [variable for metric in model.metrics for variable in metric.variables]
