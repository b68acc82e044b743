"""The shapes of a model of images and texts: plain, frozen values, checked when they are made."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tfchain.core.errors import InputError
from tfchain.data.pictures.pixels import MAX_SIDE

Activation = Literal["quick_gelu", "gelu", "gelu_tanh"]
ImagePooling = Literal["class", "attention"]
TextPooling = Literal["eos", "last", "first"]
Family = Literal["clip", "siglip", "chinese_clip"]


@dataclass(frozen=True, kw_only=True)
class LayersConfig:
    """The layers of a tower.

    Args:
        hidden_dim: The width of the vectors between layers.
        num_layers: The number of layers.
        num_heads: The attention heads of a layer.
        intermediate_dim: The width of the feed-forward network.
        activation: Its activation. Default: `quick_gelu`.
        norm_epsilon: Added to the variance in normalisations. Default: 1e-5.
        norm_place: `pre` normalises a sublayer's input, `post` (BERT) the sum of its input and output. Default: `pre`.
        dropout: The rate of dropouts in training. Default: 0.

    Raises:
        InputError: if a value is out of range.
    """

    hidden_dim: int
    num_layers: int
    num_heads: int
    intermediate_dim: int
    activation: Activation = "quick_gelu"
    norm_epsilon: float = 1e-5
    norm_place: Literal["pre", "post"] = "pre"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("hidden_dim", "num_layers", "num_heads", "intermediate_dim"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1. Received: {name}={getattr(self, name)}.")
        if self.hidden_dim % self.num_heads:
            raise InputError(
                "`hidden_dim` must be a multiple of `num_heads`. "
                f"Received: hidden_dim={self.hidden_dim}, num_heads={self.num_heads}."
            )
        _check_choice("activation", self.activation, get_args(Activation))
        _check_choice("norm_place", self.norm_place, ("pre", "post"))


@dataclass(frozen=True, kw_only=True)
class ImageTowerConfig:
    """The tower of images, a vision transformer (Dosovitskiy et al. 2021).

    Args:
        layers: Its layers.
        image_size: The side of the square picture that it takes, in pixels.
        patch_size: The side of a patch, in pixels.
        pooling: `class` takes the vector of a class token (CLIP), `attention` pools all patches by an attention head
            with a learned query (SigLIP). Default: `class`.

    Raises:
        InputError: if a value is out of range.
    """

    layers: LayersConfig
    image_size: int = 224
    patch_size: int = 32
    pooling: ImagePooling = "class"

    def __post_init__(self) -> None:
        _check_choice("pooling", self.pooling, get_args(ImagePooling))
        if not 1 <= self.patch_size <= self.image_size:
            raise InputError(
                "`patch_size` must be from 1 to `image_size`. "
                f"Received: patch_size={self.patch_size}, image_size={self.image_size}."
            )

    @property
    def num_patches(self) -> int:
        """The number of patches of a picture; pixels beyond the last whole patch are not read."""
        side = self.image_size // self.patch_size
        return side * side


@dataclass(frozen=True, kw_only=True)
class TextTowerConfig:
    """The tower of texts.

    Args:
        layers: Its layers.
        vocabulary_size: The number of tokens.
        max_length: The number of positions, the most tokens of a text.
        pooling: The token whose vector stands for the text: the first `eos`, the `last`, or the `first`. Default:
            `eos`.
        eos_id: The id of the token at the end of a text; None for the largest id of a text, as in CLIP's first
            checkpoints. Default: None.
        is_causal: Whether a token attends only to itself and to tokens before it (CLIP). Default: True.
        pads_to_length: Whether texts are padded to `max_length` and padding is attended to (SigLIP). Default: False.
        has_token_types: Whether there are embeddings of token types, and a normalisation of embeddings instead of a
            last one (BERT). Default: False.

    Raises:
        InputError: if a value is out of range.
    """

    layers: LayersConfig
    vocabulary_size: int
    max_length: int = 77
    pooling: TextPooling = "eos"
    eos_id: int | None = None
    is_causal: bool = True
    pads_to_length: bool = False
    has_token_types: bool = False

    def __post_init__(self) -> None:
        _check_choice("pooling", self.pooling, get_args(TextPooling))
        for name in ("vocabulary_size", "max_length"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1. Received: {name}={getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True)
class ImageTextConfig:
    """A model of images and texts.

    Args:
        family: Whose files it is read from and written as: `clip`, `siglip` or `chinese_clip`.
        image: The tower of images.
        text: The tower of texts.
        embedding_dim: The width of the vectors that are compared.

    Raises:
        InputError: if a value is out of range.
    """

    family: Family
    image: ImageTowerConfig
    text: TextTowerConfig
    embedding_dim: int

    def __post_init__(self) -> None:
        _check_choice("family", self.family, get_args(Family))
        if self.family == "siglip" and self.embedding_dim != self.image.layers.hidden_dim:
            raise InputError(
                "SigLIP's tower of images has no projection: `embedding_dim` must be its width, "
                f"{self.image.layers.hidden_dim}. Received: embedding_dim={self.embedding_dim}."
            )

    @property
    def has_logit_bias(self) -> bool:
        """Whether the model has learned a bias beside the temperature, for the sigmoid loss."""
        return self.family == "siglip"

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ImageTextConfig":
        """Makes the configuration that `to_dict` described."""
        image, text = dict(values["image"]), dict(values["text"])
        return cls(
            family=values["family"],
            image=ImageTowerConfig(**{**image, "layers": LayersConfig(**image["layers"])}),
            text=TextTowerConfig(**{**text, "layers": LayersConfig(**text["layers"])}),
            embedding_dim=values["embedding_dim"],
        )


@dataclass(frozen=True, kw_only=True)
class PictureConfig:
    """How pictures become a model's input, as `preprocessor_config.json` says it.

    Args:
        size: The resized picture: `(height, width)`, or the length of its shorter side, whose proportions stay.
        resample: The filter, by PIL's number: 1 (Lanczos), 2 (bilinear), 3 (bicubic), 4 (box), 5 (Hamming). Default: 3.
        crop: `(height, width)` that are cut out of the middle. Default: None, nothing is cut.
        scale: The factor of a pixel's 8 bits. Default: 1/255.
        mean: Subtracted from the scaled channels. Default: 0.
        std: Their divisor after that. Default: 1.

    Raises:
        InputError: if a value is out of range.
    """

    size: int | tuple[int, int]
    resample: int = 3
    crop: tuple[int, int] | None = None
    scale: float = 1 / 255
    mean: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0))
    std: tuple[float, float, float] = field(default=(1.0, 1.0, 1.0))

    def __post_init__(self) -> None:
        for name in ("crop", "mean", "std"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))
        if not isinstance(self.size, int):
            object.__setattr__(self, "size", tuple(self.size))
        if self.resample not in (1, 2, 3, 4, 5):
            raise InputError(
                "`resample` must be a filter of PIL: 1 (Lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (Hamming). "
                f"Received: resample={self.resample!r}."
            )
        if len(self.mean) != 3 or len(self.std) != 3 or 0 in self.std:
            raise InputError(
                "`mean` and `std` must be three numbers each, `std` without 0. "
                f"Received: mean={self.mean}, std={self.std}."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the model's input.

        Raises:
            InputError: if pictures keep their proportions and nothing is cut.
        """
        if self.crop is not None:
            return self.crop
        if isinstance(self.size, int):
            raise InputError(
                "Pictures of one size need a `crop`, or a `size` of height and width. "
                f"Received: size={self.size}, crop=None."
            )
        return self.size

    def find_resized(self, height: int, width: int, *, place: str = "image") -> tuple[int, int]:
        """Returns the height and width of the resized picture.

        Args:
            height: The picture's height.
            width: Its width.
            place: What errors call it. Default: `image`.

        Raises:
            InputError: if its longer side has more than 65,535 pixels.
        """
        if not isinstance(self.size, int):
            return self.size
        longer = int(self.size * max(height, width) / min(height, width))
        if longer > MAX_SIDE:
            raise InputError(
                f"{place}: a resized picture must have at most {MAX_SIDE:,} pixels a side. Received: {width:,} x "
                f"{height:,} pixels, resized to {longer:,} x {self.size:,}. Cut it into parts, or leave it out."
            )
        return (longer, self.size) if width <= height else (self.size, longer)


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"`{name}` must be one of {', '.join(choices)}. Received: {name}={value!r}.", argument=name)
