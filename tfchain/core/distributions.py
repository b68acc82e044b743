"""Whether two samples are distributed alike: stability index, Kolmogorov-Smirnov distance, and a classifier's area."""

import numpy as np

NUM_BINS = 10
LEAST_IN_BIN = 5  # expected of the smaller set, as is usual for χ²
SMOOTHING = 0.5  # values added to each bin, so that an empty bin has a logarithm
SURE = 0.99  # what equal distributions stay below, by chance, that often
NUM_FOLDS = 5


def find_edges(reference: np.ndarray, size: int) -> np.ndarray:
    """Returns the borders of ten bins with a tenth of the values each; a value that fills a bin has one of its own.

    There are fewer bins if the smaller set, of this size, has fewer than fifty values.
    """
    bins = min(NUM_BINS, max(size // LEAST_IN_BIN, 2))
    deciles = np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1])
    frequent = deciles[1:][deciles[1:] == deciles[:-1]]
    return np.unique(np.concatenate([deciles, np.nextafter(frequent, np.inf)]))


def count_bins(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Returns how many values fall into each of the bins between the edges, the outer two without an end."""
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)


def stability_index(reference: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Returns the population stability index of counts by bin, and its 99th percentile for equal distributions.

    The index is `Σ (q - p) ln(q / p)` over the bins' shares `p` and `q` (Siddiqi 2006), to each of which half a
    value is added. For equal distributions it is
    about `(1/n + 1/m) χ²` with one degree of freedom less than there are bins (Yurdakul and Naranjo 2020, "Statistical
    properties of the population stability index"), so in small samples it exceeds the usual thresholds by chance.
    """
    from scipy.stats import chi2

    p, q = ((counts + SMOOTHING) / (counts + SMOOTHING).sum() for counts in (reference, others))
    value = float(((q - p) * np.log(q / p)).sum())
    spread = 1 / reference.sum() + 1 / others.sum()
    return value, float(chi2.ppf(SURE, max(len(p) - 1, 1)) * spread)


def smirnov_distance(reference: np.ndarray, others: np.ndarray) -> float:
    """Returns the largest distance between the cumulative shares of two samples (Kolmogorov-Smirnov)."""
    places = np.concatenate([reference, others])
    one, other = (np.searchsorted(np.sort(part), places, side="right") / len(part) for part in (reference, others))
    return float(np.abs(one - other).max())


def smirnov_bound(num_reference: int, num_others: int) -> float:
    """Returns Smirnov's asymptotic bound of the distance, which equal distributions exceed in 1 of 100 cases."""
    return 1.628 * float(np.sqrt(1 / num_reference + 1 / num_others))


def classifier_area(reference: np.ndarray, others: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """Returns how well a logistic regression tells two sets of vectors apart, and the standard error of chance.

    Each vector is judged by a model that was not fitted on it (five folds). The measure is the area under the ROC
    curve: 0.5 is chance, 1 is certainty. The idea is that of a classifier two-sample test (Lopez-Paz and Oquab 2017,
    https://arxiv.org/abs/1610.06545).

    Args:
        reference: Vectors, `(n, dim)`; at least five.
        others: Vectors, `(m, dim)`; at least five.
        seed: Of the folds. Default: 0.

    Returns:
        The area, and its standard error where there is no difference (Hanley and McNeil 1982).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    vectors = np.concatenate([reference, others]).astype(np.float32)
    is_other = np.repeat([0, 1], [len(reference), len(others)])
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=seed)
    classifier = LogisticRegression(class_weight="balanced", max_iter=300)
    chances = cross_val_predict(classifier, vectors, is_other, cv=folds, method="predict_proba")[:, 1]
    error = float(np.sqrt((len(vectors) + 1) / (12 * len(reference) * len(others))))
    return float(roc_auc_score(is_other, chances)), error
