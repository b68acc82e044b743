"""Adds to Keras 3's `Model.fit` what multi-worker training and resuming in the middle of an epoch need.

Keras 3.15 fails under `MultiWorkerMirroredStrategy` in two places (keras-team/keras#20585). `_maybe_symbolic_build`
takes a batch of all workers to build the model; ours are built when they are made, so it has nothing to do.
`reduce_per_replica` averages the logs over their first axis, which a scalar lacks; ours get that axis.
`tests/training/workers` runs Keras without this file, and fails once Keras is fixed upstream.

A step is one graph here. Keras makes a graph of the step and another around it that fetches the batch; building and
preparing both takes a fifth of the time before the first step.
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
        several = is_over_workers(tf.distribute.get_strategy())
        return {name: tf.expand_dims(value, 0) if several else value for name, value in logs.items()}

    def make_train_function(self, force: bool = False) -> Any:
        """Makes the train function, which first skips `steps_to_skip` steps."""
        super().make_train_function(force)  # type: ignore[misc]
        run: Any = self.train_function  # type: ignore[has-type]
        if getattr(run, "skips_steps", False):
            return run
        # XLA compiles the step without the fetching, and several steps an execution need a loop: Keras has both.
        if not (self.run_eagerly or self.jit_compile or self.steps_per_execution > 1):  # type: ignore[attr-defined]
            run = self._make_step_function()

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

    def _make_step_function(self) -> Any:
        """Makes a function from an iterator of batches to the logs of a step, in one graph."""
        strategy: tf.distribute.Strategy = self.distribute_strategy  # type: ignore[attr-defined]
        axis = 0 if is_over_workers(strategy) else None

        def run_step(iterator: Any) -> dict[str, Any]:
            logs = strategy.run(self.train_step, args=(iterator.get_next(),))  # type: ignore[attr-defined]
            return {name: strategy.reduce("MEAN", value, axis=axis) for name, value in logs.items()}

        return tf.function(run_step, reduce_retracing=True, autograph=False)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Does nothing: the model is already built."""


def is_over_workers(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether a strategy's replicas are in several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
