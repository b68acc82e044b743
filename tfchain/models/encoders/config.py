"""The configuration of an encoder: plain, frozen values, checked when made and kept as JSON."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.errors import InputError

Architecture = Literal["bert", "distilbert", "roberta", "xlm-roberta", "mpnet"]
Activation = Literal["gelu", "gelu_new", "relu", "silu"]
PoolingMode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
HEAD = "head"  # the name of the layer after the vectors, if a task has one


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The shape of a transformer encoder with post-layer normalisation (BERT and its family).

    It describes shrunk models too: heads, head width and feed-forward width may differ from layer to layer, and the
    token embedding may be narrower than the layers (a factorised embedding, as in ALBERT).

    Args:
        architecture: The family, which determines how positions are counted and how weights are named on disk.
        vocabulary_size: Rows of the token embedding.
        hidden_dim: Width of the layers' input and output.
        num_layers: Number of transformer layers.
        num_heads: Attention heads, as one number for all layers or a number for each layer.
        intermediate_dim: Width of the feed-forward layer, as one number for all layers or a number for each layer.
        max_positions: Rows of the position embedding, including the offset of the RoBERTa family.
        head_dim: Width of a head. Default: `hidden_dim / num_heads`, which must then be a whole number.
        token_embedding_dim: Width of the token embedding. If it is not `hidden_dim`, a Dense layer widens it.
            Default: `hidden_dim`.
        num_token_types: Rows of the token type embedding, 0 for none. Token type 0 is added to every token.
        position_offset: The position of the first token; RoBERTa, XLM-RoBERTa and MPNet start after the padding id.
        relative_attention_buckets: Rows of MPNet's relative position bias, 0 for none.
        activation: The activation of the feed-forward layer. `gelu` is exact, `gelu_new` its tanh approximation.
        norm_epsilon: The epsilon of the layer normalisations.
        dropout: Rate after embeddings, attention and feed-forward layers while training, in [0, 1).
        attention_dropout: Rate on the attention weights while training, in [0, 1).
        pad_token_id: The id that pads shorter texts.

    Raises:
        InputError: if a value is out of range, or the number of values is not the number of layers.
    """

    architecture: Architecture
    vocabulary_size: int
    hidden_dim: int
    num_layers: int
    num_heads: int | tuple[int, ...]
    intermediate_dim: int | tuple[int, ...]
    max_positions: int
    head_dim: int | None = None
    token_embedding_dim: int | None = None
    num_token_types: int = 0
    position_offset: int = 0
    relative_attention_buckets: int = 0
    activation: Activation = "gelu"
    norm_epsilon: float = 1e-12
    dropout: float = 0.1
    attention_dropout: float = 0.1
    pad_token_id: int = 0

    def __post_init__(self) -> None:
        for name in ("num_heads", "intermediate_dim"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
            self._check_layer_values(name)
        for name, choices in (("architecture", Architecture), ("activation", Activation)):
            if getattr(self, name) not in get_args(choices):
                raise InputError(
                    f"`{name}` must be one of {', '.join(get_args(choices))}. "
                    f"Received: {name}={getattr(self, name)!r}.",
                    argument=name,
                )
        for name in ("vocabulary_size", "hidden_dim", "num_layers", "max_positions"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"`{name}` must be at least 1. Received: {name}={getattr(self, name)!r}.", argument=name
                )
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(
                    f"`{name}` must be in [0, 1). Received: {name}={getattr(self, name)!r}.", argument=name
                )
        if self.head_dim is None and any(self.hidden_dim % heads for heads in self.layer_heads):
            raise InputError(
                "`hidden_dim` must be a multiple of `num_heads` if `head_dim` is not given. "
                f"Received: hidden_dim={self.hidden_dim}, num_heads={self.num_heads}. Give `head_dim`.",
                argument="hidden_dim",
            )

    def _check_layer_values(self, name: str) -> None:
        value = getattr(self, name)
        if isinstance(value, tuple) and len(value) != self.num_layers:
            raise InputError(
                f"`{name}` must be one number, or a number for each layer. "
                f"Received: {len(value)} numbers for num_layers={self.num_layers}.",
                argument=name,
            )
        if min(value if isinstance(value, tuple) else (value,)) < 1:
            raise InputError(f"`{name}` must be at least 1. Received: {name}={value!r}.", argument=name)

    @property
    def layer_heads(self) -> tuple[int, ...]:
        """Attention heads of each layer."""
        return self.num_heads if isinstance(self.num_heads, tuple) else (self.num_heads,) * self.num_layers

    @property
    def layer_intermediate_dims(self) -> tuple[int, ...]:
        """Feed-forward width of each layer."""
        width = self.intermediate_dim
        return width if isinstance(width, tuple) else (width,) * self.num_layers

    def layer_head_dim(self, layer: int) -> int:
        """Returns the width of a head in a layer."""
        return self.head_dim if self.head_dim is not None else self.hidden_dim // self.layer_heads[layer]

    @property
    def max_length(self) -> int:
        """The maximum number of tokens in a text, special tokens included."""
        return self.max_positions - self.position_offset


@dataclass(frozen=True, kw_only=True)
class PoolingConfig:
    """How token vectors are pooled into one vector, as in sentence-transformers' Pooling module.

    Args:
        modes: One mode or several, of which the results are concatenated in sentence-transformers' order: `cls` (the
            first token), `max`, `mean`, `mean_sqrt_len_tokens`, `weightedmean` (later tokens weigh more), `lasttoken`.
        include_prompt: Whether the tokens of a prompt are pooled. Default: True.
    """

    modes: tuple[PoolingMode, ...] = ("mean",)
    include_prompt: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", tuple(self.modes))
        unknown = [mode for mode in self.modes if mode not in get_args(PoolingMode)]
        if unknown or not self.modes:
            raise InputError(
                f"`modes` must name at least one of {', '.join(get_args(PoolingMode))}. "
                f"Received: modes={self.modes!r}.",
                argument="modes",
            )


@dataclass(frozen=True, kw_only=True)
class DenseConfig:
    """A Dense module after the pooling.

    Args:
        in_dim: Width of the input.
        out_dim: Width of the output.
        use_bias: Whether a bias is added. Default: True.
        activation: `tanh`, `linear`, `relu`, `gelu` or `sigmoid`. Default: `tanh`, as in sentence-transformers.
    """

    in_dim: int
    out_dim: int
    use_bias: bool = True
    activation: Literal["tanh", "linear", "relu", "gelu", "sigmoid"] = "tanh"


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """A whole text encoder: transformer, pooling, dense modules, normalisation, and a task's head if it has one.

    Args:
        transformer: The transformer's shape.
        pooling: How token vectors are pooled. Default: their mean.
        dense: Dense modules after the pooling, in order. Default: none.
        normalize: Whether vectors are scaled to length one. Default: False.
        head: A Dense module after the normalisation that computes a task's output from a vector, such as a score for
            each label. Default: none; the output is the vector.
    """

    transformer: TransformerConfig
    pooling: PoolingConfig = dataclasses.field(default_factory=PoolingConfig)
    dense: tuple[DenseConfig, ...] = ()
    normalize: bool = False
    head: DenseConfig | None = None

    def __post_init__(self) -> None:
        if self.head is not None and self.head.in_dim != self.vector_dim:
            raise InputError(
                f"`head` must take vectors of the encoder's width, {self.vector_dim}. "
                f"Received: head.in_dim={self.head.in_dim}."
            )

    @property
    def embedding_dim(self) -> int:
        """Width of the output: the head's if there is a head, else the vectors'."""
        return self.vector_dim if self.head is None else self.head.out_dim

    @property
    def vector_dim(self) -> int:
        """Width of the vectors, before the head."""
        if self.dense:
            return self.dense[-1].out_dim
        return self.transformer.hidden_dim * len(self.pooling.modes)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; `from_dict` reads them."""
        values = dataclasses.asdict(self)
        if self.head is None:
            del values["head"]  # keeps the fingerprints of encoders without a head
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "EncoderConfig":
        """Reads what `to_dict` wrote."""
        return cls(
            transformer=TransformerConfig(**values["transformer"]),
            pooling=PoolingConfig(**values["pooling"]),
            dense=tuple(DenseConfig(**dense) for dense in values["dense"]),
            normalize=values["normalize"],
            head=DenseConfig(**values["head"]) if values.get("head") else None,
        )
