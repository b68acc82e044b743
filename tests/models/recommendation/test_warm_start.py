"""Weights in closed form: beside EASE as it is defined, and a regression by hand."""

import numpy as np
import pytest

from tests.interaction_rows import make_world
from tfchain.models.recommendation.features import Feature
from tfchain.models.recommendation.warm_start import factorize, regress


def test_the_factors_multiply_to_ease_weights_on_other_items() -> None:
    world = make_world()
    ridge = 2.0
    taken = np.zeros((len(world.users), len(world.items)))
    taken[world.user_rows, world.item_rows] = 1
    # Steck 2019, equation 8: B = -P / diag(P) off the diagonal, with P the inverse of the regularized Gram matrix.
    inverse = np.linalg.inv(taken.T @ taken + ridge * np.eye(taken.shape[1]))
    weights = -inverse / np.diag(inverse)
    vectors = factorize(world, len(world.items), ridge)
    products = vectors @ vectors.T
    # A column of B is divided by its own diagonal entry, a product by the square roots of both.
    scale = np.sqrt(np.diag(inverse))
    symmetric = weights * scale[None] / scale[:, None]
    off = ~np.eye(len(products), dtype=bool)
    ratio = products[off] @ symmetric[off] / (symmetric[off] @ symmetric[off])
    np.testing.assert_allclose(products[off] / ratio, symmetric[off], atol=1e-5)
    assert np.square(vectors).sum(axis=1).mean() == pytest.approx(1, abs=1e-5)


def test_what_nobody_took_has_no_vector() -> None:
    world = make_world()
    kept = world.select(world.item_rows != 3)
    np.testing.assert_allclose(factorize(kept, 4, 1.0)[3], 0, atol=1e-6)


def test_features_predict_vectors() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 2]] * 400, "float32")
    inputs = {"feature_0": np.array([1, 1, 2] * 400, "int32")}
    found = regress(vectors, inputs, (Feature("color", "category", ("red", "blue")),), np.ones(1200))
    assert found is not None
    matrices, predicted = found
    # 800 rows of red with a ridge of 10: 800 / 810; 400 of blue: 2 * 400 / 410.
    np.testing.assert_allclose(matrices["feature_0"], [[0, 0], [800 / 810, 0], [0, 800 / 410]], rtol=1e-5)
    np.testing.assert_allclose(predicted[2], [0, 800 / 410], rtol=1e-5)
    many = Feature("color", "category", tuple(map(str, range(5000))))
    assert regress(vectors, inputs, (many,), np.ones(1200)) is None


def test_a_tiny_ridge_gives_numbers() -> None:
    assert np.isfinite(factorize(make_world(), 8, 1e-12)).all()
