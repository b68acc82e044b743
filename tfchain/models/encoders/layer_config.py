"""How the layers of newer transformers are built, and how they count positions: plain, frozen values."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.errors import InputError

NormKind = Literal["layer", "rms", "rms_plus_one"]
NormPlace = Literal["post", "pre", "both"]
RotaryScaling = Literal["none", "linear", "ntk", "llama3", "yarn"]


@dataclass(frozen=True, kw_only=True)
class LayerConfig:
    """How the layers of a transformer differ from BERT's, whose own layers need none of this.

    Args:
        norm: `layer` normalisation, `rms` (root mean square, Zhang and Sennrich 2019), or `rms_plus_one`, which
            multiplies by 1 plus its weight, as Gemma does. Default: `layer`.
        norm_place: `post` normalises the sum of a sublayer's input and output, `pre` the sublayer's input, `both` its
            input and its output (Gemma 3). Default: `post`.
        norm_bias: Whether a layer normalisation adds a bias. Default: True.
        first_norm: Whether the first layer normalises the input of its attention. Default: True.
        embedding_norm: Whether the embeddings are normalised. Default: True.
        final_norm: Whether the last layer's output is normalised. Default: False.
        query_key_norm: Whether each head's query and key are normalised. Default: False.
        query_key_value_bias: Whether this product adds a bias. Default: True.
        attention_output_bias: Whether this product adds a bias. Default: True.
        intermediate_bias: Whether this product adds a bias. Default: True.
        output_bias: Whether this product adds a bias. Default: True.
        gate: Which half of the intermediate product is the gate, which goes through the activation and multiplies the
            other half: `first`, `second`, or `none` for a feed-forward network without a gate. Default: `first`.
        queries_per_key: Query heads that share a head of keys and values. Default: 1.
        is_causal: Whether a token attends only to itself and to tokens before it. Default: False.
        window: The largest distance of two tokens that attend to each other in the layers of `local_layers`. Default:
            None, for no limit.
        local_layers: The numbers of the layers with the window. Default: none.
        has_alibi: Whether attention scores fall with the distance of two tokens (ALiBi, Press et al. 2022). Default:
            False.
        attention_scale: The factor of attention scores. Default: 1/√head_dim.
        embedding_scale: The factor of the token embeddings. Default: 1.

    Raises:
        InputError: if a value is out of range.
    """

    norm: NormKind = "layer"
    norm_place: NormPlace = "post"
    norm_bias: bool = True
    first_norm: bool = True
    embedding_norm: bool = True
    final_norm: bool = False
    query_key_norm: bool = False
    query_key_value_bias: bool = True
    attention_output_bias: bool = True
    intermediate_bias: bool = True
    output_bias: bool = True
    gate: Literal["first", "second", "none"] = "first"
    queries_per_key: int = 1
    is_causal: bool = False
    window: int | None = None
    local_layers: tuple[int, ...] = ()
    has_alibi: bool = False
    attention_scale: float | None = None
    embedding_scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "local_layers", tuple(self.local_layers))
        for name, choices in (("norm", NormKind), ("norm_place", NormPlace)):
            _check_choice(name, getattr(self, name), get_args(choices))
        _check_choice("gate", self.gate, ("first", "second", "none"))
        if self.queries_per_key < 1:
            raise InputError(f"`queries_per_key` must be at least 1. Received: {self.queries_per_key}.")
        if self.local_layers and (self.window is None or self.window < 0):
            raise InputError(f"`window` must be at least 0 where layers are local. Received: window={self.window}.")

    def find_window(self, layer: int) -> int | None:
        """Returns the window of a layer; None if it has none."""
        return self.window if layer in self.local_layers else None

    def has_norm(self, layer: int) -> bool:
        """Returns whether a layer has a normalisation at its attention."""
        return self.first_norm or layer > 0

    def keep_layers(self, kept: tuple[int, ...]) -> "LayerConfig":
        """Returns the configuration of a transformer that keeps only some layers, by their numbers in order."""
        local = tuple(number for number, layer in enumerate(kept) if layer in self.local_layers)
        return dataclasses.replace(self, local_layers=local, first_norm=self.has_norm(kept[0]))


@dataclass(frozen=True, kw_only=True)
class RotaryConfig:
    """Rotary positions: a head's features are rotated by angles that grow with the position (Su et al. 2021).

    Args:
        base: The base of the angles' frequencies. Default: 10,000.
        local_base: The base in layers with a window. Default: `base`, with its scaling.
        dim: Features of a head that are rotated, the first ones. Default: all.
        is_interleaved: Whether neighbouring features are rotated together, and not the first half's with the second
            half's. Default: False.
        scaling: How frequencies change for longer texts: `linear`, `ntk` (fixed, as in GTE's multilingual models),
            `llama3` or `yarn` (Peng et al. 2023). Default: `none`.
        factor: By how much longer the texts are. Default: 1.
        original_positions: The maximum length before the scaling; for `llama3` and `yarn`.
        low_frequency_factor: For `llama3`. Default: 1.
        high_frequency_factor: For `llama3`. Default: 4.
        beta_fast: For `yarn`. Default: 32.
        beta_slow: For `yarn`. Default: 1.
        attention_factor: The factor of cosines and sines; for `yarn`. Default: 1.

    Raises:
        InputError: if a value is out of range.
    """

    base: float = 10_000.0
    local_base: float | None = None
    dim: int | None = None
    is_interleaved: bool = False
    scaling: RotaryScaling = "none"
    factor: float = 1.0
    original_positions: int | None = None
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float = 1.0

    def __post_init__(self) -> None:
        _check_choice("scaling", self.scaling, get_args(RotaryScaling))
        if self.base <= 0 or self.factor <= 0 or (self.dim is not None and (self.dim < 2 or self.dim % 2)):
            raise InputError(
                "`base` and `factor` must be above 0, and `dim` a whole multiple of 2. "
                f"Received: base={self.base}, factor={self.factor}, dim={self.dim}."
            )
        if self.scaling in ("llama3", "yarn") and not self.original_positions:
            raise InputError(
                f"`original_positions` must be given for the scaling {self.scaling!r}. "
                f"Received: original_positions={self.original_positions}."
            )


def to_plain(config: Any) -> dict[str, Any]:
    """Returns the values of a dataclass that are not at their default, for JSON."""
    return {
        item.name: list(value) if isinstance(value, tuple) else value
        for item in dataclasses.fields(config)
        if (value := getattr(config, item.name)) != item.default
    }


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"`{name}` must be one of {', '.join(choices)}. Received: {name}={value!r}.", argument=name)
