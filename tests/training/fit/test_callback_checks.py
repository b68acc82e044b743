"""Every callback of Keras: it does its work in `fit`, or is refused before the first step with what to use instead."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.training.conftest import MakeTextEncoder, Stepper
from tests.training.fit.test_fit import PAIRS, fit, weights_of
from tests.training.fit.test_training_hook import Halving
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.training.fit.callback_checks import check_callbacks_fit
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.validation import Validation

Make = Callable[[Path], keras.callbacks.Callback]
CONSTANT = {"schedule": "constant", "warmup": 0}
keras_callbacks = keras.callbacks


class Adding(keras.callbacks.Callback):
    """Adds a metric of its own."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["mine"] = -epoch


REFUSED: dict[str, tuple[Make, str]] = {
    "BackupAndRestore": (lambda path: keras_callbacks.BackupAndRestore(str(path)), r"`checkpoint=` saves a training"),
    "SwapEMAWeights": (
        lambda _: keras_callbacks.SwapEMAWeights(),
        r"`ema_momentum=` ends the training with the averages",
    ),
    "CallbackList": (lambda _: keras_callbacks.CallbackList([]), r"Give the callbacks themselves"),
}
WORK = {"CSVLogger", "EarlyStopping", "LambdaCallback", "LearningRateScheduler", "ModelCheckpoint", "ReduceLROnPlateau"}
# Need a service or a package of their own, or write what is not looked at here; all were tried by hand.
OTHERS = {"Callback", "History", "OrbaxCheckpoint", "ProgbarLogger", "RemoteMonitor", "TensorBoard", "TerminateOnNaN"}


def test_no_callback_of_keras_is_left_out() -> None:
    known = {name for name in dir(keras.callbacks) if name[0].isupper()}
    assert known <= {*REFUSED, *WORK, *OTHERS}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_callback_that_cannot_work_names_what_to_use(tmp_path: Path, name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(InputError, match=rf"`callbacks` cannot have a {name} in `fit`\. {message}"):
        FitOptions(callbacks=[make(tmp_path)])


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (keras.callbacks.History(), r"must be a list of Keras callbacks\. Received: one History\. Put it into a list"),
        ([keras.callbacks.EarlyStopping], r"must be a Keras callback\. Received: the class EarlyStopping"),
        ([3], r"must be a Keras callback\. Received: 3"),
        ("loss", r"must be a list of Keras callbacks\. Received: 'loss'"),
        (None, r"must be a list of Keras callbacks\. Received: None"),
        ([Halving()], r"A `TrainingHook` belongs to `hooks`\. Received: Halving among `callbacks`"),
    ],
)
def test_what_is_no_list_of_callbacks_is_refused(callbacks: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FitOptions(callbacks=callbacks)


def check(callback: Any, *others: Any, metrics: Any = ("ndcg@10",), **values: Any) -> None:
    check_callbacks_fit([callback, *others], Hyperparameters(**values), metrics)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: keras_callbacks.ReduceLROnPlateau("loss"), r"ReduceLROnPlateau needs a learning rate that no sched"),
        (
            lambda _: keras_callbacks.LearningRateScheduler(lambda epoch, rate: rate),
            r"schedule='linear', warmup=0\.1\. Write schedule='constant', warmup=0, or leave it out",
        ),
        (lambda _: keras_callbacks.EarlyStopping(), r"end: loss, ndcg@10\. Received: monitor='val_loss'"),
        (lambda _: keras_callbacks.EarlyStopping("mrr@10", mode="max"), r"Received: monitor='mrr@10'"),
        (lambda _: keras_callbacks.EarlyStopping("ndcg@10"), r"whether a high 'ndcg@10' is good\..*Write mode='max'"),
        (
            lambda path: keras_callbacks.ModelCheckpoint(path / "a.keras", save_best_only=True),
            r"ModelCheckpoint must watch .* Received: monitor='val_loss'",
        ),
        (
            lambda path: keras_callbacks.ModelCheckpoint(path / "a.keras", "ndcg@10"),
            r"ModelCheckpoint must know whether a high 'ndcg@10' is good",
        ),
        (
            lambda path: keras_callbacks.ModelCheckpoint(path / "{val_loss}.keras"),
            r"may hold \{loss\}, \{ndcg@10\}, \{epoch\}\. Received: .*\{val_loss\}\.keras",
        ),
        (
            lambda path: keras_callbacks.ModelCheckpoint(path / "{ndcg@10}.keras", save_freq=3),
            r"may hold \{epoch\}, \{batch\}, \{loss\}\.",
        ),
        (lambda path: keras_callbacks.ModelCheckpoint(path / "file" / "a.keras"), r"must be a folder to write to"),
        (lambda path: keras_callbacks.ModelCheckpoint(path / "folder.keras"), r"must be a file\. Received: the folder"),
        (lambda path: keras_callbacks.CSVLogger(path / "gone" / "a.csv"), r"CSVLogger must be in an existing folder"),
        (lambda path: keras_callbacks.CSVLogger(path), r"CSVLogger must be in an existing folder"),
        (lambda path: keras_callbacks.TensorBoard(str(path / "file")), r"`TensorBoard\.log_dir` must be a folder"),
    ],
)
def test_a_callback_that_failed_after_epochs_of_training_is_refused(tmp_path: Path, make: Make, message: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(InputError, match=message):
        check(make(tmp_path))


def test_callbacks_that_fit_pass(tmp_path: Path) -> None:
    check(keras.callbacks.EarlyStopping("loss"))
    check(keras.callbacks.EarlyStopping("ndcg@10", mode="max"))
    check(keras.callbacks.EarlyStopping("mine", mode="min"), Adding())  # who knows what it adds
    check(keras.callbacks.ReduceLROnPlateau("loss"), **CONSTANT)
    check(keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}-{ndcg@10:.2f}-{loss}.keras"))
    check(keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}-{loss}.keras", save_freq=3))
    check(keras.callbacks.ModelCheckpoint(tmp_path / "{mine}.keras"), Adding())


def test_fit_asks_before_texts_are_tokenized(
    make_text_encoder: MakeTextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfchain.training.fit.fit.make_training_set", None)
    with pytest.raises(InputError, match="EarlyStopping must watch what is measured at an epoch's end: loss"):
        fit(make_text_encoder(), PAIRS, callbacks=[keras.callbacks.EarlyStopping("ndcg@10", mode="max")])


def test_keras_callbacks_set_the_rate_save_encoders_and_stop(
    make_text_encoder: MakeTextEncoder, tmp_path: Path, eager: None
) -> None:
    """One training for all of them: what each did stands in the logs and the files."""
    text_encoder = make_text_encoder()
    seen: list[list[np.ndarray]] = []
    scores = iter([0.5, 0.7, 0.6, 0.6])
    history = fit(
        text_encoder,
        PAIRS,
        epochs=6,
        learning_rate=0.01,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: seen.append(text_encoder_weights(history_of[0]))
            ),
            History(history_of := []),
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.004 if epoch == 1 else rate),
            keras.callbacks.ReduceLROnPlateau("ndcg@10", mode="max", factor=0.5, patience=1),
            keras.callbacks.EarlyStopping("ndcg@10", mode="max", patience=2),
            keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", "ndcg@10", mode="max", save_best_only=True),
            keras.callbacks.ModelCheckpoint(tmp_path / "last.weights.h5", save_weights_only=True),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        ],
        evaluate=lambda _: {"ndcg@10": next(scores)},
        validation=Validation(dataset=None, metrics=["ndcg@10"], restore_best=False),
        **CONSTANT,
    )
    assert history.history["ndcg@10"] == [0.5, 0.7, 0.6, 0.6]  # stopped: two without a better one
    rates = history.history["learning_rate"]
    assert rates == pytest.approx([0.01, 0.004, 0.004, 0.002])  # halved behind the third, and it was used in the fourth
    assert sorted(file.name for file in tmp_path.glob("*.keras")) == ["1.keras", "2.keras"]
    loaded = keras.models.load_model(tmp_path / "2.keras")
    for weight, expected in zip(loaded.weights, seen[1], strict=True):
        np.testing.assert_array_equal(np.array(weight), expected)
    loaded.load_weights(tmp_path / "last.weights.h5")
    for weight, expected in zip(loaded.weights, weights_of(text_encoder), strict=True):
        np.testing.assert_array_equal(np.array(weight), expected)
    with (tmp_path / "log.csv").open(newline="") as file:
        assert [row["ndcg@10"] for row in csv.DictReader(file)] == ["0.5", "0.7", "0.6", "0.6"]


class History(keras.callbacks.Callback):
    """Puts the model in training into a list."""

    def __init__(self, models: list[Any]) -> None:
        super().__init__()
        self.models = models

    def on_train_begin(self, logs: Any = None) -> None:
        self.models.append(self.model)


def text_encoder_weights(trainer: Any) -> list[np.ndarray]:
    return [np.array(weight) for weight in trainer.encoder.weights]


def test_a_rate_that_a_callback_set_is_used_and_outlives_a_stop(tmp_path: Path) -> None:
    from tfchain.training.fit.checkpoint import TrainingCheckpoint

    trainer = Stepper(learning_rate=1.0)
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    trainer.run(halve, TrainingCheckpoint(tmp_path, {}), epochs=2, steps_per_epoch=3)
    assert trainer.steps_in_weights == 3 * 0.5 + 3 * 0.25
    again = Stepper(learning_rate=1.0)
    assert TrainingCheckpoint(tmp_path, {}).restore(again) == (2, 0)
    assert float(again.optimizer.learning_rate) == 0.25
