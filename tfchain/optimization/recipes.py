"""Recipes: the plain values that describe one compression each."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.errors import InputError

QuantizedPrecision = Literal["int8", "float16", "bfloat16"]


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


Recipe = Quantize


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
            raise InputError(
                f"Each recipe must be a Quantize. Received: {what} at place {number}. Write Quantize('int8')."
            )
    if len(listed) > 1:
        raise InputError(
            "A model computes in one precision, so it is quantized once. "
            f"Received: {', '.join(map(repr, listed))}. Compare them as candidates: one list each."
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
    """A candidate's name in the report, such as `int8`."""
    return " + ".join(one.precision for one in recipes)


def to_values(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain values for JSON."""
    return {"recipe": type(recipe).__name__, **dataclasses.asdict(recipe)}
