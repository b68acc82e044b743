"""Sparse vectors and their search, by hand."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.indexes.sparse import SparseIndex, SparseVectors


def make(*rows: dict[int, float], size: int = 6) -> SparseVectors:
    return SparseVectors.from_rows(
        [(np.array(sorted(row), "int32"), np.array([row[key] for key in sorted(row)], "float32")) for row in rows], size
    )


DOCUMENTS = make({0: 1, 2: 0.5}, {}, {2: 2}, {2: 2, 5: 1})


def test_a_score_is_the_product_of_two_vectors() -> None:
    index = SparseIndex(DOCUMENTS)
    queries = make({2: 2}, {0: 1, 5: 3}, {4: 1})
    # 2 · 0.5, nothing, 2 · 2, 2 · 2: equal scores keep their order, and what shares no token is left out.
    assert index.search(queries) == [[(2, 4), (3, 4), (0, 1)], [(3, 3), (0, 1)], []]
    assert index.search(queries, top_k=1) == [[(2, 4)], [(3, 3)], []]
    np.testing.assert_array_equal(DOCUMENTS.to_matrix() @ queries.to_matrix().todense()[0], index.score(*queries[0]))
    assert (len(index), len(SparseIndex(make()))) == (4, 0)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="`queries` must have the documents' vocabulary of 6 tokens. Received: 7"):
        SparseIndex(DOCUMENTS).search(make({1: 1}, size=7))
    with pytest.raises(InputError, match="`top_k` must be a whole number of at least 1"):
        SparseIndex(DOCUMENTS).search(make({1: 1}), top_k=0)
