"""The weights that a training of towers begins with: new ones, those in closed form, those of an earlier training."""

from typing import Any

import numpy as np

from tfchain.data.interactions.interactions import Interactions
from tfchain.models.recommendation.tower_weights import read_weights
from tfchain.models.recommendation.towers import make_towers
from tfchain.models.recommendation.warm_start import factorize, regress

ID_TABLES = {"items": ("/ids/", "/bias/"), "users": ("/ids/",)}  # weights with a row for each id, by tower


def make_start(model: Any, earlier: Any, interactions: Interactions, seed: int) -> dict[str, np.ndarray]:
    """Returns the weights that a training begins with, by path: new ones, and what an earlier model has learned.

    Args:
        model: A `RecommendationModel` with the vocabularies of the training.
        earlier: The model before, trained or not.
        interactions: What will be trained on.
        seed: The seed of new weights.
    """
    weights = read_weights(make_towers(model.config, model.shape, seed=seed))
    if not earlier.is_trained:
        if model.config.warm_start:
            _warm_start(model, weights, interactions, seed)
        return weights
    for path, weight in earlier.weights.items():
        tower = path.partition("/")[0]
        if path in weights and any(part in f"/{path}" for part in ID_TABLES.get(tower, ())):
            old = {id: row for row, id in enumerate(getattr(earlier.known, tower), start=1)}
            for row, id in enumerate(getattr(model.known, tower), start=1):
                if id in old:
                    weights[path][row] = weight[old[id]]
            weights[path][0] = weight[0]
        elif path in weights and weights[path].shape == weight.shape:
            weights[path] = weight
    return weights


def _warm_start(model: Any, weights: dict[str, np.ndarray], interactions: Interactions, seed: int) -> None:
    """Puts the vectors of a linear autoencoder in the place of random ones."""
    places = interactions.items.ids
    rows = {id: row for row, id in enumerate(places)}
    taken = np.array([rows[id] for id in model.known.items])
    vectors = factorize(interactions, model.config.dim, model.config.ridge, seed=seed)[taken]
    features = model.known.item_features
    inputs = model.item_inputs(interactions.items.take(taken.tolist())) if features else {}
    found = regress(vectors, inputs, features, interactions.popularity[taken]) if features else None
    for path, weight in weights.items():
        for name, matrix in (found[0] if found is not None else {}).items():
            if path.startswith(f"items/of_{name}/") and weight.shape == matrix.shape:
                weights[path] = matrix
    if model.config.bias:
        path = next(path for path in weights if path.startswith("items/bias/"))
        counts = np.concatenate([[0], interactions.popularity[taken]])
        weights[path] = np.log((counts + 1) / (counts.mean() + 1)).astype("float32")[:, None]
    if not model.config.item_ids:
        return
    path = next(path for path in weights if path.startswith("items/ids/"))
    weights[path] = np.concatenate([np.zeros((1, model.config.dim), "float32"), vectors])
    if found is not None:
        weights[path][1:] -= found[1]
