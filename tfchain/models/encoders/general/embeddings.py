"""Token embeddings for transformers that count positions in their layers."""

from typing import Any

import keras
from keras import ops

from tfchain.models.encoders.compact_gradients import add
from tfchain.models.encoders.general.norms import make_norm
from tfchain.models.encoders.layer_config import LayerConfig, to_plain
from tfchain.models.encoders.rows import Dropout, EmbeddingTable, TextSize


@keras.saving.register_keras_serializable("tfchain")
class TokenEmbeddings(keras.layers.Layer):
    """Token and token type embeddings, scaled and normalised as the configuration says; there are no positions.

    Args:
        vocabulary_size: Rows of the token embedding.
        hidden_dim: Width of the output.
        options: The layers' configuration, as a `LayerConfig` or its plain values.
        token_embedding_dim: Width of the token embedding; if it is not `hidden_dim`, a Dense layer widens it. Default:
            `hidden_dim`.
        num_token_types: Rows of the token type embedding, 0 for none; row 0 is added to every token. Default: 0.
        norm_epsilon: The epsilon of the normalisation. Default: 1e-6.
        dropout: Rate while training. Default: 0.

    Call with `token_ids` int32 `(batch, length)`; returns `(batch, length, hidden_dim)`.
    """

    position = None  # as `TransformerEmbeddings` has one

    def __init__(
        self,
        *,
        vocabulary_size: int,
        hidden_dim: int,
        options: LayerConfig | dict[str, Any],
        token_embedding_dim: int | None = None,
        num_token_types: int = 0,
        norm_epsilon: float = 1e-6,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.options = options if isinstance(options, LayerConfig) else LayerConfig(**options)
        self.token_embedding_dim = token_embedding_dim or hidden_dim
        self.num_token_types = num_token_types
        self.norm_epsilon = norm_epsilon
        self.dropout = dropout
        names = {"dtype": self.dtype_policy}
        self.token = EmbeddingTable(vocabulary_size, self.token_embedding_dim, name="token", **names)
        self.token_type = (
            EmbeddingTable(num_token_types, hidden_dim, name="token_type", **names) if num_token_types else None
        )
        self.projection = (
            keras.layers.Dense(hidden_dim, name="projection", **names)
            if self.token_embedding_dim != hidden_dim
            else None
        )
        self.norm = (
            make_norm(self.options, norm_epsilon, "norm", self.dtype_policy) if self.options.embedding_norm else None
        )
        self.drop = Dropout(dropout, name="drop", **names)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.token.build(input_shape)
        if self.token_type is not None:
            self.token_type.build((None,))
        if self.projection is not None:
            self.projection.build((None, self.token_embedding_dim))
        if self.norm is not None:
            self.norm.build((None, None, self.hidden_dim))

    def call(self, token_ids: Any, training: bool = False) -> Any:
        hidden = self.token(token_ids)  # (batch, length, token_embedding_dim)
        if self.projection is not None:
            flat = self.projection(ops.reshape(hidden, (-1, self.token_embedding_dim)))
            hidden = TextSize(token_ids).reshape(flat, self.hidden_dim)
        if self.options.embedding_scale != 1:
            hidden = hidden * self.options.embedding_scale
        if self.token_type is not None:
            hidden = add(hidden, self.token_type(ops.zeros((1,), dtype="int32")))
        if self.norm is not None:
            hidden = self.norm(hidden)
        return self.drop(hidden, training=training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        names = (
            "vocabulary_size", "hidden_dim", "token_embedding_dim", "num_token_types", "norm_epsilon", "dropout",
        )  # fmt: skip
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own, "options": to_plain(self.options)}
