"""The optimizer: schedules by hand, a step of AdamW, clipping, decay, accumulation and averages in NumPy."""

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.core.hyperparameters import Hyperparameters
from tfchain.training.fit.optimizer import ReplicatedAdamW, WarmUpAndDecay, make_optimizer

MATRIX = np.array([[0.5, -1.0], [2.0, 0.25]], "float32")
BIAS = np.array([0.1, -0.2], "float32")
# Norm over all: sqrt(9 + 16 + 0 + 144 + 0 + 0) = 13.
GRADIENTS = [np.array([[3.0, -4.0], [0.0, 12.0]], "float32"), np.zeros(2, "float32")]


def make(num_steps: int = 10, **hyperparameters: Any) -> tuple[Any, list[Any]]:
    weights = [keras.Variable(MATRIX, name="kernel"), keras.Variable(BIAS, name="bias")]
    values = {"schedule": "constant", "warmup": 0, "max_gradient_norm": None, **hyperparameters}
    return make_optimizer(Hyperparameters(**values), weights, num_steps=num_steps), weights


def adam_step(
    value: np.ndarray, gradient: np.ndarray, *, rate: float, step: int = 1, m: Any = 0.0, v: Any = 0.0
) -> Any:
    """Kingma and Ba 2015, algorithm 1, with β = (0.9, 0.999) and ε = 1e-8."""
    m = 0.9 * m + 0.1 * gradient.astype("float64")
    v = 0.999 * v + 0.001 * gradient.astype("float64") ** 2
    corrected = (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return value - rate * corrected, m, v


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # Two of six steps warm up: 1/3, 2/3, then the peak; four steps down to 0 behind the last.
        ("linear", [1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25, 0, 0]),
        ("cosine", [1 / 3, 2 / 3, 1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0, 0]),
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1]),
        # Three steps to the peak; the fourth has the root of 3/4 of it.
        ("inverse_sqrt", [1 / 3, 2 / 3, 1, *(math.sqrt(3 / step) for step in (4, 5, 6, 7, 8))]),
    ],
)
def test_the_rate_rises_in_a_line_and_falls_as_the_schedule_says(schedule: str, expected: list[float]) -> None:
    rate = WarmUpAndDecay(0.01, 6, 2, schedule)
    assert [float(rate(step)) for step in range(8)] == pytest.approx([0.01 * share for share in expected], abs=1e-9)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant", "inverse_sqrt"])
def test_without_warm_up_the_first_step_has_the_peak(schedule: str) -> None:
    assert float(WarmUpAndDecay(0.01, 5, 0, schedule)(0)) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("warmup", "num_steps", "expected"),
    [(0.1, 25, 3), (0.5, 4, 2), (3, 25, 3), (1, 25, 1), (50, 8, 8), (0, 8, 0), (0.1, 5, 1)],
)
def test_warm_up_is_a_share_of_all_steps_rounded_up_or_a_number(warmup: float, num_steps: int, expected: int) -> None:
    optimizer, _ = make(num_steps, warmup=warmup, schedule="linear")
    assert optimizer._learning_rate.warmup_steps == expected


def test_a_schedule_is_made_again_from_its_config() -> None:
    rate = WarmUpAndDecay(0.01, 6, 2, "cosine")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rate))
    assert isinstance(again, WarmUpAndDecay)
    assert again.get_config() == {"peak": 0.01, "num_steps": 6, "warmup_steps": 2, "schedule": "cosine"}


def test_a_step_is_adamws_formula_and_decays_matrices_alone() -> None:
    optimizer, (matrix, bias) = make(learning_rate=0.1, weight_decay=0.2)
    gradients = [GRADIENTS[0], np.array([1.0, -2.0], "float32")]
    optimizer.apply(gradients, [matrix, bias])
    expected, m, v = adam_step(MATRIX * (1 - 0.1 * 0.2), gradients[0], rate=0.1)
    np.testing.assert_allclose(matrix, expected, atol=1e-6)
    np.testing.assert_allclose(bias, BIAS - [0.1, -0.1], atol=1e-6)  # sign(gradient) * rate, no decay
    optimizer.apply(gradients, [matrix, bias])
    expected, _, _ = adam_step(expected * (1 - 0.1 * 0.2), gradients[0], rate=0.1, step=2, m=m, v=v)
    np.testing.assert_allclose(matrix, expected, atol=5e-6)  # 1 - 0.999² in float32 is 3e-5 off


def test_steps_are_those_of_keras_own_adamw() -> None:
    optimizer, weights = make(learning_rate=0.1, weight_decay=0.2)
    theirs = [keras.Variable(MATRIX, name="kernel"), keras.Variable(BIAS, name="bias")]
    keras_own = keras.optimizers.AdamW(learning_rate=0.1, weight_decay=0.2, epsilon=1e-8)
    keras_own.exclude_from_weight_decay(var_list=theirs[1:])
    for step in range(1, 6):
        gradients = [gradient * step + 1 for gradient in GRADIENTS]
        optimizer.apply(gradients, weights)
        keras_own.apply(gradients, theirs)
    for mine, their in zip(weights, theirs, strict=True):
        np.testing.assert_allclose(mine, their, atol=5e-5)  # float32's 0.999 is 1 - 0.00100005, and theirs 1 - 0.001


@pytest.mark.parametrize("dtype_policy", ["float32", "mixed_float16"])
def test_a_rate_without_a_schedule_can_be_set_and_one_with_a_schedule_cannot(dtype_policy: str) -> None:
    optimizer, (matrix, bias) = make(learning_rate=0.1, dtype_policy=dtype_policy)
    optimizer.learning_rate = 0.05
    scale = float(optimizer.scale_loss(1.0))
    optimizer.apply([scale * gradient for gradient in GRADIENTS], [matrix, bias])
    np.testing.assert_allclose(matrix, adam_step(MATRIX, GRADIENTS[0], rate=0.05)[0], atol=1e-6)
    for values in ({"warmup": 2}, {"schedule": "linear"}):
        optimizer, _ = make(learning_rate=0.1, dtype_policy=dtype_policy, **values)
        with pytest.raises(TypeError, match="not settable"):
            optimizer.learning_rate = 0.05


def test_each_batch_moves_the_schedule_on() -> None:
    optimizer, (matrix, bias) = make(4, learning_rate=0.1, schedule="linear")
    rates = []
    for _ in range(4):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply(GRADIENTS, [matrix, bias])
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025])


@pytest.mark.parametrize("gradients", [
    [[3.0, 4.0], [12.0]], [[0.3, 0.4], [0.1]], [[0.0, 0.0], [0.0]], [[np.inf, 1.0], [2.0]], [[np.nan, 1.0], [2.0]],
    [[3.0, 4.0], None], [],
], ids=str)  # fmt: skip
def test_gradients_are_clipped_as_keras_clips_them(gradients: list[Any]) -> None:
    given = [None if one is None else tf.constant(one) for one in gradients]
    own, keras_own = (
        make(global_clipnorm=1.0)._clip_gradients(given) for make in (ReplicatedAdamW, keras.optimizers.AdamW)
    )
    for one, other in zip(own, keras_own, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-6)


def test_gradients_are_clipped_by_the_norm_of_all_of_them() -> None:
    # Adam's first step does not change with the gradient's size, but for ε: m shows what came in.
    # Norms 13 and 84, of both together 85: clipped one by one, neither would be halved.
    gradients = [GRADIENTS[0], np.array([0.0, -84.0], "float32")]
    for limit, factor in ((42.5, 0.5), (86.0, 1.0)):
        optimizer, weights = make(max_gradient_norm=limit)
        optimizer.apply(gradients, weights)
        for momentum, gradient in zip(optimizer._momentums, gradients, strict=True):
            np.testing.assert_allclose(momentum, 0.1 * gradient * factor, atol=1e-5)


def test_two_accumulated_batches_are_a_step_of_their_mean_clipped_as_one() -> None:
    optimizer, weights = make(learning_rate=0.1, accumulation_steps=2, max_gradient_norm=5.0, weight_decay=0.2)
    second = [np.array([[3.0, 0.0], [0.0, -4.0]], "float32"), np.array([4.0, 0.0], "float32")]
    optimizer.apply(GRADIENTS, weights)
    np.testing.assert_array_equal(weights[0], MATRIX)
    optimizer.apply(second, weights)
    mean, of_bias = np.array([[3.0, -2.0], [0.0, 4.0]]), np.array([2.0, 0.0])
    norm = math.sqrt(9 + 4 + 16 + 4)
    np.testing.assert_allclose(optimizer._momentums[0], 0.1 * mean * 5 / norm, atol=1e-6)
    np.testing.assert_allclose(optimizer._momentums[1], 0.1 * of_bias * 5 / norm, atol=1e-6)
    expected, _, _ = adam_step(MATRIX * (1 - 0.1 * 0.2), mean * 5 / norm, rate=0.1)
    np.testing.assert_allclose(weights[0], expected, atol=1e-6)
    # The next two begin from nothing, and are Adam's second step.
    optimizer.apply(GRADIENTS, weights)
    optimizer.apply(GRADIENTS, weights)
    clipped = GRADIENTS[0] * 5 / 13
    np.testing.assert_allclose(optimizer._momentums[0], 0.9 * 0.1 * mean * 5 / norm + 0.1 * clipped, atol=1e-6)


def test_the_average_of_the_weights_is_what_the_training_ends_with() -> None:
    optimizer, weights = make(learning_rate=0.1, ema_momentum=0.75)
    seen = []
    for _ in range(3):
        optimizer.apply(GRADIENTS, weights)
        seen.append(np.array(weights[0]))
    average = seen[0]  # begins with the weights behind the first step
    for value in seen[1:]:
        average = 0.75 * average + 0.25 * value
    np.testing.assert_array_equal(weights[0], seen[-1])
    optimizer.finalize_variable_values(weights)
    np.testing.assert_allclose(weights[0], average, atol=1e-6)


def test_float16_scales_the_loss_and_steps_as_without() -> None:
    optimizer, weights = make(learning_rate=0.1, dtype_policy="mixed_float16", weight_decay=0.2)
    scale = float(optimizer.scale_loss(1.0))
    assert scale > 1
    optimizer.apply([gradient * scale for gradient in GRADIENTS], weights)
    expected, _, _ = adam_step(MATRIX * (1 - 0.1 * 0.2), GRADIENTS[0], rate=0.1)
    np.testing.assert_allclose(weights[0], expected, atol=1e-6)
    optimizer.apply([np.full_like(gradient, np.inf) for gradient in GRADIENTS], weights)
    np.testing.assert_allclose(weights[0], expected, atol=1e-6)  # left out


def test_of_a_whole_encoder_the_matrices_decay_alone(make_encoder: Any) -> None:
    encoder = make_encoder()
    weights = encoder.trainable_weights
    before = [np.array(weight) for weight in weights]
    values = Hyperparameters(learning_rate=0.1, weight_decay=0.5, schedule="constant", warmup=0)
    optimizer = make_optimizer(values, weights, num_steps=4)
    optimizer.apply([np.zeros(weight.shape, "float32") for weight in weights], weights)
    for weight, old in zip(weights, before, strict=True):
        factor = 0.95 if len(old.shape) == 2 else 1.0
        np.testing.assert_allclose(weight, old * factor, atol=1e-7, err_msg=weight.path)
    assert {len(old.shape) for old in before} == {1, 2}
