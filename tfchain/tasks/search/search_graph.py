"""Search as a TensorFlow graph: tokenizer, encoder, vectors and documents in one module that needs no Python."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.proof import Proof
from tfchain.core.signatures import SEARCH_FILTERED, SERVING_DEFAULT, TOKENIZE_QUERY, Halves
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.blanks import widen
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.search_lookup import SEARCH, choose_queries, has_metadata, make_lookup
from tfchain.tasks.search.second_stage import SecondStage
from tfchain.tasks.text_graph import TextGraph, check_signatures, to_array, to_bytes
from tfchain.tasks.ties import find_ties

SEARCH_VECTORS = "search_vectors"  # half of search: embedding → ids, scores, texts
SEARCH_FILTERED_VECTORS = "search_filtered_vectors"  # half of search_filtered: embedding, allowed → ids, scores, texts


def make_search_graph(
    text_encoder: TextEncoder,
    index: DocumentIndex | None,
    *,
    top_k: int = 10,
    signatures: str = "text",
    litert: TextEncoder | None = None,
    second_stage: SecondStage | None = None,
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
            (embedding → ids, scores, texts); not for queries with an encoder of their own. Default: none, no halves.
        second_stage: A reranker, in a precision in which TensorFlow computes: the best documents are then put in order
            by it, in the graph, and there is a signature `rerank` (text, text_pair → score, output). Default: none.

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
    prompt = graph.query_prompt
    if second_stage is not None:
        from tfchain.tasks.search.reranked_graph import add_reranked_search

        add_reranked_search(graph, index, second_stage, top_k=top_k)
        return graph
    look_up = make_lookup(graph.module, index, top_k)
    graph.add(SEARCH, look_up, prompt=prompt, tokenize=TOKENIZE_QUERY, role="query", answer_name=SEARCH_VECTORS)
    graph.add_alias(SERVING_DEFAULT, SEARCH)
    texts, vectors = choose_queries(graph, index, prompt)
    outputs, ties = list_expected(index, vectors, top_k, graph.tolerance)
    graph.prove(SERVING_DEFAULT, texts, vectors, outputs, ties=ties)
    if has_metadata(index):
        _add_filtered(graph, look_up, prompt, len(index))
        graph.proofs.extend(_prove_filtered(graph, index, texts, vectors, top_k))
    return graph


def check_graph_options(top_k: Any, signatures: Any) -> int:
    """Checks the options of `make_search_graph`, and returns `top_k` as an int.

    Raises:
        InputError: if an option is out of range.
    """
    check_signatures(signatures)
    return check_whole_number("top_k", top_k, advice="Ask for one hit or more.")


def _add_filtered(graph: TextGraph, look_up: Any, prompt: str, num_documents: int) -> None:
    """Adds `search_filtered`, which searches some documents only: where there are too few, the hits end in blanks."""
    import tensorflow as tf

    text_spec = tf.TensorSpec([None], tf.string, name="text")
    allowed_spec = tf.TensorSpec([num_documents], tf.bool, name="allowed")

    def search_filtered(text: Any, allowed: Any) -> dict[str, Any]:
        return look_up(graph.to_vectors(text, prompt, "query"), allowed)

    graph.signatures[SEARCH_FILTERED] = tf.function(
        search_filtered, input_signature=[text_spec, allowed_spec], autograph=False
    )
    if graph.has_halves("query"):

        def search_vectors(embedding: Any, allowed: Any) -> dict[str, Any]:
            return look_up(embedding, allowed)

        vector_spec = tf.TensorSpec([None, graph.text_encoder.embedding_dim], tf.float32, name="embedding")
        graph.halves[SEARCH_FILTERED] = Halves(TOKENIZE_QUERY, SEARCH_FILTERED_VECTORS)
        graph.signatures[SEARCH_FILTERED_VECTORS] = tf.function(
            search_vectors, input_signature=[vector_spec, allowed_spec], autograph=False
        )


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
