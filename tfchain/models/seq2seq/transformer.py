"""The sequence-to-sequence transformer as functional Keras models: encoder, teacher-forced decoder, and both in one."""

from typing import Any

import keras

from tfchain.models.encoders.general.layer import GeneralLayer
from tfchain.models.encoders.general.norms import make_norm
from tfchain.models.encoders.transformer import AttentionMask, RelativePositionBias
from tfchain.models.seq2seq.config import Seq2SeqConfig
from tfchain.models.seq2seq.decoder_layer import DecoderLayer
from tfchain.models.seq2seq.embeddings import LogitsBias, SinusoidPositions, TokenTable
from tfchain.models.seq2seq.target_bias import TargetBias
from tfchain.runtime.allocator import start_tensorflow
from tfchain.runtime.random_state import kept_random_state


@keras.saving.register_keras_serializable("tfchain")
class Seq2SeqTransformer(keras.Model):
    """An encoder and a decoder in one Keras model, for training with the right targets given (teacher forcing).

    Args:
        config: The shape, or a dict from `Seq2SeqConfig.to_dict`.
        dtype: Keras' policy, such as `mixed_bfloat16`. Default: `float32`.

    Inputs: a dict of `token_ids` and `padding_mask`, int32 `(batch, source length)`, the mask 1 for a token and 0 for
    padding, and `target_ids`, int32 `(batch, length)`: the targets moved one place to the right, after the decoder's
    start. Output: float32 logits `(batch, length, target vocabulary)` of the token that follows each.

    Attributes:
        config: The `Seq2SeqConfig`.
        encoder: The `keras.Model` from `token_ids` and `padding_mask` to states `(batch, source length, dim)`.
        decoder: The `keras.Model` from `target_ids`, `states` and `padding_mask` to logits.
    """

    def __init__(self, config: Seq2SeqConfig | dict[str, Any], *, dtype: str = "float32", **kwargs: Any) -> None:
        if not isinstance(config, Seq2SeqConfig):
            config = Seq2SeqConfig.from_dict(config)
        start_tensorflow()
        parts = _Parts(config, dtype)
        inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
        target = keras.Input((None,), dtype="int32", name="target_ids")
        given = keras.Input((None, config.hidden_dim), dtype=parts.compute_dtype, name="states")
        states = parts.encode(inputs["token_ids"], inputs["padding_mask"])
        encoder = keras.Model(inputs, states, name="encoder")
        decoder_inputs = {"target_ids": target, "states": given, "padding_mask": inputs["padding_mask"]}
        decoder = keras.Model(decoder_inputs, parts.decode(target, given, inputs["padding_mask"]), name="decoder")
        logits = parts.decode(target, states, inputs["padding_mask"])
        super().__init__(inputs={**inputs, "target_ids": target}, outputs=logits, **kwargs)
        self.config = config
        self.encoder = encoder
        self.decoder = decoder
        self.parts = parts
        self.dtype_policy = keras.dtype_policies.get(dtype)

    def get_config(self) -> dict[str, Any]:
        return {"config": self.config.to_dict(), "name": self.name, "dtype": self.dtype_policy.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Seq2SeqTransformer":
        return cls(**config)


def make_blank_transformer(config: Seq2SeqConfig, *, dtype: str = "float32") -> Seq2SeqTransformer:
    """Makes a transformer for weights that are set next, without using the program's random numbers."""
    with kept_random_state():
        return Seq2SeqTransformer(config, dtype=dtype)


class _Parts:
    """The layers by name, and how they are called: once for each of the three models, and in each step of a decoder.

    Args:
        config: The shape.
        dtype: Keras' policy.
    """

    def __init__(self, config: Seq2SeqConfig, dtype: str) -> None:
        self.config = config
        self.compute_dtype = keras.dtype_policies.get(dtype).compute_dtype
        options: dict[str, Any] = {"dtype": dtype}
        layer = config.layer

        def make_table(size: int, name: str) -> TokenTable:
            made = TokenTable(
                vocabulary_size=size, hidden_dim=config.hidden_dim, scale=config.embedding_scale, name=name, **options
            )
            made.build()
            return made

        has_own = config.target_vocabulary_size is not None
        self.tokens = make_table(config.vocabulary_size, "tokens")
        self.target_tokens = make_table(config.decoder_vocabulary_size, "target_tokens") if has_own else self.tokens
        self.mask = AttentionMask(name="attention_mask", **options)
        self.positions = self.source_bias = None
        if config.positions == "relative":
            self.source_bias = RelativePositionBias(
                config.relative_buckets, config.num_heads, config.relative_distance, name="source_bias", **options
            )
        else:
            self.positions = SinusoidPositions(
                kind=config.positions,
                max_positions=config.max_positions,
                pad_token_id=config.pad_token_id,
                name="positions",
                **options,
            )
        self.target_bias = TargetBias(
            num_buckets=config.relative_buckets if config.positions == "relative" else 0,
            num_heads=config.decoder_heads,
            max_distance=config.relative_distance,
            name="target_bias",
            **options,
        )
        self.drop = keras.layers.Dropout(config.dropout, name="drop", **options)
        common: dict[str, Any] = {
            "hidden_dim": config.hidden_dim,
            "options": layer,
            "activation": config.activation,
            "norm_epsilon": config.norm_epsilon,
            "dropout": config.dropout,
            "attention_dropout": config.attention_dropout,
            **options,
        }
        self.encoder_layers = [
            GeneralLayer(
                num_heads=config.num_heads,
                head_dim=config.width,
                intermediate_dim=config.intermediate_dim,
                name=f"encoder_layer_{number}",
                **common,
            )
            for number in range(config.num_layers)
        ]
        self.decoder_layers = [
            DecoderLayer(
                num_heads=config.decoder_heads,
                head_dim=config.decoder_width,
                intermediate_dim=config.decoder_units,
                name=f"decoder_layer_{number}",
                **common,
            )
            for number in range(config.num_decoder_layers)
        ]
        self.encoder_norm = self.decoder_norm = None
        if config.norm_place == "pre":
            self.encoder_norm = make_norm(layer, config.norm_epsilon, "encoder_norm", dtype)
            self.decoder_norm = make_norm(layer, config.norm_epsilon, "decoder_norm", dtype)
        self.head = (
            keras.layers.Dense(config.decoder_vocabulary_size, use_bias=False, name="head", **options)
            if config.has_own_head
            else None
        )
        self.logits_bias = LogitsBias(name="logits_bias", dtype="float32") if config.has_logits_bias else None
        self.to_float = keras.layers.Activation("linear", name="logits", dtype="float32")

    def encode(self, token_ids: Any, padding_mask: Any) -> Any:
        """Returns the encoder's states, `(batch, length, dim)`."""
        padding = self.mask(padding_mask)
        bias = padding if self.source_bias is None else padding + self.source_bias(token_ids)
        hidden = self.drop(self._embed(self.tokens, token_ids))
        for layer in self.encoder_layers:
            hidden = layer(hidden, {"padding": padding, "bias": bias}, token_ids)
        return hidden if self.encoder_norm is None else self.drop_after(self.encoder_norm(hidden))

    def decode(self, target_ids: Any, states: Any, padding_mask: Any) -> Any:
        """Returns the logits of the token after each of the targets', `(batch, length, vocabulary)`."""
        bias, source_bias = self.target_bias(target_ids), self.mask(padding_mask)
        hidden = self.drop(self._embed(self.target_tokens, target_ids))
        for layer in self.decoder_layers:
            hidden = layer(hidden, states, bias, source_bias)
        if self.decoder_norm is not None:
            hidden = self.drop_after(self.decoder_norm(hidden))
        return self.find_logits(hidden)

    def drop_after(self, hidden: Any) -> Any:
        """Returns T5's dropout of the last norm's output; M2M-100 has none."""
        return self.drop(hidden) if self.config.positions == "relative" else hidden

    def find_logits(self, hidden: Any) -> Any:
        """Returns the scores of all tokens for the decoder's output, float32."""
        hidden = self.scale_output(hidden)
        scores = self.target_tokens(hidden, reverse=True) if self.head is None else self.head(hidden)
        scores = self.to_float(scores)
        return scores if self.logits_bias is None else self.logits_bias(scores)

    def scale_output(self, hidden: Any) -> Any:
        """Returns the decoder's output as the product with the token table takes it."""
        return hidden if self.config.head_scale == 1 else hidden * self.config.head_scale

    def embed_step(self, token_ids: Any, position: Any) -> Any:
        """Returns the decoder's input rows for the tokens `(rows,)` of one position."""
        rows = self.target_tokens(token_ids)
        return rows if self.positions is None else self.positions.at(rows, token_ids, position)

    def _embed(self, table: TokenTable, token_ids: Any) -> Any:
        hidden = table(token_ids)
        return hidden if self.positions is None else self.positions(hidden, token_ids)
