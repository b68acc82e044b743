"""Similarities and distances of vectors, which stay finite, as do their gradients."""

from typing import Any

from keras import ops

from tfchain.models.encoders.compact_gradients import compact_steps

SIMILARITIES = ("cosine", "dot")
DISTANCES = ("cosine", "euclidean", "manhattan")
# The logit that a softmax leaves out: its exp is 0, and unlike minus infinity it never turns a gradient into NaN.
LEFT_OUT = -1e30
SMALLEST_SQUARE = 1e-24


@compact_steps()
def normalize(vectors: Any) -> Any:
    """Scales vectors to length 1; a zero vector has no direction, stays zero and has no gradient.

    Args:
        vectors: `(..., dim)`.

    Returns:
        `(..., dim)`.
    """
    squares = ops.sum(vectors * vectors, axis=-1, keepdims=True)
    # Compared this way round, NaN is not a zero vector: it stays NaN, and the loss shows it.
    is_zero = squares <= SMALLEST_SQUARE
    # Two `where`s: with one, the gradient of the branch that is not taken would be 0 times infinity.
    return ops.where(is_zero, 0.0, vectors / ops.sqrt(ops.where(is_zero, 1.0, squares)))


def similarity_matrix(left: Any, right: Any, similarity: str) -> Any:
    """Similarities of every vector of one side with every vector of the other.

    Args:
        left: `(rows, dim)`.
        right: `(columns, dim)`.
        similarity: One of `SIMILARITIES`.

    Returns:
        `(rows, columns)`.
    """
    if similarity == "cosine":
        left, right = normalize(left), normalize(right)
    return ops.matmul(left, ops.transpose(right))


def pairwise_similarity(left: Any, right: Any, similarity: str) -> Any:
    """Similarities of vectors at the same position.

    Args:
        left: `(..., dim)`.
        right: `(..., dim)`, or a shape that broadcasts to `left`'s.
        similarity: One of `SIMILARITIES`.

    Returns:
        `(...)`.
    """
    if similarity == "cosine":
        left, right = normalize(left), normalize(right)
    return ops.sum(left * right, axis=-1)


def pairwise_distance(left: Any, right: Any, distance: str) -> Any:
    """Distances of vectors at the same position.

    Args:
        left: `(..., dim)`.
        right: `(..., dim)`, or a shape that broadcasts to `left`'s.
        distance: One of `DISTANCES`; `cosine` is 1 minus the cosine similarity.

    Returns:
        `(...)`. Where two vectors are the same, the Euclidean distance has no gradient.
    """
    if distance == "cosine":
        return 1.0 - pairwise_similarity(left, right, "cosine")
    difference = left - right
    if distance == "manhattan":
        return ops.sum(ops.abs(difference), axis=-1)
    squares = ops.sum(difference * difference, axis=-1)
    is_same = squares <= 0.0  # NaN is not, and stays NaN
    return ops.where(is_same, 0.0, ops.sqrt(ops.where(is_same, 1.0, squares)))


def angle_similarity(left: Any, right: Any) -> Any:
    """AnglE's similarity: |cosine + sine|, the halves of the vectors read as real and imaginary part.

    Args:
        left: `(..., dim)`; an odd `dim` is padded with a zero.
        right: `(..., dim)`.

    Returns:
        `(...)`.
    """
    left, right = normalize(left), normalize(right)
    dim = int(left.shape[-1])
    half = (dim + 1) // 2
    if dim % 2:
        widths = [(0, 0)] * (len(left.shape) - 1) + [(0, 1)]
        left, right = ops.pad(left, widths), ops.pad(right, widths)
    cosines = ops.sum(left * right, axis=-1)
    sines = ops.sum(left[..., half:] * right[..., :half] - left[..., :half] * right[..., half:], axis=-1)
    return ops.abs(cosines + sines)


def own_document(num_queries: Any, num_documents: Any) -> Any:
    """True where a document is the query's own positive: document i for query i.

    Args:
        num_queries: Rows, a number or a scalar tensor.
        num_documents: Columns, the positives first.

    Returns:
        bool `(num_queries, num_documents)`.
    """
    rows = ops.expand_dims(ops.arange(num_queries, dtype="int32"), 1)
    return ops.equal(rows, ops.expand_dims(ops.arange(num_documents, dtype="int32"), 0))


def split_columns(embeddings: Any) -> tuple[Any, Any]:
    """Queries and documents of a batch.

    Args:
        embeddings: `(batch, columns, dim)`.

    Returns:
        Queries `(batch, dim)` and documents `(batch * (columns - 1), dim)`: all positives, then the first negative of
        all rows, and so on.
    """
    documents = ops.transpose(embeddings[:, 1:], (1, 0, 2))
    return embeddings[:, 0], ops.reshape(documents, (-1, ops.shape(embeddings)[2]))
