"""The Gaussian process of Bayesian search, against the textbook's formulas."""

import math

import numpy as np

from tfchain.optimization.tuning.gaussian_process import GaussianProcess, matern


def test_the_kernel_is_materns() -> None:
    made = matern(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0]]), 5.0)
    at_one_length = (1 + math.sqrt(5) + 5 / 3) * math.exp(-math.sqrt(5))
    np.testing.assert_allclose(made[:, 0], [1.0, at_one_length], rtol=1e-12)


def test_before_anything_was_seen_all_is_open() -> None:
    mean, deviation = GaussianProcess().predict([[0.1], [0.9]], return_std=True)
    assert mean.tolist() == [0.0, 0.0]
    assert deviation.tolist() == [1.0, 1.0]


def test_predictions_are_those_of_the_inverse_matrix() -> None:
    points = np.array([[0.0], [0.2], [0.5], [0.9]])
    scores = np.array([1.0, 3.0, 4.0, 2.0])
    process = GaussianProcess(noise=0.01).fit(points, scores)
    asked = np.array([[0.3], [0.5]])
    mean, deviation = process.predict(asked, return_std=True)

    inverse = np.linalg.inv(matern(points, points, process.length) + 0.01 * np.eye(4))
    cross = matern(asked, points, process.length)
    normal = (scores - scores.mean()) / scores.std()
    np.testing.assert_allclose(mean, cross @ inverse @ normal * scores.std() + scores.mean())
    variances = 1 - np.einsum("ij,jk,ik->i", cross, inverse, cross)
    np.testing.assert_allclose(deviation, np.sqrt(variances) * scores.std())
    np.testing.assert_allclose(process.predict(asked), mean)


def test_the_length_is_the_likeliest() -> None:
    points = np.linspace(0, 1, 12)[:, None]
    slow = GaussianProcess().fit(points, np.sin(2 * points[:, 0])).length
    quick = GaussianProcess().fit(points, np.sin(25 * points[:, 0])).length
    assert quick < 0.3 < slow


def test_equal_scores_are_no_division_by_zero() -> None:
    process = GaussianProcess().fit([[0.0], [1.0]], [3.0, 3.0])
    assert process.predict([[0.5]]).tolist() == [3.0]
