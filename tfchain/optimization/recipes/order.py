"""Lists of recipes: which recipes there are, in which order they are applied, and what a list is called."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfchain.core.errors import InputError
from tfchain.optimization.recipes.distill import Distill
from tfchain.optimization.recipes.quantize import Quantize
from tfchain.optimization.recipes.quantize_vectors import QuantizeVectors
from tfchain.optimization.recipes.reduce import ReduceDimensions
from tfchain.optimization.recipes.shrink import Shrink

Recipe = Shrink | Distill | ReduceDimensions | Quantize | QuantizeVectors
ORDER = (Shrink, Distill, ReduceDimensions, Quantize, QuantizeVectors)
ORDER_REASON = (
    "Shape comes first, then training, which mends what shrinking cost, then the vectors' width, then numbers, which "
    "training must not meet"
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
