"""What a training leaves to look at: a CSV file, and events that TensorBoard reads."""

import csv
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from tests.training.conftest import Stepper
from tfchain.training.fit.logs import ScalarEvents, make_log_callbacks


class Metrics(keras.callbacks.Callback):
    """Adds a metric, as an evaluation does."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["ndcg@10"] = 0.5 + epoch / 10


def read_events(path: Path) -> dict[str, dict[int, float]]:
    """The scalars by name and step, read from the files' records without TensorBoard."""
    found: dict[str, dict[int, float]] = {}
    for file in sorted(path.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found.setdefault(value.tag, {})[event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_a_line_an_epoch_stands_in_the_csv_file_with_all_metrics(tmp_path: Path) -> None:
    Stepper().run(Metrics(), *make_log_callbacks(tmp_path / "new" / "logs"), epochs=2, steps_per_epoch=3)
    with (tmp_path / "new" / "logs" / "training.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"epoch": "0", "loss": "1.0", "ndcg@10": "0.5"},
        {"epoch": "1", "loss": "4.0", "ndcg@10": "0.6"},
    ]


def test_a_training_that_goes_on_keeps_the_lines_before(tmp_path: Path) -> None:
    Stepper().run(*make_log_callbacks(tmp_path), epochs=1, steps_per_epoch=3)
    Stepper().run(*make_log_callbacks(tmp_path, append=True), epochs=2, steps_per_epoch=3, position=(1, 0))
    assert (tmp_path / "training.csv").read_text().split() == ["epoch,loss", "0,1.0", "1,4.0"]
    Stepper().run(*make_log_callbacks(tmp_path), epochs=1, steps_per_epoch=3)
    assert (tmp_path / "training.csv").read_text().split() == ["epoch,loss", "0,1.0"]


def test_tensorboard_finds_losses_metrics_and_learning_rates(tmp_path: Path) -> None:
    Stepper(learning_rate=0.25).run(Metrics(), ScalarEvents(tmp_path, every=2), epochs=2, steps_per_epoch=3)
    found = read_events(tmp_path)
    assert found.pop("epoch/ndcg@10") == pytest.approx({0: 0.5, 1: 0.6})
    assert found == {
        "step/loss": {2: 0.5, 4: 3.0, 6: 4.0},  # the epoch's mean so far
        "step/learning_rate": {2: 0.25, 4: 0.25, 6: 0.25},
        "epoch/loss": {0: 1.0, 1: 4.0},
    }


def test_skipped_steps_write_nothing(tmp_path: Path) -> None:
    Stepper().run(ScalarEvents(tmp_path, every=1), epochs=1, steps_per_epoch=4, position=(0, 2))
    assert read_events(tmp_path)["step/loss"] == {3: 2.0, 4: 2.5}
