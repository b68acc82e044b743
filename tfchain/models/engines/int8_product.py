"""Products of 8-bit numbers in TensorFlow, computed by oneDNN: the choice of the numbers, and the layer.

The op `QuantizedMatMulWithBiasAndDequantize` multiplies unsigned 8-bit activations by signed 8-bit weights, sums in 32
bits and returns float32. It is in every TensorFlow for x86-64, and so in stock TensorFlow Serving, but its kernel is
oneDNN's, which is on by default only on processors with AVX-512 VNNI, AVX-VNNI or AMX (the environment variable
TF_ENABLE_ONEDNN_OPTS=1 enables it on others). It is fast on processors with these instructions.
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
SMALLEST = 1e-6  # the least range of a channel: that of a channel that is always 0


@dataclass(frozen=True)
class QuantizedProduct:
    """A product x · kernel + bias in 8-bit numbers.

    With u = x / input_scales and q = round(u / step) + zero_point, clipped to 0 … 255:

        x · kernel + bias ≈ output_scales * (step * kernel_step * (q · weights) + offset)

    Args:
        weights: int8 `(in_dim, out_dim)`.
        input_scales: Divisors of the input's channels, float32 `(in_dim,)`.
        output_scales: Factors of the op's output channels, float32 `(out_dim,)`.
        offset: The bias and the zero point's contribution, in the op's units, float32 `(out_dim,)`.
        step: The step between two activations.
        zero_point: The number that represents 0.
        kernel_step: The step between two weights, before `output_scales`.
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

    A few channels of a transformer's activations are ten times as large as the others, too different for one range. As
    in SmoothQuant (Xiao et al. 2023), a channel is divided by `high**a / weight**(1 - a)`, and its row of weights is
    multiplied by the same number. The exponent a (or no division) is chosen for the least expected squared error, where
    rounding counts as independent noise of variance step² / 12 in activations and in weights.

    Args:
        kernel: float32 `(in_dim, out_dim)`.
        bias: float32 `(out_dim,)`.
        inputs: The input's range.
    """
    kernel = kernel.astype("float64")
    largest = np.maximum(np.maximum(-inputs.low, inputs.high).astype("float64"), SMALLEST)
    row = np.maximum(np.abs(kernel).max(axis=1), SMALLEST)
    candidates = [np.ones_like(row), *(largest**exponent / row ** (1 - exponent) for exponent in EXPONENTS)]
    scales = min(candidates, key=lambda candidate: expected_error(kernel, inputs, candidate))

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
    """Returns the expected mean squared error of a product's outputs due to rounding.

    Args:
        kernel: `(in_dim, out_dim)`.
        inputs: The input's range.
        scales: Divisors of the input's channels, `(in_dim,)`.
    """
    scaled = kernel * scales[:, None]
    step, _ = find_step(inputs.low / scales, inputs.high / scales)
    of_activations = step**2 / 12 * np.square(scaled).sum(axis=0)
    of_weights = np.square(find_column_steps(scaled)) / 12 * (inputs.mean_square / scales**2).sum()
    return float((of_activations + of_weights).mean())


def find_column_steps(kernel: np.ndarray) -> np.ndarray:
    """Returns the step between two weights of each column, `(out_dim,)`: the largest weight is 127 steps."""
    return np.maximum(np.abs(kernel).max(axis=0), SMALLEST) / LARGEST_WEIGHT


def find_step(low: np.ndarray, high: np.ndarray) -> tuple[float, int]:
    """Returns the step between two activations and the number for 0, so that 0 … 255 cover the range, and 0 exactly."""
    least, most = min(float(low.min()), 0.0), max(float(high.max()), 0.0)
    step = max((most - least) / LARGEST_ACTIVATION, SMALLEST / LARGEST_ACTIVATION)
    zero_point = min(round(-least / step), LARGEST_ACTIVATION)
    # Rounding the zero point has moved the range by up to half a step: a larger step covers it again.
    step = max(step, -least / zero_point if zero_point else 0.0, most / max(LARGEST_ACTIVATION - zero_point, 1))
    return step, zero_point


class Int8Product(keras.layers.Layer):
    """Multiplies by 8-bit weights; the caller divides by `input_scales` and multiplies by `output_scales`.

    The scales are left to the caller because they can often be combined with other multiplications.

    Args:
        product: The numbers.

    Call with float32 `(rows, in_dim)`, divided by the input scales; returns float32 `(rows, out_dim)`.
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

        product = self.product
        numbers, _, _ = tf.raw_ops.QuantizeV2(
            input=scaled,
            min_range=np.float32(-product.zero_point * product.step),
            max_range=np.float32((LARGEST_ACTIVATION - product.zero_point) * product.step),
            T=tf.quint8,
            mode="MIN_FIRST",
        )
        return multiply(numbers, self.weights_int8.value, self.offset.value, product.step, product.kernel_step)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.product.weights.shape[1])


def multiply(numbers: Any, weights: Any, offset: Any, step: float, kernel_step: float) -> Any:
    """Returns step * kernel_step * (numbers · weights) + offset, float32 `(rows, out_dim)`.

    Args:
        numbers: quint8 `(rows, in_dim)`.
        weights: int8 `(in_dim, out_dim)`.
        offset: float32 `(out_dim,)`.
        step: The step between two activations.
        kernel_step: The step between two weights.
    """
    import tensorflow as tf

    # SCALED uses the numbers as they are. MIN_FIRST, which handles the zero point itself, adds it in wrong units with
    # oneDNN 3 (mkl_qmatmul_op.cc, GetBiasHandle: `x * qa_amin`); here the offset includes it.
    return tf.raw_ops.QuantizedMatMulWithBiasAndDequantize(
        a=numbers,
        b=tf.bitcast(weights, tf.qint8),
        bias=offset,
        min_a=np.float32(0),
        max_a=np.float32(step * LARGEST_ACTIVATION),
        min_b=np.float32(-kernel_step * LARGEST_WEIGHT),
        max_b=np.float32(kernel_step * LARGEST_WEIGHT),
        min_freezed_output=np.float32(-1),  # the range of an 8-bit output; not used for float32
        max_freezed_output=np.float32(1),
        Toutput=tf.float32,
        input_quant_mode="SCALED",
    )


@cache
def has_int8_products() -> bool:
    """Returns whether this process computes int8 products exactly: with oneDNN, and a processor with int8 instructions.

    oneDNN's kernels for older processors add pairs of products in 16 bits, in which the largest numbers overflow.
    """
    import tensorflow as tf

    check_tensorflow_runs()

    @tf.function(autograph=False)
    def try_product(numbers: Any) -> Any:
        return multiply(
            tf.bitcast(numbers, tf.quint8), tf.fill([4, 2], tf.constant(127, tf.int8)), tf.zeros([2]), 1.0, 1.0
        )

    try:
        found = np.asarray(try_product(tf.fill([3, 4], tf.constant(255, tf.uint8))))
    except tf.errors.OpError:
        return False
    return bool(np.array_equal(found, np.full((3, 2), 4 * 255 * 127.0)))


def check_int8_products(otherwise: str = "use Quantize('int8') without calibrated=True") -> None:
    """Checks that TensorFlow computes int8 products exactly in this process.

    Args:
        otherwise: What else a user can do, for the error. Default: int8 without a calibration, for encoders.

    Raises:
        TfchainError: if oneDNN is off, or the processor lacks the instructions.
    """
    if not has_int8_products():
        raise TfchainError(
            "TensorFlow computes int8 products through oneDNN, which is off in this process or inexact on this "
            "processor: it has no int8 instructions (VNNI, AMX), or TF_ENABLE_ONEDNN_OPTS=0 is set. Use a processor "
            f"that has them, or {otherwise}."
        )
