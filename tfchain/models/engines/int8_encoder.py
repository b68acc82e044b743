"""An encoder with its transformer's products in int8 in TensorFlow, made from a float encoder and its input ranges."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tfchain.core.errors import TfchainError
from tfchain.models.encoders.blocks.post_norm import POST_NORM, embedding_options
from tfchain.models.encoders.encoder import Encoder, make_inputs, make_layer
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.encoders.transformer import (
    BlockLayer,
    LayerNorm,
    TransformerEmbeddings,
    TransformerLayer,
    make_activation,
)
from tfchain.models.encoders.walk import walk_heads, walk_transformer
from tfchain.models.engines.calibration import InputRange
from tfchain.models.engines.int8_product import Int8Product, QuantizedProduct, quantize_product
from tfchain.models.weights.stored_weights import quantize_rows
from tfchain.runtime.random_state import kept_random_state


def make_int8_copy(encoder: Encoder, ranges: Mapping[str, InputRange]) -> keras.Model:
    """Copies an encoder with the transformer's products and the token embedding in int8, everything else in float32.

    The copy is only for inference: it has no gradients and no configuration to save.

    Args:
        encoder: The float encoder.
        ranges: From `measure_input_ranges`.

    Returns:
        A Keras model with the encoder's inputs and output.
    """
    with kept_random_state():
        return _make_int8_copy(encoder, ranges)


def _make_int8_copy(encoder: Encoder, ranges: Mapping[str, InputRange]) -> keras.Model:
    config, weights = encoder.config, KerasWeights(encoder)

    def make(name: str) -> keras.layers.Layer:
        if name == "embeddings" and config.transformer.is_static:
            return Int8Embedding(config.transformer.vocabulary_size, config.transformer.hidden_dim, name=name)
        if name == "embeddings":
            return Int8Embeddings(**embedding_options(config.transformer), name=name, dtype="float32")
        layer = encoder.get_layer(name)
        if not isinstance(layer, BlockLayer):
            return make_layer(config, name)
        if type(layer) not in INT8_LAYERS:
            raise TfchainError(
                f"TensorFlow has int8 products for layers of {', '.join(kind.__name__ for kind in INT8_LAYERS)} only. "
                f"Received: layers of the class {type(layer).__name__}. Use Quantize('int8') without calibration."
            )
        return INT8_LAYERS[type(layer)](layer, weights, ranges, name=name)

    inputs = make_inputs()
    hidden = walk_transformer(config.transformer, make, inputs["token_ids"], inputs["padding_mask"])
    vectors = walk_heads(config, make, hidden, inputs["token_ids"], inputs["padding_mask"])
    copy = keras.Model(inputs, vectors, name=encoder.name)

    floats = {weight.path: weight for weight in encoder.weights}
    for weight in copy.weights:
        if weight.path in floats:  # the embedding's vectors, normalisations, position biases and heads
            weight.assign(floats[weight.path])
    made, source = copy.get_layer("embeddings"), encoder.get_layer("embeddings")
    made, source = (made, source) if config.transformer.is_static else (made.token, source.token)
    made.set_table(np.asarray(source.embeddings))
    return copy


class Int8Embedding(keras.layers.Layer):
    """A table of int8 numbers with a scale for each row.

    Args:
        rows: Number of rows.
        dim: Width of a row.

    Call with int32 row numbers of any shape; returns float32 `(…, dim)`.
    """

    def __init__(self, rows: int, dim: int, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.rows = rows
        self.dim = dim

    def build(self, _: Any = None) -> None:
        self.numbers = self.add_weight(
            name="numbers", shape=(self.rows, self.dim), dtype="int8", initializer="zeros", trainable=False
        )
        self.scales = self.add_weight(name="scales", shape=(self.rows,), initializer="zeros", trainable=False)

    def set_table(self, table: np.ndarray) -> None:
        """Sets the numbers and scales from a float table."""
        numbers, scales = quantize_rows(table)
        self.numbers.assign(numbers)
        self.scales.assign(scales)

    def call(self, row_numbers: Any) -> Any:
        import tensorflow as tf

        numbers, scales = (tf.gather(ops.convert_to_tensor(part), row_numbers) for part in (self.numbers, self.scales))
        return ops.cast(numbers, "float32") * ops.expand_dims(scales, -1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.dim)


class Int8Embeddings(TransformerEmbeddings):
    """`TransformerEmbeddings` with an `Int8Embedding` for the tokens, which have most of the weights."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.token = Int8Embedding(self.vocabulary_size, self.token_embedding_dim, name="token", dtype="float32")


class Int8TransformerLayer(keras.layers.Layer):
    """A `TransformerLayer` with four `Int8Product`s; attention and normalisations stay in float32.

    Adjacent scales are combined, which saves passes over the activations: the scales of query, key and value include
    the attention's 1/√width and the output product's input scales, and the scales of the feed-forward network are
    applied inside its activation.

    Args:
        layer: The float layer.
        weights: The encoder's float32 weights by path.
        ranges: From `measure_input_ranges`.

    Call as a `BlockLayer`, in float32.
    """

    def __init__(
        self,
        layer: TransformerLayer,
        weights: Mapping[str, np.ndarray],
        ranges: Mapping[str, InputRange],
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.num_heads = layer.num_heads
        self.head_dim = layer.head_dim
        self.activation = layer.activation
        products = {}
        for product in POST_NORM.products:
            path = f"{layer.name}/{product}"
            products[product] = quantize_product(weights[f"{path}/kernel"], weights[f"{path}/bias"], ranges[path])
        self.query_key_value = Int8Product(products["attention/query_key_value"], name="query_key_value")
        self.attention_output = Int8Product(products["attention/output"], name="attention_output")
        self.intermediate = Int8Product(products["intermediate"], name="intermediate")
        self.output_product = Int8Product(products["output"], name="output")
        self.scales = {
            name: self._add_scales(name, values)
            for name, values in combine_scales(products, self.head_dim, self.activation).items()
        }
        epsilon = layer.norm_epsilon
        self.attention_norm = LayerNorm(epsilon=epsilon, name="attention_norm", dtype="float32")
        self.output_norm = LayerNorm(epsilon=epsilon, name="output_norm", dtype="float32")

    def _add_scales(self, name: str, values: np.ndarray) -> Any:
        weight = self.add_weight(name=f"{name}_scales", shape=values.shape, initializer="zeros", trainable=False)
        weight.assign(values)
        return weight

    def build(self, input_shape: tuple[int | None, ...], *_: Any) -> None:
        self.attention_norm.build(input_shape)
        self.output_norm.build(input_shape)

    def call(self, hidden: Any, bias: Any, token_ids: Any = None) -> Any:
        shape = ops.shape(hidden)
        flat = ops.reshape(hidden, (-1, shape[-1]))  # (batch * length, dim)
        attended = self.attention_output(self._mix(flat, bias, shape)) * self.scales["attention_output"]
        flat = self.attention_norm(flat + attended)
        narrowed = self.output_product(self._widen(flat)) * self.scales["output"]
        return ops.reshape(self.output_norm(flat + narrowed), shape)

    def _mix(self, flat: Any, bias: Any, shape: Any) -> Any:
        """Returns the heads' results as input of the output product, `(batch * length, num_heads * head_dim)`."""
        heads, width = self.num_heads, self.head_dim
        product = self.query_key_value(flat * self.scales["attention_input"]) * self.scales["query_key_value"]
        product = ops.reshape(product, (shape[0], shape[1], 3, heads, width))
        query, key, value = ops.unstack(ops.transpose(product, (2, 0, 3, 1, 4)), 3)  # (batch, heads, length, width)
        weights = ops.softmax(ops.matmul(query, ops.swapaxes(key, -1, -2)) + bias)  # (batch, heads, length, length)
        mixed = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))  # (batch, length, heads, width)
        return ops.reshape(mixed, (-1, heads * width))

    def _widen(self, flat: Any) -> Any:
        """Returns the feed-forward units as input of the output product, `(batch * length, intermediate_dim)`."""
        units = self.intermediate(flat * self.scales["intermediate_input"])
        before, after = self.scales["activation_input"], self.scales["activation_output"]
        if self.activation == "gelu":
            return units * after * (1 + ops.erf(units * before))
        return make_activation(self.activation)(units * before) * after

    def compute_output_shape(self, input_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        return input_shape


INT8_LAYERS = {TransformerLayer: Int8TransformerLayer}  # a layer's class → the class of its int8 copy


def combine_scales(products: Mapping[str, QuantizedProduct], head_dim: int, activation: str) -> dict[str, np.ndarray]:
    """Returns the float32 vectors by which a layer multiplies.

    Args:
        products: The layer's four products.
        head_dim: Width of an attention head.
        activation: The activation of the feed-forward network. The exact gelu x/2 · (1 + erf(x/√2)) has two
            multiplications of its own, which the scales around it include.
    """
    query_key_value, out = products["attention/query_key_value"], products["attention/output"]
    combined = query_key_value.output_scales.copy()
    width = len(combined) // 3
    combined[:width] /= math.sqrt(head_dim)  # of the query
    combined[2 * width :] /= out.input_scales  # of the value, which attention only averages

    before, after = products["intermediate"].output_scales, 1 / products["output"].input_scales
    if activation == "gelu":
        before, after = before / math.sqrt(2), before * after / 2
    scales = {
        "attention_input": 1 / query_key_value.input_scales,
        "query_key_value": combined,
        "attention_output": out.output_scales,
        "intermediate_input": 1 / products["intermediate"].input_scales,
        "activation_input": before,
        "activation_output": after,
        "output": products["output"].output_scales,
    }
    return {name: values.astype("float32") for name, values in scales.items()}
