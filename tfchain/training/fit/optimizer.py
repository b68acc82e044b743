"""AdamW with warm-up and decay, made from the hyperparameters."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters


@keras.saving.register_keras_serializable("tfchain")
class WarmUpAndDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly to its peak, then stays there or falls.

    Args:
        peak: The largest learning rate.
        num_steps: Steps of the whole training.
        warmup_steps: Steps until the peak; step `n`, counted from 0, uses `(n + 1) / (warmup_steps + 1)` of the peak.
        schedule: `linear`, `cosine` (half a period; Loshchilov and Hutter 2017), `inverse_sqrt` (the peak times the
            root of `(warmup_steps + 1) / (n + 1)`; Vaswani et al. 2017, section 5.3) or `constant`. Default: `linear`.
    """

    def __init__(self, peak: float, num_steps: int, warmup_steps: int = 0, schedule: str = "linear") -> None:
        self.peak = peak
        self.num_steps = num_steps
        self.warmup_steps = warmup_steps
        self.schedule = schedule

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rising = (step + 1) / (self.warmup_steps + 1)
        if self.schedule == "constant":
            return self.peak * ops.minimum(1.0, rising)
        if self.schedule == "inverse_sqrt":
            return self.peak * ops.minimum(rising, 1 / ops.sqrt(rising))
        done = (step - self.warmup_steps) / max(1, self.num_steps - self.warmup_steps)
        done = ops.clip(done, 0.0, 1.0)
        falling = 1 - done if self.schedule == "linear" else (1 + ops.cos(math.pi * done)) / 2
        return self.peak * ops.minimum(rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("peak", "num_steps", "warmup_steps", "schedule")}


@keras.saving.register_keras_serializable("tfchain")
class ReplicatedAdamW(keras.optimizers.AdamW):
    """Keras' AdamW for gradients that are already summed over the replicas.

    Keras' own optimizers clip each replica's gradients and sum them afterwards, so two replicas would train differently
    from a single process with the same global batch.

    A weight's step is TensorFlow's own op for Adam. Keras computes the same by two dozen ops, which take several times
    as long to build and to run. As in Keras, ε is added to the root of the second moment before its correction: in the
    first steps it weighs up to 32 times as much as PyTorch's, so that gradients that are 0 but for rounding, as those
    of a key's bias, make no whole steps.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        number = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[number].value.handle,
            v=self._velocities[number].value.handle,
            grad=tf.cast(gradient, variable.dtype),
            **{name: tf.cast(value, variable.dtype) for name, value in learning_rate.items()},
        )

    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        step = tf.cast(self.iterations + 1, tf.float32)
        numbers = {"lr": learning_rate, "beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}
        numbers |= {"beta1_power": tf.pow(self.beta_1, step), "beta2_power": tf.pow(self.beta_2, step)}
        # Made once, as they are the same for all weights.
        numbers = {name: tf.cast(value, tf.float32) for name, value in numbers.items()}
        super()._backend_update_step(grads, trainable_variables, numbers)

    def _clip_gradients(self, grads: Any) -> list[Any]:
        if not grads or self.clipnorm or not self.global_clipnorm or any(gradient is None for gradient in grads):
            return super()._clip_gradients(grads)
        # As Keras' `clip_by_global_norm`, with an op for each gradient's norm, where that takes three.
        norm = tf.sqrt(2.0 * tf.add_n([tf.cast(tf.nn.l2_loss(gradient), tf.float32) for gradient in grads]))
        factor = tf.minimum(1.0, self.global_clipnorm / norm) + (norm - norm)  # NaN if a gradient is not finite
        return [gradient * tf.cast(factor, gradient.dtype) for gradient in grads]

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return list(grads_and_vars)


def make_optimizer(hyperparameters: Hyperparameters, weights: Any, *, num_steps: int) -> keras.optimizers.Optimizer:
    """Makes the optimizer and builds it for the weights; call it in the strategy's scope.

    Args:
        hyperparameters: Learning rate, schedule, decay, clipping, accumulation, moving average, type.
        weights: The trainable Keras variables.
        num_steps: Batches of the whole training.

    Raises:
        InputError: if gradients would be accumulated over more steps than the training has.

    Returns:
        An AdamW with β = (0.9, 0.999) and ε = 1e-8; in a `LossScaleOptimizer` under `mixed_float16`.
    """
    weights = list(weights)
    if num_steps < hyperparameters.accumulation_steps:
        raise InputError(
            f"`accumulation_steps` must be at most the steps of the whole training, {num_steps}, or the weights never "
            f"change. Received: accumulation_steps={hyperparameters.accumulation_steps}."
        )
    given = hyperparameters.warmup
    warmup_steps = math.ceil(given * num_steps) if given < 1 else int(given)
    rate: Any = hyperparameters.learning_rate  # a plain number becomes a variable, which callbacks may set
    if not has_settable_rate(hyperparameters):
        rate = WarmUpAndDecay(rate, num_steps, min(warmup_steps, num_steps), hyperparameters.schedule)
    optimizer = ReplicatedAdamW(
        learning_rate=rate,
        weight_decay=hyperparameters.weight_decay,
        epsilon=1e-8,
        global_clipnorm=hyperparameters.max_gradient_norm,
        use_ema=hyperparameters.ema_momentum is not None,
        ema_momentum=hyperparameters.ema_momentum or 0.99,
        gradient_accumulation_steps=(
            hyperparameters.accumulation_steps if hyperparameters.accumulation_steps > 1 else None
        ),
    )
    decayed = hyperparameters.weight_decay > 0
    left_out = [weight for weight in weights if not decayed or len(weight.shape) < 2]
    if left_out:
        optimizer.exclude_from_weight_decay(var_list=left_out)
    if hyperparameters.dtype_policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(weights)
    inner: Any = getattr(optimizer, "inner_optimizer", optimizer)
    if inner.use_ema:  # Keras' averages start at 0, and stay there as long as float16's loss scale skips steps
        for average, weight in zip(inner._model_variables_moving_average, weights, strict=True):
            average.assign(weight)
    return optimizer


def has_settable_rate(hyperparameters: Hyperparameters) -> bool:
    """Whether callbacks may set the learning rate: only if no schedule sets it."""
    return hyperparameters.schedule == "constant" and not hyperparameters.warmup


def count_updates(optimizer: keras.optimizers.Optimizer) -> int:
    """Counts the steps that changed the weights; float16's loss scale skips those whose gradients are not finite."""
    return int(np.array(getattr(optimizer, "inner_optimizer", optimizer).iterations))
