"""False negatives of a batch: which are marked, worked out by hand."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfchain.training.losses.false_negatives import false_negative_mask


def mask(keys: list[list[int]], judged: list[list[int]] | None = None) -> list[list[int]]:
    known = judged or [[0]] * len(keys)
    marked: Any = false_negative_mask(np.array(keys, "int64"), np.array(known, "int64"))
    assert marked.dtype == "float32"
    return np.asarray(marked).astype(int).tolist()


def test_the_docstrings_example() -> None:
    # Row 2's positive is row 0's text; row 1's judgements name document 10, which two rows have.
    assert mask([[1, 10], [2, 20], [3, 10]], [[0], [10], [0]]) == [[0, 0, 1], [1, 0, 1], [1, 0, 0]]


def test_a_graph_need_not_know_the_number_of_columns() -> None:
    graph = tf.function(
        false_negative_mask, input_signature=[tf.TensorSpec([None, None], tf.int64)] * 2, autograph=False
    )
    for keys in ([[1, 10], [2, 20], [3, 10]], [[1, 10, 10], [2, 20, 21]]):
        known = np.zeros((len(keys), 1), "int64")
        assert np.asarray(graph(np.array(keys), known)).tolist() == mask(keys)


def test_without_doublets_nothing_is_marked() -> None:
    assert mask([[1, 10, 11], [2, 20, 21]]) == [[0, 0, 0, 0], [0, 0, 0, 0]]


def test_hard_negatives_stand_column_after_column() -> None:
    # Documents: positives 10 20 30, then first negatives 20 5 10, then second negatives 7 10 2.
    keys = [[1, 10, 20, 7], [2, 20, 5, 10], [3, 30, 10, 2]]
    assert mask(keys) == [
        [0, 0, 0, 0, 0, 1, 0, 1, 0],  # its text 10 again among the negatives of rows 2 and 1
        [0, 0, 0, 1, 0, 0, 0, 0, 1],  # its text 20, and a negative that is the query's own text 2
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_an_own_hard_negative_with_the_positives_text_is_marked() -> None:
    assert mask([[1, 10, 10], [2, 20, 21]]) == [[0, 0, 1, 0], [0, 0, 0, 0]]


def test_judged_documents_are_marked_wherever_they_stand() -> None:
    keys = [[1, 10, 20], [2, 20, 40], [3, 30, 50]]  # documents: 10 20 30, then 20 40 50
    assert mask(keys, [[20, 30], [0, 0], [50, 0]]) == [
        [0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0, 0],  # not judged: its own text again, as row 0's hard negative
        [0, 0, 0, 0, 0, 1],
    ]


def test_positives_of_rows_with_the_same_query_are_marked_for_each_other() -> None:
    assert mask([[1, 10, 15], [1, 11, 16], [2, 20, 25]]) == [
        [0, 1, 0, 0, 0, 0],  # the other's positive, not the other's hard negative
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]


def test_the_own_positive_is_never_marked() -> None:
    # It is the query's own text (SimCSE), judged relevant, and another row's query and positive, too.
    marked = mask([[5, 5], [5, 5], [6, 5]], [[5], [5], [5]])
    assert marked == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_it_agrees_with_a_loop_over_many_small_batches() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        batch, columns, most = rng.integers(1, 6), rng.integers(2, 5), rng.integers(1, 4)
        keys, judged = rng.integers(1, 9, (batch, columns)), rng.integers(0, 9, (batch, most))
        expected = np.zeros((batch, batch * (columns - 1)), int)
        for row in range(batch):
            for column in range(1, columns):
                for other in range(batch):
                    document = keys[other, column]
                    known = document in (keys[row, 0], keys[row, 1]) or document in judged[row]
                    same = column == 1 and keys[row, 0] == keys[other, 0]
                    own = column == 1 and row == other
                    expected[row, (column - 1) * batch + other] = (known or same) and not own
        assert mask(keys.tolist(), judged.tolist()) == expected.tolist()
