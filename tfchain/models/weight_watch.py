"""Notices that a model has been trained: looks at a few small weights before every query."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

SEEN_WEIGHTS = 3


class WeightWatch:
    """Tells whether a model's smallest trainable weights have changed, as training changes them.

    Looking at all weights would cost more than encoding a query; a change of large weights alone is not seen.

    Args:
        model: A built Keras model.
    """

    def __init__(self, model: keras.Model) -> None:
        weights: Sequence[Any] = sorted(model.trainable_weights, key=lambda one: int(np.prod(one.shape)))
        self._weights = weights[:SEEN_WEIGHTS]
        self._operands = _find_operands(self._weights)
        self.reset()

    def reset(self) -> None:
        """Takes the weights as they are now for unchanged."""
        self._seen = self._look()

    @property
    def has_changed(self) -> bool:
        """Whether one of them is another than at `reset`."""
        return self._look() != self._seen

    def _look(self) -> bytes:
        if self._operands is None:
            return b"".join([np.asarray(weight).tobytes() for weight in self._weights])
        # What TensorFlow's own ops call, without the Python around it: 0.1 ms in place of 0.4 where it comes between
        # two runs of the encoder, which leave nothing of Python's code in the processor's caches.
        from tensorflow.python.eager import context
        from tensorflow.python.pywrap_tfe import TFE_Py_FastPathExecute as execute

        current = context.context()
        return b"".join(
            [
                execute(current, "ReadVariableOp", None, handle, "dtype", dtype).numpy().tobytes()
                for handle, dtype in self._operands
            ]
        )


def _find_operands(weights: Sequence[Any]) -> list[tuple[Any, Any]] | None:
    """Handle and data type of each; None where one is not a plain variable, such as one mirrored by a strategy."""
    from tensorflow.python.ops.resource_variable_ops import ResourceVariable

    values = [weight.value for weight in weights]
    if any(type(value) is not ResourceVariable for value in values):
        return None
    return [(value.handle, value.dtype) for value in values]
