"""Blanks after the hits of a search that a filter leaves fewer documents than a version returns."""

import numpy as np


def widen(table: np.ndarray, width: int) -> np.ndarray:
    """Returns a table of hits with blanks after them, if fewer documents may be found than the version returns.

    Args:
        table: Scores, float32, or strings, `(queries, hits)`.
        width: The hits that the version returns.
    """
    missing = width - table.shape[1]
    if missing <= 0:
        return table
    return np.pad(table, ((0, 0), (0, missing)), constant_values=-np.inf if table.dtype == np.float32 else b"")
