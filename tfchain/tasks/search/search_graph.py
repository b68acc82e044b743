"""Search as a TensorFlow graph: tokenizer, encoder, vectors and documents in one module that needs no Python."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.proof import TOLERANCE, Proof
from tfchain.core.signatures import SEARCH_FILTERED, SERVING_DEFAULT, TOKENIZE_QUERY, Halves
from tfchain.models.indexes.exact import VectorIndex
from tfchain.models.indexes.exact_graph import make_search
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.blanks import widen
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.text_graph import TextGraph, check_signatures, to_array, to_bytes
from tfchain.tasks.ties import find_ties

SEARCH = "search"  # text → ids, scores, texts, with the model's prompt for queries
SEARCH_VECTORS = "search_vectors"  # half of search: embedding → ids, scores, texts
SEARCH_FILTERED_VECTORS = "search_filtered_vectors"  # half of search_filtered: embedding, allowed → ids, scores, texts


def make_search_graph(
    text_encoder: TextEncoder,
    index: DocumentIndex | None,
    *,
    top_k: int = 10,
    signatures: str = "text",
    litert: TextEncoder | None = None,
) -> TextGraph:
    """Makes the graph of a version that searches.

    Args:
        text_encoder: Tokenizer and encoder.
        index: The documents; if None or empty, there is no search.
        top_k: The number of documents that a search returns; all, if there are fewer. Default: 10.
        signatures: `text`: `serving_default` and `search` (text → ids, scores, texts), `embed` (text → embedding, with
            the model's default prompt, if it has one) and `embed_ids` (token ids → embedding); if a document has
            metadata, also `search_filtered`, which takes booleans for the documents that may be found. `ids`:
            `embed_ids` only, which needs no op of TF Text. Default: `text`.
        litert: The text encoder, run by LiteRT, of the flatbuffer beside the SavedModel. For a server that runs it, the
            halves of the text signatures are then signatures too: `tokenize` and `tokenize_query` (text → token_ids,
            padding_mask; with the default prompt, for `embed`, and with the query's, for `search`) and `search_vectors`
            (embedding → ids, scores, texts). Default: none, and no halves.

    Returns:
        The graph. With a tokenizer that has no graph yet, it has `embed_ids` only, and a warning is logged.

    Raises:
        InputError: if `top_k` or `signatures` is out of range, or TensorFlow does not compute in the text encoder's
            precision.
    """
    top_k = check_graph_options(top_k, signatures)
    index = None if index is None else index.snapshot()
    documents = [] if index is None else [document.full_text for document in index]
    graph = TextGraph(text_encoder, name="search", texts=documents, signatures=signatures, litert=litert)
    if not graph.has_text or index is None or not len(index):
        return graph
    top_k = min(top_k, len(index))
    look_up = _make_lookup(graph.module, index, top_k)
    prompt = text_encoder.query_prompt
    graph.add(SEARCH, look_up, prompt=prompt, tokenize=TOKENIZE_QUERY, answer_name=SEARCH_VECTORS)
    graph.add_alias(SERVING_DEFAULT, SEARCH)
    texts, vectors = _choose_queries(graph, index, prompt)
    outputs, ties = list_expected(index, vectors, top_k, graph.tolerance)
    graph.prove(SERVING_DEFAULT, texts, vectors, outputs, ties=ties)
    if has_metadata(index):
        _add_filtered(graph, look_up, prompt, len(index))
        graph.proofs.extend(_prove_filtered(graph, index, texts, vectors, top_k))
    return graph


def has_metadata(index: DocumentIndex) -> bool:
    """Returns whether a document has metadata, by which searches can be filtered."""
    return any(document.metadata for document in index)


def check_graph_options(top_k: Any, signatures: Any) -> int:
    """Checks the options of `make_search_graph`, and returns `top_k` as an int.

    Raises:
        InputError: if an option is out of range.
    """
    check_signatures(signatures)
    return check_whole_number("top_k", top_k, advice="Ask for one hit or more.")


def _make_lookup(module: Any, index: DocumentIndex, top_k: int) -> Any:
    """Adds the index to the module as variables, and returns a function from query vectors to the best documents.

    Its second argument, booleans `(documents,)`, says which may be found. Default: all.
    """
    import tensorflow as tf

    documents = list(index)
    search = make_search(module, index.vectors, top_k)
    ids = [document.id.encode() for document in documents]
    texts = [to_bytes(document.text or document.title) for document in documents]
    module.ids = tf.Variable(ids, trainable=False, name="ids")
    module.texts = tf.Variable(texts, trainable=False, name="texts")

    def look_up(queries: Any, allowed: Any = None) -> dict[str, Any]:
        scores, rows = search(queries, allowed)
        found = {"ids": tf.gather(module.ids, rows), "texts": tf.gather(module.texts, rows)}
        if allowed is not None:
            found = {name: tf.where(scores == -np.inf, "", strings) for name, strings in found.items()}
        return {**found, "scores": scores}

    return look_up


def _add_filtered(graph: TextGraph, look_up: Any, prompt: str, num_documents: int) -> None:
    """Adds `search_filtered`, which searches some documents only: where there are too few, the hits end in blanks."""
    import tensorflow as tf

    text_spec = tf.TensorSpec([None], tf.string, name="text")
    allowed_spec = tf.TensorSpec([num_documents], tf.bool, name="allowed")

    def search_filtered(text: Any, allowed: Any) -> dict[str, Any]:
        return look_up(graph.to_vectors(text, prompt), allowed)

    graph.signatures[SEARCH_FILTERED] = tf.function(
        search_filtered, input_signature=[text_spec, allowed_spec], autograph=False
    )
    if graph.litert is not None:

        def search_vectors(embedding: Any, allowed: Any) -> dict[str, Any]:
            return look_up(embedding, allowed)

        vector_spec = tf.TensorSpec([None, graph.text_encoder.embedding_dim], tf.float32, name="embedding")
        graph.halves[SEARCH_FILTERED] = Halves(TOKENIZE_QUERY, SEARCH_FILTERED_VECTORS)
        graph.signatures[SEARCH_FILTERED_VECTORS] = tf.function(
            search_vectors, input_signature=[vector_spec, allowed_spec], autograph=False
        )


def _choose_queries(graph: TextGraph, index: DocumentIndex, prompt: str) -> tuple[list[str], np.ndarray]:
    """Returns the texts to prove a search with, and their vectors."""
    import tensorflow as tf

    texts = [text for text in graph.texts if text.strip()]
    vectors = graph.text_encoder.encode_query(texts, progress=False)
    if index.vectors.storage.precision != "binary":
        return texts, vectors
    # Rounding decides the sign of a number near zero, and the first scores depend on signs. So the proof searches the
    # graph's own vectors, if they equal Python's up to rounding, and only those with clear signs.
    text_spec = [tf.TensorSpec([None], tf.string)]
    own = tf.function(lambda text: graph.to_vectors(text, prompt), input_signature=text_spec)
    found = own(tf.constant(to_array(texts))).numpy()
    if np.abs(found - vectors).max() <= graph.tolerance * max(1.0, np.abs(vectors).max()):
        vectors = found
    rows = np.flatnonzero(has_clear_signs(index.vectors, vectors))
    return [texts[row] for row in rows], vectors[rows]


def _prove_filtered(
    graph: TextGraph, index: DocumentIndex, texts: Sequence[str], vectors: np.ndarray, top_k: int
) -> list[Proof]:
    """Returns the proofs of `search_filtered` and of its half."""
    proof = prove_filtered(index, texts, vectors, top_k, graph.tolerance)
    if SEARCH_FILTERED_VECTORS not in graph.signatures:
        return [proof]
    inputs = {"embedding": vectors, "allowed": proof.inputs["allowed"]}
    return [proof, dataclasses.replace(proof, signature=SEARCH_FILTERED_VECTORS, inputs=inputs)]


def prove_filtered(
    index: DocumentIndex, texts: Sequence[str], vectors: np.ndarray, top_k: int, tolerance: float
) -> Proof:
    """Returns a proof of `search_filtered`: every third document may not be found, the first one among them.

    Args:
        index: The documents.
        texts: The queries.
        vectors: Their vectors, float32 `(queries, dim)`.
        top_k: The number of documents that the version returns.
        tolerance: The largest rounding error of a score.
    """
    allowed = np.arange(len(index)) % 3 != 0
    outputs, ties = list_expected(index, vectors, top_k, tolerance, allowed)
    inputs = {"text": to_array(texts), "allowed": allowed}
    return Proof(SEARCH_FILTERED, inputs, outputs, ties, is_warm_up=False, tolerance=tolerance)


def list_expected(
    index: DocumentIndex, vectors: np.ndarray, top_k: int, tolerance: float, allowed: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the outputs that a version must give for query vectors, and their ties, as in `Proof`.

    Args:
        index: The documents.
        vectors: float32 `(queries, dim)`.
        top_k: The number of documents.
        tolerance: The largest rounding error of a score.
        allowed: Which documents may be found; blanks follow if they are fewer than `top_k`. Default: all.
    """
    # One more hit than is served shows whether the last hit is tied with the next.
    more = index.search(vectors, top_k, more=1, allowed=allowed)
    scores = np.array([[hit.score for hit in hits] for hits in more], "float32")
    found = [hits[:top_k] for hits in more]
    outputs = {
        "ids": np.array([[hit.id.encode() for hit in hits] for hits in found], dtype=object),
        "scores": scores[:, :top_k],
        "texts": np.array([[to_bytes(hit.text or hit.title) for hit in hits] for hits in found], dtype=object),
    }
    outputs = {name: widen(table, top_k) for name, table in outputs.items()}
    ties = find_ties(scores, tolerance)[:, :top_k]
    ties = np.pad(ties, ((0, 0), (0, top_k - ties.shape[1])))
    return outputs, {"ids": ties, "texts": ties}


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
