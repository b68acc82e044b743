"""Lists of recipes: which recipes there are, in which order they are applied, and what a list is called."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfchain.core.errors import InputError
from tfchain.optimization.recipes.cluster import Cluster
from tfchain.optimization.recipes.distill import Distill
from tfchain.optimization.recipes.prune import Prune
from tfchain.optimization.recipes.quantize import Quantize
from tfchain.optimization.recipes.quantize_aware import QuantizeAware
from tfchain.optimization.recipes.quantize_vectors import QuantizeVectors
from tfchain.optimization.recipes.reduce import ReduceDimensions
from tfchain.optimization.recipes.shrink import Shrink

Recipe = Shrink | Prune | QuantizeAware | Cluster | Distill | ReduceDimensions | Quantize | QuantizeVectors
TrainingRecipe = Prune | QuantizeAware | Cluster
ORDER = (Shrink, Prune, QuantizeAware, Cluster, Distill, ReduceDimensions, Quantize, QuantizeVectors)
TRAINING = (Prune, QuantizeAware, Cluster)
ORDER_REASON = (
    "Shape comes first, then what acts while training, then training, which mends what was lost, then the vectors' "
    "width, then numbers, which training must not meet"
)


def check_recipes(recipes: Any) -> tuple[Recipe, ...]:
    """One candidate's recipes, in the order of their application.

    Args:
        recipes: A recipe, or a list of them.

    Raises:
        InputError: if there is none, something is no recipe, or they do not go together.
    """
    listed = _to_list(recipes)
    trains = any(isinstance(one, Distill) for one in listed)
    _check_order(listed, trains=trains)
    if any(isinstance(one, QuantizeAware) for one in listed) and not trains:
        raise InputError(
            "QuantizeAware acts while training alone. Received: no Distill behind it. Add Distill(), or give it to "
            "`chain.fit(..., recipes=[QuantizeAware()])`; without a training take Quantize('int8')."
        )
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
    for number, one in enumerate(listed):
        if not isinstance(one, Recipe):
            what = f"the class {one.__name__}, not a value of it" if isinstance(one, type) else f"{one!r:.100}"
            names = ", ".join(kind.__name__ for kind in ORDER)
            raise InputError(
                f"Each recipe must be one of {names}. Received: {what} at place {number}. Write Quantize('int8')."
            )
    return listed


def check_training_recipes(recipes: Any) -> tuple[TrainingRecipe, ...]:
    """Recipes that act while training, in the order of their application; none is fine.

    Args:
        recipes: A recipe, or a list of them.

    Raises:
        InputError: if something is no such recipe, or they do not go together.
    """
    if isinstance(recipes, Sequence) and not isinstance(recipes, str) and not recipes:
        return ()
    listed = _to_list(recipes)
    for one in listed:
        if not isinstance(one, TRAINING):
            raise InputError(
                f"`recipes` of fit must act while training: {', '.join(kind.__name__ for kind in TRAINING)}. Received: "
                f"{one!r}. Give it to `compress`."
            )
    _check_order(listed, trains=True)
    return tuple(one for one in listed if isinstance(one, TRAINING))


def _check_order(listed: Sequence[Recipe], *, trains: bool) -> None:
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
    pruned = [one for one in listed if isinstance(one, Prune)]
    clustered = [one for one in listed if isinstance(one, Cluster)]
    if trains and pruned and clustered and clustered[0].begin < pruned[0].end:
        raise InputError(
            "Cluster must begin where Prune ends: weights that share a value cannot be told apart by their size. "
            f"Received: begin={clustered[0].begin} and end={pruned[0].end}. Write Cluster(begin={pruned[0].end})."
        )


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


def from_values(values: Mapping[str, Any]) -> Recipe:
    """The recipe of such plain values.

    Args:
        values: What `to_values` gave, read from JSON say.

    Raises:
        InputError: if they name no recipe, or do not suit it.
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
