"""A head from logistic regression on the vectors of labelled texts, without training the encoder."""

import warnings
from collections.abc import Sequence

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.classification.labels import Labels
from tfchain.tasks.heads import add_head, strip_head

MOST_ROWS = 4096  # for a head that training starts from
MOST_STEPS = 1000


def fit_logistic_head(
    text_encoder: TextEncoder,
    labels: Labels,
    texts: Sequence[str],
    table: np.ndarray,
    *,
    regularization: float = 1.0,
    batch_size: int = 32,
    progress: bool | None = None,
) -> TextEncoder:
    """Makes a classifier: the unchanged encoder, with a head fitted by scikit-learn's `LogisticRegression`.

    Args:
        text_encoder: The encoder, with a head (which is replaced) or without.
        labels: The labels.
        texts: The texts.
        table: The labels of each text, booleans `(texts, labels)`.
        regularization: The inverse strength of regularization, scikit-learn's `C`, above 0. Default: 1.
        batch_size: The most texts in one step. Default: 32.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Raises:
        InputError: if fewer than two labels have texts.
    """
    body = strip_head(text_encoder)
    vectors = body.encode(texts, prompt="", batch_size=batch_size, progress=progress)
    fit = _fit_per_label if labels.multi_label else _fit_softmax
    kernel, bias = fit(vectors, table, regularization)
    return add_head(body, len(labels), kernel=kernel, bias=bias)


def choose_rows(table: np.ndarray, count: int = MOST_ROWS) -> np.ndarray:
    """Chooses up to `count` rows of a table of labels: the first rows of each label, equally many where possible.

    Returns:
        The rows' numbers, in ascending order.
    """
    if len(table) <= count:
        return np.arange(len(table))
    # The number of earlier rows with the same label; a row with several labels counts by its rarest label.
    before = np.where(table, np.cumsum(table, axis=0), len(table) + 1).min(axis=1)
    return np.sort(np.argsort(before, kind="stable")[:count])


def _fit_softmax(vectors: np.ndarray, table: np.ndarray, regularization: float) -> tuple[np.ndarray, np.ndarray]:
    targets = table.argmax(axis=1)
    present = np.unique(targets)
    if len(present) < 2:
        raise InputError("A head needs texts of at least two labels. Received: texts of one label. Add more.")
    coefficients, intercepts = _fit(vectors, targets, regularization)
    kernel = np.zeros((vectors.shape[1], table.shape[1]), dtype="float32")
    bias = np.full(table.shape[1], intercepts.min() - 1, dtype="float32")  # labels without texts rank last
    if len(present) == 2:  # one score, of the second label against the first
        coefficients, intercepts = np.concatenate([-coefficients, coefficients]) / 2, np.array([-1, 1]) * intercepts / 2
        bias[:] = intercepts.min() - 1
    kernel[:, present], bias[present] = coefficients.T, intercepts
    return kernel, bias


def _fit_per_label(vectors: np.ndarray, table: np.ndarray, regularization: float) -> tuple[np.ndarray, np.ndarray]:
    kernel = np.zeros((vectors.shape[1], table.shape[1]), dtype="float32")
    share = (table.sum(axis=0) + 0.5) / (len(table) + 1)
    bias = np.log(share / (1 - share)).astype("float32")  # final for labels of no text or of all texts
    for label in np.flatnonzero(table.any(axis=0) & ~table.all(axis=0)):
        coefficients, intercepts = _fit(vectors, table[:, label], regularization)
        kernel[:, label], bias[label] = coefficients[0], intercepts[0]
    return kernel, bias


def _fit(vectors: np.ndarray, targets: np.ndarray, regularization: float) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # close enough after MOST_STEPS
        fitted = LogisticRegression(C=regularization, max_iter=MOST_STEPS).fit(vectors, targets)
    return fitted.coef_, fitted.intercept_
