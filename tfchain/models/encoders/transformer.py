"""The transformer's layers in Keras 3: embeddings, self-attention, feed-forward, MPNet's relative positions.

All products are `keras.layers.Dense` layers that can be found by path and replaced. Inside a layer, everything except
attention runs on rows: a two-dimensional tensor with a row for each token of all texts. TensorFlow multiplies it faster
than a three-dimensional tensor, and LiteRT's delegate can run long parts of such a graph at once, because no shape in
it depends on the shape of the input.
"""

import math
from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.attend import LONG, attend_any
from tfchain.models.encoders.compact_gradients import add, compact_steps
from tfchain.models.encoders.position_bias import MASKED, MASKED_FLOAT16
from tfchain.models.encoders.relative_positions import MAX_DISTANCE, make_buckets
from tfchain.models.encoders.rows import Dropout, EmbeddingTable, TextSize, as_rows, list_places


def make_activation(name: str) -> Any:
    """Returns the function of an activation's name; `gelu` is the exact function."""
    if name == "gelu":
        return exact_gelu
    if name == "gelu_new":
        return approximate_gelu
    return keras.activations.get(name)


@keras.saving.register_keras_serializable("tfchain")
def exact_gelu(x: Any) -> Any:
    """Computes the Gaussian error linear unit with the error function (Hendrycks and Gimpel 2016), as BERT does."""
    with compact_steps():
        return ops.gelu(x, approximate=False)


@keras.saving.register_keras_serializable("tfchain")
def approximate_gelu(x: Any) -> Any:
    """Computes the tanh approximation of the Gaussian error linear unit."""
    return ops.gelu(x, approximate=True)


@keras.saving.register_keras_serializable("tfchain")
class LayerNorm(keras.layers.LayerNormalization):
    """Keras' layer normalisation of the last axis, in fewer steps.

    Computes (x - mean) / √(variance + ε) · γ + β (Ba et al. 2016), in float32 or higher as Keras does; without β for
    `center=False`. Keras first multiplies γ into each token's factor, which takes another pass over all values;
    between the products of a single query such small steps matter.
    """

    def call(self, inputs: Any) -> Any:
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        values = ops.cast(inputs, dtype)
        with compact_steps():
            centered = values - ops.mean(values, axis=-1, keepdims=True)
            variance = ops.mean(ops.square(centered), axis=-1, keepdims=True)
            scaled = centered * ops.rsqrt(variance + self.epsilon) * ops.cast(self.gamma, dtype)
            shifted = scaled if self.beta is None else scaled + ops.cast(self.beta, dtype)
        return ops.cast(shifted, self.compute_dtype)


def _ignore(path: str, rows: Any) -> None:
    """Does nothing: the `visit` of a layer that is called without one."""


@keras.saving.register_keras_serializable("tfchain")
class TransformerEmbeddings(keras.layers.Layer):
    """Token, position and token type embeddings, added and normalised.

    Args:
        vocabulary_size: Rows of the token embedding.
        hidden_dim: Width of the output.
        max_positions: Rows of the position embedding.
        token_embedding_dim: Width of the token embedding; if it is not `hidden_dim`, a Dense layer widens it.
        widened: What that layer widens: `tokens`, before positions are added, or `sum`, the normalised sum.
        num_token_types: Rows of the token type embedding, 0 for none; row 0 is added to every token.
        position_offset: Position of the first token. If it is not 0, positions are counted as in RoBERTa and MPNet: the
            id `position_offset - 1` is the padding token. Inside a text that token has the position of padding too, and
            the tokens after it are counted as if it were not there.
        norm_epsilon: The epsilon of the normalisation.
        dropout: Rate while training.
        given_token_types: How many token types the ids tell apart: a token of type t has the id
            `t * vocabulary_size + id`. Default: 1, all tokens have type 0.
        normalizes: Whether the sum is normalised. Default: True.

    Call with `token_ids` int32 `(batch, length)`; returns `(batch, length, hidden_dim)`.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        hidden_dim: int,
        max_positions: int,
        token_embedding_dim: int | None = None,
        widened: str = "tokens",
        num_token_types: int = 0,
        position_offset: int = 0,
        norm_epsilon: float = 1e-12,
        dropout: float = 0.0,
        given_token_types: int = 1,
        normalizes: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.given_token_types = given_token_types
        self.normalizes = normalizes
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.max_positions = max_positions
        self.token_embedding_dim = token_embedding_dim or hidden_dim
        self.widened = widened
        self.num_token_types = num_token_types
        self.position_offset = position_offset
        self.norm_epsilon = norm_epsilon
        self.dropout = dropout
        names = {"dtype": self.dtype_policy}
        self.token = EmbeddingTable(vocabulary_size, self.token_embedding_dim, name="token", **names)
        self.sum_dim = self.token_embedding_dim if widened == "sum" else hidden_dim
        self.position = EmbeddingTable(max_positions, self.sum_dim, name="position", **names)
        self.token_type = (
            EmbeddingTable(num_token_types, self.sum_dim, name="token_type", **names) if num_token_types else None
        )
        self.projection = (
            keras.layers.Dense(hidden_dim, name="projection", **names)
            if self.token_embedding_dim != hidden_dim
            else None
        )
        self.norm = LayerNorm(epsilon=norm_epsilon, name="norm", **names) if normalizes else None
        self.drop = Dropout(dropout, name="drop", **names)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.token.build(input_shape)
        self.position.build((None,))
        if self.token_type is not None:
            self.token_type.build((None,))
        if self.projection is not None:
            self.projection.build((None, self.token_embedding_dim))
        if self.norm is not None:
            self.norm.build((None, None, self.sum_dim))

    def call(self, token_ids: Any, training: bool = False) -> Any:
        token_type = ops.zeros((1,), dtype="int32")
        if self.given_token_types > 1:
            token_type = ops.floor_divide(token_ids, self.vocabulary_size)
            token_ids = token_ids - token_type * self.vocabulary_size
        hidden = self.token(token_ids)  # (batch, length, token_embedding_dim)
        if self.widened == "tokens":
            hidden = self._widen(hidden, token_ids)
        fixed = self.position(self._count_positions(token_ids))  # (length, sum_dim) or (batch, length, sum_dim)
        with compact_steps():
            if self.token_type is not None:
                fixed = fixed + self.token_type(token_type)
            hidden = hidden + fixed
        hidden = hidden if self.norm is None else self.norm(hidden)
        hidden = self.drop(hidden, training=training)
        return self._widen(hidden, token_ids) if self.widened == "sum" else hidden

    def _widen(self, hidden: Any, token_ids: Any) -> Any:
        """Projects to `hidden_dim`, if the token embedding is narrower."""
        if self.projection is None:
            return hidden
        flat = self.projection(ops.reshape(hidden, (-1, self.token_embedding_dim)))
        return TextSize(token_ids).reshape(flat, self.hidden_dim)

    def _count_positions(self, token_ids: Any) -> Any:
        if not self.position_offset:
            return list_places(token_ids)
        padding = self.position_offset - 1
        is_token = ops.cast(ops.not_equal(token_ids, padding), "int32")
        return ops.cumsum(is_token, axis=1) * is_token + padding

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        names = (
            "vocabulary_size", "hidden_dim", "max_positions", "token_embedding_dim", "widened", "num_token_types",
            "position_offset", "norm_epsilon", "dropout", "normalizes",
        )  # fmt: skip
        values = {name: getattr(self, name) for name in names}
        if self.given_token_types > 1:  # left out otherwise, as in earlier files
            values["given_token_types"] = self.given_token_types
        return {**super().get_config(), **values}


@keras.saving.register_keras_serializable("tfchain")
class AttentionMask(keras.layers.Layer):
    """Turns a padding mask into a bias for attention scores: 0 for a token, a large negative number for padding.

    Call with `padding_mask` int32 `(batch, length)`, 0 for padding; returns `(batch, 1, 1, length)` in the compute
    type.
    """

    def call(self, padding_mask: Any) -> Any:
        padding = ops.cast(ops.equal(padding_mask, 0), self.compute_dtype)
        masked = MASKED_FLOAT16 if self.compute_dtype == "float16" else MASKED
        return ops.expand_dims(ops.expand_dims(padding, 1), 1) * masked

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], 1, 1, input_shape[1])


@keras.saving.register_keras_serializable("tfchain")
class RelativePositionBias(keras.layers.Layer):
    """MPNet's bias on attention scores by the distance of two tokens, shared by all layers.

    Short distances have a bucket each; long distances share buckets on a logarithmic scale up to `max_distance` (T5's
    bidirectional scheme; Raffel et al. 2020, section 2.1).

    Args:
        num_buckets: Rows of the table.
        num_heads: Columns of the table.
        max_distance: The distance from which all distances share one bucket. Default: 128.

    Call with `token_ids` `(batch, length)`, of which only the length is used; returns `(1, heads, length, length)`.
    """

    def __init__(self, num_buckets: int, num_heads: int, max_distance: int = MAX_DISTANCE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_buckets = num_buckets
        self.num_heads = num_heads
        self.max_distance = max_distance

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.table = self.add_weight(name="embeddings", shape=(self.num_buckets, self.num_heads))

    def call(self, token_ids: Any) -> Any:
        position = list_places(token_ids)
        # (query, key); positive where the key follows the query
        distance = ops.expand_dims(position, 0) - ops.expand_dims(position, 1)
        bias = ops.take(ops.convert_to_tensor(self.table), self.find_buckets(distance), axis=0)  # (query, key, heads)
        return ops.expand_dims(ops.transpose(bias, (2, 0, 1)), 0)

    def find_buckets(self, distance: Any) -> Any:
        """Returns the table's rows for int32 distances, which are positive where the key follows the query."""
        buckets = make_buckets(self.num_buckets, self.max_distance)
        near = ops.take(buckets, ops.minimum(ops.abs(distance), self.max_distance))
        return near + ops.where(distance > 0, self.num_buckets // 2, 0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (1, self.num_heads, input_shape[1], input_shape[1])

    def get_config(self) -> dict[str, Any]:
        names = ("num_buckets", "num_heads", "max_distance")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tfchain")
class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention (Vaswani et al. 2017) with one product for query, key and value.

    Args:
        num_heads: Number of heads.
        head_dim: Width of a head; `num_heads * head_dim` may differ from the input's width.
        dropout: Rate on the attention weights while training.
        max_length: The maximum number of tokens in a text; over 1,024, the attention of longer texts is computed in
            blocks, with a bias of one row. Default: 1,024.

    Call with `hidden` `(batch, length, dim)` and `bias`, added to the scores, of a shape that broadcasts to
    `(batch, heads, length, length)`; returns `(batch, length, dim)`. Products: `query_key_value`, `output`.
    """

    def __init__(
        self, *, num_heads: int, head_dim: int, dropout: float = 0.0, max_length: int = LONG, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.dropout = dropout
        self.max_length = max_length
        width = num_heads * head_dim
        self.query_key_value = keras.layers.Dense(3 * width, name="query_key_value", dtype=self.dtype_policy)
        self.drop = Dropout(dropout, name="drop", dtype=self.dtype_policy)

    def build(self, input_shape: tuple[int | None, ...], *_: Any) -> None:
        dim = input_shape[-1]
        self.output_product = keras.layers.Dense(dim, name="output", dtype=self.dtype_policy)
        self.query_key_value.build((None, dim))
        self.output_product.build((None, self.num_heads * self.head_dim))

    def call(self, hidden: Any, bias: Any, training: bool = False) -> Any:
        size = TextSize(hidden)
        rows = self.output_product(self.mix(hidden, bias, training=training, size=size))
        return size.reshape(rows, hidden.shape[-1])

    def mix(self, hidden: Any, bias: Any, training: bool = False, *, size: TextSize | None = None) -> Any:
        """Returns the heads' results, the input of the output product: `(batch * length, num_heads * head_dim)`.

        Args:
            hidden: `(batch, length, dim)`, or rows `(batch * length, dim)` if `size` is given.
            bias: As for `call`.
            training: Whether dropout is on.
            size: Batch and length. Default: those of `hidden`.
        """
        heads, width = self.num_heads, self.head_dim
        product = self.query_key_value(as_rows(hidden))  # (batch * length, 3 * heads * width)
        product = (size or TextSize(hidden)).reshape(product, 3 * heads, width)
        product = ops.transpose(product, (0, 2, 1, 3))
        query, key, value = ops.split(product, 3, axis=1)  # (batch, heads, length, width)
        with compact_steps():
            query = query * (1 / math.sqrt(width))
        drop = self.drop if training else None
        mixed = attend_any(query, key, value, bias, bias, drop=drop, max_length=self.max_length)
        mixed = ops.transpose(mixed, (0, 2, 1, 3))  # (batch, length, heads, width)
        return ops.reshape(mixed, (-1, heads * width))

    def compute_output_shape(self, input_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        names = ("num_heads", "head_dim", "dropout", "max_length")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class BlockLayer(keras.layers.Layer):
    """A transformer layer of any kind: the Keras side of a `Block`.

    Call with `hidden` `(batch, length, dim)`, the attention `bias`, and `token_ids` `(batch, length)`, of which only
    the shape is used and which are optional; returns `(batch, length, dim)`.
    """

    def call(self, hidden: Any, bias: Any, token_ids: Any = None, training: bool = False) -> Any:
        return self.compute(hidden, bias, token_ids, training=training)

    def compute(
        self, hidden: Any, bias: Any, token_ids: Any = None, *, training: bool = False, visit: Any = None
    ) -> Any:
        """Computes the layer as `call` does, and passes the input of each product to `visit`.

        Args:
            hidden: As for the call.
            bias: As for the call.
            token_ids: As for the call.
            training: Whether dropout is on. Default: False.
            visit: Called with each product's path inside the layer and its input, `(batch * length, in_dim)`, before
                the product is computed. Default: not called.
        """
        raise NotImplementedError

    def compute_output_shape(self, input_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        return input_shape


@keras.saving.register_keras_serializable("tfchain")
class TransformerLayer(BlockLayer):
    """Self-attention and feed-forward network, each added to its input and normalised (post-norm, as in BERT).

    Args:
        num_heads: Attention heads.
        head_dim: Width of a head.
        intermediate_dim: Width of the feed-forward network.
        activation: A name that `make_activation` accepts.
        norm_epsilon: The epsilon of the normalisations.
        dropout: Rate after attention and after the feed-forward network while training.
        attention_dropout: Rate on the attention weights while training.
        max_length: As for `SelfAttention`. Default: 1,024.

    Call as a `BlockLayer`. Products: `attention/query_key_value`, `attention/output`, `intermediate`, `output`.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        head_dim: int,
        intermediate_dim: int,
        activation: str = "gelu",
        norm_epsilon: float = 1e-12,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        max_length: int = LONG,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.max_length = max_length
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.norm_epsilon = norm_epsilon
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        policy = {"dtype": self.dtype_policy}
        self.attention = self.make_attention(
            num_heads=num_heads, head_dim=head_dim, dropout=attention_dropout, name="attention", **policy
        )
        self.attention_norm = LayerNorm(epsilon=norm_epsilon, name="attention_norm", **policy)
        self.intermediate = keras.layers.Dense(
            intermediate_dim, activation=make_activation(activation), name="intermediate", **policy
        )
        self.output_norm = LayerNorm(epsilon=norm_epsilon, name="output_norm", **policy)
        self.drop = Dropout(dropout, name="drop", **policy)

    def make_attention(self, **options: Any) -> SelfAttention:
        """Makes the layer's attention; another kind of layer overrides it."""
        return SelfAttention(max_length=self.max_length, **options)

    def build(self, input_shape: tuple[int | None, ...], *_: Any) -> None:
        dim = input_shape[-1]
        self.output_product = keras.layers.Dense(dim, name="output", dtype=self.dtype_policy)
        self.attention.build(input_shape)
        self.attention_norm.build(input_shape)
        self.intermediate.build((None, dim))
        self.output_product.build((None, self.intermediate_dim))
        self.output_norm.build(input_shape)

    def compute(
        self, hidden: Any, bias: Any, token_ids: Any = None, *, training: bool = False, visit: Any = None
    ) -> Any:
        visit = visit or _ignore
        # The shape of `hidden` is known only after the previous layer has been computed, and LiteRT would assemble it
        # in every layer, so the shape of `token_ids` is used.
        size = TextSize(hidden if token_ids is None else token_ids)
        rows = as_rows(hidden)
        visit("attention/query_key_value", rows)
        mixed = self.attention.mix(rows, bias, training=training, size=size)
        visit("attention/output", mixed)
        attended = self.drop(self.attention.output_product(mixed), training=training)
        rows = self.attention_norm(add(rows, attended))
        visit("intermediate", rows)
        units = self.intermediate(rows)
        visit("output", units)
        narrowed = self.drop(self.output_product(units), training=training)
        return size.reshape(self.output_norm(add(rows, narrowed)), hidden.shape[-1])

    def get_config(self) -> dict[str, Any]:
        names = (
            "num_heads", "head_dim", "intermediate_dim", "activation", "norm_epsilon", "dropout", "attention_dropout",
            "max_length",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
