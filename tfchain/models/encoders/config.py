"""The configuration of an encoder: plain, frozen values, checked when made and kept as JSON."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.errors import InputError
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.disentangled_config import DisentangledConfig
from tfchain.models.encoders.layer_config import LayerConfig, RotaryConfig, to_plain
from tfchain.models.encoders.layer_weights import check_layer_weights
from tfchain.models.encoders.token_vectors import TokenVectorConfig

Architecture = Literal[
    "bert", "distilbert", "roberta", "xlm-roberta", "mpnet",
    "albert", "camembert", "electra", "ernie", "static", "deberta-v2", "t5", "t5_gated", "xlm-roberta-xl",
    "modernbert", "qwen3", "nomic_bert", "gte", "gemma3_text", "qwen2", "mistral", "llama", "eurobert", "jina_bert",
    "jina_embeddings_v3",
]  # fmt: skip
Activation = Literal["gelu", "gelu_new", "relu", "silu"]
WidenedPart = Literal["tokens", "sum"]
PairMode = Literal["none", "plain", "typed", "prompted"]
PoolingMode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
HEAD = "head"  # the name of the layer after the vectors, if a task has one
Module = Literal["dense", "normalize", "layer_norm"]
# Written even at their defaults; fields that came later are left out at theirs, which keeps the fingerprints and the
# folders of encoders that do not need them.
FIRST_FIELDS = (
    *("architecture", "vocabulary_size", "hidden_dim", "num_layers", "num_heads", "intermediate_dim", "max_positions"),
    *("head_dim", "token_embedding_dim", "num_token_types", "position_offset", "relative_attention_buckets"),
    *("activation", "norm_epsilon", "dropout", "attention_dropout", "pad_token_id"),
)

GROUPS: dict[str, Any] = {"layer": LayerConfig, "rotary": RotaryConfig, "disentangled": DisentangledConfig}


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The shape of a transformer encoder.

    Without `layer`, its layers are those of BERT and its family, with post-layer normalisation.

    It describes shrunk models too: heads, head width and feed-forward width may differ from layer to layer, and the
    token embedding may be narrower than the layers (a factorised embedding, as in ALBERT).

    Args:
        architecture: The family, which determines how positions are counted and how weights are named on disk. A
            `static` encoder has no layers: it is a table of token vectors (see `blocks/static.py`).
        vocabulary_size: Rows of the token embedding.
        hidden_dim: Width of the layers' input and output.
        num_layers: Number of transformer layers.
        num_heads: Attention heads, as one number for all layers or a number for each layer.
        intermediate_dim: Width of the feed-forward layer, as one number for all layers or a number for each layer.
        max_positions: Rows of the position embedding, including the offset of the RoBERTa family.
        head_dim: Width of a head. Default: `hidden_dim / num_heads`, which must then be a whole number.
        token_embedding_dim: Width of the token embedding. If it is not `hidden_dim`, a Dense layer widens it.
            Default: `hidden_dim`.
        widened: What that Dense layer widens: `tokens`, the token embedding before positions are added; `sum`, the
            normalised sum of tokens, positions and token types, all as narrow (ALBERT, ELECTRA). Default: `tokens`.
        num_shared_layers: Layers with weights of their own, which several layers in a row share (ALBERT). Default: all.
        num_token_types: Rows of the token type embedding, 0 for none. Token type 0 is added to every token.
        position_offset: The position of the first token; RoBERTa, XLM-RoBERTa and MPNet start after the padding id.
        relative_attention_buckets: Rows of the relative position bias of MPNet and T5, 0 for none.
        activation: The activation of the feed-forward layer. `gelu` is exact, `gelu_new` its tanh approximation.
        norm_epsilon: The epsilon of the layer normalisations.
        dropout: Rate after embeddings, attention and feed-forward layers while training, in [0, 1).
        attention_dropout: Rate on the attention weights while training, in [0, 1).
        pad_token_id: The id that pads shorter texts.
        layer: How the layers differ from BERT's, as a `LayerConfig` or its plain values. Default: they do not.
        rotary: Rotary positions, as a `RotaryConfig` or its plain values, in place of a position embedding. Default:
            none.
        pairs: Whether a text is a pair of texts, as a cross-encoder reads it (`tokenizers.pairs`): `none`, `plain`,
            `typed`, with token type 1 for the second; its tokens then have the ids `vocabulary_size + id`, or
            `prompted`, in the texts of `pair_prompt`. Default: `none`.
        pair_prompt: For `prompted`, the texts before the first text of a pair, between both, and after the second.
            Default: none.
        relative_attention_distance: Longer distances share the last row of the relative position bias. Default: 128.
        disentangled: Disentangled attention, as a `DisentangledConfig` or its plain values, for DeBERTa. Default: none.
        has_token_flags: Whether ids say how a token counts, as `tokenizers.late` raises them. Default: False.
        layer_weights: For an output that is a weighted mean over layers, the weights of the embeddings' output and of
            each layer's, in float32; training does not change them. Default: none; the output is the last layer's.

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
    widened: WidenedPart = "tokens"
    num_shared_layers: int | None = None
    layer: LayerConfig | None = None
    rotary: RotaryConfig | None = None
    pairs: PairMode = "none"
    pair_prompt: tuple[str, str, str] | None = None
    relative_attention_distance: int = 128
    disentangled: DisentangledConfig | None = None
    has_token_flags: bool = False
    layer_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self._read_groups()
        for name in ("num_heads", "intermediate_dim"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
            self._check_layer_values(name)
        for name, choices in (
            ("architecture", Architecture),
            ("activation", Activation),
            ("widened", WidenedPart),
            ("pairs", PairMode),
        ):
            if getattr(self, name) not in get_args(choices):
                raise InputError(
                    f"`{name}` must be one of {', '.join(get_args(choices))}. "
                    f"Received: {name}={getattr(self, name)!r}.",
                    argument=name,
                )
        for name in ("vocabulary_size", "hidden_dim", "num_layers", "max_positions"):
            least = 0 if name == "num_layers" and self.is_static else 1
            if getattr(self, name) < least:
                raise InputError(
                    f"`{name}` must be at least {least}. Received: {name}={getattr(self, name)!r}.", argument=name
                )
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(
                    f"`{name}` must be in [0, 1). Received: {name}={getattr(self, name)!r}.", argument=name
                )
        weights = check_layer_weights(self.layer_weights, 0 if self.is_static else self.num_layers)
        object.__setattr__(self, "layer_weights", weights)
        self._check_parts()
        self._check_heads()

    def _check_parts(self) -> None:
        if self.num_shared_layers is not None and not 1 <= self.num_shared_layers <= self.num_layers:
            raise InputError(
                f"`num_shared_layers` must be from 1 to the number of layers, {self.num_layers}. "
                f"Received: num_shared_layers={self.num_shared_layers!r}.",
                argument="num_shared_layers",
            )
        if self.pair_prompt is not None:
            object.__setattr__(self, "pair_prompt", tuple(self.pair_prompt))
        if (self.pairs == "prompted") != (self.pair_prompt is not None and len(self.pair_prompt) == 3):
            raise InputError(
                "`pair_prompt` must be three texts for pairs='prompted', and None otherwise. "
                f"Received: pairs={self.pairs!r}, pair_prompt={self.pair_prompt!r:.80}.",
                argument="pair_prompt",
            )
        if self.pairs == "typed" and self.num_token_types < 2:
            raise InputError(
                "`pairs` can be 'typed' for a model with two token types or more. "
                f"Received: num_token_types={self.num_token_types}. Use 'plain'.",
                argument="pairs",
            )

    def _check_heads(self) -> None:
        if self.head_dim is None and any(self.hidden_dim % heads for heads in self.layer_heads):
            raise InputError(
                "`hidden_dim` must be a multiple of `num_heads` if `head_dim` is not given. "
                f"Received: hidden_dim={self.hidden_dim}, num_heads={self.num_heads}. Give `head_dim`.",
                argument="hidden_dim",
            )
        self._check_shared_keys()
        self._check_positions()

    def _read_groups(self) -> None:
        """Makes the groups of values that are given as plain values."""
        for name, kind in GROUPS.items():
            if isinstance(getattr(self, name), Mapping):
                object.__setattr__(self, name, kind(**getattr(self, name)))

        if (self.architecture == "deberta-v2") != (self.disentangled is not None):
            raise InputError(
                "`disentangled` must be given for the architecture 'deberta-v2', and only there. "
                f"Received: architecture={self.architecture!r}, disentangled={self.disentangled!r}.",
                argument="disentangled",
            )

    def _check_shared_keys(self) -> None:
        shared = 1 if self.layer is None else self.layer.queries_per_key
        if any(heads % shared for heads in self.layer_heads):
            raise InputError(
                "`num_heads` must be a multiple of the query heads that share a head of keys and values, "
                f"{shared}. Received: num_heads={self.num_heads}.",
                argument="num_heads",
            )

    def _check_positions(self) -> None:
        """Checks what all layers share: the angles of rotary positions, or ALiBi's slopes."""
        has_alibi = self.layer is not None and self.layer.has_alibi
        if self.rotary is None and not has_alibi:
            return
        widths = {self.layer_head_dim(layer) for layer in range(self.num_layers)}
        if len(widths) > 1 or (has_alibi and len(set(self.layer_heads)) > 1):
            raise InputError(
                "Rotary positions and ALiBi need heads that are the same in all layers. "
                f"Received: num_heads={self.num_heads}, head_dim={self.head_dim}. Give one number of heads, or "
                "`head_dim`.",
                argument="num_heads",
            )
        dim, width = (None if self.rotary is None else self.rotary.dim), widths.pop()
        if self.rotary is not None and ((dim or width) % 2 or (dim or 0) > width):
            raise InputError(
                f"Rotary positions turn an even number of features, at most a head's {width}. "
                f"Received: {dim or width}. Give another `head_dim`, or `dim` of `rotary`."
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
    def is_static(self) -> bool:
        """Whether the encoder is a table of token vectors, without layers."""
        return self.architecture == "static"

    @property
    def num_distinct_layers(self) -> int:
        """Layers with weights of their own; `find_distinct_layer` says which layer has which."""
        return self.num_layers if self.num_shared_layers is None else self.num_shared_layers

    def find_distinct_layer(self, layer: int) -> int:
        """Returns whose weights a layer computes with, counted among the layers with weights of their own."""
        return layer * self.num_distinct_layers // self.num_layers

    @property
    def max_length(self) -> int:
        """The maximum number of tokens in a text, special tokens included."""
        return self.max_positions - self.position_offset

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON, which the constructor takes; later fields at their default are left out."""
        defaults = {item.name: item.default for item in dataclasses.fields(self)}
        values = {
            name: getattr(self, name)
            for name in defaults
            if name in FIRST_FIELDS or getattr(self, name) != defaults[name]
        }
        return {
            name: to_plain(value) if isinstance(value, LayerConfig | RotaryConfig | DisentangledConfig) else value
            for name, value in values.items()
        }

    @property
    def given_token_types(self) -> int:
        """How many token types a text's ids tell apart: those of a pair's two texts, or 1."""
        return 2 if self.pairs == "typed" else 1


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
class EncoderConfig:
    """A whole text encoder: transformer, pooling, dense modules, normalisation, and a task's head if it has one.

    Args:
        transformer: The transformer's shape.
        pooling: How token vectors are pooled. Default: their mean.
        dense: Dense modules after the pooling, in order. Default: none.
        normalize: Whether vectors are scaled to length one. Default: False.
        head: A Dense module after the normalisation that computes a task's output from a vector, such as a score for
            each label. Default: none; the output is the vector.
        order: The order of dense modules and normalisations after the pooling, such as `("normalize", "dense")`, with
            `layer_norm` for a layer normalisation of the vectors. Default: the dense modules, then the normalisation.
        tokens: A vector for each token in the place of the pooled one, as a `TokenVectorConfig` or its plain values;
            dense modules and normalisations are then of these: late interaction, and, for pairs, the logits of a reader
            that marks where an answer starts and ends. Default: none; a text has one vector.
    """

    transformer: TransformerConfig
    pooling: PoolingConfig = dataclasses.field(default_factory=PoolingConfig)
    dense: tuple[DenseConfig, ...] = ()
    normalize: bool = False
    head: DenseConfig | None = None
    order: tuple[Module, ...] = ()
    tokens: TokenVectorConfig | None = None

    def __post_init__(self) -> None:
        self._check_tokens()
        order = tuple(self.order)
        if order and (
            order.count("dense") != len(self.dense)
            or ("normalize" in order) != self.normalize
            or not set(order) <= set(get_args(Module))
        ):
            raise InputError(
                f"`order` must name each of the {len(self.dense)} dense modules, and a normalisation if there is one. "
                f"Received: order={order!r}, normalize={self.normalize}.",
                argument="order",
            )
        object.__setattr__(self, "order", () if order == self._usual_order else order)
        if self.head is not None and self.head.in_dim != self.vector_dim:
            raise InputError(
                f"`head` must take vectors of the encoder's width, {self.vector_dim}. "
                f"Received: head.in_dim={self.head.in_dim}."
            )

    def _check_tokens(self) -> None:
        given: Any = self.tokens
        if isinstance(given, Mapping):
            object.__setattr__(self, "tokens", TokenVectorConfig(**given))
        has_flags, has_pairs = self.transformer.has_token_flags, self.transformer.pairs in ("plain", "typed")
        if (self.tokens is None and has_flags) or (self.tokens and (has_flags == has_pairs or self.head)):
            raise InputError(
                "`tokens` must be given for a transformer with `has_token_flags`, may be given for one of pairs, and "
                f"only there, without a head. Received: tokens={self.tokens!r:.80}, head={self.head!r}."
            )

    @property
    def embedding_dim(self) -> int:
        """Width of the output: the head's if there is a head, else the vectors', of all tokens."""
        if self.tokens is not None:
            return self.tokens.num_vectors * self.vector_dim
        return self.vector_dim if self.head is None else self.head.out_dim

    @property
    def vector_dim(self) -> int:
        """Width of a vector, before the head."""
        if self.dense:
            return self.dense[-1].out_dim
        return self.transformer.hidden_dim * len(self.pooling.modes)

    @property
    def module_order(self) -> tuple[Module, ...]:
        """The dense modules and normalisations after the pooling, in order."""
        return self.order or self._usual_order

    @property
    def _usual_order(self) -> tuple[Module, ...]:
        order: list[Module] = ["dense"] * len(self.dense)
        return tuple([*order, "normalize"] if self.normalize else order)

    def with_dense(self, dense: DenseConfig) -> "EncoderConfig":
        """Returns a configuration with one more dense module: the last, but before a normalisation at the end."""
        return dataclasses.replace(self, dense=(*self.dense, dense), order=insert_dense(self.module_order))

    def with_normalize(self) -> "EncoderConfig":
        """Returns a configuration whose vectors have length one."""
        order = self.module_order
        if order[-1:] == ("normalize",):
            return self
        return dataclasses.replace(self, normalize=True, order=(*order, "normalize"))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; `from_dict` reads them."""
        values = {**dataclasses.asdict(self), "transformer": self.transformer.to_dict()}
        values["dense"] = tuple(dense.to_dict() for dense in self.dense)
        values["head"] = None if self.head is None else self.head.to_dict()
        if not self.order:
            del values["order"]  # keeps the fingerprints of encoders with the usual order
        if self.head is None:
            del values["head"]  # keeps the fingerprints of encoders without a head
        if self.tokens is None:
            del values["tokens"]
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
            order=tuple(values.get("order", ())),
            tokens=values.get("tokens"),
        )


def insert_dense(order: tuple[Module, ...]) -> tuple[Module, ...]:
    """Returns an order with one more dense module at the end, before a normalisation there."""
    ends = order[-1:] == ("normalize",)
    return (*order[:-1], "dense", "normalize") if ends else (*order, "dense")
