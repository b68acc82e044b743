"""Clustering: which weights share a value, where the values come from, and that they stay few."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import ROWS
from tests.training.fit.test_fit import Stop, assert_same_weights, fit
from tfchain import Cluster, Distill, FitOptions, NeuralSearchChain, Prune, compress
from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.clustering import find_clusters, find_nearest, make_centroids, share_means
from tfchain.optimization.tfmot import load_tfmot
from tfchain.optimization.weight_matrices import find_matrices

TEXTS = [text for row in ROWS for text in row]
PAIRS = [row[:2] for row in ROWS]


@pytest.fixture
def text_encoder(tiny_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")


def values_of(text_encoder: TextEncoder) -> list[int]:
    """How many different weights each product has."""
    return [len(np.unique(np.array(one.variable))) for one in find_matrices(text_encoder.encoder, recipe="a test")]


def test_clusters_and_their_means_by_hand() -> None:
    weights = np.array([[0.0, 1.0, 1.5], [9.0, 10.0, -8.0]], "float32")
    as_they_are = Cluster(3, max_iterations=0)  # zero, and the ends -8 and 10: 1 is their middle
    np.testing.assert_array_equal(find_clusters(weights, as_they_are), [[0, 1, 2], [2, 2, 1]])
    places = find_clusters(weights, Cluster(3))  # the means are -3.5 and 6.83, so that 1.5 goes to the lower one
    np.testing.assert_array_equal(places, [[0, 1, 1], [2, 2, 1]])
    np.testing.assert_allclose(share_means(weights, places), [[0, -5.5 / 3, -5.5 / 3], [9.5, 9.5, -5.5 / 3]], atol=1e-6)
    np.testing.assert_array_equal(share_means(weights, find_clusters(weights, Cluster(6))), weights)  # enough for all
    np.testing.assert_array_equal(find_clusters(np.zeros((2, 2), "float32"), Cluster(2)), np.zeros((2, 2)))


def test_a_centroid_that_no_weight_is_near_to_takes_the_farthest_one() -> None:
    weights = np.array([-1.0, -0.9, 0.9, 0.95, 1.0], "float32")  # the first centroids are -1, -1/3, 1/3 and 1
    np.testing.assert_array_equal(find_clusters(weights, Cluster(4)), [1, 2, 3, 4, 4])
    np.testing.assert_array_equal(find_clusters(weights, Cluster(4, max_iterations=0)), [1, 1, 4, 4, 4])


@pytest.mark.parametrize(("init", "name"), [
    ("linear", "LINEAR"), ("density", "DENSITY_BASED"), ("kmeans++", "KMEANS_PLUS_PLUS")
])  # fmt: skip
def test_first_centroids_and_what_is_nearest_to_them_are_tfmots(init: str, name: str) -> None:
    weights = np.random.default_rng(0).normal(size=500).astype("float32")
    module = load_tfmot("clustering.keras.clustering_centroids")
    make = module.CentroidsInitializerFactory.get_centroid_initializer(module.CentroidInitialization[name])
    centroids = make_centroids(weights, 8, init)
    np.testing.assert_array_equal(centroids, np.sort(make(tf.constant(weights), 8).get_cluster_centroids()))
    algorithm = load_tfmot("clustering.keras.clustering_algorithm").ClusteringAlgorithm(tf.Variable(centroids))
    np.testing.assert_array_equal(find_nearest(weights, centroids), algorithm.get_pulling_indices(weights))


def test_random_centroids_repeat_by_their_seed() -> None:
    weights = np.array([-2.0, 3.0], "float32")
    first, again, other = (make_centroids(weights, 5, "random", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0
    assert (first >= -2).all()
    assert (first <= 3).all()


def test_more_iterations_come_nearer_to_the_weights() -> None:
    weights = np.random.default_rng(0).normal(size=(40, 40)).astype("float32")

    def error(iterations: int) -> float:
        places = find_clusters(weights, Cluster(8, max_iterations=iterations))
        return float(np.mean((share_means(weights, places) - weights) ** 2))

    assert error(20) < error(2) < error(0)


@pytest.mark.parametrize("recipe", [Cluster(4), Cluster(5, init="kmeans++", begin=0.5)])
def test_a_trained_model_has_so_many_values_and_has_learned(recipe: Cluster, tiny_model_path: Path) -> None:
    trained, once = (TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow") for _ in range(2))
    fit(trained, epochs=2, hooks=[recipe.make_hook()])
    assert values_of(trained) == [recipe.num_clusters] * 8
    once = compress(once, recipe).text_encoder
    assert values_of(once) == [recipe.num_clusters] * 8
    kernels = [np.array(one.encoder.get_layer("layer_0").intermediate.kernel) for one in (trained, once)]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-4


@pytest.mark.usefixtures("eager")
def test_a_stopped_training_goes_on_with_the_same_clusters(tiny_model_path: Path, tmp_path: Path) -> None:
    made = [TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow") for _ in range(3)]
    fit(made[0], epochs=3, hooks=[Cluster(4).make_hook()])
    options = {"epochs": 3, "checkpoint": tmp_path / "run", "checkpoint_every": 1}
    with pytest.raises(KeyboardInterrupt):
        fit(made[1], hooks=[Cluster(4).make_hook()], callbacks=[Stop(4)], **options)
    fit(made[2], hooks=[Cluster(4).make_hook()], **options)
    assert_same_weights(made[0], made[2])


@pytest.mark.usefixtures("eager")
def test_a_pruned_and_clustered_chain_is_saved_exported_and_trained_again(
    thin_model_path: Path, tmp_path: Path
) -> None:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow").add(TEXTS[:8])
    recipes = [Prune(0.5, end=0.5), Cluster(5, begin=0.5)]
    report = chain.compress([*recipes, Distill(batch_size=4)], texts=TEXTS, progress=False)
    assert report.kept == "prune(0.5 unstructured) + cluster(5 linear) + distill"
    again = NeuralSearchChain.load(chain.save(tmp_path / "saved"), engine="tensorflow")
    assert again.export(tmp_path / "versions", top_k=3).is_dir()
    again.fit(PAIRS, batch_size=4, recipes=recipes, options=FitOptions(strategy="one", length_groups=1))
    for made in (chain, again):
        assert values_of(made.text_encoder) == [5] * 4
        for matrix in find_matrices(made.model, recipe="a test"):
            assert 2 * np.sum(np.array(matrix.variable) == 0) == np.prod(matrix.variable.shape)


def test_lora_is_refused(text_encoder: TextEncoder) -> None:
    with pytest.raises(InputError, match="Cluster needs the weights themselves to be trained: .*Leave `lora_rank` out"):
        fit(text_encoder, hooks=[Cluster(4).make_hook()], lora_rank=2)
