"""A version of question answering: one SavedModel with search, reader, and the signatures `answer` and `reader`."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from tfchain.core.signatures import SERVING_DEFAULT, TOKENIZE_QUERY
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.question_answering.answer_graph import ANSWER, answer_all, make_passage_scores, make_tables
from tfchain.tasks.question_answering.asking import RetrieverParts
from tfchain.tasks.question_answering.options import ReadingOptions
from tfchain.tasks.question_answering.proofs import prove_answers, prove_reader
from tfchain.tasks.question_answering.reader_graph import ReaderGraph
from tfchain.tasks.question_answering.reader_state import ReaderState
from tfchain.tasks.question_answering.retrieval import PassagePlaces, read_text
from tfchain.tasks.question_answering.windows import Window, cut_windows
from tfchain.tasks.search.search_graph import SEARCH_VECTORS, list_expected
from tfchain.tasks.search.search_lookup import SEARCH, choose_queries, make_lookup
from tfchain.tasks.search.served_precision import to_served
from tfchain.tasks.served_encoder import to_served_encoder, to_tensorflow
from tfchain.tasks.stages import Served
from tfchain.tasks.text_graph import TextGraph

logger = logging.getLogger(__name__)

READER = "reader"  # question, context → answers, scores, starts, ends
SEARCHED = 10  # documents that `search` returns, at least as many as are read


def make_served(
    model: TextEncoder,
    state: ReaderState,
    options: ReadingOptions,
    *,
    signatures: str = "text",
    version: Mapping[str, Any],
) -> Served:
    """Makes a version.

    `answer` and `serving_default` take `text`, and give `answers`, `scores`, `ids`, `starts`, `ends` and `passages`,
    `(batch, top_k)`; `search` is the retriever's; `reader` takes `question` and `context`, where the reader's tokenizer
    is WordPiece, and gives the first four but the ids. Without documents, `serving_default` is `reader`.

    Args:
        model: The reader.
        state: Its threshold, and the sample that int8 is calibrated on.
        options: How texts are read.
        signatures: `text`, or `ids` for `embed_ids` of the reader only. Default: `text`.
        version: `top_k` answers of `passages` passages, by `retriever`, a `RetrieverParts` or None.
    """
    top_k, passages = int(version["top_k"]), int(version["passages"])
    retriever: RetrieverParts | None = version["retriever"]
    if retriever is None or signatures == "ids":
        return _serve_reader(model, state, options, signatures=signatures, top_k=top_k)
    reader = to_tensorflow(model, state.sample)
    made = to_served(retriever.model, retriever.index, retriever.passages)
    assert made.index is not None  # there are documents
    parts = dataclasses.replace(retriever, model=made.text_encoder, index=made.index)
    documents = list(parts.index)
    texts = [document.full_text for document in documents]
    graph = TextGraph(made.text_encoder, name="question_answering", texts=texts, litert=made.litert)
    description = {
        "documents": len(documents),
        "has_metadata": False,
        "top_k": top_k,
        "passages": passages,
        "threshold": state.threshold,
        **_describe(model, graph, made.description),
    }
    if graph.has_text:
        stage = ReaderGraph(graph.module, reader, options, state.threshold)
        _add_answer(graph, stage, parts, top_k=top_k, passages=passages)
        questions = choose_queries(graph, parts.index, graph.query_prompt)[0]
        read: dict[str, Any] = {"options": options, "threshold": state.threshold, "top_k": top_k}
        graph.proofs += prove_answers(reader, parts, questions, passages=passages, tolerance=graph.tolerance, **read)
        _add_reader(graph, stage, reader, texts, **read)
    return Served(graph, {**made.files, **graph.text_files}, description)


def _serve_reader(
    model: TextEncoder, state: ReaderState, options: ReadingOptions, *, signatures: str, top_k: int
) -> Served:
    """Makes a version without documents."""
    served = to_served_encoder(model, state.sample)
    encoder = served.text_encoder
    graph = TextGraph(encoder, name="question_answering", signatures=signatures, litert=served.litert)
    if graph.has_text:
        stage = ReaderGraph(graph.module, encoder, options, state.threshold)
        _add_reader(graph, stage, encoder, (), options=options, threshold=state.threshold, top_k=top_k)
        if READER in graph.signatures:
            graph.add_alias(SERVING_DEFAULT, READER)
    description = {"top_k": top_k, "threshold": state.threshold, **_describe(model, graph, served.description)}
    return Served(graph, {**served.files, **graph.text_files}, description)


def _describe(model: TextEncoder, graph: TextGraph, described: Mapping[str, Any]) -> dict[str, Any]:
    return {"fingerprint": model.fingerprint, "max_length": model.longest, "text_model": graph.text_model, **described}


def _add_answer(graph: TextGraph, stage: ReaderGraph, parts: RetrieverParts, *, top_k: int, passages: int) -> None:
    """Adds `search`, `answer` and `serving_default`."""
    import tensorflow as tf

    documents = list(parts.index)
    found = min(max(SEARCHED, passages), len(documents))
    prompt = graph.query_prompt
    look_up = make_lookup(graph.module, parts.index, found)
    graph.add(
        SEARCH, lambda vectors: look_up(vectors), prompt=prompt, tokenize=TOKENIZE_QUERY, role="query",
        answer_name=SEARCH_VECTORS,
    )  # fmt: skip
    texts, vectors = choose_queries(graph, parts.index, prompt)
    outputs, ties = list_expected(parts.index, vectors, found, graph.tolerance)
    graph.prove(SEARCH, texts, vectors, outputs, ties=ties)
    bounds = PassagePlaces(len(documents)).find(parts.model, documents, parts.passages)
    tables = make_tables(graph.module, documents, bounds, _cut_all(stage, documents, bounds))
    choose = make_passage_scores(graph.module, parts.index.vectors, tables, passages)

    def answer(text: Any) -> dict[str, Any]:
        asked = graph.to_vectors(text, prompt, "query")
        rows = look_up(asked, rows=True)["rows"][:, :passages]
        return answer_all(stage, tables, choose, text, asked, rows, top_k=top_k)

    spec = [tf.TensorSpec([None], tf.string, name="text")]
    graph.signatures[ANSWER] = tf.function(answer, input_signature=spec, autograph=False)
    graph.signatures[SERVING_DEFAULT] = graph.signatures[ANSWER]


def _cut_all(
    stage: ReaderGraph, documents: Sequence[Any], bounds: Sequence[Sequence[tuple[int, int]]]
) -> list[list[list[Window]]]:
    """Returns the windows of each passage of each document."""
    texts = [
        read_text(document)[start:end] for document, own in zip(documents, bounds, strict=True) for start, end in own
    ]
    cuts = iter(cut_windows(stage.host, texts, stage.options))
    return [[next(cuts) for _ in own] for own in bounds]


def _add_reader(
    graph: TextGraph,
    stage: ReaderGraph,
    reader: TextEncoder,
    texts: Sequence[str],
    *,
    options: ReadingOptions,
    threshold: float | None,
    top_k: int,
) -> None:
    """Adds `reader`, if the tokenizer's graph says where tokens are."""
    import tensorflow as tf

    if not stage.has_offsets:
        logger.warning(
            "The version has no signature %r: only WordPiece's graph says where a token is in a text. Questions about "
            "the documents are answered all the same.",
            READER,
        )
        return
    specs = [tf.TensorSpec([None], tf.string, name=name) for name in ("question", "context")]
    graph.signatures[READER] = tf.function(
        lambda question, context: stage.answer(question, context, top_k=top_k), input_signature=specs, autograph=False
    )
    contexts = [*graph.texts, *texts[:2]]
    graph.proofs += prove_reader(
        reader, contexts, options=options, threshold=threshold, top_k=top_k, tolerance=graph.tolerance, name=READER
    )
