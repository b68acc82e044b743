"""Checks users' callbacks: refuses Keras callbacks that cannot work in `fit`, and names what to use instead."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from tfchain.core.checks import check_writable
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.training.fit.optimizer import has_settable_rate
from tfchain.training.fit.training_hook import TrainingHook

# Keras callbacks that cannot work here, and what to use instead. Not every Keras 3 has OrbaxCheckpoint.
INSTEAD = {
    "BackupAndRestore": "`checkpoint=` saves a training and resumes it, even in the middle of an epoch",
    "OrbaxCheckpoint": "`checkpoint=` saves a training and resumes it, `ModelCheckpoint` keeps encoders",
    "SwapEMAWeights": "`ema_momentum=` ends the training with the averages, and validation measures them",
    "CallbackList": "Give the callbacks themselves",
}
RATE_SETTERS = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
MONITORS = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.EarlyStopping, keras.callbacks.ModelCheckpoint)


def check_callbacks(callbacks: Any) -> tuple[keras.callbacks.Callback, ...]:
    """Returns the callbacks as a tuple.

    Raises:
        InputError: if they are not a list, or an item is not a Keras callback or cannot work in `fit`; the message
            says what to use instead.
    """
    if isinstance(callbacks, str) or not isinstance(callbacks, Sequence):
        what = f"one {_name(callbacks)}" if isinstance(callbacks, keras.callbacks.Callback) else f"{callbacks!r:.100}"
        raise InputError(
            f"`callbacks` must be a list of Keras callbacks. Received: {what}. Put it into a list.",
            argument="callbacks",
        )
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            what = f"the class {callback.__name__}" if isinstance(callback, type) else f"{callback!r:.100}"
            raise InputError(f"Each of `callbacks` must be a Keras callback. Received: {what}.", argument="callbacks")
        if isinstance(callback, TrainingHook):
            raise InputError(
                f"A `TrainingHook` belongs to `hooks`. Received: {_name(callback)} among `callbacks`.",
                argument="callbacks",
            )
        for name, advice in INSTEAD.items():
            kind = getattr(keras.callbacks, name, None)
            if kind is not None and isinstance(callback, kind):
                raise InputError(f"`callbacks` cannot have a {name} in `fit`. {advice}.", argument="callbacks")
    return tuple(callbacks)


def check_callbacks_fit(
    callbacks: Sequence[keras.callbacks.Callback], hyperparameters: Hyperparameters, metrics: Sequence[str] | None
) -> None:
    """Raises if a Keras callback would fail, or have no effect, in this training.

    Args:
        callbacks: What `check_callbacks` returned.
        hyperparameters: The training's hyperparameters.
        metrics: The metrics measured at the end of each epoch; None if they are not known.

    Raises:
        InputError: if a callback sets the learning rate although a schedule does, watches a value that is not measured,
            or has a path that cannot be written; the message says what to write instead.
    """
    known = ["loss", *(metrics or ())]
    adds_rate = any(isinstance(callback, RATE_SETTERS) for callback in callbacks)
    knows_all = metrics is not None and all(
        type(callback).__module__.startswith("keras.") for callback in callbacks
    )  # other callbacks may add logs
    for callback in callbacks:
        if isinstance(callback, RATE_SETTERS) and not has_settable_rate(hyperparameters):
            raise InputError(
                f"{_name(callback)} needs a learning rate that no schedule sets. Received: "
                f"schedule={hyperparameters.schedule!r}, warmup={hyperparameters.warmup}. Write schedule='constant', "
                "warmup=0, or leave it out: the schedule lowers the rate.",
                argument="callbacks",
            )
        if isinstance(callback, MONITORS):
            _check_monitor(callback, [*known, *(["learning_rate"] if adds_rate else [])], knows_all=knows_all)
        if isinstance(callback, keras.callbacks.ModelCheckpoint):
            _check_path(callback, known, knows_all=knows_all)
        if isinstance(callback, keras.callbacks.CSVLogger):
            _check_csv(Path(callback.filename))
        if isinstance(callback, keras.callbacks.TensorBoard):
            check_writable("TensorBoard.log_dir", Path(callback.log_dir))


def _check_monitor(callback: Any, known: Sequence[str], *, knows_all: bool) -> None:
    """Raises if Keras would warn after each epoch and do nothing, or fail after the first epoch."""
    monitor = callback.monitor
    if isinstance(callback, keras.callbacks.ModelCheckpoint) and not callback.save_best_only:
        if monitor == "val_loss":
            return  # the default, which is ignored
    elif monitor not in known and (knows_all or monitor.startswith("val_")):
        raise InputError(
            f"{_name(callback)} must watch what is measured at an epoch's end: {', '.join(known)}. Received: "
            f"monitor={monitor!r}. `fit` has no validation loss: give it `validation=`, and name one of its metrics "
            "with mode='max'.",
            argument="callbacks",
        )
    if callback.mode == "auto" and monitor.removeprefix("val_") != "loss":
        raise InputError(
            f"{_name(callback)} must know whether a high {monitor!r} is good. Received: mode='auto'. Write mode='max'.",
            argument="callbacks",
        )


def _check_path(callback: Any, known: Sequence[str], *, knows_all: bool) -> None:
    """Raises if the file name uses a value that is not measured, or its folder cannot be written."""
    values = {**dict.fromkeys(known, 0.5), "epoch": 1}
    if callback.save_freq != "epoch":
        values = {"epoch": 1, "batch": 1, "loss": 0.5}
    try:
        path = Path(callback.filepath.format(**values))
    except (KeyError, ValueError, IndexError) as error:
        if not knows_all:
            return
        raise InputError(
            f"The `filepath` of ModelCheckpoint may hold {', '.join(f'{{{name}}}' for name in values)}. Received: "
            f"{callback.filepath}, which cannot be filled in: {type(error).__name__}: {error}.",
            argument="callbacks",
        ) from error
    if path.is_dir():
        raise InputError(f"The `filepath` of ModelCheckpoint must be a file. Received: the folder {path}.")
    check_writable("filepath", path.parent)


def _check_csv(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(
            f"The file of CSVLogger must be in an existing folder. Received: {path}. Create the folder, or use "
            "`log_path=`, which writes training.csv.",
            argument="callbacks",
        )
    check_writable("filename", path.parent)


def _name(callback: Any) -> str:
    return type(callback).__name__
