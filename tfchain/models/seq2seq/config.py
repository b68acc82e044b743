"""The configuration of a sequence-to-sequence transformer: plain, frozen values, checked when made and kept as JSON."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.models.encoders.layer_config import LayerConfig

Family = Literal["marian", "m2m_100", "t5", "mt5"]
PositionKind = Literal["marian", "m2m_100", "relative"]
LENGTH_BUCKETS = 128  # tokens from which T5's distances share the last row


@dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig:
    """The shape of an encoder and a decoder with one width, and the tokens by which a text begins and ends.

    Args:
        family: The family of checkpoints, which determines how weights are named on disk.
        vocabulary_size: Rows of the encoder's token embedding; of the decoder's, too, unless
            `target_vocabulary_size` is given.
        hidden_dim: Width of the layers' inputs and outputs.
        num_layers: The encoder's layers.
        num_decoder_layers: The decoder's layers.
        num_heads: Attention heads of an encoder's layer.
        num_decoder_heads: Attention heads of a decoder's layer. Default: `num_heads`.
        intermediate_dim: Width of the encoder's feed-forward networks.
        decoder_intermediate_dim: Width of the decoder's feed-forward networks. Default: `intermediate_dim`.
        head_dim: Width of a head. Default: `hidden_dim / num_heads`, which must then be a whole number.
        target_vocabulary_size: Rows of a token embedding of the decoder's own. Default: encoder and decoder share one.
        has_own_head: Whether the product that makes logits has weights of its own, and not those of the decoder's
            token embedding. Default: False.
        has_logits_bias: Whether a bias is added to the logits (Marian). Default: False.
        head_scale: What the decoder's output is multiplied by before the logits; T5 with shared embeddings has
            `1/√hidden_dim`. Default: 1.
        positions: `marian` and `m2m_100`, sinusoidal tables that differ in the frequencies, the first position and
            padding; `relative`, T5's biases on attention scores. Default: `marian`.
        max_positions: The largest number of tokens of a text, for tables of positions; a limit where there is none.
            Default: 512.
        relative_buckets: Rows of the relative position bias. Default: 32.
        relative_distance: Longer distances share the last row. Default: 128.
        activation: `gelu` is exact, `gelu_new` its tanh approximation. Default: `relu`.
        norm: `layer` or `rms`. Default: `layer`.
        norm_place: `post`, after each sum, or `pre`, before each sublayer, with a norm at the end. Default: `post`.
        is_gated: Whether feed-forward networks have a gate (T5 v1.1, mT5). Default: False.
        has_biases: Whether products have biases. Default: True.
        scales_attention: Whether attention scores are divided by the root of a head's width. Default: True.
        embedding_scale: What token embeddings are multiplied by. Default: 1.
        norm_epsilon: The epsilon of the normalisations. Default: 1e-5.
        dropout: Rate after embeddings, attention and feed-forward networks while training, in [0, 1). Default: 0.1.
        attention_dropout: Rate on the attention weights while training, in [0, 1). Default: 0.
        pad_token_id: The id that pads shorter texts.
        eos_token_id: The id that ends a text.
        decoder_start_token_id: The id from which the decoder starts.

    Raises:
        InputError: if a value is out of range.
    """

    family: Family
    vocabulary_size: int
    hidden_dim: int
    num_layers: int
    num_decoder_layers: int
    num_heads: int
    intermediate_dim: int
    pad_token_id: int
    eos_token_id: int
    decoder_start_token_id: int
    num_decoder_heads: int | None = None
    decoder_intermediate_dim: int | None = None
    head_dim: int | None = None
    target_vocabulary_size: int | None = None
    has_own_head: bool = False
    has_logits_bias: bool = False
    head_scale: float = 1.0
    positions: PositionKind = "marian"
    max_positions: int = 512
    relative_buckets: int = 32
    relative_distance: int = LENGTH_BUCKETS
    activation: str = "relu"
    norm: Literal["layer", "rms"] = "layer"
    norm_place: Literal["pre", "post"] = "post"
    is_gated: bool = False
    has_biases: bool = True
    scales_attention: bool = True
    embedding_scale: float = 1.0
    norm_epsilon: float = 1e-5
    dropout: float = 0.1
    attention_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, choices in (
            ("family", get_args(Family)),
            ("positions", get_args(PositionKind)),
            ("norm", ("layer", "rms")),
            ("norm_place", ("pre", "post")),
            ("activation", ("gelu", "gelu_new", "relu", "silu")),
        ):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"`{name}` must be one of {', '.join(choices)}. Received: {name}={getattr(self, name)!r}.",
                    argument=name,
                )
        self._check_numbers()

    def _check_numbers(self) -> None:
        counts = ("vocabulary_size", "hidden_dim", "num_layers", "num_decoder_layers", "num_heads", "intermediate_dim")
        for name in (*counts, "max_positions"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}.")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"`{name}` must be in [0, 1). Received: {name}={getattr(self, name)!r}.")
        if self.head_dim is None and self.hidden_dim % self.num_heads:
            raise InputError(
                "`num_heads` must divide `hidden_dim`, unless `head_dim` is given. "
                f"Received: num_heads={self.num_heads}, hidden_dim={self.hidden_dim}."
            )
        sizes = {"encoder": self.vocabulary_size, "decoder": self.decoder_vocabulary_size}
        for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id"):
            size = sizes["decoder" if name == "decoder_start_token_id" else "encoder"]
            if not 0 <= getattr(self, name) < size:
                raise InputError(f"`{name}` must be in [0, {size}). Received: {name}={getattr(self, name)}.")

    @property
    def decoder_vocabulary_size(self) -> int:
        """The number of tokens that the decoder chooses from."""
        return self.target_vocabulary_size or self.vocabulary_size

    @property
    def position_limit(self) -> int | None:
        """The most tokens of a text that there are positions for; None where positions are relative."""
        return None if self.positions == "relative" else self.max_positions

    def find_source_length(self, given: int | None) -> int:
        """Returns the most tokens of a source: a given number, or all that there are positions for.

        Raises:
            InputError: if it is no whole number of at least 1, or there are fewer positions.
        """
        if given is None:
            return self.max_positions
        longest = check_whole_number("max_source_length", given)
        if self.position_limit is not None and longest > self.position_limit:
            raise InputError(
                f"`max_source_length` must be at most {self.position_limit}, the model's positions. Received: "
                f"max_source_length={given}.",
                argument="max_source_length",
            )
        return longest

    @property
    def decoder_heads(self) -> int:
        """Attention heads of a decoder's layer."""
        return self.num_decoder_heads or self.num_heads

    @property
    def decoder_units(self) -> int:
        """Width of the decoder's feed-forward networks."""
        return self.decoder_intermediate_dim or self.intermediate_dim

    @property
    def width(self) -> int:
        """Width of a head of the encoder."""
        return self.head_dim or self.hidden_dim // self.num_heads

    @property
    def decoder_width(self) -> int:
        """Width of a head of the decoder."""
        return self.head_dim or self.hidden_dim // self.decoder_heads

    @property
    def layer(self) -> LayerConfig:
        """The options of an encoder's layer."""
        return LayerConfig(
            norm=self.norm,
            norm_place=self.norm_place,
            query_key_value_bias=self.has_biases,
            attention_output_bias=self.has_biases,
            intermediate_bias=self.has_biases,
            output_bias=self.has_biases,
            gate="first" if self.is_gated else "none",
            attention_scale=None if self.scales_attention else 1.0,
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the values that are not at their default, for JSON."""
        return {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if getattr(self, item.name) != item.default
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Seq2SeqConfig":
        """Makes a configuration of what `to_dict` returned.

        Raises:
            InputError: if a value is unknown, missing or out of range.
        """
        known = {item.name for item in dataclasses.fields(cls)}
        unknown = sorted(values.keys() - known)
        if unknown:
            raise InputError(f"A Seq2SeqConfig has no {', '.join(unknown)}. It has {', '.join(sorted(known))}.")
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(f"A Seq2SeqConfig lacks a value: {error}.") from error
