"""Quantization-aware training: fake quantization rounds an encoder's products and embeddings."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfchain.optimization.tfmot import load_tfmot
from tfchain.optimization.weight_matrices import TABLES, find_matrices
from tfchain.training.fit.training_hook import TrainingHook

if TYPE_CHECKING:
    from tfchain.optimization.recipes import QuantizeAware

LEAST_VALUES = 1024  # LiteRT quantizes tables with more values than this


class QuantizationAwareHook(TrainingHook):
    """Rounds kernels and inputs of an encoder's Dense layers, and its embeddings, while it trains: see `QuantizeAware`.

    Evaluations during training see the rounding, too. `strip` removes it, and leaves plain float weights.

    Args:
        recipe: What is rounded, and how.
    """

    def __init__(self, recipe: "QuantizeAware") -> None:
        super().__init__()
        self.recipe = recipe
        self._products: list[FakeQuantizedProduct] = []
        self._tables: list[FakeQuantizedTable] = []

    def describe(self) -> Mapping[str, Any]:
        return self.recipe.to_values()

    def prepare(self, encoder: keras.Model) -> None:
        bits = self.recipe.embedding_bits
        kinds = (keras.layers.Dense,) if bits is None else (keras.layers.Dense, *TABLES)
        matrices = find_matrices(encoder, self.recipe.layers, recipe="QuantizeAware", kinds=kinds)
        self._strategy = tf.distribute.get_strategy()
        products = [matrix.layer for matrix in matrices if isinstance(matrix.layer, keras.layers.Dense)]
        self._products = [FakeQuantizedProduct(layer, self.recipe) for layer in products]
        if bits is not None:
            tables = [matrix for matrix in matrices if matrix.layer not in products]
            large = [matrix.layer for matrix in tables if np.prod(matrix.variable.shape) > LEAST_VALUES]
            self._tables = [FakeQuantizedTable(layer, bits) for layer in large]
        for fake in self._fakes:
            fake.layer.call = fake.call
        self._share = tf.function(self._take_means)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._strategy.num_replicas_in_sync > 1 and not self.model.skipping:
            with self._strategy.scope():
                self._share()

    def variables(self) -> Sequence[Any]:
        return [variable for product in self._products for variable in (product.low, product.high, product.count)]

    def strip(self, encoder: keras.Model) -> None:
        for fake in self._fakes:
            del fake.layer.call

    @property
    def _fakes(self) -> list["FakeQuantizedProduct | FakeQuantizedTable"]:
        return [*self._products, *self._tables]

    def _take_means(self) -> None:
        """Gives all replicas the mean of their values: each has seen only its own rows."""
        for variable in self.variables():
            variable.value.assign(variable.value.read_value())


class FakeQuantizedProduct:
    """A Dense layer's computation with its kernel and inputs rounded.

    Args:
        layer: The layer.
        recipe: Bits and decay.
    """

    def __init__(self, layer: keras.layers.Dense, recipe: "QuantizeAware") -> None:
        self.layer = layer
        self.recipe = recipe
        # Each replica updates its own copy: an update that all agree on cannot be made within a graph of its own.
        kind: dict[str, Any] = {"trainable": False, "synchronization": "on_read", "aggregation": "mean"}
        kind["autocast"] = False  # float32 in mixed precision, too
        self.low, self.high, self.count = (keras.Variable(0.0, dtype="float32", name=name, **kind) for name in NAMES)
        self._quantize = load_tfmot("quantization.keras.quant_ops")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Replaces the layer's own `call`."""
        layer = self.layer
        outputs = ops.matmul(self.round_inputs(inputs, training=bool(training)), self.round_kernel(layer.kernel))
        if layer.bias is not None:
            outputs = ops.add(outputs, layer.bias)
        return outputs if layer.activation is None else layer.activation(outputs)

    def round_kernel(self, kernel: Any) -> Any:
        """Rounds the kernel `(inputs, outputs)` in symmetric steps, each output with its own: `round(w / s) * s`.

        `s` is the output's largest magnitude over `2**(bits - 1) - 1`, as in LiteRT's int8.
        """
        whole = tf.cast(kernel, tf.float32)
        largest = tf.reduce_max(tf.abs(whole), axis=0)  # (outputs,)
        rounded = self._quantize.LastValueQuantize(
            whole,
            -largest,
            largest,
            per_channel=True,
            is_training=False,  # the range is known: that of the current weights
            num_bits=self.recipe.weight_bits,
            narrow_range=True,
        )
        return tf.cast(rounded, kernel.dtype)

    def round_inputs(self, inputs: Any, *, training: bool) -> Any:
        """Rounds the inputs in even steps between moving averages of their extremes; zero is one of the steps."""
        if self.recipe.activation_bits is None:
            return inputs
        whole = tf.cast(inputs, tf.float32)
        low, high = self._move(tf.stop_gradient(whole)) if training else (self.low.value, self.high.value)
        rounded = self._quantize.MovingAvgQuantize(
            whole,
            tf.convert_to_tensor(low),
            tf.convert_to_tensor(high),
            is_training=False,  # moved above: the original synchronizes all replicas in the middle of a layer
            num_bits=self.recipe.activation_bits,
        )
        return tf.cast(rounded, inputs.dtype)

    def _move(self, inputs: Any) -> tuple[Any, Any]:
        """Moves the averages by a batch's extremes: `a - (1 - d) * (a - x)`; at first d is at most `n / (n + 1)`."""
        count = self.count.value
        decay = tf.minimum(tf.constant(self.recipe.ema_decay, tf.float32), count / (count + 1))
        ends = (tf.minimum(tf.reduce_min(inputs), 0.0), tf.maximum(tf.reduce_max(inputs), 0.0))
        moved = []
        for average, end in zip((self.low.value, self.high.value), ends, strict=True):
            value = average - (1 - decay) * (average - end)
            average.assign(value)
            moved.append(value)
        count.assign(count + 1)
        return moved[0], moved[1]


class FakeQuantizedTable:
    """An Embedding layer's output with its table rounded in symmetric steps, one step for all: `round(w / s) * s`.

    `s` is the table's largest magnitude over `2**(bits - 1) - 1`, as in LiteRT's int8. Only the looked-up rows are
    rounded, not the whole table.

    Args:
        layer: The layer.
        bits: 2 to 8.
    """

    def __init__(self, layer: keras.layers.Embedding, bits: int) -> None:
        self.layer = layer
        self.bits = bits
        self._look_up = layer.call
        self._quantize = load_tfmot("quantization.keras.quant_ops")

    def call(self, inputs: Any) -> Any:
        """Replaces the layer's own `call`."""
        rows = self._look_up(inputs)
        table = tf.convert_to_tensor(self.layer.embeddings)
        largest = tf.stop_gradient(tf.reduce_max(tf.abs(tf.cast(table, tf.float32))))
        rounded = self._quantize.LastValueQuantize(
            tf.cast(rows, tf.float32), -largest, largest, is_training=False, num_bits=self.bits, narrow_range=True
        )
        return tf.cast(rounded, rows.dtype)


NAMES = ("low", "high", "count")
