"""The weights of towers by path: read, set, and compared."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.recommendation.towers import Towers


def weight_paths(towers: Towers) -> dict[str, Any]:
    """Returns the weights of towers by a path that begins with the tower's name."""
    parts = {"items": towers.items, "users": towers.users, "history": towers.history_encoder}
    return {
        f"{name}/{weight.path}": weight
        for name, tower in parts.items()
        if tower is not None
        for weight in tower.weights
    }


def read_weights(towers: Towers) -> dict[str, np.ndarray]:
    """Returns the values of the weights of towers, by path, float32."""
    return {path: np.array(weight, dtype="float32") for path, weight in weight_paths(towers).items()}


def load_weights(towers: Towers, weights: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of towers.

    Raises:
        InputError: if a weight is missing, left over, or of another shape.
    """
    found = weight_paths(towers)
    differing = sorted(set(found) ^ set(weights)) or [
        path for path, weight in found.items() if tuple(weight.shape) != weights[path].shape
    ]
    if differing:
        raise InputError(
            f"The weights must be those of the model's shape. Received: others for {', '.join(differing[:3])}."
        )
    for path, weight in found.items():
        weight.assign(weights[path])
