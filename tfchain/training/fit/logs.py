"""Training logs: `training.csv`, and events for TensorBoard."""

import csv
from pathlib import Path
from typing import Any

import keras

CSV_NAME = "training.csv"


def make_log_callbacks(path: Path | str, *, append: bool = False) -> list[keras.callbacks.Callback]:
    """Makes callbacks that write a line per epoch to `training.csv`, and losses and metrics for TensorBoard.

    Args:
        path: A folder; created if it does not exist.
        append: Whether to keep the existing lines, for a training that is resumed. Default: False.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    return [EpochLines(path / CSV_NAME, append=append), ScalarEvents(path)]


class EpochLines(keras.callbacks.Callback):
    """Writes a line per epoch: its number, and the metrics by name.

    Keras' own `CSVLogger` adds a column of `NA` for each metric, named as if Keras had validation data.

    Args:
        path: The file; its folder must exist.
        append: Whether to keep existing lines.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        super().__init__()
        self.path = path
        self.append = append

    def on_train_begin(self, logs: Any = None) -> None:
        if not self.append:
            self.path.unlink(missing_ok=True)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        values = {name: float(value) for name, value in sorted((logs or {}).items())}
        is_new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(["epoch", *values])
            writer.writerow([epoch, *values.values()])


class ScalarEvents(keras.callbacks.Callback):
    """Writes the logs of steps and epochs as scalars that TensorBoard shows.

    Keras' own `TensorBoard` callback needs the package tensorboard to write. TensorFlow can write the events itself,
    so that only reading them needs the package.

    Args:
        path: The folder for the events.
        every: Steps between two scalars of the step group. Default: 10.
    """

    def __init__(self, path: Path, *, every: int = 10) -> None:
        super().__init__()
        self.path = path
        self.every = every
        self._writer: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        import tensorflow as tf

        self._writer = tf.summary.create_file_writer(str(self.path))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.model.skipping and self.model.steps_done % self.every == 0:
            rate = self.model.optimizer.learning_rate
            self._write("step", {**(logs or {}), "learning_rate": float(rate)}, self.model.steps_done)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._write("epoch", logs or {}, epoch)

    def on_train_end(self, logs: Any = None) -> None:
        self._writer.close()

    def _write(self, group: str, values: Any, step: int) -> None:
        import tensorflow as tf

        metadata = tf.compat.v1.SummaryMetadata()
        metadata.plugin_data.plugin_name = "scalars"
        metadata.data_class = 1  # DATA_CLASS_SCALAR
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.write(f"{group}/{name}", tf.constant(float(value)), step=step, metadata=metadata)
        self._writer.flush()
