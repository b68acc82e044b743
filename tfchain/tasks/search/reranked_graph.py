"""Search and reranking as a TensorFlow graph: a query in, the reranked passages out."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfchain.core.proof import Proof
from tfchain.core.signatures import RERANK, SEARCH_FILTERED, SERVING_DEFAULT
from tfchain.models.precision import TOLERANCES
from tfchain.models.tokenizers.pairs import join_pair
from tfchain.models.tokenizers.prompted_pairs import PromptedPairTokenizer
from tfchain.tasks.reranking.passages import cut_documents, tokenize_passages
from tfchain.tasks.reranking.scoring import activate
from tfchain.tasks.search.blanks import widen
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.search_lookup import SEARCH, choose_queries, has_metadata, make_lookup
from tfchain.tasks.search.second_stage import SecondStage, rerank_hits
from tfchain.tasks.search.second_stage_graph import PromptedStageGraph, SecondStageGraph, order_by_score
from tfchain.tasks.text_graph import TextGraph, to_array, to_bytes
from tfchain.tasks.ties import find_ties


def add_reranked_search(graph: TextGraph, index: DocumentIndex, stage: SecondStage, *, top_k: int) -> None:
    """Adds `search` and `serving_default` with both stages, `search_filtered` if documents have metadata, and `rerank`.

    They have no halves: a server that runs the first encoder by LiteRT answers them by the SavedModel.

    Args:
        graph: The graph; it must answer texts.
        index: The documents.
        stage: The reranker, in a precision in which TensorFlow computes.
        top_k: The number of documents that a search returns.
    """
    import tensorflow as tf

    second, stage = make_stage_graph(graph.module, stage, [document.full_text for document in index])
    look_up = make_lookup(graph.module, index, count_candidates(stage, index, top_k))
    prompt = graph.query_prompt

    def search(text: Any, allowed: Any = None) -> dict[str, Any]:
        found = look_up(graph.to_vectors(text, prompt, "query"), allowed, rows=True)
        return order_by_score(found, second.score_rows(text, found["rows"]), top_k)

    def rerank(text: Any, text_pair: Any) -> dict[str, Any]:
        score, output = second.score_pairs(text, text_pair)
        return {"score": score, "output": output}

    text_spec, pair_spec = (tf.TensorSpec([None], tf.string, name=name) for name in ("text", "text_pair"))
    graph.signatures[SEARCH] = tf.function(lambda text: search(text), input_signature=[text_spec], autograph=False)
    graph.add_alias(SERVING_DEFAULT, SEARCH)
    graph.signatures[RERANK] = tf.function(rerank, input_signature=[text_spec, pair_spec], autograph=False)
    texts, vectors = choose_queries(graph, index, prompt)
    tolerance = max(graph.tolerance, TOLERANCES[stage.model.precision])
    graph.proofs.append(prove_reranked(index, stage, texts, vectors, top_k=top_k, tolerance=tolerance))
    graph.proofs.append(_prove_rerank(graph, stage, tolerance))
    if has_metadata(index):
        allowed_spec = tf.TensorSpec([len(index)], tf.bool, name="allowed")
        graph.signatures[SEARCH_FILTERED] = tf.function(
            search, input_signature=[text_spec, allowed_spec], autograph=False
        )
        allowed = np.arange(len(index)) % 3 != 0
        graph.proofs.append(
            prove_reranked(index, stage, texts, vectors, top_k=top_k, tolerance=tolerance, allowed=allowed)
        )


def make_stage_graph(module: Any, stage: SecondStage, documents: list[str]) -> tuple[Any, SecondStage]:
    """Makes the graph of a reranker, and its stage in Python, which knows the same vectors of documents."""
    if stage.late is None:
        tokenizer = stage.model.tokenizer
        if isinstance(tokenizer, PromptedPairTokenizer):
            return PromptedStageGraph(module, stage.model, cut_documents(tokenizer, documents)), stage
        return SecondStageGraph(module, stage.model, tokenize_passages(tokenizer, documents)), stage
    from tfchain.tasks.late_interaction.encoding import TokenMemory, encode_documents
    from tfchain.tasks.late_interaction.maxsim_graph import LateStageGraph

    passages, firsts = encode_documents(stage.model, documents, stage.late, progress=None)
    memory = TokenMemory(2 * passages.nbytes + 2**20)  # all of them
    memory.fill(stage.model, documents, stage.late, passages, firsts)
    made = LateStageGraph(module, stage.model, stage.late, passages, firsts)
    return made, dataclasses.replace(stage, token_memory=memory)


def count_candidates(stage: SecondStage, index: DocumentIndex, top_k: int) -> int:
    """Returns how many documents of a search are reranked."""
    return min(max(stage.top, top_k), len(index))


def prove_reranked(
    index: DocumentIndex,
    stage: SecondStage,
    texts: list[str],
    vectors: np.ndarray,
    *,
    top_k: int,
    tolerance: float,
    allowed: np.ndarray | None = None,
) -> Proof:
    """Returns the proof of a search with both stages, or of a filtered one; queries with a tie at the cut are left out.

    Args:
        index: The documents.
        stage: The reranker; its time budget does not count.
        texts: The queries.
        vectors: Their vectors.
        top_k: The number of documents in an answer.
        tolerance: The largest rounding error of a score.
        allowed: Which documents may be found. Default: all.
    """
    count = count_candidates(stage, index, top_k)
    untimed = dataclasses.replace(stage, top=count, within_ms=None)
    asked, scores, found = [], [], []
    for text, hits in zip(texts, index.search(vectors, count, more=1, allowed=allowed), strict=True):
        is_cut = len(hits) > count
        if is_cut and hits[count - 1].score - hits[count].score <= tolerance * max(1.0, abs(hits[0].score)):
            continue
        asked.append(text)
        ranked = rerank_hits(untimed, text, hits[:count], top_k=top_k + 1)
        found.append(ranked[:top_k])
        scores.append(np.array([hit.score for hit in ranked], "float32"))
    outputs: Mapping[str, np.ndarray] = {
        "ids": _to_table([[hit.id.encode() for hit in hits] for hits in found]),
        "scores": np.array([[hit.score for hit in hits] for hits in found], "float32"),
        "texts": _to_table([[to_bytes(hit.text or hit.title) for hit in hits] for hits in found]),
    }
    outputs = {name: widen(table, top_k) for name, table in outputs.items()}
    ties = find_ties(np.array(scores, "float32"), tolerance)[:, :top_k]
    ties = np.pad(ties, ((0, 0), (0, top_k - ties.shape[1])))
    inputs = {"text": to_array(asked)} | ({} if allowed is None else {"allowed": allowed})
    name = SERVING_DEFAULT if allowed is None else SEARCH_FILTERED
    return Proof(name, inputs, outputs, {"ids": ties, "texts": ties}, is_warm_up=allowed is None, tolerance=tolerance)


def _prove_rerank(graph: TextGraph, stage: SecondStage, tolerance: float) -> Proof:
    """Returns the proof of `rerank`, for pairs of each text with the next."""
    firsts, seconds = graph.texts, [*graph.texts[1:], graph.texts[0]]
    if stage.late is None:
        joined = [join_pair(*pair) for pair in zip(firsts, seconds, strict=True)]
        outputs = stage.model.encode(joined, prompt="", progress=False)[:, 0]
        expected = {"score": activate(outputs, "sigmoid"), "output": outputs}
    else:
        from tfchain.tasks.late_interaction.scoring import score_pairs

        outputs = score_pairs(stage.model, firsts, seconds, stage.late.scale)
        expected = {"score": outputs, "output": outputs}
    inputs = {"text": to_array(firsts), "text_pair": to_array(seconds)}
    return Proof(RERANK, inputs, expected, tolerance=tolerance)


def _to_table(rows: list[list[bytes]]) -> np.ndarray:
    table = np.empty((len(rows), len(rows[0]) if rows else 0), dtype=object)
    for number, row in enumerate(rows):
        table[number, :] = row
    return table
