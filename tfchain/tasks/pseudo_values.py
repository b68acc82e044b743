"""A metric over all rows as a value for each row: jackknife pseudo-values, whose mean is the metric."""

from collections.abc import Callable

import numpy as np


def find_pseudo_values(measure: Callable[[np.ndarray], float], num_rows: int) -> np.ndarray:
    """Returns what each row adds to a metric, so that two models can be compared row by row.

    With `n` rows, a row's value is `n` times the metric of all less `n - 1` times that of the others (Tukey 1958). For
    a metric that is a mean over rows these are the rows' own values; they are shifted so that their mean is the metric.

    Args:
        measure: A function from the places of some rows to their metric.
        num_rows: The number of rows, two or more.

    Returns:
        float64 `(rows,)`.
    """
    places = np.arange(num_rows)
    others = np.array([measure(np.delete(places, row)) for row in places], np.float64)
    return shift_to_metric(measure(places), others)


def shift_to_metric(metric: float, others: np.ndarray) -> np.ndarray:
    """Returns the pseudo-values, given the metric of all rows and that of all but each row."""
    num_rows = len(others)
    values: np.ndarray = num_rows * metric - (num_rows - 1) * others
    return values + (metric - values.mean())
