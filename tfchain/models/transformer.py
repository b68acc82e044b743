"""The transformer's layers in Keras 3: embeddings, self-attention, feed-forward, MPNet's relative positions.

All products are `keras.layers.Dense` layers that can be found by path and replaced. They run on two-dimensional tensors
(tokens of all texts below one another), which TensorFlow multiplies faster than three-dimensional ones.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

MASKED = -1e9  # added to the attention score of a padding token: its weight becomes exactly 0 in float32
MASKED_FLOAT16 = -3e4  # float16 ends at 65,504


def make_activation(name: str) -> Any:
    """The function behind an activation's name; `gelu` is the exact one."""
    if name == "gelu":
        return exact_gelu
    if name == "gelu_new":
        return approximate_gelu
    return keras.activations.get(name)


@keras.saving.register_keras_serializable("tfchain")
def exact_gelu(x: Any) -> Any:
    """Gaussian error linear unit with the error function (Hendrycks and Gimpel 2016), as BERT was trained with."""
    return ops.gelu(x, approximate=False)


@keras.saving.register_keras_serializable("tfchain")
def approximate_gelu(x: Any) -> Any:
    """The tanh approximation of the Gaussian error linear unit."""
    return ops.gelu(x, approximate=True)


@keras.saving.register_keras_serializable("tfchain")
class TransformerEmbeddings(keras.layers.Layer):
    """Token, position and token type embeddings, added and normalised.

    Args:
        vocabulary_size: Rows of the token embedding.
        hidden_dim: Width of the output.
        max_positions: Rows of the position embedding.
        token_embedding_dim: Width of the token embedding; widened by a Dense layer if it is not `hidden_dim`.
        num_token_types: Rows of the token type embedding, 0 for none; row 0 is added to every token.
        position_offset: Position of the first token.
        norm_epsilon: Of the normalisation.
        dropout: Rate while training.

    Call with `token_ids` int32 `(batch, length)`; gives `(batch, length, hidden_dim)`.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        hidden_dim: int,
        max_positions: int,
        token_embedding_dim: int | None = None,
        num_token_types: int = 0,
        position_offset: int = 0,
        norm_epsilon: float = 1e-12,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.max_positions = max_positions
        self.token_embedding_dim = token_embedding_dim or hidden_dim
        self.num_token_types = num_token_types
        self.position_offset = position_offset
        self.norm_epsilon = norm_epsilon
        self.dropout = dropout
        names = {"dtype": self.dtype_policy}
        self.token = keras.layers.Embedding(vocabulary_size, self.token_embedding_dim, name="token", **names)
        self.position = keras.layers.Embedding(max_positions, hidden_dim, name="position", **names)
        self.token_type = (
            keras.layers.Embedding(num_token_types, hidden_dim, name="token_type", **names) if num_token_types else None
        )
        self.projection = (
            keras.layers.Dense(hidden_dim, name="projection", **names)
            if self.token_embedding_dim != hidden_dim
            else None
        )
        self.norm = keras.layers.LayerNormalization(epsilon=norm_epsilon, name="norm", **names)
        self.drop = keras.layers.Dropout(dropout, name="drop", **names)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.token.build(input_shape)
        self.position.build((None,))
        if self.token_type is not None:
            self.token_type.build((None,))
        if self.projection is not None:
            self.projection.build((None, self.token_embedding_dim))
        self.norm.build((None, None, self.hidden_dim))

    def call(self, token_ids: Any, training: bool = False) -> Any:
        batch, length = ops.shape(token_ids)
        hidden = self.token(token_ids)  # (batch, length, token_embedding_dim)
        if self.projection is not None:
            flat = self.projection(ops.reshape(hidden, (-1, self.token_embedding_dim)))
            hidden = ops.reshape(flat, (batch, length, self.hidden_dim))
        fixed = self.position(ops.arange(length, dtype="int32") + self.position_offset)  # (length, hidden_dim)
        if self.token_type is not None:
            fixed = fixed + self.token_type(ops.zeros((1,), dtype="int32"))
        return self.drop(self.norm(hidden + fixed), training=training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        names = (
            "vocabulary_size", "hidden_dim", "max_positions", "token_embedding_dim", "num_token_types",
            "position_offset", "norm_epsilon", "dropout",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tfchain")
class AttentionMask(keras.layers.Layer):
    """Turns a padding mask into what is added to attention scores: 0 for a token, a large negative number for padding.

    Call with `padding_mask` int32 `(batch, length)`, 0 for padding; gives `(batch, 1, 1, length)` in the compute type.
    """

    def call(self, padding_mask: Any) -> Any:
        padding = ops.cast(ops.equal(padding_mask, 0), self.compute_dtype)
        masked = MASKED_FLOAT16 if self.compute_dtype == "float16" else MASKED
        return ops.expand_dims(ops.expand_dims(padding, 1), 1) * masked

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], 1, 1, input_shape[1])


@keras.saving.register_keras_serializable("tfchain")
class RelativePositionBias(keras.layers.Layer):
    """MPNet's bias on attention scores, by the distance of two tokens, the same for all layers.

    Near distances have a bucket each, far ones share buckets on a logarithmic scale up to `max_distance` (T5's
    bidirectional scheme; Raffel et al. 2020, section 2.1).

    Args:
        num_buckets: Rows of the table.
        num_heads: Columns of the table.
        max_distance: From which distance on all share one bucket. Default: 128.

    Call with `token_ids` `(batch, length)`, of which only the length counts; gives `(1, heads, length, length)`.
    """

    def __init__(self, num_buckets: int, num_heads: int, max_distance: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_buckets = num_buckets
        self.num_heads = num_heads
        self.max_distance = max_distance

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.table = self.add_weight(name="embeddings", shape=(self.num_buckets, self.num_heads))

    def call(self, token_ids: Any) -> Any:
        position = ops.arange(ops.shape(token_ids)[1], dtype="int32")
        distance = ops.expand_dims(position, 0) - ops.expand_dims(
            position, 1
        )  # (query, key), behind the query positive
        buckets = self._buckets()  # (max_distance + 1,)
        near = ops.take(buckets, ops.minimum(ops.abs(distance), self.max_distance))
        bucket = near + ops.where(distance > 0, self.num_buckets // 2, 0)
        bias = ops.take(ops.convert_to_tensor(self.table), bucket, axis=0)  # (query, key, heads)
        return ops.expand_dims(ops.transpose(bias, (2, 0, 1)), 0)

    def _buckets(self) -> Any:
        """The bucket of each distance from 0 to `max_distance`, in NumPy: 8 + i from 8 * (128/8)**(i/8) on."""
        half = self.num_buckets // 2
        exact = half // 2
        distance = np.arange(self.max_distance + 1)
        scaled = np.log(np.maximum(distance, 1).astype("float32") / exact) / np.float32(
            math.log(self.max_distance / exact)
        )
        coarse = np.minimum(exact + (scaled * (half - exact)).astype("int32"), half - 1)
        return np.where(distance < exact, distance, coarse).astype("int32")

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
        head_dim: Width of a head; `num_heads * head_dim` need not be the input's width.
        dropout: Rate on the attention weights while training.

    Call with `hidden` `(batch, length, dim)` and `bias`, added to the scores, of a shape that broadcasts to
    `(batch, heads, length, length)`; gives `(batch, length, dim)`. Products: `query_key_value`, `output`.
    """

    def __init__(self, *, num_heads: int, head_dim: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.dropout = dropout
        width = num_heads * head_dim
        self.query_key_value = keras.layers.Dense(3 * width, name="query_key_value", dtype=self.dtype_policy)
        self.drop = keras.layers.Dropout(dropout, name="drop", dtype=self.dtype_policy)

    def build(self, input_shape: tuple[int | None, ...], *_: Any) -> None:
        dim = input_shape[-1]
        self.output_product = keras.layers.Dense(dim, name="output", dtype=self.dtype_policy)
        self.query_key_value.build((None, dim))
        self.output_product.build((None, self.num_heads * self.head_dim))

    def call(self, hidden: Any, bias: Any, training: bool = False) -> Any:
        out = self.output_product(self.mix(hidden, bias, training=training))
        return ops.reshape(out, ops.shape(hidden))

    def mix(self, hidden: Any, bias: Any, training: bool = False) -> Any:
        """What goes into the output product: the heads' results, `(batch * length, num_heads * head_dim)`."""
        batch, length, dim = ops.shape(hidden)
        heads, width = self.num_heads, self.head_dim
        product = self.query_key_value(ops.reshape(hidden, (-1, dim)))  # (batch * length, 3 * heads * width)
        product = ops.reshape(product, (batch, length, 3, heads, width))
        query, key, value = ops.unstack(ops.transpose(product, (2, 0, 3, 1, 4)), 3)  # (batch, heads, length, width)
        scores = ops.matmul(query * (1 / math.sqrt(width)), ops.swapaxes(key, -1, -2)) + bias
        weights = self.drop(ops.softmax(scores), training=training)  # (batch, heads, length, length)
        mixed = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))  # (batch, length, heads, width)
        return ops.reshape(mixed, (-1, heads * width))

    def compute_output_shape(self, input_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        names = ("num_heads", "head_dim", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tfchain")
class TransformerLayer(keras.layers.Layer):
    """Self-attention and feed-forward network, each added to its input and normalised (post-norm, as in BERT).

    Args:
        num_heads: Attention heads.
        head_dim: Width of a head.
        intermediate_dim: Width of the feed-forward network.
        activation: A name that `make_activation` knows.
        norm_epsilon: Of the normalisations.
        dropout: Rate behind both parts while training.
        attention_dropout: Rate on the attention weights while training.

    Call with `hidden` `(batch, length, dim)` and the attention `bias`; gives `(batch, length, dim)`.
    Products: `attention/query_key_value`, `attention/output`, `intermediate`, `output`.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.norm_epsilon = norm_epsilon
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        policy = {"dtype": self.dtype_policy}
        self.attention = SelfAttention(
            num_heads=num_heads, head_dim=head_dim, dropout=attention_dropout, name="attention", **policy
        )
        self.attention_norm = keras.layers.LayerNormalization(epsilon=norm_epsilon, name="attention_norm", **policy)
        self.intermediate = keras.layers.Dense(
            intermediate_dim, activation=make_activation(activation), name="intermediate", **policy
        )
        self.output_norm = keras.layers.LayerNormalization(epsilon=norm_epsilon, name="output_norm", **policy)
        self.drop = keras.layers.Dropout(dropout, name="drop", **policy)

    def build(self, input_shape: tuple[int | None, ...], *_: Any) -> None:
        dim = input_shape[-1]
        self.output_product = keras.layers.Dense(dim, name="output", dtype=self.dtype_policy)
        self.attention.build(input_shape)
        self.attention_norm.build(input_shape)
        self.intermediate.build((None, dim))
        self.output_product.build((None, self.intermediate_dim))
        self.output_norm.build(input_shape)

    def call(self, hidden: Any, bias: Any, training: bool = False) -> Any:
        hidden = self.attend(hidden, bias, training=training)
        narrowed = ops.reshape(self.output_product(self.widen(hidden)), ops.shape(hidden))
        return self.output_norm(hidden + self.drop(narrowed, training=training))

    def attend(self, hidden: Any, bias: Any, training: bool = False) -> Any:
        """The first half: attention, added to its input and normalised, `(batch, length, dim)`."""
        attended = self.drop(self.attention(hidden, bias, training=training), training=training)
        return self.attention_norm(hidden + attended)

    def widen(self, hidden: Any) -> Any:
        """What goes into the output product: the feed-forward units, `(batch * length, intermediate_dim)`."""
        return self.intermediate(ops.reshape(hidden, (-1, ops.shape(hidden)[-1])))

    def compute_output_shape(self, input_shape: tuple[int | None, ...], *_: Any) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        names = (
            "num_heads", "head_dim", "intermediate_dim", "activation", "norm_epsilon", "dropout", "attention_dropout",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
