"""What Keras 3's `Model.fit` lacks under `MultiWorkerMirroredStrategy`, and for going on in the middle of an epoch.

Keras 3.15 fails there in two places (keras-team/keras#20585). `_maybe_symbolic_build` takes a batch of all workers to
build the model; ours are built when they are made, so there is nothing to do. `reduce_per_replica` takes the mean of
the logs over their first axis, which a scalar lacks; ours get one. `tests/training/workers` tries Keras without this
file and fails when it has been mended upstream.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfchain.training.fit.training_hook import TrainingHook


class FitOverWorkers:
    """Put it before `keras.Model` in a class' bases; the model must be built, and its `train_step` return `to_logs`."""

    steps_to_skip: int = 0
    """Steps of the first epoch that were done before a stop: `fit` counts them and does not run them."""
    skipping: bool = False
    """Whether the last step was such a one."""
    steps_done: int = 0
    """Steps that were run since the training's beginning, those before a stop included."""
    hooks: tuple[TrainingHook, ...] = ()
    """What changes how the encoder trains."""

    def to_logs(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        """The logs of a step, as `fit` can reduce them."""
        several = isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
        return {name: tf.expand_dims(value, 0) if several else value for name, value in logs.items()}

    def make_train_function(self, force: bool = False) -> Any:
        """Keras' step, behind a count of the steps to skip."""
        super().make_train_function(force)  # type: ignore[misc]
        run: Any = self.train_function  # type: ignore[has-type]
        if getattr(run, "skips_steps", False):
            return run

        def train_function(iterator: Any) -> Any:
            self.skipping = self.steps_to_skip > 0
            if self.skipping:
                self.steps_to_skip -= 1
                return self.get_metrics_result()  # type: ignore[attr-defined]
            logs = run(iterator)
            self.steps_done += 1
            return logs

        train_function.skips_steps = True  # type: ignore[attr-defined]
        self.train_function = train_function
        return train_function

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing: the model is built already."""
