"""Reranking inside a version's graph: query and passages joined, scored, and put in order."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import PAIR
from tfchain.tasks.encoder_graph import make_graph_tokenizer
from tfchain.tasks.reranking.passages import PassageTokens
from tfchain.tasks.text_graph import to_bytes


class _StageGraph:
    """A cross-encoder as part of a module.

    Args:
        module: The module, which gets the reranker's tokenizer and its weights.
        model: The cross-encoder, in a precision in which TensorFlow computes.
        arrays: What the module keeps of the passages, by name.

    Raises:
        InputError: if the reranker's tokenizer has no graph.
    """

    def __init__(self, module: Any, model: TextEncoder, arrays: Mapping[str, Any]) -> None:
        import tensorflow as tf

        self._tokenizer = make_graph_tokenizer(model.tokenizer)
        module.reranker_tokenizer = self._tokenizer  # its pieces and tables are resources, saved with the module
        self._max_length = model.tokenizer.max_length
        self._encoder = model.runner.compute_encoder
        module.reranker = [weight.value for weight in self._encoder.weights]
        for name, array in arrays.items():
            setattr(module, name, tf.Variable(array, trainable=False, name=name))
        specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in ("token_ids", "padding_mask")]
        self._encode = tf.function(self._call_encoder, input_signature=specs, autograph=False)

    def score_pairs(self, text: Any, text_pair: Any) -> tuple[Any, Any]:
        """Returns scores from 0 to 1, and outputs, for pairs: string `(batch,)` twice → float32 `(batch,)` twice."""
        import tensorflow as tf

        outputs = self._score_joined(text, text_pair)
        return tf.sigmoid(outputs), outputs

    def _score_joined(self, text: Any, text_pair: Any) -> Any:
        """Returns the outputs of pairs of texts, float32 `(batch,)`."""
        import tensorflow as tf

        joined = tf.strings.join([tf.strings.regex_replace(text, PAIR, ""), PAIR, text_pair])
        return self._encode(*self._tokenizer(joined, self._max_length))[:, 0]

    def _call_encoder(self, token_ids: Any, padding_mask: Any) -> Any:
        return self._encoder({"token_ids": token_ids, "padding_mask": padding_mask}, training=False)


class SecondStageGraph(_StageGraph):
    """A cross-encoder whose pairs are joined of token ids: those of the passages are in the module.

    Args:
        module: The module, which gets the reranker's tokenizer, its weights and the passages' token ids.
        model: The cross-encoder, in a precision in which TensorFlow computes.
        passages: The token ids of the documents' passages, in the order of the index.

    Raises:
        InputError: if the reranker's tokenizer has no graph.
    """

    def __init__(self, module: Any, model: TextEncoder, passages: PassageTokens) -> None:
        arrays = {"passage_ids": passages.ids, "passage_starts": passages.starts, "first_passages": passages.firsts}
        super().__init__(module, model, arrays)
        self._ids, self._starts = module.passage_ids, module.passage_starts
        self._firsts = module.first_passages

    def score_rows(self, queries: Any, rows: Any) -> Any:
        """Returns the scores of documents for queries, query by query, so that memory holds one query's pairs.

        Args:
            queries: string `(batch,)`.
            rows: The documents' rows in the index, int32 `(batch, documents)`.

        Returns:
            float32 `(batch, documents)`, from 0 to 1: that of each document's best passage.
        """
        import tensorflow as tf

        tokens = self._tokenizer.tokenize(queries)
        starts, ends = tokens.row_splits[:-1], tokens.row_splits[1:]

        def score(asked: Any) -> Any:
            start, end, documents = asked
            return self._score_query(tokens.values[start:end], documents)

        spec = tf.TensorSpec([None], tf.float32)
        outputs = tf.map_fn(score, (starts, ends, rows), fn_output_signature=spec, parallel_iterations=1)
        return tf.sigmoid(outputs)

    def _score_query(self, query: Any, rows: Any) -> Any:
        """Returns the best output of each document: token ids `(tokens,)` and rows `(documents,)` → `(documents,)`."""
        import tensorflow as tf

        first, last = tf.gather(self._firsts, rows), tf.gather(self._firsts, rows + 1)
        passages = tf.ragged.range(first, last)  # (documents, (passages))
        starts, ends = tf.gather(self._starts, passages.values), tf.gather(self._starts, passages.values + 1)
        places = tf.ragged.range(starts, ends)  # (passages, (tokens))
        second = places.with_values(tf.gather(self._ids, places.values))
        count = tf.size(starts)
        repeated = tf.RaggedTensor.from_row_lengths(
            tf.tile(query, [count]), tf.fill([count], tf.cast(tf.size(query), tf.int64)), validate=False
        )
        outputs = self._encode(*self._tokenizer.join(repeated, second, self._max_length))[:, 0]
        return tf.math.segment_max(outputs, passages.value_rowids())


class PromptedStageGraph(_StageGraph):
    """A cross-encoder that reads query and passage in a prompt, which is tokenized as one text when it is asked.

    Args:
        module: The module, which gets the reranker's tokenizer, its weights and the passages' texts.
        model: The cross-encoder, in a precision in which TensorFlow computes.
        passages: The texts of each document's passages, in the order of the index.

    Raises:
        InputError: if the reranker's tokenizer has no graph.
    """

    def __init__(self, module: Any, model: TextEncoder, passages: Sequence[Sequence[str]]) -> None:
        texts = [to_bytes(text) for text in itertools.chain.from_iterable(passages)]
        firsts = np.cumsum([0, *map(len, passages)], dtype="int64")
        super().__init__(module, model, {"passage_texts": texts, "first_passages": firsts})
        self._texts, self._firsts = module.passage_texts, module.first_passages

    def score_rows(self, queries: Any, rows: Any) -> Any:
        """Returns the scores of documents for queries; see `SecondStageGraph.score_rows`."""
        import tensorflow as tf

        spec = tf.TensorSpec([None], tf.float32)
        outputs = tf.map_fn(self._score_query, (queries, rows), fn_output_signature=spec, parallel_iterations=1)
        return tf.sigmoid(outputs)

    def _score_query(self, asked: tuple[Any, Any]) -> Any:
        """Returns the best output of each document: a query and rows `(documents,)` → `(documents,)`."""
        import tensorflow as tf

        query, rows = asked
        passages = tf.ragged.range(tf.gather(self._firsts, rows), tf.gather(self._firsts, rows + 1))
        texts = tf.gather(self._texts, passages.values)
        outputs = self._score_joined(tf.fill(tf.shape(texts), query), texts)
        return tf.math.segment_max(outputs, passages.value_rowids())


def order_by_score(found: dict[str, Any], scores: Any, top_k: int) -> dict[str, Any]:
    """Puts a search's outputs in the order of other scores, and keeps the first `top_k`.

    Args:
        found: `ids`, `texts` and `scores`, `(batch, documents)`; -inf is the score of a document that was not allowed.
        scores: float32 `(batch, documents)`.
        top_k: The number of documents to keep.
    """
    import tensorflow as tf

    scores = tf.where(found["scores"] == -np.inf, -np.inf, scores)
    best, places = tf.math.top_k(scores, k=top_k)  # equal scores keep their order
    picked = {name: tf.gather(found[name], places, batch_dims=1) for name in ("ids", "texts")}
    return {**picked, "scores": best}
