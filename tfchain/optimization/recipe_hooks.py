"""Recipes that act while training: the hook of each, and its effect on weights that are not trained."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.clustering import ClusteringHook
from tfchain.optimization.pruning import PruningHook
from tfchain.optimization.quantization_aware import QuantizationAwareHook
from tfchain.optimization.recipes import TRAINING, Cluster, Prune, QuantizeAware, TrainingRecipe
from tfchain.training.fit.training_copy import make_training_copy
from tfchain.training.fit.training_hook import TrainingHook

HOOKS: Mapping[type[Any], Callable[[Any, int], TrainingHook]] = {
    Prune: lambda recipe, _: PruningHook(recipe),
    QuantizeAware: lambda recipe, _: QuantizationAwareHook(recipe),
    Cluster: ClusteringHook,
}


def make_hook(recipe: TrainingRecipe, seed: int = 0) -> TrainingHook:
    """Makes the hook that applies a recipe in one training: `FitOptions(hooks=[make_hook(Prune(0.5))])`.

    Args:
        recipe: A recipe that acts while training.
        seed: Seed for what the recipe draws at random. Default: 0.

    Raises:
        InputError: if the recipe does not act while training.
    """
    if type(recipe) not in HOOKS:
        raise InputError(
            f"`recipe` must act while training: {', '.join(kind.__name__ for kind in TRAINING)}. Received: "
            f"{recipe!r:.100}."
        )
    return HOOKS[type(recipe)](recipe, seed)


def make_hooks(recipes: Sequence[TrainingRecipe], seed: int = 0) -> list[TrainingHook]:
    """Makes a hook for each recipe, in their order; see `make_hook`."""
    return [make_hook(recipe, seed) for recipe in recipes]


def apply_once(text_encoder: TextEncoder, recipe: TrainingRecipe) -> TextEncoder:
    """Applies a recipe to a copy of a text encoder without training; the given one is unchanged.

    `QuantizeAware` changes nothing without training.

    Args:
        text_encoder: The text encoder.
        recipe: The recipe.

    Raises:
        InputError: if the encoder has nothing for the recipe to work on.
    """
    copy = make_training_copy(text_encoder.own_encoder, Hyperparameters())
    hook = make_hook(recipe)
    hook.prepare(copy)
    hook.strip(copy)
    return text_encoder.with_encoder(copy)
