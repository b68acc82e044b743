"""The rows of a table of relative position biases by the distance of two tokens, as T5 and MPNet assign them."""

import math

import numpy as np

MAX_DISTANCE = 128  # tokens; longer distances share a row of the relative position bias


def make_buckets(num_buckets: int, max_distance: int = MAX_DISTANCE) -> np.ndarray:
    """Returns the row of a relative position bias for each distance from 0 to `max_distance`, int32.

    Each short distance has a row of its own; from 8 · (128/8)^(i/8) on, several distances share row 8 + i (T5's
    bidirectional scheme; Raffel et al. 2020, section 2.1). A key that follows the query is `num_buckets // 2` rows
    further down.

    Args:
        num_buckets: Rows of the table.
        max_distance: Longer distances share the last row. Default: 128.
    """
    half = num_buckets // 2
    exact = half // 2
    distance = np.arange(max_distance + 1)
    scaled = np.log(np.maximum(distance, 1).astype("float32") / exact) / np.float32(math.log(max_distance / exact))
    coarse = np.minimum(exact + (scaled * (half - exact)).astype("int32"), half - 1)
    return np.where(distance < exact, distance, coarse).astype("int32")


def find_rows(num_buckets: int, distances: np.ndarray) -> np.ndarray:
    """Returns the rows of the relative position bias for distances of tokens.

    Args:
        num_buckets: Rows of the table.
        distances: Whole numbers of any shape, positive where the key follows the query.
    """
    near = make_buckets(num_buckets)[np.minimum(np.abs(distances), MAX_DISTANCE)]
    rows: np.ndarray = near + np.where(distances > 0, num_buckets // 2, 0)
    return rows
