"""Stops a training once its loss or weights are no longer finite, before anything saves them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfchain.core.errors import DivergedError

ADVICE = (
    "Likely causes: too high a learning rate, labels or scores of extreme size, a custom loss that divides by 0 or "
    "takes the logarithm of 0, float16. Lower `learning_rate`, raise `warmup`, keep `max_gradient_norm` at 1.0, "
    "look for extreme labels, or train in float32. With a checkpoint, name another folder: resuming from "
    "this one would diverge again."
)


class DivergenceGuard(keras.callbacks.Callback):
    """Checks the loss after each step and the weights after each epoch; put it before callbacks that save weights.

    For the steps it reads the loss that Keras passes to callbacks anyway: the epoch's mean so far, which stays NaN
    once a step's loss was NaN. In float16, a step whose gradients are not finite changes no weight and its loss is not
    counted (see `PairTrainer`), so it is an error only if no loss of a whole epoch is finite.

    Raises:
        DivergedError: with the epoch and the step.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            raise DivergedError(
                f"The loss must be a finite number. Received: {loss} in step {batch + 1} of epoch {self._epoch + 1}. "
                f"The training stops, and the model keeps the weights it had before. {ADVICE}"
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if is_loss_scaled(self.model.optimizer) and not float(self.model.loss_tracker.count):
            raise DivergedError(
                f"The loss must be a finite number. Received: none in all of epoch {epoch + 1}, in float16. "
                "The training stops, and the model keeps the weights it had before. Train in float32 or bfloat16."
            )
        check_finite(self.model.encoder.variables, self.model.steps_done)


def check_finite(weights: Sequence[Any], steps_done: int) -> None:
    """Raises if weights are NaN or infinite.

    Args:
        weights: Keras variables or NumPy arrays; integers are ignored.
        steps_done: Steps done since the start of the training, for the error message.

    Raises:
        DivergedError: naming the first weight that is not finite.
    """
    found = find_not_finite(weights)
    if found is not None:
        raise DivergedError(
            f"The weights must be finite numbers. Received: NaN or infinity in {found} after step {steps_done} of the "
            f"training. It stops, and the model keeps the weights it had before. {ADVICE}"
        )


def find_not_finite(weights: Sequence[Any]) -> str | None:
    """The path or position of the first weight that holds NaN or infinity; None if all are finite."""
    for place, weight in enumerate(weights):
        is_float = "float" in keras.backend.standardize_dtype(weight.dtype)
        if is_float and not bool(keras.ops.all(keras.ops.isfinite(weight))):
            return str(getattr(weight, "path", f"weight {place}"))
    return None


def is_loss_scaled(optimizer: Any) -> bool:
    """Whether steps with gradients that are not finite are skipped, as float16 requires."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
