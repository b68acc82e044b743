"""An index inside a TensorFlow graph of stock ops: the same search as `VectorIndex`, on the same stored vectors."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfchain.models.indexes.codes import word_bytes
from tfchain.models.indexes.exact import NUMBERS_IN_BLOCK, VectorIndex

MOST_BLOCKS = 64  # a graph with more blocks takes longer to load
BIT_VALUES = (128, 64, 32, 16, 8, 4, 2, 1)  # of the bits in a byte, beginning with the first dimension's
Search = Callable[..., tuple[Any, Any]]
Project = Callable[[Any], tuple[Any, Any]]


def make_search(module: Any, index: VectorIndex, top_k: int) -> Search:
    """Puts an index's vectors into a module as variables, and returns the function that searches them.

    Float32 vectors are compared in one product. `int8` vectors are converted to float32 a block at a time, which is
    faster than an integer product in stock TensorFlow. Bits are compared 64 at a time, by an exclusive or and a count
    of ones (a product with bits unpacked to 1 and -1 took 11 to 35 times as long on 100,000 vectors); the best
    documents are then scored again by the query in float32.

    Args:
        module: A `tf.Module` that holds the variables.
        index: The index, with at least one document.
        top_k: The number of documents, at most as many as the index has.

    Returns:
        A function from queries, float32 `(batch, dim)`, to `(scores, rows)`, both `(batch, top_k)`, best first. Its
        second argument, booleans `(documents,)`, says which documents may be found: if there are fewer than `top_k` of
        them, the last scores are minus infinity, and their rows have no meaning. Without it all may be found.
    """
    import tensorflow as tf

    index = index.copy()
    index.compact()
    stored = index.stored
    has_passages = len(stored) != len(index)
    module.vectors = tf.Variable(stored.values, trainable=False, name="vectors")
    if stored.scales is not None:
        module.scales = tf.Variable(stored.scales, trainable=False, name="scales")
    if has_passages:  # the document of each vector
        owners = np.repeat(np.arange(len(index), dtype="int32"), index.counts)
        module.owners = tf.Variable(owners, trainable=False, name="owners")
    score_all = {"float32": _score_float32, "int8": _score_int8, "binary": _score_binary}[index.storage.precision]
    project = _make_projection(module, index) if index.storage.precision == "binary" else None
    candidates = index.num_candidates(top_k)
    rescore = None if candidates is None else _make_rescoring(module, index, candidates)

    def search(queries: Any, allowed: Any = None) -> tuple[Any, Any]:
        if index.similarity == "cosine":
            length = tf.sqrt(tf.reduce_sum(tf.square(queries), axis=-1, keepdims=True))
            queries = queries / tf.maximum(length, 1e-12)
        added = None
        if project is not None:
            queries, added = project(queries)
        scores = score_all(module, index, queries)  # (batch, vectors)
        if has_passages:
            scores = tf.transpose(tf.math.segment_max(tf.transpose(scores), module.owners))  # (batch, documents)
        if allowed is not None:
            scores = tf.where(allowed, scores, -np.inf)
        if rescore is None:
            best, rows = tf.math.top_k(scores, k=top_k)
            return limit(best), rows
        _, rows = tf.math.top_k(scores, k=candidates)
        rows = tf.sort(rows, axis=-1)  # ranks equal scores in the order of the documents
        rescored = rescore(queries, rows) + added
        if allowed is not None:
            rescored = tf.where(tf.gather(allowed, rows), rescored, -np.inf)
        best, places = tf.math.top_k(rescored, k=top_k)
        return limit(best), tf.gather(rows, places, batch_dims=1)

    def limit(scores: Any) -> Any:
        """Clips cosines to their range, as `VectorIndex.search` does; minus infinity stays."""
        if index.similarity != "cosine":
            return scores
        return tf.where(scores == -np.inf, scores, tf.clip_by_value(scores, -1.0, 1.0))

    return search


def _score_float32(module: Any, index: VectorIndex, queries: Any) -> Any:
    import tensorflow as tf

    return tf.matmul(queries, module.vectors, transpose_b=True)


def _score_int8(module: Any, index: VectorIndex, queries: Any) -> Any:
    import tensorflow as tf

    def score(begin: int, end: int) -> Any:
        numbers = tf.cast(module.vectors[begin:end], tf.float32)
        return tf.matmul(queries, numbers, transpose_b=True)

    return tf.concat([score(*block) for block in _blocks(index)], axis=1) * module.scales


def _score_binary(module: Any, index: VectorIndex, queries: Any) -> Any:
    import tensorflow as tf

    query_words = _to_words(_pack(queries, index.dim))  # (batch, words)

    def score(begin: int, end: int) -> Any:
        words = _to_words(module.vectors[begin:end])  # (vectors, words)
        distances = [
            tf.cast(tf.raw_ops.PopulationCount(x=tf.bitwise.bitwise_xor(query_words[:, number, None], word)), tf.int32)
            for number, word in enumerate(tf.unstack(words, axis=1))
        ]
        return tf.add_n(distances)

    distances = tf.concat([score(*block) for block in _blocks(index)], axis=1)
    return 1 - tf.cast(distances, tf.float32) * np.float32(2 / index.dim)


def _make_projection(module: Any, index: VectorIndex) -> Project:
    """Makes a function from prepared queries to their factors of the bits, and the added terms of their scores."""
    import tensorflow as tf

    book = index.codebook
    if book is None:
        scale = np.float32(np.sqrt(index.dim))
        return lambda queries: (queries / scale, tf.zeros_like(queries[:, :1]))
    module.codebook_mean = tf.Variable(book.mean[:, None], trainable=False, name="codebook_mean")
    module.codebook_matrix = tf.Variable(book.matrix, trainable=False, name="codebook_matrix")
    return lambda queries: (tf.matmul(queries, module.codebook_matrix), tf.matmul(queries, module.codebook_mean))


def _make_rescoring(module: Any, index: VectorIndex, candidates: int) -> Callable[[Any, Any], Any]:
    """Makes a function from projected queries and rows, `(batch, candidates)`, to the documents' best scores."""
    import tensorflow as tf

    if len(index.vectors) == len(index):

        def rescore(queries: Any, rows: Any) -> Any:
            signs = _unpack(tf.gather(module.vectors, rows), index.dim)  # (batch, candidates, dim)
            return tf.linalg.matvec(signs, queries)

        return rescore
    module.starts = tf.Variable(index.starts.astype("int32"), trainable=False, name="starts")
    module.counts = tf.Variable(index.counts.astype("int32"), trainable=False, name="counts")

    def rescore_passages(queries: Any, rows: Any) -> Any:
        documents = tf.reshape(rows, [-1])
        starts = tf.gather(module.starts, documents)
        passages = tf.ragged.range(starts, starts + tf.gather(module.counts, documents))
        owners = tf.cast(passages.value_rowids(), tf.int32)  # among the documents of all queries
        signs = _unpack(tf.gather(module.vectors, passages.values), index.dim)  # (passages, dim)
        scores = tf.reduce_sum(signs * tf.gather(queries, owners // candidates), axis=-1)
        return tf.reshape(tf.math.segment_max(scores, owners), [-1, candidates])

    return rescore_passages


def _blocks(index: VectorIndex) -> list[tuple[int, int]]:
    """Returns the begin and end of each block of vectors."""
    length = len(index.vectors)
    step = max(1, NUMBERS_IN_BLOCK // index.dim, -(-length // MOST_BLOCKS))
    return [(begin, min(begin + step, length)) for begin in range(0, length, step)]


def _pack(queries: Any, dim: int) -> Any:
    """Packs the queries' signs, uint8 `(batch, ceil(dim / 8))`."""
    import tensorflow as tf

    width = -(-dim // 8)
    bits = tf.pad(tf.cast(queries > 0, tf.int32), [[0, 0], [0, 8 * width - dim]])
    return tf.cast(tf.reduce_sum(tf.reshape(bits, [-1, width, 8]) * tf.constant(BIT_VALUES), axis=-1), tf.uint8)


def _unpack(codes: Any, dim: int) -> Any:
    """Unpacks bits to 1 and -1: uint8 `(…, ceil(dim / 8))` to float32 `(…, dim)`."""
    import tensorflow as tf

    bits = tf.bitwise.bitwise_and(codes[..., tf.newaxis], tf.constant(BIT_VALUES, tf.uint8))
    signs = tf.where(bits > 0, 1.0, -1.0)
    flat = tf.concat([tf.shape(codes)[:-1], [8 * codes.shape[-1]]], axis=0)
    return tf.reshape(signs, flat)[..., :dim]


def _to_words(codes: Any) -> Any:
    """Casts rows of bytes to rows of the largest integers that divide them."""
    import tensorflow as tf

    width = int(codes.shape[-1])
    size = word_bytes(width)
    if size == 1:
        return codes
    types = {8: tf.int64, 4: tf.int32, 2: tf.int16}
    return tf.bitcast(tf.reshape(codes, [-1, width // size, size]), types[size])
