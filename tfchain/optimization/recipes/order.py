"""Lists of recipes: which recipes exist, the order in which they are applied, and a list's name."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfchain.core.errors import InputError
from tfchain.optimization.recipes.base import Recipe, TrainingRecipe
from tfchain.optimization.recipes.cluster import Cluster
from tfchain.optimization.recipes.distill import Distill
from tfchain.optimization.recipes.prune import Prune
from tfchain.optimization.recipes.quantize import Quantize
from tfchain.optimization.recipes.quantize_aware import QuantizeAware
from tfchain.optimization.recipes.quantize_vectors import QuantizeVectors
from tfchain.optimization.recipes.reduce import ReduceDimensions
from tfchain.optimization.recipes.shrink import Shrink
from tfchain.optimization.recipes.trim_vocabulary import TrimVocabulary

KINDS = (Cluster, Distill, Prune, Quantize, QuantizeAware, QuantizeVectors, ReduceDimensions, Shrink, TrimVocabulary)
ORDER: tuple[type[Recipe], ...] = tuple(sorted(KINDS, key=lambda kind: kind.place))
TRAINING = tuple(kind for kind in ORDER if issubclass(kind, TrainingRecipe))
RECIPES_BY_NAME = {re.sub(r"\B([A-Z])", r"_\1", kind.__name__).lower(): kind for kind in ORDER}  # in YAML files
TRAINING_BY_NAME = {name: kind for name, kind in RECIPES_BY_NAME.items() if issubclass(kind, TrainingRecipe)}
ORDER_REASON = (
    "Shape comes first, then what acts while training, then training, which mends what was lost, then the vectors' "
    "width, then numbers, which training must not meet"
)


def check_recipes(recipes: Any) -> tuple[Recipe, ...]:
    """Checks one candidate's recipes and returns them in the order of their application.

    Args:
        recipes: A recipe, or a list of them.

    Raises:
        InputError: if there is no recipe, an item is not a recipe, or recipes do not go together.
    """
    listed = _to_list(recipes)
    _check_list(listed, trains=any(recipe.trains for recipe in listed))
    return tuple(listed)


def _to_list(recipes: Any) -> Sequence[Recipe]:
    listed = [recipes] if isinstance(recipes, Recipe) else recipes
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise InputError(
            f"`recipes` must be a list of recipes, such as [Quantize('int8')]. Received: {recipes!r:.100} of type "
            f"{type(recipes).__name__}."
        )
    if not listed:
        raise InputError("`recipes` must name at least one recipe. Received: an empty list. Try [Quantize('int8')].")
    for number, recipe in enumerate(listed):
        if not isinstance(recipe, Recipe):
            what = f"the class {recipe.__name__}, not a value of it" if isinstance(recipe, type) else f"{recipe!r:.100}"
            names = ", ".join(kind.__name__ for kind in ORDER)
            raise InputError(
                f"Each recipe must be one of {names}. Received: {what} at position {number}. Write Quantize('int8')."
            )
    return listed


def check_training_recipes(recipes: Any) -> tuple[TrainingRecipe, ...]:
    """Checks recipes that act while training and returns them in the order of their application; there may be none.

    Args:
        recipes: A recipe, or a list of them.

    Raises:
        InputError: if an item does not act while training, or recipes do not go together.
    """
    if isinstance(recipes, Sequence) and not isinstance(recipes, str) and not recipes:
        return ()
    listed = _to_list(recipes)
    for recipe in listed:
        if not isinstance(recipe, TrainingRecipe):
            raise InputError(
                f"`recipes` of fit must act while training: {', '.join(kind.__name__ for kind in TRAINING)}. Received: "
                f"{recipe!r}. Give it to `compress`."
            )
    _check_list(listed, trains=True)
    return tuple(recipe for recipe in listed if isinstance(recipe, TrainingRecipe))


def _check_list(listed: Sequence[Recipe], *, trains: bool) -> None:
    for kind in ORDER:
        same = [recipe for recipe in listed if isinstance(recipe, kind)]
        if len(same) > 1:
            raise InputError(
                f"{kind.__name__} comes once in a list of recipes. Received: {', '.join(map(repr, same))}. "
                "Compare them as candidates: one list each."
            )
    places = [ORDER.index(type(recipe)) for recipe in listed]
    if places != sorted(places):
        names = ", ".join(type(recipe).__name__ for recipe in listed)
        raise InputError(
            f"Recipes are applied in the order {', '.join(kind.__name__ for kind in ORDER)}. Received: {names}. "
            f"{ORDER_REASON}."
        )
    for recipe in listed:
        recipe.check_list(listed, trains=trains)


def check_candidates(recipes: Any) -> list[tuple[Recipe, ...]]:
    """Returns the candidates: a list of recipe lists unchanged, a recipe or one list of recipes as the only candidate.

    Raises:
        InputError: as `check_recipes` does, or if two candidates are the same.
    """
    several = isinstance(recipes, Sequence) and any(isinstance(item, list | tuple) for item in recipes)
    candidates = [check_recipes(item) for item in recipes] if several else [check_recipes(recipes)]
    for number, candidate in enumerate(candidates):
        if candidate in candidates[:number]:
            raise InputError(f"Each candidate must come once. Received: {name_recipes(candidate)} twice.")
    return candidates


def name_recipes(recipes: Sequence[Recipe]) -> str:
    """A candidate's name in the report, such as `shrink(layers=3) + distill + int8`."""
    return " + ".join(recipe.label for recipe in recipes)


def from_values(values: Mapping[str, Any]) -> Recipe:
    """Makes a recipe from plain values.

    Args:
        values: The result of `Recipe.to_values`, for example read from JSON.

    Raises:
        InputError: if the values name no recipe, or do not suit it.
    """
    names: dict[str, Callable[..., Recipe]] = {kind.__name__: kind for kind in ORDER}
    kind = names.get(values.get("recipe", ""))
    if kind is None:
        raise InputError(f"`recipe` must be one of {', '.join(names)}. Received: {values.get('recipe')!r}.")
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    given.pop("recipe")
    try:
        return kind(**given)
    except TypeError as error:
        raise InputError(f"{values['recipe']} cannot be made of {given}: {error}.") from error
