"""The Keras layers of the two towers; each product is a `keras.layers.Dense`, found by its path."""

from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.rows import find_length


def apply_activation(values: Any, name: str) -> Any:
    """Applies an activation by its name; `quick_gelu` is x · sigmoid(1.702 x), as CLIP was trained with."""
    if name == "quick_gelu":
        return values * ops.sigmoid(1.702 * values)
    return ops.gelu(values, approximate=name == "gelu_tanh")


@keras.saving.register_keras_serializable("tfchain")
class Patches(keras.layers.Layer):
    """Cuts pictures `(batch, height, width, 3)` into patches `(batch, patches, patch_size² · 3)`, row by row.

    Pixels beyond the last whole patch are left out, as a convolution with the patch as its stride does.

    Args:
        patch_size: The side of a patch, in pixels.
    """

    def __init__(self, patch_size: int, **options: Any) -> None:
        super().__init__(**options)
        self.patch_size = patch_size

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        rows, columns = (side // self.patch_size for side in input_shape[1:3])
        return (input_shape[0], rows * columns, self.patch_size**2 * input_shape[3])

    def call(self, pixels: Any) -> Any:
        size = self.patch_size
        rows, columns, channels = pixels.shape[1] // size, pixels.shape[2] // size, pixels.shape[3]
        pixels = pixels[:, : rows * size, : columns * size]
        cut = ops.reshape(pixels, (-1, rows, size, columns, size, channels))
        cut = ops.transpose(cut, (0, 1, 3, 2, 4, 5))  # (batch, rows, columns, size, size, channels)
        return ops.reshape(cut, (-1, rows * columns, size * size * channels))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "patch_size": self.patch_size}


@keras.saving.register_keras_serializable("tfchain")
class Positions(keras.layers.Layer):
    """Adds a learned vector to each place, after a learned class token if there is one.

    Args:
        num_positions: The number of places, the class token's included.
        has_class: Whether a class token comes first. Default: False.
    """

    def __init__(self, num_positions: int, has_class: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.num_positions, self.has_class = num_positions, has_class

    def build(self, input_shape: Any) -> None:
        dim = input_shape[-1]
        if self.has_class:
            self.class_token = self.add_weight(shape=(dim,), initializer=_normal(dim**-0.5), name="class_token")
        self.table = self.add_weight(shape=(self.num_positions, dim), initializer=_normal(0.02), name="table")
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        batch, length, dim = input_shape
        return (batch, None if length is None else length + int(self.has_class), dim)

    def call(self, vectors: Any) -> Any:
        if self.has_class:
            token = ops.cast(self.class_token, vectors.dtype)
            first = ops.zeros_like(vectors[:, :1]) + token
            vectors = ops.concatenate([first, vectors], axis=1)
        table = ops.cast(self.table, vectors.dtype)
        return vectors + table[None, : find_length(vectors)]  # (batch, length, dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_positions": self.num_positions, "has_class": self.has_class}


@keras.saving.register_keras_serializable("tfchain")
class Attention(keras.layers.Layer):
    """Attention with several heads, from queries to keys.

    Args:
        num_heads: The number of heads.
        dim: The width of all heads together, and of the output.
        dropout: The rate of the dropout of attention weights. Default: 0.
    """

    def __init__(self, num_heads: int, dim: int, dropout: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.num_heads, self.dim, self.rate = num_heads, dim, dropout
        for name in ("query", "key", "value", "output"):
            setattr(self, f"{name}_product", keras.layers.Dense(dim, name=name, dtype=self.dtype_policy))
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, queries_shape: Any, keys_shape: Any = None, bias_shape: Any = None) -> None:
        keys_shape = queries_shape if keys_shape is None else keys_shape
        self.query_product.build(queries_shape)
        self.key_product.build(keys_shape)
        self.value_product.build(keys_shape)
        self.output_product.build((*queries_shape[:-1], self.dim))
        self.built = True

    def compute_output_shape(self, queries_shape: Any, keys_shape: Any = None, bias_shape: Any = None) -> Any:
        return (*queries_shape[:-1], self.dim)

    def call(self, queries: Any, keys: Any, bias: Any = None, training: bool | None = None) -> Any:
        query = self._split(self.query_product(queries)) * (self.dim // self.num_heads) ** -0.5
        key, value = self._split(self.key_product(keys)), self._split(self.value_product(keys))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))  # (batch, heads, queries, keys)
        if bias is not None:
            scores = scores + ops.cast(bias, scores.dtype)
        weights = self.dropout(ops.softmax(scores, axis=-1), training=training)
        mixed = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return self.output_product(ops.reshape(mixed, (-1, find_length(queries), self.dim)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_heads": self.num_heads, "dim": self.dim, "dropout": self.rate}

    def _split(self, values: Any) -> Any:
        shape = (-1, find_length(values), self.num_heads, self.dim // self.num_heads)
        return ops.transpose(ops.reshape(values, shape), (0, 2, 1, 3))  # (batch, heads, length, head_dim)


@keras.saving.register_keras_serializable("tfchain")
class FeedForward(keras.layers.Layer):
    """Two products with an activation between them.

    Args:
        dim: The width of the input and output.
        intermediate_dim: The width between the products.
        activation: The activation's name.
    """

    def __init__(self, dim: int, intermediate_dim: int, activation: str, **options: Any) -> None:
        super().__init__(**options)
        self.dim, self.intermediate_dim, self.activation = dim, intermediate_dim, activation
        self.intermediate = keras.layers.Dense(intermediate_dim, name="intermediate", dtype=self.dtype_policy)
        self.output_product = keras.layers.Dense(dim, name="output", dtype=self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        self.intermediate.build(input_shape)
        self.output_product.build((*input_shape[:-1], self.intermediate_dim))
        self.built = True

    def call(self, values: Any) -> Any:
        return self.output_product(apply_activation(self.intermediate(values), self.activation))

    def get_config(self) -> dict[str, Any]:
        own = {"dim": self.dim, "intermediate_dim": self.intermediate_dim, "activation": self.activation}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("tfchain")
class TowerLayer(keras.layers.Layer):
    """A transformer layer of a tower.

    Args:
        dim: The width of the input and output.
        num_heads: The number of attention heads.
        intermediate_dim: The width of the feed-forward network.
        activation: Its activation's name.
        norm_epsilon: Added to the variance in normalisations.
        norm_place: `pre` or `post`: see `LayersConfig`. Default: `pre`.
        dropout: The rate of dropouts. Default: 0.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        intermediate_dim: int,
        activation: str,
        norm_epsilon: float,
        norm_place: str = "pre",
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.settings = {
            "dim": dim,
            "num_heads": num_heads,
            "intermediate_dim": intermediate_dim,
            "activation": activation,
            "norm_epsilon": norm_epsilon,
            "norm_place": norm_place,
            "dropout": dropout,
        }
        policy = self.dtype_policy
        self.is_post = norm_place == "post"
        self.attention = Attention(num_heads, dim, dropout, name="attention", dtype=policy)
        self.attention_norm = make_norm("attention_norm", norm_epsilon, policy)
        self.feed_forward = FeedForward(dim, intermediate_dim, activation, name="feed_forward", dtype=policy)
        self.output_norm = make_norm("output_norm", norm_epsilon, policy)
        self.dropout = keras.layers.Dropout(dropout, dtype=policy)

    def build(self, values_shape: Any, bias_shape: Any = None) -> None:
        self.attention.build(values_shape)
        self.feed_forward.build(values_shape)
        self.attention_norm.build(values_shape)
        self.output_norm.build(values_shape)
        self.built = True

    def compute_output_shape(self, values_shape: Any, bias_shape: Any = None) -> Any:
        return values_shape

    def call(self, values: Any, bias: Any = None, training: bool | None = None) -> Any:
        if self.is_post:
            attended = self.attention(values, values, bias, training=training)
            values = self.attention_norm(values + self.dropout(attended, training=training))
            return self.output_norm(values + self.dropout(self.feed_forward(values), training=training))
        read = self.attention_norm(values)
        values = values + self.dropout(self.attention(read, read, bias, training=training), training=training)
        return values + self.dropout(self.feed_forward(self.output_norm(values)), training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


@keras.saving.register_keras_serializable("tfchain")
class AttentionPool(keras.layers.Layer):
    """Pools the vectors of all patches by attention from a learned query, and a feed-forward network (SigLIP).

    Args:
        dim: The width of the vectors.
        num_heads: The number of attention heads.
        intermediate_dim: The width of the feed-forward network.
        activation: Its activation's name.
        norm_epsilon: Added to the variance in the normalisation.
    """

    def __init__(
        self, dim: int, num_heads: int, intermediate_dim: int, activation: str, norm_epsilon: float, **options: Any
    ) -> None:
        super().__init__(**options)
        self.settings = {
            "dim": dim,
            "num_heads": num_heads,
            "intermediate_dim": intermediate_dim,
            "activation": activation,
            "norm_epsilon": norm_epsilon,
        }
        policy = self.dtype_policy
        self.attention = Attention(num_heads, dim, name="attention", dtype=policy)
        self.norm = make_norm("norm", norm_epsilon, policy)
        self.feed_forward = FeedForward(dim, intermediate_dim, activation, name="feed_forward", dtype=policy)

    def build(self, input_shape: Any) -> None:
        dim = input_shape[-1]
        self.probe = self.add_weight(shape=(1, 1, dim), initializer=_normal(dim**-0.5), name="probe")
        pooled = (input_shape[0], 1, dim)
        self.attention.build(pooled, input_shape)
        self.norm.build(pooled)
        self.feed_forward.build(pooled)
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[-1])

    def call(self, values: Any) -> Any:
        probe = ops.zeros_like(values[:, :1]) + ops.cast(self.probe, values.dtype)
        pooled = self.attention(probe, values)
        return (pooled + self.feed_forward(self.norm(pooled)))[:, 0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


def make_norm(name: str, epsilon: float, dtype: Any = None) -> keras.layers.LayerNormalization:
    """Makes a layer normalisation."""
    return keras.layers.LayerNormalization(epsilon=epsilon, name=name, dtype=dtype)


def _normal(deviation: float) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=deviation)
