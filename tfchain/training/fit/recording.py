"""What records a training step for its gradients: a tape, or in a graph the graph itself."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfchain.models.encoders.compact_gradients import compact_gradients


class _GraphRecord:
    """The graph that is being made: it knows which op came from which, so nothing needs to be recorded."""

    def watch(self, tensor: Any) -> None:
        """Does nothing: a graph knows what came of its tensors, constants left out."""

    def gradient(self, target: Any, sources: Any, output_gradients: Any = None) -> Any:
        """Returns gradients as `tf.GradientTape.gradient` does; `sources` are one tensor or variable, or a list."""
        one = not isinstance(sources, Sequence)
        found = tf.gradients(target, [sources] if one else list(sources), output_gradients)
        return found[0] if one else found


@contextlib.contextmanager
def record_gradients() -> Iterator[tf.GradientTape | _GraphRecord]:
    """Use in place of `tf.GradientTape` in a training step.

    Outside a graph it is a tape. In a graph, gradients come from `tf.gradients`, which heeds the layers' own gradients
    of fewer ops (`compact_steps`), where a tape takes TensorFlow's: the values are the same, and the graph takes less
    time to make, to optimize and to start.

    Yields:
        An object with the methods `watch` and `gradient` of a tape, whose gradient is to be taken once, and in the
        graph in which it was made.
    """
    if tf.executing_eagerly():
        with tf.GradientTape() as tape:
            yield tape
    else:
        with compact_gradients():
            yield _GraphRecord()
