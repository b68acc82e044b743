"""The encoder's products in 8-bit numbers, in TensorFlow ops that servers have: each row by its own range.

The decoder stays in float32: the op brings the weights into oneDNN's order at each call, which takes longer than the
product itself has to take for the few rows of a decoder's step; the many rows of an encoder are worth it.
A row is divided by its largest absolute value, so that all rows share one step, and no row's numbers depend on others
in its batch. Weights have a step for each column. oneDNN computes the products (see `models.engines.int8_product`).
"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfchain.models.engines.int8_product import LARGEST_ACTIVATION, find_column_steps, multiply
from tfchain.models.seq2seq.transformer import Seq2SeqTransformer

ZERO_POINT = 128  # the number for 0: rows have values of both signs
STEP = 1 / (LARGEST_ACTIVATION - ZERO_POINT)  # between two numbers of a row whose largest value is 1
TINY = 1e-30  # so that a row of zeros is divided by something


class DynamicProduct(tf.Module):
    """What takes a `keras.layers.Dense` layer's place: x · kernel + bias, rows of x and columns of kernel in 8 bits.

    Args:
        kernel: float32 `(in_dim, out_dim)`.
        bias: float32 `(out_dim,)`. Default: none.

    Call with float32 `(rows, in_dim)`, or with more dimensions before the last; returns float32 `(…, out_dim)`.
    """

    def __init__(self, kernel: np.ndarray, bias: np.ndarray | None = None) -> None:
        super().__init__(name="dynamic_product")
        columns = find_column_steps(kernel)
        weights = np.rint(kernel / columns)
        self._kernel_step = float(columns.mean())
        # What the numbers' zero point adds to each column, in the units of the op's output.
        offset = -STEP * self._kernel_step * ZERO_POINT * weights.sum(axis=0)
        self.weights = tf.Variable(weights.astype("int8"), trainable=False)
        self.offset = tf.Variable(offset.astype("float32"), trainable=False)
        self.scales = tf.Variable((columns / self._kernel_step).astype("float32"), trainable=False)
        self.bias = None if bias is None else tf.Variable(bias.astype("float32"), trainable=False)
        self.units = kernel.shape[1]

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(inputs)
        rows = tf.reshape(inputs, tf.stack([-1, self.weights.shape[0]]))
        largest = tf.reduce_max(tf.abs(rows), axis=1, keepdims=True) + TINY
        numbers, _, _ = tf.raw_ops.QuantizeV2(
            input=rows / largest,
            min_range=np.float32(-ZERO_POINT * STEP),
            max_range=np.float32((LARGEST_ACTIVATION - ZERO_POINT) * STEP),
            T=tf.quint8,
            mode="MIN_FIRST",
        )
        sums = multiply(numbers, self.weights.value(), self.offset.value(), STEP, self._kernel_step)
        outputs = sums * largest * self.scales
        if self.bias is not None:
            outputs = tf.nn.bias_add(outputs, self.bias)
        if inputs.shape.rank == 2:
            return outputs
        return tf.reshape(outputs, tf.concat([shape[:-1], [self.units]], axis=0))


def quantize_encoder(transformer: Seq2SeqTransformer) -> list[tf.Variable]:
    """Puts 8-bit products in the place of the Dense layers of a transformer's encoder.

    The transformer then computes translations alone: it can neither be trained nor saved.

    Args:
        transformer: The transformer, which is changed.

    Returns:
        The variables that it computes with: those of the products, and the weights that stay in float32.
    """
    replaced: set[int] = set()
    products = []
    for owner, name, layer in _list_products(transformer):
        product = DynamicProduct(np.asarray(layer.kernel), None if layer.bias is None else np.asarray(layer.bias))
        object.__setattr__(owner, name, product)  # Keras lets no layer have a new part
        replaced |= {id(weight) for weight in layer.weights}
        products.append(product)
    kept = [weight.value for weight in transformer.weights if id(weight) not in replaced]
    return [*kept, *(variable for product in products for variable in product.variables)]


def _list_products(transformer: Seq2SeqTransformer) -> Iterator[tuple[Any, str, keras.layers.Dense]]:
    """Yields each of the encoder's Dense layers with the object that has it, and the name of the attribute."""
    for layer in transformer.parts.encoder_layers:
        for owner in (layer, layer.attention):
            for name, value in list(vars(owner).items()):
                if isinstance(value, keras.layers.Dense):
                    yield owner, name, value
