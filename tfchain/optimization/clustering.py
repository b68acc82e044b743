"""Weight clustering while an encoder trains: initial centroids from TensorFlow Model Optimization, then means."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tfchain.optimization.form_hook import FormHook
from tfchain.optimization.tfmot import load_tfmot

if TYPE_CHECKING:
    from tfchain.optimization.recipes import Cluster
    from tfchain.optimization.recipes.cluster import CentroidInit

NONE, ZERO = -1, 0  # instead of a cluster's number: no cluster yet; a weight that is zero
INITS = {"linear": "LINEAR", "density": "DENSITY_BASED", "kmeans++": "KMEANS_PLUS_PLUS"}


class ClusteringHook(FormHook):
    """Keeps the weights of an encoder's matrices on a few values while it trains, as `Cluster` says.

    Weights are assigned to clusters once; after every step the weights of a cluster become their mean, which is what a
    step on the mean of their gradients would give (TensorFlow Model Optimization's `GradientAggregation.AVG`). The
    weights are the same on every replica, and so are the means.

    Args:
        recipe: How many values, and when they are chosen.
        seed: Seed of `init="random"`. Default: 0.
    """

    recipe: "Cluster"
    lora_effect = "give each its own value"

    def __init__(self, recipe: "Cluster", seed: int = 0) -> None:
        super().__init__(recipe)
        self.seed = seed
        self._places: list[keras.Variable] = []

    def prepare(self, encoder: keras.Model) -> None:
        super().prepare(encoder)
        self._places = [
            keras.Variable(np.full(matrix.variable.shape, NONE), dtype="int32", trainable=False, name="cluster")
            for matrix in self._matrices
        ]

    def begin(self, num_steps: int) -> None:
        self._settled_from = round(self.recipe.begin * num_steps)

    def variables(self) -> Sequence[Any]:
        return self._places

    def hold_form(self) -> None:
        for matrix, places in zip(self._matrices, self._places, strict=True):
            numbers = np.array(places)
            if numbers.flat[0] != NONE:
                matrix.variable.assign(share_means(np.array(matrix.variable), numbers))

    def strip(self, encoder: keras.Model) -> None:
        self._choose()  # if the training ended before the clusters were found
        self.hold_form()

    def _act(self, step: int) -> None:
        if step == self._settled_from:
            self._choose()
        self.hold_form()

    def _choose(self) -> None:
        for matrix, places in zip(self._matrices, self._places, strict=True):
            if np.array(places).flat[0] == NONE:
                places.assign(find_clusters(np.array(matrix.variable), self.recipe, self.seed))


def find_clusters(weights: np.ndarray, recipe: "Cluster", seed: int = 0) -> np.ndarray:
    """Assigns each weight the number of its cluster, from 1 on; 0 for weights that are zero.

    Args:
        weights: A matrix.
        recipe: How many clusters, and the initial centroids.
        seed: Seed of `init="random"`. Default: 0.

    Returns:
        int32, in the weights' shape.
    """
    others = weights[weights != 0]
    count = recipe.num_clusters - int(others.size < weights.size)  # zero is one of the values
    places = np.zeros(weights.shape, "int32")
    if others.size:
        centroids = np.unique(others)
        if len(centroids) > count:
            centroids = move_centroids(others, make_centroids(others, count, recipe.init, seed), recipe.max_iterations)
        places[weights != 0] = 1 + find_nearest(others, centroids)
    return places


def make_centroids(weights: np.ndarray, count: int, init: "CentroidInit", seed: int = 0) -> np.ndarray:
    """The initial centroids in ascending order; see `Cluster`."""
    if init == "random":
        drawn = np.random.default_rng(seed).uniform(weights.min(), weights.max(), count)
        return np.sort(drawn.astype(weights.dtype))
    module = load_tfmot("clustering.keras.clustering_centroids")
    kind = getattr(module.CentroidInitialization, INITS[init])
    make = module.CentroidsInitializerFactory.get_centroid_initializer(kind)
    return np.sort(np.asarray(make(tf.constant(weights), count).get_cluster_centroids()))


def move_centroids(weights: np.ndarray, centroids: np.ndarray, max_iterations: int) -> np.ndarray:
    """Lloyd's algorithm: each centroid becomes the mean of the weights nearest to it, until none moves.

    A centroid that no weight is nearest to moves to one of the weights farthest from their own centroids.
    """
    count = len(centroids)
    for _ in range(max_iterations):
        nearest = find_nearest(weights, centroids)
        sizes = np.bincount(nearest, minlength=count)
        means = np.bincount(nearest, weights, count) / np.maximum(sizes, 1)
        empty = sizes == 0
        if empty.any():
            means[empty] = weights[np.argsort(np.abs(weights - centroids[nearest]))[-np.sum(empty) :]]
        moved = np.sort(means.astype(weights.dtype))
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def find_nearest(weights: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The index of each weight's nearest centroid, in ascending order; the smaller centroid if two are equally near."""
    return np.searchsorted((centroids[1:] + centroids[:-1]) / 2, weights)


def share_means(weights: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Replaces each weight by the mean of its cluster; those of cluster 0 become zero."""
    sizes = np.bincount(places.reshape(-1))
    means = np.bincount(places.reshape(-1), weights.reshape(-1)) / np.maximum(sizes, 1)
    means[ZERO] = 0
    return means.astype(weights.dtype)[places]
