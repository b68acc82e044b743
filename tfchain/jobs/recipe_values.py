"""Makes recipes of what a file says of them, with errors that name file and line."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tfchain.core.errors import InputError
from tfchain.jobs.yaml_lines import located, suggest


def make_training_recipes(
    recipes: Sequence[tuple[str, Mapping[str, Any]]], places: Mapping[str, str], *, prefix: str = "recipes"
) -> Any:
    """Makes the recipes that act while training; needs no TensorFlow.

    Args:
        recipes: Names and arguments.
        places: File and line of each key of the file by its dotted name.
        prefix: The dotted name of the list. Default: `recipes`.

    Returns:
        A tuple of `TrainingRecipe`.

    Raises:
        InputError: names file and line of an unknown name, a value out of range, or recipes that do not go together.
    """
    from tfchain.optimization.recipes import TRAINING_BY_NAME, check_training_recipes

    made = [
        make_recipe(name, arguments, TRAINING_BY_NAME, places, f"{prefix}[{number}].{name}", "acts while training")
        for number, (name, arguments) in enumerate(recipes)
    ]
    with located(places.get(prefix, "")):
        return check_training_recipes(made)


def make_recipes(
    recipes: Sequence[tuple[str, Mapping[str, Any]]], places: Mapping[str, str], *, prefix: str = "recipes"
) -> Any:
    """Makes the recipes of one candidate of a compression; needs no TensorFlow.

    Args:
        recipes: As in `make_training_recipes`.
        places: As in `make_training_recipes`.
        prefix: As in `make_training_recipes`.

    Returns:
        A tuple of `Recipe`.

    Raises:
        InputError: as in `make_training_recipes`.
    """
    from tfchain.optimization.recipes import RECIPES_BY_NAME, check_recipes

    made = [
        make_recipe(name, arguments, RECIPES_BY_NAME, places, f"{prefix}[{number}].{name}", "has that name")
        for number, (name, arguments) in enumerate(recipes)
    ]
    with located(places.get(prefix, "")):
        return check_recipes(made)


def make_recipe(
    name: str,
    arguments: Mapping[str, Any],
    kinds: Mapping[str, Any],
    places: Mapping[str, str],
    key: str,
    what: str,
) -> Any:
    """Makes one recipe.

    Raises:
        InputError: names file and line of an unknown name or argument, or of a value out of range.
    """
    if name not in kinds:
        raise InputError(f"{places[key]}: No recipe `{name}` {what}. {suggest(name, [*kinds])}")
    known = [field.name for field in dataclasses.fields(kinds[name])]
    for argument in arguments:
        if argument not in known:
            where = f"{key}.{argument}"
            raise InputError(f"{places[where]}: There is no key `{where}`. {suggest(argument, known)}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    try:
        return kinds[name](**values)
    except InputError as error:
        named = f"{key}.{error.argument}" if error.argument else key
        raise InputError(f"{places.get(named, places[key])}: {error}") from error
    except TypeError as error:
        raise InputError(f"{places[key]}: `{key}` cannot be made of {dict(arguments)}: {error}.") from error
