"""Finds a batch's false negatives: documents of other queries that may answer a query too."""

from typing import Any

from keras import ops

from tfchain.training.losses.similarity import own_document


def false_negative_mask(keys: Any, judged: Any) -> Any:
    """Marks the documents of a batch that must not count as a query's negatives.

    A document is marked for a query if it has the text of the query's own positive, or the query's text, or is among
    the documents that the query's judgements call relevant, or is the positive of a row with the same query. A query's
    own positive is never marked.

    Args:
        keys: int64 `(batch, columns)`: the texts' keys (`text_key`), the query's first, then the positive's.
        judged: int64 `(batch, most)`: keys of all documents judged relevant for the row's query, padded with 0.

    Returns:
        float32 `(batch, documents)`, 1 for a false negative; the document of row `j` and column `c` is at
        `(c - 1) * batch + j`, as in the losses.

    Example:
        >>> false_negative_mask([[1, 10], [2, 20], [3, 10]], [[0], [10], [0]])
        [[0, 0, 1], [1, 0, 1], [1, 0, 0]]
    """
    batch, columns = ops.shape(keys)
    documents = ops.reshape(ops.transpose(keys[:, 1:]), (1, -1))  # (1, documents), column after column
    queries = keys[:, :1]  # (batch, 1)
    false = ops.logical_or(ops.equal(documents, keys[:, 1:2]), ops.equal(documents, queries))
    among = ops.equal(ops.expand_dims(documents, -1), ops.expand_dims(judged, 1))  # (batch, documents, most)
    false = ops.logical_or(false, ops.any(among, axis=-1))
    same_query = ops.equal(queries, ops.transpose(queries))  # (batch, batch)
    if not isinstance(columns, int) or columns > 2:  # of an unknown number the zeros may be none
        elsewhere = ops.zeros((batch, batch * (columns - 2)), dtype="bool")
        same_query = ops.concatenate([same_query, elsewhere], axis=1)
    own = own_document(batch, ops.shape(documents)[1])
    return ops.cast(ops.logical_and(ops.logical_or(false, same_query), ops.logical_not(own)), "float32")
