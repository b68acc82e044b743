"""A product of 8-bit numbers in TensorFlow, by oneDNN's op: how its numbers are chosen, and the layer that has them.

The op `QuantizedMatMulWithBiasAndDequantize` multiplies unsigned 8-bit activations by signed 8-bit weights, adds up in
32 bits and gives float32. It is in every TensorFlow for x86-64, and so in stock TensorFlow Serving, but its kernel is
oneDNN's, which is on by default on processors with AVX-512 VNNI, AVX-VNNI or AMX alone (the environment variable
TF_ENABLE_ONEDNN_OPTS=1 puts it on elsewhere). It is fast where the processor has such instructions.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import numpy as np

from tfchain.core.errors import TfchainError
from tfchain.models.engines.calibration import InputRange
from tfchain.runtime.fork import check_tensorflow_runs

LARGEST_WEIGHT = 127  # symmetric: -128 is not used
LARGEST_ACTIVATION = 255
EXPONENTS = (0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
SMALLEST = 1e-6  # of a channel's range: one that is always 0 gets it


@dataclass(frozen=True)
class QuantizedProduct:
    """A product x · kernel + bias in 8-bit numbers.

    With u = x / input_scales and q = round(u / step) + zero_point, clipped to 0 … 255:

        x · kernel + bias ≈ output_scales * (step * kernel_step * (q · weights) + offset)

    Args:
        weights: int8 `(in_dim, out_dim)`.
        input_scales: What the input's channels are divided by, float32 `(in_dim,)`.
        output_scales: What the op's output channels are multiplied by, float32 `(out_dim,)`.
        offset: The bias, and what the zero point adds, in the op's units, float32 `(out_dim,)`.
        step: Between two activations.
        zero_point: The number that stands for 0.
        kernel_step: Between two weights, before `output_scales`.
    """

    weights: np.ndarray
    input_scales: np.ndarray
    output_scales: np.ndarray
    offset: np.ndarray
    step: float
    zero_point: int
    kernel_step: float


def quantize_product(kernel: np.ndarray, bias: np.ndarray, inputs: InputRange) -> QuantizedProduct:
    """Chooses the 8-bit numbers of a product, with a scale for each column of weights and one range of activations.

    A few channels of a transformer's activations are ten times as large as the others, which one range cannot hold.
    As in SmoothQuant (Xiao et al. 2023), a channel is divided by `high**a / weight**(1 - a)`, its row of weights
    multiplied by the same. The exponent a (or no division) is the one with the least expected squared error, rounding
    taken as independent noise of variance step² / 12 in activations and in weights.

    Args:
        kernel: float32 `(in_dim, out_dim)`.
        bias: float32 `(out_dim,)`.
        inputs: The input's range.
    """
    kernel = kernel.astype("float64")
    largest = np.maximum(np.maximum(-inputs.low, inputs.high).astype("float64"), SMALLEST)
    row = np.maximum(np.abs(kernel).max(axis=1), SMALLEST)
    candidates = [np.ones_like(row), *(largest**exponent / row ** (1 - exponent) for exponent in EXPONENTS)]
    scales = min(candidates, key=lambda one: expected_error(kernel, inputs, one))

    columns = find_column_steps(kernel * scales[:, None])
    weights = np.rint(kernel * scales[:, None] / columns)
    step, zero_point = find_step(inputs.low / scales, inputs.high / scales)
    kernel_step = float(columns.mean())
    output_scales = columns / kernel_step
    offset = bias / output_scales - step * kernel_step * zero_point * weights.sum(axis=0)
    return QuantizedProduct(
        weights=weights.astype("int8"),
        input_scales=scales.astype("float32"),
        output_scales=output_scales.astype("float32"),
        offset=offset.astype("float32"),
        step=step,
        zero_point=zero_point,
        kernel_step=kernel_step,
    )


def expected_error(kernel: np.ndarray, inputs: InputRange, scales: np.ndarray) -> float:
    """The mean squared error of a product's outputs that rounding is expected to cause.

    Args:
        kernel: `(in_dim, out_dim)`.
        inputs: The input's range.
        scales: What the input's channels are divided by, `(in_dim,)`.
    """
    scaled = kernel * scales[:, None]
    step, _ = find_step(inputs.low / scales, inputs.high / scales)
    of_activations = step**2 / 12 * np.square(scaled).sum(axis=0)
    of_weights = np.square(find_column_steps(scaled)) / 12 * (inputs.mean_square / scales**2).sum()
    return float((of_activations + of_weights).mean())


def find_column_steps(kernel: np.ndarray) -> np.ndarray:
    """The step between two weights of each column, `(out_dim,)`: its largest weight is 127 steps."""
    return np.maximum(np.abs(kernel).max(axis=0), SMALLEST) / LARGEST_WEIGHT


def find_step(low: np.ndarray, high: np.ndarray) -> tuple[float, int]:
    """The step between two activations and the number of 0, so that 0 … 255 hold all that was seen, and 0 exactly."""
    least, most = min(float(low.min()), 0.0), max(float(high.max()), 0.0)
    step = max((most - least) / LARGEST_ACTIVATION, SMALLEST / LARGEST_ACTIVATION)
    zero_point = min(round(-least / step), LARGEST_ACTIVATION)
    # Rounding the zero point moved the range by up to half a step: a step so much larger holds it again.
    step = max(step, -least / zero_point if zero_point else 0.0, most / max(LARGEST_ACTIVATION - zero_point, 1))
    return step, zero_point


class Int8Product(keras.layers.Layer):
    """Multiplies by 8-bit weights; whoever calls it divides by `input_scales` and multiplies by `output_scales`.

    Both are left to the caller because they can often be joined with a multiplication that is there already.

    Args:
        product: The numbers.

    Call with float32 `(rows, in_dim)`, divided by the input scales; gives float32 `(rows, out_dim)`.
    """

    def __init__(self, product: QuantizedProduct, **kwargs: Any) -> None:
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.product = product
        self.weights_int8 = self.add_weight(
            name="weights", shape=product.weights.shape, dtype="int8", initializer="zeros", trainable=False
        )
        self.offset = self.add_weight(name="offset", shape=product.offset.shape, initializer="zeros", trainable=False)
        self.weights_int8.assign(product.weights)
        self.offset.assign(product.offset)
        self.built = True

    def call(self, scaled: Any) -> Any:
        import tensorflow as tf

        made = self.product
        numbers, _, _ = tf.raw_ops.QuantizeV2(
            input=scaled,
            min_range=np.float32(-made.zero_point * made.step),
            max_range=np.float32((LARGEST_ACTIVATION - made.zero_point) * made.step),
            T=tf.quint8,
            mode="MIN_FIRST",
        )
        return multiply(numbers, self.weights_int8.value, self.offset.value, made.step, made.kernel_step)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.product.weights.shape[1])


def multiply(numbers: Any, weights: Any, offset: Any, step: float, kernel_step: float) -> Any:
    """Returns step * kernel_step * (numbers · weights) + offset.

    Args:
        numbers: quint8 `(rows, in_dim)`.
        weights: int8 `(in_dim, out_dim)`.
        offset: float32 `(out_dim,)`.
        step: Between two activations.
        kernel_step: Between two weights.
    """
    import tensorflow as tf

    # SCALED takes the numbers as they are. MIN_FIRST, which would see to the zero point itself, adds it in wrong units
    # with oneDNN 3 (mkl_qmatmul_op.cc, GetBiasHandle: `x * qa_amin`); the offset has it here.
    return tf.raw_ops.QuantizedMatMulWithBiasAndDequantize(
        a=numbers,
        b=tf.bitcast(weights, tf.qint8),
        bias=offset,
        min_a=np.float32(0),
        max_a=np.float32(step * LARGEST_ACTIVATION),
        min_b=np.float32(-kernel_step * LARGEST_WEIGHT),
        max_b=np.float32(kernel_step * LARGEST_WEIGHT),
        min_freezed_output=np.float32(-1),  # of an output in 8 bits; float32 has no such range
        max_freezed_output=np.float32(1),
        Toutput=tf.float32,
        input_quant_mode="SCALED",
    )


@cache
def has_int8_products() -> bool:
    """Whether this process computes such products, and exactly: oneDNN is on, and the processor has int8 instructions.

    oneDNN's kernels for older processors add pairs of products in 16 bits, which the largest numbers do not fit into.
    """
    import tensorflow as tf

    check_tensorflow_runs()

    @tf.function(autograph=False)
    def try_one(numbers: Any) -> Any:
        return multiply(
            tf.bitcast(numbers, tf.quint8), tf.fill([4, 2], tf.constant(127, tf.int8)), tf.zeros([2]), 1.0, 1.0
        )

    try:
        found = np.asarray(try_one(tf.fill([3, 4], tf.constant(255, tf.uint8))))
    except tf.errors.OpError:
        return False
    return bool(np.array_equal(found, np.full((3, 2), 4 * 255 * 127.0)))


def check_int8_products() -> None:
    """Stops where there are no such products.

    Raises:
        TfchainError: if oneDNN is off, or the processor lacks the instructions.
    """
    if not has_int8_products():
        raise TfchainError(
            "TensorFlow computes calibrated int8 through oneDNN, which is off in this process or inexact on this "
            "processor: it has no int8 instructions (VNNI, AMX), or TF_ENABLE_ONEDNN_OPTS=0 is set. Use a processor "
            "that has them, or Quantize('int8') without calibrated=True."
        )
