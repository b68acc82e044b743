"""Going on in the middle of an epoch: steps that were done are counted and not run."""

from typing import Any

import keras
import pytest
import tensorflow as tf

from tests.training.conftest import Stepper


class Watcher(keras.callbacks.Callback):
    """Writes down what the trainer says of itself behind each step."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[int, bool, int]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append((batch, self.model.skipping, self.model.steps_done))


def test_a_training_from_its_beginning_runs_every_step() -> None:
    trainer, watcher = Stepper(), Watcher()
    history = trainer.run(watcher, epochs=2, steps_per_epoch=3)
    assert trainer.seen == [0, 1, 2, 3, 4, 5]
    assert trainer.steps_in_weights == 6
    assert history.history["loss"] == [1, 4]
    assert watcher.steps == [(0, False, 1), (1, False, 2), (2, False, 3), (0, False, 4), (1, False, 5), (2, False, 6)]


def test_steps_that_were_done_are_skipped_in_the_first_epoch_alone() -> None:
    trainer, watcher = Stepper(), Watcher()
    history = trainer.run(watcher, epochs=3, steps_per_epoch=3, position=(1, 2))
    assert trainer.seen == [5, 6, 7, 8]
    assert trainer.steps_in_weights == 4
    assert (trainer.steps_done, trainer.steps_to_skip) == (9, 0)
    assert history.epoch == [1, 2]
    assert history.history["loss"] == [5, 7]
    assert watcher.steps[:3] == [(0, True, 5), (1, True, 5), (2, False, 6)]
    assert not any(skipping for _, skipping, _ in watcher.steps[3:])


def test_a_second_fit_uses_the_same_function() -> None:
    trainer = Stepper()
    trainer.run(epochs=1)
    first = trainer.train_function
    trainer.run(epochs=1, position=(0, 3))
    assert trainer.train_function is first
    assert trainer.seen == [0, 1, 2, 3, 3]


class Traced(Stepper):
    """As `Stepper`, in a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.traces = 0
        self.compile(optimizer=self.optimizer, run_eagerly=False, jit_compile=False)

    def train_step(self, data: Any) -> Any:
        self.traces += 1
        weights = self.encoder.trainable_weights
        self.optimizer.apply([-keras.ops.ones(weight.shape) for weight in weights], weights)
        self.loss_tracker.update_state(data)
        return self.to_logs({"loss": self.loss_tracker.result()})


def test_in_a_graph_a_step_is_traced_once_and_comes_to_the_same() -> None:
    trainer, watcher = Traced(), Watcher()
    history = trainer.run(watcher, epochs=3, steps_per_epoch=3, position=(1, 2))
    assert trainer.traces == 1
    assert trainer.steps_in_weights == 4
    assert history.history["loss"] == [5, 7]
    assert watcher.steps[:3] == [(0, True, 5), (1, True, 5), (2, False, 6)]


def test_batches_that_end_early_end_the_training_with_keras_warning() -> None:
    trainer = Traced()
    with pytest.warns(UserWarning, match="input ran out of data"):
        trainer.fit(tf.data.Dataset.range(5), epochs=1, steps_per_epoch=8, verbose=0)
    assert trainer.steps_in_weights == 5


def test_the_logs_of_one_worker_are_scalars() -> None:
    assert Stepper().to_logs({"loss": 0.5}) == {"loss": 0.5}
