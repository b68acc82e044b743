"""Questions answered from documents in a version's graph: search, passages, windows, the reader, the text cut out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.models.indexes.exact import VectorIndex
from tfchain.tasks.question_answering.reader_graph import ReaderGraph, cut
from tfchain.tasks.question_answering.retrieval import read_text
from tfchain.tasks.question_answering.windows import Window
from tfchain.tasks.text_graph import to_bytes

ANSWER = "answer"  # text → answers, scores, ids, starts, ends, passages


class PassageTables(NamedTuple):
    """The passages of documents as variables: where they are, and the windows that they are read in.

    Args:
        ids: The documents' ids, string `(documents,)`.
        texts: What is read of each document.
        first_passages: The first passage of each document, and the end, int32 `(documents + 1,)`.
        documents: The document of each passage, int32 `(passages,)`.
        bounds: Where each passage starts and ends in its document, in characters, int32 `(passages, 2)`.
        first_windows: The first window of each passage, and the end, int32 `(passages + 1,)`.
        first_tokens: The first token of each window, and the end, int32 `(windows + 1,)`.
        tokens: The tokens' ids, int32 `(tokens,)`.
        starts: Where each token starts in its document, in characters.
        ends: Where it ends.
    """

    ids: Any
    texts: Any
    first_passages: Any
    documents: Any
    bounds: Any
    first_windows: Any
    first_tokens: Any
    tokens: Any
    starts: Any
    ends: Any


def make_tables(
    module: Any,
    documents: Sequence[Document],
    bounds: Sequence[Sequence[tuple[int, int]]],
    windows: Sequence[Sequence[Sequence[Window]]],
) -> PassageTables:
    """Puts passages into a module as variables.

    Args:
        module: The module.
        documents: The documents, in the order of the index.
        bounds: Of each document, where its passages start and end in what is read of it, in characters.
        windows: Of each document, the windows of each of its passages, which count characters of the passage.
    """
    import tensorflow as tf

    placed = [
        (window, start)
        for own, cuts in zip(bounds, windows, strict=True)
        for (start, _), cut in zip(own, cuts, strict=True)
        for window in cut
    ]
    counts = [len(own) for own in bounds]
    nothing = [np.zeros(0, "int32")]
    arrays = PassageTables(
        ids=[document.id.encode() for document in documents],
        texts=[to_bytes(read_text(document)) for document in documents],
        first_passages=np.cumsum([0, *counts], dtype="int32"),
        documents=np.repeat(np.arange(len(documents), dtype="int32"), counts),
        bounds=np.array([pair for own in bounds for pair in own], dtype="int32").reshape(-1, 2),
        first_windows=np.cumsum([0, *(len(cut) for cuts in windows for cut in cuts)], dtype="int32"),
        first_tokens=np.cumsum([0, *(len(window.ids) for window, _ in placed)], dtype="int32"),
        tokens=np.concatenate([*nothing, *(window.ids for window, _ in placed)]),
        starts=np.concatenate([*nothing, *(window.starts + np.int32(start) for window, start in placed)]),
        ends=np.concatenate([*nothing, *(window.ends + np.int32(start) for window, start in placed)]),
    )
    made = PassageTables(*(tf.Variable(values, trainable=False) for values in arrays))
    module.passage_tables = list(made)
    return made


def make_passage_scores(module: Any, index: VectorIndex, tables: PassageTables, top: int) -> Any:
    """Returns a function from a query's vector and rows of documents to the rows of the best passages among theirs.

    Args:
        module: The module, with the index's vectors.
        index: The index.
        tables: The passages.
        top: The most passages.

    Raises:
        InputError: if the vectors are bits, and documents have several.
    """
    import tensorflow as tf

    stored = index.stored
    if len(stored) == len(index):  # a passage a document
        return lambda query, rows: rows[:top]
    if index.storage.precision == "binary":
        raise InputError(
            "A version finds passages by vectors in float32 or int8. Received: a retriever with binary vectors, and "
            "documents of several passages. Compress its vectors to int8, or split the documents into passages first "
            "(SplitPassages)."
        )

    def choose(query: Any, rows: Any) -> Any:
        ordered = tf.sort(rows)  # equal scores keep the order of the documents
        passages = tf.ragged.range(
            tf.gather(tables.first_passages, ordered), tf.gather(tables.first_passages, ordered + 1)
        ).values
        vectors = tf.cast(tf.gather(module.vectors, passages), tf.float32)
        if index.similarity == "cosine":
            query = query / tf.maximum(tf.norm(query), 1e-12)
        scores = tf.linalg.matvec(vectors, query)
        if stored.scales is not None:
            scores = scores * tf.gather(module.scales, passages)
        count = tf.minimum(tf.size(passages), top)
        return tf.gather(passages, tf.math.top_k(scores, k=count).indices)

    return choose


def answer_all(
    reader: ReaderGraph, tables: PassageTables, choose: Any, questions: Any, vectors: Any, rows: Any, *, top_k: int
) -> dict[str, Any]:
    """Answers questions, one after the other, so that memory holds one question's windows.

    Args:
        reader: The reader.
        tables: The passages.
        choose: What `make_passage_scores` returns.
        questions: string `(batch,)`.
        vectors: The retriever's vectors of them, float32 `(batch, dim)`.
        rows: The rows of the documents found, int32 `(batch, documents)`.
        top_k: The number of answers.

    Returns:
        `answers`, `scores`, `ids`, `starts`, `ends` and `passages`, `(batch, top_k)`.
    """
    import tensorflow as tf

    tokens = reader.tokenize_questions(questions)

    def answer(row: Any) -> Any:
        passages = choose(vectors[row], rows[row])
        windows = tf.ragged.range(
            tf.gather(tables.first_windows, passages), tf.gather(tables.first_windows, passages + 1)
        )
        owners = tf.gather(passages, windows.value_rowids())  # the passage of each window
        places = tf.ragged.range(
            tf.gather(tables.first_tokens, windows.values), tf.gather(tables.first_tokens, windows.values + 1)
        )
        ids, starts, ends = (
            places.with_values(tf.gather(table, places.values)).with_row_splits_dtype(tf.int64)
            for table in (tables.tokens, tables.starts, tables.ends)
        )
        documents = tf.gather(tables.documents, owners)
        spans = reader.read(tokens[row], ids, starts, ends, documents, top_k=top_k)
        found = tf.where(spans.windows >= 0, tf.gather(owners, tf.maximum(spans.windows, 0)), -1)
        return found, spans.starts, spans.ends, spans.scores

    whole = tf.TensorSpec([top_k], tf.int32)
    types = (whole, whole, whole, tf.TensorSpec([top_k], tf.float32))
    each = tf.range(tf.size(questions))
    found, starts, ends, scores = tf.map_fn(answer, each, fn_output_signature=types, parallel_iterations=1)
    is_there, passages = found >= 0, tf.maximum(found, 0)
    documents = tf.gather(tables.documents, passages)
    texts = tf.gather(tables.texts, documents)
    bounds = tf.gather(tables.bounds, passages)
    return {
        "answers": cut(texts, starts, ends),
        "scores": scores,
        "ids": tf.where(is_there, tf.gather(tables.ids, documents), ""),
        "starts": starts,
        "ends": ends,
        "passages": cut(texts, tf.where(is_there, bounds[..., 0], -1), bounds[..., 1]),
    }
