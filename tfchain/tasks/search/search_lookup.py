"""What the graphs of a search share: from query vectors to the best documents, and the queries that prove it."""

from typing import Any

import numpy as np

from tfchain.core.proof import TOLERANCE
from tfchain.models.indexes.exact import VectorIndex
from tfchain.models.indexes.exact_graph import make_search
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.text_graph import TextGraph, to_array, to_bytes

SEARCH = "search"  # text → ids, scores, texts, with the model's prompt for queries


def has_metadata(index: DocumentIndex) -> bool:
    """Returns whether a document has metadata, by which searches can be filtered."""
    return any(document.metadata for document in index)


def make_lookup(module: Any, index: DocumentIndex, top_k: int) -> Any:
    """Adds the index to the module as variables, and returns a function from query vectors to the best documents.

    Its second argument, booleans `(documents,)`, says which may be found. Default: all. With `rows=True` the outputs
    include the documents' rows.
    """
    import tensorflow as tf

    documents = list(index)
    search = make_search(module, index.vectors, top_k)
    ids = [document.id.encode() for document in documents]
    texts = [to_bytes(document.text or document.title) for document in documents]
    module.ids = tf.Variable(ids, trainable=False, name="ids")
    module.texts = tf.Variable(texts, trainable=False, name="texts")

    def look_up(queries: Any, allowed: Any = None, *, rows: bool = False) -> dict[str, Any]:
        scores, places = search(queries, allowed)
        found = {"ids": tf.gather(module.ids, places), "texts": tf.gather(module.texts, places)}
        if allowed is not None:
            found = {name: tf.where(scores == -np.inf, "", strings) for name, strings in found.items()}
        return {**found, "scores": scores} | ({"rows": places} if rows else {})

    return look_up


def choose_queries(graph: TextGraph, index: DocumentIndex, prompt: str) -> tuple[list[str], np.ndarray]:
    """Returns the texts to prove a search with, and their vectors."""
    import tensorflow as tf

    texts = [text for text in graph.texts if text.strip()]
    vectors = graph.text_encoder.encode_query(texts, progress=False)
    if index.vectors.storage.precision != "binary":
        return texts, vectors
    # Rounding decides the sign of a number near zero, and the first scores depend on signs. So the proof searches the
    # graph's own vectors, if they equal Python's up to rounding, and only those with clear signs.
    text_spec = [tf.TensorSpec([None], tf.string)]
    own = tf.function(lambda text: graph.to_vectors(text, prompt, "query"), input_signature=text_spec)
    found = own(tf.constant(to_array(texts))).numpy()
    if np.abs(found - vectors).max() <= graph.tolerance * max(1.0, np.abs(vectors).max()):
        vectors = found
    rows = np.flatnonzero(has_clear_signs(index.vectors, vectors))
    return [texts[row] for row in rows], vectors[rows]


def has_clear_signs(index: VectorIndex, queries: np.ndarray) -> np.ndarray:
    """Returns which queries are compared with bits by signs that rounding does not flip.

    Args:
        index: An index of binary vectors.
        queries: float32 `(queries, dim)`.

    Returns:
        Booleans `(queries,)`; all True if no query has clear signs.
    """
    sizes = np.abs(index.project(index.prepare(queries))[0])
    clear: np.ndarray = ((sizes == 0) | (sizes > TOLERANCE * sizes.max(axis=1, keepdims=True))).all(axis=1)
    return clear if clear.any() else np.ones_like(clear)
