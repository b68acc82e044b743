"""Adds to Keras 3's `Model.fit` what multi-worker training and resuming in the middle of an epoch need.

Keras 3.15 fails under `MultiWorkerMirroredStrategy` in two places (keras-team/keras#20585). `_maybe_symbolic_build`
takes a batch of all workers to build the model; ours are built when they are made, so it has nothing to do.
`reduce_per_replica` averages the logs over their first axis, which a scalar lacks; ours get that axis.
`tests/training/workers` runs Keras without this file, and fails once Keras is fixed upstream.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfchain.training.fit.training_hook import TrainingHook


class FitOverWorkers:
    """A mixin to put before `keras.Model`; the model must be built, and its `train_step` must return `to_logs`."""

    steps_to_skip: int = 0
    """Steps of the first epoch that were done before an interruption: `fit` counts them without running them."""
    skipping: bool = False
    """Whether the last step was skipped."""
    steps_done: int = 0
    """Steps run since the start of the training, including those before an interruption."""
    hooks: tuple[TrainingHook, ...] = ()
    """The hooks that change how the encoder trains."""

    def to_logs(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        """The logs of a step, in a shape that `fit` can reduce."""
        several = isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
        return {name: tf.expand_dims(value, 0) if several else value for name, value in logs.items()}

    def make_train_function(self, force: bool = False) -> Any:
        """Makes Keras' train function, which first skips `steps_to_skip` steps."""
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
        """Does nothing: the model is already built."""
