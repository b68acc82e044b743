"""A small Gaussian process for Bayesian search, with the interface of scikit-learn's, which KerasTuner expects."""

from typing import Any

import numpy as np

LENGTHS = np.geomspace(0.05, 20, 60)  # of the kernel; all hyperparameters lie in [0, 1]


class GaussianProcess:
    """Regression with a Matérn kernel of ν = 5/2 (Rasmussen and Williams 2006, equations 2.25, 2.26 and 4.17).

    The kernel's length, one for all dimensions, is the most likely of 60 between 0.05 and 20 (their equation 5.8); a
    search for one number needs no optimizer. Scores are first scaled to mean 0 and deviation 1.

    Args:
        noise: Variance of a score's error, where the scores' variance is 1. Default: 1e-4.
    """

    def __init__(self, noise: float = 1e-4) -> None:
        self.noise = noise
        self.length = 1.0
        self.mean, self.deviation = 0.0, 1.0
        self._points: np.ndarray | None = None

    def fit(self, points: Any, scores: Any) -> "GaussianProcess":
        """Learns from points `(n, dims)` and their scores `(n,)`."""
        self._points = np.asarray(points, dtype="float64")
        scores = np.asarray(scores, dtype="float64")
        self.mean, self.deviation = float(scores.mean()), float(scores.std()) or 1.0
        found = (scores - self.mean) / self.deviation
        best = -np.inf
        for length in LENGTHS:
            kernel = matern(self._points, self._points, length) + self.noise * np.eye(len(found))
            lower = np.linalg.cholesky(kernel)
            weights = np.linalg.solve(lower.T, np.linalg.solve(lower, found))
            likelihood = -0.5 * float(found @ weights) - float(np.log(np.diag(lower)).sum())
            if likelihood > best:
                best, self.length, self._lower, self._weights = likelihood, float(length), lower, weights
        return self

    def predict(self, points: Any, return_std: bool = False) -> Any:
        """Returns the expected scores of points `(n, dims)`, and with `return_std` their deviations, each `(n,)`."""
        points = np.asarray(points, dtype="float64")
        if self._points is None:  # the prior
            return (np.zeros(len(points)), np.ones(len(points))) if return_std else np.zeros(len(points))
        kernel = matern(points, self._points, self.length)
        expected = kernel @ self._weights * self.deviation + self.mean
        if not return_std:
            return expected
        variances = 1 - np.sum(np.linalg.solve(self._lower, kernel.T) ** 2, axis=0)
        return expected, np.sqrt(np.maximum(variances, 0)) * self.deviation


def matern(left: np.ndarray, right: np.ndarray, length: float) -> np.ndarray:
    """The Matérn kernel of ν = 5/2: `(1 + √5 d / l + 5 d² / 3 l²) exp(-√5 d / l)`, `(left, right)`."""
    distances = np.linalg.norm(left[:, None] - right[None], axis=-1) * np.sqrt(5) / length
    return (1 + distances + distances**2 / 3) * np.exp(-distances)
