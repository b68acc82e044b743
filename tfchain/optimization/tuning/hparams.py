"""What TensorBoard's HParams page shows of a search; the door to its plugin."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfchain.optimization.tuning.report import TrialReport, to_word

GROUP = "tuning"


def log_search(path: Path, names: Sequence[str], metrics: Sequence[str]) -> None:
    """Declares the search's hyperparameters and metrics to TensorBoard.

    Args:
        path: The folder of the logs.
        names: The names of the hyperparameters.
        metrics: The names of the metrics, the objective first.
    """
    import tensorflow as tf
    from tensorboard.plugins.hparams import api

    if any(path.glob("events.*")):  # a resumed search has already done so
        return
    writer = tf.summary.create_file_writer(str(path))
    with writer.as_default():
        api.hparams_config([api.HParam(name) for name in names], [api.Metric(to_tag(name)) for name in metrics])
    writer.close()


def log_trial(path: Path, report: TrialReport) -> None:
    """Writes a trial's values and metrics for TensorBoard.

    Args:
        path: The folder of the trial's logs.
        report: The trial's report.
    """
    import tensorflow as tf
    from tensorboard.plugins.hparams import api

    writer = tf.summary.create_file_writer(str(path), filename_suffix=".hparams")
    with writer.as_default():
        api.hparams({name: to_plain(value) for name, value in report.values.items()}, trial_id=report.id)
        for name, value in report.metrics.items():
            tf.summary.scalar(to_tag(name), value, step=len(report.epochs))
    writer.close()


def to_tag(metric: str) -> str:
    """A metric's name in TensorBoard."""
    return f"{GROUP}/{metric}"


def to_plain(value: Any) -> Any:
    """Converts a value to a type that the plugin accepts."""
    return value if isinstance(value, bool | int | float | str) else to_word(value)
