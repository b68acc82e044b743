"""Recipes: the plain values that describe one compression each."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError

QuantizedPrecision = Literal["int8", "float16", "bfloat16"]
Distance = Literal["cosine", "l2", "mse"]


@dataclass(frozen=True, kw_only=True)
class Shrink:
    """Makes the encoder smaller in shape: fewer layers, heads and feed-forward units, a narrower token embedding.

    This is what makes a model faster everywhere, and it costs ranking until a training has mended it: follow it by
    `Distill`, or by `fit`. Which heads and units go is found on texts: those whose part of their layer's output has the
    least mean square go first (activation times weight, as in Wanda; Sun et al. 2023, https://arxiv.org/abs/2306.11695,
    for whole structures), and the kept ones take over what they can of the others by least squares. The layers kept are
    spread evenly, the first and the last among them (as in DistilBERT; Sanh et al. 2019).

    Args:
        layers: How many layers are kept, or which, counted from 0. Default: all.
        num_heads: Attention heads kept in each layer. Default: all.
        intermediate_dim: Feed-forward units kept in each layer. Default: all.
        token_embedding_dim: Width of a factorised token embedding: the principal components of the table, weighted by
            how often the tokens occur in the texts, and a product that widens them. Default: as it is.

    Raises:
        InputError: if nothing is given, or a value is out of range.
    """

    layers: int | tuple[int, ...] | None = None
    num_heads: int | None = None
    intermediate_dim: int | None = None
    token_embedding_dim: int | None = None

    def __post_init__(self) -> None:
        values = dataclasses.asdict(self)
        if all(value is None for value in values.values()):
            raise InputError(f"Shrink must be told what to make smaller. Received: none of {', '.join(values)}.")
        if isinstance(self.layers, list | tuple):
            chosen = tuple(check_whole_number("layers", one, least=0) for one in self.layers)
            if not chosen or list(chosen) != sorted(set(chosen)):
                raise InputError(
                    "`layers` must name at least one layer, each once and in rising order. "
                    f"Received: layers={self.layers!r}."
                )
            object.__setattr__(self, "layers", chosen)
            values.pop("layers")
        for name, value in values.items():
            if value is not None:
                object.__setattr__(self, name, check_whole_number(name, value))

    @property
    def label(self) -> str:
        """Its name in a report."""
        given = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return f"shrink({', '.join(f'{name}={value}' for name, value in given.items())})"


@dataclass(frozen=True, kw_only=True)
class Distill:
    """Trains the model to give the vectors that the model before all recipes gives, on plain texts.

    Any texts of the kind that the model is for will do, the more the better; nothing need be judged.

    Args:
        epochs: Passes over the texts. Default: 1.
        batch_size: Texts in a step. Default: 32.
        learning_rate: The largest. Default: 2e-4, ten times that of training on pairs: vectors are a strong signal.
        distance: Between the two vectors: see `training.losses.EmbedDistill`. Default: `cosine`.
        seed: Of order and dropout. Default: 0.

    Raises:
        InputError: if a value is out of range.
    """

    epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 2e-4
    distance: Distance = "cosine"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            object.__setattr__(self, name, check_whole_number(name, getattr(self, name), least=least))
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise InputError(f"`learning_rate` must be above 0 and at most 1. Received: learning_rate={rate!r}.")
        if self.distance not in get_args(Distance):
            raise InputError(
                f"`distance` must be one of {', '.join(get_args(Distance))}. Received: distance={self.distance!r}."
            )

    @property
    def label(self) -> str:
        """Its name in a report."""
        return "distill"


@dataclass(frozen=True)
class Quantize:
    """Computes vectors with smaller numbers after training; the float weights stay, and a second `fit` trains them.

    On a CPU `int8` is the smallest and fastest: LiteRT with weights of 8 bits, activations quantized as they come (it
    needs VNNI or the like to be fast). `bfloat16` stays in TensorFlow, so a version for stock TensorFlow Serving
    computes in it, too; it needs a processor with products in bfloat16 to be fast. `float16` halves the weights of
    LiteRT's model and computes as float32 does.

    Args:
        precision: `int8`, `float16` or `bfloat16`.

    Raises:
        InputError: if it is another one.
    """

    precision: QuantizedPrecision

    def __post_init__(self) -> None:
        known = get_args(QuantizedPrecision)
        if not isinstance(self.precision, str) or self.precision not in known:
            raise InputError(
                f"`precision` of Quantize must be one of {', '.join(known)}. Received: precision={self.precision!r}."
            )

    @property
    def label(self) -> str:
        """Its name in a report."""
        return self.precision


Recipe = Shrink | Distill | Quantize
ORDER = (Shrink, Distill, Quantize)
ORDER_REASON = (
    "Shape comes first, then training, which mends what shrinking cost, then numbers, which training must not meet"
)


def check_recipes(recipes: Any) -> tuple[Recipe, ...]:
    """One candidate's recipes, in the order of their application.

    Args:
        recipes: A recipe, or a list of them.

    Raises:
        InputError: if there is none, something is no recipe, or they do not go together.
    """
    listed = [recipes] if isinstance(recipes, Recipe) else recipes
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise InputError(
            f"`recipes` must be a list of recipes, such as [Quantize('int8')]. Received: {recipes!r:.100} of type "
            f"{type(recipes).__name__}."
        )
    if not listed:
        raise InputError("`recipes` must name at least one recipe. Received: an empty list. Try [Quantize('int8')].")
    for number, one in enumerate(listed):
        if not isinstance(one, Recipe):
            what = f"the class {one.__name__}, not a value of it" if isinstance(one, type) else f"{one!r:.100}"
            names = ", ".join(kind.__name__ for kind in ORDER)
            raise InputError(
                f"Each recipe must be one of {names}. Received: {what} at place {number}. Write Quantize('int8')."
            )
    for kind in ORDER:
        same = [one for one in listed if isinstance(one, kind)]
        if len(same) > 1:
            raise InputError(
                f"{kind.__name__} comes once in a list of recipes. Received: {', '.join(map(repr, same))}. "
                "Compare them as candidates: one list each."
            )
    places = [ORDER.index(type(one)) for one in listed]
    if places != sorted(places):
        names = ", ".join(type(one).__name__ for one in listed)
        raise InputError(
            f"Recipes are applied in the order {', '.join(kind.__name__ for kind in ORDER)}. Received: {names}. "
            f"{ORDER_REASON}."
        )
    return tuple(listed)


def check_candidates(recipes: Any) -> list[tuple[Recipe, ...]]:
    """The candidates: a list of recipe lists as it is, a recipe or one list of recipes as the only one.

    Raises:
        InputError: as `check_recipes` does, or if two candidates are the same.
    """
    several = isinstance(recipes, Sequence) and any(isinstance(one, list | tuple) for one in recipes)
    candidates = [check_recipes(one) for one in recipes] if several else [check_recipes(recipes)]
    for number, one in enumerate(candidates):
        if one in candidates[:number]:
            raise InputError(f"Each candidate must come once. Received: {name_recipes(one)} twice.")
    return candidates


def name_recipes(recipes: Sequence[Recipe]) -> str:
    """A candidate's name in the report, such as `shrink(layers=3) + distill + int8`."""
    return " + ".join(one.label for one in recipes)


def to_values(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain values for JSON."""
    return {"recipe": type(recipe).__name__, **dataclasses.asdict(recipe)}
